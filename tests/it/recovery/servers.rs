//! Servers that refuse, each in its own way.

use super::{DEAD, Hand, TOKEN, at, me, payload, recover};
use crate::middleman::{Fate, Middleman};
use crate::program::wait_until;
use crate::redis_server::{RedisServer, redis_or_skip, serve_all_slots};

#[test]
fn a_replica_names_its_primary() {
    let primary = redis_or_skip!();
    let mut hand = Hand::on(&primary);
    hand.lock("run", "x.nodb", &payload(TOKEN, DEAD));
    hand.run(&["HSET", "run", "locked:y.nodb", "true"]);
    let replica = RedisServer::start(&["--replicaof", &format!("127.0.0.1 {}", primary.port())]);
    let mut there = Hand::on(&replica);
    wait_until("it has the keys", || there.holds("run", "x.nodb").is_some());
    let name = format!("redis://127.0.0.1:{}", primary.port());
    let host = format!("it is a replica of 127.0.0.1:{}; name its primary", primary.port());
    for arguments in [
        &["unlock", "run", "x.nodb"][..],
        &["unlock", "run", "unknown.nodb"],
        &["clear_locks", "run"],
        &["clear_locks", "unknown"],
        &["repair", "run"],
    ] {
        recover(&replica, arguments).run().refuses(3, &[&host, &name]);
        recover(&replica, arguments).arg("--dry-run").run().refuses(3, &[&host]);
    }
    // One who may not ask hears it from the first change.
    there.run(&["ACL", "SETUSER", "default", "-info"]);
    let ended = recover(&replica, &["unlock", "run", "x.nodb"]).run();
    ended.exits(3).says(&["READONLY", "it is a replica; name its primary", &name]);
    assert!(hand.holds("run", "x.nodb").is_some());
}

#[test]
fn a_cluster_is_called_so() {
    let cluster = redis_or_skip!("--cluster-enabled", "yes");
    let mut hand = Hand::on(&cluster);
    serve_all_slots(&cluster);
    hand.lock("run", "x.nodb", &payload(TOKEN, DEAD));
    let ended = recover(&cluster, &["unlock", "run", "x.nodb"]).run();
    ended.exits(3).says(&["CROSSSLOT", "it is a Redis Cluster", "name that"]);
    assert!(hand.holds("run", "x.nodb").is_some());
    // With a hash tag in the run id, both are on one node.
    hand.lock("{run}", "x.nodb", &payload(TOKEN, DEAD));
    recover(&cluster, &["unlock", "{run}", "x.nodb"]).run().exits(0);
    assert_eq!(hand.holds("{run}", "x.nodb"), None);
}

#[test]
fn a_user_without_the_right_is_told_so_and_passwords_are_not_shown() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    hand.lock("run", "x.nodb", &payload(TOKEN, DEAD));
    hand.run(&["HSET", "run", "locked:x.nodb", "true"]);
    let url = |user: &str| format!("redis://{user}:s3cret@127.0.0.1:{}/0", redis.port());
    hand.run(&["ACL", "SETUSER", "looks", "on", ">s3cret", "~*", "+@all", "-eval", "-evalsha"]);
    let ended = at(&url("looks"), &["unlock", "run", "x.nodb"]).run();
    ended.exits(3).says(&["NOPERM", "evalsha", "ask for the right"]).never_shows("s3cret");
    assert!(hand.holds("run", "x.nodb").is_some());
    let ended = at(&url("looks"), &["clear_locks", "run"]).run();
    assert_eq!(ended.exits(3).stdout.matches("NOPERM").count(), 1, "{ended:#?}");
    // One who may not set flags has them wrong afterwards, and hears of it.
    hand.run(&["ACL", "SETUSER", "deletes", "on", ">s3cret", "~*", "+@all", "-hset"]);
    let ended = at(&url("deletes"), &["unlock", "run", "x.nodb"]).run();
    assert!(ended.exits(3).stdout.contains("its flag could not be set"), "{ended:#?}");
    ended.never_shows("s3cret");
    assert_eq!(hand.holds("run", "x.nodb"), None);
}

#[test]
fn a_flag_that_could_not_follow_a_lock_that_ended_is_told() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    hand.run(&["ACL", "SETUSER", "looks", "on", "nopass", "~*", "+@all", "-hset"]);
    hand.lock("run", "x.nodb", &payload(TOKEN, DEAD));
    hand.run(&["HSET", "run", "locked:x.nodb", "true"]);
    let client = redis.client();
    let server = Middleman::before(redis.port(), move |command| {
        if command[0] == "EVALSHA" {
            let mut con = client.get_connection().unwrap();
            redis::cmd("DEL").arg("nodb-lock:run:x.nodb").exec(&mut con).unwrap();
        }
        Fate::Pass
    });
    let url = server.url().replace("redis://", "redis://looks:x@");
    let ended = at(&url, &["unlock", "run", "x.nodb"]).run();
    ended.exits(3).says(&["the flag of", "could not be set"]);
}

