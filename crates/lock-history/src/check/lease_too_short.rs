//! Lease too short: leases expired while their holders still held on. It is a matter of how long work
//! takes, so it is said of locks that were watched at work, not of scenarios, which let leases expire on
//! purpose.

use super::access::Fault;
use super::beliefs::{Belief, Ending};
use super::findings::{Findings, Statement};
use super::lease_use::{LeaseUse, is_too_short};
use super::sentence::Sentence;
use super::words::time;
use super::{Case, Property};
use std::collections::HashSet;
use std::time::Duration;

/// Where the ends of beliefs were not seen, leases are said to be too short if at least this number
/// expired, and at least half of all.
const SEVERAL: usize = 3;

/// The acquires whose leases are said to be too short: what followed from their expiry has them as its
/// cause.
#[derive(Debug, Default)]
pub(super) struct Expired(HashSet<usize>);

impl Expired {
    /// What a finding follows from that the end of this belief's tenure led to.
    pub fn cause(&self, belief: &Belief) -> Option<Property> {
        self.0.contains(&belief.step).then_some(Property::LeaseTooShort)
    }
}

/// Finds each lock whose leases are too short.
pub(super) fn check(case: &Case<'_>, lease_use: &[LeaseUse], findings: &mut Findings) -> Expired {
    let mut blamed = Expired::default();
    if !case.trace.head.is_recording() {
        return blamed;
    }
    for used in lease_use {
        let of_lock = || case.beliefs.iter().filter(|belief| belief.lock == used.lock);
        let expired: Vec<&Belief> = of_lock().filter(|belief| is_too_short(case, belief)).collect();
        let seen = expired.iter().filter(|belief| !is_out_of_sight(belief)).count();
        // What no client ever releases may be meant to expire.
        let is_released = of_lock().any(|belief| belief.ending == Ending::Released);
        let is_likely =
            is_released && expired.len() >= SEVERAL && expired.len() * 2 >= of_lock().count();
        let text = match (seen, is_likely) {
            (0, false) => continue,
            (0, true) => unseen(expired.len(), of_lock().count(), lease(case, &expired)),
            _ => held_longer(seen, used, lease(case, &expired)),
        };
        let Some(last) = expired.last() else { continue };
        let mut actors: Vec<usize> = expired.iter().map(|belief| belief.actor).collect();
        actors.sort_unstable();
        actors.dedup();
        let by_lease = expired.iter().filter(|belief| is_ended_by_lease(case, belief));
        blamed.0.extend(by_lease.map(|belief| belief.step));
        findings
            .add(Property::LeaseTooShort, used.lock, || Statement::new(actors, last.until, text));
    }
    blamed
}

/// Whether nothing else ended the tenure before its lease was over.
fn is_ended_by_lease(case: &Case<'_>, belief: &Belief) -> bool {
    let trace = case.locks.get(belief.lock).zip(belief.tenure);
    let tenure = trace.and_then(|(trace, tenure)| trace.tenures.get(tenure));
    let end = tenure.and_then(|tenure| tenure.end.as_ref());
    end.is_none_or(|end| matches!(end.access.fault, Some(Fault::LeaseExpired)))
}

/// Whether it was not seen until when the holder held on, or whether it did.
fn is_out_of_sight(belief: &Belief) -> bool {
    matches!(belief.ending, Ending::Unseen | Ending::Crashed | Ending::Open)
}

/// The longest lease that expired.
fn lease(case: &Case<'_>, expired: &[&Belief]) -> Option<u64> {
    let lease = |belief: &&Belief| {
        let tenure = case.locks.get(belief.lock)?.tenures.get(belief.tenure?)?;
        tenure.leased
    };
    expired.iter().filter_map(lease).max()
}

fn held_longer(expired: usize, used: &LeaseUse, lease: Option<u64>) -> Sentence {
    let held = u64::try_from(used.held_max.as_nanos()).unwrap_or(u64::MAX);
    let lease = lease.map(|lease| format!(", with a lease of {}", time(lease))).unwrap_or_default();
    Sentence::from(format!(
        "{expired} of {} leases expired while the lock was held; it was held for up to {}{lease}; a TTL of \
         {} would do",
        used.acquisitions,
        time(held),
        time(enough(used.held_max))
    ))
}

fn unseen(expired: usize, all: usize, lease: Option<u64>) -> Sentence {
    let lease = lease.map(|lease| format!(" of {}", time(lease))).unwrap_or_default();
    Sentence::from(format!(
        "{expired} of {all} leases{lease} expired without a release: they are too short, or the holders \
         crashed"
    ))
}

/// A TTL that is about twice what the lock was held for, in one digit.
fn enough(held: Duration) -> u64 {
    let held = u64::try_from(held.as_nanos()).unwrap_or(u64::MAX);
    let twice = held.saturating_mul(2).max(2_000_000);
    let unit = 10_u64.pow(twice.ilog10());
    let rounded = twice.saturating_add(unit / 2) / unit * unit;
    if rounded > held { rounded } else { twice }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ttl_that_would_do_is_about_twice_the_time_held() {
        for (held, enough_ms) in [(301, 600), (10, 20), (55, 100), (4_700, 9_000), (0, 2)] {
            assert_eq!(enough(Duration::from_millis(held)) / 1_000_000, enough_ms, "{held}");
        }
    }
}
