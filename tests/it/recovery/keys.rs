//! `unlock KEY`: locks of any library and type, what goes with them, and what puts them back.

use super::{DEAD, Hand, at, payload, printed, recover, type_in};
use crate::middleman::{Fate, Middleman};
use crate::program::{Ended, PATIENCE};
use crate::redis_server::{RedisServer, redis_or_skip};
use redis::Cmd;
use serde_json::Value;
use std::sync::Mutex;

const CLIENT: &str = "b0a1c2d3-1111-4222-8333-444455556666";
const OTHER_CLIENT: &str = "c0a1c2d3-1111-4222-8333-444455556666";
const TOKEN: &str = "0a1b2c3d4e5f60718293a4b5c6d7e8f9";
const JOB: &str = "0123456789abcdef01234567";
const DIGEST: &str = "uniquejobs:00112233445566778899aabbccddeeff";

/// The only row of a report.
#[track_caller]
fn row(ended: &Ended) -> Value {
    let rows = ended.json()["keys"].as_array().unwrap().clone();
    assert_eq!(rows.len(), 1, "{ended:#?}");
    rows[0].clone()
}

fn bytes(hand: &mut Hand, words: &[&[u8]]) {
    let mut command = Cmd::new();
    for word in words {
        command.arg(*word);
    }
    command.exec(&mut hand.0).unwrap();
}

/// A key as `--format json` names it, to be typed.
fn name(key: &[u8]) -> String {
    lock_lab::server::quoted_input(key)
}

fn seed_sidekiq(hand: &mut Hand) {
    hand.run(&["SET", DIGEST, JOB]);
    hand.run(&["HSET", &format!("{DIGEST}:LOCKED"), JOB, "1795999990.5"]);
    hand.run(&["RPUSH", &format!("{DIGEST}:PRIMED"), JOB]);
    hand.run(&["SET", &format!("{DIGEST}:INFO"), "{}", "EX", "3600"]);
    hand.run(&["ZADD", "uniquejobs:digests", "1795999990.5", DIGEST, "1", "another"]);
}

#[test]
fn a_value_of_each_type_is_put_back_as_it_was() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    let all: Vec<u8> = (0..=255).collect();
    let long = [b"lock:".to_vec(), all.clone()].concat();
    for (key, value) in [
        (&b"lock:text"[..], vec![&b"SET"[..], b"it's 100% \\ $(x)"]),
        (b"lock:empty", vec![b"SET", b""]),
        (b"lock:number", vec![b"SET", b"1"]),
        (b"lock:bytes", vec![b"SET", &all]),
        (b"lock:hash", vec![b"HSET", b"a", b"1", b"\xff\0", b"\0\n%"]),
        (b"lock:zset", vec![b"ZADD", b"1.5", b"a", b"-3", b"\xff\0"]),
        (b"lock:list", vec![b"RPUSH", b"a", b"\xff\0", b"a"]),
        // The order of several members is the server's.
        (b"lock:set", vec![b"SADD", b"\xff\0"]),
        (b"lock:numbers", vec![b"SADD", b"1", b"2", b"3"]),
        (b"lock:it's \"\x1b[2J\n\\\xc3\xbc", vec![b"SET", b"x"]),
        (&long, vec![b"SET", b"x"]),
        (&long, vec![b"SET", &all]),
        (&long, vec![b"SADD", &all]),
    ] {
        for has_ttl in [true, false] {
            hand.run(&["FLUSHALL"]);
            bytes(&mut hand, &[&[value[0], key], &value[1..]].concat());
            if has_ttl {
                bytes(&mut hand, &[b"PEXPIRE", key, b"3600000"]);
            }
            let before = redis.everything();
            let words = ["unlock", &name(key), "--force", "--format=json"];
            let dry = row(recover(&redis, &[&words[..], &["--dry-run"]].concat()).run().exits(0));
            assert_eq!(dry["outcome"], "would_remove", "{dry:#}");
            assert_eq!(redis.everything(), before);
            let done = recover(&redis, &words).run();
            let removed = row(done.exits(0));
            assert_eq!(removed["outcome"], "removed", "{removed:#}");
            assert!(!done.stdout.contains('\u{fffd}'), "{removed:#}");
            redis.is_empty();
            let command = removed["put_back"].as_str().unwrap();
            assert_eq!(type_in(command), "OK\n", "{command}");
            assert_eq!(redis.everything(), before, "{command}");
            let mut left = redis::cmd("PTTL");
            let left: i64 = left.arg(key).query(&mut hand.0).unwrap();
            assert!(!has_ttl || (3_500_000..=3_600_000).contains(&left), "{left}");
            // Only if it was not taken since.
            assert_ne!(type_in(command), "OK\n", "{command}");
            assert_eq!(redis.everything(), before);
        }
    }
    let hex = row(&recover(&redis, &["unlock", &name(&long), "--force", "--format=json"]).run());
    assert!(hex["dump_hex"].as_str().is_some_and(|hex| hex.len() > 512), "{hex:#}");
}

