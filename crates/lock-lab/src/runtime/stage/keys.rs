//! The lock keys, flags and cache entries in Redis.

use super::{StageError, World, quoted};
use crate::controller::{CACHE_DB, LAST_MODIFIED, cache_key};
use crate::intercept::Link;
use crate::lock::{
    self, LockError, LockName, Payload, Removal, StateFile, WriteGuard, flags, is_dead,
    locked_files, remove_if, replacement_fence,
};
use crate::scenario::{Action, FENCE, Value};
use crate::server::{Connection, Server};
use redis::{ErrorKind, RedisResult, ServerErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a run found under the names of one lock.
pub(super) struct Keys {
    lock: LockName,
    file: PathBuf,
    flag_before: Option<Vec<u8>>,
    /// Whether the run may have made the counter of fencing tokens.
    may_leave_counter: bool,
    /// When a file of the run was written last, where the protocol changes that.
    modified_before: Option<Option<Vec<u8>>>,
    cache_before: Option<Cached>,
}

/// A cache entry as it was found.
struct Cached {
    value: Vec<u8>,
    /// What was left of its TTL in milliseconds; -1 if it has none.
    ttl_ms: i64,
    /// When it was looked at.
    at: Duration,
}

impl Keys {
    /// Makes way for the run, or says which owner is in it: `found` is what the lock key holds.
    pub fn set_up(
        world: &World,
        file: &StateFile,
        found: Option<Found>,
        force: bool,
        notices: &mut Vec<String>,
    ) -> Result<Self, StageError> {
        let lock = file.lock();
        let file = file.path().to_path_buf();
        let mut link = connect(world, 0)?;
        let failed =
            |error: LockError| StageError::Environment(world.services.explain_asking(&error));
        // All looks before the first change, so that a refusal leaves everything as it is.
        let cache_before = cached(world, &file)?;
        if let Some(found) = found {
            let notice = found.make_way(&mut link, &lock, force).map_err(|error| match error {
                InTheWay::Alive(text) => StageError::Environment(text),
                InTheWay::Failed(error) => failed(error),
            })?;
            notices.push(notice);
        }
        let flag: Option<Vec<u8>> =
            ask(world, redis::cmd("HGET").arg(lock.runid()).arg(lock.flag()), &mut link)?;
        // A flag that says "locked" without a lock is what a crashed run leaves behind.
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
        let mut value = |field: &str| -> Result<Option<Vec<u8>>, StageError> {
            ask(world, redis::cmd("HGET").arg(lock.runid()).arg(field), &mut link)
        };
        let guard = world.protocol().write_guard();
        let may_leave_counter = guard == WriteGuard::Fence && value(lock.fence())?.is_none();
        let notes_time = guard == WriteGuard::Signature;
        let modified_before = match notes_time && !world.is_lock_only() {
            true => Some(value(LAST_MODIFIED)?),
            false => None,
        };
        Ok(Self { cache_before, lock, file, flag_before, may_leave_counter, modified_before })
    }

    /// Puts the keys back as they were; gives notices of what had to be left, or why it failed. A
    /// lock that can't be put back doesn't keep the cache from it.
    pub fn clean(&self, world: &World) -> Result<Vec<String>, String> {
        let lock = self.clean_lock(world);
        // A server that is silent would make us wait for the time-out once more.
        let cache = if world.log.is_silent() { Ok(()) } else { self.clean_cache(world) };
        let notices = lock?;
        cache.map(|()| notices)
    }

    /// Whether the plan puts a fence before the locks of the run; there was none before.
    fn may_fence(world: &World) -> bool {
        world.plan().has(|action| match action {
            Action::Redis { arguments, .. } => arguments.iter().any(|argument| argument == FENCE),
            _ => false,
        })
    }

    fn clean_lock(&self, world: &World) -> Result<Vec<String>, String> {
        let mut link = world.server().connect(0).map_err(|error| error.to_string())?;
        let ours = |payload: &Payload| world.setup.identity.issued(payload.token());
        let flag = self.flag_before.as_deref();
        let restored = lock::restore(&mut link, &self.lock, ours, flag);
        let restored = restored.map_err(|error| world.explain_and_note(&error));
        let others = self.clean_beside_lock(world, &mut link);
        let mut notices = Vec::new();
        if !restored? {
            notices.push(format!("another client holds {} now; left as it is", self.lock.key()));
        }
        notices.extend(self.clean_counter(world, &mut link)?);
        others.map_err(|error| world.explain_and_note(&error)).map(|()| notices)
    }

    /// Removes the counter of fencing tokens, unless another client uses it; says so then.
    fn clean_counter(
        &self,
        world: &World,
        link: &mut Connection,
    ) -> Result<Option<String>, String> {
        if !self.may_leave_counter {
            return Ok(None);
        }
        let last = world.log.drawn.lock().get(self.lock.key()).copied();
        let is_gone = lock::remove_counter(link, &self.lock, last);
        let is_gone = is_gone.map_err(|error| world.explain_and_note(&error))?;
        let left = || {
            let by_hand = self.counter_by_hand(world).map(|hand| format!("; to remove it: {hand}"));
            format!(
                "{:?} in the hash {:?} has a number that this run is not known to have drawn; left as it is{}",
                self.lock.fence(),
                self.lock.runid(),
                by_hand.unwrap_or_default()
            )
        };
        Ok((!is_gone).then(left))
    }

    /// Removes the fence of the run and the time of its last write, where they are of this run.
    fn clean_beside_lock(&self, world: &World, link: &mut dyn Link) -> lock::Result {
        if Self::may_fence(world) {
            let fence = self.lock.clone().with_key(replacement_fence(self.lock.runid()));
            lock::delete_if(link, &fence, |it| world.setup.identity.issued(it.token()))?;
        }
        let files = &world.services.files;
        if let Some(before) = &self.modified_before
            && !files.is_changed_by_others(&self.file)
        {
            lock::restore_field_if(link, &self.lock, LAST_MODIFIED, before.as_deref(), |value| {
                files.has_mirrored(Path::new(LAST_MODIFIED), value)
            })?;
        }
        Ok(())
    }

    /// Gives the cache entry the value that it had before, unless it is not one that we wrote. The
    /// last write may not be the one in it: an acquire writes the file, and mirrors nothing.
    fn clean_cache(&self, world: &World) -> Result<(), String> {
        let now = cached(world, &self.file).map_err(|error| error.to_string())?;
        if now.is_none_or(|now| !world.services.files.has_mirrored(&self.file, &now.value)) {
            return Ok(());
        }
        let mut link = world.server().connect(CACHE_DB).map_err(|error| error.to_string())?;
        let mut command = redis::Cmd::new();
        let key = cache_key(&self.file);
        match &self.cache_before {
            Some(before) if before.ttl_ms == -1 => {
                command.arg("SET").arg(key).arg(&before.value);
            }
            Some(before) if before.left(world) > 0 => {
                command.arg("SET").arg(key).arg(&before.value).arg("PX").arg(before.left(world));
            }
            _ => {
                command.arg("DEL").arg(key);
            }
        }
        command.exec(&mut link).map_err(|error| {
            let shown = self.file.display();
            format!("the cache entry {shown}: {}", world.server().explain(&error))
        })
    }

    /// The commands that remove what a run leaves under these names; none for a server that ends
    /// with the run.
    pub fn by_hand(&self, world: &World) -> Option<String> {
        let cli = world.server().redis_cli()?;
        let line = |words: &[&str]| command(&cli, words);
        let (runid, flag) = (self.lock.runid(), self.lock.flag());
        let mut lines = vec![line(&["DEL", self.lock.key()])];
        lines.push(match &self.flag_before {
            Some(value) => line(&["HSET", runid, flag, &String::from_utf8_lossy(value)]),
            None => line(&["HDEL", runid, flag]),
        });
        if self.may_leave_counter {
            lines.extend(self.counter_by_hand(world));
        }
        match &self.modified_before {
            Some(Some(value)) => {
                lines.push(line(&["HSET", runid, LAST_MODIFIED, &String::from_utf8_lossy(value)]));
            }
            Some(None) => lines.push(line(&["HDEL", runid, LAST_MODIFIED])),
            None => {}
        }
        if Self::may_fence(world) {
            lines.push(line(&["DEL", &replacement_fence(runid)]));
        }
        if self.cache_before.is_none() {
            let db = CACHE_DB.to_string();
            lines.push(line(&["-n", &db, "DEL", &self.file.display().to_string()]));
        }
        Some(lines.join("; "))
    }

    fn counter_by_hand(&self, world: &World) -> Option<String> {
        let words = ["HDEL", self.lock.runid(), self.lock.fence()];
        Some(command(&world.server().redis_cli()?, &words))
    }
}

/// A command as one types it, after the words that reach the server.
fn command(cli: &[String], words: &[&str]) -> String {
    let words = cli.iter().map(String::as_str).chain(words.iter().copied());
    words.map(quoted).collect::<Vec<_>>().join(" ")
}

impl Cached {
    /// What would be left of its TTL now, in milliseconds.
    fn left(&self, world: &World) -> i64 {
        let passed = world.time().clock().now().saturating_sub(self.at).as_millis();
        self.ttl_ms.saturating_sub(i64::try_from(passed).unwrap_or(i64::MAX))
    }
}

/// A lock that was there before us.
pub(super) struct Found {
    payload: Payload,
    ttl_ms: i64,
}

/// How long it takes until locks that are in the way are read again.
const PAUSE: Duration = Duration::from_millis(50);

/// What the lock keys of a run hold, after it was waited as long as the plan says for all of them to be out
/// of the way at once.
pub(super) fn awaited(world: &World, force: bool) -> Result<Vec<Option<Found>>, StageError> {
    let mut link = connect(world, 0)?;
    if matches!(world.server(), Server::Redis(_)) {
        let mut runs = world.files().iter().map(StateFile::run);
        runs.try_for_each(|run| check_fence(&mut link, run.runid()))?;
    }
    let is_in_the_way = |found: &Found| !found.is_dead() && !force;
    let clock = world.time().clock();
    let deadline = clock.now().saturating_add(world.plan().wait);
    loop {
        let locks = world.files().iter().map(StateFile::lock);
        let found = locks.map(|lock| Found::read(&mut link, &lock)).collect::<Result<Vec<_>, _>>();
        let found = found
            .map_err(|error| StageError::Environment(world.services.explain_asking(&error)))?;
        let left = deadline.saturating_sub(clock.now());
        if left.is_zero() || !found.iter().flatten().any(is_in_the_way) {
            return Ok(found);
        }
        let waited = clock.sleep(PAUSE.min(left));
        waited.map_err(|why| StageError::Environment(why.to_string()))?;
    }
}

enum InTheWay {
    Alive(String),
    Failed(LockError),
}

impl Found {
    fn read(link: &mut dyn Link, lock: &LockName) -> Result<Option<Self>, LockError> {
        let nothing = lock::Knowledge { local_token: None, other_tokens: &[], owners: &[] };
        let seen = lock::Snapshot::take(link, lock, nothing)?;
        Ok(seen.payload.map(|payload| Self { payload, ttl_ms: seen.ttl_ms }))
    }

    fn is_dead(&self) -> bool {
        self.payload.owner().is_some_and(is_dead)
    }

    /// Removes it if its owner is dead, or if `force` says so.
    fn make_way(
        &self,
        link: &mut Connection,
        lock: &LockName,
        force: bool,
    ) -> Result<String, InTheWay> {
        let owner = self.payload.owner().unwrap_or("an unknown owner");
        let dead = self.is_dead();
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
                "{key:?} is locked by {owner}; {left}: wait for it with --wait, choose another \
                 directory, or take it away from its owner with --force"
            )));
        }
        let removal = remove_if(link, lock, &self.payload).map_err(InTheWay::Failed)?;
        if removal == Removal::Changed {
            return Err(InTheWay::Alive(format!(
                "{key:?} was taken by another client just now; try again"
            )));
        }
        Ok(if dead {
            format!("removed the lock {key:?} of {owner}, a process that no longer lives; {left}")
        } else {
            format!("removed the lock {key:?} of {owner}, as --force says; {left}")
        })
    }
}

