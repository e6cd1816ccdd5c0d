//! What came of a replay: the picture first.

use super::grid::{Tone, cell};
use super::lanes::picture;
use super::{Style, details, findings, notices, paragraph, parameters, title};
use crate::check::Verdict;
use crate::report::{Replay, Report, escape};
use comfy_table::Cell;
use std::io::{self, Write};

/// Writes what came of a replay for people; the last line is the verdict. With `all`, steps that do
/// not matter are shown, too, and the rest of the run's report.
pub fn write_replay(
    replay: &Replay,
    all: bool,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let style = style.usable();
    let report = &replay.report;
    title(report, style, out)?;
    paragraph(cell(place(report), Tone::Quiet), style, out)?;
    writeln!(out)?;
    picture(&replay.lanes, all, style, out)?;
    if all {
        details(report, style, out)?;
    }
    if !report.findings.is_empty() {
        writeln!(out)?;
        findings(&report.findings, style, out)?;
    }
    if !report.notices.is_empty() {
        writeln!(out)?;
        notices(&report.notices, style, out)?;
    }
    writeln!(out)?;
    paragraph(verdict(replay), style, out)
}

/// Where it was replayed, and with what.
fn place(report: &Report) -> String {
    let server = match report.server.as_str() {
        "embedded" => "the embedded server".into(),
        url => escape(url),
    };
    let parameters = escape(&parameters(report));
    let with = if parameters.is_empty() { "" } else { " with " };
    let file = report.file.as_deref().map(|file| format!("{} ", escape(file)));
    let file = file.unwrap_or_default();
    format!("replayed {file}on {server} under {}{with}{parameters}", report.protocol)
}

fn verdict(replay: &Replay) -> Cell {
    match (replay.report.verdict, replay.shows) {
        (Verdict::Expected, Some(shows)) => {
            cell(format!("EXPECTED: it shows {} again.", shows.word()), Tone::Good)
        }
        (Verdict::Expected, None) => cell("EXPECTED: it went as the schedule says.", Tone::Good),
        (_, Some(shows)) => {
            let text =
                format!("UNEXPECTED: it went as the schedule says, without {}.", shows.word());
            cell(text, Tone::Bad)
        }
        (_, None) => cell("UNEXPECTED: it did not go as it should.", Tone::Bad),
    }
}
