//! Which TTLs can end next, where time is no part of what is explored: a key whose TTL was set at the same
//! time as that of another, or later, does not expire before that one, unless its TTL is shorter.
//!
//! Only pairs with a key that is no lock's are ordered so. The leases of two locks may end in any order.

use super::Turn;
use crate::lock::LockName;
use redis_sim::{Lease, requests};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// In which order the TTLs of keys were set: the ranks of keys. One without a rank was set at a time that is
/// not known, or before all that have one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct TtlOrder(BTreeMap<Vec<u8>, u32>);

/// A TTL that can end.
struct Ttl<'a> {
    key: &'a [u8],
    turn: Turn,
    rank: u32,
    end: Duration,
}

/// Whether all TTLs that a request sets are counted from the same moment: it is one command or a transaction,
/// and names no time of day.
pub(super) fn sets_at_once(packed: &[u8]) -> bool {
    let requests = requests(packed);
    let is_atomic = match requests.as_slice() {
        [_] => true,
        [first, ..] => first.iter().all(|word| word.eq_ignore_ascii_case(b"MULTI")),
        [] => false,
    };
    let names_a_time = |word: &&[u8]| {
        let word = word.to_ascii_uppercase();
        let has = |option: &[u8]| word.windows(option.len()).any(|part| part == option);
        has(b"EXAT") || has(b"PXAT") || has(b"EXPIREAT")
    };
    is_atomic && !requests.iter().flatten().any(names_a_time)
}

impl TtlOrder {
    /// The order after a request, or after TTLs that ended: of what was there before, and of what is there now.
    pub fn after(
        &self,
        [before, now]: [&[Lease]; 2],
        sets_at_once: bool,
        locks: &[LockName],
    ) -> Self {
        if now.iter().all(|lease| lock_of(&lease.key, locks).is_some()) {
            return Self::default();
        }
        let newest = self.0.values().max().map_or(1, |rank| rank + 1);
        let rank = |lease: &Lease| match before.iter().find(|it| it.key == lease.key) {
            _ if lease.set.is_none() => 0,
            Some(known) if known.set == lease.set => self.rank(&lease.key),
            _ if sets_at_once => newest,
            _ => 0,
        };
        let ranks = now.iter().map(|lease| (lease.key.clone(), rank(lease)));
        let ranks: BTreeMap<_, _> = ranks.filter(|(_, rank)| *rank > 0).collect();
        // The same order has the same ranks.
        let all: BTreeSet<u32> = ranks.values().copied().collect();
        let dense = |rank: u32| all.range(..=rank).count() as u32;
        Self(ranks.into_iter().map(|(key, rank)| (key, dense(rank))).collect())
    }

    /// The TTLs of these that can end next. Of those that end at the same moment it is the first.
    pub fn expiries(&self, leases: &[Lease], locks: &[LockName]) -> Vec<Turn> {
        let ttls = self.ttls(leases, locks);
        let waits = |ttl: &Ttl<'_>| {
            let ends_before = |it: &Ttl<'_>| {
                let is_tied = ttl.is_tied_to(it);
                let is_earlier = ttl.rank > 0 && it.rank <= ttl.rank && it.end <= ttl.end;
                is_tied && it.turn < ttl.turn || !is_tied && is_earlier
            };
            ttls.iter().any(|it| ttl.is_ordered_with(it) && ends_before(it))
        };
        ttls.iter().filter(|ttl| !waits(ttl)).map(|ttl| ttl.turn).collect()
    }

    /// The keys that expire at the same moment as another.
    pub fn tied(&self, turn: Turn, leases: &[Lease], locks: &[LockName]) -> Vec<Vec<u8>> {
        let ttls = self.ttls(leases, locks);
        let Some(one) = ttls.iter().find(|ttl| ttl.turn == turn) else { return Vec::new() };
        let tied = ttls.iter().filter(|ttl| ttl.turn != turn && one.is_tied_to(ttl));
        tied.map(|ttl| ttl.key.to_vec()).collect()
    }

    /// All TTLs, by their turns.
    fn ttls<'a>(&self, leases: &'a [Lease], locks: &[LockName]) -> Vec<Ttl<'a>> {
        let mut others = 0..;
        let ttl = |lease: &'a Lease| {
            let turn = match lock_of(&lease.key, locks) {
                Some(lock) => Turn::Expire(lock),
                None => Turn::ExpireKey(others.next().unwrap_or_default()),
            };
            Ttl { key: &lease.key, turn, rank: self.rank(&lease.key), end: lease.end }
        };
        let mut ttls: Vec<Ttl<'a>> = leases.iter().map(ttl).collect();
        ttls.sort_by_key(|ttl| ttl.turn);
        ttls
    }

    fn rank(&self, key: &[u8]) -> u32 {
        self.0.get(key).copied().unwrap_or_default()
    }
}

impl Ttl<'_> {
    fn is_ordered_with(&self, other: &Self) -> bool {
        let is_other_key = |turn| matches!(turn, Turn::ExpireKey(_));
        self.turn != other.turn && (is_other_key(self.turn) || is_other_key(other.turn))
    }

    fn is_tied_to(&self, other: &Self) -> bool {
        self.rank > 0 && (self.rank, self.end) == (other.rank, other.end)
    }
}

/// The turn that ends the TTL of a key.
pub(super) fn turn_of(key: &[u8], leases: &[Lease], locks: &[LockName]) -> Option<Turn> {
    let ttls = TtlOrder::default();
    ttls.ttls(leases, locks).into_iter().find(|ttl| ttl.key == key).map(|ttl| ttl.turn)
}

/// The lock that a key is.
pub(super) fn lock_of(key: &[u8], locks: &[LockName]) -> Option<usize> {
    locks.iter().position(|lock| lock.key().as_bytes() == key)
}

#[cfg(test)]
mod tests;
