//! How long keys live: EXPIRE and its relatives, TTL and its relatives, PERSIST.

use redis::Value;

use super::{Reply, flag, integer, is, keys};
use crate::error::{Error, quoted};
use crate::events::Class;
use crate::session::Call;

/// How an option of SET gives a deadline.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Millis,
    SecondsSince1970,
    MillisSince1970,
}

impl Unit {
    /// The unit that an option of SET stands for.
    pub(super) fn named(word: &[u8]) -> Option<Self> {
        let names = [
            ("ex", Self::Seconds),
            ("px", Self::Millis),
            ("exat", Self::SecondsSince1970),
            ("pxat", Self::MillisSince1970),
        ];
        names.into_iter().find(|(name, _)| is(word, name)).map(|(_, unit)| unit)
    }

    fn in_millis(self) -> i64 {
        match self {
            Self::Seconds | Self::SecondsSince1970 => 1000,
            Self::Millis | Self::MillisSince1970 => 1,
        }
    }

    /// The moment that amounts of this unit are counted from.
    fn start(self, now: i64) -> i64 {
        match self {
            Self::Seconds | Self::Millis => now,
            Self::SecondsSince1970 | Self::MillisSince1970 => 0,
        }
    }

    /// When `amount` of this unit ends, in milliseconds since 1970, if 64 bits hold it.
    fn end(self, amount: i64, now: i64) -> Option<i64> {
        amount.checked_mul(self.in_millis())?.checked_add(self.start(now))
    }
}

/// The deadline that a writing command `name` was given: unlike EXPIRE's, it can't be 0 or negative.
pub(super) fn deadline(
    name: &'static str,
    unit: Unit,
    amount: &[u8],
    now: i64,
) -> Result<i64, Error> {
    let amount = integer(amount)?;
    if amount <= 0 {
        return Err(Error::InvalidExpire(name));
    }
    unit.end(amount, now).ok_or(Error::InvalidExpire(name))
}

/// Under which condition a new deadline replaces the old one.
#[derive(Default)]
struct Condition {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
}

impl Condition {
    fn read(options: &[&[u8]]) -> Result<Self, Error> {
        let mut condition = Self::default();
        for option in options {
            let named = [
                ("nx", &mut condition.nx),
                ("xx", &mut condition.xx),
                ("gt", &mut condition.gt),
                ("lt", &mut condition.lt),
            ];
            match named.into_iter().find(|(name, _)| is(option, name)) {
                Some((_, field)) => *field = true,
                None => return Err(Error::UnsupportedOption(quoted(option, usize::MAX))),
            }
        }
        if condition.nx && (condition.xx || condition.gt || condition.lt) {
            return Err(Error::NxWithOthers);
        }
        if condition.gt && condition.lt {
            return Err(Error::GtWithLt);
        }
        Ok(condition)
    }

    /// A key without a deadline counts as one that lives forever.
    fn allows(&self, new: i64, old: Option<i64>) -> bool {
        !(self.nx && old.is_some()
            || self.xx && old.is_none()
            || self.gt && old.is_none_or(|old| new <= old)
            || self.lt && old.is_some_and(|old| new >= old))
    }
}

pub(super) fn set_deadline(
    call: &mut Call<'_>,
    args: &[&[u8]],
    name: &'static str,
    unit: Unit,
) -> Reply {
    let [key, amount, options @ ..] = args else { return Err(Error::Arity(name)) };
    let condition = Condition::read(options)?;
    let now = call.now_ms();
    let new = unit.end(integer(amount)?, now).ok_or(Error::InvalidExpire(name))?;

    let mut db = call.db();
    let Some(old) = db.get(key).map(|entry| entry.deadline) else { return Ok(flag(false)) };
    if !condition.allows(new, old) {
        return Ok(flag(false));
    }
    if new <= now {
        keys::delete(&mut db, key);
    } else if let Some(entry) = db.get_mut(key) {
        entry.expire_at(Some(new));
        db.note(Class::Generic, "expire", key);
    }
    Ok(flag(true))
}

pub(super) fn persist(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key] = args else { return Err(Error::Arity("persist")) };
    let mut db = call.db();
    if db.get(key).is_none_or(|entry| entry.deadline.is_none()) {
        return Ok(flag(false));
    }
    if let Some(entry) = db.get_mut(key) {
        entry.expire_at(None);
        db.note(Class::Generic, "persist", key);
    }
    Ok(flag(true))
}

pub(super) fn ttl(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    read_deadline(call, args, |deadline, now| (left(deadline, now) + 500) / 1000)
}

pub(super) fn pttl(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    read_deadline(call, args, left)
}

pub(super) fn expiretime(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    read_deadline(call, args, |deadline, _| deadline.saturating_add(500) / 1000)
}

pub(super) fn pexpiretime(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    read_deadline(call, args, |deadline, _| deadline)
}

fn left(deadline: i64, now: i64) -> i64 {
    deadline.saturating_sub(now).max(0)
}

/// -2 for no key, -1 for no deadline, else what `show` makes of the deadline and the time.
fn read_deadline(call: &mut Call<'_>, args: &[&[u8]], show: fn(i64, i64) -> i64) -> Reply {
    let [key] = args else { return Err(Error::Syntax) };
    let mut db = call.db();
    let now = db.now();
    Ok(Value::Int(match db.get(key).map(|entry| entry.deadline) {
        None => -2,
        Some(None) => -1,
        Some(Some(deadline)) => show(deadline, now),
    }))
}
