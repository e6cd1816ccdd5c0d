//! The expectations of a scenario file.

use super::error::{ScenarioError, quoted, unknown};
use super::names::{OnlyFor, only_for};
use super::parameter::MOST;
use super::read::{Field, Table};
use super::step::Scope;
use super::sum::{Binding, Condition, Sum};
use super::vocabulary::{Member, PROTOCOL, Shape, names, optional, words};
use crate::check::{Expectation, Property, Status};
use crate::lock::Diagnosis;

const STATUSES: [(&str, Status); 3] = [
    ("success", Status::Success),
    ("already_locked", Status::AlreadyLocked),
    ("error", Status::Error),
];

/// Totals, and the status that each counts.
const TOTALS: [(&str, Status); 3] = [
    ("succeeded", Status::Success),
    ("already_locked", Status::AlreadyLocked),
    ("errors", Status::Error),
];

/// When something is expected, and the list of what, where it is more than one thing.
pub(super) const CASE: [Member; 3] = [
    PROTOCOL,
    optional("when", Shape::Conditions, "only for values of which this is true"),
    optional("all", Shape::List("expected"), "what is expected, if it is more than one thing"),
];

/// The members that say what kind of thing is expected.
pub(super) const KINDS: [&str; 9] = [
    "actor",
    "step",
    "snapshot",
    "updates",
    "succeeded",
    "already_locked",
    "errors",
    "finds",
    "free_of",
];

/// What can be expected.
pub(super) const WHAT: [Member; 14] = [
    optional("actors", Shape::Reference, "only those of this name are counted"),
    optional("succeeded", Shape::Count, "how many actors end well"),
    optional("already_locked", Shape::Count, "how many are refused the lock"),
    optional("errors", Shape::Count, "how many fail otherwise"),
    optional("actor", Shape::Reference, "how the actors of this name end"),
    optional("step", Shape::Reference, "how this step ends, each time that it is taken"),
    optional("status", Shape::Word(|| words(&STATUSES)), "how it ends"),
    optional("error", Shape::Line, "a part of the message"),
    optional("snapshot", Shape::Reference, "what the snapshot with this label shows"),
    optional("diagnosis", Shape::Word(|| words(&diagnoses())), "what it shows, in a word"),
    optional("updates", Shape::Count, "by how much the operation count on disk rises"),
    optional("lock", Shape::Reference, "of which lock's file"),
    optional("finds", Shape::Words(|| words(&properties())), "what the checkers must find"),
    optional("free_of", Shape::Words(|| words(&properties())), "what they must not find"),
];

fn diagnoses() -> [(&'static str, &'static str); Diagnosis::ALL.len()] {
    Diagnosis::ALL.map(|diagnosis| (diagnosis.word(), diagnosis.word()))
}

