//! What a lock protocol offers, and how its operations fail.

use super::{Acquisition, Identity, LockName, Payload, TokenSlot, Ttl};
use crate::intercept::{Crashed, Link};
use lock_history::check::Property;
use lock_history::history::Verb;
use redis::{Cmd, FromRedisValue, RedisError};
use redis_sim::clock::Clock;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// The caller: a connection, the time, and its identity.
pub struct Caller<'a> {
    /// The connection to DB 0.
    pub link: &'a mut dyn Link,
    /// The time that payloads carry.
    pub clock: &'a dyn Clock,
    /// The owner and the source of tokens.
    pub identity: &'a Identity,
    /// What the caller itself remembers of the lock, with or without a shared controller.
    pub own: &'a TokenSlot,
}

impl Caller<'_> {
    /// The context of an operation on this lock. `slot` is the controller's memory of its
    /// acquisition, which all users of the controller share.
    pub fn at<'b>(&'b mut self, lock: &'b LockName, slot: &'b TokenSlot) -> Context<'b> {
        let Self { link, clock, identity, own } = self;
        Context { link: *link, clock: *clock, identity, own, lock, slot }
    }
}

/// What an operation on a lock works with.
pub struct Context<'a> {
    /// The connection to DB 0.
    pub link: &'a mut dyn Link,
    /// The time that payloads carry.
    pub clock: &'a dyn Clock,
    /// The owner and the source of tokens.
    pub identity: &'a Identity,
    /// The lock.
    pub lock: &'a LockName,
    /// What the caller itself remembers of its acquisition.
    pub own: &'a TokenSlot,
    /// What the controller remembers of its acquisition.
    pub slot: &'a TokenSlot,
}

/// What an operation on a lock gives.
pub type Result<T = (), E = LockError> = std::result::Result<T, E>;

/// A way to guard a file with a lock. An operation reads and writes the memory of the caller, or that
/// of its controller, as the protocol says.
pub trait LockProtocol: Send + Sync {
    /// The name that the command line and reports use.
    fn name(&self) -> &str;

    /// Prepares the server for the protocol.
    ///
    /// # Errors
    ///
    /// [`LockError::Redis`] if the server fails.
    fn prepare(&self, _link: &mut dyn Link) -> Result {
        Ok(())
    }

