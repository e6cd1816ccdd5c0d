//! A recording beside fifty contending clients of two libraries: it tells what they tell.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use lock_history::check::{Property, check};
use lock_history::history::{Change, EventKind, History};
use lock_lab::lock::{
    Caller, Hardened, Identity, Legacy, LockError, LockName, LockProtocol, TokenSlot, Ttl,
};
use lock_lab::server::{Listener, Server};
use redis_sim::clock::WallClock;

use super::Recording;
use crate::program::{Ended, Place};
use crate::redis_server::{RedisServer, leave_out, redis_or_skip};

/// What one client did, as the replies of the server say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Log {
    /// Each attempt to take a lock: its key, and the token if it was given.
    attempts: Vec<(String, Option<String>)>,
    /// Each deletion: the key, and how often it was so.
    deletions: BTreeMap<String, u64>,
}

impl Log {
    fn deleted(&mut self, key: &str) {
        *self.deletions.entry(key.to_owned()).or_default() += 1;
    }
}

/// By the address of each client.
type Logs = BTreeMap<String, Log>;

/// The Python that has the lock clients, or none: then this says so, or fails where it is required.
fn python(test: &str) -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from);
    let python = target.join("venv/bin/python");
    if python.exists() {
        return Some(python);
    }
    leave_out(test, "no target/venv with Python clients; run scripts/python.sh");
    None
}

/// Clients of redis-py, to their end.
fn redis_py(python: &Path, port: u16, clients: usize, keys: &[&str]) -> Logs {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/redis_py.py");
    let mut command = Command::new(python);
    command.arg(script).args([port.to_string(), clients.to_string(), "12".into()]).args(keys);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut logs = Logs::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let said: serde_json::Value = serde_json::from_str(line).unwrap();
        let word = |name: &str| said[name].as_str().map(str::to_owned);
        let log = logs.entry(word("address").unwrap()).or_default();
        let key = word("key").unwrap();
        match said["did"].as_str().unwrap() {
            "try" => log.attempts.push((key, word("token"))),
            "delete" => log.deleted(&key),
            _ => {}
        }
    }
    logs
}

