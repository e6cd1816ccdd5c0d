//! Where a definition ends: cases that generated histories seldom meet, one a test.

use super::tape::Tape;
use lock_history::check::{Property, check};
use lock_history::history::{Change, Failure, FailureKind, History};
use std::time::Duration;

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

fn properties(history: &History) -> Vec<Property> {
    check(history).findings.iter().map(|finding| finding.property).collect()
}

fn took(token: &str, lease: Option<u64>) -> Option<(usize, Change)> {
    let lease = lease.map(|lease| lease * 1_000_000);
    Some((0, Change::Took { token: token.into(), fence: None, lease }))
}

/// B extends whatever is there while the reply to A's SET is on its way.
fn extended_on_the_way(own: Option<u64>, extension: u64) -> History {
    let mut tape = Tape::new("edge", &["A", "B"], 1);
    tape.at(0).begin(A, "acquire", 0);
    let take = tape.send();
    let lease = extension * 1_000_000;
    tape.at(1).begin(B, "extend", 0);
    tape.command(B, "PEXPIRE …", "1", Some((0, Change::Extended { lease }))).done(B);
    tape.at(2).reply(A, take, "SET …", "OK", took("a1", own)).done(A);
    tape.at(5000).end(A).end(B).history()
}

#[test]
fn an_extension_that_may_have_been_ours_makes_the_lease_longer() {
    let foreign = Property::ForeignExtend;
    assert_eq!(properties(&extended_on_the_way(Some(1000), 10_000)), [foreign]);
    let lost = [foreign, Property::SilentLoss];
    assert_eq!(properties(&extended_on_the_way(Some(1000), 100)), lost);
}

#[test]
fn an_extension_that_may_have_been_anothers_gives_no_lease() {
    assert_eq!(properties(&extended_on_the_way(None, 100)), [Property::ForeignExtend]);
    let mut tape = Tape::new("edge", &["A"], 1);
    tape.at(0).begin(A, "acquire", 0).command(A, "SETNX …", "1", took("a1", None));
    let lease = 1_000_000_000;
    tape.command(A, "EXPIRE … 1", "1", Some((0, Change::Extended { lease }))).done(A);
    tape.at(5000).end(A);
    assert_eq!(properties(&tape.history()), [Property::SilentLoss]);
}

#[test]
fn an_extension_after_the_end_of_a_reign_is_not_its_own() {
    let mut tape = Tape::new("edge", &["A", "B"], 1);
    tape.at(0).acquire(A, 0, "a1", 1000);
    tape.at(2000).acquire(B, 0, "b1", 1000).begin(B, "extend", 0);
    let lease = 60_000_000_000;
    tape.command(B, "PEXPIRE …", "1", Some((0, Change::Extended { lease }))).done(B);
    tape.at(3000).release(B, 0, "b1").end(B).end(A);
    let text = check(&tape.history()).findings.last().map(|finding| finding.text.to_string());
    assert_eq!(
        text.unwrap_or_default(),
        "A's lease ended at 1.000 s; B acquired at 2.000 s; A thought it held the lock until it \
         ended at 3.000 s, and was never notified of the loss"
    );
}

#[test]
fn a_lease_holds_to_the_end_of_its_last_millisecond() {
    for (end, is_lost) in [(1000, false), (1001, true)] {
        let mut tape = Tape::new("edge", &["A"], 1);
        tape.at(0).acquire(A, 0, "a1", 1000).at(end).end(A);
        assert_eq!(properties(&tape.history()).is_empty(), !is_lost, "at {end}");
    }
}

#[test]
fn who_waits_for_an_orphan_does_not_wait_for_who_lost_it() {
    let waits = |orphans: bool| {
        let mut tape = Tape::new("edge", &["A", "B", "C"], 2);
        tape.at(0).acquire(A, 0, "a1", 1000).acquire(B, 1, "b1", 60_000);
        if orphans {
            tape.at(1500).begin(C, "acquire", 0);
            tape.command(C, "SET …", "OK", took("c1", Some(60_000))).crash(C).at(2000);
        } else {
            tape.at(500);
        }
        tape.begin(A, "acquire", 1).refusal(A, 1).refusal(A, 1);
        tape.begin(B, "acquire", 0).refusal(B, 0).refusal(B, 0);
        properties(&tape.history()).contains(&Property::Deadlock)
    };
    assert!(waits(false));
    assert!(!waits(true));
}

