//! What a command did to a lock, read from the command and its reply: the one place that knows how
//! the lock protocols look on the wire.

mod set;
#[cfg(test)]
mod tests;

use super::script::Script;
use super::{LockName, Payload, Token, Ttl};
use lock_history::history::{Change, Effect, NO_END};
use redis::Value;
use redis_sim::Kept;

/// What one command, as its arguments, did to these locks.
pub fn effects(arguments: &[&[u8]], reply: &Value, locks: &[LockName]) -> Vec<Effect> {
    let Some((name, rest)) = arguments.split_first() else { return Vec::new() };
    let name = String::from_utf8_lossy(name).to_ascii_uppercase();
    match (name.as_str(), rest) {
        ("SET", [key, value, options @ ..]) => {
            about(locks, key, || set::change(value, options, reply))
        }
        ("GET", [key]) => about(locks, key, || saw(reply)),
        ("DEL" | "UNLINK" | "DELEX", [key]) => about(locks, key, || deleted(reply, None)),
        ("DELEX", [key, option, value]) => about(locks, key, || {
            deleted(reply, Some(*value).filter(|_| option.eq_ignore_ascii_case(b"IFEQ")))
        }),
        ("DELIFEQ", [key, value]) => about(locks, key, || deleted(reply, Some(value))),
        ("PERSIST", [key]) => about(locks, key, || {
            (*reply == Value::Int(1)).then_some(Change::Extended { lease: NO_END })
        }),
        ("EXPIRE" | "PEXPIRE", [key, ttl]) => about(locks, key, || {
            let unit = if name == "EXPIRE" { 1_000_000_000 } else { 1_000_000 };
            (*reply == Value::Int(1))
                .then(|| Change::Extended { lease: number(ttl).saturating_mul(unit) })
        }),
        ("EVAL" | "EVALSHA", [body, b"1", key, arguments @ ..]) => about(locks, key, || {
            let changes = scripted(&name, body, arguments, reply);
            // Without the key of the flags it moves no flag, nor does it say why it deleted nothing.
            changes.into_iter().filter(|change| matches!(change, Change::Deleted { .. }))
        }),
        ("EVAL" | "EVALSHA", [body, _, key, _, arguments @ ..]) => {
            about(locks, key, || scripted(&name, body, arguments, reply))
        }
        ("HSET", [hash, field, value]) => {
            let mirrors = |lock: &LockName| {
                lock.runid().as_bytes() == *hash && lock.flag().as_bytes() == *field
            };
            let change = || Change::Flagged { locked: *value != b"false" };
            let mirrored = locks.iter().enumerate().filter(|(_, lock)| mirrors(lock));
            mirrored.map(|(lock, _)| Effect { lock, change: change() }).collect()
        }
        _ => Vec::new(),
    }
}

/// What a command of a client that we don't know did to a lock: its key before and after tell. What
/// changes nothing shows in the command itself, if it is one that clients commonly have. Of a string that
/// is gone it is known whose it was ([`Change::Deleted`]), though the command need not have read it, if it
/// held a client's token. A change inside a hash, list or set shows nothing.
pub fn seen_effects(
    arguments: &[&[u8]],
    reply: &Value,
    locks: &[LockName],
    observed: &[[Option<Kept>; 2]],
) -> Vec<Effect> {
    let changed = |(lock, [before, after]): (usize, &[Option<Kept>; 2])| {
        Some(Effect { lock, change: change(before.as_ref(), after.as_ref())? })
    };
    let changes: Vec<Effect> = observed.iter().enumerate().filter_map(changed).collect();
    if !changes.is_empty() {
        return changes;
    }
    // A lease that is set again within a millisecond looks the same.
    let does_not_show = |effect: &Effect| match effect.change {
        Change::Saw { .. } | Change::Refused | Change::Flagged { .. } => true,
        // Where there was a lease, it shows that there is none any more.
        Change::Extended { lease } => lease < NO_END,
        _ => false,
    };
    effects(arguments, reply, locks).into_iter().filter(does_not_show).collect()
}

fn change(before: Option<&Kept>, after: Option<&Kept>) -> Option<Change> {
    let token = |kept: &Kept| Payload::decode(&kept.value).token().as_str().to_owned();
    // What is no client's token (a constant, a counter, a list of waiters) says nothing of an owner.
    let owner =
        |kept: &Kept| (kept.is_string && Token::is_named_in(&kept.value)).then(|| token(kept));
    let lease =
        |kept: &Kept| kept.left.map(|left| u64::try_from(left.as_nanos()).unwrap_or(u64::MAX));
    match (before, after) {
        (None, Some(now)) => {
            Some(Change::Took { token: token(now), fence: None, lease: lease(now) })
        }
        (Some(then), None) => Some(Change::Deleted { token: owner(then) }),
        // In a lock that is not a string, a change doesn't show the holder: refused clients queue there.
        (Some(then), Some(now)) if then.value != now.value && then.is_string => {
            Some(Change::Overwrote { token: owner(now).unwrap_or_default(), lease: lease(now) })
        }
        (Some(then), Some(now))
            if then.deadline != now.deadline || then.expiry_sets != now.expiry_sets =>
        {
            Some(Change::Extended { lease: lease(now).unwrap_or(u64::MAX) })
        }
        _ => None,
    }
}

