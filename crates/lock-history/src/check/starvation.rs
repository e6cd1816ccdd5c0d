//! Starvation: an actor never gets the lock that another one gets again and again; and how fairly
//! each lock was given out.
//!
//! An actor starves if it never acquired the lock, and another one acquired it at least three
//! times, at least twice in a row, while the first waited in one acquire, or between the beginning
//! of the first and the end of the last of at least three acquires that were refused or ran out of
//! time. A connection of a pool is no single client, so it is not judged.

use super::access::Span;
use super::beliefs::{Belief, Ending};
use super::findings::{Findings, Statement};
use super::sentence::{AT, Sentence, sentence};
use super::trace::Step;
use super::words::Words;
use super::{Case, Fairness, Property};
use crate::history::FailureKind;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

/// How often one must try, and another get it.
const OFTEN: usize = 3;

/// How many numbers of acquisitions are given, over all locks.
const NUMBERS: usize = 4_000_000;

/// Finds each actor that starves; gives each tried lock's fairness.
pub(super) fn check(case: &Case<'_>, findings: &mut Findings) -> Vec<Fairness> {
    let tries = tries(case);
    let gains = gains(case);
    let pooled: HashSet<usize> = case.trace.head.pooled.iter().copied().collect();
    for (lock, actors) in &tries {
        let Some(gains) = gains.get(lock).filter(|_| is_lock(case, *lock)) else { continue };
        let streaks = Streaks::among(gains);
        let is_victim =
            |(actor, tries): &(&usize, &Tries)| tries.waits.is_empty() && !pooled.contains(actor);
        for (actor, tries) in actors.iter().filter(is_victim) {
            if let Some((since, until, streak)) = streaks.during(tries) {
                findings.add(Property::Starvation, *lock, || {
                    statement(case, *actor, tries, (since, until), gains, streak)
                });
            }
        }
    }
    fairness(case, &tries)
}

/// Whether an actor was seen to release what was recorded: it may be a mark that is left to expire, which keeps
/// no client waiting.
fn is_lock(case: &Case<'_>, lock: usize) -> bool {
    let is_release = |belief: &Belief| belief.lock == lock && belief.ending == Ending::Released;
    !case.trace.head.is_recording() || case.beliefs.iter().any(is_release)
}

/// How an actor tried to get a lock.
#[derive(Debug, Default)]
struct Tries {
    /// From when to when each acquire lasted that did not complete.
    vain: Vec<Span>,
    /// How many of them were refused or ran out of time.
    refused: usize,
    /// How long it waited each time that it got the lock.
    waits: Vec<u64>,
    /// When it began to wait.
    since: Option<u64>,
}

type TriesByLock = BTreeMap<usize, BTreeMap<usize, Tries>>;

fn tries(case: &Case<'_>) -> TriesByLock {
    let mut all = TriesByLock::new();
    for step in case.trace.steps.iter().filter(|step| step.is_acquire()) {
        let Some(lock) = step.operation.lock else { continue };
        let tries = all.entry(lock).or_default().entry(step.actor).or_default();
        tries.add(step, case);
    }
    all
}

impl Tries {
    fn add(&mut self, step: &Step<'_>, case: &Case<'_>) {
        let since = *self.since.get_or_insert(step.begun.at);
        if let Some(end) = step.completed() {
            self.waits.push(end.moment.at.saturating_sub(since));
            self.since = None;
            return;
        }
        let received = step.end.as_ref().map_or(case.trace.end_of_all(), |end| end.moment);
        self.vain.push(Span { sent: step.begun, received });
        let failure = step.end.as_ref().and_then(|end| end.failure).map(|failure| failure.kind);
        if matches!(failure, Some(FailureKind::AlreadyLocked | FailureKind::TimedOut)) {
            self.refused += 1;
        }
    }
}

/// The actors that got a lock, in the order of the replies.
struct Gain {
    actor: usize,
    span: Span,
}

fn gains(case: &Case<'_>) -> HashMap<usize, Vec<Gain>> {
    let mut gains: HashMap<usize, Vec<Gain>> = HashMap::new();
    for belief in case.beliefs {
        let trace = case.locks.get(belief.lock);
        let tenure = belief.tenure.zip(trace).and_then(|(tenure, trace)| trace.tenures.get(tenure));
        if let Some(tenure) = tenure {
            let gain = Gain { actor: belief.actor, span: tenure.access.span };
            gains.entry(belief.lock).or_default().push(gain);
        }
    }
    for gains in gains.values_mut() {
        gains.sort_by_key(|gain| gain.span.received);
    }
    gains
}

