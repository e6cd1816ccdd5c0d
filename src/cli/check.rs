//! `check`: judges a saved history.

use super::args::{CheckArgs, CheckFormat, Color};
use super::exit::{Exit, Refusal, environment, usage};
use super::input::Saved;
use super::output::Output;
use super::timeline::{Drawing, OutputPlace};
use super::{input, say, terminal};
use crate::record::{ROOM, Recorded, Unwatched, Watch, read_monitor_log};
use crate::report::{Judgement, count, escape, json, table, typed};
use anyhow::anyhow;
use lock_history::check::{Checked, check};
use lock_history::history::History;
use redis_sim::server::of_system;
use std::io::BufRead;

/// For how many patterns keys are named that are not watched.
const MOST_PATTERNS: usize = 3;

/// Prints what the checkers say of the history in this file.
pub(super) fn judge(args: &CheckArgs) -> Result<Exit, Refusal> {
    Drawing::is_possible(args.timeline.as_ref(), args.format == CheckFormat::Json)?;
    let (name, history) = match input::saved(&args.file)? {
        (name, Saved::History(_)) if !args.patterns.is_empty() => {
            let what = format!(
                "--pattern is for MONITOR logs; {name} is a history, which names its locks"
            );
            return Err(usage(anyhow!(what)));
        }
        (name, Saved::History(history)) => (name, *history),
        (name, Saved::MonitorLog(mut log)) => {
            let recorded = from_log(&name, &mut *log, Watch::new(None, &args.patterns), ROOM)?;
            name_unwatched(&recorded.unwatched);
            (name, recorded.history)
        }
    };
    let checked = check(&history);
    let drawing = Drawing::begin(args.timeline.as_ref(), Color::Auto, OutputPlace::BelowReport)?;
    print(name, &history, &checked, args.format)?;
    drawing.draw_checked(&history, &checked)?;
    Ok(exit(&checked))
}

/// How a command ends that judges a history.
pub(super) fn exit(checked: &Checked) -> Exit {
    match (checked.findings.is_empty(), checked.is_complete) {
        (false, _) => Exit::Unexpected,
        (true, false) => Exit::Inconclusive,
        (true, true) => Exit::Success,
    }
}

/// The history that a MONITOR log is.
pub(super) fn from_log(
    name: &str,
    log: &mut dyn BufRead,
    watch: Watch,
    room: usize,
) -> Result<Recorded, Refusal> {
    let read = read_monitor_log(name, log, watch, room);
    read.map_err(|error| environment(anyhow!("cannot read {name}: {}", of_system(&error))))
}

/// Says which keys were used like locks and not watched, and how to watch them.
pub(super) fn name_unwatched(unwatched: &[Unwatched]) {
    for Unwatched { pattern, example, keys, .. } in unwatched.iter().take(MOST_PATTERNS) {
        let more = match keys - 1 {
            0 => String::new(),
            1 => " and 1 more key".into(),
            more => format!(" and {more} more keys"),
        };
        let (example, pattern) = (escape(example), typed(pattern));
        say(&format!(
            "used like a lock, but not watched: {example}{more}; watch with --pattern {pattern}"
        ));
    }
    let more = unwatched.len().saturating_sub(MOST_PATTERNS);
    if more > 0 {
        let patterns = count(more, "pattern", "patterns");
        say(&format!("used like locks, but not watched: keys of {patterns} more"));
    }
}

/// Prints what the checkers say of a history; `name` is that of its file.
pub(super) fn print(
    name: String,
    history: &History,
    checked: &Checked,
    format: CheckFormat,
) -> Result<(), Refusal> {
    let judgement = Judgement::new(name, history, checked);
    judgement.incomplete.iter().for_each(|why| say(&format!("incomplete: {why}")));
    let style = terminal::style(Color::Auto, false);
    Output::Stdout.write(|out| match format {
        CheckFormat::Table => table::write_judgement(&judgement, style, out),
        CheckFormat::Json => json::write(&judgement, out),
    })?;
    Ok(())
}
