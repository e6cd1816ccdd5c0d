//! The shortest ordering that violates a property: the fewest preemptions, of these the fewest
//! faults (crashes included), of these the fewest steps.

use super::machine::{Choice, Machine, StateId};
use super::walk::At;
use super::{ExploreError, Turn};
use lock_history::check::Property;
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// An ordering that violates a property.
pub(super) struct Shortest {
    /// Its turns, to the end of all actors.
    pub turns: Vec<Turn>,
    /// How many of them it takes until the violation is complete.
    pub decisive: usize,
    pub preemptions: u32,
}

/// Among which orderings the shortest is looked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Among {
    /// All.
    All,
    /// Those whose every choice was looked at, where all may be too many.
    Known,
}

/// The length of a path: preemptions, faults (crashes included), steps.
type Cost = (u32, u32, u32);
/// A state, and whose step was last before it.
type Spot = (StateId, Option<usize>);
/// The shortest known way to each spot: its cost, and the last choice with the spot before it.
type Best = FxHashMap<Spot, (Cost, Option<(Spot, Choice)>)>;

/// How many states are visited before `may_go_on` is called.
const SELDOM: usize = 1024;

/// The shortest ordering that violates a property, among those with at most this number of
/// preemptions: of all that there are, or only of those whose steps are known. `may_go_on` is
/// called now and then; none, if it says no.
pub(super) fn shortest(
    machine: &mut Machine,
    property: Property,
    most: u32,
    of: Among,
    may_go_on: &mut dyn FnMut(&Machine) -> bool,
) -> Result<Option<Shortest>, ExploreError> {
    let mut examined: usize = 0;
    let first: Spot = (machine.first(), None);
    let mut best = Best::default();
    best.insert(first, ((0, 0, 0), None));
    let mut queue = BinaryHeap::from([Reverse(((0, 0, 0), first))]);
    while let Some(Reverse((cost, spot))) = queue.pop() {
        if best.get(&spot).is_none_or(|(least, _)| *least < cost) {
            continue;
        }
        examined += 1;
        if examined.is_multiple_of(SELDOM) && !may_go_on(machine) {
            return Ok(None);
        }
        let (state, last) = spot;
        if machine.found(state).contains(property) {
            return finish(machine, &best, spot, cost.0).map(Some);
        }
        let last_goes_on = last.is_some_and(|last| machine.goes_on(state, last));
        let choices = match of {
            Among::All => machine.choices(state)?,
            Among::Known => machine.known_choices(state),
        };
        let at = At { state, depth: 0, last, last_goes_on, preemptions: cost.0, choices };
        for choice in choices {
            let preemptions = cost.0 + u32::from(at.preempts(choice));
            let faults = cost.1 + u32::from(choice.turn.is_crash_or_fault());
            let next: Cost = (preemptions, faults, cost.2 + 1);
            let to: Spot = (choice.to, choice.turn.mover().or(last));
            let is_better = best.get(&to).is_none_or(|(least, _)| next < *least);
            if preemptions <= most && is_better {
                best.insert(to, (next, Some((spot, *choice))));
                queue.push(Reverse((next, to)));
            }
        }
    }
    Ok(None)
}

/// The path to a spot, and on to the end of all actors: the last task goes on as long as it can,
/// and in-flight commands arrive at last.
fn finish(
    machine: &mut Machine,
    best: &Best,
    spot: Spot,
    preemptions: u32,
) -> Result<Shortest, ExploreError> {
    let mut at = spot;
    let mut way = Vec::new();
    while let Some((_, Some((before, choice)))) = best.get(&at) {
        way.push(*choice);
        at = *before;
    }
    let mut turns: Vec<Turn> = way.into_iter().rev().flat_map(|it| machine.turns_of(it)).collect();
    let decisive = turns.len();
    let (mut state, mut last) = spot;
    loop {
        let rank = |choice: &&Choice| match choice.turn {
            Turn::Step(task) if Some(task) == last => Some((0, task)),
            Turn::Step(task) => Some((1, task)),
            Turn::Arrive(request) => Some((2, request)),
            _ => None,
        };
        let goes_on = machine.choices(state)?.iter().filter(|choice| rank(choice).is_some());
        let Some(next) = goes_on.min_by_key(rank).copied() else { break };
        turns.extend(machine.turns_of(next));
        (state, last) = (next.to, next.turn.mover().or(last));
    }
    Ok(Shortest { turns, decisive, preemptions })
}
