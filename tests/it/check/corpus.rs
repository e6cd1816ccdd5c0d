//! The corpus in `tests/histories`: for each property a history that has it (`-bad`) and one that
//! comes close and doesn't (`-ok`), and what exactly is found in each.
//!
//! The files are what [`stories`] writes. They are read as files of a version that must stay readable.

use super::tape::Tape;
use crate::golden::holds;
use lock_history::check::{Checked, check};
use lock_history::history::{Change, FailureKind, History};
use std::path::PathBuf;

const A: usize = 0;
const B: usize = 1;

struct Story {
    name: &'static str,
    history: History,
    findings: &'static [&'static str],
}

fn told(checked: &Checked) -> Vec<String> {
    let findings = checked.findings.iter();
    findings.map(|finding| format!("{:?}: {}", finding.property, finding.text)).collect()
}

#[test]
fn the_golden_corpus_is_judged_as_it_should_be() {
    for Story { name, history, findings } in stories() {
        let mut text = Vec::new();
        history.write(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let file = format!("tests/histories/{name}.jsonl");
        assert!(holds(&file, &text, str::eq), "{file} differs:\n{text}");
        let read = History::read(name, &mut text.as_bytes()).unwrap();
        assert_eq!(read, history, "{name}");
        let checked = check(&read);
        assert_eq!(told(&checked), findings, "{name}");
        assert!(checked.is_complete, "{name}");
        assert_eq!(name.ends_with("-ok"), checked.findings.is_empty(), "{name}");
    }
}

#[test]
fn the_corpus_has_no_other_files() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/histories");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let mut named: Vec<String> =
        stories().iter().map(|story| format!("{}.jsonl", story.name)).collect();
    named.sort();
    assert_eq!(files, named);
}

#[test]
fn no_prefix_of_the_corpus_is_whole() {
    for Story { name, history, .. } in stories() {
        for length in 0..history.events.len() {
            let mut cut = history.clone();
            cut.events.truncate(length);
            assert!(!check(&cut).is_complete, "{name} cut after {length}");
        }
        for begin in 1..history.events.len() {
            let mut cut = history.clone();
            cut.events.drain(..begin);
            assert!(!check(&cut).is_complete, "{name} begun at {begin}");
        }
    }
}

/// A's lease of 3 s ends while it works; B comes at 3.010 s.
fn overrun(name: &str) -> Tape {
    let mut tape = Tape::new(name, &["A", "B"], 1);
    tape.at(0).acquire(A, 0, "a1", 3000);
    tape.at(3010).acquire(B, 0, "b1", 3000);
    tape
}

fn ends(tape: &mut Tape) -> History {
    tape.at(6000).end(A).end(B).left(0, None, false, &[]).history()
}

fn stories() -> Vec<Story> {
    let mut all = vec![
        double_grant_bad(),
        double_grant_ok(),
        overlap_bad(),
        overlap_ok(),
        foreign_release_bad(),
        foreign_release_ok(),
        foreign_overwrite_ok(),
        foreign_extend_bad(),
        foreign_extend_ok(),
    ];
    all.extend([lost_update_bad(), lost_update_ok(), silent_loss_bad(), silent_loss_ok()]);
    all.extend([stuck_lock_bad(), stuck_lock_ok(), flag_drift_bad(), flag_drift_ok()]);
    all.extend([flag_drift_under_a_holder_bad(), flag_drift_under_a_holder_ok()]);
    all.extend([token_drift_bad(), token_drift_ok(), fencing_order_bad(), fencing_order_ok()]);
    all.extend([starvation_bad(), starvation_ok(), deadlock_bad(), deadlock_ok()]);
    all.extend([clear_locks_bad(), amnesia_bad(), reused_token_bad(), late_reply_bad()]);
    all
}

