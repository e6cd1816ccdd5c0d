//! Provokes, proves and explains race conditions in Redis locks: the program.
//!
//! What it shows is made by three crates: `redis_sim` (the embedded server), `lock_history` (what
//! happened, and the judges) and `lock_lab` (locks, scenarios, exploration). Here is the rest, each
//! module importing only those above it:
//!
//! | module | what it is for |
//! |---|---|
//! | [`record`] | watches the locks of a running server and writes a history |
//! | [`report`] | reports and pictures as plain data, and their writers |
//! | [`cli`] | arguments, exit codes |
#![cfg_attr(
    not(test),
    deny(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)
)]
#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod cli;
pub mod record;
pub mod report;
