//! What came of an exploration: a line a protocol, and each counterexample as lanes.

use super::grid::{Tone, cell};
use super::lanes::picture;
use super::{Style, paragraph, replay_line};
use crate::report::exploration::{CounterexampleRow, Exploration, ProtocolRow};
use crate::report::{Verdict, escape};
use comfy_table::Cell;
use std::io::{self, Write};

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
    for found in row.shown() {
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
    if let Some(line) = row.also_possible() {
        paragraph(cell(escape(&line), Tone::Quiet), style, out)?;
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
    picture(&found.lanes, all, style, out)?;
    if !found.text.is_empty() {
        paragraph(cell(escape(&found.text), Tone::Plain), style, out)?;
    }
    replay_line(&found.replay(), out)
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
