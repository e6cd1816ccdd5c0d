//! All six scenarios end as the reference does (contract, section 5): threads on the embedded
//! server, threads on a real Redis, and on a virtual clock.

use std::path::Path;

use serde_json::Value;

use crate::hazards::TRIES;
use crate::program::{Ended, Place, Program, arguments, herd, wait_until};
use crate::redis_server::redis_or_skip;
use crate::weather::{KEY, is_locked};

/// A scenario, flags that make it short on a wall clock, and the outcome of the reference.
struct Case {
    scenario: &'static str,
    short: &'static [&'static str],
    /// Succeeded, already locked, errors.
    summary: [u64; 3],
    /// Errors that some actor must have had.
    errors: &'static [&'static str],
    /// Snapshots and their diagnoses, in order, without `before`.
    snapshots: &'static [(&'static str, &'static str)],
}

const NOT_LOCKED: &str = "cannot dump to unlocked db";
const REFUSED: &str = "lock() called on an already locked nodb (owner=";

const CASES: [Case; 6] = [
    Case {
        scenario: "thundering_herd",
        short: &["--hold", "100ms"],
        summary: [1, 4, 0],
        errors: &[REFUSED],
        snapshots: &[("after", "consistent")],
    },
    Case {
        scenario: "rapid_sequential",
        short: &["--hold", "5ms"],
        summary: [10, 0, 0],
        errors: &[],
        snapshots: &[("after", "consistent")],
    },
    Case {
        scenario: "ttl_expiration",
        short: &["--ttl", "1s", "--hold", "1100ms", "--next-hold", "5ms"],
        summary: [1, 0, 1],
        errors: &[NOT_LOCKED],
        snapshots: &[("between the operations", "lost"), ("after", "consistent")],
    },
    Case {
        scenario: "token_corruption",
        short: &[],
        summary: [1, 0, 0],
        errors: &[],
        snapshots: &[
            ("lock taken", "consistent"),
            ("token forgotten", "orphaned"),
            ("released by force", "consistent"),
            ("after", "consistent"),
        ],
    },
    Case {
        scenario: "orphaned_locks",
        short: &[],
        summary: [1, 0, 0],
        errors: &[],
        snapshots: &[
            ("orphan planted", "orphaned"),
            ("locks cleared", "consistent"),
            ("after", "consistent"),
        ],
    },
    Case {
        scenario: "deadlock_sim",
        short: &["--hold", "600ms", "--delay", "300ms"],
        summary: [2, 0, 0],
        errors: &[],
        snapshots: &[("after", "consistent"), ("after", "consistent")],
    },
];

impl Case {
    fn fire(&self, directory: &Path, rest: &[&str]) -> Ended {
        Program::new(arguments(&[self.scenario, "--format", "json"], directory, rest)).run()
    }

    /// Fires it on a wall clock, again if it was not as expected: a busy machine may pause a thread for
    /// longer than the scenario's margins.
    fn fire_on_threads(&self, place: &Place, server: &[&str]) -> Ended {
        let fire = || self.fire(&place.run(), &[self.short, server].concat());
        for _ in 1..TRIES {
            let ended = fire();
            if ended.code != Some(1) {
                return ended;
            }
            // Shown if the test fails in the end.
            eprintln!("{}: {ended:#?}", self.scenario);
        }
        fire()
    }

    fn check(&self, ended: &Ended) {
        ended.exits(0);
        assert_eq!(ended.stderr, "", "{ended:#?}");
        let report = ended.json();
        assert_eq!(report["schema"], "nodb-trigger/report/v1");
        assert_eq!(report["scenario"], self.scenario);
        assert_eq!(report["protocol"], "legacy");
        assert_eq!(report["verdict"], "expected");
        let expectations = report["expectations"].as_array().unwrap();
        assert!(!expectations.is_empty() && expectations.iter().all(|row| row["met"] == true));
        let number = |name: &str| report["summary"][name].as_u64().unwrap();
        let summary = ["succeeded", "already_locked", "errors"].map(number);
        assert_eq!(summary, self.summary, "{ended:#?}");
        assert_eq!(number("attempts"), summary.iter().sum::<u64>());
        for wanted in self.errors {
            let has =
                |actor: &Value| actor["error"].as_str().is_some_and(|e| e.starts_with(wanted));
            assert!(report["actors"].as_array().unwrap().iter().any(has), "{wanted}: {ended:#?}");
        }
        let snapshots = report["consistency"].as_array().unwrap();
        let word = |look: &Value, name: &str| look[name].as_str().unwrap().to_owned();
        let snapshots: Vec<_> = snapshots
            .iter()
            .map(|look| (word(look, "label"), word(look, "diagnosis")))
            .filter(|(label, _)| label != "before")
            .collect();
        let wanted: Vec<_> =
            self.snapshots.iter().map(|(label, word)| ((*label).into(), (*word).into())).collect();
        assert_eq!(snapshots, wanted, "{ended:#?}");
        assert_eq!(report["notices"], Value::Array(Vec::new()));
    }
}