#[test]
fn who_waits_for_its_own_lock_is_no_circle() {
    let mut tape = Tape::new("edge", &["A"], 1);
    tape.at(0).acquire(A, 0, "a1", 60_000);
    tape.begin(A, "acquire", 0).refusal(A, 0).refusal(A, 0);
    assert_eq!(properties(&tape.history()), []);
}

/// B tries in between while the others acquire in this order.
fn starves(order: &[usize]) -> bool {
    let mut tape = Tape::new("edge", &["A", "B", "C"], 1);
    tape.at(0).acquire(C, 0, "first", 100).refused(B, 0).release(C, 0, "first");
    for (round, actor) in order.iter().enumerate() {
        let token = format!("t{round}");
        tape.at(1000 * round as u64 + 1000).acquire(*actor, 0, &token, 100);
        tape.refused(B, 0).release(*actor, 0, &token);
    }
    tape.at(9000).acquire(C, 0, "last", 100).refused(B, 0);
    properties(&tape.history()).contains(&Property::Starvation)
}

#[test]
fn who_starves_sees_another_twice_in_a_row_and_three_times_in_all() {
    assert!(starves(&[A, A, C, A]));
    assert!(starves(&[A, C, A, A]));
    assert!(!starves(&[A, C, A, C, A]));
    assert!(!starves(&[A, A, C]));
}

#[test]
fn one_long_wait_is_enough_to_starve() {
    let mut tape = Tape::new("edge", &["A", "B"], 1);
    tape.at(0).acquire(A, 0, "a0", 100).begin(B, "acquire", 0).release(A, 0, "a0");
    for (at, token) in [(1000, "a1"), (2000, "a2"), (3000, "a3")] {
        tape.at(at).acquire(A, 0, token, 100).release(A, 0, token);
    }
    assert_eq!(properties(&tape.history()), [Property::Starvation]);
    tape.at(4000).fail(B, FailureKind::TimedOut, "waited 4 s");
    assert_eq!(properties(&tape.history()), [Property::Starvation]);
}

#[test]
fn fairness_is_counted_from_the_first_try() {
    let mut tape = Tape::new("edge", &["A", "B"], 2);
    tape.at(0).acquire(A, 0, "a1", 60_000).at(100).refused(B, 0).at(200).refused(B, 0);
    tape.at(300).release(A, 0, "a1").at(400).acquire(B, 0, "b1", 60_000).release(B, 0, "b1");
    // Waits of 0, 300, 10 and 0 ms.
    tape.at(500).begin(B, "acquire", 0).at(510).command(B, "SET …", "OK", took("b2", None)).done(B);
    tape.release(B, 0, "b2").acquire(B, 0, "b3", 60_000);
    let fairness = check(&tape.history()).fairness;
    assert_eq!(fairness.len(), 1);
    let jobs = &fairness[0];
    assert_eq!((jobs.lock, &*jobs.acquisitions), (0, &[1, 3][..]));
    assert_eq!(jobs.wait_p50, Duration::ZERO);
    assert_eq!(jobs.wait_p99, Duration::from_millis(300));
    assert_eq!(jobs.wait_max, Duration::from_millis(300));
    // With a fifth of 20 ms the middle one is 10 ms.
    tape.release(B, 0, "b3").at(600).refused(A, 0).at(620).acquire(A, 0, "a2", 60_000);
    assert_eq!(check(&tape.history()).fairness[0].wait_p50, Duration::from_millis(10));
}

#[test]
fn a_failed_release_leaves_the_belief_and_ends_its_certain_part() {
    let failed = |kind| {
        let mut tape = Tape::new("edge", &["A", "B"], 1);
        tape.at(0).acquire(A, 0, "a1", 1000);
        tape.at(2000).begin(A, "release", 0).fail(A, kind, "failed");
        tape.at(3000).acquire(B, 0, "b1", 9000).at(4000).end(A);
        properties(&tape.history())
    };
    // It never heard what became of its lock, and ended well.
    assert_eq!(failed(FailureKind::Environment), [Property::SilentLoss]);
    assert_eq!(failed(FailureKind::Refused), []);
}

