//! celery-singleton: the id of the task that holds the lock, under a digest of its arguments.

use super::shape::uuid;
use super::{Holder, Key, Lock, LockFormat, Recognised};

/// `SINGLETONLOCK_<digest>` with a UUID.
pub(super) struct CelerySingleton;

impl LockFormat for CelerySingleton {
    fn name(&self) -> &'static str {
        "celery-singleton"
    }

    fn recognise(&self, key: &Key<'_>) -> Option<Recognised> {
        key.text().filter(|name| name.contains("SINGLETONLOCK_"))?;
        let id = key.string_text()?;
        uuid(id)?;
        let holder = Holder { job: Some(id.to_owned()), ..Holder::with_token(id.as_bytes()) };
        let remark = "This library sets no TTL unless lock_expiry is given; the lock goes when its task ends.";
        Some(Lock::of(self.name(), holder).remark(remark).into())
    }
}
