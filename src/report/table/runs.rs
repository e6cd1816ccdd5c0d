//! The summary of several scenarios.

use super::grid::{Page, Tone, cell, or_dash, plain};
use super::{Style, replay_line, tone};
use crate::report::exploration::ProtocolRow;
use crate::report::wording::{count, duration};
use crate::report::{Cause, Entry, Exploration, Failure, Report, Runs, escape};
use comfy_table::Cell;
use lock_history::check::Verdict;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// Writes the summary as a table. The last line is the verdict on all.
///
/// # Errors
///
/// Fails if `out` does.
pub fn write_runs(runs: &Runs, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut page = Page::new(style);
    let mut grid = page.grid();
    grid.header(&["Scenario", "Protocol", "Verdict", "Findings", "Time"]);
    for entry in &runs.0 {
        match entry {
            Entry::Report(report) => grid.row(report_row(report)),
            Entry::Exploration(exploration) => {
                exploration
                    .protocols
                    .iter()
                    .for_each(|row| grid.row(explored_row(exploration, row)));
            }
            Entry::Failure(failure) => grid.row(failure_row(failure)),
        }
    }
    page.print(grid);
    reasons(runs, &mut page);
    page.blank();
    let (text, tone) = verdict(runs);
    page.paragraph(text, tone);
    page.write(out)
}

fn name(report: &Report) -> &str {
    report.file.as_deref().unwrap_or(&report.scenario)
}

fn name_of_explored(exploration: &Exploration) -> String {
    format!("explore {}", exploration.file.as_deref().unwrap_or(&exploration.scenario))
}

fn verdict_cell(verdict: Verdict) -> Cell {
    let word = match verdict {
        Verdict::Unexpected => "NOT AS EXPECTED",
        _ => verdict.word(),
    };
    cell(word, tone(verdict))
}

fn explored_row(exploration: &Exploration, row: &ProtocolRow) -> [Cell; 5] {
    let found = row.judged.iter().filter(|it| it.found).map(|it| it.property.word());
    [
        plain(name_of_explored(exploration)),
        plain(&row.name),
        verdict_cell(row.verdict),
        plain(or_none(found.collect())),
        plain(duration(row.took.as_secs_f64() * 1e3)),
    ]
}

fn or_none(words: Vec<&str>) -> String {
    if words.is_empty() { "-".into() } else { words.join(", ") }
}

/// What all orderings of a scenario came to, where that is not as it must be.
fn explored(exploration: &Exploration) -> Vec<String> {
    let mut lines = Vec::new();
    for row in exploration.protocols.iter().filter(|row| row.verdict != Verdict::Expected) {
        for found in row.wrongly_found() {
            lines.extend([row.found(found), found.text.clone()]);
        }
        lines.extend(row.not_found(false).into_iter().chain(row.untried()));
    }
    lines
}

fn report_row(report: &Report) -> [Cell; 5] {
    [
        plain(name(report)),
        plain(&report.protocol),
        verdict_cell(report.verdict),
        plain(findings(report)),
        plain(duration(report.summary.elapsed_ms)),
    ]
}

fn failure_row(failure: &Failure) -> [Cell; 5] {
    let word = match failure.cause {
        Cause::Scenario => "NOT READ",
        Cause::Environment => "FAILED",
        Cause::Interrupted => "NOT RUN",
    };
    let nothing = || or_dash(None::<&str>);
    [plain(&failure.file), nothing(), cell(word, Tone::Bad), nothing(), nothing()]
}

/// Each property that was violated; of many runs, in how many.
fn findings(report: &Report) -> String {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    match &report.repetition {
        Some(repetition) => {
            counts.extend(repetition.findings.iter().map(|(word, tally)| (*word, tally.count)));
        }
        None => {
            for finding in &report.findings {
                *counts.entry(finding.property.word()).or_default() += 1;
            }
        }
    }
    let times = |(word, count): (&str, u64)| match count {
        1 => word.to_owned(),
        count => format!("{word} ×{count}"),
    };
    let words: Vec<String> = counts.into_iter().map(times).collect();
    or_none(words.iter().map(String::as_str).collect())
}

