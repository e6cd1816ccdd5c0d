//! Flag drift: the mirror flag says something else than the lock key, when no actor is active or while an
//! actor works that holds the lock.

use super::access::{Access, Span};
use super::beliefs::Belief;
use super::findings::{Findings, Statement};
use super::sentence::sentence;
use super::tenure::LockTrace;
use super::words::Words;
use super::{Case, Property};
use crate::history::{EventKind, Left, Moment};

/// Finds each flag that says something else than the lock key.
pub(super) fn check(case: &Case<'_>, findings: &mut Findings) {
    for (lock, trace) in case.locks.iter().enumerate() {
        let Some((moment, left)) = trace.left else { continue };
        if drifts(left) {
            findings.add(Property::FlagDrift, lock, || statement(case, trace, moment, left));
        }
    }
    // A recording sees a holder's commands on the lock, and not whether it works.
    let beliefs = if case.trace.head.is_recording() { &[] } else { case.beliefs };
    for belief in beliefs {
        if let Some((lowered, moment)) = lowered_under(case, belief) {
            findings.add(Property::FlagDrift, belief.lock, || {
                statement_under(case, belief, &lowered, moment)
            });
        }
    }
}

/// Whether the flag says something else than the lock key. A client that holds the lock may be about to
/// set it.
pub(super) fn drifts(left: &Left) -> bool {
    left.flag != left.token.is_some() && !left.held_elsewhere
}

/// What set the flag of a holder to free that had set it, and when the holder certainly held the lock since,
/// without a flag: at the beginning of a step.
fn lowered_under<'a>(case: &Case<'a>, belief: &'a Belief) -> Option<(Access<'a>, Moment)> {
    let trace = case.locks.get(belief.lock)?;
    let tenure = belief.tenure?;
    let taken = trace.tenures.get(tenure)?.access.span;
    let first =
        trace.flags.partition_point(|(access, _)| access.span.received.order < taken.sent.order);
    let flags = trace.flags.get(first..)?;
    let raisings = || flags.iter().filter(|(_, locked)| *locked).map(|(access, _)| access.span);
    let lowerings = flags.iter().filter(|(_, locked)| !locked).map(|(access, _)| *access);
    lowerings
        .take_while(|lowered| lowered.span.received.order < belief.surely_until.order)
        .filter(|lowered| {
            let is_of_tenure =
                |it: &Span| it.received.order == taken.received.order || taken.is_before(*it);
            raisings().any(|raised| is_of_tenure(&raised) && raised.is_before(lowered.span))
        })
        .find_map(|lowered| {
            let may_be_raised =
                |by: Moment| raisings().any(|it| !it.is_before(lowered.span) && it.sent < by);
            let mut steps = steps_of_holder(case, belief, lowered.span.received)?;
            let moment = steps.find(|moment| {
                moment.order <= case.trace.hidden_from.order
                    && !may_be_raised(*moment)
                    && trace.certainly_lasts(tenure, *moment)
            })?;
            Some((lowered, moment))
        })
}

/// When the actor began a step, as long as it certainly believed.
fn steps_of_holder<'a>(
    case: &Case<'a>,
    belief: &'a Belief,
    after: Moment,
) -> Option<impl Iterator<Item = Moment> + use<'a>> {
    let after = after.max(belief.from);
    let events = case.trace.events;
    let next = events.partition_point(|event| event.moment.order <= after.order);
    let steps = events
        .get(next..)?
        .iter()
        .take_while(|event| event.moment.order <= belief.surely_until.order)
        .filter(|event| matches!(event.kind, EventKind::Invoked(_)))
        .filter(|event| event.actor == Some(belief.actor));
    Some(steps.map(|event| event.moment))
}

fn statement_under(
    case: &Case<'_>,
    belief: &Belief,
    lowered: &Access<'_>,
    moment: Moment,
) -> Statement {
    let words = Words::about(case.trace);
    let beginning = case.locks.get(belief.lock).zip(belief.tenure);
    let beginning = beginning.map(|(trace, tenure)| words.beginning(trace, tenure));
    let text = sentence![
        beginning.map(|beginning| sentence![beginning, "; "]),
        words.access(lowered),
        " set the flag to free",
        words.at(lowered.span.received),
        "; ",
        words.actor(Some(belief.actor)),
        " still held the lock",
        words.at(moment),
        ", and the flag said free",
    ];
    let actors = std::iter::once(belief.actor).chain(lowered.actor).collect();
    Statement::new(actors, moment, text)
}

fn statement(case: &Case<'_>, trace: &LockTrace<'_>, moment: Moment, left: &Left) -> Statement {
    let words = Words::about(case.trace);
    let flagged = trace.flags.last().map(|(access, _)| access);
    let set = flagged.map(|access| {
        let at = words.at(access.span.received);
        sentence![words.access(access), " set the flag for the last time", at]
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
    let last = flagged.and_then(|access| access.actor);
    let last = last.or_else(|| trace.tenures.last().and_then(|tenure| tenure.access.actor));
    Statement::new(last.into_iter().collect(), moment, text)
}
