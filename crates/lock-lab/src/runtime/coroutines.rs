//! Each task a coroutine on one thread and a virtual clock. Before every Redis command and every
//! pause point the others get their turn, in an order that the seed decides; time advances only
//! when no task can go on.

use super::task::CoroutineTask;
use super::yield_point::{Resume, Yield, YieldPoints};
use super::{Buffer, World};
use crate::rng::Rng;
use crate::server::ServerError;
use redis_sim::clock::{Clock, VirtualClock};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// Runs all tasks to their end.
pub(super) fn run(
    world: &Arc<World>,
    clock: &Arc<VirtualClock>,
    tasks: Vec<Range<usize>>,
) -> Result<Vec<Buffer>, ServerError> {
    let identity = &world.setup.identity;
    let task = |actors| {
        let time = Arc::clone(clock);
        let task = CoroutineTask::new(world, actors, identity, time, YieldPoints::Everywhere)?;
        Ok((task, Resume::Go))
    };
    let mut tasks = tasks.into_iter().map(task).collect::<Result<Vec<_>, ServerError>>()?;
    let mut queue = Queue::new(world.setup.seed);
    (0..tasks.len()).for_each(|index| queue.push(Duration::ZERO, index));
    let mut waiting = Vec::new();
    let mut happenings = clock.happenings();
    loop {
        let Some((wake, index)) = queue.pop() else {
            if waiting.is_empty() {
                return Ok(tasks.iter().map(|(task, _)| task.outside.take_events()).collect());
            }
            // All that wait now wait in vain, until the deadline.
            clock.advance_to(clock.deadline().unwrap_or(Duration::MAX));
            queue.push_all(clock.now(), &mut waiting);
            continue;
        };
        clock.advance_to(wake);
        let Some((task, how)) = tasks.get_mut(index) else { continue };
        let stop = task.resume(std::mem::replace(how, Resume::Go));
        if clock.happenings() != happenings {
            happenings = clock.happenings();
            queue.push_all(clock.now(), &mut waiting);
        }
        match stop {
            Some(Yield::Sleep(duration)) => {
                let (wake, result) = clock.wake(duration);
                *how = result.map_or_else(Resume::GiveUp, |()| Resume::Go);
                queue.push(wake, index);
            }
            Some(Yield::Commands(_) | Yield::Pause(_)) => queue.push(clock.now(), index),
            Some(Yield::Blocked) => waiting.push(index),
            None => {}
        }
    }
}

/// Which task goes on when: by time, then by turn.
struct Queue {
    turns: Turns,
    tasks: BinaryHeap<Reverse<(Duration, u64, usize)>>,
}

impl Queue {
    fn new(seed: u64) -> Self {
        Self { turns: Turns::new(seed), tasks: BinaryHeap::new() }
    }

    fn push(&mut self, wake: Duration, index: usize) {
        self.tasks.push(Reverse((wake, self.turns.next(), index)));
    }

    /// Something has happened: all that wait may look whether it is what they wait for.
    fn push_all(&mut self, now: Duration, waiting: &mut Vec<usize>) {
        waiting.drain(..).for_each(|index| self.push(now, index));
    }

    fn pop(&mut self) -> Option<(Duration, usize)> {
        self.tasks.pop().map(|Reverse((wake, _, index))| (wake, index))
    }
}

/// The order among tasks that can go on at the same time.
#[derive(Debug)]
enum Turns {
    /// First come, first served.
    Fair { next: u64 },
    /// The order is drawn.
    Drawn(Rng),
}

impl Turns {
    /// Seed 0 is the fixed order.
    fn new(seed: u64) -> Self {
        match seed {
            0 => Turns::Fair { next: 0 },
            seed => Turns::Drawn(Rng::new(seed)),
        }
    }

    fn next(&mut self) -> u64 {
        match self {
            Turns::Fair { next } => {
                *next += 1;
                *next
            }
            Turns::Drawn(rng) => rng.next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_in_order_without_a_seed_and_drawn_with_one() {
        let three = |seed| {
            let mut turns = Turns::new(seed);
            [turns.next(), turns.next(), turns.next()]
        };
        assert_eq!(three(0), [1, 2, 3]);
        let mut rng = Rng::new(7);
        assert_eq!(three(7), [rng.next(), rng.next(), rng.next()]);
    }
}
