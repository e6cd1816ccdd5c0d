//! The holder of each lock, the worst first, what that means, and what to type.
//!
//! Commands stay on one line, however long they are: they are there to be copied.

use super::grid::{Page, Tone, cell, columns, or_dash, plain};
use super::{Style, notices};
use crate::report::status::{LockRow, Next, Others};
use crate::report::wording::{count, seconds, shorten, ttl_from_afar};
use crate::report::{Status, escape, large};
use lock_lab::lock::{Life, State};
use std::collections::BTreeMap;
use std::io::{self, Write};

/// The most locks of one state that are explained one by one.
const EXPLAINED: usize = 3;
/// The width of the column with the state.
const STATES: usize = 15;

/// Writes what was seen; `live` says how it is kept up to date, if it is. The last lines say what
/// mends it.
///
/// # Errors
///
/// Fails if `out` does.
pub fn write_status(
    status: &Status,
    live: Option<&str>,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut page = Page::new(style);
    page.paragraph(format!("{} at {}", place(status), status.when), Tone::Strong);
    if let Some(live) = live {
        page.paragraph(escape(live), Tone::Quiet);
    }
    let rows: Vec<LockRow> = status.locks().collect();
    if !rows.is_empty() || !status.others.as_ref().is_some_and(Others::is_bare) {
        page.blank();
    }
    if rows.is_empty() && status.others.is_some() {
        // What is there is said below.
    } else if rows.is_empty() {
        page.paragraph(nothing(status), Tone::Plain);
        if status.keys.is_some() && status.unread == 0 {
            page.line(&format!("  {}", escape(&status.see_others())));
        }
    } else {
        if !page.style.is_narrow() {
            grid(&rows, status.runid.is_none(), &mut page);
        }
        explain(&rows, status.runid.is_none(), &mut page);
    }
    status.others.iter().for_each(|found| others::locks(found, !rows.is_empty(), &mut page));
    notices(&status.notes, &mut page);
    let has_nodb = !rows.is_empty();
    status.others.iter().for_each(|found| others::summary(found, has_nodb, &mut page));
    if !rows.is_empty() {
        page.blank();
        summary(status, &rows, &mut page);
    }
    page.write(out)
}

/// The run that was asked for, and the server.
fn place(status: &Status) -> String {
    if let Some(found) = &status.others {
        return format!("{} on {}", others::place(found), escape(&status.server));
    }
    let run = status.runid.as_ref().map(|run| format!("run {}", escape(run)));
    format!("{} on {}", run.unwrap_or_else(|| "all runs".into()), escape(&status.server))
}

fn nothing(status: &Status) -> String {
    if status.unread > 0 {
        let unread = unread(status);
        return format!("{}: {unread}, and no locks or flags were seen.", place(status));
    }
    if status.is_by_age() {
        return format!("{}: no lock was acquired that long ago.", place(status));
    }
    let run = status.runid.as_ref().map(|run| format!(" of run {}", escape(run)));
    let (run, server) = (run.unwrap_or_default(), escape(&status.server));
    if let Some(keys) = status.keys {
        let keys = if keys == 1 { "1 key".into() } else { format!("{} keys", large(keys as f64)) };
        let database = status.database;
        let no_key = match run.is_empty() {
            true => String::new(),
            false => format!(", and no key of that name in database {database}"),
        };
        return format!(
            "no locks of NoDb and no flags{run} on {server}{no_key}. Database {database} has {keys}; to \
             see the locks of other libraries among them:"
        );
    }
    format!("no locks and no flags{run} on {server}; is this the right server?")
}

fn grid(rows: &[LockRow], with_runs: bool, page: &mut Page) {
    let mut grid = page.grid();
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
        let (word, tone) = state_style(row.state);
        let run = with_runs.then(|| plain(&row.runid));
        let first = [cell(word, tone)].into_iter().chain(run);
        grid.row(first.chain([
            plain(&row.file),
            cell(owner(row), Tone::Plain),
            or_dash(held_for(row)),
            or_dash((row.ttl_ms != -2).then(|| ttl(row.ttl_ms))),
            flag(row).map_or(or_dash(None::<&str>), |flag| cell(flag, Tone::Plain)),
        ]));
    }
    page.print(grid);
}

/// How wide a column of these must be, so that none is broken.
fn widest(header: &str, texts: impl Iterator<Item = String>) -> usize {
    texts.map(|text| columns(&text)).fold(columns(header), usize::max)
}

/// A flag is `true` or `false`; anything else is shown as it begins. Of what is hidden, it is
/// unknown whether it is there.
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
fn explain(rows: &[LockRow], with_runs: bool, page: &mut Page) {
    let is_narrow = page.style.is_narrow();
    let mut explained: BTreeMap<State, usize> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        let explained = explained.entry(row.state).or_default();
        *explained += 1;
        let is_wanted = *explained <= EXPLAINED && row.state != State::Free;
        if is_narrow || is_wanted {
            if index > 0 || !is_narrow {
                page.blank();
            }
            let run = if with_runs { format!("{}: ", escape(&row.runid)) } else { String::new() };
            let (word, tone) = state_style(row.state);
            page.paragraph(format!("{word}: {run}{}", escape(&row.file)), tone);
            explain_one(row, page);
        }
    }
}

