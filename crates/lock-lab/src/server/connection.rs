//! A connection to one database of a server, with a record of what passes.

use super::exchange::Listener;
use super::exclusive::{ExclusiveServer, Pair};
use super::{Exchange, Line, patience};
use lock_history::history::{Moment, Sequence};
use redis::{ConnectionLike, ErrorKind, RedisError, RedisResult, Value};
use redis_sim::clock::Clock;
use redis_sim::{self, Kept};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// A connection to one database of a server. It can keep a record of what passes.
pub struct Connection {
    line: Transport,
    /// Where books are kept of what passes, and the line for what is about watches.
    exclusive: Option<(Arc<ExclusiveServer>, Box<Line>)>,
    /// Whose deadline bounds the wait for replies.
    clock: Option<Arc<dyn Clock>>,
    wire_log: Option<WireLog>,
    listener: Option<Listener>,
}

pub(super) enum Transport {
    Embedded(redis_sim::Connection),
    Redis(Box<Line>),
    /// It was lent, see [`Connection::lend`].
    Lent,
    /// One on which replies did not come in time: those that come later would be taken for the
    /// replies to later commands.
    GivenUp,
}

/// What passed over a connection.
struct WireLog {
    sequence: Sequence,
    clock: Arc<dyn Clock>,
    exchanges: Vec<Exchange>,
    /// The keys of DB 0 that are looked at before and after.
    keys: Vec<String>,
    /// What a real Redis is looked at over.
    aside: Option<Box<Connection>>,
}

/// A command on its way.
pub struct Sent {
    at: Moment,
    /// The reply, where it is there at once.
    reply: Option<RedisResult<Value>>,
}

impl Connection {
    pub(super) fn new(line: Transport, clock: Option<Arc<dyn Clock>>) -> Self {
        Self { line, exclusive: None, clock, wire_log: None, listener: None }
    }

    /// The same, with books kept of what passes; `watching` is another line for what is about watches.
    pub(super) fn exclusive_to(self, exclusive: Arc<ExclusiveServer>, watching: Line) -> Self {
        Self { exclusive: Some((exclusive, Box::new(watching))), ..self }
    }

    /// The same, with a listener that gets each exchange from now on.
    #[must_use]
    pub fn heard_by(self, listener: Listener) -> Self {
        Self { listener: Some(listener), ..self }
    }

    /// Keeps a record from now on.
    pub fn record(&mut self, sequence: Sequence, clock: Arc<dyn Clock>) {
        let (exchanges, keys) = (Vec::new(), Vec::new());
        self.wire_log = Some(WireLog { sequence, clock, exchanges, keys, aside: None });
    }

    /// Takes snapshots of these keys of DB 0 before and after whatever is recorded. On a real Redis
    /// that takes a connection of its own, `aside`, and is exact where no other client is at work
    /// meanwhile.
    pub fn observe(&mut self, keys: Vec<String>, aside: Option<Connection>) {
        if let Some(wire_log) = &mut self.wire_log {
            (wire_log.keys, wire_log.aside) = (keys, aside.map(Box::new));
        }
    }

    /// What a key of DB 0 holds, whatever its kind.
    ///
    /// # Errors
    ///
    /// The error of the connection or of the server, on a real Redis only.
    pub fn kept(&mut self, key: &str) -> RedisResult<Option<Kept>> {
        match &self.line {
            Transport::Embedded(connection) => Ok(connection.engine().kept(0, key.as_bytes())),
            _ => kept(self, key),
        }
    }

    /// Makes the clock of an embedded server jump forward; that of a real one is left alone.
    pub fn shift_clock(&self, by: Duration) {
        if let Transport::Embedded(connection) = &self.line {
            connection.engine().shift_clock(by);
        }
    }

    /// Whether it leads to a real Redis.
    pub fn is_remote(&self) -> bool {
        matches!(self.line, Transport::Redis(_))
    }

    /// Hands out what was recorded since the last time.
    pub fn recorded(&mut self) -> Vec<Exchange> {
        self.wire_log
            .as_mut()
            .map(|wire_log| std::mem::take(&mut wire_log.exchanges))
            .unwrap_or_default()
    }

    /// Hands the connection out and leaves one that answers nothing.
    pub fn lend(&mut self) -> Connection {
        std::mem::replace(self, Connection::new(Transport::Lent, None))
    }

    /// Sends one command without waiting for its reply, which
    /// [`receive_within`](Connection::receive_within) gives. The embedded server runs it at once, as
    /// a real one would.
    pub fn send(&mut self, command: &[u8]) -> Sent {
        let at = self.moment();
        let reply = match &mut self.line {
            Transport::Redis(connection) => connection.send_packed_command(command).err().map(Err),
            _ => Some(self.line.request(command, patience(None))),
        };
        Sent { at, reply }
    }

