//! One lane as a row of characters.

use super::scale::Scale;
use super::signs::{LOST, MARKS, OPEN, of_bar, of_mark};
use crate::report::timeline::{Bar, BarKind, Lane, Mark, letters};
use crate::report::{columns, escape};
use std::collections::BTreeMap;
use std::ops::Range;

/// What a character means to the reader. The characters say it, too: an ink only adds colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    Plain,
    Strong,
    Quiet,
    Odd,
    Bad,
    /// Of this acquisition.
    Token(usize),
}

/// A row of characters, one a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Strip(Vec<(char, Ink)>);

impl Strip {
    /// Blanks.
    pub(super) fn blank(columns: usize) -> Self {
        Self(vec![(' ', Ink::Plain); columns])
    }

    pub(super) fn put(&mut self, column: usize, sign: char, ink: Ink) {
        if let Some(cell) = self.0.get_mut(column) {
            *cell = (sign, ink);
        }
    }

    pub(super) fn put_text(&mut self, column: usize, text: &str, ink: Ink) {
        for (column, sign) in (column..).zip(text.chars()) {
            self.put(column, sign, ink);
        }
    }

    /// Draws this where nothing is drawn yet.
    pub(super) fn put_behind(&mut self, column: usize, sign: char, ink: Ink) {
        if self.0.get(column).is_some_and(|(there, _)| *there == ' ') {
            self.put(column, sign, ink);
        }
    }

    /// Whether nothing is drawn in these columns, as far as they are there.
    pub(super) fn is_blank(&self, range: Range<usize>) -> bool {
        self.0.iter().take(range.end).skip(range.start).all(|(sign, _)| *sign == ' ')
    }

    /// The pieces of one ink each, without the blanks at the end.
    pub(super) fn pieces(&self) -> Vec<(String, Ink)> {
        let drawn = self.0.iter().rposition(|(sign, _)| *sign != ' ').map_or(0, |last| last + 1);
        let cells = self.0.get(..drawn).unwrap_or_default();
        let pieces = cells.chunk_by(|one, next| one.1 == next.1);
        let piece = |cells: &[(char, Ink)]| {
            let ink = cells.first().map_or(Ink::Plain, |(_, ink)| *ink);
            (cells.iter().map(|(sign, _)| sign).collect(), ink)
        };
        pieces.map(piece).collect()
    }
}

/// Draws a lane.
pub(super) fn strip(lane: &Lane, scale: &Scale) -> Strip {
    let mut strip = Strip::blank(scale.columns);
    let marks = marks(lane, scale);
    // The bar before, if one sees which acquisition it belongs to, and where it ends.
    let mut before: Option<(&Bar, usize)> = None;
    for (index, columns) in runs(lane, scale) {
        let Some(bar) = lane.bars.get(index) else { continue };
        // Where the same acquisition goes on in another way, its letter is not needed again.
        let goes_on = before.is_some_and(|(before, end)| {
            end == columns.start && before.token == bar.token && sign(before) != sign(bar)
        });
        let is_labelled = draw(&mut strip, bar, columns.clone(), goes_on, &marks, scale);
        before = Some((bar, columns.end)).filter(|_| is_labelled || goes_on);
        let ends_here = scale.column(bar.end) <= columns.end;
        if bar.is_open && ends_here && columns.len() > 1 {
            strip.put(columns.end - 1, OPEN, Ink::Odd);
        }
    }
    for gap in &scale.breaks {
        strip.put_text(gap.middle(), "//", Ink::Quiet);
    }
    for (column, mark) in marks {
        let (sign, ink, _) = of_mark(mark.kind);
        strip.put(column, sign, ink);
    }
    strip
}

/// The mark of each column that has one: the weightiest, where there are several.
fn marks<'a>(lane: &'a Lane, scale: &Scale) -> BTreeMap<usize, &'a Mark> {
    let mut marks: BTreeMap<usize, &Mark> = BTreeMap::new();
    for mark in &lane.marks {
        let there = marks.entry(scale.column(mark.at)).or_insert(mark);
        let weight = |mark: &Mark| MARKS.iter().position(|kind| *kind == mark.kind);
        if weight(mark) > weight(there) {
            *there = mark;
        }
    }
    marks
}

