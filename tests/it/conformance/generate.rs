//! Generated requests: all commands, few keys, so that they meet; right and wrong.
//!
//! What an error quotes is ASCII here: the redis crate gives up on a real connection whose error line
//! is no UTF-8.

mod collections;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;

/// How many clients the sequences need.
pub const CLIENTS: usize = 3;

/// One step of a sequence.
#[derive(Clone)]
pub enum Step {
    /// A single request.
    Command { client: usize, args: Vec<Vec<u8>> },
    /// A pipeline of the redis crate.
    Pipeline { client: usize, atomic: bool, commands: Vec<Vec<Vec<u8>>> },
    /// SCAN to its end, with these options.
    Walk { client: usize, options: Vec<Vec<u8>> },
}

impl Step {
    /// Who takes it.
    pub fn client(&self) -> usize {
        match self {
            Step::Command { client, .. }
            | Step::Pipeline { client, .. }
            | Step::Walk { client, .. } => *client,
        }
    }
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let line = |args: &[Vec<u8>]| {
            let words: Vec<_> =
                args.iter().map(|arg| format!("'{}'", arg.escape_ascii())).collect();
            words.join(" ")
        };
        match self {
            Step::Command { client, args } => write!(f, "{client}: {}", line(args)),
            Step::Pipeline { client, atomic, commands } => {
                let commands: Vec<_> = commands.iter().map(|args| line(args)).collect();
                write!(f, "{client}: pipeline (atomic: {atomic}) {commands:?}")
            }
            Step::Walk { client, options } => write!(f, "{client}: walk {}", line(options)),
        }
    }
}

/// Scripts that call the command that their arguments are, and reply what it does.
const CALLS: [&str; 4] = [
    "return redis.call(unpack(ARGV))",
    "return redis.pcall(unpack(ARGV))",
    "redis.setresp(3) return redis.call(unpack(ARGV))",
    "local reply = redis.call(unpack(ARGV)) redis.call('select', 5) return reply",
];

/// The name of a command, in lower case; of one that is called by a script, its own.
pub fn name(args: &[Vec<u8>]) -> String {
    let called = match args {
        [_, body, _, called @ ..] if CALLS.iter().any(|call| body == call.as_bytes()) => called,
        _ => args,
    };
    called.first().map(|name| String::from_utf8_lossy(name).to_lowercase()).unwrap_or_default()
}

/// Text with `\xNN`, `\n`, `\r`, `\0` and `\s` (a space) for bytes that are hard to write; `''` is empty.
pub fn unescape(word: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut chars = if word == "''" { "" } else { word }.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            (_, Some('n')) => bytes.push(b'\n'),
            (_, Some('r')) => bytes.push(b'\r'),
            (_, Some('0')) => bytes.push(0),
            (_, Some('s')) => bytes.push(b' '),
            (_, Some('x')) => {
                let digits: String = chars.by_ref().take(2).collect();
                bytes.push(u8::from_str_radix(&digits, 16).unwrap());
            }
            (_, Some(other)) => bytes.push(other as u8),
            (plain, None) => bytes.extend(plain.to_string().bytes()),
        }
    }
    bytes
}

type Arg = BoxedStrategy<Vec<u8>>;
type Args = BoxedStrategy<Vec<Vec<u8>>>;

/// One of these words, written as for [`unescape`].
fn word(words: &'static str) -> Arg {
    let words: Vec<Vec<u8>> = words.split(' ').map(unescape).collect();
    select(words).boxed()
}

fn key() -> Arg {
    word("a b c ab nodb-lock:r:x '' \\x00\\xff* [k]")
}

fn field() -> Arg {
    word("f g locked:x \\xff ''")
}

fn value() -> Arg {
    word("'' 0 1 -5 007 true x\\syz \\0\\r\\n\\xff 9223372036854775807 -9223372036854775808 +1 -0")
}

fn number() -> Arg {
    word("1 -1 0 7 9223372036854775807 -9223372036854775808 9223372036854775808 x '' 1.5 01")
}

