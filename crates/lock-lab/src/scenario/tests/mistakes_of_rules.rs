//! Mistakes in rules, in waits, and in what is for one protocol only.

use super::{RACE, bind, check_in, parse};

fn check(old: &str, new: &str, message: &str) {
    check_in(RACE, old, new, message);
}

const HELD: &str = "hold_until = \"rival has it\"";
const CRASH: &str = "{ crash = true }";

#[test]
fn of_matches_and_effects() {
    let rule = "[[rules]]\nname = \"slow write\"\nactor = \"rival_2\"\npause = \"file_write\"";
    check(
        rule,
        "^[[rules]]\nname = \"slow write\"",
        "a rule needs one of command, operation, pause",
    );
    check("name = \"slow write\"\n", "name = \"slow write\"\n^comand = \"DEL\"\n", COMMAND);
    check(
        "pause = \"file_write\"",
        "pause = \"file_write\"\n^command = \"DEL\"",
        "a rule has only one of \"pause\" and \"command\"",
    );
    check("\"file_write\"", "^\"file_wirte\"", DID_YOU_MEAN);
    check(
        "operation = \"release\"",
        "operation = ^\"unlock\"",
        r#"unknown operation "unlock"; known: acquire, extend, release"#,
    );
    for command in ["del", "", "GET x", "AAAAAAAAAAAAAAAAAAAAA"] {
        let message = format!("\"{command}\" is no command; write its name in capitals: \"DEL\"");
        check("operation = \"release\"", &format!("command = ^\"{command}\""), &message);
    }
    check("[[rules]]\nname = \"release held\"", "^[[rules]]", "a rule needs \"name\"");
    let effects = "hold_until, fail, drop_reply, forget, delay, run_late, crash";
    let old = "[[rules]]\nname = \"slow write\"\nactor = \"rival_2\"\npause = \"file_write\"\n\
               from = 2\nto = \"$tries\"\ndelay = \"$ttl + 1s\"";
    let new = "^[[rules]]\nname = \"slow write\"\npause = \"file_write\"";
    check(old, new, &format!("a rule needs one of {effects}"));
    check(
        HELD,
        &format!("{HELD}\n^crash = true"),
        "a rule has only one of \"hold_until\" and \"crash\"",
    );
    check(HELD, "crash = ^false", "\"crash\" can only be true; or leave it out");
    check(HELD, "forget = ^1", "\"forget\" must be true or false, not a whole number");
    let reply = "an error reply begins with a word in capitals: \"READONLY You can't write against \
                 a read only replica.\"";
    check(HELD, "fail = ^\"no way\"", reply);
    check(HELD, "fail = ^\" \"", "\"fail\" must be one line of text");
    check(HELD, "delay = ^\"soon\"", "\"soon\": give a duration such as 500ms, 1.5s, 1m 30s or 6h");
}

const COMMAND: &str = r#"unknown member of a rule "comand"; did you mean "command"?"#;
const DID_YOU_MEAN: &str = r#"unknown pause "file_wirte"; did you mean "file_write"?"#;

#[test]
fn of_pause_points() {
    let delay = "delay = \"$ttl + 1s\"";
    for effect in ["fail = \"OOM\"", "forget = true", "drop_reply = true", "run_late = \"taken\""] {
        let (name, _) = effect.split_once(' ').unwrap();
        let message = format!("\"{name}\" does not go with \"pause\"");
        check(delay, &format!("^{effect}"), &message);
    }
    let lock = "\"lock\" does not go with \"pause\"";
    check(delay, &format!("{delay}\n^lock = \"main\""), lock);
}

