//! Actors that are processes of their own (`--processes`): they are told apart by their numbers, really
//! killed and really stopped, and nothing of them stays.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustix::process::Signal;
use serde_json::Value;

use crate::hazards::TRIES;
use crate::program::{Place, Program, Running, arguments, herd, send_signal, wait_until};
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
steps = [{{ acquire = "main", ttl = "10m", name = "held" }}, {holder}]

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

/// The processes that it has started.
fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|number| number.parse().ok()).collect()
}

/// The process of the actor of this name.
fn process_of(actor: &str, running: &Running) -> Option<u32> {
    children(running.pid()).into_iter().find(|pid| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split('\0').any(|word| word == actor)
    })
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
fn a_signal_and_the_time_limit_are_heard_while_processes_start() {
    let place = Place::new();
    let herd = ["thundering_herd", "--threads=200", "--processes", "--hold=10m"];
    let running = Program::new(arguments(&herd, &place.run(), &[])).start();
    wait_until("the first one is there", || !children(running.pid()).is_empty());
    let first = children(running.pid());
    running.signal(Signal::INT);
    running.end().exits(130);
    first.into_iter().for_each(|pid| assert_eq!(state(pid), None));
    place.is_empty();
    let late = Program::new(arguments(&herd, &place.run(), &["--timeout=1ms"])).run();
    late.refuses(4, &["timed out", "--timeout"]);
    place.is_empty();
}

#[test]
fn too_little_memory_for_the_processes_is_said() {
    let place = Place::new();
    let herd = ["thundering_herd", "--threads=1000", "--processes"];
    let ended = Program::after("ulimit -v 600000", arguments(&herd, &place.run(), &[])).run();
    ended.refuses(3, &["1000 processes need", "ulimit -v", "use fewer actors"]);
    place.is_empty();
}

#[test]
fn a_process_that_somebody_else_kills_is_named() {
    let (place, redis) = (Place::new(), redis_or_skip!());
    let tries = r#"{ await = "held" }, { acquire = "main", wait = "10m" }"#;
    let (file, url) = (scenario(&place, r#"{ sleep = "0s" }"#, tries), redis.url());
    let text = fs::read_to_string(&file).unwrap();
    let at_once = "\"after\"\ndelay = \"0s\"";
    fs::write(&file, text.replace("\"in_sequence\"", at_once)).unwrap();
    let run = place.run();
    let words = ["run", &file, "--directory", run.to_str().unwrap(), "--redis", &url];
    let running = Program::new(words).arg("--processes").start();
    let mut pid = None;
    wait_until("they are there", || {
        pid = process_of("other", &running);
        pid.is_some() && !redis.everything().is_empty()
    });
    send_signal(pid.unwrap(), Signal::KILL);
    running.end().exits(3).says(&["the process of other ended", "acquire the lock"]);
    redis.is_empty();
}

#[test]
fn a_process_ends_with_whoever_started_it_even_if_it_is_not_told_so() {
    // The process may be ready before the shell writes its id: each has its own pipe.
    let start = "exec 3<&0; \"$0\" subject --lock legacy --actor it <&3 & echo $! >&2; wait";
    let mut shell = Command::new("sh");
    shell.args(["-c", start, env!("CARGO_BIN_EXE_nodb-trigger")]);
    let mut shell =
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let line = |pipe: &mut dyn BufRead| {
        let mut line = String::new();
        pipe.read_line(&mut line).unwrap();
        line.trim().to_owned()
    };
    let mut errors = BufReader::new(shell.stderr.take().unwrap());
    let pid: u32 = line(&mut errors).parse().unwrap();
    let mut output = BufReader::new(shell.stdout.take().unwrap());
    assert_eq!(line(&mut output), "\"ready\"");
    send_signal(pid, Signal::STOP);
    wait_until("it stands still", || state(pid) == Some('T'));
    shell.kill().unwrap();
    // Its stdin is still open here.
    let _stdin = shell.stdin.take();
    shell.wait().unwrap();
    wait_until("it is gone", || state(pid).is_none_or(|state| state == 'Z'));
}

#[test]
fn what_rests_on_the_registry_of_one_process_is_refused() {
    let place = Place::new();
    let words = arguments(&["singleton_race"], &place.run(), &["--processes"]);
    Program::new(words).run().refuses(2, &["registry of controllers", "leave --processes out"]);
    place.is_empty();
}

#[test]
fn processes_have_no_virtual_time_and_orderings_have_no_processes() {
    let place = Place::new();
    herd(&place.run(), &["--virtual", "--processes"]).run().exits(2).says(&["--processes"]);
    for only_virtual in ["--seed=3", "--jobs=2"] {
        let words = ["run", "mutual_exclusion", "--processes", only_virtual];
        Program::new(words).run().exits(2).says(&["--processes"]);
    }
    let words = ["explore", "mutual_exclusion", "--processes"];
    Program::new(words).run().exits(2).says(&["--processes"]);
}

/// What comes out otherwise with processes, and under which protocols.
const OTHERWISE: [(&str, &[&str]); 6] = [
    // It expects that two operations of one process see one another's controller.
    ("cache_refresh", &["legacy", "current", "hardened"]),
    // It is about the one token slot that threads of a process share.
    ("shared_token_slot", &["legacy", "current"]),
    // A child has its parent's memory.
    ("forked_child", &["legacy", "current"]),
    // They are about the memory of one process.
    ("dirty_memory", &["legacy", "current"]),
    ("refresh_under_holder", &["current", "hardened"]),
    // The second operation cannot inherit the token of the first.
    ("ttl_expiration", &["legacy"]),
];
/// How many run at a time. They sleep most of the time.
const AT_A_TIME: usize = 8;

#[test]
fn every_scenario_shows_with_processes_what_it_shows_with_threads() {
    let files = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")).unwrap();
    let files = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let names = files.filter_map(|file| Some(file.strip_suffix(".toml")?.to_owned()));
    // That one is refused.
    let names: BTreeSet<String> = names.filter(|name| name != "singleton_race").collect();
    assert_eq!(names.len(), 46);
    let all: Vec<(&str, &str)> = names
        .iter()
        .flat_map(|name| ["legacy", "current", "hardened"].map(|lock| (&**name, lock)))
        .collect();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some((name, lock)) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    comes_out(name, lock);
                }
            });
        }
    });
}

/// Runs one, and looks whether it comes out as expected, or says why it does not.
fn comes_out(name: &str, lock: &str) {
    let place = Place::new();
    let rest = ["--processes", "--format=json", "--lock", lock];
    let is_otherwise =
        OTHERWISE.iter().any(|(other, locks)| *other == name && locks.contains(&lock));
    let wanted = Some(i32::from(is_otherwise));
    let fire = || Program::new(arguments(&[name], &place.run(), &rest)).run();
    let mut ended = fire();
    for _ in 1..TRIES {
        if ended.code == wanted {
            break;
        }
        ended = fire();
    }
    assert_eq!(ended.code, wanted, "{name} {lock}: {ended:#?}");
    let notices = ended.json()["notices"].to_string();
    assert_eq!(notices.contains("with --processes"), is_otherwise, "{name} {lock}: {notices}");
}
