//! `explore`: every ordering of a scenario's steps, under one lock protocol or both.

use super::args::{DEFAULT_DEPTH, ExploreArgs, Format, LockProtocol, ReportOptions, StrategyWord};
use super::exit::Exit;
use super::input::named;
use super::model::{Origin, model, values};
use super::output::Output;
use super::progress::Line;
use super::refusal::{Refusal, environment, usage};
use super::signals::Signals;
use super::{github, say, terminal};
use crate::check::Property;
use crate::report::exploration::{Exploration, Judged, ProtocolRow};
use crate::report::{Entry, json, junit, large, table};
use crate::runtime::{
    Bounds, ExploreError, Limit, Model, Progress, Strategy, Timing, explore as run,
};
use crate::scenario::{Plan, Scenario};
use anyhow::anyhow;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::slice;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// One exploration, to be done.
struct Task {
    model: Model,
    judged: Judged,
}

/// Explores a scenario and writes what came of it.
pub(super) fn explore(args: &ExploreArgs, builtin: &[Scenario]) -> Result<Exit, Refusal> {
    let signals = Signals::handle().map_err(environment)?;
    let output = Output::open(args.report.output.as_deref(), args.report.quiet);
    let output = output.map_err(environment)?;
    signals.set_output(output.by_hand());
    let (scenario, file) = one(args, builtin)?;
    let bounds = bounds(args)?;
    let values = values(&scenario, &args.values)?;
    let origin = Origin {
        scenario: &scenario,
        file: file.as_deref(),
        values: &values,
        wait: args.wait,
        timing: args.timing,
    };
    let locks = match &args.lock {
        Some(lock) => slice::from_ref(lock),
        None => &[LockProtocol::Legacy, LockProtocol::Hardened],
    };
    let tasks = locks.iter().map(|lock| Ok(task(model(origin, *lock)?, &args.properties)));
    let tasks: Vec<Task> = tasks.collect::<Result<_, Refusal>>()?;
    let Some(plan) = tasks.first().map(|task| task.model.plan.clone()) else {
        return Err(usage(anyhow!("no lock protocol is named")));
    };
    let cores = || thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let jobs = args.jobs.unwrap_or_else(cores).get();
    let line = Line::new(args.report.quiet);
    let ended = explore_all(&tasks, &bounds, jobs, &signals, &line);
    line.clear();
    report(ended, |rows| Exploration::new(&plan, file, rows), args, output)
}

/// Writes what came of those that were explored. Where none was, the first refusal stands for all.
fn report(
    ended: Vec<Result<ProtocolRow, Refusal>>,
    exploration: impl FnOnce(Vec<ProtocolRow>) -> Exploration,
    args: &ExploreArgs,
    output: Output,
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
    let exploration = exploration(rows);
    github::annotate_explorations([&exploration], args.report.quiet);
    let exit = exit(&exploration);
    write(exploration, args.all, &args.report, output)?;
    Ok(Exit::worst(refusals.iter().map(|refusal| refusal.exit).chain([exit])))
}

/// The one scenario that was named, and its file.
fn one(args: &ExploreArgs, builtin: &[Scenario]) -> Result<(Scenario, Option<String>), Refusal> {
    let mut named = named(slice::from_ref(&args.what), builtin).into_iter();
    match (named.next(), named.next()) {
        (Some(only), None) => Ok((only.scenario?, only.file)),
        _ => {
            let shown = args.what.display();
            Err(usage(anyhow!("{shown} is a directory; name one of the scenario files in it")))
        }
    }
}

