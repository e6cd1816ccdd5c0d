//! The parameters of a scenario: the name and the domain of each, and its value as users write it.

use super::plan::Value;
use super::{duration, error};
use crate::lock::Ttl;
use std::fmt;
use std::time::Duration;

/// The most that a count may be: how many actors a plan may have.
pub(super) const MOST: u32 = 10_000;

/// One thing that the user of a scenario can choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// The name in snake_case.
    pub name: String,
    /// One line on what it is.
    pub help: String,
    /// What it may be.
    pub kind: Kind,
    /// Its value if none is given. Only a TTL can do without: it is then the default TTL that the
    /// caller of [`Scenario::bind`](super::Scenario::bind) names.
    pub default: Option<Value>,
    /// Where the file declares it.
    pub(super) declared_at: usize,
}

/// What a parameter may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A whole number.
    Count {
        /// The least that it may be.
        min: u32,
        /// The most that it may be.
        max: u32,
    },
    /// From 0s to 365d.
    Duration,
    /// Whole seconds, from 1s to 365d.
    Ttl,
}

impl Parameter {
    /// Reads a value as users write it (`10`, `2s`); the error says what would be right.
    ///
    /// # Errors
    ///
    /// The text says what would be right: the value has another kind, or is out of range.
    pub fn parse(&self, text: &str) -> Result<Value, String> {
        let value = match self.kind {
            Kind::Count { .. } => Value::Count(text.trim().parse().map_err(|_| self.kind.range())?),
            Kind::Duration => Value::Duration(duration::parse(text)?),
            Kind::Ttl => Value::Ttl(ttl(duration::parse(text)?)?),
        };
        self.check(value)
    }

    /// Whether the parameter may have this value; the error says what would be right.
    pub(super) fn check(&self, value: Value) -> Result<Value, String> {
        let fits = match (self.kind, value) {
            (Kind::Count { min, max }, Value::Count(count)) => (min..=max).contains(&count),
            (Kind::Duration, Value::Duration(duration)) => duration <= duration::LONGEST,
            (Kind::Ttl, Value::Ttl(_)) => true,
            _ => false,
        };
        if fits { Ok(value) } else { Err(self.kind.range()) }
    }
}

/// A duration as a TTL, or what would be right.
pub(super) fn ttl(duration: Duration) -> Result<Ttl, String> {
    Ttl::try_from(duration).map_err(|error| error.to_string())
}

impl Kind {
    /// What it may be, in words.
    fn range(self) -> String {
        match self {
            Kind::Count { min, max } => format!("give a whole number from {min} to {max}"),
            Kind::Duration => "give a duration from 0s to 365d".to_owned(),
            Kind::Ttl => "give a TTL from 1s to 365d".to_owned(),
        }
    }
}

/// The value as users write it; [`Parameter::parse`] reads it back.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Count(count) => write!(f, "{count}"),
            Value::Duration(duration) => duration::write(f, duration.as_nanos()),
            Value::Ttl(ttl) => duration::write(f, ttl.duration().as_nanos()),
        }
    }
}

/// The parameter of this name, with its position.
pub(super) fn find<'a>(
    parameters: &'a [Parameter],
    name: &str,
) -> Result<(usize, &'a Parameter), String> {
    parameters
        .iter()
        .enumerate()
        .find(|(_, parameter)| parameter.name == name)
        .ok_or_else(|| error::unknown("parameter", name, parameters.iter().map(|p| &*p.name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parameter(kind: Kind) -> Parameter {
        let (name, help) = ("threads".to_owned(), "How many.".to_owned());
        Parameter { name, help, kind, default: None, declared_at: 0 }
    }

    #[test]
    fn refuses_what_does_not_fit_and_says_what_would() {
        let threads = Kind::Count { min: 1, max: 10_000 };
        let count = "give a whole number from 1 to 10000";
        let cases = [
            (threads, "0", count),
            (threads, "100001", count),
            (threads, "-1", count),
            (threads, "1.5", count),
            (threads, "99999999999999999999", count),
            (threads, "", count),
            (Kind::Duration, "2", "add a unit, as in 2s or 2ms"),
            (Kind::Duration, "-1s", "a duration is from 0s to 365d"),
            (Kind::Ttl, "0", "a TTL is at least 1s"),
            (Kind::Ttl, "999ms", "a TTL is at least 1s"),
            (Kind::Ttl, "1.5s", "a TTL is a whole number of seconds"),
            (Kind::Ttl, "366d", "a duration is from 0s to 365d"),
        ];
        for (kind, text, message) in cases {
            assert_eq!(parameter(kind).parse(text), Err(message.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn check_refuses_a_value_of_another_kind() {
        assert!(parameter(Kind::Duration).check(Value::Count(1)).is_err());
        let long = Value::Duration(Duration::MAX);
        let error = parameter(Kind::Duration).check(long);
        assert_eq!(error, Err("give a duration from 0s to 365d".to_owned()));
    }

    proptest! {
        #[test]
        fn a_count_is_read_back(count in 1..=MOST) {
            let parameter = parameter(Kind::Count { min: 1, max: MOST });
            let value = Value::Count(count);
            prop_assert_eq!(parameter.parse(&value.to_string()), Ok(value));
        }

        #[test]
        fn a_duration_is_read_back(nanoseconds in 0..=31_536_000_000_000_000_u64) {
            let value = Value::Duration(Duration::from_nanos(nanoseconds));
            prop_assert_eq!(parameter(Kind::Duration).parse(&value.to_string()), Ok(value));
        }

        #[test]
        fn a_ttl_is_read_back(seconds in 1..=31_536_000_u64) {
            let value = Value::Ttl(Ttl::try_from(Duration::from_secs(seconds)).unwrap());
            prop_assert_eq!(parameter(Kind::Ttl).parse(&value.to_string()), Ok(value));
        }

        #[test]
        fn nothing_makes_it_panic(text in ".{0,40}") {
            for kind in [Kind::Count { min: 1, max: 9 }, Kind::Duration, Kind::Ttl] {
                let _ = parameter(kind).parse(&text);
            }
        }
    }
}
