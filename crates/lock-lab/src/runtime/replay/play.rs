//! Directs the strands of a plan by the turns of a schedule.

#[cfg(test)]
mod improvised;

#[cfg(test)]
pub(super) use improvised::Watched;
#[cfg(test)]
pub(in crate::runtime) use improvised::{Director, Now};

use super::ReplayError;
use super::leases::{Held, Leases, NotEnded};
use super::score::Score;
use crate::lock::LockName;
use crate::runtime::afloat::{Afloat, carry_out, may_be_late, note_kept_back};
use crate::runtime::rules::Fate;
use crate::runtime::stops::{Commands, Resume, Stop};
use crate::runtime::task::Task;
use crate::runtime::{Buffer, Time, Timing, Turn, World};
use crate::server::ServerError;
use redis_sim::clock::{Clock, Stopped, VirtualClock};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How far apart two turns are where time means nothing.
const TICK: Duration = Duration::from_micros(1);

/// A task, and where it is.
struct Role<T> {
    task: T,
    place: Place,
}

/// Where a strand is.
enum Place {
    /// Before a step.
    Step(Stop),
    /// Asleep until then.
    Asleep(Duration),
    /// Waiting for something to happen.
    Blocked,
    /// At its end, or not begun.
    Nowhere,
}

/// A schedule at work.
pub(super) struct Play<'a, T> {
    world: &'a World,
    timing: Timing,
    score: Score<'a>,
    leases: Leases<'a>,
    roles: Vec<Role<T>>,
    afloat: Afloat<Commands>,
    /// The play's own time.
    now: Duration,
}

impl<T: Task> Role<T> {
    fn fate(&self) -> &Fate {
        &self.task.outside().fate
    }

    fn time(&self) -> &VirtualClock {
        &self.task.outside().time
    }

    fn has_ended(&self) -> bool {
        matches!(self.place, Place::Nowhere)
    }

    fn is_at_step(&self) -> bool {
        matches!(self.place, Place::Step(_))
    }

    fn is_blocked(&self) -> bool {
        matches!(self.place, Place::Blocked)
    }

    fn wake(&self) -> Option<Duration> {
        match self.place {
            Place::Asleep(wake) => Some(wake),
            _ => None,
        }
    }
}

impl<'a, T: Task> Play<'a, T> {
    pub fn new(
        world: &'a World,
        timing: Timing,
        turns: &'a [Turn],
        tasks: Vec<T>,
    ) -> Result<Self, ServerError> {
        let roles = tasks.into_iter().map(|task| Role { task, place: Place::Nowhere }).collect();
        let leases = Leases::new(world)?;
        let score = Score::new(turns);
        let (afloat, now) = (Afloat::default(), Duration::ZERO);
        Ok(Self { world, timing, score, leases, roles, afloat, now })
    }

    /// Plays all turns.
    pub fn perform(&mut self) -> Result<(), ReplayError> {
        self.begin()?;
        while let Some(turn) = self.score.next() {
            self.go_on(turn)?;
        }
        match self.roles.iter().position(|role| !role.has_ended()) {
            None if self.afloat.is_empty() => Ok(()),
            None => Err(self.score.left_open("a command is still on its way")),
            Some(strand) => {
                Err(self.score.left_open(&format!("{} has not ended", self.name(strand))))
            }
        }
    }

    /// Lets all strands come to their first stops.
    fn begin(&mut self) -> Result<(), ReplayError> {
        (0..self.roles.len()).try_for_each(|strand| self.resume(strand, Resume::Go))?;
        self.settle()
    }