/// Both find the lock free before either takes it.
fn double_grant_bad() -> Story {
    let mut tape = Tape::new("double_grant", &["A", "B"], 1);
    tape.at(0).begin(A, "acquire", 0).saw(A, 0, None);
    tape.at(1).begin(B, "acquire", 0).saw(B, 0, None);
    let lease = Some(3_000_000_000);
    let took = Change::Took { token: "a1".into(), fence: None, lease };
    tape.at(2).command(A, "SET … PX …", "OK", Some((0, took))).done(A);
    let took = Change::Overwrote { token: "b1".into(), lease };
    tape.at(3).command(B, "SET … PX …", "OK", Some((0, took))).done(B);
    tape.at(1000).begin(A, "release", 0).saw(A, 0, Some("b1"));
    tape.fail(A, FailureKind::LostLock, "the lock was lost");
    tape.at(1500).release(B, 0, "b1");
    Story {
        name: "double_grant-bad",
        history: ends(&mut tape),
        findings: &[
            "DoubleGrant: A acquired the lock at 2 ms; B's acquire overwrote A's lock at 3 ms; B \
             acquired the lock at 3 ms while A still held it",
            "Overlap: B's acquire overwrote A's lock at 3 ms; A thought it held the lock from 2 \
             ms to 1.000 s; B acquired it at 3 ms and thought it held it, too, until 1.500 s",
            "ForeignOverwrite: A acquired at 2 ms; B's acquire at 3 ms overwrote A's lock",
        ],
    }
}

/// The lease that A asked for is over, and A knows it.
fn double_grant_ok() -> Story {
    let mut tape = Tape::new("double_grant", &["A", "B"], 1);
    tape.at(0).acquire(A, 0, "a1", 3000);
    tape.at(2990).begin(B, "acquire", 0).saw(B, 0, Some("a1"));
    tape.at(3005).begin(A, "release", 0).saw(A, 0, None);
    tape.fail(A, FailureKind::LostLock, "the lock was lost");
    let took = Change::Overwrote { token: "b1".into(), lease: Some(3_000_000_000) };
    tape.at(3010).command(B, "SET … PX …", "OK", Some((0, took))).flag(B, 0, true).done(B);
    tape.at(3500).release(B, 0, "b1");
    Story { name: "double_grant-ok", history: ends(&mut tape), findings: &[] }
}

fn overlap_bad() -> Story {
    let mut tape = overrun("overlap");
    tape.at(5000).begin(A, "dump", 0).saw(A, 0, Some("b1"));
    tape.fail(A, FailureKind::LostLock, "the lock was lost");
    tape.at(5500).release(B, 0, "b1");
    Story {
        name: "overlap-bad",
        history: ends(&mut tape),
        findings: &[
            "Overlap: A's lease ended at 3.000 s; A thought it held the lock from 0 us to 5.000 \
             s; B acquired it at 3.010 s and thought it held it, too, until 5.500 s",
        ],
    }
}

/// A's renewal tells it before B comes.
fn overlap_ok() -> Story {
    let mut tape = Tape::new("overlap", &["A", "B"], 1);
    tape.at(0).acquire(A, 0, "a1", 3000).begin(A, "work", 0);
    tape.at(3005).saw(A, 0, None);
    tape.at(3010).acquire(B, 0, "b1", 3000);
    tape.at(3020).fail(A, FailureKind::LostLock, "the lock was lost");
    tape.at(5500).release(B, 0, "b1");
    Story { name: "overlap-ok", history: ends(&mut tape), findings: &[] }
}

