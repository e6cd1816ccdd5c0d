//! Reads keys of any type, some hundred at a time and a little of each: what a recogniser needs. No long
//! value is fetched; names of fields are, however long.

use super::name::says_lock;
use super::shape::uuid;
use super::{Content, declared, huey};
use crate::intercept::Link;
use crate::lock::{LockError, Result};
use redis::{Cmd, FromRedisValue, Value, from_redis_value};

/// The most of a string that is read, in bytes: no lock's value is as long.
pub const LONGEST: usize = 384;
/// The largest hash of which all fields are read.
const ALL_FIELDS: u64 = 64;
/// How many fields of a larger one are.
const SOME_FIELDS: usize = 16;
/// The most members of a sorted set that are read.
const MEMBERS: usize = 16;
/// The longest value of a field that is read, in bytes.
const LONGEST_FIELD: u64 = 256;
/// How the server keeps sorted sets of which each member is short.
const COMPACT: [&str; 2] = ["listpack", "ziplist"];

/// The outcome of reading a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Read {
    /// It exists.
    Seen {
        /// What it holds.
        content: Content,
        /// What is left of its TTL in milliseconds; -1 if it has none.
        ttl_ms: i64,
    },
    /// It does not exist, or not any more.
    Gone,
    /// It became a key of another type meanwhile.
    Changed,
    /// The server does not show it: its words.
    Hidden(String),
}

/// Reads these keys.
pub(super) fn read_all(link: &mut dyn Link, keys: &[Vec<u8>]) -> Result<Vec<Read>> {
    let kinds = ask(link, keys.iter().map(|key| command("TYPE", key)).collect())?;
    let kinds: Vec<Answer<String>> = kinds.into_iter().map(|kind| answer("TYPE", kind)).collect();
    let mut commands = Vec::new();
    for (key, kind) in keys.iter().zip(&kinds) {
        if let Answer::Is(kind) = kind {
            commands.extend(questions(key, kind));
        }
    }
    let mut replies = ask(link, commands)?.into_iter();
    let mut read: Vec<Read> = Vec::with_capacity(keys.len());
    for (key, kind) in keys.iter().zip(kinds) {
        read.push(match kind {
            Answer::Is(kind) => {
                let replies: Vec<Value> =
                    replies.by_ref().take(questions(key, &kind).len()).collect();
                first(kind, replies)
            }
            Answer::Refused(words) => Read::Hidden(words),
            Answer::OtherType => Read::Changed,
        });
    }
    read_elements(link, keys, &mut read)?;
    read_fields(link, keys, &mut read)?;
    Ok(read)
}

/// The fields of huey that are locks, and how many fields are gone through for one reply.
const HUEY_LOCKS: [&str; 4] = ["MATCH", "*.lock.*", "COUNT", "10000"];
/// How many replies are asked for.
const MOST_PAGES: usize = 200;

/// The words of an error reply to a command.
pub(super) fn refusal(name: &str, error: &redis::ServerError) -> String {
    format!("{} {} ({name})", error.code(), error.details().unwrap_or_default())
}

/// What is asked about a key of this type first; nothing about one that can't be a lock.
fn questions(key: &[u8], kind: &str) -> Vec<Cmd> {
    let size = match kind {
        "string" => "STRLEN",
        "hash" => "HLEN",
        "zset" => "ZCARD",
        "list" => "LLEN",
        "set" => "SCARD",
        _ => "",
    };
    // The elements of a list or a set name no holder: without a name that speaks of a lock it is none.
    let is_wanted = matches!(kind, "string" | "hash" | "zset") || says_lock(key).is_some();
    if kind == "none" || !is_wanted {
        return Vec::new();
    }
    let mut commands = Vec::new();
    if !size.is_empty() {
        commands.push(command(size, key));
    }
    match kind {
        "string" => {
            let mut start = command("GETRANGE", key);
            start.arg(0).arg(LONGEST - 1);
            commands.push(start);
        }
        "zset" => {
            let mut encoding = redis::cmd("OBJECT");
            encoding.arg("ENCODING").arg(key);
            commands.push(encoding);
        }
        _ => {}
    }
    commands.push(command("PTTL", key));
    commands
}

