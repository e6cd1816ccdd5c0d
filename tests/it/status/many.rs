//! A hundred thousand locks.

use super::{connection, here, payload, status};
use crate::redis_server::{RedisServer, redis_or_skip};
use serde_json::json;

const RUNS: usize = 10_000;
const FILES: usize = 10;

/// So many locks; every hundredth has no flag.
fn fill(redis: &RedisServer) {
    let mut con = connection(redis);
    let value = payload("3fa85f64aaaaaaaaaaaaaaaaaaaaaaaa", &here(std::process::id()));
    for run in 0..RUNS {
        let mut pipeline = redis::pipe();
        for file in 0..FILES {
            let (run, file) = (format!("run{run:05}"), format!("{file}.nodb"));
            let key = format!("nodb-lock:{run}:{file}");
            pipeline.cmd("SET").arg(key).arg(&value).arg("EX").arg(21_600);
            let is_locked = !(run.ends_with("00") && file == "0.nodb");
            pipeline.cmd("HSET").arg(run).arg(format!("locked:{file}")).arg(is_locked.to_string());
        }
        pipeline.exec(&mut con).unwrap();
    }
}

#[test]
fn a_hundred_thousand_locks_are_counted_with_a_few_commands_each_and_the_troubled_ones_come_first()
{
    let redis = redis_or_skip!();
    fill(&redis);
    let before = redis.commands();
    let table = status(&redis, &["--all", "--color", "never"]);
    table.exits(0);
    let commands = redis.commands() - before;
    assert!(commands < 6 * 100_000, "{commands}");
    let lines: Vec<&str> = table.stdout.lines().collect();
    assert!(lines.len() < 100, "{}", table.stdout);
    assert!(lines[4].starts_with("flag drift       run00000  0.nodb"), "{}", table.stdout);
    let summary = "100 000 locks: 100 flag drift, 99 900 held.";
    assert!(table.stdout.contains(summary), "{}", table.stdout);
    assert!(table.stdout.contains("… and 80 flag drift, 99 880 held more"), "{}", table.stdout);
    assert!(lines.last().unwrap().starts_with("  nodb-trigger repair --all --redis"));
    let report = status(&redis, &["--format", "json"]).exits(0).json();
    assert_eq!(report["counts"], json!({"flag_drift": 100, "held": 99_900}));
    assert_eq!(report["locks"].as_array().unwrap().len(), 100_000);
}
