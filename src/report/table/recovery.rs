//! What a recovery found and did.

use super::Style;
use super::grid::{Page, Tone, cell, plain};
use crate::report::escape;
use crate::report::recovery::{Counts, FlagOutcome, KeyRow, Life, LockRow, Outcome, Recovery};
use crate::report::status::key_name;
use crate::report::wording::{count, seconds, ttl_left};
use comfy_table::Cell;
use std::io::{self, Write};

/// Writes the recovery of many locks as a table. The last line has the counts.
///
/// # Errors
///
/// Fails if `out` does.
pub fn write_recovery(recovery: &Recovery, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut page = Page::new(style);
    page.paragraph(title(recovery), Tone::Strong);
    locks(recovery, &mut page);
    keys(recovery, &mut page);
    flags(recovery, &mut page);
    page.blank();
    if let Some(why) = &recovery.stopped {
        page.paragraph(format!("STOPPED: {}", escape(why)), Tone::Bad);
    }
    page.paragraph(counts(recovery), Tone::Strong);
    page.write(out)
}

/// Writes the recovery of one lock as a table: all that is known of it, the outcome, and the
/// commands that one may want next.
///
/// # Errors
///
/// Fails if `out` does.
pub fn write_unlock(recovery: &Recovery, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut page = Page::new(style);
    page.paragraph(title(recovery), Tone::Strong);
    for row in &recovery.locks {
        page.facts(facts(row));
        page.blank();
        after((row.outcome, &row.why), [&row.put_back, &row.take_away], &mut page);
    }
    for row in &recovery.keys {
        page.facts(key_facts(row));
        page.blank();
        after((row.outcome, &row.why), [&row.put_back, &row.take_away], &mut page);
    }
    if recovery.locks.is_empty() && recovery.keys.is_empty() {
        page.blank();
        let is_doubtful = recovery.unknown.is_some();
        page.paragraph(unlocked(recovery), if is_doubtful { Tone::Odd } else { Tone::Good });
        if !recovery.similar.is_empty() {
            page.line("Locks with a similar name:");
            recovery.similar.iter().for_each(|name| page.line(&format!("  {}", escape(name))));
        }
    }
    page.write(out)
}

/// The outcome for one lock, why, and the commands that put it back or take it away.
fn after((outcome, why): (Outcome, &str), commands: [&Option<String>; 2], page: &mut Page) {
    let (word, tone) = unlock_word(outcome);
    page.paragraph(format!("{word}: {}.", escape(why)), tone);
    // Commands stay on one line, however long they are.
    for (what, command) in ["put it back", "take it away"].into_iter().zip(commands) {
        let Some(command) = command else { continue };
        // Escaped, it would be another command.
        let is_plain = escape(command) == *command;
        let shown = if is_plain { command } else { "the command is in --format json" };
        page.line(&format!("{what}: {shown}"));
    }
}

/// What is said of a lock that is free.
fn unlocked(recovery: &Recovery) -> String {
    let what = match &recovery.unknown {
        Some(unknown) => &escape(unknown),
        None if recovery.flags.is_empty() => "nothing to do.",
        None => "nothing to do, but its flag says otherwise; repair sets it right.",
    };
    format!("NOT LOCKED: {what}")
}

fn title(recovery: &Recovery) -> String {
    let run = match &recovery.runid {
        Some(runid) => format!("run {}", escape(runid)),
        None => "all runs".into(),
    };
    let scope = match &recovery.scope {
        Some(scope) => format!("{} of ", escape(scope)),
        None => String::new(),
    };
    let dry = if recovery.dry_run { " (dry run: nothing is changed)" } else { "" };
    if let Some(database) = recovery.database {
        let what = recovery.scope.as_deref().unwrap_or("all locks");
        let (what, server) = (escape(what), escape(&recovery.server));
        return format!("{}: {what} of database {database} at {server}{dry}", recovery.command);
    }
    format!("{}: {scope}{run} at {}{dry}", recovery.command, escape(&recovery.server))
}

/// The file, with its run where there are several.
fn name(recovery: &Recovery, runid: &str, file: &str) -> String {
    match recovery.runid {
        Some(_) => escape(file),
        None => format!("{} {}", escape(runid), escape(file)),
    }
}

