//! An ordering in plain text, for what is no terminal: a lane an actor.

use super::Row;
use crate::report::escape;
use std::fmt::Write;

/// Where the first lane begins.
const STEPS: usize = 6;
/// The columns from one lane to the next. Nothing stands beside a row, so it may be longer.
const LANE: usize = 22;

/// The steps that matter, one a line, and a line for those left out between them.
pub fn picture(rows: &[Row]) -> String {
    let mut text = header(rows);
    for stretch in rows.chunk_by(|one, next| !one.matters && !next.matters) {
        match stretch {
            [row] => line(row, &mut text),
            several => {
                let _ = writeln!(text, "{:STEPS$}... {} steps left out", "", several.len());
            }
        }
    }
    text
}

/// The names of the lanes.
fn header(rows: &[Row]) -> String {
    let mut lanes: Vec<(usize, String)> =
        rows.iter().map(|row| (row.column, escape(&row.lane))).collect();
    lanes.sort();
    lanes.dedup();
    let mut text = "step".to_owned();
    for (column, name) in lanes {
        let begin = STEPS + column * LANE;
        let gap = begin.saturating_sub(text.chars().count()).max(1);
        let _ = write!(text, "{:gap$}{name}", "");
    }
    text + "\n"
}

fn line(row: &Row, text: &mut String) {
    let begin = STEPS + row.column * LANE;
    let mark = row.mark.as_ref().map(|mark| format!("   <-- {}", escape(mark)));
    let (mark, what) = (mark.unwrap_or_default(), escape(&row.text));
    let _ = writeln!(text, "{:>4}{:gap$}{what}{mark}", row.step, "", gap = begin - 4);
}
