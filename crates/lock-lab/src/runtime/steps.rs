//! What actors do: each action of a plan, by the lock library and the controller.

use super::task_body::{StandStill, TaskBody, refused_unless, stopped};
use super::{bypass, signals, snapshots};
use crate::controller::{Controller, ControllerError, READONLY_FILE};
use crate::intercept::{Link, PausePoint};
use crate::lock::{Acquisition, LockError, Ttl, WriteGuard, is_locked, lock_statuses};
use crate::scenario::{Action, Step};
use lock_history::history::{Failure, FailureKind, Operation, Verb};
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

    /// The lease that an acquire asks for, in nanoseconds, if it asks for one.
    fn asked(&self, action: &Action) -> Option<u64> {
        match action {
            Action::Acquire { ttl, .. } if !self.world.setup.host.leases_are_own() => {
                Some(self.lease(*ttl))
            }
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
            Action::ReplaceToken { lock } => bypass::replace_token(self, *lock),
            Action::PlantOrphan { lock, ttl } => bypass::plant_orphan(self, *lock, *ttl),
            Action::ClearLocks { lock } => match self.client_does(*lock, action)? {
                Some(_) => Ok(()),
                None => bypass::clear_all(self, *lock),
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
                match bypass::redis(self, *lock, arguments, action.newer_servers())? {
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
                bypass::inject(self.world, action)
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
            bypass::only_ours(self, lock)?;
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
        let operations = if seen == 1 { "operation" } else { "operations" };
        refused_unless(seen == count, || format!("sees {seen} {operations} and not {count}"))
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
