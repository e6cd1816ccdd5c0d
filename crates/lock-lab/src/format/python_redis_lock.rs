//! python-redis-lock: 18 random bytes in Base64, and a list on which waiters wait for a signal.

use super::shape::{Token, token};
use super::{Content, Holder, Key, Lock, LockFormat, Recognised, Release};

const SIGNAL: &str = "lock-signal:";
/// A waiter takes the signal from the list, which expires soon.
const WAKE: &str = r#"
redis.call('DEL', KEYS[2])
redis.call('LPUSH', KEYS[2], '1')
redis.call('PEXPIRE', KEYS[2], 1000)
"#;

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
    fn release(&self, key: &Key<'_>, _: &[Holder]) -> Release {
        let name = key.name.strip_prefix(b"lock:").unwrap_or_default();
        let keys = vec![[SIGNAL.as_bytes(), name].concat()];
        Release { beside: WAKE, keys, ..Release::default() }
    }
}
