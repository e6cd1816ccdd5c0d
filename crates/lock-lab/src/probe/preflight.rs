//! Checks, before orderings are explored, that the subject's lock excludes a second client. A verdict
//! on a client that never acquires, or that locks another key, would say nothing.

use super::process::SubjectError;
use super::subject::{Answer, Broken, Subject};
use super::{REHEARSED_TTL, Start};
use crate::lock::LockName;
use crate::server::Connection;
use redis::{RedisResult, cmd};
use serde_json::json;

type Result<T> = std::result::Result<T, SubjectError>;

/// The life in which subjects are checked; those of a rehearsal come after it.
const LIFE: u64 = u64::MAX - 10;
/// How many keys are named that the client wrote instead of the one in its instruction.
const MOST_KEYS: usize = 3;

/// Has two subjects take a lock one after the other, on an empty server and with no race at all.
pub(super) fn preflight(
    [one, other]: [&mut Subject; 2],
    lock: &LockName,
    start: &Start,
) -> Result<()> {
    let first_name = one.about().name.clone();
    let server = start.server()?;
    let mut first = PreflightClient::begin(one, lock, server.connect(0)?)?;
    let mut second = PreflightClient::begin(other, lock, server.connect(0)?)?;
    let key = lock.key();
    let not = |why: String| Err(SubjectError::NotALock { name: first_name.clone(), why });
    let acquired = first.instruct("acquire")?;
    if !acquired.ok {
        return not(format!("its acquire of the free lock {key} was refused{}", why(&acquired)));
    }
    let missing = first.missing_key().map_err(failed)?;
    let is_granted_twice = second.instruct("acquire")?.ok;
    let mut problems = Vec::new();
    if is_granted_twice {
        problems.push(format!(
            "a second client acquired {key} while the first one held it: two grants at once \
             (double_grant), without any race (locks that are shared by design, as readers or \
             permits, can't be probed yet)"
        ));
    }
    problems.extend(missing);
    if !problems.is_empty() {
        return not(problems.join("; "));
    }
    let released = first.instruct("release")?;
    if !released.ok {
        return not(format!("the release of {key} by its holder failed{}", why(&released)));
    }
    if first.has_key().map_err(failed)? {
        return not(format!(
            "its release left the key {key} there instead of deleting it, and a client that takes \
             another client's lock away so is not judged yet"
        ));
    }
    let again = second.instruct("acquire")?;
    if !again.ok {
        return not(format!("{key} could not be acquired after its release{}", why(&again)));
    }
    Ok(())
}

pub(super) fn failed(error: impl ToString) -> SubjectError {
    SubjectError::NotRehearsed(error.to_string())
}

fn why(answer: &Answer) -> String {
    if answer.why.is_empty() { String::new() } else { format!(" ({:?})", answer.why) }
}

/// A subject and the one lock that it is asked for.
struct PreflightClient<'a> {
    session: &'a mut Subject,
    lock: &'a LockName,
    link: Connection,
}

impl<'a> PreflightClient<'a> {
    fn begin(session: &'a mut Subject, lock: &'a LockName, link: Connection) -> Result<Self> {
        session.begin(LIFE).map_err(broken)?;
        Ok(Self { session, lock, link })
    }

    fn instruct(&mut self, verb: &str) -> Result<Answer> {
        let instruction = json!({"do": verb, "lock": self.lock.key(), "ttl_ms": REHEARSED_TTL});
        self.session.instruct(&instruction, &mut self.link).map_err(broken)
    }

    fn has_key(&mut self) -> RedisResult<bool> {
        cmd("EXISTS").arg(self.lock.key()).query(&mut self.link)
    }

    /// Says that the lock's key is not there, if it isn't, and which keys are.
    fn missing_key(&mut self) -> RedisResult<Option<String>> {
        let key = self.lock.key();
        if self.has_key()? {
            return Ok(None);
        }
        let mut keys: Vec<Vec<u8>> = cmd("KEYS").arg("*").query(&mut self.link)?;
        keys.sort_unstable();
        let shown = keys.iter().take(MOST_KEYS).map(|key| String::from_utf8_lossy(key));
        let shown = shown.collect::<Vec<_>>().join(", ");
        let wrote = match keys.len().checked_sub(MOST_KEYS).filter(|more| *more > 0) {
            _ if keys.is_empty() => "no key at all".into(),
            None => shown,
            Some(more) => format!("{shown} and {more} more"),
        };
        Ok(Some(format!(
            "after a successful acquire the key {key} does not exist; the client wrote {wrote} \
             (a subject must use the key that it is given)"
        )))
    }
}

/// No crash is scheduled here.
fn broken(broken: Broken) -> SubjectError {
    match broken {
        Broken::Subject(error) => error,
        Broken::Crashed(crashed) => failed(crashed),
    }
}
