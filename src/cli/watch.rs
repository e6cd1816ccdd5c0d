//! `status --watch`: looks again and again, and shows what changed.
//!
//! One thread polls, one listens to the server where it publishes changes, and one reads keys; what
//! they find out comes here as news.

use super::args::{CheckFormat, StatusArgs};
use super::exit::{Exit, Refusal, environment};
use super::inspect::Subject;
use super::screen::{Key, Screen};
use super::signals::Signals;
use super::{output, remote, say, terminal, viewport};
use crate::report::{Status, json, table};
use anyhow::anyhow;
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded, unbounded};
use lock_lab::lock::watched_channels;
use lock_lab::server::{Connection, Server};
use redis_sim::clock::{Clock, WallClock};
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// The interval between polls without notifications.
const UNNOTIFIED: Duration = Duration::from_secs(1);
/// The interval between polls where the server publishes changes: it doesn't publish an owner's
/// end.
const NOTIFIED: Duration = Duration::from_secs(2);
/// The least time from one look to the next.
const GAP: Duration = Duration::from_millis(100);
/// How much longer a pause is than the poll before it, so that a large server isn't kept busy.
const SPARING: u32 = 10;
/// How long one waits before one tries to reach a lost server again, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
/// How often one looks after window and signals.
const TICK: Duration = Duration::from_millis(100);

/// What the other threads find out.
enum News {
    Seen {
        status: Box<Status>,
        at: Duration,
        live: String,
    },
    /// The server never answered, so it is none that was lost.
    Refused {
        why: String,
    },
    Lost {
        why: String,
        retry: Duration,
    },
    Pressed(Key),
}

/// Watches until the user ends it.
pub(super) fn watch(subject: Subject, args: &StatusArgs) -> Result<Exit, Refusal> {
    let signals = Signals::handle().map_err(environment)?;
    let clock = Arc::new(WallClock::new(None));
    let link = remote::connect(&subject.server)?;
    let (sender, news) = unbounded();
    let is_live = args.format == CheckFormat::Table && io::stdout().is_terminal();
    let shown: Box<dyn Show> = if is_live {
        let pressed = sender.clone();
        let screen = Screen::take(move |key| drop(pressed.send(News::Pressed(key))));
        Box::new(Live {
            screen: screen.map_err(environment)?,
            args,
            last: None,
            lost: None,
            drawn: None,
        })
    } else {
        Box::new(Piped { args, last: None, is_lost: false })
    };
    let poller = Poller { subject, clock: Arc::clone(&clock), sender };
    thread::Builder::new()
        .name("looks".into())
        .spawn(move || poller.go_on(link))
        .map_err(environment)?;
    follow(shown, &news, &signals, &*clock)
}

/// Shows the news until the user ends it.
fn follow(
    mut shown: Box<dyn Show + '_>,
    news: &Receiver<News>,
    signals: &Signals,
    clock: &dyn Clock,
) -> Result<Exit, Refusal> {
    loop {
        let go_on = match news.recv_timeout(TICK) {
            Ok(News::Pressed(Key::Quit)) => return Ok(Exit::Success),
            Ok(News::Pressed(Key::Interrupt)) => return Ok(Exit::Interrupted),
            Ok(News::Pressed(_)) => Ok(true),
            Ok(News::Refused { why }) => return Err(environment(anyhow!(why))),
            Ok(News::Seen { status, at, live }) => shown.seen(*status, at, live),
            Ok(News::Lost { why, retry }) => shown.lost(why, retry),
            Err(RecvTimeoutError::Timeout) => Ok(true),
            Err(RecvTimeoutError::Disconnected) => return Ok(Exit::Environment),
        };
        if signals.interrupted() {
            return Ok(Exit::Interrupted);
        }
        if !go_on.and_then(|go_on| Ok(go_on && shown.tick(clock.now())?)).map_err(environment)? {
            return Ok(Exit::Success);
        }
    }
}

/// How news is shown. Each says whether there is still a reader.
trait Show {
    fn seen(&mut self, status: Status, at: Duration, live: String) -> io::Result<bool>;
    fn lost(&mut self, why: String, retry: Duration) -> io::Result<bool>;
    fn tick(&mut self, now: Duration) -> io::Result<bool>;
}

