//! The lanes, with what lies on them, and the findings' flags above them.

use super::super::{Bar, BarKind, Lane, LaneKind, Mark, MarkKind, Timeline};
use super::axis::Axis;
use super::text::{fit, fit_ends, measure};
use super::{BOLD, Label, MARGIN, NORMAL, SMALL};
use crate::clock::in_words;
use std::collections::BTreeMap;
use std::time::Duration;

/// How far apart the middles of two marks are at least.
const MARK: f64 = 15.0;
/// Bars of one lane beyond this number are drawn only where they can be seen.
const MANY: usize = 2000;
/// Narrower than this, in pixels, a bar among many is not drawn if it lies on the last one.
const UNSEEN: f64 = 0.3;
/// The height of a flag.
pub const FLAG: f64 = 18.0;

/// A lane at its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its top.
    pub y: f64,
    /// Its height, with what is left free below it.
    pub height: f64,
    /// The top of its bars.
    pub bar_y: f64,
    /// Their height.
    pub bar_height: f64,
    /// The middle of its marks.
    pub mark_y: f64,
    /// Its name, and what else stands before it.
    pub names: Vec<Label>,
    /// How much of its name is left out where that is too long, so that it differs from others.
    pub alike: usize,
    /// Its bars.
    pub pieces: Vec<Piece>,
    /// Its marks.
    pub spots: Vec<Spot>,
    /// How many of its bars are not drawn.
    pub left_out: usize,
}

/// A bar at its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// Which of the lane's bars it is.
    pub bar: usize,
    /// Where it begins.
    pub x: f64,
    /// How wide it is.
    pub width: f64,
    /// What stands on it, if there is room.
    pub label: Option<Label>,
}

/// Marks at their place.
#[derive(Debug, Clone, PartialEq)]
pub struct Spot {
    /// The first of the lane's marks that it is.
    pub first: usize,
    /// How many of them.
    pub marks: usize,
    /// The middle.
    pub x: f64,
    /// The gravest of their kinds.
    pub kind: MarkKind,
    /// Their number, if it is more than one.
    pub label: Option<Label>,
}

impl Row {
    /// All texts.
    pub fn texts(&self) -> impl Iterator<Item = &Label> {
        let pieces = self.pieces.iter().filter_map(|piece| piece.label.as_ref());
        let spots = self.spots.iter().filter_map(|spot| spot.label.as_ref());
        self.names.iter().chain(pieces).chain(spots)
    }
}

/// Findings at their place.
#[derive(Debug, Clone, PartialEq)]
pub struct Flag {
    /// The first of the timeline's findings that it is.
    pub first: usize,
    /// How many of them.
    pub findings: usize,
    /// Where the line below it is.
    pub x: f64,
    /// The box's left.
    pub left: f64,
    /// The box's top.
    pub top: f64,
    /// The box's width.
    pub width: f64,
    /// Until where the line goes.
    pub bottom: f64,
    /// On which lanes it has a ring.
    pub rows: Vec<usize>,
    /// The number or numbers.
    pub label: Label,
}

/// The lanes from `top` on, and where they end.
pub fn rows(timeline: &Timeline, axis: &Axis, left: f64, plot: f64, top: f64) -> (Vec<Row>, f64) {
    let mut rows = Vec::new();
    let mut y = top;
    let mut last = None;
    for (lane, alike) in timeline.lanes.iter().zip(alike(&timeline.lanes)) {
        if last.is_some_and(|last| last != LaneKind::Flag && last != LaneKind::Actor)
            && lane.kind != LaneKind::Flag
            || last == Some(LaneKind::Flag)
        {
            y += 8.0;
        }
        last = Some(lane.kind);
        let strip = if lane.marks.is_empty() { 3.0 } else { 17.0 };
        let bar_height = match lane.kind {
            LaneKind::Lock => 26.0,
            LaneKind::Flag => 10.0,
            LaneKind::Actor if lane.stands_for > 1 => 26.0,
            LaneKind::Actor => 22.0,
        };
        let bar_y = y + strip;
        let height = strip + bar_height + 7.0;
        let mut row = Row {
            y,
            height,
            bar_y,
            bar_height,
            mark_y: y + strip / 2.0 - 0.5,
            names: names(lane, left, bar_y + bar_height / 2.0, alike),
            alike,
            pieces: Vec::new(),
            spots: spots(lane, axis, left, plot, y + strip / 2.0 + 3.5),
            left_out: 0,
        };
        row.draw_bars(lane, axis, left, plot);
        rows.push(row);
        y += height;
    }
    (rows, y)
}

/// How many characters of each lane's name can go so that what makes it differ from others of its
/// kind is seen; none, where its ends tell it apart.
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

