//! The integration tests, as one binary: each further one would be linked separately.

mod conformance;
mod layers;
mod readme;
mod redis_server;
