//! The report as a table: fits the terminal's width, says everything in words, and uses colour only
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
mod rows;
mod runs;
mod status;
mod step;

pub use catalogue::{write_catalogue, write_list};
pub use exploration::write_exploration;
pub use judgement::write_judgement;
pub use recovery::{write_recovery, write_unlock};
pub use replay::write_replay;
pub use runs::write_runs;
pub use status::write_status;
pub use step::write_step;

use super::wording::{count, duration};
use super::{FindingRow, Report, Summary, escape};
use grid::{Page, Tone, cell, plain};
use lock_history::check::{Property, Verdict};
use lock_lab::lock::STATE_FILE;
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

/// Writes the report as a table: the verdict first and last, and between them what happened, event by
/// event. With `all`, all of it, and all that was expected.
///
/// # Errors
///
/// Fails if `out` does.
pub fn write(report: &Report, all: bool, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut page = Page::new(style);
    page.paragraph(headline(report), tone(report.verdict));
    title(&report.scenario, &report.title, &mut page);
    if all {
        head(report, &mut page);
    } else {
        page.paragraph(place(report), Tone::Quiet);
    }
    if !report.rows.is_empty() {
        page.blank();
        rows::write(&report.rows, all, &mut page);
    }
    if all || report.rows.is_empty() {
        details(report, &mut page);
    }
    findings(&report.findings, &mut page);
    expectations(report, all, &mut page);
    notices(&report.notices, &mut page);
    if let Some(repetition) = &report.repetition {
        page.blank();
        repetition::write(repetition, report.seed, &mut page);
    }
    page.blank();
    if let Some(command) = &report.replay {
        replay_line(command, &mut page);
    }
    let (text, tone) = verdict(report);
    page.paragraph(text, tone);
    page.write(out)
}

/// Writes each event of a run.
///
/// # Errors
///
/// Fails if `out` does.
pub fn write_events(report: &Report, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut page = Page::new(style);
    rows::write(&report.rows, true, &mut page);
    page.write(out)
}

/// How each actor fared, and how the locks were.
fn details(report: &Report, page: &mut Page) {
    if !report.actors.is_empty() {
        page.blank();
        actors::write(&report.actors, page);
    }
    if !report.consistency.is_empty() {
        page.blank();
        consistency::write(&report.consistency, page);
    }
}

/// What was expected and what came. Where all was met, the verdict says so.
fn expectations(report: &Report, all: bool, page: &mut Page) {
    let expected = &report.expectations;
    if !all && expected.iter().all(|row| row.met == Some(true)) {
        return;
    }
    page.section(
        &["OK", "Expected", "Got"],
        expected.iter().map(|row| {
            let met = match row.met {
                Some(true) => cell("✓", Tone::Good),
                Some(false) => cell("✗", Tone::Bad),
                None => cell("?", Tone::Odd),
            };
            [met, plain(&row.what), plain(&row.found)]
        }),
    );
}

/// The command that replays something. It stays on one line, however long it is.
fn replay_line(command: &str, page: &mut Page) {
    page.line(&format!("replay: {}", escape(command)));
}

/// What ran.
fn title(scenario: &str, title: &str, page: &mut Page) {
    page.paragraph(format!("{}: {}", escape(scenario), escape(title)), Tone::Strong);
}

/// Where it ran, and with which parameters, in one line.
fn place(report: &Report) -> String {
    let server = match report.server.as_str() {
        "embedded" => "embedded server".into(),
        _ => server(report),
    };
    let seed = report.seed.filter(|seed| *seed != 0).map(|seed| format!("seed {seed}"));
    let parts = [
        report.file.clone(),
        Some(server),
        Some(format!("protocol {}", report.protocol)),
        Some(format!("{} clock", report.clock)),
        report.processes.then(|| "a process each".into()),
        seed,
        Some(parameters(report)),
    ];
    let parts = parts.into_iter().flatten().filter(|part| !part.is_empty());
    escape(&parts.collect::<Vec<_>>().join(", "))
}

/// Where it ran, and with which parameters.
fn head(report: &Report, page: &mut Page) {
    // The fixed order goes without saying.
    let seed = report.seed.filter(|seed| *seed != 0).map(|seed| seed.to_string());
    let facts = [
        ("file", report.file.as_deref().unwrap_or_default()),
        ("server", &server(report)),
        ("directory", &report.working_directory),
        ("run id", &report.runid),
        ("state file", &state_files(report)),
        ("protocol", report.protocol.as_str()),
        ("clock", report.clock),
        ("actors", if report.processes { "a process each" } else { "" }),
        ("seed", seed.as_deref().unwrap_or_default()),
        ("parameters", &parameters(report)),
    ];
    page.facts(facts.into_iter().filter(|(_, value)| !value.is_empty()));
}

