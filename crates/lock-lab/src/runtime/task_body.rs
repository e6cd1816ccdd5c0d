//! Actors following one another: their beginnings and ends, and writing down what happens. The
//! same code for every way of running.

use super::merge_point::MergePoint;
use super::rules::{FaultState, Ruled};
use super::services::Own;
use super::{Buffer, Remembered, World, signals, wire_log};
use crate::controller::{CACHE_DB, Controller, ControllerError};
use crate::intercept::{Intercepted, Interceptor, Link, PausePoint};
use crate::lock::{
    Acquisition, ActorHost, Caller, Identity, LockError, LockProtocol, Token, TokenSlot, Who,
};
use crate::scenario::{ActorPlan, Instance, Start};
use crate::server::Connection;
use lock_history::history::{Event, EventKind, Failure, FailureKind, Operation};
use parking_lot::Mutex;
use redis_sim::clock::{Clock, Stopped, VirtualClock};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Makes the interceptors of a task's connections.
pub(super) type NewInterceptor<'a> = &'a dyn Fn() -> Box<dyn Interceptor>;

/// One task at work.
pub(super) struct TaskBody<'a> {
    pub(super) world: &'a World,
    pub(super) clock: &'a dyn Clock,
    pub(super) link: Intercepted<'a>,
    pub(super) cache: Option<Intercepted<'a>>,
    /// What the actor holds, as far as it knows, by lock.
    pub(super) held: BTreeMap<usize, Acquisition>,
    /// What the actor itself remembers, with or without shared controllers.
    pub(super) own: BTreeMap<usize, TokenSlot>,
    /// The token of the actor's raw commands, once it has drawn one.
    pub(super) raw_token: Option<Token>,
    new_interceptor: NewInterceptor<'a>,
    /// Where it is in its plan: for each list of steps that it is in, and each repetition, the
    /// position.
    pub(super) position: Vec<u32>,
    /// When the actor began.
    pub(super) began: Duration,
    /// The task's first actor.
    first: usize,
    pub(super) fault_state: Arc<FaultState>,
    pub(super) identity: Arc<Identity>,
    pub(super) actor: usize,
    /// Distinguishes this task from every other, and from itself where it is run again.
    life: u64,
    steps_taken: usize,
    pub(super) controllers: Vec<Option<Arc<Controller>>>,
    events: Arc<Mutex<Buffer>>,
}

/// How many tasks there were in this process.
static LIVES: AtomicU64 = AtomicU64::new(0);

/// What a task shares with its scheduler.
#[derive(Clone)]
pub(super) struct Outside {
    /// Whose turn it is in the task, and the faults that are injected.
    pub fault_state: Arc<FaultState>,
    /// In whose name it acquires locks.
    pub identity: Arc<Identity>,
    /// The time that it sees, where its scheduler moves that.
    pub time: Arc<VirtualClock>,
    /// Its events that were not taken yet.
    pub events: Arc<Mutex<Buffer>>,
}

impl Outside {
    /// For a task that acquires in this name and sees this time.
    pub fn new(identity: &Arc<Identity>, time: Arc<VirtualClock>) -> Self {
        let (fault_state, events) = Default::default();
        Self { fault_state, identity: Arc::clone(identity), time, events }
    }

    /// What the task has written down since the last time.
    pub fn take_events(&self) -> Buffer {
        std::mem::take(&mut self.events.lock())
    }
}

impl<'a> TaskBody<'a> {
    /// A task on a connection to DB 0 whose interceptor may be a special one; further connections get one
    /// from `new_interceptor`.
    pub fn new(
        world: &'a World,
        clock: &'a dyn Clock,
        mut connection: Connection,
        interceptor: Box<dyn Interceptor>,
        new_interceptor: NewInterceptor<'a>,
        outside: Outside,
    ) -> Self {
        world.listen(&mut connection);
        let Outside { fault_state, identity, events, .. } = outside;
        let interceptor = ruled(world, clock, &fault_state, interceptor);
        Self {
            world,
            clock,
            link: Intercepted::new(connection, interceptor),
            cache: None,
            held: BTreeMap::new(),
            own: BTreeMap::new(),
            raw_token: None,
            new_interceptor,
            position: Vec::new(),
            began: Duration::ZERO,
            first: 0,
            fault_state,
            identity,
            actor: 0,
            life: LIVES.fetch_add(1, Ordering::Relaxed),
            steps_taken: 0,
            controllers: Vec::new(),
            events,
        }
    }