fn foreign_release_bad() -> Story {
    let mut tape = overrun("foreign_release");
    tape.at(5000).begin(A, "release", 0).at(5001).deleted(A, 0).flag(A, 0, false).done(A);
    tape.at(5500).begin(B, "release", 0).saw(B, 0, None);
    tape.fail(B, FailureKind::LostLock, "the lock was lost");
    Story {
        name: "foreign_release-bad",
        history: ends(&mut tape),
        findings: &[
            "Overlap: A's lease ended at 3.000 s; A thought it held the lock from 0 us to 5.000 \
             s; B acquired it at 3.010 s and thought it held it, too, until 5.500 s",
            "ForeignRelease: A's lease ended at 3.000 s while it worked until 5.000 s; B acquired at \
             3.010 s; A's release at 5.001 s deleted B's lock",
            "SilentLoss: A's lease ended at 3.000 s; B acquired at 3.010 s; A thought it held the \
             lock until its release completed at 5.001 s, and was never notified of the loss",
        ],
    }
}

/// B's SET and A's DEL are on their way at the same time, and B's reply comes first.
fn foreign_release_ok() -> Story {
    let mut tape = Tape::new("foreign_release", &["A", "B"], 1);
    tape.at(0).acquire(A, 0, "a1", 3000);
    tape.at(2000).begin(A, "release", 0).saw(A, 0, Some("a1"));
    let delete = tape.send();
    tape.begin(B, "acquire", 0);
    let take = tape.send();
    let took = Change::Took { token: "b1".into(), fence: None, lease: Some(3_000_000_000) };
    tape.reply(B, take, "SET … NX EX …", "OK", Some((0, took)));
    tape.flag(B, 0, true).done(B);
    tape.reply(A, delete, "DEL …", "1", Some((0, Change::Deleted { token: None })));
    tape.done(A);
    tape.at(3000).release(B, 0, "b1");
    Story { name: "foreign_release-ok", history: ends(&mut tape), findings: &[] }
}

/// A's DEL and B's SET are on their way at the same time.
fn foreign_overwrite_ok() -> Story {
    let mut tape = Tape::new("foreign_overwrite", &["A", "B"], 1);
    tape.at(0).acquire(A, 0, "a1", 3000);
    tape.at(2000).begin(A, "release", 0);
    let delete = tape.send();
    tape.begin(B, "acquire", 0);
    let take = tape.send();
    let took = Change::Overwrote { token: "b1".into(), lease: Some(3_000_000_000) };
    tape.reply(B, take, "SET … PX …", "OK", Some((0, took))).flag(B, 0, true).done(B);
    tape.reply(A, delete, "DEL …", "1", Some((0, Change::Deleted { token: None }))).done(A);
    tape.at(3000).release(B, 0, "b1");
    Story { name: "foreign_overwrite-ok", history: ends(&mut tape), findings: &[] }
}

fn extend(tape: &mut Tape, actor: usize) {
    let extended = Change::Extended { lease: 3_000_000_000 };
    tape.begin(actor, "extend", 0);
    tape.command(actor, "PEXPIRE …", "1", Some((0, extended))).done(actor);
}

fn foreign_extend_bad() -> Story {
    let mut tape = overrun("foreign_extend");
    extend(tape.at(4000), A);
    tape.at(5000).begin(A, "dump", 0).saw(A, 0, Some("b1"));
    tape.fail(A, FailureKind::LostLock, "the lock was lost");
    tape.at(5500).release(B, 0, "b1");
    Story {
        name: "foreign_extend-bad",
        history: ends(&mut tape),
        findings: &[
            "Overlap: A's lease ended at 3.000 s; A thought it held the lock from 0 us to 5.000 \
             s; B acquired it at 3.010 s and thought it held it, too, until 5.500 s",
            "ForeignExtend: A's lease ended at 3.000 s while it worked until 4.000 s; B acquired at \
             3.010 s; A's extend at 4.000 s changed the lease of B's lock",
        ],
    }
}

/// A extends in time.
fn foreign_extend_ok() -> Story {
    let mut tape = Tape::new("foreign_extend", &["A", "B"], 1);
    tape.at(0).acquire(A, 0, "a1", 3000);
    extend(tape.at(2000), A);
    tape.at(3500).refused(B, 0);
    tape.at(4000).release(A, 0, "a1");
    Story { name: "foreign_extend-ok", history: ends(&mut tape), findings: &[] }
}

