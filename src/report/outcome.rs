//! The verdict in the word that reports use.

use lock_history::check::{Expectation, Judged, Verdict};
use serde::Serialize;

/// The verdict in the word that reports use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A client did nothing that no lock client may do.
    Pass,
    /// A client did something that no lock client may do.
    Broken,
    /// A scenario shows what it must.
    Reproduced,
    /// A scenario shows nothing of what must not be.
    Prevented,
    /// A run of a scenario went as expected, which says nothing of what is found.
    AsExpected,
    /// A scenario shows something that must not be, or not what it must.
    NotAsExpected,
    /// Not enough was tried to tell.
    Inconclusive,
}

impl Outcome {
    /// The verdict on a client from outside.
    pub fn of_subject(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Expected => Self::Pass,
            Verdict::Unexpected => Self::Broken,
            Verdict::Inconclusive => Self::Inconclusive,
        }
    }

    /// The verdict on a scenario under a lock protocol of ours.
    pub fn of_scenario(verdict: Verdict, judged: &Judged) -> Self {
        match verdict {
            Verdict::Expected if judged.must_find.is_empty() => Self::Prevented,
            Verdict::Expected => Self::Reproduced,
            Verdict::Unexpected => Self::NotAsExpected,
            Verdict::Inconclusive => Self::Inconclusive,
        }
    }

    /// The verdict on a run that was compared with what was expected of it.
    pub fn of_run(verdict: Verdict, expectations: &[Expectation]) -> Self {
        let expects = |wanted: bool| {
            let is_it = |it: &Expectation| matches!(it, Expectation::Finding { found, .. } if *found == wanted);
            expectations.iter().any(is_it)
        };
        match verdict {
            Verdict::Expected if expects(true) => Self::Reproduced,
            Verdict::Expected if expects(false) => Self::Prevented,
            Verdict::Expected => Self::AsExpected,
            Verdict::Unexpected => Self::NotAsExpected,
            Verdict::Inconclusive => Self::Inconclusive,
        }
    }

    /// The word, as the last line of a report begins.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Broken => "BROKEN",
            Self::Reproduced => "REPRODUCED",
            Self::Prevented => "PREVENTED",
            Self::AsExpected => "AS EXPECTED",
            Self::NotAsExpected => "NOT AS EXPECTED",
            Self::Inconclusive => "INCONCLUSIVE",
        }
    }
}