fn explain_one(row: &LockRow, page: &mut Page) {
    if page.style.is_narrow() && row.owner.is_some() {
        let held = held_for(row).map(|held| format!(", held for {held}")).unwrap_or_default();
        let text = format!("owner {}{held}, TTL left: {}", owner(row), ttl(row.ttl_ms));
        indented(text, Tone::Plain, page);
    }
    indented(escape(&row.diagnosis), Tone::Plain, page);
    if let Some(token) = &row.token {
        let fence = row.fence.map(|fence| fence.to_string());
        let counter = row.fence_counter.as_ref().filter(|counter| Some(*counter) != fence.as_ref());
        let counter = counter.map(|counter| format!(", counter at {}", shorten(counter, 20)));
        let fence = fence.map(|fence| format!(", fencing token {fence}")).unwrap_or_default();
        let text = format!("token {}{fence}{}", shorten(token, 8), counter.unwrap_or_default());
        indented(text, Tone::Quiet, page);
    }
    if let Some(job) = &row.job {
        indented(format!("job {}", escape(job)), Tone::Quiet, page);
    }
    if let Some(value) = &row.value {
        indented(format!("value: {}", escape(value)), Tone::Quiet, page);
    }
    explain_next(row.next.as_ref(), row.warning, page);
}

/// What to do, and what to think of before.
fn explain_next(next: Option<&Next>, warning: Option<&str>, page: &mut Page) {
    match next {
        Some(next @ (Next::Command(command) | Next::Inspect(command))) => {
            if let Some(warning) = warning {
                indented(format!("first: {warning}"), Tone::Odd, page);
            }
            let label = if matches!(next, Next::Inspect(_)) { "look" } else { "next" };
            page.line(&format!("   {label}: {}", escape(command)));
        }
        Some(Next::Wait(what)) => indented(escape(&format!("wait: {what}")), Tone::Plain, page),
        None => {}
    }
}

fn indented(text: String, tone: Tone, page: &mut Page) {
    let mut grid = page.grid();
    grid.row([plain(""), cell(text, tone)]);
    grid.fixed(0, 0);
    page.print(grid);
}

/// How many there are of what, and what mends it.
fn summary(status: &Status, rows: &[LockRow], page: &mut Page) {
    let number =
        |number: usize, state: State| format!("{} {}", large(number as f64), state_style(state).0);
    let hidden = |(state, count): (&State, &usize)| {
        let shown = rows.iter().filter(|row| row.state == *state).count();
        count.checked_sub(shown).filter(|more| *more > 0).map(|more| number(more, *state))
    };
    let hidden: Vec<String> = status.counts.iter().filter_map(hidden).collect();
    if !hidden.is_empty() {
        page.paragraph(format!("… and {} more; all of them:", hidden.join(", ")), Tone::Plain);
        page.line(&format!("  {}", escape(&status.see_all())));
        page.blank();
    }
    let all: usize = status.counts.values().sum();
    let each = status.counts.iter().map(|(state, count)| number(*count, *state));
    let each = each.collect::<Vec<_>>().join(", ");
    let locks = if all == 1 { "lock" } else { "locks" };
    let states = [State::FlagDrift, State::ExpiredFlag];
    let counted: usize = states.iter().filter_map(|state| status.counts.get(state)).sum();
    let drifted = match status.drifted {
        all if all == counted => String::new(),
        all => format!("{} wrong. ", count(all, "flag is", "flags are")),
    };
    let unread = if status.unread > 0 { unread(status) + ". " } else { String::new() };
    let (said, tone) = to_do(status);
    let all = large(all as f64);
    page.paragraph(format!("{all} {locks}: {each}. {drifted}{unread}{said}"), tone);
    status.mend.iter().for_each(|command| page.line(&format!("  {}", escape(command))));
}

/// What is said before the commands that mend it.
fn to_do(status: &Status) -> (String, Tone) {
    let decisions = match status.decisions {
        0 => None,
        some => Some(count(some, "needs", "need") + " a decision of yours, see above."),
    };
    match (status.mend.is_empty(), decisions) {
        (true, None) if status.unread > 0 => ("What was read needs no mending.".into(), Tone::Odd),
        (true, None) if status.counts.contains_key(&State::NoFlag) => {
            ("Nothing is to be done but wait.".into(), Tone::Odd)
        }
        (true, None) => ("Nothing is to be mended.".into(), Tone::Good),
        (true, Some(decisions)) => (decisions, Tone::Bad),
        (false, None) => ("To mend it:".into(), Tone::Bad),
        (false, Some(decisions)) => (format!("{decisions} To mend the rest:"), Tone::Bad),
    }
}

/// How much could not be read.
fn unread(status: &Status) -> String {
    format!("{} not be read", count(status.unread, "key could", "keys could"))
}

/// The word for a state, and how it is coloured.
fn state_style(state: State) -> (&'static str, Tone) {
    match state {
        State::ForeignPayload => ("foreign payload", Tone::Bad),
        State::Orphaned => ("orphaned", Tone::Bad),
        State::NoTtl => ("no TTL", Tone::Bad),
        State::LongTtl => ("TTL of years", Tone::Bad),
        State::FlagDrift => ("flag drift", Tone::Odd),
        State::ExpiredFlag => ("expired flag", Tone::Odd),
        State::NoFlag => ("no flag", Tone::Odd),
        State::Hidden => ("hidden", Tone::Odd),
        State::Held => ("held", Tone::Good),
        State::Free => ("free", Tone::Quiet),
    }
}

mod others;
#[cfg(test)]
mod tests;