/// One client of our own library: a thread with a connection of its own.
fn ours(redis: &RedisServer, number: u64, keys: &[&str], start: &Barrier) -> (String, Log) {
    const LEASE: Duration = Duration::from_secs(1);
    const NEAR: Duration = Duration::from_millis(20);
    // The legacy protocol does not tell whether its DEL deleted anything; the reply does.
    let deletes: Arc<Mutex<u64>> = Arc::default();
    let heard = Arc::clone(&deletes);
    let hear = Listener::new(Arc::new(WallClock::new(None)), move |exchange| {
        if exchange.asked().starts_with("DEL ") && exchange.answered() == "1" {
            *heard.lock().unwrap() += 1;
        }
    });
    let mut link = Server::at(&redis.url(), None).unwrap().heard_by(hear).connect(0).unwrap();
    let info: String = redis::cmd("CLIENT").arg("INFO").query(&mut link).unwrap();
    let address = info.split(' ').find_map(|part| part.strip_prefix("addr=")).unwrap().to_owned();
    let (clock, identity) = (WallClock::new(None), Identity::of_this_process());
    let is_legacy = number.is_multiple_of(2);
    let protocol: &dyn LockProtocol = if is_legacy { &Legacy } else { &Hardened::default() };
    let mut log = Log::default();
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
            let ttl = Ttl::try_from(LEASE).unwrap();
            match protocol.acquire(&mut caller.at(&lock, &slot), ttl, 0) {
                Ok(acquisition) => {
                    log.attempts.push((key.into(), Some(acquisition.token.as_str().to_owned())));
                    let outlasts = draw.is_multiple_of(5);
                    thread::sleep(if outlasts { LEASE + NEAR } else { NEAR / 4 });
                    let before = *deletes.lock().unwrap();
                    let released = protocol.release(&mut caller.at(&lock, &slot));
                    let has_deleted = *deletes.lock().unwrap() > before;
                    let is_deleted = if is_legacy { has_deleted } else { released.is_ok() };
                    if is_deleted {
                        log.deleted(key);
                    }
                    break;
                }
                Err(LockError::AlreadyLocked { .. }) => {
                    log.attempts.push((key.into(), None));
                    thread::sleep(Duration::from_millis(5 + draw % 7));
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
    (address, log)
}

/// What the history says that each client did; and how many leases ended by themselves.
fn told(history: &History) -> (Logs, u64) {
    let (mut logs, mut ended) = (Logs::new(), 0);
    let mut holders: HashMap<usize, String> = HashMap::new();
    for event in &history.events {
        let (actor, effects) = match (&event.kind, event.actor) {
            (EventKind::Command(command), Some(actor)) => (Some(actor), &command.effects),
            (EventKind::Fault { effects, .. }, None) => (None, effects),
            _ => continue,
        };
        // Names end with the address.
        let name = actor.map(|actor| history.head.actors[actor].rsplit(' ').next().unwrap());
        for effect in effects {
            let key = history.head.locks[effect.lock].clone();
            let log = name.map(|name| logs.entry(name.to_owned()).or_default());
            match (&effect.change, log) {
                (Change::Took { token, .. }, Some(log)) => {
                    let before = holders.insert(effect.lock, token.clone());
                    assert_eq!(before, None, "{key} was held");
                    log.attempts.push((key, Some(token.clone())));
                }
                (Change::Refused, Some(log)) => log.attempts.push((key, None)),
                (Change::Deleted { token }, log) => {
                    let held = holders.remove(&effect.lock).expect("something to delete");
                    assert!(token.as_ref().is_none_or(|token| *token == held));
                    match log {
                        Some(log) => log.deleted(&key),
                        None => ended += 1,
                    }
                }
                _ => {}
            }
        }
    }
    logs.retain(|_, log| *log != Log::default());
    (logs, ended)
}

/// In which acquisitions and deletions these differ.
fn differences(one: &Logs, other: &Logs) -> Vec<String> {
    let all = |logs: &Logs| {
        let mut all: BTreeMap<(String, String, Option<String>), u64> = BTreeMap::new();
        for (address, log) in logs {
            for (key, token) in log.attempts.iter().filter(|(_, token)| token.is_some()) {
                *all.entry((address.clone(), key.clone(), token.clone())).or_default() += 1;
            }
            for (key, number) in &log.deletions {
                *all.entry((address.clone(), key.clone(), None)).or_default() += number;
            }
        }
        all
    };
    let (one, other) = (all(one), all(other));
    let keys: BTreeSet<_> = one.keys().chain(other.keys()).collect();
    let mut differences = Vec::new();
    for key in keys {
        let number = |of: &BTreeMap<_, u64>| of.get(key).copied().unwrap_or(0);
        if number(&one) != number(&other) {
            differences.push(format!("{key:?}: {} and {}", number(&one), number(&other)));
        }
    }
    differences
}

/// Records fifty clients: how that ended, the history, and the clients' own logs.
fn recorded(redis: &RedisServer, python: &Path) -> (Ended, History, Logs) {
    let place = Place::new();
    let recording = Recording::start(redis, &place, "history.jsonl", &["--pattern", "other:*"]);
    let keys = ["nodb-lock:run:a.nodb", "nodb-lock:run:b.nodb"];
    let shared = [keys[0], keys[1], "other:lock"];
    let barrier = Barrier::new(25);
    let logs = thread::scope(|scope| {
        let start = |number| {
            let (keys, barrier) = (&keys, &barrier);
            scope.spawn(move || ours(redis, number, keys, barrier))
        };
        let threads: Vec<_> = (0..25).map(start).collect();
        let mut logs = redis_py(python, redis.port(), 25, &shared);
        logs.extend(threads.into_iter().map(|one| one.join().unwrap()));
        logs
    });
    let (ended, history) = recording.end();
    assert_eq!(logs.len(), 50);
    (ended, history, logs)
}

/// How many outcomes a recording calls undecided.
fn undecided(ended: &Ended) -> u64 {
    let summary = ended.stderr.lines().find(|line| line.contains(" commands; ")).unwrap();
    let before = summary.strip_suffix(" undecided").unwrap();
    before.rsplit(' ').next().unwrap().replace(',', "").parse().unwrap()
}

#[test]
fn where_the_server_tells_of_ended_leases_it_agrees_with_fifty_clients_one_by_one() {
    let redis = redis_or_skip!(version "7", "--notify-keyspace-events", "Ex");
    let Some(python) =
        python("where_the_server_tells_of_ended_leases_it_agrees_with_fifty_clients")
    else {
        return;
    };
    let (ended, history, logs) = recorded(&redis, &python);
    let (told, leases) = told(&history);
    for (address, log) in &logs {
        assert_eq!(told.get(address), Some(log), "{address}: {ended:#?}");
    }
    assert_eq!(told.len(), logs.len(), "{ended:#?}");
    let acquired = logs.values().flat_map(|log| &log.attempts).filter(|(_, t)| t.is_some()).count();
    assert!(acquired > 80, "{acquired} acquisitions");
    assert!(leases > 5, "{leases} leases ended under their holders");
    assert_eq!(undecided(&ended), 0, "{ended:#?}");
    assert!(history.is_complete, "{ended:#?}");
    let found = check(&history);
    assert!(found.is_complete, "{ended:#?}");
    assert!(found.findings.iter().all(|one| one.property != Property::StuckLock), "{ended:#?}");
}

#[test]
fn where_it_does_not_a_recording_with_errors_is_called_incomplete() {
    let redis = redis_or_skip!();
    let Some(python) = python("where_it_does_not_a_recording_with_errors") else {
        return;
    };
    let (ended, history, logs) = recorded(&redis, &python);
    let (told, leases) = told(&history);
    let (wrong, undecided) = (differences(&told, &logs), undecided(&ended));
    eprintln!("{wrong:#?} wrong, {undecided} undecided, {leases} leases ended");
    // What is inferred may be wrong; it is most often right.
    assert!(wrong.len() < 10, "{wrong:#?}: {ended:#?}");
    assert!(wrong.is_empty() && undecided == 0 || !history.is_complete, "{ended:#?}");
}
