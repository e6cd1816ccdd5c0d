//! What the commands of all collections share: to look one up, to change one, and places in an order.

use std::ops::Range;

use super::Reply;
use crate::data::Collection;
use crate::error::Error;
use crate::events::Class;
use crate::keyspace::View;
use crate::resp;

/// The collection at a key, to read.
pub(super) fn read<'v, C: Collection>(
    db: &'v mut View<'_>,
    key: &[u8],
) -> Result<Option<&'v C>, Error> {
    match db.get(key) {
        Some(entry) => C::of(&entry.data).map(Some).ok_or(Error::WrongType),
        None => Ok(None),
    }
}

/// Changes the collection at a key, which is made if there is none and deleted if it is empty
/// afterwards. `change` gives whether it changed anything, which watchers see, and a result; `event` is
/// what notifications call that.
pub(super) fn change<C: Collection, T>(
    db: &mut View<'_>,
    key: &[u8],
    event: &'static str,
    change: impl FnOnce(&mut C) -> (bool, T),
) -> Result<T, Error> {
    let Some(data) = db.data_mut(key) else {
        let mut new = C::default();
        let (_, result) = change(&mut new);
        if !new.is_empty() {
            db.set(key, new.into_data(), None);
            db.note(C::CLASS, event, key);
        }
        return Ok(result);
    };
    let members = C::of_mut(data).ok_or(Error::WrongType)?;
    let (changed, result) = change(members);
    let is_empty = members.is_empty();
    if changed {
        db.note(C::CLASS, event, key);
    }
    if is_empty {
        db.remove(key);
        db.note(Class::Generic, "del", key);
    } else if changed {
        db.touch(key);
    }
    Ok(result)
}

/// Where an index is that counts from the end if it is negative; nothing before the start.
pub(super) fn place(index: i64, len: usize) -> Option<usize> {
    if index < 0 {
        len.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)
    } else {
        usize::try_from(index).ok()
    }
}

/// The places from one index to another, both included, that there are.
pub(super) fn span(first: i64, last: i64, len: usize) -> Range<usize> {
    let start = place(first, len).unwrap_or(0);
    let end = place(last, len).map_or(0, |last| last.saturating_add(1)).min(len);
    if start < end { start..end } else { 0..0 }
}

/// A count that can't be negative.
pub(super) fn positive(argument: &[u8]) -> Result<usize, Error> {
    let count = resp::integer(argument).and_then(|count| usize::try_from(count).ok());
    count.ok_or(Error::NotPositive)
}

/// A number as C's `strtod` reads one, except that it takes no hexadecimal ones.
pub(super) fn float(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok().filter(|number: &f64| !number.is_nan())
}

/// A score: a number that a double can hold.
pub(super) fn score(text: &[u8]) -> Result<f64, Error> {
    let number = float(text).ok_or(Error::InvalidFloat)?;
    let has_digit = |digits: Range<u8>| {
        let mantissa = text.split(|byte| byte.eq_ignore_ascii_case(&b'e')).next();
        mantissa.unwrap_or_default().iter().any(|byte| digits.contains(byte))
    };
    // What is too big for a double reads as infinite, and what is too small as 0.
    let too_big = number.is_infinite() && has_digit(b'0'..b':');
    let too_small = number == 0.0 && has_digit(b'1'..b':');
    if too_big || too_small { Err(Error::InvalidFloat) } else { Ok(number) }
}

/// Refuses a timeout that Redis would refuse. What would wait never waits here: it answers at once as
/// when its time is over.
pub(super) fn check_timeout(argument: &[u8]) -> Result<(), Error> {
    let seconds = float(argument).ok_or(Error::InvalidTimeout)?;
    let millis = (seconds * 1000.0).ceil();
    // Redis takes what does not fit for the least number there is.
    if (0.0..9_223_372_036_854_775_808.0).contains(&millis) {
        Ok(())
    } else {
        Err(Error::NegativeTimeout)
    }
}

/// Answers with the first result that there is for a key of a command that else would wait.
pub(super) fn first_of(
    args: &[&[u8]],
    mut take: impl FnMut(&[u8]) -> Result<Option<redis::Value>, Error>,
) -> Reply {
    let [keys @ .., timeout] = args else { return Err(Error::Syntax) };
    check_timeout(timeout)?;
    for key in keys {
        if let Some(taken) = take(key)? {
            return Ok(taken);
        }
    }
    Ok(crate::session::no_list())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_cut_to_what_there_is() {
        for (first, last, len, expected) in [
            (0, -1, 3, 0..3),
            (-2, -1, 3, 1..3),
            (-100, 1, 3, 0..2),
            (1, 100, 3, 1..3),
            (2, 1, 3, 0..0),
            (3, 5, 3, 0..0),
            (0, -4, 3, 0..0),
            (-1, i64::MIN, 3, 0..0),
            (i64::MIN, i64::MAX, 3, 0..3),
            (0, -1, 0, 0..0),
        ] {
            assert_eq!(span(first, last, len), expected, "{first} {last} of {len}");
        }
    }

    #[test]
    fn scores_are_numbers_that_a_double_holds() {
        for (text, expected) in [
            ("1", Some(1.0)),
            ("+1.", Some(1.0)),
            (".5e1", Some(5.0)),
            ("-INFinity", Some(f64::NEG_INFINITY)),
            ("0e5", Some(0.0)),
            ("4.9e-324", Some(4.9e-324)),
            ("1e-400", None),
            ("1e400", None),
            ("nan", None),
            ("", None),
            (" 1", None),
            ("1 ", None),
            ("x", None),
        ] {
            assert_eq!(score(text.as_bytes()).ok(), expected, "{text:?}");
        }
    }
}
