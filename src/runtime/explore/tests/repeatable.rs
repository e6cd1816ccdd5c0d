//! That the same exploration comes to the same, and that one that can't is no result.

use super::*;
use crate::lock::{Acquisition, Caller, LockError, LockName, TokenSlot};
use crate::scenario::catalogue;
use std::sync::atomic::{AtomicU32, Ordering};

fn builtin(name: &str) -> Scenario {
    catalogue().unwrap().into_iter().find(|scenario| scenario.name() == name).unwrap()
}

fn explored(model: &Model, bounds: &Bounds) -> Explored {
    let mut explored = explore(model, bounds, &mut |_| true).unwrap();
    explored.took = Duration::ZERO;
    explored.found.iter_mut().for_each(|it| it.took = Duration::ZERO);
    explored
}

#[test]
fn the_same_exploration_twice_comes_to_the_same() {
    let strategies =
        [Strategy::Exhaustive, Strategy::Random { seed: 7 }, Strategy::Pct { seed: 7, depth: 3 }];
    for name in ["check_then_delete", "shared_token_slot", "singleton_race"] {
        for (protocol, strategy) in
            both_protocols().into_iter().flat_map(|it| strategies.map(|strategy| (it, strategy)))
        {
            let model = model(&builtin(name), protocol, Timing::Async).unwrap();
            let bounds =
                Bounds { strategy, max_schedules: Some(500), ..bounds(Timing::Async, 1, 1) };
            assert_eq!(explored(&model, &bounds), explored(&model, &bounds), "{name} {strategy:?}");
        }
    }
}

/// The legacy protocol in a mood: every third acquire looks at the lock first.
struct Moody(AtomicU32);

static MOODY: Moody = Moody(AtomicU32::new(0));

impl Protocol for Moody {
    fn name(&self) -> &'static str {
        "legacy"
    }

    fn acquire(
        &self,
        caller: &mut Caller<'_>,
        lock: &LockName,
        slot: &TokenSlot,
        ttl: Ttl,
        floor: u64,
    ) -> std::result::Result<Acquisition, LockError> {
        if self.0.fetch_add(1, Ordering::Relaxed) % 3 == 2 {
            let _ = redis::cmd("GET").arg(lock.key()).exec(caller.link);
        }
        Legacy.acquire(caller, lock, slot, ttl, floor)
    }

    fn extend(
        &self,
        caller: &mut Caller<'_>,
        lock: &LockName,
        slot: &TokenSlot,
    ) -> std::result::Result<(), LockError> {
        Legacy.extend(caller, lock, slot)
    }

    fn release(
        &self,
        caller: &mut Caller<'_>,
        lock: &LockName,
        slot: &TokenSlot,
    ) -> std::result::Result<(), LockError> {
        Legacy.release(caller, lock, slot)
    }

    fn force_release(
        &self,
        caller: &mut Caller<'_>,
        lock: &LockName,
        slot: &TokenSlot,
    ) -> std::result::Result<(), LockError> {
        Legacy.force_release(caller, lock, slot)
    }

    fn check_write(
        &self,
        caller: &mut Caller<'_>,
        lock: &LockName,
        slot: &TokenSlot,
    ) -> std::result::Result<(), LockError> {
        Legacy.check_write(caller, lock, slot)
    }

    fn renewal(&self, ttl: Ttl) -> Option<Duration> {
        Legacy.renewal(ttl)
    }

    fn back_off(&self, failed: u32, random: u64) -> Duration {
        Legacy.back_off(failed, random)
    }

    fn is_fenced(&self) -> bool {
        Legacy.is_fenced()
    }
}

#[test]
fn what_does_not_run_the_same_way_twice_is_an_error() {
    let model = model(&builtin("check_then_delete"), &MOODY, Timing::Async).unwrap();
    let error = explore(&model, &bounds(Timing::Async, 0, 0), &mut |_| true).unwrap_err();
    assert!(matches!(error, ExploreError::NotRepeatable(_)), "{error}");
}
/// The shortest counterexample is looked for among what is known then: what is too large to explore
/// is too large to look for it everywhere.
#[test]
fn chance_does_not_end_in_a_search_through_everything() {
    let model = model(&builtin("thundering_herd"), &Legacy, Timing::Async).unwrap();
    let strategy = Strategy::Random { seed: 3 };
    let bounds = Bounds { strategy, max_schedules: Some(20), ..bounds(Timing::Async, 1, 1) };
    let explored = explored(&model, &bounds);
    assert_eq!(explored.stopped_by, Some(Limit::Schedules));
    assert!(!explored.found.is_empty() && explored.states < 50_000, "{}", explored.states);
}
