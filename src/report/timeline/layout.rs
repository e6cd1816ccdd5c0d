//! The geometry of a timeline: what lies where, in pixels. Pure numbers, drawn by others.
//!
//! Nothing overlaps: a text that does not fit is shortened or left out, marks that would lie on one
//! another are one with their number, and so are the flags of findings.

pub mod axis;
pub mod legend;
pub mod rows;
pub mod text;
pub mod ticks;

use super::{LaneKind, Timeline};
use crate::clock::in_words;
use crate::report::wording::count;
use axis::Axis;
use legend::Key;
use rows::{Flag, Row};
use std::time::Duration;
use text::{fit, measure, wrap};
use ticks::{Stretch, Tick};

/// Sizes of text, in pixels.
pub const SMALL: f64 = 11.0;
/// What is read first after the title.
pub const NORMAL: f64 = 13.0;
/// The title.
pub const LARGE: f64 = 20.0;

/// How much wider bold text is.
pub const BOLD: f64 = 1.14;

/// Around everything.
pub const MARGIN: f64 = 24.0;
/// Between the plot and the right border: for numbers beside the last marks.
const RIGHT: f64 = 56.0;
/// How many findings are listed; the others are counted.
pub const LISTED: usize = 24;

/// A text at its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Label {
    /// Where it begins.
    pub x: f64,
    /// Its base line.
    pub y: f64,
    /// How wide it is at most.
    pub width: f64,
    /// The font's size.
    pub size: f64,
    /// What it says.
    pub text: String,
}

impl Label {
    /// A text that is known to fit.
    pub fn new(x: f64, y: f64, size: f64, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { x, y, width: measure(&text, size), size, text }
    }

    /// The same in bold.
    pub fn bold(x: f64, y: f64, size: f64, text: impl Into<String>) -> Self {
        let label = Self::new(x, y, size, text);
        Self { width: label.width * BOLD, ..label }
    }
}

/// A finding in words below the picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Its number.
    pub number: Label,
    /// The property.
    pub property: Label,
    /// The text.
    pub lines: Vec<Label>,
}

/// Everything at its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// How wide the picture is.
    pub width: f64,
    /// How high.
    pub height: f64,
    /// Where the plot begins.
    pub left: f64,
    /// How wide it is.
    pub plot: f64,
    /// The top of the findings' flags.
    pub flags_top: f64,
    /// Where the lanes begin.
    pub top: f64,
    /// Where they end.
    pub bottom: f64,
    /// Title, and what is said of the whole.
    pub head: Vec<Label>,
    /// Time.
    pub axis: Axis,
    /// Round times.
    pub ticks: Vec<Tick>,
    /// What is not to scale.
    pub stretches: Vec<Stretch>,
    /// The lanes, in their order.
    pub rows: Vec<Row>,
    /// The findings' numbers above the lanes.
    pub flags: Vec<Flag>,
    /// What signs mean.
    pub legend: Vec<Key>,
    /// The findings in words.
    pub told: Vec<Told>,
    /// What else has to be said.
    pub notes: Vec<Label>,
}

impl Layout {
    /// Lays a timeline out in this width; with all that is said around the lanes, or only these.
    pub fn new(timeline: &Timeline, width: f64, is_whole: bool) -> Self {
        let left = (width * 0.17).clamp(96.0, 200.0);
        let plot = (width - left - RIGHT).max(120.0);
        let axis = Axis::new(timeline, plot);
        let head = if is_whole { head(timeline, width) } else { Vec::new() };
        let flags_top = head.last().map_or(-10.0, |label| label.y) + 18.0;
        let top = flags_top + if timeline.findings.is_empty() { 4.0 } else { 28.0 };
        let (rows, bottom) = rows::rows(timeline, &axis, left, plot, top);
        let flags = rows::flags(timeline, &axis, &rows, left, plot, flags_top);
        let (ticks, stretches) = ticks::ticks(&axis, left, plot, bottom + 20.0);
        let mut foot = Foot { y: bottom + 16.0, width, told: Vec::new(), notes: Vec::new() };
        let mut legend = Vec::new();
        if is_whole {
            let left_out = rows.iter().map(|row| row.left_out).sum();
            (legend, foot.y) = legend::legend(timeline, &stretches, width, bottom + 40.0);
            foot.write(timeline, left_out);
        }
        let Foot { y, told, notes, .. } = foot;
        let height = y + MARGIN - 8.0;
        Self {
            width,
            height,
            left,
            plot,
            flags_top,
            top,
            bottom,
            head,
            axis,
            ticks,
            stretches,
            rows,
            flags,
            legend,
            told,
            notes,
        }
    }

