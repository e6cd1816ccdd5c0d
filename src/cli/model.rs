//! From a scenario to what is run, and to the model of it that is explored or replayed.

use super::args::TTL_VARIABLE;
use super::exit::{Refusal, usage};
use anyhow::{Context, anyhow};
use lock_lab::controller::STATE_FILE;
use lock_lab::lock::{ActorHost, Legacy, LockName, RunDirectory, RunGroup, Ttl, in_process};
use lock_lab::probe::{SUBJECT, Subjects};
use lock_lab::runtime::{Model, Schedule, Timing};
use lock_lab::scenario::{Plan, Scenario, Value, unknown};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The run directory, which is in memory only.
const DIRECTORY: &str = "/nodb-trigger/explore";

/// Where a plan comes from, and how it is bound.
#[derive(Clone, Copy)]
pub(super) struct Origin<'a> {
    pub scenario: &'a Scenario,
    /// The file, as the user wrote it; nothing for a built-in scenario.
    pub file: Option<&'a str>,
    /// The parameters that were given.
    pub values: &'a BTreeMap<String, Value>,
    /// How long an acquire that doesn't say keeps trying.
    pub wait: Duration,
    /// When leases may end.
    pub timing: Timing,
}

/// The model of a scenario under a lock protocol, which the scenario and schedules call `name`; `ttl`
/// is that of locks that name none.
pub(super) fn model(
    origin: Origin<'_>,
    host: Arc<dyn ActorHost>,
    ttl: Ttl,
    name: &str,
) -> Result<Model, Refusal> {
    let Origin { scenario, file, values, wait, timing } = origin;
    let plan = scenario.bind(values, name, ttl, wait).map_err(usage)?;
    let runs = run_directories(Path::new(DIRECTORY), None, &plan).map_err(usage)?;
    let own = plan.parameters.iter().map(|(name, value)| (name.clone(), value.to_string()));
    let of_the_run = [
        ("default_ttl".to_owned(), Value::Ttl(ttl).to_string()),
        ("wait".to_owned(), Value::Duration(wait).to_string()),
    ];
    let origin = Schedule {
        scenario: file.unwrap_or(scenario.name()).to_owned(),
        digest: scenario.digest(),
        protocol: name.into(),
        timing,
        parameters: own.chain(of_the_run).collect(),
        turns: Vec::new(),
        shows: None,
    };
    Ok(Model { plan: plan.lifted(), host, runs, origin, upstream: None })
}

/// The model of a scenario with a client of somebody else's in place of a lock protocol.
pub(super) fn model_of_subject(
    origin: Origin<'_>,
    start: impl FnOnce(&Plan, &[LockName]) -> Result<Arc<Subjects>, Refusal>,
    ttl: Ttl,
) -> Result<Model, Refusal> {
    let bound = model(origin, in_process(Arc::new(Legacy)), ttl, SUBJECT)?;
    let locks: Vec<LockName> = bound.runs.iter().map(|run| run.lock(STATE_FILE)).collect();
    let host = start(&bound.plan, &locks)?;
    Ok(Model { host, plan: bound.plan.of_processes(), ..bound })
}

/// The TTL of whatever names none, from the environment.
pub(super) fn default_ttl() -> anyhow::Result<Ttl> {
    let variable = std::env::var(TTL_VARIABLE).ok();
    let Some(text) = variable.filter(|text| !text.is_empty()) else { return Ok(Ttl::DEFAULT) };
    let seconds: i64 = text.parse().map_err(|_| {
        anyhow!("{TTL_VARIABLE} is {text:?}, and should be a whole number of seconds")
    })?;
    // The reference takes anything below one second for one second (contract, section 1).
    Ttl::try_from(Duration::from_secs(seconds.max(1).unsigned_abs()))
        .with_context(|| format!("{TTL_VARIABLE} is {text:?}"))
}

