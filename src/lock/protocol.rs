//! What a lock protocol offers, and how its operations fail.

use super::{Acquisition, Identity, LockName, Payload, TokenSlot, Ttl};
use crate::clock::Clock;
use crate::gate::{Killed, Link};
use redis::{Cmd, FromRedisValue, RedisError};
use std::time::Duration;

/// Who calls: a connection, the time, and who asks.
pub struct Caller<'a> {
    /// The connection to DB 0.
    pub link: &'a mut dyn Link,
    /// The time that payloads carry.
    pub clock: &'a dyn Clock,
    /// The owner and the source of tokens.
    pub identity: &'a Identity,
    /// What the caller itself remembers of the lock, whoever it shares its controller with.
    pub own: &'a TokenSlot,
    /// Which of those who take part it is.
    pub who: Who,
}

/// One of those who take part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Who {
    /// Its position among the actors.
    pub actor: usize,
    /// A number that nobody else has, nor itself when it begins anew.
    pub life: u64,
}

/// A way to guard a file with a lock. The token slot is the controller's memory of its
/// acquisition, which all who share the controller share; an operation reads and writes it, or the
/// caller's own memory, as the protocol says.
pub trait Protocol: Send + Sync {
    /// The name that the command line and reports use.
    fn name(&self) -> &'static str;

    /// Tells the server beforehand what it needs to know.
    fn prepare(&self, _link: &mut dyn Link) -> Result<(), LockError> {
        Ok(())
    }

    /// Takes the lock for `ttl`, or fails at once with [`LockError::AlreadyLocked`]. `floor` is the
    /// highest fencing token that the resource has seen; a protocol that has them gives a higher
    /// one.
    fn acquire(
        &self,
        caller: &mut Caller<'_>,
        lock: &LockName,
        slot: &TokenSlot,
        ttl: Ttl,
        floor: u64,
    ) -> Result<Acquisition, LockError>;

    /// Gives the lock its full lease again.
    fn extend(
        &self,
        caller: &mut Caller<'_>,
        lock: &LockName,
        slot: &TokenSlot,
    ) -> Result<(), LockError>;

    /// Gives the lock back.
    fn release(
        &self,
        caller: &mut Caller<'_>,
        lock: &LockName,
        slot: &TokenSlot,
    ) -> Result<(), LockError>;

    /// Takes the lock away from whoever owns it now.
    fn force_release(
        &self,
        caller: &mut Caller<'_>,
        lock: &LockName,
        slot: &TokenSlot,
    ) -> Result<(), LockError>;

    /// Fails unless the protocol lets the caller write the file now.
    fn check_write(
        &self,
        caller: &mut Caller<'_>,
        lock: &LockName,
        slot: &TokenSlot,
    ) -> Result<(), LockError>;

    /// How often a holder that works extends its lease; never, if there is no renewal.
    fn renewal(&self, ttl: Ttl) -> Option<Duration>;

    /// How long to wait before the next try, after `failed` tries. `random` is a number that is
    /// different for each who waits.
    fn back_off(&self, failed: u32, random: u64) -> Duration;

    /// Whether the resource must check the fencing token and that nobody has written since the
    /// caller last read.
    fn is_fenced(&self) -> bool;

    /// Whether its commands are not known to [`effects`](fn@super::effects), so that what they did
    /// shows only in the lock key itself.
    fn is_foreign(&self) -> bool {
        false
    }

    /// The processes of those who take part, in their order, as payloads name them; none, where all
    /// are in this one.
    fn owners(&self) -> &[String] {
        &[]
    }

    /// Kills the process of one who takes part, where it has one of its own.
    fn kill(&self, _who: Who) {}

    /// Stops the process of one who takes part, where it has one of its own, until
    /// [`go_on`](Self::go_on).
    fn stop(&self, _who: Who) {}

    /// Lets a process go on that was stopped.
    fn go_on(&self, _who: Who) {}
}

/// Why an operation on a lock failed. Those of the legacy protocol speak the reference's words (contract,
/// section 3).
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else holds the lock: its owner, or its token where the payload names none.
    #[error("lock() called on an already locked nodb ({})", holder(owner, token))]
    AlreadyLocked {
        /// `hostname:pid`.
        owner: Option<String>,
        /// The holder's token, if the lock was still there when we looked.
        token: Option<String>,
    },
    /// A release by one who remembers no acquisition.
    #[error("unlock() called without owning the lock")]
    NotOwner,
    /// A release by one whose acquisition is not the one in Redis.
    #[error("unlock() called with non-matching token")]
    OtherToken,
    /// The caller is told that the lock it held is no longer its own.
    #[error("the lock was lost: {0}")]
    Lost(String),
    /// A write while nobody holds the lock.
    #[error("cannot dump to unlocked db")]
    NotLocked,
    /// A client of somebody else's failed.
    #[error("{0}")]
    Client(String),
    /// The caller was killed in the middle.
    #[error(transparent)]
    Killed(#[from] Killed),
    /// Redis failed.
    #[error("{command} {key}: {source}")]
    Redis {
        /// What was tried.
        command: &'static str,
        /// On which key.
        key: String,
        /// What came back.
        source: RedisError,
    },
}

impl LockError {
    /// The lock is held by the owner of this payload, if it was still there when we looked.
    pub(super) fn already_locked(holder: Option<&Payload>) -> Self {
        Self::AlreadyLocked {
            owner: holder.and_then(|payload| payload.owner()).map(str::to_string),
            token: holder.map(|payload| payload.token().as_str().to_string()),
        }
    }
}

fn holder(owner: &Option<String>, token: &Option<String>) -> String {
    match (owner, token) {
        (Some(owner), _) => format!("owner={owner}"),
        (None, Some(token)) => format!("token={token}"),
        (None, None) => "owner=unknown, gone meanwhile".into(),
    }
}

/// Sends a command that begins with its name and a key.
pub(super) fn ask<T: FromRedisValue>(
    link: &mut dyn Link,
    command: &'static str,
    key: &str,
    rest: impl FnOnce(&mut Cmd),
) -> Result<T, LockError> {
    let mut cmd = redis::cmd(command);
    cmd.arg(key);
    rest(&mut cmd);
    cmd.query(link).map_err(|source| LockError::Redis { command, key: key.into(), source })
}

/// Writes the mirror flag.
pub(super) fn set_flag(
    link: &mut dyn Link,
    lock: &LockName,
    locked: bool,
) -> Result<(), LockError> {
    let value = if locked { "true" } else { "false" };
    ask(link, "HSET", lock.runid(), |cmd| {
        cmd.arg(lock.flag()).arg(value);
    })
}
