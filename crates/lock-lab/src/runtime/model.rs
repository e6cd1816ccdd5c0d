//! What is explored and replayed: a plan without what forces an order on it, and where it came from.

use super::Schedule;
use crate::lock::{ActorHost, Legacy, LockName, LockProtocol, StateFile, Ttl, in_process};
use crate::probe::{SUBJECT, Subjects};
use crate::scenario::{PlaceError, Plan, Scenario, ScenarioError, Timing, Value};
use crate::server::ExclusiveServer;
use redis_sim::clock::WallClock;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The run directory, which is in memory only.
const DIRECTORY: &str = "/nodb-trigger/explore";

/// How a scenario is bound to be explored.
#[derive(Debug, Clone, Default)]
pub struct Binding {
    /// The values of parameters; the others have their defaults.
    pub values: BTreeMap<String, Value>,
    /// The TTL of locks that name none.
    pub default_ttl: Ttl,
    /// How long an acquire that doesn't say keeps trying.
    pub wait: Duration,
    /// When leases may end.
    pub timing: Timing,
}

/// Why a scenario can't be explored.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The values don't fit the scenario, or the scenario doesn't fit the protocol.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// A lock's state file can't have its name.
    #[error(transparent)]
    Place(#[from] PlaceError),
}

/// A plan whose orderings are explored or replayed.
#[derive(Clone)]
pub struct Model {
    /// The plan, without rules that hold or delay, and without waits for them.
    pub plan: Plan,
    /// Where its actors run, and the lock protocol that they speak.
    pub host: Arc<dyn ActorHost>,
    /// The state files of the plan's locks, in their order.
    pub files: Vec<StateFile>,
    /// Where it came from: a schedule without turns.
    pub origin: Schedule,
    /// The real Redis where it is explored; if there is none, the embedded server.
    pub upstream: Option<Upstream>,
}

impl Model {
    /// A scenario whose actors speak this lock protocol, in this process.
    ///
    /// # Errors
    ///
    /// [`ModelError`] if the values don't fit the scenario, the scenario doesn't fit the protocol,
    /// or a run directory can't have its name.
    pub fn new(
        scenario: &Scenario,
        binding: &Binding,
        protocol: Arc<dyn LockProtocol>,
    ) -> Result<Self, ModelError> {
        let name = protocol.name().to_owned();
        Self::bound(scenario, binding, in_process(protocol), &name)
    }

    /// A scenario whose actors are clients from outside, which `start` starts for these locks.
    ///
    /// # Errors
    ///
    /// Fails where [`new`](Self::new) does, and if `start` does.
    pub fn of_subjects<E: From<ModelError>>(
        scenario: &Scenario,
        binding: &Binding,
        start: impl FnOnce(&Plan, &[LockName]) -> Result<Arc<Subjects>, E>,
    ) -> Result<Self, E> {
        let bound = Self::bound(scenario, binding, in_process(Arc::new(Legacy)), SUBJECT)?;
        let locks: Vec<LockName> = bound.files.iter().map(StateFile::lock).collect();
        let host = start(&bound.plan, &locks)?;
        Ok(Self { plan: Self::plan_of_subjects(bound.plan, &host), host, ..bound })
    }

    /// The plan for actors that are clients from outside. Those that share controllers share a process where the
    /// client can run several actors in one.
    pub fn plan_of_subjects(plan: Plan, subjects: &Subjects) -> Plan {
        let sharing = plan.sharing_a_process();
        if subjects.about().threads && sharing.len() > 1 {
            subjects.share_process(sharing);
        }
        plan.of_processes()
    }

    fn bound(
        scenario: &Scenario,
        binding: &Binding,
        host: Arc<dyn ActorHost>,
        protocol: &str,
    ) -> Result<Self, ModelError> {
        let Binding { values, default_ttl, wait, timing } = binding;
        let plan = scenario.bind(values, protocol, *default_ttl, *wait)?;
        let files = plan.state_files(Path::new(DIRECTORY), None, None)?;
        let own = plan.parameters.iter().map(|(name, value)| (name.clone(), value.to_string()));
        let of_the_run = [
            ("default_ttl".to_owned(), Value::Ttl(*default_ttl).to_string()),
            ("wait".to_owned(), Value::Duration(*wait).to_string()),
        ];
        let origin = Schedule {
            scenario: scenario.name().to_owned(),
            digest: scenario.digest(),
            protocol: protocol.to_owned(),
            timing: *timing,
            parameters: own.chain(of_the_run).collect(),
            turns: Vec::new(),
            shows: None,
        };
        Ok(Self { plan: plan.unconstrained(), host, files, origin, upstream: None })
    }
}

/// A real Redis that an exploration has for itself.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Its database.
    pub exclusive: Arc<ExclusiveServer>,
    /// What is replayed there stops with this clock.
    pub clock: Arc<WallClock>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Hardened;
    use crate::scenario;

    fn built_in(name: &str) -> Scenario {
        scenario::built_in(name).unwrap().unwrap()
    }

    #[test]
    fn a_model_says_where_it_came_from() {
        let scenario = built_in("check_then_delete");
        let ttl = scenario.parameters()[0].parse("2s").unwrap();
        let binding = Binding {
            values: BTreeMap::from([("ttl".to_owned(), ttl)]),
            wait: Duration::from_millis(1500),
            timing: Timing::Strict,
            ..Binding::default()
        };
        let model = Model::new(&scenario, &binding, Arc::new(Hardened::default())).unwrap();
        let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected = Schedule {
            scenario: "check_then_delete".into(),
            digest: scenario.digest(),
            protocol: "hardened".into(),
            timing: Timing::Strict,
            parameters: vec![own("ttl", "2s"), own("default_ttl", "6h"), own("wait", "1s 500ms")],
            turns: Vec::new(),
            shows: None,
        };
        assert_eq!(model.origin, expected);
    }

    #[test]
    fn each_lock_has_a_run_of_its_own() {
        let scenario = built_in("deadlock_sim");
        let model = Model::new(&scenario, &Binding::default(), Arc::new(Legacy)).unwrap();
        let mut runs: Vec<&str> = model.files.iter().map(|file| file.run().runid()).collect();
        runs.dedup();
        assert_eq!(runs.len(), model.plan.locks.len());
        assert!(runs.iter().all(|run| run.starts_with("explore")), "{runs:?}");
    }
}
