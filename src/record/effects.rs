//! What a command may do to keys, read from its arguments alone: MONITOR shows no replies.

mod members;

pub(super) use members::{Field, Kind, MemberAct, Only};

use super::commands::{Reach, reach};
use super::key::When;
use members::{Parsed, member_act};

/// What a command may do to one key.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Act {
    /// Write the value if the key is free.
    Take {
        /// The value.
        value: Vec<u8>,
        /// How long it stays.
        until: Until,
    },
    /// Write the value without regard to the holder.
    Put {
        /// The value.
        value: Vec<u8>,
        /// How long it stays.
        until: Until,
        /// Only if the key is not free.
        only_if_held: bool,
    },
    /// Read the value.
    Read,
    /// Read the value by a command that then changes it, whatever it is.
    Fetch,
    /// Delete the key.
    Delete,
    /// Set the end of the lease.
    Expire(Until),
    /// Something with members of the key: the name of the command, and what it does.
    Members(String, MemberAct),
    /// Something that is not followed: the name of the command.
    Unknown(String),
}

/// When a lease expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// Never.
    Forever,
    /// When it did before.
    AsBefore,
    /// This number of milliseconds from now.
    In(i64),
    /// At this time, in milliseconds since 1970.
    At(i64),
    /// When another lease expires.
    With(When),
}

/// What a command may do to which keys, in its order.
pub(super) fn acts(arguments: &[Vec<u8>]) -> Vec<(&[u8], Act)> {
    let Some((name, rest)) = arguments.split_first() else { return Vec::new() };
    let name = String::from_utf8_lossy(name).to_ascii_uppercase();
    match (name.as_str(), rest) {
        ("SET", [key, value, options @ ..]) => one(key, set(value, options)),
        ("SETNX", [key, value]) => {
            one(key, Some(Act::Take { value: value.clone(), until: Until::Forever }))
        }
        ("SETEX" | "PSETEX", [key, time, value]) => {
            let unit: &[u8] = if name == "SETEX" { b"EX" } else { b"PX" };
            one(key, end(unit, time).filter(Until::is_to_come).map(|until| put(value, until)))
        }
        ("GETSET", [key, value]) => vec![(key, Act::Fetch), (key, put(value, Until::Forever))],
        ("MSET", pairs) if pairs.len().is_multiple_of(2) => {
            let pairs = pairs.chunks_exact(2).filter_map(|pair| match pair {
                [key, value] => Some((key.as_slice(), put(value, Until::Forever))),
                _ => None,
            });
            pairs.collect()
        }
        ("MSET", _) => Vec::new(),
        ("GET", [key]) => one(key, Some(Act::Read)),
        ("MGET", keys) => keys.iter().map(|key| (key.as_slice(), Act::Read)).collect(),
        ("DEL" | "UNLINK", keys) => keys.iter().map(|key| (key.as_slice(), Act::Delete)).collect(),
        // With a condition it is not followed: MONITOR does not show whether that was met.
        ("DELEX", [key]) => one(key, Some(Act::Delete)),
        ("GETDEL", [key]) => vec![(key, Act::Fetch), (key, Act::Delete)],
        ("PERSIST", [key]) => one(key, Some(Act::Expire(Until::Forever))),
        ("EXPIRE" | "PEXPIRE" | "EXPIREAT" | "PEXPIREAT", [key, time, conditions @ ..]) => {
            one(key, expire(&name, time, conditions))
        }
        ("GETEX", [key]) => one(key, Some(Act::Read)),
        ("GETEX", [key, unit]) if unit.eq_ignore_ascii_case(b"PERSIST") => {
            vec![(key, Act::Fetch), (key, Act::Expire(Until::Forever))]
        }
        ("GETEX", [key, unit, time]) => {
            let until = end(&unit.to_ascii_uppercase(), time).filter(Until::is_to_come);
            let acts = until.map(|until| vec![(&**key, Act::Fetch), (&**key, Act::Expire(until))]);
            acts.unwrap_or_default()
        }
        ("GETEX", _) => Vec::new(),
        ("COPY", [_, to, options @ ..]) => {
            one(to, copies(options).then(|| Act::Unknown(name.clone())))
        }
        (_, rest) => {
            if let Some((key, arguments)) = rest.split_first() {
                match member_act(&name, arguments) {
                    Parsed::Followed(act) => return one(key, Some(Act::Members(name, act))),
                    Parsed::Refused => return Vec::new(),
                    Parsed::Unknown => {}
                }
            }
            let changed = match reach(&name) {
                Reach::NoKey => &[],
                Reach::FirstKey => rest.get(..1).unwrap_or_default(),
                Reach::TwoKeys => rest.get(..2).unwrap_or_default(),
                Reach::AnyArgument => rest,
            };
            changed.iter().map(|key| (key.as_slice(), Act::Unknown(name.clone()))).collect()
        }
    }
}

