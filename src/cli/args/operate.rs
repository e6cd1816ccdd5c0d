//! The arguments of what works on the locks of an application: `status`, `record` and recovery.

use super::super::redact::ServerUrl;
use super::values::{
    CheckFormat, Color, FailIf, FailIfFound, Picture, fail_if_found, pattern, picture,
};
use crate::record::ROOM;
use clap::{Args, ValueHint};
use lock_lab::scenario::parse_duration;
use std::path::PathBuf;
use std::time::Duration;

/// Show who holds which lock, what is wrong, what to type
#[derive(Debug, Clone, PartialEq, Args)]
#[command(override_usage = "nodb-trigger status [OPTIONS] [RUNID|DIRECTORY|KEY]")]
#[command(after_help = "\
Examples:
  nodb-trigger status my-run --watch
  nodb-trigger status /runs/my-run --fail-if stuck
  nodb-trigger status --all
  nodb-trigger status lock:invoice:7

Nothing is changed. Exit status: 0 done, 1 --fail-if came true, 2 usage, 3 environment, or keys that \
--fail-if needs could not be read, 4 --fail-if can't tell")]
#[command(after_long_help = "\
Examples:
  nodb-trigger status
  nodb-trigger status my-run --watch
  nodb-trigger status /runs/my-run --fail-if stuck
  nodb-trigger status --all
  nodb-trigger status --pattern 'lock:*'
  nodb-trigger status lock:invoice:7

Nothing is changed. stuck: orphaned, without a TTL or with one of years, or a foreign value that \
never ends; drift: a flag that contradicts its lock, which repair sets right. --all and --pattern go \
through the keys of the URL's database (redis://host:6379/1) by SCAN; NoDb has its locks in database \
0. --watch ends with q (exit status 0) or Ctrl-C (130).

Exit status: 0 done, 1 --fail-if came true, 2 usage,
             3 environment, or --fail-if can't tell as keys could not be read,
               or a replica has lost its primary (0 with --stale-ok),
             4 --fail-if can't tell: --max-keys was reached, no key was looked
               at, or one that may be a lock by its name has no TTL")]
pub struct StatusArgs {
    /// Run id, its directory (with a '/'), or a key [default: all runs]
    #[arg(value_name = "RUNID|DIRECTORY|KEY", value_hint = ValueHint::DirPath)]
    pub run: Option<String>,
    /// All runs, and the locks of other libraries
    #[arg(long, conflicts_with = "run")]
    pub all: bool,
    /// Only keys that match, of any library (repeatable)
    #[arg(long = "pattern", value_name = "GLOB", value_parser = pattern)]
    #[arg(conflicts_with_all = ["run", "all"])]
    pub patterns: Vec<String>,
    /// Only locks acquired this long ago, which count as stuck (2h, 1d)
    #[arg(long, value_name = "AGE", value_parser = parse_duration, hide_short_help = true)]
    pub older_than: Option<Duration>,
    /// Look at this number of keys at most
    #[arg(long, value_name = "N", default_value = "1000000", hide_short_help = true)]
    pub max_keys: u64,
    /// Formats of one's own, in TOML (repeatable)
    #[arg(long = "formats", value_name = "FILE", value_hint = ValueHint::FilePath)]
    #[arg(hide_short_help = true)]
    pub formats: Vec<PathBuf>,
    /// Take what a replica shows that has lost its primary
    #[arg(long, hide_short_help = true)]
    pub stale_ok: bool,
    /// Look at this Redis [default: REDIS_URL, or localhost]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    #[arg(
        long_help = "Look at this Redis [default: that of REDIS_URL, RQ_REDIS_URL, SESSION_REDIS_URL, or \
                       REDIS_HOST and REDIS_PORT, else localhost]"
    )]
    pub redis: Option<ServerUrl>,
    /// Go on looking, and show each change
    #[arg(long)]
    pub watch: bool,
    /// End with 1 if any lock is so: stuck, drift or any (repeatable)
    #[arg(long, value_name = "WHAT", hide_possible_values = true, conflicts_with = "watch")]
    pub fail_if: Vec<FailIf>,
    /// table or json
    #[arg(long, value_name = "FORMAT", default_value = "table", hide_possible_values = true)]
    pub format: CheckFormat,
    /// Colour: auto, always or never
    #[arg(long, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    #[arg(hide_short_help = true)]
    pub color: Color,
    /// Show each Redis command and reply with its time on stderr
    #[arg(short, long, conflicts_with = "watch")]
    pub verbose: bool,
}

/// Watch the locks of a running Redis, save what happens
#[derive(Debug, Clone, PartialEq, Args)]
#[command(disable_help_flag = true)]
#[command(after_help = "\
Examples:
  nodb-trigger record --history night.jsonl --for 1h
  nodb-trigger record my-run --history run.jsonl --pattern 'lock:*'

