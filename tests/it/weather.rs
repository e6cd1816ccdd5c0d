//! Servers that are not there, say no, go away or fall silent.

mod every_command;
mod kinds;
mod replies;
mod waiting;

use std::path::Path;

use crate::middleman::{Fate, Middleman};
use crate::program::{Ended, Place, Program, arguments, herd, wait_until};
use crate::redis_server::{RedisServer, redis_or_skip};

pub const KEY: &str = "nodb-lock:run:debug_lock_test.nodb";
pub const FLAG: &str = "locked:debug_lock_test.nodb";

pub fn at(url: &str, directory: &Path, rest: &[&str]) -> Program {
    herd(directory, &[&["--redis", url], rest].concat())
}

pub fn is_locked(redis: &RedisServer) -> bool {
    let mut con = redis.client().get_connection().unwrap();
    let flag: Option<String> = redis::cmd("HGET").arg("run").arg(FLAG).query(&mut con).unwrap();
    flag.is_some_and(|flag| flag == "true")
}

/// One writes the file and the cache; the next one only takes the lock, which writes the file.
const NO_LAST_WRITE: &str = r#"
format = 1
name = "no_last_write"
title = "The last to take the lock writes nothing."
text = "Its acquire stores the fencing token in the file, and not in the cache."
hazards = []
[locks.main]
[[actors]]
name = "writer"
start = "in_sequence"
steps = [{ locked = "main", body = [{ work = "0s" }] }]
[[actors]]
name = "idler"
start = "in_sequence"
steps = [{ acquire = "main" }, { release = "main" }]
[[expect]]
succeeded = 2
"#;

#[test]
fn a_cache_entry_that_is_older_than_the_file_is_cleaned_up_too() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let file = place.at("no_last_write.toml");
    std::fs::write(&file, NO_LAST_WRITE).unwrap();
    let words = ["run", file.to_str().unwrap(), "--lock=hardened", "--redis", &redis.url()];
    Program::new(words).arg("--directory").arg(place.run()).run().exits(0);
    redis.is_empty();
}

#[test]
fn no_server_is_said_with_the_way_out() {
    let place = Place::new();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for url in [format!("redis://{nobody}"), format!("redis://u:s3cret@{nobody}/3")] {
        let ended = at(&url, &place.run(), &[]).run();
        let words = [&nobody.to_string()[..], "connection refused", "start it", "embedded server"];
        ended.refuses(3, &words).never_shows("s3cret");
    }
    at("unix:/nowhere/redis.sock", &place.run(), &[]).run().refuses(3, &["/nowhere/redis.sock"]);
    at("redis://no-such-host.invalid", &place.run(), &[])
        .run()
        .refuses(3, &["no-such-host.invalid"]);
    place.is_empty();
}

#[test]
fn the_environment_names_the_server_and_its_mistakes_are_told() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let port = redis.port().to_string();
    let server = |program: Program| program.run().exits(0).json()["server"].clone();
    let name = format!("redis://127.0.0.1:{port}");
    assert_eq!(server(herd(&place.run(), &[]).env("REDIS_URL", &redis.url())), name);
    let by_parts = herd(&place.run(), &[]).env("REDIS_HOST", "127.0.0.1").env("REDIS_PORT", &port);
    assert_eq!(server(by_parts), name);
    assert_eq!(server(at(&redis.url(), &place.run(), &[]).env("REDIS_URL", "nonsense")), name);
    assert_eq!(server(herd(&place.run(), &[]).env("REDIS_URL", "")), "embedded");
    let unix = server(at(&redis.unix_url(), &place.run(), &[]));
    assert_eq!(unix, format!("unix:{}", redis.unix_socket().display()));
    let wrong = herd(&place.run(), &[]).env("REDIS_URL", "http://u:s3cret@h").run();
    wrong.refuses(2, &["REDIS_URL", "redis://"]).never_shows("s3cret");
    herd(&place.run(), &[]).env("REDIS_PORT", "many").run().refuses(2, &["REDIS_PORT"]);
    place.is_empty();
    redis.is_empty();
}

