//! A connection to a real Redis. Its replies are complete in time and of a bounded size, whatever the
//! server sends and however slowly: the library bounds single reads.

mod reply;
mod stream;

use super::connection::transact;
use redis::{
    ConnectionInfo, ConnectionLike, ErrorKind, Parser, ProtocolVersion, RedisConnectionInfo,
    RedisError, RedisResult, Value, cmd,
};
use redis_sim::clock::{Clock, WallClock};
use redis_sim::requests;
use reply::Reply;
use std::io::{self, Read, Write};
use std::sync::OnceLock;
use std::time::Duration;
use stream::Stream;

/// How the error of a command begins that waited for its reply too long.
pub(super) const LATE: &str = "did not";

/// How the error begins of a server that sends what is of no use.
pub(super) const SENT: &str = "sent";

/// How long a read or a write lasts before the time that is left is looked at again.
const SLICE: Duration = Duration::from_millis(50);

/// How much is read at a time.
const CHUNK: usize = 16 * 1024;

/// How long commands on their way may take after [`hurry`].
const HURRY: Duration = Duration::from_secs(1);

/// How long a command may take at least, that is sent after [`hurry`] to clean up.
const LAST_COMMANDS: Duration = Duration::from_millis(500);

/// When the program was interrupted.
static HURRIED: OnceLock<WallClock> = OnceLock::new();

/// The program is to end: from now on, no connection of this process waits long for a reply.
pub fn hurry() {
    HURRIED.get_or_init(|| WallClock::new(Some(HURRY)));
}

/// Whether the program is to end.
pub fn is_hurried() -> bool {
    HURRIED.get().is_some()
}

/// Whether the time is over that commands in flight had after [`hurry`].
fn is_over() -> bool {
    HURRIED.get().is_some_and(|clock| clock.check().is_err())
}

/// A connection to a real Redis.
pub struct Line {
    stream: Stream,
    reply: Reply,
    parser: Parser,
    db: i64,
    is_open: bool,
    /// How long a reply may take from its command on; none if there is no bound.
    patience: Option<Duration>,
    /// How long what is waited for may take, and how long it has taken.
    bound: Option<Duration>,
    clock: WallClock,
    /// The name of the last command.
    command: String,
    /// How many replies did not come in time, and may still come.
    late: usize,
}

impl Line {
    /// Connects, says who it is, and selects a database, each within this time.
    pub(super) fn open(
        info: &ConnectionInfo,
        settings: &RedisConnectionInfo,
        patience: Duration,
    ) -> RedisResult<Self> {
        let mut line = Self {
            stream: Stream::open(info.addr(), patience, SLICE)?,
            reply: Reply::default(),
            parser: Parser::new(),
            db: settings.db(),
            is_open: true,
            patience: Some(patience),
            bound: Some(patience),
            clock: WallClock::new(Some(patience)),
            command: String::new(),
            late: 0,
        };
        line.introduce(settings)?;
        if settings.db() != 0 {
            cmd("SELECT").arg(settings.db()).exec(&mut line)?;
        }
        Ok(line)
    }

    fn introduce(&mut self, settings: &RedisConnectionInfo) -> RedisResult<()> {
        let user = settings.username();
        if settings.protocol() == ProtocolVersion::RESP3 {
            let mut hello = cmd("HELLO");
            hello.arg(3);
            if let Some(password) = settings.password() {
                hello.arg("AUTH").arg(user.unwrap_or("default")).arg(password);
            }
            return hello.exec(self);
        }
        let Some(password) = settings.password() else { return Ok(()) };
        let refused = cmd("AUTH").arg(user).arg(password).exec(self);
        // Before Redis 6 there are no users.
        let is_old = |error: &RedisError| {
            user.is_some() && error.detail().is_some_and(|why| why.contains("number of arguments"))
        };
        let refused = match refused {
            Err(error) if is_old(&error) => cmd("AUTH").arg(password).exec(self),
            refused => refused,
        };
        refused.map_err(|error| match error.code() {
            Some("ERR" | "ResponseError" | "WRONGPASS") => {
                RedisError::from((ErrorKind::AuthenticationFailed, "wrong user or password"))
            }
            _ => error,
        })
    }

