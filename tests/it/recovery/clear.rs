//! `clear_locks --all` and `--pattern`: the locks of all runs, and those of other libraries.

use super::{DEAD, Hand, OTHER, TOKEN, at, me, payload, recover, type_in};
use crate::middleman::{Fate, Middleman};
use crate::program::Ended;
use crate::redis_server::redis_or_skip;
use lock_lab::lock::hostname;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Mutex;

const CLIENT: &str = "b0a1c2d3-1111-4222-8333-444455556666";

/// The outcome for each key of other libraries.
fn outcomes(ended: &Ended) -> BTreeMap<String, String> {
    let json = ended.json();
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let rows = json["keys"].as_array().cloned().unwrap_or_default();
    rows.iter().map(|row| (word(&row["key"]), word(&row["outcome"]))).collect()
}

/// Why a key of another library came out so.
#[track_caller]
fn why(ended: &Ended, key: &str) -> String {
    let json = ended.json();
    let rows = json["keys"].as_array().unwrap();
    let row = rows.iter().find(|row| row["key"] == key).unwrap_or_else(|| panic!("no {key}"));
    row["why"].as_str().unwrap().to_owned()
}

#[test]
fn thirty_dead_runs_are_one_command() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    for number in 0..30 {
        let run = format!("run{number}");
        hand.lock(&run, "x.nodb", &payload(&format!("{TOKEN}{number}"), DEAD));
        hand.run(&["HSET", &run, "locked:x.nodb", "true", "locked:gone.nodb", "true"]);
    }
    hand.lock("living", "x.nodb", &payload(OTHER, me()));
    hand.run(&["HSET", "living", "locked:x.nodb", "true"]);
    hand.run(&[
        "MSET",
        "copy",
        &payload(TOKEN, DEAD),
        "lock:a",
        CLIENT,
        "lock:one",
        "1",
        "data",
        "x",
    ]);
    let before = redis.everything();
    let dry = recover(&redis, &["clear_locks", "--all", "--dry-run", "--format=json"]).run();
    assert_eq!(dry.exits(0).json()["counts"]["removed"], 31, "{dry:#?}");
    assert_eq!(redis.everything(), before);
    let done = recover(&redis, &["clear_locks", "--all"]).run();
    let said = done.exits(0).stdout.replace('\n', " ");
    assert!(said.contains("all locks of database 0"), "{said}");
    assert!(said.contains("31 locks removed, 3 left, 30 flags set right."), "{said}");
    assert!(said.contains("unlock lock:one --force --redis"), "{said}");
    for number in 0..30 {
        let run = format!("run{number}");
        assert_eq!(hand.holds(&run, "x.nodb"), None);
        for file in ["x.nodb", "gone.nodb"] {
            assert_eq!(hand.flag(&run, file).as_deref(), Some("false"));
        }
    }
    assert_eq!(hand.flag("living", "x.nodb").as_deref(), Some("true"));
    let mut left: Vec<String> = hand.ask(&["KEYS", "*[ka][:t]*"]);
    left.sort();
    assert_eq!(left, ["data", "lock:a", "lock:one", "nodb-lock:living:x.nodb"]);
}

