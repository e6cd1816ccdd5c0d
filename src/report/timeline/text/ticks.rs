//! What stands under the axis: moments that are easy to count with, as close as can be read.

use super::scale::{Scale, Stretch};
use crate::report::wording::{nanoseconds, round};

/// Blanks between two labels.
const GAP: usize = 3;
/// The longest label of a moment; one that would be longer is said as what was added.
const LONGEST: usize = 9;

/// The larger units, and how many of each are counted in a step.
const STEPS: [(u64, &[u64]); 4] = [
    (1_000_000_000, &[1, 2, 5, 10, 20, 30]),
    (60_000_000_000, &[1, 2, 5, 10, 20, 30]),
    (3_600_000_000_000, &[1, 2, 3, 6, 12]),
    (86_400_000_000_000, &[1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10_000, 100_000]),
];

/// A moment on the axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tick {
    /// Its column.
    pub column: usize,
    /// The column in which its label begins; nothing, where there is no room for one.
    pub label_at: Option<usize>,
    /// When it is.
    pub label: String,
}

/// All ticks, by column. The first of each stretch gets its label before any other.
pub(super) fn ticks(scale: &Scale) -> Vec<Tick> {
    let mut all = Vec::new();
    for stretch in &scale.stretches {
        all.extend(of_stretch(stretch, scale).into_iter().enumerate());
    }
    // Stable: the others stay in their order.
    all.sort_by_key(|(position, _)| *position > 0);
    let mut taken: Vec<(usize, usize)> = Vec::new();
    let mut ticks: Vec<Tick> = all
        .into_iter()
        .map(|(_, (column, label))| {
            let begin = column.min(scale.columns.saturating_sub(label.len()));
            let end = begin + label.len();
            let is_free = taken.iter().all(|(from, to)| end < *from || *to < begin);
            let label_at = Some(begin).filter(|_| is_free && end <= scale.columns);
            taken.extend(label_at.map(|begin| (begin, end)));
            Tick { column, label_at, label }
        })
        .collect();
    ticks.sort_by_key(|tick| tick.column);
    ticks
}

/// The ticks of one stretch with the smallest step that leaves room for the labels.
fn of_stretch(stretch: &Stretch, scale: &Scale) -> Vec<(usize, String)> {
    let length = stretch.end.saturating_sub(stretch.begin);
    // Fewer than this many columns for each would not fit, whatever it is called.
    let most = u64::try_from(stretch.columns / (GAP + 1)).unwrap_or_default();
    let found = steps().filter(|step| length / step <= most).find_map(|step| {
        let ticks =
            absolute(stretch, scale, step).unwrap_or_else(|| relative(stretch, scale, step));
        let fits = ticks.windows(2).all(|pair| match pair {
            [(column, label), (next, _)] => column + label.len() + GAP <= *next,
            _ => true,
        });
        fits.then_some(ticks)
    });
    let alone = || vec![(stretch.first, moment(stretch.begin))];
    found.filter(|ticks| length > 0 && ticks.len() > 1).unwrap_or_else(alone)
}

/// The lengths that are easy to count with, from the shortest.
fn steps() -> impl Iterator<Item = u64> {
    let short = (0..9).flat_map(|digits| [1, 2, 5].map(|number| number * 10_u64.pow(digits)));
    let long = STEPS.iter().flat_map(|(unit, numbers)| numbers.iter().map(move |it| it * unit));
    short.chain(long)
}

/// At whole steps since the run began; nothing, if that would take too many digits.
fn absolute(stretch: &Stretch, scale: &Scale, step: u64) -> Option<Vec<(usize, String)>> {
    let first = stretch.begin.div_ceil(step).checked_mul(step)?;
    moments(first, step, stretch.end)
        .map(|at| Some((scale.column_of_time(at), exactly(at).filter(|it| it.len() <= LONGEST)?)))
        .collect()
}

