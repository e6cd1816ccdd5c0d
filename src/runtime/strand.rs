//! Actors taking their steps, one actor after the other: the same code for every way of running.

use super::{Buffer, World};
use crate::clock::{Clock, Stopped};
use crate::controller::{CACHE_DB, Controller, ControllerError};
use crate::gate::{Gate, Gated, Link};
use crate::history::{Event, EventKind, Failure, FailureKind, StepId};
use crate::lock::{Caller, LockError, Token, Ttl, clear_locks, encode_payload};
use crate::scenario::{Action, Instance, Start, Step};
use crate::server::Connection;
use redis::ConnectionLike;
use std::ops::Range;
use std::sync::Arc;

/// One strand at work.
pub(super) struct Strand<'a> {
    world: &'a World,
    clock: &'a dyn Clock,
    link: Gated,
    cache: Option<Gated>,
    new_gate: &'a dyn Fn() -> Box<dyn Gate>,
    actor: usize,
    steps_taken: usize,
    controllers: Vec<Option<Arc<Controller>>>,
    events: Buffer,
}

impl<'a> Strand<'a> {
    /// A strand on a connection to DB 0 whose first gate may be a special one; further connections
    /// get a gate from `new_gate`.
    pub fn new(
        world: &'a World,
        clock: &'a dyn Clock,
        link: Connection,
        gate: Box<dyn Gate>,
        new_gate: &'a dyn Fn() -> Box<dyn Gate>,
    ) -> Self {
        Self {
            world,
            clock,
            link: Gated::new(link, gate),
            cache: None,
            new_gate,
            actor: 0,
            steps_taken: 0,
            controllers: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Runs the actors one after the other and gives what was written down.
    pub fn run(mut self, actors: Range<usize>) -> Buffer {
        for actor in actors {
            self.actor = actor;
            self.steps_taken = 0;
            self.controllers = vec![None; self.world.runs.len()];
            let ready = self.wait_for_start();
            self.record(EventKind::Started);
            let result = ready.and_then(|()| self.act());
            if let Err(Failure { kind: FailureKind::Environment, message }) = &result {
                self.world.fail(message.clone());
            }
            self.record(EventKind::Ended(result));
            (self.world.on_end)();
        }
        self.events
    }

    fn wait_for_start(&mut self) -> Result<(), Failure> {
        if let Some(message) = self.world.failure() {
            let message = format!("not started: {message}");
            return Err(Failure { kind: FailureKind::Environment, message });
        }
        let pause = match self.world.plan.actors.get(self.actor).map(|actor| actor.start) {
            Some(Start::InSequence { pause }) if self.actor > 0 => pause,
            Some(Start::After { delay }) => delay,
            _ => return Ok(()),
        };
        self.clock.sleep(pause).map_err(stopped)
    }

    fn act(&mut self) -> Result<(), Failure> {
        let Some(actor) = self.world.plan.actors.get(self.actor) else { return Ok(()) };
        let steps = Arc::clone(&actor.steps);
        self.take_steps(&steps)
    }

    fn take_steps(&mut self, steps: &[Step]) -> Result<(), Failure> {
        for step in steps {
            let result = self.recorded(step.action.verb(), step.name.as_deref(), |strand| {
                strand.perform(&step.action)
            });
            match result {
                Err(failure) if step.go_on && failure.is_about_the_lock() => {}
                other => other?,
            }
        }
        Ok(())
    }

    fn perform(&mut self, action: &Action) -> Result<(), Failure> {
        match action {
            Action::Acquire { lock, ttl } => self.acquire(*lock, *ttl),
            Action::Work { lock, duration } => {
                let controller = self.controller(*lock)?;
                self.clock.sleep(*duration).map_err(stopped)?;
                controller.count_operation();
                Ok(())
            }
            Action::Sleep { duration } => self.clock.sleep(*duration).map_err(stopped),
            Action::Dump { lock } => self.dump(*lock),
            Action::Release { lock, force } => self.release(*lock, *force),
            Action::Locked { lock, ttl, body } => self.locked(*lock, *ttl, body),
            Action::ForgetToken { lock } => {
                self.controller(*lock)?.forget_token(&mut self.link);
                Ok(())
            }
            Action::ReplaceToken { lock } => self.replace_token(*lock),
            Action::PlantOrphan { lock, ttl } => self.plant_orphan(*lock, *ttl),
            Action::ClearLocks { lock } => self.clear_locks(*lock),
            Action::Snapshot { lock, label } => {
                let controller = self.controller(*lock)?;
                let looked = self.world.look(&mut self.link, *lock, Some(&controller), label);
                looked.map_err(|error| self.lock_failure(&error))
            }
        }
    }

    /// The reference's context manager (contract, section 3). A dump that is refused leaves the
    /// lock as it is, as the reference does.
    fn locked(&mut self, lock: usize, ttl: Option<Ttl>, body: &[Step]) -> Result<(), Failure> {
        self.recorded("acquire", None, |strand| strand.acquire(lock, ttl))?;
        if let Err(failure) = self.take_steps(body) {
            // The body's failure is what the caller hears of.
            let _ = self.recorded("release", None, |strand| strand.release(lock, false));
            return Err(failure);
        }
        self.recorded("dump", None, |strand| strand.dump(lock))?;
        self.recorded("release", None, |strand| strand.release(lock, false))?;
        let controller = self.controller(lock)?;
        controller.validate(&mut self.link).map_err(|error| self.failure(&error))
    }

    fn acquire(&mut self, lock: usize, ttl: Option<Ttl>) -> Result<(), Failure> {
        let controller = self.controller(lock)?;
        let (world, ttl) = (self.world, ttl.unwrap_or(self.world.plan.default_ttl));
        let result = controller.acquire(&mut self.caller(), world.protocol, ttl);
        result.map_err(|error| self.failure(&error))
    }

    fn release(&mut self, lock: usize, force: bool) -> Result<(), Failure> {
        let controller = self.controller(lock)?;
        let world = self.world;
        let result = controller.release(&mut self.caller(), world.protocol, force);
        result.map_err(|error| self.failure(&error))
    }

    fn dump(&mut self, lock: usize) -> Result<(), Failure> {
        let controller = self.controller(lock)?;
        if self.cache.is_none() {
            // No cache is no failure of the write (contract, section 4).
            let connection = self.world.server.connect(CACHE_DB);
            self.cache = connection.ok().map(|open| Gated::new(open, (self.new_gate)()));
        }
        let world = self.world;
        let mut caller =
            Caller { link: &mut self.link, clock: self.clock, identity: &world.identity };
        let cache = self.cache.as_mut().map(|cache| cache as &mut dyn ConnectionLike);
        let result = controller.dump(&mut caller, world.protocol, cache);
        result.map_err(|error| self.failure(&error))
    }

    fn replace_token(&mut self, lock: usize) -> Result<(), Failure> {
        let controller = self.controller(lock)?;
        let payload = self.new_payload(self.world.plan.default_ttl);
        let mut replace = redis::cmd("SET");
        replace.arg(controller.lock().key()).arg(payload).arg("XX").arg("KEEPTTL");
        self.send("SET", &controller, &replace)
    }

    fn plant_orphan(&mut self, lock: usize, ttl: Ttl) -> Result<(), Failure> {
        let controller = self.controller(lock)?;
        let names = controller.lock();
        let mut plant = redis::cmd("SET");
        plant.arg(names.key()).arg(self.new_payload(ttl)).arg("EX").arg(ttl.seconds());
        self.send("SET", &controller, &plant)?;
        let mut flag = redis::cmd("HSET");
        flag.arg(names.runid()).arg(names.flag()).arg("true");
        self.send("HSET", &controller, &flag)
    }

    fn clear_locks(&mut self, lock: usize) -> Result<(), Failure> {
        let controller = self.controller(lock)?;
        let result = clear_locks(&mut self.link, controller.lock().runid());
        result.map(drop).map_err(|error| self.lock_failure(&error))
    }

    fn new_payload(&self, ttl: Ttl) -> String {
        let identity = &self.world.identity;
        let token: Token = identity.issue();
        encode_payload(&token, identity, self.clock.unix(), ttl)
    }

    fn send(
        &mut self,
        command: &'static str,
        controller: &Controller,
        cmd: &redis::Cmd,
    ) -> Result<(), Failure> {
        cmd.exec(&mut self.link).map_err(|source| {
            let key = controller.lock().key().into();
            self.lock_failure(&LockError::Redis { command, key, source })
        })
    }

    /// This actor's controller of a lock: the process's one, or one of its own.
    fn controller(&mut self, lock: usize) -> Result<Arc<Controller>, Failure> {
        if let Some(Some(controller)) = self.controllers.get(lock) {
            return Ok(Arc::clone(controller));
        }
        let world = self.world;
        let (Some(run), Some(actor)) = (world.runs.get(lock), world.plan.actors.get(self.actor))
        else {
            let message = format!("the plan has no lock {lock} or no actor {}", self.actor);
            return Err(Failure { kind: FailureKind::Refused, message });
        };
        let link: &mut dyn Link = &mut self.link;
        let opened = match actor.instance {
            Instance::Shared => world.registry.instance(run, &world.files, link),
            Instance::Own => Controller::open(run, &world.files).map(Arc::new),
        };
        let controller = opened.map_err(|error| self.failure(&error))?;
        if actor.instance == Instance::Own {
            super::lock(&world.own_instances).push((lock, Arc::clone(&controller)));
        }
        if let Some(slot) = self.controllers.get_mut(lock) {
            *slot = Some(Arc::clone(&controller));
        }
        Ok(controller)
    }

    fn caller(&mut self) -> Caller<'_> {
        Caller { link: &mut self.link, clock: self.clock, identity: &self.world.identity }
    }

    fn recorded(
        &mut self,
        verb: &'static str,
        name: Option<&str>,
        operation: impl FnOnce(&mut Self) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let id = StepId { number: self.steps_taken, verb, name: name.map(str::to_string) };
        self.steps_taken += 1;
        self.record(EventKind::Invoked(id.clone()));
        let result = operation(self);
        self.record(match &result {
            Ok(()) => EventKind::Completed(id),
            Err(failure) => EventKind::Failed(id, failure.clone()),
        });
        result
    }

    fn record(&mut self, kind: EventKind) {
        self.events.push(Event { at: self.clock.now(), actor: self.actor, kind });
    }

    fn failure(&self, error: &ControllerError) -> Failure {
        let kind = match error {
            ControllerError::Lock(error) => return self.lock_failure(error),
            ControllerError::ReadOnly(_) => FailureKind::Refused,
            ControllerError::File { .. } | ControllerError::Format { .. } => {
                FailureKind::Environment
            }
        };
        Failure { kind, message: self.world.explain_controller(error) }
    }

    fn lock_failure(&self, error: &LockError) -> Failure {
        let kind = match error {
            LockError::AlreadyLocked { .. } => FailureKind::AlreadyLocked,
            LockError::NotOwner | LockError::OtherToken | LockError::NotLocked => {
                FailureKind::Refused
            }
            LockError::Redis { .. } => FailureKind::Environment,
        };
        Failure { kind, message: self.world.explain(error) }
    }
}

fn stopped(why: Stopped) -> Failure {
    let kind = match why {
        Stopped::Interrupted => FailureKind::Interrupted,
        Stopped::CalledOff => FailureKind::Environment,
        Stopped::TimedOut => FailureKind::TimedOut,
    };
    Failure { kind, message: why.to_string() }
}
