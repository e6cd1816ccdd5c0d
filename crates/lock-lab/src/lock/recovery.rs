//! Taking a lock out of the way without hitting a newer holder, and setting flags right, beside
//! working clients: each change is one script, or a transaction that does nothing if another client
//! writes in between. The caller decides what to take away.

use super::script::Script;
use super::{LockError, LockName, Payload, Result};
use crate::intercept::Link;
use redis::{Cmd, RedisError, Value};
use std::sync::LazyLock;

/// KEYS: lock key, flag hash. ARGV: the value that was observed, flag field. Returns the outcome,
/// the rest of the TTL in milliseconds, and why the flag could not be set.
///
/// All that can fail is checked before the first write, but for the right to HSET, which no script
/// can ask for: that failure is reported beside the removal instead of hiding it. DEL comes first,
/// because a server that is out of memory lets it pass, and what follows it in the same script,
/// too.
const REMOVE: &str = r#"
local flag = redis.call('HGET', KEYS[2], ARGV[2])
local kind = redis.call('TYPE', KEYS[1])['ok']
local done, ttl = 'gone', -2
if kind ~= 'none' then
  if kind ~= 'string' or redis.call('GET', KEYS[1]) ~= ARGV[1] then return {'changed', -2, ''} end
  ttl = redis.call('PTTL', KEYS[1])
  redis.call('DEL', KEYS[1])
  done = 'removed'
end
local set = {}
if flag and flag ~= 'false' then set = redis.pcall('HSET', KEYS[2], ARGV[2], 'false') end
return {done, ttl, type(set) == 'table' and set['err'] or ''}
"#;

/// KEYS: lock key, flag hash. ARGV: flag field. Gives what the flag was set to, if it was. A missing
/// flag stays missing.
const REPAIR: &str = r#"
local flag = redis.call('HGET', KEYS[2], ARGV[1])
if not flag then return '' end
local says_held = flag ~= 'false'
local is_held = redis.call('EXISTS', KEYS[1]) == 1
if is_held and not says_held then
  redis.call('HSET', KEYS[2], ARGV[1], 'true')
  return 'true'
elseif says_held and not is_held then
  redis.call('HSET', KEYS[2], ARGV[1], 'false')
  return 'false'
end
return ''
"#;

/// KEYS: lock key, flag hash. ARGV: field of the counter of fencing tokens, the number that it must have.
/// Says whether there is a counter still.
const REMOVE_COUNTER: &str = r#"
local count = redis.call('HGET', KEYS[2], ARGV[1])
if not count then return 0 end
local holder = redis.call('GET', KEYS[1])
if count ~= ARGV[2] or (holder and string.find(holder, '"fence"', 1, true)) then return 1 end
redis.call('HDEL', KEYS[2], ARGV[1])
return 0
"#;

static REMOVE_SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(REMOVE));
static REPAIR_SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(REPAIR));
static COUNTER_SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(REMOVE_COUNTER));

/// The outcome of taking a lock away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// It was removed.
    Removed {
        /// What was left of its TTL in milliseconds; -1 if it had none.
        ttl_ms: i64,
        /// Why its flag still says that it is held, if the server refused only that.
        flag_failed: Option<String>,
    },
    /// The lock was free by then.
    Gone {
        /// Why its flag still says that it is held, if the server refused to set it.
        flag_failed: Option<String>,
    },
    /// The key holds another value than the one that was observed. Nothing was changed.
    Changed,
}

/// What a repair did to a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flag {
    /// It was right, or missing.
    Right,
    /// It was set to `true`.
    SetTrue,
    /// It was set to `false`.
    SetFalse,
}

/// Removes a lock if its key still holds exactly the value that was observed, in one script, so
/// that a newer holder can't be hit: tokens are never used twice, so no newer holder has the same
/// value.
///
/// The flag goes to `false` with it if it says anything else. Where no flag ever was, none is made:
/// there was nothing for users to see, and a run's hash may not exist. The fencing counter stays:
/// others may have seen it.
///
/// # Errors
///
/// [`LockError::Redis`] if the script fails or is refused.
pub fn remove_if(link: &mut dyn Link, lock: &LockName, observed: &Payload) -> Result<Removal> {
    let (done, ttl_ms, failed): (String, i64, String) = REMOVE_SCRIPT.run(link, lock, |cmd| {
        cmd.arg(observed.raw()).arg(lock.flag());
    })?;
    let flag_failed = (!failed.is_empty()).then_some(failed);
    Ok(match done.as_str() {
        "removed" => Removal::Removed { ttl_ms, flag_failed },
        "gone" => Removal::Gone { flag_failed },
        _ => Removal::Changed,
    })
}

