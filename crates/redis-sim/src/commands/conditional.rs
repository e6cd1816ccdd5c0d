//! Commands that compare a string before they change it. Redis 7.0 has none of them: SET with IFEQ, IFNE,
//! IFDEQ or IFDNE, DELEX and DIGEST are of Redis 8.4, DELIFEQ is of Valkey 9.0. Every client may use all.
//!
//! | command | Redis | Valkey |
//! |---|---|---|
//! | `SET key value IFEQ old` | 8.4 | 8.1 |
//! | `SET key value IFNE old`, `IFDEQ digest`, `IFDNE digest` | 8.4 | |
//! | `DELEX key`, `DELEX key IFEQ value`, `IFNE value` | 8.4 | 9.2 |
//! | `DELEX key IFDEQ digest`, `IFDNE digest`, `DIGEST key` | 8.4 | |
//! | `DELIFEQ key value` | | 9.0 |

use redis::Value;

use super::{Reply, bulk, flag, is, keys};
use crate::error::Error;
use crate::session::Call;

/// What the string of a key must be.
#[derive(Clone, Copy)]
pub(super) enum Condition<'a> {
    Equal(&'a [u8]),
    NotEqual(&'a [u8]),
    DigestEqual(&'a [u8]),
    DigestNotEqual(&'a [u8]),
}

impl<'a> Condition<'a> {
    /// The condition that an option names; none if the word is another option.
    pub(super) fn named(word: &[u8]) -> Option<fn(&'a [u8]) -> Self> {
        [
            ("ifeq", Self::Equal as fn(_) -> _),
            ("ifne", Self::NotEqual),
            ("ifdeq", Self::DigestEqual),
            ("ifdne", Self::DigestNotEqual),
        ]
        .into_iter()
        .find_map(|(name, condition)| is(word, name).then_some(condition))
    }

    /// A digest has sixteen digits.
    pub(super) fn check(self) -> Result<Self, Error> {
        match self {
            Self::DigestEqual(digest) | Self::DigestNotEqual(digest)
                if digest.len() != 16 || !digest.iter().all(u8::is_ascii_hexdigit) =>
            {
                Err(Error::InvalidDigest)
            }
            _ => Ok(self),
        }
    }

    /// Whether a key with this string, or without any, fulfils it: one that is absent equals nothing.
    pub(super) fn holds(self, text: Option<&[u8]>) -> bool {
        let has_digest = |wanted: &[u8]| {
            text.is_some_and(|text| digest_of(text).as_bytes().eq_ignore_ascii_case(wanted))
        };
        match self {
            Self::Equal(wanted) => text == Some(wanted),
            Self::NotEqual(wanted) => text != Some(wanted),
            Self::DigestEqual(wanted) => has_digest(wanted),
            Self::DigestNotEqual(wanted) => !has_digest(wanted),
        }
    }
}

/// XXH3 with 64 bits, in hexadecimal.
fn digest_of(text: &[u8]) -> String {
    redis::calculate_value_digest(text)
}

pub(super) fn digest(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key] = args else { return Err(Error::Arity("digest")) };
    match call.db().get(key) {
        Some(entry) => Ok(bulk(digest_of(entry.data.as_string()?).as_bytes())),
        None => Ok(Value::Nil),
    }
}

/// Without a condition it deletes a key of any type, as DEL does.
pub(super) fn delex(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    match args {
        [_] => keys::del(call, args),
        [key, option, value] => {
            let condition = Condition::named(option).ok_or(Error::Syntax)?;
            delete_if(call, key, condition(value).check()?)
        }
        [_, _] => Err(Error::Syntax),
        _ => Err(Error::Arity("delex")),
    }
}

pub(super) fn delifeq(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [key, value] = args else { return Err(Error::Arity("delifeq")) };
    delete_if(call, key, Condition::Equal(value))
}

fn delete_if(call: &mut Call<'_>, key: &[u8], condition: Condition<'_>) -> Reply {
    let mut db = call.db();
    let Some(entry) = db.get(key) else { return Ok(flag(false)) };
    let holds = condition.holds(Some(entry.data.as_string()?));
    Ok(flag(holds && keys::delete(&mut db, key)))
}

#[cfg(test)]
mod tests {
    use crate::clock::VirtualClock;
    use crate::{Connection, Engine};
    use redis::{ErrorKind, ServerErrorKind, Value};
    use std::sync::Arc;

    fn ask(con: &mut Connection, line: &str) -> String {
        let mut words = line.split(' ');
        let mut cmd = redis::cmd(words.next().unwrap());
        cmd.arg(words.collect::<Vec<_>>());
        match cmd.query(con) {
            Ok(Value::Okay) => "OK".into(),
            Ok(Value::Nil) => "nil".into(),
            Ok(Value::Int(number)) => number.to_string(),
            Ok(Value::BulkString(text)) => String::from_utf8(text).unwrap(),
            Ok(other) => format!("{other:?}"),
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::ResponseError) => {
                format!("ERR {}", error.detail().unwrap_or_default())
            }
            Err(error) => error.code().unwrap_or_default().to_owned(),
        }
    }

    /// The facts of the manuals of Redis 8.4 and of Valkey 8.1 to 9.2: no server here has these commands.
    #[test]
    fn conditions_are_those_of_the_manuals() {
        const DIGEST_OF_A: &str = "e6c632b61e964e1f";
        let engine = Engine::new(Arc::new(VirtualClock::new(None)));
        let mut con = engine.connect(0);
        for (before, command, reply, after) in [
            ("", "SET k b IFEQ a", "nil", "nil -2"),
            ("SET k a PX 9000", "SET k b IFEQ a", "OK", "b -1"),
            ("SET k a PX 9000", "SET k a ifeq a", "OK", "a -1"),
            ("SET k a PX 9000", "SET k b IFEQ a PX 7000", "OK", "b 7000"),
            ("SET k a PX 9000", "SET k b EX 3 IFEQ a", "OK", "b 3000"),
            ("SET k a PX 9000", "SET k b IFEQ a KEEPTTL", "OK", "b 9000"),
            ("SET k a PX 9000", "SET k b IFEQ x PX 7000", "nil", "a 9000"),
            ("SET k a PX 9000", "SET k b IFEQ a GET", "a", "b -1"),
            ("SET k a PX 9000", "SET k b IFEQ x GET", "a", "a 9000"),
            ("", "SET k b IFEQ x GET", "nil", "nil -2"),
            ("", "SET k b IFNE a PX 7000", "OK", "b 7000"),
            ("", "SET k b IFNE a GET", "nil", "b -1"),
            ("SET k a", "SET k b IFNE x PX 7000", "OK", "b 7000"),
            ("SET k a PX 9000", "SET k b IFNE a", "nil", "a 9000"),
            ("SET k a", "SET k b IFNE x GET", "a", "b -1"),
            ("SET k a", &format!("SET k b IFDEQ {DIGEST_OF_A}"), "OK", "b -1"),
            ("SET k a", &format!("SET k b IFDNE {DIGEST_OF_A}"), "nil", "a -1"),
            ("SET k x", &format!("SET k b IFDEQ {DIGEST_OF_A}"), "nil", "x -1"),
            ("SET k x", &format!("SET k b IFDNE {DIGEST_OF_A}"), "OK", "b -1"),
            ("", &format!("SET k b IFDEQ {DIGEST_OF_A}"), "nil", "nil -2"),
            ("", &format!("SET k b IFDNE {DIGEST_OF_A}"), "OK", "b -1"),
            ("SET k a", "SET k b IFEQ a NX", "ERR syntax error", "a -1"),
            ("SET k a", "SET k b XX IFEQ a", "ERR syntax error", "a -1"),
            ("SET k a", "SET k b NX IFNE a", "ERR syntax error", "a -1"),
            ("SET k a", "SET k b IFEQ a IFNE a", "ERR syntax error", "a -1"),
            ("SET k a", "SET k b IFEQ", "ERR syntax error", "a -1"),
            ("RPUSH k a", "SET k b IFEQ a", "WRONGTYPE", "WRONGTYPE -1"),
            ("RPUSH k a", "SET k b IFNE a", "WRONGTYPE", "WRONGTYPE -1"),
            ("SET k a PX 9000", "DELEX k", "1", "nil -2"),
            ("RPUSH k a", "DELEX k", "1", "nil -2"),
            ("", "DELEX k", "0", "nil -2"),
            ("SET k a", "DELEX k IFEQ a", "1", "nil -2"),
            ("SET k a PX 9000", "DELEX k IFEQ x", "0", "a 9000"),
            ("SET k a", "DELEX k ifne a", "0", "a -1"),
            ("SET k a", "DELEX k IFNE x", "1", "nil -2"),
            ("", "DELEX k IFEQ a", "0", "nil -2"),
            ("", "DELEX k IFNE a", "0", "nil -2"),
            ("SET k a", &format!("DELEX k IFDEQ {DIGEST_OF_A}"), "1", "nil -2"),
            ("SET k a", &format!("DELEX k IFDNE {DIGEST_OF_A}"), "0", "a -1"),
            ("RPUSH k a", "DELEX k IFEQ a", "WRONGTYPE", "WRONGTYPE -1"),
            ("SET k a", "DELEX k a", "ERR syntax error", "a -1"),
            ("SET k a", "DELEX k NX a", "ERR syntax error", "a -1"),
            ("SET k a", "DELIFEQ k a", "1", "nil -2"),
            ("SET k a PX 9000", "DELIFEQ k x", "0", "a 9000"),
            ("", "DELIFEQ k a", "0", "nil -2"),
            ("RPUSH k a", "DELIFEQ k a", "WRONGTYPE", "WRONGTYPE -1"),
            ("SET k a", "DIGEST k", DIGEST_OF_A, "a -1"),
            ("", "DIGEST k", "nil", "nil -2"),
            ("RPUSH k a", "DIGEST k", "WRONGTYPE", "WRONGTYPE -1"),
        ] {
            ask(&mut con, "FLUSHALL");
            if !before.is_empty() {
                ask(&mut con, before);
            }
            assert_eq!(ask(&mut con, command), reply, "{before}; {command}");
            let state = format!("{} {}", ask(&mut con, "GET k"), ask(&mut con, "PTTL k"));
            assert_eq!(state, after, "{before}; {command}");
        }
    }

    #[test]
    fn a_digest_that_is_none_is_refused() {
        let mut con = Engine::new(Arc::new(VirtualClock::new(None))).connect(0);
        ask(&mut con, "SET k a");
        for command in ["SET k b IFDEQ 1", "SET k b IFDNE zzzzzzzzzzzzzzzz", "DELEX k IFDNE a"] {
            let reply = ask(&mut con, command);
            assert!(reply.contains("16 hexadecimal digits"), "{command}: {reply}");
            assert_eq!(ask(&mut con, "GET k"), "a", "{command}");
        }
    }
}
