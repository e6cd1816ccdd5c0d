//! What a run writes down besides its actors' own events.

use super::{LabelledSnapshot, Remembered, Time};
use crate::server::depends_on_kind;
use lock_history::history::{Change, Event, EventKind, History, Moment, Sequence};
use parking_lot::Mutex;
use redis::RedisError;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a run as a whole writes down.
pub(super) struct RunLog {
    time: Time,
    pub sequence: Sequence,
    pub snapshots: Mutex<Vec<LabelledSnapshot>>,
    /// What happened to the server, and what late commands did.
    pub late_events: Mutex<Vec<Event>>,
    /// The `operation_count` of each lock's state file at the beginning.
    pub counts_before: OnceLock<Vec<u64>>,
    /// The last fencing token that was drawn under each lock key.
    pub drawn: Mutex<BTreeMap<String, u64>>,
    /// What actors remembered when steps ended, where that is kept.
    remembered: OnceLock<Mutex<Vec<Remembered>>>,
    failure: Mutex<Option<String>>,
    odd_answer: Mutex<Option<RedisError>>,
    /// Whether the server once did not answer in time.
    silent: AtomicBool,
}

impl RunLog {
    pub fn new(time: Time) -> Self {
        Self {
            time,
            sequence: Sequence::default(),
            snapshots: Mutex::default(),
            late_events: Mutex::default(),
            counts_before: OnceLock::new(),
            drawn: Mutex::default(),
            remembered: OnceLock::new(),
            failure: Mutex::default(),
            odd_answer: Mutex::default(),
            silent: AtomicBool::new(false),
        }
    }

    /// Now, as the next in the run's one sequence.
    pub fn moment(&self) -> Moment {
        match &self.time {
            Time::Wall(clock) => self.sequence.moment(&**clock),
            Time::Virtual(clock) => self.sequence.moment(&**clock),
        }
    }

    /// Records a fault of the server.
    pub fn note_fault(&self, moment: Moment, kind: EventKind) {
        self.late_events.lock().push(Event { moment, actor: None, kind });
    }

    /// Notes the fencing tokens that were drawn.
    pub fn note_drawn(&self, history: &History) {
        let mut drawn = self.drawn.lock();
        for event in &history.events {
            let EventKind::Command(command) = &event.kind else { continue };
            for effect in &command.effects {
                let Change::Took { fence: Some(fence), .. } = effect.change else { continue };
                let Some(key) = history.head.locks.get(effect.lock) else { continue };
                let last = drawn.entry(key.clone()).or_default();
                *last = fence.max(*last);
            }
        }
    }

    /// From now on, what actors remember is kept.
    pub fn keep_memories(&self) {
        self.remembered.get_or_init(Mutex::default);
    }

    /// Notes what an actor remembers, if that is kept.
    pub fn note_memory(&self, remembered: impl FnOnce() -> Remembered) {
        if let Some(all) = self.remembered.get() {
            all.lock().push(remembered());
        }
    }

    pub fn take_memories(&self) -> Vec<Remembered> {
        let all = self.remembered.get().map(|all| std::mem::take(&mut *all.lock()));
        let mut all = all.unwrap_or_default();
        all.sort_by_key(|one| one.order);
        all
    }

    /// Notes that the environment failed; the first failure is the one that counts.
    pub fn fail(&self, message: String) {
        self.failure.lock().get_or_insert(message);
    }

    pub fn failure(&self) -> Option<String> {
        self.failure.lock().clone()
    }

    pub fn take_failure(&self) -> Option<String> {
        self.failure.lock().take()
    }

    pub fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }

    /// Notes that the server let the time for a reply pass, or an answer that only makes sense with what the
    /// server is: the first one.
    pub fn note_error(&self, error: &RedisError) {
        self.silent.fetch_or(error.is_timeout(), Ordering::Relaxed);
        if depends_on_kind(error) {
            self.odd_answer.lock().get_or_insert_with(|| error.clone());
        }
    }

    pub fn odd_answer(&self) -> Option<RedisError> {
        self.odd_answer.lock().clone()
    }
}