/// B acquires between the first reply of A's failing step, which may have told A, and its last.
#[test]
fn who_may_have_been_told_does_not_surely_believe() {
    let overlaps = |extends: bool| {
        let mut tape = Tape::new("edge", &["A", "B"], 1);
        tape.at(0).acquire(A, 0, "a1", 1000).at(500).begin(A, "work", 0);
        let extended = Change::Extended { lease: 100_000_000 };
        let change = if extends { extended } else { Change::Saw { token: Some("a1".into()) } };
        tape.command(A, "renew …", "…", Some((0, change)));
        tape.at(2000).acquire(B, 0, "b1", 1000);
        tape.at(2500).saw(A, 0, Some("b1")).fail(A, FailureKind::LostLock, "lost");
        properties(&tape.history())
    };
    assert_eq!(overlaps(true), [Property::Overlap]);
    assert_eq!(overlaps(false), []);
}

/// A's clearing of B's lock is answered when A is already in its release.
#[test]
fn a_late_reply_does_not_belong_to_the_step_in_which_it_comes() {
    let mut tape = Tape::new("edge", &["A", "B"], 1);
    tape.at(0).acquire(B, 0, "b1", 60_000);
    let sent = tape.begin(A, "clear_locks", 0).send();
    tape.fail(A, FailureKind::Injected, "no reply").begin(A, "release", 0);
    tape.reply(A, sent, "DEL …", "1", Some((0, Change::Deleted { token: None }))).done(A).end(A);
    assert_eq!(properties(&tape.history()), []);
}

/// The history ends within a step of B: what that did last is not in it.
#[test]
fn what_is_hidden_by_a_cut_may_have_been_an_extension() {
    let loses = |is_cut: bool| {
        let mut tape = Tape::new("edge", &["A", "B"], 1);
        tape.at(0).acquire(A, 0, "a1", 1000).at(500).begin(B, "extend", 0);
        if !is_cut {
            tape.fail(B, FailureKind::Refused, "no");
        }
        properties(&tape.at(5000).end(A).history())
    };
    assert_eq!(loses(false), [Property::SilentLoss]);
    assert_eq!(loses(true), []);
}

#[test]
fn what_is_hidden_by_a_cut_may_have_been_an_acquire() {
    let found = |is_cut: bool| {
        let mut tape = Tape::new("edge", &["A", "B", "C"], 1);
        tape.at(0).begin(A, "acquire", 0);
        if !is_cut {
            tape.refusal(A, 0).fail(A, FailureKind::AlreadyLocked, "no");
        }
        let delete = tape.begin(C, "release", 0).send();
        tape.begin(B, "acquire", 0).command(B, "SET …", "OK", took("b1", None)).done(B);
        tape.reply(C, delete, "DEL …", "1", Some((0, Change::Deleted { token: None }))).done(C);
        tape.end(B).end(C);
        let texts =
            check(&tape.history()).findings.into_iter().map(|finding| finding.text.to_string());
        texts.collect::<Vec<String>>()
    };
    let whose = "C had not acquired the lock; B acquired; C's release deleted B's lock";
    assert_eq!(found(false).len(), 2);
    assert_eq!(found(false)[0], whose);
    let unknown = "C had not acquired the lock; C's release deleted a lock that was not its own";
    assert_eq!(found(true), [unknown]);
}

#[test]
fn what_contradicts_itself_proves_nothing() {
    let mut tape = Tape::new("edge", &["A", "B"], 1);
    tape.at(0).acquire(A, 0, "a1", 1000).at(5000).end(A).end(B);
    let good = tape.left(0, None, false, &[]).history();
    assert_eq!(properties(&good), [Property::SilentLoss]);
    assert!(check(&good).is_complete);
    let spoilt = |spoil: fn(&mut History)| {
        let mut history = good.clone();
        spoil(&mut history);
        let checked = check(&history);
        assert!(!checked.is_complete);
        checked.findings.len()
    };
    assert_eq!(spoilt(|history| history.events[2].moment.order += 1000), 0);
    assert_eq!(spoilt(|history| history.head.locks.clear()), 0);
    assert_eq!(spoilt(|history| history.head.actors.truncate(1)), 0);
    assert_eq!(spoilt(|history| drop(history.events.remove(0))), 0);
    let reply_first = |history: &mut History| {
        for event in &mut history.events {
            if let lock_history::history::EventKind::Command(command) = &mut event.kind {
                command.sent.order = u64::MAX;
            }
        }
    };
    assert_eq!(spoilt(reply_first), 0);
    // These only leave something out, or have something twice.
    assert_eq!(spoilt(|history| history.is_complete = false), 1);
    assert_eq!(spoilt(|history| drop(history.events.pop())), 1);
    assert_eq!(spoilt(|history| history.head.actors.push("late".into())), 1);
    assert_eq!(spoilt(|history| history.head.locks.push("unseen".into())), 1);
    let twice = |history: &mut History| {
        let end = history.events[history.events.len() - 2].clone();
        history.events.insert(history.events.len() - 1, end);
    };
    assert_eq!(spoilt(twice), 1);
}

