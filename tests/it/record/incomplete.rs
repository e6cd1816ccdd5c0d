//! What a recording can't follow makes its history incomplete, with the reason and the key.

use super::{Recording, con, properties, run, told};
use crate::program::{Place, Program, wait_until};
use crate::redis_server::{RedisServer, redis_or_skip};
use lock_history::check::Property;

/// Sends a command, whatever is answered.
fn send(con: &mut redis::Connection, words: &[&[u8]]) {
    let mut cmd = redis::cmd(std::str::from_utf8(words[0]).unwrap());
    cmd.arg(&words[1..]);
    let _ = cmd.query::<redis::Value>(con);
}

/// Records one acquire with its release and then what `act` does; it must not come out clean, for
/// this reason, which is on stderr, in the JSON and in the history.
#[track_caller]
fn is_incomplete(redis: &RedisServer, why: &str, act: impl FnOnce(&mut redis::Connection)) {
    let place = Place::new();
    let rest = ["--pattern", "l:*", "--format", "json"];
    let recording = Recording::start(redis, &place, "h", &rest);
    let mut client = con(redis);
    run(&mut client, "SET l:first token-1 NX PX 60000");
    run(&mut client, "DEL l:first");
    act(&mut client);
    let (ended, history) = recording.end();
    ended.says(&[&format!("incomplete: {why}")]);
    let judgement = ended.json();
    assert_eq!(judgement["is_whole"], false, "{ended:#?}");
    let reasons = judgement["incomplete"].as_array().unwrap();
    assert!(reasons.iter().any(|reason| reason.as_str().unwrap().contains(why)), "{ended:#?}");
    assert!(!history.is_complete && properties(&history).is_empty(), "{ended:#?}");
    let file = place.at("h");
    let checked = Program::new(["check", file.to_str().unwrap()]).run();
    checked.exits(4).says(&[why]);
    assert!(checked.stdout.contains("INCONCLUSIVE"), "{checked:#?}");
}

#[test]
fn a_command_that_is_not_followed_makes_the_history_incomplete() {
    let redis = redis_or_skip!();
    let hash = "return redis.call('HSET', KEYS[1] .. 'x', 'mode', ARGV[1], 'n', 'x')";
    let cases: [(&str, &[&[u8]]); 10] = [
        ("l:x: it holds a hash, and which of its fields", &[b"HSET", b"l:x", b"colour", b"red"]),
        ("l:x: LPUSH may have changed it", &[b"lpush", b"l:x", b"me"]),
        ("l:x: ZUNIONSTORE may have changed it", &[b"ZUNIONSTORE", b"l:x", b"1", b"z"]),
        ("l:x: SET may have changed it", &[b"SET", b"l:x", b"a", b"IFEQ", b"b"]),
        ("l:x: COPY may have changed it", &[b"COPY", b"DB", b"l:x"]),
        ("l:x: RENAME may have changed it", &[b"RENAME", b"s", b"l:x"]),
        ("l:x: RESTORE may have changed it", &[b"RESTORE", b"l:x", b"0", b"damaged"]),
        (
            "l:x: MIGRATE may have changed it",
            &[b"MIGRATE", b"127.0.0.1", b"1", b"", b"0", b"100", b"COPY", b"KEYS", b"l:x"],
        ),
        ("l:x: it is a read-write lock, and", &[b"EVAL", hash.as_bytes(), b"1", b"l:", b"read"]),
        ("SWAPDB 0 3 exchanged databases", &[b"SWAPDB", b"0", b"3"]),
    ];
    for (why, words) in cases {
        is_incomplete(&redis, why, |client| {
            send(client, &[b"SET", b"s", b"1"]);
            send(client, words);
        });
        run(&mut con(&redis), "FLUSHALL");
    }
}

#[test]
fn a_key_that_comes_from_another_database_makes_the_history_incomplete() {
    let redis = redis_or_skip!();
    is_incomplete(&redis, "l:x: COPY may have changed it", |client| {
        run(client, "SELECT 3");
        run(client, "SET s 1");
        run(client, "COPY s l:x DB 0");
    });
}

#[test]
fn a_server_that_changes_its_role_makes_the_history_incomplete() {
    let redis = redis_or_skip!();
    let why = "the server changed its role";
    is_incomplete(&redis, why, |client| {
        run(client, "REPLICAOF 127.0.0.1 1");
        run(client, "REPLICAOF NO ONE");
    });
    is_incomplete(&redis, why, |client| run(client, "REPLICAOF 127.0.0.1 1"));
}

#[test]
fn a_failover_makes_the_history_incomplete() {
    let redis = redis_or_skip!();
    let of = format!("127.0.0.1 {}", redis.port());
    let replica = redis_or_skip!("--replicaof", &of);
    let says = |redis: &RedisServer, what: &str| {
        let info: String =
            redis::cmd("INFO").arg("replication").query(&mut con(redis)).unwrap_or_default();
        info.contains(what)
    };
    wait_until("the replica follows", || says(&redis, "state=online"));
    is_incomplete(&redis, "the server changed its role", |client| {
        run(client, "FAILOVER");
        wait_until("the roles are exchanged", || says(&replica, "role:master"));
    });
}

