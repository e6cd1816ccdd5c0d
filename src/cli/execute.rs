//! Runs one scenario once, under the options of the command line: from the scenario to the report
//! and the exit status.

use super::args::RunOptions;
use super::binding::{DefaultTtl, default_ttl};
use super::exit::{Exit, Refusal, environment, stopped, usage};
use super::processes::Started;
use super::progress::Progress;
use super::signals::Signals;
use super::workspace::{Staged, Staging, staged};
use super::{remote, repro, say};
use crate::report::{Besides, Report};
use lock_history::check::{Ending, Verdict};
use lock_history::history::History;
use lock_lab::lock::{RunGroup, StateFile, Ttl, WriteGuard, in_process};
use lock_lab::runtime::{Outcome, Time, World, longest};
use lock_lab::scenario::{Scenario, Value};
use lock_lab::server::{Server, ServerError};
use redis_sim::clock::{Stopped, VirtualClock, WallClock};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What a run may take beyond its own durations before it is given up.
const GRACE: Duration = Duration::from_secs(30);
/// And for the connection of each actor.
const CONNECTING: Duration = Duration::from_secs(1);

/// What to run, and how.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    pub scenario: &'a Scenario,
    /// Where the scenario came from, as the user wrote it; nothing for a built-in one.
    pub file: Option<&'a str>,
    /// The parameters that were given.
    pub values: &'a BTreeMap<String, Value>,
    /// The run directory, as it was given.
    pub directory: &'a Path,
    pub options: &'a RunOptions,
    pub signals: &'a Signals,
}

/// The outcome.
pub(super) struct Executed {
    pub report: Report,
    pub history: History,
    pub exit: Exit,
    /// What the user must know, whatever becomes of the report.
    pub said: Vec<String>,
}

/// Runs it once. The progress bar, if there is one, advances as each actor ends. What a run may do to files of
/// others is said before it begins, of several runs before the first.
pub(super) fn execute(
    job: &Job<'_>,
    seed: u64,
    progress: Option<&Arc<Progress>>,
) -> Result<Executed, Refusal> {
    if job.signals.interrupted() {
        return Err(Refusal::new(Exit::Interrupted, anyhow::anyhow!("interrupted, not run")));
    }
    let DefaultTtl { ttl, notice } = default_ttl().map_err(usage)?;
    let (world, started) = world(job, ttl, seed, progress)?;
    let world = Arc::new(world);
    let Job { signals, options, .. } = job;
    let unguarded = unguarded(&world);
    let warn = || match (unguarded.as_deref().filter(|_| seed == options.seed), progress) {
        (None, _) => {}
        (Some(notice), Some(progress)) => progress.suspend(|| say(notice)),
        (Some(notice), None) => say(notice),
    };
    let staging = Staging { signals, force: options.stage.force, keep: options.keep };
    let Staged { outcome, notices, kept, left, is_clean } = staged(&world, staging, || {
        warn();
        world.run().map_err(|error| failed(&world, error))
    })?;
    let ruling = outcome.judge(world.plan());
    let can_be_had_again = options.virtual_time && ruling.verdict == Verdict::Unexpected;
    let has_unmet = ruling.expectations.iter().any(|expected| expected.met == Some(false));
    let besides = Besides {
        file: job.file.map(str::to_owned),
        seed: world.seed(),
        replay: can_be_had_again
            .then(|| repro::command(options, job.directory, job.file, world.plan(), seed)),
        notices: notice
            .into_iter()
            .chain(unguarded)
            .chain(notices)
            .chain(kept.clone())
            .chain(left.clone())
            .collect(),
        hint: started
            .as_ref()
            .filter(|_| has_unmet)
            .and_then(|it| it.notice(&world.plan().scenario)),
    };
    let report = Report::new(&world, &outcome, &ruling, besides);
    let (exit, why) = exit(&report, &outcome);
    let exit = match (exit, world.time().clock().check()) {
        // Whatever came of it then, it was on the way out.
        (_, Err(Stopped::Interrupted)) => Exit::Interrupted,
        (exit, _) if !is_clean => Exit::worst([exit, Exit::Environment]),
        (exit, _) => exit,
    };
    // The table wraps lines; here a command stays in one piece.
    let said = kept.into_iter().chain(left).chain(why).collect();
    Ok(Executed { report, history: outcome.history, exit, said })
}

