//! That nothing overlaps and nothing leaves the picture, by the picture's own numbers.

use super::super::layout::axis::{Axis, SegmentKind};
use super::*;
use crate::report::timeline::{Bar, BarKind, Lane, LaneKind, Mark, MarkKind, when};
use lock_history::history::Moment;
use proptest::prelude::*;

/// A text in the picture, with as much room as it can fill.
#[derive(Debug)]
struct Text {
    class: String,
    x: f64,
    y: f64,
    width: f64,
    size: f64,
    text: String,
}

/// An attribute of the element that begins a piece of the picture.
fn attribute<'a>(piece: &'a str, name: &str) -> &'a str {
    let tag = piece.split_once('>').map_or(piece, |(tag, _)| tag);
    let (_, rest) = tag.split_once(&format!(" {name}=\"")).unwrap_or_default();
    rest.split_once('"').map_or("", |(value, _)| value)
}

fn number(piece: &str, name: &str) -> f64 {
    attribute(piece, name).parse().unwrap()
}

/// The texts in a piece of the picture.
fn texts(picture: &str) -> Vec<Text> {
    let text = |piece: &str| {
        let (class, size) = attribute(piece, "class").split_once(' ').map_or_else(
            || (attribute(piece, "class"), NORMAL),
            |(class, small)| (class, if small == "small" { SMALL } else { SMALL - 1.0 }),
        );
        let size = if class == "title" { LARGE } else { size };
        let (_, inside) = piece.split_once('>').unwrap();
        let inside = inside.split_once("</text>").unwrap().0;
        let text = inside.split_once("</title>").map_or(inside, |(_, text)| text);
        let text = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")]
            .into_iter()
            .fold(text.to_owned(), |text, (escaped, sign)| text.replace(escaped, sign));
        let bold = if ["title", "strong", "number"].contains(&class) { BOLD } else { 1.0 };
        Text {
            class: class.into(),
            x: number(piece, "x"),
            y: number(piece, "y"),
            width: measure(&text, size) * bold,
            size,
            text,
        }
    };
    picture.split("<text").skip(1).map(|piece| text(&format!("<text{piece}"))).collect()
}

/// The groups of a class in a picture.
fn groups<'a>(picture: &'a str, class: &str) -> Vec<&'a str> {
    let groups = picture.split("<g class=\"").skip(1);
    let groups = groups.filter(|group| group.starts_with(&format!("{class} ")));
    groups.map(|group| group.split_once("</g>").map_or(group, |(group, _)| group)).collect()
}

fn moment(at: u64, order: u64) -> Moment {
    Moment { order, at }
}

fn bar(begin: Moment, end: Moment, kind: BarKind, token: Option<usize>, label: &str) -> Bar {
    let label = label.to_owned();
    let detail = label.clone();
    Bar { begin, end, kind, token, is_lost: token == Some(1), is_open: false, label, detail }
}

/// A timeline with one actor, whose bars lie between these times.
fn of_times(times: &[u64]) -> Timeline {
    let moments: Vec<Moment> = (0..).zip(times).map(|(order, at)| moment(*at, order)).collect();
    let bars = moments
        .windows(2)
        .map(|pair| bar(pair[0], pair[1], BarKind::Works, None, "work"))
        .collect();
    let lane =
        Lane { kind: LaneKind::Actor, name: "a".into(), stands_for: 1, bars, marks: Vec::new() };
    Timeline {
        title: "times".into(),
        protocol: "legacy".into(),
        began_us: None,
        begin: moments[0],
        end: moments[moments.len() - 1],
        tokens: Vec::new(),
        lanes: vec![lane],
        findings: Vec::new(),
        omitted: 0,
        is_complete: true,
    }
}

fn kinds(times: &[u64]) -> Vec<SegmentKind> {
    let axis = Axis::new(&of_times(times), 1000.0);
    axis.segments.iter().map(|segment| segment.kind).collect()
}

fn said(times: &[u64]) -> Vec<String> {
    let mut texts = texts(&picture(&of_times(times), 1200.0, true));
    texts.retain(|text| text.class == "tick");
    texts.sort_by(|one, other| one.x.total_cmp(&other.x));
    texts.into_iter().map(|text| text.text).collect()
}

const SECOND: u64 = 1_000_000_000;

