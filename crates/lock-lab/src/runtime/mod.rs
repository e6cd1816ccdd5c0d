//! Runs a plan: actors take their steps, and what happens becomes a history and snapshots.
//!
//! Actors that follow each other form a *task*; each task is an OS thread on the wall clock, or
//! a coroutine on a virtual one. All ways of running a plan run the same code over the same lock
//! library:
//!
//! | way | what decides the order |
//! |---|---|
//! | [`World::run`] | the machine, or the virtual clock and a seed |
//! | [`explore`](fn@explore) | exploration: every ordering is tried, in coroutines |
//! | [`World::replay`] | a [`Schedule`], in coroutines, or in threads on a real server |
//!
//! | module | what it is for |
//! |---|---|
//! | `setup`, `services`, `run_log`, `signals` | what the actors of a run share |
//! | `steps`, `wire_log`, `yield_point`, `rules` | one actor's steps, what is recorded of them, where it yields |
//! | `bypass` | what steps do without the lock protocol |
//! | `task`, `task_body`, `threads`, `coroutines`, `volley` | tasks side by side, and which goes first |
//! | `in_flight` | commands whose sender has given up |
//! | `observer`, `merge_point` | what exploration is notified of; nothing, in a run |
//! | `outcome` | what a run gives |
//! | `transactions` | what commands do to the keys that their client watches |
//! | `snapshots` | how the locks look before, in and after a run |
//! | `longest` | how long a plan may take |
//! | `model`, `schedule` | what is explored, and an ordering of it as text |
//! | `explore` | the orderings, the strategies, the shortest counterexamples |
//! | `replay` | one ordering again |
//! | `stage` | what is prepared before a run, and put back after it |

mod bypass;
mod coroutines;
mod explore;
mod in_flight;
mod longest;
mod merge_point;
mod model;
#[cfg(test)]
mod mutants;
mod observer;
mod outcome;
mod replay;
mod rules;
mod run_log;
mod schedule;
mod services;
mod setup;
mod signals;
mod snapshots;
mod stage;
mod steps;
mod task;
mod task_body;
mod threads;
mod transactions;
mod ttl_order;
mod volley;
mod wire_log;
mod yield_point;

pub use crate::scenario::Timing;
pub use explore::{
    Bounds, Counterexample, ExploreError, Explored, Limit, Progress, Strategy, explore,
};
pub use longest::longest;
pub use model::{Binding, Model, ModelError, Upstream};
pub use outcome::{LabelledSnapshot, Outcome, Remembered};
pub use replay::{ReplayError, replay};
pub use schedule::{Schedule, ScheduleError, Turn};
pub use stage::{Cleaned, Stage, StageError, command_line, quoted};
pub use threads::{THREAD_MEMORY, allow_files, check_memory};

use crate::controller::{Files, INITIAL_STATE, Registry};
use crate::lock::{ActorHost, Identity, LockError, LockProtocol, StateFile};
use crate::scenario::{Plan, Start};
use crate::server::{Connection, Exchange, Listener, Server, ServerError};
use lock_history::history::{Event, History};
use observer::{Observer, Unobserved};
use parking_lot::Mutex;
use redis_sim::clock::{Clock, Stopped, VirtualClock, WallClock};
use run_log::RunLog;
use services::Services;
use setup::{Setup, tasks};
use signals::Signals;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// On which clock a plan runs, and so how.
#[derive(Clone)]
pub enum Time {
    /// OS threads on the machine's clock.
    Wall(Arc<WallClock>),
    /// Coroutines on a clock of their own.
    Virtual(Arc<VirtualClock>),
}

impl Time {
    /// Whether this clock is used elsewhere.
    pub fn is_shared(&self) -> bool {
        match self {
            Time::Wall(clock) => Arc::strong_count(clock) > 1,
            Time::Virtual(clock) => Arc::strong_count(clock) > 1,
        }
    }

    /// Stops the clock, and with it the run.
    pub fn stop(&self, why: Stopped) {
        match self {
            Time::Wall(clock) => clock.stop(why),
            Time::Virtual(clock) => clock.stop(why),
        }
    }

    /// The clock itself.
    pub fn clock(&self) -> Arc<dyn Clock> {
        match self {
            Time::Wall(clock) => Arc::clone(clock) as Arc<dyn Clock>,
            Time::Virtual(clock) => Arc::clone(clock) as Arc<dyn Clock>,
        }
    }
}

