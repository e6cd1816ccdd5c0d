//! The arguments of `serve`.

use clap::{Args, ValueHint};
use redis_sim::server::Address;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  nodb-trigger serve --port 6400
  nodb-trigger serve --virtual  # then: redis-cli -u URL NODB.ADVANCE 30000";

/// Run the embedded server for clients in any language
#[derive(Debug, Clone, PartialEq, Args)]
#[command(disable_help_flag = true, after_help = EXAMPLES)]
#[command(after_long_help = format!("\
Prints its URL on one line. Only this machine can connect, and nothing is stored. It has the \
commands that lock clients use, and answers them as Redis 7.0 does.

Exit status: 0 after Ctrl-C or SIGTERM, which is how a server ends; 3 it can't listen

{EXAMPLES}"))]
pub struct ServeArgs {
    /// Listen on this port of 127.0.0.1 [default: any that is free]
    #[arg(long, value_name = "N")]
    pub port: Option<u16>,
    /// Listen on a new socket file instead
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath, conflicts_with = "port")]
    pub socket: Option<PathBuf>,
    /// Time stands still.
    #[arg(
        long = "virtual",
        help = "Time stands still; the command NODB.ADVANCE <milliseconds> moves it"
    )]
    pub virtual_time: bool,
}

impl ServeArgs {
    /// Where to listen.
    pub fn address(&self) -> Address {
        match &self.socket {
            Some(path) => Address::Socket(path.clone()),
            None => Address::Port(self.port.unwrap_or(0)),
        }
    }
}
