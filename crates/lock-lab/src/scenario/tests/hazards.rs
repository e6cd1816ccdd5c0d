//! The embedded scenarios of hazards: each is there, says what is found before and after, and
//! leaves nothing to luck.

use super::{RACE, bind_for, parse};
use crate::lock::protocol;
use crate::scenario::{Action, Expectation, Plan, Scenario, Start, Step, catalogue};
use lock_history::check::Property;

fn plan(scenario: &Scenario, protocol: &str) -> Plan {
    bind_for(protocol, scenario, &[]).unwrap()
}

/// The properties that must be found, or must not.
fn findings(plan: &Plan, wanted: bool) -> Vec<Property> {
    let property = |expectation: &Expectation| match expectation {
        Expectation::Finding { property, found } if *found == wanted => Some(*property),
        _ => None,
    };
    plan.expectations.iter().filter_map(property).collect()
}

#[test]
fn what_is_found_before_the_cure() {
    let found: Vec<String> = catalogue()
        .unwrap()
        .iter()
        .map(|scenario| {
            let words = findings(&plan(scenario, "legacy"), true);
            let words: Vec<&str> = words.into_iter().map(Property::word).collect();
            format!("{}: {}", scenario.name(), words.join(" "))
        })
        .filter(|line| !line.ends_with(": "))
        .collect();
    let expected = [
        "singleton_race: stuck_lock",
        "clear_locks_race: lost_update",
        "check_then_delete: foreign_release",
        "blind_delete: foreign_release",
        "shared_token_slot: foreign_release",
        "set_then_flag: flag_drift stuck_lock",
        "stale_write: lost_update",
        "paused_holder: lost_update",
        "zero_ttl: double_grant overlap lost_update",
        "silent_reacquire: silent_loss lost_update",
        "watchdog_dies: lost_update",
        "watchdog_outlives: stuck_lock",
        "additive_extend: stuck_lock",
        "killed_holder: stuck_lock",
        "lost_reply: stuck_lock flag_drift",
        "late_execution: stuck_lock flag_drift",
        "rejected_release: stuck_lock",
        "amnesia: double_grant lost_update",
        "clock_jump: double_grant lost_update",
        "eviction: lost_update",
        "starvation: starvation",
        "extend_without_px: stuck_lock",
        "delex_without_condition: foreign_release",
        "ifne_acquire: foreign_overwrite",
        "islocked_race: flag_drift",
        "interrupted_holder: stuck_lock",
        "forked_child: foreign_release",
        "setnx_then_expire: stuck_lock",
        "extend_in_wrong_unit: double_grant overlap lost_update",
    ];
    assert_eq!(found, expected);
}

#[test]
fn what_a_good_protocol_rules_out_is_excluded_after_the_cure() {
    let ruled_out = protocol("hardened").unwrap().rules_out();
    assert_eq!(ruled_out.len(), 6);
    let mut excludes_nothing = Vec::new();
    for scenario in catalogue().unwrap() {
        let plan = plan(&scenario, "hardened");
        let excluded = findings(&plan, false);
        if excluded.is_empty() {
            excludes_nothing.push(scenario.name().to_owned());
            continue;
        }
        let missing: Vec<_> =
            ruled_out.iter().filter(|property| !excluded.contains(property)).collect();
        // There another client writes the flag.
        let comes_about: &[_] =
            if scenario.name() == "islocked_race" { &[&Property::FlagDrift] } else { &[] };
        assert_eq!(missing, comes_about, "{}", scenario.name());
        let found = findings(&plan, true);
        assert!(found.iter().all(|property| !excluded.contains(property)), "{}", scenario.name());
    }
    // What these show is no property, so no verdict may say that the protocol prevented it.
    let shows_no_property = ["dirty_memory", "refresh_under_holder", "setter_inside_locked"];
    excludes_nothing.sort();
    assert_eq!(excludes_nothing, shows_no_property);
}

#[test]
fn what_a_protocol_rules_out_is_expected_to_be_absent_where_a_file_does_not_name_it() {
    let excluded = |text: &str, protocol: &str| {
        let plan = bind_for(protocol, &parse(text).unwrap(), &[]).unwrap();
        let word = |expectation: &Expectation| match expectation {
            Expectation::Finding { property, found: false } => property.word().to_owned(),
            Expectation::Finding { property, found: true } => format!("!{}", property.word()),
            _ => "other".to_owned(),
        };
        plan.expectations.iter().map(word).collect::<Vec<_>>().join(" ")
    };
    let named = "!overlap !silent_loss deadlock";
    let foreign = "foreign_release foreign_overwrite foreign_extend";
    let all = format!("{foreign} lost_update silent_loss flag_drift");
    assert_eq!(excluded(RACE, "legacy"), format!("!foreign_release {named}"));
    assert_eq!(
        excluded(RACE, "hardened"),
        format!("{named} {foreign} lost_update flag_drift"),
        "but for what the file names itself"
    );
    let own = "[[expect]]\nprotocol = \"hardened\"\nupdates = 1\n\n[[explore]]";
    let (before, explore) = RACE.split_once("[[expect]]").unwrap();
    let (_, explore) = explore.split_once("[[explore]]").unwrap();
    let one = format!("{before}[[expect]]\nerrors = 0\n\n{own}{explore}");
    assert_eq!(excluded(&one, "hardened"), format!("other {all} other"), "before its own");
    assert_eq!(excluded(&one, "legacy"), "other", "it rules out nothing");
    let silent = format!("{before}[[expect]]\nerrors = 0\n");
    assert_eq!(excluded(&silent, "hardened"), "other", "the file is not about findings");
    let legacy = "[[expect]]\nprotocol = \"legacy\"\nfinds = \"foreign_release\"\n";
    assert_eq!(excluded(&format!("{before}{legacy}"), "hardened"), "", "it expects nothing here");
    let both = format!("{before}{legacy}\n[[expect]]\nerrors = 0\n");
    assert_eq!(excluded(&both, "hardened"), format!("other {all}"));
    let careless = both.replace("{ release", "{ redis = [\"DEL\", \"{key}\"] },\n  { release");
    assert_ne!(careless, both);
    let rest = "lost_update silent_loss flag_drift";
    assert_eq!(excluded(&careless, "hardened"), format!("other {rest}"), "its own client deletes");
}

