//! A history as a picture, first as plain data: lanes, what lies on them, and what was found.
//! Nothing is drawn here; the writers draw what stands here and know nothing of histories.

mod build;
pub mod html;
pub mod layout;
pub mod svg;
pub mod text;

use crate::report::wording::{time_of_day, time_span};
use lock_history::history::Moment;
use serde::Serialize;

/// A history as it is drawn.
///
/// Moments are those of the history: on a virtual clock much happens at one time, and only the
/// order shows what came first. See [`when`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Timeline {
    /// The scenario's name, or what was recorded.
    pub title: String,
    /// The lock protocol's name.
    pub protocol: String,
    /// When the history began, in microseconds since 1970, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub began_us: Option<u64>,
    /// When the first thing on it happened.
    pub begin: Moment,
    /// When the last one did; never before `begin`.
    pub end: Moment,
    /// The acquisitions' tokens, in the order in which they were first seen. Bars speak of them by
    /// position; each has a colour of its own for as long as there are colours.
    pub tokens: Vec<String>,
    /// From top to bottom: for each lock its own lane and its flag's, then the actors.
    pub lanes: Vec<Lane>,
    /// What the checkers found, by time.
    pub findings: Vec<Remark>,
    /// How many more there are.
    pub omitted: u64,
    /// Whether the history has its end.
    #[serde(rename = "is_whole")]
    pub is_complete: bool,
}

/// One line of the picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lane {
    /// Whose line it is.
    pub kind: LaneKind,
    /// What stands before it.
    pub name: String,
    /// How many actors it stands for: more than one where there are too many to draw each.
    pub stands_for: usize,
    /// What lasts, by its beginning. Bars of one lane don't overlap.
    pub bars: Vec<Bar>,
    /// What happens at one moment, by time.
    pub marks: Vec<Mark>,
}

/// Whose line it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LaneKind {
    /// A lock: its owner.
    Lock,
    /// A lock's mirror flag: when it said `true`.
    Flag,
    /// An actor, or several.
    Actor,
}

/// Something that lasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bar {
    /// When it begins.
    pub begin: Moment,
    /// When it ends; never before `begin`.
    pub end: Moment,
    /// What it is.
    pub kind: BarKind,
    /// Which acquisition it belongs to: a position in [`Timeline::tokens`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<usize>,
    /// An actor's: it believed that it held the lock, and the lock was no longer its own.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_lost: bool,
    /// Why it ends is not in the history, or when: it may have ended before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_open: bool,
    /// A few words that may stand on it.
    pub label: String,
    /// Everything that is known of it, in lines.
    pub detail: String,
}

/// What lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BarKind {
    /// The lock: it had an owner. An actor: it believed that it held the lock, and did nothing
    /// else.
    Holds,
    /// The flag said `true`.
    Raised,
    /// An actor tries to get the lock, or waits for something.
    Waits,
    /// An actor works.
    Works,
    /// An actor writes the state file.
    Writes,
    /// An actor does something else with Redis: a release, a snapshot.
    Asks,
    /// Several actors at once; the label says how many do what.
    Many,
}

/// Something that happens at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mark {
    /// When.
    pub at: Moment,
    /// What.
    pub kind: MarkKind,
    /// How often, where a lane stands for several actors.
    pub times: usize,
    /// Everything that is known of it, in lines.
    pub detail: String,
}

/// What happens at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkKind {
    /// An acquire found the lock taken.
    Refused,
    /// A step failed otherwise.
    Failed,
    /// A lease expired by itself.
    Expired,
    /// A lease was set again.
    Extended,
    /// The lock key was deleted by a client that was not its owner.
    Cleared,
    /// Something was done to an actor or to the server on purpose.
    Fault,
    /// The actor crashed.
    Crashed,
}

/// What was found, where it happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// When.
    pub at: Moment,
    /// Its number in the picture, from 1.
    pub number: usize,
    /// The property's word.
    pub property: &'static str,
    /// The lanes that it is about: positions in [`Timeline::lanes`], the lock's own first.
    pub lanes: Vec<usize>,
    /// What happened and how it came to that, in one sentence.
    pub text: String,
}

impl Timeline {
    /// From when to when it lasts, in times of day, where they are known.
    fn time_span(&self) -> Option<String> {
        Some(time_span(self.began_us?, self.begin.at, self.end.at))
    }

    /// A finding's property with the time of day, where that is known.
    fn named(&self, property: &str, remark: &Remark) -> String {
        match self.began_us {
            Some(began) => format!("{property} at {}", time_of_day(began, remark.at.at)),
            None => property.to_owned(),
        }
    }
}

/// Where a moment stands among others: by time, and at one time by the order of what happened.
pub fn when(moment: Moment) -> (u64, u64) {
    (moment.at, moment.order)
}

/// What an acquisition is called: `A` to `Z`, then `AA`, `AB` and so on.
fn letters(token: usize) -> String {
    let last = char::from(b'A' + (token % 26) as u8).to_string();
    match (token / 26).checked_sub(1) {
        Some(more) => letters(more) + &last,
        None => last,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acquisitions_are_counted_in_letters() {
        let all = [0, 1, 25, 26, 27, 51, 52, 701, 702].map(letters);
        assert_eq!(all, ["A", "B", "Z", "AA", "AB", "AZ", "BA", "ZZ", "AAA"]);
        assert_eq!(letters(usize::MAX).len(), 14);
    }
}
