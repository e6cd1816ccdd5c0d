//! The commands that are no scenario.

use super::explore::{ExploreArgs, ProbeArgs};
use super::history::{CheckArgs, TimelineArgs};
use super::operate::{ClearArgs, RecordArgs, RepairArgs, StatusArgs, UnlockArgs};
use super::run::{FireArgs, ReplayArgs, RunArgs};
use super::serve::ServeArgs;
use super::values::{CatalogueFormat, Color, Offering, hyphened, lock_protocol};
use clap::builder::{PathBufValueParser, StringValueParser};
use clap::{Arg, ArgAction, ArgMatches, Command, Subcommand, ValueHint};
use clap_complete::Shell;
use lock_lab::lock::LockProtocol;
use lock_lab::scenario::Scenario;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What the user asked for: in the order of the help, where what they have in common stands together
/// (see [`GROUPS`]).
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum Request {
    /// A scenario that the program has with it is a command of its own.
    #[command(skip)]
    Fire(FireArgs),
    Run(RunArgs),
    /// Show a race step by step, and its cure
    #[command(after_help = "Example:\n  nodb-trigger demo")]
    Demo {
        /// Colour: auto, always or never
        #[arg(long, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
        color: Color,
    },
    /// List the built-in scenarios
    #[command(after_help = "Example:\n  nodb-trigger list")]
    List,
    /// Print the file of a built-in scenario, to start from
    #[command(after_help = "Example:\n  nodb-trigger show thundering_herd > my_scenario.toml")]
    Show {
        /// Name of a built-in scenario
        #[arg(value_name = "NAME", hide_possible_values = true)]
        name: String,
    },
    /// Say whether scenario files are sound
    #[command(after_help = "Example:\n  nodb-trigger validate my_scenario.toml scenarios/")]
    Validate {
        /// Scenario files, or directories with *.toml files
        #[arg(value_name = "FILE|DIR", value_hint = ValueHint::AnyPath, required = true)]
        files: Vec<PathBuf>,
    },
    /// Say which hazard each scenario shows, by protocol
    #[command(after_help = "Example:\n  nodb-trigger catalogue --format json")]
    Catalogue {
        /// table, json or markdown
        #[arg(long, value_name = "FORMAT", default_value = "table", hide_possible_values = true)]
        format: CatalogueFormat,
    },
    Explore(ExploreArgs),
    Probe(ProbeArgs),
    Replay(ReplayArgs),
    Status(StatusArgs),
    Unlock(UnlockArgs),
    #[command(name = "clear_locks", alias = "clear-locks")]
    ClearLocks(ClearArgs),
    Repair(RepairArgs),
    Record(RecordArgs),
    Check(CheckArgs),
    Timeline(TimelineArgs),
    /// Print what lets a shell complete commands and flags
    #[command(after_help = "\
Examples:
  source <(nodb-trigger completions bash)
  nodb-trigger completions fish > ~/.config/fish/completions/nodb-trigger.fish")]
    Completions {
        /// bash, elvish, fish, powershell or zsh
        #[arg(value_name = "SHELL", hide_possible_values = true)]
        shell: Shell,
    },
    /// Write the manual pages into a directory
    // For packagers.
    #[command(hide = true, after_help = "Example:\n  nodb-trigger man target/man")]
    Man {
        /// Where to; created if missing
        #[arg(value_name = "DIRECTORY", value_hint = ValueHint::DirPath)]
        directory: PathBuf,
    },
    Serve(ServeArgs),
    /// Our own locks as a subject of probe, or as the process of an actor
    #[command(hide = true)]
    Subject {
        /// The lock protocol
        #[arg(long, value_name = "LOCK", value_parser = lock_protocol())]
        lock: &'static Arc<dyn LockProtocol>,
        /// Be the process of this actor of a run with --processes
        #[arg(long, value_name = "NAME")]
        actor: Option<String>,
    },
}

