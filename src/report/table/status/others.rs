//! The locks of other libraries, the worst first, and the keys that may be locks.

use super::{EXPLAINED, explain_next, indented, ttl, widest};
use crate::report::status::{OtherRow, OtherState, Others};
use crate::report::table::grid::{Page, Tone, cell, or_dash, plain};
use crate::report::wording::{count, cut, roughly, shorten};
use crate::report::{escape, large};
use lock_lab::lock::LONGEST_TTL_MS;
use std::collections::BTreeMap;

/// How much of a key is shown, in characters; the JSON has all of it.
const LONG_KEY: usize = 200;

/// How many characters of a holder are shown in the grid.
const BRIEF: usize = 34;

/// What was looked at.
pub(super) fn place(found: &Others) -> String {
    let of = match (&found.key, found.patterns.as_slice()) {
        (Some(key), _) => format!("key {key}"),
        (None, []) => "all locks".into(),
        (None, patterns) => format!("keys {}", patterns.join(", ")),
    };
    format!("{} of database {}", escape(&of), found.database)
}

/// The locks with what they mean, and the keys that may be locks.
pub(super) fn locks(found: &Others, has_nodb: bool, page: &mut Page) {
    let rows: Vec<OtherRow> = found.locks().collect();
    if has_nodb && !rows.is_empty() {
        page.blank();
        page.paragraph("Locks of other libraries", Tone::Strong);
        page.blank();
    }
    if !rows.is_empty() {
        if !page.style.is_narrow() {
            grid(&rows, page);
        }
        explain(&rows, page);
    }
    may_be(found, has_nodb || !rows.is_empty(), page);
}

fn grid(rows: &[OtherRow], page: &mut Page) {
    let mut grid = page.grid();
    grid.header(&["State", "Key", "Format", "Holder", "Held", "TTL"]);
    let states = rows.iter().map(|row| style(row.state).0.to_owned());
    grid.fixed(0, widest("State", states));
    grid.fixed(4, widest("Held", rows.iter().filter_map(held_for)));
    grid.fixed(5, widest("TTL", rows.iter().map(|row| left(row.ttl_ms))));
    for row in rows {
        let (word, tone) = style(row.state);
        grid.row([
            cell(word, tone),
            plain(cut(&row.key, LONG_KEY)),
            plain(row.format),
            or_dash(row.owner.as_ref().map(|owner| shorten(owner, BRIEF))),
            or_dash(held_for(row)),
            cell(left(row.ttl_ms), tone_of_ttl(row)),
        ]);
    }
    page.print(grid);
}

fn held_for(row: &OtherRow) -> Option<String> {
    Some(roughly(u64::try_from(row.held_for_s?).unwrap_or(0)))
}

/// What is left of a TTL, roughly.
fn left(ttl_ms: i64) -> String {
    u64::try_from(ttl_ms).map_or_else(|_| "never".into(), |ms| roughly(ms / 1000))
}

fn tone_of_ttl(row: &OtherRow) -> Tone {
    match row.state {
        OtherState::NoTtl | OtherState::LongTtl => Tone::Bad,
        OtherState::Queued | OtherState::Held => Tone::Plain,
    }
}

/// What each of them means: all in a narrow window, where there is no grid, or else the first few of
/// each state.
fn explain(rows: &[OtherRow], page: &mut Page) {
    let is_narrow = page.style.is_narrow();
    let mut explained: BTreeMap<OtherState, usize> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        let explained = explained.entry(row.state).or_default();
        *explained += 1;
        if !is_narrow && *explained > EXPLAINED {
            continue;
        }
        if index > 0 || !is_narrow {
            page.blank();
        }
        let (word, tone) = style(row.state);
        page.paragraph(format!("{word}: {}", shorten(&row.key, LONG_KEY)), tone);
        if is_narrow {
            let owner = row.owner.as_ref().map(|owner| format!("holder {}, ", escape(owner)));
            let held = held_for(row).map(|held| format!("held for {held}, ")).unwrap_or_default();
            let (owner, left) = (owner.unwrap_or_default(), ttl(row.ttl_ms));
            indented(format!("{}: {owner}{held}TTL left: {left}", row.format), Tone::Plain, page);
        }
        indented(escape(&row.diagnosis), Tone::Plain, page);
        explain_next(row.next.as_ref(), row.warning, page);
    }
}

