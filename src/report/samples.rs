//! Reports made by hand, for the writers' tests, and the golden files that the tests compare with.

use super::Outcome;
use super::{
    ActorRow, EventRow, FindingRow, KeyState, LocalToken, Repetition, Report, SnapshotRow, Summary,
};
use lock_history::check::{Expected, Property, Status, Verdict};
use serde_json::json;

const TOKEN: &str = "3f2a91bc04de4e1f8a55d6c7b8091a2b";
const OWNER: &str = "build-7:41872";

fn report(scenario: &str, title: &str) -> Report {
    Report {
        schema: "nodb-trigger/report/v1",
        scenario: scenario.into(),
        title: title.into(),
        file: None,
        server: "embedded".into(),
        server_from: None,
        clock: "wall",
        processes: false,
        seed: None,
        protocol: "legacy".into(),
        working_directory: "/tmp/debug".into(),
        runid: "debug".into(),
        state_files: vec!["debug_lock_test.nodb".into()],
        lock_only: false,
        parameters: serde_json::Map::new(),
        summary: Summary {
            attempts: 0,
            succeeded: 0,
            already_locked: 0,
            errors: 0,
            refused_steps: 0,
            elapsed_ms: 2004.2,
            start_skew_us: None,
        },
        actors: Vec::new(),
        consistency: Vec::new(),
        rows: Vec::new(),
        findings: Vec::new(),
        expectations: Vec::new(),
        verdict: Verdict::Expected,
        outcome: Outcome::AsExpected,
        notices: Vec::new(),
        replay: None,
        repetition: None,
    }
}

pub(super) fn actor(index: usize, name: &str, status: Status, ms: f64, error: &str) -> ActorRow {
    let error = (!error.is_empty()).then(|| error.to_owned());
    ActorRow { name: name.into(), index, status, duration_ms: ms, error }
}

fn expectation(met: bool, what: &str, found: &str) -> Expected {
    Expected { what: what.into(), met: Some(met), found: found.into() }
}

fn free(label: &str) -> SnapshotRow {
    SnapshotRow {
        label: label.into(),
        lock_key: "nodb-lock:debug:debug_lock_test.nodb".into(),
        redis_lock_exists: false,
        redis_payload: None,
        redis_token: None,
        owner: None,
        ttl_ms: -2,
        hash_value: Some("false".into()),
        local_token: None,
        controller_locked: false,
        states_consistent: true,
        diagnosis: "consistent",
        explanation: "Lock key, flag and local token agree.",
    }
}

