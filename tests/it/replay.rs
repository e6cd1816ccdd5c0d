//! `replay`: a schedule again, in memory and on a real Redis.

use crate::middleman::{Fate, Middleman};
use crate::program::{Ended, Place, Program, arguments};
use crate::redis_server::{RedisServer, redis_or_skip};
use lock_lab::scenario::{Scenario, catalogue};
use std::fs;

/// The holder compares, its lease ends, the rival takes the lock, and the holder deletes it.
pub const FOREIGN_RELEASE: &str = "1x5.e1.2x4.1x2.2x4:foreign_release";

/// A schedule of the built-in scenario `check_then_delete`.
pub fn schedule(protocol: &str, timing: &str, rest: &str) -> String {
    let scenarios = catalogue().unwrap();
    let scenario = scenarios.iter().find(|it| it.name() == "check_then_delete").unwrap();
    let digest = scenario.digest();
    format!(
        "v1:check_then_delete@{digest:08x}:{protocol}:{timing}:ttl=1s,default_ttl=6h,wait=0s:{rest}"
    )
}

fn replay(place: &Place, schedule: &str, flags: &[&str]) -> Ended {
    Program::new(arguments(&["replay", schedule], &place.run(), flags)).run()
}

fn on(redis: &RedisServer, place: &Place, schedule: &str) -> Ended {
    replay(place, schedule, &["--redis", &redis.url(), "--format", "json"])
}

