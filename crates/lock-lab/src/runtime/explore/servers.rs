//! The server as a machine: what each request makes of each of its states. A request runs once for
//! each state that it meets; where, a [`SnapshotStore`] decides.

use super::super::in_flight::may_be_late;
use super::super::transactions::is_about_watches;
use super::super::wire_log;
use super::super::yield_point::Commands;
use super::intern::{Interner, bytes_of_map};
use super::snapshot_store::SnapshotStore;
use crate::lock::{ActorHost, Knowledge, LockName, Payload, Snapshot};
use crate::server::ServerError;
use lock_history::history::{Command, Effect, EventKind};
use redis::{RedisResult, Value};
use redis_sim::{Kept, requests};
use rustc_hash::FxHashMap;
use std::rc::Rc;
use std::time::Duration;

/// Commands of an actor that go out at once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct OutgoingRequest {
    /// The task, where its identity matters to the server.
    pub client: Option<usize>,
    pub db: i64,
    pub packed: Vec<u8>,
    pub offset: usize,
    pub count: usize,
}

impl OutgoingRequest {
    /// The request of a task.
    pub fn new(task: usize, commands: Commands) -> Self {
        let Commands { db, packed, offset, count } = commands;
        Self { client: is_about_watches(&packed).then_some(task), db, packed, offset, count }
    }
}

/// A key that is no lock's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OtherKey {
    pub name: Vec<u8>,
    /// The first moment at which it will be gone, as time since 1970.
    pub end: Duration,
}

/// What a request did.
#[derive(Clone, Copy)]
pub(super) struct Done {
    /// The reply's number.
    pub reply: u32,
    /// The state that it left.
    pub server: u32,
    /// What it did to the locks: an event's number.
    pub event: u32,
}

/// The states of the server that were met, and what leads from one to another.
pub(super) struct Servers {
    store: Box<dyn SnapshotStore>,
    locks: Vec<LockName>,
    /// Whether lock keys are looked at to learn what a command did.
    observes: bool,
    requests: Interner<OutgoingRequest>,
    replies: Vec<RedisResult<Vec<Value>>>,
    /// The numbers of replies, by how they print: errors can't be compared.
    numbers: FxHashMap<String, u32>,
    done: FxHashMap<(u32, u32, u64), Done>,
    events: Vec<EventKind>,
    leases: FxHashMap<(u32, usize), Option<Duration>>,
    ends: FxHashMap<(u32, usize), (u32, u32)>,
    /// In each state, the keys with a TTL that are no lock's.
    others: FxHashMap<u32, Rc<[OtherKey]>>,
    /// The same as `ends` of one of these, by its position.
    ends_of_others: FxHashMap<(u32, usize), (u32, u32)>,
    left: FxHashMap<(u32, usize, u64), Rc<Snapshot>>,
    available: FxHashMap<(u32, usize, u64), Option<bool>>,
}

impl Servers {
    /// The server as it is now is the first state.
    pub fn new(
        mut store: Box<dyn SnapshotStore>,
        locks: Vec<LockName>,
        observes: bool,
    ) -> Result<(Self, u32), ServerError> {
        let first = store.save()?;
        let servers = Self {
            store,
            locks,
            observes,
            requests: Interner::default(),
            replies: Vec::new(),
            numbers: FxHashMap::default(),
            done: FxHashMap::default(),
            events: Vec::new(),
            leases: FxHashMap::default(),
            ends: FxHashMap::default(),
            others: FxHashMap::default(),
            ends_of_others: FxHashMap::default(),
            left: FxHashMap::default(),
            available: FxHashMap::default(),
        };
        Ok((servers, first))
    }

    /// About how much memory its states take, and what is known of each.
    pub fn bytes(&self) -> usize {
        let tables = self.store.bytes() + self.requests.bytes() + bytes_of_map(&self.done);
        let ends = bytes_of_map(&self.ends) + bytes_of_map(&self.ends_of_others);
        let leases = bytes_of_map(&self.leases) + bytes_of_map(&self.others);
        tables + ends + leases + bytes_of_map(&self.left)
    }

