//! What actors do: each action of a plan, by the lock library and the controller.

use super::observer::Cell;
use super::stage::foreign_lock;
use super::task_body::{StandStill, TaskBody, stopped};
use super::{World, signals, snapshots};
use crate::controller::{Controller, ControllerError, READONLY_FILE};
use crate::intercept::{Link, PausePoint};
use crate::lock::{
    Acquisition, LockError, Payload, Token, Ttl, WriteGuard, clear_locks, encode_payload,
    is_locked, lock_statuses, replace_if, replacement_fence,
};
use crate::scenario::{Action, FENCE, Step};
use crate::server::Server;
use lock_history::history::{Change, Effect, EventKind, Failure, FailureKind, Operation, Verb};
use redis::{ConnectionLike, Value};
use std::sync::Arc;
use std::time::Duration;

/// The parts of a `locked` step after its body, as positions.
const DUMP: u32 = u32::MAX - 2;
const RELEASE: u32 = u32::MAX - 1;
const VALIDATE: u32 = u32::MAX;

impl TaskBody<'_> {
    pub(super) fn take_steps(&mut self, steps: &[Step]) -> Result<(), Failure> {
        for (position, step) in (0..).zip(steps) {
            self.clock.check().map_err(stopped)?;
            self.position.push(position);
            self.pass_merge_point();
            if let Err(killed) = self.hold(steps, position) {
                self.position.pop();
                return Err(killed);
            }
            let operation = Operation {
                verb: step.action.verb(),
                name: step.name.clone(),
                lock: step.action.lock(),
                lease: self.asked(&step.action),
                ..Operation::default()
            };
            let result =
                self.recorded(operation, |task, operation| task.perform(&step.action, operation));
            self.position.pop();
            match result {
                Err(failure) if step.go_on && failure.can_be_survived() => {}
                other => other?,
            }
        }
        Ok(())
    }

    /// Others can come between the answer to a client's acquire and its release also where it sends nothing
    /// meanwhile, and between two releases of a lock that it acquired twice. Where leases are times in values,
    /// time can pass before each instruction.
    fn hold(&mut self, steps: &[Step], position: u32) -> Result<(), Failure> {
        let action = |position: u32| steps.get(position as usize).map(|step| &step.action);
        let Some(action_now) = action(position).filter(|_| self.world.protocol().is_foreign())
        else {
            return Ok(());
        };
        if self.world.setup.host.leases_are_values() && is_instruction(action_now) {
            return self.pause(PausePoint::Held);
        }
        let Action::Release { lock, .. } = action_now else { return Ok(()) };
        let before = (0..position).rev().filter_map(action).find(|action| !is_silent(action));
        let may_hold = match before {
            Some(Action::Release { lock: its, .. }) => its == lock,
            Some(Action::Acquire { .. } | Action::Repeat { .. }) | None => {
                self.held.contains_key(lock)
            }
            _ => false,
        };
        if may_hold { self.pause(PausePoint::Held) } else { Ok(()) }
    }

    /// The lease that an acquire asks for, in nanoseconds.
    fn asked(&self, action: &Action) -> Option<u64> {
        match action {
            Action::Acquire { ttl, .. } => Some(self.lease(*ttl)),
            _ => None,
        }
    }

    fn lease(&self, ttl: Option<Ttl>) -> u64 {
        let ttl = ttl.unwrap_or(self.world.setup.plan.default_ttl);
        ttl.seconds().saturating_mul(1_000_000_000)
    }

    fn perform(&mut self, action: &Action, operation: &mut Operation) -> Result<(), Failure> {
        match action {
            Action::Acquire { lock, ttl, wait } => self.acquire(*lock, *ttl, *wait, operation),
            Action::Extend { lock } => self.extend(*lock),
            Action::Work { lock, duration } => {
                let controller = self.controller(*lock)?;
                self.spend(*duration)?;
                self.pause(PausePoint::Memory)?;
                controller.count_operation();
                Ok(())
            }
            Action::Sleep { duration } => self.spend(*duration),
            Action::Pause { duration } => {
                let _stands_still = StandStill::new(Arc::clone(&self.world.setup.host), self.who());
                self.let_pass(*duration)
            }
            Action::Dump { lock } => self.dump(*lock, operation),
            Action::Release { lock, force } => self.release(*lock, *force, operation),
            Action::Locked { lock, ttl, wait, body } => self.locked(*lock, *ttl, *wait, body),
            Action::Repeat { times, body } => (0..*times).try_for_each(|time| {
                self.position.push(time);
                let result = self.take_steps(body);
                self.position.pop();
                result
            }),
            Action::Await { signal } => {
                signals::wait_for(self.world, self.clock, signal).map_err(stopped)
            }
            Action::Crash => Err(self.crashed()),
            Action::ForgetToken { lock } => {
                let forgotten = self.controller(*lock)?.forget_token(&mut self.link);
                forgotten.map_err(|error| self.failure(&error))?;
                self.forget(*lock);
                Ok(())
            }
            Action::ReplaceToken { lock } => self.replace_token(*lock),
            Action::PlantOrphan { lock, ttl } => self.plant_orphan(*lock, *ttl),
            Action::ClearLocks { lock } => match self.client_does(*lock, action)? {
                Some(_) => Ok(()),
                None => self.clear_locks(*lock),
            },
            Action::Islocked { lock, body } => {
                if self.is_locked(*lock, action)? {
                    Ok(())
                } else {
                    self.take_steps(body)
                }
            }
            Action::LockStatuses { lock } => self.lock_statuses(*lock, action),
            Action::Redis { lock, arguments, body } => {
                match self.redis(*lock, arguments, action.newer_servers())? {
                    Value::Nil | Value::Int(0) => Ok(()),
                    _ => self.take_steps(body),
                }
            }
            Action::Snapshot { lock, label } => {
                let controller = self.controller(*lock)?;
                let taken =
                    snapshots::take(self.world, &mut self.link, *lock, Some(&controller), label);
                taken.map_err(|error| self.lock_failure(&error))
            }
            Action::Amnesia | Action::ClockJump { .. } | Action::Evict { .. } => {
                self.pause(PausePoint::Server)?;
                inject(self.world, action)
            }
            Action::GetInstance { lock } => match self.client_does(*lock, action)? {
                Some(_) => Ok(()),
                None => self.renew_instance(*lock),
            },
            Action::ExternalDump { lock } => self.external_dump(*lock, operation),
            Action::MakeReadonly { lock } => self.make_readonly(*lock),
            Action::Sees { lock, count, fresh } => self.sees(*lock, *count, *fresh),
            Action::Cached { lock, is_cached } => self.cached(*lock, *is_cached),
        }
    }

    /// The reference's context manager (contract, section 3). Under legacy a dump that is refused
    /// leaves the lock as it is, as the reference does.
    fn locked(
        &mut self,
        lock: usize,
        ttl: Option<Ttl>,
        wait: Option<Duration>,
        body: &[Step],
    ) -> Result<(), Failure> {
        let part = |verb: Verb| Operation { verb, lock: Some(lock), ..Operation::default() };
        let lease = Some(self.lease(ttl));
        let acquire = Operation { lease, ..part(Verb::Acquire) };
        self.recorded(acquire, |task, it| task.acquire(lock, ttl, wait, it))?;
        if let Err(failure) = self.take_steps(body) {
            if failure.kind != FailureKind::Crashed {
                // The body's failure is what the caller hears of.
                let _ =
                    self.recorded(part(Verb::Release), |task, it| task.release(lock, false, it));
            }
            return Err(failure);
        }
        self.enter_part(DUMP);
        if let Err(failure) = self.recorded(part(Verb::Dump), |task, it| task.dump(lock, it)) {
            let releases = self.world.protocol().write_guard() != WriteGuard::None;
            if releases && failure.kind != FailureKind::Crashed {
                let _ =
                    self.recorded(part(Verb::Release), |task, it| task.release(lock, false, it));
            }
            return Err(failure);
        }
        self.enter_part(RELEASE);
        self.recorded(part(Verb::Release), |task, it| task.release(lock, false, it))?;
        self.enter_part(VALIDATE);
        let controller = self.controller(lock)?;
        controller.validate(&mut self.link).map_err(|error| self.failure(&error))
    }

    /// Begins a part of a `locked` step; the steps of its body have lower positions.
    fn enter_part(&mut self, part: u32) {
        self.position.push(part);
        self.pass_merge_point();
        self.position.pop();
    }

    fn acquire(
        &mut self,
        lock: usize,
        ttl: Option<Ttl>,
        wait: Option<Duration>,
        operation: &mut Operation,
    ) -> Result<(), Failure> {
        let controller = self.controller(lock)?;
        let world = self.world;
        let ttl = ttl.unwrap_or(world.setup.plan.default_ttl);
        let deadline = self.clock.now().saturating_add(wait.unwrap_or(world.setup.plan.wait));
        let (protocol, mut failed) = (self.protocol(), 0);
        loop {
            let error = match controller.acquire(&mut self.caller(lock).0, &*protocol, ttl) {
                Ok(acquired) => {
                    note(operation, &acquired);
                    self.held.insert(lock, acquired);
                    return Ok(());
                }
                Err(error) => error,
            };
            let left = deadline.saturating_sub(self.clock.now());
            let pause = world.protocol().back_off(failed, self.identity.random()).min(left);
            let goes_on = !left.is_zero();
            match error {
                ControllerError::Lock(LockError::AlreadyLocked { .. }) if goes_on => {
                    self.let_pass(pause)?;
                }
                error => return Err(self.failure(&error)),
            }
            failed += 1;
        }
    }

    fn extend(&mut self, lock: usize) -> Result<(), Failure> {
        let controller = self.controller(lock)?;
        let protocol = self.protocol();
        let result = controller.extend(&mut self.caller(lock).0, &*protocol);
        result.map_err(|error| self.failure(&error))
    }

    /// Lets time pass; an actor whose time is over crashes then.
    fn let_pass(&mut self, duration: Duration) -> Result<(), Failure> {
        let plan = self.world.setup.plan.actors.get(self.actor);
        let end = plan.and_then(|plan| Some(self.began.saturating_add(plan.killed_after?)));
        let left = end.map(|end| end.saturating_sub(self.clock.now()));
        match left.filter(|left| *left <= duration) {
            Some(left) => {
                self.clock.sleep(left).map_err(stopped)?;
                Err(self.crashed())
            }
            None => self.clock.sleep(duration).map_err(stopped),
        }
    }

    /// Lets time pass while the leases of what is held are renewed. A lease that can't be renewed
    /// ends the work at once.
    fn spend(&mut self, duration: Duration) -> Result<(), Failure> {
        let world = self.world;
        let mut left = duration;
        loop {
            let renewal =
                self.held.values().filter_map(|own| world.protocol().renewal(own.ttl)).min();
            let part = renewal.map_or(left, |renewal| renewal.min(left));
            self.let_pass(part)?;
            left -= part;
            if left.is_zero() {
                return Ok(());
            }
            for lock in self.held.keys().copied().collect::<Vec<_>>() {
                let renewed =
                    Operation { verb: Verb::Extend, lock: Some(lock), ..Operation::default() };
                let result = self.recorded(renewed, |task, _| task.extend(lock));
                result.map_err(|failure| self.could_not_renew(lock, failure))?;
            }
        }
    }

    fn could_not_renew(&mut self, lock: usize, failure: Failure) -> Failure {
        self.held.remove(&lock);
        match failure.kind {
            FailureKind::Injected => Failure {
                kind: FailureKind::LostLock,
                message: format!(
                    "the lock may be lost, it could not be renewed: {}",
                    failure.message
                ),
            },
            _ => failure,
        }
    }

    fn release(
        &mut self,
        lock: usize,
        force: bool,
        operation: &mut Operation,
    ) -> Result<(), Failure> {
        let controller = self.controller(lock)?;
        if let Some(own) = self.remembered(lock, &controller) {
            note(operation, &own);
        }
        if force {
            self.only_ours(lock)?;
        }
        let protocol = self.protocol();
        let (mut caller, _) = self.caller(lock);
        let result = if force {
            controller.force_release(&mut caller, &*protocol)
        } else {
            controller.release(&mut caller, &*protocol)
        };
        result.map_err(|error| self.failure(&error))?;
        self.held.remove(&lock);
        Ok(())
    }

    fn dump(&mut self, lock: usize, operation: &mut Operation) -> Result<(), Failure> {
        let controller = self.controller(lock)?;
        let is_lock_only = self.world.setup.is_lock_only;
        self.open_cache();
        if let Some(own) = self.remembered(lock, &controller) {
            note(operation, &own);
        }
        let protocol = self.protocol();
        let (mut caller, cache) = self.caller(lock);
        let cache = cache.map(|cache| cache as &mut dyn ConnectionLike);
        let dumped = match controller.dump(&mut caller, &*protocol) {
            Ok(dumped) => dumped,
            Err(error) => return Err(self.failure(&error)),
        };
        if !is_lock_only {
            controller.mirror(&dumped, &mut caller, protocol.write_guard(), cache);
        }
        operation.write = Some(dumped.write);
        Ok(())
    }

    /// Puts another token into a lock of ours.
    fn replace_token(&mut self, lock: usize) -> Result<(), Failure> {
        let controller = self.controller(lock)?;
        let payload = self.new_payload(self.world.setup.plan.default_ttl);
        let world = self.world;
        let ours = |payload: &Payload| world.setup.is_ours(payload);
        match replace_if(&mut self.link, controller.lock(), ours, &payload) {
            Ok(replaced) => {
                refused_unless(replaced, || "there is no lock of ours to change".into())
            }
            Err(error) => Err(self.lock_failure(&error)),
        }
    }

    fn plant_orphan(&mut self, lock: usize, ttl: Ttl) -> Result<(), Failure> {
        let controller = self.controller(lock)?;
        let names = controller.lock();
        let mut plant = redis::cmd("SET");
        plant.arg(names.key()).arg(self.new_payload(ttl));
        plant.arg("NX").arg("EX").arg(ttl.seconds());
        let planted: bool = self.send("SET", &controller, &plant)?;
        if !planted {
            let message = "somebody else has the lock; nothing was planted".into();
            return Err(Failure { kind: FailureKind::AlreadyLocked, message });
        }
        let mut flag = redis::cmd("HSET");
        flag.arg(names.runid()).arg(names.flag()).arg("true");
        self.send("HSET", &controller, &flag)
    }

    /// Clears all locks of the run, unless one of them has another owner. Between that snapshot and
    /// the clearing another one may come: the reference's operation can't help it.
    fn clear_locks(&mut self, lock: usize) -> Result<(), Failure> {
        let controller = self.controller(lock)?;
        let runid = controller.lock().runid();
        let world = self.world;
        if !world.setup.takes_by_force() {
            // Not over the actor's own connection: it is no part of the operation.
            let mut other = world.services.connect(0).map_err(|error| Failure {
                kind: FailureKind::Environment,
                message: error.to_string(),
            })?;
            let foreign = foreign_lock(world, &mut other, runid, true);
            let foreign = foreign.map_err(|error| self.lock_failure(&error))?;
            refused_unless(foreign.is_none(), || foreign.unwrap_or_default())?;
        }
        let result = clear_locks(&mut self.link, runid);
        result.map(drop).map_err(|error| self.lock_failure(&error))
    }

    /// Has a client from outside do what it has an operation of its own for; whether its answer is yes.
    fn client_does(&mut self, lock: usize, action: &Action) -> Result<Option<bool>, Failure> {
        let (controller, protocol) = (self.controller(lock)?, self.protocol());
        let done = controller.does(&mut self.caller(lock).0, &*protocol, &action.verb());
        done.map_err(|error| self.lock_failure(&error))
    }

    fn is_locked(&mut self, lock: usize, action: &Action) -> Result<bool, Failure> {
        if let Some(is_locked) = self.client_does(lock, action)? {
            return Ok(is_locked);
        }
        let controller = self.controller(lock)?;
        let is_locked = is_locked(&mut self.link, controller.lock());
        is_locked.map_err(|error| self.lock_failure(&error))
    }

    fn lock_statuses(&mut self, lock: usize, action: &Action) -> Result<(), Failure> {
        if self.client_does(lock, action)?.is_some() {
            return Ok(());
        }
        let controller = self.controller(lock)?;
        let statuses = lock_statuses(&mut self.link, controller.lock().runid());
        statuses.map(drop).map_err(|error| self.lock_failure(&error))
    }

    /// Refuses to touch a lock of another owner. One that comes after this snapshot can't be
    /// helped.
    fn only_ours(&self, lock: usize) -> Result<(), Failure> {
        let (world, Some(names)) = (self.world, self.world.setup.locks.get(lock)) else {
            return Ok(());
        };
        if world.setup.takes_by_force() {
            return Ok(());
        }
        let failed = |message| Failure { kind: FailureKind::Environment, message };
        // Not over the actor's own connection: it is no part of the operation.
        let connected = world.services.connect(0);
        let mut other = connected.map_err(|error| failed(error.to_string()))?;
        let found: Option<Vec<u8>> =
            redis::cmd("GET").arg(names.key()).query(&mut other).map_err(|source| {
                self.lock_failure(&LockError::Redis {
                    command: "GET",
                    key: names.key().into(),
                    source,
                })
            })?;
        let ours =
            found.as_deref().map(Payload::decode).is_none_or(|found| world.setup.is_ours(&found));
        refused_unless(ours, || "somebody else has the lock; it is left alone".into())
    }

    fn new_payload(&self, ttl: Ttl) -> String {
        encode_payload(&self.identity.issue(), self.owner(), self.clock.unix(), ttl)
    }

    fn send<T: redis::FromRedisValue>(
        &mut self,
        command: &'static str,
        controller: &Controller,
        cmd: &redis::Cmd,
    ) -> Result<T, Failure> {
        cmd.query(&mut self.link).map_err(|source| {
            let key = controller.lock().key().into();
            self.lock_failure(&LockError::Redis { command, key, source })
        })
    }

    /// A command of a careless client. `needs` says which servers have it, if not all have.
    fn redis(
        &mut self,
        lock: usize,
        arguments: &[String],
        needs: Option<&str>,
    ) -> Result<Value, Failure> {
        self.only_ours(lock)?;
        let controller = self.controller(lock)?;
        let names = controller.lock();
        let payload = self
            .remembered(lock, &controller)
            .map(|own| encode_payload(&own.token, self.owner(), self.clock.unix(), own.ttl));
        let names_a_token = arguments.iter().any(|argument| argument == "{token}");
        if names_a_token && self.raw_token.is_none() {
            self.raw_token = Some(self.identity.issue());
        }
        let fence = replacement_fence(names.runid());
        let mut cmd = redis::Cmd::new();
        for argument in arguments {
            cmd.arg(match argument.as_str() {
                "{key}" => names.key(),
                FENCE => &fence,
                "{runid}" => names.runid(),
                "{flag}" => names.flag(),
                "{payload}" => payload.as_deref().unwrap_or("forgotten"),
                "{token}" => self.raw_token.as_ref().map(Token::as_str).unwrap_or_default(),
                other => other,
            });
        }
        cmd.query(&mut self.link).map_err(|error| {
            if error.is_io_error() {
                return self.lost_connection(names.key(), error);
            }
            let server = &self.world.services.server;
            let message = server.explain(&error).to_string();
            match needs.filter(|_| matches!(server, Server::Redis(_))) {
                Some(needs) => {
                    let message = format!(
                        "{message}; {needs}: leave out --redis, the embedded server has it"
                    );
                    Failure { kind: FailureKind::Environment, message }
                }
                None => Failure { kind: FailureKind::Refused, message },
            }
        })
    }

    fn lost_connection(&self, key: &str, source: redis::RedisError) -> Failure {
        self.lock_failure(&LockError::Redis { command: "redis", key: key.into(), source })
    }

    fn pause(&mut self, point: PausePoint) -> Result<(), Failure> {
        self.link.pause(point).map_err(|crashed| self.lock_failure(&crashed.into()))
    }

    fn renew_instance(&mut self, lock: usize) -> Result<(), Failure> {
        let controller = self.get_instance(lock)?;
        self.keep_controller(lock, controller);
        Ok(())
    }

    fn external_dump(&mut self, lock: usize, operation: &mut Operation) -> Result<(), Failure> {
        let other = self.fresh_controller(lock)?;
        other.count_operation();
        self.pause(PausePoint::FileWrite)?;
        let written = other.dump_without_lock();
        operation.write = Some(written.map_err(|error| self.failure(&error))?);
        Ok(())
    }

    fn make_readonly(&mut self, lock: usize) -> Result<(), Failure> {
        let Some(file) = self.world.setup.files.get(lock) else { return Ok(()) };
        let path = file.directory().join(READONLY_FILE);
        self.pause(PausePoint::FileWrite)?;
        refused_unless(!self.world.services.files.exists(&path), || {
            "it is read-only already".into()
        })?;
        match self.world.services.files.replace(&path, b"") {
            Ok(_) => Ok(()),
            Err(source) => Err(self.failure(&ControllerError::File { path, source })),
        }
    }

    fn sees(&mut self, lock: usize, count: u64, fresh: bool) -> Result<(), Failure> {
        let controller = if fresh { self.fresh_controller(lock)? } else { self.controller(lock)? };
        self.pause(PausePoint::Memory)?;
        let before = self
            .world
            .log
            .counts_before
            .get()
            .and_then(|counts| counts.get(lock))
            .copied()
            .unwrap_or_default();
        let seen = controller.operation_count().saturating_sub(before);
        refused_unless(seen == count, || format!("sees {seen} operations and not {count}"))
    }

    fn cached(&mut self, lock: usize, expected: bool) -> Result<(), Failure> {
        let Some(file) = self.world.setup.files.get(lock) else { return Ok(()) };
        self.pause(PausePoint::Registry)?;
        let found = self.world.services.registry.existing(file).is_some();
        refused_unless(found == expected, || {
            format!("the controller is {}cached", if found { "" } else { "not " })
        })
    }

    fn fresh_controller(&mut self, lock: usize) -> Result<Arc<Controller>, Failure> {
        let world = self.world;
        self.pause(PausePoint::FileRead)?;
        let Some(file) = world.setup.files.get(lock) else { return self.controller(lock) };
        Controller::open(file, &world.services.files)
            .map(Arc::new)
            .map_err(|error| self.failure(&error))
    }
}

