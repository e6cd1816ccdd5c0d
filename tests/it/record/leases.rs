//! Leases that expire while the lock is held, with the TTL that would do.

use super::evidence::judged;
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
fn light_concludes_nothing_from_leases_of_what_no_client_releases() {
    let redis = redis_or_skip!();
    let (ended, history) = recorded(&redis, &["--light"]);
    assert_eq!(properties(&history), [], "{ended:#?}");
}

/// Two clients that take turns, so slowly that it is certain when leases end, with a lease of 5 s, and end it by these commands, of a script or without one.
fn ended_by(commands: &[&str], is_script: bool) -> String {
    let rounds = (0..4).map(|round| {
        let (at, client) = (round * 3000, if round % 2 == 0 { 'a' } else { 'b' });
        let token = format!("token-{client}-{round}");
        let by = if is_script { "lua".into() } else { client.to_string() };
        let mut log = format!("{at} {client} SET l {token} NX PX 5000\n");
        if is_script {
            log += &format!("{} {client} EVAL give-back 1 l {token}\n", at + 50);
        }
        log.extend(commands.iter().map(|command| format!("{} {by} {command}\n", at + 50)));
        log
    });
    rounds.collect()
}

#[test]
fn a_holder_that_lets_its_lock_expire_soon_has_released_it() {
    let cases = [
        ended_by(&["GET l", "PEXPIRE l 1"], true),
        ended_by(&["GET l", "PEXPIRE l 50"], true),
        ended_by(&["GET l", "SET l gone PX 1"], true),
        ended_by(&["PEXPIRE l 1"], false),
        ended_by(&["GETEX l PX 50"], false),
        ended_by(&["SET l gone PX 50"], false),
    ];
    let without_ttl = ended_by(&["PEXPIRE l 1"], false).replace(" PX 5000", "");
    for commands in cases.into_iter().chain([without_ttl]) {
        assert_eq!(judged(&commands), (vec![], vec![]), "{commands}");
    }
}

#[test]
fn a_lease_that_is_cut_to_a_half_may_be_a_release() {
    let (found, incomplete) = judged(
        "0 a SET l token-a-1 NX PX 400
         10 a PEXPIRE l 200
         500 b SET l token-b-1 NX PX 400
         510 b DEL l
         700 a SET l token-a-2 NX PX 400
         710 a DEL l",
    );
    assert_eq!(found, []);
    assert!(incomplete.iter().any(|why| why.contains("shortened its lease")), "{incomplete:?}");
}

#[test]
fn a_holder_that_cut_its_lease_and_works_on_had_too_short_a_lease() {
    let (found, _) = judged(
        "0 a SET l token-a-1 NX PX 5000
         10 a PEXPIRE l 50
         200 b SET l token-b-1 NX PX 5000
         250 a EVAL compare-and-delete 1 l token-a-1
         250 lua GET l
         300 b EVAL compare-and-delete 1 l token-b-1
         300 lua GET l
         300 lua DEL l",
    );
    assert!(found.contains(&("overlap".into(), Some("lease_too_short".into()))), "{found:?}");
}

/// A mark that keeps others from doing something again too soon.
#[test]
fn what_no_client_releases_is_not_held_until_the_next_attempt() {
    let looks = ["", "{at} {client} GET l\n"];
    for look in looks {
        let log = (0..12).map(|round| {
            let (at, client) = (round * 110, if round % 2 == 0 { "a" } else { "b" });
            let look = look.replace("{at}", &at.to_string()).replace("{client}", client);
            format!("{look}{at} {client} SET l job-{round} NX PX 200\n")
        });
        let (found, incomplete) = judged(&log.collect::<String>());
        assert_eq!(found, []);
        let is_open = |why: &String| why.contains("whether it held on is unknown");
        assert!(incomplete.iter().any(is_open), "{incomplete:?}");
    }
}

/// A mark that is removed where the work failed.
#[test]
fn a_mark_that_is_removed_now_and_then_has_no_lease_that_is_too_short() {
    let log = (0..8).map(|round| {
        let at = round * 3000;
        let removed = if round % 4 == 0 { format!("{} a DEL l\n", at + 9) } else { String::new() };
        format!("{at} a SET l job-{round} NX PX 200\n{removed}")
    });
    let (found, incomplete) = judged(&log.collect::<String>());
    assert_eq!(found, []);
    assert!(
        incomplete.iter().any(|why| why.contains("whether it held on is unknown")),
        "{incomplete:?}"
    );
}