fn names(lane: &Lane, left: f64, middle: f64, alike: usize) -> Vec<Label> {
    let room = left - MARGIN - 12.0;
    let base = middle + 4.5;
    let name = |size: f64| match alike {
        0 => fit_ends(&lane.name, size, room),
        _ if measure(&lane.name, size) <= room => lane.name.clone(),
        _ => {
            let rest: String = lane.name.chars().skip(alike).collect();
            fit(&format!("…{rest}"), size, room).unwrap_or_default()
        }
    };
    match (lane.kind, lane.name.split_once(": ").filter(|_| lane.stands_for > 1)) {
        (_, Some((number, outcome))) => vec![
            Label::new(MARGIN, middle - 2.5, NORMAL, fit_ends(number, NORMAL, room)),
            Label::new(MARGIN, middle + 11.0, SMALL, fit_ends(outcome, SMALL, room)),
        ],
        (LaneKind::Actor, _) => {
            vec![Label::new(MARGIN, base, NORMAL, name(NORMAL))]
        }
        (LaneKind::Flag, _) => vec![Label::new(MARGIN, base - 0.5, SMALL, "flag")],
        (LaneKind::Lock, _) => vec![
            Label::new(MARGIN, middle - 2.5, NORMAL, "lock"),
            Label::new(MARGIN, middle + 11.0, SMALL, name(SMALL)),
        ],
    }
}

impl Row {
    fn draw_bars(&mut self, lane: &Lane, axis: &Axis, left: f64, plot: f64) {
        let mut last: Option<f64> = None;
        let base = self.bar_y + self.bar_height / 2.0 + 4.0;
        for (position, bar) in lane.bars.iter().enumerate() {
            let x = left + axis.place(bar.begin) * plot;
            let end = left + axis.place(bar.end) * plot;
            let next = lane.bars.get(position + 1);
            let next = next.map_or(left + plot, |next| left + axis.place(next.begin) * plot);
            // What lasts no time is seen all the same, as far as the next leaves room.
            let width = (end - x).max((next - x).clamp(0.0, 2.0));
            if lane.bars.len() > MANY
                && width < UNSEEN
                && last.is_some_and(|last| x - last < UNSEEN)
            {
                self.left_out += 1;
                continue;
            }
            last = Some(x);
            let label = on_bar(lane, bar, width - 8.0);
            let label = label.map(|text| Label::new(x + 5.0, base, SMALL, text));
            self.pieces.push(Piece { bar: position, x, width, label });
        }
    }
}

/// A letter for an acquisition: `A` to `Z`, then `AA`.
pub fn letter(token: usize) -> String {
    let last = char::from(b'A' + (token % 26) as u8);
    match token / 26 {
        0 => last.to_string(),
        more => letter(more - 1) + &last.to_string(),
    }
}

/// The most that fits of what can be said on a bar.
fn on_bar(lane: &Lane, bar: &Bar, room: f64) -> Option<String> {
    said(lane, bar)
        .into_iter()
        .find_map(|text| (measure(&text, SMALL) <= room).then_some(text))
        .or_else(|| match lane.kind {
            LaneKind::Flag => None,
            _ if room < 60.0 || bar.kind == BarKind::Many => None,
            _ => fit(said(lane, bar).get(1)?, SMALL, room),
        })
        .or_else(|| bar.token.map(letter).filter(|text| measure(text, SMALL) <= room))
}

/// What can be said on a bar, the longest first.
pub fn said(lane: &Lane, bar: &Bar) -> Vec<String> {
    if lane.kind == LaneKind::Flag {
        return Vec::new();
    }
    let lasted = Duration::from_nanos(bar.end.at.saturating_sub(bar.begin.at));
    let letter = bar.token.map(|token| letter(token) + " · ").unwrap_or_default();
    let lost = if bar.is_lost { " without the lock" } else { "" };
    let what = match (lane.kind, bar.kind) {
        (LaneKind::Actor, BarKind::Holds) if bar.is_lost => "believes to hold".to_owned(),
        _ => format!("{}{lost}", bar.label),
    };
    if bar.kind == BarKind::Many {
        let number = bar.label.split(' ').next().filter(|_| !bar.label.contains(','));
        return [Some(bar.label.as_str()), number]
            .into_iter()
            .flatten()
            .map(str::to_owned)
            .collect();
    }
    let mut said = Vec::new();
    if !lasted.is_zero() {
        said.push(format!("{letter}{what} · {}", in_words(lasted)));
    }
    said.push(format!("{letter}{what}"));
    said.push(format!("{letter}{}", bar.label));
    said
}

