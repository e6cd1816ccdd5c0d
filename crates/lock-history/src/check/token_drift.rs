//! Token drift: a controller remembers an acquisition that is not the one in Redis, when no actor
//! is active.

use super::findings::{Findings, Statement};
use super::sentence::sentence;
use super::tenure::LockTrace;
use super::words::{Words, token};
use super::{Case, Property};
use crate::history::{Left, Moment};

/// Finds each token that is remembered for nothing.
pub(super) fn check(case: &Case<'_>, findings: &mut Findings) {
    for (lock, trace) in case.locks.iter().enumerate() {
        let Some((moment, left)) = trace.left else { continue };
        for remembered in drifting(left) {
            let statement = || statement(case, trace, moment, left, remembered);
            findings.add(Property::TokenDrift, lock, statement);
        }
    }
}

/// The tokens that are remembered for nothing.
pub(super) fn drifting(left: &Left) -> impl Iterator<Item = &String> {
    left.remembered.iter().filter(|remembered| left.token.as_ref() != Some(remembered))
}

fn statement(
    case: &Case<'_>,
    trace: &LockTrace<'_>,
    moment: Moment,
    left: &Left,
    remembered: &str,
) -> Statement {
    let words = Words::about(case.trace);
    let tenure = trace.tenure_of(remembered);
    let began = tenure.map(|tenure| {
        let end = words.end(trace, tenure, moment).map(|end| sentence!["; ", end]);
        sentence![words.beginning(trace, tenure), end, "; "]
    });
    let holds = match &left.token {
        Some(key) => format!("holds {}", token(key)),
        None => "is free".into(),
    };
    let text = sentence![
        began,
        "when no actor was left",
        words.at(moment),
        format!(
            ", a controller still remembered token {}, but the lock key {holds}",
            token(remembered)
        ),
    ];
    let owner = tenure.and_then(|tenure| trace.tenures.get(tenure)?.access.actor);
    Statement::new(owner.into_iter().collect(), moment, text)
}
