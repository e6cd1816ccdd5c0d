//! Locks of other libraries, recognised by what their keys hold: who holds them, what may share them,
//! which keys belong to them.
//!
//! A format is a [`LockFormat`], one file and one line in `formats()`. It is a pure function of a key, its
//! content, its TTL and the time. A lock is known by its value; the name of a key is a hint that decides
//! where several things look the same. What only looks like a lock is [`Recognised::Maybe`], with the
//! reason.

mod bullmq;
mod by_name;
mod by_use;
mod celery_once;
mod celery_singleton;
mod declared;
mod family;
mod huey;
mod laravel;
mod name;
mod nodb;
mod python_redis_lock;
mod reader;
mod redbeat;
mod redisson;
mod release;
mod semaphore;
mod shape;
mod shedlock;
mod sidekiq;
mod survey;
mod symfony;
#[cfg(test)]
mod tests;
mod token;

pub use declared::{Declaration, declarations, declare};
pub use family::{Family, Looking};
pub use name::says_lock;
pub use reader::{LONGEST, Read};
pub use release::{
    Complete, LONGEST_REMOVED, Observation, Observed, Release, Released, Words, observe, put_back,
    release_if, release_of,
};
pub use shape::is_drawn;
pub use survey::{Covered, KeySeen, OtherLock, Scope, read_key, rights_to_all, survey_keys};

use crate::lock::{LONGEST_TTL_MS, Life};
use std::time::Duration;

/// A lock format.
pub trait LockFormat: Sync {
    /// The name of the library, as reports use it.
    fn name(&self) -> &'static str;

    /// What this key is in this format; nothing if it is nothing of it.
    fn recognise(&self, key: &Key<'_>) -> Option<Recognised>;

    /// What the library's own release of these holders does beside removing them from the key.
    fn release(&self, _key: &Key<'_>, _holders: &[Holder]) -> Release {
        Release::default()
    }
}

/// A key that exists, as it was read.
#[derive(Debug, Clone, Copy)]
pub struct Key<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// What it holds.
    pub content: &'a Content,
    /// What is left of its TTL in milliseconds; -1 if it has none.
    pub ttl_ms: i64,
    /// The server's time, since 1970.
    pub now: Duration,
}

impl Key<'_> {
    /// The name, if it is UTF-8.
    fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.name).ok()
    }

    /// The complete value of a string.
    fn string(&self) -> Option<&[u8]> {
        match self.content {
            Content::String { length, start } if *length == start.len() as u64 => Some(start),
            _ => None,
        }
    }

    /// The complete value of a string, if it is UTF-8.
    fn string_text(&self) -> Option<&str> {
        std::str::from_utf8(self.string()?).ok()
    }

    /// The fields of a hash that were read, and how many it has.
    fn hash(&self) -> Option<(u64, &[Field])> {
        match self.content {
            Content::Hash { size, fields } => Some((*size, fields)),
            _ => None,
        }
    }

    /// The members of a sorted set that were read, and how many it has.
    fn sorted(&self) -> Option<(u64, &[Member])> {
        match self.content {
            Content::Sorted { size, members } => Some((*size, members)),
            _ => None,
        }
    }

    /// When the key expires, since 1970, if it has a TTL.
    fn expires_at(&self) -> Option<Duration> {
        let left = Duration::from_millis(u64::try_from(self.ttl_ms).ok()?);
        Some(self.now.saturating_add(left))
    }
}

/// A field of a hash with its value, if that was read.
pub type Field = (Vec<u8>, Option<Vec<u8>>);
/// A member of a sorted set with its score.
pub type Member = (Vec<u8>, f64);

