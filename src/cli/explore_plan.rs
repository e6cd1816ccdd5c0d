//! What is to be explored: models of a scenario, how far, and what must come of each.

use super::args::{
    BoundOptions, DEFAULT_DEPTH, DEFAULT_MAX_TIME, ExploreArgs, SearchOptions, StrategyWord,
};
use super::binding::{default_ttl, default_ttl_announced};
use super::exit::{Refusal, usage};
use crate::probing;
use anyhow::anyhow;
use lock_history::check::Judged;
use lock_history::check::Property;
use lock_lab::lock::{LockProtocol, Ttl, protocols};
use lock_lab::runtime::{Binding, Bounds, Model, Strategy, Timing};
use lock_lab::scenario::{Exploration, Scenario, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use std::{mem, slice};

/// How many orderings are drawn, if that is not said.
const DRAWN: u64 = 100_000;

/// One exploration, to be done.
pub(super) struct ExploreTask {
    pub model: Model,
    /// How far, one after the other.
    pub stages: Vec<Bounds>,
    pub judged: Judged,
}

impl ExploreTask {
    /// Whether both explore the same and neither must find what the other must not.
    fn is_same(&self, other: &Self) -> bool {
        let bounds = |task: &Self| -> Vec<Bounds> {
            let until_all = |stage: &Bounds| Bounds { until: Vec::new(), ..stage.clone() };
            task.stages.iter().map(until_all).collect()
        };
        let contradicts = |one: &Judged, other: &Judged| {
            one.must_find.iter().any(|property| other.must_not_find.contains(property))
        };
        self.model.origin == other.model.origin
            && bounds(self) == bounds(other)
            && !contradicts(&self.judged, &other.judged)
            && !contradicts(&other.judged, &self.judged)
    }

    /// Also judge what the other task judges.
    fn take_over(&mut self, other: Self) {
        let add = |all: &mut Vec<Property>, more: Vec<Property>| {
            let new: Vec<_> = more.into_iter().filter(|property| !all.contains(property)).collect();
            all.extend(new);
        };
        add(&mut self.judged.must_find, other.judged.must_find);
        add(&mut self.judged.must_not_find, other.judged.must_not_find);
        self.run_until(&until(&self.judged));
    }

    fn run_until(&mut self, until: &[Property]) {
        self.stages.iter_mut().for_each(|stage| stage.until = until.to_vec());
    }
}

/// The properties that end the exploration once all of them are violated.
fn until(judged: &Judged) -> Vec<Property> {
    match judged.must_not_find.is_empty() {
        true => judged.must_find.clone(),
        false => Vec::new(),
    }
}

/// What a scenario file asks of the exploration of its scenario under one lock protocol.
#[derive(Default)]
struct Asked {
    timing: Timing,
    crashes: u32,
    faults: u32,
    preemptions: Option<u32>,
    max_time: Option<Duration>,
    /// What must come of it; if that is not said, what the plan expects of a run.
    judged: Option<Judged>,
    /// The values to bind the plan with.
    with: BTreeMap<String, Value>,
}

impl From<Exploration> for Asked {
    fn from(asked: Exploration) -> Self {
        let Exploration { timing, crashes, faults, preemptions, max_time, finds, free_of, with } =
            asked;
        let judged = Judged { must_find: finds, must_not_find: free_of, ..Judged::default() };
        let judged = Some(judged.with_mutual_exclusion());
        Self { timing, crashes, faults, preemptions, max_time, judged, with }
    }
}

impl Asked {
    /// The same, but what is said on the command line goes before.
    fn or_as_said(self, search: &SearchOptions) -> Self {
        Self {
            timing: search.timing.unwrap_or(self.timing),
            crashes: search.crashes.unwrap_or(self.crashes),
            faults: search.faults.unwrap_or(self.faults),
            preemptions: search.bounds.preemptions.or(self.preemptions),
            max_time: search.bounds.max_time.or(self.max_time),
            ..self
        }
    }

    fn bounds(&self) -> Bounds {
        Bounds {
            timing: self.timing,
            crashes: self.crashes,
            faults: self.faults,
            preemptions: self.preemptions,
            max_schedules: None,
            max_time: Some(self.max_time.unwrap_or(DEFAULT_MAX_TIME)),
            until: Vec::new(),
            strategy: Strategy::Exhaustive,
        }
    }

    fn task(
        self,
        scenario: &Scenario,
        file: Option<&str>,
        lock: &Arc<dyn LockProtocol>,
        default_ttl: Ttl,
        wait: Duration,
    ) -> Result<ExploreTask, Refusal> {
        let bounds = self.bounds();
        let binding = Binding { values: self.with, default_ttl, wait, timing: bounds.timing };
        let mut model = Model::new(scenario, &binding, Arc::clone(lock))?;
        if let Some(file) = file {
            model.origin.scenario = file.to_owned();
        }
        let judged = self.judged.unwrap_or_else(|| Judged::of(&model.plan.expectations));
        let mut task = ExploreTask { model, stages: vec![bounds], judged };
        task.run_until(&until(&task.judged));
        Ok(task)
    }
}

/// What the file asks for under this protocol, with these values given.
fn asked(
    scenario: &Scenario,
    given: &BTreeMap<String, Value>,
    lock: &Arc<dyn LockProtocol>,
    ttl: Ttl,
) -> Result<Vec<Asked>, Refusal> {
    let explorations = scenario.explorations(given, lock.name(), ttl).map_err(usage)?;
    Ok(explorations.into_iter().map(Asked::from).collect())
}

/// What the command line asks for: under each protocol what the file asks for, or else one
/// exploration. What is said on the command line goes before what the file says.
pub(super) fn tasks(
    args: &ExploreArgs,
    scenario: &Scenario,
    file: Option<&str>,
    values: &BTreeMap<String, Value>,
) -> Result<Vec<ExploreTask>, Refusal> {
    let search = &args.search;
    let ttl = default_ttl_announced()?;
    let locks = match &args.lock {
        Some(lock) => slice::from_ref(*lock),
        None => protocols(),
    };
    let mut tasks = Vec::new();
    for lock in locks {
        match tasks_under(lock, ttl, search, (scenario, file, values)) {
            // A file of before this protocol, or one that leaves it out.
            Err(_) if args.lock.is_none() && scenario.may_lack(lock.name()) => {}
            all => tasks.extend(all?),
        }
    }
    let mut tasks = merged(tasks);
    if search.properties.contains(&Property::Unavailable) {
        return Err(usage(anyhow!(
            "unavailable is judged of clients from outside only: see 'nodb-trigger probe --help'"
        )));
    }
    if !search.properties.is_empty() {
        for task in &mut tasks {
            task.judged = mem::take(&mut task.judged).only(&search.properties);
            task.run_until(&[]);
        }
    }
    Ok(tasks)
}

/// What is asked for under one protocol, of a scenario from this file with these values.
fn tasks_under(
    lock: &'static Arc<dyn LockProtocol>,
    ttl: Ttl,
    search: &SearchOptions,
    (scenario, file, values): (&Scenario, Option<&str>, &BTreeMap<String, Value>),
) -> Result<Vec<ExploreTask>, Refusal> {
    let strategy = strategy(&search.bounds)?;
    let mut all = asked(scenario, values, lock, ttl)?;
    let is_silent = all.is_empty();
    if is_silent {
        all.push(Asked { with: values.clone(), ..Asked::default() });
    }
    let task = |asked: Asked| {
        let mut task = asked.or_as_said(search).task(scenario, file, lock, ttl, search.wait)?;
        let bounds = mem::take(&mut task.stages).into_iter();
        let bounds = bounds.map(|it| with_strategy(it, strategy, search));
        task.stages =
            bounds.flat_map(|it| if is_silent { stages(it, search) } else { vec![it] }).collect();
        Ok(task)
    };
    all.into_iter().map(task).collect()
}

/// Merge tasks that explore the same, so that each exploration runs once.
fn merged(tasks: Vec<ExploreTask>) -> Vec<ExploreTask> {
    let mut merged: Vec<ExploreTask> = Vec::new();
    for task in tasks {
        match merged.iter_mut().find(|known| known.is_same(&task)) {
            Some(known) => known.take_over(task),
            None => merged.push(task),
        }
    }
    merged
}

/// How far the command line says to go with a client from outside.
pub(super) fn bounds(search: &SearchOptions) -> Result<Vec<Bounds>, Refusal> {
    let strategy = strategy(&search.bounds)?;
    let bounds = Asked::default().or_as_said(search).bounds();
    Ok(stages(with_strategy(bounds, strategy, search), search))
}

/// The stages of an exploration; a strategy that draws orderings has one.
fn stages(bounds: Bounds, search: &SearchOptions) -> Vec<Bounds> {
    let is_said = search.crashes.is_some() || search.faults.is_some();
    if is_said || bounds.strategy != Strategy::Exhaustive {
        return vec![bounds];
    }
    probing::stages(&bounds)
}

/// The same bounds for a strategy; one that draws orderings ends after some, and counts no
/// preemptions.
fn with_strategy(bounds: Bounds, strategy: Strategy, search: &SearchOptions) -> Bounds {
    let is_drawn = strategy != Strategy::Exhaustive;
    Bounds {
        strategy,
        max_schedules: search.bounds.max_schedules.or(is_drawn.then_some(DRAWN)),
        preemptions: bounds.preemptions.filter(|_| !is_drawn),
        ..bounds
    }
}

/// What a scenario asks to be explored whenever it is run.
pub(super) fn tasks_of_run(
    scenario: &Scenario,
    file: Option<&str>,
    lock: &Arc<dyn LockProtocol>,
    wait: Duration,
) -> Result<Vec<ExploreTask>, Refusal> {
    let (ttl, none) = (default_ttl().map_err(usage)?.ttl, BTreeMap::new());
    let all = asked(scenario, &none, lock, ttl)?.into_iter();
    let tasks = all.map(|asked| asked.task(scenario, file, lock, ttl, wait));
    Ok(merged(tasks.collect::<Result<_, _>>()?))
}

fn strategy(args: &BoundOptions) -> Result<Strategy, Refusal> {
    let goes_with =
        |flag: &str, word: &str| Err(usage(anyhow!("{flag} goes with --strategy {word}")));
    let seed = args.seed.unwrap_or_default();
    if args.strategy != StrategyWord::Exhaustive && args.preemptions.is_some() {
        return goes_with("--preemptions", "exhaustive");
    }
    match args.strategy {
        StrategyWord::Exhaustive if args.seed.is_some() => goes_with("--seed", "random or pct"),
        StrategyWord::Exhaustive | StrategyWord::Random if args.depth.is_some() => {
            goes_with("--depth", "pct")
        }
        StrategyWord::Exhaustive => Ok(Strategy::Exhaustive),
        StrategyWord::Random => Ok(Strategy::Random { seed }),
        StrategyWord::Pct => Ok(Strategy::Pct { seed, depth: args.depth.unwrap_or(DEFAULT_DEPTH) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Request, parse};
    use crate::cli::binding::values;
    use crate::cli::builtin::BuiltIn;
    use lock_lab::scenario::built_in;

    fn tasks_of(flags: &[&str]) -> Result<Vec<ExploreTask>, String> {
        let argv = ["nodb-trigger", "explore", "check_then_delete"].iter().chain(flags);
        let builtin = BuiltIn::default();
        let Ok(Request::Explore(args)) = parse(argv.map(Into::into), &builtin) else {
            panic!("{flags:?}");
        };
        let scenario = builtin.get("check_then_delete").unwrap().unwrap();
        tasks(&args, scenario, None, &BTreeMap::new()).map_err(|refusal| refusal.error.to_string())
    }

    #[test]
    fn all_protocols_are_explored_unless_one_is_named() {
        let protocols = |flags: &[&str]| -> Vec<String> {
            let tasks = tasks_of(flags).unwrap();
            tasks.iter().map(|task| task.model.host.protocol().name().to_owned()).collect()
        };
        assert_eq!(protocols(&[]), ["legacy", "current", "hardened"]);
        assert_eq!(protocols(&["--lock=hardened"]), ["hardened"]);
    }

    #[test]
    fn the_bounds_and_the_judgement_are_those_of_the_command_line() {
        let flags = ["--lock=legacy", "--timing=strict", "--crashes=1", "--max-schedules=9"];
        let task = tasks_of(&flags).unwrap().remove(0);
        assert_eq!(task.model.origin.timing, Timing::Strict);
        assert_eq!(task.judged.must_find, [Property::ForeignRelease]);
        let expected = Bounds {
            timing: Timing::Strict,
            crashes: 1,
            faults: 0,
            preemptions: None,
            max_schedules: Some(9),
            max_time: Some(DEFAULT_MAX_TIME),
            until: vec![Property::ForeignRelease],
            strategy: Strategy::Exhaustive,
        };
        assert_eq!(task.stages, [expected]);
        let task = tasks_of(&["--lock=legacy", "--property=overlap"]).unwrap().remove(0);
        assert_eq!(task.judged.must_not_find, [Property::Overlap]);
        assert!(task.judged.must_find.is_empty());
    }

    #[test]
    fn a_strategy_takes_the_numbers_that_are_its_own() {
        let strategy = |flags: &[&str]| {
            tasks_of(flags).map(|tasks| tasks.first().map(|task| task.stages[0].strategy))
        };
        let refused = |flag: &str, word: &str| Err(format!("{flag} goes with --strategy {word}"));
        assert_eq!(strategy(&[]), Ok(Some(Strategy::Exhaustive)));
        assert_eq!(strategy(&["--strategy=random"]), Ok(Some(Strategy::Random { seed: 0 })));
        let pct = strategy(&["--strategy=pct", "--seed=7"]);
        assert_eq!(pct, Ok(Some(Strategy::Pct { seed: 7, depth: DEFAULT_DEPTH })));
        let bounded = strategy(&["--strategy=pct", "--preemptions=1"]);
        assert_eq!(bounded, refused("--preemptions", "exhaustive"));
        assert_eq!(strategy(&["--seed=1"]), refused("--seed", "random or pct"));
        assert_eq!(strategy(&["--depth=2"]), refused("--depth", "pct"));
        assert_eq!(strategy(&["--strategy=random", "--depth=2"]), refused("--depth", "pct"));
    }

    /// `mutual_exclusion` with these `[[explore]]` entries.
    fn with_entries(entries: &[&str]) -> Scenario {
        let scenario = built_in("mutual_exclusion").unwrap().unwrap();
        let (before, _) = scenario.file_text().split_once("[[explore]]").unwrap();
        let entries = entries.iter().map(|entry| format!("[[explore]]\n{entry}\n"));
        Scenario::parse("x.toml", &format!("{before}{}", entries.collect::<String>())).unwrap()
    }

    fn merged_tasks(entries: &[&str], flags: &[&str]) -> Vec<ExploreTask> {
        let argv = ["nodb-trigger", "explore", "x.toml", "--lock=legacy"].iter().chain(flags);
        let Ok(Request::Explore(args)) = parse(argv.map(Into::into), &BuiltIn::default()) else {
            panic!("{flags:?}");
        };
        let scenario = with_entries(entries);
        let values = values(&scenario, &args.search.values()).unwrap();
        tasks(&args, &scenario, None, &values).unwrap()
    }

    const TWO: &str = "finds = [\"lost_update\", \"overlap\"]";
    const THREE: &str = "finds = [\"overlap\", \"silent_loss\"]\nwith = { clients = 3 }";

    #[test]
    fn equal_explorations_are_run_once_and_judged_together() {
        assert_eq!(merged_tasks(&[TWO, THREE], &[]).len(), 2);
        let tasks = merged_tasks(&[TWO, THREE], &["--param=clients=3"]);
        let [task] = tasks.as_slice() else { panic!("{} tasks", tasks.len()) };
        let all = [Property::LostUpdate, Property::Overlap, Property::SilentLoss];
        assert_eq!(task.judged.must_find, all);
        assert_eq!(task.judged.must_not_find, []);
        assert_eq!(task.stages[0].until, all);
        let free = "free_of = \"deadlock\"\nwith = { clients = 3 }";
        let task = merged_tasks(&[TWO, free], &["--param=clients=3"]).remove(0);
        assert_eq!(task.judged.must_find, [Property::LostUpdate, Property::Overlap]);
        assert_eq!(task.judged.must_not_find, [Property::DoubleGrant, Property::Deadlock]);
        assert_eq!(task.stages[0].until, []);
        let flags = ["--param=clients=3", "--property=silent_loss"];
        let tasks = merged_tasks(&[TWO, THREE], &flags);
        let judged: Vec<_> = tasks.iter().map(|task| task.judged.clone()).collect();
        let must_find = vec![Property::SilentLoss];
        assert_eq!(judged, [Judged { must_find, ..Judged::default() }]);
    }

    #[test]
    fn explorations_that_differ_or_contradict_each_other_stay_apart() {
        for (entry, flag) in [
            ("timing = \"strict\"", "--timing=async"),
            ("crashes = 1", "--crashes=1"),
            ("faults = 1", "--faults=1"),
            ("preemptions = 1", "--preemptions=1"),
            ("max_time = \"9s\"", "--max-time=9s"),
        ] {
            let entries = [TWO, &format!("{TWO}\n{entry}")];
            assert_eq!(merged_tasks(&entries, &[]).len(), 2, "{entry}");
            assert_eq!(merged_tasks(&entries, &[flag]).len(), 1, "{flag}");
        }
        let free = "free_of = \"overlap\"";
        assert_eq!(merged_tasks(&[TWO, free], &[]).len(), 2);
        assert_eq!(merged_tasks(&[free, TWO], &[]).len(), 2);
    }

    #[test]
    fn a_run_explores_what_is_equal_once() {
        let of_run = |entries: &[&str]| {
            let scenario = with_entries(entries);
            tasks_of_run(&scenario, None, &protocols()[0], Duration::ZERO).unwrap()
        };
        let again = "finds = \"silent_loss\"\nwith = { clients = 2 }";
        let tasks = of_run(&[TWO, again, THREE]);
        assert_eq!(tasks.len(), 2);
        let all = [Property::LostUpdate, Property::Overlap, Property::SilentLoss];
        assert_eq!(tasks[0].judged.must_find, all);
    }
}
