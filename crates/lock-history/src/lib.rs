//! What happened to a lock, as a history, and the judges that find what went wrong in it.
//!
//! | module | what it is for |
//! |---|---|
//! | [`text`] | text of others in our sentences |
//! | [`registry`] | what other crates add |
//! | [`history`] | what happened |
//! | [`check`] | from a history to findings and a verdict |
#![cfg_attr(
    not(test),
    deny(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)
)]
#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod check;
pub mod history;
pub mod registry;
pub mod text;
