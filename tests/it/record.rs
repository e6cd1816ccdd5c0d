//! `record`: what it saves is what the clients did.

mod evidence;
mod formats;
mod incomplete;
mod leases;
mod load;
mod log;
mod members;
mod places;
mod pools;
mod refused;
mod tokens;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use lock_history::check::{Property, check};
use lock_history::history::{Change, EventKind, History};
use rustix::process::Signal;

use crate::program::{Ended, Place, Program, Running, wait_until};
use crate::redis_server::{RedisServer, redis_or_skip};

/// A recording at work.
struct Recording {
    program: Running,
    file: PathBuf,
}

impl Recording {
    /// Starts one and waits until nothing can escape it.
    fn start(redis: &RedisServer, place: &Place, name: &str, rest: &[&str]) -> Self {
        Self::start_at(&redis.url(), redis, place, name, rest)
    }

    /// The same, by this address.
    fn start_at(url: &str, redis: &RedisServer, place: &Place, name: &str, rest: &[&str]) -> Self {
        let before = pings(redis);
        let file = place.at(name);
        let history = file.to_str().unwrap();
        let words = ["record", "--history", history, "--redis", url];
        let program = Program::new(words.iter().chain(rest)).start();
        wait_until("the recording has begun", || pings(redis) > before);
        Self { program, file }
    }

    /// Ends it as a user does; its exit status is that of `check`.
    fn end(self) -> (Ended, History) {
        self.program.signal(Signal::INT);
        let ended = self.program.end();
        let history = read(&self.file);
        let checked = check(&history);
        ended.exits(match (checked.findings.is_empty(), checked.is_complete) {
            (false, _) => 1,
            (true, false) => 4,
            (true, true) => 0,
        });
        (ended, history)
    }
}

fn read(file: &Path) -> History {
    let bytes = std::fs::read(file).unwrap();
    History::read("recorded", &mut bytes.as_slice()).unwrap()
}

/// How often the server was asked whether it is there: a recording does so once it has looked.
fn pings(redis: &RedisServer) -> u64 {
    redis.count("commandstats", "cmdstat_ping:calls=")
}

/// What happened to each lock, one after the other.
#[derive(Debug, Default)]
struct Told {
    /// By lock: who took it, and the token.
    acquired: BTreeMap<String, Vec<(String, String)>>,
    /// By lock: who deleted it, and the token that was deleted.
    released: BTreeMap<String, Vec<(String, String)>>,
    /// By actor.
    refused: HashMap<String, u64>,
}

fn told(history: &History) -> Told {
    let mut told = Told::default();
    let mut holders: HashMap<usize, String> = HashMap::new();
    for event in &history.events {
        let actor = event.actor.map(|actor| history.head.actors[actor].clone());
        let (EventKind::Command(_) | EventKind::Fault { .. }) = &event.kind else { continue };
        let effects = match &event.kind {
            EventKind::Command(command) => &command.effects,
            EventKind::Fault { effects, .. } => effects,
            _ => continue,
        };
        for effect in effects {
            let lock = history.head.locks[effect.lock].clone();
            match &effect.change {
                Change::Took { token, .. } => {
                    assert!(!holders.contains_key(&effect.lock), "{lock} was held");
                    holders.insert(effect.lock, token.clone());
                    let taken = (actor.clone().unwrap(), token.clone());
                    told.acquired.entry(lock).or_default().push(taken);
                }
                Change::Deleted { token } => {
                    let held = holders.remove(&effect.lock).expect("something to delete");
                    assert!(token.as_ref().is_none_or(|token| *token == held));
                    if let Some(actor) = actor.clone() {
                        told.released.entry(lock).or_default().push((actor, held));
                    }
                }
                Change::Refused => {
                    *told.refused.entry(actor.clone().unwrap()).or_default() += 1;
                }
                _ => {}
            }
        }
    }
    told
}

/// One connection that does a few things.
fn con(redis: &RedisServer) -> redis::Connection {
    redis.client().get_connection().unwrap()
}

fn run(con: &mut redis::Connection, command: &str) {
    let mut words = command.split(' ');
    let mut cmd = redis::cmd(words.next().unwrap());
    cmd.arg(words.collect::<Vec<_>>());
    cmd.query::<redis::Value>(con).unwrap();
}

fn properties(history: &History) -> Vec<Property> {
    check(history).findings.iter().map(|finding| finding.property).collect()
}