pub(super) fn orphaned(label: &str) -> SnapshotRow {
    SnapshotRow {
        redis_lock_exists: true,
        redis_payload: Some(format!(r#"{{"token":"{TOKEN}","owner":"{OWNER}"}}"#)),
        redis_token: Some(TOKEN.into()),
        owner: Some(OWNER.into()),
        ttl_ms: 299_998,
        hash_value: Some("true".into()),
        controller_locked: true,
        states_consistent: false,
        diagnosis: "orphaned",
        explanation: "The lock exists, but this controller holds no token for it: nobody here \
                      can release it, and it stays until its TTL ends or somebody clears it.",
        ..free(label)
    }
}

/// A row after which the lock is held.
fn row(at_ms: f64, actor: &str, did: &str) -> EventRow {
    EventRow {
        at_ms,
        actor: Some(actor.into()),
        group: Some("thread".into()),
        lock: "main".into(),
        did: did.into(),
        commands: vec!["SET".into()],
        failure: None,
        key: KeyState::Held,
        owner: Some("thread 4".into()),
        ttl_ms: Some(21_600_000.0),
        flag: Some(true),
        local_token: Some(LocalToken::Held),
        believers: Vec::new(),
        states_consistent: Some(true),
        explanation: "consistent".into(),
        is_moment: false,
    }
}

/// What a herd of which the fourth wins did.
fn rows_of_herd(actors: &[ActorRow], refusal: &str) -> Vec<EventRow> {
    let refused = actors.iter().filter(|actor| actor.status == Status::AlreadyLocked);
    let refused = refused.zip(0..).map(|(actor, place)| EventRow {
        failure: Some(refusal.into()),
        explanation: "owner thread 4".into(),
        is_moment: place == 0,
        ..row(actor.duration_ms, &actor.name, "already locked")
    });
    let released = EventRow {
        commands: ["GET", "DEL", "HSET"].map(str::to_owned).to_vec(),
        key: KeyState::Gone,
        owner: None,
        ttl_ms: None,
        flag: Some(false),
        local_token: Some(LocalToken::None),
        ..row(2003.9, "thread 4", "writes the file, releases")
    };
    [row(0.1, "thread 4", "acquires")].into_iter().chain(refused).chain([released]).collect()
}

/// A herd on the embedded server: the fourth of `threads` wins.
pub(super) fn herd(threads: usize) -> Report {
    let mut report = report("thundering_herd", "many threads want one lock at the same moment");
    let parameters = json!({"threads": threads, "hold": "2s", "ttl": "6h"});
    report.parameters = parameters.as_object().cloned().unwrap();
    let refusal = format!("lock() called on an already locked nodb (owner={OWNER})");
    let winner = 3.min(threads - 1);
    report.actors = (0..threads)
        .map(|index| {
            let name = format!("thread {}", index + 1);
            if index == winner {
                actor(index, &name, Status::Success, 2003.9, "")
            } else {
                let ms = 0.4 + index as f64 * 0.02;
                actor(index, &name, Status::AlreadyLocked, ms, &refusal)
            }
        })
        .collect();
    report.rows = rows_of_herd(&report.actors, &refusal);
    report.summary.attempts = threads;
    report.summary.succeeded = 1;
    report.summary.already_locked = threads - 1;
    report.summary.start_skew_us = Some(84.2);
    report.consistency = vec![free("before"), free("after")];
    report.expectations = vec![
        expectation(true, "1 actor succeeds", "1"),
        expectation(true, &format!("{} actors find the lock taken", threads - 1), "all of them"),
    ];
    report
}

/// An orphan on a real Redis, with something unmet and something to note.
pub(super) fn orphan() -> Report {
    let mut report = report("orphaned_locks", "a lock that nobody remembers, and how to clear it");
    report.server = "redis://ops@redis.example.org:6379/0 (7.0.15)".into();
    report.parameters = json!({"ttl": "5m"}).as_object().cloned().unwrap();
    report.actors = vec![
        actor(
            0,
            "intruder",
            Status::AlreadyLocked,
            1.26,
            &format!("lock() called on an already locked nodb (owner={OWNER})"),
        ),
        actor(1, "cleaner", Status::Success, 5.84, ""),
        actor(2, "successor", Status::Error, 350.2, "cannot dump to unlocked db"),
    ];
    report.summary = Summary {
        attempts: 3,
        succeeded: 1,
        already_locked: 1,
        errors: 1,
        refused_steps: 0,
        elapsed_ms: 361.0,
        start_skew_us: None,
    };
    report.consistency = vec![
        orphaned("planted"),
        free("cleared"),
        SnapshotRow { local_token: Some(TOKEN.into()), ..orphaned("locked again") },
        SnapshotRow {
            hash_value: Some("true".into()),
            states_consistent: false,
            diagnosis: "flag_drift",
            explanation: "The flag says locked, and there is no lock.",
            ..free("at the end")
        },
    ];
    report.consistency[2].states_consistent = true;
    report.consistency[2].diagnosis = "consistent";
    report.consistency[2].explanation = "Lock key, flag and local token agree.";
    report.expectations = vec![
        expectation(true, "the step `first try` is refused: already locked", "already locked"),
        expectation(false, "`successor` succeeds", "error: cannot dump to unlocked db"),
    ];
    (report.verdict, report.outcome) = (Verdict::Unexpected, Outcome::NotAsExpected);
    report.notices = vec![
        "removed the lock of a dead process of this host (build-7:40001, 5 h 12 min left)".into(),
    ];
    report
}

/// What a run directory and a server can do to a report.
pub(super) fn hostile() -> Report {
    let mut report = orphan();
    report.working_directory = "/tmp/it's a \"run\" [*]\n\u{1b}[31mRot\u{202e}/Übung ロック".into();
    report.runid = "Übung ロック\r".into();
    report.actors[0].name = "名前\tと\u{7}".into();
    report.actors[0].error = Some("WRONGTYPE\r\n\u{1b}]0;title\u{7} ".repeat(9));
    report.rows = vec![EventRow {
        key: KeyState::Unknown,
        flag: None,
        local_token: None,
        states_consistent: None,
        explanation: "\u{1b}[2J".repeat(9),
        ..row(1.0, "名前\t", "the server evicted\r\n\u{7}")
    }];
    report.consistency[0].label = "la\nbel".into();
    report.consistency[0].owner = Some("host\u{1b}[2J".repeat(20));
    report.consistency[0].redis_token = Some("\u{0}\u{9b}31m".into());
    report.consistency[0].hash_value = Some("\n\n\n".into());
    report.expectations[0].found = "\u{1b}c".into();
    report.notices.push("no\u{b}tice".into());
    report
}

/// A run that was interrupted before there was a result.
pub(super) fn interrupted() -> Report {
    let mut report = herd(2);
    report.clock = "virtual";
    report.actors.clear();
    report.rows.clear();
    report.consistency.clear();
    report.expectations.clear();
    (report.verdict, report.outcome) = (Verdict::Inconclusive, Outcome::Inconclusive);
    report
}

/// A finding about two of a herd.
pub(super) fn finding(text: &str) -> FindingRow {
    FindingRow {
        property: Property::ForeignRelease,
        lock: "main".into(),
        actors: vec!["A".into(), "B".into()],
        at_ms: 5001.0,
        time: None,
        text: text.into(),
        cause: None,
    }
}

/// A hundred runs of a herd, of which the 17th went wrong.
pub(super) fn repeated() -> Report {
    let mut unexpected = orphan();
    unexpected.clock = "virtual";
    unexpected.seed = Some(21);
    unexpected.findings = vec![finding("A's release at 5.001 s deleted B's lock")];
    let mut repetition = Repetition::new(Some(5));
    let usual = herd(10);
    for number in 1..=100 {
        repetition.add(if number == 17 { &unexpected } else { &usual });
    }
    unexpected.repetition = Some(repetition);
    unexpected
}

/// Fails unless `tests/golden/NAME.snap` holds this text. After a change that is meant, renew all
/// golden files with `INSTA_UPDATE=always cargo test golden` and read the diff.
pub(crate) fn assert_golden(name: &str, text: &str) {
    // The comparison ignores white space at the end.
    assert_eq!(text, format!("{}\n", text.trim_end()), "{name} ends with one newline");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}
