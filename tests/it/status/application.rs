//! The other locks of the application (contract, section 6), and locks that are held too long.

use super::{NOBODY, connection, here, lock, now, payload, row, run, status};
use crate::program::{Place, Program, herd};
use crate::redis_server::{RedisServer, redis_or_skip};
use lock_lab::lock::replacement_fence;
use redis::Connection;
use serde_json::{Value, json};

const TOKEN: &str = "0a1b2c3d4e5f60718293a4b5c6d7e8f9";

/// A payload of the lock of a directory.
fn of_directory(run: &str, owner: &str) -> String {
    json!({"acquired_at": now(), "expires_at": now() + 300, "owner": owner, "purpose": "archive",
        "root": "landuse", "rq_execution_id": "e-1", "rq_job_id": "job-7", "runid": run,
        "scope": "run", "token": TOKEN, "ttl_seconds": 300})
    .to_string()
}

fn repair(redis: &RedisServer, command: &[&str]) -> Value {
    let url = redis.url();
    let words = [command, &["--format", "json", "--redis", &url]].concat();
    Program::new(words).run().exits(0).json()
}

#[test]
fn the_lock_of_a_directory_has_no_flag_and_gets_none() {
    let redis = redis_or_skip!();
    let mut con = connection(&redis);
    let me = here(std::process::id());
    for (file, owner) in [
        ("runtime-paths/landuse", &*me),
        ("nodir/soils", &me),
        ("nodir-materialize/soils/1", &me),
        ("runtime-paths/gone", &here(NOBODY)),
    ] {
        let key = format!("nodb-lock:r:{file}");
        run(&mut con, &["SET", &key, &of_directory("r", owner), "EX", "300"]);
    }
    let before = redis.everything();
    let report = status(&redis, &["r", "--format", "json"]).exits(0).json();
    assert_eq!(report["counts"], json!({"held": 3, "orphaned": 1}), "{report:#}");
    assert_eq!(row(&report, "runtime-paths/landuse")["job"], "job-7");
    status(&redis, &["r", "--fail-if", "drift"]).exits(0);
    assert_eq!(repair(&redis, &["repair", "r"])["counts"]["flags_set"], 0);
    assert_eq!(redis.everything(), before);
    assert!(status(&redis, &["r"]).stdout.contains("job job-7"));
    let cleared = repair(&redis, &["clear_locks", "r"]);
    assert_eq!(
        cleared["counts"],
        json!({"removed": 1, "left": 3, "changed": 0, "gone": 0,
        "failed": 0, "not_tried": 0, "flags_set": 0, "flags_right_by_now": 0})
    );
    let hashes: Vec<String> = redis::cmd("KEYS").arg("r").query(&mut con).unwrap();
    assert_eq!(hashes, Vec::<String>::new(), "no flag is made");
}

#[test]
fn a_lock_of_a_path_scope_belongs_to_the_run_that_its_payload_names() {
    let redis = redis_or_skip!();
    let mut con = connection(&redis);
    let files = ["0123456789ab:runtime-paths/landuse", "ba9876543210:runtime-paths/soils"];
    for (file, of) in files.iter().zip(["r", "other"]) {
        let key = format!("nodb-lock:path-scope:{file}");
        run(&mut con, &["SET", &key, &of_directory(of, &here(NOBODY)), "EX", "300"]);
    }
    let report = status(&redis, &["r", "--format", "json"]).exits(0).json();
    assert_eq!(report["counts"], json!({"orphaned": 1}), "{report:#}");
    let seen = row(&report, files[0]);
    assert_eq!(seen["runid"], "r");
    let words = seen["diagnosis"].as_str().unwrap();
    assert!(!words.contains("can't be told for sure"), "{words}");
    // The command that is printed for it releases it, and that for the run leaves those of others.
    let dry = repair(&redis, &["clear_locks", "r", "--dry-run"]);
    assert_eq!(dry["counts"]["removed"], 1, "{dry:#}");
    super::unlocks::type_in(seen["next"]["command"].as_str().unwrap());
    let left: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut con).unwrap();
    assert_eq!(left, [format!("nodb-lock:path-scope:{}", files[1])]);
    let all = status(&redis, &["--format", "json"]).exits(0).json();
    assert_eq!(row(&all, files[1])["runid"], "other");
}

