//! Strands that are coroutines, on an embedded server.

use super::ReplayError;
#[cfg(test)]
use super::play::Director;
use super::play::{Play, Player, Role};
use crate::clock::{Stopped, VirtualClock};
use crate::gate::Gate;
use crate::lock::Identity;
use crate::runtime::coroutines::stack;
use crate::runtime::stops::{Resume, Seat, Stop};
use crate::runtime::strand::{Outside, Strand};
use crate::runtime::{Buffer, Timing, Turn, World};
use crate::server::ServerError;
use corosensei::{Coroutine, CoroutineResult};
use std::ops::Range;
use std::sync::Arc;

/// Plays a schedule, and gives what the strands wrote down.
pub(super) fn play(
    world: &Arc<World>,
    timing: Timing,
    turns: &[Turn],
    strands: Vec<Range<usize>>,
) -> Result<Vec<Buffer>, ReplayError> {
    let roles = strands.into_iter().enumerate();
    let roles = roles.map(|(number, actors)| role(world, number, actors));
    let mut play = Play::new(world, timing, turns, roles.collect::<Result<_, _>>()?)?;
    play.perform()?;
    Ok(play.into_players().map(|task| task.buffer).collect())
}

/// Plays as a director says, and gives the turns and what the strands wrote down.
#[cfg(test)]
pub(super) fn improvise(
    world: &Arc<World>,
    timing: Timing,
    director: &mut dyn Director,
    strands: Vec<Range<usize>>,
) -> Result<(Vec<Turn>, Vec<Buffer>), ReplayError> {
    let roles = strands.into_iter().enumerate();
    let roles = roles.map(|(number, actors)| Ok(role(world, number, actors)?.watched()));
    let roles = roles.collect::<Result<_, ServerError>>()?;
    let mut play = Play::new(world, timing, &[], roles)?;
    let turns = play.improvise(director)?;
    Ok((turns, play.into_players().map(|watched| watched.player.buffer).collect()))
}

/// A strand's coroutine, and in the end what it wrote down.
struct Task {
    coroutine: Coroutine<Resume, Stop, Buffer>,
    buffer: Buffer,
}

impl Player for Task {
    fn go_on(&mut self, how: Resume) -> Result<Option<Stop>, Stopped> {
        if self.coroutine.done() {
            return Ok(None);
        }
        Ok(match self.coroutine.resume(how) {
            CoroutineResult::Yield(stop) => Some(stop),
            CoroutineResult::Return(buffer) => {
                self.buffer = buffer;
                None
            }
        })
    }
}

fn role(
    world: &Arc<World>,
    number: usize,
    actors: Range<usize>,
) -> Result<Role<Task>, ServerError> {
    let connection = world.server.connect(0)?;
    let outside = Outside::new(&Arc::new(Identity::repeatable_of(number)));
    let time = Arc::new(VirtualClock::new(None));
    let (fate, own_time, world) = (Arc::clone(&outside.fate), Arc::clone(&time), Arc::clone(world));
    let coroutine = Coroutine::with_stack(stack()?, move |yielder, _| {
        let seat = Seat::new(yielder, Arc::clone(&world), Arc::clone(&outside.fate), own_time);
        let clock = seat.clone();
        let new_gate = || Box::new(seat.clone()) as Box<dyn Gate>;
        Strand::new(&world, &clock, connection, new_gate(), &new_gate, outside).run(actors)
    });
    Ok(Role::new(Task { coroutine, buffer: Buffer::new() }, fate, time))
}
