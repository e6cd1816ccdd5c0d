//! The rows of a run: what each event did, and what Redis and the clients say after it.

use super::grid::{Page, Tone, cell, columns};
use crate::report::wording::{count, ttl_left};
use crate::report::{EventRow, KeyState, LocalToken, escape};
use comfy_table::Cell;
use std::collections::BTreeSet;

/// The most lines that are shown, unless all are.
const MOST: usize = 10;
/// Of more: how many at the beginning, before the moment of the race, after it, and at the end.
const FEW: [usize; 4] = [1, 3, 3, 1];
/// What is said of a row in which nothing is odd.
const AGREES: &str = "consistent";
/// A longer word is broken.
const LONGEST: usize = 30;
/// Spaces between two columns.
const BETWEEN: usize = 2;

/// A column of the table.
#[derive(Clone, Copy)]
struct Column {
    name: &'static str,
    /// The most that it takes on a page that wraps. The last one takes the rest.
    widest: usize,
    /// What it can be narrowed to where there is no room for that.
    least: usize,
    /// Whether its values need its name where there is no header.
    is_named: bool,
}

const COLUMNS: [Column; 8] = [
    Column { name: "  Time", widest: 10, least: 10, is_named: false },
    Column { name: "Actor", widest: 15, least: 12, is_named: false },
    Column { name: "Lock", widest: 8, least: 8, is_named: false },
    Column { name: "Does", widest: 22, least: 15, is_named: false },
    Column { name: "Key", widest: 16, least: 11, is_named: true },
    Column { name: "Flag", widest: 7, least: 7, is_named: true },
    Column { name: "Token", widest: 5, least: 5, is_named: true },
    Column { name: "State", widest: usize::MAX, least: 1, is_named: false },
];
/// The position of the lock, which is left out where there is only one.
const LOCK: usize = 2;

/// Rows that say the same of one or more actors.
struct Line<'a> {
    row: &'a EventRow,
    /// The position of the first row, from 1.
    number: usize,
    actors: BTreeSet<&'a str>,
    is_moment: bool,
}

/// A line's texts by column, and how they are coloured.
type Texts = Vec<(String, Tone)>;

/// Writes the rows; the one of the moment that the scenario is about is marked. Without `all`, of many only
/// those around it, the first and the last.
pub(super) fn write(rows: &[EventRow], all: bool, page: &mut Page) {
    let lines = folded(rows);
    let shown = if all { vec![true; lines.len()] } else { shown(&lines) };
    let at_once = is_at_once(rows);
    let mut table = Vec::new();
    let mut gap = 0;
    for (line, is_shown) in lines.iter().zip(shown) {
        if is_shown {
            table.extend(left_out(&mut gap));
            table.push(line.texts(at_once));
        } else {
            gap += 1;
        }
    }
    table.extend(left_out(&mut gap));
    let locks: BTreeSet<&str> = rows.iter().map(|row| row.lock.as_str()).collect();
    let mut columns = COLUMNS.to_vec();
    if let Some(time) = columns.first_mut().filter(|_| at_once) {
        time.name = "  Step";
    }
    if locks.len() < 2 {
        columns.remove(LOCK);
        table.iter_mut().filter(|row| row.len() > LOCK).for_each(|row| drop(row.remove(LOCK)));
    }
    print(&columns, table, page);
}

