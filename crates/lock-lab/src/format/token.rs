//! A string with a random token, as most libraries write it: redis-py, Redlock and its kin, redsync,
//! Spring, Symfony, rslock.

use super::name::says_lock;
use super::shape::{made, token};
use super::{Holder, Key, Lock, LockFormat, Recognised};
use std::time::Duration;

/// Words in names that speak of other things, too.
const AMBIGUOUS: [&str; 6] = ["locker", "lease", "leases", "leader", "leadership", "singleton"];

/// The other locks of the application of NoDb (contract, section 6), whose names say it otherwise.
const APPLICATION: [&[u8]; 3] =
    [b"rq:submission:", b"rq:submission-lifecycle:", b"nodb:run-replacement:"];

/// The token alone is no proof: identifiers of other things are random, too. The name has to say that it
/// is a lock.
pub(super) struct RandomToken;

impl LockFormat for RandomToken {
    fn name(&self) -> &'static str {
        "random token"
    }

    fn recognise(&self, key: &Key<'_>) -> Option<Recognised> {
        let value = key.string()?;
        let token = token(value)?;
        let why = match says_lock(key.name) {
            _ if APPLICATION.iter().any(|prefix| key.name.starts_with(prefix)) => None,
            Some(word) if AMBIGUOUS.contains(&word) => {
                Some(format!("{word} in its name need not mean a lock"))
            }
            Some(_) => None,
            None => Some("the name says no lock".into()),
        };
        if let Some(why) = why {
            let why = format!("{}, random like a lock's token, but {why}", token.words());
            return Some(Recognised::Maybe { why });
        }
        // Of those that write a UUID without hyphens, it alone takes version 1.
        let is_of_redis_py = value.len() == 32 && made(value, key.now).is_some();
        let format = if is_of_redis_py { "redis-py" } else { self.name() };
        Some(Lock::of(format, holder(value, key.now)).into())
    }
}

/// The holder that a token tells of. A UUID of version 1 has the time and the machine that made it.
pub(super) fn holder(value: &[u8], now: Duration) -> Holder {
    let (since, host) = made(value, now).unzip();
    let may_be_later = since.is_some();
    Holder { host: host.flatten(), since, may_be_later, ..Holder::with_token(value) }
}