    /// The number of a request.
    pub fn request(&mut self, request: OutgoingRequest) -> u32 {
        self.requests.number(request)
    }

    /// The words of a request that has this number: those of its first command, or of a transaction all.
    pub fn words_of(&self, number: u32) -> Vec<Vec<u8>> {
        let request = self.requests.get(number);
        let commands = request.map(|request| requests(&request.packed)).unwrap_or_default();
        commands.into_iter().flatten().map(<[u8]>::to_vec).collect()
    }

    /// Whether it can make a difference that a request comes late.
    pub fn may_be_late(&self, request: u32) -> bool {
        self.requests.get(request).is_some_and(|request| may_be_late(&request.packed))
    }

    /// The reply that has this number.
    pub fn reply(&self, number: u32) -> RedisResult<Vec<Value>> {
        self.replies.get(number as usize).cloned().unwrap_or_else(|| Ok(Vec::new()))
    }

    /// The event that has this number.
    pub fn event(&self, number: u32) -> Option<&EventKind> {
        self.events.get(number as usize)
    }

    fn happened(&mut self, event: EventKind) -> u32 {
        if let Some(known) = self.events.iter().position(|known| *known == event) {
            return u32::try_from(known).unwrap_or(u32::MAX);
        }
        self.events.push(event);
        u32::try_from(self.events.len() - 1).unwrap_or(u32::MAX)
    }

    /// Puts a state back.
    pub fn restore(&mut self, server: u32, time: u64) -> Result<(), ServerError> {
        self.store.restore(server, time)
    }

    /// The number of the state that the server is in now.
    pub fn save(&mut self) -> Result<u32, ServerError> {
        self.store.save()
    }

    /// What a request does in a state.
    pub fn run(&mut self, server: u32, request: u32, time: u64) -> Result<Done, ServerError> {
        let key = (server, request, time);
        if let Some(done) = self.done.get(&key) {
            return Ok(*done);
        }
        let Some(asked) = self.requests.get(request).cloned() else {
            return Err(ServerError::new(format!("there is no request {request}")));
        };
        self.restore(server, time)?;
        let before = self.snapshot();
        let replies = self.store.run(&asked)?;
        let observed: Vec<_> = before
            .into_iter()
            .zip(self.snapshot())
            .map(|(before, after)| [before, after])
            .collect();
        let effects = match &replies {
            Ok(replies) if asked.db == 0 => {
                wire_log::did(&requests(&asked.packed), replies, &self.locks, &observed)
            }
            _ => Vec::new(),
        };
        let (reply, server) = (self.number(replies), self.save()?);
        let done = Done { reply, server, event: self.happened(ran(effects)) };
        self.done.insert(key, done);
        Ok(done)
    }

    /// What the lock keys hold now, where that is looked at.
    fn snapshot(&self) -> Vec<Option<Kept>> {
        let keys = self.locks.iter().filter(|_| self.observes).map(LockName::key);
        keys.map(|key| self.store.kept(key)).collect()
    }

    /// When the lease of a lock ends in a state, as time since 1970: the first moment at which it is
    /// gone. Nothing if there is no lock, or none with a lease.
    pub fn lease(&mut self, server: u32, lock: usize) -> Result<Option<Duration>, ServerError> {
        if let Some(lease) = self.leases.get(&(server, lock)) {
            return Ok(*lease);
        }
        self.restore(server, 0)?;
        let lease = self.locks.get(lock).and_then(|lock| self.store.lease_end(lock.key()));
        self.leases.insert((server, lock), lease);
        Ok(lease)
    }

