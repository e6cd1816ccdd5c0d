//! A replay without a schedule: at each moment a `Chooser` gets the turns that are possible, as the
//! real tasks show them, and chooses one. For tests that try all of them.

use super::{ReplayedTask, Replayer, TaskPlace};
use crate::runtime::in_flight::may_be_late;
use crate::runtime::replay::ReplayError;
use crate::runtime::task::Task;
use crate::runtime::task_body::Outside;
use crate::runtime::ttl_order::{TtlOrder, sets_at_once, turn_of};
use crate::runtime::yield_point::{Resume, Yield};
use crate::runtime::{Timing, Turn};
use crate::server::Server;
use redis_sim::Lease;
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
        let mut order = TtlOrder::default();
        while !self.is_over() {
            let goes_on = |state: &ReplayedTask<Instrumented<T>>| {
                state.is_at_step() && !state.task.has_rested
            };
            let now = Now {
                possible: self.possible(&order)?,
                goes_on: self.tasks.iter().map(goes_on).collect(),
                taken: self.recorded.noted().to_vec(),
            };
            let turn = chooser.choose(&now);
            self.recorded.note(turn);
            let before = self.leases_now();
            let tied = order.tied(turn, &before, &self.world.setup.locks);
            let sets_at_once = self.sets_at_once(turn);
            self.go_on(turn)?;
            for key in tied.iter().filter(|_| turn.is_expiry()) {
                if let Some(turn) = turn_of(key, &self.leases_now(), &self.world.setup.locks) {
                    self.recorded.note(turn);
                    self.go_on(turn)?;
                }
            }
            let now = self.leases_now();
            order = order.after([&before, &now], sets_at_once, &self.world.setup.locks);
        }
        Ok(self.recorded.noted().to_vec())
    }

    /// The keys that have a TTL, where time means nothing and the client may make any.
    fn leases_now(&self) -> Vec<Lease> {
        match &self.world.services.server {
            Server::Embedded(engine)
                if self.world.protocol().is_foreign() && self.timing == Timing::Async =>
            {
                // All turns of an ordering are within a millisecond.
                engine.leases(0)
            }
            _ => Vec::new(),
        }
    }

    fn sets_at_once(&self, turn: Turn) -> bool {
        let commands = match (turn, turn.mover().and_then(|task| self.tasks.get(task))) {
            (Turn::Arrive(number), _) => self.in_flight.clone().take(number).map(|it| it.1),
            (_, Some(ReplayedTask { place: TaskPlace::Step(Yield::Commands(it)), .. })) => {
                Some(it.clone())
            }
            _ => None,
        };
        commands.is_none_or(|commands| sets_at_once(&commands.packed))
    }

    fn possible(&mut self, order: &TtlOrder) -> Result<Vec<Turn>, ReplayError> {
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
            possible.extend(order.expiries(&self.leases_now(), &self.world.setup.locks));
            for lock in 0..self.world.setup.locks.len() {
                if !self.world.protocol().is_foreign()
                    && self.leases.held(lock)?.is_some_and(|held| held.left.is_some())
                {
                    possible.push(Turn::Expire(lock));
                }
            }
        }
        possible.sort_unstable();
        Ok(possible)
    }
}
