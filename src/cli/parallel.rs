//! Several pieces of work at a time.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Does the work on each of these, `jobs` at a time, and gives what came in their order.
pub(super) fn in_parallel<T: Sync, R: Send>(
    all: &[T],
    jobs: usize,
    work: impl Fn(usize, &T) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done: Mutex<BTreeMap<usize, R>> = Mutex::default();
    let take_turns = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(one) = all.get(index) else { return };
            let result = work(index, one);
            done.lock().insert(index, result);
        }
    };
    thread::scope(|scope| {
        for _ in 1..jobs.min(all.len()) {
            // Where there can't be another thread, those that there are do it all.
            let _ = thread::Builder::new().spawn_scoped(scope, take_turns);
        }
        take_turns();
    });
    done.into_inner().into_values().collect()
}

/// How many jobs there are by default: one a core.
pub(super) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}
