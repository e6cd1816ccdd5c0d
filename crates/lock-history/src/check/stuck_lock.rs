//! Stuck lock: no actor is left, and the lock is still there. Of a recording, which ends before its actors do: it
//! has no TTL, its holder is not there any more, and it refuses all who try.

use super::findings::{Findings, Statement};
use super::sentence::{Sentence, sentence};
use super::tenure::LockTrace;
use super::words::{Words, time, token};
use super::{Case, Property, beliefs::Ending};
use crate::history::{Change, EventKind, Left, Moment, Verb};
use std::collections::HashSet;

/// How many attempts a lock without a holder must have refused.
const REFUSALS: usize = 10;

/// Finds each lock that was left behind.
pub(super) fn check(case: &Case<'_>, findings: &mut Findings) {
    for (lock, trace) in case.locks.iter().enumerate() {
        let Some((moment, left)) = trace.left else {
            if let Some(statement) = without_holder(case, lock, trace) {
                findings.add(Property::StuckLock, lock, || statement);
            }
            continue;
        };
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

/// What is said of a lock in a recording whose holder is not there any more, if it is stuck.
fn without_holder(case: &Case<'_>, lock: usize, trace: &LockTrace<'_>) -> Option<Statement> {
    let last = trace.tenures.len().checked_sub(1)?;
    let tenure = trace.tenures.get(last)?;
    let holder = tenure.access.actor.filter(|it| case.trace.head.absent.contains(it))?;
    let belief = tenure.access.step.and_then(|step| case.belief_of(step))?;
    let since = tenure.access.span.received;
    let is_altered = trace.alterations.iter().any(|it| it.access.span.received > since);
    if tenure.end.is_some() || tenure.leased.is_some() || is_altered {
        return None;
    }
    let (mut refused, mut all) = (Vec::new(), HashSet::new());
    let later = case.trace.events.iter().filter(|event| event.moment > since);
    for event in later.filter(|event| event.actor != Some(holder)) {
        let EventKind::Command(command) = &event.kind else { continue };
        for effect in command.effects.iter().filter(|effect| effect.lock == lock) {
            all.extend(event.actor);
            if effect.change == Change::Refused {
                refused.push(event);
            }
        }
    }
    let tried: HashSet<usize> = refused.iter().filter_map(|event| event.actor).collect();
    // One that never tries to acquire it may be the holder.
    if refused.len() < REFUSALS || tried != all {
        return None;
    }
    let words = Words::about(case.trace);
    let began = match belief.ending {
        Ending::Open => sentence![words.lock(lock), " was held when the recording began"],
        Ending::Unseen => {
            let connection =
                format!("; the connection of {} was closed", words.actor(Some(holder)));
            sentence![words.beginning(trace, last), connection, " without a release"]
        }
        _ => return None,
    };
    let (first, last) = (refused.first()?.moment, refused.last()?.moment);
    let text = sentence![
        began,
        "; it has no TTL, and all ",
        refused.len().to_string(),
        " attempts to acquire it were refused, the first",
        words.at(first),
        ", the last",
        words.at(last),
        ", until the recording ended",
    ];
    Some(Statement { actors: vec![holder], at: last, text })
}

fn statement(
    case: &Case<'_>,
    trace: &LockTrace<'_>,
    moment: Moment,
    left: &Left,
    key: &str,
) -> Statement {
    let words = Words::about(case.trace);
    // A value that is no token may be what the last holder made of it.
    let tenure = trace.tenure_of(key).or(trace.tenures.len().checked_sub(1));
    let began = match (trace.tenure_of(key), tenure) {
        (Some(tenure), _) => words.beginning(trace, tenure),
        (None, Some(last)) => {
            let end = words.end(trace, last, moment).map(|end| sentence!["; ", end]);
            sentence![words.beginning(trace, last), ", the last to do so", end]
        }
        (None, None) if key.is_empty() => {
            String::from("no acquire of what the lock key held was recorded").into()
        }
        (None, None) => format!("no acquire of {} was recorded", token(key)).into(),
    };
    let owner = tenure.and_then(|tenure| trace.tenures.get(tenure)?.access.actor);
    let step = tenure.and_then(|tenure| trace.tenures.get(tenure)?.access.step);
    let belief = step.and_then(|step| case.belief_of(step));
    let name = words.actor(owner);
    let did = |what: &str, at, how: &str| Some(sentence!["; ", &*name, what, at, how]);
    let why: Option<Sentence> = match belief.map(|belief| (belief.ending, words.at(belief.until))) {
        Some((Ending::Crashed, at)) => did(" crashed", at, ""),
        Some((Ending::Ended, at)) => did(" ended", at, " without releasing"),
        Some((Ending::Broken, at)) => did(" failed", at, " without releasing"),
        Some((Ending::Forgot, at)) => did(" forgot its token", at, ""),
        Some((Ending::Notified, at)) => did(" was refused", at, ""),
        Some((Ending::Unseen, at)) => did(" was not followed", at, " any more"),
        // A raw command says nothing of what its actor knows.
        None if case.trace.verb(step) == Some(&Verb::Redis) => None,
        None if owner.is_some() => Some(format!("; {name} did not know that it held it").into()),
        Some(_) | None => None,
    };
    let ends = match u64::try_from(left.ttl_ms) {
        Ok(left) => format!("with {} of its lease left", time(left.saturating_mul(1_000_000))),
        Err(_) => "without a TTL: it stays until it is deleted".into(),
    };
    let text = sentence![
        began,
        why,
        "; when no actor was left",
        words.at(moment),
        ", the lock was still there, ",
        ends,
    ];
    Statement { actors: owner.into_iter().collect(), at: moment, text }
}
