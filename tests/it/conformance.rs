//! The judge of the embedded server: the same requests to it and to a real Redis 7.0, and every reply
//! compared, errors included.
//!
//! Time must not decide: deadlines are long past or far away, what is left to live is compared with a
//! tolerance, and the real server does not expire keys in the background (the embedded one never does).

mod collections;
mod compare;
mod generate;
mod monitor;
mod scripts;
mod sorted_sets;
mod table;
mod wire;

use std::sync::Arc;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};
use redis::{ConnectionLike, ErrorKind, RedisResult, Value};
use redis_sim::Engine;
use redis_sim::clock::WallClock;
use redis_sim::server::{Address, Server};

use crate::redis_server::{RedisServer, redis_or_skip};
use compare::{Outcome, assert_same};
use generate::Step;

/// The same clients on both servers.
struct Pair {
    real_client: redis::Client,
    real: Vec<redis::Connection>,
    ours: Vec<Box<dyn ConnectionLike>>,
    /// Through which ours are connected; without one, they are in this process.
    socket: Option<Server>,
    /// The names of the commands that each client queued since MULTI, to know what EXEC answers.
    queued: Vec<Option<Vec<String>>>,
}

/// Arguments that make the real server as lazy as ours.
const LAZY: [&str; 2] = ["--enable-debug-command", "yes"];

impl Pair {
    /// As many clients on `server`, which must have been started [`LAZY`], and on a new engine.
    fn new(server: &RedisServer, clients: usize) -> Self {
        let real_client = redis::Client::open(server.unix_url()).unwrap();
        let mut pair = Self {
            real: (0..clients).map(|_| real_client.get_connection().unwrap()).collect(),
            ours: Self::in_process(clients),
            socket: None,
            queued: vec![None; clients],
            real_client,
        };
        redis::cmd("DEBUG").arg(&["SET-ACTIVE-EXPIRE", "0"]).exec(&mut pair.real[0]).unwrap();
        pair
    }

    /// The same, but ours come through a socket, too.
    fn over_sockets(server: &RedisServer, clients: usize) -> Self {
        let engine = Engine::new(Arc::new(WallClock::new(None)));
        let socket = Server::start(Address::Port(0), Arc::new(engine)).unwrap();
        let client = redis::Client::open(socket.url()).unwrap();
        let connect = || Box::new(client.get_connection().unwrap()) as Box<dyn ConnectionLike>;
        let ours = (0..clients).map(|_| connect()).collect();
        Self { ours, socket: Some(socket), ..Self::new(server, clients) }
    }

    fn in_process(clients: usize) -> Vec<Box<dyn ConnectionLike>> {
        let engine = Engine::new(Arc::new(WallClock::new(None)));
        let connect = || Box::new(engine.connect(0)) as Box<dyn ConnectionLike>;
        (0..clients).map(|_| connect()).collect()
    }

    /// Begins anew, on the same connections.
    fn reset(&mut self) {
        let clients = self.real.len();
        empty(self.real.iter_mut().map(|real| real as &mut dyn ConnectionLike));
        match self.socket {
            Some(_) => {
                empty(self.ours.iter_mut().map(|ours| &mut **ours as &mut dyn ConnectionLike))
            }
            None => self.ours = Self::in_process(clients),
        }
        self.queued = vec![None; clients];
    }

