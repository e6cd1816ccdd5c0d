//! The commands that are no scenario.

use super::complete::offering;
use super::explore::{self, ExploreArgs};
use super::flags::{
    DEFAULT_DIRECTORY, NEVER_VIRTUAL, ReportOptions, RunOptions, format_flag, help_flag,
    report_flags, report_options, run_flags, run_options, value, verbose_run_flag,
};
use super::one;
use super::operate::{self, StatusArgs};
use super::probe::{self, ProbeArgs};
use super::record::{self, RecordArgs};
use super::recover::{self, ClearArgs, RepairArgs, UnlockArgs};
use super::replay::{self, ReplayArgs};
use super::scenario::{FireArgs, directory_parser};
use super::serve::{self, ServeArgs};
use super::timeline::{self, Picture, TimelineArgs};
use super::top::Group;
use crate::lock::LockProtocol;
use crate::scenario::Scenario;
use clap::builder::{PathBufValueParser, PossibleValue, StringValueParser};
use clap::{Arg, ArgMatches, Command, ValueEnum, ValueHint, value_parser};
use clap_complete::Shell;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

/// What the user asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Fire a scenario that the program has with it.
    Fire(FireArgs),
    /// `run`: one's own scenario files, and built-in ones by name.
    Run(RunArgs),
    /// `explore`: every ordering of a scenario's steps.
    Explore(ExploreArgs),
    /// `probe`: every ordering of what a client of somebody else's sends.
    Probe(ProbeArgs),
    /// `replay`: a schedule again.
    Replay(ReplayArgs),
    /// `record`: what happens to the locks of a running server.
    Record(RecordArgs),
    /// `list`.
    List,
    /// `show`: the file of a built-in scenario.
    Show {
        /// Its name.
        name: String,
    },
    /// `validate`.
    Validate {
        /// Files and directories, as they were given.
        files: Vec<PathBuf>,
    },
    /// `catalogue`.
    Catalogue {
        /// `--format`.
        format: CatalogueFormat,
    },
    /// `completions`: the script for a shell.
    Completions {
        /// Which.
        shell: Shell,
    },
    /// `man`: the manual pages.
    Man {
        /// Where to.
        directory: PathBuf,
    },
    /// `check`: judge a saved history.
    Check(CheckArgs),
    /// `timeline`: draw a saved history.
    Timeline(TimelineArgs),
    /// `unlock`: release one lock.
    Unlock(UnlockArgs),
    /// `clear_locks`: remove the locks of a run that nobody needs any more.
    ClearLocks(ClearArgs),
    /// `repair`: set flags right.
    Repair(RepairArgs),
    /// `status`: who holds what.
    Status(StatusArgs),
    /// `serve`: the embedded server for other programs.
    Serve(ServeArgs),
    /// `subject`: our own locks as a client of somebody else's.
    Subject {
        /// `--lock`.
        lock: &'static Arc<dyn LockProtocol>,
        /// `--actor`: as the process of an actor of ours.
        is_actor: bool,
    },
}

/// What `check` was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckArgs {
    /// The file, as it was given.
    pub file: PathBuf,
    /// `--format`.
    pub format: CheckFormat,
    /// `--timeline`.
    pub timeline: Option<Picture>,
}

/// What `run` was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct RunArgs {
    /// Files, directories and names, as they were given.
    pub what: Vec<PathBuf>,
    /// How to run them.
    pub run: RunOptions,
    /// What becomes of the report.
    pub report: ReportOptions,
    /// `--jobs`: how many at a time, if it was said.
    pub jobs: Option<NonZeroUsize>,
    /// `--verbose`: show each Redis command.
    pub verbose: bool,
}

/// `--format` of `catalogue`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CatalogueFormat {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For a README.
    Markdown,
}

/// `--format` of `check` and of the commands that recover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckFormat {
    /// For people.
    Table,
    /// For programs.
    Json,
}

