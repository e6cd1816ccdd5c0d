//! Lock clients of all sorts on a model of a server, one command at a time.

mod steps;

use super::random::Random;
use super::record::{KINDS, failure, token};
use crate::history::{
    Change, Command, Effect, EventKind, FailureKind, Left, Moment, Operation, Write,
};
use std::collections::{HashMap, VecDeque};

/// What is added to a value that is no token.
const MARK: u64 = 1 << 40;
/// Longer than any run.
const LEASE: u64 = 1 << 50;

/// An action of an actor.
pub type Happening = (Option<usize>, EventKind);

/// What an actor does in one turn.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Act {
    Invoke(&'static str, Option<usize>),
    Complete,
    Take {
        lock: usize,
        left: usize,
        atomic: bool,
    },
    Flag(usize, bool),
    CheckLock {
        lock: usize,
        must_be_own: bool,
    },
    Delete {
        lock: usize,
        compares: bool,
    },
    Extend {
        lock: usize,
        compares: bool,
    },
    Overwrite(usize),
    /// An acquire that takes the lock from its holder.
    Seize(usize),
    /// An acquire that writes a value which is no token; whether it is granted the lock all the same.
    Mark {
        lock: usize,
        granted: bool,
    },
    /// An acquire that takes a lock for its own by extending its lease.
    Adopt(usize),
    /// A release that leaves the key there.
    Free(usize),
    Read(usize),
    Write(usize),
    Ask,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Actor {
    has_started: bool,
    has_ended: bool,
    acts: VecDeque<Act>,
    steps: Vec<(&'static str, Option<usize>)>,
    own: Vec<Option<(u64, Option<u64>)>>,
    read: Vec<u64>,
    wrote: Option<(u64, u64, u64)>,
    /// Whether no step came after an acquire that completed.
    just_acquired: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Lock {
    token: Option<u64>,
    flag: bool,
    fence: u64,
    revision: u64,
}

/// Actors, locks and files.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Model {
    actors: Vec<Actor>,
    locks: Vec<Lock>,
    issued: u64,
    hardened: bool,
    /// Whether actors take one lock and then wait for another.
    crosses: bool,
    /// Of how many turns in a step one fails.
    troubles: usize,
    /// Of how many turns one is the end of a lease.
    leases: usize,
    /// Of how many commands one is given up, and comes late; 0: none.
    delays: usize,
    in_flight: Vec<Late>,
}

/// A command that its sender has given up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Late {
    actor: usize,
    verb: &'static str,
    act: Act,
    /// The token that it was sent with.
    own: Option<u64>,
}

impl Model {
    pub fn new(actors: usize, locks: usize, random: &mut Random) -> Self {
        let actor = Actor { own: vec![None; locks], read: vec![0; locks], ..Actor::default() };
        Self {
            actors: vec![actor; actors],
            locks: vec![Lock::default(); locks],
            issued: 0,
            hardened: random.one_in(2),
            crosses: locks > 1 && random.one_in(2),
            troubles: random.pick(&[6, 25, 1000]),
            leases: random.pick(&[6, 12, 100]),
            delays: random.pick(&[0, 6, 25]),
            in_flight: Vec::new(),
        }
    }

    /// Whether commands may come late.
    pub fn is_late(&self) -> bool {
        self.delays > 0
    }

    /// The same with tokens named by where they are.
    pub fn canonical(&self) -> Self {
        let mut names: HashMap<u64, u64> = HashMap::new();
        let mut rename = |token: &mut u64| {
            let next = (*token & MARK) + names.len() as u64;
            *token = *names.entry(*token).or_insert(next);
        };
        let mut model = self.clone();
        model.issued = 0;
        model.locks.iter_mut().filter_map(|lock| lock.token.as_mut()).for_each(&mut rename);
        for own in model.actors.iter_mut().flat_map(|actor| &mut actor.own).flatten() {
            rename(&mut own.0);
        }
        model.in_flight.iter_mut().filter_map(|late| late.own.as_mut()).for_each(&mut rename);
        model
    }

    /// One turn of an actor.
    pub fn turn(&mut self, random: &mut Random) -> Vec<Happening> {
        if random.one_in(self.leases) {
            let lock = random.below(self.locks.len());
            return self.end_lease(lock, random).into_iter().collect();
        }
        if !self.in_flight.is_empty() && random.one_in(6) {
            return self.arrive(random);
        }
        let actor = random.below(self.actors.len());
        self.act(actor, random)
    }

    fn end_lease(&mut self, lock: usize, random: &mut Random) -> Option<Happening> {
        let gone = self.locks[lock].token.take()?;
        let token = random.one_in(2).then(|| token(gone));
        let lease_of = (!random.one_in(6)).then_some(lock);
        let effects = vec![Effect { lock, change: Change::Deleted { token } }];
        let (what, expired_key) = (String::new(), None);
        let (in_value, is_restart, clock_jump) = (false, false, None);
        Some((
            None,
            EventKind::Fault {
                what,
                effects,
                lease_of,
                in_value,
                expired_key,
                is_restart,
                clock_jump,
            },
        ))
    }

    /// Every actor comes to an end.
    pub fn finish(&mut self, random: &mut Random) -> Vec<Happening> {
        let mut events = Vec::new();
        self.troubles = 1000;
        for actor in 0..self.actors.len() {
            while !self.actors[actor].acts.is_empty() {
                events.extend(self.act(actor, random));
            }
            if !self.actors[actor].has_started {
                events.push((Some(actor), EventKind::Started));
            }
            if !self.actors[actor].has_ended {
                let failure = random.one_in(4).then(|| failure(random.pick(&KINDS)));
                events.push((Some(actor), EventKind::Ended { failure }));
            }
        }
        while !self.in_flight.is_empty() {
            events.extend(self.arrive(random));
        }
        for (lock, it) in self.locks.iter().enumerate() {
            let own = self.actors.iter().filter_map(|actor| actor.own[lock]);
            let remembered = own.map(|own| token(own.0)).filter(|_| random.one_in(2)).collect();
            let acquirable = random.pick(&[None, Some(true), Some(false)]);
            let left = Left {
                lock,
                token: it.token.map(token),
                ttl_ms: -1,
                flag: it.flag,
                remembered,
                acquirable,
                held_elsewhere: random.one_in(10),
            };
            events.push((None, EventKind::Left(left)));
        }
        events
    }

    fn act(&mut self, actor: usize, random: &mut Random) -> Vec<Happening> {
        let this = &mut self.actors[actor];
        if this.has_ended {
            return Vec::new();
        }
        if !std::mem::replace(&mut this.has_started, true) {
            return vec![(Some(actor), EventKind::Started)];
        }
        let is_in_step = !this.steps.is_empty();
        if is_in_step && random.one_in(self.troubles) {
            // An actor is notified of a loss in a step that began after it had the lock.
            let kind = match random.pick(&KINDS) {
                FailureKind::LostLock if this.just_acquired => FailureKind::TimedOut,
                kind => kind,
            };
            return self.fail(actor, kind, random);
        }
        if !is_in_step && this.acts.is_empty() {
            if random.one_in(25) {
                this.has_ended = true;
                let failure = random.one_in(3).then(|| failure(random.pick(&KINDS)));
                return vec![(Some(actor), EventKind::Ended { failure })];
            }
            self.plan(actor, random);
        }
        match self.actors[actor].acts.pop_front() {
            Some(act) if self.is_given_up(&act, random) => self.give_up(actor, act, random),
            Some(act) => self.carry_out(actor, act, random),
            None => Vec::new(),
        }
    }

    fn is_given_up(&self, act: &Act, random: &mut Random) -> bool {
        let changes_something = matches!(
            act,
            Act::Take { .. }
                | Act::Delete { .. }
                | Act::Extend { .. }
                | Act::Overwrite(_)
                | Act::Seize(_)
                | Act::Mark { .. }
                | Act::Free(_)
                | Act::Flag(..)
        );
        self.delays > 0 && changes_something && random.one_in(self.delays)
    }

    fn give_up(&mut self, actor: usize, act: Act, random: &mut Random) -> Vec<Happening> {
        let this = &self.actors[actor];
        let (verb, lock) = *this.steps.last().unwrap();
        let own = lock.and_then(|lock| this.own[lock]).map(|own| own.0);
        self.in_flight.push(Late { actor, verb, act, own });
        self.fail(actor, FailureKind::Injected, random)
    }

    /// A command that was given up reaches the server.
    fn arrive(&mut self, random: &mut Random) -> Vec<Happening> {
        let Late { actor, verb, act, own } =
            self.in_flight.remove(random.below(self.in_flight.len()));
        let mut events = match act {
            Act::Take { lock, atomic, .. } if self.locks[lock].token.is_none() => {
                self.begin_tenure(actor, lock, atomic, random)
            }
            Act::Take { lock, .. } => self.command(actor, lock, vec![Change::Refused]),
            Act::Delete { lock, compares: true }
                if own.is_none() || self.locks[lock].token != own =>
            {
                let held = self.locks[lock].token.map(token);
                self.command(actor, lock, vec![Change::Saw { token: held }])
            }
            Act::Extend { lock, compares } => {
                let held = self.locks[lock].token;
                let extends = held.is_some() && (!compares || held == own);
                let change = extends.then_some(Change::Extended { lease: LEASE });
                self.command(actor, lock, change.into_iter().collect())
            }
            Act::Delete { lock, compares: true } => self.delete_own(actor, lock),
            _ => self.carry_out_anyhow(actor, act, random),
        };
        for (_, kind) in &mut events {
            if let EventKind::Command(command) = kind {
                command.late = Some(verb.into());
            }
        }
        events
    }

    fn carry_out(&mut self, actor: usize, act: Act, random: &mut Random) -> Vec<Happening> {
        let step = self.actors[actor].steps.last().map(|step| step.0);
        if let Act::Invoke(..) | Act::Complete = act {
            let completes = act == Act::Complete;
            self.actors[actor].just_acquired = completes && step == Some("acquire");
        }
        match act {
            Act::Invoke(verb, lock) => {
                let this = &mut self.actors[actor];
                this.steps.push((verb, lock));
                this.wrote = None;
                let leases = [None, Some(LEASE), Some(LEASE), Some(2 * LEASE)];
                let lease = if verb == "acquire" { random.pick(&leases) } else { None };
                let operation =
                    Operation { verb: verb.into(), lock, lease, ..Operation::default() };
                vec![(Some(actor), EventKind::Invoked(operation))]
            }
            Act::Complete => self.complete(actor),
            Act::Take { lock, left, atomic } => self.take(actor, lock, left, atomic, random),
            Act::Read(lock) => {
                self.actors[actor].read[lock] = self.locks[lock].revision;
                Vec::new()
            }
            Act::Write(lock) => {
                let (this, it) = (&mut self.actors[actor], &mut self.locks[lock]);
                let replaced = it.revision;
                it.revision += 1;
                this.wrote = Some((this.read[lock], replaced, it.revision));
                if this.steps.last().is_none_or(|step| step.0 != "external_dump") {
                    this.read[lock] = it.revision;
                }
                Vec::new()
            }
            Act::CheckLock { lock, must_be_own } => {
                let held = self.locks[lock].token;
                let saw = self.command(actor, lock, vec![Change::Saw { token: held.map(token) }]);
                if must_be_own && held != self.actors[actor].own[lock].map(|own| own.0) {
                    let kinds = [FailureKind::LostLock, FailureKind::Refused];
                    return self.and_fail(saw, actor, random.pick(&kinds), random);
                }
                saw
            }
            Act::Delete { lock, compares: true } => self.compare_and_delete(actor, lock, random),
            Act::Extend { lock, compares } => {
                let held = self.locks[lock].token;
                let own = self.actors[actor].own[lock].map(|own| own.0);
                if held.is_some() && (!compares || held == own) {
                    return self.command(actor, lock, vec![Change::Extended { lease: LEASE }]);
                }
                let nothing = self.command(actor, lock, Vec::new());
                self.and_fail(nothing, actor, FailureKind::LostLock, random)
            }
            Act::Ask => self.command(actor, 0, Vec::new()),
            Act::Adopt(lock) => {
                let held = self.locks[lock].token;
                let extended = held.map(|_| Change::Extended { lease: LEASE });
                let extended = self.command(actor, lock, extended.into_iter().collect());
                if held.is_none() {
                    return self.and_fail(extended, actor, FailureKind::AlreadyLocked, random);
                }
                // It knows no token that it could compare.
                self.issued += 1;
                self.actors[actor].own[lock] = Some((self.issued, None));
                extended
            }
            Act::Seize(lock) => {
                let seized = self.carry_out_anyhow(actor, act, random);
                self.actors[actor].own[lock] = Some((self.issued, None));
                seized
            }
            Act::Mark { lock, granted } => {
                let marked = self.carry_out_anyhow(actor, act, random);
                if granted {
                    self.actors[actor].own[lock] =
                        self.locks[lock].token.map(|token| (token, None));
                    return marked;
                }
                self.and_fail(marked, actor, FailureKind::AlreadyLocked, random)
            }
            Act::Delete { .. } | Act::Overwrite(_) | Act::Free(_) | Act::Flag(..) => {
                self.carry_out_anyhow(actor, act, random)
            }
        }
    }

    /// What does not depend on what its actor knows.
    fn carry_out_anyhow(&mut self, actor: usize, act: Act, random: &mut Random) -> Vec<Happening> {
        match act {
            Act::Delete { lock, .. } => {
                let was = self.locks[lock].token.take();
                let exact = was.filter(|was| *was < MARK && random.one_in(5)).map(token);
                let deleted = was.map(|_| Change::Deleted { token: exact });
                self.command(actor, lock, deleted.into_iter().collect())
            }
            Act::Overwrite(lock) => {
                self.issued += 1;
                self.locks[lock].token = Some(self.issued);
                let token = token(self.issued);
                self.command(actor, lock, vec![Change::Overwrote { token, lease: None }])
            }
            Act::Seize(lock) => {
                self.issued += 1;
                let was = self.locks[lock].token.replace(self.issued);
                let (token, lease) = (token(self.issued), Some(LEASE));
                let took = Change::Took { token: token.clone(), fence: None, lease };
                let seized = was.map_or(took, |_| Change::Overwrote { token, lease });
                self.command(actor, lock, vec![seized])
            }
            Act::Mark { lock, .. } => {
                self.issued += 1;
                let it = &mut self.locks[lock].token;
                let was = it.replace(it.map_or(0, |_| MARK) + self.issued);
                let lease = Some(LEASE);
                let took = Change::Took { token: token(self.issued), fence: None, lease };
                let wrote = Change::Overwrote { token: String::new(), lease };
                self.command(actor, lock, vec![was.map_or(took, |_| wrote)])
            }
            Act::Free(lock) => {
                let was = self.locks[lock].token.take();
                let (token, lease) = ("free".into(), None);
                let freed = random.pick(&[
                    Change::Overwrote { token, lease },
                    Change::Extended { lease: 1_000_000 },
                ]);
                self.command(actor, lock, was.map(|_| freed).into_iter().collect())
            }
            Act::Flag(lock, locked) => {
                self.locks[lock].flag = locked;
                self.command(actor, lock, vec![Change::Flagged { locked }])
            }
            _ => Vec::new(),
        }
    }

    fn command(&self, actor: usize, lock: usize, changes: Vec<Change>) -> Vec<Happening> {
        let effects = changes.into_iter().map(|change| Effect { lock, change }).collect();
        let (text, reply, sent) = (String::new(), String::new(), Moment::default());
        vec![(Some(actor), EventKind::Command(Command { sent, text, reply, effects, late: None }))]
    }

    fn complete(&mut self, actor: usize) -> Vec<Happening> {
        let this = &mut self.actors[actor];
        let (verb, lock) = this.steps.pop().unwrap();
        if verb == "redis" || verb == "plant_orphan" || lock.is_none() {
            let operation = Operation { verb: verb.into(), lock, ..Operation::default() };
            return vec![(Some(actor), EventKind::Completed(operation))];
        }
        let own = lock.and_then(|lock| this.own[lock]);
        let write = this.wrote.take().filter(|_| verb.contains("dump"));
        let fence = own.and_then(|own| own.1).filter(|_| verb != "external_dump");
        let operation = Operation {
            verb: verb.into(),
            lock,
            token: own.map(|own| token(own.0)),
            fence,
            write: write.map(|(based_on, replaced, wrote)| Write { based_on, replaced, wrote }),
            ..Operation::default()
        };
        if verb == "release" || verb == "force_release" || verb == "forget_token" {
            this.own[lock.unwrap()] = None;
        }
        vec![(Some(actor), EventKind::Completed(operation))]
    }

    fn take(
        &mut self,
        actor: usize,
        lock: usize,
        left: usize,
        atomic: bool,
        random: &mut Random,
    ) -> Vec<Happening> {
        if self.locks[lock].token.is_some() {
            let refused = self.command(actor, lock, vec![Change::Refused]);
            if left > 0 {
                self.actors[actor].acts.push_front(Act::Take { lock, left: left - 1, atomic });
                return refused;
            }
            let kinds = [FailureKind::AlreadyLocked, FailureKind::TimedOut, FailureKind::LostLock];
            return self.and_fail(refused, actor, random.pick(&kinds), random);
        }
        let took = self.begin_tenure(actor, lock, atomic, random);
        let is_acquire = self.actors[actor].steps.last().is_some_and(|step| step.0 == "acquire");
        if is_acquire {
            let fence = atomic.then_some(self.locks[lock].fence);
            self.actors[actor].own[lock] = Some((self.issued, fence));
        }
        took
    }

    fn begin_tenure(
        &mut self,
        actor: usize,
        lock: usize,
        atomic: bool,
        random: &mut Random,
    ) -> Vec<Happening> {
        self.issued += 1;
        let it = &mut self.locks[lock];
        it.token = Some(self.issued);
        it.fence = if random.one_in(30) { it.fence.saturating_sub(1) } else { it.fence + 1 };
        // Some clients tell it when they are done, and their commands don't show it.
        let fence = atomic.then_some(it.fence).filter(|_| !random.one_in(3));
        if atomic && random.one_in(2) {
            it.revision += 1;
        }
        let mut changes =
            vec![Change::Took { token: token(self.issued), fence, lease: Some(LEASE) }];
        if atomic {
            self.locks[lock].flag = true;
            changes.push(Change::Flagged { locked: true });
        }
        self.command(actor, lock, changes)
    }

    fn compare_and_delete(
        &mut self,
        actor: usize,
        lock: usize,
        random: &mut Random,
    ) -> Vec<Happening> {
        let (held, own) = (self.locks[lock].token, self.actors[actor].own[lock].map(|own| own.0));
        if held.is_some() && held == own {
            return self.delete_own(actor, lock);
        }
        let saw = self.command(actor, lock, vec![Change::Saw { token: held.map(token) }]);
        let kinds = [FailureKind::LostLock, FailureKind::Refused];
        self.and_fail(saw, actor, random.pick(&kinds), random)
    }

    fn delete_own(&mut self, actor: usize, lock: usize) -> Vec<Happening> {
        let was = self.locks[lock].token.take();
        self.locks[lock].flag = false;
        let deleted = Change::Deleted { token: was.filter(|was| *was < MARK).map(token) };
        self.command(actor, lock, vec![deleted, Change::Flagged { locked: false }])
    }

    fn and_fail(
        &mut self,
        mut events: Vec<Happening>,
        actor: usize,
        kind: FailureKind,
        random: &mut Random,
    ) -> Vec<Happening> {
        events.extend(self.fail(actor, kind, random));
        events
    }

    /// The innermost step fails; those around it fail, too, maybe after a release, or go on.
    fn fail(&mut self, actor: usize, kind: FailureKind, random: &mut Random) -> Vec<Happening> {
        let mut events = Vec::new();
        let crashes = kind == FailureKind::Crashed;
        loop {
            let this = &mut self.actors[actor];
            let Some((verb, lock)) = this.steps.pop() else { break };
            let operation = Operation { verb: verb.into(), lock, ..Operation::default() };
            let failed = EventKind::Failed { operation, failure: failure(kind) };
            events.push((Some(actor), failed));
            let depth = this.steps.len();
            // The rest of the step that failed is not done.
            let mut open = 1;
            while open > 0 {
                match this.acts.pop_front() {
                    Some(Act::Invoke(..)) => open += 1,
                    Some(Act::Complete) => open -= 1,
                    None => break,
                    _ => {}
                }
            }
            if depth == 0 {
                break;
            }
            if !crashes && random.one_in(3) {
                return events;
            }
            if !crashes && random.one_in(2) {
                let lock = random.below(self.locks.len());
                let mut acts: VecDeque<Act> = self.step("release", lock, random).into();
                acts.extend(std::mem::take(&mut self.actors[actor].acts));
                self.actors[actor].acts = acts;
                return events;
            }
        }
        if crashes {
            let this = &mut self.actors[actor];
            this.acts.clear();
            this.own.fill(None);
            if random.one_in(2) {
                this.has_ended = true;
                let failure = Some(failure(kind));
                events.push((Some(actor), EventKind::Ended { failure }));
            }
        }
        events
    }
}
