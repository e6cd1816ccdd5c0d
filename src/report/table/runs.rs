//! The summary of several scenarios.

use super::grid::{Grid, Tone, cell};
use super::{Style, paragraph, replay_line};
use crate::check::Verdict;
use crate::report::exploration::ProtocolRow;
use crate::report::wording::duration;
use crate::report::{Cause, Entry, Exploration, Failure, Report, Runs, escape};
use comfy_table::Cell;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// Writes the summary for people. The last line is the verdict on all.
pub fn write_runs(runs: &Runs, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let style = style.usable();
    let mut grid = Grid::new(style);
    grid.header(&["Scenario", "Protocol", "Verdict", "Findings", "Time"]);
    for entry in &runs.0 {
        match entry {
            Entry::Report(report) => grid.row(report_row(report)),
            Entry::Exploration(exploration) => {
                for row in &exploration.protocols {
                    grid.row(explored_row(exploration, row));
                }
            }
            Entry::Failure(failure) => grid.row(failure_row(failure)),
        }
    }
    grid.print(out)?;
    reasons(runs, style, out)?;
    writeln!(out)?;
    paragraph(verdict(runs), style, out)
}

fn name(report: &Report) -> &str {
    report.file.as_deref().unwrap_or(&report.scenario)
}

fn name_of_explored(exploration: &Exploration) -> String {
    format!("explore {}", exploration.file.as_deref().unwrap_or(&exploration.scenario))
}

fn verdict_cell(verdict: Verdict) -> Cell {
    match verdict {
        Verdict::Expected => cell("expected", Tone::Good),
        Verdict::Unexpected => cell("UNEXPECTED", Tone::Bad),
        Verdict::Inconclusive => cell("inconclusive", Tone::Odd),
    }
}

fn explored_row(exploration: &Exploration, row: &ProtocolRow) -> [Cell; 5] {
    let found = row.judged.iter().filter(|it| it.found).map(|it| it.property.word());
    let found = found.collect::<Vec<_>>().join(", ");
    [
        cell(escape(&name_of_explored(exploration)), Tone::Plain),
        cell(escape(&row.name), Tone::Plain),
        verdict_cell(row.verdict),
        cell(if found.is_empty() { "-" } else { &found }, Tone::Plain),
        cell(duration(row.took.as_secs_f64() * 1e3), Tone::Plain),
    ]
}

/// What all orderings of a scenario came to, where that is not as it must be.
fn explored(exploration: &Exploration) -> Vec<String> {
    let mut lines = Vec::new();
    for row in exploration.protocols.iter().filter(|row| row.verdict != Verdict::Expected) {
        let wrongly = row.counterexamples.iter().filter(|it| it.judged && !it.expected);
        for found in wrongly {
            lines.extend([row.found(found), found.text.clone()]);
        }
        lines.extend(row.not_found(false));
    }
    lines
}

fn report_row(report: &Report) -> [Cell; 5] {
    [
        cell(escape(name(report)), Tone::Plain),
        cell(&report.protocol, Tone::Plain),
        verdict_cell(report.verdict),
        cell(findings(report), Tone::Plain),
        cell(duration(report.summary.elapsed_ms), Tone::Plain),
    ]
}

fn failure_row(failure: &Failure) -> [Cell; 5] {
    let word = match failure.cause {
        Cause::Scenario => "NOT READ",
        Cause::Environment => "FAILED",
        Cause::Interrupted => "NOT RUN",
    };
    let nothing = || cell("-", Tone::Quiet);
    let scenario = cell(escape(&failure.file), Tone::Plain);
    [scenario, nothing(), cell(word, Tone::Bad), nothing(), nothing()]
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
    let words: Vec<_> = counts.into_iter().map(times).collect();
    if words.is_empty() { "-".into() } else { words.join(", ") }
}

