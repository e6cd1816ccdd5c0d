//! All orderings, those with few preemptions first (Musuvathi and Qadeer, "Iterative context
//! bounding for systematic testing of multithreaded programs", 2007): depth first, and what follows
//! from a state is run once.

use super::machine::StateId;
use super::walk::{At, Strategy};
use rustc_hash::FxHashMap;

/// Up to how many preemptions are tried one by one, before any number is.
const STAIRS: u32 = 3;
const ANY: u32 = u32::MAX;

/// Walks through everything.
pub(super) struct Exhaustive {
    /// The most preemptions that are wanted.
    most: u32,
    /// The most preemptions in the orderings that are run now.
    bound: u32,
    /// Whether an ordering was left out that has more.
    left_out: bool,
    /// For each moment of the ordering that is run now the choices still to try, the next one last.
    to_try: Vec<Vec<usize>>,
    /// With how few preemptions each state was met, by whose step was last.
    met: FxHashMap<(StateId, u32), u32>,
}

impl Exhaustive {
    /// Orderings with at most so many preemptions; with any number, if none is said.
    pub fn new(preemptions: Option<u32>) -> Self {
        Self {
            most: preemptions.unwrap_or(ANY),
            bound: 0,
            left_out: false,
            to_try: Vec::new(),
            met: FxHashMap::default(),
        }
    }

    /// Whether no ordering was left out.
    pub fn is_complete(&self) -> bool {
        !self.left_out
    }

    /// Whether what follows from here was run already.
    fn was_met(&mut self, at: &At<'_>) -> bool {
        let (last, preemptions) = match self.bound {
            // Where their number doesn't matter, neither does whose step was last.
            ANY => (0, 0),
            _ => (at.last.map_or(0, |last| last as u32 + 1), at.preemptions),
        };
        let met = self.met.entry((at.state, last)).or_insert(ANY);
        if *met <= preemptions {
            return true;
        }
        *met = preemptions;
        false
    }
}

impl Strategy for Exhaustive {
    fn begin(&mut self) -> Option<usize> {
        while self.to_try.pop_if(|choices| choices.is_empty()).is_some() {}
        if let Some(last) = self.to_try.len().checked_sub(1) {
            return Some(last);
        }
        if self.met.is_empty() {
            return Some(0);
        }
        if !self.left_out || self.bound >= self.most {
            return None;
        }
        self.bound = if self.bound < STAIRS { self.bound + 1 } else { ANY }.min(self.most);
        self.left_out = false;
        self.met.clear();
        Some(0)
    }

    fn choose(&mut self, at: &At<'_>) -> Option<usize> {
        if self.to_try.len() <= at.depth {
            if self.was_met(at) {
                return None;
            }
            let costs = |choice| at.preemptions.saturating_add(u32::from(at.preempts(choice)));
            let affordable = |(_, choice): &(usize, _)| costs(*choice) <= self.bound;
            let choices = at.choices.iter().enumerate().filter(affordable);
            let mut to_try: Vec<usize> = choices.map(|(position, _)| position).collect();
            self.left_out |= to_try.len() < at.choices.len();
            to_try.reverse();
            self.to_try.push(to_try);
        }
        self.to_try.last_mut()?.pop()
    }

    fn preemptions(&self) -> Option<u32> {
        (self.bound != ANY).then_some(self.bound)
    }
}