/// Refuses a run that is being replaced: the application would refuse each of its locks. A user that may not
/// ask for the fence is not kept from its own locks.
fn check_fence(link: &mut Connection, runid: &str) -> Result<(), StageError> {
    let fence = replacement_fence(runid);
    if !redis::cmd("EXISTS").arg(&fence).query(link).unwrap_or(false) {
        return Ok(());
    }
    Err(StageError::Environment(format!(
        "run {runid:?} is being replaced, so no lock of it can be acquired: {fence} exists; wait, choose \
         another directory, or see who holds it: nodb-trigger status {fence}"
    )))
}

/// A plan that clears all locks of a run may do so only where they are all its own.
pub(super) fn check_cleared_runs(world: &World) -> Result<(), StageError> {
    let clears = |action: &Action| matches!(action, Action::ClearLocks { .. });
    if world.setup.takes_by_force() || !world.plan().has(clears) {
        return Ok(());
    }
    let mut link = connect(world, 0)?;
    for run in world.files().iter().map(StateFile::run) {
        let failed =
            |error: LockError| StageError::Environment(world.services.explain_asking(&error));
        if let Some(theirs) = foreign_lock(world, &mut link, run.runid(), false).map_err(failed)? {
            return Err(StageError::Environment(format!(
                "{} clears all locks of run {:?}, and {theirs}; choose another directory, or clear \
                 it with --force",
                world.plan().scenario,
                run.runid()
            )));
        }
    }
    Ok(())
}

