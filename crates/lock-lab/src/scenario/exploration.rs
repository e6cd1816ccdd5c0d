//! What the exploration of a scenario must come to: which orderings are tried, and what must be
//! found in them.

use super::declarations;
use super::expect::{Properties, findings};
use super::form::*;
use super::parameter::{self, MOST};
use super::plan::Value;
use crate::lock::Ttl;
use lock_history::check::Property;
use std::collections::BTreeMap;
use std::time::Duration;

/// When a lease may end while orderings are explored.
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
    /// How many actors may crash in one ordering.
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

form! {
    /// What an exploration may say.
    ExplorationForm<'a>: "exploration", "an exploration" {
        protocol: Option<Protocols> = ONLY_UNDER,
        timing: Option<Word<Timing>> = "when leases may end; async if left out",
        crashes: Option<Count<0, MOST>> = "how many actors may be killed in one ordering",
        faults: Option<Count<0, MOST>> =
            "how many commands or replies may be lost or late in one ordering",
        preemptions: Option<Count<0, MOST>> = "how many preemptions one ordering may have",
        max_time: Option<Time> = "how long it may take",
        finds: Option<Explored> = "what some ordering must violate",
        free_of: Option<Explored> = "what no ordering may violate",
        with: Option<Values> = "values of parameters, in place of their defaults",
    }
}

impl Words for Timing {
    fn words() -> Vec<(&'static str, Self)> {
        Self::ALL.map(|timing| (timing.word(), timing)).to_vec()
    }
}

shapes! {
    /// Words for what exploration can judge.
    Explored: Vec<Placed<'a, Property>>,
        one_or_more(json!({ "enum": Property::explored().map(Property::word).collect::<Vec<_>>() })),
        |field, scope| Properties::read(field, scope);
}

/// All explorations that a file asks for under the protocol that is bound. Values that are given go
/// before those that the file names.
pub(super) fn explorations(
    items: Vec<Field<'_>>,
    given: &BTreeMap<String, Value>,
    default_ttl: Ttl,
    scope: &mut Scope<'_>,
) -> Vec<Exploration> {
    /// The most explorations that a file may ask for.
    const MOST_EXPLORATIONS: usize = 100;
    if let Some(item) = items.get(MOST_EXPLORATIONS) {
        scope.flaws.push(item.error(format!("at most {MOST_EXPLORATIONS} explorations")));
    }
    let mut explorations = Vec::new();
    for item in items.into_iter().take(MOST_EXPLORATIONS) {
        let read = exploration(item, given, default_ttl, scope);
        explorations.extend(scope.note(read).flatten());
    }
    explorations
}

/// Reads an exploration; gives nothing if it is for another protocol.
fn exploration(
    item: Field<'_>,
    given: &BTreeMap<String, Value>,
    default_ttl: Ttl,
    scope: &mut Scope<'_>,
) -> Result<Option<Exploration>> {
    let table = ExplorationForm::table(item, scope)?;
    let late = scope.late.len();
    let with = with(&table, scope);
    let with = scope.note(with);
    let is_bound = with.is_some();
    let mut with = with.unwrap_or_default();
    with.extend(given.iter().map(|(name, value)| (name.clone(), *value)));
    scope.parameters.bind(&with, default_ttl);
    let form = ExplorationForm::read(table, scope);
    let findings = findings(form.finds, form.free_of, Property::not_explored, scope);
    if !form.table.may_have("finds") && !form.table.may_have("free_of") {
        scope.flaws.push(form.table.error("an exploration needs \"finds\" or \"free_of\""));
    }
    let protocol = scope.only_for(&form.table, form.protocol);
    if !scope.is_for(protocol) || !is_bound {
        scope.late.truncate(late);
        return Ok(None);
    }
    let those = |wanted| {
        let such = findings.iter().filter(move |(_, found)| *found == wanted);
        such.map(|(property, _)| *property).collect()
    };
    Ok(Some(Exploration {
        timing: form.timing.unwrap_or_default(),
        crashes: form.crashes.unwrap_or(0),
        faults: form.faults.unwrap_or(0),
        preemptions: form.preemptions,
        max_time: form.max_time,
        finds: those(true),
        free_of: those(false),
        with,
    }))
}

/// The values that it gives to parameters.
fn with(table: &Table<'_>, scope: &mut Scope<'_>) -> Result<BTreeMap<String, Value>> {
    let Some(field) = table.get("with") else { return Ok(BTreeMap::new()) };
    let fields = field.table("\"with\"")?.fields;
    let values: Vec<_> = fields.into_iter().map(|field| value(field, scope)).collect();
    // What is wrong with each is noted.
    let values: Vec<_> = values.into_iter().map(|value| scope.note(value)).collect();
    values.into_iter().collect::<Option<_>>().ok_or(Unread::Noted)
}

/// The value that it gives to a parameter.
fn value(field: Field<'_>, scope: &Scope<'_>) -> Result<(String, Value)> {
    let parameters = &scope.parameters;
    let (position, parameter) = match parameter::find(&parameters.declared, field.name) {
        Ok(found) => found,
        Err(_) if parameters.is_open => return Err(Unread::Noted),
        Err(message) => return Err(field.error_at_key(message)),
    };
    if parameters.unread.contains(&position) {
        return Err(Unread::Noted);
    }
    Ok((parameter.name.clone(), declarations::value(parameter, field)?))
}
