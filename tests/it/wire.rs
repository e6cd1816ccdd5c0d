//! What goes over the wire, and how we get on with participants that are not us.

use std::process::Command;

use redis::Connection;
use rustix::process::Signal;

use crate::program::{Place, Program, arguments, herd, wait_until};
use crate::redis_server::{RedisServer, redis_or_skip};

const STATE: &str = "debug_lock_test.nodb";
const KEY: &str = "nodb-lock:run:debug_lock_test.nodb";
const FLAG: &str = "locked:debug_lock_test.nodb";

/// Everything that a server executes, as MONITOR tells it.
struct Monitor(Connection);

impl Monitor {
    fn of(redis: &RedisServer) -> Self {
        let mut con = redis.client().get_connection().unwrap();
        con.send_packed_command(&redis::cmd("MONITOR").get_packed_command()).unwrap();
        con.recv_response().unwrap();
        Self(con)
    }

    /// The commands until now: database and words.
    fn commands(&mut self, redis: &RedisServer) -> Vec<(String, Vec<String>)> {
        let mut con = redis.client().get_connection().unwrap();
        redis::cmd("ECHO").arg("that is all").exec(&mut con).unwrap();
        let mut commands = Vec::new();
        loop {
            let line: String = redis::from_redis_value(self.0.recv_response().unwrap()).unwrap();
            if line.contains("that is all") {
                return commands;
            }
            // 1700000000.123456 [0 127.0.0.1:40000] "SET" "key" "{\"token\":...
            let (_, rest) = line.split_once('[').unwrap();
            let (from, words) = rest.split_once("] ").unwrap();
            let (db, _) = from.split_once(' ').unwrap();
            // A word is quoted as JSON is, but for \x.., which no word of ours here has.
            let words = serde_json::Deserializer::from_str(words).into_iter::<String>();
            commands.push((db.to_owned(), words.collect::<Result<_, _>>().unwrap()));
        }
    }
}

/// The commands of the lock's protocol, without snapshots and cleaning: those between the two
/// snapshots that every run takes.
fn between_snapshots(commands: Vec<(String, Vec<String>)>) -> Vec<(String, Vec<String>)> {
    let is = |name: &str, command: &(String, Vec<String>)| command.0 == "0" && command.1[0] == name;
    let looked = commands.iter().rposition(|command| is("PTTL", command)).unwrap();
    let last = commands[..looked].iter().rposition(|command| is("MULTI", command)).unwrap();
    let first = commands.iter().position(|command| is("SET", command)).unwrap();
    let sent = commands.into_iter().take(last).skip(first);
    // Opening a connection to the cache is no operation of the protocol.
    sent.filter(|(_, words)| words[0] != "SELECT").collect()
}

/// Puts what differs from run to run aside: `<payload>`, `<state>`.
fn shape(commands: Vec<(String, Vec<String>)>) -> Vec<String> {
    let word = |word: String| match word {
        payload if payload.starts_with("{\"token\"") => {
            check_payload(&payload);
            "<payload>".into()
        }
        state if state.starts_with("{\"") && state.contains("\"operation_count\"") => {
            "<state>".into()
        }
        path if path.ends_with(&format!("/run/{STATE}")) => "<file>".into(),
        other => other,
    };
    commands
        .into_iter()
        .map(|(db, words)| {
            format!("{db}: {}", words.into_iter().map(word).collect::<Vec<_>>().join(" "))
        })
        .collect()
}

/// Compact JSON, members in the contract's order.
fn check_payload(payload: &str) {
    let members: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(payload).unwrap();
    let names: Vec<&String> = members.keys().collect();
    assert_eq!(names, ["token", "owner", "acquired_at", "expires_at", "ttl"]);
    assert!(!payload.contains(' '));
    let token = members["token"].as_str().unwrap();
    assert_eq!(uuid::Uuid::parse_str(token).unwrap().get_version_num(), 4);
    assert_eq!(token, uuid::Uuid::parse_str(token).unwrap().simple().to_string());
    let number = |name: &str| members[name].as_u64().unwrap();
    assert_eq!(number("expires_at"), number("acquired_at") + number("ttl"));
    let (_, pid) = members["owner"].as_str().unwrap().rsplit_once(':').unwrap();
    assert!(pid.parse::<u32>().is_ok());
}

