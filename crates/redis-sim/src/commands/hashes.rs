//! Keys that hold a hash of fields.

use redis::Value;

use super::collections::{change, read};
use super::extended::{self, Extended, Number};
use super::keys::{ScanOptions, read_cursor, selects};
use super::{Reply, bulk, count, flag, integer};
use crate::data::Hash;
use crate::error::Error;
use crate::resp;
use crate::session::Call;

pub(super) fn hset(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    set_fields(call, args, "hset").map(count)
}

pub(super) fn hmset(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    set_fields(call, args, "hmset").map(|_| Value::Okay)
}

/// Gives the number of new fields.
fn set_fields(call: &mut Call<'_>, args: &[&[u8]], name: &'static str) -> Result<usize, Error> {
    let [key, pairs @ ..] = args else { return Err(Error::Arity(name)) };
    let (pairs, []) = pairs.as_chunks::<2>() else { return Err(Error::Arity(name)) };
    change(&mut call.db(), key, "hset", |fields: &mut Hash| {
        let before = fields.len();
        for [field, value] in pairs {
            match fields.get_mut(*field) {
                Some(old) => *old = value.to_vec(),
                None => drop(fields.insert(field.to_vec(), value.to_vec())),
            }
        }
        (true, fields.len() - before)
    })
}

pub(super) fn hsetnx(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key, field, value] = args else { return Err(Error::Arity("hsetnx")) };
    change(&mut call.db(), key, "hset", |fields: &mut Hash| {
        let new = !fields.contains_key(*field);
        if new {
            fields.insert(field.to_vec(), value.to_vec());
        }
        (new, flag(new))
    })
}

pub(super) fn hget(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key, field] = args else { return Err(Error::Arity("hget")) };
    let mut db = call.db();
    Ok(field_value(read(&mut db, key)?, field))
}

pub(super) fn hmget(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key, names @ ..] = args else { return Err(Error::Arity("hmget")) };
    let mut db = call.db();
    let fields = read(&mut db, key)?;
    Ok(Value::Array(names.iter().map(|name| field_value(fields, name)).collect()))
}

fn field_value(fields: Option<&Hash>, name: &[u8]) -> Value {
    fields.and_then(|fields| fields.get(name)).map_or(Value::Nil, |value| bulk(value))
}

pub(super) fn hdel(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key, names @ ..] = args else { return Err(Error::Arity("hdel")) };
    change(&mut call.db(), key, "hdel", |fields: &mut Hash| {
        let removed = names.iter().filter(|name| fields.remove(**name).is_some()).count();
        (removed > 0, count(removed))
    })
}

pub(super) fn hexists(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key, field] = args else { return Err(Error::Arity("hexists")) };
    let mut db = call.db();
    Ok(flag(read(&mut db, key)?.is_some_and(|fields: &Hash| fields.contains_key(*field))))
}

pub(super) fn hlen(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key] = args else { return Err(Error::Arity("hlen")) };
    let mut db = call.db();
    Ok(count(read(&mut db, key)?.map_or(0, Hash::len)))
}

pub(super) fn hgetall(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key] = args else { return Err(Error::Arity("hgetall")) };
    let mut db = call.db();
    let pairs: Vec<_> = read::<Hash>(&mut db, key)?
        .into_iter()
        .flatten()
        .map(|(field, value)| (bulk(field), bulk(value)))
        .collect();
    Ok(super::map(call, pairs))
}

/// All at once, as Redis does it with a hash of up to 128 short fields; so the next cursor is always 0.
pub(super) fn hscan(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key, cursor, options @ ..] = args else { return Err(Error::Arity("hscan")) };
    read_cursor(cursor).ok_or(Error::InvalidCursor)?;
    let mut db = call.db();
    let mut found = Vec::new();
    if let Some(fields) = read::<Hash>(&mut db, key)? {
        let pattern = ScanOptions::read(options, false)?.pattern;
        let wanted = |name: &[u8]| pattern.is_none_or(|pattern| selects(pattern, name));
        for (name, value) in fields.iter().filter(|(name, _)| wanted(name)) {
            found.extend([bulk(name), bulk(value)]);
        }
    }
    Ok(Value::Array(vec![bulk(b"0"), Value::Array(found)]))
}

pub(super) fn hkeys(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key] = args else { return Err(Error::Arity("hkeys")) };
    let mut db = call.db();
    let fields = read(&mut db, key)?.into_iter().flat_map(Hash::keys);
    Ok(Value::Array(fields.map(|field| bulk(field)).collect()))
}

pub(super) fn hvals(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key] = args else { return Err(Error::Arity("hvals")) };
    let mut db = call.db();
    let values = read(&mut db, key)?.into_iter().flat_map(Hash::values);
    Ok(Value::Array(values.map(|value| bulk(value)).collect()))
}

pub(super) fn hincrby(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key, field, by] = args else { return Err(Error::Arity("hincrby")) };
    let by = integer(by)?;
    change(&mut call.db(), key, "hincrby", |fields: &mut Hash| {
        let before = match fields.get(*field) {
            Some(value) => resp::integer(value).ok_or(Error::HashNotAnInteger),
            None => Ok(0),
        };
        let sum = before.and_then(|before| before.checked_add(by).ok_or(Error::Overflow));
        if let Ok(sum) = sum {
            fields.insert(field.to_vec(), sum.to_string().into_bytes());
        }
        (sum.is_ok(), sum.map(Value::Int))
    })?
}

pub(super) fn hincrbyfloat(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key, field, by] = args else { return Err(Error::Arity("hincrbyfloat")) };
    let by = extended::read(by).ok_or(Error::InvalidFloat)?;
    if by == Number::Infinite {
        return Err(Error::InfiniteIncrement);
    }
    change(&mut call.db(), key, "hincrbyfloat", |fields: &mut Hash| {
        let before = match fields.get(*field) {
            Some(value) => extended::read(value).ok_or(Error::HashNotFloat),
            None => Ok(Number::Finite(Extended::ZERO)),
        };
        let sum = before.and_then(|before| extended::sum(before, by).ok_or(Error::InfiniteSum));
        let sum = sum.map(|sum| sum.to_string().into_bytes());
        if let Ok(sum) = &sum {
            fields.insert(field.to_vec(), sum.clone());
        }
        (sum.is_ok(), sum.map(Value::BulkString))
    })?
}

pub(super) fn hstrlen(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key, field] = args else { return Err(Error::Arity("hstrlen")) };
    let mut db = call.db();
    let value = read::<Hash>(&mut db, key)?.and_then(|fields| fields.get(*field));
    Ok(count(value.map_or(0, Vec::len)))
}
