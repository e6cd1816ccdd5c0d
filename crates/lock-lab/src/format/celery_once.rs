//! celery_once: until version 3 the time at which the lock expires, later a lock of redis-py.

use super::shape::{moment_in, token};
use super::{Holder, Key, Lock, LockFormat, Recognised};
use std::time::Duration;

/// How far the time in a value and that of the key's TTL may be apart to be the same.
const SAME: Duration = Duration::from_secs(2);

/// `qo_<task>_<arguments>`.
pub(super) struct CeleryOnce;

impl LockFormat for CeleryOnce {
    fn name(&self) -> &'static str {
        "celery_once"
    }

    fn recognise(&self, key: &Key<'_>) -> Option<Recognised> {
        let value = key.string_text()?;
        let is_ours = key.name.starts_with(b"qo_");
        if let Some(ends) = moment_in(value, key.now).filter(|_| value.len() == 10) {
            if is_ours {
                let remark = match ends < key.now {
                    true => {
                        "The time in its value is past, so a client of version 2 takes it for free."
                    }
                    false => "Its value is the time at which it expires; it names no holder.",
                };
                return Some(Lock::of(self.name(), Holder::default()).remark(remark).into());
            }
            let expires = key.expires_at()?;
            return (expires.abs_diff(ends) <= SAME).then(|| Recognised::Maybe {
                why: "its value is the time at which its TTL expires, as celery_once writes it"
                    .into(),
            });
        }
        token(value.as_bytes()).filter(|_| is_ours)?;
        let holder = super::token::holder(value.as_bytes(), key.now);
        Some(Lock::of(self.name(), holder).into())
    }
}
