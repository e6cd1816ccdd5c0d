//! The geometry that a timeline has in every picture of it: where the lanes lie, and what is where
//! in time. What fits on them at some width is up to the code that draws.

pub mod axis;
pub mod text;

use super::{Lane, LaneKind, Timeline};
use crate::report::wording::{count, nanoseconds};
use axis::Axis;
use lock_history::history::Moment;
use std::collections::BTreeMap;
use text::{fit, fit_ends, measure};

/// Sizes of text, in pixels.
pub const SMALL: f64 = 11.0;
/// What is read first after the title.
pub const NORMAL: f64 = 13.0;

/// Around everything.
pub const MARGIN: f64 = 24.0;
/// Between the plot and the right border: for numbers beside the last marks.
const RIGHT: f64 = 56.0;
/// How many findings are listed; the others are counted.
pub const LISTED: usize = 24;

/// Everything that lies where it lies in every picture of this width.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout<'a> {
    /// How wide the picture is.
    pub width: f64,
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
    /// Time.
    pub axis: Axis,
    /// The lanes, in their order.
    pub rows: Vec<Row<'a>>,
}

/// A lane at its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Row<'a> {
    /// The lane.
    pub lane: &'a Lane,
    /// The top of its bars.
    pub bar_y: f64,
    /// Their height.
    pub bar_height: f64,
    /// The middle of its marks.
    pub mark_y: f64,
    /// Its name, and what else stands before it.
    pub names: Vec<Name<'a>>,
    /// How much of its name is left out where that is too long, so that it differs from others.
    pub alike: usize,
}

/// A text before a lane.
#[derive(Debug, Clone, PartialEq)]
pub struct Name<'a> {
    /// Its base line.
    pub y: f64,
    /// The font's size.
    pub size: f64,
    /// All of it.
    pub full: &'a str,
    /// As much of it as there is room for.
    pub shown: String,
}

impl<'a> Layout<'a> {
    /// Lays a timeline out in this width, below something that ends there.
    pub fn new(timeline: &'a Timeline, width: f64, above: f64) -> Self {
        let left = (width * 0.17).clamp(96.0, 200.0);
        let plot = (width - left - RIGHT).max(120.0);
        let flags_top = above + 18.0;
        let top = flags_top + if timeline.findings.is_empty() { 4.0 } else { 28.0 };
        let mut bottom = top;
        let mut rows = Vec::new();
        let mut last = None;
        for (lane, alike) in timeline.lanes.iter().zip(alike(&timeline.lanes)) {
            use LaneKind::{Actor, Flag, Lock};
            if matches!((last, lane.kind), (Some(Flag), _) | (Some(Lock), Lock | Actor)) {
                bottom += 8.0;
            }
            last = Some(lane.kind);
            let strip = if lane.marks.is_empty() { 3.0 } else { 17.0 };
            let bar_height = match lane.kind {
                Flag => 10.0,
                Actor if lane.stands_for <= 1 => 22.0,
                Lock | Actor => 26.0,
            };
            let bar_y = bottom + strip;
            let names = names(lane, left - MARGIN - 12.0, bar_y + bar_height / 2.0, alike);
            let mark_y = bottom + strip / 2.0 - 0.5;
            rows.push(Row { lane, bar_y, bar_height, mark_y, names, alike });
            bottom += strip + bar_height + 7.0;
        }
        let axis = Axis::new(timeline, plot);
        Self { width, left, plot, flags_top, top, bottom, axis, rows }
    }

    /// Where a moment lies, in pixels.
    pub fn x(&self, moment: Moment) -> f64 {
        self.left + self.axis.place(moment) * self.plot
    }
}

/// How many characters of each lane's name can go so that what makes it differ from others of its
/// kind is seen; none, where its ends distinguish it.
fn alike(lanes: &[Lane]) -> Vec<usize> {
    const ENDS: usize = 7;
    let ends = |name: &str| -> String {
        let back: Vec<char> = name.chars().rev().take(ENDS * 2).collect();
        name.chars().take(ENDS).chain(back).collect()
    };
    let mut by_ends: BTreeMap<(LaneKind, String), Vec<&str>> = BTreeMap::new();
    for lane in lanes {
        by_ends.entry((lane.kind, ends(&lane.name))).or_default().push(&lane.name);
    }
    let alike = |lane: &Lane| {
        let others = by_ends.get(&(lane.kind, ends(&lane.name)))?;
        let other = others.iter().filter(|other| **other != lane.name);
        let common =
            |other: &&str| lane.name.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
        other.map(common).max().map(|common| common.saturating_sub(ENDS * 2))
    };
    lanes.iter().map(|lane| alike(lane).unwrap_or(0)).collect()
}

fn names(lane: &Lane, room: f64, middle: f64, alike: usize) -> Vec<Name<'_>> {
    let name = |y: f64, size: f64, full| Name { y, size, full, shown: fit_ends(full, size, room) };
    let own = |y: f64, size: f64| {
        let mut own = name(y, size, &lane.name);
        if alike > 0 && measure(&lane.name, size) > room {
            let rest: String = lane.name.chars().skip(alike).collect();
            own.shown = fit(&format!("…{rest}"), size, room).unwrap_or_default();
        }
        own
    };
    let (above, below) = (middle - 2.5, middle + 11.0);
    match (lane.kind, lane.name.split_once(": ").filter(|_| lane.stands_for > 1)) {
        (_, Some((number, outcome))) => {
            vec![name(above, NORMAL, number), name(below, SMALL, outcome)]
        }
        (LaneKind::Actor, _) => vec![own(middle + 4.5, NORMAL)],
        (LaneKind::Flag, _) => vec![name(middle + 4.0, SMALL, "flag")],
        (LaneKind::Lock, _) => vec![name(above, NORMAL, "lock"), own(below, SMALL)],
    }
}

/// What a timeline is called.
pub fn title(timeline: &Timeline) -> &str {
    if timeline.title.is_empty() { "a history" } else { &timeline.title }
}

/// What is said of the whole in a line.
pub fn summary(timeline: &Timeline) -> String {
    let of = |kind| timeline.lanes.iter().filter(move |lane| lane.kind == kind);
    let actors: usize = of(LaneKind::Actor).map(|lane| lane.stands_for).sum();
    let found = timeline.findings.len() + usize::try_from(timeline.omitted).unwrap_or(usize::MAX);
    let mut parts = Vec::new();
    if !timeline.protocol.is_empty() {
        parts.push(format!("{} protocol", timeline.protocol));
    }
    parts.push(nanoseconds(timeline.end.at.saturating_sub(timeline.begin.at)));
    parts.extend(timeline.time_span());
    parts.push(count(actors, "actor", "actors"));
    parts.push(count(timeline.tokens.len(), "acquisition", "acquisitions"));
    parts.push(match found {
        0 if timeline.is_complete => "nothing found".into(),
        _ => count(found, "finding", "findings"),
    });
    if !timeline.is_complete {
        parts.push("the history has no end: there may be more".into());
    }
    parts.join(" · ")
}