/// What was not met, and what is wrong with what could not be run.
fn reasons(runs: &Runs, page: &mut Page) {
    let mut rows = Vec::new();
    for entry in &runs.0 {
        let (who, why) = match entry {
            Entry::Report(report) => (name(report).to_owned(), unmet(report)),
            Entry::Exploration(explored) => (name_of_explored(explored), self::explored(explored)),
            Entry::Failure(failure) => {
                (failure.file.clone(), failure.message.lines().map(str::to_owned).collect())
            }
        };
        for (index, line) in why.iter().enumerate() {
            let who = if index == 0 { escape(&who) } else { String::new() };
            rows.push([cell(who, Tone::Bad), plain(line)]);
        }
    }
    if !rows.is_empty() {
        page.blank();
        page.rows(rows);
        runs.0.iter().flat_map(replays).for_each(|command| replay_line(&command, page));
    }
}

/// The commands that replay what was not as it must be.
fn replays(entry: &Entry) -> Vec<String> {
    match entry {
        Entry::Report(report) => report.replay.iter().cloned().collect(),
        Entry::Exploration(exploration) => {
            let wrongly = exploration.protocols.iter().flat_map(ProtocolRow::wrongly_found);
            wrongly.map(|found| found.replay()).collect()
        }
        Entry::Failure(_) => Vec::new(),
    }
}

fn unmet(report: &Report) -> Vec<String> {
    let mut lines: Vec<String> = report.unmet().collect();
    if report.verdict == Verdict::Inconclusive {
        lines.insert(0, report.inconclusive().into());
    }
    if lines.is_empty() {
        return lines;
    }
    if let Some(seed) = report.seed.filter(|seed| *seed != 0) {
        lines.push(format!("with seed {seed}"));
    }
    if let Some(repetition) = &report.repetition {
        let (expected, runs) = (repetition.expected(), repetition.runs);
        lines.push(format!("{expected} of {runs} runs as expected"));
    }
    lines
}

fn verdict(runs: &Runs) -> (String, Tone) {
    let explorations = runs.explorations().count();
    let scenarios = runs.0.len() - explorations;
    let all = match (scenarios, explorations) {
        (_, 0) => count(scenarios, "scenario", "scenarios"),
        (0, _) => count(explorations, "exploration", "explorations"),
        _ => {
            let explored = count(explorations, "exploration", "explorations");
            format!("{} and {explored}", count(scenarios, "scenario", "scenarios"))
        }
    };
    let with = |verdict| {
        let reports = runs.reports().filter(|report| report.verdict == verdict).count();
        reports + runs.explorations().filter(|it| it.verdict == verdict).count()
    };
    let (unexpected, failed) = (with(Verdict::Unexpected), runs.failures().count());
    let inconclusive = with(Verdict::Inconclusive);
    let unread = runs.failures().filter(|it| it.cause == Cause::Scenario).count();
    let counts =
        [(unexpected, "not as expected"), (inconclusive, "inconclusive"), (failed, "not run")];
    let counts = counts.into_iter().filter(|(number, _)| *number > 0);
    let counts: Vec<_> = counts.map(|(number, what)| format!("{number} {what}")).collect();
    let (word, tone) = match counts.as_slice() {
        [] if runs.0.len() == 1 => {
            return (format!("AS EXPECTED: {all} ended as expected."), Tone::Good);
        }
        [] => return (format!("AS EXPECTED: all {all} ended as expected."), Tone::Good),
        [_] if unread == failed && failed > 0 => {
            let files = count(runs.0.len(), "scenario file", "scenario files");
            return (format!("FAILED: {failed} of {files} could not be read."), Tone::Bad);
        }
        _ if failed > 0 => ("FAILED", Tone::Bad),
        _ if unexpected > 0 => ("NOT AS EXPECTED", Tone::Bad),
        _ => ("INCONCLUSIVE", Tone::Odd),
    };
    (format!("{word}: of {all}: {}.", counts.join(", ")), tone)
}
