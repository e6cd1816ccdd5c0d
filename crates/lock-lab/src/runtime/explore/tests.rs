//! That exploration is sound: the machine and reality agree, on every ordering of small generated
//! scenarios and on random orderings of all built-in ones.

mod brute;
mod clients;
mod generate;
mod preemptions;
mod reduction;
mod regressions;
mod repeatable;
mod walks;

use super::machine::Machine;
use super::*;
use crate::lock::{Legacy, LockProtocol, Ttl, protocols};
use crate::runtime::Binding;
use crate::scenario::Scenario;
use lock_history::check::Properties;
use lock_history::history::{Event, EventKind, Left};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A scenario as it is explored; nothing, if it can't be bound for this protocol.
fn model(
    scenario: &Scenario,
    protocol: Arc<dyn LockProtocol>,
    timing: Timing,
) -> std::result::Result<Model, String> {
    let binding = Binding { timing, ..Binding::default() };
    Model::new(scenario, &binding, protocol).map_err(|error| error.to_string())
}

fn bounds(timing: Timing, crashes: u32, faults: u32) -> Bounds {
    Bounds { timing, crashes, faults, ..Bounds::default() }
}

/// What the checkers find in a history, but for what is not explored.
fn found_by_check(outcome: &Outcome) -> Properties {
    let checked = check(&outcome.history);
    assert!(checked.is_complete);
    let findings = checked.findings.into_iter().map(|finding| finding.property);
    findings.filter(|property| *property != Property::Starvation).collect()
}

/// A schedule that can be replayed by hand.
fn shown(model: &Model, turns: &[Turn]) -> String {
    Schedule { turns: turns.to_vec(), ..model.origin.clone() }.to_string()
}

/// The outcome of a run, as seen from outside.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Result {
    /// How each lock was left: its token, its TTL, its flag, and what is remembered of it.
    locks: Vec<(Option<String>, i64, bool, Vec<String>)>,
    /// By how much each lock's file was counted up.
    updates: Vec<u64>,
}

impl Result {
    fn of(outcome: &Outcome) -> Self {
        let left = |event: &Event| match &event.kind {
            EventKind::Left(left) => Some(left.clone()),
            _ => None,
        };
        let lock = |left: Left| {
            let mut remembered = left.remembered;
            remembered.sort();
            (left.token, left.ttl_ms, left.flag, remembered)
        };
        let locks = outcome.history.events.iter().filter_map(left).map(lock).collect();
        Self { locks, updates: outcome.updates.clone() }
    }
}
