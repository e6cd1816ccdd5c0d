//! Exploring the built-in scenarios: what their rules force is found without those rules, in no more
//! commands; what their files claim of all orderings holds; and a real Redis shows the same.

use crate::redis_server::redis_or_skip;
use lock_history::check::{Property, check};
use lock_history::history::{Event, EventKind, FailureKind, History};
use lock_lab::lock::{Hardened, Legacy, LockProtocol, Ttl, in_process, protocol};
use lock_lab::runtime::{
    Binding, Bounds, Counterexample, Explored, Limit, Model, Stage, Time, World, explore,
};
use lock_lab::scenario::{Action, Expectation, Plan, RuleEffect, Scenario, Value, catalogue};
use lock_lab::server::Server;
use redis_sim::clock::{VirtualClock, WallClock};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

type Values = BTreeMap<String, Value>;

fn scenario(name: &str) -> Scenario {
    catalogue().unwrap().into_iter().find(|scenario| scenario.name() == name).unwrap()
}

fn plan(scenario: &Scenario, protocol: &str, with: &Values) -> Plan {
    scenario.bind(with, protocol, Ttl::DEFAULT, Duration::ZERO).unwrap()
}

fn model(scenario: &Scenario, protocol: Arc<dyn LockProtocol>, with: &Values) -> Model {
    let binding = Binding { values: with.clone(), ..Binding::default() };
    Model::new(scenario, &binding, protocol).unwrap()
}

fn bounds(crashes: u32, faults: u32, until: &[Property]) -> Bounds {
    Bounds { crashes, faults, until: until.to_vec(), ..Bounds::default() }
}

fn explored(model: &Model, bounds: &Bounds) -> Explored {
    explore(model, bounds, &mut |_| true).unwrap()
}

/// What the rules of a scenario force under `legacy`, and how many crashes and lost replies it
/// takes to come about without them.
const FORCED: [(&str, Property, u32, u32); 38] = [
    ("singleton_race", Property::StuckLock, 0, 0),
    ("clear_locks_race", Property::LostUpdate, 0, 0),
    ("check_then_delete", Property::ForeignRelease, 0, 0),
    ("blind_delete", Property::ForeignRelease, 0, 0),
    ("shared_token_slot", Property::ForeignRelease, 0, 0),
    ("set_then_flag", Property::FlagDrift, 1, 0),
    ("set_then_flag", Property::StuckLock, 1, 0),
    ("stale_write", Property::LostUpdate, 0, 0),
    ("paused_holder", Property::LostUpdate, 0, 0),
    ("zero_ttl", Property::DoubleGrant, 0, 0),
    ("zero_ttl", Property::Overlap, 0, 0),
    ("zero_ttl", Property::LostUpdate, 0, 0),
    ("silent_reacquire", Property::SilentLoss, 0, 0),
    ("silent_reacquire", Property::LostUpdate, 0, 0),
    ("watchdog_dies", Property::LostUpdate, 0, 0),
    ("watchdog_outlives", Property::StuckLock, 0, 0),
    ("additive_extend", Property::StuckLock, 0, 0),
    ("killed_holder", Property::StuckLock, 0, 0),
    ("lost_reply", Property::StuckLock, 0, 1),
    ("lost_reply", Property::FlagDrift, 0, 1),
    ("late_execution", Property::StuckLock, 0, 1),
    ("late_execution", Property::FlagDrift, 0, 1),
    // A refusal by the server is no ordering: this rule stays.
    ("rejected_release", Property::StuckLock, 0, 0),
    // What befalls the server here is a step, and may come at any time.
    ("amnesia", Property::DoubleGrant, 0, 0),
    ("amnesia", Property::LostUpdate, 0, 0),
    ("clock_jump", Property::DoubleGrant, 0, 0),
    ("clock_jump", Property::LostUpdate, 0, 0),
    ("eviction", Property::LostUpdate, 0, 0),
    ("extend_without_px", Property::StuckLock, 0, 0),
    ("extend_in_wrong_unit", Property::DoubleGrant, 0, 0),
    ("extend_in_wrong_unit", Property::Overlap, 0, 0),
    ("extend_in_wrong_unit", Property::LostUpdate, 0, 0),
    ("setnx_then_expire", Property::StuckLock, 1, 0),
    ("islocked_race", Property::FlagDrift, 0, 0),
    ("delex_without_condition", Property::ForeignRelease, 0, 0),
    ("ifne_acquire", Property::ForeignOverwrite, 0, 0),
    ("interrupted_holder", Property::StuckLock, 0, 0),
    ("forked_child", Property::ForeignRelease, 0, 0),
];

/// What is no matter of one ordering: how long somebody goes without.
const NOT_EXPLORED: [(&str, Property); 1] = [("starvation", Property::Starvation)];

