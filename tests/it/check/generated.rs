//! Generated histories: what the checkers find is what the slow oracle finds, and all of it really
//! happened.

use super::definitions::Found;
use super::model::run;
use super::oracle::Oracle;
use super::setup::{Act, Asks, Setup, Truth};
use lock_history::check::{Checked, Property, check};
use lock_history::history::{Change, EventKind, Failure, FailureKind, History, Sharing};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

const ASKS: [Asks; 3] = [Asks::Nothing, Asks::First, Asks::AtOnce];

fn act(locks: usize) -> impl Strategy<Value = Act> {
    let lock = 0..locks;
    prop_oneof![
        5 => (lock.clone(), 0..4u8, prop::bool::weighted(0.05)).prop_map(
            |(lock, retries, overwrites)| Act::Acquire { lock, retries, overwrites }
        ),
        3 => (lock.clone(), 0..3usize).prop_map(|(lock, asks)| Act::Dump { lock, asks: ASKS[asks] }),
        4 => (lock.clone(), 0..3usize, any::<bool>()).prop_map(|(lock, asks, tells)| {
            Act::Release { lock, asks: ASKS[asks], tells }
        }),
        1 => (lock.clone(), any::<bool>()).prop_map(|(lock, clears)| Act::Force { lock, clears }),
        1 => (lock.clone(), any::<bool>()).prop_map(|(lock, own)| Act::Extend { lock, own }),
        1 => lock.prop_map(|lock| Act::Forget { lock }),
        3 => Just(Act::Sleep),
        1 => Just(Act::Crash),
    ]
}

fn setup(in_sequence: bool) -> impl Strategy<Value = Setup> {
    (1..3usize, 2..5usize).prop_flat_map(move |(locks, actors)| {
        let program = prop::collection::vec(act(locks), 1..14);
        let pass = prop_oneof![3 => 0..3u64, 1 => 0..400u64];
        (
            prop::collection::vec(program, actors),
            prop::collection::vec((0..actors, pass), 0..80),
            prop_oneof![Just(5u64), Just(300), Just(100_000)],
            prop_oneof![Just(5u64), Just(100)],
            1..u64::MAX,
        )
            .prop_map(move |(actors, turns, lease, fences, seed)| Setup {
                actors,
                locks,
                lease,
                turns,
                fences,
                in_sequence,
                seed,
            })
    })
}

/// One that gets the lock again and again, and others that try in between.
fn greed() -> impl Strategy<Value = Setup> {
    let cycle = [
        Act::Acquire { lock: 0, retries: 0, overwrites: false },
        Act::Release { lock: 0, asks: Asks::AtOnce, tells: true },
    ];
    let tries = (0..8u8, prop::bool::weighted(0.2)).prop_map(|(retries, sleeps)| {
        if sleeps { Act::Sleep } else { Act::Acquire { lock: 0, retries, overwrites: false } }
    });
    let others = prop::collection::vec(prop::collection::vec(tries, 3..7), 1..3);
    let turns =
        prop::collection::vec((prop_oneof![1 => Just(0usize), 1 => 0..3usize], 0..5u64), 15..60);
    (3..8usize, others, turns, any::<bool>(), 1..u64::MAX).prop_map(
        move |(cycles, others, turns, in_sequence, seed)| Setup {
            actors: std::iter::once(cycle.repeat(cycles)).chain(others).collect(),
            locks: 1,
            lease: 1000,
            turns,
            fences: 100,
            in_sequence,
            seed,
        },
    )
}

/// Actors that take one lock and then wait for another.
fn circle() -> impl Strategy<Value = Setup> {
    let take = |lock, retries| Act::Acquire { lock, retries, overwrites: false };
    let program = (0..3usize, 1..3usize, 0..9u8, any::<bool>()).prop_map(
        move |(first, further, retries, gives_back)| {
            let mut acts = vec![take(first, retries), take((first + further) % 3, retries)];
            if gives_back {
                acts.push(Act::Release { lock: first, asks: Asks::First, tells: true });
            }
            acts
        },
    );
    let turns = prop::collection::vec((0..4usize, 0..5u64), 5..60);
    let lease = prop_oneof![Just(20u64), Just(1000)];
    (prop::collection::vec(program, 2..5), turns, lease, any::<bool>(), 1..u64::MAX).prop_map(
        |(actors, turns, lease, in_sequence, seed)| Setup {
            actors,
            locks: 3,
            lease,
            turns,
            fences: 100,
            in_sequence,
            seed,
        },
    )
}

