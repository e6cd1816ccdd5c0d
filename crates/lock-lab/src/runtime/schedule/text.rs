//! A schedule as text, and back.

use super::{Schedule, Turn};
use crate::scenario::Timing;
use lock_history::check::Property;
use std::fmt::{self, Write};
use std::str::FromStr;

/// What the text begins with; the number is the version of the format.
const VERSION: &str = "v1";
/// The longest text that is read: 1 MiB.
const LONGEST: usize = 1 << 20;
/// The most turns that are read.
const MOST_TURNS: usize = 1_000_000;

/// What is wrong with the text of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is no schedule: at character {at}: {what}")]
pub struct ScheduleError {
    /// Where, counted from 1.
    pub at: usize,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scenario, protocol) = (Escaped(&self.scenario), Escaped(&self.protocol));
        write!(f, "{VERSION}:{scenario}@{:08x}:{protocol}:", self.digest)?;
        write!(f, "{}:", self.timing.word())?;
        for (index, (name, value)) in self.parameters.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{}={}", Escaped(name), Escaped(value))?;
        }
        f.write_char(':')?;
        for (index, run) in self.turns.chunk_by(|a, b| a == b).enumerate() {
            let dot = if index > 0 { "." } else { "" };
            let Some(turn) = run.first() else { continue };
            write!(f, "{dot}{turn}")?;
            if run.len() > 1 {
                write!(f, "x{}", run.len())?;
            }
        }
        self.shows.map_or(Ok(()), |property| write!(f, ":{}", property.word()))
    }
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (letter, index) = match self {
            Turn::Step(task) => ("", task),
            Turn::LoseReply(task) => ("l", task),
            Turn::Forget(task) => ("f", task),
            Turn::Postpone(task) => ("p", task),
            Turn::Arrive(request) => ("a", request),
            Turn::Crash(task) => ("c", task),
            Turn::Expire(lock) => ("e", lock),
            Turn::ExpireKey(key) => ("k", key),
            Turn::Later(way) => ("t", way),
        };
        write!(f, "{letter}{}", index.saturating_add(1))
    }
}

/// Any text, in characters that mean nothing to a schedule or to a shell.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.bytes().try_for_each(|byte| match byte {
            plain if is_plain(plain) => f.write_char(plain.into()),
            other => write!(f, "%{other:02x}"),
        })
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-./".contains(&byte)
}

impl FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let whole = Part { text: text.trim(), at: 1 };
        if whole.text.len() > LONGEST {
            return Err(whole.error(format!("it is longer than {LONGEST} characters")));
        }
        if let Some(at) = whole.text.chars().position(|character| !character.is_ascii_graphic()) {
            let what = "only printable ASCII characters belong here, and no spaces";
            return Err(ScheduleError { at: at + 1, what: what.into() });
        }
        let mut fields = whole.split(':');
        version(fields.next().unwrap_or(whole))?;
        let mut field = |what: &str| {
            let end = Part { text: "", at: whole.text.len() + 1 };
            fields.next().ok_or_else(|| end.error(format!("it ends here, before {what}")))
        };
        let (scenario, digest) = scenario(field("the scenario")?)?;
        let protocol = field("the protocol")?.named("protocol")?;
        let timing = timing(field("the timing")?)?;
        let parameters =
            field("the parameters")?.list(',').map(parameter).collect::<Result<_, _>>()?;
        let turns = turns(field("the turns")?)?;
        let shows = fields.next().map(property).transpose()?;
        match fields.next() {
            Some(more) => Err(more.error("nothing more belongs here".into())),
            None => Ok(Self { scenario, digest, protocol, timing, parameters, turns, shows }),
        }
    }
}

/// A part of the text.
#[derive(Clone, Copy)]
struct Part<'a> {
    text: &'a str,
    /// Where it begins, counted from 1.
    at: usize,
}

impl<'a> Part<'a> {
    fn error(self, what: String) -> ScheduleError {
        ScheduleError { at: self.at, what }
    }