#[test]
fn all_that_scenarios_find_is_in_the_list() {
    let mut expected = Vec::new();
    for scenario in catalogue().unwrap() {
        let plan = plan(&scenario, "legacy", &Values::new());
        for expectation in plan.expectations {
            if let Expectation::Finding { property, found: true } = expectation {
                expected.push((scenario.name().to_owned(), property));
            }
        }
    }
    let forced = FORCED.iter().map(|(name, property, ..)| (*name, *property));
    let mut listed: Vec<(String, Property)> =
        forced.chain(NOT_EXPLORED).map(|(name, property)| (name.to_owned(), property)).collect();
    expected.sort();
    listed.sort();
    assert_eq!(listed, expected);
}

#[test]
fn what_rules_force_is_found_without_them_and_in_no_more_commands() {
    for (name, property, crashes, faults) in FORCED {
        let scenario = scenario(name);
        let mut model = model(&scenario, Arc::new(Legacy), &Values::new());
        if name != "rejected_release" {
            model.plan.rules.clear();
        }
        let is_force =
            |effect: &RuleEffect| matches!(effect, RuleEffect::HoldUntil(_) | RuleEffect::Delay(_));
        assert!(!model.plan.rules.iter().any(|rule| is_force(&rule.effect)), "{name}");
        let explored = explored(&model, &bounds(crashes, faults, &[property]));
        let what = format!("{name}: {}", property.word());
        let Some(ours) = explored.found.iter().find(|it| it.property == property) else {
            panic!("{what} is not found in {} orderings", explored.orderings_run);
        };
        let ours = length(&ours.outcome.history, property);
        let theirs = length(&recipe(&scenario), property);
        if ours.misfortunes == theirs.misfortunes {
            assert!(ours.commands <= theirs.commands, "{what}: {ours:?}, by hand {theirs:?}");
        }
        assert!(ours.misfortunes <= theirs.misfortunes, "{what}: {ours:?}, by hand {theirs:?}");
        assert!(ours.switches <= theirs.switches, "{what}: {ours:?}, by hand {theirs:?}");
    }
}

/// The history of a scenario as it is written, with its rules, in virtual time.
fn recipe(scenario: &Scenario) -> History {
    let plan = plan(scenario, "legacy", &Values::new());
    let time = Time::Virtual(Arc::new(VirtualClock::new(None)));
    let server = Server::embedded(time.clock());
    let files = plan.state_files(Path::new("/nowhere/forced"), None, None).unwrap();
    let host = in_process(Arc::new(Legacy));
    let world = World::new(plan, server, host, files, time, Box::new(|| ())).without_cache();
    let world = Arc::new(world);
    let mut stage = Stage::default();
    stage.prepare_directories(&world).unwrap();
    stage.prepare_locks(&world, false).unwrap();
    world.run().unwrap().history
}

/// How long a history is up to a finding.
#[derive(Debug)]
struct Length {
    /// Actors that were killed, and commands whose reply never came.
    misfortunes: usize,
    /// Redis commands. Whoever is not killed goes on, so these are compared only where as many
    /// actors are.
    commands: usize,
    /// How often another actor's command came next.
    switches: usize,
}

/// How long the shortest beginning of a history is that shows a property.
fn length(history: &History, property: Property) -> Length {
    let shows = |end: usize| {
        let is_complete = history.is_complete && end == history.events.len();
        let events = history.events[..end].to_vec();
        let beginning = History { head: history.head.clone(), events, is_complete };
        check(&beginning).findings.iter().any(|finding| finding.property == property)
    };
    let end = (1..=history.events.len()).find(|end| shows(*end)).unwrap();
    let events = &history.events[..end];
    let is_command = |event: &&Event| matches!(event.kind, EventKind::Command(_));
    let actors: Vec<_> = events.iter().filter(is_command).map(|event| event.actor).collect();
    Length {
        misfortunes: events.iter().filter(|event| is_crash_or_fault(&event.kind)).count(),
        commands: actors.len(),
        switches: actors.windows(2).filter(|pair| pair[0] != pair[1]).count(),
    }
}

fn is_crash_or_fault(kind: &EventKind) -> bool {
    match kind {
        EventKind::Ended { failure: Some(failure) } => failure.kind == FailureKind::Crashed,
        EventKind::Failed { failure, .. } => failure.kind == FailureKind::Injected,
        _ => false,
    }
}

#[test]
fn what_the_files_claim_of_all_orderings_holds() {
    let mut wrong = Vec::new();
    for scenario in catalogue().unwrap() {
        for protocol in [Arc::new(Legacy) as Arc<dyn LockProtocol>, Arc::new(Hardened::default())] {
            let entries = scenario.explorations(&Values::new(), protocol.name(), Ttl::DEFAULT);
            for entry in entries.unwrap() {
                let model = model(&scenario, Arc::clone(&protocol), &entry.with);
                let until = if entry.free_of.is_empty() { &entry.finds[..] } else { &[] };
                let bounds = Bounds {
                    timing: entry.timing,
                    preemptions: entry.preemptions,
                    ..bounds(entry.crashes, entry.faults, until)
                };
                let explored = explored(&model, &bounds);
                let found: Vec<Property> = explored.found.iter().map(|it| it.property).collect();
                let holds = entry.finds.iter().all(|property| found.contains(property))
                    && !entry.free_of.iter().any(|property| found.contains(property))
                    && explored.stopped_by.is_none_or(|limit| limit == Limit::Satisfied);
                let what = format!("{} {} {:?}", scenario.name(), protocol.name(), entry.with);
                if !holds {
                    let texts = explored.found.iter().map(|it| it.schedule.to_string());
                    wrong.push(format!("{what}: {:?}", texts.collect::<Vec<_>>()));
                }
            }
        }
    }
    assert_eq!(wrong, [""; 0], "{wrong:#?}");
}

