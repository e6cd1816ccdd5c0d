//! The outcome of a replay: the picture first.

use super::grid::{Page, Tone};
use super::lanes::picture;
use super::{Style, details, findings, notices, parameters, summary, title};
use crate::report::{Replay, Report, escape};
use lock_history::check::Verdict;
use std::io::{self, Write};

/// Writes the outcome of a replay as a table; the last line is the verdict. With `all`, irrelevant
/// steps are shown, too, and the rest of the run's report.
///
/// # Errors
///
/// Fails if `out` does.
pub fn write_replay(
    replay: &Replay,
    all: bool,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut page = Page::new(style);
    let report = &replay.report;
    title(&report.scenario, &report.title, &mut page);
    page.paragraph(place(report), Tone::Quiet);
    page.blank();
    picture(&replay.lanes, all, &mut page);
    if all {
        page.blank();
        page.paragraph(summary(&report.summary, report.clock), Tone::Plain);
        details(report, &mut page);
    }
    findings(&report.findings, &mut page);
    notices(&report.notices, &mut page);
    page.blank();
    let (text, tone) = verdict(replay);
    page.paragraph(text, tone);
    page.write(out)
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

fn verdict(replay: &Replay) -> (String, Tone) {
    let (verdict, shows) = (replay.report.verdict, replay.shows.map(|property| property.word()));
    match (verdict, shows) {
        (Verdict::Expected, Some(shows)) => {
            (format!("REPRODUCED: it shows {shows} again."), Tone::Good)
        }
        (Verdict::Expected, None) => {
            ("AS EXPECTED: it went as the schedule says.".into(), Tone::Good)
        }
        (_, Some(shows)) => {
            (format!("NOT REPRODUCED: it went as the schedule says, without {shows}."), Tone::Bad)
        }
        (_, None) => ("NOT AS EXPECTED: it did not go as it should.".into(), Tone::Bad),
    }
}
