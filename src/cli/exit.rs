//! How a command ends: its exit code, which is what a shell script learns, and why it can't do what it
//! should. Nothing else in the crate knows the numbers.

use super::output::OutputError;
use anyhow::anyhow;
use lock_history::check::Verdict;
use lock_lab::runtime::ModelError;
use lock_lab::runtime::StageError;
use lock_lab::scenario::ScenarioError;
use redis_sim::clock::Stopped;
use std::error::Error;
use std::process::ExitCode;

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The expectations held, or help was asked for and given.
    Success = 0,
    /// An expectation did not hold.
    Unexpected = 1,
    /// The command line or the scenario file is wrong.
    Usage = 2,
    /// The environment failed: no server, no permission, disk.
    Environment = 3,
    /// A bound or a time-out was hit before there was a result.
    Inconclusive = 4,
    /// Ctrl-C or SIGTERM.
    Interrupted = 130,
}

impl Exit {
    /// All of them, readable: the last lines of `--help`.
    pub const LEGEND: &'static str = "\
Exit status: 0 as expected, 1 not as expected, 2 usage or scenario file,
             3 environment, 4 inconclusive, 130 interrupted";

    /// All of them, by their numbers.
    pub const ALL: [Exit; 6] = [
        Exit::Success,
        Exit::Unexpected,
        Exit::Usage,
        Exit::Environment,
        Exit::Inconclusive,
        Exit::Interrupted,
    ];

    /// From the one that a summary of several shows first to the one that it shows last.
    const WORST_FIRST: [Exit; 6] = [
        Exit::Interrupted,
        Exit::Environment,
        Exit::Usage,
        Exit::Unexpected,
        Exit::Inconclusive,
        Exit::Success,
    ];

    /// Of several, the one that stands for all; success if there are none.
    pub fn worst(exits: impl IntoIterator<Item = Exit>) -> Exit {
        exits.into_iter().min_by_key(|exit| exit.rank()).unwrap_or(Exit::Success)
    }

    /// Whether it would stand for both.
    pub fn is_worse_than(self, other: Exit) -> bool {
        self.rank() < other.rank()
    }

    fn rank(self) -> usize {
        Self::WORST_FIRST.iter().position(|exit| *exit == self).unwrap_or(usize::MAX)
    }

    /// What it says, in a sentence.
    pub fn meaning(self) -> &'static str {
        match self {
            Exit::Success => "What was expected came, or help was asked for.",
            Exit::Unexpected => "Something else came than was expected.",
            Exit::Usage => "The command line or the scenario file is wrong.",
            Exit::Environment => "The environment failed: no server, no permission, disk.",
            Exit::Inconclusive => "A bound or a time limit was hit before it could be told.",
            Exit::Interrupted => "Ctrl-C or SIGTERM.",
        }
    }

    /// The number.
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}

impl From<Verdict> for Exit {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Expected => Exit::Success,
            Verdict::Unexpected => Exit::Unexpected,
            Verdict::Inconclusive => Exit::Inconclusive,
        }
    }
}

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

impl From<ModelError> for Refusal {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Scenario(error) => usage(error),
            other => usage(other),
        }
    }
}

impl From<ScenarioError> for Refusal {
    fn from(error: ScenarioError) -> Self {
        usage(error)
    }
}

/// It was stopped: by a signal, or at its time limit.
pub(super) fn stopped(why: Stopped, error: impl Error + Send + Sync + 'static) -> Refusal {
    match why {
        Stopped::Interrupted => Refusal::new(Exit::Interrupted, error),
        Stopped::TimedOut => Refusal::new(Exit::Inconclusive, anyhow!("{error}; see --timeout")),
        Stopped::CalledOff => environment(error),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_becomes_the_promised_code() {
        let codes = [Verdict::Expected, Verdict::Unexpected, Verdict::Inconclusive]
            .map(|verdict| Exit::from(verdict).code());
        assert_eq!(codes, [0, 1, 4]);
    }

    #[test]
    fn the_worst_of_several_stands_for_all() {
        use Exit::*;
        let in_order = [Interrupted, Environment, Usage, Unexpected, Inconclusive, Success];
        for (index, exit) in in_order.into_iter().enumerate() {
            assert_eq!(Exit::worst(in_order[index..].iter().rev().copied()), exit);
            assert!(in_order[index + 1..].iter().all(|milder| exit.is_worse_than(*milder)));
        }
        assert_eq!(Exit::worst([]), Success);
    }

    #[test]
    fn the_legend_names_every_code() {
        use Exit::*;
        for exit in [Success, Unexpected, Usage, Environment, Inconclusive, Interrupted] {
            let number = exit.code().to_string();
            let mut words = Exit::LEGEND.split(|c: char| !c.is_ascii_alphanumeric());
            assert!(words.any(|word| word == number), "{exit:?}");
        }
    }
}
