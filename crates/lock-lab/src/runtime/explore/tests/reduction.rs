//! On small generated scenarios all orderings are run for real, without any reduction, and compared
//! with what the machine says of them.

use super::brute::{Brute, Ordering, Passage, Passed};
use super::*;
use crate::rng::Rng;
use std::collections::BTreeSet;
use std::sync::Arc;

/// How many scenarios are drawn; `EXPLORE_SCENARIOS` asks for another number.
const SCENARIOS: u64 = 240;
/// How many orderings a scenario may have; `EXPLORE_ORDERINGS` asks for another number.
const ORDERINGS: u64 = 500;

fn asked(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|it| it.parse().ok()).unwrap_or(otherwise)
}

/// Totals of all comparisons.
#[derive(Debug, Default)]
struct Tally {
    unbound: u64,
    large: u64,
    whole: u64,
    orderings: u64,
    states: u64,
    found: BTreeMap<Property, u64>,
}

#[test]
fn the_reduction_loses_nothing_and_adds_nothing() {
    let (first, count) = (asked("EXPLORE_FIRST", 0), asked("EXPLORE_SCENARIOS", SCENARIOS));
    let most = asked("EXPLORE_ORDERINGS", ORDERINGS);
    let mut tally = Tally::default();
    for seed in first..first + count {
        let case = Case::new(seed);
        let compared = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            case.compare(most, &mut tally);
        }));
        if let Err(failure) = compared {
            eprintln!("seed {seed}: {:?}, {}\n{}", case.bounds, case.protocol.name(), case.text);
            std::panic::resume_unwind(failure);
        }
    }
    println!("{tally:?}");
    let enough = tally.whole * 5 > count * 2 && tally.orderings > 10 * count;
    assert!(enough && tally.found.len() >= 4, "{tally:?}");
}

/// One scenario, and how it is explored.
struct Case {
    text: String,
    protocol: Arc<dyn LockProtocol>,
    bounds: Bounds,
}

impl Case {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(!seed);
        let timing = Timing::ALL[rng.below(2)];
        let known = protocols();
        let protocol = Arc::clone(&known[rng.below(known.len())]);
        let (crashes, faults) = [(0, 0), (0, 0), (1, 0), (0, 1)][rng.below(4)];
        Self { text: generate::scenario(seed), protocol, bounds: bounds(timing, crashes, faults) }
    }

    fn compare(&self, most: u64, tally: &mut Tally) {
        let scenario = Scenario::parse("generated.toml", &self.text);
        let scenario = scenario.map_err(|error| error.to_string());
        let model =
            scenario.and_then(|it| model(&it, Arc::clone(&self.protocol), self.bounds.timing));
        let model = match model {
            Ok(model) => model,
            Err(why) => {
                if std::env::var_os("EXPLORE_UNBOUND").is_some() {
                    println!("{why}");
                }
                tally.unbound += 1;
                return;
            }
        };
        let mut machine = Machine::new(&model, &self.bounds).unwrap();
        let Some(ends) = all_ends(&mut machine, most as usize * 4) else {
            tally.large += 1;
            return;
        };
        let orderings = count::orderings(&mut machine).unwrap();
        if orderings > most as f64 {
            tally.large += 1;
            return;
        }
        let (states, by_machine) = (
            machine.states(),
            ends.iter().map(|end| machine.found(*end).iter().collect()).collect(),
        );
        let run = self.run_all(&model, &mut machine);
        assert_eq!(run.orderings, orderings as u64);
        assert_eq!(machine.states(), states, "brute force met an unknown state");
        assert_eq!(run.found, by_machine);
        let met: BTreeSet<_> = run.results.keys().copied().collect();
        assert_eq!(met, ends, "the states in which it can end");
        tally.whole += 1;
        tally.orderings += run.orderings;
        tally.states += states as u64;
        for property in run.best.keys() {
            *tally.found.entry(*property).or_default() += 1;
        }
        preemptions::compare(&model, &self.bounds, &run.best, run.most_preemptions());
    }

    fn run_all(&self, model: &Model, machine: &mut Machine) -> Run {
        let mut run = Run::default();
        let mut brute = Brute::new(machine, &self.bounds);
        loop {
            let (ordering, outcome) = brute.run(model);
            run.take(model, &ordering, &outcome);
            if run.orderings % 32 == 1 {
                assert_eq!(replay(model, &ordering.turns), Ok(outcome));
            }
            if !brute.next() {
                return run;
            }
        }
    }
}

/// Preemptions, faults (crashes included), choices.
pub(super) type Cost = (u32, u32, u32);
/// What the shortest way to each violation costs.
pub(super) type Best = BTreeMap<Property, Cost>;

/// What all orderings came to.
#[derive(Default)]
struct Run {
    orderings: u64,
    /// What was found, by the checkers, in some ordering.
    found: BTreeSet<Vec<Property>>,
    /// What each state came to in which it ended.
    results: BTreeMap<u32, Result>,
    best: Best,
    /// With how few preemptions each choice can be come by.
    preemptions: BTreeMap<Passage, u32>,
}

impl Run {
    fn take(&mut self, model: &Model, ordering: &Ordering, outcome: &Outcome) {
        self.orderings += 1;
        let found = found_by_check(outcome);
        let by_machine = ordering.moments.last().map(|it| it.found).unwrap_or_default();

        assert_eq!(by_machine, found, "{}", shown(model, &ordering.turns));
        self.found.insert(found.iter().collect());
        let result = Result::of(outcome);
        let known = self.results.entry(ordering.state).or_insert_with(|| result.clone());
        assert_eq!(*known, result, "two ways to one state: {}", shown(model, &ordering.turns));
        for Passed { passage, cost, found } in &ordering.moments {
            for property in found.iter() {
                let best = self.best.entry(property).or_insert(*cost);
                *best = (*best).min(*cost);
            }
            let least = self.preemptions.entry(*passage).or_insert(cost.0);
            *least = (*least).min(cost.0);
        }
    }

    /// With how many preemptions every choice can be come by.
    fn most_preemptions(&self) -> u32 {
        self.preemptions.values().copied().max().unwrap_or_default()
    }
}

/// The states in which a machine can end; nothing, if it has more states than that.
fn all_ends(machine: &mut Machine, most: usize) -> Option<BTreeSet<u32>> {
    let mut ends = BTreeSet::new();
    let mut met = BTreeSet::from([machine.first()]);
    let mut to_visit = vec![machine.first()];
    while let Some(state) = to_visit.pop() {
        let choices = machine.choices(state).unwrap();
        if choices.is_empty() {
            ends.insert(state);
        }
        to_visit.extend(choices.iter().map(|choice| choice.to).filter(|to| met.insert(*to)));
        if met.len() > most {
            return None;
        }
    }
    Some(ends)
}