/// What was not met, and what is wrong with what could not be run.
fn reasons(runs: &Runs, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut grid = Grid::new(style);
    let mut reasons = 0;
    for entry in &runs.0 {
        let why = match entry {
            Entry::Report(report) => unmet(report),
            Entry::Exploration(exploration) => explored(exploration),
            Entry::Failure(failure) => vec![failure.message.clone()],
        };
        let who = match entry {
            Entry::Report(report) => name(report).to_owned(),
            Entry::Exploration(exploration) => name_of_explored(exploration),
            Entry::Failure(failure) => failure.file.clone(),
        };
        for (index, line) in why.iter().enumerate() {
            let who = if index == 0 { escape(&who) } else { String::new() };
            grid.row([cell(who, Tone::Bad), cell(escape(line), Tone::Plain)]);
            reasons += 1;
        }
    }
    if reasons == 0 {
        return Ok(());
    }
    writeln!(out)?;
    grid.print(out)?;
    let replays = runs.0.iter().flat_map(replays);
    replays.into_iter().try_for_each(|command| replay_line(&command, out))
}

/// The commands that replay what was not as it must be.
fn replays(entry: &Entry) -> Vec<String> {
    match entry {
        Entry::Report(report) => report.replay.iter().cloned().collect(),
        Entry::Exploration(exploration) => {
            let rows = exploration.protocols.iter().flat_map(|row| &row.counterexamples);
            rows.filter(|it| it.judged && !it.expected).map(|it| it.replay()).collect()
        }
        Entry::Failure(_) => Vec::new(),
    }
}

fn unmet(report: &Report) -> Vec<String> {
    let mut lines: Vec<_> = report
        .expectations
        .iter()
        .filter(|row| !row.met)
        .map(|row| format!("expected {}; found {}", row.what, row.found))
        .collect();
    if report.verdict == Verdict::Inconclusive {
        lines.insert(
            0,
            match report.expectations.len() {
                0 => "nothing was checked".into(),
                _ => "the run did not go far enough to tell".into(),
            },
        );
    }
    if lines.is_empty() {
        return lines;
    }
    if let Some(seed) = report.seed.filter(|seed| *seed != 0) {
        lines.push(format!("with seed {seed}"));
    }
    if let Some(repetition) = &report.repetition {
        let expected = repetition.verdicts.get(Verdict::Expected.word()).unwrap_or(&0);
        lines.push(format!("{expected} of {} runs as expected", repetition.runs));
    }
    lines
}

fn verdict(runs: &Runs) -> Cell {
    let explorations = runs.explorations().count();
    let scenarios = runs.0.len() - explorations;
    let all = match explorations {
        0 => format!("{scenarios} scenarios"),
        1 => format!("{scenarios} scenarios and 1 exploration"),
        many => format!("{scenarios} scenarios and {many} explorations"),
    };
    let explored = |verdict| runs.explorations().filter(move |it| it.verdict == verdict).count();
    let with = |verdict| {
        runs.reports().filter(|report| report.verdict == verdict).count() + explored(verdict)
    };
    let (unexpected, inconclusive) = (with(Verdict::Unexpected), with(Verdict::Inconclusive));
    let failed = runs.failures().count();
    let mut parts = Vec::new();
    for (number, what) in
        [(unexpected, "unexpected"), (inconclusive, "inconclusive"), (failed, "not run")]
    {
        if number > 0 {
            parts.push(format!("{number} {what}"));
        }
    }
    if parts.is_empty() {
        return cell(format!("EXPECTED: all {all} ended as expected."), Tone::Good);
    }
    let counts = format!("of {all}, {}.", parts.join(", "));
    if failed > 0 {
        cell(format!("FAILED: {counts}"), Tone::Bad)
    } else if unexpected > 0 {
        cell(format!("UNEXPECTED: {counts}"), Tone::Bad)
    } else {
        cell(format!("INCONCLUSIVE: {counts}"), Tone::Odd)
    }
}
