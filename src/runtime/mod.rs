//! Runs a plan: actors take their steps, and what happens becomes a history and snapshots.
//!
//! Actors that follow each other form a *strand*; each strand is an OS thread on the wall clock, or
//! a coroutine on a virtual one. All ways of running a plan run the same code over the same lock
//! library:
//!
//! | way | what decides the order |
//! |---|---|
//! | [`World::run`] | the machine, or the virtual clock and a seed |
//! | [`explore`](fn@explore) | nobody: every ordering is tried, in coroutines |
//! | [`World::replay`] | a [`Schedule`], in coroutines, or in threads on a real server |
//!
//! | module | what it is for |
//! |---|---|
//! | `steps`, `tape`, `stops`, `rules` | one actor's steps, what is recorded of them, where it can be stopped |
//! | `threads`, `coroutines`, `strand`, `volley`, `signals` | actors side by side, and who goes first |
//! | `observer`, `merge_point` | what exploration is notified of; nothing, in a run |
//! | `looks` | how the locks look before, in and after a run |
//! | `longest` | how long a plan may take |
//! | `model`, `schedule` | what is explored, and an ordering of it as text |
//! | `explore` | the orderings, the strategies, the shortest counterexamples |
//! | `replay` | one ordering again |
//! | `stage` | what is prepared before a run, and put back after it |

mod afloat;
mod coroutines;
mod explore;
mod isolated;
mod longest;
mod looks;
mod merge_point;
mod model;
mod observer;
mod outcome;
mod replay;
mod rules;
mod schedule;
mod signals;
mod stage;
mod steps;
mod stops;
mod strand;
mod tape;
mod threads;
mod transactions;
mod volley;

pub use crate::scenario::Timing;
pub use explore::{
    Bounds, Counterexample, ExploreError, Explored, Limit, Progress, Strategy, explore,
};
pub use longest::longest;
pub use model::{Model, Upstream};
pub use outcome::{Look, Outcome};
pub use replay::{ReplayError, replay};
pub use schedule::{Schedule, ScheduleError, Turn};
pub use stage::{Cleaned, Stage, StageError, quoted};
pub use threads::{THREAD_MEMORY, allow_files, check_memory};

use crate::clock::{Clock, Stopped, VirtualClock, WallClock};
use crate::controller::{Controller, ControllerError, Files, Registry, STATE_FILE, count_on_file};
use crate::history::{Event, Head, History, Moment, Sequence};
use crate::lock::{ActorHost, Identity, LockError, LockName, LockProtocol, Payload, RunDirectory};
use crate::scenario::{Plan, Start};
use crate::server::{Connection, Server, ServerError};
use observer::{Observer, Unobserved};
use rules::Counts;
use signals::Signals;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
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
    /// Whether anybody else still has this clock.
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
    plan: Plan,
    server: Server,
    host: Arc<dyn ActorHost>,
    runs: Vec<RunDirectory>,
    files: Arc<Files>,
    identity: Arc<Identity>,
    time: Time,
    seed: u64,
    registry: Registry,
    own_instances: Mutex<Vec<Own>>,
    looks: Mutex<Vec<Look>>,
    locks: Vec<LockName>,
    sequence: Sequence,
    signals: Signals,
    rule_counts: Counts,
    late_events: Mutex<Vec<Event>>,
    counts_before: OnceLock<Vec<u64>>,
    failure: Mutex<Option<String>>,
    /// Whether the server once did not answer in time.
    silent: AtomicBool,
    /// Whether locks of others may be taken away.
    takes_by_force: AtomicBool,
    /// Whether dumps are mirrored in the cache.
    has_cache: bool,
    on_end: Box<dyn Fn() + Send + Sync>,
    observer: Arc<dyn Observer>,
}

/// A controller that an actor has for itself.
#[derive(Clone)]
struct Own {
    actor: usize,
    lock: usize,
    controller: Arc<Controller>,
}

