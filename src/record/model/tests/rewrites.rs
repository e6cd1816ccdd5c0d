//! Whose a command is that replaces, reads or deletes what another connection wrote.

use super::*;

const REPLACED: &str = "l: its value was replaced over another connection than it was acquired, and nothing \
                        shows that its holder did it (a CLIENT SETNAME of each program would)";
const RELEASED: &str = "l: it was released over another connection than it was acquired, and nothing \
                        shows that its holder did it (a CLIENT SETNAME of each program would)";
/// A release that does not find the value that it carries.
const TOO_LATE: &str = "EVALSHA release 1 l ADDED:1@web\n GET l";

/// All connections are of one host.
fn nothing_is_found(fed: &mut Fed, why: &str) {
    let ended = fed.ends();
    ended.says(why);
    assert_eq!(ended.found(), [], "{:?}", ended.reasons);
}

#[test]
fn a_value_that_is_replaced_while_the_lock_is_held_may_be_its_holder_s() {
    let mut fed = Fed::new();
    fed.runs(1, "SET l ADDED:1@web NX PX 9000").runs(11, "SET l ADDED:2@web NX PX 9000");
    nothing_is_found(fed.runs(11, "SET l ADDED:3@web XX PX 9000\nDEL l"), REPLACED);
    let mut fed = Fed::new();
    let value = |number: u64| format!(r#"{{"owner":"web","n":{number}}}"#);
    fed.runs(1, &format!("SET l {} NX PX 9000", value(1)));
    let next = format!("SET l {} PX 9000\nDEL l", value(2));
    nothing_is_found(fed.runs(11, &next), REPLACED);
    let mut fed = Fed::new();
    fed.runs(1, "SET l ADDED:1@web NX PX 9000\nSET l ADDED:2@web XX PX 9000\nDEL l")
        .ends()
        .is_clean();
}

#[test]
fn a_holder_that_still_has_the_old_value_did_not_replace_it() {
    let mut fed = Fed::new();
    // A script that releases the lock is known by what it did once.
    fed.runs(1, &format!("SET l ADDED:1@web NX PX 9000\n{TOO_LATE}\n DEL l"));
    fed.runs(1, "SET l ADDED:1@web NX PX 9000").runs(11, "SET l ADDED:3@web XX PX 9000");
    let ended = fed.runs(1, TOO_LATE).runs(11, "DEL l").ends();
    assert!(ended.found().contains(&Property::ForeignOverwrite), "{:?}", ended.reasons);
    let mut fed = Fed::new();
    fed.runs(1, "SET l a NX PX 9000").runs(11, "SET l b PX 9000");
    assert!(fed.runs(11, "DEL l").ends().found().contains(&Property::DoubleGrant));
}

#[test]
fn what_is_read_and_deleted_by_one_command_was_not_compared() {
    let mut fed = Fed::new();
    fed.runs(1, "SET l token-1 NX PX 9000").runs(11, "SET l token-2 NX PX 9000");
    nothing_is_found(fed.runs(11, "GETDEL l"), RELEASED);
    Fed::new().runs(1, "SET l token-1 NX PX 9000\nGETDEL l").ends().is_clean();
}

#[test]
fn a_client_that_never_asks_for_the_lock_and_looks_before_it_deletes_is_no_holder_for_certain() {
    let mut fed = Fed::new();
    for round in 0..3 {
        fed.runs(1, &format!("SET l token-{round} NX PX 9000")).runs(21, "GET l\nDEL l");
    }
    nothing_is_found(&mut fed, RELEASED);
}

#[test]
fn a_client_that_was_refused_and_looks_is_of_no_pool() {
    let mut fed = Fed::new();
    for round in 0..3 {
        fed.runs(1, &format!("SET l one-{round} NX PX 9000"));
        fed.runs(11, &format!("SET l other-{round} NX PX 9000\nGET l")).runs(1, "DEL l");
        fed.runs(11, &format!("SET l other-{round} NX PX 9000"));
        fed.runs(1, &format!("SET l one-{round} NX PX 9000\nGET l")).runs(11, "DEL l");
    }
    fed.ends().is_clean();
}

#[test]
fn a_connection_that_wrote_several_owners_is_one_of_a_pool() {
    let value = |owner: &str, number: u64| format!(r#"{{"owner":"{owner}","n":{number}}}"#);
    let take = |owner: &str| format!("SET l {} NX PX 9000", value(owner, 1));
    let mut fed = Fed::new();
    fed.runs(1, &take("one")).runs(1, "DEL l").runs(1, &take("other"));
    let next = format!("SET l {} XX PX 9000\nDEL l", value("other", 2));
    nothing_is_found(fed.runs(11, &next), REPLACED);
}
