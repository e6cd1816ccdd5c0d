//! What the rows of a report say of Redis is what the server held: after each command of every built-in
//! scenario under every protocol, the states that are read from the history are compared with the embedded
//! server's.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lock_history::check::{Expiry, Key, LockState, LockStates};
use lock_history::history::{Event, EventKind, History};
use lock_lab::lock::{LockName, Payload, Ttl, in_process, protocols};
use lock_lab::runtime::{Outcome, Time, World};
use lock_lab::scenario::{Scenario, catalogue};
use lock_lab::server::Server;
use redis_sim::Engine;
use redis_sim::clock::{Clock, VirtualClock};

/// What a lock's key and flag really hold.
#[derive(Debug, PartialEq, Eq)]
struct Held {
    token: Option<String>,
    /// When the key is gone, in milliseconds of the run; none if it is not there or stays for good.
    gone_ms: Option<u128>,
    flag: bool,
}

/// The lock as the server has it.
fn held(engine: &Engine, lock: &LockName, began: Duration) -> Held {
    let kept = engine.kept(0, lock.key().as_bytes());
    let token = kept.map(|kept| Payload::decode(&kept.value).token().as_str().to_owned());
    let gone = engine.lease_end(0, lock.key().as_bytes());
    let fields = engine.kept(0, lock.runid().as_bytes()).map(|kept| kept.value);
    let fields = String::from_utf8(fields.unwrap_or_default()).unwrap();
    let flag = fields.split(' ').find_map(|it| it.strip_prefix(&format!("{}=", lock.flag())));
    Held {
        token,
        gone_ms: gone.map(|gone| (gone - began).as_millis()),
        flag: flag.is_some_and(|flag| flag != "false"),
    }
}

/// The lock as the states have it. Redis keeps a key to the end of the millisecond.
fn read(state: LockState<'_>) -> Held {
    let (token, gone_ms) = match state.key {
        Key::Free => (None, None),
        Key::Held(Some(token), Expiry::Never) => (Some(token.to_owned()), None),
        Key::Held(Some(token), Expiry::At(end)) => {
            (Some(token.to_owned()), Some(u128::from(end) / 1_000_000 + 1))
        }
        other => panic!("unknown: {other:?}"),
    };
    Held { token, gone_ms, flag: state.flag.expect("the flag is known") }
}

/// Runs a scenario in virtual time; gives what the server held after each command, by the order of the reply.
fn run(scenario: &Scenario, protocol: &str) -> (Outcome, HashMap<u64, Vec<Held>>) {
    let protocol = protocols().iter().find(|it| it.name() == protocol).unwrap();
    let (none, ttl) = (BTreeMap::new(), Ttl::DEFAULT);
    let plan = scenario.bind(&none, protocol.name(), ttl, Duration::ZERO).unwrap();
    let files = plan.state_files(Path::new("/tmp/states"), None, None).unwrap();
    let locks: Vec<LockName> = files.iter().map(|file| file.lock()).collect();
    let clock = Arc::new(VirtualClock::new(None));
    let began = clock.unix();
    let server = Server::embedded(clock.clone());
    let Server::Embedded(engine) = &server else { unreachable!() };
    let (engine, seen) = (engine.clone(), Arc::new(Mutex::new(HashMap::new())));
    let all = Arc::clone(&seen);
    let world = World::new(
        plan,
        server,
        in_process(Arc::clone(protocol)),
        files,
        Time::Virtual(clock),
        Box::new(|| ()),
    );
    let world = Arc::new(world.heard_by(move |exchange| {
        let held = locks.iter().map(|lock| held(&engine, lock, began)).collect();
        all.lock().unwrap().insert(exchange.received.order, held);
    }));
    let outcome = world.run().unwrap();
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    (outcome, seen)
}

/// Compares the states after each command with what the server held; says how many were compared.
fn compare(name: &str, events: &[Event], seen: &HashMap<u64, Vec<Held>>, locks: usize) -> usize {
    let free = LockState { key: Key::Free, flag: Some(false), ..LockState::default() };
    let mut states = LockStates::new(vec![free; locks]);
    let mut compared = 0;
    for event in events {
        while states.expire_before(event.moment.at).is_some() {}
        states.apply(event);
        let EventKind::Command(_) = &event.kind else { continue };
        let Some(held) = seen.get(&event.moment.order) else { continue };
        let said: Vec<Held> = (0..locks).map(|lock| read(states.of(lock))).collect();
        assert_eq!(said, *held, "{name}: after {event:?}");
        compared += 1;
    }
    compared
}

#[test]
fn states_read_from_a_history_are_those_of_the_server() {
    let scenarios = catalogue().unwrap();
    let mut compared = 0;
    for scenario in &scenarios {
        for protocol in ["legacy", "current", "hardened"] {
            let (outcome, seen) = run(scenario, protocol);
            let name = format!("{} {protocol}", scenario.name());
            let History { head, events, .. } = &outcome.history;
            let of_this = compare(&name, events, &seen, head.locks.len());
            assert!(of_this > 0, "{name}: nothing was compared");
            compared += of_this;
        }
    }
    assert!(compared > 1000, "{compared}");
}
