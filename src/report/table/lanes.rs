//! An ordering as a picture: a lane an actor, or a list where there is no room for lanes.

use super::Style;
use super::grid::{Page, Tone, cell};
use crate::report::escape;
use crate::report::exploration::Row;
use crate::report::wording::count;
use comfy_table::Cell;
use std::collections::{BTreeMap, BTreeSet};

/// The most lanes side by side; more become a list.
const MOST: usize = 6;
/// The least width that a lane can be read at.
const NARROWEST: usize = 18;
/// The width of the column that counts the steps.
const STEPS: usize = 6;
/// Spaces between two lanes.
const GAP: usize = 2;

/// Draws what was done. With `all`, also what does not matter.
pub(super) fn picture(rows: &[Row], all: bool, page: &mut Page) {
    let lines = lines(rows, all);
    match Lanes::of(&lines, page.style) {
        Some(lanes) => lanes.draw(&lines, page),
        None => list(&lines, page),
    }
}

/// A line of the picture.
enum PictureLine<'a> {
    Row(&'a Row),
    /// This number of irrelevant rows.
    Folded(usize),
}

/// The rows; a stretch of rows that do not matter becomes one line. A single one takes no less room
/// folded than shown, so it is shown, unless it would need a lane for itself.
fn lines(rows: &[Row], all: bool) -> Vec<PictureLine<'_>> {
    let lanes: BTreeSet<usize> =
        rows.iter().filter(|row| all || row.matters).map(|row| row.column).collect();
    let stretches = rows.chunk_by(|one, next| !all && !one.matters && !next.matters);
    stretches
        .map(|stretch| match stretch {
            [row] if lanes.contains(&row.column) => PictureLine::Row(row),
            several => PictureLine::Folded(several.len()),
        })
        .collect()
}

fn folded(number: usize) -> Cell {
    cell(format!("… {} left out (--all)", count(number, "step", "steps")), Tone::Quiet)
}

fn marked(mark: &str) -> String {
    format!("<-- {}", escape(mark))
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// Where each lane begins and how wide it is.
struct Lanes {
    lanes: BTreeMap<usize, Lane>,
}

struct Lane {
    name: String,
    begin: usize,
    width: usize,
}

impl Lanes {
    /// The lanes that something is shown in; nothing, if there is no room for them.
    fn of(lines: &[PictureLine<'_>], style: Style) -> Option<Self> {
        let mut lanes: BTreeMap<usize, Lane> = BTreeMap::new();
        for line in lines {
            let PictureLine::Row(row) = line else { continue };
            let lane = lanes.entry(row.column).or_insert_with(|| {
                let name = escape(&row.lane);
                Lane { begin: 0, width: width(&name).max(NARROWEST), name }
            });
            lane.width = lane.width.max(width(&escape(&row.text)));
        }
        let room = usize::from(style.width).checked_sub(STEPS)?;
        let gaps = lanes.len().saturating_sub(1) * GAP;
        if lanes.len() > MOST || lanes.len() * NARROWEST + gaps > room {
            return None;
        }
        let needs = |most: usize| lanes.values().map(|lane| lane.width.min(most)).sum::<usize>();
        let most = (NARROWEST..=room).rev().find(|most| needs(*most) + gaps <= room)?;
        let mut begin = STEPS;
        for lane in lanes.values_mut() {
            lane.width = lane.width.min(most);
            lane.begin = begin;
            begin += lane.width + GAP;
        }
        Some(Self { lanes })
    }

    fn draw(&self, lines: &[PictureLine<'_>], page: &mut Page) {
        self.header(page);
        for line in lines {
            match line {
                PictureLine::Row(row) => self.row(row, page),
                PictureLine::Folded(number) => at(STEPS, "", folded(*number), page),
            }
        }
    }

    fn header(&self, page: &mut Page) {
        let mut grid = page.grid();
        let names = self.lanes.values().map(|lane| lane.name.as_str());
        grid.header(&["step"].into_iter().chain(names).collect::<Vec<_>>());
        let widths = [STEPS - GAP].into_iter().chain(self.lanes.values().map(|lane| lane.width));
        widths.enumerate().for_each(|(column, width)| grid.fixed(column, width));
        page.print(grid);
    }

    /// A row begins in its lane. As nothing stands beside it, it may go on to the edge.
    fn row(&self, row: &Row, page: &mut Page) {
        let begin = self.lanes.get(&row.column).map_or(STEPS, |lane| lane.begin);
        let (number, text) = (format!("{:>4}", row.step), escape(&row.text));
        let Some(mark) = row.mark.as_deref().map(marked) else {
            return at(begin, &number, cell(text, Tone::Plain), page);
        };
        let edge = usize::from(page.style.width);
        let whole = format!("{text}   {mark}");
        if begin + width(&whole) <= edge {
            return at(begin, &number, cell(whole, Tone::Bad), page);
        }
        at(begin, &number, cell(text, Tone::Bad), page);
        let begin = begin.min(edge.saturating_sub(width(&mark)).max(STEPS));
        at(begin, "", cell(mark, Tone::Bad), page);
    }
}

/// A line with a number before it, whose text begins at a column of the screen.
fn at(begin: usize, number: &str, text: Cell, page: &mut Page) {
    let mut grid = page.grid();
    grid.fixed(0, begin.saturating_sub(GAP));
    grid.row([cell(number, Tone::Quiet), text]);
    page.print(grid);
}

/// One column for all: the actor, and what it did.
fn list(lines: &[PictureLine<'_>], page: &mut Page) {
    let mut grid = page.grid();
    grid.right(0);
    let nothing = || cell("", Tone::Plain);
    for line in lines {
        match line {
            PictureLine::Row(row) => {
                let (text, tone) = match &row.mark {
                    Some(mark) => (format!("{}\n{}", escape(&row.text), marked(mark)), Tone::Bad),
                    None => (escape(&row.text), Tone::Plain),
                };
                let lane = cell(format!("{}:", escape(&row.lane)), Tone::Strong);
                grid.row([cell(row.step.to_string(), Tone::Quiet), lane, cell(text, tone)]);
            }
            PictureLine::Folded(number) => grid.row([nothing(), nothing(), folded(*number)]),
        }
    }
    page.print(grid);
}