fn fraction() -> Arg {
    word("0.1 -0.1 1.1 1000.1 3.0e3 -5 1e17 123456789.123456789 1e-17 -1e-19 inf nan x ''")
}

/// Places in a string, from either end.
fn place() -> Arg {
    prop_oneof![4 => word("0 1 2 5 100 -1 -2 -100"), 1 => number()].boxed()
}

/// Amounts of time that no test lives to see the end of, all different so that comparing two never
/// depends on the millisecond; and some that are wrong or over.
fn amount() -> Arg {
    let far = (1_000_000i64..1_000_000_000).prop_map(|n| n.to_string().into_bytes());
    let odd = word("0 -1 -100 9223372036854775807 9223372036854775 -9223372036854775808 x ''");
    prop_oneof![4 => far.prop_map(|mut n| { n.extend(b"000"); n }), 1 => odd].boxed()
}

/// Moments long past and far away.
fn moment() -> Arg {
    word(
        "1 1000 4102444800 4102444801 4102444800000 4102444801000 4102444800499 0 -1 x 9223372036854775807",
    )
}

fn pattern() -> Arg {
    let letters = prop::collection::vec(select(b"ab*?[]^-\\:k".as_slice()), 0..5);
    prop_oneof![2 => word("* a* *b [a-b]* nodb-lock:* ?"), 1 => letters].boxed()
}

/// Each argument once.
fn each(name: &'static str, args: Vec<Arg>) -> Args {
    let all: Vec<Arg> = [vec![Just(unescape(name)).boxed()], args].concat();
    all.boxed()
}

/// A command with one to three arguments (or pairs of them) of a kind at the end.
fn repeat(name: &'static str, first: Vec<Arg>, last: Vec<Arg>) -> Args {
    (each(name, first), prop::collection::vec(last, 1..4))
        .prop_map(|(head, tail)| [head, tail.concat()].concat())
        .boxed()
}

/// A command with up to three options at the end, which may contradict each other.
fn optional(name: &'static str, first: Vec<Arg>, option: Args) -> Args {
    (each(name, first), prop::collection::vec(option, 0..4))
        .prop_map(|(head, options)| [head, options.concat()].concat())
        .boxed()
}

fn one(option: Arg) -> Args {
    option.prop_map(|option| vec![option]).boxed()
}

fn set_option() -> Args {
    prop_oneof![
        5 => one(word("NX nx XX xX GET KEEPTTL get")),
        2 => (word("EX px PX"), amount()).prop_map(|(unit, amount)| vec![unit, amount]),
        2 => (word("EXAT PXAT pxat"), moment()).prop_map(|(unit, moment)| vec![unit, moment]),
        1 => one(word("EX FOO PERSIST")),
    ]
    .boxed()
}

fn getex_option() -> Args {
    prop_oneof![
        2 => one(word("PERSIST persist")),
        2 => (word("EX px PX"), amount()).prop_map(|(unit, amount)| vec![unit, amount]),
        1 => (word("EXAT PXAT pxat"), moment()).prop_map(|(unit, moment)| vec![unit, moment]),
        1 => one(word("EX NX KEEPTTL GET")),
    ]
    .boxed()
}

fn scan_option() -> Args {
    prop_oneof![
        3 => pattern().prop_map(|pattern| vec![b"MATCH".to_vec(), pattern]),
        2 => word("string hash HASH list set ZSET stream").prop_map(|kind| vec![b"type".to_vec(), kind]),
    ]
    .boxed()
}

fn hscan_option() -> Args {
    prop_oneof![
        2 => word("f* * ? locked:*").prop_map(|pattern| vec![b"MATCH".to_vec(), pattern]),
        2 => word("1 10 0 x").prop_map(|count| vec![b"count".to_vec(), count]),
        1 => one(word("TYPE COUNT foo")),
    ]
    .boxed()
}