/// Where an actor got a lock three times, at least twice in a row: from the sending of the first to
/// the reply of the last, by the sending.
struct Streaks {
    sorted: Vec<Streak>,
    /// The one that ends first, of each and all after it.
    earliest: Vec<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Streak {
    from: u64,
    to: u64,
    /// The positions of the three.
    gains: [usize; OFTEN],
}

impl Streaks {
    fn among(gains: &[Gain]) -> Self {
        let mut by_actor: HashMap<usize, Vec<usize>> = HashMap::new();
        for (position, gain) in gains.iter().enumerate() {
            by_actor.entry(gain.actor).or_default().push(position);
        }
        let is_in_a_row = in_a_row(gains);
        let mut sorted = Vec::new();
        for positions in by_actor.values() {
            for three in positions.windows(OFTEN) {
                let Ok([first, middle, last]) = <[usize; OFTEN]>::try_from(three) else { continue };
                let row = |a: usize, b: usize| a + 1 == b && is_in_a_row.get(a) == Some(&true);
                let (Some(from), Some(to)) = (gains.get(first), gains.get(last)) else { continue };
                if row(first, middle) || row(middle, last) {
                    let (from, to) = (from.span.sent.order, to.span.received.order);
                    sorted.push(Streak { from, to, gains: [first, middle, last] });
                }
            }
        }
        sorted.sort_unstable();
        let mut earliest: Vec<usize> = Vec::with_capacity(sorted.len());
        for (position, streak) in sorted.iter().enumerate().rev() {
            let after = earliest
                .last()
                .copied()
                .filter(|after| sorted.get(*after).is_some_and(|after| after.to <= streak.to));
            earliest.push(after.unwrap_or(position));
        }
        earliest.reverse();
        Self { sorted, earliest }
    }

    /// A streak during these tries, and from when to when they went.
    fn during(&self, tries: &Tries) -> Option<(Span, Span, Streak)> {
        let (first, last) = (tries.vain.first()?, tries.vain.last()?);
        let whole = (tries.refused >= OFTEN).then_some((*first, *last));
        let each = tries.vain.iter().map(|one| (*one, *one));
        whole.into_iter().chain(each).find_map(|(first, last)| {
            let streak = self.within(first.sent.order, last.received.order)?;
            Some((first, last, streak))
        })
    }

    fn within(&self, from: u64, to: u64) -> Option<Streak> {
        let first = self.sorted.partition_point(|streak| streak.from <= from);
        let streak = self.sorted.get(*self.earliest.get(first)?)?;
        (streak.to < to).then_some(*streak)
    }
}

/// For each gain, whether the next one was the same actor's and surely no other actor's came
/// between.
fn in_a_row(gains: &[Gain]) -> Vec<bool> {
    let mut earliest_sent: Vec<u64> = Vec::with_capacity(gains.len());
    for gain in gains.iter().rev() {
        let after = earliest_sent.last().copied().unwrap_or(u64::MAX);
        earliest_sent.push(after.min(gain.span.sent.order));
    }
    earliest_sent.reverse();
    let mut before = None;
    let pairs = gains.iter().zip(gains.iter().skip(1)).enumerate();
    pairs
        .map(|(position, (gain, next))| {
            let all_before = before.is_none_or(|received| received < gain.span.sent.order);
            before = Some(gain.span.received.order);
            let after = earliest_sent.get(position + 2).copied().unwrap_or(u64::MAX);
            gain.actor == next.actor && all_before && next.span.received.order < after
        })
        .collect()
}

fn statement(
    case: &Case<'_>,
    actor: usize,
    tries: &Tries,
    (first, last): (Span, Span),
    gains: &[Gain],
    streak: Streak,
) -> Statement {
    let words = Words::about(case.trace);
    let (since, until) = (first.sent, last.received);
    let got: Vec<&Gain> = streak.gains.iter().filter_map(|gain| gains.get(*gain)).collect();
    let joints = std::iter::once(AT).chain(std::iter::repeat(", "));
    let times = got.iter().zip(joints).map(|(gain, joint)| words.when(joint, gain.span.received));
    let times = times.fold(Sentence::default(), |all, at| sentence![all, at]);
    let other = got.first().map(|gain| gain.actor);
    let how = match tries.vain.len() {
        _ if first == last => "waited".to_owned(),
        count => format!("tried {count} times"),
    };
    let text = sentence![
        words.actor(Some(actor)),
        " ",
        how,
        words.when(" from ", since),
        words.when(" to ", until),
        " and never got the lock; meanwhile ",
        words.actor(other),
        format!(" acquired it {} times", got.len()),
        times,
    ];
    Statement::new(std::iter::once(actor).chain(other).collect(), until, text)
}

fn fairness(case: &Case<'_>, tries: &TriesByLock) -> Vec<Fairness> {
    let actors = case.trace.head.actors.len();
    let room = NUMBERS.checked_div(actors).unwrap_or(0).max(1);
    let of_lock = |(lock, tries): (&usize, &BTreeMap<usize, Tries>)| {
        let mut acquisitions = vec![0; actors];
        let mut waits = Vec::new();
        for (actor, tries) in tries {
            if let Some(count) = acquisitions.get_mut(*actor) {
                *count = tries.waits.len() as u64;
            }
            waits.extend(&tries.waits);
        }
        waits.sort_unstable();
        Fairness {
            lock: *lock,
            acquisitions,
            wait_p50: percentile(&waits, 50),
            wait_p99: percentile(&waits, 99),
            wait_max: percentile(&waits, 100),
        }
    };
    tries.iter().take(room).map(of_lock).collect()
}

/// The nearest rank: the smallest wait such that this percentage of all waits is at most as long.
fn percentile(sorted: &[u64], percent: usize) -> Duration {
    let rank = sorted.len().saturating_mul(percent).div_ceil(100);
    let wait = rank.checked_sub(1).and_then(|position| sorted.get(position));
    Duration::from_nanos(wait.copied().unwrap_or(0))
}
