//! What keeps a command from doing what it should, and the exit status that says so.

use super::exit::Exit;
use super::output::OutputError;
use crate::runtime::StageError;
use crate::scenario::ScenarioError;

/// Why it can't be done.
#[derive(Debug)]
pub(super) struct Refusal {
    pub exit: Exit,
    pub error: anyhow::Error,
    /// What is left behind all the same, with the commands that clean it.
    pub left: Vec<String>,
}

impl Refusal {
    /// A refusal that leaves nothing behind.
    pub fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self { exit, error: error.into(), left: Vec::new() }
    }
}

/// The command line or the scenario file is wrong.
pub(super) fn usage(error: impl Into<anyhow::Error>) -> Refusal {
    Refusal::new(Exit::Usage, error)
}

/// The environment failed.
pub(super) fn environment(error: impl Into<anyhow::Error>) -> Refusal {
    Refusal::new(Exit::Environment, error)
}

impl From<OutputError> for Refusal {
    fn from(error: OutputError) -> Self {
        environment(error)
    }
}

impl From<ScenarioError> for Refusal {
    fn from(error: ScenarioError) -> Self {
        usage(error)
    }
}

impl From<StageError> for Refusal {
    fn from(error: StageError) -> Self {
        match error {
            StageError::Usage(_) => usage(error),
            StageError::Environment(_) => environment(error),
        }
    }
}