/// Why, unless that is why it stopped, which is said once.
fn why(recovery: &Recovery, why: &str) -> String {
    match recovery.stopped.as_deref() {
        Some(stopped) if stopped == why => "see below".into(),
        _ => escape(why),
    }
}

/// The word for the outcome of a lock in a table, and its tone there.
fn outcome(outcome: Outcome) -> Cell {
    match outcome {
        Outcome::Left => cell("left", Tone::Plain),
        Outcome::Gone => cell("gone", Tone::Plain),
        Outcome::Changed => cell("changed", Tone::Odd),
        Outcome::Failed => cell("FAILED", Tone::Bad),
        _ => {
            let (word, tone) = unlock_word(outcome);
            cell(word.to_lowercase(), tone)
        }
    }
}

/// The word for the outcome of the one lock that was meant.
fn unlock_word(outcome: Outcome) -> (&'static str, Tone) {
    match outcome {
        Outcome::Removed => ("REMOVED", Tone::Good),
        Outcome::WouldRemove => ("WOULD REMOVE", Tone::Odd),
        Outcome::Left | Outcome::Changed => ("LEFT", Tone::Bad),
        Outcome::Gone => ("GONE", Tone::Good),
        Outcome::Failed => ("FAILED", Tone::Bad),
        Outcome::NotTried => ("NOT TRIED", Tone::Odd),
    }
}

/// A row a lock whose turn has come.
fn locks(recovery: &Recovery, page: &mut Page) {
    let is_narrow = page.style.is_narrow();
    let tried = recovery.locks.iter().filter(|row| row.outcome != Outcome::NotTried);
    let rows = tried.map(|row| {
        let file = name(recovery, &row.runid, &row.file);
        let owner = escape(row.owner.as_deref().unwrap_or("-"));
        let (outcome, why) = (outcome(row.outcome), why(recovery, &row.why));
        if is_narrow {
            return vec![outcome, cell(format!("{file}\n{owner}\n{why}"), Tone::Plain)];
        }
        let [file, owner, why] = [file, owner, why].map(|text| cell(text, Tone::Plain));
        vec![file, owner, outcome, why]
    });
    page.section(if is_narrow { &[] } else { &["Lock", "Owner", "Now", "Why"] }, rows);
}

/// A row a lock of another library.
fn keys(recovery: &Recovery, page: &mut Page) {
    let is_narrow = page.style.is_narrow();
    let tried = recovery.keys.iter().filter(|row| row.outcome != Outcome::NotTried);
    let rows = tried.map(|row| {
        let (key, format) = (escape(&row.key), row.format.unwrap_or("-").to_owned());
        let owner = escape(row.owner.as_deref().unwrap_or("-"));
        let (outcome, why) = (outcome(row.outcome), why(recovery, &row.why));
        if is_narrow {
            return vec![outcome, cell(format!("{key}\n{format}: {owner}\n{why}"), Tone::Plain)];
        }
        let [key, format, owner, why] = [key, format, owner, why].map(|it| cell(it, Tone::Plain));
        vec![key, format, owner, outcome, why]
    });
    page.section(if is_narrow { &[] } else { &["Lock", "Format", "Holder", "Now", "Why"] }, rows);
    let unknown = recovery.keys.iter().filter(|row| row.format.is_none());
    let commands: Vec<&String> = unknown.filter_map(|row| row.take_away.as_ref()).collect();
    if !commands.is_empty() {
        page.blank();
        page.line("What only looks like a lock is removed one at a time:");
        commands.iter().for_each(|command| page.line(&format!("  {}", escape(command))));
    }
}

