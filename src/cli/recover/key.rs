//! One key that is, or may be, a lock of another library: what it is, whether it may go, and its removal.

use super::{RecoverySession, Stop, of_life};
use crate::report::recovery::{KeyRow, Outcome};
use crate::report::status::key_name;
use lock_lab::format::{
    Complete, Content, Holder, Key, KeySeen, Lock, Observation, Observed, OtherLock, Read,
    Recognised, Release, Released, observe, put_back, read_key, release_if, release_of,
};
use lock_lab::lock::{FLAG_PREFIX, Life, LockError, Result};
use std::time::Duration;

/// What was seen of a key.
pub(super) enum KeyLook {
    /// A key that can be compared and removed.
    Seen(Box<SeenKey>),
    /// A key that is too long for that: what it is.
    TooLong(String),
    /// The server does not show it: its words.
    Hidden(String),
    /// It changed as it was read.
    Changed,
    /// It does not exist.
    Gone,
}

/// A key as it was seen.
pub(super) struct SeenKey {
    name: Vec<u8>,
    /// What is compared before anything is removed. It was read first, so what follows is never older.
    observed: Observed,
    content: Content,
    now: Duration,
    pub what: KeyKind,
    is_moving: bool,
}

/// What a key is.
pub(super) enum KeyKind {
    /// A lock of a known format.
    Lock(Lock),
    /// It belongs to the lock under this key.
    PartOf(Vec<u8>),
    /// It may be a lock, for this reason.
    Maybe(String),
    /// The flags of a run of NoDb.
    Flags,
    /// Nothing that looks like a lock.
    Data,
}

impl SeenKey {
    /// The name of the key.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The lock that it is, if it is one.
    pub fn lock(&self) -> Option<&Lock> {
        match &self.what {
            KeyKind::Lock(lock) => Some(lock),
            _ => None,
        }
    }

    /// Its row in a report, whose turn is still to come.
    pub fn row(&self) -> KeyRow {
        let row = KeyRow::new(&self.name, Some(&self.observed));
        let what = match &self.what {
            KeyKind::Lock(lock) => {
                let found = OtherLock {
                    key: self.name.clone(),
                    ttl_ms: self.observed.ttl_ms,
                    shown_by: self.content.shown_by(),
                    lock: lock.clone(),
                    is_moving: self.is_moving,
                };
                return row.of_lock(&found, self.now.as_secs());
            }
            KeyKind::PartOf(lock) => format!("it belongs to the lock {}", key_name(lock)),
            KeyKind::Maybe(why) => format!("it may be a lock: {why}"),
            KeyKind::Flags => "it holds the flags of a run of NoDb".into(),
            KeyKind::Data => format!("it is {}, and no lock that is known", self.content.words()),
        };
        KeyRow { what, ..row }
    }

    /// Whether its holder changed as it was read.
    pub fn is_moving(&self) -> bool {
        self.is_moving
    }

    /// Why it may go, or not, in words; these are its holders that were read, of this number.
    pub fn why(&self, holders: &[Holder], held_by: u64) -> String {
        match &self.what {
            KeyKind::Lock(lock) if lock.held_by == 0 => "no client holds it".into(),
            KeyKind::Lock(_) if self.is_moving => "its holder changed as it was read".into(),
            KeyKind::Lock(_) => of_life(&life(holders, held_by)).into(),
            KeyKind::PartOf(key) => {
                format!("it belongs to the lock {}: unlock that", key_name(key))
            }
            KeyKind::Maybe(why) => format!("it only looks like a lock: {why}"),
            KeyKind::Flags => {
                "it holds the flags of a run, and is no lock: name a file, too".into()
            }
            KeyKind::Data => format!("it is {}, and no lock that is known", self.content.words()),
        }
    }

    /// What the value is, if it is a string.
    pub fn string(&self) -> Option<&[u8]> {
        match &self.observed.holds {
            Complete::String(value) => Some(value),
            Complete::Dump(_) => None,
        }
    }

    /// What goes with these holders; all of a key that is no known lock.
    fn release(&self, holders: &[Holder]) -> Option<Release> {
        let Some(lock) = self.lock() else { return Some(Release::default()) };
        let key = Key {
            name: &self.name,
            content: &self.content,
            ttl_ms: self.observed.ttl_ms,
            now: self.now,
        };
        release_of(&key, lock, holders)
    }
}

/// What became of these holders: dead only if all are.
pub(super) fn life(holders: &[Holder], held_by: u64) -> Life {
    let rank = |life: &Life| match life {
        Life::Alive { .. } => 0,
        Life::Younger { .. } => 1,
        Life::Elsewhere => 2,
        Life::Unnamed => 3,
        Life::Dead => 4,
    };
    let unseen = (holders.len() as u64) < held_by || holders.is_empty();
    let lives = holders.iter().map(Holder::life).chain(unseen.then_some(Life::Unnamed));
    lives.min_by_key(rank).unwrap_or(Life::Unnamed)
}

