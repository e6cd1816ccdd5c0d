//! The subcommand of a scenario: its parameters become flags.

use super::flags::{
    DEFAULT_DIRECTORY, ReportOptions, RunOptions, help_flag, report_flags, report_options,
    run_flags, run_options, value,
};
use super::timeline::{Picture, timeline};
use super::{hyphened, one};
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
        timeline: one(given, "timeline"),
    }
}

pub(super) fn subcommand(scenario: &Scenario) -> Command {
    let name = scenario.name();
    let mut text = format!("{}\n\n{}", scenario.title(), scenario.text().trim());
    if !scenario.hazards().is_empty() {
        text = format!("{text}\n\nProvokes: {}", scenario.hazards().join(", "));
    }
    let example = scenario.parameters().first().map_or(String::new(), |parameter| {
        format!(" --{} {}", hyphened(&parameter.name), default(parameter))
    });
    Command::new(name.to_owned())
        .aliases(Some(hyphened(name)).filter(|hyphens| hyphens != name))
        .hide(true)
        .before_help(text)
        .help_template("{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}")
        .after_help(format!(
            "Examples:\n  nodb-trigger {name} {DEFAULT_DIRECTORY}{example}\n  \
             nodb-trigger {name} --virtual --format json"
        ))
        .disable_help_flag(true)
        .arg(directory())
        .args(scenario.parameters().iter().map(parameter))
        .next_help_heading("Run")
        .args(run_flags())
        .next_help_heading("Report")
        .args(report_flags())
        .arg(history())
        .arg(timeline())
        .arg(help_flag())
}

/// As our own lines in a help have it.
fn without_full_stop(line: &str) -> &str {
    line.strip_suffix('.').unwrap_or(line)
}

fn parameter(parameter: &Parameter) -> Arg {
    let reader = parameter.clone();
    let help = without_full_stop(&parameter.help);
    let variable = match parameter.default {
        Some(_) => String::new(),
        None => format!("{TTL_VARIABLE}, else "),
    };
    Arg::new(parameter.name.clone())
        .long(hyphened(&parameter.name))
        .value_name(match parameter.kind {
            Kind::Count { .. } => "COUNT",
            Kind::Duration => "DURATION",
            Kind::Ttl => "TTL",
        })
        .help(format!("{help} [default: {variable}{}]", default(parameter)))
        .help_heading("Parameters")
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
