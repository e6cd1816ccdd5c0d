//! What happened: every step of every actor, the Redis commands under it with their replies, and
//! what they did to the locks.
//!
//! Each actor writes into a buffer of its own while the run lasts; the buffers are merged at the
//! end, so that recording does not order what should race. A history is all that a checker sees.

mod file;
mod verb;

pub use file::{FileError, SCHEMA};
pub use verb::Verb;

use redis_sim::clock::Clock;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// When something happened.
///
/// `order` comes from one counter for the whole run, taken before a command is sent and after its
/// reply came: of two commands whose spans of `order` don't overlap, the earlier one ran earlier.
/// Where they overlap, only the replies can decide.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Moment {
    /// The position in the run's one sequence.
    pub order: u64,
    /// Time since the run began, in nanoseconds.
    pub at: u64,
}

impl Moment {
    /// Time since the run began.
    pub fn time(self) -> Duration {
        Duration::from_nanos(self.at)
    }
}

/// The counter from which all events of a run take their order.
#[derive(Debug, Clone, Default)]
pub struct Sequence(Arc<AtomicU64>);

impl Sequence {
    /// Now, as the next in the sequence.
    pub fn moment(&self, clock: &dyn Clock) -> Moment {
        let order = self.0.fetch_add(1, Ordering::Relaxed);
        Moment { order, at: u64::try_from(clock.now().as_nanos()).unwrap_or(u64::MAX) }
    }
}

/// A run as it happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// Whose history it is.
    pub head: Head,
    /// All events, by [`Moment::order`].
    pub events: Vec<Event>,
    /// Whether the history has its end: a recording that was cut off proves nothing.
    pub is_complete: bool,
}

/// Whose history it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The scenario's name.
    pub scenario: String,
    /// The lock protocol's name.
    pub protocol: String,
    /// The actors' names; events speak of them by position.
    pub actors: Vec<String>,
    /// The lock keys; events speak of them by position.
    pub locks: Vec<String>,
    /// How actors share the locks, where these exclude not all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sharing: Option<Sharing>,
    /// The actors, by position, that were never seen: they stand for the holders of locks that were held before
    /// it began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub never_seen: Vec<usize>,
    /// The actors, by position, that kept their connections from lock to lock, and whose connections were closed
    /// when it ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<usize>,
    /// The actors, by position, that are connections of a pool or may be: what their clients did not do over them,
    /// they may have done over other ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pooled: Vec<usize>,
    /// When it began, in microseconds since 1970, where it was recorded on a wall clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_us: Option<u64>,
    /// Why the history is known to be incomplete, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incomplete: Vec<String>,
}

impl Head {
    /// The protocol of a history that was recorded from outside, whatever its clients spoke.
    pub const OBSERVED: &str = "observed";

    /// Whether it was recorded from outside.
    pub fn is_recording(&self) -> bool {
        self.protocol == Self::OBSERVED
    }
}

/// How actors share a lock.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sharing {
    /// This many actors may hold it at once; 0: any number.
    Permits(u32),
    /// These actors, by position, are readers, which share it with each other; all others are writers.
    Readers(Vec<usize>),
}

impl Sharing {
    /// Whether an actor may hold a lock beside these.
    pub fn allows(&self, newcomer: usize, holders: &[usize]) -> bool {
        match self {
            Self::Permits(0) => true,
            Self::Permits(permits) => holders.len() < *permits as usize,
            Self::Readers(readers) => {
                let reads = |actor: &usize| readers.contains(actor);
                holders.is_empty() || reads(&newcomer) && holders.iter().all(reads)
            }
        }
    }
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When; for a command, when its reply came.
    #[serde(flatten)]
    pub moment: Moment,
    /// The actor; none for server faults and for the last snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<usize>,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// The actor began.
    Started,
    /// A step began.
    Invoked(Operation),
    /// A step ended well.
    Completed(Operation),
    /// A step failed.
    Failed {
        /// The step.
        #[serde(flatten)]
        operation: Operation,
        /// Why.
        failure: Failure,
    },
    /// A Redis command and its reply.
    Command(Command),
    /// Something was done to an actor or to the server on purpose.
    Fault {
        /// What, in words.
        what: String,
        /// What it did to the locks.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        effects: Vec<Effect>,
        /// The lock whose lease expired by itself, if that is what it was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lease_of: Option<usize>,
        /// Whether that lease is a time in the value of the key, which is still there.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        in_value: bool,
        /// The key that is no lock's and whose TTL ended by itself, if that is what it was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expired_key: Option<String>,
        /// Whether the server restarted and lost what it held.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_restart: bool,
        /// By how much the server's clock jumped ahead, in nanoseconds, if that is what it was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clock_jump: Option<u64>,
    },
    /// The actor ended.
    Ended {
        /// What ended it, if it did not end well.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Failure>,
    },
    /// How a lock was left when all actors had ended.
    Left(Left),
}

