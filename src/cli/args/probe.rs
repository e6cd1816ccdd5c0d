//! The arguments of `probe`.

use super::super::redact::ServerUrl;
use super::explore::{ExploreArgs, bound_flags, explored, what_flags};
use super::flags::{help_flag, lock_protocol, report_flags, switch, value};
use super::one;
use super::timeline::timeline;
use crate::probe::PATIENCE;
use crate::scenario::parse_duration;
use clap::{Arg, ArgMatches, Command, ValueHint, value_parser};
use std::path::PathBuf;
use std::time::Duration;

/// What `probe` was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeArgs {
    /// `--subject`: the command line of the client.
    pub subject: String,
    /// `--patience`: how long a subject may say nothing.
    pub patience: Duration,
    /// `--upstream`: the real Redis that is explored on, instead of the embedded server.
    pub upstream: Option<ServerUrl>,
    /// What is explored, and how far.
    pub explore: ExploreArgs,
}

/// The flags of an exploration that don't go with a subject.
const NOT_OURS: [&str; 2] = ["lock", "jobs"];

pub(super) fn probe_args(given: &ArgMatches) -> Option<ProbeArgs> {
    Some(ProbeArgs {
        subject: one(given, "subject")?,
        patience: one(given, "patience").unwrap_or(PATIENCE),
        upstream: one(given, "upstream").map(ServerUrl::new),
        explore: explored(given)?,
    })
}

pub(super) fn command() -> Command {
    let ours = |flag: &Arg| !NOT_OURS.contains(&flag.get_id().as_str());
    Command::new("probe")
        .about("Explore a lock client that people really use")
        .after_help(
            "How to write a subject, in any language: examples/subjects/README.md\n\n\
             Examples:\n  nodb-trigger probe mutual_exclusion --subject 'python3 redis_py.py'\n  \
             nodb-trigger probe mutual_exclusion --crashes 1 --subject ./my_client",
        )
        .disable_help_flag(true)
        .arg(
            Arg::new("what")
                .value_name("NAME|FILE")
                .value_hint(ValueHint::FilePath)
                .value_parser(value_parser!(PathBuf))
                .required(true)
                .help("A built-in scenario, or a scenario file"),
        )
        .next_help_heading("Subject")
        .arg(subject().required(true))
        .arg(patience())
        .arg(
            value("upstream", "URL")
                .value_hint(ValueHint::Url)
                .help("Explore on this empty Redis [default: embedded]")
                .long_help(
                    "Explore on this Redis instead of the embedded server, for clients that need \
                     more commands. Its database 0 must be empty, and is empty again afterwards",
                ),
        )
        .next_help_heading("Explore")
        .args(what_flags().into_iter().filter(ours))
        .next_help_heading("Bounds")
        .args(bound_flags().into_iter().filter(ours))
        .mut_args(|arg| match arg.get_id().as_str() {
            "seed" | "depth" => arg.hide_short_help(true),
            _ => arg,
        })
        .next_help_heading("Report")
        .arg(switch("all").help("Show the steps that do not matter, too"))
        .args(report_flags())
        .arg(timeline().help("Draw the first counterexample (.svg, .html or -)"))
        .arg(help_flag())
}

/// `subject`, which `probe` is given to explore our own locks in processes of their own.
pub(super) fn our_subject() -> Command {
    let about = "Our own locks as a subject of probe, or as the process of an actor";
    Command::new("subject")
        .hide(true)
        .about(about)
        .arg(
            value("lock", "LOCK")
                .value_parser(lock_protocol())
                .required(true)
                .help("The lock protocol"),
        )
        .arg(value("actor", "NAME").help("Be the process of this actor of a run with --processes"))
}

/// `--subject`.
pub(super) fn subject() -> Arg {
    value("subject", "COMMAND")
        .value_hint(ValueHint::CommandString)
        .help("The client, as a command for the shell")
}

/// `--patience`.
pub(super) fn patience() -> Arg {
    value("patience", "DURATION")
        .value_parser(parse_duration)
        .requires("subject")
        .hide_short_help(true)
        .help("Give up when a subject says nothing this long [default: 10s]")
}
