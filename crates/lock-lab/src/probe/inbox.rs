//! What a subject does, event by event, as long as that is waited for.

use super::Start;
use super::gateway::Event;
use crossbeam::channel::{Receiver, RecvTimeoutError};
use redis_sim::clock::Clock;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// How often to check whether a subject's answer is still wanted.
const GLANCE: Duration = Duration::from_millis(100);
/// How long a subject may take for its answer when the program is interrupted.
const GRACE: Duration = Duration::from_secs(1);

/// The events of a subject.
pub(super) struct Inbox {
    events: Receiver<Event>,
    /// Those that came before its last instruction, and were not read yet.
    early: VecDeque<Event>,
    /// How long it may take from one to the next.
    patience: Duration,
    /// When this is stopped, its answer is not wanted any more.
    clock: Arc<dyn Clock>,
    /// What is left of the time for that answer.
    grace: Duration,
}

impl Inbox {
    /// Nothing has come yet.
    pub fn new(events: Receiver<Event>, start: &Start) -> Self {
        let (patience, clock) = (start.patience, Arc::clone(&start.clock));
        Self { events, early: VecDeque::new(), patience, clock, grace: GRACE }
    }

    /// A line that it has said before it was asked for one.
    pub fn early_line(&mut self) -> Option<String> {
        while let Ok(event) = self.events.try_recv() {
            match event {
                Event::Said(line) => return Some(line),
                other => self.early.push_back(other),
            }
        }
        None
    }

    /// It gets an instruction.
    pub fn begin(&mut self) {
        self.grace = GRACE;
    }

    /// What it does next; waits no longer than it may take. When an answer is not wanted any more, it waits for a
    /// second altogether.
    pub fn next(&mut self) -> Result<Event, RecvTimeoutError> {
        if let Some(event) = self.early.pop_front() {
            return Ok(event);
        }
        let mut left = self.patience;
        loop {
            let is_wanted = self.clock.check().is_ok();
            let left = if is_wanted { &mut left } else { &mut self.grace };
            let glance = GLANCE.min(*left);
            match self.events.recv_timeout(glance) {
                Err(RecvTimeoutError::Timeout) => {
                    *left = left.saturating_sub(glance);
                    if left.is_zero() {
                        return Err(RecvTimeoutError::Timeout);
                    }
                }
                other => return other,
            }
        }
    }
}
