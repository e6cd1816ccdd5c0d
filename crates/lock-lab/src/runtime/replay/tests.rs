use super::*;
use crate::lock::{Hardened, Legacy, LockProtocol};
use crate::runtime::Binding;
use crate::runtime::Schedule;
use crate::scenario::{Scenario, catalogue};
use lock_history::check::{Property, check};
use lock_history::history::{Change, EventKind, FailureKind};
use std::sync::Arc;
use std::time::Duration;

fn model(scenario: &Scenario, protocol: Arc<dyn LockProtocol>, timing: Timing) -> Model {
    Model::new(scenario, &Binding { timing, ..Binding::default() }, protocol).unwrap()
}

fn builtin(name: &str) -> Scenario {
    catalogue().unwrap().into_iter().find(|scenario| scenario.name() == name).unwrap()
}

fn turns(text: &str) -> Vec<Turn> {
    let schedule = format!("v1:x@00000000:legacy:async::{text}");
    schedule.parse::<Schedule>().unwrap().turns
}

fn found(outcome: &Outcome) -> Vec<Property> {
    let mut found: Vec<_> =
        check(&outcome.history).findings.iter().map(|finding| finding.property).collect();
    found.dedup();
    found
}

fn why(result: Result<Outcome, ReplayError>) -> String {
    match result {
        Err(ReplayError::Parted(why)) => why,
        other => panic!("{other:?}"),
    }
}

fn ends(outcome: &Outcome) -> Vec<Option<FailureKind>> {
    let events = outcome.history.events.iter();
    let end = |kind: &EventKind| match kind {
        EventKind::Ended { failure } => Some(failure.as_ref().map(|failure| failure.kind)),
        _ => None,
    };
    events.filter_map(|event| end(&event.kind)).collect()
}

/// The holder compares, its lease expires, the rival takes the lock, and the holder deletes it.
const FOREIGN_RELEASE: &str = "1x5.e1.2x4.1x2.2x4";

#[test]
fn a_schedule_leads_to_what_it_shows_each_time() {
    let model = model(&builtin("check_then_delete"), Arc::new(Legacy), Timing::Async);
    let outcome = replay(&model, &turns(FOREIGN_RELEASE)).unwrap();
    assert_eq!(found(&outcome), [Property::ForeignRelease, Property::SilentLoss]);
    assert_eq!(ends(&outcome), [None, None]);
    assert!(check(&outcome.history).is_complete);
    assert_eq!(replay(&model, &turns(FOREIGN_RELEASE)), Ok(outcome));
}

#[test]
fn the_end_of_a_lease_is_in_the_history_with_its_holder() {
    let model = model(&builtin("check_then_delete"), Arc::new(Legacy), Timing::Async);
    let events = replay(&model, &turns(FOREIGN_RELEASE)).unwrap().history.events;
    let fault = events.iter().find_map(|event| match &event.kind {
        EventKind::Fault { what, effects, lease_of: Some(0), .. } => {
            Some((event.moment.time(), what, effects))
        }
        _ => None,
    });
    let (at, what, effects) = fault.unwrap();
    assert_eq!(at, Duration::from_micros(6));
    assert_eq!(what, "the TTL of nodb-lock:explore:debug_lock_test.nodb ended");
    let token = crate::lock::Identity::repeatable_of(0).issue().as_str().to_owned();
    assert_eq!(effects[0].change, Change::Deleted { token: Some(token) });
}

#[test]
fn without_the_race_the_same_plan_is_clean() {
    let model = model(&builtin("check_then_delete"), Arc::new(Legacy), Timing::Async);
    let outcome = replay(&model, &turns("1x7.2x9")).unwrap();
    assert_eq!((found(&outcome), outcome.updates), (vec![], vec![1]));
}

#[test]
fn a_hardened_release_leaves_the_successor_alone() {
    let model = model(&builtin("check_then_delete"), Arc::new(Hardened::default()), Timing::Async);
    let outcome = replay(&model, &turns("1x4.e1.2x4.1.2x3")).unwrap();
    let expected = (vec![], vec![1]);
    assert_eq!((found(&outcome), outcome.updates), expected);
}

