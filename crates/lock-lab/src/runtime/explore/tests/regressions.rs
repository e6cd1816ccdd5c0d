//! What exploration once got wrong, each in the smallest scenario that shows it.

use super::*;
use lock_history::history::{Event, Verb};
use std::sync::Arc;

/// A scenario with one lock and these actors.
fn scenario(actors: &str) -> Scenario {
    let head = "format = 1\nname = \"small\"\ntitle = \"Small.\"\ntext = \"Small.\"\nhazards = []\n\
                [locks.main]\n";
    Scenario::parse("small.toml", &format!("{head}{actors}")).unwrap()
}

fn explored(actors: &str, protocol: Arc<dyn LockProtocol>, timing: Timing) -> Explored {
    let model = model(&scenario(actors), protocol, timing).unwrap();
    explore(&model, &bounds(timing, 0, 0), &mut |_| true).unwrap()
}

fn found(explored: &Explored) -> Vec<Property> {
    let mut found: Vec<_> = explored.found.iter().map(|it| it.property).collect();
    found.sort_unstable();
    found
}

#[test]
fn where_nothing_can_be_chosen_there_is_one_ordering() {
    let actors = "[[actors]]\nname = \"idle\"\nstart = \"after\"\ndelay = \"0s\"\n\
                  instance = \"own\"\nsteps = [ { sleep = \"1s\" } ]\n";
    for timing in Timing::ALL {
        let explored = explored(actors, Arc::new(Legacy), timing);
        assert_eq!((explored.orderings, explored.orderings_run), (Some(1.0), 1));
        assert_eq!((explored.stopped_by, explored.depth), (None, 0));
    }
}

/// `replace_token` watches the key, reads it, and changes it in a transaction.
#[test]
fn a_watched_key_can_be_changed_unless_another_client_did() {
    let one = "[[actors]]\nname = \"owner\"\nstart = \"after\"\ndelay = \"0s\"\n\
               instance = \"own\"\nsteps = [ { acquire = \"main\" }, { replace_token = \"main\" } ]\n";
    let alone = explored(one, Arc::new(Legacy), Timing::Strict);
    assert_eq!(found(&alone), [Property::StuckLock, Property::TokenDrift]);
    // The key holds at last what it held at first, and was changed all the same.
    let two = "[[actors]]\nname = \"other\"\nstart = \"after\"\ndelay = \"0s\"\n\
               instance = \"own\"\nsteps = [ { redis = [\"PERSIST\", \"{key}\"] },\n\
               { redis = [\"PEXPIRE\", \"{key}\", \"21600000\"] } ]\n";
    let model = model(&scenario(&format!("{one}{two}")), Arc::new(Legacy), Timing::Strict).unwrap();
    let bounds = bounds(Timing::Strict, 0, 0);
    let mut machine = Machine::new(&model, &bounds).unwrap();
    let mut brute = brute::Brute::new(&mut machine, &bounds);
    let mut refused = 0;
    loop {
        let (_, outcome) = brute.run(&model);
        let failed = |event: &Event| {
            matches!(
                &event.kind,
                EventKind::Failed { operation, .. } if operation.verb == Verb::ReplaceToken
            )
        };
        refused += u32::from(outcome.history.events.iter().any(failed));
        if !brute.next() {
            break;
        }
    }
    assert!(refused > 0);
}

#[test]
fn to_go_on_while_another_one_sleeps_is_no_preemption() {
    let actors = "[[actors]]\nname = \"a\"\nstart = \"after\"\ndelay = \"0s\"\ninstance = \"own\"\n\
                  steps = [ { acquire = \"main\" }, { pause = \"1s\" }, { release = \"main\" } ]\n\
                  [[actors]]\nname = \"b\"\nstart = \"after\"\ndelay = \"1s\"\ninstance = \"own\"\n\
                  steps = [ { force_release = \"main\" } ]\n";
    let explored = explored(actors, Arc::new(Legacy), Timing::Strict);
    let foreign = explored.found.iter().find(|it| it.property == Property::SilentLoss);
    assert_eq!(foreign.map(|it| it.preemptions), Some(0), "{:?}", found(&explored));
}

/// One actor alone, whose only ordering has thousands of steps.
#[test]
fn a_bound_is_seen_in_the_middle_of_an_ordering() {
    let actors = "[[actors]]\nname = \"busy\"\nstart = \"after\"\ndelay = \"0s\"\n\
                  instance = \"own\"\nsteps = [ { acquire = \"main\" },\n\
                  { repeat = 3000, body = [ { extend = \"main\" } ] } ]\n";
    let model = model(&scenario(actors), Arc::new(Legacy), Timing::Strict).unwrap();
    let now = Bounds { max_time: Some(Duration::ZERO), ..bounds(Timing::Strict, 0, 0) };
    let explored = explore(&model, &now, &mut |_| true).unwrap();
    assert_eq!((explored.stopped_by, explored.orderings_run), (Some(Limit::Time), 0));
    assert!((1..1000).contains(&explored.depth), "{}", explored.depth);
    assert_eq!(found(&explored), []);
}

/// What is kept of a state is not only its row of numbers.
#[test]
fn what_the_server_holds_counts_as_memory() {
    let bytes = |size: usize| {
        let actors = format!(
            "[[actors]]\nname = \"a\"\nstart = \"after\"\ndelay = \"0s\"\ninstance = \"own\"\n\
             steps = [ {{ redis = [\"SET\", \"{{key}}\", \"{}\"] }} ]\n",
            "x".repeat(size)
        );
        let model = model(&scenario(&actors), Arc::new(Legacy), Timing::Strict).unwrap();
        let mut machine = Machine::new(&model, &bounds(Timing::Strict, 0, 0)).unwrap();
        machine.choices(machine.first()).unwrap();
        (machine.states(), machine.bytes())
    };
    let ((states, small), (as_many, large)) = (bytes(1), bytes(190));
    assert_eq!(states, as_many);
    assert!(large - small >= 150, "{small}, {large}");
}

