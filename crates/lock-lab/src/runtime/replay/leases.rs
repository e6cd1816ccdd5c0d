//! The leases of a plan's locks, and the TTLs of what other keys a client from outside makes: how long they
//! still last, and letting them end.

use crate::lock::{LockName, Payload, expire_if};
use crate::runtime::World;
use crate::server::{Connection, Server, ServerError};
use lock_history::history::{EventKind, Moment};
use redis::RedisResult;
use redis_sim::clock::Stopped;
use std::time::Duration;

/// How often we look whether a lease has ended on a real server.
const GLANCE: Duration = Duration::from_millis(1);

/// Looks at leases and ends them, over a connection of its own.
pub(super) struct Leases<'a> {
    world: &'a World,
    link: Connection,
}

/// A lock that is held.
pub(super) struct Held {
    payload: Payload,
    /// What is left of its lease; nothing, if it has none.
    pub left: Option<Duration>,
}

impl Held {
    fn token(&self) -> String {
        self.payload.token().as_str().to_owned()
    }
}

/// A key with a TTL that is no lock's.
pub(super) struct OtherKey {
    pub name: Vec<u8>,
    /// What is left of its TTL.
    pub left: Duration,
}

/// Why a lease was not ended.
pub(super) enum NotEnded {
    /// It can't be.
    Refused(&'static str),
    /// The run was stopped.
    Stopped(Stopped),
    /// The server failed.
    Failed(ServerError),
}

impl From<ServerError> for NotEnded {
    fn from(error: ServerError) -> Self {
        NotEnded::Failed(error)
    }
}

impl<'a> Leases<'a> {
    pub fn new(world: &'a World) -> Result<Self, ServerError> {
        Ok(Self { world, link: world.services.connect(0)? })
    }

    /// The holder of a lock; none if it is free.
    pub fn held(&mut self, lock: usize) -> Result<Option<Held>, ServerError> {
        let Some(names) = self.world.setup.locks.get(lock) else { return Ok(None) };
        let found = self.link.kept(names.key());
        let found = found.map_err(|error| self.world.services.server.explain_known(&error))?;
        Ok(found.map(|kept| Held { payload: Payload::decode(&kept.value), left: kept.left }))
    }

    /// The keys of database 0 that have a TTL and are no lock's, in the order of their bytes. Only clients
    /// from outside make keys that can matter beside their locks.
    pub fn others(&mut self) -> Result<Vec<OtherKey>, ServerError> {
        if !self.world.protocol().is_foreign() {
            return Ok(Vec::new());
        }
        let found = others(&mut self.link, &self.world.setup.locks);
        found.map_err(|error| self.world.services.server.explain_known(&error))
    }

    /// Ends the TTL of one of these keys now.
    pub fn end_other(&mut self, key: usize) -> Result<(), NotEnded> {
        let world = self.world;
        let other = self.others()?.into_iter().nth(key);
        let OtherKey { name, .. } = other.ok_or(NotEnded::Refused("there is no such key"))?;
        if let Server::Embedded(engine) = &world.services.server {
            engine.evict(0, &name);
        } else {
            self.expire_at_once(&name)?;
            while self.others()?.iter().any(|now| now.name == name) {
                world.services.time.clock().sleep(GLANCE).map_err(NotEnded::Stopped)?;
            }
        }
        self.note_end_of_other(&name, world.log.moment());
        Ok(())
    }

    /// Writes down that the TTL of a key ended that is no lock's.
    pub fn note_end_of_other(&self, name: &[u8], moment: Moment) {
        let event = EventKind::key_expired(&String::from_utf8_lossy(name));
        self.world.log.note_fault(moment, event);
    }

    /// Ends a lease now.
    pub fn end(&mut self, lock: usize) -> Result<(), NotEnded> {
        let (world, Some(names)) = (self.world, self.world.setup.locks.get(lock)) else {
            return Err(NotEnded::Refused("there is no such lock"));
        };
        let held = self.held(lock)?.ok_or(NotEnded::Refused("nobody holds it"))?;
        if held.left.is_none() {
            return Err(NotEnded::Refused("it has no TTL"));
        }
        if let Server::Embedded(engine) = &world.services.server {
            engine.evict(0, names.key().as_bytes());
        } else {
            self.shorten(names)?;
            while self.held(lock)?.is_some_and(|now| now.payload == held.payload) {
                world.services.time.clock().sleep(GLANCE).map_err(NotEnded::Stopped)?;
            }
        }
        self.note_end(lock, &held, world.log.moment());
        Ok(())
    }

    /// Shortens the lease of a lock of ours as far as it goes.
    fn shorten(&mut self, names: &LockName) -> Result<(), NotEnded> {
        let world = self.world;
        if world.protocol().is_foreign() {
            // No other client is there, and the value need not be a payload.
            return self.expire_at_once(names.key().as_bytes());
        }
        let shortened = expire_if(&mut self.link, names, |payload| world.setup.is_ours(payload));
        match shortened.map_err(|error| ServerError::new(world.services.explain(&error)))? {
            true => Ok(()),
            false => Err(NotEnded::Refused("somebody else holds it")),
        }
    }

    fn expire_at_once(&mut self, key: &[u8]) -> Result<(), NotEnded> {
        let ended = redis::cmd("PEXPIRE").arg(key).arg(1).exec(&mut self.link);
        Ok(ended.map_err(|error| self.world.services.server.explain_known(&error))?)
    }

    /// Writes down that the lease of a lock ended.
    pub fn note_end(&self, lock: usize, held: &Held, moment: Moment) {
        let event = EventKind::lease_expired(lock, self.key(lock), Some(held.token()));
        self.world.log.note_fault(moment, event);
    }

    /// Writes down that the lease of a lock is over now, though its key stays.
    pub fn note_lease_over(&self, lock: usize, held: &Held) {
        let event = EventKind::lease_in_value_over(lock, self.key(lock), Some(held.token()));
        self.world.log.note_fault(self.world.log.moment(), event);
    }

    fn key(&self, lock: usize) -> &str {
        self.world.setup.locks.get(lock).map(LockName::key).unwrap_or_default()
    }
}

fn others(link: &mut Connection, locks: &[LockName]) -> RedisResult<Vec<OtherKey>> {
    let mut names: Vec<Vec<u8>> = redis::cmd("KEYS").arg("*").query(link)?;
    names.retain(|name| locks.iter().all(|lock| lock.key().as_bytes() != name));
    names.sort_unstable();
    let mut others = Vec::new();
    for name in names {
        let left: i64 = redis::cmd("PTTL").arg(&name).query(link)?;
        let left = u64::try_from(left).ok().map(Duration::from_millis);
        others.extend(left.map(|left| OtherKey { name, left }));
    }
    Ok(others)
}