/// On a terminal: drawn over and over.
struct Live<'a> {
    screen: Screen,
    args: &'a StatusArgs,
    last: Option<(Status, Duration, String)>,
    lost: Option<String>,
    /// The second and the size of the window that are drawn.
    drawn: Option<(u64, (u16, u16))>,
}

impl Show for Live<'_> {
    fn seen(&mut self, status: Status, at: Duration, live: String) -> io::Result<bool> {
        self.last = Some((status, at, live));
        (self.lost, self.drawn) = (None, None);
        Ok(true)
    }

    fn lost(&mut self, why: String, retry: Duration) -> io::Result<bool> {
        self.lost = Some(format!("{why}; tries again in {retry:?}. What is below is old."));
        self.drawn = None;
        Ok(true)
    }

    fn tick(&mut self, now: Duration) -> io::Result<bool> {
        let size = crossterm::terminal::size().unwrap_or((80, 24));
        let Some((status, at, live)) = &self.last else { return Ok(true) };
        let elapsed = now.saturating_sub(*at);
        if self.drawn.replace((elapsed.as_secs(), size)) == self.drawn {
            return Ok(true);
        }
        let (status, live) = match &self.lost {
            Some(lost) => (status.clone(), lost),
            None => (status.later(elapsed), live),
        };
        let mut text = Vec::new();
        let live = format!("{live}; q ends it");
        let style = terminal::style(self.args.color, false);
        table::write_status(&status, Some(&live), style, &mut text)?;
        let text = String::from_utf8_lossy(&text);
        self.screen.draw(&viewport::fit(&text, size))?;
        Ok(true)
    }
}

/// Into a pipe or a file: again each time that something changed.
struct Piped<'a> {
    args: &'a StatusArgs,
    last: Option<Status>,
    is_lost: bool,
}

impl Show for Piped<'_> {
    fn seen(&mut self, status: Status, _at: Duration, live: String) -> io::Result<bool> {
        if std::mem::take(&mut self.is_lost) {
            say(&format!("{} answers again", status.server));
        }
        if self.last.as_ref().is_some_and(|last| last.shows_the_same(&status)) {
            return Ok(true);
        }
        let mut text = Vec::new();
        match self.args.format {
            CheckFormat::Json => json::write_line(&status, &mut text)?,
            CheckFormat::Table => {
                if self.last.is_some() {
                    writeln!(text)?;
                }
                let style = terminal::style(self.args.color, false);
                table::write_status(&status, Some(&live), style, &mut text)?;
            }
        }
        self.last = Some(status);
        output::offer(&text)
    }

    fn lost(&mut self, why: String, _retry: Duration) -> io::Result<bool> {
        if !std::mem::replace(&mut self.is_lost, true) {
            say(&format!("{why}; trying again"));
        }
        Ok(true)
    }

    fn tick(&mut self, _now: Duration) -> io::Result<bool> {
        Ok(true)
    }
}

/// Polls the state.
struct Poller {
    subject: Subject,
    clock: Arc<WallClock>,
    sender: Sender<News>,
}

impl Poller {
    fn go_on(self, first: Connection) {
        let (mut retry, most) = RETRY;
        let mut link = Ok(first);
        let mut was_lost = false;
        loop {
            let why = match link {
                Ok(link) => {
                    let (why, has_seen) = self.poll(link, was_lost);
                    if let (Some(why), false, false) = (&why, was_lost, has_seen) {
                        let _ = self.sender.send(News::Refused { why: why.clone() });
                        return;
                    }
                    if has_seen {
                        retry = RETRY.0;
                    }
                    why
                }
                Err(why) => Some(why),
            };
            // The receiver is gone.
            let Some(why) = why else { return };
            was_lost = true;
            let sent = self.sender.send(News::Lost { why, retry });
            if sent.is_err() || self.clock.sleep(retry).is_err() {
                return;
            }
            retry = (2 * retry).min(most);
            link = self.subject.server.connect(0).map_err(|error| error.to_string());
        }
    }

