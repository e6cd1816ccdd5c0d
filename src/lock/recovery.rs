//! Taking a lock out of the way without hitting a newer holder.

use super::{LockError, LockName, Payload};
use crate::gate::Link;
use redis::{Pipeline, RedisError, Value};

/// Deletes the lock key if it still holds exactly this payload, and sets its flag to `false`; says
/// whether it did.
pub fn delete_if(
    link: &mut dyn Link,
    lock: &LockName,
    observed: &Payload,
) -> Result<bool, LockError> {
    change_if(link, lock, |now| now == Some(observed), Some(b"false"), Fence::Stays)
}

/// What becomes of the counter of fencing tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fence {
    /// It stays as it is: a counter that others may have read must never fall.
    Stays,
    /// It goes: there was none before.
    Goes,
}

/// Deletes the lock key if its holder is one of `ours`, and gives the flag the value that it had
/// before, or removes it. If somebody else holds the lock, nothing is changed; says whether all is
/// as it was.
pub fn restore(
    link: &mut dyn Link,
    lock: &LockName,
    ours: impl Fn(&Payload) -> bool,
    flag: Option<&[u8]>,
    fence: Fence,
) -> Result<bool, LockError> {
    change_if(link, lock, |now| now.is_none_or(&ours), flag, fence)
}

/// Puts another payload into the lock key, whose lease goes on, if its holder is one of `ours`; says
/// whether it did.
pub fn replace_if(
    link: &mut dyn Link,
    lock: &LockName,
    ours: impl Fn(&Payload) -> bool,
    payload: &str,
) -> Result<bool, LockError> {
    let mut change = redis::pipe();
    change.atomic().cmd("SET").arg(lock.key()).arg(payload).arg("XX").arg("KEEPTTL");
    change_watched(link, lock, ours, "SET", &change)
}

/// Lets the lease of a lock end in a millisecond, if its holder is one of `ours`; says whether it
/// did.
pub fn expire_if(
    link: &mut dyn Link,
    lock: &LockName,
    ours: impl Fn(&Payload) -> bool,
) -> Result<bool, LockError> {
    let mut change = redis::pipe();
    change.atomic().cmd("PEXPIRE").arg(lock.key()).arg(1);
    change_watched(link, lock, ours, "PEXPIRE", &change)
}

fn change_watched(
    link: &mut dyn Link,
    lock: &LockName,
    ours: impl Fn(&Payload) -> bool,
    command: &'static str,
    change: &Pipeline,
) -> Result<bool, LockError> {
    let mut attempt = || -> Result<bool, RedisError> {
        redis::cmd("WATCH").arg(lock.key()).exec(link)?;
        let raw: Option<Vec<u8>> = redis::cmd("GET").arg(lock.key()).query(link)?;
        if !raw.as_deref().map(Payload::decode).as_ref().is_some_and(&ours) {
            redis::cmd("UNWATCH").exec(link)?;
            return Ok(false);
        }
        let reply: Value = change.query(link)?;
        Ok(reply != Value::Nil)
    };
    attempt().map_err(|source| LockError::Redis { command, key: lock.key().into(), source })
}

/// Deletes the lock key and sets or removes the flag, if what the key holds is as it should be.
/// WATCH and MULTI make comparing and changing one thing: if anybody writes in between, EXEC does
/// nothing (Redis documentation, "Transactions"), and we look again.
fn change_if(
    link: &mut dyn Link,
    lock: &LockName,
    as_it_should_be: impl Fn(Option<&Payload>) -> bool,
    flag: Option<&[u8]>,
    fence: Fence,
) -> Result<bool, LockError> {
    let mut attempt = || -> Result<Option<bool>, RedisError> {
        redis::cmd("WATCH").arg(lock.key()).exec(link)?;
        let raw: Option<Vec<u8>> = redis::cmd("GET").arg(lock.key()).query(link)?;
        if !as_it_should_be(raw.as_deref().map(Payload::decode).as_ref()) {
            redis::cmd("UNWATCH").exec(link)?;
            return Ok(Some(false));
        }
        let flag_now: Option<Vec<u8>> =
            redis::cmd("HGET").arg(lock.runid()).arg(lock.flag()).query(link)?;
        let counter: Option<Vec<u8>> = match fence {
            Fence::Stays => None,
            Fence::Goes => redis::cmd("HGET").arg(lock.runid()).arg(lock.fence()).query(link)?,
        };
        if raw.is_none() && flag_now.as_deref() == flag && counter.is_none() {
            // Nothing to do; a write would be seen by whoever watches the flags, and refused by a
            // server that takes no writes.
            redis::cmd("UNWATCH").exec(link)?;
            return Ok(Some(true));
        }
        let mut change = redis::pipe();
        change.atomic().cmd("DEL").arg(lock.key());
        match flag {
            Some(value) => change.cmd("HSET").arg(lock.runid()).arg(lock.flag()).arg(value),
            None => change.cmd("HDEL").arg(lock.runid()).arg(lock.flag()),
        };
        if counter.is_some() {
            change.cmd("HDEL").arg(lock.runid()).arg(lock.fence());
        }
        let reply: Value = change.query(link)?;
        Ok((reply != Value::Nil).then_some(true))
    };
    for _ in 0..ATTEMPTS {
        let failed =
            |source| LockError::Redis { command: "WATCH, DEL", key: lock.key().into(), source };
        if let Some(done) = attempt().map_err(failed)? {
            return Ok(done);
        }
    }
    Ok(false)
}

/// How often we look again when others keep writing in between.
const ATTEMPTS: usize = 100;
