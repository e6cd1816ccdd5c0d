//! The command `record`.

use super::super::redact::ServerUrl;
use super::commands::CheckFormat;
use super::flags::{format_flag, help_flag, switch, value};
use super::one;
use crate::scenario::parse_duration;
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint, value_parser};
use std::path::PathBuf;
use std::time::Duration;

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
    /// `--quiet`: print nothing but errors.
    pub quiet: bool,
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
        quiet: given.get_flag("quiet"),
    })
}

pub(super) fn command() -> Command {
    Command::new("record")
        .about("Watch the locks of a running Redis and save what happens")
        .after_help(
            "It listens with MONITOR until Ctrl-C or --for ends it, saves the history, and prints \
             what check says of it. MONITOR slows the server while it lasts: one with much \
             traffic may do half as many commands. --light costs next to nothing, but needs \
             keyspace notifications, and does not see who did it, attempts that were refused, or \
             what came and went between two looks.\n\n\
             Examples:\n  nodb-trigger record --history night.jsonl --for 1h\n  \
             nodb-trigger record my-run --history run.jsonl --pattern 'lock:*'\n\n\
             Exit status: 0 recorded, whatever was found; 3 environment, 4 no room for more",
        )
        .disable_help_flag(true)
        .arg(
            Arg::new("run")
                .value_name("RUNID|DIRECTORY")
                .help("Watch the locks of this run only [default: all NoDb locks]"),
        )
        .arg(
            value("history", "FILE")
                .value_hint(ValueHint::FilePath)
                .value_parser(value_parser!(PathBuf))
                .required(true)
                .help("Save what happens, for nodb-trigger check"),
        )
        .arg(
            value("pattern", "GLOB")
                .action(ArgAction::Append)
                .help("Watch keys that match this, too, as locks; may be repeated"),
        )
        .arg(switch("light").help("Listen to keyspace notifications instead of MONITOR"))
        .arg(
            value("for", "DURATION")
                .value_parser(parse_duration)
                .help("End after this long (30s, 2h)"),
        )
        .arg(
            value("redis", "URL").value_hint(ValueHint::Url).help(
                "The Redis [default: REDIS_URL, else REDIS_HOST and REDIS_PORT, else localhost]",
            ),
        )
        .arg(format_flag::<CheckFormat>("table or json"))
        .arg(switch("quiet").help("Print nothing but errors"))
        .arg(help_flag())
}
