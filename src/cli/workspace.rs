//! Runs something on a stage: what it needs is prepared before, and put back afterwards however it
//! ends.

use super::exit::{Exit, Refusal};
use super::signals::Signals;
use lock_lab::runtime::{Cleaned, Outcome, Stage, World};
use redis_sim::clock::Stopped;

/// How to go about it.
#[derive(Clone, Copy)]
pub(super) struct Staging<'a> {
    pub signals: &'a Signals,
    /// Whether to take live locks of others away.
    pub force: bool,
    /// Whether to leave everything as the run left it.
    pub keep: bool,
}

/// The outcome.
pub(super) struct Staged {
    pub outcome: Outcome,
    /// What was in the way before.
    pub notices: Vec<String>,
    /// What was kept, with the commands that clean it.
    pub kept: Vec<String>,
    /// What had to be left, with the commands that clean it.
    pub left: Vec<String>,
    /// Whether nothing of ours is left in Redis.
    pub is_clean: bool,
}

/// Prepares, runs and puts back; notifies the signals' handler each time that there is more to
/// clean up.
pub(super) fn staged(
    world: &World,
    staging: Staging<'_>,
    run: impl FnOnce() -> Result<Outcome, Refusal>,
) -> Result<Staged, Refusal> {
    let mut stage = Stage::default();
    let ran = prepare_and_run(world, staging, &mut stage, run);
    let (kept, cleaned) = if staging.keep && ran.is_ok() {
        let kept = stage.leftovers(world);
        let kept = kept.into_iter().map(|by_hand| format!("kept; to clean: {by_hand}")).collect();
        (kept, Cleaned { notices: Vec::new(), is_clean: true })
    } else {
        (Vec::new(), stage.clean(world))
    };
    let Cleaned { notices: left, is_clean } = cleaned;
    staging.signals.set_leftovers(Vec::new());
    match ran {
        Ok((outcome, notices)) => Ok(Staged { outcome, notices, kept, left, is_clean }),
        Err(refusal) => Err(Refusal { left, ..refusal }),
    }
}

fn prepare_and_run(
    world: &World,
    staging: Staging<'_>,
    stage: &mut Stage,
    run: impl FnOnce() -> Result<Outcome, Refusal>,
) -> Result<(Outcome, Vec<String>), Refusal> {
    let mut prepare = || {
        let directories = stage.prepare_directories(world);
        staging.signals.set_leftovers(stage.leftovers(world));
        directories?;
        let notices = stage.prepare_locks(world, staging.force)?;
        staging.signals.set_leftovers(stage.leftovers(world));
        Ok(notices)
    };
    let ran = prepare().and_then(|notices| Ok((run()?, notices)));
    ran.map_err(|refusal: Refusal| match world.time().clock().check() {
        Err(Stopped::Interrupted) => Refusal { exit: Exit::Interrupted, ..refusal },
        _ => refusal,
    })
}
