//! The arguments of `explore`.

use super::super::execute::TTL_VARIABLE;
use super::complete::offering;
use super::flags::{
    ReportOptions, help_flag, lock_protocol, report_flags, report_options, switch, value,
};
use super::timeline::{Picture, timeline};
use super::{NAME, hyphened, one};
use crate::check::Property;
use crate::lock::LockProtocol;
use crate::runtime::Timing;
use crate::scenario::{Scenario, parse_duration};
use clap::builder::{PathBufValueParser, PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint, value_parser};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long an exploration may take if nobody says.
pub const DEFAULT_MAX_TIME: Duration = Duration::from_secs(60);
/// The depth of the bugs that `pct` looks for if nobody says.
pub const DEFAULT_DEPTH: u32 = 3;

/// What `explore` was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct ExploreArgs {
    /// The file or the name, as it was given.
    pub what: PathBuf,
    /// The parameters that were given, by name in snake_case, not read yet.
    pub values: BTreeMap<String, String>,
    /// `--lock`; both protocols, if none is said.
    pub lock: Option<&'static Arc<dyn LockProtocol>>,
    /// `--wait`: how long an acquire keeps trying.
    pub wait: Duration,
    /// `--timing`; as the scenario file says, if it is not said. So are the bounds below.
    pub timing: Option<Timing>,
    /// `--crashes`.
    pub crashes: Option<u32>,
    /// `--faults`.
    pub faults: Option<u32>,
    /// `--property`: what is judged and shown; what the scenario says, if none is.
    pub properties: Vec<Property>,
    /// `--preemptions`.
    pub preemptions: Option<u32>,
    /// `--max-schedules`.
    pub max_schedules: Option<u64>,
    /// `--max-time`.
    pub max_time: Option<Duration>,
    /// `--strategy`.
    pub strategy: StrategyWord,
    /// `--seed`.
    pub seed: Option<u64>,
    /// `--depth`.
    pub depth: Option<u32>,
    /// `--jobs`: how many protocols at a time, if it was said.
    pub jobs: Option<NonZeroUsize>,
    /// `--all`: show the steps that do not matter, too.
    pub all: bool,
    /// What becomes of the report.
    pub report: ReportOptions,
    /// `--timeline`: of the first counterexample that is shown.
    pub timeline: Option<Picture>,
}

/// `--strategy`, without its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StrategyWord {
    /// All orderings.
    Exhaustive,
    /// Orderings drawn at random.
    Random,
    /// Orderings by random priorities.
    Pct,
}

pub(super) fn explore_args(given: &ArgMatches) -> Option<ExploreArgs> {
    Some(ExploreArgs { lock: one(given, "lock"), jobs: one(given, "jobs"), ..explored(given)? })
}

/// What is explored and how far, whatever the lock protocol.
pub(super) fn explored(given: &ArgMatches) -> Option<ExploreArgs> {
    let own = given.ids().filter_map(|id| {
        let name = id.as_str().strip_prefix(PARAMETER)?;
        Some((name.to_owned(), one::<String>(given, id.as_str())?))
    });
    let named = given.get_many::<(String, String)>("param").unwrap_or_default().cloned();
    Some(ExploreArgs {
        what: one(given, "what")?,
        values: own.chain(named).collect(),
        lock: None,
        wait: one(given, "wait").unwrap_or_default(),
        timing: one(given, "timing"),
        crashes: one(given, "crashes"),
        faults: one(given, "faults"),
        properties: given.get_many("property").unwrap_or_default().copied().collect(),
        preemptions: one(given, "preemptions"),
        max_schedules: one(given, "max-schedules"),
        max_time: one(given, "max-time"),
        strategy: one(given, "strategy").unwrap_or(StrategyWord::Exhaustive),
        seed: one(given, "seed"),
        depth: one(given, "depth"),
        jobs: None,
        all: given.get_flag("all"),
        report: report_options(given),
        timeline: one(given, "timeline"),
    })
}

const EXAMPLES: &str = "\
Examples:
  nodb-trigger explore check_then_delete
  nodb-trigger explore my_scenario.toml --lock hardened --crashes 1";

/// What the id of a scenario's own flag begins with.
const PARAMETER: &str = "parameter ";

pub(super) fn command(scenarios: &[Scenario]) -> Command {
    Command::new("explore")
        .about("Run all orderings of a scenario's steps: prove or break it")
        .after_help(EXAMPLES)
        .after_long_help(format!(
            "A built-in scenario's own flags may stand here, too (nodb-trigger NAME --help).\n\
             A lock without a TTL of its own has that of {TTL_VARIABLE}.\n\n{EXAMPLES}"
        ))
        .disable_help_flag(true)
        .arg(
            Arg::new("what")
                .value_name("NAME|FILE")
                .value_hint(ValueHint::FilePath)
                .value_parser(offering(scenarios, PathBufValueParser::new()))
                .hide_possible_values(true)
                .required(true)
                .help("A built-in scenario, or a scenario file"),
        )
        .args(parameters(scenarios))
        .next_help_heading("Explore")
        .args(what_flags())
        .next_help_heading("Bounds")
        .args(bound_flags())
        .next_help_heading("Report")
        .arg(switch("all").help("Show the steps that do not matter, too"))
        .args(report_flags())
        .arg(timeline().help("Draw the first counterexample (.svg, .html or -)"))
        .arg(help_flag())
}

