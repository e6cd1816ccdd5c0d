//! Who holds which lock, the worst first, what that means, and what to type.
//!
//! Commands stay on one line, however long they are: they are there to be copied.

use super::grid::{Grid, Tone, cell, columns};
use super::{Style, notices, paragraph};
use crate::lock::{Life, State};
use crate::report::status::{LockRow, Next};
use crate::report::wording::{count, seconds, shorten, ttl_from_afar};
use crate::report::{Status, escape, large};
use comfy_table::Cell;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// So many locks of one state are explained one by one.
const EXPLAINED: usize = 3;
/// The width of the column with the state.
const STATES: u16 = 15;

/// Writes what was seen; `live` says how it is kept up to date, if it is. The last lines say what
/// mends it.
pub fn write_status(
    status: &Status,
    live: Option<&str>,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let style = style.usable();
    paragraph(cell(title(status), Tone::Strong), style, out)?;
    if let Some(live) = live {
        paragraph(cell(escape(live), Tone::Quiet), style, out)?;
    }
    writeln!(out)?;
    let rows: Vec<LockRow> = status.locks().collect();
    if rows.is_empty() {
        paragraph(cell(nothing(status), Tone::Plain), style, out)?;
    } else {
        if !style.is_narrow() {
            grid(&rows, status.runid.is_none(), style, out)?;
        }
        explain(&rows, status.runid.is_none(), style, out)?;
    }
    if !status.notes.is_empty() {
        writeln!(out)?;
        notices(&status.notes, style, out)?;
    }
    if !rows.is_empty() {
        writeln!(out)?;
        summary(status, &rows, style, out)?;
    }
    Ok(())
}

fn title(status: &Status) -> String {
    let what =
        status.runid.as_ref().map_or("all runs".into(), |run| format!("run {}", escape(run)));
    format!("{what} on {} at {}", escape(&status.server), status.when)
}

fn nothing(status: &Status) -> String {
    let server = escape(&status.server);
    if status.unread > 0 {
        let runs =
            status.runid.as_ref().map_or("all runs".into(), |run| format!("run {}", escape(run)));
        let unread = unread(status);
        return format!("{runs} on {server}: {unread}, and no locks or flags were seen.");
    }
    match &status.runid {
        Some(run) => format!(
            "no locks and no flags of run {} on {server}; is this the right server?",
            escape(run)
        ),
        None => format!("no locks and no flags on {server}; is this the right server?"),
    }
}

fn grid(rows: &[LockRow], with_runs: bool, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut grid = Grid::new(style);
    let names = ["State", "Run", "File", "Owner", "Held for", "TTL left", "Flag"];
    let names = names.into_iter().filter(|name| with_runs || *name != "Run");
    grid.header(&names.collect::<Vec<_>>());
    grid.fixed(0, STATES);
    // Times are read at a glance, so they stay on one line.
    let held = rows.iter().filter_map(held_for);
    grid.fixed(3 + usize::from(with_runs), widest("Held for", held));
    let left = rows.iter().map(|row| ttl(row.ttl_ms));
    grid.fixed(4 + usize::from(with_runs), widest("TTL left", left));
    for row in rows {
        let run = with_runs.then(|| cell(escape(&row.runid), Tone::Plain));
        let first = [cell(word(row.state), tone(row.state))].into_iter().chain(run);
        grid.row(first.chain([
            cell(escape(&row.file), Tone::Plain),
            cell(owner(row), Tone::Plain),
            or_dash(held_for(row)),
            or_dash((row.ttl_ms != -2).then(|| ttl(row.ttl_ms))),
            or_dash(flag(row)),
        ]));
    }
    grid.print(out)
}

/// How wide a column of these must be, so that none is broken.
fn widest(header: &str, texts: impl Iterator<Item = String>) -> u16 {
    let most = texts.map(|text| columns(&text)).chain([columns(header)]).max();
    most.and_then(|most| u16::try_from(most).ok()).unwrap_or(0)
}

fn or_dash(text: Option<String>) -> Cell {
    text.map_or(cell("-", Tone::Quiet), |text| cell(text, Tone::Plain))
}

/// A flag is `true` or `false`; anything else is shown as it begins. Of what is hidden, it can't be
/// told whether it is there.
fn flag(row: &LockRow) -> Option<String> {
    match &row.flag {
        None if row.state == State::Hidden => Some("?".into()),
        flag => flag.as_deref().map(|flag| shorten(flag, 12)),
    }
}

fn owner(row: &LockRow) -> String {
    let Some(owner) = &row.owner else { return "-".into() };
    let owner = escape(owner);
    match &row.life {
        Some(Life::Alive { .. }) => format!("{owner} lives"),
        Some(Life::Dead) => format!("{owner} is gone"),
        Some(Life::Younger { .. }) => format!("{owner} is likely gone"),
        Some(Life::Elsewhere | Life::Unnamed) | None => owner,
    }
}

fn held_for(row: &LockRow) -> Option<String> {
    Some(seconds(u64::try_from(row.held_for_s?).unwrap_or(0)))
}

fn ttl(ms: i64) -> String {
    if ms < 0 { "never ends".into() } else { ttl_from_afar(ms) }
}

/// What each of them means: all in a narrow window, where there is no grid, or else the first few
/// of each state.
fn explain(rows: &[LockRow], with_runs: bool, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut explained: BTreeMap<State, usize> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        let explained = explained.entry(row.state).or_default();
        *explained += 1;
        let is_wanted = *explained <= EXPLAINED && row.state != State::Free;
        if style.is_narrow() || is_wanted {
            if index > 0 || !style.is_narrow() {
                writeln!(out)?;
            }
            let run = if with_runs { format!("{}: ", escape(&row.runid)) } else { String::new() };
            let name = format!("{}: {run}{}", word(row.state), escape(&row.file));
            paragraph(cell(name, tone(row.state)), style, out)?;
            explain_one(row, style, out)?;
        }
    }
    Ok(())
}