    /// Takes one step on both sides and compares what came of it.
    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let client = step.client();
        // In a transaction, one SCAN of a few keys, which is what EXEC would run, need not meet the same
        // keys; and redis 1.8 panics when an atomic pipeline's MULTI is refused.
        let skipped = matches!(step, Step::Walk { .. } | Step::Pipeline { atomic: true, .. });
        if skipped && self.queued[client].is_some() {
            return Ok(());
        }
        let real = run(&mut self.real[client], step);
        let ours = run(&mut *self.ours[client], step);
        let names = self.names(step, &real);
        assert_same(&names, &real, &ours)
            .map_err(|why| TestCaseError::fail(format!("{step:?}\n{why}")))
    }

    /// What the replies of a step answer: its command, then, of EXEC and pipelines, those within.
    fn names(&mut self, step: &Step, reply: &Outcome) -> Vec<String> {
        let client = step.client();
        match (step, reply) {
            (Step::Walk { .. }, _) => vec!["walk".to_owned()],
            (Step::Command { args, .. }, Ok(reply)) => self.note(client, args, reply),
            (Step::Command { args, .. }, Err(_)) => vec![generate::name(args)],
            (Step::Pipeline { atomic, commands, .. }, reply) => {
                match reply {
                    Ok(Value::Array(replies)) if !atomic => {
                        for (args, reply) in commands.iter().zip(replies) {
                            self.note(client, args, reply);
                        }
                    }
                    // In a transaction, the error spoiled it: EXEC will answer nothing.
                    _ if !atomic && !commands.iter().any(|args| is_reset(args)) => {}
                    _ => self.queued[client] = None,
                }
                let names = commands.iter().map(|args| generate::name(args));
                ["pipeline".to_owned()].into_iter().chain(names).collect()
            }
        }
    }

    /// Follows a client into and out of a transaction.
    fn note(&mut self, client: usize, args: &[Vec<u8>], reply: &Value) -> Vec<String> {
        let name = generate::name(args);
        let queued = &mut self.queued[client];
        let mut within = Vec::new();
        match (name.as_str(), reply) {
            (_, Value::SimpleString(text)) if text == "QUEUED" => {
                queued.get_or_insert_default().push(name.clone());
            }
            ("multi", Value::Okay) => *queued = Some(Vec::new()),
            ("exec", _) => within = queued.take().unwrap_or_default(),
            ("discard" | "reset", Value::Okay | Value::SimpleString(_)) => *queued = None,
            _ => {}
        }
        [vec![name], within].concat()
    }

    /// Compares one command after another, written as in `redis-cli`, on client 0 or on the client
    /// whose number stands before a colon.
    fn script(&mut self, lines: &[&str]) {
        for line in lines {
            let (client, command) = match line.split_once(": ") {
                Some((client, command)) => (client.parse().unwrap(), command),
                None => (0, *line),
            };
            let args = command.split(' ').map(generate::unescape).collect();
            let step = Step::Command { client, args };
            if let Err(why) = self.step(&step) {
                panic!("{lines:#?}\n{why}");
            }
        }
    }
}

/// Whether it ends a transaction: a RESET that is refused does not.
fn is_reset(args: &[Vec<u8>]) -> bool {
    args.len() == 1 && generate::name(args) == "reset"
}

/// Clients and server as they were at the start.
fn empty<'a>(clients: impl Iterator<Item = &'a mut dyn ConnectionLike>) {
    for client in clients {
        redis::cmd("RESET").exec(client).unwrap();
        redis::cmd("FLUSHALL").exec(client).unwrap();
        redis::cmd("SCRIPT").arg(&["FLUSH", "ASYNC"]).exec(client).unwrap();
    }
}

/// Takes a step on one side.
fn run(con: &mut dyn ConnectionLike, step: &Step) -> Outcome {
    match step {
        Step::Command { args, .. } => con.req_packed_command(&redis::pack_command(args)),
        Step::Pipeline { atomic, commands, .. } => {
            let mut pipe = redis::pipe();
            if *atomic {
                pipe.atomic();
            }
            for args in commands {
                pipe.add_command(command(args));
            }
            pipe.query(con)
        }
        Step::Walk { options, .. } => walk(con, options),
    }
}

fn command(args: &[Vec<u8>]) -> redis::Cmd {
    let mut cmd = redis::Cmd::new();
    for arg in args {
        cmd.arg(arg);
    }
    cmd
}

