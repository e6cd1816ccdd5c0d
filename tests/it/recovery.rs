//! `unlock`, `clear_locks` and `repair` on a real Redis: what goes, what stays, and what is said.

mod clear;
mod formats;
mod key_errors;
mod keys;
mod libraries;
mod load;
mod races;
mod servers;
mod words;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::Command;

use lock_lab::lock::hostname;
use serde_json::json;

use crate::program::{Ended, Program};
use crate::redis_server::{RedisServer, redis_or_skip};

/// A number that no process ever has.
const DEAD: u32 = 2_147_483_647;
/// A second in a year to come.
const LATE: u64 = 4_000_000_000;
const TOKEN: &str = "0f3a9c41d2b7488f9e0a1b2c3d4e5f60";
const OTHER: &str = "1f3a9c41d2b7488f9e0a1b2c3d4e5f60";

/// The program on this server.
fn recover(redis: &RedisServer, arguments: &[&str]) -> Program {
    at(&redis.url(), arguments)
}

/// The program on the server with this URL.
fn at(url: &str, arguments: &[&str]) -> Program {
    let words = arguments.iter().map(OsString::from);
    let server = ["--redis".into(), url.into()];
    let (command, rest) = (words.clone().take(1), words.skip(1));
    Program::new(command.chain(server).chain(rest))
}

/// A payload of this host's process with this number.
fn payload(token: &str, pid: u32) -> String {
    let owner = format!("{}:{pid}", hostname());
    json!({ "token": token, "owner": owner, "acquired_at": LATE, "ttl": 3600 }).to_string()
}

/// A living process that began before any lock of [`payload`] was acquired.
fn me() -> u32 {
    std::process::id()
}

/// A hand on the server.
struct Hand(redis::Connection);

impl Hand {
    fn on(redis: &RedisServer) -> Self {
        Self(redis.client().get_connection().unwrap())
    }

    fn run(&mut self, words: &[&str]) {
        self.ask::<redis::Value>(words);
    }

    fn ask<T: redis::FromRedisValue>(&mut self, words: &[&str]) -> T {
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(word);
        }
        command.query(&mut self.0).unwrap()
    }

    fn lock(&mut self, run: &str, file: &str, value: &str) {
        self.run(&["SET", &format!("nodb-lock:{run}:{file}"), value, "EX", "3600"]);
    }

    fn holds(&mut self, run: &str, file: &str) -> Option<String> {
        self.ask(&["GET", &format!("nodb-lock:{run}:{file}")])
    }

    fn flag(&mut self, run: &str, file: &str) -> Option<String> {
        self.ask(&["HGET", run, &format!("locked:{file}")])
    }
}

/// The command on the line of the table that begins so.
#[track_caller]
fn printed(ended: &Ended, before: &str) -> String {
    let found = ended.stdout.lines().find_map(|line| line.strip_prefix(before));
    found.unwrap_or_else(|| panic!("no {before:?} in {ended:#?}")).to_owned()
}

