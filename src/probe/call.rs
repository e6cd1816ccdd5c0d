//! What is said between an actor and its process: one JSON object a line, in both directions.

use crate::gate::PausePoint;
use crate::lock::{Acquisition, LockError, Token, Ttl};
use redis::{ErrorKind, RedisError};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a process is told.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Told {
    /// To do something.
    Do(Call),
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
    /// It waits to be told something.
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
pub(super) struct Call {
    pub verb: Verb,
    pub runid: String,
    pub file: String,
    /// What the actor itself remembers.
    pub own: Option<Held>,
    /// What its controller remembers.
    pub slot: Option<Held>,
}

/// What is to be done.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verb {
    /// Take the lock, with this token.
    Acquire {
        token: String,
        ttl: u64,
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

/// What came of it, and what the actor remembers now.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Done {
    pub result: Result<Option<Held>, Refused>,
    pub own: Option<Held>,
    pub slot: Option<Held>,
}

/// An acquisition.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Held {
    token: String,
    fence: Option<u64>,
    ttl: u64,
}

/// A failure.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Refused {
    AlreadyLocked { owner: Option<String>, token: Option<String> },
    NotOwner,
    OtherToken,
    Lost(String),
    NotLocked,
    Client(String),
    Redis { command: String, key: String, why: String },
}

impl From<Acquisition> for Held {
    fn from(own: Acquisition) -> Self {
        let Acquisition { token, fence, ttl } = own;
        Self { token: token.as_str().into(), fence, ttl: ttl.seconds() }
    }
}

impl From<Held> for Acquisition {
    fn from(Held { token, fence, ttl }: Held) -> Self {
        Self { token: Token::from(token.as_str()), fence, ttl: lease(ttl) }
    }
}

/// A TTL of so many seconds.
pub(super) fn lease(seconds: u64) -> Ttl {
    Ttl::try_from(Duration::from_secs(seconds)).unwrap_or(Ttl::DEFAULT)
}

impl From<LockError> for Refused {
    fn from(error: LockError) -> Self {
        match error {
            LockError::AlreadyLocked { owner, token } => Self::AlreadyLocked { owner, token },
            LockError::NotOwner => Self::NotOwner,
            LockError::OtherToken => Self::OtherToken,
            LockError::Lost(why) => Self::Lost(why),
            LockError::NotLocked => Self::NotLocked,
            LockError::Client(what) => Self::Client(what),
            LockError::Killed(killed) => Self::Client(killed.to_string()),
            LockError::Redis { command, key, source } => {
                Self::Redis { command: command.into(), key, why: source.to_string() }
            }
        }
    }
}

impl Refused {
    /// The failure as it would be here; `failure` is the last one of the server's.
    pub fn restored(self, failure: Option<RedisError>) -> LockError {
        match self {
            Self::AlreadyLocked { owner, token } => LockError::AlreadyLocked { owner, token },
            Self::NotOwner => LockError::NotOwner,
            Self::OtherToken => LockError::OtherToken,
            Self::Lost(why) => LockError::Lost(why),
            Self::NotLocked => LockError::NotLocked,
            Self::Client(what) => LockError::Client(what),
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
    let all = ["SET", "GET", "DEL", "HSET", "HGET", "EXPIRE", "EVALSHA"];
    all.into_iter().find(|known| *known == command).unwrap_or("redis")
}
