//! Programs that use one lock, correctly or with a fault, until all are done.

use super::incidents::Incident;
use super::server::{Heard, Reply, Server};
use super::truth::Truth;
use lock_lab::rng::Rng;
use redis::Value;
use std::collections::{HashMap, HashSet};

/// What the key holds, and how its holder releases it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Format {
    /// A random token; a script compares and deletes.
    Script,
    /// A random token; GET, compare, DEL.
    GetDel,
    /// A constant; DEL.
    Constant,
    /// The payload and the flag of NoDb; GET, compare, DEL.
    NoDb,
    /// A hash with a field for the holder; scripts.
    Hash,
    /// A hash whose field `owner` has a random token; HGET, compare, DEL.
    Field,
    /// A sorted set with one member, which is a random token; ZREM.
    Sorted,
}

impl Format {
    /// Whether the key is a string.
    pub fn is_text(self) -> bool {
        !matches!(self, Format::Hash | Format::Field | Format::Sorted)
    }
}

/// How holders share connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// One program whose threads have a connection each.
    Threads,
    /// One program whose threads take a connection of a pool for each command.
    Pool,
    /// A program for each holder, with a pool of its own.
    Processes,
    /// A program for each holder, which opens a connection for each command.
    Fresh,
}

/// What is wrong with one of the holders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// Nothing: it works for longer than its lease lasts, and extends it meanwhile.
    Renewed,
    /// It works for longer than its lease lasts, now and then.
    ShortLease,
    /// The same, and its release compares nothing.
    BlindDelete,
    /// It releases the lock after a refusal, too.
    ForeignRelease,
    /// It writes the key without NX.
    Overwrite,
    /// It sets the lease after a refusal, too.
    ForeignExtend,
    /// It asks for no TTL and crashes once while it holds the lock.
    Crash,
    /// It crashes once while it holds the lock, and its lease expires.
    Killed,
    /// It asks for no TTL and forgets to release the lock once.
    NoRelease,
}

/// What connections call themselves (CLIENT SETNAME).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Naming {
    Nothing,
    /// Those of a program have one name, and each program has another one.
    Program,
    /// All have one name.
    Equal,
}

/// What is generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Workload {
    pub format: Format,
    pub place: Place,
    pub fault: Fault,
    pub naming: Naming,
    pub incident: Incident,
    pub seed: u64,
}

/// The key of the lock.
pub(super) fn key(format: Format) -> &'static str {
    if format == Format::NoDb { "nodb-lock:run:a.nodb" } else { "lock:a" }
}

/// The lease in milliseconds.
const LEASE: u64 = 300;

/// A release that compares.
const COMPARE_AND_DELETE: &str =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

/// An extension that compares.
const COMPARE_AND_EXTEND: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Acquire,
    SetFlag,
    Extend,
    Work,
    Delete,
    ClearFlag,
    Over,
}

/// A thread or process that acquires and releases the lock a few times.
struct Holder {
    connections: Vec<usize>,
    is_faulty: bool,
    owner: String,
    state: State,
    /// When it goes on.
    at: u64,
    rounds: usize,
    refusals: usize,
    token: String,
    tokens: usize,
    /// How often it still extends its lease.
    extensions: usize,
    /// When its release reached the lock.
    released: u64,
}

/// What happened, as a recording receives it and as it was.
pub(super) struct Run {
    pub heard: Vec<Heard>,
    pub truth: Truth,
    pub began: u64,
    pub ended: u64,
    /// The addresses of the connections that are open at the end.
    pub open: HashSet<String>,
}

pub(super) struct World {
    pub(super) workload: Workload,
    pub(super) server: Server,
    pub(super) truth: Truth,
    rng: Rng,
    holders: Vec<Holder>,
    /// When the incident happens.
    incident_at: u64,
    /// The connections of holders that crashed.
    closed: HashSet<usize>,
}

/// Runs a workload to its end.
pub(super) fn run(workload: Workload) -> Run {
    World::new(workload).run()
}

impl World {
    /// Runs until all holders are done.
    pub(super) fn run(&mut self) -> Run {
        let began = self.server.now();
        while let Some(holder) = self.next() {
            let at = self.holders[holder].at;
            if at > self.incident_at {
                self.pass(self.incident_at.saturating_sub(self.server.now()));
                self.incident_at = u64::MAX;
                self.strike(self.workload.incident);
            }
            self.pass(at.saturating_sub(self.server.now()));
            self.step(holder);
        }
        self.pass(2 * LEASE * 1000);
        self.server.expired();
        let ended = self.server.now();
        self.truth.finish(ended);
        let heard = std::mem::take(&mut self.server.heard);
        let connections = self.holders.iter().flat_map(|holder| &holder.connections);
        let open = connections.filter(|connection| !self.closed.contains(connection));
        let open = open.map(|connection| self.server.address(*connection)).collect();
        Run { heard, truth: std::mem::take(&mut self.truth), began, ended, open }
    }

