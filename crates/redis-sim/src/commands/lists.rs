//! Keys that hold a list of elements.
//!
//! What waits for an element on a real server (BLPOP, BRPOP, BLMOVE, BRPOPLPUSH) answers at once: with
//! an element if there is one, else as when its time is over.

use redis::Value;

use super::collections::{change, check_timeout, first_of, place, positive, read, span};
use super::{Reply, bulk, count, integer, is};
use crate::data::List;
use crate::error::Error;
use crate::events::Class;
use crate::keyspace::View;
use crate::resp;
use crate::session::{Call, no_list};

/// An end of a list.
#[derive(Clone, Copy)]
pub(super) enum End {
    Left,
    Right,
}

impl End {
    /// What notifications call a push at this end, and a pop.
    fn events(self) -> (&'static str, &'static str) {
        match self {
            End::Left => ("lpush", "lpop"),
            End::Right => ("rpush", "rpop"),
        }
    }

    fn named(word: &[u8]) -> Result<Self, Error> {
        if is(word, "left") {
            Ok(End::Left)
        } else if is(word, "right") {
            Ok(End::Right)
        } else {
            Err(Error::Syntax)
        }
    }

    fn push(self, list: &mut List, element: Vec<u8>) {
        match self {
            End::Left => list.push_front(element),
            End::Right => list.push_back(element),
        }
    }

    fn first(self, list: &List) -> Option<&Vec<u8>> {
        match self {
            End::Left => list.front(),
            End::Right => list.back(),
        }
    }

    fn pop(self, list: &mut List) -> Option<Vec<u8>> {
        match self {
            End::Left => list.pop_front(),
            End::Right => list.pop_back(),
        }
    }
}

/// The elements are pushed one by one, so LPUSH turns their order round.
pub(super) fn push(call: &mut Call<'_>, args: &[&[u8]], end: End) -> Reply {
    let [key, elements @ ..] = args else { return Err(Error::Syntax) };
    change(&mut call.db(), key, end.events().0, |list: &mut List| {
        elements.iter().for_each(|element| end.push(list, element.to_vec()));
        (true, count(list.len()))
    })
}

/// Pushes only if there is a list.
pub(super) fn push_more(call: &mut Call<'_>, args: &[&[u8]], end: End) -> Reply {
    let [key, ..] = args else { return Err(Error::Syntax) };
    if read::<List>(&mut call.db(), key)?.is_none() {
        return Ok(count(0));
    }
    push(call, args, end)
}

pub(super) fn pop(call: &mut Call<'_>, args: &[&[u8]], end: End, name: &'static str) -> Reply {
    let (key, most) = match args {
        [key] => (key, None),
        [key, most] => (key, Some(positive(most)?)),
        _ => return Err(Error::Arity(name)),
    };
    let mut db = call.db();
    if read::<List>(&mut db, key)?.is_none() {
        return Ok(if most.is_some() { no_list() } else { Value::Nil });
    }
    let Some(most) = most else { return Ok(pop_one(&mut db, key, end)?.unwrap_or(Value::Nil)) };
    change(&mut db, key, end.events().1, |list: &mut List| {
        let popped: Vec<_> =
            std::iter::from_fn(|| end.pop(list)).take(most).map(Value::BulkString).collect();
        (!popped.is_empty(), Value::Array(popped))
    })
}

fn pop_one(db: &mut View<'_>, key: &[u8], end: End) -> Result<Option<Value>, Error> {
    change(db, key, end.events().1, |list: &mut List| {
        let popped = end.pop(list).map(Value::BulkString);
        (popped.is_some(), popped)
    })
}

/// BLPOP and BRPOP: the first key that holds a list.
pub(super) fn pop_first(call: &mut Call<'_>, args: &[&[u8]], end: End) -> Reply {
    let mut db = call.db();
    first_of(args, |key| {
        let popped = pop_one(&mut db, key, end)?;
        Ok(popped.map(|element| Value::Array(vec![bulk(key), element])))
    })
}

pub(super) fn llen(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key] = args else { return Err(Error::Arity("llen")) };
    Ok(count(read(&mut call.db(), key)?.map_or(0, List::len)))
}