    /// Plays a turn, and what happens by itself after it.
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
        self.roles.into_iter().map(|role| role.task)
    }

    /// What the strands have written down.
    pub fn take_events(&self) -> Vec<Buffer> {
        self.roles.iter().map(|role| role.task.outside().take_events()).collect()
    }

    fn check(&self) -> Result<(), ReplayError> {
        self.world.services.time.clock().check().map_err(|why| self.score.stopped(why))
    }

    fn take(&mut self, turn: Turn) -> Result<(), ReplayError> {
        let refused = match turn {
            Turn::Arrive(number) if number >= self.afloat.len() => Some("there is no such command"),
            Turn::Arrive(_) => None,
            _ if self.is_over() => Some("all actors have ended"),
            Turn::Expire(_) if self.timing == Timing::Strict => {
                Some("that is not the next thing to happen")
            }
            Turn::Expire(_) => None,
            Turn::Step(strand)
            | Turn::LoseReply(strand)
            | Turn::Forget(strand)
            | Turn::Postpone(strand)
            | Turn::Crash(strand) => self.refusal(strand, turn),
        };
        match (refused, turn) {
            (Some(but), _) => Err(self.score.parted(&self.asks(turn), but)),
            (None, Turn::Step(strand)) => self.resume(strand, Resume::Go),
            (None, Turn::LoseReply(strand)) => self.resume(strand, Resume::LoseReply),
            (None, Turn::Forget(strand)) => self.keep_back(strand, false),
            (None, Turn::Postpone(strand)) => self.keep_back(strand, true),
            (None, Turn::Arrive(number)) => self.arrive(number),
            (None, Turn::Crash(strand)) => self.resume(strand, Resume::Crash),
            (None, Turn::Expire(lock)) => self.end_lease(lock),
        }
    }

    fn is_over(&self) -> bool {
        self.roles.iter().all(Role::has_ended) && self.afloat.is_empty()
    }

    /// Lets a strand go on without a reply to the commands that it is about to send. They are lost,
    /// or still on their way.
    fn keep_back(&mut self, strand: usize, is_late: bool) -> Result<(), ReplayError> {
        if let Some(role) = self.roles.get(strand)
            && let Place::Step(Stop::Commands(commands)) = &role.place
        {
            note_kept_back(self.world, role.fate(), commands, is_late);
            if is_late {
                self.afloat.add(strand, role.fate().sender(), commands.clone());
            }
        }
        self.resume(strand, Resume::NoAnswer)
    }

    /// Lets a command that was given up reach the server.
    fn arrive(&mut self, number: usize) -> Result<(), ReplayError> {
        if let Some((sender, commands)) = self.afloat.take(number) {
            carry_out(self.world, &sender, &commands)?;
        }
        Ok(())
    }

    fn end_lease(&mut self, lock: usize) -> Result<(), ReplayError> {
        self.leases.end(lock).map_err(|error| match error {
            NotEnded::Refused(but) => self.score.parted(&self.asks(Turn::Expire(lock)), but),
            NotEnded::Stopped(why) => self.score.stopped(why),
            NotEnded::Failed(error) => error.into(),
        })
    }

    /// Why a strand can't do what a turn asks for.
    fn refusal(&self, strand: usize, turn: Turn) -> Option<&'static str> {
        let Some(role) = self.roles.get(strand) else { return Some("there is no such strand") };
        match &role.place {
            Place::Step(Stop::Pause(_)) if turn.is_fault() => {
                Some("it is not about to send anything")
            }
            Place::Step(Stop::Commands(commands)) if matches!(turn, Turn::Postpone(_)) => {
                (!may_be_late(&commands.packed)).then_some("that it comes late makes no difference")
            }
            Place::Step(_) => None,
            Place::Asleep(_) => Some("it sleeps"),
            Place::Blocked => Some("what it waits for has not happened"),
            Place::Nowhere => Some("it has ended"),
        }
    }

    /// Lets everything happen that is no turn, until somebody is before a step or all have ended:
    /// those who wait look again, those get up whose sleep is over, and time passes when nobody can
    /// go on.
    fn settle(&mut self) -> Result<(), ReplayError> {
        loop {
            if self.stir()? {
                continue;
            }
            if self.roles.iter().any(Role::is_at_step) || self.roles.iter().all(Role::has_ended) {
                return Ok(());
            }
            match self.roles.iter().filter_map(Role::wake).min() {
                Some(wake) => self.sleep_until(wake)?,
                None => self.give_up()?,
            }
        }
    }

    /// Lets each go on, in their order, who waits or has slept long enough; tells whether that
    /// changed anything.
    fn stir(&mut self) -> Result<bool, ReplayError> {
        let happenings = self.world.signals.happenings();
        let mut moved = false;
        for strand in 0..self.roles.len() {
            let is_up = |role: &Role<T>| role.wake().is_some_and(|wake| wake <= self.now);
            let role = self.roles.get(strand);
            if role.is_some_and(|role| role.is_blocked() || is_up(role)) {
                self.resume(strand, Resume::Go)?;
                moved |= !self.roles.get(strand).is_some_and(Role::is_blocked);
            }
        }
        Ok(moved || self.world.signals.happenings() != happenings)
    }

    /// Whoever waits now waits in vain.
    fn give_up(&mut self) -> Result<(), ReplayError> {
        for strand in 0..self.roles.len() {
            if self.roles.get(strand).is_some_and(Role::is_blocked) {
                self.resume(strand, Resume::GiveUp(Stopped::TimedOut))?;
            }
        }
        Ok(())
    }

    /// Lets time pass until then, and leases end by the way.
    fn sleep_until(&mut self, wake: Duration) -> Result<(), ReplayError> {
        self.check()?;
        match self.world.services.time {
            Time::Virtual(_) => self.pass_with_leases(wake),
            // A real server's time goes its own way; the schedule says what ends now.
            Time::Wall(_) => {
                while let Some(Turn::Expire(lock)) = self.score.next_expiry() {
                    self.end_lease(lock)?;
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
            before.extend(held.zip(end).map(|(held, end)| (end, lock, held)));
        }
        before.sort_by_key(|(end, lock, _)| (*end, *lock));
        self.pass(until);
        for (end, lock, held) in before {
            if self.leases.held(lock)?.is_none() {
                self.expired(lock, &held, end.min(until))?;
            }
        }
        Ok(())
    }

    /// Notes that a lease ended by itself, which must be the next turn.
    fn expired(&mut self, lock: usize, held: &Held, at: Duration) -> Result<(), ReplayError> {
        let moment = VirtualClock::new(None);
        moment.advance_to(at);
        self.leases.note_end(lock, held, self.world.log.sequence.moment(&moment));
        #[cfg(test)]
        if self.score.is_improvised() {
            self.score.note(Turn::Expire(lock));
            return Ok(());
        }
        let ends = format!("the TTL of {} ends", self.key(lock));
        match self.score.next() {
            Some(Turn::Expire(next)) if next == lock => Ok(()),
            Some(turn) => Err(self.score.parted(&self.asks(turn), &format!("{ends} first"))),
            None => Err(self.score.left_open(&ends)),
        }
    }

    /// Moves the play's time.
    fn pass(&mut self, until: Duration) {
        self.now = until;
        if let Time::Virtual(clock) = &self.world.services.time {
            clock.advance_to(until);
        }
        if self.timing == Timing::Strict {
            self.roles.iter().for_each(|role| role.time().advance_to(until));
        }
    }

    /// Lets a strand go on to where it stops next.
    fn resume(&mut self, strand: usize, mut how: Resume) -> Result<(), ReplayError> {
        let Some(role) = self.roles.get_mut(strand) else { return Ok(()) };
        role.place = loop {
            match role.task.go_on(how).map_err(|why| self.score.stopped(why))? {
                None => break Place::Nowhere,
                Some(Stop::Sleep(duration)) if self.timing == Timing::Async => {
                    role.time().advance_to(role.time().now().saturating_add(duration));
                    how = Resume::Go;
                }
                Some(Stop::Sleep(duration)) => {
                    break Place::Asleep(self.now.saturating_add(duration));
                }
                Some(Stop::Blocked) => break Place::Blocked,
                Some(step) => break Place::Step(step),
            }
        };
        match self.world.log.failure() {
            Some(failure) => Err(ServerError::new(failure).into()),
            None => Ok(()),
        }
    }

    /// What a turn asks for, in words.
    fn asks(&self, turn: Turn) -> String {
        match turn {
            Turn::Step(strand) => format!("lets {} go on", self.name(strand)),
            Turn::LoseReply(strand) => format!("loses a reply to {}", self.name(strand)),
            Turn::Forget(strand) => format!("loses a command of {}", self.name(strand)),
            Turn::Postpone(strand) => format!("delays a command of {}", self.name(strand)),
            Turn::Arrive(number) => {
                format!("lets command {} of those on their way arrive", number + 1)
            }
            Turn::Crash(strand) => format!("kills {}", self.name(strand)),
            Turn::Expire(lock) => format!("ends the TTL of {}", self.key(lock)),
        }
    }

    /// The actor that is active in a strand.
    fn name(&self, strand: usize) -> String {
        let actor = self.roles.get(strand).map(|role| role.fate().actor.load(Ordering::Relaxed));
        let actor = actor.and_then(|actor| self.world.setup.plan.actors.get(actor));
        actor.map_or_else(|| format!("strand {}", strand + 1), |actor| actor.name.clone())
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
