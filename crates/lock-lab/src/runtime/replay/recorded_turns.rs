//! Which turn it is, and what it asks for, in words.

use super::ReplayError;
use crate::runtime::Turn;
use redis_sim::clock::Stopped;

/// The turns of a schedule.
pub(super) struct RecordedTurns<'a> {
    turns: &'a [Turn],
    taken: usize,
    /// The turns so far, where they are chosen and not recorded.
    #[cfg(test)]
    chosen: Option<Vec<Turn>>,
}

impl<'a> RecordedTurns<'a> {
    pub fn new(turns: &'a [Turn]) -> Self {
        Self {
            turns,
            taken: 0,
            #[cfg(test)]
            chosen: None,
        }
    }

    /// Takes the next turn.
    pub fn next(&mut self) -> Option<Turn> {
        let turn = self.turns.get(self.taken).copied();
        self.taken += usize::from(turn.is_some());
        turn
    }

    /// Takes the next turn if it is the end of a TTL.
    pub fn next_expiry(&mut self) -> Option<Turn> {
        let is_expiry = self.turns.get(self.taken).is_some_and(|turn| turn.is_expiry());
        is_expiry.then(|| self.next()).flatten()
    }

    /// That it can't go on: what the turn at hand asks for, and why that can't be.
    pub fn parted(&self, asks: &str, but: &str) -> ReplayError {
        let (turn, of) = (self.taken, self.turns.len());
        ReplayError::Parted(format!("turn {turn} of {of} {asks}, but {but}"))
    }

    /// That the schedule is over, and this is not.
    pub fn left_open(&self, what: &str) -> ReplayError {
        ReplayError::Parted(format!("after all {} turns {what}", self.turns.len()))
    }

    /// That it was stopped here.
    pub fn stopped(&self, why: Stopped) -> ReplayError {
        ReplayError::Stopped { why, turn: self.taken, of: self.turns.len() }
    }
}

#[cfg(test)]
impl RecordedTurns<'_> {
    /// From now on turns are written down and not read.
    pub fn record_chosen(&mut self) {
        self.chosen = Some(Vec::new());
    }

    pub fn is_chosen(&self) -> bool {
        self.chosen.is_some()
    }

    /// Writes down the turn that was taken.
    pub fn note(&mut self, turn: Turn) {
        self.chosen.get_or_insert_default().push(turn);
    }

    /// The turns that were taken.
    pub fn noted(&self) -> &[Turn] {
        self.chosen.as_deref().unwrap_or_default()
    }
}