pub(super) fn lrange(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key, first, last] = args else { return Err(Error::Arity("lrange")) };
    let (first, last) = (integer(first)?, integer(last)?);
    let mut db = call.db();
    let Some(list) = read::<List>(&mut db, key)? else { return Ok(Value::Array(Vec::new())) };
    let elements = list.range(span(first, last, list.len()));
    Ok(Value::Array(elements.map(|element| bulk(element)).collect()))
}

pub(super) fn lindex(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key, index] = args else { return Err(Error::Arity("lindex")) };
    let mut db = call.db();
    let Some(list) = read::<List>(&mut db, key)? else { return Ok(Value::Nil) };
    let element = place(integer(index)?, list.len()).and_then(|at| list.get(at));
    Ok(element.map_or(Value::Nil, |element| bulk(element)))
}

pub(super) fn lset(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key, index, element] = args else { return Err(Error::Arity("lset")) };
    let mut db = call.db();
    read::<List>(&mut db, key)?.ok_or(Error::NoSuchKey)?;
    let index = integer(index)?;
    change(&mut db, key, "lset", |list: &mut List| {
        match place(index, list.len()).and_then(|at| list.get_mut(at)) {
            Some(old) => {
                *old = element.to_vec();
                (true, Ok(Value::Okay))
            }
            None => (false, Err(Error::IndexOutOfRange)),
        }
    })?
}

pub(super) fn linsert(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key, place, pivot, element] = args else { return Err(Error::Arity("linsert")) };
    let after = is(place, "after");
    if !after && !is(place, "before") {
        return Err(Error::Syntax);
    }
    let mut db = call.db();
    if read::<List>(&mut db, key)?.is_none() {
        return Ok(count(0));
    }
    change(&mut db, key, "linsert", |list: &mut List| {
        let Some(at) = list.iter().position(|other| other == pivot) else {
            return (false, Value::Int(-1));
        };
        list.insert(at + usize::from(after), element.to_vec());
        (true, count(list.len()))
    })
}

/// From the left; from the right if the count is negative; all if it is 0.
pub(super) fn lrem(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key, number, element] = args else { return Err(Error::Arity("lrem")) };
    let number = integer(number)?;
    let most = if number == 0 { u64::MAX } else { number.unsigned_abs() };
    let turn = |list: &mut List| {
        if number < 0 {
            list.make_contiguous().reverse();
        }
    };
    change(&mut call.db(), key, "lrem", |list: &mut List| {
        let mut removed = 0;
        turn(list);
        list.retain(|other| {
            let remove = removed < most && other == element;
            removed += u64::from(remove);
            !remove
        });
        turn(list);
        (removed > 0, Value::Int(i64::try_from(removed).unwrap_or(i64::MAX)))
    })
}

pub(super) fn ltrim(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key, first, last] = args else { return Err(Error::Arity("ltrim")) };
    let (first, last) = (integer(first)?, integer(last)?);
    change(&mut call.db(), key, "ltrim", |list: &mut List| {
        let kept = span(first, last, list.len());
        list.truncate(kept.end);
        list.drain(..kept.start);
        (true, Value::Okay)
    })
}

/// The options of LPOS.
struct Wanted {
    /// The first match that counts; from the right if it is negative.
    rank: i64,
    /// How many matches; all if 0. Without it, the answer is one place and no list.
    count: Option<usize>,
    /// How many elements are compared; all if 0.
    most: usize,
}

impl Wanted {
    fn read(mut args: &[&[u8]]) -> Result<Self, Error> {
        let mut wanted = Self { rank: 1, count: None, most: 0 };
        let number = |text: &[u8], name| {
            let number = resp::integer(text).and_then(|number| usize::try_from(number).ok());
            number.ok_or(Error::Negative(name))
        };
        while !args.is_empty() {
            let [name, value, rest @ ..] = args else { return Err(Error::Syntax) };
            if is(name, "rank") {
                wanted.rank = integer(value)?;
                if wanted.rank == 0 {
                    return Err(Error::RankZero);
                }
            } else if is(name, "count") {
                wanted.count = Some(number(value, "COUNT")?);
            } else if is(name, "maxlen") {
                wanted.most = number(value, "MAXLEN")?;
            } else {
                return Err(Error::Syntax);
            }
            args = rest;
        }
        Ok(wanted)
    }

