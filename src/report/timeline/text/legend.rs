//! What the characters mean, of those that occur.

use super::names::shortened;
use super::signs;
use super::strip::Ink;
use crate::report::columns;
use crate::report::timeline::{Bar, BarKind, MarkKind, Timeline, letters};
use crate::report::wording::{shorten, token_length};
use std::collections::BTreeSet;

/// How many acquisitions are named.
const MOST_TOKENS: usize = 8;
/// What stands between two entries.
const GAP: &str = "   ";

/// A sign and what it means.
pub(super) type LegendEntry = (String, Ink, String);

/// The signs of the lanes, and then the acquisitions.
pub(super) fn entries(timeline: &Timeline) -> Vec<LegendEntry> {
    let bars: Vec<&Bar> = timeline.lanes.iter().flat_map(|lane| &lane.bars).collect();
    let marks: BTreeSet<MarkKind> =
        timeline.lanes.iter().flat_map(|lane| &lane.marks).map(|mark| mark.kind).collect();
    let is_lost = |bar: &&Bar| bar.is_lost && matches!(bar.kind, BarKind::Holds | BarKind::Works);
    let mut entries = Vec::new();
    for kind in signs::BARS {
        if bars.iter().any(|bar| bar.kind == kind && !is_lost(bar)) {
            let (sign, name) = signs::of_bar(kind);
            entries.push(line(sign, Ink::Plain, name));
        }
    }
    if bars.iter().any(is_lost) {
        entries.push(line(signs::LOST, Ink::Bad, "only believes that it holds the lock"));
    }
    for kind in signs::MARKS.into_iter().filter(|kind| marks.contains(kind)) {
        let (sign, ink, name) = signs::of_mark(kind);
        entries.push((sign.into(), ink, name.into()));
    }
    if bars.iter().any(|bar| bar.is_open) {
        entries.push((signs::OPEN.into(), Ink::Odd, "end not seen".into()));
    }
    let tokens: BTreeSet<usize> = bars.iter().filter_map(|bar| bar.token).collect();
    entries.extend(acquisitions(timeline, &tokens));
    entries
}

/// What the axis is made of where no time passes.
pub(super) fn at_once() -> LegendEntry {
    line(signs::AT_ONCE, Ink::Quiet, "at one time, in this order")
}

fn line(sign: char, ink: Ink, words: &str) -> LegendEntry {
    (format!("{sign}{sign}"), ink, words.into())
}

/// The letters of the acquisitions, with as much of their tokens as distinguishes them.
fn acquisitions(timeline: &Timeline, drawn: &BTreeSet<usize>) -> Vec<LegendEntry> {
    let length = token_length(timeline.tokens.iter().map(String::as_str));
    let known: Vec<(usize, &String)> =
        drawn.iter().filter_map(|index| Some((*index, timeline.tokens.get(*index)?))).collect();
    let entry = |(index, token): &(usize, &String)| {
        (letters(*index), Ink::Token(*index), shorten(token, length))
    };
    let mut entries: Vec<LegendEntry> = known.iter().take(MOST_TOKENS).map(entry).collect();
    if let Some(more) = known.len().checked_sub(MOST_TOKENS).filter(|more| *more > 0) {
        entries.push(("…".into(), Ink::Quiet, format!("{more} more acquisitions")));
    }
    entries
}

/// The entries in rows of this width; none is broken.
pub(super) fn rows(entries: Vec<LegendEntry>, width: usize) -> Vec<Vec<(String, Ink)>> {
    let mut rows: Vec<Vec<(String, Ink)>> = Vec::new();
    let mut taken = 0;
    for (sign, ink, words) in entries {
        let words = shortened(&words, width.saturating_sub(columns(&sign) + 1));
        let needs = columns(&sign) + 1 + columns(&words);
        let words = if words.is_empty() { words } else { format!(" {words}") };
        let pieces = [(sign, ink), (words, Ink::Quiet)];
        match rows.last_mut() {
            Some(row) if taken + GAP.len() + needs <= width => {
                taken += GAP.len() + needs;
                row.push((GAP.into(), Ink::Plain));
                row.extend(pieces);
            }
            _ => {
                taken = needs;
                rows.push(pieces.into());
            }
        }
    }
    rows
}
