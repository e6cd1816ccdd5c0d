//! A schedule: the order in which the actors of a plan took their steps, and the faults in between.
//! It is a value that can be copied from a terminal.

mod text;

pub use text::ScheduleError;

use crate::scenario::Timing;
use lock_history::check::Property;

/// One entry of a schedule. Tasks and locks are counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Turn {
    /// A task does what it yielded for (a command, or a touch of shared local state), and goes on
    /// to its next yield point.
    Step(usize),
    /// The same, but the reply to the command never comes.
    LoseReply(usize),
    /// The command never reaches the server, and no reply comes.
    Forget(usize),
    /// The command is on its way for so long that the task gives up: no reply comes.
    Postpone(usize),
    /// A command that was given up reaches the server. They are counted task by task, and in
    /// each in the order in which they were sent.
    Arrive(usize),
    /// The actor that is active in the task crashes at its yield point.
    Crash(usize),
    /// The lease of a lock ends.
    Expire(usize),
    /// The TTL of another key ends: of this one of those in database 0 that have one and are no lock's,
    /// in the order of their bytes.
    ExpireKey(usize),
    /// So much time passes that all leases are over, also those that are times in values. There is only the
    /// first way to do so: 0.
    Later(usize),
}

impl Turn {
    /// Whose step it is, if it is one.
    pub fn mover(self) -> Option<usize> {
        match self {
            Turn::Step(task)
            | Turn::LoseReply(task)
            | Turn::Forget(task)
            | Turn::Postpone(task) => Some(task),
            Turn::Crash(_)
            | Turn::Expire(_)
            | Turn::ExpireKey(_)
            | Turn::Later(_)
            | Turn::Arrive(_) => None,
        }
    }

    /// Whether a TTL ends.
    pub fn is_expiry(self) -> bool {
        matches!(self, Turn::Expire(_) | Turn::ExpireKey(_))
    }

    /// Whether a request or a reply comes to harm.
    pub fn is_fault(self) -> bool {
        matches!(self, Turn::LoseReply(_) | Turn::Forget(_) | Turn::Postpone(_))
    }

    /// Whether an actor, a request or a reply comes to harm.
    pub fn is_crash_or_fault(self) -> bool {
        self.is_fault() || matches!(self, Turn::Crash(_))
    }
}

/// A plan, and the order of its steps.
///
/// As text it is one word that a shell leaves alone: the version of the format, the scenario and its
/// digest, the protocol, the timing, the parameters, the turns, and perhaps what it shows. Tasks
/// and locks are counted from 1 there; `2x5` is five turns of task 2, `e1` the end of the lease of
/// lock 1, `k1` the end of the TTL of the first key that has one and is no lock's, `t1` time that passes until all leases
/// are over, `c2` a crash in task 2, `l2` a reply to task 2 that is lost, `f2` a command of
/// task 2 that is, `p2` one that task 2 gives up and that is still on its way, and `a1` the
/// arrival of the first one that is.
///
/// ```
/// use lock_lab::runtime::{Schedule, Turn};
///
/// let text = "v1:check_then_delete@9c41d2e0:legacy:async:ttl=1s,wait=0s:1x3.e1.2.1:foreign_release";
/// let schedule: Schedule = text.parse()?;
/// assert_eq!(schedule.turns.len(), 6);
/// assert_eq!(schedule.turns[3], Turn::Expire(0));
/// assert_eq!(schedule.to_string(), text);
/// # Ok::<(), lock_lab::runtime::ScheduleError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The scenario's name, or the path of its file.
    pub scenario: String,
    /// Distinguishes versions of the scenario.
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
    /// What it violates, if it is a counterexample.
    pub shows: Option<Property>,
}
