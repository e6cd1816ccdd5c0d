//! Locks that are no strings.

use super::clients::{Fault, Format, World, key};
use super::server::Reply;
use redis::Value;

/// A reentrant lock in a hash: the field is the holder.
const TAKE_HASH: &str = "if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then \
    redis.call('HINCRBY', KEYS[1], ARGV[1], 1) \
    if ARGV[2] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 1 end return 0";
const DROP_HASH: &str = "if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end \
    if redis.call('HINCRBY', KEYS[1], ARGV[1], -1) == 0 then redis.call('DEL', KEYS[1]) end return 1";
const EXTEND_HASH: &str = "if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end \
    return redis.call('PEXPIRE', KEYS[1], ARGV[2])";
/// A semaphore with one permit.
const TAKE_SORTED: &str = "if redis.call('ZCARD', KEYS[1]) == 0 then redis.call('ZADD', KEYS[1], 1, ARGV[1]) \
    if ARGV[2] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 1 end return 0";

impl World {
    /// Takes the lock if it is free.
    pub(super) fn take_member(&mut self, holder: usize, token: &str, lease: Option<u64>) -> Reply {
        let format = self.workload.format;
        let lease = lease.unwrap_or(0).to_string();
        let key = key(format);
        if format == Format::Field {
            let is_faulty = self.is_faulty(holder, Fault::Overwrite);
            let name = if is_faulty { "HSET" } else { "HSETNX" };
            let mut reply = self.send(holder, &[name, key, "owner", token]);
            if is_faulty {
                reply.value = Value::Okay;
            }
            if reply.is_yes() && lease != "0" {
                self.send(holder, &["PEXPIRE", key, &lease]);
            }
            return reply;
        }
        let command = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let (script, took, refused): (_, Vec<Vec<String>>, Vec<Vec<String>>) = match format {
            Format::Hash => (
                TAKE_HASH,
                vec![command(&["EXISTS", key]), command(&["HINCRBY", key, token, "1"])],
                vec![command(&["EXISTS", key]), command(&["HEXISTS", key, token])],
            ),
            _ => (
                TAKE_SORTED,
                vec![command(&["ZCARD", key]), command(&["ZADD", key, "1", token])],
                vec![command(&["ZCARD", key])],
            ),
        };
        let expire = (lease != "0").then(|| command(&["PEXPIRE", key, &lease]));
        self.script(holder, &["EVAL", script, "1", key, token, &lease], |reply| {
            if *reply == Value::Int(1) { took.into_iter().chain(expire).collect() } else { refused }
        })
    }

    /// Extends the lease of a hash if it still is the holder's.
    pub(super) fn extend_member(&mut self, holder: usize, token: &str, lease: &str) -> Reply {
        let key = key(self.workload.format);
        let command = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let found: Vec<Vec<String>> = vec![command(&["HEXISTS", key, token])];
        let extend = command(&["PEXPIRE", key, lease]);
        self.script(holder, &["EVAL", EXTEND_HASH, "1", key, token, lease], |reply| {
            let extend = (*reply == Value::Int(1)).then_some(extend);
            found.into_iter().chain(extend).collect()
        })
    }

    /// Releases the lock if it still is the holder's.
    pub(super) fn drop_member(&mut self, holder: usize, token: &str) -> Reply {
        let key = key(self.workload.format);
        if self.workload.format == Format::Sorted {
            return self.send(holder, &["ZREM", key, token]);
        }
        let command = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let found: Vec<Vec<String>> = vec![command(&["HEXISTS", key, token])];
        let rest = [command(&["HINCRBY", key, token, "-1"]), command(&["DEL", key])];
        self.script(holder, &["EVAL", DROP_HASH, "1", key, token], |reply| {
            let rest = rest.into_iter().filter(|_| *reply == Value::Int(1));
            found.into_iter().chain(rest).collect()
        })
    }
}
