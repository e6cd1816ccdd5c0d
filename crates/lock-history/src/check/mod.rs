//! From a history to findings: pure functions, one property a file, no I/O.
//!
//! A finding is made only of what the history proves: where two commands may have run in either
//! order, the harmless order is taken. A history without its end proves nothing about what is
//! missing, so it never gives a clean verdict ([`Checked::is_complete`]); one that contradicts itself
//! (its order falls, a reply came before its command, an event speaks of a lock or an actor that
//! the head doesn't have, an actor acts before it started) proves nothing at all.
//!
//! What is proved rests on two promises of the recorder: every change to a lock is in the history,
//! also where the reply was withheld from the actor; and an actor's acquires and releases of one
//! lock don't overlap each other. Where a history ends within a step, what that step did last is
//! unknown, and nothing is concluded from its not being there.
//!
//! `trace` says which step each event belongs to, `tenure` whose a lock was and until when,
//! `beliefs` which actor thought so; each property is judged from these, in a file of its own. All
//! of it takes time in proportion to the history's length (times its logarithm, where it sorts).
//! `possession` shows the first two to code that draws them, and `state` what keys and flags hold.
//!
//! `monitor` judges the same event by event, with as little memory as that needs, where nothing
//! overlaps: for the exploration of orderings.
//!
//! # Why there are two readers
//!
//! Where commands overlap, a property can't be judged when its event comes. Whose tenure a deletion
//! ended is known when all acquires are read whose commands were sent by then; whether a lease was over
//! depends on extensions that come later; a wait is one when it was refused again. So `foreign`,
//! `silent_loss`, `lost_update`, `fencing_order` and `deadlock` read intervals, after the history. The
//! monitor can't wait: each state of an exploration has a copy, equal copies are merged, and what it
//! remembers is a few bits for each actor and lock. An `overlap` depends on the order of events alone, but
//! a finding names both beliefs with their ends, and a memory of which beliefs met would keep states
//! apart that have the same future.
//!
//! What doesn't depend on that is stated once, and both follow it: which beliefs a step or an actor
//! ends and which reply may have notified the actor of a loss (`beliefs`), what may change only its
//! own actor's lock (`foreign`), which actor holds a lock for certain (`double_grant`), which
//! end of an acquire shows that it waited (`deadlock`), and how a lock must not be left (`stuck_lock`,
//! `unavailable`, `flag_drift`, `token_drift`). The tests compare the reader of histories with the
//! definitions, and the monitor with it.
//!
//! `registered` has the judges that other crates add.
//!
//! What is said of findings is decided here, too: `expectations` compares a run with what was
//! expected of it, `verdict` and `orderings` give the verdict on runs and on explorations.

mod access;
mod beliefs;
mod deadlock;
mod double_grant;
mod expectations;
mod fencing_order;
mod findings;
mod flag_drift;
mod foreign;
mod holds;
mod lease_too_short;
mod lease_use;
mod leases;
mod lost_update;
mod monitor;
mod orderings;
mod overlap;
mod possession;
mod registered;
mod sentence;
mod silent_loss;
mod starvation;
mod state;
mod stuck_lock;
mod tenure;
mod token_drift;
mod trace;
mod unavailable;
mod verdict;
mod words;

pub use expectations::{ActorEnd, Expectation, Expected, JudgedRun, Status, Taken};
pub use lease_use::{LeaseUse, Shares};
pub use monitor::{Monitor, Properties, Tried};
pub use orderings::Judged;
pub use possession::{Belief, How, Possessions, Tenure, TenureEnd, possessions};
pub use registered::{Judge, Violation, register};
pub use sentence::{Place, Sentence};
pub use state::{Expiry, Key, LockState, LockStates};
pub use verdict::{Ending, Ruling, Verdict};

