//! The beliefs of one actor that last at a moment. Moments are asked for in the order of time, so that each belief
//! begins and ends once, however many there are.

use crate::report::timeline::when;
use lock_history::check::Belief;
use lock_history::history::Moment;
use std::collections::{BTreeSet, HashMap};

/// Those that last, by their positions among all, which are in the order of their beginnings.
#[derive(Default)]
pub(super) struct Held<'a> {
    all: Vec<&'a Belief>,
    begun: usize,
    ends: BTreeSet<((u64, u64), usize)>,
    lasting: BTreeSet<usize>,
    of_lock: HashMap<usize, BTreeSet<usize>>,
}

impl<'a> Held<'a> {
    /// Of one actor's beliefs.
    pub(super) fn new(mut all: Vec<&'a Belief>) -> Self {
        all.sort_by_key(|belief| when(belief.from));
        Self { all, ..Self::default() }
    }

    /// All beliefs, in the order of their beginnings.
    pub(super) fn all(&self) -> &[&'a Belief] {
        &self.all
    }

    /// What is believed to be held at a moment that is not before the last one asked for: that lock, or the one
    /// that was acquired last.
    pub(super) fn at(&mut self, moment: Moment, lock: Option<usize>) -> Option<&'a Belief> {
        self.pass_to(when(moment));
        let lasting = match lock {
            Some(lock) => self.of_lock.get(&lock)?,
            None => &self.lasting,
        };
        self.all.get(*lasting.last()?).copied()
    }

    fn pass_to(&mut self, now: (u64, u64)) {
        while let Some(belief) = self.all.get(self.begun).filter(|it| when(it.from) <= now) {
            self.ends.insert((when(belief.until), self.begun));
            self.lasting.insert(self.begun);
            self.of_lock.entry(belief.lock).or_default().insert(self.begun);
            self.begun += 1;
        }
        while self.ends.first().is_some_and(|(end, _)| *end <= now)
            && let Some((_, ended)) = self.ends.pop_first()
        {
            self.lasting.remove(&ended);
            let lock = self.all.get(ended).map(|belief| belief.lock);
            if let Some(of_lock) = lock.and_then(|lock| self.of_lock.get_mut(&lock)) {
                of_lock.remove(&ended);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn moment(at: u64) -> Moment {
        Moment { order: at, at }
    }

    proptest! {
        /// The oracle looks through all beliefs each time.
        #[test]
        fn a_belief_lasts_from_its_beginning_until_before_its_end(
            spans in proptest::collection::vec((0_usize..3, 0_u64..20, 0_u64..8), 0..12),
            lock in proptest::option::of(0_usize..3),
        ) {
            let belief = |(lock, from, length): (usize, u64, u64)| Belief {
                actor: 0, lock, tenure: None, from: moment(from), until: moment(from + length),
            };
            let mut all: Vec<Belief> = spans.into_iter().map(belief).collect();
            let mut held = Held::new(all.iter().collect());
            let asked: Vec<Option<Belief>> =
                (0..30).map(|at| held.at(moment(at), lock).cloned()).collect();
            all.sort_by_key(|belief| when(belief.from));
            for (at, found) in asked.into_iter().enumerate() {
                let at = at as u64;
                let lasts = |it: &&Belief| {
                    it.from.at <= at && at < it.until.at && lock.is_none_or(|lock| it.lock == lock)
                };
                prop_assert_eq!(found.as_ref(), all.iter().rfind(lasts));
            }
        }
    }
}
