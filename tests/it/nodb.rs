//! The application's controller as a subject, by a stand-in of its package (`tests/clients/nodb`) in two versions:
//! that of November 2025, and that of a year later.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::probe::{breaks, found, probe, python, python_of, row, schedule};
use crate::program::{Ended, Place, Program, Running, arguments};
use crate::redis_server::{RedisServer, redis_or_skip};

/// The subject with this version of the package, if Python has what it needs.
fn subject(test: &str, version: &str) -> Option<String> {
    let package = format!("{}/tests/clients/nodb", env!("CARGO_MANIFEST_DIR"));
    let command = python(test, "8.1.0", "nodb.py")?;
    let set = "PYTHONDONTWRITEBYTECODE=1 exec env";
    Some(format!("{set} PYTHONPATH={package} NODB_STAND_IN={version} {command}"))
}

fn probe_of(scenario: &str, subject: &str, rest: &[&str]) -> Ended {
    let words = ["probe", scenario, "--max-time=1h", "--format=json", "--subject", subject];
    Program::new(words.iter().chain(rest)).run()
}

fn judged(row: &Value) -> Vec<&str> {
    row["judged"].as_array().unwrap().iter().map(|it| it["property"].as_str().unwrap()).collect()
}

#[track_caller]
fn replays(schedule: &str, subject: &str, rest: &[&str]) -> Ended {
    let ended = Program::new(["replay", schedule, "--subject", subject].iter().chain(rest)).run();
    ended.exits(0);
    ended
}

#[test]
fn the_package_of_2025_deletes_the_lock_of_others() {
    let Some(subject) = subject("the package of 2025", "2025") else { return };
    breaks(&subject, "foreign_release", &["--crashes=0"]);
}

/// The write is explored, too: neither the guard against stale writes nor the time of the last write hinder it.
#[test]
fn the_package_of_today_leaves_its_flag_where_the_lease_expires_during_a_release() {
    let Some(subject) = subject("the package of today", "today") else { return };
    let ended = probe(&subject, &["--crashes=0"]);
    ended.exits(1);
    let row = row(&ended);
    assert!(!found(&row).contains("foreign_release"), "{row}");
    assert!(judged(&row).contains(&"foreign_release"), "{row}");
    let schedule = schedule(&row, "flag_drift");
    let shown = replays(&schedule, &subject, &["--all"]).stdout;
    let steps: Vec<&str> = ["TTL of lock ends", "release script -> 0", "flag and lock disagree"]
        .into_iter()
        .filter(|step| shown.contains(step))
        .collect();
    assert_eq!(steps.len(), 3, "{shown}");
    assert!(shown.contains("last_modified"), "{shown}");
    let redis = redis_or_skip!();
    replays(&schedule, &subject, &["--redis", &redis.url()]);
    redis.is_empty();
}

#[test]
fn two_actors_in_one_process_share_the_token_of_the_package() {
    for version in ["2025", "today"] {
        let Some(subject) = subject("the package in one process", version) else { return };
        let words = ["--property=foreign_release", "--faults=0"];
        let ended = probe_of("shared_token_slot", &subject, &words);
        ended.exits(1);
        let row = row(&ended);
        assert_eq!(row["threads"], 2, "{row}");
        let schedule = schedule(&row, "foreign_release");
        let shown = replays(&schedule, &subject, &[]).stdout;
        assert!(shown.contains("deletes thread_b's lock"), "{shown}");
        let redis = redis_or_skip!();
        replays(&schedule, &subject, &["--redis", &redis.url()]);
        redis.is_empty();
    }
}

/// Each has a controller of its own: the same steps without a shared token.
#[test]
fn two_processes_do_not_share_the_token_of_the_package() {
    let Some(subject) = subject("the package in two processes", "today") else { return };
    let place = Place::new();
    let built_in = Program::new(["show", "shared_token_slot"]).run().stdout;
    let file = place.at("own.toml");
    let own = built_in.replace("instance = \"shared\"", "instance = \"own\"");
    let (steps, _) = own.split_once("[[expect]]").unwrap();
    let text = steps.replace("[\"shared-token-slot\"]", "[]");
    fs::write(&file, text).unwrap();
    let words = ["--property=foreign_release", "--crashes=0"];
    let ended = probe_of(file.to_str().unwrap(), &subject, &words);
    ended.exits(0);
    assert_eq!(row(&ended)["threads"], Value::Null);
}

#[test]
fn one_of_several_actors_in_a_process_cannot_crash_alone() {
    let Some(subject) = subject("a crash of the package", "today") else { return };
    probe_of("shared_token_slot", &subject, &["--crashes=1"])
        .refuses(2, &["2 actors share a process", "leave out --crashes"]);
    probe_of("shared_token_slot", &subject, &["--property=lost_update"])
        .refuses(2, &["lost_update is not judged of actors that share a process"]);
}

