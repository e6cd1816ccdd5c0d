//! A real Redis as a server whose states are put back: all keys of its database 0, as DUMP and RESTORE
//! have them.
//!
//! Time means nothing here (`--timing async`), and passes all the same. A state is the same
//! whenever it is reached, so a TTL that has only run down by what the server's clock says is still
//! the TTL that was restored, and a new one is rounded up to the next [`STEP`]. That is longer than
//! a request takes between the two snapshots of the keys; where it was not, on a machine that is
//! too busy, the state is restored once more and the request runs again.

use super::intern::Interner;
use super::servers::OutgoingRequest;
use super::snapshot_store::SnapshotStore;
use super::watches::{WatchedKey, Watchers};
use crate::server::{Connection, ExclusiveServer, Keys, Seen, Server, ServerError, Stored};
use redis::{ConnectionLike, RedisResult, Value};
use redis_sim::clock::VirtualClock;
use redis_sim::{Kept, Lease, requests};
use std::sync::Arc;
use std::time::Duration;

/// What TTLs are rounded up to, in milliseconds.
const STEP: u64 = 100;
/// How exactly Redis and we agree about how long something took, in milliseconds: each rounds.
const EXACTNESS: u64 = 2;
/// The longest time, in milliseconds, from restoring a state to the snapshot of what a request
/// left.
const LONGEST: u64 = STEP / 2;
/// How often it is tried to be as fast as that.
const TRIES: usize = 20;

/// A state of database 0.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Saved {
    keys: Keys,
    watches: Vec<WatchedKey>,
}

/// A real Redis, and the states of its database 0.
pub(super) struct Upstream {
    exclusive: Arc<ExclusiveServer>,
    server: Server,
    connection: Connection,
    watchers: Watchers,
    states: Interner<Saved>,
    /// The state that it is in, or is to be in before anything runs.
    at: u32,
}

impl Upstream {
    /// What is there now is the first state.
    pub fn new(exclusive: &Arc<ExclusiveServer>) -> Result<Self, ServerError> {
        exclusive.put(&Keys::new())?;
        let server = exclusive.server();
        let mut states = Interner::default();
        let at = states.number(Saved { keys: Keys::new(), watches: Vec::new() });
        Ok(Self {
            exclusive: Arc::clone(exclusive),
            connection: server.connect(0)?,
            server,
            watchers: Watchers::default(),
            states,
            at,
        })
    }

    /// The state that it is in, or is to be in.
    fn now(&self) -> Option<&Saved> {
        self.states.get(self.at).map(|saved| &**saved)
    }

    fn stored(&self, key: &str) -> Option<&Stored> {
        self.now()?.keys.get(key.as_bytes())
    }

    /// Puts back the state that it is to be in, does something there, and looks at what is left.
    fn step<T>(
        &mut self,
        act: &mut dyn FnMut(&mut Self) -> Result<T, ServerError>,
    ) -> Result<T, ServerError> {
        let Some(Saved { keys, watches }) = self.now().cloned() else {
            return Err(ServerError::new(format!("there is no state {}", self.at)));
        };
        for _ in 0..TRIES {
            self.watchers.before_restore(&watches);
            let put = self.exclusive.put(&keys)?;
            self.watchers.after_restore();
            let done = act(self)?;
            self.exclusive.check()?;
            let seen = self.exclusive.seen();
            let left = left(&keys, put, seen);
            let watches = self.watchers.snapshot();
            self.exclusive.check()?;
            if let Some(keys) = left {
                self.at = self.states.number(Saved { keys, watches });
                return Ok(done);
            }
        }
        Err(ServerError::new(format!(
            "{} took longer than {LONGEST} ms for a request, {TRIES} times: TTLs can't be told from \
             each other; name a Redis that is not busy",
            self.server.name()
        )))
    }
}

impl SnapshotStore for Upstream {
    fn save(&mut self) -> Result<u32, ServerError> {
        Ok(self.at)
    }

    fn restore(&mut self, state: u32, _: u64) -> Result<(), ServerError> {
        self.at = state;
        Ok(())
    }

    fn run(&mut self, request: &OutgoingRequest) -> Result<RedisResult<Vec<Value>>, ServerError> {
        let OutgoingRequest { client, db, packed, offset, count } = request;
        let asked = requests(packed);
        let is_exec = asked
            .last()
            .is_some_and(|words| words.iter().all(|it| it.eq_ignore_ascii_case(b"EXEC")));
        self.step(&mut |it| {
            let Some(client) = *client else {
                return Ok(it.connection.req_packed_commands(packed, *offset, *count));
            };
            let replies = if is_exec && it.watchers.in_vain(client, *db) {
                Ok(vec![Value::Nil])
            } else {
                let connection = it.watchers.connection(&it.server, client, *db)?;
                connection.req_packed_commands(packed, *offset, *count)
            };
            it.watchers.note(client, *db, &asked);
            Ok(replies)
        })
    }

