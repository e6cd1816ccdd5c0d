//! The plan: a scenario with every parameter bound and nothing left to default. It is all that a
//! runtime needs to know, and the same plan on a virtual clock gives the same run.

use crate::intercept::PausePoint;
use crate::lock::{
    FileNameError, NameError, Operation, RunDirectory, RunGroup, STATE_FILE, StateFile, Ttl,
};
use lock_history::check::Expectation;
use lock_history::history::Verb;
use std::path::Path;
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
    /// All actors, in the order of the file.
    pub actors: Vec<ActorPlan>,
    /// What is done to single commands and pause points, in the order of the file.
    pub rules: Vec<Rule>,
    /// The name of the step in which the race shows.
    pub moment: Option<String>,
    /// What must come out, for this plan's parameters.
    pub expectations: Vec<Expectation>,
    /// The TTL of an acquire that names none.
    pub default_ttl: Ttl,
    /// How long an acquire that doesn't say keeps trying.
    pub wait: Duration,
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

/// One lock: a state file of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockPlan {
    /// How the scenario file calls it.
    pub name: String,
    /// What is appended to the run directory's path (`_1`), or nothing.
    pub run_suffix: String,
    /// The state file, as a path below the run directory, if the scenario file names it.
    pub file: Option<String>,
}

/// Why a plan can't be carried out in a run directory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// A directory can't name a run.
    #[error(transparent)]
    Run(#[from] NameError),
    /// The given file is none of a run.
    #[error(transparent)]
    File(#[from] FileNameError),
    /// A file was given, and the scenario names its own.
    #[error("{scenario} names its state files itself: {names}; leave out the file {given:?}")]
    NamesItsOwn {
        /// The scenario.
        scenario: String,
        /// Its files.
        names: String,
        /// The file that was given.
        given: String,
    },
    /// Two locks would be one.
    #[error("locks {0:?} and {1:?} would be of one file, {2:?}; name another file")]
    Twice(String, String, String),
}

/// An actor.
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
    /// How long it may take; past that its client has given up on it (a gateway's limit).
    pub limit: Option<Duration>,
    /// How long it lives: it crashes where it waits or works when this time is over.
    pub killed_after: Option<Duration>,
    /// What it does.
    pub steps: Arc<[Step]>,
}

/// When an actor begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With all others that start together: their first Redis commands go out in one volley.
    Together,
    /// When the actor before it in the plan has ended, and `pause` has passed. The first actor of a
    /// plan has no actor to wait for, and does not pause.
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
    /// The process's one controller for the run directory: one token slot for all of its users.
    Shared,
    /// A controller of its own, as another process would have.
    Own,
    /// The process's one controller, by a registry that looks and inserts in two steps.
    Racy,
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
        /// How long to keep trying; [`Plan::wait`] if it isn't said.
        wait: Option<Duration>,
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
        /// Whether to release it without regard to its owner.
        force: bool,
    },
    /// Acquire, body, dump, release; on an error in the body release, and pass the error on.
    Locked {
        /// Which lock.
        lock: usize,
        /// For how long; [`Plan::default_ttl`] if it isn't said.
        ttl: Option<Ttl>,
        /// How long to keep trying; [`Plan::wait`] if it isn't said.
        wait: Option<Duration>,
        /// What is done under the lock.
        body: Vec<Step>,
    },
    /// Forget the token of an acquisition, as a crash would.
    ForgetToken {
        /// Whose controller.
        lock: usize,
    },
    /// Put another token into the lock key, as a rival that took the lock over would.
    ReplaceToken {
        /// Which lock.
        lock: usize,
    },
    /// Put a lock and its flag into Redis that no actor remembers.
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
    /// Ask whether the lock is held, and set a flag that says so of a free lock to `false`.
    Islocked {
        /// Which lock.
        lock: usize,
        /// What is done if it is free.
        body: Vec<Step>,
    },
    /// Ask which locks of the run are held, and set flags that say so of free ones to `false`.
    LockStatuses {
        /// A lock of the run.
        lock: usize,
    },
    /// Give the lock its full lease again.
    Extend {
        /// Which lock.
        lock: usize,
    },
    /// Stand still, as a process that is stopped or swapped out: nothing is renewed meanwhile.
    Pause {
        /// For how long.
        duration: Duration,
    },
    /// End here, as a process that crashes: nothing is released, nothing more is done.
    Crash,
    /// Wait until a named step has ended, or a named rule has matched.
    Await {
        /// The step's or the rule's name.
        signal: String,
    },
    /// Do some steps several times.
    Repeat {
        /// How often.
        times: u32,
        /// What.
        body: Vec<Step>,
    },
    /// The server forgets everything, as after a restart without persistence.
    Amnesia,
    /// The server's clock jumps forward.
    ClockJump {
        /// By how much.
        duration: Duration,
    },
    /// The server evicts the lock key to save memory.
    Evict {
        /// Which lock.
        lock: usize,
    },
    /// Get the process's controller again, which refreshes it if its file changed.
    GetInstance {
        /// Whose controller.
        lock: usize,
    },
    /// Another process raises `operation_count` in the state file, without any lock.
    ExternalDump {
        /// Whose file.
        lock: usize,
    },
    /// Make the run read-only.
    MakeReadonly {
        /// Whose run.
        lock: usize,
    },
    /// Fail unless the controller's `operation_count` is as expected.
    Sees {
        /// Whose controller.
        lock: usize,
        /// What it should have counted since the run began.
        count: u64,
        /// Whether to read the file afresh into a controller of its own that is never cached, as
        /// the reference does with `ignore_lock=True`.
        fresh: bool,
    },
    /// Fail unless the process's registry holds a controller of the run, or holds none.
    Cached {
        /// Whose controller.
        lock: usize,
        /// Whether it should be there.
        is_cached: bool,
    },
    /// Send a raw command, as a careless client would.
    Redis {
        /// Whose key and flag it is about.
        lock: usize,
        /// Its words. In one that is `{key}`, `{replacement}`, `{runid}`, `{flag}`, `{payload}` or `{token}`,
        /// the lock key, the fence of its run, the hash and the field of its flag, the payload of the actor's own acquisition, or the token of
        /// its raw commands is put.
        arguments: Vec<String>,
        /// What is done unless the reply is nil or 0.
        body: Vec<Step>,
    },
    /// Look at Redis and the local token, changing nothing.
    Snapshot {
        /// Which lock.
        lock: usize,
        /// What the report calls it.
        label: String,
    },
}