fn lost_update_bad() -> Story {
    let mut tape = overrun("lost_update");
    tape.at(3500).dump(B, 1, 1, 2);
    tape.at(5000).dump(A, 1, 2, 3);
    tape.begin(A, "release", 0).saw(A, 0, Some("b1"));
    tape.fail(A, FailureKind::Refused, "unlock() called with non-matching token");
    tape.at(5500).release(B, 0, "b1");
    Story {
        name: "lost_update-bad",
        history: ends(&mut tape),
        findings: &[
            "Overlap: A's lease ended at 3.000 s; A thought it held the lock from 0 us to 5.000 \
             s; B acquired it at 3.010 s and thought it held it, too, until 5.500 s",
            "LostUpdate: A's lease ended at 3.000 s; B wrote revision 2 at 3.500 s; A's write at \
             5.000 s overwrote revision 2, which it had never read (it had read 1), with revision \
             3",
        ],
    }
}

/// A holds the lock, but never read what B wrote: stale, and yet no lock was lost. Then its lock is
/// lost, and it overwrites what it wrote itself.
fn lost_update_ok() -> Story {
    let mut tape = Tape::new("lost_update", &["A", "B"], 1);
    tape.at(0).acquire(B, 0, "b1", 3000).dump(B, 1, 1, 2).release(B, 0, "b1");
    tape.at(1000).acquire(A, 0, "a1", 3000).dump(A, 1, 2, 3);
    tape.at(5000).begin(A, "work", 0).saw(A, 0, None);
    tape.fail(A, FailureKind::LostLock, "the lock was lost").dump(A, 1, 3, 4);
    Story { name: "lost_update-ok", history: ends(&mut tape), findings: &[] }
}

fn silent_loss_bad() -> Story {
    let mut tape = Tape::new("silent_loss", &["A", "B"], 1);
    tape.at(0).acquire(A, 0, "a1", 3000);
    tape.at(5000).begin(A, "release", 0).saw(A, 0, None).flag(A, 0, false).done(A);
    Story {
        name: "silent_loss-bad",
        history: ends(&mut tape),
        findings: &[
            "SilentLoss: A's lease ended at 3.000 s; A thought it held the lock until its release \
             completed at 5.000 s, and was never notified of the loss",
        ],
    }
}

/// The last millisecond of a lease belongs to it, and an extension makes it longer.
fn silent_loss_ok() -> Story {
    let mut tape = Tape::new("silent_loss", &["A", "B"], 1);
    tape.at(0).acquire(A, 0, "a1", 3000);
    tape.at(3000).begin(A, "extend", 0);
    tape.command(A, "PEXPIRE … 2000", "1", Some((0, Change::Extended { lease: 2_000_000_000 })));
    tape.done(A);
    tape.at(5000).release(A, 0, "a1");
    tape.at(5500).acquire(B, 0, "b1", 100);
    tape.at(5700).begin(B, "release", 0).saw(B, 0, None);
    tape.fail(B, FailureKind::LostLock, "the lock was lost");
    Story { name: "silent_loss-ok", history: ends(&mut tape), findings: &[] }
}

fn stuck_lock_bad() -> Story {
    let mut tape = Tape::new("stuck_lock", &["A", "B"], 2);
    tape.at(0).acquire(A, 0, "a1", 21_600_000);
    tape.at(1000).begin(A, "work", 0).crash(A);
    tape.at(2000).begin(B, "acquire", 1);
    let took = Change::Took { token: "b1".into(), fence: None, lease: None };
    tape.command(B, "SETNX …", "1", Some((1, took))).flag(B, 1, true).done(B).end(B);
    let left = tape.at(3000).left(0, Some(("a1", 21_597_000)), true, &[]);
    Story {
        name: "stuck_lock-bad",
        history: left.left(1, Some(("b1", -1)), true, &["b1"]).history(),
        findings: &[
            "StuckLock: A acquired at 0 us; A crashed at 1.000 s; when no actor was left at 3.000 \
             s, the lock was still there, with 5 h 59 min of its lease left",
            "StuckLock: B acquired at 2.000 s; B ended at 2.000 s without releasing; when no \
             actor was left at 3.000 s, the lock was still there, without a TTL: it stays until \
             it is deleted",
        ],
    }
}

