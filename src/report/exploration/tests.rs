//! Rows, folding and judging; how it looks is pinned by the writers' tests.

use super::ClientRow;
use super::samples::{bounds, exploration, explored, properties, ran, row_of};
use super::{Exploration, Lanes, Ordering, Own, ProtocolRow, Stage};
use lock_history::check::{Finding, Judged, Property, Tried, Verdict, check};
use lock_history::history::{Change, Effect, EventKind, History};
use lock_lab::lock::{Current, Hardened, Legacy, LockProtocol};
use lock_lab::runtime::{Bounds, Explored, Limit, Outcome, Timing};
use lock_lab::scenario::{Plan, catalogue};
use std::sync::Arc;

const MAIN: &[String] = &[];

fn first(history: &History, property: Property) -> Option<Finding> {
    check(history).findings.into_iter().find(|finding| finding.property == property)
}

fn ordering(history: &History) -> Ordering<'_> {
    Ordering { history, locks: MAIN, is_foreign: false, timing: Timing::Async }
}

fn all_rows(history: &History) -> Lanes {
    Lanes::of(ordering(history), &[], 0)
}

fn of_finding(history: &History, finding: &Finding) -> Lanes {
    Lanes::of(ordering(history), std::slice::from_ref(finding), 0)
}

fn lanes(outcome: &Outcome, property: Property) -> Lanes {
    of_finding(&outcome.history, &first(&outcome.history, property).unwrap())
}

fn texts(lanes: &Lanes) -> Vec<String> {
    lanes.rows.iter().map(|row| format!("{}: {}", row.lane, row.text)).collect()
}

#[test]
fn everything_that_was_done_is_a_row() {
    let (_, outcome) = ran("check_then_delete", Arc::new(Legacy));
    let lanes = all_rows(&outcome.history);
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
    let (_, outcome) = ran("check_then_delete", Arc::new(Hardened::default()));
    let rows = texts(&all_rows(&outcome.history));
    for part in [
        "holder: acquire script -> taken, fence 1",
        "rival: acquire script -> taken, fence 2",
        "holder: release script -> not ours",
        "holder: is notified that its lock was lost",
        "rival: release script -> released",
    ] {
        assert!(rows.iter().any(|row| row == part), "no {part:?} in {rows:#?}");
    }
}

#[test]
fn a_release_that_deletes_nothing_is_no_extension() {
    let (_, outcome) = ran("late_release_flag", Arc::new(Current::default()));
    let rows = texts(&all_rows(&outcome.history));
    let part = "holder: release script -> deleted nothing";
    assert!(rows.iter().any(|row| row == part), "no {part:?} in {rows:#?}");
}

