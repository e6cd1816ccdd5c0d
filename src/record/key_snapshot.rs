//! Looks at a server without changing anything: which keys there are, and what is in them.

use super::watch::Watch;
use redis::{RedisError, ServerError, Value, cmd};
use redis_sim::clock::{Clock, Stopped};
use std::collections::BTreeSet;

/// What was found in a key.
#[derive(Debug)]
pub(super) struct KeySnapshot {
    pub value: Option<Vec<u8>>,
    pub ttl: i64,
    pub flag: Option<Vec<u8>>,
}

/// The watched keys that are there, by SCAN.
pub(super) fn scan(
    link: &mut redis::Connection,
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

/// Looks at some keys, each in a transaction: type, value, TTL, and the mirror flag of a NoDb lock.
pub(super) fn snapshot_keys(
    link: &mut redis::Connection,
    keys: &[Vec<u8>],
) -> Result<KeySnapshots, RedisError> {
    let mut commands = Vec::new();
    for key in keys {
        let name = Watch::name_of(key);
        cmd("MULTI").write_packed_command(&mut commands);
        cmd("TYPE").arg(key).write_packed_command(&mut commands);
        cmd("GET").arg(key).write_packed_command(&mut commands);
        if let Some(name) = &name {
            cmd("HGET").arg(name.runid()).arg(name.flag()).write_packed_command(&mut commands);
        }
        cmd("PTTL").arg(key).write_packed_command(&mut commands);
        cmd("EXEC").write_packed_command(&mut commands);
    }
    link.send_packed_command(&commands)?;
    let mut snapshots = Vec::with_capacity(keys.len());
    for key in keys {
        let queued = if Watch::name_of(key).is_some() { 5 } else { 4 };
        let mut refused = None;
        for _ in 0..queued {
            if let Value::ServerError(error) = link.recv_response()? {
                refused.get_or_insert(error);
            }
        }
        let found = match (link.recv_response()?, refused) {
            (Value::Array(replies), None) => read_snapshot(&replies),
            (_, Some(error)) => Err(not_read(error)),
            _ => Err("it could not be read".into()),
        };
        snapshots.push((key.clone(), found));
    }
    Ok(snapshots)
}

fn not_read(error: ServerError) -> String {
    format!("it could not be read: {}", RedisError::from(error))
}

/// Why a key that holds another type than a string is not followed.
pub(super) fn other_type(name: &str) -> String {
    let article = if name.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("it holds {article} {name}, which is not followed")
}

fn read_snapshot(replies: &[Value]) -> Result<KeySnapshot, String> {
    let text = |value: &Value| match value {
        Value::BulkString(text) => Some(text.clone()),
        _ => None,
    };
    if let Some(Value::SimpleString(name)) = replies.first()
        && name != "none"
        && name != "string"
    {
        return Err(other_type(name));
    }
    let refused = replies.iter().find_map(|reply| match reply {
        Value::ServerError(error) => Some(error.clone()),
        _ => None,
    });
    if let Some(error) = refused {
        return Err(not_read(error));
    }
    match replies {
        [_, value, Value::Int(ttl)] => {
            Ok(KeySnapshot { value: text(value), ttl: *ttl, flag: None })
        }
        [_, value, flag, Value::Int(ttl)] => {
            Ok(KeySnapshot { value: text(value), ttl: *ttl, flag: text(flag) })
        }
        _ => Err("it could not be read".into()),
    }
}
