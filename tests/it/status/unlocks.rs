//! The command that `status` prints for a stuck lock releases it, whatever its format.

use super::{NOBODY, connection, here, payload, run, status};
use crate::program::{Place, Program};
use crate::redis_server::{RedisServer, redis_or_skip};
use redis::Connection;
use serde_json::Value;
use std::process::Command;

const CLIENT: &str = "b0a1c2d3-1111-4222-8333-444455556666";
const TOKEN: &str = "0a1b2c3d4e5f60718293a4b5c6d7e8f9";
const JOB: &str = "0123456789abcdef01234567";

/// Types a command that was printed into a shell; gives what it says.
pub(super) fn type_in(command: &str) -> String {
    let program = env!("CARGO_BIN_EXE_nodb-trigger");
    let command = command.replacen("nodb-trigger", program, 1);
    let output = Command::new("bash").args(["-c", &command]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// One stuck lock of each format: nearly all without a TTL.
fn seed(con: &mut Connection) -> Vec<&'static str> {
    let worker = format!("{CLIENT}:46");
    run(con, &["HSET", "order:{4711}", &worker, "2"]);
    run(con, &["HSET", "rw", "mode", "read", &worker, "1", &format!("{CLIENT}:47"), "1"]);
    run(con, &["SET", "bull:mail:12:lock", &worker]);
    run(con, &["HSET", "uniquejobs:c0ffee:LOCKED", JOB, "1795999990.5"]);
    run(con, &["SET", "uniquejobs:0ddba11", JOB]);
    run(con, &["SET", "nightly", "ADDED:2026-11-29T02:00:00.000Z@worker-a"]);
    run(con, &["SET", "app:SINGLETONLOCK_c0ffee", CLIENT]);
    run(con, &["SET", "redbeat::lock", TOKEN]);
    run(con, &["SET", "qo_report_user-7", "1795999990"]);
    run(con, &["HSET", "huey.results.app", "app.lock.daily", "1", "app.lock.hourly", "1"]);
    run(con, &["SET", "huey.r.app.app.lock.daily", "1"]);
    run(con, &["SET", "laravel_cache:unique_job:report", "s:16:\"aB3dE6gH9jK2mN5p\";"]);
    run(con, &["SET", "lock:signalled", "q83vEjRWeJCrze8SNFZ4kKvN"]);
    run(con, &["HSET", "SEMAPHORE:index:GRABBED", "0", "1795999990.25"]);
    run(con, &["SET", "SEMAPHORE:lost:EXISTS", "1"]);
    run(con, &["SET", "locks:account:7", TOKEN, "PX", "1732845600000"]);
    run(con, &["SET", "copy", &payload(TOKEN, &here(NOBODY))]);
    let bytes: Vec<u8> = (0..32).map(|number| 255 - 7 * number).collect();
    redis::cmd("SET").arg(&b"lock:\xff\0\n'"[..]).arg(bytes).exec(con).unwrap();
    vec![
        "\"lock:\\xff\\x00\\n'\"",
        "SEMAPHORE:index:GRABBED",
        "SEMAPHORE:lost:EXISTS",
        "app:SINGLETONLOCK_c0ffee",
        "bull:mail:12:lock",
        "copy",
        "huey.r.app.app.lock.daily",
        "huey.results.app",
        "laravel_cache:unique_job:report",
        "lock:signalled",
        "locks:account:7",
        "nightly",
        "order:{4711}",
        "qo_report_user-7",
        "redbeat::lock",
        "rw",
        "uniquejobs:0ddba11",
        "uniquejobs:c0ffee:LOCKED",
    ]
}

fn locks(redis: &RedisServer) -> Vec<Value> {
    let report = status(redis, &["--all", "--format", "json"]).exits(0).json();
    report["others"]["locks"].as_array().unwrap().clone()
}

#[test]
fn each_stuck_lock_is_released_by_the_command_that_is_printed_for_it() {
    let redis = redis_or_skip!();
    let mut con = connection(&redis);
    let expected = seed(&mut con);
    let rows = locks(&redis);
    let mut keys: Vec<&str> = rows.iter().map(|row| row["key"].as_str().unwrap()).collect();
    keys.sort_unstable();
    assert_eq!(keys, expected);
    let mut formats: Vec<&str> = rows.iter().map(|row| row["format"].as_str().unwrap()).collect();
    formats.sort_unstable();
    formats.dedup();
    assert!(formats.len() >= 10, "{formats:?}");
    for row in &rows {
        let command = row["next"]["command"].as_str().unwrap_or_else(|| panic!("{row:#}"));
        let said = type_in(command);
        assert!(said.contains("REMOVED"), "{command}: {said}");
    }
    assert_eq!(locks(&redis), Vec::<Value>::new());
    status(&redis, &["--all", "--fail-if", "stuck"]).exits(0);
}

#[test]
fn each_stuck_lock_of_nodb_is_released_by_the_command_that_is_printed_for_it() {
    let redis = redis_or_skip!();
    let mut con = connection(&redis);
    for (file, value, ttl) in [
        ("orphaned.nodb", payload(TOKEN, &here(NOBODY)), "300"),
        ("endless.nodb", payload(TOKEN, "another-host:7"), ""),
        ("years.nodb", payload(TOKEN, "another-host:7"), "1732845600"),
        ("plain.nodb", "1".into(), "1732845600"),
        ("list.nodb", String::new(), ""),
    ] {
        let key = format!("nodb-lock:r:{file}");
        match file {
            "list.nodb" => run(&mut con, &["RPUSH", &key, "x"]),
            _ => run(&mut con, &["SET", &key, &value]),
        }
        if !ttl.is_empty() {
            run(&mut con, &["EXPIRE", &key, ttl]);
        }
        run(&mut con, &["HSET", "r", &format!("locked:{file}"), "true"]);
    }
    let report = status(&redis, &["r", "--format", "json"]).exits(0).json();
    let rows = report["locks"].as_array().unwrap();
    assert_eq!(rows.len(), 5, "{report:#}");
    for row in rows {
        type_in(row["next"]["command"].as_str().unwrap_or_else(|| panic!("{row:#}")));
    }
    let left: Vec<String> = redis::cmd("KEYS").arg("nodb-lock:*").query(&mut con).unwrap();
    assert_eq!(left, Vec::<String>::new());
    status(&redis, &["r", "--fail-if", "stuck"]).exits(0);
}

#[test]
fn a_format_of_one_s_own_is_shown_and_released() {
    let redis = redis_or_skip!();
    let mut con = connection(&redis);
    let place = Place::new();
    let file = place.at("formats.toml");
    let text = r#"
        [[format]]
        name = "our jobs"
        pattern = "job:*:running"
        token = "lease"
        owner = "process"
    "#;
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let value = |owner: &str| format!(r#"{{"lease":"7a","process":"{owner}"}}"#);
    run(&mut con, &["SET", "job:7:running", &value("another-host:7")]);
    run(&mut con, &["SET", "job:8:running", &value(&here(NOBODY))]);
    run(&mut con, &["HSET", "job:9:running", "lease", "9a", "n", "1"]);
    let all = ["--all", "--format", "json"];
    assert_eq!(locks(&redis), Vec::<Value>::new());
    let report = status(&redis, &[&all[..], &["--formats", file]].concat()).exits(0).json();
    let rows = report["others"]["locks"].as_array().unwrap();
    assert_eq!(rows.len(), 3, "{report:#}");
    assert_eq!(
        (&rows[0]["format"], &rows[0]["owner"]),
        (&"our jobs".into(), &"another-host:7".into())
    );
    type_in(rows[0]["next"]["command"].as_str().unwrap());
    // One whose owner is gone goes by itself, and the others stay.
    let url = redis.url();
    let clear = ["clear_locks", "--all", "--formats", file, "--redis", &url];
    Program::new(clear).run().exits(0);
    let left: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut con).unwrap();
    assert_eq!(left, ["job:9:running"]);
    for (text, words) in [("[[format]]", "missing field"), ("", "missing field `format`")] {
        std::fs::write(file, text).unwrap();
        status(&redis, &["--formats", file]).exits(2).says(&["--formats", words]);
    }
    status(&redis, &["--formats", "/nowhere"]).exits(2).says(&["--formats /nowhere"]);
}
