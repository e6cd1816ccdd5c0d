//! Collects findings, up to a number that a reader can take in.

use super::{Finding, Property, Sentence};
use crate::history::Moment;
use std::collections::HashMap;

/// How many findings of one property on one lock are listed.
const LISTED: u64 = 1000;

/// The findings so far.
#[derive(Debug, Default)]
pub(super) struct Findings {
    listed: Vec<Finding>,
    counts: HashMap<(Property, usize), u64>,
    omitted: u64,
}

impl Findings {
    /// Adds a finding; its words are looked for only if it is listed.
    pub fn add(&mut self, property: Property, lock: usize, statement: impl FnOnce() -> Statement) {
        if self.has_room(property, lock) {
            *self.counts.entry((property, lock)).or_default() += 1;
            let Statement { actors, at, text, cause } = statement();
            let Moment { at, order } = at;
            self.listed.push(Finding { property, lock, actors, at, order, text, cause });
        } else {
            self.omit(1);
        }
    }

    /// Whether one more finding would be listed.
    pub fn has_room(&self, property: Property, lock: usize) -> bool {
        self.counts.get(&(property, lock)).is_none_or(|count| *count < LISTED)
    }

    /// Counts findings that are not listed.
    pub fn omit(&mut self, count: u64) {
        self.omitted = self.omitted.saturating_add(count);
    }

    /// All that are listed, by time, and how many are not.
    pub fn by_time(mut self) -> (Vec<Finding>, u64) {
        self.listed.sort_by(|a, b| {
            (a.at, a.lock, a.property, &a.actors).cmp(&(b.at, b.lock, b.property, &b.actors))
        });
        (self.listed, self.omitted)
    }
}

/// What is said of a finding.
#[derive(Debug)]
pub(super) struct Statement {
    /// The actor that did wrong or suffered first, then the others.
    pub actors: Vec<usize>,
    /// The moment of the event that completes it.
    pub at: Moment,
    /// What happened.
    pub text: Sentence,
    /// What it follows from.
    pub cause: Option<Property>,
}

impl Statement {
    /// One that follows from no other finding.
    pub fn new(actors: Vec<usize>, at: Moment, text: Sentence) -> Self {
        Self { actors, at, text, cause: None }
    }
}
