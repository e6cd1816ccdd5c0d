//! Somebody comes between the look and the change, each time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;

use super::{DEAD, Hand, OTHER, TOKEN, at, me, outcomes, payload};
use crate::middleman::{Fate, Middleman};
use crate::program::wait_until;
use crate::redis_server::{RedisServer, redis_or_skip};

/// A server on which this happens just before the first change.
fn meanwhile(redis: &RedisServer, commands: Vec<Vec<String>>) -> Middleman {
    let client = redis.client();
    let changes = AtomicUsize::new(0);
    Middleman::before(redis.port(), move |command| {
        if command[0] == "EVALSHA" && changes.fetch_add(1, Ordering::SeqCst) == 0 {
            let mut con = client.get_connection().unwrap();
            for words in &commands {
                let mut command = redis::Cmd::new();
                for word in words {
                    command.arg(word);
                }
                command.exec(&mut con).unwrap();
            }
        }
        Fate::Pass
    })
}

fn command(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

const KEY: &str = "nodb-lock:run:x.nodb";

#[test]
fn a_newer_holder_keeps_the_lock() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    for (arguments, code) in [
        (&["unlock", "run", "x.nodb"][..], 1),
        (&["unlock", "run", "x.nodb", "--force", "--token", TOKEN], 1),
        (&["clear_locks", "run"], 0),
        (&["clear_locks", "run", "--force"], 1),
    ] {
        for newer in [payload(OTHER, me()), payload(OTHER, DEAD), "plain".into()] {
            hand.lock("run", "x.nodb", &payload(TOKEN, DEAD));
            hand.run(&["HSET", "run", "locked:x.nodb", "true"]);
            let server = meanwhile(&redis, vec![command(&["SET", KEY, &newer, "EX", "60"])]);
            let ended = at(&server.url(), arguments).arg("--format=json").run();
            assert_eq!(outcomes(ended.exits(code))["x.nodb"], "changed", "{ended:#?}");
            assert_eq!(hand.holds("run", "x.nodb").as_ref(), Some(&newer), "{arguments:?}");
            assert_eq!(hand.flag("run", "x.nodb").as_deref(), Some("true"));
        }
    }
    // So does somebody who left another kind of value there.
    hand.lock("run", "x.nodb", &payload(TOKEN, DEAD));
    let commands = vec![command(&["DEL", KEY]), command(&["RPUSH", KEY, "a"])];
    let server = meanwhile(&redis, commands);
    let ended = at(&server.url(), &["unlock", "run", "x.nodb", "--force"]).run();
    assert!(ended.exits(1).stdout.contains("LEFT: the lock that was found is gone"), "{ended:#?}");
    assert_eq!(hand.ask::<String>(&["TYPE", KEY]), "list");
}

#[test]
fn who_came_is_named() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    hand.lock("run", "x.nodb", &payload(TOKEN, DEAD));
    let newer = payload(OTHER, me());
    let server = meanwhile(&redis, vec![command(&["SET", KEY, &newer])]);
    let ended = at(&server.url(), &["unlock", "run", "x.nodb"]).run();
    let said = ended.exits(1).stdout.replace('\n', " ");
    let who = format!(":{} holds it since 0 s", me());
    assert!(said.contains("the lock that was found is gone") && said.contains(&who), "{ended:#?}");
}

#[test]
fn a_lock_that_ends_by_itself_has_its_flag_mended() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    for arguments in [&["unlock", "run", "x.nodb"][..], &["clear_locks", "run", "--force"]] {
        hand.lock("run", "x.nodb", &payload(TOKEN, DEAD));
        hand.run(&["HSET", "run", "locked:x.nodb", "true"]);
        let server = meanwhile(&redis, vec![command(&["DEL", KEY])]);
        let ended = at(&server.url(), arguments).arg("--format=json").run();
        assert_eq!(outcomes(ended.exits(0))["x.nodb"], "gone");
        assert_eq!(hand.flag("run", "x.nodb").as_deref(), Some("false"));
    }
}

