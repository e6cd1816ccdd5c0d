//! Checks, before orderings are explored, that the subject's lock excludes a second client, and is free after
//! a release. A verdict on a client that never acquires would say nothing.

use super::canonical::is_time;
use super::client::Client;
use super::instruction::{Instruction, Kind};
use super::pool::{Lent, Pool};
use super::process::SubjectError;
use super::rehearsal::REHEARSED_TTL;
use super::subject::{Answer, Broken};
use super::{Shared, Start};
use crate::lock::LockName;
use crate::server::Connection;
use redis::{RedisResult, cmd};
use std::time::Duration;

type Result<T> = std::result::Result<T, SubjectError>;

/// The lives in which subjects are checked; those of a rehearsal come after them.
const LIVES: [u64; 2] = [u64::MAX - 10, u64::MAX - 11];
/// The longest TTL, in milliseconds, of a lock that is as good as released.
const SOON: i64 = 1000;
/// Clients allow for clocks that differ.
const MARGIN: Duration = Duration::from_secs(60);
/// Longer than any lease that a client makes of the one in its instruction.
pub(super) const LONG: Duration = Duration::from_secs(30 * 86_400);
/// How many keys are named that the client wrote instead of the one in its instruction.
const MOST_KEYS: usize = 3;

/// What a client's locks are like where there is no race.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Preflight {
    /// Whether they exclude a second client.
    pub exclusion: Exclusion,
    /// Whether a client that lives later is granted a lock whose key is still there: then the lease is a time
    /// in the key's value, and time does not grow while orderings are explored.
    pub lease_in_value: bool,
    /// Whether a key that an acquire writes beside the lock's has the TTL that was asked for, and the lock's has none
    /// or a longer one: then the lease may end with that key. On a real server, whether the lock's has none.
    pub lease_elsewhere: bool,
    /// What an acquire answers as its fencing token.
    pub fencing: Fencing,
    /// Whether an acquire sets the mirror flag.
    pub writes_flag: bool,
}

/// Whether locks exclude a second client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Exclusion {
    /// They do, and are free after a release.
    #[default]
    Excludes,
    /// A second client acquired it before the lease was over that the first one had asked for.
    GrantedEarly,
    /// A second client acquired it while the first one held it, without any race.
    GrantedTwice,
    /// Its holder could not release it after a second client's acquire had been refused, and can without that.
    Disturbed,
    /// A second client could not acquire it after its holder had released it.
    StaysTaken,
}

/// Which fencing tokens there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Fencing {
    /// None.
    #[default]
    None,
    /// Times of day, which don't grow while orderings are explored.
    Times,
    /// Numbers.
    Numbers,
}

impl Preflight {
    /// The same of several locks.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            exclusion: self.exclusion.max(other.exclusion),
            lease_in_value: self.lease_in_value || other.lease_in_value,
            lease_elsewhere: self.lease_elsewhere || other.lease_elsewhere,
            fencing: self.fencing.max(other.fencing),
            // The flag of a lock that has none would be wrong as long as it is held.
            writes_flag: self.writes_flag && other.writes_flag,
        }
    }
}

/// Has two subjects take a lock one after the other, on an empty server and with no race at all.
pub(super) fn preflight(pool: &Pool, lock: &LockName) -> Result<Preflight> {
    let (start, shared) = (&pool.start, pool.about.shared);
    let mut pair = [0, 1].map(|actor| Lent::as_it_is(pool, actor));
    let [Some(one), Some(other)] = pair.each_mut().map(|lent| lent.session.as_deref_mut()) else {
        return Ok(Preflight::default());
    };
    let server = start.server()?;
    let kind = shared.and_then(Shared::strictest);
    let mut first = PreflightClient::begin(one, lock, server.connect(0)?, kind)?;
    let mut second = PreflightClient::begin(other, lock, server.connect(0)?, kind)?;
    let watched = pool.watched(lock.clone());
    let key = watched.key();
    let not = |why: String| Err(SubjectError::NotALock { name: pool.about.name.clone(), why });
    let acquired = first.instruct(Instruction::Acquire)?;
    if !acquired.ok {
        return not(format!("its acquire of the free lock {key} was refused{}", why(&acquired)));
    }
    let has_key = first.has_key(key).map_err(failed)?;
    let lease_elsewhere = first.leases_elsewhere(key)?;
    let writes_flag = first.has_flag().map_err(failed)?;
    let with =
        |exclusion| Preflight { exclusion, lease_elsewhere, writes_flag, ..Preflight::default() };
    // Whether a lock with permits excludes another client, the orderings show.
    let excludes_all = !matches!(shared, Some(Shared::Permits(_)));
    if excludes_all && second.instruct(Instruction::Acquire)?.ok {
        return Ok(with(Exclusion::GrantedTwice));
    }
    if excludes_all && !has_key {
        return not(format!(
            "after a successful acquire the key {key} does not exist, and the client wrote no other"
        ));
    }
    let released = first.instruct(Instruction::Release)?;
    if !released.ok {
        if first.releases_alone(start)? {
            return Ok(with(Exclusion::Disturbed));
        }
        return not(format!("the release of {key} by its holder failed{}", why(&released)));
    }
    if stays_taken(&mut first, &mut second, key)? {
        return Ok(with(Exclusion::StaysTaken));
    }
    let granted = match shared {
        None => granted_later(pool, lock, &mut first.link)?,
        Some(_) => Granted::Never,
    };
    if granted != Granted::Never && pool.about.has_own_lease {
        return not(format!(
            "a second client was granted the lock while {key} was still there, so the lease is a time in a \
             value; its length is unknown, because the client sets its own lease"
        ));
    }
    let exclusion = match granted {
        Granted::Early => Exclusion::GrantedEarly,
        Granted::Never | Granted::Later => Exclusion::Excludes,
    };
    let fencing = fencing(acquired.fence);
    Ok(Preflight { lease_in_value: granted == Granted::Later, fencing, ..with(exclusion) })
}

