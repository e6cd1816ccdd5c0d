//! The outcome of an exploration: a line a protocol, and each counterexample as lanes.

use super::grid::{Page, Tone};
use super::lanes::picture;
use super::{Style, replay_line, title, tone};
use crate::report::Outcome;
use crate::report::escape;
use crate::report::exploration::{CounterexampleRow, Exploration, ProtocolRow, StageRow};
use lock_history::check::Verdict;
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
    let (text, tone) = (verdict(exploration), tone(exploration.verdict));
    page.paragraph(format!("{text}; {}.", scope(&exploration.protocols)), tone);
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

fn verdict(exploration: &Exploration) -> String {
    let rows = exploration.protocols.iter().filter(|row| row.verdict == exploration.verdict);
    let rows: Vec<_> = rows.collect();
    if exploration.verdict == Verdict::Expected {
        let mut parts = Vec::new();
        for outcome in [Outcome::Pass, Outcome::Reproduced, Outcome::Prevented] {
            let such: Vec<_> = rows.iter().copied().filter(|row| row.outcome == outcome).collect();
            let of_client = such.iter().any(|row| row.client.is_some());
            let joint = if of_client { ":" } else { " under" };
            if !such.is_empty() {
                parts.push(format!("{}{joint} {}", outcome.word(), listed(&such)));
            }
        }
        return parts.join("; ");
    }
    let of_client = rows.iter().any(|row| row.client.is_some());
    let what = rows.iter().map(|row| {
        let name = escape(&row.name);
        match exploration.verdict {
            Verdict::Inconclusive if of_client => format!("{} with {name}", row.inconclusive()),
            Verdict::Inconclusive => format!("{} under {name}", row.inconclusive()),
            _ if row.outcome == Outcome::Broken => format!("{name} {}", row.broken()),
            _ if of_client => format!("{name}: {}", row.wrong()),
            _ => format!("under {name}, {}", row.wrong()),
        }
    });
    let word = match exploration.verdict {
        Verdict::Inconclusive => Outcome::Inconclusive,
        _ if rows.iter().any(|row| row.outcome == Outcome::Broken) => Outcome::Broken,
        _ => Outcome::NotAsExpected,
    };
    format!("{}: {}", word.word(), what.collect::<Vec<_>>().join("; "))
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
            let under = |(text, rows): &(String, Vec<_>)| format!("under {}, {text}", listed(rows));
            several.iter().map(under).collect()
        }
    };
    for row in rows.iter().filter(|row| row.client.is_some()) {
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