/// The server, and what named it.
fn server(report: &Report) -> String {
    match report.server_from {
        Some(variables) => format!("{}, from {variables}", report.server),
        None => report.server.clone(),
    }
}

/// The state files, unless there is nothing to say of them.
fn state_files(report: &Report) -> String {
    let mut names = report.state_files.clone();
    names.dedup();
    match (report.lock_only, names.as_slice()) {
        (true, _) => format!("{}, in memory only", names.join(", ")),
        (false, [name]) if name == STATE_FILE => String::new(),
        (false, _) => names.join(", "),
    }
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

/// The verdict and the outcome.
fn headline(report: &Report) -> String {
    let mut words: Vec<&str> = report.findings.iter().map(|row| row.property.word()).collect();
    words.sort_unstable();
    words.dedup();
    let found = match words.as_slice() {
        [] => String::new(),
        words => format!("; found {}", words.join(", ")),
    };
    let summary = summary(&report.summary, report.clock);
    format!("{}: {summary}{found}", report.outcome.word())
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
    if summary.refused_steps > 0 {
        let refused = count(summary.refused_steps, "refused step", "refused steps");
        line = line.replacen(" in ", &format!(", {refused} in "), 1);
    }
    if clock == "virtual" {
        line.push_str(" (virtual)");
    }
    if let Some(skew) = summary.start_skew_us.filter(|_| clock != "virtual") {
        line.push_str(&format!("; start skew {}", duration(skew / 1000.0)));
    }
    line
}

/// What went wrong; where one property was violated many times, the first few and a count.
fn findings(rows: &[FindingRow], page: &mut Page) {
    let mut shown: BTreeMap<Property, usize> = BTreeMap::new();
    let mut cells = Vec::new();
    for row in rows {
        let shown = shown.entry(row.property).or_default();
        *shown += 1;
        if *shown <= MOST_OF_ONE {
            let time = row.time.as_deref().unwrap_or_default();
            cells.push([cell(row.property.word(), Tone::Bad), plain(time), plain(&row.text)]);
        }
    }
    for (property, count) in shown.into_iter().filter(|(_, count)| *count > MOST_OF_ONE) {
        let more = format!("… {} more", count - MOST_OF_ONE);
        cells.push([cell(property.word(), Tone::Bad), plain(""), cell(more, Tone::Quiet)]);
    }
    if rows.iter().any(|row| row.time.is_some()) {
        return page.section(&["Finding", "Time (UTC)", "What happened"], cells);
    }
    let cells = cells.into_iter().map(|[property, _, text]| [property, text]);
    page.section(&["Finding", "What happened"], cells);
}

/// How many findings of one property are shown.
const MOST_OF_ONE: usize = 3;

fn notices(notices: &[String], page: &mut Page) {
    if !notices.is_empty() {
        page.blank();
        page.rows(notices.iter().map(|notice| [cell("note", Tone::Odd), plain(notice)]));
    }
}

/// The verdict in a sentence.
fn verdict(report: &Report) -> (String, Tone) {
    let all = report.expectations.len();
    let unmet = report.unmet().count();
    let word = report.outcome.word();
    let text = match (report.verdict, all) {
        (Verdict::Expected, 0) => &format!("{word}: it went as it should."),
        (Verdict::Expected, 1) => &format!("{word}: the expectation was met."),
        (Verdict::Expected, _) => &format!("{word}: all {all} expectations were met."),
        (Verdict::Unexpected, 1) => &format!("{word}: the expectation was not met."),
        (Verdict::Unexpected, _) => &format!("{word}: {unmet} of {all} expectations not met."),
        (Verdict::Inconclusive, 0) => {
            "INCONCLUSIVE: nothing was checked; no outcome is expected of these parameters."
        }
        (Verdict::Inconclusive, _) => &format!("{word}: {}.", report.inconclusive()),
    };
    (text.into(), tone(report.verdict))
}

/// How a verdict is coloured.
fn tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Expected => Tone::Good,
        Verdict::Unexpected => Tone::Bad,
        Verdict::Inconclusive => Tone::Odd,
    }
}

#[cfg(test)]
mod tests;