    /// Looks until it fails; says why, and whether it did not at first.
    fn poll(&self, mut link: Connection, was_lost: bool) -> (Option<String>, bool) {
        let hints = Hints::of(&self.subject, &mut link);
        let mut back = None;
        let mut has_seen = false;
        loop {
            let began = self.clock.now();
            let status = match self.subject.inspect(&mut link, &*self.clock) {
                Ok((status, _)) => Box::new(status),
                Err(error) => return (Some(error.to_string()), has_seen),
            };
            has_seen = true;
            let at = self.clock.now();
            let took = at.saturating_sub(began);
            let pause = if hints.are_heard() { NOTIFIED } else { UNNOTIFIED }.max(SPARING * took);
            let mut live = hints.words(pause);
            if was_lost {
                let since = back.get_or_insert_with(|| status.when.clone());
                live.push_str(&format!("; the server was away and is back since {since}"));
            }
            let sent = self.sender.send(News::Seen { status, at, live });
            if sent.is_err() || self.clock.sleep(GAP.max(took)).is_err() {
                return (None, has_seen);
            }
            hints.wait(pause);
        }
    }
}

/// Changes that the server publishes.
struct Hints {
    hints: Receiver<()>,
    /// Whether a subscription stands.
    subscribed: Arc<AtomicBool>,
    /// Whether a hint has ever come.
    heard: Arc<AtomicBool>,
    configured: Configured,
}

/// What the server's `notify-keyspace-events` says.
enum Configured {
    On,
    Off(String),
    Unknown,
}

impl Hints {
    fn of(subject: &Subject, link: &mut Connection) -> Self {
        let answer: Result<Vec<String>, _> =
            redis::cmd("CONFIG").arg("GET").arg("notify-keyspace-events").query(link);
        let configured = match answer.ok().and_then(|words| words.into_iter().nth(1)) {
            // Of keys that change: strings, hashes, what has an end, and all keys (or all of this).
            Some(word) if word.contains('K') && word.contains(['A', '$', 'h', 'g', 'x']) => {
                Configured::On
            }
            Some(word) => Configured::Off(word),
            None => Configured::Unknown,
        };
        let (hint, hints) = bounded(1);
        let of_thread = || Arc::new(AtomicBool::new(false));
        let hints = Self { hints, subscribed: of_thread(), heard: of_thread(), configured };
        if !matches!(hints.configured, Configured::Off(_)) {
            hints.listen(&subject.server, subject.runid.as_deref(), hint);
        }
        hints
    }

    /// Listens on a connection of its own, until it is lost or hints are not waited for any more.
    fn listen(&self, server: &Server, runid: Option<&str>, hint: Sender<()>) {
        let (server, channels) = (server.clone(), watched_channels(runid));
        let (subscribed, heard) = (Arc::clone(&self.subscribed), Arc::clone(&self.heard));
        let listen = move || {
            let Ok(mut link) = server.connect(0) else { return };
            let _ = link.listen(&channels, NOTIFIED, &mut |is_message| {
                subscribed.store(true, Ordering::Relaxed);
                heard.fetch_or(is_message, Ordering::Relaxed);
                // Also without a message: to find out whether the receiver still waits for one.
                !matches!(hint.try_send(()), Err(TrySendError::Disconnected(())))
            });
            subscribed.store(false, Ordering::Relaxed);
        };
        // Without it, one looks more often.
        let _ = thread::Builder::new().name("hints".into()).spawn(listen);
    }

    fn are_heard(&self) -> bool {
        self.subscribed.load(Ordering::Relaxed)
            && (matches!(self.configured, Configured::On) || self.heard.load(Ordering::Relaxed))
    }

    fn wait(&self, pause: Duration) {
        let _ = self.hints.recv_timeout(pause);
    }

    /// How what is shown is kept up to date.
    fn words(&self, pause: Duration) -> String {
        let pause = format!("{} s", pause.as_secs().max(1));
        match &self.configured {
            _ if self.are_heard() => {
                format!("live by keyspace notifications, and a look every {pause}")
            }
            Configured::Off(word) => format!(
                "live by a look every {pause} (no keyspace notifications: notify-keyspace-events \
                 is '{word}')"
            ),
            Configured::On => format!("live by a look every {pause} (could not subscribe)"),
            Configured::Unknown => format!(
                "live by a look every {pause} (may not ask whether there are keyspace notifications)"
            ),
        }
    }
}
