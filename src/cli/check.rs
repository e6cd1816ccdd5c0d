//! `check`: judges a saved history.

use super::args::{CheckArgs, CheckFormat, Color, FailIfFound};
use super::exit::{Exit, Refusal, environment, usage};
use super::input::Saved;
use super::output::Output;
use super::timeline::{Drawing, OutputPlace};
use super::{input, say, terminal};
use crate::record::{ROOM, Recorded, Unwatched, Watch, read_monitor_log};
use crate::report::{Judgement, count, escape, json, table, typed};
use anyhow::anyhow;
use lock_history::check::{Checked, LeaseUse, check};
use lock_history::history::History;
use redis_sim::server::of_system;
use std::io::BufRead;

/// For how many patterns keys are named that are not watched.
const MOST_PATTERNS: usize = 3;

/// Prints what the checkers say of the history in this file.
pub(super) fn judge(args: &CheckArgs) -> Result<Exit, Refusal> {
    Drawing::is_possible(args.timeline.as_ref(), args.format == CheckFormat::Json)?;
    let (name, history, is_saved) = match input::saved(&args.file)? {
        (name, Saved::History(_)) if !args.patterns.is_empty() => {
            let what = format!(
                "--pattern is for MONITOR logs; {name} is a history, which names its locks"
            );
            return Err(usage(anyhow!(what)));
        }
        (name, Saved::History(history)) => (name, *history, args.file.as_os_str() != input::STDIN),
        (name, Saved::MonitorLog(mut log)) => {
            let recorded = from_log(&name, &mut *log, Watch::new(None, &args.patterns), ROOM)?;
            name_unwatched(&recorded.unwatched);
            (name, recorded.history, false)
        }
    };
    let checked = check(&history);
    let drawing = Drawing::begin(args.timeline.as_ref(), Color::Auto, OutputPlace::BelowReport)?;
    let saved = is_saved.then(|| name.clone());
    let judgement = Judgement { saved, ..Judgement::new(name, &history, &checked) };
    print(&judgement, args.format)?;
    drawing.draw_checked(&history, &checked)?;
    Ok(exit(&history, &checked, &args.fail_if))
}

/// How a command ends that judges a history: it fails if any of the conditions holds, or if anything was
/// found where none is named.
pub(super) fn exit(history: &History, checked: &Checked, fail_if: &[FailIfFound]) -> Exit {
    let any = [FailIfFound::Any];
    let conditions = if fail_if.is_empty() { &any } else { fail_if };
    let (mut fails, mut is_open) = (false, !checked.is_complete);
    for condition in conditions {
        match condition {
            FailIfFound::Any => fails |= !checked.findings.is_empty(),
            FailIfFound::Property(property) => {
                fails |= checked.findings.iter().any(|finding| finding.property == *property);
                if let Some(why) = property.not_judged(&history.head) {
                    say(&format!("{} is not judged: {why}", property.word()));
                    is_open = true;
                }
            }
            FailIfFound::LeaseUse(limit) => match most_of_lease(checked) {
                Some((used, lock)) if used >= *limit => {
                    let lock =
                        history.head.locks.get(lock).map_or_else(String::new, |key| escape(key));
                    say(&format!(
                        "a holder of {lock} used {used}% of its lease; the limit is {limit}%"
                    ));
                    fails = true;
                }
                most if most.is_none() || has_unseen_end(checked) => {
                    say(
                        "how much of their leases holders used is unknown: not all releases were seen",
                    );
                    is_open = true;
                }
                _ => {}
            },
        }
    }
    if !fails && !checked.findings.is_empty() {
        say("--fail-if names none of the findings");
    }
    match (fails, is_open) {
        (true, _) => Exit::Unexpected,
        (false, true) => Exit::Inconclusive,
        (false, false) => Exit::Success,
    }
}

/// The largest percentage of a lease that a holder was seen to use, and of which lock.
fn most_of_lease(checked: &Checked) -> Option<(u32, usize)> {
    let shares =
        checked.lease_use.iter().filter_map(|used| Some((used.share?.max / 10, used.lock)));
    let (share, lock) = shares.max()?;
    Some((u32::try_from(share).unwrap_or(u32::MAX), lock))
}

/// Whether a lease expired whose holder was not seen to the end.
fn has_unseen_end(checked: &Checked) -> bool {
    let is_unseen =
        |used: &LeaseUse| used.too_short > 0 && used.share.is_none_or(|share| share.max < 1000);
    checked.lease_use.iter().any(is_unseen)
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

/// Prints what the checkers say of a history.
pub(super) fn print(judgement: &Judgement, format: CheckFormat) -> Result<(), Refusal> {
    judgement.incomplete.iter().for_each(|why| say(&format!("incomplete: {why}")));
    let style = terminal::style(Color::Auto, false);
    Output::Stdout.write(|out| match format {
        CheckFormat::Table => table::write_judgement(judgement, style, out),
        CheckFormat::Json => json::write(judgement, out),
    })?;
    Ok(())
}
