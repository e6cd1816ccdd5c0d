//! The actors of a run with `--processes`: started before it, and ended after it, however it ends.

use super::exit::{Refusal, environment, stopped, usage};
use super::signals::Signals;
use anyhow::{Context, anyhow};
use lock_lab::intercept::PausePoint;
use lock_lab::lock::{ActorHost, LockProtocol};
use lock_lab::probe::{
    FILES_OF_A_PROCESS, MEMORY_OF_A_PROCESS, NotStarted, OurProcesses, Processes,
};
use lock_lab::runtime::{THREAD_MEMORY, allow_files, check_memory};
use lock_lab::scenario::{Instance, Matches, Plan};
use redis_sim::clock::Clock;
use std::process::Command;
use std::sync::Arc;

/// Processes that run; they end when this is dropped.
pub(super) struct Started {
    ours: Arc<OurProcesses>,
    processes: Arc<Processes>,
    /// Whether actors of the plan share controllers, which processes can't.
    shares: bool,
}

impl Started {
    /// Starts a process for each actor of a plan.
    pub fn start(
        protocol: &Arc<dyn LockProtocol>,
        plan: &Plan,
        signals: &Signals,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Refusal> {
        check_rules(plan)?;
        let actors = plan.actors.len() as u64;
        let memory = actors.saturating_mul(MEMORY_OF_A_PROCESS + THREAD_MEMORY);
        check_memory(memory, &format!("{actors} processes")).map_err(environment)?;
        // Besides its pipes each has two connections.
        let files = allow_files(actors.saturating_mul(FILES_OF_A_PROCESS + 2), "processes");
        files.map_err(environment)?;
        let program = std::env::current_exe().context("cannot find this program");
        let program = program.map_err(environment)?;
        let processes = Arc::<Processes>::default();
        let last = Arc::clone(&processes);
        signals.set_at_last(move || last.kill());
        let command = |name: &str| {
            let mut command = Command::new(&program);
            command.args(["subject", "--lock", protocol.name(), "--actor", name]);
            command
        };
        let names: Vec<&str> = plan.actors.iter().map(|actor| actor.name.as_str()).collect();
        let ours = OurProcesses::start(Arc::clone(protocol), &names, command, &processes, clock);
        let ours = ours.map_err(not_started)?;
        let shares = plan.actors.iter().any(|actor| actor.instance != Instance::Own);
        Ok(Self { ours: Arc::new(ours), processes, shares })
    }

    /// What runs the actors in these processes.
    pub fn host(&self) -> Arc<dyn ActorHost> {
        Arc::clone(&self.ours) as Arc<dyn ActorHost>
    }

    /// What is to be said where the run did not come out as expected.
    pub fn notice(&self, scenario: &str) -> Option<String> {
        let notice = || {
            format!(
                "in {scenario}, actors share the controller, and its one token, of a process; with \
                 --processes each has its own, so what rests on sharing it cannot come"
            )
        };
        self.shares.then(notice)
    }
}

/// A rule for the registry of controllers would wait in vain: threads of a process ask it.
fn check_rules(plan: &Plan) -> Result<(), Refusal> {
    let registry = Matches::Pause(PausePoint::Registry);
    let Some(rule) = plan.rules.iter().find(|rule| rule.matches == registry) else {
        return Ok(());
    };
    Err(usage(anyhow!(
        "{} cannot be run with --processes: its rule {:?} is for the registry of controllers that the \
         threads of one process share; leave --processes out",
        plan.scenario,
        rule.name
    )))
}

fn not_started(why: NotStarted) -> Refusal {
    match why {
        NotStarted::Stopped(stop) => stopped(stop, why),
        _ => environment(why),
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // All at once, before the first is waited for.
        self.processes.kill();
        self.ours.end();
    }
}