/// What the first replies say of a key.
fn first(kind: String, replies: Vec<Value>) -> Read {
    if replies.is_empty() {
        return match kind.as_str() {
            "none" | "" => Read::Gone,
            // Of no interest: what it holds, and its TTL, was not asked.
            _ => Read::Seen { content: Content::Other(kind), ttl_ms: -1 },
        };
    }
    let names: &[&str] = match kind.as_str() {
        "string" => &["STRLEN", "GETRANGE", "PTTL"],
        "hash" => &["HLEN", "PTTL"],
        "zset" => &["ZCARD", "OBJECT", "PTTL"],
        "list" => &["LLEN", "PTTL"],
        "set" => &["SCARD", "PTTL"],
        _ => &["PTTL"],
    };
    let mut values = Vec::new();
    for (name, reply) in names.iter().zip(replies) {
        match answer::<Value>(name, reply) {
            Answer::Is(value) => values.push(value),
            Answer::OtherType => return Read::Changed,
            // A server that does not say how it keeps a sorted set: its members are not read.
            Answer::Refused(words) if *name == "OBJECT" && !words.starts_with("NOPERM") => {
                values.push(Value::Nil);
            }
            Answer::Refused(words) => return Read::Hidden(words),
        }
    }
    match values.pop().and_then(|ttl| from_redis_value(ttl).ok()) {
        None | Some(-2) => Read::Gone,
        Some(ttl_ms) => Read::Seen { content: content(kind, values), ttl_ms },
    }
}

/// What a key of this type holds, by its size and what else was asked.
fn content(kind: String, values: Vec<Value>) -> Content {
    let mut values = values.into_iter();
    let size = values.next().and_then(|size| from_redis_value(size).ok()).unwrap_or(0);
    let other = values.next();
    match kind.as_str() {
        "string" => {
            let start: Vec<u8> = other.and_then(|it| from_redis_value(it).ok()).unwrap_or_default();
            // It may have been replaced since its length was asked.
            let is_complete = start.len() < LONGEST;
            let length = if is_complete { start.len() as u64 } else { size };
            Content::String { length, start }
        }
        "hash" => Content::Hash { size, fields: Vec::new() },
        "zset" => {
            let encoding: Option<String> = other.and_then(|it| from_redis_value(it).ok());
            let is_compact = encoding.is_some_and(|it| COMPACT.contains(&it.as_str()));
            // A place for those that will be read.
            let members = if is_compact { vec![(Vec::new(), 0.0)] } else { Vec::new() };
            Content::Sorted { size, members }
        }
        "list" => Content::List { size },
        "set" => Content::Set { size },
        _ => Content::Other(kind),
    }
}

/// Reads the names of the fields of hashes, and the members of sorted sets.
fn read_elements(link: &mut dyn Link, keys: &[Vec<u8>], read: &mut [Read]) -> Result {
    let mut commands = Vec::new();
    let mut asked = Vec::new();
    for (key, one) in keys.iter().zip(read) {
        let Read::Seen { content, .. } = &*one else { continue };
        if let Some((name, command)) = elements(key, content) {
            commands.push(command);
            asked.push((key, name, one));
        }
    }
    let replies = ask(link, commands)?;
    for ((key, name, one), reply) in asked.into_iter().zip(replies) {
        let reply = if name == "HSCAN" { scan_on(link, key, reply)? } else { reply };
        match (answer::<Value>(name, reply), &mut *one) {
            (Answer::Is(reply), Read::Seen { content, .. }) => take_elements(content, name, reply),
            (Answer::Is(_), _) => {}
            (Answer::OtherType, _) => *one = Read::Changed,
            // Servers before 6.2 don't have the command; locks in as large a hash are not recognised.
            (Answer::Refused(words), _) if name == "HRANDFIELD" && !words.starts_with("NOPERM") => {
            }
            (Answer::Refused(words), _) => *one = Read::Hidden(words),
        }
    }
    Ok(())
}

