//! Locks of other libraries: `--all`, `--pattern` and the name of a key.

use super::{connection, here, lock, run, status};
use crate::middleman::{Fate, Middleman};
use crate::program::{Ended, Program};
use crate::redis_server::{RedisServer, redis_or_skip};
use redis::Connection;
use serde_json::{Value, json};
use std::sync::Mutex;

const CLIENT: &str = "b0a1c2d3-1111-4222-8333-444455556666";
const TOKEN: &str = "0a1b2c3d4e5f60718293a4b5c6d7e8f9";

/// The row of this key among the locks of other libraries.
#[track_caller]
fn row(report: &Value, key: &str) -> Value {
    let rows = report["others"]["locks"].as_array().unwrap();
    let found = rows.iter().find(|row| row["key"] == key);
    found.unwrap_or_else(|| panic!("no {key} in {report:#}")).clone()
}

/// The reason why this key may be a lock.
#[track_caller]
fn why(report: &Value, key: &str) -> String {
    let families = report["others"]["may_be"].as_array().unwrap();
    let is_it = |family: &&Value| family["examples"].to_string().contains(&json!(key).to_string());
    let found = families.iter().find(is_it).unwrap_or_else(|| panic!("no {key} in {report:#}"));
    found["why"].as_str().unwrap().to_owned()
}

/// Locks of some libraries.
fn seed(con: &mut Connection) {
    let holder = format!("{CLIENT}:46");
    run(con, &["HSET", "order:{4711}", &holder, "2"]);
    run(con, &["PEXPIRE", "order:{4711}", "90000"]);
    run(con, &["RPUSH", "redisson_lock_queue:order:{4711}", &holder, &holder]);
    run(con, &["RPUSH", "redisson_lock_queue:{fair}", &holder]);
    run(con, &["SET", "locks:account:7", TOKEN, "PX", "3000000"]);
    run(con, &["SET", "bull:mail:12:lock", &format!("{CLIENT}:3"), "PX", "90000"]);
    run(con, &["SET", "job", "ADDED:2026-11-29T02:00:00.000Z@worker-a", "EX", "600"]);
    run(con, &["SET", "SINGLETONLOCK_c0ffee", CLIENT]);
    run(con, &["SET", "lock:far", TOKEN, "PX", "1732845600000"]);
    run(con, &["SET", "registry:user-7", CLIENT, "EX", "60"]);
    run(con, &["SET", "lock:one", "1", "EX", "60"]);
    run(con, &["SET", "page:7", "<html>", "EX", "60"]);
}

#[test]
fn the_locks_of_other_libraries_are_shown_with_their_holders() {
    let redis = redis_or_skip!();
    let mut con = connection(&redis);
    seed(&mut con);
    let before = redis.everything();
    let report = status(&redis, &["--all", "--format", "json"]).exits(0).json();
    assert_eq!(report["schema"], "nodb-trigger/status/v1");
    let counts = json!({"no_ttl": 1, "long_ttl": 1, "queued": 1, "held": 4});
    assert_eq!(report["others"]["counts"], counts, "{report:#}");
    let redisson = row(&report, "order:{4711}");
    assert_eq!((&redisson["format"], &redisson["waiting"]), (&json!("Redisson"), &json!(2)));
    assert_eq!(redisson["holders"][0]["thread"], "46");
    assert!(
        redisson["diagnosis"].as_str().unwrap().contains("acquired it 2 times"),
        "{redisson:#}"
    );
    assert_eq!(row(&report, "job")["owner"], "worker-a");
    assert!(row(&report, "job")["held_for_s"].as_i64().unwrap() > 0);
    assert_eq!(row(&report, "redisson_lock_queue:{fair}")["state"], "queued");
    let endless = row(&report, "SINGLETONLOCK_c0ffee");
    let port = redis.port();
    let unlock = format!(
        "nodb-trigger unlock SINGLETONLOCK_c0ffee --token b0a1c2d3 --force --redis redis://127.0.0.1:{port}"
    );
    assert_eq!(endless["next"], json!({"command": unlock}));
    assert!(why(&report, "registry:user-7").contains("a UUID"), "{report:#}");
    assert!(why(&report, "lock:one").contains("names no holder"), "{report:#}");
    assert!(!report["others"].to_string().contains("page:7"), "{report:#}");
    let table = status(&redis, &["--all"]);
    let text = &table.exits(0).stdout;
    for words in ["TTL of years", "May be locks", "7 locks of other libraries: 1 no TTL"] {
        assert!(text.contains(words), "{text}");
    }
    assert_eq!(redis.everything(), before, "nothing is changed");
}

