//! The report: first plain data, then one writer a format. Knows the terminal.
//!
//! [`json::write`] is for programs and keeps every member; [`table::write`] is for a terminal and
//! leaves out what repeats; [`junit::write`] is for CI systems. All write the same bytes for the
//! same report. Beside the report of one scenario there is the summary of several ([`Runs`]), the
//! judgement of a saved history ([`Judgement`]), and the [`Catalogue`] of what the scenarios show.

#[cfg(feature = "cli")]
mod advice;
mod build;
#[cfg(feature = "cli")]
mod catalogue;
mod data;
pub mod exploration;
#[cfg(feature = "cli")]
pub mod json;
#[cfg(feature = "cli")]
mod judgement;
#[cfg(feature = "cli")]
pub mod junit;
#[cfg(feature = "cli")]
pub mod markdown;
mod outcome;
#[cfg(feature = "cli")]
pub mod recovery;
mod repetition;
mod replay;
mod rows;
#[cfg(feature = "cli")]
mod runs;
#[cfg(test)]
mod samples;
#[cfg(feature = "cli")]
pub mod shell;
#[cfg(feature = "cli")]
pub mod status;
#[cfg(feature = "cli")]
pub mod table;
#[cfg(feature = "cli")]
pub mod timeline;
#[cfg_attr(not(feature = "cli"), allow(dead_code))]
mod wording;

pub use build::Besides;
#[cfg(feature = "cli")]
pub use catalogue::{Catalogue, CatalogueRow, Shown};
pub use data::{ActorRow, FindingRow, Report, SnapshotRow, Summary};
pub use exploration::Exploration;
#[cfg(feature = "cli")]
pub use judgement::{FairnessRow, Judgement, LeaseUseRow, Share};
pub use outcome::Outcome;
#[cfg(feature = "cli")]
pub use recovery::Recovery;
pub use repetition::{OutcomeTally, Repetition, Tally};
pub use replay::Replay;
pub use rows::{EventRow, KeyState, LocalToken};
#[cfg(feature = "cli")]
pub use runs::{Cause, Entry, Failure, Runs};
#[cfg(feature = "cli")]
pub use status::Status;
#[cfg(feature = "cli")]
pub use table::Style;
#[cfg(feature = "cli")]
use table::grid::columns;
pub use wording::{count, duration, escape, large, seconds, ttl_from_afar, typed};
