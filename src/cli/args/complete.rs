//! The script that lets a shell complete a command line.

use super::commands::commands;
use super::help::with_commands;
use super::values::NAME;
use clap::builder::PathBufValueParser;
use clap_complete::Shell;
use lock_lab::scenario::Scenario;

/// The script for a shell.
pub fn completions(shell: Shell, scenarios: &[&Scenario]) -> String {
    let names: Vec<&str> = scenarios.iter().map(|scenario| scenario.name()).collect();
    let mut commands = commands(&names, scenarios);
    commands.retain(|command| !command.is_hide_set());
    let mut command = with_commands(commands, &names, scenarios);
    if shell == Shell::Zsh {
        // It offers either words or files, never both.
        for name in ["run", "explore", "probe"] {
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
