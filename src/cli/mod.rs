//! The command line: arguments in, report and exit code out.
//!
//! | module | what it is for |
//! |---|---|
//! | [`args`] | what the user asked for |
//! | [`output`] | where the report goes |
//! | [`progress`] | the bar on stderr |
//! | [`terminal`] | width and colour |
//! | `signals` | Ctrl-C and SIGTERM |
//! | `fire` | from arguments to report and exit status |
//! | [`exit`] | the exit codes |

pub mod args;
pub mod exit;
mod fire;
pub mod output;
pub mod progress;
mod redact;
mod signals;
pub mod terminal;

pub use args::{FireArgs, ScenarioArgs, parse};
pub use exit::Exit;
pub use redact::ServerUrl;

use crate::report::escape;
use crate::scenario::catalogue;
use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

/// The program.
pub fn main() -> ExitCode {
    let scenarios = match catalogue() {
        Ok(scenarios) => scenarios,
        Err(error) => return complain(Exit::Usage, &error.into()).into(),
    };
    let described: Vec<ScenarioArgs> = scenarios.iter().map(ScenarioArgs::of).collect();
    run(std::env::args_os(), &described, |args| {
        let chosen = scenarios.iter().find(|scenario| scenario.name() == args.scenario);
        match chosen.map(|scenario| fire::fire(&args, scenario)) {
            Some(Ok(exit)) => exit,
            Some(Err(refusal)) => complain(refusal.exit, &refusal.error),
            None => Exit::Usage,
        }
    })
    .into()
}

fn complain(exit: Exit, error: &anyhow::Error) -> Exit {
    eprintln!("nodb-trigger: {}", escape(&format!("{error:#}")));
    exit
}

/// Reads the command line and fires what it asks for; or prints help, or what is wrong with it.
pub fn run(
    argv: impl IntoIterator<Item = OsString>,
    scenarios: &[ScenarioArgs],
    fire: impl FnOnce(FireArgs) -> Exit,
) -> Exit {
    match parse(argv, scenarios) {
        Ok(args) => fire(args),
        Err(error) => usage(&error),
    }
}

/// Prints what clap has to say: help and version to stdout, errors to stderr.
pub fn usage(error: &clap::Error) -> Exit {
    let printed = error.print();
    match printed {
        _ if error.use_stderr() => Exit::Usage,
        Err(failed) if failed.kind() != io::ErrorKind::BrokenPipe => Exit::Environment,
        _ => Exit::Success,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(words: &[&str]) -> Exit {
        let scenario = ScenarioArgs {
            name: "herd".into(),
            title: String::new(),
            text: String::new(),
            hazards: Vec::new(),
            parameters: Vec::new(),
        };
        let argv = ["nodb-trigger"].iter().chain(words).map(OsString::from);
        run(argv, &[scenario], |_| Exit::Inconclusive)
    }

    #[test]
    fn a_command_line_ends_as_promised() {
        assert_eq!(ran(&["herd"]), Exit::Inconclusive, "whatever firing it says");
        assert_eq!(ran(&["--help"]), Exit::Success);
        assert_eq!(ran(&["herd", "--help"]), Exit::Success);
        assert_eq!(ran(&["--version"]), Exit::Success);
        assert_eq!(ran(&["no_such_scenario"]), Exit::Usage);
        assert_eq!(ran(&["herd", "--no-such-flag"]), Exit::Usage);
        assert_eq!(ran(&[]), Exit::Usage);
    }
}
