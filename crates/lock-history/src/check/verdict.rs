//! The verdict on a run, on a replayed schedule, and on several runs: decided here and nowhere else.

use super::expectations::{self, ActorEnd, Expected, JudgedRun};
use super::{Checked, check};
use serde::Serialize;

/// The verdict on a run, from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All expectations held.
    Expected,
    /// The run did not go far enough for a verdict, what was seen does not tell whether an expectation held,
    /// or nothing was expected of these parameters.
    Inconclusive,
    /// At least one did not hold.
    Unexpected,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Verdict; 3] = [Verdict::Expected, Verdict::Unexpected, Verdict::Inconclusive];

    /// The word that reports use.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Expected => "expected",
            Verdict::Unexpected => "unexpected",
            Verdict::Inconclusive => "inconclusive",
        }
    }

    /// The verdict on several runs of which this is the worst; inconclusive unless all were done.
    pub fn of_runs(worst: Verdict, all_done: bool) -> Verdict {
        if all_done { worst } else { Verdict::Inconclusive }
    }

    /// The verdict on something that has several parts, each with a verdict of its own.
    pub fn of_parts(parts: impl Iterator<Item = Verdict>) -> Verdict {
        parts.max().unwrap_or(Verdict::Expected)
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Every actor came to its own end.
    Complete,
    /// The environment failed.
    Failed,
    /// Ctrl-C, SIGTERM.
    Interrupted,
    /// The deadline passed.
    TimedOut,
}

/// What is said of a run: how its actors ended, what was found, which expectations were met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    /// How each actor ended.
    pub ends: Vec<ActorEnd>,
    /// What the checkers say of its history.
    pub checked: Checked,
    /// What was expected, and what came.
    pub expectations: Vec<Expected>,
    /// How many of these the plan states.
    stated: usize,
    /// Whether all expectations held.
    pub verdict: Verdict,
}

impl Ruling {
    /// Judges a run that ended in this way.
    pub fn on(run: &JudgedRun<'_>, ending: Ending) -> Self {
        let ends = expectations::ends(run.history, run.groups.len());
        let checked = check(run.history);
        let mut expectations = expectations::judge(run, &ends, &checked.findings);
        let stated = expectations.len();
        expectations.extend(expectations::unmet_by_itself(run, &checked.findings));
        let is_conclusive =
            ending == Ending::Complete && checked.is_complete && !expectations.is_empty();
        let verdict = if is_conclusive { all_met(&expectations) } else { Verdict::Inconclusive };
        Self { ends, checked, expectations, stated, verdict }
    }

    /// The same of a schedule that was replayed to its end: what decides is whether it showed again
    /// what it shows.
    pub fn of_replay(mut self) -> Self {
        self.expectations.truncate(self.stated);
        Self { verdict: all_met(&self.expectations), ..self }
    }
}

fn all_met(expectations: &[Expected]) -> Verdict {
    let is = |met: Option<bool>| move |expected: &Expected| expected.met == met;
    match () {
        () if expectations.iter().any(is(Some(false))) => Verdict::Unexpected,
        () if expectations.iter().all(is(Some(true))) => Verdict::Expected,
        () => Verdict::Inconclusive,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Expectation;
    use crate::history::{Event, EventKind, Head, History, Moment};

    fn ruling(rose_by: u64, is_written_by_others: bool) -> Ruling {
        let head = Head { actors: vec!["a".into()], ..Head::default() };
        let kinds = [EventKind::Started, EventKind::Ended { failure: None }];
        let events = kinds.into_iter().zip(0..).map(|(kind, order)| Event {
            moment: Moment { order, at: 0 },
            actor: Some(0),
            kind,
        });
        let history = History::merge(head, vec![events.collect()]);
        let run = JudgedRun {
            expectations: &[Expectation::Updates { lock: 0, count: 2 }],
            groups: vec!["a"],
            locks: vec!["main"],
            history: &history,
            snapshots: Vec::new(),
            updates: &[rose_by],
            written_by_others: &[is_written_by_others],
        };
        Ruling::on(&run, Ending::Complete)
    }

    #[test]
    fn updates_of_other_writers_meet_no_expectation() {
        use Verdict::{Expected, Inconclusive, Unexpected};
        for (rose_by, written_by_others, verdict, met) in [
            (2, false, Expected, Some(true)),
            (3, false, Unexpected, Some(false)),
            (1, true, Unexpected, Some(false)),
            (2, true, Inconclusive, None),
            (3, true, Inconclusive, None),
        ] {
            let ruling = ruling(rose_by, written_by_others);
            assert_eq!(ruling.verdict, verdict, "{rose_by}, {written_by_others}");
            let [updates] = ruling.expectations.as_slice() else { panic!("{ruling:?}") };
            assert_eq!(updates.met, met);
        }
    }
}
