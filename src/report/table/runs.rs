//! The summary of several scenarios.

use super::grid::{Grid, Tone, cell};
use super::{Style, paragraph};
use crate::report::wording::duration;
use crate::report::{Cause, Entry, Failure, Report, Runs, Verdict, escape};
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

fn report_row(report: &Report) -> [Cell; 5] {
    let (word, tone) = match report.verdict {
        Verdict::Expected => ("expected", Tone::Good),
        Verdict::Unexpected => ("UNEXPECTED", Tone::Bad),
        Verdict::Inconclusive => ("inconclusive", Tone::Odd),
    };
    [
        cell(escape(name(report)), Tone::Plain),
        cell(report.protocol, Tone::Plain),
        cell(word, tone),
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
            Entry::Failure(failure) => vec![failure.message.clone()],
        };
        let who = match entry {
            Entry::Report(report) => name(report),
            Entry::Failure(failure) => &failure.file,
        };
        for (index, line) in why.iter().enumerate() {
            let who = if index == 0 { escape(who) } else { String::new() };
            grid.row([cell(who, Tone::Bad), cell(escape(line), Tone::Plain)]);
            reasons += 1;
        }
    }
    if reasons == 0 {
        return Ok(());
    }
    writeln!(out)?;
    grid.print(out)
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
    let all = runs.0.len();
    let with = |verdict| runs.reports().filter(|report| report.verdict == verdict).count();
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
        return cell(format!("EXPECTED: all {all} scenarios ended as expected."), Tone::Good);
    }
    let counts = format!("of {all} scenarios, {}.", parts.join(", "));
    if failed > 0 {
        cell(format!("FAILED: {counts}"), Tone::Bad)
    } else if unexpected > 0 {
        cell(format!("UNEXPECTED: {counts}"), Tone::Bad)
    } else {
        cell(format!("INCONCLUSIVE: {counts}"), Tone::Odd)
    }
}
