//! Provokes, proves and explains race conditions in Redis locks.
//!
//! The rooms, each importing only those above it:
//!
//! | room | what it is for |
//! |---|---|
//! | [`clock`] | the only source of time |
//! | [`history`] | what happened |
//! | [`lock`] | the shared lock library |
//! | [`scenario`] | the file format, parameters, the plan |
//! | [`report`] | the report as plain data, and its writers |
//! | [`cli`] | arguments, exit codes |
#![deny(missing_docs)]
#![forbid(unsafe_op_in_unsafe_fn)]

pub mod cli;
pub mod clock;
pub mod history;
pub mod lock;
pub mod report;
pub mod scenario;
