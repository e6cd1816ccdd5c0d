//! The embedded scenarios: their defaults are the reference's, and so is what they expect.

use super::{bind, seconds, ttl};
use crate::lock::Ttl;
use crate::scenario::catalogue::FILES;
use crate::scenario::{
    Action, Expectation, Instance, Plan, Scenario, Start, Status, Value, catalogue,
};
use std::collections::BTreeMap;
use std::time::Duration;

fn scenario(name: &str) -> Scenario {
    catalogue().unwrap().into_iter().find(|s| s.name() == name).unwrap()
}

fn plan(name: &str, given: &[(&str, &str)]) -> Plan {
    bind(&scenario(name), given).unwrap()
}

/// The totals, the ends of actors and steps, the diagnoses and the updates that a plan expects.
fn expected(plan: &Plan) -> Vec<String> {
    let end = |status: &Status, error: &Option<String>| {
        let error = error.as_deref().map(|error| format!(" ({error})")).unwrap_or_default();
        format!("{status:?}{error}")
    };
    let line = |expectation: &Expectation| match expectation {
        Expectation::Total { status, count, .. } => format!("{count} {status:?}"),
        Expectation::Actor { group, status, error } => format!("{group}: {}", end(status, error)),
        Expectation::Step { step, status, error } => format!("{step}: {}", end(status, error)),
        Expectation::Snapshot { label, diagnosis } => format!("{label}: {diagnosis}"),
        Expectation::Updates { lock, count } => format!("{} +{count}", plan.locks[*lock].name),
        Expectation::Finding { property, found } => {
            format!("{} {}", if *found { "finds" } else { "free of" }, property.word())
        }
    };
    plan.expectations.iter().map(line).collect()
}

#[test]
fn all_are_sound_are_named_after_their_files_and_speak_plain_english() {
    let scenarios = catalogue().unwrap();
    for (scenario, (file, _)) in scenarios.iter().zip(FILES) {
        assert_eq!(file, format!("scenarios/{}.toml", scenario.name()));
        assert_eq!(scenario.validate(), Ok(()), "{file}");
        assert!(scenario.title().len() <= 100, "{file}");
        assert!(scenario.text().lines().all(|line| line.chars().count() <= 80), "{file}");
        assert!(scenario.parameters().iter().all(|p| p.help.len() <= 100), "{file}");
        assert!(!scenario.hazards().is_empty(), "{file}");
    }
}

#[test]
fn all_files_of_the_folder_are_embedded() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| format!("scenarios/{}", entry.unwrap().file_name().display()))
        .filter(|file| file.ends_with(".toml"))
        .collect();
    files.sort();
    let mut embedded = FILES.map(|(file, _)| file);
    embedded.sort();
    assert_eq!(files, embedded);
}

#[test]
fn the_example_of_the_readme_is_a_scenario() {
    let readme = include_str!("../../../scenarios/README.md");
    let (_, rest) = readme.split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let plan = bind(&super::parse(example).unwrap(), &[]).unwrap();
    assert_eq!(expected(&plan), ["2 Success"]);
}

