//! The command `status`.

use super::super::redact::ServerUrl;
use super::commands::CheckFormat;
use super::flags::{Color, color_flag, format_flag, switch, value, verbose_flag};
use super::one;
use clap::builder::PossibleValue;
use clap::{Arg, ArgAction, ArgMatches, Command, ValueEnum, ValueHint, value_parser};

/// What `status` was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct StatusArgs {
    /// The run id, or a path to the run's directory, as it was given; without it all runs are
    /// looked at.
    pub run: Option<String>,
    /// `--redis`: the server's URL. Without it the environment decides.
    pub redis: Option<ServerUrl>,
    /// `--watch`: go on, and show each change.
    pub watch: bool,
    /// `--fail-if`: what ends it with 1.
    pub fail_if: Vec<FailIf>,
    /// `--format`.
    pub format: CheckFormat,
    /// `--color`.
    pub color: Color,
    /// `--verbose`: show each Redis command.
    pub verbose: bool,
}

/// `--fail-if`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailIf {
    /// A lock that nobody will give back.
    Stuck,
    /// A flag that disagrees with its lock.
    Drift,
    /// Any of these.
    Any,
}

impl ValueEnum for FailIf {
    fn value_variants<'a>() -> &'a [Self] {
        &[FailIf::Stuck, FailIf::Drift, FailIf::Any]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            FailIf::Stuck => "stuck",
            FailIf::Drift => "drift",
            FailIf::Any => "any",
        }))
    }
}

pub(super) fn status_args(given: &ArgMatches) -> StatusArgs {
    let fail_if = given.get_many("fail-if").map(|kinds| kinds.copied().collect());
    StatusArgs {
        run: one(given, "run"),
        redis: one(given, "redis").map(ServerUrl::new),
        watch: given.get_flag("watch"),
        fail_if: fail_if.unwrap_or_default(),
        format: one(given, "format").unwrap_or(CheckFormat::Table),
        color: one(given, "color").unwrap_or(Color::Auto),
        verbose: given.get_flag("verbose"),
    }
}

pub(super) fn status() -> Command {
    Command::new("status")
        .about("Show who holds which lock, what is wrong, what to type")
        .override_usage("nodb-trigger status [OPTIONS] [RUNID|DIRECTORY]")
        .after_help(
            "Examples:\n  nodb-trigger status\n  nodb-trigger status my-run --watch\n  \
             nodb-trigger status /runs/my-run --fail-if stuck\n\n\
             Nothing is changed. stuck: orphaned, without a TTL, or a foreign value that never \
             ends; drift: a flag that contradicts its lock, which repair sets right. --watch ends with q (exit status 0) \
             or Ctrl-C (130).\n\n\
             Exit status: 0 looked, 1 --fail-if came true, 2 usage,\n             \
             3 environment, or --fail-if can't tell as not everything could be read",
        )
        .arg(
            Arg::new("run")
                .value_name("RUNID|DIRECTORY")
                .value_hint(ValueHint::DirPath)
                .help("Run id, or the run's directory (with a '/') [default: all runs]"),
        )
        .arg(switch("all").conflicts_with("run").help("All runs, as without an argument"))
        .arg(value("redis", "URL").value_hint(ValueHint::Url).help("Look at this Redis [default: REDIS_URL, or localhost]").long_help(
            "Look at this Redis [default: REDIS_URL, else REDIS_HOST and REDIS_PORT, else localhost]",
        ))
        .arg(switch("watch").help("Go on looking, and show each change"))
        .arg(
            value("fail-if", "WHAT")
                .action(ArgAction::Append)
                .value_parser(value_parser!(FailIf))
                .hide_possible_values(true)
                .conflicts_with("watch")
                .help("End with 1 if any lock is so: stuck, drift or any (repeatable)"),
        )
        .arg(format_flag::<CheckFormat>("table or json"))
        .arg(color_flag())
        .arg(verbose_flag().conflicts_with("watch"))
}