#[test]
fn where_plan_and_schedule_part_is_said() {
    let model = model(&builtin("check_then_delete"), Arc::new(Legacy), Timing::Async);
    let key = "nodb-lock:explore:debug_lock_test.nodb";
    let cases = [
        ("", "after all 0 turns holder has not ended".to_owned()),
        ("1x5", "after all 5 turns holder has not ended".into()),
        ("1x8", "turn 8 of 8 lets holder go on, but it has ended".into()),
        ("c1.c1.2", "turn 2 of 3 kills holder, but it has ended".into()),
        (
            "1x5.e1.2x5.1x2",
            "turn 11 of 13 lets rival go on, but what it waits for has not happened".into(),
        ),
        ("3", "turn 1 of 1 lets task 3 go on, but there is no such task".into()),
        ("e1.1", format!("turn 1 of 2 ends the TTL of {key}, but nobody holds it")),
        (
            "1.p1",
            "turn 2 of 2 delays a command of holder, but it is not about to send anything".into(),
        ),
        (
            "1x4.p1",
            "turn 5 of 5 delays a command of holder, but that it comes late makes no difference"
                .into(),
        ),
        (
            "1x2.p1.2x4.a2",
            "turn 8 of 8 lets command 2 of those on their way arrive, but there is no such \
             command"
                .into(),
        ),
        ("1x2.p1.2x4", "after all 7 turns a command is still on its way".into()),
        ("e2", "turn 1 of 1 ends the TTL of lock 2, but there is no such lock".into()),
        ("1x7.2x9.e1", format!("turn 17 of 17 ends the TTL of {key}, but all actors have ended")),
    ];
    for (text, expected) in cases {
        assert_eq!(why(replay(&model, &turns(text))), expected, "{text}");
    }
}

#[test]
fn a_crashed_actor_does_nothing_more_and_its_waiter_waits_in_vain() {
    let model = model(&builtin("check_then_delete"), Arc::new(Legacy), Timing::Async);
    let outcome = replay(&model, &turns("c1.2x4")).unwrap();
    assert_eq!(ends(&outcome), [Some(FailureKind::Crashed), Some(FailureKind::TimedOut)]);
    assert_eq!(found(&outcome), [Property::StuckLock]);
}

#[test]
fn a_reply_that_is_lost_was_carried_out() {
    let model = model(&builtin("check_then_delete"), Arc::new(Legacy), Timing::Async);
    let outcome = replay(&model, &turns("1x2.l1.2x4")).unwrap();
    let expected = [Some(FailureKind::Injected), Some(FailureKind::AlreadyLocked)];
    assert_eq!(ends(&outcome), expected);
    assert_eq!(found(&outcome), [Property::StuckLock, Property::FlagDrift]);
}

#[test]
fn a_command_that_is_lost_was_not_carried_out() {
    let model = model(&builtin("mutual_exclusion"), Arc::new(Legacy), Timing::Async);
    let outcome = replay(&model, &turns("1x2.f1.2x9")).unwrap();
    assert_eq!(ends(&outcome), [Some(FailureKind::Injected), None]);
    assert_eq!((found(&outcome), outcome.updates.as_slice()), (vec![], [1].as_slice()));
}

#[test]
fn a_late_command_is_carried_out_when_no_actor_waits_for_it() {
    let model = model(&builtin("check_then_delete"), Arc::new(Legacy), Timing::Async);
    // The holder's DEL comes when its lease has ended and the rival holds the lock.
    let schedule = turns("1x5.p1.e1.2x4.a1.2x5");
    let outcome = replay(&model, &schedule).unwrap();
    assert!(found(&outcome).contains(&Property::ForeignRelease), "{:?}", found(&outcome));
    let late = outcome.history.events.iter().filter_map(|event| match &event.kind {
        EventKind::Command(command) if command.late.is_some() => {
            Some((event.actor, command.text.as_str()))
        }
        _ => None,
    });
    let key = "nodb-lock:explore:debug_lock_test.nodb";
    assert_eq!(late.collect::<Vec<_>>(), [(Some(0), &*format!("DEL {key}"))]);
    assert_eq!(replay(&model, &schedule), Ok(outcome));
    // When all have ended, it still comes.
    let outcome = replay(&model, &turns("1x2.p1.2x4.a1")).unwrap();
    assert_eq!(found(&outcome), [Property::StuckLock]);
}

