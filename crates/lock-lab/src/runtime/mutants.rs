//! Each cure of the hardened protocol left out must be noticed by a built-in scenario, and no
//! scenario may notice anything where none is.

use super::{Stage, Time, World, longest};
use crate::lock::{Hardened, LockProtocol, Ttl, in_process, mutants, protocols};
use crate::scenario::{Scenario, catalogue};
use crate::server::Server;
use lock_history::check::{Property, Ruling, Verdict};
use redis_sim::clock::VirtualClock;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

fn run(scenario: &Scenario, protocol: Arc<dyn LockProtocol>) -> (Ruling, Vec<String>) {
    let name = protocol.name();
    let plan = scenario.bind(&BTreeMap::new(), name, Ttl::DEFAULT, Duration::ZERO).unwrap();
    let deadline = longest(&plan) + Duration::from_secs(30);
    let time = Time::Virtual(Arc::new(VirtualClock::new(Some(deadline))));
    let server = Server::embedded(time.clock());
    let files = plan.state_files(Path::new("/nowhere/mutant"), None, None).unwrap();
    let world =
        Arc::new(World::new(plan, server, in_process(protocol), files, time, Box::new(|| ())));
    let mut stage = Stage::default();
    stage.prepare_directories(&world).unwrap();
    stage.prepare_locks(&world, false).unwrap();
    let outcome = world.run().unwrap();
    (outcome.judge(world.plan()), outcome.unmatched)
}

/// The scenarios that do not come out as expected.
fn noticed_by(protocol: Arc<dyn LockProtocol>) -> Vec<String> {
    let scenarios = catalogue().unwrap();
    let verdict = |scenario: &Scenario| run(scenario, Arc::clone(&protocol)).0.verdict;
    let noticed = scenarios.iter().filter(|scenario| verdict(scenario) != Verdict::Expected);
    noticed.map(|scenario| scenario.name().to_owned()).collect()
}

#[test]
fn every_scenario_comes_out_as_expected_under_each_protocol() {
    for protocol in protocols() {
        assert_eq!(noticed_by(Arc::clone(protocol)), [""; 0], "{}", protocol.name());
    }
}

#[test]
fn no_rule_of_a_built_in_scenario_is_idle() {
    for scenario in catalogue().unwrap() {
        for protocol in protocols() {
            let (_, idle) = run(&scenario, Arc::clone(protocol));
            assert_eq!(idle, [""; 0], "{}", scenario.name());
        }
    }
}

#[test]
fn each_cure_that_is_left_out_is_noticed() {
    for (mutant, protocol, by) in [
        ("compare", mutants::skips_compare(), "check_then_delete"),
        ("NX", mutants::skips_nx(), "thundering_herd"),
        ("NX", mutants::skips_nx(), "ifne_acquire"),
        ("flag", mutants::skips_flag(), "thundering_herd"),
        ("fence", mutants::skips_fence(), "paused_holder"),
        ("renewal", mutants::skips_renewal(), "ttl_expiration"),
    ] {
        let noticed = noticed_by(protocol);
        assert!(noticed.iter().any(|name| name == by), "without {mutant}: {noticed:?}");
    }
}

/// A scenario of two actors, run under hardened; what comes out is for the caller to judge.
fn hardened(actors: &str) -> Ruling {
    made_up(actors, Arc::new(Hardened::default()))
}

fn made_up(actors: &str, protocol: Arc<dyn LockProtocol>) -> Ruling {
    let text = format!(
        r#"
format = 1
name = "made_up"
title = "Made up for a test"
text = "An ordering that no built-in scenario has."
hazards = []
[locks.main]
{actors}
[[expect]]
free_of = ["foreign_release", "lost_update", "silent_loss", "flag_drift"]
"#
    );
    run(&Scenario::parse("made_up.toml", &text).unwrap(), protocol).0
}

#[test]
fn an_extension_of_a_successor_s_lease_is_noticed() {
    let actors = r#"
[[actors]]
name = "first"
start = "after"
delay = "0s"
instance = "own"
steps = [
  { acquire = "main", ttl = "1s" }, { pause = "1300ms" }, { await = "second has it" },
  { extend = "main", name = "late extension", go_on = true },
]
[[actors]]
name = "second"
start = "after"
delay = "1500ms"
instance = "own"
steps = [
  { acquire = "main", ttl = "5s", name = "second has it" }, { await = "late extension" },
  { release = "main" },
]
[[expect]]
free_of = "foreign_extend"
"#;
    let found = |protocol| {
        let ruling = made_up(actors, protocol);
        ruling.checked.findings.iter().map(|finding| finding.property).collect::<Vec<_>>()
    };
    let by_mutant = found(mutants::skips_compare_of_extend());
    assert!(by_mutant.contains(&Property::ForeignExtend), "{by_mutant:?}");
    let cured = found(Arc::new(Hardened::default()));
    assert!(!cured.contains(&Property::ForeignExtend), "{cured:?}");
}

#[test]
fn who_lost_the_lock_can_t_write_even_before_its_successor_has() {
    let ruling = hardened(
        r#"
[[actors]]
name = "first"
start = "after"
delay = "0s"
instance = "own"
steps = [
  { acquire = "main", ttl = "1s" }, { work = "0s" },
  { dump = "main", name = "first's write", go_on = true },
]
[[actors]]
name = "second"
start = "after"
delay = "2s"
instance = "own"
steps = [
  { acquire = "main", name = "second has it" }, { work = "0s" }, { await = "first's write" },
  { dump = "main" }, { release = "main" },
]
[[rules]]
name = "first is paused"
actor = "first"
pause = "file_write"
occurrence = 1
hold_until = "second has it"
[[expect]]
all = [
  { step = "first's write", status = "error", error = "stale write" },
  { actor = "second", status = "success" },
  { updates = 1 },
]
"#,
    );
    assert_eq!(ruling.verdict, Verdict::Expected, "{:#?}", ruling.expectations);
}

#[test]
fn who_finds_its_lock_gone_mends_the_flag() {
    for step in ["{ dump = \"main\" }", "{ work = \"1s\" }", "{ release = \"main\" }"] {
        let ruling = hardened(&format!(
            r#"
[[actors]]
name = "paused"
start = "after"
delay = "0s"
instance = "own"
steps = [{{ acquire = "main", ttl = "1s" }}, {{ pause = "1300ms" }}, {step}]
[[expect]]
actor = "paused"
status = "error"
error = "the lock was lost"
"#
        ));
        assert_eq!(ruling.verdict, Verdict::Expected, "{step}: {:#?}", ruling.expectations);
    }
}

#[test]
fn a_refused_dump_leaves_no_hardened_lock_behind() {
    let ruling = hardened(
        r#"
[[actors]]
name = "holder"
start = "after"
delay = "0s"
instance = "own"
steps = [{ locked = "main", ttl = "1h", body = [{ work = "0s" }, { external_dump = "main" }] }]
[[expect]]
all = [{ actor = "holder", status = "error", error = "stale write" }, { free_of = "stuck_lock" }]
"#,
    );
    assert_eq!(ruling.verdict, Verdict::Expected, "{:#?}", ruling.expectations);
}