/// Actors that hold a lock and work, and others that set its flag to free where they found no lock.
fn repairs() -> impl Strategy<Value = Setup> {
    let holds = |asks| {
        [
            Act::Acquire { lock: 0, retries: 5, overwrites: false },
            Act::Sleep,
            Act::Dump { lock: 0, asks },
            Act::Extend { lock: 0, own: true },
            Act::Release { lock: 0, asks, tells: false },
        ]
    };
    let holder =
        (0..3usize, 1..4usize).prop_map(move |(asks, cycles)| holds(ASKS[asks]).repeat(cycles));
    let repairer = (2..8usize).prop_map(|times| vec![Act::Repair { lock: 0 }; times]);
    let actors = (prop::collection::vec(holder, 1..3), prop::collection::vec(repairer, 1..3));
    let turns = prop::collection::vec((0..4usize, 0..5u64), 15..60);
    let lease = prop_oneof![Just(20u64), Just(1000)];
    (actors, turns, lease, any::<bool>(), 1..u64::MAX).prop_map(
        |((holders, repairers), turns, lease, in_sequence, seed)| Setup {
            actors: holders.into_iter().chain(repairers).collect(),
            locks: 1,
            lease,
            turns,
            fences: 100,
            in_sequence,
            seed,
        },
    )
}

fn setups() -> impl Strategy<Value = Setup> {
    prop_oneof![1 => setup(true), 4 => setup(false), 2 => greed(), 1 => circle()]
}

fn sharing() -> impl Strategy<Value = Sharing> {
    let readers = prop::collection::vec(0..4usize, 0..3).prop_map(Sharing::Readers);
    prop_oneof![(0..4u32).prop_map(Sharing::Permits), readers]
}

fn found(checked: &Checked) -> Vec<Found> {
    let mut found: Vec<Found> = checked
        .findings
        .iter()
        .map(|it| (it.property, it.lock, it.actors.first().copied(), it.at))
        .collect();
    found.sort();
    found
}

fn of(checked: &Checked, property: Property) -> Vec<(usize, usize, u64)> {
    let findings = checked.findings.iter().filter(|finding| finding.property == property);
    let mut found: Vec<(usize, usize, u64)> =
        findings.map(|it| (it.lock, it.actors.first().copied().unwrap_or(99), it.at)).collect();
    found.sort_unstable();
    found
}

fn sorted(mut list: Vec<(usize, usize, u64)>) -> Vec<(usize, usize, u64)> {
    list.sort_unstable();
    list
}

/// Whether all of these really happened.
fn happened(found: Vec<(usize, usize, u64)>, really: &[(usize, usize, u64)]) -> bool {
    let mut left = really.to_vec();
    found.iter().all(|one| match left.iter().position(|other| other == one) {
        Some(position) => {
            left.remove(position);
            true
        }
        None => false,
    })
}

fn is_sound(history: &History, checked: &Checked, truth: &Truth) -> Result<(), TestCaseError> {
    let claims = [
        (Property::ForeignRelease, &truth.foreign_releases),
        (Property::SilentLoss, &truth.silent_losses),
        (Property::LostUpdate, &truth.lost_updates),
    ];
    for (property, really) in claims {
        let claimed = of(checked, property);
        let is_true = happened(claimed.clone(), really);
        prop_assert!(is_true, "{property:?} {claimed:?} {really:?}{}", text(history, checked));
    }
    Ok(())
}

/// A history and what is said of it, for whoever looks into a failure.
fn text(history: &History, checked: &Checked) -> String {
    let mut out = Vec::new();
    history.write(&mut out).unwrap();
    format!("\n{}{:#?}", String::from_utf8(out).unwrap(), checked.findings)
}

/// The first events of a history.
fn cut(history: &History, length: usize) -> History {
    let events = history.events.iter().take(length).cloned().collect();
    History { head: history.head.clone(), events, is_complete: true }
}

/// How steps and actors end that the clients of the model don't let end so.
const KINDS: [FailureKind; 6] = [
    FailureKind::Crashed,
    FailureKind::LostLock,
    FailureKind::Refused,
    FailureKind::TimedOut,
    FailureKind::Interrupted,
    FailureKind::Environment,
];

