//! Random orderings of the built-in scenarios: each is run for real while the machine goes along,
//! and then replayed.

use super::brute::Brute;
use super::*;
use crate::scenario::catalogue;

/// How many orderings of each scenario under each protocol and timing; `EXPLORE_WALKS` asks for
/// another number.
const WALKS: u64 = 4;

#[test]
fn machine_and_reality_agree_on_random_orderings_of_all_scenarios() {
    let walks = std::env::var("EXPLORE_WALKS").ok().and_then(|it| it.parse().ok()).unwrap_or(WALKS);
    let mut violated = 0;
    for scenario in catalogue().unwrap() {
        for (protocol, timing) in
            protocols().iter().flat_map(|it| Timing::ALL.map(|timing| (it.clone(), timing)))
        {
            let model = model(&scenario, protocol, timing).unwrap();
            let bounds = bounds(timing, 1, 1);
            let mut machine = Machine::new(&model, &bounds).unwrap();
            for seed in 0..walks {
                let mut walk = Brute::drawn(&mut machine, &bounds, seed);
                let (ordering, outcome) = walk.run(&model);
                violated += u64::from(!found_by_check(&outcome).is_empty());
                assert_eq!(replay(&model, &ordering.turns), Ok(outcome));
            }
        }
    }
    assert!(violated > 0);
}
