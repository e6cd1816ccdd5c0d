//! Rules that hold the first command of an actor that starts together with others: the others wait
//! for it.

use super::{check_in, parse};

/// One of the actors that start together is held until another has gone on.
const TOGETHER: &str = r#"format = 1
name = "volley"
title = "Two start together."
text = "And one comes later."
hazards = []

[locks.main]
[locks.other]
run_suffix = "_2"

[[actors]]
name = "left"
count = 2
start = "together"
steps = [
  { work = "10ms", lock = "main", name = "left began" },
  { locked = "main", name = "left done", body = [{ sleep = 0, name = "left has it" }] },
]

[[actors]]
name = "right"
start = "together"
steps = [{ repeat = 2, body = [{ acquire = "other" }] }, { snapshot = "main", label = "seen" }]

[[actors]]
name = "late"
start = "after"
delay = "0s"
steps = [{ sleep = "5ms", name = "late done" }, { acquire = "other" }]

[[rules]]
name = "other rule"
actor = "right"
command = "HSET"
delay = "1ms"

[[rules]]
name = "held"
actor = "right"
operation = "acquire"
occurrence = 1
hold_until = "left has it"
"#;

const ACTOR: &str = "actor = \"right\"\noperation = \"acquire\"\noccurrence = 1";
const HOLD: &str = "hold_until = \"left has it\"";

/// The file with its last rule changed.
fn file(rule: &str, until: &str) -> String {
    let (before, _) = TOGETHER.split_once(ACTOR).unwrap();
    format!("{before}{rule}\nhold_until = \"{until}\"\n")
}

fn is_refused(text: &str) -> bool {
    match parse(text) {
        Ok(_) => false,
        Err(error) => {
            let error = error.to_string();
            assert!(error.contains("this holds the first command of"), "{error}");
            true
        }
    }
}

#[test]
fn the_message_says_what_to_do() {
    let message = "this holds the first command of \"right\", and no actor can get to \"left has it\" \
                   before all who start together have sent theirs; use start = \"after\" with \
                   delay = \"0s\"";
    check_in(TOGETHER, HOLD, "hold_until = ^\"left has it\"", message);
    let advice = TOGETHER.replace(
        "name = \"right\"\nstart = \"together\"",
        "name = \"right\"\nstart = \"after\"\ndelay = \"0s\"",
    );
    assert!(!is_refused(&advice), "the advice works");
}

#[test]
fn what_surely_holds_the_first_command_is_refused() {
    for rule in [
        "operation = \"acquire\"",
        "operation = \"acquire\"\nlock = \"other\"",
        "command = \"SET\"",
        "command = \"EVALSHA\"",
        "actor = \"left_2\"\ncommand = \"SET\"\noccurrence = 1",
        "actor = \"left\"\noperation = \"acquire\"\nfrom = 1\nto = 2",
        "actor = \"left\"\npause = \"registry\"\noccurrence = 1",
        "actor = \"left\"\npause = \"file_read\"\noccurrence = 1",
    ] {
        assert!(is_refused(&file(rule, "left has it")), "{rule}");
    }
}

#[test]
fn what_may_hold_another_command_is_not() {
    for rule in [
        "operation = \"release\"",
        "actor = \"late\"\noperation = \"acquire\"",
        "actor = \"right\"\noperation = \"acquire\"\nlock = \"main\"",
        "actor = \"right\"\noperation = \"acquire\"\noccurrence = 2",
        "actor = \"right\"\ncommand = \"HSET\"",
        "actor = \"right\"\npause = \"token_write\"",
        // The late one's command may be the first that it matches.
        "operation = \"acquire\"\noccurrence = 1",
    ] {
        assert!(!is_refused(&file(rule, "left has it")), "{rule}");
    }
    let all_together = file("operation = \"acquire\"\noccurrence = 1", "left has it")
        .replace("start = \"after\"\ndelay = \"0s\"", "start = \"together\"");
    assert!(is_refused(&all_together));
}

#[test]
fn who_is_not_waited_for_may_end_the_hold() {
    for until in ["late done", "left began", "other rule"] {
        assert!(!is_refused(&file(ACTOR, until)), "{until}");
    }
    assert!(is_refused(&file(ACTOR, "left done")));
    let in_turn = "{ await = \"left done\" }, { sleep = \"5ms\", name = \"late done\" }";
    let in_turn =
        file(ACTOR, "late done").replace("{ sleep = \"5ms\", name = \"late done\" }", in_turn);
    assert!(is_refused(&in_turn), "it waits for one who is waited for");
}

#[test]
fn a_rule_for_one_protocol_is_named_at_its_place() {
    let both = format!(
        "{}protocol = \"legacy\"\n\n[[rules]]\nname = \"held\"\nprotocol = \"hardened\"\n{ACTOR}\n\
         hold_until = \"left has it\"\n",
        file(ACTOR, "late done")
    );
    let error = parse(&both).unwrap_err().to_string();
    let line = both.lines().count();
    assert!(error.starts_with(&format!("x.toml:{line}:14: this holds")), "{error}");
}

#[test]
fn commands_of_other_steps_are_known_too() {
    let first = |steps: &str, rule: &str| {
        let old = "{ repeat = 2, body = [{ acquire = \"other\" }] }";
        is_refused(&file(&format!("actor = \"right\"\n{rule}"), "left has it").replace(old, steps))
    };
    let raw = "{ redis = [\"DEL\", \"{key}\"], lock = \"main\" }";
    assert!(first(raw, "command = \"DEL\""));
    assert!(!first(raw, "command = \"SET\""));
    let orphan = "{ sleep = 0 }, { plant_orphan = \"main\", ttl = \"1s\" }";
    assert!(first(orphan, "command = \"SET\""));
    assert!(!first(orphan, "command = \"EVALSHA\""));
    assert!(
        !first("{ extend = \"main\" }", "command = \"SET\""),
        "it may fail before it sends any"
    );
    assert!(!first("{ repeat = 2, body = [{ sleep = 0 }] }", "command = \"SET\""));
}
