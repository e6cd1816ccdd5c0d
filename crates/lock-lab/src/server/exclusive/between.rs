//! A request between two snapshots of all keys, in one transaction.

use super::{ExclusiveServer, Keys, Seen, Stored};
use crate::server::connection::{transact, within};
use crate::server::{Line, describe, is_forbidden_to_scripts};
use redis::{ErrorKind, RedisError, RedisResult, Value, from_redis_value};
use redis_sim::requests;
use std::collections::BTreeSet;
use std::time::Duration;

/// Begins a script: the names of all keys are in `names`.
pub(super) const NAMES: &str = include_str!("names.lua");
/// Goes on: puts keys in place of ours.
pub(super) const PUT: &str = include_str!("put.lua");
/// Goes on: gives what all keys hold.
pub(super) const HELD: &str = include_str!("held.lua");

/// Errors that say something of the server, and nothing of what was asked for.
const OF_THE_SERVER: &str = "\
    OOM MISCONF READONLY NOPERM NOAUTH LOADING BUSY MASTERDOWN NOREPLICAS CLUSTERDOWN MOVED \
    CROSSSLOT";

/// Two connections of one client: watches, and the transactions that they are for, go over the
/// second. What passes over the first would end them.
pub(in crate::server) struct Pair<'a> {
    pub plain: &'a mut Line,
    pub watching: &'a mut Line,
}

/// The outcome of a transaction.
pub(super) enum Ran {
    /// The answers.
    Answered(Vec<Value>),
    /// Nothing: a watched key has changed.
    Nothing,
    /// It was refused before it began.
    Refused(redis::ServerError),
}

impl Ran {
    /// All answers to this number of requests, with those that only say that a transaction goes on.
    fn answers(self, number: usize, is_transaction: bool) -> RedisResult<Vec<Value>> {
        let exec = match self {
            Ran::Refused(error) if is_transaction => return Err(error.into()),
            Ran::Refused(error) => return Ok(vec![Value::ServerError(error); number]),
            Ran::Answered(answers) if !is_transaction => return Ok(answers),
            Ran::Answered(answers) => Value::Array(answers),
            Ran::Nothing => Value::Nil,
        };
        let mut answers = vec![Value::SimpleString("QUEUED".into()); number + 1];
        answers.push(exec);
        Ok(answers)
    }
}

impl ExclusiveServer {
    /// Runs requests as a [`Connection`](crate::server::Connection) does, and keeps the books.
    pub(in crate::server) fn exchange(
        &self,
        pair: Pair<'_>,
        commands: &[u8],
        offset: usize,
        count: usize,
        patience: Duration,
    ) -> RedisResult<Vec<Value>> {
        if self.check().is_err() {
            return Err(RedisError::from((ErrorKind::Client, "nothing goes on here any more")));
        }
        let asked = requests(commands);
        if !asked.is_empty() && asked.iter().all(|words| is_any(words, "WATCH UNWATCH")) {
            let answers =
                within(patience, pair.watching, |it| transact(it, commands, offset, count));
            return answers.inspect_err(|error| self.failed(error, &[]));
        }
        let (inner, is_transaction) = match asked.as_slice() {
            [first, inner @ .., last] if is_any(first, "MULTI") && is_any(last, "EXEC") => {
                (inner, true)
            }
            all => (all, false),
        };
        const TIED: &str = "MULTI EXEC DISCARD WATCH UNWATCH";
        if inner.iter().any(|words| is_any(words, TIED)) {
            let refused = redis::parse_redis_value(b"-ERR a transaction goes out as a whole\r\n")?;
            return Ok(vec![refused; count]);
        }
        // They may be there from the moment on that this is sent.
        self.foresee(inner.iter().flat_map(|words| may_be_made(words)).map(<[u8]>::to_vec));
        let connection = if is_transaction { pair.watching } else { pair.plain };
        let ran = within(patience, connection, |it| self.between(it, inner));
        let ran = ran.inspect_err(|error| self.failed(error, inner))?;
        let answers = ran.answers(inner.len(), is_transaction)?;
        Ok(answers.into_iter().skip(offset).take(count).collect())
    }