    fn split(self, separator: char) -> impl Iterator<Item = Part<'a>> {
        self.text.split(separator).scan(self.at, |next, text| {
            let at = *next;
            *next += text.len() + 1;
            Some(Part { text, at })
        })
    }

    /// Its parts; none if it is empty.
    fn list(self, separator: char) -> impl Iterator<Item = Part<'a>> {
        self.split(separator).filter(move |_| !self.text.is_empty())
    }

    /// What is before and what is behind the last separator.
    fn cut(self, separator: char) -> Option<(Part<'a>, Part<'a>)> {
        let (before, behind) = self.text.rsplit_once(separator)?;
        let at = self.at + before.len() + 1;
        Some((Part { text: before, ..self }, Part { text: behind, at }))
    }

    fn unescaped(self) -> Result<String, ScheduleError> {
        let mut bytes = Vec::with_capacity(self.text.len());
        let mut parts = self.split('%');
        bytes.extend(parts.next().unwrap_or(self).text.bytes());
        for part in parts {
            let code = part.text.get(..2).filter(|code| is_hexadecimal(code));
            let code = code.and_then(|code| u8::from_str_radix(code, 16).ok());
            let wrong = "two hexadecimal digits belong behind %";
            bytes.push(code.ok_or_else(|| part.error(wrong.into()))?);
            bytes.extend(part.text.bytes().skip(2));
        }
        let wrong = "what % stands for here is no text";
        String::from_utf8(bytes).map_err(|_| self.error(wrong.into()))
    }

    /// A text that is not empty.
    fn named(self, what: &str) -> Result<String, ScheduleError> {
        match self.text {
            "" => Err(self.error(format!("the {what} is missing"))),
            _ => self.unescaped(),
        }
    }

    /// A whole number from 1.
    fn number(self) -> Result<usize, ScheduleError> {
        let is_number = self.text.bytes().all(|byte| byte.is_ascii_digit());
        let number = self.text.parse().ok().filter(|number| is_number && *number > 0);
        let wrong = || format!("{:?} should be a whole number from 1", self.text);
        number.ok_or_else(|| self.error(wrong()))
    }
}

fn is_hexadecimal(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn version(field: Part<'_>) -> Result<(), ScheduleError> {
    let other = field.text.strip_prefix('v').filter(|digits| digits.parse::<u32>().is_ok());
    match other {
        _ if field.text == VERSION => Ok(()),
        Some(other) => {
            Err(field.error(format!("its format is version {other}; this program reads version 1")))
        }
        None => Err(field.error(format!("a schedule begins with {VERSION}:"))),
    }
}

fn scenario(field: Part<'_>) -> Result<(String, u32), ScheduleError> {
    let shape = "the scenario is its name or path, @ and 8 hexadecimal digits";
    let (name, digits) = field.cut('@').ok_or_else(|| field.error(shape.into()))?;
    let digest = Some(digits.text).filter(|text| text.len() == 8 && is_hexadecimal(text));
    let digest = digest.and_then(|text| u32::from_str_radix(text, 16).ok());
    Ok((name.named("scenario")?, digest.ok_or_else(|| digits.error(shape.into()))?))
}

fn timing(field: Part<'_>) -> Result<Timing, ScheduleError> {
    let found = Timing::ALL.into_iter().find(|timing| timing.word() == field.text);
    found.ok_or_else(|| {
        field.error(format!("the timing is async or strict, and not {:?}", field.text))
    })
}

fn parameter(field: Part<'_>) -> Result<(String, String), ScheduleError> {
    let shape = || field.error("a parameter is a name, = and a value".into());
    let (name, value) = field.cut('=').ok_or_else(shape)?;
    Ok((name.unescaped()?, value.unescaped()?))
}

fn turns(field: Part<'_>) -> Result<Vec<Turn>, ScheduleError> {
    let mut turns = Vec::new();
    for part in field.list('.') {
        let (turn, times) = match part.cut('x') {
            Some((turn, times)) => (turn, times.number()?),
            None => (part, 1),
        };
        if times > MOST_TURNS.saturating_sub(turns.len()) {
            return Err(part.error(format!("more than {MOST_TURNS} turns")));
        }
        turns.extend(std::iter::repeat_n(one_turn(turn)?, times));
    }
    Ok(turns)
}

fn one_turn(part: Part<'_>) -> Result<Turn, ScheduleError> {
    let (turn, number): (fn(usize) -> Turn, &str) = match part.text.split_at_checked(1) {
        Some(("l", number)) => (Turn::LoseReply, number),
        Some(("f", number)) => (Turn::Forget, number),
        Some(("p", number)) => (Turn::Postpone, number),
        Some(("a", number)) => (Turn::Arrive, number),
        Some(("c", number)) => (Turn::Crash, number),
        Some(("e", number)) => (Turn::Expire, number),
        Some(("k", number)) => (Turn::ExpireKey, number),
        Some(("t", number)) => (Turn::Later, number),
        _ => (Turn::Step, part.text),
    };
    let number = Part { text: number, at: part.at + part.text.len() - number.len() };
    match turn(number.number()? - 1) {
        Turn::Later(1..) => Err(number.error("time passes in one way only: t1".into())),
        turn => Ok(turn),
    }
}

fn property(field: Part<'_>) -> Result<Property, ScheduleError> {
    Property::named(field.text)
        .ok_or_else(|| field.error(format!("{:?} is no property", field.text)))
}

#[cfg(test)]
mod tests;
