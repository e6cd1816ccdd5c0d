//! Every ordering of a plan's steps: which of them break a lock, and the shortest one that does.

mod cells;
mod intern;
mod servers;
mod strands;

pub(super) use cells::Cell;

use super::{Model, Outcome, Schedule, Timing};
use crate::check::Property;
use std::time::Duration;

/// What is explored, and how far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// When leases may end.
    pub timing: Timing,
    /// How many actors may be killed in one ordering.
    pub crashes: u32,
    /// How many replies may be lost in one ordering.
    pub faults: u32,
    /// How many preemptions there may be in one ordering; any number, if none is said.
    pub preemptions: Option<u32>,
    /// How many orderings are looked at at most.
    pub max_schedules: Option<u64>,
    /// How long it may take.
    pub max_time: Option<Duration>,
    /// How the next ordering is chosen.
    pub strategy: Strategy,
}

/// How the next ordering is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// All of them, those with the fewest preemptions first.
    Exhaustive,
    /// At each step any of those who can go on, with equal chances.
    Random {
        /// The same seed gives the same orderings.
        seed: u64,
    },
    /// Random priorities that change a few times (Burckhardt et al., "A randomized scheduler with
    /// probabilistic guarantees of finding bugs", 2010).
    Pct {
        /// The same seed gives the same orderings.
        seed: u64,
        /// The depth of the bugs that are looked for: priorities change one time less.
        depth: u32,
    },
}

/// What came of an exploration.
#[derive(Debug, Clone, PartialEq)]
pub struct Explored {
    /// The lock protocol's name.
    pub protocol: String,
    /// The violations, one of each property, each the shortest that there is (or that was found).
    pub found: Vec<Counterexample>,
    /// How many orderings were run.
    pub orderings_run: u64,
    /// How many orderings there are; known only where all were covered.
    pub orderings: Option<f64>,
    /// How many different states of actors, server and files were met.
    pub states: u64,
    /// The most steps that an ordering had.
    pub depth: usize,
    /// What kept it from covering all orderings; nothing, if it did.
    pub stopped_by: Option<Limit>,
    /// How long it took.
    pub took: Duration,
}

/// What kept an exploration from covering all orderings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// [`Bounds::max_schedules`].
    Schedules,
    /// [`Bounds::max_time`].
    Time,
    /// [`Bounds::preemptions`]: there are orderings with more.
    Preemptions,
    /// More states than are kept in memory.
    Memory,
    /// A strategy that draws orderings never knows that it has seen them all.
    Drawn,
    /// Ctrl-C, SIGTERM.
    Interrupted,
}

/// An ordering that violates a property.
#[derive(Debug, Clone, PartialEq)]
pub struct Counterexample {
    /// Which property.
    pub property: Property,
    /// How many orderings had been run when it was first seen.
    pub after: u64,
    /// How long that had taken.
    pub took: Duration,
    /// How many preemptions it has: switches away from an actor that could have gone on and was
    /// not at a sleep or a wait.
    pub preemptions: u32,
    /// The ordering.
    pub schedule: Schedule,
    /// How many of its turns it takes until the violation is complete.
    pub decisive: usize,
    /// What happened in it, as it was replayed to make sure.
    pub outcome: Outcome,
}

/// How far an exploration has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// How many orderings were run.
    pub orderings_run: u64,
    /// How many different states were met.
    pub states: u64,
    /// The most steps that an ordering had.
    pub depth: usize,
    /// How many preemptions the orderings have that are run now, where they are ordered so.
    pub preemptions: Option<u32>,
    /// How many properties were violated.
    pub found: usize,
    /// How long it has taken.
    pub took: Duration,
}

/// Why an exploration came to no result at all.
#[derive(Debug, thiserror::Error)]
pub enum ExploreError {
    /// The same choices did not lead to the same steps.
    #[error("the scenario does not run the same way twice: {0}; nothing is concluded from it")]
    NotRepeatable(String),
    /// A run failed for a reason that is no matter of orderings.
    #[error("{0}")]
    Failed(String),
}

/// Explores a model. `on_progress` is told now and then how far it has come, and says whether it
/// may go on.
pub fn explore(
    _model: &Model,
    _bounds: &Bounds,
    _on_progress: &mut dyn FnMut(&Progress) -> bool,
) -> Result<Explored, ExploreError> {
    Err(ExploreError::Failed("not built yet".into()))
}
