//! The arguments that say which client from outside is probed or replayed.

use clap::{ArgGroup, Args, ValueHint};
use lock_lab::scenario::parse_duration;
use std::time::Duration;

/// A client from outside.
#[derive(Debug, Clone, PartialEq, Default, Args)]
#[command(next_help_heading = "Subject")]
#[group(id = "client")]
pub struct ClientOptions {
    /// The client, as a command for the shell
    #[arg(long, value_name = "COMMAND", value_hint = ValueHint::CommandString)]
    pub subject: Option<String>,
    /// The client, in Python: app.locks:take,drop
    #[arg(long, value_name = "FUNCTIONS", value_parser = functions)]
    #[arg(
        long_help = "The client, as Python functions or a class: app.locks:take,drop[,extend], \
                     app/locks.py:take,drop or app.locks:Lock. Their parameters are known by name \
                     (see the book); python3 is the one on the PATH"
    )]
    pub python: Option<String>,
    /// Exception with which acquire reports that the lock is taken
    #[arg(long, value_name = "EXCEPTION", requires = "python", hide_short_help = true)]
    #[arg(long_help = "Exception with which the acquire of --python reports that the lock is \
                       taken; repeatable")]
    pub refused: Vec<String>,
    /// Give up when a subject says nothing this long [default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, hide_short_help = true)]
    #[arg(requires = "probed")]
    pub patience: Option<Duration>,
}

/// A module or file, and the names of two or three functions or of a class.
fn functions(text: &str) -> Result<String, &'static str> {
    let named = text.rsplit_once(':').filter(|(module, _)| !module.is_empty());
    let names: Vec<&str> = named.map_or("", |(_, names)| names).split(',').collect();
    if names.len() > 3 || names.contains(&"") {
        return Err(
            "give MODULE:ACQUIRE,RELEASE, MODULE:ACQUIRE,RELEASE,EXTEND or MODULE:CLASS; a module \
                    may be a file (app/locks.py)",
        );
    }
    Ok(text.into())
}

/// The two ways to name the client, of which there is one at most.
pub(super) fn probed() -> ArgGroup {
    ArgGroup::new("probed").args(["subject", "python"])
}
