//! How long a plan can take at most, as far as it says so itself, and its leases.

use super::setup::tasks;
use crate::lock::Ttl;
use crate::scenario::{Action, ActorPlan, Plan, Start, Step};
use std::ops::Range;
use std::time::Duration;

/// Clients allow for clocks that differ.
const MARGIN: Duration = Duration::from_secs(60);

/// How long it takes until all leases of a plan are over, also by a client's reckoning.
pub fn until_all_are_over(plan: &Plan) -> Duration {
    let of_actors = plan.actors.iter().filter_map(|actor| longest_lease(&actor.steps)).max();
    let longest = of_actors.unwrap_or_default().max(plan.default_ttl.seconds());
    Duration::from_secs(longest).saturating_mul(2).saturating_add(MARGIN)
}

/// The longest lease that steps ask for by themselves, in seconds.
fn longest_lease(steps: &[Step]) -> Option<u64> {
    let of_step = |step: &Step| match &step.action {
        Action::Acquire { ttl, .. } => ttl.map(Ttl::seconds),
        Action::Locked { ttl, body, .. } => ttl.map(Ttl::seconds).max(longest_lease(body)),
        Action::Repeat { body, .. }
        | Action::Islocked { body, .. }
        | Action::Redis { body, .. } => longest_lease(body),
        _ => None,
    };
    steps.iter().filter_map(of_step).max()
}

/// The longest that a plan can take by its own durations.
pub fn longest(plan: &Plan) -> Duration {
    let of_actor = |actor: &ActorPlan| {
        let start = match actor.start {
            Start::Together => Duration::ZERO,
            Start::InSequence { pause } => pause,
            Start::After { delay } => delay,
        };
        let steps = of_steps(plan, &actor.steps);
        start.saturating_add(actor.killed_after.map_or(steps, |after| after.min(steps)))
    };
    let of_task = |task: Range<usize>| {
        let actors = plan.actors.get(task).unwrap_or_default();
        actors.iter().map(of_actor).fold(Duration::ZERO, Duration::saturating_add)
    };
    tasks(plan).into_iter().map(of_task).max().unwrap_or_default()
}

fn of_steps(plan: &Plan, steps: &[Step]) -> Duration {
    let of_step = |step: &Step| match &step.action {
        Action::Work { duration, .. } | Action::Sleep { duration } | Action::Pause { duration } => {
            *duration
        }
        Action::Acquire { wait, .. } => wait.unwrap_or(plan.wait),
        Action::Locked { body, wait, .. } => {
            of_steps(plan, body).saturating_add(wait.unwrap_or(plan.wait))
        }
        Action::Repeat { times, body } => of_steps(plan, body).saturating_mul(*times),
        Action::Islocked { body, .. } | Action::Redis { body, .. } => of_steps(plan, body),
        _ => Duration::ZERO,
    };
    steps.iter().map(of_step).fold(Duration::ZERO, Duration::saturating_add)
}