const EVICTS: [&str; 5] =
    ["--maxmemory", "4mb", "--maxmemory-policy", "allkeys-lru", "--notify-keyspace-events"];

/// Has the server evict the key.
fn evict(client: &mut redis::Connection, key: &str) {
    let value = "x".repeat(50_000);
    for filler in 0..2000 {
        send(client, &[b"SET", format!("filler:{filler}").as_bytes(), value.as_bytes()]);
        if !redis::cmd("EXISTS").arg(key).query::<bool>(client).unwrap() {
            return;
        }
    }
    panic!("{key} was not evicted");
}

#[test]
fn an_eviction_that_the_server_tells_is_followed_and_the_overlap_is_found() {
    let [one, two, three, four, five] = EVICTS;
    let redis = redis_or_skip!(one, two, three, four, five, "Exe");
    let place = Place::new();
    let recording = Recording::start(&redis, &place, "h", &["--pattern", "l:*"]);
    let (mut first, mut second) = (con(&redis), con(&redis));
    run(&mut first, "SET l:x token-1 NX PX 600000");
    evict(&mut con(&redis), "l:x");
    run(&mut second, "SET l:x token-2 NX PX 600000");
    let release = "if redis.call('get',KEYS[1])==ARGV[1] then return redis.call('del',KEYS[1]) end";
    for (client, token) in [(&mut first, "token-1"), (&mut second, "token-2")] {
        redis::cmd("EVAL").arg(release).arg(1).arg("l:x").arg(token).exec(client).unwrap();
    }
    let (ended, history) = recording.end();
    ended.says(&["incomplete: l:x: the server evicted it", "2 acquired, 0 refused"]);
    assert!(ended.stdout.contains("the fault \"the server evicted it\""), "{ended:#?}");
    assert!(properties(&history).contains(&Property::Overlap), "{ended:#?}");
    assert!(!properties(&history).contains(&Property::ForeignRelease), "{ended:#?}");
    assert_eq!(told(&history).acquired["l:x"].len(), 2, "{ended:#?}");
    let text = std::fs::read_to_string(place.at("h")).unwrap();
    assert!(!text.contains("the TTL of"), "{text}");
}

#[test]
fn an_eviction_that_the_server_only_counts_makes_the_history_incomplete() {
    let [one, two, three, four, five] = EVICTS;
    let redis = redis_or_skip!(one, two, three, four, five, "");
    is_incomplete(&redis, "the server evicted keys, and it is not known which", |client| {
        run(client, "SET other token-1 NX PX 600000");
        evict(client, "other");
    });
    is_incomplete(&redis, "the server's statistics were reset", |client| {
        run(client, "CONFIG RESETSTAT");
    });
}

#[test]
fn notifications_that_are_switched_off_make_the_history_incomplete() {
    let redis = redis_or_skip!("--notify-keyspace-events", "Exe");
    is_incomplete(&redis, "the server's notify-keyspace-events was changed", |client| {
        send(client, &[b"CONFIG", b"SET", b"notify-keyspace-events", b""]);
    });
}

#[test]
fn what_the_user_may_not_read_makes_the_history_incomplete() {
    let redis = redis_or_skip!();
    let mut admin = con(&redis);
    run(&mut admin, "SET l:there token-1 PX 60000");
    for (rights, why) in [
        ("-type", "incomplete: l:there and 1 more key: it could not be read: "),
        ("-get", "incomplete: l:there and 1 more key: it could not be read: "),
        ("-pttl", "incomplete: l:there and 1 more key: it could not be read: "),
        ("-info", "incomplete: this user may not ask INFO"),
    ] {
        let place = Place::new();
        run(&mut admin, &format!("ACL SETUSER few reset on >pw ~* &* +@all {rights}"));
        let url = redis.url().replace("redis://", "redis://few:pw@");
        let rest = ["--pattern", "l:*"];
        let recording = Recording::start_at(&url, &redis, &place, "h", &rest);
        let mut client = con(&redis);
        run(&mut client, "SET l:first token-2 NX PX 60000");
        run(&mut client, "DEL l:first");
        let (ended, history) = recording.end();
        ended.says(&[why]);
        assert!(!history.is_complete && !ended.stdout.contains("CLEAN"), "{rights}: {ended:#?}");
    }
}

#[test]
fn an_eviction_that_the_user_may_not_hear_of_makes_the_history_incomplete() {
    let [one, two, three, four, five] = EVICTS;
    let redis = redis_or_skip!(one, two, three, four, five, "Exe");
    let place = Place::new();
    run(&mut con(&redis), "ACL SETUSER few on >pw ~* resetchannels +@all");
    let url = redis.url().replace("redis://", "redis://few:pw@");
    let recording = Recording::start_at(&url, &redis, &place, "h", &["--pattern", "l:*"]);
    let mut client = con(&redis);
    run(&mut client, "SET l:x token-1 NX PX 600000");
    evict(&mut client, "l:x");
    let (ended, history) = recording.end();
    ended.says(&[
        "this user may not subscribe to __keyevent@0__:expired",
        "incomplete: the server evicted keys, and it is not known which",
    ]);
    assert!(!history.is_complete, "{ended:#?}");
}