#[test]
fn an_operator_who_deletes_a_lock_by_hand_is_found() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let recording = Recording::start(&redis, &place, "h", &["--pattern", "lock"]);
    let (mut holder, mut operator) = (con(&redis), con(&redis));
    run(&mut holder, "CLIENT SETNAME worker");
    run(&mut operator, "CLIENT SETNAME operator");
    run(&mut holder, "SET lock mine-1 NX PX 60000");
    run(&mut operator, "DEL lock");
    run(&mut holder, "SET lock mine-2 NX PX 60000");
    run(&mut holder, "DEL lock");
    let (ended, history) = recording.end();
    assert!(history.is_complete, "{ended:#?}");
    let found = properties(&history);
    assert_eq!(found, [Property::ForeignRelease, Property::SilentLoss], "{ended:#?}");
    assert!(ended.stdout.contains("mine") || ended.stdout.contains("lock"), "{ended:#?}");
    assert!(ended.stdout.contains("For (p50, p99, max)"), "{ended:#?}");
}

#[test]
fn clients_of_other_shapes_come_out_right() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let recording = Recording::start(&redis, &place, "h", &["--pattern", "l:*"]);
    let (mut one, mut other) = (con(&redis), con(&redis));
    // SETNX and EXPIRE; a transaction; SETEX over it; several keys at once; another database.
    run(&mut one, "SETNX l:a token-1");
    run(&mut one, "EXPIRE l:a 60");
    run(&mut other, "SETNX l:a token-2");
    run(&mut one, "MULTI");
    run(&mut one, "DEL l:a");
    run(&mut one, "SET l:b token-3 px 60000 nx");
    run(&mut one, "EXEC");
    run(&mut other, "SELECT 3");
    run(&mut other, "DEL l:b");
    run(&mut other, "SELECT 0");
    run(&mut one, "set l:c token-4 EX 60 NX");
    run(&mut one, "UNLINK l:b l:c");
    let release = "if redis.call('get',KEYS[1])==ARGV[1] then return redis.call('del',KEYS[1]) end";
    run(&mut other, "SET l:d token-5 NX PX 60000");
    for token in ["token-6", "token-5"] {
        redis::cmd("EVAL").arg(release).arg(1).arg("l:d").arg(token).exec(&mut one).ok();
    }
    let (ended, history) = recording.end();
    let told = told(&history);
    let tokens = |all: &BTreeMap<String, Vec<(String, String)>>| -> Vec<String> {
        all.values().flatten().map(|(_, token)| token.clone()).collect()
    };
    let all = ["token-1", "token-3", "token-4", "token-5"];
    assert_eq!(tokens(&told.acquired), all, "{ended:#?}");
    assert_eq!(tokens(&told.released), all, "{ended:#?}");
    assert_eq!(told.refused.values().sum::<u64>(), 1, "{ended:#?}");
    ended.says(&["1 command changed keys with these names in other databases"]);
    assert!(!history.is_complete && properties(&history).is_empty(), "{ended:#?}");
}

#[test]
fn locks_held_before_and_after_give_no_false_findings() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let (mut one, mut other) = (con(&redis), con(&redis));
    run(&mut one, "SET l:before token-1 NX PX 60000");
    run(&mut one, "LPUSH l:list x");
    let recording = Recording::start(&redis, &place, "h", &["--pattern", "l:*"]);
    run(&mut other, "SET l:before token-2 NX PX 60000");
    run(&mut one, "DEL l:before");
    run(&mut other, "SET l:after token-3 NX PX 60000");
    let (ended, history) = recording.end();
    assert!(!history.is_complete);
    assert_eq!(properties(&history), [], "{ended:#?}");
    ended.says(&[
        "incomplete: l:before: it was already held at the first look",
        "incomplete: l:list: it holds a list, which is not followed",
        "incomplete: l:after: it was still held when the recording ended",
    ]);
}

#[test]
fn payloads_may_be_huge_and_binary_and_names_may_be_hostile() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let recording = Recording::start(&redis, &place, "h", &["--pattern", "l:*"]);
    let mut client = con(&redis);
    redis::cmd("CLIENT").arg("SETNAME").arg("a\u{1b}]x").exec(&mut client).ok();
    let huge = vec![b'\xfe'; 100_000];
    let key = b"l:\x1b[31m\xff\n";
    let set = redis::cmd("SET").arg(key).arg(&huge).arg("NX").arg("PX").arg(60_000).clone();
    assert_eq!(set.query::<redis::Value>(&mut client).unwrap(), redis::Value::Okay);
    redis::cmd("DEL").arg(key).exec(&mut client).unwrap();
    let (ended, history) = recording.end();
    assert!(!ended.stdout.contains('\u{1b}') && !ended.stderr.contains('\u{1b}'));
    assert!(history.is_complete, "{ended:#?}");
    assert_eq!(told(&history).released.len(), 1);
}

/// Takes and releases the lock `l` until it is dropped, with a new token each time.
struct Worker {
    is_over: Arc<AtomicBool>,
    work: Option<JoinHandle<()>>,
}

