//! Beside a working application, whose locks and flags are moved by two commands.

use super::{connection, here, payload, run, status};
use crate::program::Ended;
use crate::redis_server::{RedisServer, redis_or_skip};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long a client stays between two commands: half of the time, key and flag disagree.
const BETWEEN: Duration = Duration::from_millis(4);
/// How often each of two looks.
const LOOKS: usize = 100;

/// A legacy client that takes and gives back a lock, slowly between the two commands. Notes the
/// longest time that it left key and flag in disagreement, for each who looks.
fn work(redis: &RedisServer, file: &str, is_over: &AtomicBool, longest: &[AtomicU64]) {
    let mut con = connection(redis);
    let (key, flag) = (format!("nodb-lock:app:{file}"), format!("locked:{file}"));
    let mut number = 0;
    while !is_over.load(Ordering::Relaxed) {
        number += 1;
        let value = payload(&format!("{number:032}"), &here(std::process::id()));
        for commands in [
            [&["SET", &key, &value, "EX", "60"][..], &["HSET", "app", &flag, "true"]],
            [&["DEL", &key][..], &["HSET", "app", &flag, "false"]],
        ] {
            let began = Instant::now();
            run(&mut con, commands[0]);
            thread::sleep(BETWEEN);
            run(&mut con, commands[1]);
            let took = began.elapsed().as_millis() as u64;
            for longest in longest {
                longest.fetch_max(took, Ordering::Relaxed);
            }
        }
    }
}

/// Looks again and again; gives what was taken for a drift.
fn look(redis: &RedisServer, longest: &AtomicU64) -> Vec<Ended> {
    let mut drifts = Vec::new();
    for _ in 0..LOOKS {
        let ended = status(redis, &["app", "--fail-if", "any"]);
        // A machine that lets a client rest for as long as one waits before one believes what one
        // sees makes it a drift indeed.
        if ended.code != Some(0) && longest.load(Ordering::Relaxed) < 40 {
            drifts.push(ended);
        }
        longest.store(0, Ordering::Relaxed);
    }
    drifts
}

#[test]
fn who_is_between_two_commands_is_no_drift() {
    let redis = redis_or_skip!();
    let is_over = AtomicBool::new(false);
    let longest = [AtomicU64::new(0), AtomicU64::new(0)];
    let drifts: Vec<Ended> = thread::scope(|scope| {
        for file in ["a.nodb", "b.nodb"] {
            let (redis, is_over, longest) = (&redis, &is_over, &longest);
            scope.spawn(move || work(redis, file, is_over, longest));
        }
        let looks: Vec<_> =
            longest.iter().map(|longest| scope.spawn(|| look(&redis, longest))).collect();
        let drifts = looks.into_iter().flat_map(|look| look.join().unwrap()).collect();
        is_over.store(true, Ordering::Relaxed);
        drifts
    });
    assert!(drifts.is_empty(), "{} of {}: {:#?}", drifts.len(), 2 * LOOKS, drifts.first());
}

#[test]
fn a_drift_is_seen_beside_those_who_work() {
    let redis = redis_or_skip!();
    let is_over = AtomicBool::new(false);
    let mut con = connection(&redis);
    run(&mut con, &["HSET", "app", "locked:ended.nodb", "true"]);
    thread::scope(|scope| {
        scope.spawn(|| work(&redis, "a.nodb", &is_over, &[]));
        for _ in 0..5 {
            let ended = status(&redis, &["app", "--fail-if", "drift"]);
            ended.exits(1);
            assert!(ended.stdout.contains("expired flag     ended.nodb"), "{ended:#?}");
        }
        is_over.store(true, Ordering::Relaxed);
    });
}
