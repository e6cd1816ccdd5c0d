//! The command line: one subcommand a scenario, built from the scenarios' own descriptions.
//!
//! No scenario is named here. What a scenario tells of itself comes as [`Scenario`]; what the
//! user asked for leaves as [`FireArgs`].

use super::exit::Exit;
use super::fire::TTL_VARIABLE;
use super::redact::{ServerUrl, redact};
use crate::lock::Ttl;
use crate::scenario::{Kind, Parameter, Scenario, Value, parse_duration};
use clap::builder::{PathBufValueParser, PossibleValue, TypedValueParser, ValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command, ValueEnum, ValueHint, value_parser};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Where a run happens if nobody says (contract, section 1).
const DEFAULT_DIRECTORY: &str = "/tmp/debug_locks";
/// The bounds of `--timeout`.
const TIMEOUT: (Duration, Duration) =
    (Duration::from_millis(1), Duration::from_secs(365 * 24 * 3600));

/// What the user asked for: fire this scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct FireArgs {
    /// The scenario's name, in snake_case.
    pub scenario: String,
    /// The run directory, as it was given.
    pub directory: PathBuf,
    /// The parameters that were given, by name; the others have their defaults.
    pub values: BTreeMap<String, Value>,
    /// `--redis`: the server's URL. Without it the environment decides.
    pub redis: Option<ServerUrl>,
    /// `--virtual`: on a clock that takes no time.
    pub virtual_time: bool,
    /// `--format`.
    pub format: Format,
    /// `--output`: the file for the report.
    pub output: Option<PathBuf>,
    /// `--quiet`: nothing but errors.
    pub quiet: bool,
    /// `--color`.
    pub color: Color,
    /// `--lock`: the lock protocol.
    pub lock: LockProtocol,
    /// `--wait`: how long an acquire keeps trying.
    pub wait: Duration,
    /// `--history`: the file for the history.
    pub history: Option<PathBuf>,
    /// `--timeout`: when to give up.
    pub timeout: Option<Duration>,
    /// `--force`: take a live lock of somebody else.
    pub force: bool,
    /// `--keep`: leave lock state, flag and cache as the run left them.
    pub keep: bool,
    /// `--run-group`: the group and the name before the run id.
    pub run_group: Option<(String, String)>,
}

/// `--lock`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockProtocol {
    /// The reference's protocol, with its races.
    Legacy,
    /// The protocol without them.
    Hardened,
}

impl ValueEnum for LockProtocol {
    fn value_variants<'a>() -> &'a [Self] {
        &[LockProtocol::Legacy, LockProtocol::Hardened]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            LockProtocol::Legacy => "legacy",
            LockProtocol::Hardened => "hardened",
        }))
    }
}

/// `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Wherever it goes.
    Always,
    /// Nowhere.
    Never,
}

impl ValueEnum for Format {
    fn value_variants<'a>() -> &'a [Self] {
        &[Format::Table, Format::Json]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Format::Table => "table",
            Format::Json => "json",
        }))
    }
}

impl ValueEnum for Color {
    fn value_variants<'a>() -> &'a [Self] {
        &[Color::Auto, Color::Always, Color::Never]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Color::Auto => "auto",
            Color::Always => "always",
            Color::Never => "never",
        }))
    }
}

/// Reads a command line. Being asked for help is an error of clap's, too: hand it to
/// [`usage`](super::usage).
pub fn parse(
    argv: impl IntoIterator<Item = OsString>,
    scenarios: &[Scenario],
) -> Result<FireArgs, clap::Error> {
    let mut command = command(scenarios);
    let matches = command.try_get_matches_from_mut(argv).map_err(redact).map_err(one_spelling)?;
    let chosen = matches.subcommand().and_then(|(name, given)| {
        Some((scenarios.iter().find(|scenario| scenario.name() == name)?, given))
    });
    match chosen {
        Some((scenario, given)) => Ok(fire_args(scenario, given)),
        None => Err(command.error(ErrorKind::MissingSubcommand, "a scenario is needed")),
    }
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

fn fire_args(scenario: &Scenario, given: &ArgMatches) -> FireArgs {
    let value = |parameter: &Parameter| {
        let value = given.get_one::<Value>(&parameter.name)?;
        Some((parameter.name.clone(), *value))
    };
    FireArgs {
        scenario: scenario.name().into(),
        directory: one(given, "directory").unwrap_or_else(|| DEFAULT_DIRECTORY.into()),
        values: scenario.parameters().iter().filter_map(value).collect(),
        redis: one(given, "redis").map(ServerUrl::new),
        virtual_time: given.get_flag("virtual"),
        format: one(given, "format").unwrap_or(Format::Table),
        output: one(given, "output"),
        quiet: given.get_flag("quiet"),
        color: one(given, "color").unwrap_or(Color::Auto),
        lock: one(given, "lock").unwrap_or(LockProtocol::Legacy),
        wait: one(given, "wait").unwrap_or_default(),
        history: one(given, "history"),
        timeout: one(given, "timeout"),
        force: given.get_flag("force"),
        keep: given.get_flag("keep"),
        run_group: one(given, "run-group"),
    }
}

fn one<T: Clone + Send + Sync + 'static>(given: &ArgMatches, name: &str) -> Option<T> {
    given.get_one::<T>(name).cloned()
}

