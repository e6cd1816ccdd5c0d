//! Each strand a coroutine on one thread and a virtual clock. Before every Redis command and every
//! pause point the others get their turn, in an order that the seed decides; time moves only when
//! nobody has anything left to do now.

use super::strand::{Outside, Strand};
use super::{Buffer, World};
use crate::chance::Chance;
use crate::clock::{Clock, Stopped, VirtualClock};
use crate::gate::{Gate, Killed, PausePoint};
use crate::server::{Connection, ServerError};
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use redis::{ConnectionLike, RedisResult, Value};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

const STACK: usize = 256 * 1024;

/// When a coroutine wants to go on.
enum Wake {
    /// At this time.
    At(Duration),
    /// When something has happened; it looks for itself what.
    Happened,
}

type Task = Coroutine<(), Wake, Buffer>;

/// Runs all strands to their end.
pub(super) fn run(
    world: &Arc<World>,
    clock: &Arc<VirtualClock>,
    strands: Vec<Range<usize>>,
) -> Result<Vec<Buffer>, ServerError> {
    let mut tasks = strands
        .into_iter()
        .map(|strand| task(Arc::clone(world), Arc::clone(clock), strand))
        .collect::<Result<Vec<_>, _>>()?;
    let mut buffers = Vec::with_capacity(tasks.len());
    let mut turns = Turns::new(world.seed);
    let mut queue: Queue =
        (0..tasks.len()).map(|index| Reverse((Duration::ZERO, turns.next(), index))).collect();
    let mut waiting = Vec::new();
    let mut happenings = clock.happenings();
    loop {
        let Some(Reverse((wake, _, index))) = queue.pop() else {
            if waiting.is_empty() {
                return Ok(buffers);
            }
            // Whoever waits now waits in vain, until the deadline.
            clock.advance_to(clock.deadline().unwrap_or(Duration::MAX));
            requeue(&mut waiting, &mut queue, clock, &mut turns);
            continue;
        };
        clock.advance_to(wake);
        let Some(task) = tasks.get_mut(index) else { continue };
        let yielded = task.resume(());
        if clock.happenings() != happenings {
            happenings = clock.happenings();
            requeue(&mut waiting, &mut queue, clock, &mut turns);
        }
        match yielded {
            CoroutineResult::Yield(Wake::At(wake)) => {
                queue.push(Reverse((wake, turns.next(), index)));
            }
            CoroutineResult::Yield(Wake::Happened) => waiting.push(index),
            CoroutineResult::Return(buffer) => buffers.push(buffer),
        }
    }
}

/// Something has happened: everybody who waits may look whether it is what they wait for.
fn requeue(waiting: &mut Vec<usize>, queue: &mut Queue, clock: &VirtualClock, turns: &mut Turns) {
    for index in waiting.drain(..) {
        queue.push(Reverse((clock.now(), turns.next(), index)));
    }
}

/// Who goes on when: by time, then by turn.
type Queue = BinaryHeap<Reverse<(Duration, u64, usize)>>;

/// The order among those who go on at the same time.
#[derive(Debug)]
enum Turns {
    /// Who asked first goes first.
    Fair { next: u64 },
    /// Whoever it falls on.
    Drawn(Chance),
}

impl Turns {
    /// Seed 0 is the fixed order.
    fn new(seed: u64) -> Self {
        match seed {
            0 => Turns::Fair { next: 0 },
            seed => Turns::Drawn(Chance::new(seed)),
        }
    }

    fn next(&mut self) -> u64 {
        match self {
            Turns::Fair { next } => {
                *next += 1;
                *next
            }
            Turns::Drawn(chance) => chance.next(),
        }
    }
}

fn task(
    world: Arc<World>,
    clock: Arc<VirtualClock>,
    actors: Range<usize>,
) -> Result<Task, ServerError> {
    let connection = world.server.connect(0)?;
    Ok(Coroutine::with_stack(stack()?, move |yielder, ()| {
        let turn = Turn { yielder, clock };
        let clock = turn.clone();
        let new_gate = || Box::new(turn.clone()) as Box<dyn Gate>;
        let outside = Outside::new(&world.identity);
        Strand::new(&world, &clock, connection, new_gate(), &new_gate, outside).run(actors)
    }))
}

/// What a strand's coroutine runs on.
pub(super) fn stack() -> Result<DefaultStack, ServerError> {
    DefaultStack::new(STACK).map_err(|error| {
        ServerError::new(format!("cannot make another coroutine: {error}; use fewer actors"))
    })
}

/// A coroutine's way to let others have their turn: its gate and its clock.
#[derive(Clone)]
struct Turn {
    yielder: *const Yielder<(), Wake>,
    clock: Arc<VirtualClock>,
}

// SAFETY: a `Turn` lives inside the strand of the coroutine that it belongs to, which stays on the
// thread of the scheduler; `Send` and `Sync` are asked for by the traits it serves, not used.
unsafe impl Send for Turn {}
// SAFETY: as above.
unsafe impl Sync for Turn {}

impl Turn {
    fn suspend(&self, wake: Wake) {
        // SAFETY: the yielder lives as long as the coroutine's body, and so as long as the strand
        // that alone holds this `Turn`.
        unsafe { &*self.yielder }.suspend(wake);
    }

    fn give_way(&self) {
        self.suspend(Wake::At(self.clock.now()));
    }
}

impl Clock for Turn {
    fn now(&self) -> Duration {
        self.clock.now()
    }

    fn unix(&self) -> Duration {
        self.clock.unix()
    }

    fn sleep(&self, duration: Duration) -> Result<(), Stopped> {
        let (wake, result) = self.clock.wake(duration);
        self.suspend(Wake::At(wake));
        result
    }

    fn check(&self) -> Result<(), Stopped> {
        self.clock.wake(Duration::ZERO).1
    }

    fn notify(&self) {
        self.clock.notify();
    }

    fn wait_until(&self, done: &dyn Fn() -> bool) -> Result<(), Stopped> {
        while !done() {
            if self.clock.deadline().is_some_and(|deadline| deadline <= self.clock.now()) {
                return Err(Stopped::TimedOut);
            }
            self.suspend(Wake::Happened);
        }
        Ok(())
    }
}

impl Gate for Turn {
    fn command(&mut self, connection: &mut Connection, command: &[u8]) -> RedisResult<Value> {
        self.give_way();
        connection.req_packed_command(command)
    }

    fn pipeline(
        &mut self,
        connection: &mut Connection,
        commands: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        self.give_way();
        connection.req_packed_commands(commands, offset, count)
    }

    fn pause(&mut self, _point: PausePoint) -> Result<(), Killed> {
        self.give_way();
        Ok(())
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
        let mut chance = Chance::new(7);
        assert_eq!(three(7), [chance.next(), chance.next(), chance.next()]);
    }
}
