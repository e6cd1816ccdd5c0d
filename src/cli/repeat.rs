//! Runs a scenario as often as `--repeat` says, and counts what comes.

use super::execute::{Executed, Job, execute};
use super::exit::{Exit, Refusal};
use super::progress::Progress;
use crate::report::Repetition;
use std::sync::Arc;

/// Runs the job once, or as often as its options say. The bar, if there is one, counts actors, or
/// else runs.
pub(super) fn execute_all(
    job: &Job<'_>,
    progress: Option<&Arc<Progress>>,
) -> Result<Executed, Refusal> {
    let options = job.options;
    let Some(times) = options.repeat else { return execute(job, options.seed, progress) };
    if let Some(progress) = progress {
        progress.expect(times as usize);
    }
    let mut repetition = Repetition::new(options.virtual_time.then_some(options.seed));
    let mut shown: Option<Executed> = None;
    let mut broken_off = None;
    for number in 0..u64::from(times) {
        let executed = match execute(job, options.seed.wrapping_add(number), None) {
            // Without a first run there is nothing to report.
            Err(refusal) if shown.is_none() => return Err(refusal),
            Err(refusal) => {
                broken_off = Some((refusal.exit, lines(refusal)));
                break;
            }
            Ok(executed) => executed,
        };
        if matches!(executed.exit, Exit::Environment | Exit::Interrupted) {
            broken_off = Some((executed.exit, executed.said.clone()));
            shown.get_or_insert(executed);
            break;
        }
        repetition.add(&executed.report);
        shown = Some(worse(shown, executed));
        if let Some(progress) = progress {
            progress.finished_one();
        }
    }
    let Some(mut shown) = shown else {
        return Err(Refusal::new(Exit::Usage, anyhow::anyhow!("nothing was to be run")));
    };
    let notice = format!("broken off after {} of {times} runs", repetition.runs);
    let broken_off = broken_off.map(|(exit, said)| {
        (shown.exit, shown.said) = (exit, said);
        notice
    });
    Ok(Executed { report: shown.report.of_runs(repetition, broken_off), ..shown })
}

/// The lines for a refusal in the middle; a signal has printed its own already.
fn lines(refusal: Refusal) -> Vec<String> {
    let why = (refusal.exit != Exit::Interrupted).then(|| format!("{:#}", refusal.error));
    refusal.left.into_iter().chain(why).collect()
}

/// Of two runs the one that is worse; of equally bad ones the first, of good ones the last.
fn worse(before: Option<Executed>, now: Executed) -> Executed {
    match before {
        Some(before) if before.exit != Exit::Success && !now.exit.is_worse_than(before.exit) => {
            before
        }
        _ => now,
    }
}