/// The flags of all scenarios, to be read by the one that is meant.
fn parameters(scenarios: &[Scenario]) -> impl Iterator<Item = Arg> {
    let names = scenarios.iter().flat_map(Scenario::parameters).map(|it| it.name.clone());
    names.collect::<BTreeSet<_>>().into_iter().map(|name| {
        let id = format!("{PARAMETER}{name}");
        Arg::new(id).long(hyphened(&name)).value_name("VALUE").hide(true).allow_hyphen_values(true)
    })
}

pub(super) fn what_flags() -> [Arg; 7] {
    [
        value("lock", "PROTOCOL")
            .value_parser(lock_protocol())
            .hide_possible_values(true)
            .help("Lock protocol: legacy or hardened [default: both]"),
        value("param", "NAME=VALUE")
            .action(ArgAction::Append)
            .value_parser(parameter)
            .help("Give a parameter of the scenario a value"),
        value("wait", "DURATION")
            .allow_hyphen_values(true)
            .value_parser(parse_duration)
            .help("Keep trying for a taken lock [default: 0s]")
            .long_help("Keep trying for a taken lock this long [default: 0s]"),
        value("timing", "TIMING")
            .allow_hyphen_values(true)
            .value_parser(timing())
            .hide_possible_values(true)
            .help("async (pauses anywhere) or strict [default: async]"),
        value("crashes", "N")
            .allow_hyphen_values(true)
            .value_parser(value_parser!(u32))
            .help("Kill up to so many actors, anywhere [default: 0]"),
        value("faults", "N")
            .allow_hyphen_values(true)
            .value_parser(value_parser!(u32))
            .help("Lose or delay up to so many commands [default: 0]"),
        value("property", "WORD")
            .action(ArgAction::Append)
            .value_parser(property())
            .hide_possible_values(true)
            .help("Judge only this; may be said again")
            .long_help("Judge only this; repeatable [default: the scenario's]"),
    ]
}

pub(super) fn bound_flags() -> [Arg; 7] {
    [
        value("preemptions", "N")
            .allow_hyphen_values(true)
            .value_parser(value_parser!(u32))
            .help("At most so many in an ordering [default: any]"),
        value("max-schedules", "N")
            .allow_hyphen_values(true)
            .value_parser(value_parser!(u64).range(1..))
            .help("Stop after so many orderings"),
        value("max-time", "DURATION")
            .allow_hyphen_values(true)
            .value_parser(max_time)
            .help("Stop after this long [default: 60s]"),
        value("strategy", "WORD")
            .value_parser(strategy())
            .hide_possible_values(true)
            .help("exhaustive, random or pct [default: exhaustive]"),
        value("seed", "N")
            .allow_hyphen_values(true)
            .value_parser(value_parser!(u64))
            .help("Draw from this seed (random, pct) [default: 0]"),
        value("depth", "N")
            .allow_hyphen_values(true)
            .value_parser(value_parser!(u32).range(1..))
            .help("Look for bugs of this depth (pct) [default: 3]"),
        value("jobs", "N")
            .hide_short_help(true)
            .allow_hyphen_values(true)
            .value_parser(value_parser!(NonZeroUsize))
            .help("Use so many cores [default: all]"),
    ]
}

fn parameter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.replace('-', "_"), value.to_owned())),
        _ => Err("give a name and a value, as in 'threads=3'".into()),
    }
}

/// Takes one of some words.
fn one_of<T: Copy + Send + Sync + 'static>(
    words: impl IntoIterator<Item = (&'static str, T)>,
) -> impl TypedValueParser<Value = T> {
    let words: Vec<(&'static str, T)> = words.into_iter().collect();
    let shown = words.iter().map(|(word, _)| spelled(word));
    PossibleValuesParser::new(shown.collect::<Vec<_>>()).try_map(move |given| {
        let given = given.replace('-', "_");
        let found = words.iter().find(|(word, _)| *word == given).map(|(_, value)| *value);
        found.ok_or("no such word")
    })
}

/// A word, which may have hyphens in place of its underscores.
fn spelled(word: &'static str) -> PossibleValue {
    let hyphens = Some(hyphened(word)).filter(|hyphens| hyphens != word);
    PossibleValue::new(word).aliases(hyphens)
}

fn timing() -> impl TypedValueParser<Value = Timing> {
    one_of([("async", Timing::Async), ("strict", Timing::Strict)])
}

fn strategy() -> impl TypedValueParser<Value = StrategyWord> {
    one_of([
        ("exhaustive", StrategyWord::Exhaustive),
        ("random", StrategyWord::Random),
        ("pct", StrategyWord::Pct),
    ])
}

fn property() -> impl TypedValueParser<Value = Property> {
    // A word that is hidden is offered nowhere, and its refusal can say why.
    let shown = Property::ALL.map(|it| spelled(it.word()).hide(it.not_explored().is_some()));
    PossibleValuesParser::new(shown).try_map(|given| {
        let given = given.replace('-', "_");
        let found = Property::ALL.into_iter().find(|property| property.word() == given);
        let found = found.ok_or("no such word")?;
        match found.not_explored() {
            None => Ok(found),
            Some(why) => {
                Err(format!("{given} {why}; run '{NAME} {given}', or '{NAME} check' on a history"))
            }
        }
    })
}

fn max_time(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("give more than 0s".into()),
        duration => Ok(duration),
    }
}
