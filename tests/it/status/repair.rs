//! `status` and `repair` agree on which flags are wrong.

use super::{NOBODY, connection, here, lock, payload, run, status};
use crate::program::{Ended, Program};
use crate::redis_server::{RedisServer, redis_or_skip};
use serde_json::Value;

/// A payload of the same shape as ours, but for one odd member.
const ODD: [(&str, &str); 21] = [
    ("redlock", "0a1b2c3d4e5f60718293a4b5c6d7e8f9"),
    ("bullmq", "a6a1c2d3-1111-4222-8333-444455556666:3"),
    ("shedlock", "ADDED:2026-11-29T02:00:00.000Z@worker-a"),
    ("laravel", r#"s:16:"aB3dE6gH9jK2mN5p";"#),
    ("laravel_old", "1"),
    ("celery_once", "1700003600"),
    ("empty", ""),
    ("locked", "locked"),
    ("jsonstr", r#""just a string""#),
    ("jsonnum", "123"),
    ("jsonarr", "[1,2]"),
    ("floats", r#"{"token":"t","owner":"vm:1","acquired_at":1732845600.25,"ttl":21600.0}"#),
    ("nulls", r#"{"token":null,"owner":null,"acquired_at":null,"ttl":null}"#),
    ("huge", r#"{"token":"t","owner":"vm:99999999999999999999","acquired_at":1e400}"#),
    ("future", r#"{"token":"t","owner":"vm:1","acquired_at":99999999999999,"ttl":-5}"#),
    ("ownerless", r#"{"token":"t"}"#),
    ("dup", r#"{"token":"a","token":"b","owner":"vm:1"}"#),
    ("ansi", "{\"token\":\"\u{1b}[31mred\",\"owner\":\"ev\\u001b[2Jil:1\"}"),
    ("new\nline", "x"),
    ("with:colon", "x"),
    ("", "x"),
];

fn repair(redis: &RedisServer, arguments: &[&str]) -> Ended {
    let url = redis.url();
    Program::new([&["repair", "--redis", &url], arguments].concat()).run()
}

/// How many flags `status` counts as drifted, and how many `repair` would write.
fn counted(redis: &RedisServer, runid: &str) -> (u64, u64) {
    let drift = status(redis, &[runid, "--fail-if", "drift"]);
    let number = drift.stderr.split("drift: ").nth(1);
    let number = number.map_or(0, |rest| rest.split(' ').next().unwrap().parse().unwrap());
    drift.exits(i32::from(number > 0));
    let dry = repair(redis, &[runid, "--dry-run", "--format", "json"]);
    (number, dry.exits(0).json()["counts"]["flags_set"].as_u64().unwrap())
}

#[test]
fn what_status_counts_as_drift_is_what_repair_writes() {
    let redis = redis_or_skip!();
    let mut con = connection(&redis);
    let here = here(std::process::id());
    for flag in [None, Some("true"), Some("yes"), Some("false")] {
        run(&mut con, &["FLUSHALL"]);
        for (file, value) in ODD {
            run(&mut con, &["SET", &format!("nodb-lock:zoo:{file}"), value, "EX", "600"]);
            run(&mut con, &["SET", &format!("nodb-lock:zoo:{file}.endless"), value]);
        }
        run(&mut con, &["HSET", "nodb-lock:zoo:redisson", "token:46", "2"]);
        run(&mut con, &["RPUSH", "nodb-lock:zoo:semaphore", "0", "1"]);
        run(&mut con, &["SET", "nodb-lock:zoo:long", &"x".repeat(100_000)]);
        lock(&mut con, "zoo", "ours", "t", &here);
        lock(&mut con, "zoo", "dead", "t", &super::here(NOBODY));
        lock(&mut con, "zoo", "far", "t", "another-host:17");
        lock(&mut con, "zoo", "endless", "t", "another-host:17");
        run(&mut con, &["PERSIST", "nodb-lock:zoo:endless"]);
        run(&mut con, &["DEL", "zoo"]);
        let keys: Vec<String> = redis::cmd("KEYS").arg("nodb-lock:*").query(&mut con).unwrap();
        for key in keys {
            let file = key.strip_prefix("nodb-lock:zoo:").unwrap();
            if let Some(flag) = flag {
                run(&mut con, &["HSET", "zoo", &format!("locked:{file}"), flag]);
            }
        }
        let drifted = if flag == Some("false") { 2 * ODD.len() as u64 + 4 } else { 0 };
        assert_eq!(counted(&redis, "zoo"), (drifted, drifted), "{flag:?}");
        let report = status(&redis, &["zoo", "--format", "json"]);
        assert_eq!(report.exits(0).json()["drifted"], drifted, "{flag:?}");
        let fields: Vec<String> = redis::cmd("HKEYS").arg("zoo").query(&mut con).unwrap();
        repair(&redis, &["zoo"]).exits(0);
        let after: Vec<String> = redis::cmd("HKEYS").arg("zoo").query(&mut con).unwrap();
        assert_eq!(after, fields, "no flag is created");
        assert_eq!(counted(&redis, "zoo"), (0, 0), "{flag:?}");
        let mend = status(&redis, &["zoo", "--format", "json"]).exits(0).json()["mend"].to_string();
        assert!(!mend.contains("repair"), "{mend}");
    }
}

#[test]
fn a_wrong_flag_of_a_foreign_value_is_said_and_repaired() {
    let redis = redis_or_skip!();
    let mut con = connection(&redis);
    run(&mut con, &["SET", "nodb-lock:run1:a.nodb", "locked", "EX", "600"]);
    assert_eq!(counted(&redis, "run1"), (0, 0));
    let right = status(&redis, &["run1"]);
    assert!(right.exits(0).stdout.contains("Nothing is to be mended."), "{right:#?}");
    run(&mut con, &["HSET", "run1", "locked:a.nodb", "false"]);
    assert_eq!(counted(&redis, "run1"), (1, 1));
    let wrong = status(&redis, &["run1"]);
    let text = wrong.exits(0).stdout.replace("\n   ", " ");
    assert!(text.contains("flag, which users see, says that it is free."), "{wrong:#?}");
    assert!(
        text.contains("1 foreign payload. 1 flag is wrong. To mend it:\n  nodb-trigger repair")
    );
    repair(&redis, &["run1"]).exits(0);
    assert_eq!(counted(&redis, "run1"), (0, 0));
}

#[test]
fn a_missing_flag_is_no_work_for_repair() {
    let redis = redis_or_skip!();
    let mut con = connection(&redis);
    let value = payload("t", &here(std::process::id()));
    run(&mut con, &["SET", "nodb-lock:r:a.nodb", &value, "EX", "300"]);
    assert_eq!(counted(&redis, "r"), (0, 0));
    let seen = status(&redis, &["r", "--format", "json"]).exits(0).json();
    let row: &Value = &seen["locks"][0];
    assert_eq!(row["state"], "no_flag", "{row:#}");
    let wait = row["next"]["wait"].as_str().unwrap();
    assert!(wait.starts_with("its holder sets the flag on release; it ends in"), "{row:#}");
    assert!(!seen.to_string().contains("nodb-trigger repair"), "{seen:#}");
    let table = status(&redis, &["r"]);
    assert!(!table.exits(0).stdout.contains("Nothing is to be mended"), "{table:#?}");
    let before = redis.everything();
    repair(&redis, &["r"]).exits(0);
    for command in ["clear_locks", "unlock"] {
        let url = redis.url();
        let file: &[&str] = if command == "unlock" { &["a.nodb"] } else { &[] };
        Program::new([&[command, "--redis", &url, "r"], file].concat()).run();
        assert_eq!(redis.everything(), before, "{command}");
    }
}
