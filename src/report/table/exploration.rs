//! What came of an exploration: a line a protocol, and each counterexample as lanes.

use super::grid::{Tone, cell};
use super::lanes::picture;
use super::{Style, paragraph, replay_line};
use crate::check::Verdict;
use crate::report::escape;
use crate::report::exploration::{CounterexampleRow, Exploration, ProtocolRow};
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
    if let Some(line) = row.not_found(true) {
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
    let names = || listed(&with(exploration.verdict).collect::<Vec<_>>());
    let (line, tone) = match exploration.verdict {
        Verdict::Expected => (format!("EXPECTED: {} came out as expected", names()), Tone::Good),
        Verdict::Unexpected => {
            let reasons: Vec<_> = with(Verdict::Unexpected)
                .map(|row| format!("under {}, {}", escape(&row.name), row.wrong()))
                .collect();
            (format!("UNEXPECTED: {}", reasons.join("; ")), Tone::Bad)
        }
        Verdict::Inconclusive => {
            let line = "INCONCLUSIVE: not all orderings were covered under";
            (format!("{line} {}", names()), Tone::Odd)
        }
    };
    cell(format!("{line}; {}.", scope(&exploration.protocols)), tone)
}

/// The limits of the verdict, for readers of the last line alone.
fn scope(rows: &[ProtocolRow]) -> String {
    let mut tried: Vec<(String, Vec<&ProtocolRow>)> = Vec::new();
    for row in rows {
        let text = row.scope();
        match tried.iter_mut().find(|(known, _)| *known == text) {
            Some((_, rows)) => rows.push(row),
            None => tried.push((text, vec![row])),
        }
    }
    let mut parts: Vec<String> = match tried.as_slice() {
        [(text, _)] => vec![text.clone()],
        several => {
            let under = |(text, rows): &(String, Vec<_>)| format!("{text} under {}", listed(rows));
            several.iter().map(under).collect()
        }
    };
    for row in rows.iter().filter(|row| row.subject.is_some()) {
        let judged: Vec<_> = row.judged.iter().map(|it| it.property.word()).collect();
        parts.push(format!("judged: {}", judged.join(", ")));
        parts.extend(row.not_judged().map(str::to_owned));
    }
    parts.join("; ")
}

/// The rows' names, each once.
fn listed(rows: &[&ProtocolRow]) -> String {
    let mut names: Vec<_> = rows.iter().map(|row| escape(&row.name)).collect();
    names.dedup();
    match names.split_last() {
        Some((last, rest @ [_, ..])) => format!("{} and {last}", rest.join(", ")),
        _ => names.concat(),
    }
}
