//! A connection to one database of a server, with a record of what passes.

use super::exchange::Listener;
use super::{Exchange, RESPONSE_TIMEOUT};
use crate::clock::Clock;
use crate::engine;
use crate::history::{Moment, Sequence};
use redis::{ConnectionLike, ErrorKind, RedisError, RedisResult, Value};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// A connection to one database of a server. It can keep a record of what passes.
pub struct Connection {
    line: Line,
    tape: Option<Tape>,
    listener: Option<Listener>,
}

pub(super) enum Line {
    Embedded(engine::Connection),
    Redis(Box<redis::Connection>),
    /// It was lent to somebody, see [`Connection::lend`].
    Lent,
    /// One on which replies did not come in time: those that come later would be taken for the
    /// replies to later commands.
    GivenUp,
}

/// What passed over a connection.
struct Tape {
    sequence: Sequence,
    clock: Arc<dyn Clock>,
    exchanges: Vec<Exchange>,
}

/// A command on its way.
pub struct Sent {
    at: Moment,
    /// The reply, where it is there at once.
    reply: Option<RedisResult<Value>>,
}

impl Connection {
    pub(super) fn new(line: Line) -> Self {
        Self { line, tape: None, listener: None }
    }

    /// The same, with somebody who hears what passes from now on.
    #[must_use]
    pub fn heard_by(self, listener: Listener) -> Self {
        Self { listener: Some(listener), ..self }
    }

    /// Keeps a record from now on.
    pub fn record(&mut self, sequence: Sequence, clock: Arc<dyn Clock>) {
        self.tape = Some(Tape { sequence, clock, exchanges: Vec::new() });
    }

    /// Hands out what was recorded since the last time.
    pub fn recorded(&mut self) -> Vec<Exchange> {
        self.tape.as_mut().map(|tape| std::mem::take(&mut tape.exchanges)).unwrap_or_default()
    }

    /// Hands the connection out and leaves one that answers nothing.
    pub fn lend(&mut self) -> Connection {
        std::mem::replace(self, Connection::new(Line::Lent))
    }

    /// Sends one command without waiting for its reply, which
    /// [`receive_within`](Connection::receive_within) gives. The embedded server runs it at once, as
    /// a real one would.
    pub fn send(&mut self, command: &[u8]) -> Sent {
        let at = self.moment();
        let reply = match &mut self.line {
            Line::Redis(connection) => connection.send_packed_command(command).err().map(Err),
            _ => Some(self.line.request(command)),
        };
        Sent { at, reply }
    }

    /// Waits for the reply to a command that was sent, but no longer than this.
    pub fn receive_within(
        &mut self,
        command: &[u8],
        sent: Sent,
        patience: Duration,
    ) -> RedisResult<Value> {
        let reply = sent.reply.unwrap_or_else(|| match &mut self.line {
            Line::Redis(connection) => {
                if patience == RESPONSE_TIMEOUT {
                    return connection.recv_response();
                }
                connection.set_read_timeout(Some(patience))?;
                let reply = connection.recv_response();
                connection.set_read_timeout(Some(RESPONSE_TIMEOUT))?;
                reply
            }
            _ => Err(unusable("there is no connection to use here")),
        });
        self.keep(sent.at, command, || reply.clone().map(|reply| vec![reply]));
        reply
    }

    fn moment(&self) -> Moment {
        match (&self.tape, &self.listener) {
            (Some(tape), _) => tape.sequence.moment(&*tape.clock),
            (None, Some(listener)) => listener.sequence.moment(&*listener.clock),
            (None, None) => Moment::default(),
        }
    }

    fn keep(
        &mut self,
        sent: Moment,
        commands: &[u8],
        replies: impl FnOnce() -> RedisResult<Vec<Value>>,
    ) {
        if self.tape.is_none() && self.listener.is_none() {
            return;
        }
        let received = self.moment();
        let (commands, replies) = (commands.to_vec(), replies());
        let exchange = Exchange { sent, received, commands, replies };
        if let Some(listener) = &self.listener {
            (listener.hear)(&exchange);
        }
        if let Some(tape) = &mut self.tape {
            tape.exchanges.push(exchange);
        }
    }
}

impl Line {
    fn request(&mut self, command: &[u8]) -> RedisResult<Value> {
        match self {
            Line::Embedded(connection) => connection.req_packed_command(command),
            Line::Redis(connection) => connection.req_packed_command(command),
            Line::Lent => Err(unusable("there is no connection to use here")),
            Line::GivenUp => Err(given_up()),
        }
    }

    fn requests(
        &mut self,
        commands: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        match self {
            Line::Embedded(connection) => connection.req_packed_commands(commands, offset, count),
            Line::Redis(connection) => {
                let replies = exchange(connection, commands, offset, count);
                if replies.as_ref().is_err_and(RedisError::is_timeout) {
                    *self = Line::GivenUp;
                }
                replies
            }
            Line::Lent => Err(unusable("there is no connection to use here")),
            Line::GivenUp => Err(given_up()),
        }
    }
}

fn unusable(why: &'static str) -> RedisError {
    RedisError::from((ErrorKind::Client, why))
}

fn given_up() -> RedisError {
    let late = io::Error::new(io::ErrorKind::TimedOut, "an earlier command had no answer in time");
    RedisError::from(late)
}

/// Sends several commands at once and reads their replies. The library's own way waits for each
/// reply of a silent server anew, and panics where MULTI itself is refused (redis 1.8.1,
/// `req_packed_commands`).
fn exchange(
    connection: &mut redis::Connection,
    commands: &[u8],
    offset: usize,
    count: usize,
) -> RedisResult<Vec<Value>> {
    connection.send_packed_command(commands)?;
    let mut replies = Vec::with_capacity(count);
    let mut refusal = None;
    for number in 0..offset.saturating_add(count) {
        match connection.recv_response()? {
            Value::ServerError(error) if number < offset => {
                refusal.get_or_insert(error);
            }
            reply if number >= offset => replies.push(reply),
            _ => {}
        }
    }
    refusal.map_or(Ok(replies), |error| Err(error.into()))
}

impl ConnectionLike for Connection {
    fn req_packed_command(&mut self, command: &[u8]) -> RedisResult<Value> {
        let sent = self.moment();
        let reply = self.line.request(command);
        self.keep(sent, command, || reply.clone().map(|reply| vec![reply]));
        reply
    }

    fn req_packed_commands(
        &mut self,
        commands: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        let sent = self.moment();
        let replies = self.line.requests(commands, offset, count);
        self.keep(sent, commands, || replies.clone());
        replies
    }

    fn get_db(&self) -> i64 {
        match &self.line {
            Line::Embedded(connection) => connection.get_db(),
            Line::Redis(connection) => connection.get_db(),
            Line::Lent | Line::GivenUp => 0,
        }
    }

    fn check_connection(&mut self) -> bool {
        match &mut self.line {
            Line::Embedded(connection) => connection.check_connection(),
            Line::Redis(connection) => connection.check_connection(),
            Line::Lent | Line::GivenUp => false,
        }
    }

    fn is_open(&self) -> bool {
        match &self.line {
            Line::Embedded(connection) => connection.is_open(),
            Line::Redis(connection) => connection.is_open(),
            Line::Lent | Line::GivenUp => false,
        }
    }
}