#[test]
fn on_threads_and_the_embedded_server() {
    for case in &CASES {
        let place = Place::new();
        let ended = case.fire_on_threads(&place, &[]);
        case.check(&ended);
        assert_eq!(ended.json()["server"], "embedded");
        assert_eq!(ended.json()["clock"], "wall");
        place.is_empty();
    }
}

#[test]
fn on_threads_and_a_real_redis() {
    let redis = redis_or_skip!();
    for case in &CASES {
        let place = Place::new();
        let ended = case.fire_on_threads(&place, &["--redis", &redis.url()]);
        case.check(&ended);
        assert_eq!(ended.json()["server"], format!("redis://127.0.0.1:{}", redis.port()));
        place.is_empty();
        redis.is_empty();
    }
}

#[test]
fn on_a_virtual_clock_with_the_reference_s_own_numbers_and_the_same_bytes_each_time() {
    for case in &CASES {
        let place = Place::new();
        let ended = case.fire(&place.run(), &["--virtual"]);
        case.check(&ended);
        assert_eq!(ended.json()["clock"], "virtual");
        let again = case.fire(&place.run(), &["--virtual"]);
        assert_eq!(ended.stdout, again.stdout);
        place.is_empty();
    }
}

#[test]
fn a_virtual_run_does_not_look_at_the_environment_s_server_or_at_the_directory() {
    let place = Place::new();
    let ended = CASES[0].fire(&place.run(), &["--virtual"]);
    let elsewhere = Program::new(arguments(
        &["thundering-herd", "--format=json", "--virtual"],
        &place.run(),
        &[],
    ))
    .env("REDIS_URL", "redis://127.0.0.1:1")
    .current_dir(Path::new("/"))
    .run();
    assert_eq!(ended.stdout, elsewhere.stdout);
}

#[test]
fn a_virtual_run_does_not_wait_for_the_hours_that_pass_in_it() {
    let ended = herd(&Place::new().run(), &["--virtual", "--hold=5h"]).run();
    assert_eq!(ended.exits(0).json()["summary"]["elapsed_ms"], 5.0 * 3_600_000.0);
}

#[test]
fn the_reference_s_default_durations_are_the_defaults() {
    let place = Place::new();
    for (case, elapsed) in CASES.iter().zip([2000.0, 5000.0, 5500.0, 0.0, 0.0, 2500.0]) {
        let report = case.fire(&place.run(), &["--virtual"]).json();
        let found = report["summary"]["elapsed_ms"].as_f64().unwrap();
        assert_eq!(found, elapsed, "{}", case.scenario);
    }
}

#[test]
fn a_thousand_threads_have_one_success_on_either_server() {
    let redis = redis_or_skip!("--maxclients", "4000");
    let place = Place::new();
    let url = redis.url();
    for server in [&[][..], &["--redis", &url]] {
        let herd = ["thundering_herd", "--threads", "1000", "--hold", "500ms", "--format", "json"];
        let ended = Program::new(arguments(&herd, &place.run(), server)).run();
        ended.exits(0);
        assert_eq!(ended.json()["summary"]["succeeded"], 1);
        assert_eq!(ended.json()["summary"]["already_locked"], 999);
    }
    place.is_empty();
    redis.is_empty();
}

#[test]
fn what_nothing_is_expected_of_is_exit_4() {
    let place = Place::new();
    // A work that ends before the others come is no herd.
    let ended = CASES[0].fire(&place.run(), &["--hold", "0s", "--virtual"]);
    ended.exits(4);
    assert_eq!(ended.json()["verdict"], "inconclusive");
}

#[test]
fn what_comes_otherwise_than_expected_is_exit_1() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let mut con = redis.client().get_connection().unwrap();
    let working = herd(&place.run(), &["--hold=700ms", "--redis", &redis.url()]).start();
    // The flag is written when all of the herd have their answers; then somebody deletes the lock.
    wait_until("the lock is taken", || is_locked(&redis));
    redis::cmd("DEL").arg(KEY).exec(&mut con).unwrap();
    let ended = working.end();
    ended.exits(1);
    assert_eq!(ended.json()["verdict"], "unexpected");
    assert_eq!(ended.json()["summary"]["succeeded"], 0);
    place.is_empty();
    redis.is_empty();
}
