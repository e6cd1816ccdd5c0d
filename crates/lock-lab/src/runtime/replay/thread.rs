//! Strands that are threads, on a real server: each goes on when it is told to, and whoever tells
//! it waits until it has stopped again.

use super::ReplayError;
use super::play::Play;
use crate::gate::Gate;
use crate::runtime::stops::{Resume, Seat, Stop, Wire};
use crate::runtime::strand::{Outside, Strand};
use crate::runtime::task::Task;
use crate::runtime::threads::{connections, join, start};
use crate::runtime::{Buffer, Timing, Turn, World};
use crossbeam::channel::{self, Receiver, RecvTimeoutError, Sender};
use redis_sim::clock::{Clock, Stopped, VirtualClock, WallClock};
use std::ops::Range;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// How often we look whether the run was stopped while a strand is at work.
const GLANCE: Duration = Duration::from_millis(50);

/// Plays a schedule, and gives what the strands wrote down.
pub(super) fn play(
    world: &Arc<World>,
    clock: &WallClock,
    timing: Timing,
    turns: &[Turn],
    strands: Vec<Range<usize>>,
) -> Result<Vec<Buffer>, ReplayError> {
    let connections = connections(world, clock, strands.len());
    let connections = connections.map_err(|error| match clock.check() {
        Err(why) => ReplayError::Stopped { why, turn: 0, of: turns.len() },
        Ok(()) => error.into(),
    })?;
    thread::scope(|scope| {
        let (mut tasks, mut threads) = (Vec::new(), Vec::new());
        for (actors, connection) in strands.iter().cloned().zip(connections) {
            let time = Arc::new(VirtualClock::new(None));
            let outside = Outside::new(&world.setup.identity, time);
            let (task, wire) = wire(clock, outside.clone());
            tasks.push(task);
            let body = move || {
                if wire.orders.recv().is_err() {
                    return;
                }
                let seat = Seat::of_thread(wire, Arc::clone(world), &outside);
                let new_gate = || Box::new(seat.clone()) as Box<dyn Gate>;
                Strand::new(world, &seat, connection, new_gate(), &new_gate, outside).run(actors);
            };
            threads.push(start(scope, threads.len() + 1, strands.len(), body)?);
        }
        let mut play = Play::new(world, timing, turns, tasks)?;
        let performed = play.perform();
        let outsides: Vec<Outside> = play.into_tasks().map(|task| task.outside).collect();
        // A thread that still waits for an order gives up: the sender is gone.
        join(threads)?;
        performed.map(|()| outsides.iter().map(Outside::take_events).collect())
    })
}

/// A strand in a thread.
struct ThreadTask<'a> {
    orders: Sender<Resume>,
    stops: Receiver<Stop>,
    clock: &'a WallClock,
    outside: Outside,
}

impl Task for ThreadTask<'_> {
    fn go_on(&mut self, how: Resume) -> Result<Option<Stop>, Stopped> {
        if self.orders.send(how).is_err() {
            return Ok(None);
        }
        loop {
            match self.stops.recv_timeout(GLANCE) {
                Ok(stop) => return Ok(Some(stop)),
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
    let (said, stops) = channel::unbounded();
    let wire = Wire { stops: said, orders: heard, began: clock.unix() };
    (ThreadTask { orders, stops, clock, outside }, wire)
}
