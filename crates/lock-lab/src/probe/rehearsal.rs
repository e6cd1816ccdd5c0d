//! Two subjects of a client are tried out before anything is explored: under which key the client keeps a
//! lock, which words all its subjects send, and which differ from life to life.

use super::canonical::{Request, Vocabulary};
use super::instruction::{Instruction, Kind};
use super::preflight::{failed, watched_key};
use super::process::SubjectError;
use super::subject::{Answer, Broken, Subject};
use super::{Client, Shared, Start};
use crate::lock::LockName;
use crate::server::Connection;
use redis::{RedisResult, cmd};
use serde_json::json;
use std::collections::{HashMap, HashSet};

/// The lease of locks in a rehearsal, in milliseconds.
pub(super) const REHEARSED_TTL: u64 = 30_000;
/// Another one: what is just below both, in a life with each, comes from the lease.
const OTHER_TTL: u64 = 20_000;

/// How often something may be learned of what words stand for.
pub const MOST_LESSONS: u32 = 100;

/// In how many lives it is compared what a subject sends.
const LIVES: usize = 3;

/// How the lock of a subject is disturbed between its acquire and the rest.
const DISTURBANCES: [Option<Disturbance>; 3] =
    [None, Some(Disturbance::Deleted), Some(Disturbance::OfAnother)];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Disturbance {
    Deleted,
    /// Another client holds it.
    OfAnother,
}

/// Tries out a pair of subjects with these locks; gives the keys that hold them where these are not those
/// that the subjects were told.
pub(super) fn rehearse(
    pair: &mut [Subject; 2],
    locks: &[LockName],
    vocabulary: &Vocabulary,
    start: &Start,
) -> Result<HashMap<String, String>, SubjectError> {
    for ttl in [REHEARSED_TTL, OTHER_TTL] {
        vocabulary.add_lease(&json!({"ttl_ms": ttl}));
    }
    vocabulary.add(locks.iter().map(|lock| lock.key().as_bytes().to_vec()));
    let mut watched = HashMap::new();
    for lock in locks {
        let key = until_learned(|| try_out(pair, lock, vocabulary, start))?;
        if key != lock.key() {
            watched.insert(lock.key().to_owned(), key);
        }
    }
    vocabulary.take_learned();
    Ok(watched)
}

/// Does something again as long as something is learned of what words stand for.
pub(super) fn until_learned<T>(
    mut act: impl FnMut() -> Result<T, SubjectError>,
) -> Result<T, SubjectError> {
    for _ in 0..MOST_LESSONS {
        match act() {
            Err(SubjectError::Learned) => {}
            other => return other,
        }
    }
    act()
}

fn try_out(
    pair: &mut [Subject; 2],
    lock: &LockName,
    vocabulary: &Vocabulary,
    start: &Start,
) -> Result<String, SubjectError> {
    let shared = pair[0].about().shared;
    for kind in kinds(shared) {
        let lives = pair
            .each_mut()
            .map(|subject| acquires(subject, lock, kind, [REHEARSED_TTL; LIVES], start));
        start.check_server()?;
        let lives = both(lives)?;
        let words = |lives: &Vec<Vec<Request>>| lives.iter().flatten().flat_map(words).collect();
        let [one, other] = lives.each_ref().map(words);
        vocabulary.compare(&lives.concat());
        vocabulary.add_common(&one, &other);
        let other = acquires(&mut pair[0], lock, kind, [OTHER_TTL; 1], start);
        start.check_server()?;
        for (ttl, requests) in [(REHEARSED_TTL, &lives[0]), (OTHER_TTL, &other?)] {
            requests.iter().for_each(|requests| vocabulary.check_leases(requests, ttl));
        }
    }
    let keys = pair.each_mut().map(|subject| watched_key(subject, lock, start, shared));
    start.check_server()?;
    let [key, other] = both(keys)?;
    if key != other {
        let what = format!("its locks have keys of their own: {key} and {other}");
        return Err(SubjectError::NotRehearsed(what));
    }
    let sent = pair.each_mut().map(|subject| live(subject, lock, &key, start));
    start.check_server()?;
    let [one, other] = both(sent)?;
    if one.is_empty() {
        let what = format!(
            "to take and release {} it sent nothing to database 0, where locks are; if its client \
             selects another, take that away",
            lock.key()
        );
        return Err(SubjectError::NotRehearsed(what));
    }
    vocabulary.add_common(&one, &other);
    Ok(key)
}

/// What both came to; that something was learned goes before any other error.
fn both<T>(of: [Result<T, SubjectError>; 2]) -> Result<[T; 2], SubjectError> {
    match of {
        [_, Err(SubjectError::Learned)] => Err(SubjectError::Learned),
        [one, other] => Ok([one?, other?]),
    }
}

