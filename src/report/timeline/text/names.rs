//! The names beside the lanes, in the columns that there are for them.

use crate::report::timeline::{Lane, LaneKind};
use crate::report::{columns, escape};
use std::collections::BTreeSet;

/// Blanks between names and lanes.
const GAP: usize = 2;
/// The least that a name gets.
const NARROWEST: usize = 8;
/// How much is shown of what all names have in common, where the rest of that is left out.
const SHOWN_OF_COMMON: usize = 6;
/// The most that it gets.
const WIDEST: usize = 32;

/// The column of the lanes' names.
pub(super) struct NameColumn {
    width: usize,
    /// How many characters of the locks' names are left out, because they are the same in names that would
    /// look alike without their middles.
    left_out: usize,
}

impl NameColumn {
    /// As wide as the widest name, if that leaves enough to the lanes.
    pub(super) fn of(lanes: &[Lane], width: usize) -> Self {
        let most = (width * 7 / 20).saturating_sub(GAP).clamp(NARROWEST, WIDEST);
        let widest = lanes.iter().map(|lane| columns(&whole(lane))).max();
        let width = widest.unwrap_or_default().min(most);
        Self { width, left_out: alike(lanes, width) }
    }

    /// How many columns there are before the lanes.
    pub(super) fn columns(&self) -> usize {
        self.width + GAP
    }

    /// The name, in just these columns.
    pub(super) fn name(&self, lane: &Lane) -> String {
        let name = whole(lane);
        let name = match (lane.kind, self.left_out) {
            (LaneKind::Lock, 1..) => {
                format!("…{}", name.chars().skip(self.left_out).collect::<String>())
            }
            _ => name,
        };
        self.padded(shortened(&name, self.width))
    }

    pub(super) fn blank(&self) -> String {
        self.padded(String::new())
    }

    fn padded(&self, mut text: String) -> String {
        let blanks = self.columns().saturating_sub(columns(&text));
        text.extend(std::iter::repeat_n(' ', blanks));
        text
    }
}

/// How many characters all names of locks have in common at the beginning, but for a few, where two of them
/// would be the same in this width.
fn alike(lanes: &[Lane], width: usize) -> usize {
    let locks = lanes.iter().filter(|lane| lane.kind == LaneKind::Lock);
    let names: Vec<String> = locks.map(whole).collect();
    let shown: BTreeSet<String> = names.iter().map(|name| shortened(name, width)).collect();
    let Some(first) = names.first().filter(|_| shown.len() < names.len()) else { return 0 };
    let common =
        |name: &String| name.chars().zip(first.chars()).take_while(|(a, b)| a == b).count();
    let common = names.iter().map(common).min().unwrap_or_default();
    common.saturating_sub(SHOWN_OF_COMMON)
}

fn whole(lane: &Lane) -> String {
    match lane.kind {
        // It stands below its lock, which has the same name.
        LaneKind::Flag => "  flag".into(),
        LaneKind::Lock | LaneKind::Actor => escape(&lane.name),
    }
}

/// The text, if it has this number of columns at most; or else its beginning and its end: names
/// often differ at their ends.
pub(super) fn shortened(text: &str, most: usize) -> String {
    if columns(text) <= most {
        return text.to_owned();
    }
    let end: Vec<char> = fitting(text.chars().rev(), most / 3);
    let end: String = end.into_iter().rev().collect();
    let rest = most.saturating_sub(1 + columns(&end));
    let mut begin: Vec<char> = fitting(text.chars(), rest);
    loop {
        let shown = begin.iter().chain(&['…']).collect::<String>() + &end;
        // Together, characters may be wider than each alone.
        if columns(&shown) <= most || begin.pop().is_none() {
            return shown;
        }
    }
}

/// The first characters that fit into this number of columns.
fn fitting(text: impl Iterator<Item = char>, most: usize) -> Vec<char> {
    let mut left = most;
    let fits = |sign: &char| {
        let rest = left.checked_sub(columns(sign.encode_utf8(&mut [0; 4])));
        left = rest.unwrap_or_default();
        rest.is_some()
    };
    text.take_while(fits).take(most * 4).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_keeps_its_beginning_and_its_end() {
        assert_eq!(shortened("thread-1", 8), "thread-1");
        assert_eq!(shortened("thread-12", 8), "threa…12");
        assert_eq!(shortened("ロックの持ち主", 9), "ロック…主");
        assert_eq!(shortened("abc", 1), "…");
    }
}
