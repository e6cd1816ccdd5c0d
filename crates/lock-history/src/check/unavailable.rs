//! Unavailable: the lock is free, and a fresh client can't acquire it.

use super::findings::{Findings, Statement};
use super::sentence::sentence;
use super::words::Words;
use super::{Case, Property};
use crate::history::Left;

/// Finds each lock that can't be acquired any more.
pub(super) fn check(case: &Case<'_>, findings: &mut Findings) {
    for (lock, trace) in case.locks.iter().enumerate() {
        let Some((moment, _)) = trace.left.filter(|(_, left)| is_unavailable(left)) else {
            continue;
        };
        let tell = || {
            let words = Words::about(case.trace);
            let text = sentence![
                "when no actor was left",
                words.at(moment),
                " and all leases were over, ",
                words.lock(lock),
                " was free, and the acquire of a fresh client was refused",
            ];
            Statement::new(Vec::new(), moment, text)
        };
        findings.add(Property::Unavailable, lock, tell);
    }
}

/// Whether a lock was left free, and could not be acquired.
pub(super) fn is_unavailable(left: &Left) -> bool {
    left.token.is_none() && left.acquirable == Some(false)
}
