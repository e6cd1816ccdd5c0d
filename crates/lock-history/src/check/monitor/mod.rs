//! The same judgement as [`check`](super::check), event by event, without words: for the
//! exploration of orderings, which goes on from a state only once.
//!
//! A monitor remembers of the past what a later finding may still depend on, and nothing else: two
//! monitors that are equal find the same in whatever comes. What can no longer matter (because its
//! property was found, its actor ended, its question was answered) is reset, so that prefixes with
//! the same future become equal; of each lock are known the current tenure and the last to believe
//! in it, of each actor its beliefs and its innermost step.
//!
//! All but starvation is judged. That is a matter of fairness: among all orderings there is always
//! one that starves an actor.
//!
//! # What histories it is for
//!
//! Those that are *sequential*: each command ran at once (its `sent` comes right before its own
//! moment), and no lease expires by time; where one expires, a [`Fault`](EventKind::Fault) without
//! an actor says so with the effect [`Deleted`](Change::Deleted). Then it is known at every moment
//! whose a lock is, and the deductions of [`check`](super::check) from commands that overlap are
//! exact. Further, as in every history that our own actors make:
//!
//! - Steps are nested well. Those that take, give back or forget a lock or write a file (`acquire`,
//!   `release`, `force_release`, `forget_token`, `dump`, `external_dump`) have no steps in them.
//! - An acquire completes only after it took its lock. A step around it fails because of a loss
//!   only after another step began in it.
//! - A command changes the key of a lock once, and no two tenures have the same token.
//! - The revisions of a file are counted without a gap, and each is replaced once.
//! - All actors have ended when the locks are looked at for the last time, once each.

mod answers;
mod beliefs;
mod circles;
mod file;
mod properties;
mod state;
#[cfg(test)]
mod tests;
mod tried;
mod writes;

pub use properties::Properties;
pub use tried::Tried;

use super::beliefs::{ended_by_end, ended_by_failure, ended_by_success};
use super::foreign::{as_judged, is_claim, is_for_ones_own};
use super::holds::{Holds, Observed};
use super::registered::Judging;
use super::{Property, deadlock, flag_drift, stuck_lock, token_drift, unavailable};
use crate::history::{
    Change, Command, Effect, EventKind, Failure, FailureKind, Left, Operation, Sharing, Verb,
};
use circles::{Circle, Circles};
use file::{File, WriteVerdict};
use state::{Actor, Doing, LockBelief, Owner, TenureState};

/// Judges a sequential history event by event; equal monitors judge the rest equally.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Monitor {
    found: Properties,
    actors: Vec<Actor>,
    locks: Vec<Lock>,
    circles: Circles,
    holds: Holds,
    /// Whether there may be commands that come when their senders have ended.
    may_come_late: bool,
    /// Whether actors share the locks.
    is_shared: bool,
    others: Judging,
}

/// What is known of a lock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Lock {
    owner: Owner,
    /// Whether its tenure began with a command that its sender had given up.
    began_late: bool,
    flag: Flag,
    /// Whether the key still has the token of a tenure that its owner gave up without deleting it: what
    /// compares that token takes the lock from no other actor.
    is_leftover: bool,
    /// The highest fencing token so far.
    fence: Option<u64>,
    /// The actor that came last to believe that it holds it, as long as it certainly does and its
    /// tenure lasts.
    last: Option<usize>,
    file: File,
}

/// What the flag of a lock says, where its holder has set it since it took the lock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
enum Flag {
    /// It was not set since then.
    #[default]
    Unset,
    Locked,
    /// Another write of it has set it to free since.
    Free,
}

impl Monitor {
    /// Nothing has happened yet.
    pub fn new(actors: usize, locks: usize) -> Self {
        Self {
            found: Properties::default(),
            actors: vec![Actor::new(locks); actors],
            locks: vec![Lock::default(); locks],
            circles: Circles::default(),
            holds: Holds::default(),
            may_come_late: false,
            is_shared: false,
            others: Judging::begin(),
        }
    }

    /// The same monitor, but for histories in which commands may come when their senders have ended.
    pub fn with_late_commands(self) -> Self {
        Self { may_come_late: true, ..self }
    }