fn one(key: &[u8], act: Option<Act>) -> Vec<(&[u8], Act)> {
    act.map(|act| (key, act)).into_iter().collect()
}

fn put(value: &[u8], until: Until) -> Act {
    Act::Put { value: value.into(), until, only_if_held: false }
}

/// What SET does with these options; nothing if Redis refuses them.
fn set(value: &[u8], mut options: &[Vec<u8>]) -> Option<Act> {
    let (mut unit, mut until) = (None, Until::Forever);
    let (mut nx, mut xx, mut is_conditional) = (false, false, false);
    while let [option, rest @ ..] = options {
        options = rest;
        let option = option.to_ascii_uppercase();
        match option.as_slice() {
            b"NX" => nx = true,
            b"XX" => xx = true,
            b"GET" => {}
            // The same unit may come again; two of them may not.
            _ if unit.as_ref().is_some_and(|unit| *unit != option) && is_lease(&option) => {
                return None;
            }
            b"KEEPTTL" => (unit, until) = (Some(option), Until::AsBefore),
            name if UNITS.contains(&name) => {
                let [time, rest @ ..] = options else { return None };
                options = rest;
                until = end(name, time).filter(Until::is_to_come)?;
                unit = Some(option);
            }
            name if COMPARISONS.contains(&name) => {
                let [_, rest @ ..] = options else { return None };
                (options, is_conditional) = (rest, true);
            }
            _ => return None,
        }
    }
    if is_conditional {
        return Some(Act::Unknown("SET".into()));
    }
    let value = value.to_vec();
    match (nx, xx) {
        (true, true) => None,
        (true, false) => Some(Act::Take { value, until }),
        (false, only_if_held) => Some(Act::Put { value, until, only_if_held }),
    }
}

/// The options of SET that name a lease.
const UNITS: [&[u8]; 4] = [b"EX", b"PX", b"EXAT", b"PXAT"];

/// Whether an option of SET is about the lease.
fn is_lease(option: &[u8]) -> bool {
    option == b"KEEPTTL" || UNITS.contains(&option)
}

/// Those of Redis 8.4 and Valkey 8.1 that name a value to compare with.
const COMPARISONS: [&[u8]; 4] = [b"IFEQ", b"IFNE", b"IFDEQ", b"IFDNE"];

/// Added to a longer time, the server's clock gives a number that is too large: this is near the year 2100.
const LONGEST: i64 = i64::MAX - 4_102_444_800_000;

/// The end of a lease in one of the units that Redis knows; nothing if it refuses the time.
fn end(unit: &[u8], time: &[u8]) -> Option<Until> {
    let time = number(time)?;
    let milliseconds = match unit {
        b"EX" | b"EXAT" => time.checked_mul(1000)?,
        _ => time,
    };
    Some(match unit {
        b"EX" | b"PX" if milliseconds > LONGEST => return None,
        b"EX" | b"PX" => Until::In(milliseconds),
        b"EXAT" | b"PXAT" => Until::At(milliseconds),
        _ => return None,
    })
}

/// A number as Redis reads it: without a plus sign, spaces or leading zeros.
fn number(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    text.parse().ok().filter(|number: &i64| number.to_string() == text)
}

/// What EXPIRE and its kin do; nothing if Redis refuses them.
fn expire(name: &str, time: &[u8], conditions: &[Vec<u8>]) -> Option<Act> {
    let until = end(unit_of(name), time).filter(|_| are_conditions(conditions))?;
    Some(match conditions {
        [] => Act::Expire(until),
        _ => Act::Unknown(name.to_owned()),
    })
}

/// The unit of the time that a command sets.
fn unit_of(command: &str) -> &'static [u8] {
    match command {
        "EXPIRE" => b"EX",
        "PEXPIRE" => b"PX",
        "EXPIREAT" => b"EXAT",
        _ => b"PXAT",
    }
}

/// Whether Redis takes these for conditions of EXPIRE.
fn are_conditions(options: &[Vec<u8>]) -> bool {
    let has = |name: &[u8]| options.iter().any(|option| option.eq_ignore_ascii_case(name));
    let is_known = |option: &Vec<u8>| {
        [&b"NX"[..], b"XX", b"GT", b"LT"].iter().any(|it| option.eq_ignore_ascii_case(it))
    };
    let contradict =
        has(b"NX") && (has(b"XX") || has(b"GT") || has(b"LT")) || has(b"GT") && has(b"LT");
    options.iter().all(is_known) && !contradict
}