/// Types a command that was printed into a shell.
fn type_in(command: &str) -> String {
    let command = match command.strip_prefix("nodb-trigger ") {
        Some(rest) => format!("{} {rest}", env!("CARGO_BIN_EXE_nodb-trigger")),
        None => command.to_owned(),
    };
    let output = Command::new("bash").args(["-c", &command]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The outcome of each lock of a report.
fn outcomes(ended: &Ended) -> BTreeMap<String, String> {
    let json = ended.json();
    let word = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let rows = json["locks"].as_array().unwrap();
    rows.iter().map(|row| (word(&row["file"]), word(&row["outcome"]))).collect()
}

#[test]
fn the_lock_of_a_dead_owner_goes_and_can_be_put_back() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    let (run, file) = ("it's *my* [run] $(x)", "_pups/omni/ü x.nodb");
    let value = payload(TOKEN, DEAD);
    hand.lock(run, file, &value);
    hand.lock(run, "other.nodb", &payload(OTHER, DEAD));
    let flag = format!("locked:{file}");
    hand.run(&["HSET", run, &flag, "true", "attrs:name", "kept", "fence:x", "7"]);
    let before = redis.everything();

    let dry = recover(&redis, &["unlock", run, file, "--dry-run"]).run();
    assert!(dry.exits(0).stdout.contains("WOULD REMOVE: the owner's process is gone"), "{dry:#?}");
    assert_eq!(redis.everything(), before, "a dry run changes nothing");

    let done = recover(&redis, &["unlock", run, r"_pups\omni\ü x.nodb", "--token", TOKEN]).run();
    assert!(
        done.exits(0).stdout.contains("\nREMOVED: the owner's process is gone.\n"),
        "{done:#?}"
    );
    assert_eq!(hand.holds(run, file), None);
    let fields: BTreeMap<String, String> = hand.ask(&["HGETALL", run]);
    let expected = [("attrs:name", "kept"), ("fence:x", "7"), (&flag, "false")];
    assert!(fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).eq(expected), "{fields:?}");
    assert!(hand.holds(run, "other.nodb").is_some());

    assert_eq!(type_in(&printed(&done, "put it back: ")), "OK\n0\n");
    assert_eq!(hand.holds(run, file), Some(value));
    assert_eq!(hand.flag(run, file).as_deref(), Some("true"));
    let ttl: i64 = hand.ask(&["PTTL", &format!("nodb-lock:{run}:{file}")]);
    assert!((3_500_000..=3_600_000).contains(&ttl), "{ttl}");
    hand.lock(run, file, "newer");
    assert_eq!(type_in(&printed(&done, "put it back: ")), "", "unless a client acquired it since");
    assert_eq!(hand.holds(run, file).as_deref(), Some("newer"));
}

#[test]
fn no_flag_is_made_where_there_was_none() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    hand.lock("run", "x.nodb", &payload(TOKEN, DEAD));
    recover(&redis, &["unlock", "run", "x.nodb"]).run().exits(0);
    redis.is_empty();
    let nothing = recover(&redis, &["unlock", "run", "x.nodb"]).run();
    nothing.exits(0).says(&["no lock and no flag of x.nodb in run run; is the name"]);
    hand.run(&["HSET", "run", "locked:x.nodb", "false"]);
    let nothing = recover(&redis, &["unlock", "run", "x.nodb"]).run();
    assert!(nothing.exits(0).stdout.ends_with("NOT LOCKED: nothing to do.\n"), "{nothing:#?}");
    assert_eq!(nothing.stderr, "");
    hand.run(&["HSET", "run", "locked:x.nodb", "true"]);
    let nothing = recover(&redis, &["unlock", "run", "x.nodb"]).run();
    assert!(nothing.exits(0).stdout.contains("repair sets it right"), "{nothing:#?}");
    assert_eq!(hand.flag("run", "x.nodb").as_deref(), Some("true"));
}

#[test]
fn who_may_live_keeps_the_lock_until_force() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    let younger = payload(TOKEN, me()).replace(&LATE.to_string(), "1000000");
    let elsewhere = payload(TOKEN, DEAD).replace(&hostname(), "another-host");
    for (value, words) in [
        (payload(TOKEN, me()), "the owner's process lives"),
        (younger, "it began after the lock was acquired"),
        (elsewhere, "the owner is on another host"),
        ("plain token".into(), "the payload names no owner"),
        (String::new(), "the payload names no owner"),
    ] {
        hand.lock("-run", "x.nodb", &value);
        hand.run(&["HSET", "-run", "locked:x.nodb", "true"]);
        let before = redis.everything();
        let refused = recover(&redis, &["unlock", "--", "-run", "x.nodb"]).run();
        let said = refused.exits(1).stdout.replace('\n', " ");
        assert!(said.contains("LEFT: ") && said.contains(words), "{words}: {refused:#?}");
        assert!(said.contains("TTL left") && said.contains("59 min"), "{refused:#?}");
        let cleared = recover(&redis, &["clear_locks", "--format=json", "--", "-run"]).run();
        assert_eq!(cleared.exits(0).json()["counts"]["left"], 1);
        assert_eq!(redis.everything(), before);
        type_in(&printed(&refused, "take it away: "));
        assert_eq!(hand.holds("-run", "x.nodb"), None, "{words}");
        assert_eq!(hand.flag("-run", "x.nodb").as_deref(), Some("false"));
    }
}

