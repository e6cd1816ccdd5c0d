//! Runs one ordering after the other through the machine, as a scheduler says, and notes what they
//! violate.

use super::machine::{Choice, Machine, StateId};
use super::{Bounds, ExploreError, Limit, Progress};
use lock_history::check::{Properties, Property};
use redis_sim::clock::{Clock, WallClock};
use std::time::Duration;

/// How many steps are taken before the bounds are looked at again, unless clients from outside take them.
const SELDOM: u64 = 256;
/// How often progress is reported.
const NOTICE: Duration = Duration::from_millis(100);

/// Decides which orderings are run.
pub(super) trait Scheduler {
    /// Begins the next ordering: how many choices of the last one it keeps. None when all are run.
    fn begin(&mut self) -> Option<usize>;

    /// Which of the choices is taken; none if what follows was run already.
    fn choose(&mut self, at: &At<'_>) -> Option<usize>;

    /// How many preemptions the orderings have at most that are run now, where that is bounded.
    fn preemptions(&self) -> Option<u32> {
        None
    }

    /// About how much memory it takes for what it remembers of the states.
    fn bytes(&self) -> usize {
        0
    }
}

/// A moment in an ordering.
pub(super) struct At<'a> {
    pub state: StateId,
    /// How many choices were taken.
    pub depth: usize,
    /// Whose step was last.
    pub last: Option<usize>,
    /// Whether that one could go on, and has not rested.
    pub last_goes_on: bool,
    /// The preemptions so far.
    pub preemptions: u32,
    /// What can be chosen.
    pub choices: &'a [Choice],
}

impl At<'_> {
    /// Whether a choice is a preemption.
    pub fn preempts(&self, choice: &Choice) -> bool {
        self.last_goes_on && choice.turn.mover().is_some_and(|mover| Some(mover) != self.last)
    }
}

/// One choice that was taken.
#[derive(Clone, Copy)]
struct Taken {
    to: StateId,
    last: Option<usize>,
    preemptions: u32,
}

/// A property that was violated for the first time.
pub(super) struct First {
    pub property: Property,
    /// How many orderings had been run.
    pub after: u64,
    pub took: Duration,
    pub preemptions: u32,
}

/// The outcome of a walk.
pub(super) struct Walked {
    pub first: Vec<First>,
    found: Properties,
    pub orderings_run: u64,
    pub depth: usize,
    /// What ended it early.
    pub stopped_by: Option<Limit>,
}

/// What ends a walk early.
struct Ends<'a> {
    bounds: &'a Bounds,
    clock: &'a WallClock,
    on_progress: &'a mut dyn FnMut(&Progress) -> bool,
    /// How many steps were taken, in all orderings.
    steps: u64,
    /// When progress was last reported.
    notified: Duration,
}

impl Ends<'_> {
    /// After an ordering.
    fn after_ordering(&self, walked: &Walked) -> Option<Limit> {
        let is_found = |wanted: &Property| walked.found.contains(*wanted);
        let bounds = self.bounds;
        if !bounds.until.is_empty() && bounds.until.iter().all(is_found) {
            Some(Limit::Satisfied)
        } else if bounds.max_schedules.is_some_and(|most| walked.orderings_run >= most) {
            Some(Limit::Schedules)
        } else {
            None
        }
    }

    /// Before each step, in the middle of an ordering: one may have very many of them.
    fn before_step(
        &mut self,
        machine: &Machine,
        walked: &Walked,
        scheduler: &dyn Scheduler,
    ) -> Option<Limit> {
        self.steps += 1;
        if !machine.is_foreign() && !self.steps.is_multiple_of(SELDOM) {
            return None;
        }
        if !machine.has_room(scheduler.bytes()) {
            return Some(Limit::Memory);
        }
        let took = self.clock.now();
        if self.bounds.max_time.is_some_and(|most| took >= most) {
            return Some(Limit::Time);
        }
        if took - self.notified < NOTICE {
            return None;
        }
        self.notified = took;
        (!self.goes_on(machine, walked, scheduler.preemptions())).then_some(Limit::Interrupted)
    }

    /// Reports progress; says whether to go on.
    fn goes_on(&mut self, machine: &Machine, walked: &Walked, preemptions: Option<u32>) -> bool {
        (self.on_progress)(&Progress {
            orderings_run: walked.orderings_run,
            states: machine.states() as u64,
            depth: walked.depth,
            preemptions,
            found: walked.first.len(),
            took: self.clock.now(),
        })
    }
}

/// Runs orderings until the scheduler has no more, or a bound is hit.
pub(super) fn walk(
    machine: &mut Machine,
    bounds: &Bounds,
    scheduler: &mut dyn Scheduler,
    clock: &WallClock,
    on_progress: &mut dyn FnMut(&Progress) -> bool,
) -> Result<Walked, ExploreError> {
    let mut walked = Walked {
        first: Vec::new(),
        found: Properties::default(),
        orderings_run: 0,
        depth: 0,
        stopped_by: None,
    };
    let mut ends = Ends { bounds, clock, on_progress, steps: 0, notified: Duration::ZERO };
    let mut path: Vec<Taken> = Vec::new();
    while walked.stopped_by.is_none()
        && let Some(kept) = scheduler.begin()
    {
        path.truncate(kept);
        walked.stopped_by = match run(machine, scheduler, &mut ends, &mut path, &mut walked) {
            Ok(Some(limit)) => Some(limit),
            Ok(None) => {
                walked.orderings_run += 1;
                ends.after_ordering(&walked)
            }
            // An answer that is not wanted any more is not waited for.
            Err(ExploreError::Failed(_)) if !ends.goes_on(machine, &walked, None) => {
                Some(Limit::Interrupted)
            }
            Err(error) => return Err(error),
        };
    }
    Ok(walked)
}

/// Runs one ordering on from what is kept of the last one; gives what kept it from its end.
fn run(
    machine: &mut Machine,
    scheduler: &mut dyn Scheduler,
    ends: &mut Ends<'_>,
    path: &mut Vec<Taken>,
    walked: &mut Walked,
) -> Result<Option<Limit>, ExploreError> {
    loop {
        if let Some(limit) = ends.before_step(machine, walked, scheduler) {
            return Ok(Some(limit));
        }
        let now = path.last().copied();
        let first = Taken { to: machine.first(), last: None, preemptions: 0 };
        let Taken { to: state, last, preemptions } = now.unwrap_or(first);
        let last_goes_on = last.is_some_and(|last| machine.goes_on(state, last));
        let choices = machine.choices(state)?;
        if choices.is_empty() {
            return Ok(None);
        }
        let at = At { state, depth: path.len(), last, last_goes_on, preemptions, choices };
        let Some(choice) = scheduler.choose(&at).and_then(|position| choices.get(position)) else {
            return Ok(None);
        };
        let preemptions = preemptions + u32::from(at.preempts(choice));
        let taken = Taken { to: choice.to, last: choice.turn.mover().or(last), preemptions };
        path.push(taken);
        walked.depth = walked.depth.max(path.len());
        for property in machine.found(taken.to).iter() {
            if !walked.found.contains(property) {
                walked.found.insert(property);
                let (after, took) = (walked.orderings_run + 1, ends.clock.now());
                walked.first.push(First { property, after, took, preemptions });
            }
        }
    }
}
