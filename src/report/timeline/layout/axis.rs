//! Where a moment lies from left to right.
//!
//! Time is drawn to scale wherever that can be read. Where much happens at one time, or so close
//! together that it would fall on one spot, it is drawn in its order, each a step further; a gap
//! that dwarfs everything else is cut short. Both are said on the picture.

use super::super::{Timeline, when};
use lock_history::history::Moment;
use serde::Serialize;
use std::collections::HashSet;
use std::ops::Range;

/// A gap is cut short if it is longer than all the rest by this factor.
const DWARFS: u64 = 20;
/// What is closer together than this, in pixels, can't be distinguished.
const CLOSE: f64 = 5.0;
/// The most parts that are drawn in order: more would tear the picture to pieces.
const PARTS: usize = 6;
/// How wide a step in order is at most, and at least: less would not help.
const STEP: (f64, f64) = (14.0, 2.0);

/// The axis: moments on one side, parts of the plot's width on the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    points: Vec<(u64, u64)>,
    places: Vec<f64>,
    /// From left to right, without gaps.
    pub segments: Vec<Segment>,
}

/// A part of the axis that is drawn in one way.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Segment {
    /// How.
    pub kind: SegmentKind,
    /// Where it begins, of 1.
    pub from: f64,
    /// Where it ends, of 1.
    pub to: f64,
    /// When it begins, in nanoseconds.
    pub begin: u64,
    /// When it ends.
    pub end: u64,
}

/// How a part of the axis is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SegmentKind {
    /// To scale, all such parts to one.
    Scale,
    /// In order, not to scale.
    Order,
    /// Cut short; nothing happens in it.
    Gap,
}

impl Axis {
    /// The axis of a timeline on a plot of this width in pixels.
    pub fn new(timeline: &Timeline, width: f64) -> Self {
        let points = points(timeline);
        let pairs = points.iter().zip(points.iter().skip(1));
        let gaps: Vec<u64> = pairs.map(|(one, next)| next.0 - one.0).collect();
        let found =
            |point: &(u64, u64)| timeline.findings.iter().any(|remark| when(remark.at) == *point);
        let found: Vec<bool> = points.iter().map(found).collect();
        let mut kinds = kinds(&gaps, width);
        keep_the_fullest(&mut kinds, &found);
        let widths = widths(&gaps, &kinds, width);
        let sum: f64 = widths.iter().sum();
        let mut place = 0.0;
        let mut passed = |width: &f64| {
            place += width / sum;
            f64::min(place, 1.0)
        };
        let places: Vec<f64> = [0.0].into_iter().chain(widths.iter().map(&mut passed)).collect();
        let segments = segments(&points, &places, &kinds);
        Self { points, places, segments }
    }

    /// Where a moment lies, of 1. What is not drawn lies where its time is.
    pub fn place(&self, moment: Moment) -> f64 {
        match self.points.binary_search(&when(moment)) {
            Ok(point) => self.at(point),
            Err(point) => self.between(moment.at, point),
        }
    }

    fn at(&self, point: usize) -> f64 {
        self.places.get(point).or(self.places.last()).copied().unwrap_or_default()
    }

    fn between(&self, at: u64, next: usize) -> f64 {
        let Some(last) = next.checked_sub(1) else { return 0.0 };
        let time = |point: usize| self.points.get(point).map_or(at, |point| point.0);
        let (from, to) = (self.at(last), self.at(next));
        let length = time(next).saturating_sub(time(last));
        let passed = at.saturating_sub(time(last));
        if length == 0 { to } else { from + (to - from) * (passed as f64 / length as f64) }
    }
}

/// All moments at which something drawn begins, ends or happens. A bar that ends where the next of
/// its lane begins, with nothing between, ends there.
fn points(timeline: &Timeline) -> Vec<(u64, u64)> {
    let mut points: Vec<(u64, u64)> = Vec::new();
    for lane in &timeline.lanes {
        points.extend(lane.bars.iter().flat_map(|bar| [when(bar.begin), when(bar.end)]));
        points.extend(lane.marks.iter().map(|mark| when(mark.at)));
    }
    points.extend(timeline.findings.iter().map(|remark| when(remark.at)));
    points.sort_unstable();
    points.dedup();
    let (begin, end) = (when(timeline.begin), when(timeline.end));
    let moment = (end.0 - begin.0.min(end.0)) / 2000;
    let met: HashSet<(u64, u64)> = timeline
        .lanes
        .iter()
        .flat_map(|lane| lane.bars.windows(2))
        .filter_map(|pair| {
            let [one, next] = pair else { return None };
            let (end, begin) = (when(one.end), when(next.begin));
            let after = points.partition_point(|point| *point <= end);
            let meets = end < begin && begin.0 - end.0 <= moment && when(one.begin) < end;
            (meets && points.get(after) == Some(&begin)).then_some(end)
        })
        .collect();
    points.retain(|point| !met.contains(point));
    if points.first().is_none_or(|first| begin.0 < first.0) {
        points.insert(0, begin);
    }
    if points.last().is_none_or(|last| last.0 < end.0) {
        points.push(end);
    }
    points
}

