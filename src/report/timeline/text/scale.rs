//! Which column a moment stands in: in proportion to time, but for stretches in which nothing
//! happens and beside which all the rest would be too small to see. Those are broken out.

use crate::report::timeline::Timeline;
use std::collections::BTreeSet;

/// A stretch is long if it is so many times as long as all that is not broken out.
const LONG: u128 = 12;
/// A break stands beside so many columns at least.
const COLUMNS_A_BREAK: usize = 24;
/// So many moments must be told apart by it: two or three need no room.
const FEWEST: usize = 5;

/// The axis of time.
#[derive(Debug)]
pub(super) struct Scale {
    /// What is drawn in proportion, by time.
    pub stretches: Vec<Stretch>,
    /// What is left out between them.
    pub breaks: Vec<Break>,
    /// How many columns there are.
    pub columns: usize,
}

/// A piece of time that is drawn in proportion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    /// When it begins.
    pub begin: u64,
    /// When it ends.
    pub end: u64,
    /// Its first column.
    pub first: usize,
    /// How many it has, at least one.
    pub columns: usize,
}

/// A piece of time that is left out, as nothing happens in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Break {
    /// Its first column.
    pub first: usize,
    /// What stands in the axis instead: how long it is.
    pub text: String,
}

impl Break {
    pub(super) fn columns(&self) -> usize {
        self.text.len()
    }

    /// Where lanes show that something is left out.
    pub(super) fn middle(&self) -> usize {
        self.first + (self.columns() / 2).saturating_sub(1)
    }
}

impl Scale {
    /// The axis for a timeline in so many columns.
    pub(super) fn new(timeline: &Timeline, columns: usize) -> Self {
        let moments = moments(timeline);
        let gaps = long_gaps(&moments, columns / COLUMNS_A_BREAK);
        let mut pieces = vec![Vec::new()];
        for moment in &moments {
            if gaps.iter().any(|(_, end)| end == moment) {
                pieces.push(Vec::new());
            }
            if let Some(piece) = pieces.last_mut() {
                piece.push(*moment);
            }
        }
        let texts: Vec<String> =
            gaps.iter().map(|(begin, end)| format!("//{}//", roughly(end - begin))).collect();
        let taken: usize = texts.iter().map(String::len).sum();
        let shares = shares(&pieces, columns.saturating_sub(taken));
        let (mut stretches, mut breaks, mut first) = (Vec::new(), Vec::new(), 0);
        let mut texts = texts.into_iter();
        for (piece, columns) in pieces.iter().zip(shares) {
            let begin = piece.first().copied().unwrap_or_default();
            let end = piece.last().copied().unwrap_or(begin);
            stretches.push(Stretch { begin, end, first, columns });
            first += columns;
            if let Some(text) = texts.next() {
                let one = Break { first, text };
                first += one.columns();
                breaks.push(one);
            }
        }
        Self { stretches, breaks, columns }
    }

    /// The column of a moment; one that is not on the axis stands at its nearest end.
    pub(super) fn column(&self, at: u64) -> usize {
        let next = self.stretches.partition_point(|stretch| stretch.begin <= at);
        let stretch = self.stretches.get(next.saturating_sub(1));
        let column = stretch.map_or(0, |stretch| stretch.column(at));
        column.min(self.columns.saturating_sub(1))
    }
}

impl Stretch {
    /// The column of a moment in it.
    pub(super) fn column(&self, at: u64) -> usize {
        let length = u128::from(self.end.saturating_sub(self.begin));
        let into = u128::from(at.saturating_sub(self.begin)).min(length);
        let last = self.columns.saturating_sub(1);
        let into = (into * last as u128).checked_div(length).unwrap_or_default();
        self.first + usize::try_from(into).unwrap_or(last)
    }
}

/// Every moment at which something begins, ends or happens.
fn moments(timeline: &Timeline) -> Vec<u64> {
    let end = timeline.end.max(timeline.begin);
    let lanes = || timeline.lanes.iter();
    let bars = lanes().flat_map(|lane| &lane.bars).flat_map(|bar| [bar.begin, bar.end]);
    let marks = lanes().flat_map(|lane| &lane.marks).map(|mark| mark.at);
    let found = timeline.findings.iter().map(|remark| remark.at);
    let all = bars.chain(marks).chain(found).chain([timeline.begin, end]);
    let all: BTreeSet<u64> = all.map(|at| at.clamp(timeline.begin, end)).collect();
    all.into_iter().collect()
}

/// The gaps to break out, by time; none where the rest can be seen as it is.
fn long_gaps(moments: &[u64], most: usize) -> Vec<(u64, u64)> {
    let pairs = moments.windows(2).filter_map(|pair| match pair {
        [begin, end] => Some((*begin, *end)),
        _ => None,
    });
    let length = |gap: &(u64, u64)| u128::from(gap.1 - gap.0);
    let mut gaps: Vec<(u64, u64)> = pairs.collect();
    let mut rest: u128 = gaps.iter().map(length).sum();
    gaps.sort_by_key(|gap| std::cmp::Reverse(length(gap)));
    for (index, gap) in gaps.iter().enumerate().take(most) {
        rest -= length(gap);
        let is_worth_it = gaps.len() - index > FEWEST;
        if is_worth_it && rest > 0 && length(gap) >= rest * LONG {
            gaps.truncate(index + 1);
            gaps.sort_unstable();
            return gaps;
        }
    }
    Vec::new()
}

