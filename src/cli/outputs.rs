//! What is written about what a command ran: the report and, if they were asked for, the history and
//! a picture of it. All are opened before anything runs.

use super::args::{Format, Picture, ReportOptions};
use super::exit::Refusal;
use super::output::Output;
use super::signals::Signals;
use super::timeline::Drawing;
use super::{github, terminal};
use crate::report::{Entry, Style, markdown};
use lock_history::history::History;
use std::io::{self, Write};
use std::path::Path;

/// Where all of it goes.
pub(super) struct Outputs<'a> {
    options: &'a ReportOptions,
    report: Output,
    summary: Output,
    history: Output,
    drawing: Drawing,
}

impl<'a> Outputs<'a> {
    /// Opens what was asked for; the signals' handler knows then what it would have to remove.
    pub fn open(
        signals: &Signals,
        options: &'a ReportOptions,
        history: Option<&Path>,
        timeline: Option<&Picture>,
    ) -> Result<Self, Refusal> {
        let report = Output::open(options.output.as_deref(), options.quiet)?;
        let summary = options.summary.as_deref();
        let summary = summary.map_or(Ok(Output::Nowhere), |path| Output::file(path, "summary"))?;
        let history = Output::history(history)?;
        let drawing = Drawing::open(timeline, options)?;
        let all = [report.by_hand(), summary.by_hand(), history.by_hand(), drawing.by_hand()];
        signals.set_outputs(all);
        Ok(Self { options, report, summary, history, drawing })
    }

    /// Writes the history, the annotations and the summary of these entries, the report in its format, and the
    /// picture.
    pub fn write(
        self,
        history: Option<&History>,
        entries: &[Entry],
        report: impl FnOnce(Format, Style, &mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Refusal> {
        if let Some(history) = history {
            self.history.write(|out| history.write(out))?;
        }
        if !self.options.quiet {
            github::annotate(&github::of_entries(entries));
        }
        self.summary.write(|out| markdown::write_summary(entries, out))?;
        let style = terminal::style(self.options.color, self.options.output.is_some());
        self.report.write(|out| report(self.options.format, style, out))?;
        match history {
            Some(history) => self.drawing.draw(history),
            None => {
                self.drawing.has_nothing_to_draw("no counterexample is shown");
                Ok(())
            }
        }
    }
}
