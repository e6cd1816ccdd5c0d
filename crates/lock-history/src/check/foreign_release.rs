//! Foreign release: a release deletes somebody else's lock.
//!
//! Only what is done in a `release`, or in a raw command of a careless client, counts, also when it
//! reaches the server after its sender has given it up: a force-release and a clearing of locks are
//! meant to hit others. The lock deleted was somebody else's if the command itself made sure of a
//! token that another actor acquired; or if the releasing actor never acquired the lock, or its latest
//! acquisition was surely over before the deletion was sent, so that what was there was another's.
//! Whose it was is not said of a history in which a reply may be missing.

use super::findings::{Findings, Told};
use super::timeline::{Deletion, Line};
use super::words::{Words, time};
use super::{Case, Property};
use crate::history::Verb;

/// How far from the deletion its victim is looked for among reigns that ran at the same time.
const NEAR: usize = 8;

/// Finds each deletion of somebody else's lock.
pub(super) fn check(case: &Case<'_>, findings: &mut Findings) {
    for (lock, line) in case.locks.iter().enumerate() {
        for deletion in &line.deletions {
            let Some(actor) = deletion.deed.actor else { continue };
            let verb = deletion.deed.late.or_else(|| case.story.verb(deletion.deed.step));
            if !verb.is_some_and(is_for_ones_own) {
                continue;
            }
            if let Some(victim) = victim(line, deletion, actor) {
                let tell = || tell(case, line, deletion, actor, victim);
                findings.add(Property::ForeignRelease, lock, tell);
            }
        }
    }
}

/// Whether a step of this verb must delete no lock but its own actor's.
pub(super) fn is_for_ones_own(verb: &Verb) -> bool {
    matches!(verb, Verb::Release | Verb::Redis)
}

/// Whose reign a deletion ended, if that was surely not the deleting actor's own.
fn victim(line: &Line<'_>, deletion: &Deletion<'_>, actor: usize) -> Option<usize> {
    let span = deletion.deed.span;
    let is_anothers = |position: &usize| {
        line.reigns.get(*position).is_some_and(|reign| {
            reign.deed.actor != Some(actor)
                && reign.deed.span.sent.order <= span.received.order
                && !reign.is_over_before(span.sent)
        })
    };
    if let Some(token) = deletion.token.filter(|token| !line.is_reused(token)) {
        let reign = line.reign_of(token)?;
        return (line.reigns.get(reign)?.deed.actor != Some(actor)).then_some(reign);
    }
    let own = deletion.own.and_then(|own| line.reigns.get(own));
    if own.is_some_and(|own| !own.is_over_before(span.sent)) {
        return None;
    }
    let before = deletion.reigns_before;
    let first = before.saturating_sub(NEAR);
    let earlier = (first..before).rev().find(is_anothers);
    earlier.or_else(|| (before..before.saturating_add(NEAR)).find(is_anothers))
}

fn tell(
    case: &Case<'_>,
    line: &Line<'_>,
    deletion: &Deletion<'_>,
    actor: usize,
    victim: usize,
) -> Told {
    let words = Words::about(case.story);
    let span = deletion.deed.span;
    let name = words.actor(Some(actor));
    let begun = deletion.deed.step.and_then(|step| case.story.steps.get(step));
    let begun = begun.map_or(span.sent, |step| step.begun);
    let own = match deletion.own.map(|own| words.end(line, own, span.sent)) {
        None => format!("{name} had not acquired the lock"),
        Some(None) => format!("{name}'s lock was gone"),
        Some(Some(end))
            if deletion.own.is_some_and(|own| believed(case, line, own, begun.order)) =>
        {
            let own = deletion.own.and_then(|own| line.reigns.get(own));
            if own.is_some_and(|own| own.is_over_before(begun)) {
                format!("{end} while it worked until {}", time(begun.at))
            } else {
                format!("{end} while it was releasing the lock")
            }
        }
        Some(Some(end)) => end,
    };
    let is_seen = span.received.order < case.story.hidden_from.order;
    let is_known = is_seen || deletion.token.is_some();
    let holder = line.reigns.get(victim).filter(|_| is_known).and_then(|reign| reign.deed.actor);
    let at = span.received;
    let late = if deletion.deed.late.is_some() { "late " } else { "" };
    let did = format!("{name}'s {late}release at {}", time(at.at));
    let text = match holder {
        Some(_) => {
            let began = words.beginning(line, victim);
            format!("{own}; {began}; {did} deleted {}'s lock", words.actor(holder))
        }
        None => format!("{own}; {did} deleted a lock that was not its own"),
    };
    let actors = std::iter::once(actor).chain(holder.filter(|holder| *holder != actor)).collect();
    Told { actors, at, text }
}

/// Whether the actor of a reign still believed in it then.
fn believed(case: &Case<'_>, line: &Line<'_>, own: usize, order: u64) -> bool {
    let step = line.reigns.get(own).and_then(|own| own.deed.step);
    let belief = step.and_then(|step| case.belief_of(step));
    belief.is_some_and(|belief| belief.surely_until.order >= order)
}
