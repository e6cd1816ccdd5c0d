//! Keys that hold a string: SET and its older relatives, GET and its newer ones, counters.

use redis::Value;

use super::conditional::Condition;
use super::expiry::{Unit, deadline};
use super::extended::{self, Extended, Number};
use super::{Reply, bulk, count, flag, integer, is, keys};
use crate::data::Data;
use crate::error::Error;
use crate::events::Class;
use crate::session::Call;

pub(super) fn get(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key] = args else { return Err(Error::Arity("get")) };
    match call.db().get(key) {
        Some(entry) => Ok(bulk(entry.data.as_string()?)),
        None => Ok(Value::Nil),
    }
}

pub(super) fn strlen(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key] = args else { return Err(Error::Arity("strlen")) };
    match call.db().get(key) {
        Some(entry) => Ok(count(entry.data.as_string()?.len())),
        None => Ok(count(0)),
    }
}

pub(super) fn getrange(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key, start, end] = args else { return Err(Error::Syntax) };
    let (start, end) = (integer(start)?, integer(end)?);
    let mut db = call.db();
    let Some(entry) = db.get(key) else { return Ok(bulk(b"")) };
    let text = entry.data.as_string()?;
    // Both from the end and the wrong way round: they would meet at the first byte below.
    if start < 0 && end < 0 && start > end {
        return Ok(bulk(b""));
    }
    let len = i64::try_from(text.len()).unwrap_or(i64::MAX);
    let place = |at: i64| if at < 0 { at.saturating_add(len).max(0) } else { at };
    let start = usize::try_from(place(start)).unwrap_or(usize::MAX);
    let end = usize::try_from(place(end).saturating_add(1).min(len)).unwrap_or(usize::MAX);
    Ok(bulk(text.get(start..end).unwrap_or_default()))
}

pub(super) fn mget(call: &mut Call<'_>, keys: &[&[u8]]) -> Reply {
    let mut db = call.db();
    let value = |key: &&[u8]| match db.get(key).map(|entry| entry.data.as_string()) {
        Some(Ok(text)) => bulk(text),
        // What is no string is as good as nothing.
        Some(Err(_)) | None => Value::Nil,
    };
    Ok(Value::Array(keys.iter().map(value).collect()))
}

pub(super) fn mset(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let (pairs, []) = args.as_chunks::<2>() else { return Err(Error::Arity("mset")) };
    let mut db = call.db();
    for [key, value] in pairs {
        db.set(key, Data::String(value.to_vec()), None);
        db.note(Class::String, "set", key);
    }
    Ok(Value::Okay)
}

/// All or none.
pub(super) fn msetnx(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let (pairs, []) = args.as_chunks::<2>() else { return Err(Error::Arity("msetnx")) };
    let mut db = call.db();
    if pairs.iter().any(|[key, _]| db.get(key).is_some()) {
        return Ok(flag(false));
    }
    for [key, value] in pairs {
        db.set(key, Data::String(value.to_vec()), None);
        db.note(Class::String, "set", key);
    }
    Ok(flag(true))
}

/// The options of SET.
#[derive(Default)]
struct Options<'a> {
    nx: bool,
    xx: bool,
    condition: Option<Condition<'a>>,
    get: bool,
    keep_ttl: bool,
    expiry: Option<(Unit, &'a [u8])>,
}

impl<'a> Options<'a> {
    /// Redis takes an option twice, but none that contradicts an earlier one.
    fn read(mut args: &[&'a [u8]]) -> Result<Self, Error> {
        let mut options = Self::default();
        while let Some((word, rest)) = args.split_first() {
            args = rest;
            if let Some(condition) = Condition::named(word) {
                let (value, rest) = args.split_first().ok_or(Error::Syntax)?;
                if options.nx || options.xx || options.condition.is_some() {
                    return Err(Error::Syntax);
                }
                options.condition = Some(condition(value).check()?);
                args = rest;
            } else if is(word, "nx") && !options.xx && options.condition.is_none() {
                options.nx = true;
            } else if is(word, "xx") && !options.nx && options.condition.is_none() {
                options.xx = true;
            } else if is(word, "get") {
                options.get = true;
            } else if is(word, "keepttl") && options.expiry.is_none() {
                options.keep_ttl = true;
            } else {
                let unit = Unit::named(word).filter(|_| !options.keep_ttl).ok_or(Error::Syntax)?;
                if options.expiry.is_some_and(|(earlier, _)| earlier != unit) {
                    return Err(Error::Syntax);
                }
                let (amount, rest) = args.split_first().ok_or(Error::Syntax)?;
                options.expiry = Some((unit, amount));
                args = rest;
            }
        }
        Ok(options)
    }
}

pub(super) fn set(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key, value, options @ ..] = args else { return Err(Error::Arity("set")) };
    let options = Options::read(options)?;
    let now = call.now_ms();
    let expiry = options.expiry.map(|(unit, amount)| deadline("set", unit, amount, now));
    let mut deadline = expiry.transpose()?;

    let mut db = call.db();
    let old = db.get(key);
    let found = old.is_some();
    if options.keep_ttl {
        deadline = old.and_then(|entry| entry.deadline);
    }
    let before = match old {
        Some(entry) if options.get => Some(bulk(entry.data.as_string()?)),
        _ => None,
    };
    let holds = match options.condition {
        Some(condition) => {
            let text = old.map(|entry| entry.data.as_string()).transpose()?;
            condition.holds(text)
        }
        None => true,
    };
    if (options.nx && found) || (options.xx && !found) || !holds {
        return Ok(before.unwrap_or(Value::Nil));
    }
    let sets_expiry = options.expiry.is_some();
    // The deadline comes last: `get_mut` removes a key whose deadline is over.
    db.set(key, Data::String(value.to_vec()), deadline.filter(|_| !sets_expiry));
    db.note(Class::String, "set", key);
    if sets_expiry && let Some(entry) = db.get_mut(key) {
        entry.expire_at(deadline);
        db.note(Class::Generic, "expire", key);
    }
    Ok(if options.get { before.unwrap_or(Value::Nil) } else { Value::Okay })
}

