//! Pictures as golden files; and what holds for any timeline, however strange.

use super::*;
use crate::report::columns;
use crate::report::exploration::samples::ran;
use crate::report::samples::assert_golden;
use crate::report::timeline::{Bar, BarKind, Lane, LaneKind, Mark, MarkKind};
use lock_history::check::check;
use lock_history::history::{History, Moment};
use lock_lab::lock::Legacy;
use proptest::prelude::*;
use std::path::Path;
use std::sync::Arc;

const US: u64 = 1_000;
const MS: u64 = 1_000_000;
const S: u64 = 1_000_000_000;
const HOUR: u64 = 3600 * S;

/// A moment on a clock on which no two things happen at one time.
fn at(at: u64) -> Moment {
    Moment { order: at, at }
}

/// A timeline with nothing on it.
pub(super) fn empty() -> Timeline {
    Timeline {
        title: "made_up".into(),
        protocol: "legacy".into(),
        began_us: None,
        begin: at(0),
        end: at(0),
        tokens: Vec::new(),
        lanes: Vec::new(),
        findings: Vec::new(),
        omitted: 0,
        is_complete: true,
    }
}

/// An actor's lane.
pub(super) fn lane(name: &str, bars: Vec<Bar>, marks: Vec<Mark>) -> Lane {
    Lane { kind: LaneKind::Actor, name: name.into(), stands_for: 1, bars, marks }
}

fn bar(begin: u64, end: u64, kind: BarKind, token: Option<usize>, label: &str) -> Bar {
    Bar {
        begin: at(begin),
        end: at(end),
        kind,
        token,
        is_lost: false,
        is_open: false,
        label: label.into(),
        detail: String::new(),
    }
}

fn mark(time: u64, kind: MarkKind) -> Mark {
    Mark { at: at(time), kind, times: 1, detail: String::new() }
}

fn remark(time: u64, number: usize, text: &str) -> Remark {
    Remark { at: at(time), number, property: "foreign_release", lanes: vec![0], text: text.into() }
}

/// A holder whose lease expires under it, and that deletes its successor's lock.
fn expired() -> Timeline {
    use BarKind::*;
    let lock = vec![
        bar(120 * US, 2 * S, Holds, Some(0), "first"),
        bar(2200 * MS, 3 * S, Holds, Some(1), "second"),
    ];
    let flag = vec![bar(180 * US, 3 * S, Raised, None, "")];
    let first = vec![
        bar(0, 120 * US, Waits, None, "acquire"),
        bar(120 * US, 300 * US, Asks, Some(0), "flag"),
        bar(300 * US, 3 * S, Works, Some(0), "work 3 s"),
        bar(3 * S, 3 * S + 300 * US, Asks, Some(0), "release"),
    ];
    let second = vec![
        bar(40 * US, 2200 * MS, Waits, None, "waits for first"),
        bar(2200 * MS, 4 * S, Works, Some(1), "work 2 s"),
        bar(4 * S, 4 * S + 200 * US, Asks, Some(1), "release"),
    ];
    let lock_lane = |kind, name: &str, bars, marks| Lane {
        kind,
        name: name.into(),
        stands_for: 1,
        bars,
        marks,
    };
    Timeline {
        title: "ttl_expiration".into(),
        end: at(4 * S + 250 * US),
        tokens: vec!["3f2a91c07de841b2".into(), "b81e09f55a1c4c7d".into()],
        lanes: vec![
            lock_lane(
                LaneKind::Lock,
                "nodb-lock:run:state.nodb",
                lock,
                vec![mark(2 * S, MarkKind::Expired), mark(3 * S, MarkKind::Cleared)],
            ),
            lock_lane(LaneKind::Flag, "flag", flag, Vec::new()),
            lane("first", first, Vec::new()),
            lane(
                "second",
                second,
                vec![mark(90 * US, MarkKind::Refused), mark(4 * S + 200 * US, MarkKind::Failed)],
            ),
        ],
        findings: vec![
            remark(
                2200 * MS,
                1,
                "second acquired at 2.200 s while first still believed that it held the lock",
            ),
            remark(
                3 * S,
                2,
                "first's release at 3.000 s deleted second's lock, which would have lasted until 4.200 s",
            ),
        ],
        ..empty()
    }
}

/// Much within 20 ms, and the end of a lease six hours later.
fn forgotten() -> Timeline {
    use BarKind::*;
    let actor = |number: u64| {
        let begin = number * 4 * MS;
        let token = usize::try_from(number).unwrap();
        let bars = vec![
            bar(begin, begin + MS, Waits, None, ""),
            bar(begin + MS, begin + 3 * MS, Works, Some(token), "work 2 ms"),
            bar(begin + 3 * MS, begin + 3500 * US, Writes, Some(token), "dump"),
        ];
        let marks =
            if number == 4 { vec![mark(begin + 3500 * US, MarkKind::Crashed)] } else { Vec::new() };
        lane(&format!("worker-{number}"), bars, marks)
    };
    let own = |number: u64| {
        let end = if number == 4 { 6 * HOUR + 17 * MS } else { number * 4 * MS + 3600 * US };
        bar(number * 4 * MS + MS, end, Holds, Some(usize::try_from(number).unwrap()), "")
    };
    let mut lanes = vec![Lane {
        kind: LaneKind::Lock,
        name: "lock".into(),
        stands_for: 1,
        bars: (0..5).map(own).collect(),
        marks: vec![mark(6 * HOUR + 17 * MS, MarkKind::Expired)],
    }];
    lanes.extend((0..5).map(actor));
    Timeline {
        title: "orphaned_locks".into(),
        end: at(6 * HOUR + 18 * MS),
        tokens: (0..5).map(|number| format!("{number:x}a91c07de841b2")).collect(),
        lanes,
        is_complete: false,
        ..empty()
    }
}

