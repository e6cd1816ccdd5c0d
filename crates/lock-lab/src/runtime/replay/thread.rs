//! Tasks that are threads, on a real server: each resumes when the replayer orders it to, and the
//! replayer waits until it yields again.

use super::ReplayError;
use super::replayer::Replayer;
use crate::intercept::Interceptor;
use crate::runtime::task::Task;
use crate::runtime::task_body::{Outside, TaskBody};
use crate::runtime::threads::{connections, join, start};
use crate::runtime::yield_point::{Resume, TaskHandle, Wire, Yield};
use crate::runtime::{Buffer, Timing, Turn, World};
use crossbeam::channel::{self, Receiver, RecvTimeoutError, Sender};
use redis_sim::clock::{Clock, Stopped, VirtualClock, WallClock};
use std::ops::Range;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// How often we look whether the run was stopped while a task is at work.
const GLANCE: Duration = Duration::from_millis(50);

/// Replays a schedule, and gives the events of the tasks.
pub(super) fn replay(
    world: &Arc<World>,
    clock: &WallClock,
    timing: Timing,
    turns: &[Turn],
    groups: Vec<Range<usize>>,
) -> Result<Vec<Buffer>, ReplayError> {
    let connections = connections(world, clock, groups.len());
    let connections = connections.map_err(|error| match clock.check() {
        Err(why) => ReplayError::Stopped { why, turn: 0, of: turns.len() },
        Ok(()) => error.into(),
    })?;
    thread::scope(|scope| {
        let (mut tasks, mut threads) = (Vec::new(), Vec::new());
        for (actors, connection) in groups.iter().cloned().zip(connections) {
            let time = Arc::new(VirtualClock::new(None));
            let outside = Outside::new(&world.setup.identity, time);
            let (task, wire) = wire(clock, outside.clone());
            tasks.push(task);
            let body = move || {
                if wire.orders.recv().is_err() {
                    return;
                }
                let handle = TaskHandle::of_thread(wire, Arc::clone(world), &outside);
                let new_interceptor = || Box::new(handle.clone()) as Box<dyn Interceptor>;
                TaskBody::new(
                    world,
                    &handle,
                    connection,
                    new_interceptor(),
                    &new_interceptor,
                    outside,
                )
                .run(actors);
            };
            threads.push(start(scope, threads.len() + 1, groups.len(), body)?);
        }
        let mut replayer = Replayer::new(world, timing, turns, tasks)?;
        let replayed = replayer.run();
        let outsides: Vec<Outside> = replayer.into_tasks().map(|task| task.outside).collect();
        // A thread that still waits for an order gives up: the sender is gone.
        join(threads)?;
        replayed.map(|()| outsides.iter().map(Outside::take_events).collect())
    })
}

/// A task in a thread.
struct ThreadTask<'a> {
    orders: Sender<Resume>,
    yields: Receiver<Yield>,
    clock: &'a WallClock,
    outside: Outside,
}

impl Task for ThreadTask<'_> {
    fn go_on(&mut self, how: Resume) -> Result<Option<Yield>, Stopped> {
        if self.orders.send(how).is_err() {
            return Ok(None);
        }
        loop {
            match self.yields.recv_timeout(GLANCE) {
                Ok(yielded) => return Ok(Some(yielded)),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => self.clock.check()?,
            }
        }
    }

    fn outside(&self) -> &Outside {
        &self.outside
    }
}

/// Both ends of a wire.
fn wire(clock: &WallClock, outside: Outside) -> (ThreadTask<'_>, Wire) {
    let (orders, heard) = channel::unbounded();
    let (said, yields) = channel::unbounded();
    let wire = Wire { yields: said, orders: heard, began: clock.unix() };
    (ThreadTask { orders, yields, clock, outside }, wire)
}
