//! Each cure of the hardened protocol left out is found by exploration, most within a hundred
//! orderings; with all of them, nothing is found in any ordering.

use super::{Bounds, Explored, Model, explore};
use crate::lock::{Hardened, LockProtocol, mutants};
use crate::runtime::Binding;
use crate::scenario::{Scenario, Timing, catalogue};
use lock_history::check::Property;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Where a cure shows.
struct Where {
    scenario: &'static str,
    with: &'static [(&'static str, &'static str)],
    wait: Duration,
    timing: Timing,
}

fn explored(at: &Where, protocol: Arc<dyn LockProtocol>) -> Explored {
    let named = |it: &Scenario| it.name() == at.scenario;
    let scenario = catalogue().unwrap().into_iter().find(named).unwrap();
    let value = |(name, text): &(&str, &str)| {
        let parameter = scenario.parameters().iter().find(|it| it.name == *name).unwrap();
        ((*name).to_owned(), parameter.parse(text).unwrap())
    };
    let values: BTreeMap<_, _> = at.with.iter().map(value).collect();
    let (timing, wait) = (at.timing, at.wait);
    let binding = Binding { values, wait, timing, ..Binding::default() };
    let model = Model::new(&scenario, &binding, protocol).unwrap();
    explore(&model, &Bounds { timing, ..Bounds::default() }, &mut |_| true).unwrap()
}

/// Two clients that meet; leases may end anywhere.
const MEET: Where =
    Where { scenario: "mutual_exclusion", with: &[], wait: Duration::ZERO, timing: Timing::Async };
/// One is releasing, and the other one comes; leases may end anywhere.
const RELEASE: Where = Where { scenario: "check_then_delete", ..MEET };
/// One extends its lease, and another one comes; leases may end anywhere.
const EXTEND: Where = Where { scenario: "extend_after_expiry", ..MEET };
/// The holder works for longer than its lease, and the rival waits for it; leases expire when it is
/// time.
const OVERRUN: Where = Where {
    scenario: "thundering_herd",
    with: &[("threads", "2"), ("hold", "2s"), ("ttl", "1s")],
    wait: Duration::from_secs(3),
    timing: Timing::Strict,
};

#[test]
fn each_cure_that_is_left_out_is_found() {
    for (what, mutant, at, property, within) in [
        ("compare", mutants::skips_compare(), &MEET, Property::ForeignRelease, 300),
        ("compare", mutants::skips_compare(), &RELEASE, Property::ForeignRelease, 100),
        ("NX", mutants::skips_nx(), &MEET, Property::DoubleGrant, 100),
        ("NX", mutants::skips_nx(), &MEET, Property::ForeignOverwrite, 100),
        ("extend", mutants::skips_compare_of_extend(), &EXTEND, Property::ForeignExtend, 500),
        ("flag", mutants::skips_flag(), &MEET, Property::FlagDrift, 100),
        ("fence", mutants::skips_fence(), &MEET, Property::LostUpdate, 100),
        ("renewal", mutants::skips_renewal(), &OVERRUN, Property::Overlap, 100),
    ] {
        let what = format!("without {what}, {}, {}", at.scenario, property.word());
        let explored = explored(at, mutant);
        let found = explored.found.iter().find(|it| it.property == property);
        let found = found.unwrap_or_else(|| panic!("{what}: {:?}", explored.found));
        eprintln!("{what}: after {}, {} preemptions", found.after, found.preemptions);
        assert!(found.after <= within, "{what}: after {}", found.after);
    }
}

#[test]
fn with_all_cures_no_ordering_shows_any_of_it() {
    for (at, allowed) in [
        (&MEET, &[Property::Overlap, Property::TokenDrift][..]),
        (&EXTEND, &[Property::Overlap, Property::TokenDrift]),
        (&OVERRUN, &[]),
    ] {
        let explored = explored(at, Arc::new(Hardened::default()));
        assert_eq!(explored.stopped_by, None);
        let found: Vec<Property> = explored.found.iter().map(|it| it.property).collect();
        assert!(found.iter().all(|property| allowed.contains(property)), "{found:?}");
    }
}