/// The words for what is looked for.
fn properties() -> [(&'static str, Property); Property::ALL.len()] {
    Property::ALL.map(|property| (property.word(), property))
}

/// What is expected of some protocol and some values, with its sums not worked out.
#[derive(Debug, Clone)]
pub(super) struct ExpectSpec {
    protocol: OnlyFor,
    when: Vec<Condition>,
    all: Vec<What>,
}

#[derive(Debug, Clone)]
enum What {
    Totals { group: Option<String>, counts: Vec<(Status, Sum)> },
    Updates { lock: usize, count: Sum },
    Findings(Vec<(Property, bool)>),
    Fixed(Expectation),
}

impl ExpectSpec {
    pub(super) fn read(item: Field<'_>, scope: &mut Scope<'_>) -> Result<Self, ScenarioError> {
        let table = item.table("an expectation")?;
        table.only(&[names(&CASE), names(&WHAT)].concat())?;
        let protocol = only_for(&table)?;
        let when = table.get("when").map_or(Ok(Vec::new()), |field| field.one_or_more())?;
        let when = when.into_iter().map(|field| Condition::read(field, &mut scope.parameters));
        let when = when.collect::<Result<_, _>>()?;
        let all = match table.get("all") {
            None => vec![What::read(&table, protocol, scope)?],
            Some(list) => {
                with(&table, list, &[])?;
                let mut all = Vec::new();
                for item in list.items()? {
                    let table = item.table("an expectation")?;
                    table.only(&names(&WHAT))?;
                    all.push(What::read(&table, protocol, scope)?);
                }
                all
            }
        };
        Ok(Self { protocol, when, all })
    }

    /// What it comes to; nothing if it isn't for this protocol or these values.
    pub(super) fn bind(&self, binding: &Binding) -> Result<Vec<Expectation>, ScenarioError> {
        let meant = self.protocol.is_none_or(|own| own == binding.protocol)
            && self.when.iter().all(|condition| condition.holds(binding.values));
        let mut expectations = Vec::new();
        for what in self.all.iter().filter(|_| meant) {
            expectations.extend(what.bind(binding)?);
        }
        Ok(expectations)
    }
}

impl What {
    fn read(
        table: &Table<'_>,
        protocol: OnlyFor,
        scope: &mut Scope<'_>,
    ) -> Result<Self, ScenarioError> {
        let totals: Vec<Field<'_>> = table
            .in_order()
            .into_iter()
            .filter(|field| TOTALS.iter().any(|(name, _)| *name == field.name))
            .collect();
        if !totals.is_empty() {
            return Self::totals(table, &totals, scope);
        }
        if let Some(first) = table.get("finds").or(table.get("free_of")) {
            with(table, first, &["finds", "free_of"])?;
            return Ok(Self::Findings(findings(table, |_| None)?));
        }
        let kind = table.one_of(&KINDS)?;
        match kind.name {
            "actor" => {
                with(table, kind, &["status", "error"])?;
                let group = known_actor(kind, scope)?;
                let (status, error) = end(table)?;
                Ok(Self::Fixed(Expectation::Actor { group, status, error }))
            }
            "step" => {
                with(table, kind, &["status", "error"])?;
                let step = scope.steps.known(kind, "step", protocol)?;
                let (status, error) = end(table)?;
                Ok(Self::Fixed(Expectation::Step { step, status, error }))
            }
            "snapshot" => {
                with(table, kind, &["diagnosis"])?;
                let label = scope.labels.known(kind, "snapshot", protocol)?;
                let diagnosis = table.need("diagnosis")?.word(&diagnoses())?.to_owned();
                Ok(Self::Fixed(Expectation::Snapshot { label, diagnosis }))
            }
            _ => {
                with(table, kind, &["lock"])?;
                let lock = match table.get("lock") {
                    Some(field) => scope.lock(field)?,
                    None => scope.only_lock(table)?,
                };
                Ok(Self::Updates { lock, count: Sum::count(kind, &mut scope.parameters)? })
            }
        }
    }

    fn totals(
        table: &Table<'_>,
        totals: &[Field<'_>],
        scope: &mut Scope<'_>,
    ) -> Result<Self, ScenarioError> {
        let Some(first) = totals.first() else {
            return Err(table.error("a total is missing"));
        };
        with(table, *first, &["actors", "succeeded", "already_locked", "errors"])?;
        let group = table.get("actors").map(|field| known_actor(field, scope)).transpose()?;
        let mut counts = Vec::new();
        for (name, status) in TOTALS {
            if let Some(field) = table.get(name) {
                counts.push((status, Sum::count(field, &mut scope.parameters)?));
            }
        }
        Ok(Self::Totals { group, counts })
    }

    fn bind(&self, binding: &Binding) -> Result<Vec<Expectation>, ScenarioError> {
        match self {
            Self::Totals { group, counts } => counts
                .iter()
                .map(|(status, sum)| {
                    let count = sum.to_count(binding, MOST)?.into();
                    Ok(Expectation::Total { group: group.clone(), status: *status, count })
                })
                .collect(),
            Self::Updates { lock, count } => {
                let count = count.to_count(binding, u32::MAX)?.into();
                Ok(vec![Expectation::Updates { lock: *lock, count }])
            }
            Self::Findings(findings) => {
                let finding = |&(property, found)| Expectation::Finding { property, found };
                Ok(findings.iter().map(finding).collect())
            }
            Self::Fixed(expectation) => Ok(vec![expectation.clone()]),
        }
    }
}

/// Refuses members that don't go with what is expected.
fn with(table: &Table<'_>, kind: Field<'_>, fitting: &[&str]) -> Result<(), ScenarioError> {
    let fits =
        |name| name == kind.name || ["protocol", "when"].contains(&name) || fitting.contains(&name);
    match table.in_order().into_iter().find(|field| !fits(field.name)) {
        None => Ok(()),
        Some(field) => {
            let message = format!("\"{}\" does not go with \"{}\"", field.name, kind.name);
            Err(field.error_at_key(message))
        }
    }
}

/// What the checkers must find (`finds`), and must not (`free_of`). `refused` says why a property
/// can't be named here, if it can't.
pub(super) fn findings(
    table: &Table<'_>,
    refused: fn(Property) -> Option<&'static str>,
) -> Result<Vec<(Property, bool)>, ScenarioError> {
    let mut findings: Vec<(Property, bool)> = Vec::new();
    for (name, found) in [("finds", true), ("free_of", false)] {
        let Some(field) = table.get(name) else { continue };
        let words = field.one_or_more()?;
        if words.is_empty() {
            return Err(field.error(format!("\"{name}\" names nothing; leave it out")));
        }
        for word in words {
            let property = word.word(&properties())?;
            if let Some(why) = refused(property) {
                return Err(word.error(format!("{} {why}", quoted(property.word()))));
            }
            if findings.iter().any(|(named, _)| *named == property) {
                let message = format!("{} is named twice", quoted(property.word()));
                return Err(word.error(message));
            }
            findings.push((property, found));
        }
    }
    Ok(findings)
}

/// `status`, and the `error` that may stand beside it.
fn end(table: &Table<'_>) -> Result<(Status, Option<String>), ScenarioError> {
    let status = table.need("status")?.word(&STATUSES)?;
    let error = table.get("error");
    if let Some(field) = error
        && status == Status::Success
    {
        return Err(field.error_at_key("a success has no error; leave out \"error\""));
    }
    Ok((status, error.map(|field| field.line()).transpose()?))
}

/// A name that actors have in the file.
fn known_actor(field: Field<'_>, scope: &Scope<'_>) -> Result<String, ScenarioError> {
    let name = field.text()?;
    if scope.groups.contains(name) {
        return Ok(name.to_owned());
    }
    Err(field.error(unknown("actor", name, scope.groups.iter().map(|name| &**name))))
}
