//! The processes of a client, one for each actor, and what all of them share.

use super::canonical::Vocabulary;
use super::client::Client;
use super::instruction::Instruction;
use super::preflight::failed;
use super::process::{Process, SubjectError};
use super::rehearsal::REHEARSED_TTL;
use super::subject::Broken;
use super::threads::Threads;
use super::transcript::Transcripts;
use super::{About, Shared, Start};
use crate::lock::{LockName, Who};
use crate::server::Connection;
use parking_lot::Mutex;
use redis::RedisResult;
use redis_sim::clock::VirtualClock;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The place of the client that acquires when all actors have ended.
pub(super) const FRESH: usize = 999;

/// The processes of a client, and what all of them share.
pub(super) struct Pool {
    pub start: Start,
    pub about: About,
    pub sessions: Mutex<HashMap<usize, Box<dyn Client>>>,
    /// Starts the client of an actor.
    starter: Box<Starter>,
    /// The process that some actors share.
    pub threads: OnceLock<Threads>,
    pub transcripts: Transcripts,
    /// The keys that locks are asked for by, and those that hold them, where they differ.
    watched: HashMap<String, String>,
    pub vocabulary: Arc<Vocabulary>,
    /// The next life of the client that acquires when all actors have ended.
    fresh_lives: AtomicU64,
    /// Whether leases are times in values.
    leases_are_values: AtomicBool,
}

type Starter = dyn Fn(usize) -> Result<Box<dyn Client>, SubjectError> + Send + Sync;

impl Pool {
    /// No process runs yet; `starter` starts that of an actor.
    pub fn new(
        start: Start,
        about: About,
        watched: HashMap<String, String>,
        vocabulary: Arc<Vocabulary>,
        starter: Box<Starter>,
    ) -> Self {
        Self {
            start,
            about,
            sessions: Mutex::default(),
            starter,
            threads: OnceLock::new(),
            transcripts: Transcripts::default(),
            watched,
            vocabulary,
            fresh_lives: AtomicU64::new(0),
            leases_are_values: AtomicBool::new(false),
        }
    }

    /// The client of a participant, in its present life. It goes back when `lent` is dropped.
    pub fn lend<'a>(&self, who: Who, lent: &'a mut Lent<'_>) -> Result<&'a mut dyn Client, Broken> {
        let known = self.sessions.lock().remove(&who.actor);
        let mut session = known.map_or_else(|| (self.starter)(who.actor), Ok)?;
        let was_busy = session.is_busy();
        match session.begin(who.life) {
            Err(_) if was_busy => {
                // It does not come back from where it was left.
                session = (self.starter)(who.actor)?;
                session.begin(who.life)?;
            }
            began => began?,
        }
        Ok(&mut **lent.session.insert(session))
    }

    /// The process that an actor shares with others.
    pub fn threads_of(&self, actor: usize) -> Option<&Threads> {
        self.threads.get().filter(|threads| threads.actors.contains(&actor))
    }

    /// The keys in its instructions under which the client does not keep its locks, and those under which
    /// it does.
    pub fn watched_keys(&self) -> impl Iterator<Item = (&str, &str)> {
        self.watched.iter().map(|(told, watched)| (told.as_str(), watched.as_str()))
    }

    /// A lock by the key under which the client keeps it.
    pub fn watched(&self, lock: LockName) -> LockName {
        match self.watched.get(lock.key()) {
            Some(key) => lock.with_key(key.clone()),
            None => lock,
        }
    }

    /// Whether leases are times in values, which clients compare with their clocks or the server's.
    pub fn leases_are_values(&self) -> bool {
        self.leases_are_values.load(Ordering::Relaxed)
    }

    /// Says whether they are.
    pub fn set_leases_are_values(&self, are_values: bool) {
        self.leases_are_values.store(are_values, Ordering::Relaxed);
    }

    /// Whether fresh clients are granted a lock: as many as a free one must be granted at once. They live so
    /// much later, and so does an embedded server.
    pub fn grants_fresh_clients(
        &self,
        lock: &LockName,
        link: &mut Connection,
        later: Duration,
    ) -> Result<bool, Broken> {
        link.shift_clock(later);
        let ahead = if link.is_remote() { Ok(later) } else { age(link) };
        self.vocabulary.set_ahead(ahead.map_err(failed)?);
        let shared = self.about.shared;
        let acquire =
            Instruction::Acquire.line(lock, REHEARSED_TTL, shared.and_then(Shared::strictest));
        let life = self.fresh_lives.fetch_add(1, Ordering::Relaxed);
        let mut is_granted = true;
        for number in 0..shared.map_or(1, Shared::free_for) {
            let who = Who { actor: FRESH + number, life };
            let mut lent = Lent::new(self, who.actor);
            match self.lend(who, &mut lent).and_then(|client| client.instruct(&acquire, link)) {
                Ok(answer) => is_granted &= answer.ok,
                Err(broken) => {
                    if matches!(broken, Broken::Subject(_)) {
                        lent.session = None;
                    }
                    return Err(broken);
                }
            }
        }
        Ok(is_granted)
    }

    /// Acts on the process of a participant, if it got an instruction in this life.
    pub fn with_process(&self, who: Who, act: impl FnOnce(&Process)) {
        let sessions = self.sessions.lock();
        let session = sessions.get(&who.actor).filter(|session| session.lives(who.life));
        if let Some(process) = session.and_then(|session| session.process()) {
            act(process);
        }
    }
}

/// How long an embedded server has run, by its own clock.
fn age(link: &mut Connection) -> RedisResult<Duration> {
    let (seconds, micros): (u64, u64) = redis::cmd("TIME").query(link)?;
    let now = Duration::from_secs(seconds) + Duration::from_micros(micros);
    Ok(now.saturating_sub(VirtualClock::EPOCH))
}

/// A session that is at work. It goes back also where the work is given up in the middle.
pub(super) struct Lent<'a> {
    pool: &'a Pool,
    actor: usize,
    pub session: Option<Box<dyn Client>>,
}

impl<'a> Lent<'a> {
    /// Nothing is lent yet.
    pub fn new(pool: &'a Pool, actor: usize) -> Self {
        Self { pool, actor, session: None }
    }

    /// The session of an actor as it is, if there is one.
    pub fn as_it_is(pool: &'a Pool, actor: usize) -> Self {
        let session = pool.sessions.lock().remove(&actor);
        Self { pool, actor, session }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            self.pool.sessions.lock().insert(self.actor, session);
        }
    }
}