    /// Runs the actors one after the other.
    pub fn run(mut self, actors: Range<usize>) {
        let world = self.world;
        self.first = actors.start;
        for actor in actors {
            let Some(plan) = world.setup.plan.actors.get(actor) else { continue };
            self.actor = actor;
            self.fault_state.actor.store(actor, Ordering::Relaxed);
            self.fault_state.crashed.store(false, Ordering::Relaxed);
            self.steps_taken = 0;
            self.held.clear();
            self.own.clear();
            self.raw_token = None;
            self.controllers = vec![None; world.setup.files.len()];
            self.position.clear();
            self.began = Duration::ZERO;
            self.pass_merge_point();
            let ready = self.wait_for_start(plan);
            self.record(EventKind::Started);
            let result = ready.and_then(|()| self.act(plan));
            if let Err(Failure { kind: FailureKind::Environment, message }) = &result {
                world.log.fail(message.clone());
            }
            self.collect();
            self.record(EventKind::Ended { failure: result.err() });
            (world.on_end)();
        }
    }

    /// The task's actors up to the one that has its turn.
    pub(super) fn actors_so_far(&self) -> Range<usize> {
        self.first..self.actor + 1
    }

    /// Notifies the observer that the actor passes a merge point.
    pub(super) fn pass_merge_point(&self) {
        self.world.observer.passed(self.world, &|| MergePoint::of(self));
    }

    fn wait_for_start(&mut self, plan: &ActorPlan) -> Result<(), Failure> {
        if let Some(message) = self.world.log.failure() {
            let message = format!("not started: {message}");
            return Err(Failure { kind: FailureKind::Environment, message });
        }
        match plan.start {
            Start::InSequence { pause } if self.actor > 0 => self.clock.sleep(pause),
            Start::After { delay } => self.clock.sleep(delay),
            _ => Ok(()),
        }
        .map_err(stopped)
    }

    fn act(&mut self, plan: &ActorPlan) -> Result<(), Failure> {
        self.began = self.clock.now();
        self.take_steps(&plan.steps)?;
        match plan.limit {
            Some(limit) if self.clock.now() - self.began > limit => Err(Failure {
                kind: FailureKind::Refused,
                message: format!("504: it took longer than the gateway's limit of {limit:?}"),
            }),
            _ => Ok(()),
        }
    }

    /// Does something as a part of the history. `operation` fills in what became of it.
    pub(super) fn recorded(
        &mut self,
        mut operation: Operation,
        body: impl FnOnce(&mut Self, &mut Operation) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        operation.number = self.steps_taken;
        self.steps_taken += 1;
        self.record(EventKind::Invoked(operation.clone()));
        self.fault_state.injected.store(false, Ordering::Relaxed);
        let around = self.fault_state.begin(operation.verb.clone());
        let result = body(self, &mut operation);
        self.fault_state.begin(around);
        let result = match result {
            // A crash between two commands is seen only here.
            _ if self.fault_state.crashed.load(Ordering::Relaxed) => Err(self.crashed()),
            other => other,
        };
        let (signal, lock) = (operation.name.clone(), operation.lock);
        let order = self.record(match &result {
            Ok(()) => EventKind::Completed(operation),
            Err(failure) => EventKind::Failed { operation, failure: failure.clone() },
        });
        if let Some(lock) = lock {
            self.world.log.note_memory(|| self.memory_of(lock, order));
        }
        if let Some(name) = signal {
            signals::signal(self.world, self.clock, &name);
        }
        result
    }

    /// What the actor, or else its controller, remembers of a lock when a step ends. To ask this is not to
    /// touch it.
    fn memory_of(&self, lock: usize, order: u64) -> Remembered {
        let own = self.own.get(&lock).and_then(TokenSlot::memory);
        let controller = self.controllers.get(lock).and_then(Option::as_ref);
        let token = own.or_else(|| controller?.slot().memory()).map(|own| own.token);
        Remembered { order, actor: self.actor, lock, token }
    }