    fn kept(&self, key: &str) -> Option<Kept> {
        let stored = self.stored(key)?;
        let value = stored.value.clone().unwrap_or_default();
        let left = stored.left.map(Duration::from_millis);
        // By a clock that stands still.
        let deadline = left.map(|left| (VirtualClock::EPOCH + left).as_millis());
        let deadline = deadline.and_then(|millis| i64::try_from(millis).ok());
        let is_string = stored.is_string();
        Some(Kept { value, is_string, deadline, left, expiry_sets: 0 })
    }

    fn lease_end(&self, key: &str) -> Option<Duration> {
        self.stored(key)?.lease_end()
    }

    /// Where a TTL is set to what it was, that does not show.
    fn leases(&self) -> Vec<Lease> {
        let keys = self.now().into_iter().flat_map(|saved| &saved.keys);
        let leases = keys.filter_map(|(key, stored)| Some((key.clone(), stored.lease_end()?)));
        leases.map(|(key, end)| Lease { key, end, set: None }).collect()
    }

    fn end_lease(&mut self, key: &[u8]) -> Result<(), ServerError> {
        let end = redis::cmd("PEXPIREAT").arg(key).arg(1).get_packed_command();
        let ended = self.step(&mut |it| Ok(it.connection.req_packed_command(&end)))?;
        ended.map(drop).map_err(|error| self.server.explain(&error))
    }

    fn connection(&mut self) -> Result<&mut Connection, ServerError> {
        if let Some(saved) = self.states.get(self.at) {
            self.exclusive.put(&saved.keys)?;
        }
        Ok(&mut self.connection)
    }

    fn bytes(&self) -> usize {
        self.states.bytes()
    }
}

impl Stored {
    /// The first moment at which it will be gone.
    fn lease_end(&self) -> Option<Duration> {
        let left = self.left?;
        Some(VirtualClock::EPOCH + Duration::from_millis(left.saturating_add(1)))
    }
}

/// The keys that a request left, with the TTLs that a state has; nothing, if it took too long to know
/// them. `put` are those that were put back, at that time.
fn left(keys: &Keys, put: Duration, seen: Option<Seen>) -> Option<Keys> {
    let Some(seen) = seen else { return Some(keys.clone()) };
    let passed = u64::try_from(seen.at.saturating_sub(put).as_millis()).unwrap_or(u64::MAX);
    let were_there = keys.keys().all(|name| seen.before.contains(name));
    if passed > LONGEST || !were_there {
        return None;
    }
    let mut left = seen.keys;
    for (name, stored) in &mut left {
        let before = keys.get(name).and_then(|before| before.left);
        stored.left = stored.left.map(|now| match before {
            Some(before) if before.abs_diff(now.saturating_add(passed)) <= EXACTNESS => before,
            // What is there has a lease, also where less than a millisecond of it is left.
            _ => now.max(1).div_ceil(STEP).saturating_mul(STEP),
        });
    }
    Some(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(left: Option<u64>) -> Keys {
        let stored = Stored { dump: b"dump".to_vec(), sorted: None, left, value: None };
        Keys::from([(b"lock".to_vec(), stored)])
    }

    /// What becomes of a TTL when another one is seen some milliseconds later.
    fn becomes(before: Option<u64>, now: Option<u64>, passed: u64) -> Option<Option<u64>> {
        let put = Duration::from_secs(1_000);
        let before = key(before);
        let at = put + Duration::from_millis(passed);
        let seen = Seen { before: before.keys().cloned().collect(), keys: key(now), at };
        left(&before, put, Some(seen)).map(|keys| keys[&b"lock"[..]].left)
    }

    #[test]
    fn a_ttl_that_ran_down_is_what_it_was_and_a_new_one_is_rounded_up() {
        for (before, now, passed, expected) in [
            (Some(30_000), Some(29_993), 7, Some(30_000)),
            (Some(30_000), Some(29_991), 7, Some(30_000)),
            (Some(30_000), Some(30_000), 7, Some(30_000)),
            (Some(30_000), Some(59_999), 7, Some(60_000)),
            (Some(30_000), Some(29_850), 7, Some(29_900)),
            (Some(30_000), None, 7, None),
            (None, Some(29_999), 0, Some(30_000)),
            (None, Some(1), 0, Some(100)),
            (None, Some(0), 0, Some(100)),
            (None, None, 0, None),
        ] {
            assert_eq!(becomes(before, now, passed), Some(expected), "{before:?} {now:?} {passed}");
        }
    }

    #[test]
    fn what_took_too_long_is_not_known() {
        assert_eq!(becomes(Some(30_000), Some(29_000), 51), None);
        let put = Duration::from_secs(1_000);
        let gone = Seen { before: [].into(), keys: Keys::new(), at: put };
        assert_eq!(left(&key(Some(100)), put, Some(gone)), None, "it ended by itself meanwhile");
        assert_eq!(left(&key(None), put, None), Some(key(None)), "nothing was asked");
    }
}
