//! A server's state as a value: what exploration saves, compares and puts back.

use std::time::Duration;

use super::data::{Data, ranked};
use super::keyspace::{DbIndex, Entry, SavedDb};
use super::scripting::Sha;
use super::{Engine, session};

/// All that the answer to a command can depend on, apart from the time and from the client itself:
/// the keys of all databases, with deadlines and the order in which SCAN meets them, which scripts
/// are loaded, and how far the server's clock is ahead. Two that are equal answer alike.
///
/// It belongs to the [`Engine`] that it was saved from: another one has not compiled its scripts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Image {
    dbs: Vec<SavedDb>,
    scripts: Vec<Sha>,
    ahead: Duration,
}

/// What a key holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its value; of what is no string, the members, with blanks between them: of a hash with their
    /// values, of a list and a sorted set in their order, of a set in the order of their bytes.
    pub value: Vec<u8>,
    /// Whether it is a string.
    pub is_string: bool,
    /// The last millisecond since 1970 at which it exists, if it does not stay for good.
    pub deadline: Option<i64>,
    /// How long that is from now.
    pub left: Option<Duration>,
    /// How often a command has set that moment, also where it stayed the same; 0 where that is not known.
    pub expiry_sets: u64,
}

/// A key that does not stay for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Its name.
    pub key: Vec<u8>,
    /// The moment that [`Engine::lease_end`] gives.
    pub end: Duration,
    /// Another one each time that a command sets that moment, also where it stays the same; none where that is
    /// not known.
    pub set: Option<(u64, u64)>,
}

impl Engine {
    /// The server's state now, without its clients and what they watch.
    ///
    /// Keys whose deadline has passed are not in it, and are removed from the server too, as Redis
    /// does in the background: what follows is the same here and after a [`restore`](Self::restore).
    pub fn save(&self) -> Image {
        let mut state = self.lock();
        let now = session::millis(self.now(&state));
        Image { dbs: state.keyspace.save(now), scripts: state.scripts.save(), ahead: state.ahead }
    }

    /// Makes the server what it was when `image` was saved.
    ///
    /// Clients stay connected, with what they selected and queued. If they watch anything, their
    /// EXEC fails, as after a [`reset`](Self::reset): to them, all keys have changed.
    pub fn restore(&self, image: &Image) {
        let mut state = self.lock();
        state.keyspace.restore(&image.dbs);
        state.scripts.restore(&image.scripts);
        state.ahead = image.ahead;
    }

    /// What a key holds, if it exists.
    pub fn kept(&self, db: i64, key: &[u8]) -> Option<Kept> {
        let db = DbIndex::new(db).ok()?;
        let mut state = self.lock();
        let now = session::millis(self.now(&state));
        let entry = state.keyspace.at(db, now).get(key)?.clone();
        let is_string = matches!(entry.data, Data::String(_));
        let value = match entry.data {
            Data::String(value) => value,
            Data::Hash(fields) => {
                let fields = fields.into_iter().map(|(field, value)| [field, value].join(&b'='));
                fields.collect::<Vec<_>>().join(&b' ')
            }
            Data::List(elements) => elements.into_iter().collect::<Vec<_>>().join(&b' '),
            Data::Set(members) => members.into_iter().collect::<Vec<_>>().join(&b' '),
            Data::SortedSet(set) => {
                let members = ranked(&set).into_iter().map(|(member, _)| member);
                members.collect::<Vec<_>>().join(&b' ')
            }
        };
        let left = entry.deadline.map(|last| last.saturating_sub(now).max(0).unsigned_abs());
        let left = left.map(Duration::from_millis);
        let expiry_sets = entry.expiry_sets.0;
        Some(Kept { value, is_string, deadline: entry.deadline, left, expiry_sets })
    }

    /// The keys of a database that don't stay for good, in the order of their bytes.
    pub fn leases(&self, db: i64) -> Vec<Lease> {
        let Ok(db) = DbIndex::new(db) else { return Vec::new() };
        let mut state = self.lock();
        let now = session::millis(self.now(&state));
        let ahead = state.ahead;
        let view = state.keyspace.at(db, now);
        let lease = |(key, entry): (&[u8], &Entry)| {
            let end = end_of(entry.deadline?, ahead)?;
            Some(Lease { key: key.to_vec(), end, set: Some(entry.set()) })
        };
        view.entries().filter_map(lease).collect()
    }

    /// The first moment at which an untouched key will be gone, on the clock that the server was
    /// given (as [`unix`](crate::clock::Clock::unix) counts it). None if there is no such key, or
    /// if it stays for good.
    pub fn lease_end(&self, db: i64, key: &[u8]) -> Option<Duration> {
        let db = DbIndex::new(db).ok()?;
        let mut state = self.lock();
        let now = session::millis(self.now(&state));
        let last = state.keyspace.at(db, now).get(key)?.deadline?;
        end_of(last, state.ahead)
    }
}

