//! The command `serve`.

use super::flags::{help_flag, switch, value};
use super::one;
use crate::engine::server::Address;
use clap::{ArgMatches, Command, ValueHint, value_parser};
use std::path::PathBuf;

/// What `serve` was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct ServeArgs {
    /// `--port` or `--socket`: where to listen.
    pub address: Address,
    /// `--virtual`: whether time stands still until a client moves it.
    pub virtual_time: bool,
}

pub(super) fn serve_args(given: &ArgMatches) -> ServeArgs {
    let address = match one(given, "socket") {
        Some(path) => Address::Socket(path),
        None => Address::Port(one(given, "port").unwrap_or(0)),
    };
    ServeArgs { address, virtual_time: given.get_flag("virtual") }
}

const EXAMPLES: &str = "\
Examples:
  nodb-trigger serve --port 6400
  nodb-trigger serve --virtual  # then: redis-cli -u URL NODB.ADVANCE 30000";

pub(super) fn command() -> Command {
    Command::new("serve")
        .about("Run the embedded server for clients in any language")
        .after_help(EXAMPLES)
        .after_long_help(format!(
            "Prints its URL on one line. Only this machine can connect, and nothing is stored. It \
             has the commands that lock clients use, and answers them as Redis 7.0 does.\n\n\
             Exit status: 0 after Ctrl-C or SIGTERM, which is how a server ends; 3 it can't listen\n\n\
             {EXAMPLES}"
        ))
        .disable_help_flag(true)
        .arg(
            value("port", "N")
                .value_parser(value_parser!(u16))
                .help("Listen on this port of 127.0.0.1 [default: any that is free]"),
        )
        .arg(
            value("socket", "PATH")
                .conflicts_with("port")
                .value_hint(ValueHint::FilePath)
                .value_parser(value_parser!(PathBuf))
                .help("Listen on a new socket file instead"),
        )
        .arg(
            switch("virtual")
                .help("Time stands still; the command NODB.ADVANCE <milliseconds> moves it"),
        )
        .arg(help_flag())
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;
    use crate::cli::Request;

    fn asked(words: &[&str]) -> Result<ServeArgs, clap::error::ErrorKind> {
        let words = ["nodb-trigger", "serve"].iter().chain(words).map(Into::into);
        match parse(words, &[]) {
            Ok(Request::Serve(args)) => Ok(args),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.kind()),
        }
    }

    #[test]
    fn a_port_or_a_socket_file_and_never_both() {
        let args = |address, virtual_time| Ok(ServeArgs { address, virtual_time });
        assert_eq!(asked(&[]), args(Address::Port(0), false));
        assert_eq!(asked(&["--port", "6400", "--virtual"]), args(Address::Port(6400), true));
        assert_eq!(asked(&["--socket=a b"]), args(Address::Socket("a b".into()), false));
        for wrong in [&["--port=1", "--socket=x"][..], &["--port=-1"], &["--port=65536"], &["x"]] {
            assert!(asked(wrong).is_err(), "{wrong:?}");
        }
    }
}
