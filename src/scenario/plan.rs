//! The plan: a scenario with every parameter bound and nothing left to default. It is all that a
//! runtime needs to know, and the same plan on a virtual clock gives the same run.

use crate::lock::Ttl;
use std::sync::Arc;
use std::time::Duration;

/// A scenario ready to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The scenario's name, in snake_case.
    pub scenario: String,
    /// One line that says what happens.
    pub title: String,
    /// Each parameter's value, in the order of the file.
    pub parameters: Vec<(String, Value)>,
    /// The locks that the steps speak of by position.
    pub locks: Vec<LockPlan>,
    /// Everyone who takes part, in the order of the file.
    pub actors: Vec<ActorPlan>,
    /// What must come out, for this plan's parameters.
    pub expectations: Vec<Expectation>,
    /// The TTL of an acquire that names none.
    pub default_ttl: Ttl,
}

/// The value of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// How many.
    Count(u32),
    /// How long.
    Duration(Duration),
    /// How long a lock lives.
    Ttl(Ttl),
}

/// One lock: the controller file of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockPlan {
    /// How the scenario file calls it.
    pub name: String,
    /// What is appended to the run directory's path (`_1`), or nothing.
    pub run_suffix: String,
}

/// One who takes part.
#[derive(Debug, Clone, PartialEq)]
pub struct ActorPlan {
    /// Unique in the plan: the group's name, numbered from 1 where the group has several.
    pub name: String,
    /// The name in the scenario file that this actor was made from.
    pub group: String,
    /// When it begins.
    pub start: Start,
    /// Whether it shares its controllers with others.
    pub instance: Instance,
    /// What it does.
    pub steps: Arc<[Step]>,
}

/// When an actor begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With all others that start together: their first Redis commands go out in one volley.
    Together,
    /// When the actor before it in the plan has ended, and `pause` has passed. The first actor of a
    /// plan has nobody to wait for, and does not pause.
    InSequence {
        /// The pause between the predecessor's end and the start.
        pause: Duration,
    },
    /// Some time after the run began.
    After {
        /// Counted from the beginning of the run.
        delay: Duration,
    },
}

/// Whose controllers an actor uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instance {
    /// The process's one controller for the run directory: one token slot for all who share it.
    Shared,
    /// A controller of its own, as another process would have.
    Own,
}

/// One thing that an actor does.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What expectations call it, if they speak of it.
    pub name: Option<String>,
    /// Whether the actor goes on when this step fails.
    pub go_on: bool,
    /// What is done.
    pub action: Action,
}

/// What a step does. Locks are positions in [`Plan::locks`].
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Take the lock.
    Acquire {
        /// Which lock.
        lock: usize,
        /// For how long; [`Plan::default_ttl`] if it isn't said.
        ttl: Option<Ttl>,
    },
    /// Raise the controller's `operation_count` in memory and let time pass.
    Work {
        /// Whose controller.
        lock: usize,
        /// How long it takes.
        duration: Duration,
    },
    /// Let time pass.
    Sleep {
        /// How long.
        duration: Duration,
    },
    /// Write the controller's state to its file and the cache.
    Dump {
        /// Whose controller.
        lock: usize,
    },
    /// Release the lock.
    Release {
        /// Which lock.
        lock: usize,
        /// Whether to release it whoever owns it.
        force: bool,
    },
    /// Acquire, body, dump, release; on an error in the body release, and pass the error on.
    Locked {
        /// Which lock.
        lock: usize,
        /// For how long; [`Plan::default_ttl`] if it isn't said.
        ttl: Option<Ttl>,
        /// What is done under the lock.
        body: Vec<Step>,
    },
    /// Forget the token of an acquisition, as a crash would.
    ForgetToken {
        /// Whose controller.
        lock: usize,
    },
    /// Put another token into the lock key, as a rival who took the lock over would.
    ReplaceToken {
        /// Which lock.
        lock: usize,
    },
    /// Put a lock and its flag into Redis that nobody remembers.
    PlantOrphan {
        /// Which lock.
        lock: usize,
        /// For how long.
        ttl: Ttl,
    },
    /// Clear all locks of the run that the lock belongs to.
    ClearLocks {
        /// A lock of the run.
        lock: usize,
    },
    /// Look at Redis and the local token, changing nothing.
    Snapshot {
        /// Which lock.
        lock: usize,
        /// What the report calls it.
        label: String,
    },
}

impl Action {
    /// The step's name in scenario files (`acquire`, `locked`, ...).
    pub fn verb(&self) -> &'static str {
        match self {
            Action::Acquire { .. } => "acquire",
            Action::Work { .. } => "work",
            Action::Sleep { .. } => "sleep",
            Action::Dump { .. } => "dump",
            Action::Release { force: false, .. } => "release",
            Action::Release { force: true, .. } => "force_release",
            Action::Locked { .. } => "locked",
            Action::ForgetToken { .. } => "forget_token",
            Action::ReplaceToken { .. } => "replace_token",
            Action::PlantOrphan { .. } => "plant_orphan",
            Action::ClearLocks { .. } => "clear_locks",
            Action::Snapshot { .. } => "snapshot",
        }
    }
}

/// How an actor or a step ended, as scenario files and reports say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// All went well.
    Success,
    /// Somebody else held the lock.
    AlreadyLocked,
    /// Anything else went wrong.
    Error,
}

/// One thing that must come out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expectation {
    /// How many actors end with a status.
    Total {
        /// Only those made from this name; all, if none is said.
        group: Option<String>,
        /// Which end is counted.
        status: Status,
        /// How many there must be.
        count: u64,
    },
    /// How each actor of a group ends.
    Actor {
        /// The actors' name in the scenario file.
        group: String,
        /// How they end.
        status: Status,
        /// What the error says, in part.
        error: Option<String>,
    },
    /// How a named step ends, each time that somebody takes it; it must be taken at least once.
    Step {
        /// The step's name.
        step: String,
        /// How it ends.
        status: Status,
        /// What the error says, in part.
        error: Option<String>,
    },
    /// What a snapshot shows.
    Snapshot {
        /// The snapshot's label.
        label: String,
        /// A word from the fixed list of diagnoses.
        diagnosis: String,
    },
    /// By how much `operation_count` in the state file must have risen when all is over.
    Updates {
        /// Which lock's controller.
        lock: usize,
        /// By how much.
        count: u64,
    },
}
