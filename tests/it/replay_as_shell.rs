//! `replay --as shell`: bash and redis-cli alone see the same replies on a real Redis.

use crate::golden::holds;
use crate::probe::shipped;
use crate::program::{Ended, Place, Program, arguments};
use crate::redis_server::{RedisServer, redis_or_skip};
use crate::replay::{FOREIGN_RELEASE, schedule};
use std::fs;
use std::process::{Command, Output};

/// A schedule of `check_then_delete` whose leases outlive the test.
fn lasting(protocol: &str, turns: &str) -> String {
    schedule(protocol, "async", turns).replace("ttl=1s", "ttl=6h")
}

fn replay(place: &Place, schedule: &str, flags: &[&str]) -> Ended {
    Program::new(arguments(&["replay", schedule], &place.run(), flags)).run()
}

fn script(place: &Place, schedule: &str, flags: &[&str]) -> Ended {
    replay(place, schedule, &[&["--as", "shell"], flags].concat())
}

fn bash(redis: &RedisServer, place: &Place, script: &str) -> Output {
    let file = place.at("race.sh");
    fs::write(&file, script).unwrap();
    let cli = format!("redis-cli --no-raw -p {}", redis.port());
    let mut bash = Command::new("bash");
    bash.arg(file).env("REDIS_CLI", cli).env_remove("REDISCLI_AUTH").output().unwrap()
}

/// Replays a schedule, and its script on this Redis, which must print the replies in it and leave the
/// lock as the replay does. Gives the script.
#[track_caller]
fn repeats(redis: &RedisServer, schedule: &str, flags: &[&str]) -> String {
    let place = Place::new();
    let ended = script(&place, schedule, flags);
    let script = ended.exits(0).stdout.clone();
    let output = bash(redis, &place, &script);
    let printed = String::from_utf8(output.stdout).unwrap();
    let expected: String = script
        .lines()
        .filter_map(|line| line.strip_prefix("# -> "))
        .map(|it| format!("{it}\n"))
        .collect();
    assert!(!expected.is_empty(), "{script}");
    assert_eq!(printed, expected, "{script}");
    assert_eq!(
        (String::from_utf8_lossy(&output.stderr).as_ref(), output.status.code()),
        ("", Some(0))
    );

    let report = replay(&place, schedule, &[&["--format", "json"], flags].concat()).json();
    let left = report["consistency"].as_array().unwrap().last().unwrap().clone();
    let mut con = redis.client().get_connection().unwrap();
    let held: Option<String> =
        redis::cmd("GET").arg(left["lock_key"].as_str().unwrap()).query(&mut con).unwrap();
    let token = left["redis_token"].as_str();
    assert_eq!(held.is_some(), token.is_some(), "{left}: {held:?}");
    assert!(held.unwrap_or_default().contains(token.unwrap_or_default()), "{left}");
    redis::cmd("FLUSHALL").exec(&mut con).unwrap();
    script
}

#[track_caller]
fn says(script: &str, parts: &[&str]) {
    let mut rest = script;
    for part in parts {
        let (_, after) = rest.split_once(part).unwrap_or_else(|| panic!("no {part:?} in {script}"));
        rest = after;
    }
}

#[test]
fn golden_script() {
    let place = Place::new();
    let text = schedule("legacy", "async", FOREIGN_RELEASE);
    let ended = script(&place, &text, &[]);
    let file = "tests/golden/replay.sh";
    let printed = &ended.exits(0).stdout;
    assert!(holds(file, printed, str::eq), "{file} differs; the program prints\n{printed}");
    place.is_empty();
}

#[test]
fn a_legacy_schedule_is_repeated_with_its_faults() {
    let redis = redis_or_skip!();
    let script = repeats(&redis, &lasting("legacy", FOREIGN_RELEASE), &[]);
    says(&script, &["# 4. The server: ", "DEL", "<-- deletes rival's lock\nredis-cli DEL "]);
    says(&script, &["# What is wrong:\n# foreign_release: holder's lease ended"]);
    let script = repeats(&redis, &lasting("legacy", "1x2.l1.2x4:stuck_lock"), &[]);
    says(&script, &["SET", "# -> OK\n# holder never gets this reply.\n", "# -> (nil)\n"]);
    let script = repeats(&redis, &lasting("legacy", "1x2.c1.2x4:stuck_lock"), &[]);
    says(&script, &["(holder): crashes here\n"]);
    let script = repeats(&redis, &lasting("legacy", "1x5.p1.e1.2x4.a1.2x5"), &[]);
    says(
        &script,
        &["is given up", "# The command that holder gave up arrives now:\nredis-cli DEL "],
    );
}

#[test]
fn scripts_are_loaded_first() {
    let redis = redis_or_skip!();
    let script = repeats(&redis, &lasting("hardened", "1x4.e1.2x4.1.2x3"), &[]);
    says(&script, &["redis-cli SCRIPT LOAD \"\n", "redis-cli EVALSHA ", "# Nothing is wrong.\n"]);
}