#[test]
fn an_owner_that_can_not_be_checked_lives_unless_a_flag_stands_in() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    let elsewhere = payload(TOKEN, DEAD).replace(&hostname(), "another-host");
    let old = elsewhere.replace(&super::LATE.to_string(), "1700000000");
    let set_up = |hand: &mut Hand| {
        hand.run(&["FLUSHALL"]);
        hand.lock("run", "late.nodb", &elsewhere);
        hand.lock("run", "old.nodb", &old);
        hand.lock("run", "mine.nodb", &payload(OTHER, me()));
        hand.run(&["PERSIST", "nodb-lock:run:mine.nodb"]);
        hand.run(&["SET", "app:SINGLETONLOCK_c0ffee", CLIENT]);
        hand.run(&["SET", "lock:a", CLIENT, "EX", "3600"]);
        // The time of a redis-py token is when the client began to wait.
        hand.run(&["SET", "lock:time", "5f0c8f70ee1b11f1b2c30242ac120002"]);
        hand.run(&["SET", "nightly", "ADDED:2023-11-29T02:00:00.000Z@worker-a", "EX", "3600"]);
        hand.run(&["HSET", "huey.results.app", "app.lock.daily", "1"]);
    };
    let everything =
        "app:SINGLETONLOCK_c0ffee huey.results.app lock:a lock:time nightly late old mine";
    let without = |gone: &str| {
        let gone: Vec<&str> = gone.split(' ').collect();
        everything.split(' ').filter(|key| !gone.contains(key)).collect::<Vec<_>>().join(" ")
    };
    for (flags, gone) in [
        (&[][..], ""),
        (&["--no-ttl"], "app:SINGLETONLOCK_c0ffee lock:time"),
        (&["--older-than", "1d"], "nightly old"),
        (&["--older-than", "90000d"], ""),
        (&["--older-than", "1d", "--no-ttl"], ""),
    ] {
        set_up(&mut hand);
        let words = [&["clear_locks", "--all", "--format=json"], flags].concat();
        let done = recover(&redis, &words).run();
        let mut left: Vec<String> = hand.ask(&["KEYS", "[^n]*"]);
        left.sort();
        left.extend(hand.ask::<Vec<String>>(&["KEYS", "nightly"]));
        for file in ["late", "old", "mine"] {
            left.extend(hand.holds("run", &format!("{file}.nodb")).map(|_| file.to_owned()));
        }
        assert_eq!(left.join(" "), without(gone), "{flags:?} {:#?}", done.exits(0));
        if flags == ["--older-than", "1d"] {
            assert!(why(&done, "lock:time").contains("its age is not known"), "{done:#?}");
        }
        if flags == ["--no-ttl"] {
            assert!(why(&done, "huey.results.app").contains("names no acquisition"), "{done:#?}");
            assert!(why(&done, "lock:a").contains("it has a TTL"), "{done:#?}");
        }
    }
    // Of one run, too.
    set_up(&mut hand);
    recover(&redis, &["clear_locks", "run", "--older-than", "1d"]).run().exits(0);
    assert_eq!(hand.holds("run", "old.nodb"), None);
    assert!(hand.holds("run", "late.nodb").is_some() && hand.holds("run", "mine.nodb").is_some());
}

#[test]
fn force_for_all_needs_a_yes_and_never_takes_what_only_looks_like_a_lock() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    hand.lock("run", "mine.nodb", &payload(TOKEN, me()));
    hand.run(&["MSET", "lock:a", CLIENT, "lock:one", "1", "user:7", CLIENT]);
    let before = redis.everything();
    for all in [&["--all"][..], &["--pattern", "lock:*"]] {
        let ended = recover(&redis, &[&["clear_locks", "--force"], all].concat()).run();
        ended.refuses(2, &["--yes", "--dry-run"]);
        assert_eq!(redis.everything(), before);
        let words = [&["clear_locks", "--force", "--dry-run"], all].concat();
        recover(&redis, &words).run().exits(0);
    }
    recover(&redis, &["clear_locks", "--all", "--yes"]).run().exits(2).says(&["--force"]);
    recover(&redis, &["clear_locks"]).run().exits(2).says(&["RUN|DIRECTORY"]);
    recover(&redis, &["clear_locks", "run", "--all"]).run().exits(2).says(&["--all"]);
    let done =
        recover(&redis, &["clear_locks", "--all", "--force", "--yes", "--format=json"]).run();
    let expected = [("lock:a", "removed"), ("lock:one", "left"), ("user:7", "left")];
    let expected = expected.map(|(key, word)| (key.to_owned(), word.to_owned()));
    assert_eq!(outcomes(done.exits(0)), BTreeMap::from(expected));
    assert_eq!(hand.holds("run", "mine.nodb"), None);
    let json = done.json();
    let row = &json["keys"].as_array().unwrap()[1];
    type_in(row["take_away"].as_str().unwrap());
    assert_eq!(hand.ask::<Vec<String>>(&["KEYS", "*"]), ["user:7"]);
    // What --force leaves of known formats is 1.
    hand.run(&["HSET", "huey.results.app", "app.lock.daily", "1"]);
    recover(&redis, &["clear_locks", "--all", "--force", "--yes"]).run().exits(1);
}

