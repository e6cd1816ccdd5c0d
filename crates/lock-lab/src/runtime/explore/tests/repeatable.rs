//! That the same exploration comes to the same, and that one that can't is no result.

use super::*;
use crate::lock::{Acquisition, Context, LockError};
use crate::scenario::catalogue;
use std::sync::Arc;
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
            protocols().iter().flat_map(|it| strategies.map(|strategy| (it.clone(), strategy)))
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

impl LockProtocol for Moody {
    fn name(&self) -> &str {
        "legacy"
    }

    fn acquire(
        &self,
        at: &mut Context<'_>,
        ttl: Ttl,
        floor: u64,
    ) -> std::result::Result<Acquisition, LockError> {
        if self.0.fetch_add(1, Ordering::Relaxed) % 3 == 2 {
            let _ = redis::cmd("GET").arg(at.lock.key()).exec(at.link);
        }
        Legacy.acquire(at, ttl, floor)
    }

    fn extend(&self, at: &mut Context<'_>) -> std::result::Result<(), LockError> {
        Legacy.extend(at)
    }

    fn release(&self, at: &mut Context<'_>) -> std::result::Result<(), LockError> {
        Legacy.release(at)
    }

    fn force_release(&self, at: &mut Context<'_>) -> std::result::Result<(), LockError> {
        Legacy.force_release(at)
    }

    fn check_write(&self, at: &mut Context<'_>) -> std::result::Result<(), LockError> {
        Legacy.check_write(at)
    }

    fn first_command(&self) -> &str {
        Legacy.first_command()
    }
}

#[test]
fn what_does_not_run_the_same_way_twice_is_an_error() {
    let model =
        model(&builtin("check_then_delete"), Arc::new(Moody(AtomicU32::new(0))), Timing::Async)
            .unwrap();
    let error = explore(&model, &bounds(Timing::Async, 0, 0), &mut |_| true).unwrap_err();
    assert!(matches!(error, ExploreError::NotRepeatable(_)), "{error}");
    let error = error.to_string();
    let words = ["after the same replies", "\"GET ", "\"SET ", "word 1 is"];
    assert!(words.iter().all(|word| error.contains(word)), "{error}");
}
/// The shortest counterexample is looked for among what is known then: what is too large to explore
/// is too large to look for it everywhere.
#[test]
fn random_sampling_does_not_end_in_an_exhaustive_search() {
    let model = model(&builtin("thundering_herd"), Arc::new(Legacy), Timing::Async).unwrap();
    let strategy = Strategy::Random { seed: 3 };
    let bounds = Bounds { strategy, max_schedules: Some(20), ..bounds(Timing::Async, 1, 1) };
    let explored = explored(&model, &bounds);
    assert_eq!(explored.stopped_by, Some(Limit::Schedules));
    assert!(!explored.found.is_empty() && explored.states < 50_000, "{}", explored.states);
}
