//! What stands on the axis: round times where it is to scale, one time where it is not.

use super::axis::{Axis, Segment, SegmentKind};
use super::text::measure;
use super::{Label, SMALL};
use crate::clock::in_words;
use std::time::Duration;

/// How far apart round times are at least, in pixels.
const APART: f64 = 84.0;
/// Between two texts on the axis.
const BETWEEN: f64 = 10.0;
const SECOND: u64 = 1_000_000_000;

/// A round time.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// Where its line is.
    pub x: f64,
    /// What it says, if there is room.
    pub label: Option<Label>,
}

/// A part of the axis that is not to scale.
#[derive(Debug, Clone, PartialEq)]
pub struct Stretch {
    /// From where.
    pub x: f64,
    /// How far.
    pub width: f64,
    /// Whether it is a gap that was cut short.
    pub is_gap: bool,
    /// What it says, if there is room.
    pub label: Option<Label>,
}

/// What stands on an axis that lies from `left` to `left + width`, with its texts at `y`.
pub fn ticks(axis: &Axis, left: f64, width: f64, y: f64) -> (Vec<Tick>, Vec<Stretch>) {
    let mut taken: Vec<(f64, f64)> = Vec::new();
    let mut label = |text: String, center: f64| {
        let long = measure(&text, SMALL);
        let x = (center - long / 2.0).max(left - 20.0).min(left + width + 30.0 - long);
        let is_free = |(from, to): &(f64, f64)| x + long + BETWEEN < *from || to + BETWEEN < x;
        if !taken.iter().all(is_free) {
            return None;
        }
        taken.push((x, x + long));
        Some(Label { x, y, width: long, size: SMALL, text })
    };
    let mut stretches = Vec::new();
    let others = |segment: &&Segment| segment.kind != SegmentKind::Scale;
    for segment in axis.segments.iter().filter(others) {
        let (x, long) = (left + segment.from * width, (segment.to - segment.from) * width);
        let is_gap = segment.kind == SegmentKind::Gap;
        let label = label(in_short(segment), x + long / 2.0);
        stretches.push(Stretch { x, width: long, is_gap, label });
    }
    let mut ticks = Vec::new();
    let ordered = axis.segments.iter().filter(|it| it.kind == SegmentKind::Order);
    let beside: Vec<u64> = ordered.flat_map(|it| [it.begin, it.end]).collect();
    let Some(every) = round_step(axis, width) else { return (ticks, stretches) };
    for segment in axis.segments.iter().filter(|it| it.kind == SegmentKind::Scale) {
        let length = (segment.end - segment.begin).max(1) as f64;
        let origin = origin(segment, every);
        let mut passed = match origin {
            Some(_) => 0,
            None => segment.begin.next_multiple_of(every) - segment.begin,
        };
        while passed <= segment.end - segment.begin {
            let at = segment.begin + passed;
            let part = passed as f64 / length;
            let x = left + (segment.from + (segment.to - segment.from) * part) * width;
            let text = match (&origin, passed) {
                (Some(origin), 0) => origin.clone(),
                (Some(_), _) => format!("+{}", round(passed)),
                (None, _) => round(at),
            };
            let label = if beside.contains(&at) { None } else { label(text, x) };
            ticks.push(Tick { x, label });
            passed += every;
        }
    }
    (ticks, stretches)
}

/// What a part begins with whose round times are counted from there: they would be too long.
pub fn origin(segment: &Segment, every: u64) -> Option<String> {
    let is_fine = segment.begin >= 60 * SECOND && segment.begin / 1000 > every;
    is_fine.then(|| in_words(Duration::from_nanos(segment.begin)))
}

/// What is said of a part that is not to scale.
pub fn in_short(segment: &Segment) -> String {
    let words = |nanoseconds| in_words(Duration::from_nanos(nanoseconds));
    let length = segment.end - segment.begin;
    match segment.kind {
        SegmentKind::Gap => format!("{} cut short", words(length)),
        _ if length < 1000 => round(segment.begin / 1000 * 1000),
        _ if segment.begin == 0 => format!("0 + {}", words(length)),
        _ => format!("{} + {}", words(segment.begin), words(length)),
    }
}

/// The step of round times that is far enough apart.
fn round_step(axis: &Axis, width: f64) -> Option<u64> {
    let to_scale = axis.segments.iter().filter(|it| it.kind == SegmentKind::Scale);
    let longest = to_scale.max_by_key(|segment| segment.end - segment.begin)?;
    let pixels = (longest.to - longest.from) * width;
    let least = APART * (longest.end - longest.begin) as f64 / pixels.max(1e-9);
    steps().find(|step| *step as f64 >= least)
}

/// Steps that a person counts in, rising.
fn steps() -> impl Iterator<Item = u64> {
    let decimal = (0..9).flat_map(|digits| [1, 2, 5].map(|first| first * 10u64.pow(digits)));
    let seconds = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800];
    let hours = [1, 2, 3, 6, 12].map(|hours| hours * 3600);
    let days = (0..5).flat_map(|digits| [1, 2, 5].map(|first| first * 10u64.pow(digits) * 86_400));
    decimal.chain(seconds.into_iter().chain(hours).chain(days).map(|seconds| seconds * SECOND))
}

/// A round time, exactly: `0`, `500 us`, `1.5 s`, `2 min`, `1 h 30 min`.
pub fn round(nanoseconds: u64) -> String {
    match nanoseconds {
        0 => return "0".into(),
        1..1_000_000 => return format!("{} us", decimal(nanoseconds, 1000)),
        1_000_000..SECOND => return format!("{} ms", decimal(nanoseconds, 1_000_000)),
        _ => {}
    }
    let mut rest = nanoseconds;
    let mut parts = Vec::new();
    for (size, unit) in [(86_400, "d"), (3600, "h"), (60, "min")] {
        let size = size * SECOND;
        if rest >= size {
            parts.push(format!("{} {unit}", rest / size));
            rest %= size;
        }
    }
    if rest > 0 {
        parts.push(format!("{} s", decimal(rest, SECOND)));
    }
    parts.join(" ")
}

fn decimal(number: u64, unit: u64) -> String {
    let digits = unit.ilog10() as usize;
    let text = format!("{}.{:0digits$}", number / unit, number % unit);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_times_are_said_exactly() {
        for (nanoseconds, said) in [
            (0, "0"),
            (500, "0.5 us"),
            (20_000, "20 us"),
            (1_500_000, "1.5 ms"),
            (1_300_000_000, "1.3 s"),
            (90_000_000_000, "1 min 30 s"),
            (61_500_000_000, "1 min 1.5 s"),
            (7200 * SECOND, "2 h"),
            (86_400 * SECOND, "1 d"),
        ] {
            assert_eq!(round(nanoseconds), said);
        }
    }

    #[test]
    fn steps_rise() {
        assert!(steps().collect::<Vec<_>>().is_sorted());
    }
}
