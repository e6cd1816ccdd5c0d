//! `probe`: every ordering of what a client from outside sends.

use super::args::ProbeArgs;
use super::binding::{default_ttl_announced, values};
use super::builtin::BuiltIn;
use super::client::start_of_subject;
use super::exit::{Exit, Refusal, environment, usage};
use super::explore::{explore_one, one, report, so_far};
use super::explore_plan::{ExploreTask, bounds};
use super::output::Output;
use super::outputs::Outputs;
use super::progress::ProgressLine;
use super::say;
use super::signals::Signals;
use super::upstream::ExclusiveUse;
use crate::probing::{Expected, Limits, doubt, may_fail};
use crate::report::exploration::{Own, ProtocolRow};
use anyhow::anyhow;
use lock_lab::lock::LockName;
use lock_lab::probe::{
    About, PATIENCE, Preflight, Processes, Shared, Start, SubjectError, Subjects,
};
use lock_lab::runtime::{Binding, Bounds, Model, Time, Timing, Upstream};
use lock_lab::scenario::{Action, Plan, Scenario, Value};
use lock_lab::server::ExclusiveServer;
use redis_sim::clock::WallClock;
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

/// The parameter that says how many clients there are.
const CLIENTS: &str = "clients";

/// Explores a scenario with a client and writes the outcome, or prints a subject to start from.
pub(super) fn probe(args: &ProbeArgs, builtin: &BuiltIn) -> Result<Exit, Refusal> {
    if let Some(language) = args.init {
        Output::Stdout.write(|out| out.write_all(start_of_subject(language).as_bytes()))?;
        return Ok(Exit::Success);
    }
    let stages = bounds(&args.search)?;
    let what = one(&args.what, builtin)?;
    let signals = Signals::handle().map_err(environment)?;
    let Some(url) = &args.upstream else {
        return explored(args, stages, what, Keeper::new(&signals, None));
    };
    if timing(&stages) == Timing::Strict {
        return Err(usage(anyhow!(
            "--timing strict goes with the embedded server only: on a real Redis (--upstream) time \
             can't be put back with a state"
        )));
    }
    let exclusive_use = ExclusiveUse::new(url, &signals)?;
    let keeper = Keeper::new(&signals, Some(Arc::clone(exclusive_use.exclusive())));
    let ended = explored(args, stages, what, keeper);
    exclusive_use.end(ended)
}

fn explored(
    args: &ProbeArgs,
    stages: Vec<Bounds>,
    (scenario, file): (Scenario, Option<String>),
    keeper: Keeper,
) -> Result<Exit, Refusal> {
    let (options, signals) = (&args.shown, keeper.signals());
    let outputs = Outputs::open(signals, &options.report, None, options.timeline.as_ref())?;
    if let Some(why) = scenario.unplayable() {
        return Err(unplayable(scenario.name(), &why));
    }
    let (mut model, Checked { preflight, shared, can_extend, watched, threads }) =
        started(args, &scenario, timing(&stages), &keeper)?;
    let stages = stages_of_threads(stages, args, threads)?;
    for (told, watched) in watched {
        say(&format!("the client keeps {told} under {watched}, which is watched"));
    }
    if let Some(doubt) = doubt(preflight.exclusion) {
        say(doubt.why);
    }
    if let Some(file) = &file {
        model.origin.scenario.clone_from(file);
    }
    model.upstream = keeper.upstream(None);
    if model.upstream.is_some() && model.plan.has(Action::is_server_fault) {
        return Err(usage(anyhow!(
            "{} lets something befall the server itself, and needs the embedded one: leave out \
             --upstream",
            model.plan.scenario
        )));
    }
    let limits = Limits {
        only: &args.search.properties,
        is_real: model.upstream.is_some(),
        is_strict: timing(&stages) == Timing::Strict,
        never_extends: can_extend && !extends(&model.plan),
        has_threads: threads > 0,
        may_fail: Own::of(&model.plan).crash || stages.iter().any(may_fail),
        preflight,
        shared,
    };
    let expected = Expected::of(&model.plan, shared.is_some(), limits.judges_flag());
    let judged = limits.judged(&model.plan, expected.finds).map_err(usage)?;
    let task = ExploreTask { model, stages, judged };
    let line = ProgressLine::new(options.report.quiet);
    let name = task.model.host.protocol().name();
    let ended = explore_one(&task, signals, &mut |progress| line.show(&so_far(name, progress)));
    line.clear();
    let redis = keeper.upstream.as_ref().map(|exclusive| exclusive.server().url_to_type().0);
    // What the built-in files expect is about our own protocols.
    let unjudged = if file.is_some() { expected.unjudged } else { Vec::new() };
    let ended = ended.map(|row| {
        let lease_in_value = preflight.lease_in_value;
        let row = ProtocolRow { unjudged, lease_in_value, threads, ..row };
        limits.named(&task.judged, row).of_client(&args.client.row(), redis.as_deref())
    });
    let ended = ended.map_err(|refusal| keeper.interrupted().unwrap_or(refusal));
    if let (Some(doubt), Ok(row)) = (doubt(preflight.exclusion), &ended) {
        let shown = doubt.check(row, scenario.name());
        shown.map_err(|doubtful| Refusal::new(Exit::Inconclusive, doubtful))?;
    }
    report(vec![ended], &scenario, file, options.all, outputs)
}