    /// The same monitor, but for locks that actors share: only what is judged of these is found.
    pub fn with_sharing(self, sharing: Option<Sharing>) -> Self {
        Self { is_shared: sharing.is_some(), holds: Holds::new(sharing), ..self }
    }

    /// Which properties were violated so far, on any lock.
    pub fn found(&self) -> Properties {
        self.found
    }

    /// Takes in the next event; gives what it puts to the test. `at` is when it happened, in nanoseconds
    /// since the run began; where time is no part of what is explored, it is always 0.
    pub fn read(&mut self, actor: Option<usize>, kind: &EventKind, at: u64) -> Tried {
        let tried = self.tried(actor, kind);
        self.judge_grants(actor, kind, at);
        match (kind, actor) {
            (EventKind::Started, Some(actor)) => {
                if let Some(actor) = self.actors.get_mut(actor) {
                    actor.is_active = true;
                }
            }
            (EventKind::Invoked(operation), Some(actor)) => self.begin(actor, operation),
            (EventKind::Completed(operation), Some(actor)) => self.complete(actor, operation),
            (EventKind::Failed { operation, failure }, Some(actor)) => {
                self.fail(actor, operation, failure);
            }
            (EventKind::Command(Command { effects, late: Some(verb), .. }), actor) => {
                self.affect(actor, effects, Some(verb));
            }
            (EventKind::Command(command), actor) => {
                self.affect(actor, &command.effects, None);
                if let Some(actor) = actor {
                    self.hear_reply(actor, &command.effects);
                }
            }
            (EventKind::Fault { effects, .. }, actor) => self.affect(actor, effects, None),
            (EventKind::Ended { failure }, Some(actor)) => self.end(actor, failure.as_ref()),
            (EventKind::Left(left), _) => self.read_left(left),
            (_, None) => {}
        }
        if self.circles.is_one_proved() {
            self.found.insert(Property::Deadlock);
        }
        self.others.read(actor, kind, |property, _| self.found.insert(property));
        if self.is_shared {
            self.found = self.found.iter().filter(|it| it.is_of_shared_locks()).collect();
        }
        self.forget();
        tried.and(self.tried_as_found())
    }

