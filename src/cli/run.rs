//! `run`: several scenarios, one summary, one exit status.

use super::args::{Format, RunArgs};
use super::builtin::BuiltIn;
use super::execute::{Executed, Job};
use super::exit::Exit;
use super::explore::explore_for_run;
use super::input::{Named, named};
use super::outputs::Outputs;
use super::progress::Progress;
use super::refusal::{Refusal, environment};
use super::repeat::execute_all;
use super::signals::Signals;
use super::{github, say, verbose};
use crate::report::{Cause, Entry, Failure, Runs, json, junit, table};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// What came of one scenario, and the exit status that it would have alone.
type Ended = (Entry, Exit);

/// Runs everything that was named.
pub(super) fn run(args: &RunArgs, builtin: &BuiltIn) -> Result<Exit, Refusal> {
    let signals = Signals::handle().map_err(environment)?;
    let outputs = Outputs::open(&signals, &args.report, None, None)?;
    let scenarios = named(&args.what, builtin);
    let progress = Arc::new(Progress::new("scenarios", args.report.quiet));
    progress.expect(scenarios.len());
    let ended = run_all(args, &scenarios, &signals, &progress);
    progress.clear();
    let exit = Exit::worst(ended.iter().map(|(_, exit)| *exit));
    let runs = Runs(ended.into_iter().map(|(entry, _)| entry).collect());
    let reports = runs.reports().flat_map(github::of_report);
    let annotations = reports.chain(runs.explorations().flat_map(github::of_exploration));
    // For people, the whole report where there is only one.
    outputs.write(None, annotations.collect(), |format, style, out| match (format, &*runs.0) {
        (Format::Json, _) => json::write(&runs, out),
        (Format::Junit, entries) => junit::write(entries, out),
        (Format::Table, [Entry::Report(report)]) => table::write(report, style, out),
        (Format::Table, _) => table::write_runs(&runs, style, out),
    })?;
    Ok(exit)
}

/// Runs them, as many at a time as may be, and gives what came in their order.
fn run_all(
    args: &RunArgs,
    scenarios: &[Named],
    signals: &Signals,
    progress: &Arc<Progress>,
) -> Vec<Ended> {
    let next = AtomicUsize::new(0);
    let ended: Mutex<BTreeMap<usize, Vec<Ended>>> = Mutex::default();
    let work = || {
        while let Some((index, named)) = {
            let index = next.fetch_add(1, Ordering::Relaxed);
            scenarios.get(index).map(|named| (index, named))
        } {
            let one = run_one(args, named, signals, progress);
            let all = [Some(one), explore_one(args, named, signals, progress)];
            progress.finished_one();
            let all = all.into_iter().flatten().collect();
            ended.lock().unwrap_or_else(PoisonError::into_inner).insert(index, all);
        }
    };
    let others = jobs(args, scenarios.len()).saturating_sub(1);
    thread::scope(|scope| {
        for _ in 0..others {
            // Where there can't be another thread, those that there are do it all.
            let _ = thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    let ended = ended.into_inner().unwrap_or_else(PoisonError::into_inner);
    ended.into_values().flatten().collect()
}

/// How many run at a time. On the wall clock they share a directory, so one does.
fn jobs(args: &RunArgs, scenarios: usize) -> usize {
    if !args.run.virtual_time {
        return 1;
    }
    let cores = || thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    args.jobs.unwrap_or_else(cores).get().min(scenarios)
}

fn run_one(args: &RunArgs, named: &Named, signals: &Signals, progress: &Progress) -> Ended {
    let say = |line: &str| progress.suspend(|| say(line));
    let values = BTreeMap::new();
    let executed = match &named.scenario {
        Err(refusal) => Err((refusal.exit, format!("{:#}", refusal.error))),
        Ok(scenario) => {
            let file = named.file.as_deref();
            let (directory, options) = (args.directory.as_path(), &args.run);
            let job = Job { scenario, file, values: &values, directory, options, signals };
            execute_all(&job, None).map_err(|refusal| {
                refusal.left.iter().for_each(|line| say(&format!("{}: {line}", named.given)));
                (refusal.exit, format!("{:#}", refusal.error))
            })
        }
    };
    match executed {
        Ok(Executed { report, history, exit, said }) => {
            if args.verbose {
                progress.suspend(|| verbose::show(&named.given, &history));
            }
            said.iter().for_each(|line| say(&format!("{}: {line}", named.given)));
            (Entry::Report(Box::new(report)), exit)
        }
        Err((exit, message)) => failed(named, exit, message, say),
    }
}

/// All orderings of a scenario that asks for it.
fn explore_one(
    args: &RunArgs,
    named: &Named,
    signals: &Signals,
    progress: &Progress,
) -> Option<Ended> {
    let scenario = named.scenario.as_ref().ok()?;
    let options = &args.run;
    let file = named.file.as_deref();
    let explored = explore_for_run(scenario, file, options.lock, options.wait, signals)?;
    let say = |line: &str| progress.suspend(|| say(line));
    Some(
        explored.unwrap_or_else(|refusal| {
            failed(named, refusal.exit, format!("{:#}", refusal.error), say)
        }),
    )
}

fn failed(named: &Named, exit: Exit, message: String, say: impl Fn(&str)) -> Ended {
    // A signal has said it already.
    if exit != Exit::Interrupted {
        say(&message);
    }
    let cause = match exit {
        Exit::Interrupted => Cause::Interrupted,
        Exit::Environment => Cause::Environment,
        _ => Cause::Scenario,
    };
    (Entry::Failure(Failure { file: named.given.clone(), cause, message }), exit)
}