#[test]
fn a_release_that_comes_late_deletes_another_ones_lock_unless_it_compares() {
    let late_release = |protocol: Arc<dyn LockProtocol>| {
        let model = model(&scenario("check_then_delete"), protocol, &Values::new());
        explored(&model, &bounds(0, 1, &[]))
    };
    let is_late_release = |event: &Event| match &event.kind {
        EventKind::Command(it) => {
            it.late.is_some() && !it.effects.is_empty() && it.text.starts_with("DEL")
        }
        _ => false,
    };
    let legacy = late_release(Arc::new(Legacy));
    let foreign = legacy.found.iter().find(|it| it.property == Property::ForeignRelease).unwrap();
    assert_eq!(foreign.preemptions, 0, "{}", foreign.schedule);
    let hardened = late_release(Arc::new(Hardened::default()));
    assert_eq!(hardened.stopped_by, None);
    assert!(hardened.found.iter().all(|it| it.property != Property::ForeignRelease));
    assert!(!hardened.found.iter().any(|it| it.outcome.history.events.iter().any(is_late_release)));
}

/// Scenarios with counterexamples of many kinds, and the crashes and faults to allow.
const REPLAYED: [(&str, &str, u32, u32); 15] = [
    ("mutual_exclusion", "legacy", 0, 0),
    ("check_then_delete", "legacy", 0, 0),
    ("blind_delete", "legacy", 0, 0),
    ("shared_token_slot", "legacy", 0, 0),
    ("stale_write", "legacy", 0, 0),
    ("paused_holder", "legacy", 0, 0),
    ("silent_reacquire", "legacy", 0, 0),
    ("clear_locks_race", "legacy", 0, 0),
    ("set_then_flag", "legacy", 1, 0),
    ("lost_reply", "legacy", 0, 1),
    ("check_then_delete", "legacy", 0, 1),
    ("late_execution", "legacy", 0, 1),
    ("mutual_exclusion", "current", 0, 0),
    ("mutual_exclusion", "current", 1, 0),
    ("late_release_flag", "current", 0, 0),
];
/// How often each is replayed, unless `NODB_REPLAYS` says more.
const TIMES: usize = 3;

/// Which properties a history violates, on which locks, and by whom.
fn findings(history: &History) -> Vec<(Property, usize, Vec<usize>)> {
    let findings = check(history).findings.into_iter();
    let mut findings: Vec<_> = findings.map(|it| (it.property, it.lock, it.actors)).collect();
    findings.sort();
    findings
}

#[test]
fn counterexamples_show_the_same_on_a_real_redis_each_time() {
    let redis = redis_or_skip!(version "7.0");
    let place = tempfile::tempdir().unwrap();
    let times = std::env::var("NODB_REPLAYS").map_or(TIMES, |times| times.parse().unwrap());
    let mut replayed = 0;
    for (name, spoken, crashes, faults) in REPLAYED {
        let protocol = Arc::clone(protocol(spoken).unwrap());
        let model = model(&scenario(name), protocol, &Values::new());
        for counterexample in explored(&model, &bounds(crashes, faults, &[])).found {
            for time in 0..times {
                let history = on_redis(&redis.url(), &model, &counterexample, place.path());
                let text = format!("{}, time {time}", counterexample.schedule);
                assert_eq!(findings(&history), findings(&counterexample.outcome.history), "{text}");
                redis.is_empty();
            }
            replayed += 1;
        }
    }
    assert!(replayed >= 20, "{replayed}");
    assert!(std::fs::read_dir(place.path()).unwrap().next().is_none());
}

/// The history of a counterexample on a real server.
fn on_redis(url: &str, model: &Model, counterexample: &Counterexample, base: &Path) -> History {
    let Model { plan, host, .. } = model.clone();
    assert!(!plan.has(Action::is_server_fault));
    let time = Time::Wall(Arc::new(WallClock::new(Some(Duration::from_secs(30)))));
    let server = Server::at(url, None).unwrap();
    let files = plan.state_files(&base.join("run"), None, None).unwrap();
    let world = World::new(plan, server, host, files, time, Box::new(|| ())).without_cache();
    let world = Arc::new(world);
    let mut stage = Stage::default();
    stage.prepare_directories(&world).unwrap();
    stage.prepare_locks(&world, false).unwrap();
    let replayed = world.replay(model.origin.timing, &counterexample.schedule.turns);
    let cleaned = stage.clean(&world);
    assert!(cleaned.is_clean, "{:?}", cleaned.notices);
    replayed.unwrap().history
}
