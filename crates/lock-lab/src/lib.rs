//! Runs scenarios with Redis locks once, in every order, or in a given one.
//!
//! ```
//! use lock_lab::runtime::{Binding, Bounds, Model, explore};
//! use lock_lab::{lock::Legacy, scenario::built_in};
//! use std::sync::Arc;
//!
//! let scenario = built_in("check_then_delete")?.expect("it is built in");
//! let model = Model::new(&scenario, &Binding::default(), Arc::new(Legacy))?;
//! let explored = explore(&model, &Bounds::default(), &mut |_progress| true)?;
//! assert_eq!(explored.stopped_by, None, "some orderings were not tried");
//! for found in &explored.found {
//!     println!("{}; to replay it: {}", found.finding.text, found.schedule);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Each module imports only those above it:
//!
//! | module | what it is for |
//! |---|---|
//! | [`rng`] | the only source of repeatable random numbers |
//! | [`server`] | where the locks live: embedded, or a URL |
//! | [`intercept`] | what commands and shared local state pass through |
//! | [`lock`] | the shared lock library |
//! | [`format`](mod@format) | locks of other libraries, recognised by what their keys hold |
//! | [`probe`] | real lock clients, in any language, as a lock protocol |
//! | [`controller`] | a state file guarded by a lock |
//! | [`scenario`] | the file format, parameters, the plan |
//! | [`runtime`] | actors running steps: once, in every order, or in a given one |
#![cfg_attr(
    not(test),
    deny(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)
)]
#![deny(missing_docs)]

pub mod controller;
pub mod format;
pub mod intercept;
pub mod lock;
pub mod probe;
pub mod rng;
pub mod runtime;
pub mod scenario;
pub mod server;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