/// The memory of the process, with all that runs beside an exploration, is far more than it takes itself.
#[test]
fn only_its_own_memory_limits_an_exploration() {
    let actors = "[[actors]]\nname = \"a\"\nstart = \"after\"\ndelay = \"0s\"\ninstance = \"own\"\n\
                  steps = [ { acquire = \"main\" } ]\n";
    let model = model(&scenario(actors), Arc::new(Legacy), Timing::Strict).unwrap();
    let mut machine = Machine::new(&model, &bounds(Timing::Strict, 0, 0)).unwrap();
    machine.room = machine.bytes() + 1;
    assert!(machine.has_room(0) && machine.has_room(1) && !machine.has_room(2));
}

/// A registry that reads and inserts in two steps replaces the controller of an actor that still
/// has it, and whose token it remembers.
#[test]
fn a_replaced_controller_is_in_the_last_snapshot() {
    let actors = "[[actors]]\nname = \"a\"\nstart = \"after\"\ndelay = \"0s\"\n\
                  instance = \"shared\"\nsteps = [ { acquire = \"main\" }, { evict = \"main\" } ]\n\
                  [[actors]]\nname = \"b\"\nstart = \"after\"\ndelay = \"0s\"\n\
                  instance = \"racy\"\nsteps = [ { get_instance = \"main\" } ]\n";
    let model = model(&scenario(actors), Arc::new(Legacy), Timing::Strict).unwrap();
    let bounds = bounds(Timing::Strict, 0, 0);
    let mut machine = Machine::new(&model, &bounds).unwrap();
    let mut brute = brute::Brute::new(&mut machine, &bounds);
    loop {
        let (_, outcome) = brute.run(&model);
        let found = found_by_check(&outcome);
        assert!(found.contains(Property::TokenDrift), "{found:?}");
        if !brute.next() {
            break;
        }
    }
}

/// An actor that waits for the release and then changes what the other one reads next.
fn between(before: &str, change: &str, sees: &str, instance: &str) -> String {
    let actor = |name: &str, instance: &str, steps: &str| {
        format!(
            "[[actors]]\nname = \"{name}\"\nstart = \"after\"\ndelay = \"0s\"\n\
             instance = \"{instance}\"\nsteps = [ {steps} ]\n"
        )
    };
    let changes = format!("{before} {{ await = \"there\" }}, {change}");
    let holds = format!(
        "{before} {{ acquire = \"other\", ttl = \"100s\" }}, \
         {{ extend = \"other\", name = \"there\" }}, {{ sleep = \"5s\" }}, {sees}, \
         {{ release = \"other\" }}"
    );
    let locks = "[locks.other]\nrun_suffix = \"_other\"\n";
    format!("{locks}{}{}", actor("changer", "shared", &changes), actor("holder", instance, &holds))
}

#[test]
fn another_actor_can_run_between_a_sleep_and_a_read_of_shared_state() {
    let get = "{ get_instance = \"main\" },";
    let cases = [
        between("", "{ make_readonly = \"main\" }", "{ acquire = \"main\" }", "own"),
        between(
            get,
            "{ work = \"0s\", lock = \"main\" }",
            "{ sees = 0, lock = \"main\" }",
            "shared",
        ),
        between("", "{ get_instance = \"main\" }", "{ cached = false, lock = \"main\" }", "shared"),
    ];
    for actors in cases {
        for timing in Timing::ALL {
            let found = found(&explored(&actors, Arc::new(Legacy), timing));
            assert!(found.contains(&Property::StuckLock), "{timing:?}: {found:?}\n{actors}");
        }
    }
}

/// Any actor may be paused anywhere, so that whatever comes of exact times may come of pauses.
#[test]
fn what_strict_timing_finds_is_found_without_it() {
    let mut compared = 0;
    for scenario in crate::scenario::catalogue().unwrap() {
        for protocol in protocols() {
            let run = |timing| {
                let model = model(&scenario, Arc::clone(protocol), timing).unwrap();
                let bounds = Bounds { max_schedules: Some(3000), ..bounds(timing, 0, 0) };
                explore(&model, &bounds, &mut |_| true).unwrap()
            };
            let (strict, pauses) = (run(Timing::Strict), run(Timing::Async));
            if strict.stopped_by.is_none() && pauses.stopped_by.is_none() {
                let (strict, pauses) = (found(&strict), found(&pauses));
                let missing: Vec<_> = strict.iter().filter(|it| !pauses.contains(it)).collect();
                assert!(missing.is_empty(), "{} {}: {missing:?}", scenario.name(), protocol.name());
                compared += 1;
            }
        }
    }
    assert!(compared >= 40, "{compared}");
}

/// The sender has ended, and the lock is still its own.
#[test]
fn what_a_rule_runs_late_may_release_the_own_lock() {
    let text = r#"
[[actors]]
name = "first"
start = "together"
instance = "own"
steps = [{ acquire = "main" }, { release = "main", name = "given up", go_on = true }]

[[actors]]
name = "second"
start = "after"
delay = "0s"
instance = "own"
steps = [{ await = "given up" }, { sleep = "1s", name = "done" }]

[[rules]]
name = "late"
command = "DEL"
run_late = "done"
"#;
    for timing in Timing::ALL {
        let found = found(&explored(text, Arc::new(Legacy), timing));
        assert!(!found.contains(&Property::ForeignRelease), "{timing:?}: {found:?}");
    }
}
