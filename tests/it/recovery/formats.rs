//! Recovery beside clients of every format that work, and some that die: each client's own log says that it
//! lost no lock, and nothing of the dead stays.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;

use redis::Connection;

use super::{DEAD, Hand, TOKEN, payload, recover};
use crate::lock_formats::{Format, formats};
use crate::program::{poll, wait_until};
use crate::redis_server::{RedisServer, redis_or_skip};

/// How often each client works.
const ROUNDS: usize = 8;
/// In this round a client holds the lock until all commands have run beside it.
const LONG: usize = 2;
/// In this one it dies under the lock.
const DEADLY: usize = 5;
/// Clients of each format.
const CLIENTS: usize = 2;
/// How many commands run beside them.
const COMMANDS: usize = 5;

/// A lock, what it guards, and what its clients have done.
struct Lock {
    format: Format,
    inside: AtomicUsize,
    /// Incremented by reading and writing, so that it loses what two clients do at once.
    count: AtomicU64,
    work: AtomicU64,
    acquisitions: AtomicU64,
    /// The token that was released last.
    stale: Mutex<Option<String>>,
}

/// What goes on until all clients are done.
struct Scene {
    redis: RedisServer,
    locks: Vec<Lock>,
    is_over: AtomicBool,
    /// The locks whose holder died, with its token, and how many there were.
    dead: Mutex<VecDeque<(usize, Option<String>)>>,
    deaths: AtomicUsize,
    /// How often each command was done for all locks.
    passes: [AtomicUsize; COMMANDS],
}

impl Lock {
    fn new(format: Format) -> Self {
        let (inside, stale) = Default::default();
        let (count, work, acquisitions) = Default::default();
        Self { format, inside, count, work, acquisitions, stale }
    }

    /// A new acquisition: its token.
    fn acquire(&self, con: &mut Connection) -> Option<String> {
        let number = self.acquisitions.fetch_add(1, Ordering::SeqCst);
        let token = self.format.token.map(|token| token(number));
        let acquire = || self.format.acquires(con, token.as_ref()).then_some(());
        poll(acquire).unwrap_or_else(|| panic!("{} is never free", self.format.key));
        token
    }

    /// Releases it; the client's own log says that it still had it.
    fn release(&self, con: &mut Connection, token: Option<String>) {
        let had_it = self.format.releases(con, token.as_ref());
        assert!(had_it, "{}: a live holder lost its lock", self.format.key);
        *self.stale.lock().unwrap() = token;
    }
}

impl Scene {
    fn client(&self, number: usize, lock: usize) {
        let mut con = self.redis.client().get_connection().unwrap();
        let is_first = number == 0;
        let lock = (lock, &self.locks[lock]);
        for round in 0..ROUNDS {
            let (place, lock) = lock;
            let token = lock.acquire(&mut con);
            let key = lock.format.key;
            assert_eq!(lock.inside.fetch_add(1, Ordering::SeqCst), 0, "{key}: an overlap");
            let seen = lock.count.load(Ordering::SeqCst);
            if is_first && round == LONG {
                self.outlast_commands();
            }
            lock.count.store(seen + 1, Ordering::SeqCst);
            lock.work.fetch_add(1, Ordering::SeqCst);
            assert_eq!(lock.inside.fetch_sub(1, Ordering::SeqCst), 1, "{key}: an overlap");
            if is_first && round == DEADLY {
                self.deaths.fetch_add(1, Ordering::SeqCst);
                self.dead.lock().unwrap().push_back((place, token));
            } else {
                lock.release(&mut con, token);
            }
        }
    }

    /// Waits until each command has begun again and was done.
    fn outlast_commands(&self) {
        let passes = || self.passes.each_ref().map(|count| count.load(Ordering::SeqCst));
        let before = passes();
        wait_until("all commands have run", || {
            passes().iter().zip(before).all(|(now, before)| *now > before + 1)
        });
    }

    /// Does this again and again; gives how many locks it removed.
    fn again(&self, who: usize, pass: impl Fn() -> u64) -> u64 {
        let mut removed = 0;
        while !self.is_over.load(Ordering::SeqCst) {
            removed += pass();
            self.passes[who].fetch_add(1, Ordering::SeqCst);
        }
        removed
    }

