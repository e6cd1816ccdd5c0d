//! The checkers: a corpus of saved histories, generated histories against a slow oracle and against
//! what really happened, and histories that nobody recorded.

mod corpus;
mod definitions;
mod edges;
mod generated;
mod hostile;
mod model;
mod oracle;
mod setup;
mod tape;