fn ttl_ended(key: &str) -> String {
    format!("the TTL of {key} ended")
}

impl EventKind {
    /// Something that was done on purpose.
    pub fn fault(what: String, effects: Vec<Effect>) -> Self {
        Self::Fault {
            what,
            effects,
            lease_of: None,
            in_value: false,
            expired_key: None,
            is_restart: false,
            clock_jump: None,
        }
    }

    /// The server's clock jumped ahead by this time.
    pub fn clock_jumped(what: String, by: Duration) -> Self {
        Self::Fault {
            what,
            effects: Vec::new(),
            lease_of: None,
            in_value: false,
            expired_key: None,
            is_restart: false,
            clock_jump: Some(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)),
        }
    }

    /// The server restarted, and lost these locks.
    pub fn restart(what: String, effects: Vec<Effect>) -> Self {
        Self::Fault {
            what,
            effects,
            lease_of: None,
            in_value: false,
            expired_key: None,
            is_restart: true,
            clock_jump: None,
        }
    }

    /// The lease of a lock ended by itself. `token` is that of the acquisition, where it is known.
    pub fn lease_expired(lock: usize, key: &str, token: Option<String>) -> Self {
        Self::lease_over(lock, ttl_ended(key), token, false)
    }

    /// The lease of a lock that is a time in the value of its key is over. The key stays.
    pub fn lease_in_value_over(lock: usize, key: &str, token: Option<String>) -> Self {
        Self::lease_over(
            lock,
            format!("the lease stored in {key} expires (the key stays)"),
            token,
            true,
        )
    }

    fn lease_over(lock: usize, what: String, token: Option<String>, in_value: bool) -> Self {
        let effects = vec![Effect { lock, change: Change::Deleted { token } }];
        let (lease_of, expired_key, clock_jump) = (Some(lock), None, None);
        let is_restart = false;
        Self::Fault { what, effects, lease_of, in_value, expired_key, is_restart, clock_jump }
    }

    /// The TTL of a key that is no lock's ended by itself.
    pub fn key_expired(key: &str) -> Self {
        let (what, expired_key) = (ttl_ended(key), Some(key.to_owned()));
        let (effects, lease_of, clock_jump) = (Vec::new(), None, None);
        let (in_value, is_restart) = (false, false);
        Self::Fault { what, effects, lease_of, in_value, expired_key, is_restart, clock_jump }
    }

    /// What it did to the locks.
    pub fn effects(&self) -> &[Effect] {
        match self {
            Self::Command(command) => &command.effects,
            Self::Fault { effects, .. } => effects,
            _ => &[],
        }
    }
}

/// A step, or a part of one (`locked` is made of several).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// The position among the steps that the actor took, from 0; `Invoked` and what ends it agree.
    pub number: usize,
    /// What kind of step it is (`acquire`, `dump`, ...).
    pub verb: Verb,
    /// Its name, if the scenario gives it one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Which lock it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<usize>,
    /// The lease that an `acquire` asks for, in nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<u64>,
    /// The token of the acquisition that the actor believes to hold when the step ends, or held
    /// when a release began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// That acquisition's fencing token, where the protocol has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<u64>,
    /// What a completed `dump` wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write: Option<Write>,
}

