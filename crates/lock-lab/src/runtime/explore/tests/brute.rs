//! All orderings of a model, one after the other, without any reduction: each is run for real from
//! its beginning, and what is possible after a prefix is what the tasks say that stand there. The
//! machine goes along, and must offer the same at each moment.

use super::*;
use crate::rng::Rng;
use crate::runtime::explore::machine::StateId;
use crate::runtime::replay::{Chooser, Now, run_chosen};

/// All orderings of a model, or one that a `Chooser` drives.
pub(super) struct Brute<'a> {
    machine: &'a mut Machine,
    bounds: &'a Bounds,
    /// The choices of the ordering that is run now, the last one first to change.
    forks: Vec<Fork>,
    /// The ordering that is run now.
    now: Ordering,
    /// Draws each choice, where not all are wanted.
    rng: Option<Rng>,
}

struct Fork {
    possible: Vec<Turn>,
    taken: usize,
}

/// An ordering that was run.
#[derive(Debug, Clone, Default)]
pub(super) struct Ordering {
    /// Its turns, also those that come by themselves.
    pub turns: Vec<Turn>,
    /// After each choice.
    pub moments: Vec<Passed>,
    /// The machine's state.
    pub state: StateId,
    /// Whose step was last.
    last: Option<usize>,
    faults: u32,
    preemptions: u32,
}

/// A choice: the machine's state before it, whose step was last, and what was taken.
pub(super) type Passage = (StateId, Option<usize>, Turn);

/// A choice that was taken: how far the ordering had come after it, and what was violated by then.
#[derive(Debug, Clone)]
pub(super) struct Passed {
    pub passage: Passage,
    /// Preemptions, faults (crashes included), choices.
    pub cost: (u32, u32, u32),
    pub found: Properties,
}

impl<'a> Brute<'a> {
    pub fn new(machine: &'a mut Machine, bounds: &'a Bounds) -> Self {
        Self { machine, bounds, forks: Vec::new(), now: Ordering::default(), rng: None }
    }

    /// Random orderings.
    pub fn drawn(machine: &'a mut Machine, bounds: &'a Bounds, seed: u64) -> Self {
        Self { rng: Some(Rng::new(seed)), ..Self::new(machine, bounds) }
    }

    /// Runs the next ordering. The machine must have found what the checkers find.
    pub fn run(&mut self, model: &Model) -> (Ordering, Outcome) {
        self.now = Ordering { state: self.machine.first(), ..Ordering::default() };
        let (turns, outcome) = run_chosen(model, self).unwrap();
        assert_eq!(self.now.turns, turns, "the leases that ended at last");
        let ended = self.machine.choices(self.now.state).unwrap().is_empty();
        assert!(ended, "the machine has not ended after {}", shown(model, &turns));
        let found = found_by_check(&outcome);
        assert_eq!(self.machine.found(self.now.state), found, "{}", shown(model, &turns));
        (std::mem::take(&mut self.now), outcome)
    }

    /// Goes on to another ordering, if there is one.
    pub fn next(&mut self) -> bool {
        let is_last = |fork: &mut Fork| fork.taken + 1 == fork.possible.len();
        while self.forks.pop_if(|fork| is_last(fork)).is_some() {}
        self.forks.last_mut().map(|fork| fork.taken += 1).is_some()
    }

    /// What is possible within the bounds.
    fn affordable(&self, now: &Now) -> Vec<Turn> {
        let count = |is_such: fn(&Turn) -> bool| now.taken.iter().filter(|it| is_such(it)).count();
        let crashes = count(|turn| matches!(turn, Turn::Crash(_))) as u32;
        let faults = count(|turn| turn.is_fault()) as u32;
        let is_affordable = |turn: &Turn| match turn {
            Turn::Crash(_) => crashes < self.bounds.crashes,
            turn if turn.is_fault() => faults < self.bounds.faults,
            _ => true,
        };
        now.possible.iter().copied().filter(is_affordable).collect()
    }

    fn pick(&mut self, possible: &[Turn]) -> Turn {
        if let Some(rng) = &mut self.rng {
            return possible[rng.below(possible.len())];
        }
        let depth = self.now.moments.len();
        if depth == self.forks.len() {
            self.forks.push(Fork { possible: possible.to_vec(), taken: 0 });
        }
        let fork = &self.forks[depth];
        assert_eq!(fork.possible, possible, "it does not run the same way twice");
        fork.possible[fork.taken]
    }
}

impl Chooser for Brute<'_> {
    fn choose(&mut self, now: &Now) -> Turn {
        assert_eq!(now.taken, self.now.turns, "the leases that ended by themselves");
        let possible = self.affordable(now);
        let state = self.now.state;
        let choices = self.machine.choices(state).unwrap().to_vec();
        let mut offered: Vec<Turn> = choices.iter().map(|choice| choice.turn).collect();
        offered.sort_unstable();
        assert_eq!(offered, possible, "the choices after {:?}", now.taken);
        let last_goes_on = self.now.last.is_some_and(|last| now.goes_on[last]);
        let by_machine = self.now.last.is_some_and(|last| self.machine.goes_on(state, last));
        assert_eq!(by_machine, last_goes_on, "whether the last one goes on after {:?}", now.taken);

        let turn = self.pick(&possible);
        let choice = choices.iter().find(|choice| choice.turn == turn).unwrap();
        let it = &mut self.now;
        let passage = (state, it.last, turn);
        if let Some(task) = turn.mover() {
            it.preemptions += u32::from(last_goes_on && it.last != Some(task));
            it.last = Some(task);
        }
        it.faults += u32::from(turn.is_crash_or_fault());
        it.turns.extend(self.machine.turns_of(*choice));
        it.state = choice.to;
        it.moments.push(Passed {
            passage,
            cost: (it.preemptions, it.faults, it.moments.len() as u32 + 1),
            found: self.machine.found(choice.to),
        });
        turn
    }
}
