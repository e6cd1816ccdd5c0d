//! Stuck lock: no actor is left, and the lock is still there. In a recording, which ends before its actors do: the
//! lock has no TTL, its holder is gone or was never seen, and every attempt to acquire it was refused.

use super::findings::{Findings, Statement};
use super::sentence::{Sentence, sentence};
use super::tenure::LockTrace;
use super::words::{Words, time, token};
use super::{Case, Property, beliefs::Ending};
use crate::history::{Change, EventKind, FailureKind, Left, Moment, Verb};
use std::collections::{BTreeMap, HashSet};

/// How many attempts a lock without a holder must have refused.
const REFUSALS: usize = 10;
/// How much time must be between the first and the last, in nanoseconds.
const LONG: u64 = 1_000_000_000;

/// Finds each lock that was left behind.
pub(super) fn check(case: &Case<'_>, findings: &mut Findings) {
    for (lock, trace) in case.locks.iter().enumerate() {
        let Some((moment, left)) = trace.left else { continue };
        if let Some(key) = stuck(left) {
            let statement = || match case.trace.head.sharing {
                Some(_) => shared_statement(case, moment, left),
                None => statement(case, trace, moment, left, key),
            };
            findings.add(Property::StuckLock, lock, statement);
        }
    }
    for (lock, unheld) in refusals(case) {
        if let Some(statement) = unheld.statement(case, lock) {
            findings.add(Property::StuckLock, lock, || statement);
        }
    }
}

/// The token of a lock that was left behind. One that a fresh client can acquire is free, whatever its key
/// holds, and one that another client holds is not left behind.
pub(super) fn stuck(left: &Left) -> Option<&String> {
    left.token.as_ref().filter(|_| left.acquirable != Some(true) && !left.held_elsewhere)
}

/// A lock in a recording that has no TTL, and whose holder is gone or was never seen.
struct Unheld {
    holder: usize,
    tenure: usize,
    since: Moment,
    /// Attempts to acquire it that were refused.
    refused: Vec<Moment>,
    tried: HashSet<usize>,
    /// All whose commands were about it.
    all: HashSet<usize>,
}

/// Such locks, with the attempts to acquire them.
fn refusals(case: &Case<'_>) -> BTreeMap<usize, Unheld> {
    let head = case.trace.head;
    let absent: HashSet<usize> = head.never_seen.iter().chain(&head.gone).copied().collect();
    let locks = case.locks.iter().enumerate().filter(|(_, trace)| trace.left.is_none());
    let unheld = locks.filter_map(|(lock, trace)| Some((lock, Unheld::of(trace, &absent)?)));
    let mut unheld: BTreeMap<usize, Unheld> = unheld.collect();
    if unheld.is_empty() {
        return unheld;
    }
    for event in case.trace.events {
        match &event.kind {
            // What happened meanwhile was not seen.
            EventKind::Fault { effects, .. } if effects.is_empty() => {
                unheld.retain(|_, one| one.since > event.moment);
            }
            EventKind::Command(command) => {
                for effect in &command.effects {
                    let one = unheld.get_mut(&effect.lock);
                    let (Some(one), Some(actor)) = (one, event.actor) else { continue };
                    one.note(actor, event.moment, &effect.change);
                }
            }
            _ => {}
        }
    }
    unheld
}

impl Unheld {
    fn of(trace: &LockTrace<'_>, absent: &HashSet<usize>) -> Option<Self> {
        let last = trace.tenures.len().checked_sub(1)?;
        let tenure = trace.tenures.get(last)?;
        let holder = tenure.access.actor.filter(|actor| absent.contains(actor))?;
        let since = tenure.access.span.received;
        let is_altered = trace.alterations.iter().any(|it| it.access.span.received > since);
        let is_left = tenure.end.is_none() && tenure.leased.is_none() && !is_altered;
        let (refused, tried, all) = Default::default();
        is_left.then_some(Self { holder, tenure: last, since, refused, tried, all })
    }

    fn note(&mut self, actor: usize, at: Moment, change: &Change) {
        if actor == self.holder || at <= self.since {
            return;
        }
        self.all.insert(actor);
        if *change == Change::Refused {
            self.refused.push(at);
            self.tried.insert(actor);
        }
    }

    /// What is said of it, if it is stuck. One that never tries to acquire it may be the holder.
    fn statement(&self, case: &Case<'_>, lock: usize) -> Option<Statement> {
        let (first, last) = (*self.refused.first()?, *self.refused.last()?);
        let is_long = last.at.saturating_sub(first.at) >= LONG;
        if self.refused.len() < REFUSALS || !is_long || self.tried != self.all {
            return None;
        }
        let words = Words::about(case.trace);
        let began = if case.trace.head.never_seen.contains(&self.holder) {
            sentence![words.lock(lock), " was held when the recording began"]
        } else {
            let trace = case.locks.get(lock)?;
            let closed =
                format!("; the connection of {} was closed", words.actor(Some(self.holder)));
            sentence![words.beginning(trace, self.tenure), closed, " without a release"]
        };
        let text = sentence![
            began,
            "; it has no TTL, and all ",
            self.refused.len().to_string(),
            " attempts to acquire it were refused, the first",
            words.at(first),
            ", the last",
            words.at(last),
        ];
        Some(Statement::new(vec![self.holder], last, text))
    }
}

/// Until when a lock that was left behind stays.
fn ends(left: &Left) -> String {
    match u64::try_from(left.ttl_ms) {
        Ok(left) => format!("with {} of its lease left", time(left.saturating_mul(1_000_000))),
        Err(_) => "without a TTL: it stays until it is deleted".into(),
    }
}

/// Of a lock that actors share, the key doesn't say whose part was left: it may be that of one that crashed.
fn shared_statement(case: &Case<'_>, moment: Moment, left: &Left) -> Statement {
    let words = Words::about(case.trace);
    let mut crashes = case.trace.events.iter().filter(|event| match &event.kind {
        EventKind::Failed { failure, .. } => failure.kind == FailureKind::Crashed,
        EventKind::Ended { failure: Some(failure) } => failure.kind == FailureKind::Crashed,
        _ => false,
    });
    let crashed = crashes.find_map(|event| Some((event.actor?, event.moment)));
    let began = crashed
        .map(|(actor, at)| sentence![words.actor(Some(actor)), " crashed", words.at(at), "; "]);
    let (at, ends) = (words.at(moment), ends(left));
    let text = sentence![began, "when no actor was left", at, ", the lock was still there, ", ends];
    Statement::new(crashed.map(|(actor, _)| actor).into_iter().collect(), moment, text)
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
    let ends = ends(left);
    let text = sentence![
        began,
        why,
        "; when no actor was left",
        words.at(moment),
        ", the lock was still there, ",
        ends,
    ];
    Statement::new(owner.into_iter().collect(), moment, text)
}
