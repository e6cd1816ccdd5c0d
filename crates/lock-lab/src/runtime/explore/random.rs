//! Random orderings: at each step any of the choices, with equal probability.

use super::walk::{At, Scheduler};
use crate::rng::Rng;

/// Draws each choice.
pub(super) struct Random(Rng);

impl Random {
    /// The same seed draws the same orderings.
    pub fn new(seed: u64) -> Self {
        Self(Rng::new(seed))
    }
}

impl Scheduler for Random {
    fn begin(&mut self) -> Option<usize> {
        Some(0)
    }

    fn choose(&mut self, at: &At<'_>) -> Option<usize> {
        Some(self.0.below(at.choices.len()))
    }
}