impl Request {
    /// How long a reply of a real Redis may take, if that is given.
    pub fn redis_timeout(&self) -> Option<Duration> {
        let replies = match self {
            Request::Fire(args) => &args.run.replies,
            Request::Run(args) => &args.run.replies,
            Request::Replay(args) => &args.replies,
            Request::Probe(args) => &args.replies,
            Request::Status(args) => &args.replies,
            Request::Unlock(args) => &args.options.replies,
            Request::ClearLocks(args) => &args.options.replies,
            Request::Repair(args) => &args.options.replies,
            Request::Record(args) => &args.replies,
            _ => return None,
        };
        replies.redis_timeout
    }
}

/// The groups of commands as the help has them, each with its first command.
const GROUPS: [(&str, &str); 5] = [
    ("Fire", "run"),
    ("Explore", "explore"),
    ("Operate", "status"),
    ("Look", "record"),
    ("Set up", "completions"),
];

/// The commands that are shown, in the order of the help; the first of each group with its title.
pub(super) fn grouped(
    commands: &[Command],
) -> impl Iterator<Item = (Option<&'static str>, &Command)> {
    commands.iter().filter(|command| !command.is_hide_set()).map(|command| {
        let group = GROUPS.iter().find(|(_, first)| *first == command.get_name());
        (group.map(|(title, _)| *title), command)
    })
}

/// All commands. They offer these names of scenarios, and `explore` and `probe` take the flags of these
/// scenarios.
pub(super) fn commands(names: &[&str], scenarios: &[&Scenario]) -> Vec<Command> {
    let words = || names.iter().map(|name| (*name).to_owned()).collect();
    let paths = || Offering { words: words(), parser: PathBufValueParser::new() };
    let strings = || Offering { words: words(), parser: StringValueParser::new() };
    let commands = Request::augment_subcommands(Command::default());
    let commands = commands.get_subcommands().cloned().map(|command| match command.get_name() {
        "run" => command.mut_arg("what", |what| what.value_parser(paths())),
        "show" => command.mut_arg("name", |name| name.value_parser(strings())),
        "explore" => {
            with_parameters(command, scenarios).mut_arg("what", |what| what.value_parser(paths()))
        }
        "probe" => with_parameters(command, scenarios)
            .mut_arg("what", |what| what.value_parser(paths()))
            .mut_args(|arg| match arg.get_id().as_str() {
                "seed" | "depth" => arg.hide_short_help(true),
                _ => arg,
            }),
        _ => command,
    });
    commands.map(with_help_flag).collect()
}

/// With `--help` as its last flag, instead of clap's.
pub(super) fn with_help_flag(command: Command) -> Command {
    if !command.is_disable_help_flag_set() {
        return command;
    }
    let help = Arg::new("help")
        .short('h')
        .long("help")
        .action(ArgAction::Help)
        .help("Print this help (--help: all of it)")
        .long_help("Print this help (-h: a short one)");
    command.arg(help)
}

/// What the id of a scenario's own flag begins with.
const PARAMETER: &str = "parameter ";

/// The command with the flags of scenarios that don't have the name of one of its own.
fn with_parameters(command: Command, scenarios: &[&Scenario]) -> Command {
    let own = command.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned));
    let own: BTreeSet<String> = own.collect();
    let is_free = |arg: &Arg| arg.get_long().is_none_or(|name| !own.contains(name));
    command.args(parameters(scenarios).filter(is_free))
}

/// The flags of scenarios, to be read by the one that is meant.
fn parameters(scenarios: &[&Scenario]) -> impl Iterator<Item = Arg> {
    let names = scenarios.iter().flat_map(|it| it.parameters()).map(|it| it.name.clone());
    names.collect::<BTreeSet<_>>().into_iter().map(|name| {
        let id = format!("{PARAMETER}{name}");
        Arg::new(id).long(hyphened(&name)).value_name("VALUE").hide(true).allow_hyphen_values(true)
    })
}

/// The values of a scenario's own flags, by name.
pub(super) fn given_parameters(given: &ArgMatches) -> impl Iterator<Item = (String, String)> {
    given.ids().filter_map(|id| {
        let name = id.as_str().strip_prefix(PARAMETER)?;
        Some((name.to_owned(), given.get_one::<String>(id.as_str())?.clone()))
    })
}
