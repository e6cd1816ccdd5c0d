//! Goes through the keys of a database by SCAN and hands over the locks. What is no lock is not kept, and
//! the server has time for others between two batches.

use super::family::{Families, Family, Looking};
use super::reader::{Read, ask, read_all, refusal};
use super::{Key, LONGEST_TTL_MS, Lock, Recognised, recognise};
use crate::intercept::Link;
use crate::lock::{KEY_PREFIX, LockError, Result};
use redis::{Value, from_redis_value};
use redis_sim::clock::Clock;
use redis_sim::glob_matches;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How many keys the server goes through for one batch.
const COUNT: usize = 500;
/// The longest pause between two batches.
const PAUSE: Duration = Duration::from_millis(5);
/// How much longer a batch takes than the pause after it.
const SPARING: u32 = 4;

/// How long a lock must be without a TTL before it is said: a client may set the TTL by a command of its
/// own.
const SETTLED: Duration = Duration::from_millis(50);
/// How many times a key is read again whose holder changes each time.
const ROUNDS: usize = 4;

/// A cursor, and the keys that were found up to it.
type Page = (String, Vec<Vec<u8>>);

/// Which keys are looked at.
#[derive(Debug, Clone)]
pub struct Scope {
    /// Only those that match one of these patterns, if there are any.
    pub patterns: Vec<String>,
    /// No more than this number.
    pub max_keys: u64,
    /// Whether the locks of NoDb are left out, as they are surveyed with their flags.
    pub without_nodb: bool,
}