#[test]
fn a_malformed_url_is_explained_and_its_password_never_shown() {
    let place = Place::new();
    for url in [
        "redis://u:s3cret@h:port",
        "redis://u:s3cret@h:99999",
        "redis://:s3cret@",
        "redis://:s3cret@[::1/0",
        "redis://:s3cret@h/junk",
        "redis://:s3cret@h/0?protocol=s3cret",
        "unix:///x?pass=s3cret&db=s3cret",
        "rediss://:s3cret@h/#junk",
        "http://:s3cret@h",
        "s3cret",
        "",
    ] {
        let ended = at(url, &place.run(), &[]).run();
        ended
            .refuses(2, &["URL can't be read", "redis://[user:password@]host"])
            .never_shows("s3cret");
        let elsewhere = Program::new(["thundering_herd", "a", url]).run();
        elsewhere.exits(2);
        // There a bare word is a bare word.
        if url != "s3cret" {
            elsewhere.never_shows("s3cret");
        }
    }
    place.is_empty();
}

#[test]
fn wrong_passwords_are_refused_and_never_shown() {
    let redis = redis_or_skip!();
    let port = redis.port();
    let mut con = redis.client().get_connection().unwrap();
    let set = |con: &mut redis::Connection, words: &[&str]| {
        redis::cmd("CONFIG").arg("SET").arg(words).exec(con).unwrap();
    };
    set(&mut con, &["requirepass", "r1ght"]);
    let place = Place::new();
    let run = place.run();
    let password = "the password in REDIS_PASSWORD";
    at(&redis.url(), &run, &[]).run().refuses(3, &["NOAUTH", password]);
    let wrong = at(&format!("redis://:wr0ng@127.0.0.1:{port}"), &run, &[]).run();
    wrong.refuses(3, &[&port.to_string(), "wrong user or password", password]).never_shows("wr0ng");
    let wrong = at(&format!("redis://joe:wr0ng@127.0.0.1:{port}"), &run, &[]).run();
    wrong.refuses(3, &["wrong user or password", password]).never_shows("wr0ng");
    let wrong = at(&redis.url(), &run, &[]).env("REDIS_PASSWORD", "wr0ng").run();
    wrong.refuses(3, &[password]).never_shows("wr0ng");

    at(&redis.url(), &run, &[]).env("REDIS_PASSWORD", "r1ght").run().exits(0).never_shows("r1ght");
    let url = format!("redis://:r1ght@127.0.0.1:{port}");
    let right = at(&url, &run, &["--keep"]).env("REDIS_PASSWORD", "wr0ng").run();
    right.exits(0).never_shows("r1ght");
    assert!(right.stdout.contains("--askpass"), "{}", right.stdout);
    at(&url, &run, &["--force"]).run().exits(0).never_shows("r1ght");
    set(&mut con, &["requirepass", ""]);
}

#[test]
fn a_user_without_rights_is_told_which() {
    let redis = redis_or_skip!();
    let mut con = redis.client().get_connection().unwrap();
    redis::cmd("ACL")
        .arg(&["SETUSER", "joe", "on", ">pw", "~*", "+@all", "-set"])
        .exec(&mut con)
        .unwrap();
    let place = Place::new();
    let ended = at(&format!("redis://joe:pw@127.0.0.1:{}", redis.port()), &place.run(), &[]).run();
    ended.exits(3).says(&["SET", "NOPERM", "ACL"]).never_shows("pw@");
    place.is_empty();
    redis.is_empty();
}

/// A run that could begin and then failed: exit 3, one line on stderr, no residue.
fn fails(ended: &Ended, place: &Place, redis: &RedisServer, words: &[&str]) {
    ended.exits(3).says(words);
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:#?}");
    assert_eq!(ended.json()["verdict"], "inconclusive");
    place.is_empty();
    redis.is_empty();
}

#[test]
fn a_server_out_of_memory_is_said() {
    let redis = redis_or_skip!("--maxmemory", "1");
    let place = Place::new();
    at(&redis.url(), &place.run(), &[]).run().refuses(3, &[KEY, "OOM", "raise maxmemory"]);
    place.is_empty();
    redis.is_empty();
}