    /// Waits for the reply to a command that was sent, but no longer than this.
    ///
    /// # Errors
    ///
    /// The error of the connection or of the server; an I/O error if no reply came in time.
    pub fn receive_within(
        &mut self,
        command: &[u8],
        sent: Sent,
        most: Duration,
    ) -> RedisResult<Value> {
        let before = self.snapshot();
        let patience = self.patience().min(most);
        let reply = sent.reply.unwrap_or_else(|| match &mut self.line {
            Transport::Redis(connection) => within(patience, connection, Line::recv_response),
            _ => Err(unusable("there is no connection to use here")),
        });
        self.keep(sent.at, command, before, || reply.clone().map(|reply| vec![reply]));
        reply
    }

    /// Subscribes to channels by patterns, and calls `heard` for each message, and also whenever
    /// none came for this long, until that says no.
    ///
    /// # Errors
    ///
    /// Fails on the embedded server, if a subscription is refused, or if the connection is lost.
    pub fn listen(
        &mut self,
        patterns: &[String],
        patience: Duration,
        heard: &mut dyn FnMut(bool) -> bool,
    ) -> RedisResult<()> {
        let Transport::Redis(connection) = &mut self.line else {
            return Err(unusable("there is no connection to listen on here"));
        };
        for pattern in patterns {
            redis::cmd("PSUBSCRIBE").arg(pattern).exec(&mut **connection)?;
        }
        let mut is_message = false;
        while heard(is_message) {
            is_message = connection.wait_for(patience)?.is_some();
        }
        Ok(())
    }

    fn patience(&self) -> Duration {
        patience(self.clock.as_deref())
    }

    fn requests(
        &mut self,
        commands: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        let patience = self.patience();
        self.line.requests(commands, offset, count, patience, self.exclusive.as_mut())
    }

    /// One command, of which books are kept.
    fn only(&mut self, command: &[u8]) -> RedisResult<Value> {
        let replies = self.requests(command, 0, 1)?;
        replies.into_iter().next().ok_or_else(|| unusable("it did not answer"))
    }

    fn moment(&self) -> Moment {
        match (&self.wire_log, &self.listener) {
            (Some(wire_log), _) => wire_log.sequence.moment(&*wire_log.clock),
            (None, Some(listener)) => listener.sequence.moment(&*listener.clock),
            (None, None) => Moment::default(),
        }
    }

    fn keep(
        &mut self,
        sent: Moment,
        commands: &[u8],
        before: Vec<Option<Kept>>,
        replies: impl FnOnce() -> RedisResult<Vec<Value>>,
    ) {
        if self.wire_log.is_none() && self.listener.is_none() {
            return;
        }
        let received = self.moment();
        let after = self.snapshot();
        let observed = before.into_iter().zip(after).map(|(before, after)| [before, after]);
        let observed = observed.collect();
        let (db, commands, replies) = (self.get_db(), commands.to_vec(), replies());
        let exchange = Exchange { sent, received, db, commands, replies, observed };
        if let Some(listener) = &self.listener {
            (listener.hear)(&exchange);
        }
        if let Some(wire_log) = &mut self.wire_log {
            wire_log.exchanges.push(exchange);
        }
    }

