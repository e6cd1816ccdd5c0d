//! Two home-made locks and their fixes, in every ordering of two clients.
//!
//! Run them with `cargo test --manifest-path examples/rust/Cargo.toml`.

use nodb_trigger::{Property, critical_section, explore};
use redis::{Connection, RedisResult, Script, cmd};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The token of a lock that is held.
struct Guard(String);

fn take(client: &mut Connection) -> RedisResult<Option<Guard>> {
    let token = format!("{:016x}", RandomState::new().hash_one(0));
    let mut set = cmd("SET");
    let set = set.arg("lock").arg(&token).arg("NX").arg("EX").arg(30);
    Ok(set.query::<Option<String>>(client)?.map(|_| Guard(token)))
}

/// A client that crashes between the two commands leaves a lock without a TTL.
fn take_in_two_steps(client: &mut Connection) -> RedisResult<Option<Guard>> {
    let token = format!("{:016x}", RandomState::new().hash_one(0));
    if !cmd("SETNX").arg("lock").arg(&token).query::<bool>(client)? {
        return Ok(None);
    }
    cmd("EXPIRE").arg("lock").arg(30).exec(client)?;
    Ok(Some(Guard(token)))
}

/// Between the two commands the lease may expire, and another client acquire the lock.
fn get_then_del(client: &mut Connection, guard: &Guard) -> RedisResult<()> {
    match cmd("GET").arg("lock").query::<Option<String>>(client)? {
        Some(token) if token == guard.0 => cmd("DEL").arg("lock").exec(client),
        _ => Ok(()),
    }
}

fn compare_and_delete(client: &mut Connection, guard: &Guard) -> RedisResult<()> {
    let delete = "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0";
    Script::new(delete).key("lock").arg(&guard.0).invoke::<()>(client)
}

#[test]
#[should_panic(expected = "deletes client_2's lock")]
fn a_release_in_two_steps_deletes_the_lock_of_another_client() {
    explore(2, |client, _| {
        let Some(guard) = take(client)? else { return Ok(()) };
        critical_section(&guard);
        get_then_del(client, &guard)
    })
    .crashes(0)
    .never(Property::ForeignRelease)
    .assert();
}

#[test]
fn a_release_in_one_script_is_safe() {
    explore(2, |client, _| {
        let Some(guard) = take(client)? else { return Ok(()) };
        critical_section(&guard);
        compare_and_delete(client, &guard)
    })
    .crashes(1)
    .never(Property::ForeignRelease)
    .never(Property::DoubleGrant)
    .max_time(Duration::from_secs(300))
    .assert();
}

#[test]
#[should_panic(expected = "can leave the lock behind for good (stuck_lock)")]
fn an_acquire_in_two_steps_leaves_a_lock_behind() {
    explore(2, |client, _| {
        let Some(guard) = take_in_two_steps(client)? else { return Ok(()) };
        critical_section(&guard);
        compare_and_delete(client, &guard)
    })
    .crashes(1)
    .never(Property::StuckLock)
    .assert();
}
