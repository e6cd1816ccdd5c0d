//! What the picture's signs mean: only those that are on it.

use super::super::{BarKind, LaneKind, MarkKind, Timeline};
use super::text::fit;
use super::ticks::Stretch;
use super::{Label, MARGIN, SMALL};
use std::collections::BTreeSet;

/// A sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sign {
    /// Who owned the lock.
    Owned,
    /// A bar of an actor.
    Bar(BarKind),
    /// A bar of an actor that had lost its lock.
    Lost,
    /// A bar that ends nobody knows how.
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

/// A sign and what it means, at its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// The sign.
    pub sign: Sign,
    /// Where its field of 20 to 12 begins.
    pub x: f64,
    /// The field's top.
    pub y: f64,
    /// What it means.
    pub label: Label,
}

/// How wide the field of a sign is.
pub const FIELD: f64 = 20.0;

/// The legend from `y` on, and where it ends.
pub fn legend(timeline: &Timeline, stretches: &[Stretch], width: f64, y: f64) -> (Vec<Key>, f64) {
    let mut keys = Vec::new();
    let (mut x, mut y) = (MARGIN, y);
    let signs = signs(timeline, stretches);
    let is_empty = signs.is_empty();
    for sign in signs {
        let room = width - 2.0 * MARGIN - FIELD - 6.0;
        let text = fit(meaning(sign), SMALL, room).unwrap_or_default();
        let label = Label::new(0.0, 0.0, SMALL, text);
        if x + FIELD + 6.0 + label.width > width - MARGIN && x > MARGIN {
            (x, y) = (MARGIN, y + 20.0);
        }
        let label = Label { x: x + FIELD + 6.0, y: y + 10.0, ..label };
        let next = label.x + label.width + 18.0;
        keys.push(Key { sign, x, y, label });
        x = next;
    }
    (keys, if is_empty { y } else { y + 16.0 })
}

/// The signs that are on the picture.
pub fn signs(timeline: &Timeline, stretches: &[Stretch]) -> BTreeSet<Sign> {
    let mut signs = BTreeSet::new();
    for lane in &timeline.lanes {
        for bar in &lane.bars {
            signs.insert(match lane.kind {
                LaneKind::Lock => Sign::Owned,
                LaneKind::Flag => Sign::Raised,
                LaneKind::Actor if bar.is_lost => Sign::Lost,
                LaneKind::Actor => Sign::Bar(bar.kind),
            });
            if bar.is_open {
                signs.insert(Sign::Open);
            }
        }
        signs.extend(lane.marks.iter().map(|mark| Sign::Mark(mark.kind)));
    }
    signs.extend((!timeline.findings.is_empty()).then_some(Sign::Finding));
    signs.extend(stretches.iter().map(|it| if it.is_gap { Sign::Gap } else { Sign::Order }));
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
        Sign::Mark(MarkKind::Refused) => "refused: taken",
        Sign::Mark(MarkKind::Failed) => "failed",
        Sign::Mark(MarkKind::Expired) => "lease ended",
        Sign::Mark(MarkKind::Extended) => "lease extended",
        Sign::Mark(MarkKind::Cleared) => "taken from its owner",
        Sign::Mark(MarkKind::Fault) => "fault",
        Sign::Mark(MarkKind::Crashed) => "crashed",
        Sign::Finding => "finding",
        Sign::Order => "in order, not to scale",
        Sign::Gap => "cut short",
    }
}
