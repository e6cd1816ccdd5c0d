//! What the picture's signs look like and what they mean: only those that are on it.

use super::super::layout::axis::{Axis, SegmentKind};
use super::super::layout::text::{fit, measure};
use super::super::layout::{Layout, MARGIN, SMALL};
use super::super::{BarKind, LaneKind, MarkKind, Timeline};
use super::{rect, text, zigzag};
use std::collections::BTreeSet;

/// A sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sign {
    /// The owner of the lock.
    Owned,
    /// A bar of an actor.
    Bar(BarKind),
    /// A bar of an actor that had lost its lock.
    Lost,
    /// A bar whose end is unknown.
    Open,
    /// The flag.
    Raised,
    /// A mark.
    Mark(MarkKind),
    /// A finding.
    Finding,
    /// In order, not to scale.
    Order,
    /// Cut short.
    Gap,
}

/// How wide the field of a sign is; it is 12 high.
pub const FIELD: f64 = 20.0;

/// Draws the legend from `y` on; gives where it ends.
pub(super) fn draw(out: &mut String, timeline: &Timeline, layout: &Layout<'_>, y: f64) -> f64 {
    let signs = signs(timeline, &layout.axis);
    let (mut x, mut y, right) = (MARGIN, y, layout.width - MARGIN);
    if signs.is_empty() {
        return y;
    }
    for sign in signs {
        let said = fit(meaning(sign), SMALL, right - MARGIN - FIELD - 6.0).unwrap_or_default();
        let width = measure(&said, SMALL);
        if x + FIELD + 6.0 + width > right && x > MARGIN {
            (x, y) = (MARGIN, y + 20.0);
        }
        *out += &drawn(sign, x, y);
        let beside = x + FIELD + 6.0;
        *out += &text("key", beside, y + 10.0, SMALL, &said);
        x = beside + width + 18.0;
    }
    y + 16.0
}

/// The signs that are on the picture.
pub fn signs(timeline: &Timeline, axis: &Axis) -> BTreeSet<Sign> {
    let mut signs = BTreeSet::new();
    for lane in &timeline.lanes {
        for bar in &lane.bars {
            signs.insert(match lane.kind {
                LaneKind::Lock => Sign::Owned,
                LaneKind::Flag => Sign::Raised,
                LaneKind::Actor if bar.is_lost => Sign::Lost,
                LaneKind::Actor => Sign::Bar(bar.kind),
            });
            signs.extend(bar.is_open.then_some(Sign::Open));
        }
        signs.extend(lane.marks.iter().map(|mark| Sign::Mark(mark.kind)));
    }
    signs.extend((!timeline.findings.is_empty()).then_some(Sign::Finding));
    signs.extend(axis.segments.iter().filter_map(|segment| match segment.kind {
        SegmentKind::Scale => None,
        SegmentKind::Order => Some(Sign::Order),
        SegmentKind::Gap => Some(Sign::Gap),
    }));
    signs
}

/// What a sign means.
pub fn meaning(sign: Sign) -> &'static str {
    match sign {
        Sign::Owned => "owned, a letter and colour for each acquisition",
        Sign::Bar(BarKind::Holds) => "holds",
        Sign::Bar(BarKind::Raised) | Sign::Raised => "the flag says true",
        Sign::Bar(BarKind::Waits) => "waits",
        Sign::Bar(BarKind::Works) => "works",
        Sign::Bar(BarKind::Writes) => "writes the file",
        Sign::Bar(BarKind::Asks) => "asks Redis",
        Sign::Bar(BarKind::Many) => "several actors",
        Sign::Lost => "goes on without the lock",
        Sign::Open => "its end was not seen",
        Sign::Mark(kind) => mark_style(kind).meaning,
        Sign::Finding => "finding",
        Sign::Order => "in order, not to scale",
        Sign::Gap => "cut short",
    }
}

