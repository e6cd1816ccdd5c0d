//! Explorations as they may come out, made of virtual runs of built-in scenarios.

use super::{Exploration, ProtocolRow, Stage};
use lock_history::check::{Finding, Judged, Property, Sentence, Tried, check};
use lock_history::history::{Change, Event, EventKind, History, Moment};
use lock_lab::lock::{Hardened, Legacy, LockProtocol, Ttl, in_process};
use lock_lab::runtime::{
    self, Bounds, Counterexample, Explored, Limit, Outcome, Schedule, Strategy, Time, Timing, Turn,
    World, longest,
};
use lock_lab::scenario::{Plan, catalogue};
use lock_lab::server::Server;
use redis_sim::clock::VirtualClock;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A scenario's plan, and the outcome of a virtual run with its rules.
pub(in crate::report) fn ran(name: &str, protocol: Arc<dyn LockProtocol>) -> (Plan, Outcome) {
    let scenarios = catalogue().unwrap();
    let scenario = scenarios.iter().find(|scenario| scenario.name() == name).unwrap();
    let plan =
        scenario.bind(&BTreeMap::new(), protocol.name(), Ttl::DEFAULT, Duration::ZERO).unwrap();
    let deadline = longest(&plan) + Duration::from_secs(30);
    let time = Time::Virtual(Arc::new(VirtualClock::new(Some(deadline))));
    let server = Server::embedded(time.clock());
    let files = plan.state_files(Path::new("/nowhere/run"), None, None).unwrap();
    let world =
        World::new(plan.clone(), server, in_process(protocol), files, time, Box::new(|| ()));
    let world = Arc::new(world);
    let mut stage = runtime::Stage::default();
    stage.prepare_directories(&world).unwrap();
    stage.prepare_locks(&world, false).unwrap();
    let mut outcome = world.run().unwrap();
    outcome.history = as_explored(&outcome.history);
    (plan, outcome)
}

/// The history as an exploration has it: without rules, and with each end of a lease.
pub(in crate::report) fn as_explored(history: &History) -> History {
    let mut events: Vec<Event> = Vec::new();
    let mut held: BTreeMap<usize, u64> = BTreeMap::new();
    for event in &history.events {
        let EventKind::Command(command) = &event.kind else {
            if !matches!(event.kind, EventKind::Fault { .. }) {
                events.push(event.clone());
            }
            continue;
        };
        for effect in &command.effects {
            let ended = held.get(&effect.lock).copied().filter(|ended| *ended < event.moment.at);
            if ended.is_some() && matches!(effect.change, Change::Took { .. } | Change::Saw { .. })
            {
                let key = &history.head.locks[effect.lock];
                let moment = Moment { order: 0, at: event.moment.at };
                let kind = EventKind::lease_expired(effect.lock, key, None);
                events.push(Event { moment, actor: None, kind });
                held.remove(&effect.lock);
            }
            match &effect.change {
                Change::Took { lease: Some(lease), .. } | Change::Extended { lease } => {
                    held.insert(effect.lock, event.moment.at + lease);
                }
                Change::Deleted { .. } => drop(held.remove(&effect.lock)),
                _ => {}
            }
        }
        events.push(event.clone());
    }
    for (order, event) in (0..).zip(&mut events) {
        event.moment.order = 2 * order + 1;
        if let EventKind::Command(command) = &mut event.kind {
            command.sent.order = 2 * order;
        }
    }
    History { head: history.head.clone(), events, is_complete: history.is_complete }
}

pub(in crate::report) fn bounds() -> Bounds {
    Bounds {
        timing: Timing::Async,
        crashes: 0,
        faults: 0,
        preemptions: None,
        max_schedules: None,
        max_time: Some(Duration::from_secs(10)),
        until: Vec::new(),
        strategy: Strategy::Exhaustive,
    }
}

/// All of them covered, with these properties violated in what was run.
pub(in crate::report) fn explored(
    plan: &Plan,
    protocol: &str,
    outcome: &Outcome,
    found: &[Property],
) -> Explored {
    let findings = check(&outcome.history).findings;
    let none = |property: &Property| {
        let (property, text) = (*property, Sentence::default());
        Finding { property, lock: 0, actors: Vec::new(), at: 0, order: 0, text, cause: None }
    };
    let finding = |property: &Property| {
        let found = findings.iter().find(|finding| finding.property == *property);
        found.cloned().unwrap_or_else(|| none(property))
    };
    let counterexample = |property: &Property| Counterexample {
        property: *property,
        after: 14,
        took: Duration::from_micros(400),
        is_shortest: true,
        preemptions: 1,
        schedule: Schedule {
            scenario: plan.scenario.clone(),
            digest: 0x1234_abcd,
            protocol: protocol.into(),
            timing: Timing::Async,
            parameters: Vec::new(),
            shows: None,
            turns: vec![Turn::Step(0), Turn::Expire(0), Turn::Step(1)],
        },
        decisive: 3,
        outcome: outcome.clone(),
        finding: finding(property),
    };
    Explored {
        protocol: protocol.into(),
        is_foreign: false,
        found: found.iter().map(counterexample).collect(),
        orderings_run: 240,
        orderings: Some(3412.0),
        states: 812,
        depth: 31,
        stopped_by: None,
        tried: Tried { properties: Property::ALL.into_iter().collect(), lease_expired: true },
        took: Duration::from_millis(20),
    }
}

/// A row of one stage.
pub(in crate::report) fn row_of(
    plan: &Plan,
    explored: Explored,
    judged: &Judged,
    bounds: Bounds,
) -> ProtocolRow {
    ProtocolRow::new(plan, &[Stage { bounds, outcome: Some(Ok(explored)) }], judged)
}

/// What the checkers find in it.
pub(in crate::report) fn properties(outcome: &Outcome) -> Vec<Property> {
    let mut found: Vec<_> =
        check(&outcome.history).findings.iter().map(|finding| finding.property).collect();
    found.sort();
    found.dedup();
    found
}

/// A built-in scenario under legacy, and under hardened with all orderings covered, or not.
pub(in crate::report) fn exploration(name: &str, limit: Option<Limit>) -> Exploration {
    let (plan, outcome) = ran(name, Arc::new(Legacy));
    let found = properties(&outcome);
    let legacy = explored(&plan, "legacy", &outcome, &found);
    let legacy = row_of(&plan, legacy, &Judged::of(&plan.expectations), bounds());
    let (plan, outcome) = ran(name, Arc::new(Hardened::default()));
    let hardened = Explored {
        stopped_by: limit,
        orderings: limit.is_none().then_some(1_340_000.0),
        orderings_run: 1204,
        ..explored(&plan, "hardened", &outcome, &[Property::Overlap])
    };
    let hardened = row_of(&plan, hardened, &Judged::of(&plan.expectations), bounds());
    Exploration::new(plan.scenario, plan.title, None, vec![legacy, hardened])
}
