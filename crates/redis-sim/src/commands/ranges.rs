//! Ranges of a sorted set, by rank or by score: ZRANGE and its relatives, ZCOUNT, ZREMRANGEBYRANK and
//! ZREMRANGEBYSCORE. There are none by name (BYLEX).

use redis::Value;

use super::collections::{change, float, read, span};
use super::sorted_sets::{double, pairs};
use super::{Reply, bulk, count, integer, is};
use crate::data::{SortedSet, ranked};
use crate::error::Error;
use crate::session::Call;

/// Which members, by their place or by their score.
#[derive(Clone, Copy)]
pub(super) enum Range {
    Ranks(i64, i64),
    Scores(Bound, Bound),
}

/// A score where a range begins or ends.
#[derive(Clone, Copy)]
pub(super) struct Bound {
    score: f64,
    /// Whether the score itself is left out.
    open: bool,
}

impl Bound {
    /// Read with C's `strtod`: nothing is 0, blanks may come first, and what is too big is infinite.
    fn read(text: &[u8]) -> Result<Self, Error> {
        let (open, text) = match text.strip_prefix(b"(") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let number = if text.is_empty() { Some(0.0) } else { float(text.trim_ascii_start()) };
        Ok(Self { score: number.ok_or(Error::InvalidBound)?, open })
    }
}

impl Range {
    fn ranks(first: &[u8], last: &[u8]) -> Result<Self, Error> {
        Ok(Range::Ranks(integer(first)?, integer(last)?))
    }

    fn scores(min: &[u8], max: &[u8]) -> Result<Self, Error> {
        Ok(Range::Scores(Bound::read(min)?, Bound::read(max)?))
    }

    /// The members in this range, the last first if `reverse`; then ranks count from there.
    fn of(self, set: &SortedSet, reverse: bool) -> Vec<(&[u8], f64)> {
        let mut members = ranked(set);
        if reverse {
            members.reverse();
        }
        match self {
            Range::Ranks(first, last) => {
                let kept = span(first, last, members.len());
                members.get(kept).unwrap_or_default().to_vec()
            }
            Range::Scores(min, max) => {
                let above = |score| score > min.score || !min.open && score == min.score;
                let below = |score| score < max.score || !max.open && score == max.score;
                members.retain(|(_, score)| above(*score) && below(*score));
                members
            }
        }
    }
}

/// What a command of the family of ZRANGE says by its name or by its options.
struct Selection {
    /// `None` until the name or an option says so.
    by_score: Option<bool>,
    reverse: Option<bool>,
    with_scores: bool,
    limit: Option<(i64, i64)>,
}

impl Selection {
    fn read(mut self, mut args: &[&[u8]]) -> Result<Self, Error> {
        while let Some((word, mut rest)) = args.split_first() {
            if is(word, "withscores") {
                self.with_scores = true;
            } else if let [offset, most, after @ ..] = rest
                && is(word, "limit")
            {
                self.limit = Some((integer(offset)?, integer(most)?));
                rest = after;
            } else if self.reverse.is_none() && is(word, "rev") {
                self.reverse = Some(true);
            } else if self.by_score.is_none() && is(word, "byscore") {
                self.by_score = Some(true);
            } else {
                return Err(Error::Syntax);
            }
            args = rest;
        }
        let limited = self.limit.is_some_and(|(_, most)| most != -1);
        if limited && self.by_score != Some(true) {
            return Err(Error::LimitByRank);
        }
        Ok(self)
    }

    /// What the limit leaves: nothing if it begins before the start; all that follow if it is negative.
    fn cut<T>(&self, members: Vec<T>) -> Vec<T> {
        let Some((offset, most)) = self.limit.filter(|_| self.by_score == Some(true)) else {
            return members;
        };
        let Ok(offset) = usize::try_from(offset) else { return Vec::new() };
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        members.into_iter().skip(offset).take(most).collect()
    }
}

/// ZRANGE and its relatives, whose names may say what for ZRANGE are options.
pub(super) fn range(
    call: &mut Call<'_>,
    args: &[&[u8]],
    by_score: Option<bool>,
    reverse: Option<bool>,
) -> Reply {
    let [key, first, last, options @ ..] = args else { return Err(Error::Syntax) };
    let selection = Selection { by_score, reverse, with_scores: false, limit: None };
    let selection = selection.read(options)?;
    let reverse = selection.reverse == Some(true);
    let range = match selection.by_score {
        Some(true) if reverse => Range::scores(last, first)?,
        Some(true) => Range::scores(first, last)?,
        _ => Range::ranks(first, last)?,
    };
    let resp3 = call.session.resp3;
    let mut db = call.db();
    let Some(set) = read::<SortedSet>(&mut db, key)? else { return Ok(Value::Array(Vec::new())) };
    let members = selection.cut(range.of(set, reverse));
    if !selection.with_scores {
        return Ok(Value::Array(members.into_iter().map(|(member, _)| bulk(member)).collect()));
    }
    let members = members.into_iter().map(|(member, score)| [bulk(member), double(resp3, score)]);
    Ok(pairs(members, resp3))
}

pub(super) fn zcount(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key, min, max] = args else { return Err(Error::Arity("zcount")) };
    let range = Range::scores(min, max)?;
    let set = read::<SortedSet>(&mut call.db(), key)?.map_or(0, |set| range.of(set, false).len());
    Ok(count(set))
}

pub(super) fn remove(call: &mut Call<'_>, args: &[&[u8]], by_score: bool) -> Reply {
    let [key, first, last] = args else { return Err(Error::Syntax) };
    let range = if by_score { Range::scores(first, last)? } else { Range::ranks(first, last)? };
    let event = if by_score { "zremrangebyscore" } else { "zremrangebyrank" };
    change(&mut call.db(), key, event, |set: &mut SortedSet| {
        let members = range.of(set, false).into_iter().map(|(member, _)| member.to_vec());
        let members: Vec<_> = members.collect();
        for member in &members {
            set.remove(member);
        }
        (!members.is_empty(), count(members.len()))
    })
}
