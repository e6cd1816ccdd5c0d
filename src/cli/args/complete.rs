//! Names that a shell may complete where any text is taken.

use super::{NAME, commands, with_commands};
use crate::scenario::Scenario;
use clap::builder::{PathBufValueParser, PossibleValue, TypedValueParser};
use clap::{Arg, Command};
use clap_complete::Shell;
use std::ffi::OsStr;

/// Reads a value as another parser does, and lets a shell offer some words for it.
#[derive(Clone)]
pub(super) struct Offering<P> {
    words: Vec<String>,
    parser: P,
}

/// Offers the names of the scenarios.
pub(super) fn offering<P>(scenarios: &[Scenario], parser: P) -> Offering<P> {
    let words = scenarios.iter().map(|scenario| scenario.name().to_owned()).collect();
    Offering { words, parser }
}

impl<P: TypedValueParser> TypedValueParser for Offering<P> {
    type Value = P::Value;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Self::Value, clap::Error> {
        self.parser.parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.words.iter().map(PossibleValue::new)))
    }
}

/// The script that lets a shell complete a command line.
pub(in crate::cli) fn completions(shell: Shell, scenarios: &[Scenario]) -> String {
    let mut commands = commands::all(scenarios);
    commands.retain(|(_, command)| !command.is_hide_set());
    let mut command = with_commands(commands, scenarios);
    if shell == Shell::Zsh {
        // It offers either words or files, never both.
        for name in ["run", "explore"] {
            command = command.mut_subcommand(name, |command| {
                command.mut_arg("what", |what| what.value_parser(PathBufValueParser::new()))
            });
        }
    }
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut command, NAME, &mut bytes);
    let script = String::from_utf8_lossy(&bytes).into_owned();
    match shell {
        // A program with a hyphen in its name gets two spellings that do not meet (clap issue 6421),
        // and no flag would be completed.
        Shell::Bash => script.replace(&NAME.replace('-', "__subcmd__"), &NAME.replace('-', "__")),
        _ => script,
    }
}