    /// The program; gives how many locks it removed.
    fn removed(&self, arguments: &[&str]) -> u64 {
        let ended = recover(&self.redis, arguments).arg("--format=json").run();
        assert!(matches!(ended.code, Some(0 | 1)), "{ended:#?}");
        let counts = &ended.json()["counts"];
        assert_eq!(counts["failed"].as_u64().unwrap_or(0), 0, "{ended:#?}");
        counts["removed"].as_u64().unwrap_or(0)
    }

    /// Leaves a lock of a dead process and an old one, and clears what is dead, and what is old and has no TTL.
    fn clear(&self) -> u64 {
        let mut hand = Hand::on(&self.redis);
        hand.lock("gone", "x.nodb", &payload(TOKEN, DEAD));
        hand.run(&["SET", "old", "ADDED:2020-11-29T02:00:00.000Z@worker-a"]);
        self.removed(&["clear_locks", "--all", "--no-ttl", "--older-than", "1d"])
    }

    /// Types the token of an acquisition that is over by now.
    fn unlock_stale(&self) -> u64 {
        let stale = |lock: &Lock| {
            let token = lock.stale.lock().unwrap().clone()?;
            Some(self.removed(&["unlock", lock.format.key, "--token", &token, "--force"]))
        };
        self.locks.iter().filter_map(stale).sum()
    }

    /// Types the token of a holder that died.
    fn unlock_dead(&self) -> u64 {
        let Some((place, token)) = self.dead.lock().unwrap().pop_front() else { return 0 };
        let key = self.locks[place].format.key;
        let token = token.map(|token| vec!["--token".to_owned(), token]).unwrap_or_default();
        let token: Vec<&str> = token.iter().map(String::as_str).collect();
        self.removed(&[&["unlock", key, "--force"], &token[..]].concat())
    }

    /// Without `--force`, only what is dead may go.
    fn unlock_without_force(&self) -> u64 {
        self.locks.iter().map(|lock| self.removed(&["unlock", lock.format.key])).sum()
    }
}

#[test]
fn clients_of_every_format_lose_no_lock_to_recovery_and_the_locks_of_the_dead_go() {
    let redis = redis_or_skip!();
    let scene = Scene {
        redis,
        locks: formats().into_iter().map(Lock::new).collect(),
        is_over: AtomicBool::default(),
        dead: Mutex::default(),
        deaths: AtomicUsize::default(),
        passes: Default::default(),
    };
    let (cleared, others) = thread::scope(|scope| {
        let scene = &scene;
        let all = (0..scene.locks.len()).flat_map(|lock| (0..CLIENTS).map(move |one| (one, lock)));
        let clients: Vec<_> =
            all.map(|(one, lock)| scope.spawn(move || scene.client(one, lock))).collect();
        let clear = scope.spawn(|| scene.again(0, || scene.clear()));
        let others = [
            scope.spawn(|| scene.again(1, || scene.unlock_stale())),
            scope.spawn(|| scene.again(2, || scene.unlock_dead())),
            scope.spawn(|| scene.again(3, || scene.unlock_without_force())),
            scope.spawn(|| scene.again(4, || scene.removed(&["repair", "--all"]))),
        ];
        let worked: Vec<_> = clients.into_iter().map(|client| client.join()).collect();
        scene.is_over.store(true, Ordering::SeqCst);
        let others = others.map(|command| command.join().unwrap());
        worked.into_iter().for_each(|client| client.unwrap());
        (clear.join().unwrap(), others)
    });
    for Lock { format, count, work, .. } in &scene.locks {
        let (count, work) = (count.load(Ordering::SeqCst), work.load(Ordering::SeqCst));
        assert_eq!((count, work), (work, (ROUNDS * CLIENTS) as u64), "{}", format.key);
    }
    let deaths = scene.deaths.load(Ordering::SeqCst) as u64;
    assert_eq!(deaths, scene.locks.len() as u64);
    assert_eq!(others, [0, deaths, 0, 0], "only the locks of the dead");
    // Each pass found the two that it had left.
    assert_eq!(cleared, 2 * scene.passes[0].load(Ordering::SeqCst) as u64);
}
