//! `demo`: a race, step by step, and then its cure on the same steps.

use super::args::Color;
use super::builtin::BuiltIn;
use super::exit::{Exit, Refusal, environment, usage};
use super::output::Output;
use super::signals::Signals;
use super::stepper::{self, View};
use super::{input, terminal};
use crate::report::{Besides, Report, table};
use lock_lab::lock::{Hardened, Legacy, LockProtocol, Ttl, in_process};
use lock_lab::runtime::{Time, World};
use lock_lab::scenario::Scenario;
use lock_lab::server::Server;
use redis_sim::clock::VirtualClock;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The race that is shown.
const SCENARIO: &str = "check_then_delete";
/// The run directory, which is in memory only.
const DIRECTORY: &str = "/nodb-trigger/demo";

/// Shows it in the terminal; elsewhere, prints both reports.
pub(super) fn demo(color: Color, builtin: &BuiltIn) -> Result<Exit, Refusal> {
    let signals = Signals::handle().map_err(environment)?;
    let scenario = input::built_in(SCENARIO, builtin)?;
    let views = [
        View { name: "the race", report: run(scenario, Arc::new(Legacy), &signals)? },
        View { name: "the cure", report: run(scenario, Arc::new(Hardened::default()), &signals)? },
    ];
    let shown = Exit::worst(views.iter().map(|view| view.report.verdict.into()));
    if stepper::is_possible() {
        return Ok(Exit::worst([shown, stepper::show(&views, color, &signals)?]));
    }
    let style = terminal::unwrapped(terminal::style(color, false), false);
    Output::Stdout.write(|out| {
        for (number, view) in views.iter().enumerate() {
            if number > 0 {
                writeln!(out)?;
            }
            table::write(&view.report, false, style, out)?;
        }
        Ok(())
    })?;
    Ok(shown)
}

/// Runs it in memory, on a virtual clock.
fn run(
    scenario: &Scenario,
    protocol: Arc<dyn LockProtocol>,
    signals: &Signals,
) -> Result<Report, Refusal> {
    let plan = scenario.bind(&BTreeMap::new(), protocol.name(), Ttl::DEFAULT, Duration::ZERO);
    let plan = plan.map_err(usage)?;
    let files = plan.state_files(Path::new(DIRECTORY), None, None).map_err(usage)?;
    let time = Time::Virtual(Arc::new(VirtualClock::new(None)));
    signals.add_clock(&time);
    let server = Server::embedded(time.clock());
    let world = World::new(plan, server, in_process(protocol), files, time, Box::new(|| ()));
    let world = Arc::new(world);
    let outcome = world.run().map_err(environment)?;
    let ruling = outcome.judge(world.plan());
    Ok(Report::new(&world, &outcome, &ruling, Besides::default()))
}
