//! Servers that hide something, copy another, or are not there.

use super::{connection, here, lock, payload, row, run, status};
use crate::program::{Program, wait_until};
use crate::redis_server::{redis_or_skip, serve_all_slots};
use serde_json::json;

fn at(url: &str, rest: &[&str]) -> Program {
    Program::new([&["status", "--redis", url], rest].concat())
}

#[test]
fn a_server_that_is_not_there_is_said_without_the_embedded_one() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for rest in [&[][..], &["r"], &["--watch"]] {
        let ended = at(&format!("redis://u:s3cret@{nobody}"), rest).run();
        ended.refuses(3, &["cannot reach Redis", "connection refused", "is it running"]);
        assert!(!ended.stderr.contains("embedded"), "{ended:#?}");
        ended.never_shows("s3cret");
    }
    Program::new(["status"])
        .env("REDIS_URL", &format!("redis://{nobody}"))
        .run()
        .refuses(3, &["cannot reach Redis"]);
    at("http://h", &[]).run().refuses(2, &["redis://"]);
}

#[test]
fn a_password_is_asked_for_and_never_shown() {
    let redis = redis_or_skip!();
    run(&mut connection(&redis), &["CONFIG", "SET", "requirepass", "s3cret"]);
    let url = |who: &str| format!("redis://{who}127.0.0.1:{}", redis.port());
    at(&url(""), &[]).run().refuses(3, &["REDIS_PASSWORD"]);
    at(&url(":wrong@"), &[]).run().refuses(3, &["wrong user or password", "REDIS_PASSWORD"]);
    let mut con = redis::Client::open(url(":s3cret@")).unwrap().get_connection().unwrap();
    lock(&mut con, "r", "a.nodb", "3fa85f64aa", &here(super::NOBODY));
    let ended = at(&url("default:s3cret@"), &["r"]).run();
    ended.exits(0).never_shows("s3cret");
    let command = format!("--token 3fa85f64aa --redis {}\n", url("default@"));
    assert!(ended.stdout.contains(&command), "{}", ended.stdout);
    assert!(ended.stdout.contains("REDIS_PASSWORD"), "{}", ended.stdout);
    // The command that is printed reaches the server again.
    let again = at(&url("default@"), &["r"]).env("REDIS_PASSWORD", "s3cret").run();
    again.exits(0);
    assert!(!again.stdout.contains("put it into"), "{}", again.stdout);
}

#[test]
fn what_an_acl_hides_is_said_and_the_rest_is_shown() {
    let redis = redis_or_skip!();
    let mut con = connection(&redis);
    lock(&mut con, "seen", "a.nodb", "t", &here(super::NOBODY));
    lock(&mut con, "hidden", "a.nodb", "t", &here(super::NOBODY));
    run(
        &mut con,
        &[
            "ACL",
            "SETUSER",
            "op",
            "on",
            ">pw",
            "~nodb-lock:seen:*",
            "~seen",
            "+@all",
            "-@dangerous",
            "-@admin",
        ],
    );
    let url = format!("redis://op:pw@127.0.0.1:{}", redis.port());
    let report = at(&url, &["--format", "json"]).run();
    let report = report.exits(0).json();
    assert_eq!(report["counts"], json!({"orphaned": 1, "hidden": 1}), "{report:#}");
    let hidden = report["locks"].as_array().unwrap().iter().find(|row| row["runid"] == "hidden");
    let words = hidden.unwrap()["diagnosis"].as_str().unwrap();
    assert!(words.contains("NOPERM"), "{report:#}");
    let notes = report["notes"].to_string();
    assert!(notes.contains("INFO") && notes.contains("the key hidden"), "{notes}");
    at(&url, &["hidden"]).run().exits(0);
    at(&url, &["seen", "--fail-if", "stuck"]).run().exits(1);
    at(&url, &["--fail-if", "stuck"]).run().exits(1);
    // Without SCAN there is nothing to begin with.
    run(&mut con, &["ACL", "SETUSER", "op", "-scan"]);
    at(&url, &[]).run().refuses(3, &["SCAN", "NOPERM", "ACL SETUSER op +scan", "'~*'"]);
}

