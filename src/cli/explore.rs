//! `explore`: every ordering of a scenario's steps, under one lock protocol or both.

use super::args::{ExploreArgs, Format};
use super::binding::values;
use super::builtin::BuiltIn;
use super::exit::{Exit, Refusal, environment, usage};
use super::explore_plan::{ExploreTask, tasks, tasks_of_run};
use super::input::only;
use super::outputs::Outputs;
use super::parallel::{cores, in_parallel};
use super::progress::ProgressLine;
use super::say;
use super::signals::Signals;
use crate::probing::explored;
use crate::report::exploration::{Exploration, ProtocolRow};
use crate::report::{Entry, json, junit, large, table};
use anyhow::anyhow;
use lock_lab::lock::LockProtocol;
use lock_lab::runtime::{ExploreError, Limit, Model, Progress};
use lock_lab::scenario::Scenario;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Explores a scenario and writes the outcome.
pub(super) fn explore(args: &ExploreArgs, builtin: &BuiltIn) -> Result<Exit, Refusal> {
    let (scenario, file) = one(&args.what, builtin)?;
    let signals = Signals::handle().map_err(environment)?;
    let shown = &args.shown;
    let outputs = Outputs::open(&signals, &shown.report, None, shown.timeline.as_ref())?;
    let values = values(&scenario, &args.search.values())?;
    let tasks = tasks(args, &scenario, file.as_deref(), &values)?;
    let jobs = args.jobs.map_or_else(cores, usize::from);
    let line = ProgressLine::new(shown.report.quiet);
    let ended = explore_all(&tasks, jobs, &signals, &line);
    line.clear();
    report(ended, &scenario, file, shown.all, outputs)
}

fn exploration(scenario: &Scenario, file: Option<String>, rows: Vec<ProtocolRow>) -> Exploration {
    Exploration::new(scenario.name().into(), scenario.title().into(), file, rows)
}

/// Writes the results of those that were explored, with `all` steps or those that matter. Where none
/// was, the first refusal stands for all.
pub(super) fn report(
    ended: Vec<Result<ProtocolRow, Refusal>>,
    scenario: &Scenario,
    file: Option<String>,
    all: bool,
    outputs: Outputs<'_>,
) -> Result<Exit, Refusal> {
    let (mut rows, mut refusals) = (Vec::new(), Vec::new());
    for one in ended {
        match one {
            Ok(row) => rows.push(row),
            Err(refusal) => refusals.push(refusal),
        }
    }
    if rows.is_empty() {
        refusals.truncate(1);
        return refusals.pop().map_or(Ok(Exit::Success), Err);
    }
    // A signal has said it already.
    for refusal in refusals.iter().filter(|refusal| refusal.exit != Exit::Interrupted) {
        say(&format!("{:#}", refusal.error));
    }
    let exploration = exploration(scenario, file, rows);
    let exit = exit(&exploration);
    let example = exploration.first_shown().map(|shown| shown.history.clone());
    let entries = [Entry::Exploration(Box::new(exploration.clone()))];
    outputs.write(example.as_ref(), &entries, |format, style, out| match format {
        Format::Json => json::write(&exploration, out),
        Format::Table => table::write_exploration(&exploration, all, style, out),
        Format::Junit => junit::write(&entries, out),
    })?;
    Ok(Exit::worst(refusals.iter().map(|refusal| refusal.exit).chain([exit])))
}

/// The one scenario that was named, and its file.
pub(super) fn one(what: &Path, builtin: &BuiltIn) -> Result<(Scenario, Option<String>), Refusal> {
    only(what, builtin)?.ok_or_else(|| {
        let shown = what.display();
        usage(anyhow!("{shown} is a directory; name one of the scenario files in it"))
    })
}

/// Explores them, as many at a time as there are jobs, and gives what came in their order.
fn explore_all(
    tasks: &[ExploreTask],
    jobs: usize,
    signals: &Signals,
    line: &ProgressLine,
) -> Vec<Result<ProtocolRow, Refusal>> {
    let running: Mutex<BTreeMap<usize, String>> = Mutex::default();
    let show = |index: usize, how_far: Option<String>| {
        let mut running = running.lock();
        match how_far {
            Some(how_far) => running.insert(index, how_far),
            None => running.remove(&index),
        };
        line.show(&running.values().map(String::as_str).collect::<Vec<_>>().join("; "));
    };
    in_parallel(tasks, jobs, |index, task| {
        let name = task.model.host.protocol().name();
        let ended = explore_one(task, signals, &mut |progress| {
            show(index, Some(so_far(name, progress)));
        });
        show(index, None);
        ended
    })
}

pub(super) fn explore_one(
    task: &ExploreTask,
    signals: &Signals,
    show: &mut dyn FnMut(&Progress),
) -> Result<ProtocolRow, Refusal> {
    if signals.interrupted() {
        return Err(Refusal::new(Exit::Interrupted, anyhow!("interrupted, not explored")));
    }
    let mut stop = |progress: &Progress| {
        show(progress);
        !signals.interrupted()
    };
    let ExploreTask { model, stages, judged } = task;
    explored(model, stages, judged, &mut stop).map_err(|error| refusal(model, error))
}