    /// What is left of an actor that crashed: no process, and nothing that it remembered.
    pub(super) fn crashed(&mut self) -> Failure {
        self.fault_state.crashed.store(true, Ordering::Relaxed);
        self.world.setup.host.kill(self.who());
        for controller in self.controllers.iter().flatten() {
            controller.forget_acquisition();
        }
        self.held.clear();
        self.own.clear();
        Failure { kind: FailureKind::Crashed, message: "killed".into() }
    }

    /// The actor, in this life.
    pub(super) fn who(&self) -> Who {
        Who { actor: self.actor, life: self.life }
    }

    /// The lock protocol as the actor speaks it.
    pub(super) fn protocol(&self) -> Arc<dyn LockProtocol> {
        self.world.setup.host.protocol_of(self.who())
    }

    /// The actor, as payloads name it.
    pub(super) fn owner(&self) -> &str {
        let owner = self.world.setup.host.owners().get(self.actor);
        owner.map_or(self.identity.owner(), String::as_str)
    }

    /// This actor's controller of a lock: the process's one, or one of its own.
    pub(super) fn controller(&mut self, lock: usize) -> Result<Arc<Controller>, Failure> {
        if let Some(Some(controller)) = self.controllers.get(lock) {
            return Ok(Arc::clone(controller));
        }
        let controller = self.get_instance(lock)?;
        self.keep_controller(lock, Arc::clone(&controller));
        Ok(controller)
    }

    /// From now on this is the actor's controller of a lock.
    pub(super) fn keep_controller(&mut self, lock: usize, controller: Arc<Controller>) {
        if let Some(slot) = self.controllers.get_mut(lock) {
            *slot = Some(controller);
        }
    }

    /// The reference's `getInstance`, or a new controller where the actor has one of its own.
    pub(super) fn get_instance(&mut self, lock_index: usize) -> Result<Arc<Controller>, Failure> {
        let world = self.world;
        let (Some(file), Some(actor)) =
            (world.setup.files.get(lock_index), world.setup.plan.actors.get(self.actor))
        else {
            let message = format!("the plan has no lock {lock_index} or no actor {}", self.actor);
            return Err(Failure { kind: FailureKind::Refused, message });
        };
        let link: &mut dyn Link = &mut self.link;
        let opened = match actor.instance {
            Instance::Shared => world.services.registry.instance(file, &world.services.files, link),
            Instance::Racy => {
                world.services.registry.racy_instance(file, &world.services.files, link)
            }
            Instance::Own => link
                .pause(PausePoint::FileRead)
                .map_err(|crashed| LockError::from(crashed).into())
                .and_then(|()| Controller::open(file, &world.services.files))
                .map(Arc::new),
        };
        let controller = opened.map_err(|error| self.failure(&error))?;
        if actor.instance == Instance::Own {
            let own =
                Own { actor: self.actor, lock: lock_index, controller: Arc::clone(&controller) };
            world.services.own.lock().push(own);
        }
        Ok(controller)
    }

    /// The actor as a caller of the lock library, with its own memory of a lock.
    pub(super) fn caller(&mut self, lock: usize) -> (Caller<'_>, Option<&mut Intercepted<'a>>) {
        let caller = Caller {
            link: &mut self.link,
            clock: self.clock,
            identity: &self.identity,
            own: self.own.entry(lock).or_default(),
        };
        (caller, self.cache.as_mut())
    }

    /// What the actor itself remembers of a lock, or else its controller.
    pub(super) fn remembered(
        &mut self,
        lock: usize,
        controller: &Controller,
    ) -> Option<Acquisition> {
        let own = self.own.entry(lock).or_default().get();
        own.or_else(|| controller.acquisition())
    }

    /// Forgets what the actor itself remembers of a lock.
    pub(super) fn forget(&mut self, lock: usize) {
        self.own.remove(&lock);
        self.held.remove(&lock);
    }