Ctrl-C ends it; then it says what check says. Nothing is changed.

Exit status: 0 no findings, 1 findings, 4 no findings, but incomplete")]
#[command(after_long_help = "\
Examples:
  nodb-trigger record --history night.jsonl --for 1h
  nodb-trigger record my-run --history run.jsonl --pattern 'lock:*'

It listens with MONITOR until Ctrl-C or --for ends it, saves the history, and
prints what check says of it. Nothing is changed on the server. MONITOR makes
the server send every command of every client here, which slows it while it
lasts. --light costs next to nothing, but needs keyspace notifications, and
does not see who did it, attempts that were refused, or what came and went
between two looks.

A log that redis-cli monitor has written can stand for the server (--from). It
shows neither what keys held when it began nor when leases expire.

Exit status: 0 no findings, and the history is complete; 1 findings; 2 usage;
3 environment; 4 no findings, but the history is incomplete")]
pub struct RecordArgs {
    /// Run id, or the run's directory (with a '/') [default: all runs]
    #[arg(value_name = "RUNID|DIRECTORY", value_hint = ValueHint::DirPath)]
    pub run: Option<String>,
    /// Save what happens, for check and timeline
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub history: PathBuf,
    /// Replace the history file if it exists
    #[arg(long)]
    pub force: bool,
    /// Watch these keys as locks, too (repeatable)
    #[arg(long = "pattern", value_name = "GLOB", value_parser = pattern)]
    pub patterns: Vec<String>,
    /// Read this output of redis-cli monitor instead, or - for stdin
    #[arg(long, value_name = "LOG", value_hint = ValueHint::FilePath)]
    #[arg(conflicts_with_all = ["light", "duration", "redis"])]
    pub from: Option<PathBuf>,
    /// Listen to keyspace notifications instead of MONITOR
    #[arg(long)]
    pub light: bool,
    /// End after this long (30s, 2h)
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    pub duration: Option<Duration>,
    /// Record this Redis [default: REDIS_URL, or localhost]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    #[arg(
        long_help = "Record this Redis [default: that of REDIS_URL, RQ_REDIS_URL, SESSION_REDIS_URL, or \
                       REDIS_HOST and REDIS_PORT, else localhost]"
    )]
    pub redis: Option<ServerUrl>,
    /// End with 1 only if this was found: any, PROPERTY or lease-use=80% (repeatable)
    #[arg(long = "fail-if", value_name = "WHAT", value_parser = fail_if_found)]
    #[arg(hide_short_help = true)]
    pub fail_if: Vec<FailIfFound>,
    /// Draw what happened (.svg, .html; - draws it here)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = picture())]
    pub timeline: Option<Picture>,
    /// table or json
    #[arg(long, value_name = "FORMAT", default_value = "table", hide_possible_values = true)]
    pub format: CheckFormat,
    /// Print nothing but errors
    #[arg(long, hide_short_help = true)]
    pub quiet: bool,
    /// End when there are so many observations
    #[arg(long, value_name = "N", hide = true, default_value_t = ROOM)]
    pub room: usize,
}

/// Release a lock whose owner is dead, or one by force
#[derive(Debug, Clone, PartialEq, Args)]
#[command(disable_help_flag = true)]
#[command(
    override_usage = "nodb-trigger unlock [OPTIONS] <RUN> <FILE>\n       nodb-trigger unlock [OPTIONS] <KEY>"
)]
#[command(after_help = "\
Examples:
  nodb-trigger unlock my-run wepp.nodb --dry-run
  nodb-trigger unlock lock:invoice:7 --token 0a1b2c3d --force

Exit status: 0 it is not locked any more, 1 it was left, or there is no such KEY")]
#[command(after_long_help = "\
A lock whose owner lives, or of which that can't be told (another host), stays without --force. \
With it, only the very value that was found is removed: whoever takes the lock meanwhile keeps it. \
Run it where the application runs: from a container of the same name but other process numbers, a \
living owner looks dead. KEY is the lock of any library, as redis-cli or status shows it; with it \
goes what the library's own release removes, and its waiters are woken.

Examples:
  nodb-trigger unlock my-run wepp.nodb --dry-run
  nodb-trigger unlock my-run _pups/omni/a/wepp.nodb --token 0f3a9c41 --force
  nodb-trigger unlock lock:invoice:7 --token 0a1b2c3d --force

Exit status: 0 it is not locked any more, or RUN FILE was not,
             1 it was left: its owner may live, or is another now; or no such KEY")]
pub struct UnlockArgs {
    /// The run's id, or a path to its directory (with a '/' in it)
    #[arg(value_name = "RUN|KEY", value_hint = ValueHint::AnyPath)]
    pub run: String,
    /// The file as status shows it: relative to the run's root
    #[arg(value_name = "FILE")]
    pub file: Option<String>,
    /// Only of this token (8 characters of a UUID will do)
    // Or `sha1:` and the digest of the whole value.
    #[arg(long, value_name = "TOKEN")]
    pub token: Option<String>,
    /// Also if the owner lives, or if that can't be told
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub options: RecoverOptions,
}