#[test]
fn every_scenario_says_what_it_expects_under_each_protocol() {
    for scenario in catalogue().unwrap() {
        for protocol in ["legacy", "current", "hardened"] {
            let plan = plan(&scenario, protocol);
            let says = |kind: fn(&Expectation) -> bool| plan.expectations.iter().any(kind);
            let name = scenario.name();
            assert!(says(|it| !matches!(it, Expectation::Finding { .. })), "{name} {protocol}");
            assert!(says(|it| !matches!(it, Expectation::Updates { .. })), "{name} {protocol}");
        }
    }
}

#[test]
fn the_hazards_of_the_catalogue_have_a_scenario_of_their_name() {
    let scenarios = catalogue().unwrap();
    for hazard in [
        "check-then-delete",
        "set-then-flag",
        "blind-delete",
        "stale-write",
        "shared-token-slot",
        "killed-holder",
        "lost-reply",
        "late-execution",
        "rejected-release",
        "zero-ttl",
        "glob-clear",
        "starvation",
        "paused-holder",
        "silent-reacquire",
        "additive-extend",
        "watchdog-dies",
        "watchdog-outlives",
        "amnesia",
        "clock-jump",
        "eviction",
        "extend-without-px",
        "delex-without-condition",
        "ifne-acquire",
        "late-release-flag",
        "islocked-race",
        "dirty-memory",
        "interrupted-holder",
        "refresh-under-holder",
        "forked-child",
        "replacement-fence",
        "setter-inside-locked",
    ] {
        let name = hazard.replace('-', "_");
        let scenario = scenarios.iter().find(|scenario| scenario.name() == name).unwrap();
        assert!(scenario.hazards().contains(&hazard.to_owned()), "{name}");
        assert!(scenario.text().contains("Look at"), "{name} says what to look at");
    }
}

/// Whether steps wait for another actor.
fn awaits(steps: &[Step]) -> bool {
    steps.iter().any(|step| match &step.action {
        Action::Await { .. } => true,
        Action::Locked { body, .. } | Action::Repeat { body, .. } => awaits(body),
        _ => false,
    })
}

#[test]
fn who_meets_whom_is_awaited_and_not_slept_for() {
    // These race on purpose, or their delays are what they are about.
    let by_the_clock = [
        "thundering_herd",
        "deadlock_sim",
        "build_climate",
        "mutual_exclusion",
        "extend_after_expiry",
    ];
    for scenario in catalogue().unwrap() {
        if by_the_clock.contains(&scenario.name()) {
            continue;
        }
        for protocol in ["legacy", "hardened"] {
            let plan = plan(&scenario, protocol);
            let free = plan.actors.iter().filter(|actor| {
                !matches!(actor.start, Start::InSequence { .. }) && !awaits(&actor.steps)
            });
            let free: Vec<&str> = free.map(|actor| &*actor.name).collect();
            let independent = match scenario.name() {
                "set_then_flag" => &["taker", "giver"][..],
                "singleton_race" => &["racy_a", "atomic_a"],
                _ => free.get(..free.len().min(1)).unwrap_or_default(),
            };
            assert_eq!(free, independent, "{} {protocol}", scenario.name());
        }
    }
}

#[test]
fn a_delay_cures_the_replayed_profile() {
    let climate = catalogue().unwrap().into_iter().find(|it| it.name() == "build_climate").unwrap();
    let requests = |given: &[(&str, &str)]| {
        let plan = bind_for("legacy", &climate, given).unwrap();
        let total = |expectation: &Expectation| match expectation {
            Expectation::Total { group: Some(group), count, .. } if group == "request" => {
                Some(*count)
            }
            _ => None,
        };
        plan.expectations.iter().filter_map(total).collect::<Vec<u64>>()
    };
    assert_eq!(requests(&[]), [3, 2, 0]);
    assert_eq!(requests(&[("delay", "1s")]), [5, 0, 0]);
    assert_eq!(requests(&[("gap", "0s"), ("requests", "20")]), [1, 19, 0]);
    let error = |job| {
        let plan = bind_for("legacy", &climate, &[("job", job)]).unwrap();
        let end = |expectation: &Expectation| match expectation {
            Expectation::Actor { group, error, .. } if group == "http" => Some(error.clone()),
            _ => None,
        };
        plan.expectations.iter().find_map(end).unwrap()
    };
    assert_eq!(error("1s"), None);
    assert_eq!(error("5s"), Some("504".to_owned()));
}
