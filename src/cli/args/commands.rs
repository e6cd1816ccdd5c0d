//! The commands that are no scenario.

use super::explore::{self, ExploreArgs};
use super::flags::{
    DEFAULT_DIRECTORY, ReportOptions, RunOptions, format_flag, help_flag, report_flags,
    report_options, run_flags, run_options, value,
};
use super::one;
use super::operate::{self, StatusArgs};
use super::recover::{self, ClearArgs, RepairArgs, UnlockArgs};
use super::replay::{self, ReplayArgs};
use super::scenario::{FireArgs, directory_parser};
use super::timeline::{self, Picture, TimelineArgs};
use crate::scenario::Scenario;
use clap::builder::PossibleValue;
use clap::{Arg, ArgMatches, Command, ValueEnum, ValueHint, value_parser};
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// What the user asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Fire a scenario that the program has with it.
    Fire(FireArgs),
    /// `run`: one's own scenario files, and built-in ones by name.
    Run(RunArgs),
    /// `explore`: every ordering of a scenario's steps.
    Explore(ExploreArgs),
    /// `replay`: a schedule again.
    Replay(ReplayArgs),
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
        }),
        "explore" => Request::Explore(explore::explore_args(given)?),
        "replay" => Request::Replay(replay::replay_args(given)?),
        "list" => Request::List,
        "show" => Request::Show { name: one(given, "name")? },
        "validate" => Request::Validate { files: many("files") },
        "catalogue" => {
            Request::Catalogue { format: one(given, "format").unwrap_or(CatalogueFormat::Table) }
        }
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
        _ => return None,
    })
}

/// All of them, in the order of the help.
pub(super) fn all(scenarios: &[Scenario]) -> [Command; 13] {
    [
        run(),
        explore::command(scenarios),
        replay::command(),
        Command::new("list").about("List the built-in scenarios"),
        Command::new("show").about("Print the file of a built-in scenario, to start from").arg(
            Arg::new("name").value_name("NAME").required(true).help("Name of a built-in scenario"),
        ),
        Command::new("validate").about("Say whether scenario files are sound").arg(
            paths("files", "FILE|DIR").help("Scenario files, or directories with *.toml files"),
        ),
        Command::new("catalogue")
            .about("Say which hazard each scenario shows, under each protocol")
            .arg(format_flag::<CatalogueFormat>("table, json or markdown")),
        Command::new("check")
            .about("Judge a history that --history has saved")
            .arg(history_file())
            .arg(format_flag::<CheckFormat>("table or json"))
            .arg(timeline::timeline()),
        timeline::command(),
        operate::status(),
        recover::unlock(),
        recover::clear_locks(),
        recover::repair(),
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

fn run() -> Command {
    Command::new("run")
        .about("Run scenario files, directories of them, or built-in scenarios")
        .after_help(
            "Examples:\n  nodb-trigger run my_scenario.toml --virtual\n  \
             nodb-trigger run scenarios/ thundering_herd --virtual --format junit",
        )
        .disable_help_flag(true)
        .arg(
            paths("what", "FILE|DIR|NAME")
                .help("Scenario files, directories with *.toml files, names of built-in scenarios"),
        )
        .next_help_heading("Run")
        .arg(
            value("directory", "DIR")
                .value_hint(ValueHint::DirPath)
                .value_parser(directory_parser())
                .default_value(DEFAULT_DIRECTORY)
                .help("Run directory; created if missing"),
        )
        .args(run_flags())
        .arg(
            value("jobs", "N")
                .requires("virtual")
                .value_parser(value_parser!(NonZeroUsize))
                .help("Run so many virtual scenarios at a time [default: one per core]"),
        )
        .next_help_heading("Report")
        .args(report_flags())
        .arg(help_flag())
}

fn paths(name: &'static str, value_name: &'static str) -> Arg {
    Arg::new(name)
        .value_name(value_name)
        .value_hint(ValueHint::AnyPath)
        .value_parser(value_parser!(PathBuf))
        .num_args(1..)
        .required(true)
}
