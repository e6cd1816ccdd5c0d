//! Foreign release: a release takes another actor's lock away, by whatever command.
//!
//! Only a `release`, or a raw command of a careless client, counts, also when it reaches the server
//! after its sender gave it up: a force-release and a clearing of locks are meant to hit others.
//! The lock deleted was another owner's if the command itself compared a token that another actor
//! acquired; or if the releasing actor never acquired the lock, or its latest acquisition was
//! surely over before the deletion was sent, so that the lock there was another's. Where a reply
//! may be missing from the history, the owner is not named.

use super::findings::{Findings, Statement};
use super::tenure::{Deletion, LockTrace};
use super::words::{Words, time};
use super::{Case, Property};
use crate::history::{Change, Verb};

/// How far from the deletion its victim is looked for among tenures that ran at the same time.
const NEAR: usize = 8;

/// Finds each deletion of another owner's lock.
pub(super) fn check(case: &Case<'_>, findings: &mut Findings) {
    for (lock, trace) in case.locks.iter().enumerate() {
        for deletion in &trace.deletions {
            let Some(actor) = deletion.access.actor else { continue };
            let verb = deletion.access.late.or_else(|| case.trace.verb(deletion.access.step));
            if !verb.is_some_and(is_for_ones_own) {
                continue;
            }
            if let Some(victim) = victim(trace, deletion, actor) {
                let statement = || statement(case, trace, deletion, actor, victim);
                findings.add(Property::ForeignRelease, lock, statement);
            }
        }
    }
}

/// The longest lease, in nanoseconds, that frees a lock: it is over before anything can be done with it.
const FREES: u64 = 1_000_000_000;

static FREED: Change = Change::Deleted { token: None };
static SAW_FREE: Change = Change::Saw { token: None };

/// What a change is to the judges. A release ends a tenure by whatever it does: it may delete the key,
/// overwrite it with what stands for a free lock, or let it expire within a second.
pub(super) fn as_judged<'a>(change: &'a Change, verb: Option<&Verb>) -> &'a Change {
    match change {
        _ if verb != Some(&Verb::Release) => change,
        Change::Overwrote { .. } => &FREED,
        Change::Extended { lease } if *lease <= FREES => &FREED,
        Change::Took { .. } => &SAW_FREE,
        _ => change,
    }
}

/// Whether a step of this verb must delete no lock but its own actor's.
pub(super) fn is_for_ones_own(verb: &Verb) -> bool {
    matches!(verb, Verb::Release | Verb::Redis)
}

/// Whose tenure a deletion ended, if that was surely not the deleting actor's own.
fn victim(trace: &LockTrace<'_>, deletion: &Deletion<'_>, actor: usize) -> Option<usize> {
    let span = deletion.access.span;
    let is_anothers = |position: &usize| {
        trace.tenures.get(*position).is_some_and(|tenure| {
            tenure.access.actor != Some(actor)
                && tenure.access.span.sent.order <= span.received.order
                && !tenure.is_over_before(span.sent)
        })
    };
    if let Some(token) = deletion.token.filter(|token| !trace.is_reused(token)) {
        let tenure = trace.tenure_of(token).and_then(|at| Some((at, trace.tenures.get(at)?)));
        if let Some((tenure, whose)) = tenure {
            return (whose.access.actor != Some(actor)).then_some(tenure);
        }
    }
    let own = deletion.own.and_then(|own| trace.tenures.get(own));
    if own.is_some_and(|own| !own.is_over_before(span.sent)) {
        return None;
    }
    let before = deletion.tenures_before;
    let first = before.saturating_sub(NEAR);
    let earlier = (first..before).rev().find(is_anothers);
    earlier.or_else(|| (before..before.saturating_add(NEAR)).find(is_anothers))
}

fn statement(
    case: &Case<'_>,
    trace: &LockTrace<'_>,
    deletion: &Deletion<'_>,
    actor: usize,
    victim: usize,
) -> Statement {
    let words = Words::about(case.trace);
    let span = deletion.access.span;
    let name = words.actor(Some(actor));
    let begun = deletion.access.step.and_then(|step| case.trace.steps.get(step));
    let begun = begun.map_or(span.sent, |step| step.begun);
    let own = match deletion.own.map(|own| words.end(trace, own, span.sent)) {
        None => format!("{name} had not acquired the lock"),
        Some(None) => format!("{name}'s lock was gone"),
        Some(Some(end))
            if deletion.own.is_some_and(|own| believed(case, trace, own, begun.order)) =>
        {
            let own = deletion.own.and_then(|own| trace.tenures.get(own));
            if own.is_some_and(|own| own.is_over_before(begun)) {
                format!("{end} while it worked until {}", time(begun.at))
            } else {
                format!("{end} while it was releasing the lock")
            }
        }
        Some(Some(end)) => end,
    };
    let is_seen = span.received.order < case.trace.hidden_from.order;
    let is_known = is_seen || deletion.token.is_some();
    let holder =
        trace.tenures.get(victim).filter(|_| is_known).and_then(|tenure| tenure.access.actor);
    let at = span.received;
    let late = if deletion.access.late.is_some() { "late " } else { "" };
    let did = format!("{name}'s {late}release at {}", time(at.at));
    let text = match holder {
        Some(_) => {
            let began = words.beginning(trace, victim);
            let end = if deletion.is_deleted { "deleted" } else { "took away" };
            format!("{own}; {began}; {did} {end} {}'s lock", words.actor(holder))
        }
        None if deletion.is_deleted => format!("{own}; {did} deleted a lock that was not its own"),
        None => format!("{own}; {did} took away a lock that was not its own"),
    };
    let actors = std::iter::once(actor).chain(holder.filter(|holder| *holder != actor)).collect();
    Statement { actors, at, text }
}

/// Whether the actor of a tenure still believed in it then.
fn believed(case: &Case<'_>, trace: &LockTrace<'_>, own: usize, order: u64) -> bool {
    let step = trace.tenures.get(own).and_then(|own| own.access.step);
    let belief = step.and_then(|step| case.belief_of(step));
    belief.is_some_and(|belief| belief.surely_until.order >= order)
}