#[test]
fn a_pattern_takes_only_what_matches_in_the_database_of_the_url() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    for run in ["a", "b"] {
        hand.lock(run, "x.nodb", &payload(run, DEAD));
        hand.run(&["HSET", run, "locked:x.nodb", "true", "locked:y.nodb", "true"]);
    }
    hand.run(&["MSET", "job:1", &payload(TOKEN, DEAD), "task:1", &payload(TOKEN, DEAD)]);
    let clear = |pattern: &str| recover(&redis, &["clear_locks", "--pattern", pattern]).run();
    let said = clear("job:*").exits(0).stdout.clone();
    assert!(said.contains("job:* of database 0") && said.contains("1 lock removed"), "{said}");
    assert_eq!(hand.ask::<i64>(&["EXISTS", "job:1", "task:1", "nodb-lock:a:x.nodb"]), 2);
    clear("nodb-lock:a:x*").exits(0);
    assert_eq!(hand.holds("a", "x.nodb"), None);
    assert_eq!(hand.flag("a", "x.nodb").as_deref(), Some("false"));
    assert_eq!(hand.flag("a", "y.nodb").as_deref(), Some("true"), "it matches no pattern");
    assert!(hand.holds("b", "x.nodb").is_some());
    hand.run(&["SELECT", "3"]);
    hand.run(&["SET", "job:1", &payload(TOKEN, DEAD)]);
    let url = redis.url().replace("/0", "/3");
    at(&url, &["clear_locks", "--pattern", "job:*"]).run().exits(0);
    assert_eq!(hand.ask::<i64>(&["EXISTS", "job:1"]), 0);
}

#[test]
fn a_lock_that_another_client_took_meanwhile_stays() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    for (calls, command) in [
        // Before the removal, and before it is read again for that.
        ("EVAL", &["SET", "job:1", CLIENT]),
        ("TYPE", &["SET", "job:1", CLIENT]),
    ] {
        hand.run(&["SET", "job:1", &payload(TOKEN, DEAD)]);
        let other = Mutex::new((Hand::on(&redis), 0));
        let server = Middleman::before(redis.port(), move |words| {
            let (hand, reads) = &mut *other.lock().unwrap();
            *reads += usize::from(words[0] == "TYPE");
            let is_now = if calls == "TYPE" { *reads == 2 } else { words[0] == calls };
            if is_now && words[0] == calls {
                hand.run(command);
            }
            Fate::Pass
        });
        let done = at(&server.url(), &["clear_locks", "--all", "--format=json"]).run();
        let held: String = hand.ask(&["GET", "job:1"]);
        assert_eq!(held, CLIENT, "{calls}: {:#?}", done.exits(0));
    }
}

#[test]
fn what_could_not_be_read_is_no_all_clear() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    hand.run(&["MSET", "job:1", &payload(TOKEN, DEAD), "lock:a", CLIENT]);
    hand.run(&["ACL", "SETUSER", "op", "on", "nopass", "~job:*", "+@all"]);
    let url = format!("redis://op:x@127.0.0.1:{}/0", redis.port());
    let ended = at(&url, &["clear_locks", "--all"]).run();
    ended.exits(3).says(&["the key lock:a can't be read: NOPERM"]);
    assert_eq!(hand.ask::<Vec<String>>(&["KEYS", "*"]), ["lock:a"]);
}