/// A sign in its field.
pub fn drawn(sign: Sign, x: f64, y: f64) -> String {
    let field = |class: &str| rect(class, x, y, &FIELD.to_string(), "12", 2.5);
    let bar = |class: &str, more: &str| {
        let more = if more.is_empty() { String::new() } else { field(more) };
        format!("<g class=\"bar {class}\">{}{more}</g>", field("fill"))
    };
    let middle = x + FIELD / 2.0;
    match sign {
        Sign::Owned => bar("owned t0", ""),
        Sign::Raised => bar("raised", ""),
        Sign::Lost => bar("works t0 is-lost", "lost"),
        Sign::Bar(BarKind::Waits) => bar("waits", "dots"),
        Sign::Bar(BarKind::Works) => bar("works t0", ""),
        Sign::Bar(BarKind::Holds) => bar("holds t0", ""),
        Sign::Bar(BarKind::Writes) => bar("writes", ""),
        Sign::Bar(BarKind::Asks) => bar("asks", ""),
        Sign::Bar(BarKind::Raised | BarKind::Many) => bar("many", ""),
        Sign::Open => format!("<path class=\"open\" d=\"M{middle:.1} {y:.1}v12\"/>"),
        Sign::Finding => rect("badge", x + 4.0, y, "12", "12", 3.0),
        Sign::Order => format!(
            "<rect class=\"order\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{FIELD}\" height=\"12\"/>\
             <path class=\"bracket\" d=\"M{x:.1} {:.1}v3h{FIELD}v-3\"/>",
            y + 9.0
        ),
        Sign::Gap => zigzag(middle, y + 6.0),
        Sign::Mark(kind) => {
            format!(
                "<g class=\"mark {}\">{}</g>",
                mark_style(kind).name,
                glyph(kind, middle, y + 6.0)
            )
        }
    }
}

/// What a kind of bar is to the style sheet.
pub(super) fn class(kind: BarKind) -> &'static str {
    match kind {
        BarKind::Holds => "holds",
        BarKind::Raised => "raised",
        BarKind::Waits => "waits",
        BarKind::Works => "works",
        BarKind::Writes => "writes",
        BarKind::Asks => "asks",
        BarKind::Many => "many",
    }
}

/// What a kind of mark looks like.
pub struct MarkStyle {
    /// Its name in the style sheet.
    pub name: &'static str,
    /// Of several at one place, the gravest is drawn.
    pub gravity: u8,
    /// What it means.
    pub meaning: &'static str,
    /// Its form around 0: each kind has its own, also without colours.
    pub form: &'static str,
}

/// What a kind of mark looks like.
pub fn mark_style(kind: MarkKind) -> MarkStyle {
    let (name, gravity, meaning, form) = match kind {
        // A circle with a bar; a triangle; an hourglass; an arrow; scissors; a bolt; a cross.
        MarkKind::Refused => {
            ("refused", 1, "refused: taken", "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0M-2.5 0h5")
        }
        MarkKind::Failed => ("failed", 4, "failed", "M0-5.5L5.5 4.5H-5.5ZM0-2V1.2M0 2.6V3"),
        MarkKind::Expired => ("expired", 3, "lease ended", "M-4-5H4L-4 5H4Z"),
        MarkKind::Extended => ("extended", 0, "lease extended", "M-5 0H4M1-3.5L4.5 0L1 3.5"),
        MarkKind::Cleared => {
            ("cleared", 5, "taken from its owner", "M0-5.5L5.5 0L0 5.5L-5.5 0ZM-2-2L2 2M2-2L-2 2")
        }
        MarkKind::Fault => ("fault", 2, "fault", "M1.5-6L-3.5 1H0L-1.5 6L3.5-1H0Z"),
        MarkKind::Crashed => ("crashed", 6, "crashed", "M-4.5-4.5L4.5 4.5M4.5-4.5L-4.5 4.5"),
    };
    MarkStyle { name, gravity, meaning, form }
}

/// A mark around this place.
pub(super) fn glyph(kind: MarkKind, x: f64, y: f64) -> String {
    let form = mark_style(kind).form;
    format!("<path class=\"glyph\" transform=\"translate({x:.1} {y:.1})\" d=\"{form}\"/>")
}
