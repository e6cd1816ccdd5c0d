//! Tables compared with the files in `tests/golden/`.

mod recovery;

use super::*;
use crate::report::Outcome;
use crate::report::exploration::{Exploration, Row, samples::exploration};
use crate::report::samples::assert_golden;
use crate::report::{
    Cause, Entry, Failure, FairnessRow, Judgement, LeaseUseRow, Replay, Runs, Share, samples,
};
use lock_lab::runtime::Limit;
use proptest::prelude::*;

fn drawn(report: &Report, width: u16, color: bool) -> String {
    drawn_as(report, false, Style { width, color })
}

fn drawn_as(report: &Report, all: bool, style: Style) -> String {
    let mut bytes = Vec::new();
    write(report, all, style, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn assert_golden_report(name: &str, report: &Report, width: u16) {
    assert_golden(name, &drawn(report, width, false));
}

/// The widest line, in columns of a terminal.
pub(super) fn widest(text: &str) -> usize {
    text.lines().map(unicode_columns).max().unwrap_or(0)
}

/// A column a character, two for the wide ones that these tests use.
fn unicode_columns(line: &str) -> usize {
    line.chars().map(|c| if ('\u{3000}'..='\u{9fff}').contains(&c) { 2 } else { 1 }).sum()
}

#[test]
fn golden_herd() {
    assert_golden_report("herd-80.txt", &samples::herd(10), 80);
    assert_golden_report("herd-40.txt", &samples::herd(10), 40);
    assert_golden_report("herd-1000-80.txt", &samples::herd(1000), 80);
    assert_golden_report("herd-1000-40.txt", &samples::herd(1000), 40);
    let whole = drawn_as(&samples::herd(10), true, Style::PLAIN);
    assert_golden("herd-all-80.txt", &whole);
    let unwrapped = drawn_as(&samples::herd(10), false, Style { width: u16::MAX, color: false });
    assert_golden("herd-unwrapped.txt", &unwrapped);
}

#[test]
fn golden_orphan() {
    assert_golden_report("orphan-80.txt", &samples::orphan(), 80);
    assert_golden_report("orphan-40.txt", &samples::orphan(), 40);
}

#[test]
fn golden_hostile() {
    assert_golden_report("hostile-80.txt", &samples::hostile(), 80);
    assert_golden("hostile-all-80.txt", &drawn_as(&samples::hostile(), true, Style::PLAIN));
}

#[test]
fn golden_interrupted() {
    assert_golden_report("interrupted-80.txt", &samples::interrupted(), 80);
}

#[test]
fn golden_repeated() {
    assert_golden_report("repeated-80.txt", &samples::repeated(), 80);
}

/// Several scenarios that ended in every way that there is.
fn several() -> Runs {
    let mut own = samples::orphan();
    own.file = Some("mine/a very long directory's name/orphan\u{1b}[2J.toml".into());
    own.findings = vec![samples::finding("A's release at 5.001 s deleted B's lock"); 2];
    let failure = |cause, message: &str| {
        Entry::Failure(Failure { file: "broken.toml".into(), cause, message: message.into() })
    };
    Runs(vec![
        Entry::Report(Box::new(samples::herd(10))),
        Entry::Report(Box::new(own)),
        Entry::Report(Box::new(samples::repeated())),
        Entry::Report(Box::new(samples::interrupted())),
        failure(Cause::Scenario, "broken.toml:3:7: unknown lock \"mian\""),
        failure(Cause::Environment, "cannot reach Redis at redis://h: connection refused"),
        failure(Cause::Interrupted, "interrupted, not run"),
    ])
}

fn drawn_runs(runs: &Runs, width: u16) -> String {
    let mut bytes = Vec::new();
    write_runs(runs, Style { width, color: false }, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn golden_runs() {
    assert_golden("runs-80.txt", &drawn_runs(&several(), 80));
    let good = Runs(vec![Entry::Report(Box::new(samples::herd(10)))]);
    assert!(drawn_runs(&good, 80).ends_with("AS EXPECTED: 1 scenario ended as expected.\n"));
}

#[test]
fn golden_judgement() {
    let text = "2 of 66 leases expired while the lock was held";
    let too_short = FindingRow { property: Property::LeaseTooShort, ..samples::finding(text) };
    let overlap = |text: &str| FindingRow {
        property: Property::Overlap,
        cause: Some(Property::LeaseTooShort),
        ..samples::finding(text)
    };
    let judgement = Judgement {
        schema: Judgement::SCHEMA,
        file: "saved.jsonl".into(),
        scenario: "check_then_delete".into(),
        protocol: "legacy".into(),
        events: 51,
        time: None,
        is_complete: false,
        incomplete: vec!["lock:a: it was still held when the recording ended".into()],
        findings: vec![
            overlap("A thought it held the lock from 1.000 s to 1.500 s"),
            overlap("B thought it held the lock from 2.000 s to 2.500 s"),
            samples::finding("A's release at 5.001 s deleted B's lock"),
            too_short,
        ],
        omitted: 2,
        not_judged: vec!["starvation: connections may be of a pool".into()],
        saved: Some("saved.jsonl".into()),
        advice: vec!["set a longer TTL".into()],
        fairness: vec![FairnessRow {
            lock: "nodb-lock:run:debug_lock_test.nodb".into(),
            acquisitions: (0..12)
                .map(|index| Share { actor: format!("thread_{index}"), count: index })
                .collect(),
            wait_p50_ms: 1.0,
            wait_p99_ms: 20.5,
            wait_max_ms: 3000.0,
        }],
        lease_use: vec![LeaseUseRow {
            lock: "nodb-lock:run:debug_lock_test.nodb".into(),
            acquisitions: 66,
            held_p50_ms: 350.0,
            held_p99_ms: 2500.0,
            held_max_ms: 5001.0,
            share_p50: Some(0.117),
            share_p99: Some(0.833),
            share_max: Some(1.667),
            too_short: 1,
        }],
    };
    let mut bytes = Vec::new();
    write_judgement(&judgement, Style::PLAIN, &mut bytes).unwrap();
    assert_golden("judgement-80.txt", &String::from_utf8(bytes).unwrap());
}

fn drawn_exploration(exploration: &Exploration, all: bool, width: u16) -> String {
    let mut bytes = Vec::new();
    write_exploration(exploration, all, Style { width, color: false }, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn golden_exploration() {
    let found = exploration("check_then_delete", None);
    assert_golden("exploration-100.txt", &drawn_exploration(&found, false, 100));
    assert_golden("exploration-all-100.txt", &drawn_exploration(&found, true, 100));
    assert_golden("exploration-40.txt", &drawn_exploration(&found, false, 40));
    let bounded = exploration("paused_holder", Some(Limit::Time));
    assert_golden("exploration-bounded-80.txt", &drawn_exploration(&bounded, false, 80));
    let mut wrong = exploration("lost_reply", None);
    wrong.protocols[0].judged[0].must_be_found = false;
    wrong.protocols[0].verdict = Verdict::Unexpected;
    wrong.verdict = Verdict::Unexpected;
    assert_golden("exploration-unexpected-80.txt", &drawn_exploration(&wrong, false, 80));
    let mut json = Vec::new();
    crate::report::json::write(&found, &mut json).unwrap();
    assert_golden("exploration.json", &String::from_utf8(json).unwrap());
    let mut junit = Vec::new();
    let entries = [found, bounded, wrong].map(|it| Entry::Exploration(Box::new(it)));
    crate::report::junit::write(&entries, &mut junit).unwrap();
    assert_golden("exploration.xml", &String::from_utf8(junit).unwrap());
    assert_golden("exploration-runs-80.txt", &drawn_runs(&Runs(entries.to_vec()), 80));
}

#[test]
fn golden_replay() {
    let exploration = exploration("check_then_delete", None);
    let found = &exploration.protocols[0].counterexamples[0];
    let finding = FindingRow {
        property: found.property,
        lock: "main".into(),
        actors: vec!["holder".into(), "rival".into()],
        at_ms: 1300.0,
        time: None,
        text: found.text.clone(),
        cause: None,
    };
    let notices = vec!["the replay made a lease end".into()];
    let verdict = Verdict::Expected;
    let report = Report { findings: vec![finding], notices, verdict, ..samples::orphan() };
    let lanes = found.lanes.clone();
    let replay = Replay { report, lanes, shows: Some(Property::ForeignRelease) };
    let drawn = |replay: &Replay, all| {
        let mut bytes = Vec::new();
        write_replay(replay, all, Style::PLAIN, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    };
    assert_golden("replay-80.txt", &drawn(&replay, false));
    assert_golden("replay-all-80.txt", &drawn(&replay, true));
    let verdict = |verdict, shows| {
        let mut replay = replay.clone();
        (replay.report.verdict, replay.shows) = (verdict, shows);
        drawn(&replay, false).lines().last().unwrap().to_owned()
    };
    assert_eq!(
        verdict(Verdict::Unexpected, Some(Property::Overlap)),
        "NOT REPRODUCED: it went as the schedule says, without overlap."
    );
    assert_eq!(verdict(Verdict::Expected, None), "AS EXPECTED: it went as the schedule says.");
}

#[test]
fn what_has_no_room_beside_its_row_goes_below_it() {
    let mut exploration = exploration("check_then_delete", None);
    let lanes = &mut exploration.protocols[0].counterexamples[0].lanes;
    let marked = lanes.iter_mut().find(|row| row.mark.is_some()).unwrap();
    marked.mark = Some("deletes the lock of a rival whose name is a rather long one".into());
    let text = drawn_exploration(&exploration, false, 80);
    let row = "   7  DEL lock -> 1\n      <-- deletes the lock of a rival whose name is a rather long one\n";
    assert!(text.contains(row), "{text}");
}

#[test]
fn many_lanes_become_a_list() {
    let mut exploration = exploration("check_then_delete", None);
    let found = &mut exploration.protocols[0].counterexamples[0];
    found.lanes = (0..7)
        .map(|column| Row {
            step: column + 1,
            lane: format!("worker {column}"),
            column,
            position: column,
            text: "DEL lock -> 1".into(),
            mark: (column == 6).then(|| "deletes worker 0's lock".into()),
            matters: true,
        })
        .collect();
    let text = drawn_exploration(&exploration, false, 100);
    let last = "7  worker 6:  DEL lock -> 1\n              <-- deletes worker 0's lock\n";
    assert!(text.contains(last), "{text}");
}

#[test]
fn a_picture_fits_every_width() {
    let exploration = exploration("check_then_delete", None);
    for width in 0..=160 {
        let text = drawn_exploration(&exploration, true, width);
        let mut lines = text.lines().filter(|line| !line.starts_with("replay: "));
        let limit = usize::from(width.max(Style::NARROWEST));
        assert!(lines.all(|line| unicode_columns(line) <= limit), "at {width} columns:\n{text}");
    }
}

#[test]
fn every_width_fits_and_nothing_raw_gets_through() {
    let reports = [
        samples::herd(30),
        samples::orphan(),
        samples::hostile(),
        samples::interrupted(),
        samples::repeated(),
    ];
    for report in &reports {
        for width in 0..=160 {
            let text = drawn(report, width, false);
            let limit = usize::from(width.max(Style::NARROWEST));
            assert!(widest(&text) <= limit, "at {width} columns:\n{text}");
            assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
            assert!(text.lines().all(|line| line.trim_end() == line), "{text:?}");
        }
    }
    for width in 0..=160 {
        let text = drawn_runs(&several(), width);
        let limit = usize::from(width.max(Style::NARROWEST));
        assert!(widest(&text) <= limit, "at {width} columns:\n{text}");
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    }
}

#[test]
fn colour_changes_no_word() {
    for report in [samples::herd(10), samples::orphan(), samples::hostile()] {
        let colored = drawn(&report, 80, true);
        assert!(colored.contains("\u{1b}[38;5;"), "no colour:\n{colored}");
        let mut plain = String::new();
        let mut rest = colored.as_str();
        while let Some((before, after)) = rest.split_once("\u{1b}[") {
            plain.push_str(before);
            rest = after.split_once('m').unwrap().1;
        }
        plain.push_str(rest);
        assert_eq!(plain, drawn(&report, 80, false));
    }
}

#[test]
fn the_verdict_is_the_last_line() {
    let last = |report: &Report| drawn(report, 80, false).lines().last().unwrap().to_owned();
    let mut report = samples::herd(10);
    assert_eq!(last(&report), "AS EXPECTED: all 2 expectations were met.");
    report.expectations.pop();
    assert_eq!(last(&report), "AS EXPECTED: the expectation was met.");
    (report.verdict, report.outcome) = (Verdict::Inconclusive, Outcome::Inconclusive);
    assert_eq!(last(&report), "INCONCLUSIVE: the run did not go far enough to tell.");
    report.expectations[0].met = None;
    let text = drawn(&report, 200, false);
    assert!(text.contains("INCONCLUSIVE: other clients wrote the state file"), "{text}");
    report.expectations[0].met = Some(true);
    assert_eq!(last(&samples::orphan()), "NOT AS EXPECTED: 1 of 2 expectations not met.");
}

#[test]
fn many_snapshots_are_folded_and_counted() {
    let mut report = samples::orphan();
    report.consistency = (0..100).map(|_| samples::orphaned("inside")).collect();
    let text = drawn(&report, 80, false);
    assert!(text.contains("… 99 more snapshots of this lock, 0 of them consistent"), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_name_is_drawn_on_any_width(name in any::<String>(), error in any::<String>(), width in any::<u16>()) {
        let mut report = samples::orphan();
        report.actors[1].name = name.clone();
        report.actors[1].error = Some(error.clone());
        report.consistency[1].label = name;
        report.runid = error;
        let text = drawn(&report, width, false);
        prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
    }
}
