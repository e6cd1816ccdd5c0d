//! The judge is `check`: on random sequential histories the monitor finds what it finds, and what
//! equal monitors find in the same future is the same.

mod model;
mod random;
mod record;

use super::{Monitor, Properties};
use crate::check::{Property, check};
use crate::history::{
    Change, Command, Effect, EventKind, FailureKind, History, Moment, Operation, Verb,
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
    assert!(counts.len() == 13 && counts.values().all(|count| count * 200 > all), "{counts:?}");
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

/// The first actor releases the lock, and its command stays on the way. The second one takes the lock for its
/// own that it was refused. Then the lock is deleted because it has the first one's token: what this actor
/// gives up is its own, whoever deletes it.
#[test]
fn what_compares_a_token_that_was_given_up_takes_the_lock_from_no_other_actor() {
    let step = |verb: Verb| Operation { verb, lock: Some(0), ..Operation::default() };
    let command = |change: Change, late: Option<Verb>| {
        let (text, reply, sent) = (String::new(), String::new(), Moment::default());
        let effects = vec![Effect { lock: 0, change }];
        EventKind::Command(Command { sent, text, reply, effects, late })
    };
    let took = || Change::Took { token: "t".into(), fence: None, lease: None };
    let began = |change: Change| {
        [EventKind::Invoked(step(Verb::Acquire)), command(change, None)]
            .into_iter()
            .chain([EventKind::Completed(step(Verb::Acquire))])
    };
    let releases =
        || [EventKind::Invoked(step(Verb::Release)), EventKind::Completed(step(Verb::Release))];
    let extended = || Change::Extended { lease: 1 << 50 };
    for (by, token, is_foreign) in
        [(0, Some("t"), false), (1, Some("t"), false), (0, None, true), (1, None, false)]
    {
        let mut monitor = Monitor::new(2, 1).with_late_commands();
        let mut recorder = Recorder::new(2, 1);
        let mut take = |actor: usize, kind: EventKind| {
            monitor.read(Some(actor), &kind, 0);
            recorder.record(Some(actor), kind);
        };
        (0..2).for_each(|actor| take(actor, EventKind::Started));
        began(took()).chain(releases()).for_each(|kind| take(0, kind));
        began(extended()).for_each(|kind| take(1, kind));
        let deleted = Change::Deleted { token: token.map(str::to_owned) };
        take(by, command(deleted, Some(Verb::Release)));
        let lost = EventKind::Ended { failure: Some(failure(FailureKind::LostLock)) };
        (0..2).for_each(|actor| take(actor, lost.clone()));
        let history = recorder.history();
        let (found, expected) = (monitor.found(), found_by_check(&history));
        let case = (by, token);
        assert_eq!(found, expected, "{case:?}\n{}", shown(&history));
        assert_eq!(found.contains(Property::ForeignRelease), is_foreign, "{case:?}");
    }
}