/// How a client uses a lock.
fn kinds(shared: Option<Shared>) -> Vec<Option<Kind>> {
    match shared.and_then(Shared::strictest) {
        None => vec![None],
        Some(strictest) => vec![Some(strictest), Some(Kind::Read)],
    }
}

/// Lets a subject do everything once, on a server of its own, with success and without; gives the words that it
/// sends.
fn live(
    subject: &mut Subject,
    lock: &LockName,
    key: &str,
    start: &Start,
) -> Result<HashSet<Vec<u8>>, SubjectError> {
    let mut sent = HashSet::new();
    let about = subject.about().clone();
    let lives = kinds(about.shared)
        .into_iter()
        .flat_map(|kind| DISTURBANCES.map(|disturbance| (kind, disturbance)));
    for (life, (kind, disturbance)) in (0..).zip(lives) {
        let tell = |subject: &mut Subject, instruction: Instruction, link: &mut Connection| {
            match tell(subject, instruction.line(lock, REHEARSED_TTL, kind), link)? {
                // What it meets here it may fail on.
                Some(answer) if disturbance.is_some() => Ok(answer.ok),
                Some(answer) => answer.unless_failed(instruction).map(|answer| answer.ok),
                None => Ok(false),
            }
        };
        let mut server = start.server()?.connect(0)?;
        begin(subject, life)?;
        if !tell(subject, Instruction::Acquire, &mut server)? {
            // It holds nothing to release.
            sent.extend(subject.requests().iter().flat_map(words));
            continue;
        }
        disturb(disturbance, subject, key, &mut server).map_err(failed)?;
        let more = [Instruction::Write, Instruction::Extend].into_iter();
        for instruction in more.filter(|it| about.can(it.word())) {
            tell(subject, instruction, &mut server)?;
        }
        tell(subject, Instruction::Release, &mut server)?;
        tell(subject, Instruction::Acquire, &mut server)?;
        sent.extend(subject.requests().iter().flat_map(words));
    }
    Ok(sent)
}

/// The words of a request, but for the names of commands and scripts.
fn words(request: &Request) -> impl Iterator<Item = Vec<u8>> {
    let is_script = request.first().is_some_and(|name| name.eq_ignore_ascii_case(b"EVAL"));
    request.iter().skip(if is_script { 2 } else { 1 }).cloned()
}

/// What a subject sends to acquire a lock on an empty server, in a life with each of these leases. What it is
/// answered may make it fail as long as nothing is known of its values.
fn acquires<const N: usize>(
    subject: &mut Subject,
    lock: &LockName,
    kind: Option<Kind>,
    ttls: [u64; N],
    start: &Start,
) -> Result<Vec<Vec<Request>>, SubjectError> {
    let mut lives = Vec::new();
    for (life, ttl) in (0..).zip(ttls) {
        let mut server = start.server()?.connect(0)?;
        begin(subject, life)?;
        tell(subject, Instruction::Acquire.line(lock, ttl, kind), &mut server)?;
        lives.push(subject.requests().to_vec());
    }
    Ok(lives)
}

/// Begins a life. One that it has lived, if it is tried out again, begins again.
fn begin(subject: &mut Subject, life: u64) -> Result<(), SubjectError> {
    let life = u64::MAX - life;
    if subject.lives(life) {
        well(subject.begin(u64::MAX - 100))?;
    }
    well(subject.begin(life))
}

/// Its answer; none, if it crashes.
fn tell(
    subject: &mut Subject,
    instruction: serde_json::Value,
    link: &mut Connection,
) -> Result<Option<Answer>, SubjectError> {
    match subject.instruct(&instruction, link) {
        Ok(answer) => Ok(Some(answer)),
        Err(Broken::Subject(error)) => Err(error),
        Err(Broken::Crashed(_)) => Ok(None),
    }
}

fn well(told: Result<(), Broken>) -> Result<(), SubjectError> {
    match told {
        Err(Broken::Subject(error)) => Err(error),
        _ => Ok(()),
    }
}

fn disturb(
    disturbance: Option<Disturbance>,
    subject: &Subject,
    key: &str,
    server: &mut Connection,
) -> RedisResult<()> {
    match disturbance {
        None => Ok(()),
        Some(Disturbance::Deleted) => cmd("DEL").arg(key).exec(server),
        Some(Disturbance::OfAnother) => {
            let kind: String = cmd("TYPE").arg(key).query(server)?;
            // Of another kind it would be an error of ours that the client meets.
            if kind != "string" {
                return Ok(());
            }
            let content: Vec<u8> = cmd("GET").arg(key).query(server)?;
            cmd("SET").arg(key).arg(subject.of_another(&content)).exec(server)
        }
    }
}
