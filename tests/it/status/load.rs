//! Beside a working application, whose locks and flags are moved by two commands.

use super::{connection, here, payload, run};
use crate::middleman::{Fate, Middleman};
use crate::program::{Ended, Program};
use crate::redis_server::{RedisServer, redis_or_skip};
use redis::Connection;
use std::sync::Mutex;

/// A legacy client that takes and gives back a lock again and again.
struct Client {
    con: Connection,
    file: &'static str,
    steps: usize,
}

impl Client {
    /// Its next command: every second one leaves key and flag in disagreement.
    fn step(&mut self) {
        let (key, flag) = (format!("nodb-lock:app:{}", self.file), format!("locked:{}", self.file));
        let token = format!("{:032}", self.steps / 4);
        let value = payload(&token, &here(std::process::id()));
        let command: &[&str] = match self.steps % 4 {
            0 => &["SET", &key, &value, "EX", "60"],
            1 => &["HSET", "app", &flag, "true"],
            2 => &["DEL", &key],
            _ => &["HSET", "app", &flag, "false"],
        };
        run(&mut self.con, command);
        self.steps += 1;
    }
}

/// The server, on which a client of each file first sends `begin` commands, and then takes and gives
/// back its lock before each command of the program.
fn beside(redis: &RedisServer, files: &[&'static str], begin: usize) -> Middleman {
    let client = |&file| {
        let mut client = Client { con: connection(redis), file, steps: 0 };
        (0..begin).for_each(|_| client.step());
        client
    };
    let clients = Mutex::new(files.iter().map(client).collect::<Vec<_>>());
    Middleman::before(redis.port(), move |_| {
        for client in clients.lock().unwrap().iter_mut() {
            (0..4).for_each(|_| client.step());
        }
        Fate::Pass
    })
}

fn status(server: &Middleman, rest: &[&str]) -> Ended {
    Program::new([&["status", "app", "--redis", &server.url()], rest].concat()).run()
}

#[test]
fn who_is_between_two_commands_is_no_drift() {
    let redis = redis_or_skip!();
    for begin in 0..4 {
        let server = beside(&redis, &["a.nodb", "b.nodb"], begin);
        let ended = status(&server, &["--fail-if", "any"]);
        ended.exits(0);
        assert_eq!(ended.stdout.contains("changes hands as one looks"), begin == 1, "{ended:#?}");
        assert_eq!(server.count("WATCH") > 0, begin == 3, "a flag without a lock is watched");
    }
}

#[test]
fn a_drift_is_seen_beside_those_who_work() {
    let redis = redis_or_skip!();
    run(&mut connection(&redis), &["HSET", "app", "locked:ended.nodb", "true"]);
    for begin in 0..4 {
        let server = beside(&redis, &["a.nodb"], begin);
        let ended = status(&server, &["--fail-if", "drift"]);
        ended.exits(1);
        assert!(ended.stdout.contains("expired flag     ended.nodb"), "{ended:#?}");
    }
}
