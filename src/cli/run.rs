//! `run`: several scenarios, one summary, one exit status.

use super::args::{Format, RunArgs};
use super::builtin::BuiltIn;
use super::execute::{Executed, Job};
use super::exit::{Exit, Refusal, environment};
use super::explore::explore_for_run;
use super::input::{Named, named};
use super::mistakes::explain;
use super::outputs::Outputs;
use super::parallel::{cores, in_parallel};
use super::progress::Progress;
use super::repeat::execute_all;
use super::signals::Signals;
use super::{say, terminal, verbose};
use crate::report::{Cause, Entry, Failure, Runs, json, junit, table};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The outcome of one scenario, and the exit status that it would have alone.
type Ended = (Entry, Exit);

/// Runs everything that was named.
pub(super) fn run(args: &RunArgs, builtin: &BuiltIn) -> Result<Exit, Refusal> {
    // A signal ends the wait for a file that has no end.
    let scenarios = named(&args.what, builtin);
    let signals = Signals::handle().map_err(environment)?;
    let outputs = Outputs::open(&signals, &args.report, None, None)?;
    let progress = Arc::new(Progress::new("scenarios", args.report.quiet));
    progress.expect(scenarios.len());
    let ended = run_all(args, &scenarios, &signals, &progress);
    progress.clear();
    let exit = Exit::worst(ended.iter().map(|(_, exit)| *exit));
    let runs = Runs(ended.into_iter().map(|(entry, _)| entry).collect());
    // In a table, the full report where there is only one.
    outputs.write(None, &runs.0, |format, style, out| match (format, &*runs.0) {
        (Format::Json, _) => json::write(&runs, out),
        (Format::Junit, entries) => junit::write(entries, out),
        (Format::Table, [Entry::Report(report)]) => {
            let style = terminal::unwrapped(style, args.report.output.is_some());
            table::write(report, args.verbose, style, out)
        }
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
    // On the wall clock they share a directory.
    let jobs = if args.run.virtual_time { args.jobs.map_or_else(cores, usize::from) } else { 1 };
    let ended = in_parallel(scenarios, jobs, |_, named| {
        let ran = run_one(args, named, signals, progress);
        let explored = explore_one(args, named, signals, progress);
        progress.finished_one();
        [Some(ran), explored]
    });
    ended.into_iter().flatten().flatten().collect()
}

fn run_one(args: &RunArgs, named: &Named, signals: &Signals, progress: &Progress) -> Ended {
    let say = |line: &str| progress.suspend(|| say(line));
    let values = BTreeMap::new();
    let scenario = match &named.scenario {
        Ok(scenario) => scenario,
        Err(refusal) => return failed(named, refusal, progress),
    };
    let (file, directory, options) = (named.file.as_deref(), args.directory.as_path(), &args.run);
    let job = Job { scenario, file, values: &values, directory, options, signals };
    match execute_all(&job, None) {
        Ok(Executed { report, history, exit, said }) => {
            if args.verbose {
                progress.suspend(|| verbose::show(&named.given, &history));
            }
            said.iter().for_each(|line| say(&format!("{}: {line}", named.given)));
            (Entry::Report(Box::new(report)), exit)
        }
        Err(refusal) => {
            refusal.left.iter().for_each(|line| say(&format!("{}: {line}", named.given)));
            failed(named, &refusal, progress)
        }
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
    Some(explored.unwrap_or_else(|refusal| failed(named, &refusal, progress)))
}

fn failed(named: &Named, refusal: &Refusal, progress: &Progress) -> Ended {
    let (exit, message) = (refusal.exit, format!("{:#}", refusal.error));
    // A signal has said it already.
    if exit != Exit::Interrupted {
        progress.suspend(|| explain(refusal));
    }
    let cause = match exit {
        Exit::Interrupted => Cause::Interrupted,
        Exit::Environment => Cause::Environment,
        _ => Cause::Scenario,
    };
    (Entry::Failure(Failure { file: named.given.clone(), cause, message }), exit)
}
