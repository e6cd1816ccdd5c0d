//! Real lock clients, explored and replayed: what is found in which, and what becomes of subjects that
//! do what no subject should.
//!
//! Those that must be installed (`scripts/subjects.sh`) are left out where they aren't, unless
//! `NODB_REQUIRE_REDIS=1`.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::Value;

use crate::program::{Ended, Place, Program, wait_until};
use crate::redis_server::redis_or_skip;

const SCENARIO: &str = "mutual_exclusion";

/// Where `scripts/subjects.sh` puts what it makes.
pub fn installed() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    target.join("subjects")
}

pub fn shipped(name: &str) -> String {
    format!("{}/examples/subjects/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// The command line of a subject, if all these files are there.
fn command(test: &str, words: &[&str], needed: &[&Path]) -> Option<String> {
    let Some(missing) = needed.iter().find(|path| !path.exists()) else {
        return Some(words.join(" "));
    };
    let what = format!("no {}: run scripts/subjects.sh", missing.display());
    assert!(std::env::var_os("NODB_REQUIRE_REDIS").is_none_or(|v| v != "1"), "{test}: {what}");
    let _ = std::io::stderr().write_all(format!("\nleft out: {test} ({what})\n").as_bytes());
    None
}

pub fn python(test: &str, version: &str, script: &str) -> Option<String> {
    python_with(test, &format!("redis-{version}"), script)
}

/// The same with another package.
pub fn python_with(test: &str, package: &str, script: &str) -> Option<String> {
    python_of(test, package).map(|python| format!("{python} {}", shipped(script)))
}

/// The Python that has a package.
pub fn python_of(test: &str, package: &str) -> Option<String> {
    let python = installed().join(package).join("bin/python");
    command(test, &[python.to_str().unwrap()], &[&python])
}

/// The directory of the packages for Node.js, if it has this one.
pub fn packages_with(test: &str, package: &str) -> Option<String> {
    let packages = shipped("node/node_modules");
    let needed = Path::new(&packages).join(package);
    command(test, &[&packages], &[&needed])
}

pub fn probe(subject: &str, rest: &[&str]) -> Ended {
    let words = ["probe", SCENARIO, "--max-time=1h", "--format=json", "--subject", subject];
    Program::new(words.iter().chain(rest)).run()
}

pub fn row(ended: &Ended) -> Value {
    ended.json()["protocols"][0].clone()
}

/// What was found.
pub fn found(row: &Value) -> BTreeSet<String> {
    let all = row["counterexamples"].as_array().unwrap();
    all.iter().map(|one| one["property"].as_str().unwrap().to_owned()).collect()
}

/// The schedule that shows this.
pub fn schedule(row: &Value, property: &str) -> String {
    let all = row["counterexamples"].as_array().unwrap();
    let one = all.iter().find(|one| one["property"] == property);
    one.unwrap_or_else(|| panic!("no {property} in {row}"))["schedule"].as_str().unwrap().to_owned()
}

/// Probes a client that must break a rule, and replays what shows it.
#[track_caller]
pub fn breaks(subject: &str, property: &str, rest: &[&str]) -> String {
    let ended = probe(subject, rest);
    ended.exits(1);
    let schedule = schedule(&row(&ended), property);
    let again = Program::new(["replay", &schedule, "--subject", subject]).run();
    again.exits(0);
    assert!(again.stdout.contains(&format!("REPRODUCED: it shows {property} again")), "{again:#?}");
    schedule
}

/// Probes a client that must keep all rules, in all stages.
#[track_caller]
fn keeps(subject: &str) {
    let ended = probe(subject, &[]);
    ended.exits(0);
    let row = row(&ended);
    assert!(row["orderings"].as_u64().unwrap() > 100, "{row}");
    assert_eq!(row["stopped_by"], Value::Null);
    assert_eq!(row["covered"].as_array().unwrap().len(), 3, "{row}");
    // Leases end under holders; that is no fault of the client's.
    assert!(found(&row).contains("overlap"), "{row}");
    for one in row["counterexamples"].as_array().unwrap() {
        assert_eq!(one["judged"], false, "{one}");
    }
}

#[test]
fn the_old_lock_of_redis_py_deletes_the_lock_of_others() {
    let subject = python("the old lock of redis-py", "2.10.6", "redis_py.py");
    let Some(subject) = subject.map(|it| it + " --plain") else { return };
    let schedule = breaks(&subject, "foreign_release", &["--crashes=0"]);
    let redis = redis_or_skip!();
    for _ in 0..3 {
        let words = ["replay", &schedule, "--subject", &subject, "--redis", &redis.url()];
        let ended = Program::new(words).run();
        ended.exits(0);
        assert!(ended.stdout.contains("REPRODUCED: it shows foreign_release again"), "{ended:#?}");
        assert!(ended.stdout.contains("deletes client_2's lock"), "{ended:#?}");
        redis.is_empty();
    }
}

#[test]
fn the_old_lock_of_redis_py_stays_for_good_if_it_is_killed_before_it_sets_the_ttl() {
    let subject = python("the crash window of redis-py", "2.10.6", "redis_py.py");
    let Some(subject) = subject.map(|it| it + " --plain") else { return };
    breaks(&subject, "stuck_lock", &["--crashes=1"]);
    // What it knows nothing of is not held against it.
    let row = row(&probe(&subject, &["--crashes=1"]));
    assert!(!found(&row).contains("flag_drift"), "{row}");
}

#[test]
fn the_lock_of_redis_py_keeps_all_rules() {
    let Some(subject) = python("the lock of redis-py", "8.1.0", "redis_py.py") else { return };
    keeps(&subject);
}

#[test]
fn rslock_keeps_all_rules() {
    let program = installed().join("rslock/debug/rslock-subject");
    let Some(subject) = command("rslock", &[program.to_str().unwrap()], &[&program]) else {
        return;
    };
    keeps(&subject);
}

#[test]
fn redlock_keeps_all_rules() {
    let (script, packages) = (shipped("node/redlock.js"), shipped("node/node_modules/redlock"));
    let Some(subject) = command("redlock", &["node", &script], &[Path::new(&packages)]) else {
        return;
    };
    keeps(&subject);
}

#[test]
fn temporary_files_of_subjects_that_are_killed_do_not_stay() {
    let place = Place::new();
    let subject = format!("mktemp -d -t left-XXXXXX >&2 && exec {}", shipped("bash.sh"));
    let words = ["probe", "mutual_exclusion", "--crashes=1", "--property=foreign_release"];
    let probe = Program::new(words).arg("--subject").arg(subject);
    let ended = probe.env("TMPDIR", place.at("").to_str().unwrap()).run();
    ended.exits(1);
    place.is_empty();
}

#[test]
fn a_lock_written_by_hand_in_bash_is_explored_like_any_other() {
    let subject = shipped("bash.sh");
    breaks(&subject, "foreign_release", &["--crashes=0"]);
    // Who is left without a reply says that it broke, which is no failure of the subject.
    let ended = probe(&subject, &["--faults=1", "--property=foreign_release"]);
    ended.exits(1);
}

#[test]
fn a_release_that_a_client_gave_up_deletes_the_lock_of_whoever_came_next() {
    let subject = shipped("bash.sh");
    // Without a preemption, it takes a DEL that comes late.
    let rest = ["--faults=1", "--preemptions=0", "--property=foreign_release"];
    let schedule = breaks(&subject, "foreign_release", &rest);
    assert!(schedule.contains(".p1") && schedule.contains(".a1"), "{schedule}");
    let redis = redis_or_skip!();
    let words = ["replay", &schedule, "--subject", &subject, "--redis", &redis.url()];
    let ended = Program::new(words).run();
    ended.exits(0);
    let late = ended.stdout.lines().find(|line| line.contains("DEL lock -> 1, late"));
    assert!(late.is_some_and(|line| line.contains("deletes client_2's lock")), "{ended:#?}");
    redis.is_empty();
}

#[test]
fn our_own_locks_in_processes_show_what_they_show_in_threads() {
    for (lock, shows, code) in [("legacy", true, 1), ("hardened", false, 0)] {
        let subject = format!("{} subject --lock {lock}", env!("CARGO_BIN_EXE_nodb-trigger"));
        let probed = probe(&subject, &["--property=foreign_release", "--crashes=0"]);
        probed.exits(code);
        let words = ["explore", SCENARIO, "--lock", lock, "--format=json"];
        let explored = Program::new(words).arg("--property=foreign_release").run();
        let explored = explored.json()["protocols"].as_array().unwrap().clone();
        let shown = explored.iter().any(|row| found(row).contains("foreign_release"));
        assert_eq!((found(&row(&probed)).contains("foreign_release"), shown), (shows, shows));
    }
}

/// A subject like that in bash, but for some words.
pub fn altered(place: &Place, from: &str, to: &str) -> String {
    altered_all(place, &[(from, to)])
}

/// The same, but for several words.
pub fn altered_all(place: &Place, words: &[(&str, &str)]) -> String {
    let mut text = fs::read_to_string(shipped("bash.sh")).unwrap();
    for (from, to) in words {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    let path = place.at("subject.sh");
    fs::write(&path, text).unwrap();
    format!("bash {}", path.display())
}

/// A command line that notes its process before it goes on, and the processes that were noted.
pub fn noted(place: &Place, command: &str) -> String {
    format!("echo $$ >> {}; {command}", place.at("pids").display())
}

pub fn alive(place: &Place) -> Vec<String> {
    let pids = fs::read_to_string(place.at("pids")).unwrap_or_default();
    let lives = |pid: &&str| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = stat.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next());
        state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
    };
    pids.lines().filter(lives).map(str::to_owned).collect()
}

/// Short only where it must run out: on a busy machine every answer is slow.
fn patience(words: &[&str]) -> &'static str {
    if words[0].starts_with("said nothing") { "--patience=2s" } else { "--patience=1h" }
}

