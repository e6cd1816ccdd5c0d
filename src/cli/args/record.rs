//! The command `record`.

use super::super::redact::ServerUrl;
use super::commands::CheckFormat;
use super::flags::{format_flag, help_flag, switch, value};
use super::one;
use super::timeline::{Picture, timeline};
use crate::scenario::parse_duration;
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint, value_parser};
use std::path::PathBuf;
use std::time::Duration;

/// How many observations there is room for: some hundred megabytes.
const ROOM: usize = 2_000_000;

/// What its long help says after its flags.
const LONG: &str = "\
Examples:
  nodb-trigger record --history night.jsonl --for 1h
  nodb-trigger record my-run --history run.jsonl --pattern 'lock:*'

It listens with MONITOR until Ctrl-C or --for ends it, saves the history, and
prints what check says of it. Nothing is changed on the server. MONITOR makes
the server send every command of every client here, which slows it while it
lasts. --light costs next to nothing, but needs keyspace notifications, and
does not see who did it, attempts that were refused, or what came and went
between two looks.

Exit status: 0 recorded, whatever was found; 2 usage, 3 environment, 4 no room
for more";

/// What `record` was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordArgs {
    /// The run id or the run directory, as it was given.
    pub run: Option<String>,
    /// `--history`: the file for the history.
    pub history: PathBuf,
    /// `--pattern`: further keys.
    pub patterns: Vec<String>,
    /// `--light`: by keyspace notifications only.
    pub light: bool,
    /// `--for`: when to end.
    pub duration: Option<Duration>,
    /// `--redis`: the server's URL. Without it the environment decides.
    pub redis: Option<ServerUrl>,
    /// `--format`.
    pub format: CheckFormat,
    /// `--timeline`.
    pub timeline: Option<Picture>,
    /// `--quiet`: print nothing but errors.
    pub quiet: bool,
    /// `--room`: how many observations there is room for.
    pub room: usize,
}

pub(super) fn record_args(given: &ArgMatches) -> Option<RecordArgs> {
    Some(RecordArgs {
        run: one(given, "run"),
        history: one(given, "history")?,
        patterns: given.get_many("pattern").map(|all| all.cloned().collect()).unwrap_or_default(),
        light: given.get_flag("light"),
        duration: one(given, "for"),
        redis: one(given, "redis").map(ServerUrl::new),
        format: one(given, "format").unwrap_or(CheckFormat::Table),
        timeline: one(given, "timeline"),
        quiet: given.get_flag("quiet"),
        room: one(given, "room").unwrap_or(ROOM),
    })
}

pub(super) fn command() -> Command {
    Command::new("record")
        .about("Watch the locks of a running Redis, save what happens")
        .after_help(
            "Examples:\n  nodb-trigger record --history night.jsonl --for 1h\n  \
             nodb-trigger record my-run --history run.jsonl --pattern 'lock:*'\n\n\
             Ctrl-C ends it; then it says what check says. Nothing is changed.",
        )
        .after_long_help(LONG)
        .disable_help_flag(true)
        .arg(
            Arg::new("run")
                .value_name("RUNID|DIRECTORY")
                .value_hint(ValueHint::DirPath)
                .help("Run id, or the run's directory (with a '/') [default: all runs]"),
        )
        .arg(
            value("history", "FILE")
                .value_hint(ValueHint::FilePath)
                .value_parser(value_parser!(PathBuf))
                .required(true)
                .help("Save what happens, for check and timeline"),
        )
        .arg(
            value("pattern", "GLOB")
                .action(ArgAction::Append)
                .help("Watch these keys as locks, too (repeatable)"),
        )
        .arg(switch("light").help("Listen to keyspace notifications instead of MONITOR"))
        .arg(
            value("for", "DURATION")
                .value_parser(parse_duration)
                .help("End after this long (30s, 2h)"),
        )
        .arg(
            value("redis", "URL")
                .value_hint(ValueHint::Url)
                .help("Record this Redis [default: REDIS_URL, or localhost]")
                .long_help(
                    "Record this Redis [default: REDIS_URL, else REDIS_HOST and REDIS_PORT, else \
                     localhost]",
                ),
        )
        .arg(timeline())
        .arg(format_flag::<CheckFormat>("table or json"))
        .arg(switch("quiet").hide_short_help(true).help("Print nothing but errors"))
        .arg(
            value("room", "N")
                .hide(true)
                .value_parser(|text: &str| text.parse::<usize>())
                .help("End when there are so many observations"),
        )
        .arg(help_flag())
}