/// A lock of a known format.
#[derive(Debug, Clone, PartialEq)]
pub struct OtherLock {
    /// Its key.
    pub key: Vec<u8>,
    /// What is left of its TTL in milliseconds; -1 if it has none.
    pub ttl_ms: i64,
    /// The command that shows the complete key: its name, and what follows the key.
    pub shown_by: (&'static str, &'static [&'static str]),
    /// Who holds it.
    pub lock: Lock,
    /// Whether its holder changed from one snapshot to the next: a client works with it.
    pub is_moving: bool,
}

impl OtherLock {
    /// Whether it would stay for good, or for longer than any client waits, if no client releases it.
    pub fn is_stuck(&self) -> bool {
        !self.is_moving && (self.has_no_end() || self.ttl_ms > LONGEST_TTL_MS)
    }

    /// Whether nothing but a client ends it.
    fn has_no_end(&self) -> bool {
        self.ttl_ms == -1 && !self.lock.expires_without_ttl
    }
}

/// What a survey looked at.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Covered {
    /// How many keys it looked at.
    pub keys: u64,
    /// Whether it came to its limit before the last key.
    pub is_cut_short: bool,
    /// How many keys could not be read.
    pub unread: usize,
    /// The first of them, with the server's words.
    pub example: Option<(Vec<u8>, String)>,
    /// How many became keys of another type while they were read.
    pub changed: u64,
    /// The keys that may be locks.
    pub families: Vec<Family>,
}

/// Goes through the keys of the database of this connection; `now` is the server's time.
///
/// # Errors
///
/// [`LockError::Redis`] if a command fails; locks that were handed over before stay so. Keys that the
/// server does not show are counted, and are no error.
pub fn survey_keys(
    link: &mut dyn Link,
    clock: &dyn Clock,
    now: Duration,
    scope: &Scope,
    take: &mut dyn FnMut(OtherLock),
) -> Result<Covered> {
    let began = clock.now();
    let mut survey = Survey::default();
    let mut cursor = String::from("0");
    loop {
        let batch_began = clock.now();
        let (next, mut keys) = scan(link, &cursor, scope)?;
        keys.retain(|key| is_in(scope, key));
        let left = scope.max_keys.saturating_sub(survey.covered.keys);
        if keys.len() as u64 > left {
            keys.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            survey.covered.is_cut_short = true;
        }
        survey.covered.keys += keys.len() as u64;
        let now = now.saturating_add(batch_began.saturating_sub(began));
        for lock in survey.look(link, keys, now)? {
            match lock.has_no_end() {
                true => survey.pending.push((clock.now(), lock)),
                false => survey.hand_over(lock, take),
            }
        }
        survey.settle(link, now, clock.now().checked_sub(SETTLED), take)?;
        if next == "0" || survey.covered.is_cut_short {
            break;
        }
        cursor = next;
        let took = clock.now().saturating_sub(batch_began);
        if clock.sleep((took / SPARING).min(PAUSE)).is_err() {
            survey.covered.is_cut_short = true;
            break;
        }
    }
    if !survey.pending.is_empty() {
        let now = now.saturating_add(clock.now().saturating_sub(began));
        // Interrupted, it is said without the second snapshot.
        let _ = clock.sleep(SETTLED);
        survey.settle(link, now, Some(Duration::MAX), take)?;
    }
    Ok(Covered { families: survey.families.into_families(), ..survey.covered })
}

/// A key that was looked at by its name.
#[derive(Debug, Clone, PartialEq)]
pub struct KeySeen {
    /// What it holds.
    pub read: Read,
    /// What it is.
    pub recognised: Option<Recognised>,
    /// Whether it was otherwise in each snapshot.
    pub is_moving: bool,
}

/// Looks at one key: what it holds, and what it is. A lock without a TTL is read until it is the same
/// twice.
///
/// # Errors
///
/// [`LockError::Redis`] if a command fails.
pub fn read_key(
    link: &mut dyn Link,
    clock: &dyn Clock,
    key: &[u8],
    now: Duration,
) -> Result<KeySeen> {
    let mut seen = read_once(link, key, now)?;
    let mut is_moving = false;
    for _ in 0..ROUNDS {
        let is_endless =
            matches!(&seen, (Read::Seen { ttl_ms: -1, .. }, Some(Recognised::Lock(_))));
        if !is_endless || clock.sleep(SETTLED).is_err() {
            break;
        }
        let before = std::mem::replace(&mut seen, read_once(link, key, now)?);
        is_moving = match (&before.1, &seen.1) {
            (Some(Recognised::Lock(before)), Some(Recognised::Lock(now))) => {
                changed_hands(before, now)
            }
            (before, now) => before != now,
        };
        if !is_moving {
            break;
        }
    }
    let (read, recognised) = seen;
    Ok(KeySeen { read, recognised, is_moving })
}

/// Whether none of the holders of a lock holds it any more. Where only some of them were read, that can't be
/// known, and is not said.
fn changed_hands(before: &Lock, now: &Lock) -> bool {
    let is_known = |lock: &Lock| lock.held_by == lock.holders.len() as u64;
    let stays = now.holders.iter().any(|holder| before.holders.contains(holder));
    is_known(before) && is_known(now) && before.holders != now.holders && !stays
}

fn read_once(link: &mut dyn Link, key: &[u8], now: Duration) -> Result<(Read, Option<Recognised>)> {
    let mut read = read_all(link, &[key.to_vec()])?.pop().unwrap_or(Read::Gone);
    let recognised = match &read {
        Read::Seen { content, ttl_ms } => {
            recognise(&Key { name: key, content, ttl_ms: *ttl_ms, now })
        }
        _ => None,
    };
    let recognised = match recognised {
        Some(Recognised::Lock(mut lock)) => {
            count_waiting(link, [&mut lock])?;
            Some(Recognised::Lock(lock))
        }
        Some(Recognised::PartOf { keys, alone: Some(lock) }) => {
            match exist(link, [&keys])?.first() {
                Some(Value::Int(0)) => Some(Recognised::Lock(lock)),
                Some(Value::ServerError(error)) => {
                    read = Read::Hidden(refusal("EXISTS", error));
                    None
                }
                _ => Some(Recognised::PartOf { keys, alone: None }),
            }
        }
        other => other,
    };
    Ok((read, recognised))
}

/// The ACL rules that let a user survey all keys.
pub fn rights_to_all() -> Vec<String> {
    let commands = [
        "scan",
        "type",
        "pttl",
        "exists",
        "strlen",
        "getrange",
        "hlen",
        "hkeys",
        "hrandfield",
        "hscan",
        "hstrlen",
        "hget",
        "zcard",
        "zrange",
        "object|encoding",
        "llen",
        "scard",
    ];
    commands.map(|name| format!("+{name}")).into_iter().chain(["~*".into()]).collect()
}

fn scan(link: &mut dyn Link, cursor: &str, scope: &Scope) -> Result<Page> {
    let mut scan = redis::cmd("SCAN");
    scan.arg(cursor);
    // With several patterns all keys come, each once.
    if let [pattern] = scope.patterns.as_slice() {
        scan.arg("MATCH").arg(pattern);
    }
    scan.arg("COUNT").arg(COUNT).query(link).map_err(LockError::redis("SCAN", cursor))
}

fn is_in(scope: &Scope, key: &[u8]) -> bool {
    let is_nodb = scope.without_nodb && key.starts_with(KEY_PREFIX.as_bytes());
    let is_match = || scope.patterns.iter().any(|it| glob_matches(it.as_bytes(), key));
    !is_nodb && (scope.patterns.len() < 2 || is_match())
}

/// What is kept from one batch to the next.
#[derive(Default)]
struct Survey {
    covered: Covered,
    families: Families,
    /// The locks that were handed over: SCAN may give a key twice.
    known: BTreeSet<Vec<u8>>,
    /// Those without a TTL that are to be read again, with the time at which they were read.
    pending: Vec<(Duration, OtherLock)>,
}

impl Survey {
    /// Reads these keys; gives the locks among them.
    fn look(
        &mut self,
        link: &mut dyn Link,
        keys: Vec<Vec<u8>>,
        now: Duration,
    ) -> Result<Vec<OtherLock>> {
        let read = read_all(link, &keys)?;
        let mut locks = Vec::new();
        let mut parts = Vec::new();
        for (key, read) in keys.into_iter().zip(read) {
            let (content, ttl_ms) = match read {
                Read::Seen { content, ttl_ms } => (content, ttl_ms),
                Read::Gone => continue,
                Read::Changed => {
                    self.covered.changed += 1;
                    continue;
                }
                Read::Hidden(words) => {
                    self.covered.unread += 1;
                    self.covered.example.get_or_insert((key, words));
                    continue;
                }
            };
            let shown_by = content.shown_by();
            match recognise(&Key { name: &key, content: &content, ttl_ms, now }) {
                Some(Recognised::Lock(lock)) => {
                    locks.push(OtherLock { key, ttl_ms, shown_by, lock, is_moving: false })
                }
                Some(Recognised::PartOf { keys: of, alone: Some(lock) }) => {
                    parts.push((of, OtherLock { key, ttl_ms, shown_by, lock, is_moving: false }));
                }
                Some(Recognised::Maybe { why }) => self.families.take(Looking { key, ttl_ms }, why),
                Some(Recognised::PartOf { alone: None, .. }) | None => {}
            }
        }
        let exist = exist(link, parts.iter().map(|(keys, _)| keys))?;
        for ((_, lock), exists) in parts.into_iter().zip(exist) {
            match exists {
                Value::Int(0) => locks.push(lock),
                Value::ServerError(error) => {
                    self.covered.unread += 1;
                    let words = refusal("EXISTS", &error);
                    self.covered.example.get_or_insert((lock.key, words));
                }
                _ => {}
            }
        }
        count_waiting(link, locks.iter_mut().map(|one| &mut one.lock))?;
        Ok(locks)
    }

