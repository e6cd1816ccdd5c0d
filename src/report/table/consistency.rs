//! Whether Redis and the controller agree: one table a lock, one column a snapshot, so that what
//! changed from one look to the next stands side by side.

use super::Style;
use super::grid::{Page, Tone, cell, or_dash, plain};
use crate::report::wording::{count, shorten, token_length, ttl_left};
use crate::report::{SnapshotRow, escape};
use comfy_table::Cell;
use std::collections::BTreeSet;

/// The most snapshots of a lock that are shown, whatever they say.
const WHOLE: usize = 12;
/// The width of the column that names the facts.
const NAMES: usize = 17;
/// The least width that a snapshot's column can be read at.
const COLUMN: usize = 17;

/// Writes the tables, and below them what the diagnoses mean.
pub(super) fn write(rows: &[SnapshotRow], page: &mut Page) {
    let tokens = rows.iter().flat_map(|row| [&row.redis_token, &row.local_token]);
    let length = token_length(tokens.filter_map(|token| token.as_deref()));
    for key in unique(rows.iter().map(|row| row.lock_key.as_str())) {
        let of_lock: Vec<_> = rows.iter().filter(|row| row.lock_key == key).collect();
        let (shown, hidden) = fold(&of_lock);
        page.facts([("lock", key)]);
        for side_by_side in shown.chunks(columns(shown.len(), page.style)) {
            table(side_by_side, length, page);
            page.blank();
        }
        if let Some(line) = hidden {
            page.paragraph(line, Tone::Plain);
            page.blank();
        }
    }
    page.rows(unique(rows.iter().map(|row| (row.diagnosis, row.explanation))).into_iter().map(
        |(diagnosis, explanation)| {
            [cell(format!("{}:", in_words(diagnosis)), Tone::Strong), plain(explanation)]
        },
    ));
}

fn unique<'a, T: Ord + Copy + 'a>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = BTreeSet::new();
    all.filter(|one| seen.insert(*one)).collect()
}

/// How many snapshots go side by side, so that each table has about as many as the next.
fn columns(snapshots: usize, style: Style) -> usize {
    let fitting = (usize::from(style.width).saturating_sub(NAMES) / (COLUMN + 2)).max(1);
    snapshots.div_ceil(snapshots.div_ceil(fitting).max(1)).max(1)
}

/// The snapshots to show; of many, the first of each kind, and a line about the others.
fn fold<'a>(rows: &[&'a SnapshotRow]) -> (Vec<&'a SnapshotRow>, Option<String>) {
    if rows.len() <= WHOLE {
        return (rows.to_vec(), None);
    }
    let mut seen = BTreeSet::new();
    let (mut shown, mut other) = (Vec::new(), Vec::new());
    for row in rows {
        if shown.len() < WHOLE && seen.insert((&row.label, row.diagnosis)) {
            shown.push(*row);
        } else {
            other.push(*row);
        }
    }
    let consistent = other.iter().filter(|row| row.states_consistent).count();
    let more = count(other.len(), "more snapshot", "more snapshots");
    (shown, Some(format!("… {more} of this lock, {consistent} of them consistent")))
}

fn table(rows: &[&SnapshotRow], length: usize, page: &mut Page) {
    let mut grid = page.grid();
    let labels: Vec<_> = rows.iter().map(|row| escape(&row.label)).collect();
    let header: Vec<_> = [""].into_iter().chain(labels.iter().map(String::as_str)).collect();
    grid.header(&header);
    grid.fixed(0, NAMES);
    let token = |token: &Option<String>| match token {
        Some(token) => cell(shorten(token, length), Tone::Plain),
        None => or_dash(None::<&str>),
    };
    let mut fact = |name: &str, of: &dyn Fn(&SnapshotRow) -> Cell| {
        let values = rows.iter().map(|row| of(row));
        grid.row([plain(name)].into_iter().chain(values));
    };
    fact("redis lock exists", &|row| yes_no(row.redis_lock_exists));
    fact("owner", &|row| or_dash(row.owner.as_ref()));
    fact("token", &|row| token(&row.redis_token));
    fact("TTL left", &|row| plain(ttl_left(row.ttl_ms)));
    fact("flag", &|row| or_dash(row.hash_value.as_ref()));
    fact("local token", &|row| token(&row.local_token));
    fact("islocked() says", &|row| yes_no(row.controller_locked));
    fact("states consistent", &|row| judged(if row.states_consistent { "yes" } else { "NO" }, row));
    fact("diagnosis", &|row| judged(&in_words(row.diagnosis), row));
    page.print(grid);
}

fn yes_no(yes: bool) -> Cell {
    plain(if yes { "yes" } else { "no" })
}

fn judged(text: &str, row: &SnapshotRow) -> Cell {
    cell(text, if row.states_consistent { Tone::Good } else { Tone::Bad })
}

/// The JSON's word as a person writes it.
fn in_words(diagnosis: &str) -> String {
    diagnosis.replace('_', " ")
}