/// Draws it. Where lines are wrapped, what is odd goes below its row.
fn print(header: &[Column], table: Vec<Texts>, page: &mut Page) {
    let widest = |(position, column): (usize, &Column)| {
        let texts = || table.iter().filter_map(|row| row.get(position));
        let word = texts().map(longest_word).max().unwrap_or_default().min(LONGEST);
        let widest = texts().map(|(text, _)| columns(text)).chain([column.name.len()]).max();
        widest.unwrap_or_default().min(column.widest.max(word))
    };
    if page.style.width == u16::MAX {
        let mut grid = page.grid();
        grid.header(&header.iter().map(|column| column.name).collect::<Vec<_>>());
        table.into_iter().for_each(|row| grid.row(row.into_iter().map(cells)));
        return page.print(grid);
    }
    let fixed = header.split_last().map_or(&[][..], |(_, fixed)| fixed);
    let mut widths: Vec<usize> = fixed.iter().enumerate().map(widest).collect();
    let taken: usize = widths.iter().map(|width| width + BETWEEN).sum();
    let mut over = taken.saturating_sub(usize::from(page.style.width) + BETWEEN);
    for (position, (width, column)) in widths.iter_mut().zip(fixed).enumerate() {
        let words = table.iter().filter_map(|row| row.get(position)).map(longest_word);
        let least = words.max().unwrap_or_default().max(column.least);
        let less = width.saturating_sub(least).min(over);
        (*width, over) = (*width - less, over - less);
    }
    if over > 0 {
        return list(header, table, page);
    }
    let names = fixed.iter().map(|column| (column.name.to_owned(), Tone::Quiet));
    row(names.collect(), &widths, page);
    for mut texts in table {
        let below = texts.pop().filter(|(text, _)| !text.is_empty() && text != AGREES);
        row(texts, &widths, page);
        if let Some(below) = below {
            let mut grid = page.grid();
            let indent = widths.first().copied().unwrap_or_default();
            grid.fixed(0, indent);
            grid.row([cell("", Tone::Plain), cells(below)]);
            page.print(grid);
        }
    }
}

fn row(texts: Texts, widths: &[usize], page: &mut Page) {
    let mut grid = page.grid();
    widths.iter().enumerate().for_each(|(position, width)| grid.fixed(position, *width));
    grid.row(texts.into_iter().map(cells));
    page.print(grid);
}

/// A word is not broken.
fn longest_word((text, _): &(String, Tone)) -> usize {
    text.split(' ').map(columns).max().unwrap_or_default()
}

fn cells((text, tone): (String, Tone)) -> Cell {
    cell(text, tone)
}

/// Each row as two cells: when, and all the rest.
fn list(header: &[Column], table: Vec<Texts>, page: &mut Page) {
    page.rows(table.into_iter().map(|row| {
        let tone = row.last().map_or(Tone::Quiet, |(_, tone)| *tone);
        let mut texts = header.iter().zip(row);
        let when = texts.next().map_or_else(|| cell("", Tone::Plain), |(_, text)| cells(text));
        let said = texts.filter(|(_, (text, _))| !text.is_empty()).map(|(column, (text, _))| {
            if column.is_named { format!("{} {text}", column.name.to_lowercase()) } else { text }
        });
        [when, cell(said.collect::<Vec<_>>().join(", "), tone)]
    }));
}

/// A line for those that are left out.
fn left_out(gap: &mut usize) -> Option<Texts> {
    let number = std::mem::take(gap);
    let nothing = || (String::new(), Tone::Plain);
    let mut texts: Texts = (0..COLUMNS.len()).map(|_| nothing()).collect();
    if let Some(did) = texts.get_mut(LOCK + 1) {
        *did = (format!("… {}", count(number, "more row", "more rows")), Tone::Quiet);
    }
    (number > 0).then_some(texts)
}

/// The rows with those together that follow each other and say the same of actors of one kind.
fn folded(rows: &[EventRow]) -> Vec<Line<'_>> {
    let mut lines: Vec<Line<'_>> = Vec::new();
    for (row, number) in rows.iter().zip(1..) {
        let actor = row.actor.as_deref();
        match lines.last_mut().filter(|line| is_alike(line.row, row)) {
            Some(line) => {
                line.actors.extend(actor);
                line.is_moment |= row.is_moment;
            }
            None => {
                let (actors, is_moment) = (actor.into_iter().collect(), row.is_moment);
                lines.push(Line { row, number, actors, is_moment });
            }
        }
    }
    lines
}

/// Whether two rows say the same, but for the actor, the time and what is left of a TTL.
fn is_alike(one: &EventRow, other: &EventRow) -> bool {
    let said = |row: &EventRow| {
        let EventRow { did, commands, failure, explanation, group, .. } = row;
        (did.clone(), commands.clone(), failure.clone(), explanation.clone(), group.clone())
    };
    let state = |row: &EventRow| (row.lock.clone(), row.key, row.owner.clone(), row.flag);
    one.group.is_some() && said(one) == said(other) && state(one) == state(other)
}