pub(super) fn setnx(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key, value] = args else { return Err(Error::Arity("setnx")) };
    let mut db = call.db();
    let absent = db.get(key).is_none();
    if absent {
        db.set(key, Data::String(value.to_vec()), None);
        db.note(Class::String, "set", key);
    }
    Ok(flag(absent))
}

pub(super) fn set_for(
    call: &mut Call<'_>,
    args: &[&[u8]],
    name: &'static str,
    unit: Unit,
) -> Reply {
    let [key, amount, value] = args else { return Err(Error::Arity(name)) };
    let deadline = deadline(name, unit, amount, call.now_ms())?;
    let mut db = call.db();
    db.set(key, Data::String(value.to_vec()), None);
    db.note(Class::String, "set", key);
    if let Some(entry) = db.get_mut(key) {
        entry.expire_at(Some(deadline));
        db.note(Class::Generic, "expire", key);
    }
    Ok(Value::Okay)
}

pub(super) fn getset(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key, value] = args else { return Err(Error::Arity("getset")) };
    let mut db = call.db();
    let before = match db.get(key) {
        Some(entry) => bulk(entry.data.as_string()?),
        None => Value::Nil,
    };
    db.set(key, Data::String(value.to_vec()), None);
    db.note(Class::String, "set", key);
    Ok(before)
}

pub(super) fn getdel(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key] = args else { return Err(Error::Arity("getdel")) };
    let mut db = call.db();
    let Some(entry) = db.get(key) else { return Ok(Value::Nil) };
    let value = bulk(entry.data.as_string()?);
    keys::delete(&mut db, key);
    Ok(value)
}

/// What GETEX makes of a deadline.
enum NewDeadline<'a> {
    Same,
    Never,
    In(Unit, &'a [u8]),
}

impl<'a> NewDeadline<'a> {
    /// As with SET, the same option may be given twice.
    fn read(mut args: &[&'a [u8]]) -> Result<Self, Error> {
        let mut new = NewDeadline::Same;
        while let Some((word, rest)) = args.split_first() {
            args = rest;
            new = match (Unit::named(word), new) {
                (None, NewDeadline::Same | NewDeadline::Never) if is(word, "persist") => {
                    NewDeadline::Never
                }
                (Some(unit), NewDeadline::In(earlier, _)) if unit != earlier => {
                    return Err(Error::Syntax);
                }
                (Some(unit), NewDeadline::Same | NewDeadline::In(..)) => {
                    let (amount, rest) = args.split_first().ok_or(Error::Syntax)?;
                    args = rest;
                    NewDeadline::In(unit, amount)
                }
                _ => return Err(Error::Syntax),
            };
        }
        Ok(new)
    }
}

pub(super) fn getex(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key, options @ ..] = args else { return Err(Error::Arity("getex")) };
    let new = NewDeadline::read(options)?;
    let now = call.now_ms();
    let mut db = call.db();
    let Some(entry) = db.get(key) else { return Ok(Value::Nil) };
    let value = bulk(entry.data.as_string()?);
    let old = entry.deadline;
    let new = match new {
        NewDeadline::Same => return Ok(value),
        NewDeadline::Never if old.is_none() => return Ok(value),
        NewDeadline::Never => None,
        NewDeadline::In(unit, amount) => Some(deadline("getex", unit, amount, now)?),
    };
    if new.is_some_and(|new| new <= now) {
        keys::delete(&mut db, key);
    } else if let Some(entry) = db.get_mut(key) {
        entry.expire_at(new);
        db.note(Class::Generic, if new.is_some() { "expire" } else { "persist" }, key);
    }
    Ok(value)
}

pub(super) fn incrby(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key, by] = args else { return Err(Error::Arity("incrby")) };
    add(call, &[key], integer(by)?)
}

pub(super) fn decrby(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key, by] = args else { return Err(Error::Arity("decrby")) };
    add(call, &[key], integer(by)?.checked_neg().ok_or(Error::DecrementOverflow)?)
}

pub(super) fn add(call: &mut Call<'_>, args: &[&[u8]], by: i64) -> Reply {
    let [key] = args else { return Err(Error::Syntax) };
    let mut db = call.db();
    let (before, deadline) = match db.get(key) {
        Some(entry) => (integer(entry.data.as_string()?)?, entry.deadline),
        None => (0, None),
    };
    let sum = before.checked_add(by).ok_or(Error::Overflow)?;
    db.set(key, Data::String(sum.to_string().into_bytes()), deadline);
    db.note(Class::String, "incrby", key);
    Ok(Value::Int(sum))
}

/// Redis answers with the digits, in either version of the protocol.
pub(super) fn incrbyfloat(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key, by] = args else { return Err(Error::Arity("incrbyfloat")) };
    let mut db = call.db();
    let (before, deadline) = match db.get(key) {
        Some(entry) => (extended::read(entry.data.as_string()?), entry.deadline),
        None => (Some(Number::Finite(Extended::ZERO)), None),
    };
    let (before, by) =
        (before.ok_or(Error::InvalidFloat)?, extended::read(by).ok_or(Error::InvalidFloat)?);
    let sum = extended::sum(before, by).ok_or(Error::InfiniteSum)?.to_string().into_bytes();
    db.set(key, Data::String(sum.clone()), deadline);
    db.note(Class::String, "incrbyfloat", key);
    Ok(Value::BulkString(sum))
}