/// What one scenario sends between its snapshots.
fn sent(redis: &RedisServer, place: &Place, scenario: &[&str]) -> Vec<String> {
    let mut monitor = Monitor::of(redis);
    let rest = ["--redis", &redis.url()];
    Program::new(arguments(scenario, &place.run(), &rest)).run().exits(0);
    shape(between_snapshots(monitor.commands(redis)))
}

#[test]
fn acquire_dump_and_release_are_the_contract_s_commands_in_its_order() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let one = ["rapid_sequential", "--requests=1", "--hold=1ms", "--ttl=7s"];
    assert_eq!(
        sent(&redis, &place, &one),
        [
            format!("0: SET {KEY} <payload> NX EX 7"),
            format!("0: HSET run {FLAG} true"),
            format!("0: GET {KEY}"),
            "13: SET <file> <state> EX 259200".into(),
            format!("0: GET {KEY}"),
            format!("0: DEL {KEY}"),
            format!("0: HSET run {FLAG} false"),
        ]
    );
}

/// Contract, section 6: U1, U2, U4 and U5.
#[test]
fn the_commands_of_current_are_those_of_the_application_of_today() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let one = ["rapid_sequential", "--requests=1", "--hold=1ms", "--ttl=7s", "--lock", "current"];
    let sent = sent(&redis, &place, &one);
    let fence = "0: GET nodb:run-replacement:30bf08ec1aea345517be0a86e4bc2fe82cb4f40d71ff37f468a62fc622a557f1";
    let release = sent.iter().find(|line| line.starts_with("0: EVAL ")).unwrap();
    assert!(release.ends_with(&format!(" 1 {KEY} <payload>")), "{release}");
    let modified = sent.iter().find(|line| line.starts_with("0: HSET run last_modified "));
    let seconds = modified.and_then(|line| line.rsplit(' ').next()).unwrap();
    assert!(seconds.parse::<u64>().unwrap() > 1_700_000_000, "{seconds}");
    assert_eq!(
        sent,
        [
            format!("0: SET {KEY} <payload> NX EX 7"),
            fence.into(),
            format!("0: HSET run {FLAG} true"),
            format!("0: GET {KEY}"),
            "13: SET <file> <state> EX 259200".into(),
            format!("0: HSET run last_modified {seconds}"),
            format!("0: GET {KEY}"),
            release.clone(),
            // What the script does.
            format!("0: GET {KEY}"),
            format!("0: DEL {KEY}"),
            format!("0: HSET run {FLAG} false"),
        ]
    );
}

#[test]
fn a_refusal_is_a_set_and_a_get() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let herd =
        sent(&redis, &place, &["thundering_herd", "--threads=2", "--hold=100ms", "--ttl=7s"]);
    let set = format!("0: SET {KEY} <payload> NX EX 7");
    assert_eq!(&herd[..2], [set.clone(), set]);
    let mut next = herd[2..4].to_vec();
    next.sort();
    assert_eq!(next, [format!("0: GET {KEY}"), format!("0: HSET run {FLAG} true")]);
    assert_eq!(herd[4], format!("0: GET {KEY}"), "the winner's dump");
}

#[test]
fn clearing_goes_through_the_flags_and_then_through_the_escaped_pattern() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let orphans = sent(&redis, &place, &["orphaned_locks", "--ttl=7s"]);
    // The first one is the look whether all locks are ours.
    let at = orphans.iter().rposition(|line| line == "0: HGETALL run").unwrap();
    assert_eq!(
        orphans[at..at + 4],
        [
            "0: HGETALL run".to_owned(),
            format!("0: HSET run {FLAG} false"),
            format!("0: DEL {KEY}"),
            "0: SCAN 0 MATCH nodb\\-lock:run:* COUNT 1000".into(),
        ]
    );
}