#[test]
fn no_ttl_and_one_of_years_are_stuck() {
    let redis = redis_or_skip!();
    let mut con = connection(&redis);
    for (key, ttl, fails) in [("a", "90000", false), ("b", "1732845600000", true), ("c", "", true)]
    {
        let key = format!("lock:{key}");
        run(&mut con, &["SET", &key, TOKEN]);
        if !ttl.is_empty() {
            run(&mut con, &["PEXPIRE", &key, ttl]);
        }
        for kind in ["stuck", "any"] {
            let ended = status(&redis, &["--pattern", &key, "--fail-if", kind]);
            ended.exits(i32::from(fails));
            assert_eq!(ended.stderr.contains("1 lock is stuck"), fails, "{ended:#?}");
        }
        let drift = status(&redis, &["--pattern", &key, "--fail-if", "drift"]);
        drift.refuses(2, &["--fail-if drift", "use --all"]);
    }
    // The same for locks of NoDb.
    lock(&mut con, "r", "a.nodb", "t", "another-host:1");
    run(&mut con, &["PEXPIRE", "nodb-lock:r:a.nodb", "1732845600000"]);
    run(&mut con, &["SET", "nodb-lock:s:a.nodb", "1", "PX", "1732845600000"]);
    for runid in ["r", "s"] {
        status(&redis, &[runid, "--fail-if", "stuck"]).exits(1);
    }
    let report = status(&redis, &["r", "--format", "json"]).exits(0).json();
    assert_eq!(report["counts"], json!({"long_ttl": 1}));
    let command = report["locks"][0]["next"]["command"].as_str().unwrap();
    assert!(command.contains("unlock r a.nodb --token t --force"), "{command}");
}

#[test]
fn nodb_s_locks_are_shown_beside_the_others_and_once() {
    let redis = redis_or_skip!();
    let mut con = connection(&redis);
    lock(&mut con, "r", "a.nodb", TOKEN, &here(std::process::id()));
    run(&mut con, &["SET", "lock:b", TOKEN, "EX", "60"]);
    let report = status(&redis, &["--all", "--format", "json"]).exits(0).json();
    assert_eq!(report["counts"], json!({"held": 1}));
    assert_eq!(report["others"]["counts"], json!({"held": 1}), "{report:#}");
    let table = status(&redis, &["--all"]);
    let text = &table.exits(0).stdout;
    assert!(
        text.contains("Locks of other libraries") && text.contains("1 lock: 1 held."),
        "{text}"
    );
    // A pattern shows what is under keys that match, whose ever it is.
    let report = status(&redis, &["--pattern", "nodb-lock:*", "--format", "json"]).exits(0).json();
    assert_eq!(row(&report, "nodb-lock:r:a.nodb")["format"], "NoDb");
    let both = ["--pattern", "lock:*", "--pattern", "nodb-*", "--format", "json"];
    let report = status(&redis, &both).exits(0).json();
    assert_eq!((&report["others"]["keys"], &report["counts"]), (&json!(2), &json!({})));
    status(&redis, &["--pattern", "lock:*", "--all"]).exits(2);
    status(&redis, &["r", "--pattern", "lock:*"]).exits(2);
}

#[test]
fn the_name_of_a_key_shows_that_key() {
    let redis = redis_or_skip!();
    let mut con = connection(&redis);
    seed(&mut con);
    run(&mut con, &["SET", "locks/by/path", TOKEN, "EX", "60"]);
    run(&mut con, &["HSET", "user:7", "name", "x"]);
    for key in ["locks:account:7", "order:{4711}", "locks/by/path"] {
        let report = status(&redis, &[key, "--format", "json"]).exits(0).json();
        assert_eq!(row(&report, key)["state"], "held", "{report:#}");
    }
    for (key, words) in [
        ("registry:user-7", "a UUID, random like a lock's token"),
        ("user:7", "is a hash (size 1), and no lock that is known"),
        ("redisson_lock_queue:order:{4711}", "belongs to the lock order:{4711}"),
    ] {
        let ended = status(&redis, &[key]);
        let text = ended.exits(0).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(words), "{text}");
    }
    let report = status(&redis, &["redisson_lock_queue:{fair}", "--format", "json"]);
    let report = report.exits(0).json();
    assert_eq!(row(&report, "redisson_lock_queue:{fair}")["waiting"], 1, "{report:#}");
    let ended = status(&redis, &["no-key"]);
    let text = ended.exits(0).stdout.replace('\n', " ");
    assert!(text.contains("no key of that name in database 0"), "{text}");
    // A run of that name comes first.
    lock(&mut con, "user:7", "a.nodb", "t", &here(std::process::id()));
    let report = status(&redis, &["user:7", "--format", "json"]).exits(0).json();
    assert_eq!((&report["counts"], &report["others"]), (&json!({"held": 1}), &Value::Null));
}

