//! A schedule that was replayed: the report of the run, and its picture.

use super::Report;
use super::exploration::{Lanes, Ordering, Row};
use lock_history::check::{Finding, Property};
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
    /// The outcome of replaying an ordering that shows this. `findings` are those of the report.
    pub fn new(
        mut report: Report,
        ordering: Ordering<'_>,
        findings: &[Finding],
        shows: Option<Property>,
    ) -> Self {
        let shown = findings.iter().position(|finding| Some(finding.property) == shows);
        let lanes = Lanes::of(ordering, findings, shown.unwrap_or_default());
        for (row, finding) in report.findings.iter_mut().zip(findings) {
            row.text = lanes.say(&finding.text);
        }
        Self { report, lanes: lanes.rows, shows }
    }
}
