//! Locks that are no strings.

use super::{Recording, con, pings, properties, run, told};
use crate::program::{Place, wait_until};
use crate::redis_server::redis_or_skip;
use lock_history::check::Property;

/// A reentrant lock in a hash: the field is the holder, its value how often it took the lock.
const ACQUIRE: &str = "if redis.call('exists', KEYS[1]) == 0 or redis.call('hexists', KEYS[1], ARGV[2]) == 1 then \
    redis.call('hincrby', KEYS[1], ARGV[2], 1); redis.call('pexpire', KEYS[1], ARGV[1]); return 1 end; return 0";
const RELEASE: &str = "if redis.call('hexists', KEYS[1], ARGV[2]) == 0 then return 0 end; \
    if redis.call('hincrby', KEYS[1], ARGV[2], -1) > 0 then redis.call('pexpire', KEYS[1], ARGV[1]) \
    else redis.call('del', KEYS[1]); redis.call('publish', KEYS[1], '0') end; return 1";
/// A semaphore in a sorted set: the scores are times.
const ENTER: &str = "redis.call('zremrangebyscore', KEYS[1], '-inf', ARGV[1] - 1000); \
    if redis.call('zcard', KEYS[1]) < 2 then return redis.call('zadd', KEYS[1], ARGV[1], ARGV[2]) end; return 0";

fn call(con: &mut redis::Connection, script: &str, arguments: [&str; 3]) -> i64 {
    let [key, one, other] = arguments;
    redis::cmd("EVAL").arg(script).arg(1).arg(key).arg(one).arg(other).query(con).unwrap()
}

const A: &str = "b0a1c2d3-1111-4222-8333-444455556666:46";
const B: &str = "c9a1c2d3-1111-4222-8333-444455556666:12";

#[test]
fn a_reentrant_lock_that_is_used_well_is_clean() {
    let redis = redis_or_skip!("--notify-keyspace-events", "Ex");
    let place = Place::new();
    let recording = Recording::start(&redis, &place, "h", &["--pattern", "order:*"]);
    let begun = pings(&redis);
    // Keys are compared in between, also when there are none.
    wait_until("it has gone on for some time", || pings(&redis) > begun + 5);
    let (mut one, mut pooled, mut other) = (con(&redis), con(&redis), con(&redis));
    let key = "order:{4711}";
    assert_eq!(call(&mut one, ACQUIRE, [key, "30000", A]), 1);
    assert_eq!(call(&mut one, ACQUIRE, [key, "30000", A]), 1);
    assert_eq!(call(&mut other, ACQUIRE, [key, "30000", B]), 0);
    assert_eq!(call(&mut pooled, RELEASE, [key, "30000", A]), 1);
    assert_eq!(call(&mut pooled, RELEASE, [key, "30000", A]), 1);
    assert_eq!(call(&mut other, ACQUIRE, [key, "30000", B]), 1);
    assert_eq!(call(&mut other, RELEASE, [key, "30000", B]), 1);
    let (ended, history) = recording.end();
    ended.says(&["2 acquired, 1 refused, 2 released, 0 leases lost, 0 held now"]);
    assert!(history.is_complete && properties(&history).is_empty(), "{ended:#?}");
    assert!(ended.stdout.contains("CLEAN"), "{ended:#?}");
}

#[test]
fn a_reentrant_lock_whose_lease_expires_under_its_holder_is_found() {
    let redis = redis_or_skip!("--notify-keyspace-events", "Ex");
    let place = Place::new();
    let recording = Recording::start(&redis, &place, "h", &["--pattern", "order:*"]);
    let (mut one, mut other) = (con(&redis), con(&redis));
    run(&mut one, "CLIENT SETNAME one");
    run(&mut other, "CLIENT SETNAME other");
    assert_eq!(call(&mut one, ACQUIRE, ["order:1", "1", A]), 1);
    while call(&mut other, ACQUIRE, ["order:1", "30000", B]) == 0 {}
    assert_eq!(call(&mut one, RELEASE, ["order:1", "30000", A]), 0);
    run(&mut one, "DEL order:1");
    let (ended, history) = recording.end();
    let found = properties(&history);
    assert!(found.contains(&Property::Overlap), "{ended:#?}");
    assert!(found.contains(&Property::ForeignRelease), "{ended:#?}");
}

#[test]
fn a_semaphore_in_a_sorted_set_is_followed_but_not_its_permits() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let recording = Recording::start(&redis, &place, "h", &["--pattern", "sem:*"]);
    let (mut one, mut other) = (con(&redis), con(&redis));
    assert_eq!(call(&mut one, ENTER, ["sem:1", "5000", A]), 1);
    assert_eq!(call(&mut other, ENTER, ["sem:1", "5001", B]), 1);
    assert_eq!(call(&mut other, ENTER, ["sem:1", "5002", "c"]), 0);
    run(&mut other, "ZREMRANGEBYSCORE sem:1 -inf 5000");
    run(&mut other, &format!("ZREM sem:1 {B}"));
    run(&mut other, "ZADD sem:1 9000 c");
    run(&mut other, "DEL sem:1");
    let (ended, history) = recording.end();
    ended.says(&["incomplete: sem:1: how many may hold it at once is not known"]);
    ended.says(&["3 acquired, 1 refused, 2 released, 1 lease"]);
    assert_eq!(properties(&history), [], "{ended:#?}");
    let released = &told(&history).released["sem:1[#2]"];
    assert_eq!(released.iter().map(|(_, token)| token.as_str()).collect::<Vec<_>>(), [B, "c"]);
}

#[test]
fn locks_that_are_no_strings_and_are_held_at_first_are_known() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let mut client = con(&redis);
    assert_eq!(call(&mut client, ACQUIRE, ["l:hash", "30000", A]), 1);
    run(&mut client, "HSET l:owner owner me since 5");
    run(&mut client, "SADD l:set a b");
    run(&mut client, "ZADD l:sorted 1 a");
    run(&mut client, "HSET l:data colour red");
    let recording = Recording::start(&redis, &place, "h", &["--pattern", "l:*"]);
    assert_eq!(call(&mut client, RELEASE, ["l:hash", "30000", A]), 1);
    run(&mut client, "DEL l:owner");
    run(&mut client, "SREM l:set a b");
    run(&mut client, "ZREM l:sorted a");
    let (ended, history) = recording.end();
    ended.says(&["incomplete: l:data: it holds a hash, and which of its fields names the holder"]);
    ended.says(&["0 acquired, 0 refused, 5 released, 0 leases lost, 0 held now"]);
    assert_eq!(properties(&history), [], "{ended:#?}");
}