fn explain_one(row: &LockRow, style: Style, out: &mut dyn Write) -> io::Result<()> {
    if style.is_narrow() && row.owner.is_some() {
        let held = held_for(row).map(|held| format!(", held for {held}")).unwrap_or_default();
        let text = format!("owner {}{held}, TTL left: {}", owner(row), ttl(row.ttl_ms));
        indented(cell(text, Tone::Plain), style, out)?;
    }
    indented(cell(escape(&row.diagnosis), Tone::Plain), style, out)?;
    if let Some(token) = &row.token {
        let fence = row.fence.map(|fence| format!(", fencing token {fence}")).unwrap_or_default();
        let counter = row.fence_counter.as_deref();
        let counter = counter.filter(|counter| {
            Some(*counter) != row.fence.map(|fence| fence.to_string()).as_deref()
        });
        let counter = counter.map(|counter| format!(", counter at {}", shorten(counter, 20)));
        let text = format!("token {}{fence}{}", shorten(token, 8), counter.unwrap_or_default());
        indented(cell(text, Tone::Quiet), style, out)?;
    }
    if let Some(value) = &row.value {
        indented(cell(format!("value: {}", escape(value)), Tone::Quiet), style, out)?;
    }
    match &row.next {
        Some(next @ (Next::Command(command) | Next::Look(command))) => {
            if let Some(warning) = row.warning {
                indented(cell(format!("first: {warning}"), Tone::Odd), style, out)?;
            }
            let label = if matches!(next, Next::Look(_)) { "look" } else { "next" };
            writeln!(out, "   {label}: {}", escape(command))
        }
        Some(Next::Wait(what)) => {
            indented(cell(escape(&format!("wait: {what}")), Tone::Plain), style, out)
        }
        None => Ok(()),
    }
}

fn indented(text: Cell, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut grid = Grid::new(style);
    grid.row([cell("", Tone::Plain), text]);
    grid.fixed(0, 0);
    grid.print(out)
}

/// How many there are of what, and what mends it.
fn summary(status: &Status, rows: &[LockRow], style: Style, out: &mut dyn Write) -> io::Result<()> {
    let hidden = |(state, count): (&State, &usize)| {
        let shown = rows.iter().filter(|row| row.state == *state).count();
        let more = count.checked_sub(shown).filter(|more| *more > 0)?;
        Some(format!("{} {}", large(more as f64), word(*state)))
    };
    let hidden: Vec<String> = status.counts.iter().filter_map(hidden).collect();
    if !hidden.is_empty() {
        paragraph(
            cell(format!("… and {} more; all of them:", hidden.join(", ")), Tone::Plain),
            style,
            out,
        )?;
        writeln!(out, "  {}", escape(&status.see_all()))?;
        writeln!(out)?;
    }
    let all: usize = status.counts.values().sum();
    let each =
        |(state, count): (&State, &usize)| format!("{} {}", large(*count as f64), word(*state));
    let each = status.counts.iter().map(each).collect::<Vec<_>>().join(", ");
    let decisions = status.decisions;
    let (said, tone) = match (status.mend.is_empty(), decisions) {
        (true, 0) if status.unread > 0 => ("What was read needs no mending.".into(), Tone::Odd),
        (true, 0) if status.counts.contains_key(&State::NoFlag) => {
            ("Nothing is to be done but wait.".into(), Tone::Odd)
        }
        (true, 0) => ("Nothing is to be mended.".into(), Tone::Good),
        (true, _) => (format!("{} a decision of yours, see above.", need(decisions)), Tone::Bad),
        (false, 0) => ("To mend it:".into(), Tone::Bad),
        (false, _) => (
            format!("{} a decision of yours, see above. To mend the rest:", need(decisions)),
            Tone::Bad,
        ),
    };
    let locks = if all == 1 { "lock" } else { "locks" };
    let states = [State::FlagDrift, State::ExpiredFlag];
    let told: usize = states.iter().filter_map(|state| status.counts.get(state)).sum();
    let drifted = match status.drifted {
        all if all == told => String::new(),
        all => format!("{} wrong. ", count(all, "flag is", "flags are")),
    };
    let unread = if status.unread > 0 { unread(status) + ". " } else { String::new() };
    let text = format!("{} {locks}: {each}. {drifted}{unread}{said}", large(all as f64));
    paragraph(cell(text, tone), style, out)?;
    status.mend.iter().try_for_each(|command| writeln!(out, "  {}", escape(command)))
}

/// How much could not be read.
fn unread(status: &Status) -> String {
    format!("{} not be read", count(status.unread, "key could", "keys could"))
}

fn need(number: usize) -> String {
    count(number, "needs", "need")
}

fn tone(state: State) -> Tone {
    match state {
        State::ForeignPayload | State::Orphaned | State::NoTtl => Tone::Bad,
        State::FlagDrift | State::ExpiredFlag | State::NoFlag | State::Hidden => Tone::Odd,
        State::Held => Tone::Good,
        State::Free => Tone::Quiet,
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::ForeignPayload => "foreign payload",
        State::Orphaned => "orphaned",
        State::NoTtl => "no TTL",
        State::FlagDrift => "flag drift",
        State::ExpiredFlag => "expired flag",
        State::NoFlag => "no flag",
        State::Hidden => "hidden",
        State::Held => "held",
        State::Free => "free",
    }
}

#[cfg(test)]
mod tests;
