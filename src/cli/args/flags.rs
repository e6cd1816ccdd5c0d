//! The flags that running and reporting have wherever they occur.

use super::super::redact::ServerUrl;
use super::one;
use crate::lock::{LockProtocol, default_protocol, protocol, protocols};
use crate::scenario::parse_duration;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Arg, ArgAction, ArgMatches, ValueEnum, ValueHint, value_parser};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Where a run happens if nobody says (contract, section 1).
pub const DEFAULT_DIRECTORY: &str = "/tmp/debug_locks";
/// The bounds of `--timeout`.
const TIMEOUT: (Duration, Duration) =
    (Duration::from_millis(1), Duration::from_secs(365 * 24 * 3600));
/// The most that `--repeat` may be.
const MOST_RUNS: u32 = 100_000;

/// How to run a scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct RunOptions {
    /// The run directory, as it was given.
    pub directory: PathBuf,
    /// `--redis`: the server's URL. Without it the environment decides.
    pub redis: Option<ServerUrl>,
    /// `--lock`: the lock protocol.
    pub lock: &'static Arc<dyn LockProtocol>,
    /// `--wait`: how long an acquire keeps trying.
    pub wait: Duration,
    /// `--virtual`: on a clock that takes no time.
    pub virtual_time: bool,
    /// `--processes`: each actor a process of its own.
    pub processes: bool,
    /// `--seed`: what decides the order among equals on a virtual clock.
    pub seed: u64,
    /// `--repeat`: how often, if it was said.
    pub repeat: Option<u32>,
    /// `--timeout`: when to give up.
    pub timeout: Option<Duration>,
    /// `--run-group`: the group and the name before the run id.
    pub run_group: Option<(String, String)>,
    /// `--force`: take a live lock of somebody else.
    pub force: bool,
    /// `--keep`: leave lock state, flag and cache as the run left them.
    pub keep: bool,
}

/// What becomes of the report.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportOptions {
    /// `--format`.
    pub format: Format,
    /// `--output`: the file for the report.
    pub output: Option<PathBuf>,
    /// `--quiet`: nothing but errors.
    pub quiet: bool,
    /// `--color`.
    pub color: Color,
}

/// `--format` of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For CI systems.
    Junit,
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
        &[Format::Table, Format::Json, Format::Junit]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Format::Table => "table",
            Format::Json => "json",
            Format::Junit => "junit",
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

/// Takes the name of a lock protocol.
pub(super) fn lock_protocol() -> impl TypedValueParser<Value = &'static Arc<dyn LockProtocol>> {
    let names = protocols().iter().map(|protocol| protocol.name());
    PossibleValuesParser::new(names)
        .try_map(|name| protocol(&name).ok_or("there is no such lock protocol"))
}

/// What [`run_flags`] were given, and the argument `directory` beside them.
pub(super) fn run_options(given: &ArgMatches) -> RunOptions {
    RunOptions {
        directory: one(given, "directory").unwrap_or_else(|| DEFAULT_DIRECTORY.into()),
        redis: one(given, "redis").map(ServerUrl::new),
        lock: one(given, "lock").unwrap_or(default_protocol()),
        wait: one(given, "wait").unwrap_or_default(),
        virtual_time: given.get_flag("virtual"),
        processes: given.get_flag("processes"),
        seed: one(given, "seed").unwrap_or_default(),
        repeat: one(given, "repeat"),
        timeout: one(given, "timeout"),
        run_group: one(given, "run-group"),
        force: given.get_flag("force"),
        keep: given.get_flag("keep"),
    }
}

/// What [`report_flags`] were given.
pub(super) fn report_options(given: &ArgMatches) -> ReportOptions {
    ReportOptions {
        format: one(given, "format").unwrap_or(Format::Table),
        output: one(given, "output"),
        quiet: given.get_flag("quiet"),
        color: one(given, "color").unwrap_or(Color::Auto),
    }
}

/// What can't be where `--virtual` is. What needs that must say it, too: clap takes a need for met
/// where it can't be met.
pub(super) const NEVER_VIRTUAL: [&str; 2] = ["redis", "processes"];