#[test]
fn a_token_says_which_acquisition_is_meant() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    hand.lock("run", "x.nodb", &payload(OTHER, me()));
    hand.run(&["HSET", "run", "locked:x.nodb", "true"]);
    let before = redis.everything();
    for token in [TOKEN, &TOKEN[..8], &format!("{OTHER}0")] {
        let gone = recover(&redis, &["unlock", "run", "x.nodb", "--force", "--token", token]).run();
        let said = gone.exits(1).stdout.replace('\n', " ");
        let holder =
            format!("the lock that you saw is gone; {}:{} holds it since", hostname(), me());
        assert!(said.contains(&holder), "{gone:#?}");
    }
    let short = recover(&redis, &["unlock", "run", "x.nodb", "--force", "--token", "1f3a9c4"]);
    short.run().refuses(2, &["--token 1f3a9c4 is too short", "first 8 characters"]);
    assert_eq!(redis.everything(), before);
    recover(&redis, &["unlock", "run", "x.nodb", "--force", "--token", &OTHER[..8]]).run().exits(0);
    assert_eq!(hand.holds("run", "x.nodb"), None);
    // A short token of somebody else's making is enough if it is the whole.
    hand.lock("run", "x.nodb", "17");
    recover(&redis, &["unlock", "run", "x.nodb", "--force", "--token", "17"]).run().exits(0);
}

#[test]
fn what_is_no_lock_is_left_with_a_word_how_to_remove_it() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    hand.run(&["RPUSH", "nodb-lock:run:list.nodb", "a"]);
    let holder = "b0a1c2d3-1111-4222-8333-444455556666:46";
    hand.run(&["HSET", "nodb-lock:run:hash.nodb", holder, "2"]);
    hand.lock("run", "long.nodb", &"x".repeat(100_000));
    hand.run(&["HSET", "run", "locked:hash.nodb", "true"]);
    for (file, words) in [
        ("list.nodb", "it only looks like a lock"),
        ("hash.nodb", "it can't be told whether it lives"),
        ("long.nodb", "holds 100000 bytes"),
    ] {
        let left = recover(&redis, &["unlock", "run", file]).run();
        let said = left.exits(1).stdout.replace('\n', " ");
        assert!(said.contains(words), "{said}");
        let cleared = recover(&redis, &["clear_locks", "run", "--force", "--scope", file]).run();
        cleared.exits(1);
        let key = format!("nodb-lock:run:{file}");
        assert_eq!(hand.ask::<i64>(&["EXISTS", &key]), 1);
        type_in(&printed(&left, "take it away: "));
        assert_eq!(hand.ask::<i64>(&["EXISTS", &key]), 0, "{left:#?}");
    }
    assert_eq!(hand.flag("run", "hash.nodb").as_deref(), Some("false"));
    assert_eq!(hand.flag("run", "list.nodb"), None);
}