    /// What is left when the lease of a lock has ended: a state, and an event's number.
    pub fn expire(&mut self, server: u32, lock: usize) -> Result<(u32, u32), ServerError> {
        if let Some(end) = self.ends.get(&(server, lock)) {
            return Ok(*end);
        }
        self.restore(server, 0)?;
        let key = self.locks.get(lock).map(|lock| lock.key().to_string()).unwrap_or_default();
        let held = self.store.kept(&key);
        let token = held.map(|held| Payload::decode(&held.value).token().as_str().to_string());
        self.store.end_lease(key.as_bytes())?;
        let end = (self.save()?, self.happened(EventKind::lease_expired(lock, &key, token)));
        self.ends.insert((server, lock), end);
        Ok(end)
    }

    /// The keys of database 0 that have a TTL in a state and are no lock's, in the order of their bytes.
    /// Only clients from outside make keys that can matter beside their locks.
    pub fn others(&mut self, server: u32) -> Result<Rc<[OtherKey]>, ServerError> {
        if !self.observes {
            return Ok(Rc::default());
        }
        if let Some(others) = self.others.get(&server) {
            return Ok(Rc::clone(others));
        }
        self.restore(server, 0)?;
        let is_lock = |name: &[u8]| self.locks.iter().any(|lock| lock.key().as_bytes() == name);
        let others = self.store.leases().into_iter().filter(|(name, _)| !is_lock(name));
        let others: Rc<[OtherKey]> = others.map(|(name, end)| OtherKey { name, end }).collect();
        self.others.insert(server, Rc::clone(&others));
        Ok(others)
    }

    /// What is left when the TTL of one of these keys has ended: a state, and an event's number.
    pub fn expire_other(&mut self, server: u32, key: usize) -> Result<(u32, u32), ServerError> {
        if let Some(end) = self.ends_of_others.get(&(server, key)) {
            return Ok(*end);
        }
        let others = self.others(server)?;
        let Some(OtherKey { name, .. }) = others.get(key) else {
            return Err(ServerError::new(format!("there is no key {key} with a TTL")));
        };
        self.restore(server, 0)?;
        self.store.end_lease(name)?;
        let event = EventKind::key_expired(&String::from_utf8_lossy(name));
        let end = (self.save()?, self.happened(event));
        self.ends_of_others.insert((server, key), end);
        Ok(end)
    }

    /// How a lock is left in a state.
    pub fn left(
        &mut self,
        server: u32,
        lock: usize,
        time: u64,
    ) -> Result<Rc<Snapshot>, ServerError> {
        let key = (server, lock, time);
        if let Some(left) = self.left.get(&key) {
            return Ok(Rc::clone(left));
        }
        self.restore(server, time)?;
        let Some(name) = self.locks.get(lock).cloned() else {
            return Err(ServerError::new(format!("there is no lock {lock}")));
        };
        let no_knowledge = Knowledge { local_token: None, other_tokens: &[], owners: &[] };
        let take = if self.observes { Snapshot::of_any_kind } else { Snapshot::take };
        let taken = take(self.store.connection()?, &name, no_knowledge);
        let left = Rc::new(taken.map_err(|error| ServerError::new(error.to_string()))?);
        self.left.insert(key, Rc::clone(&left));
        Ok(left)
    }

    /// Whether a fresh client of the host can acquire a lock in a state, when all leases are over.
    pub fn is_available(
        &mut self,
        server: u32,
        (lock, name): (usize, &LockName),
        time: u64,
        host: &dyn ActorHost,
    ) -> Result<Option<bool>, ServerError> {
        let key = (server, lock, time);
        if let Some(available) = self.available.get(&key) {
            return Ok(*available);
        }
        self.restore(server, time)?;
        let tried = host.is_available(name, self.store.connection()?);
        let tried = tried.map_err(|error| ServerError::new(error.to_string()))?;
        self.available.insert(key, tried);
        Ok(tried)
    }

    fn number(&mut self, reply: RedisResult<Vec<Value>>) -> u32 {
        let next = u32::try_from(self.replies.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry(format!("{reply:?}")).or_insert(next);
        if number == next {
            self.replies.push(reply);
        }
        number
    }
}

/// The event that a command ran, without texts that only a report shows.
fn ran(effects: Vec<Effect>) -> EventKind {
    EventKind::Command(Command { effects, ..Command::default() })
}