fn bounds(args: &ExploreArgs) -> Result<Bounds, Refusal> {
    let goes_with =
        |flag: &str, word: &str| Err(usage(anyhow!("{flag} goes with --strategy {word}")));
    let seed = args.seed.unwrap_or_default();
    let strategy = match args.strategy {
        StrategyWord::Exhaustive if args.seed.is_some() => {
            return goes_with("--seed", "random or pct");
        }
        StrategyWord::Exhaustive | StrategyWord::Random if args.depth.is_some() => {
            return goes_with("--depth", "pct");
        }
        StrategyWord::Exhaustive => Strategy::Exhaustive,
        StrategyWord::Random => Strategy::Random { seed },
        StrategyWord::Pct => Strategy::Pct { seed, depth: args.depth.unwrap_or(DEFAULT_DEPTH) },
    };
    Ok(Bounds {
        timing: args.timing,
        crashes: args.crashes,
        faults: args.faults,
        preemptions: args.preemptions,
        max_schedules: args.max_schedules,
        max_time: Some(args.max_time),
        strategy,
    })
}

fn task(model: Model, properties: &[Property]) -> Task {
    let judged = Judged::of(&model.plan);
    let judged = if properties.is_empty() { judged } else { judged.only(properties) };
    Task { model, judged }
}

/// Explores one model after the other, or all at a time where there are jobs enough.
fn explore_all(
    tasks: &[Task],
    bounds: &Bounds,
    jobs: usize,
    signals: &Signals,
    line: &Line,
) -> Vec<Result<ProtocolRow, Refusal>> {
    let told = Mutex::new(BTreeMap::new());
    let explore = |index: usize, task: &Task| {
        explore_one(task, bounds, signals, &mut |progress| {
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            told.insert(index, so_far(task.model.protocol.name(), progress));
            let parts: Vec<String> = told.values().cloned().collect();
            line.tell(&parts.join("; "));
        })
    };
    if jobs < 2 || tasks.len() < 2 {
        return tasks.iter().enumerate().map(|(index, task)| explore(index, task)).collect();
    }
    thread::scope(|scope| {
        let explore = &explore;
        let all = tasks.iter().enumerate();
        let started: Vec<_> = all
            .map(|(index, task)| {
                let begin = move || explore(index, task);
                (index, task, thread::Builder::new().spawn_scoped(scope, begin))
            })
            .collect();
        let ended = started.into_iter().map(|(index, task, thread)| match thread {
            Ok(thread) => thread
                .join()
                .unwrap_or_else(|_| Err(environment(anyhow!("an exploration broke off")))),
            // Where there can't be another thread, this one does it.
            Err(_) => explore(index, task),
        });
        ended.collect()
    })
}

fn explore_one(
    task: &Task,
    bounds: &Bounds,
    signals: &Signals,
    tell: &mut dyn FnMut(&Progress),
) -> Result<ProtocolRow, Refusal> {
    if signals.interrupted() {
        return Err(Refusal::new(Exit::Interrupted, anyhow!("interrupted, not explored")));
    }
    let explored = run(&task.model, bounds, &mut |progress| {
        tell(progress);
        !signals.interrupted()
    });
    let explored = explored.map_err(|error| refusal(&task.model, error))?;
    Ok(ProtocolRow::new(&task.model.plan, &explored, &task.judged, bounds))
}

fn refusal(model: &Model, error: ExploreError) -> Refusal {
    let exit = match error {
        ExploreError::NotRepeatable(_) => Exit::Inconclusive,
        ExploreError::Failed(_) => Exit::Environment,
    };
    Refusal::new(exit, anyhow!("{}: {error}", model.protocol.name()))
}