fn command(scenarios: &[Scenario]) -> Command {
    let example = scenarios.first().map_or("<SCENARIO>", Scenario::name);
    Command::new("nodb-trigger")
        .about(env!("CARGO_PKG_DESCRIPTION"))
        .version(env!("CARGO_PKG_VERSION"))
        .override_usage("nodb-trigger <SCENARIO> [DIRECTORY] [OPTIONS]")
        .max_term_width(80)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand_value_name("SCENARIO")
        .subcommand_help_heading("Scenarios")
        .after_help(format!(
            "Options of a scenario: nodb-trigger {example} --help\n\
             Try: nodb-trigger {example} --virtual\n\n\
             {}",
            Exit::LEGEND
        ))
        .subcommands(scenarios.iter().map(subcommand))
}

fn subcommand(scenario: &Scenario) -> Command {
    let name = scenario.name();
    let in_lists = scenario.title().split(';').next().unwrap_or_default();
    let mut text = format!("{}\n\n{}", scenario.title(), scenario.text().trim());
    if !scenario.hazards().is_empty() {
        text = format!("{text}\n\nProvokes: {}", scenario.hazards().join(", "));
    }
    let example = scenario.parameters().first().map_or(String::new(), |parameter| {
        format!(" --{} {}", hyphened(&parameter.name), default(parameter))
    });
    Command::new(name.to_owned())
        .aliases(Some(hyphened(name)).filter(|hyphens| hyphens != name))
        .about(without_full_stop(in_lists).to_owned())
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
}

/// A name as a flag has it: `lock-ttl`.
fn hyphened(name: &str) -> String {
    name.replace('_', "-")
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
fn default(parameter: &Parameter) -> Value {
    parameter.default.unwrap_or(Value::Ttl(Ttl::DEFAULT))
}

fn directory() -> Arg {
    let parser = PathBufValueParser::new().try_map(|path| {
        let text = path.to_string_lossy();
        if text.contains("://") || text.starts_with("unix:/") {
            Err("that is a URL and no directory; name the server with --redis")
        } else {
            Ok(path)
        }
    });
    Arg::new("directory")
        .value_name("DIRECTORY")
        .value_hint(ValueHint::DirPath)
        .value_parser(parser)
        .default_value(DEFAULT_DIRECTORY)
        .help("Run directory; created if missing")
}

fn run_flags() -> [Arg; 8] {
    [
        Arg::new("redis")
            .long("redis")
            .value_name("URL")
            .value_hint(ValueHint::Url)
            .help("Use this Redis [default: REDIS_URL, else REDIS_HOST and REDIS_PORT, else an embedded server]"),
        Arg::new("lock")
            .long("lock")
            .value_name("PROTOCOL")
            .value_parser(value_parser!(LockProtocol))
            .default_value("legacy")
            .hide_possible_values(true)
            .help("Lock protocol: legacy (with its races) or hardened"),
        Arg::new("wait")
            .long("wait")
            .value_name("DURATION")
            .allow_hyphen_values(true)
            .value_parser(parse_duration)
            .help("Keep trying to get a taken lock this long [default: 0s]"),
        switch("virtual")
            .conflicts_with("redis")
            .help("Waits take no time, and each run gives the same"),
        Arg::new("timeout")
            .long("timeout")
            .value_name("DURATION")
            .allow_hyphen_values(true)
            .value_parser(timeout)
            .help("Give up after this long (30s, 2m)"),
        Arg::new("run-group")
            .long("run-group")
            .value_name("GROUP")
            .value_parser(run_group)
            .help("Put a run group before the run id: 'batch;;spring'"),
        switch("force").help("Take the lock even if somebody else holds it"),
        switch("keep").help("Clean nothing up, for a look with redis-cli"),
    ]
}

fn report_flags() -> [Arg; 6] {
    [
        Arg::new("format")
            .long("format")
            .value_name("FORMAT")
            .value_parser(value_parser!(Format))
            .default_value("table")
            .hide_possible_values(true)
            .help("table or json"),
        Arg::new("output")
            .long("output")
            .value_name("FILE")
            .value_hint(ValueHint::FilePath)
            .value_parser(value_parser!(PathBuf))
            .help("Write the report to this file instead of stdout"),
        Arg::new("history")
            .long("history")
            .value_name("FILE")
            .value_hint(ValueHint::FilePath)
            .value_parser(value_parser!(PathBuf))
            .help("Save what happened, for nodb-trigger check"),
        switch("quiet").help("Print nothing but errors"),
        Arg::new("color")
            .long("color")
            .value_name("WHEN")
            .value_parser(value_parser!(Color))
            .default_value("auto")
            .hide_possible_values(true)
            .help("Colour: auto, always or never"),
        Arg::new("help").short('h').long("help").action(ArgAction::Help).help("Print this help"),
    ]
}

fn switch(name: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue)
}

fn timeout(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text)?;
    let (least, most) = TIMEOUT;
    if (least..=most).contains(&duration) {
        Ok(duration)
    } else {
        Err("a time-out is between 1ms and 365d".into())
    }
}

fn run_group(text: &str) -> Result<(String, String), String> {
    match text.split(";;").collect::<Vec<_>>().as_slice() {
        [group, name] if !group.is_empty() && !name.is_empty() => {
            Ok(((*group).to_owned(), (*name).to_owned()))
        }
        _ => Err("a run group is a group and a name with ';;' between them, as in \
                  'batch;;spring'"
            .into()),
    }
}

#[cfg(test)]
mod tests;