impl Plan {
    /// Whether some step, also one inside another, is such an action.
    pub fn has(&self, is_such: fn(&Action) -> bool) -> bool {
        self.actors.iter().any(|actor| actor.has(is_such))
    }

    /// The state file of each lock: below this directory, with the lock's suffix. `file` is that of
    /// locks whose file the scenario does not name; without it, that of the debug controller.
    ///
    /// # Errors
    ///
    /// [`PlaceError`] if a directory can't name a run, or if `file` can't be the file of these
    /// locks.
    pub fn state_files(
        &self,
        directory: &Path,
        group: Option<&RunGroup>,
        file: Option<&str>,
    ) -> Result<Vec<StateFile>, PlaceError> {
        let named: Vec<&str> = self.locks.iter().filter_map(|lock| lock.file.as_deref()).collect();
        if let Some(given) = file.filter(|_| named.len() == self.locks.len()) {
            let (scenario, names) = (self.scenario.clone(), named.join(", "));
            return Err(PlaceError::NamesItsOwn { scenario, names, given: given.into() });
        }
        let base = RunDirectory::new(directory, None)?;
        let mut files: Vec<StateFile> = Vec::with_capacity(self.locks.len());
        for lock in &self.locks {
            let mut path = base.path().as_os_str().to_owned();
            path.push(&lock.run_suffix);
            let run = RunDirectory::new(Path::new(&path), group)?;
            let name = lock.file.as_deref().or(file).unwrap_or(STATE_FILE);
            let new = StateFile::new(run, name)?;
            if let Some(same) = files.iter().position(|other| *other == new) {
                let other = self.locks.get(same).map(|lock| lock.name.clone()).unwrap_or_default();
                return Err(PlaceError::Twice(other, lock.name.clone(), name.into()));
            }
            files.push(new);
        }
        Ok(files)
    }
}

impl ActorPlan {
    /// Whether some step, also one inside another, is such an action.
    pub fn has(&self, is_such: fn(&Action) -> bool) -> bool {
        fn any(steps: &[Step], is_such: fn(&Action) -> bool) -> bool {
            steps.iter().any(|step| match &step.action {
                Action::Locked { body, .. } | Action::Repeat { body, .. } => any(body, is_such),
                action @ (Action::Islocked { body, .. } | Action::Redis { body, .. }) => {
                    is_such(action) || any(body, is_such)
                }
                action => is_such(action),
            })
        }
        any(&self.steps, is_such)
    }
}

