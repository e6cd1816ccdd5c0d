//! What the checkers say of a saved history, as plain data.

use super::FindingRow;
use super::build::milliseconds;
use crate::check::{Checked, Fairness};
use crate::history::Head;
use serde::Serialize;
use std::time::Duration;

/// Everything that is said of a history. The members and their names are the JSON format
/// `nodb-trigger/check/v1`: members may be added, none removed or renamed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judgement {
    /// [`Judgement::SCHEMA`].
    pub schema: &'static str,
    /// The file, as the user wrote it.
    pub file: String,
    /// The scenario's name.
    pub scenario: String,
    /// The lock protocol.
    pub protocol: String,
    /// How many events there are.
    pub events: usize,
    /// Whether it has its beginning, the end of every actor, and its own end; if not, what was not
    /// found may still have happened.
    pub is_whole: bool,
    /// What went wrong, by time.
    pub findings: Vec<FindingRow>,
    /// How many findings are not listed.
    pub omitted: u64,
    /// How fairly each lock was given out.
    pub fairness: Vec<FairnessRow>,
}

/// How fairly one lock was given out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FairnessRow {
    /// The lock's key.
    pub lock: String,
    /// Who got it how often, in the order of the actors.
    pub acquisitions: Vec<Share>,
    /// Half of those who got it had waited at most so many milliseconds.
    pub wait_p50_ms: f64,
    /// 99 of 100 had waited at most so long.
    pub wait_p99_ms: f64,
    /// The longest wait.
    pub wait_max_ms: f64,
}

/// How often an actor got a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Share {
    /// The actor's name.
    pub actor: String,
    /// How often.
    pub count: u64,
}

impl Judgement {
    /// The name of the JSON format, and its version.
    pub const SCHEMA: &'static str = "nodb-trigger/check/v1";

    /// What was found in a file's history.
    pub fn new(file: String, head: &Head, events: usize, checked: &Checked) -> Self {
        let lock = |index: usize| head.locks.get(index).cloned().unwrap_or_default();
        let name = |actor: &usize| head.actors.get(*actor).cloned();
        let finding = |finding: &crate::check::Finding| FindingRow {
            property: finding.property,
            lock: lock(finding.lock),
            actors: finding.actors.iter().filter_map(name).collect(),
            at_ms: milliseconds(Duration::from_nanos(finding.at)),
            text: finding.text.clone(),
        };
        let fairness = |fairness: &Fairness| FairnessRow {
            lock: lock(fairness.lock),
            acquisitions: head
                .actors
                .iter()
                .zip(&fairness.acquisitions)
                .map(|(actor, count)| Share { actor: actor.clone(), count: *count })
                .collect(),
            wait_p50_ms: milliseconds(fairness.wait_p50),
            wait_p99_ms: milliseconds(fairness.wait_p99),
            wait_max_ms: milliseconds(fairness.wait_max),
        };
        Self {
            schema: Self::SCHEMA,
            file,
            scenario: head.scenario.clone(),
            protocol: head.protocol.clone(),
            events,
            is_whole: checked.is_whole,
            findings: checked.findings.iter().map(finding).collect(),
            omitted: checked.omitted,
            fairness: checked.fairness.iter().map(fairness).collect(),
        }
    }
}
