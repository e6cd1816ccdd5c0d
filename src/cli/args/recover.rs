//! The commands `unlock`, `clear_locks` and `repair`.

use super::super::redact::ServerUrl;
use super::CheckFormat;
use super::flags::{Color, format_flag, help_flag, report_flags, switch, value, verbose_flag};
use super::one;
use clap::{Arg, ArgMatches, Command, ValueHint};

/// What all three are told.
#[derive(Debug, Clone, PartialEq)]
pub struct RecoverOptions {
    /// `--redis`: the server's URL. Without it the environment decides.
    pub redis: Option<ServerUrl>,
    /// `--dry-run`: say what would be done, and change nothing.
    pub dry_run: bool,
    /// `--format`.
    pub format: CheckFormat,
    /// `--quiet`: nothing but errors.
    pub quiet: bool,
    /// `--color`.
    pub color: Color,
    /// `--verbose`: show each Redis command.
    pub verbose: bool,
}

/// What `unlock` was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct UnlockArgs {
    /// The run id, or the run's directory.
    pub run: String,
    /// The file, relative to the run's root.
    pub file: String,
    /// `--token`: whose lock it must be: a token, the beginning of a UUID, or `sha1:` and
    /// the digest of the whole value.
    pub token: Option<String>,
    /// `--force`: also a lock whose owner may live.
    pub force: bool,
    /// The rest.
    pub options: RecoverOptions,
}

/// What `clear_locks` was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct ClearArgs {
    /// The run id, or the run's directory.
    pub run: String,
    /// `--scope`: only this file, or what is in this directory of the run.
    pub scope: Option<String>,
    /// `--force`: also locks whose owners may live.
    pub force: bool,
    /// The rest.
    pub options: RecoverOptions,
}

/// What `repair` was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct RepairArgs {
    /// The run id, or the run's directory; all runs, if none.
    pub run: Option<String>,
    /// The rest.
    pub options: RecoverOptions,
}

pub(super) fn unlock_args(given: &ArgMatches) -> Option<UnlockArgs> {
    Some(UnlockArgs {
        run: one(given, "run")?,
        file: one(given, "file")?,
        token: one(given, "token"),
        force: given.get_flag("force"),
        options: options(given),
    })
}

pub(super) fn clear_args(given: &ArgMatches) -> Option<ClearArgs> {
    Some(ClearArgs {
        run: one(given, "run")?,
        scope: one(given, "scope"),
        force: given.get_flag("force"),
        options: options(given),
    })
}

pub(super) fn repair_args(given: &ArgMatches) -> RepairArgs {
    RepairArgs { run: one(given, "run"), options: options(given) }
}

fn options(given: &ArgMatches) -> RecoverOptions {
    RecoverOptions {
        redis: one(given, "redis").map(ServerUrl::new),
        dry_run: given.get_flag("dry-run"),
        format: one(given, "format").unwrap_or(CheckFormat::Table),
        quiet: given.get_flag("quiet"),
        color: one(given, "color").unwrap_or(Color::Auto),
        verbose: given.get_flag("verbose"),
    }
}

pub(super) fn unlock() -> Command {
    Command::new("unlock")
        .about("Release a lock whose owner is dead, or one by force")
        .after_help(
            "A lock whose owner lives, or of which that can't be told (another host), stays \
             without --force. With it, only the very value that was found is removed: whoever \
             takes the lock meanwhile keeps it. Run it where the application runs: from a \
             container of the same name but other process numbers, a living owner looks dead.\n\n\
             Examples:\n  nodb-trigger unlock my-run wepp.nodb --dry-run\n  \
             nodb-trigger unlock my-run _pups/omni/a/wepp.nodb --token 0f3a9c41 --force\n\n\
             Exit status: 0 it is not locked any more, or was not,\n             \
             1 it was left: its owner may live, or somebody else has it now",
        )
        .disable_help_flag(true)
        .arg(run("RUNID|DIRECTORY").required(true))
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .required(true)
                .help("The file as status shows it: relative to the run's root"),
        )
        .arg(
            value("token", "TOKEN")
                .help("Only if the holder has this token (8 characters of a UUID will do)"),
        )
        .arg(switch("force").help("Also if the owner lives, or if that can't be told"))
        .args(rest())
}

pub(super) fn clear_locks() -> Command {
    Command::new("clear_locks")
        .alias("clear-locks")
        .about("Remove a run's locks of dead owners; set its flags right")
        .after_help(
            "Locks whose owners live, or of which that can't be told (another host, no owner in \
             the payload), stay without --force. Each is removed only if it is still the one that \
             was found. --format json has what puts them back. Run it where the application \
             runs: elsewhere a living owner may look dead.\n\n\
             Examples:\n  nodb-trigger clear_locks my-run --dry-run\n  \
             nodb-trigger clear_locks my-run --scope _pups/omni\n\n\
             Exit status: 0 all dead ones are gone, whatever else was left,\n             \
             1 with --force: not all are gone",
        )
        .disable_help_flag(true)
        .arg(run("RUNID|DIRECTORY").required(true))
        .arg(
            value("scope", "PATH")
                .help("Only this file, or the files in this directory, relative to the run's root"),
        )
        .arg(switch("force").help("Also locks whose owners live, or of which that can't be told"))
        .args(rest())
}

pub(super) fn repair() -> Command {
    Command::new("repair")
        .about("Make the flags of a run, or of all, agree with the locks")
        .override_usage("nodb-trigger repair [OPTIONS] <RUNID|DIRECTORY|--all>")
        .after_help(
            "The lock key is the truth; no lock is touched. A flag is written only if it exists \
             and is wrong.\n\n\
             Examples:\n  nodb-trigger repair my-run\n  nodb-trigger repair --all --dry-run",
        )
        .disable_help_flag(true)
        .arg(run("RUNID|DIRECTORY").required_unless_present("all"))
        .arg(switch("all").conflicts_with("run").help("All runs of this Redis"))
        .args(rest())
}

fn run(value_name: &'static str) -> Arg {
    Arg::new("run")
        .value_name(value_name)
        .value_hint(ValueHint::AnyPath)
        .help("The run's id, or a path to its directory (with a '/' in it)")
}

fn rest() -> Vec<Arg> {
    let mut rest = vec![
        switch("dry-run").help("Say what would be done, and change nothing"),
        value("redis", "URL")
            .value_hint(ValueHint::Url)
            .help("The Redis [default: REDIS_URL, else REDIS_HOST and REDIS_PORT, else localhost]"),
        format_flag::<CheckFormat>("table or json"),
    ];
    let of_a_report = ["quiet", "color"];
    rest.extend(
        report_flags().into_iter().filter(|flag| of_a_report.contains(&flag.get_id().as_str())),
    );
    rest.extend([verbose_flag(), help_flag()]);
    rest
}
