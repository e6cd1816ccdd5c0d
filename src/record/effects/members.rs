//! What commands do to the fields of hashes and to the members of sets and sorted sets.

use super::number;
use std::ops::Bound;

/// The type of a key whose members are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::record) enum Kind {
    /// A hash, by its fields.
    Hash,
    /// A hash of which each field is a holder.
    Sharers,
    /// A set.
    Set,
    /// A sorted set.
    Sorted,
}

/// A field of a hash with its value.
pub(in crate::record) type Field = (Vec<u8>, Vec<u8>);

/// What a command does to members of a key.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::record) enum MemberAct {
    /// Add to the number in a field of a hash.
    Count {
        /// The field.
        field: Vec<u8>,
        /// What is added.
        by: i64,
    },
    /// Write fields of a hash.
    Fields {
        /// Each with its value.
        pairs: Vec<Field>,
        /// Only if the field is free.
        if_free: bool,
    },
    /// Add members to a set.
    Add {
        /// The members.
        members: Vec<Vec<u8>>,
    },
    /// Add members to a sorted set, or change their scores.
    Score {
        /// Each with its score.
        members: Vec<(Vec<u8>, f64)>,
        /// Only those that are not there, or only those that are.
        only: Option<Only>,
    },
    /// Remove fields or members.
    Remove {
        /// Of a key of this type.
        kind: Kind,
        /// These.
        members: Vec<Vec<u8>>,
    },
    /// Remove the members of a sorted set with scores from one to another.
    RemoveScores(Bound<f64>, Bound<f64>),
    /// Read all members of a key.
    List,
    /// Count the members of a key.
    Size,
    /// Read a field or member.
    Read {
        /// Of a key of this type.
        kind: Kind,
        /// Which one.
        member: Vec<u8>,
    },
}

/// A condition of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::record) enum Only {
    /// Only members that are not there.
    Absent,
    /// Only members that are there.
    Present,
}

/// What is known of a command.
#[derive(Debug, PartialEq)]
pub(super) enum Parsed {
    /// What it does to members.
    Followed(MemberAct),
    /// Redis refuses it.
    Refused,
    /// It is none of these commands, or has options that are not followed.
    Unknown,
}

/// What a command with this name, in capitals, does to members of its first key.
pub(super) fn member_act(name: &str, arguments: &[Vec<u8>]) -> Parsed {
    match followed(name, arguments) {
        Some(act) => Parsed::Followed(act),
        None if is_refused(name, arguments) => Parsed::Refused,
        None => Parsed::Unknown,
    }
}

/// Whether Redis refuses a command that is not followed.
fn is_refused(name: &str, arguments: &[Vec<u8>]) -> bool {
    match (name, arguments) {
        ("HINCRBY", [_, by]) => number(by).is_none(),
        ("HSET" | "HMSET", pairs) => !pairs.len().is_multiple_of(2),
        ("ZADD", arguments) => refuses_scores(arguments),
        ("ZREMRANGEBYSCORE", [low, high]) => {
            [low, high].iter().any(|text| !is_number(text.strip_prefix(b"(").unwrap_or(text)))
        }
        _ => false,
    }
}

/// Whether ZADD fails with these arguments.
fn refuses_scores(mut arguments: &[Vec<u8>]) -> bool {
    let mut options = Vec::new();
    while let [option, rest @ ..] = arguments {
        let option = option.to_ascii_uppercase();
        if ![&b"NX"[..], b"XX", b"GT", b"LT", b"CH", b"INCR"].contains(&option.as_slice()) {
            break;
        }
        options.push(option);
        arguments = rest;
    }
    let has = |name: &[u8]| options.iter().any(|option| option == name);
    let pairs = arguments.chunks_exact(2);
    arguments.is_empty()
        || !pairs.remainder().is_empty()
        || pairs.clone().any(|pair| pair.first().is_some_and(|score| !is_number(score)))
        || has(b"NX") && (has(b"XX") || has(b"GT") || has(b"LT"))
        || has(b"GT") && has(b"LT")
        || has(b"INCR") && arguments.len() > 2
}

/// Whether Redis may read this as a number: it also reads hexadecimal ones.
fn is_number(text: &[u8]) -> bool {
    let unsigned = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    float(text).is_some() || unsigned.get(..2).is_some_and(|it| it.eq_ignore_ascii_case(b"0x"))
}

