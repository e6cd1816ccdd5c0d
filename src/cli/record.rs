//! `record`: watches the locks of a running server, saves the history and judges it.

use super::args::{CheckFormat, Color, RecordArgs};
use super::check::print;
use super::exit::{Exit, Refusal, environment};
use super::output::Output;
use super::progress::ProgressLine;
use super::signals::Signals;
use super::timeline::{Drawing, OutputPlace};
use super::{remote, say};
use crate::record::{self, Counts, Ending, Listener, Order, Watch};
use crate::report::large;
use lock_history::check::check;
use lock_lab::runtime::Time;
use redis_sim::clock::WallClock;
use std::sync::Arc;

/// What is said when a signal ends it.
const ENDING: &str =
    "ending the recording; to leave at once, without a history, interrupt again after a second";

/// Records until it is ended, then saves and judges what happened.
pub(super) fn record(args: &RecordArgs) -> Result<Exit, Refusal> {
    let has_data = args.format == CheckFormat::Json && !args.quiet;
    Drawing::is_possible(args.timeline.as_ref(), has_data)?;
    let signals = Signals::handle_saying(ENDING).map_err(environment)?;
    let server = remote::server(args.redis.as_ref(), false)?;
    let runid = args.run.as_deref().map(remote::runid).transpose()?;
    let output = Output::history(Some(&args.history))?;
    let place = if args.quiet { OutputPlace::Alone } else { OutputPlace::BelowReport };
    let drawing = Drawing::begin(args.timeline.as_ref(), Color::Auto, place)?;
    signals.set_outputs([output.by_hand(), drawing.by_hand()]);
    let clock = Arc::new(WallClock::new(args.duration));
    signals.add_clock(&Time::Wall(Arc::clone(&clock)));
    let watch = Watch::new(runid.as_deref(), &args.patterns);
    let order = Order { server: &server, watch, limit: args.room };
    let mut status = StatusLine { line: ProgressLine::new(args.quiet), quiet: args.quiet };
    let listen = if args.light { record::record_light } else { record::record };
    let recorded = listen(&order, &*clock, &mut status);
    status.line.clear();
    let recorded = recorded.map_err(environment)?;
    output.write(|out| recorded.history.write(out))?;
    let checked = check(&recorded.history);
    if !args.quiet {
        say(&in_words(&recorded.counts));
        let name = args.history.display().to_string();
        print(name, &recorded.history, &checked, args.format)?;
    }
    drawing.draw_checked(&recorded.history, &checked)?;
    Ok(match recorded.ending {
        Ending::Stopped | Ending::TimeIsOver => Exit::Success,
        Ending::Full => {
            let room = large(args.room as f64);
            say(&format!("it ended because there is no room for more than {room} observations"));
            Exit::Inconclusive
        }
    })
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