#[test]
fn the_bytes_of_a_nodb_lock_can_be_put_back_with_its_flag() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    let value = b"\xff\xfe\x80binary-token\xc3\x28\0";
    bytes(&mut hand, &[b"SET", b"nodb-lock:run1:w.nodb", value, b"PX", b"3600000"]);
    hand.run(&["HSET", "run1", "locked:w.nodb", "true", "attrs:x", "1"]);
    let before = redis.everything();
    let words = ["unlock", "run1", "w.nodb", "--force"];
    let dry = recover(&redis, &[&words[..], &["--dry-run"]].concat()).run();
    let command = printed(&dry, "put it back: ");
    assert!(command.contains("--quoted-input SET"), "{command}");
    let done = recover(&redis, &[&words[..], &["--format=json"]].concat()).run();
    let removed = done.exits(0).json()["locks"][0].clone();
    assert!(!done.stdout.contains('\u{fffd}'), "{removed:#}");
    assert_eq!(removed["payload_hex"], "fffe8062696e6172792d746f6b656ec32800", "{removed:#}");
    assert_eq!(hand.flag("run1", "w.nodb").as_deref(), Some("false"));
    assert_eq!(type_in(removed["put_back"].as_str().unwrap()), "OK\n0\n");
    assert_eq!(redis.everything(), before);
}

#[test]
fn what_the_library_s_own_release_removes_goes_and_comes_back() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    let reader = format!("{CLIENT}:46");
    let permits = "SEMAPHORE:index";
    type Seed<'a> = Box<dyn Fn(&mut Hand) + 'a>;
    let readers: Seed<'_> = Box::new(|hand| {
        hand.run(&["HSET", "rw", "mode", "read", &reader, "2"]);
        hand.run(&["PEXPIRE", "rw", "3600000"]);
        for number in ["1", "2"] {
            let lease = format!("{{rw}}:{reader}:rwlock_timeout:{number}");
            hand.run(&["SET", &lease, "1", "EX", "3600"]);
        }
    });
    let semaphore: Seed<'_> = Box::new(|hand| {
        hand.run(&["HSET", &format!("{permits}:GRABBED"), "0", "1795999990.25"]);
        hand.run(&["RPUSH", &format!("{permits}:AVAILABLE"), "1"]);
        hand.run(&["MSET", &format!("{permits}:EXISTS"), "1", &format!("{permits}:VERSION"), "1"]);
    });
    let lost: Seed<'_> = Box::new(|hand| {
        hand.run(&["MSET", &format!("{permits}:EXISTS"), "1", &format!("{permits}:VERSION"), "1"]);
    });
    let sidekiq: Seed<'_> = Box::new(seed_sidekiq);
    let (locked, queued) = (format!("{DIGEST}:LOCKED"), format!("{DIGEST}:QUEUED"));
    let (available, grabbed) = (format!("{permits}:AVAILABLE"), format!("{permits}:GRABBED"));
    let exists = format!("{permits}:EXISTS");
    for (key, seed, left) in [
        ("rw", &readers, vec![]),
        (&grabbed, &semaphore, vec!["SEMAPHORE:index:EXISTS", "SEMAPHORE:index:VERSION"]),
        (&exists, &lost, vec![]),
        (&locked, &sidekiq, vec!["uniquejobs:digests"]),
    ] {
        hand.run(&["FLUSHALL"]);
        seed(&mut hand);
        let before = redis.everything();
        let done = recover(&redis, &["unlock", key, "--force"]).run();
        assert!(done.exits(0).stdout.contains("REMOVED: by force"), "{done:#?}");
        let mut keys: Vec<String> = hand.ask(&["KEYS", "*"]);
        keys.retain(|key| *key != queued && *key != available);
        keys.sort();
        assert_eq!(keys, left, "{key}");
        if key == grabbed {
            assert_eq!(hand.ask::<Vec<String>>(&["LRANGE", &available, "0", "-1"]), ["0", "1"]);
        }
        if key == locked {
            assert_eq!(hand.ask::<Vec<String>>(&["LRANGE", &queued, "0", "-1"]), ["1"]);
            assert!(hand.ask::<i64>(&["PTTL", &queued]) > 0);
            hand.run(&["DEL", &queued]);
        }
        type_in(&printed(&done, "put it back: "));
        assert_eq!(redis.everything(), before, "{key}");
    }
}

