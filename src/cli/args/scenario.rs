//! The subcommand of a scenario: its parameters become flags.

use super::commands::with_help_flag;
use super::detail::{PARAMETERS, cut};
use super::run::FireArgs;
use super::values::{DEFAULT_DIRECTORY, TTL_VARIABLE, WIDTH, hyphened};
use clap::builder::ValueParser;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use lock_lab::lock::Ttl;
use lock_lab::scenario::{Kind, Parameter, Scenario, Value};

/// What is to be fired.
pub(super) fn fire_args(scenario: &Scenario, given: &ArgMatches) -> Result<FireArgs, clap::Error> {
    let value = |parameter: &Parameter| {
        let value = given.get_one::<Value>(&parameter.name)?;
        Some((parameter.name.clone(), *value))
    };
    let values = scenario.parameters().iter().filter_map(value).collect();
    Ok(FireArgs { scenario: scenario.name().into(), values, ..FireArgs::from_arg_matches(given)? })
}

/// The subcommand of this name: that of the scenario, or one that can only be named.
pub(super) fn subcommand(name: &str, scenario: Option<&Scenario>) -> Command {
    let command = Command::new(name.to_owned());
    let command = command.aliases(Some(hyphened(name)).filter(|hyphens| hyphens != name));
    match scenario {
        Some(scenario) => with_flags(command, scenario),
        None => command,
    }
}

fn with_flags(command: Command, scenario: &Scenario) -> Command {
    let name = scenario.name();
    let title = scenario.title();
    let mut text = format!("{title}\n\n{}", scenario.text().trim());
    if !scenario.hazards().is_empty() {
        text = format!("{text}\n\nProvokes: {}", scenario.hazards().join(", "));
    }
    let example = scenario.parameters().first().map_or(String::new(), |parameter| {
        format!(" --{} {}", hyphened(&parameter.name), default(parameter))
    });
    let command = FireArgs::augment_args(command.args(parameters(scenario)))
        .about(title.to_owned())
        .long_about(text)
        .after_help(format!(
            "Examples:\n  nodb-trigger {name} {DEFAULT_DIRECTORY}{example}\n  \
             nodb-trigger {name} --virtual --format json"
        ));
    with_help_flag(command.disable_help_flag(true))
}

/// As our own lines in a help have it.
fn without_full_stop(line: &str) -> &str {
    line.strip_suffix('.').unwrap_or(line)
}

fn parameters(scenario: &Scenario) -> impl Iterator<Item = Arg> {
    let flag = |it: &Parameter| "--".len() + it.name.len() + " <>".len() + value_name(it).len();
    let longest = scenario.parameters().iter().map(flag).max().unwrap_or_default();
    let room = WIDTH.saturating_sub("      ".len() + longest + "  ".len());
    scenario.parameters().iter().map(move |it| parameter(it, room))
}

fn value_name(parameter: &Parameter) -> &'static str {
    match parameter.kind {
        Kind::Count { .. } => "COUNT",
        Kind::Duration => "DURATION",
        Kind::Ttl => "TTL",
    }
}

/// The flag of a parameter; `room` is there for a line of its help.
fn parameter(parameter: &Parameter, room: usize) -> Arg {
    let reader = parameter.clone();
    let help = without_full_stop(&parameter.help);
    let default = default(parameter);
    let variable = match parameter.default {
        Some(_) => String::new(),
        None => format!("{TTL_VARIABLE}, else "),
    };
    let note = format!("[default: {default}]");
    let short = cut(help, room.saturating_sub(note.len() + 1));
    Arg::new(parameter.name.clone())
        .long(hyphened(&parameter.name))
        .value_name(value_name(parameter))
        .help(format!("{short} {note}"))
        .long_help(format!("{help} [default: {variable}{default}]"))
        .help_heading(PARAMETERS)
        // So that the scenario says what is wrong with `-1`, instead of "unexpected argument".
        .allow_hyphen_values(true)
        .value_parser(ValueParser::from(move |text: &str| reader.parse(text)))
}

/// The value if none is given, here or in the environment.
pub(super) fn default(parameter: &Parameter) -> Value {
    parameter.default.unwrap_or(Value::Ttl(Ttl::DEFAULT))
}