/// Whether an action is an instruction to a client from outside.
fn is_instruction(action: &Action) -> bool {
    matches!(
        action,
        Action::Acquire { .. }
            | Action::Extend { .. }
            | Action::Release { .. }
            | Action::Dump { .. }
            | Action::Locked { .. }
            | Action::Islocked { .. }
            | Action::LockStatuses { .. }
            | Action::ClearLocks { .. }
            | Action::GetInstance { .. }
    )
}

/// Whether no other actor can come while a client from outside does this.
fn is_silent(action: &Action) -> bool {
    matches!(action, Action::Work { .. } | Action::Sleep { .. } | Action::Pause { .. })
}

fn note(operation: &mut Operation, own: &Acquisition) {
    operation.token = Some(own.token.as_str().into());
    operation.fence = own.fence;
}

fn refused_unless(holds: bool, message: impl FnOnce() -> String) -> Result<(), Failure> {
    if holds {
        return Ok(());
    }
    Err(Failure { kind: FailureKind::Refused, message: message() })
}

/// Injects a fault into the server.
fn inject(world: &World, action: &Action) -> Result<(), Failure> {
    world.observer.touched(&|| Cell::Server);
    let Server::Embedded(engine) = &world.services.server else {
        let message = format!("{} needs the embedded server; leave out --redis", action.verb());
        return Err(Failure { kind: FailureKind::Environment, message });
    };
    type Event = fn(String, Vec<Effect>) -> EventKind;
    let (event, what, gone): (Event, String, Vec<usize>) = match action {
        Action::Amnesia => {
            engine.forget();
            let all = (0..world.setup.locks.len()).collect();
            (EventKind::restart, "the server forgot everything".into(), all)
        }
        Action::ClockJump { duration } => {
            engine.shift_clock(*duration);
            let what = format!("the server's clock jumped by {duration:?}");
            (EventKind::fault, what, Vec::new())
        }
        Action::Evict { lock } => {
            let key = world.setup.key(*lock);
            let gone = engine.evict(0, key.as_bytes());
            let what = format!("the server evicted {key:?}");
            (EventKind::fault, what, gone.then_some(*lock).into_iter().collect())
        }
        _ => return Ok(()),
    };
    let deleted = |lock| Effect { lock, change: Change::Deleted { token: None } };
    let effects = gone.into_iter().map(deleted).collect();
    world.log.note_fault(world.log.moment(), event(what, effects));
    Ok(())
}
