//! What a recovery found and did.

use super::grid::{Grid, Tone, cell};
use super::{Style, paragraph};
use crate::report::escape;
use crate::report::recovery::{Counts, FlagOutcome, FlagRow, Life, LockRow, Outcome, Recovery};
use crate::report::wording::{count, seconds, ttl_left};
use comfy_table::Cell;
use std::io::{self, Write};

/// Writes the recovery of many locks for people. The last line has the counts.
pub fn write_recovery(recovery: &Recovery, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let style = style.usable();
    paragraph(cell(title(recovery), Tone::Strong), style, out)?;
    locks(recovery, style, out)?;
    flags(recovery, style, out)?;
    writeln!(out)?;
    if let Some(why) = &recovery.stopped {
        paragraph(cell(format!("STOPPED: {}", escape(why)), Tone::Bad), style, out)?;
    }
    paragraph(cell(counts(recovery), Tone::Strong), style, out)
}

/// Writes the recovery of one lock for people: all that is known of it, what came of it, and the
/// commands that one may want next.
pub fn write_unlock(recovery: &Recovery, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let style = style.usable();
    paragraph(cell(title(recovery), Tone::Strong), style, out)?;
    for row in &recovery.locks {
        let mut grid = Grid::new(style);
        for (what, value) in facts(row) {
            grid.row([cell(what, Tone::Quiet), cell(escape(&value), Tone::Plain)]);
        }
        grid.print(out)?;
    }
    for row in &recovery.locks {
        writeln!(out)?;
        let (word, tone) = unlock_word(row.outcome);
        paragraph(cell(format!("{word}: {}.", escape(&row.why)), tone), style, out)?;
        // Commands stay on one line, however long they are.
        for (what, command) in [("put it back", &row.put_back), ("take it away", &row.take_away)] {
            let Some(command) = command else { continue };
            // Escaped, it would be another command.
            match escape(command) == *command {
                true => writeln!(out, "{what}: {command}")?,
                false => writeln!(out, "{what}: the command is in --format json")?,
            }
        }
    }
    if recovery.locks.is_empty() {
        writeln!(out)?;
        paragraph(cell(unlocked(recovery), Tone::Good), style, out)?;
    }
    Ok(())
}

/// What is said of a lock that nobody holds.
fn unlocked(recovery: &Recovery) -> String {
    match recovery.flags.is_empty() {
        _ if recovery.unknown.is_some() => format!("NOT LOCKED: {}", unknown(recovery)),
        true => "NOT LOCKED: nothing to do.".into(),
        false => {
            "NOT LOCKED: nothing to do, but its flag says otherwise; repair sets it right.".into()
        }
    }
}

