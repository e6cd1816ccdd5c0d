//! What the checkers say of a saved history.

use super::grid::{Grid, Tone, cell};
use super::{Style, findings, paragraph};
use crate::report::wording::{count, duration};
use crate::report::{FairnessRow, Judgement, LeaseUseRow, Share, escape};
use comfy_table::Cell;
use std::io::{self, Write};

/// How many actors are named who got a lock.
const MOST: usize = 8;

/// Writes the judgement for people. The last line is the verdict.
pub fn write_judgement(judgement: &Judgement, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let style = style.usable();
    let mut grid = Grid::new(style);
    for (name, value) in [
        ("history", escape(&judgement.file)),
        ("scenario", escape(&judgement.scenario)),
        ("protocol", escape(&judgement.protocol)),
        ("events", judgement.events.to_string()),
    ] {
        grid.row([cell(name, Tone::Quiet), cell(value, Tone::Plain)]);
    }
    grid.print(out)?;
    if !judgement.findings.is_empty() {
        writeln!(out)?;
        findings(&judgement.findings, style, out)?;
    }
    if !judgement.fairness.is_empty() {
        writeln!(out)?;
        fairness(&judgement.fairness, style, out)?;
    }
    if !judgement.lease_use.is_empty() {
        writeln!(out)?;
        lease_use(&judgement.lease_use, style, out)?;
    }
    writeln!(out)?;
    paragraph(verdict(judgement), style, out)
}

fn fairness(rows: &[FairnessRow], style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut grid = Grid::new(style);
    grid.header(&["Lock", "Who got it", "Half waited", "99% waited", "Longest"]);
    for row in rows {
        grid.row([
            cell(escape(&row.lock), Tone::Plain),
            cell(shares(&row.acquisitions), Tone::Plain),
            cell(format!("≤ {}", duration(row.wait_p50_ms)), Tone::Plain),
            cell(format!("≤ {}", duration(row.wait_p99_ms)), Tone::Plain),
            cell(duration(row.wait_max_ms), Tone::Plain),
        ]);
    }
    grid.print(out)
}

fn lease_use(rows: &[LeaseUseRow], style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut grid = Grid::new(style);
    grid.header(&["Lock", "Held", "For (half, 99%, all)", "Of the lease", "Too short"]);
    for row in rows {
        let held = [row.held_p50_ms, row.held_p99_ms, row.held_max_ms].map(duration).join(", ");
        let shares = [row.share_p50, row.share_p99, row.share_max].map(percent).join(", ");
        let tone = if row.too_short > 0 { Tone::Bad } else { Tone::Plain };
        grid.row([
            cell(escape(&row.lock), Tone::Plain),
            cell(format!("×{}", row.acquisitions), Tone::Plain),
            cell(format!("≤ {held}"), Tone::Plain),
            cell(format!("≤ {shares}"), Tone::Plain),
            cell(row.too_short.to_string(), tone),
        ]);
    }
    grid.print(out)
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "?".into(), |share| format!("{:.0}%", share * 100.0))
}

/// Who got it how often: of many actors, those who got it most.
fn shares(shares: &[Share]) -> String {
    let mut shares: Vec<_> = shares.iter().filter(|share| share.count > 0).collect();
    if shares.len() > MOST {
        shares.sort_by_key(|share| std::cmp::Reverse(share.count));
    }
    let share = |share: &&Share| format!("{} ×{}", escape(&share.actor), share.count);
    let mut words: Vec<_> = shares.iter().take(MOST).map(share).collect();
    if let Some(more) = shares.len().checked_sub(MOST).filter(|more| *more > 0) {
        words.push(format!("{more} more"));
    }
    if words.is_empty() { "nobody".into() } else { words.join(", ") }
}

fn verdict(judgement: &Judgement) -> Cell {
    let found = usize::try_from(judgement.omitted).unwrap_or(usize::MAX);
    let found = judgement.findings.len().saturating_add(found);
    let findings = || count(found, "finding", "findings");
    match (found, judgement.is_whole) {
        (0, true) => cell("CLEAN: no findings, and the history is complete.", Tone::Good),
        (0, false) => {
            let line = format!(
                "INCONCLUSIVE: no findings, but the history is incomplete{}",
                why(judgement)
            );
            cell(line, Tone::Odd)
        }
        (_, true) => cell(format!("FOUND: {}.", findings()), Tone::Bad),
        (_, false) => {
            let line = "the history is incomplete, so findings may be missing or wrong";
            cell(format!("FOUND: {}; {line}.", findings()), Tone::Bad)
        }
    }
}

/// Why the history is incomplete, as the end of a sentence.
fn why(judgement: &Judgement) -> String {
    match judgement.incomplete.as_slice() {
        [] => ".".into(),
        [only] => format!(": {}.", escape(only)),
        [first, more @ ..] => {
            format!(": {} (and {} more).", escape(first), count(more.len(), "reason", "reasons"))
        }
    }
}