fn strings() -> Args {
    let names = select(vec!["GET", "INCR", "DECR"]);
    prop_oneof![
        3 => names.prop_flat_map(|name| each(name, vec![key()])),
        5 => optional("SET", vec![key(), value()], set_option()),
        1 => each("INCRBYFLOAT", vec![key(), fraction()]),
        1 => each("SETNX", vec![key(), value()]),
        1 => each("GETSET", vec![key(), value()]),
        1 => each("SETEX", vec![key(), amount(), value()]),
        1 => each("PSETEX", vec![key(), amount(), value()]),
        1 => select(vec!["STRLEN", "GETDEL"]).prop_flat_map(|name| each(name, vec![key()])),
        2 => optional("GETEX", vec![key()], getex_option()),
        1 => select(vec!["GETRANGE", "SUBSTR"])
            .prop_flat_map(|name| each(name, vec![key(), place(), place()])),
        1 => repeat("MGET", vec![], vec![key()]),
        1 => select(vec!["MSET", "MSETNX"]).prop_flat_map(|name| repeat(name, vec![], vec![key(), value()])),
        1 => select(vec!["INCRBY", "DECRBY"]).prop_flat_map(|name| each(name, vec![key(), number()])),
    ]
    .boxed()
}

/// Any key, those of collections too.
fn any_key() -> Arg {
    prop_oneof![2 => key(), 1 => word("l m s t y z")].boxed()
}

fn copy_option() -> Args {
    prop_oneof![
        3 => one(word("REPLACE replace")),
        2 => (word("DB db"), word("0 1 1 15 16 -1 x 99999999999"))
            .prop_map(|(name, number)| vec![name, number]),
        1 => one(word("DB NOPE")),
    ]
    .boxed()
}

fn keys() -> Args {
    let condition = || one(word("NX XX GT LT gt foo"));
    prop_oneof![
        2 => select(vec!["DEL", "UNLINK", "EXISTS", "TOUCH"]).prop_flat_map(|name| repeat(name, vec![], vec![key()])),
        4 => select(vec!["TYPE", "TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME", "PERSIST"])
            .prop_flat_map(|name| each(name, vec![any_key()])),
        2 => select(vec!["EXPIRE", "PEXPIRE"])
            .prop_flat_map(move |name| optional(name, vec![any_key(), amount()], condition())),
        2 => select(vec!["EXPIREAT", "PEXPIREAT"])
            .prop_flat_map(move |name| optional(name, vec![key(), moment()], condition())),
        2 => select(vec!["RENAME", "RENAMENX"])
            .prop_flat_map(|name| each(name, vec![any_key(), any_key()])),
        2 => optional("COPY", vec![any_key(), any_key()], copy_option()),
        1 => each("KEYS", vec![pattern()]),
        1 => optional("SCAN", vec![word("0"), word("COUNT"), word("1000")], scan_option()),
        1 => optional("SCAN", vec![word("x \\s1 0x1 18446744073709551616 1x")], scan_option()),
        1 => each("SCAN", vec![word("0"), word("COUNT FOO"), word("0 -1 x")]),
    ]
    .boxed()
}

fn hashes() -> Args {
    prop_oneof![
        4 => repeat("HSET", vec![key()], vec![field(), value()]),
        1 => repeat("HMSET", vec![key()], vec![field(), value()]),
        1 => each("HSETNX", vec![key(), field(), value()]),
        1 => each("HINCRBY", vec![key(), field(), number()]),
        1 => each("HINCRBYFLOAT", vec![key(), field(), fraction()]),
        2 => select(vec!["HDEL", "HMGET"]).prop_flat_map(|name| repeat(name, vec![key()], vec![field()])),
        2 => select(vec!["HGET", "HEXISTS", "HSTRLEN"]).prop_flat_map(|name| each(name, vec![key(), field()])),
        1 => optional("HSCAN", vec![key(), word("0 0 0 7 x")], hscan_option()),
        2 => select(vec!["HGETALL", "HLEN", "HKEYS", "HVALS"]).prop_flat_map(|name| each(name, vec![key()])),
    ]
    .boxed()
}

