//! The report for people: fits the terminal's width, says everything in words, and uses colour only
//! on top of the words.
//!
//! Where many actors or snapshots say the same, it shows some and counts the rest; the JSON report
//! has them all.

mod actors;
mod catalogue;
mod consistency;
mod exploration;
pub(in crate::report) mod grid;
mod judgement;
mod lanes;
mod recovery;
mod repetition;
mod replay;
mod runs;
mod status;

pub use catalogue::{write_catalogue, write_list};
pub use exploration::write_exploration;
pub use judgement::write_judgement;
pub use recovery::{write_recovery, write_unlock};
pub use replay::write_replay;
pub use runs::write_runs;
pub use status::write_status;

use super::wording::{count, duration};
use super::{FindingRow, Report, Summary, escape};
use crate::check::Property;
use crate::check::{Expected, Verdict};
use comfy_table::Cell;
use grid::{Grid, Tone, cell};
use std::collections::BTreeMap;
use std::io::{self, Write};

/// How the table is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// How many columns there are; [`Style::NARROWEST`] are used even where there are fewer.
    pub width: u16,
    /// Whether words may be coloured.
    pub color: bool,
}

impl Style {
    /// What is needed for a word a line.
    pub const NARROWEST: u16 = 24;
    /// For what is no terminal.
    pub const PLAIN: Style = Style { width: 80, color: false };

    /// Whether a column for each thing would leave too little to each.
    fn is_narrow(self) -> bool {
        self.width < 64
    }

    /// The style as it can be drawn.
    pub(in crate::report) fn usable(self) -> Self {
        if self.color {
            // The caller has looked at NO_COLOR; crossterm would again, and overrule `--color
            // always`.
            crossterm::style::force_color_output(true);
        }
        Self { width: self.width.max(Self::NARROWEST), ..self }
    }
}

/// Writes the report for people. The last line is the verdict.
pub fn write(report: &Report, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let style = style.usable();
    title(report, style, out)?;
    head(report, style, out)?;
    details(report, style, out)?;
    if !report.findings.is_empty() {
        writeln!(out)?;
        findings(&report.findings, style, out)?;
    }
    if !report.expectations.is_empty() {
        writeln!(out)?;
        expectations(&report.expectations, style, out)?;
    }
    if !report.notices.is_empty() {
        writeln!(out)?;
        notices(&report.notices, style, out)?;
    }
    if let Some(repetition) = &report.repetition {
        writeln!(out)?;
        repetition::write(repetition, report.seed, style, out)?;
    }
    writeln!(out)?;
    if let Some(command) = &report.replay {
        replay_line(command, out)?;
    }
    paragraph(verdict(report), style, out)
}

/// How each actor fared, and how the locks were.
fn details(report: &Report, style: Style, out: &mut dyn Write) -> io::Result<()> {
    if !report.actors.is_empty() {
        writeln!(out)?;
        actors::write(&report.actors, style, out)?;
    }
    writeln!(out)?;
    paragraph(cell(summary(&report.summary, report.clock), Tone::Strong), style, out)?;
    if !report.consistency.is_empty() {
        writeln!(out)?;
        consistency::write(&report.consistency, style, out)?;
    }
    Ok(())
}

/// The command that replays something. It stays on one line, however long it is.
fn replay_line(command: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "replay: {}", escape(command))
}

/// A text that is wrapped as wide as the style.
pub(in crate::report) fn paragraph(
    text: Cell,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut grid = Grid::new(style);
    grid.row([text]);
    grid.print(out)
}

/// What ran.
fn title(report: &Report, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let title = format!("{}: {}", escape(&report.scenario), escape(&report.title));
    paragraph(cell(title, Tone::Strong), style, out)
}

/// Where it ran, and with which parameters.
fn head(report: &Report, style: Style, out: &mut dyn Write) -> io::Result<()> {
    // The fixed order goes without saying.
    let seed = report.seed.filter(|seed| *seed != 0).map(|seed| seed.to_string());
    let mut grid = Grid::new(style);
    for (name, value) in [
        ("file", report.file.as_deref().unwrap_or_default()),
        ("server", report.server.as_str()),
        ("directory", &report.working_directory),
        ("run id", &report.runid),
        ("protocol", report.protocol.as_str()),
        ("clock", report.clock),
        ("actors", if report.processes { "a process each" } else { "" }),
        ("seed", seed.as_deref().unwrap_or_default()),
        ("parameters", &parameters(report)),
    ] {
        if !value.is_empty() {
            grid.row([cell(name, Tone::Quiet), cell(escape(value), Tone::Plain)]);
        }
    }
    grid.print(out)
}

