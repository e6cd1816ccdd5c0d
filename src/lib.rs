//! Finds, explains and replays the orderings that break a Redis lock.
//!
//! As a library it is for tests of your own lock: [`explore`] runs a closure in each of several clients, in every
//! ordering of what they send to Redis. [`closures`] is the guide.
//!
//! ```
//! use nodb_trigger::redis::{RedisResult, cmd};
//! use nodb_trigger::{Property, critical_section, explore};
//!
//! // A lease that is no lock: SET without NX.
//! let outcome = explore(2, |client, _| -> RedisResult<()> {
//!     cmd("SET").arg("lock").arg("held").arg("EX").arg(30).exec(client)?;
//!     critical_section("lock");
//!     cmd("DEL").arg("lock").exec(client)
//! })
//! .crashes(0)
//! .never(Property::DoubleGrant)
//! .outcome();
//! assert!(outcome.is_broken(), "{outcome}");
//! ```
//!
//! As a dependency of tests it needs nothing of the command line:
//!
//! ```toml
//! [dev-dependencies]
//! nodb-trigger = { version = "0.1", default-features = false }
//! ```
//!
//! With the feature `cli`, on by default, it is the program. What that shows is made by three crates: `redis_sim`
//! (the embedded server), `lock_history` (what happened, and the judges) and `lock_lab` (locks, scenarios,
//! exploration). Here is the rest, each module importing only those above it:
//!
//! | module | what it is for |
//! |---|---|
//! | `record` | watches the locks of a running server and writes a history |
//! | [`report`] | reports and pictures as plain data, and their writers |
//! | [`probing`] | a client from outside as it is judged |
//! | [`closures`] | closures of a Rust test as clients |
//! | `cli` | arguments, exit codes |
#![cfg_attr(
    not(test),
    deny(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)
)]
#![deny(missing_docs)]
#![forbid(unsafe_code)]

#[cfg(feature = "cli")]
pub mod cli;
pub mod closures;
pub mod probing;
#[cfg(feature = "cli")]
pub mod record;
pub mod report;

pub use closures::{critical_section, explore};
pub use lock_history::check::Property;
pub use redis;