/// What a command of a lock protocol is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// It may take the lock.
    Acquire,
    /// It may extend the lease.
    Extend,
    /// It may delete the lock.
    Release,
}

/// What a command is for, and the lock that it is about: the command by which a protocol
/// changes the lock key.
pub fn operation(arguments: &[&[u8]], locks: &[LockName]) -> Option<(Operation, usize)> {
    let (name, rest) = arguments.split_first()?;
    let name = String::from_utf8_lossy(name).to_ascii_uppercase();
    let (operation, key) = match (name.as_str(), rest) {
        ("SET", [key, _, options @ ..]) => (set::operation(options), key),
        ("EXPIRE" | "PEXPIRE", [key, ..]) => (Operation::Extend, key),
        ("DEL" | "UNLINK", [key]) | ("DELEX" | "DELIFEQ", [key, ..]) => (Operation::Release, key),
        ("EVAL" | "EVALSHA", [body, _, key, ..]) => (Script::called(&name, body)?.operation, key),
        _ => return None,
    };
    let lock = locks.iter().position(|lock| lock.key().as_bytes() == *key)?;
    Some((operation, lock))
}

/// What a call of a script is for, if it is one of the hardened protocol's.
pub fn script_operation(arguments: &[&[u8]]) -> Option<Operation> {
    let [name, body, ..] = arguments else { return None };
    Some(Script::called(&String::from_utf8_lossy(name).to_ascii_uppercase(), body)?.operation)
}

fn about<C: IntoIterator<Item = Change>>(
    locks: &[LockName],
    key: &[u8],
    changes: impl FnOnce() -> C,
) -> Vec<Effect> {
    let Some(lock) = locks.iter().position(|lock| lock.key().as_bytes() == key) else {
        return Vec::new();
    };
    changes().into_iter().map(|change| Effect { lock, change }).collect()
}

/// What a deletion did that made sure of this value, if of any.
fn deleted(reply: &Value, compared: Option<&[u8]>) -> Option<Change> {
    (*reply == Value::Int(1)).then(|| Change::Deleted { token: compared.map(token_of) })
}

/// The token in a value of a lock key.
fn token_of(value: &[u8]) -> String {
    Payload::decode(value).token().as_str().to_owned()
}

/// What one of the hardened protocol's scripts did.
fn scripted(name: &str, body: &[u8], arguments: &[&[u8]], reply: &Value) -> Vec<Change> {
    let own = arguments.first().and_then(|beginning| token_at_beginning(beginning));
    let lease = || arguments.get(1).map(|ttl| number(ttl).saturating_mul(1_000_000_000));
    let flagged = |locked| Change::Flagged { locked };
    let Some(known) = Script::called(name, body) else { return Vec::new() };
    match (known.operation, reply) {
        (Operation::Acquire, Value::Array(parts)) => match (parts.as_slice(), own) {
            ([Value::Int(1), Value::Int(fence)], Some(token)) => {
                let (fence, lease) = (u64::try_from(*fence).ok(), lease());
                let written = match known.compares {
                    true => Change::Took { token, fence, lease },
                    false => Change::Overwrote { token, lease },
                };
                vec![written, flagged(true)]
            }
            _ => vec![Change::Refused],
        },
        (Operation::Extend, Value::Int(1)) => {
            lease().map(|lease| Change::Extended { lease }).into_iter().collect()
        }
        (Operation::Release, Value::Int(1)) => {
            let token = own.filter(|_| known.compares);
            vec![Change::Deleted { token }, flagged(false)]
        }
        (Operation::Release, Value::Int(0)) => {
            vec![Change::Saw { token: None }, flagged(false)]
        }
        _ => Vec::new(),
    }
}

/// The token of a payload of ours, or of its beginning.
pub fn token_at_beginning(beginning: &[u8]) -> Option<String> {
    let rest = beginning.strip_prefix(br#"{"token":""#)?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    rest.get(..end).map(|token| String::from_utf8_lossy(token).into_owned())
}

fn saw(reply: &Value) -> Option<Change> {
    let token = match reply {
        Value::Nil => None,
        Value::BulkString(raw) => Some(token_of(raw)),
        _ => return None,
    };
    Some(Change::Saw { token })
}

/// A number of seconds or milliseconds; more than a year is a year, which outlives every run.
fn number(text: &[u8]) -> u64 {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    u64::min(number, Ttl::MAX.seconds() * 1000)
}
