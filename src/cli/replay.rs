//! `replay`: a schedule again, on an embedded server or a real one.

use super::args::{Format, ReplayArgs, ReplayForm};
use super::builtin::BuiltIn;
use super::exit::{Exit, Refusal, environment, stopped};
use super::outputs::Outputs;
use super::probe::Keeper;
use super::signals::Signals;
use super::stepper::{self, View};
use super::upstream::ExclusiveUse;
use super::workspace::{Staged, Staging, staged};
use super::{ServerUrl, remote, say, schedule, verbose};
use crate::report::exploration::Ordering;
use crate::report::{Besides, Entry, Replay, Report, json, junit, shell, table};
use anyhow::anyhow;
use lock_lab::probe::{MOST_LESSONS, SUBJECT};
use lock_lab::runtime::{Model, Outcome, ReplayError, Schedule, Time, World};
use lock_lab::scenario::Scenario;
use lock_lab::server::{Exchange, Keys};
use parking_lot::Mutex;
use redis_sim::clock::WallClock;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// When a replay on a real server is given up by default.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What is said where leases were made to end.
const SHORTENED: &str =
    "where the schedule ends a TTL, the replay made it end by setting it to one millisecond";

/// Replays a schedule and writes the report.
pub(super) fn replay(args: &ReplayArgs, builtin: &BuiltIn) -> Result<Exit, Refusal> {
    let schedule = schedule::find(&args.what)?;
    let what = schedule::scenario(&schedule, args.scenario.as_ref(), builtin)?;
    let signals = Signals::handle().map_err(environment)?;
    let Some(url) = args.redis.as_ref().filter(|_| schedule.protocol == SUBJECT) else {
        return replayed(&schedule, args, what, Keeper::new(&signals, None));
    };
    // A client from outside may make any keys.
    let exclusive_use = ExclusiveUse::new(url, &signals)?;
    let keeper = Keeper::new(&signals, Some(Arc::clone(exclusive_use.exclusive())));
    let ended = replayed(&schedule, args, what, keeper);
    exclusive_use.end(ended)
}

/// Whether a scenario is another one than that in which the schedule was found; then says so.
fn is_changed(schedule: &Schedule, scenario: &Scenario) -> bool {
    let [found, now] = [schedule.digest, scenario.digest()];
    if found != now {
        say(&format!(
            "{} has changed since the schedule was found (its digest is {now:08x}, and was {found:08x}); \
             trying all the same",
            schedule.scenario,
        ));
    }
    found != now
}

fn replayed(
    schedule: &Schedule,
    args: &ReplayArgs,
    (scenario, file): (Scenario, Option<String>),
    keeper: Keeper,
) -> Result<Exit, Refusal> {
    let signals = keeper.signals();
    let is_changed = is_changed(schedule, &scenario);
    let model = schedule::model(schedule, &scenario, args, &keeper)?;
    let deadline = args.stage.timeout.unwrap_or(TIMEOUT);
    let model = Model { upstream: keeper.upstream(Some(deadline)), ..model };
    let asked = &args.output;
    let (history, timeline) = (asked.history.as_deref(), asked.timeline.as_ref());
    let outputs = Outputs::open(signals, &asked.report, history, timeline)?;
    let replayed = match &args.redis {
        Some(url) if model.upstream.is_none() => on_redis(url, &model, schedule, args, signals),
        _ => alone(&model, schedule, signals),
    };
    let replayed = replayed.map_err(|refusal| match keeper.interrupted() {
        Some(interrupted) => Refusal { left: refusal.left, ..interrupted },
        None => with_hint(refusal, is_changed),
    });
    let Replayed { world, staged, exchanges } = replayed?;
    let Staged { outcome, notices, left, is_clean, .. } = staged;
    if asked.verbose {
        verbose::show(scenario.name(), &outcome.history);
    }
    left.iter().for_each(|line| say(line));
    // What decides is whether the schedule showed again what it shows.
    let ruling = outcome.judge(world.plan()).of_replay();
    let besides = Besides { file, notices: [notices, left].concat(), ..Besides::default() };
    let report = Report::new(&world, &outcome, &ruling, besides);
    let mut exit = Exit::from(report.verdict);
    if !is_clean {
        exit = Exit::worst([exit, Exit::Environment]);
    }
    let locks: Vec<String> = world.plan().locks.iter().map(|lock| lock.name.clone()).collect();
    let ordering = Ordering {
        history: &outcome.history,
        locks: &locks,
        is_foreign: world.protocol().is_foreign(),
        timing: schedule.timing,
    };
    let replay = Replay::new(report, ordering, &ruling.checked.findings, schedule.shows);
    let script = shell::Script {
        schedule: &schedule.to_string(),
        replay: &replay,
        history: &outcome.history,
        exchanges: &exchanges,
    };
    write(&script, outputs, args)?;
    if args.step && stepper::is_possible() {
        let view = View { name: "the replay", report: replay.report };
        let stepped = stepper::show(&[view], asked.report.color, signals)?;
        exit = Exit::worst([exit, stepped]);
    }
    Ok(exit)
}

