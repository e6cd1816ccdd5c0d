//! Keys that hold a set of members.
//!
//! Where Redis draws members (SPOP, SRANDMEMBER), this server takes the first in the order of their
//! bytes, so that the same commands give the same answers each time.

use redis::Value;

use super::collections::{change, positive, read};
use super::{Reply, bulk, count, flag, integer};
use crate::data::Set;
use crate::error::Error;
use crate::keyspace::View;
use crate::session::Call;

/// As many members as SRANDMEMBER repeats at most, so that no client can fill the memory.
const MOST_REPEATED: u64 = 1 << 20;

pub(super) fn sadd(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key, members @ ..] = args else { return Err(Error::Arity("sadd")) };
    change(&mut call.db(), key, "sadd", |set: &mut Set| {
        let added = members.iter().filter(|member| set.insert(member.to_vec())).count();
        (added > 0, count(added))
    })
}

pub(super) fn srem(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key, members @ ..] = args else { return Err(Error::Arity("srem")) };
    change(&mut call.db(), key, "srem", |set: &mut Set| {
        let removed = members.iter().filter(|member| set.remove(**member)).count();
        (removed > 0, count(removed))
    })
}

pub(super) fn sismember(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key, member] = args else { return Err(Error::Arity("sismember")) };
    Ok(has(read(&mut call.db(), key)?, member))
}

pub(super) fn smismember(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key, members @ ..] = args else { return Err(Error::Arity("smismember")) };
    let mut db = call.db();
    let set = read(&mut db, key)?;
    Ok(Value::Array(members.iter().map(|member| has(set, member)).collect()))
}

fn has(set: Option<&Set>, member: &[u8]) -> Value {
    flag(set.is_some_and(|set| set.contains(member)))
}

pub(super) fn scard(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key] = args else { return Err(Error::Arity("scard")) };
    Ok(count(read(&mut call.db(), key)?.map_or(0, Set::len)))
}

pub(super) fn smembers(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key] = args else { return Err(Error::Arity("smembers")) };
    let members = read::<Set>(&mut call.db(), key)?.cloned();
    Ok(answer(call, members.unwrap_or_default()))
}

/// Members as the client's protocol version has them: a set, or a list.
fn answer(call: &Call<'_>, members: Set) -> Value {
    let members = members.into_iter().map(Value::BulkString).collect();
    if call.session.resp3 { Value::Set(members) } else { Value::Array(members) }
}

pub(super) fn spop(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    match args {
        [key] => {
            let popped = pop(&mut call.db(), key, 1)?.into_iter().next();
            Ok(popped.map_or(Value::Nil, Value::BulkString))
        }
        [key, most] => {
            let popped = pop(&mut call.db(), key, positive(most)?)?;
            Ok(answer(call, popped))
        }
        _ => Err(Error::Syntax),
    }
}

fn pop(db: &mut View<'_>, key: &[u8], most: usize) -> Result<Set, Error> {
    change(db, key, "spop", |set: &mut Set| {
        let popped: Set = std::iter::from_fn(|| set.pop_first()).take(most).collect();
        (!popped.is_empty(), popped)
    })
}

pub(super) fn srandmember(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let (key, number) = match args {
        [key] => (key, None),
        [key, number] => (key, Some(integer(number)?)),
        _ => return Err(Error::Syntax),
    };
    if number == Some(i64::MIN) {
        return Err(Error::OutOfLongRange);
    }
    let mut db = call.db();
    let set = read::<Set>(&mut db, key)?;
    let Some(number) = number else {
        let first = set.and_then(Set::first);
        return Ok(first.map_or(Value::Nil, |member| bulk(member)));
    };
    // A negative count allows repeats, and then all that are asked for come.
    let most =
        if number < 0 { number.unsigned_abs().min(MOST_REPEATED) } else { number.unsigned_abs() };
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let members = || set.into_iter().flatten().map(|member| bulk(member));
    let members: Vec<_> = match set {
        Some(_) if number < 0 => std::iter::repeat_with(members).flatten().take(most).collect(),
        _ => members().take(most).collect(),
    };
    Ok(Value::Array(members))
}

/// SINTER, SUNION and SDIFF, by what they make of the set so far and the next one.
pub(super) fn combine(
    call: &mut Call<'_>,
    keys: &[&[u8]],
    combine: fn(&Set, &Set) -> Set,
) -> Reply {
    let mut result: Option<Set> = None;
    let mut db = call.db();
    for key in keys {
        let next = read::<Set>(&mut db, key)?.cloned().unwrap_or_default();
        result = Some(match result {
            Some(result) => combine(&result, &next),
            None => next,
        });
    }
    Ok(answer(call, result.unwrap_or_default()))
}