    /// The verb of the step that an actor is in, where it matters for what its commands do to locks.
    fn verb(&self, actor: Option<usize>) -> Option<&'static Verb> {
        match self.actors.get(actor?)?.doing {
            Doing::Acquires { .. } => Some(&Verb::Acquire),
            Doing::Extends => Some(&Verb::Extend),
            Doing::Dumps { .. } => Some(&Verb::Dump),
            Doing::Releases => Some(&Verb::Release),
            Doing::Redis => Some(&Verb::Redis),
            Doing::Forgets { .. } | Doing::Other => None,
        }
    }

    fn judge_grants(&mut self, actor: Option<usize>, kind: &EventKind, at: u64) {
        if self.found.contains(Property::DoubleGrant) {
            return;
        }
        let verb = match kind {
            EventKind::Command(Command { late: Some(verb), .. }) => Some(verb),
            _ => self.verb(actor),
        };
        let doing = actor.and_then(|actor| self.actors.get(actor)).map(|actor| &actor.doing);
        let acquires = match doing {
            Some(Doing::Acquires { lock, lease, .. }) => Some((*lock, *lease)),
            _ => None,
        };
        let observed = Observed { actor, kind, verb, acquires, sent_at: at, at };
        self.holds.end_terms(at);
        self.holds.read(&observed, |_| {
            self.found.insert(Property::DoubleGrant);
            false
        });
        if self.found.contains(Property::DoubleGrant) {
            self.holds = Holds::default();
        }
    }

    fn begin(&mut self, actor: usize, operation: &Operation) {
        self.prove_beliefs(actor);
        if (0..self.locks.len()).any(|lock| self.holds_without_flag(actor, lock)) {
            self.found.insert(Property::FlagDrift);
        }
        let doing = self.doing(actor, operation);
        let Some(this) = self.actors.get_mut(actor) else { return };
        this.depth += 1;
        this.awaits = true;
        this.doing = doing;
        if operation.verb.releases()
            && let Some(belief) = operation.lock.and_then(|lock| this.known.get_mut(lock))
        {
            belief.is_certain = false;
            belief.gives_back = self.may_come_late && belief.is_open;
        }
        if operation.verb == Verb::Acquire {
            self.find_circle(actor);
        }
    }

    fn doing(&self, actor: usize, operation: &Operation) -> Doing {
        match (&operation.verb, operation.lock) {
            (Verb::Acquire, Some(lock)) => {
                let (lease, tenure) = (operation.lease, TenureState::Unknown);
                let (ceiling, fenced, wrote, met) = (None, false, false, false);
                Doing::Acquires { lock, lease, tenure, fenced, ceiling, refusals: 0, wrote, met }
            }
            (Verb::Extend, _) => Doing::Extends,
            (Verb::Release, _) => Doing::Releases,
            (Verb::ForgetToken, Some(lock)) => Doing::Forgets { lock, met: false },
            (Verb::Redis, _) => Doing::Redis,
            (Verb::Dump | Verb::ExternalDump, Some(lock)) => {
                let lost = self.tenure(actor, lock).is_over();
                Doing::Dumps { lock, lost, passed: self.others_who_lost(lock) }
            }
            _ => Doing::Other,
        }
    }

    /// The tenure of an actor's latest belief.
    fn tenure(&self, actor: usize, lock: usize) -> TenureState {
        let belief = self.actors.get(actor).and_then(|actor| actor.known.get(lock));
        belief.map(|belief| belief.tenure).unwrap_or_default()
    }

    fn complete(&mut self, actor: usize, operation: &Operation) {
        if let Some(lock) = operation.lock {
            self.hear_answer(actor, lock, &operation.verb);
            self.hear_fence(actor, lock, operation.fence);
            if let Some(end) = ended_by_success(&operation.verb, lock) {
                self.end_beliefs(actor, end);
            }
            if operation.verb == Verb::Acquire {
                self.open(actor, lock);
            }
            self.write(actor, lock, operation);
        }
        self.end_step(actor, None);
    }

    fn fail(&mut self, actor: usize, operation: &Operation, failure: &Failure) {
        if let Some(end) = ended_by_failure(&operation.verb, operation.lock, failure) {
            self.end_beliefs(actor, end);
        }
        self.end_step(actor, Some(failure.kind));
    }

    fn end_step(&mut self, actor: usize, failure: Option<FailureKind>) {
        let Some(this) = self.actors.get_mut(actor) else { return };
        this.depth = this.depth.saturating_sub(1);
        let is_idle = this.depth == 0;
        match std::mem::take(&mut this.doing) {
            Doing::Acquires { met, .. } => {
                if met {
                    self.found.insert(Property::Overlap);
                }
                if deadlock::is_end_of_wait(failure) {
                    self.circles.waits(actor);
                } else {
                    self.circles.does_not_wait(actor);
                }
            }
            Doing::Forgets { met: true, .. } => self.found.insert(Property::Overlap),
            Doing::Dumps { lock, .. } => self.end_dump(actor, lock),
            Doing::Forgets { .. }
            | Doing::Extends
            | Doing::Releases
            | Doing::Redis
            | Doing::Other => {}
        }
        if is_idle {
            self.prove_beliefs(actor);
        }
    }

    fn end(&mut self, actor: usize, failure: Option<&Failure>) {
        self.end_beliefs(actor, ended_by_end(failure));
        let locks = self.locks.len();
        if let Some(this) = self.actors.get_mut(actor) {
            *this = Actor::new(locks);
        }
        for lock in &mut self.locks {
            lock.file.end_actor(actor);
        }
    }

    /// What a command or a fault did to the locks; `late` is the verb of the step that a command was
    /// sent in whose sender had given it up.
    fn affect(&mut self, actor: Option<usize>, effects: &[Effect], late: Option<&Verb>) {
        let verb = late.or(self.verb(actor));
        for Effect { lock, change } in effects {
            let change = as_judged(change, verb);
            match change {
                Change::Took { fence, .. } => {
                    self.end_tenure(*lock, None, None);
                    self.begin_tenure(*lock, actor, *fence, late.is_some());
                }
                Change::Overwrote { .. } if is_claim(change, verb) => {
                    self.overwrite(*lock, actor, late);
                }
                Change::Overwrote { .. } => self.note_value(*lock, actor, late),
                Change::Saw { token: None } => self.end_tenure(*lock, None, None),
                Change::Deleted { token } => {
                    let state = self.locks.get(*lock);
                    let is_leftover = state.is_some_and(|state| state.is_leftover);
                    if !(is_leftover && token.is_some()) {
                        self.judge_change(*lock, actor, verb, Property::ForeignRelease);
                    }
                    self.end_tenure(*lock, actor, late);
                }
                Change::Extended { .. } => {
                    self.judge_change(*lock, actor, verb, Property::ForeignExtend);
                }
                Change::Flagged { locked } => self.set_flag(*lock, *locked),
                Change::Refused | Change::Saw { token: Some(_) } => {}
            }
        }
    }

    /// An actor replaced the lock's value, and holds the lock from then on.
    fn overwrite(&mut self, lock: usize, actor: Option<usize>, late: Option<&Verb>) {
        let verb = late.or(self.verb(actor));
        self.judge_change(lock, actor, verb, Property::ForeignOverwrite);
        self.end_tenure(lock, actor, late);
        self.begin_tenure(lock, actor, None, late.is_some());
    }

    /// An actor that acquires a lock wrote a value that is no token.
    fn note_value(&mut self, lock: usize, actor: Option<usize>, late: Option<&Verb>) {
        let this = actor.filter(|_| late.is_none()).and_then(|actor| self.actors.get_mut(actor));
        if let Some(Doing::Acquires { lock: its, wrote, .. }) = this.map(|this| &mut this.doing)
            && *its == lock
        {
            *wrote = true;
        }
    }

    fn begin_tenure(
        &mut self,
        lock: usize,
        actor: Option<usize>,
        fence: Option<u64>,
        is_late: bool,
    ) {
        let Some(state) = self.locks.get_mut(lock) else { return };
        state.owner = actor.map_or(Owner::Stranger, Owner::Actor);
        state.began_late = is_late;
        self.judge_fence(lock, fence);
        let this = actor.filter(|_| !is_late).and_then(|actor| self.actors.get_mut(actor));
        if let Some(Doing::Acquires { lock: its, tenure, fenced, .. }) =
            this.map(|this| &mut this.doing)
            && *its == lock
        {
            (*tenure, *fenced) = (TenureState::Lasts, fence.is_some());
        }
    }

    /// Ends the tenure of the owner, which gave it up if its own command deleted or overwrote the key, but
    /// for a late release of an earlier tenure. Whatever value was there is gone.
    fn end_tenure(&mut self, lock: usize, by: Option<usize>, late: Option<&Verb>) {
        for actor in &mut self.actors {
            if let Doing::Acquires { lock: its, wrote, .. } = &mut actor.doing
                && *its == lock
            {
                *wrote = false;
            }
        }
        let Some(state) = self.locks.get_mut(lock) else { return };
        (state.began_late, state.is_leftover, state.flag) = (false, false, Flag::Unset);
        let Owner::Actor(actor) = std::mem::take(&mut state.owner) else { return };
        let Some(this) = self.actors.get_mut(actor) else { return };
        let is_meant = |gives_this_back: bool| {
            by == Some(actor) && (gives_this_back || !late.is_some_and(Verb::releases))
        };
        let over = |is_meant: bool| if is_meant { TenureState::GivenUp } else { TenureState::Lost };
        if let Some(belief) =
            this.known.get_mut(lock).filter(|belief| belief.tenure == TenureState::Lasts)
        {
            belief.tenure = over(is_meant(belief.gives_back));
        }
        if let Doing::Acquires { lock: its, tenure, .. } = &mut this.doing
            && *its == lock
            && *tenure == TenureState::Lasts
        {
            *tenure = over(is_meant(false));
        }
    }

    /// Judges a command, in a step of this verb, that changes a lock.
    fn judge_change(
        &mut self,
        lock: usize,
        actor: Option<usize>,
        verb: Option<&Verb>,
        property: Property,
    ) {
        let Some((actor, state)) = actor.zip(self.locks.get(lock)) else { return };
        let is_anothers =
            !matches!(state.owner, Owner::Unowned) && state.owner != Owner::Actor(actor);
        if is_anothers && verb.is_some_and(is_for_ones_own) {
            self.found.insert(property);
        }
    }

    /// Looks whether an acquire that begins closes a circle, if all in it wait.
    fn find_circle(&mut self, first: usize) {
        let mut circle = Circle::default();
        let mut waiter = first;
        loop {
            let Some(Doing::Acquires { lock, refusals, .. }) =
                self.actors.get(waiter).map(|it| &it.doing)
            else {
                return;
            };
            let Some(holder) = self.locks.get(*lock).and_then(|state| state.last) else { return };
            if *refusals < 2 {
                circle.waiters.insert(waiter);
            }
            if !circle.believers.insert((holder, *lock)) {
                return;
            }
            if holder == first {
                break;
            }
            waiter = holder;
        }
        if circle.believers.len() > 1 {
            self.circles.insert(circle);
        }
    }

    fn set_flag(&mut self, lock: usize, locked: bool) {
        let Some(state) = self.locks.get_mut(lock) else { return };
        state.flag = match (state.owner, state.flag) {
            (Owner::Unowned, _) => Flag::Unset,
            _ if locked => Flag::Locked,
            (_, Flag::Unset) => Flag::Unset,
            (_, Flag::Locked | Flag::Free) => Flag::Free,
        };
    }

    /// Whether an actor certainly holds a lock, and its flag says that it is free.
    fn holds_without_flag(&self, actor: usize, lock: usize) -> bool {
        let belief = self.actors.get(actor).and_then(|actor| actor.known.get(lock));
        let holds = belief.is_some_and(LockBelief::certainly_holds);
        let state = self.locks.get(lock);
        holds && state.is_some_and(|it| it.flag == Flag::Free && it.owner == Owner::Actor(actor))
    }

    /// How a lock was left.
    fn read_left(&mut self, left: &Left) {
        if self.actors.iter().any(|actor| actor.is_active) {
            return;
        }
        let violated = [
            (Property::StuckLock, stuck_lock::stuck(left).is_some()),
            (Property::Unavailable, unavailable::is_unavailable(left)),
            (Property::FlagDrift, flag_drift::drifts(left)),
            (Property::TokenDrift, token_drift::drifting(left).next().is_some()),
        ];
        for (property, _) in violated.into_iter().filter(|(_, is_violated)| *is_violated) {
            self.found.insert(property);
        }
    }

    /// Forgets what can no longer matter.
    fn forget(&mut self) {
        let found = self.found;
        let found = |property| found.contains(property);
        let files = WriteVerdict {
            lost_update: found(Property::LostUpdate),
            fencing_order: found(Property::FencingOrder),
        };
        let knows_deadlock = found(Property::Deadlock);
        if knows_deadlock {
            self.circles.clear();
        }
        for (position, lock) in self.locks.iter_mut().enumerate() {
            let certainly_holds = |actor: &usize| {
                let belief = self.actors.get(*actor).and_then(|it| it.known.get(position));
                belief.is_some_and(|belief| belief.is_certain && !belief.tenure.is_over())
            };
            lock.last = lock.last.filter(certainly_holds).filter(|_| !knows_deadlock);
            if files.fencing_order {
                lock.fence = None;
            }
            lock.is_leftover &= !found(Property::ForeignRelease);
            let owner = match lock.owner {
                Owner::Actor(owner) => self.actors.get(owner),
                Owner::Unowned | Owner::Stranger => None,
            };
            if found(Property::FlagDrift) || !owner.is_some_and(|it| it.may_work_under(position)) {
                lock.flag = Flag::Unset;
            }
            lock.file.forget(files);
        }
        let holds =
            |actor, lock: usize| self.locks.get(lock).is_some_and(|it| it.last == Some(actor));
        for (position, actor) in self.actors.iter_mut().enumerate() {
            let may_close_a_circle = |lock: usize| {
                self.circles.wait_for(position)
                    || (0..self.locks.len()).any(|other| other != lock && holds(position, other))
            };
            actor.forget(self.found, |lock| holds(position, lock), may_close_a_circle);
            if actor.ignores_notifications() && !self.circles.believe_in(position) {
                actor.awaits = true;
            }
        }
        // A lock stays another's even where nothing foreign is left to find: an acquire may be granted it.
        for lock in &mut self.locks {
            let Owner::Actor(actor) = lock.owner else { continue };
            let Some(actor) = self.actors.get(actor) else { continue };
            if !actor.is_active && !self.may_come_late {
                lock.owner = Owner::Stranger;
            }
        }
    }
}
