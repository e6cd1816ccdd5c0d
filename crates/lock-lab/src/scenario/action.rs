//! What a step does: its verb, and what the verb takes.

use super::error::quoted;
use super::flaw::{Result, Unread};
use super::form::{Count, Flag, Lock, Member, Shape, Text, Texts, Time, True};
use super::names::Wait;
use super::parameter::MOST;
use super::plan::{Action, Step};
use super::read::Field;
use super::redis_step;
use super::scope::Scope;
use super::step::{Around, StepForm, steps};
use crate::lock::Ttl;

/// A verb, as files say it: [`Action::verb`].
pub(super) struct Verb {
    pub(super) member: Member,
    /// What must stand beside it.
    pub(super) needs: &'static [&'static str],
    /// What else may, besides what may stand beside every verb.
    pub(super) beside: &'static [&'static str],
    pub(super) read: fn(&mut StepReader<'_, '_, '_>) -> Result<Action>,
}

/// A step whose action is to be read.
pub(super) struct StepReader<'r, 'a, 's> {
    /// The verb's value.
    pub(super) field: Field<'a>,
    /// The lock that is meant, if the verb may have one beside it.
    pub(super) lock: Option<usize>,
    pub(super) form: &'r StepForm<'a>,
    pub(super) scope: &'r mut Scope<'s>,
    pub(super) around: &'r Around<'r>,
}

/// `"name": shape of its value, what stands beside it, "help", what is made of it`.
macro_rules! verb {
    (
        $name:literal: $shape:ty,
        $(needs $($need:literal)+,)? $(beside $($beside:literal)+,)? $help:literal,
        |$task:pat_param, $value:pat_param| $action:expr
    ) => {
        Verb {
            member: Member::of::<$shape>($name, $help),
            needs: &[$($($need),+)?],
            beside: &[$($($beside),+)?],
            read: |task| {
                $($(task.need($need);)+)?
                let value = <$shape>::read(task.field, task.scope);
                let Some($value) = task.scope.note(value) else { return task.skim() };
                let $task = task;
                Ok($action)
            },
        }
    };
}

