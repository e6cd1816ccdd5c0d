//! `status`: who holds what, on a real Redis in every condition.

mod application;
mod load;
mod many;
mod mixed;
mod others;
mod repair;
mod unlocks;
mod watch;
mod weather;

use crate::program::{Ended, Program};
use crate::redis_server::{RedisServer, redis_or_skip};
use lock_lab::lock::hostname;
use redis::Connection;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// A process that never was.
const NOBODY: u32 = 2_147_483_647;

/// `status` with these arguments on this server.
fn status(redis: &RedisServer, arguments: &[&str]) -> Ended {
    let url = redis.url();
    Program::new([&["status", "--redis", &url], arguments].concat()).run()
}

fn connection(redis: &RedisServer) -> Connection {
    redis.client().get_connection().unwrap()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// An owner on this machine.
fn here(pid: u32) -> String {
    format!("{}:{pid}", hostname())
}

/// A payload of the contract, acquired just now.
fn payload(token: &str, owner: &str) -> String {
    let (acquired_at, expires_at) = (now(), now() + 300);
    json!({"token": token, "owner": owner, "acquired_at": acquired_at,
        "expires_at": expires_at, "ttl": 300})
    .to_string()
}

fn run(con: &mut Connection, words: &[&str]) {
    let mut cmd = redis::cmd(words[0]);
    for word in &words[1..] {
        cmd.arg(word);
    }
    cmd.exec(con).unwrap_or_else(|error| panic!("{words:?}: {error}"));
}

/// A lock of this owner, with its flag and a TTL of 300 s.
fn lock(con: &mut Connection, runid: &str, file: &str, token: &str, owner: &str) {
    let key = format!("nodb-lock:{runid}:{file}");
    run(con, &["SET", &key, &payload(token, owner), "EX", "300"]);
    run(con, &["HSET", runid, &format!("locked:{file}"), "true"]);
}

/// The row of this file.
#[track_caller]
fn row(report: &Value, file: &str) -> Value {
    let rows = report["locks"].as_array().unwrap();
    let found = rows.iter().find(|row| row["file"] == file);
    found.unwrap_or_else(|| panic!("no {file} in {report:#}")).clone()
}

#[test]
fn every_state_is_told_with_what_to_type() {
    let redis = redis_or_skip!();
    let mut con = connection(&redis);
    lock(&mut con, "r", "held.nodb", "aaaaaaaa11", &here(std::process::id()));
    lock(&mut con, "r", "far.nodb", "bbbbbbbb11", "another-host:17");
    lock(&mut con, "r", "dead.nodb", "3fa85f64aa", &here(NOBODY));
    lock(&mut con, "r", "endless.nodb", "cccccccc11", "another-host:17");
    run(&mut con, &["PERSIST", "nodb-lock:r:endless.nodb"]);
    lock(&mut con, "r", "drift.nodb", "dddddddd11", "another-host:17");
    run(&mut con, &["HSET", "r", "locked:drift.nodb", "false"]);
    run(&mut con, &["HSET", "r", "locked:ended.nodb", "true", "locked:free.nodb", "false"]);
    run(&mut con, &["SET", "nodb-lock:r:foreign.nodb", "my own lock"]);
    let before = redis.everything();

    let report = status(&redis, &["r", "--format", "json"]);
    let report = report.exits(0).json();
    assert_eq!(report["schema"], "nodb-trigger/status/v1");
    assert_eq!(report["runid"], "r");
    assert_eq!(
        report["counts"],
        json!({"foreign_payload": 1, "orphaned": 1, "no_ttl": 1, "flag_drift": 1,
            "expired_flag": 1, "held": 2, "free": 1})
    );
    let url = redis.url();
    let url = url.trim_end_matches("/0");
    let command = |rest: &str| json!({"command": format!("nodb-trigger {rest} --redis {url}")});
    for (file, state, next) in [
        ("dead.nodb", "orphaned", command("unlock r dead.nodb --token 3fa85f64aa")),
        ("drift.nodb", "flag_drift", command("repair r")),
        ("ended.nodb", "expired_flag", command("repair r")),
        ("endless.nodb", "no_ttl", command("unlock r endless.nodb --token cccccccc11 --force")),
        (
            "foreign.nodb",
            "foreign_payload",
            command("unlock r foreign.nodb --token 'my own lock' --force"),
        ),
        ("free.nodb", "free", Value::Null),
    ] {
        let row = row(&report, file);
        assert_eq!((&row["state"], &row["next"]), (&json!(state), &next), "{row:#}");
    }
    let held = row(&report, "held.nodb");
    assert_eq!((&held["state"], &held["life"]), (&json!("held"), &json!("alive")));
    assert!(held["command"].as_str().unwrap().contains("it-"), "{held:#}");
    assert!(held["held_for_s"].as_i64().unwrap() >= 0, "{held:#}");
    assert!((1..=300_000).contains(&held["ttl_ms"].as_i64().unwrap()), "{held:#}");
    let wait = row(&report, "far.nodb")["next"]["wait"].as_str().unwrap().to_owned();
    assert!(wait.ends_with("look for process 17 on another-host"), "{wait}");

    let table = status(&redis, &["r"]);
    table.exits(0);
    assert_eq!(table.stderr, "");
    let end: Vec<&str> = table.stdout.lines().rev().take(2).collect();
    assert_eq!(
        end,
        [
            format!("  nodb-trigger repair r --redis {url}"),
            format!("  nodb-trigger unlock r dead.nodb --token 3fa85f64aa --redis {url}")
        ]
    );
    assert_eq!(redis.everything(), before, "nothing is changed");
}

#[test]
fn what_it_fails_for_is_said_in_one_line() {
    let redis = redis_or_skip!();
    let mut con = connection(&redis);
    lock(&mut con, "held", "a.nodb", "t", &here(std::process::id()));
    lock(&mut con, "stuck", "a.nodb", "t", &here(NOBODY));
    run(&mut con, &["HSET", "drift", "locked:a.nodb", "true"]);
    run(&mut con, &["SET", "nodb-lock:ends:a.nodb", "foreign", "EX", "100"]);
    run(&mut con, &["SET", "nodb-lock:never:a.nodb", "foreign"]);
    for (runid, kinds, fails) in [
        ("held", &["any"][..], false),
        ("ends", &["any"], false),
        ("stuck", &["drift"], false),
        ("stuck", &["stuck"], true),
        ("stuck", &["any"], true),
        ("never", &["stuck"], true),
        ("drift", &["stuck"], false),
        ("drift", &["drift"], true),
        ("drift", &["stuck", "drift"], true),
        ("nothing", &["any"], false),
    ] {
        let flags: Vec<String> = kinds.iter().map(|kind| format!("--fail-if={kind}")).collect();
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let ended = status(&redis, &[&[runid][..], &flags].concat());
        ended.exits(i32::from(fails));
        assert_eq!(ended.stderr.lines().count(), usize::from(fails), "{ended:#?}");
        assert!(!fails || ended.stderr.contains("1 lock"), "{ended:#?}");
    }
    let url = redis.url();
    let both = Program::new(["status", "--redis", &url, "--watch", "--fail-if", "any"]).run();
    both.exits(2);
    Program::new(["status", "r", "--all"]).run().exits(2);
    Program::new(["status", "--fail-if", "rust"]).run().exits(2).says(&["stuck", "drift", "any"]);
}

#[test]
fn every_character_of_a_run_id_stands_for_itself() {
    let redis = redis_or_skip!();
    let mut con = connection(&redis);
    for runid in
        ["a*", "ab", "a?[b]", "a b", "a\nb", "it's \"q\"", "batch;;x;;r", "a:b", "-n", "$(x)", "é"]
    {
        lock(&mut con, runid, "x y.nodb", "3fa85f64aa", &here(NOBODY));
        let ended = status(&redis, &["--format", "json", "--", runid]);
        let report = ended.exits(0).json();
        assert_eq!(report["locks"].as_array().unwrap().len(), 1, "{runid:?}: {report:#}");
        assert_eq!(report["locks"][0]["runid"], runid);
        // What is printed is read by a shell as it was meant.
        let command = report["locks"][0]["next"]["command"].as_str().unwrap();
        let shell = format!("nodb-trigger() {{ printf '%s\\0' \"$@\"; }}; {command}");
        let output = std::process::Command::new("bash").args(["-c", &shell]).output().unwrap();
        let words = String::from_utf8(output.stdout).unwrap();
        let words: Vec<&str> = words.split('\0').collect();
        assert!(words.contains(&runid) && words.contains(&"x y.nodb"), "{runid:?}: {words:?}");
        if runid.starts_with('-') {
            let end = words.iter().position(|word| *word == "--").unwrap();
            assert!(end < words.iter().position(|word| *word == runid).unwrap(), "{words:?}");
        }
        let table = status(&redis, &["--", runid]);
        assert!(!table.exits(0).stdout.contains("a\nb"), "{table:#?}");
    }
    let all = status(&redis, &["--format", "json"]).exits(0).json();
    assert_eq!(all["counts"], json!({"orphaned": 11}));
    let runs: Vec<&str> =
        all["locks"].as_array().unwrap().iter().map(|row| row["runid"].as_str().unwrap()).collect();
    assert!(runs.contains(&"a:b") && runs.contains(&"a\nb"), "{runs:?}");
}

#[test]
fn a_path_names_the_run_of_its_directory() {
    let redis = redis_or_skip!();
    let mut con = connection(&redis);
    lock(&mut con, "ab", "_pups/o/x.nodb", "t", "another-host:1");
    for path in ["/runs/ab", "/runs/ab/", "/runs/ab/_pups/o", "runs/ab"] {
        let report = status(&redis, &[path, "--format", "json"]).exits(0).json();
        assert_eq!((&report["runid"], &report["counts"]["held"]), (&json!("ab"), &json!(1)));
    }
    status(&redis, &["/"]).exits(2);
}

#[test]
fn where_a_run_id_ends_is_told_by_the_flags() {
    let redis = redis_or_skip!();
    let mut con = connection(&redis);
    lock(&mut con, "a:b", "x.nodb", "t", "another-host:1");
    lock(&mut con, "a", "b:y.nodb", "t", "another-host:1");
    // Without a flag, the first colon.
    run(&mut con, &["SET", "nodb-lock:a:c:z.nodb", &payload("t", "another-host:1"), "EX", "9"]);
    run(&mut con, &["HSET", "unrelated", "attrs:locked:x", "1"]);
    run(&mut con, &["HSET", "flags only", "locked:w.nodb", "true"]);
    let report = status(&redis, &["--all", "--format", "json"]).exits(0).json();
    let found: Vec<(String, String)> = report["locks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["runid"].to_string(), row["file"].to_string()))
        .collect();
    let expected =
        [("a", "b:y.nodb"), ("a", "c:z.nodb"), ("a:b", "x.nodb"), ("flags only", "w.nodb")];
    let quoted = |(run, file): (&str, &str)| (json!(run).to_string(), json!(file).to_string());
    assert_eq!(found, expected.map(quoted));
}

#[test]
fn values_of_every_kind_are_taken_for_what_they_are() {
    let redis = redis_or_skip!();
    let mut con = connection(&redis);
    run(&mut con, &["RPUSH", "nodb-lock:r:list.nodb", "a"]);
    run(&mut con, &["SET", "nodb-lock:r:text.nodb", "plain text\u{1b}[2J"]);
    run(&mut con, &["SET", "nodb-lock:r:empty.nodb", ""]);
    run(&mut con, &["SETRANGE", "nodb-lock:r:huge.nodb", "268435456", "x"]);
    redis::cmd("SET")
        .arg("nodb-lock:r:binary.nodb")
        .arg(&b"\xff\0\xfe"[..])
        .exec(&mut con)
        .unwrap();
    redis::cmd("SET").arg(&b"nodb-lock:r:\xff.nodb"[..]).arg("x").exec(&mut con).unwrap();
    redis::cmd("HSET").arg("r").arg(&b"locked:\xfe"[..]).arg("true").exec(&mut con).unwrap();
    run(&mut con, &["SET", "nodb-lock:no-file", "x"]);
    let future = json!({"token": "t", "owner": "other:1", "acquired_at": now() + 1000,
        "expires_at": 17, "ttl": 5});
    run(&mut con, &["SET", "nodb-lock:r:ahead.nodb", &future.to_string(), "EX", "100"]);
    run(&mut con, &["HSET", "r", "locked:ahead.nodb", "true"]);

    let ended = status(&redis, &["r", "--format", "json"]);
    let report = ended.exits(0).json();
    for (file, words) in [
        ("list.nodb", "holds a list"),
        ("huge.nodb", "holds 268435457 bytes"),
        ("text.nodb", "is no NoDb payload"),
        ("empty.nodb", "is no NoDb payload"),
        ("binary.nodb", "is no NoDb payload"),
        ("ahead.nodb", "s ahead of the server"),
    ] {
        let row = row(&report, file);
        assert!(row["diagnosis"].as_str().unwrap().contains(words), "{row:#}");
    }
    assert_eq!(row(&report, "ahead.nodb")["expires_at"], 17);
    assert_eq!(report["notes"].as_array().unwrap().len(), 1, "{report:#}");
    assert!(report["notes"][0].as_str().unwrap().contains("2 names that are no UTF-8"));
    let all = status(&redis, &[]);
    all.exits(0);
    assert!(all.stdout.contains("1 name that begin"), "{}", all.stdout);
    assert!(!all.stdout.contains('\u{1b}'), "{}", all.stdout);

    // No flag hash under the run id: it doesn't keep anybody from seeing the locks.
    run(&mut con, &["SET", "odd", "a string"]);
    run(&mut con, &["SET", "nodb-lock:odd:x.nodb", &payload("t", "other:1"), "EX", "9"]);
    let report = status(&redis, &["odd", "--format", "json"]).exits(0).json();
    assert_eq!(report["counts"], json!({"no_flag": 1}));
    assert!(report["notes"][0].as_str().unwrap().contains("WRONGTYPE"), "{report:#}");
}
