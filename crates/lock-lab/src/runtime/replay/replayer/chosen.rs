//! A replay without a schedule: at each moment a `Chooser` gets the turns that are possible, as the
//! real tasks show them, and chooses one. For tests that try all of them.

use super::{ReplayedTask, Replayer, TaskPlace};
use crate::runtime::in_flight::may_be_late;
use crate::runtime::replay::ReplayError;
use crate::runtime::task::Task;
use crate::runtime::task_body::Outside;
use crate::runtime::yield_point::{Resume, Yield};
use crate::runtime::{Timing, Turn};
use redis_sim::clock::Stopped;

/// Says which turn is next.
pub trait Chooser {
    /// One of those that are possible now.
    fn choose(&mut self, now: &Now) -> Turn;
}

/// A moment at which a turn must be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Now {
    /// All turns that are possible, whatever the number of crashes and losses.
    pub possible: Vec<Turn>,
    /// For each task, whether it could go on and came here without a sleep or a wait.
    pub goes_on: Vec<bool>,
    /// The turns so far.
    pub taken: Vec<Turn>,
}

/// A task, and whether it slept or waited since its last step.
pub(in crate::runtime::replay) struct Instrumented<T> {
    task: T,
    was_at_step: bool,
    has_rested: bool,
}

impl<T> Instrumented<T> {
    pub fn new(task: T) -> Self {
        Self { task, was_at_step: false, has_rested: false }
    }
}

impl<T: Task> Task for Instrumented<T> {
    fn go_on(&mut self, how: Resume) -> Result<Option<Yield>, Stopped> {
        self.has_rested &= !self.was_at_step;
        let yielded = self.task.go_on(how)?;
        self.was_at_step = matches!(yielded, Some(Yield::Commands(_) | Yield::Pause(_)));
        self.has_rested |= matches!(yielded, Some(Yield::Sleep(_) | Yield::Blocked));
        Ok(yielded)
    }

    fn outside(&self) -> &Outside {
        self.task.outside()
    }
}

impl<T: Task> Replayer<'_, Instrumented<T>> {
    /// Runs to the end of all tasks; gives the turns that were taken.
    pub fn run_chosen(&mut self, chooser: &mut dyn Chooser) -> Result<Vec<Turn>, ReplayError> {
        self.recorded.record_chosen();
        self.begin()?;
        while !self.is_over() {
            let goes_on = |state: &ReplayedTask<Instrumented<T>>| {
                state.is_at_step() && !state.task.has_rested
            };
            let now = Now {
                possible: self.possible()?,
                goes_on: self.tasks.iter().map(goes_on).collect(),
                taken: self.recorded.noted().to_vec(),
            };
            let turn = chooser.choose(&now);
            self.recorded.note(turn);
            self.go_on(turn)?;
        }
        Ok(self.recorded.noted().to_vec())
    }

    fn possible(&mut self) -> Result<Vec<Turn>, ReplayError> {
        let mut possible = Vec::new();
        for (task, state) in self.tasks.iter().enumerate() {
            match &state.place {
                TaskPlace::Step(Yield::Commands(commands)) => {
                    possible.extend([
                        Turn::Step(task),
                        Turn::LoseReply(task),
                        Turn::Forget(task),
                        Turn::Crash(task),
                    ]);
                    if self.timing == Timing::Async && may_be_late(&commands.packed) {
                        possible.push(Turn::Postpone(task));
                    }
                }
                TaskPlace::Step(_) => possible.extend([Turn::Step(task), Turn::Crash(task)]),
                _ => {}
            }
        }
        possible.extend((0..self.in_flight.len()).map(Turn::Arrive));
        if self.timing == Timing::Async {
            for lock in 0..self.world.setup.locks.len() {
                if self.leases.held(lock)?.is_some_and(|held| held.left.is_some()) {
                    possible.push(Turn::Expire(lock));
                }
            }
            possible.extend((0..self.leases.others()?.len()).map(Turn::ExpireKey));
        }
        possible.sort_unstable();
        Ok(possible)
    }
}
