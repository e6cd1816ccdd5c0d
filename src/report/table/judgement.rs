//! What the checkers say of a saved history.

use super::grid::{Page, Tone, cell, plain};
use super::{Style, findings};
use crate::report::wording::{count, duration};
use crate::report::{FairnessRow, Judgement, LeaseUseRow, Share, escape};
use std::io::{self, Write};

/// How many of the actors that got a lock are named.
const MOST: usize = 8;

/// Writes the judgement as a table. The last line is the verdict.
///
/// # Errors
///
/// Fails if `out` does.
pub fn write_judgement(judgement: &Judgement, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut page = Page::new(style);
    let events = judgement.events.to_string();
    let facts = [
        ("history", &judgement.file),
        ("scenario", &judgement.scenario),
        ("protocol", &judgement.protocol),
        ("events", &events),
    ];
    page.facts(facts.into_iter().chain(judgement.time.iter().map(|time| ("time", time))));
    findings(&judgement.findings, &mut page);
    fairness(&judgement.fairness, &mut page);
    lease_use(&judgement.lease_use, &mut page);
    page.blank();
    let (text, tone) = verdict(judgement);
    page.paragraph(text, tone);
    page.write(out)
}

fn fairness(rows: &[FairnessRow], page: &mut Page) {
    let header = ["Lock", "Acquired by", "Wait p50", "p99", "Max"];
    let row = |row: &FairnessRow| {
        [
            plain(&row.lock),
            cell(shares(&row.acquisitions), Tone::Plain),
            plain(format!("≤ {}", duration(row.wait_p50_ms))),
            plain(format!("≤ {}", duration(row.wait_p99_ms))),
            plain(duration(row.wait_max_ms)),
        ]
    };
    page.section(&header, rows.iter().map(row));
}

fn lease_use(rows: &[LeaseUseRow], page: &mut Page) {
    let header = ["Lock", "Held", "For (p50, p99, max)", "Of the lease", "Expired early"];
    let row = |row: &LeaseUseRow| {
        let held = [row.held_p50_ms, row.held_p99_ms, row.held_max_ms].map(duration).join(", ");
        let held = if row.acquisitions == 0 { "?".into() } else { format!("≤ {held}") };
        let shares = [row.share_p50, row.share_p99, row.share_max].map(percent).join(", ");
        let shares = if row.share_max.is_none() { "?".into() } else { format!("≤ {shares}") };
        let tone = if row.too_short > 0 { Tone::Bad } else { Tone::Plain };
        [
            plain(&row.lock),
            plain(format!("×{}", row.acquisitions)),
            plain(held),
            plain(shares),
            cell(row.too_short.to_string(), tone),
        ]
    };
    page.section(&header, rows.iter().map(row));
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "?".into(), |share| format!("{:.0}%", share * 100.0))
}

/// How often each actor got it: of many actors, those that got it most.
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
    if words.is_empty() { "-".into() } else { words.join(", ") }
}

fn verdict(judgement: &Judgement) -> (String, Tone) {
    let found = usize::try_from(judgement.omitted).unwrap_or(usize::MAX);
    let found = judgement.findings.len().saturating_add(found);
    let findings = count(found, "finding", "findings");
    match (found, judgement.is_complete) {
        (0, true) => ("CLEAN: no findings, and the history is complete.".into(), Tone::Good),
        (0, false) => {
            let line = "INCONCLUSIVE: no findings, but the history is incomplete";
            (format!("{line}{}", why(judgement)), Tone::Odd)
        }
        (_, true) => (format!("FOUND: {findings}."), Tone::Bad),
        (_, false) => {
            let line = "the history is incomplete, so findings may be missing or wrong";
            (format!("FOUND: {findings}; {line}."), Tone::Bad)
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
