//! The embedded Redis server: no process, no socket, time from a [`Clock`].
//!
//! It does what lock clients need of Redis 7.0 and does it exactly: same replies, same error texts.
//! The judge is the differential test `tests/it/conformance.rs`, which runs generated commands here
//! and on a real server. What it leaves out: persistence, replication, eviction, access rules,
//! background expiry (a key is gone when somebody looks at it after its deadline), and every command
//! that is not in the table of `commands/mod.rs`.
//!
//! ```
//! use nodb_trigger::{clock::VirtualClock, engine::Engine};
//! use std::{sync::Arc, time::Duration};
//!
//! let clock = Arc::new(VirtualClock::new(None));
//! let mut con = Engine::new(clock.clone()).connect(0);
//! let taken: bool = redis::cmd("SET").arg(&["lock", "me", "NX", "EX", "30"]).query(&mut con)?;
//! assert!(taken);
//! clock.advance_to(Duration::from_millis(30_001));
//! let holder: Option<String> = redis::cmd("GET").arg("lock").query(&mut con)?;
//! assert_eq!(holder, None);
//! # Ok::<(), redis::RedisError>(())
//! ```

mod commands;
mod error;
mod glob;
mod keyspace;
mod resp;
mod session;

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redis::{Cmd, ConnectionLike, ErrorKind, RedisError, RedisResult, ServerErrorKind, Value};

use crate::clock::Clock;
use error::Error;
use keyspace::{DbIndex, Keyspace};
use session::{Call, Session};

/// The version of Redis that this server behaves like and says it is.
const VERSION: &str = "7.0.15";

/// A server with its own keys; clones are handles on the same one.
#[derive(Clone)]
pub struct Engine(Arc<Shared>);

struct Shared {
    clock: Arc<dyn Clock>,
    keyspace: Mutex<Keyspace>,
}

impl Engine {
    /// An empty server whose keys live and expire by `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Shared { clock, keyspace: Mutex::default() }))
    }

    /// A new client of this server, with the database `db` selected.
    ///
    /// If there is no such database, every request of the client fails with the error that connecting
    /// to a real server fails with.
    pub fn connect(&self, db: i64) -> Connection {
        let mut keyspace = self.lock();
        keyspace.clients += 1;
        keyspace.clients_ever += 1;
        let id = keyspace.clients_ever;
        drop(keyspace);
        let index = DbIndex::new(db);
        let refused = index.is_err();
        let session = Session::new(id, index.unwrap_or(DbIndex::FIRST));
        Connection { engine: self.clone(), session, refused, packed: Vec::new() }
    }

    /// One command runs at a time. A panic in one (there should be none) must not end the server.
    fn lock(&self) -> MutexGuard<'_, Keyspace> {
        self.0.keyspace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

/// A client of an [`Engine`], with its own selected database, MULTI queue and WATCHes.
///
/// To its user it is like a [`redis::Connection`]: errors come as the same values, a closed connection
/// fails the same way. One difference is left. If a command of an atomic pipeline is refused before
/// EXEC, kind and code of the error are the same, but which commands were refused is in
/// [`RedisError::detail`], not in [`RedisError::into_server_errors`], which nobody but the redis crate
/// can fill.
#[derive(Debug)]
pub struct Connection {
    engine: Engine,
    session: Session,
    /// Whether it was opened on a database that does not exist.
    refused: bool,
    /// Reused from request to request.
    packed: Vec<u8>,
}

impl Connection {
    /// Takes the first request off `input` and answers it; `None` if nothing is left to answer.
    fn answer_next(&mut self, input: &mut &[u8]) -> RedisResult<Option<Value>> {
        self.check_open()?;
        while !input.is_empty() {
            let (request, rest) = match resp::parse(input) {
                Ok(parsed) => parsed,
                Err(malformed) => {
                    self.session.closed = true;
                    *input = &[];
                    return Ok(Some(Error::from(malformed).into_value()));
                }
            };
            let raw = input.get(..input.len() - rest.len()).unwrap_or_default();
            *input = rest;
            let argv = request.argv();
            // Redis skips an empty request without an answer.
            if !argv.is_empty() {
                return Ok(Some(self.call(|call| call.answer(argv, raw))));
            }
        }
        Ok(None)
    }

    fn call<T>(&mut self, run: impl FnOnce(&mut Call<'_>) -> T) -> T {
        let mut keyspace = self.engine.lock();
        // Asked while the keyspace is locked, so that time passes in the order of the commands.
        let now = self.engine.0.clock.unix();
        run(&mut Call { keyspace: &mut keyspace, session: &mut self.session, now })
    }

    fn check_open(&self) -> RedisResult<()> {
        if self.refused {
            let kind = ErrorKind::Server(ServerErrorKind::ResponseError);
            let what = "Redis server refused to switch database";
            return Err((kind, what, "DB index is out of range".to_owned()).into());
        }
        if self.session.closed { Err(hung_up()) } else { Ok(()) }
    }
}

/// What a client sees that waits for an answer which never comes.
fn hung_up() -> RedisError {
    io::Error::from(io::ErrorKind::UnexpectedEof).into()
}

fn empty() -> RedisError {
    (ErrorKind::Client, "empty command").into()
}

impl ConnectionLike for Connection {
    fn req_packed_command(&mut self, cmd: &[u8]) -> RedisResult<Value> {
        if cmd.is_empty() {
            return Err(empty());
        }
        let mut input = cmd;
        self.answer_next(&mut input)?.ok_or_else(hung_up)
    }

    fn req_packed_commands(
        &mut self,
        cmd: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        if cmd.is_empty() {
            return Err(empty());
        }
        let mut input = cmd;
        let mut refused = Vec::new();
        let mut values = Vec::new();
        for index in 0..offset.saturating_add(count) {
            match self.answer_next(&mut input)? {
                // The first request is the MULTI, so its successor is the pipeline's number 0.
                Some(Value::ServerError(error)) if index < offset => {
                    refused.push((index.saturating_sub(1), error));
                }
                Some(_) if index < offset => {}
                Some(value) => values.push(value),
                None => return Err(hung_up()),
            }
        }
        if refused.is_empty() { Ok(values) } else { Err(error::aborted(&refused)) }
    }

    fn req_command(&mut self, cmd: &Cmd) -> RedisResult<Value> {
        if cmd.args_iter().next().is_none() {
            return Err(empty());
        }
        let mut packed = std::mem::take(&mut self.packed);
        packed.clear();
        cmd.write_packed_command(&mut packed);
        let answer = self.req_packed_command(&packed);
        self.packed = packed;
        if cmd.is_no_response() { answer.map(|_| Value::Nil) } else { answer }
    }

    /// The database that is selected now.
    fn get_db(&self) -> i64 {
        i64::try_from(self.session.db.number()).unwrap_or_default()
    }

    fn check_connection(&mut self) -> bool {
        redis::cmd("PING").query::<String>(self).is_ok()
    }

    fn is_open(&self) -> bool {
        self.check_open().is_ok()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.call(|call| {
            call.unwatch();
            call.keyspace.clients -= 1;
        });
    }
}
