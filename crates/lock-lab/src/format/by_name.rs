//! Keys of which only the name, or the name of a field, speaks of a lock.

use super::name::says_lock;
use super::{Content, Key, Recognised};

/// The fields of a hash that say that something is locked.
const FIELDS: [&[u8]; 4] = [b"locked", b"lockId", b"lock_id", b"locked_by"];

/// Why a key may be a lock that no format knows.
pub(super) fn recognise(key: &Key<'_>) -> Option<Recognised> {
    if let Some((_, fields)) = key.hash()
        && let Some((field, _)) = fields.iter().find(|(name, _)| is_field(name))
    {
        let field = String::from_utf8_lossy(field);
        return Some(Recognised::Maybe { why: format!("a hash with the field {field}") });
    }
    let word = says_lock(key.name)?;
    let (none, unread) = ("that names no holder", "its holder can't be read from that");
    let (what, so) = match key.content {
        Content::String { length: 0, .. } => ("its value is empty".into(), none),
        Content::String { length, start } if *length > start.len() as u64 => {
            ("its value is longer than a token".into(), unread)
        }
        Content::String { .. } => match key.string_text() {
            Some(text) if text.parse::<i64>().is_ok() => ("its value is a number".into(), none),
            Some(_) => ("its value is no token that a library writes".into(), unread),
            None => ("its value is no text and no token".into(), unread),
        },
        Content::Hash { .. } => ("it is a hash that no library writes".into(), unread),
        Content::Sorted { members, .. } if members.is_empty() => {
            let what = "it is a sorted set whose members were not read, as they may be long";
            (what.into(), unread)
        }
        Content::Sorted { .. } => ("it is a sorted set that no library writes".into(), unread),
        Content::List { .. } => ("it is a list".into(), unread),
        Content::Set { .. } => ("it is a set".into(), unread),
        Content::Other(kind) => (format!("it is a {kind}"), unread),
    };
    Some(Recognised::Maybe { why: format!("its name says {word}, but {what}: {so}") })
}

/// Whether a field says that something is locked.
pub(super) fn is_field(name: &[u8]) -> bool {
    FIELDS.contains(&name)
}