/// What to ask oneself, or nothing.
fn unknown(recovery: &Recovery) -> String {
    recovery.unknown.as_deref().map(escape).unwrap_or_default()
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

fn outcome(outcome: Outcome) -> Cell {
    match outcome {
        Outcome::Removed => cell("removed", Tone::Good),
        Outcome::WouldRemove => cell("would remove", Tone::Odd),
        Outcome::Left => cell("left", Tone::Plain),
        Outcome::Changed => cell("changed", Tone::Odd),
        Outcome::Gone => cell("gone", Tone::Plain),
        Outcome::Failed => cell("FAILED", Tone::Bad),
        Outcome::NotTried => cell("not tried", Tone::Odd),
    }
}

fn unlock_word(outcome: Outcome) -> (&'static str, Tone) {
    match outcome {
        Outcome::Removed => ("REMOVED", Tone::Good),
        Outcome::WouldRemove => ("WOULD REMOVE", Tone::Odd),
        Outcome::Left => ("LEFT", Tone::Bad),
        Outcome::Changed => ("LEFT", Tone::Bad),
        Outcome::Gone => ("GONE", Tone::Good),
        Outcome::Failed => ("FAILED", Tone::Bad),
        Outcome::NotTried => ("NOT TRIED", Tone::Odd),
    }
}

/// A row a lock whose turn has come.
fn locks(recovery: &Recovery, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let tried = |row: &&LockRow| row.outcome != Outcome::NotTried;
    if !recovery.locks.iter().any(|row| tried(&row)) {
        return Ok(());
    }
    writeln!(out)?;
    let mut grid = Grid::new(style);
    if !style.is_narrow() {
        grid.header(&["Lock", "Owner", "Now", "Why"]);
    }
    for row in recovery.locks.iter().filter(tried) {
        let file = name(recovery, &row.runid, &row.file);
        let owner = escape(row.owner.as_deref().unwrap_or("-"));
        let why = why(recovery, &row.why);
        match style.is_narrow() {
            true => grid
                .row([outcome(row.outcome), cell(format!("{file}\n{owner}\n{why}"), Tone::Plain)]),
            false => grid.row([
                cell(file, Tone::Plain),
                cell(owner, Tone::Plain),
                outcome(row.outcome),
                cell(why, Tone::Plain),
            ]),
        }
    }
    grid.print(out)
}

fn flags(recovery: &Recovery, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let tried = |row: &&FlagRow| row.outcome != FlagOutcome::NotTried;
    if !recovery.flags.iter().any(|row| tried(&row)) {
        return Ok(());
    }
    writeln!(out)?;
    let with_reasons = recovery.flags.iter().any(|row| !row.why.is_empty());
    let columns = if with_reasons { 4 } else { 3 };
    let mut grid = Grid::new(style);
    grid.header(["Flag", "Was", "Now", "Why"].get(..columns).unwrap_or_default());
    for row in recovery.flags.iter().filter(tried) {
        let now = match row.outcome {
            FlagOutcome::Set => cell(format!("set to {}", row.right), Tone::Good),
            FlagOutcome::WouldSet => cell(format!("would set to {}", row.right), Tone::Odd),
            FlagOutcome::Left => cell("left", Tone::Plain),
            FlagOutcome::RightByNow => cell("right by now", Tone::Plain),
            FlagOutcome::Failed => cell("FAILED", Tone::Bad),
            FlagOutcome::NotTried => cell("not tried", Tone::Odd),
        };
        let cells = [
            cell(name(recovery, &row.runid, &row.file), Tone::Plain),
            cell(escape(row.was.as_deref().unwrap_or("none")), Tone::Plain),
            now,
            cell(why(recovery, &row.why), Tone::Plain),
        ];
        grid.row(cells.into_iter().take(columns));
    }
    grid.print(out)
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
    let text = format!("{}.", parts.join(", "));
    match recovery.counts == Counts::default() && recovery.stopped.is_none() {
        true if recovery.unknown.is_some() => format!("Not repaired: {}", unknown(recovery)),
        true if recovery.command == "repair" => "Nothing to do: all flags are right.".into(),
        true => "Nothing to do: no lock is held, and all flags are right.".into(),
        false => text,
    }
}

/// What is known of a lock.
fn facts(row: &LockRow) -> Vec<(&'static str, String)> {
    let mut facts = vec![("lock key", row.key.clone())];
    if let Some(life) = &row.process {
        facts.push(("owner", row.owner.clone().unwrap_or_else(|| "not named".into())));
        facts.push(("its process", process(life)));
    }
    if let Some(held) = row.held_s {
        facts.push(("acquired", format!("{} ago", seconds(held))));
    }
    facts.push(("TTL left", ttl_left(row.ttl_ms)));
    if let Some(token) = &row.token {
        facts.push(("token", token.clone()));
    }
    if let Some(fence) = row.fence {
        facts.push(("fence", fence.to_string()));
    }
    if let Some(payload) = &row.payload {
        facts.push(("payload", payload.clone()));
    }
    if row.token.is_some() && row.token == row.payload {
        let words = "the value has no token of its own: a newer holder's may be the same";
        facts.push(("beware", words.into()));
    }
    facts
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
