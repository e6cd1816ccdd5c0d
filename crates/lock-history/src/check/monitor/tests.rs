//! The judge is `check`: on random sequential histories the monitor finds what it finds, and what
//! equal monitors find in the same future is the same.

mod model;
mod random;
mod record;

use super::{Monitor, Properties};
use crate::check::{Property, check};
use crate::history::History;
use model::Model;
use random::Random;
use record::Recorder;
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