/// The run directory of each lock.
pub(super) fn run_directories(
    directory: &Path,
    group: Option<&RunGroup>,
    plan: &Plan,
) -> anyhow::Result<Vec<RunDirectory>> {
    let run = |suffix: &str| {
        let base = RunDirectory::new(directory, None)?;
        let mut path = base.path().as_os_str().to_owned();
        path.push(suffix);
        RunDirectory::new(&PathBuf::from(path), group)
    };
    plan.locks.iter().map(|lock| Ok(run(&lock.run_suffix)?)).collect()
}

/// The values of a scenario's parameters, read from text.
pub(super) fn values(
    scenario: &Scenario,
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Value>, Refusal> {
    let read = |(name, text): (&String, &String)| {
        let parameter = scenario.parameters().iter().find(|parameter| parameter.name == *name);
        let Some(parameter) = parameter else {
            let names = scenario.parameters().iter().map(|parameter| parameter.name.as_str());
            let unknown = unknown("parameter", name, names);
            return Err(usage(anyhow!("{}: {unknown}", scenario.name())));
        };
        let value = parameter.parse(text);
        let value = value.map_err(|right| usage(anyhow!("parameter {name}: {text:?}: {right}")));
        Ok((name.clone(), value?))
    };
    given.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lock_lab::lock::Hardened;
    use lock_lab::scenario::catalogue;

    fn built_in(name: &str) -> Scenario {
        catalogue().unwrap().into_iter().find(|scenario| scenario.name() == name).unwrap()
    }

    #[test]
    fn a_model_says_where_it_came_from() {
        let scenario = built_in("check_then_delete");
        let given = BTreeMap::from([("ttl".to_owned(), "2s".to_owned())]);
        let values = values(&scenario, &given).unwrap();
        let origin = Origin {
            scenario: &scenario,
            file: None,
            values: &values,
            wait: Duration::from_millis(1500),
            timing: Timing::Strict,
        };
        let built_in =
            model(origin, in_process(Arc::new(Hardened::default())), Ttl::DEFAULT, "hardened")
                .unwrap();
        let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(built_in.origin.scenario, "check_then_delete");
        assert_eq!(
            (built_in.origin.protocol.as_str(), built_in.origin.timing),
            ("hardened", Timing::Strict)
        );
        let expected = [own("ttl", "2s"), own("default_ttl", "6h"), own("wait", "1s 500ms")];
        assert_eq!(built_in.origin.parameters, expected);
        assert!(built_in.origin.turns.is_empty());
        assert_eq!(built_in.runs.len(), built_in.plan.locks.len());
        let file = Origin { file: Some("own/mine.toml"), ..origin };
        let of_a_file = model(file, in_process(Arc::new(Legacy)), Ttl::DEFAULT, "legacy").unwrap();
        assert_eq!(of_a_file.origin.scenario, "own/mine.toml");
    }

    #[test]
    fn each_lock_has_a_run_of_its_own() {
        let scenario = built_in("deadlock_sim");
        let values = BTreeMap::new();
        let (wait, timing) = (Duration::ZERO, Timing::Async);
        let origin = Origin { scenario: &scenario, file: None, values: &values, wait, timing };
        let model = model(origin, in_process(Arc::new(Legacy)), Ttl::DEFAULT, "legacy").unwrap();
        let mut runs: Vec<&str> = model.runs.iter().map(|run| run.runid()).collect();
        runs.dedup();
        assert_eq!(runs.len(), model.plan.locks.len());
        assert!(runs.iter().all(|run| run.starts_with("explore")), "{runs:?}");
    }

    #[test]
    fn a_wrong_parameter_is_named_with_what_would_be_right() {
        let said = |name: &str, text: &str| {
            let given = BTreeMap::from([(name.to_owned(), text.to_owned())]);
            let refusal = values(&built_in("check_then_delete"), &given).unwrap_err();
            refusal.error.to_string()
        };
        assert_eq!(
            said("threads", "3"),
            "check_then_delete: unknown parameter \"threads\"; known: ttl"
        );
        assert_eq!(said("ttl", "0s"), "parameter ttl: \"0s\": a TTL is at least 1s");
    }
}
