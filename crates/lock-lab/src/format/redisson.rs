//! Redisson: a hash with a field for each holder. A fair lock has a queue, a fenced one a counter, a
//! read-write one a mode and keys with the leases of its readers.

use super::shape::uuid;
use super::{Content, Holder, Key, Lock, LockFormat, Recognised, Release, Sharing};

/// What the names of keys begin with that belong to a lock.
const QUEUE: &str = "redisson_lock_queue:";
const TIMEOUTS: &str = "redisson_lock_timeout:";
const TOKEN: &str = "redisson_lock_token:";
/// What the name of the key with a reader's lease contains.
const READER: &str = ":rwlock_timeout:";
/// The channels on which waiters wait.
const CHANNEL: &str = "redisson_lock__channel:";
const READ_WRITE_CHANNEL: &str = "redisson_rwlock:";
/// The most leases of readers that go with a lock.
const MOST_LEASES: u64 = 1000;
/// The last reader takes the mode with it. The message wakes all waiters, and of a fair lock the first in
/// the queue.
const WAKE: &str = r#"
for at = 3, #KEYS do drop(KEYS[at]) end
if redis.call('HLEN', KEYS[1]) == 1 and redis.call('HEXISTS', KEYS[1], 'mode') == 1 then
  undo[#undo + 1] = {'HSETNX', KEYS[1], 'mode', redis.call('HGET', KEYS[1], 'mode')}
  redis.call('DEL', KEYS[1])
end
if redis.call('EXISTS', KEYS[1]) == 0 then
  local first = redis.call('LINDEX', KEYS[2], 0)
  redis.call('PUBLISH', given[1], '0')
  if first then redis.call('PUBLISH', given[1] .. ':' .. first, '0') end
end
"#;

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

    fn release(&self, key: &Key<'_>, holders: &[Holder]) -> Release {
        let Some((name, (_, fields))) = key.text().zip(key.hash()) else {
            return Release::default();
        };
        let name = braced(name);
        let is_shared = fields.iter().any(|(field, _)| field == b"mode");
        let channel = if is_shared { READ_WRITE_CHANNEL } else { CHANNEL };
        let mut keys = vec![format!("{QUEUE}{name}").into()];
        if is_shared {
            keys.extend(leases(&name, holders));
        }
        let given = vec![format!("{channel}{name}").into()];
        Release { beside: WAKE, keys, given, ..Release::default() }
    }
}

/// The keys with the leases of readers.
fn leases(name: &str, holders: &[Holder]) -> Vec<Vec<u8>> {
    let lease = |holder: &Holder| {
        let token = String::from_utf8_lossy(holder.token.as_deref()?).into_owned();
        let of_reader = format!("{name}:{token}{READER}");
        let count = holder.count.unwrap_or(0).min(MOST_LEASES);
        Some((1..=count).map(move |number| format!("{of_reader}{number}").into()))
    };
    holders.iter().filter_map(lease).flatten().take(MOST_LEASES as usize).collect()
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