#[test]
fn steps_that_do_not_match_are_not_whole() {
    let is_complete = |begun: usize, done: usize| {
        let mut tape = Tape::new("edge", &["A"], 1);
        for _ in 0..begun {
            tape.begin(A, "work", 0);
        }
        for _ in 0..done {
            tape.done(A);
        }
        check(&tape.end(A).left(0, None, false, &[]).history()).is_complete
    };
    assert!(is_complete(0, 0) && is_complete(1, 1));
    assert!(!is_complete(0, 1) && !is_complete(1, 0) && !is_complete(2, 1));
    // Nobody acts after its end.
    let mut tape = Tape::new("edge", &["A"], 1);
    let late = tape.at(0).end(A).refused(A, 0).left(0, None, false, &[]).history();
    assert!(!check(&late).is_complete);
}

/// One of two whose replies are late was deleted before the other came; nobody knows which.
#[test]
fn of_two_that_may_have_been_deleted_neither_surely_was() {
    let loses = |with_b: bool| {
        let mut tape = Tape::new("edge", &["A", "B", "C"], 1);
        let take_a = tape.at(0).begin(A, "acquire", 0).send();
        let take_b = tape.begin(B, "acquire", 0).send();
        tape.begin(C, "clear_locks", 0).deleted(C, 0).done(C).end(C);
        tape.reply(A, take_a, "SET …", "OK", took("a1", None)).done(A).end(A);
        if with_b {
            tape.reply(B, take_b, "SET …", "OK", took("b1", None)).done(B).end(B);
        } else {
            tape.refusal(B, 0).fail(B, FailureKind::AlreadyLocked, "no").end(B);
        }
        properties(&tape.history())
    };
    assert_eq!(loses(true), [Property::Overlap; 0]);
    assert_eq!(loses(false), [Property::SilentLoss]);
}

/// What a client makes of its own value is no token, and its release may leave the key.
#[test]
fn a_value_that_no_acquire_wrote_is_said_to_be_left_by_the_last_holder() {
    let mut tape = Tape::new("edge", &["A"], 1);
    tape.at(0).acquire(A, 0, "a1", 60_000).at(1000).begin(A, "release", 0).done(A).end(A);
    tape.at(2000).left(0, Some(("hash", -1)), true, &[]);
    let text = check(&tape.history()).findings[0].text.to_string();
    assert_eq!(
        text,
        "A acquired at 0 us, the last to do so; A released the lock at 1.000 s; when no actor was \
         left at 2.000 s, the lock was still there, without a TTL: it stays until it is deleted"
    );
    let mut tape = Tape::new("edge", &["A"], 1);
    tape.at(0).end(A).at(2000).left(0, Some(("other", -1)), true, &[]);
    let text = check(&tape.history()).findings[0].text.to_string();
    assert!(text.starts_with("no acquire of other was recorded; "), "{text}");
}

#[test]
fn a_failure_is_kept_short_in_words() {
    let failure = Failure { kind: FailureKind::Crashed, message: "x".repeat(1000) };
    assert!(!failure.is_about_the_lock());
    let long = "name ".repeat(1000);
    let mut tape = Tape::new("edge", &[&long, "B\u{1b}[31m"], 1);
    tape.at(0).acquire(A, 0, "a1", 1000).at(5000).end(A).end(B);
    let text = check(&tape.history()).findings[0].text.to_string();
    assert!(text.len() < 400 && !text.contains('\u{1b}'), "{text}");
}