/// The lease ends before the last actor does.
fn stuck_lock_ok() -> Story {
    let mut tape = Tape::new("stuck_lock", &["A", "B"], 1);
    tape.at(0).acquire(A, 0, "a1", 3000);
    tape.at(1000).begin(A, "work", 0).crash(A);
    tape.at(4000).begin(B, "check", 0).saw(B, 0, None).flag(B, 0, false).done(B).end(B);
    let history = tape.left(0, None, false, &[]).history();
    Story { name: "stuck_lock-ok", history, findings: &[] }
}

fn flag_drift_bad() -> Story {
    let mut tape = Tape::new("flag_drift", &["A", "B"], 1);
    tape.at(0).acquire(A, 0, "a1", 3000);
    tape.at(1000).begin(A, "release", 0).saw(A, 0, Some("a1")).deleted(A, 0).crash(A).end(B);
    Story {
        name: "flag_drift-bad",
        history: tape.at(2000).left(0, None, true, &[]).history(),
        findings: &[
            "FlagDrift: A's acquire set the flag for the last time at 0 us; A released the lock \
             at 1.000 s; when no actor was left at 2.000 s, the flag said locked and the lock key \
             was free",
        ],
    }
}

/// Flag and lock key disagree for a while, as long as somebody is active.
fn flag_drift_ok() -> Story {
    let mut tape = Tape::new("flag_drift", &["A", "B"], 1);
    tape.at(0).acquire(A, 0, "a1", 3000);
    tape.at(1000).begin(A, "release", 0).saw(A, 0, Some("a1")).deleted(A, 0).crash(A);
    tape.left(0, None, true, &[]);
    tape.at(1500).begin(B, "check", 0).saw(B, 0, None).flag(B, 0, false).done(B).end(B);
    let history = tape.at(2000).left(0, None, false, &[]).history();
    Story { name: "flag_drift-ok", history, findings: &[] }
}

/// B finds no lock, A acquires it, and B then sets the flag to free while A works.
fn flag_drift_under_a_holder_bad() -> Story {
    let mut tape = Tape::new("flag_drift_under_a_holder", &["A", "B"], 1);
    tape.at(0).begin(B, "islocked", 0).saw(B, 0, None).at(1000).acquire(A, 0, "a1", 9000);
    tape.at(2000).flag(B, 0, false).done(B).end(B);
    tape.at(3000).begin(A, "work", 0).done(A);
    tape.at(4000).release(A, 0, "a1").end(A);
    Story {
        name: "flag_drift_under_a_holder-bad",
        history: tape.at(5000).left(0, None, false, &[]).history(),
        findings: &[
            "FlagDrift: A acquired at 1.000 s; B's islocked set the flag to free at 2.000 s; A \
             still held the lock at 3.000 s, and the flag said free",
        ],
    }
}

/// A has begun to release the lock when B sets the flag to free.
fn flag_drift_under_a_holder_ok() -> Story {
    let mut tape = Tape::new("flag_drift_under_a_holder", &["A", "B"], 1);
    tape.at(0).begin(B, "islocked", 0).saw(B, 0, None).at(1000).acquire(A, 0, "a1", 9000);
    tape.at(3000).begin(A, "work", 0).done(A).at(4000).begin(A, "release", 0);
    tape.flag(B, 0, false).done(B).end(B);
    tape.at(5000).deleted(A, 0).flag(A, 0, false).done(A).end(A);
    let history = tape.at(6000).left(0, None, false, &[]).history();
    Story { name: "flag_drift_under_a_holder-ok", history, findings: &[] }
}