/// The keys that may be locks, each kind once.
fn may_be(found: &Others, is_below: bool, page: &mut Page) {
    if found.may_be.is_empty() {
        return;
    }
    if is_below {
        page.blank();
    }
    page.paragraph("May be locks", Tone::Strong);
    for family in &found.may_be {
        page.blank();
        let shown = family.keys == family.examples.len() as u64;
        if shown {
            for example in &family.examples {
                let (left, tone) = match example.ttl_ms {
                    ms if ms > LONGEST_TTL_MS => (ttl(ms) + ", years", Tone::Bad),
                    ms => (ttl(ms), Tone::Odd),
                };
                page.paragraph(
                    format!("{}  (TTL left: {left})", shorten(&example.key, LONG_KEY)),
                    tone,
                );
            }
        } else {
            let keys = large(family.keys as f64);
            let example = family.examples.first().map(|example| shorten(&example.key, LONG_KEY));
            let example = example.unwrap_or_default();
            let text = format!("{}  ({keys} keys, as {example})", escape(&family.names));
            page.paragraph(text, Tone::Odd);
        }
        indented(escape(&family.why), Tone::Plain, page);
    }
}

/// How many locks there are of what.
pub(super) fn summary(found: &Others, has_nodb: bool, page: &mut Page) {
    let number =
        |number: usize, state: OtherState| format!("{} {}", large(number as f64), style(state).0);
    page.blank();
    let shown = |state: OtherState| found.locks().filter(|row| row.state == state).count();
    let hidden = |(state, count): (&OtherState, &usize)| {
        let more = count.checked_sub(shown(*state)).filter(|more| *more > 0)?;
        Some(number(more, *state))
    };
    let hidden: Vec<String> = found.counts.iter().filter_map(hidden).collect();
    if !hidden.is_empty() {
        page.paragraph(format!("… and {} more; all of them:", hidden.join(", ")), Tone::Plain);
        page.line(&format!("  {}", escape(&found.see_all())));
        page.blank();
    }
    let all: usize = found.counts.values().sum();
    let each: Vec<String> =
        found.counts.iter().map(|(state, count)| number(*count, *state)).collect();
    let each = if all == 0 { String::new() } else { format!(": {}", each.join(", ")) };
    let locks = if all == 1 { "lock of another library" } else { "locks of other libraries" };
    let may_be = match usize::try_from(found.may_be_keys()).unwrap_or(usize::MAX) {
        0 => String::new(),
        1 => " 1 key may be a lock.".into(),
        keys if found.may_be.len() == keys => format!(" {keys} keys may be locks."),
        keys => {
            let kinds = count(found.may_be.len(), "kind", "kinds");
            format!(" {kinds} of keys may be locks ({} keys).", large(keys as f64))
        }
    };
    let looked_at = usize::try_from(found.keys).unwrap_or(usize::MAX);
    let keys = match looked_at {
        0..1000 => count(looked_at, "key was", "keys were"),
        _ => format!("{} keys were", large(found.keys as f64)),
    };
    let unread = match found.unread {
        0 => String::new(),
        unread => format!(", and {} not be read", count(unread, "could", "could")),
    };
    let tone = match found.stuck {
        0 if found.unread > 0 || found.cut_short => Tone::Odd,
        0 => Tone::Good,
        _ => Tone::Bad,
    };
    let all = large(all as f64);
    let nodb = if has_nodb || !found.patterns.is_empty() || found.key.is_some() {
        ""
    } else {
        "No locks of NoDb. "
    };
    page.paragraph(format!("{nodb}{all} {locks}{each}.{may_be} {keys} looked at{unread}."), tone);
}

/// The word for a state, and how it is coloured.
fn style(state: OtherState) -> (&'static str, Tone) {
    match state {
        OtherState::NoTtl => ("no TTL", Tone::Bad),
        OtherState::LongTtl => ("TTL of years", Tone::Bad),
        OtherState::Queued => ("queued", Tone::Odd),
        OtherState::Held => ("held", Tone::Good),
    }
}

#[cfg(test)]
mod tests;
