//! The arithmetic of scenario files: `$threads - 1`, `$hold + 100ms`, and `$hold > $ttl`.

use super::error::{ScenarioError, list, quoted};
use super::parameter::{self, Kind, Parameter};
use super::plan::Value;
use super::read::{Field, Source};
use super::{duration, parameter::ttl};
use crate::lock::Ttl;
use std::cmp::Ordering;
use std::time::Duration;

/// What a sum counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Count,
    Time,
}

impl Unit {
    /// What its values may be.
    fn range(self) -> &'static str {
        match self {
            Unit::Count => "a count is never below 0",
            Unit::Time => duration::RANGE,
        }
    }
}

/// Numbers and parameters, added and taken away.
#[derive(Debug, Clone)]
pub(super) struct Sum {
    at: usize,
    text: String,
    unit: Unit,
    terms: Vec<Term>,
}

#[derive(Debug, Clone)]
struct Term {
    minus: bool,
    value: Operand,
}

#[derive(Debug, Clone)]
enum Operand {
    /// A count, or nanoseconds.
    Number(i128),
    /// The position of a parameter.
    Parameter(usize),
}

/// A comparison of two sums.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    left: Sum,
    right: Sum,
    holds: Holds,
}

/// Which order of left and right a comparison is true of.
type Holds = fn(Ordering) -> bool;

/// The parameters that a file may speak of, and which of them it did.
pub(super) struct Parameters<'a> {
    declared: &'a [Parameter],
    used: Vec<bool>,
}

/// For whom a file is bound: the parameters' values, to work sums out with, and the lock protocol.
pub(super) struct Binding<'a> {
    pub(super) source: &'a Source,
    pub(super) parameters: &'a [Parameter],
    pub(super) values: &'a [Value],
    pub(super) protocol: &'a str,
}

impl<'a> Parameters<'a> {
    pub(super) fn new(declared: &'a [Parameter]) -> Self {
        Self { declared, used: vec![false; declared.len()] }
    }

    /// All that are declared.
    pub(super) fn declared(&self) -> &'a [Parameter] {
        self.declared
    }

    fn refer(&mut self, name: &str, unit: Unit) -> Result<usize, String> {
        let (position, parameter) = parameter::find(self.declared, name)?;
        if let Some(used) = self.used.get_mut(position) {
            *used = true;
        }
        match (unit_of(parameter), unit) {
            (Unit::Count, Unit::Time) => Err(format!("\"${name}\" is a count, not a duration")),
            (Unit::Time, Unit::Count) => Err(format!("\"${name}\" is a duration, not a count")),
            _ => Ok(position),
        }
    }

    /// The first parameter that nothing referred to.
    pub(super) fn unused(&self) -> Option<&'a Parameter> {
        let pairs = self.declared.iter().zip(&self.used);
        pairs.filter(|(_, used)| !**used).map(|(parameter, _)| parameter).next()
    }
}

fn unit_of(parameter: &Parameter) -> Unit {
    match parameter.kind {
        Kind::Count { .. } => Unit::Count,
        Kind::Duration | Kind::Ttl => Unit::Time,
    }
}

impl Sum {
    /// A count: `5`, `"$threads"`, `"$threads - 1"`.
    pub(super) fn count(
        field: Field<'_>,
        parameters: &mut Parameters<'_>,
    ) -> Result<Self, ScenarioError> {
        match field.as_text() {
            Some(text) => Self::read(field, text, Unit::Count, parameters),
            None => Ok(Self::one(field.at, field.count()?)),
        }
    }

    /// The count of whoever says none.
    pub(super) fn one(at: usize, count: u32) -> Self {
        let terms = vec![Term { minus: false, value: Operand::Number(count.into()) }];
        Self { at, text: count.to_string(), unit: Unit::Count, terms }
    }

    /// A duration or a TTL: `"2s"`, `"$hold"`, `"$hold + 1s"`.
    pub(super) fn time(
        field: Field<'_>,
        parameters: &mut Parameters<'_>,
    ) -> Result<Self, ScenarioError> {
        let text = match (field.as_text(), field.as_whole()) {
            (Some(text), _) => text,
            (None, Some(0)) => "0",
            (None, Some(n)) if n > 0 => {
                return Err(field.error(format!("add a unit, as in \"{n}s\" or \"{n}ms\"")));
            }
            _ => field.text()?,
        };
        Self::read(field, text, Unit::Time, parameters)
    }

    fn read(
        field: Field<'_>,
        text: &str,
        unit: Unit,
        parameters: &mut Parameters<'_>,
    ) -> Result<Self, ScenarioError> {
        let mut terms = Vec::new();
        let mut minus = false;
        for piece in text.split_inclusive(['+', '-']) {
            let operand = piece.trim_end_matches(['+', '-']).trim();
            if operand.is_empty() && piece.ends_with('-') && terms.is_empty() {
                return Err(field.error(format!("{}: {}", quoted(text), unit.range())));
            }
            if operand.is_empty() {
                let example = if unit == Unit::Count { "$threads - 1" } else { "$hold + 1s" };
                let message = format!("{} lacks a number; write \"{example}\"", quoted(text));
                return Err(field.error(message));
            }
            let value = Operand::read(operand, unit, parameters);
            let value = value.map_err(|message| field.error(message))?;
            terms.push(Term { minus, value });
            minus = piece.ends_with('-');
        }
        if terms.is_empty() || text.ends_with(['+', '-']) {
            return Err(field.error(format!("{} is not complete", quoted(text))));
        }
        Ok(Self { at: field.at, text: text.to_owned(), unit, terms })
    }