    pub(super) fn new(workload: Workload) -> Self {
        let mut rng = Rng::new(workload.seed);
        let mut server = Server::new(key(workload.format), rng.next());
        let count = 2 + rng.below(2);
        let pool: Vec<usize> = (0..2).map(|_| server.connect()).collect();
        let holders = (0..count).map(|number| Holder {
            connections: match workload.place {
                Place::Threads => vec![server.connect()],
                Place::Pool => pool.clone(),
                Place::Processes => vec![server.connect(), server.connect()],
                Place::Fresh => Vec::new(),
            },
            is_faulty: number == 0 && workload.fault != Fault::None,
            owner: match workload.place {
                Place::Processes | Place::Fresh => format!("host:{}", 100 + number),
                Place::Threads | Place::Pool => "host:100".to_owned(),
            },
            state: State::Acquire,
            at: server.now() + rng.below(20_000) as u64,
            // In a few rounds, a pool may look as if each connection were a client.
            rounds: 5 + rng.below(3),
            refusals: 0,
            token: String::new(),
            tokens: 0,
            extensions: 0,
            released: 0,
        });
        let holders = holders.collect();
        let incident_at = server.now() + 30_000 + rng.below(100_000) as u64;
        let truth = Truth::default();
        let closed = HashSet::new();
        let mut world = Self { workload, server, truth, rng, holders, incident_at, closed };
        world.introduce();
        world
    }

    /// All connections say what they call themselves.
    fn introduce(&mut self) {
        for holder in 0..self.holders.len() {
            let name = match self.workload.naming {
                Naming::Nothing => return,
                Naming::Program => self.holders[holder].owner.clone(),
                Naming::Equal => "app".to_owned(),
            };
            for connection in self.holders[holder].connections.clone() {
                self.server.run(connection, &["CLIENT", "SETNAME", &name]);
            }
        }
    }

    /// Each connection is replaced by a new one.
    pub(super) fn reconnect(&mut self) {
        let mut replaced = HashMap::new();
        for holder in &mut self.holders {
            for connection in &mut holder.connections {
                let new = replaced.entry(*connection).or_insert_with(|| self.server.connect());
                *connection = *new;
            }
        }
        self.introduce();
    }

    /// The holder that goes on first.
    fn next(&self) -> Option<usize> {
        let going = self.holders.iter().enumerate().filter(|(_, one)| one.state != State::Over);
        going.min_by_key(|(_, one)| one.at).map(|(number, _)| number)
    }

    pub(super) fn pass(&mut self, span: u64) {
        if self.server.pass(span) {
            self.truth.expired();
        }
    }

    /// Sends a command over a connection of the holder's program.
    pub(super) fn send(&mut self, holder: usize, words: &[&str]) -> Reply {
        self.pass(0);
        let connection = self.connection(holder);
        self.server.run(connection, words)
    }

    /// The same with a script, whose commands follow from its reply.
    pub(super) fn script(
        &mut self,
        holder: usize,
        words: &[&str],
        commands: impl FnOnce(&Value) -> Vec<Vec<String>>,
    ) -> Reply {
        self.pass(0);
        let connection = self.connection(holder);
        self.server.script(connection, words, commands)
    }

    fn connection(&mut self, holder: usize) -> usize {
        if self.workload.place == Place::Fresh {
            return self.server.connect();
        }
        let connections = &self.holders[holder].connections;
        connections[self.rng.below(connections.len())]
    }

    pub(super) fn is_faulty(&self, holder: usize, fault: Fault) -> bool {
        self.workload.fault == fault && self.holders[holder].is_faulty
    }

    /// A holder goes on after this time, in milliseconds, and a bit.
    fn later(&mut self, holder: usize, state: State, milliseconds: u64) {
        let bit = self.rng.below(3000) as u64;
        let at = self.server.now() + milliseconds * 1000 + bit;
        (self.holders[holder].state, self.holders[holder].at) = (state, at);
    }

