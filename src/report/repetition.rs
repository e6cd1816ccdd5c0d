//! The outcomes of many runs of one scenario.

use super::{Report, Summary};
use lock_history::check::Verdict;
use serde::Serialize;
use std::collections::BTreeMap;

/// How often each verdict, outcome and finding came.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Repetition {
    /// How many runs there were.
    pub runs: u64,
    /// The seed of the first one, each further one has the next; nothing on a wall clock.
    pub seed: Option<u64>,
    /// How many runs had each verdict.
    pub verdicts: BTreeMap<&'static str, u64>,
    /// How the runs went, in the order in which each first came.
    pub outcomes: Vec<OutcomeTally>,
    /// In how many runs each property was violated.
    pub findings: BTreeMap<&'static str, Tally>,
}

/// How often something came, and when first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// In how many runs.
    pub count: u64,
    /// The first of them, counted from 1.
    pub first_run: u64,
    /// Its seed; nothing on a wall clock.
    pub first_seed: Option<u64>,
}

/// How often runs ended with this verdict and these numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutcomeTally {
    /// The verdict.
    pub verdict: Verdict,
    /// How many actors ended well.
    pub succeeded: usize,
    /// How many found the lock taken.
    pub already_locked: usize,
    /// How many failed otherwise.
    pub errors: usize,
    /// How often it came.
    #[serde(flatten)]
    pub tally: Tally,
}

impl OutcomeTally {
    fn key(&self) -> (Verdict, usize, usize, usize) {
        (self.verdict, self.succeeded, self.already_locked, self.errors)
    }
}

impl Repetition {
    /// No run yet. `seed` is that of the first one, if they have seeds.
    pub fn new(seed: Option<u64>) -> Self {
        Self {
            runs: 0,
            seed,
            verdicts: Verdict::ALL.map(|verdict| (verdict.word(), 0)).into(),
            outcomes: Vec::new(),
            findings: BTreeMap::new(),
        }
    }

    /// How many runs were as expected.
    #[cfg(feature = "cli")]
    pub(super) fn expected(&self) -> u64 {
        self.verdicts.get(Verdict::Expected.word()).copied().unwrap_or_default()
    }

    /// Counts the next run.
    pub fn add(&mut self, report: &Report) {
        let first_seed = self.seed.map(|seed| seed.wrapping_add(self.runs));
        self.runs += 1;
        let new = Tally { count: 0, first_run: self.runs, first_seed };
        *self.verdicts.entry(report.verdict.word()).or_default() += 1;
        let Summary { succeeded, already_locked, errors, .. } = report.summary;
        let key = (report.verdict, succeeded, already_locked, errors);
        match self.outcomes.iter_mut().find(|known| known.key() == key) {
            Some(known) => known.tally.count += 1,
            None => self.outcomes.push(OutcomeTally {
                verdict: report.verdict,
                succeeded,
                already_locked,
                errors,
                tally: Tally { count: 1, ..new },
            }),
        }
        let mut words: Vec<_> = report.findings.iter().map(|row| row.property.word()).collect();
        words.sort_unstable();
        words.dedup();
        for word in words {
            self.findings.entry(word).or_insert(new).count += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    #[test]
    fn everything_is_counted_with_the_run_and_the_seed_of_its_first_time() {
        let repetition = samples::repeated().repetition.unwrap();
        assert_eq!(repetition.runs, 100);
        let counts: Vec<_> = repetition.verdicts.values().copied().collect();
        assert_eq!(counts, [99, 0, 1], "expected, inconclusive, unexpected");
        let tally = |count, first_run, seed| Tally { count, first_run, first_seed: Some(seed) };
        let outcomes: Vec<_> = repetition.outcomes.iter().map(|outcome| outcome.tally).collect();
        assert_eq!(outcomes, [tally(99, 1, 5), tally(1, 17, 21)]);
        assert_eq!(repetition.findings, BTreeMap::from([("foreign_release", tally(1, 17, 21))]));
    }

    #[test]
    fn runs_on_a_wall_clock_have_no_seed_and_the_last_seed_is_followed_by_the_first() {
        let mut runs = Repetition::new(None);
        runs.add(&samples::herd(3));
        assert_eq!(runs.outcomes[0].tally, Tally { count: 1, first_run: 1, first_seed: None });
        let mut runs = Repetition::new(Some(u64::MAX));
        runs.add(&samples::herd(3));
        runs.add(&samples::herd(4));
        assert_eq!(runs.outcomes[1].tally.first_seed, Some(0));
    }
}