fn kinds(gaps: &[u64], width: f64) -> Vec<SegmentKind> {
    let mut kinds = vec![SegmentKind::Scale; gaps.len()];
    let cut = cut(gaps);
    for gap in &cut {
        if let Some(kind) = kinds.get_mut(*gap) {
            *kind = SegmentKind::Gap;
        }
    }
    let room = width - cut.len() as f64 * gap_width(cut.len(), width);
    let mut rest: Vec<(&mut SegmentKind, u64)> =
        kinds.iter_mut().zip(gaps.iter().copied()).collect();
    rest.retain(|(kind, _)| **kind == SegmentKind::Scale);
    let lengths: Vec<u64> = rest.iter().map(|(_, length)| *length).collect();
    if let Some(close) = close(&lengths, room) {
        for (kind, _) in rest.into_iter().filter(|(_, length)| *length <= close) {
            *kind = SegmentKind::Order;
        }
    }
    kinds
}

/// Of many parts in order, leaves those with findings and then those with most points.
fn keep_the_fullest(kinds: &mut [SegmentKind], found: &[bool]) {
    let mut runs: Vec<(bool, Range<usize>)> = Vec::new();
    for gap in (0..kinds.len()).filter(|gap| kinds.get(*gap) == Some(&SegmentKind::Order)) {
        let is_found = found.get(gap..gap + 2).is_some_and(|ends| ends.contains(&true));
        match runs.last_mut().filter(|(_, last)| last.end == gap) {
            Some((has_found, last)) => (*has_found, last.end) = (*has_found || is_found, gap + 1),
            None => runs.push((is_found, gap..gap + 1)),
        }
    }
    if runs.len() <= PARTS {
        return;
    }
    runs.sort_by_key(|(is_found, run)| std::cmp::Reverse((*is_found, run.len())));
    for (_, run) in runs.into_iter().skip(PARTS) {
        kinds.get_mut(run).unwrap_or_default().fill(SegmentKind::Scale);
    }
}

/// The gaps that dwarf all the rest.
fn cut(gaps: &[u64]) -> Vec<usize> {
    let mut longest: Vec<usize> = (0..gaps.len()).filter(|gap| gaps.get(*gap) > Some(&0)).collect();
    longest.sort_by_key(|gap| std::cmp::Reverse(gaps.get(*gap)));
    let mut rest: u64 = gaps.iter().fold(0, |sum, gap| sum.saturating_add(*gap));
    let mut cut = Vec::new();
    for (position, gap) in longest.iter().enumerate() {
        let length = gaps.get(*gap).copied().unwrap_or(0);
        rest = rest.saturating_sub(length);
        let are_left = longest.len() - position > 2;
        if !are_left || length / DWARFS < rest {
            break;
        }
        cut.push(*gap);
    }
    cut
}

fn gap_width(number: usize, width: f64) -> f64 {
    width * (0.45 / number.max(1) as f64).min(0.26)
}

/// Up to what length gaps are drawn as steps in order; nothing, if steps would be too small to help.
fn close(gaps: &[u64], room: f64) -> Option<u64> {
    let sum: u64 = gaps.iter().fold(0, |sum, gap| sum.saturating_add(*gap));
    if sum == 0 {
        return Some(0);
    }
    let limit = |pixels: f64| (pixels / room * sum as f64) as u64;
    let up_to = |limit: u64| gaps.iter().filter(|gap| **gap <= limit).count();
    let mut close = limit(CLOSE);
    for _ in 0..3 {
        let step = step(up_to(close), room);
        if step < STEP.1 {
            return None;
        }
        close = close.min(limit(step));
    }
    Some(close)
}

fn step(number: usize, room: f64) -> f64 {
    (room * 0.36 / number.max(1) as f64).min(STEP.0)
}

fn widths(gaps: &[u64], kinds: &[SegmentKind], width: f64) -> Vec<f64> {
    let number = |kind| kinds.iter().filter(|other| **other == kind).count();
    let cut = gap_width(number(SegmentKind::Gap), width);
    let room = width - number(SegmentKind::Gap) as f64 * cut;
    let steps = number(SegmentKind::Order);
    let to_scale = gaps.iter().zip(kinds).filter(|(_, kind)| **kind == SegmentKind::Scale);
    let sum: f64 = to_scale.map(|(length, _)| *length as f64).sum();
    let step = if sum > 0.0 { step(steps, room) } else { room / steps.max(1) as f64 };
    let scale = (room - step * steps as f64) / sum.max(1.0);
    let one = |(length, kind): (&u64, &SegmentKind)| match kind {
        SegmentKind::Scale => *length as f64 * scale,
        SegmentKind::Order => step,
        SegmentKind::Gap => cut,
    };
    gaps.iter().zip(kinds).map(one).collect()
}

fn segments(points: &[(u64, u64)], places: &[f64], kinds: &[SegmentKind]) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    for ((kind, pair), place) in kinds.iter().zip(points.windows(2)).zip(places.windows(2)) {
        let (&[(begin, _), (end, _)], &[from, to]) = (pair, place) else { continue };
        match segments.last_mut().filter(|last| last.kind == *kind) {
            Some(last) => (last.end, last.to) = (end, to),
            None => segments.push(Segment { kind: *kind, from, to, begin, end }),
        }
    }
    segments
}