    fn hand_over(&mut self, lock: OtherLock, take: &mut dyn FnMut(OtherLock)) {
        if self.known.insert(lock.key.clone()) {
            take(lock);
        }
    }

    /// Reads those again that had no TTL then or before, and hands them over as they are now.
    fn settle(
        &mut self,
        link: &mut dyn Link,
        now: Duration,
        then: Option<Duration>,
        take: &mut dyn FnMut(OtherLock),
    ) -> Result {
        let due = self.pending.iter().take_while(|(read, _)| Some(*read) <= then).count();
        if due == 0 {
            return Ok(());
        }
        let before: Vec<OtherLock> = self.pending.drain(..due).map(|(_, lock)| lock).collect();
        let keys = before.iter().map(|lock| lock.key.clone()).collect();
        let before: BTreeMap<Vec<u8>, Lock> =
            before.into_iter().map(|lock| (lock.key, lock.lock)).collect();
        for mut lock in self.look(link, keys, now)? {
            let was = before.get(&lock.key);
            lock.is_moving = was.is_some_and(|was| changed_hands(was, &lock.lock));
            self.hand_over(lock, take);
        }
        Ok(())
    }
}

/// How many of the keys of each group exist.
fn exist<'a>(
    link: &mut dyn Link,
    groups: impl IntoIterator<Item = &'a Vec<Vec<u8>>>,
) -> Result<Vec<Value>> {
    let exists = groups.into_iter().map(|keys| {
        let mut exists = redis::cmd("EXISTS");
        exists.arg(keys);
        exists
    });
    ask(link, exists.collect())
}

