//! A schedule that was replayed: the report of the run, and its picture.

use super::Report;
use super::exploration::{Lanes, Row};
use lock_history::check::{Finding, Property};
use lock_history::history::History;
use lock_lab::scenario::Plan;
use serde::Serialize;

/// The outcome of a replay. As JSON: the report, with one member more.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Replay {
    /// The report of the run.
    #[serde(flatten)]
    pub report: Report,
    /// What was done, in its order; marked where the violation is complete that the schedule shows,
    /// or else the first one that was found.
    pub lanes: Vec<Row>,
    /// What the schedule shows, if it was found for that.
    #[serde(skip)]
    pub shows: Option<Property>,
}

impl Replay {
    /// The outcome of replaying a plan's schedule that shows this, with what was found in it.
    pub fn new(
        report: Report,
        plan: &Plan,
        history: &History,
        findings: &[Finding],
        shows: Option<Property>,
    ) -> Self {
        let shown = findings.iter().find(|finding| Some(finding.property) == shows);
        let locks: Vec<String> = plan.locks.iter().map(|lock| lock.name.clone()).collect();
        let lanes = Lanes::of(history, &locks, shown.or(findings.first())).rows;
        Self { report, lanes, shows }
    }
}