/// A lock or a flag of a run that is not of our making, if there is one, in words. The locks of our
/// own files are read only if the caller asks for it.
pub(in crate::runtime) fn foreign_lock(
    world: &World,
    link: &mut dyn Link,
    runid: &str,
    also_our_files: bool,
) -> Result<Option<String>, LockError> {
    let is_our_file = |lock: &LockName| world.setup.locks.iter().any(|our| our.key() == lock.key());
    for file in locked_files(link, runid)? {
        let lock = LockName::new(runid, &file);
        if is_our_file(&lock) && !also_our_files {
            continue;
        }
        let found = Found::read(link, &lock)?;
        if found.is_some_and(|found| !world.setup.identity.issued(found.payload.token())) {
            return Ok(Some(format!("{file:?} is locked there by another client")));
        }
    }
    let flagged = flags(link, runid)?.into_iter().filter(|(_, flag)| flag != "false");
    let theirs =
        flagged.map(|(file, _)| file).find(|file| !is_our_file(&LockName::new(runid, file)));
    Ok(theirs.map(|file| format!("{file:?} is flagged there as locked by another client")))
}

fn connect(world: &World, db: i64) -> Result<Connection, StageError> {
    world.services.connect(db).map_err(|error| StageError::Environment(error.to_string()))
}

