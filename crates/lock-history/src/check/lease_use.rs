//! How the leases of each lock were used: for how long locks were held, how much of the lease that
//! took, and how many leases expired under their holders.
//!
//! A lock was held from its acquire until the holder began to release it or was notified that it
//! had lost it; where the lease was extended, its use counts from the last extension. Only beliefs
//! whose end is known count, and of the shares only those whose lease is known. That a lease expired is
//! also known where the end of the belief was not seen.

use super::Case;
use super::access::Fault;
use super::beliefs::{Belief, Ending};
use crate::history::{Change, EventKind, Moment};
use std::collections::HashMap;
use std::time::Duration;

/// How the leases of one lock were used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseUse {
    /// The lock's position in the history's head.
    pub lock: usize,
    /// How often it was held until an end that was seen.
    pub acquisitions: u64,
    /// The p50 of the times held.
    pub held_p50: Duration,
    /// 99 of 100 at most this long.
    pub held_p99: Duration,
    /// The longest.
    pub held_max: Duration,
    /// The share of the lease that was used, if any lease is known.
    pub share: Option<Shares>,
    /// How many leases expired while their holders still held on: they were too short.
    pub too_short: u64,
}

/// Shares of leases in thousandths: 1000 is all of it, more is longer than it lasted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// Half used at most this share.
    pub p50: u64,
    /// 99 of 100 at most this share.
    pub p99: u64,
    /// The largest.
    pub max: u64,
}

/// Measures the use of each lock's leases; locks that were never held are left out.
pub(super) fn measure(case: &Case<'_>) -> Vec<LeaseUse> {
    let mut held: Vec<Vec<&Belief>> = vec![Vec::new(); case.locks.len()];
    for belief in case.beliefs.iter().filter(|belief| belief.ending != Ending::Open) {
        if let Some(held) = held.get_mut(belief.lock) {
            held.push(belief);
        }
    }
    let leases = leases(case);
    let held = held.into_iter().enumerate().filter(|(_, held)| !held.is_empty());
    held.map(|(lock, held)| of_lock(case, lock, &held, &leases)).collect()
}

/// Each time that an actor set a lease: when, and for how long.
type Leases = HashMap<(usize, usize), Vec<(Moment, u64)>>;

fn leases(case: &Case<'_>) -> Leases {
    let mut leases = Leases::new();
    for event in case.trace.events {
        let (Some(actor), EventKind::Command(command)) = (event.actor, &event.kind) else {
            continue;
        };
        for effect in &command.effects {
            if let Change::Took { lease: Some(lease), .. }
            | Change::Overwrote { lease: Some(lease), .. }
            | Change::Extended { lease } = &effect.change
            {
                leases.entry((actor, effect.lock)).or_default().push((event.moment, *lease));
            }
        }
    }
    leases
}

fn of_lock(case: &Case<'_>, lock: usize, held: &[&Belief], leases: &Leases) -> LeaseUse {
    let mut durations: Vec<u64> = Vec::with_capacity(held.len());
    let mut shares: Vec<u64> = Vec::new();
    let mut too_short = 0;
    for belief in held {
        too_short += u64::from(is_too_short(case, belief));
        if belief.ending == Ending::Unseen {
            continue;
        }
        let until = belief.surely_until.at;
        let is_before = |(at, _): &(Moment, u64)| at.order <= belief.surely_until.order;
        durations.push(until.saturating_sub(belief.from.at));
        let set = leases.get(&(belief.actor, lock)).map(Vec::as_slice).unwrap_or_default();
        let set = set.get(..set.partition_point(is_before)).unwrap_or_default();
        if let Some((at, lease)) = set.last().filter(|(_, lease)| *lease > 0) {
            shares.push(until.saturating_sub(at.at).saturating_mul(1000) / lease);
        }
    }
    durations.sort_unstable();
    shares.sort_unstable();
    let held = |percent: usize| Duration::from_nanos(*rank(&durations, percent).unwrap_or(&0));
    let share = |percent: usize| rank(&shares, percent).copied();
    LeaseUse {
        lock,
        acquisitions: u64::try_from(durations.len()).unwrap_or(u64::MAX),
        held_p50: held(50),
        held_p99: held(99),
        held_max: held(100),
        share: share(50).zip(share(99)).zip(share(100)).map(|((p50, p99), max)| Shares {
            p50,
            p99,
            max,
        }),
        too_short,
    }
}

