//! One step of a run: the steps around it, and what Redis holds and each client believes after it.

use super::grid::{Page, Tone, cell, plain};
use super::rows::{actor, did, is_at_once, key, time};
use super::{Style, title};
use crate::report::{EventRow, KeyState, Report, escape};
use std::collections::BTreeSet;
use std::io::{self, Write};

/// The most clients that are listed.
const CLIENTS: usize = 6;

/// Writes a step of a run, by its position among its rows, with at most this number of the steps around it. `keys`
/// says what can be pressed.
///
/// # Errors
///
/// Fails if `out` does.
pub fn write_step(
    report: &Report,
    position: usize,
    around: usize,
    keys: &str,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut page = Page::new(style);
    title(&report.scenario, &report.title, &mut page);
    let Some(row) = report.rows.get(position) else {
        page.paragraph("No event changed a lock.", Tone::Odd);
        return page.write(out);
    };
    let (step, all) = (position + 1, report.rows.len());
    let place = format!("protocol {}, step {step} of {all}", report.protocol);
    page.paragraph(escape(&place), Tone::Quiet);
    page.blank();
    steps(&report.rows, position, around, &mut page);
    page.blank();
    state(&report.rows, row, &mut page);
    page.blank();
    let tone = match row.states_consistent {
        Some(true) => Tone::Good,
        Some(false) => Tone::Bad,
        None => Tone::Odd,
    };
    page.paragraph(escape(&row.explanation), tone);
    page.blank();
    page.paragraph(keys, Tone::Quiet);
    page.write(out)
}

fn steps(rows: &[EventRow], position: usize, around: usize, page: &mut Page) {
    let first = position.saturating_sub(around / 2).min(rows.len().saturating_sub(around));
    let at_once = is_at_once(rows);
    page.rows(rows.iter().enumerate().skip(first).take(around).map(|(number, row)| {
        let (mark, tone) = match number {
            _ if number == position => (">", Tone::Strong),
            _ if number < position => (" ", Tone::Plain),
            _ => (" ", Tone::Quiet),
        };
        let when = if at_once { String::new() } else { time(row) + "  " };
        let number = format!("{mark} {}", number + 1);
        [number, when + &actor(row), did(row)].map(|text| cell(text, tone))
    }));
}

/// What Redis holds after a step, and what each client of its lock believes.
fn state(rows: &[EventRow], row: &EventRow, page: &mut Page) {
    let locks: BTreeSet<&str> = rows.iter().map(|row| row.lock.as_str()).collect();
    let redis = if locks.len() > 1 { format!("Redis ({})", row.lock) } else { "Redis".into() };
    // Without an actor whose own it could be, the owner is named.
    let held = key(&EventRow { actor: None, ..row.clone() });
    let flag = row.flag.map_or("unknown".into(), |flag| flag.to_string());
    let holds = [redis, format!("lock key {held}; flag {flag}")];
    let mut clients: Vec<&str> = Vec::new();
    let of_lock = rows.iter().filter(|it| it.lock == row.lock);
    for client in of_lock.filter_map(|it| it.actor.as_deref()).chain(believers(row)) {
        if !clients.contains(&client) {
            clients.push(client);
        }
    }
    if clients.len() > CLIENTS {
        let is_in_it = |client: &str| {
            row.actor.as_deref() == Some(client) || believers(row).any(|it| it == client)
        };
        clients.sort_by_key(|client| !is_in_it(client));
        clients.truncate(CLIENTS);
    }
    let beliefs = clients.into_iter().map(|client| [client.to_owned(), belief(row, client)]);
    page.rows([holds].into_iter().chain(beliefs).map(|[name, what]| [plain(name), plain(what)]));
}

fn believers(row: &EventRow) -> impl Iterator<Item = &str> {
    row.believers.iter().map(String::as_str)
}

