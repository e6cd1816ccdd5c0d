//! Lists, sets and sorted sets: mostly keys of their own, so that members gather, and sometimes keys of
//! other kinds.

use super::*;

fn list() -> Arg {
    prop_oneof![4 => word("l m"), 1 => key()].boxed()
}

fn set() -> Arg {
    prop_oneof![4 => word("s t"), 1 => key()].boxed()
}

fn sorted_set() -> Arg {
    prop_oneof![4 => word("y z"), 1 => key()].boxed()
}

fn member() -> Arg {
    word("a b c 1 '' x\\sy \\xff")
}

fn end() -> Arg {
    word("LEFT RIGHT left right RIGHT UP")
}

/// Timeouts that are over at once, and some that are wrong; a real server would wait forever for 0.
fn timeout() -> Arg {
    word("0.001 .001 1e-3 0.0001 -1 -0.5 x '' nan inf -inf 1e400")
}

fn count() -> Arg {
    word("0 1 2 100 -1 x ''")
}

pub(super) fn lists() -> Args {
    let names = |names: &[&'static str]| select(names.to_vec());
    let position = prop_oneof![
        3 => (word("RANK rank"), word("1 2 -1 -2 0 x")),
        3 => (word("COUNT count"), word("0 1 2 -1 x")),
        2 => (word("MAXLEN"), word("0 1 2 -1 x")),
        1 => (word("NOPE RANK"), word("1")),
    ];
    let position = position.prop_map(|(name, value)| vec![name, value]).boxed();
    prop_oneof![
        6 => names(&["LPUSH", "RPUSH", "RPUSH"])
            .prop_flat_map(|name| repeat(name, vec![list()], vec![member()])),
        2 => names(&["LPUSHX", "RPUSHX"])
            .prop_flat_map(|name| repeat(name, vec![list()], vec![member()])),
        2 => names(&["LPOP", "RPOP"]).prop_flat_map(|name| optional(name, vec![list()], one(count()))),
        1 => each("LLEN", vec![list()]),
        3 => names(&["LRANGE", "LRANGE", "LTRIM"])
            .prop_flat_map(|name| each(name, vec![list(), place(), place()])),
        1 => each("LINDEX", vec![list(), place()]),
        1 => each("LSET", vec![list(), place(), member()]),
        2 => each("LREM", vec![list(), word("0 1 2 -1 -2 x"), member()]),
        1 => each("LINSERT", vec![list(), word("BEFORE after AFTER nope"), member(), member()]),
        2 => optional("LPOS", vec![list(), member()], position),
        2 => each("LMOVE", vec![list(), list(), end(), end()]),
        1 => each("RPOPLPUSH", vec![list(), list()]),
        2 => (names(&["BLPOP", "BRPOP"]), timeout()).prop_flat_map(|(name, timeout)| {
            let ended = move |mut args: Vec<Vec<u8>>| { args.push(timeout.clone()); args };
            repeat(name, vec![], vec![list()]).prop_map(ended).boxed()
        }),
        1 => each("BLMOVE", vec![list(), list(), end(), end(), timeout()]),
        1 => each("BRPOPLPUSH", vec![list(), list(), timeout()]),
    ]
    .boxed()
}

pub(super) fn sets() -> Args {
    prop_oneof![
        5 => repeat("SADD", vec![set()], vec![member()]),
        2 => repeat("SREM", vec![set()], vec![member()]),
        1 => each("SISMEMBER", vec![set(), member()]),
        1 => repeat("SMISMEMBER", vec![set()], vec![member()]),
        2 => select(vec!["SMEMBERS", "SCARD"]).prop_flat_map(|name| each(name, vec![set()])),
        // Which members come is the server's choice, so all or none of them.
        1 => each("SPOP", vec![set(), word("0 100 -1 x ''")]),
        1 => each("SRANDMEMBER", vec![set(), word("0 100 x '' -9223372036854775808")]),
        2 => select(vec!["SINTER", "SUNION", "SDIFF"])
            .prop_flat_map(|name| repeat(name, vec![], vec![set()])),
    ]
    .boxed()
}

fn score() -> Arg {
    prop_oneof![
        4 => word("1 2 3 -1.5 0 0.1 3e5 1e17"),
        1 => word("inf -inf +inf -Infinity 1.7976931348623157e308 -0 +2 .5 5. 1e-5"),
        1 => word("1e400 1e-400 nan x '' 1x \\s1 1e"),
    ]
    .boxed()
}

fn bound() -> Arg {
    word("-inf +inf 0 1 2 3 (1 (2 -1.5 (inf x ( nan -5 1e400 (0.1 ((1 '' 1x")
}

pub(super) fn sorted_sets() -> Args {
    let condition = one(word("NX XX GT LT CH INCR CH gt nope"));
    let scored = prop::collection::vec((score(), member()), 1..4)
        .prop_map(|pairs| pairs.into_iter().flat_map(|(score, member)| [score, member]).collect())
        .boxed();
    let add = (optional("ZADD", vec![sorted_set()], condition), scored)
        .prop_map(|(head, pairs): (_, Vec<_>)| [head, pairs].concat());
    let limit = (word("LIMIT limit"), word("0 1 -1 x"), word("-1 0 1 2 x"));
    let limit = limit.prop_map(|(name, offset, most)| vec![name, offset, most]);
    let option = prop_oneof![
        2 => one(word("WITHSCORES withscores")),
        2 => one(word("REV rev BYSCORE byscore")),
        1 => limit,
        1 => one(word("LIMIT nope")),
    ];
    let option = option.boxed();
    let by_score = option.clone();
    prop_oneof![
        6 => add,
        1 => each("ZINCRBY", vec![sorted_set(), score(), member()]),
        1 => repeat("ZREM", vec![sorted_set()], vec![member()]),
        2 => select(vec!["ZSCORE", "ZRANK", "ZREVRANK"])
            .prop_flat_map(|name| each(name, vec![sorted_set(), member()])),
        1 => repeat("ZMSCORE", vec![sorted_set()], vec![member()]),
        1 => each("ZCARD", vec![sorted_set()]),
        3 => select(vec!["ZRANGE", "ZRANGE", "ZREVRANGE"]).prop_flat_map(move |name| {
            optional(name, vec![sorted_set(), place(), place()], option.clone())
        }),
        3 => select(vec!["ZRANGE", "ZRANGEBYSCORE", "ZREVRANGEBYSCORE"]).prop_flat_map(move |name| {
            optional(name, vec![sorted_set(), bound(), bound()], by_score.clone())
        }),
        2 => select(vec!["ZCOUNT", "ZREMRANGEBYSCORE"])
            .prop_flat_map(|name| each(name, vec![sorted_set(), bound(), bound()])),
        1 => each("ZREMRANGEBYRANK", vec![sorted_set(), place(), place()]),
        2 => select(vec!["ZPOPMIN", "ZPOPMAX"])
            .prop_flat_map(|name| optional(name, vec![sorted_set()], one(count()))),
        2 => (select(vec!["BZPOPMIN", "BZPOPMAX"]), timeout()).prop_flat_map(|(name, timeout)| {
            let ended = move |mut args: Vec<Vec<u8>>| { args.push(timeout.clone()); args };
            repeat(name, vec![], vec![sorted_set()]).prop_map(ended).boxed()
        }),
    ]
    .boxed()
}
