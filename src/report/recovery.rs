//! What a recovery found and did, as plain data: one row a lock, one a flag, and counts.

use super::status::{HolderRow, diagnosis, key_name, owner};
use lock_lab::format::{Complete, Observed, OtherLock};
use lock_lab::lock::{Found, Payload, Sighting};
use serde::Serialize;

pub use lock_lab::lock::Life;

/// Everything that a recovery says. The members and their names are the JSON format
/// `nodb-trigger/recovery/v1`: members may be added, none removed or renamed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recovery {
    /// [`Recovery::SCHEMA`].
    pub schema: &'static str,
    /// `unlock`, `clear_locks` or `repair`.
    pub command: &'static str,
    /// The server, without any password.
    pub server: String,
    /// The run; none if it was about all runs.
    pub runid: Option<String>,
    /// The file or directory below the run's root that it was about, or the key.
    pub scope: Option<String>,
    /// The database whose keys it was about, if it was about other locks than those of NoDb.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<i64>,
    /// Whether nothing was to be changed.
    pub dry_run: bool,
    /// Whether locks of living owners were to be removed, too.
    pub force: bool,
    /// Why it ended before everything was done, if it did.
    pub stopped: Option<String>,
    /// Which flags could not be read; or what to ask oneself where there was nothing at all by the
    /// name that was meant.
    pub unknown: Option<String>,
    /// How many rows came out how.
    pub counts: Counts,
    /// Each lock, by run and file.
    pub locks: Vec<LockRow>,
    /// Each flag that disagreed with its lock.
    pub flags: Vec<FlagRow>,
    /// Each lock of another library, and each key that may be one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyRow>,
    /// Locks with a name like the one that was meant, which is no lock.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub similar: Vec<String>,
}

/// A lock of another library, or a key that may be one.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct KeyRow {
    /// Its key; as redis-cli quotes it, if it is no UTF-8.
    pub key: String,
    /// The name of its format, if it is known.
    pub format: Option<&'static str>,
    /// What it is, in words.
    pub what: String,
    /// The outcome.
    pub outcome: Outcome,
    /// Why, in words.
    pub why: String,
    /// Who holds it, in words.
    pub owner: Option<String>,
    /// Who holds it; only some, if there are many.
    pub holders: Vec<HolderRow>,
    /// When the first of them acquired it, in seconds since 1970.
    pub acquired_at: Option<u64>,
    /// How many seconds ago that was, by the server's clock.
    pub held_s: Option<u64>,
    /// What was left of its TTL in milliseconds; -1 if it had none.
    pub ttl_ms: i64,
    /// What the key held, if it is a string that is text.
    pub payload: Option<String>,
    /// The bytes of another string, in hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload_hex: Option<String>,
    /// What DUMP made of another value, in hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dump_hex: Option<String>,
    /// The command that puts back what was removed if it was not taken since.
    pub put_back: Option<String>,
    /// The command that takes the lock away which was left.
    pub take_away: Option<String>,
}

/// A lock that was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LockRow {
    /// Its run.
    pub runid: String,
    /// Its file, relative to the run's root.
    pub file: String,
    /// The lock key.
    pub key: String,
    /// The outcome.
    pub outcome: Outcome,
    /// Why, in words.
    pub why: String,
    /// `hostname:pid`, where the payload names it.
    pub owner: Option<String>,
    /// What became of the owner's process, if the key holds a payload.
    pub process: Option<Life>,
    /// When it was acquired, in seconds since 1970, where the payload says it.
    pub acquired_at: Option<u64>,
    /// How many seconds ago that was, by this machine's clock.
    pub held_s: Option<u64>,
    /// Whose acquisition it is.
    pub token: Option<String>,
    /// The fencing token, where the protocol has one.
    pub fence: Option<u64>,
    /// What was left of its TTL in milliseconds; -1 if it had none.
    pub ttl_ms: i64,
    /// The value of the lock key, if it is text.
    pub payload: Option<String>,
    /// The bytes of another value, in hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload_hex: Option<String>,
    /// The command that puts the removed lock back if it was not taken since.
    pub put_back: Option<String>,
    /// The command that takes the lock away which was left.
    pub take_away: Option<String>,
}

/// The outcome for a lock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was removed.
    Removed,
    /// It would have been, but for `--dry-run`.
    WouldRemove,
    /// It was not to be removed.
    Left,
    /// Another owner held it by then, and keeps it.
    Changed,
    /// It was free by then.
    Gone,
    /// The server did not do it, or did not say so.
    Failed,
    /// Its turn never came.
    #[default]
    NotTried,
}

/// A flag that disagreed with its lock.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FlagRow {
    /// Its run.
    pub runid: String,
    /// Its file, relative to the run's root.
    pub file: String,
    /// What it said; nothing if there was none.
    pub was: Option<String>,
    /// What is right, or was when it was looked at.
    pub right: bool,
    /// The outcome.
    pub outcome: FlagOutcome,
    /// Why, in words, where that doesn't go without saying.
    pub why: String,
}

/// The outcome for a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FlagOutcome {
    /// It was set.
    Set,
    /// It would have been, but for `--dry-run`.
    WouldSet,
    /// It was not to be set.
    Left,
    /// It had become right by itself.
    RightByNow,
    /// The server did not do it, or did not say so.
    Failed,
    /// Its turn never came.
    NotTried,
}

