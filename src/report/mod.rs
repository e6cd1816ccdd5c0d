//! The report: first plain data, then one writer a format. Knows the terminal.
//!
//! [`json::write`] is for programs and keeps every member; [`table::write`] is for people and leaves
//! out what repeats. Both write the same bytes for the same report.

mod build;
mod data;
mod expectations;
pub mod json;
#[cfg(test)]
mod mutants;
#[cfg(test)]
mod samples;
pub mod table;
mod wording;

pub use data::{ActorRow, ExpectationRow, FindingRow, Report, SnapshotRow, Summary, Verdict};
pub use table::Style;
pub use wording::escape;