#[test]
fn in_flight_commands_are_numbered_by_task_and_then_in_order() {
    let model = model(&builtin("check_then_delete"), Arc::new(Legacy), Timing::Async);
    let expected = |turns: &str, first: &str| {
        let outcome = replay(&model, &self::turns(turns)).unwrap();
        let late = outcome.history.events.iter().filter_map(|event| match &event.kind {
            EventKind::Command(command) if command.late.is_some() => event.actor,
            _ => None,
        });
        let names = late.map(|actor| outcome.history.head.actors[actor].as_str());
        assert_eq!(names.collect::<Vec<_>>().join(" "), first, "{turns}");
    };
    // The rival gives up first, and yet it is the second task's.
    expected("1x2.2x3.p2.p1.a1x2", "holder rival");
    expected("1x2.2x3.p2.p1.a2.a1", "rival holder");
}

/// The holder pauses for longer than its lease.
const PAUSED: &str = r#"
    format = 1
    name = "paused"
    title = "The holder pauses."
    text = "The holder pauses."
    hazards = []
    [locks.main]
    [[actors]]
    name = "holder"
    start = "after"
    delay = "0s"
    instance = "own"
    steps = [ { acquire = "main", ttl = "1s" }, { pause = "2s" }, { release = "main" } ]
    [[actors]]
    name = "rival"
    start = "after"
    delay = "1500ms"
    instance = "own"
    steps = [ { acquire = "main", ttl = "10s" }, { pause = "1s" }, { release = "main" } ]
"#;

#[test]
fn under_strict_timing_leases_expire_when_it_is_time() {
    let scenario = Scenario::parse("paused.toml", PAUSED).unwrap();
    let model = model(&scenario, Arc::new(Legacy), Timing::Strict);
    let outcome = replay(&model, &turns("1x4.e1.2x4.1.2x3")).unwrap();
    let events = &outcome.history.events;
    let times: Vec<u128> = events
        .iter()
        .filter(|event| matches!(event.kind, EventKind::Command(_) | EventKind::Fault { .. }))
        .map(|event| event.moment.time().as_millis())
        .collect();
    assert_eq!(times, [0, 0, 1001, 1500, 1500, 2000, 2500, 2500, 2500]);
    assert_eq!(replay(&model, &turns("1x4.e1.2x4.1.2x3")), Ok(outcome));

    let key = "nodb-lock:explore:debug_lock_test.nodb";
    let cases = [
        ("1x4.2x3", format!("turn 5 of 7 lets rival go on, but the TTL of {key} ends first")),
        ("1x4", format!("after all 4 turns the TTL of {key} ends")),
        (
            "1.e1",
            format!("turn 2 of 2 ends the TTL of {key}, but that is not the next thing to happen"),
        ),
        ("1x4.e1.1", "turn 6 of 6 lets holder go on, but it sleeps".into()),
    ];
    for (text, expected) in cases {
        assert_eq!(why(replay(&model, &turns(text))), expected, "{text}");
    }
}

#[test]
fn a_replay_that_is_stopped_says_where() {
    let model = model(&builtin("check_then_delete"), Arc::new(Legacy), Timing::Async);
    let world = Arc::new(World::replayed(&model));
    world.time().stop(Stopped::Interrupted);
    let error = world.replay(Timing::Async, &turns("1x7.2x9")).unwrap_err();
    assert_eq!(error.to_string(), "interrupted at turn 1 of 16");
}

#[test]
fn an_actor_that_crashes_before_its_write_does_not_write() {
    let model = model(&builtin("mutual_exclusion"), Arc::new(Legacy), Timing::Async);
    // The file, SET, HSET, GET, and then the file again.
    let whole = replay(&model, &turns("1x9.2x9")).unwrap();
    assert_eq!((whole.updates.as_slice(), ends(&whole)), ([2].as_slice(), vec![None, None]));
    let crashed = replay(&model, &turns("1x5.c1.2x4")).unwrap();
    assert_eq!(crashed.updates, [0]);
    assert_eq!(ends(&crashed).first(), Some(&Some(FailureKind::Crashed)));
}