/// What is known of a client's lock before it is explored.
#[derive(Default)]
struct Checked {
    preflight: Preflight,
    /// How clients share it.
    shared: Option<Shared>,
    can_extend: bool,
    /// The keys in its instructions, and those under which it keeps its locks, where they differ.
    watched: Vec<(String, String)>,
    /// How many actors share one process.
    threads: usize,
}

/// The stages without crashes, where actors share a process: one can't crash without the others.
fn stages_of_threads(
    mut stages: Vec<Bounds>,
    args: &ProbeArgs,
    threads: usize,
) -> Result<Vec<Bounds>, Refusal> {
    if threads == 0 {
        return Ok(stages);
    }
    if args.search.crashes.is_some_and(|crashes| crashes > 0) {
        return Err(usage(anyhow!(
            "{threads} actors share a process of the client, and one can't crash without the others: leave \
             out --crashes"
        )));
    }
    stages.retain(|stage| stage.crashes == 0);
    Ok(stages)
}

/// A model of the scenario with the client.
fn started(
    args: &ProbeArgs,
    scenario: &Scenario,
    timing: Timing,
    keeper: &Keeper,
) -> Result<(Model, Checked), Refusal> {
    let mut binding = Binding {
        values: values(scenario, &args.search.values())?,
        default_ttl: default_ttl_announced()?,
        wait: args.search.wait,
        timing,
    };
    let command = args.client.command().unwrap_or_default();
    let patience = args.client.patience.unwrap_or(PATIENCE);
    let checked = RefCell::<Checked>::default();
    let start = |plan: &Plan, locks: &[LockName]| -> Result<_, Refusal> {
        let subjects = keeper.start(&command, locks, patience)?;
        check_abilities(scenario, plan, subjects.about())?;
        if let Some((two, key)) = subjects.one_key_of_two(locks) {
            return Err(one_key(plan, two, &key));
        }
        let preflight = keeper.preflight(&subjects, locks)?;
        let watched = subjects.watched_keys();
        let watched = watched.map(|(told, key)| (told.to_owned(), key.to_owned())).collect();
        let about = subjects.about();
        let can_extend = can_extend(about);
        let threads = 0;
        checked.replace(Checked { preflight, shared: about.shared, can_extend, watched, threads });
        Ok(subjects)
    };
    let mut model = Model::of_subjects(scenario, &binding, start)?;
    let shared = checked.borrow().shared;
    let is_open = scenario.parameters().iter().any(|it| it.name == CLIENTS)
        && !binding.values.contains_key(CLIENTS);
    if let Some(shared) = shared.filter(|_| is_open) {
        binding.values.insert(CLIENTS.into(), Value::Count(shared.clients()));
        drop(model);
        model = Model::of_subjects(scenario, &binding, start)?;
    }
    let mut checked = checked.into_inner();
    checked.threads = model.host.threads();
    Ok((model, checked))
}

fn timing(stages: &[Bounds]) -> Timing {
    stages.first().map(|stage| stage.timing).unwrap_or_default()
}

/// Starts subjects, and ends them: when it is dropped, or when the program is left at once.
pub(super) struct Keeper {
    signals: Signals,
    /// Stopped by a signal, like that of a run.
    clock: Arc<WallClock>,
    processes: Arc<Processes>,
    upstream: Option<Arc<ExclusiveServer>>,
}

