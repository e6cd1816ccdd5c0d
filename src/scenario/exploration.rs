//! What the exploration of a scenario must come to: which orderings are tried, and what must be
//! found in them.

use super::declared;
use super::error::ScenarioError;
use super::expect::findings;
use super::names::{OnlyFor, only_for};
use super::parameter::{self, MOST, Parameter};
use super::plan::Value;
use super::read::{Field, Table};
use super::step::Scope;
use super::sum::{Binding, Sum};
use super::vocabulary::{Member, PROTOCOL, Shape, names, optional, words};
use crate::check::Property;
use std::collections::BTreeMap;
use std::time::Duration;

/// When a lease may end while orderings are explored (design, "Words").
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Timing {
    /// Any actor may be paused anywhere, so a lease may end between any two steps.
    #[default]
    Async,
    /// Time passes only as the steps say; a Redis command takes none.
    Strict,
}

impl Timing {
    /// All of them.
    pub const ALL: [Timing; 2] = [Timing::Async, Timing::Strict];

    /// The word that reports, schedules and scenario files use.
    pub fn word(self) -> &'static str {
        match self {
            Timing::Async => "async",
            Timing::Strict => "strict",
        }
    }
}

/// What a file asks of the exploration of its scenario under one lock protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exploration {
    /// When leases may end.
    pub timing: Timing,
    /// How many actors may be killed in one ordering.
    pub crashes: u32,
    /// How many commands or replies may be lost, or commands be late, in one ordering.
    pub faults: u32,
    /// How many preemptions there may be in one ordering; any number, if none is said.
    pub preemptions: Option<u32>,
    /// How long it may take.
    pub max_time: Option<Duration>,
    /// What some ordering must violate.
    pub finds: Vec<Property>,
    /// What no ordering may violate.
    pub free_of: Vec<Property>,
    /// The values to [bind](super::Scenario::bind) the plan with.
    pub with: BTreeMap<String, Value>,
}

/// What an exploration may say.
pub(super) const MEMBERS: [Member; 9] = [
    PROTOCOL,
    optional("timing", Shape::Word(|| words(&timings())), "when leases may end; async if left out"),
    optional("crashes", Shape::Count, "how many actors may be killed in one ordering"),
    optional(
        "faults",
        Shape::Count,
        "how many commands or replies may be lost or late in one ordering",
    ),
    optional("preemptions", Shape::Count, "how many preemptions one ordering may have"),
    optional("max_time", Shape::Time, "how long it may take"),
    optional("finds", Shape::Words(explored), "what some ordering must violate"),
    optional("free_of", Shape::Words(explored), "what no ordering may violate"),
    optional("with", Shape::Values, "values of parameters, in place of their defaults"),
];

fn timings() -> [(&'static str, Timing); Timing::ALL.len()] {
    Timing::ALL.map(|timing| (timing.word(), timing))
}

fn explored() -> Vec<&'static str> {
    Property::explored().map(Property::word).collect()
}

/// The most explorations that a file may ask for.
const MOST_EXPLORATIONS: usize = 100;

/// All explorations that a file asks for.
pub(super) fn explorations(
    root: &Table<'_>,
    scope: &mut Scope<'_>,
) -> Result<Vec<ExplorationSpec>, ScenarioError> {
    let items = root.items("explore")?;
    if let Some(item) = items.get(MOST_EXPLORATIONS) {
        return Err(item.error(format!("at most {MOST_EXPLORATIONS} explorations")));
    }
    items.into_iter().map(|item| ExplorationSpec::read(item, scope)).collect()
}

/// An exploration with its sums not worked out.
#[derive(Debug, Clone)]
pub(super) struct ExplorationSpec {
    protocol: OnlyFor,
    timing: Timing,
    crashes: Option<Sum>,
    faults: Option<Sum>,
    preemptions: Option<Sum>,
    max_time: Option<Sum>,
    findings: Vec<(Property, bool)>,
    with: BTreeMap<String, Value>,
}

impl ExplorationSpec {
    fn read(item: Field<'_>, scope: &mut Scope<'_>) -> Result<Self, ScenarioError> {
        let table = item.table("an exploration")?;
        table.only(&names(&MEMBERS))?;
        let protocol = only_for(&table)?;
        let timing = table.get("timing").map(|field| field.word(&timings())).transpose()?;
        let findings = findings(&table, Property::not_explored)?;
        if findings.is_empty() {
            return Err(table.error("an exploration needs \"finds\" or \"free_of\""));
        }
        let mut count = |name| {
            let field = table.get(name);
            field.map(|field| Sum::count(field, &mut scope.parameters)).transpose()
        };
        Ok(Self {
            protocol,
            timing: timing.unwrap_or_default(),
            crashes: count("crashes")?,
            faults: count("faults")?,
            preemptions: count("preemptions")?,
            max_time: scope.time(&table, "max_time")?,
            findings,
            with: with(&table, scope.parameters.declared())?,
        })
    }

    /// Whether it is for this protocol.
    pub(super) fn is_for(&self, protocol: &str) -> bool {
        self.protocol.is_none_or(|own| own == protocol)
    }

    /// The values to bind with: those that are given, and its own for the others.
    pub(super) fn with(&self, given: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
        let mut with = self.with.clone();
        with.extend(given.iter().map(|(name, value)| (name.clone(), *value)));
        with
    }

    /// The exploration; `with` are the values that the binding was made of.
    pub(super) fn bind(
        &self,
        binding: &Binding,
        with: BTreeMap<String, Value>,
    ) -> Result<Exploration, ScenarioError> {
        let count =
            |sum: &Option<Sum>| sum.as_ref().map(|sum| sum.to_count(binding, MOST)).transpose();
        let max_time = self.max_time.as_ref().map(|sum| sum.to_duration(binding)).transpose()?;
        let those = |wanted| {
            let such = self.findings.iter().filter(move |(_, found)| *found == wanted);
            such.map(|(property, _)| *property).collect()
        };
        Ok(Exploration {
            timing: self.timing,
            crashes: count(&self.crashes)?.unwrap_or(0),
            faults: count(&self.faults)?.unwrap_or(0),
            preemptions: count(&self.preemptions)?,
            max_time,
            finds: those(true),
            free_of: those(false),
            with,
        })
    }
}

/// The values that it gives to parameters.
fn with(
    table: &Table<'_>,
    declared: &[Parameter],
) -> Result<BTreeMap<String, Value>, ScenarioError> {
    let Some(field) = table.get("with") else { return Ok(BTreeMap::new()) };
    let value = |field: Field<'_>| {
        let found = parameter::find(declared, field.name);
        let (_, parameter) = found.map_err(|message| field.error_at_key(message))?;
        Ok((parameter.name.clone(), declared::value(parameter, field)?))
    };
    field.table("\"with\"")?.in_order().into_iter().map(value).collect()
}
