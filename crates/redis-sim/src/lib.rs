//! A Redis server in memory whose time comes from a [`Clock`]: for clients in this process, or, by way
//! of [`server`], in any other.
//!
//! It does what lock clients need of Redis 7.0 and does it exactly: same replies, same error texts.
//! The judge is the differential test `tests/it/conformance.rs`, which runs generated commands here
//! and on a real server. What it leaves out: persistence, replication, eviction, access rules,
//! background expiry (a key is gone, and its notification is sent, when it is read after its deadline,
//! or when [`Engine::expire`] is called), waiting (BLPOP and its
//! relatives answer at once, with an element if there is one, otherwise as when the timeout is over;
//! WAIT too: there are no replicas), random choice (SPOP and SRANDMEMBER take the first members in the
//! order of their bytes), and every command that is not in the table of `commands/mod.rs`.
//! In error lines, bytes that are no text are replaced. Of newer servers it has the commands that compare
//! and set or delete at once (`commands/conditional.rs`), which are tested with the facts of the manuals.
//!
//! The feature `scripts`, which is on by default, compiles Lua with a C compiler. Without it, EVAL and
//! SCRIPT LOAD fail.
//!
//! ```
//! use redis_sim::{Engine, clock::VirtualClock};
//! use std::{sync::Arc, time::Duration};
//!
//! let clock = Arc::new(VirtualClock::new(None));
//! let mut con = Engine::new(clock.clone()).connect(0);
//! let taken: bool = redis::cmd("SET").arg(&["lock", "me", "NX", "EX", "30"]).query(&mut con)?;
//! assert!(taken);
//! clock.advance_to(Duration::from_millis(30_001));
//! let holder: Option<String> = redis::cmd("GET").arg("lock").query(&mut con)?;
//! assert_eq!(holder, None);
//! # Ok::<(), redis::RedisError>(())
//! ```

#![cfg_attr(
    not(test),
    deny(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)
)]
#![deny(missing_docs)]

pub mod clock;
mod commands;
mod data;
mod error;
mod events;
mod glob;
mod image;
mod keyspace;
mod number;
mod pubsub;
mod resp;
mod scripting;
pub mod server;
mod session;

pub use commands::only_reads;
pub use glob::{can_match as glob_can_match, matches as glob_matches};
pub use image::{Image, Kept, Lease};
pub use resp::requests;

use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use redis::{Cmd, ConnectionLike, ErrorKind, RedisError, RedisResult, ServerErrorKind, Value};

use crate::clock::Clock;
use error::Error;
use events::Class;
use keyspace::{DbIndex, Keyspace};
use pubsub::PubSub;
use resp::Request;
use scripting::{Scripts, Watch};
use session::{Call, Session};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The version of Redis that this server behaves like and says it is.
const VERSION: &str = "7.0.15";

/// A server with its own keys; clones are handles on the same one.
#[derive(Clone)]
pub struct Engine(Arc<Shared>);

struct Shared {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// The script that runs.
    watch: Arc<Watch>,
}

/// All that one command at a time may look at.
#[derive(Debug, Default)]
struct State {
    keyspace: Keyspace,
    scripts: Scripts,
    pubsub: PubSub,
    /// How far the server's clock is ahead of the one that it was given.
    ahead: Duration,
}