/// The state files of an application that the protocol writes without checking whether they changed, in words.
fn unguarded(world: &World) -> Option<String> {
    if world.protocol().write_guard() != WriteGuard::None || !world.has_files_on_disk() {
        return None;
    }
    let of_application = |file: &&StateFile| !file.is_of_debug_controller() && file.path().exists();
    let files = world.files().iter().filter(of_application).map(StateFile::name);
    let files: Vec<&str> = files.collect();
    (!files.is_empty()).then(|| {
        format!(
            "{} writes {} without checking whether it changed: what workers of the application write during the run \
             can be lost; --lock current and --lock hardened check it",
            world.protocol().name(),
            files.join(" and ")
        )
    })
}

/// Why a run did not begin: the time limit or a signal may have come first.
fn failed(world: &World, error: ServerError) -> Refusal {
    match world.time().clock().check() {
        Err(why) => stopped(why, error),
        Ok(()) => environment(error),
    }
}

fn world(
    job: &Job<'_>,
    ttl: Ttl,
    seed: u64,
    progress: Option<&Arc<Progress>>,
) -> Result<(World, Option<Started>), Refusal> {
    let options = job.options;
    let mut host = in_process(Arc::clone(options.lock));
    let mut plan =
        job.scenario.bind(job.values, options.lock.name(), ttl, options.wait).map_err(usage)?;
    let group = options.stage.run_group.clone().map(|(group, name)| RunGroup { group, name });
    let file = options.stage.file.as_deref();
    let files = plan.state_files(job.directory, group.as_ref(), file).map_err(usage)?;
    let deadline = options.stage.timeout.unwrap_or_else(|| {
        let connecting = CONNECTING * u32::try_from(plan.actors.len()).unwrap_or(u32::MAX);
        let all = longest(&plan).saturating_add(GRACE).saturating_add(connecting);
        // The start is waited for, too.
        all.saturating_add(plan.wait)
    });
    let time = if options.virtual_time {
        Time::Virtual(Arc::new(VirtualClock::new(Some(deadline))))
    } else {
        Time::Wall(Arc::new(WallClock::new(Some(deadline))))
    };
    job.signals.add_clock(&time);
    let server = server(options, &time)?;
    let mut started = None;
    if options.processes {
        let ours = Started::start(options.lock, &plan, job.signals, time.clock())?;
        host = ours.host();
        plan = plan.of_processes();
        started = Some(ours);
    }
    let on_end: Box<dyn Fn() + Send + Sync> = match progress.cloned() {
        Some(progress) => {
            progress.expect(plan.actors.len());
            Box::new(move || progress.finished_one())
        }
        None => Box::new(|| ()),
    };
    let world = World::new(plan, server, host, files, time, on_end).with_seed(seed);
    Ok((if options.lock_only { world.lock_only() } else { world }, started))
}

/// The exit status, and why it is not the verdict's.
fn exit(report: &Report, outcome: &Outcome) -> (Exit, Option<String>) {
    match outcome.ending() {
        Ending::Complete => (report.verdict.into(), None),
        Ending::TimedOut => {
            (Exit::Inconclusive, Some("gave up at the time limit; see --timeout".into()))
        }
        Ending::Failed => {
            let why = outcome.failure.clone();
            (Exit::Environment, Some(why.unwrap_or_else(|| "the environment failed".into())))
        }
        // Said when the signal came.
        Ending::Interrupted => (Exit::Interrupted, None),
    }
}

fn server(options: &RunOptions, time: &Time) -> Result<Server, Refusal> {
    if options.virtual_time {
        return Ok(Server::embedded(time.clock()));
    }
    Ok(remote::named(options.redis.as_ref())?.unwrap_or_else(|| Server::embedded(time.clock())))
}