fn ask<T: redis::FromRedisValue>(
    world: &World,
    cmd: &redis::Cmd,
    link: &mut Connection,
) -> Result<T, StageError> {
    cmd.query(link)
        .map_err(|error| StageError::Environment(world.server().explain(&error).to_string()))
}

/// The cache entry of a file. A server without a cache database, or that doesn't let us in, has
/// none; that is no failure (contract, section 4). Another kind of value is one: a dump would
/// overwrite it.
fn cached(world: &World, file: &Path) -> Result<Option<Cached>, StageError> {
    let Ok(mut link) = world.services.connect(CACHE_DB) else { return Ok(None) };
    let mut read = || -> RedisResult<Option<Cached>> {
        let value: Option<Vec<u8>> = redis::cmd("GET").arg(cache_key(file)).query(&mut link)?;
        let ttl_ms = redis::cmd("PTTL").arg(cache_key(file)).query(&mut link)?;
        let at = world.time().clock().now();
        Ok(value.map(|value| Cached { value, ttl_ms, at }))
    };
    match read() {
        Ok(found) => Ok(found),
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) => Ok(None),
        Err(error) => Err(StageError::Environment(format!(
            "GET {:?} in database {CACHE_DB}: {}",
            file.display().to_string(),
            world.server().explain(&error)
        ))),
    }
}