#[test]
fn clearing_takes_the_dead_and_mends_flags_within_its_scope() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    let set_up = |hand: &mut Hand| {
        hand.run(&["FLUSHALL"]);
        for run in ["a*", "ab"] {
            for (file, pid) in [
                ("x.nodb", DEAD),
                ("live.nodb", me()),
                ("_pups/omni/x.nodb", DEAD),
                ("_pups/omnibus/x.nodb", DEAD),
                ("_pups/*/x.nodb", DEAD),
            ] {
                hand.lock(run, file, &payload(&format!("{run}{file}"), pid));
            }
            hand.run(&["HSET", run, "locked:x.nodb", "true", "locked:live.nodb", "false"]);
            hand.run(&[
                "HSET",
                run,
                "locked:_pups/omni/gone.nodb",
                "true",
                "locked:ok.nodb",
                "false",
            ]);
        }
    };
    let clear = |scope: &[&str]| {
        let words = [&["clear_locks", "a*", "--format=json"], scope].concat();
        let ended = recover(&redis, &words).run();
        let removed: Vec<String> = outcomes(ended.exits(0))
            .into_iter()
            .filter_map(|(file, word)| (word == "removed").then_some(file))
            .collect();
        (removed.join(" "), ended.json()["counts"]["flags_set"].as_u64().unwrap())
    };
    let everything = "_pups/*/x.nodb _pups/omni/x.nodb _pups/omnibus/x.nodb x.nodb";
    for (scope, removed, flags) in [
        (&[][..], everything, 2),
        (&["--scope", "_pups/omni"], "_pups/omni/x.nodb", 1),
        (&["--scope", "_pups/omni/"], "_pups/omni/x.nodb", 1),
        (&["--scope", "_pups/*"], "_pups/*/x.nodb", 0),
        (&["--scope", r"_pups\omni\x.nodb"], "_pups/omni/x.nodb", 0),
        (&["--scope", "nodb-lock:a*:x.nodb"], "x.nodb", 0),
        (&["--scope", "/runs/a*/_pups/omnibus"], "_pups/omnibus/x.nodb", 0),
        (&["--scope", "x"], "", 0),
        (&["--force"], &format!("{} live.nodb x.nodb", &everything[..everything.len() - 7]), 1),
    ] {
        set_up(&mut hand);
        assert_eq!(clear(scope), (removed.to_owned(), flags), "{scope:?}");
        let mut neighbours: Vec<String> = hand.ask(&["KEYS", "nodb-lock:ab:*"]);
        neighbours.sort();
        assert_eq!(neighbours.len(), 5, "glob characters are harmless");
        assert_eq!(hand.flag("ab", "x.nodb").as_deref(), Some("true"));
    }
    // A directory below the run's root is a scope.
    set_up(&mut hand);
    let below = recover(&redis, &["clear_locks", "/runs/a*/_pups/omni", "--format=json"]).run();
    assert_eq!(outcomes(below.exits(0)).into_keys().collect::<Vec<_>>(), ["_pups/omni/x.nodb"]);
    recover(&redis, &["clear-locks", "a*"]).run().exits(0);
    assert_eq!(hand.flag("a*", "live.nodb").as_deref(), Some("true"), "it is held");
    assert_eq!(hand.flag("a*", "x.nodb").as_deref(), Some("false"));
    assert_eq!(hand.flag("a*", "_pups/omni/gone.nodb").as_deref(), Some("false"));
    let empty = recover(&redis, &["clear_locks", "a*", "--scope", ""]).run();
    empty.refuses(2, &["names no file"]);
}

#[test]
fn repairing_writes_only_flags_that_are_wrong() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    hand.lock("run", "held.nodb", &payload(TOKEN, me()));
    hand.lock("run", "unflagged.nodb", &payload(OTHER, DEAD));
    hand.lock("run", "odd.nodb", &payload("odd", DEAD));
    for (file, flag) in [("held", "false"), ("gone", "true"), ("free", "false"), ("odd", "yes")] {
        hand.run(&["HSET", "run", &format!("locked:{file}.nodb"), flag]);
    }
    let before = redis.everything();
    let dry = recover(&redis, &["repair", "run", "--dry-run", "--format=json"]).run();
    assert_eq!(dry.exits(0).json()["counts"]["flags_set"], 2);
    assert_eq!(redis.everything(), before);
    let written = || redis.count("commandstats", "cmdstat_hset:calls=");
    let at_first = written();
    for expected in [2, 2] {
        recover(&redis, &["repair", "run"]).run().exits(0);
        assert_eq!(written() - at_first, expected);
    }
    for (file, flag) in [
        ("held", Some("true")),
        ("unflagged", None),
        ("gone", Some("false")),
        ("free", Some("false")),
        ("odd", Some("yes")),
    ] {
        assert_eq!(hand.flag("run", &format!("{file}.nodb")).as_deref(), flag, "{file}");
    }
    assert!(hand.holds("run", "unflagged.nodb").is_some(), "no lock is touched");
}

#[test]
fn all_runs_are_repaired_at_once() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    for run in ["a*", "ab", "it's; [c]"] {
        hand.lock(run, "held.nodb", &payload(run, me()));
        let flags = ["locked:held.nodb", "false", "locked:gone.nodb", "true", "attrs:x", "1"];
        hand.run(&[&["HSET", run], &flags[..]].concat());
    }
    hand.run(&["SET", "text", "1"]);
    let repaired = recover(&redis, &["repair", "--all", "--format=json"]).run();
    assert_eq!(repaired.exits(0).json()["counts"]["flags_set"], 6);
    for run in ["a*", "ab", "it's; [c]"] {
        assert_eq!(hand.flag(run, "held.nodb").as_deref(), Some("true"));
        assert_eq!(hand.flag(run, "gone.nodb").as_deref(), Some("false"));
    }
    let again = recover(&redis, &["repair", "--all"]).run();
    assert!(again.exits(0).stdout.contains("Nothing to do: all flags are right."), "{again:#?}");
}