#[test]
fn a_server_that_runs_out_of_memory_in_the_middle_is_said_with_what_it_keeps() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let working = at(&redis.url(), &place.run(), &["--hold=700ms"]).start();
    wait_until("the lock is taken", || is_locked(&redis));
    let mut con = redis.client().get_connection().unwrap();
    redis::cmd("CONFIG").arg(&["SET", "maxmemory", "1"]).exec(&mut con).unwrap();
    let ended = working.end();
    ended.exits(3).says(&["OOM", "raise maxmemory", "could not clean up", "HDEL run", FLAG]);
    place.is_empty();
}

#[test]
fn a_server_that_takes_no_more_clients_is_said() {
    let redis = redis_or_skip!("--maxclients", "12");
    let place = Place::new();
    let ended = at(&redis.url(), &place.run(), &["--run-group=a;;b"]).arg("--quiet").run();
    ended.exits(0);
    let many = ["thundering_herd", "--threads=20", "--format=json", "--redis", &redis.url()];
    let ended = Program::new(arguments(&many, &place.run(), &[])).run();
    fails(&ended, &place, &redis, &["max number of clients", "use fewer actors"]);
}

#[test]
fn a_replica_is_said() {
    let redis = redis_or_skip!();
    let mut con = redis.client().get_connection().unwrap();
    redis::cmd("REPLICAOF").arg("127.0.0.1").arg(1).exec(&mut con).unwrap();
    let place = Place::new();
    let ended = at(&redis.url(), &place.run(), &[]).run();
    let primary = "its primary is redis://127.0.0.1:1";
    fails(&ended, &place, &redis, &["SET", "READONLY", "name its primary", primary]);
    // Each actor failed; what the server is was asked once, after their steps.
    assert!(ended.json()["summary"]["errors"].as_u64().unwrap() > 1);
    assert_eq!(redis.count("commandstats", "cmdstat_role:calls="), 1);
}

#[test]
fn errors_of_a_bad_day_are_said_with_what_to_do() {
    let place = Place::new();
    for (answer, words) in [
        ("-LOADING Redis is loading the dataset in memory\r\n", &["LOADING", "try again"][..]),
        ("-NOAUTH Authentication required.\r\n", &["NOAUTH", "REDIS_PASSWORD"]),
        ("-MISCONF Redis is configured to save RDB\r\n", &["MISCONF", "see its log"]),
        ("-OOM command not allowed\r\n", &["OOM", "maxmemory"]),
        ("-READONLY You can't write\r\n", &["READONLY", "primary"]),
        ("-ERR something new\r\n", &["ERR something new"]),
        ("+nonsense\r\n", &["answered"]),
        ("HTTP/1.1 400 Bad Request\r\n\r\n", &["127.0.0.1"]),
    ] {
        let server = Middleman::alone(move |_| Fate::Answer(answer));
        at(&server.url(), &place.run(), &[]).run().refuses(3, words);
        place.is_empty();
    }
}

#[test]
fn a_server_that_can_t_save_is_said_and_nothing_stays() {
    let redis = redis_or_skip!();
    let server = Middleman::before(redis.port(), |command| match command[0].as_str() {
        "SET" => Fate::Answer("-MISCONF Redis is configured to save RDB snapshots\r\n"),
        _ => Fate::Pass,
    });
    let place = Place::new();
    let ended = at(&server.url(), &place.run(), &[]).run();
    fails(&ended, &place, &redis, &["SET", KEY, "MISCONF", "see its log"]);
}

#[test]
fn a_server_that_accepts_and_never_answers_is_given_up() {
    let server = Middleman::alone(|_| Fate::Silence);
    let place = Place::new();
    let ended = at(&server.url(), &place.run(), &[]).run();
    ended.refuses(3, &["127.0.0.1", "did not answer within 5s", "is it stopped"]);
    place.is_empty();
}

