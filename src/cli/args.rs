//! The command line: the fixed commands, and one subcommand a scenario, built from the scenarios'
//! own descriptions.
//!
//! No scenario is named here. What a scenario says of itself comes as [`Scenario`]; what the user
//! asked for leaves as a [`Request`].
//!
//! Each file imports only those above it: `values`; `run`, `explore`, `history`, `operate`, `serve`;
//! `commands`; `detail`; `scenario`; `help`; `complete`, `manual`.

mod client;
mod commands;
mod complete;
mod detail;
mod explore;
mod help;
mod history;
mod manual;
mod operate;
mod run;
mod scenario;
mod serve;
mod values;

pub use client::ClientOptions;
pub use commands::Request;
pub use complete::completions;
pub use explore::{
    BoundOptions, DEFAULT_DEPTH, DEFAULT_MAX_TIME, ExploreArgs, ProbeArgs, SearchOptions,
};
pub use history::{CheckArgs, TimelineArgs};
pub use manual::manual;
pub use operate::{ClearArgs, RecordArgs, RecoverOptions, RepairArgs, StatusArgs, UnlockArgs};
pub use run::{FireArgs, ReplayArgs, ReportOptions, RunArgs, RunOptions};
pub use serve::ServeArgs;
pub use values::{
    CatalogueFormat, CheckFormat, Color, DEFAULT_DIRECTORY, FailIf, FailIfFound, Format, Language,
    Picture, PictureFormat, ReplayForm, StrategyWord, TTL_VARIABLE,
};

use super::builtin::BuiltIn;
use super::redact::redact;
use clap::FromArgMatches;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use detail::{Detail, with_detail};
use lock_lab::scenario::{Scenario, nearest};
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use values::WIDTH;

/// Reads a command line. Being asked for help is an error of clap's, too: hand it to
/// [`usage`](super::exit::usage).
pub fn parse(
    argv: impl IntoIterator<Item = OsString>,
    builtin: &BuiltIn,
) -> Result<Request, clap::Error> {
    let argv: Vec<OsString> = argv.into_iter().collect();
    let broken = |error| clap::Error::raw(ErrorKind::InvalidValue, error);
    let words = argv.iter().skip(1).filter_map(|word| word.to_str());
    let named: Result<Vec<_>, _> = words.filter_map(|word| builtin.get(word).transpose()).collect();
    match parse_with(&argv, &builtin.names(), &named.map_err(broken)?) {
        // It may be the flag of a scenario that is not named: `explore` and `probe` take those of all.
        Err(error) if error.kind() == ErrorKind::UnknownArgument => {
            parse_with(&argv, &builtin.names(), &builtin.all().map_err(broken)?)
        }
        parsed => parsed,
    }
}

fn parse_with(
    argv: &[OsString],
    names: &[&str],
    scenarios: &[&Scenario],
) -> Result<Request, clap::Error> {
    let mut command = help::command(names, scenarios);
    if let Some(detail) = Detail::asked_for(argv) {
        command = with_detail(detail, command);
    }
    if !io::stdout().is_terminal() {
        command = command.term_width(WIDTH);
    }
    let known: Vec<String> = command.get_subcommands().map(|it| it.get_name().into()).collect();
    let matches = command.try_get_matches_from_mut(argv);
    let matches = matches.map_err(|error| one_spelling(redact(error), &known))?;
    let Some((name, given)) = matches.subcommand() else {
        return Err(command.error(ErrorKind::MissingSubcommand, "a command is needed"));
    };
    if let Some(scenario) = scenarios.iter().find(|scenario| scenario.name() == name) {
        return scenario::fire_args(scenario, given).map(Request::Fire);
    }
    let mut request = Request::from_arg_matches(&matches)?;
    let search = match &mut request {
        Request::Explore(args) => Some(&mut args.search),
        Request::Probe(args) => Some(&mut args.search),
        _ => None,
    };
    if let Some(search) = search {
        // What --param says goes before.
        search.params.splice(..0, commands::given_parameters(given));
    }
    Ok(request)
}

/// Suggests each scenario by its name only, and not by its hidden alias, too; and suggests one after
/// `help`, where clap does not.
fn one_spelling(mut error: clap::Error, known: &[String]) -> clap::Error {
    let kind = ContextKind::SuggestedSubcommand;
    let given = error.get(ContextKind::InvalidSubcommand).cloned();
    if let (None, Some(ContextValue::String(given))) = (error.get(kind), given)
        && let Some(name) = nearest(&given, known.iter().map(String::as_str))
    {
        error.insert(kind, ContextValue::Strings(vec![name.to_owned()]));
    }
    if let Some(ContextValue::Strings(names)) = error.get(kind) {
        let mut names: Vec<_> = names.iter().map(|name| name.replace('-', "_")).collect();
        names.dedup();
        error.insert(kind, ContextValue::Strings(names));
    }
    error
}

#[cfg(test)]
mod tests;