impl ValueEnum for CatalogueFormat {
    fn value_variants<'a>() -> &'a [Self] {
        &[CatalogueFormat::Table, CatalogueFormat::Json, CatalogueFormat::Markdown]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            CatalogueFormat::Table => "table",
            CatalogueFormat::Json => "json",
            CatalogueFormat::Markdown => "markdown",
        }))
    }
}

impl ValueEnum for CheckFormat {
    fn value_variants<'a>() -> &'a [Self] {
        &[CheckFormat::Table, CheckFormat::Json]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            CheckFormat::Table => "table",
            CheckFormat::Json => "json",
        }))
    }
}

/// What was asked for, if it is one of these commands.
pub(super) fn request(name: &str, given: &ArgMatches) -> Option<Request> {
    let many = |name: &str| {
        given.get_many::<PathBuf>(name).map(|paths| paths.cloned().collect()).unwrap_or_default()
    };
    Some(match name {
        "run" => Request::Run(RunArgs {
            what: many("what"),
            run: run_options(given),
            report: report_options(given),
            jobs: one(given, "jobs"),
            verbose: given.get_flag("verbose"),
        }),
        "explore" => Request::Explore(explore::explore_args(given)?),
        "probe" => Request::Probe(probe::probe_args(given)?),
        "replay" => Request::Replay(replay::replay_args(given)?),
        "record" => Request::Record(record::record_args(given)?),
        "list" => Request::List,
        "show" => Request::Show { name: one(given, "name")? },
        "validate" => Request::Validate { files: many("files") },
        "catalogue" => {
            Request::Catalogue { format: one(given, "format").unwrap_or(CatalogueFormat::Table) }
        }
        "completions" => Request::Completions { shell: one(given, "shell")? },
        "man" => Request::Man { directory: one(given, "directory")? },
        "check" => Request::Check(CheckArgs {
            file: one(given, "file")?,
            format: one(given, "format").unwrap_or(CheckFormat::Table),
            timeline: one(given, "timeline"),
        }),
        "timeline" => Request::Timeline(timeline::timeline_args(given)?),
        "unlock" => Request::Unlock(recover::unlock_args(given)?),
        "clear_locks" => Request::ClearLocks(recover::clear_args(given)?),
        "repair" => Request::Repair(recover::repair_args(given)),
        "status" => Request::Status(operate::status_args(given)),
        "serve" => Request::Serve(serve::serve_args(given)),
        "subject" => {
            Request::Subject { lock: one(given, "lock")?, is_actor: given.contains_id("actor") }
        }
        _ => return None,
    })
}

/// All of them with their groups, in the order of the help.
pub(super) fn all(scenarios: &[Scenario]) -> Vec<(Group, Command)> {
    vec![
        (Group::Fire, run(scenarios)),
        (Group::Fire, list()),
        (Group::Fire, show(scenarios)),
        (Group::Fire, validate()),
        (Group::Fire, catalogue()),
        (Group::Explore, explore::command(scenarios)),
        (Group::Explore, probe::command()),
        (Group::Explore, replay::command()),
        (Group::Operate, operate::status()),
        (Group::Operate, recover::unlock()),
        (Group::Operate, recover::clear_locks()),
        (Group::Operate, recover::repair()),
        (Group::Look, record::command()),
        (Group::Look, check()),
        (Group::Look, timeline::command()),
        (Group::Setup, completions()),
        (Group::Setup, man()),
        (Group::Setup, serve::command()),
        (Group::Setup, probe::our_subject()),
    ]
}

/// A saved history.
pub(super) fn history_file() -> Arg {
    Arg::new("file")
        .value_name("HISTORY")
        .value_hint(ValueHint::FilePath)
        .value_parser(value_parser!(PathBuf))
        .required(true)
        .help("History file, or - for stdin")
}