#[test]
fn the_row_that_completes_the_violation_is_marked_and_what_leads_to_it_matters() {
    let (_, outcome) = ran("check_then_delete", Arc::new(Legacy));
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

/// Whatever a built-in scenario shows has one marked row, and what matters ends with it or with what its
/// sentence names.
#[test]
fn each_finding_of_each_built_in_scenario_has_its_row() {
    for scenario in catalogue().unwrap() {
        for protocol in [Arc::new(Legacy) as Arc<dyn LockProtocol>, Arc::new(Hardened::default())] {
            let (_, outcome) = ran(scenario.name(), Arc::clone(&protocol));
            for property in properties(&outcome) {
                let lanes = lanes(&outcome, property);
                let of = format!("{} {} {property:?}", scenario.name(), protocol.name());
                let marked: Vec<_> = lanes.rows.iter().filter(|row| row.mark.is_some()).collect();
                assert_eq!(marked.len(), 1, "{of}: {:#?}", texts(&lanes));
                let last = lanes.rows.iter().rfind(|row| row.matters).unwrap();
                let said = lanes.say(&first(&outcome.history, property).unwrap().text);
                let named = steps_in(&said);
                assert!(!said.contains(" us") && !said.contains(" ms"), "{of}: {said}");
                let end = named.iter().copied().fold(marked[0].step, usize::max);
                assert_eq!(last.step, end, "{of}: {said}");
                let is_shown = |step: &usize| lanes.rows[*step - 1].matters;
                assert!(named.iter().all(is_shown), "{of}: {said} {:#?}", texts(&lanes));
                let json = lanes.rows.iter().any(|row| row.text.contains("token\""));
                assert!(!json, "{of}: {:#?}", texts(&lanes));
                assert!(lanes.rows.iter().all(|row| !row.text.contains("nodb-lock:")), "{of}");
            }
        }
    }
}

/// The steps that a sentence names.
fn steps_in(said: &str) -> Vec<usize> {
    let number = |rest: &str| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok();
    said.split("step ").skip(1).filter_map(number).collect()
}

/// The actor that has the lock first may be the last to be done with acquiring it.
#[test]
fn an_overlap_is_complete_when_both_have_taken_the_lock() {
    let (_, outcome) = ran("check_then_delete", Arc::new(Legacy));
    let mut finding = first(&outcome.history, Property::ForeignRelease).unwrap();
    finding.property = Property::Overlap;
    for actors in [vec![0, 1], vec![1, 0]] {
        finding.actors = actors;
        let lanes = of_finding(&outcome.history, &finding);
        let marked = lanes.rows.iter().find(|row| row.mark.is_some()).unwrap();
        assert_eq!((marked.lane.as_str(), &*marked.text), ("rival", "SET lock NX EX 21600 -> OK"));
    }
}

#[test]
fn a_crash_and_a_lost_reply_are_seen() {
    let (_, outcome) = ran("killed_holder", Arc::new(Legacy));
    let rows = texts(&all_rows(&outcome.history));
    assert!(rows.iter().any(|row| row.ends_with(": crashes")), "{rows:#?}");
    let (_, outcome) = ran("lost_reply", Arc::new(Legacy));
    let rows = texts(&all_rows(&outcome.history));
    assert!(rows.iter().any(|row| row.ends_with("-> OK, reply lost")), "{rows:#?}");
}

#[test]
fn the_end_of_a_lease_needs_no_effect_to_be_understood() {
    let (_, mut outcome) = ran("check_then_delete", Arc::new(Legacy));
    let with = lanes(&outcome, Property::ForeignRelease);
    for event in &mut outcome.history.events {
        if let EventKind::Fault { effects, .. } = &mut event.kind {
            effects.clear();
        }
    }
    assert_eq!(lanes(&outcome, Property::ForeignRelease), with);
}

/// What a client from outside did not send has no place in its picture.
#[test]
fn of_a_foreign_protocol_only_what_was_sent_and_answered_is_shown() {
    let (_, mut outcome) = ran("check_then_delete", Arc::new(Hardened::default()));
    let flags = |effect: &Effect| matches!(effect.change, Change::Flagged { .. });
    for event in &mut outcome.history.events {
        if let EventKind::Command(command) = &mut event.kind {
            command.effects.retain(|effect| !flags(effect));
        }
    }
    let history = &outcome.history;
    let rows = texts(&Lanes::of(Ordering { is_foreign: true, ..ordering(history) }, &[], 0));
    let script = |row: &&String| row.contains("script");
    let replies = history.events.iter().filter_map(|event| match &event.kind {
        EventKind::Command(command) if command.text.starts_with("EVALSHA") => Some(&command.reply),
        _ => None,
    });
    for (row, reply) in rows.iter().filter(script).zip(replies) {
        let shown = row.rsplit_once(" script -> ").map(|(who, shown)| (who, shown.to_owned()));
        let (who, shown) = shown.unwrap();
        assert!(["acquire", "extend", "release"].iter().any(|it| who.ends_with(it)), "{row}");
        assert!(reply.starts_with(shown.split(['{', '…']).next().unwrap()), "{row}: {reply}");
    }
    assert!(rows.iter().any(|row| row.contains("acquire script")), "{rows:#?}");
    for word in ["fence", "flag", "revision", "stranger", "not ours"] {
        assert!(!rows.iter().any(|row| row.contains(word)), "{word}: {rows:#?}");
    }
}

#[test]
fn where_leases_expire_as_time_passes_a_sentence_names_steps_and_times() {
    let (_, outcome) = ran("check_then_delete", Arc::new(Legacy));
    let finding = first(&outcome.history, Property::ForeignRelease).unwrap();
    let said = |timing| {
        let ordering = Ordering { timing, ..ordering(&outcome.history) };
        Lanes::of(ordering, std::slice::from_ref(&finding), 0).say(&finding.text)
    };
    assert_eq!(
        said(Timing::Async),
        "holder's lease ended at step 4 while it was releasing the lock; rival acquired at step 5; \
         holder's release at step 7 deleted rival's lock"
    );
    assert!(said(Timing::Strict).contains("rival acquired at step 5 (1.300 s); "));
}

#[test]
fn several_locks_have_their_names() {
    let (plan, outcome) = ran("deadlock_sim", Arc::new(Legacy));
    let names: Vec<String> = plan.locks.iter().map(|lock| lock.name.clone()).collect();
    let rows = texts(&Lanes::of(Ordering { locks: &names, ..ordering(&outcome.history) }, &[], 0));
    for name in &names {
        let part = format!("SET lock {name} NX");
        assert!(rows.iter().any(|row| row.contains(&part)), "no {part:?} in {rows:#?}");
    }
}

#[test]
fn what_is_judged_comes_from_the_plan_or_is_what_a_good_protocol_rules_out() {
    let (plan, _) = ran("check_then_delete", Arc::new(Legacy));
    let judged = Judged::of(&plan.expectations);
    assert_eq!(judged.must_find, [Property::ForeignRelease]);
    assert_eq!(judged.must_not_find, []);
    let only = judged.clone().only(&[Property::Overlap]);
    assert_eq!((only.must_find, only.must_not_find), (vec![], vec![Property::Overlap]));
    let only = judged.only(&[Property::ForeignRelease]);
    assert_eq!((only.must_find, only.must_not_find), (vec![Property::ForeignRelease], vec![]));
    let silent = Plan { expectations: Vec::new(), ..plan };
    let expected = [&[Property::DoubleGrant][..], &Property::RULED_OUT].concat();
    assert_eq!(Judged::of(&silent.expectations).must_not_find, expected);
}

#[test]
fn what_is_not_explored_is_not_judged() {
    let (plan, _) = ran("starvation", Arc::new(Legacy));
    let judged = Judged::of(&plan.expectations);
    assert_eq!(judged.must_find, []);
    use Property::{DoubleGrant, FlagDrift, ForeignRelease, LostUpdate, SilentLoss};
    let expected = [DoubleGrant, ForeignRelease, LostUpdate, SilentLoss, FlagDrift];
    assert_eq!(judged.must_not_find, expected);
}

#[test]
fn the_worst_protocol_decides() {
    assert_eq!(exploration("check_then_delete", None).verdict, Verdict::Expected);
    assert_eq!(exploration("check_then_delete", Some(Limit::Time)).verdict, Verdict::Inconclusive);
}

#[test]
fn each_bound_is_named() {
    let (plan, outcome) = ran("check_then_delete", Arc::new(Hardened::default()));
    let said = |limit, preemptions| {
        let mut explored = explored(&plan, "hardened", &outcome, &[]);
        (explored.stopped_by, explored.orderings_run) = (Some(limit), 1204);
        let bounds = Bounds { preemptions, max_schedules: Some(1204), ..bounds() };
        let judged = Judged { must_not_find: vec![Property::LostUpdate], ..Judged::default() };
        row_of(&plan, explored, &judged, bounds).not_found(true).unwrap()
    };
    let rest = "; no lost_update so far (2 actors; a lease may expire at any step; no crash and no \
                lost command tried: --crashes 1, --faults 1)";
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

/// What was found under `hardened` in two clients: nothing.
fn free(judged: &[Property], bounds: Bounds) -> ProtocolRow {
    let (plan, outcome) = ran("mutual_exclusion", Arc::new(Hardened::default()));
    let explored = explored(&plan, "hardened", &outcome, &[]);
    let judged = Judged { must_not_find: judged.to_vec(), ..Judged::default() };
    row_of(&plan, explored, &judged, bounds)
}

#[test]
fn what_was_tried_and_what_was_not_is_named() {
    let (both, two) = ([Property::StuckLock, Property::Deadlock], Own { crash: true, fault: true });
    let (none, timing) = (Own::default(), Timing::Async);
    for (timing, crashes, faults, own, tried, flags) in [
        (timing, 0, 0, none, "no crash and no lost command tried", "--crashes 1, --faults 1"),
        (timing, 1, 0, none, "with up to 1 crash; no lost command tried", "--faults 1"),
        (
            timing,
            0,
            2,
            none,
            "with up to 2 lost or delayed commands; no crash tried",
            "--crashes 1",
        ),
        (timing, 2, 1, none, "with up to 2 crashes and up to 1 lost or delayed command", ""),
        (Timing::Strict, 1, 1, none, "with up to 1 crash and up to 1 lost command", ""),
        (
            timing,
            0,
            0,
            two,
            "no crash beyond the scenario's own and no lost command beyond the scenario's own tried",
            "--crashes 1, --faults 1",
        ),
        (
            timing,
            1,
            0,
            Own { crash: true, ..none },
            "with up to 1 crash beyond the scenario's own; no lost command tried",
            "--faults 1",
        ),
    ] {
        let mut row = free(&both, Bounds { timing, crashes, faults, ..bounds() });
        row.own = own;
        let (lease, strict) = match timing {
            Timing::Async => ("a lease may expire at any step", ""),
            Timing::Strict => {
                ("a lease expires only as time passes", "a lease expires only as time passes; ")
            }
        };
        let all = "hardened: none of stuck_lock, deadlock in any of 3 412 orderings";
        let found = |flags: &str| format!("{all} (812 states; 2 actors; {lease}; {tried}{flags})");
        assert_eq!(row.not_found(false), Some(found("")));
        let (in_row, in_verdict) = match flags {
            "" => Default::default(),
            flags => (format!(": {flags}"), format!(" ({flags})")),
        };
        assert_eq!(row.not_found(true), Some(found(&in_row)));
        assert_eq!(row.scope(), format!("{strict}{tried}{in_verdict}"));
    }
}

#[test]
fn each_stage_is_covered_cut_short_or_left_out() {
    let (plan, outcome) = ran("mutual_exclusion", Arc::new(Hardened::default()));
    let judged = Judged { must_not_find: vec![Property::StuckLock], ..Judged::default() };
    let stages = |limit: Option<Limit>, last: Option<Result<Explored, String>>| {
        let explored = explored(&plan, "hardened", &outcome, &[]);
        let crash = Explored { stopped_by: limit, ..explored.clone() };
        let with = |crashes, faults| Bounds { crashes, faults, ..bounds() };
        let stages = [
            Stage { bounds: with(0, 0), outcome: Some(Ok(explored)) },
            Stage { bounds: with(1, 0), outcome: Some(Ok(crash)) },
            Stage { bounds: with(0, 1), outcome: last },
        ];
        ProtocolRow::new(&plan, &stages, &judged)
    };
    let all = stages(None, Some(Ok(explored(&plan, "hardened", &outcome, &[]))));
    assert_eq!(all.verdict, Verdict::Expected);
    assert_eq!(
        all.not_found(true).unwrap(),
        "hardened: no stuck_lock in any of 10 236 orderings (2 436 states; 2 actors; a lease may \
         expire at any step; covered: no crash or fault, 1 crash, 1 lost or delayed command)"
    );
    let cut = stages(Some(Limit::Time), None);
    assert_eq!(cut.verdict, Verdict::Inconclusive);
    assert_eq!(
        cut.scope(),
        "covered: no crash or fault; cut short: 1 crash; left out: 1 lost or delayed command"
    );
    let said = cut.not_found(true).unwrap();
    let hit = "hardened: inconclusive: --max-time 10s was reached after 480 orderings, in those with 1 crash; ";
    assert!(said.starts_with(hit), "{said}");
    let ends = |limit| stages(Some(limit), None).covered.pop().and_then(|stage| stage.stopped_by);
    for limit in [Limit::Time, Limit::Schedules, Limit::Interrupted] {
        assert_eq!(ends(limit), Some(limit));
    }
    let failed = stages(None, Some(Err("the client broke".into())));
    assert_eq!(failed.verdict, Verdict::Inconclusive);
    let said = failed.not_found(true).unwrap();
    let why =
        "hardened: inconclusive: in orderings with 1 lost or delayed command: the client broke; ";
    assert!(said.starts_with(why), "{said}");
}

#[test]
fn what_was_never_put_to_the_test_gives_no_verdict() {
    let (plan, outcome) = ran("mutual_exclusion", Arc::new(Hardened::default()));
    let tried =
        Tried { properties: [Property::StuckLock].into_iter().collect(), ..Tried::default() };
    let explored = Explored { tried, ..explored(&plan, "hardened", &outcome, &[]) };
    let must_not_find = vec![Property::StuckLock, Property::DoubleGrant, Property::ForeignRelease];
    let judged = Judged { must_not_find, ..Judged::default() };
    let row = row_of(&plan, explored, &judged, bounds());
    assert_eq!(row.verdict, Verdict::Inconclusive);
    assert_eq!(
        row.untried().unwrap(),
        "hardened: not tried: double_grant (no acquire was tried while another actor held the lock)"
    );
    // Where no lease expired, no actor can outlive its tenure.
    let said = row.not_found(false).unwrap();
    assert!(said.starts_with("hardened: none of stuck_lock, foreign_release in"), "{said}");
}

#[test]
fn all_that_a_broken_client_does_is_one_sentence() {
    use Property::{Deadlock, ForeignRelease, StuckLock};
    let broken = |judged: &[Property]| {
        let mut row = free(judged, bounds());
        row.judged.iter_mut().for_each(|it| it.found = true);
        row.broken()
    };
    assert_eq!(
        broken(&[ForeignRelease, StuckLock, Deadlock]),
        "can take another client's lock away (foreign_release), can leave the lock behind for good \
         (stuck_lock) and can let clients wait for each other (deadlock)"
    );
    assert_eq!(broken(&[StuckLock]), "can leave the lock behind for good (stuck_lock)");
}

#[test]
fn where_no_lease_of_a_client_expired_the_row_and_the_verdict_say_so() {
    let row = free(&[Property::StuckLock], bounds()).of_client(&ClientRow::default(), None);
    let without = ProtocolRow { lease_expired: false, ..row.clone() };
    let said = without.not_found(false).unwrap();
    assert!(said.contains("; no lease expired; no crash and no lost command tried"), "{said}");
    assert!(without.scope().starts_with("no lease expired; "), "{}", without.scope());
    assert!(!row.scope().contains("lease"), "{}", row.scope());
}

#[test]
fn one_property_and_one_ordering_are_in_the_singular() {
    let mut row = free(&[Property::Deadlock], bounds());
    row.orderings = Some(1.0);
    let said = row.not_found(false).unwrap();
    assert!(said.starts_with("hardened: no deadlock in the only ordering (812 states; "), "{said}");
}

#[test]
fn crashes_and_lost_commands_of_the_scenario_itself_are_known() {
    for (scenario, crash, fault) in [
        ("mutual_exclusion", false, false),
        ("killed_holder", true, false),
        ("lost_reply", false, true),
        ("late_execution", false, true),
    ] {
        let (plan, outcome) = ran(scenario, Arc::new(Legacy));
        let explored = explored(&plan, "legacy", &outcome, &[]);
        let row = row_of(&plan, explored, &Judged::default(), bounds());
        assert_eq!(row.own, Own { crash, fault }, "{scenario}");
    }
}

#[test]
fn rows_of_one_protocol_are_named_by_what_differs() {
    let names = |rows: Vec<ProtocolRow>| -> Vec<String> {
        let exploration = Exploration::new("x".into(), "X.".into(), None, rows);
        exploration.protocols.into_iter().map(|row| row.name).collect()
    };
    let row = |bounds| free(&[Property::Deadlock], bounds);
    let three = |mut row: ProtocolRow| {
        row.parameters.insert("clients".into(), 3.into());
        row
    };
    assert_eq!(names(vec![row(bounds()), row(bounds())]), ["hardened", "hardened"]);
    let legacy = ProtocolRow { protocol: "legacy".into(), ..three(row(bounds())) };
    let rows = vec![legacy, row(bounds()), three(row(bounds()))];
    assert_eq!(names(rows), ["legacy", "hardened (clients=2)", "hardened (clients=3)"]);
    let strict = Bounds { timing: Timing::Strict, crashes: 1, faults: 2, ..bounds() };
    assert_eq!(
        names(vec![row(bounds()), row(strict)]),
        [
            "hardened (timing=async, crashes=0, faults=0)",
            "hardened (timing=strict, crashes=1, faults=2)"
        ]
    );
    let bounded = Bounds { preemptions: Some(1), ..bounds() };
    assert_eq!(
        names(vec![row(bounds()), row(bounded)]),
        ["hardened (preemptions=any)", "hardened (preemptions=1)"]
    );
}

#[test]
fn mutual_exclusion_of_a_client_is_said_not_to_be_judged_unless_it_is() {
    let row = |judged| free(&[judged], bounds());
    let not_judged = Some("not judged: whether two clients hold the lock at once");
    assert_eq!(
        row(Property::Deadlock).of_client(&ClientRow::default(), None).not_judged(),
        not_judged
    );
    assert_eq!(row(Property::Overlap).of_client(&ClientRow::default(), None).not_judged(), None);
    assert_eq!(row(Property::Deadlock).not_judged(), None);
}
