//! Directs the tasks of a plan by the turns of a schedule.

#[cfg(test)]
mod chosen;

#[cfg(test)]
pub(super) use chosen::Instrumented;
#[cfg(test)]
pub(in crate::runtime) use chosen::{Chooser, Now};

use super::ReplayError;
use super::leases::{Held, Leases, NotEnded, OtherKey};
use super::recorded_turns::RecordedTurns;
use crate::lock::LockName;
use crate::runtime::in_flight::{InFlight, carry_out, may_be_late, note_kept_back};
use crate::runtime::longest::until_all_are_over;
use crate::runtime::rules::FaultState;
use crate::runtime::task::Task;
use crate::runtime::yield_point::{Commands, Resume, Yield};
use crate::runtime::{Buffer, Time, Timing, Turn, World};
use crate::server::{Server, ServerError};
use lock_history::history::Moment;
use redis_sim::clock::{Clock, Stopped, VirtualClock};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How far apart two turns are where time means nothing.
const TICK: Duration = Duration::from_micros(1);

/// A task, and where it is.
struct ReplayedTask<T> {
    task: T,
    place: TaskPlace,
}

/// Where a task is.
enum TaskPlace {
    /// Before a step.
    Step(Yield),
    /// Asleep until then.
    Asleep(Duration),
    /// Waiting for something to happen.
    Blocked,
    /// At its end, or not begun.
    Nowhere,
}

/// What ends as time passes.
enum Lease {
    Lock(usize, Held),
    /// That of another key.
    Key(Vec<u8>),
}

/// A schedule at work.
pub(super) struct Replayer<'a, T> {
    world: &'a World,
    timing: Timing,
    recorded: RecordedTurns<'a>,
    leases: Leases<'a>,
    tasks: Vec<ReplayedTask<T>>,
    in_flight: InFlight<Commands>,
    /// The replay's own time.
    now: Duration,
}

impl<T: Task> ReplayedTask<T> {
    fn fault_state(&self) -> &FaultState {
        &self.task.outside().fault_state
    }

    fn time(&self) -> &VirtualClock {
        &self.task.outside().time
    }

    fn has_ended(&self) -> bool {
        matches!(self.place, TaskPlace::Nowhere)
    }

    fn is_at_step(&self) -> bool {
        matches!(self.place, TaskPlace::Step(_))
    }

    fn is_blocked(&self) -> bool {
        matches!(self.place, TaskPlace::Blocked)
    }

    fn wake(&self) -> Option<Duration> {
        match self.place {
            TaskPlace::Asleep(wake) => Some(wake),
            _ => None,
        }
    }
}

impl<'a, T: Task> Replayer<'a, T> {
    pub fn new(
        world: &'a World,
        timing: Timing,
        turns: &'a [Turn],
        tasks: Vec<T>,
    ) -> Result<Self, ServerError> {
        let tasks = tasks
            .into_iter()
            .map(|task| ReplayedTask { task, place: TaskPlace::Nowhere })
            .collect();
        let leases = Leases::new(world)?;
        let recorded = RecordedTurns::new(turns);
        let (in_flight, now) = (InFlight::default(), Duration::ZERO);
        Ok(Self { world, timing, recorded, leases, tasks, in_flight, now })
    }

    /// Replays all turns.
    pub fn run(&mut self) -> Result<(), ReplayError> {
        self.begin()?;
        while let Some(turn) = self.recorded.next() {
            self.go_on(turn)?;
        }
        match self.tasks.iter().position(|state| !state.has_ended()) {
            None if self.in_flight.is_empty() => Ok(()),
            None => Err(self.recorded.left_open("a command is still on its way")),
            Some(task) => {
                Err(self.recorded.left_open(&format!("{} has not ended", self.name(task))))
            }
        }
    }

    /// Lets all tasks come to their first yield points.
    fn begin(&mut self) -> Result<(), ReplayError> {
        (0..self.tasks.len()).try_for_each(|task| self.resume(task, Resume::Go))?;
        self.settle()
    }

    /// Replays a turn, and what happens by itself after it.
    fn go_on(&mut self, turn: Turn) -> Result<(), ReplayError> {
        self.check()?;
        if self.timing == Timing::Async {
            self.pass(self.now + TICK);
        }
        self.take(turn)?;
        self.settle()
    }

