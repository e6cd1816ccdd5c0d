//! A schedule: in which order the actors of a plan took their steps, and what befell them in
//! between. It is a value that a person can copy from a terminal.

use crate::scenario::Timing;

/// One entry of a schedule. Strands and locks are counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Turn {
    /// A strand does what it stopped for (a command, or a touch of shared local state), and goes on
    /// to its next stop.
    Step(usize),
    /// The same, but the reply to the command never comes.
    LoseReply(usize),
    /// The actor that is active in the strand is killed where it stopped.
    Crash(usize),
    /// The lease of a lock ends.
    Expire(usize),
}

/// Who does what when: a plan, and the order of its steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The scenario's name, or the path of its file.
    pub scenario: String,
    /// Tells one version of the scenario from the next.
    pub digest: u32,
    /// The lock protocol's name.
    pub protocol: String,
    /// Under which timing it was found.
    pub timing: Timing,
    /// The parameters that the plan was bound with, by name, as the command line reads them; those
    /// of the run (`default_ttl`, `wait`) among them.
    pub parameters: Vec<(String, String)>,
    /// The order.
    pub turns: Vec<Turn>,
}
