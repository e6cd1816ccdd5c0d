//! Commands that the server refuses change nothing: what a recording makes of them is compared with a real server.

use super::{Recording, con, run};
use crate::program::Place;
use crate::redis_server::redis_or_skip;
use redis::Value;

const NUMBERS: [&str; 12] = [
    "0",
    "-1",
    "x",
    "1.5",
    "+5",
    "05",
    "-0",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775",
    "9223372036854775808",
    "",
];
const UNITS: [&str; 4] = ["EX", "PX", "EXAT", "PXAT"];

/// Commands about `K`, most of which are refused where it holds a string.
fn commands() -> Vec<Vec<String>> {
    let mut all: Vec<String> = Vec::new();
    for number in NUMBERS {
        for unit in UNITS {
            all.push(format!("GETEX K {unit} {number}"));
            all.push(format!("SET K v {unit} {number}"));
            all.push(format!("SET K v XX {unit} {number} GET"));
        }
        for name in ["EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT"] {
            all.push(format!("{name} K {number}"));
            all.push(format!("{name} K {number} GT"));
        }
        for name in ["SETEX", "PSETEX"] {
            all.push(format!("{name} K {number} v"));
        }
        for command in ["INCRBY K", "HINCRBY K f", "SETRANGE K", "COPY K K DB"] {
            all.push(format!("{command} {number}"));
        }
    }
    let others = "GETEX K PX 5 PERSIST|GETEX K NX|SET K v NX XX|SET K v EX 5 PX 5|SET K v KEEPTTL PX 5|SET K v PERSIST|\
        SET K v EX|SET K v v|EXPIRE K 5 NX XX|EXPIRE K 5 GT LT|EXPIRE K 5 v|COPY K K|COPY other K v|MSET K v l|\
        HSET K f v|HSET K f|HDEL K f|HSETNX K f v|LPUSH K v|RPOP K|SADD K m|SREM K m|SPOP K|ZADD K 1 m|ZADD K x m|\
        ZADD K NX XX 1 m|ZREM K m|ZREMRANGEBYSCORE K 0 1|INCR K|DECR K|INCRBYFLOAT K 1|HGET K f|SMEMBERS K|\
        RPOPLPUSH K other|XADD K * f v|GEOADD K 1 1 m|LSET K 0 v|LTRIM K 0 1|HINCRBYFLOAT K f 1";
    all.extend(others.split('|').map(str::to_owned));
    all.iter().map(|command| command.split(' ').map(str::to_owned).collect()).collect()
}

/// Whether the server answers with an error to a command about this key.
fn is_refused(con: &mut redis::Connection, command: &[String], key: &str) -> bool {
    let mut words = command.iter().map(|word| if word == "K" { key } else { word });
    let mut cmd = redis::cmd(words.next().unwrap());
    cmd.arg(words.collect::<Vec<_>>()).query::<Value>(con).is_err()
}

#[test]
fn refused_commands_leave_a_recording_clean() {
    let redis = redis_or_skip!("--notify-keyspace-events", "Exe");
    let place = Place::new();
    let recording = Recording::start(&redis, &place, "h", &["--pattern", "l:*"]);
    let (mut holder, mut other) = (con(&redis), con(&redis));
    run(&mut holder, "CLIENT SETNAME holder");
    run(&mut other, "CLIENT SETNAME other");
    let release = "if redis.call('get',KEYS[1])==ARGV[1] then return redis.call('del',KEYS[1]) end";
    let mut refused = 0;
    for (number, command) in commands().into_iter().enumerate() {
        let token = format!("{number:08x}-8b86-4011-b42d-00c04fc964ff");
        run(&mut holder, &format!("SET s {token} PX 600000"));
        if !is_refused(&mut other, &command, "s") {
            continue;
        }
        refused += 1;
        let key = format!("l:{number:04}");
        run(&mut holder, &format!("SET {key} {token} NX PX 600000"));
        assert!(is_refused(&mut other, &command, &key), "{command:?}");
        let released =
            redis::cmd("EVAL").arg(release).arg(1).arg(&key).arg(&token).query(&mut holder);
        assert_eq!(released, Ok(1), "{command:?}");
    }
    assert!(refused > 150, "{refused}");
    let (ended, _) = recording.end();
    ended.exits(0);
    assert!(ended.stdout.contains("CLEAN"), "{ended:#?}");
}
