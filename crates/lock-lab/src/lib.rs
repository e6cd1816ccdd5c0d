//! Runs scenarios with Redis locks once, in every order, or in a given one.
//!
//! Each module imports only those above it:
//!
//! | module | what it is for |
//! |---|---|
//! | [`chance`] | the only source of numbers by chance that repeat |
//! | [`server`] | where the locks live: embedded, or a URL |
//! | [`gate`] | what commands and shared local state pass through |
//! | [`lock`] | the shared lock library |
//! | [`probe`] | real lock clients, in any language, as a lock protocol |
//! | [`controller`] | a state file guarded by a lock |
//! | [`scenario`] | the file format, parameters, the plan |
//! | [`runtime`] | actors running steps: once, in every order, or in a given one |
#![cfg_attr(
    not(test),
    deny(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)
)]
#![deny(missing_docs)]
#![forbid(unsafe_op_in_unsafe_fn)]

pub mod chance;
pub mod controller;
pub mod gate;
pub mod lock;
pub mod probe;
pub mod runtime;
pub mod scenario;
pub mod server;