#[test]
fn without_locks_of_nodb_the_others_are_pointed_at() {
    let redis = redis_or_skip!();
    let mut con = connection(&redis);
    run(&mut con, &["SET", "lock:a", TOKEN, "EX", "60"]);
    run(&mut con, &["SELECT", "2"]);
    run(&mut con, &["MSET", "a", "1", "b", "2"]);
    let url = redis.url();
    let base = url.trim_end_matches("/0");
    for (url, words) in [
        (base.to_owned(), "Database 0 has 1 key;"),
        (format!("{base}/2"), "Database 2 has 2 keys;"),
    ] {
        let ended = Program::new(["status", "--redis", &url]).run();
        let text = &ended.exits(0).stdout;
        assert!(text.replace('\n', " ").contains(words), "{text}");
        assert!(text.ends_with(&format!("  nodb-trigger status --all --redis {url}\n")), "{text}");
        assert!(!text.contains("is this the right"), "{text}");
    }
}

#[test]
fn what_was_not_looked_at_is_said_and_gives_no_all_clear() {
    let redis = redis_or_skip!();
    let mut con = connection(&redis);
    for number in 0..50 {
        run(&mut con, &["SET", &format!("page:{number}"), "<html>"]);
    }
    let report = status(&redis, &["--all", "--max-keys", "20", "--format", "json"]).exits(0).json();
    let others = &report["others"];
    assert_eq!((&others["keys"], &others["cut_short"]), (&json!(20), &json!(true)));
    assert!(report["notes"].to_string().contains("only 20 of 50 keys"), "{report:#}");
    let ended = status(&redis, &["--all", "--max-keys", "20", "--fail-if", "stuck"]);
    ended.exits(4).says(&["only 20 keys were looked at", "--max-keys"]);
    status(&redis, &["--all", "--max-keys", "50", "--fail-if", "stuck"]).exits(0);
    // What was found is said all the same.
    run(&mut con, &["FLUSHALL"]);
    run(&mut con, &["SET", "lock:a", TOKEN]);
    run(&mut con, &["SET", "lock:b", TOKEN]);
    status(&redis, &["--all", "--max-keys", "1", "--fail-if", "stuck"]).exits(1);
}

#[test]
fn the_database_of_the_url_is_looked_at_and_others_are_named() {
    let redis = redis_or_skip!();
    let mut con = connection(&redis);
    lock(&mut con, "r", "a.nodb", "t", &here(std::process::id()));
    run(&mut con, &["SELECT", "3"]);
    run(&mut con, &["SET", "lock:three", TOKEN]);
    let url = redis.url();
    let base = url.trim_end_matches("/0");
    let at = |url: &str, rest: &[&str]| -> Ended {
        Program::new([&["status", "--redis", url], rest].concat()).run()
    };
    let report = at(base, &["--all", "--format", "json"]).exits(0).json();
    assert_eq!(
        (&report["others"]["database"], &report["others"]["counts"]),
        (&json!(0), &json!({}))
    );
    assert!(report["notes"].to_string().contains("and not: 3 (1 key)"), "{report:#}");
    let three = format!("{base}/3");
    let report = at(&three, &["--all", "--format", "json"]).exits(0).json();
    assert_eq!(report["counts"], json!({"held": 1}), "NoDb's are in database 0");
    let unlock = row(&report, "lock:three")["next"]["command"].as_str().unwrap().to_owned();
    assert!(unlock.ends_with(&format!(" --redis {three}")), "{unlock}");
    at(&three, &["lock:three"]).exits(0).says(&[]);
    assert!(at(&three, &["lock:three"]).stdout.contains("database 3"));
}

