//! The model, fed with lines of MONITOR.

mod members;
mod rewrites;

use super::*;
use crate::record::key_snapshot::{Content, KeySnapshot};
use crate::record::recording::Way;
use crate::record::to_history::{Frame, to_history};
use lock_history::check::{Property, check};
use lock_history::history::History;

/// When everything begins, in microseconds since 1970.
const START: u64 = 1_000_000_000_000_000;

/// A recording; each command takes a millisecond.
pub(super) struct Fed {
    model: KeysModel,
    now: u64,
}

/// What became of it.
pub(super) struct Outcomes {
    pub history: History,
    pub counts: Counts,
    pub reasons: Vec<String>,
}

impl Fed {
    pub fn new() -> Self {
        let mut model = KeysModel::new(Watch::new(None, &["l*".into()]));
        model.reports_expiry(true);
        model.snapshot_is_taken();
        Self { model, now: START }
    }

    /// A lock is held when the recording begins.
    pub fn where_it_is_held(key: &str, value: &str, ttl: i64) -> Self {
        let mut model = KeysModel::new(Watch::new(None, &["l*".into()]));
        model.reports_expiry(true);
        let snapshot = KeySnapshot { content: Content::Text(value.into()), ttl, flag: None };
        model.snapshot(key.as_bytes(), &snapshot, (START, START));
        model.snapshot_is_taken();
        Self { model, now: START }
    }

    /// A server that does not tell when leases expire.
    pub fn without_notifications() -> Self {
        let mut model = KeysModel::new(Watch::new(None, &["l*".into()]));
        model.snapshot_is_taken();
        Self { model, now: START }
    }

    /// Commands of a client, one in each line; those that are indented are of the script in the line before.
    /// Clients 1 and 11 are on one host.
    pub fn runs(&mut self, client: u16, commands: &str) -> &mut Self {
        for command in commands.lines().filter(|command| !command.trim().is_empty()) {
            let source = match command.starts_with(' ') {
                true => CommandSource::Script,
                false => CommandSource::Client(address(client)),
            };
            self.now += 1000;
            let arguments = command.split_whitespace().map(|word| word.into()).collect();
            self.model.line(&MonitorLine { at: self.now, db: 0, source, arguments });
        }
        self
    }

    pub fn passes(&mut self, milliseconds: u64) -> &mut Self {
        self.now += milliseconds * 1000;
        self
    }

    pub fn expires(&mut self, key: &str) -> &mut Self {
        self.model.expired(key.as_bytes());
        self
    }

    /// The recording reads a key.
    pub fn reads(&mut self, key: &str, value: Option<&str>, ttl: i64) -> &mut Self {
        let content = value.map_or(Content::Nothing, |value| Content::Text(value.into()));
        self.reads_content(key, content, ttl)
    }

    pub fn reads_content(&mut self, key: &str, content: Content, ttl: i64) -> &mut Self {
        self.now += 1000;
        let source = CommandSource::Client("10.0.0.99:1".into());
        let arguments = vec![b"PTTL".to_vec(), key.into()];
        let span = self.model.passed(&MonitorLine { at: self.now, db: 0, source, arguments });
        self.model.snapshot(key.as_bytes(), &KeySnapshot { content, ttl, flag: None }, span);
        self
    }

    /// The recording ends, and all clients are still connected.
    pub fn ends(&mut self) -> Outcomes {
        self.ends_with(&(0..20).collect::<Vec<_>>())
    }

    /// The recording ends, and only these clients are still connected.
    pub fn ends_with(&mut self, open: &[u16]) -> Outcomes {
        let addresses: Vec<String> = open.iter().map(|client| address(*client)).collect();
        self.model.note_open(&addresses.iter().map(String::as_str).collect());
        self.ends_unlisted()
    }

    /// The recording ends, and the server does not list its clients.
    pub fn ends_unlisted(&mut self) -> Outcomes {
        let model = std::mem::take(&mut self.model);
        let (seen, counts, reasons) = model.finish();
        let mut said = reasons.in_words();
        let (way, began, ended) = (Way::Monitor, START, self.now + 1000);
        let frame = Frame { server: "test".into(), way, began, ended, reasons };
        let history = to_history(&seen, &frame);
        said.extend(
            history
                .head
                .incomplete
                .iter()
                .filter(|why| !said.contains(*why))
                .cloned()
                .collect::<Vec<_>>(),
        );
        Outcomes { history, counts, reasons: said }
    }
}

fn address(client: u16) -> String {
    format!("10.0.0.{}:{}", client % 10, 5000 + client)
}

impl Outcomes {
    pub fn found(&self) -> Vec<Property> {
        check(&self.history).findings.iter().map(|finding| finding.property).collect()
    }

    /// Complete, and without any finding.
    #[track_caller]
    pub fn is_clean(&self) {
        assert_eq!((self.found(), &self.reasons), (Vec::new(), &Vec::new()));
        assert!(check(&self.history).is_complete);
    }

    #[track_caller]
    pub fn says(&self, why: &str) {
        assert!(self.reasons.iter().any(|reason| reason == why), "{:?}", self.reasons);
    }
}

#[test]
fn a_key_that_is_as_believed_changes_nothing() {
    let mut fed = Fed::new();
    fed.reads("l", None, -2).runs(1, "SET l token-1 NX PX 60000").reads(
        "l",
        Some("token-1"),
        59_999,
    );
    fed.runs(2, "SET l token-2 NX").runs(1, "PERSIST l").reads("l", Some("token-1"), -1);
    let ended = fed.runs(1, "DEL l").reads("l", None, -2).ends();
    ended.is_clean();
    assert_eq!((ended.counts.acquisitions, ended.counts.refusals), (1, 1));
}

