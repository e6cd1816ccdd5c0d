//! The ways in which it may have gone, and what follows from them.

use super::{Access, CLEAR, Decided, Held, Id, Outcome, Until, When, Whose};
use std::collections::HashSet;

/// A command in a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LogEntry {
    pub id: Id,
    pub client: u32,
    pub outcome: Outcome,
    pub is_attempt: bool,
}

/// One way in which it may have gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hypothesis {
    pub held: Option<Held>,
    pub against: u32,
    pub log: Vec<LogEntry>,
}

impl Hypothesis {
    pub fn apply(&mut self, access: Access, now: When, whose: Whose<'_>) -> Outcome {
        let Whose { id, own, .. } = whose;
        let (held, before) = (self.held, self.held.and_then(|held| held.until));
        let mut write = |until: Until| {
            self.held = Some(Held { by: id, until: until.when(now, before) });
        };
        match (access, held) {
            (Access::Take(_), Some(_)) => Outcome::Refused,
            (Access::Put { only_if_held: true, .. }, None) => Outcome::Nothing,
            (Access::Take(until) | Access::Put { until, .. }, None) => {
                write(until);
                Outcome::Took
            }
            (Access::Put { until, .. }, Some(held)) => {
                write(until);
                Outcome::Replaced(held.by)
            }
            (Access::Enter, None) => {
                write(Until::Forever);
                Outcome::Took
            }
            (Access::Enter, Some(held)) if own.contains(&held.by) => Outcome::Entered(held.by),
            (Access::Leave, None) => Outcome::Nothing,
            (Access::Leave, Some(held)) if own.contains(&held.by) => {
                self.held = None;
                Outcome::Deleted(held.by)
            }
            (Access::Read | Access::Enter | Access::Leave, held) => {
                Outcome::Saw(held.map(|held| held.by))
            }
            (Access::Delete | Access::Expire(_), None) => Outcome::Nothing,
            (Access::Expire(until), Some(held)) if !until.is_over(now) => {
                self.held = Some(Held { by: held.by, until: until.when(now, before) });
                Outcome::Extended(held.by)
            }
            (Access::Delete | Access::Expire(_), Some(held)) => {
                self.held = None;
                Outcome::Deleted(held.by)
            }
        }
    }

    /// The last attempt of a client to take the key that is still open to doubt.
    pub fn attempt(&self, client: u32) -> Option<&LogEntry> {
        self.log.iter().rev().find(|entry| entry.client == client && entry.is_attempt)
    }

    /// What was done by this observation, if that is open to doubt.
    pub fn outcome(&self, id: Id) -> Option<Outcome> {
        self.log.iter().rev().find(|entry| entry.id == id).map(|entry| entry.outcome)
    }
}

/// A doubt about what was done before, when the present holder of the key is certain: what the
/// clients do later may still end it.
#[derive(Debug)]
pub(super) struct Past {
    pub hypotheses: Vec<Hypothesis>,
    pub age: usize,
}

impl Past {
    /// Whether one world is clearly the likeliest.
    pub fn is_clear(&mut self) -> bool {
        self.hypotheses.sort_by_key(|hypothesis| hypothesis.against);
        match self.hypotheses.as_slice() {
            [first, second, ..] => second.against >= first.against + CLEAR,
            _ => true,
        }
    }

    /// The likeliest world's outcomes, and how many of them rest on nothing but the time, or are
    /// doubted because another world was given up. What a read found is then left open: it changed
    /// nothing.
    pub fn decide(mut self, doubted: &mut HashSet<Id>) -> (Decided, u64) {
        self.is_clear();
        let close = self.hypotheses.first().map_or(0, |first| first.against + CLEAR);
        let Some((first, others)) = self.hypotheses.split_first() else {
            return (Decided::new(), 0);
        };
        let others = || others.iter().filter(|other| other.against < close);
        let is_open = |at: usize, entry: &LogEntry| {
            others().any(|other| other.log.get(at).is_some_and(|same| same != entry))
        };
        let mut undecided = 0;
        let mut decided = Decided::new();
        for (at, entry) in first.log.iter().enumerate() {
            let is_open = is_open(at, entry) | doubted.remove(&entry.id);
            match entry.outcome {
                Outcome::Saw(_) if is_open => {}
                outcome => {
                    undecided += u64::from(is_open);
                    decided.push((entry.id, outcome));
                }
            }
        }
        (decided, undecided)
    }
}

/// Notes what is otherwise in a world that is given up.
pub(super) fn doubt(doubted: &mut HashSet<Id>, kept: &Hypothesis, other: &Hypothesis) {
    let pairs = kept.log.iter().zip(&other.log);
    doubted.extend(pairs.filter(|(one, other)| one != other).map(|(one, _)| one.id));
}
