//! The real Redis that a command is about.

use super::ServerUrl;
use super::exit::{Refusal, environment, usage};
use super::verbose::heard;
use anyhow::anyhow;
use lock_lab::lock::RunDirectory;
use lock_lab::server::{Connection, Server};
use std::path::Path;

/// The default Redis (contract, section 1).
const DEFAULT: &str = "redis://localhost:6379";

/// The server of a command that runs nothing, for which an embedded one would be empty: what `--redis`
/// names, or else the environment, or else the one of this machine; what passes is shown, if `verbose`.
pub(super) fn server(redis: Option<&ServerUrl>, verbose: bool) -> Result<Server, Refusal> {
    let server = named(redis)?.map_or_else(|| at(&DEFAULT.to_owned().into()), Ok)?;
    Ok(heard(server.sole(), verbose))
}

/// The server that a flag names, or else the environment.
pub(super) fn named(redis: Option<&ServerUrl>) -> Result<Option<Server>, Refusal> {
    match redis {
        Some(url) => at(url).map(Some),
        None => Server::from_environment(|name| std::env::var(name).ok()).map_err(usage),
    }
}

/// The server at a URL; the password is that of the environment, where the URL has none.
pub(super) fn at(url: &ServerUrl) -> Result<Server, Refusal> {
    let password = std::env::var("REDIS_PASSWORD").ok();
    Server::at(url.reveal(), password.as_deref()).map_err(usage)
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
