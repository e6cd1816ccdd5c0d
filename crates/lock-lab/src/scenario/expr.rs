//! The arithmetic of scenario files: `$threads - 1`, `$hold + 100ms`, and `$hold > $ttl`. A sum is
//! worked out as it is read, with the values that the file is bound with.

use super::error::{list, nearest, quoted};
use super::flaw::{Result, Unread};
use super::parameter::{self, Kind, Parameter};
use super::plan::Value;
use super::read::Field;
use super::scope::Scope;
use super::{duration, parameter::ttl};
use crate::lock::Ttl;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a sum counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Count,
    Time,
}

impl Unit {
    fn of(parameter: &Parameter) -> Self {
        match parameter.kind {
            Kind::Count { .. } => Self::Count,
            Kind::Duration | Kind::Ttl => Self::Time,
        }
    }

    /// What its values may be.
    fn range(self) -> &'static str {
        match self {
            Unit::Count => "a count is never below 0",
            Unit::Time => duration::RANGE,
        }
    }
}

/// Numbers and parameters, added and taken away.
pub(super) struct Sum<'a> {
    field: Field<'a>,
    text: Cow<'a, str>,
    unit: Unit,
    /// A count, or nanoseconds; nothing, if a parameter's value could not be read.
    value: Option<i128>,
    /// The positions of its parameters.
    parameters: Vec<usize>,
}

/// The parameters that a file may speak of, their values, and which of them it spoke of.
#[derive(Default)]
pub(super) struct Parameters {
    pub(super) declared: Vec<Parameter>,
    /// The positions of those whose declarations could not be read.
    pub(super) unread: BTreeSet<usize>,
    /// Whether it could not be read which there are.
    pub(super) is_open: bool,
    values: Vec<Option<Value>>,
    used: BTreeSet<usize>,
    /// The parameters that may have been meant where none could be read; nothing, where it may be any.
    meant: Vec<Option<String>>,
}

impl Parameters {
    /// Gives each its value: one that is given, or its default.
    pub(super) fn bind(&mut self, given: &BTreeMap<String, Value>, default_ttl: Ttl) {
        let value = |(position, parameter): (usize, &Parameter)| {
            let default = parameter.default.unwrap_or(Value::Ttl(default_ttl));
            let default = (!self.unread.contains(&position)).then_some(default);
            given.get(&parameter.name).copied().or(default)
        };
        self.values = self.declared.iter().enumerate().map(value).collect();
    }

    /// The values by their names.
    pub(super) fn values(&self) -> Vec<(String, Value)> {
        let names = self.declared.iter().map(|parameter| parameter.name.clone());
        names.zip(&self.values).filter_map(|(name, value)| Some((name, (*value)?))).collect()
    }

    /// The parameter with this name; nothing, if that may be one that could not be read.
    fn find(&mut self, name: &str) -> Result<Option<(usize, Unit)>, String> {
        match parameter::find(&self.declared, name) {
            Ok((position, parameter)) => {
                self.used.insert(position);
                let is_read = !self.unread.contains(&position);
                Ok(is_read.then(|| (position, Unit::of(parameter))))
            }
            Err(_) if self.is_open => Ok(None),
            Err(message) => {
                let names = self.declared.iter().map(|parameter| &*parameter.name);
                self.meant.push(nearest(name, names).map(str::to_owned));
                Err(message)
            }
        }
    }

    /// The position and the value of the parameter with this name, as far as they could be read.
    fn refer(&mut self, name: &str, unit: Unit) -> Result<(Option<usize>, Option<i128>), String> {
        let Some((position, own)) = self.find(name)? else { return Ok((None, None)) };
        let word = || quoted(&format!("${name}"));
        match (own, unit) {
            (Unit::Count, Unit::Time) => Err(format!("{} is a count, not a duration", word())),
            (Unit::Time, Unit::Count) => Err(format!("{} is a duration, not a count", word())),
            _ => Ok((Some(position), self.values.get(position).copied().flatten().map(number))),
        }
    }

    /// Those that nothing referred to, not even by a name that is wrong.
    pub(super) fn unused(&self) -> impl Iterator<Item = &Parameter> {
        let meant =
            |name: &String| self.meant.contains(&None) || self.meant.contains(&Some(name.clone()));
        let parameters = self.declared.iter().enumerate();
        let unused = parameters.filter(|(position, _)| !self.used.contains(position));
        unused.map(|(_, unused)| unused).filter(move |unused| !meant(&unused.name))
    }
}

