//! That what is found with a bound on preemptions has no more of them, that nothing is missed that
//! has no more, and that a counterexample is a shortest one: recounted from its turns.

use super::reduction::{Best, Cost};
use super::*;
use crate::runtime::replay::{Chooser, Now, run_chosen};

/// Compares explorations with what was found among all orderings; every choice that there is can be
/// come by with `most_preemptions`.
pub(super) fn compare(model: &Model, bounds: &Bounds, best: &Best, most_preemptions: u32) {
    for bound in [None, Some(0), Some(1), Some(2)] {
        let bounds = Bounds { preemptions: bound, ..bounds.clone() };
        let explored = explore(model, &bounds, &mut |_| true).unwrap();
        let bound = bound.unwrap_or(u32::MAX);
        let found = explored.found.iter();
        let found: Best = found.map(|it| (it.property, recounted(model, it))).collect();
        let expected = best.iter().filter(|(_, cost)| cost.0 <= bound);
        let expected: Best = expected.map(|(property, cost)| (*property, *cost)).collect();
        assert_eq!(found, expected, "with at most {bound} preemptions");
        let left_out = (most_preemptions > bound).then_some(Limit::Preemptions);
        assert_eq!(explored.stopped_by, left_out, "with at most {bound} preemptions");
    }
}

/// What a counterexample costs until its violation is complete.
fn recounted(model: &Model, it: &Counterexample) -> Cost {
    let turns = &it.schedule.turns;
    let mut follower = Follower { turns, last: None, costs: vec![(0, (0, 0, 0))] };
    let (taken, outcome) = run_chosen(model, &mut follower).unwrap();
    assert_eq!((&taken, &outcome), (turns, &it.outcome));
    assert!(found_by_check(&outcome).contains(it.property));
    // The leases that ended by themselves after the last choice count among the decisive turns.
    let until = follower.costs.iter().rev().find(|(turns, _)| *turns <= it.decisive);
    let (cost, at_last) = (until.unwrap().1, follower.costs.last().map(|(_, cost)| cost.0));
    assert_eq!((cost.0, at_last), (it.preemptions, Some(it.preemptions)));
    cost
}

/// Takes the turns that are given, and counts.
struct Follower<'a> {
    turns: &'a [Turn],
    last: Option<usize>,
    /// After each choice: the turns so far but for those that come by themselves after it, and what
    /// they cost.
    costs: Vec<(usize, Cost)>,
}

impl Chooser for Follower<'_> {
    fn choose(&mut self, now: &Now) -> Turn {
        let turn = self.turns[now.taken.len()];
        let (_, mut cost) = self.costs[self.costs.len() - 1];
        if let Some(task) = turn.mover() {
            let leaves = self.last.filter(|last| *last != task);
            cost.0 += u32::from(leaves.is_some_and(|last| now.goes_on[last]));
            self.last = Some(task);
        }
        cost.1 += u32::from(turn.is_crash_or_fault());
        cost.2 += 1;
        self.costs.push((now.taken.len() + 1, cost));
        turn
    }
}
