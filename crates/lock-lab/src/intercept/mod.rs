//! The interceptor between an actor and what it shares with others: every Redis command, and every named
//! place where local state is shared, passes here one by one. What an interceptor does with them is up to
//! each way of running a scenario; the lock library sees only a [`Link`].

use crate::server::{Connection, Exchange};
use redis::{ConnectionLike, RedisResult, Value};
use std::time::Duration;

/// A place where actors share local state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum PausePoint {
    /// Before the controller's token slot is read.
    TokenRead,
    /// Before the controller's token slot is written.
    TokenWrite,
    /// Before the process's registry of controllers is consulted.
    Registry,
    /// Before the state file is read.
    FileRead,
    /// Before the state file is written.
    FileWrite,
    /// Before it is looked at, or changed, what a controller remembers of its file.
    Memory,
    /// Before a server fault.
    Server,
    /// Between an acquire and the release that follows it at once.
    Held,
}

/// The caller crashed at a pause point, and must not touch what it was about to touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("killed")]
pub struct Crashed;

/// A connection that also lets pause points pass. On a plain connection they do nothing.
pub trait Link: ConnectionLike {
    /// Says that the caller is about to touch local state that others share.
    ///
    /// # Errors
    ///
    /// [`Crashed`] if the caller crashed.
    fn pause(&mut self, _point: PausePoint) -> Result<(), Crashed> {
        Ok(())
    }

    /// Fails if the caller crashed.
    ///
    /// # Errors
    ///
    /// [`Crashed`] if the caller crashed.
    fn is_alive(&self) -> Result<(), Crashed> {
        Ok(())
    }

    /// Whether something was done on purpose to what the caller has sent for what it does now.
    fn is_tampered_with(&self) -> bool {
        false
    }

    /// How much later it is for the caller than by its own clock.
    fn ahead(&self) -> Duration {
        Duration::ZERO
    }
}

impl Link for Connection {}

/// What is done with each command and pause point; by default it passes.
pub trait Interceptor: Send {
    /// One command wants to go out; gives its reply.
    ///
    /// # Errors
    ///
    /// The server's error, that of the connection, or one that the interceptor injects.
    fn command(&mut self, connection: &mut Connection, command: &[u8]) -> RedisResult<Value> {
        connection.req_packed_command(command)
    }

    /// Several commands want to go out at once; gives `count` replies from number `offset` on.
    ///
    /// # Errors
    ///
    /// The error of the connection, one of the server's, or one that the interceptor injects.
    fn pipeline(
        &mut self,
        connection: &mut Connection,
        commands: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        connection.req_packed_commands(commands, offset, count)
    }

    /// Shared local state is about to be touched.
    ///
    /// # Errors
    ///
    /// [`Crashed`] if the caller crashed.
    fn pause(&mut self, _point: PausePoint) -> Result<(), Crashed> {
        Ok(())
    }

    /// Fails if the actor crashed here.
    ///
    /// # Errors
    ///
    /// [`Crashed`] if the caller crashed.
    fn is_alive(&self) -> Result<(), Crashed> {
        Ok(())
    }

    /// Whether it did something to a command since the caller began what it does now.
    fn has_tampered(&self) -> bool {
        false
    }

    /// How much later it is for the caller than by its own clock.
    fn ahead(&self) -> Duration {
        Duration::ZERO
    }
}

/// An interceptor at which nothing is held.
pub struct PassThrough;

impl Interceptor for PassThrough {}

/// A connection behind an interceptor.
pub struct Intercepted<'a> {
    connection: Connection,
    interceptor: Box<dyn Interceptor + 'a>,
}

impl<'a> Intercepted<'a> {
    /// Puts an interceptor before a connection.
    pub fn new(connection: Connection, interceptor: Box<dyn Interceptor + 'a>) -> Self {
        Self { connection, interceptor }
    }

    /// Hands out what the connection recorded since the last time.
    pub fn recorded(&mut self) -> Vec<Exchange> {
        self.connection.recorded()
    }
}

impl Link for Intercepted<'_> {
    fn pause(&mut self, point: PausePoint) -> Result<(), Crashed> {
        self.interceptor.pause(point)
    }

    fn is_alive(&self) -> Result<(), Crashed> {
        self.interceptor.is_alive()
    }

    fn is_tampered_with(&self) -> bool {
        self.interceptor.has_tampered()
    }

    fn ahead(&self) -> Duration {
        self.interceptor.ahead()
    }
}

impl ConnectionLike for Intercepted<'_> {
    fn req_packed_command(&mut self, command: &[u8]) -> RedisResult<Value> {
        self.interceptor.command(&mut self.connection, command)
    }

    fn req_packed_commands(
        &mut self,
        commands: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        self.interceptor.pipeline(&mut self.connection, commands, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.connection.get_db()
    }

    fn check_connection(&mut self) -> bool {
        self.connection.check_connection()
    }

    fn is_open(&self) -> bool {
        self.connection.is_open()
    }
}
