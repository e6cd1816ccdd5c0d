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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_in_the_lane_of_its_actor_and_steps_that_do_not_matter_are_counted() {
        let row = |step, column: usize, text: &str, mark: Option<&str>, matters| Row {
            step,
            lane: format!("client_{}", column + 1),
            column,
            position: step,
            text: text.into(),
            mark: mark.map(str::to_owned),
            matters,
        };
        let rows = [
            row(1, 0, "GET", None, true),
            row(2, 1, "SET", None, false),
            row(3, 0, "GET", None, false),
            row(4, 1, "DEL\u{7}", Some("deletes client_1's lock"), true),
            row(5, 0, "alone", None, false),
        ];
        let expected = "\
step  client_1              client_2
   1  GET
      ... 2 steps left out
   4                        DEL\\u{7}   <-- deletes client_1's lock
   5  alone
";
        assert_eq!(picture(&rows), expected);
    }
}
