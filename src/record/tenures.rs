//! From when to when each acquisition lasted.

use super::key::{Id, Outcome};
use super::observations::{Seen, What};
use std::collections::HashMap;

/// One acquisition.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ObservedTenure {
    /// When its lease expires as it was set last, in microseconds since 1970; none if it does not.
    ends: Option<u64>,
    /// The observation that set the lease last.
    leased_by: Id,
    /// When it was last surely there.
    alive: u64,
    /// The lease in nanoseconds that its client set right after an acquire without one.
    asked: Option<u64>,
}

/// All acquisitions, by their observation.
#[derive(Debug, Default)]
pub(super) struct Tenures(HashMap<Id, ObservedTenure>);

impl Tenures {
    /// Reads them from what was seen.
    pub fn of(seen: &Seen) -> Self {
        let mut tenures = Self::default();
        for (id, observation) in seen.observations.iter().enumerate() {
            let at = observation.at;
            let ends = |lease: Option<u64>| lease.map(|lease| at.saturating_add(lease / 1000));
            match (&observation.what, observation.outcome) {
                (
                    What::Write { lease, .. } | What::Found { lease, .. },
                    Outcome::Took | Outcome::Replaced(_),
                ) => {
                    let ends = ends(*lease);
                    let tenure = ObservedTenure { ends, leased_by: id, alive: at, asked: None };
                    tenures.0.insert(id, tenure);
                }
                (What::Expire { lease } | What::LeaseOfAll { lease }, Outcome::Extended(held)) => {
                    let before = tenures.0.get(&held).copied().unwrap_or_default();
                    let is_new = before.leased_by == held && before.ends.is_none();
                    let asked = before.asked.or(lease.filter(|_| is_new));
                    let tenure =
                        ObservedTenure { ends: ends(*lease), leased_by: id, alive: at, asked };
                    tenures.0.insert(held, tenure);
                }
                (_, Outcome::Saw(Some(held)) | Outcome::Deleted(held) | Outcome::Entered(held)) => {
                    if let Some(tenure) = tenures.0.get_mut(&held) {
                        tenure.alive = at;
                    }
                }
                _ => {}
            }
        }
        tenures
    }

    /// When an acquisition's lease expired, if nothing else ended it: not before it was last seen.
    pub fn end(&self, id: Id) -> Option<u64> {
        let tenure = self.0.get(&id)?;
        Some(tenure.ends?.max(tenure.alive))
    }

    /// The lease in nanoseconds that was set right after an acquisition without one.
    pub fn asked(&self, id: Id) -> Option<u64> {
        self.0.get(&id)?.asked
    }

    /// The lease in nanoseconds that an observation set: at least as long as it was seen to last,
    /// for the server's clock runs on between its reading and the time stamp.
    pub fn lease(&self, held: Id, by: Id, at: u64, lease: Option<u64>) -> Option<u64> {
        let lease = lease?;
        let tenure = self.0.get(&held).filter(|tenure| tenure.leased_by == by);
        let seen = tenure.map_or(0, |tenure| tenure.alive.saturating_sub(at).saturating_mul(1000));
        Some(lease.max(seen))
    }
}
