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

pub use args::{FireArgs, parse};
pub use exit::Exit;
pub use redact::ServerUrl;

use crate::report::escape;
use crate::scenario::{Scenario, catalogue};
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

/// The program.
pub fn main() -> ExitCode {
    let scenarios = match catalogue() {
        Ok(scenarios) => scenarios,
        Err(error) => return complain(Exit::Usage, &error.into()).into(),
    };
    run(std::env::args_os(), &scenarios, |args| {
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
    say(&format!("{error:#}"));
    exit
}

/// One line on stderr. Nobody need be there to read it: `eprintln!` would end the program if stderr
/// is a closed pipe or a full disk.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "nodb-trigger: {}", escape(line));
}

/// Reads the command line and fires what it asks for; or prints help, or what is wrong with it.
pub fn run(
    argv: impl IntoIterator<Item = OsString>,
    scenarios: &[Scenario],
    fire: impl FnOnce(FireArgs) -> Exit,
) -> Exit {
    match parse(argv, scenarios) {
        Ok(args) => fire(args),
        Err(error) => usage(&error),
    }
}

/// Prints what clap has to say: help and version to stdout, errors to stderr.
pub fn usage(error: &clap::Error) -> Exit {
    meaning(error, error.print())
}

fn meaning(error: &clap::Error, printed: io::Result<()>) -> Exit {
    match printed {
        _ if error.use_stderr() => Exit::Usage,
        Err(failed) if failed.kind() != io::ErrorKind::BrokenPipe => Exit::Environment,
        _ => Exit::Success,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn herd() -> Scenario {
        catalogue().unwrap().swap_remove(0)
    }

    fn argv(words: &[&str]) -> Vec<OsString> {
        ["nodb-trigger"].iter().chain(words).map(OsString::from).collect()
    }

    #[test]
    fn what_is_fired_ends_as_the_run_says() {
        let fire = |args: FireArgs| {
            assert_eq!(args.scenario, herd().name());
            Exit::Inconclusive
        };
        assert_eq!(run(argv(&[herd().name()]), &[herd()], fire), Exit::Inconclusive);
    }

    #[test]
    fn help_is_a_success_and_a_mistake_is_not() {
        let ends = |words: &[&str], printed| {
            let error = parse(argv(words), &[herd()]).expect_err("nothing to fire");
            meaning(&error, printed)
        };
        for words in [&["--help"][..], &["-h"], &["--version"], &["thundering_herd", "--help"]] {
            assert_eq!(ends(words, Ok(())), Exit::Success, "{words:?}");
            let closed = io::Error::from(io::ErrorKind::BrokenPipe);
            assert_eq!(ends(words, Err(closed)), Exit::Success, "{words:?}");
            let full = io::Error::from(io::ErrorKind::StorageFull);
            assert_eq!(ends(words, Err(full)), Exit::Environment, "{words:?}");
        }
        for words in [&["no_such_scenario"][..], &["thundering_herd", "--no-such-flag"], &[]] {
            assert_eq!(ends(words, Ok(())), Exit::Usage, "{words:?}");
        }
    }
}
