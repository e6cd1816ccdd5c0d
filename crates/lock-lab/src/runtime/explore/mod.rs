//! Every ordering of a plan's steps: which of them break a lock, and the shortest one that does.

mod automata;
mod count;
mod differing;
mod embedded;
mod exhaustive;
mod instrumented;
mod intern;
mod machine;
mod monitors;
#[cfg(test)]
mod mutants;
mod pct;
mod random;
mod servers;
mod shared_state;
mod shortest;
mod snapshot_store;
mod upstream;
mod visited;
mod walk;
mod watches;

use super::{Model, Outcome, ReplayError, Schedule, Turn, replay};
use crate::probe::MOST_LESSONS;
use crate::scenario::Timing;
use exhaustive::Exhaustive;
use lock_history::check::{Finding, Property, Tried, check};
use machine::Machine;
use pct::Pct;
use random::Random;
use redis_sim::clock::{Clock, WallClock};
use shortest::{Among, Shortest, shortest};
use std::time::Duration;
use walk::{First, Walked, walk};

/// What is explored, and how far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bounds {
    /// When leases may end.
    pub timing: Timing,
    /// How many actors may crash in one ordering.
    pub crashes: u32,
    /// How many commands or replies may be lost, or commands be late, in one ordering.
    pub faults: u32,
    /// How many preemptions there may be in one ordering; any number, if none is said.
    pub preemptions: Option<u32>,
    /// How many orderings are looked at at most.
    pub max_schedules: Option<u64>,
    /// How long it may take.
    pub max_time: Option<Duration>,
    /// Nothing more is run when all of these were violated; if it names none, all is run.
    pub until: Vec<Property>,
    /// How the next ordering is chosen.
    pub strategy: Strategy,
}

/// How the next ordering is chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Strategy {
    /// All of them, those with the fewest preemptions first.
    #[default]
    Exhaustive,
    /// At each step any of the tasks that can go on, with equal probability.
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

/// The outcome of an exploration.
#[derive(Debug, Clone, PartialEq)]
pub struct Explored {
    /// The lock protocol's name.
    pub protocol: String,
    /// Whether that protocol is [foreign](crate::lock::LockProtocol::is_foreign).
    pub is_foreign: bool,
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
    /// What was put to the test.
    pub tried: Tried,
    /// How long it took.
    pub took: Duration,
}

/// What kept an exploration from covering all orderings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// [`Bounds::max_schedules`].
    Schedules,
    /// [`Bounds::max_time`].
    Time,
    /// [`Bounds::preemptions`]: there are orderings with more.
    Preemptions,
    /// More states than are kept in memory.
    Memory,
    /// All of [`Bounds::until`] were violated.
    Satisfied,
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
    /// Whether there is none with fewer preemptions, or with the same number and fewer faults
    /// (crashes included), or with the same number of both and fewer steps. Where a bound was hit,
    /// that is not known.
    pub is_shortest: bool,
    /// The ordering.
    pub schedule: Schedule,
    /// How many of its turns it takes until the violation is complete.
    pub decisive: usize,
    /// What happened in it, as it was replayed to make sure.
    pub outcome: Outcome,
    /// What the checkers say of it.
    pub finding: Finding,
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

/// Explores a model. `on_progress` is called now and then with the progress, and says whether to go
/// on.
///
/// # Errors
///
/// [`ExploreError::NotRepeatable`] if the same choices do not lead to the same steps,
/// [`ExploreError::Failed`] if a server, a file or a client fails.
pub fn explore(
    model: &Model,
    bounds: &Bounds,
    on_progress: &mut dyn FnMut(&Progress) -> bool,
) -> Result<Explored, ExploreError> {
    let clock = WallClock::new(None);
    for _ in 0..MOST_LESSONS {
        let explored = explore_once(model, bounds, &clock, on_progress);
        if !model.host.take_learned() {
            return explored;
        }
    }
    Err(ExploreError::NotRepeatable("the client keeps sending new words".into()))
}