/// What a key holds, as much as was read.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A string.
    String {
        /// Its length in bytes.
        length: u64,
        /// Its first bytes: all, if it is no longer than [`LONGEST`].
        start: Vec<u8>,
    },
    /// A hash.
    Hash {
        /// How many fields it has.
        size: u64,
        /// Some or all of its fields. A value is missing if it is long, or of no interest.
        fields: Vec<Field>,
    },
    /// A sorted set.
    Sorted {
        /// How many members it has.
        size: u64,
        /// Some or all of its members with their scores; none if they may be long.
        members: Vec<Member>,
    },
    /// A list.
    List {
        /// How many elements it has.
        size: u64,
    },
    /// A set.
    Set {
        /// How many members it has.
        size: u64,
    },
    /// Something else, by the server's name for it.
    Other(String),
}

impl Content {
    /// The command that shows all of it: its name, and what follows the key.
    pub fn shown_by(&self) -> (&'static str, &'static [&'static str]) {
        match self {
            Content::String { .. } => ("GET", &[]),
            Content::Hash { .. } => ("HGETALL", &[]),
            Content::Sorted { .. } => ("ZRANGE", &["0", "-1", "WITHSCORES"]),
            Content::List { .. } => ("LRANGE", &["0", "-1"]),
            Content::Set { .. } => ("SMEMBERS", &[]),
            Content::Other(_) => ("TYPE", &[]),
        }
    }

    /// What it is, with its size.
    pub fn words(&self) -> String {
        match self {
            Content::String { length, .. } => format!("a string (length {length})"),
            Content::Hash { size, .. } => format!("a hash (size {size})"),
            Content::Sorted { size, .. } => format!("a sorted set (size {size})"),
            Content::List { size } => format!("a list (size {size})"),
            Content::Set { size } => format!("a set (size {size})"),
            Content::Other(kind) => format!("a {kind}"),
        }
    }
}

/// What a format makes of a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Recognised {
    /// It is a lock.
    Lock(Lock),
    /// It belongs to a lock under another key.
    PartOf {
        /// That key, and others without which the lock would not be complete.
        keys: Vec<Vec<u8>>,
        /// What it is if none of them exists; nothing if it means nothing then.
        alone: Option<Lock>,
    },
    /// It may be a lock, and as well something else.
    Maybe {
        /// What speaks for a lock, and what is missing.
        why: String,
    },
}

/// A lock.
#[derive(Debug, Clone, PartialEq)]
pub struct Lock {
    /// The name of its format.
    pub format: &'static str,
    /// Who holds it; only some, if there are many.
    pub holders: Vec<Holder>,
    /// How many hold it.
    pub held_by: u64,
    /// Who else may hold it at the same time.
    pub sharing: Sharing,
    /// The list with those that wait for it, if the format has one.
    pub queue: Option<Vec<u8>>,
    /// How many wait for it, where that is known.
    pub waiting: Option<u64>,
    /// Whether a lock of this format expires although its key has no TTL.
    pub expires_without_ttl: bool,
    /// What a reader should know of locks of this format.
    pub remark: Option<&'static str>,
}

impl Lock {
    /// A lock with one holder.
    fn of(format: &'static str, holder: Holder) -> Self {
        Self::shared(format, vec![holder], 1, Sharing::Exclusive)
    }

    /// A lock with this number of holders, some of whom are these.
    fn shared(format: &'static str, holders: Vec<Holder>, held_by: u64, sharing: Sharing) -> Self {
        Self {
            format,
            holders,
            held_by,
            sharing,
            queue: None,
            waiting: None,
            expires_without_ttl: false,
            remark: None,
        }
    }

    /// When the last of its holders acquired it, since 1970, if that is certain of all.
    pub fn acquired_at(&self) -> Option<Duration> {
        let since = |holder: &Holder| holder.since.filter(|_| !holder.may_be_later);
        let all = self.holders.iter().map(since).collect::<Option<Vec<Duration>>>()?;
        all.into_iter().max().filter(|_| self.holders.len() as u64 == self.held_by)
    }

    /// The same, with what a reader should know.
    fn remark(self, remark: &'static str) -> Self {
        Self { remark: Some(remark), ..self }
    }
}

