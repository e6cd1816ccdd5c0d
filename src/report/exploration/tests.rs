//! Rows, folding and judging; how it looks is pinned by the writers' tests.

use super::samples::{bounds, exploration, explored, properties, ran};
use super::{Judged, Lanes, ProtocolRow};
use crate::check::{Finding, Property, check};
use crate::history::{EventKind, History};
use crate::lock::{HARDENED, Legacy, Protocol};
use crate::report::Verdict;
use crate::runtime::{Limit, Outcome};
use crate::scenario::catalogue;

const MAIN: &[String] = &[];

fn first(history: &History, property: Property) -> Option<Finding> {
    check(history).findings.into_iter().find(|finding| finding.property == property)
}

fn lanes(outcome: &Outcome, property: Property) -> Lanes {
    Lanes::of(&outcome.history, MAIN, first(&outcome.history, property).as_ref())
}

fn texts(lanes: &Lanes) -> Vec<String> {
    lanes.rows.iter().map(|row| format!("{}: {}", row.lane, row.text)).collect()
}

#[test]
fn everything_that_was_done_is_a_row() {
    let (_, outcome) = ran("check_then_delete", &Legacy);
    let lanes = Lanes::of(&outcome.history, MAIN, None);
    assert_eq!(lanes.names, ["holder", "rival", "server"]);
    let expected = [
        "holder: SET lock NX EX 1 -> OK",
        "holder: HSET flag true -> 1",
        "holder: GET lock -> own token",
        "server: TTL of lock ends",
        "rival: SET lock NX EX 21600 -> OK",
        "rival: HSET flag true -> 0",
        "holder: DEL lock -> 1",
        "holder: HSET flag false -> 0",
        "holder: ends",
        "rival: GET lock -> nil",
        "rival: HGET flag -> false",
        "rival: is refused: cannot dump to unlocked db",
    ];
    assert_eq!(texts(&lanes)[..expected.len()], expected);
    assert!(lanes.rows.iter().all(|row| row.matters && row.mark.is_none()));
}

#[test]
fn scripts_are_known_by_what_they_did() {
    let (_, outcome) = ran("check_then_delete", &*HARDENED);
    let rows = texts(&Lanes::of(&outcome.history, MAIN, None));
    for part in [
        "holder: acquire script -> taken, fence 1",
        "rival: acquire script -> taken, fence 2",
        "holder: release script -> not ours",
        "holder: is told that its lock was lost",
        "rival: release script -> released",
    ] {
        assert!(rows.iter().any(|row| row == part), "no {part:?} in {rows:#?}");
    }
}

#[test]
fn the_row_that_completes_the_violation_is_marked_and_what_leads_to_it_matters() {
    let (_, outcome) = ran("check_then_delete", &Legacy);
    let lanes = lanes(&outcome, Property::ForeignRelease);
    let marked: Vec<_> = lanes.rows.iter().filter(|row| row.mark.is_some()).collect();
    let [row] = marked.as_slice() else { panic!("{marked:#?}") };
    assert_eq!(
        (row.text.as_str(), row.mark.as_deref()),
        ("DEL lock -> 1", Some("deletes rival's lock"))
    );
    let steps: Vec<_> = lanes.rows.iter().filter(|row| row.matters).map(|row| row.step).collect();
    assert_eq!(steps, [1, 3, 4, 5, 7]);
}

/// Whatever a built-in scenario shows has one marked row, and what matters ends with it.
#[test]
fn each_finding_of_each_built_in_scenario_has_its_row() {
    for scenario in catalogue().unwrap() {
        for protocol in [&Legacy as &'static dyn Protocol, &*HARDENED] {
            let (_, outcome) = ran(scenario.name(), protocol);
            for property in properties(&outcome) {
                let lanes = lanes(&outcome, property);
                let of = format!("{} {} {property:?}", scenario.name(), protocol.name());
                let marked: Vec<_> = lanes.rows.iter().filter(|row| row.mark.is_some()).collect();
                assert_eq!(marked.len(), 1, "{of}: {:#?}", texts(&lanes));
                let last = lanes.rows.iter().rfind(|row| row.matters).unwrap();
                assert_eq!(last.step, marked[0].step, "{of}");
                let json = lanes.rows.iter().any(|row| row.text.contains("token\""));
                assert!(!json, "{of}: {:#?}", texts(&lanes));
                assert!(lanes.rows.iter().all(|row| !row.text.contains("nodb-lock:")), "{of}");
            }
        }
    }
}

/// Who has the lock first may be the last to be done with acquiring it.
#[test]
fn an_overlap_is_complete_when_both_have_taken_the_lock() {
    let (_, outcome) = ran("check_then_delete", &Legacy);
    let mut finding = first(&outcome.history, Property::ForeignRelease).unwrap();
    finding.property = Property::Overlap;
    for actors in [vec![0, 1], vec![1, 0]] {
        finding.actors = actors;
        let lanes = Lanes::of(&outcome.history, MAIN, Some(&finding));
        let marked = lanes.rows.iter().find(|row| row.mark.is_some()).unwrap();
        assert_eq!((marked.lane.as_str(), &*marked.text), ("rival", "SET lock NX EX 21600 -> OK"));
    }
}

#[test]
fn a_crash_and_a_lost_reply_are_seen() {
    let (_, outcome) = ran("killed_holder", &Legacy);
    let rows = texts(&Lanes::of(&outcome.history, MAIN, None));
    assert!(rows.iter().any(|row| row.ends_with(": is killed")), "{rows:#?}");
    let (_, outcome) = ran("lost_reply", &Legacy);
    let rows = texts(&Lanes::of(&outcome.history, MAIN, None));
    assert!(rows.iter().any(|row| row.ends_with("-> OK, reply lost")), "{rows:#?}");
}

