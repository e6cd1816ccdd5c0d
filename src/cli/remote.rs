//! The real Redis that a command is about which runs nothing: an embedded server would be empty.

use super::ServerUrl;
use super::refusal::{Refusal, environment, usage};
use super::verbose::heard;
use crate::lock::RunDirectory;
use crate::server::{Connection, Server};
use anyhow::anyhow;
use std::path::Path;

/// Where a Redis is that nobody names (contract, section 1).
const DEFAULT: &str = "redis://localhost:6379";

/// The server that `--redis` names, or else the environment; what passes is shown, if `verbose`.
pub(super) fn server(redis: Option<&ServerUrl>, verbose: bool) -> Result<Server, Refusal> {
    let variable = |name: &str| std::env::var(name).ok();
    let password = variable("REDIS_PASSWORD");
    let named = match redis {
        Some(url) => Server::at(url.reveal(), password.as_deref()),
        None => match Server::from_environment(variable).transpose() {
            Some(server) => server,
            None => Server::at(DEFAULT, password.as_deref()),
        },
    };
    named.map(|server| heard(server.sole(), verbose)).map_err(usage)
}

/// A connection to the database where locks live.
pub(super) fn connect(server: &Server) -> Result<Connection, Refusal> {
    server.connect(0).map_err(environment)
}

/// The run id that was meant: a word is one, and a path leads to the directory of a run.
pub(super) fn runid(run: &str) -> Result<String, Refusal> {
    if run.is_empty() {
        return Err(usage(anyhow!("the run id is empty; give a run's id or its directory")));
    }
    if !run.contains('/') && run != "." && run != ".." {
        return Ok(run.to_owned());
    }
    let run = RunDirectory::new(Path::new(run), None).map_err(usage)?;
    Ok(run.runid().to_owned())
}
