//! huey: a `1` beside the results of tasks, in their hash or under a key of its own.

use super::{Holder, Key, Lock, LockFormat, Recognised, Release, Sharing};

/// What is between the name of the application and that of the lock.
pub(super) const LOCK: &[u8] = b".lock.";
const REMARK: &str = "It names no holder, and has no TTL of its own.";

/// `<application>.lock.<name>`.
pub(super) struct Huey;

impl LockFormat for Huey {
    fn name(&self) -> &'static str {
        "huey"
    }

    fn recognise(&self, key: &Key<'_>) -> Option<Recognised> {
        key.name.strip_prefix(b"huey.")?;
        if let Some((_, fields)) = key.hash() {
            let locks = fields.iter().filter(|(name, _)| is_lock(name));
            let locks = locks.filter(|(_, value)| value.as_deref() == Some(b"1"));
            let holders: Vec<Holder> = locks
                .map(|(name, _)| Holder {
                    job: Some(String::from_utf8_lossy(name).into_owned()),
                    ..Holder::default()
                })
                .collect();
            let held = holders.len() as u64;
            let lock = Lock::shared(self.name(), holders, held, Sharing::Exclusive);
            return (held > 0).then(|| lock.remark(REMARK).into());
        }
        let is_one = key.string() == Some(b"1") && is_lock(key.name);
        is_one.then(|| Lock::of(self.name(), Holder::default()).remark(REMARK).into())
    }

    fn release(&self, key: &Key<'_>, _: &[Holder]) -> Release {
        // The other fields are results of tasks.
        Release { keeps_the_key: key.hash().is_some(), ..Release::default() }
    }
}

pub(super) fn is_lock(name: &[u8]) -> bool {
    name.windows(LOCK.len()).any(|part| part == LOCK)
}
