//! What plans come of rules, waits, faults, and of what is for one protocol only.

use super::{RACE, bind, bind_for, parse, seconds, ttl};
use crate::intercept::PausePoint;
use crate::lock::{Operation, Ttl};
use crate::scenario::{
    Action, Expectation, Instance, Matches, Plan, Rule, RuleEffect, Start, Step,
};
use lock_history::check::Property;
use std::collections::BTreeMap;
use std::time::Duration;

fn plan(protocol: &str) -> Plan {
    bind_for(protocol, &parse(RACE).unwrap(), &[]).unwrap()
}

#[test]
fn rules_are_bound_in_order() {
    let held = Rule {
        name: "release held".to_owned(),
        actor: Some("holder".to_owned()),
        matches: Matches::Operation(Operation::Release),
        lock: Some(0),
        from: 1,
        to: Some(1),
        effect: RuleEffect::HoldUntil("rival has it".to_owned()),
    };
    let slow = Rule {
        name: "slow write".to_owned(),
        actor: Some("rival_2".to_owned()),
        matches: Matches::Pause(PausePoint::FileWrite),
        lock: None,
        from: 2,
        to: Some(3),
        effect: RuleEffect::Delay(seconds(2)),
    };
    assert_eq!(plan("legacy").rules, std::slice::from_ref(&slow));
    assert_eq!(plan("hardened").rules, [held, slow]);
}

#[test]
fn every_match_and_effect_is_read() {
    let rule = |matches: &str, effect: &str| {
        let rule = format!("[[rules]]\nname = \"x\"\n{matches}\n{effect}\n[[expect]]\nfinds = [");
        let file = RACE.replace("[[expect]]\nfinds = [", &rule);
        bind(&parse(&file).unwrap(), &[]).unwrap().rules.pop().unwrap()
    };
    let matches = [
        ("command = \"DEL\"", Matches::Command("DEL".to_owned())),
        ("operation = \"acquire\"", Matches::Operation(Operation::Acquire)),
        ("operation = \"extend\"", Matches::Operation(Operation::Extend)),
        ("pause = \"token_read\"", Matches::Pause(PausePoint::TokenRead)),
        ("pause = \"token_write\"", Matches::Pause(PausePoint::TokenWrite)),
        ("pause = \"registry\"", Matches::Pause(PausePoint::Registry)),
        ("pause = \"file_read\"", Matches::Pause(PausePoint::FileRead)),
    ];
    for (text, expected) in matches {
        let rule = rule(text, "crash = true");
        assert_eq!((rule.matches, rule.from, rule.to), (expected, 1, None), "{text}");
    }
    let effects = [
        ("hold_until = \"taken\"", RuleEffect::HoldUntil("taken".to_owned())),
        ("fail = \"OOM too much\"", RuleEffect::Fail("OOM too much".to_owned())),
        ("drop_reply = true", RuleEffect::DropReply),
        ("forget = true", RuleEffect::Forget),
        ("delay = \"1s\"", RuleEffect::Delay(seconds(1))),
        ("run_late = \"slow write\"", RuleEffect::RunLate("slow write".to_owned())),
        ("crash = true", RuleEffect::Crash),
    ];
    for (text, expected) in effects {
        assert_eq!(rule("command = \"SET\"", text).effect, expected, "{text}");
    }
}

#[test]
fn steps_of_the_other_protocol_are_left_out() {
    let holder = |protocol: &str| -> Vec<String> {
        plan(protocol).actors[0].steps.iter().map(|step| step.action.verb().to_string()).collect()
    };
    let around = |renewal| ["acquire", "repeat", renewal, "await", "release", "crash"];
    assert_eq!(holder("legacy"), around("redis"));
    assert_eq!(holder("hardened"), around("extend"));
    assert_eq!(plan("legacy").actors[1].steps.len(), 1);
    let awaited = Action::Await { signal: "release held".to_owned() };
    assert_eq!(plan("hardened").actors[1].steps[0].action, awaited);
}

#[test]
fn the_new_steps_are_bound() {
    let legacy = plan("legacy");
    let steps = &legacy.actors[0].steps;
    let taken = Action::Acquire { lock: 0, ttl: Some(ttl(1)), wait: Some(seconds(2)) };
    assert_eq!(steps[0].action, taken);
    let step = |action| Step { name: None, go_on: false, action };
    let body = vec![
        step(Action::Extend { lock: 0 }),
        step(Action::Pause { duration: Duration::from_millis(10) }),
    ];
    assert_eq!(steps[1].action, Action::Repeat { times: 3, body });
    let arguments = ["SET", "{key}", "{payload}", "PX", "1000"].map(str::to_owned).into();
    assert_eq!(steps[2].action, Action::Redis { lock: 0, arguments, body: Vec::new() });
    let Action::Locked { wait, body, .. } = &legacy.actors[1].steps[0].action else { panic!() };
    assert_eq!(*wait, Some(seconds(1)));
    assert_eq!(body[0].action, Action::Sees { lock: 0, count: 3, fresh: true });
}