#[test]
fn a_difference_makes_the_history_incomplete_and_the_key_is_followed_no_more() {
    let held = "SET l token-1 NX PX 60000";
    for (before, value, ttl, why) in [
        (held, None, -2, "it was gone, and no command that was seen had removed it"),
        (
            held,
            Some("token-2"),
            59_000,
            "it held something else than the commands that were seen had written",
        ),
        (held, Some("token-1"), -1, "its TTL was not what the commands that were seen had set"),
        (held, Some("token-1"), 9_000, "its TTL was not what the commands that were seen had set"),
        ("GET l", Some("token-2"), -1, "it was there, and no command that was seen had written it"),
    ] {
        let mut fed = Fed::new();
        let ended =
            fed.runs(1, before).reads("l", value, ttl).runs(2, "DEL l").runs(1, "DEL l").ends();
        ended.says(&format!("l: {why}"));
        assert_eq!(ended.found(), [], "{why}");
    }
}

#[test]
fn what_the_key_shows_ends_a_doubt() {
    let mut fed = Fed::without_notifications();
    fed.runs(1, "SET l token-1 NX PX 100").passes(99).runs(2, "SET l token-2 NX PX 60000");
    fed.reads("l", Some("token-2"), 59_999);
    let ended = fed.runs(2, "DEL l").ends();
    assert_eq!((ended.counts.acquisitions, ended.counts.undecided), (2, 0), "{:?}", ended.reasons);
}

#[test]
fn a_lock_that_was_held_before_has_no_ttl_and_refuses_all_is_stuck() {
    let attempt = "SET l token-2 NX PX 60000";
    let attempts = |count: usize| vec![(1, attempt); count];
    let stuck = |ttl, pause, commands: &[(u16, &str)], open: Option<&[u16]>| {
        let mut fed = Fed::where_it_is_held("l", "token-1", ttl);
        for (client, commands) in commands {
            fed.runs(*client, commands).passes(pause);
        }
        let ended = match open {
            Some(open) => fed.ends_with(open),
            None => fed.ends_unlisted(),
        };
        assert!(!ended.reasons.is_empty());
        ended.found() == [Property::StuckLock]
    };
    let and = |more: (u16, &'static str)| [attempts(10), vec![more]].concat();
    let (one, two): (Option<&[u16]>, Option<&[u16]>) = (Some(&[1]), Some(&[1, 2]));
    assert!(stuck(-1, 200, &attempts(10), one));
    assert!(stuck(-1, 200, &[attempts(9), vec![(2, "SETNX l token-3")]].concat(), two));
    assert!(stuck(-1, 200, &and((1, "GET l")), one));
    for (ttl, pause, commands, open) in [
        (-1, 200, attempts(9), one),
        (-1, 10, attempts(10), one),
        (60_000, 200, attempts(10), one),
        // Another client is there, which works or waits; or whether there is one is unknown.
        (-1, 200, and((2, "SET other x")), two),
        (-1, 200, attempts(10), two),
        (-1, 200, attempts(10), None),
        // The holder may be the one that asks.
        (-1, 200, and((2, "GET l")), two),
        (-1, 200, and((2, "PEXPIRE l 60000")), two),
        (-1, 200, and((2, "DEL l")), two),
    ] {
        assert!(!stuck(ttl, pause, &commands, open), "{commands:?}");
    }
}

#[test]
fn a_holder_from_before_the_recording_is_not_said_to_believe_anything() {
    let mut fed = Fed::where_it_is_held("l", "token-1", 300);
    fed.passes(400).expires("l").runs(2, "SET l token-2 NX PX 300\nDEL l");
    let ended = fed.ends();
    assert_eq!(ended.found(), []);
    ended.says("l: it was already held at the first look");
}

#[test]
fn a_holder_whose_connection_is_closed_is_not_said_to_believe_anything() {
    let record = |more: &str, open: &[u16]| {
        let mut fed = Fed::new();
        fed.runs(1, "SET l token-1 NX PX 300").passes(400).expires("l");
        fed.runs(2, "SET l token-2 NX PX 300").runs(1, more).runs(2, "DEL l");
        // One that looks before it tries is no sign of the holder.
        fed.passes(9).runs(3, "GET l\nSET l token-3 NX PX 300\nDEL l");
        fed.ends_with(open)
    };
    let closed = record("", &[2]);
    assert_eq!(closed.found(), []);
    closed.says("l: its holder's connection was closed, and whether the holder held on is unknown");
    // What it did after its lease had expired is no sign that it held on.
    let open = record("GET other", &[1, 2]);
    assert_eq!(open.found(), []);
    open.says("l: its holder sent no more commands about it, and whether it held on is unknown");
}

#[test]
fn a_holder_without_a_ttl_that_kept_its_connection_until_it_was_closed_leaves_a_stuck_lock() {
    let record = |cycles: usize, open: &[u16]| {
        let mut fed = Fed::new();
        for _ in 0..cycles {
            fed.runs(1, "SET l token-1 NX\nGET l\nDEL l");
        }
        fed.runs(1, "SET l token-1 NX");
        for _ in 0..10 {
            fed.runs(2, "SET l token-2 NX").passes(200);
        }
        fed.ends_with(open).found()
    };
    assert_eq!(record(3, &[2]), [Property::StuckLock]);
    assert_eq!(record(3, &[1, 2]), []);
    // It may have a connection for each command.
    assert_eq!(record(0, &[2]), []);
}