#[test]
fn ten_thousand_orphans_are_cleared_with_a_few_commands_each() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    let mut pipe = redis::pipe();
    for number in 0..10_000 {
        let value = payload(&format!("{number:032x}"), DEAD);
        pipe.cmd("SET").arg(format!("nodb-lock:run:{number}.nodb")).arg(value).ignore();
        pipe.cmd("HSET").arg("run").arg(format!("locked:{number}.nodb")).arg("true").ignore();
    }
    pipe.exec(&mut hand.0).unwrap();
    let before = redis.commands();
    let ended = recover(&redis, &["clear_locks", "run"]).run();
    let commands = redis.commands() - before;
    assert!(commands < 13 * 10_000, "{commands}");
    assert!(ended.exits(0).stdout.ends_with("\n10000 locks removed, 0 left, 0 flags set right.\n"));
    assert_eq!(hand.ask::<Vec<String>>(&["KEYS", "*"]), ["run"]);
    let flags: Vec<String> = hand.ask(&["HVALS", "run"]);
    assert!(flags.iter().all(|flag| flag == "false"));
}

#[test]
fn a_run_whose_id_goes_on_keeps_its_locks() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    for file in ["x.nodb", "no-flag.nodb"] {
        hand.lock("a:b", file, &payload(file, DEAD));
    }
    hand.run(&["HSET", "a:b", "locked:x.nodb", "true"]);
    let before = redis.everything();
    for arguments in [
        &["clear_locks", "a"][..],
        &["clear_locks", "a", "--force"],
        &["clear_locks", "a", "--scope", "b:x.nodb"],
        &["repair", "a"],
    ] {
        recover(&redis, arguments).run();
        assert_eq!(redis.everything(), before, "{arguments:?}");
    }
    let left = recover(&redis, &["clear_locks", "a", "--format=json"]).run();
    assert_eq!(outcomes(left.exits(0))["b:no-flag.nodb"], "left");
    let meant = ["clear_locks", "a", "--scope", "b:no-flag.nodb"];
    recover(&redis, &meant).run().exits(0);
    assert_eq!(hand.holds("a:b", "no-flag.nodb"), None);
}

#[test]
fn a_value_that_names_no_acquisition_is_unlocked_by_name_only() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    hand.lock("run", "const.nodb", "locked");
    hand.lock("run", "live.nodb", &payload(TOKEN, me()));
    let forced = recover(&redis, &["clear_locks", "run", "--force"]).run();
    let said = forced.exits(1).stdout.replace('\n', " ");
    assert!(said.contains("names no acquisition"), "{forced:#?}");
    assert_eq!(hand.holds("run", "live.nodb"), None);
    assert_eq!(hand.holds("run", "const.nodb").as_deref(), Some("locked"));
    recover(&redis, &["unlock", "run", "const.nodb", "--force"]).run().exits(0);
    assert_eq!(hand.holds("run", "const.nodb"), None);
}

#[test]
fn a_backslash_stands_for_itself_where_such_a_file_is_locked() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    for arguments in [
        &["unlock", "run", r"a\b.nodb"][..],
        &["clear_locks", "run", "--scope", r"a\b.nodb"],
        &["clear_locks", "run", "--scope", r"nodb-lock:run:a\b.nodb"],
    ] {
        for file in [r"a\b.nodb", "a/b.nodb"] {
            hand.lock("run", file, &payload(file, DEAD));
        }
        recover(&redis, arguments).run().exits(0);
        assert_eq!(hand.holds("run", r"a\b.nodb"), None, "{arguments:?}");
        assert!(hand.holds("run", "a/b.nodb").is_some(), "{arguments:?}");
        // Where there is none, the reference's way of writing is meant.
        recover(&redis, arguments).run().exits(0);
        assert_eq!(hand.holds("run", "a/b.nodb"), None, "{arguments:?}");
    }
}