/// The command that asks for names of fields, or for members; nothing if there are none to ask for.
fn elements(key: &[u8], content: &Content) -> Option<(&'static str, Cmd)> {
    let asks = |name: &'static str, arguments: &[&str]| {
        let mut asks = command(name, key);
        asks.arg(arguments);
        Some((name, asks))
    };
    match content {
        // The locks are among the results of tasks, of which there may be many.
        Content::Hash { .. } if key.starts_with(b"huey.") => {
            let [matches, pattern, count, number] = HUEY_LOCKS;
            asks("HSCAN", &["0", matches, pattern, count, number])
        }
        Content::Hash { size, .. } if *size <= ALL_FIELDS => asks("HKEYS", &[]),
        Content::Hash { .. } => asks("HRANDFIELD", &[&SOME_FIELDS.to_string()]),
        Content::Sorted { members, .. } if !members.is_empty() => {
            asks("ZRANGE", &["0", &(MEMBERS - 1).to_string(), "WITHSCORES"])
        }
        _ => None,
    }
}

fn take_elements(content: &mut Content, name: &str, reply: Value) {
    match content {
        Content::Hash { size, fields } => {
            let mut names: Vec<Vec<u8>> = match name {
                "HSCAN" => scanned(reply),
                _ => from_redis_value(reply).unwrap_or_default(),
            };
            match name {
                "HKEYS" => *size = names.len() as u64,
                // What decides whether it is a lock of readers may not be among some fields.
                "HRANDFIELD" if names.first().is_some_and(|name| is_client(name)) => {
                    names.retain(|name| name != b"mode");
                    names.push(b"mode".to_vec());
                }
                _ => {}
            }
            fields.extend(names.into_iter().map(|name| (name, None)));
        }
        Content::Sorted { members, .. } => *members = from_redis_value(reply).unwrap_or_default(),
        _ => {}
    }
}

/// Goes on with HSCAN to the end; gives one reply with all that was found. A hash that does not end soon is
/// answered as one that can't be read.
fn scan_on(link: &mut dyn Link, key: &[u8], reply: Value) -> Result<Value> {
    let mut all = Vec::new();
    let mut page = reply;
    for _ in 0..MOST_PAGES {
        let Ok((cursor, found)) = <(Vec<u8>, Vec<Value>)>::from_redis_value(page.clone()) else {
            return Ok(page);
        };
        all.extend(found);
        if cursor == b"0" {
            return Ok(Value::Array(vec![Value::BulkString(cursor), Value::Array(all)]));
        }
        let mut next = command("HSCAN", key);
        next.arg(cursor).arg(&HUEY_LOCKS);
        page = ask(link, vec![next])?.pop().unwrap_or(Value::Nil);
    }
    let error = format!("-ERR not all of its fields were looked at, after {MOST_PAGES} pages\r\n");
    redis::parse_redis_value(error.as_bytes()).map_err(LockError::redis("HSCAN", ""))
}

/// The names in a reply to HSCAN.
fn scanned(reply: Value) -> Vec<Vec<u8>> {
    let (_, pairs) = <(Vec<u8>, Vec<Vec<u8>>)>::from_redis_value(reply).unwrap_or_default();
    pairs.into_iter().step_by(2).collect()
}

