//! Every kind of mistake: its place to the column, and its words.

use super::{EXAMPLE, Scenario, bind, check_in, parse};
use std::time::Duration;

fn check(old: &str, new: &str, message: &str) {
    check_in(EXAMPLE, old, new, message);
}

#[test]
fn places_count_from_one_and_in_characters() {
    let file = EXAMPLE.replace("[locks.other]", "[locks.\"böse\"]");
    let file = file.replace("release = \"other\"", "release = \"böse\"");
    let error = parse(&file).unwrap_err().to_string();
    let words = "is not a name; use up to 40 of a-z, 0-9 and _, a letter first";
    assert_eq!(error, format!("x.toml:25:8: \"böse\" {words}"));
    let file = EXAMPLE.replace("title = \"An example.\"", "title = \"\u{e9}\u{e9}\" x");
    assert!(parse(&file).unwrap_err().to_string().starts_with("x.toml:3:14: this is not TOML: "));
    assert!(parse("").unwrap_err().to_string().starts_with("x.toml:1:1: a scenario needs"));
}

#[test]
fn of_the_head() {
    check("format = 1\n", "^", "a scenario needs \"format\"");
    check("format = 1", "format = ^2", "this program reads format 1, not 2");
    check("format = 1", "format = ^\"1\"", "\"format\" must be a whole number, not a string");
    check(
        "title = ",
        "^titel = ",
        r#"unknown member of a scenario "titel"; did you mean "title"?"#,
    );
    check("\"An example.\"", "^7", "\"title\" must be a string, not a whole number");
    check("\"An example.\"", "^\"a\\nb\"", "\"title\" must be one line of text");
    check("\"An example.\"", "^\" \"", "\"title\" must be one line of text");
    check("\"\"\"\nTwo", "^\"\"\"\\u001b[2J\nTwo", "\"text\" must be lines of plain text");
}

#[test]
fn of_names_and_hazards() {
    let name = "is not a name; use up to 40 of a-z, 0-9 and _, a letter first";
    check("\"example\"", "^\"thundering-herd\"", &format!("\"thundering-herd\" {name}"));
    check("\"example\"", "^\"\"", &format!("\"\" {name}"));
    check("[\"herd\"]", "[\"herd\", ^\"herd\"]", "hazard \"herd\" is named twice");
    check("[\"herd\"]", "^\"herd\"", "\"hazards\" must be a list, not a string");
    let hazard = "is not a name; use up to 40 of a-z, 0-9 and -, a letter first";
    check("[\"herd\"]", "[^\"Herd\"]", &format!("\"Herd\" {hazard}"));
}

