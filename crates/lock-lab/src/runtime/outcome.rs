//! The outcome of a run.

use crate::lock::{Snapshot, Token};
use crate::scenario::Plan;
use lock_history::check::{Ending, JudgedRun, Ruling, Taken};
use lock_history::history::{EventKind, FailureKind, History};
use std::time::Duration;

/// A snapshot and where it was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledSnapshot {
    /// What the scenario calls it; `before` and `after` are taken around all actors.
    pub label: String,
    /// The lock's position in the plan.
    pub lock: usize,
    /// What it showed.
    pub snapshot: Snapshot,
    /// Whether a client that is none of the actors, and lives as far as can be seen, holds the lock.
    pub is_elsewhere: bool,
}

/// What an actor remembered of a lock when a step of it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// The order of the event that ended the step.
    pub order: u64,
    /// The actor.
    pub actor: usize,
    /// The lock's position in the plan.
    pub lock: usize,
    /// The token that it, or else its controller, remembered.
    pub token: Option<Token>,
}

/// The outcome of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// Every step of every actor.
    pub history: History,
    /// The snapshots, in the order in which they were taken.
    pub snapshots: Vec<LabelledSnapshot>,
    /// What actors remembered when their steps ended, in that order.
    pub remembered: Vec<Remembered>,
    /// From the first to the last command of the volley, if there was one.
    pub start_skew: Option<Duration>,
    /// By how much each lock's `operation_count` on file rose.
    pub updates: Vec<u64>,
    /// Whether others wrote each lock's file.
    pub written_by_others: Vec<bool>,
    /// The names of the rules that never matched.
    pub unmatched: Vec<String>,
    /// What failed in the environment, if anything did.
    pub failure: Option<String>,
}

impl Outcome {
    /// How the run ended.
    pub fn ending(&self) -> Ending {
        let ended_by = |kind: FailureKind| {
            self.history.events.iter().any(|event| {
                matches!(&event.kind, EventKind::Ended { failure: Some(by) } if by.kind == kind)
            })
        };
        if ended_by(FailureKind::Interrupted) {
            Ending::Interrupted
        } else if self.failure.is_some() {
            Ending::Failed
        } else if ended_by(FailureKind::TimedOut) {
            Ending::TimedOut
        } else {
            Ending::Complete
        }
    }

    /// What is to be said of it, as a run of this plan.
    pub fn judge(&self, plan: &Plan) -> Ruling {
        let taken = self.snapshots.iter().map(|it| Taken {
            label: &it.label,
            diagnosis: it.snapshot.diagnosis.word(),
            is_elsewhere: it.is_elsewhere,
        });
        let run = JudgedRun {
            expectations: &plan.expectations,
            groups: plan.actors.iter().map(|actor| &*actor.group).collect(),
            locks: plan.locks.iter().map(|lock| &*lock.name).collect(),
            history: &self.history,
            snapshots: taken.collect(),
            updates: &self.updates,
            written_by_others: &self.written_by_others,
        };
        Ruling::on(&run, self.ending())
    }
}
