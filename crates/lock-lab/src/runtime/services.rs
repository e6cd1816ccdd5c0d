//! What actors use: the server, the clock, the files and the controllers of a run.

use super::Time;
use crate::controller::{Controller, ControllerError, Files, Registry, count_on_file};
use crate::lock::{LockError, StateFile};
use crate::server::{Connection, Server, ServerError};
use parking_lot::Mutex;
use redis::RedisError;
use std::ops::Range;
use std::sync::Arc;

/// The services of a run.
pub(super) struct Services {
    pub server: Server,
    pub time: Time,
    pub files: Arc<Files>,
    pub registry: Registry,
    /// The controllers that actors have for themselves.
    pub own: Mutex<Vec<Own>>,
}

/// A controller that an actor has for itself.
#[derive(Clone)]
pub(super) struct Own {
    pub actor: usize,
    pub lock: usize,
    pub controller: Arc<Controller>,
}

impl Services {
    /// Opens a connection for the run itself: no reply is waited for past the run's deadline. What
    /// is put back afterwards has the whole response time-out.
    pub fn connect(&self, db: i64) -> Result<Connection, ServerError> {
        self.server.connect_on(self.time.clock(), db)
    }

    /// All controllers of a lock: the shared ones, then those that actors have for themselves.
    pub fn controllers(&self, lock: usize, file: &StateFile) -> Vec<Arc<Controller>> {
        let own = self.own.lock();
        let own = own.iter().filter(|own| own.lock == lock).map(|own| &own.controller);
        self.registry.made(file).iter().chain(own).cloned().collect()
    }

    /// The controllers that these actors have for themselves.
    pub fn own_of(&self, actors: Range<usize>) -> Vec<Own> {
        let own = self.own.lock();
        own.iter().filter(|own| actors.contains(&own.actor)).cloned().collect()
    }

    /// The `operation_count` of a state file.
    pub fn count_on_file(&self, file: &StateFile) -> Result<u64, ControllerError> {
        count_on_file(&self.files, file.path())
    }

    /// A failure in words, from what is known: to ask the server would take the time of an actor's step.
    pub fn explain(&self, error: &LockError) -> String {
        in_words(error, |source| self.server.explain_known(source))
    }

    /// A failure before or after the run in words; the server may be asked what it is.
    pub fn explain_asking(&self, error: &LockError) -> String {
        in_words(error, |source| self.server.explain(source))
    }

    pub fn explain_controller(&self, error: &ControllerError) -> String {
        match error {
            ControllerError::Lock(error) => self.explain(error),
            other => other.to_string(),
        }
    }
}

fn in_words(error: &LockError, explain: impl FnOnce(&RedisError) -> ServerError) -> String {
    match error {
        LockError::Redis { command, key, source } => {
            format!("{command} {key:?}: {}", explain(source))
        }
        other => other.to_string(),
    }
}
