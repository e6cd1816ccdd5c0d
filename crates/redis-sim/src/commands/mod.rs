//! The commands: one file a group, and the table that finds them by name.
//!
//! A command gets its arguments without its name and answers with a value or an error; it never sees
//! a transaction around it. All that Redis 7.0 would do and this server can't is answered as an
//! unknown command, which is what an old Redis does too. What newer servers have is in `conditional`.

mod collections;
mod conditional;
mod connection;
mod expiry;
mod extended;
mod hashes;
mod keys;
mod lists;
mod pubsub;
mod ranges;
mod scripts;
mod server;
mod sets;
mod sorted_sets;
mod strings;
mod transactions;

use redis::Value;

use super::error::{Error, quoted};
use super::pubsub::Topic::{Channel, Pattern, Shard};
use super::scripting::Access;
use super::session::Call;
use expiry::Unit;
use lists::End::{Left, Right};

/// What a command answers.
pub(super) type Reply = Result<Value, Error>;

/// What carries a command out.
type CommandFn = fn(&mut Call<'_>, &[&[u8]]) -> Reply;

/// When MONITOR shows a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// When it has run.
    After,
    /// Before it runs: before the commands that it runs itself.
    Before,
    Never,
}

/// One command, or one subcommand of a command.
pub(super) struct Command {
    /// As error messages have it: `get`, `client|id`.
    pub(super) name: &'static str,
    /// The number of words, name included; if negative, the least number.
    arity: isize,
    /// Whether it runs at once even between MULTI and EXEC.
    pub(super) immediate: bool,
    /// Whether a script may call it.
    pub(super) scriptable: bool,
    /// Whether it may change keys, or send messages: a read-only script must not call it.
    pub(super) writes: bool,
    /// Whether a client of the old protocol may use it while it listens to something.
    pub(super) to_listeners: bool,
    pub(super) shown: Shown,
    pub(super) run: CommandFn,
    subcommands: &'static [Command],
    /// See [`sort_key`].
    key: u128,
    /// The length of the name, of a subcommand's without its container's.
    len: usize,
}

const fn command(name: &'static str, arity: isize, run: CommandFn) -> Command {
    let (key, len) = sort_key(name.as_bytes());
    let (immediate, scriptable, writes, to_listeners) = (false, true, false, false);
    let (shown, subcommands) = (Shown::After, &[]);
    Command {
        name,
        arity,
        immediate,
        scriptable,
        writes,
        to_listeners,
        shown,
        run,
        subcommands,
        key,
        len,
    }
}

const fn write(name: &'static str, arity: isize, run: CommandFn) -> Command {
    Command { writes: true, ..command(name, arity, run) }
}

/// A command that no script may call.
const fn private(name: &'static str, arity: isize, run: CommandFn) -> Command {
    Command { scriptable: false, ..command(name, arity, run) }
}

const fn immediate(name: &'static str, arity: isize, run: CommandFn) -> Command {
    Command { immediate: true, ..private(name, arity, run) }
}

const fn to_listeners(command: Command) -> Command {
    Command { to_listeners: true, ..command }
}

/// A command that runs others.
const fn script(name: &'static str, run: CommandFn) -> Command {
    Command { shown: Shown::Before, ..private(name, -3, run) }
}

/// A command of administration.
const fn admin(name: &'static str, arity: isize, run: CommandFn) -> Command {
    Command { shown: Shown::Never, ..private(name, arity, run) }
}

/// A command that on a real server may wait. Scripts must not.
const fn waiting(name: &'static str, arity: isize, run: CommandFn) -> Command {
    Command { scriptable: false, ..write(name, arity, run) }
}

/// A command that does nothing without a subcommand, and has too few words then.
const fn container(name: &'static str, subcommands: &'static [Command]) -> Command {
    Command { subcommands, ..command(name, -2, |_, _| Err(Error::Syntax)) }
}

