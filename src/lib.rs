//! Provokes, proves and explains race conditions in Redis locks.
//!
//! The rooms, each importing only those above it:
//!
//! | room | what it is for |
//! |---|---|
//! | [`clock`] | the only source of time |
//! | [`engine`] | the embedded Redis server |
#![deny(missing_docs)]
#![forbid(unsafe_op_in_unsafe_fn)]

pub mod clock;
pub mod engine;