impl Action {
    /// Whether it is a server fault, which only the embedded server can inject.
    pub fn is_server_fault(&self) -> bool {
        matches!(self, Action::Amnesia | Action::ClockJump { .. } | Action::Evict { .. })
    }

    /// Which servers have the command of a `redis` step, if Redis 7 has it not; the embedded server has all.
    pub fn newer_servers(&self) -> Option<&'static str> {
        let Action::Redis { arguments, .. } = self else { return None };
        let (name, rest) = arguments.split_first()?;
        let options = rest.get(2..).unwrap_or_default();
        let has = |option: &str| options.iter().any(|word| word.eq_ignore_ascii_case(option));
        match name.as_str() {
            "DELEX" => Some("DELEX needs Redis 8.4 or Valkey 9.2"),
            "DELIFEQ" => Some("DELIFEQ needs Valkey 9.0"),
            "SET" if has("IFEQ") => Some("SET with IFEQ needs Redis 8.4 or Valkey 8.1"),
            "SET" if ["IFNE", "IFDEQ", "IFDNE"].into_iter().any(has) => {
                Some("SET with IFNE, IFDEQ or IFDNE needs Redis 8.4")
            }
            _ => None,
        }
    }

    /// The lock that it is about.
    pub fn lock(&self) -> Option<usize> {
        match self {
            Action::Acquire { lock, .. }
            | Action::Work { lock, .. }
            | Action::Dump { lock }
            | Action::Release { lock, .. }
            | Action::Locked { lock, .. }
            | Action::ForgetToken { lock }
            | Action::ReplaceToken { lock }
            | Action::PlantOrphan { lock, .. }
            | Action::ClearLocks { lock }
            | Action::Islocked { lock, .. }
            | Action::LockStatuses { lock }
            | Action::Extend { lock }
            | Action::Evict { lock }
            | Action::Redis { lock, .. }
            | Action::GetInstance { lock }
            | Action::ExternalDump { lock }
            | Action::MakeReadonly { lock }
            | Action::Sees { lock, .. }
            | Action::Cached { lock, .. }
            | Action::Snapshot { lock, .. } => Some(*lock),
            Action::Sleep { .. }
            | Action::Pause { .. }
            | Action::Crash
            | Action::Await { .. }
            | Action::Repeat { .. }
            | Action::Amnesia
            | Action::ClockJump { .. } => None,
        }
    }

    /// The step's name in scenario files (`acquire`, `locked`, ...).
    pub fn verb(&self) -> Verb {
        /// Actions have the names of their verbs, but for one.
        macro_rules! verb_of {
            ($action:ident: $($name:ident)*) => {
                match $action {
                    Action::Release { force: true, .. } => Verb::ForceRelease,
                    $(Action::$name { .. } => Verb::$name,)*
                }
            };
        }
        verb_of! {
            self: Acquire Work Sleep Dump Release Locked ForgetToken ReplaceToken PlantOrphan
            ClearLocks Islocked LockStatuses Extend Pause Crash Await Repeat Amnesia ClockJump Evict GetInstance
            ExternalDump MakeReadonly Sees Cached Redis Snapshot
        }
    }
}

/// What is done to one command or pause point of an actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The name that `await` and other rules speak of.
    pub name: String,
    /// Whose: an actor's name, or a group's; any actor's, if none is given.
    pub actor: Option<String>,
    /// What it matches.
    pub matches: Matches,
    /// Only where it is about this lock: its key, or its flag.
    pub lock: Option<usize>,
    /// The first of the matches that it is for, from 1.
    pub from: u32,
    /// The last one; no last one, if none is said.
    pub to: Option<u32>,
    /// What is done.
    pub effect: RuleEffect,
}

/// What a rule matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matches {
    /// Commands of this name in capitals (`DEL`).
    Command(String),
    /// The commands that do this to the lock key, whatever they are called.
    Operation(Operation),
    /// A pause point.
    Pause(PausePoint),
}

/// What a rule does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleEffect {
    /// It waits until a named step has ended, or a named rule has matched.
    HoldUntil(String),
    /// It never reaches the server, and fails with this error reply.
    Fail(String),
    /// It runs, but its reply never comes: the client sees a time-out.
    DropReply,
    /// It never reaches the server, and no reply comes.
    Forget,
    /// It waits this long.
    Delay(Duration),
    /// The client sees a time-out at once; the command runs when a named step has ended or a named
    /// rule has matched.
    RunLate(String),
    /// The actor crashes before it.
    Crash,
}
