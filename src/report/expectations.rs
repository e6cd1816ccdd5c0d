//! What was expected of a run, and what came.

use super::build::status;
use super::{ActorRow, ExpectationRow};
use crate::check::Finding;
use crate::history::EventKind;
use crate::runtime::Outcome;
use crate::scenario::{Expectation, Plan, Status};

/// One end: how, and with which error.
type End<'a> = (Status, Option<&'a str>);

/// Judges every expectation of the plan.
pub(super) fn judge(
    plan: &Plan,
    actors: &[ActorRow],
    outcome: &Outcome,
    findings: &[Finding],
) -> Vec<ExpectationRow> {
    let judge = |expected| judge_one(plan, actors, outcome, findings, expected);
    plan.expectations.iter().map(judge).collect()
}

fn judge_one(
    plan: &Plan,
    actors: &[ActorRow],
    outcome: &Outcome,
    findings: &[Finding],
    expected: &Expectation,
) -> ExpectationRow {
    let of_group = |group: &str| -> Vec<&ActorRow> {
        let mine = plan.actors.iter().zip(actors).filter(|(actor, _)| actor.group == group);
        mine.map(|(_, row)| row).collect()
    };
    match expected {
        Expectation::Total { group, status, count } => {
            let rows = match group {
                Some(group) => of_group(group),
                None => actors.iter().collect(),
            };
            let found = rows.iter().filter(|row| row.status == *status).count() as u64;
            let who = group.as_ref().map(|group| format!("{group} ")).unwrap_or_default();
            ExpectationRow {
                what: format!("{who}{}: {count}", counted(*status)),
                met: found == *count,
                found: found.to_string(),
            }
        }
        Expectation::Actor { group, status, error } => {
            let rows = of_group(group);
            let ends = rows.iter().map(|row| (row.status, row.error.as_deref())).collect();
            ends_as_expected(format!("{group} ends with"), ends, *status, error.as_deref())
        }
        Expectation::Step { step, status, error } => {
            let ends = step_ends(outcome, step);
            ends_as_expected(format!("step {step:?} ends with"), ends, *status, error.as_deref())
        }
        Expectation::Snapshot { label, diagnosis } => {
            let looks = outcome.looks.iter().filter(|look| look.label == *label);
            let found: Vec<&str> = looks.map(|look| look.snapshot.diagnosis.word()).collect();
            ExpectationRow {
                what: format!("snapshot {label:?}: {diagnosis}"),
                met: !found.is_empty() && found.iter().all(|word| word == diagnosis),
                found: listed(found),
            }
        }
        Expectation::Finding { property, found } => {
            let count = findings.iter().filter(|finding| finding.property == *property).count();
            ExpectationRow {
                what: format!("{} {}", if *found { "finds" } else { "free of" }, property.word()),
                met: *found == (count > 0),
                found: if count == 0 { "none".into() } else { format!("{count}") },
            }
        }
        Expectation::Updates { lock, count } => {
            let found = outcome.updates.get(*lock).copied().unwrap_or_default();
            let name = match (plan.locks.as_slice(), plan.locks.get(*lock)) {
                ([_, _, ..], Some(lock)) => format!(" of {}", lock.name),
                _ => String::new(),
            };
            ExpectationRow {
                what: format!("operation_count on file{name} rises by {count}"),
                met: found == *count,
                found: found.to_string(),
            }
        }
    }
}

fn step_ends<'a>(outcome: &'a Outcome, step: &str) -> Vec<End<'a>> {
    let named = |name: &Option<String>| name.as_deref() == Some(step);
    outcome
        .history
        .events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::Completed(id) if named(&id.name) => Some((Status::Success, None)),
            EventKind::Failed { operation, failure } if named(&operation.name) => {
                Some((status(Some(failure.kind)), Some(failure.message.as_str())))
            }
            _ => None,
        })
        .collect()
}

fn ends_as_expected(
    subject: String,
    ends: Vec<End<'_>>,
    status: Status,
    error: Option<&str>,
) -> ExpectationRow {
    let fits = |(found, message): &End<'_>| {
        *found == status
            && error.is_none_or(|part| message.is_some_and(|message| message.contains(part)))
    };
    ExpectationRow {
        what: format!("{subject} {}", in_words((status, error))),
        met: !ends.is_empty() && ends.iter().all(fits),
        found: listed(ends.into_iter().map(in_words).collect::<Vec<_>>()),
    }
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
