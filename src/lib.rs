//! Provokes, proves and explains race conditions in Redis locks.
//!
//! The rooms, each importing only those above it:
//!
//! | room | what it is for |
//! |---|---|
//! | [`text`] | words of others in our sentences |
//! | [`chance`] | the only source of numbers by chance that repeat |
//! | [`registry`] | what other crates add |
//! | [`clock`] | the only source of time |
//! | [`history`] | what happened |
//! | [`check`] | from a history to findings |
//! | [`engine`] | the embedded Redis server |
//! | [`server`] | where the locks live: embedded, or a URL |
//! | [`gate`] | what commands and shared local state pass through |
//! | [`lock`] | the shared lock library |
//! | [`record`] | watches the locks of a running server and tells what happened |
//! | [`probe`] | real lock clients, in any language, as a lock protocol |
//! | [`controller`] | a state file guarded by a lock |
//! | [`scenario`] | the file format, parameters, the plan |
//! | [`runtime`] | actors running steps: once, in every order, or in a given one |
//! | [`report`] | reports and pictures as plain data, and their writers |
//! | [`cli`] | arguments, exit codes |
#![cfg_attr(
    not(test),
    deny(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)
)]
#![deny(missing_docs)]
#![forbid(unsafe_op_in_unsafe_fn)]

pub mod chance;
pub mod check;
pub mod cli;
pub mod clock;
pub mod controller;
pub mod engine;
pub mod gate;
pub mod history;
pub mod lock;
pub mod probe;
pub mod record;
pub mod registry;
pub mod report;
pub mod runtime;
pub mod scenario;
pub mod server;
pub mod text;