#[test]
fn a_forced_release_and_a_refused_one_are_the_contract_s() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let sent = sent(&redis, &place, &["token_corruption"]);
    let plain: Vec<&String> = sent
        .iter()
        .filter(|line| !["MULTI", "EXEC", "PTTL", "HGET "].iter().any(|w| line.contains(w)))
        .collect();
    let tail =
        [format!("0: GET {KEY}"), format!("0: DEL {KEY}"), format!("0: HSET run {FLAG} false")];
    let del = plain.iter().position(|line| **line == tail[1]).unwrap();
    assert_eq!(plain[del - 1..=del + 1], tail.iter().collect::<Vec<_>>());
}

/// Redis as another program sees it.
fn redis_cli(redis: &RedisServer, words: &[&str]) -> String {
    let port = redis.port().to_string();
    let output = Command::new("redis-cli").args(["-p", &port]).args(words).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

#[test]
fn a_foreign_participant_sees_our_lock_and_its_flag() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let working = herd(&place.run(), &["--hold=1h", "--ttl=100s", "--redis", &redis.url()]).start();
    wait_until("the flag is set", || redis_cli(&redis, &["HGET", "run", FLAG]) == "true");
    assert_eq!(redis_cli(&redis, &["SET", KEY, "mine", "NX", "EX", "9"]), "");
    let payload = redis_cli(&redis, &["GET", KEY]);
    check_payload(&payload);
    assert!(payload.contains(&format!(":{}\"", working.pid())), "{payload}");
    let ttl: u64 = redis_cli(&redis, &["TTL", KEY]).parse().unwrap();
    assert!((90..=100).contains(&ttl), "{ttl}");
    working.signal(Signal::INT);
    working.end().exits(130);
    redis.is_empty();
}

#[test]
fn a_live_lock_of_somebody_else_is_refused_by_name_and_left_alone() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let payload = r#"{"token":"abc","owner":"web1:17","acquired_at":1,"expires_at":2,"ttl":3}"#;
    redis_cli(&redis, &["SET", KEY, payload, "EX", "300"]);
    redis_cli(&redis, &["HSET", "run", FLAG, "true", "attrs:a", "1", "rq:b", "2"]);
    let before = redis.everything();
    let url = redis.url();
    for scenario in ["thundering_herd", "orphaned_locks", "token_corruption"] {
        let refused = Program::new(arguments(&[scenario], &place.run(), &["--redis", &url])).run();
        refused.refuses(3, &[KEY, "web1:17", "its TTL ends in", "--force", "wait"]);
        let minutes = ["5m", "4m 5"];
        assert!(minutes.iter().any(|left| refused.stderr.contains(left)), "{}", refused.stderr);
    }
    assert_eq!(redis.everything(), before);
    place.is_empty();

    // A legacy payload has no owner, and a key need not have a TTL.
    redis_cli(&redis, &["SET", KEY, "plain-token"]);
    let refused = herd(&place.run(), &["--redis", &url]).run();
    refused.refuses(3, &["unknown owner", "it has no TTL", "--force"]);

    let forced = herd(&place.run(), &["--force", "--redis", &url]).run();
    let notices = forced.exits(0).json()["notices"].to_string();
    assert!(notices.contains("as --force says") && notices.contains("unknown owner"), "{notices}");
    assert_eq!(redis_cli(&redis, &["EXISTS", KEY]), "0");
    assert_eq!(redis_cli(&redis, &["HMGET", "run", FLAG, "attrs:a", "rq:b"]), "false\n1\n2");
}

