//! Looks at a server without changing anything: which keys there are, and what is in them.

use super::watch::Watch;
use lock_lab::server::Line;
use redis::{Cmd, RedisError, ServerError, Value, cmd};
use redis_sim::clock::{Clock, Stopped};
use std::collections::BTreeSet;

/// What was found in a key.
#[derive(Debug)]
pub(super) struct KeySnapshot {
    pub content: Content,
    pub ttl: i64,
    pub flag: Option<Vec<u8>>,
}

/// What a key holds.
#[derive(Debug, PartialEq)]
pub(super) enum Content {
    /// There is no such key.
    Nothing,
    /// A string.
    Text(Vec<u8>),
    /// A hash: its fields and their values.
    Hash(Vec<(Vec<u8>, Vec<u8>)>),
    /// A set.
    Set(Vec<Vec<u8>>),
    /// A sorted set: its members and their scores.
    Sorted(Vec<(Vec<u8>, f64)>),
    /// Something that is not followed, by its name.
    Other(String),
    /// Its type changed while it was read.
    Changed,
}

impl Content {
    /// Whether it is nothing but a string.
    pub fn is_text(&self) -> bool {
        matches!(self, Content::Nothing | Content::Text(_))
    }

    /// The name of its type.
    pub fn kind(&self) -> &str {
        match self {
            Content::Nothing => "none",
            Content::Text(_) => "string",
            Content::Hash(_) => "hash",
            Content::Set(_) => "set",
            Content::Sorted(_) => "sorted set",
            Content::Other(kind) => kind,
            Content::Changed => "value of a new type",
        }
    }
}

/// The most members of a key that are read.
const MOST: usize = 1000;

/// The watched keys that are there, by SCAN.
pub(super) fn scan(
    link: &mut Line,
    watch: &Watch,
    clock: &dyn Clock,
) -> Result<BTreeSet<Vec<u8>>, RedisError> {
    let mut found = BTreeSet::new();
    for pattern in watch.patterns() {
        let mut cursor: u64 = 0;
        loop {
            let mut scan = cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(1000);
            let (next, keys): (u64, Vec<Vec<u8>>) = scan.query(link)?;
            found.extend(keys);
            cursor = next;
            if cursor == 0 || clock.check() == Err(Stopped::Interrupted) {
                break;
            }
        }
    }
    Ok(found)
}

/// What was found in some keys, or why it could not be read.
pub(super) type KeySnapshots = Vec<(Vec<u8>, Result<KeySnapshot, String>)>;

/// Looks at some keys: what is in each, its TTL, and the mirror flag of a NoDb lock, in a transaction.
pub(super) fn snapshot_keys(link: &mut Line, keys: &[Vec<u8>]) -> Result<KeySnapshots, RedisError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut commands = Vec::new();
    keys.iter().for_each(|key| cmd("TYPE").arg(key).write_packed_command(&mut commands));
    link.send_packed_command(&commands)?;
    let types: Vec<Value> = keys.iter().map(|_| link.recv_response()).collect::<Result<_, _>>()?;
    commands.clear();
    for (key, kind) in keys.iter().zip(&types) {
        cmd("MULTI").write_packed_command(&mut commands);
        reading(kind, key).write_packed_command(&mut commands);
        if let Some(name) = Watch::name_of(key) {
            cmd("HGET").arg(name.runid()).arg(name.flag()).write_packed_command(&mut commands);
        }
        cmd("PTTL").arg(key).write_packed_command(&mut commands);
        cmd("EXEC").write_packed_command(&mut commands);
    }
    link.send_packed_command(&commands)?;
    let mut snapshots = Vec::with_capacity(keys.len());
    for (key, kind) in keys.iter().zip(types) {
        let queued = if Watch::name_of(key).is_some() { 4 } else { 3 };
        let mut refused = None;
        for _ in 0..queued {
            if let Value::ServerError(error) = link.recv_response()? {
                refused.get_or_insert(error);
            }
        }
        let found = match (link.recv_response()?, kind, refused) {
            (_, Value::ServerError(error), _) | (_, _, Some(error)) => Err(not_read(error)),
            (Value::Array(replies), Value::SimpleString(kind), _) => read_snapshot(&kind, replies),
            _ => Err("it could not be read".into()),
        };
        snapshots.push((key.clone(), found));
    }
    Ok(snapshots)
}

