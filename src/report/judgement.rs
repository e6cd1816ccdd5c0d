//! What the checkers say of a saved history, as plain data.

use super::FindingRow;
use super::advice::advice;
use super::build::milliseconds;
use super::wording::{time_of_day, time_span};
use lock_history::check::{Checked, Fairness, Finding, LeaseUse, Property};
use lock_history::history::{Head, History};
use serde::Serialize;

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
    /// From when to when it lasted, where it says when it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Whether it has its beginning, the end of every actor, and its own end; if not, what was not
    /// found may still have happened.
    #[serde(rename = "is_whole")]
    pub is_complete: bool,
    /// Why it is known to be incomplete, a sentence each.
    pub incomplete: Vec<String>,
    /// What went wrong, by time.
    pub findings: Vec<FindingRow>,
    /// How many findings are not listed.
    pub omitted: u64,
    /// What it can't show: properties, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_judged: Vec<String>,
    /// The file that draws it, if it is saved.
    #[serde(skip)]
    pub saved: Option<String>,
    /// What to do about the findings of a recording, a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub advice: Vec<String>,
    /// How fairly each lock was given out.
    pub fairness: Vec<FairnessRow>,
    /// How the leases of each lock were used.
    pub lease_use: Vec<LeaseUseRow>,
}

/// How fairly one lock was given out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FairnessRow {
    /// The lock's key.
    pub lock: String,
    /// How often each actor got it, in the order of the actors.
    pub acquisitions: Vec<Share>,
    /// The p50 of the waits of successful acquires, in milliseconds.
    pub wait_p50_ms: f64,
    /// 99 of 100 had waited at most so long.
    pub wait_p99_ms: f64,
    /// The longest wait.
    pub wait_max_ms: f64,
}

/// How the leases of one lock were used.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LeaseUseRow {
    /// The lock's key.
    pub lock: String,
    /// How often it was held.
    pub acquisitions: u64,
    /// The p50 of the times held, in milliseconds.
    pub held_p50_ms: f64,
    /// 99 of 100 did so at most so long.
    pub held_p99_ms: f64,
    /// The longest.
    pub held_max_ms: f64,
    /// Half used at most this share of the lease; 1 is all of it. Nothing where no lease is known.
    pub share_p50: Option<f64>,
    /// 99 of 100 used at most this share.
    pub share_p99: Option<f64>,
    /// The largest share.
    pub share_max: Option<f64>,
    /// How many leases expired while their holders still held on.
    pub too_short: u64,
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
    pub fn new(file: String, history: &History, checked: &Checked) -> Self {
        let History { head, events, .. } = history;
        let name = |index: usize| head.locks.get(index).cloned();
        let lock = |index: usize| name(index).unwrap_or_default();
        let actor = |index: usize| head.actors.get(index).cloned();
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
        let lease_use = |used: &LeaseUse| LeaseUseRow {
            lock: lock(used.lock),
            acquisitions: used.acquisitions,
            held_p50_ms: milliseconds(used.held_p50),
            held_p99_ms: milliseconds(used.held_p99),
            held_max_ms: milliseconds(used.held_max),
            share_p50: used.share.map(|share| share.p50 as f64 / 1000.0),
            share_p99: used.share.map(|share| share.p99 as f64 / 1000.0),
            share_max: used.share.map(|share| share.max as f64 / 1000.0),
            too_short: used.too_short,
        };
        let last = events.last().map_or(0, |event| event.moment.at);
        let finding = |finding: &Finding| FindingRow {
            time: head.began_us.map(|began| time_of_day(began, finding.at)),
            ..FindingRow::new(finding, name, actor)
        };
        Self {
            schema: Self::SCHEMA,
            file,
            scenario: head.scenario.clone(),
            protocol: head.protocol.clone(),
            events: events.len(),
            time: head.began_us.map(|began| time_span(began, 0, last)),
            is_complete: checked.is_complete,
            incomplete: head.incomplete.clone(),
            findings: checked.findings.iter().map(finding).collect(),
            omitted: checked.omitted,
            not_judged: not_judged(head),
            saved: None,
            advice: if head.is_recording() { advice(&checked.findings) } else { Vec::new() },
            fairness: checked.fairness.iter().map(fairness).collect(),
            lease_use: checked.lease_use.iter().map(lease_use).collect(),
        }
    }
}

/// What a history with this head can't show, a line for each reason.
fn not_judged(head: &Head) -> Vec<String> {
    let mut of_reason: Vec<(&str, Vec<&str>)> = Vec::new();
    for property in Property::ALL {
        let Some(why) = property.not_judged(head) else { continue };
        match of_reason.iter_mut().find(|(reason, _)| *reason == why) {
            Some((_, words)) => words.push(property.word()),
            None => of_reason.push((why, vec![property.word()])),
        }
    }
    of_reason.into_iter().map(|(why, words)| format!("{}: {why}", words.join(", "))).collect()
}
