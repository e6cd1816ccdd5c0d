//! What happened: every step of every actor, when it was invoked and how it ended.
//!
//! Each actor writes into a buffer of its own while the run lasts; the buffers are merged at the
//! end, so that recording does not order what should race.

use std::time::Duration;

/// One moment in the life of an actor.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Time since the run began.
    pub at: Duration,
    /// The actor's position in the plan.
    pub actor: usize,
    /// What happened.
    pub kind: EventKind,
}

/// What happened at that moment.
#[derive(Debug, Clone, PartialEq)]
pub enum EventKind {
    /// The actor began.
    Started,
    /// A step began.
    Invoked(StepId),
    /// A step ended well.
    Completed(StepId),
    /// A step failed.
    Failed(StepId, Failure),
    /// The actor ended: well, or with the failure that ended it.
    Ended(Result<(), Failure>),
}

/// Which step an event speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepId {
    /// The step's position among the steps that its actor took, from 0.
    pub number: usize,
    /// What kind of step it is (`acquire`, `locked`, ...).
    pub verb: &'static str,
    /// Its name, if the scenario gives it one.
    pub name: Option<String>,
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What sort of failure it is.
    pub kind: FailureKind,
    /// What a person reads: the lock library's words.
    pub message: String,
}

impl Failure {
    /// Whether the lock library said no, and nothing broke.
    pub fn is_about_the_lock(&self) -> bool {
        matches!(self.kind, FailureKind::AlreadyLocked | FailureKind::Refused)
    }
}

/// The sorts of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// Somebody else holds the lock.
    AlreadyLocked,
    /// The lock library refused for another reason (not ours, not locked, read-only).
    Refused,
    /// Redis or the disk failed.
    Environment,
    /// Ctrl-C, SIGTERM.
    Interrupted,
    /// The run's deadline passed.
    TimedOut,
}

/// All events of a run, in order of time; those of one moment in order of actor.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    events: Vec<Event>,
}

impl History {
    /// Merges what each actor wrote.
    pub fn merge(buffers: Vec<Vec<Event>>) -> Self {
        let mut events: Vec<Event> = buffers.into_iter().flatten().collect();
        events.sort_by_key(|event| (event.at, event.actor));
        Self { events }
    }

    /// The events in order.
    pub fn events(&self) -> &[Event] {
        &self.events
    }
}
