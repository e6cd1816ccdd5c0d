//! `record`: what it saves is what the clients did.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use nodb_trigger::check::{Property, check};
use nodb_trigger::clock::WallClock;
use nodb_trigger::history::{Change, EventKind, History};
use nodb_trigger::lock::{
    Caller, HARDENED, Identity, Legacy, LockError, LockName, Protocol, TokenSlot, Ttl,
};
use nodb_trigger::server::Server;
use rustix::process::Signal;

use crate::program::{Ended, PATIENCE, Place, Program, Running, wait_until};
use crate::redis_server::{RedisServer, redis_or_skip};

/// A recording at work.
struct Recording {
    program: Running,
    file: PathBuf,
}

impl Recording {
    /// Starts one and waits until nothing can escape it.
    fn start(redis: &RedisServer, place: &Place, name: &str, rest: &[&str]) -> Self {
        let before = pings(redis);
        let file = place.at(name);
        let history = file.to_str().unwrap();
        let words = ["record", "--history", history, "--redis", &redis.url()];
        let program = Program::new(words.iter().chain(rest)).start();
        wait_until("the recording has begun", || pings(redis) > before);
        Self { program, file }
    }

    /// Ends it as a user does.
    fn end(self) -> (Ended, History) {
        self.program.signal(Signal::INT);
        let ended = self.program.end();
        ended.exits(0);
        (ended, read(&self.file))
    }
}

fn read(file: &Path) -> History {
    let bytes = std::fs::read(file).unwrap();
    History::read("recorded", &mut bytes.as_slice()).unwrap()
}

/// How often the server was asked whether it is there: a recording does so once it has looked.
fn pings(redis: &RedisServer) -> u64 {
    let mut con = redis.client().get_connection().unwrap();
    let stats: String = redis::cmd("INFO").arg("commandstats").query(&mut con).unwrap();
    let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_ping:calls="));
    line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
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

/// What a client says that it did.
#[derive(Debug, Clone)]
struct Entry {
    key: String,
    /// None if the lock was refused.
    token: Option<String>,
    /// Whether the lock was surely deleted by its release, or surely not.
    deleted: Option<bool>,
}

/// The Python that has the lock clients, or none: then this says so, or fails where it is required.
fn python(test: &str) -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from);
    let python = target.join("venv/bin/python");
    if python.exists() {
        return Some(python);
    }
    let what = "no target/venv with Python clients; run scripts/python.sh";
    assert!(std::env::var_os("NODB_REQUIRE_REDIS").is_none_or(|v| v != "1"), "{test}: {what}");
    let _ = std::io::stderr().write_all(format!("\nleft out: {test} ({what})\n").as_bytes());
    None
}

/// Clients of redis-py, to their end.
fn redis_py(python: &Path, port: u16, clients: usize, keys: &[&str]) -> Vec<Vec<Entry>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/redis_py.py");
    let mut command = Command::new(python);
    command.arg(script).args([port.to_string(), clients.to_string(), "12".into()]).args(keys);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut logs: Vec<Vec<Entry>> = vec![Vec::new(); clients];
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let said: serde_json::Value = serde_json::from_str(line).unwrap();
        let log = &mut logs[usize::try_from(said["client"].as_u64().unwrap()).unwrap()];
        let got = said["got"].as_bool().unwrap();
        match said["did"].as_str().unwrap() {
            "acquire" => log.push(Entry {
                key: said["key"].as_str().unwrap().into(),
                token: said["token"].as_str().map(str::to_owned),
                deleted: None,
            }),
            "release" => log.last_mut().unwrap().deleted = Some(got),
            _ => {}
        }
    }
    logs
}