fn token_drift_bad() -> Story {
    let mut tape = Tape::new("token_drift", &["A", "B"], 1);
    tape.at(0).acquire(A, 0, "3f2a91bc04de4e1f8a55d6c7b8091a2b", 3000);
    tape.at(1000).begin(B, "clear_locks", 0).deleted(B, 0).flag(B, 0, false).done(B).end(B);
    tape.at(2000).begin(A, "dump", 0).saw(A, 0, None);
    tape.fail(A, FailureKind::Refused, "cannot dump to unlocked db").end(A);
    tape.at(3000).left(0, None, false, &["3f2a91bc04de4e1f8a55d6c7b8091a2b"]);
    Story {
        name: "token_drift-bad",
        history: tape.history(),
        findings: &[
            "TokenDrift: A acquired at 0 us; B's clear_locks deleted A's lock at 1.000 s; when no \
            actor was left at 3.000 s, a controller still remembered token 3f2a91bc…, but the lock key is \
            free",
        ],
    }
}

fn token_drift_ok() -> Story {
    let mut tape = Tape::new("token_drift", &["A", "B"], 1);
    tape.at(0).acquire(A, 0, "a1", 3000);
    tape.at(1000).begin(A, "forget_token", 0).done(A);
    tape.at(2000).begin(A, "release", 0).saw(A, 0, Some("a1"));
    tape.fail(A, FailureKind::Refused, "unlock() called without owning the lock");
    tape.begin(A, "force_release", 0).deleted(A, 0).flag(A, 0, false).done(A);
    Story { name: "token_drift-ok", history: ends(&mut tape), findings: &[] }
}

fn fencing_order_bad() -> Story {
    let mut tape = Tape::new("fencing_order", &["A", "B"], 1);
    tape.at(0).acquire_fenced(A, "a1", 7, 3000);
    tape.dump_fenced(A, 1, 1, 2, Some(7)).release(A, 0, "a1");
    tape.at(1000).acquire_fenced(B, "b1", 1, 3000);
    tape.dump_fenced(B, 2, 2, 3, Some(1)).release(B, 0, "b1");
    Story {
        name: "fencing_order-bad",
        history: ends(&mut tape),
        findings: &[
            "FencingOrder: A acquired at 0 us with fencing token 7; B acquired at 1.000 s with fencing \
             token 1, which is not higher",
            "FencingOrder: A wrote revision 2 at 0 us with fencing token 7; B wrote revision 3 at 1.000 s \
             with fencing token 1, which is lower",
        ],
    }
}

fn fencing_order_ok() -> Story {
    let mut tape = Tape::new("fencing_order", &["A", "B"], 1);
    tape.at(0).acquire_fenced(A, "a1", 7, 3000);
    tape.dump_fenced(A, 1, 1, 2, Some(7)).dump_fenced(A, 2, 2, 3, Some(7)).release(A, 0, "a1");
    tape.at(1000).acquire_fenced(B, "b1", 8, 3000);
    tape.dump_fenced(B, 3, 3, 4, Some(8)).release(B, 0, "b1");
    Story { name: "fencing_order-ok", history: ends(&mut tape), findings: &[] }
}

fn greedy(name: &str) -> Tape {
    let mut tape = Tape::new(name, &["A", "B"], 1);
    for (round, token) in ["a1", "a2", "a3"].into_iter().enumerate() {
        let at = round as u64 * 1000;
        tape.at(at).refused_if(round > 0, B);
        tape.at(at + 100).acquire(A, 0, token, 3000);
        tape.at(at + 200).refused(B, 0);
        tape.at(at + 900).release(A, 0, token);
    }
    tape
}

impl Tape {
    fn refused_if(&mut self, is_refused: bool, actor: usize) -> &mut Self {
        if is_refused { self.refused(actor, 0) } else { self }
    }
}

