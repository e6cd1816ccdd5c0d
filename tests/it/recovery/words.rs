//! What is typed and what is said: which acquisition a word means, and what is printed to be typed.

use super::{Hand, me, payload, printed, recover, type_in};
use crate::redis_server::redis_or_skip;

#[test]
fn the_command_for_a_lock_does_not_take_its_successor() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    let key = "nodb-lock:run:x.nodb";
    let lone = |byte: u8| [b"\xff-worker-0", &[byte][..]].concat();
    for (first, second) in [
        (
            payload("worker-07-aaaa", me()).into_bytes(),
            payload("worker-07-NEWER", me()).into_bytes(),
        ),
        (br#"{"since":1700000001}"#.to_vec(), br#"{"since":1700000002}"#.to_vec()),
        (lone(b'1'), lone(b'2')),
    ] {
        let mut set =
            |value: &[u8]| redis::cmd("SET").arg(key).arg(value).exec(&mut hand.0).unwrap();
        set(&first);
        let seen = recover(&redis, &["unlock", "run", "x.nodb"]).run();
        let command = printed(seen.exits(1), "take it away: ");
        set(&second);
        let typed = type_in(&command);
        assert!(
            typed.replace('\n', " ").contains("the lock that you saw is gone"),
            "{command}: {typed}"
        );
        set(&first);
        type_in(&command);
        assert_eq!(hand.holds("run", "x.nodb"), None, "{command}");
    }
    hand.lock("run", "x.nodb", "locked");
    let constant = recover(&redis, &["unlock", "run", "x.nodb"]).run();
    let beware = "the value has no token of its own";
    assert!(constant.exits(1).stdout.contains(beware), "{constant:#?}");
    hand.lock("run", "x.nodb", &payload("worker-07-NEWER", me()));
    let half =
        recover(&redis, &["unlock", "run", "x.nodb", "--force", "--token", "worker-07"]).run();
    half.refuses(2, &["give the whole token"]);
}

#[test]
fn a_name_that_is_nowhere_is_no_all_clear() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    hand.run(&["HSET", "run", "locked:x.nodb", "false"]);
    for (arguments, of) in [
        (&["unlock", "run", "typo.nodb"][..], "typo.nodb in run run"),
        (&["clear_locks", "nope"], "run nope"),
        (&["clear_locks", "run", "--scope", "nothere"], "nothere in run run"),
        (&["repair", "nope"], "run nope"),
    ] {
        let ended = recover(&redis, arguments).run();
        let words = format!("no lock and no flag of {of}; is the name, and the server, right?");
        ended.exits(0).says(&[&words]);
        assert!(ended.stdout.replace('\n', " ").contains(&words), "{ended:#?}");
    }
    let known = recover(&redis, &["clear_locks", "run"]).run();
    assert_eq!(known.exits(0).stderr, "");
    recover(&redis, &["status", ""]).run().refuses(2, &["the run id is empty"]);
}
