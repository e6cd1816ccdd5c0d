//! The arguments of `explore` and `probe`.

use super::super::redact::ServerUrl;
use super::client::{ClientOptions, probed};
use super::run::{ReplyOptions, ReportOptions};
use super::values::{
    Language, Picture, StrategyWord, TTL_VARIABLE, lock_protocol, max_time, parameter, picture,
    property, timing,
};
use clap::{Args, ValueHint, value_parser};
use lock_history::check::Property;
use lock_lab::lock::LockProtocol;
use lock_lab::runtime::Timing;
use lock_lab::scenario::parse_duration;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long an exploration may take by default.
pub const DEFAULT_MAX_TIME: Duration = crate::probing::MAX_TIME;
/// The depth of the bugs that `pct` looks for by default.
pub const DEFAULT_DEPTH: u32 = 3;

const EXAMPLES: &str = "\
Examples:
  nodb-trigger explore check_then_delete
  nodb-trigger explore my_scenario.toml --lock hardened --crashes 1";

/// Run all orderings of a scenario's steps: prove or break it
#[derive(Debug, Clone, PartialEq, Args)]
#[command(disable_help_flag = true, after_help = EXAMPLES)]
#[command(after_long_help = format!("\
A built-in scenario's own flags may stand here, too (nodb-trigger NAME --help).
A lock without a TTL of its own has that of {TTL_VARIABLE}.
Where neither a flag nor the scenario gives a number of crashes or faults, three
kinds of orderings are explored: no crash or fault, one crash, one lost or
delayed command.

{EXAMPLES}"))]
pub struct ExploreArgs {
    /// A built-in scenario, or a scenario file
    #[arg(value_name = "NAME|FILE", value_hint = ValueHint::FilePath, hide_possible_values = true)]
    pub what: PathBuf,
    /// Protocol: legacy, current or hardened [default: all]
    #[arg(long, value_name = "PROTOCOL", value_parser = lock_protocol())]
    #[arg(hide_possible_values = true, help_heading = "Explore")]
    pub lock: Option<&'static Arc<dyn LockProtocol>>,
    #[command(flatten)]
    pub search: SearchOptions,
    /// Number of worker threads [default: all cores]
    #[arg(long, value_name = "N", hide_short_help = true, allow_hyphen_values = true)]
    pub jobs: Option<NonZeroUsize>,
    #[command(flatten)]
    pub shown: ShownOptions,
}

const PROBE_EXAMPLES: &str = "\
How to write a subject, in any language: examples/subjects/README.md

Examples:
  nodb-trigger probe --python app.locks:take,drop
  nodb-trigger probe --clients 3 --crashes 1 --subject ./my_client";

/// Model-check a real lock client
#[derive(Debug, Clone, PartialEq, Args)]
#[command(disable_help_flag = true, after_help = PROBE_EXAMPLES)]
#[command(group = probed().arg("init").required(true))]
#[command(
    override_usage = "nodb-trigger probe [OPTIONS] <--subject|--python> <CLIENT> [NAME|FILE]"
)]
#[command(after_long_help = format!("\
A built-in scenario's own flags may stand here, too (nodb-trigger NAME --help).
A lock without a TTL of its own has that of {TTL_VARIABLE}.
Without --crashes and --faults, three kinds of orderings are explored: no crash
or fault, one crash, one lost or delayed command.

{PROBE_EXAMPLES}"))]
pub struct ProbeArgs {
    /// A scenario, or a file with one [default: mutual_exclusion]
    #[arg(value_name = "NAME|FILE", value_hint = ValueHint::FilePath, hide_possible_values = true)]
    #[arg(default_value = "mutual_exclusion", hide_default_value = true)]
    pub what: PathBuf,
    #[command(flatten)]
    pub client: ClientOptions,
    /// Print a subject to start from
    #[arg(long, value_name = "LANGUAGE", exclusive = true, hide_short_help = true)]
    #[arg(help_heading = "Subject")]
    #[arg(long_help = "Print a working subject in this language, to adapt")]
    pub init: Option<Language>,
    /// Explore on this empty Redis [default: embedded]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, help_heading = "Subject")]
    #[arg(
        long_help = "Explore on this Redis instead of the embedded server, for clients that need \
                       more commands. Its database 0 must be empty, and is empty again afterwards"
    )]
    pub upstream: Option<ServerUrl>,
    #[command(flatten)]
    pub replies: ReplyOptions,
    #[command(flatten)]
    pub search: SearchOptions,
    #[command(flatten)]
    pub shown: ShownOptions,
}

/// What is explored and how far, whatever the lock protocol. Where the timing and the bounds are not
/// said, the scenario file says them.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Explore")]
pub struct SearchOptions {
    /// Give a parameter of the scenario a value
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameter)]
    pub params: Vec<(String, String)>,
    /// Keep trying for a taken lock [default: 0s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    #[arg(default_value = "0s", hide_default_value = true, allow_hyphen_values = true)]
    #[arg(long_help = "Keep trying for a taken lock this long [default: 0s]")]
    pub wait: Duration,
    /// async (pauses anywhere) or strict [default: async]
    #[arg(long, value_name = "TIMING", value_parser = timing(), hide_possible_values = true)]
    #[arg(allow_hyphen_values = true)]
    pub timing: Option<Timing>,
    /// Kill up to N actors, anywhere [default: 0, then 1]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub crashes: Option<u32>,
    /// Lose or delay up to N commands [default: 0, then 1]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub faults: Option<u32>,
    /// Judge only this; may be said again
    #[arg(long = "property", value_name = "WORD", value_parser = property())]
    #[arg(hide_possible_values = true)]
    #[arg(long_help = "Judge this (repeatable) [default: the scenario's]")]
    pub properties: Vec<Property>,
    #[command(flatten)]
    pub bounds: BoundOptions,
}

impl SearchOptions {
    /// The parameters that were given, by name in snake_case, not read yet.
    pub fn values(&self) -> BTreeMap<String, String> {
        self.params.iter().cloned().collect()
    }
}

/// How far an exploration goes.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Bounds")]
pub struct BoundOptions {
    /// Maximum preemptions per ordering [default: any]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub preemptions: Option<u32>,
    /// Stop after N orderings
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..))]
    #[arg(allow_hyphen_values = true)]
    pub max_schedules: Option<u64>,
    /// Stop after this long [default: 60s]
    #[arg(long, value_name = "DURATION", value_parser = max_time, allow_hyphen_values = true)]
    pub max_time: Option<Duration>,
    /// exhaustive, random or pct [default: exhaustive]
    #[arg(long, value_name = "WORD", hide_possible_values = true)]
    #[arg(default_value = "exhaustive", hide_default_value = true)]
    pub strategy: StrategyWord,
    /// Draw from this seed (random, pct) [default: 0]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub seed: Option<u64>,
    /// Look for bugs of this depth (pct) [default: 3]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    #[arg(allow_hyphen_values = true)]
    pub depth: Option<u32>,
}

/// What is shown of an exploration, and where.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Report")]
pub struct ShownOptions {
    /// Also show irrelevant steps
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub report: ReportOptions,
    /// Draw the first counterexample (.svg, .html or -)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = picture())]
    pub timeline: Option<Picture>,
}