#[test]
fn what_cannot_be_seen_is_not_touched() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    hand.lock("run", "x.nodb", &payload(TOKEN, DEAD));
    hand.lock("other", "x.nodb", &payload(TOKEN, DEAD));
    for run in ["run", "other"] {
        hand.run(&["HSET", run, "locked:x.nodb", "false"]);
    }
    let keys = ["~run", "~other", "~nodb-lock:run:*"];
    hand.run(&[&["ACL", "SETUSER", "half", "on", "nopass", "+@all"], &keys[..]].concat());
    let url = format!("redis://half:x@127.0.0.1:{}/0", redis.port());
    let before = redis.everything();
    let unlock = at(&url, &["unlock", "other", "x.nodb", "--force"]).run();
    unlock.refuses(3, &["NOPERM", "nothing was changed"]);
    for arguments in [&["clear_locks", "other", "--force"][..], &["repair", "other"]] {
        let ended = at(&url, arguments).run();
        assert!(ended.exits(3).stdout.contains("not all of it can be seen: NOPERM"), "{ended:#?}");
    }
    assert_eq!(redis.everything(), before);
    // What can be seen is mended all the same.
    let repair = at(&url, &["repair", "--all", "--format=json"]).run();
    assert_eq!(repair.exits(3).json()["counts"]["flags_set"], 1);
    assert_eq!(hand.flag("run", "x.nodb").as_deref(), Some("true"));
    assert_eq!(hand.flag("other", "x.nodb").as_deref(), Some("false"));
}

#[test]
fn a_server_without_memory_lets_locks_go() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    hand.lock("run", "x.nodb", &payload(TOKEN, DEAD));
    hand.lock("run", "live.nodb", &payload("live", me()));
    hand.run(&["HSET", "run", "locked:x.nodb", "true", "locked:live.nodb", "false"]);
    hand.run(&["CONFIG", "SET", "maxmemory", "1"]);
    recover(&redis, &["unlock", "run", "x.nodb"]).run().exits(0);
    assert_eq!(hand.flag("run", "x.nodb").as_deref(), Some("false"));
    let ended = recover(&redis, &["repair", "run"]).run();
    ended.exits(3).says(&["OOM", "raise maxmemory"]);
}

#[test]
fn flags_that_may_not_be_read_are_not_called_right() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    hand.run(&["HSET", "run", "locked:gone.nodb", "true"]);
    hand.run(&["ACL", "SETUSER", "blind", "on", "nopass", "~*", "+@all", "-hscan"]);
    let url = format!("redis://blind:x@127.0.0.1:{}", redis.port());
    for command in ["repair", "clear_locks"] {
        let ended = at(&url, &[command, "run"]).run();
        ended.exits(3).says(&["the flags under the key run can't be read: NOPERM"]);
        assert!(!ended.stdout.contains("are right"), "{ended:#?}");
        assert_eq!(ended.stderr.matches("NOPERM").count(), 1, "{ended:#?}");
    }
}

#[test]
fn a_run_whose_hash_is_none_is_told_and_the_lock_stays() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    hand.lock("run", "x.nodb", &payload(TOKEN, DEAD));
    hand.run(&["SET", "run", "no hash"]);
    let ended = recover(&redis, &["unlock", "run", "x.nodb"]).run();
    assert!(ended.exits(3).stdout.contains("WRONGTYPE"), "{ended:#?}");
    assert!(!ended.stdout.contains(" script:"), "{ended:#?}");
    assert!(hand.holds("run", "x.nodb").is_some());
}

#[test]
fn names_that_cannot_be_meant_are_refused() {
    let redis = redis_or_skip!();
    for (arguments, words) in [
        (["unlock", "run", "nodb-lock:other:x.nodb"], "is not a lock of run \"run\""),
        (["unlock", "run", "/runs/other/x.nodb"], "is not in a directory of run \"run\""),
        (["unlock", "run", ""], "names no file"),
        (["unlock", "", "x.nodb"], "the run id is empty"),
        (["unlock", "/", "x.nodb"], "no last component"),
    ] {
        recover(&redis, &arguments).run().refuses(2, &[words]);
    }
    let nobody = at("redis://:s3cret@127.0.0.1:1", &["repair", "run"]).run();
    nobody.refuses(3, &["cannot reach Redis"]).never_shows("s3cret");
}

#[test]
fn a_value_that_may_not_be_read_is_not_taken_for_an_empty_one() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    hand.lock("run", "x.nodb", &payload(TOKEN, DEAD));
    for command in ["-getrange", "-strlen"] {
        hand.run(&["ACL", "SETUSER", "half", "reset", "on", "nopass", "~*", "+@all", command]);
        let url = format!("redis://half:x@127.0.0.1:{}/0", redis.port());
        let ended = at(&url, &["unlock", "run", "x.nodb", "--force"]).run();
        ended.refuses(3, &["NOPERM", "nothing was changed"]);
    }
    assert!(hand.holds("run", "x.nodb").is_some());
}
