//! Double grant: two actors hold the lock for certain at the same moment.
//!
//! An actor holds a lock for certain from the successful answer to its acquire until the first of:
//!
//! - it begins to release the lock, as often as it was granted it while it held it; it crashes, ends, forgets
//!   its token or learns that it lost the lock;
//! - the lease that it asked for is over, counted from the first command of that acquire (the first
//!   after the last refusal, where it retries); if it is not known what it asked for, the lease that it set;
//! - an operator, an eviction or a raw command takes the lock away;
//! - another actor's release takes it away: that is a `foreign_release`, and what follows from it is its
//!   consequence. Of locks that actors share, which have no single owner, that is not judged, and nothing is a
//!   consequence of it.
//!
//! Where actors share a lock ([`Sharing`](crate::history::Sharing)), a second grant is one that they don't share.
//!
//! Nothing else excuses a second grant: not a command of another client's acquire or extend, not a lease
//! that was set too short, not a restart of the server or a jump of its clock.
//!
//! The reader of histories and the [`Monitor`](super::Monitor) ask the same [`Holds`].

use super::findings::{Findings, Statement};
use super::foreign::as_judged;
use super::holds::{Holds, Observed, ROUNDED, SecondGrant, excuses, released_by, takes_away};
use super::sentence::{Sentence, sentence};
use super::words::{Words, shortened, time};
use super::{Case, Property};
use crate::history::{Effect, EventKind};
use std::collections::HashMap;
use std::ops::Range;

/// Finds each second grant. A removal may have run at any moment from its sending to its reply: a lock that
/// was taken by then is held by no actor for certain.
pub(super) fn check(case: &Case<'_>, findings: &mut Findings) {
    let trace = case.trace;
    let mut removals = removals(case).into_iter().peekable();
    // By lock, the latest reply to a removal that was sent.
    let mut removed_until: HashMap<usize, u64> = HashMap::new();
    let mut holds = Holds::new(trace.head.sharing.clone());
    // The step of each actor's latest grant, by lock.
    let mut grants: HashMap<(usize, usize), usize> = HashMap::new();
    for (event, step) in trace.events.iter().zip(&trace.step_of) {
        while let Some(removal) = removals.next_if(|removal| removal.sent < event.moment.order) {
            holds.take_away(removal.lock, removal.released_by);
            let until = removed_until.entry(removal.lock).or_default();
            *until = removal.received.max(*until);
        }
        let own = step.and_then(|step| trace.steps.get(step));
        let acquires = own.filter(|step| step.is_acquire()).map(|step| step.operation);
        let acquires = acquires.and_then(|operation| Some((operation.lock?, operation.lease)));
        let (sent, verb) = match &event.kind {
            EventKind::Command(command) => {
                (command.sent, command.late.as_ref().or_else(|| trace.verb(*step)))
            }
            _ => (event.moment, None),
        };
        let observed = Observed {
            actor: event.actor,
            kind: &event.kind,
            verb,
            acquires,
            sent_at: sent.at,
            at: event.moment.at,
        };
        if let (EventKind::Completed(_), Some(actor), Some((lock, _)), Some(step)) =
            (&event.kind, event.actor, acquires, step)
        {
            grants.insert((actor, lock), *step);
        }
        holds.read(&observed, |second| {
            findings.add(Property::DoubleGrant, second.lock, || tell(case, &grants, &second));
            findings.has_room(Property::DoubleGrant, second.lock)
        });
        if let Some((lock, _)) = acquires
            && removed_until.get(&lock).is_some_and(|until| *until > sent.order)
        {
            holds.take_away(lock, None);
        }
    }
}

/// A command that excuses a second grant, by its place in the order of moments.
struct Removal {
    sent: u64,
    received: u64,
    lock: usize,
    /// The actor that released the lock with it.
    released_by: Option<usize>,
}

/// Those of a history, in the order of their sending.
fn removals(case: &Case<'_>) -> Vec<Removal> {
    let mut removals = Vec::new();
    let is_shared = case.trace.head.sharing.is_some();
    for (event, step) in case.trace.events.iter().zip(&case.trace.step_of) {
        let EventKind::Command(command) = &event.kind else { continue };
        let verb = command.late.as_ref().or_else(|| case.trace.verb(*step));
        if excuses(verb, is_shared) {
            let (sent, received) = (command.sent.order, event.moment.order);
            let gone = |effect: &&Effect| takes_away(as_judged(&effect.change, verb));
            let gone = command.effects.iter().filter(gone);
            let released_by = released_by(event.actor, &event.kind, verb);
            removals.extend(gone.map(|gone| Removal {
                sent,
                received,
                lock: gone.lock,
                released_by,
            }));
        }
    }
    removals.sort_by_key(|removal| removal.sent);
    removals
}

/// The last expiry of a key that is no lock's in a span of the order of moments, in words: what such a
/// key guarded was open from then on.
fn expired_key(case: &Case<'_>, span: Range<u64>) -> Option<Sentence> {
    let events = case.trace.events.iter().filter(|event| span.contains(&event.moment.order));
    let mut expired = events.filter_map(|event| match &event.kind {
        EventKind::Fault { expired_key: Some(key), .. } => Some((key, event.moment)),
        _ => None,
    });
    let (key, moment) = expired.next_back()?;
    let at = Words::about(case.trace).at(moment);
    Some(sentence![", after the TTL of ", shortened(key), " had ended", at])
}

fn tell(
    case: &Case<'_>,
    grants: &HashMap<(usize, usize), usize>,
    second: &SecondGrant,
) -> Statement {
    let SecondGrant { lock, holder, newcomer } = *second;
    let words = Words::about(case.trace);
    let step = |actor| case.trace.steps.get(*grants.get(&(actor, lock))?);
    let granted = |actor| step(actor).and_then(|step| step.completed()).map(|end| end.moment);
    let (first, at) = (granted(holder).unwrap_or_default(), granted(newcomer).unwrap_or_default());
    let belief = grants.get(&(holder, lock)).and_then(|step| case.belief_of(*step));
    let tenure = belief.and_then(|belief| belief.tenure).zip(case.locks.get(lock));
    let lost = tenure.and_then(|(tenure, trace)| words.end(trace, tenure, at));
    let asked = step(holder).and_then(|step| step.operation.lease);
    let leased = tenure.and_then(|(tenure, trace)| trace.tenures.get(tenure)?.leased);
    let is_short = |(asked, leased): &(u64, u64)| leased.saturating_add(ROUNDED) < *asked;
    let short = asked.zip(leased).filter(is_short);
    let short = short.map(|(_, leased)| format!(" (the key got a lease of {})", time(leased)));
    let lease = asked.map(|asked| format!(" for {}", time(asked))).unwrap_or_default();
    let lease = lease + &short.unwrap_or_default();
    let (holder_name, newcomer_name) = (words.actor(Some(holder)), words.actor(Some(newcomer)));
    let begun = [holder, newcomer].into_iter().filter_map(&step).map(|step| step.begun.order).min();
    let expired = expired_key(case, begun.unwrap_or_default()..at.order);
    let began = sentence![&*holder_name, " acquired the lock", words.at(first), lease];
    let text = match lost {
        Some(lost) => sentence![
            began,
            "; ",
            lost,
            "; ",
            newcomer_name,
            " acquired the lock",
            words.at(at),
            " while ",
            holder_name,
            " still held it",
            expired,
        ],
        None => sentence![
            began,
            " and still held it when ",
            newcomer_name,
            " acquired it",
            words.at(at),
            expired,
        ],
    };
    Statement::new(vec![holder, newcomer], at, text)
}