#[test]
fn a_lock_that_appears_meanwhile_is_refused_named_and_left_alone() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let deadlock = ["deadlock_sim", "--hold=30s", "--delay=10s", "--format=json"];
    let working =
        Program::new(arguments(&deadlock, &place.run(), &["--redis", &redis.url()])).start();
    wait_until("worker 1 is at work", || {
        redis_cli(&redis, &["EXISTS", &KEY.replace("run", "run_1")]) == "1"
    });
    let second = KEY.replace("run", "run_2");
    redis_cli(&redis, &["SET", &second, r#"{"token":"t","owner":"web9:1"}"#, "EX", "300"]);
    working.signal(Signal::INT);
    let ended = working.end();
    ended.exits(130).says(&[&second, "another client holds", "left as it is"]);
    assert_eq!(redis_cli(&redis, &["GET", &second]), r#"{"token":"t","owner":"web9:1"}"#);
    assert_eq!(redis.everything().len(), 1);
    place.is_empty();
}

#[test]
fn what_a_dead_process_of_this_host_left_is_cleaned_and_said() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let killed = herd(&place.run(), &["--hold=1h", "--redis", &redis.url()]).start();
    wait_until("the flag is set", || redis_cli(&redis, &["HGET", "run", FLAG]) == "true");
    let pid = killed.pid();
    killed.signal(Signal::KILL);
    assert_eq!(killed.end().code, None);
    assert_eq!(redis_cli(&redis, &["EXISTS", KEY]), "1");

    let ended = herd(&place.run(), &["--redis", &redis.url()]).run();
    let notices = ended.exits(0).json()["notices"].to_string();
    for word in [KEY, &format!(":{pid}"), "no longer lives", "its TTL ends in"] {
        assert!(notices.contains(word), "no {word:?} in {notices}");
    }
    assert_eq!(redis_cli(&redis, &["EXISTS", KEY]), "0");
    assert_eq!(redis_cli(&redis, &["HGET", "run", FLAG]), "false");
}

#[test]
fn flags_other_fields_and_cache_entries_are_as_they_were() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let file = place.run().join(STATE).display().to_string();
    let url = redis.url();
    redis_cli(
        &redis,
        &["HSET", "run", FLAG, "false", "attrs:a", "1", "locked:other.nodb", "false"],
    );
    redis_cli(&redis, &["-n", "13", "SET", &file, "cached before", "EX", "500"]);
    redis_cli(&redis, &["-n", "11", "SET", "session", "theirs"]);
    let before = redis.everything();
    for scenario in ["thundering_herd", "orphaned_locks"] {
        let run = arguments(&[scenario], &place.run(), &["--redis", &url]);
        Program::new(run).run().exits(0);
        assert_eq!(redis.everything(), before, "{scenario}");
    }
    let left: u64 = redis_cli(&redis, &["-n", "13", "PTTL", &file]).parse().unwrap();
    // The herd alone held the lock for 2 s: the entry must have gone on ageing.
    assert!((400_000..498_000).contains(&left), "{left}");
    redis_cli(&redis, &["-n", "13", "PERSIST", &file]);
    herd(&place.run(), &["--redis", &url]).run().exits(0);
    assert_eq!(redis_cli(&redis, &["-n", "13", "TTL", &file]), "-1");
}

#[test]
fn clearing_is_refused_where_it_would_hit_another_lock_of_the_run() {
    let redis = redis_or_skip!();
    let place = Place::new();
    redis_cli(&redis, &["SET", "nodb-lock:run:other.nodb", "theirs"]);
    let before = redis.everything();
    let orphans = arguments(&["orphaned_locks"], &place.run(), &["--redis", &redis.url()]);
    Program::new(orphans).run().refuses(3, &["clears all locks", "other.nodb", "--force"]);
    herd(&place.run(), &["--redis", &redis.url()]).run().exits(0);
    assert_eq!(redis.everything(), before);
}

#[test]
fn values_of_another_kind_in_our_way_are_refused_and_left_alone() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let file = place.run().join(STATE).display().to_string();
    for (db, key) in [("0", KEY), ("0", "run"), ("13", &file)] {
        redis_cli(&redis, &["-n", db, "RPUSH", key, "theirs"]);
        let before = redis.everything();
        let quoted = format!("{key:?}");
        for rest in [&[][..], &["--force"]] {
            let ended = herd(&place.run(), &[&["--redis", &redis.url()], rest].concat()).run();
            ended.refuses(3, &["WRONGTYPE", &quoted, "choose another directory"]);
        }
        assert_eq!(redis.everything(), before);
        redis_cli(&redis, &["-n", db, "DEL", key]);
        place.is_empty();
    }
}