impl<'a> Sum<'a> {
    /// A count: `5`, `"$threads"`, `"$threads - 1"`.
    pub(super) fn count(field: Field<'a>, scope: &mut Scope<'_>) -> Result<Self> {
        scope.referring(|scope| Self::read_count(field, scope))
    }

    fn read_count(field: Field<'a>, scope: &mut Scope<'_>) -> Result<Self> {
        if let Some(text) = field.as_text() {
            return Self::read(field, text, Unit::Count, scope);
        }
        let count = field.count()?;
        let (text, parameters) = (Cow::Owned(count.to_string()), Vec::new());
        Ok(Self { field, text, unit: Unit::Count, value: Some(count.into()), parameters })
    }

    /// A duration or a TTL: `"2s"`, `"$hold"`, `"$hold + 1s"`.
    pub(super) fn time(field: Field<'a>, scope: &mut Scope<'_>) -> Result<Self> {
        scope.referring(|scope| Self::read_time(field, scope))
    }

    fn read_time(field: Field<'a>, scope: &mut Scope<'_>) -> Result<Self> {
        let text = match (field.as_text(), field.as_whole()) {
            (Some(text), _) => text,
            (None, Some(0)) => "0",
            (None, Some(n)) if n > 0 => {
                return Err(field.error(format!("add a unit, as in \"{n}s\" or \"{n}ms\"")));
            }
            _ => field.text()?,
        };
        Self::read(field, text, Unit::Time, scope)
    }

    fn read(field: Field<'a>, text: &'a str, unit: Unit, scope: &mut Scope<'_>) -> Result<Self> {
        let (value, parameters) = (Some(0), Vec::new());
        let mut sum = Self { field, text: text.into(), unit, value, parameters };
        let mut minus = false;
        let mut is_first = true;
        for piece in text.split_inclusive(['+', '-']) {
            let operand = piece.trim_end_matches(['+', '-']).trim();
            if operand.is_empty() && piece.ends_with('-') && is_first {
                return Err(field.error(format!("{}: {}", quoted(text), unit.range())));
            }
            if operand.is_empty() {
                let example = if unit == Unit::Count { "$threads - 1" } else { "$hold + 1s" };
                let message = format!("{} lacks a number; write \"{example}\"", quoted(text));
                return Err(field.error(message));
            }
            let number = sum.operand(operand, scope).map_err(|message| field.error(message))?;
            let number = number.map(|number| if minus { -number } else { number });
            sum.value = sum.value.zip(number).map(|(sum, number)| sum + number);
            (minus, is_first) = (piece.ends_with('-'), false);
        }
        if is_first || text.ends_with(['+', '-']) {
            return Err(field.error(format!("{} is not complete", quoted(text))));
        }
        Ok(sum)
    }

    fn operand(&mut self, text: &str, scope: &mut Scope<'_>) -> Result<Option<i128>, String> {
        if let Some(name) = text.strip_prefix('$') {
            let (position, value) = scope.parameters.refer(name, self.unit)?;
            self.parameters.extend(position);
            return Ok(value);
        }
        let wrong = |right: &str| format!("{}: {right}", quoted(text));
        match self.unit {
            Unit::Count => text
                .parse::<u32>()
                .map(|count| Some(i128::from(count)))
                .map_err(|_| wrong("give a whole number, or a parameter such as $threads")),
            Unit::Time => {
                let duration = duration::parse(text).map_err(|right| wrong(&right))?;
                Ok(Some(number(Value::Duration(duration))))
            }
        }
    }

    fn value(&self) -> Result<i128> {
        self.value.ok_or(Unread::Noted)
    }

    /// What it comes to, as a count from `least` to `most`.
    pub(super) fn within(&self, least: u32, most: u32, scope: &mut Scope<'_>) -> Result<u32> {
        match u32::try_from(self.value()?) {
            Ok(count) if (least..=most).contains(&count) => Ok(count),
            _ => Err(self.is_wrong(&format!("a count here is from {least} to {most}"), scope)),
        }
    }

    /// What it comes to, as a duration.
    pub(super) fn duration(&self, scope: &mut Scope<'_>) -> Result<Duration> {
        self.times(1, scope)
    }

    /// This number of times its value, as a duration.
    pub(super) fn times(&self, times: u32, scope: &mut Scope<'_>) -> Result<Duration> {
        let nanoseconds = u64::try_from(self.value()? * i128::from(times));
        match nanoseconds.map(Duration::from_nanos) {
            Ok(duration) if duration <= duration::LONGEST => Ok(duration),
            _ => Err(self.is_wrong(Unit::Time.range(), scope)),
        }
    }