/// How many rows came out how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Locks that were removed, or would have been.
    pub removed: usize,
    /// Locks that were not to be removed.
    pub left: usize,
    /// Locks that had changed hands, and were left to the new holder.
    pub changed: usize,
    /// Locks that were gone by then.
    pub gone: usize,
    /// Locks and flags with which it did not work.
    pub failed: usize,
    /// Locks and flags whose turn never came.
    pub not_tried: usize,
    /// Flags that were set, or would have been.
    pub flags_set: usize,
    /// Flags that had become right by themselves.
    pub flags_right_by_now: usize,
}

impl Recovery {
    /// The name of the JSON format, and its version.
    pub const SCHEMA: &'static str = "nodb-trigger/recovery/v1";

    /// Nothing has the name that was meant: that may be a typing error, and is no all-clear.
    pub fn nothing_there(&mut self) {
        if self.unknown.is_some() {
            return;
        }
        self.unknown = self.runid.as_ref().map(|runid| {
            let scope = self.scope.as_ref().map(|scope| format!("{scope} in ")).unwrap_or_default();
            format!(
                "no lock and no flag of {scope}run {runid}; is the name, and the server, right?"
            )
        });
    }

    /// Counts the rows.
    pub fn count(&mut self) {
        let locks = |outcome| {
            let of_keys = self.keys.iter().map(|row| row.outcome);
            let all = self.locks.iter().map(|row| row.outcome).chain(of_keys);
            all.filter(|each| *each == outcome).count()
        };
        let flags = |outcome| self.flags.iter().filter(|row| row.outcome == outcome).count();
        self.counts = Counts {
            removed: locks(Outcome::Removed) + locks(Outcome::WouldRemove),
            left: locks(Outcome::Left),
            changed: locks(Outcome::Changed),
            gone: locks(Outcome::Gone),
            failed: locks(Outcome::Failed) + flags(FlagOutcome::Failed),
            not_tried: locks(Outcome::NotTried) + flags(FlagOutcome::NotTried),
            flags_set: flags(FlagOutcome::Set) + flags(FlagOutcome::WouldSet),
            flags_right_by_now: flags(FlagOutcome::RightByNow),
        };
    }
}

impl LockRow {
    /// A lock as it was seen `now` (seconds since 1970), whose turn is still to come.
    pub fn new(seen: &Sighting, now: u64) -> Self {
        let payload = seen.payload();
        let acquired_at = payload.and_then(|payload| payload.acquired_at());
        let process = match &seen.found {
            Some(Found::Payload { life, .. }) => Some(life.clone()),
            _ => None,
        };
        Self {
            runid: seen.lock.runid().into(),
            file: seen.file.clone(),
            key: seen.lock.key().into(),
            outcome: Outcome::NotTried,
            why: String::new(),
            owner: payload.and_then(|payload| payload.owner()).map(str::to_owned),
            process,
            acquired_at,
            held_s: acquired_at.map(|then| now.saturating_sub(then)),
            token: payload.map(token),
            fence: payload.and_then(|payload| payload.fence()),
            ttl_ms: seen.ttl_ms,
            payload: payload.and_then(|payload| text(payload.raw())),
            payload_hex: payload.and_then(|payload| hex_unless_text(payload.raw())),
            put_back: None,
            take_away: None,
        }
    }
}

impl KeyRow {
    /// A key that holds this, whose turn is still to come.
    pub fn new(key: &[u8], observed: Option<&Observed>) -> Self {
        let holds = observed.map(|observed| &observed.holds);
        let string = match holds {
            Some(Complete::String(value)) => Some(value.as_slice()),
            _ => None,
        };
        Self {
            key: key_name(key),
            ttl_ms: observed.map_or(-2, |observed| observed.ttl_ms),
            payload: string.and_then(text),
            payload_hex: string.and_then(hex_unless_text),
            dump_hex: match holds {
                Some(Complete::Dump(dump)) => Some(hex(dump)),
                _ => None,
            },
            ..Self::default()
        }
    }

    /// The same of a lock that was found under it at this time, in seconds since 1970.
    #[must_use]
    pub fn of_lock(self, found: &OtherLock, now: u64) -> Self {
        let since = found.lock.holders.iter().filter_map(|holder| holder.since).min();
        let acquired_at = since.map(|since| since.as_secs());
        Self {
            format: Some(found.lock.format),
            what: diagnosis(found),
            owner: owner(&found.lock),
            holders: found.lock.holders.iter().map(HolderRow::from).collect(),
            acquired_at,
            held_s: acquired_at.map(|then| now.saturating_sub(then)),
            ..self
        }
    }
}

fn text(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

fn hex_unless_text(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).is_err().then(|| hex(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The token of a payload; as redis-cli quotes the value, if that is no UTF-8.
fn token(payload: &Payload) -> String {
    match std::str::from_utf8(payload.raw()) {
        Ok(_) => payload.token().as_str().to_owned(),
        Err(_) => key_name(payload.raw()),
    }
}

impl FlagRow {
    /// A flag as it was seen, whose turn is still to come.
    pub fn new(seen: &Sighting) -> Self {
        Self {
            runid: seen.lock.runid().into(),
            file: seen.file.clone(),
            was: seen.flag.clone(),
            right: seen.found.is_some(),
            outcome: FlagOutcome::NotTried,
            why: String::new(),
        }
    }
}
