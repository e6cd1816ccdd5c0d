//! What actors do to locks and to the server without the lock protocol: raw commands, replaced tokens,
//! orphans, cleared locks, faults of the server.

use super::World;
use super::observer::Cell;
use super::stage::foreign_lock;
use super::task_body::{TaskBody, refused_unless};
use crate::controller::Controller;
use crate::lock::{
    LockError, Payload, Token, Ttl, clear_locks, encode_payload, replace_if, replacement_fence,
};
use crate::scenario::{Action, FENCE};
use crate::server::Server;
use lock_history::history::{Change, Effect, EventKind, Failure, FailureKind};
use redis::Value;

/// Puts another token into a lock of ours.
pub(super) fn replace_token(task: &mut TaskBody<'_>, lock: usize) -> Result<(), Failure> {
    let controller = task.controller(lock)?;
    let payload = new_payload(task, task.world.setup.plan.default_ttl);
    let world = task.world;
    let ours = |payload: &Payload| world.setup.is_ours(payload);
    match replace_if(&mut task.link, controller.lock(), ours, &payload) {
        Ok(replaced) => refused_unless(replaced, || "there is no lock of ours to change".into()),
        Err(error) => Err(task.lock_failure(&error)),
    }
}

pub(super) fn plant_orphan(task: &mut TaskBody<'_>, lock: usize, ttl: Ttl) -> Result<(), Failure> {
    let controller = task.controller(lock)?;
    let names = controller.lock();
    let mut plant = redis::cmd("SET");
    plant.arg(names.key()).arg(new_payload(task, ttl));
    plant.arg("NX").arg("EX").arg(ttl.seconds());
    let planted: bool = send(task, "SET", &controller, &plant)?;
    if !planted {
        let message = "another client has the lock; nothing was planted".into();
        return Err(Failure { kind: FailureKind::AlreadyLocked, message });
    }
    let mut flag = redis::cmd("HSET");
    flag.arg(names.runid()).arg(names.flag()).arg("true");
    send(task, "HSET", &controller, &flag)
}

/// Clears all locks of the run, unless one of them has another owner. Between that snapshot and
/// the clearing another one may come: the reference's operation can't help it.
pub(super) fn clear_all(task: &mut TaskBody<'_>, lock: usize) -> Result<(), Failure> {
    let controller = task.controller(lock)?;
    let runid = controller.lock().runid();
    let world = task.world;
    if !world.setup.takes_by_force() {
        // Not over the actor's own connection: it is no part of the operation.
        let mut other = world.services.connect(0).map_err(|error| Failure {
            kind: FailureKind::Environment,
            message: error.to_string(),
        })?;
        let foreign = foreign_lock(world, &mut other, runid, true);
        let foreign = foreign.map_err(|error| task.lock_failure(&error))?;
        refused_unless(foreign.is_none(), || foreign.unwrap_or_default())?;
    }
    let result = clear_locks(&mut task.link, runid);
    result.map(drop).map_err(|error| task.lock_failure(&error))
}

/// Refuses to touch a lock of another owner. One that comes after this snapshot can't be
/// helped.
pub(super) fn only_ours(task: &TaskBody<'_>, lock: usize) -> Result<(), Failure> {
    let (world, Some(names)) = (task.world, task.world.setup.locks.get(lock)) else {
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
            task.lock_failure(&LockError::Redis { command: "GET", key: names.key().into(), source })
        })?;
    let ours =
        found.as_deref().map(Payload::decode).is_none_or(|found| world.setup.is_ours(&found));
    refused_unless(ours, || "another client has the lock; it is left alone".into())
}

fn new_payload(task: &TaskBody<'_>, ttl: Ttl) -> String {
    encode_payload(&task.identity.issue(), task.owner(), task.clock.unix(), ttl)
}

fn send<T: redis::FromRedisValue>(
    task: &mut TaskBody<'_>,
    command: &'static str,
    controller: &Controller,
    cmd: &redis::Cmd,
) -> Result<T, Failure> {
    cmd.query(&mut task.link).map_err(|source| {
        let key = controller.lock().key().into();
        task.lock_failure(&LockError::Redis { command, key, source })
    })
}

/// A command of a careless client. `needs` says which servers have it, if not all have.
pub(super) fn redis(
    task: &mut TaskBody<'_>,
    lock: usize,
    arguments: &[String],
    needs: Option<&str>,
) -> Result<Value, Failure> {
    only_ours(task, lock)?;
    let controller = task.controller(lock)?;
    let names = controller.lock();
    let payload = task
        .remembered(lock, &controller)
        .map(|own| encode_payload(&own.token, task.owner(), task.clock.unix(), own.ttl));
    let names_a_token = arguments.iter().any(|argument| argument == "{token}");
    if names_a_token && task.raw_token.is_none() {
        task.raw_token = Some(task.identity.issue());
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
            "{token}" => task.raw_token.as_ref().map(Token::as_str).unwrap_or_default(),
            other => other,
        });
    }
    cmd.query(&mut task.link).map_err(|error| {
        if error.is_io_error() {
            return lost_connection(task, names.key(), error);
        }
        let server = &task.world.services.server;
        task.world.log.note_error(&error);
        let message = server.explain_known(&error).to_string();
        match needs.filter(|_| matches!(server, Server::Redis(_))) {
            Some(needs) => {
                let message =
                    format!("{message}; {needs}: leave out --redis, the embedded server has it");
                Failure { kind: FailureKind::Environment, message }
            }
            None => Failure { kind: FailureKind::Refused, message },
        }
    })
}

fn lost_connection(task: &TaskBody<'_>, key: &str, source: redis::RedisError) -> Failure {
    task.lock_failure(&LockError::Redis { command: "redis", key: key.into(), source })
}

/// Injects a fault into the server.
pub(super) fn inject(world: &World, action: &Action) -> Result<(), Failure> {
    world.observer.touched(&|| Cell::Server);
    let Server::Embedded(engine) = &world.services.server else {
        let message = format!("{} needs the embedded server; leave out --redis", action.verb());
        return Err(Failure { kind: FailureKind::Environment, message });
    };
    let deleted = |lock| Effect { lock, change: Change::Deleted { token: None } };
    let event = match action {
        Action::Amnesia => {
            engine.forget();
            let all = (0..world.setup.locks.len()).map(deleted).collect();
            EventKind::restart("the server forgot everything".into(), all)
        }
        Action::ClockJump { duration } => {
            engine.shift_clock(*duration);
            let what = format!("the server's clock jumped by {duration:?}");
            EventKind::clock_jumped(what, *duration)
        }
        Action::Evict { lock } => {
            let key = world.setup.key(*lock);
            let gone = engine.evict(0, key.as_bytes());
            let what = format!("the server evicted {key:?}");
            EventKind::fault(what, gone.then(|| deleted(*lock)).into_iter().collect())
        }
        _ => return Ok(()),
    };
    world.log.note_fault(world.log.moment(), event);
    Ok(())
}