#[test]
fn a_key_that_may_not_be_read_gives_no_all_clear() {
    let redis = redis_or_skip!();
    let mut con = connection(&redis);
    lock(&mut con, "r", "a.nodb", "t", &here(std::process::id()));
    let all = ["reset", "on", ">pw", "~*", "+@all"];
    let url = format!("redis://op:pw@127.0.0.1:{}", redis.port());
    for (rules, refused) in [
        (&["-type"][..], "(TYPE)"),
        (&["-strlen"], "(STRLEN)"),
        (&["-getrange"], "(GETRANGE)"),
        (&["-pttl"], "(PTTL)"),
        (&["-hmget"], "(HMGET)"),
        (&["-hscan"], "(HSCAN)"),
        (&["-scan"], "SCAN: "),
        (&["resetkeys", "~r"], "(TYPE)"),
        (&["resetkeys", "~nodb-lock:*"], "(HMGET)"),
    ] {
        run(&mut con, &[&["ACL", "SETUSER", "op"], &all[..], rules].concat());
        for kind in ["stuck", "drift", "any"] {
            let ended = at(&url, &["r", "--fail-if", kind]).run();
            ended.exits(3).says(&[
                refused,
                "NOPERM",
                "ACL SETUSER op +scan",
                "'~nodb-lock:r:*' '~r'",
            ]);
            assert!(!ended.stdout.contains("Nothing is to be mended"), "{rules:?}: {ended:#?}");
        }
        if rules != ["-scan"] {
            let table = at(&url, &["r"]).run();
            let text = table.exits(0).stdout.replace('\n', " ");
            let words = match rules {
                // The lock and the flags.
                ["resetkeys", "~nodb-lock:*"] => "2 keys could not be read. ",
                _ => "1 key could not be read. ",
            };
            assert!(text.contains(words), "{rules:?}: {table:#?}");
            assert!(!text.contains("Nothing is to be mended"), "{rules:?}: {table:#?}");
            let report = at(&url, &["r", "--format", "json"]).run();
            assert!(report.exits(0).json()["unread"].as_u64() > Some(0), "{report:#?}");
        }
    }
    // The printed command is all that is needed.
    let said = at(&url, &["r", "--fail-if", "any"]).run().stderr;
    let command = said.split("read it: ").nth(1).unwrap().trim().replace('\'', "");
    run(&mut con, &["ACL", "SETUSER", "op", "reset", "on", ">pw"]);
    run(&mut con, &command.split(' ').collect::<Vec<_>>());
    let ended = at(&url, &["r", "--fail-if", "any"]).run();
    assert!(
        ended.exits(0).stdout.contains("1 lock: 1 held. Nothing is to be mended."),
        "{ended:#?}"
    );
    // Flags without a lock may hide behind a hash that can't be read.
    run(&mut con, &["FLUSHALL"]);
    run(&mut con, &["HSET", "r", "locked:gone.nodb", "true"]);
    run(&mut con, &["ACL", "SETUSER", "op", "-hscan"]);
    let ended = at(&url, &["r"]).run();
    let text = ended.exits(0).stdout.replace('\n', " ");
    assert!(
        text.contains(": 1 key could not be read, and no locks or flags were seen."),
        "{ended:#?}"
    );
    assert!(!text.contains("is this the right server"), "{ended:#?}");
    at(&url, &["r", "--fail-if", "drift"]).run().exits(3).says(&["\"r\"", "(HSCAN)"]);
}

#[test]
fn a_replica_is_looked_at_and_named() {
    let mut primary = redis_or_skip!();
    let mut con = connection(&primary);
    lock(&mut con, "r", "a.nodb", "t", &here(super::NOBODY));
    let port = primary.port().to_string();
    let replica = redis_or_skip!("--replicaof", &format!("127.0.0.1 {port}"));
    let mut con = connection(&replica);
    wait_until("the replica has the lock", || {
        redis::cmd("EXISTS").arg("nodb-lock:r:a.nodb").query(&mut con).unwrap_or(false)
    });
    let report = status(&replica, &["r", "--format", "json"]).exits(0).json();
    assert_eq!(report["counts"], json!({"orphaned": 1}));
    let note = report["notes"][0].as_str().unwrap();
    assert!(note.contains("is a replica") && note.contains(&port), "{note}");
    assert!(!report["notes"].to_string().contains("has lost its primary"), "{report:#}");
    primary.kill();
    wait_until("the link is down", || {
        let info: String = redis::cmd("INFO").arg("replication").query(&mut con).unwrap();
        info.contains("master_link_status:down")
    });
    let ended = status(&replica, &["r", "--format", "json"]);
    let report = ended.exits(3).says(&["has lost its primary", "--stale-ok"]).json();
    status(&replica, &["r", "--stale-ok"]).exits(0);
    assert!(report["notes"][1].as_str().unwrap().contains("has lost its primary"), "{report:#}");
}

#[test]
fn a_node_of_a_cluster_shows_its_own_keys() {
    let redis = redis_or_skip!("--cluster-enabled", "yes");
    let mut con = connection(&redis);
    // One of its slots is another's by and by.
    serve_all_slots(&redis);
    lock(&mut con, "r", "a.nodb", "t", &here(super::NOBODY));
    run(&mut con, &["HSET", "r", "locked:b.nodb", "true"]);
    run(&mut con, &["SET", "nodb-lock:r:c.nodb", &payload("t", "other:1"), "EX", "99"]);
    let report = status(&redis, &["--format", "json"]).exits(0).json();
    let counts = json!({"orphaned": 1, "expired_flag": 1, "no_flag": 1});
    assert_eq!(report["counts"], counts, "{report:#}");
    assert_eq!(row(&report, "a.nodb")["flag"], "true");
    assert!(report["notes"].to_string().contains("cluster"), "{report:#}");
}

#[test]
fn a_run_without_anything_is_no_failure() {
    let redis = redis_or_skip!();
    let ended = status(&redis, &["nobody", "--fail-if", "any"]);
    ended.exits(0);
    let text = ended.stdout.replace('\n', " ");
    let words = ["no locks and no flags of run nobody on redis://127.0.0.1", "is this the right"];
    assert!(words.iter().all(|words| text.contains(words)), "{text}");
}