/// The flags that say how to run.
pub(super) fn run_flags() -> [Arg; 11] {
    [
        value("redis", "URL")
            .value_hint(ValueHint::Url)
            .help("Use this Redis [default: REDIS_URL, else embedded]")
            .long_help(
                "Use this Redis [default: REDIS_URL, else REDIS_HOST and REDIS_PORT, else an \
                 embedded server]",
            ),
        value("lock", "PROTOCOL")
            .value_parser(lock_protocol())
            .default_value(default_protocol().name())
            .hide_possible_values(true)
            .help("legacy (with its races) or hardened")
            .long_help("Lock protocol: legacy (with its races) or hardened"),
        value("wait", "DURATION")
            .hide_short_help(true)
            .allow_hyphen_values(true)
            .value_parser(parse_duration)
            .help("Keep trying to get a taken lock this long [default: 0s]"),
        switch("virtual")
            .conflicts_with_all(NEVER_VIRTUAL)
            .help("Waits take no time, and each run gives the same"),
        switch("processes")
            .hide_short_help(true)
            .help("Each actor is a process of its own, which really is killed and stopped"),
        value("seed", "N")
            .requires("virtual")
            .conflicts_with_all(NEVER_VIRTUAL)
            .hide_short_help(true)
            .allow_hyphen_values(true)
            .value_parser(seed)
            .help("Draw the order among equals from this seed [default: 0, a fixed order]"),
        value("repeat", "N")
            .hide_short_help(true)
            .allow_hyphen_values(true)
            .value_parser(repeat)
            .help("Run so often, each virtual run with the next seed, and count what comes"),
        value("timeout", "DURATION")
            .hide_short_help(true)
            .allow_hyphen_values(true)
            .value_parser(timeout)
            .help("Give up after this long (30s, 2m)"),
        value("run-group", "GROUP")
            .hide_short_help(true)
            .value_parser(run_group)
            .help("Put a run group before the run id: 'batch;;spring'"),
        switch("force").hide_short_help(true).help("Take the lock even if somebody else holds it"),
        switch("keep").hide_short_help(true).help("Clean nothing up, for a look with redis-cli"),
    ]
}

/// The flags that say what becomes of the report.
pub(super) fn report_flags() -> [Arg; 4] {
    [
        format_flag::<Format>("table, json or junit"),
        value("output", "FILE")
            .value_hint(ValueHint::FilePath)
            .value_parser(value_parser!(PathBuf))
            .hide_short_help(true)
            .help("Write the report to this file instead of stdout"),
        switch("quiet").hide_short_help(true).help("Print nothing but errors"),
        color_flag(),
    ]
}

/// `--color`.
pub(super) fn color_flag() -> Arg {
    value("color", "WHEN")
        .value_parser(value_parser!(Color))
        .default_value("auto")
        .hide_possible_values(true)
        .hide_short_help(true)
        .help("Colour: auto, always or never")
}

/// `--format`, with `table` as its default.
pub(super) fn format_flag<F: ValueEnum + Send + Sync + 'static>(help: &'static str) -> Arg {
    value("format", "FORMAT")
        .value_parser(clap::builder::EnumValueParser::<F>::new())
        .default_value("table")
        .hide_possible_values(true)
        .help(help)
}

/// `--verbose`: what [`verbose`](super::super::verbose) shows.
pub(super) fn verbose_flag() -> Arg {
    switch("verbose").short('v').help("Show each Redis command and reply with its time on stderr")
}

/// `--verbose` of a run, whose commands are shown when it has ended.
pub(super) fn verbose_run_flag() -> Arg {
    verbose_flag()
        .conflicts_with("quiet")
        .help("Show each Redis command and reply afterwards")
        .long_help(
            "Show each Redis command and reply with its time on stderr, when it is over: in \
             between it would disturb the race",
        )
}

/// `--help`, where it should stand among the others.
pub(super) fn help_flag() -> Arg {
    Arg::new("help")
        .short('h')
        .long("help")
        .action(ArgAction::Help)
        .help("Print this help (--help: all of it)")
        .long_help("Print this help (-h: a short one)")
}

/// A flag with a value.
pub(super) fn value(name: &'static str, value_name: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value_name)
}

/// A flag without one.
pub(super) fn switch(name: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue)
}

fn repeat(text: &str) -> Result<u32, String> {
    let times = text.parse().ok().filter(|times| (1..=MOST_RUNS).contains(times));
    times.ok_or_else(|| format!("give a whole number from 1 to {MOST_RUNS}"))
}

fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("give a whole number from 0 to {}", u64::MAX))
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