/// One client of our own library: a thread with a connection of its own.
fn ours(redis: &RedisServer, number: u64, keys: &[&str], start: &Barrier) -> Vec<Entry> {
    const LEASE: Duration = Duration::from_secs(1);
    const NEAR: Duration = Duration::from_millis(50);
    let server = Server::at(&redis.url(), None).unwrap();
    let mut link = server.connect(0).unwrap();
    let (clock, identity) = (WallClock::new(None), Identity::of_this_process());
    let protocol: &dyn Protocol = if number.is_multiple_of(2) { &Legacy } else { &*HARDENED };
    let mut log = Vec::new();
    start.wait();
    for round in 0..8 {
        // Draws without chance: each client asks for another key at another pace.
        let draw = (number * 7 + round * 13) % 101;
        let key = keys[usize::try_from(draw).unwrap() % keys.len()];
        let file = key.strip_prefix("nodb-lock:run:").unwrap();
        let lock = LockName::new("run", file);
        let (own, slot) = (TokenSlot::default(), TokenSlot::default());
        let mut caller = Caller { link: &mut link, clock: &clock, identity: &identity, own: &own };
        for _ in 0..20 {
            let asked = Instant::now();
            match protocol.acquire(&mut caller, &lock, &slot, Ttl::try_from(LEASE).unwrap(), 0) {
                Ok(acquisition) => {
                    let taken = Instant::now();
                    let outlasts = draw % 5 == 0;
                    thread::sleep(if outlasts { LEASE + NEAR } else { NEAR / 10 });
                    let releasing = taken.elapsed();
                    let released = protocol.release(&mut caller, &lock, &slot);
                    let deleted = if asked.elapsed() < LEASE - NEAR {
                        released.unwrap();
                        Some(true)
                    } else if releasing > LEASE + NEAR / 2 {
                        Some(false)
                    } else {
                        None
                    };
                    let token = Some(acquisition.token.as_str().to_owned());
                    log.push(Entry { key: key.into(), token, deleted });
                    break;
                }
                Err(LockError::AlreadyLocked { .. }) => {
                    log.push(Entry { key: key.into(), token: None, deleted: None });
                    thread::sleep(Duration::from_millis(5 + draw % 7));
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
    log
}

/// Fails unless the history tells of the same acquisitions and releases as the clients' logs.
fn agrees(told: &Told, logs: &[Vec<Entry>]) {
    let mut taken: Vec<(String, String)> = Vec::new();
    for log in logs {
        let mut last: HashMap<&str, usize> = HashMap::new();
        for entry in log {
            let Some(token) = &entry.token else { continue };
            taken.push((entry.key.clone(), token.clone()));
            let in_history = told.acquired.get(&entry.key).into_iter().flatten();
            let place = in_history.clone().position(|(_, other)| other == token);
            let place = place.unwrap_or_else(|| panic!("{token} on {} is missing", entry.key));
            let before = last.insert(&entry.key, place);
            assert!(before.is_none_or(|before| before < place), "{token} is out of order");
            let who = &told.acquired[&entry.key][place].0;
            let deleted = told.released.get(&entry.key).into_iter().flatten();
            let deleted = deleted.clone().find(|(_, other)| other == token);
            match entry.deleted {
                Some(true) => {
                    assert_eq!(deleted.map(|(by, _)| by), Some(who), "{token} on {}", entry.key);
                }
                Some(false) => assert_eq!(deleted, None, "{token} on {}", entry.key),
                None => {}
            }
        }
    }
    let mut in_history: Vec<(String, String)> = told
        .acquired
        .iter()
        .flat_map(|(key, all)| all.iter().map(|(_, token)| (key.clone(), token.clone())))
        .collect();
    in_history.sort();
    taken.sort();
    assert_eq!(in_history, taken);
}

#[test]
fn what_is_recorded_beside_fifty_clients_agrees_with_their_own_logs() {
    let redis = redis_or_skip!();
    let Some(python) = python("what_is_recorded_beside_fifty_clients_agrees_with_their_own_logs")
    else {
        return;
    };
    let place = Place::new();
    let recording = Recording::start(&redis, &place, "history.jsonl", &["--pattern", "other:*"]);
    let keys = ["nodb-lock:run:a.nodb", "nodb-lock:run:b.nodb"];
    let shared = [keys[0], keys[1], "other:lock"];
    let barrier = Arc::new(Barrier::new(25));
    let (pythons, threads) = thread::scope(|scope| {
        let threads: Vec<_> = (0..25)
            .map(|number| {
                let (redis, keys, barrier) = (&redis, &keys, Arc::clone(&barrier));
                scope.spawn(move || ours(redis, number, keys, &barrier))
            })
            .collect();
        let pythons = redis_py(&python, redis.port(), 25, &shared);
        let threads: Vec<_> = threads.into_iter().map(|one| one.join().unwrap()).collect();
        (pythons, threads)
    });
    let (ended, history) = recording.end();
    let told = told(&history);
    let logs: Vec<Vec<Entry>> = pythons.into_iter().chain(threads.clone()).collect();
    agrees(&told, &logs);
    // Each attempt of ours that was refused is one command; redis-py asks again by itself.
    let refusals = threads.iter().flatten().filter(|entry| entry.token.is_none()).count() as u64;
    let owner = Identity::of_this_process().owner().to_owned();
    let of_ours = told.refused.iter().filter(|(actor, _)| actor.starts_with(&owner));
    assert_eq!(of_ours.map(|(_, count)| count).sum::<u64>(), refusals, "{ended:#?}");
    let acquired: usize = told.acquired.values().map(Vec::len).sum();
    assert!(acquired > 200, "{acquired} acquisitions");
    let lost = logs.iter().flatten().filter(|entry| entry.deleted == Some(false)).count();
    assert!(lost > 5, "{lost} leases ended under their holders");
    assert!(ended.stderr.contains(" 0 undecided"), "{ended:#?}");
    assert!(history.is_whole, "{ended:#?}");
    let found = check(&history);
    assert!(found.is_whole, "{ended:#?}");
    for finding in &found.findings {
        assert!(
            !matches!(finding.property, Property::ForeignRelease | Property::StuckLock),
            "{finding:#?}"
        );
    }
    let _ = PATIENCE;
}
