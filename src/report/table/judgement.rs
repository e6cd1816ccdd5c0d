//! What the checkers say of a saved history.

use super::Style;
use super::grid::{Page, Tone, cell, plain};
use crate::report::wording::{count, duration};
use crate::report::{FairnessRow, FindingRow, Judgement, LeaseUseRow, Share, escape, typed};
use comfy_table::Cell;
use lock_history::check::Property;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};

/// How many entries of findings, and locks of each table, are shown.
const MOST_ROWS: usize = 8;

/// How many of the actors that got a lock are named.
const MOST_ACTORS: usize = 4;

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
    let time = judgement.time.iter().map(|time| ("time", time));
    let not_judged = judgement.not_judged.iter().map(|what| ("not judged", what));
    page.facts(facts.into_iter().chain(time).chain(not_judged));
    findings(&judgement.findings, &mut page);
    fairness(&judgement.fairness, &mut page);
    lease_use(&judgement.lease_use, &mut page);
    advice(judgement, &mut page);
    page.blank();
    let (text, tone) = verdict(judgement);
    page.paragraph(text, tone);
    page.write(out)
}

/// The findings of one property on one lock that have the same cause.
struct Entry<'a> {
    first: &'a FindingRow,
    count: usize,
}

/// The entries by the time of their first finding; those that follow from another one come after it.
fn entries(rows: &[FindingRow]) -> Vec<Entry<'_>> {
    let mut places = HashMap::new();
    let mut entries: Vec<Entry<'_>> = Vec::new();
    for row in rows {
        let key = (&row.lock, row.property, row.cause);
        let place = *places.entry(key).or_insert(entries.len());
        match entries.get_mut(place) {
            Some(entry) => entry.count += 1,
            None => entries.push(Entry { first: row, count: 1 }),
        }
    }
    let (causes, following): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|entry| entry.first.cause.is_none());
    let mut of_cause: HashMap<(&str, Property), Vec<Entry<'_>>> = HashMap::new();
    for entry in following {
        let Some(cause) = entry.first.cause else { continue };
        of_cause.entry((&entry.first.lock, cause)).or_default().push(entry);
    }
    let mut all = Vec::new();
    for entry in causes {
        let following = of_cause.remove(&(&*entry.first.lock, entry.first.property));
        all.push(entry);
        all.extend(following.into_iter().flatten());
    }
    all
}

fn findings(rows: &[FindingRow], page: &mut Page) {
    let lock = rows.first().map(|row| &row.lock);
    let has_several = rows.iter().any(|row| Some(&row.lock) != lock);
    let entries = entries(rows);
    let cells = entries.iter().take(MOST_ROWS).map(|Entry { first, count }| {
        let word = first.property.word();
        let word = if first.cause.is_some() { format!("↳ {word}") } else { word.into() };
        let lock = if has_several { format!("{}: ", escape(&first.lock)) } else { String::new() };
        let count = if *count > 1 { format!("×{count}, the first: ") } else { String::new() };
        let time = first.time.as_deref().unwrap_or_default();
        let text = format!("{lock}{count}{}", first.text);
        [cell(word, Tone::Bad), plain(time), plain(text)]
    });
    let mut cells: Vec<_> = cells.collect();
    for (property, count) in left_out(&entries) {
        let more = format!("… {count} more");
        cells.push([cell(property.word(), Tone::Bad), plain(""), cell(more, Tone::Quiet)]);
    }
    if rows.iter().any(|row| row.time.is_some()) {
        return page.section(&["Finding", "Time (UTC)", "What happened"], cells);
    }
    let cells = cells.into_iter().map(|[property, _, text]| [property, text]);
    page.section(&["Finding", "What happened"], cells);
}

/// How many findings of each property have no row.
fn left_out(entries: &[Entry<'_>]) -> BTreeMap<Property, usize> {
    let mut counts = BTreeMap::new();
    for Entry { first, count } in entries.iter().skip(MOST_ROWS) {
        *counts.entry(first.property).or_default() += count;
    }
    counts
}

/// What to do, and the command that shows it.
fn advice(judgement: &Judgement, page: &mut Page) {
    if judgement.advice.is_empty() {
        return;
    }
    page.blank();
    let rows: Vec<_> =
        judgement.advice.iter().map(|what| [cell("fix", Tone::Odd), plain(what)]).collect();
    page.rows(rows);
    if let Some(saved) = &judgement.saved {
        page.line(&format!("see  nodb-trigger timeline {}", typed(saved)));
    }
}

/// A row that says how many locks have none.
fn more_locks<const N: usize>(all: usize) -> Option<[Cell; N]> {
    let more = all.checked_sub(MOST_ROWS).filter(|more| *more > 0)?;
    let mut row = [(); N].map(|()| plain(""));
    row[0] = cell(format!("… {}", count(more, "more lock", "more locks")), Tone::Quiet);
    Some(row)
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
    let mut shown: Vec<&FairnessRow> = rows.iter().collect();
    shown.sort_by(|one, other| other.wait_max_ms.total_cmp(&one.wait_max_ms));
    page.section(&header, shown.into_iter().take(MOST_ROWS).map(row).chain(more_locks(rows.len())));
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
    let mut shown: Vec<&LeaseUseRow> = rows.iter().collect();
    let share = |row: &LeaseUseRow| row.share_max.map(|share| (share * 1000.0) as u64);
    shown.sort_by_key(|row| Reverse((row.too_short, share(row))));
    page.section(&header, shown.into_iter().take(MOST_ROWS).map(row).chain(more_locks(rows.len())));
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "?".into(), |share| format!("{:.0}%", share * 100.0))
}

/// How often each actor got it: of many actors, those that got it most.
fn shares(shares: &[Share]) -> String {
    let mut shares: Vec<_> = shares.iter().filter(|share| share.count > 0).collect();
    if shares.len() > MOST_ACTORS {
        shares.sort_by_key(|share| std::cmp::Reverse(share.count));
    }
    let share = |share: &&Share| format!("{} ×{}", escape(&share.actor), share.count);
    let mut words: Vec<_> = shares.iter().take(MOST_ACTORS).map(share).collect();
    if let Some(more) = shares.len().checked_sub(MOST_ACTORS).filter(|more| *more > 0) {
        words.push(format!("{more} more"));
    }
    if words.is_empty() { "-".into() } else { words.join(", ") }
}

fn verdict(judgement: &Judgement) -> (String, Tone) {
    let found = judgement.findings.len();
    let following = judgement.findings.iter().filter(|row| row.cause.is_some()).count();
    let mut findings = count(found - following, "finding", "findings");
    match following {
        0 => {}
        1 => findings.push_str(", and 1 that follows"),
        _ => findings.push_str(&format!(", and {following} that follow")),
    }
    if judgement.omitted > 0 {
        findings.push_str(&format!(" ({} more are not listed)", judgement.omitted));
    }
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
