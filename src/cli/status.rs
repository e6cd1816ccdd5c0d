//! `status`: who holds which lock.

use super::args::{CheckFormat, StatusArgs};
use super::exit::Exit;
use super::output::Output;
use super::refusal::{Refusal, environment};
use super::{remote, terminal};
use crate::lock::{LockError, survey};
use crate::report::status::{Scene, Sightings, Typed};
use crate::report::{json, table};
use anyhow::anyhow;
use std::time::Duration;

/// Looks once and prints what is there.
pub(super) fn status(args: &StatusArgs) -> Result<Exit, Refusal> {
    let server = remote::server(args.redis.as_ref())?;
    let mut link = remote::connect(&server)?;
    let runid = args.run.as_deref().map(remote::runid).transpose()?;
    let failed = |error: LockError| match &error {
        LockError::Redis { source, .. } => environment(server.explain(source)),
        _ => environment(anyhow!("{error}")),
    };
    let (seconds, micros): (u64, u64) =
        redis::cmd("TIME").query(&mut link).map_err(|error| environment(server.explain(&error)))?;
    let mut sightings = Sightings::all();
    let found = survey(&mut link, runid.as_deref().unwrap_or_default()).map_err(failed)?;
    found.into_iter().for_each(|sighting| sightings.take(sighting));
    let scene = Scene {
        server: server.name().to_owned(),
        runid,
        typed: Typed::new(args.redis.as_ref().map(|_| server.name().to_owned())),
        when: Duration::from_secs(seconds) + Duration::from_micros(micros),
    };
    let status = sightings.status(scene, Vec::new());
    let style = terminal::style(args.color, false);
    let written = Output::Stdout.write(|out| match args.format {
        CheckFormat::Table => table::write_status(&status, style, out),
        CheckFormat::Json => json::write(&status, out),
    });
    written.map_err(environment)?;
    Ok(Exit::Success)
}
