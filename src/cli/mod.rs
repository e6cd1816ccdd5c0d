//! The command line: arguments in, report and exit code out.
//!
//! | module | what it is for |
//! |---|---|
//! | [`args`] | what the user asked for |
//! | `fire`, `run`, `explore`, `probe`, `replay`, `list`, `show`, `validate`, `catalogue`, `record`, `check`, `timeline`, `status`, `recover`, `serve`, `completions`, `man`, `subject` | the commands |
//! | `execute` | runs one scenario once; prints nothing |
//! | `staged` | prepares what a run needs, and puts it back |
//! | `model`, `tasks` | a scenario as it is explored, how far, and what must come of it |
//! | `repeat` | runs it as often as was said |
//! | `schedule` | finds the schedule to replay, and its scenario |
//! | `remote` | the server of a command that runs nothing |
//! | `upstream` | the real Redis of a client that is explored |
//! | `watch`, `screen`, `frame` | what `status` shows while it goes on |
//! | `input` | finds and reads scenario files and histories |
//! | [`output`] | where the report goes |
//! | [`progress`] | the bar on stderr |
//! | [`terminal`] | width and colour |
//! | `github` | annotations |
//! | `verbose` | Redis commands and replies on stderr |
//! | `signals` | Ctrl-C and SIGTERM |
//! | [`exit`] | the exit codes |

mod again;
pub mod args;
mod catalogue;
mod check;
mod completions;
mod execute;
pub mod exit;
mod explore;
mod fire;
mod frame;
mod github;
mod input;
mod list;
mod man;
mod model;
pub mod output;
mod probe;
mod processes;
pub mod progress;
mod record;
mod recover;
mod redact;
mod refusal;
mod remote;
mod repeat;
mod replay;
mod run;
mod schedule;
mod screen;
mod serve;
mod show;
mod signals;
mod staged;
mod status;
mod subject;
mod tasks;
pub mod terminal;
mod timeline;
mod upstream;
mod validate;
mod verbose;
mod watch;

pub use args::{
    ExploreArgs, FireArgs, ProbeArgs, RecordArgs, ReplayArgs, Request, RunArgs, ServeArgs, parse,
};
pub use exit::Exit;
pub use redact::ServerUrl;

use crate::report::escape;
use crate::scenario::{Scenario, ScenarioError, built_in, catalogue as builtin};
use refusal::{Refusal, usage as wrong_usage};
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

/// The program.
pub fn main() -> ExitCode {
    signals::outlive_file_size_limit();
    let argv: Vec<OsString> = std::env::args_os().collect();
    let scenarios = match needed(&argv) {
        Ok(scenarios) => scenarios,
        Err(error) => return complain(&wrong_usage(error)).into(),
    };
    run_with(argv, &scenarios, |request| match obey(&request, &scenarios) {
        Ok(exit) => exit,
        Err(refusal) => complain(&refusal),
    })
    .into()
}

/// The built-in scenarios that the command line can be about. Parsing all of them would take most of
/// the time of a virtual run.
fn needed(argv: &[OsString]) -> Result<Vec<Scenario>, ScenarioError> {
    let Some(command) = argv.get(1).and_then(|word| word.to_str()) else { return builtin() };
    let command = command.replace('-', "_");
    if args::WITHOUT_SCENARIOS.contains(&command.as_str()) {
        return Ok(Vec::new());
    }
    match built_in(&command)? {
        Some(scenario) => Ok(vec![scenario]),
        None => builtin(),
    }
}

fn obey(request: &Request, scenarios: &[Scenario]) -> Result<Exit, Refusal> {
    match request {
        Request::Fire(args) => match input::by_name(&args.scenario, scenarios) {
            Some(scenario) => fire::fire(args, scenario),
            None => show::show(&args.scenario, scenarios),
        },
        Request::Run(args) => run::run(args, scenarios),
        Request::Explore(args) => explore::explore(args, scenarios),
        Request::Probe(args) => probe::probe(args, scenarios),
        Request::Replay(args) => replay::replay(args, scenarios),
        Request::List => list::list(scenarios),
        Request::Show { name } => show::show(name, scenarios),
        Request::Validate { files } => validate::validate(files, scenarios),
        Request::Catalogue { format } => catalogue::print(*format, scenarios),
        Request::Record(args) => record::record(args),
        Request::Completions { shell } => completions::print(*shell, scenarios),
        Request::Man { directory } => man::write(directory, scenarios),
        Request::Check(args) => check::judge(args),
        Request::Timeline(args) => timeline::draw(args),
        Request::Unlock(args) => recover::unlock(args),
        Request::ClearLocks(args) => recover::clear_locks(args),
        Request::Repair(args) => recover::repair(args),
        Request::Status(args) => status::status(args),
        Request::Serve(args) => serve::serve(args),
        Request::Subject { lock, is_actor } => subject::serve(Arc::clone(lock), *is_actor),
    }
}

/// Says why it can't be done. What is left behind must be known first.
fn complain(refusal: &Refusal) -> Exit {
    refusal.left.iter().for_each(|left| say(left));
    say(&format!("{:#}", refusal.error));
    refusal.exit
}

/// One line on stderr. Nobody need be there to read it: `eprintln!` would end the program if stderr
/// is a closed pipe or a full disk.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "nodb-trigger: {}", escape(line));
}

/// Reads the command line and obeys it; or prints help, or what is wrong with it.
pub fn run_with(
    argv: impl IntoIterator<Item = OsString>,
    scenarios: &[Scenario],
    obey: impl FnOnce(Request) -> Exit,
) -> Exit {
    match parse(argv, scenarios) {
        Ok(request) => obey(request),
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
        builtin().unwrap().swap_remove(0)
    }

    fn argv(words: &[&str]) -> Vec<OsString> {
        ["nodb-trigger"].iter().chain(words).map(OsString::from).collect()
    }

    #[test]
    fn what_is_fired_ends_as_the_run_says() {
        let fire = |request: Request| {
            let Request::Fire(args) = request else { panic!("{request:?}") };
            assert_eq!(args.scenario, herd().name());
            Exit::Inconclusive
        };
        assert_eq!(run_with(argv(&[herd().name()]), &[herd()], fire), Exit::Inconclusive);
    }

    #[test]
    fn only_the_scenarios_that_can_be_meant_are_parsed() {
        for words in [&["list"][..], &["explore", "thundering_herd"], &["nonsense"], &[]] {
            assert_eq!(needed(&argv(words)).unwrap().len(), builtin().unwrap().len(), "{words:?}");
        }
        for name in ["thundering_herd", "thundering-herd"] {
            let needed = needed(&argv(&[name, "/tmp/debug"])).unwrap();
            let names: Vec<_> = needed.iter().map(Scenario::name).collect();
            assert_eq!(names, ["thundering_herd"]);
        }
        for command in args::WITHOUT_SCENARIOS {
            assert_eq!(needed(&argv(&[command])).unwrap().len(), 0, "{command}");
        }
    }

    #[test]
    fn every_scenario_is_found_by_its_name_and_has_the_same_help_alone() {
        let all = builtin().unwrap();
        for scenario in &all {
            let alone = built_in(scenario.name()).unwrap().unwrap();
            assert_eq!(alone.name(), scenario.name());
            let help = |scenarios: &[Scenario]| {
                parse(argv(&[scenario.name(), "--help"]), scenarios).unwrap_err().to_string()
            };
            assert_eq!(help(&[alone]), help(&all));
        }
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
