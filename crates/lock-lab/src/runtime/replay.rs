//! Replays a plan in the order of a schedule. `replayer` is the scheduler, by the same rules as
//! exploration has; `recorded_turns` says which turn it is; `leases` makes leases expire. Its tasks
//! are coroutines on the embedded server, or threads on a real one (`thread`).

mod leases;
mod recorded_turns;
mod replayer;
mod thread;

#[cfg(test)]
use replayer::Instrumented;
#[cfg(test)]
pub(super) use replayer::{Chooser, Now};

use super::task::CoroutineTask;
use super::yield_point::YieldPoints;
use super::{Model, Outcome, Time, Timing, Turn, Upstream, World};
use crate::controller::Files;
use crate::lock::Identity;
use crate::server::{Keys, Server, ServerError};
use redis_sim::clock::{Stopped, VirtualClock};
use replayer::Replayer;
use std::ops::Range;
use std::sync::Arc;

/// Why a schedule was not replayed to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The plan does not go the way that the schedule says.
    #[error("{0}")]
    Parted(String),
    /// It was stopped.
    #[error("{why} at turn {turn} of {of}")]
    Stopped {
        /// By what.
        why: Stopped,
        /// How many turns had begun.
        turn: usize,
        /// How many there are.
        of: usize,
    },
    /// The environment failed.
    #[error(transparent)]
    Server(#[from] ServerError),
}

/// Replays a schedule of a model on an embedded server of its own, or on the real one that it is
/// explored on, which is empty before and after.
///
/// # Errors
///
/// [`ReplayError::Parted`] if the plan does not follow the schedule, [`ReplayError::Stopped`] if
/// the clock is stopped, [`ReplayError::Server`] if the environment fails.
pub fn replay(model: &Model, turns: &[Turn]) -> Result<Outcome, ReplayError> {
    let empty = || match &model.upstream {
        Some(upstream) => upstream.exclusive.put(&Keys::new()).map(drop),
        None => Ok(()),
    };
    empty()?;
    let replayed = Arc::new(World::replayed(model)).replay(model.origin.timing, turns);
    // If something is wrong with the server, that is why the rest is.
    empty()?;
    replayed
}

/// Runs a model on an embedded server of its own with the turns that `chooser` takes; gives them, too.
#[cfg(test)]
pub(super) fn run_chosen(
    model: &Model,
    chooser: &mut dyn Chooser,
) -> Result<(Vec<Turn>, Outcome), ReplayError> {
    let (world, timing) = (Arc::new(World::replayed(model)), model.origin.timing);
    let mut turns = Vec::new();
    let outcome = world.around(|tasks| {
        let tasks = coroutines(&world, tasks)?.into_iter().map(Instrumented::new).collect();
        let mut replayer = Replayer::new(&world, timing, &[], tasks)?;
        turns = replayer.run_chosen(chooser)?;
        Ok::<_, ReplayError>((replayer.take_events(), None))
    })?;
    Ok((turns, outcome))
}

/// The tasks of a world as coroutines.
fn coroutines(
    world: &Arc<World>,
    tasks: Vec<Range<usize>>,
) -> Result<Vec<CoroutineTask>, ServerError> {
    let task = |(number, actors)| {
        let identity = Arc::new(Identity::repeatable_of(number));
        let time = Arc::new(VirtualClock::new(None));
        CoroutineTask::new(world, actors, &identity, time, YieldPoints::WhereShared)
    };
    tasks.into_iter().enumerate().map(task).collect()
}

impl World {
    /// A world in which schedules of a model are replayed: files in memory, and an embedded server
    /// of its own, or the real one that the model is explored on.
    pub fn replayed(model: &Model) -> Self {
        let (server, time) = match &model.upstream {
            Some(Upstream { exclusive, clock }) => {
                (exclusive.server(), Time::Wall(Arc::clone(clock)))
            }
            None => {
                let clock = Arc::new(VirtualClock::new(None));
                let server = Server::embedded(match model.origin.timing {
                    // Leases expire only where the schedule says so.
                    Timing::Async => Arc::new(VirtualClock::new(None)),
                    Timing::Strict => clock.clone(),
                });
                (server, Time::Virtual(clock))
            }
        };
        Self::of_model(model, server, time).alone(Files::in_memory())
    }

    /// Replays a schedule of this world's plan. On the wall clock the tasks are threads, one of
    /// which is at work at any time. They skip what they would sleep, and leases are made to end by
    /// shortening them; one that ends by itself meanwhile makes the replay another than it says.
    ///
    /// # Errors
    ///
    /// [`ReplayError::Parted`] if the plan does not follow the schedule, [`ReplayError::Stopped`]
    /// if the clock is stopped, [`ReplayError::Server`] if the environment fails.
    pub fn replay(
        self: &Arc<Self>,
        timing: Timing,
        turns: &[Turn],
    ) -> Result<Outcome, ReplayError> {
        self.around(|tasks| {
            let buffers = match &self.services.time {
                Time::Wall(clock) => thread::replay(self, clock, timing, turns, tasks)?,
                Time::Virtual(_) => {
                    let mut replayer =
                        Replayer::new(self, timing, turns, coroutines(self, tasks)?)?;
                    replayer.run()?;
                    replayer.take_events()
                }
            };
            Ok((buffers, None))
        })
    }
}

#[cfg(test)]
mod tests;