    /// The tasks, when it is over.
    pub fn into_tasks(self) -> impl Iterator<Item = T> {
        self.tasks.into_iter().map(|state| state.task)
    }

    /// What the tasks have written down.
    pub fn take_events(&self) -> Vec<Buffer> {
        self.tasks.iter().map(|state| state.task.outside().take_events()).collect()
    }

    fn check(&self) -> Result<(), ReplayError> {
        self.world.services.time.clock().check().map_err(|why| self.recorded.stopped(why))
    }

    fn take(&mut self, turn: Turn) -> Result<(), ReplayError> {
        let refused = match turn {
            Turn::Arrive(number) if number >= self.in_flight.len() => {
                Some("there is no such command")
            }
            Turn::Arrive(_) => None,
            _ if self.is_over() => Some("all actors have ended"),
            Turn::Expire(_) | Turn::ExpireKey(_) | Turn::Later(_)
                if self.timing == Timing::Strict =>
            {
                Some("that is not the next thing to happen")
            }
            Turn::Later(_) if matches!(self.world.services.time, Time::Wall(_)) => {
                Some("the clock of a real server can't be moved: replay it without --redis")
            }
            Turn::Expire(_) | Turn::ExpireKey(_) | Turn::Later(_) => None,
            Turn::Step(task)
            | Turn::LoseReply(task)
            | Turn::Forget(task)
            | Turn::Postpone(task)
            | Turn::Crash(task) => self.refusal(task, turn),
        };
        match (refused, turn) {
            (Some(but), _) => Err(self.recorded.parted(&self.asks(turn), but)),
            (None, Turn::Step(task)) => self.resume(task, Resume::Go),
            (None, Turn::LoseReply(task)) => self.resume(task, Resume::LoseReply),
            (None, Turn::Forget(task)) => self.keep_back(task, false),
            (None, Turn::Postpone(task)) => self.keep_back(task, true),
            (None, Turn::Arrive(number)) => self.arrive(number),
            (None, Turn::Crash(task)) => self.resume(task, Resume::Crash),
            (None, Turn::Expire(_) | Turn::ExpireKey(_)) => self.end_ttl(turn),
            (None, Turn::Later(_)) => self.let_leases_pass(),
        }
    }

    fn is_over(&self) -> bool {
        self.tasks.iter().all(ReplayedTask::has_ended) && self.in_flight.is_empty()
    }

    /// Lets a task go on without a reply to the commands that it is about to send. They are lost,
    /// or still on their way.
    fn keep_back(&mut self, task: usize, is_late: bool) -> Result<(), ReplayError> {
        if let Some(state) = self.tasks.get(task)
            && let TaskPlace::Step(Yield::Commands(commands)) = &state.place
        {
            note_kept_back(self.world, state.fault_state(), commands, is_late);
            if is_late {
                self.in_flight.add(task, state.fault_state().sender(), commands.clone());
            }
        }
        self.resume(task, Resume::NoAnswer)
    }

    /// Lets a command that was given up reach the server.
    fn arrive(&mut self, number: usize) -> Result<(), ReplayError> {
        if let Some((sender, commands)) = self.in_flight.take(number) {
            carry_out(self.world, &sender, &commands)?;
        }
        Ok(())
    }

    fn end_ttl(&mut self, turn: Turn) -> Result<(), ReplayError> {
        let ended = match turn {
            Turn::Expire(lock) => self.leases.end(lock),
            Turn::ExpireKey(key) => self.leases.end_other(key),
            _ => return Ok(()),
        };
        ended.map_err(|error| match error {
            NotEnded::Refused(but) => self.recorded.parted(&self.asks(turn), but),
            NotEnded::Stopped(why) => self.recorded.stopped(why),
            NotEnded::Failed(error) => error.into(),
        })
    }

    /// So much time passes that all leases are over, also those that are times in values.
    fn let_leases_pass(&mut self) -> Result<(), ReplayError> {
        let step = until_all_are_over(&self.world.setup.plan);
        self.pass_with_leases(self.now.saturating_add(step))?;
        for state in &self.tasks {
            let fault_state = state.fault_state();
            fault_state.set_ahead(fault_state.ahead().saturating_add(step));
            state.time().advance_to(fault_state.ahead());
        }
        for lock in 0..self.world.setup.locks.len() {
            if let Some(held) = self.leases.held(lock)? {
                self.leases.note_lease_over(lock, &held);
            }
        }
        Ok(())
    }

