//! The other side of [`OurProcesses`](super::OurProcesses): what runs in an actor's process. It
//! does what the lock protocol does, and sends its commands to its parent.

use super::worker_protocol::{Done, Message, OperationCall, Said, Verb};
use crate::intercept::{Crashed, Link, PausePoint};
use crate::lock::{Context, Identity, LockName, LockProtocol, Token, TokenSlot};
use redis::{ConnectionLike, RedisError, RedisResult, Value};
use redis_sim::clock::WallClock;
use std::io::{self, BufRead, Write};

/// Carries out instructions until no more come.
///
/// # Errors
///
/// Fails if `input` or `output` does, or if a message is not an instruction.
pub fn obey(
    protocol: &dyn LockProtocol,
    input: &mut (impl BufRead + Send),
    output: &mut (impl Write + Send),
) -> io::Result<()> {
    let mut wire = Wire { input, output };
    wire.say(&Said::Ready)?;
    while let Some(message) = wire.hear()? {
        let Message::Do(call) = message else { return Err(unexpected()) };
        let done = carry_out(protocol, call, &mut wire);
        wire.say(&Said::Done(Box::new(done)))?;
    }
    Ok(())
}

fn carry_out(protocol: &dyn LockProtocol, call: OperationCall, link: &mut dyn Link) -> Done {
    let OperationCall { verb, runid, file, own: remembered, slot: held } = call;
    let (lock, own, slot) =
        (LockName::new(&runid, &file), TokenSlot::default(), TokenSlot::default());
    own.remember(remembered);
    slot.remember(held);
    let token = match &verb {
        Verb::Acquire { token, .. } => token.clone(),
        _ => Token::from(""),
    };
    let (clock, identity) = (WallClock::new(None), Identity::with_token(token));
    let at = &mut Context {
        link,
        clock: &clock,
        identity: &identity,
        lock: &lock,
        own: &own,
        slot: &slot,
    };
    let result = match verb {
        Verb::Acquire { ttl, floor, .. } => protocol.acquire(at, ttl, floor).map(Some),
        Verb::Extend => protocol.extend(at).map(|()| None),
        Verb::Release => protocol.release(at).map(|()| None),
        Verb::ForceRelease => protocol.force_release(at).map(|()| None),
        Verb::CheckWrite => protocol.check_write(at).map(|()| None),
    };
    Done { result: result.map_err(Into::into), own: own.memory(), slot: slot.memory() }
}

/// The pipe to the parent, and through it to the server.
struct Wire<'a, R, W> {
    input: &'a mut R,
    output: &'a mut W,
}

impl<R: BufRead, W: Write> Wire<'_, R, W> {
    fn say(&mut self, said: &Said) -> io::Result<()> {
        serde_json::to_writer(&mut *self.output, said)?;
        writeln!(self.output)?;
        self.output.flush()
    }

    fn hear(&mut self) -> io::Result<Option<Message>> {
        let mut line = String::new();
        if self.input.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        Ok(Some(serde_json::from_str(&line)?))
    }

    fn ask(&mut self, said: &Said) -> io::Result<Message> {
        self.say(said)?;
        self.hear()?.ok_or_else(unexpected)
    }
}

impl<R: BufRead + Send, W: Write + Send> Link for Wire<'_, R, W> {
    fn pause(&mut self, point: PausePoint) -> Result<(), Crashed> {
        match self.ask(&Said::Pause(point)) {
            Ok(Message::GoOn) => Ok(()),
            _ => Err(Crashed),
        }
    }
}

impl<R: BufRead + Send, W: Write + Send> ConnectionLike for Wire<'_, R, W> {
    fn req_packed_command(&mut self, command: &[u8]) -> RedisResult<Value> {
        match self.ask(&Said::Send(command.into()))? {
            Message::Reply(reply) => redis::parse_redis_value(&reply),
            _ => Err(RedisError::from(io::Error::from(io::ErrorKind::TimedOut))),
        }
    }

    fn req_packed_commands(
        &mut self,
        _commands: &[u8],
        _offset: usize,
        _count: usize,
    ) -> RedisResult<Vec<Value>> {
        // Locks send one after the other.
        Err(RedisError::from(io::Error::from(io::ErrorKind::Unsupported)))
    }

    fn get_db(&self) -> i64 {
        0
    }

    fn check_connection(&mut self) -> bool {
        true
    }

    fn is_open(&self) -> bool {
        true
    }
}

fn unexpected() -> io::Error {
    io::Error::from(io::ErrorKind::UnexpectedEof)
}
