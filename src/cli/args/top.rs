//! The help of the program itself: its commands in groups, its scenarios, its exit statuses.

use super::super::exit::Exit;
use super::WIDTH;
use crate::scenario::Scenario;
use clap::Command;

/// What a command is for, as the help has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    /// To let something happen.
    Fire,
    /// To try all orderings.
    Explore,
    /// For locks that somebody works with.
    Operate,
    /// For what has happened.
    Look,
    /// For the program itself.
    Setup,
}

/// All groups, in the order of the help.
pub(super) const GROUPS: [(Group, &str); 5] = [
    (Group::Fire, "Fire"),
    (Group::Explore, "Explore"),
    (Group::Operate, "Operate"),
    (Group::Look, "Look"),
    (Group::Setup, "Set up"),
];

/// The help's layout; everything below the usage is [`rest`].
pub(super) const TEMPLATE: &str = "{about}\n\n{usage-heading} {usage}{after-help}";

/// Commands, scenarios, exit statuses.
pub(super) fn rest(commands: &[(Group, Command)], scenarios: &[Scenario]) -> String {
    let example = scenarios.first().map_or("SCENARIO", Scenario::name);
    format!(
        "{}\nScenarios (what each does: nodb-trigger list; its options: {example} -h):\n{}\n{}",
        table(commands),
        wrapped(scenarios.iter().map(Scenario::name)),
        Exit::LEGEND
    )
}

/// A line a command, with its group before the first.
fn table(commands: &[(Group, Command)]) -> String {
    let longest = commands.iter().map(|(_, command)| command.get_name().len()).max();
    let width = longest.unwrap_or_default();
    let mut text = String::new();
    for (group, title) in GROUPS {
        let mut title = title;
        let members =
            commands.iter().filter(|(its, command)| *its == group && !command.is_hide_set());
        for (_, command) in members {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            text.push_str(&format!("{title:7}  {:width$}  {about}\n", command.get_name()));
            title = "";
        }
    }
    text
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_wrapped_at_the_screen_s_edge() {
        let text = wrapped((0..30).map(|_| "seventeen_letters"));
        assert!(text.lines().all(|line| line.len() <= WIDTH && line.starts_with("  s")), "{text}");
        assert_eq!(text.matches("seventeen_letters").count(), 30);
        assert!(text.ends_with("letters\n"), "{text}");
    }

    #[test]
    fn a_group_is_named_once_and_hidden_commands_are_not() {
        let commands = [
            (Group::Look, Command::new("look").about("It looks")),
            (Group::Fire, Command::new("a").about("First")),
            (Group::Fire, Command::new("hidden").hide(true)),
            (Group::Fire, Command::new("b").about("Second")),
        ];
        assert_eq!(
            table(&commands),
            "Fire     a       First\n         b       Second\nLook     look    It looks\n"
        );
    }
}
