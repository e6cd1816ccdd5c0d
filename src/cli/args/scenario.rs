//! The subcommand of a scenario: its parameters become flags.

use super::detail::{PARAMETERS, cut};
use super::flags::{
    DEFAULT_DIRECTORY, ReportOptions, RunOptions, help_flag, report_flags, report_options,
    run_flags, run_options, value, verbose_run_flag,
};
use super::timeline::{Picture, timeline};
use super::{WIDTH, hyphened, one};
use crate::cli::execute::TTL_VARIABLE;
use crate::lock::Ttl;
use crate::scenario::{Kind, Parameter, Scenario, Value};
use clap::builder::{PathBufValueParser, TypedValueParser, ValueParser};
use clap::{Arg, ArgMatches, Command, ValueHint, value_parser};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What the user asked for: fire this scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct FireArgs {
    /// The scenario's name, in snake_case.
    pub scenario: String,
    /// The parameters that were given, by name; the others have their defaults.
    pub values: BTreeMap<String, Value>,
    /// How to run it.
    pub run: RunOptions,
    /// What becomes of the report.
    pub report: ReportOptions,
    /// `--history`: the file for the history.
    pub history: Option<PathBuf>,
    /// `--verbose`: show each Redis command.
    pub verbose: bool,
    /// `--timeline`.
    pub timeline: Option<Picture>,
}

pub(super) fn fire_args(scenario: &Scenario, given: &ArgMatches) -> FireArgs {
    let value = |parameter: &Parameter| {
        let value = given.get_one::<Value>(&parameter.name)?;
        Some((parameter.name.clone(), *value))
    };
    FireArgs {
        scenario: scenario.name().into(),
        values: scenario.parameters().iter().filter_map(value).collect(),
        run: run_options(given),
        report: report_options(given),
        history: one(given, "history"),
        verbose: given.get_flag("verbose"),
        timeline: one(given, "timeline"),
    }
}

pub(super) fn subcommand(scenario: &Scenario) -> Command {
    let name = scenario.name();
    let title = scenario.title();
    let mut text = format!("{title}\n\n{}", scenario.text().trim());
    if !scenario.hazards().is_empty() {
        text = format!("{text}\n\nProvokes: {}", scenario.hazards().join(", "));
    }
    let example = scenario.parameters().first().map_or(String::new(), |parameter| {
        format!(" --{} {}", hyphened(&parameter.name), default(parameter))
    });
    Command::new(name.to_owned())
        .aliases(Some(hyphened(name)).filter(|hyphens| hyphens != name))
        .about(title.to_owned())
        .long_about(text)
        .after_help(format!(
            "Examples:\n  nodb-trigger {name} {DEFAULT_DIRECTORY}{example}\n  \
             nodb-trigger {name} --virtual --format json"
        ))
        .disable_help_flag(true)
        .arg(directory())
        .args(parameters(scenario))
        .next_help_heading("Run")
        .args(run_flags())
        .next_help_heading("Report")
        .args(report_flags())
        .arg(history())
        .arg(timeline())
        .arg(verbose_run_flag())
        .arg(help_flag())
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

/// The value if nobody names one, here or in the environment.
pub(super) fn default(parameter: &Parameter) -> Value {
    parameter.default.unwrap_or(Value::Ttl(Ttl::DEFAULT))
}

/// `--history`.
pub(super) fn history() -> Arg {
    value("history", "FILE")
        .value_hint(ValueHint::FilePath)
        .value_parser(value_parser!(PathBuf))
        .help("Save what happened, for nodb-trigger check")
}

pub(super) fn directory() -> Arg {
    Arg::new("directory")
        .value_name("DIRECTORY")
        .value_hint(ValueHint::DirPath)
        .value_parser(directory_parser())
        .default_value(DEFAULT_DIRECTORY)
        .help("Run directory; created if missing")
}

/// Takes a path, and no URL that stands in the wrong place.
pub(super) fn directory_parser() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| {
        let text = path.to_string_lossy();
        if text.contains("://") || text.starts_with("unix:/") {
            Err("that is a URL and no directory; name the server with --redis")
        } else {
            Ok(path)
        }
    })
}