/// The command that reads a key of this type; of a large one, a part.
fn reading(kind: &Value, key: &[u8]) -> Cmd {
    let mut reading = match kind {
        Value::SimpleString(kind) if kind == "hash" => cmd("HSCAN"),
        Value::SimpleString(kind) if kind == "set" => cmd("SSCAN"),
        Value::SimpleString(kind) if kind == "zset" => {
            return cmd("ZRANGE").arg(key).arg(0).arg(MOST).arg("WITHSCORES").take();
        }
        Value::SimpleString(kind) if kind == "string" || kind == "none" => {
            return cmd("GET").arg(key).take();
        }
        // What it holds is not followed.
        _ => return cmd("TYPE").arg(key).take(),
    };
    reading.arg(key).arg(0).arg("COUNT").arg(MOST).take()
}

fn not_read(error: ServerError) -> String {
    format!("it could not be read: {}", RedisError::from(error))
}

/// Why a key that holds another type than a string is not followed.
pub(super) fn other_type(name: &str) -> String {
    let article = if name.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("it holds {article} {name}, which is not followed")
}

fn read_snapshot(kind: &str, replies: Vec<Value>) -> Result<KeySnapshot, String> {
    let mut replies = replies.into_iter();
    let (content, mut last) = (replies.next(), replies.next());
    let flag = replies.next().and_then(|ttl| match last.replace(ttl) {
        Some(Value::BulkString(flag)) => Some(flag),
        _ => None,
    });
    let content = match content {
        Some(Value::ServerError(error)) if error.code() == "WRONGTYPE" => Content::Changed,
        Some(Value::ServerError(error)) => return Err(not_read(error)),
        Some(content) => read_content(kind, content).ok_or_else(|| {
            format!("it holds a {kind} with more than {MOST} members, which is not followed")
        })?,
        None => return Err("it could not be read".into()),
    };
    match last {
        Some(Value::Int(ttl)) => Ok(KeySnapshot { content, ttl, flag }),
        Some(Value::ServerError(error)) => Err(not_read(error)),
        _ => Err("it could not be read".into()),
    }
}

/// What a reply shows of a key of this type; nothing if that is not all.
fn read_content(kind: &str, reply: Value) -> Option<Content> {
    let list = match (kind, reply) {
        ("string" | "none", Value::BulkString(text)) => return Some(Content::Text(text)),
        ("string" | "none", _) => return Some(Content::Nothing),
        ("hash" | "set", Value::Array(scanned)) => {
            let [Value::BulkString(cursor), Value::Array(list)] = scanned.as_slice() else {
                return None;
            };
            (cursor == b"0").then(|| list.clone())?
        }
        ("zset", Value::Array(list)) => list,
        (kind, _) => return Some(Content::Other(kind.into())),
    };
    let mut list: Vec<Vec<u8>> = redis::from_redis_value(Value::Array(list)).ok()?;
    if list.is_empty() {
        return Some(Content::Nothing);
    }
    if kind == "set" {
        return Some(Content::Set(list));
    }
    let pairs = list.chunks_exact_mut(2).filter_map(|pair| match pair {
        [one, other] => Some((std::mem::take(one), std::mem::take(other))),
        _ => None,
    });
    let pairs: Vec<(Vec<u8>, Vec<u8>)> = pairs.collect();
    match kind {
        "hash" => Some(Content::Hash(pairs)),
        _ if pairs.len() > MOST => None,
        _ => {
            let score = |(member, score): (Vec<u8>, Vec<u8>)| {
                Some((member, std::str::from_utf8(&score).ok()?.parse().ok()?))
            };
            pairs.into_iter().map(score).collect::<Option<_>>().map(Content::Sorted)
        }
    }
}
