//! What is known of the commands whose effect on a key is not followed.

use std::collections::HashMap;
use std::sync::LazyLock;

/// How far a command reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// It changes no key.
    NoKey,
    /// It changes only the key that it names first.
    FirstKey,
    /// It changes only the two keys that it names first.
    TwoKeys,
    /// It is unknown: any argument may be a key that it changes.
    AnyArgument,
}

/// How far the command with this name, in capitals, reaches.
pub(super) fn reach(name: &str) -> Reach {
    REACH.get(name).copied().unwrap_or(Reach::AnyArgument)
}

static REACH: LazyLock<HashMap<&str, Reach>> = LazyLock::new(|| {
    let known = [(NO_KEY, Reach::NoKey), (FIRST_KEY, Reach::FirstKey), (TWO_KEYS, Reach::TwoKeys)];
    known.iter().flat_map(|(names, reach)| names.split(' ').map(|name| (name, *reach))).collect()
});

/// Commands that change no key, or only by commands that have lines of their own in MONITOR
/// (`COMMAND` of Redis 7.0: no flag `write`; newer ones by their documentation).
const NO_KEY: &str = "\
    ACL ASKING AUTH BGREWRITEAOF BGSAVE BITCOUNT BITFIELD_RO BITPOS CLIENT CLUSTER COMMAND CONFIG \
    DBSIZE DIGEST DISCARD DUMP ECHO EVAL EVALSHA EVALSHA_RO EVAL_RO EXEC EXISTS EXPIRETIME FCALL \
    FCALL_RO FUNCTION GEODIST GEOHASH GEOPOS GEORADIUSBYMEMBER_RO GEORADIUS_RO GEOSEARCH GETBIT \
    GETRANGE HELLO HEXISTS HEXPIRETIME HGET HGETALL HKEYS HLEN HMGET HPEXPIRETIME HPTTL HRANDFIELD \
    HSCAN HSTRLEN HTTL HVALS INFO KEYS LASTSAVE LATENCY LCS LINDEX LLEN LOLWUT LPOS LRANGE MEMORY \
    MONITOR MULTI OBJECT PEXPIRETIME PFCOUNT PING PSUBSCRIBE PTTL PUBLISH PUBSUB PUNSUBSCRIBE QUIT \
    RANDOMKEY READONLY READWRITE RESET ROLE SAVE SCAN SCARD SCRIPT SDIFF SELECT SINTER SINTERCARD \
    SISMEMBER SLOWLOG SMEMBERS SMISMEMBER SORT_RO SPUBLISH SRANDMEMBER SSCAN SSUBSCRIBE STRLEN \
    SUBSCRIBE SUBSTR SUNION SUNSUBSCRIBE TIME TOUCH TTL TYPE UNSUBSCRIBE UNWATCH WAIT WAITAOF \
    WATCH XINFO XLEN XPENDING XRANGE XREAD XREVRANGE ZCARD ZCOUNT ZDIFF ZINTER ZINTERCARD \
    ZLEXCOUNT ZMSCORE ZRANDMEMBER ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANK ZREVRANGE ZREVRANGEBYLEX \
    ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE ZUNION";

/// Commands that write their first argument only (`COMMAND` of Redis 7.0: flag `write`, first and
/// last key 1; newer ones by their documentation).
const FIRST_KEY: &str = "\
    APPEND BITFIELD DECR DECRBY DELEX DELIFEQ EXPIRE EXPIREAT GEOADD GET GETDEL GETEX GETSET HDEL \
    HEXPIRE HEXPIREAT HGETDEL HGETEX HINCRBY HINCRBYFLOAT HMSET HPERSIST HPEXPIRE HPEXPIREAT HSET \
    HSETEX HSETNX INCR INCRBY INCRBYFLOAT LINSERT LPOP LPUSH LPUSHX LREM LSET LTRIM MOVE PERSIST \
    PEXPIRE PEXPIREAT PFADD PSETEX RESTORE RESTORE-ASKING RPOP RPUSH RPUSHX SADD SET SETBIT SETEX \
    SETNX SETRANGE SPOP SREM XACK XACKDEL XADD XAUTOCLAIM XCLAIM XDEL XDELEX XSETID XTRIM ZADD \
    ZINCRBY ZPOPMAX ZPOPMIN ZREM ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE";

/// Commands that write their first two arguments only.
const TWO_KEYS: &str = "BLMOVE BRPOPLPUSH LMOVE RENAME RENAMENX RPOPLPUSH SMOVE ZRANGESTORE";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted_and_disjoint() {
        for names in [NO_KEY, FIRST_KEY, TWO_KEYS] {
            assert!(names.split(' ').is_sorted());
        }
        let names = [NO_KEY, FIRST_KEY, TWO_KEYS].map(|names| names.split(' ').count());
        assert_eq!(REACH.len(), names.iter().sum::<usize>());
    }

    #[test]
    fn an_unknown_command_may_change_any_argument() {
        assert_eq!(reach("HGETALL"), Reach::NoKey);
        assert_eq!(reach("LPUSH"), Reach::FirstKey);
        assert_eq!(reach("SMOVE"), Reach::TwoKeys);
        for name in ["MIGRATE", "BLPOP", "JSON.SET", "MSETEX", ""] {
            assert_eq!(reach(name), Reach::AnyArgument, "{name}");
        }
    }
}
