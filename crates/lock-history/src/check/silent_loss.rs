//! Silent loss: an actor lost its lock and finished without being notified.
//!
//! A belief counts if it ended without notice (its release completed, the actor ended well, or it
//! acquired the lock again), and its tenure was surely over before that, and neither the actor's
//! own deletion nor its own overwriting may have been what ended it. A release that comes late,
//! when its sender has acquired the lock again, was meant for an earlier tenure: it ends this one
//! as another actor's would.

use super::access::Access;
use super::beliefs::{Belief, Ending};
use super::findings::{Findings, Statement};
use super::lease_too_short::Expired;
use super::sentence::sentence;
use super::tenure::Tenure;
use super::words::Words;
use super::{Case, Property};
use crate::history::Verb;

/// Finds each loss of which the actor was not notified.
pub(super) fn check(case: &Case<'_>, expired: &Expired, findings: &mut Findings) {
    for belief in case.beliefs {
        let Some(trace) = case.locks.get(belief.lock) else { continue };
        let tenure = belief.tenure.and_then(|tenure| trace.tenures.get(tenure));
        let Some(tenure) = tenure.filter(|_| belief.ending.is_unnotified()) else { continue };
        if is_lost(tenure, belief) {
            findings.add(Property::SilentLoss, belief.lock, || Statement {
                cause: expired.cause(belief),
                ..statement(case, belief)
            });
        }
    }
}

fn is_lost(tenure: &Tenure<'_>, belief: &Belief) -> bool {
    match tenure.own_end.filter(|own_end| own_end.span.sent.order <= belief.until.order) {
        Some(own_end) if was_meant_for_another(&own_end, tenure, belief) => {
            tenure.is_over_before(belief.until)
        }
        Some(own_end) => tenure.is_over_before(own_end.span.sent),
        // It gave nothing back, so what is over by then was ended by something else.
        None => tenure.is_over_before(belief.until),
    }
}

/// Whether an access is a release that was given up, and that came while the actor held the lock again and
/// had not begun to give it back.
fn was_meant_for_another(access: &Access<'_>, tenure: &Tenure<'_>, belief: &Belief) -> bool {
    let sent = access.span.sent;
    access.late.is_some_and(Verb::releases)
        && tenure.access.span.is_before(access.span)
        && sent.order < belief.given_back.order
}

fn statement(case: &Case<'_>, belief: &Belief) -> Statement {
    let words = Words::about(case.trace);
    let name = words.actor(Some(belief.actor));
    let trace = case.locks.get(belief.lock);
    let end = trace.zip(belief.tenure).and_then(|(trace, own)| words.end(trace, own, belief.until));
    let end = end.unwrap_or_else(|| format!("{name}'s lock was gone").into());
    let how = match belief.ending {
        Ending::Ended => "it ended",
        Ending::Superseded => "it acquired the lock anew",
        _ => "its release completed",
    };
    let next = trace.zip(belief.tenure).and_then(|(trace, own)| {
        let next = trace.tenures.get(own + 1)?;
        let is_known = next.access.span.received.order <= belief.until.order;
        let other = next.access.actor.filter(|actor| *actor != belief.actor && is_known)?;
        Some((other, words.beginning(trace, own + 1)))
    });
    let acquired = next.as_ref().map(|(_, acquired)| sentence!["; ", acquired.clone()]);
    let until = words.at(belief.until);
    let text = sentence![
        end,
        acquired,
        "; ",
        name,
        " thought it held the lock until ",
        how,
        until,
        ", and was never notified of the loss",
    ];
    let ended_by = trace.zip(belief.tenure).and_then(|(trace, own)| trace.tenures.get(own)?.end);
    let ended_by = ended_by.and_then(|end| end.access.actor);
    let mut actors = vec![belief.actor];
    for other in [next.map(|(other, _)| other), ended_by].into_iter().flatten() {
        if !actors.contains(&other) {
            actors.push(other);
        }
    }
    Statement::new(actors, belief.until, text)
}