fn starvation_bad() -> Story {
    let mut tape = Tape::new("starvation", &["A", "B"], 1);
    tape.at(0).acquire(A, 0, "a0", 3000).at(100).refused(B, 0).at(900).release(A, 0, "a0");
    for (round, token) in ["a1", "a2", "a3"].into_iter().enumerate() {
        let at = 1000 + round as u64 * 1000;
        tape.at(at).acquire(A, 0, token, 3000).at(at + 500).refused(B, 0);
        tape.at(at + 900).release(A, 0, token);
    }
    tape.at(5000).acquire(A, 0, "a4", 3000).refused(B, 0).release(A, 0, "a4");
    Story {
        name: "starvation-bad",
        history: ends(&mut tape),
        findings: &[
            "Starvation: B tried 5 times from 100 ms to 5.000 s and never got the lock; meanwhile A \
            acquired it 3 times at 1.000 s, 2.000 s, 3.000 s",
        ],
    }
}

/// In the end B gets it.
fn starvation_ok() -> Story {
    let mut tape = greedy("starvation");
    tape.at(5000).acquire(B, 0, "b1", 3000).release(B, 0, "b1");
    Story { name: "starvation-ok", history: ends(&mut tape), findings: &[] }
}

fn deadlock_bad() -> Story {
    let mut tape = Tape::new("deadlock", &["A", "B"], 2);
    tape.at(0).acquire(A, 0, "a1", 60_000).at(500).acquire(B, 1, "b1", 60_000);
    tape.at(1000).begin(A, "acquire", 1).refusal(A, 1);
    tape.at(1500).begin(B, "acquire", 0).refusal(B, 0);
    tape.at(3000).refusal(A, 1).refusal(B, 0);
    tape.at(4000).fail(A, FailureKind::TimedOut, "waited 3 s").release(A, 0, "a1").end(A);
    tape.at(4500);
    let took = Change::Took { token: "b2".into(), fence: None, lease: Some(60_000_000_000) };
    tape.command(B, "SET … NX EX …", "OK", Some((0, took))).flag(B, 0, true).done(B);
    tape.release(B, 0, "b2").release(B, 1, "b1").end(B);
    Story {
        name: "deadlock-bad",
        history: tape.left(0, None, false, &[]).left(1, None, false, &[]).history(),
        findings: &[
            "Deadlock: B waited from 1.500 s for jobs, which A held since 0 us; A waited from 1.000 \
            s for mail, which B held since 500 ms; the circle closed at 1.500 s",
        ],
    }
}

/// Both are refused at once and give up: nobody waits.
fn deadlock_ok() -> Story {
    let mut tape = Tape::new("deadlock", &["A", "B"], 2);
    tape.at(0).acquire(A, 0, "a1", 60_000).at(500).acquire(B, 1, "b1", 60_000);
    tape.at(1000).begin(A, "acquire", 1).begin(B, "acquire", 0).refusal(A, 1).refusal(B, 0);
    tape.fail(A, FailureKind::AlreadyLocked, "locked");
    tape.fail(B, FailureKind::AlreadyLocked, "locked");
    tape.release(A, 0, "a1").end(A).release(B, 1, "b1").end(B);
    let history = tape.left(0, None, false, &[]).left(1, None, false, &[]).history();
    Story { name: "deadlock-ok", history, findings: &[] }
}