#[test]
fn time_is_to_scale_where_it_can_be_read() {
    use SegmentKind::{Gap, Order, Scale};
    assert_eq!(kinds(&[0, SECOND, 3 * SECOND]), [Scale]);
    assert_eq!(kinds(&[0, 0, 0, SECOND]), [Order, Scale]);
    assert_eq!(kinds(&[0, 0, 0]), [Order]);
    assert_eq!(kinds(&[7]), []);
    let hours = 6 * 3600 * SECOND;
    let mixed = [0, 5_000_000, 9_000_000, 20_000_000, hours, hours + 3_000_000];
    assert_eq!(kinds(&mixed), [Scale, Gap, Scale]);
    // Two long gaps are to scale with one another.
    assert_eq!(kinds(&[0, hours, 2 * hours]), [Scale]);
}

#[test]
fn the_axis_speaks_in_round_times_from_microseconds_to_hours() {
    assert_eq!(said(&[0, 10_000])[..4], ["0", "1 us", "2 us", "3 us"]);
    assert_eq!(said(&[0, SECOND, 5 * SECOND])[..3], ["0", "500 ms", "1 s"]);
    let hours = 6 * 3600 * SECOND;
    assert_eq!(said(&[0, hours])[..3], ["0", "1 h", "2 h"]);
    let cut = said(&[0, 5_000_000, 20_000_000, hours]);
    assert_eq!(cut, ["0", "5 ms", "10 ms", "15 ms", "20 ms", "5 h 59 min cut short"]);
}

#[test]
fn a_moment_lies_where_its_time_is() {
    let axis = Axis::new(&of_times(&[0, SECOND, 4 * SECOND]), 1000.0);
    assert!((axis.place(moment(SECOND, 1)) - 0.25).abs() < 1e-9);
    assert!((axis.place(moment(2 * SECOND, 1)) - 0.5).abs() < 1e-9);
    assert_eq!(axis.place(moment(9 * SECOND, 9)), 1.0);
}

#[test]
fn marks_on_one_spot_are_one_with_their_number_and_the_gravest_sign() {
    let mut timeline = of_times(&[0, SECOND]);
    let mark = |at, kind, times| Mark { at: moment(at, 0), kind, times, detail: String::new() };
    timeline.lanes[0].marks = vec![
        mark(0, MarkKind::Refused, 3),
        mark(1_000_000, MarkKind::Crashed, 1),
        mark(2_000_000, MarkKind::Fault, 1),
        mark(SECOND / 2, MarkKind::Refused, 1),
    ];
    let picture = picture(&timeline, 1200.0, false);
    let shown: Vec<_> = groups(&picture, "mark")
        .into_iter()
        .map(|mark| (mark.split_once('"').unwrap().0, texts(mark).pop().map(|it| it.text)))
        .collect();
    assert_eq!(shown, [("mark crashed", Some("×5".into())), ("mark refused", None)]);
}

/// Texts with characters of every sort.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_]{0,12}",
        "[A-Za-z ]{20,120}",
        any::<String>(),
        Just("<script>alert(1)</script> 👩‍👩‍👧 שלום ロック".to_owned()),
    ]
}

fn timeline() -> impl Strategy<Value = Timeline> {
    let unit = prop_oneof![Just(1u64), Just(1000), Just(SECOND), Just(3600 * SECOND)];
    let times = prop::collection::vec((0u64..4, unit), 1..60);
    let texts = prop::collection::vec(text(), 1..8);
    (times, texts, 0usize..14, any::<u64>()).prop_map(|(gaps, texts, lanes, seed)| {
        let mut at = 0;
        let moments: Vec<Moment> = (0..)
            .zip(gaps)
            .map(|(order, (number, unit))| {
                at += number * unit;
                moment(at, order)
            })
            .collect();
        let mut drawn = seed;
        let mut draw = move |below: usize| {
            drawn = drawn
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (drawn >> 33) as usize % below.max(1)
        };
        let last = moments.len() - 1;
        let lanes: Vec<Lane> = (0..lanes)
            .map(|number| {
                let kind = [LaneKind::Lock, LaneKind::Flag, LaneKind::Actor][number.min(2)];
                let mut bars = Vec::new();
                let mut from = draw(4);
                while from < last {
                    let to = (from + draw(5)).min(last);
                    let kind =
                        [BarKind::Works, BarKind::Waits, BarKind::Asks, BarKind::Many][draw(4)];
                    let token = [None, Some(0), Some(1), Some(40)][draw(4)];
                    bars.push(bar(
                        moments[from],
                        moments[to],
                        kind,
                        token,
                        &texts[draw(texts.len())],
                    ));
                    from = to + 1 + draw(2);
                }
                let mut marks: Vec<Mark> = (0..draw(12))
                    .map(|_| Mark {
                        at: moments[draw(last + 1)],
                        kind: [MarkKind::Refused, MarkKind::Crashed, MarkKind::Expired][draw(3)],
                        times: draw(2000) + 1,
                        detail: String::new(),
                    })
                    .collect();
                marks.sort_by_key(|mark| when(mark.at));
                Lane {
                    kind,
                    name: texts[draw(texts.len())].clone(),
                    stands_for: 1 + draw(2),
                    bars,
                    marks,
                }
            })
            .collect();
        let mut findings: Vec<Remark> = (0..draw(40))
            .map(|_| Remark {
                at: moments[draw(last + 1)],
                number: 0,
                property: "lost_update",
                lanes: if lanes.is_empty() { Vec::new() } else { vec![draw(lanes.len())] },
                text: texts[draw(texts.len())].clone(),
            })
            .collect();
        findings.sort_by_key(|remark| when(remark.at));
        (1..).zip(&mut findings).for_each(|(number, remark)| remark.number = number);
        Timeline {
            title: texts[0].clone(),
            protocol: "legacy".into(),
            began_us: Some(1_735_689_600_000_000),
            begin: moments[0],
            end: moments[last],
            tokens: vec!["a".into(), "b".into()],
            lanes,
            findings,
            omitted: draw(3) as u64,
            is_complete: draw(2) == 0,
        }
    })
}