impl World {
    /// A world for one run of a plan. `runs` are the run directories of the plan's locks, in their
    /// order; `on_end` is told each time that an actor ends.
    pub fn new(
        plan: Plan,
        server: Server,
        host: Arc<dyn ActorHost>,
        runs: Vec<RunDirectory>,
        time: Time,
        on_end: Box<dyn Fn() + Send + Sync>,
    ) -> Self {
        let (files, identity) = match time {
            Time::Wall(_) => (Files::on_disk(), Identity::of_this_process()),
            Time::Virtual(_) => (Files::in_memory(), Identity::repeatable()),
        };
        Self {
            locks: runs.iter().map(|run| run.lock(STATE_FILE)).collect(),
            rule_counts: Counts::new(&plan.rules),
            plan,
            server,
            host,
            runs,
            files: Arc::new(files),
            identity: Arc::new(identity),
            time,
            seed: 0,
            registry: Registry::default(),
            own_instances: Mutex::default(),
            looks: Mutex::default(),
            sequence: Sequence::default(),
            signals: Signals::default(),
            late_events: Mutex::default(),
            counts_before: OnceLock::new(),
            failure: Mutex::default(),
            silent: AtomicBool::new(false),
            takes_by_force: AtomicBool::new(false),
            has_cache: true,
            on_end,
            observer: Arc::new(Unobserved),
        }
    }

    /// The same world, but on a virtual clock the seed decides the order among those who could go on
    /// at the same time; with seed 0, who asked first goes first.
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The seed, where there is a virtual clock that heeds it.
    pub fn seed(&self) -> Option<u64> {
        matches!(self.time, Time::Virtual(_)).then_some(self.seed)
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Where the locks live.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The lock protocol.
    pub fn protocol(&self) -> &dyn LockProtocol {
        &**self.host.protocol()
    }

    /// Whether each actor is a process of its own.
    pub fn has_processes(&self) -> bool {
        !self.host.owners().is_empty()
    }

    /// The run directories of the plan's locks.
    pub fn runs(&self) -> &[RunDirectory] {
        &self.runs
    }

    /// The clock of the run.
    pub fn time(&self) -> &Time {
        &self.time
    }

    /// Opens a connection for the run itself: no reply is waited for past the run's deadline. What
    /// is put back afterwards has the whole response time-out.
    fn connect(&self, db: i64) -> Result<Connection, ServerError> {
        self.server.connect_on(self.time.clock(), db)
    }

    /// A second connection, where what happens on the first can only be seen from beside it.
    fn aside(&self, connection: &Connection) -> Option<Connection> {
        if !connection.is_remote() {
            return None;
        }
        self.connect(0).map_err(|error| self.fail(error.to_string())).ok()
    }

    /// Records what passes over a connection from now on.
    fn listen(&self, connection: &mut Connection) {
        connection.record(self.sequence.clone(), self.time.clock());
        if self.protocol().is_foreign() {
            let keys = self.locks.iter().map(|lock| lock.key().to_owned()).collect();
            connection.observe(keys, self.aside(connection));
        }
    }

    /// Tells the server what the protocol needs it to know; gives the connection that was used.
    fn prepare(&self) -> Result<Connection, ServerError> {
        let mut link = self.connect(0)?;
        let prepared = self.protocol().prepare(&mut link);
        prepared.map_err(|error| ServerError::new(self.explain(&error)))?;
        self.counts_before.get_or_init(|| self.counts());
        Ok(link)
    }

    /// Runs the plan once. An error means that it did not begin; what fails later is in the
    /// outcome.
    pub fn run(self: &Arc<Self>) -> Result<Outcome, ServerError> {
        self.around(|strands| match &self.time {
            Time::Wall(clock) => threads::run(self, clock, strands),
            Time::Virtual(clock) => {
                let skew = self.has_volley().then_some(Duration::ZERO);
                Ok((coroutines::run(self, clock, strands)?, skew))
            }
        })
    }

    /// What comes before and after all strands; `run` lets them run and gives what they wrote down,
    /// and the width of their volley.
    fn around<E: From<ServerError>>(
        &self,
        run: impl FnOnce(Vec<Range<usize>>) -> Result<(Vec<Buffer>, Option<Duration>), E>,
    ) -> Result<Outcome, E> {
        let mut link = self.prepare()?;
        let before = self.counts_before.get_or_init(|| self.counts());
        self.look_at_all(&mut link, "before");
        let (mut buffers, start_skew) = run(strands(&self.plan))?;
        buffers.push(std::mem::take(&mut lock(&self.late_events)));
        // One that did not answer would make us wait for the time-out once more.
        if !self.is_silent() {
            // The server may have gone meanwhile; a new connection tells.
            match self.connect(0) {
                Ok(mut link) => self.look_at_all(&mut link, "after"),
                Err(error) => self.fail(error.to_string()),
            }
        }
        buffers.push(self.left());
        let after = self.counts();
        let updates =
            before.iter().zip(after).map(|(before, after)| after.saturating_sub(*before)).collect();
        Ok(Outcome {
            history: History::merge(self.head(), buffers),
            looks: std::mem::take(&mut lock(&self.looks)),
            start_skew,
            updates,
            unmatched: self.unmatched(),
            failure: lock(&self.failure).take(),
        })
    }

    /// Now, as the next in the run's one sequence.
    fn moment(&self) -> Moment {
        match &self.time {
            Time::Wall(clock) => self.sequence.moment(&**clock),
            Time::Virtual(clock) => self.sequence.moment(&**clock),
        }
    }

    fn head(&self) -> Head {
        Head {
            scenario: self.plan.scenario.clone(),
            protocol: self.protocol().name().into(),
            actors: self.plan.actors.iter().map(|actor| actor.name.clone()).collect(),
            locks: self.locks.iter().map(|lock| lock.key().to_string()).collect(),
            incomplete: Vec::new(),
        }
    }

    /// The names of the rules that never matched.
    fn unmatched(&self) -> Vec<String> {
        let rules = self.plan.rules.iter().enumerate();
        let idle = rules.filter(|(index, _)| self.rule_counts.of(*index) == 0);
        idle.map(|(_, rule)| rule.name.clone()).collect()
    }

    fn has_volley(&self) -> bool {
        self.plan.actors.iter().any(|actor| actor.start == Start::Together)
    }

    fn counts(&self) -> Vec<u64> {
        let count = |run: &RunDirectory| count_on_file(&self.files, &run.path().join(STATE_FILE));
        self.runs
            .iter()
            .map(|run| {
                count(run).unwrap_or_else(|error| {
                    self.fail(error.to_string());
                    0
                })
            })
            .collect()
    }

    /// Notes that the environment failed; the first failure is the one that counts.
    fn fail(&self, message: String) {
        lock(&self.failure).get_or_insert(message);
    }

    fn failure(&self) -> Option<String> {
        lock(&self.failure).clone()
    }

    fn take_by_force(&self, force: bool) {
        self.takes_by_force.store(force, Ordering::Relaxed);
    }

    fn takes_by_force(&self) -> bool {
        self.takes_by_force.load(Ordering::Relaxed)
    }

    /// Whether a payload is of our making, or may be treated so.
    fn is_ours(&self, payload: &Payload) -> bool {
        self.takes_by_force() || self.identity.issued(payload.token())
    }

    fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }

