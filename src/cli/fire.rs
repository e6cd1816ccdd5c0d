//! A scenario's own subcommand: from the arguments to the report and the exit status.

use super::args::{FireArgs, Format, ReportOptions};
use super::execute::Job;
use super::exit::Exit;
use super::output::Output;
use super::progress::Progress;
use super::refusal::{Refusal, environment};
use super::repeat::execute_all;
use super::signals::Signals;
use super::timeline::Drawing;
use super::{github, say, terminal, verbose};
use crate::report::{Entry, Report, json, junit, table};
use crate::scenario::Scenario;
use std::sync::Arc;

/// Fires one scenario and writes its report.
pub(super) fn fire(args: &FireArgs, scenario: &Scenario) -> Result<Exit, Refusal> {
    let signals = Signals::handle().map_err(environment)?;
    let output = Output::open(args.output.report.output.as_deref(), args.output.report.quiet);
    let output = output.map_err(environment)?;
    let history = Output::history(args.output.history.as_deref()).map_err(environment)?;
    let drawing = Drawing::open(args.output.timeline.as_ref(), &args.output.report)?;
    signals.set_outputs([output.by_hand(), history.by_hand(), drawing.by_hand()]);
    let progress = Arc::new(Progress::new(scenario.title(), args.output.report.quiet));
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
    if args.output.verbose {
        verbose::show(scenario.name(), &executed.history);
    }
    executed.said.iter().for_each(|line| say(line));
    history.write(|out| executed.history.write(out)).map_err(environment)?;
    let report = executed.report;
    github::annotate([&report], args.output.report.quiet);
    write(report, &args.output.report, output)?;
    drawing.draw(&executed.history)?;
    Ok(executed.exit)
}

/// Writes the report of one scenario.
fn write(report: Report, options: &ReportOptions, output: Output) -> Result<(), Refusal> {
    let style = terminal::style(options.color, options.output.is_some());
    let written = output.write(|out| match options.format {
        Format::Json => json::write(&report, out),
        Format::Table => table::write(&report, style, out),
        Format::Junit => junit::write(&[Entry::Report(Box::new(report))], out),
    });
    written.map_err(environment)
}
