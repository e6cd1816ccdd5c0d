//! Clients of every format on a real server: what a recording says is what their own logs say.

use super::{Recording, check};
use crate::lock_formats::{Format, formats};
use crate::program::Place;
use crate::redis_server::{RedisServer, redis_or_skip};
use lock_history::check::{Checked, Property};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

const CLIENTS: usize = 3;
/// How often each client acquires its lock.
const ROUNDS: usize = 5;

/// How many recordings there are of each kind: `NODB_RECORDINGS`, or one.
fn recordings() -> usize {
    std::env::var("NODB_RECORDINGS").map_or(1, |number| number.parse().unwrap())
}

/// What the clients of one lock know.
#[derive(Debug, Default)]
struct Log {
    /// How often it was acquired.
    acquired: u64,
    /// How often a release found that the lock was lost.
    lost: u64,
}

/// One client, to its end; a faulty one deletes the key when it is refused.
fn client(redis: &RedisServer, format: &Format, tokens: &AtomicU64, is_faulty: bool) -> Log {
    let mut con = redis.client().get_connection().unwrap();
    let mut log = Log::default();
    for _ in 0..ROUNDS {
        let number = tokens.fetch_add(1, Ordering::SeqCst);
        let token = format.token.map(|token| token(number));
        while !format.acquires(&mut con, token.as_ref()) {
            if is_faulty {
                redis::cmd("DEL").arg(format.key).exec(&mut con).unwrap();
            }
            thread::sleep(Duration::from_millis(1));
        }
        log.acquired += 1;
        thread::sleep(Duration::from_millis(2));
        log.lost += u64::from(!format.releases(&mut con, token.as_ref()));
    }
    log
}

/// What the clients of a lock know together.
fn clients(redis: &RedisServer, format: &Format, has_fault: bool) -> Log {
    let tokens = AtomicU64::default();
    thread::scope(|scope| {
        let start = |number| {
            let tokens = &tokens;
            scope.spawn(move || client(redis, format, tokens, has_fault && number == 0))
        };
        let threads: Vec<_> = (0..CLIENTS).map(start).collect();
        let logs = threads.into_iter().map(|one| one.join().unwrap());
        logs.fold(Log::default(), |all, one| Log {
            acquired: all.acquired + one.acquired,
            lost: all.lost + one.lost,
        })
    })
}

/// What was recorded of a lock.
struct Said {
    key: &'static str,
    log: Log,
    found: Vec<Property>,
    reasons: Vec<String>,
}

/// Records the clients of all locks at once.
fn recorded(redis: &RedisServer, formats: &[Format], has_fault: bool) -> Vec<Said> {
    let place = Place::new();
    let patterns = formats.iter().flat_map(|format| ["--pattern", format.key]);
    let recording = Recording::start(redis, &place, "h", &patterns.collect::<Vec<_>>());
    let logs: Vec<Log> = thread::scope(|scope| {
        let start = |format| scope.spawn(move || clients(redis, format, has_fault));
        let locks: Vec<_> = formats.iter().map(start).collect();
        locks.into_iter().map(|lock| lock.join().unwrap()).collect()
    });
    let (_, history) = recording.end();
    let Checked { findings, .. } = check(&history);
    let said = formats.iter().zip(logs).map(|(format, log)| {
        let is_its = |lock: usize| {
            let name = &history.head.locks[lock];
            name.strip_prefix(format.key)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('['))
        };
        let found = findings.iter().filter(|finding| is_its(finding.lock));
        // Which of several waiters starves is a matter of definition.
        let found = found.map(|finding| finding.property);
        let begin = format!("{}: ", format.key);
        // A reason names only the first of several keys.
        let is_reason = |why: &&String| {
            why.starts_with(&begin) || !why.contains(": ") || why.contains(" more key")
        };
        let reasons = history.head.incomplete.iter().filter(is_reason).cloned().collect();
        let found = found.filter(|property| *property != Property::Starvation).collect();
        Said { key: format.key, log, found, reasons }
    });
    said.collect()
}

/// A lock with a member that says that it is a writer's.
const SYMFONY: &str = "invoice";
const SHARED: &str =
    "invoice: how many may hold it at once is not known, so whether too many did is not judged";

#[test]
fn correct_clients_of_every_format_are_clean() {
    for _ in 0..recordings() {
        for events in ["Exe", ""] {
            let redis = redis_or_skip!(version "7", "--notify-keyspace-events", events);
            for Said { key, log, found, reasons } in recorded(&redis, &formats(), false) {
                assert_eq!((log.acquired, log.lost), ((CLIENTS * ROUNDS) as u64, 0), "{key}");
                let expected = if key == SYMFONY { vec![SHARED.to_owned()] } else { vec![] };
                assert_eq!((found, reasons), (vec![], expected), "{key} {events}");
            }
        }
    }
}

#[test]
fn a_client_that_deletes_the_locks_of_others_is_found_in_every_format_with_tokens() {
    let mut formats = formats();
    formats.retain(|format| format.token.is_some());
    for _ in 0..recordings() {
        for events in ["Exe", ""] {
            let redis = redis_or_skip!(version "7", "--notify-keyspace-events", events);
            let said = recorded(&redis, &formats, true);
            for Said { key, log, found, reasons } in &said {
                let is_told = found.contains(&Property::ForeignRelease) || !reasons.is_empty();
                assert!(is_told || log.lost == 0, "{key} {events}: {log:?}");
            }
            let lost = said.iter().filter(|one| one.log.lost > 0).count();
            let found = said.iter().filter(|one| one.found.contains(&Property::ForeignRelease));
            let found: Vec<&str> = found.map(|one| one.key).collect();
            assert!(found.len() * 4 >= lost * 3, "{found:?} of {lost}");
        }
    }
}