    /// What it comes to.
    fn value(&self, values: &[Value]) -> i128 {
        self.terms.iter().fold(0, |sum, term| {
            let number = match term.value {
                Operand::Number(number) => number,
                Operand::Parameter(position) => values.get(position).map_or(0, number),
            };
            if term.minus { sum - number } else { sum + number }
        })
    }

    /// What it comes to, as a count up to `most`.
    pub(super) fn to_count(&self, binding: &Binding, most: u32) -> Result<u32, ScenarioError> {
        self.to_count_from(0, binding, most)
    }

    /// What it comes to, as a count from `least` to `most`.
    pub(super) fn to_count_from(
        &self,
        least: u32,
        binding: &Binding,
        most: u32,
    ) -> Result<u32, ScenarioError> {
        let count = u32::try_from(self.value(binding.values)).ok();
        let right = || format!("a count here is from {least} to {most}");
        let fits = |count: &u32| (least..=most).contains(count);
        count.filter(fits).ok_or_else(|| self.error(binding, &right()))
    }

    /// What it comes to, as a duration.
    pub(super) fn to_duration(&self, binding: &Binding) -> Result<Duration, ScenarioError> {
        self.to_duration_times(1, binding)
    }

    /// What so many of it come to, as a duration.
    pub(super) fn to_duration_times(
        &self,
        times: u32,
        binding: &Binding,
    ) -> Result<Duration, ScenarioError> {
        let all = self.value(binding.values).checked_mul(times.into());
        let nanoseconds = all.and_then(|all| u64::try_from(all).ok());
        let duration = nanoseconds.map(Duration::from_nanos);
        duration
            .filter(|duration| *duration <= duration::LONGEST)
            .ok_or_else(|| self.error(binding, Unit::Time.range()))
    }

    /// What it comes to, as a TTL.
    pub(super) fn to_ttl(&self, binding: &Binding) -> Result<Ttl, ScenarioError> {
        ttl(self.to_duration(binding)?).map_err(|message| self.error(binding, &message))
    }

    /// What is wrong with what it comes to, and which parameters made it so.
    fn error(&self, binding: &Binding, right: &str) -> ScenarioError {
        let text = quoted(&self.text);
        let message = match self.made_so(binding) {
            made_so if made_so.is_empty() => format!("{text}: {right}"),
            made_so => {
                let value = show(self.value(binding.values), self.unit);
                format!("{text} is {value} with {made_so}; {right}")
            }
        };
        binding.source.error(self.at, message)
    }

    /// The parameters in it: `threads = 1`.
    fn made_so(&self, binding: &Binding) -> String {
        let mut parts = Vec::new();
        for term in &self.terms {
            if let Operand::Parameter(position) = term.value
                && let Some(parameter) = binding.parameters.get(position)
                && let Some(value) = binding.values.get(position)
            {
                parts.push(format!("{} = {value}", parameter.name));
            }
        }
        parts.truncate(4);
        parts.join(", ")
    }
}

fn show(value: i128, unit: Unit) -> String {
    match unit {
        Unit::Count => value.to_string(),
        Unit::Time => {
            let mut text = if value < 0 { "-".to_owned() } else { String::new() };
            let _ = duration::write(&mut text, value.unsigned_abs());
            text
        }
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

impl Operand {
    fn read(text: &str, unit: Unit, parameters: &mut Parameters<'_>) -> Result<Self, String> {
        if let Some(name) = text.strip_prefix('$') {
            return parameters.refer(name, unit).map(Operand::Parameter);
        }
        let number = match unit {
            Unit::Count => {
                let number = text.parse::<u32>().ok().map(i128::from);
                let right = "give a whole number, or a parameter such as $threads";
                number.ok_or_else(|| format!("{}: {right}", quoted(text)))?
            }
            Unit::Time => {
                let duration = duration::parse(text);
                let duration = duration.map_err(|right| format!("{}: {right}", quoted(text)));
                number(&Value::Duration(duration?))
            }
        };
        Ok(Operand::Number(number))
    }
}

/// The comparisons, the longer before their beginnings.
const COMPARISONS: [(&str, Holds); 6] = [
    ("<=", Ordering::is_le),
    (">=", Ordering::is_ge),
    ("==", Ordering::is_eq),
    ("!=", Ordering::is_ne),
    ("<", Ordering::is_lt),
    (">", Ordering::is_gt),
];

impl Condition {
    /// `"$hold > $ttl"`.
    pub(super) fn read(
        field: Field<'_>,
        parameters: &mut Parameters<'_>,
    ) -> Result<Self, ScenarioError> {
        let text = field.text()?;
        let words: Vec<&str> = COMPARISONS.iter().map(|(word, _)| *word).collect();
        let shape = || {
            let words = list(&words);
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
        let unit = Self::unit(field, text, parameters)?;
        let left = Sum::read(field, left.trim(), unit, parameters)?;
        let right = Sum::read(field, right.trim(), unit, parameters)?;
        Ok(Self { left, right, holds })
    }

    /// What is compared: what the first parameter is.
    fn unit(
        field: Field<'_>,
        text: &str,
        parameters: &Parameters<'_>,
    ) -> Result<Unit, ScenarioError> {
        let Some((_, rest)) = text.split_once('$') else {
            let message = format!("{} compares no parameter, such as \"$hold\"", quoted(text));
            return Err(field.error(message));
        };
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let name = rest.get(..end).unwrap_or_default();
        let found = parameter::find(parameters.declared, name);
        found.map(|(_, parameter)| unit_of(parameter)).map_err(|message| field.error(message))
    }

    /// Whether it is so.
    pub(super) fn holds(&self, values: &[Value]) -> bool {
        (self.holds)(self.left.value(values).cmp(&self.right.value(values)))
    }
}
