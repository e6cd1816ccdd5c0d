//! The rules of a scenario, applied to real clients: what befalls a command of theirs, and what they make
//! of it. Most clients here are the lock in bash with some words altered.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use rustix::process::Signal;

use crate::probe::{found, python, row, schedule, shipped};
use crate::program::{Ended, Place, Program, wait_until};

/// A scenario of one who takes the lock for a second and gives it back, and of a rival who comes when that
/// lease has ended, or before.
fn scenario(place: &Place, rival_waits: &str, rule: &str) -> String {
    let text = format!(
        r#"
format = 1
name = "befallen"
title = "Something befalls a command of the first."
text = "The other comes after it."
hazards = []

[locks.main]

[[actors]]
name = "first"
start = "together"
steps = [
  {{ acquire = "main", ttl = "1s", name = "tried", go_on = true }},
  {{ release = "main", name = "gave up" }},
]

[[actors]]
name = "rival"
start = "after"
delay = "0s"
steps = [
  {{ await = "gave up" }},
  {{ sleep = "{rival_waits}" }},
  {{ acquire = "main", ttl = "2s", name = "rival has it" }},
]

[[rules]]
name = "befalls"
actor = "first"
{rule}
"#
    );
    let path = place.at("befallen.toml");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The lock in bash with some words altered. For each thing that it was told it notes what, with which
/// lease, how that ended (0 done, 1 no, 2 no reply), and the last reply.
fn bash(place: &Place, alter: &[(&str, &str)]) -> String {
    let note = format!(
        "code=$?; echo \"$(member do) $(member ttl_ms) $code $reply\" >> '{}'\n    case $code in",
        place.at("log").display()
    );
    let mut text = fs::read_to_string(shipped("bash.sh")).unwrap();
    for (from, to) in alter.iter().copied().chain([("case $? in", &*note)]) {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    let path = place.at("subject.sh");
    fs::write(&path, text).unwrap();
    format!("bash {}", path.display())
}

/// Probes where time passes only as the steps say: a rule alone decides.
fn probe(file: &str, subject: &str, rest: &[&str]) -> Ended {
    let words =
        ["probe", file, "--crashes=0", "--timing=strict", "--format=json", "--subject", subject];
    Program::new(words.iter().chain(rest)).run()
}

#[track_caller]
fn notes(place: &Place, wanted: &[&str]) {
    let log = fs::read_to_string(place.at("log")).unwrap();
    for line in wanted {
        assert!(log.lines().any(|noted| noted.trim_end() == *line), "{line:?} in:\n{log}");
    }
}

#[test]
fn one_that_is_killed_at_the_second_command_of_its_acquire_leaves_a_lock_without_a_ttl() {
    let subject = python("a rule that kills redis-py", "2.10.6", "redis_py.py");
    let Some(subject) = subject.map(|it| it + " --plain") else { return };
    let place = Place::new();
    let file = scenario(&place, "0s", "operation = \"acquire\"\noccurrence = 2\ncrash = true");
    for timing in ["--timing=strict", "--timing=async"] {
        let words = ["probe", &file, "--crashes=0", "--format=json", timing, "--subject", &subject];
        let ended = Program::new(words).run();
        ended.exits(1);
        let row = row(&ended);
        assert!(found(&row).contains("stuck_lock"), "{row}");
        // Nobody ever gets further than the one who is killed, so each ordering shows it.
        let mut all = row["counterexamples"].as_array().unwrap().iter();
        let stuck = all.find(|one| one["property"] == "stuck_lock").unwrap();
        assert_eq!((&row["orderings"], &stuck["after"]), (&1.into(), &1.into()), "{row}");
    }
    let third = scenario(&place, "0s", "operation = \"acquire\"\noccurrence = 3\ncrash = true");
    probe(&third, &subject, &["--property=stuck_lock"]).exits(0);
}

#[test]
fn one_that_hears_no_reply_to_its_acquire_locks_others_out_and_does_not_know_it() {
    for (rule, notes_of) in [
        ("operation = \"acquire\"\ndrop_reply = true", ["acquire 1000 2", "acquire 2000 1"]),
        ("command = \"GET\"\ndrop_reply = true", ["acquire 1000 0 +OK", "acquire 2000 1"]),
        ("operation = \"acquire\"\nforget = true", ["acquire 1000 2", "acquire 2000 0 +OK"]),
        // Of two rules the first decides.
        (
            "operation = \"acquire\"\nforget = true\n\n[[rules]]\nname = \"second\"\n\
             actor = \"first\"\noperation = \"acquire\"\ndrop_reply = true",
            ["acquire 1000 2", "acquire 2000 0 +OK"],
        ),
    ] {
        let place = Place::new();
        let file = scenario(&place, "0s", rule);
        probe(&file, &bash(&place, &[]), &["--property=stuck_lock"]).exits(0);
        notes(&place, &notes_of);
    }
}

#[test]
fn a_release_that_is_forgotten_leaves_the_lock_until_its_lease_ends() {
    for (waits, notes_of) in
        [("0s", ["release  2", "acquire 2000 1"]), ("2s", ["release  2", "acquire 2000 0 +OK"])]
    {
        let place = Place::new();
        let rule = "operation = \"release\"\noccurrence = 2\nforget = true";
        let file = scenario(&place, waits, rule);
        probe(&file, &bash(&place, &[]), &["--property=stuck_lock"]).exits(0);
        notes(&place, &notes_of);
    }
}

/// A release that looks and deletes in one script.
const IN_ONE: [(&str, &str); 2] = [
    ("ask GET \"$1\" || return 2\n    [[ $reply == \"$token\" ]] || return 1\n    ", ""),
    ("ask DEL \"$1\"", "ask EVAL \"$SCRIPT\" 1 \"$1\" \"$token\""),
];
const SCRIPT: (&str, &str) = (
    "export LC_ALL=C",
    "export LC_ALL=C\nSCRIPT='if redis.call(\"GET\", KEYS[1]) == ARGV[1] then return \
     redis.call(\"DEL\", KEYS[1]) end return 0'",
);
/// One that deletes in a transaction.
const IN_A_TRANSACTION: (&str, &str) =
    ("ask DEL \"$1\"", "ask MULTI; ask DEL \"$1\"; ask EXEC && [[ $reply == -* ]] || hear");

#[test]
fn a_release_that_runs_late_deletes_the_rival_s_lock_unless_it_compares() {
    let compares = [IN_ONE[0], IN_ONE[1], SCRIPT];
    for (alter, nth, deletes) in
        [(&[][..], 2, true), (&[IN_A_TRANSACTION][..], 2, true), (&compares[..], 1, false)]
    {
        let place = Place::new();
        let subject = bash(&place, alter);
        let rule =
            format!("operation = \"release\"\noccurrence = {nth}\nrun_late = \"rival has it\"");
        let file = scenario(&place, "2s", &rule);
        let ended = probe(&file, &subject, &["--property=foreign_release"]);
        notes(&place, &["acquire 2000 0 +OK"]);
        assert_eq!(found(&row(&ended)).contains("foreign_release"), deletes, "{alter:?}");
        ended.exits(i32::from(deletes));
        let log = fs::read_to_string(place.at("log")).unwrap();
        assert!(log.lines().any(|line| line.starts_with("release  2")), "{alter:?}: {log}");
    }
}

#[test]
fn a_command_that_fails_is_answered_as_a_server_would() {
    let refusal = "LOADING Redis is loading the dataset in memory";
    let tells = ("[[ $reply == +OK ]]", "[[ $reply == -* ]] && return 2; [[ $reply == +OK ]]");
    let acquire = format!("operation = \"acquire\"\nfail = \"{refusal}\"");
    let release = format!("operation = \"release\"\noccurrence = 2\nfail = \"{refusal}\"");
    let aborted = format!("release  1 -EXECABORT Transaction discarded because of: {refusal}");
    for (alter, rule, noted) in [
        (vec![], &acquire, format!("acquire 1000 1 -{refusal}")),
        // One that says that it broke is none that is broken.
        (vec![tells], &acquire, format!("acquire 1000 2 -{refusal}")),
        (vec![], &release, format!("release  1 -{refusal}")),
        (vec![IN_A_TRANSACTION], &release, aborted),
    ] {
        let place = Place::new();
        let subject = bash(&place, &alter);
        probe(&scenario(&place, "0s", rule), &subject, &["--property=stuck_lock"]).exits(0);
        notes(&place, &[&noted]);
    }
}

/// One that tells how it came to hear nothing, and may have a time-out.
fn told_apart(place: &Place, times_out: bool) -> String {
    let hears = "hear() { IFS= read -r -d";
    let waits = if times_out { "hear() { IFS= read -r -t 0.2 -d" } else { hears };
    let can = r#""a lock in bash", "can": ["time_out"]}"#;
    let answer = "echo '{\"error\": \"no reply\"}'";
    let told = "echo \"{\\\"ok\\\": false, \\\"why\\\": \\\"$how\\\"}\"";
    let alter = [
        (hears, waits),
        (
            "reply <&3 &&",
            "reply <&3 || { (($? > 128)) && how='timed out' || how='connection lost'; return 1; };",
        ),
        (r#""a lock in bash"}"#, if times_out { can } else { r#""a lock in bash"}"# }),
        (answer, told),
    ];
    bash(place, &alter)
}

#[test]
fn a_client_with_a_time_out_is_left_without_an_answer_and_any_other_without_a_connection() {
    let rule = "operation = \"release\"\noccurrence = 2\nrun_late = \"rival has it\"";
    for (times_out, why) in [(true, "timed out"), (false, "connection lost")] {
        let place = Place::new();
        let (file, subject) = (scenario(&place, "2s", rule), told_apart(&place, times_out));
        let ended = probe(&file, &subject, &[]);
        ended.exits(1);
        let schedule = schedule(&row(&ended), "foreign_release");
        let words = ["replay", &schedule, "--format=json", "--subject", &subject];
        let again = Program::new(words).run().json();
        let error = again["actors"][0]["error"].as_str().unwrap_or_default();
        assert!(error.contains(why), "{why}: {again}");
    }
}

#[test]
fn a_client_that_says_that_it_times_out_and_does_not_is_named() {
    let place = Place::new();
    let can = (r#""a lock in bash"}"#, r#""a lock in bash", "can": ["time_out"]}"#);
    let subject = bash(&place, &[can]);
    let file = scenario(&place, "0s", "operation = \"release\"\nforget = true");
    let ended = probe(&file, &subject, &["--patience=300ms"]);
    ended.refuses(3, &["time_out", "never comes", "after 300 ms", "release"]);
}

/// One that, before it takes the lock, notes how its rivals' processes are: of those that wait for an
/// answer (`held`), and of the others (`idle`). It waits until one that is held is stopped, for so many
/// seconds at most, and then does this.
fn looks_at_rivals(place: &Place, times_out: bool, patience: u32, then: &str) -> String {
    let dir = place.at("rivals");
    fs::create_dir(&dir).unwrap();
    let dir = dir.display();
    let snapshots = format!(
        "patience={patience}
look() {{
    local rival pid stat how until=$((SECONDS + patience))
    for rival in '{dir}'/*; do
        pid=${{rival##*/}} how=idle
        [[ $pid == $$ ]] && continue
        [[ -s $rival ]] && how=held
        while read -r stat </proc/$pid/stat; stat=${{stat##*) }}
            [[ $how == held && $stat != T* ]] && ((SECONDS < until)); do :; done
        ((SECONDS < until)) || patience=0
        echo \"$how ${{stat:0:1}}\" >> '{}'
        [[ $how == held ]] && {then}
    done
}}

acquire() {{
    look",
        place.at("log").display()
    );
    let can = r#""a lock in bash", "can": ["time_out"]}"#;
    let reset = format!("reset\n: > '{dir}'/$$\necho");
    let asks =
        format!("echo asks > '{dir}'/$$; printf %s \"$request\" >&3 && hear && : > '{dir}'/$$");
    bash(
        place,
        &[
            ("acquire() {", &snapshots),
            ("reset\necho", &reset),
            ("printf %s \"$request\" >&3 && hear", &asks),
            (r#""a lock in bash"}"#, if times_out { can } else { r#""a lock in bash"}"# }),
        ],
    )
}

#[test]
fn a_client_with_a_time_out_is_stopped_while_its_command_waits_and_any_other_is_not() {
    for (times_out, patience) in [(true, 5), (false, 0)] {
        let place = Place::new();
        let subject = looks_at_rivals(&place, times_out, patience, ":");
        let words = ["probe", "mutual_exclusion", "--crashes=0", "--subject", &subject];
        Program::new(words).arg("--property=stuck_lock").run().exits(0);
        let log = fs::read_to_string(place.at("log")).unwrap();
        let seen = |how: &str| log.lines().filter(|line| line.starts_with(how)).count();
        assert!(seen("held") > 0 && seen("idle") > 0, "{log}");
        let stopped = if times_out { seen("held") } else { 0 };
        assert_eq!((seen("held T"), seen("idle T")), (stopped, 0), "{log}");
    }
}

#[test]
fn a_signal_ends_clients_that_are_stopped() {
    let place = Place::new();
    let subject = looks_at_rivals(&place, true, 20, "exec sleep 1000");
    let words = ["probe", "mutual_exclusion", "--patience=1h", "--subject", &subject];
    let working = Program::new(words).start();
    let log = || fs::read_to_string(place.at("log")).unwrap_or_default();
    wait_until("one is stopped", || log().contains("held T"));
    working.signal(Signal::INT);
    working.end().exits(130).says(&["interrupted"]);
    let subjects = fs::read_dir(place.at("rivals")).unwrap().map(|it| it.unwrap().file_name());
    let subjects: Vec<_> = subjects.collect();
    assert!(subjects.len() >= 2);
    let is_gone = |pid: &OsString| !Path::new("/proc").join(pid).exists();
    wait_until("they are gone", || subjects.iter().all(is_gone));
}