#[test]
fn a_run_that_is_being_replaced_takes_no_locks_and_no_scenario() {
    let redis = redis_or_skip!();
    let mut con = connection(&redis);
    let place = Place::new();
    let directory = place.run();
    let runid = directory.file_name().unwrap().to_str().unwrap().to_owned();
    let fence = replacement_fence(&runid);
    run(&mut con, &["SET", &fence, TOKEN, "EX", "120"]);
    let ended = status(&redis, &[&runid]);
    let joined = |text: &str| text.split_whitespace().collect::<String>();
    let said = joined(&ended.exits(0).stdout);
    for words in ["no lock is held, and none can be acquired", &fence, "it expires in"] {
        assert!(said.contains(&joined(words)), "{said}");
    }
    let before = redis.everything();
    let url = redis.url();
    let refused = herd(&directory, &["--redis", &url]).run();
    refused.refuses(3, &["is being replaced", &fence]);
    assert_eq!(redis.everything(), before);
    // The fence is a lock like others, and shown beside them.
    let all = status(&redis, &["--all", "--format", "json"]).exits(0).json();
    assert_eq!(all["others"]["locks"][0]["key"], fence, "{all:#}");
    run(&mut con, &["DEL", &fence]);
    lock(&mut con, &runid, "a.nodb", TOKEN, &here(std::process::id()));
    run(&mut con, &["SET", &fence, TOKEN]);
    let said = status(&redis, &[&runid]).exits(0).stdout.replace('\n', " ");
    assert!(said.contains("no lock can be acquired") && said.contains("no TTL"), "{said}");
}

#[test]
fn locks_of_the_queue_are_shown() {
    let redis = redis_or_skip!();
    let mut con = connection(&redis);
    let keys = ["rq:submission:run-7", "rq:submission-lifecycle:0a1b2c"];
    for key in keys {
        run(&mut con, &["SET", key, TOKEN, "EX", "120"]);
    }
    let report = status(&redis, &["--all", "--format", "json"]).exits(0).json();
    assert_eq!(report["others"]["counts"], json!({"held": 2}), "{report:#}");
}

fn held_since(con: &mut Connection, file: &str, age: u64, owner: &str) {
    let value = payload(TOKEN, owner).replace(&now().to_string(), &(now() - age).to_string());
    run(con, &["SET", &format!("nodb-lock:r:{file}"), &value, "EX", "300"]);
    run(con, &["HSET", "r", &format!("locked:{file}"), "true"]);
}

#[test]
fn held_locks_can_be_asked_for_by_age() {
    let redis = redis_or_skip!();
    let mut con = connection(&redis);
    let me = here(std::process::id());
    held_since(&mut con, "old.nodb", 100_000, &me);
    held_since(&mut con, "young.nodb", 10, &me);
    run(&mut con, &["SET", "nightly", "ADDED:2023-11-29T02:00:00.000Z@worker-a", "EX", "600"]);
    run(&mut con, &["SET", "lock:a", TOKEN, "EX", "600"]);
    let by_age = ["--all", "--older-than", "1d", "--format", "json"];
    let report = status(&redis, &by_age).exits(0).json();
    assert_eq!(report["counts"], json!({"held": 1}), "{report:#}");
    let old = row(&report, "old.nodb");
    let command = old["next"]["command"].as_str().unwrap();
    assert!(command.contains("unlock r old.nodb --token 0a1b2c3d --force"), "{command}");
    assert!(old["warning"].as_str().unwrap().contains("it would lose its lock"));
    assert_eq!(report["others"]["counts"], json!({"held": 1}), "{report:#}");
    assert_eq!(report["others"]["locks"][0]["key"], "nightly");
    assert!(report["notes"].to_string().contains("1 lock is left out"), "{report:#}");
    status(&redis, &["r", "--older-than", "1d", "--fail-if", "stuck"]).exits(1);
    status(&redis, &["r", "--older-than", "2d", "--fail-if", "stuck"]).exits(0);
    // What has no known age may be as old.
    run(&mut con, &["SET", "nodb-lock:r:plain.nodb", "1", "EX", "300"]);
    let ended = status(&redis, &["r", "--older-than", "2d", "--fail-if", "stuck"]);
    ended.exits(4).says(&["not known when"]);
}