/// The marks, those that would lie on one another together.
fn spots(lane: &Lane, axis: &Axis, left: f64, plot: f64, base: f64) -> Vec<Spot> {
    let mut spots: Vec<(Spot, usize)> = Vec::new();
    for (position, mark) in lane.marks.iter().enumerate() {
        let x = left + axis.place(mark.at) * plot;
        let beside = |(spot, times): &&mut (Spot, usize)| x < spot.x + MARK + room_of(*times);
        match spots.last_mut().filter(|last| beside(last)) {
            Some((spot, times)) => {
                spot.marks += 1;
                spot.kind = gravest(spot.kind, mark.kind);
                *times += mark.times;
            }
            None => {
                let spot = Spot { first: position, marks: 1, x, kind: mark.kind, label: None };
                spots.push((spot, mark.times));
            }
        }
    }
    let label = |(spot, times): (Spot, usize)| {
        let text = said_times(times);
        let label = text.map(|text| Label::new(spot.x + 7.0, base, SMALL - 1.0, text));
        Spot { label, ..spot }
    };
    spots.into_iter().map(label).collect()
}

/// What is said of a number of marks beside them.
pub fn said_times(times: usize) -> Option<String> {
    match times {
        0 | 1 => None,
        2..1000 => Some(format!("×{times}")),
        _ => Some("×1000+".into()),
    }
}

fn room_of(times: usize) -> f64 {
    said_times(times).map_or(0.0, |text| measure(&text, SMALL - 1.0) + 2.0)
}

/// Of two kinds of marks the one that stands for both.
fn gravest(one: MarkKind, other: MarkKind) -> MarkKind {
    if gravity(one) >= gravity(other) { one } else { other }
}

/// How grave a mark is.
pub fn gravity(kind: MarkKind) -> usize {
    match kind {
        MarkKind::Extended => 0,
        MarkKind::Refused => 1,
        MarkKind::Fault => 2,
        MarkKind::Expired => 3,
        MarkKind::Failed => 4,
        MarkKind::Cleared => 5,
        MarkKind::Crashed => 6,
    }
}

/// What a spot tells in full: its marks' own words, as many as anybody reads.
pub fn told(marks: &[Mark]) -> String {
    const READ: usize = 6;
    let mut told: Vec<&str> = marks.iter().take(READ).map(|mark| mark.detail.as_str()).collect();
    let more = marks.len().checked_sub(READ).filter(|more| *more > 0);
    let more = more.map(|more| format!("and {more} more"));
    told.extend(more.as_deref());
    told.join("\n")
}

/// The findings' flags, those that would lie on one another together.
pub fn flags(
    timeline: &Timeline,
    axis: &Axis,
    rows: &[Row],
    left: f64,
    plot: f64,
    top: f64,
) -> Vec<Flag> {
    let edges = (left - 40.0, left + plot + 40.0);
    let mut flags: Vec<Flag> = Vec::new();
    for (position, remark) in timeline.findings.iter().enumerate() {
        let bottom = remark.lanes.iter().filter_map(|lane| rows.get(*lane));
        let bottom = bottom.map(|row| row.bar_y + row.bar_height).fold(top + FLAG, f64::max);
        let mut flag = Flag {
            first: position,
            findings: 1,
            x: left + axis.place(remark.at) * plot,
            left: 0.0,
            top,
            width: 0.0,
            bottom,
            rows: remark.lanes.clone(),
            label: Label::new(0.0, 0.0, SMALL, ""),
        };
        flag.place(edges);
        // A flag with more numbers is wider, and may reach the one before.
        while let Some(last) = flags.pop_if(|last| flag.left < last.left + last.width + 6.0) {
            flag = last.and(flag);
            flag.place(edges);
        }
        flags.push(flag);
    }
    flags
}

impl Flag {
    /// Puts the box above the line, between these edges.
    fn place(&mut self, edges: (f64, f64)) {
        let (first, last) = (self.first + 1, self.first + self.findings);
        let text = if first == last { first.to_string() } else { format!("{first}–{last}") };
        let wide = measure(&text, SMALL * BOLD);
        self.width = (wide + 8.0).max(FLAG);
        self.left = (self.x - self.width / 2.0).max(edges.0).min(edges.1 - self.width);
        let x = self.left + (self.width - wide) / 2.0;
        self.label = Label::bold(x, self.top + 13.0, SMALL, text);
    }

    fn and(mut self, later: Self) -> Self {
        self.findings += later.findings;
        self.bottom = self.bottom.max(later.bottom);
        self.rows.extend(later.rows);
        self.rows.sort_unstable();
        self.rows.dedup();
        self
    }
}