/// Everything that the actors of a run share.
pub struct World {
    setup: Setup,
    services: Services,
    log: RunLog,
    signals: Signals,
    on_end: Box<dyn Fn() + Send + Sync>,
    observer: Arc<dyn Observer>,
    /// The listener to what actors exchange with the server.
    listener: Option<Listener>,
}

impl World {
    /// A world for one run of a plan. `state_files` are those of the plan's locks, in their order; `on_end` is called each time that an actor ends.
    pub fn new(
        plan: Plan,
        server: Server,
        host: Arc<dyn ActorHost>,
        state_files: Vec<StateFile>,
        time: Time,
        on_end: Box<dyn Fn() + Send + Sync>,
    ) -> Self {
        let (files, identity) = match time {
            Time::Wall(_) => (Files::on_disk(), Identity::of_this_process()),
            Time::Virtual(_) => (Files::in_memory(), Identity::repeatable()),
        };
        Self {
            signals: Signals::new(&plan.rules),
            log: RunLog::new(time.clone()),
            services: Services {
                server,
                time,
                files: Arc::new(files),
                registry: Registry::default(),
                own: Mutex::default(),
            },
            setup: Setup {
                locks: state_files.iter().map(|file| host.watched(file.lock())).collect(),
                plan,
                host,
                files: state_files,
                identity: Arc::new(identity),
                seed: 0,
                has_cache: true,
                is_lock_only: false,
                takes_by_force: AtomicBool::new(false),
            },
            on_end,
            observer: Arc::new(Unobserved),
            listener: None,
        }
    }

    /// A world of a model on this server.
    fn of_model(model: &Model, server: Server, time: Time) -> Self {
        let (plan, host, files) =
            (model.plan.clone(), Arc::clone(&model.host), model.files.clone());
        Self::new(plan, server, host, files, time, Box::new(|| ()))
    }