    pub(super) fn between(&self, connection: &mut Line, inner: &[Vec<&[u8]>]) -> RedisResult<Ran> {
        let locks = self.ownership.lock().locks.clone();
        let mut names = redis::cmd("EVAL");
        names.arg([NAMES, "return names"].concat()).arg(0);
        let mut held = redis::cmd("EVAL");
        held.arg([NAMES, HELD].concat()).arg(locks.len()).arg(&locks);
        let mut packed = redis::cmd("MULTI").get_packed_command();
        names.write_packed_command(&mut packed);
        for words in inner {
            redis::Cmd::new().arg(words).write_packed_command(&mut packed);
        }
        held.write_packed_command(&mut packed);
        redis::cmd("EXEC").write_packed_command(&mut packed);
        connection.send_packed_command(&packed)?;
        let (mut ours, mut theirs) = (None, None);
        for number in 0..inner.len() + 3 {
            // The first two and the last one are of our own making.
            let is_own = !(2..inner.len() + 2).contains(&number);
            if let Value::ServerError(error) = connection.recv_response()? {
                let refused = if is_own { &mut ours } else { &mut theirs };
                refused.get_or_insert(error);
            }
        }
        let ran = connection.recv_response()?;
        if let Some(error) = ours {
            return Err(error.into());
        }
        match (ran, theirs) {
            (_, Some(error)) => Ok(self.refused(error)),
            (Value::Nil, None) => Ok(Ran::Nothing),
            (Value::Array(answers), None) => self.note(answers).map(Ran::Answered),
            (other, None) => Err(other.extract_error().err().unwrap_or_else(nonsense)),
        }
    }

    /// Writes down what a transaction found and left; gives the answers to what was asked.
    fn note(&self, mut answers: Vec<Value>) -> RedisResult<Vec<Value>> {
        let held = answers.pop().ok_or_else(nonsense)?.extract_error()?;
        if answers.is_empty() {
            return Err(nonsense());
        }
        let names: BTreeSet<Vec<u8>> = from_redis_value(answers.remove(0).extract_error()?)?;
        let seen = seen(names, held)?;
        let theirs: Vec<Vec<u8>> = {
            let ownership = self.ownership.lock();
            seen.before.difference(&ownership.ours).cloned().collect()
        };
        let now = seen.keys.keys().filter(|name| !theirs.contains(name)).cloned();
        let now: BTreeSet<Vec<u8>> = now.collect();
        self.own(now.iter().cloned());
        {
            let ownership = &mut *self.ownership.lock();
            (ownership.ours, ownership.seen) = (now, Some(seen));
        }
        if let Some(name) = theirs.first() {
            self.stop(self.is_theirs(name));
        }
        let refused = answers.iter().find_map(|answer| match answer {
            Value::ServerError(error) => Some(RedisError::from(error.clone())),
            _ => None,
        });
        // A script may say by itself that something is busy. A server that is runs nothing.
        let is_busy = |error: &RedisError| error.code() == Some("BUSY");
        if let Some(error) = refused.filter(|error| is_of_the_server(error) && !is_busy(error)) {
            self.stop(self.explain(&error));
        }
        Ok(answers)
    }

    fn refused(&self, error: redis::ServerError) -> Ran {
        let refused = RedisError::from(error.clone());
        if is_of_the_server(&refused) {
            self.stop(self.explain(&refused));
        }
        Ran::Refused(error)
    }

    /// A request failed on its way: whether it ran, and made keys with names that it says, is not
    /// known.
    fn failed(&self, error: &RedisError, inner: &[Vec<&[u8]>]) {
        self.own(inner.iter().flat_map(|words| may_be_made(words)).map(<[u8]>::to_vec));
        self.stop(self.explain(error));
    }
}

/// Whether a request is one of these commands.
fn is_any(words: &[&[u8]], names: &str) -> bool {
    let is = |name: &str| words.first().is_some_and(|it| it.eq_ignore_ascii_case(name.as_bytes()));
    names.split(' ').any(is)
}