/// Whether Redis takes these for options of COPY.
fn copies(mut options: &[Vec<u8>]) -> bool {
    loop {
        options = match options {
            [] => return true,
            [word, rest @ ..] if word.eq_ignore_ascii_case(b"REPLACE") => rest,
            [word, database, rest @ ..] if word.eq_ignore_ascii_case(b"DB") => {
                if number(database).is_none_or(|database| database < 0) {
                    return false;
                }
                rest
            }
            _ => return false,
        };
    }
}

/// Commands that show a client what a key holds, and are not followed as reads of it.
const SHOWS: &str = "DUMP GETDEL GETEX GETRANGE GETSET HGETALL HMGET HRANDFIELD HSCAN HVALS LCS SORT SORT_RO SUBSTR";

/// The key of a command that shows its client what that holds, though it is not followed as a read.
pub(super) fn shown_key(arguments: &[Vec<u8>]) -> Option<&[u8]> {
    let [name, key, rest @ ..] = arguments else { return None };
    let name = String::from_utf8_lossy(name).to_ascii_uppercase();
    let shows = SHOWS.split(' ').any(|other| other == name)
        || name == "SET" && rest.iter().skip(1).any(|word| word.eq_ignore_ascii_case(b"GET"));
    shows.then_some(key)
}

/// Commands for lists, sets, geographic indexes and streams.
const NOT_FOR_STRINGS: &str = "\
    BLMOVE BRPOPLPUSH GEOADD HDEL HINCRBYFLOAT HPERSIST HPEXPIRE HPEXPIREAT HEXPIRE HEXPIREAT HGETDEL HGETEX HSETEX \
    LINSERT LMOVE LPOP LPUSH LPUSHX LREM LSET LTRIM RPOP RPOPLPUSH RPUSH RPUSHX SMOVE SPOP XACK XADD XAUTOCLAIM XCLAIM \
    XDEL XSETID XTRIM ZINCRBY ZPOPMAX ZPOPMIN ZREMRANGEBYLEX ZREMRANGEBYRANK";

impl Act {
    /// Whether Redis refuses it where the key holds this string.
    pub fn is_wrong_for(&self, value: &str) -> bool {
        let is_number = |text: &str| text.parse::<f64>().is_ok();
        match self {
            Act::Members(..) => true,
            Act::Unknown(name) => match name.as_str() {
                "INCR" | "DECR" | "INCRBY" | "DECRBY" | "INCRBYFLOAT" => !is_number(value),
                name => NOT_FOR_STRINGS.split(' ').any(|other| other == name),
            },
            _ => false,
        }
    }

    /// Whether it changes nothing.
    pub fn is_read(&self) -> bool {
        use MemberAct::{List, Read, Size};
        matches!(self, Act::Read | Act::Members(_, Read { .. } | List | Size))
    }
}

impl Until {
    /// The end of a lease that is set now, in place of one that ends then.
    pub fn when(self, now: When, before: Option<When>) -> Option<When> {
        match self {
            Until::Forever => None,
            Until::AsBefore => before,
            Until::In(milliseconds) => Some(now.plus(milliseconds)),
            Until::At(time) => Some(When::exactly(time)),
            Until::With(when) => Some(when),
        }
    }

    /// Whether setting it deletes the key at once.
    pub fn is_over(self, now: When) -> bool {
        match self {
            Until::In(milliseconds) => milliseconds <= 0,
            Until::At(time) => time <= now.nominal,
            Until::Forever | Until::AsBefore | Until::With(_) => false,
        }
    }

    /// The lease in nanoseconds from now.
    pub fn lease(self, now: When) -> Option<u64> {
        let milliseconds = match self {
            Until::Forever | Until::AsBefore => return None,
            Until::In(milliseconds) => milliseconds,
            Until::At(time) | Until::With(When { nominal: time, .. }) => {
                time.saturating_sub(now.nominal)
            }
        };
        Some(u64::try_from(milliseconds).unwrap_or(0).saturating_mul(1_000_000))
    }

