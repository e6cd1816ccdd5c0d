//! Orderings by random priorities (Burckhardt, Kothari, Musuvathi, Nagarakatte: "A randomized
//! scheduler with probabilistic guarantees of finding bugs", 2010): the task with the highest
//! priority goes on; at a few steps, drawn beforehand, the task that goes on gets the lowest one.
//! The expiry of a lease, a crash and a loss have priorities of their own.

use super::walk::{At, Scheduler};
use crate::rng::Rng;
use crate::runtime::Turn;
use std::collections::BTreeMap;

/// More changes than this are those of a random walk.
const MOST: u32 = 1000;

/// Draws priorities.
pub(super) struct Pct {
    rng: Rng,
    /// How often priorities change in one ordering.
    changes: u32,
    priorities: BTreeMap<Turn, u64>,
    /// Before which steps they change.
    change_at: Vec<usize>,
    /// The lowest priority that was given because of a change.
    lowest: u64,
    /// The most steps that an ordering had.
    longest: usize,
}

impl Pct {
    /// The same seed draws the same orderings. Bugs of this depth, from 1, are looked for.
    pub fn new(seed: u64, depth: u32) -> Self {
        Self {
            rng: Rng::new(seed),
            changes: depth.saturating_sub(1).min(MOST),
            priorities: BTreeMap::new(),
            change_at: Vec::new(),
            lowest: 0,
            longest: 0,
        }
    }

    /// Drawn ones are above all that changes give.
    fn priority(&mut self, turn: Turn) -> u64 {
        let drawn = self.rng.next() | 1 << 63;
        *self.priorities.entry(turn).or_insert(drawn)
    }
}

impl Scheduler for Pct {
    fn begin(&mut self) -> Option<usize> {
        self.priorities.clear();
        self.lowest = 1 << 62;
        let longest = self.longest.max(1);
        self.change_at = (0..self.changes).map(|_| self.rng.below(longest)).collect();
        Some(0)
    }

    fn choose(&mut self, at: &At<'_>) -> Option<usize> {
        self.longest = self.longest.max(at.depth + 1);
        let highest = |pct: &mut Self| {
            let turns = at.choices.iter().enumerate();
            turns.max_by_key(|(_, choice)| pct.priority(choice.turn)).map(|(position, _)| position)
        };
        let first = highest(self)?;
        if !self.change_at.contains(&at.depth) {
            return Some(first);
        }
        self.lowest -= 1;
        let lowest = self.lowest;
        if let Some(choice) = at.choices.get(first) {
            self.priorities.insert(choice.turn, lowest);
        }
        highest(self)
    }
}
