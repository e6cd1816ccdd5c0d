//! Fires a scenario: from the arguments to the report and the exit status.

use super::args::{FireArgs, Format, LockProtocol};
use super::exit::Exit;
use super::output::Output;
use super::progress::Progress;
use super::say;
use super::signals::{self, Leftovers};
use super::terminal;
use crate::clock::{Stopped, VirtualClock, WallClock};
use crate::lock::{HARDENED, Legacy, Protocol, RunDirectory, RunGroup, Ttl};
use crate::report::{Report, json, table};
use crate::runtime::{Ending, Outcome, Stage, StageError, Time, World, longest};
use crate::scenario::{Plan, Scenario};
use crate::server::Server;
use anyhow::Context;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What a run may take beyond its own durations before it is given up.
const GRACE: Duration = Duration::from_secs(30);
/// Names the default TTL in seconds (contract, section 1).
pub(super) const TTL_VARIABLE: &str = "WEPPPY_LOCK_TTL_SECONDS";

/// What keeps a run from beginning, and the exit status that says so.
pub(super) struct Refusal {
    pub exit: Exit,
    pub error: anyhow::Error,
}

fn usage(error: impl Into<anyhow::Error>) -> Refusal {
    Refusal { exit: Exit::Usage, error: error.into() }
}

fn environment(error: impl Into<anyhow::Error>) -> Refusal {
    Refusal { exit: Exit::Environment, error: error.into() }
}

impl From<StageError> for Refusal {
    fn from(error: StageError) -> Self {
        match error {
            StageError::Usage(_) => usage(error),
            StageError::Environment(_) => environment(error),
        }
    }
}

/// Fires one scenario and writes its report.
pub(super) fn fire(args: &FireArgs, scenario: &Scenario) -> Result<Exit, Refusal> {
    let protocol: &'static dyn Protocol = match args.lock {
        LockProtocol::Legacy => &Legacy,
        LockProtocol::Hardened => &*HARDENED,
    };
    let ttl = default_ttl(std::env::var(TTL_VARIABLE).ok()).map_err(usage)?;
    let plan = scenario.bind(&args.values, protocol.name(), ttl, args.wait).map_err(usage)?;
    let runs = run_directories(args, &plan).map_err(usage)?;
    let deadline = args.timeout.unwrap_or_else(|| longest(&plan).saturating_add(GRACE));
    let time = if args.virtual_time {
        Time::Virtual(Arc::new(VirtualClock::new(Some(deadline))))
    } else {
        Time::Wall(Arc::new(WallClock::new(Some(deadline))))
    };
    let server = server(args, &time)?;
    let leftovers = Leftovers::default();
    if let Time::Wall(clock) = &time {
        signals::stop_on_signal(Arc::clone(clock), leftovers.clone()).map_err(environment)?;
    }
    let output = Output::open(args.output.as_deref(), args.quiet).map_err(environment)?;
    let history = args.history.as_deref().map(|path| Output::open(Some(path), true));
    let history = history.transpose().map_err(environment)?;
    let progress = Arc::new(Progress::new(&plan.title, plan.actors.len(), args.quiet));
    let on_end = {
        let progress = Arc::clone(&progress);
        Box::new(move || progress.finished_one())
    };
    let world = Arc::new(World::new(plan, server, protocol, runs, time, on_end));
    let mut stage = Stage::default();
    let created = output.by_hand();
    let ran = run(&world, &mut stage, args.force, |stage| {
        leftovers.set(stage.leftovers(&world).into_iter().chain(created.clone()).collect());
    });
    progress.clear();
    let (kept, left) = if args.keep && ran.is_ok() {
        let kept = stage.leftovers(&world);
        (kept.into_iter().map(|by_hand| format!("kept; to clean: {by_hand}")).collect(), Vec::new())
    } else {
        (Vec::new(), stage.clean(&world))
    };
    leftovers.set(Vec::new());
    // What is left behind must be known, whatever becomes of the report.
    left.iter().for_each(|left| say(left));
    let (outcome, notices) = ran?;
    let notices = [notices, kept, left].concat();

    if let Some(file) = history {
        file.write(|out| outcome.history.write(out)).map_err(environment)?;
    }
    let report = Report::new(&world, &outcome, notices);
    let style = terminal::style(args.color, args.output.is_some());
    let written = output.write(|out| match args.format {
        Format::Json => json::write(&report, out),
        Format::Table => table::write(&report, style, out),
    });
    written.map_err(environment)?;
    Ok(match (exit(&report, &outcome), world.time().clock().check()) {
        // Whatever failed then, failed on the way out.
        (Exit::Environment, Err(Stopped::Interrupted)) => Exit::Interrupted,
        (exit, _) => exit,
    })
}

/// Prepares the stage and runs the plan; tells `watch` each time that there is more to clean up.
fn run(
    world: &Arc<World>,
    stage: &mut Stage,
    force: bool,
    watch: impl Fn(&Stage),
) -> Result<(Outcome, Vec<String>), Refusal> {
    let mut prepare_and_run = || {
        let directories = stage.prepare_directories(world);
        watch(stage);
        directories?;
        let notices = stage.prepare_keys(world, force)?;
        watch(stage);
        Ok((world.run().map_err(environment)?, notices))
    };
    prepare_and_run().map_err(|refusal: Refusal| match world.time().clock().check() {
        Err(Stopped::Interrupted) => Refusal { exit: Exit::Interrupted, ..refusal },
        _ => refusal,
    })
}

fn exit(report: &Report, outcome: &Outcome) -> Exit {
    match outcome.ending() {
        Ending::Complete => report.verdict.into(),
        Ending::TimedOut => {
            say("gave up at the time limit; see --timeout");
            Exit::Inconclusive
        }
        Ending::Failed => {
            say(outcome.failure.as_deref().unwrap_or("the environment failed"));
            Exit::Environment
        }
        // Said when the signal came.
        Ending::Interrupted => Exit::Interrupted,
    }
}

fn default_ttl(variable: Option<String>) -> anyhow::Result<Ttl> {
    let Some(text) = variable.filter(|text| !text.is_empty()) else { return Ok(Ttl::DEFAULT) };
    let seconds: u64 = text.parse().with_context(|| {
        format!("{TTL_VARIABLE} is {text:?}, and should be a number of seconds")
    })?;
    // The reference takes anything below one second for one second (contract, section 1).
    Ttl::try_from(Duration::from_secs(seconds.max(1)))
        .with_context(|| format!("{TTL_VARIABLE} is {text:?}"))
}

/// The run directory of each lock.
fn run_directories(args: &FireArgs, plan: &Plan) -> anyhow::Result<Vec<RunDirectory>> {
    let group = args.run_group.clone().map(|(group, name)| RunGroup { group, name });
    let run = |suffix: &str| {
        let base = RunDirectory::new(&args.directory, None)?;
        let mut path = base.path().as_os_str().to_owned();
        path.push(suffix);
        RunDirectory::new(&PathBuf::from(path), group.as_ref())
    };
    plan.locks.iter().map(|lock| Ok(run(&lock.run_suffix)?)).collect()
}

fn server(args: &FireArgs, time: &Time) -> Result<Server, Refusal> {
    if args.virtual_time {
        return Ok(Server::embedded(time.clock()));
    }
    let variable = |name: &str| std::env::var(name).ok();
    let named = match &args.redis {
        Some(url) => Some(Server::at(url.reveal(), variable("REDIS_PASSWORD").as_deref())),
        None => Server::from_environment(variable).transpose(),
    };
    match named.transpose().map_err(usage)? {
        Some(server) => Ok(server),
        None => Ok(Server::embedded(time.clock())),
    }
}
