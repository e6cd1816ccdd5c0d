//! The whole command line, and the help of the program itself: its commands in groups, its scenarios,
//! its exit statuses.

use super::super::exit::Exit;
use super::commands::{commands, grouped};
use super::scenario::subcommand;
use super::values::{NAME, WIDTH};
use clap::Command;
use lock_lab::scenario::Scenario;

/// The help's layout; everything below the usage is [`rest`].
const TEMPLATE: &str = "{about}\n\n{usage-heading} {usage}{after-help}";

/// The command line with a subcommand for each of these names; that of a scenario which isn't here
/// has no flags.
pub(super) fn command(names: &[&str], scenarios: &[&Scenario]) -> Command {
    with_commands(commands(names, scenarios), names, scenarios)
}

/// The same with these commands beside the scenarios.
pub(super) fn with_commands(
    commands: Vec<Command>,
    names: &[&str],
    scenarios: &[&Scenario],
) -> Command {
    let scenario = |name: &&str| scenarios.iter().find(|it| it.name() == *name).copied();
    Command::new(NAME)
        .about(env!("CARGO_PKG_DESCRIPTION"))
        .version(env!("CARGO_PKG_VERSION"))
        .override_usage("nodb-trigger <SCENARIO> [DIRECTORY] [OPTIONS], or nodb-trigger <COMMAND>")
        .max_term_width(WIDTH)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand_value_name("COMMAND")
        .help_template(TEMPLATE)
        .after_help(rest(&commands, names))
        .subcommands(commands)
        .subcommands(names.iter().map(|name| subcommand(name, scenario(name))))
}

/// Commands, scenarios, exit statuses.
fn rest(commands: &[Command], names: &[&str]) -> String {
    let example = names.first().unwrap_or(&"SCENARIO");
    format!(
        "{}\nScenarios (what each does: nodb-trigger list; its options: {example} -h):\n{}{}",
        table(commands),
        wrapped(names),
        Exit::LEGEND
    )
}

/// A line a command, with its group before the first.
fn table(commands: &[Command]) -> String {
    let width = commands.iter().map(|command| command.get_name().len()).max().unwrap_or_default();
    let line = |(title, command): (Option<&str>, &Command)| {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let title = title.unwrap_or_default();
        format!("{title:7}  {:width$}  {about}\n", command.get_name())
    };
    grouped(commands).map(line).collect()
}

/// Words as a paragraph, indented, each line with its end.
fn wrapped(words: &[&str]) -> String {
    const INDENT: &str = "  ";
    let mut text = String::new();
    let mut line = String::new();
    for (number, word) in words.iter().enumerate() {
        let comma = if number + 1 < words.len() { "," } else { "" };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_wrapped_at_the_screen_s_edge() {
        let text = wrapped(&["seventeen_letters"; 30]);
        assert!(text.lines().all(|line| line.len() <= WIDTH && line.starts_with("  s")), "{text}");
        assert_eq!(text.matches("seventeen_letters").count(), 30);
        assert!(text.ends_with("letters\n"), "{text}");
    }

    #[test]
    fn a_group_is_named_once_and_hidden_commands_are_not() {
        let commands = [
            Command::new("run").about("First"),
            Command::new("hidden").hide(true),
            Command::new("b").about("Second"),
            Command::new("record").about("It looks"),
        ];
        assert_eq!(
            table(&commands),
            "Fire     run     First\n         b       Second\nLook     record  It looks\n"
        );
    }
}
