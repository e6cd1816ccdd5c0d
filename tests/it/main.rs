//! The integration tests, as one binary: each further one would be linked separately.

mod check;
mod check_file;
mod chromium;
mod cli;
mod comfort;
mod commands;
mod conformance;
mod directory;
mod exploration;
mod hazards;
mod layers;
mod middleman;
mod outcomes;
mod pictures;
mod program;
mod readme;
mod recovery;
mod redis_server;
mod replay;
mod seed;
mod session;
mod signals;
mod status;
mod timeline;
mod weather;
mod wire;
