//! What was expected of a run, and what came.

use super::{Finding, Property};
use crate::history::{EventKind, FailureKind, History};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How an actor or a step ended, as scenario files and reports say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// All went well.
    Success,
    /// Another client held the lock.
    AlreadyLocked,
    /// Anything else went wrong.
    Error,
}

impl Status {
    /// How something ended that failed in this way, or not at all.
    pub fn of(failure: Option<FailureKind>) -> Self {
        match failure {
            None => Status::Success,
            Some(FailureKind::AlreadyLocked) => Status::AlreadyLocked,
            Some(_) => Status::Error,
        }
    }
}

/// One thing that must come out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expectation {
    /// How many actors end with a status.
    Total {
        /// Only those made from this name; all, if none is said.
        group: Option<String>,
        /// Which end is counted.
        status: Status,
        /// How many there must be.
        count: u64,
    },
    /// How each actor of a group ends.
    Actor {
        /// The actors' name in the scenario file.
        group: String,
        /// How they end.
        status: Status,
        /// What the error says, in part.
        error: Option<String>,
    },
    /// How a named step ends, each time that an actor takes it; it must be taken at least once.
    Step {
        /// The step's name.
        step: String,
        /// How it ends.
        status: Status,
        /// What the error says, in part.
        error: Option<String>,
    },
    /// What a snapshot shows.
    Snapshot {
        /// The snapshot's label.
        label: String,
        /// A word from the fixed list of diagnoses.
        diagnosis: String,
    },
    /// What the checkers must find, or must not.
    Finding {
        /// The property.
        property: Property,
        /// Whether it must be found.
        found: bool,
    },
    /// By how much `operation_count` in the state file must have risen when all is over.
    Updates {
        /// Which lock's controller.
        lock: usize,
        /// By how much.
        count: u64,
    },
}

impl Expectation {
    /// What is expected, in words; `locks` are the names of the scenario's locks.
    pub fn words(&self, locks: &[&str]) -> String {
        match self {
            Self::Total { group, status, count } => {
                let who = group.as_ref().map(|group| format!("{group} ")).unwrap_or_default();
                format!("{who}{}: {count}", counted(*status))
            }
            Self::Actor { group, status, error } => {
                format!("{group} ends with {}", in_words((*status, error.as_deref())))
            }
            Self::Step { step, status, error } => {
                format!("step {step:?} ends with {}", in_words((*status, error.as_deref())))
            }
            Self::Snapshot { label, diagnosis } => format!("snapshot {label:?}: {diagnosis}"),
            Self::Finding { property, found } => {
                format!("{} {}", if *found { "finds" } else { "free of" }, property.word())
            }
            Self::Updates { lock, count } => {
                let name = match (locks, locks.get(*lock)) {
                    ([_, _, ..], Some(lock)) => format!(" of {lock}"),
                    _ => String::new(),
                };
                format!("changes saved in the file{name}: {count}")
            }
        }
    }
}

/// One thing that was expected, and what came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Expected {
    /// What should come.
    pub what: String,
    /// Whether it came; nothing where what was seen does not tell.
    pub met: Option<bool>,
    /// What came.
    pub found: String,
}

/// How one actor ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActorEnd {
    /// How.
    pub status: Status,
    /// What went wrong.
    pub error: Option<String>,
    /// From its start to its end.
    pub took: Duration,
}

/// A run, as far as expectations speak of it.
#[derive(Debug)]
pub struct JudgedRun<'a> {
    /// What must come out.
    pub expectations: &'a [Expectation],
    /// Each actor's name in the scenario file, which several may share.
    pub groups: Vec<&'a str>,
    /// Each lock's name in the scenario file.
    pub locks: Vec<&'a str>,
    /// Every step of every actor.
    pub history: &'a History,
    /// The snapshots.
    pub snapshots: Vec<Taken<'a>>,
    /// By how much each lock's `operation_count` on file rose.
    pub updates: &'a [u64],
    /// Whether others wrote each lock's file.
    pub written_by_others: &'a [bool],
}

/// A snapshot of a lock.
#[derive(Debug)]
pub struct Taken<'a> {
    /// What the scenario calls it.
    pub label: &'a str,
    /// What it showed.
    pub diagnosis: &'a str,
    /// Whether a client that is none of the actors, and lives, holds the lock.
    pub is_elsewhere: bool,
}

impl Taken<'_> {
    /// Whether it showed this. A lock that another client holds is no fault of the actors.
    fn shows(&self, expected: &str) -> bool {
        let is_theirs = self.is_elsewhere && self.diagnosis == HELD_ELSEWHERE;
        self.diagnosis == expected || (is_theirs && expected == CONSISTENT)
    }
}

/// Words of diagnoses.
const HELD_ELSEWHERE: &str = "held_elsewhere";
const CONSISTENT: &str = "consistent";

/// One end: how, and with which error.
type End<'a> = (Status, Option<&'a str>);

/// How each of `actors` actors ended.
pub(super) fn ends(history: &History, actors: usize) -> Vec<ActorEnd> {
    let (status, error) = (Status::Error, Some("did not run to its end".into()));
    let mut ends = vec![ActorEnd { status, error, took: Duration::ZERO }; actors];
    let mut started = vec![Duration::ZERO; actors];
    for event in &history.events {
        let Some(actor) = event.actor else { continue };
        let (Some(end), Some(started)) = (ends.get_mut(actor), started.get_mut(actor)) else {
            continue;
        };
        match &event.kind {
            EventKind::Started => *started = event.moment.time(),
            EventKind::Ended { failure } => {
                end.status = Status::of(failure.as_ref().map(|failure| failure.kind));
                end.error = failure.as_ref().map(|failure| failure.message.clone());
                end.took = event.moment.time().saturating_sub(*started);
            }
            _ => {}
        }
    }
    ends
}

