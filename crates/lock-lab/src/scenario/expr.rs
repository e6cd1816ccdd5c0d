//! The arithmetic of scenario files: `$threads - 1`, `$hold + 100ms`, and `$hold > $ttl`. A sum is
//! worked out as it is read, with the values that the file is bound with.

use super::error::{Result, list, quoted};
use super::parameter::{self, Kind, Parameter};
use super::plan::Value;
use super::read::Field;
use super::step::Scope;
use super::{duration, parameter::ttl};
use crate::lock::Ttl;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeSet;
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
    /// A count, or nanoseconds.
    value: i128,
    /// The positions of its parameters.
    parameters: Vec<usize>,
}

/// The parameters that a file may speak of, their values, and which of them it spoke of.
#[derive(Default)]
pub(super) struct Parameters<'a> {
    pub(super) declared: &'a [Parameter],
    pub(super) values: Vec<Value>,
    pub(super) used: BTreeSet<usize>,
}

impl<'a> Parameters<'a> {
    /// The position and the value of the parameter with this name.
    fn refer(&mut self, name: &str, unit: Unit) -> Result<(usize, i128), String> {
        let (position, parameter) = parameter::find(self.declared, name)?;
        self.used.insert(position);
        match (Unit::of(parameter), unit) {
            (Unit::Count, Unit::Time) => Err(format!("\"${name}\" is a count, not a duration")),
            (Unit::Time, Unit::Count) => Err(format!("\"${name}\" is a duration, not a count")),
            _ => Ok((position, self.values.get(position).map_or(0, number))),
        }
    }

    /// The first parameter that nothing referred to.
    pub(super) fn unused(&self) -> Option<&'a Parameter> {
        let mut parameters = self.declared.iter().enumerate();
        parameters.find(|(position, _)| !self.used.contains(position)).map(|(_, unused)| unused)
    }
}

impl<'a> Sum<'a> {
    /// A count: `5`, `"$threads"`, `"$threads - 1"`.
    pub(super) fn count(field: Field<'a>, scope: &mut Scope<'_>) -> Result<Self> {
        if let Some(text) = field.as_text() {
            return Self::read(field, text, Unit::Count, scope);
        }
        let count = field.count()?;
        let (text, parameters) = (Cow::Owned(count.to_string()), Vec::new());
        Ok(Self { field, text, unit: Unit::Count, value: count.into(), parameters })
    }

    /// A duration or a TTL: `"2s"`, `"$hold"`, `"$hold + 1s"`.
    pub(super) fn time(field: Field<'a>, scope: &mut Scope<'_>) -> Result<Self> {
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
        let mut sum = Self { field, text: text.into(), unit, value: 0, parameters: Vec::new() };
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
            sum.value += if minus { -number } else { number };
            (minus, is_first) = (piece.ends_with('-'), false);
        }
        if is_first || text.ends_with(['+', '-']) {
            return Err(field.error(format!("{} is not complete", quoted(text))));
        }
        Ok(sum)
    }

    fn operand(&mut self, text: &str, scope: &mut Scope<'_>) -> Result<i128, String> {
        if let Some(name) = text.strip_prefix('$') {
            let (position, value) = scope.parameters.refer(name, self.unit)?;
            self.parameters.push(position);
            return Ok(value);
        }
        let wrong = |right: &str| format!("{}: {right}", quoted(text));
        match self.unit {
            Unit::Count => text
                .parse::<u32>()
                .map(i128::from)
                .map_err(|_| wrong("give a whole number, or a parameter such as $threads")),
            Unit::Time => {
                let duration = duration::parse(text).map_err(|right| wrong(&right))?;
                Ok(number(&Value::Duration(duration)))
            }
        }
    }

    /// What it comes to, as a count from `least` to `most`.
    pub(super) fn within(&self, least: u32, most: u32, scope: &mut Scope<'_>) -> u32 {
        match u32::try_from(self.value) {
            Ok(count) if (least..=most).contains(&count) => count,
            _ => self.is_wrong(&format!("a count here is from {least} to {most}"), least, scope),
        }
    }

    /// What it comes to, as a duration.
    pub(super) fn duration(&self, scope: &mut Scope<'_>) -> Duration {
        self.times(1, scope)
    }

    /// This number of times its value, as a duration.
    pub(super) fn times(&self, times: u32, scope: &mut Scope<'_>) -> Duration {
        let nanoseconds = u64::try_from(self.value * i128::from(times));
        match nanoseconds.map(Duration::from_nanos) {
            Ok(duration) if duration <= duration::LONGEST => duration,
            _ => self.is_wrong(Unit::Time.range(), Duration::ZERO, scope),
        }
    }

    /// What it comes to, as a TTL.
    pub(super) fn ttl(&self, scope: &mut Scope<'_>) -> Ttl {
        let errors = scope.late.len();
        match ttl(self.duration(scope)) {
            Ok(ttl) => ttl,
            Err(_) if scope.late.len() > errors => Ttl::DEFAULT,
            Err(right) => self.is_wrong(&right, Ttl::DEFAULT, scope),
        }
    }

    /// Notes what is wrong with what it comes to, and which parameters made it so. Gives what to go
    /// on with.
    fn is_wrong<T>(&self, right: &str, instead: T, scope: &mut Scope<'_>) -> T {
        let text = quoted(&self.text);
        let message = match self.made_so(&scope.parameters) {
            made_so if made_so.is_empty() => format!("{text}: {right}"),
            made_so => format!("{text} is {} with {made_so}; {right}", self.shown()),
        };
        scope.late.push(self.field.error(message));
        instead
    }

    /// The parameters in it: `threads = 1`.
    fn made_so(&self, parameters: &Parameters<'_>) -> String {
        const SHOWN: usize = 4;
        let positions = self.parameters.iter().take(SHOWN);
        let parts = positions.filter_map(|position| {
            let name = &parameters.declared.get(*position)?.name;
            Some(format!("{name} = {}", parameters.values.get(*position)?))
        });
        parts.collect::<Vec<_>>().join(", ")
    }

    /// Its value, as users write it.
    fn shown(&self) -> String {
        if self.unit == Unit::Count {
            return self.value.to_string();
        }
        let mut text = if self.value < 0 { "-".to_owned() } else { String::new() };
        let _ = duration::write(&mut text, self.value.unsigned_abs());
        text
    }
}

/// A value as a count or nanoseconds.
fn number(value: &Value) -> i128 {
    let nanoseconds = |d: Duration| i128::try_from(d.as_nanos()).unwrap_or(i128::MAX);
    match value {
        Value::Count(count) => i128::from(*count),
        Value::Duration(duration) => nanoseconds(*duration),
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
        Ok(holds(left.value.cmp(&right.value)))
    }

    /// What is compared: what the first parameter is.
    fn unit_of(&self, field: Field<'_>, text: &str) -> Result<Unit> {
        let Some((_, rest)) = text.split_once('$') else {
            let message = format!("{} compares no parameter, such as \"$hold\"", quoted(text));
            return Err(field.error(message));
        };
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let name = rest.get(..end).unwrap_or_default();
        let found = parameter::find(self.parameters.declared, name);
        found.map(|(_, parameter)| Unit::of(parameter)).map_err(|message| field.error(message))
    }
}
