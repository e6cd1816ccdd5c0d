//! Runs beside workers of the application, which hold and release the same lock and write the same file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use crate::program::{Place, Program, arguments, wait_until};
use crate::redis_server::{RedisServer, redis_or_skip};

const KEY: &str = "nodb-lock:run:climate.nodb";
const FLAG: &str = "locked:climate.nodb";

/// The state that the application's object has, with this many operations.
fn object(count: u64) -> String {
    format!(r#"{{"py/object": "nodb.Climate", "py/state": {{"operation_count": {count}}}}}"#)
}

fn count(file: &Path) -> u64 {
    let text = fs::read_to_string(file).unwrap();
    let object: serde_json::Value = serde_json::from_str(&text).unwrap();
    object["py/state"]["operation_count"].as_u64().unwrap()
}

/// A process that lives, and in whose name locks can be held.
struct Owner(Child);

impl Owner {
    fn new() -> Self {
        Self(Command::new("sleep").arg("600").spawn().unwrap())
    }

    fn payload(&self, token: &str) -> String {
        let host = rustix::system::uname();
        let host = host.nodename().to_str().unwrap();
        let owner = format!("{host}:{}", self.0.id());
        format!(
            r#"{{"token":"{token}","owner":"{owner}","acquired_at":1,"expires_at":2,"ttl":600}}"#
        )
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A worker of the application: as long as it is let, it takes the lock, adds one and releases.
struct Worker {
    goes_on: Arc<AtomicBool>,
    did: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Worker {
    fn start(redis: &RedisServer, file: PathBuf) -> Self {
        let (goes_on, did) = (Arc::new(AtomicBool::new(true)), Arc::<AtomicU64>::default());
        let (client, goes, done) = (redis.client(), Arc::clone(&goes_on), Arc::clone(&did));
        let thread = thread::spawn(move || {
            let mut con = client.get_connection().unwrap();
            let owner = Owner::new();
            while goes.load(Ordering::Relaxed) {
                let payload = owner.payload(&uuid::Uuid::new_v4().simple().to_string());
                let mut set = redis::cmd("SET");
                set.arg(KEY).arg(&payload).arg("NX").arg("EX").arg(600);
                if !set.query::<bool>(&mut con).unwrap() {
                    thread::yield_now();
                    continue;
                }
                redis::cmd("HSET").arg("run").arg(FLAG).arg("true").exec(&mut con).unwrap();
                let temporary = file.with_extension("theirs");
                fs::write(&temporary, object(count(&file) + 1)).unwrap();
                fs::rename(&temporary, &file).unwrap();
                redis::cmd("DEL").arg(KEY).exec(&mut con).unwrap();
                redis::cmd("HSET").arg("run").arg(FLAG).arg("false").exec(&mut con).unwrap();
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { goes_on, did, thread }
    }

    fn end(self) -> u64 {
        self.goes_on.store(false, Ordering::Relaxed);
        self.thread.join().unwrap();
        self.did.load(Ordering::Relaxed)
    }
}

#[test]
fn no_update_is_lost_beside_a_worker_and_nothing_of_ours_stays() {
    let redis = redis_or_skip!();
    for lock in ["current", "hardened"] {
        let place = Place::new();
        fs::create_dir(place.run()).unwrap();
        let file = place.run().join("climate.nodb");
        fs::write(&file, object(7)).unwrap();
        let worker = Worker::start(&redis, file.clone());
        wait_until("the worker works", || worker.did.load(Ordering::Relaxed) > 3);
        let options = [
            "--file=climate.nodb",
            "--lock",
            lock,
            "--wait=60s",
            "--redis",
            &redis.url(),
            "--requests=50",
            "--hold=0s",
            "--format=json",
            "--timeout=120s",
        ];
        let ended = Program::new(arguments(&["rapid_sequential"], &place.run(), &options)).run();
        let theirs = worker.end();
        let report = ended.json();
        let ours = report["summary"]["succeeded"].as_u64().unwrap();
        assert_eq!(count(&file), 7 + theirs + ours, "{lock}: {ended:?}");
        assert_eq!(report["findings"], serde_json::json!([]), "{lock}");
        for error in report["actors"].as_array().unwrap() {
            let error = error["error"].as_str().unwrap_or("stale write");
            assert!(error.contains("stale write"), "{error}");
        }
        if lock == "hardened" {
            ended.exits(0);
            assert_eq!(ours, 50);
        }
        let left: Vec<String> = fs::read_dir(place.run())
            .unwrap()
            .map(|it| it.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(left, ["climate.nodb"], "{lock}");
        let mut con = redis.client().get_connection().unwrap();
        let fields: Vec<String> = redis::cmd("HKEYS").arg("run").query(&mut con).unwrap();
        let ours = |field: &String| field.starts_with("fence:");
        assert!(!fields.iter().any(ours), "{lock}: {fields:?}");
        redis::cmd("FLUSHALL").exec(&mut con).unwrap();
    }
}

#[test]
fn a_start_waits_for_a_lock_that_is_in_the_way() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let owner = Owner::new();
    let mut con = redis.client().get_connection().unwrap();
    let mut take = |key: &str| {
        redis::cmd("SET").arg(key).arg(owner.payload("theirs")).exec(&mut con).unwrap();
    };
    take(KEY);
    let url = redis.url();
    let herd = |wait: &str| {
        let options = ["--file=climate.nodb", "--redis", &url, "--threads=1", "--hold=0s", wait];
        Program::new(arguments(&["thundering_herd"], &place.run(), &options)).arg("--format=json")
    };
    herd("--wait=0s").run().refuses(3, &["is locked by", "--wait"]);
    let running = herd("--wait=60s").start();
    wait_until("it has looked at the lock twice", || {
        redis.count("commandstats", "cmdstat_pttl:calls=") > 2
    });
    redis::cmd("DEL").arg(KEY).exec(&mut con).unwrap();
    let ended = running.end();
    assert_eq!(ended.json()["summary"]["errors"], 0);
    place.is_empty();
}

#[test]
fn a_lock_that_a_worker_holds_at_the_end_is_not_stuck() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let owner = Owner::new();
    let hold = "format = 1\nname = \"one\"\ntitle = \"One.\"\ntext = \"One.\"\n[locks.main]\n\
                file = \"climate.nodb\"\n[[actors]]\nname = \"a\"\nstart = \"after\"\ndelay = \"0s\"\n\
                steps = [{ locked = \"main\", body = [{ work = \"0s\" }] }, { sleep = \"400ms\" }]\n\
                [[expect]]\nall = [{ succeeded = 1 }, { snapshot = \"after\", diagnosis = \"consistent\" },\n\
                { free_of = [\"stuck_lock\", \"flag_drift\"] }]\n";
    fs::write(place.at("one.toml"), hold).unwrap();
    let mut con = redis.client().get_connection().unwrap();
    for (is_alive, exit) in [(true, 0), (false, 1)] {
        let payload = if is_alive { owner.payload("theirs") } else { "theirs".to_owned() };
        let (scenario, run) = (place.at("one.toml"), place.run());
        let options =
            ["--directory", run.to_str().unwrap(), "--redis", &redis.url(), "--format=json"];
        let words = [&["run", scenario.to_str().unwrap()][..], &options].concat();
        let running = Program::new(words).start();
        // It has released, and its actor has not ended yet.
        wait_until("its flag is false", || {
            let flag: Option<String> =
                redis::cmd("HGET").arg("run").arg(FLAG).query(&mut con).unwrap();
            flag.as_deref() == Some("false")
        });
        let mut take = redis::cmd("SET");
        take.arg(KEY).arg(&payload).arg("EX").arg(600).exec(&mut con).unwrap();
        redis::cmd("HSET").arg("run").arg(FLAG).arg("true").exec(&mut con).unwrap();
        let ended = running.end();
        ended.exits(exit);
        let held: String = redis::cmd("GET").arg(KEY).query(&mut con).unwrap();
        assert_eq!(held, payload);
        redis::cmd("FLUSHALL").exec(&mut con).unwrap();
    }
}
