//! What plans come of files.

use super::{EXAMPLE, bind, parse, seconds, ttl};
use crate::lock::{StateFile, Ttl};
use crate::scenario::{Action, Expectation, Instance, Start, Status, Value};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

#[test]
fn hazards_may_be_left_out() {
    let text = EXAMPLE.replace("hazards = [\"herd\"]\n", "");
    assert!(parse(&text).unwrap().hazards().is_empty());
    assert_ne!(text, EXAMPLE);
}

#[test]
fn a_file_says_what_it_says() {
    let scenario = parse(EXAMPLE).unwrap();
    assert_eq!(scenario.name(), "example");
    assert_eq!(scenario.title(), "An example.");
    assert_eq!(scenario.text(), "Two paragraphs,\n\nno more.");
    assert_eq!(scenario.hazards(), ["herd"]);
    let parameters: Vec<_> = scenario.parameters().iter().map(|p| (&*p.name, p.default)).collect();
    let expected = [
        ("threads", Some(Value::Count(3))),
        ("hold", Some(Value::Duration(seconds(2)))),
        ("ttl", None),
    ];
    assert_eq!(parameters, expected);
}

#[test]
fn defaults_are_bound() {
    let plan = bind(&parse(EXAMPLE).unwrap(), &[]).unwrap();
    let parameters: Vec<String> =
        plan.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(parameters, ["threads=3", "hold=2s", "ttl=6h"]);
    let locks: Vec<_> = plan.locks.iter().map(|l| (&*l.name, &*l.run_suffix)).collect();
    assert_eq!(locks, [("main", ""), ("other", "_2")]);
    let names: Vec<_> = plan.actors.iter().map(|a| (&*a.name, &*a.group)).collect();
    let threads = [("thread_1", "thread"), ("thread_2", "thread"), ("thread_3", "thread")];
    assert_eq!(names, [&threads[..], &[("late", "late")]].concat());
    assert_eq!(plan.default_ttl, Ttl::DEFAULT);
}

#[test]
fn each_lock_is_of_the_file_that_is_named_for_it() {
    let files = |text: &str, given: Option<&str>| {
        let plan = bind(&parse(text).unwrap(), &[]).unwrap();
        let files = plan.state_files(Path::new("/runs/ab"), None, given);
        let key = |file: &StateFile| file.lock().key().to_owned();
        files.map(|files| files.iter().map(key).collect::<Vec<_>>())
    };
    let keys = |text: &str, given| files(text, given).unwrap();
    let default = "debug_lock_test.nodb";
    let both = |file: &str| [format!("nodb-lock:ab:{file}"), format!("nodb-lock:ab_2:{file}")];
    assert_eq!(keys(EXAMPLE, None), both(default));
    assert_eq!(keys(EXAMPLE, Some("_pups/x.nodb")), both("_pups/x.nodb"));
    let one_run = EXAMPLE.replace("run_suffix = \"_2\"", "file = \"soils.nodb\"");
    let expected = ["nodb-lock:ab:climate.nodb", "nodb-lock:ab:soils.nodb"];
    assert_eq!(keys(&one_run, Some("climate.nodb")), expected);
    let twice = files(&one_run, Some("soils.nodb")).unwrap_err();
    let words =
        "locks \"main\" and \"other\" would be of one file, \"soils.nodb\"; name another file";
    assert_eq!(twice.to_string(), words);
    let named = one_run.replace("[locks.main]", "[locks.main]\nfile = \"climate.nodb\"");
    assert_eq!(keys(&named, None), expected);
    let refused = files(&named, Some("x.nodb")).unwrap_err().to_string();
    let words =
        "names its state files itself: climate.nodb, soils.nodb; leave out the file \"x.nodb\"";
    assert!(refused.ends_with(words), "{refused}");
    assert!(files(EXAMPLE, Some("../x.nodb")).is_err());
}

#[test]
fn steps_are_bound_and_shared_by_a_group() {
    let plan = bind(&parse(EXAMPLE).unwrap(), &[("ttl", "9s")]).unwrap();
    let [first, second, _, late] = &plan.actors[..] else { panic!("four actors") };
    assert!(Arc::ptr_eq(&first.steps, &second.steps));
    assert_eq!((first.start, first.instance), (Start::Together, Instance::Shared));
    let [locked, release] = &first.steps[..] else { panic!("two steps") };
    let Action::Locked { lock: 0, ttl: Some(lease), wait: None, body } = &locked.action else {
        panic!("{locked:?}")
    };
    assert_eq!(*lease, ttl(9));
    assert_eq!(body[0].action, Action::Work { lock: 0, duration: seconds(2) });
    assert!(!locked.go_on && release.go_on);
    assert_eq!(release.name.as_deref(), Some("let go"));
    assert_eq!(release.action, Action::Release { lock: 1, force: false });
    assert_eq!(late.start, Start::After { delay: Duration::from_millis(1500) });
    assert_eq!(late.instance, Instance::Own);
}