    fn step(&mut self, holder: usize) {
        match self.holders[holder].state {
            State::Acquire => self.acquire(holder),
            State::SetFlag => {
                self.flag(holder, "true");
                self.work(holder);
            }
            State::Extend => self.extend(holder),
            State::Work => self.finish_work(holder),
            State::Delete => {
                let reply = self.delete(holder);
                self.released(holder, &reply, false);
            }
            State::ClearFlag => {
                let reply = self.flag(holder, "false");
                let first = self.holders[holder].released;
                self.truth.done(holder, &Reply { first, ..reply }, false);
                self.rest(holder);
            }
            State::Over => {}
        }
    }

    /// Whether a holder crashes now: after its last round, so that its connection was seen at work.
    fn crashes(&self, holder: usize) -> bool {
        let is_faulty =
            [Fault::Crash, Fault::Killed].iter().any(|fault| self.is_faulty(holder, *fault));
        is_faulty && self.holders[holder].rounds == 1
    }

    /// How often a holder is refused before it gives up: for more than a second where a lock may be stuck.
    fn patience(&self) -> usize {
        if self.is_forever() { 80 } else { 12 }
    }

    /// Whether leases have no end here.
    fn is_forever(&self) -> bool {
        matches!(self.workload.fault, Fault::Crash | Fault::NoRelease)
    }

