//! What is explored and replayed: a plan without what forces an order on it, and where it came from.

use super::Schedule;
use crate::lock::{ActorHost, RunDirectory};
use crate::scenario::Plan;
use crate::server::Borrowed;
use redis_sim::clock::WallClock;
use std::sync::Arc;

/// A plan whose orderings are explored or replayed.
#[derive(Clone)]
pub struct Model {
    /// The plan, without rules that hold or delay, and without waits for them.
    pub plan: Plan,
    /// Where its actors run, and the lock protocol that they speak.
    pub host: Arc<dyn ActorHost>,
    /// The run directories of the plan's locks, in their order.
    pub runs: Vec<RunDirectory>,
    /// Where it came from: a schedule without turns.
    pub origin: Schedule,
    /// The real Redis where it is explored; if there is none, the embedded server.
    pub upstream: Option<Upstream>,
}

/// A real Redis that an exploration has for itself.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Its database.
    pub borrowed: Arc<Borrowed>,
    /// What is replayed there stops with this clock.
    pub clock: Arc<WallClock>,
}
