//! python-redis-lock: 18 random bytes in Base64, and a list on which waiters wait for a signal.

use super::shape::{Token, token};
use super::{Content, Holder, Key, Lock, LockFormat, Recognised};

const SIGNAL: &str = "lock-signal:";

/// `lock:<name>`.
pub(super) struct PythonRedisLock;

impl LockFormat for PythonRedisLock {
    fn name(&self) -> &'static str {
        "python-redis-lock"
    }

    fn recognise(&self, key: &Key<'_>) -> Option<Recognised> {
        let name = key.text()?;
        if let (Some(lock), Content::List { .. }) = (name.strip_prefix(SIGNAL), key.content) {
            return Some(Recognised::part_of(format!("lock:{lock}"), None));
        }
        name.strip_prefix("lock:")?;
        let value = key.string()?;
        if value.contains(&b'-') || value.contains(&b'_') {
            return None;
        }
        let is_token = matches!(token(value)?, Token::Base64(24)) && !value.ends_with(b"=");
        let remark = "This library sets no TTL unless expire is given.";
        is_token.then(|| Lock::of(self.name(), Holder::with_token(value)).remark(remark).into())
    }
}