#[test]
fn a_flag_follows_the_key_at_the_moment_of_the_repair() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    let live = payload(TOKEN, me());
    for (before, between, after, outcome) in [
        // The lease had ended; somebody takes the lock by the legacy protocol, and has not yet set
        // the flag, which says the right thing by luck.
        (None, vec![command(&["SET", KEY, &live])], Some("true"), "right_by_now"),
        // Somebody is between SET and HSET, and goes on.
        (
            Some(&live),
            vec![command(&["HSET", "run", "locked:x.nodb", "true"])],
            Some("true"),
            "right_by_now",
        ),
        // Somebody was between SET and HSET, went on, and has given it back but for the flag.
        (
            Some(&live),
            vec![command(&["HSET", "run", "locked:x.nodb", "true"]), command(&["DEL", KEY])],
            Some("false"),
            "set",
        ),
        // The flag is removed after the look: the repair does not create it again.
        (Some(&live), vec![command(&["HDEL", "run", "locked:x.nodb"])], None, "right_by_now"),
        (Some(&live), vec![], Some("true"), "set"),
        (None, vec![], Some("false"), "set"),
    ] {
        hand.run(&["FLUSHALL"]);
        match before {
            Some(value) => {
                hand.lock("run", "x.nodb", value);
                hand.run(&["HSET", "run", "locked:x.nodb", "false"]);
            }
            None => hand.run(&["HSET", "run", "locked:x.nodb", "true"]),
        }
        let server = meanwhile(&redis, between);
        let ended = at(&server.url(), &["repair", "run", "--format=json"]).run();
        assert_eq!(ended.exits(0).json()["flags"][0]["outcome"], outcome, "{ended:#?}");
        assert_eq!(hand.flag("run", "x.nodb").as_deref(), after, "{outcome}");
    }
}

/// Some dead locks.
fn orphans(hand: &mut Hand, number: usize) {
    let mut pipe = redis::pipe();
    for number in 0..number {
        let value = payload(&format!("{number:032x}"), DEAD);
        pipe.cmd("SET").arg(format!("nodb-lock:run:{number:05}.nodb")).arg(value).ignore();
    }
    pipe.exec(&mut hand.0).unwrap();
}

#[test]
fn a_connection_lost_in_the_middle_is_told_with_what_was_done() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    orphans(&mut hand, 9);
    let changes = AtomicUsize::new(0);
    // The first is answered by NOSCRIPT, and sent once more.
    let server = Middleman::before(redis.port(), move |command| {
        let is_change = command[0].starts_with("EVAL");
        match is_change && changes.fetch_add(1, Ordering::SeqCst) == 4 {
            true => Fate::LoseTheReply,
            false => Fate::Pass,
        }
    });
    let ended = at(&server.url(), &["clear_locks", "run", "--format=json"]).run();
    ended.exits(3).says(&["lost the connection", "not known whether this one was done"]);
    let report = ended.json();
    assert_eq!(report["counts"]["removed"], 3);
    assert_eq!(report["counts"]["failed"], 1);
    assert_eq!(report["counts"]["not_tried"], 5);
    assert!(report["stopped"].as_str().unwrap().contains("lost the connection"));
    wait_until("the server has done it", || hand.ask::<usize>(&["DBSIZE"]) == 5);
}

#[test]
fn an_interruption_ends_it_after_the_current_one_and_says_what_was_done() {
    const MANY: usize = 3000;
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    orphans(&mut hand, MANY);
    let server = Arc::new(Middleman::before(redis.port(), |_| Fate::Pass));
    let working = at(&server.url(), &["clear_locks", "run", "--format=json"]).start();
    wait_until("some are removed", || server.count("EVALSHA") > 3);
    working.signal(Signal::INT);
    let ended = working.end();
    ended.exits(130).says(&["interrupted"]);
    let report = ended.json();
    let (removed, rest) = (&report["counts"]["removed"], &report["counts"]["not_tried"]);
    assert_eq!(rest.as_u64().unwrap() as usize, hand.ask::<usize>(&["DBSIZE"]));
    assert_eq!(removed.as_u64().unwrap() + rest.as_u64().unwrap(), MANY as u64);
    assert!(rest.as_u64().unwrap() > 0, "it came too late");
    assert_eq!(report["stopped"], "interrupted");
}