/// An operator clears the locks under A, and A's work goes wrong.
fn clear_locks_bad() -> Story {
    let mut tape = Tape::new("clear_locks", &["A", "B", "operator"], 1);
    tape.at(0).acquire(A, 0, "a1", 60_000);
    tape.at(1000).begin(2, "clear_locks", 0).deleted(2, 0).flag(2, 0, false).done(2).end(2);
    tape.at(2000).acquire(B, 0, "b1", 60_000).dump(B, 1, 1, 2).release(B, 0, "b1").end(B);
    tape.at(3000).dump(A, 1, 2, 3);
    tape.begin(A, "release", 0).saw(A, 0, None).flag(A, 0, false).done(A).end(A);
    Story {
        name: "clear_locks-bad",
        history: tape.left(0, None, false, &[]).history(),
        findings: &[
            "Overlap: operator's clear_locks deleted A's lock at 1.000 s; A thought it held the \
             lock from 0 us to 3.000 s; B acquired it at 2.000 s and thought it held it, too, \
             until 2.000 s",
            "LostUpdate: operator's clear_locks deleted A's lock at 1.000 s; B wrote revision 2 \
             at 2.000 s; A's write at 3.000 s overwrote revision 2, which it had never read (it \
             had read 1), with revision 3",
            "SilentLoss: operator's clear_locks deleted A's lock at 1.000 s; B acquired at 2.000 \
             s; A thought it held the lock until its release completed at 3.000 s, and was never \
             notified of the loss",
        ],
    }
}

/// The server forgets A's lock.
fn amnesia_bad() -> Story {
    let mut tape = Tape::new("amnesia", &["A", "B"], 1);
    tape.at(0).acquire(A, 0, "a1", 60_000).begin(B, "fault", 0);
    tape.at(1000).fault(B, "the server forgot everything", 0, Change::Deleted { token: None });
    tape.done(B).at(2000);
    Story {
        name: "amnesia-bad",
        history: tape.end(A).end(B).left(0, None, false, &[]).history(),
        findings: &[
            "SilentLoss: the fault \"the server forgot everything\" took A's lock away at 1.000 \
             s; A thought it held the lock until it ended at 2.000 s, and was never notified of \
             the loss",
        ],
    }
}

/// A's renewal takes the lock again under the same token, as if it had never been lost.
fn reused_token_bad() -> Story {
    let mut tape = Tape::new("silent_reacquire", &["A", "B"], 1);
    tape.at(0).acquire(A, 0, "a1", 1000);
    tape.at(2000).acquire(B, 0, "b1", 1000).release(B, 0, "b1");
    tape.at(3000).begin(A, "extend", 0);
    let took = Change::Took { token: "a1".into(), fence: None, lease: Some(60_000_000_000) };
    tape.command(A, "SET … EX …", "OK", Some((0, took))).flag(A, 0, true).done(A);
    tape.at(4000).release(A, 0, "a1");
    Story {
        name: "silent_reacquire-bad",
        history: ends(&mut tape),
        findings: &[
            "Overlap: A's lease ended at 1.000 s; A thought it held the lock from 0 us to 4.000 \
             s; B acquired it at 2.000 s and thought it held it, too, until 2.000 s",
            "SilentLoss: A's lease ended at 1.000 s; B acquired at 2.000 s; A thought it held the \
             lock until its release completed at 4.000 s, and was never notified of the loss",
        ],
    }
}

/// The reply to B's SET is withheld: B gives up, and nobody knows of the lock that it took.
fn late_reply_bad() -> Story {
    let mut tape = Tape::new("lost_reply", &["A", "B"], 1);
    tape.at(0).begin(B, "acquire", 0);
    let sent = tape.send();
    tape.at(1000).fail(B, FailureKind::Injected, "no reply").end(B);
    let took = Change::Took { token: "b1".into(), fence: None, lease: Some(60_000_000_000) };
    tape.reply(B, sent, "SET … NX EX …", "(withheld)", Some((0, took)));
    tape.at(2000).refused(A, 0).end(A);
    Story {
        name: "lost_reply-bad",
        history: tape.at(3000).left(0, Some(("b1", 57_000)), false, &[]).history(),
        findings: &[
            "StuckLock: B acquired at 1.000 s; B did not know that it held it; when no actor was \
             left at 3.000 s, the lock was still there, with 57.000 s of its lease left",
            "FlagDrift: the flag was never set; B acquired at 1.000 s; when no actor was left at \
             3.000 s, the flag said free and the lock key was held",
        ],
    }
}
