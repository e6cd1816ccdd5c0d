//! ShedLock: a string with the time and the host of the acquisition.

use super::{Holder, Key, Lock, LockFormat, Recognised};
use chrono::DateTime;
use std::time::Duration;

/// `ADDED:<time>@<host>`.
pub(super) struct ShedLock;

impl LockFormat for ShedLock {
    fn name(&self) -> &'static str {
        "ShedLock"
    }

    fn recognise(&self, key: &Key<'_>) -> Option<Recognised> {
        let value = key.string_text()?;
        let (time, host) = value.strip_prefix("ADDED:")?.split_once('@')?;
        let since = DateTime::parse_from_rfc3339(time).ok()?.timestamp_millis();
        let holder = Holder {
            token: Some(value.into()),
            host: Some(host.to_owned()),
            since: u64::try_from(since).ok().map(Duration::from_millis),
            ..Holder::default()
        };
        let lock = Lock::of(self.name(), holder);
        Some(lock.remark("It may outlast its job: lockAtLeastFor keeps it.").into())
    }
}