#[test]
fn what_only_the_application_can_do_is_an_instruction() {
    let Some(subject) = subject("the verbs of the package", "today") else { return };
    let place = Place::new();
    let file = place.at("verbs.toml");
    fs::write(&file, VERBS).unwrap();
    let words = ["--crashes=0", "--property=flag_drift"];
    let ended = probe_of(file.to_str().unwrap(), &subject, &words);
    ended.exits(0);
    assert!(row(&ended)["orderings"].as_u64().unwrap() > 1, "{ended:#?}");
}

/// All that the application can do besides.
const VERBS: &str = r#"
format = 1
name = "verbs"
title = "An actor does all that it can."
text = "An actor does all that it can."
hazards = []

[locks.main]

[[actors]]
name = "one"
start = "after"
delay = "0s"
instance = "own"
steps = [
  { islocked = "main", body = [{ acquire = "main" }] },
  { lock_statuses = "main" },
  { get_instance = "main" },
  { force_release = "main" },
  { acquire = "main" },
  { clear_locks = "main" },
  { islocked = "main" },
]
"#;

#[test]
fn a_client_that_runs_several_actors_can_neither_time_out_nor_cancel() {
    let greets = r#"echo '{"subject": "odd", "threads": true, "can": ["cancel"]}'; sleep 1000"#;
    let words = ["probe", "mutual_exclusion", "--patience=1h", "--subject", greets];
    Program::new(words).run().refuses(3, &["can neither time out nor cancel"]);
}

/// How many operations each worker does.
const OPERATIONS: u64 = 200;
const FILE: &str = "debug_lock_test.nodb";

/// A worker of the application.
fn worker(python: &str, redis: &RedisServer, run: &Path, times: u64) -> Child {
    let package = format!("{}/tests/clients/nodb", env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(python);
    command.arg(format!("{package}/worker.py")).arg(run).arg(times.to_string());
    command.env("REDIS_URL", redis.url()).env("PYTHONDONTWRITEBYTECODE", "1");
    command.stdout(Stdio::null()).spawn().unwrap()
}

/// Operations of ours, one after the other.
fn ours(lock: &str, redis: &RedisServer, run: &Path) -> Running {
    let requests = OPERATIONS.to_string();
    let words = ["rapid_sequential", "--requests", &requests, "--hold=0s", "--wait=10m"];
    let rest = ["--lock", lock, "--redis", &redis.url(), "--timeout=20m", "--format=json"];
    Program::new(arguments(&words, run, &rest)).start()
}

fn state(run: &Path) -> Value {
    serde_json::from_slice(&fs::read(run.join(FILE)).unwrap()).unwrap()
}

fn names(run: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(run).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn no_update_is_lost_beside_the_workers_of_the_application_and_nothing_of_ours_stays() {
    let Some(python) = python_of("a mixed run", "redis-8.1.0") else { return };
    let redis = redis_or_skip!();
    let place = Place::new();
    let run = place.at("mixed");
    fs::create_dir(&run).unwrap();
    assert!(worker(&python, &redis, &run, 0).wait().unwrap().success());
    let before = state(&run);

    let mut written = 0;
    // One program at a time works in a run directory.
    for lock in ["current", "hardened"] {
        let workers = [(); 2].map(|()| worker(&python, &redis, &run, OPERATIONS));
        let ended = ours(lock, &redis, &run).end();
        let report = ended.json();
        let summary = report["summary"].clone();
        assert_eq!(summary["attempts"], OPERATIONS, "{lock}: {ended:#?}");
        // A file that was written since it was read is refused under current, as in the application.
        let succeeded = summary["succeeded"].as_u64().unwrap();
        let is_enough = succeeded > 0 && (lock == "current" || succeeded == OPERATIONS);
        assert!(is_enough, "{lock}: {ended:#?}");
        assert_eq!(report["findings"], serde_json::json!([]), "{lock}");
        let errors =
            report["actors"].as_array().unwrap().iter().filter_map(|it| it["error"].as_str());
        errors.for_each(|error| assert!(error.contains("stale write"), "{lock}: {error}"));
        for mut worker in workers {
            assert!(worker.wait().unwrap().success());
        }
        written += 2 * OPERATIONS + succeeded;
    }

    let mut after = state(&run);
    assert_eq!(after["py/state"]["operation_count"], written);
    after["py/state"]["operation_count"] = before["py/state"]["operation_count"].clone();
    assert_eq!(after, before, "nothing else in the application's object is changed");
    let of_the_application = ["debug.cfg", FILE, "nodb.version"].map(String::from);
    assert_eq!(names(&run), BTreeSet::from(of_the_application));
    let keys: BTreeSet<(u32, String)> =
        redis.everything().into_iter().map(|(db, key, ..)| (db, key)).collect();
    let cached = run.join(FILE).to_str().unwrap().to_owned();
    let known = BTreeSet::from([(0, "mixed".to_owned()), (13, cached)]);
    assert!(keys.is_subset(&known), "{keys:?}");
    let mut connection = redis.client().get_connection().unwrap();
    let fields: BTreeSet<String> = redis::cmd("HKEYS").arg("mixed").query(&mut connection).unwrap();
    let known = BTreeSet::from([format!("locked:{FILE}"), "last_modified".to_owned()]);
    assert!(fields.is_subset(&known), "{fields:?}");
}