    /// All texts, for those who check them.
    pub fn texts(&self) -> impl Iterator<Item = &Label> {
        let rows = self.rows.iter().flat_map(Row::texts);
        let told = self
            .told
            .iter()
            .flat_map(|told| [&told.number, &told.property].into_iter().chain(&told.lines));
        let axis = self.ticks.iter().filter_map(|tick| tick.label.as_ref());
        let axis = axis.chain(self.stretches.iter().filter_map(|it| it.label.as_ref()));
        let flags = self.flags.iter().map(|flag| &flag.label);
        let legend = self.legend.iter().map(|key| &key.label);
        self.head
            .iter()
            .chain(rows)
            .chain(axis)
            .chain(flags)
            .chain(legend)
            .chain(told)
            .chain(&self.notes)
    }
}

fn head(timeline: &Timeline, width: f64) -> Vec<Label> {
    let room = width - 2.0 * MARGIN;
    let title = if timeline.title.is_empty() { "a history" } else { &timeline.title };
    let title = fit(title, LARGE * BOLD, room).unwrap_or_default();
    let mut head = vec![Label::bold(MARGIN, 40.0, LARGE, title)];
    let mut y = 40.0;
    for line in wrap(&summary(timeline), NORMAL, room) {
        y += 20.0;
        head.push(Label::new(MARGIN, y, NORMAL, line));
    }
    head
}

/// What is said of the whole in a line.
pub fn summary(timeline: &Timeline) -> String {
    let lasted = Duration::from_nanos(timeline.end.at.saturating_sub(timeline.begin.at));
    let of = |kind| timeline.lanes.iter().filter(move |lane| lane.kind == kind);
    let actors: usize = of(LaneKind::Actor).map(|lane| lane.stands_for).sum();
    let found = timeline.findings.len() + usize::try_from(timeline.omitted).unwrap_or(usize::MAX);
    let mut parts = Vec::new();
    if !timeline.protocol.is_empty() {
        parts.push(format!("{} protocol", timeline.protocol));
    }
    parts.push(in_words(lasted));
    parts.push(count(actors, "actor", "actors"));
    parts.push(count(timeline.tokens.len(), "acquisition", "acquisitions"));
    parts.push(match found {
        0 if timeline.is_whole => "nothing found".into(),
        _ => count(found, "finding", "findings"),
    });
    if !timeline.is_whole {
        parts.push("the history has no end: there may be more".into());
    }
    parts.join(" · ")
}

/// What stands below the legend.
struct Foot {
    y: f64,
    width: f64,
    told: Vec<Told>,
    notes: Vec<Label>,
}

impl Foot {
    fn write(&mut self, timeline: &Timeline, left_out: usize) {
        let listed = timeline.findings.len().min(LISTED);
        let more = (timeline.findings.len() - listed) as u64 + timeline.omitted;
        for remark in timeline.findings.iter().take(listed) {
            self.y += 26.0;
            let x = MARGIN + measure(&"0".repeat(digits(listed)), SMALL * BOLD) + 20.0;
            let number = remark.number.to_string();
            let number = Label::bold(MARGIN + 6.0, self.y - 1.0, SMALL, number);
            let property = Label::bold(x, self.y, NORMAL, remark.property.replace('_', " "));
            let mut lines = Vec::new();
            for line in wrap(&remark.text, NORMAL, (self.width - MARGIN - x).min(900.0)) {
                self.y += 18.0;
                lines.push(Label::new(x, self.y, NORMAL, line));
            }
            self.told.push(Told { number, property, lines });
        }
        if more > 0 {
            self.note(&format!("and {more} more findings"));
        }
        if left_out > 0 {
            self.note(&format!("{left_out} bars are too short to be drawn at this scale"));
        }
    }

    fn note(&mut self, text: &str) {
        self.y += 8.0;
        for line in wrap(text, NORMAL, self.width - 2.0 * MARGIN) {
            self.y += 18.0;
            self.notes.push(Label::new(MARGIN, self.y, NORMAL, line));
        }
    }
}

fn digits(number: usize) -> usize {
    number.max(1).ilog10() as usize + 1
}

#[cfg(test)]
mod tests;