/// What a step can do.
pub(super) const VERBS: [Verb; 28] = [
    verb!("acquire": Lock, beside "ttl" "wait", "takes the lock", |task, lock| {
        Action::Acquire { lock, ttl: task.form.ttl, wait: task.form.wait }
    }),
    verb!("extend": Lock, "gives it its full lease again", |_, lock| Action::Extend { lock }),
    verb!("release": Lock, "releases it", |_, lock| Action::Release { lock, force: false }),
    verb!("force_release": Lock, "releases it, whoever owns it", |_, lock| {
        Action::Release { lock, force: true }
    }),
    verb!("dump": Lock, "writes the state file", |_, lock| Action::Dump { lock }),
    verb!(
        "locked": Lock, needs "body", beside "ttl" "wait",
        "acquire, the steps of the body, dump, release; on an error in the body release",
        |task, lock| {
            let (ttl, wait) = (task.form.ttl, task.form.wait);
            Action::Locked { lock, ttl, wait, body: task.body(Some(lock)) }
        }
    ),
    verb!(
        "work": Time, beside "lock",
        "lets time pass, and raises the operation count in memory",
        |task, duration| Action::Work { lock: task.lock()?, duration }
    ),
    verb!("sleep": Time, "lets time pass", |_, duration| Action::Sleep { duration }),
    verb!("pause": Time, "stands still: time passes, and no lease is renewed", |_, duration| {
        Action::Pause { duration }
    }),
    verb!("crash": True, "ends the actor: nothing more is done at all", |_, ()| Action::Crash),
    verb!(
        "await": Text, "waits until a named step has ended, or a named rule matched",
        |task, signal| task.wait_for(signal)?
    ),
    verb!(
        "repeat": Count<0, MOST>, needs "body", "does the steps of the body so often",
        |task, times| Action::Repeat { times, body: task.body(None) }
    ),
    verb!("forget_token": Lock, "forgets the token, as a crash would", |_, lock| {
        Action::ForgetToken { lock }
    }),
    verb!("replace_token": Lock, "puts another token into Redis, as a rival would", |_, lock| {
        Action::ReplaceToken { lock }
    }),
    verb!(
        "plant_orphan": Lock, needs "ttl", "puts a lock into Redis that nobody remembers",
        |task, lock| Action::PlantOrphan { lock, ttl: task.form.ttl.unwrap_or(Ttl::DEFAULT) }
    ),
    verb!("clear_locks": Lock, "clears all locks of the lock's run", |_, lock| {
        Action::ClearLocks { lock }
    }),
    verb!(
        "islocked": Lock, beside "body",
        "asks whether the lock is held, and does the steps of the body if it is free",
        |task, lock| Action::Islocked { lock, body: task.optional_body() }
    ),
    verb!("lock_statuses": Lock, "asks which locks of the lock's run are held", |_, lock| {
        Action::LockStatuses { lock }
    }),
    verb!(
        "amnesia": True, "the server forgets everything, as after a restart without persistence",
        |_, ()| Action::Amnesia
    ),
    verb!("clock_jump": Time, "the server's clock jumps ahead", |_, duration| {
        Action::ClockJump { duration }
    }),
    verb!("evict": Lock, "the server evicts the lock key", |_, lock| Action::Evict { lock }),
    verb!(
        "get_instance": Lock, "gets the process's controller anew, refreshed if its file changed",
        |_, lock| Action::GetInstance { lock }
    ),
    verb!(
        "external_dump": Lock,
        "another process raises the operation count in the file, without any lock",
        |_, lock| Action::ExternalDump { lock }
    ),
    verb!("make_readonly": Lock, "makes the lock's run read-only", |_, lock| {
        Action::MakeReadonly { lock }
    }),
    verb!(
        "sees": Count<0, { u32::MAX }>, beside "lock" "fresh",
        "fails unless the controller has counted so many operations",
        |task, count| {
            let fresh = task.form.fresh.unwrap_or(false);
            Action::Sees { lock: task.lock()?, count: count.into(), fresh }
        }
    ),
    verb!(
        "cached": Flag, beside "lock",
        "fails unless the process caches a controller, or caches none",
        |task, is_cached| Action::Cached { lock: task.lock()?, is_cached }
    ),
    verb!(
        "snapshot": Lock, needs "label",
        "looks at Redis and the local token, changing nothing",
        |task, lock| Action::Snapshot { lock, label: task.label() }
    ),
    verb!(
        "redis": Texts, beside "lock" "body",
        "sends one command about the lock key or its flag, and does the steps of the body unless the reply is nil or 0",
        |task, command| {
            let body = task.optional_body();
            let arguments = redis_step::command(command, task.scope)?;
            Action::Redis { lock: task.lock()?, arguments, body }
        }
    ),
];

impl StepReader<'_, '_, '_> {
    fn lock(&self) -> Result<usize> {
        self.lock.ok_or(Unread::Noted)
    }

    fn need(&mut self, name: &str) {
        let there = self.form.table.need(name);
        self.scope.note(there);
    }

    /// The steps in it, which may be under a lock.
    fn body(&mut self, lock: Option<usize>) -> Vec<Step> {
        let body = self.form.body.as_deref().unwrap_or_default();
        match self.around.body(self.field, lock) {
            Ok(inside) => steps(body, self.scope, &inside),
            Err(why) => {
                self.scope.flaws.push(why);
                body.iter().for_each(|step| self.scope.skip(*step));
                Vec::new()
            }
        }
    }

    /// The steps in it, if there are any.
    fn optional_body(&mut self) -> Vec<Step> {
        if self.form.body.is_some() { self.body(None) } else { Vec::new() }
    }

    /// Reads what is in a step that can't be read.
    pub(super) fn skim(&mut self) -> Result<Action> {
        self.body(Some(0));
        Err(Unread::Noted)
    }

    fn label(&self) -> String {
        self.form.label.clone().unwrap_or_default()
    }

    fn wait_for(&mut self, signal: &str) -> Result<Action> {
        if self.around.is_in(signal) {
            return Err(self.field.error(format!("{} waits for itself", quoted(signal))));
        }
        self.scope.waits.push(Wait {
            name: signal.to_owned(),
            at: self.field.at,
            group: Some(self.around.group.to_owned()),
            protocol: self.around.protocol,
        });
        Ok(Action::Await { signal: signal.to_owned() })
    }
}