#[test]
fn a_subject_that_does_not_play_along_is_named_and_ended() {
    let greets = r#"echo '{"subject": "odd"}'"#;
    let errs = format!(r#"{greets}; while read line; do echo '{{"error": "it broke"}}'; done"#);
    let mute = format!("{greets}; sleep 1000");
    let nameless = r#"echo '{"client": "odd"}'; sleep 1000"#;
    let floods = format!("{greets}; yes {}", "x".repeat(100));
    for (command, words) in [
        ("sleep 1000", &["said nothing for 2.000 s", "say what it is", "--patience"][..]),
        (&mute, &["said nothing for 2.000 s", "was to acquire"]),
        ("echo no such thing >&2; exit 7", &["ended while", "say what it is", "no such thing"]),
        ("no-such-program", &["ended while", "not found"]),
        (&format!("{greets}; read line"), &["ended while it was to acquire"]),
        ("echo hello; sleep 1000", &["say what it is", "\"hello\"", "no JSON"]),
        (nameless, &["no member \"subject\""]),
        (&floods, &["was to acquire", "no JSON"]),
        (&errs, &["was to acquire", "it broke"]),
    ] {
        let place = Place::new();
        probe(&noted(&place, command), &[patience(words)]).refuses(3, words);
        wait_until(command, || alive(&place).is_empty());
    }
}

#[test]
fn what_a_subject_does_at_work_is_named_too() {
    let random =
        ("ask GET \"$1\" || return 2", "(( RANDOM % 2 )) || ask GET \"$1\"; ask GET \"$1\"");
    let many = ("ask GET \"$1\"", "for i in {1..100}; do exec {fd}<>$server; done; ask GET \"$1\"");
    for ((from, to), code, words) in [
        (("ask DEL \"$1\"", "ask XADD queue 1-1 f v"), 3, &["XADD", "--upstream redis://"][..]),
        (("ask DEL \"$1\"", "sleep 1000"), 3, &["said nothing for", "release"]),
        (("ask DEL \"$1\"", "exit 3; ask DEL"), 3, &["ended while it was to release"]),
        (("ask GET \"$1\"", "printf GARBAGE >&3; ask GET \"$1\""), 3, &["release"]),
        (many, 3, &["more than 64 connections"]),
        (random, 4, &["lock in bash"]),
    ] {
        let place = Place::new();
        let subject = noted(&place, &altered(&place, from, to));
        let ended = probe(&subject, &[patience(words)]);
        ended.refuses(code, words);
        wait_until(to, || alive(&place).is_empty());
    }
}

#[test]
fn a_signal_ends_the_subjects() {
    for (subject, signal) in [
        (r#"echo '{"subject": "odd"}'; sleep 1000"#.to_owned(), Signal::INT),
        ("sleep 1000".to_owned(), Signal::TERM),
    ] {
        let place = Place::new();
        let subject = noted(&place, &subject);
        let words = ["probe", SCENARIO, "--patience=1h", "--subject", &subject];
        let working = Program::new(words).start();
        wait_until("a subject runs", || !alive(&place).is_empty());
        working.signal(signal);
        working.end().exits(130).says(&["interrupted"]);
        wait_until("they are gone", || alive(&place).is_empty());
    }
}

/// A subject whose lock has no TTL, and which looks at each process that was started, `$pid`, before
/// it takes the lock; what it says then goes to the file `log`.
fn looking(place: &Place, snapshots: &str) -> String {
    let (pids, log) = (place.at("pids"), place.at("log"));
    let snapshots = format!(
        "for pid in $(cat {}); do {snapshots}; done >> {}; ",
        pids.display(),
        log.display()
    );
    let take = "ask SET \"$1\" \"$token\" NX";
    let altered = altered(place, &format!("{take} PX \"$2\""), &format!("{snapshots}{take}"));
    noted(place, &altered)
}

/// Replays it, and forgets before who was there and what they saw.
fn again(place: &Place, schedule: &str, subject: &str) {
    fs::remove_file(place.at("pids")).unwrap();
    fs::remove_file(place.at("log")).unwrap();
    Program::new(["replay", schedule, "--subject", subject]).run().exits(0);
}

#[test]
fn who_is_killed_in_a_replay_is_gone_when_the_next_one_comes() {
    let place = Place::new();
    let subject = looking(&place, "[[ -e /proc/$pid ]] || echo gone");
    let ended = probe(&subject, &["--crashes=1", "--property=stuck_lock"]);
    ended.exits(1);
    again(&place, &schedule(&row(&ended), "stuck_lock"), &subject);
    let log = fs::read_to_string(place.at("log")).unwrap();
    // The one that comes next, and the one that tries at the end.
    assert_eq!(log, "gone\ngone\n");
    assert!(alive(&place).is_empty());
}

/// A scenario in which one pauses while the other tries to get its lock.
const PAUSES: &str = r#"
format = 1
name = "pauses"
title = "One pauses while the other tries to get its lock."
text = "One pauses while the other tries to get its lock."
hazards = []

[locks.main]

[[actors]]
name = "one"
start = "after"
delay = "0s"
steps = [{ acquire = "main", name = "one has it" }, { pause = "1s" }, { crash = true }]

[[actors]]
name = "two"
start = "after"
delay = "0s"
steps = [{ await = "one has it" }, { acquire = "main" }]
"#;

#[test]
fn who_pauses_in_a_replay_stands_still_when_the_next_one_comes() {
    let place = Place::new();
    let file = place.at("pauses.toml");
    fs::write(&file, PAUSES).unwrap();
    let subject = looking(&place, "[[ $(< /proc/$pid/stat) == *') T '* ]] && echo stopped");
    let words =
        ["probe", file.to_str().unwrap(), "--crashes=0", "--format=json", "--subject", &subject];
    let ended = Program::new(words).arg("--timing=strict").arg("--property=stuck_lock").run();
    again(&place, &schedule(&row(&ended), "stuck_lock"), &subject);
    assert_eq!(fs::read_to_string(place.at("log")).unwrap(), "stopped\n");
    assert!(alive(&place).is_empty());
}

#[test]
fn a_schedule_of_a_subject_needs_the_subject() {
    let subject = shipped("bash.sh");
    let schedule = schedule(&row(&probe(&subject, &["--crashes=0"])), "foreign_release");
    Program::new(["replay", &schedule]).run().refuses(2, &["--subject"]);
    // Another client goes another way.
    let other = format!("{} subject --lock hardened", env!("CARGO_BIN_EXE_nodb-trigger"));
    Program::new(["replay", &schedule, "--subject", &other]).run().exits(4);
}

/// The table of a client that anyone can read: it holds what the client sent, and its sentence names steps
/// that the picture shows.
#[test]
fn a_picture_of_a_client_has_no_word_that_it_did_not_send_and_shows_each_step_that_is_named() {
    let place = Place::new();
    let text = fs::read_to_string(shipped("bash.sh")).unwrap();
    // The lease comes before the condition.
    let text = text.replace(r#"NX PX "$2""#, r#"PX "$2" NX"#);
    let path = place.at("subject.sh");
    fs::write(&path, text).unwrap();
    let subject = format!("bash {}", path.display());
    for property in ["foreign_release", "overlap", "silent_loss"] {
        let words =
            ["probe", SCENARIO, "--crashes=0", "--property", property, "--subject", &subject];
        let probed = Program::new(words).run();
        let (_, after) = probed.stdout.split_once("\nstep ").unwrap();
        let (shown, rest) = after.split_once("\nreplay: ").unwrap();
        let schedule = rest.split_whitespace().nth(2).unwrap();
        let replayed = Program::new(["replay", schedule, "--subject", &subject]).run();
        replayed.exits(0);
        let (_, again) = replayed.stdout.split_once("\nstep ").unwrap();
        for shown in [shown, again] {
            assert!(shown.contains("SET lock PX 21600000 NX -> OK"), "{shown}");
            for word in ["flag", "script", " us", "stranger", "nobody", "somebody"] {
                assert!(!shown.contains(word), "{word}: {shown}");
            }
            let is_about_the_file = shown.contains("lost_update");
            assert_eq!(shown.contains("revision"), is_about_the_file, "{shown}");
            let drawn = |number: &str| {
                shown.lines().any(|line| line.split_whitespace().next() == Some(number))
            };
            let flat = shown.split_whitespace().collect::<Vec<_>>().join(" ");
            let (_, said) = flat.split_once("lease ended at step ").unwrap();
            let numbers = format!("step {said}");
            let numbers: Vec<&str> = numbers
                .split("step ")
                .skip(1)
                .map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap())
                .collect();
            assert!(numbers.len() > 1 && numbers.iter().all(|it| drawn(it)), "{numbers:?} {shown}");
        }
    }
}
