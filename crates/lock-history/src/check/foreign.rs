//! Foreign release, foreign overwrite, foreign extend: a command of one actor ends, replaces or changes
//! another actor's tenure, by whatever command and in whatever step of its own.
//!
//! Only what an actor does with its own lock counts, or a raw command of a careless client, also when
//! it reaches the server after its sender gave it up: a force-release and a clearing of locks are meant
//! to hit others.
//!
//! The lock was another owner's if the command itself compared a token that another actor acquired; or
//! if the acting actor never acquired the lock, or its latest acquisition was surely over before the
//! command was sent, so that the lock there was another's. A value may also be written where no lock
//! is: there the other's tenure must surely have lasted. Where a reply may be missing from the history,
//! the owner is not named.

use super::access::{Alteration, AlterationKind};
use super::findings::{Findings, Statement};
use super::sentence::{Sentence, sentence};
use super::tenure::{LockTrace, Tenure};
use super::words::Words;
use super::{Case, Property};
use crate::history::{Change, Moment, Verb};
use std::cell::OnceCell;
use std::collections::HashMap;

/// How far from a command its victim is looked for among tenures that ran at the same time.
const NEAR: usize = 8;

/// Finds each change of another owner's lock.
pub(super) fn check(case: &Case<'_>, findings: &mut Findings) {
    let granted = Granted::default();
    for (lock, trace) in case.locks.iter().enumerate() {
        let told = Told { case, lock, trace, granted: &granted };
        for alteration in &trace.alterations {
            let Some(actor) = alteration.access.actor else { continue };
            let verb = alteration.access.late.or_else(|| case.trace.verb(alteration.access.step));
            if !verb.is_some_and(is_for_ones_own) {
                continue;
            }
            let victim = match alteration.kind {
                AlterationKind::Deleted { token, .. } => victim(trace, alteration, actor, token),
                AlterationKind::Extended { .. } => victim(trace, alteration, actor, None),
                AlterationKind::Overwrote => overwritten(trace, alteration, actor),
            };
            if let Some(victim) = victim {
                let statement = || statement(told, alteration, actor, victim);
                findings.add(property(alteration.kind), lock, statement);
            }
        }
    }
}

fn property(kind: AlterationKind<'_>) -> Property {
    match kind {
        AlterationKind::Deleted { .. } => Property::ForeignRelease,
        AlterationKind::Overwrote => Property::ForeignOverwrite,
        AlterationKind::Extended { .. } => Property::ForeignExtend,
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

/// Whether an overwriting shows by itself that its actor claims the lock: it wrote a token. In an acquire,
/// a value without one (a counter, a mark of a client that is refused) says nothing before the answer.
pub(super) fn is_claim(change: &Change, verb: Option<&Verb>) -> bool {
    let has_token = matches!(change, Change::Overwrote { token, .. } if !token.is_empty());
    has_token || verb != Some(&Verb::Acquire)
}

/// Whether a step of this verb must change no lock but its own actor's.
pub(super) fn is_for_ones_own(verb: &Verb) -> bool {
    use Verb::{Acquire, Dump, Extend, Redis, Release};
    matches!(verb, Acquire | Extend | Dump | Release | Redis)
}

/// The tenure that a command found there, if that was surely not the acting actor's own. `token` is the one
/// that the command compared.
fn victim(
    trace: &LockTrace<'_>,
    alteration: &Alteration<'_>,
    actor: usize,
    token: Option<&str>,
) -> Option<usize> {
    let span = alteration.access.span;
    let is_anothers = |tenure: &Tenure<'_>| {
        tenure.access.actor != Some(actor)
            && tenure.access.span.sent.order <= span.received.order
            && !tenure.is_over_before(span.sent)
    };
    if let Some(token) = token.filter(|token| !trace.is_reused(token)) {
        let tenure = trace.tenure_of(token).and_then(|at| Some((at, trace.tenures.get(at)?)));
        if let Some((tenure, whose)) = tenure {
            let is_anothers = whose.access.actor != Some(actor);
            return (is_anothers && !whose.is_given_up_before(span.sent)).then_some(tenure);
        }
    }
    if has_own(trace, alteration, span.sent) {
        return None;
    }
    nearest(trace, alteration.tenures_before, is_anothers)
}

/// The tenure of another actor that surely lasted until this command replaced its value.
fn overwritten(trace: &LockTrace<'_>, alteration: &Alteration<'_>, actor: usize) -> Option<usize> {
    let span = alteration.access.span;
    if trace.deletions.overlap(span) || has_own(trace, alteration, span.sent) {
        return None;
    }
    let surely_lasted = |tenure: &Tenure<'_>| {
        let ended_here = tenure.end.is_some_and(|end| {
            end.access.span.received.order == span.received.order && end.access.actor == Some(actor)
        });
        let has_lease = tenure.lease.is_none_or(|lease| lease.at > span.received.at);
        tenure.access.actor != Some(actor)
            && ended_here
            && has_lease
            && !trace.deletions.overlap(tenure.access.span)
    };
    nearest(trace, alteration.tenures_before, surely_lasted)
}

/// Whether the actor's own latest acquisition may have lasted.
fn has_own(trace: &LockTrace<'_>, alteration: &Alteration<'_>, sent: Moment) -> bool {
    let own = alteration.own.and_then(|own| trace.tenures.get(own));
    own.is_some_and(|own| !own.is_over_before(sent))
}