#[test]
fn a_replica_that_attaches_is_no_change_of_role() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let recording = Recording::start(&redis, &place, "h", &["--pattern", "l:*"]);
    let mut client = con(&redis);
    run(&mut client, "SET l:x token-1 NX PX 60000");
    run(&mut client, "DEL l:x");
    let of = format!("127.0.0.1 {}", redis.port());
    let _replica = redis_or_skip!("--replicaof", &of);
    let is_attached = || {
        let info: String = redis::cmd("INFO").arg("replication").query(&mut con(&redis)).unwrap();
        info.contains("state=online")
    };
    wait_until("the replica follows", is_attached);
    let (ended, history) = recording.end();
    assert!(history.is_complete, "{ended:#?}");
}

#[test]
fn a_lock_whose_key_a_function_puts_together_is_followed() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let recording = Recording::start(&redis, &place, "h", &["--pattern", "jobs:*:held"]);
    let (mut first, mut second) = (con(&redis), con(&redis));
    let library = "#!lua name=locks\n\
        local function key(keys, args) return keys[1] .. ':{' .. args[1] .. '}:held' end\n\
        redis.register_function('take', function(keys, args)\n\
          return redis.call('SET', key(keys, args), args[2], 'NX', 'PX', args[3]) end)\n\
        redis.register_function('drop', function(keys, args)\n\
          return redis.call('DEL', key(keys, args)) end)";
    send(&mut first, &[b"FUNCTION", b"LOAD", library.as_bytes()]);
    run(&mut first, "FCALL take 1 jobs 7 token-1 5");
    super::pools::wait_until_free(&redis, "jobs:{7}:held");
    run(&mut second, "FCALL take 1 jobs 7 token-2 60000");
    run(&mut first, "FCALL drop 1 jobs 7");
    let (ended, history) = recording.end();
    ended.says(&["2 acquired, 0 refused, 1 released"]);
    assert!(properties(&history).contains(&Property::ForeignRelease), "{ended:#?}");
}

#[test]
fn a_recording_in_which_no_acquire_was_tried_is_never_clean() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let recording = Recording::start(&redis, &place, "h", &["--pattern", "l:*"]);
    let mut client = con(&redis);
    run(&mut client, "GET l:x");
    run(&mut client, "SELECT 1");
    run(&mut client, "SET l:x token-1 NX PX 60000");
    run(&mut client, "DEL l:x");
    let (ended, history) = recording.end();
    ended.says(&[
        "incomplete: no attempt to acquire a lock was seen in database 0",
        "2 commands changed keys with these names in other databases, which are not recorded; the \
         first in database 1",
    ]);
    assert!(!history.is_complete, "{ended:#?}");
    assert!(ended.stdout.contains("INCONCLUSIVE: no findings, but the history is incomplete: no"));
}

#[test]
fn light_names_what_it_does_not_follow_and_accuses_no_holder_of_an_eviction() {
    let [one, two, three, four, five] = EVICTS;
    let redis = redis_or_skip!(one, two, three, four, five, "KEA");
    let place = Place::new();
    let recording = Recording::start(&redis, &place, "h", &["--light", "--pattern", "l:*"]);
    let mut client = con(&redis);
    let gets = || {
        let stats: String = redis::cmd("INFO").arg("commandstats").query(&mut con(&redis)).unwrap();
        let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_get:calls="));
        line.map_or(0, |line| line.split(',').next().unwrap().parse::<u64>().unwrap())
    };
    let mut set = |key: &str| {
        let before = gets();
        run(&mut client, &format!("SET {key} token-1 NX"));
        wait_until("it was looked at", || gets() > before);
    };
    set("l:x");
    evict(&mut con(&redis), "l:x");
    run(&mut con(&redis), "HSET l:hash owner me");
    // Notifications come in order.
    set("l:y");
    let (ended, history) = recording.end();
    ended.says(&[
        "incomplete: l:hash: HSET may have changed it",
        "incomplete: l:x: the server evicted it",
        "2 acquired, 0 refused, 0 released, 0 leases lost, 1 held now",
    ]);
    assert!(told(&history).released.is_empty(), "{ended:#?}");
}

#[test]
fn what_monitor_does_not_show_is_found_in_the_key_itself() {
    let redis = redis_or_skip!("--enable-debug-command", "yes");
    let place = Place::new();
    let recording = Recording::start(&redis, &place, "h", &["--pattern", "l:*"]);
    let mut client = con(&redis);
    run(&mut client, "SET l:x token-1 NX PX 600000");
    run(&mut client, "SAVE");
    run(&mut client, "DEL l:x");
    // MONITOR shows no administrative commands. This one brings back what was saved.
    run(&mut client, "DEBUG RELOAD NOSAVE");
    let (ended, history) = recording.end();
    ended.says(&["incomplete: l:x: it was there, and no command that was seen had written it"]);
    assert!(!history.is_complete && properties(&history).is_empty(), "{ended:#?}");
}
