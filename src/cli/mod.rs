//! The command line: arguments in, report and exit code out.
//!
//! | module | what it is for |
//! |---|---|
//! | `args` | what the user asked for |
//! | `fire`, `run`, `demo`, `explore`, `probe`, `replay`, `list`, `show`, `validate`, `catalogue`, `record`, `check`, `timeline`, `status`, `recover`, `serve`, `completions`, `man`, `subject` | the commands |
//! | `execute` | runs one scenario once; prints nothing |
//! | `parallel` | runs several at a time |
//! | `processes` | the processes of actors, with `--processes` |
//! | `repro` | the command that repeats a run |
//! | `workspace` | prepares what a run needs, and puts it back |
//! | `binding` | parameters and defaults, from the command line and the environment |
//! | `explore_plan` | what is explored, how far, and what must be found |
//! | `repeat` | runs it as often as was said |
//! | `schedule` | finds the schedule to replay, and its scenario |
//! | `remote` | the server that is named |
//! | `upstream` | the real Redis of a client that is explored |
//! | `inspect` | the state of all locks, for `status` and the commands that recover |
//! | `stepper` | runs on the terminal, step by step |
//! | `watch` | what `status` shows while it goes on |
//! | `screen`, `viewport` | what is redrawn on the terminal, and its keys |
//! | `builtin` | the built-in scenarios, parsed when they are asked for |
//! | `input` | finds and reads scenario files and histories |
//! | `output`, `outputs` | where the report goes, and all that is written about a run |
//! | `progress` | the bar on stderr |
//! | `terminal` | width and colour |
//! | `github` | annotations |
//! | `redact` | command lines and URLs without passwords |
//! | `verbose` | Redis commands and replies on stderr |
//! | `signals` | Ctrl-C and SIGTERM |
//! | `exit` | the exit codes, and why a command can't do what it should |
//! | `mistakes` | says why, of a scenario file with each mistake |

mod args;
mod binding;
mod builtin;
mod catalogue;
mod check;
mod client;
mod completions;
mod demo;
mod execute;
mod exit;
mod explore;
mod fire;
mod github;
mod input;
mod inspect;
mod list;
mod man;
mod repro;
mod viewport;

mod explore_plan;
mod mistakes;
mod others;
mod output;
mod outputs;
mod parallel;
mod probe;
mod processes;
mod progress;
mod record;
mod recover;
mod redact;
mod remote;
mod repeat;
mod replay;
mod run;
mod schedule;
mod screen;
mod serve;
mod show;
mod signals;
mod status;
mod stepper;
mod subject;
mod terminal;
mod timeline;
mod upstream;
mod validate;
mod verbose;
mod watch;
mod workspace;

use crate::report::escape;
use args::{Request, parse};
use builtin::BuiltIn;
use exit::{Exit, Refusal};
use lock_lab::server::set_response_timeout;
use redact::ServerUrl;
use signals::or_interrupted;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

/// The program.
pub fn main() -> ExitCode {
    signals::outlive_file_size_limit();
    let builtin = BuiltIn::default();
    let exit = match parse(std::env::args_os(), &builtin) {
        Ok(request) => {
            request.redis_timeout().into_iter().for_each(set_response_timeout);
            obey(&request, &builtin).unwrap_or_else(|refusal| complain(&refusal))
        }
        Err(error) => meaning(&error, error.print()),
    };
    exit.into()
}

fn obey(request: &Request, builtin: &BuiltIn) -> Result<Exit, Refusal> {
    match request {
        Request::Fire(args) => fire::fire(args, input::built_in(&args.scenario, builtin)?),
        Request::Run(args) => run::run(args, builtin),
        Request::Explore(args) => explore::explore(args, builtin),
        Request::Probe(args) => probe::probe(args, builtin).map_err(or_interrupted),
        Request::Replay(args) => replay::replay(args, builtin).map_err(or_interrupted),
        Request::Demo { color } => demo::demo(*color, builtin),
        Request::List => list::list(builtin),
        Request::Show { name } => show::show(input::built_in(name, builtin)?),
        Request::Validate { files } => validate::validate(files, builtin),
        Request::Catalogue { format } => catalogue::print(*format, builtin),
        Request::Record(args) => record::record(args),
        Request::Completions { shell } => completions::print(*shell, builtin),
        Request::Man { directory } => man::write(directory, builtin),
        Request::Check(args) => check::judge(args),
        Request::Timeline(args) => timeline::draw(args),
        Request::Unlock(args) => recover::unlock(args).map_err(or_interrupted),
        Request::ClearLocks(args) => recover::clear_locks(args).map_err(or_interrupted),
        Request::Repair(args) => recover::repair(args).map_err(or_interrupted),
        Request::Status(args) => status::status(args).map_err(or_interrupted),
        Request::Serve(args) => serve::serve(args),
        Request::Subject { lock, actor } => subject::serve(Arc::clone(lock), actor.is_some()),
    }
}

/// Says why it can't be done. What is left behind must be known first.
fn complain(refusal: &Refusal) -> Exit {
    refusal.left.iter().for_each(|left| say(left));
    mistakes::explain(refusal);
    refusal.exit
}

/// One line on stderr. It may have no reader: `eprintln!` would end the program if stderr is a
/// closed pipe or a full disk.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "nodb-trigger: {}", escape(line));
}

/// How it ends when clap has printed what it has to say: help and version to stdout, errors to stderr.
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
    use lock_lab::scenario::catalogue;
    use std::ffi::OsString;

    fn argv(words: &[&str]) -> Vec<OsString> {
        ["nodb-trigger"].iter().chain(words).map(OsString::from).collect()
    }

    #[test]
    fn only_the_scenarios_that_are_named_are_parsed() {
        for (words, names) in [
            (&["thundering-herd", "/tmp/debug"][..], &["thundering_herd"][..]),
            (&["explore", "eviction"], &["eviction"]),
            (&["run", "a.toml", "eviction", "amnesia"], &["amnesia", "eviction"]),
            (&["show", "glob_clear"], &["glob_clear"]),
            (&["check", "a.jsonl"], &[]),
            (&["nonsense"], &[]),
            (&["--help"], &[]),
        ] {
            let builtin = BuiltIn::default();
            let _ = parse(argv(words), &builtin);
            let mut parsed = builtin.parsed();
            parsed.sort();
            assert_eq!(parsed, names, "{words:?}");
        }
    }

    #[test]
    fn every_scenario_has_the_same_help_when_no_other_is_parsed() {
        let all = BuiltIn::from(catalogue().unwrap());
        for name in all.names() {
            let help = |builtin: &BuiltIn| {
                parse(argv(&[name, "--help"]), builtin).unwrap_err().to_string()
            };
            assert_eq!(help(&BuiltIn::default()), help(&all));
        }
    }

    #[test]
    fn help_is_a_success_and_a_mistake_is_not() {
        let ends = |words: &[&str], printed| {
            let error = parse(argv(words), &BuiltIn::default()).expect_err("nothing to fire");
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