/// The parameters as flags, ready to be copied.
fn parameters(report: &Report) -> String {
    let flag = |(name, value): (&String, &serde_json::Value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let quote = if value.contains(' ') { "'" } else { "" };
        format!("--{} {quote}{value}{quote}", name.replace('_', "-"))
    };
    report.parameters.iter().map(flag).collect::<Vec<_>>().join(" ")
}

/// The run in one line.
fn summary(summary: &Summary, clock: &str) -> String {
    let mut line = format!(
        "{}/{} succeeded, {} already locked, {} in {}",
        summary.succeeded,
        summary.attempts,
        summary.already_locked,
        count(summary.errors, "error", "errors"),
        duration(summary.elapsed_ms),
    );
    if clock == "virtual" {
        line.push_str(" (virtual)");
    }
    if let Some(skew) = summary.start_skew_us {
        line.push_str(&format!("; start skew {}", duration(skew / 1000.0)));
    }
    line
}

/// What went wrong; where one property was violated many times, the first few and a count.
fn findings(rows: &[FindingRow], style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut grid = Grid::new(style);
    grid.header(&["Finding", "What happened"]);
    let mut shown: BTreeMap<Property, usize> = BTreeMap::new();
    for row in rows {
        let shown = shown.entry(row.property).or_default();
        *shown += 1;
        if *shown <= MOST_OF_ONE {
            let word = cell(row.property.word(), Tone::Bad);
            grid.row([word, cell(escape(&row.text), Tone::Plain)]);
        }
    }
    for (property, count) in shown {
        if let Some(more) = count.checked_sub(MOST_OF_ONE).filter(|more| *more > 0) {
            let word = cell(property.word(), Tone::Bad);
            grid.row([word, cell(format!("… {more} more"), Tone::Quiet)]);
        }
    }
    grid.print(out)
}

/// How many findings of one property are shown.
const MOST_OF_ONE: usize = 3;

fn expectations(rows: &[Expected], style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut grid = Grid::new(style);
    grid.header(&["Met", "Expected", "Found"]);
    for row in rows {
        let met = if row.met { cell("yes", Tone::Good) } else { cell("NO", Tone::Bad) };
        grid.row([
            met,
            cell(escape(&row.what), Tone::Plain),
            cell(escape(&row.found), Tone::Plain),
        ]);
    }
    grid.print(out)
}

fn notices(notices: &[String], style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut grid = Grid::new(style);
    for notice in notices {
        grid.row([cell("note", Tone::Odd), cell(escape(notice), Tone::Plain)]);
    }
    grid.print(out)
}

/// The verdict in a sentence.
fn verdict(report: &Report) -> Cell {
    let all = report.expectations.len();
    let unmet = report.expectations.iter().filter(|row| !row.met).count();
    match report.verdict {
        Verdict::Expected if all == 0 => cell("EXPECTED: it went as it should.", Tone::Good),
        Verdict::Expected if all == 1 => cell("EXPECTED: the expectation was met.", Tone::Good),
        Verdict::Expected => {
            cell(format!("EXPECTED: all {all} expectations were met."), Tone::Good)
        }
        Verdict::Unexpected if all == 1 => {
            cell("UNEXPECTED: the expectation was not met.", Tone::Bad)
        }
        Verdict::Unexpected => {
            cell(format!("UNEXPECTED: {unmet} of {all} expectations not met."), Tone::Bad)
        }
        Verdict::Inconclusive if all == 0 => cell(
            "INCONCLUSIVE: nothing was checked; no outcome is expected of these parameters.",
            Tone::Odd,
        ),
        Verdict::Inconclusive => {
            cell("INCONCLUSIVE: the run did not go far enough to tell.", Tone::Odd)
        }
    }
}

#[cfg(test)]
mod tests;