    /// Whether Redis takes it for the lease of a new value.
    fn is_to_come(&self) -> bool {
        !matches!(self, Until::In(time) | Until::At(time) if *time <= 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(command: &str) -> Vec<(String, Act)> {
        let words: Vec<Vec<u8>> = command.split(' ').map(|word| word.into()).collect();
        let acts = acts(&words).into_iter();
        acts.map(|(key, act)| (String::from_utf8_lossy(key).into_owned(), act)).collect()
    }

    fn take(until: Until) -> Vec<(String, Act)> {
        vec![("k".into(), Act::Take { value: b"v".into(), until })]
    }

    fn put(until: Until, only_if_held: bool) -> Vec<(String, Act)> {
        vec![("k".into(), Act::Put { value: b"v".into(), until, only_if_held })]
    }

    #[test]
    fn options_of_set_come_in_any_order_and_case() {
        assert_eq!(read("SET k v"), put(Until::Forever, false));
        assert_eq!(read("set k v ex 5 nx"), take(Until::In(5000)));
        assert_eq!(read("SET k v NX PX 5"), take(Until::In(5)));
        assert_eq!(read("SET k v PXAT 5 GET nX"), take(Until::At(5)));
        assert_eq!(read("SET k v EXAT 5 XX"), put(Until::At(5000), true));
        assert_eq!(read("SET k v KEEPTTL"), put(Until::AsBefore, false));
        assert_eq!(read("SET k v EX 5 NX EX 6"), take(Until::In(6000)));
        assert_eq!(read("SETNX k v"), take(Until::Forever));
        assert_eq!(read("SETEX k 2 v"), put(Until::In(2000), false));
        assert_eq!(read("PSETEX k 2 v"), put(Until::In(2), false));
    }

    #[test]
    fn what_redis_refuses_does_nothing() {
        for command in [
            "SET k v NX XX",
            "SET k v EX",
            "SET k v EX 0",
            "SET k v PX -5",
            "SET k v EX 5 PX 5",
            "SET k v EX 5 KEEPTTL",
            "SET k v EX x",
            "SET k v PX +5",
            "SET k v PX 05",
            "SET k v NOW",
            "SETEX k 0 v",
            "PSETEX k 9223372036854775807 v",
            "MSET k v l",
            "GETEX k PX 0",
            "GETEX k EX -1",
            "GETEX k EXAT 0",
            "GETEX k PX 5 PERSIST",
            "GETEX k EX x",
            "EXPIRE k 9223372036854775807",
            "EXPIRE k -9223372036854775808",
            "PEXPIRE k 9223372036854775807",
            "PEXPIRE k 1.5",
            "EXPIRE k 5 NOW",
            "EXPIRE k 5 NX XX",
            "EXPIRE k 5 gt LT",
            "EXPIRE k x NX",
            "COPY a k DB x",
            "COPY a k NOW",
            "HINCRBY k f 1.5",
            "HSET k f",
            "ZADD k x m",
            "ZADD k 1 m 2",
            "ZADD k NX XX 1 m",
            "ZADD k GT LT 1 m",
            "ZADD k INCR 1 m 2 n",
            "ZREMRANGEBYSCORE k a b",
            "PING",
        ] {
            assert_eq!(read(command), [], "{command}");
        }
    }

    #[test]
    fn a_command_may_concern_several_keys() {
        let keys = |acts: Vec<(String, Act)>| {
            acts.into_iter().map(|(key, act)| (key, format!("{act:?}"))).collect::<Vec<_>>()
        };
        let delete = |key: &str| (key.to_owned(), "Delete".to_owned());
        assert_eq!(keys(read("DEL a b")), [delete("a"), delete("b")]);
        assert_eq!(keys(read("unlink a")), [delete("a")]);
        assert_eq!(keys(read("delex a")), [delete("a")]);
        assert_eq!(read("MSET a 1 b 2").len(), 2);
        assert_eq!(read("GETDEL a").len(), 2);
        assert_eq!(read("GETEX a EX 5").len(), 2);
        assert_eq!(read("EXPIRE k 5"), [("k".into(), Act::Expire(Until::In(5000)))]);
        let ends = Act::Expire(Until::In(i64::MIN));
        assert_eq!(read("PEXPIRE k -9223372036854775808"), [("k".into(), ends)]);
    }

    #[test]
    fn what_is_not_followed_is_named() {
        let unknown = |keys: &[&str], name: &str| -> Vec<(String, Act)> {
            keys.iter().map(|key| ((*key).to_owned(), Act::Unknown(name.into()))).collect()
        };
        for (command, keys, name) in [
            ("EXPIRE k 5 NX", &["k"][..], "EXPIRE"),
            ("SET k v IFEQ w", &["k"], "SET"),
            ("SET k v PX 5 IFNE w", &["k"], "SET"),
            ("DELEX k IFEQ v", &["k"], "DELEX"),
            ("DELIFEQ k v", &["k"], "DELIFEQ"),
            ("ZADD k GT 1 m", &["k"], "ZADD"),
            ("SPOP k", &["k"], "SPOP"),
            ("RESTORE k 0 x", &["k"], "RESTORE"),
            ("COPY a k", &["k"], "COPY"),
            ("RENAME a k", &["a", "k"], "RENAME"),
            ("ZUNIONSTORE k 1 a", &["k", "1", "a"], "ZUNIONSTORE"),
            ("SMOVE a b k", &["a", "b"], "SMOVE"),
            ("JSON.SET k $ v", &["k", "$", "v"], "JSON.SET"),
            ("HLEN k", &[], ""),
            ("PUBLISH k message", &[], ""),
        ] {
            assert_eq!(read(command), unknown(keys, name), "{command}");
        }
    }
}
