//! Which column a moment stands in: in proportion to time, with two exceptions. Stretches in which
//! nothing happens and beside which all the rest would be too small to see are broken out. And what
//! happens at one time, one thing after the other, as on a virtual clock, gets room for its order.

use crate::report::timeline::{Timeline, when};
use lock_history::history::Moment;
use std::collections::BTreeSet;

/// A stretch is long if it exceeds all that is not broken out by this factor.
const LONG: u128 = 12;
/// The least number of columns that a break stands beside.
const COLUMNS_A_BREAK: usize = 24;
/// The least number of moments that it must distinguish: two or three need no room.
const FEWEST: usize = 5;
/// How much of the axis may go to what happens at one time, where time passes, too: two of three.
const FOR_ORDER: (usize, usize) = (2, 3);
/// How many columns there are for one thing after another at one time, where there is room.
const ROOMY: usize = 3;

/// A moment as it is compared: time, then order.
type Key = (u64, u64);

/// The axis of time.
#[derive(Debug)]
pub(super) struct Scale {
    /// What is drawn in proportion, by time.
    pub stretches: Vec<Stretch>,
    /// What is left out between them.
    pub breaks: Vec<Break>,
    /// Every time at which anything happens.
    pub instants: Vec<Instant>,
    /// How many columns there are.
    pub columns: usize,
    /// Every moment's column.
    moments: Vec<(Key, usize)>,
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

/// A time at which something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instant {
    /// When.
    pub at: u64,
    /// Its first column.
    pub first: usize,
    /// How many more it has, to show what came after what.
    pub more: usize,
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
    /// The axis for a timeline in this number of columns.
    pub(super) fn new(timeline: &Timeline, columns: usize) -> Self {
        let moments = moments(timeline);
        let instants = moments.chunk_by(|one, next| one.0 == next.0);
        let at = |moments: &[Key]| moments.first().map_or(0, |(at, _)| *at);
        let mut instants: Vec<Piece<'_>> =
            instants.map(|moments| Piece { at: at(moments), moments, more: 0 }).collect();
        let gaps = long_gaps(&instants, columns / COLUMNS_A_BREAK);
        let mut texts = gaps.iter().map(|(begin, end)| format!("//{}//", roughly(end - begin)));
        let left = columns.saturating_sub(texts.clone().map(|text| text.len()).sum());
        let spent = give_order_room(&mut instants, left);
        let pieces = instants.chunk_by(|one, next| !gaps.contains(&(one.at, next.at)));
        let pieces: Vec<&[Piece<'_>]> = pieces.collect();
        let mut scale = Self {
            stretches: Vec::new(),
            breaks: Vec::new(),
            instants: Vec::new(),
            columns,
            moments: Vec::new(),
        };
        let mut first = 0;
        for (piece, share) in pieces.iter().zip(shares(&pieces, left.saturating_sub(spent))) {
            first += scale.add(piece, share, first);
            if let Some(text) = texts.next() {
                let one = Break { first, text };
                first += one.columns();
                scale.breaks.push(one);
            }
        }
        scale
    }

    /// Adds a stretch that begins at this column and has `share` columns for time; gives how many
    /// it has in all.
    fn add(&mut self, piece: &[Piece<'_>], share: usize, first: usize) -> usize {
        let (begin, end) = ends(piece);
        let length = u128::from(end - begin);
        let last = share.saturating_sub(1);
        let mut more = 0;
        for one in piece {
            let into = u128::from(one.at - begin) * last as u128;
            let into = into.checked_div(length).map_or(0, |into| into as usize);
            let own = first + into + more;
            self.instants.push(Instant { at: one.at, first: own, more: one.more });
            let steps = one.moments.len().saturating_sub(1).max(1);
            let column = |rank: usize| own + rank * one.more / steps;
            let placed = one.moments.iter().enumerate();
            self.moments.extend(placed.map(|(rank, moment)| (*moment, column(rank))));
            more += one.more;
        }
        let columns = share + more;
        self.stretches.push(Stretch { begin, end, first, columns });
        columns
    }

    /// Whether anything that happens at one time is drawn one after the other.
    pub(super) fn shows_order(&self) -> bool {
        self.instants.iter().any(|instant| instant.more > 0)
    }

    /// The column of a moment; one that is not on the axis stands beside the one before it.
    pub(super) fn column(&self, moment: Moment) -> usize {
        let next = self.moments.partition_point(|(there, _)| *there <= when(moment));
        let column = self.moments.get(next.saturating_sub(1)).map_or(0, |(_, column)| *column);
        column.min(self.columns.saturating_sub(1))
    }

    /// The column at which a time begins.
    pub(super) fn column_of_time(&self, at: u64) -> usize {
        let next = self.instants.partition_point(|instant| instant.at <= at);
        let before = next.checked_sub(1).and_then(|last| self.instants.get(last));
        let column = match (before, self.instants.get(next)) {
            (Some(before), Some(after)) if before.at < at => {
                let from = before.first + before.more;
                let room = after.first.saturating_sub(from) as u128;
                let into = room * u128::from(at - before.at) / u128::from(after.at - before.at);
                from + into as usize
            }
            (Some(before), _) => before.first,
            (None, _) => 0,
        };
        column.min(self.columns.saturating_sub(1))
    }
}

/// What happens at one time, and how many columns more than one it gets.
struct Piece<'a> {
    at: u64,
    moments: &'a [Key],
    more: usize,
}

/// From when to when a piece of the axis goes.
fn ends(piece: &[Piece<'_>]) -> (u64, u64) {
    let at = |one: Option<&Piece<'_>>| one.map_or(0, |one| one.at);
    (at(piece.first()), at(piece.last()))
}

/// Every moment at which something begins, ends or happens.
fn moments(timeline: &Timeline) -> Vec<Key> {
    let (begin, end) = (when(timeline.begin), when(timeline.end));
    let end = end.max(begin);
    let lanes = || timeline.lanes.iter();
    let bars = lanes().flat_map(|lane| &lane.bars).flat_map(|bar| [bar.begin, bar.end]);
    let marks = lanes().flat_map(|lane| &lane.marks).map(|mark| mark.at);
    let found = timeline.findings.iter().map(|remark| remark.at);
    let all = bars.chain(marks).chain(found).map(when).chain([begin, end]);
    let all: BTreeSet<Key> = all.map(|moment| moment.clamp(begin, end)).collect();
    all.into_iter().collect()
}

/// The gaps to break out, by time; none where the rest can be seen as it is.
fn long_gaps(instants: &[Piece<'_>], most: usize) -> Vec<(u64, u64)> {
    let pairs = instants.iter().zip(instants.iter().skip(1));
    let mut gaps: Vec<(u64, u64)> = pairs.map(|(one, next)| (one.at, next.at)).collect();
    let length = |gap: &(u64, u64)| u128::from(gap.1 - gap.0);
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

/// Gives each instant columns, so that what happens at one time can be distinguished; says how many
/// in all.
fn give_order_room(instants: &mut [Piece<'_>], columns: usize) -> usize {
    let later = |one: &Piece<'_>| one.moments.len().saturating_sub(1);
    let all: usize = instants.iter().map(later).sum();
    let (part, of) = FOR_ORDER;
    let most = match instants {
        [_] => columns.saturating_sub(1),
        _ => columns * part / of,
    };
    let most = most.min(all * ROOMY);
    for one in instants.iter_mut() {
        one.more = (later(one) * most).checked_div(all).unwrap_or(0);
    }
    instants.iter().map(|one| one.more).sum()
}

/// How many columns the time of each piece gets: some for what happens in it, the rest in
/// proportion to its length.
fn shares(pieces: &[&[Piece<'_>]], columns: usize) -> Vec<usize> {
    let each = columns / pieces.len().max(1) / 2;
    let least = |piece: &&[Piece<'_>]| piece.len().min(each).max(1);
    let length = |piece: &&[Piece<'_>]| {
        let (begin, end) = ends(piece);
        u128::from(end - begin)
    };
    let all: u128 = pieces.iter().map(length).sum();
    let spare = columns.saturating_sub(pieces.iter().map(least).sum());
    let share = |piece: &&[Piece<'_>]| {
        let share = (spare as u128 * length(piece)).checked_div(all).unwrap_or_default();
        least(piece) + usize::try_from(share).unwrap_or_default()
    };
    let mut shares: Vec<usize> = pieces.iter().map(share).collect();
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
    use super::super::tests::{empty, lane};
    use super::*;
    use crate::report::timeline::{Mark, MarkKind};

    /// A timeline on which something happens at these times, one after another.
    fn timeline(times: &[u64]) -> Timeline {
        let moments: Vec<Moment> = ordered(times);
        let mark =
            |at: &Moment| Mark { at: *at, kind: MarkKind::Fault, times: 1, detail: String::new() };
        let marks = moments.iter().map(mark).collect();
        let mut timeline = empty();
        timeline.begin = *moments.first().unwrap();
        timeline.end = *moments.last().unwrap();
        timeline.lanes.push(lane("a", Vec::new(), marks));
        timeline
    }

    fn ordered(times: &[u64]) -> Vec<Moment> {
        (0..).zip(times).map(|(order, at)| Moment { order, at: *at }).collect()
    }

    fn columns_of(scale: &Scale, times: &[u64]) -> Vec<usize> {
        ordered(times).iter().map(|moment| scale.column(*moment)).collect()
    }

    #[test]
    fn what_happens_at_one_time_is_drawn_in_its_order() {
        let times = [0, 0, 0, 0, 0];
        let scale = Scale::new(&timeline(&times), 40);
        assert_eq!(columns_of(&scale, &times), [0, 3, 6, 9, 12]);
        let times = [0, 0, 0, 0, 1000, 1000, 1000];
        let scale = Scale::new(&timeline(&times), 40);
        assert_eq!(columns_of(&scale, &times), [0, 3, 6, 9, 33, 36, 39]);
        assert_eq!([0, 500, 1000].map(|at| scale.column_of_time(at)), [0, 21, 33]);
        let crowd = [vec![0; 500], vec![7; 500]].concat();
        let scale = Scale::new(&timeline(&crowd), 40);
        let columns = columns_of(&scale, &crowd);
        assert!(columns.is_sorted() && columns.last() == Some(&39), "{columns:?}");
    }

    #[test]
    fn time_is_drawn_in_proportion_where_that_can_be_read() {
        let scale = Scale::new(&timeline(&[0, 100, 400, 900, 1000]), 51);
        assert!(scale.breaks.is_empty());
        assert_eq!(
            [0, 100, 500, 1000, 5000].map(|at| scale.column_of_time(at)),
            [0, 5, 25, 50, 50]
        );
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
        assert!(scale.column_of_time(20 * ms) < gap.first);
        assert!(scale.column_of_time(hours) >= gap.first + gap.columns());
        assert_eq!(scale.column_of_time(hours + ms), 59);
        let columns: BTreeSet<usize> = columns_of(&scale, &moments).into_iter().collect();
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
