//! The report: first plain data, then one writer a format. Knows the terminal.
//!
//! [`json::write`] is for programs and keeps every member; [`table::write`] is for a terminal and
//! leaves out what repeats; [`junit::write`] is for CI systems. All write the same bytes for the
//! same report. Beside the report of one scenario there is the summary of several ([`Runs`]), the
//! judgement of a saved history ([`Judgement`]), and the [`Catalogue`] of what the scenarios show.

mod advice;
mod build;
mod catalogue;
mod data;
pub mod exploration;
pub mod json;
mod judgement;
pub mod junit;
pub mod markdown;
mod outcome;
pub mod recovery;
mod repetition;
mod replay;
mod rows;
mod runs;
#[cfg(test)]
mod samples;
pub mod shell;
pub mod status;
pub mod table;
pub mod timeline;
mod wording;

pub use build::Besides;
pub use catalogue::{Catalogue, CatalogueRow, Shown};
pub use data::{ActorRow, FindingRow, Report, SnapshotRow, Summary};
pub use exploration::Exploration;
pub use judgement::{FairnessRow, Judgement, LeaseUseRow, Share};
pub use outcome::Outcome;
pub use recovery::Recovery;
pub use repetition::{OutcomeTally, Repetition, Tally};
pub use replay::Replay;
pub use rows::{EventRow, KeyState, LocalToken};
pub use runs::{Cause, Entry, Failure, Runs};
pub use status::Status;
pub use table::Style;
use table::grid::columns;
pub use wording::{count, duration, escape, large, seconds, ttl_from_afar, typed};