#[test]
fn a_herd_without_an_answer_waits_once_and_not_for_each() {
    let redis = redis_or_skip!();
    let server = Middleman::before(redis.port(), |command| match command[0].as_str() {
        "SET" => Fate::Silence,
        _ => Fate::Pass,
    });
    let place = Place::new();
    // Waiting for each would take minutes, and count as hanging.
    let many = ["thundering_herd", "--threads=50", "--format=json", "--redis", &server.url()];
    let ended = Program::new(arguments(&many, &place.run(), &[])).run();
    fails(&ended, &place, &redis, &["SET", KEY, "did not answer"]);
}

#[test]
fn a_lock_whose_reply_was_lost_is_cleaned() {
    let redis = redis_or_skip!();
    let server = Middleman::before(redis.port(), |command| match command[0].as_str() {
        "SET" => Fate::LoseTheReply,
        _ => Fate::Pass,
    });
    let place = Place::new();
    let ended = at(&server.url(), &place.run(), &[]).run();
    fails(&ended, &place, &redis, &["SET", KEY, "lost the connection"]);
    assert_eq!(server.count("SET"), 3, "all of the herd asked");
}

#[test]
fn a_server_that_is_killed_in_the_middle_is_named_with_what_it_may_keep() {
    let mut redis = redis_or_skip!();
    let place = Place::new();
    let working = at(&redis.url(), &place.run(), &["--hold=700ms"]).start();
    wait_until("the lock is taken", || is_locked(&redis));
    redis.kill();
    let ended = working.end();
    ended.exits(3).says(&["lost the connection", "could not clean up", "connection refused"]);
    let command = format!("redis-cli -h 127.0.0.1 -p {} DEL {KEY}", redis.port());
    ended.says(&[&command, &format!("HDEL run {FLAG}")]);
    assert_eq!(ended.json()["verdict"], "inconclusive");
    place.is_empty();
}

#[test]
fn what_may_be_left_is_said_even_when_quiet() {
    let mut redis = redis_or_skip!();
    let place = Place::new();
    let working = at(&redis.url(), &place.run(), &["--hold=700ms", "--quiet"]).start();
    wait_until("the lock is taken", || is_locked(&redis));
    redis.kill();
    working.end().exits(3).says(&["could not clean up", "redis-cli", KEY]);
    place.is_empty();
}

#[test]
fn a_server_that_freezes_in_the_middle_is_given_up() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let working = at(&redis.url(), &place.run(), &["--hold=700ms"]).start();
    wait_until("the lock is taken", || is_locked(&redis));
    redis.freeze();
    let ended = working.end();
    ended.exits(3).says(&["did not answer within 5s", "could not clean up", "redis-cli", KEY]);
    place.is_empty();
}

#[test]
fn a_renewal_waits_for_a_server_that_froze_until_the_time_limit_and_no_longer() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let flags = ["--lock=hardened", "--hold=1h", "--ttl=2s", "--timeout=1500ms"];
    let working = at(&redis.url(), &place.run(), &flags).start();
    wait_until("the lock is taken", || is_locked(&redis));
    redis.freeze();
    let ended = working.end();
    ended.exits(3).says(&["did not answer within 1s", "could not clean up"]);
    place.is_empty();
}

/// Whether the server at this port of 127.0.0.1 was sent something that it has not read (proc(5):
/// `/proc/net/tcp` has the addresses and the length of the queue in hexadecimal digits).
fn has_unread(port: u16) -> bool {
    let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let address = format!("0100007F:{port:04X}");
    const ESTABLISHED: &str = "01";
    sockets.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words[1] == address && words[3] == ESTABLISHED && !words[4].ends_with(":00000000")
    })
}

#[test]
fn a_server_that_thaws_in_time_does_no_harm() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let working = at(&redis.url(), &place.run(), &["--hold=500ms"]).start();
    wait_until("the lock is taken", || is_locked(&redis));
    redis.freeze();
    wait_until("a command waits for an answer", || has_unread(redis.port()));
    redis.thaw();
    working.end().exits(0);
    place.is_empty();
    redis.is_empty();
}
