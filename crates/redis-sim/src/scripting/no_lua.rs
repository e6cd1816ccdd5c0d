//! What stands in for the Lua state where there is none.

use super::Sha;
use crate::error::Error;
use crate::session::Call;
use redis::Value;

/// There is none, so no script is compiled and none runs.
pub(super) enum Interpreter {}

#[derive(Clone, Copy)]
pub(super) enum Function {}

impl Interpreter {
    pub(super) fn new() -> Result<Self, Error> {
        let why =
            "ERR this server has no scripts: redis-sim was built without its feature \"scripts\"";
        Err(Error::Script(why.into()))
    }

    pub(super) fn compile(&mut self, _: &[u8]) -> Result<Function, Error> {
        match *self {}
    }

    pub(super) fn run(
        &mut self,
        _: (Function, Sha),
        _: &[&[u8]],
        _: &[&[u8]],
        _: &mut Call<'_>,
        _: bool,
    ) -> Result<Value, Error> {
        match *self {}
    }
}
