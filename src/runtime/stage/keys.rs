//! The lock keys, flags and cache entries in Redis.

use super::{StageError, World, quoted};
use crate::controller::{CACHE_DB, STATE_FILE, cache_key};
use crate::lock::{
    self, LockError, LockName, Payload, RunDirectory, delete_if, flags, is_dead, locked_files,
};
use crate::scenario::{Action, Step, Value};
use crate::server::Connection;
use redis::RedisError;
use std::path::PathBuf;
use std::time::Duration;

/// What a run found under the names of one lock.
pub(super) struct Keys {
    lock: LockName,
    file: PathBuf,
    flag_before: Option<Vec<u8>>,
    cache_before: Option<(Vec<u8>, i64)>,
}

impl Keys {
    /// Makes way for the run, or says who is in it.
    pub fn set_up(
        world: &World,
        run: &RunDirectory,
        force: bool,
        notices: &mut Vec<String>,
    ) -> Result<Self, StageError> {
        let lock = run.lock(STATE_FILE);
        let file = run.path().join(STATE_FILE);
        let mut link = connect(world, 0)?;
        let failed = |error: LockError| StageError::Environment(world.explain(&error));
        if let Some(found) = Found::look(&mut link, &lock).map_err(failed)? {
            let notice = found.make_way(&mut link, &lock, force).map_err(|error| match error {
                InTheWay::Alive(text) => StageError::Environment(text),
                InTheWay::Failed(error) => failed(error),
            })?;
            notices.push(notice);
        }
        let flag: Option<Vec<u8>> =
            ask(world, redis::cmd("HGET").arg(lock.runid()).arg(lock.flag()), &mut link)?;
        // A flag that says "locked" without a lock is what a killed run leaves behind.
        let flag_before = match flag {
            Some(flag) if flag != b"false" => {
                notices.push(format!(
                    "the flag of {} said that it is locked, and no lock was there: set to false",
                    lock.key()
                ));
                Some(b"false".to_vec())
            }
            other => other,
        };
        Ok(Self { cache_before: cached(world, &file), lock, file, flag_before })
    }

    /// Puts the keys back as they were.
    pub fn clean(&self, world: &World) -> Vec<String> {
        let result =
            world.server().connect(0).map_err(|error| error.to_string()).and_then(|mut link| {
                let ours = |payload: &Payload| world.identity.issued(payload.token());
                lock::restore(&mut link, &self.lock, ours, self.flag_before.as_deref())
                    .map_err(|error| world.explain(&error))
            });
        match result {
            Ok(true) => self.clean_cache(world).into_iter().collect(),
            Ok(false) => {
                vec![format!("{} now belongs to somebody else; left as it is", self.lock.key())]
            }
            Err(error) => vec![format!("could not clean up ({error}); {}", self.by_hand(world))],
        }
    }

    fn clean_cache(&self, world: &World) -> Option<String> {
        let written = world.files.last_written(&self.file)?;
        let (now, _) = cached(world, &self.file)?;
        if now != written.bytes {
            return None;
        }
        let mut link = world.server().connect(CACHE_DB).ok()?;
        let key = cache_key(&self.file);
        let result: Result<(), RedisError> = match &self.cache_before {
            None => redis::cmd("DEL").arg(key).exec(&mut link),
            Some((value, ttl)) if *ttl > 0 => {
                redis::cmd("SET").arg(key).arg(value).arg("PX").arg(*ttl).exec(&mut link)
            }
            Some((value, _)) => redis::cmd("SET").arg(key).arg(value).exec(&mut link),
        };
        let error = result.err()?;
        Some(format!(
            "could not restore the cache entry {}: {}",
            self.file.display(),
            world.server().explain(&error)
        ))
    }

    /// The commands that remove what a run leaves under these names.
    pub fn by_hand(&self, world: &World) -> String {
        let cli = world.server().redis_cli();
        let (key, runid, flag) =
            (quoted(self.lock.key()), quoted(self.lock.runid()), quoted(self.lock.flag()));
        format!("{cli} DEL {key}; {cli} HSET {runid} {flag} false")
    }
}

/// A lock that was there before us.
struct Found {
    payload: Payload,
    ttl_ms: i64,
}

