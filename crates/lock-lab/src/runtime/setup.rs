//! What a run is of: fixed before it begins.

use crate::lock::{ActorHost, Identity, LockName, LockProtocol, Payload, StateFile};
use crate::scenario::{Plan, Start};
use lock_history::history::{Head, Left};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The plan of a run, its actors, and the names of its locks.
pub(super) struct Setup {
    pub plan: Plan,
    pub host: Arc<dyn ActorHost>,
    /// The state files of the plan's locks, in their order.
    pub files: Vec<StateFile>,
    pub locks: Vec<LockName>,
    pub identity: Arc<Identity>,
    pub seed: u64,
    /// Whether dumps are mirrored in the cache.
    pub has_cache: bool,
    /// Whether only locks are real, and files are in memory.
    pub is_lock_only: bool,
    /// Whether locks of others may be taken away.
    pub takes_by_force: AtomicBool,
}

impl Setup {
    pub fn protocol(&self) -> &dyn LockProtocol {
        &**self.host.protocol()
    }

    /// Whether a payload is of our making, or may be treated so.
    pub fn is_ours(&self, payload: &Payload) -> bool {
        self.takes_by_force() || self.identity.issued(payload.token())
    }

    pub fn takes_by_force(&self) -> bool {
        self.takes_by_force.load(Ordering::Relaxed)
    }

    /// The key of a lock; empty if there is no such lock.
    pub fn key(&self, lock: usize) -> &str {
        self.locks.get(lock).map(LockName::key).unwrap_or_default()
    }

    /// How a lock is left when its lease has ended, too, where the protocol is foreign: of
    /// such a client only a lock that stays for good counts as left behind.
    pub fn for_good(&self, left: Left) -> Left {
        if self.protocol().is_foreign() && left.ttl_ms >= 0 {
            return Left { token: None, ttl_ms: -2, ..left };
        }
        left
    }

    pub fn head(&self) -> Head {
        Head {
            sharing: self.host.sharing(self.plan.actors.len()),
            scenario: self.plan.scenario.clone(),
            protocol: self.protocol().name().into(),
            actors: self.plan.actors.iter().map(|actor| actor.name.clone()).collect(),
            locks: self.locks.iter().map(|lock| lock.key().to_string()).collect(),
            ..Head::default()
        }
    }
}

/// Cuts the actors into tasks: one that starts in sequence goes on in the task of the actor
/// before it.
pub(super) fn tasks(plan: &Plan) -> Vec<Range<usize>> {
    let mut tasks: Vec<Range<usize>> = Vec::new();
    for (index, actor) in plan.actors.iter().enumerate() {
        match (actor.start, tasks.last_mut()) {
            (Start::InSequence { .. }, Some(task)) => task.end = index + 1,
            _ => tasks.push(index..index + 1),
        }
    }
    tasks
}