#[test]
fn a_semaphore_that_has_permits_again_is_not_taken_for_lost() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    hand.run(&["MSET", "SEMAPHORE:a:EXISTS", "1", "SEMAPHORE:a:VERSION", "1"]);
    let other = Mutex::new(Hand::on(&redis));
    let server = Middleman::before(redis.port(), move |words| {
        if words[0] == "EVAL" {
            other.lock().unwrap().run(&["RPUSH", "SEMAPHORE:a:AVAILABLE", "0"]);
        }
        Fate::Pass
    });
    let ended = at(&server.url(), &["unlock", "SEMAPHORE:a:EXISTS", "--force"]).run();
    assert!(ended.exits(1).stdout.contains("LEFT"), "{ended:#?}");
    assert_eq!(hand.ask::<i64>(&["EXISTS", "SEMAPHORE:a:EXISTS", "SEMAPHORE:a:VERSION"]), 2);
}

#[test]
fn those_that_wait_are_woken_as_by_the_library() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    hand.run(&["SET", "lock:a", "q83vEjRWeJCrze8SNFZ4kKvN"]);
    recover(&redis, &["unlock", "lock:a", "--force"]).run().exits(0);
    assert_eq!(hand.ask::<Vec<String>>(&["LRANGE", "lock-signal:a", "0", "-1"]), ["1"]);
    assert!(hand.ask::<i64>(&["PTTL", "lock-signal:a"]) <= 1000);

    let waiter = format!("{OTHER_CLIENT}:7");
    for (key, fields, channel) in [
        ("stock", vec![CLIENT], "redisson_lock__channel:{stock}".to_owned()),
        ("order:{4711}", vec![CLIENT], "redisson_lock__channel:order:{4711}".into()),
        ("fair", vec![CLIENT], format!("redisson_lock__channel:{{fair}}:{waiter}")),
        ("rw", vec![CLIENT, "mode"], "redisson_rwlock:{rw}".into()),
    ] {
        for field in &fields {
            match *field {
                "mode" => hand.run(&["HSET", key, "mode", "write"]),
                client if fields.len() > 1 => {
                    hand.run(&["HSET", key, &format!("{client}:1:write"), "1"])
                }
                client => hand.run(&["HSET", key, &format!("{client}:1"), "1"]),
            }
        }
        if key == "fair" {
            hand.run(&["RPUSH", "redisson_lock_queue:{fair}", &waiter]);
        }
        let mut listener = redis.client().get_connection().unwrap();
        listener.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut listener = listener.as_pubsub();
        listener.subscribe(&channel).unwrap();
        recover(&redis, &["unlock", key, "--force"]).run().exits(0);
        let message = listener.get_message().unwrap();
        assert_eq!(message.get_payload::<String>().unwrap(), "0", "{channel}");
        assert_eq!(hand.ask::<i64>(&["EXISTS", key]), 0);
    }
    assert_eq!(hand.ask::<i64>(&["LLEN", "redisson_lock_queue:{fair}"]), 1, "it waits still");
}

