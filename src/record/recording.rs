//! A recording: what is asked for, its listener, and what comes back.

use super::model::{Counts, KeysModel};
use super::to_history::{Frame, to_history};
use super::unwatched::Unwatched;
use super::watch::Watch;
use lock_history::history::History;
use lock_lab::server::{Server, ServerError};
use redis_sim::clock::{Clock, Stopped};
use std::time::Duration;

/// Why nothing could be recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The server.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The user may not do it.
    #[error(
        "{server} does not let this user run MONITOR ({answer}); ask for the right with \
         ACL SETUSER <user> +monitor, or record with --light"
    )]
    NoMonitor {
        /// The server's name.
        server: String,
        /// What it answered.
        answer: String,
    },
    /// Keyspace notifications are off.
    #[error(
        "{server} sends no notifications for what --light needs (notify-keyspace-events is \
         {now:?}); have it set with: CONFIG SET notify-keyspace-events {needed}, or record \
         without --light"
    )]
    NoNotifications {
        /// The server's name.
        server: String,
        /// How they are set.
        now: String,
        /// How they have to be set.
        needed: String,
    },
}

/// Why a recording ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It was asked to.
    Stopped,
    /// Its time was over.
    TimeIsOver,
    /// There is no room for more.
    Full,
}

impl From<Stopped> for Ending {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::TimedOut => Ending::TimeIsOver,
            Stopped::Interrupted | Stopped::CalledOff => Ending::Stopped,
        }
    }
}

/// The pauses between attempts to reach a server that went away.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Reaches the server again, however long that takes.
pub(super) fn reach_again<T>(
    clock: &dyn Clock,
    mut attach: impl FnMut() -> Result<T, RecordError>,
) -> Result<T, Ending> {
    let mut pause = BACK_OFF.0;
    loop {
        clock.sleep(pause)?;
        if let Ok(attached) = attach() {
            return Ok(attached);
        }
        pause = (pause * 2).min(BACK_OFF.1);
    }
}

/// That it was reached again.
pub(super) const REACHED: &str = "reached it again; what happened meanwhile was not seen";

/// What was recorded.
#[derive(Debug)]
pub struct Recorded {
    /// What happened.
    pub history: History,
    /// In numbers.
    pub counts: Counts,
    /// Why it ended.
    pub ending: Ending,
    /// Keys that were used like locks and not watched, by pattern, the most used ones first.
    pub unwatched: Vec<Unwatched>,
}

/// Receives the progress and the notices of a recording.
pub trait Listener {
    /// Something that a person should know.
    fn say(&mut self, what: &str);
    /// How far it has come.
    fn counts(&mut self, counts: &Counts);
}

/// For how many observations there is room, unless another number is asked for: some hundred megabytes.
pub const ROOM: usize = 2_000_000;

/// What is to be recorded.
#[derive(Debug)]
pub struct Order<'a> {
    /// Where.
    pub server: &'a Server,
    /// Which keys.
    pub watch: Watch,
    /// How many observations there is room for.
    pub limit: usize,
}

/// How a recording was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// By MONITOR, which shows each command.
    Monitor,
    /// By keyspace notifications, which show only changes.
    Light,
}

/// Makes a history of what was recorded on a server of this name: `span` is when it began and ended, `notices` why it can't
/// be complete.
pub(super) fn finish(
    model: KeysModel,
    name: &str,
    way: Way,
    span: (u64, u64),
    ending: Ending,
    notices: &[String],
) -> Recorded {
    let unwatched = model.unwatched();
    let (seen, counts, mut reasons) = model.finish();
    notices.iter().for_each(|notice| reasons.add(notice));
    if ending == Ending::Full {
        reasons.add("there was no room for more");
    }
    let (began, ended) = span;
    let history = to_history(&seen, &Frame { server: name.to_owned(), way, began, ended, reasons });
    Recorded { history, counts, ending, unwatched }
}