/// Counts those that wait, where a lock has a queue.
fn count_waiting<'a>(link: &mut dyn Link, locks: impl IntoIterator<Item = &'a mut Lock>) -> Result {
    let mut lengths = Vec::new();
    let with_queue: Vec<&mut Lock> =
        locks.into_iter().filter(|lock| lock.queue.is_some()).collect();
    for queue in with_queue.iter().filter_map(|lock| lock.queue.as_ref()) {
        let mut length = redis::cmd("LLEN");
        length.arg(queue);
        lengths.push(length);
    }
    for (lock, length) in with_queue.into_iter().zip(ask(link, lengths)?) {
        let length: Option<u64> = from_redis_value(length).ok();
        lock.waiting = length.filter(|length| *length > 0);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{Connection, Server};
    use redis_sim::Engine;
    use redis_sim::clock::VirtualClock;
    use std::sync::Arc;

    const CLIENT: &str = "b0a1c2d3-1111-4222-8333-444455556666";

    fn server(clock: &Arc<VirtualClock>, commands: &[&[&str]]) -> Connection {
        let mut link = Server::Embedded(Engine::new(clock.clone())).connect(0).unwrap();
        for words in commands {
            redis::cmd(words[0]).arg(&words[1..]).exec(&mut link).unwrap();
        }
        link
    }

    fn survey(commands: &[&[&str]], scope: &Scope) -> (Vec<String>, Covered) {
        let clock = Arc::new(VirtualClock::new(None));
        let mut link = server(&clock, commands);
        let mut found = Vec::new();
        let take = &mut |lock: OtherLock| found.push(String::from_utf8(lock.key).unwrap());
        let covered = survey_keys(&mut link, &*clock, clock.unix(), scope, take).unwrap();
        found.sort();
        (found, covered)
    }

    fn scope() -> Scope {
        Scope { patterns: Vec::new(), max_keys: u64::MAX, without_nodb: true }
    }

    /// Beside locks, what is left of one, and what belongs to one.
    fn commands() -> [&'static [&'static str]; 8] {
        [
            &["HSET", "order", "b0a1c2d3-1111-4222-8333-444455556666:1", "1"],
            &["RPUSH", "redisson_lock_queue:{order}", "x"],
            &["RPUSH", "redisson_lock_queue:{gone}", "x"],
            &["SET", "bull:mail:12:lock", CLIENT],
            &["SET", "registry:7", CLIENT],
            &["SET", "nodb-lock:run:x", CLIENT],
            &["SET", "page", "<html>"],
            &["SADD", "tags", "a"],
        ]
    }

    #[test]
    fn locks_are_handed_over_and_what_belongs_to_one_is_not() {
        let (found, covered) = survey(&commands(), &scope());
        assert_eq!(found, ["bull:mail:12:lock", "order", "redisson_lock_queue:{gone}"]);
        assert_eq!((covered.keys, covered.is_cut_short, covered.unread), (7, false, 0));
        let families: Vec<&str> = covered.families.iter().map(|it| it.shape.as_str()).collect();
        assert_eq!(families, ["registry:*"]);
    }

    #[test]
    fn a_scope_bounds_what_is_looked_at() {
        let one = Scope { patterns: vec!["bull:*".into()], ..scope() };
        assert_eq!(survey(&commands(), &one).1.keys, 1);
        let two =
            Scope { patterns: vec!["bull:*".into(), "*mail*".into(), "tags".into()], ..scope() };
        assert_eq!(survey(&commands(), &two).1.keys, 2);
        let few = Scope { max_keys: 3, ..scope() };
        let (_, covered) = survey(&commands(), &few);
        assert_eq!((covered.keys, covered.is_cut_short), (3, true));
        let all = Scope { max_keys: 7, ..scope() };
        assert!(!survey(&commands(), &all).1.is_cut_short);
    }

    #[test]
    fn a_lock_of_very_many_readers_is_known_by_some_of_them() {
        let fields: Vec<String> = (0..100).map(|thread| format!("{CLIENT}:{thread}")).collect();
        let mut command = vec!["HSET", "rw", "mode", "read"];
        fields.iter().for_each(|field| command.extend([field.as_str(), "1"]));
        // The embedded server has no command for some of the fields: then it is not recognised, and that
        // is no failure.
        let (found, covered) = survey(&[&command], &scope());
        assert_eq!((found.len(), covered.unread), (0, 0));
    }
}
