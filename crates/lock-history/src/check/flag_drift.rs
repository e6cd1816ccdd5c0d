//! Flag drift: mirror flag and lock key disagree when no actor is active.

use super::findings::{Findings, Statement};
use super::sentence::sentence;
use super::tenure::LockTrace;
use super::words::Words;
use super::{Case, Property};
use crate::history::{Left, Moment};

/// Finds each flag that says something else than the lock key.
pub(super) fn check(case: &Case<'_>, findings: &mut Findings) {
    for (lock, trace) in case.locks.iter().enumerate() {
        let Some((moment, left)) = trace.left else { continue };
        if drifts(left) {
            findings.add(Property::FlagDrift, lock, || statement(case, trace, moment, left));
        }
    }
}

/// Whether the flag says something else than the lock key. A client that holds the lock may be about to
/// set it.
pub(super) fn drifts(left: &Left) -> bool {
    left.flag != left.token.is_some() && !left.held_elsewhere
}

fn statement(case: &Case<'_>, trace: &LockTrace<'_>, moment: Moment, left: &Left) -> Statement {
    let words = Words::about(case.trace);
    let set = trace.flagged.map(|access| {
        let at = words.at(access.span.received);
        sentence![words.access(&access), " set the flag for the last time", at]
    });
    // In what is not in the history, it may have been set.
    let never = match left.flag || !case.trace.is_complete {
        true => "no write of the flag was recorded",
        false => "the flag was never set",
    };
    let set = set.unwrap_or_else(|| never.to_owned().into());
    let tenure = trace.tenures.len().checked_sub(1);
    let tenure = tenure.map(|last| match words.end(trace, last, moment).filter(|_| left.flag) {
        Some(end) => sentence!["; ", end],
        None => sentence!["; ", words.beginning(trace, last)],
    });
    let (flag, key) = if left.flag { ("locked", "free") } else { ("free", "held") };
    let text = sentence![
        set,
        tenure,
        "; when no actor was left",
        words.at(moment),
        format!(", the flag said {flag} and the lock key was {key}"),
    ];
    let last = trace.flagged.and_then(|access| access.actor);
    let last = last.or_else(|| trace.tenures.last().and_then(|tenure| tenure.access.actor));
    Statement::new(last.into_iter().collect(), moment, text)
}
