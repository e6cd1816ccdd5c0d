//! What clients answer `probe`, which instructions they get, and clients that misbehave.

use std::collections::BTreeSet;
use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use crate::probe::{alive, noted, python_of, shipped};
use crate::program::{Ended, Place, Program, wait_until};

const TAKE: &str = "ask SET \"$1\" \"$token\" NX PX \"$2\"";
const DELETE: &str = "ask DEL \"$1\" || return 2\n    [[ $reply == :1 ]]";

/// The lock in bash with some words altered.
fn bash(place: &Place, alter: &[(&str, &str)]) -> String {
    let mut text = fs::read_to_string(shipped("bash.sh")).unwrap();
    for (from, to) in alter {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    let path = place.at("subject.sh");
    fs::write(&path, text).unwrap();
    format!("bash {}", path.display())
}

/// The same; it notes its process, each line that it reads, and how what it did ended (0 done, 1 no).
fn noting(place: &Place, alter: &[(&str, &str)]) -> String {
    let log = place.at("log");
    let note =
        format!("code=$?; echo \"$$ $code $told\" >> '{}'\n    case $code in", log.display());
    bash(place, &[&[("case $? in", &*note)], alter].concat())
}

/// Probes without crashes: the first stage is enough here.
fn probe(scenario: &str, subject: &str, rest: &[&str]) -> Ended {
    let words = ["probe", scenario, "--crashes=0", "--patience=1h", "--subject", subject];
    Program::new(words.iter().chain(rest)).run()
}

/// A scenario of actors that do this.
fn scenario(place: &Place, count: u32, steps: &str) -> String {
    let file = place.at("own.toml");
    let text = format!(
        "format = 1\nname = \"own\"\ntitle = \"Own.\"\ntext = \"Own.\"\n[locks.main]\n[[actors]]\n\
         name = \"one\"\ncount = {count}\nstart = \"together\"\nsteps = [{steps}]\n"
    );
    fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

/// The process, the outcome and the instruction of each line that a client noted.
fn log(place: &Place) -> Vec<(String, bool, Value)> {
    let text = fs::read_to_string(place.at("log")).unwrap();
    let entry = |line: &str| {
        let mut words = line.splitn(3, ' ');
        let (pid, code) = (words.next().unwrap(), words.next().unwrap());
        (pid.to_owned(), code == "0", serde_json::from_str(words.next().unwrap()).unwrap())
    };
    text.lines().map(entry).collect()
}

#[test]
fn a_parameter_of_the_scenario_is_a_flag_of_probe_too() {
    let one = probe("mutual_exclusion", &shipped("bash.sh"), &["--clients", "1"]);
    assert!(one.exits(0).stdout.contains("1 actor,"), "{one:#?}");
    let param =
        probe("mutual_exclusion", &shipped("bash.sh"), &["--clients=2", "--param=clients=1"]);
    assert!(param.exits(0).stdout.contains("1 actor,"), "--param goes before: {param:#?}");
    probe("mutual_exclusion", &shipped("bash.sh"), &["--threads=2"]).refuses(2, &["threads"]);
    let help = Program::new(["probe", "--help"]).run();
    assert!(help.exits(0).stdout.contains("own flags may stand here"), "{help:#?}");
}

#[test]
fn the_template_of_the_page_survives_lost_replies() {
    let page = fs::read_to_string(shipped("README.md")).unwrap();
    let (_, section) = page.split_once("## Thirty lines are enough\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let lines = section.lines().map(|line| line.strip_prefix("    ").unwrap_or(line));
    let text = lines.collect::<Vec<_>>().join("\n");
    assert!(text.trim().lines().count() <= 30, "{text}");
    let place = Place::new();
    let script = place.at("template.py");
    fs::write(&script, text).unwrap();
    let Some(python) = python_of("the template of the page", "redis-8.1.0") else { return };
    let subject = format!("{python} {}", script.display());
    for faults in ["0", "1"] {
        let ended = probe("mutual_exclusion", &subject, &["--faults", faults]);
        assert!(ended.exits(0).stdout.contains("none of double_grant"), "{ended:#?}");
    }
}

#[test]
fn an_answer_that_is_none_is_named_with_what_to_write() {
    for (answer, words) in [
        (r#"{"ok": null}"#, &["was to acquire", "must be true (done) or false"][..]),
        (r#"{"ok": "yes"}"#, &["was to acquire", "must be true (done) or false"]),
        (r#"{"done": true}"#, &["was to acquire", "no member \"ok\", which must be true or false"]),
    ] {
        let place = Place::new();
        let subject = bash(&place, &[(r#"{"ok": true}"#, answer)]);
        probe("mutual_exclusion", &subject, &[]).refuses(3, words);
    }
}

#[test]
fn an_acquire_that_waits_is_named_with_what_to_configure() {
    let polls = format!("while {TAKE}; [[ $reply != +OK ]]; do :; done; true");
    let place = Place::new();
    let subject = bash(&place, &[(&format!("{TAKE} || return 2"), &polls)]);
    let words = ["was to acquire", "does it wait for the lock?", "try once", "blocking=False"];
    probe("mutual_exclusion", &subject, &[]).refuses(3, &words);
}

/// A command that subscribes, and reads the confirmation.
const SUBSCRIBE: &str = "ask SUBSCRIBE released && hear && hear && hear && hear && hear";

#[test]
fn a_client_that_listens_is_confirmed_and_hears_nothing() {
    let place = Place::new();
    let listens = format!("{SUBSCRIBE}; {TAKE}");
    let subject = bash(&place, &[(TAKE, &listens), ("ask DEL", "ask PUBLISH released x; ask DEL")]);
    let ended = probe("mutual_exclusion", &subject, &[]);
    assert!(ended.exits(1).stdout.contains("foreign_release"), "{ended:#?}");
    let waits = format!("{SUBSCRIBE}; hear; {TAKE}");
    let subject = bash(&place, &[(TAKE, &waits)]);
    let words = ["probe", "mutual_exclusion", "--patience=1s", "--subject", &subject];
    let words_of_it = ["was to acquire", "subscribed", "messages don't arrive"];
    Program::new(words).run().refuses(3, &words_of_it);
}

#[test]
fn a_command_that_the_server_lacks_is_named_also_in_a_script_or_a_transaction() {
    for (release, words) in [
        ("ask EVAL \"return redis.call('XADD', KEYS[1])\" 1 s", "sent a script with XADD, which"),
        ("ask MULTI; ask XADD s 1-1 f v; ask EXEC", "sent XADD, which"),
        (
            "ask MULTI; ask EVAL \"return redis.call('XADD', KEYS[1])\" 1 s; ask EXEC",
            "sent a script with XADD, which",
        ),
    ] {
        let place = Place::new();
        let subject = bash(&place, &[("ask DEL \"$1\"", release)]);
        probe("mutual_exclusion", &subject, &[]).refuses(3, &["was to release", words]);
    }
}

#[test]
fn a_client_that_raises_in_a_race_has_failed_there_and_no_more() {
    let place = Place::new();
    let renames = "ask EXISTS \"$1\" || return 2\n    [[ $reply == :1 ]] || return 0\n    \
                   ask RENAME \"$1\" gone\n    [[ $reply == +OK ]] || return 2";
    let compares = "ask GET \"$1\" || return 2\n    [[ $reply == \"$token\" ]] || return 1\n    ";
    let subject = bash(&place, &[(compares, ""), (DELETE, renames)]);
    let ended = probe("mutual_exclusion", &subject, &[]);
    assert!(ended.exits(1).stdout.contains("foreign_release after"), "{ended:#?}");
    let word = ended.stdout.split_whitespace().find(|word| word.starts_with("v1:")).unwrap();
    Program::new(["replay", word, "--subject", &subject]).run().exits(0);
}

#[test]
fn a_client_that_raises_where_nothing_races_is_refused_with_its_words() {
    let place = Place::new();
    let raises = ("[[ $reply == +OK ]]", "[[ $reply == +OK ]] || return 2");
    let subject = bash(&place, &[raises, ("no reply", "it is taken")]);
    probe("mutual_exclusion", &subject, &[]).refuses(3, &["was to acquire", "it is taken"]);
}

#[test]
fn a_lock_that_stays_taken_after_its_release_is_found() {
    let empties = [(DELETE, "ask SET \"$1\" \"\" || return 2\n    [[ $reply == +OK ]]")];
    let takes_too = format!("ask SET taken 1 NX; [[ $reply == +OK ]] || return 1; {TAKE}");
    let flags = [(TAKE, &*takes_too)];
    for (alter, property) in [(&empties, "stuck_lock"), (&flags, "unavailable")] {
        let place = Place::new();
        let subject = bash(&place, alter);
        let ended = probe("mutual_exclusion", &subject, &[]);
        ended.exits(1).says(&["could not acquire the lock after its holder had released it"]);
        assert!(ended.stdout.contains(&format!("{property} after")), "{ended:#?}");
    }
}

/// A client that can extend, and whose lock is then lost.
const LOSES: [(&str, &str); 2] = [
    (r#""a lock in bash"}"#, r#""a lock in bash", "can": ["extend"]}"#),
    ("reset() {", "extend() { ask EXISTS \"$1\"; return 1; }\n\nreset() {"),
];

#[test]
fn every_step_is_an_instruction_whatever_was_answered_before() {
    let place = Place::new();
    let steps = r#"{ acquire = "main" }, { extend = "main", go_on = true },
                   { extend = "main", go_on = true }, { release = "main", go_on = true },
                   { release = "main", go_on = true }"#;
    let steps = steps.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let subject = noting(&place, &LOSES);
    probe(&scenario(&place, 1, &steps), &subject, &[]).exits(0);
    let told: Vec<_> = log(&place).iter().map(|(_, _, it)| it["do"].to_string()).collect();
    let all = ["acquire", "extend", "extend", "release", "release"].map(|it| format!("{it:?}"));
    assert!(told.windows(all.len()).any(|some| *some == all), "{told:?}");
}

#[test]
fn an_instruction_has_the_same_members_whenever_it_comes() {
    let place = Place::new();
    let subject = noting(&place, &LOSES);
    let steps = r#"{ acquire = "main" }, { extend = "main", go_on = true }, { release = "main" }"#;
    probe(&scenario(&place, 2, steps), &subject, &["--property=stuck_lock"]).exits(0);
    let shape = |told: &Value| {
        let members: Vec<_> = told.as_object().unwrap().keys().map(String::as_str).collect();
        format!("{} {}", told["do"], members.join(" "))
    };
    let shapes: BTreeSet<String> = log(&place).iter().map(|(_, _, told)| shape(told)).collect();
    let expected = [
        r#""acquire" do lock ttl_ms"#,
        r#""extend" do lock ttl_ms"#,
        r#""release" do lock"#,
        r#""reset" do"#,
    ];
    assert_eq!(shapes, expected.map(str::to_owned).into());
}

#[test]
fn a_release_does_not_follow_an_acquire_that_was_refused() {
    let place = Place::new();
    let subject = noting(&place, &[]);
    let steps = r#"{ acquire = "main", go_on = true }, { release = "main", go_on = true }"#;
    let file = scenario(&place, 2, steps);
    probe(&file, &subject, &["--timing=strict", "--property=stuck_lock"]).exits(0);
    let log = log(&place);
    let pids: BTreeSet<&String> = log.iter().map(|(pid, ..)| pid).collect();
    let mut refused = 0;
    for pid in pids {
        let own: Vec<_> = log.iter().filter(|(its, ..)| its == pid).collect();
        for pair in own.windows(2) {
            let (_, done, told) = pair[0];
            if told["do"] == "acquire" && !done {
                refused += 1;
                assert_ne!(pair[1].2["do"], "release", "{pair:?}");
            }
        }
    }
    assert!(refused > 2, "{log:?}");
}

#[test]
fn a_client_that_cannot_extend_is_refused_by_a_scenario_that_extends() {
    let words = ["extend_after_expiry", "can't be probed", "a lock in bash", "\"extend\""];
    probe("extend_after_expiry", &shipped("bash.sh"), &[]).refuses(2, &words);
    let ours = format!("{} subject --lock hardened", env!("CARGO_BIN_EXE_nodb-trigger"));
    probe("extend_after_expiry", &ours, &[]).exits(0);
}

#[test]
fn a_client_that_misbehaves_later_gets_no_verdict_and_leaves_no_process() {
    const OK: &str = r#"0) echo '{"ok": true}' ;;"#;
    let twice = r#"0) echo '{"ok": true}'; echo '{"ok": true}' ;;"#;
    let greets = r#"echo '{"subject": "a lock in bash"}'"#;
    let floods = format!("{greets}\n(yes '{{\"ok\": true}}') &");
    let reset = "reset() { exec";
    let dies = "reset() { ((++resets == 20)) && exit 7; exec";
    let changes = r#"mkdir "$0.first" 2>/dev/null && can='"extend"'
echo "{\"subject\": \"a lock in bash\", \"can\": [$can]}""#;
    for (from, to, words) in [
        (OK, twice, &["it had answered already"][..]),
        (greets, &*floods, &["it had answered already"]),
        (reset, dies, &["ended while it was to reset"]),
        (greets, changes, &["differ in what they can do: [extend] and []"]),
    ] {
        let place = Place::new();
        let subject = noted(&place, &bash(&place, &[(from, to)]));
        let ended = probe("mutual_exclusion", &subject, &["--clients=3"]);
        ended.refuses(3, words);
        wait_until(to, || alive(&place).is_empty());
    }
}

#[test]
fn a_client_that_forks_and_exits_is_explored_and_leaves_no_process() {
    let place = Place::new();
    let subject = bash(&place, &[("export LC_ALL=C", "export LC_ALL=C\necho $$ >> \"$0.pids\"")]);
    let path = subject.strip_prefix("bash ").unwrap();
    let ended = probe("mutual_exclusion", &format!("exec 4<&0; {subject} <&4 & exit 0"), &[]);
    assert!(ended.exits(1).stdout.contains("foreign_release"), "{ended:#?}");
    fs::rename(format!("{path}.pids"), place.at("pids")).unwrap();
    wait_until("no process is left", || alive(&place).is_empty());
}

#[test]
fn what_was_covered_until_an_interruption_or_the_time_limit_is_reported() {
    let place = Place::new();
    let subject = noting(&place, &[]);
    let words = ["probe", "mutual_exclusion", "--patience=1h", "--clients=4", "--max-time=1h"];
    let working = Program::new(words.iter().chain(&["--subject", &subject])).start();
    // Far more than it takes to try the client out.
    let many = || fs::read_to_string(place.at("log")).is_ok_and(|log| log.lines().count() > 150);
    wait_until("orderings are explored", many);
    working.signal(Signal::INT);
    let ended = working.end();
    ended.exits(130);
    assert!(ended.stdout.contains("it was interrupted after"), "{ended:#?}");
    let ended = probe("mutual_exclusion", &shipped("bash.sh"), &["--max-time=1ms"]);
    assert!(ended.exits(4).stdout.contains("--max-time 1ms was reached after"), "{ended:#?}");
}