fn flags(recovery: &Recovery, page: &mut Page) {
    let with_reasons = recovery.flags.iter().any(|row| !row.why.is_empty());
    let columns = if with_reasons { 4 } else { 3 };
    let tried = recovery.flags.iter().filter(|row| row.outcome != FlagOutcome::NotTried);
    let rows = tried.map(|row| {
        let now = match row.outcome {
            FlagOutcome::Set => cell(format!("set to {}", row.right), Tone::Good),
            FlagOutcome::WouldSet => cell(format!("would set to {}", row.right), Tone::Odd),
            FlagOutcome::Left => plain("left"),
            FlagOutcome::RightByNow => plain("right by now"),
            FlagOutcome::Failed => cell("FAILED", Tone::Bad),
            FlagOutcome::NotTried => cell("not tried", Tone::Odd),
        };
        let file = cell(name(recovery, &row.runid, &row.file), Tone::Plain);
        let was = plain(row.was.as_deref().unwrap_or("none"));
        let why = cell(why(recovery, &row.why), Tone::Plain);
        [file, was, now, why].into_iter().take(columns)
    });
    page.section(["Flag", "Was", "Now", "Why"].get(..columns).unwrap_or_default(), rows);
}

fn counts(recovery: &Recovery) -> String {
    let Counts { removed, left, changed, gone, failed, not_tried, flags_set, flags_right_by_now } =
        recovery.counts;
    let would = if recovery.dry_run { "would be " } else { "" };
    let mut parts = Vec::new();
    if recovery.command != "repair" {
        parts.push(format!("{} {would}removed", count(removed, "lock", "locks")));
        parts.push(format!("{left} left"));
    }
    parts.push(format!("{} {would}set right", count(flags_set, "flag", "flags")));
    for (number, what) in [
        (changed, "taken by somebody else meanwhile"),
        (gone, "gone meanwhile"),
        (flags_right_by_now, "right by now"),
        (failed, "failed"),
        (not_tried, "not tried"),
    ] {
        if number > 0 {
            parts.push(format!("{number} {what}"));
        }
    }
    let is_nothing = recovery.counts == Counts::default() && recovery.stopped.is_none();
    match &recovery.unknown {
        _ if !is_nothing => format!("{}.", parts.join(", ")),
        Some(unknown) => format!("Not repaired: {}", escape(unknown)),
        None if recovery.command == "repair" => "Nothing to do: all flags are right.".into(),
        None => "Nothing to do: no lock is held, and all flags are right.".into(),
    }
}

/// What is known of a lock.
fn facts(row: &LockRow) -> Vec<(&'static str, String)> {
    let is_nameless = row.token.is_some() && row.token == row.payload;
    let beware = "the value has no token of its own: a newer holder's may be the same";
    let owner = || row.owner.clone().unwrap_or_else(|| "not named".into());
    let facts = [
        ("lock key", Some(row.key.clone())),
        ("owner", row.process.as_ref().map(|_| owner())),
        ("its process", row.process.as_ref().map(process)),
        ("acquired", row.held_s.map(|held| format!("{} ago", seconds(held)))),
        ("TTL left", Some(ttl_left(row.ttl_ms))),
        ("token", row.token.clone()),
        ("fence", row.fence.map(|fence| fence.to_string())),
        ("payload", row.payload.clone()),
        ("beware", is_nameless.then(|| beware.into())),
    ];
    facts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// What is known of a lock of another library.
fn key_facts(row: &KeyRow) -> Vec<(&'static str, String)> {
    let bytes = |hex: &String| {
        let bytes = hex
            .as_bytes()
            .chunks(2)
            .filter_map(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        key_name(&bytes.collect::<Vec<u8>>())
    };
    let facts = [
        ("lock key", Some(row.key.clone())),
        ("what it is", Some(row.what.clone()).filter(|what| !what.is_empty())),
        ("acquired", row.held_s.map(|held| format!("{} ago", seconds(held)))),
        ("TTL left", (row.ttl_ms != -2).then(|| ttl_left(row.ttl_ms))),
        ("payload", row.payload.clone().or_else(|| row.payload_hex.as_ref().map(bytes))),
    ];
    facts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// What became of an owner's process.
fn process(life: &Life) -> String {
    match life {
        Life::Alive { command } if command.is_empty() => "lives".into(),
        Life::Alive { command } => format!("lives: {command}"),
        Life::Dead => "is gone".into(),
        Life::Younger { command } => format!(
            "a process of that number lives, but began after the lock was acquired: {command}"
        ),
        Life::Elsewhere => "on another host: can't be told from here whether it lives".into(),
        Life::Unnamed => "not named by the payload".into(),
    }
}