#[test]
fn of_whom_and_when() {
    check(
        "actor = \"holder\"",
        "actor = ^\"hodler\"",
        r#"unknown actor "hodler"; did you mean "holder"?"#,
    );
    check(
        "actor = \"rival_2\"",
        "actor = ^\"rival_9\"",
        r#"unknown actor "rival_9"; did you mean "rival"?"#,
    );
    check("lock = \"main\"\nocc", "lock = ^\"x\"\nocc", r#"unknown lock "x"; known: main"#);
    check("occurrence = 1", "occurrence = ^0", "\"0\": a count here is from 1 to 4294967295");
    check("from = 2", "from = ^0", "\"0\": a count here is from 1 to 4294967295");
    check(
        "to = \"$tries\"",
        "to = ^\"$tries - 2\"",
        "\"$tries - 2\" is 1 with tries = 3; a count here is from 2 to 4294967295",
    );
    check("occurrence = 1", "occurrence = 1\n^to = 2", "\"to\" does not go with \"occurrence\"");
    check("occurrence = 1", "occurrence = ^\"1s\"", WHOLE);
}

const WHOLE: &str = "\"1s\": give a whole number, or a parameter such as $threads";

#[test]
fn of_names_that_steps_and_rules_share() {
    let taken =
        |name: &str| format!("two steps or rules have the name \"{name}\"; each needs its own");
    check("name = \"slow write\"", "name = ^\"taken\"", &taken("taken"));
    check("name = \"slow write\"", "name = ^\"release held\"", &taken("release held"));
    check(CRASH, "{ crash = true, name = ^\"renewal\" }", &taken("renewal"));
    let unknown = "unknown step or rule \"rival had it\"; did you mean \"rival has it\"?";
    check("await = \"rival has it\"", "await = ^\"rival had it\"", unknown);
    check(HELD, "run_late = ^\"rival had it\"", unknown);
    check(
        HELD,
        "hold_until = ^\"nothing\"",
        "unknown step or rule \"nothing\"; known: late release, renewal, rival has it, taken, \
         release held, slow write",
    );
    check(
        "await = \"rival has it\"",
        "await = ^7",
        "\"await\" must be a string, not a whole number",
    );
}

#[test]
fn of_what_is_for_one_protocol() {
    check(
        "delay = \"$ttl + 1s\"",
        "hold_until = ^\"release held\"",
        "\"release held\" is left out under protocol \"legacy\"; say the protocol here too",
    );
    check(
        "finds = \"foreign_release\"",
        "step = ^\"hard\"\nstatus = \"success\"\n[[actors]]\nname = \"other\"\nstart = \"together\"\n\
         steps = [{ extend = \"main\", name = \"hard\", protocol = \"hardened\" }]",
        "\"hard\" is left out under protocol \"legacy\"; say the protocol here too",
    );
    check(
        CRASH,
        "{ locked = \"main\", protocol = \"legacy\", body = [{ sleep = 0, protocol = ^\"hardened\" }] }",
        "it would never be taken: the step around it is for \"legacy\"",
    );
    check(
        CRASH,
        "{ crash = true, protocol = ^\"redlock\" }",
        r#"unknown protocol "redlock"; known: legacy, current, hardened"#,
    );
}

#[test]
fn of_waits_that_never_end() {
    let itself = |name: &str| format!("\"{name}\" waits for itself");
    check(HELD, "hold_until = ^\"release held\"", &itself("release held"));
    check(CRASH, "{ await = ^\"x\", name = \"x\" }", &itself("x"));
    check(
        CRASH,
        "{ repeat = 2, name = \"x\", body = [{ locked = \"main\", body = [{ await = ^\"x\" }] }] }",
        &itself("x"),
    );
    let never =
        |name: &str| format!("this waits for ever: no actor can get to \"{name}\" before it");
    check(CRASH, "{ await = ^\"x\" }, { crash = true, name = \"x\" }", &never("x"));
    check(
        "{ repeat = \"$tries\"",
        "{ await = ^\"never\" }, { repeat = 0, body = [{ sleep = 0, name = \"never\" }] }, \
         { repeat = \"$tries\"",
        &never("never"),
    );
    let crosswise = "{ await = \"late release\" }, { locked";
    let file = RACE.replace("{ locked", crosswise);
    let error = parse(&file).unwrap_err().to_string();
    assert!(error.ends_with(&never("rival has it")), "{error}");
    let file = RACE
        .replace("start = \"after\"\ndelay = \"1s\"\nevery = \"500ms\"", "start = \"in_sequence\"");
    let error = parse(&file).unwrap_err().to_string();
    assert!(error.ends_with(&never("rival has it")), "the rival starts when the holder ended");
    let actors = "a plan whose waiters have nobody to wait for";
    let file = RACE.replace("count = 2", "count = 0").replace("rival_2", "rival");
    assert!(parse(&file).unwrap_err().to_string().ends_with(&never("rival has it")), "{actors}");
}

#[test]
fn of_starts_together_with_a_wait() {
    let message = "who starts together with others can't begin by waiting; \
                   use start = \"after\" with delay = \"0s\"";
    let file = RACE
        .replace("start = \"after\"\ndelay = \"1s\"\nevery = \"500ms\"", "start = \"together\"");
    let old = "steps = [\n  { await = \"release held\", protocol = \"hardened\" }";
    let new = "steps = ^[\n  { await = \"taken\" }";
    check_in(&file, old, new, message);
    check(
        "start = \"after\"\ndelay = \"1s\"\nevery = \"500ms\"",
        "start = \"in_sequence\"\n^every = \"1s\"",
        "\"every\" goes with start = \"after\" only",
    );
    check("every = \"500ms\"", "every = ^\"366d\"", "\"366d\": a duration is from 0s to 365d");
}

#[test]
fn of_raw_commands() {
    let old = r#"["SET", "{key}", "{payload}", "PX", "$ttl"]"#;
    let check = |new: &str, message: &str| check(old, new, message);
    check("^[]", "a command is missing: [\"DEL\", \"{key}\"]");
    check("^\"DEL\"", "\"redis\" must be a list, not a string");
    check(
        r#"[^"FLUSHALL"]"#,
        r#"unknown command "FLUSHALL"; known: SET, EXPIRE, PEXPIRE, PERSIST, DEL, DELEX, DELIFEQ, GET, HSET"#,
    );
    check(r#"["DEL", ^"other"]"#, "DEL is sent about {key} here, nothing else");
    check(r#"^["DEL", "{key}", "other"]"#, "DEL has 2 words here, not 3");
    check(r#"^["EXPIRE", "{key}"]"#, "EXPIRE has 3 to 4 words here, not 2");
    check(
        r#"["HSET", "{runid}", ^"attrs:x", "1"]"#,
        "HSET is sent about {runid}, {flag} here, nothing else",
    );
    check(
        r#"["SET", "{key}", ^"{owner}"]"#,
        "only {payload} and {token} can be put in here, not \"{owner}\"",
    );
    check(r#"["EXPIRE", "{key}", ^"$tries"]"#, "\"$tries\" is a count, not a duration");
    check(
        r#"["EXPIRE", "{key}", ^"$ttl - 1s"]"#,
        "\"$ttl - 1s\" is 0s with ttl = 1s; a TTL is at least 1s",
    );
    check(r#"["SET", "{key}", ^"a\nb"]"#, "\"redis\" must be one line of text");
}

#[test]
fn of_findings() {
    check(
        "finds = \"foreign_release\"",
        "finds = ^\"foreign_relase\"",
        r#"unknown finds "foreign_relase"; did you mean "foreign_release"?"#,
    );
    check("[\"deadlock\"]", "^[]", "\"free_of\" names nothing; leave it out");
    check("[\"deadlock\"]", "[^\"overlap\"]", "\"overlap\" is named twice");
    check(
        "[\"deadlock\"]",
        "[^\"unavailable\"]",
        "\"unavailable\" is not judged in a run: only `probe` tries it",
    );
    check(
        "finds = \"foreign_release\"",
        "finds = \"foreign_release\"\n^updates = 1",
        "\"updates\" does not go with \"finds\"",
    );
}

#[test]
fn of_sizes() {
    check("repeat = \"$tries\"", "repeat = ^10001", "\"10001\": a count here is from 0 to 10000");
    let many = "{ repeat = 1000, body = [{ repeat = 1000, body = [{ sleep = 0 }] }] }";
    let file = RACE.replace(CRASH, many);
    let error = parse(&file).unwrap_err().to_string();
    assert_eq!(error, "x.toml:20:8: a plan has at most 1000000 steps, repeats unrolled");
    let deep = |depth: usize| {
        let step = format!("{}{}", "{ repeat = 1, body = [".repeat(depth), "] }".repeat(depth));
        parse(&RACE.replace(CRASH, &step))
    };
    assert!(deep(16).is_ok());
    let error = deep(17).unwrap_err().to_string();
    assert!(error.ends_with("at most 16 bodies may stand in each other"), "{error}");
    let bomb = format!("{}{}", "{ repeat = 10000, body = [".repeat(16), "] }".repeat(16));
    let error = parse(&RACE.replace(CRASH, &bomb)).unwrap_err().to_string();
    assert!(error.ends_with("repeats unrolled"), "{error}");
}

#[test]
fn of_many_that_wait() {
    let waits: String = (0..9000).map(|i| format!("{{ await = \"s{}\" }},", i + 1)).collect();
    let ends: String = (0..9000).map(|i| format!("{{ sleep = 0, name = \"s{i}\" }},")).collect();
    let file =
        RACE.replace(CRASH, &format!("{ends}{{ sleep = 0, name = \"s9000\" }},{waits}{CRASH}"));
    let many = file.replace("count = 2", "count = 9999").replace("rival_2", "rival");
    // Takes minutes, were names searched for and not looked up.
    let plan = bind(&parse(&many).unwrap(), &[]).unwrap();
    assert_eq!(plan.actors.len(), 10_000);
}