/// Reads the values of fields that may be those of a lock, if they are short.
fn read_fields(link: &mut dyn Link, keys: &[Vec<u8>], read: &mut [Read]) -> Result {
    let mut wanted = Vec::new();
    for (at, (key, one)) in keys.iter().zip(&*read).enumerate() {
        let Read::Seen { content: Content::Hash { fields, .. }, .. } = one else { continue };
        let of_lock = fields.iter().enumerate().filter(|(_, (name, _))| has_value(key, name));
        wanted.extend(of_lock.map(|(field, (name, _))| (at, field, key, name.clone())));
    }
    let of_field = |name: &str, (_, _, key, field): &(usize, usize, &Vec<u8>, Vec<u8>)| {
        let mut asks = command(name, key);
        asks.arg(field);
        asks
    };
    let lengths = ask(link, wanted.iter().map(|one| of_field("HSTRLEN", one)).collect())?;
    let mut short = Vec::new();
    for (one, length) in wanted.into_iter().zip(lengths) {
        match answer::<u64>("HSTRLEN", length) {
            Answer::Is(length) if length > LONGEST_FIELD => {}
            Answer::Is(_) => short.push(one),
            refused => refuse(read, one.0, refused),
        }
    }
    let values = ask(link, short.iter().map(|one| of_field("HGET", one)).collect())?;
    for ((at, field, _, _), value) in short.into_iter().zip(values) {
        let value = match answer::<Option<Vec<u8>>>("HGET", value) {
            Answer::Is(value) => value,
            refused => {
                refuse(read, at, refused);
                continue;
            }
        };
        if let Some(Read::Seen { content: Content::Hash { fields, size }, .. }) = read.get_mut(at)
            && let Some(place) = fields.get_mut(field)
        {
            // Released meanwhile: an empty name is no field of a lock, and is dropped below.
            match value {
                Some(value) => place.1 = Some(value),
                None => (place.0, *size) = (Vec::new(), size.saturating_sub(1)),
            }
        }
    }
    for one in read {
        if let Read::Seen { content: Content::Hash { fields, .. }, .. } = one {
            fields.retain(|(name, _)| !name.is_empty());
        }
    }
    Ok(())
}

fn refuse<T>(read: &mut [Read], at: usize, refused: Answer<T>) {
    if let Some(one) = read.get_mut(at) {
        *one = match refused {
            Answer::Refused(words) => Read::Hidden(words),
            _ => Read::Changed,
        };
    }
}

/// Whether the value of this field helps to recognise a lock.
fn has_value(key: &[u8], field: &[u8]) -> bool {
    let of_key = key.ends_with(b":LOCKED") || key.ends_with(b":GRABBED");
    let is_known = of_key && field.len() <= 64 || is_client(field) || huey::is_lock(field);
    field == b"mode" || is_known || declared::of_key(key).is_some()
}

/// Whether a field begins with a UUID, as those of a client do.
fn is_client(field: &[u8]) -> bool {
    let client = field.get(..36).and_then(|client| std::str::from_utf8(client).ok());
    field.len() <= 64 && client.is_some_and(|client| uuid(client).is_some())
}

/// A reply, or why there is none.
enum Answer<T> {
    Is(T),
    OtherType,
    Refused(String),
}

fn answer<T: FromRedisValue>(name: &str, reply: Value) -> Answer<T> {
    if let Value::ServerError(error) = &reply {
        let code = error.code();
        return match code {
            "WRONGTYPE" => Answer::OtherType,
            _ => Answer::Refused(refusal(name, error)),
        };
    }
    from_redis_value(reply).map_or_else(|error| Answer::Refused(error.to_string()), Answer::Is)
}

fn command(name: &str, key: &[u8]) -> Cmd {
    let mut command = redis::cmd(name);
    command.arg(key);
    command
}

/// Sends these together; an error of one is its reply.
pub(super) fn ask(link: &mut dyn Link, commands: Vec<Cmd>) -> Result<Vec<Value>> {
    if commands.is_empty() {
        return Ok(Vec::new());
    }
    let mut pipeline = redis::Pipeline::with_capacity(commands.len());
    pipeline.ignore_errors();
    for command in commands {
        pipeline.add_command(command);
    }
    pipeline.query(link).map_err(LockError::redis("TYPE", "keys"))
}
