//! `record`: watches the locks of a running server, saves the history and judges it.

use super::args::{CheckFormat, Color, RecordArgs};
use super::check::{exit, from_log, name_unwatched, print};
use super::exit::{Exit, Refusal, environment, usage};
use super::input::{self, Saved};
use super::output::Output;
use super::progress::ProgressLine;
use super::signals::{Signals, or_interrupted};
use super::timeline::{Drawing, OutputPlace};
use super::{remote, say};
use crate::record::{self, Counts, Ending, Listener, Order, Recorded, Watch};
use crate::report::{Judgement, large};
use anyhow::anyhow;
use lock_history::check::check;
use lock_lab::runtime::Time;
use redis_sim::clock::WallClock;
use std::fs::{self, Metadata};
use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;

/// What is said when a signal ends it.
const ENDING: &str =
    "ending the recording; to leave at once, without a history, interrupt again after a second";

/// Records until it is ended, or reads a MONITOR log; then saves and judges what happened.
pub(super) fn record(args: &RecordArgs) -> Result<Exit, Refusal> {
    let has_data = args.format == CheckFormat::Json && !args.quiet;
    Drawing::is_possible(args.timeline.as_ref(), has_data)?;
    let runid = args.run.as_deref().map(remote::runid).transpose()?;
    let watch = Watch::new(runid.as_deref(), &args.patterns);
    let log = args.from.as_deref().map(log).transpose()?;
    let signals = Signals::handle_saying(ENDING).map_err(environment)?;
    if !args.force {
        keep_earlier(&args.history)?;
    }
    let output = Output::history(Some(&args.history))?;
    let place = if args.quiet { OutputPlace::Alone } else { OutputPlace::BelowReport };
    let drawing = Drawing::begin(args.timeline.as_ref(), Color::Auto, place)?;
    signals.set_outputs([output.by_hand(), drawing.by_hand()]);
    let recorded = match log {
        Some((name, mut log)) => from_log(&name, &mut *log, watch, args.room)?,
        None => listen(args, watch, &signals)?,
    };
    output.write(|out| recorded.history.write(out))?;
    let checked = check(&recorded.history);
    if !args.quiet {
        say(&in_words(&recorded.counts));
        name_unwatched(&recorded.unwatched);
        let name = args.history.display().to_string();
        let saved = Some(name.clone());
        let judgement = Judgement { saved, ..Judgement::new(name, &recorded.history, &checked) };
        print(&judgement, args.format)?;
    }
    drawing.draw_checked(&recorded.history, &checked)?;
    if recorded.ending == Ending::Full {
        let room = large(args.room as f64);
        say(&format!("it ended because there is no room for more than {room} observations"));
    }
    Ok(exit(&recorded.history, &checked, &args.fail_if))
}

/// The MONITOR log of this name.
fn log(path: &Path) -> Result<(String, Box<dyn BufRead>), Refusal> {
    match input::saved(path)? {
        (name, Saved::MonitorLog(log)) => Ok((name, log)),
        (name, Saved::History(_)) => Err(usage(anyhow!(
            "{name} is a history and no MONITOR log; judge it with: nodb-trigger check {name}"
        ))),
    }
}

/// Refuses to write over a recording.
fn keep_earlier(history: &Path) -> Result<(), Refusal> {
    let has_content = |about: Metadata| about.is_file() && about.len() > 0;
    if !fs::metadata(history).is_ok_and(has_content) {
        return Ok(());
    }
    let name = history.display();
    Err(usage(anyhow!("{name} exists; replace it with --force, or name another file")))
}

/// Listens to a server until it is ended.
fn listen(args: &RecordArgs, watch: Watch, signals: &Signals) -> Result<Recorded, Refusal> {
    let server = remote::server(args.redis.as_ref(), false)?;
    let order = Order { server: &server, watch, limit: args.room };
    let clock = Arc::new(WallClock::new(args.duration));
    signals.add_clock(&Time::Wall(Arc::clone(&clock)));
    let mut status = StatusLine { line: ProgressLine::new(args.quiet), quiet: args.quiet };
    let listen = if args.light { record::record_light } else { record::record };
    let recorded = listen(&order, &*clock, &mut status);
    status.line.clear();
    recorded.map_err(|error| or_interrupted(environment(error)))
}

/// The line on stderr.
struct StatusLine {
    line: ProgressLine,
    quiet: bool,
}

impl Listener for StatusLine {
    fn say(&mut self, what: &str) {
        if !self.quiet {
            self.line.suspend(|| say(what));
        }
    }

    fn counts(&mut self, counts: &Counts) {
        self.line.show(&in_words(counts));
    }
}

fn in_words(counts: &Counts) -> String {
    let number = |number: u64| large(number as f64);
    format!(
        "{} commands; {} acquired, {} refused, {} released, {} leases lost, {} held now, {} \
         undecided",
        number(counts.commands),
        number(counts.acquisitions),
        number(counts.refusals),
        number(counts.releases),
        number(counts.lost),
        number(counts.held),
        number(counts.undecided),
    )
}