    fn acquire(&mut self, holder: usize) {
        // Where a holder is killed, others look before they try.
        if self.workload.fault == Fault::Killed && self.workload.format.is_text() {
            self.send(holder, &["GET", key(self.workload.format)]);
        }
        let one = &mut self.holders[holder];
        one.tokens += 1;
        let token = format!("{:08x}-{holder}-{}", self.workload.seed, one.tokens);
        let value = match self.workload.format {
            Format::Script | Format::GetDel | Format::Field => token,
            Format::Sorted => format!("{:016x}{:016x}", self.rng.next(), self.rng.next()),
            Format::Hash => format!("{:08x}:{holder}", self.workload.seed),
            Format::Constant => "locked".to_owned(),
            Format::NoDb => {
                let (owner, at) = (&one.owner, self.server.now() / 1_000_000);
                format!(r#"{{"token":"{token}","owner":"{owner}","acquired_at":{at}}}"#)
            }
        };
        one.token.clone_from(&value);
        let lease = LEASE.to_string();
        let mut words = vec!["SET", key(self.workload.format), &value];
        if !self.is_forever() {
            words.extend(["PX", &lease]);
        }
        if !self.is_faulty(holder, Fault::Overwrite) {
            words.push("NX");
        }
        let lease = (!self.is_forever()).then_some(LEASE);
        let reply = match self.workload.format {
            Format::Hash | Format::Field | Format::Sorted => {
                self.take_member(holder, &value, lease)
            }
            _ => self.send(holder, &words),
        };
        if !reply.is_yes() {
            return self.refused(holder);
        }
        self.truth.granted(holder, lease, &reply);
        self.holders[holder].refusals = 0;
        if self.workload.format == Format::NoDb {
            self.later(holder, State::SetFlag, 0);
        } else {
            self.work(holder);
        }
    }

    fn refused(&mut self, holder: usize) {
        if self.rng.below(2) == 0 && self.is_faulty(holder, Fault::ForeignRelease) {
            self.delete(holder);
        }
        if self.rng.below(2) == 0 && self.is_faulty(holder, Fault::ForeignExtend) {
            let lease = (2 * LEASE).to_string();
            let reply = self.send(holder, &["PEXPIRE", key(self.workload.format), &lease]);
            self.truth.extended(holder, &reply);
        }
        self.holders[holder].refusals += 1;
        if self.holders[holder].refusals > self.patience() {
            self.later(holder, State::Over, 0);
        } else {
            let back_off = 5 + self.rng.below(40) as u64;
            self.later(holder, State::Acquire, back_off);
        }
    }

    fn work(&mut self, holder: usize) {
        if self.is_faulty(holder, Fault::Renewed) {
            self.holders[holder].extensions = 3 + self.rng.below(3);
            return self.later(holder, State::Extend, LEASE / 3);
        }
        let is_short = [Fault::ShortLease, Fault::BlindDelete];
        let is_long =
            is_short.iter().any(|fault| self.is_faulty(holder, *fault)) && self.rng.below(2) == 0;
        let work = if is_long { LEASE + 20 } else { 2 } + self.rng.below(60) as u64;
        self.later(holder, State::Work, work);
    }

    /// Gives the lock its full lease again, as its format does.
    fn extend(&mut self, holder: usize) {
        let key = key(self.workload.format);
        let (value, lease) = (self.holders[holder].token.clone(), LEASE.to_string());
        let extend = || vec!["PEXPIRE".to_owned(), key.to_owned(), LEASE.to_string()];
        let reply = match self.workload.format {
            Format::Script => {
                let words = ["EVAL", COMPARE_AND_EXTEND, "1", key, &value, &lease];
                self.script(holder, &words, |reply| {
                    let extends = (*reply == Value::Int(1)).then(extend);
                    std::iter::once(vec!["GET".to_owned(), key.to_owned()]).chain(extends).collect()
                })
            }
            Format::GetDel | Format::NoDb => {
                self.send(holder, &["GET", key]);
                self.send(holder, &["PEXPIRE", key, &lease])
            }
            Format::Hash => self.extend_member(holder, &value, &lease),
            Format::Constant | Format::Field | Format::Sorted => {
                self.send(holder, &["PEXPIRE", key, &lease])
            }
        };
        self.truth.extended(holder, &reply);
        self.holders[holder].extensions -= 1;
        match self.holders[holder].extensions {
            0 => self.later(holder, State::Work, 2),
            _ => self.later(holder, State::Extend, LEASE / 3),
        }
    }

    /// The work is done: now comes the release, or a crash.
    fn finish_work(&mut self, holder: usize) {
        if self.crashes(holder) {
            self.holders[holder].state = State::Over;
            self.truth.abandoned(holder);
            // A thread leaves its program with the connections of a pool.
            if self.workload.place != Place::Pool {
                self.closed.extend(&self.holders[holder].connections);
            }
        } else if self.is_faulty(holder, Fault::NoRelease) {
            self.truth.abandoned(holder);
            self.later(holder, State::Acquire, 5);
        } else {
            self.release(holder);
        }
    }

    fn release(&mut self, holder: usize) {
        self.truth.releases(holder);
        let key = key(self.workload.format);
        let value = self.holders[holder].token.clone();
        let is_blind =
            self.workload.format == Format::Constant || self.is_faulty(holder, Fault::BlindDelete);
        if is_blind {
            let reply = self.delete(holder);
            return self.released(holder, &reply, false);
        }
        if matches!(self.workload.format, Format::Hash | Format::Sorted) {
            let reply = self.drop_member(holder, &value);
            self.truth.deleted(holder, &reply);
            return self.released(holder, &reply, !reply.is_yes());
        }
        if self.workload.format == Format::Script {
            let words = ["EVAL", COMPARE_AND_DELETE, "1", key, &value];
            let reply = self.script(holder, &words, |reply| {
                let deletes = *reply == Value::Int(1);
                let command = |name: &str| vec![name.to_owned(), key.to_owned()];
                let delete = deletes.then(|| command("DEL"));
                std::iter::once(command("GET")).chain(delete).collect()
            });
            self.truth.deleted(holder, &reply);
            return self.released(holder, &reply, !reply.is_yes());
        }
        let reply = match self.workload.format {
            Format::Field => self.send(holder, &["HGET", key, "owner"]),
            _ => self.send(holder, &["GET", key]),
        };
        if reply.is_text(&value) {
            self.later(holder, State::Delete, 0);
        } else {
            // The release of NoDb takes a lock that is gone for one that is released.
            let has_learned = self.workload.format != Format::NoDb || reply.value != Value::Nil;
            self.released(holder, &reply, has_learned);
        }
    }

    fn delete(&mut self, holder: usize) -> Reply {
        let reply = self.send(holder, &["DEL", key(self.workload.format)]);
        self.truth.deleted(holder, &reply);
        reply
    }

    /// A holder has released its lock, or has learned that it had lost it.
    fn released(&mut self, holder: usize, reply: &Reply, has_learned: bool) {
        // A release that finds another token fails, and leaves the flag alone.
        if self.workload.format == Format::NoDb && !has_learned {
            self.holders[holder].released = reply.first;
            self.later(holder, State::ClearFlag, 0);
        } else {
            self.truth.done(holder, reply, has_learned);
            self.rest(holder);
        }
    }

    fn flag(&mut self, holder: usize, value: &str) -> Reply {
        self.send(holder, &["HSET", "run", "locked:a.nodb", value])
    }

    fn rest(&mut self, holder: usize) {
        self.holders[holder].rounds -= 1;
        let (state, pause) = match self.holders[holder].rounds {
            0 => (State::Over, 0),
            _ => (State::Acquire, 5 + self.rng.below(40) as u64),
        };
        self.later(holder, state, pause);
    }
}
