//! Keys that hold a sorted set: members with scores. What selects a range of them is in
//! [`super::ranges`].

use redis::Value;

use super::collections::{change, first_of, positive, read, score};
use super::{Reply, bulk, count, is};
use crate::data::{Score, SortedSet, ranked};
use crate::error::Error;
use crate::keyspace::View;
use crate::number::shown as number;
use crate::session::Call;

/// The options of ZADD.
#[derive(Default)]
struct Options {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
    /// Counts changed members too.
    ch: bool,
    /// Adds to the score, and answers with the new one.
    incr: bool,
}

impl Options {
    /// Takes the options off the front of `args`, and gives what follows them.
    fn read<'r, 'a>(mut args: &'r [&'a [u8]]) -> (Self, &'r [&'a [u8]]) {
        let mut options = Self::default();
        while let Some((word, rest)) = args.split_first() {
            let named = [
                ("nx", &mut options.nx),
                ("xx", &mut options.xx),
                ("gt", &mut options.gt),
                ("lt", &mut options.lt),
                ("ch", &mut options.ch),
                ("incr", &mut options.incr),
            ];
            let Some((_, option)) = named.into_iter().find(|(name, _)| is(word, name)) else {
                break;
            };
            *option = true;
            args = rest;
        }
        (options, args)
    }

    fn check(&self, pairs: usize) -> Result<(), Error> {
        if self.nx && self.xx {
            return Err(Error::XxWithNx);
        }
        if self.nx && (self.gt || self.lt) || self.gt && self.lt {
            return Err(Error::GtLtNx);
        }
        if self.incr && pairs > 1 { Err(Error::IncrementPairs) } else { Ok(()) }
    }

    /// Adds a member or changes its score; returns the score that was asked for and what it did.
    fn put(&self, set: &mut SortedSet, member: &[u8], score: f64) -> Result<(f64, Put), Error> {
        let Some(old) = set.get_mut(member) else {
            if self.xx {
                return Ok((score, Put::Left));
            }
            set.insert(member.to_vec(), Score::new(score));
            return Ok((score, Put::Added));
        };
        if self.nx {
            return Ok((score, Put::Left));
        }
        let before = old.number();
        let score = if self.incr { before + score } else { score };
        if score.is_nan() {
            return Err(Error::ScoreNan);
        }
        if self.lt && score >= before || self.gt && score <= before {
            return Ok((score, Put::Left));
        }
        if score == before {
            return Ok((score, Put::Same));
        }
        *old = Score::new(score);
        Ok((score, Put::Changed))
    }
}

/// What ZADD did with a member.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Put {
    Added,
    Changed,
    /// It had the score already.
    Same,
    /// An option forbade it.
    Left,
}

pub(super) fn zadd(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key, args @ ..] = args else { return Err(Error::Arity("zadd")) };
    let (options, pairs) = Options::read(args);
    let (pairs @ [_, ..], []) = pairs.as_chunks::<2>() else { return Err(Error::Syntax) };
    options.check(pairs.len())?;
    add(call, key, pairs, &options)
}

pub(super) fn zincrby(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key, by, member] = args else { return Err(Error::Arity("zincrby")) };
    add(call, key, &[[*by, *member]], &Options { incr: true, ..Options::default() })
}

fn add(call: &mut Call<'_>, key: &[u8], pairs: &[[&[u8]; 2]], options: &Options) -> Reply {
    let scores = pairs.iter().map(|[number, member]| Ok((score(number)?, *member)));
    let scores = scores.collect::<Result<Vec<_>, Error>>()?;
    let event = if options.incr { "zincr" } else { "zadd" };
    let done = change(&mut call.db(), key, event, |set: &mut SortedSet| {
        let put = |(score, member): &(f64, &[u8])| options.put(set, member, *score);
        let done: Result<Vec<_>, Error> = scores.iter().map(put).collect();
        let changes = |(_, put): &(f64, Put)| matches!(put, Put::Added | Put::Changed);
        (done.as_ref().is_ok_and(|done| done.iter().any(changes)), done)
    })??;
    if options.incr {
        let resp3 = call.session.resp3;
        let new = done.first().filter(|(_, put)| *put != Put::Left);
        return Ok(new.map_or(Value::Nil, |(score, _)| double(resp3, *score)));
    }
    let counts = |put: Put| put == Put::Added || options.ch && put == Put::Changed;
    Ok(count(done.iter().filter(|(_, put)| counts(*put)).count()))
}

