//! What is explored and replayed: a plan without what forces an order on it, and where it came from.

use super::Schedule;
use crate::lock::{Protocol, RunDirectory};
use crate::scenario::Plan;

/// A plan whose orderings are explored or replayed.
#[derive(Clone)]
pub struct Model {
    /// The plan, without rules that hold or delay, and without waits for them.
    pub plan: Plan,
    /// The lock protocol.
    pub protocol: &'static dyn Protocol,
    /// The run directories of the plan's locks, in their order.
    pub runs: Vec<RunDirectory>,
    /// Where it came from: a schedule without turns.
    pub origin: Schedule,
}
