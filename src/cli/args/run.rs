//! The arguments of what runs a scenario: its own subcommand, `run` and `replay`.

use super::super::redact::ServerUrl;
use super::client::{ClientOptions, probed};
use super::values::{
    Color, DEFAULT_DIRECTORY, Format, Picture, ReplayForm, directory, lock_protocol, picture,
    repeat, run_group, seed, state_file, timeout,
};
use clap::{Args, ValueHint};
use lock_lab::lock::{LockProtocol, default_protocol};
use lock_lab::scenario::{Value, parse_duration};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What can't be where `--virtual` is. What needs that must say it, too: clap takes a need for met
/// where it can't be met.
const NEVER_VIRTUAL: [&str; 2] = ["redis", "processes"];

const VERBOSE: &str = "Show all rows, snapshots and expectations in the report, and on stderr each Redis \
                       command and reply with its time. They come after the run: in between they \
                       would disturb the race";

/// What the user asked for: fire this scenario.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct FireArgs {
    /// The scenario's name, in snake_case.
    #[arg(skip)]
    pub scenario: String,
    /// The parameters that were given, by name; the others have their defaults.
    #[arg(skip)]
    pub values: BTreeMap<String, Value>,
    /// Run directory; created if missing
    #[arg(value_name = "DIRECTORY", value_hint = ValueHint::DirPath, value_parser = directory())]
    #[arg(default_value = DEFAULT_DIRECTORY)]
    pub directory: PathBuf,
    #[command(flatten)]
    pub run: RunOptions,
    #[command(flatten)]
    pub output: OutputOptions,
}

/// Run scenario files, directories of them, built-in ones
#[derive(Debug, Clone, PartialEq, Args)]
#[command(disable_help_flag = true)]
#[command(after_help = "\
Examples:
  nodb-trigger run my_scenario.toml --virtual
  nodb-trigger run scenarios/ thundering_herd --virtual --format junit")]
pub struct RunArgs {
    /// Scenario files, directories of them, built-in scenarios
    #[arg(value_name = "FILE|DIR|NAME", value_hint = ValueHint::AnyPath, required = true)]
    #[arg(hide_possible_values = true)]
    #[arg(
        long_help = "Scenario files, directories with *.toml files, names of built-in scenarios"
    )]
    pub what: Vec<PathBuf>,
    /// Run directory; created if missing
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, value_parser = directory())]
    #[arg(default_value = DEFAULT_DIRECTORY, hide_short_help = true, help_heading = "Run")]
    pub directory: PathBuf,
    #[command(flatten)]
    pub run: RunOptions,
    /// Run so many virtual ones at a time [default: all cores]
    #[arg(long, value_name = "N", requires = "virtual_time")]
    #[arg(conflicts_with_all = NEVER_VIRTUAL)]
    #[arg(long_help = "Run so many virtual scenarios at a time [default: one per core]")]
    pub jobs: Option<NonZeroUsize>,
    #[command(flatten)]
    pub report: ReportOptions,
    /// Show all of the report, and each Redis command
    #[arg(short, long, conflicts_with = "quiet", long_help = VERBOSE)]
    pub verbose: bool,
}

/// Let a schedule happen again, here or on a real Redis
#[derive(Debug, Clone, PartialEq, Args)]
#[command(disable_help_flag = true, after_help = REPLAY_EXAMPLES, group = probed())]
#[command(after_long_help = format!("\
A schedule is the text that explore prints. Without --redis it is replayed in memory; with it, one \
thread an actor takes the turns on that server, sleeps are skipped, and leases end by shortening \
them. With --subject, database 0 of that server must be empty, and is empty again afterwards.

With --as shell it is replayed in memory, and the report is a bash script that repeats it on an empty \
Redis with redis-cli alone: one terminal an actor, each reply in a comment, and what went wrong at its \
end.

Exit status: 0 it went as the schedule says, 1 but without what it shows,
             4 it parted from the schedule

{REPLAY_EXAMPLES}"))]
pub struct ReplayArgs {
    /// The schedule, a file with it, or a JSON report of explore (its first)
    #[arg(value_name = "SCHEDULE|FILE")]
    pub what: String,
    /// Run directory; created if missing
    #[arg(value_name = "DIRECTORY", value_hint = ValueHint::DirPath, value_parser = directory())]
    #[arg(default_value = DEFAULT_DIRECTORY)]
    pub directory: PathBuf,
    /// Replay on this Redis [default: an embedded server]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, help_heading = "Run")]
    pub redis: Option<ServerUrl>,
    #[command(flatten)]
    pub replies: ReplyOptions,
    /// The scenario, if it is not where the schedule says
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Run")]
    pub scenario: Option<PathBuf>,
    #[command(flatten)]
    pub stage: StageOptions,
    #[command(flatten)]
    pub client: ClientOptions,
    /// Also show irrelevant steps, and the locks
    #[arg(long, help_heading = "Report")]
    pub all: bool,
    /// Step through it with the arrow keys; print each step where there is no terminal
    #[arg(long, help_heading = "Report", conflicts_with_all = ["form", "format", "output", "quiet"])]
    pub step: bool,
    /// shell: print a bash script of redis-cli lines instead
    #[arg(long = "as", value_name = "FORM", help_heading = "Report", hide_possible_values = true)]
    #[arg(conflicts_with_all = ["redis", "all", "format", "timeline"])]
    pub form: Option<ReplayForm>,
    #[command(flatten)]
    pub output: OutputOptions,
}