    fn places(&self, list: &List, element: &[u8]) -> Vec<usize> {
        let or_all = |number: usize| if number == 0 { usize::MAX } else { number };
        let mut order: Vec<_> = list.iter().enumerate().collect();
        if self.rank < 0 {
            order.reverse();
        }
        let skipped = usize::try_from(self.rank.unsigned_abs() - 1).unwrap_or(usize::MAX);
        let compared = order.into_iter().take(or_all(self.most));
        let matches = compared.filter(|(_, other)| *other == element).map(|(place, _)| place);
        matches.skip(skipped).take(or_all(self.count.unwrap_or(1))).collect()
    }
}

pub(super) fn lpos(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key, element, options @ ..] = args else { return Err(Error::Arity("lpos")) };
    let wanted = Wanted::read(options)?;
    let mut db = call.db();
    let list = read::<List>(&mut db, key)?;
    let places = list.map(|list| wanted.places(list, element)).unwrap_or_default();
    let mut places = places.into_iter().map(count);
    if wanted.count.is_some() {
        return Ok(Value::Array(places.collect()));
    }
    Ok(places.next().unwrap_or(Value::Nil))
}

pub(super) fn lmove(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [from, to, take, put] = args else { return Err(Error::Arity("lmove")) };
    let ends = (End::named(take)?, End::named(put)?);
    Ok(move_one(&mut call.db(), from, to, ends)?.unwrap_or(Value::Nil))
}

pub(super) fn rpoplpush(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [from, to] = args else { return Err(Error::Arity("rpoplpush")) };
    let ends = (End::Right, End::Left);
    Ok(move_one(&mut call.db(), from, to, ends)?.unwrap_or(Value::Nil))
}

pub(super) fn blmove(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [from, to, take, put, timeout] = args else { return Err(Error::Arity("blmove")) };
    let ends = (End::named(take)?, End::named(put)?);
    check_timeout(timeout)?;
    let moved = move_one(&mut call.db(), from, to, ends)?;
    Ok(moved.unwrap_or_else(|| time_is_over(call)))
}

pub(super) fn brpoplpush(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [from, to, timeout] = args else { return Err(Error::Arity("brpoplpush")) };
    check_timeout(timeout)?;
    let moved = move_one(&mut call.db(), from, to, (End::Right, End::Left))?;
    Ok(moved.unwrap_or_else(|| time_is_over(call)))
}

/// What moves an element says nothing in two ways: in a transaction, where it never waits, another.
fn time_is_over(call: &Call<'_>) -> Value {
    if call.session.in_exec { Value::Nil } else { no_list() }
}

/// Moves an element from one list to another, or within one, which keeps its deadline then.
fn move_one(
    db: &mut View<'_>,
    from: &[u8],
    to: &[u8],
    (take, put): (End, End),
) -> Result<Option<Value>, Error> {
    if read::<List>(db, from)?.is_none() {
        return Ok(None);
    }
    read::<List>(db, to)?;
    let (pushed, popped) = (put.events().0, take.events().1);
    if from == to {
        db.note(Class::List, pushed, to);
        let moved = change(db, from, popped, |list: &mut List| {
            let moved = take.pop(list);
            moved.iter().for_each(|moved| put.push(list, moved.clone()));
            (true, moved)
        })?;
        return Ok(moved.map(Value::BulkString));
    }
    let first = read::<List>(db, from)?.and_then(|list| take.first(list)).cloned();
    // What is moved is there before it is gone, to those that are notified.
    if let Some(moved) = &first {
        change(db, to, pushed, |list: &mut List| (true, put.push(list, moved.clone())))?;
    }
    let moved = change(db, from, popped, |list: &mut List| (true, take.pop(list)))?;
    Ok(moved.map(Value::BulkString))
}