impl Keeper {
    /// Heeds these signals. What subjects send goes to this real Redis, if there is one.
    pub fn new(signals: &Signals, upstream: Option<Arc<ExclusiveServer>>) -> Self {
        let clock = Arc::new(WallClock::new(None));
        signals.add_clock(&Time::Wall(Arc::clone(&clock)));
        let processes = Arc::<Processes>::default();
        let last = Arc::clone(&processes);
        signals.set_at_last(move || last.kill());
        Self { signals: signals.clone(), clock, processes, upstream }
    }

    /// The signals that it heeds.
    pub fn signals(&self) -> &Signals {
        &self.signals
    }

    /// Starts the subjects that will be asked for these locks.
    pub fn start(
        &self,
        command: &str,
        locks: &[LockName],
        patience: Duration,
    ) -> Result<Arc<Subjects>, Refusal> {
        let (clock, processes) = (Arc::clone(&self.clock), Arc::clone(&self.processes));
        let upstream = self.upstream.clone();
        if let Some(exclusive) = &upstream {
            exclusive.set_locks(locks.iter().map(|lock| lock.key().to_owned()));
        }
        let start = Start { command: command.into(), patience, clock, processes, upstream };
        let subjects = Subjects::new(start, locks);
        let subjects =
            subjects.map_err(|error| self.interrupted().unwrap_or_else(|| environment(error)))?;
        Ok(Arc::new(subjects))
    }

    /// Makes sure that the subjects' lock is one, before anything is said of it.
    pub fn preflight(&self, subjects: &Subjects, locks: &[LockName]) -> Result<Preflight, Refusal> {
        subjects.preflight(locks).map_err(|error| match error {
            error @ SubjectError::NotALock { .. } => Refusal::new(Exit::Inconclusive, error),
            error => self.interrupted().unwrap_or_else(|| environment(error)),
        })
    }

    /// The real Redis on which a model is explored or replayed, if there is one, and when that is given
    /// up.
    pub fn upstream(&self, deadline: Option<Duration>) -> Option<Upstream> {
        let clock = match deadline {
            Some(_) => Arc::new(WallClock::new(deadline)),
            None => Arc::clone(&self.clock),
        };
        let exclusive = self.upstream.clone()?;
        Some(Upstream { exclusive, clock })
    }

    /// What to say instead of how a subject failed, if its answer was not wanted any more.
    pub fn interrupted(&self) -> Option<Refusal> {
        let why = || Refusal::new(Exit::Interrupted, anyhow!("interrupted"));
        self.signals.interrupted().then(why)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.processes.kill();
    }
}

fn unplayable(scenario: &str, why: &str) -> Refusal {
    usage(anyhow!("{scenario} can't be probed: {why}; take another scenario, or write one"))
}

/// Why locks that a client keeps under one key are not explored: it is not clear which of them a command
/// changes.
fn one_key(plan: &Plan, two: [usize; 2], key: &str) -> Refusal {
    let [one, other] = two.map(|lock| plan.locks.get(lock).map_or("?", |lock| &*lock.name));
    let why = anyhow!(
        "no verdict: the client keeps {one} and {other} under one key, {key}; probe a scenario with one \
         lock"
    );
    Refusal::new(Exit::Inconclusive, why)
}

/// Fails if the scenario has something that the client can't do.
fn check_abilities(scenario: &Scenario, plan: &Plan, about: &About) -> Result<(), Refusal> {
    let name = &about.name;
    let extends = || {
        let can = !extends(plan) || can_extend(about);
        let why = "its clients extend their locks, and";
        (!can).then(|| format!("{why} {name} does not say that it can \"extend\""))
    };
    let needs_threads = || scenario.needs_threads().filter(|_| !about.threads);
    match needs_threads().or_else(|| plan.unplayable(about)).or_else(extends) {
        Some(why) => Err(unplayable(&plan.scenario, &why)),
        None => Ok(()),
    }
}

fn extends(plan: &Plan) -> bool {
    plan.has(|action| matches!(action, Action::Extend { .. }))
}

fn can_extend(about: &About) -> bool {
    about.can.iter().any(|word| word == "extend")
}
