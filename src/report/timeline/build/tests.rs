//! Timelines of saved histories, word for word. The golden files are to be looked at.

use super::*;
use crate::report::samples::assert_golden;
use lock_history::check::check;
use lock_history::history::{
    Change, Command, Effect, Event, EventKind, Failure, FailureKind, Head, Operation,
};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
const HISTORIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/histories");

fn read(path: &str) -> Timeline {
    let text = std::fs::read(path).unwrap();
    let history = History::read(path, &mut text.as_slice()).unwrap();
    Timeline::new(&history, &check(&history))
}

fn is_golden(name: &str, timeline: &Timeline) {
    let text = serde_json::to_string_pretty(timeline).unwrap() + "\n";
    assert_golden(&format!("timeline-{name}.json"), &text);
}

#[test]
fn timelines_are_golden() {
    for name in ["ttl_expiration", "check_then_delete", "late_release"] {
        is_golden(name, &read(&format!("{GOLDEN}/histories/{name}.jsonl")));
    }
    for name in ["amnesia-bad", "deadlock-bad", "silent_reacquire-bad"] {
        is_golden(name, &read(&format!("{HISTORIES}/{name}.jsonl")));
    }
}

#[test]
fn every_history_of_the_corpus_keeps_the_promises() {
    for entry in std::fs::read_dir(HISTORIES).unwrap() {
        let path = entry.unwrap().path();
        keeps_promises(&read(path.to_str().unwrap()));
    }
}

/// What the types say of a timeline.
#[track_caller]
fn keeps_promises(timeline: &Timeline) {
    assert!(when(timeline.begin) <= when(timeline.end));
    for lane in &timeline.lanes {
        let mut last = when(timeline.begin);
        for bar in &lane.bars {
            assert!(last <= when(bar.begin) && when(bar.begin) <= when(bar.end), "{lane:#?}");
            assert!(bar.token.is_none_or(|token| token < timeline.tokens.len()));
            last = when(bar.end);
        }
        assert!(last <= when(timeline.end), "{lane:#?}");
        assert!(lane.marks.is_sorted_by_key(|mark| when(mark.at)));
        assert!(lane.marks.iter().all(|mark| mark.times > 0));
    }
    for (number, remark) in (1..).zip(&timeline.findings) {
        assert_eq!(remark.number, number);
        assert!(remark.lanes.iter().all(|lane| *lane < timeline.lanes.len()));
    }
}

/// A herd of which one gets the lock, and the others are refused, each a microsecond later.
fn herd(actors: usize) -> History {
    let head = Head {
        scenario: "herd".into(),
        protocol: "legacy".into(),
        actors: (0..actors).map(|actor| format!("t{actor}")).collect(),
        locks: vec!["lock".into()],
        ..Head::default()
    };
    let mut order = 0;
    let mut events = Vec::new();
    let mut add = |at: u64, actor: usize, kind: EventKind| {
        order += 2;
        events.push(Event { moment: Moment { order, at }, actor: Some(actor), kind });
        order
    };
    let acquire = || Operation { verb: "acquire".into(), lock: Some(0), ..Operation::default() };
    for actor in 0..actors {
        let at = actor as u64 * 1000;
        add(at, actor, EventKind::Started);
        let begun = add(at, actor, EventKind::Invoked(acquire()));
        let lease = Some(1_000_000_000);
        let change = match actor {
            0 => Change::Took { token: "a".into(), fence: None, lease },
            _ => Change::Refused,
        };
        let (text, reply) = ("SET".into(), "OK".into());
        let effects = vec![Effect { lock: 0, change }];
        let sent = Moment { order: begun + 1, at };
        add(at, actor, EventKind::Command(Command { sent, text, reply, effects, late: None }));
        if actor == 0 {
            add(at, actor, EventKind::Completed(acquire()));
            continue;
        }
        let (kind, message) = (FailureKind::AlreadyLocked, "taken".into());
        let failure = Failure { kind, message };
        let failed = EventKind::Failed { operation: acquire(), failure: failure.clone() };
        add(at + 500, actor, failed);
        add(at + 500, actor, EventKind::Ended { failure: Some(failure) });
    }
    add(5_000_000, 0, EventKind::Ended { failure: None });
    History { head, events, is_complete: true }
}

#[test]
fn a_crowd_is_drawn_together_and_those_who_matter_alone() {
    for (actors, lanes) in [(2, 3), (40, 41), (41, 3), (1000, 3)] {
        let history = herd(actors);
        let timeline = Timeline::new(&history, &check(&history));
        keeps_promises(&timeline);
        assert_eq!(timeline.lanes.len(), lanes, "{actors} actors");
        let all: usize = timeline
            .lanes
            .iter()
            .filter(|it| it.kind == LaneKind::Actor)
            .map(|it| it.stands_for)
            .sum();
        assert_eq!(all, actors);
        let crowd = timeline.lanes.last().unwrap();
        let refused = crowd.marks.iter().filter(|it| it.kind == MarkKind::Refused);
        let refused: usize = refused.map(|it| it.times).sum();
        if actors > 40 {
            assert_eq!(crowd.name, format!("{} actors: already locked", actors - 1));
            assert_eq!(refused, actors - 1);
            assert!(crowd.bars.iter().all(|bar| bar.kind == BarKind::Many));
        }
    }
}

#[test]
fn a_history_that_contradicts_itself_is_drawn_without_owners() {
    let mut history = herd(3);
    history.events.reverse();
    let timeline = Timeline::new(&history, &check(&history));
    keeps_promises(&timeline);
    assert!(!timeline.is_complete);
    assert!(timeline.tokens.is_empty());
}

#[test]
fn locks_that_are_too_many_are_counted_and_the_one_that_matters_is_drawn() {
    let mut history = herd(2);
    history.head.locks = (0..30).map(|lock| format!("lock {lock}")).collect();
    for event in &mut history.events {
        if let EventKind::Command(command) = &mut event.kind {
            command.effects.iter_mut().for_each(|effect| effect.lock = 29);
        }
    }
    let timeline = Timeline::new(&history, &check(&history));
    keeps_promises(&timeline);
    let locks: Vec<&Lane> = timeline.lanes.iter().filter(|it| it.kind == LaneKind::Lock).collect();
    assert_eq!(locks.len(), 13);
    assert!(locks.iter().any(|lane| lane.name == "lock 29" && lane.bars.len() == 1));
    assert_eq!((&*locks[12].name, locks[12].stands_for), ("18 more locks: not drawn", 18));
}

#[test]
fn an_empty_history_has_a_timeline() {
    let history = History::default();
    let timeline = Timeline::new(&history, &check(&history));
    assert_eq!((timeline.begin, timeline.end), (Moment::default(), Moment::default()));
    assert!(timeline.lanes.is_empty());
}

#[test]
fn names_from_outside_are_made_visible_and_not_without_end() {
    let mut history = herd(2);
    history.head.actors = vec!["a\nb\u{202e}".into(), "x".repeat(5000)];
    let timeline = Timeline::new(&history, &check(&history));
    assert_eq!(timeline.lanes[1].name, r"a\nb\u{202e}");
    assert_eq!(timeline.lanes[2].name.chars().count(), 301);
}