enum InTheWay {
    Alive(String),
    Failed(LockError),
}

impl Found {
    fn look(link: &mut Connection, lock: &LockName) -> Result<Option<Self>, LockError> {
        let nothing = lock::Knowledge { local_token: None, other_tokens: &[], owner: "" };
        let seen = lock::Snapshot::take(link, lock, nothing)?;
        Ok(seen.payload.map(|payload| Self { payload, ttl_ms: seen.ttl_ms }))
    }

    /// Removes it if its owner is dead, or if we are told to.
    fn make_way(
        &self,
        link: &mut Connection,
        lock: &LockName,
        force: bool,
    ) -> Result<String, InTheWay> {
        let owner = self.payload.owner().unwrap_or("an unknown owner");
        let dead = self.payload.owner().is_some_and(is_dead);
        let left = match u64::try_from(self.ttl_ms) {
            Ok(ms) => {
                let left = Value::Duration(Duration::from_secs(ms.div_ceil(1000)));
                format!("its TTL ends in {left}")
            }
            Err(_) => "it has no TTL".into(),
        };
        let key = lock.key();
        if !dead && !force {
            return Err(InTheWay::Alive(format!(
                "{key:?} is locked by {owner}; {left}: wait, choose another directory, or take it \
                 away from its owner with --force"
            )));
        }
        if !delete_if(link, lock, &self.payload).map_err(InTheWay::Failed)? {
            return Err(InTheWay::Alive(format!(
                "{key:?} was taken by somebody else just now; try again"
            )));
        }
        Ok(if dead {
            format!("removed the lock {key:?} of {owner}, a process that no longer lives; {left}")
        } else {
            format!("removed the lock {key:?} of {owner}, as --force says; {left}")
        })
    }
}

/// A plan that clears all locks of a run may do so only where they are all its own.
pub(super) fn check_cleared_runs(world: &World, force: bool) -> Result<(), StageError> {
    if force || !world.plan().actors.iter().any(|actor| clears(&actor.steps)) {
        return Ok(());
    }
    let mut link = connect(world, 0)?;
    for run in world.runs() {
        let failed = |error: LockError| StageError::Environment(world.explain(&error));
        let own = run.lock(STATE_FILE);
        let locked = locked_files(&mut link, run.runid()).map_err(failed)?;
        let flagged = flags(&mut link, run.runid()).map_err(failed)?;
        let flagged = flagged.into_iter().filter(|(_, flag)| flag != "false").map(|(file, _)| file);
        let theirs = locked
            .into_iter()
            .chain(flagged)
            .find(|file| LockName::new(run.runid(), file).key() != own.key());
        if let Some(file) = theirs {
            return Err(StageError::Environment(format!(
                "{} clears all locks of run {:?}, and {file:?} is locked there by somebody else; \
                 choose another directory, or clear it with --force",
                world.plan().scenario,
                run.runid()
            )));
        }
    }
    Ok(())
}

fn clears(steps: &[Step]) -> bool {
    steps.iter().any(|step| match &step.action {
        Action::ClearLocks { .. } => true,
        Action::Locked { body, .. } => clears(body),
        _ => false,
    })
}

fn connect(world: &World, db: i64) -> Result<Connection, StageError> {
    world.server().connect(db).map_err(|error| StageError::Environment(error.to_string()))
}

fn ask<T: redis::FromRedisValue>(
    world: &World,
    cmd: &redis::Cmd,
    link: &mut Connection,
) -> Result<T, StageError> {
    cmd.query(link)
        .map_err(|error| StageError::Environment(world.server().explain(&error).to_string()))
}

/// The cache entry of a file and what is left of its TTL in milliseconds. No cache is no entry.
fn cached(world: &World, file: &std::path::Path) -> Option<(Vec<u8>, i64)> {
    let mut link = world.server().connect(CACHE_DB).ok()?;
    let value: Option<Vec<u8>> = redis::cmd("GET").arg(cache_key(file)).query(&mut link).ok()?;
    let ttl: i64 = redis::cmd("PTTL").arg(cache_key(file)).query(&mut link).ok()?;
    value.map(|value| (value, ttl))
}
