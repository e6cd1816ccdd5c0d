//! The embedded server as one whose states are put back, and its time with them.

use super::intern::Interner;
use super::servers::OutgoingRequest;
use super::snapshot_store::SnapshotStore;
use super::watches::{WatchedKey, Watchers};
use crate::server::{Connection, Server, ServerError};
use redis::{ConnectionLike, RedisResult, Value};
use redis_sim::clock::{Clock, Stopped, VirtualClock};
use redis_sim::{Engine, Image, Kept, Lease, requests};
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The time of a server whose states are put back, and so its time.
#[derive(Default)]
struct Hands(AtomicU64);

impl Hands {
    /// Sets the time, counted from [`VirtualClock::EPOCH`].
    fn set(&self, nanos: u64) {
        self.0.store(nanos, Ordering::Relaxed);
    }
}

impl Clock for Hands {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }

    fn unix(&self) -> Duration {
        VirtualClock::EPOCH + self.now()
    }

    fn sleep(&self, _: Duration) -> Result<(), Stopped> {
        Ok(())
    }

    fn wait_until(&self, done: &dyn Fn() -> bool) -> Result<(), Stopped> {
        if done() { Ok(()) } else { Err(Stopped::TimedOut) }
    }
}

/// A state of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Saved {
    image: Image,
    watches: Vec<WatchedKey>,
}

/// The embedded server, and its states.
pub(super) struct Embedded {
    engine: Engine,
    hands: Arc<Hands>,
    connections: FxHashMap<i64, Connection>,
    watchers: Watchers,
    states: Interner<Saved>,
}

impl Embedded {
    /// An empty one.
    pub fn new() -> Self {
        let hands = Arc::new(Hands::default());
        Self {
            engine: Engine::new(hands.clone()),
            hands,
            connections: FxHashMap::default(),
            watchers: Watchers::default(),
            states: Interner::default(),
        }
    }

    /// The server itself.
    pub fn server(&self) -> Server {
        Server::Embedded(self.engine.clone())
    }

    fn connection_to(&mut self, db: i64) -> Result<&mut Connection, ServerError> {
        if !self.connections.contains_key(&db) {
            let connection = self.server().connect(db)?;
            self.connections.insert(db, connection);
        }
        self.connections.get_mut(&db).ok_or_else(|| ServerError::new("no connection".into()))
    }
}

impl SnapshotStore for Embedded {
    fn save(&mut self) -> Result<u32, ServerError> {
        let watches = self.watchers.snapshot();
        Ok(self.states.number(Saved { image: self.engine.save(), watches }))
    }

    fn restore(&mut self, state: u32, time: u64) -> Result<(), ServerError> {
        self.hands.set(time);
        if let Some(saved) = self.states.get(state) {
            self.watchers.before_restore(&saved.watches);
            self.engine.restore(&saved.image);
            self.watchers.after_restore();
        }
        Ok(())
    }

    fn run(&mut self, request: &OutgoingRequest) -> Result<RedisResult<Vec<Value>>, ServerError> {
        let OutgoingRequest { client, db, packed, offset, count } = request;
        let server = self.server();
        let connection = match client {
            Some(client) => self.watchers.connection(&server, *client, *db)?,
            None => self.connection_to(*db)?,
        };
        let replies = connection.req_packed_commands(packed, *offset, *count);
        if let Some(client) = client {
            self.watchers.note(*client, *db, &requests(packed));
        }
        Ok(replies)
    }

    fn kept(&self, key: &str) -> Option<Kept> {
        self.engine.kept(0, key.as_bytes())
    }

    fn lease_end(&self, key: &str) -> Option<Duration> {
        self.engine.lease_end(0, key.as_bytes())
    }

    fn leases(&self) -> Vec<Lease> {
        self.engine.leases(0)
    }

    fn end_lease(&mut self, key: &[u8]) -> Result<(), ServerError> {
        self.engine.evict(0, key);
        Ok(())
    }

    fn connection(&mut self) -> Result<&mut Connection, ServerError> {
        self.connection_to(0)
    }

    fn bytes(&self) -> usize {
        self.states.bytes()
    }
}
