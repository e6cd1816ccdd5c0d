//! Tokens and names say whose command it was, not connections: programs keep pools of them.

use super::{Recording, con, properties, run};
use crate::program::{Place, wait_until};
use crate::redis_server::{RedisServer, redis_or_skip};
use lock_history::check::Property;
use redis::Connection;

/// Records what two connections do, and gives what was found and why the history is incomplete.
fn recorded(
    redis: &RedisServer,
    act: impl FnOnce(&mut Connection, &mut Connection),
) -> (Vec<Property>, Vec<String>) {
    let place = Place::new();
    let recording = Recording::start(redis, &place, "h", &["--pattern", "l:*"]);
    act(&mut con(redis), &mut con(redis));
    let (_, history) = recording.end();
    (properties(&history), history.head.incomplete)
}

pub fn wait_until_free(redis: &RedisServer, key: &str) {
    let mut looking = con(redis);
    let mut is_free = || !redis::cmd("EXISTS").arg(key).query::<bool>(&mut looking).unwrap();
    wait_until("the lease has expired", &mut is_free);
}

#[test]
fn a_lock_that_is_compared_and_deleted_over_another_connection_of_a_pool_is_its_holders() {
    let redis = redis_or_skip!();
    let (found, incomplete) = recorded(&redis, |one, other| {
        run(one, "SET l:x token-1 NX PX 60000");
        run(other, "GET l:x");
        run(other, "DEL l:x");
        run(other, "SET l:x token-2 NX PX 60000");
        run(one, "GET l:x");
        run(other, "DEL l:x");
    });
    assert_eq!((found, incomplete), (vec![], vec![]));
}

#[test]
fn a_blind_deletion_over_another_connection_accuses_no_client_and_is_never_clean() {
    let redis = redis_or_skip!();
    let (found, incomplete) = recorded(&redis, |one, other| {
        run(one, "SET l:x token-1 NX PX 60000");
        run(other, "DEL l:x");
    });
    assert_eq!(found, []);
    let [why] = incomplete.as_slice() else { panic!("{incomplete:?}") };
    assert!(why.starts_with("l:x: it was released over another connection"), "{why}");
}

#[test]
fn programs_with_different_names_are_told_apart() {
    let redis = redis_or_skip!();
    let (found, incomplete) = recorded(&redis, |one, other| {
        run(one, "CLIENT SETNAME worker");
        run(other, "CLIENT SETNAME janitor");
        run(one, "SET l:x token-1 NX PX 60000");
        run(other, "GET l:x");
        run(other, "DEL l:x");
        run(one, "GET l:x");
    });
    assert_eq!((found, incomplete), (vec![Property::ForeignRelease], vec![]));
}

#[test]
fn a_common_name_joins_no_programs_that_their_locks_tell_apart() {
    let redis = redis_or_skip!();
    for token in ["token-2", "locked"] {
        let (found, _) = recorded(&redis, |one, other| {
            run(one, "CLIENT SETNAME app");
            run(other, "CLIENT SETNAME app");
            run(one, &format!("SET l:{token} locked NX PX 5"));
            wait_until_free(&redis, &format!("l:{token}"));
            run(other, &format!("SET l:{token} {token} NX PX 60000"));
            run(one, &format!("DEL l:{token}"));
        });
        assert!(found.contains(&Property::ForeignRelease), "{token}: {found:?}");
    }
}

#[test]
fn scripts_with_tokens_are_their_holders_over_any_connection() {
    let redis = redis_or_skip!();
    let release = "if redis.call('get',KEYS[1])==ARGV[1] then return redis.call('del',KEYS[1]) end";
    let released = |con: &mut Connection, token: &str| {
        redis::cmd("EVAL").arg(release).arg(1).arg("l:x").arg(token).exec(con).ok();
    };
    let (found, incomplete) = recorded(&redis, |one, other| {
        run(one, "SET l:x token-of-one-1 NX PX 5");
        wait_until_free(&redis, "l:x");
        run(one, "SET l:x token-of-two-1 NX PX 60000");
        released(other, "token-of-one-1");
        released(other, "token-of-two-1");
    });
    assert_eq!((found, incomplete), (vec![Property::Overlap, Property::LeaseTooShort], vec![]));
}

#[test]
fn a_client_that_only_looks_vouches_for_no_deletion() {
    let redis = redis_or_skip!();
    let mut dashboard = con(&redis);
    let (found, incomplete) = recorded(&redis, |one, other| {
        run(one, "SET l:x token-1 NX PX 60000");
        run(&mut dashboard, "GET l:x");
        run(other, "DEL l:x");
    });
    assert_eq!((found, incomplete.len()), (vec![], 1), "{incomplete:?}");
}

#[test]
fn a_token_that_was_read_from_the_key_proves_no_holder() {
    let redis = redis_or_skip!();
    let release = "if redis.call('get',KEYS[1])==ARGV[1] then return redis.call('del',KEYS[1]) end";
    let (found, incomplete) = recorded(&redis, |one, operator| {
        run(one, "SET l:x token-of-one-1 NX PX 60000");
        run(operator, "GET l:x");
        redis::cmd("EVAL").arg(release).arg(1).arg("l:x").arg("token-of-one-1").exec(operator).ok();
    });
    assert_eq!(found, []);
    let [why] = incomplete.as_slice() else { panic!("{incomplete:?}") };
    assert!(why.contains("read its token"), "{why}");
}

/// Waiters that set a TTL on a lock which has none.
#[test]
fn a_lease_that_a_refused_client_set_is_not_taken_for_the_holder_s() {
    let redis = redis_or_skip!();
    let (found, incomplete) = recorded(&redis, |one, other| {
        run(one, "SET l:x token-1 NX");
        run(other, "SET l:x token-2 NX");
        run(other, "PEXPIRE l:x 60000");
        run(one, "GET l:x");
        run(one, "DEL l:x");
    });
    assert_eq!(found, []);
    let [why] = incomplete.as_slice() else { panic!("{incomplete:?}") };
    assert!(why.starts_with("l:x: its lease was set over another connection"), "{why}");
    // A pool: the second connection is one that acquires locks, too.
    let (found, incomplete) = recorded(&redis, |one, other| {
        run(other, "SET l:y token-2 NX PX 60000");
        run(other, "GET l:y");
        run(other, "DEL l:y");
        run(one, "SET l:x token-1 NX");
        run(other, "PEXPIRE l:x 60000");
        run(one, "GET l:x");
        run(one, "DEL l:x");
    });
    assert_eq!((found, incomplete), (vec![], vec![]));
}
