//! Reads locks whose names are known.

use super::super::owner::Processes;
use super::super::{LockError, LockName, Payload, Result};
use super::{Doubt, Found, Sighting};
use crate::intercept::Link;
use redis::{FromRedisValue, Pipeline, Value, from_redis_value};

/// How many locks are looked at in one transaction.
const AT_ONCE: usize = 250;
/// The most of a value that is read, in bytes; no payload is as long.
const LONGEST: usize = 16 * 1024;

/// What is asked about each lock, in this order.
const COMMANDS: [&str; 5] = ["TYPE", "STRLEN", "GETRANGE", "PTTL", "HMGET"];

/// Reads the state of locks.
pub(super) struct LockReader {
    processes: Processes,
    /// Whether key and flag are looked at in one transaction. Where a single command of it is
    /// refused, all of it is: then each goes alone.
    is_atomic: bool,
}

impl Default for LockReader {
    fn default() -> Self {
        Self { processes: Processes::default(), is_atomic: true }
    }
}

impl LockReader {
    /// Looks at these locks, some hundred at a time.
    pub fn read_all(
        &mut self,
        link: &mut dyn Link,
        locks: impl Iterator<Item = LockName>,
    ) -> Result<Vec<Sighting>> {
        let mut locks = locks.peekable();
        let mut sightings = Vec::new();
        while locks.peek().is_some() {
            let some: Vec<LockName> = locks.by_ref().take(AT_ONCE).collect();
            let mut replies = self.ask_about(link, &some)?.into_iter();
            sightings.extend(some.into_iter().map(|lock| self.read(lock, &mut replies)));
        }
        Ok(sightings)
    }

    fn ask_about(&mut self, link: &mut dyn Link, some: &[LockName]) -> Result<Vec<Value>> {
        let key = some.first().map(LockName::key).unwrap_or_default();
        let failed = LockError::redis("GETRANGE", key);
        let mut pipeline = redis::pipe();
        pipeline.ignore_errors();
        some.iter().for_each(|lock| add(&mut pipeline, lock));
        if self.is_atomic {
            match pipeline.clone().atomic().query(link) {
                Err(error) if !error.is_io_error() => self.is_atomic = false,
                replies => return replies.map_err(failed),
            }
        }
        pipeline.query(link).map_err(failed)
    }

    fn read(&mut self, lock: LockName, replies: &mut impl Iterator<Item = Value>) -> Sighting {
        let mut next = || replies.next().unwrap_or(Value::Nil);
        let (kind, length, value, ttl, fields) = (next(), next(), next(), next(), next());
        let doubt = COMMANDS
            .into_iter()
            .zip([&kind, &length, &value, &ttl, &fields])
            .find_map(|(name, reply)| Some(format!("{} ({name})", refusal(reply)?)));
        let found = match or_default::<String>(kind).as_str() {
            "none" | "" => None,
            "string" => Some(self.value(or_default(length), or_default(value))),
            other => Some(Found::OtherType { name: other.to_owned() }),
        };
        let fields: Vec<Option<Vec<u8>>> = or_default(fields);
        let mut fields =
            fields.into_iter().map(|field| Some(String::from_utf8_lossy(&field?).into_owned()));
        Sighting {
            file: lock.file().to_owned(),
            lock,
            found,
            ttl_ms: from_redis_value(ttl).unwrap_or(-2),
            flag: fields.next().flatten(),
            fence: fields.next().flatten(),
            doubt: doubt.map(Doubt::Hidden),
        }
    }

    fn value(&mut self, bytes: u64, raw: Vec<u8>) -> Found {
        if bytes > LONGEST as u64 {
            return Found::TooLong { bytes };
        }
        let payload = Payload::decode(&raw);
        Found::Payload { life: self.processes.life(&payload), payload }
    }
}

fn add(pipeline: &mut Pipeline, lock: &LockName) {
    let [kind, length, value, ttl, fields] = COMMANDS;
    pipeline.cmd(kind).arg(lock.key());
    pipeline.cmd(length).arg(lock.key());
    pipeline.cmd(value).arg(lock.key()).arg(0).arg(LONGEST - 1);
    pipeline.cmd(ttl).arg(lock.key());
    pipeline.cmd(fields).arg(lock.runid()).arg(lock.flag()).arg(lock.fence());
}

fn or_default<T: FromRedisValue + Default>(reply: Value) -> T {
    from_redis_value(reply).unwrap_or_default()
}

/// The words of a reply that hides something. That a value is of another type hides nothing.
pub(super) fn refusal(reply: &Value) -> Option<String> {
    let Value::ServerError(error) = reply else { return None };
    let code = error.code();
    (code != "WRONGTYPE").then(|| format!("{code} {}", error.details().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    fn raw(text: &str) -> Value {
        redis::parse_redis_value(text.as_bytes()).unwrap()
    }

    #[test]
    fn no_refusal_reads_as_a_value() {
        const REFUSED: &str = "-NOPERM no permissions\r\n";
        let seen = ["+string\r\n", ":2\r\n", "$2\r\n{}\r\n", ":-1\r\n", "*2\r\n$-1\r\n$-1\r\n"];
        for refused in 0..seen.len() {
            let mut replies = seen.map(raw);
            replies[refused] = raw(REFUSED);
            let lock = LockName::new("run", "x.nodb");
            let sighting = LockReader::default().read(lock, &mut replies.into_iter());
            assert_eq!(sighting.state(), State::Hidden, "{refused}: {sighting:?}");
            let words = format!("NOPERM no permissions ({})", COMMANDS[refused]);
            assert_eq!(sighting.doubt, Some(Doubt::Hidden(words)));
        }
    }
}