/// What a client believes of the lock of a row, and whether that is so.
fn belief(row: &EventRow, client: &str) -> String {
    let holds = match (row.key, row.owner.as_deref()) {
        (KeyState::Unknown, _) | (KeyState::Held, None) => None,
        (KeyState::Gone, _) => Some(false),
        (KeyState::Held, Some(owner)) => Some(owner == client),
    };
    match (believers(row).any(|it| it == client), holds) {
        (true, Some(true)) => "believes it holds the lock, and does",
        (true, Some(false)) => "believes it holds the lock, and does not",
        (true, None) => "believes it holds the lock",
        (false, Some(true)) => "does not know that it holds the lock",
        (false, _) => "does not believe it holds the lock",
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::LocalToken;
    use crate::report::samples;

    /// A row a second.
    fn rows(rows: impl IntoIterator<Item = EventRow>) -> Vec<EventRow> {
        let at =
            |(second, row): (u32, EventRow)| EventRow { at_ms: f64::from(second) * 1000.0, ..row };
        (1..).zip(rows).map(at).collect()
    }

    fn row(
        actor: Option<&str>,
        key: KeyState,
        owner: Option<&str>,
        believers: &[&str],
    ) -> EventRow {
        EventRow {
            at_ms: 0.0,
            actor: actor.map(str::to_owned),
            group: None,
            lock: "lock".into(),
            did: "acquires".into(),
            commands: vec!["SET".into()],
            failure: None,
            key,
            owner: owner.map(str::to_owned),
            ttl_ms: (key == KeyState::Held).then_some(3000.0),
            flag: Some(true),
            local_token: Some(LocalToken::Held),
            believers: believers.iter().map(|it| (*it).to_owned()).collect(),
            states_consistent: Some(true),
            explanation: "consistent".into(),
            is_moment: false,
        }
    }

    fn shown(rows: Vec<EventRow>, position: usize, around: usize) -> String {
        let report = Report { rows, ..samples::herd(2) };
        let mut out = Vec::new();
        write_step(&report, position, around, "q quit", Style::PLAIN, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_step_says_what_redis_holds_and_what_each_client_believes() {
        use KeyState::{Gone, Held, Unknown};
        let rows = rows([
            row(Some("a"), Held, Some("a"), &["a"]),
            row(None, Gone, None, &["a"]),
            row(Some("b"), Held, Some("b"), &["a", "b"]),
            row(Some("b"), Unknown, None, &["a"]),
            row(Some("b"), Held, Some("b"), &[]),
        ]);
        for (position, expected) in [
            (
                0,
                &[
                    "lock key a's, 3 s left; flag true",
                    "a      believes it holds the lock, and does",
                ][..],
            ),
            (1, &["lock key gone;", "a      believes it holds the lock, and does not"]),
            (
                2,
                &[
                    "a      believes it holds the lock, and does not",
                    "b      believes it holds the lock, and does\n",
                ],
            ),
            (3, &["lock key unknown;", "a      believes it holds the lock\n"]),
            (4, &["b      does not know that it holds the lock", "> 5  5.000  b  acquires (SET)"]),
        ] {
            let shown = shown(rows.clone(), position, 10);
            expected.iter().for_each(|part| assert!(shown.contains(part), "{part}:\n{shown}"));
        }
    }

    #[test]
    fn of_many_steps_those_around_it_are_shown() {
        let same = vec![row(Some("a"), KeyState::Held, Some("a"), &["a"]); 50];
        assert!(!shown(same.clone(), 0, 5).contains("0.000"), "there is no time to tell");
        let rows = rows(same);
        for (position, first, last) in [(0, 1, 5), (25, 24, 28), (49, 46, 50)] {
            let shown = shown(rows.clone(), position, 5);
            assert_eq!(shown.matches(".000").count(), 5, "{shown}");
            assert!(shown.contains(&format!("> {}", position + 1)), "{shown}");
            for step in [first, last] {
                assert!(shown.contains(&format!(" {step}  {step}.000")), "{step}: {shown}");
            }
        }
        assert!(shown(Vec::new(), 0, 5).contains("No event changed a lock."));
    }
}