/// Judges every expectation of a run.
pub(super) fn judge(run: &JudgedRun<'_>, ends: &[ActorEnd], findings: &[Finding]) -> Vec<Expected> {
    run.expectations.iter().map(|expected| judge_one(run, ends, findings, expected)).collect()
}

/// What no run may show, though its plan does not speak of it: a lock that was granted twice.
pub(super) fn unmet_by_itself(run: &JudgedRun<'_>, findings: &[Finding]) -> Option<Expected> {
    let property = Property::DoubleGrant;
    let speaks_of_it = |it: &Expectation| match it {
        Expectation::Finding { property: expected, .. } => *expected == property,
        _ => false,
    };
    let is_found = findings.iter().any(|finding| finding.property == property);
    let is_unmet = is_found && !run.expectations.iter().any(speaks_of_it);
    let expected = Expectation::Finding { property, found: false };
    is_unmet.then(|| judge_one(run, &[], findings, &expected))
}

fn judge_one(
    run: &JudgedRun<'_>,
    actors: &[ActorEnd],
    findings: &[Finding],
    expected: &Expectation,
) -> Expected {
    let of_group = |group: &str| -> Vec<&ActorEnd> {
        let mine = run.groups.iter().zip(actors).filter(|(its, _)| **its == group);
        mine.map(|(_, end)| end).collect()
    };
    let what = expected.words(&run.locks);
    let known = |(met, found): (bool, String)| (Some(met), found);
    let (met, found) = match expected {
        Expectation::Total { group, status, count } => {
            let ends = match group {
                Some(group) => of_group(group),
                None => actors.iter().collect(),
            };
            let found = ends.iter().filter(|end| end.status == *status).count() as u64;
            known((found == *count, found.to_string()))
        }
        Expectation::Actor { group, status, error } => {
            let ends = of_group(group);
            let ends = ends.iter().map(|end| (end.status, end.error.as_deref())).collect();
            known(ends_as_expected(ends, *status, error.as_deref()))
        }
        Expectation::Step { step, status, error } => {
            known(ends_as_expected(step_ends(run.history, step), *status, error.as_deref()))
        }
        Expectation::Snapshot { label, diagnosis } => {
            let labelled = run.snapshots.iter().filter(|it| it.label == label);
            let taken: Vec<&Taken<'_>> = labelled.collect();
            let met = !taken.is_empty() && taken.iter().all(|it| it.shows(diagnosis));
            known((met, listed(taken.iter().map(|it| it.diagnosis).collect())))
        }
        Expectation::Finding { property, found } => {
            let count = findings.iter().filter(|finding| finding.property == *property).count();
            let shown = if count == 0 { "none".into() } else { count.to_string() };
            known((*found == (count > 0), shown))
        }
        Expectation::Updates { lock, count } => {
            let found = run.updates.get(*lock).copied().unwrap_or_default();
            match run.written_by_others.get(*lock) {
                // Some of them are theirs; how many is not known, so ours may be lost.
                Some(true) => {
                    let met = if found < *count { Some(false) } else { None };
                    (met, format!("{found}, with those of other writers"))
                }
                _ => known((found == *count, found.to_string())),
            }
        }
    };
    Expected { what, met, found }
}

fn step_ends<'a>(history: &'a History, step: &str) -> Vec<End<'a>> {
    let named = |name: &Option<String>| name.as_deref() == Some(step);
    history
        .events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::Completed(id) if named(&id.name) => Some((Status::Success, None)),
            EventKind::Failed { operation, failure } if named(&operation.name) => {
                Some((Status::of(Some(failure.kind)), Some(failure.message.as_str())))
            }
            _ => None,
        })
        .collect()
}

/// Whether all ended so, and how they ended.
fn ends_as_expected(ends: Vec<End<'_>>, status: Status, error: Option<&str>) -> (bool, String) {
    let fits = |(found, message): &End<'_>| {
        *found == status
            && error.is_none_or(|part| message.is_some_and(|message| message.contains(part)))
    };
    let met = !ends.is_empty() && ends.iter().all(fits);
    (met, listed(ends.into_iter().map(in_words).collect::<Vec<_>>()))
}

fn in_words((status, error): End<'_>) -> String {
    let word = match status {
        Status::Success => "success",
        Status::AlreadyLocked => "already locked",
        Status::Error => "error",
    };
    match error {
        Some(error) => format!("{word}: {error}"),
        None => word.into(),
    }
}

fn counted(status: Status) -> &'static str {
    match status {
        Status::Success => "succeeded",
        Status::AlreadyLocked => "already locked",
        Status::Error => "errors",
    }
}

/// The different ones, in the order in which they came.
fn listed<T: Into<String>>(found: Vec<T>) -> String {
    let mut different: Vec<String> = Vec::new();
    for one in found.into_iter().map(Into::into) {
        if !different.contains(&one) {
            different.push(one);
        }
    }
    if different.is_empty() { "never happened".into() } else { different.join("; ") }
}
