//! What a step does: its verb, and what the verb takes.

use super::error::{ScenarioError, quoted};
use super::names::Wait;
use super::parameter::MOST;
use super::plan::Action;
use super::raw::Raw;
use super::read::{Field, Table};
use super::step::{Around, Scope, StepSpec};
use super::sum::{Binding, Sum};
use super::vocabulary::Shape;
use std::time::Duration;

/// A verb, as files say it: [`Action::verb`].
#[derive(Clone, Copy)]
pub(super) struct Verb {
    pub(super) name: &'static str,
    kind: Kind,
    /// What must stand beside it.
    pub(super) needs: &'static [&'static str],
    /// What else may, besides what may stand beside every verb.
    pub(super) beside: &'static [&'static str],
    /// What it does.
    pub(super) help: &'static str,
}

/// How a verb is read.
#[derive(Clone, Copy)]
enum Kind {
    /// Its value is a lock, and that is all.
    Lock(fn(usize) -> Action),
    /// Its value is a duration, and that is all.
    Time(fn(Duration) -> Action),
    /// Its value is `true`.
    True(fn() -> Action),
    Acquire,
    Locked,
    Work,
    PlantOrphan,
    Snapshot,
    Await,
    Repeat,
    Sees,
    Cached,
    Redis,
}

const fn verb(name: &'static str, kind: Kind, help: &'static str) -> Verb {
    Verb { name, kind, needs: &[], beside: &[], help }
}

const fn with(verb: Verb, needs: &'static [&'static str], beside: &'static [&'static str]) -> Verb {
    Verb { needs, beside, ..verb }
}

/// What a step can do.
pub(super) const VERBS: [Verb; 26] = [
    with(verb("acquire", Kind::Acquire, "takes the lock"), &[], &["ttl", "wait"]),
    verb("extend", Kind::Lock(|lock| Action::Extend { lock }), "gives it its full lease again"),
    verb("release", Kind::Lock(|lock| Action::Release { lock, force: false }), "releases it"),
    verb(
        "force_release",
        Kind::Lock(|lock| Action::Release { lock, force: true }),
        "releases it, whoever owns it",
    ),
    verb("dump", Kind::Lock(|lock| Action::Dump { lock }), "writes the state file"),
    with(
        verb(
            "locked",
            Kind::Locked,
            "acquire, the steps of the body, dump, release; on an error in the body release",
        ),
        &["body"],
        &["ttl", "wait"],
    ),
    with(
        verb("work", Kind::Work, "lets time pass, and raises the operation count in memory"),
        &[],
        &["lock"],
    ),
    verb("sleep", Kind::Time(|duration| Action::Sleep { duration }), "lets time pass"),
    verb(
        "pause",
        Kind::Time(|duration| Action::Pause { duration }),
        "stands still: time passes, and no lease is renewed",
    ),
    verb("crash", Kind::True(|| Action::Crash), "ends the actor: nothing more is done at all"),
    verb("await", Kind::Await, "waits until a named step has ended, or a named rule matched"),
    with(verb("repeat", Kind::Repeat, "does the steps of the body so often"), &["body"], &[]),
    verb(
        "forget_token",
        Kind::Lock(|lock| Action::ForgetToken { lock }),
        "forgets the token, as a crash would",
    ),
    verb(
        "replace_token",
        Kind::Lock(|lock| Action::ReplaceToken { lock }),
        "puts another token into Redis, as a rival would",
    ),
    with(
        verb("plant_orphan", Kind::PlantOrphan, "puts a lock into Redis that nobody remembers"),
        &["ttl"],
        &[],
    ),
    verb(
        "clear_locks",
        Kind::Lock(|lock| Action::ClearLocks { lock }),
        "clears all locks of the lock's run",
    ),
    verb(
        "amnesia",
        Kind::True(|| Action::Amnesia),
        "the server forgets everything, as after a restart without persistence",
    ),
    verb(
        "clock_jump",
        Kind::Time(|duration| Action::ClockJump { duration }),
        "the server's clock jumps ahead",
    ),
    verb("evict", Kind::Lock(|lock| Action::Evict { lock }), "the server evicts the lock key"),
    verb(
        "get_instance",
        Kind::Lock(|lock| Action::GetInstance { lock }),
        "gets the process's controller anew, refreshed if its file changed",
    ),
    verb(
        "external_dump",
        Kind::Lock(|lock| Action::ExternalDump { lock }),
        "another process raises the operation count in the file, without any lock",
    ),
    verb(
        "make_readonly",
        Kind::Lock(|lock| Action::MakeReadonly { lock }),
        "makes the lock's run read-only",
    ),
    with(
        verb("sees", Kind::Sees, "fails unless the controller has counted so many operations"),
        &[],
        &["lock", "fresh"],
    ),
    with(
        verb(
            "cached",
            Kind::Cached,
            "fails unless the process caches a controller, or caches none",
        ),
        &[],
        &["lock"],
    ),
    with(
        verb("snapshot", Kind::Snapshot, "looks at Redis and the local token, changing nothing"),
        &["label"],
        &[],
    ),
    with(
        verb("redis", Kind::Redis, "sends one command about the lock key or its flag"),
        &[],
        &["lock"],
    ),
];

