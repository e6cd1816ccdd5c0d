//! What was missed, and what is not followed any more: why a history is incomplete.

use super::Counts;
use super::KeysModel;
use crate::record::effects::Act;
use crate::record::key::{Key, Outcome};
use crate::record::monitor_line::is_socket;
use crate::record::observations::{Observation, Seen, What};
use crate::record::reasons::{Reasons, shown};

impl KeysModel {
    /// How often something was missed.
    pub fn gaps(&self) -> usize {
        self.seen.gaps.len()
    }

    /// What was missed, if the keys have not been looked at since.
    pub fn missing(&self) -> Option<&str> {
        let gap = self.seen.gaps.last().filter(|_| !self.snapshot_is_taken);
        gap.map(|(_, why)| why.as_str())
    }

    /// The server evicted a key.
    pub fn evicted(&mut self, key: &[u8]) {
        let Some(lock) = self.lock(key) else { return };
        for slot in self.slots(lock) {
            let holder = self.states.get(slot).and_then(|state| state.holder);
            self.decide(slot, Key::expired);
            if let Some(holder) = holder {
                self.seen.found(slot, self.previous, What::Evicted, Outcome::Deleted(holder));
                self.gone += 1;
            }
        }
        if let Some(state) = self.states.get_mut(lock) {
            state.note_gap("the server evicted it");
        }
    }

    /// From here on nothing is known of any key until all are looked at: what is decided now is all
    /// that there is.
    pub fn interrupt(&mut self, why: &str) {
        self.end_script();
        self.settle_all();
        self.snapshot_is_taken = false;
        self.seen.gaps.push((self.size(), why.to_owned()));
    }

    fn settle_all(&mut self) {
        for lock in 0..self.states.len() {
            self.decide(lock, Key::finish);
            let Some(state) = self.states.get_mut(lock) else { continue };
            let (_, contradictions) = std::mem::take(&mut state.reported);
            state.key = None;
            if contradictions > 0 {
                state.note_gap("what clients did fits nothing that can have happened");
            }
        }
    }

    /// The end: everything that was seen, and why the history is incomplete.
    pub fn finish(mut self) -> (Seen, Counts, Reasons) {
        self.end_script();
        self.settle_all();
        self.find_refusals();
        let mut reasons = Reasons::default();
        self.seen.gaps.iter().for_each(|(_, why)| reasons.add(why));
        if self.counts.malformed > 0 {
            let number = self.counts.malformed;
            let lines = if number == 1 { "line" } else { "lines" };
            reasons.add(&format!("{number} {lines} of MONITOR could not be read"));
        }
        if self.seen.clients.iter().any(|client| is_socket(&client.address)) {
            reasons.add("all clients of the server's Unix socket have one address");
        }
        let is_given_up = self.states.iter().any(|state| state.is_given_up);
        if !is_given_up && !self.seen.observations.iter().any(is_attempt) {
            reasons.add("no attempt to acquire a lock was seen in database 0");
        }
        if let Some((number, db)) = self.elsewhere {
            let commands = if number == 1 { "command" } else { "commands" };
            reasons.add(&format!(
                "{number} {commands} changed keys with these names in other databases, which are not \
                 recorded; the first in database {db}"
            ));
        }
        for observation in &self.seen.observations {
            if let (What::Found { .. }, Some(lock)) =
                (&observation.what, self.seen.locks.get(observation.lock))
            {
                reasons.add_about(&lock.key, "it was already held at the first look");
            }
        }
        for (state, lock) in self.states.iter().zip(&self.seen.locks) {
            state.gaps.iter().for_each(|why| reasons.add_about(&lock.key, why));
        }
        let counts = self.counts();
        (self.seen, counts, reasons)
    }

    /// In a log, a key is followed from the first command on that decides what it holds. Returns
    /// whether this is a deletion that does, of which only that is known.
    pub(super) fn begins_with(&mut self, lock: usize, act: &Act) -> bool {
        let Some(state) = self.states.get_mut(lock) else { return false };
        if state.key.is_some() || state.is_given_up {
            return false;
        }
        state.note_gap("the log does not show what it held when the log began");
        let is_deletion = *act == Act::Delete;
        if is_deletion || matches!(act, Act::Put { only_if_held: false, .. }) {
            state.key = Some(Key::new(None, false));
        }
        is_deletion
    }

    /// A key that can't be read is not followed.
    pub fn unread(&mut self, key: &[u8], why: String) {
        if let Some(lock) = self.lock(key) {
            self.give_up(lock, self.previous, why);
        }
    }

    /// From here on a key is not followed.
    pub(super) fn give_up(&mut self, lock: usize, at: u64, why: String) {
        let Some(state) = self.states.get_mut(lock) else { return };
        if std::mem::replace(&mut state.is_given_up, true) {
            return;
        }
        state.note_gap(&why);
        for slot in self.slots(lock) {
            self.decide(slot, Key::finish);
            let Some(state) = self.states.get_mut(slot) else { continue };
            state.key = None;
            if state.holder.take().is_some() {
                self.counts.held = self.counts.held.saturating_sub(1);
                self.gone += 1;
            }
            self.seen.found(slot, at, What::GivenUp, Outcome::Nothing);
        }
    }
}

/// Why a key is not followed after this command.
pub(in crate::record) fn not_followed(command: &str) -> String {
    let command = shown(command.as_bytes());
    format!("{command} may have changed it, which is not followed")
}

fn is_attempt(observation: &Observation) -> bool {
    matches!(observation.what, What::Write { .. })
        || matches!(observation.outcome, Outcome::Took | Outcome::Refused)
}
