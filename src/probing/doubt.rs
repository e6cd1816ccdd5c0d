//! What a lock does without any race that no exploration may contradict.

use crate::report::exploration::ProtocolRow;
use lock_history::check::{Property, Verdict};
use lock_lab::probe::Exclusion;

/// Why no verdict on a lock can be good, and the properties of which the exploration must find one.
pub struct Doubt {
    /// What was seen without any race.
    pub why: &'static str,
    shown_by: &'static [Property],
}

/// Why a verdict is withheld: it does not show what was seen without any race.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no verdict: {why}; {scenario} does not show that")]
pub struct Doubtful {
    why: &'static str,
    scenario: String,
}

impl Doubt {
    /// Checks that a verdict shows it.
    ///
    /// # Errors
    ///
    /// [`Doubtful`] if there is a verdict that does not.
    pub fn check(&self, row: &ProtocolRow, scenario: &str) -> Result<(), Doubtful> {
        let is_shown = self.shown_by.iter().any(|property| row.has(*property));
        if is_shown || row.verdict == Verdict::Inconclusive {
            return Ok(());
        }
        Err(Doubtful { why: self.why, scenario: scenario.to_owned() })
    }
}

/// The doubt about a lock that excludes like this.
pub fn doubt(exclusion: Exclusion) -> Option<Doubt> {
    match exclusion {
        Exclusion::Excludes => None,
        Exclusion::GrantedEarly => Some(Doubt {
            why: "without any race, a second client acquired the lock when a part of the lease was over \
                  that the first one had asked for, and held it",
            shown_by: &[Property::DoubleGrant],
        }),
        Exclusion::GrantedTwice => Some(Doubt {
            why: "without any race, a second client acquired the lock while the first one held it \
                  (a lock that clients share by design says so in its first line: \"permits\": N, or \
                  \"kinds\": [\"read\", \"write\"])",
            shown_by: &[Property::DoubleGrant],
        }),
        Exclusion::Disturbed => Some(Doubt {
            why: "without any race, the release of the lock by its holder failed after a second client's \
                  acquire had been refused",
            shown_by: &[
                Property::DoubleGrant,
                Property::ForeignRelease,
                Property::ForeignOverwrite,
                Property::ForeignExtend,
            ],
        }),
        Exclusion::StaysTaken => Some(Doubt {
            why: "without any race, a second client could not acquire the lock after its holder had \
                  released it",
            shown_by: &[Property::StuckLock, Property::Unavailable],
        }),
    }
}