#[test]
fn actors_have_limits_and_start_one_after_another() {
    let plan = plan("legacy");
    let [holder, first, second] = &plan.actors[..] else { panic!("three actors") };
    assert_eq!((holder.limit, first.limit), (Some(seconds(30)), None));
    assert_eq!(first.instance, Instance::Racy);
    assert_eq!(first.start, Start::After { delay: seconds(1) });
    assert_eq!(second.start, Start::After { delay: Duration::from_millis(1500) });
}

#[test]
fn findings_are_expected_or_excluded() {
    let finding = |property, found| Expectation::Finding { property, found };
    let both = [
        finding(Property::Overlap, true),
        finding(Property::SilentLoss, true),
        finding(Property::Deadlock, false),
    ];
    assert_eq!(plan("hardened").expectations[..3], both);
    assert_eq!(plan("legacy").expectations[0], finding(Property::ForeignRelease, true));
}

#[test]
fn the_callers_wait_is_in_the_plan() {
    let scenario = parse(RACE).unwrap();
    let bound = scenario.bind(&BTreeMap::new(), "legacy", Ttl::DEFAULT, seconds(7)).unwrap();
    assert_eq!(bound.wait, seconds(7));
}

#[test]
fn every_fault_and_snapshot_is_read() {
    let steps = [
        ("{ amnesia = true }", Action::Amnesia),
        ("{ clock_jump = \"$ttl + 9s\" }", Action::ClockJump { duration: seconds(10) }),
        ("{ evict = \"main\" }", Action::Evict { lock: 0 }),
        ("{ get_instance = \"main\" }", Action::GetInstance { lock: 0 }),
        ("{ external_dump = \"main\" }", Action::ExternalDump { lock: 0 }),
        ("{ make_readonly = \"main\" }", Action::MakeReadonly { lock: 0 }),
        ("{ sees = 3, lock = \"main\" }", Action::Sees { lock: 0, count: 3, fresh: false }),
        ("{ cached = false }", Action::Cached { lock: 0, is_cached: false }),
        ("{ await = \"taken\" }", Action::Await { signal: "taken".to_owned() }),
    ];
    for (text, expected) in steps {
        let file = RACE.replace("{ crash = true }", text);
        let plan = bind(&parse(&file).unwrap(), &[]).unwrap();
        assert_eq!(plan.actors[0].steps.last().unwrap().action, expected, "{text}");
        assert!(text.starts_with(&format!("{{ {} = ", expected.verb())), "{text}");
    }
}

#[test]
fn raw_commands_have_their_times_in_the_right_unit() {
    let words = |command: &str| {
        let old = r#"["SET", "{key}", "{payload}", "PX", "$ttl"]"#;
        let plan = bind(&parse(&RACE.replace(old, command)).unwrap(), &[("ttl", "2s")]).unwrap();
        let Action::Redis { arguments, .. } = &plan.actors[0].steps[2].action else { panic!() };
        arguments.join(" ")
    };
    for (command, expected) in [
        (r#"["EXPIRE", "{key}", "$ttl"]"#, "EXPIRE {key} 2"),
        (r#"["PEXPIRE", "{key}", "$ttl + 5ms"]"#, "PEXPIRE {key} 2005"),
        (r#"["SET", "{key}", "x", "NX", "EX", "$ttl"]"#, "SET {key} x NX EX 2"),
        (r#"["EXPIRE", "{key}", "-1"]"#, "EXPIRE {key} -1"),
        (r#"["PERSIST", "{key}"]"#, "PERSIST {key}"),
        (r#"["DEL", "{key}"]"#, "DEL {key}"),
        (r#"["DELEX", "{key}", "IFEQ", "{payload}"]"#, "DELEX {key} IFEQ {payload}"),
        (r#"["DELIFEQ", "{key}", "{token}"]"#, "DELIFEQ {key} {token}"),
        (
            r#"["SET", "{key}", "{token}", "IFEQ", "{token}", "PX", "$ttl", "GET"]"#,
            "SET {key} {token} IFEQ {token} PX 2000 GET",
        ),
        (r#"["GET", "{key}"]"#, "GET {key}"),
        (r#"["HSET", "{runid}", "{flag}", "true"]"#, "HSET {runid} {flag} true"),
    ] {
        assert_eq!(words(command), expected);
    }
}