fn followed(name: &str, arguments: &[Vec<u8>]) -> Option<MemberAct> {
    Some(match (name, arguments) {
        ("HINCRBY", [field, by]) => MemberAct::Count { field: field.clone(), by: number(by)? },
        ("HSETNX", [field, value]) => {
            MemberAct::Fields { pairs: vec![(field.clone(), value.clone())], if_free: true }
        }
        ("HSET" | "HMSET", pairs) if !pairs.is_empty() && pairs.len().is_multiple_of(2) => {
            let pairs = pairs.chunks_exact(2).filter_map(|pair| match pair {
                [field, value] => Some((field.clone(), value.clone())),
                _ => None,
            });
            MemberAct::Fields { pairs: pairs.collect(), if_free: false }
        }
        ("SADD", [_, ..]) => MemberAct::Add { members: arguments.to_vec() },
        ("ZADD", _) => scored(arguments)?,
        ("HDEL", [_, ..]) => remove(Kind::Hash, arguments),
        ("SREM", [_, ..]) => remove(Kind::Set, arguments),
        ("ZREM", [_, ..]) => remove(Kind::Sorted, arguments),
        ("ZREMRANGEBYSCORE", [low, high]) => {
            MemberAct::RemoveScores(bound(low, true)?, bound(high, false)?)
        }
        ("HEXISTS" | "HGET", [field]) => read(Kind::Hash, field),
        (
            "HGETALL" | "HKEYS" | "HSCAN" | "SMEMBERS" | "SSCAN" | "SRANDMEMBER" | "ZRANGE"
            | "ZRANGEBYSCORE" | "ZREVRANGE" | "ZREVRANGEBYSCORE" | "ZSCAN" | "ZRANDMEMBER",
            _,
        ) => MemberAct::List,
        ("SCARD" | "ZCARD" | "ZCOUNT", _) => MemberAct::Size,
        ("SISMEMBER", [member]) => read(Kind::Set, member),
        ("ZSCORE" | "ZRANK" | "ZREVRANK", [member, ..]) => read(Kind::Sorted, member),
        _ => return None,
    })
}

fn remove(kind: Kind, members: &[Vec<u8>]) -> MemberAct {
    MemberAct::Remove { kind, members: members.to_vec() }
}

fn read(kind: Kind, member: &[u8]) -> MemberAct {
    MemberAct::Read { kind, member: member.to_vec() }
}

/// ZADD. With `GT`, `LT` or `INCR` the score that results depends on the one before.
fn scored(mut arguments: &[Vec<u8>]) -> Option<MemberAct> {
    let mut only = None;
    while let [option, rest @ ..] = arguments {
        match option.to_ascii_uppercase().as_slice() {
            b"NX" if only.is_none() => only = Some(Only::Absent),
            b"XX" if only.is_none() => only = Some(Only::Present),
            b"CH" => {}
            _ => break,
        }
        arguments = rest;
    }
    let pairs = arguments.chunks(2).map(|pair| match pair {
        [score, member] => Some((member.clone(), float(score)?)),
        _ => None,
    });
    let members: Vec<(Vec<u8>, f64)> = pairs.collect::<Option<_>>()?;
    (!members.is_empty()).then_some(MemberAct::Score { members, only })
}

fn float(text: &[u8]) -> Option<f64> {
    let number: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (!number.is_nan()).then_some(number)
}

/// A limit of a range of scores.
fn bound(text: &[u8], is_low: bool) -> Option<Bound<f64>> {
    Some(match text {
        b"-inf" if is_low => Bound::Unbounded,
        b"+inf" | b"inf" if !is_low => Bound::Unbounded,
        [b'(', rest @ ..] => Bound::Excluded(float(rest)?),
        _ => Bound::Included(float(text)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn act(command: &str) -> Option<MemberAct> {
        let words: Vec<Vec<u8>> = command.split(' ').map(|word| word.into()).collect();
        followed(command.split(' ').next()?, &words[1..])
    }

    #[test]
    fn options_of_zadd_decide_what_is_followed() {
        let score = |only| Some(MemberAct::Score { members: vec![(b"m".into(), 1.5)], only });
        assert_eq!(act("ZADD 1.5 m"), score(None));
        assert_eq!(act("ZADD nx CH 1.5 m"), score(Some(Only::Absent)));
        assert_eq!(act("ZADD XX 1.5 m"), score(Some(Only::Present)));
        for other in
            ["ZADD", "ZADD 1.5", "ZADD GT 1 m", "ZADD INCR 1 m", "ZADD NX XX 1 m", "ZADD nan m"]
        {
            assert_eq!(act(other), None, "{other}");
        }
    }

    #[test]
    fn ranges_of_scores_are_read_as_redis_does() {
        let range = |low, high| Some(MemberAct::RemoveScores(low, high));
        assert_eq!(act("ZREMRANGEBYSCORE -inf 5"), range(Bound::Unbounded, Bound::Included(5.0)));
        assert_eq!(act("ZREMRANGEBYSCORE (1 +inf"), range(Bound::Excluded(1.0), Bound::Unbounded));
        assert_eq!(act("ZREMRANGEBYSCORE a b"), None);
        assert_eq!(act("HINCRBY f x"), None);
        assert_eq!(act("HSET f"), None);
    }
}