/// How far an exploration has come, in a line.
fn so_far(protocol: &str, progress: &Progress) -> String {
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

fn write(
    exploration: Exploration,
    all: bool,
    options: &ReportOptions,
    output: Output,
) -> Result<(), Refusal> {
    let style = terminal::style(options.color, options.output.is_some());
    let written = output.write(|out| match options.format {
        Format::Json => json::write(&exploration, out),
        Format::Table => table::write_exploration(&exploration, all, style, out),
        Format::Junit => junit::write(&[Entry::Exploration(Box::new(exploration))], out),
    });
    written.map_err(environment)
}

/// What came of all orderings of a scenario that asks for it to be explored when it is run, and the
/// exit status that this would have alone; nothing, if it does not ask.
pub(super) fn explore_for_run(
    scenario: &Scenario,
    file: Option<&str>,
    lock: LockProtocol,
    wait: Duration,
    signals: &Signals,
) -> Option<Result<(Entry, Exit), Refusal>> {
    let values = BTreeMap::new();
    let origin = Origin { scenario, file, values: &values, wait, timing: Timing::default() };
    let mut model = match model(origin, lock) {
        Ok(model) => model,
        Err(refusal) => return Some(Err(refusal)),
    };
    let (bounds, judged) = asked(&model.plan)?;
    model.origin.timing = bounds.timing;
    let plan = model.plan.clone();
    let row = explore_one(&Task { model, judged }, &bounds, signals, &mut |_| ());
    Some(row.map(|row| {
        let exploration = Exploration::new(&plan, file.map(str::to_owned), vec![row]);
        let exit = exit(&exploration);
        (Entry::Exploration(Box::new(exploration)), exit)
    }))
}

/// What a plan asks `run` to explore, how far, and what must come of it.
fn asked(_plan: &Plan) -> Option<(Bounds, Judged)> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Verdict;
    use crate::runtime::Explored;

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
    fn bounds_of(flags: &[&str]) -> Result<Bounds, String> {
        let argv = ["nodb-trigger", "explore", "x"].iter().chain(flags).map(Into::into);
        match crate::cli::parse(argv, &[]) {
            Ok(crate::cli::Request::Explore(args)) => {
                bounds(&args).map_err(|refusal| refusal.error.to_string())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_strategy_takes_the_numbers_that_are_its_own() {
        let strategy = |flags: &[&str]| bounds_of(flags).map(|bounds| bounds.strategy);
        let refused = |flag: &str, word: &str| Err(format!("{flag} goes with --strategy {word}"));
        assert_eq!(strategy(&[]), Ok(Strategy::Exhaustive));
        assert_eq!(strategy(&["--strategy=random"]), Ok(Strategy::Random { seed: 0 }));
        let pct = strategy(&["--strategy=pct", "--seed=7"]);
        assert_eq!(pct, Ok(Strategy::Pct { seed: 7, depth: DEFAULT_DEPTH }));
        assert_eq!(strategy(&["--seed=1"]), refused("--seed", "random or pct"));
        assert_eq!(strategy(&["--depth=2"]), refused("--depth", "pct"));
        assert_eq!(strategy(&["--strategy=random", "--depth=2"]), refused("--depth", "pct"));
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
            found: Vec::new(),
            orderings_run: 1,
            orderings: None,
            states: 1,
            depth: 1,
            stopped_by,
            took: Duration::ZERO,
        };
        let plan = plan();
        let row = ProtocolRow::new(&plan, &explored, &judged, &bounds_of(&[]).unwrap());
        assert_eq!(row.verdict, verdict);
        row
    }

    fn plan() -> Plan {
        let scenarios = crate::scenario::catalogue().unwrap();
        let values = BTreeMap::new();
        let ttl = crate::lock::Ttl::DEFAULT;
        scenarios[0].bind(&values, "legacy", ttl, Duration::ZERO).unwrap()
    }

    #[test]
    fn the_exit_status_is_the_worst_verdict_s_or_says_that_it_was_interrupted() {
        let ends = |rows| exit(&Exploration::new(&plan(), None, rows));
        let good = || row(Verdict::Expected, None);
        assert_eq!(ends(vec![good(), good()]), Exit::Success);
        assert_eq!(ends(vec![good(), row(Verdict::Unexpected, None)]), Exit::Unexpected);
        let bounded = row(Verdict::Inconclusive, Some(Limit::Time));
        assert_eq!(ends(vec![good(), bounded]), Exit::Inconclusive);
        let interrupted = row(Verdict::Inconclusive, Some(Limit::Interrupted));
        assert_eq!(ends(vec![good(), interrupted]), Exit::Interrupted);
    }
}
