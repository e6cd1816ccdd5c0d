//! The verdict on an exploration in a sentence, with its limits.

use super::{Exploration, ProtocolRow};
use crate::report::{Outcome, escape};
use lock_history::check::Verdict;

impl Exploration {
    /// The verdict, and what was and was not tried.
    pub fn verdict_line(&self) -> String {
        format!("{}; {}.", verdict(self), scope(&self.protocols))
    }
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