fn run(scenarios: &[Scenario]) -> Command {
    Command::new("run")
        .about("Run scenario files, directories of them, built-in ones")
        .after_help(
            "Examples:\n  nodb-trigger run my_scenario.toml --virtual\n  \
             nodb-trigger run scenarios/ thundering_herd --virtual --format junit",
        )
        .disable_help_flag(true)
        .arg(
            paths("what", "FILE|DIR|NAME")
                .value_parser(offering(scenarios, PathBufValueParser::new()))
                .hide_possible_values(true)
                .help("Scenario files, directories of them, built-in scenarios")
                .long_help(
                    "Scenario files, directories with *.toml files, names of built-in scenarios",
                ),
        )
        .next_help_heading("Run")
        .arg(
            value("directory", "DIR")
                .value_hint(ValueHint::DirPath)
                .value_parser(directory_parser())
                .default_value(DEFAULT_DIRECTORY)
                .hide_short_help(true)
                .help("Run directory; created if missing"),
        )
        .args(run_flags())
        .arg(
            value("jobs", "N")
                .requires("virtual")
                .conflicts_with_all(NEVER_VIRTUAL)
                .value_parser(value_parser!(NonZeroUsize))
                .help("Run so many virtual ones at a time [default: all cores]")
                .long_help("Run so many virtual scenarios at a time [default: one per core]"),
        )
        .next_help_heading("Report")
        .args(report_flags())
        .arg(verbose_run_flag())
        .arg(help_flag())
}

fn list() -> Command {
    Command::new("list")
        .about("List the built-in scenarios")
        .after_help("Example:\n  nodb-trigger list")
}

fn show(scenarios: &[Scenario]) -> Command {
    Command::new("show")
        .about("Print the file of a built-in scenario, to start from")
        .after_help("Example:\n  nodb-trigger show thundering_herd > my_scenario.toml")
        .arg(
            Arg::new("name")
                .value_name("NAME")
                .value_parser(offering(scenarios, StringValueParser::new()))
                .hide_possible_values(true)
                .required(true)
                .help("Name of a built-in scenario"),
        )
}

fn validate() -> Command {
    Command::new("validate")
        .about("Say whether scenario files are sound")
        .after_help("Example:\n  nodb-trigger validate my_scenario.toml scenarios/")
        .arg(paths("files", "FILE|DIR").help("Scenario files, or directories with *.toml files"))
}

fn catalogue() -> Command {
    Command::new("catalogue")
        .about("Say which hazard each scenario shows, by protocol")
        .after_help("Example:\n  nodb-trigger catalogue --format json")
        .arg(format_flag::<CatalogueFormat>("table, json or markdown"))
}

fn check() -> Command {
    Command::new("check")
        .about("Judge a history that --history has saved")
        .after_help(
            "Example:\n  nodb-trigger thundering_herd --history herd.jsonl\n  \
             nodb-trigger check herd.jsonl",
        )
        .arg(history_file())
        .arg(format_flag::<CheckFormat>("table or json"))
        .arg(timeline::timeline())
}

fn completions() -> Command {
    Command::new("completions")
        .about("Print what lets a shell complete commands and flags")
        .after_help(
            "Examples:\n  source <(nodb-trigger completions bash)\n  \
             nodb-trigger completions fish > ~/.config/fish/completions/nodb-trigger.fish",
        )
        .arg(
            Arg::new("shell")
                .value_name("SHELL")
                .value_parser(value_parser!(Shell))
                .hide_possible_values(true)
                .required(true)
                .help("bash, elvish, fish, powershell or zsh"),
        )
}

/// Writes the manual pages; for whoever makes a package.
fn man() -> Command {
    Command::new("man")
        .hide(true)
        .about("Write the manual pages into a directory")
        .after_help("Example:\n  nodb-trigger man target/man")
        .arg(
            Arg::new("directory")
                .value_name("DIRECTORY")
                .value_hint(ValueHint::DirPath)
                .value_parser(value_parser!(PathBuf))
                .required(true)
                .help("Where to; created if missing"),
        )
}

fn paths(name: &'static str, value_name: &'static str) -> Arg {
    Arg::new(name)
        .value_name(value_name)
        .value_hint(ValueHint::AnyPath)
        .value_parser(value_parser!(PathBuf))
        .num_args(1..)
        .required(true)
}