/// Which bar is seen in which columns. Where several share one, the shorter is seen, if the longer
/// is seen elsewhere.
fn runs(lane: &Lane, scale: &Scale) -> Vec<(usize, Range<usize>)> {
    let span = |bar: &Bar| {
        let begin = scale.column(bar.begin);
        begin..scale.column(bar.end).max(begin + 1)
    };
    let spans: Vec<Range<usize>> = lane.bars.iter().map(span).collect();
    let mut order: Vec<usize> = (0..spans.len()).collect();
    let length = |index: &usize| spans.get(*index).map_or(0, Range::len);
    let weight = |index: &usize| lane.bars.get(*index).map_or(0, |bar| weight(bar.kind));
    order.sort_by_key(|index| (std::cmp::Reverse(length(index)), weight(index)));
    let mut seen: Vec<Option<usize>> = vec![None; scale.columns];
    let mut left: Vec<usize> = vec![0; spans.len()];
    for index in order {
        for column in spans.get(index).cloned().unwrap_or_default() {
            let Some(cell) = seen.get_mut(column) else { break };
            if let Some(there) = *cell {
                let is_its_last = left.get(there) == Some(&1);
                if is_its_last && weight(&there) > weight(&index) {
                    continue;
                }
                if let Some(left) = left.get_mut(there) {
                    *left = left.saturating_sub(1);
                }
            }
            *cell = Some(index);
            if let Some(left) = left.get_mut(index) {
                *left += 1;
            }
        }
    }
    let seen: Vec<(usize, Option<usize>)> = seen.into_iter().enumerate().collect();
    let run = |run: &[(usize, Option<usize>)]| {
        let (column, index) = run.first()?;
        Some(((*index)?, *column..column + run.len()))
    };
    seen.chunk_by(|one, next| one.1 == next.1).filter_map(run).collect()
}

/// Which of two bars is seen where there is room for one only.
fn weight(kind: BarKind) -> usize {
    match kind {
        BarKind::Many => 0,
        BarKind::Waits => 1,
        BarKind::Asks => 2,
        BarKind::Raised => 3,
        BarKind::Holds => 4,
        BarKind::Works => 5,
        BarKind::Writes => 6,
    }
}

fn sign(bar: &Bar) -> char {
    match bar.kind {
        BarKind::Holds | BarKind::Works if bar.is_lost => LOST,
        kind => of_bar(kind).0,
    }
}

/// Draws a bar, as far as it is seen; says whether that shows which acquisition it belongs to.
fn draw(
    strip: &mut Strip,
    bar: &Bar,
    columns: Range<usize>,
    goes_on: bool,
    marks: &BTreeMap<usize, &Mark>,
    scale: &Scale,
) -> bool {
    let ink = match (bar.token, bar.kind) {
        _ if bar.is_lost => Ink::Bad,
        (Some(token), _) => Ink::Token(token),
        (None, BarKind::Waits | BarKind::Asks) => Ink::Quiet,
        (None, _) => Ink::Plain,
    };
    for column in columns.clone() {
        strip.put(column, sign(bar), ink);
    }
    // Whatever is written on a bar begins behind its first marks and ends before the next thing.
    let Some(begin) = columns.clone().find(|column| !marks.contains_key(column)) else {
        return false;
    };
    let next_break = scale.breaks.iter().map(|gap| gap.middle()).find(|middle| *middle >= begin);
    let next_mark = marks.range(begin..).next().map(|(column, _)| *column);
    let end = [Some(columns.end), next_break, next_mark].into_iter().flatten().min();
    let room = end.unwrap_or(begin).saturating_sub(begin);
    let letters = bar.token.filter(|_| !goes_on).map(letters).unwrap_or_default();
    // Where there is no room for both, the holder of a lock matters more than that it is held, and
    // what an actor does matters more than with which lock.
    let least = usize::from(bar.kind != BarKind::Holds);
    let written = if letters.len() + least <= room { letters.len() } else { 0 };
    if written > 0 {
        strip.put_text(begin, &letters, ink);
    }
    if let Some(label) = label(bar, room.saturating_sub(written)) {
        strip.put_text(begin + written + 1, &label, Ink::Plain);
    }
    written > 0
}

/// What stands on a bar: its label between blanks, if there is room for it and some of the bar on
/// both sides.
fn label(bar: &Bar, room: usize) -> Option<String> {
    let label = escape(&bar.label);
    let length = label.chars().count();
    // A character of two columns could be cut in half by what is drawn over it.
    let is_plain = || label.chars().all(|sign| columns(sign.encode_utf8(&mut [0; 4])) == 1);
    (length > 0 && length + 4 <= room && is_plain()).then(|| format!(" {label} "))
}