fn the_rest() -> Args {
    prop_oneof![
        2 => each("SELECT", vec![word("0 0 1 15 16 -1 x 99999999999")]),
        2 => each("DBSIZE", vec![]),
        2 => each("INFO", vec![word("keyspace KEYSPACE nope")]),
        1 => repeat("PING", vec![], vec![value()]),
        1 => each("ECHO", vec![value()]),
        1 => select(vec!["TIME", "ROLE"]).prop_flat_map(|name| each(name, vec![])),
        1 => each("HELLO", vec![word("2 3 3 4 x")]),
        1 => each("HELLO", vec![word("2 3"), word("SETNAME AUTH"), word("me default")]),
        1 => each("HELLO", vec![word("2 3"), word("AUTH auth"), word("default other"), word("pw")]),
        1 => repeat("AUTH", vec![], vec![word("default pw")]),
        1 => each("CLIENT", vec![word("ID GETNAME getname SETNAME nope")]),
        1 => each("CLIENT", vec![word("SETNAME"), word("me '' x\\sy x\\ny")]),
        1 => repeat("COMMAND", vec![word("nope")], vec![word("x y")]),
        1 => each("FLUSHDB", vec![]),
        1 => select(vec!["FLUSHDB", "FLUSHALL"])
            .prop_flat_map(|name| each(name, vec![word("sync ASYNC nope")])),
        1 => repeat("NOPE", vec![], vec![word("a b\\r\\nc x\\0y '' abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz")]),
        1 => each("RESET", vec![]),
        1 => select(vec!["PUBLISH", "SPUBLISH"]).prop_flat_map(|name| each(name, vec![key(), value()])),
        // One with replicas to wait for would take its time on the real one.
        1 => each("WAIT", vec![word("0 -1 x"), word("0 1 -1 x")]),
    ]
    .boxed()
}

/// Commands by way of a script.
fn called() -> Args {
    let command = prop_oneof![
        4 => spoiled(plain()),
        1 => spoiled(transactions()),
        1 => each("EVAL", vec![word("return"), word("0")]),
        1 => select(vec!["SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE"])
            .prop_flat_map(|name| repeat(name, vec![], vec![word("a b")])),
    ];
    let name = select(vec!["EVAL", "EVAL", "EVAL_RO"]);
    (name, select(CALLS.as_slice()), command)
        .prop_map(|(name, body, command)| {
            let body = if answers_in_resp3(&command) { CALLS[0] } else { body };
            [vec![name.into(), body.into(), b"0".to_vec()], command].concat()
        })
        .boxed()
}

/// Whether the third version of the protocol has sets or numbers with fractions for its answer, which
/// scripts of the embedded server do not know.
fn answers_in_resp3(command: &[Vec<u8>]) -> bool {
    let name = name(command);
    name.starts_with('z')
        || ["smembers", "sinter", "sunion", "sdiff", "spop"].contains(&name.as_str())
}

/// Few scripts, so that those that are asked for are sometimes there.
fn scripts() -> Args {
    let body = || {
        select(vec![
            "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0",
            "return {KEYS, ARGV}",
            "return redis.call('incr', KEYS[1])",
            "return redis.call('set', KEYS[1], ARGV[1], 'NX', 'PX', 9000000)",
            "local f = redis.call('incr', KEYS[1]) redis.call('hset', KEYS[2], ARGV[1], f) return f",
            "#!lua flags=no-writes\nreturn redis.call('get', KEYS[1])",
            "#!lua\nreturn redis.call('exists', KEYS[1])",
            "return KEYS[1] .. nil",
            "oops(",
        ])
    };
    let sha = prop_oneof![
        6 => body().prop_map(|body| sha1_smol::Sha1::from(body).digest().to_string().into_bytes()),
        1 => body().prop_map(|body| sha1_smol::Sha1::from(body).digest().to_string().to_uppercase().into_bytes()),
        1 => word("x '' 0123456789012345678901234567890123456789 zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"),
    ];
    let sha = sha.boxed();
    let body = move || body().prop_map(|body| body.as_bytes().to_vec()).boxed();
    let number = || word("0 1 1 1 2 2 3 -1 x 01 99999999999999999999");
    prop_oneof![
        4 => select(vec!["EVAL", "EVAL", "EVAL_RO"])
            .prop_flat_map(move |name| optional(name, vec![body(), number()], one(key_or_value()))),
        4 => select(vec!["EVALSHA", "EVALSHA", "EVALSHA_RO"]).prop_flat_map({
            let sha = sha.clone();
            move |name| optional(name, vec![sha.clone(), number()], one(key_or_value()))
        }),
        2 => each("SCRIPT", vec![word("LOAD"), body()]),
        1 => repeat("SCRIPT", vec![word("EXISTS exists")], vec![sha]),
        1 => each("SCRIPT", vec![word("FLUSH")]),
        1 => each("SCRIPT", vec![word("FLUSH NOPE"), word("ASYNC sync nope")]),
    ]
    .boxed()
}

