//! A scenario's own subcommand: from the arguments to the report and the exit status.

use super::args::{FireArgs, Format};
use super::execute::Job;
use super::exit::{Exit, Refusal, environment};
use super::outputs::Outputs;
use super::progress::Progress;
use super::repeat::execute_all;
use super::signals::Signals;
use super::{say, terminal, verbose};
use crate::report::{Entry, json, junit, table};
use lock_lab::scenario::Scenario;
use std::sync::Arc;

/// Fires one scenario and writes its report.
pub(super) fn fire(args: &FireArgs, scenario: &Scenario) -> Result<Exit, Refusal> {
    let signals = Signals::handle().map_err(environment)?;
    let (asked, options) = (&args.output, &args.output.report);
    let outputs =
        Outputs::open(&signals, options, asked.history.as_deref(), asked.timeline.as_ref())?;
    let progress = Arc::new(Progress::new(scenario.title(), options.quiet));
    let job = Job {
        scenario,
        file: None,
        values: &args.values,
        directory: &args.directory,
        options: &args.run,
        signals: &signals,
    };
    let executed = execute_all(&job, Some(&progress));
    progress.clear();
    let executed = executed?;
    if asked.verbose {
        verbose::show(scenario.name(), &executed.history);
    }
    executed.said.iter().for_each(|line| say(line));
    let report = executed.report;
    let entries = [Entry::Report(Box::new(report.clone()))];
    outputs.write(Some(&executed.history), &entries, |format, style, out| match format {
        Format::Json => json::write(&report, out),
        Format::Table => {
            let style = terminal::unwrapped(style, options.output.is_some());
            table::write(&report, asked.verbose, style, out)
        }
        Format::Junit => junit::write(&entries, out),
    })?;
    Ok(executed.exit)
}