/// Writes the report in the form that was asked for.
fn write(
    script: &shell::Script<'_>,
    outputs: Outputs<'_>,
    args: &ReplayArgs,
) -> Result<(), Refusal> {
    let replay = script.replay;
    let entries = [Entry::Report(Box::new(replay.report.clone()))];
    outputs.write(Some(script.history), &entries, |format, style, out| match (args.form, format) {
        (Some(ReplayForm::Shell), _) => shell::write(script, out),
        (None, Format::Json) => json::write(replay, out),
        (None, Format::Table) => {
            table::write_replay(replay, args.all, style, out)?;
            if args.step && !stepper::is_possible() {
                writeln!(out)?;
                table::write_events(&replay.report, style, out)?;
            }
            Ok(())
        }
        (None, Format::Junit) => junit::write(&entries, out),
    })
}

/// The outcome of a replay that went to its end.
struct Replayed {
    world: Arc<World>,
    staged: Staged,
    exchanges: Exchanges,
}

/// What actors exchanged with the server in memory, by the order of the replies.
type Exchanges = BTreeMap<u64, Exchange>;

/// In isolation: in memory, or on a Redis in exclusive use.
fn alone(model: &Model, schedule: &Schedule, signals: &Signals) -> Result<Replayed, Refusal> {
    let run = || {
        let exchanges = Arc::new(Mutex::new(Exchanges::new()));
        let heard = Arc::clone(&exchanges);
        let world = World::replayed(model).heard_by(move |exchange| {
            heard.lock().insert(exchange.received.order, exchange.clone());
        });
        let world = Arc::new(world);
        signals.add_clock(world.time());
        let outcome = replay_schedule(&world, schedule);
        (world, outcome, exchanges)
    };
    let (mut world, mut outcome, mut exchanges) = run();
    for _ in 0..MOST_LESSONS {
        if !model.host.take_learned() {
            break;
        }
        if let Some(upstream) = &model.upstream {
            upstream.exclusive.put(&Keys::new()).map_err(environment)?;
        }
        (world, outcome, exchanges) = run();
    }
    let mut notices = Vec::new();
    if let Some(upstream) = &model.upstream {
        // If something is wrong with the server, that is why the rest is.
        upstream.exclusive.check().map_err(environment)?;
        notices.extend(ends_leases(schedule).then(|| SHORTENED.to_owned()));
    }
    let outcome = outcome?;
    let (kept, left) = (Vec::new(), Vec::new());
    let exchanges = std::mem::take(&mut *exchanges.lock());
    Ok(Replayed {
        world,
        exchanges,
        staged: Staged { outcome, notices, kept, left, is_clean: true },
    })
}

fn on_redis(
    url: &ServerUrl,
    model: &Model,
    schedule: &Schedule,
    args: &ReplayArgs,
    signals: &Signals,
) -> Result<Replayed, Refusal> {
    let server = remote::at(url)?;
    let deadline = args.stage.timeout.unwrap_or(TIMEOUT);
    let time = Time::Wall(Arc::new(WallClock::new(Some(deadline))));
    signals.add_clock(&time);
    let Model { plan, host, files, .. } = model.clone();
    let world = World::new(plan, server, host, files, time, Box::new(|| ())).without_cache();
    let world = Arc::new(world);
    let staging = Staging { signals, force: args.stage.force, keep: false };
    let mut staged = staged(&world, staging, || replay_schedule(&world, schedule))?;
    if ends_leases(schedule) {
        staged.notices.push(SHORTENED.into());
    }
    Ok(Replayed { world, staged, exchanges: Exchanges::new() })
}

fn replay_schedule(world: &Arc<World>, schedule: &Schedule) -> Result<Outcome, Refusal> {
    let outcome = world.replay(schedule.timing, &schedule.turns).map_err(|error| match error {
        ReplayError::Parted(why) => {
            let why = anyhow!("the replay parted from the schedule: {why}");
            Refusal::new(Exit::Inconclusive, why)
        }
        ReplayError::Stopped { why, .. } => stopped(why, error),
        ReplayError::Server(_) => environment(error),
    })?;
    match &outcome.failure {
        Some(failure) => Err(environment(anyhow!("{failure}"))),
        None => Ok(outcome),
    }
}

fn ends_leases(schedule: &Schedule) -> bool {
    schedule.turns.iter().any(|turn| turn.is_expiry())
}

fn with_hint(mut refusal: Refusal, is_changed: bool) -> Refusal {
    if is_changed && refusal.exit == Exit::Inconclusive {
        refusal.error = anyhow!("{:#}; the scenario has changed since", refusal.error);
    }
    refusal
}