/// What the program's own server does is done to a real one by commands.
#[test]
fn server_faults_are_repeated() {
    let redis = redis_or_skip!();
    for (scenario, protocol) in
        [("amnesia", "hardened"), ("clock_jump", "legacy"), ("eviction", "legacy")]
    {
        let place = Place::new();
        let words = ["explore", scenario, "--lock", protocol, "--format", "json"];
        let report = Program::new(words).run().json();
        let found = &report["protocols"][0]["counterexamples"][0]["schedule"];
        let text = found.as_str().unwrap_or_else(|| panic!("{report}"));
        repeats(&redis, &text.replace("ttl=30s", "ttl=6h"), &[]);
        place.is_empty();
    }
}

/// The lock in bash, which releases in a transaction that watches the key, and sends words that need
/// quotes.
fn watching(place: &Place) -> String {
    let text = fs::read_to_string(shipped("bash.sh")).unwrap();
    let alter = [
        ("ask GET \"$1\" ||", "ask WATCH \"$1\" && ask GET \"$1\" ||"),
        (
            "ask DEL \"$1\" || return 2\n    [[ $reply == :1 ]]",
            "ask MULTI && ask DEL \"$1\" && ask EXEC || return 2\n    [[ $reply == '*-1' ]] && return 1\n    hear",
        ),
        (
            "    token=",
            "    ask HSET 'not plain' $'it\\'s\\n$HOME \\x01\\\\' \"it's é\" || return 2\n    token=",
        ),
    ];
    let text = alter.into_iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    });
    let path = place.at("subject.sh");
    fs::write(&path, text).unwrap();
    format!("bash {}", path.display())
}

fn of_subjects(turns: &str) -> String {
    let scenarios = lock_lab::scenario::catalogue().unwrap();
    let scenario = scenarios.iter().find(|it| it.name() == "mutual_exclusion").unwrap();
    let digest = scenario.digest();
    format!(
        "v1:mutual_exclusion@{digest:08x}:subject:async:clients=2,default_ttl=6h,wait=0s:{turns}"
    )
}

#[test]
fn a_client_from_outside_needs_neither_itself_nor_its_connections() {
    let redis = redis_or_skip!();
    let subject = format!("bash {}", shipped("bash.sh"));
    let text = of_subjects("1x5.p1.2x2.e1.2.a1.2x2:foreign_release");
    let script = repeats(&redis, &text, &["--subject", &subject]);
    says(
        &script,
        &["terminal 1: client_1", "token-1.1 NX PX 21600000\n# -> OK", "token-2.1 NX PX"],
    );
    let place = Place::new();
    let subject = watching(&place);
    let script = repeats(&redis, &of_subjects("1x7.e1.2x3.1.2x5"), &["--subject", &subject]);
    says(
        &script,
        &[
            "redis-cli HSET 'not plain' $'it\\'s\\x0a$HOME \\x01\\\\' \"it's é\"",
            "# Left out: MULTI; DEL ",
            "redis-cli <<'EOF'\nMULTI\nDEL ",
            "\nEXEC\nEOF\n# -> OK\n# -> QUEUED\n# -> 1) (integer) 1\n",
        ],
    );
}

#[test]
fn a_redis_with_keys_is_left_alone() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let mut con = redis.client().get_connection().unwrap();
    redis::cmd("SET").arg("theirs").arg("value").exec(&mut con).unwrap();
    let before = redis.everything();
    let script = script(&place, &lasting("legacy", FOREIGN_RELEASE), &[]).stdout;
    let output = bash(&redis, &place, &script);
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]));
    assert!(String::from_utf8_lossy(&output.stderr).contains("database 0 is empty"));
    assert_eq!(redis.everything(), before);
}

#[test]
fn the_status_is_that_of_the_replay_and_the_script_goes_where_reports_go() {
    let place = Place::new();
    let file = place.at("race.sh");
    let flags = ["--output", file.to_str().unwrap()];
    let text = schedule("hardened", "async", "1x4.e1.2x4.1.2x3:lost_update");
    assert_eq!(script(&place, &text, &flags).exits(1).stdout, "");
    let written = fs::read_to_string(file).unwrap();
    says(
        &written,
        &["#!/usr/bin/env bash\n", "# This schedule was found for lost_update, and did not"],
    );
    script(&place, &schedule("legacy", "async", "1x3"), &[]).refuses(4, &["has not ended"]);
    let text = schedule("legacy", "async", FOREIGN_RELEASE);
    for other in
        [&["--redis", "redis://h"][..], &["--format", "json"], &["--all"], &["--timeline", "-"]]
    {
        script(&place, &text, other).exits(2).says(&["cannot be used with"]);
    }
}
