//! Circles of waiting actors that have closed, as far as they are not proved yet.

use std::collections::BTreeSet;

/// The circles that are still to be proved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Circles(BTreeSet<Circle>);

/// What is missing for the proof of a circle.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Circle {
    /// Whose acquires may turn out not to wait.
    pub waiters: BTreeSet<usize>,
    /// Whose beliefs, in which locks, may turn out to have been over when it closed.
    pub believers: BTreeSet<(usize, usize)>,
}

impl Circles {
    /// Adds one.
    pub fn insert(&mut self, circle: Circle) {
        self.0.insert(circle);
        self.reduce();
    }

    /// An actor's acquire is proved to wait.
    pub fn waits(&mut self, actor: usize) {
        self.change(|circle| {
            circle.waiters.remove(&actor);
            true
        });
    }

    /// An actor's acquire ended and did not wait.
    pub fn does_not_wait(&mut self, actor: usize) {
        self.change(|circle| !circle.waiters.contains(&actor));
    }

    /// All of an actor's beliefs are proved to have lasted until now.
    pub fn believes(&mut self, actor: usize) {
        self.change(|circle| {
            circle.believers.retain(|(believer, _)| *believer != actor);
            true
        });
    }

    /// One of an actor's beliefs was over before.
    pub fn did_not_believe(&mut self, actor: usize, lock: usize) {
        self.change(|circle| !circle.believers.contains(&(actor, lock)));
    }

    /// Whether a circle is waiting for the proof that an actor's acquire waits.
    pub fn wait_for(&self, actor: usize) -> bool {
        self.0.iter().any(|circle| circle.waiters.contains(&actor))
    }

    /// Whether a circle is waiting for the proof of one of an actor's beliefs.
    pub fn believe_in(&self, actor: usize) -> bool {
        let needs = |circle: &Circle| circle.believers.iter().any(|(it, _)| *it == actor);
        self.0.iter().any(needs)
    }

    /// Whether one is proved.
    pub fn is_one_proved(&self) -> bool {
        let is_proved = |circle: &Circle| circle.waiters.is_empty() && circle.believers.is_empty();
        self.0.iter().any(is_proved)
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    fn change(&mut self, mut keep: impl FnMut(&mut Circle) -> bool) {
        if self.0.is_empty() {
            return;
        }
        let circles = std::mem::take(&mut self.0);
        self.0 = circles
            .into_iter()
            .filter_map(|mut circle| keep(&mut circle).then_some(circle))
            .collect();
        self.reduce();
    }

    /// Forgets circles that need all that another one needs, and more.
    fn reduce(&mut self) {
        let all = self.0.clone();
        self.0.retain(|circle| {
            !all.iter().any(|other| {
                other != circle
                    && other.waiters.is_subset(&circle.waiters)
                    && other.believers.is_subset(&circle.believers)
            })
        });
    }
}