    /// What it comes to, as a TTL.
    pub(super) fn ttl(&self, scope: &mut Scope<'_>) -> Result<Ttl> {
        ttl(self.duration(scope)?).map_err(|right| self.is_wrong(&right, scope))
    }

    /// Notes what is wrong with what it comes to, and which parameters made it so.
    fn is_wrong(&self, right: &str, scope: &mut Scope<'_>) -> Unread {
        let text = quoted(&self.text);
        let message = match self.made_so(&scope.parameters) {
            made_so if made_so.is_empty() => format!("{text}: {right}"),
            made_so => format!("{text} is {} with {made_so}; {right}", self.shown()),
        };
        scope.late.push(self.field.error(message));
        Unread::Noted
    }

    /// The parameters in it: `threads = 1`.
    fn made_so(&self, parameters: &Parameters) -> String {
        const SHOWN: usize = 4;
        let positions = self.parameters.iter().take(SHOWN);
        let parts = positions.filter_map(|position| {
            let name = &parameters.declared.get(*position)?.name;
            Some(format!("{name} = {}", (*parameters.values.get(*position)?)?))
        });
        parts.collect::<Vec<_>>().join(", ")
    }

    /// Its value, as users write it.
    fn shown(&self) -> String {
        let value = self.value.unwrap_or_default();
        if self.unit == Unit::Count {
            return value.to_string();
        }
        let mut text = if value < 0 { "-".to_owned() } else { String::new() };
        let _ = duration::write(&mut text, value.unsigned_abs());
        text
    }
}

/// A value as a count or nanoseconds.
fn number(value: Value) -> i128 {
    let nanoseconds = |d: Duration| i128::try_from(d.as_nanos()).unwrap_or(i128::MAX);
    match value {
        Value::Count(count) => i128::from(count),
        Value::Duration(duration) => nanoseconds(duration),
        Value::Ttl(ttl) => nanoseconds(ttl.duration()),
    }
}

/// Which order of left and right a comparison is true of.
type Holds = fn(Ordering) -> bool;

/// The comparisons, the longer before their beginnings.
const COMPARISONS: [(&str, Holds); 6] = [
    ("<=", Ordering::is_le),
    (">=", Ordering::is_ge),
    ("==", Ordering::is_eq),
    ("!=", Ordering::is_ne),
    ("<", Ordering::is_lt),
    (">", Ordering::is_gt),
];

impl Scope<'_> {
    /// Reads what may refer to parameters. If it can't be read, it may have been meant for any.
    pub(super) fn referring<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let meant = self.parameters.meant.len();
        let read = read(self);
        if read.is_err() && self.parameters.meant.len() == meant {
            self.parameters.meant.push(None);
        }
        read
    }

    /// Whether a comparison holds: `"$hold > $ttl"`.
    pub(super) fn holds(&mut self, field: Field<'_>) -> Result<bool> {
        let text = field.text()?;
        let shape = || {
            let words = list(&COMPARISONS.map(|(word, _)| word));
            field.error(format!("{} must compare two values by one of {words}", quoted(text)))
        };
        let at = text.find(['<', '>', '=', '!']).ok_or_else(shape)?;
        let (left, rest) = text.split_at(at);
        let found = COMPARISONS
            .iter()
            .find_map(|(word, holds)| rest.strip_prefix(word).map(|right| (right, *holds)));
        let (right, holds) = found.ok_or_else(shape)?;
        if left.trim().is_empty() || right.trim().is_empty() || right.contains(['<', '>', '=', '!'])
        {
            return Err(shape());
        }
        let unit = self.unit_of(field, text)?;
        let left = Sum::read(field, left.trim(), unit, self)?;
        let right = Sum::read(field, right.trim(), unit, self)?;
        Ok(holds(left.value()?.cmp(&right.value()?)))
    }

    /// What is compared: what the first parameter is.
    fn unit_of(&mut self, field: Field<'_>, text: &str) -> Result<Unit> {
        let Some((_, rest)) = text.split_once('$') else {
            let message = format!("{} compares no parameter, such as \"$hold\"", quoted(text));
            return Err(field.error(message));
        };
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let name = rest.get(..end).unwrap_or_default();
        let found = self.parameters.find(name).map_err(|message| field.error(message))?;
        found.map(|(_, unit)| unit).ok_or(Unread::Noted)
    }
}
