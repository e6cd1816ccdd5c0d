//! Stuck lock: no actor is left, and the lock is still there.

use super::findings::{Findings, Statement};
use super::tenure::LockTrace;
use super::words::{Words, time, token};
use super::{Case, Property, beliefs::Ending};
use crate::history::{Left, Moment, Verb};

/// Finds each lock that was left behind.
pub(super) fn check(case: &Case<'_>, findings: &mut Findings) {
    for (lock, trace) in case.locks.iter().enumerate() {
        let Some((moment, left)) = trace.left else { continue };
        if let Some(key) = stuck(left) {
            let statement = || statement(case, trace, moment, left, key);
            findings.add(Property::StuckLock, lock, statement);
        }
    }
}

/// The token of a lock that was left behind. One that a fresh client can acquire is free, whatever its key
/// holds.
pub(super) fn stuck(left: &Left) -> Option<&String> {
    left.token.as_ref().filter(|_| left.acquirable != Some(true))
}

fn statement(
    case: &Case<'_>,
    trace: &LockTrace<'_>,
    moment: Moment,
    left: &Left,
    key: &str,
) -> Statement {
    let words = Words::about(case.trace);
    let tenure = trace.tenure_of(key);
    let began = match tenure {
        Some(tenure) => words.beginning(trace, tenure),
        None => format!("nobody was seen to acquire {}", token(key)),
    };
    let owner = tenure.and_then(|tenure| trace.tenures.get(tenure)?.access.actor);
    let step = tenure.and_then(|tenure| trace.tenures.get(tenure)?.access.step);
    let belief = step.and_then(|step| case.belief_of(step));
    let name = words.actor(owner);
    let why = match belief.map(|belief| (belief.ending, time(belief.until.at))) {
        Some((Ending::Crashed, at)) => format!("; {name} crashed at {at}"),
        Some((Ending::Ended, at)) => format!("; {name} ended at {at} without releasing"),
        Some((Ending::Broken, at)) => format!("; {name} failed at {at} without releasing"),
        Some((Ending::Forgot, at)) => format!("; {name} forgot its token at {at}"),
        Some((Ending::Notified, at)) => format!("; {name} was refused at {at}"),
        Some(_) => String::new(),
        // A raw command says nothing of what its actor knows.
        None if case.trace.verb(step) == Some(&Verb::Redis) => String::new(),
        None if owner.is_some() => format!("; {name} did not know that it held it"),
        None => String::new(),
    };
    let ends = match u64::try_from(left.ttl_ms) {
        Ok(left) => {
            let rest = left.saturating_mul(1_000_000);
            let at = moment.at.saturating_add(rest);
            format!("its lease ends at {}, {} later", time(at), time(rest))
        }
        Err(_) => "it has no TTL and stays until somebody deletes it".into(),
    };
    let text = format!(
        "{began}{why}; when no actor was left at {}, the lock was still there: {ends}",
        time(moment.at)
    );
    Statement { actors: owner.into_iter().collect(), at: moment, text }
}