    /// Why a task can't do what a turn asks for.
    fn refusal(&self, task: usize, turn: Turn) -> Option<&'static str> {
        let Some(state) = self.tasks.get(task) else { return Some("there is no such task") };
        match &state.place {
            TaskPlace::Step(Yield::Pause(_)) if turn.is_fault() => {
                Some("it is not about to send anything")
            }
            TaskPlace::Step(Yield::Commands(commands)) if matches!(turn, Turn::Postpone(_)) => {
                (!may_be_late(&commands.packed)).then_some("that it comes late makes no difference")
            }
            TaskPlace::Step(_) => None,
            TaskPlace::Asleep(_) => Some("it sleeps"),
            TaskPlace::Blocked => Some("what it waits for has not happened"),
            TaskPlace::Nowhere => Some("it has ended"),
        }
    }

    /// Lets everything happen that is no turn, until a task is before a step or all have ended:
    /// waiting tasks check again, sleepers whose time has come wake up, and time advances when no
    /// task can go on.
    fn settle(&mut self) -> Result<(), ReplayError> {
        loop {
            if self.stir()? {
                continue;
            }
            if self.tasks.iter().any(ReplayedTask::is_at_step)
                || self.tasks.iter().all(ReplayedTask::has_ended)
            {
                return Ok(());
            }
            match self.tasks.iter().filter_map(ReplayedTask::wake).min() {
                Some(wake) => self.sleep_until(wake)?,
                None => self.give_up()?,
            }
        }
    }

    /// Lets each task go on, in order, that waits or has slept long enough; returns whether that
    /// changed anything.
    fn stir(&mut self) -> Result<bool, ReplayError> {
        let happenings = self.world.signals.happenings();
        let mut moved = false;
        for task in 0..self.tasks.len() {
            let is_up = |state: &ReplayedTask<T>| state.wake().is_some_and(|wake| wake <= self.now);
            let state = self.tasks.get(task);
            if state.is_some_and(|state| state.is_blocked() || is_up(state)) {
                self.resume(task, Resume::Go)?;
                moved |= !self.tasks.get(task).is_some_and(ReplayedTask::is_blocked);
            }
        }
        Ok(moved || self.world.signals.happenings() != happenings)
    }

    /// Every waiting task gives up: what it waits for can't happen any more.
    fn give_up(&mut self) -> Result<(), ReplayError> {
        for task in 0..self.tasks.len() {
            if self.tasks.get(task).is_some_and(ReplayedTask::is_blocked) {
                self.resume(task, Resume::GiveUp(Stopped::TimedOut))?;
            }
        }
        Ok(())
    }

    /// Lets time pass until then; leases expire meanwhile.
    fn sleep_until(&mut self, wake: Duration) -> Result<(), ReplayError> {
        self.check()?;
        match self.world.services.time {
            Time::Virtual(_) => self.pass_with_leases(wake),
            // A real server's time goes its own way; the schedule says what ends now.
            Time::Wall(_) => {
                while let Some(turn) = self.recorded.next_expiry() {
                    self.end_ttl(turn)?;
                }
                self.pass(wake);
                Ok(())
            }
        }
    }

    fn pass_with_leases(&mut self, until: Duration) -> Result<(), ReplayError> {
        let mut before = Vec::new();
        for lock in 0..self.world.setup.locks.len() {
            let held = self.leases.held(lock)?;
            let end = held.as_ref().and_then(|held| Some(gone_at(self.now, held.left?)));
            before.extend(held.zip(end).map(|(held, end)| (end, Lease::Lock(lock, held))));
        }
        let mut others = self.leases.others()?;
        for OtherKey { name, left } in &others {
            before.push((gone_at(self.now, *left), Lease::Key(name.clone())));
        }
        // Those that end at once keep this order.
        before.sort_by_key(|(end, _)| *end);
        // The server's own clock stands still where time means nothing.
        if let (Timing::Async, Server::Embedded(engine)) =
            (self.timing, &self.world.services.server)
        {
            engine.shift_clock(until.saturating_sub(self.now));
        }
        self.pass(until);
        let left = self.leases.others()?;
        for (end, lease) in before {
            let at = end.min(until);
            match lease {
                Lease::Lock(lock, held) if self.leases.held(lock)?.is_none() => {
                    self.leases.note_end(lock, &held, self.moment_at(at));
                    self.expired(Turn::Expire(lock), self.key(lock))?;
                }
                Lease::Key(name) if left.iter().all(|other| other.name != name) => {
                    let place = others.iter().position(|other| other.name == name);
                    let place = place.unwrap_or_default();
                    others.remove(place);
                    self.leases.note_end_of_other(&name, self.moment_at(at));
                    let key = String::from_utf8_lossy(&name).into_owned();
                    self.expired(Turn::ExpireKey(place), key)?;
                }
                Lease::Lock(..) | Lease::Key(_) => {}
            }
        }
        Ok(())
    }

    fn moment_at(&self, time: Duration) -> Moment {
        let clock = VirtualClock::new(None);
        clock.advance_to(time);
        self.world.log.sequence.moment(&clock)
    }

    /// A TTL ended by itself, which must be the next turn.
    fn expired(&mut self, ended: Turn, key: String) -> Result<(), ReplayError> {
        #[cfg(test)]
        if self.recorded.is_chosen() {
            self.recorded.note(ended);
            return Ok(());
        }
        let ends = format!("the TTL of {key} ends");
        match self.recorded.next() {
            Some(next) if next == ended => Ok(()),
            Some(turn) => Err(self.recorded.parted(&self.asks(turn), &format!("{ends} first"))),
            None => Err(self.recorded.left_open(&ends)),
        }
    }

    /// Advances the replay's time.
    fn pass(&mut self, until: Duration) {
        self.now = until;
        if let Time::Virtual(clock) = &self.world.services.time {
            clock.advance_to(until);
        }
        if self.timing == Timing::Strict {
            self.tasks.iter().for_each(|state| state.time().advance_to(until));
        }
    }

    /// Lets a task go on to its next yield point.
    fn resume(&mut self, task: usize, mut how: Resume) -> Result<(), ReplayError> {
        let Some(state) = self.tasks.get_mut(task) else { return Ok(()) };
        state.place = loop {
            match state.task.go_on(how).map_err(|why| self.recorded.stopped(why))? {
                None => break TaskPlace::Nowhere,
                Some(Yield::Sleep(duration)) if self.timing == Timing::Async => {
                    state.time().advance_to(state.time().now().saturating_add(duration));
                    how = Resume::Go;
                }
                Some(Yield::Sleep(duration)) => {
                    break TaskPlace::Asleep(self.now.saturating_add(duration));
                }
                Some(Yield::Blocked) => break TaskPlace::Blocked,
                Some(step) => break TaskPlace::Step(step),
            }
        };
        match self.world.failure() {
            Some(failure) => Err(ServerError::new(failure).into()),
            None => Ok(()),
        }
    }

    /// What a turn asks for, in words.
    fn asks(&self, turn: Turn) -> String {
        match turn {
            Turn::Step(task) => format!("lets {} go on", self.name(task)),
            Turn::LoseReply(task) => format!("loses a reply to {}", self.name(task)),
            Turn::Forget(task) => format!("loses a command of {}", self.name(task)),
            Turn::Postpone(task) => format!("delays a command of {}", self.name(task)),
            Turn::Arrive(number) => {
                format!("lets command {} of those on their way arrive", number + 1)
            }
            Turn::Crash(task) => format!("kills {}", self.name(task)),
            Turn::Expire(lock) => format!("ends the TTL of {}", self.key(lock)),
            Turn::ExpireKey(key) => {
                format!("ends the TTL of key {} of those that are no lock's", key + 1)
            }
            Turn::Later(_) => "lets time pass until all leases are over".into(),
        }
    }

    /// The actor that is active in a task.
    fn name(&self, task: usize) -> String {
        let actor =
            self.tasks.get(task).map(|state| state.fault_state().actor.load(Ordering::Relaxed));
        let actor = actor.and_then(|actor| self.world.setup.plan.actors.get(actor));
        actor.map_or_else(|| format!("task {}", task + 1), |actor| actor.name.clone())
    }

    fn key(&self, lock: usize) -> String {
        let key = self.world.setup.locks.get(lock).map(LockName::key);
        key.map_or_else(|| format!("lock {}", lock + 1), str::to_owned)
    }
}

/// When a key is gone that has so much of its lease left: after the millisecond in which it ends.
fn gone_at(now: Duration, left: Duration) -> Duration {
    let whole = Duration::from_millis(u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
    whole.saturating_add(left).saturating_add(Duration::from_millis(1))
}