    /// The same world, but on a virtual clock the seed decides the order among actors that could go
    /// on at the same time; with seed 0 it is first come, first served.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.setup.seed = seed;
        self
    }

    /// The same world, but dumps are not mirrored in the cache.
    pub fn without_cache(mut self) -> Self {
        self.setup.has_cache = false;
        self
    }

    /// The same world, but only its locks are real: its files are in memory, and nothing says in Redis
    /// that they were written.
    pub fn lock_only(mut self) -> Self {
        self.services.files = Arc::new(Files::in_memory());
        self.setup.is_lock_only = true;
        self.without_cache()
    }

    /// The same world, but all that it has is its server and these files in memory: no lock of
    /// another program can interfere, and the cache has no reader.
    fn alone(mut self, files: Files) -> Self {
        for file in self.files() {
            // In memory nothing fails.
            let _ = files.replace(file.path(), INITIAL_STATE.as_bytes());
        }
        self.services.files = Arc::new(files);
        self.take_by_force(true);
        self.without_cache()
    }

    /// The same world, but `hear` gets each exchange of its actors with the server, complete and in
    /// order; the history's event of a command has the moment at which its reply was received.
    #[must_use]
    pub fn heard_by(mut self, hear: impl Fn(&Exchange) + Send + Sync + 'static) -> Self {
        self.listener = Some(Listener::new(self.services.time.clock(), hear));
        self
    }

    /// The seed, where there is a virtual clock that heeds it.
    pub fn seed(&self) -> Option<u64> {
        matches!(self.services.time, Time::Virtual(_)).then_some(self.setup.seed)
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.setup.plan
    }

    /// Where the locks live.
    pub fn server(&self) -> &Server {
        &self.services.server
    }

    /// The lock protocol.
    pub fn protocol(&self) -> &dyn LockProtocol {
        self.setup.protocol()
    }

    /// Whether each actor is a process of its own.
    pub fn has_processes(&self) -> bool {
        !self.setup.host.owners().is_empty()
    }

    /// The state files of the plan's locks.
    pub fn files(&self) -> &[StateFile] {
        &self.setup.files
    }

    /// Whether only locks are real, and files are in memory.
    pub fn is_lock_only(&self) -> bool {
        self.setup.is_lock_only
    }

    /// Whether state files are on disk, where others can see and write them.
    pub fn has_files_on_disk(&self) -> bool {
        self.services.files.are_on_disk()
    }

    /// The clock of the run.
    pub fn time(&self) -> &Time {
        &self.services.time
    }

    /// A second connection, where what happens on the first can only be seen from beside it.
    fn aside(&self, connection: &Connection) -> Option<Connection> {
        if !connection.is_remote() {
            return None;
        }
        self.services.connect(0).map_err(|error| self.log.fail(error.to_string())).ok()
    }

    /// Records what passes over a connection from now on.
    fn listen(&self, connection: &mut Connection) {
        if let Some(listener) = &self.listener {
            *connection = connection.lend().heard_by(listener.clone());
        }
        connection.record(self.log.sequence.clone(), self.services.time.clock());
        if self.protocol().is_foreign() {
            let keys = self.setup.locks.iter().map(|lock| lock.key().to_owned()).collect();
            connection.observe(keys, self.aside(connection));
        }
    }

    /// Lets the protocol prepare the server; gives the connection that was used.
    fn prepare(&self) -> Result<Connection, ServerError> {
        let mut link = self.services.connect(0)?;
        let prepared = self.protocol().prepare(&mut link);
        prepared.map_err(|error| ServerError::new(self.services.explain_asking(&error)))?;
        self.log.counts_before.get_or_init(|| self.counts());
        Ok(link)
    }

    /// Runs the plan once. An error means that it did not begin; what fails later is in the
    /// outcome.
    ///
    /// # Errors
    ///
    /// [`ServerError`] if the server can't be reached, refuses what the lock protocol prepares, or
    /// if threads or connections for the actors can't be had.
    pub fn run(self: &Arc<Self>) -> Result<Outcome, ServerError> {
        self.around(|tasks| match &self.services.time {
            Time::Wall(clock) => threads::run(self, clock, tasks),
            Time::Virtual(clock) => {
                let skew = self.has_volley().then_some(Duration::ZERO);
                Ok((coroutines::run(self, clock, tasks)?, skew))
            }
        })
    }

    /// What comes before and after all tasks; `run` lets them run and gives what they wrote down,
    /// and the width of their volley.
    fn around<E: From<ServerError>>(
        &self,
        run: impl FnOnce(Vec<Range<usize>>) -> Result<(Vec<Buffer>, Option<Duration>), E>,
    ) -> Result<Outcome, E> {
        self.setup.host.begin();
        let mut link = self.prepare()?;
        let before = self.log.counts_before.get_or_init(|| self.counts());
        snapshots::take_all(self, &mut link, "before");
        self.log.keep_memories();
        let (mut buffers, start_skew) = run(tasks(self.plan()))?;
        buffers.push(std::mem::take(&mut self.log.late_events.lock()));
        // One that did not answer would make us wait for the time-out once more.
        if !self.log.is_silent() {
            // The server may have gone meanwhile; a new connection shows it.
            match self.services.connect(0) {
                Ok(mut link) => snapshots::take_all(self, &mut link, "after"),
                Err(error) => self.log.fail(error.to_string()),
            }
        }
        buffers.push(snapshots::left(self));
        let after = self.counts();
        let updates =
            before.iter().zip(after).map(|(before, after)| after.saturating_sub(*before)).collect();
        let history = History::merge(self.setup.head(), buffers);
        self.log.note_drawn(&history);
        Ok(Outcome {
            history,
            snapshots: std::mem::take(&mut self.log.snapshots.lock()),
            remembered: self.log.take_memories(),
            start_skew,
            updates,
            written_by_others: self.written_by_others(),
            unmatched: self.signals.unmatched(&self.plan().rules),
            failure: self.failure(),
        })
    }

    /// Why the environment failed, and what the server is where that tells why.
    fn failure(&self) -> Option<String> {
        let failure = self.log.failure()?;
        let odd = self.log.odd_answer().filter(|_| !self.log.is_silent());
        let kind = odd.and_then(|error| self.server().kind_behind(&error));
        Some(kind.map_or(failure.clone(), |kind| format!("{failure}; {kind}")))
    }

    fn has_volley(&self) -> bool {
        self.plan().actors.iter().any(|actor| actor.start == Start::Together)
    }

    fn counts(&self) -> Vec<u64> {
        let count = |file: &StateFile| {
            self.services.count_on_file(file).unwrap_or_else(|error| {
                self.log.fail(error.to_string());
                0
            })
        };
        self.files().iter().map(count).collect()
    }

    fn written_by_others(&self) -> Vec<bool> {
        let files = &self.services.files;
        self.files().iter().map(|file| files.is_changed_by_others(file.path())).collect()
    }

    fn take_by_force(&self, force: bool) {
        self.setup.takes_by_force.store(force, Ordering::Relaxed);
    }

    fn explain_and_note(&self, error: &LockError) -> String {
        if let LockError::Redis { source, .. } = error {
            self.log.note_error(source);
        }
        self.services.explain(error)
    }
}

/// What one task wrote down.
type Buffer = Vec<Event>;