impl Engine {
    /// An empty server whose keys live and expire by `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let state = State::default();
        let watch = Arc::clone(&state.scripts.watch);
        Self(Arc::new(Shared { clock, state: Mutex::new(state), watch }))
    }

    /// The same server, whose clients have ids from `first` on.
    pub fn numbering_from(self, first: i64) -> Self {
        self.lock().keyspace.clients_ever = first.saturating_sub(1);
        self
    }

    /// A new client of this server, with the database `db` selected. MONITOR shows its id as its port.
    ///
    /// If there is no such database, every request of the client fails with the error that connecting
    /// to a real server fails with.
    pub fn connect(&self, db: i64) -> Connection {
        self.admit(db, self.lock())
    }

    fn admit(&self, db: i64, mut state: MutexGuard<'_, State>) -> Connection {
        state.keyspace.clients += 1;
        state.keyspace.clients_ever += 1;
        let id = state.keyspace.clients_ever;
        drop(state);
        let index = DbIndex::new(db);
        let refused = index.is_err();
        let session = Session::new(id, index.unwrap_or(DbIndex::FIRST), format!("127.0.0.1:{id}"));
        Connection { engine: self.clone(), session, refused, packed: Vec::new() }
    }

    /// Resets the engine for the next run: no keys, no watches, a clock that is right again.
    /// Scripts stay loaded, as they cost time to compile; [`forget`](Self::forget) if the next run
    /// may see that.
    ///
    /// Clients from before stay connected with what they selected and queued, and if they watch
    /// anything, their EXEC fails. With all of them gone, the next one has the id 1 again.
    pub fn reset(&self) {
        let mut state = self.lock();
        state.keyspace.renew();
        state.ahead = Duration::ZERO;
    }

    /// Forgets all keys and scripts, as a server without persistence does that is restarted, but
    /// faster than any client could notice: connections stay, and clients that watch a key see it
    /// vanish.
    pub fn forget(&self) {
        let mut state = self.lock();
        let now = session::millis(self.now(&state));
        state.keyspace.all(now).for_each(|mut db| db.clear());
        state.scripts.forget();
    }

    /// Makes the server's own clock jump forward, as after a correction of the machine's date: keys
    /// whose deadline it jumps over are gone, while its clients' clocks show what they did.
    pub fn shift_clock(&self, by: Duration) {
        let mut state = self.lock();
        state.ahead = state.ahead.saturating_add(by);
    }

    /// Evicts a key, as a server does that reached its `maxmemory`; clients that watch it see that.
    /// Returns whether there was such a key.
    pub fn evict(&self, db: i64, key: &[u8]) -> bool {
        let Ok(db) = DbIndex::new(db) else { return false };
        let mut state = self.lock();
        let now = session::millis(self.now(&state));
        let mut view = state.keyspace.at(db, now);
        let was_there = view.remove(key);
        if was_there {
            view.note(Class::Evicted, "evicted", key);
        }
        let State { keyspace, pubsub, .. } = &mut *state;
        pubsub.publish_events(keyspace);
        was_there
    }

    /// Removes the keys whose deadline is over, as a server does in the background, and sends their
    /// notifications.
    pub fn expire(&self) {
        let mut state = self.lock();
        let now = session::millis(self.now(&state));
        state.keyspace.all(now).for_each(|mut view| view.bury_all());
        let State { keyspace, pubsub, .. } = &mut *state;
        pubsub.publish_events(keyspace);
    }

    /// One command runs at a time. A panic in one (there should be none) must not end the server.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock()
    }

    /// The same for a client that is not in this process; nothing while a script takes too long.
    fn lock_unless_busy(&self) -> Option<MutexGuard<'_, State>> {
        loop {
            if let Some(state) = self.0.state.try_lock_for(self.0.watch.patience()) {
                return Some(state);
            }
            if self.0.watch.patience().is_zero() {
                return None;
            }
        }
    }

    /// The server's time since 1970. Asked while its state is locked, so that time passes in the
    /// order of the commands.
    fn now(&self, state: &State) -> Duration {
        self.0.clock.unix().saturating_add(state.ahead)
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

/// A client of an [`Engine`], with its own selected database, MULTI queue and WATCHes.
///
/// To its user it is like a [`redis::Connection`]: errors come as the same values, a closed
/// connection fails the same way. One difference is left. If a command of an atomic pipeline is
/// refused before EXEC, kind and code of the error are the same, but which commands were refused is
/// in [`RedisError::detail`], not in [`RedisError::into_server_errors`], which only the redis crate
/// can fill.
#[derive(Debug)]
pub struct Connection {
    engine: Engine,
    session: Session,
    /// Whether it was opened on a database that does not exist.
    refused: bool,
    /// Reused from request to request.
    packed: Vec<u8>,
}

impl Connection {
    /// The server that it is a connection to.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Takes the first request off `input` and answers it; `None` if nothing is left to answer.
    fn answer_next(&mut self, input: &mut &[u8]) -> RedisResult<Option<Value>> {
        self.check_open()?;
        let mut request = Request::new();
        while !input.is_empty() {
            let rest = match request.read(input) {
                Ok(rest) => rest,
                Err(malformed) => {
                    self.session.closed = true;
                    *input = &[];
                    return Ok(Some(Error::from(malformed).into_value()));
                }
            };
            let raw = input.get(..input.len() - rest.len()).unwrap_or_default();
            *input = rest;
            let argv = request.argv();
            // Redis skips an empty request without an answer.
            if !argv.is_empty() {
                let answer = self.call(|call| call.answer(argv, Some(raw)));
                return Ok(Some(session::plain(answer)));
            }
        }
        Ok(None)
    }

    fn call<T>(&mut self, run: impl FnOnce(&mut Call<'_>) -> T) -> T {
        let Self { engine, session, .. } = self;
        call(engine, engine.lock(), session, run)
    }

    /// The same for a client that is not in this process; nothing while a script takes too long.
    fn call_unless_busy<T>(&mut self, run: impl FnOnce(&mut Call<'_>) -> T) -> Option<T> {
        let Self { engine, session, .. } = self;
        engine.lock_unless_busy().map(|state| call(engine, state, session, run))
    }

    fn check_open(&self) -> RedisResult<()> {
        if self.refused {
            let kind = ErrorKind::Server(ServerErrorKind::ResponseError);
            let what = "Redis server refused to switch database";
            return Err((kind, what, "DB index is out of range".to_owned()).into());
        }
        if self.session.closed { Err(hung_up()) } else { Ok(()) }
    }
}

fn call<T>(
    engine: &Engine,
    mut state: MutexGuard<'_, State>,
    session: &mut Session,
    run: impl FnOnce(&mut Call<'_>) -> T,
) -> T {
    let now = engine.now(&state);
    let State { keyspace, scripts, pubsub, .. } = &mut *state;
    run(&mut Call { keyspace, scripts, pubsub, session, now })
}

/// What a client sees that waits for an answer which never comes.
fn hung_up() -> RedisError {
    io::Error::from(io::ErrorKind::UnexpectedEof).into()
}

fn empty() -> RedisError {
    (ErrorKind::Client, "empty command").into()
}

impl ConnectionLike for Connection {
    fn req_packed_command(&mut self, cmd: &[u8]) -> RedisResult<Value> {
        if cmd.is_empty() {
            return Err(empty());
        }
        let mut input = cmd;
        self.answer_next(&mut input)?.ok_or_else(hung_up)
    }

    fn req_packed_commands(
        &mut self,
        cmd: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        if cmd.is_empty() {
            return Err(empty());
        }
        let mut input = cmd;
        let mut refused = Vec::new();
        let mut values = Vec::new();
        for index in 0..offset.saturating_add(count) {
            match self.answer_next(&mut input)? {
                // The first request is the MULTI, so its successor is the pipeline's number 0.
                Some(Value::ServerError(error)) if index < offset => {
                    refused.push((index.saturating_sub(1), error));
                }
                Some(_) if index < offset => {}
                Some(value) => values.push(value),
                None => return Err(hung_up()),
            }
        }
        if refused.is_empty() { Ok(values) } else { Err(error::aborted(&refused)) }
    }

    fn req_command(&mut self, cmd: &Cmd) -> RedisResult<Value> {
        if cmd.args_iter().next().is_none() {
            return Err(empty());
        }
        let mut packed = std::mem::take(&mut self.packed);
        packed.clear();
        cmd.write_packed_command(&mut packed);
        let answer = self.req_packed_command(&packed);
        self.packed = packed;
        if cmd.is_no_response() { answer.map(|_| Value::Nil) } else { answer }
    }

    /// The database that is selected now.
    fn get_db(&self) -> i64 {
        i64::try_from(self.session.db.number()).unwrap_or_default()
    }

    fn check_connection(&mut self) -> bool {
        redis::cmd("PING").query::<String>(self).is_ok()
    }

    fn is_open(&self) -> bool {
        self.check_open().is_ok()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.call(|call| {
            call.unwatch();
            call.stop_listening();
            call.keyspace.clients -= 1;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Stopped, VirtualClock};
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    fn ask<T: redis::FromRedisValue>(con: &mut Connection, line: &str) -> RedisResult<T> {
        let mut words = line.split(' ');
        redis::cmd(words.next().unwrap()).arg(words.collect::<Vec<_>>()).query(con)
    }

    /// A clock that advances a second each time that it is read.
    struct Hasty(AtomicU64);

    impl Clock for Hasty {
        fn now(&self) -> Duration {
            Duration::from_secs(self.0.fetch_add(1, Ordering::Relaxed))
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

    #[test]
    fn handles_and_clients_can_go_to_other_threads() {
        fn shared<T: Send + Sync>() {}
        fn sent<T: Send>() {}
        shared::<Engine>();
        sent::<Connection>();
    }

    #[test]
    fn a_lock_lives_to_the_last_millisecond_of_its_ttl() {
        let clock = Arc::new(VirtualClock::new(None));
        let engine = Engine::new(clock.clone());
        let (mut a, mut b) = (engine.connect(0), engine.connect(0));
        clock.advance_to(Duration::from_micros(1_700));
        assert!(ask::<bool>(&mut a, "SET lock a NX PX 10").unwrap());
        clock.advance_to(Duration::from_micros(11_999));
        assert_eq!(ask::<i64>(&mut b, "PTTL lock").unwrap(), 0);
        assert!(!ask::<bool>(&mut b, "SET lock b NX PX 10").unwrap());
        clock.advance_to(Duration::from_millis(12));
        assert!(ask::<bool>(&mut b, "SET lock b NX PX 10").unwrap());
    }

    #[test]
    fn time_stands_still_in_a_transaction_and_only_there() {
        let mut con = Engine::new(Arc::new(Hasty(AtomicU64::new(1)))).connect(0);
        let mut pipe = redis::pipe();
        for _ in 0..3 {
            pipe.cmd("TIME");
        }
        let apart: Vec<(u64, u64)> = pipe.query(&mut con).unwrap();
        assert_eq!((apart[1].0 - apart[0].0, apart[2].0 - apart[1].0), (1, 1));
        let at_once: Vec<(u64, u64)> = pipe.atomic().query(&mut con).unwrap();
        assert!(at_once.iter().all(|time| *time == at_once[0]));
    }

    #[test]
    fn a_watch_sees_that_a_ttl_ended_between_watch_and_exec() {
        let clock = Arc::new(VirtualClock::new(None));
        let mut con = Engine::new(clock.clone()).connect(0);
        ask::<()>(&mut con, "SET lock a PX 10").unwrap();
        ask::<()>(&mut con, "WATCH lock").unwrap();
        clock.advance_to(Duration::from_millis(10));
        assert!(undisturbed(&mut con));
        ask::<()>(&mut con, "WATCH lock").unwrap();
        clock.advance_to(Duration::from_millis(11));
        assert!(!undisturbed(&mut con));
    }

    #[test]
    fn a_client_that_goes_leaves_neither_watches_nor_itself() {
        let engine = Engine::new(Arc::new(VirtualClock::new(None)));
        let mut stays = engine.connect(0);
        let mut goes = engine.connect(0);
        ask::<()>(&mut goes, "WATCH lock").unwrap();
        drop(goes);
        let info: String = ask(&mut stays, "INFO clients").unwrap();
        assert!(info.contains("connected_clients:1\r\n"), "{info}");
        let keyspace = format!("{:?}", engine.lock());
        assert!(!keyspace.contains("watchers"), "{keyspace}");
    }

    #[test]
    fn bytes_that_are_no_request_end_the_connection() {
        let mut con = Engine::new(Arc::new(VirtualClock::new(None))).connect(0);
        let reply = con.req_packed_command(b"*1\r\n+PING\r\n").unwrap();
        let error = reply.extract_error().unwrap_err();
        assert_eq!(error.detail(), Some("Protocol error: expected '$', got '+'"));
        assert!(ask::<String>(&mut con, "PING").unwrap_err().is_connection_dropped());
    }

    #[test]
    fn a_request_that_gets_no_answer_is_an_error_and_no_hang() {
        let mut con = Engine::new(Arc::new(VirtualClock::new(None))).connect(0);
        assert!(con.req_packed_command(b"*0\r\n").unwrap_err().is_connection_dropped());
        assert!(con.req_packed_commands(b"*1\r\n$4\r\nPING\r\n", 0, 2).is_err());
        assert_eq!(con.req_packed_command(b"").unwrap_err().kind(), ErrorKind::Client);
        assert_eq!(redis::Cmd::new().exec(&mut con).unwrap_err().kind(), ErrorKind::Client);
    }

    #[test]
    fn a_refused_command_aborts_an_atomic_pipeline_and_is_named() {
        let mut con = Engine::new(Arc::new(VirtualClock::new(None))).connect(0);
        let mut pipe = redis::pipe();
        pipe.atomic().cmd("SET").arg("a").arg(1).cmd("NOPE");
        let error = pipe.exec(&mut con).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Server(ServerErrorKind::ExecAbort));
        let detail = error.detail().unwrap();
        assert!(detail.starts_with("[(Index 1, error: ResponseError: unknown command"), "{detail}");
        assert!(!ask::<bool>(&mut con, "EXISTS a").unwrap());
    }

    /// A server with a key, a script and a client that watches the key.
    fn in_use() -> (Arc<VirtualClock>, Engine, Connection) {
        let clock = Arc::new(VirtualClock::new(None));
        let engine = Engine::new(clock.clone());
        let mut con = engine.connect(0);
        ask::<()>(&mut con, "SET lock me PX 10000").unwrap();
        if cfg!(feature = "scripts") {
            ask::<String>(&mut con, "SCRIPT LOAD return").unwrap();
        }
        ask::<()>(&mut con, "WATCH lock").unwrap();
        (clock, engine, con)
    }

    /// Whether EXEC finds that nothing changed.
    fn undisturbed(con: &mut Connection) -> bool {
        let replies: Option<Vec<String>> = redis::pipe().atomic().cmd("PING").query(con).unwrap();
        replies.is_some()
    }

    /// The name of the script that [`in_use`] loads.
    const LOADED: &str = "SCRIPT EXISTS 63143b6f8007b98c53ca2149822777b3566f9241";

    #[test]
    fn a_reset_empties_all_but_the_scripts() {
        let (_, engine, mut con) = in_use();
        engine.shift_clock(Duration::from_secs(5));
        engine.reset();
        assert_eq!(ask::<i64>(&mut con, "DBSIZE").unwrap(), 0);
        assert_eq!(ask::<i64>(&mut con, "TIME").unwrap_or(0), 0);
        assert_eq!(ask::<Vec<bool>>(&mut con, LOADED).unwrap(), [cfg!(feature = "scripts")]);
        // Earlier watchers do not disturb the present ones.
        let mut other = engine.connect(0);
        ask::<()>(&mut other, "WATCH lock").unwrap();
        assert!(!undisturbed(&mut con));
        ask::<()>(&mut con, "SET lock x").unwrap();
        assert!(!undisturbed(&mut other));
        drop((con, other));
        engine.reset();
        assert_eq!(ask::<i64>(&mut engine.connect(0), "CLIENT ID").unwrap(), 1);
    }

    #[test]
    fn a_server_that_forgets_has_neither_keys_nor_scripts_but_its_clients() {
        let (_, engine, mut con) = in_use();
        engine.forget();
        assert!(!undisturbed(&mut con));
        assert_eq!(ask::<i64>(&mut con, "DBSIZE").unwrap(), 0);
        assert_eq!(ask::<Vec<bool>>(&mut con, LOADED).unwrap(), [false]);
        let error = ask::<()>(&mut con, "EVALSHA 63143b6f8007b98c53ca2149822777b3566f9241 0");
        assert_eq!(error.unwrap_err().code(), Some("NOSCRIPT"));
        assert_eq!(ask::<i64>(&mut con, "EVAL return\t1 0").is_ok(), cfg!(feature = "scripts"));
    }

    #[cfg(not(feature = "scripts"))]
    #[test]
    fn without_the_feature_a_script_fails_and_all_else_goes_on() {
        let mut con = Engine::new(Arc::new(VirtualClock::new(None))).connect(0);
        for line in ["EVAL return 0", "EVAL_RO return 0", "SCRIPT LOAD return"] {
            let error = ask::<()>(&mut con, line).unwrap_err();
            assert!(error.to_string().contains("its feature \"scripts\""), "{line}: {error}");
        }
        let forgotten = ask::<()>(&mut con, "EVALSHA 63143b6f8007b98c53ca2149822777b3566f9241 0");
        assert_eq!(forgotten.unwrap_err().code(), Some("NOSCRIPT"));
        ask::<()>(&mut con, "SCRIPT FLUSH").unwrap();
        ask::<()>(&mut con, "SET a 1").unwrap();
    }

    #[test]
    fn a_clock_that_jumps_ends_leases_but_not_its_clients_time() {
        let (clock, engine, mut con) = in_use();
        engine.shift_clock(Duration::from_millis(4_000));
        assert_eq!(ask::<i64>(&mut con, "PTTL lock").unwrap(), 6_000);
        engine.shift_clock(Duration::from_millis(6_000));
        assert_eq!(ask::<i64>(&mut con, "PTTL lock").unwrap(), 0);
        clock.advance_to(Duration::from_millis(1));
        assert_eq!(ask::<i64>(&mut con, "PTTL lock").unwrap(), -2);
        assert_eq!(clock.now(), Duration::from_millis(1));
        let (seconds, micros): (u64, u64) = ask(&mut con, "TIME").unwrap();
        let server = Duration::from_secs(seconds) + Duration::from_micros(micros);
        assert_eq!(server - clock.unix(), Duration::from_secs(10));
        assert!(!undisturbed(&mut con));
        engine.shift_clock(Duration::MAX);
        assert_eq!(ask::<i64>(&mut con, "DBSIZE").unwrap(), 0);
    }

    #[test]
    fn an_evicted_key_is_gone_and_its_watcher_knows() {
        let (_, engine, mut con) = in_use();
        assert!(!engine.evict(1, b"lock"));
        assert!(!engine.evict(99, b"lock"));
        assert!(!engine.evict(-1, b"lock"));
        assert!(engine.evict(0, b"lock"));
        assert!(!engine.evict(0, b"lock"));
        assert!(!undisturbed(&mut con));
        assert!(!ask::<bool>(&mut con, "EXISTS lock").unwrap());
        // What ended by itself is not evicted.
        ask::<()>(&mut con, "SET lock me PXAT 1").unwrap();
        assert!(!engine.evict(0, b"lock"));
    }
}
