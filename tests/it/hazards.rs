//! Every built-in scenario shows what its file says, under every protocol: on threads with the
//! embedded server, on threads with a real Redis, and in virtual time.

use std::sync::Mutex;
use std::time::Duration;

use lock_lab::scenario::{Action, Scenario, catalogue};

use crate::program::{Place, Program, arguments, herd, wait_until};
use crate::redis_server::redis_or_skip;
use crate::weather::is_locked;

const PROTOCOLS: [&str; 3] = ["legacy", "current", "hardened"];
/// How many run at once: they wait most of the time.
const AT_ONCE: usize = 4;
/// How often one may be run on threads until it shows what it says. There the machine decides how
/// long a pause takes, and a busy one may let a lease expire earlier than the scenario meant.
pub const TRIES: usize = 3;
/// Above this a scenario runs in virtual time only.
const LONGEST: Duration = Duration::from_secs(5);

/// Runs each of these under every protocol, several at once, and gives what did not come out as
/// expected in any of these tries.
fn unexpected(scenarios: &[Scenario], flags: &[&str], tries: usize) -> Vec<String> {
    let all = scenarios.iter().flat_map(|one| PROTOCOLS.map(|protocol| (one.name(), protocol)));
    let queue = Mutex::new(all);
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some((name, protocol)) = queue.lock().unwrap().next() else { break };
                    let mut tries = (0..tries).map(|_| run(name, protocol, flags));
                    if !tries.any(|it| it.is_ok()) {
                        failed.lock().unwrap().push(format!("{name} {protocol}"));
                    }
                }
            });
        }
    });
    failed.into_inner().unwrap()
}

/// Runs a scenario once; it must leave nothing behind, however it ends.
fn run(name: &str, protocol: &str, flags: &[&str]) -> Result<(), ()> {
    let place = Place::new();
    let lock = ["--lock", protocol, "--format", "json"];
    // Run ids are the last component: they must differ where the server is shared.
    let directory = place.at(&format!("{name}-{protocol}"));
    let ended = Program::new(arguments(&[name], &directory, &[&lock[..], flags].concat())).run();
    place.is_empty();
    if ended.code == Some(0) {
        return Ok(());
    }
    // Shown if the test fails in the end.
    eprintln!("{name} {protocol}: {ended:#?}");
    Err(())
}

/// What no protocol rules out is not said to be prevented.
#[test]
fn a_race_that_comes_about_under_a_protocol_is_as_expected() {
    for (name, protocols, word) in [
        ("islocked_race", &PROTOCOLS[..], "\nREPRODUCED: "),
        ("refresh_under_holder", &PROTOCOLS, "\nAS EXPECTED: "),
        ("setter_inside_locked", &PROTOCOLS, "\nAS EXPECTED: "),
        ("dirty_memory", &PROTOCOLS[..2], "\nAS EXPECTED: "),
    ] {
        for protocol in protocols {
            let ended = Program::new([name, "--virtual", "--lock", protocol]).run();
            ended.exits(0);
            assert!(ended.stdout.contains(word), "{name} {protocol}: {ended:#?}");
        }
    }
}

fn is_short(scenario: &Scenario) -> bool {
    let ttl = lock_lab::lock::Ttl::DEFAULT;
    let plan = scenario.bind(&Default::default(), "legacy", ttl, Duration::ZERO).unwrap();
    lock_lab::runtime::longest(&plan) <= LONGEST
}

fn runs_anywhere(scenario: &Scenario) -> bool {
    let ttl = lock_lab::lock::Ttl::DEFAULT;
    let plan = scenario.bind(&Default::default(), "legacy", ttl, Duration::ZERO).unwrap();
    !plan.has(Action::is_server_fault) && !plan.has(|action| action.newer_servers().is_some())
}

#[test]
fn in_virtual_time() {
    assert_eq!(unexpected(&catalogue().unwrap(), &["--virtual"], 1), [""; 0]);
}

#[test]
fn on_threads_with_the_embedded_server() {
    let short: Vec<Scenario> = catalogue().unwrap().into_iter().filter(is_short).collect();
    assert!(short.len() > 20, "{}", short.len());
    assert_eq!(unexpected(&short, &[], TRIES), [""; 0]);
}

#[test]
fn on_threads_with_a_real_redis() {
    let redis = redis_or_skip!();
    let fit = |one: &Scenario| is_short(one) && runs_anywhere(one);
    let fitting: Vec<Scenario> = catalogue().unwrap().into_iter().filter(fit).collect();
    assert!(fitting.len() > 20, "{}", fitting.len());
    assert_eq!(unexpected(&fitting, &["--redis", &redis.url()], TRIES), [""; 0]);
    redis.is_empty();
}

#[test]
fn a_holder_is_told_when_the_server_dies_while_its_lease_is_renewed() {
    let mut redis = redis_or_skip!();
    let place = Place::new();
    let url = redis.url();
    let flags = ["--redis", &url, "--lock", "hardened", "--ttl", "3s", "--hold", "1h"];
    let working = herd(&place.run(), &flags).start();
    wait_until("the lock is taken", || is_locked(&redis));
    redis.kill();
    working.end().exits(3).says(&["lost the connection"]);
    place.is_empty();
}

#[test]
fn what_befalls_the_server_is_refused_on_a_real_one() {
    let redis = redis_or_skip!();
    for scenario in ["amnesia", "clock_jump", "eviction"] {
        let place = Place::new();
        let flags = ["--redis", &redis.url()];
        let program = Program::new(arguments(&[scenario], &place.run(), &flags));
        program.run().refuses(2, &[scenario, "need the embedded server", "--redis"]);
        place.is_empty();
    }
    redis.is_empty();
}