#[test]
fn of_parameters() {
    check("= 3", "= ^0", "give a whole number from 1 to 10000");
    check("= 3", "= ^\"3\"", "\"default\" must be a whole number, not a string");
    check("= 3", "= ^-3", "\"default\" must be a whole number from 0 to 4294967295");
    check("= 3", "= 3\nmin = 5\nmax = ^4", MIN_MAX);
    check("= 3", "= 3\nmax = ^10001", MIN_MAX);
    check("= 3", "= 3\n^mx = 4", r#"unknown member of a parameter "mx"; did you mean "max"?"#);
    check("= \"2s\"", "= ^2", "\"default\" must be a string, not a whole number");
    check("= \"2s\"", "= ^\"2\"", "\"2\": add a unit, as in 2s or 2ms");
    check("= \"2s\"", "= ^\"-2s\"", "\"-2s\": a duration is from 0s to 365d");
    check("= \"2s\"", "= \"2s\"\n^min = 1", "\"min\" goes with type = \"count\" only");
    check("\"ttl\"", "^\"tl\"", r#"unknown type "tl"; did you mean "ttl"?"#);
    check("\"ttl\"", "^\"number\"", r#"unknown type "number"; known: count, duration, ttl"#);
    check(
        "\"ttl\"",
        "\"ttl\"\ndefault = ^\"1.5s\"",
        "\"1.5s\": a TTL is a whole number of seconds",
    );
    check(
        "[parameters.threads]\ntype = \"count\"\ndefault = 3\nhelp = \"How many.\"",
        "^[parameters.threads]\ntype = \"count\"\ndefault = 3",
        "a parameter needs \"help\"",
    );
    check(
        "[locks.main]",
        "[parameters.^idle]\ntype = \"duration\"\ndefault = \"1s\"\nhelp = \"x\"\n[locks.main]",
        "parameter \"idle\" is not used; use it as \"$idle\"",
    );
}

const MIN_MAX: &str = "a count is from \"min\" to \"max\", and \"max\" is at most 10000";

#[test]
fn of_locks() {
    check("[locks.main]", "[locks.main]\n^suffix = \"\"", LOCK_MEMBER);
    check("\"_2\"", "^\"/../x\"", "\"/../x\" must be up to 40 letters, digits, _, - and *?[]");
    check(
        "[locks.other]\nrun_suffix = \"_2\"",
        "[locks.^other]",
        "locks \"main\" and \"other\" are of one file; give each its own \"run_suffix\" or \"file\"",
    );
    check(
        "[locks.main]\n[locks.other]\nrun_suffix = \"_2\"",
        "[^locks]",
        "a scenario needs a lock: [locks.main]",
    );
    check(
        "run_suffix = \"_2\"",
        "file = ^\"../x.nodb\"",
        "\"../x.nodb\" has an empty part, . or .. in it; name the file as it is below the run directory",
    );
    check(
        "[locks.main]\n[locks.other]\nrun_suffix = \"_2\"",
        "[locks.main]\nfile = \"x.nodb\"\n[locks.^other]\nfile = \"x.nodb\"",
        "locks \"main\" and \"other\" are of one file; give each its own \"run_suffix\" or \"file\"",
    );
}

const LOCK_MEMBER: &str = "unknown member of a lock \"suffix\"; known: run_suffix, file";

#[test]
fn of_actors() {
    check("name = \"late\"", "name = ^\"thread\"", "two actors are called \"thread\"");
    check(
        "instance = \"own\"",
        "instance = ^\"mine\"",
        r#"unknown instance "mine"; known: shared, own, racy"#,
    );
    check("\"together\"", "^\"togehter\"", r#"unknown start "togehter"; did you mean "together"?"#);
    check(
        "\"together\"",
        "\"together\"\n^pause = \"1s\"",
        "\"pause\" goes with start = \"in_sequence\" only",
    );
    check(
        "\"together\"",
        "\"together\"\n^delay = \"1s\"",
        "\"delay\" goes with start = \"after\" only",
    );
    check(
        "[[actors]]\nname = \"late\"\nstart = \"after\"\ndelay = \"1.5s\"",
        "^[[actors]]\nname = \"late\"\nstart = \"after\"",
        "an actor needs \"delay\"",
    );
    check("\"1.5s\"", "^\"1,5s\"", "\"1,5s\": give a duration such as 500ms, 1.5s, 1m 30s or 6h");
    check("\"1.5s\"", "^5", "add a unit, as in \"5s\" or \"5ms\"");
    check("\"1.5s\"", "^\"$hodl\"", r#"unknown parameter "hodl"; did you mean "hold"?"#);
    check("\"1.5s\"", "^\"$threads\"", "\"$threads\" is a count, not a duration");
    check("\"1.5s\"", "^\"$hold -\"", "\"$hold -\" is not complete");
    check("\"1.5s\"", "^\"-$hold\"", "\"-$hold\": a duration is from 0s to 365d");
    check("\"1.5s\"", "^\"1s+-1s\"", "\"1s+-1s\" lacks a number; write \"$hold + 1s\"");
    check("count = \"$threads\"", "count = ^\"-1\"", "\"-1\": a count is never below 0");
    check(
        "\"1.5s\"",
        "^\"1s - $hold\"",
        "\"1s - $hold\" is -1s with hold = 2s; a duration is from 0s to 365d",
    );
    check("count = \"$threads\"", "count = ^\"$hold\"", "\"$hold\" is a duration, not a count");
    check(
        "count = \"$threads\"",
        "count = ^\"many\"",
        "\"many\": give a whole number, or a parameter such as $threads",
    );
    check(
        "count = \"$threads\"",
        "count = ^true",
        "\"count\" must be a whole number, not true or false",
    );
    check(
        "count = \"$threads\"",
        "count = ^\"$threads - 4\"",
        "\"$threads - 4\" is -1 with threads = 3; a count here is from 0 to 10000",
    );
    check("count = \"$threads\"", "count = ^10001", "\"10001\": a count here is from 0 to 10000");
    check(
        "name = \"late\"",
        "name = \"late\"\ncount = ^9998",
        "a plan has at most 10000 actors; this makes it 10001",
    );
    check(
        "[[expect]]\nwhen",
        "[[actors]]\nname = ^\"thread_1\"\nstart = \"together\"\nsteps = []\n[[expect]]\nwhen",
        "two actors would be called \"thread_1\"",
    );
}

#[test]
fn of_steps() {
    let step = "{ evict = \"main\" }";
    let seen = "{ snapshot = \"main\", label = \"seen late\" }";
    let file = EXAMPLE.replace(seen, &format!("{seen}, {step}"));
    let check = |old: &str, new: &str, message: &str| check_in(&file, old, new, message);
    check(
        step,
        "^{ name = \"x\" }",
        "a step needs one of acquire, extend, release, force_release, dump, locked, work, sleep, pause, crash, await, repeat, forget_token, replace_token, plant_orphan, clear_locks, islocked, lock_statuses, amnesia, clock_jump, ...",
    );
    check(
        step,
        "{ sleep = \"1s\", ^dump = \"main\" }",
        "a step has only one of \"sleep\" and \"dump\"",
    );
    check(
        step,
        "{ ^aquire = \"main\" }",
        r#"unknown member of a step "aquire"; did you mean "acquire"?"#,
    );
    check(step, "{ dump = ^\"mian\" }", r#"unknown lock "mian"; did you mean "main"?"#);
    check(step, "{ dump = ^\"disk\" }", r#"unknown lock "disk"; known: main, other"#);
    check(step, "{ dump = ^1 }", "\"dump\" must be a string, not a whole number");
    check(
        step,
        "{ dump = \"main\", ^ttl = \"1s\" }",
        "\"ttl\" does not go with \"dump\"; what does: name, go_on, protocol",
    );
    check(
        step,
        "{ dump = \"main\", go_on = ^1 }",
        "\"go_on\" must be true or false, not a whole number",
    );
    check(step, "{ acquire = \"main\", ttl = ^\"500ms\" }", "\"500ms\": a TTL is at least 1s");
    check(
        step,
        "{ acquire = \"main\", ttl = ^\"$hold - 2s\" }",
        "\"$hold - 2s\" is 0s with hold = 2s; a TTL is at least 1s",
    );
    check(step, "^{ plant_orphan = \"main\" }", "a step needs \"ttl\"");
    check(step, "^{ locked = \"main\" }", "a step needs \"body\"");
    check(step, "^{ work = \"1s\" }", "say which lock: lock = one of main, other");
    check(step, "^{ snapshot = \"main\" }", "a step needs \"label\"");
    check(
        step,
        "{ snapshot = \"main\", label = ^\"after\" }",
        "the run's own snapshots are labelled before and after; choose another label",
    );
    check(
        step,
        "{ dump = \"main\", name = ^\"let go\" }",
        "two steps or rules have the name \"let go\"; each needs its own",
    );
    check(step, "{ dump = \"main\", name = ^\"a\\u0007\" }", "\"name\" must be one line of text");
    check(step, "^\"dump\"", "\"steps\" must be a table, not a string");
    check("{ work = \"$hold\" }", "{ work = ^\"2\" }", "\"2\": add a unit, as in 2s or 2ms");
    check(
        "{ work = \"$hold\" }",
        "{ work = \"$hold\", lock = ^\"x\" }",
        r#"unknown lock "x"; known: main, other"#,
    );
    check(
        "{ work = \"$hold\" }",
        "{ ^wrok = \"$hold\" }",
        r#"unknown member of a step "wrok"; did you mean "work"?"#,
    );
}

#[test]
fn of_expectations() {
    check(
        "status = \"error\"",
        "status = ^\"eror\"",
        r#"unknown status "eror"; did you mean "error"?"#,
    );
    check(
        "step = \"let go\"",
        "step = ^\"let goo\"",
        r#"unknown step "let goo"; did you mean "let go"?"#,
    );
    check("actor = \"late\"", "actor = ^\"lat\"", r#"unknown actor "lat"; did you mean "late"?"#);
    check(
        "snapshot = \"seen late\"",
        "snapshot = ^\"seen\"",
        r#"unknown snapshot "seen"; known: after, before, seen late"#,
    );
    check(
        "diagnosis = \"consistent\"",
        "diagnosis = ^\"consistant\"",
        r#"unknown diagnosis "consistant"; did you mean "consistent"?"#,
    );
    check(
        "protocol = \"legacy\"",
        "protocol = ^\"legcay\"",
        r#"unknown protocol "legcay"; did you mean "legacy"?"#,
    );
    check("lock = \"main\" }", "lock = ^\"min\" }", r#"unknown lock "min"; did you mean "main"?"#);
    check(
        "{ updates = 1, lock = \"main\" }",
        "^{ updates = 1 }",
        "say which lock: lock = one of main, other",
    );
    check(
        "{ updates = 1, lock = \"main\" }",
        "{ updates = 1, lock = \"main\", ^status = \"error\" }",
        "\"status\" does not go with \"updates\"",
    );
    check(
        "{ updates = 1, lock = \"main\" }",
        "{ updates = 1, lock = \"main\", ^protocol = \"legacy\" }",
        "unknown member of an expectation \"protocol\"; known: actors, succeeded, already_locked, errors, actor, step, status, error, snapshot, diagnosis, updates, lock, finds, free_of",
    );
    check(
        "succeeded = 1",
        "succeeded = 1\nactors = ^\"threads\"",
        r#"unknown actor "threads"; did you mean "thread"?"#,
    );
    check(
        "succeeded = 1",
        "succeeded = 1\n^updates = 1",
        "\"updates\" does not go with \"succeeded\"",
    );
    check(
        "succeeded = 1",
        "succeeded = ^\"$thread\"",
        r#"unknown parameter "thread"; did you mean "threads"?"#,
    );
    check(
        "succeeded = 1",
        "succeeded = ^\"$threads - 4\"",
        "\"$threads - 4\" is -1 with threads = 3; a count here is from 0 to 10000",
    );
    check(
        "actor = \"late\", status = \"success\"",
        "actor = \"late\", status = \"success\", ^error = \"x\"",
        "a success has no error; leave out \"error\"",
    );
    check(
        "{ actor = \"late\", status = \"success\" }",
        "^{ actor = \"late\" }",
        "an expectation needs \"status\"",
    );
    check(
        "{ actor = \"late\", status = \"success\" }",
        "^{ status = \"error\" }",
        "an expectation needs one of actor, step, snapshot, updates, succeeded, already_locked, errors, finds, free_of",
    );
}

#[test]
fn of_conditions() {
    let words = "must compare two values by one of <=, >=, ==, !=, <, >";
    check("\"$hold < $ttl\"", "^\"$hold\"", &format!("\"$hold\" {words}"));
    check("\"$hold < $ttl\"", "^\"$hold = $ttl\"", &format!("\"$hold = $ttl\" {words}"));
    check("\"$hold < $ttl\"", "^\"$hold <\"", &format!("\"$hold <\" {words}"));
    check("\"$hold < $ttl\"", "^\"1s < $hold < $ttl\"", &format!("\"1s < $hold < $ttl\" {words}"));
    check("\"$hold < $ttl\"", "^\"$hold < 5\"", "\"5\": add a unit, as in 5s or 5ms");
    check("\"$hold < $ttl\"", "^\"$hold < $threads\"", "\"$threads\" is a count, not a duration");
    check(
        "\"$hold < $ttl\"",
        "^\"$threads < 5s\"",
        "\"5s\": give a whole number, or a parameter such as $threads",
    );
    check(
        "\"$hold < $ttl\"",
        "^\"$hold < $tll\"",
        r#"unknown parameter "tll"; did you mean "ttl"?"#,
    );
    check("\"$hold < $ttl\"", "^\"$ < 1\"", "unknown parameter \"\"; known: threads, hold, ttl");
    check(
        "\"$hold < $ttl\"",
        "^\"1s < 2s\"",
        "\"1s < 2s\" compares no parameter, such as \"$hold\"",
    );
    check(
        "\"$hold < $ttl\"",
        "[\"$hold < $ttl\", ^1]",
        "\"when\" must be a string, not a whole number",
    );
    check(
        "\"$hold < $ttl\"",
        "^1",
        "\"when\" must be a string, or a list of strings, not a whole number",
    );
}

#[test]
fn of_depth_and_size() {
    let nested = |depth: usize| {
        let (open, close) = ("{ locked = \"main\", body = [ ", " ] }");
        let step = format!("{}{}", open.repeat(depth), close.repeat(depth));
        parse(&EXAMPLE.replace("{ snapshot = \"main\", label = \"seen late\" }", &step))
    };
    let nested_error = |depth| nested(depth).unwrap_err().to_string();
    let message = "at most 16 bodies may stand in each other";
    assert!(nested_error(17).contains(message), "{}", nested_error(17));
    assert!(nested_error(10_000).contains("this is not TOML"), "{}", nested_error(10_000));
    let error = nested_error(16);
    assert!(error.contains("unknown snapshot \"seen late\""), "16 are allowed: {error}");
    let large = format!("{EXAMPLE}#{}", " ".repeat(1 << 20));
    let size = large.len();
    let message = format!("x.toml:1:1: a scenario file has at most 1048576 bytes, not {size}");
    assert_eq!(parse(&large).unwrap_err().to_string(), message);
}

#[test]
fn of_given_parameters() {
    let scenario = parse(EXAMPLE).unwrap();
    let error = |given: &[(&str, &str)]| bind(&scenario, given).unwrap_err().to_string();
    assert_eq!(
        error(&[("thread", "1")]),
        "thread: unknown parameter \"thread\"; did you mean \"threads\"?"
    );
    let given = [("hold".to_owned(), super::Value::Count(1))].into();
    let error = scenario.bind(&given, "legacy", super::Ttl::DEFAULT, Duration::ZERO).unwrap_err();
    assert_eq!(error.to_string(), "hold: give a duration from 0s to 365d");
    let few = EXAMPLE.replace("\"$threads - 1\"", "\"$threads - 2\"");
    let error = bind(&parse(&few).unwrap(), &[("threads", "1")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "x.toml:49:18: \"$threads - 2\" is -1 with threads = 1; a count here is from 0 to 10000"
    );
}

#[test]
fn a_mistake_is_one_line_whatever_the_file_says() {
    for (old, new) in [
        ("title", "\"ti\\u001b\\ntle\""),
        ("\"$hold < $ttl\"", "\"$hold < \\n$x\\u001b\""),
        ("threads]", "\"\\n\"]"),
    ] {
        let error = Scenario::parse("a\nb.toml", &EXAMPLE.replacen(old, new, 1)).unwrap_err();
        for line in error.to_string().lines() {
            assert!(line.starts_with("a\\nb.toml:"), "{line:?}");
            assert!(!line.chars().any(char::is_control), "{line:?}");
        }
    }
}
