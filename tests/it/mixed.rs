//! Runs while workers of the application hold and release the same lock.

use std::fs;
use std::process::{Child, Command};

use crate::program::{Place, Program, arguments, wait_until};
use crate::redis_server::redis_or_skip;

const KEY: &str = "nodb-lock:run:climate.nodb";
const FLAG: &str = "locked:climate.nodb";

/// The state that the application's object has, with this many operations.
fn object(count: u64) -> String {
    format!(r#"{{"py/object": "nodb.Climate", "py/state": {{"operation_count": {count}}}}}"#)
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
fn what_a_holder_writes_while_a_start_waits_is_what_is_put_back() {
    let redis = redis_or_skip!();
    for (lock, before) in [("legacy", Some(7)), ("current", Some(7)), ("hardened", None)] {
        let place = Place::new();
        fs::create_dir(place.run()).unwrap();
        let file = place.run().join("climate.nodb");
        if let Some(count) = before {
            fs::write(&file, object(count)).unwrap();
        }
        let owner = Owner::new();
        let mut con = redis.client().get_connection().unwrap();
        redis::cmd("CONFIG").arg("RESETSTAT").exec(&mut con).unwrap();
        redis::cmd("SET").arg(KEY).arg(owner.payload("theirs")).exec(&mut con).unwrap();
        let url = redis.url();
        let options = ["--file=climate.nodb", "--redis", &url, "--threads=1", "--hold=50ms"];
        let rest = ["--wait=60s", "--format=json", "--lock", lock];
        let words = arguments(&["thundering_herd"], &place.run(), &[&options[..], &rest].concat());
        let running = Program::new(words).start();
        wait_until("it has read the lock twice", || {
            redis.count("commandstats", "cmdstat_pttl:calls=") > 2
        });
        assert_eq!(file.exists(), before.is_some(), "{lock}");
        // Of another size, so that no clock decides whether the change is seen.
        fs::write(&file, object(12_345)).unwrap();
        redis::cmd("DEL").arg(KEY).exec(&mut con).unwrap();
        let ended = running.end();
        assert_eq!(ended.json()["summary"]["errors"], 0, "{lock}");
        let notices = ended.json()["notices"].to_string();
        assert!(!notices.contains("left as it is"), "{lock}: {notices}");
        assert_eq!(fs::read_to_string(&file).unwrap(), object(12_345), "{lock}");
        redis::cmd("FLUSHALL").exec(&mut con).unwrap();
    }
}

#[test]
fn a_run_that_may_overwrite_what_workers_write_says_so_at_its_start() {
    let place = Place::new();
    fs::create_dir(place.run()).unwrap();
    fs::write(place.run().join("climate.nodb"), object(7)).unwrap();
    let words = "writes climate.nodb without checking whether it changed";
    for (lock, rest, says) in [
        ("legacy", &["--file=climate.nodb"][..], true),
        ("legacy", &["--file=climate.nodb", "--repeat=2"], true),
        ("legacy", &["--file=climate.nodb", "--lock-only"], false),
        ("legacy", &["--file=climate.nodb", "--virtual"], false),
        ("legacy", &["--file=new.nodb"], false),
        ("legacy", &[], false),
        ("current", &["--file=climate.nodb"], false),
        ("hardened", &["--file=climate.nodb"], false),
    ] {
        let options =
            [&["--threads=1", "--hold=0s", "--format=json", "--lock", lock][..], rest].concat();
        let ended = Program::new(arguments(&["thundering_herd"], &place.run(), &options)).run();
        assert_eq!(ended.stderr.matches(words).count(), usize::from(says), "{lock} {rest:?}");
        assert_eq!(ended.json()["notices"].to_string().contains(words), says, "{lock} {rest:?}");
    }
}

#[test]
fn a_lock_that_a_worker_holds_at_the_end_is_not_stuck() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let owner = Owner::new();
    let hold = "format = 1\nname = \"one\"\ntitle = \"One.\"\ntext = \"One.\"\n[locks.main]\n\
                file = \"climate.nodb\"\n[[actors]]\nname = \"a\"\nstart = \"after\"\ndelay = \"0s\"\n\
                steps = [{ locked = \"main\", body = [{ work = \"0s\" }] }, { sleep = \"3s\" }]\n\
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