/// Whether the second client is refused the lock that the first one has released. A release may let the key
/// expire instead of deleting it.
fn stays_taken(
    first: &mut PreflightClient<'_>,
    second: &mut PreflightClient<'_>,
    key: &str,
) -> Result<bool> {
    if second.instruct(Instruction::Acquire)?.ok {
        return Ok(false);
    }
    if first.expires_soon(key).map_err(failed)? {
        cmd("DEL").arg(key).exec(&mut first.link).map_err(failed)?;
    }
    Ok(!second.instruct(Instruction::Acquire)?.ok)
}

fn fencing(fence: Option<u64>) -> Fencing {
    match fence {
        None => Fencing::None,
        Some(fence) if is_time(fence.to_string().as_bytes()) => Fencing::Times,
        Some(_) => Fencing::Numbers,
    }
}

/// When a client that lives later is granted a lock that is held and whose key is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Granted {
    Never,
    /// Before the lease was over that its holder had asked for.
    Early,
    /// When it was over.
    Later,
}

fn granted_later(pool: &Pool, lock: &LockName, link: &mut Connection) -> Result<Granted> {
    let watched = pool.watched(lock.clone());
    let asked = Duration::from_millis(REHEARSED_TTL);
    let is_remote = link.is_remote();
    let mut is_granted_after = |later: Duration| -> Result<bool> {
        let outlasts = outlasts(link, watched.key(), later).map_err(failed)?;
        Ok(outlasts && pool.grants_fresh_clients(lock, link, later).map_err(broken)?)
    };
    // Half of it, and 70 % of it: the names of times differ by some seconds.
    for later in [asked / 2, asked / 5] {
        // The clock of a real server can't be moved.
        if !is_remote && is_granted_after(later)? {
            return Ok(Granted::Early);
        }
    }
    for later in [MARGIN, LONG] {
        if is_granted_after(later)? {
            return Ok(Granted::Later);
        }
    }
    Ok(Granted::Never)
}

/// Whether a key is there, and will be after this time.
pub(super) fn outlasts(link: &mut Connection, key: &str, time: Duration) -> RedisResult<bool> {
    let left: i64 = cmd("PTTL").arg(key).query(link)?;
    Ok(left == -1 || u128::try_from(left).is_ok_and(|left| left > time.as_millis()))
}

pub(super) fn failed(error: impl ToString) -> SubjectError {
    SubjectError::NotRehearsed(error.to_string())
}

fn why(answer: &Answer) -> String {
    if answer.why.is_empty() { String::new() } else { format!(" ({:?})", answer.why) }
}

/// A subject and the one lock that it is asked for.
struct PreflightClient<'a> {
    session: &'a mut dyn Client,
    lock: &'a LockName,
    link: Connection,
    kind: Option<Kind>,
}

impl<'a> PreflightClient<'a> {
    fn begin(
        session: &'a mut dyn Client,
        lock: &'a LockName,
        link: Connection,
        kind: Option<Kind>,
    ) -> Result<Self> {
        let life = LIVES.into_iter().find(|life| !session.lives(*life)).unwrap_or_default();
        session.begin(life).map_err(broken)?;
        Ok(Self { session, lock, link, kind })
    }

    fn instruct(&mut self, instruction: Instruction) -> Result<Answer> {
        let line = instruction.line(self.lock, REHEARSED_TTL, self.kind);
        let answer = self.session.instruct(&line, &mut self.link).map_err(broken)?;
        answer.unless_failed(instruction)
    }

    fn has_key(&mut self, key: &str) -> RedisResult<bool> {
        cmd("EXISTS").arg(key).query(&mut self.link)
    }

    fn has_flag(&mut self) -> RedisResult<bool> {
        cmd("HEXISTS").arg(self.lock.runid()).arg(self.lock.flag()).query(&mut self.link)
    }

    /// Whether it can acquire and release the lock on an empty server, in another life and with no other client.
    fn releases_alone(&mut self, start: &Start) -> Result<bool> {
        self.link = start.server()?.connect(0)?;
        let life = LIVES.into_iter().find(|life| !self.session.lives(*life)).unwrap_or_default();
        self.session.begin(life).map_err(broken)?;
        Ok(self.instruct(Instruction::Acquire)?.ok && self.instruct(Instruction::Release)?.ok)
    }

