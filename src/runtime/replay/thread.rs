//! Strands that are threads, on a real server: each goes on when it is told to, and whoever tells
//! it waits until it has stopped again.

use super::ReplayError;
use super::play::{Play, Player, Role};
use crate::clock::{Clock, Stopped, VirtualClock, WallClock};
use crate::gate::Gate;
use crate::runtime::stops::{Resume, Seat, Stop, Wire};
use crate::runtime::strand::{Outside, Strand};
use crate::runtime::threads::{connections, join, start};
use crate::runtime::{Buffer, Timing, Turn, World};
use crossbeam::channel::{self, Receiver, RecvTimeoutError, Sender};
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
        let (mut roles, mut threads) = (Vec::new(), Vec::new());
        for (actors, connection) in strands.iter().cloned().zip(connections) {
            let outside = Outside::new(&world.identity);
            let time = Arc::new(VirtualClock::new(None));
            let (puppet, wire) = wire(clock);
            roles.push(Role::new(puppet, Arc::clone(&outside.fate), Arc::clone(&time)));
            let body = move || {
                if wire.orders.recv().is_err() {
                    return Buffer::new();
                }
                let seat =
                    Seat::of_thread(wire, Arc::clone(world), Arc::clone(&outside.fate), time);
                let new_gate = || Box::new(seat.clone()) as Box<dyn Gate>;
                Strand::new(world, &seat, connection, new_gate(), &new_gate, outside).run(actors)
            };
            threads.push(start(scope, threads.len() + 1, strands.len(), body)?);
        }
        // Whoever still waits for an order when the play is gone gives up.
        let performed = Play::new(world, timing, turns, roles)?.perform();
        let buffers = join(threads)?;
        performed.map(|()| buffers)
    })
}

/// A thread, as far as whoever directs it sees.
struct Puppet<'a> {
    orders: Sender<Resume>,
    stops: Receiver<Stop>,
    clock: &'a WallClock,
}

impl Player for Puppet<'_> {
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
}

/// Both ends of a wire.
fn wire(clock: &WallClock) -> (Puppet<'_>, Wire) {
    let (orders, heard) = channel::unbounded();
    let (said, stops) = channel::unbounded();
    (Puppet { orders, stops, clock }, Wire { stops: said, orders: heard, began: clock.unix() })
}