#[test]
fn names_and_values_that_would_harm_a_terminal_are_escaped() {
    let redis = redis_or_skip!();
    let mut con = connection(&redis);
    let hostile = "lock:new\nline\u{1b}[31m";
    run(&mut con, &["SET", hostile, TOKEN]);
    run(&mut con, &["SET", "lock:value", "tok\u{1b}[2J"]);
    run(&mut con, &["SET", "job\u{1b}[2J", "ADDED:2026-11-29T02:00:00Z@ho\u{1b}[2Jst"]);
    redis::cmd("SET").arg(&b"lock:\xff\0"[..]).arg(TOKEN).exec(&mut con).unwrap();
    redis::cmd("SET")
        .arg("lock:raw")
        .arg(&[0xfeu8, 7, 9, 1, 2, 3, 4, 5, 6, 8, 10, 11, 12, 13, 14, 15][..])
        .exec(&mut con)
        .unwrap();
    for width in ["40", "80", "120"] {
        let url = redis.url();
        let ended = Program::new(["status", "--redis", &url, "--all"]).env("COLUMNS", width).run();
        let text = &ended.exits(0).stdout;
        assert!(!text.contains('\u{1b}') && !text.contains("new\nline"), "{text}");
    }
    let report = status(&redis, &["--all", "--format", "json"]).exits(0).json();
    // What is printed names the key.
    for key in ["\"lock:\\xff\\x00\"", hostile] {
        let next = row(&report, key)["next"]["command"].as_str().unwrap().to_owned();
        let done = super::unlocks::type_in(&format!("{next} --dry-run"));
        assert!(done.contains("WOULD REMOVE"), "{next}: {done}");
    }
}

#[test]
fn a_lock_of_very_many_readers_is_known_by_some_of_them() {
    let redis = redis_or_skip!();
    let mut con = connection(&redis);
    let fields: Vec<String> = (0..100).map(|thread| format!("{CLIENT}:{thread}")).collect();
    let mut command = vec!["HSET", "rw", "mode", "read"];
    fields.iter().for_each(|field| command.extend([field.as_str(), "1"]));
    run(&mut con, &command);
    let report = status(&redis, &["--all", "--format", "json"]).exits(0).json();
    let seen = row(&report, "rw");
    assert_eq!((&seen["sharing"], &seen["held_by"]), (&json!("read"), &json!(100)), "{seen:#}");
}

#[test]
fn no_long_value_is_fetched() {
    let redis = redis_or_skip!();
    let mut con = connection(&redis);
    run(&mut con, &["SETRANGE", "lock:huge", "100000000", "x"]);
    let long = "x".repeat(1_000_000);
    run(&mut con, &["HSET", "lock:hash", &format!("{CLIENT}:1"), &long, "mode", &long]);
    run(&mut con, &["RPUSH", "lock:list", &long]);
    run(&mut con, &["SADD", "lock:set", &long]);
    run(&mut con, &["ZADD", "lock:zset", "1795999990", &long]);
    let before = redis.count("stats", "total_net_output_bytes:");
    let report = status(&redis, &["--all", "--format", "json"]).exits(0).json();
    let sent = redis.count("stats", "total_net_output_bytes:") - before;
    assert!(sent < 50_000, "{sent}");
    assert_eq!(report["others"]["keys"], 5);
}

#[test]
fn a_key_that_vanishes_or_changes_as_it_is_read_is_no_failure() {
    let redis = redis_or_skip!();
    let mut con = connection(&redis);
    for (command, after) in [
        ("STRLEN", &["DEL", "lock:a"][..]),
        ("STRLEN", &["RENAME", "spare", "lock:a"]),
        ("HKEYS", &["DEL", "order"]),
        ("HSTRLEN", &["DEL", "order"]),
        ("HGET", &["DEL", "order"]),
        ("HGET", &["RENAME", "spare", "order"]),
    ] {
        run(&mut con, &["FLUSHALL"]);
        run(&mut con, &["SET", "lock:a", TOKEN, "EX", "60"]);
        run(&mut con, &["HSET", "order", &format!("{CLIENT}:1"), "1"]);
        run(&mut con, &["RPUSH", "spare", "x"]);
        let other = Mutex::new(connection(&redis));
        let server = Middleman::before(redis.port(), move |words| {
            if words.first().is_some_and(|word| word == command) {
                let mut cmd = redis::cmd(after[0]);
                cmd.arg(&after[1..]);
                let _: Result<(), _> = cmd.exec(&mut other.lock().unwrap());
            }
            Fate::Pass
        });
        let ended = Program::new(["status", "--redis", &server.url(), "--all"]).run();
        ended.exits(0);
        assert!(server.count(command) > 0, "{command}");
        assert!(ended.stdout.contains("looked at"), "{ended:#?}");
    }
}

