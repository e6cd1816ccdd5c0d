//! From a history to findings: pure functions, one property a file, no I/O.
//!
//! A finding is made only of what the history proves: where two commands may have run in either
//! order, the harmless order is taken. A history without its end proves nothing about what is
//! missing, so it never gives a clean verdict ([`Checked::is_whole`]).

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What is looked for (design, "Words").
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Property {
    /// Two actors believe at once that they hold the lock.
    Overlap,
    /// A release deletes somebody else's lock.
    ForeignRelease,
    /// A write by one whose lock was gone overwrites its successor's.
    LostUpdate,
    /// An actor lost its lock and finished without being told.
    SilentLoss,
    /// No actor is left, and the lock is still there.
    StuckLock,
    /// Mirror flag and lock key disagree when nobody is active.
    FlagDrift,
    /// A controller remembers an acquisition that is not the one in Redis, when nobody is active.
    TokenDrift,
    /// A fencing token does not rise, or a write with a lower one than an earlier write succeeds.
    FencingOrder,
    /// An actor never gets the lock that another one gets again and again.
    Starvation,
    /// Actors wait for each other's locks in a circle.
    Deadlock,
}

/// Something that went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What went wrong.
    pub property: Property,
    /// The lock's position in the history's head.
    pub lock: usize,
    /// The actors' positions in the history's head: the one who did wrong or suffered first.
    pub actors: Vec<usize>,
    /// When, in nanoseconds since the run began.
    pub at: u64,
    /// What happened and how it came to that, in one sentence with names and times.
    pub text: String,
}

/// How fairly one lock was given out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fairness {
    /// The lock's position in the history's head.
    pub lock: usize,
    /// How often each actor got it, by position in the history's head.
    pub acquisitions: Vec<u64>,
    /// How long those who got it had waited: half of them at most this long.
    pub wait_p50: Duration,
    /// 99 of 100 at most this long.
    pub wait_p99: Duration,
    /// The longest wait.
    pub wait_max: Duration,
}

/// What the checkers say of a history.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// What went wrong, by time.
    pub findings: Vec<Finding>,
    /// How fairly each lock was given out.
    pub fairness: Vec<Fairness>,
    /// Whether the history has its beginning, the end of every actor, and its own end. If not, a
    /// property that was not found may still have been violated.
    pub is_whole: bool,
}
