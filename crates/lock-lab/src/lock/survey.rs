//! Every lock and flag of a run, or of all runs, as an observer sees them. Nothing is changed, and
//! the server is never blocked for long: keys are found by SCAN, and read a few hundred at a time.

mod names;
mod reader;
mod settle;
#[cfg(test)]
mod tests;

use super::{Life, LockName, Payload, Result, is_dead};
use crate::intercept::Link;
use names::Names;
pub use names::{rights, watched_channels};
use reader::LockReader;
use redis_sim::clock::Clock;
use settle::Settler;

/// How many locks are looked at, and looked at again, before the next ones are: what is kept of
/// them at a time.
const TOGETHER: usize = 20_000;

/// The longest TTL that a client waits for, in milliseconds: a year. A longer one is as good as none.
pub const LONGEST_TTL_MS: i64 = 366 * 24 * 3600 * 1000;

/// A lock as it was found: key, TTL, flag and fencing counter at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Its names.
    pub lock: LockName,
    /// The file that it guards, relative to the run's root.
    pub file: String,
    /// What the lock key holds, if it exists.
    pub found: Option<Found>,
    /// What is left of the key's TTL in milliseconds; -1 if it has none, -2 if it doesn't exist.
    pub ttl_ms: i64,
    /// The value of the flag, if it is set.
    pub flag: Option<String>,
    /// The counter of fencing tokens, if there is one.
    pub fence: Option<String>,
    /// Why it may be otherwise.
    pub doubt: Option<Doubt>,
}

/// Why a lock may be otherwise than it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// Not all of it could be seen: the server's words.
    Hidden(String),
    /// It looked odd, and otherwise each time: a client works with it.
    Moving,
    /// It looked the same twice, and there was no time to watch whether a client works with it.
    Unsettled,
}

/// What a lock key holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A string: ours, the reference's or anything else.
    Payload {
        /// What it says.
        payload: Payload,
        /// What became of the owner that it names.
        life: Life,
    },
    /// A string that is too long for a payload.
    TooLong {
        /// How many bytes it has.
        bytes: u64,
    },
    /// No string.
    OtherType {
        /// What it is instead: `list`, `hash`, ...
        name: String,
    },
}

/// What a lock is in, in a word: the first that fits, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It can't be seen well enough to decide.
    Hidden,
    /// The lock key holds what is no payload of the contract.
    ForeignPayload,
    /// The process that acquired it is gone.
    Orphaned,
    /// It would never end by itself.
    NoTtl,
    /// It would end by itself, but later than any client waits.
    LongTtl,
    /// It is held, and its flag says that it is free.
    FlagDrift,
    /// Its flag says that it is held, and it isn't: the lease expired, or the holder died between two
    /// commands.
    ExpiredFlag,
    /// It is held, and it has no flag.
    NoFlag,
    /// It is held, and its flag says so.
    Held,
    /// It is free, and its flag says so.
    Free,
}

impl Sighting {
    /// What it is in.
    pub fn state(&self) -> State {
        let says_held = self.says_held();
        match &self.found {
            _ if matches!(self.doubt, Some(Doubt::Hidden(_))) => State::Hidden,
            // Between two commands of a working client, nothing is wrong.
            None if self.doubt == Some(Doubt::Moving) => State::Free,
            Some(_) if self.doubt == Some(Doubt::Moving) => State::Held,
            None if says_held => State::ExpiredFlag,
            None => State::Free,
            Some(Found::OtherType { .. } | Found::TooLong { .. }) => State::ForeignPayload,
            Some(Found::Payload { payload, life }) => match life {
                _ if payload.owner().is_none() => State::ForeignPayload,
                Life::Dead => State::Orphaned,
                _ if self.ttl_ms == -1 => State::NoTtl,
                _ if self.never_ends() => State::LongTtl,
                _ if self.drifts() => State::FlagDrift,
                _ if self.lock.is_of_directory() => State::Held,
                _ if !says_held && !self.may_be_anothers() => State::NoFlag,
                _ => State::Held,
            },
        }
    }

    /// Whether no client can wait for the end of its TTL.
    pub fn never_ends(&self) -> bool {
        self.ttl_ms == -1 || self.ttl_ms > LONGEST_TTL_MS
    }

    /// Whether the flag exists and contradicts the lock key, which holds nothing or what can be a lock:
    /// what a repair sets right, whatever else is wrong with the lock. A missing flag is no drift: a
    /// repair never creates one.
    pub fn drifts(&self) -> bool {
        let is_known = !matches!(self.doubt, Some(Doubt::Hidden(_) | Doubt::Moving));
        let is_lock = matches!(self.found, None | Some(Found::Payload { .. }));
        is_known && is_lock && self.flag.is_some() && self.says_held() != self.found.is_some()
    }

