//! What came of an exploration: a line a protocol, and each counterexample as lanes.

use super::grid::{Grid, Tone, cell};
use super::{Style, paragraph};
use crate::report::exploration::{CounterexampleRow, Exploration, ProtocolRow, Row};
use crate::report::{Verdict, escape};
use comfy_table::Cell;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// So many lanes go side by side; more become a list.
const MOST_LANES: usize = 6;
/// The least width that a lane can be read at.
const LANE: u16 = 18;
/// The width of the column that counts the steps.
const STEPS: u16 = 6;

/// Writes the exploration for people; the last line is the verdict. With `all`, steps that do not
/// matter are shown, too. The command that replays a counterexample stays on one line, however long
/// it is.
pub fn write_exploration(
    exploration: &Exploration,
    all: bool,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let style = style.usable();
    let title = format!("{}: {}", escape(&exploration.scenario), escape(&exploration.title));
    paragraph(cell(title, Tone::Strong), style, out)?;
    for row in &exploration.protocols {
        protocol(row, all, style, out)?;
    }
    writeln!(out)?;
    paragraph(verdict(exploration), style, out)
}

fn protocol(row: &ProtocolRow, all: bool, style: Style, out: &mut dyn Write) -> io::Result<()> {
    for found in row.counterexamples.iter().filter(|found| found.judged) {
        counterexample(row, found, all, style, out)?;
    }
    if let Some(line) = row.not_found() {
        let is_missing = row.judged.iter().any(|it| it.must_be_found && !it.found);
        let tone = match row.stopped_by {
            Some(_) => Tone::Odd,
            None if is_missing => Tone::Bad,
            None => Tone::Good,
        };
        writeln!(out)?;
        paragraph(cell(escape(&line), tone), style, out)?;
    }
    for found in row.counterexamples.iter().filter(|found| !found.judged) {
        paragraph(cell(escape(&row.also_possible(found)), Tone::Quiet), style, out)?;
    }
    Ok(())
}

fn counterexample(
    row: &ProtocolRow,
    found: &CounterexampleRow,
    all: bool,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let line = escape(&row.found(found));
    writeln!(out)?;
    paragraph(cell(line, if found.expected { Tone::Strong } else { Tone::Bad }), style, out)?;
    let lines = lines(&found.lanes, all);
    let columns = columns(&lines);
    if columns.len() > MOST_LANES || style.width < lanes_width(columns.len()) {
        list(&lines, style, out)?;
    } else {
        lanes(&columns, &lines, style, out)?;
    }
    if !found.text.is_empty() {
        paragraph(cell(escape(&found.text), Tone::Plain), style, out)?;
    }
    writeln!(out, "replay: {}", escape(&found.replay()))
}

fn lanes_width(lanes: usize) -> u16 {
    let lanes = u16::try_from(lanes).unwrap_or(u16::MAX);
    lanes.saturating_mul(LANE + 2).saturating_add(STEPS)
}

/// A line of the picture.
enum Line<'a> {
    Row(&'a Row),
    /// So many rows that do not matter.
    Folded(usize),
}

/// The rows; a stretch of several that do not matter becomes one line. A single one takes no less
/// room folded than shown, so it is shown.
fn lines(rows: &[Row], all: bool) -> Vec<Line<'_>> {
    let stretches = rows.chunk_by(|one, next| !all && !one.matters && !next.matters);
    stretches
        .map(|stretch| match stretch {
            [row] => Line::Row(row),
            several => Line::Folded(several.len()),
        })
        .collect()
}

fn folded(number: usize) -> Cell {
    cell(format!("… {number} steps that do not matter"), Tone::Quiet)
}

fn said(row: &Row) -> Cell {
    match &row.mark {
        Some(mark) => cell(format!("{}   <-- {}", escape(&row.text), escape(mark)), Tone::Bad),
        None => cell(escape(&row.text), Tone::Plain),
    }
}

/// The lanes that something is shown in, with their names.
fn columns(lines: &[Line<'_>]) -> BTreeMap<usize, String> {
    let rows = lines.iter().filter_map(|line| match line {
        Line::Row(row) => Some((row.column, escape(&row.lane))),
        Line::Folded(_) => None,
    });
    rows.collect()
}

/// One column a lane.
fn lanes(
    names: &BTreeMap<usize, String>,
    lines: &[Line<'_>],
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut grid = Grid::new(style);
    let header: Vec<&str> =
        ["step"].into_iter().chain(names.values().map(String::as_str)).collect();
    grid.header(&header);
    grid.right(0);
    for line in lines {
        let (number, column, said) = match line {
            Line::Row(row) => (row.step.to_string(), names.range(..row.column).count(), said(row)),
            Line::Folded(number) => (String::new(), 0, folded(*number)),
        };
        let empty = |_| cell("", Tone::Plain);
        let before = (0..column).map(empty);
        let after = (column + 1..names.len()).map(empty);
        let number = cell(number, Tone::Quiet);
        grid.row([number].into_iter().chain(before).chain([said]).chain(after));
    }
    grid.print(out)
}

/// One column for all: who, and what.
fn list(lines: &[Line<'_>], style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut grid = Grid::new(style);
    grid.right(0);
    for line in lines {
        match line {
            Line::Row(row) => grid.row([
                cell(row.step.to_string(), Tone::Quiet),
                cell(format!("{}:", escape(&row.lane)), Tone::Strong),
                said(row),
            ]),
            Line::Folded(number) => {
                grid.row([cell("", Tone::Plain), cell("", Tone::Plain), folded(*number)]);
            }
        }
    }
    grid.print(out)
}

fn verdict(exploration: &Exploration) -> Cell {
    let with = |verdict| exploration.protocols.iter().filter(move |row| row.verdict == verdict);
    let names = || {
        let mut names: Vec<_> =
            with(exploration.verdict).map(|row| escape(&row.protocol)).collect();
        names.dedup();
        names.join(" and ")
    };
    match exploration.verdict {
        Verdict::Expected => {
            cell(format!("EXPECTED: {} came out as expected.", names()), Tone::Good)
        }
        Verdict::Unexpected => {
            let reasons: Vec<_> = with(Verdict::Unexpected)
                .map(|row| format!("under {}, {}", escape(&row.protocol), row.wrong()))
                .collect();
            cell(format!("UNEXPECTED: {}.", reasons.join("; ")), Tone::Bad)
        }
        Verdict::Inconclusive => {
            let line = "INCONCLUSIVE: not all orderings were covered under";
            cell(format!("{line} {}.", names()), Tone::Odd)
        }
    }
}
