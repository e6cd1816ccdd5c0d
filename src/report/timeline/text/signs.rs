//! The characters for what lasts and for what happens, and what they are called.

use super::strip::Ink;
use crate::report::timeline::{BarKind, MarkKind};

/// All kinds of bars, in the order of the legend.
pub(super) const BARS: [BarKind; 7] = [
    BarKind::Holds,
    BarKind::Raised,
    BarKind::Waits,
    BarKind::Works,
    BarKind::Writes,
    BarKind::Asks,
    BarKind::Many,
];

/// All kinds of marks, in the order of the legend. Where there is room for one, the last is seen.
pub(in crate::report::timeline) const MARKS: [MarkKind; 7] = [
    MarkKind::Refused,
    MarkKind::Extended,
    MarkKind::Failed,
    MarkKind::Expired,
    MarkKind::Cleared,
    MarkKind::Fault,
    MarkKind::Crashed,
];

/// What a bar is made of whose actor holds the lock no more, and believes that it does.
pub(super) const LOST: char = '░';
/// What a bar ends with whose end is not known.
pub(super) const OPEN: char = '?';
/// What the axis is made of where no time passes.
pub(super) const AT_ONCE: char = '┄';

/// What a bar is made of, and what that is called.
pub(super) fn of_bar(kind: BarKind) -> (char, &'static str) {
    match kind {
        BarKind::Holds => ('═', "holds the lock"),
        BarKind::Raised => ('▀', "flag says true"),
        BarKind::Waits => ('·', "waits"),
        BarKind::Works => ('█', "works"),
        BarKind::Writes => ('#', "writes the file"),
        BarKind::Asks => ('-', "asks Redis"),
        BarKind::Many => ('▒', "several at once"),
    }
}

/// What a mark looks like, and what that is called. No mark is a capital letter: those are
/// acquisitions.
pub(super) fn of_mark(kind: MarkKind) -> (char, Ink, &'static str) {
    match kind {
        MarkKind::Refused => ('x', Ink::Odd, "refused"),
        MarkKind::Failed => ('e', Ink::Bad, "error"),
        MarkKind::Expired => ('!', Ink::Bad, "lease ended"),
        MarkKind::Extended => ('+', Ink::Strong, "lease extended"),
        MarkKind::Cleared => ('~', Ink::Bad, "deleted by another"),
        MarkKind::Fault => ('*', Ink::Bad, "fault"),
        MarkKind::Crashed => ('†', Ink::Bad, "crashed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_kind_has_its_own_sign_and_none_that_of_an_acquisition() {
        let bars = BARS.map(|kind| of_bar(kind).0).into_iter().chain([LOST, OPEN, AT_ONCE]);
        let all: BTreeSet<char> = bars.chain(MARKS.map(|kind| of_mark(kind).0)).collect();
        assert_eq!(all.len(), BARS.len() + 3 + MARKS.len());
        assert!(all.iter().all(|sign| !sign.is_ascii_uppercase() && !sign.is_whitespace()));
    }
}