impl Recognised {
    /// A key that says nothing beside this one.
    fn part_of(key: impl Into<Vec<u8>>, alone: Option<Lock>) -> Self {
        Self::PartOf { keys: vec![key.into()], alone }
    }
}

impl From<Lock> for Recognised {
    fn from(lock: Lock) -> Self {
        Self::Lock(lock)
    }
}

/// Who may hold a lock at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sharing {
    /// One holder.
    Exclusive,
    /// One holder, which may acquire it again.
    Reentrant,
    /// Readers, while no writer holds it.
    Read,
    /// One writer.
    Write,
    /// A number of holders that the key does not tell.
    Permits,
}

/// Who holds a lock, as far as its value tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holder {
    /// What distinguishes this acquisition or this holder from others.
    pub token: Option<Vec<u8>>,
    /// The host.
    pub host: Option<String>,
    /// The process, or the instance of the library in it.
    pub process: Option<String>,
    /// The thread.
    pub thread: Option<String>,
    /// The job that the lock is for.
    pub job: Option<String>,
    /// How many times it acquired the lock.
    pub count: Option<u64>,
    /// When it acquired the lock, since 1970.
    pub since: Option<Duration>,
    /// Whether `since` is when it began to try: it acquired the lock then or later.
    pub may_be_later: bool,
}

impl Holder {
    /// A holder of which only a token is known.
    fn with_token(token: &[u8]) -> Self {
        Self { token: Some(token.to_vec()), ..Self::default() }
    }

    /// The field or the member that stands for it, where a lock has one for each holder.
    fn element(&self) -> Option<&[u8]> {
        self.token.as_deref().or(self.job.as_deref().map(str::as_bytes))
    }

    /// What became of it. Only of a process of this host that the value names by its number can that
    /// be known.
    pub fn life(&self) -> Life {
        let number = self.process.as_ref().filter(|process| process.parse::<u32>().is_ok());
        match (&self.host, number) {
            (Some(host), Some(number)) => {
                Life::of_owner(&format!("{host}:{number}"), self.since.map(|since| since.as_secs()))
            }
            (Some(_), None) => Life::Elsewhere,
            (None, _) => Life::Unnamed,
        }
    }
}

/// All formats, in the order in which they are tried: those that fit less come first.
fn formats() -> [&'static dyn LockFormat; 14] {
    [
        &shedlock::ShedLock,
        &redisson::Redisson,
        &bullmq::BullMq,
        &sidekiq::SidekiqUniqueJobs,
        &nodb::NoDb,
        &celery_singleton::CelerySingleton,
        &redbeat::RedBeat,
        &celery_once::CeleryOnce,
        &huey::Huey,
        &laravel::Laravel,
        &python_redis_lock::PythonRedisLock,
        &symfony::Symfony,
        &semaphore::Semaphore,
        &token::RandomToken,
    ]
}

/// The names of all formats.
pub fn format_names() -> impl Iterator<Item = &'static str> {
    formats().into_iter().map(LockFormat::name)
}

/// What a key is: what the first format says that knows it, or else why it may be a lock. Nothing if no
/// format knows it and neither its name nor its use speaks of locks.
pub fn recognise(key: &Key<'_>) -> Option<Recognised> {
    recognised_by(key)
        .map(|(_, seen)| seen)
        .or_else(|| by_name::recognise(key))
        .or_else(|| by_use::recognise(key))
}

/// What a key is, and the format that says so.
fn recognised_by(key: &Key<'_>) -> Option<(&'static dyn LockFormat, Recognised)> {
    let mut maybe = None;
    let declared = declared::of_key(key.name).map(|it| it as &'static dyn LockFormat);
    for format in declared.into_iter().chain(formats()) {
        match format.recognise(key) {
            Some(seen @ Recognised::Maybe { .. }) => {
                maybe.get_or_insert((format, seen));
            }
            Some(seen) => return Some((format, seen)),
            None => {}
        }
    }
    maybe
}
