//! The axis: round times where it is to scale, one time where it is not.

use super::super::layout::axis::{Axis, Segment, SegmentKind};
use super::super::layout::text::measure;
use super::super::layout::{Layout, SMALL};
use super::{text, zigzag};
use crate::report::wording::{nanoseconds, round};

/// How far apart round times are at least, in pixels.
const APART: f64 = 84.0;
/// Between two texts on the axis.
const BETWEEN: f64 = 10.0;
const SECOND: u64 = 1_000_000_000;

/// Texts on the axis, as far as they have room beside those before them.
struct Texts<'a> {
    layout: &'a Layout<'a>,
    taken: Vec<(f64, f64)>,
}

impl Texts<'_> {
    /// The text around this place; nothing, if there is no room for it.
    fn text(&mut self, said: String, center: f64) -> String {
        let Layout { left, plot, bottom, .. } = self.layout;
        let long = measure(&said, SMALL);
        let x = (center - long / 2.0).max(left - 20.0).min(left + plot + 30.0 - long);
        let is_free = |(from, to): &(f64, f64)| x + long + BETWEEN < *from || to + BETWEEN < x;
        if !self.taken.iter().all(is_free) {
            return String::new();
        }
        self.taken.push((x, x + long));
        text("tick", x, bottom + 20.0, SMALL, &said)
    }
}

/// Draws the axis, and what it is made of behind the lanes.
pub(super) fn draw(out: &mut String, layout: &Layout<'_>) {
    let Layout { left, plot, top, bottom, .. } = layout;
    let mut texts = Texts { layout, taken: Vec::new() };
    let (mut breaks, mut said) = (String::new(), String::new());
    for segment in layout.axis.segments.iter().filter(|it| it.kind != SegmentKind::Scale) {
        let (x, width) = (left + segment.from * plot, (segment.to - segment.from) * plot);
        said += &texts.text(in_short(segment), x + width / 2.0);
        let (is_gap, height) = (segment.kind == SegmentKind::Gap, bottom - top);
        let class = if is_gap { "gap" } else { "order" };
        *out += &format!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" \
             height=\"{height:.1}\"/>\n"
        );
        if is_gap {
            breaks += &(zigzag(x + width / 2.0, *bottom) + "\n");
        } else {
            let (y, end) = (bottom + 4.0, x + width);
            *out += &format!(
                "<path class=\"bracket\" d=\"M{x:.1} {bottom:.1}V{y:.1}H{end:.1}V{bottom:.1}\"/>\n"
            );
        }
    }
    let mut times = String::new();
    for (x, label) in ticks(&layout.axis, *plot) {
        let (x, end) = (left + x * plot, bottom + 4.0);
        times += &label.map(|label| texts.text(label, x)).unwrap_or_default();
        *out += &format!("<path class=\"grid\" d=\"M{x:.1} {top:.1}V{end:.1}\"/>\n");
    }
    let right = left + plot;
    *out += &format!("<path class=\"base\" d=\"M{left:.1} {bottom:.1}H{right:.1}\"/>\n");
    *out += &(breaks + &times + &said);
}

/// The round times on a plot of this width: where they are, of 1, and what they say. What is beside
/// a part in order says nothing: that does.
fn ticks(axis: &Axis, width: f64) -> Vec<(f64, Option<String>)> {
    let mut ticks = Vec::new();
    let ordered = axis.segments.iter().filter(|it| it.kind == SegmentKind::Order);
    let beside: Vec<u64> = ordered.flat_map(|it| [it.begin, it.end]).collect();
    let Some(every) = round_step(axis, width) else { return ticks };
    for segment in axis.segments.iter().filter(|it| it.kind == SegmentKind::Scale) {
        let length = segment.end - segment.begin;
        let origin = origin(segment, every);
        let first = match origin {
            Some(_) => 0,
            None => segment.begin.next_multiple_of(every) - segment.begin,
        };
        for passed in (first..=length).step_by(usize::try_from(every).unwrap_or(usize::MAX)) {
            let at = segment.begin + passed;
            let part = passed as f64 / length.max(1) as f64;
            let text = match (&origin, passed) {
                (Some(origin), 0) => origin.clone(),
                (Some(_), _) => format!("+{}", round(passed)),
                (None, _) => round(at),
            };
            let text = Some(text).filter(|_| !beside.contains(&at));
            ticks.push((segment.from + (segment.to - segment.from) * part, text));
        }
    }
    ticks
}

/// What a part begins with whose round times are counted from there: they would be too long.
pub fn origin(segment: &Segment, every: u64) -> Option<String> {
    let is_fine = segment.begin >= 60 * SECOND && segment.begin / 1000 > every;
    is_fine.then(|| nanoseconds(segment.begin))
}

/// What is said of a part that is not to scale.
pub fn in_short(segment: &Segment) -> String {
    let length = segment.end - segment.begin;
    match segment.kind {
        SegmentKind::Gap => format!("{} cut short", nanoseconds(length)),
        _ if length < 1000 => round(segment.begin / 1000 * 1000),
        _ if segment.begin == 0 => format!("0 + {}", nanoseconds(length)),
        _ => format!("{} + {}", nanoseconds(segment.begin), nanoseconds(length)),
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
pub fn steps() -> impl Iterator<Item = u64> {
    let decimal = (0..9).flat_map(|digits| [1, 2, 5].map(|first| first * 10u64.pow(digits)));
    let seconds = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800];
    let hours = [1, 2, 3, 6, 12].map(|hours| hours * 3600);
    let days = (0..5).flat_map(|digits| [1, 2, 5].map(|first| first * 10u64.pow(digits) * 86_400));
    decimal.chain(seconds.into_iter().chain(hours).chain(days).map(|seconds| seconds * SECOND))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_rise() {
        assert!(steps().collect::<Vec<_>>().is_sorted());
    }
}