    /// Sends commands without waiting for their replies. The time for these begins.
    ///
    /// # Errors
    ///
    /// The error of the connection.
    pub fn send_packed_command(&mut self, commands: &[u8]) -> RedisResult<()> {
        self.start(self.patience);
        self.command = name(commands);
        let mut rest = commands;
        while !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(0) => return Err(self.broken(io::ErrorKind::WriteZero.into())),
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) if is_slice(&error) => self.check()?,
                Err(error) => return Err(self.broken(error)),
            }
        }
        Ok(())
    }

    /// Waits for the next reply.
    ///
    /// # Errors
    ///
    /// The error of the connection; an I/O error if the reply is not complete in time, or too large.
    pub fn recv_response(&mut self) -> RedisResult<Value> {
        loop {
            let value = self.receive().inspect_err(|error| {
                self.late += usize::from(error.is_timeout());
            })?;
            if self.late == 0 || matches!(value, Value::Push { .. }) {
                return Ok(value);
            }
            self.late -= 1;
        }
    }

    /// Waits for what the server sends unasked, but no longer than this: then there is nothing.
    pub(super) fn wait_for(&mut self, patience: Duration) -> RedisResult<Option<Value>> {
        self.start(Some(patience));
        match self.receive() {
            Err(error) if error.is_timeout() => Ok(None),
            heard => heard.map(Some),
        }
    }

    /// From now on, replies may take so long; without a time, as long as they want.
    pub fn set_read_timeout(&mut self, patience: Option<Duration>) {
        self.patience = patience;
        self.start(patience);
    }

    fn start(&mut self, patience: Option<Duration>) {
        self.bound = patience;
        self.clock = WallClock::new(patience);
    }

    fn receive(&mut self) -> RedisResult<Value> {
        loop {
            let mut bytes = match self.reply.complete() {
                Ok(Some(bytes)) => bytes,
                Ok(None) => {
                    self.read()?;
                    continue;
                }
                Err(error) => return Err(self.broken(error)),
            };
            let value = self.parser.parse_value(&mut bytes);
            self.reply.done();
            return value.map_err(|_| {
                self.parser = Parser::new();
                self.broken(reply::garbage("a reply that has no meaning"))
            });
        }
    }

    /// Reads what comes next; one reply that comes drop by drop is late, too.
    fn read(&mut self) -> RedisResult<()> {
        let mut chunk = [0; CHUNK];
        match self.stream.read(&mut chunk) {
            Ok(0) => return Err(self.broken(io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => {
                self.reply.feed(chunk.get(..count).unwrap_or_default());
                if matches!(self.reply.complete(), Ok(Some(_))) {
                    return Ok(());
                }
            }
            Err(error) if is_slice(&error) => {}
            Err(error) => return Err(self.broken(error)),
        }
        self.check()
    }

    /// Fails if the time is over.
    fn check(&self) -> RedisResult<()> {
        let Some((bound, left)) = self.bound.zip(self.clock.left()) else { return Ok(()) };
        let least = LAST_COMMANDS.saturating_sub(self.clock.now());
        let hurried = HURRIED.get().and_then(Clock::left).map(|left| left.max(least));
        let within = match hurried {
            Some(Duration::ZERO) => "before the program had to end".to_owned(),
            _ if left.is_zero() => format!("within {bound:?}"),
            _ => return Ok(()),
        };
        let what = if self.reply.is_begun() { "finish its reply" } else { "answer" };
        let asked = match self.command.as_str() {
            "" => String::new(),
            command => format!(" ({command})"),
        };
        let late = format!("{LATE} {what} {within}{asked}; is it stopped or overloaded?");
        Err(io::Error::new(io::ErrorKind::TimedOut, late).into())
    }

    fn broken(&mut self, error: io::Error) -> RedisError {
        self.is_open = false;
        error.into()
    }
}

/// Whether a read or a write only waited for a slice of its time.
fn is_slice(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}

/// The name of a command, for a sentence.
fn name(commands: &[u8]) -> String {
    const LONGEST: usize = 40;
    let requests = requests(commands);
    let name = requests.first().and_then(|words| words.first()).copied().unwrap_or_default();
    String::from_utf8_lossy(name.get(..LONGEST).unwrap_or(name)).into_owned()
}

impl ConnectionLike for Line {
    fn req_packed_command(&mut self, command: &[u8]) -> RedisResult<Value> {
        self.send_packed_command(command)?;
        loop {
            match self.recv_response()? {
                Value::Push { .. } => {}
                reply => return Ok(reply),
            }
        }
    }

    fn req_packed_commands(
        &mut self,
        commands: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        transact(self, commands, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.db
    }

    fn check_connection(&mut self) -> bool {
        cmd("PING").exec(self).is_ok()
    }

    fn is_open(&self) -> bool {
        self.is_open
    }
}
