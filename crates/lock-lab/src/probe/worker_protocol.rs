//! What is said between an actor and its process: one JSON object a line, in both directions.

use crate::intercept::PausePoint;
use crate::lock::{Acquisition, LockError, Token, Ttl};
use redis::{ErrorKind, RedisError};
use serde::{Deserialize, Serialize};

/// An instruction to a process.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Message {
    /// To do something.
    Do(OperationCall),
    /// What the server replied, as on the wire.
    Reply(Vec<u8>),
    /// That no reply comes.
    NoReply,
    /// That it may touch what it was about to touch.
    GoOn,
}

/// What a process says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Said {
    /// It waits for an instruction.
    Ready,
    /// It sends this to the server.
    Send(Vec<u8>),
    /// It is about to touch local state.
    Pause(PausePoint),
    /// It is done.
    Done(Box<Done>),
}

/// An operation of the lock protocol, and what the actor remembers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct OperationCall {
    pub verb: Verb,
    pub runid: String,
    pub file: String,
    /// What the actor itself remembers.
    pub own: Option<Acquisition>,
    /// What its controller remembers.
    pub slot: Option<Acquisition>,
}

/// What is to be done.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verb {
    /// Take the lock, with this token.
    Acquire {
        token: Token,
        ttl: Ttl,
        floor: u64,
    },
    Extend,
    Release,
    ForceRelease,
    CheckWrite,
}

impl Verb {
    /// As the end of a sentence.
    pub fn words(&self) -> &'static str {
        match self {
            Verb::Acquire { .. } => "acquire the lock",
            Verb::Extend => "extend the lock",
            Verb::Release => "release the lock",
            Verb::ForceRelease => "release the lock by force",
            Verb::CheckWrite => "ask whether it may write",
        }
    }
}

/// The outcome, and what the actor remembers now.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Done {
    pub result: Result<Option<Acquisition>, Refused>,
    pub own: Option<Acquisition>,
    pub slot: Option<Acquisition>,
}

/// A failure. That of a command comes without the server's own error.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Refused {
    Lock(LockError),
    Redis { command: String, key: String, why: String },
}

impl From<LockError> for Refused {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Crashed(crashed) => Self::Lock(LockError::Client(crashed.to_string())),
            LockError::Redis { command, key, source } => {
                Self::Redis { command: command.into(), key, why: source.to_string() }
            }
            other => Self::Lock(other),
        }
    }
}

impl Refused {
    /// The failure as it would be here; `failure` is the last one of the server's.
    pub fn restored(self, failure: Option<RedisError>) -> LockError {
        match self {
            Self::Lock(error) => error,
            Self::Redis { command, key, why } => {
                let unclear = || RedisError::from((ErrorKind::UnexpectedReturnType, "reply", why));
                let source = failure.unwrap_or_else(unclear);
                LockError::Redis { command: known(&command), key, source }
            }
        }
    }
}

/// The command's name, as our locks have it.
fn known(command: &str) -> &'static str {
    let all = ["SET", "GET", "DEL", "HSET", "HGET", "EXPIRE", "EVALSHA", "EVAL"];
    all.into_iter().find(|known| *known == command).unwrap_or("redis")
}
