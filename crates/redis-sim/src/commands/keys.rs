//! Keys whatever they hold: DEL, EXISTS, TYPE, RENAME, COPY, KEYS, SCAN.

use redis::Value;

use super::connection::database;
use super::{Reply, bulk, count, flag, integer, is};
use crate::error::Error;
use crate::events::Class;
use crate::glob;
use crate::keyspace::View;
use crate::session::Call;

pub(super) fn del(call: &mut Call<'_>, keys: &[&[u8]]) -> Reply {
    let mut db = call.db();
    Ok(count(keys.iter().filter(|key| delete(&mut db, key)).count()))
}

/// Deletes a key, and says so; returns whether there was one.
pub(super) fn delete(db: &mut View<'_>, key: &[u8]) -> bool {
    let was_there = db.remove(key);
    if was_there {
        db.note(Class::Generic, "del", key);
    }
    was_there
}

pub(super) fn exists(call: &mut Call<'_>, keys: &[&[u8]]) -> Reply {
    let mut db = call.db();
    Ok(count(keys.iter().filter(|key| db.get(key).is_some()).count()))
}

pub(super) fn kind(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key] = args else { return Err(Error::Arity("type")) };
    let kind = call.db().get(key).map_or("none", |entry| entry.data.kind());
    Ok(Value::SimpleString(kind.into()))
}

/// The deadline goes with the value.
pub(super) fn rename(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [from, to] = args else { return Err(Error::Arity("rename")) };
    let mut db = call.db();
    let entry = db.get(from).ok_or(Error::NoSuchKey)?.clone();
    if from != to {
        db.remove(from);
        db.set(to, entry.data, entry.deadline);
        db.note(Class::Generic, "rename_from", from);
        db.note(Class::Generic, "rename_to", to);
    }
    Ok(Value::Okay)
}

pub(super) fn renamenx(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [from, to] = args else { return Err(Error::Arity("renamenx")) };
    let mut db = call.db();
    if db.get(from).is_some() && db.get(to).is_some() {
        return Ok(flag(false));
    }
    rename(call, args).map(|_| flag(true))
}

/// Also to another database.
pub(super) fn copy(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [from, to, options @ ..] = args else { return Err(Error::Arity("copy")) };
    let mut options = options;
    let (mut db, mut replace) = (call.session.db, false);
    while let Some((option, rest)) = options.split_first() {
        options = match rest {
            _ if is(option, "replace") => {
                replace = true;
                rest
            }
            [number, rest @ ..] if is(option, "db") => {
                db = database(number)?;
                rest
            }
            _ => return Err(Error::Syntax),
        };
    }
    if from == to && db == call.session.db {
        return Err(Error::SameObject);
    }
    let now = call.now_ms();
    let Some(entry) = call.db().get(from).cloned() else { return Ok(flag(false)) };
    let mut db = call.keyspace.at(db, now);
    let free = replace || db.get(to).is_none();
    if free {
        db.set(to, entry.data, entry.deadline);
        db.note(Class::Generic, "copy_to", to);
    }
    Ok(flag(free))
}

pub(super) fn keys(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [pattern] = args else { return Err(Error::Arity("keys")) };
    let db = call.db();
    Ok(Value::Array(db.keys().filter(|key| selects(pattern, key)).map(bulk).collect()))
}

/// A lone star selects all keys, though as a pattern it would not match the empty one.
pub(super) fn selects(pattern: &[u8], key: &[u8]) -> bool {
    pattern == b"*" || glob::matches(pattern, key)
}

pub(super) fn scan(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [cursor, options @ ..] = args else { return Err(Error::Arity("scan")) };
    let cursor = read_cursor(cursor).ok_or(Error::InvalidCursor)?;
    let options = ScanOptions::read(options, true)?;

    let mut db = call.db();
    let (next, mut keys) = db.walk(cursor, options.count);
    keys.retain(|key| {
        options.pattern.is_none_or(|pattern| selects(pattern, key))
            && db
                .get(key)
                .is_some_and(|entry| options.kind.is_none_or(|kind| is(kind, entry.data.kind())))
    });
    let keys = keys.iter().map(|key| bulk(key)).collect();
    Ok(Value::Array(vec![bulk(next.to_string().as_bytes()), Value::Array(keys)]))
}

/// What SCAN and its relatives are asked for.
pub(super) struct ScanOptions<'a> {
    count: usize,
    pub(super) pattern: Option<&'a [u8]>,
    kind: Option<&'a [u8]>,
}

impl<'a> ScanOptions<'a> {
    /// Only `keys` are of a type.
    pub(super) fn read(mut args: &[&'a [u8]], keys: bool) -> Result<Self, Error> {
        let mut options = Self { count: 10, pattern: None, kind: None };
        while !args.is_empty() {
            let [name, value, rest @ ..] = args else { return Err(Error::Syntax) };
            if is(name, "count") {
                let count = integer(value)?;
                if count < 1 {
                    return Err(Error::Syntax);
                }
                options.count = usize::try_from(count).unwrap_or(usize::MAX);
            } else if is(name, "match") {
                options.pattern = Some(value);
            } else if keys && is(name, "type") {
                options.kind = Some(value);
            } else {
                return Err(Error::Syntax);
            }
            args = rest;
        }
        Ok(options)
    }
}

/// Redis reads a cursor with C's `strtoul`: an empty one is 0, a sign is allowed, and a negative one
/// counts from the top.
pub(super) fn read_cursor(text: &[u8]) -> Option<u64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return text.is_empty().then_some(0);
    }
    let mut value: u64 = 0;
    for byte in digits {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value = value.checked_mul(10)?.checked_add(digit)?;
    }
    Some(if negative { value.wrapping_neg() } else { value })
}