fn refusal(model: &Model, error: ExploreError) -> Refusal {
    let exit = match error {
        ExploreError::NotRepeatable(_) => Exit::Inconclusive,
        ExploreError::Failed(_) => Exit::Environment,
    };
    Refusal::new(exit, anyhow!("{}: {error}", model.host.protocol().name()))
}

/// How far an exploration has come, in a line.
pub(super) fn so_far(protocol: &str, progress: &Progress) -> String {
    let seconds = progress.took.as_secs_f64();
    let rate = match seconds > 0.0 {
        true => format!(", {} orderings/s", large(progress.orderings_run as f64 / seconds)),
        false => String::new(),
    };
    let preemptions = progress.preemptions.map(|most| format!(", up to {most} preemptions"));
    format!(
        "{protocol}: {} orderings, {} states{rate}, depth {}{}",
        large(progress.orderings_run as f64),
        large(progress.states as f64),
        progress.depth,
        preemptions.unwrap_or_default(),
    )
}

fn exit(exploration: &Exploration) -> Exit {
    let interrupted = Some(Limit::Interrupted);
    match exploration.protocols.iter().any(|row| row.stopped_by == interrupted) {
        true => Exit::Interrupted,
        false => exploration.verdict.into(),
    }
}

/// The outcome of all orderings of a scenario that asks for it to be explored when it is run, and
/// the exit status that this would have alone; none, if it does not ask.
pub(super) fn explore_for_run(
    scenario: &Scenario,
    file: Option<&str>,
    lock: &Arc<dyn LockProtocol>,
    wait: Duration,
    signals: &Signals,
) -> Option<Result<(Entry, Exit), Refusal>> {
    let tasks = match tasks_of_run(scenario, file, lock, wait) {
        Ok(tasks) => tasks,
        Err(refusal) => return Some(Err(refusal)),
    };
    if tasks.is_empty() {
        return None;
    }
    let rows = tasks.iter().map(|task| explore_one(task, signals, &mut |_| ()));
    Some(rows.collect::<Result<Vec<_>, _>>().map(|rows| {
        let exploration = exploration(scenario, file.map(str::to_owned), rows);
        let exit = exit(&exploration);
        (Entry::Exploration(Box::new(exploration)), exit)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::exploration::Stage;
    use lock_history::check::Judged;
    use lock_history::check::{Property, Tried, Verdict};
    use lock_lab::lock::Ttl;
    use lock_lab::runtime::{Bounds, Explored, Strategy, Timing};
    use lock_lab::scenario::catalogue;

    #[test]
    fn progress_is_one_line_of_numbers() {
        let mut progress = Progress {
            orderings_run: 12_304,
            states: 84_211,
            depth: 31,
            preemptions: Some(3),
            found: 0,
            took: Duration::from_millis(100),
        };
        assert_eq!(
            so_far("hardened", &progress),
            "hardened: 12 304 orderings, 84 211 states, 123 040 orderings/s, depth 31, \
             up to 3 preemptions"
        );
        (progress.preemptions, progress.took) = (None, Duration::ZERO);
        assert_eq!(
            so_far("legacy", &progress),
            "legacy: 12 304 orderings, 84 211 states, depth 31"
        );
    }
    fn row(verdict: Verdict, stopped_by: Option<Limit>) -> ProtocolRow {
        let judged = match verdict {
            Verdict::Unexpected => {
                Judged { must_find: vec![Property::Overlap], ..Judged::default() }
            }
            _ => Judged { must_not_find: vec![Property::Overlap], ..Judged::default() },
        };
        let explored = Explored {
            protocol: "legacy".into(),
            is_foreign: false,
            found: Vec::new(),
            orderings_run: 1,
            orderings: None,
            states: 1,
            depth: 1,
            stopped_by,
            tried: Tried { properties: Property::ALL.into_iter().collect(), lease_expired: true },
            took: Duration::ZERO,
        };
        let bounds = Bounds {
            timing: Timing::Async,
            crashes: 0,
            faults: 0,
            preemptions: None,
            max_schedules: None,
            max_time: None,
            until: Vec::new(),
            strategy: Strategy::Exhaustive,
        };
        let none = BTreeMap::new();
        let plan = scenario().bind(&none, "legacy", Ttl::DEFAULT, Duration::ZERO).unwrap();
        let stage = Stage { bounds, outcome: Some(Ok(explored)) };
        let row = ProtocolRow::new(&plan, &[stage], &judged);
        assert_eq!(row.verdict, verdict);
        row
    }

    fn scenario() -> Scenario {
        catalogue().unwrap().remove(0)
    }

    #[test]
    fn the_exit_status_is_the_worst_verdict_s_or_says_that_it_was_interrupted() {
        let ends = |rows| exit(&exploration(&scenario(), None, rows));
        let good = || row(Verdict::Expected, None);
        assert_eq!(ends(vec![good(), good()]), Exit::Success);
        assert_eq!(ends(vec![good(), row(Verdict::Unexpected, None)]), Exit::Unexpected);
        let bounded = row(Verdict::Inconclusive, Some(Limit::Time));
        assert_eq!(ends(vec![good(), bounded]), Exit::Inconclusive);
        let interrupted = row(Verdict::Inconclusive, Some(Limit::Interrupted));
        assert_eq!(ends(vec![good(), interrupted]), Exit::Interrupted);
    }
}
