//! The command `replay`.

use super::super::redact::ServerUrl;
use super::flags::{
    DEFAULT_DIRECTORY, ReportOptions, help_flag, report_flags, report_options, run_flags, switch,
    value, verbose_run_flag,
};
use super::one;
use super::probe::{patience, subject};
use super::scenario::{directory, history};
use super::timeline::{Picture, timeline};
use crate::probe::PATIENCE;
use clap::{Arg, ArgMatches, Command, ValueHint, value_parser};
use std::path::PathBuf;
use std::time::Duration;

/// What `replay` was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayArgs {
    /// The schedule, or a file that holds one.
    pub what: String,
    /// The run directory, as it was given.
    pub directory: PathBuf,
    /// `--redis`: the server's URL. Without it the replay is embedded, whatever the environment
    /// names.
    pub redis: Option<ServerUrl>,
    /// `--scenario`: the scenario's file, instead of the one that the schedule names.
    pub scenario: Option<PathBuf>,
    /// `--timeout`: when to give up.
    pub timeout: Option<Duration>,
    /// `--run-group`: the group and the name before the run id.
    pub run_group: Option<(String, String)>,
    /// `--force`: take a live lock of somebody else.
    pub force: bool,
    /// `--subject`: the command line of the client, where the schedule is of one.
    pub subject: Option<String>,
    /// `--patience`: how long that client may say nothing.
    pub patience: Duration,
    /// `--all`: show the steps that don't matter, and the rest of the run's report.
    pub all: bool,
    /// What becomes of the report.
    pub report: ReportOptions,
    /// `--history`: the file for the history.
    pub history: Option<PathBuf>,
    /// `--verbose`: show each Redis command.
    pub verbose: bool,
    /// `--timeline`.
    pub timeline: Option<Picture>,
}

/// The flags of a run that go with a replay.
const OF_A_RUN: [&str; 3] = ["timeout", "run-group", "force"];

pub(super) fn replay_args(given: &ArgMatches) -> Option<ReplayArgs> {
    Some(ReplayArgs {
        what: one(given, "what")?,
        directory: one(given, "directory").unwrap_or_else(|| DEFAULT_DIRECTORY.into()),
        redis: one(given, "redis").map(ServerUrl::new),
        scenario: one(given, "scenario"),
        timeout: one(given, "timeout"),
        run_group: one(given, "run-group"),
        force: given.get_flag("force"),
        subject: one(given, "subject"),
        patience: one(given, "patience").unwrap_or(PATIENCE),
        all: given.get_flag("all"),
        report: report_options(given),
        history: one(given, "history"),
        verbose: given.get_flag("verbose"),
        timeline: one(given, "timeline"),
    })
}

const EXAMPLES: &str = "\
Examples:
  nodb-trigger replay schedule.txt
  nodb-trigger replay schedule.txt --redis redis://127.0.0.1:6379";

pub(super) fn command() -> Command {
    let of_a_run =
        run_flags().into_iter().filter(|flag| OF_A_RUN.contains(&flag.get_id().as_str()));
    Command::new("replay")
        .about("Let a schedule happen again, here or on a real Redis")
        .after_help(EXAMPLES)
        .after_long_help(format!(
            "A schedule is the text that explore prints. Without --redis it is replayed in memory; \
             with it, one thread an actor takes the turns on that server, sleeps are skipped, and \
             leases end by shortening them. With --subject, database 0 of that server must be \
             empty, and is empty again afterwards.\n\n\
             Exit status: 0 it went as the schedule says, 1 but without what it shows,\n             \
             4 it parted from the schedule\n\n{EXAMPLES}"
        ))
        .disable_help_flag(true)
        .arg(
            Arg::new("what")
                .value_name("SCHEDULE|FILE")
                .required(true)
                .help("The schedule, a file with it, or a JSON report of explore (its first)"),
        )
        .arg(directory())
        .next_help_heading("Run")
        .arg(
            value("redis", "URL")
                .value_hint(ValueHint::Url)
                .help("Replay on this Redis [default: an embedded server]"),
        )
        .arg(
            value("scenario", "FILE")
                .value_hint(ValueHint::FilePath)
                .value_parser(value_parser!(PathBuf))
                .help("The scenario, if it is not where the schedule says"),
        )
        .args(of_a_run)
        .args([subject(), patience()])
        .next_help_heading("Report")
        .arg(switch("all").help("Show the steps that do not matter, too, and the locks"))
        .args(report_flags())
        .arg(history())
        .arg(timeline())
        .arg(verbose_run_flag())
        .arg(help_flag())
}