/// Names from outside, of every width.
fn hostile() -> Timeline {
    let mut timeline = expired();
    timeline.title = "ro\u{1b}[31mt\n".into();
    timeline.lanes[0].name = "ロックの持ち主\u{202e}ロックの持ち主ロックの持ち主".into();
    timeline.lanes[2].name = "e\u{301}\u{1b}[2J".into();
    timeline.lanes[3].bars[0].label = "ロック".into();
    timeline.findings[0].text = "\u{1b}]0;title\u{7} ロック ".repeat(9);
    timeline
}

fn drawn(timeline: &Timeline, width: u16, color: bool) -> String {
    let mut bytes = Vec::new();
    write(timeline, Style { width, color }, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn assert_golden_widths(name: &str, timeline: &Timeline) {
    for width in [40, 80, 120] {
        let text = drawn(timeline, width, false);
        assert_golden(&format!("timeline-{name}-{width}.txt"), &text);
        assert!(is_within(&text, width), "{text}");
    }
}

fn is_within(text: &str, width: u16) -> bool {
    text.lines().all(|line| columns(line) <= usize::from(width))
}

#[test]
fn golden_timelines_made_by_hand() {
    assert_golden_widths("expired", &expired());
    assert_golden_widths("forgotten", &forgotten());
    assert_golden_widths("hostile", &hostile());
}

#[test]
fn golden_timelines_of_scenarios() {
    for name in ["thundering_herd", "ttl_expiration", "check_then_delete", "deadlock_sim"] {
        let (_, outcome) = ran(name, Arc::new(Legacy));
        assert_golden_widths(name, &Timeline::new(&outcome.history, &check(&outcome.history)));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories/stuck_lock-bad.jsonl");
    let text = std::fs::read(&path).unwrap();
    let history = History::read("stuck_lock", &mut text.as_slice()).unwrap();
    assert_golden_widths("stuck_lock", &Timeline::new(&history, &check(&history)));
}

#[test]
fn colour_only_adds_to_the_characters() {
    for timeline in [expired(), forgotten(), hostile()] {
        let coloured = drawn(&timeline, 80, true);
        assert!(coloured.contains("\u{1b}["));
        let mut plain = String::new();
        let mut rest = coloured.as_str();
        while let Some((before, after)) = rest.split_once("\u{1b}[") {
            plain.push_str(before);
            rest = after.split_once('m').unwrap().1;
        }
        assert_eq!(plain + rest, drawn(&timeline, 80, false));
    }
}

fn time() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..20u64,
        0..20 * MS,
        any::<u64>(),
        Just(u64::MAX),
        (0..9u64).prop_map(|it| it * HOUR)
    ]
}

/// Moments of a clock on which much may happen at one time.
fn a_moment() -> impl Strategy<Value = Moment> {
    (time(), prop_oneof![0..30u64, any::<u64>()]).prop_map(|(at, order)| Moment { order, at })
}

fn a_bar() -> impl Strategy<Value = Bar> {
    let kind = prop::sample::select(signs::BARS.to_vec());
    let token = prop::option::of(prop_oneof![0..60usize, any::<usize>()]);
    (a_moment(), a_moment(), kind, token, any::<(bool, bool)>(), ".{0,12}").prop_map(
        |(begin, end, kind, token, (is_lost, is_open), label)| Bar {
            begin,
            end,
            is_lost,
            is_open,
            ..bar(0, 0, kind, token, &label)
        },
    )
}

fn a_lane() -> impl Strategy<Value = Lane> {
    let marks = (a_moment(), prop::sample::select(signs::MARKS.to_vec()));
    let marks = marks.prop_map(|(at, kind)| Mark { at, ..mark(0, kind) });
    (
        prop::sample::select(vec![LaneKind::Lock, LaneKind::Flag, LaneKind::Actor]),
        ".{0,40}",
        any::<usize>(),
        prop::collection::vec(a_bar(), 0..12),
        prop::collection::vec(marks, 0..8),
    )
        .prop_map(|(kind, name, stands_for, bars, marks)| Lane {
            kind,
            name,
            stands_for,
            bars,
            marks,
        })
}

fn a_timeline() -> impl Strategy<Value = Timeline> {
    let remarks = (a_moment(), any::<usize>(), ".{0,90}");
    let remarks = remarks.prop_map(|(at, number, text)| Remark { at, ..remark(0, number, &text) });
    (
        ".{0,90}",
        (a_moment(), a_moment()),
        prop::collection::vec(".{0,40}", 0..4),
        prop::collection::vec(a_lane(), 0..6),
        prop::collection::vec(remarks, 0..9),
        any::<u64>(),
        any::<bool>(),
    )
        .prop_map(|(title, (begin, end), tokens, lanes, findings, omitted, is_complete)| {
            Timeline {
                protocol: title.clone(),
                title,
                began_us: Some(omitted),
                begin,
                end,
                tokens,
                lanes,
                findings,
                omitted,
                is_complete,
            }
        })
}

proptest! {
    #[test]
    fn no_line_is_wider_than_the_screen(timeline in a_timeline(), width in 0..200u16) {
        let text = drawn(&timeline, width, false);
        let width = width.max(Style::NARROWEST);
        prop_assert!(is_within(&text, width), "{width}:\n{text}");
        prop_assert!(text.lines().all(|line| !line.ends_with(' ')), "{text}");
    }
}
