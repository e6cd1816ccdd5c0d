//! RedBeat: the lock of the one scheduler that runs, which is a lock of redis-py.

use super::{Key, Lock, LockFormat, Recognised};

/// `redbeat::lock`.
pub(super) struct RedBeat;

impl LockFormat for RedBeat {
    fn name(&self) -> &'static str {
        "RedBeat"
    }

    fn recognise(&self, key: &Key<'_>) -> Option<Recognised> {
        let name = key.text().filter(|name| name.ends_with(":lock"))?;
        let value = key.string()?;
        let is_token = value.len() == 32 && value.iter().all(u8::is_ascii_hexdigit);
        let holder = super::token::holder(value, key.now);
        (name.contains("redbeat") && is_token).then(|| Lock::of(self.name(), holder).into())
    }
}
