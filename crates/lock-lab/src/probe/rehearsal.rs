//! Two subjects of a client are tried out before anything is explored: under which key the client keeps a
//! lock, which words all its subjects send, and which differ from life to life.

use super::canonical::{Request, Vocabulary};
use super::instruction::{Instruction, Kind};
use super::preflight::{failed, watched_key};
use super::process::SubjectError;
use super::subject::{Broken, Subject};
use super::{Client, Shared, Start};
use crate::lock::LockName;
use crate::server::Connection;
use serde_json::json;
use std::collections::{HashMap, HashSet};

/// The lease of locks in a rehearsal, in milliseconds.
pub(super) const REHEARSED_TTL: u64 = 30_000;

/// How often a word that was taken for a token may prove to be a constant.
pub const MOST_LESSONS: u32 = 100;

/// How the lock of a subject is disturbed between its acquire and the rest.
const DISTURBANCES: [Option<[&str; 2]>; 3] =
    [None, Some(["DEL", ""]), Some(["SET", "another-client"])];

/// What a subject sent.
#[derive(Default)]
struct Rehearsed {
    /// All words, but for the names of commands and scripts.
    sent: HashSet<Vec<u8>>,
    /// The first acquire in each life, on an empty server.
    acquires: Vec<Vec<Request>>,
}

/// Tries out a pair of subjects with these locks; gives the keys that hold them where these are not those
/// that the subjects were told.
pub(super) fn rehearse(
    pair: &mut [Subject; 2],
    locks: &[LockName],
    vocabulary: &Vocabulary,
    start: &Start,
) -> Result<HashMap<String, String>, SubjectError> {
    vocabulary.add_lease(&json!({"ttl_ms": REHEARSED_TTL}));
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

/// Does something again as long as a word proves to be a constant.
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
    if one.sent.is_empty() {
        let what = format!(
            "to take and release {} it sent nothing to database 0, where locks are; if its client \
             selects another, take that away",
            lock.key()
        );
        return Err(SubjectError::NotRehearsed(what));
    }
    for subject in [&one, &other] {
        vocabulary.compare(&subject.acquires);
    }
    vocabulary.add(one.sent.intersection(&other.sent).cloned());
    Ok(key)
}

/// What both came to; that a word is a constant goes before any other error.
fn both<T>(of: [Result<T, SubjectError>; 2]) -> Result<[T; 2], SubjectError> {
    match of {
        [_, Err(SubjectError::Learned)] => Err(SubjectError::Learned),
        [one, other] => Ok([one?, other?]),
    }
}

/// Lets a subject do everything once, on a server of its own, with success and without.
fn live(
    subject: &mut Subject,
    lock: &LockName,
    key: &str,
    start: &Start,
) -> Result<Rehearsed, SubjectError> {
    let mut rehearsed = Rehearsed::default();
    let about = subject.about().clone();
    let well = |told: Result<(), Broken>| match told {
        Err(Broken::Subject(error)) => Err(error),
        _ => Ok(()),
    };
    let kinds = match about.shared.and_then(Shared::strictest) {
        None => vec![None],
        Some(strictest) => vec![Some(strictest), Some(Kind::Read)],
    };
    let lives =
        kinds.into_iter().flat_map(|kind| DISTURBANCES.map(|disturbance| (kind, disturbance)));
    for (life, (kind, disturbance)) in (0..).zip(lives) {
        let tell = |subject: &mut Subject, instruction: Instruction, link: &mut Connection| {
            match subject.instruct(&instruction.line(lock, REHEARSED_TTL, kind), link) {
                // What it meets here it may fail on.
                Ok(_) if disturbance.is_some() => Ok(()),
                Ok(answer) => answer.unless_failed(instruction).map(drop),
                Err(broken) => well(Err(broken)),
            }
        };
        let mut server = start.server()?.connect(0)?;
        // A life that it has lived, if it is tried out again, begins again.
        well(subject.begin(u64::MAX - 100))?;
        well(subject.begin(u64::MAX - life))?;
        tell(subject, Instruction::Acquire, &mut server)?;
        rehearsed.acquires.push(subject.requests().to_vec());
        let kind: String = redis::cmd("TYPE").arg(key).query(&mut server).map_err(failed)?;
        // Of another kind it would be an error of ours that the client meets.
        let is_apt = |[command, _]: &[&str; 2]| *command == "DEL" || kind == "string";
        if let Some([command, value]) = disturbance.filter(is_apt) {
            let value = Some(value).filter(|value| !value.is_empty());
            let disturbed = redis::cmd(command).arg(key).arg(value).exec(&mut server);
            disturbed.map_err(failed)?;
        }
        let more = [Instruction::Write, Instruction::Extend].into_iter();
        for instruction in more.filter(|it| about.can(it.word())) {
            tell(subject, instruction, &mut server)?;
        }
        tell(subject, Instruction::Release, &mut server)?;
        tell(subject, Instruction::Acquire, &mut server)?;
        for request in subject.requests() {
            let is_script = request.first().is_some_and(|name| name.eq_ignore_ascii_case(b"EVAL"));
            rehearsed.sent.extend(request.iter().skip(if is_script { 2 } else { 1 }).cloned());
        }
    }
    Ok(rehearsed)
}