/// SCANs to the end; gives the keys, each once.
fn walk(con: &mut dyn ConnectionLike, options: &[Vec<u8>]) -> Outcome {
    let (mut cursor, mut keys) = ("0".to_owned(), Vec::new());
    for _ in 0..1000 {
        let reply: Value = redis::cmd("SCAN").arg(&cursor).arg(options).query(con)?;
        let Ok((next, batch)) = redis::from_redis_value::<(String, Vec<Vec<u8>>)>(reply.clone())
        else {
            // In a MULTI, it was queued.
            return Ok(reply);
        };
        keys.extend(batch);
        cursor = next;
        if cursor == "0" {
            keys.sort();
            keys.dedup();
            return Ok(Value::Array(keys.into_iter().map(Value::BulkString).collect()));
        }
    }
    panic!("SCAN does not end");
}

/// The same cases each time, unless `PROPTEST_RNG_SEED` asks for others.
fn config(cases: u32) -> Config {
    let default = Config::default();
    let rng_seed = match default.rng_seed {
        RngSeed::Random => RngSeed::Fixed(7),
        fixed => fixed,
    };
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { cases };
    Config { cases, rng_seed, failure_persistence: None, max_shrink_iters: 4000, ..default }
}

#[test]
fn generated_sequences_get_the_same_replies_from_both() {
    let server = redis_or_skip!(version "7.0", LAZY[0], LAZY[1]);
    follow(Pair::new(&server, generate::CLIENTS), 800, any_steps());
}

#[test]
fn generated_sequences_get_the_same_replies_from_both_over_sockets() {
    let server = redis_or_skip!(version "7.0", LAZY[0], LAZY[1]);
    follow(Pair::over_sockets(&server, generate::CLIENTS), 300, any_steps());
}

#[test]
fn generated_sequences_of_collections_get_the_same_replies_from_both() {
    let server = redis_or_skip!(version "7.0", LAZY[0], LAZY[1]);
    follow(Pair::new(&server, 2), 600, generate::steps_of_collections());
}

fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(generate::step(), 1..60)
}

fn follow(pair: Pair, cases: u32, steps: impl Strategy<Value = Vec<Step>>) {
    let pair = std::cell::RefCell::new(pair);
    TestRunner::new(config(cases))
        .run(&steps, |steps| {
            let mut pair = pair.borrow_mut();
            pair.reset();
            steps.iter().try_for_each(|step| pair.step(step))
        })
        .unwrap_or_else(|why| panic!("{why}"));
}

#[test]
fn patterns_select_the_same_keys_on_both() {
    let server = redis_or_skip!(version "7.0", LAZY[0], LAZY[1]);
    let mut pair = Pair::new(&server, 1);
    let letters = prop::sample::select(b"ab*?[]^-\\!".as_slice());
    let text = prop::collection::vec(letters, 0..7);
    let mut runner = TestRunner::new(config(3000));
    // A key for each of a few hundred generated texts.
    for _ in 0..400 {
        let key = text.new_tree(&mut runner).unwrap().current();
        let args = vec![b"SET".to_vec(), key, b"v".to_vec()];
        pair.step(&Step::Command { client: 0, args }).unwrap();
    }
    let pair = std::cell::RefCell::new(pair);
    runner
        .run(&text, |pattern| {
            let args = vec![b"KEYS".to_vec(), pattern];
            pair.borrow_mut().step(&Step::Command { client: 0, args })
        })
        .unwrap_or_else(|why| panic!("{why}"));
}

#[test]
fn the_nasty_rules_are_the_same_on_both() {
    let server = redis_or_skip!(version "7.0", LAZY[0], LAZY[1]);
    for mut pair in [Pair::new(&server, 3), Pair::over_sockets(&server, 3)] {
        for lines in [table::SCRIPTS, collections::SCRIPTS, sorted_sets::SCRIPTS].concat() {
            pair.reset();
            pair.script(lines);
        }
    }
}

#[test]
fn a_watched_key_that_nobody_looked_at_expires_on_both() {
    let server = redis_or_skip!(version "7.0", LAZY[0], LAZY[1]);
    let mut pair = Pair::new(&server, 1);
    pair.script(&["SET k v PX 20", "WATCH k", "MULTI", "SET k w"]);
    // TIME is queued in a transaction, and GET would make the expiry known: ask on another connection.
    let mut clock = pair.real_client.get_connection().unwrap();
    let millis = |con: &mut redis::Connection| -> u64 {
        let (seconds, micros): (u64, u64) = redis::cmd("TIME").query(con).unwrap();
        seconds * 1000 + micros / 1000
    };
    let end = millis(&mut clock) + 25;
    while millis(&mut clock) < end {}
    pair.script(&["EXEC", "GET k"]);
}