/// The keys that a request may make, as far as its words say so.
fn may_be_made<'a>(words: &[&'a [u8]]) -> Vec<&'a [u8]> {
    /// What only looks at its keys, changes them or takes something from them.
    const MAKE_NONE: &str = "\
        BLPOP BRPOP DEL EXISTS EXPIRE EXPIREAT GET GETDEL GETEX HDEL HEXISTS HGET HGETALL LINDEX \
        LLEN LPOP LRANGE LREM PERSIST PEXPIRE PEXPIREAT PTTL PUBLISH TTL UNLINK ZRANGE ZREM";
    const MAKE_THE_SECOND: &str = "\
        BITOP BLMOVE BRPOPLPUSH COPY LMOVE RENAME RENAMENX RPOPLPUSH SMOVE";
    let Some((_, rest)) = words.split_first() else { return Vec::new() };
    if is_any(words, MAKE_NONE) {
        return Vec::new();
    }
    if is_any(words, MAKE_THE_SECOND) {
        return rest.get(1).copied().into_iter().collect();
    }
    if is_any(words, "MSET MSETNX") {
        return rest.iter().step_by(2).copied().collect();
    }
    if is_any(words, "EVAL FCALL") {
        let count = rest.get(1).map(|count| String::from_utf8_lossy(count).parse().unwrap_or(0));
        return rest.iter().skip(2).take(count.unwrap_or_default()).copied().collect();
    }
    rest.first().copied().into_iter().collect()
}

/// Whether an error says something of the server, and nothing of what was asked for.
pub(super) fn is_of_the_server(error: &RedisError) -> bool {
    let text = describe(error);
    let code = text.split(' ').next().unwrap_or_default();
    OF_THE_SERVER.split(' ').any(|known| known == code) || is_forbidden_to_scripts(&text)
}

/// The server's time, as TIME gives it.
pub(super) fn time(seconds: &[u8], micros: &[u8]) -> Duration {
    let number = |digits: &[u8]| String::from_utf8_lossy(digits).parse().unwrap_or_default();
    Duration::from_secs(number(seconds)) + Duration::from_micros(number(micros))
}

/// What was found and left, as the scripts say it.
fn seen(before: BTreeSet<Vec<u8>>, held: Value) -> RedisResult<Seen> {
    let mut held: Vec<Value> = from_redis_value(held)?;
    if held.is_empty() {
        return Err(nonsense());
    }
    let (seconds, micros): (Vec<u8>, Vec<u8>) = from_redis_value(held.remove(0))?;
    let mut keys = Keys::new();
    for key in held {
        let mut parts: Vec<Value> = from_redis_value(key)?;
        let value = (parts.len() == 5).then(|| parts.pop()).flatten();
        let value = value.map(from_redis_value::<Vec<u8>>).transpose()?;
        let (name, dump, left, sorted): (Vec<u8>, Vec<u8>, i64, Option<Vec<u8>>) =
            from_redis_value(Value::Array(parts))?;
        keys.insert(name, Stored { dump, sorted, left: u64::try_from(left).ok(), value });
    }
    Ok(Seen { before, keys, at: time(&seconds, &micros) })
}

fn nonsense() -> RedisError {
    RedisError::from((ErrorKind::UnexpectedReturnType, "an answer is not as it should be"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_request_may_make_is_known_by_its_words() {
        for (line, keys) in [
            ("SET lock token NX PX 10", &["lock"][..]),
            ("LPUSH list 1 2", &["list"]),
            ("PING", &[]),
            ("get lock", &[]),
            ("MSET a 1 b 2 c 3", &["a", "b", "c"]),
            ("RENAME from to", &["to"]),
            ("EVAL script 2 a b c", &["a", "b"]),
            ("eval script 9 a", &["a"]),
            ("EVAL script", &[]),
            ("EVAL script many a", &[]),
        ] {
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes()).collect();
            assert_eq!(may_be_made(&words), keys, "{line}");
        }
    }
}
