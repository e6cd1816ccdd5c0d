//! An exploration in stages, one after the other within the same bounds.

use crate::report::exploration::{ProtocolRow, Stage};
use lock_history::check::Judged;
use lock_lab::runtime::{Bounds, ExploreError, Explored, Limit, Model, Progress, explore};
use std::time::Duration;

/// How long an exploration may take, if that is not said.
pub const MAX_TIME: Duration = Duration::from_secs(60);

/// The stages of an exploration whose crashes and faults are said nowhere: without any, with one crash, with
/// one fault.
pub fn stages(bounds: &Bounds) -> Vec<Bounds> {
    let with = |crashes, faults| Bounds { crashes, faults, ..bounds.clone() };
    vec![with(0, 0), with(1, 0), with(0, 1)]
}

/// Whether a client may crash, or a command be lost or late.
pub fn may_fail(bounds: &Bounds) -> bool {
    bounds.crashes > 0 || bounds.faults > 0
}

/// Explores a model as long as `go_on` says so.
///
/// # Errors
///
/// [`ExploreError`] if the first stage fails; what was found before a later one fails is not lost.
pub fn explored(
    model: &Model,
    all: &[Bounds],
    judged: &Judged,
    go_on: &mut dyn FnMut(&Progress) -> bool,
) -> Result<ProtocolRow, ExploreError> {
    let mut stages = Vec::new();
    let mut left = Left::default();
    for bounds in all {
        let Some(within) = left.of(bounds) else {
            stages.push(Stage { bounds: bounds.clone(), outcome: None });
            continue;
        };
        let outcome = match explore(model, &within, go_on) {
            Ok(explored) => {
                left.use_up(&explored);
                Ok(explored)
            }
            Err(error) if !stages.is_empty() => Err(error.to_string()),
            Err(error) => return Err(error),
        };
        stages.push(Stage { bounds: bounds.clone(), outcome: Some(outcome) });
    }
    Ok(ProtocolRow::new(&model.plan, &stages, judged))
}

/// What the stages of an exploration have used up of its bounds.
#[derive(Default)]
struct Left {
    time: Duration,
    orderings: u64,
    is_over: bool,
}

impl Left {
    /// The bounds of the next stage, if there is anything left.
    fn of(&self, bounds: &Bounds) -> Option<Bounds> {
        let max_time = bounds.max_time.map(|most| most.saturating_sub(self.time));
        let max_schedules = bounds.max_schedules.map(|most| most.saturating_sub(self.orderings));
        let has_any = max_time != Some(Duration::ZERO) && max_schedules != Some(0);
        (has_any && !self.is_over).then(|| Bounds { max_time, max_schedules, ..bounds.clone() })
    }

    fn use_up(&mut self, explored: &Explored) {
        self.time += explored.took;
        self.orderings += explored.orderings_run;
        self.is_over |= matches!(explored.stopped_by, Some(Limit::Interrupted | Limit::Satisfied));
    }
}
