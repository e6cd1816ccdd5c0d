//! Every lock and flag of a run, or of all runs, as somebody sees them who takes no part. Nothing is
//! changed, and the server is never held up for long: keys are found by SCAN, and looked at some
//! hundred at a time.

use super::name::{FLAG_PREFIX, key_pattern, key_prefix};
use super::protocol::ask;
use super::{Life, LockError, LockName, Payload};
use crate::gate::Link;
use redis::{Pipeline, Value};
use std::collections::BTreeMap;

/// How many locks are looked at in one transaction.
const AT_ONCE: usize = 250;
/// The most of a value that is read, in bytes; no payload is as long.
pub const LONGEST: usize = 16 * 1024;

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
    /// The lock key holds what is no payload of the contract.
    ForeignPayload,
    /// The process that acquired it is gone.
    Orphaned,
    /// It would never end by itself.
    NoTtl,
    /// It is held, and its flag doesn't say so.
    FlagDrift,
    /// Its flag says that it is held, and it isn't: the lease ended, or the holder died between two
    /// commands.
    ExpiredFlag,
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
            None if says_held => State::ExpiredFlag,
            None => State::Free,
            Some(Found::OtherType { .. } | Found::TooLong { .. }) => State::ForeignPayload,
            Some(Found::Payload { payload, life }) => match life {
                _ if payload.owner().is_none() => State::ForeignPayload,
                Life::Dead => State::Orphaned,
                _ if self.ttl_ms == -1 => State::NoTtl,
                _ if !says_held => State::FlagDrift,
                _ => State::Held,
            },
        }
    }

    /// Whether the flag says that the lock is held: the reference takes any value but `false` for
    /// that.
    pub fn says_held(&self) -> bool {
        self.flag.as_deref().is_some_and(|flag| flag != "false")
    }

    /// The payload, if the key holds one that can be read.
    pub fn payload(&self) -> Option<&Payload> {
        match &self.found {
            Some(Found::Payload { payload, .. }) => Some(payload),
            _ => None,
        }
    }
}

/// Looks at every lock and flag of a run, by file.
pub fn survey(link: &mut dyn Link, runid: &str) -> Result<Vec<Sighting>, LockError> {
    let prefix = key_prefix(runid);
    let mut names: BTreeMap<String, LockName> = BTreeMap::new();
    let mut found = |file: &str| {
        names.entry(file.to_owned()).or_insert_with(|| LockName::new(runid, file));
    };
    each(link, "SCAN", None, &key_pattern(runid), &mut |key| {
        key.strip_prefix(&prefix).into_iter().for_each(&mut found);
    })?;
    let mut is_field = true;
    each(link, "HSCAN", Some(runid), &format!("{FLAG_PREFIX}*"), &mut |word| {
        if is_field {
            word.strip_prefix(FLAG_PREFIX).into_iter().for_each(&mut found);
        }
        is_field = !is_field;
    })?;
    look(link, names.into_iter())
}

/// Goes through all that SCAN or HSCAN finds.
fn each(
    link: &mut dyn Link,
    command: &'static str,
    key: Option<&str>,
    pattern: &str,
    take: &mut dyn FnMut(&str),
) -> Result<(), LockError> {
    let mut cursor = String::from("0");
    loop {
        let first = key.unwrap_or(&cursor).to_owned();
        let (next, words): (String, Vec<Vec<u8>>) = ask(link, command, &first, |cmd| {
            if key.is_some() {
                cmd.arg(&cursor);
            }
            cmd.arg("MATCH").arg(pattern).arg("COUNT").arg(1000);
        })?;
        words.iter().for_each(|word| take(&String::from_utf8_lossy(word)));
        if next == "0" {
            return Ok(());
        }
        cursor = next;
    }
}

/// Looks at these locks, some hundred in one transaction.
fn look(
    link: &mut dyn Link,
    names: impl Iterator<Item = (String, LockName)>,
) -> Result<Vec<Sighting>, LockError> {
    let mut names = names.peekable();
    let mut sightings = Vec::new();
    while names.peek().is_some() {
        let some: Vec<(String, LockName)> = names.by_ref().take(AT_ONCE).collect();
        let mut transaction = redis::pipe();
        transaction.atomic().ignore_errors();
        some.iter().for_each(|(_, lock)| ask_about(&mut transaction, lock));
        let replies: Vec<Value> = transaction.query(link).map_err(|source| LockError::Redis {
            command: "GETRANGE",
            key: some.first().map(|(_, lock)| lock.key().to_owned()).unwrap_or_default(),
            source,
        })?;
        let mut replies = replies.into_iter();
        for (file, lock) in some {
            sightings.push(read(file, lock, &mut replies));
        }
    }
    Ok(sightings)
}

fn ask_about(transaction: &mut Pipeline, lock: &LockName) {
    transaction.cmd("TYPE").arg(lock.key());
    transaction.cmd("STRLEN").arg(lock.key());
    transaction.cmd("GETRANGE").arg(lock.key()).arg(0).arg(LONGEST - 1);
    transaction.cmd("PTTL").arg(lock.key());
    transaction.cmd("HMGET").arg(lock.runid()).arg(lock.flag()).arg(lock.fence());
}

fn read(file: String, lock: LockName, replies: &mut impl Iterator<Item = Value>) -> Sighting {
    let mut next = || replies.next().unwrap_or(Value::Nil);
    let (kind, length, value, ttl, fields) = (next(), next(), next(), next(), next());
    let text = |value: Value| redis::from_redis_value::<String>(value).unwrap_or_default();
    let found = match text(kind).as_str() {
        "none" => None,
        "string" => {
            let bytes: u64 = redis::from_redis_value(length).unwrap_or_default();
            let raw: Vec<u8> = redis::from_redis_value(value).unwrap_or_default();
            let payload = Payload::decode(&raw);
            Some(match bytes > LONGEST as u64 {
                true => Found::TooLong { bytes },
                false => Found::Payload { life: Life::of(&payload), payload },
            })
        }
        other => Some(Found::OtherType { name: other.to_owned() }),
    };
    let fields: Vec<Option<Vec<u8>>> = redis::from_redis_value(fields).unwrap_or_default();
    let mut fields =
        fields.into_iter().map(|field| Some(String::from_utf8_lossy(&field?).into_owned()));
    Sighting {
        lock,
        file,
        found,
        ttl_ms: redis::from_redis_value(ttl).unwrap_or(-2),
        flag: fields.next().flatten(),
        fence: fields.next().flatten(),
    }
}
