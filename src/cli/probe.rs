//! `probe`: every ordering of what a client of somebody else's sends.

use super::args::ProbeArgs;
use super::execute::default_ttl;
use super::exit::Exit;
use super::explore::{exploration, explore_one, one, report, so_far};
use super::model::{Origin, model_of_subject, values};
use super::output::Output;
use super::progress::Line;
use super::refusal::{Refusal, environment, usage};
use super::signals::Signals;
use super::tasks::{Task, bounds};
use super::timeline::Drawing;
use crate::check::Property;
use crate::clock::WallClock;
use crate::lock::LockName;
use crate::probe::{Processes, Start, Subjects};
use crate::report::exploration::Judged;
use crate::runtime::Time;
use crate::scenario::Scenario;
use anyhow::anyhow;
use std::sync::Arc;
use std::time::Duration;

/// Explores a scenario with a client and writes what came of it.
pub(super) fn probe(args: &ProbeArgs, builtin: &[Scenario]) -> Result<Exit, Refusal> {
    let signals = Signals::handle().map_err(environment)?;
    let options = &args.explore;
    let output = Output::open(options.report.output.as_deref(), options.report.quiet);
    let output = output.map_err(environment)?;
    let drawing = Drawing::open(options.timeline.as_ref(), &options.report)?;
    signals.set_outputs([output.by_hand(), drawing.by_hand()]);
    let (scenario, file) = one(options, builtin)?;
    let values = values(&scenario, &options.values)?;
    let bounds = bounds(options)?;
    let origin = Origin {
        scenario: &scenario,
        file: file.as_deref(),
        values: &values,
        wait: options.wait,
        timing: bounds.timing,
    };
    let ttl = default_ttl().map_err(usage)?;
    let keeper = Keeper::new(&signals);
    let start = |locks: &[LockName]| keeper.start(&args.subject, locks, args.patience);
    let model = model_of_subject(origin, start, ttl)?;
    let mut judged = judged();
    if !options.properties.is_empty() {
        judged = judged.only(&options.properties);
    }
    let task = Task { model, bounds, judged };
    let line = Line::new(options.report.quiet);
    let name = task.model.protocol.name();
    let ended = explore_one(&task, &signals, &mut |progress| line.tell(&so_far(name, progress)));
    line.clear();
    let ended = ended.map(|row| row.of_subject(&args.subject));
    let ended = ended.map_err(|refusal| keeper.interrupted().unwrap_or(refusal));
    report(vec![ended], |rows| exploration(&scenario, file, rows), options, output, drawing)
}

/// Starts subjects, and ends them: when it is dropped, or when the program is left at once.
pub(super) struct Keeper {
    signals: Signals,
    /// Stopped by a signal, like that of a run.
    clock: Arc<WallClock>,
    processes: Arc<Processes>,
}

impl Keeper {
    /// Heeds these signals.
    pub fn new(signals: &Signals) -> Self {
        let clock = Arc::new(WallClock::new(None));
        signals.add_clock(&Time::Wall(Arc::clone(&clock)));
        let processes = Arc::<Processes>::default();
        let last = Arc::clone(&processes);
        signals.set_at_last(move || last.kill());
        Self { signals: signals.clone(), clock, processes }
    }

    /// Starts the subjects that will be asked for these locks. What is known of them stays until the
    /// program ends; they don't.
    pub fn start(
        &self,
        command: &str,
        locks: &[LockName],
        patience: Duration,
    ) -> Result<&'static Subjects, Refusal> {
        let (clock, processes) = (Arc::clone(&self.clock), Arc::clone(&self.processes));
        let start = Start { command: command.into(), patience, clock, processes };
        let subjects = Subjects::new(start, locks);
        let subjects =
            subjects.map_err(|error| self.interrupted().unwrap_or_else(|| environment(error)))?;
        Ok(Box::leak(Box::new(subjects)))
    }

    /// What to say instead of how a subject failed, if nobody waited for it any more.
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

/// What no lock client may do. That leases end under holders, no client can rule out; what follows
/// from that is reported as possible.
fn judged() -> Judged {
    let must_not_find = vec![Property::ForeignRelease, Property::StuckLock, Property::Deadlock];
    Judged { must_find: Vec::new(), must_not_find }
}
