//! Takes a lock of any format away: exactly what was seen, in one script, with what the release of its
//! library does beside. The caller decides whether it may go.

use super::{Content, Holder, Key, Lock, LockFormat, Recognised, recognised_by};
use crate::intercept::Link;
use crate::lock::{LockError, Result};
use redis::FromRedisValue;

/// The longest string, and the longest serialisation of another value, that is removed, in bytes: what
/// puts it back must fit on a command line.
pub const LONGEST_REMOVED: usize = 16 * 1024;
/// The most elements of a value that is removed.
const MOST_ELEMENTS: u64 = 1000;
/// The most memory that a value takes whose serialisation may be short enough, in bytes.
const MOST_MEMORY: u64 = 256 * 1024;

/// A command: its name and its arguments.
pub type Words = Vec<Vec<u8>>;

/// The outcome of reading all of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// All of it.
    Seen(Observed),
    /// It is too long to be removed: what it is.
    TooLong(String),
    /// It does not exist.
    Gone,
}

/// All that a key held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// What it held.
    pub holds: Complete,
    /// What was left of its TTL in milliseconds; -1 if it had none.
    pub ttl_ms: i64,
}

/// A complete value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Complete {
    /// A string.
    String(Vec<u8>),
    /// A value of another type, as DUMP serialises it.
    Dump(Vec<u8>),
}

/// What goes from the key when a lock is released.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Part {
    /// The key.
    #[default]
    Key,
    /// Fields of a hash that have these values.
    Fields(Vec<(Vec<u8>, Vec<u8>)>),
    /// Members of a sorted set that have these scores.
    Members(Vec<(Vec<u8>, f64)>),
}

/// What the release of a lock does. A format states it for its locks; of anything else, the key goes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Release {
    pub(super) part: Part,
    /// Whether the key may hold more than locks, so that only the elements of holders go.
    pub(super) keeps_the_key: bool,
    /// Lua that runs after the removal. `KEYS[2]` and further are `keys`, `given` is `given`; `drop(key)`
    /// deletes a key so that it can be put back, and `undo` takes in commands that put back other things.
    pub(super) beside: &'static str,
    /// Further keys that it touches.
    pub(super) keys: Vec<Vec<u8>>,
    /// What else it needs to know.
    pub(super) given: Vec<Vec<u8>>,
    /// Keys that must not exist, or else the key is no lock.
    pub(super) absent: Vec<Vec<u8>>,
}

/// The outcome of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Released {
    /// It was removed.
    Removed {
        /// What was left of its TTL in milliseconds; -1 if it had none.
        ttl_ms: i64,
        /// The commands that put back what went beside.
        undo: Vec<Words>,
        /// Why what the library's own release does beside was not done, if the server refused it.
        failed: Option<String>,
    },
    /// The key did not exist any more.
    Gone,
    /// It was not as it was seen. Nothing was changed.
    Changed,
}

/// KEYS: the key, keys that the format touches, keys that must not exist. ARGV: how it is compared, the
/// TTL that was seen, the value that was seen, the number of elements that go, the number of keys that
/// the format touches; those elements with their values; what else the format gives.
///
/// All that can fail is done before the first write, but for what the format does beside: that failure
/// is reported with the removal. A TTL that grew shows a renewal, or a newer lock of the same value.
const RELEASE: &str = r#"
local kind = redis.call('TYPE', KEYS[1])['ok']
if kind == 'none' then return {'gone', -2, '', {}} end
local how, seen, elements, touched = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[4]), tonumber(ARGV[5])
local changed = {'changed', -2, '', {}}
for at = touched + 2, #KEYS do
  if redis.call('EXISTS', KEYS[at]) == 1 then return changed end
end
local ttl = redis.call('PTTL', KEYS[1])
local is_renewed = (seen == -1) ~= (ttl == -1) or ttl > seen
if how == 'string' then
  if kind ~= 'string' or redis.call('STRLEN', KEYS[1]) ~= #ARGV[3] then return changed end
  if is_renewed or redis.call('GET', KEYS[1]) ~= ARGV[3] then return changed end
elseif how == 'dump' then
  if is_renewed or kind == 'string' or redis.call('DUMP', KEYS[1]) ~= ARGV[3] then return changed end
elseif kind ~= how then
  return changed
end
for at = 6, 4 + 2 * elements, 2 do
  if how == 'hash' then
    if redis.call('HGET', KEYS[1], ARGV[at]) ~= ARGV[at + 1] then return changed end
  else
    local score = redis.call('ZSCORE', KEYS[1], ARGV[at])
    if not score or tonumber(score) ~= tonumber(ARGV[at + 1]) then return changed end
  end