/// Makes the flag of a lock, if it has one, say what the lock key says, in one script, and writes only
/// if it says something else: users see each write.
///
/// A participant of the reference's protocol may be between its two commands just now. Then it is
/// about to write the very value that this writes, because the key has changed already and the flag
/// follows; the script only comes first. What it can't repair is a flag that such a participant
/// writes late, after the lock has changed hands again: that one drifts again, with or without a
/// repair.
///
/// # Errors
///
/// [`LockError::Redis`] if the script fails or is refused.
pub fn repair_flag(link: &mut dyn Link, lock: &LockName) -> Result<Flag> {
    let set: String = REPAIR_SCRIPT.run(link, lock, |cmd| {
        cmd.arg(lock.flag());
    })?;
    Ok(match set.as_str() {
        "true" => Flag::SetTrue,
        "false" => Flag::SetFalse,
        _ => Flag::Right,
    })
}

/// Deletes the lock key if its holder is one of `ours`, and restores the flag's earlier value, or
/// removes it. If another owner holds the lock, nothing is changed; says whether all is as it was.
///
/// # Errors
///
/// [`LockError::Redis`] if a command fails or is refused; whether anything changed is unknown then.
pub fn restore(
    link: &mut dyn Link,
    lock: &LockName,
    ours: impl Fn(&Payload) -> bool,
    flag: Option<&[u8]>,
) -> Result<bool> {
    let mut attempt = || -> Result<Option<bool>, RedisError> {
        let Some(held) = watch(link, lock, |held| held.is_none_or(&ours))? else {
            return Ok(Some(false));
        };
        let flag_now: Option<Vec<u8>> =
            redis::cmd("HGET").arg(lock.runid()).arg(lock.flag()).query(link)?;
        if held.is_none() && flag_now.as_deref() == flag {
            // Nothing to do; a write would be seen by those that watch the flags, and refused by a
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
        let reply: Value = change.query(link)?;
        Ok((reply != Value::Nil).then_some(true))
    };
    for _ in 0..ATTEMPTS {
        if let Some(done) = attempt().map_err(LockError::redis("WATCH, DEL", lock.key()))? {
            return Ok(done);
        }
    }
    Ok(false)
}

/// Removes the counter of fencing tokens in one script, unless another client uses it: it has drawn a number
/// after `last`, or holds the lock with one. Says whether none is left. A client that waits for the lock does not
/// show; its number will rise above what its file has seen.
///
/// # Errors
///
/// [`LockError::Redis`] if the script fails or is refused.
pub fn remove_counter(link: &mut dyn Link, lock: &LockName, last: Option<u64>) -> Result<bool> {
    let last = last.map(|last| last.to_string()).unwrap_or_default();
    let is_left: bool = COUNTER_SCRIPT.run(link, lock, |cmd| {
        cmd.arg(lock.fence()).arg(&last);
    })?;
    Ok(!is_left)
}

/// Watches the lock key, and gives what it holds if that is as it should be. WATCH and MULTI make
/// comparing and changing one thing: if another client writes in between, EXEC does nothing (Redis
/// documentation, "Transactions").
fn watch(
    link: &mut dyn Link,
    lock: &LockName,
    as_it_should_be: impl Fn(Option<&Payload>) -> bool,
) -> Result<Option<Option<Payload>>, RedisError> {
    redis::cmd("WATCH").arg(lock.key()).exec(link)?;
    let raw: Option<Vec<u8>> = redis::cmd("GET").arg(lock.key()).query(link)?;
    let held = raw.as_deref().map(Payload::decode);
    if as_it_should_be(held.as_ref()) {
        return Ok(Some(held));
    }
    redis::cmd("UNWATCH").exec(link)?;
    Ok(None)
}

/// Puts another payload into the lock key, whose lease goes on, if its holder is one of `ours`; says
/// whether it did.
///
/// # Errors
///
/// [`LockError::Redis`] if a command fails or is refused; whether it changed is unknown then.
pub fn replace_if(
    link: &mut dyn Link,
    lock: &LockName,
    ours: impl Fn(&Payload) -> bool,
    payload: &str,
) -> Result<bool> {
    let mut set = redis::cmd("SET");
    set.arg(lock.key()).arg(payload).arg("XX").arg("KEEPTTL");
    change_watched(link, lock, ours, "SET", set)
}

/// Lets the lease of a lock end in a millisecond, if its holder is one of `ours`; says whether it
/// did.
///
/// # Errors
///
/// [`LockError::Redis`] if a command fails or is refused; whether it changed is unknown then.
pub fn expire_if(
    link: &mut dyn Link,
    lock: &LockName,
    ours: impl Fn(&Payload) -> bool,
) -> Result<bool> {
    let mut expire = redis::cmd("PEXPIRE");
    expire.arg(lock.key()).arg(1);
    change_watched(link, lock, ours, "PEXPIRE", expire)
}

/// Deletes the key of a lock, if its holder is one of `ours`; says whether it did.
///
/// # Errors
///
/// [`LockError::Redis`] if a command fails or is refused; whether it changed is unknown then.
pub fn delete_if(
    link: &mut dyn Link,
    lock: &LockName,
    ours: impl Fn(&Payload) -> bool,
) -> Result<bool> {
    let mut delete = redis::cmd("DEL");
    delete.arg(lock.key());
    change_watched(link, lock, ours, "DEL", delete)
}

/// Gives a field of the hash of the flags its value from `before`, or removes it, if its value is such.
///
/// # Errors
///
/// [`LockError::Redis`] if a command fails or is refused; whether it changed is unknown then.
pub fn restore_field_if(
    link: &mut dyn Link,
    lock: &LockName,
    field: &str,
    before: Option<&[u8]>,
    is_such: impl Fn(&[u8]) -> bool,
) -> Result {
    let mut attempt = || -> Result<bool, RedisError> {
        redis::cmd("WATCH").arg(lock.runid()).exec(link)?;
        let value: Option<Vec<u8>> = redis::cmd("HGET").arg(lock.runid()).arg(field).query(link)?;
        if !value.is_some_and(|value| is_such(&value)) {
            redis::cmd("UNWATCH").exec(link)?;
            return Ok(true);
        }
        let mut change = redis::pipe();
        change.atomic();
        match before {
            Some(before) => change.cmd("HSET").arg(lock.runid()).arg(field).arg(before),
            None => change.cmd("HDEL").arg(lock.runid()).arg(field),
        };
        Ok(change.query::<Value>(link)? != Value::Nil)
    };
    for _ in 0..ATTEMPTS {
        if attempt().map_err(LockError::redis("WATCH, HGET", lock.runid()))? {
            break;
        }
    }
    Ok(())
}

fn change_watched(
    link: &mut dyn Link,
    lock: &LockName,
    ours: impl Fn(&Payload) -> bool,
    command: &'static str,
    change: Cmd,
) -> Result<bool> {
    let attempt = || -> Result<bool, RedisError> {
        if watch(link, lock, |held| held.is_some_and(&ours))?.is_none() {
            return Ok(false);
        }
        let reply: Value = redis::pipe().atomic().add_command(change).query(link)?;
        Ok(reply != Value::Nil)
    };
    attempt().map_err(LockError::redis(command, lock.key()))
}

/// How often we look again when others keep writing in between.
const ATTEMPTS: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{Connection, Server};
    use redis_sim::Engine;
    use redis_sim::clock::VirtualClock;
    use std::sync::Arc;

    fn server() -> Connection {
        let clock = Arc::new(VirtualClock::new(None));
        Server::Embedded(Engine::new(clock)).connect(0).unwrap()
    }

    fn run(link: &mut Connection, words: &[&str]) -> Value {
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(word);
        }
        command.query(link).unwrap()
    }

    fn text(value: &str) -> Value {
        Value::BulkString(value.into())
    }

    #[test]
    fn only_the_value_that_was_observed_is_removed() {
        let lock = LockName::new("run", "x.nodb");
        let observed = Payload::decode(b"\xff\0observed");
        for (value, flag, expected, flag_after) in [
            (Some(&b"\xff\0observed"[..]), Some("true"), "removed", Some("false")),
            (Some(b"\xff\0observed"), Some("false"), "removed", Some("false")),
            (Some(b"\xff\0observed"), None, "removed", None),
            (Some(b"\xff\0observed "), Some("true"), "changed", Some("true")),
            (Some(b""), Some("true"), "changed", Some("true")),
            (None, Some("true"), "gone", Some("false")),
            (None, None, "gone", None),
        ] {
            let mut link = server();
            if let Some(value) = value {
                redis::cmd("SET").arg(lock.key()).arg(value).exec(&mut link).unwrap();
            }
            if let Some(flag) = flag {
                run(&mut link, &["HSET", "run", lock.flag(), flag]);
            }
            let removal = remove_if(&mut link, &lock, &observed).unwrap();
            let word = match removal {
                Removal::Removed { ttl_ms: -1, flag_failed: None } => "removed",
                Removal::Gone { flag_failed: None } => "gone",
                Removal::Changed => "changed",
                other => panic!("{other:?}"),
            };
            assert_eq!(word, expected);
            let left = run(&mut link, &["EXISTS", lock.key()]);
            assert_eq!(left, Value::Int((word == "changed").into()));
            let flag = run(&mut link, &["HGET", "run", lock.flag()]);
            assert_eq!(flag, flag_after.map_or(Value::Nil, text));
        }
    }

    #[test]
    fn a_flag_is_written_only_if_it_is_there_and_wrong() {
        let lock = LockName::new("run", "x.nodb");
        for (is_held, flag, expected, flag_after) in [
            (true, Some("true"), Flag::Right, Some("true")),
            (true, Some("yes"), Flag::Right, Some("yes")),
            (true, Some("false"), Flag::SetTrue, Some("true")),
            (true, None, Flag::Right, None),
            (false, Some("true"), Flag::SetFalse, Some("false")),
            (false, Some("yes"), Flag::SetFalse, Some("false")),
            (false, Some("false"), Flag::Right, Some("false")),
            (false, None, Flag::Right, None),
        ] {
            let mut link = server();
            if is_held {
                run(&mut link, &["SET", lock.key(), "token"]);
            }
            if let Some(flag) = flag {
                run(&mut link, &["HSET", "run", lock.flag(), flag]);
            }
            assert_eq!(repair_flag(&mut link, &lock).unwrap(), expected);
            let flag = run(&mut link, &["HGET", "run", lock.flag()]);
            assert_eq!(flag, flag_after.map_or(Value::Nil, text));
        }
    }

    #[test]
    fn a_counter_that_another_client_uses_stays() {
        let lock = LockName::new("run", "x.nodb");
        let (fenced, plain) = (r#"{"token":"theirs","fence":3}"#, r#"{"token":"theirs"}"#);
        for (count, last, holder, is_gone) in [
            (Some("3"), Some(3), None, true),
            (Some("3"), Some(3), Some(plain), true),
            (Some("3"), Some(3), Some(fenced), false),
            (Some("4"), Some(3), None, false),
            (Some("3"), None, None, false),
            (None, Some(3), None, true),
        ] {
            let mut link = server();
            if let Some(count) = count {
                run(&mut link, &["HSET", "run", lock.fence(), count]);
            }
            if let Some(holder) = holder {
                run(&mut link, &["SET", lock.key(), holder]);
            }
            let gone = remove_counter(&mut link, &lock, last).unwrap();
            let left = run(&mut link, &["HEXISTS", "run", lock.fence()]);
            let expected = (is_gone, Value::Int((!is_gone).into()));
            assert_eq!((gone, left), expected, "{count:?}, {last:?}, {holder:?}");
        }
    }

    #[test]
    fn what_another_client_wrote_meanwhile_stays() {
        let mut link = server();
        let lock = LockName::new("run", "x.nodb");
        let send = |link: &mut Connection, words: &[&str]| -> redis::Value {
            redis::cmd(words[0]).arg(&words[1..]).query(link).unwrap()
        };
        for (value, is_left) in [("mine", false), ("theirs", true)] {
            for before in [Some("before"), None] {
                send(&mut link, &["HSET", "run", "field", value]);
                let old = before.map(str::as_bytes);
                restore_field_if(&mut link, &lock, "field", old, |value| value == b"mine").unwrap();
                let expected = if is_left { Some(value) } else { before };
                let expected =
                    expected.map_or(redis::Value::Nil, |it| redis::Value::BulkString(it.into()));
                assert_eq!(send(&mut link, &["HGET", "run", "field"]), expected);
            }
            send(&mut link, &["SET", lock.key(), value]);
            let ours = |payload: &Payload| payload.token().as_str() == "mine";
            assert_eq!(delete_if(&mut link, &lock, ours).unwrap(), !is_left);
            let left = send(&mut link, &["EXISTS", lock.key()]);
            assert_eq!(left, redis::Value::Int(is_left.into()), "{value}");
        }
    }
}