fn key_or_value() -> Arg {
    prop_oneof![2 => key(), 1 => value()].boxed()
}

fn plain() -> Args {
    prop_oneof![
        4 => strings(),
        4 => keys(),
        4 => hashes(),
        4 => collections::lists(),
        2 => collections::sets(),
        4 => collections::sorted_sets(),
        2 => the_rest(),
    ]
    .boxed()
}

fn data() -> Args {
    prop_oneof![14 => plain(), 3 => called(), 3 => scripts()].boxed()
}

fn transactions() -> Args {
    prop_oneof![
        4 => each("MULTI", vec![]),
        4 => each("EXEC", vec![]),
        1 => each("DISCARD", vec![]),
        4 => repeat("WATCH", vec![], vec![any_key()]),
        1 => each("UNWATCH", vec![]),
    ]
    .boxed()
}

/// Spoils the number of arguments, or the case of the name, of some.
fn spoiled(args: Args) -> Args {
    let how = prop_oneof![20 => Just(0), 1 => Just(1), 1 => Just(2), 3 => Just(3)];
    (args, how)
        .prop_map(|(mut args, how)| {
            match how {
                // Without a count, it draws a member.
                1 if name(&args) != "spop" => drop(args.pop()),
                2 => args.push(b"more".to_vec()),
                3 => args[0].make_ascii_lowercase(),
                _ => {}
            }
            if args.is_empty() { vec![b"PING".to_vec()] } else { args }
        })
        .boxed()
}

/// Any step.
pub fn step() -> impl Strategy<Value = Step> {
    let client = 0..CLIENTS;
    let command = Union::new_weighted(vec![(5, spoiled(data())), (2, spoiled(transactions()))]);
    let count = word("1 2 3").prop_map(|count| vec![b"COUNT".to_vec(), count]);
    let pipeline = prop::collection::vec(spoiled(data()), 1..5);
    prop_oneof![
        20 => (client.clone(), command).prop_map(|(client, args)| Step::Command { client, args }),
        2 => (client.clone(), any::<bool>(), pipeline)
            .prop_map(|(client, atomic, commands)| Step::Pipeline { client, atomic, commands }),
        1 => (client, count, prop::collection::vec(scan_option(), 0..3))
            .prop_map(|(client, count, more)| {
                Step::Walk { client, options: [count, more.concat()].concat() }
            }),
    ]
}

/// Sequences about one kind of collection, so that members gather.
pub fn steps_of_collections() -> impl Strategy<Value = Vec<Step>> {
    use collections::{lists, sets, sorted_sets};
    let family = |args: Args| {
        let others = prop_oneof![2 => keys(), 1 => transactions()].boxed();
        let command = Union::new_weighted(vec![(9, spoiled(args)), (1, spoiled(others))]);
        let step = (0..2usize, command).prop_map(|(client, args)| Step::Command { client, args });
        prop::collection::vec(step, 1..60)
    };
    prop_oneof![2 => family(lists()), 1 => family(sets()), 3 => family(sorted_sets())]
}
