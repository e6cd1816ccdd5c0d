//! The judge is `check`: on random sequential histories the monitor finds what it finds, and what
//! equal monitors find in the same future is the same.

mod model;
mod random;
mod record;

use super::{Monitor, Properties};
use crate::check::{Property, check};
use crate::history::{
    Change, Command, Effect, EventKind, FailureKind, History, Moment, Operation, Sharing, Verb,
};
use model::Model;
use random::Random;
use record::{Recorder, failure};
use std::collections::HashMap;

/// How many histories are made; `MONITOR_HISTORIES` asks for another number.
fn histories(few: u64) -> u64 {
    std::env::var("MONITOR_HISTORIES").ok().and_then(|it| it.parse().ok()).unwrap_or(few)
}

fn found_by_check(history: &History) -> Properties {
    let findings = check(history).findings.into_iter().map(|finding| finding.property);
    findings.filter(|property| *property != Property::Starvation).collect()
}

fn shown(history: &History) -> String {
    let mut out = Vec::new();
    history.write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// A run that is under way.
#[derive(Clone)]
struct Run {
    model: Model,
    monitor: Monitor,
    recorder: Recorder,
}

impl Run {
    fn new(seed: u64) -> (Self, Random) {
        let mut random = Random::new(seed);
        let (actors, locks) = (2 + random.below(3), 1 + random.below(3));
        let model = Model::new(actors, locks, &mut random);
        let monitor = Monitor::new(actors, locks);
        let monitor = if model.is_late() { monitor.with_late_commands() } else { monitor };
        (Self { model, monitor, recorder: Recorder::new(actors, locks) }, random)
    }

    /// The same, of locks that actors share in some way.
    fn of_shared(seed: u64) -> (Self, Random) {
        let (run, mut random) = Self::new(seed);
        let actors = run.monitor.actors.len();
        let readers = (0..actors).filter(|_| random.one_in(2)).collect();
        let permits = Sharing::Permits(u32::try_from(random.below(4)).unwrap());
        let sharing = Some(random.pick(&[permits, Sharing::Readers(readers)]));
        let monitor = run.monitor.with_sharing(sharing.clone());
        (Self { monitor, recorder: run.recorder.with_sharing(sharing), ..run }, random)
    }

    fn turn(&mut self, random: &mut Random) {
        let events = self.model.turn(random);
        self.take(events);
    }

    fn take(&mut self, events: Vec<model::Happening>) {
        for (actor, kind) in events {
            self.monitor.read(actor, &kind, 0);
            self.recorder.record(actor, kind);
        }
    }

    fn finish(mut self, random: &mut Random) -> (History, Properties) {
        let events = self.model.finish(random);
        self.take(events);
        (self.recorder.history(), self.monitor.found())
    }
}

#[test]
fn it_finds_what_the_checkers_find() {
    let mut counts: HashMap<Property, u64> = HashMap::new();
    let all = histories(4_000);
    for seed in 0..all {
        let (mut run, mut random) = Run::new(seed);
        for _ in 0..random.below(120) {
            run.turn(&mut random);
        }
        let (history, found) = run.finish(&mut random);
        let checked = check(&history);
        assert!(checked.is_complete, "seed {seed}\n{}", shown(&history));
        let expected = found_by_check(&history);
        if found != expected {
            panic!(
                "seed {seed}: found {found:?}, not {expected:?}\n{}\n{:#?}",
                shown(&history),
                checked.findings
            );
        }
        expected.iter().for_each(|property| *counts.entry(property).or_default() += 1);
    }
    println!("{all} histories: {counts:?}");
    for property in Property::explored() {
        let is_often = counts.get(&property).is_some_and(|count| count * 200 > all);
        assert!(is_often, "the model hardly ever makes {property:?}: {counts:?}");
    }
}

/// How the locks are left says nothing here.
#[test]
fn it_finds_the_flags_that_are_set_to_free_under_a_holder_where_the_checkers_do() {
    let (all, mut drifts) = (histories(4_000), 0);
    for seed in 0..all {
        let (mut run, mut random) = Run::new(seed);
        for _ in 0..random.below(120) {
            run.turn(&mut random);
        }
        let mut events = run.model.finish(&mut random);
        events.retain(|(_, kind)| !matches!(kind, EventKind::Left(_)));
        run.take(events);
        let history = run.recorder.history();
        let found = run.monitor.found().contains(Property::FlagDrift);
        let expected = found_by_check(&history).contains(Property::FlagDrift);
        assert_eq!(found, expected, "seed {seed}\n{}", shown(&history));
        drifts += u64::from(found);
    }
    println!("{drifts} of {all}");
    assert!(drifts * 200 > all, "the model hardly ever makes it: {drifts}");
}

#[test]
fn it_finds_what_the_checkers_find_of_locks_that_actors_share() {
    let mut double_grants = 0;
    let all = histories(4_000);
    for seed in 0..all {
        let (mut run, mut random) = Run::of_shared(seed);
        for _ in 0..random.below(120) {
            run.turn(&mut random);
        }
        let (history, found) = run.finish(&mut random);
        assert_eq!(found, found_by_check(&history), "seed {seed}\n{}", shown(&history));
        double_grants += u64::from(found.contains(Property::DoubleGrant));
    }
    assert!(double_grants * 20 > all, "{double_grants} of {all}");
}

#[test]
fn equal_monitors_find_the_same_in_the_same_future() {
    let mut known: HashMap<(Model, Monitor), Run> = HashMap::new();
    let mut merged = 0;
    for seed in 0..histories(4_000) {
        let (mut run, mut random) = Run::new(seed % 7);
        random = Random::new(seed ^ random.next());
        for _ in 0..random.below(16) {
            run.turn(&mut random);
            let state = (run.model.canonical(), run.monitor.clone());
            let Some(other) = known.get(&state) else {
                known.insert(state, run.clone());
                continue;
            };
            merged += 1;
            let future = random.next();
            let [here, there] = [run.clone(), other.clone()].map(|mut run| {
                let mut random = Random::new(future);
                for _ in 0..random.below(60) {
                    run.turn(&mut random);
                }
                run.finish(&mut random).0
            });
            let (expected, found) = (found_by_check(&there), found_by_check(&here));
            assert_eq!(found, expected, "\n{}\n{}", shown(&here), shown(&there));
        }
    }
    println!("{merged} merges");
    assert!(merged > 100);
}

/// A step with the only lock.
fn step(verb: Verb) -> Operation {
    Operation { verb, lock: Some(0), ..Operation::default() }
}

/// A command that changes the only lock.
fn command(change: Change, late: Option<Verb>) -> EventKind {
    let (text, reply, sent) = (String::new(), String::new(), Moment::default());
    let effects = vec![Effect { lock: 0, change }];
    EventKind::Command(Command { sent, text, reply, effects, late })
}

/// What the monitor finds of two actors with one lock, as the checkers do.
fn found_by_both(events: Vec<(Option<usize>, EventKind)>) -> Properties {
    let mut monitor = Monitor::new(2, 1).with_late_commands();
    let mut recorder = Recorder::new(2, 1);
    for (actor, kind) in events {
        monitor.read(actor, &kind, 0);
        recorder.record(actor, kind);
    }
    let history = recorder.history();
    assert_eq!(monitor.found(), found_by_check(&history), "\n{}", shown(&history));
    monitor.found()
}

/// The first actor releases the lock, and its command stays on the way. The second one takes the lock for its
/// own that it was refused. Then the lock is deleted because it has the first one's token: what this actor
/// gives up is its own, whichever actor deletes it.
#[test]
fn what_compares_a_token_that_was_given_up_takes_the_lock_from_no_other_actor() {
    use EventKind::{Completed, Ended, Invoked, Started};
    let cases = [(0, Some("t"), false), (1, Some("t"), false), (0, None, true), (1, None, false)];
    for (by, token, is_foreign) in cases {
        let deleted = Change::Deleted { token: token.map(str::to_owned) };
        let took = Change::Took { token: "t".into(), fence: None, lease: None };
        let found = found_by_both(vec![
            (Some(0), Started),
            (Some(1), Started),
            (Some(0), Invoked(step(Verb::Acquire))),
            (Some(0), command(took, None)),
            (Some(0), Completed(step(Verb::Acquire))),
            (Some(0), Invoked(step(Verb::Release))),
            (Some(0), Completed(step(Verb::Release))),
            (Some(1), Invoked(step(Verb::Acquire))),
            (Some(1), command(Change::Extended { lease: 1 << 50 }, None)),
            (Some(1), Completed(step(Verb::Acquire))),
            (Some(by), command(deleted, Some(Verb::Release))),
            (Some(0), Ended { failure: None }),
            (Some(1), Ended { failure: Some(failure(FailureKind::LostLock)) }),
        ]);
        assert_eq!(found.contains(Property::ForeignRelease), is_foreign, "{by}, {token:?}");
    }
}

/// Where all that is foreign was found, the lock of an actor that ended is still not free.
#[test]
fn an_acquire_that_is_granted_the_lock_of_an_ended_actor_begins_no_tenure() {
    use EventKind::{Completed, Ended, Failed, Invoked, Started};
    let took = |token: &str| Change::Took { token: token.into(), fence: None, lease: None };
    let overwrote = Change::Overwrote { token: "u".into(), lease: None };
    let failed = |verb, kind| Failed { operation: step(verb), failure: failure(kind) };
    let expired = Effect { lock: 0, change: Change::Deleted { token: None } };
    let expired = EventKind::Fault {
        what: String::new(),
        effects: vec![expired],
        in_value: false,
        lease_of: Some(0),
        expired_key: None,
        is_restart: false,
        clock_jump: None,
    };
    let found = found_by_both(vec![
        (Some(0), Started),
        (Some(1), Started),
        (Some(0), Invoked(step(Verb::Acquire))),
        (Some(0), command(took("t"), None)),
        (Some(0), Completed(step(Verb::Acquire))),
        (Some(1), Invoked(step(Verb::Acquire))),
        (Some(1), command(overwrote, None)),
        (Some(1), failed(Verb::Acquire, FailureKind::AlreadyLocked)),
        (Some(0), Invoked(step(Verb::Release))),
        (Some(0), command(Change::Deleted { token: None }, None)),
        (Some(0), failed(Verb::Release, FailureKind::LostLock)),
        (Some(1), Invoked(step(Verb::Acquire))),
        (Some(1), command(took("v"), None)),
        (Some(1), Completed(step(Verb::Acquire))),
        (Some(0), Invoked(step(Verb::Redis))),
        (Some(0), command(Change::Extended { lease: 1 << 50 }, None)),
        (Some(0), Completed(step(Verb::Redis))),
        (Some(1), Ended { failure: None }),
        (Some(0), Invoked(step(Verb::Acquire))),
        (Some(0), command(Change::Extended { lease: 1 << 50 }, None)),
        (Some(0), Completed(step(Verb::Acquire))),
        (None, expired),
        (Some(0), Ended { failure: None }),
    ]);
    assert!(Property::FOREIGN.into_iter().all(|property| found.contains(property)), "{found:?}");
    assert!(!found.contains(Property::SilentLoss), "{found:?}");
}