/// How many columns each piece gets: some for what happens in it, the rest in proportion to its
/// length.
fn shares(pieces: &[Vec<u64>], columns: usize) -> Vec<usize> {
    let each = columns / pieces.len().max(1) / 2;
    let least: Vec<usize> = pieces.iter().map(|piece| piece.len().min(each).max(1)).collect();
    let length = |piece: &Vec<u64>| match (piece.first(), piece.last()) {
        (Some(begin), Some(end)) => u128::from(end - begin),
        _ => 0,
    };
    let all: u128 = pieces.iter().map(length).sum();
    let spare = columns.saturating_sub(least.iter().sum());
    let share = |piece: &Vec<u64>| {
        let share = (spare as u128 * length(piece)).checked_div(all);
        usize::try_from(share.unwrap_or_default()).unwrap_or_default()
    };
    let mut shares: Vec<usize> =
        pieces.iter().zip(least).map(|(piece, least)| least + share(piece)).collect();
    let left = columns.saturating_sub(shares.iter().sum());
    if let Some(largest) = shares.iter_mut().max() {
        *largest += left;
    }
    shares
}

/// A length in one unit, with one digit after the point at most.
fn roughly(nanos: u64) -> String {
    const UNITS: [(u64, &str); 7] = [
        (86_400_000_000_000, "d"),
        (3_600_000_000_000, "h"),
        (60_000_000_000, "min"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "us"),
        (1, "ns"),
    ];
    // What would be rounded up to the next unit is said in that.
    let fits = |(size, _): &&(u64, &str)| nanos.saturating_add(nanos / 1000) >= *size;
    let (size, unit) = UNITS.iter().find(fits).copied().unwrap_or((1, "ns"));
    let tenths = (u128::from(nanos) * 10 + u128::from(size) / 2) / u128::from(size);
    match tenths % 10 {
        0 => format!("{} {unit}", tenths / 10),
        digit => format!("{}.{digit} {unit}", tenths / 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline(moments: &[u64]) -> Timeline {
        let marks = moments.iter().map(|at| crate::report::timeline::Mark {
            at: *at,
            kind: crate::report::timeline::MarkKind::Fault,
            detail: String::new(),
        });
        let mut timeline = super::super::tests::empty();
        timeline.begin = moments.iter().copied().min().unwrap_or_default();
        timeline.end = moments.iter().copied().max().unwrap_or_default();
        timeline.lanes.push(super::super::tests::lane("a", Vec::new(), marks.collect()));
        timeline
    }

    #[test]
    fn time_is_drawn_in_proportion_where_that_can_be_read() {
        let scale = Scale::new(&timeline(&[0, 100, 400, 900, 1000]), 51);
        assert!(scale.breaks.is_empty());
        assert_eq!([0, 100, 500, 1000, 5000].map(|at| scale.column(at)), [0, 5, 25, 50, 50]);
    }

    #[test]
    fn a_long_stretch_without_anything_is_broken_out() {
        let ms = 1_000_000;
        let hours = 6 * 3_600_000 * ms;
        let moments = [0, ms, 5 * ms, 9 * ms, 20 * ms, hours, hours + ms];
        let scale = Scale::new(&timeline(&moments), 60);
        let [gap] = scale.breaks.as_slice() else { panic!("{scale:?}") };
        assert_eq!(gap.text, "//6 h//");
        assert!(gap.first > 40, "most of the room is for where most happens: {scale:?}");
        assert!(scale.column(20 * ms) < gap.first);
        assert!(scale.column(hours) >= gap.first + gap.columns());
        assert_eq!(scale.column(hours + ms), 59);
        let columns: BTreeSet<usize> = moments.iter().map(|at| scale.column(*at)).collect();
        assert_eq!(columns.len(), moments.len(), "each has a column of its own: {scale:?}");
    }

    #[test]
    fn there_is_no_break_that_would_show_nothing_more() {
        let s = 1_000_000_000;
        for moments in [
            &[0, 2 * s][..],
            &[0, 20_000, 2 * s],
            &[0, s, 2 * s, 3 * s, 4 * s, 5 * s, 6 * s],
            &[7],
            &[0, u64::MAX],
        ] {
            assert!(Scale::new(&timeline(moments), 60).breaks.is_empty(), "{moments:?}");
        }
        let action = [0, 1, 2, 3, 4, 5, 6 * s];
        assert!(Scale::new(&timeline(&action), 20).breaks.is_empty(), "there is no room for it");
        assert_eq!(Scale::new(&timeline(&action), 30).breaks.len(), 1);
    }

    #[test]
    fn a_length_is_said_in_one_unit() {
        for (nanos, words) in [
            (7, "7 ns"),
            (1500, "1.5 us"),
            (999_999_999, "1 s"),
            (2_004_000_000, "2 s"),
            (21_599_980_000_000, "6 h"),
            (u64::MAX, "213504 d"),
        ] {
            assert_eq!(roughly(nanos), words);
        }
    }
}