    /// Whether the flag says that the lock is held: the reference takes any value but `false` for
    /// that.
    pub fn says_held(&self) -> bool {
        self.flag.as_deref().is_some_and(|flag| flag != "false")
    }

    /// Whether the key may as well be that of another run's lock: the name of the file has a colon,
    /// at which the run id could end, and no flag says which run it is.
    pub fn may_be_anothers(&self) -> bool {
        let is_in_doubt = self.flag.is_none() && self.file.contains(':');
        self.found.is_some() && is_in_doubt && !self.lock.is_of_path_scope()
    }

    /// The run that it belongs to.
    pub fn runid(&self) -> &str {
        let named = self.payload().filter(|_| self.lock.is_of_path_scope());
        named.and_then(Payload::runid).unwrap_or(self.lock.runid())
    }

    /// Whether its owner is gone, and still is when asked once more: the number of a process that ended
    /// may be a new one's by now.
    pub fn is_orphaned_still(&self) -> bool {
        let owner = self.payload().and_then(Payload::owner);
        self.state() == State::Orphaned && owner.is_some_and(is_dead)
    }

    /// The payload, if the key holds one that can be read.
    pub fn payload(&self) -> Option<&Payload> {
        match &self.found {
            Some(Found::Payload { payload, .. }) => Some(payload),
            _ => None,
        }
    }
}

/// Looks at the lock of one file, whose name is taken as it stands.
///
/// # Errors
///
/// [`LockError::Redis`](super::LockError::Redis) if a command fails. What a server refuses to show is a [`Doubt`], not an
/// error.
pub fn sight(link: &mut dyn Link, runid: &str, file: &str) -> Result<Sighting> {
    let lock = LockName::as_found(runid, file);
    let unseen = Sighting {
        lock: lock.clone(),
        file: file.to_owned(),
        found: None,
        ttl_ms: -2,
        flag: None,
        fence: None,
        doubt: None,
    };
    let seen = LockReader::default().read_all(link, std::iter::once(lock))?;
    Ok(seen.into_iter().next().unwrap_or(unseen))
}

/// What a survey could not take in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unseen {
    /// How many names of locks and flags are no text (UTF-8).
    pub no_text: usize,
    /// How many keys begin as lock keys do and name no file.
    pub nameless: usize,
    /// How many keys begin as those of the run do, and are locks of other runs, by their flags.
    pub of_others: usize,
    /// How many flag hashes, or what should be one, could not be read; and the first of them, with
    /// the server's words.
    pub unread: usize,
    /// See `unread`.
    pub example: Option<(String, String)>,
}

/// Looks at every lock and flag of a run, or of all runs, by run and file, and hands them over some
/// thousand at a time at most.
///
/// A participant of the legacy protocol moves key and flag by two commands, so a survey in between
/// sees a drift. With a clock, anything that looks wrong is read again a little later, and reported
/// as wrong only if it is still the same: the acquisition, where there is one, or else an untouched
/// key. Without one, each is read once: for a caller that makes sure of what was seen before it
/// changes anything.
///
/// # Errors
///
/// [`LockError::Redis`](super::LockError::Redis) if a command fails; locks that were handed over before stay so. What a
/// server refuses to show of a lock is a [`Doubt`], not an error.
pub fn survey(
    link: &mut dyn Link,
    clock: Option<&dyn Clock>,
    runid: Option<&str>,
    take: &mut dyn FnMut(Sighting),
) -> Result<Unseen> {
    let names = match runid {
        Some(runid) => Names::of_run(link, runid)?,
        None => Names::of_all(link)?,
    };
    let unseen = names.unseen.clone();
    let mut locks = names.into_locks().peekable();
    let mut reader = LockReader::default();
    let mut settler = clock.map(Settler::new);
    while locks.peek().is_some() {
        let mut sightings = reader.read_all(link, locks.by_ref().take(TOGETHER))?;
        if let Some(settler) = &mut settler {
            settler.settle(&mut reader, link, &mut sightings)?;
        }
        sightings.retain(|seen| runid.is_none_or(|runid| is_of(seen, runid)));
        sightings.into_iter().for_each(&mut *take);
    }
    Ok(unseen)
}

/// Whether a lock is one of this run, which may be asked for as its key has it.
fn is_of(seen: &Sighting, runid: &str) -> bool {
    [seen.runid(), seen.lock.runid()].contains(&runid)
}