impl Verb {
    /// What its value may be.
    pub(super) fn shape(&self) -> Shape {
        match self.kind {
            Kind::Lock(_) | Kind::Acquire | Kind::Locked | Kind::PlantOrphan | Kind::Snapshot => {
                Shape::Reference
            }
            Kind::Await => Shape::Reference,
            Kind::Time(_) | Kind::Work => Shape::Time,
            Kind::True(_) => Shape::True,
            Kind::Repeat | Kind::Sees => Shape::Count,
            Kind::Cached => Shape::Flag,
            Kind::Redis => Shape::Texts,
        }
    }
}

/// What a step does, with its sums not worked out.
#[derive(Debug, Clone)]
pub(super) enum ActionSpec {
    Acquire { lock: usize, ttl: Option<Sum>, wait: Option<Sum> },
    Locked { lock: usize, ttl: Option<Sum>, wait: Option<Sum>, body: Vec<StepSpec> },
    Work { lock: usize, duration: Sum },
    Time { duration: Sum, action: fn(Duration) -> Action },
    PlantOrphan { lock: usize, ttl: Sum },
    Repeat { times: Sum, body: Vec<StepSpec> },
    Sees { lock: usize, count: Sum, fresh: bool },
    Redis { lock: usize, command: Raw },
    Fixed(Action),
}

impl ActionSpec {
    pub(super) fn read(
        table: &Table<'_>,
        verb: &Verb,
        field: Field<'_>,
        scope: &mut Scope<'_>,
        around: &Around<'_>,
    ) -> Result<Self, ScenarioError> {
        Ok(match verb.kind {
            Kind::Lock(action) => Self::Fixed(action(scope.lock(field)?)),
            Kind::Time(action) => {
                Self::Time { duration: Sum::time(field, &mut scope.parameters)?, action }
            }
            Kind::True(action) => {
                field.only_true()?;
                Self::Fixed(action())
            }
            Kind::Acquire => {
                let (ttl, wait) = (scope.time(table, "ttl")?, scope.time(table, "wait")?);
                Self::Acquire { lock: scope.lock(field)?, ttl, wait }
            }
            Kind::Locked => {
                let lock = scope.lock(field)?;
                let (ttl, wait) = (scope.time(table, "ttl")?, scope.time(table, "wait")?);
                let inside = around.body(field, Some(lock))?;
                let body = StepSpec::read_all(table.need("body")?, scope, &inside)?;
                Self::Locked { lock, ttl, wait, body }
            }
            Kind::Work => {
                let lock = scope.meant_lock(table, around)?;
                Self::Work { lock, duration: Sum::time(field, &mut scope.parameters)? }
            }
            Kind::PlantOrphan => {
                let ttl = Sum::time(table.need("ttl")?, &mut scope.parameters)?;
                Self::PlantOrphan { lock: scope.lock(field)?, ttl }
            }
            Kind::Snapshot => {
                let lock = scope.lock(field)?;
                let label = scope.label(table.need("label")?, around.protocol)?;
                Self::Fixed(Action::Snapshot { lock, label })
            }
            Kind::Await => Self::read_await(field, scope, around)?,
            Kind::Repeat => {
                let times = Sum::count(field, &mut scope.parameters)?;
                let inside = around.body(field, None)?;
                let body = StepSpec::read_all(table.need("body")?, scope, &inside)?;
                Self::Repeat { times, body }
            }
            Kind::Sees => {
                let lock = scope.meant_lock(table, around)?;
                let fresh = table.get("fresh").map_or(Ok(false), |field| field.flag())?;
                Self::Sees { lock, count: Sum::count(field, &mut scope.parameters)?, fresh }
            }
            Kind::Cached => {
                let lock = scope.meant_lock(table, around)?;
                Self::Fixed(Action::Cached { lock, is_cached: field.flag()? })
            }
            Kind::Redis => {
                let lock = scope.meant_lock(table, around)?;
                Self::Redis { lock, command: Raw::read(field, &mut scope.parameters)? }
            }
        })
    }