/// Remove locks of dead owners, of a run or of all
#[derive(Debug, Clone, PartialEq, Args)]
#[command(disable_help_flag = true)]
#[command(
    override_usage = "nodb-trigger clear_locks [OPTIONS] <RUN|DIRECTORY|--all|--pattern <GLOB>>"
)]
#[command(after_help = "\
Examples:
  nodb-trigger clear_locks my-run --dry-run
  nodb-trigger clear_locks --all --older-than 1d

Exit status: 0 all dead ones are gone, 1 with --force: not all are gone")]
#[command(after_long_help = "\
Locks whose owners live, or of which that can't be told (another host, no owner in the payload), \
stay without --force; where it can't be told, --older-than and --no-ttl stand in (both, if both are \
given). What only looks like a lock always stays. Each is removed only if it is still the one that was \
found. --format json has what puts them back. Run it where the application runs: elsewhere a living \
owner may look dead.

Examples:
  nodb-trigger clear_locks my-run --dry-run
  nodb-trigger clear_locks my-run --scope _pups/omni
  nodb-trigger clear_locks --all --older-than 1d

Exit status: 0 all dead ones are gone, whatever else was left,
             1 with --force: not all are gone")]
pub struct ClearArgs {
    /// The run's id, or a path to its directory (with a '/' in it)
    #[arg(value_name = "RUN|DIRECTORY", value_hint = ValueHint::AnyPath)]
    #[arg(required_unless_present_any = ["all", "patterns"])]
    pub run: Option<String>,
    /// All runs, and the locks of other libraries
    #[arg(long, conflicts_with = "run")]
    pub all: bool,
    /// Only keys that match, of any library (repeatable)
    #[arg(long = "pattern", value_name = "GLOB", value_parser = pattern)]
    #[arg(conflicts_with_all = ["run", "all"])]
    pub patterns: Vec<String>,
    /// Only this file, or directory, below the run's root
    #[arg(long, value_name = "PATH", conflicts_with_all = ["all", "patterns"])]
    pub scope: Option<String>,
    /// Also of an owner that can't be checked, this long ago
    #[arg(long, value_name = "AGE", value_parser = parse_duration)]
    pub older_than: Option<Duration>,
    /// Also of an owner that can't be checked, without a TTL
    #[arg(long)]
    pub no_ttl: bool,
    /// Also if the owner lives, or if that can't be told
    #[arg(long)]
    pub force: bool,
    /// With --force, don't ask
    #[arg(long, requires = "force")]
    pub yes: bool,
    #[command(flatten)]
    pub options: RecoverOptions,
}

/// Make the flags of a run, or of all, agree with the locks
#[derive(Debug, Clone, PartialEq, Args)]
#[command(disable_help_flag = true)]
#[command(override_usage = "nodb-trigger repair [OPTIONS] <RUNID|DIRECTORY|--all>")]
#[command(after_help = "\
The lock key is the truth; no lock is touched. A flag is written only if it exists and is wrong.

Examples:
  nodb-trigger repair my-run
  nodb-trigger repair --all --dry-run")]
pub struct RepairArgs {
    /// The run's id, or a path to its directory (with a '/' in it)
    #[arg(value_name = "RUNID|DIRECTORY", value_hint = ValueHint::AnyPath)]
    #[arg(required_unless_present = "all")]
    pub run: Option<String>,
    /// All runs of this Redis
    #[arg(long, conflicts_with = "run")]
    pub all: bool,
    #[command(flatten)]
    pub options: RecoverOptions,
}

/// What all commands that recover are told.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct RecoverOptions {
    /// Say what would be done, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Formats of one's own, in TOML (repeatable)
    #[arg(long = "formats", value_name = "FILE", value_hint = ValueHint::FilePath)]
    #[arg(hide_short_help = true)]
    pub formats: Vec<PathBuf>,
    /// The Redis [default: REDIS_URL, or localhost]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    #[arg(
        long_help = "The Redis [default: that of REDIS_URL, RQ_REDIS_URL, SESSION_REDIS_URL, or \
                       REDIS_HOST and REDIS_PORT, else localhost]"
    )]
    pub redis: Option<ServerUrl>,
    /// table or json
    #[arg(long, value_name = "FORMAT", default_value = "table", hide_possible_values = true)]
    pub format: CheckFormat,
    /// Print nothing but errors
    #[arg(long, hide_short_help = true)]
    pub quiet: bool,
    /// Colour: auto, always or never
    #[arg(long, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    #[arg(hide_short_help = true)]
    pub color: Color,
    /// Show each Redis command and reply with its time on stderr
    #[arg(short, long)]
    pub verbose: bool,
}