use crate::history::{Head, History, Moment};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::time::Duration;

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Property {
    /// Two actors hold the lock for certain at the same moment.
    DoubleGrant,
    /// Two actors believe at once that they hold the lock.
    Overlap,
    /// A command of one actor takes another actor's lock away.
    ForeignRelease,
    /// A command of one actor replaces the value of another actor's lock.
    ForeignOverwrite,
    /// A command of one actor changes the lease of another actor's lock.
    ForeignExtend,
    /// A write by one whose lock was gone overwrites its successor's.
    LostUpdate,
    /// An actor lost its lock and finished without being notified.
    SilentLoss,
    /// No actor is left, and the lock is still there.
    StuckLock,
    /// The lock is free, and a fresh client can't acquire it.
    Unavailable,
    /// Mirror flag and lock key disagree when no actor is active, or while an actor works that holds the
    /// lock.
    FlagDrift,
    /// A controller remembers an acquisition that is not the one in Redis, when no actor is active.
    TokenDrift,
    /// A fencing token does not rise, or a write with a lower one than an earlier write succeeds.
    FencingOrder,
    /// An actor never gets the lock that another one gets again and again.
    Starvation,
    /// Actors wait for each other's locks in a circle.
    Deadlock,
    /// Leases expired while their holders still held on.
    LeaseTooShort,
    /// That of a [registered](register) judge, by its number.
    Registered(u8),
}

impl Property {
    /// All that are built in.
    pub const ALL: [Property; 15] = [
        Property::DoubleGrant,
        Property::Overlap,
        Property::ForeignRelease,
        Property::ForeignOverwrite,
        Property::ForeignExtend,
        Property::LostUpdate,
        Property::SilentLoss,
        Property::StuckLock,
        Property::Unavailable,
        Property::FlagDrift,
        Property::TokenDrift,
        Property::FencingOrder,
        Property::Starvation,
        Property::Deadlock,
        Property::LeaseTooShort,
    ];

    /// What a good protocol rules out besides double grants, however its holders are paused.
    pub const RULED_OUT: [Property; 6] = [
        Property::ForeignRelease,
        Property::ForeignOverwrite,
        Property::ForeignExtend,
        Property::LostUpdate,
        Property::SilentLoss,
        Property::FlagDrift,
    ];

    /// What a command does to another actor's lock.
    pub const FOREIGN: [Property; 3] =
        [Property::ForeignRelease, Property::ForeignOverwrite, Property::ForeignExtend];

    /// All of them: those that are built in, then those of registered judges.
    pub fn all() -> impl Iterator<Item = Property> {
        Self::ALL.into_iter().chain(registered::properties())
    }

    /// The one of this word.
    pub fn named(word: &str) -> Option<Property> {
        Self::all().find(|property| property.word() == word)
    }

    /// Those that the exploration of all orderings can judge, in the order of [`Property::all`].
    pub fn explored() -> impl Iterator<Item = Property> {
        Self::all().filter(|property| property.not_explored().is_none())
    }

    /// Why an exploration can't judge it, if it can't.
    pub fn not_explored(self) -> Option<&'static str> {
        match self {
            Property::Starvation => {
                Some("is not explored: it is a matter of how long, not of an ordering")
            }
            Property::LeaseTooShort => {
                Some("is judged of recordings: it is a matter of how long, not of an ordering")
            }
            Property::DoubleGrant
            | Property::Overlap
            | Property::ForeignRelease
            | Property::ForeignOverwrite
            | Property::ForeignExtend
            | Property::LostUpdate
            | Property::SilentLoss
            | Property::StuckLock
            | Property::Unavailable
            | Property::FlagDrift
            | Property::TokenDrift
            | Property::FencingOrder
            | Property::Deadlock
            | Property::Registered(_) => None,
        }
    }

    /// Why a history with this head can't show it, if it can't.
    pub fn not_judged(self, head: &Head) -> Option<&'static str> {
        match self {
            Property::LostUpdate | Property::Unavailable | Property::TokenDrift
                if head.is_recording() =>
            {
                Some("a recording sees only the commands on locks")
            }
            Property::Starvation if !head.pooled.is_empty() => {
                Some("connections may be of a pool, and which client waited is unknown")
            }
            _ => None,
        }
    }

    /// Whether it is judged of locks that actors share. Such a lock has no single owner.
    pub fn is_of_shared_locks(self) -> bool {
        match self {
            Property::DoubleGrant
            | Property::StuckLock
            | Property::Unavailable
            | Property::Registered(_) => true,
            Property::Overlap
            | Property::ForeignRelease
            | Property::ForeignOverwrite
            | Property::ForeignExtend
            | Property::LostUpdate
            | Property::SilentLoss
            | Property::FlagDrift
            | Property::TokenDrift
            | Property::FencingOrder
            | Property::Starvation
            | Property::Deadlock
            | Property::LeaseTooShort => false,
        }
    }

    /// The word that reports and scenario files use.
    pub fn word(self) -> &'static str {
        match self {
            Property::DoubleGrant => "double_grant",
            Property::Overlap => "overlap",
            Property::ForeignRelease => "foreign_release",
            Property::ForeignOverwrite => "foreign_overwrite",
            Property::ForeignExtend => "foreign_extend",
            Property::LostUpdate => "lost_update",
            Property::SilentLoss => "silent_loss",
            Property::StuckLock => "stuck_lock",
            Property::Unavailable => "unavailable",
            Property::FlagDrift => "flag_drift",
            Property::TokenDrift => "token_drift",
            Property::FencingOrder => "fencing_order",
            Property::Starvation => "starvation",
            Property::Deadlock => "deadlock",
            Property::LeaseTooShort => "lease_too_short",
            Property::Registered(number) => registered::word(number),
        }
    }
}

