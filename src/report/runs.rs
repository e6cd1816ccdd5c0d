//! The outcomes of several scenarios.

use super::{Exploration, Report};
use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

/// The outcomes of several scenarios, in their order. As JSON: the reports, the explorations, and
/// what has neither.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Runs(pub Vec<Entry>);

/// The outcome of one of them.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// A report.
    Report(Box<Report>),
    /// The outcome of all its orderings.
    Exploration(Box<Exploration>),
    /// Nothing: it could not be run.
    Failure(Failure),
}

/// Why there is no report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The file or the name, as the user wrote it.
    pub file: String,
    /// Whose fault it is.
    pub cause: Cause,
    /// What is wrong; of a scenario file, a line for each mistake.
    pub message: String,
}

/// Whose fault it is that something could not be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The scenario's.
    Scenario,
    /// The environment's.
    Environment,
    /// The user wanted no more.
    Interrupted,
}

impl Runs {
    /// The name of the JSON format, and its version.
    pub const SCHEMA: &'static str = "nodb-trigger/runs/v1";

    /// The reports, without what has none.
    pub fn reports(&self) -> impl Iterator<Item = &Report> {
        self.0.iter().filter_map(|entry| match entry {
            Entry::Report(report) => Some(&**report),
            _ => None,
        })
    }

    /// What was explored.
    pub fn explorations(&self) -> impl Iterator<Item = &Exploration> {
        self.0.iter().filter_map(|entry| match entry {
            Entry::Exploration(exploration) => Some(&**exploration),
            _ => None,
        })
    }

    /// What has no report.
    pub fn failures(&self) -> impl Iterator<Item = &Failure> {
        self.0.iter().filter_map(|entry| match entry {
            Entry::Failure(failure) => Some(failure),
            _ => None,
        })
    }
}

impl Serialize for Runs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut runs = serializer.serialize_struct("Runs", 4)?;
        runs.serialize_field("schema", Self::SCHEMA)?;
        runs.serialize_field("reports", &self.reports().collect::<Vec<_>>())?;
        let explorations: Vec<_> = self.explorations().collect();
        runs.serialize_field("explorations", &explorations)?;
        runs.serialize_field("failures", &self.failures().collect::<Vec<_>>())?;
        runs.end()
    }
}

impl Cause {
    /// The word that reports use.
    pub fn word(self) -> &'static str {
        match self {
            Cause::Scenario => "scenario",
            Cause::Environment => "environment",
            Cause::Interrupted => "interrupted",
        }
    }
}