#[test]
fn defaults_are_the_references() {
    let defaults: Vec<String> = catalogue()
        .unwrap()
        .iter()
        .map(|scenario| {
            let plan = bind(scenario, &[]).unwrap();
            let values: Vec<String> =
                plan.parameters.iter().map(|(name, value)| format!(" {name}={value}")).collect();
            format!("{}{}", scenario.name(), values.concat())
        })
        .collect();
    let expected = [
        "thundering_herd threads=5 hold=2s ttl=6h",
        "rapid_sequential requests=10 hold=500ms delay=0s ttl=6h",
        "ttl_expiration ttl=3s hold=5s next_hold=500ms",
        "token_corruption ttl=6h",
        "orphaned_locks ttl=5m",
        "deadlock_sim hold=1s delay=500ms ttl=6h",
        "singleton_race ttl=30s",
        "clear_locks_race",
        "build_climate requests=5 operation=2s gap=1s 500ms delay=0s patience=0s job=5s limit=3s ttl=6h",
        "cache_refresh",
        "force_unlock_recovery ttl=1s",
        "operation_vs_ttl operation=2s ttl=3s",
        "mutual_exclusion clients=2",
        "extend_after_expiry clients=2",
        "check_then_delete ttl=1s",
        "blind_delete ttl=1s",
        "shared_token_slot ttl=1s",
        "set_then_flag ttl=30s",
        "stale_write ttl=1s",
        "paused_holder ttl=1s",
        "zero_ttl ttl=30s",
        "silent_reacquire ttl=1s",
        "watchdog_dies ttl=1s hold=2s",
        "watchdog_outlives ttl=1s watchdog=30s patience=2s 500ms",
        "additive_extend ttl=1s patience=2s 500ms",
        "killed_holder ttl=6h lease=1s patience=2s 500ms",
        "lost_reply ttl=6h lease=1s patience=2s 500ms",
        "late_execution ttl=6h lease=1s patience=2s 500ms",
        "rejected_release ttl=6h lease=1s patience=2s 500ms",
        "amnesia",
        "clock_jump ttl=30s",
        "eviction",
        "glob_clear ttl=30s",
        "starvation",
        "extend_without_px ttl=1s patience=2s 500ms",
        "delex_without_condition ttl=1s",
        "ifne_acquire ttl=30s",
        "late_release_flag ttl=1s",
        "islocked_race",
        "dirty_memory",
        "interrupted_holder ttl=6h lease=1s patience=2s 500ms",
        "refresh_under_holder",
        "forked_child",
        "replacement_fence ttl=1m",
        "setter_inside_locked",
        "setnx_then_expire ttl=1s supervisor=2s 500ms servers=3",
        "extend_in_wrong_unit wrong=60ms",
    ];
    assert_eq!(defaults, expected);
}

#[test]
fn a_herd_has_one_winner() {
    let default = plan("thundering_herd", &[]);
    assert_eq!(default.actors.len(), 5);
    assert_eq!(default.actors[4].name, "thread_5");
    assert!(default.actors.iter().all(|a| a.start == Start::Together));
    assert!(default.actors.iter().all(|a| a.instance == Instance::Shared));
    let held = ["1 Success", "4 AlreadyLocked", "0 Error", "main +1", "after: consistent"];
    assert_eq!(expected(&default), held);
    let lost = ["0 Success", "4 AlreadyLocked", "1 Error", "main +0", "after: lost"];
    assert_eq!(expected(&plan("thundering_herd", &[("ttl", "1s")])), lost);
    assert!(expected(&plan("thundering_herd", &[("ttl", "2s")])).is_empty(), "a tie");
    assert!(expected(&plan("thundering_herd", &[("hold", "1ms")])).is_empty(), "too short");
    let alone = expected(&plan("thundering_herd", &[("threads", "1")]));
    assert_eq!(alone[..2], ["1 Success", "0 AlreadyLocked"]);
    assert_eq!(plan("thundering_herd", &[("threads", "10000")]).actors.len(), 10_000);
}

#[test]
fn requests_follow_one_another() {
    let default = plan("rapid_sequential", &[("delay", "1s")]);
    assert_eq!(default.actors.len(), 10);
    assert!(default.actors.iter().all(|a| a.start == Start::InSequence { pause: seconds(1) }));
    let held = ["10 Success", "0 AlreadyLocked", "0 Error", "main +10", "after: consistent"];
    assert_eq!(expected(&default), held);
    let overrun = plan("rapid_sequential", &[("ttl", "1s"), ("hold", "2s"), ("requests", "2")]);
    let error = "request: Error (cannot dump to unlocked db)";
    let lost = ["0 Success", "0 AlreadyLocked", "2 Error", error, "main +0", "after: lost"];
    assert_eq!(expected(&overrun), lost);
}

#[test]
fn a_lock_ends_under_its_holder() {
    let default = plan("ttl_expiration", &[]);
    let names: Vec<&str> = default.actors.iter().map(|a| &*a.name).collect();
    assert_eq!(names, ["long_operation", "next_operation"]);
    let Action::Locked { ttl: lease, body, .. } = &default.actors[0].steps[0].action else {
        panic!()
    };
    assert_eq!(*lease, Some(ttl(3)));
    assert_eq!(body[0].action, Action::Work { lock: 0, duration: seconds(5) });
    let overrun = [
        "long_operation: Error (cannot dump to unlocked db)",
        "between the operations: lost",
        "next_operation: Success",
        "after: consistent",
    ];
    assert_eq!(expected(&default), overrun);
    let in_time = [
        "long_operation: Success",
        "between the operations: consistent",
        "next_operation: Success",
        "after: consistent",
        "main +2",
    ];
    assert_eq!(expected(&plan("ttl_expiration", &[("ttl", "6s")])), in_time);
    let tie = expected(&plan("ttl_expiration", &[("ttl", "5s")]));
    assert_eq!(tie, ["next_operation: Success", "after: consistent"]);
    let both = expected(&plan("ttl_expiration", &[("next_hold", "4s")]));
    assert_eq!(both[2..], ["next_operation: Error (cannot dump to unlocked db)", "after: lost"]);
}