/// All commands, sorted by name.
static COMMANDS: &[Command] = &[
    private("auth", -2, connection::auth),
    waiting("blmove", 6, lists::blmove),
    waiting("blpop", -3, |call, args| lists::pop_first(call, args, Left)),
    waiting("brpop", -3, |call, args| lists::pop_first(call, args, Right)),
    waiting("brpoplpush", 4, lists::brpoplpush),
    waiting("bzpopmax", -3, |call, args| sorted_sets::pop_first(call, args, true)),
    waiting("bzpopmin", -3, |call, args| sorted_sets::pop_first(call, args, false)),
    container("client", CLIENT),
    Command { subcommands: COMMAND, ..command("command", -1, server::command) },
    container("config", CONFIG),
    write("copy", -3, keys::copy),
    command("dbsize", 1, server::dbsize),
    write("decr", 2, |call, args| strings::add(call, args, -1)),
    write("decrby", 3, strings::decrby),
    write("del", -2, keys::del),
    write("delex", -2, conditional::delex),
    write("delifeq", 3, conditional::delifeq),
    command("digest", 2, conditional::digest),
    immediate("discard", 1, transactions::discard),
    command("echo", 2, connection::echo),
    script("eval", |call, args| scripts::eval(call, args, Access::Any)),
    script("evalsha", |call, args| scripts::evalsha(call, args, Access::Any)),
    script("evalsha_ro", |call, args| scripts::evalsha(call, args, Access::ReadOnly)),
    script("eval_ro", |call, args| scripts::eval(call, args, Access::ReadOnly)),
    immediate("exec", 1, transactions::exec),
    command("exists", -2, keys::exists),
    write("expire", -3, |call, args| expiry::set_deadline(call, args, "expire", Unit::Seconds)),
    write("expireat", -3, |call, args| {
        expiry::set_deadline(call, args, "expireat", Unit::SecondsSince1970)
    }),
    command("expiretime", 2, expiry::expiretime),
    write("flushall", -1, server::flushall),
    write("flushdb", -1, server::flushdb),
    command("get", 2, strings::get),
    write("getdel", 2, strings::getdel),
    write("getex", -2, strings::getex),
    command("getrange", 4, strings::getrange),
    write("getset", 3, strings::getset),
    write("hdel", -3, hashes::hdel),
    private("hello", -1, connection::hello),
    command("hexists", 3, hashes::hexists),
    command("hget", 3, hashes::hget),
    command("hgetall", 2, hashes::hgetall),
    write("hincrby", 4, hashes::hincrby),
    write("hincrbyfloat", 4, hashes::hincrbyfloat),
    command("hkeys", 2, hashes::hkeys),
    command("hlen", 2, hashes::hlen),
    command("hmget", -3, hashes::hmget),
    write("hmset", -4, hashes::hmset),
    command("hscan", -3, hashes::hscan),
    write("hset", -4, hashes::hset),
    write("hsetnx", 4, hashes::hsetnx),
    command("hstrlen", 3, hashes::hstrlen),
    command("hvals", 2, hashes::hvals),
    write("incr", 2, |call, args| strings::add(call, args, 1)),
    write("incrby", 3, strings::incrby),
    write("incrbyfloat", 3, strings::incrbyfloat),
    command("info", -1, server::info),
    command("keys", 2, keys::keys),
    command("lindex", 3, lists::lindex),
    write("linsert", 5, lists::linsert),
    command("llen", 2, lists::llen),
    write("lmove", 5, lists::lmove),
    write("lpop", -2, |call, args| lists::pop(call, args, Left, "lpop")),
    command("lpos", -3, lists::lpos),
    write("lpush", -3, |call, args| lists::push(call, args, Left)),
    write("lpushx", -3, |call, args| lists::push_more(call, args, Left)),
    command("lrange", 4, lists::lrange),
    write("lrem", 4, lists::lrem),
    write("lset", 4, lists::lset),
    write("ltrim", 4, lists::ltrim),
    command("mget", -2, strings::mget),
    admin("monitor", 1, pubsub::monitor),
    write("mset", -3, strings::mset),
    write("msetnx", -3, strings::msetnx),
    immediate("multi", 1, transactions::multi),
    write("persist", 2, expiry::persist),
    write("pexpire", -3, |call, args| expiry::set_deadline(call, args, "pexpire", Unit::Millis)),
    write("pexpireat", -3, |call, args| {
        expiry::set_deadline(call, args, "pexpireat", Unit::MillisSince1970)
    }),
    command("pexpiretime", 2, expiry::pexpiretime),
    to_listeners(command("ping", -1, connection::ping)),
    write("psetex", 4, |call, args| strings::set_for(call, args, "psetex", Unit::Millis)),
    to_listeners(private("psubscribe", -2, |call, names| pubsub::begin(call, names, Pattern))),
    command("pttl", 2, expiry::pttl),
    write("publish", 3, |call, args| pubsub::publish(call, args, false)),
    to_listeners(private("punsubscribe", -1, |call, names| pubsub::end(call, names, Pattern))),
    to_listeners(immediate("quit", -1, connection::quit)),
    write("rename", 3, keys::rename),
    write("renamenx", 3, keys::renamenx),
    to_listeners(immediate("reset", 1, connection::reset)),
    private("role", 1, server::role),
    write("rpop", -2, |call, args| lists::pop(call, args, Right, "rpop")),
    write("rpoplpush", 3, lists::rpoplpush),
    write("rpush", -3, |call, args| lists::push(call, args, Right)),
    write("rpushx", -3, |call, args| lists::push_more(call, args, Right)),
    write("sadd", -3, sets::sadd),
    command("scan", -2, keys::scan),
    command("scard", 2, sets::scard),
    container("script", SCRIPT),
    command("sdiff", -2, |call, keys| sets::combine(call, keys, |set, next| set - next)),
    command("select", 2, connection::select),
    write("set", -3, strings::set),
    write("setex", 4, |call, args| strings::set_for(call, args, "setex", Unit::Seconds)),
    write("setnx", 3, strings::setnx),
    command("sinter", -2, |call, keys| sets::combine(call, keys, |set, next| set & next)),
    command("sismember", 3, sets::sismember),
    command("smembers", 2, sets::smembers),
    command("smismember", -3, sets::smismember),
    write("spop", -2, sets::spop),
    write("spublish", 3, |call, args| pubsub::publish(call, args, true)),
    command("srandmember", -2, sets::srandmember),
    write("srem", -3, sets::srem),
    to_listeners(private("ssubscribe", -2, |call, names| pubsub::begin(call, names, Shard))),
    command("strlen", 2, strings::strlen),
    to_listeners(private("subscribe", -2, |call, names| pubsub::begin(call, names, Channel))),
    command("substr", 4, strings::getrange),
    command("sunion", -2, |call, keys| sets::combine(call, keys, |set, next| set | next)),
    to_listeners(private("sunsubscribe", -1, |call, names| pubsub::end(call, names, Shard))),
    command("time", 1, server::time),
    command("touch", -2, keys::exists),
    command("ttl", 2, expiry::ttl),
    command("type", 2, keys::kind),
    write("unlink", -2, keys::del),
    to_listeners(private("unsubscribe", -1, |call, names| pubsub::end(call, names, Channel))),
    private("unwatch", 1, transactions::unwatch),
    private("wait", 3, server::wait),
    immediate("watch", -2, transactions::watch),
    write("zadd", -4, sorted_sets::zadd),
    command("zcard", 2, sorted_sets::zcard),
    command("zcount", 4, ranges::zcount),
    write("zincrby", 4, sorted_sets::zincrby),
    command("zmscore", -3, sorted_sets::zmscore),
    write("zpopmax", -2, |call, args| sorted_sets::pop(call, args, true)),
    write("zpopmin", -2, |call, args| sorted_sets::pop(call, args, false)),
    command("zrange", -4, |call, args| ranges::range(call, args, None, None)),
    command("zrangebyscore", -4, |call, args| ranges::range(call, args, Some(true), Some(false))),
    command("zrank", 3, |call, args| sorted_sets::rank(call, args, false)),
    write("zrem", -3, sorted_sets::zrem),
    write("zremrangebyrank", 4, |call, args| ranges::remove(call, args, false)),
    write("zremrangebyscore", 4, |call, args| ranges::remove(call, args, true)),
    command("zrevrange", -4, |call, args| ranges::range(call, args, Some(false), Some(true))),
    command("zrevrangebyscore", -4, |call, args| ranges::range(call, args, Some(true), Some(true))),
    command("zrevrank", 3, |call, args| sorted_sets::rank(call, args, true)),
    command("zscore", 3, sorted_sets::zscore),
];

