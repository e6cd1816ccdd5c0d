//! The conditional commands of Redis 8.4 and Valkey: clients that use them well and badly are judged alike in
//! `probe`, and a Redis that lacks them is named.

use crate::probe::{altered_all, found, row};
use crate::program::{Ended, Place, Program, arguments};
use crate::redis_server::redis_or_skip;

const TAKE: &str = "ask SET \"$1\" \"$token\" NX PX";
const COMPARE: &str =
    "ask GET \"$1\" || return 2\n    [[ $reply == \"$token\" ]] || return 1\n    ";
const DELETE: &str = "ask DEL \"$1\"";

/// Probes the lock in bash with another acquire and release, and with this extension if it has one.
fn probe(take: &str, give: &str, extend: Option<&str>, rest: &[&str]) -> Ended {
    let place = Place::new();
    let name = r#"'{"subject": "a lock in bash"}'"#;
    let extending = r#"'{"subject": "a lock in bash", "can": ["extend"]}'"#;
    let verb = format!(
        "extend() {{\n    {} || return 2\n    [[ $reply == +OK ]]\n}}\n\nreset() {{",
        extend.unwrap_or_default()
    );
    let mut words = vec![(TAKE, take), (COMPARE, ""), (DELETE, give)];
    if extend.is_some() {
        words.extend([(name, extending), ("reset() {", &*verb)]);
    }
    let subject = altered_all(&place, &words);
    let scenario = if extend.is_some() { "extend_after_expiry" } else { "mutual_exclusion" };
    let words = ["probe", scenario, "--format", "json", "--subject", &subject];
    Program::new(words.iter().chain(rest)).run()
}

const GOOD: &str = "ask DELEX \"$1\" IFEQ \"$token\"";

#[test]
fn a_client_that_compares_in_each_command_keeps_all_rules() {
    for give in [GOOD, "ask DELIFEQ \"$1\" \"$token\""] {
        let ended = probe(TAKE, give, None, &[]);
        ended.exits(0);
        assert!(row(&ended)["orderings"].as_u64().unwrap() > 100, "{ended:#?}");
    }
    let extend = "ask SET \"$1\" \"$token\" IFEQ \"$token\" PX \"$2\"";
    let ended = probe(TAKE, GOOD, Some(extend), &["--crashes=0"]);
    ended.exits(0);
}

#[test]
fn a_condition_that_is_left_out_is_found() {
    let greedy = "ask SET \"$1\" \"$token\" IFNE \"$token\" PX";
    let no_px = "ask SET \"$1\" \"$token\" IFEQ \"$token\"";
    let blind = "ask SET \"$1\" \"$token\" XX PX \"$2\"";
    for (take, give, extend, property) in [
        (TAKE, "ask DELEX \"$1\"", None, "foreign_release"),
        (TAKE, "ask DELEX \"$1\" IFNE free", None, "foreign_release"),
        (greedy, GOOD, None, "double_grant"),
        (greedy, GOOD, None, "foreign_overwrite"),
        (TAKE, GOOD, Some(blind), "foreign_overwrite"),
    ] {
        let ended = probe(take, give, extend, &["--crashes=0", "--property", property]);
        ended.exits(1);
        assert!(found(&row(&ended)).contains(property), "{property}: {ended:#?}");
    }
    let ended = probe(TAKE, GOOD, Some(no_px), &["--crashes=1", "--property=stuck_lock"]);
    ended.exits(1);
    assert!(found(&row(&ended)).contains("stuck_lock"), "{ended:#?}");
}

#[test]
fn a_client_that_compares_digests_gets_no_verdict() {
    let digest = "ask DIGEST \"$1\" || return 2\n    ask DELEX \"$1\" IFDEQ \"$reply\"";
    probe(TAKE, digest, None, &["--crashes=0"]).refuses(3, &["DIGEST", "digests are not followed"]);
    let given = "ask DELEX \"$1\" IFDEQ 0123456789abcdef";
    probe(TAKE, given, None, &["--crashes=0"]).refuses(3, &["DELEX ... IFDEQ", "IFEQ"]);
}

#[test]
fn a_redis_that_lacks_a_command_of_a_scenario_is_told_which_one_has_it() {
    let redis = redis_or_skip!(version "7.0");
    for (scenario, words) in [
        ("delex_without_condition", ["DELEX needs Redis 8.4 or Valkey 9.2", "leave out --redis"]),
        ("extend_without_px", ["SET with IFEQ needs Redis 8.4 or Valkey 8.1", "leave out --redis"]),
        ("ifne_acquire", ["IFNE, IFDEQ or IFDNE needs Redis 8.4", "leave out --redis"]),
    ] {
        let place = Place::new();
        let url = redis.url();
        let flags = ["--redis", &url, "--timeout", "20s"];
        let ended = Program::new(arguments(&[scenario], &place.run(), &flags)).run();
        ended.exits(3).says(&words);
        place.is_empty();
    }
    redis.is_empty();
}

/// A run and an exploration of a scenario in which a rival sends a command about the holder's lock.
fn finds(command: &str, property: &str) -> Ended {
    let place = Place::new();
    let file = place.at("made_up.toml");
    let text = format!(
        r#"format = 1
name = "made_up"
title = "Made up for a test."
text = "A rival sends one command about the holder's lock."

[locks.main]

[[actors]]
name = "holder"
start = "after"
delay = "0s"
instance = "own"
steps = [
  {{ acquire = "main", name = "holder has it" }},
  {{ await = "rival's command" }},
  {{ release = "main", go_on = true }},
]

[[actors]]
name = "rival"
start = "after"
delay = "0s"
instance = "own"
steps = [
  {{ await = "holder has it" }},
  {{ redis = {command}, name = "rival's command" }},
]

[[expect]]
finds = "{property}"

[[explore]]
finds = "{property}"
"#
    );
    std::fs::write(&file, text).unwrap();
    Program::new(["run", file.to_str().unwrap(), "--virtual"]).run()
}

#[test]
fn runs_and_explorations_judge_conditional_commands_alike() {
    for (command, property) in [
        (r#"["DELEX", "{key}"]"#, "foreign_release"),
        (r#"["DELEX", "{key}", "IFNE", "{token}"]"#, "foreign_release"),
        (r#"["SET", "{key}", "{token}", "IFNE", "{token}"]"#, "foreign_overwrite"),
        (r#"["SET", "{key}", "{token}", "IFNE", "{token}", "GET"]"#, "foreign_overwrite"),
        (r#"["PERSIST", "{key}"]"#, "foreign_extend"),
    ] {
        finds(command, property).exits(0);
    }
    for (command, property) in [
        (r#"["DELEX", "{key}", "IFEQ", "{token}"]"#, "foreign_release"),
        (r#"["DELIFEQ", "{key}", "{token}"]"#, "foreign_release"),
        (r#"["SET", "{key}", "{token}", "IFEQ", "{token}"]"#, "foreign_overwrite"),
        (r#"["SET", "{key}", "{token}", "NX", "GET"]"#, "foreign_overwrite"),
    ] {
        let ended = finds(command, property);
        ended.exits(1);
        let unexpected = "1 scenario and 1 exploration: 2 not as expected";
        assert!(ended.stdout.contains(unexpected), "{command}: {ended:#?}");
    }
}