/// The rectangle that a text can fill; places are rounded.
fn rectangle(text: &Text) -> [f64; 4] {
    let Text { x, y, width, size, .. } = text;
    [x + 0.05, y - size * 0.8, x + width - 0.05, y + size * 0.2]
}

fn overlap(one: [f64; 4], other: [f64; 4]) -> bool {
    one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    #[test]
    fn no_texts_overlap_and_none_leaves_the_picture(
        timeline in timeline(),
        width in prop_oneof![Just(400.0), Just(1200.0), 320.0..2000.0],
    ) {
        let picture = picture(&timeline, width, true);
        let height = number(&picture, "height");
        let texts: Vec<Text> =
            texts(&picture).into_iter().filter(|it| !it.text.is_empty()).collect();
        for (position, one) in texts.iter().enumerate() {
            let [left, top, right, bottom] = rectangle(one);
            prop_assert!(left >= 0.0 && top >= 0.0, "{one:?}");
            prop_assert!(right <= width + 0.01 && bottom <= height, "{one:?} {width}");
            for other in &texts[position + 1..] {
                prop_assert!(!overlap(rectangle(one), rectangle(other)), "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn bars_keep_their_order_and_hold_their_texts(timeline in timeline()) {
        let layout = Layout::new(&timeline, 1200.0, -10.0);
        let (left, right) = (layout.left - 0.1, layout.left + layout.plot + 0.1);
        for row in &layout.rows {
            let mut drawn = String::new();
            prop_assert_eq!(lanes::draw(&mut drawn, row, &layout), 0);
            let mut last = left;
            for bar in groups(&drawn, "bar") {
                let (_, shape) = bar.split_once("</title>\n").unwrap();
                let (x, width) = (number(shape, "x"), number(shape, "width"));
                // Places are rounded to a tenth, and widths to a hundredth.
                prop_assert!(width >= 0.0 && last <= x + 0.12, "{bar}");
                last = x + width;
                prop_assert!(last <= right, "{bar}");
                for text in texts(bar) {
                    prop_assert!(x <= text.x && text.x + text.width <= last + 0.1, "{bar}");
                }
            }
            for mark in groups(&drawn, "mark") {
                let (_, place) = mark.split_once("translate(").unwrap();
                let x: f64 = place.split_once(' ').unwrap().0.parse().unwrap();
                prop_assert!(left <= x && x <= right, "{mark}");
            }
        }
        prop_assert!(layout.axis.segments.iter().all(|it| it.from <= it.to));
    }

    #[test]
    fn the_same_timeline_gives_the_same_bytes(timeline in timeline()) {
        let written = || {
            let mut bytes = Vec::new();
            write(&timeline, &mut bytes).unwrap();
            String::from_utf8(bytes).unwrap()
        };
        let once = written();
        prop_assert!(!once.contains("<script"));
        let attributes = once.split('"').skip(1).step_by(2);
        let mut numbers = attributes.flat_map(|it| it.split([' ', ',', '(', ')']));
        prop_assert!(numbers.all(|it| it.parse::<f64>().map_or(true, f64::is_finite)));
        prop_assert_eq!(once, written());
    }
}