const REPLAY_EXAMPLES: &str = "\
Examples:
  nodb-trigger replay schedule.txt
  nodb-trigger replay schedule.txt --step
  nodb-trigger replay schedule.txt --redis redis://127.0.0.1:6379
  nodb-trigger replay schedule.txt --as shell --output race.sh";

/// How to run a scenario.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Run")]
pub struct RunOptions {
    /// Use this Redis [default: REDIS_URL, else embedded]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    #[arg(
        long_help = "Use this Redis [default: that of REDIS_URL, RQ_REDIS_URL, SESSION_REDIS_URL, or \
                       REDIS_HOST and REDIS_PORT, else an embedded server]"
    )]
    pub redis: Option<ServerUrl>,
    #[command(flatten)]
    pub replies: ReplyOptions,
    /// legacy, current or hardened
    #[arg(long, value_name = "PROTOCOL", value_parser = lock_protocol())]
    #[arg(default_value = default_protocol().name(), hide_possible_values = true)]
    #[arg(
        long_help = "Lock protocol: legacy (with its races), current (the application of today) or hardened"
    )]
    pub lock: &'static Arc<dyn LockProtocol>,
    /// Keep trying to get a taken lock this long [default: 0s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, hide_short_help = true)]
    #[arg(default_value = "0s", hide_default_value = true, allow_hyphen_values = true)]
    pub wait: Duration,
    /// Waits take no time, and each run gives the same
    #[arg(long = "virtual", conflicts_with_all = NEVER_VIRTUAL)]
    pub virtual_time: bool,
    /// Each actor is a process of its own, which really is killed and stopped
    #[arg(long, hide_short_help = true)]
    pub processes: bool,
    /// Draw the order among equals from this seed [default: 0, a fixed order]
    #[arg(long, value_name = "N", value_parser = seed, hide_short_help = true)]
    #[arg(default_value = "0", hide_default_value = true, allow_hyphen_values = true)]
    #[arg(requires = "virtual_time", conflicts_with_all = NEVER_VIRTUAL)]
    pub seed: u64,
    /// Run so often, each virtual run with the next seed, and count what comes
    #[arg(long, value_name = "N", value_parser = repeat, hide_short_help = true)]
    #[arg(allow_hyphen_values = true)]
    pub repeat: Option<u32>,
    #[command(flatten)]
    pub stage: StageOptions,
    /// Use real locks, but no file: the state is in memory
    #[arg(long, hide_short_help = true)]
    pub lock_only: bool,
    /// Clean nothing up, for a look with redis-cli
    #[arg(long, hide_short_help = true)]
    pub keep: bool,
}

/// How long a real Redis is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Args)]
pub struct ReplyOptions {
    /// Limit of each reply of Redis [default: 5s]
    #[arg(long, value_name = "TIME", value_parser = timeout, hide_short_help = true)]
    #[arg(allow_hyphen_values = true)]
    pub redis_timeout: Option<Duration>,
}

/// Where a run or a replay happens, and for how long.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Run")]
pub struct StageOptions {
    /// Give up after this long (30s, 2m)
    #[arg(long, value_name = "DURATION", value_parser = timeout, hide_short_help = true)]
    #[arg(allow_hyphen_values = true)]
    pub timeout: Option<Duration>,
    /// Put a run group before the run id: 'batch;;spring'
    #[arg(long, value_name = "GROUP", value_parser = run_group, hide_short_help = true)]
    pub run_group: Option<(String, String)>,
    /// Guard this state file of the run: 'climate.nodb'
    #[arg(long, value_name = "FILE", value_parser = state_file, hide_short_help = true)]
    #[arg(long_help = "Guard this state file, a path below the run directory: 'climate.nodb', \
                       '_pups/omni/a/soils.nodb' [default: debug_lock_test.nodb, or what the scenario names]")]
    pub file: Option<String>,
    /// Take the lock even if somebody else holds it
    #[arg(long, hide_short_help = true)]
    pub force: bool,
}

/// What becomes of the report.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Report")]
pub struct ReportOptions {
    /// table, json or junit
    #[arg(long, value_name = "FORMAT", default_value = "table", hide_possible_values = true)]
    pub format: Format,
    /// Write the report to this file instead of stdout
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, hide_short_help = true)]
    pub output: Option<PathBuf>,
    /// Also write Markdown, for a CI job summary
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, hide_short_help = true)]
    pub summary: Option<PathBuf>,
    /// Print nothing but errors
    #[arg(long, hide_short_help = true)]
    pub quiet: bool,
    /// Colour: auto, always or never
    #[arg(long, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    #[arg(hide_short_help = true)]
    pub color: Color,
}

/// What becomes of one run.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Report")]
pub struct OutputOptions {
    #[command(flatten)]
    pub report: ReportOptions,
    /// Save what happened, for nodb-trigger check
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub history: Option<PathBuf>,
    /// Draw what happened (.svg, .html; - draws it here)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = picture())]
    pub timeline: Option<Picture>,
    /// Show all of the report, and each Redis command
    #[arg(short, long, conflicts_with = "quiet", long_help = VERBOSE)]
    pub verbose: bool,
}