    /// What the observed keys hold now.
    fn snapshot(&mut self) -> Vec<Option<Kept>> {
        let Some(wire_log) = &mut self.wire_log else { return Vec::new() };
        match (&self.line, &mut wire_log.aside) {
            (Transport::Embedded(connection), _) => {
                let engine = connection.engine();
                wire_log.keys.iter().map(|key| engine.kept(0, key.as_bytes())).collect()
            }
            (Transport::Redis(_), Some(aside)) => {
                wire_log.keys.iter().map(|key| kept(aside, key).unwrap_or_default()).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// What a key holds on a real Redis.
fn kept(aside: &mut Connection, key: &str) -> RedisResult<Option<Kept>> {
    let ask =
        |aside: &mut Connection, command: &str| redis::cmd(command).arg(key).query::<Value>(aside);
    let (value, is_string) = match ask(aside, "GET") {
        Ok(Value::Nil) => return Ok(None),
        Ok(Value::BulkString(value)) => (value, true),
        _ => (members(aside, key)?, false),
    };
    // Before Redis 7 there is no way to ask; then no extension is seen.
    let deadline = match ask(aside, "PEXPIRETIME") {
        Ok(Value::Int(deadline)) => Some(deadline).filter(|deadline| *deadline >= 0),
        _ => None,
    };
    let left = match ask(aside, "PTTL")? {
        Value::Int(left) => u64::try_from(left).ok().map(Duration::from_millis),
        _ => None,
    };
    Ok(Some(Kept { value, is_string, deadline, left, expiry_sets: 0 }))
}

/// What a key holds that is no string, as [`Kept::value`] has it.
fn members(aside: &mut Connection, key: &str) -> RedisResult<Vec<u8>> {
    let kind: String = redis::cmd("TYPE").arg(key).query(aside)?;
    let mut all = redis::Cmd::new();
    match kind.as_str() {
        "hash" => all.arg("HGETALL").arg(key),
        "list" => all.arg("LRANGE").arg(key).arg(0).arg(-1),
        "zset" => all.arg("ZRANGE").arg(key).arg(0).arg(-1),
        "set" => all.arg("SMEMBERS").arg(key),
        _ => return Ok(kind.into_bytes()),
    };
    let mut all: Vec<Vec<u8>> = all.query(aside)?;
    match kind.as_str() {
        "hash" => all = all.chunks(2).map(|pair| pair.join(&b'=')).collect(),
        "set" => all.sort(),
        _ => {}
    }
    Ok(all.join(&b' '))
}

impl Transport {
    /// The connection, if there is one to use.
    fn open(&self) -> Option<&dyn ConnectionLike> {
        match self {
            Transport::Embedded(connection) => Some(connection),
            Transport::Redis(connection) => Some(&**connection),
            Transport::Lent | Transport::GivenUp => None,
        }
    }

    fn request(&mut self, command: &[u8], patience: Duration) -> RedisResult<Value> {
        match self {
            Transport::Embedded(connection) => connection.req_packed_command(command),
            Transport::Redis(connection) => {
                within(patience, connection, |connection| connection.req_packed_command(command))
            }
            Transport::Lent => Err(unusable("there is no connection to use here")),
            Transport::GivenUp => Err(given_up()),
        }
    }

    fn requests(
        &mut self,
        commands: &[u8],
        offset: usize,
        count: usize,
        patience: Duration,
        exclusive: Option<&mut (Arc<ExclusiveServer>, Box<Line>)>,
    ) -> RedisResult<Vec<Value>> {
        match self {
            Transport::Embedded(connection) => {
                connection.req_packed_commands(commands, offset, count)
            }
            Transport::Redis(connection) => {
                let replies = match exclusive {
                    Some((exclusive, watching)) => {
                        let pair = Pair { plain: connection, watching };
                        exclusive.exchange(pair, commands, offset, count, patience)
                    }
                    None => within(patience, connection, |connection| {
                        transact(connection, commands, offset, count)
                    }),
                };
                if replies.as_ref().is_err_and(RedisError::is_timeout) {
                    *self = Transport::GivenUp;
                }
                replies
            }
            Transport::Lent => Err(unusable("there is no connection to use here")),
            Transport::GivenUp => Err(given_up()),
        }
    }
}

fn unusable(why: &'static str) -> RedisError {
    RedisError::from((ErrorKind::Client, why))
}

fn given_up() -> RedisError {
    let late = io::Error::new(io::ErrorKind::TimedOut, "did not answer an earlier command in time");
    RedisError::from(late)
}

/// Talks to a server that may take so long for a reply.
pub(super) fn within<T>(
    patience: Duration,
    connection: &mut Line,
    talk: impl FnOnce(&mut Line) -> RedisResult<T>,
) -> RedisResult<T> {
    connection.set_read_timeout(Some(patience));
    talk(connection)
}

/// Sends several commands at once and reads their replies.
pub(super) fn transact(
    connection: &mut Line,
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
        let before = self.snapshot();
        let reply = match self.exclusive {
            Some(_) => self.only(command),
            None => self.line.request(command, self.patience()),
        };
        self.keep(sent, command, before, || reply.clone().map(|reply| vec![reply]));
        reply
    }

    fn req_packed_commands(
        &mut self,
        commands: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        let sent = self.moment();
        let before = self.snapshot();
        let replies = self.requests(commands, offset, count);
        self.keep(sent, commands, before, || replies.clone());
        replies
    }

    fn get_db(&self) -> i64 {
        self.line.open().map_or(0, |connection| connection.get_db())
    }

    fn check_connection(&mut self) -> bool {
        match &mut self.line {
            Transport::Embedded(connection) => connection.check_connection(),
            Transport::Redis(connection) => connection.check_connection(),
            Transport::Lent | Transport::GivenUp => false,
        }
    }

    fn is_open(&self) -> bool {
        self.line.open().is_some_and(|connection| connection.is_open())
    }
}