#[test]
fn a_forgotten_token_needs_force() {
    let verbs: Vec<String> = plan("token_corruption", &[]).actors[0]
        .steps
        .iter()
        .map(|step| step.action.verb().to_string())
        .collect();
    let expected_verbs =
        ["acquire", "snapshot", "forget_token", "snapshot", "release", "force_release", "snapshot"];
    assert_eq!(verbs, expected_verbs);
    let outcome = expected(&plan("token_corruption", &[]));
    assert_eq!(outcome[0], "plain release: Error (unlock() called without owning the lock)");
    assert_eq!(outcome[1], "forced release: Success");
    assert!(outcome.contains(&"token forgotten: orphaned".to_owned()));
}

#[test]
fn an_orphan_is_in_the_way_until_it_is_cleared() {
    let default = plan("orphaned_locks", &[]);
    let steps = &default.actors[0].steps;
    assert_eq!(steps[0].action, Action::PlantOrphan { lock: 0, ttl: ttl(300) });
    assert_eq!(steps[2].action, Action::Acquire { lock: 0, ttl: None, wait: None });
    let going_on: Vec<bool> = steps.iter().map(|step| step.go_on).collect();
    assert_eq!(going_on, [false, false, true, false, false, false, false]);
    let outcome = expected(&default);
    assert_eq!(
        outcome[..2],
        ["orphan planted: orphaned", "acquire before the clearing: AlreadyLocked"]
    );
    assert!(outcome.contains(&"acquire after the clearing: Success".to_owned()));
}

#[test]
fn two_workers_meet_crosswise_late_or_not_at_all() {
    let default = plan("deadlock_sim", &[]);
    let suffixes: Vec<&str> = default.locks.iter().map(|l| &*l.run_suffix).collect();
    assert_eq!(suffixes, ["_1", "_2"]);
    assert_eq!(default.actors[0].start, Start::After { delay: Duration::ZERO });
    assert_eq!(default.actors[1].start, Start::After { delay: Duration::from_millis(500) });
    let Action::Locked { lock: 1, body, .. } = &default.actors[1].steps[0].action else { panic!() };
    assert_eq!(body[0].action, Action::Sleep { duration: seconds(1) });
    assert!(matches!(body[1].action, Action::Locked { lock: 0, .. }) && body[1].go_on);
    let first = |given: &[(&str, &str)]| expected(&plan("deadlock_sim", given));
    let crosswise = [
        "2 Success",
        "0 AlreadyLocked",
        "0 Error",
        "worker 1 takes lock two: AlreadyLocked",
        "worker 2 takes lock one: Success",
        "one +1",
        "two +0",
        "after: consistent",
    ];
    assert_eq!(expected(&default), crosswise);
    assert_eq!(
        first(&[("delay", "1500ms")])[..2],
        ["worker_1: Success", "worker_2: AlreadyLocked"]
    );
    let apart = first(&[("delay", "3s")]);
    assert_eq!(apart[3], "worker 1 takes lock two: Success");
    assert_eq!(apart[4], "worker 2 takes lock one: Success");
    for tie in ["0", "1s", "2s"] {
        assert!(first(&[("delay", tie)]).is_empty(), "{tie}");
    }
    assert!(first(&[("ttl", "2s")]).is_empty(), "the locks would end under the workers");
}

#[test]
fn the_callers_ttl_is_the_default_where_a_file_names_none() {
    let herd = scenario("thundering_herd");
    let bound = herd.bind(&BTreeMap::new(), "legacy", ttl(60), Duration::ZERO).unwrap();
    assert_eq!(bound.parameters[2], ("ttl".to_owned(), Value::Ttl(ttl(60))));
    assert_eq!(bound.default_ttl, ttl(60));
    let given = [("ttl".to_owned(), Value::Ttl(ttl(7)))].into();
    let bound = herd.bind(&given, "legacy", Ttl::DEFAULT, Duration::ZERO).unwrap();
    assert_eq!(bound.parameters[2], ("ttl".to_owned(), Value::Ttl(ttl(7))));
}