#[test]
fn the_end_of_a_lease_needs_no_effect_to_be_understood() {
    let (_, mut outcome) = ran("check_then_delete", &Legacy);
    let with = lanes(&outcome, Property::ForeignRelease);
    for event in &mut outcome.history.events {
        if let EventKind::Fault { effects, .. } = &mut event.kind {
            effects.clear();
        }
    }
    assert_eq!(lanes(&outcome, Property::ForeignRelease), with);
}

#[test]
fn several_locks_have_their_names() {
    let (plan, outcome) = ran("deadlock_sim", &Legacy);
    let names: Vec<String> = plan.locks.iter().map(|lock| lock.name.clone()).collect();
    let rows = texts(&Lanes::of(&outcome.history, &names, None));
    for name in &names {
        let part = format!("SET lock {name} NX");
        assert!(rows.iter().any(|row| row.contains(&part)), "no {part:?} in {rows:#?}");
    }
}

#[test]
fn what_is_judged_comes_from_the_plan_or_is_what_a_good_protocol_rules_out() {
    let (plan, _) = ran("check_then_delete", &Legacy);
    let judged = Judged::of(&plan);
    assert_eq!(judged.must_find, [Property::ForeignRelease]);
    assert_eq!(judged.must_not_find, []);
    let only = judged.clone().only(&[Property::Overlap]);
    assert_eq!((only.must_find, only.must_not_find), (vec![], vec![Property::Overlap]));
    let only = judged.only(&[Property::ForeignRelease]);
    assert_eq!((only.must_find, only.must_not_find), (vec![Property::ForeignRelease], vec![]));
    let silent = crate::scenario::Plan { expectations: Vec::new(), ..plan };
    assert_eq!(Judged::of(&silent).must_not_find, crate::report::Catalogue::RULED_OUT);
}

#[test]
fn what_is_not_explored_is_not_judged() {
    let (plan, _) = ran("starvation", &Legacy);
    let judged = Judged::of(&plan);
    assert_eq!(judged.must_find, []);
    assert_eq!(judged.must_not_find, crate::report::Catalogue::RULED_OUT);
}

#[test]
fn the_verdict_is_a_proof_or_a_counterexample_and_a_bound_is_neither() {
    use Property::{ForeignRelease, LostUpdate, Overlap};
    use Verdict::{Expected, Inconclusive, Unexpected};
    let (plan, outcome) = ran("check_then_delete", &Legacy);
    let limit = Some(Limit::Time);
    for (must_find, must_not_find, found, stopped_by, verdict) in [
        (&[][..], &[LostUpdate][..], &[][..], None, Expected),
        (&[], &[LostUpdate], &[Overlap], None, Expected),
        (&[], &[LostUpdate], &[LostUpdate], None, Unexpected),
        (&[], &[LostUpdate], &[LostUpdate], limit, Unexpected),
        (&[], &[LostUpdate], &[], limit, Inconclusive),
        (&[ForeignRelease], &[], &[ForeignRelease], None, Expected),
        (&[ForeignRelease], &[], &[ForeignRelease], limit, Expected),
        (&[ForeignRelease], &[], &[], limit, Inconclusive),
        (&[ForeignRelease], &[], &[Overlap], None, Unexpected),
        (&[ForeignRelease], &[LostUpdate], &[ForeignRelease], None, Expected),
        (&[ForeignRelease], &[LostUpdate], &[ForeignRelease], limit, Inconclusive),
        (&[ForeignRelease], &[LostUpdate], &[], limit, Inconclusive),
        (&[ForeignRelease], &[LostUpdate], &[LostUpdate], limit, Unexpected),
    ] {
        let judged =
            Judged { must_find: must_find.to_vec(), must_not_find: must_not_find.to_vec() };
        let mut explored = explored(&plan, "legacy", &outcome, found);
        explored.stopped_by = stopped_by;
        assert_eq!(judged.verdict(&explored), verdict, "{judged:?} {found:?} {stopped_by:?}");
    }
}

#[test]
fn the_worst_protocol_decides() {
    assert_eq!(exploration("check_then_delete", None).verdict, Verdict::Expected);
    assert_eq!(exploration("check_then_delete", Some(Limit::Time)).verdict, Verdict::Inconclusive);
}

#[test]
fn each_bound_is_named() {
    let (plan, outcome) = ran("check_then_delete", &*HARDENED);
    let said = |limit, preemptions| {
        let mut explored = explored(&plan, "hardened", &outcome, &[]);
        (explored.stopped_by, explored.orderings_run) = (Some(limit), 1204);
        let bounds = crate::runtime::Bounds { preemptions, max_schedules: Some(1204), ..bounds() };
        let judged = Judged { must_not_find: vec![Property::LostUpdate], ..Judged::default() };
        ProtocolRow::new(&plan, &explored, &judged, &bounds).not_found().unwrap()
    };
    let rest = "; none of lost_update so far";
    for (limit, preemptions, bound) in [
        (
            Limit::Time,
            Some(2),
            "--max-time 10s was reached after 1 204 orderings with up to 2 preemptions",
        ),
        (Limit::Schedules, None, "--max-schedules 1204 was reached after 1 204 orderings"),
        (Limit::Preemptions, Some(1), "--preemptions 1 was reached after 1 204 orderings"),
        (Limit::Memory, None, "the memory for states was full after 1 204 orderings"),
        (Limit::Interrupted, None, "it was interrupted after 1 204 orderings"),
    ] {
        assert_eq!(said(limit, preemptions), format!("hardened: inconclusive: {bound}{rest}"));
    }
}
