//! The report as plain data: what the writers write.

use super::EventRow;
use super::Outcome;
use super::Repetition;
use lock_history::check::{Expected, Property, Status, Verdict};
use serde::Serialize;

/// Everything that a report says. The members and their names are the JSON format
/// `nodb-trigger/report/v1`: members may be added, none removed or renamed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// [`Report::SCHEMA`].
    pub schema: &'static str,
    /// The scenario's name.
    pub scenario: String,
    /// The scenario's one line.
    pub title: String,
    /// The file that it was read from, as the user wrote it; nothing for a built-in scenario.
    pub file: Option<String>,
    /// Where the locks lived, without any password.
    pub server: String,
    /// The variables of the environment that name the server, if it was not named otherwise.
    pub server_from: Option<&'static str>,
    /// `wall` or `virtual`.
    pub clock: &'static str,
    /// Whether each actor was a process of its own.
    pub processes: bool,
    /// What decided the order among equals; none on a wall clock.
    pub seed: Option<u64>,
    /// The lock protocol.
    pub protocol: String,
    /// The run directory, absolute.
    pub working_directory: String,
    /// The run id that the lock keys carry.
    pub runid: String,
    /// The state files of the locks, below their run directories.
    pub state_files: Vec<String>,
    /// Whether only the locks were real, and the state files were in memory.
    pub lock_only: bool,
    /// Each parameter as the user would write it.
    pub parameters: serde_json::Map<String, serde_json::Value>,
    /// The run in numbers.
    pub summary: Summary,
    /// One entry an actor, in the order of the plan.
    pub actors: Vec<ActorRow>,
    /// The snapshots, in the order in which they were taken.
    pub consistency: Vec<SnapshotRow>,
    /// The events that changed a key, a flag, a token or a belief, and the failures.
    pub rows: Vec<EventRow>,
    /// What the checkers found in the history, by time.
    pub findings: Vec<FindingRow>,
    /// What was expected, and what came.
    pub expectations: Vec<Expected>,
    /// Whether all expectations held.
    pub verdict: Verdict,
    /// The verdict in the word that reports use.
    pub outcome: Outcome,
    /// What the user should know besides: leftovers cleaned, things that could not be cleaned.
    pub notices: Vec<String>,
    /// The command that runs it again, if it did not go as expected and can be had again.
    pub replay: Option<String>,
    /// The outcome of all runs, where there were several; the rest is about one of them.
    pub repetition: Option<Repetition>,
}

impl Report {
    /// The name of the format, and its version.
    pub const SCHEMA: &'static str = "nodb-trigger/report/v1";

    /// What was expected and did not come, a line each.
    #[cfg(feature = "cli")]
    pub(super) fn unmet(&self) -> impl Iterator<Item = String> {
        let unmet = self.expectations.iter().filter(|row| row.met == Some(false));
        unmet.map(|row| format!("expected {}; found {}", row.what, row.found))
    }

    /// Why an inconclusive report is so.
    #[cfg(feature = "cli")]
    pub(super) fn inconclusive(&self) -> &'static str {
        match self.expectations.as_slice() {
            [] => "nothing was checked",
            rows if rows.iter().any(|row| row.met.is_none()) => {
                "other clients wrote the state file, so its count does not show whether an update was lost"
            }
            _ => "the run did not go far enough to tell",
        }
    }
}

/// The run in numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// How many actors took part.
    pub attempts: usize,
    /// How many ended well.
    pub succeeded: usize,
    /// How many found the lock taken.
    pub already_locked: usize,
    /// How many failed otherwise.
    pub errors: usize,
    /// How many acquires found the lock taken in actors that went on.
    pub refused_steps: usize,
    /// From the first actor's start to the last one's end, in milliseconds.
    pub elapsed_ms: f64,
    /// From the first to the last command of the volley that starts actors together, in
    /// microseconds; nothing where no actors start together.
    pub start_skew_us: Option<f64>,
}

/// How one actor fared.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ActorRow {
    /// Its name.
    pub name: String,
    /// Its position in the plan, from 0.
    pub index: usize,
    /// How it ended.
    pub status: Status,
    /// From its start to its end, in milliseconds.
    pub duration_ms: f64,
    /// What went wrong.
    pub error: Option<String>,
}

/// One look at Redis and the local token.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SnapshotRow {
    /// What the scenario calls it.
    pub label: String,
    /// The lock's key in Redis.
    pub lock_key: String,
    /// Whether that key exists.
    pub redis_lock_exists: bool,
    /// Its value.
    pub redis_payload: Option<String>,
    /// The token in that value.
    pub redis_token: Option<String>,
    /// The owner in that value.
    pub owner: Option<String>,
    /// What is left of its TTL, in milliseconds; -1 if it has none, -2 if the key does not exist.
    pub ttl_ms: i64,
    /// The mirror flag's value.
    pub hash_value: Option<String>,
    /// The token that the controller remembers.
    pub local_token: Option<String>,
    /// Whether the controller would call itself locked: whether the lock key exists.
    pub controller_locked: bool,
    /// Whether lock key, flag and local token agree.
    pub states_consistent: bool,
    /// A word from the fixed list.
    pub diagnosis: &'static str,
    /// The same in plain English.
    pub explanation: &'static str,
}

/// One thing that the checkers found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FindingRow {
    /// What went wrong.
    pub property: Property,
    /// On which lock, as the scenario calls it.
    pub lock: String,
    /// The actor, or the one that suffered.
    pub actors: Vec<String>,
    /// When, in milliseconds since the run began.
    pub at_ms: f64,
    /// The time of day (UTC), where the history says when it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// What happened and how it came to that.
    pub text: String,
    /// The property of the finding on the same lock that it follows from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Property>,
}
