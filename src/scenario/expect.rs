//! The expectations of a scenario file.

use super::error::{ScenarioError, unknown};
use super::parameter::MOST;
use super::plan::{Expectation, Status};
use super::read::{Field, Table};
use super::step::Scope;
use super::sum::{Binding, Condition, Sum};
use crate::lock::Diagnosis;
use std::collections::BTreeSet;

/// The lock protocols that an expectation can be for.
const PROTOCOLS: [(&str, &str); 2] = [("legacy", "legacy"), ("hardened", "hardened")];

/// The names of the lock protocols.
pub(super) fn protocols() -> [&'static str; 2] {
    PROTOCOLS.map(|(name, _)| name)
}

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
const CASE: [&str; 3] = ["protocol", "when", "all"];

/// The members that say what kind of thing is expected.
const KINDS: [&str; 7] =
    ["actor", "step", "snapshot", "updates", "succeeded", "already_locked", "errors"];

/// What can be expected.
const WHAT: [&str; 12] = [
    "actors",
    "succeeded",
    "already_locked",
    "errors",
    "actor",
    "step",
    "status",
    "error",
    "snapshot",
    "diagnosis",
    "updates",
    "lock",
];

/// What is expected of some protocol and some values, with its sums not worked out.
#[derive(Debug, Clone)]
pub(super) struct ExpectSpec {
    protocol: Option<&'static str>,
    when: Vec<Condition>,
    all: Vec<What>,
}

#[derive(Debug, Clone)]
enum What {
    Totals { group: Option<String>, counts: Vec<(Status, Sum)> },
    Updates { lock: usize, count: Sum },
    Fixed(Expectation),
}

impl ExpectSpec {
    pub(super) fn read(item: Field<'_>, scope: &mut Scope<'_>) -> Result<Self, ScenarioError> {
        let table = item.table("an expectation")?;
        table.only(&[&CASE[..], &WHAT[..]].concat())?;
        let protocol = table.get("protocol").map(|field| field.word(&PROTOCOLS)).transpose()?;
        let when = table.get("when").map_or(Ok(Vec::new()), |field| field.one_or_more())?;
        let when = when.into_iter().map(|field| Condition::read(field, &mut scope.parameters));
        let when = when.collect::<Result<_, _>>()?;
        let all = match table.get("all") {
            None => vec![What::read(&table, scope)?],
            Some(list) => {
                with(&table, list, &[])?;
                let mut all = Vec::new();
                for item in list.items()? {
                    let table = item.table("an expectation")?;
                    table.only(&WHAT)?;
                    all.push(What::read(&table, scope)?);
                }
                all
            }
        };
        Ok(Self { protocol, when, all })
    }

    /// What it comes to; nothing if it isn't for this protocol or these values.
    pub(super) fn bind(
        &self,
        binding: &Binding,
        protocol: &str,
    ) -> Result<Vec<Expectation>, ScenarioError> {
        let meant = self.protocol.is_none_or(|own| own == protocol)
            && self.when.iter().all(|condition| condition.holds(binding.values));
        let mut expectations = Vec::new();
        for what in self.all.iter().filter(|_| meant) {
            expectations.extend(what.bind(binding)?);
        }
        Ok(expectations)
    }
}

impl What {
    fn read(table: &Table<'_>, scope: &mut Scope<'_>) -> Result<Self, ScenarioError> {
        let totals: Vec<Field<'_>> = table
            .in_order()
            .into_iter()
            .filter(|field| TOTALS.iter().any(|(name, _)| *name == field.name))
            .collect();
        if !totals.is_empty() {
            return Self::totals(table, &totals, scope);
        }
        let kind = table.one_of(&KINDS)?;
        match kind.name {
            "actor" => {
                with(table, kind, &["status", "error"])?;
                let group = known(kind, "actor", &scope.groups)?;
                let (status, error) = end(table)?;
                Ok(Self::Fixed(Expectation::Actor { group, status, error }))
            }
            "step" => {
                with(table, kind, &["status", "error"])?;
                let step = known(kind, "step", &scope.steps)?;
                let (status, error) = end(table)?;
                Ok(Self::Fixed(Expectation::Step { step, status, error }))
            }
            "snapshot" => {
                with(table, kind, &["diagnosis"])?;
                let label = known(kind, "snapshot", &scope.labels)?;
                let words = Diagnosis::ALL.map(|diagnosis| (diagnosis.word(), diagnosis.word()));
                let diagnosis = table.need("diagnosis")?.word(&words)?.to_owned();
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
        let group =
            table.get("actors").map(|field| known(field, "actor", &scope.groups)).transpose()?;
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

/// A name that must be among these.
fn known(field: Field<'_>, kind: &str, names: &BTreeSet<String>) -> Result<String, ScenarioError> {
    let name = field.text()?;
    if names.contains(name) {
        return Ok(name.to_owned());
    }
    Err(field.error(unknown(kind, name, names.iter().map(|name| &**name))))
}