/// The same history, but some steps fail otherwise, some actors fail at their end, and some commands
/// of an acquire extend the lease that they find.
fn troubled(mut history: History, seed: u64) -> History {
    let mut random = seed;
    let mut below = |count: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) as usize % count
    };
    for event in &mut history.events {
        match &mut event.kind {
            EventKind::Failed { failure, .. } if below(3) == 0 => {
                failure.kind = KINDS[below(KINDS.len())];
            }
            EventKind::Ended { failure } if below(3) == 0 => {
                let kind = KINDS[below(KINDS.len())];
                *failure = Some(Failure { kind, message: "as the test says".into() });
            }
            EventKind::Command(command) => {
                let refusals = command.effects.iter_mut().map(|effect| &mut effect.change);
                for change in refusals.filter(|change| **change == Change::Refused) {
                    if below(3) == 0 {
                        *change = Change::Extended { lease: 300_000_000 };
                    }
                }
            }
            _ => {}
        }
    }
    history
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(debug_assertions) { 400 } else { 20_000 },
        failure_persistence: None,
        // The same histories each time; other seeds are for looking around.
        rng_seed: RngSeed::Fixed(7),
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_checkers_find_what_the_definitions_say(setup in setups()) {
        let (history, _) = run(&setup);
        let checked = check(&history);
        prop_assert!(checked.is_complete);
        let is_an_events = |moment| history.events.iter().any(|event| event.moment == moment);
        prop_assert!(checked.findings.iter().all(|finding| is_an_events(finding.moment())));
        let defined = Oracle::read(&history).all();
        prop_assert_eq!(found(&checked), defined, "{}", text(&history, &checked));
    }

    #[test]
    fn they_find_the_same_where_steps_and_actors_end_badly(
        setup in prop_oneof![setups(), circle()],
        seed: u64,
    ) {
        let history = troubled(run(&setup).0, seed);
        let checked = check(&history);
        let is_an_events = |moment| history.events.iter().any(|event| event.moment == moment);
        prop_assert!(checked.findings.iter().all(|finding| is_an_events(finding.moment())));
        let defined = Oracle::read(&history).all();
        prop_assert_eq!(found(&checked), defined, "{}", text(&history, &checked));
    }

    #[test]
    fn they_find_the_same_of_locks_that_actors_share(setup in setups(), sharing in sharing()) {
        let mut history = run(&setup).0;
        history.head.sharing = Some(sharing);
        let checked = check(&history);
        let of_grants = |mut all: Vec<Found>| {
            all.retain(|(property, ..)| *property == Property::DoubleGrant);
            all
        };
        let defined = of_grants(Oracle::read(&history).all());
        prop_assert_eq!(of_grants(found(&checked)), defined, "{}", text(&history, &checked));
    }

    #[test]
    fn they_find_the_same_flags_that_are_set_to_free_under_a_holder(setup in repairs()) {
        let history = run(&setup).0;
        let of_flags = |mut all: Vec<Found>| {
            all.retain(|(property, ..)| *property == Property::FlagDrift);
            all
        };
        let checked = check(&history);
        let defined = of_flags(Oracle::read(&history).all());
        prop_assert_eq!(of_flags(found(&checked)), defined, "{}", text(&history, &checked));
    }

    #[test]
    fn what_is_found_really_happened(setup in setup(false)) {
        let (history, truth) = run(&setup);
        is_sound(&history, &check(&history), &truth)?;
    }

    #[test]
    fn where_nothing_overlaps_all_that_happened_is_found(setup in setup(true)) {
        let (history, truth) = run(&setup);
        let checked = check(&history);
        is_sound(&history, &checked, &truth)?;
        let foreign = of(&checked, Property::ForeignRelease);
        let really = sorted(truth.foreign_releases);
        prop_assert_eq!(foreign, really, "{}", text(&history, &checked));
        let silent = of(&checked, Property::SilentLoss);
        let really = sorted(truth.silent_losses);
        prop_assert_eq!(silent, really, "{}", text(&history, &checked));
    }

    #[test]
    fn a_cut_history_is_not_whole_and_still_says_nothing_false(
        setup in setup(false),
        part in 0.0..1.0f64,
    ) {
        let (history, truth) = run(&setup);
        let length = (history.events.len() as f64 * part) as usize;
        let checked = check(&cut(&history, length));
        prop_assert!(!checked.is_complete);
        is_sound(&history, &checked, &truth)?;
    }
}

/// The same where locks are shared: a double grant is found that a release led to.
#[test]
fn the_generated_histories_of_shared_locks_have_double_grants_after_releases() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut after_a_release = 0;
    for _ in 0..500 {
        let setup = setups().new_tree(&mut runner).unwrap().current();
        let (mut history, _) = run(&setup);
        let grants = |history: &History| of(&check(history), Property::DoubleGrant).len();
        let by_one_owner = grants(&history);
        // One permit is a lock with one owner, but what a foreign release leads to is no consequence.
        history.head.sharing = Some(Sharing::Permits(1));
        after_a_release += usize::from(grants(&history) > by_one_owner);
    }
    assert!(after_a_release >= 10, "{after_a_release}");
}

#[test]
fn the_generated_repairs_set_the_flags_of_holders_to_free() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut drifts = [0; 2];
    for _ in 0..500 {
        let setup = repairs().new_tree(&mut runner).unwrap().current();
        let findings = check(&run(&setup).0).findings;
        let is_under_holder =
            findings.iter().any(|it| it.text.to_string().contains("still held the lock"));
        drifts[usize::from(setup.in_sequence)] += usize::from(is_under_holder);
    }
    assert!(drifts.iter().all(|count| *count >= 5), "{drifts:?}");
}

/// A generator that never makes what is looked for proves nothing.
#[test]
fn the_generated_histories_have_every_property() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut counts = std::collections::BTreeMap::new();
    for _ in 0..2000 {
        let setup = setups().new_tree(&mut runner).unwrap().current();
        let (history, _) = run(&setup);
        for finding in check(&history).findings {
            *counts.entry(finding.property).or_insert(0_u64) += 1;
        }
    }
    println!("{counts:?}");
    // No fresh client comes to these locks, and no recorder watches them.
    let never = [Property::Unavailable, Property::LeaseTooShort];
    for property in Property::ALL.into_iter().filter(|property| !never.contains(property)) {
        let is_often = counts.get(&property).is_some_and(|count| *count >= 10);
        assert!(is_often, "the model hardly ever makes {property:?}: {counts:?}");
    }
}
