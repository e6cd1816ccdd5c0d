//! How long a plan can take at most, as far as it says so itself.

use super::setup::tasks;
use crate::scenario::{Action, ActorPlan, Plan, Start, Step};
use std::ops::Range;
use std::time::Duration;

/// The longest that a plan can take by its own durations.
pub fn longest(plan: &Plan) -> Duration {
    let of_actor = |actor: &ActorPlan| {
        let start = match actor.start {
            Start::Together => Duration::ZERO,
            Start::InSequence { pause } => pause,
            Start::After { delay } => delay,
        };
        start.saturating_add(of_steps(plan, &actor.steps))
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
        _ => Duration::ZERO,
    };
    steps.iter().map(of_step).fold(Duration::ZERO, Duration::saturating_add)
}
