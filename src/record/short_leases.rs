//! Releases by a short lease: the holder lets its lock expire soon, and does nothing more with it.
//!
//! A holder that works on acts as such later: it extends the lease again, or runs its release, which finds the
//! lock gone. Then the lease was too short.

use super::key::{Id, Outcome};
use super::observations::{Observation, Seen, What};
use super::prospect::Prospect;
use std::collections::{HashMap, HashSet};

/// A lease that was cut to less than this part of the one before may be the end of the work.
const PART: u64 = 10;

/// Within a lease that is no longer than this, in nanoseconds, no work is done.
const NO_WORK: u64 = 100_000_000;

/// The commands by which holders let their locks expire, and whether nothing else can be meant.
#[derive(Debug, Default)]
pub(super) struct ShortLeases(HashMap<Id, bool>);

/// A lease that was set.
#[derive(Debug, Clone, Copy)]
struct Set {
    /// When it expires, in microseconds since 1970.
    ends: u64,
    /// How long it is, in nanoseconds.
    lease: u64,
}

impl Set {
    fn at(one: &Observation, lease: u64) -> Self {
        Self { ends: one.at.saturating_add(lease / 1000), lease }
    }
}

impl ShortLeases {
    /// Looks at all observations.
    pub fn of(seen: &Seen, prospect: &Prospect) -> Self {
        let mut leases: HashMap<Id, Set> = HashMap::new();
        // When those without a lease began.
        let mut endless: HashMap<Id, u64> = HashMap::new();
        // By acquisition, the last command that shortened its lease.
        let mut short: HashMap<Id, (Id, bool)> = HashMap::new();
        for (id, one) in seen.observations.iter().enumerate() {
            match (&one.what, one.outcome) {
                (What::Write { lease, .. } | What::Found { lease, .. }, Outcome::Took) => {
                    match lease {
                        Some(lease) => drop(leases.insert(id, Set::at(one, *lease))),
                        None => drop(endless.insert(id, one.at)),
                    }
                }
                (What::Write { lease, .. }, Outcome::Replaced(before)) => {
                    let set = lease.map(|lease| Set::at(one, lease));
                    short.remove(&before);
                    if let Some((was, set)) = leases.get(&before).zip(set).filter(is_shorter) {
                        short.insert(id, (id, is_end(set, *was)));
                    }
                    leases.extend(set.map(|set| (id, set)));
                }
                (What::Expire { lease }, Outcome::Extended(held)) => {
                    let set = lease.map(|lease| Set::at(one, lease));
                    short.remove(&held);
                    if let Some((was, set)) = leases.get(&held).zip(set).filter(is_shorter) {
                        short.insert(held, (id, is_end(set, *was)));
                    }
                    // Without a lease, it is compared with the time for which the lock was held.
                    let since = endless.remove(&held).map(|since| one.at.saturating_sub(since));
                    let was = since.map(|held| Set { ends: u64::MAX, lease: held * 1000 });
                    if was.zip(set).is_some_and(|(was, set)| is_part(set, was)) {
                        short.insert(held, (id, set.is_some_and(|set| set.lease <= NO_WORK)));
                    }
                    leases.extend(set.map(|set| (held, set)));
                }
                (_, Outcome::Deleted(held) | Outcome::Entered(held) | Outcome::Extended(held)) => {
                    short.remove(&held);
                }
                _ => {}
            }
        }
        let call = |id: Id| seen.observations.get(id).and_then(|one| one.call);
        let is_over = |held: Id, at: Id| {
            let last = prospect.last_act(held).filter(|last| *last > at);
            last.is_none_or(|last| call(at).is_some() && call(last) == call(at))
        };
        let short = short.into_iter().filter(|(held, (at, _))| is_over(*held, *at));
        let mut short: HashMap<Id, bool> = short.map(|(_, short)| short).collect();
        let read_later = read_later(seen, &short);
        short.iter_mut().for_each(|(id, is_sure)| *is_sure &= !read_later.contains(id));
        Self(short)
    }

    /// Whether a command let the lock expire as a release, and whether that is certain.
    pub fn releases(&self, mut ids: impl Iterator<Item = Id>) -> Option<bool> {
        ids.find_map(|id| self.0.get(&id)).copied()
    }
}

fn is_shorter((was, set): &(&Set, Set)) -> bool {
    set.ends < was.ends
}

/// Whether nothing else than a release can be meant.
fn is_end(set: Set, was: Set) -> bool {
    is_part(set, was) && set.lease <= NO_WORK
}

fn is_part(set: Set, was: Set) -> bool {
    set.lease.saturating_mul(PART) <= was.lease
}

/// The commands after which their clients looked at the lock before they asked for it again.
fn read_later(seen: &Seen, short: &HashMap<Id, bool>) -> HashSet<Id> {
    let mut last: HashMap<(u32, usize), Id> = HashMap::new();
    let mut read = HashSet::new();
    for (id, one) in seen.observations.iter().enumerate() {
        let place = (one.client, one.lock);
        if short.contains_key(&id) {
            last.insert(place, id);
        } else if matches!(one.what, What::Write { .. }) || one.outcome == Outcome::Refused {
            last.remove(&place);
        } else if one.what == What::Read {
            read.extend(last.get(&place));
        }
    }
    read
}