#[test]
fn errors_reach_the_caller_the_same_way_on_both() {
    let server = redis_or_skip!(version "7.0", LAZY[0], LAZY[1]);
    let mut pair = Pair::new(&server, 1);
    pair.script(&["SET s v"]);
    for line in ["HGET s f", "INCR s", "NOPE", "GET", "EXEC x", "GET s", "HELLO 9", "AUTH x y"] {
        let args: Vec<_> = line.split(' ').map(generate::unescape).collect();
        let shown = |result: RedisResult<String>| match result {
            Ok(text) => format!("{text:?}"),
            Err(e) => format!("{:?} {:?} {:?} {e}", e.kind(), e.code(), e.detail()),
        };
        let real = shown(command(&args).query(&mut pair.real[0]));
        let ours = shown(command(&args).query(&mut *pair.ours[0]));
        assert_eq!(ours, real, "{line}");
    }
}

#[test]
fn a_closed_connection_fails_the_same_way_on_both() {
    let server = redis_or_skip!(version "7.0", LAZY[0], LAZY[1]);
    let mut pair = Pair::new(&server, 1);
    pair.script(&["MULTI", "QUIT a b"]);
    let real = redis::cmd("PING").query::<String>(&mut pair.real[0]).unwrap_err();
    let ours = redis::cmd("PING").query::<String>(&mut *pair.ours[0]).unwrap_err();
    assert_eq!((ours.kind(), ours.is_connection_dropped()), (ErrorKind::Io, true));
    assert_eq!((real.kind(), real.is_connection_dropped()), (ErrorKind::Io, true));
    // When the real one notices that it is closed is a matter of luck.
    assert!(!pair.ours[0].is_open());
}

#[test]
fn a_database_that_does_not_exist_is_refused_the_same_way_on_both() {
    let server = redis_or_skip!(version "7.0", LAZY[0], LAZY[1]);
    let url = format!("redis://127.0.0.1:{}/16", server.port());
    let real = redis::Client::open(url).unwrap().get_connection().err().unwrap();
    let mut con = Engine::new(Arc::new(WallClock::new(None))).connect(16);
    let ours = redis::cmd("PING").exec(&mut con).unwrap_err();
    assert_eq!(ours.to_string(), real.to_string());
    assert_eq!(
        (ours.kind(), ours.code(), ours.detail()),
        (real.kind(), real.code(), real.detail())
    );
    assert!(!con.is_open());
}

#[test]
fn scripts_do_the_same_on_both() {
    let server = redis_or_skip!(version "7.0", LAZY[0], LAZY[1]);
    let mut pairs = [Pair::new(&server, 1), Pair::over_sockets(&server, 1)];
    let mut differences = Vec::new();
    for pair in &mut pairs {
        compare_scripts(pair, &mut differences);
    }
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

fn compare_scripts(pair: &mut Pair, differences: &mut Vec<String>) {
    for (body, protocol) in scripts::BODIES.iter().flat_map(|body| [(body, "2"), (body, "3")]) {
        pair.reset();
        pair.script(&["SET s v", "SET n 5", "SET big 100 EX 9000", "HSET h f v"]);
        pair.script(&[&format!("HELLO {protocol}")]);
        let eval = [b"EVAL", body.as_bytes(), b"2", b"s", b"none", b"v", b"\r\n\0\xff"];
        let args = eval.iter().map(|arg| arg.to_vec()).collect();
        if let Err(why) = pair.step(&Step::Command { client: 0, args }) {
            differences.push(format!("RESP{protocol} {why}"));
        }
        pair.script(&["HELLO 2", "GET s", "GET n", "GET x", "HGETALL h", "DBSIZE"]);
    }
}