/// The tenure nearest to a position, earlier ones first.
fn nearest(
    trace: &LockTrace<'_>,
    before: usize,
    is_it: impl Fn(&Tenure<'_>) -> bool,
) -> Option<usize> {
    let is_it = |position: &usize| trace.tenures.get(*position).is_some_and(&is_it);
    let first = before.saturating_sub(NEAR);
    let earlier = (first..before).rev().find(is_it);
    earlier.or_else(|| (before..before.saturating_add(NEAR)).find(is_it))
}

/// When each actor first acquired each lock by its own answer, whether the key showed it or not.
type Granted = OnceCell<HashMap<(usize, usize), Moment>>;

/// What is said of a lock is taken from these.
#[derive(Clone, Copy)]
struct Told<'a> {
    case: &'a Case<'a>,
    lock: usize,
    trace: &'a LockTrace<'a>,
    granted: &'a Granted,
}

impl Told<'_> {
    /// The first acquire of an actor, if it was before this.
    fn granted(&self, actor: usize, by: Moment) -> Option<Moment> {
        let first = || {
            // Beliefs come in the order in which they began.
            let all = self.case.beliefs.iter().rev();
            all.map(|belief| ((belief.actor, belief.lock), belief.from)).collect()
        };
        let first = self.granted.get_or_init(first).get(&(actor, self.lock)).copied();
        first.filter(|first| first.order <= by.order)
    }
}

fn statement(
    told: Told<'_>,
    alteration: &Alteration<'_>,
    actor: usize,
    victim: usize,
) -> Statement {
    let Told { case, trace, .. } = told;
    let words = Words::about(case.trace);
    let access = &alteration.access;
    let span = access.span;
    let is_seen = span.received.order < case.trace.hidden_from.order;
    let compared = matches!(alteration.kind, AlterationKind::Deleted { token: Some(_), .. });
    let victim_actor = trace.tenures.get(victim).and_then(|tenure| tenure.access.actor);
    let holder = victim_actor.filter(|_| is_seen || compared);
    let verb = access.late.or_else(|| case.trace.verb(access.step));
    let is_deleted = matches!(alteration.kind, AlterationKind::Deleted { .. });
    let did = match verb {
        Some(verb) if *verb == Verb::Release || *verb == Verb::Redis && is_deleted => {
            let late = if access.late.is_some() { "late " } else { "" };
            format!("{}'s {late}release", words.actor(Some(actor)))
        }
        _ => words.access(access),
    };
    let at = span.received;
    let changed = match alteration.kind {
        AlterationKind::Deleted { is_freed: false, .. } => "deleted",
        AlterationKind::Deleted { is_freed: true, .. } => "took away",
        AlterationKind::Overwrote => "overwrote",
        AlterationKind::Extended { .. } => "changed the lease of",
    };
    let own = own_loss(told, alteration, actor);
    let own = own.map(|own| sentence![own, "; "]);
    let text = match holder {
        Some(_) => {
            let began = words.beginning(trace, victim);
            let whose = words.actor(holder);
            sentence![own, began, "; ", did, words.at(at), " ", changed, " ", whose, "'s lock"]
        }
        None => sentence![own, did, words.at(at), " ", changed, " a lock that was not its own"],
    };
    let actors = std::iter::once(actor).chain(holder.filter(|holder| *holder != actor)).collect();
    Statement::new(actors, at, text)
}

/// How the acting actor had lost its own lock, if it had any to keep.
fn own_loss(told: Told<'_>, alteration: &Alteration<'_>, actor: usize) -> Option<Sentence> {
    let Told { case, trace, .. } = told;
    let words = Words::about(case.trace);
    let span = alteration.access.span;
    let name = words.actor(Some(actor));
    let begun = alteration.access.step.and_then(|step| case.trace.steps.get(step));
    let verb = begun.map(|step| &step.operation.verb);
    let doing = match verb {
        // It has not got the lock yet.
        Some(Verb::Acquire) => return None,
        Some(Verb::Extend) => "extending",
        Some(Verb::Dump) => "writing under",
        _ => "releasing",
    };
    let begun = begun.map_or(span.sent, |step| step.begun);
    let Some(own) = alteration.own else {
        return Some(match told.granted(actor, begun) {
            // The client's answer says so, and the key doesn't.
            Some(at) => {
                sentence![name, " acquired", words.at(at), " while the key was another client's"]
            }
            None => format!("{name} had not acquired the lock").into(),
        });
    };
    let Some(end) = words.end(trace, own, span.sent) else {
        return Some(format!("{name}'s lock was gone").into());
    };
    if !believed(case, trace, own, begun.order) {
        return Some(end);
    }
    let is_over = trace.tenures.get(own).is_some_and(|own| own.is_over_before(begun));
    Some(if is_over {
        sentence![end, " while it worked", words.when(" until ", begun)]
    } else {
        sentence![end, " while it was ", doing, " the lock"]
    })
}

/// Whether the actor of a tenure still believed in it then.
fn believed(case: &Case<'_>, trace: &LockTrace<'_>, own: usize, order: u64) -> bool {
    let step = trace.tenures.get(own).and_then(|own| own.access.step);
    let belief = step.and_then(|step| case.belief_of(step));
    belief.is_some_and(|belief| belief.surely_until.order >= order)
}
