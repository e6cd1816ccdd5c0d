//! The outcome of an exploration: a line a protocol, and each counterexample as lanes.

use super::grid::{Page, Tone};
use super::lanes::picture;
use super::{Style, replay_line, title, tone};
use crate::report::escape;
use crate::report::exploration::{CounterexampleRow, Exploration, ProtocolRow, StageRow};
use std::io::{self, Write};

/// Writes the exploration as a table; the last line is the verdict. With `all`, irrelevant steps
/// are shown, too. The command that replays a counterexample stays on one line, however long it is.
///
/// # Errors
///
/// Fails if `out` does.
pub fn write_exploration(
    exploration: &Exploration,
    all: bool,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut page = Page::new(style);
    title(&exploration.scenario, &exploration.title, &mut page);
    exploration.protocols.iter().for_each(|row| protocol(row, all, &mut page));
    page.blank();
    page.paragraph(exploration.verdict_line(), tone(exploration.verdict));
    page.write(out)
}

fn protocol(row: &ProtocolRow, all: bool, page: &mut Page) {
    row.shown().for_each(|found| counterexample(row, found, all, page));
    if let Some(line) = row.not_found(true) {
        let is_missing = row.judged.iter().any(|it| it.must_be_found && !it.found);
        let tone = match row.covered.iter().all(StageRow::is_covered) {
            false => Tone::Odd,
            true if is_missing => Tone::Bad,
            true => Tone::Good,
        };
        page.blank();
        page.paragraph(escape(&line), tone);
    }
    if let Some(line) = row.untried() {
        page.paragraph(escape(&line), Tone::Odd);
    }
    for line in row.unjudged().into_iter().chain(row.also_possible()) {
        page.paragraph(escape(&line), Tone::Quiet);
    }
}

fn counterexample(row: &ProtocolRow, found: &CounterexampleRow, all: bool, page: &mut Page) {
    page.blank();
    let tone = if found.expected { Tone::Strong } else { Tone::Bad };
    page.paragraph(escape(&row.found(found)), tone);
    picture(&found.lanes, all, page);
    if !found.text.is_empty() {
        page.paragraph(escape(&found.text), Tone::Plain);
    }
    replay_line(&found.replay(), page);
}