/// At whole steps since the stretch began.
fn relative(stretch: &Stretch, scale: &Scale, step: u64) -> Vec<(usize, String)> {
    let mut ticks = vec![(stretch.first, moment(stretch.begin))];
    let later = moments(stretch.begin, step, stretch.end).skip(1);
    ticks.extend(later.map(|at| {
        let added = at - stretch.begin;
        let words = exactly(added).unwrap_or_else(|| nanoseconds(added));
        (scale.column_of_time(at), format!("+{words}"))
    }));
    ticks
}

fn moments(first: u64, step: u64, end: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(first), move |at| at.checked_add(step))
        .take_while(move |at| *at <= end)
}

fn moment(at: u64) -> String {
    let exact = exactly(at).filter(|label| label.len() <= LONGEST);
    exact.unwrap_or_else(|| nanoseconds(at))
}

/// A moment without its noughts: `0`, `20 ms`, `1.5 s`, `1 h 30 min`; nothing, if it needs more
/// than three digits after the point or more than two units.
fn exactly(nanos: u64) -> Option<String> {
    let finest = match nanos {
        0..1_000_000 => 1,
        1_000_000..1_000_000_000 => 1_000,
        1_000_000_000..60_000_000_000 => 1_000_000,
        _ => 1_000_000_000,
    };
    let said = if (1..1_000).contains(&nanos) { format!("{nanos} ns") } else { round(nanos) };
    let units = said.split(' ').count() / 2;
    (nanos.is_multiple_of(finest) && units <= 2).then_some(said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::timeline::Timeline;
    use lock_history::history::Moment;

    fn scale(begin: u64, end: u64, columns: usize) -> Scale {
        let moment = |at| Moment { order: at, at };
        let (begin, end) = (moment(begin), moment(end));
        Scale::new(&Timeline { begin, end, ..super::super::tests::empty() }, columns)
    }

    fn labels(begin: u64, end: u64, columns: usize) -> Vec<String> {
        let scale = scale(begin, end, columns);
        let ticks = ticks(&scale);
        let shown = ticks.into_iter().filter(|tick| tick.label_at.is_some());
        shown.map(|tick| tick.label).collect()
    }

    #[test]
    fn ticks_are_easy_to_count_with_from_10_us_to_6_h() {
        for (nanos, words) in [
            (10_000, "0, 2 us, 4 us, 6 us, 8 us, 10 us"),
            (350_000, "0, 100 us, 200 us, 300 us"),
            (7_300_000, "0, 1 ms, 2 ms, 3 ms, 4 ms, 5 ms, 6 ms, 7 ms"),
            (2_004_000_000, "0, 500 ms, 1 s, 1.5 s, 2 s"),
            (299_900_000_000, "0, 1 min, 2 min, 3 min, 4 min"),
            (21_600_000_000_000, "0, 1 h, 2 h, 3 h, 4 h, 5 h, 6 h"),
        ] {
            assert_eq!(labels(0, nanos, 60).join(", "), words, "{nanos} ns");
        }
    }

    #[test]
    fn what_would_take_too_many_digits_is_counted_from_the_first() {
        let hours = 21_600_000_000_000;
        assert_eq!(labels(hours + 300, hours + 40_000, 40), ["6 h 0 min", "+20 us"],);
        assert_eq!(labels(2_000_100_000, 2_000_900_000, 60).first().unwrap(), "2.000 s");
    }

    #[test]
    fn labels_never_touch_each_other_or_the_edge() {
        for columns in 0..130 {
            for end in [0, 1, 9, 12_345, 999_999_999, 86_400_000_000_000, u64::MAX] {
                for begin in [0, end / 3, end] {
                    let scale = scale(begin, end, columns);
                    let ticks = ticks(&scale);
                    let mut free = 0;
                    for (label, at) in
                        ticks.iter().filter_map(|tick| Some((&tick.label, tick.label_at?)))
                    {
                        assert!(at >= free, "{ticks:?}");
                        free = at + label.len() + 1;
                        assert!(free <= columns + 1, "{ticks:?} in {columns}");
                    }
                }
            }
        }
    }
}
