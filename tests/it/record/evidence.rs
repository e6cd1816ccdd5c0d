//! What a MONITOR log proves about whose a command was: each piece of evidence serves once.

use super::log::{log, saved};
use crate::program::{Place, Program};
use serde_json::Value;

/// What was found in a log, with its cause, and why the log is incomplete.
pub(super) fn judged(commands: &str) -> (Vec<(String, Option<String>)>, Vec<String>) {
    let place = Place::new();
    let log = saved(&place, &log(commands));
    let report = Program::new(["check", &log, "--pattern", "l", "--format", "json"]).run().json();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let findings = report["findings"].as_array().unwrap().iter();
    let findings = findings.map(|row| (text(&row["property"]).unwrap(), text(&row["cause"])));
    let incomplete = report["incomplete"].as_array().unwrap().iter().filter_map(text);
    (findings.collect(), incomplete.collect())
}

/// Fails unless the release is of an unknown client.
#[track_caller]
fn is_of_unknown_client(commands: &str) {
    let (found, incomplete) = judged(commands);
    assert_eq!(found, []);
    let is_open = |why: &String| why.contains("it was released over another connection");
    assert!(incomplete.iter().any(is_open), "{incomplete:?}");
}

#[test]
fn a_read_that_a_renewal_followed_vouches_for_no_later_deletion() {
    is_of_unknown_client(
        "0 a SET l token-a-1 NX PX 60000
         5 b SET l token-b-1 NX PX 60000
         6 c SET l token-c-1 NX PX 60000
         7 d SET l token-d-1 NX PX 60000
         10 b GET l
         11 d PEXPIRE l 60000
         20 c DEL l",
    );
}

#[test]
fn a_read_whose_own_connection_deletes_vouches_for_no_deletion_before_it() {
    is_of_unknown_client(
        "0 a SET l token-a-1 NX PX 60000
         5 b SET l token-b-1 NX PX 60000
         6 c SET l token-c-1 NX PX 60000
         10 b GET l
         11 c DEL l
         12 b DEL l",
    );
}

#[test]
fn a_holder_that_releases_twice_over_two_connections_accuses_no_client() {
    let (found, _) = judged(
        "0 a SET l token-a-1 NX PX 60000
         1 a EVAL compare-and-delete 1 l token-a-1
         1 lua GET l
         1 lua DEL l
         5 b SET l token-b-1 NX PX 60000
         6 b EVAL compare-and-delete 1 l token-b-1
         6 lua GET l
         6 lua DEL l
         10 a SET l token-a-2 NX PX 60000
         11 b GET l
         12 b DEL l
         13 a EVAL compare-and-delete 1 l token-a-2
         13 lua GET l",
    );
    assert_eq!(found, []);
}

/// Three threads of a process with one token: whether the first one still worked is unknown.
#[test]
fn a_script_is_no_later_release_of_itself() {
    let (found, incomplete) = judged(
        "0 a SET l process-1 NX PX 100
         5 b SET l process-1 NX PX 100
         150 c SET l process-1 NX PX 60000
         200 b EVAL compare-and-delete 1 l process-1
         200 lua GET l
         200 lua DEL l
         210 a GET other
         211 c GET other",
    );
    assert_eq!(found, []);
    assert!(incomplete.iter().any(|why| why.contains("one value is the token")), "{incomplete:?}");
}

#[test]
fn a_flush_in_a_script_is_no_release() {
    let (found, _) = judged(
        "0 b SET l token-b-1 NX PX 50
         80 a SET l token-a-1 NX PX 60000
         90 b EVAL flush 1 l token-b-1
         90 lua GET l
         90 lua FLUSHALL
         120 a EVAL compare-and-delete 1 l token-a-1
         120 lua GET l",
    );
    assert!(found.iter().all(|(property, _)| property != "foreign_release"), "{found:?}");
    let judged = judged(
        "0 a SET l token-a-1 NX PX 60000
         5 b SET l token-b-1 NX PX 60000
         10 b EVAL flush 1 l
         10 lua GET l
         10 lua FLUSHALL
         20 a EVAL compare-and-delete 1 l token-a-1
         20 lua GET l",
    );
    assert_eq!(judged, (vec![], vec![]));
}

#[test]
fn an_overlap_after_a_deletion_does_not_follow_from_a_short_lease() {
    let (found, _) = judged(
        "0 a SET l token-a-1 NX PX 200
         50 o DEL l
         60 c SET l token-c-1 NX PX 60000
         300 a EVAL compare-and-delete 1 l token-a-1
         300 lua GET l
         310 c EVAL compare-and-delete 1 l token-c-1
         310 lua GET l
         310 lua DEL l
         400 a SET l token-a-2 NX PX 200
         700 a EVAL compare-and-delete 1 l token-a-2
         700 lua GET l",
    );
    let found: Vec<_> = found.iter().map(|(property, cause)| (&**property, cause)).collect();
    assert!(found.contains(&("overlap", &None)), "{found:?}");
    assert!(found.contains(&("lease_too_short", &None)), "{found:?}");
}
