//! Recovery beside clients of both protocols that work, and some that die: nobody who lives loses a
//! lock, and nothing of the dead stays.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;

use lock_lab::intercept::Link;
use lock_lab::lock::{
    Acquisition, Caller, Context, Hardened, Identity, Legacy, LockError, LockName, LockProtocol,
    Payload, Removal, TokenSlot, Ttl, hostname, remove_if, repair_flag, survey,
};
use lock_lab::server::{Connection, Server};
use redis::{Cmd, ConnectionLike, ErrorKind, RedisError, RedisResult, Value};
use redis_sim::clock::WallClock;

use super::{DEAD, recover};
use crate::program::{poll, wait_until};
use crate::redis_server::{RedisServer, redis_or_skip};

const RUN: &str = "busy*[run]";
const FILES: [&str; 4] = ["a.nodb", "b.nodb", "_pups/omni/a.nodb", "it's; $(c).nodb"];
/// Clients of each protocol.
const CLIENTS: usize = 3;
/// How often each works.
const ROUNDS: usize = 24;
/// One round of so many is a client's last.
const DEADLY: usize = 6;
/// One round of so many is long: all who recover look at the holder, and look again.
const LONG: usize = 9;
/// How many recover.
const RECOVERERS: usize = 4;

/// A file that is to be changed by one at a time.
#[derive(Default)]
struct Guarded {
    inside: AtomicUsize,
    /// Incremented by reading and writing, so that it loses what two do at once.
    count: AtomicU64,
    work: AtomicU64,
}

/// What goes on until all clients are done.
struct Scene {
    redis: RedisServer,
    files: Vec<(LockName, Guarded)>,
    is_over: AtomicBool,
    deaths: AtomicUsize,
    /// How often each who recovers was done.
    passes: [AtomicUsize; RECOVERERS],
}

/// A connection of a process that is dead for those who look, and that dies before this command, or
/// before the next one that is called so.
struct Doomed {
    connection: Connection,
    dies_before: &'static str,
    spared: usize,
}

impl Link for Doomed {}

impl ConnectionLike for Doomed {
    fn req_packed_command(&mut self, command: &[u8]) -> RedisResult<Value> {
        let words: Vec<Vec<u8>> = redis::from_redis_value(redis::parse_redis_value(command)?)?;
        if words[0] == self.dies_before.as_bytes() {
            match self.spared.checked_sub(1) {
                Some(spared) => self.spared = spared,
                None => return Err(RedisError::from((ErrorKind::Client, "dead"))),
            }
        }
        let me = format!("{}:{}", hostname(), std::process::id());
        let dead = format!("{}:{DEAD}", hostname());
        let mut sent = Cmd::new();
        for word in words {
            match String::from_utf8(word) {
                Ok(text) => sent.arg(text.replace(&me, &dead)),
                Err(other) => sent.arg(other.into_bytes()),
            };
        }
        sent.query(&mut self.connection)
    }

    fn req_packed_commands(&mut self, _: &[u8], _: usize, _: usize) -> RedisResult<Vec<Value>> {
        unreachable!("the protocols send one command at a time")
    }

    fn get_db(&self) -> i64 {
        0
    }

    fn check_connection(&mut self) -> bool {
        true
    }

    fn is_open(&self) -> bool {
        true
    }
}

/// A client, with what it remembers.
struct Client<'a> {
    scene: &'a Scene,
    protocol: &'a dyn LockProtocol,
    clock: WallClock,
    identity: Identity,
    own: TokenSlot,
    slot: TokenSlot,
}

impl<'a> Client<'a> {
    fn new(scene: &'a Scene, protocol: &'a dyn LockProtocol) -> Self {
        let identity = Identity::of_this_process();
        let (own, slot) = Default::default();
        Self { scene, protocol, clock: WallClock::new(None), identity, own, slot }
    }