/// What `status --all` with these arguments says if another client sends a command before the second
/// snapshot of `lock:a`, which has no TTL in the first.
fn between_snapshots(command: &'static [&'static str], rest: &[&str]) -> Option<Ended> {
    let redis = crate::redis_server::available("status", "").then(|| RedisServer::start(&[]))?;
    run(&mut connection(&redis), &["SET", "lock:a", TOKEN]);
    let other = Mutex::new((connection(&redis), 0));
    let server = Middleman::before(redis.port(), move |words| {
        let (con, reads) = &mut *other.lock().unwrap();
        *reads += usize::from(words.first().is_some_and(|word| word == "GETRANGE"));
        if *reads == 2 {
            run(con, command);
            *reads += 1;
        }
        Fate::Pass
    });
    Some(Program::new([&["status", "--redis", &server.url()], rest].concat()).run())
}

#[test]
fn a_lock_whose_ttl_comes_by_a_command_of_its_own_is_not_stuck() {
    for rest in [&["--all", "--fail-if", "stuck"][..], &["lock:a", "--fail-if", "stuck"]] {
        let Some(ended) = between_snapshots(&["EXPIRE", "lock:a", "60"], rest) else { return };
        assert!(ended.exits(0).stdout.contains("1 held"), "{ended:#?}");
    }
    let all = ["--all", "--fail-if", "stuck"];
    let Some(ended) = between_snapshots(&["SET", "lock:a", CLIENT], &all) else { return };
    let text = ended.exits(0).stdout.replace('\n', " ");
    assert!(text.contains("as it was read, so a    client works with it"), "{text}");
    let Some(ended) = between_snapshots(&["GET", "lock:a"], &all) else { return };
    ended.exits(1);
}

#[test]
fn what_an_acl_hides_is_said_with_what_grants_it() {
    let redis = redis_or_skip!();
    let mut con = connection(&redis);
    run(&mut con, &["SET", "lock:a", TOKEN, "EX", "60"]);
    run(&mut con, &["HSET", "order", &format!("{CLIENT}:1"), "1"]);
    run(&mut con, &["EXPIRE", "order", "60"]);
    run(&mut con, &["ZADD", "semaphore", "1795999990", CLIENT]);
    let url = format!("redis://op:pw@127.0.0.1:{}", redis.port());
    let at = |rest: &[&str]| Program::new([&["status", "--redis", &url], rest].concat()).run();
    let all = ["reset", "on", ">pw", "~*", "+@all"];
    for rule in [
        "-type",
        "-strlen",
        "-getrange",
        "-pttl",
        "-hkeys",
        "-hstrlen",
        "-hget",
        "-zcard",
        "-object",
        "-zrange",
    ] {
        run(&mut con, &[&["ACL", "SETUSER", "op"], &all[..], &[rule]].concat());
        let ended = at(&["--all", "--fail-if", "stuck"]);
        ended.exits(3).says(&["NOPERM", "ACL SETUSER op +scan"]);
        assert!(ended.stdout.contains("be read"), "{rule}: {ended:#?}");
    }
    run(&mut con, &[&["ACL", "SETUSER", "op"], &all[..], &["-scan"]].concat());
    at(&["--all"]).refuses(3, &["SCAN", "NOPERM", "ACL SETUSER op +scan"]);
    run(&mut con, &[&["ACL", "SETUSER", "op"], &all[..], &["-type"]].concat());
    let ended = at(&["lock:a", "--fail-if", "stuck"]);
    ended.exits(3).says(&["\"lock:a\"", "(TYPE)", "+type"]);
    // The printed command is all that is needed.
    let said = at(&["--all", "--fail-if", "any"]).stderr;
    let command = said.split("read it: ").nth(1).unwrap().trim().replace('\'', "");
    run(&mut con, &["ACL", "SETUSER", "op", "reset", "on", ">pw"]);
    run(&mut con, &command.split(' ').collect::<Vec<_>>());
    let ended = at(&["--pattern", "*", "--fail-if", "any"]);
    assert!(ended.exits(0).stdout.contains("3 locks of other libraries: 3 held."), "{ended:#?}");
}