/// Whether the lease was over before its holder let go.
pub(super) fn is_too_short(case: &Case<'_>, belief: &Belief) -> bool {
    let trace = case.locks.get(belief.lock).zip(belief.tenure);
    let Some(tenure) = trace.and_then(|(trace, tenure)| trace.tenures.get(tenure)) else {
        return false;
    };
    let is_gone = tenure.lease.is_some_and(|lease| lease.gone_at <= belief.surely_until.at);
    let is_seen_to_expire = tenure.end.as_ref().is_some_and(|end| {
        let received = end.access.span.received;
        let is_before = received.order <= belief.surely_until.order;
        // Where it was seen until then, and not from then on.
        let is_until = belief.ending == Ending::Unseen && received.at <= belief.surely_until.at;
        matches!(end.access.fault, Some(Fault::LeaseExpired)) && (is_before || is_until)
    });
    is_gone || is_seen_to_expire
}

/// The value that this percentage does not exceed.
fn rank(sorted: &[u64], percent: usize) -> Option<&u64> {
    let place = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(place - 1)
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use crate::history::{
        Change, Command, Effect, Event, EventKind, Head, History, Moment, Operation,
    };
    use std::time::Duration;

    const MS: u64 = 1_000_000;

    /// An actor that holds a lock with a lease of 100 ms for so long, each time.
    fn held(milliseconds: &[u64]) -> History {
        let mut events = Vec::new();
        let mut now = 0;
        let mut add_event = |at: u64, kind: EventKind| {
            let order = events.len() as u64;
            events.push(Event { moment: Moment { order, at }, actor: Some(0), kind });
        };
        add_event(0, EventKind::Started);
        for (number, held) in milliseconds.iter().enumerate() {
            let token = format!("t{number}");
            let step = |verb: &'static str, number: usize| Operation {
                number,
                verb: verb.into(),
                lock: Some(0),
                token: Some(token.clone()),
                ..Operation::default()
            };
            let command = |at: u64, order: u64, change: Change| {
                EventKind::Command(Command {
                    sent: Moment { order, at },
                    effects: vec![Effect { lock: 0, change }],
                    ..Command::default()
                })
            };
            let took = Change::Took { token: token.clone(), fence: None, lease: Some(100 * MS) };
            let first = number as u64 * 6 + 1;
            add_event(now, EventKind::Invoked(step("acquire", 2 * number)));
            add_event(now, command(now, first, took));
            add_event(now, EventKind::Completed(step("acquire", 2 * number)));
            now += held * MS;
            add_event(now, EventKind::Invoked(step("release", 2 * number + 1)));
            let deleted = Change::Deleted { token: Some(token.clone()) };
            add_event(now, command(now, first + 3, deleted));
            add_event(now, EventKind::Completed(step("release", 2 * number + 1)));
        }
        add_event(now, EventKind::Ended { failure: None });
        let head = Head { actors: vec!["A".into()], locks: vec!["k".into()], ..Head::default() };
        History { head, events, is_complete: true }
    }

    #[test]
    fn durations_and_shares_are_those_of_the_beliefs() {
        let used = check(&held(&[10, 20, 30, 50])).lease_use;
        assert_eq!(used.len(), 1);
        assert_eq!(used[0].acquisitions, 4);
        let ms = Duration::from_millis;
        assert_eq!(
            (used[0].held_p50, used[0].held_p99, used[0].held_max),
            (ms(20), ms(50), ms(50))
        );
        let share = used[0].share.unwrap();
        assert_eq!((share.p50, share.p99, share.max), (200, 500, 500));
        assert_eq!(used[0].too_short, 0);
    }

    #[test]
    fn a_lease_that_ended_under_its_holder_was_too_short() {
        let used = check(&held(&[10, 150])).lease_use;
        assert_eq!(used[0].too_short, 1);
        assert_eq!(used[0].share.unwrap().max, 1500);
    }

    #[test]
    fn a_lock_that_was_never_held_is_left_out() {
        assert_eq!(check(&held(&[])).lease_use, []);
    }
}