/// A write of a state file. Revisions count the file's contents in the order in which they came
/// about; 0 is one that we did not see come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write {
    /// The revision that the writer had read.
    pub based_on: u64,
    /// The revision that was there and is overwritten.
    pub replaced: u64,
    /// The new revision.
    pub wrote: u64,
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What sort of failure it is.
    pub kind: FailureKind,
    /// What a person reads: the lock library's words.
    pub message: String,
}

impl Failure {
    /// Whether the lock library said no, and nothing broke.
    pub fn is_about_the_lock(&self) -> bool {
        matches!(
            self.kind,
            FailureKind::AlreadyLocked | FailureKind::Refused | FailureKind::LostLock
        )
    }

    /// Whether an actor that expects failures can go on after this one: the lock library said no,
    /// or the scenario wanted it.
    pub fn can_be_survived(&self) -> bool {
        self.is_about_the_lock() || self.kind == FailureKind::Injected
    }
}

/// The sorts of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// Another owner holds the lock.
    AlreadyLocked,
    /// The actor is notified that it no longer holds the lock.
    LostLock,
    /// The lock library refused for another reason (no token, read-only).
    Refused,
    /// The actor crashed, as the scenario says.
    Crashed,
    /// A fault that the scenario injects: an error reply, or no reply.
    Injected,
    /// Redis or the disk failed.
    Environment,
    /// Ctrl-C, SIGTERM.
    Interrupted,
    /// The run's deadline passed.
    TimedOut,
}

/// A Redis command. It ran on the server somewhere between `sent` and the event's own moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// When it was sent.
    pub sent: Moment,
    /// The command and its arguments as a person would type them, shortened.
    pub text: String,
    /// The reply, shortened.
    pub reply: String,
    /// What it did to the locks, in its own order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<Effect>,
    /// The verb of the step that it was sent in, if its sender had given it up before it ran, and
    /// never heard of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late: Option<Verb>,
}

/// What a command did to a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// Which lock.
    pub lock: usize,
    /// What was done.
    #[serde(flatten)]
    pub change: Change,
}

/// The lease, in nanoseconds, of an [extended](Change::Extended) lock that does not expire any more: a
/// year, which outlives every run.
pub const NO_END: u64 = 365 * 24 * 3600 * 1_000_000_000;

/// What was done to a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "did", rename_all = "snake_case")]
pub enum Change {
    /// The lock key was free, and now holds this token.
    Took {
        /// Whose acquisition.
        token: String,
        /// Its fencing token.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fence: Option<u64>,
        /// The lease in nanoseconds; none if the key does not expire.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lease: Option<u64>,
    },
    /// The lock key was written without regard to its holder.
    Overwrote {
        /// The token that it now holds; empty, if it holds something else.
        token: String,
        /// The lease in nanoseconds; none if it keeps the one that it had.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lease: Option<u64>,
    },
    /// An acquire found the lock taken.
    Refused,
    /// The lock key was read.
    Saw {
        /// The token that it held; none if it was free.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<String>,
    },
    /// The lease was set again, counted from now.
    Extended {
        /// The lease in nanoseconds; [`NO_END`] or more if the TTL was removed.
        lease: u64,
    },
    /// The lock key was there, and is gone.
    Deleted {
        /// Whose acquisition it was, where that is certain: the command itself made sure of it, or the
        /// key was looked at right before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<String>,
    },
    /// The mirror flag was set.
    Flagged {
        /// To what.
        locked: bool,
    },
}

/// How a lock was left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Which lock.
    pub lock: usize,
    /// The token that the lock key holds; none if it is free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// What is left of its lease in milliseconds; -1 if it has none, -2 if the lock is free.
    pub ttl_ms: i64,
    /// Whether the mirror flag says that it is locked.
    pub flag: bool,
    /// The tokens that controllers still remember.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remembered: Vec<String>,
    /// Whether a fresh client could acquire the lock when all leases were over, if that was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acquirable: Option<bool>,
    /// Whether a client that is none of the actors, and lives, holds it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held_elsewhere: bool,
}

impl History {
    /// Merges what each actor wrote.
    pub fn merge(head: Head, buffers: Vec<Vec<Event>>) -> Self {
        let mut events: Vec<Event> = buffers.into_iter().flatten().collect();
        events.sort_by_key(|event| event.moment);
        Self { head, events, is_complete: true }
    }
}