    /// Takes the lock for `ttl`, or fails at once with [`LockError::AlreadyLocked`]. `floor` is the
    /// highest fencing token that the resource has seen; a protocol that has them gives a higher
    /// one.
    ///
    /// # Errors
    ///
    /// [`LockError::AlreadyLocked`] if the lock is held, [`LockError::Lost`] if the caller learns
    /// here that it had lost it, and [`LockError::Redis`] if a command fails: the lock may have
    /// been taken then.
    fn acquire(&self, at: &mut Context<'_>, ttl: Ttl, floor: u64) -> Result<Acquisition>;

    /// Gives the lock its full lease again.
    ///
    /// # Errors
    ///
    /// [`LockError::NotOwner`] if the caller remembers no acquisition, [`LockError::Lost`] if the
    /// protocol finds that the lock was lost, [`LockError::Redis`] if a command fails.
    fn extend(&self, at: &mut Context<'_>) -> Result;

    /// Releases the lock.
    ///
    /// # Errors
    ///
    /// [`LockError::NotOwner`], [`LockError::OtherToken`] or [`LockError::Lost`] if the lock is not
    /// the caller's, [`LockError::Redis`] if a command fails: the lock may have been released then.
    fn release(&self, at: &mut Context<'_>) -> Result;

    /// Releases the lock, even if another client owns it now.
    ///
    /// # Errors
    ///
    /// [`LockError::OtherToken`] if a protocol that compares tokens finds a new owner in between,
    /// [`LockError::Redis`] if a command fails, [`LockError::Client`] if a client from outside
    /// can't do it.
    fn force_release(&self, at: &mut Context<'_>) -> Result;

    /// Fails unless the protocol lets the caller write the file now.
    ///
    /// # Errors
    ///
    /// [`LockError::NotLocked`], [`LockError::NotOwner`] or [`LockError::Lost`] if the protocol
    /// forbids the write, [`LockError::Redis`] if a command fails.
    fn check_write(&self, at: &mut Context<'_>) -> Result;

    /// Does what a client from outside has an operation of its own for, and says whether its answer is yes.
    ///
    /// # Errors
    ///
    /// [`LockError::Client`] if the client fails.
    fn does(&self, _at: &mut Context<'_>, _verb: &Verb) -> Result<Option<bool>> {
        Ok(None)
    }

    /// The name of the command that an acquire sends first, in capitals. `GET` is none that takes the lock.
    fn first_command(&self) -> &str;

    /// What it is made to rule out. A scenario file that says what is found, and names such a
    /// property for this protocol nowhere, expects that a run under it is free of the property.
    /// Explorations that state no expectation look for [`Property::RULED_OUT`] under every protocol.
    fn rules_out(&self) -> &[Property] {
        &[]
    }

    /// How often a holder that works extends its lease; never, if there is no renewal.
    fn renewal(&self, _ttl: Ttl) -> Option<Duration> {
        None
    }

    /// How long to wait before the next try, after `failed` tries. `random` is a number that is
    /// different for each waiter.
    fn back_off(&self, _failed: u32, _random: u64) -> Duration {
        Duration::from_millis(100)
    }

    /// What the resource checks before it is written.
    fn write_guard(&self) -> WriteGuard {
        WriteGuard::None
    }

    /// Whether its commands are not known to [`effects`](fn@super::effects), so that what they did
    /// shows only in the lock key itself.
    fn is_foreign(&self) -> bool {
        false
    }
}

/// What a resource checks before it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteGuard {
    /// Nothing.
    None,
    /// That there was no write since the caller last read. Another write may come between the check and
    /// the write.
    Signature,
    /// The same and that no higher fencing token was seen, in one step with the write.
    Fence,
}

/// Protocols are distinguished by their names.
impl PartialEq for dyn LockProtocol {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl fmt::Debug for dyn LockProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why an operation on a lock failed. Those of the legacy protocol speak the reference's words (contract,
/// section 3).
#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockError {
    /// Another owner holds the lock: the owner, or its token where the payload names none.
    #[error("lock() called on an already locked nodb ({})", holder(owner, token))]
    AlreadyLocked {
        /// `hostname:pid`.
        owner: Option<String>,
        /// The holder's token, if the lock was still there when we looked.
        token: Option<String>,
    },
    /// A release by a caller that remembers no acquisition.
    #[error("unlock() called without owning the lock")]
    NotOwner,
    /// A release by one whose acquisition is not the one in Redis.
    #[error("unlock() called with non-matching token")]
    OtherToken,
    /// The caller is notified that the lock it held is no longer its own.
    #[error("the lock was lost: {0}")]
    Lost(String),
    /// A write while the lock is not held.
    #[error("cannot dump to unlocked db")]
    NotLocked,
    /// An acquire while the run is replaced.
    #[error("lock() refused: the run is being replaced")]
    UnderReplacement,
    /// A release whose lock was gone, or another owner's, when it was to be deleted.
    #[error("unlock() lost ownership before release")]
    LostBeforeRelease,
    /// A write by a caller that remembers no acquisition.
    #[error("cannot dump without owning the lock")]
    WriteNotOwner,
    /// A write by one whose acquisition is not the one in Redis.
    #[error("cannot dump with non-matching lock token")]
    WriteOtherToken,
    /// A client from outside failed.
    #[error("{0}")]
    Client(String),
    /// The caller crashed in the middle.
    #[error(transparent)]
    #[serde(skip)]
    Crashed(#[from] Crashed),
    /// Redis failed.
    #[error("{command} {key}: {source}")]
    #[serde(skip)]
    Redis {
        /// What was tried.
        #[serde(skip)]
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

    /// What a command on a key failed with.
    pub(crate) fn redis(command: &'static str, key: &str) -> impl Fn(RedisError) -> Self {
        move |source| Self::Redis { command, key: key.into(), source }
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
) -> Result<T> {
    let mut cmd = redis::cmd(command);
    cmd.arg(key);
    rest(&mut cmd);
    cmd.query(link).map_err(LockError::redis(command, key))
}

/// Writes the mirror flag.
pub(super) fn set_flag(link: &mut dyn Link, lock: &LockName, locked: bool) -> Result {
    let value = if locked { "true" } else { "false" };
    ask(link, "HSET", lock.runid(), |cmd| {
        cmd.arg(lock.flag()).arg(value);
    })
}
