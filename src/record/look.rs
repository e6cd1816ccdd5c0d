//! Looks at a server without changing anything: which keys there are, and what is in them.

use super::watch::Watch;
use crate::clock::{Clock, Stopped};
use redis::{RedisError, Value, cmd};
use std::collections::BTreeSet;

/// What was found in a key; none if it could not be read.
#[derive(Debug)]
pub(super) struct Look {
    pub value: Option<Vec<u8>>,
    pub ttl: i64,
    pub flag: Option<Vec<u8>>,
}

/// The watched keys that are there, by SCAN.
pub(super) fn scan(
    look: &mut redis::Connection,
    watch: &Watch,
    clock: &dyn Clock,
) -> Result<BTreeSet<Vec<u8>>, RedisError> {
    let mut found = BTreeSet::new();
    for pattern in watch.patterns() {
        let mut cursor: u64 = 0;
        loop {
            let mut scan = cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(1000);
            let (next, keys): (u64, Vec<Vec<u8>>) = scan.query(look)?;
            found.extend(keys);
            cursor = next;
            if cursor == 0 || clock.check() == Err(Stopped::Interrupted) {
                break;
            }
        }
    }
    Ok(found)
}

/// The setting of keyspace notifications, where the server tells it.
pub(super) fn notifications(look: &mut redis::Connection) -> String {
    let asked: Result<Vec<String>, _> =
        cmd("CONFIG").arg("GET").arg("notify-keyspace-events").query(look);
    asked.unwrap_or_default().into_iter().nth(1).unwrap_or_default()
}

/// Whether they tell when a lease has ended.
pub(super) fn has_expired(settings: &str) -> bool {
    settings.contains(['x', 'A'])
}

/// What was found in some keys.
pub(super) type Looks = Vec<(Vec<u8>, Option<Look>)>;

/// Looks at some keys, each in a transaction: value, TTL, and the mirror flag of a NoDb lock.
pub(super) fn look_at(look: &mut redis::Connection, keys: &[Vec<u8>]) -> Result<Looks, RedisError> {
    let mut commands = Vec::new();
    for key in keys {
        let name = Watch::name_of(key);
        cmd("MULTI").write_packed_command(&mut commands);
        cmd("GET").arg(key).write_packed_command(&mut commands);
        if let Some(name) = &name {
            cmd("HGET").arg(name.runid()).arg(name.flag()).write_packed_command(&mut commands);
        }
        cmd("PTTL").arg(key).write_packed_command(&mut commands);
        cmd("EXEC").write_packed_command(&mut commands);
    }
    look.send_packed_command(&commands)?;
    let mut looks = Vec::with_capacity(keys.len());
    for key in keys {
        let queued = if Watch::name_of(key).is_some() { 4 } else { 3 };
        for _ in 0..queued {
            look.recv_response()?;
        }
        let found = match look.recv_response()? {
            Value::Array(replies) => read_look(&replies),
            _ => None,
        };
        looks.push((key.clone(), found));
    }
    Ok(looks)
}

fn read_look(replies: &[Value]) -> Option<Look> {
    let text = |value: &Value| match value {
        Value::BulkString(text) => Some(text.clone()),
        _ => None,
    };
    let (value, flag, ttl) = match replies {
        [value, Value::Int(ttl)] => (value, None, ttl),
        [value, flag, Value::Int(ttl)] => (value, text(flag), ttl),
        _ => return None,
    };
    if matches!(value, Value::ServerError(_)) {
        return None;
    }
    Some(Look { value: text(value), ttl: *ttl, flag })
}
