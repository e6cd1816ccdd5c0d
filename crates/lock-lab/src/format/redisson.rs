//! Redisson: a hash with a field for each holder. A fair lock has a queue, a fenced one a counter, a
//! read-write one a mode and keys with the leases of its readers.

use super::shape::uuid;
use super::{Content, Holder, Key, Lock, LockFormat, Recognised, Sharing};

/// What the names of keys begin with that belong to a lock.
const QUEUE: &str = "redisson_lock_queue:";
const TIMEOUTS: &str = "redisson_lock_timeout:";
const TOKEN: &str = "redisson_lock_token:";
/// What the name of the key with a reader's lease contains.
const READER: &str = ":rwlock_timeout:";

/// `<UUID of the client>:<thread>` and how many times it acquired the lock.
pub(super) struct Redisson;

impl LockFormat for Redisson {
    fn name(&self) -> &'static str {
        "Redisson"
    }

    fn recognise(&self, key: &Key<'_>) -> Option<Recognised> {
        if let Some(part) = self.part(key) {
            return Some(part);
        }
        let (size, fields) = key.hash()?;
        let mode = fields.iter().find(|(name, _)| name == b"mode");
        let mode = match mode.map(|(_, value)| value.as_deref()) {
            None => None,
            Some(Some(b"read")) => Some(Sharing::Read),
            Some(Some(b"write")) => Some(Sharing::Write),
            Some(_) => return None,
        };
        let holders = fields.iter().filter(|(name, _)| name != b"mode");
        let holders: Vec<Holder> =
            holders.map(|(name, count)| holder(name, count.as_deref()?)).collect::<Option<_>>()?;
        let held_by = size - u64::from(mode.is_some() && size > 0);
        let sharing = match (mode, held_by) {
            _ if holders.is_empty() => return None,
            (Some(mode), _) => mode,
            (None, 1) => Sharing::Reentrant,
            (None, _) => return None,
        };
        let queue = key.text().map(|name| format!("{QUEUE}{}", braced(name)).into());
        Some(Lock { queue, ..Lock::shared(self.name(), holders, held_by, sharing) }.into())
    }
}

impl Redisson {
    /// A key that belongs to a lock of another name.
    fn part(&self, key: &Key<'_>) -> Option<Recognised> {
        let name = key.text()?;
        if let (Some(lock), Content::List { size }) = (name.strip_prefix(QUEUE), key.content) {
            let queued = Lock::shared(self.name(), Vec::new(), 0, Sharing::Reentrant);
            let alone = Some(Lock { waiting: Some(*size), expires_without_ttl: true, ..queued });
            return Some(Recognised::part_of(unbraced(lock), alone));
        }
        let lock = match key.content {
            Content::Sorted { .. } => name.strip_prefix(TIMEOUTS).map(unbraced),
            Content::String { .. } => {
                let lease = || name.starts_with('{').then(|| name.contains(READER).then_some(name));
                let lease = lease().flatten().and_then(|name| Some(name.split_once('}')?.0));
                let lease = lease.and_then(|name| name.strip_prefix('{'));
                name.strip_prefix(TOKEN).map(unbraced).or(lease)
            }
            _ => None,
        };
        Some(Recognised::part_of(lock?, None))
    }
}

/// The name as it stands in the names of keys that belong to the lock, so that a cluster keeps all of
/// them on one node.
fn braced(name: &str) -> String {
    if name.contains('{') { name.to_owned() } else { format!("{{{name}}}") }
}

fn unbraced(name: &str) -> &str {
    let inner = name.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    inner.filter(|inner| !inner.contains(['{', '}'])).unwrap_or(name)
}

fn holder(field: &[u8], count: &[u8]) -> Option<Holder> {
    let text = std::str::from_utf8(field).ok()?;
    let (client, thread) = text.strip_suffix(":write").unwrap_or(text).split_once(':')?;
    uuid(client)?;
    let is_thread = !thread.is_empty() && thread.bytes().all(|byte| byte.is_ascii_digit());
    let count: u64 = std::str::from_utf8(count).ok()?.parse().ok()?;
    is_thread.then(|| Holder {
        token: Some(field.to_vec()),
        process: Some(client.to_owned()),
        thread: Some(thread.to_owned()),
        count: Some(count),
        ..Holder::default()
    })
}