    /// Notes that the server let the time for a reply pass.
    fn note_silence(&self, error: &redis::RedisError) {
        self.silent.fetch_or(error.is_timeout(), Ordering::Relaxed);
    }

    fn explain_and_note(&self, error: &LockError) -> String {
        if let LockError::Redis { source, .. } = error {
            self.note_silence(source);
        }
        self.explain(error)
    }

    fn explain(&self, error: &LockError) -> String {
        match error {
            LockError::Redis { command, key, source } => {
                format!("{command} {key:?}: {}", self.server.explain(source))
            }
            other => other.to_string(),
        }
    }

    fn explain_controller(&self, error: &ControllerError) -> String {
        match error {
            ControllerError::Lock(error) => self.explain(error),
            other => other.to_string(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What one strand wrote down.
type Buffer = Vec<Event>;

/// Cuts the actors into strands: one that starts in sequence goes on in the strand of the actor
/// before it.
fn strands(plan: &Plan) -> Vec<Range<usize>> {
    let mut strands: Vec<Range<usize>> = Vec::new();
    for (index, actor) in plan.actors.iter().enumerate() {
        match (actor.start, strands.last_mut()) {
            (Start::InSequence { .. }, Some(strand)) => strand.end = index + 1,
            _ => strands.push(index..index + 1),
        }
    }
    strands
}