#[test]
fn every_verb_is_read() {
    let steps = [
        r#"{ acquire = "other", ttl = "5s" }"#,
        r#"{ release = "main" }"#,
        r#"{ force_release = "main" }"#,
        r#"{ dump = "main" }"#,
        r#"{ work = "1s", lock = "other" }"#,
        r#"{ sleep = 0 }"#,
        r#"{ locked = "main", body = [{ locked = "other", body = [{ work = "0s" }] }] }"#,
        r#"{ forget_token = "main" }"#,
        r#"{ replace_token = "main" }"#,
        r#"{ plant_orphan = "main", ttl = "5m" }"#,
        r#"{ clear_locks = "other" }"#,
        r#"{ snapshot = "other", label = "seen late" }"#,
    ];
    let list = steps.join(",\n");
    let file = EXAMPLE.replace(r#"{ snapshot = "main", label = "seen late" }"#, &list);
    let plan = bind(&parse(&file).unwrap(), &[]).unwrap();
    let actions: Vec<&Action> =
        plan.actors.last().unwrap().steps.iter().map(|s| &s.action).collect();
    for (action, step) in actions.iter().zip(steps) {
        assert!(step.starts_with(&format!("{{ {} = ", action.verb())), "{action:?}");
    }
    assert_eq!(actions.len(), 12);
    assert_eq!(actions[0], &Action::Acquire { lock: 1, ttl: Some(ttl(5)), wait: None });
    assert_eq!(actions[5], &Action::Sleep { duration: Duration::ZERO });
    let Action::Locked { lock: 0, ttl: None, body, .. } = actions[6] else { panic!() };
    let Action::Locked { lock: 1, body, .. } = &body[0].action else { panic!() };
    let innermost = Action::Work { lock: 1, duration: Duration::ZERO };
    assert_eq!(body[0].action, innermost, "work is on the innermost lock");
    assert_eq!(actions[9], &Action::PlantOrphan { lock: 0, ttl: ttl(300) });
}

#[test]
fn starts_in_sequence_pause_or_not() {
    for (pause, expected) in [("", 0), ("pause = \"$hold + 1s\"", 3)] {
        let start = format!("start = \"in_sequence\"\n{pause}");
        let file = EXAMPLE.replace("start = \"together\"", &start);
        let plan = bind(&parse(&file).unwrap(), &[]).unwrap();
        assert_eq!(plan.actors[0].start, Start::InSequence { pause: seconds(expected) });
    }
}

#[test]
fn a_group_of_one_has_no_number_and_a_group_may_be_empty() {
    let scenario = parse(EXAMPLE).unwrap();
    let one = bind(&scenario, &[("threads", "1")]).unwrap();
    assert_eq!(one.actors[0].name, "thread");
    let fewer = EXAMPLE.replace("count = \"$threads\"", "count = \"$threads - 1\"");
    let none = bind(&parse(&fewer).unwrap(), &[("threads", "1")]).unwrap();
    assert_eq!(none.actors[0].name, "late");
}

#[test]
fn expectations_are_bound_for_protocol_and_values() {
    let scenario = parse(EXAMPLE).unwrap();
    let total = |status, count| Expectation::Total { group: None, status, count };
    let totals = [total(Status::Success, 1), total(Status::AlreadyLocked, 2)];
    let step = Expectation::Step {
        step: "let go".to_owned(),
        status: Status::Error,
        error: Some("not ours".to_owned()),
    };
    let rest = [
        step,
        Expectation::Actor { group: "late".to_owned(), status: Status::Success, error: None },
        Expectation::Snapshot { label: "seen late".to_owned(), diagnosis: "consistent".to_owned() },
        Expectation::Updates { lock: 0, count: 1 },
    ];
    let legacy = bind(&scenario, &[]).unwrap().expectations;
    assert_eq!(legacy, [&totals[..], &rest[..]].concat());
    let hardened =
        scenario.bind(&BTreeMap::new(), "hardened", Ttl::DEFAULT, Duration::ZERO).unwrap();
    assert_eq!(hardened.expectations, totals);
    let overrun = bind(&scenario, &[("ttl", "2s")]).unwrap().expectations;
    assert_eq!(overrun, rest);
}

#[test]
fn conditions_compare_counts_and_times() {
    let expected = |condition: &str| {
        let file = EXAMPLE.replace("when = \"$hold < $ttl\"", &format!("when = {condition}"));
        bind(&parse(&file).unwrap(), &[("ttl", "3s")]).unwrap().expectations.len() == 6
    };
    // threads = 3, hold = 2s, ttl = 3s
    for (condition, holds) in [
        ("\"$hold < $ttl\"", true),
        ("\"$ttl < $hold\"", false),
        ("\"$hold<=2s\"", true),
        ("\"$hold < 2s\"", false),
        ("\"$hold >= 2000ms\"", true),
        ("\"$hold + 1s == $ttl\"", true),
        ("\"$hold + 1s != $ttl\"", false),
        ("\"$hold - 1m < 0\"", true),
        ("\"3 > $threads\"", false),
        ("\"$threads == 3\"", true),
        ("[\"$threads > 2\", \"$hold > 1s\"]", true),
        ("[\"$threads > 2\", \"$hold > 2s\"]", false),
        ("[]", true),
    ] {
        assert_eq!(expected(condition), holds, "{condition}");
    }
}
