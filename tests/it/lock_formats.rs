//! Locks of each format, acquired and released as their libraries do it.

use lock_lab::lock::hostname;
use redis::Connection;
use serde_json::json;

/// How clients of a library acquire and release a lock: scripts with the key, and the token.
pub struct Format {
    pub key: &'static str,
    /// The token of an acquisition with this number. `None`: its value is the same for each holder.
    pub token: Option<fn(u64) -> String>,
    /// What the key holds for it.
    value: fn(&str) -> String,
    /// Answers 1 if it was acquired.
    acquire: &'static str,
    /// Answers 1 if it was still held by this token.
    release: &'static str,
}

const SET: &str = "return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'EX', 3600) and 1 or 0";
const SETNX: &str = "return redis.call('SETNX', KEYS[1], ARGV[1])";
const DELETE: &str =
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end return redis.call('DEL', KEYS[1])";
const DELETE_AND_SIGNAL: &str = "
    if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
    redis.call('LPUSH', 'lock-signal:' .. KEYS[1]:sub(6), 1)
    return redis.call('DEL', KEYS[1])";
const COUNT: &str = "
    if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
    redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
    return redis.call('EXPIRE', KEYS[1], 3600)";
const COUNT_DOWN: &str = "
    if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
    if redis.call('HINCRBY', KEYS[1], ARGV[1], -1) > 0 then return 0 end
    return redis.call('DEL', KEYS[1])";
const WRITE: &str = "
    if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
    redis.call('HSET', KEYS[1], 'mode', 'write', ARGV[1], 1)
    return redis.call('EXPIRE', KEYS[1], 3600)";
const LEAVE: &str = "
    if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
    redis.call('DEL', KEYS[1])
    return 1";
const JOB: &str = "
    if redis.call('HLEN', KEYS[1]) > 0 then return 0 end
    return redis.call('HSET', KEYS[1], ARGV[1], redis.call('TIME')[1])";
const HDEL: &str = "return redis.call('HDEL', KEYS[1], ARGV[1])";
const LEASE: &str = "
    if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
    local ends = (redis.call('TIME')[1] + 3600) * 1000
    redis.call('ZADD', KEYS[1], ends, ARGV[1], ends, '__write__')
    return redis.call('PEXPIREAT', KEYS[1], ends)";
const END_LEASE: &str = "
    if redis.call('ZREM', KEYS[1], ARGV[1]) == 0 then return 0 end
    redis.call('ZREM', KEYS[1], '__write__')
    return 1";
const ENTER: &str = "
    if redis.call('ZCARD', KEYS[1]) > 0 then return 0 end
    return redis.call('ZADD', KEYS[1], redis.call('TIME')[1], ARGV[1])";
const ZREM: &str = "return redis.call('ZREM', KEYS[1], ARGV[1])";
const GRAB: &str = "
    local available = KEYS[1]:gsub('GRABBED', 'AVAILABLE')
    if redis.call('SETNX', KEYS[1]:gsub('GRABBED', 'EXISTS'), 1) == 1 then
        redis.call('RPUSH', available, 0)
    end
    if not redis.call('LPOP', available) then return 0 end
    return redis.call('HSET', KEYS[1], 0, redis.call('TIME')[1])";
const GIVE_BACK: &str = "
    if redis.call('HDEL', KEYS[1], 0) == 0 then return 0 end
    redis.call('LPUSH', KEYS[1]:gsub('GRABBED', 'AVAILABLE'), 0)
    return 1";
const HSETNX: &str = "return redis.call('HSETNX', KEYS[1], 'app.lock.daily', 1)";
const HDEL_DAILY: &str = "return redis.call('HDEL', KEYS[1], 'app.lock.daily')";

fn uuid(number: u64) -> String {
    format!("b0a1c2d3-1111-4222-8333-{:012x}", number * 7_654_321 % (1 << 47))
}

fn hex(number: u64) -> String {
    uuid(number).replace('-', "")
}

/// A UUID of version 1, as redis-py draws it.
fn of_redis_py(number: u64) -> String {
    format!("{:08x}ee1b11f1b2c30242ac120002", 0x5f0c_8f70 + number)
}

fn thread_of(number: u64) -> String {
    format!("{}:46", uuid(number))
}

/// The payload of a living process.
fn nodb(token: &str) -> String {
    let owner = format!("{}:{}", hostname(), std::process::id());
    json!({ "token": token, "owner": owner, "acquired_at": 4_000_000_000_u64 }).to_string()
}

fn letters(number: u64) -> String {
    format!("aB3dE6gH9j{:06}", number)
}

/// A lock of each format.
pub fn formats() -> Vec<Format> {
    let one = |key, token: fn(u64) -> String, acquire, release| {
        let (token, value) = (Some(token), str::to_owned as fn(&str) -> String);
        Format { key, token, value, acquire, release }
    };
    let wrapped = |key, token: fn(u64) -> String, value| {
        let (token, acquire, release) = (Some(token), SET, DELETE);
        Format { key, token, value, acquire, release }
    };
    let constant = |key, acquire, release| {
        let (token, value) = (None, str::to_owned as fn(&str) -> String);
        Format { key, token, value, acquire, release }
    };
    let shedlock = |number| format!("ADDED:2026-11-29T02:00:00.{:03}Z@worker-a", number % 1000);
    let base64 = |number| format!("q83vEjRWeJCrze8S{:08}", number);
    let symfony = |number| format!("q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQ{:011}=", number);
    vec![
        one("lock:orders", of_redis_py, SET, DELETE),
        one("order:{1}", thread_of, COUNT, COUNT_DOWN),
        one("rw:{stock}", |number| format!("{}:write", thread_of(number)), WRITE, LEAVE),
        one("bull:mail:12:lock", thread_of, SET, DELETE),
        one("bull:video:3:lock", uuid, SET, DELETE),
        one("uniquejobs:c0ffee:LOCKED", |number| hex(number)[8..].to_owned(), JOB, HDEL),
        one("nightly", shedlock, SET, DELETE),
        one("app:SINGLETONLOCK_c0ffee", uuid, SETNX, DELETE),
        one("redbeat::lock", of_redis_py, SET, DELETE),
        one("qo_report_user-7", of_redis_py, SET, DELETE),
        wrapped("laravel_cache:unique_job:report", letters, |token| format!("s:16:\"{token}\";")),
        one("lock:signalled", base64, SETNX, DELETE_AND_SIGNAL),
        one("invoice", symfony, LEASE, END_LEASE),
        one("semaphore:index", hex, ENTER, ZREM),
        one("locks:account:7", hex, SET, DELETE),
        wrapped("copy", hex, nodb),
        constant("huey.results.app", HSETNX, HDEL_DAILY),
        constant("SEMAPHORE:index:GRABBED", GRAB, GIVE_BACK),
    ]
}

impl Format {
    /// Acquires it, if it is free; `token` is what names the acquisition.
    pub fn acquires(&self, con: &mut Connection, token: Option<&String>) -> bool {
        self.call(con, self.acquire, token)
    }

    /// Releases it; false if it was not held by this acquisition any more.
    pub fn releases(&self, con: &mut Connection, token: Option<&String>) -> bool {
        self.call(con, self.release, token)
    }

    fn call(&self, con: &mut Connection, script: &str, token: Option<&String>) -> bool {
        let mut call = redis::cmd("EVAL");
        call.arg(script).arg(1).arg(self.key).arg(token.map(|token| (self.value)(token)));
        call.query(con).unwrap_or_else(|error| panic!("{}: {error}", self.key))
    }
}