/// What was found.
#[track_caller]
fn found(ended: &Ended) -> Vec<String> {
    let json = ended.json();
    let findings = json["findings"].as_array().unwrap().iter();
    findings.map(|finding| finding["property"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_schedule_shows_again_what_it_shows_and_the_same_bytes_each_time() {
    let place = Place::new();
    let text = schedule("legacy", "async", FOREIGN_RELEASE);
    let first = replay(&place, &text, &["--format", "json"]);
    first.exits(0);
    assert_eq!(found(&first), ["foreign_release", "silent_loss"]);
    let json = first.json();
    assert_eq!((&json["clock"], &json["server"]), (&"virtual".into(), &"embedded".into()));
    assert_eq!(json["verdict"], "expected");
    let lanes = json["lanes"].as_array().unwrap();
    let marked: Vec<_> = lanes.iter().filter(|row| !row["mark"].is_null()).collect();
    assert_eq!(marked.len(), 1);
    assert_eq!(marked[0]["mark"], "deletes rival's lock");
    assert_eq!(replay(&place, &text, &["--format", "json"]).stdout, first.stdout);
    place.is_empty();
}

#[test]
fn the_picture_comes_first_and_all_of_it_and_the_locks_if_that_is_wanted() {
    let place = Place::new();
    let text = schedule("legacy", "async", FOREIGN_RELEASE);
    let short = replay(&place, &text, &[]);
    short.exits(0);
    let last = "REPRODUCED: it shows foreign_release again.\n";
    assert!(short.stdout.ends_with(last), "{}", short.stdout);
    let lines: Vec<_> = short.stdout.lines().collect();
    let header = lines.iter().position(|line| line.starts_with("step  holder")).unwrap();
    assert!(header < 6, "{}", short.stdout);
    for (part, always) in
        [("<-- deletes rival's lock", true), ("2/2 succeeded", false), ("redis lock exists", false)]
    {
        assert_eq!(short.stdout.contains(part), always, "{part}: {}", short.stdout);
    }
    let all = replay(&place, &text, &["--all"]);
    for part in ["<-- deletes rival's lock", "2/2 succeeded", "redis lock exists"] {
        assert!(all.stdout.contains(part), "no {part:?} in {}", all.stdout);
    }
    assert!(all.stdout.lines().count() > lines.len() && !all.stdout.contains("left out"));
}

#[test]
fn on_a_real_redis_it_shows_the_same_and_leaves_nothing() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let ended = on(&redis, &place, &schedule("legacy", "async", FOREIGN_RELEASE));
    ended.exits(0);
    assert_eq!(found(&ended), ["foreign_release", "silent_loss"]);
    let notices = ended.json()["notices"].to_string();
    assert!(notices.contains("setting it to one millisecond"), "{notices}");
    redis.is_empty();
    place.is_empty();
}

#[test]
fn what_goes_well_crashes_and_lost_replies_are_the_same_on_both_servers() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let cases = [
        ("legacy", "1x7.2x9", 0),
        ("legacy", "1x2.c1.2x4:stuck_lock", 0),
        ("legacy", "1x2.l1.2x4:stuck_lock", 0),
        ("hardened", "1x4.e1.2x4.1.2x3", 0),
        ("hardened", "1x4.e1.2x4.1.2x3:lost_update", 1),
    ];
    for (protocol, rest, exit) in cases {
        let text = schedule(protocol, "async", rest);
        let (ours, theirs) =
            (replay(&place, &text, &["--format", "json"]), on(&redis, &place, &text));
        ours.exits(exit);
        theirs.exits(exit);
        assert_eq!(found(&ours), found(&theirs), "{text}");
        let ends = |ended: &Ended| {
            let actors = ended.json()["actors"].clone();
            actors
                .as_array()
                .unwrap()
                .iter()
                .map(|actor| actor["status"].clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(ends(&ours), ends(&theirs), "{text}");
        redis.is_empty();
    }
    place.is_empty();
}

/// The holder pauses for longer than its lease.
const PAUSED: &str = r#"
format = 1
name = "paused"
title = "The holder pauses."
text = "The holder pauses."
hazards = []
[locks.main]
[[actors]]
name = "holder"
start = "after"
delay = "0s"
instance = "own"
steps = [ { acquire = "main", ttl = "1s" }, { pause = "2s" }, { release = "main", go_on = true } ]
[[actors]]
name = "rival"
start = "after"
delay = "1500ms"
instance = "own"
steps = [ { acquire = "main", ttl = "10s" }, { pause = "1s" }, { release = "main" } ]
"#;

#[test]
fn strict_timing_and_a_file_of_one_s_own() {
    let place = Place::new();
    let file = place.at("my paused one.toml");
    fs::write(&file, PAUSED).unwrap();
    let digest = Scenario::parse("paused.toml", PAUSED).unwrap().digest();
    let escaped = file.to_str().unwrap().replace(' ', "%20");
    let text = format!("v1:{escaped}@{digest:08x}:legacy:strict::1x4.e1.2x4.1.2x3");
    let ended = replay(&place, &text, &[]);
    ended.exits(0);
    for words in ["AS EXPECTED: it went as the schedule says.", "my paused one.toml"] {
        assert!(ended.stdout.contains(words), "{ended:#?}");
    }
    let moved = place.at("moved.toml");
    fs::rename(&file, &moved).unwrap();
    replay(&place, &text, &[]).refuses(2, &["cannot read", "my paused one.toml"]);
    let flags = ["--scenario", moved.to_str().unwrap()];
    replay(&place, &text, &flags).exits(0);
    if crate::redis_server::available("strict timing on a real Redis", "") {
        let redis = RedisServer::start(&[]);
        replay(&place, &text, &[&flags[..], &["--redis", &redis.url()]].concat()).exits(0);
        redis.is_empty();
    }
}

#[test]
fn a_schedule_may_stand_in_a_file_or_in_a_report() {
    let place = Place::new();
    let text = schedule("legacy", "async", FOREIGN_RELEASE);
    let report = format!(
        r#"{{"schema": "x", "counterexamples": [{{"property": "foreign_release", "schedule": "{text}"}}]}}"#
    );
    let command = format!(r#"{{"found": [{{"replay": "nodb-trigger replay {text}"}}]}}"#);
    let file = place.at("schedule");
    for content in [format!("{text}\n"), report, command] {
        fs::write(&file, content).unwrap();
        let ended = replay(&place, file.to_str().unwrap(), &["--format", "json"]);
        assert_eq!(found(ended.exits(0)), ["foreign_release", "silent_loss"]);
    }
    for (content, why) in [
        ("{}", "there is no schedule in it"),
        ("hello", "there is no schedule in it"),
        ("v2:x", "this program reads version 1"),
        (r#"{"schedule": "v1:x"}"#, "8 hexadecimal digits"),
    ] {
        fs::write(&file, content).unwrap();
        replay(&place, file.to_str().unwrap(), &[]).refuses(2, &[why]);
    }
    fs::remove_file(&file).unwrap();
    place.is_empty();
}

#[test]
fn what_can_t_be_read_is_refused() {
    let place = Place::new();
    let cases = [
        ("nowhere".to_owned(), "is neither a schedule (v1:...) nor a file"),
        (
            format!("{}.1y", schedule("legacy", "async", "1x3")),
            "\"1y\" should be a whole number from 1",
        ),
        (
            schedule("redlock", "async", "1x2"),
            "unknown protocol \"redlock\"; known: legacy, current, hardened",
        ),
        (schedule("legacy", "async", "1x3").replace("ttl=1s", "ttl=1"), "ttl=1: add a unit"),
        (
            schedule("legacy", "async", "1x3").replace("ttl=1s", "rate=1"),
            "unknown parameter \"rate\"",
        ),
        (
            schedule("legacy", "async", "1x3").replace("wait=0s", "wait=x"),
            "wait=x: give a duration",
        ),
        (schedule("legacy", "async", "1x3").replace("check_then", "no_such"), "unknown scenario"),
        ("/".to_owned(), "cannot read /: it is no plain file"),
    ];
    for (text, why) in cases {
        replay(&place, &text, &[]).refuses(2, &[why]);
    }
    place.is_empty();
}

#[test]
fn where_it_parts_is_said_and_that_the_scenario_has_changed() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let text = schedule("legacy", "async", "1x5.2x3.e1.2x2");
    replay(&place, &text, &[]).refuses(4, &["but it has ended"]);
    let ended = replay(&place, &text, &["--redis", &redis.url()]);
    ended.refuses(4, &["the replay parted from the schedule", "turn 11 of 11"]);
    let digest = text.split(['@', ':']).nth(2).unwrap();
    let other = text.replace(digest, "0badcafe");
    replay(&place, &other, &[]).exits(4).says(&[
        "check_then_delete has changed since the schedule was found",
        "0badcafe",
        "the replay parted from the schedule",
        "but it has ended; the scenario has changed since",
    ]);
    redis.is_empty();
    place.is_empty();
}

#[test]
fn a_lock_of_somebody_else_is_left_alone_and_no_replay_lasts_for_ever() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let text = schedule("legacy", "async", FOREIGN_RELEASE);
    let key = on(&redis, &place, &text).json()["consistency"][0]["lock_key"].clone();
    let mut con = redis.client().get_connection().unwrap();
    redis::cmd("SET")
        .arg(key.as_str().unwrap())
        .arg("theirs")
        .arg("EX")
        .arg(100)
        .exec(&mut con)
        .unwrap();
    let before = redis.everything();
    replay(&place, &text, &["--redis", &redis.url()]).refuses(3, &["is locked by"]);
    assert_eq!(redis.everything(), before);
    redis::cmd("FLUSHALL").exec(&mut con).unwrap();
    let flags = ["--redis", &redis.url(), "--timeout", "1ms"];
    replay(&place, &text, &flags).refuses(4, &["timed out at turn", "see --timeout"]);
    redis.is_empty();
    place.is_empty();
}

#[test]
fn a_server_that_never_answers_is_given_up_at_the_time_limit() {
    let server = Middleman::alone(|_| Fate::Silence);
    let place = Place::new();
    let text = schedule("legacy", "async", FOREIGN_RELEASE);
    let ended = replay(&place, &text, &["--redis", &server.url(), "--timeout", "1s"]);
    ended.refuses(3, &["127.0.0.1", "did not answer within 1s", "is it stopped"]);
    place.is_empty();
}