    fn ask<T>(
        &self,
        link: &mut dyn Link,
        lock: &LockName,
        operation: impl FnOnce(&mut Context<'_>) -> Result<T, LockError>,
    ) -> Result<T, LockError> {
        let mut caller =
            Caller { link, clock: &self.clock, identity: &self.identity, own: &self.own };
        operation(&mut caller.at(lock, &self.slot))
    }

    fn acquire(&self, link: &mut dyn Link, lock: &LockName) -> Result<Acquisition, LockError> {
        let ttl = Ttl::DEFAULT;
        let taken = poll(|| {
            let taken = self.ask(link, lock, |at| self.protocol.acquire(at, ttl, 0));
            (!matches!(taken, Err(LockError::AlreadyLocked { .. }))).then_some(taken)
        });
        taken.unwrap_or_else(|| panic!("{} is never free", lock.key()))
    }

    /// Works once, undisturbed.
    fn work(&self, link: &mut Connection, lock: &LockName, guarded: &Guarded, is_long: bool) {
        let own = self.acquire(link, lock).unwrap();
        assert_eq!(guarded.inside.fetch_add(1, Ordering::SeqCst), 0, "an overlap");
        let seen = guarded.count.load(Ordering::SeqCst);
        if is_long {
            self.scene.outlast_recovery();
        }
        self.ask(link, lock, |at| self.protocol.extend(at)).unwrap();
        self.ask(link, lock, |at| self.protocol.check_write(at)).unwrap();
        let raw: Option<Vec<u8>> = redis::cmd("GET").arg(lock.key()).query(link).unwrap();
        let token = raw.map(|raw| Payload::decode(&raw).token().clone());
        assert_eq!(token, Some(own.token), "a live holder lost its lock");
        guarded.count.store(seen + 1, Ordering::SeqCst);
        guarded.work.fetch_add(1, Ordering::SeqCst);
        assert_eq!(guarded.inside.fetch_sub(1, Ordering::SeqCst), 1, "an overlap");
        self.ask(link, lock, |at| self.protocol.release(at)).unwrap();
    }

    /// Dies at one of the moments at which the protocol can be cut off.
    fn die(&self, lock: &LockName, round: usize) {
        let server = self.scene.server();
        let is_legacy = self.protocol.name() == "legacy";
        let moments = [("HSET", 0), ("DEL", 0), ("HSET", 1), ("GET", 0)];
        let (dies_before, spared) = moments[round / DEADLY % moments.len()];
        let mut link = Doomed { connection: server.connect(0).unwrap(), dies_before, spared };
        if self.acquire(&mut link, lock).is_ok() && is_legacy {
            let released = self.ask(&mut link, lock, |at| self.protocol.release(at));
            assert!(released.is_err(), "it has died before");
        }
        self.scene.deaths.fetch_add(1, Ordering::SeqCst);
    }
}

impl Scene {
    fn server(&self) -> Server {
        Server::at(&self.redis.url(), None).unwrap()
    }

    fn client(&self, number: usize) {
        let protocol: &dyn LockProtocol =
            if number.is_multiple_of(2) { &Legacy } else { &Hardened::default() };
        let mut link = self.server().connect(0).unwrap();
        for round in 0..ROUNDS {
            let client = Client::new(self, protocol);
            let (lock, guarded) = &self.files[(number + round) % self.files.len()];
            if round % DEADLY == number % DEADLY {
                client.die(lock, round);
            } else {
                client.work(&mut link, lock, guarded, round % LONG == number % LONG);
            }
        }
    }

    /// Waits until each who recovers has begun anew and was done.
    fn outlast_recovery(&self) {
        let passes = || self.passes.each_ref().map(|count| count.load(Ordering::SeqCst));
        let before = passes();
        wait_until("all have looked", || {
            passes().iter().zip(before).all(|(now, before)| *now > before + 1)
        });
    }

    /// The program, again and again; gives how many locks it removed.
    fn recover(&self, who: usize, arguments: &[&str], codes: &[i32]) -> u64 {
        let mut removed = 0;
        while !self.is_over.load(Ordering::SeqCst) {
            let ended = recover(&self.redis, arguments).arg("--format=json").run();
            assert!(ended.code.is_some_and(|code| codes.contains(&code)), "{ended:#?}");
            let report = ended.json();
            if report["dry_run"] == false {
                removed += report["counts"]["removed"].as_u64().unwrap();
            }
            assert_eq!(report["counts"]["failed"], 0, "{ended:#?}");
            self.passes[who].fetch_add(1, Ordering::SeqCst);
        }
        removed
    }