#[test]
fn a_token_names_one_of_many_holders() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    let (one, other) = (format!("{CLIENT}:1"), format!("{OTHER_CLIENT}:1"));
    hand.run(&["HSET", "rw", "mode", "read", &one, "1", &other, "1"]);
    hand.run(&["EXPIRE", "rw", "3600"]);
    hand.run(&["ZADD", "semaphore:a", "1795999990.25", CLIENT, "1795999991", OTHER_CLIENT]);
    hand.run(&["HSET", "huey.results.app", "app.lock.daily", "1", "app.lock.hourly", "1"]);
    hand.run(&["HSET", "huey.results.app", "8c2f", "result"]);
    // What is put back may stand in another place.
    let held = |hand: &mut Hand| {
        let fields = ["rw", "huey.results.app"]
            .map(|key| hand.ask::<std::collections::BTreeMap<String, String>>(&["HGETALL", key]));
        (fields, hand.ask::<Vec<String>>(&["ZRANGE", "semaphore:a", "0", "-1", "WITHSCORES"]))
    };
    let before = held(&mut hand);
    let unlock = |key: &str, token: &str| {
        recover(&redis, &["unlock", key, "--token", token, "--force"]).run()
    };
    for (key, token) in [
        ("rw", one.as_str()),
        ("semaphore:a", &CLIENT[..8]),
        ("huey.results.app", "app.lock.daily"),
    ] {
        let done = unlock(key, token);
        assert!(done.exits(0).stdout.contains("REMOVED"), "{done:#?}");
        assert_eq!(hand.ask::<i64>(&["EXISTS", key]), 1);
        let again = unlock(key, token);
        assert!(again.exits(1).stdout.contains("the lock that you saw is gone"), "{again:#?}");
        type_in(&printed(&done, "put it back: "));
        assert_eq!(held(&mut hand), before, "{key}");
    }
    unlock("rw", &one).exits(0);
    let last = unlock("rw", &other);
    assert_eq!(hand.ask::<i64>(&["EXISTS", "rw"]), 0, "the mode goes with the last reader");
    type_in(&printed(&last, "put it back: "));
    let fields: Vec<String> = hand.ask(&["HKEYS", "rw"]);
    assert_eq!((fields.len(), hand.ask::<i64>(&["PTTL", "rw"]) > 0), (2, true), "{fields:?}");
    // Without a token, all that are locks, and nothing else of the hash.
    recover(&redis, &["unlock", "huey.results.app", "--force"]).run().exits(0);
    assert_eq!(hand.ask::<Vec<String>>(&["HKEYS", "huey.results.app"]), ["8c2f"]);
}

/// What `unlock KEY --force` says if another client sends this command just before the removal.
fn meanwhile(redis: &RedisServer, key: &str, command: &[&str]) -> Ended {
    let other = Mutex::new(Hand::on(redis));
    let command: Vec<String> = command.iter().map(|word| word.to_string()).collect();
    let server = Middleman::before(redis.port(), move |words| {
        if words[0] == "EVAL" {
            let words: Vec<&str> = command.iter().map(String::as_str).collect();
            other.lock().unwrap().run(&words);
        }
        Fate::Pass
    });
    at(&server.url(), &["unlock", key, "--force"]).run()
}