#[test]
fn a_stuck_lock_stays_stuck_however_many_hold_it_and_whatever_changes_beside_it() {
    let redis = redis_or_skip!();
    let mut con = connection(&redis);
    let mut readers = redis::cmd("HSET");
    readers.arg("rw").arg("mode").arg("read");
    for thread in 0..100 {
        readers.arg(format!("b0a1c2d3-1111-4222-8333-444455556666:{thread}")).arg(1);
    }
    readers.exec(&mut con).unwrap();
    // The locks of huey are fields among the results of tasks.
    let mut results = redis::pipe();
    for task in 0..30_000 {
        results.cmd("HSET").arg("huey.results.app").arg(format!("r:{task}")).arg(1);
    }
    results.cmd("HSET").arg("huey.results.app").arg("app.lock.nightly").arg(1);
    results.exec(&mut con).unwrap();
    let report = status(&redis, &["--all", "--format", "json", "--fail-if", "stuck"]);
    let report = report.exits(1).json();
    for key in ["rw", "huey.results.app"] {
        assert_eq!(row(&report, key)["state"], "no_ttl", "{report:#}");
    }
    status(&redis, &["rw", "--fail-if", "stuck"]).exits(1);
}

#[test]
fn fail_if_does_not_pass_what_may_be_a_stuck_lock_or_what_is_not_there() {
    let redis = redis_or_skip!();
    let mut con = connection(&redis);
    redis::cmd("SET").arg("lock:plain").arg(1).exec(&mut con).unwrap();
    redis::cmd("RPUSH").arg("jobs").arg(1).exec(&mut con).unwrap();
    status(&redis, &["lock:plain", "--fail-if", "stuck"]).exits(4);
    status(&redis, &["--all", "--fail-if", "any"]).exits(4);
    status(&redis, &["--pattern", "none:*", "--fail-if", "any"]).exits(4);
    assert!(!status(&redis, &["jobs"]).stdout.contains("no key of that name"));
}

#[test]
fn what_is_no_string_is_not_said_to_be_gone_because_of_its_token() {
    let redis = redis_or_skip!();
    let mut con = connection(&redis);
    run(&mut con, &["RPUSH", "lock:list", TOKEN]);
    run(&mut con, &["HSET", "lock:invoice", "holder", "app2:443", "version", TOKEN]);
    run(&mut con, &["SET", "cron:nightly:lock", "web-1:4711:1764561600"]);
    let report = status(&redis, &["--all", "--format", "json"]).exits(0).json();
    for key in ["lock:list", "lock:invoice", "cron:nightly:lock"] {
        let why = why(&report, key);
        assert!(why.contains("its holder can't be read"), "{key}: {why}");
    }
    let url = redis.url();
    let unlock = |words: &[&str]| {
        Program::new([&["unlock", "--redis", &url, "--force"], words].concat()).run()
    };
    for key in ["lock:list", "lock:invoice"] {
        let left = unlock(&[key, "--token", TOKEN]);
        let said = left.exits(1).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains("LEFT: --token is compared with strings"), "{left:#?}");
        assert!(!said.contains("is gone"), "{left:#?}");
        unlock(&[key]).exits(0);
    }
    assert!(
        unlock(&["cron:nightly:lock", "--token", "web-1:4711:1764561600"])
            .exits(0)
            .stdout
            .contains("REMOVED")
    );
}

#[test]
fn what_is_used_as_a_lock_is_shown_and_removed_by_force() {
    let redis = redis_or_skip!();
    let mut con = connection(&redis);
    let keys = [
        ("oc1a2b/lockfiles/9dd4e461268c8034f5c8564e155c67a6", "exclusive"),
        ("rq:clean_registries:default", "1"),
        ("framework/schedule-0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33", "b:1;"),
        ("processing:order:17", "web-1:4711"),
    ];
    for (key, value) in keys {
        run(&mut con, &["SET", key, value, "EX", "3600"]);
    }
    let report = status(&redis, &["--all", "--format", "json"]).exits(0).json();
    let url = redis.url();
    for (key, _) in keys {
        why(&report, key);
        let removed = Program::new(["unlock", key, "--redis", &url, "--force"]).run();
        assert!(removed.exits(0).stdout.contains("REMOVED"), "{removed:#?}");
    }
}
