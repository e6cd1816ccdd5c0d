//! Actors that are processes of their own (`--processes`): they are told apart by their numbers, really
//! killed and really stopped, and nothing of them stays.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use crate::program::{Place, Program, Running, arguments, herd, wait_until};
use crate::redis_server::{RedisServer, redis_or_skip};

/// One who takes a lock and does something then, and another who does something else.
fn scenario(place: &Place, holder: &str, other: &str) -> String {
    let text = format!(
        r#"
format = 1
name = "held"
title = "One holds a lock."
text = "One holds a lock."
hazards = []

[locks.main]

[[actors]]
name = "holder"
start = "in_sequence"
steps = [{{ acquire = "main", ttl = "10m" }}, {holder}]

[[actors]]
name = "other"
start = "in_sequence"
steps = [{other}]
"#
    );
    let file = place.at("held.toml");
    fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

/// Starts such a scenario; gives the number of the process that owns the lock.
fn held(place: &Place, redis: &RedisServer, holder: &str, other: &str) -> (Running, u32) {
    let (file, url) = (scenario(place, holder, other), redis.url());
    let run = place.run();
    let words = ["run", &file, "--directory", run.to_str().unwrap(), "--redis", &url];
    let running = Program::new(words).arg("--processes").start();
    let mut pid = 0;
    wait_until("somebody holds the lock", || {
        let found =
            redis.everything().into_iter().find(|(_, key, ..)| key.starts_with("nodb-lock:"));
        let key = found.map(|(_, key, ..)| key);
        let payload: Option<String> = key.and_then(|key| {
            let mut link = redis.client().get_connection().unwrap();
            redis::cmd("GET").arg(key).query(&mut link).unwrap()
        });
        let payload = payload.and_then(|text| serde_json::from_str::<Value>(&text).ok());
        let owner = payload.map(|payload| payload["owner"].as_str().unwrap().to_owned());
        pid = owner.map_or(0, |owner| owner.rsplit(':').next().unwrap().parse().unwrap());
        pid != 0
    });
    assert_ne!(pid, running.pid());
    (running, pid)
}

/// The state of a process, as /proc has it.
fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.trim_start().chars().next()
}

fn interrupt(running: Running, redis: &RedisServer) {
    running.signal(Signal::INT);
    running.end().exits(130);
    redis.is_empty();
}

#[test]
fn one_of_ten_processes_gets_the_lock_and_each_has_a_number_of_its_own() {
    let place = Place::new();
    let history = place.at("history.jsonl");
    let rest = ["--threads=10", "--hold=100ms", "--processes", "--format=json"];
    let words = arguments(&["thundering_herd"], &place.run(), &rest);
    let running = Program::new(words).arg("--history").arg(&history).start();
    let parent = running.pid();
    let ended = running.end();
    ended.exits(0);
    let report = ended.json();
    assert_eq!(report["summary"]["succeeded"], 1, "{report}");
    assert_eq!(report["summary"]["already_locked"], 9);
    assert_eq!((&report["processes"], &report["clock"]), (&true.into(), &"wall".into()));
    let owners = owners(&history);
    assert_eq!(owners.len(), 10, "{owners:?}");
    assert!(!owners.contains(&parent), "{owners:?}");
    owners.iter().for_each(|pid| assert_eq!(state(*pid), None));
}

/// The owners of all payloads that were sent.
fn owners(history: &Path) -> BTreeSet<u32> {
    let text = fs::read_to_string(history).unwrap();
    let sent = text.lines().filter(|line| line.contains("SET nodb-lock:"));
    let number = |line: &str| {
        let owner = line.split(r#"\"owner\":\""#).nth(1)?.split('\\').next()?;
        owner.rsplit(':').next()?.parse().ok()
    };
    sent.filter_map(number).collect()
}

#[test]
fn who_is_killed_is_gone_and_status_says_so() {
    let (place, redis) = (Place::new(), redis_or_skip!());
    let (running, pid) = held(&place, &redis, "{ crash = true }", r#"{ sleep = "10m" }"#);
    wait_until("it is gone", || state(pid).is_none());
    let status = Program::new(["status", "--redis", &redis.url(), "--all"]).run();
    assert!(status.stdout.contains("Its owner is gone"), "{status:#?}");
    interrupt(running, &redis);
}

#[test]
fn who_pauses_stands_still_and_is_not_left_behind() {
    let (place, redis) = (Place::new(), redis_or_skip!());
    let (running, pid) = held(&place, &redis, r#"{ pause = "10m" }"#, r#"{ sleep = "0s" }"#);
    wait_until("it stands still", || state(pid) == Some('T'));
    interrupt(running, &redis);
    assert_eq!(state(pid), None);
}

#[test]
fn who_works_when_a_signal_comes_is_ended_and_its_lock_cleaned_up() {
    let (place, redis) = (Place::new(), redis_or_skip!());
    let (running, pid) = held(&place, &redis, r#"{ sleep = "10m" }"#, r#"{ sleep = "0s" }"#);
    assert!(state(pid).is_some_and(|state| state != 'T'));
    interrupt(running, &redis);
    assert_eq!(state(pid), None);
}

#[test]
fn processes_have_no_virtual_time_and_orderings_have_no_processes() {
    let place = Place::new();
    herd(&place.run(), &["--virtual", "--processes"]).run().exits(2).says(&["--processes"]);
    let words = ["explore", "mutual_exclusion", "--processes"];
    Program::new(words).run().exits(2).says(&["--processes"]);
}

/// What comes out otherwise with processes, and how it ends then.
const OTHERWISE: [(&str, i32); 4] = [
    // It expects that two operations of one process see one another's controller.
    ("cache_refresh", 1),
    // It is about the one token slot that threads of a process share.
    ("shared_token_slot", 1),
    // Its rules wait for the process's registry of controllers, which nobody asks here: it is given up.
    ("singleton_race", 4),
    // The second operation cannot inherit the token of the first.
    ("ttl_expiration", 1),
];

#[test]
fn every_scenario_comes_to_an_end_with_processes() {
    let files = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")).unwrap();
    let files = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let names: Vec<String> =
        files.filter_map(|file| Some(file.strip_suffix(".toml")?.to_owned())).collect();
    assert_eq!(names.len(), 33);
    let start = |name: &String| {
        let place = Place::new();
        let rest = ["--processes", "--format=json", "--timeout=20s"];
        let running = Program::new(arguments(&[name.as_str()], &place.run(), &rest)).start();
        (name.clone(), place, running)
    };
    // Most of them sleep most of the time.
    for some in names.chunks(8) {
        let running: Vec<_> = some.iter().map(start).collect();
        for (name, _place, running) in running {
            let ended = running.end();
            let otherwise = OTHERWISE.iter().find(|(other, _)| *other == name.as_str());
            assert_eq!(
                ended.code,
                Some(otherwise.map_or(0, |(_, code)| *code)),
                "{name}: {ended:#?}"
            );
            let report = ended.json();
            let notices = report["notices"].to_string();
            assert_eq!(
                notices.contains("with --processes"),
                otherwise.is_some(),
                "{name}: {notices}"
            );
        }
    }
}