static CLIENT: &[Command] = &[
    private("client|getname", 2, connection::client_getname),
    private("client|id", 2, connection::client_id),
    private("client|setname", 3, connection::client_setname),
];

static COMMAND: &[Command] = &[
    command("command|count", 2, server::command_count),
    command("command|docs", -2, server::command_docs),
    command("command|info", -2, server::command_info),
];

static CONFIG: &[Command] =
    &[admin("config|get", -3, server::config_get), admin("config|set", -4, server::config_set)];

static SCRIPT: &[Command] = &[
    private("script|exists", -3, scripts::exists),
    private("script|flush", -2, scripts::flush),
    private("script|kill", 2, scripts::kill),
    private("script|load", 3, scripts::load),
];

/// The command that a request names, and its arguments; or why Redis would refuse it unseen.
pub(super) fn find<'r, 'a>(
    argv: &'r [&'a [u8]],
) -> Result<(&'static Command, &'r [&'a [u8]]), Error> {
    let (name, args) = argv.split_first().ok_or(Error::Syntax)?;
    let command = by_name(COMMANDS, name).ok_or_else(|| unknown(name, args))?;
    let (command, args) = match args.split_first() {
        Some((sub, rest)) if !command.subcommands.is_empty() => {
            let found = by_name(command.subcommands, sub).ok_or_else(|| {
                let container = command.name.to_ascii_uppercase();
                Error::UnknownSubcommand { name: quoted(sub, 128), container }
            })?;
            (found, rest)
        }
        _ => (command, args),
    };
    let fits = if command.arity < 0 {
        argv.len() >= command.arity.unsigned_abs()
    } else {
        argv.len() == command.arity.unsigned_abs()
    };
    if fits { Ok((command, args)) } else { Err(Error::Arity(command.name)) }
}

/// Whether a request is known to change nothing: no key, and nothing about its connection.
pub fn only_reads(request: &[&[u8]]) -> bool {
    let found = find(request);
    found.is_ok_and(|(command, _)| command.scriptable && !command.writes)
}

fn by_name(table: &'static [Command], name: &[u8]) -> Option<&'static Command> {
    let (key, _) = sort_key(name);
    let found = table.binary_search_by_key(&key, |command| command.key).ok()?;
    // The key does not distinguish a NUL from nothing, and stops at sixteen bytes; a bar is in no
    // own name.
    table.get(found).filter(|command| command.len == name.len())
}

/// The first sixteen letters of a name in upper case as one number, which sorts as the letters do and
/// compares in one step; and the name's length. Of a subcommand's, only what follows the bar counts.
#[expect(clippy::indexing_slicing, reason = "bounded by the conditions; a const fn has no get")]
const fn sort_key(name: &[u8]) -> (u128, usize) {
    let mut key = [0; 16];
    let (mut from, mut len) = (0, 0);
    while from < name.len() {
        if name[from] == b'|' {
            (key, len) = ([0; 16], 0);
        } else {
            if len < key.len() {
                key[len] = name[from].to_ascii_uppercase();
            }
            len += 1;
        }
        from += 1;
    }
    (u128::from_be_bytes(key), len)
}

fn unknown(name: &[u8], args: &[&[u8]]) -> Error {
    let mut list = String::new();
    for arg in args {
        let Some(room) = 128usize.checked_sub(list.len()).filter(|&room| room > 0) else { break };
        list.push('\'');
        list.push_str(&quoted(arg, room));
        list.push_str("' ");
    }
    Error::UnknownCommand { name: quoted(name, 128), args: list }
}

/// Whether an argument is this word, in any case.
fn is(argument: &[u8], word: &str) -> bool {
    argument.eq_ignore_ascii_case(word.as_bytes())
}

fn bulk(bytes: &[u8]) -> Value {
    Value::BulkString(bytes.to_vec())
}

/// Pairs as the client's protocol version has them: a map, or a flat list.
fn map(call: &Call<'_>, pairs: impl IntoIterator<Item = (Value, Value)>) -> Value {
    let pairs = pairs.into_iter();
    if call.session.resp3 {
        Value::Map(pairs.collect())
    } else {
        Value::Array(pairs.flat_map(|(name, value)| [name, value]).collect())
    }
}

fn count(number: usize) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

/// A yes or no as Redis answers it.
fn flag(yes: bool) -> Value {
    Value::Int(yes.into())
}

fn integer(argument: &[u8]) -> Result<i64, Error> {
    super::resp::integer(argument).ok_or(Error::NotAnInteger)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_sorted_and_every_name_is_found_in_any_case() {
        for table in [COMMANDS, CLIENT, COMMAND, CONFIG, SCRIPT] {
            assert!(table.is_sorted_by(|a, b| a.key < b.key));
            for command in table {
                let name = command.name.rsplit('|').next().unwrap();
                for name in [name.to_owned(), name.to_ascii_uppercase()] {
                    let found = by_name(table, name.as_bytes()).unwrap();
                    assert_eq!(found.name, command.name);
                }
            }
        }
    }

    #[test]
    fn a_name_with_other_characters_is_not_found() {
        for name in
            ["get\0", "\0get", "", "ge", "client|id", "|get", "x|get", "pexpiretimepexpiretime"]
        {
            assert!(by_name(COMMANDS, name.as_bytes()).is_none(), "{name:?}");
        }
    }
}
