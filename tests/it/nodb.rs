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

/// A client in `tests/clients/threads`, if Python has what it needs.
fn client(test: &str, file: &str, variables: &str) -> Option<String> {
    let root = env!("CARGO_MANIFEST_DIR");
    let python = python_of(test, "redis-8.1.0")?;
    let set = format!("PYTHONDONTWRITEBYTECODE=1 {variables} exec env");
    Some(format!(
        "{set} PYTHONPATH={root}/examples/subjects {python} {root}/tests/clients/threads/{file}"
    ))
}

#[test]
fn a_connection_that_waiting_actors_share_is_refused() {
    let Some(subject) = client("a shared connection", "one_connection.py", "") else { return };
    let place = Place::new();
    let file = place.at("both.toml");
    let idle = "  { work = \"0s\" },\n";
    fs::write(&file, ASKS.replace("  { islocked = \"main\" },\n", "").replace(idle, BOTH)).unwrap();
    probe_of(file.to_str().unwrap(), &subject, &[]).refuses(
        3,
        &["on which another actor waits for a reply", "give each actor", "a connection of its own"],
    );
}

#[test]
fn an_operation_that_fails_is_not_done() {
    let place = Place::new();
    let file = place.at("asks.toml");
    fs::write(&file, ASKS).unwrap();
    let file = file.to_str().unwrap();
    for threads in ["", "THREADS=1"] {
        let of = |fails: &str| client("a failure", "failing.py", &format!("{threads} {fails}"));
        let (Some(subject), Some(failing)) = (of(""), of("FAILS=1")) else { return };
        let words = ["--property=stuck_lock", "--crashes=0"];
        probe_of(file, &subject, &words).exits(0);
        probe_of(file, &failing, &words).refuses(3, &["the question was not understood"]);
    }
}

/// Another actor acquires and releases, too.
const BOTH: &str = r#"
  { acquire = "main" },
  { release = "main" },
"#;

/// Two actors share an instance, and so a process.
const ASKS: &str = r#"
format = 1
name = "asks"
title = "An actor asks, and then releases."
text = "An actor asks, and then releases."
hazards = []

[locks.main]

[[actors]]
name = "asks"
start = "after"
delay = "0s"
instance = "shared"
steps = [
  { acquire = "main" },
  { islocked = "main" },
  { release = "main" },
]

[[actors]]
name = "idle"
start = "after"
delay = "0s"
instance = "shared"
steps = [
  { work = "0s" },
]
"#;

#[test]
fn where_a_client_may_crash_its_flag_is_judged_only_if_it_is_asked_for() {
    let Some(subject) = subject("a flag after a crash", "today") else { return };
    let is_judged = |scenario: &str, rest: &[&str]| {
        let ended = probe_of(scenario, &subject, rest);
        let row = row(&ended);
        let why =
            "flag_drift (a client that crashes, or whose command is lost or late, leaves its flag;";
        let mut unjudged = row["unjudged"].as_array().into_iter().flatten();
        let is_named = unjudged.any(|it| it.as_str().unwrap().starts_with(why));
        let is_judged = judged(&row).contains(&"flag_drift");
        assert_ne!(is_named, is_judged, "{scenario} {rest:?}: {row}");
        is_judged
    };
    assert!(is_judged("mutual_exclusion", &["--crashes=0", "--faults=0"]));
    assert!(!is_judged("mutual_exclusion", &["--crashes=1", "--faults=0", "--preemptions=0"]));
    let place = Place::new();
    let file = place.at("crashes.toml");
    fs::write(&file, CRASHES).unwrap();
    let crashes = file.to_str().unwrap();
    assert!(!is_judged(crashes, &["--crashes=0", "--faults=0"]));
    assert!(is_judged(crashes, &["--crashes=0", "--faults=0", "--property=flag_drift"]));
}

/// Its holder crashes by a step of its own.
const CRASHES: &str = r#"
format = 1
name = "crashes"
title = "A holder crashes."
text = "A holder crashes."
hazards = []

[locks.main]

[[actors]]
name = "holder"
start = "after"
delay = "0s"
instance = "own"
steps = [
  { acquire = "main" },
  { crash = true },
]
"#;

/// How many operations each worker does.
const OPERATIONS: u64 = 200;
const FILE: &str = "debug_lock_test.nodb";

/// A worker of the application.
fn worker(python: &str, redis: &RedisServer, run: &Path, times: u64) -> Child {
    let package = format!("{}/tests/clients/nodb", env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(python);
    command.arg(format!("{package}/worker.py")).arg(run).arg(times.to_string());
    command.env("REDIS_URL", redis.url()).env("PYTHONDONTWRITEBYTECODE", "1");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

/// Has a worker end, and says how many operations it did.
fn end_of(worker: Child) -> u64 {
    let ended = worker.wait_with_output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    String::from_utf8(ended.stdout).unwrap().trim().parse().unwrap()
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
        // A file that only we wrote is put back, with our counts.
        let is_left = ended.stderr.contains("left as it is");
        written += workers.map(end_of).iter().sum::<u64>() + if is_left { succeeded } else { 0 };
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
