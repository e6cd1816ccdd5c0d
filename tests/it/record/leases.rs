//! Leases that expire while the lock is held, with the TTL that would do.

use super::pools::wait_until_free;
use super::{Recording, con, properties, run};
use crate::program::{Ended, Place};
use crate::redis_server::{RedisServer, redis_or_skip};
use lock_history::check::Property;
use lock_history::history::History;

const RELEASE: &str =
    "if redis.call('get',KEYS[1])==ARGV[1] then return redis.call('del',KEYS[1]) end";

/// Records a client whose leases expire before it releases the lock.
fn recorded(redis: &RedisServer, rest: &[&str]) -> (Ended, History) {
    let place = Place::new();
    let mut client = con(redis);
    // Without notifications the expiry itself is inferred.
    run(&mut client, "CONFIG SET notify-keyspace-events KEg$x");
    let words = [&["--pattern", "l:*"], rest].concat();
    let recording = Recording::start(redis, &place, "h", &words);
    for number in 0..4 {
        let token = format!("token-{number}-0123456789abcdef");
        run(&mut client, &format!("SET l:x {token} PX 20 NX"));
        wait_until_free(redis, "l:x");
        redis::cmd("EVAL").arg(RELEASE).arg(1).arg("l:x").arg(token).exec(&mut client).ok();
    }
    recording.end()
}

#[test]
fn leases_that_expire_under_a_holder_that_is_notified_are_too_short() {
    let redis = redis_or_skip!();
    let (ended, history) = recorded(&redis, &[]);
    assert_eq!(properties(&history), [Property::LeaseTooShort], "{ended:#?}");
    let said = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("4 of 4 leases expired while the lock was held"), "{ended:#?}");
    assert!(said.contains("; a TTL of"), "{ended:#?}");
}

#[test]
fn light_says_that_leases_expired_and_accuses_no_holder() {
    let redis = redis_or_skip!();
    let (ended, history) = recorded(&redis, &["--light"]);
    assert_eq!(properties(&history), [Property::LeaseTooShort], "{ended:#?}");
    let said = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("expired without a release"), "{ended:#?}");
}
