//! The command line: the fixed commands, and one subcommand a scenario, built from the scenarios'
//! own descriptions.
//!
//! No scenario is named here. What a scenario tells of itself comes as [`Scenario`]; what the
//! user asked for leaves as a [`Request`].

mod commands;
mod explore;
mod flags;
mod operate;
mod recover;
mod replay;
mod scenario;
mod timeline;

pub use commands::{CatalogueFormat, CheckArgs, CheckFormat, Request, RunArgs};
pub use explore::{DEFAULT_DEPTH, DEFAULT_MAX_TIME, ExploreArgs, StrategyWord};
pub use flags::{Color, DEFAULT_DIRECTORY, Format, LockProtocol, ReportOptions, RunOptions};
pub use operate::{FailIf, StatusArgs};
pub use recover::{ClearArgs, RecoverOptions, RepairArgs, UnlockArgs};
pub use replay::ReplayArgs;
pub use scenario::FireArgs;
pub use timeline::{Picture, PictureFormat, TimelineArgs};

use super::exit::Exit;
use super::redact::redact;
use crate::scenario::Scenario;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgMatches, Command};
use std::ffi::OsString;

/// How wide a help is at most.
const WIDTH: usize = 80;

/// Reads a command line. Being asked for help is an error of clap's, too: hand it to
/// [`usage`](super::usage).
pub fn parse(
    argv: impl IntoIterator<Item = OsString>,
    scenarios: &[Scenario],
) -> Result<Request, clap::Error> {
    let mut command = command(scenarios);
    let matches = command.try_get_matches_from_mut(argv).map_err(redact).map_err(one_spelling)?;
    let request = matches.subcommand().and_then(|(name, given)| {
        commands::request(name, given).or_else(|| {
            let scenario = scenarios.iter().find(|scenario| scenario.name() == name)?;
            Some(Request::Fire(scenario::fire_args(scenario, given)))
        })
    });
    request.ok_or_else(|| command.error(ErrorKind::MissingSubcommand, "a command is needed"))
}

/// Suggests each scenario by its name only, and not by its hidden alias, too.
fn one_spelling(mut error: clap::Error) -> clap::Error {
    let kind = ContextKind::SuggestedSubcommand;
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
    let example = scenarios.first().map_or("<SCENARIO>", Scenario::name);
    Command::new("nodb-trigger")
        .about(env!("CARGO_PKG_DESCRIPTION"))
        .version(env!("CARGO_PKG_VERSION"))
        .override_usage("nodb-trigger <SCENARIO> [DIRECTORY] [OPTIONS], or nodb-trigger <COMMAND>")
        .max_term_width(WIDTH)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand_value_name("COMMAND")
        .after_help(format!(
            "Scenarios (what each does: nodb-trigger list; its options: nodb-trigger\n\
             {example} --help):\n{}\n{}",
            wrapped(scenarios.iter().map(Scenario::name)),
            Exit::LEGEND
        ))
        .subcommands(commands::all(scenarios))
        .subcommands(scenarios.iter().map(scenario::subcommand))
}

/// Words as a paragraph, indented, each line with its end.
fn wrapped<'a>(words: impl Iterator<Item = &'a str>) -> String {
    const INDENT: &str = "  ";
    let mut text = String::new();
    let mut line = String::new();
    let mut words = words.peekable();
    while let Some(word) = words.next() {
        let comma = if words.peek().is_some() { "," } else { "" };
        if !line.is_empty() && INDENT.len() + line.len() + 1 + word.len() + comma.len() > WIDTH {
            text.push_str(&format!("{INDENT}{line}\n"));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        line.push_str(comma);
    }
    text + &format!("{INDENT}{line}\n")
}

/// A name as a flag has it: `lock-ttl`.
fn hyphened(name: &str) -> String {
    name.replace('_', "-")
}

#[cfg(test)]
mod tests;