    fn read_await(
        field: Field<'_>,
        scope: &mut Scope<'_>,
        around: &Around<'_>,
    ) -> Result<Self, ScenarioError> {
        let signal = field.text()?.to_owned();
        if around.is_in(&signal) {
            return Err(field.error(format!("{} waits for itself", quoted(&signal))));
        }
        let (name, group) = (signal.clone(), Some(around.group.to_owned()));
        scope.waits.push(Wait { name, at: field.at, group, protocol: around.protocol });
        Ok(Self::Fixed(Action::Await { signal }))
    }

    /// The steps in it.
    pub(super) fn body(&self) -> &[StepSpec] {
        match self {
            Self::Locked { body, .. } | Self::Repeat { body, .. } => body,
            _ => &[],
        }
    }

    /// Whether it waits for somebody.
    pub(super) fn awaits(&self) -> bool {
        matches!(self, Self::Fixed(Action::Await { .. }))
    }

    pub(super) fn bind(&self, binding: &Binding) -> Result<Action, ScenarioError> {
        let ttl = |ttl: &Option<Sum>| ttl.as_ref().map(|sum| sum.to_ttl(binding)).transpose();
        let wait =
            |wait: &Option<Sum>| wait.as_ref().map(|sum| sum.to_duration(binding)).transpose();
        Ok(match self {
            Self::Acquire { lock, ttl: lease, wait: patience } => {
                Action::Acquire { lock: *lock, ttl: ttl(lease)?, wait: wait(patience)? }
            }
            Self::Locked { lock, ttl: lease, wait: patience, body } => {
                let body = StepSpec::bind_all(body, binding)?;
                Action::Locked { lock: *lock, ttl: ttl(lease)?, wait: wait(patience)?, body }
            }
            Self::Work { lock, duration } => {
                Action::Work { lock: *lock, duration: duration.to_duration(binding)? }
            }
            Self::Time { duration, action } => action(duration.to_duration(binding)?),
            Self::PlantOrphan { lock, ttl } => {
                Action::PlantOrphan { lock: *lock, ttl: ttl.to_ttl(binding)? }
            }
            Self::Repeat { times, body } => {
                let times = times.to_count(binding, MOST)?;
                Action::Repeat { times, body: StepSpec::bind_all(body, binding)? }
            }
            Self::Sees { lock, count, fresh } => {
                let count = count.to_count(binding, u32::MAX)?.into();
                Action::Sees { lock: *lock, count, fresh: *fresh }
            }
            Self::Redis { lock, command } => {
                Action::Redis { lock: *lock, arguments: command.bind(binding)? }
            }
            Self::Fixed(action) => action.clone(),
        })
    }
}