end
if elements == 0 then redis.call('DEL', KEYS[1]) end
for at = 6, 4 + 2 * elements, 2 do
  redis.call(how == 'hash' and 'HDEL' or 'ZREM', KEYS[1], ARGV[at])
end
local undo = {}
local function drop(key)
  local dump = redis.call('DUMP', key)
  if not dump then return end
  local left = string.format('%.0f', math.max(redis.call('PTTL', key), 0))
  redis.call('DEL', key)
  undo[#undo + 1] = {'RESTORE', key, left, dump}
end
local given = {}
for at = 6 + 2 * elements, #ARGV do given[#given + 1] = ARGV[at] end
local done, failed = pcall(function()
BESIDE
end)
if elements > 0 and ttl > 0 and redis.call('EXISTS', KEYS[1]) == 0 then
  undo[#undo + 1] = {'PEXPIRE', KEYS[1], string.format('%.0f', ttl)}
end
if done then failed = '' elseif type(failed) == 'table' then failed = failed['err'] end
return {'removed', ttl, tostring(failed), undo}
"#;

/// Reads all of a key, unless it is too long to be removed.
///
/// # Errors
///
/// [`LockError::Redis`] if a command fails or is refused.
pub fn observe(link: &mut dyn Link, key: &[u8]) -> Result<Observation> {
    let kind: String = ask(link, "TYPE", key, &[])?;
    let holds = match kind.as_str() {
        "none" => return Ok(Observation::Gone),
        "string" => {
            let most = LONGEST_REMOVED.to_string();
            let start: Vec<u8> = ask(link, "GETRANGE", key, &["0", &most])?;
            if start.len() > LONGEST_REMOVED {
                let length: u64 = ask(link, "STRLEN", key, &[])?;
                return Ok(Observation::TooLong(format!("a string (length {length})")));
            }
            Complete::String(start)
        }
        kind => match dump(link, key, kind)? {
            Ok(Some(dump)) => Complete::Dump(dump),
            Ok(None) => return Ok(Observation::Gone),
            Err(words) => return Ok(Observation::TooLong(words)),
        },
    };
    let ttl_ms: i64 = ask(link, "PTTL", key, &[])?;
    Ok(match ttl_ms {
        -2 => Observation::Gone,
        _ => Observation::Seen(Observed { holds, ttl_ms }),
    })
}

/// The serialisation of a value that is no string, or what it is if it is too long.
fn dump(
    link: &mut dyn Link,
    key: &[u8],
    kind: &str,
) -> Result<std::result::Result<Option<Vec<u8>>, String>> {
    let counts = match kind {
        "hash" => Some("HLEN"),
        "zset" => Some("ZCARD"),
        "list" => Some("LLEN"),
        "set" => Some("SCARD"),
        _ => None,
    };
    if let Some(name) = counts {
        let size: u64 = ask(link, name, key, &[])?;
        if size > MOST_ELEMENTS {
            return Ok(Err(format!("a {kind} (size {size})")));
        }
    }
    let mut usage = redis::cmd("MEMORY");
    usage.arg("USAGE").arg(key).arg("SAMPLES").arg(0);
    // Only to spare the server: one that does not tell is asked for all of it.
    let bytes: Option<u64> = usage.query(link).unwrap_or(None);
    if bytes.is_some_and(|bytes| bytes > MOST_MEMORY) {
        return Ok(Err(format!("a {kind} of {} bytes", bytes.unwrap_or_default())));
    }
    let dump: Option<Vec<u8>> = ask(link, "DUMP", key, &[])?;
    Ok(match dump {
        Some(dump) if dump.len() > LONGEST_REMOVED => {
            Err(format!("a {kind} of {} bytes", dump.len()))
        }
        dump => Ok(dump),
    })
}

fn ask<T: FromRedisValue>(
    link: &mut dyn Link,
    name: &'static str,
    key: &[u8],
    rest: &[&str],
) -> Result<T> {
    let mut command = redis::cmd(name);
    command.arg(key).arg(rest);
    command.query(link).map_err(LockError::redis(name, &String::from_utf8_lossy(key)))
}

/// The release of these holders of a lock, as its format states it. Nothing if it is not known
/// which elements of the key are theirs.
pub fn release_of(key: &Key<'_>, lock: &Lock, holders: &[Holder]) -> Option<Release> {
    let (format, recognised): (&dyn LockFormat, _) = recognised_by(key)?;
    let mut release = format.release(key, holders);
    if let Recognised::PartOf { keys, .. } = recognised {
        release.absent = keys;
    }
    if release.keeps_the_key || (holders.len() as u64) < lock.held_by {
        release.part = elements(key.content, holders)?;
    }
    Some(release)
}

/// The elements that stand for these holders.
fn elements(content: &Content, holders: &[Holder]) -> Option<Part> {
    let names = holders.iter().map(Holder::element);
    match content {
        Content::Hash { fields, .. } => {
            let field = |wanted: Option<&[u8]>| {
                let (name, value) = fields.iter().find(|(name, _)| Some(&name[..]) == wanted)?;
                Some((name.clone(), value.clone()?))
            };
            names.map(field).collect::<Option<_>>().map(Part::Fields)
        }
        Content::Sorted { members, .. } => {
            let member = |wanted: Option<&[u8]>| {
                members.iter().find(|(member, _)| Some(&member[..]) == wanted).cloned()
            };
            names.map(member).collect::<Option<_>>().map(Part::Members)
        }
        _ => None,
    }
}

/// Releases a lock in one script if its key, or the part of it that goes, is still as it was observed.
///
/// # Errors
///
/// [`LockError::Redis`] if the script fails or is refused; nothing is changed if the server says so.
pub fn release_if(
    link: &mut dyn Link,
    key: &[u8],
    observed: &Observed,
    release: &Release,
) -> Result<Released> {
    let (how, value) = match (&release.part, &observed.holds) {
        (Part::Key, Complete::String(value)) => ("string", value.as_slice()),
        (Part::Key, Complete::Dump(dump)) => ("dump", dump.as_slice()),
        (Part::Fields(_), _) => ("hash", &[][..]),
        (Part::Members(_), _) => ("zset", &[][..]),
    };
    let elements: Vec<(&[u8], Vec<u8>)> = match &release.part {
        Part::Key => Vec::new(),
        Part::Fields(fields) => fields.iter().map(|(name, it)| (&name[..], it.clone())).collect(),
        Part::Members(members) => {
            members.iter().map(|(member, score)| (&member[..], score_text(*score))).collect()
        }
    };
    let mut call = redis::cmd("EVAL");
    call.arg(RELEASE.replace("BESIDE", release.beside));
    call.arg(1 + release.keys.len() + release.absent.len());
    call.arg(key).arg(&release.keys).arg(&release.absent);
    call.arg(how).arg(observed.ttl_ms).arg(value).arg(elements.len()).arg(release.keys.len());
    for (element, value) in &elements {
        call.arg(*element).arg(value);
    }
    call.arg(&release.given);
    let name = String::from_utf8_lossy(key);
    let reply: (String, i64, String, Vec<Words>) =
        call.query(link).map_err(LockError::redis("EVAL", &name))?;
    let (done, ttl_ms, failed, undo) = reply;
    Ok(match done.as_str() {
        "removed" => {
            let failed = (!failed.is_empty()).then_some(failed);
            Released::Removed { ttl_ms, undo, failed }
        }
        "gone" => Released::Gone,
        _ => Released::Changed,
    })
}

fn score_text(score: f64) -> Vec<u8> {
    score.to_string().into()
}

/// The commands that put back what a release removes from the key, unless it was taken since.
pub fn put_back(key: &[u8], observed: &Observed, release: &Release) -> Vec<Words> {
    let command = |words: &[&[u8]]| words.iter().map(|word| word.to_vec()).collect::<Words>();
    let left = observed.ttl_ms.max(1).to_string();
    match (&release.part, &observed.holds) {
        (Part::Key, Complete::String(value)) => {
            let mut set = command(&[b"SET", key, value, b"NX"]);
            if observed.ttl_ms >= 0 {
                set.extend(command(&[b"PX", left.as_bytes()]));
            }
            vec![set]
        }
        (Part::Key, Complete::Dump(dump)) => {
            let left = if observed.ttl_ms < 0 { "0" } else { &left };
            vec![command(&[b"RESTORE", key, left.as_bytes(), dump])]
        }
        (Part::Fields(fields), _) => {
            let field =
                |(name, value): &(Vec<u8>, Vec<u8>)| command(&[b"HSETNX", key, name, value]);
            fields.iter().map(field).collect()
        }
        (Part::Members(members), _) => {
            let member = |(member, score): &(Vec<u8>, f64)| {
                command(&[b"ZADD", key, b"NX", &score_text(*score), member])
            };
            members.iter().map(member).collect()
        }
    }
}