    /// Opens the connection to the cache, if it can be had: no cache is no failure of a write
    /// (contract, section 4).
    pub(super) fn open_cache(&mut self) {
        if self.cache.is_none() && self.world.setup.has_cache {
            let connection = self.world.services.connect(CACHE_DB).ok();
            self.cache = connection.map(|connection| {
                let interceptor =
                    ruled(self.world, self.clock, &self.fault_state, (self.new_interceptor)());
                Intercepted::new(connection, interceptor)
            });
        }
    }

    /// Writes down what happens now; gives its order.
    fn record(&mut self, kind: EventKind) -> u64 {
        let moment = self.world.log.moment();
        self.events.lock().push(Event { moment, actor: Some(self.actor), kind });
        moment.order
    }

    /// Takes in what was recorded elsewhere for this actor.
    fn collect(&mut self) {
        let exchanges = self.link.recorded();
        let mut events = self.events.lock();
        events.extend(wire_log::read(self.actor, exchanges, &self.world.setup.locks));
        events.append(&mut self.fault_state.events.lock());
    }

    pub(super) fn failure(&self, error: &ControllerError) -> Failure {
        let kind = match error {
            ControllerError::Lock(error) => return self.lock_failure(error),
            ControllerError::Stale(_) => FailureKind::LostLock,
            ControllerError::ReadOnly(_) => FailureKind::Refused,
            ControllerError::File { .. } | ControllerError::Format { .. } => {
                FailureKind::Environment
            }
        };
        Failure { kind, message: self.world.services.explain_controller(error) }
    }

    pub(super) fn lock_failure(&self, error: &LockError) -> Failure {
        let kind = match error {
            LockError::AlreadyLocked { .. } => FailureKind::AlreadyLocked,
            LockError::Lost(_)
            | LockError::OtherToken
            | LockError::LostBeforeRelease
            | LockError::WriteOtherToken => FailureKind::LostLock,
            LockError::NotOwner
            | LockError::NotLocked
            | LockError::WriteNotOwner
            | LockError::UnderReplacement => FailureKind::Refused,
            LockError::Client(_) => FailureKind::Environment,
            LockError::Crashed(_) => FailureKind::Crashed,
            LockError::Redis { .. } if self.fault_state.check().is_err() => FailureKind::Crashed,
            LockError::Redis { .. } if self.fault_state.injected.swap(false, Ordering::Relaxed) => {
                FailureKind::Injected
            }
            LockError::Redis { .. } => {
                let message = self.world.explain_and_note(error);
                return Failure { kind: FailureKind::Environment, message };
            }
        };
        Failure { kind, message: self.world.services.explain(error) }
    }
}

/// As long as this is there, an actor's process stands still. One that is given up in the middle goes
/// on, too: it has to come to its end.
pub(super) struct StandStill {
    host: Arc<dyn ActorHost>,
    who: Who,
}

impl StandStill {
    pub fn new(host: Arc<dyn ActorHost>, who: Who) -> Self {
        host.stop(who);
        Self { host, who }
    }
}

impl Drop for StandStill {
    fn drop(&mut self) {
        self.host.go_on(self.who);
    }
}

fn ruled<'a>(
    world: &'a World,
    clock: &'a dyn Clock,
    fault_state: &Arc<FaultState>,
    interceptor: Box<dyn Interceptor>,
) -> Box<dyn Interceptor + 'a> {
    if world.setup.plan.rules.is_empty() {
        interceptor
    } else {
        Box::new(Ruled { world, clock, fault_state: Arc::clone(fault_state), inner: interceptor })
    }
}

pub(super) fn stopped(why: Stopped) -> Failure {
    let kind = match why {
        Stopped::Interrupted => FailureKind::Interrupted,
        Stopped::CalledOff => FailureKind::Environment,
        Stopped::TimedOut => FailureKind::TimedOut,
    };
    Failure { kind, message: why.to_string() }
}

/// Fails as a step that refuses.
pub(super) fn refused_unless(holds: bool, message: impl FnOnce() -> String) -> Result<(), Failure> {
    if holds {
        return Ok(());
    }
    Err(Failure { kind: FailureKind::Refused, message: message() })
}