/// The first moment at which a key with this deadline will be gone.
fn end_of(deadline: i64, ahead: Duration) -> Option<Duration> {
    let gone = Duration::from_millis(u64::try_from(deadline).ok()?.saturating_add(1));
    Some(gone.saturating_sub(ahead))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Connection;
    use crate::clock::{Clock, Stopped};
    use proptest::prelude::*;
    use std::hash::{DefaultHasher, Hash, Hasher};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// A clock that can be turned back; it counts milliseconds.
    #[derive(Default)]
    struct Dial(AtomicU64);

    impl Dial {
        fn turn_to(&self, millis: u64) {
            self.0.store(millis, Ordering::Relaxed);
        }
    }

    impl Clock for Dial {
        fn now(&self) -> Duration {
            Duration::from_millis(self.0.load(Ordering::Relaxed))
        }
        fn unix(&self) -> Duration {
            self.now()
        }
        fn sleep(&self, _: Duration) -> Result<(), Stopped> {
            Ok(())
        }
        fn wait_until(&self, done: &dyn Fn() -> bool) -> Result<(), Stopped> {
            if done() { Ok(()) } else { Err(Stopped::TimedOut) }
        }
    }

    fn server() -> (Arc<Dial>, Engine) {
        let clock = Arc::new(Dial::default());
        (Arc::clone(&clock), Engine::new(clock))
    }

    /// The reply to a client, errors included; words are separated by blanks, `_` is one in a word.
    fn ask(con: &mut Connection, line: &str) -> String {
        let mut words = line.split(' ').map(|word| word.replace('_', " "));
        let mut command = redis::cmd(&words.next().unwrap());
        format!("{:?}", command.arg(words.collect::<Vec<_>>()).query::<redis::Value>(con))
    }

    fn hash(image: &Image) -> u64 {
        let mut hasher = DefaultHasher::new();
        image.hash(&mut hasher);
        hasher.finish()
    }

    const SHA_OF_RETURN: &str = "63143b6f8007b98c53ca2149822777b3566f9241";

    #[test]
    fn keys_scripts_and_the_clock_come_back() {
        let (_, engine) = server();
        let (mut zero, mut five) = (engine.connect(0), engine.connect(5));
        ask(&mut zero, "SET lock me PX 10");
        ask(&mut five, "HSET h f v");
        ask(&mut zero, "SCRIPT LOAD return");
        engine.shift_clock(Duration::from_millis(4));
        let image = engine.save();
        engine.shift_clock(Duration::from_millis(7));
        ask(&mut five, "FLUSHALL");
        ask(&mut zero, "SCRIPT LOAD return_1");
        assert_ne!(engine.save(), image);

        engine.restore(&image);
        assert_eq!(engine.save(), image);
        assert_eq!(hash(&engine.save()), hash(&image));
        assert_eq!(ask(&mut zero, "PTTL lock"), "Ok(int(6))");
        assert_eq!(ask(&mut five, "HLEN h"), "Ok(int(1))");
        let exists =
            format!("SCRIPT EXISTS {SHA_OF_RETURN} e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
        let loaded = i64::from(cfg!(feature = "scripts"));
        assert_eq!(ask(&mut zero, &exists), format!("Ok(array([int({loaded}), int(0)]))"));
    }

    #[test]
    fn members_are_kept_in_their_order() {
        let (_, engine) = server();
        let mut con = engine.connect(0);
        for (line, value) in [
            ("HSET h b 2 a 1", "a=1 b=2"),
            ("RPUSH l b a b", "b a b"),
            ("SADD s b a b", "a b"),
            ("ZADD z 2 a 1.5 c 1.5 b", "b c a"),
        ] {
            ask(&mut con, line);
            let key = line.split(' ').nth(1).unwrap();
            let kept = engine.kept(0, key.as_bytes()).unwrap();
            assert_eq!((&*kept.value, kept.deadline), (value.as_bytes(), None));
        }
        let image = engine.save();
        ask(&mut con, "LPOP l");
        ask(&mut con, "ZINCRBY z 0.5 b");
        assert_ne!(engine.save(), image);
        engine.restore(&image);
        assert_eq!(ask(&mut con, "LLEN l"), "Ok(int(3))");
        assert_eq!(engine.save(), image);
    }

    #[cfg(feature = "scripts")]
    #[test]
    fn a_script_that_was_unloaded_is_not_compiled_again() {
        let (_, engine) = server();
        let mut con = engine.connect(0);
        let run = format!("EVALSHA {SHA_OF_RETURN} 0");
        let before = engine.save();
        ask(&mut con, "SCRIPT LOAD return");
        let loaded = engine.save();
        for unload in ["SCRIPT FLUSH", "restore", "forget"] {
            match unload {
                "restore" => engine.restore(&before),
                "forget" => engine.forget(),
                command => drop(ask(&mut con, command)),
            }
            assert!(ask(&mut con, &run).starts_with("Err"), "{unload}");
            engine.restore(&loaded);
            assert_eq!(ask(&mut con, &run), "Ok(nil)", "{unload}");
        }
        engine.restore(&before);
        ask(&mut con, "SCRIPT LOAD return");
        assert_eq!(engine.save(), loaded);
    }

    #[test]
    fn an_expired_key_is_the_same_as_none_before_and_after_a_read() {
        let (clock, engine) = server();
        let mut con = engine.connect(0);
        ask(&mut con, "SET lock me PX 10");
        let held = engine.save();
        clock.turn_to(11);
        let unseen = engine.save();
        engine.restore(&held);
        ask(&mut con, "GET lock");
        assert_eq!(engine.save(), unseen);
        ask(&mut con, "SET lock you");
        let taken = engine.save();
        engine.restore(&held);
        ask(&mut con, "SET lock you");
        assert_eq!(engine.save(), taken);
    }

    #[test]
    fn a_watching_client_sees_a_restore_and_other_clients_are_undisturbed() {
        let (_, engine) = server();
        let (mut con, mut other) = (engine.connect(0), engine.connect(0));
        let image = engine.save();
        ask(&mut con, "WATCH lock");
        engine.restore(&image);
        ask(&mut other, "WATCH lock");
        ask(&mut con, "MULTI");
        assert_eq!(ask(&mut con, "EXEC"), "Ok(nil)");
        ask(&mut other, "MULTI");
        assert_eq!(ask(&mut other, "EXEC"), "Ok(array([]))");
    }

    #[test]
    fn a_lease_expires_at_the_first_moment_without_the_key() {
        let (clock, engine) = server();
        let mut con = engine.connect(3);
        clock.turn_to(1_000);
        assert_eq!(engine.lease_end(3, b"lock"), None);
        ask(&mut con, "SET lock me");
        assert_eq!(engine.lease_end(3, b"lock"), None);
        ask(&mut con, "PEXPIRE lock 10");
        assert_eq!(engine.lease_end(3, b"lock"), Some(Duration::from_millis(1_011)));
        assert_eq!(engine.lease_end(0, b"lock"), None);
        assert_eq!(engine.lease_end(16, b"lock"), None);
        engine.shift_clock(Duration::from_micros(3_500));
        let end = Duration::from_micros(1_007_500);
        assert_eq!(engine.lease_end(3, b"lock"), Some(end));
        clock.turn_to(1_007);
        assert_eq!(ask(&mut con, "EXISTS lock"), "Ok(int(1))");
        clock.turn_to(1_008);
        assert_eq!(engine.lease_end(3, b"lock"), None);
        assert_eq!(ask(&mut con, "EXISTS lock"), "Ok(int(0))");
    }

    /// Commands; `@` is one of three keys.
    const LINES: &[&str] = &[
        "SET @ v",
        "SET @ v PX 3",
        "SET @ v NX PX 9",
        "GET @",
        "DEL @",
        "HSET @ f v",
        "HGETALL @",
        "RPUSH @ a b",
        "LPOP @",
        "SADD @ m n",
        "SPOP @",
        "ZADD @ 1.5 m -1 n",
        "ZRANGE @ 0 -1 WITHSCORES",
        "RENAME @ a",
        "COPY @ b REPLACE",
        "INCR @",
        "PEXPIRE @ 4",
        "PERSIST @",
        "PTTL @",
        "DBSIZE",
        "KEYS *",
        "SCAN 0 COUNT 1",
        "SCAN 2 COUNT 1",
        "SCAN 4",
        "FLUSHDB",
        "FLUSHALL",
        "INFO keyspace",
        "TIME",
        "EVAL return 0",
        "EVALSHA 63143b6f8007b98c53ca2149822777b3566f9241 0",
        "SCRIPT FLUSH",
        "SCRIPT LOAD return",
        "EVAL return_redis.call('SET','@',1,'PX',2) 0",
    ];

    /// A moment later, in one of two databases, a command.
    type Happening = (u64, usize, String);

    fn happening() -> impl Strategy<Value = Happening> {
        let line = (prop::sample::select(LINES), prop::sample::select(&["a", "b", "c"][..]));
        let line = line.prop_map(|(line, key)| line.replace('@', key));
        (0u64..4, 0usize..2, line)
    }

    fn carry_out(clock: &Dial, engine: &Engine, start: u64, what: &[Happening]) -> Vec<String> {
        let mut clients = [engine.connect(0), engine.connect(1)];
        let mut time = start;
        let answers = what.iter().map(|(later, client, line)| {
            time += later;
            clock.turn_to(time);
            ask(&mut clients[*client], line)
        });
        answers.collect()
    }

    proptest! {
        #[test]
        fn what_follows_a_save_follows_its_restore(
            before in prop::collection::vec(happening(), 0..20),
            after in prop::collection::vec(happening(), 0..20),
        ) {
            let (clock, engine) = server();
            carry_out(&clock, &engine, 0, &before);
            let (start, image) = (clock.0.load(Ordering::Relaxed), engine.save());
            let first = carry_out(&clock, &engine, start, &after);
            let end = engine.save();
            clock.turn_to(start);
            engine.restore(&image);
            prop_assert_eq!(engine.save(), image);
            prop_assert_eq!(carry_out(&clock, &engine, start, &after), first);
            prop_assert_eq!(engine.save(), end);
        }
    }
}