/// Which lines are shown.
fn shown(lines: &[Line<'_>]) -> Vec<bool> {
    let count = lines.len();
    let [begin, before, after, end] = FEW;
    let moment = lines.iter().position(|line| line.is_moment).unwrap_or(begin);
    let is_near = |at: usize| at + before >= moment && at <= moment + after;
    let is_shown = |at: usize| count <= MOST || at < begin || at + end >= count || is_near(at);
    (0..count).map(is_shown).collect()
}

impl Line<'_> {
    fn texts(&self, at_once: bool) -> Texts {
        let row = self.row;
        let mark = if self.is_moment { ">" } else { " " };
        let when = match at_once {
            true => format!("{mark} {}", self.number),
            false => format!("{mark} {}", time(row)),
        };
        let tone = match row.states_consistent {
            Some(true) => Tone::Good,
            Some(false) => Tone::Bad,
            None => Tone::Odd,
        };
        let strong = if self.is_moment { Tone::Strong } else { Tone::Plain };
        vec![
            (when, strong),
            (self.actor(), strong),
            (escape(&row.lock), Tone::Plain),
            (did(row), strong),
            (key(row), Tone::Plain),
            (row.flag.map_or("unknown".into(), |flag| flag.to_string()), Tone::Plain),
            (row.local_token.map_or("-", LocalToken::word).to_owned(), Tone::Plain),
            (escape(&row.explanation), tone),
        ]
    }

    fn actor(&self) -> String {
        let group = self.row.group.as_deref().unwrap_or_default();
        match self.actors.len() {
            0 => String::new(),
            1 => actor(self.row),
            many => escape(&count(many, group, &format!("{group}s"))),
        }
    }
}

/// Whether all rows have the same time, as it is shown: then only their order says something.
pub(super) fn is_at_once(rows: &[EventRow]) -> bool {
    rows.windows(2).all(|pair| matches!(pair, [a, b] if time(a) == time(b)))
}

/// When a row was, in seconds.
pub(super) fn time(row: &EventRow) -> String {
    format!("{:.3}", row.at_ms / 1000.0)
}

/// The actor of a row; nothing for what happens by itself.
pub(super) fn actor(row: &EventRow) -> String {
    escape(row.actor.as_deref().unwrap_or_default())
}

/// What it did, with which commands.
pub(super) fn did(row: &EventRow) -> String {
    match row.commands.as_slice() {
        [] => escape(&row.did),
        commands => escape(&format!("{} ({})", row.did, commands.join(" "))),
    }
}

/// What the lock key holds: whose it is, unless it is the actor's own, and what is left of its TTL.
pub(super) fn key(row: &EventRow) -> String {
    let left = match row.ttl_ms {
        None => "TTL unknown".into(),
        Some(-1.0) => "no TTL".into(),
        Some(ms) => format!("{} left", left(ms)),
    };
    match (row.key, &row.owner) {
        (KeyState::Unknown, _) => "unknown".into(),
        (KeyState::Gone, _) => "gone".into(),
        (KeyState::Held, owner) if *owner == row.actor && owner.is_some() => left,
        (KeyState::Held, Some(owner)) => escape(&format!("{owner}'s, {left}")),
        (KeyState::Held, None) => format!("held, {left}"),
    }
}

/// What is left of a TTL, rounded down to a tenth of a second.
fn left(milliseconds: f64) -> String {
    let ms = milliseconds as i64;
    match ms {
        1000..60_000 if ms % 1000 < 100 => format!("{} s", ms / 1000),
        1000..60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        _ => ttl_left(ms).trim_end_matches(" 0 min").trim_end_matches(" 0 s").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_ttl_is_rounded_down_and_short() {
        for (ms, said) in [
            (0.0, "0 us"),
            (350.0, "350 ms"),
            (2999.0, "2.9 s"),
            (3000.0, "3 s"),
            (59_999.0, "59.9 s"),
            (60_000.0, "1 min"),
            (21_600_000.0, "6 h"),
            (21_598_500.0, "5 h 59 min"),
        ] {
            assert_eq!(left(ms), said);
        }
    }
}