impl RecoverySession<'_> {
    /// Looks at a key.
    pub(super) fn look(&mut self, name: &[u8]) -> Result<KeyLook> {
        let observed = match observe(&mut self.link, name)? {
            Observation::Seen(observed) => observed,
            Observation::TooLong(what) => return Ok(KeyLook::TooLong(what)),
            Observation::Gone => return Ok(KeyLook::Gone),
        };
        let now = self.server_time();
        let KeySeen { read, recognised, is_moving } =
            read_key(&mut self.link, &*self.clock, name, now)?;
        let content = match read {
            Read::Seen { content, .. } => content,
            Read::Hidden(words) => return Ok(KeyLook::Hidden(words)),
            Read::Gone => return Ok(KeyLook::Gone),
            Read::Changed => return Ok(KeyLook::Changed),
        };
        let what = match recognised {
            Some(Recognised::Lock(lock)) => KeyKind::Lock(lock),
            _ if self.has_flags(name, &content)? => KeyKind::Flags,
            Some(Recognised::PartOf { keys, .. }) => {
                KeyKind::PartOf(keys.into_iter().next().unwrap_or_default())
            }
            Some(Recognised::Maybe { why }) => KeyKind::Maybe(why),
            None => KeyKind::Data,
        };
        let name = name.to_vec();
        Ok(KeyLook::Seen(Box::new(SeenKey { name, observed, content, now, what, is_moving })))
    }

    /// Whether a key holds flags of NoDb: of a hash that is short enough to be removed, one page has all
    /// fields.
    fn has_flags(&mut self, name: &[u8], content: &Content) -> Result<bool> {
        if !matches!(content, Content::Hash { .. }) {
            return Ok(false);
        }
        let mut scan = redis::cmd("HSCAN");
        scan.arg(name).arg(0).arg("MATCH").arg(format!("{FLAG_PREFIX}*")).arg("COUNT").arg(10_000);
        let (_, flags): (String, Vec<Vec<u8>>) = scan.query(&mut self.link).map_err(|source| {
            let key = key_name(name);
            LockError::Redis { command: "HSCAN", key, source }
        })?;
        Ok(!flags.is_empty())
    }

    /// The server's time since 1970, or that of this machine if the user may not ask.
    pub(super) fn server_time(&mut self) -> Duration {
        let time: std::result::Result<(u64, u64), _> = redis::cmd("TIME").query(&mut self.link);
        time.map_or_else(
            |_| Duration::from_secs(self.now()),
            |(seconds, micros)| Duration::from_secs(seconds) + Duration::from_micros(micros),
        )
    }

    /// Takes these holders of a lock away, or a key that is no known lock, if it is still as it was seen;
    /// notes the outcome in its row.
    pub(super) fn take(
        &mut self,
        seen: &SeenKey,
        holders: &[Holder],
        row: &mut KeyRow,
    ) -> std::result::Result<(), Stop> {
        let Some(release) = seen.release(holders) else {
            row.outcome = Outcome::Left;
            row.why = "which of its elements are those of its holders could not be read".into();
            row.take_away = self.typed.unlink(&seen.name);
            return Ok(());
        };
        let mut commands = put_back(&seen.name, &seen.observed, &release);
        if self.options.dry_run {
            row.outcome = Outcome::WouldRemove;
            row.put_back = self.typed.in_turn(&commands);
            return Ok(());
        }
        match release_if(&mut self.link, &seen.name, &seen.observed, &release) {
            Ok(Released::Removed { ttl_ms, undo, failed }) => {
                row.outcome = Outcome::Removed;
                row.ttl_ms = ttl_ms;
                commands.extend(undo);
                row.put_back = self.typed.in_turn(&commands);
                let Some(why) = failed else { return Ok(()) };
                let why = format!("what its library's own release does beside failed: {why}");
                row.why = format!("{}; but {why}", row.why);
                Err(Stop::Failed(format!("{}: {why}", row.key)))
            }
            Ok(Released::Gone) => {
                row.outcome = Outcome::Gone;
                row.why = "no client held it any more".into();
                Ok(())
            }
            Ok(Released::Changed) => {
                row.outcome = Outcome::Changed;
                row.why = "it was acquired again, renewed or changed meanwhile".into();
                Ok(())
            }
            Err(error) => {
                row.outcome = Outcome::Failed;
                row.why = self.failure(&error);
                self.goes_on(&error, &row.why)
            }
        }
    }
}