impl Serialize for Property {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl<'de> Deserialize<'de> for Property {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        Property::named(&word)
            .ok_or_else(|| serde::de::Error::custom(format!("{word:?} is no property")))
    }
}

/// Something that went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What went wrong.
    pub property: Property,
    /// The lock's position in the history's head.
    pub lock: usize,
    /// The actors' positions in the history's head: the one that did wrong or suffered first.
    pub actors: Vec<usize>,
    /// When, in nanoseconds since the run began.
    pub at: u64,
    /// The event that completes it, by its place in the order.
    pub order: u64,
    /// What happened and how it came to that, with names and moments.
    pub text: Sentence,
    /// The property of the finding on the same lock that it follows from, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Property>,
}

impl Finding {
    /// The moment of the event that completes it.
    pub fn moment(&self) -> Moment {
        Moment { order: self.order, at: self.at }
    }
}

/// How fairly one lock was given out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fairness {
    /// The lock's position in the history's head.
    pub lock: usize,
    /// How often each actor got it, by position in the history's head.
    pub acquisitions: Vec<u64>,
    /// The p50 of the waits of successful acquires.
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
    /// How the leases of each lock were used.
    pub lease_use: Vec<LeaseUse>,
    /// Whether the history has its beginning, the end of every actor, and its own end. If not, a
    /// property that was not found may still have been violated.
    pub is_complete: bool,
    /// How many findings are not listed: of one property on one lock, the first thousand are.
    pub omitted: u64,
}

/// Judges a history.
pub fn check(history: &History) -> Checked {
    let trace = trace::Trace::read(history);
    let locks = tenure::read(&trace);
    let beliefs = beliefs::read(&trace, &locks);
    let case = Case { trace: &trace, locks: &locks, beliefs: &beliefs };
    let mut findings = findings::Findings::default();
    let lease_use = lease_use::measure(&case);
    let expired = lease_too_short::check(&case, &lease_use, &mut findings);
    double_grant::check(&case, &mut findings);
    overlap::check(&case, &expired, &mut findings);
    foreign::check(&case, &mut findings);
    lost_update::check(&case, &mut findings);
    silent_loss::check(&case, &expired, &mut findings);
    stuck_lock::check(&case, &mut findings);
    unavailable::check(&case, &mut findings);
    flag_drift::check(&case, &mut findings);
    token_drift::check(&case, &mut findings);
    fencing_order::check(&case, &mut findings);
    let fairness = starvation::check(&case, &mut findings);
    let all_followed = deadlock::check(&case, &mut findings);
    registered::check(history, &mut findings);
    let every_lock_was_left = locks.iter().all(|lock| lock.left.is_some());
    let (mut findings, omitted) = findings.by_time();
    if trace.head.sharing.is_some() {
        findings.retain(|finding| finding.property.is_of_shared_locks());
    }
    let is_complete = trace.is_complete && every_lock_was_left && all_followed;
    Checked { findings, fairness, lease_use, is_complete, omitted }
}

/// What the properties are judged from.
struct Case<'a> {
    trace: &'a trace::Trace<'a>,
    locks: &'a [tenure::LockTrace<'a>],
    beliefs: &'a [beliefs::Belief],
}

impl<'a> Case<'a> {
    /// The belief that an acquire began.
    fn belief_of(&self, step: usize) -> Option<&'a beliefs::Belief> {
        let from = self.trace.steps.get(step)?.completed()?.moment.order;
        let first = self.beliefs.partition_point(|belief| belief.from.order < from);
        self.beliefs.get(first).filter(|belief| belief.step == step)
    }
}