#[test]
fn a_lock_that_changes_before_the_removal_stays() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    let holder = format!("{CLIENT}:1");
    let set_up = |hand: &mut Hand| {
        hand.run(&["FLUSHALL"]);
        hand.run(&["SET", "lock:a", TOKEN, "EX", "60"]);
        hand.run(&["SET", "lock:one", "1", "EX", "60"]);
        hand.run(&["HSET", "order", &holder, "1"]);
        hand.run(&["ZADD", "semaphore:a", "1795999990", CLIENT]);
        hand.run(&["RPUSH", "lock:list", "a"]);
        hand.run(&["HSET", "huey.results.app", "app.lock.a", "1", "app.lock.b", "1"]);
    };
    for (key, command) in [
        ("lock:a", &["SET", "lock:a", CLIENT, "EX", "60"][..]),
        ("lock:a", &["PEXPIRE", "lock:a", "90000"]),
        ("lock:a", &["PERSIST", "lock:a"]),
        ("lock:a", &["RENAME", "order", "lock:a"]),
        // A newer lock of the same value.
        ("lock:one", &["SET", "lock:one", "1", "EX", "90"]),
        ("order", &["HINCRBY", "order", &holder, "1"]),
        ("order", &["SET", "order", "x"]),
        ("semaphore:a", &["ZADD", "semaphore:a", "1795999991", OTHER_CLIENT]),
        ("lock:list", &["RPUSH", "lock:list", "b"]),
        ("huey.results.app", &["HDEL", "huey.results.app", "app.lock.b"]),
    ] {
        set_up(&mut hand);
        let ended = meanwhile(&redis, key, command);
        let said = ended.exits(1).stdout.replace('\n', " ");
        assert!(
            said.contains("LEFT: it was acquired again, renewed or changed meanwhile"),
            "{said}"
        );
        assert_eq!(hand.ask::<i64>(&["EXISTS", key]), 1, "{command:?}");
    }
    set_up(&mut hand);
    let ended = meanwhile(&redis, "lock:a", &["DEL", "lock:a"]);
    assert!(ended.exits(0).stdout.contains("GONE"), "{ended:#?}");
    // What is done with other keys, or other fields of a hash that has more than locks, is no matter.
    let ended = meanwhile(&redis, "huey.results.app", &["HSET", "huey.results.app", "8c2f", "x"]);
    assert!(ended.exits(0).stdout.contains("REMOVED"), "{ended:#?}");
}

#[test]
fn only_what_is_or_looks_like_a_lock_goes_and_only_by_force() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    hand.run(&["SET", "lock:one", "1"]);
    hand.run(&["SET", "user:7", "x"]);
    hand.run(&["HSET", "lock:run", "locked:a.nodb", "true", "attrs:name", "x"]);
    hand.run(&["HSET", "order", &format!("{CLIENT}:1"), "1"]);
    hand.run(&["SET", "redisson_lock_token:{order}", "17"]);
    hand.run(&["SETRANGE", "lock:long", "20000000", "x"]);
    let mut members: Vec<String> = (0..2000).map(|number| number.to_string()).collect();
    members.splice(0..0, ["SADD".into(), "lock:many".into()]);
    hand.run(&members.iter().map(String::as_str).collect::<Vec<_>>());
    let before = redis.everything();
    for (key, words) in [
        ("user:7", "it is a string (length 1), and no lock that is known"),
        ("lock:run", "it holds the flags of a run, and is no lock"),
        ("redisson_lock_token:{order}", "it belongs to the lock order: unlock that"),
        ("lock:long", "it is too long for a lock"),
        ("lock:many", "it is too long for a lock"),
    ] {
        let ended = recover(&redis, &["unlock", key, "--force"]).run();
        let said = ended.exits(1).stdout.replace('\n', " ");
        assert!(said.contains("LEFT: ") && said.contains(words), "{said}");
        assert_eq!(redis.everything(), before);
    }
    let ended = recover(&redis, &["unlock", "lock:one"]).run();
    let said = ended.exits(1).stdout.replace('\n', " ");
    assert!(said.contains("LEFT: it only looks like a lock: its name says lock, but"), "{said}");
    assert_eq!(redis.everything(), before);
    let command = printed(&ended, "take it away: ");
    assert!(command.starts_with("nodb-trigger unlock lock:one --force --redis"), "{command}");
    type_in(&command);
    assert_eq!(hand.ask::<i64>(&["EXISTS", "lock:one"]), 0);
    type_in(&printed(&recover(&redis, &["unlock", "lock:long"]).run(), "take it away: "));
    assert_eq!(hand.ask::<i64>(&["EXISTS", "lock:long"]), 0);
}

