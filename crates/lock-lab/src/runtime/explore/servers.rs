//! The server as a machine: what each request makes of each of its states. A request runs once for
//! each state that it meets; where, a [`SnapshotStore`] decides.

use super::super::Turn;
use super::super::in_flight::may_be_late;
use super::super::transactions::is_about_watches;
use super::super::ttl_order::{TtlOrder, lock_of, sets_at_once, turn_of};
use super::super::wire_log;
use super::super::yield_point::Commands;
use super::intern::{Interner, bytes_of_map};
use super::snapshot_store::SnapshotStore;
use crate::lock::{ActorHost, Knowledge, LockName, Payload, Snapshot};
use crate::server::ServerError;
use lock_history::history::{Command, Effect, EventKind};
use redis::{RedisResult, Value};
use redis_sim::clock::VirtualClock;
use redis_sim::{Kept, Lease, requests};
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
    /// The states: those of the store, with the order in which TTLs were set.
    states: Interner<(u32, TtlOrder)>,
    /// That order in the state that the server is in now.
    order: TtlOrder,
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
    /// In each state, the keys with a TTL, where those count that are no lock's.
    keys: FxHashMap<u32, Rc<[Lease]>>,
    /// The same as `ends` of a key that is no lock's, by its position among those with a TTL.
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
        let (mut states, order) = <(Interner<_>, TtlOrder)>::default();
        let first = if observes { states.number((first, order.clone())) } else { first };
        let servers = Self {
            store,
            locks,
            states,
            order,
            observes,
            requests: Interner::default(),
            replies: Vec::new(),
            numbers: FxHashMap::default(),
            done: FxHashMap::default(),
            events: Vec::new(),
            leases: FxHashMap::default(),
            ends: FxHashMap::default(),
            keys: FxHashMap::default(),
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
        let leases = bytes_of_map(&self.leases) + bytes_of_map(&self.keys);
        tables + self.states.bytes() + ends + leases + bytes_of_map(&self.left)
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
        if let Some(state) = self.states.get(server) {
            self.order.clone_from(&state.1);
            return self.store.restore(state.0, time);
        }
        self.store.restore(server, time)
    }

    /// The number of the state that the server is in now.
    pub fn save(&mut self) -> Result<u32, ServerError> {
        let saved = self.store.save()?;
        Ok(if self.observes { self.states.number((saved, self.order.clone())) } else { saved })
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
        let leases = self.leases_now();
        let replies = self.store.run(&asked)?;
        self.reorder(&leases, sets_at_once(&asked.packed));
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
        let token = self.token_of(&key);
        let leases = self.leases_now();
        self.store.end_lease(key.as_bytes())?;
        self.reorder(&leases, true);
        let end = (self.save()?, self.happened(EventKind::lease_expired(lock, &key, token)));
        self.ends.insert((server, lock), end);
        Ok(end)
    }

    /// The locks that are there in a state and do not expire until then, in nanoseconds since the run began.
    pub fn lasting(&mut self, server: u32, until: u64) -> Result<Vec<usize>, ServerError> {
        let until = VirtualClock::EPOCH + Duration::from_nanos(until);
        let mut lasting = Vec::new();
        for lock in 0..self.locks.len() {
            let ends = self.lease(server, lock)?.is_some_and(|end| end <= until);
            self.restore(server, 0)?;
            let key = self.locks.get(lock).map(LockName::key).unwrap_or_default();
            if !ends && self.store.kept(key).is_some() {
                lasting.push(lock);
            }
        }
        Ok(lasting)
    }

    /// The number of the event that the lease of a lock is over in a state, though its key stays.
    pub fn lease_over(&mut self, server: u32, lock: usize) -> Result<u32, ServerError> {
        self.restore(server, 0)?;
        let key = self.locks.get(lock).map(|lock| lock.key().to_string()).unwrap_or_default();
        let token = self.token_of(&key);
        Ok(self.happened(EventKind::lease_in_value_over(lock, &key, token)))
    }

    /// The token that a key holds now.
    fn token_of(&self, key: &str) -> Option<String> {
        let held = self.store.kept(key);
        held.map(|held| Payload::decode(&held.value).token().as_str().to_string())
    }

    /// The keys of database 0 that have a TTL now. Only clients from outside make keys that can matter beside
    /// their locks.
    fn leases_now(&self) -> Vec<Lease> {
        if self.observes { self.store.leases() } else { Vec::new() }
    }

    /// Notes in which order TTLs were set; these were there before.
    fn reorder(&mut self, before: &[Lease], sets_at_once: bool) {
        if self.observes {
            let now = self.store.leases();
            self.order = self.order.after([before, &now], sets_at_once, &self.locks);
        }
    }

    /// The keys of database 0 that have a TTL in a state.
    fn keys(&mut self, server: u32) -> Result<Rc<[Lease]>, ServerError> {
        if let Some(keys) = self.keys.get(&server) {
            return Ok(Rc::clone(keys));
        }
        self.restore(server, 0)?;
        let keys: Rc<[Lease]> = self.leases_now().into();
        self.keys.insert(server, Rc::clone(&keys));
        Ok(keys)
    }

    fn order(&self, server: u32) -> TtlOrder {
        self.states.get(server).map(|state| state.1.clone()).unwrap_or_default()
    }

    /// The TTLs that can end next in a state, whatever the time.
    pub fn expiries(&mut self, server: u32) -> Result<Vec<Turn>, ServerError> {
        if self.observes {
            return Ok(self.order(server).expiries(&self.keys(server)?, &self.locks));
        }
        let mut expiries = Vec::new();
        for lock in 0..self.locks.len() {
            expiries.extend(self.lease(server, lock)?.map(|_| Turn::Expire(lock)));
        }
        Ok(expiries)
    }

    /// The keys that expire at the same moment as another in a state.
    pub fn tied(&mut self, server: u32, turn: Turn) -> Result<Vec<Vec<u8>>, ServerError> {
        if !self.observes {
            return Ok(Vec::new());
        }
        Ok(self.order(server).tied(turn, &self.keys(server)?, &self.locks))
    }

    /// The turn that ends the TTL of a key in a state.
    pub fn expiry_of(&mut self, server: u32, key: &[u8]) -> Result<Option<Turn>, ServerError> {
        Ok(turn_of(key, &self.keys(server)?, &self.locks))
    }

    /// The TTL that ends first in a state, and when. Of those that end at once, locks come first.
    pub fn first_expiry(&mut self, server: u32) -> Result<Option<(Duration, Turn)>, ServerError> {
        let mut ending: Vec<(Duration, Turn)> = Vec::new();
        for lock in 0..self.locks.len() {
            let end = self.lease(server, lock)?;
            ending.extend(end.map(|end| (end, Turn::Expire(lock))));
        }
        let keys = self.keys(server)?;
        let others = keys.iter().filter(|it| lock_of(&it.key, &self.locks).is_none()).enumerate();
        ending.extend(others.map(|(at, other)| (other.end, Turn::ExpireKey(at))));
        Ok(ending.into_iter().min())
    }

    /// What is left when the TTL of a key has ended that is no lock's, by its position among those: a state, and
    /// an event's number.
    pub fn expire_other(&mut self, server: u32, key: usize) -> Result<(u32, u32), ServerError> {
        if let Some(end) = self.ends_of_others.get(&(server, key)) {
            return Ok(*end);
        }
        let keys = self.keys(server)?;
        let mut others = keys.iter().filter(|it| lock_of(&it.key, &self.locks).is_none());
        let Some(Lease { key: name, .. }) = others.nth(key) else {
            return Err(ServerError::new(format!("there is no key {key} with a TTL")));
        };
        self.restore(server, 0)?;
        self.store.end_lease(name)?;
        self.reorder(&keys, true);
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
