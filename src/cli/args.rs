//! The command line: the fixed commands, and one subcommand a scenario, built from the scenarios'
//! own descriptions.
//!
//! No scenario is named here. What a scenario tells of itself comes as [`Scenario`]; what the
//! user asked for leaves as a [`Request`].

mod commands;
mod complete;
mod detail;
mod explore;
mod flags;
mod manual;
mod operate;
mod probe;
mod record;
mod recover;
mod replay;
mod scenario;
mod serve;
mod timeline;
mod top;

pub use commands::{CatalogueFormat, CheckArgs, CheckFormat, Request, RunArgs};
pub(super) use complete::completions;
pub use explore::{DEFAULT_DEPTH, DEFAULT_MAX_TIME, ExploreArgs, StrategyWord};
pub use flags::{Color, DEFAULT_DIRECTORY, Format, ReportOptions, RunOptions};
pub(super) use manual::manual;
pub use operate::{FailIf, StatusArgs};
pub use probe::ProbeArgs;
pub use record::RecordArgs;
pub use recover::{ClearArgs, RecoverOptions, RepairArgs, UnlockArgs};
pub use replay::ReplayArgs;
pub use scenario::FireArgs;
pub use serve::ServeArgs;
pub use timeline::{Picture, PictureFormat, TimelineArgs};

use super::redact::redact;
use crate::scenario::{Scenario, nearest};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgMatches, Command};
use detail::{Detail, telling};
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use top::Group;

/// What the program is called.
const NAME: &str = env!("CARGO_PKG_NAME");
/// The commands that are about no built-in scenario, in snake_case.
pub(super) const WITHOUT_SCENARIOS: [&str; 9] = [
    "check",
    "clear_locks",
    "record",
    "repair",
    "serve",
    "status",
    "subject",
    "timeline",
    "unlock",
];
/// How wide a help is at most.
const WIDTH: usize = 80;

/// Reads a command line. Being asked for help is an error of clap's, too: hand it to
/// [`usage`](super::usage).
pub fn parse(
    argv: impl IntoIterator<Item = OsString>,
    scenarios: &[Scenario],
) -> Result<Request, clap::Error> {
    let argv: Vec<OsString> = argv.into_iter().collect();
    let mut command = command(scenarios);
    if let Some(detail) = Detail::asked_for(&argv) {
        command = telling(detail, command);
    }
    if !io::stdout().is_terminal() {
        command = command.term_width(WIDTH);
    }
    let matches = command.try_get_matches_from_mut(argv).map_err(redact);
    let matches = matches.map_err(|error| one_spelling(error, scenarios))?;
    let request = matches.subcommand().and_then(|(name, given)| {
        commands::request(name, given).or_else(|| {
            let scenario = scenarios.iter().find(|scenario| scenario.name() == name)?;
            Some(Request::Fire(scenario::fire_args(scenario, given)))
        })
    });
    request.ok_or_else(|| command.error(ErrorKind::MissingSubcommand, "a command is needed"))
}

/// Suggests each scenario by its name only, and not by its hidden alias, too; and suggests one after
/// `help`, where clap does not.
fn one_spelling(mut error: clap::Error, scenarios: &[Scenario]) -> clap::Error {
    let kind = ContextKind::SuggestedSubcommand;
    let given = error.get(ContextKind::InvalidSubcommand).cloned();
    if let (None, Some(ContextValue::String(given))) = (error.get(kind), given) {
        let commands = commands::all(scenarios);
        let commands = commands.iter().map(|(_, command)| command.get_name());
        let names = commands.chain(scenarios.iter().map(Scenario::name));
        if let Some(name) = nearest(&given, names) {
            error.insert(kind, ContextValue::Strings(vec![name.to_owned()]));
        }
    }
    if let Some(ContextValue::Strings(names)) = error.get(kind) {
        let mut names: Vec<_> = names.iter().map(|name| name.replace('-', "_")).collect();
        names.dedup();
        error.insert(kind, ContextValue::Strings(names));
    }
    error
}

fn one<T: Clone + Send + Sync + 'static>(given: &ArgMatches, name: &str) -> Option<T> {
    given.get_one::<T>(name).cloned()
}

fn command(scenarios: &[Scenario]) -> Command {
    with_commands(commands::all(scenarios), scenarios)
}

fn with_commands(commands: Vec<(Group, Command)>, scenarios: &[Scenario]) -> Command {
    Command::new(NAME)
        .about(env!("CARGO_PKG_DESCRIPTION"))
        .version(env!("CARGO_PKG_VERSION"))
        .override_usage("nodb-trigger <SCENARIO> [DIRECTORY] [OPTIONS], or nodb-trigger <COMMAND>")
        .max_term_width(WIDTH)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand_value_name("COMMAND")
        .help_template(top::TEMPLATE)
        .after_help(top::rest(&commands, scenarios))
        .subcommands(commands.into_iter().map(|(_, command)| command))
        .subcommands(scenarios.iter().map(scenario::subcommand))
}

/// A name as a flag has it: `lock-ttl`.
fn hyphened(name: &str) -> String {
    name.replace('_', "-")
}

#[cfg(test)]
mod tests;