/// A score as the client's protocol version has it: a number, or its digits.
pub(super) fn double(resp3: bool, score: f64) -> Value {
    if resp3 { Value::Double(score) } else { bulk(number(score, 17).as_bytes()) }
}

pub(super) fn zrem(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key, members @ ..] = args else { return Err(Error::Arity("zrem")) };
    change(&mut call.db(), key, "zrem", |set: &mut SortedSet| {
        let removed = members.iter().filter(|member| set.remove(**member).is_some()).count();
        (removed > 0, count(removed))
    })
}

pub(super) fn zscore(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key, member] = args else { return Err(Error::Arity("zscore")) };
    let score = read::<SortedSet>(&mut call.db(), key)?.and_then(|set| set.get(*member)).copied();
    Ok(score_or_nil(call.session.resp3, score))
}

pub(super) fn zmscore(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key, members @ ..] = args else { return Err(Error::Arity("zmscore")) };
    let resp3 = call.session.resp3;
    let mut db = call.db();
    let set = read::<SortedSet>(&mut db, key)?;
    let score = |member: &&[u8]| set.and_then(|set| set.get(*member)).copied();
    let scores = members.iter().map(|member| score_or_nil(resp3, score(member)));
    Ok(Value::Array(scores.collect()))
}

fn score_or_nil(resp3: bool, score: Option<Score>) -> Value {
    score.map_or(Value::Nil, |score| double(resp3, score.number()))
}

pub(super) fn zcard(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key] = args else { return Err(Error::Arity("zcard")) };
    Ok(count(read(&mut call.db(), key)?.map_or(0, SortedSet::len)))
}

pub(super) fn rank(call: &mut Call<'_>, args: &[&[u8]], from_the_end: bool) -> Reply {
    let [key, member] = args else { return Err(Error::Syntax) };
    let mut db = call.db();
    let Some(set) = read::<SortedSet>(&mut db, key)? else { return Ok(Value::Nil) };
    let rank = ranked(set).iter().position(|(other, _)| other == member);
    let rank = rank.map(|rank| if from_the_end { set.len() - 1 - rank } else { rank });
    Ok(rank.map_or(Value::Nil, count))
}

/// ZPOPMIN and ZPOPMAX. The third version of the protocol has pairs where a count is given.
pub(super) fn pop(call: &mut Call<'_>, args: &[&[u8]], max: bool) -> Reply {
    let (key, most) = match args {
        [key] => (key, None),
        [key, most] => (key, Some(positive(most)?)),
        _ => return Err(Error::Syntax),
    };
    let resp3 = call.session.resp3;
    let popped = pop_some(&mut call.db(), key, most.unwrap_or(1), max)?;
    let popped = popped.iter().map(|(member, score)| [bulk(member), double(resp3, *score)]);
    Ok(pairs(popped, resp3 && most.is_some()))
}

/// Pairs as a list of lists, or one after another.
pub(super) fn pairs(pairs: impl Iterator<Item = [Value; 2]>, nested: bool) -> Value {
    Value::Array(if nested {
        pairs.map(|pair| Value::Array(pair.into())).collect()
    } else {
        pairs.flatten().collect()
    })
}

fn pop_some(
    db: &mut View<'_>,
    key: &[u8],
    most: usize,
    max: bool,
) -> Result<Vec<(Vec<u8>, f64)>, Error> {
    let event = if max { "zpopmax" } else { "zpopmin" };
    change(db, key, event, |set: &mut SortedSet| {
        let mut members = ranked(set);
        if max {
            members.reverse();
        }
        let members = members.into_iter().take(most).map(|(name, score)| (name.to_vec(), score));
        let popped: Vec<_> = members.collect();
        for (name, _) in &popped {
            set.remove(name);
        }
        (!popped.is_empty(), popped)
    })
}

/// BZPOPMIN and BZPOPMAX: the first key that holds a sorted set, at once; without one, the answer is as
/// when their time is over.
pub(super) fn pop_first(call: &mut Call<'_>, args: &[&[u8]], max: bool) -> Reply {
    let resp3 = call.session.resp3;
    let mut db = call.db();
    first_of(args, |key| {
        let popped = pop_some(&mut db, key, 1, max)?;
        let popped = popped.first();
        Ok(popped.map(|(member, score)| {
            Value::Array(vec![bulk(key), bulk(member), double(resp3, *score)])
        }))
    })
}