fn explore_once(
    model: &Model,
    bounds: &Bounds,
    clock: &WallClock,
    on_progress: &mut dyn FnMut(&Progress) -> bool,
) -> Result<Explored, ExploreError> {
    let mut machine = Machine::new(model, bounds)?;
    let walked = walk_by_strategy(&mut machine, bounds, clock, on_progress)?;
    let orderings = match walked.stopped_by {
        None => Some(count::orderings(&mut machine)?),
        Some(_) => None,
    };
    let (states, took) = (machine.states() as u64, clock.now());
    let among = match (bounds.strategy, walked.stopped_by) {
        (Strategy::Exhaustive, None | Some(Limit::Preemptions | Limit::Satisfied)) => Among::All,
        // A bound was hit, or orderings are sampled from what may be too many: the search ends
        // here.
        _ => Among::Known,
    };
    let mut may_go_on = |machine: &Machine| {
        let progress = Progress {
            orderings_run: walked.orderings_run,
            states: machine.states() as u64,
            depth: walked.depth,
            preemptions: None,
            found: walked.first.len(),
            took: clock.now(),
        };
        machine.has_room(0)
            && bounds.max_time.is_none_or(|most| progress.took < most)
            && on_progress(&progress)
    };
    let mut found = Vec::new();
    for first in &walked.first {
        found.push(counterexample(model, &mut machine, first, among, &mut may_go_on)?);
    }
    Ok(Explored {
        protocol: model.host.protocol().name().into(),
        is_foreign: model.host.protocol().is_foreign(),
        found,
        orderings_run: walked.orderings_run,
        orderings,
        states,
        depth: walked.depth,
        stopped_by: walked.stopped_by,
        tried: machine.tried(),
        took,
    })
}

fn walk_by_strategy(
    machine: &mut Machine,
    bounds: &Bounds,
    clock: &WallClock,
    on_progress: &mut dyn FnMut(&Progress) -> bool,
) -> Result<Walked, ExploreError> {
    let mut exhaustive = Exhaustive::new(bounds.preemptions, machine.tasks());
    let mut walked = match bounds.strategy {
        Strategy::Exhaustive => walk(machine, bounds, &mut exhaustive, clock, on_progress),
        Strategy::Random { seed } => {
            walk(machine, bounds, &mut Random::new(seed), clock, on_progress)
        }
        Strategy::Pct { seed, depth } => {
            walk(machine, bounds, &mut Pct::new(seed, depth), clock, on_progress)
        }
    }?;
    if walked.stopped_by.is_none() && !exhaustive.is_complete() {
        walked.stopped_by = Some(Limit::Preemptions);
    }
    Ok(walked)
}

/// The shortest ordering that violates a property, replayed to make sure.
fn counterexample(
    model: &Model,
    machine: &mut Machine,
    first: &First,
    among: Among,
    may_go_on: &mut dyn FnMut(&Machine) -> bool,
) -> Result<Counterexample, ExploreError> {
    let property = first.property;
    let differs = |what: String| ExploreError::NotRepeatable(what);
    let most = first.preemptions;
    let mut found = match among {
        Among::All => shortest(machine, property, most, among, may_go_on)?,
        Among::Known => None,
    };
    let is_shortest = found.is_some();
    if found.is_none() {
        found = shortest(machine, property, most, Among::Known, &mut |_| true)?;
    }
    let Some(Shortest { turns, decisive, preemptions }) = found else {
        return Err(differs(format!("{} was seen once only", property.word())));
    };
    // Its clients begin other lives.
    machine.forget_live();
    let outcome = replay(model, &turns).map_err(|error| match error {
        ReplayError::Server(error) => ExploreError::Failed(error.to_string()),
        other => differs(other.to_string()),
    })?;
    let findings = check(&outcome.history).findings;
    let Some(finding) = findings.into_iter().find(|finding| finding.property == property) else {
        let schedule = Schedule { turns, ..model.origin.clone() };
        return Err(differs(format!(
            "{} does not show when {schedule} is replayed",
            property.word()
        )));
    };
    let schedule = Schedule { turns, shows: Some(property), ..model.origin.clone() };
    let (after, took) = (first.after, first.took);
    Ok(Counterexample {
        property,
        after,
        took,
        preemptions,
        is_shortest,
        schedule,
        decisive,
        outcome,
        finding,
    })
}

#[cfg(test)]
mod tests;
