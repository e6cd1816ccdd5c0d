//! `unlock KEY` where the server refuses something, or is not the one that has the key.

use super::{Hand, at, printed, recover, type_in};
use crate::middleman::{Fate, Middleman};
use crate::redis_server::{RedisServer, redis_or_skip};

const CLIENT: &str = "b0a1c2d3-1111-4222-8333-444455556666";
const TOKEN: &str = "0a1b2c3d4e5f60718293a4b5c6d7e8f9";

#[test]
fn what_a_user_may_not_do_is_said_and_nothing_is_changed() {
    let redis = redis_or_skip!();
    let mut hand = Hand::on(&redis);
    hand.run(&["SET", "lock:a", TOKEN]);
    hand.run(&["HSET", "order", &format!("{CLIENT}:1"), "1"]);
    let before = redis.everything();
    let url = format!("redis://op:pw@127.0.0.1:{}", redis.port());
    for (rule, key) in [
        ("-type", "lock:a"),
        ("-getrange", "lock:a"),
        ("-pttl", "lock:a"),
        ("-strlen", "lock:a"),
        ("-eval", "lock:a"),
        ("-del", "lock:a"),
        ("-dump", "order"),
        ("-hkeys", "order"),
    ] {
        hand.run(&["ACL", "SETUSER", "op", "reset", "on", ">pw", "~*", "&*", "+@all", rule]);
        let ended = at(&url, &["unlock", key, "--force"]).run();
        let said = ended.stdout.clone() + &ended.exits(3).stderr;
        let is_said = said.contains("NOPERM") || said.contains("can't run this command");
        assert!(is_said, "{ended:#?}");
        ended.never_shows("pw@");
        assert_eq!(redis.everything(), before, "{rule}");
    }
    hand.run(&["ACL", "SETUSER", "op", "reset", "on", ">pw", "~*", "&*", "+@all", "-memory"]);
    at(&url, &["unlock", "order", "--force", "--dry-run"]).run().exits(0);
    // Its waiters are not woken, and that is said.
    hand.run(&["ACL", "SETUSER", "op", "reset", "on", ">pw", "~*", "+@all"]);
    let ended = at(&url, &["unlock", "order", "--force"]).run();
    let said = ended.exits(3).stdout.replace('\n', " ");
    assert!(said.contains("REMOVED") && said.contains("does beside failed: "), "{said}");
    type_in(&printed(&ended, "put it back: ").replace("--user op --askpass ", ""));
    assert_eq!(redis.everything(), before);
}

#[test]
fn nodes_of_a_cluster_and_replicas_say_where_to_go() {
    let cluster = redis_or_skip!("--cluster-enabled", "yes");
    let ended = recover(&cluster, &["unlock", "lock:a", "--force"]).run();
    assert!(ended.exits(3).stderr.contains("a Redis Cluster that is down"), "{ended:#?}");
    let moved = Middleman::alone(|words| match words[0].as_str() {
        "INFO" => Fate::Answer("$13\r\nrole:master\r\n\r\n"),
        "TYPE" => Fate::Answer("-MOVED 3999 10.0.0.7:6381\r\n"),
        _ => Fate::Answer("+OK\r\n"),
    });
    let ended = at(&moved.url(), &["unlock", "lock:a", "--force"]).run();
    ended.exits(3).says(&["MOVED", "name the node that has it: redis://10.0.0.7:6381"]);
    let primary = RedisServer::start(&[]);
    let port = primary.port().to_string();
    let replica = RedisServer::start(&["--replicaof", "127.0.0.1", &port]);
    let ended = recover(&replica, &["unlock", "lock:a", "--force"]).run();
    ended.refuses(3, &["it is a replica", &port, "nothing was changed"]);
}