    /// Whether another key than this one has the TTL that was asked for, and this one none or a longer one.
    fn leases_elsewhere(&mut self, lock: &str) -> Result<bool> {
        let asked = i64::try_from(REHEARSED_TTL * 9 / 10).unwrap_or(i64::MAX);
        let of_lock: i64 = cmd("PTTL").arg(lock).query(&mut self.link).map_err(failed)?;
        // Keys on a real server are not looked at: they may be those of others.
        if self.link.is_remote() {
            return Ok(of_lock < 0);
        }
        let mut others = Vec::new();
        for key in self.keys()?.into_iter().filter(|key| key != lock.as_bytes()) {
            others.push(cmd("PTTL").arg(key).query(&mut self.link).map_err(failed)?);
        }
        Ok(others.into_iter().any(|left: i64| left >= asked && (of_lock < 0 || left < of_lock)))
    }

    fn expires(&mut self, key: &str) -> Result<bool> {
        let left: i64 = cmd("PTTL").arg(key).query(&mut self.link).map_err(failed)?;
        Ok(left >= 0)
    }

    fn expires_soon(&mut self, key: &str) -> RedisResult<bool> {
        let left: i64 = cmd("PTTL").arg(key).query(&mut self.link)?;
        Ok((0..=SOON).contains(&left))
    }

    fn keys(&mut self) -> Result<Vec<Vec<u8>>> {
        let mut keys: Vec<Vec<u8>> = cmd("KEYS").arg("*").query(&mut self.link).map_err(failed)?;
        keys.sort_unstable();
        Ok(keys)
    }
}

/// The key that holds a lock of the client: the one in its instruction or, if it writes others, the only one
/// that an acquire writes, or the only one of these that its release deletes.
pub(super) fn watched_key(
    session: &mut dyn Client,
    lock: &LockName,
    start: &Start,
    shared: Option<Shared>,
) -> Result<String> {
    let told = lock.key().to_owned();
    let kind = shared.and_then(Shared::strictest);
    let mut client = PreflightClient::begin(session, lock, start.server()?.connect(0)?, kind)?;
    if !client.instruct(Instruction::Acquire)?.ok {
        return Ok(told);
    }
    // On a real server all keys that are asked for are taken for the client's.
    if start.upstream.is_some() && client.has_key(&told).map_err(failed)? {
        return Ok(told);
    }
    let written = client.keys()?;
    let is_it = |key: &Vec<u8>| *key == told.as_bytes();
    let has_it = written.iter().any(is_it);
    if written.is_empty() || has_it && (written.len() == 1 || client.expires(&told)?) {
        return Ok(told);
    }
    client.instruct(Instruction::Release)?;
    let left = client.keys()?;
    let deleted: Vec<_> = written.iter().filter(|key| !left.contains(key)).collect();
    let key = match (written.as_slice(), deleted.as_slice()) {
        (_, deleted) if deleted.iter().any(|key| is_it(key)) => return Ok(told),
        ([key], _) => key,
        (_, [key]) => *key,
        // Of a lock that is shared, no key tells who holds it.
        _ if has_it || shared.is_some() => return Ok(told),
        _ => {
            let keys = shown(&written);
            return Err(failed(format!(
                "told to acquire {told}, the client does not write this key but {keys}; which of these \
                 holds the lock is not clear: use the key that `acquire` names"
            )));
        }
    };
    String::from_utf8(key.clone()).map_err(|_| {
        let key = shown(std::slice::from_ref(key));
        failed(format!("the key of the lock is not valid UTF-8: {key}"))
    })
}

/// How long it takes until all leases are over: those of the keys on a server, and those that a client keeps
/// as times in values. `told` is the longest in its instructions. Keys on a real server, which may be those of
/// others, are not looked at.
pub(super) fn until_all_are_over(link: &mut Connection, told: Duration) -> RedisResult<Duration> {
    let mut longest = told;
    let keys = (!link.is_remote()).then(|| cmd("KEYS").arg("*").query(link)).transpose()?;
    for key in keys.into_iter().flat_map(|keys: Vec<Vec<u8>>| keys) {
        let left: i64 = cmd("PTTL").arg(&key).query(link)?;
        longest = longest.max(Duration::from_millis(u64::try_from(left).unwrap_or_default()));
    }
    Ok(longest * 2 + MARGIN)
}

fn shown(keys: &[Vec<u8>]) -> String {
    let shown = keys.iter().take(MOST_KEYS).map(|key| String::from_utf8_lossy(key));
    let shown = shown.collect::<Vec<_>>().join(", ");
    match keys.len().checked_sub(MOST_KEYS).filter(|more| *more > 0) {
        None => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}

/// No crash is scheduled here.
fn broken(broken: Broken) -> SubjectError {
    match broken {
        Broken::Subject(error) => error,
        Broken::Crashed(crashed) => failed(crashed),
    }
}