    /// Repairs all flags, and tries to remove locks that have been and are gone.
    fn hammer(&self) -> usize {
        let mut link = self.server().connect(0).unwrap();
        let mut last: BTreeMap<String, Payload> = BTreeMap::new();
        let mut tries = 0;
        while !self.is_over.load(Ordering::SeqCst) {
            let mut sightings = Vec::new();
            survey(&mut link, None, Some(RUN), &mut |seen| sightings.push(seen)).unwrap();
            for seen in sightings {
                repair_flag(&mut link, &seen.lock).unwrap();
                let Some(now) = seen.payload() else { continue };
                let old = last.insert(seen.file.clone(), now.clone());
                if let Some(old) = old.filter(|old| old != now) {
                    let removal = remove_if(&mut link, &seen.lock, &old).unwrap();
                    assert!(
                        matches!(removal, Removal::Changed | Removal::Gone { .. }),
                        "{removal:?}"
                    );
                    tries += 1;
                }
            }
        }
        tries
    }
}

#[test]
fn nothing_is_lost_beside_clients_that_work_and_everything_of_the_dead_goes() {
    let redis = redis_or_skip!();
    let files = FILES.map(|file| (LockName::new(RUN, file), Guarded::default()));
    let scene = Scene {
        redis,
        files: files.into(),
        is_over: AtomicBool::default(),
        deaths: AtomicUsize::default(),
        passes: Default::default(),
    };
    let (removed, stale) = thread::scope(|scope| {
        let scene = &scene;
        let clients: Vec<_> =
            (0..2 * CLIENTS).map(|number| scope.spawn(move || scene.client(number))).collect();
        let removers = [
            scope.spawn(|| scene.recover(0, &["clear_locks", RUN], &[0])),
            scope.spawn(|| scene.recover(1, &["unlock", RUN, FILES[3]], &[0, 1])),
            scope.spawn(|| scene.recover(2, &["repair", RUN], &[0])),
            scope.spawn(|| scene.recover(3, &["clear_locks", RUN, "--force", "--dry-run"], &[0])),
        ];
        let hammer = scope.spawn(|| scene.hammer());
        let worked: Vec<_> = clients.into_iter().map(|client| client.join()).collect();
        scene.is_over.store(true, Ordering::SeqCst);
        let removed = removers.map(|remover| remover.join().unwrap());
        let stale = hammer.join().unwrap();
        worked.into_iter().for_each(|client| client.unwrap());
        (removed, stale)
    });
    for (lock, guarded) in &scene.files {
        let (count, work) = (&guarded.count, &guarded.work);
        assert_eq!(count.load(Ordering::SeqCst), work.load(Ordering::SeqCst), "{}", lock.key());
        assert!(work.load(Ordering::SeqCst) > 0, "{}", lock.key());
    }
    assert_eq!(scene.deaths.load(Ordering::SeqCst), 2 * CLIENTS * ROUNDS / DEADLY);
    let [by_clearing, by_unlocking, by_repair, by_a_dry_run] = removed;
    assert!(by_clearing + by_unlocking > 10, "{by_clearing} {by_unlocking}");
    assert_eq!((by_repair, by_a_dry_run), (0, 0));
    assert!(stale > 5, "{stale}");

    recover(&scene.redis, &["clear_locks", RUN]).run().exits(0);
    let repaired = recover(&scene.redis, &["repair", RUN, "--format=json"]).run();
    assert_eq!(repaired.exits(0).json()["flags"].as_array().unwrap().len(), 0);
    let mut con = scene.redis.client().get_connection().unwrap();
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut con).unwrap();
    assert_eq!(keys, [RUN], "no lock is left");
    let fields: BTreeMap<String, String> = redis::cmd("HGETALL").arg(RUN).query(&mut con).unwrap();
    for (lock, _) in &scene.files {
        assert_eq!(fields[lock.flag()], "false");
        assert!(fields[lock.fence()].parse::<u64>().unwrap() > 0, "the counter stays");
    }
}
