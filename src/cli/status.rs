//! `status`: the holders of locks.

use super::args::{CheckFormat, FailIf, StatusArgs};
use super::exit::{Exit, Refusal, environment, usage};
use super::inspect::Subject;
use super::{input, output, remote, say, terminal, watch};
use crate::report::{json, table};
use anyhow::anyhow;
use redis_sim::clock::WallClock;

/// Looks once and prints what is there, or goes on looking.
pub(super) fn status(args: &StatusArgs) -> Result<Exit, Refusal> {
    if !args.patterns.is_empty() && args.fail_if.contains(&FailIf::Drift) {
        return Err(usage(anyhow!(
            "--fail-if drift is about the flags of NoDb, which --pattern leaves out; use --all"
        )));
    }
    input::declare_formats(&args.formats)?;
    let server = remote::server(args.redis.as_ref(), args.verbose)?;
    let runid = args.run.as_deref().map(remote::runid).transpose()?;
    let subject = Subject::new(server, runid, args);
    if args.watch {
        return watch::watch(subject, args);
    }
    let mut link = remote::connect(&subject.server)?;
    let (seen, failing) = subject.inspect(&mut link, &WallClock::new(None)).map_err(environment)?;
    let style = terminal::style(args.color, false);
    output::stream(|out| match args.format {
        CheckFormat::Table => table::write_status(&seen, None, style, out),
        CheckFormat::Json => json::write(&seen, out),
    })?;
    match failing {
        Some((exit, why)) => {
            say(&why);
            Ok(exit)
        }
        None => Ok(Exit::Success),
    }
}