#[test]
fn a_name_that_is_not_locked_is_1_with_similar_names() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    hand.run(&["SET", "lock:invoice:7", TOKEN]);
    hand.run(&["SET", "lock:invoice:8", "1"]);
    hand.run(&["SET", "page:invoice:7", "<html>"]);
    hand.run(&["SET", "unrelated-lock", TOKEN]);
    for word in ["invoice:7", "lock:invoce:7", "LOCK:INVOICE:7", "app:lock:invoice:7"] {
        let ended = recover(&redis, &["unlock", word, "--format=json"]).run();
        ended.exits(1).says(&["no key", word, "is the name, and the server, right?"]);
        let similar: Vec<String> = serde_json::from_value(ended.json()["similar"].clone()).unwrap();
        assert_eq!(similar[0], "lock:invoice:7", "{word}: {similar:?}");
        assert!(similar.iter().all(|name| name.starts_with("lock:invoice")), "{similar:?}");
    }
    let table = recover(&redis, &["unlock", "invoice:7"]).run();
    assert!(table.stdout.ends_with("\n  lock:invoice:7\n"), "{table:#?}");
    recover(&redis, &["unlock", ""]).run().refuses(2, &["the key is empty"]);
    recover(&redis, &["unlock", "nothing-like-it"]).run().exits(1);
}

#[test]
fn a_key_may_be_written_as_redis_cli_and_our_tables_write_it() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    let key = b"lock:\xff\n\"";
    for word in [r#""lock:\xff\n\"""#, r#"lock:\xff\n\""#] {
        bytes(&mut hand, &[b"SET", key, b"x"]);
        recover(&redis, &["unlock", word, "--force"]).run().exits(0);
        redis.is_empty();
    }
    hand.run(&["SET", "lock:\u{1b}[2J", "x"]);
    recover(&redis, &["unlock", r"lock:\u{1b}[2J", "--force"]).run().exits(0);
    redis.is_empty();
    // What exists as it stands is what is meant.
    hand.run(&["MSET", r"lock:\n", "x", "lock:\n", "x"]);
    recover(&redis, &["unlock", r"lock:\n", "--force"]).run().exits(0);
    assert_eq!(hand.ask::<Vec<String>>(&["KEYS", "*"]), ["lock:\n"]);
    // What is printed for a key names it, whatever else exists.
    hand.run(&["MSET", r#""lock:x""#, "1", "lock:x", "1", "-lock", "1"]);
    for key in [r#""lock:x""#, "lock:x", "-lock"] {
        let left = recover(&redis, &["unlock", "--", key]).run();
        type_in(&printed(left.exits(1), "take it away: "));
        assert_eq!(hand.ask::<i64>(&["EXISTS", key]), 0, "{left:#?}");
    }
    assert_eq!(hand.ask::<Vec<String>>(&["KEYS", "*"]), ["lock:\n"]);
}

#[test]
fn the_lock_of_a_dead_owner_goes_without_force_in_any_database() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    hand.run(&["SELECT", "3"]);
    let value = payload(super::TOKEN, DEAD);
    hand.run(&["MSET", "copy:a", &value, "nodb-lock:run:a.nodb", &value]);
    let mine = payload(super::TOKEN, super::me());
    hand.run(&["SET", "copy:mine", &mine]);
    let url = redis.url().replace("/0", "/3");
    for key in ["copy:a", "nodb-lock:run:a.nodb"] {
        let done = at(&url, &["unlock", key]).run();
        assert!(done.exits(0).stdout.contains("REMOVED: the owner's process is gone"), "{done:#?}");
        assert!(printed(&done, "put it back: ").contains(" -n 3 SET "), "{done:#?}");
    }
    let left = at(&url, &["unlock", "copy:mine"]).run();
    assert!(left.exits(1).stdout.contains("LEFT: the owner's process lives"), "{left:#?}");
    type_in(&printed(&left, "take it away: "));
    redis.is_empty();
}

#[test]
fn the_key_of_a_nodb_lock_is_unlocked_with_its_flag() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    for run in ["run", "batch:7"] {
        hand.lock(run, "x.nodb", &payload(super::TOKEN, DEAD));
        hand.run(&["HSET", run, "locked:x.nodb", "true"]);
        let done = recover(&redis, &["unlock", &format!("nodb-lock:{run}:x.nodb")]).run();
        assert!(done.exits(0).stdout.contains("REMOVED: the owner's process is gone"), "{done:#?}");
        assert_eq!(hand.flag(run, "x.nodb").as_deref(), Some("false"));
        type_in(&printed(&done, "put it back: "));
        assert_eq!(hand.flag(run, "x.nodb").as_deref(), Some("true"));
        assert!(hand.holds(run, "x.nodb").is_some());
    }
}
