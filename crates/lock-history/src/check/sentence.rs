//! What is said of a finding. A sentence keeps the moments that it names, so that each view names them in
//! its own way: by the time, or by the numbers of the steps that a picture shows.

use super::words::time;
use crate::history::Moment;
use serde::{Serialize, Serializer};
use std::fmt;

/// One or more clauses about a history.
///
/// Printed as it is, it names moments by their times, unless all of the history happened at one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sentence(Vec<Part>);

/// The place of a moment among the numbered steps of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It is this step.
    At(usize),
    /// It comes after this step, and before the next one.
    After(usize),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    When(When),
}

/// A moment that a sentence names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct When {
    /// What comes before its name, with the spaces.
    pub joint: &'static str,
    /// Its place in the order of moments, if it is that of an event.
    pub order: Option<u64>,
    /// Its time, if that distinguishes it from others.
    pub at: Option<u64>,
}

/// The joint of a moment at which something happens.
pub(super) const AT: &str = " at ";

impl When {
    /// This moment, after these words.
    pub fn new(joint: &'static str, moment: Moment) -> Self {
        Self { joint, order: Some(moment.order), at: Some(moment.at) }
    }

    fn by_time(&self) -> String {
        self.at.map(|at| format!("{}{}", self.joint, time(at))).unwrap_or_default()
    }

    fn by_step(&self, place: Option<Place>, with_times: bool) -> String {
        let joint = self.joint;
        let step = match place {
            Some(Place::At(number)) => format!("{joint}step {number}"),
            Some(Place::After(number)) if joint == AT => format!(" after step {number}"),
            Some(Place::After(number)) => format!("{joint}step {number}"),
            None if with_times => return self.by_time(),
            None => return String::new(),
        };
        match self.at.filter(|_| with_times) {
            Some(at) => format!("{step} ({})", time(at)),
            None => step,
        }
    }
}

impl Sentence {
    /// The sentence with the numbers of steps; a moment that has no place is not named. `with_times` adds the
    /// times, where they mean something.
    pub fn by_steps(&self, place: impl Fn(u64) -> Option<Place>, with_times: bool) -> String {
        let said = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::When(when) => when.by_step(when.order.and_then(&place), with_times),
        };
        self.0.iter().map(said).collect()
    }

    /// The moments of events that it names, by their place in the order.
    pub fn moments(&self) -> impl Iterator<Item = u64> {
        self.0.iter().filter_map(|part| match part {
            Part::When(when) => when.order,
            Part::Text(_) => None,
        })
    }
}

impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::When(when) => f.write_str(&when.by_time()),
        })
    }
}

impl From<String> for Sentence {
    fn from(text: String) -> Self {
        Self(vec![Part::Text(text)])
    }
}

impl Serialize for Sentence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a sentence is made of.
pub(super) trait Piece {
    fn add_to(self, sentence: &mut Sentence);
}

impl Piece for &str {
    fn add_to(self, sentence: &mut Sentence) {
        self.to_owned().add_to(sentence);
    }
}

impl Piece for String {
    fn add_to(self, sentence: &mut Sentence) {
        sentence.0.push(Part::Text(self));
    }
}

impl Piece for When {
    fn add_to(self, sentence: &mut Sentence) {
        sentence.0.push(Part::When(self));
    }
}

impl Piece for Sentence {
    fn add_to(self, sentence: &mut Sentence) {
        sentence.0.extend(self.0);
    }
}

impl<P: Piece> Piece for Option<P> {
    fn add_to(self, sentence: &mut Sentence) {
        if let Some(piece) = self {
            piece.add_to(sentence);
        }
    }
}

/// A [`Sentence`] of these pieces: texts, moments, other sentences, or none.
macro_rules! sentence {
    ($($piece:expr),+ $(,)?) => {{
        let mut sentence = $crate::check::Sentence::default();
        $($crate::check::sentence::Piece::add_to($piece, &mut sentence);)+
        sentence
    }};
}

pub(super) use sentence;

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(order: u64, at: u64) -> Moment {
        Moment { order, at }
    }

    #[test]
    fn a_moment_is_named_by_its_time_or_by_its_step() {
        let began = sentence!["A acquired", When::new(AT, moment(3, 2_000)), "; "];
        let only_a_time = When { order: None, ..When::new(AT, moment(0, 5_000)) };
        let until = When::new(" until ", moment(9, 7_000));
        let said = sentence![began, None::<&str>, "it ended", only_a_time, " and held it", until];
        assert_eq!(said.to_string(), "A acquired at 2 us; it ended at 5 us and held it until 7 us");
        let place = |order| match order {
            3 => Some(Place::At(1)),
            _ => Some(Place::After(4)),
        };
        let by_steps = "A acquired at step 1; it ended and held it until step 4";
        assert_eq!(said.by_steps(place, false), by_steps);
        let with_times =
            "A acquired at step 1 (2 us); it ended at 5 us and held it until step 4 (7 us)";
        assert_eq!(said.by_steps(place, true), with_times);
        assert_eq!(said.moments().collect::<Vec<_>>(), [3, 9]);
        let after = |_| Some(Place::After(4));
        let began = sentence!["A acquired", When::new(AT, moment(3, 2_000))];
        assert_eq!(began.by_steps(after, false), "A acquired after step 4");
    }
}
