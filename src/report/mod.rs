//! The report: first plain data, then one writer a format. Knows the terminal; knows nothing of how
//! a run was made.
//!
//! [`json::write`] is for programs and keeps every member; [`table::write`] is for people and leaves
//! out what repeats. Both write the same bytes for the same report.

mod data;
pub mod json;
#[cfg(test)]
mod samples;
pub mod table;
mod wording;

pub use data::{ActorRow, ExpectationRow, Report, SnapshotRow, Summary, Verdict};
pub use table::Style;
pub use wording::escape;
