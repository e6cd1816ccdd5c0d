//! What is left of a plan when nothing forces an order on it.

use super::{RACE, bind_for, parse};
use crate::scenario::{Action, Plan, Rule, RuleEffect, Step, catalogue};
use std::collections::BTreeSet;
use std::time::Duration;

/// All steps, also those inside others.
fn all<'a>(steps: &'a [Step], found: &mut Vec<&'a Step>) {
    for step in steps {
        found.push(step);
        if let Action::Locked { body, .. } | Action::Repeat { body, .. } = &step.action {
            all(body, found);
        }
    }
}

fn steps(plan: &Plan) -> Vec<&Step> {
    let mut found = Vec::new();
    plan.actors.iter().for_each(|actor| all(&actor.steps, &mut found));
    found
}

fn names_of_rules(plan: &Plan) -> Vec<&str> {
    plan.rules.iter().map(|rule| &*rule.name).collect()
}

#[test]
fn nothing_forces_an_order_on_an_embedded_scenario() {
    for scenario in catalogue().unwrap() {
        for protocol in ["legacy", "hardened"] {
            let plan = bind_for(protocol, &scenario, &[]).unwrap();
            let unconstrained = plan.clone().unconstrained();
            let of = format!("{} under {protocol}", plan.scenario);
            let rules: BTreeSet<&str> = names_of_rules(&unconstrained).into_iter().collect();
            let all = steps(&unconstrained);
            let named = |name: &str| {
                let is_it = |step: &&Step| step.name.as_deref() == Some(name);
                rules.contains(name) || all.iter().any(is_it)
            };
            for rule in &unconstrained.rules {
                match &rule.effect {
                    RuleEffect::HoldUntil(_) | RuleEffect::Delay(_) => panic!("{of}: {rule:?}"),
                    RuleEffect::RunLate(signal) => assert!(named(signal), "{of}: {signal}"),
                    _ => {}
                }
            }
            for step in &all {
                if let Action::Await { signal } = &step.action {
                    assert!(named(signal), "{of}: {signal}");
                }
            }
            let faults = |plan: &Plan| {
                let is_fault = |rule: &&Rule| {
                    use RuleEffect::{Crash, DropReply, Fail, Forget};
                    matches!(rule.effect, Fail(_) | DropReply | Forget | Crash)
                };
                plan.rules.iter().filter(is_fault).count()
            };
            assert_eq!(faults(&unconstrained), faults(&plan), "{of}");
            assert_eq!(unconstrained.expectations, plan.expectations, "{of}");
            let stay = |step: &&&Step| !matches!(step.action, Action::Await { .. });
            let before = steps(&plan).iter().filter(stay).count();
            let after = all.iter().filter(stay).count();
            assert!(after >= before, "{of}: only waits go");
            assert_eq!(unconstrained.clone().unconstrained(), unconstrained, "{of}");
        }
    }
}

#[test]
fn waits_for_rules_go_and_waits_for_steps_stay() {
    let unconstrained = bind_for("hardened", &parse(RACE).unwrap(), &[]).unwrap().unconstrained();
    assert_eq!(names_of_rules(&unconstrained), [""; 0]);
    let waits: Vec<_> = steps(&unconstrained)
        .into_iter()
        .filter_map(|step| match &step.action {
            Action::Await { signal } => Some(&**signal),
            _ => None,
        })
        .collect();
    assert_eq!(waits, ["rival has it"]);
}

#[test]
fn what_hangs_on_a_lifted_rule_goes_with_it() {
    let rules = r#"
[[rules]]
name = "latest"
actor = "rival"
command = "SET"
occurrence = 1
run_late = "late"

[[rules]]
name = "late"
actor = "holder"
command = "SET"
occurrence = 1
run_late = "release held"

[[rules]]
name = "after a step"
actor = "rival"
command = "DEL"
run_late = "taken"

[[rules]]
name = "release held"
"#;
    let text = RACE
        .replacen("\n[[rules]]\nname = \"release held\"\n", rules, 1)
        .replace("hold_until = \"rival has it\"\nprotocol = \"hardened\"", "delay = \"1s\"")
        .replace(
            "{ await = \"release held\", protocol = \"hardened\" },",
            "{ repeat = 2, body = [{ await = \"latest\", name = \"go\" }, { await = \"late\" }] },",
        );
    let unconstrained = bind_for("legacy", &parse(&text).unwrap(), &[]).unwrap().unconstrained();
    assert_eq!(names_of_rules(&unconstrained), ["after a step"]);
    let rival = unconstrained.actors.iter().find(|actor| actor.name == "rival_1").unwrap();
    let Action::Repeat { body, .. } = &rival.steps[0].action else { panic!() };
    let sleep = Action::Sleep { duration: Duration::ZERO };
    assert_eq!(body.len(), 1);
    assert_eq!((body[0].name.as_deref(), &body[0].action), (Some("go"), &sleep));
}

#[test]
fn a_digest_distinguishes_texts() {
    let digest = |text: &str| parse(text).unwrap().digest();
    assert_eq!(digest(RACE), digest(RACE));
    assert_ne!(digest(RACE), digest(&format!("{RACE}\n")));
    let text = RACE;
    let hex = sha1_smol::Sha1::from(text).digest().to_string();
    assert_eq!(format!("{:08x}", digest(text)), hex[..8]);
}