impl Worker {
    fn start(redis: &RedisServer) -> Self {
        let (is_over, mut client) = (Arc::<AtomicBool>::default(), con(redis));
        let ends = Arc::clone(&is_over);
        let work = thread::spawn(move || {
            for token in 0.. {
                run(&mut client, &format!("SET l token-{token} NX PX 60000"));
                run(&mut client, "DEL l");
                if ends.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        Self { is_over, work: Some(work) }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let ended = self.work.take().map(JoinHandle::join);
        assert!(thread::panicking() || ended.is_some_and(|ended| ended.is_ok()));
    }
}

#[test]
fn a_recording_that_ends_by_itself_agrees_with_one_beside_it() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let first = Recording::start(&redis, &place, "one", &["--pattern", "l"]);
    let worker = Worker::start(&redis);
    let tokens = |history: &History| -> Vec<String> {
        let acquired = told(history).acquired.remove("l").unwrap_or_default();
        acquired.into_iter().map(|(_, token)| token).collect()
    };
    let file = place.at("two");
    let words = ["record", "--history", file.to_str().unwrap(), "--pattern", "l", "--for", "1s"];
    let mut second = Vec::new();
    // On a busy machine its second may be over before it sees anything.
    wait_until("it has seen something", || {
        let ended = Program::new(words).arg("--force").arg("--redis").arg(redis.url()).run();
        assert!([Some(0), Some(4)].contains(&ended.code), "{ended:#?}");
        second = tokens(&read(&file));
        !second.is_empty()
    });
    drop(worker);
    let (_, one) = first.end();
    assert!(one.is_complete, "{:?}", one.head.incomplete);
    let first = tokens(&one);
    assert!(first.windows(second.len()).any(|part| part == second), "{second:?} not in {first:?}");
}

#[test]
fn a_server_that_goes_away_is_waited_for_and_the_history_says_so() {
    let mut redis = redis_or_skip!();
    let place = Place::new();
    let recording = Recording::start(&redis, &place, "h", &["--pattern", "l"]);
    run(&mut con(&redis), "SET l token-1 NX PX 60000");
    redis.kill();
    redis.restart();
    let is_back = || {
        let clients: String =
            redis::cmd("CLIENT").arg("LIST").query(&mut con(&redis)).unwrap_or_default();
        clients.contains("cmd=monitor")
    };
    wait_until("it is back", is_back);
    let before = pings(&redis);
    wait_until("it listens", || pings(&redis) > before);
    let mut client = con(&redis);
    run(&mut client, "SET l token-2 NX PX 60000");
    run(&mut client, "DEL l");
    let (ended, history) = recording.end();
    ended.says(&["trying to reach it again", "reached it again", "incomplete"]);
    assert!(!history.is_complete);
    assert_eq!(properties(&history), [], "{ended:#?}");
    let acquired = &told(&history).acquired["l"];
    let tokens: Vec<&str> = acquired.iter().map(|(_, token)| token.as_str()).collect();
    assert_eq!(tokens, ["token-1", "token-2"]);
}

#[test]
fn who_may_not_do_it_is_told_what_to_ask_for() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let mut client = con(&redis);
    run(&mut client, "ACL SETUSER few on >pw ~* &* +@all -monitor");
    let history = place.at("h");
    let url = redis.url().replace("redis://", "redis://few:pw@");
    let record = |rest: &[&str]| {
        let words = ["record", "--history", history.to_str().unwrap()];
        Program::new(words.iter().chain(rest)).run()
    };
    let refused = record(&["--redis", &url]);
    refused.refuses(3, &["MONITOR", "+monitor", "--light"]).never_shows("pw@");
    record(&["--light", "--redis", &url]).refuses(3, &["CONFIG SET notify-keyspace-events Kg$x"]);
    let gone = record(&["--redis", "redis://127.0.0.1:1"]);
    gone.refuses(3, &["cannot reach Redis"]);
    place.is_empty();
}

#[test]
fn light_sees_what_changes() {
    let redis = redis_or_skip!("--notify-keyspace-events", "KEA");
    let place = Place::new();
    let recording = Recording::start(&redis, &place, "h", &["--light", "--pattern", "l"]);
    let mut client = con(&redis);
    let saved = |token: &str| {
        let value = format!(r#"{{"token":"{token}","owner":"web1:7"}}"#);
        redis::cmd("SET").arg("l").arg(value).arg("NX").arg("PX").arg(60_000).clone()
    };
    let gets = || redis.count("commandstats", "cmdstat_pttl:calls=");
    for token in ["token-1", "token-2"] {
        let before = gets();
        saved(token).exec(&mut client).unwrap();
        // Both notifications, of SET and of its lease, were looked into.
        wait_until("it was looked at", || gets() >= before + 2);
        run(&mut client, "DEL l");
    }
    let (ended, history) = recording.end();
    ended.says(&["keyspace notifications", "--light"]);
    let acquired = &told(&history).acquired["l"];
    assert_eq!(acquired.len(), 2, "{ended:#?}");
    assert!(acquired.iter().all(|(who, _)| who == "web1:7"), "{acquired:?}");
    assert!(!history.is_complete);
}
