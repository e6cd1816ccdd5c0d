//! The expectations of a scenario file.

use super::error::quoted;
use super::form::*;
use super::parameter::MOST;
use crate::lock::Diagnosis;
use lock_history::check::{Expectation, Property, Status};

form! {
    /// When something is expected, and the list of what, where it is more than one thing.
    CaseForm<'a>: "expectation", "an expectation" {
        protocol: Option<Protocols> = ONLY_UNDER,
        when: Option<Conditions> = "only for values of which this is true",
        all: Option<List<WhatForm<'a>>> = "what is expected, if it is more than one thing",
    }
}

form! {
    /// What can be expected.
    WhatForm<'a>: "expected", "an expectation" {
        actors: Option<Group> = "only those of this name are counted",
        succeeded: Option<Count<0, MOST>> = "how many actors end well",
        already_locked: Option<Count<0, MOST>> = "how many are refused the lock",
        errors: Option<Count<0, MOST>> = "how many fail otherwise",
        actor: Option<Group> = "how the actors of this name end",
        step: Option<Reference> = "how this step ends, each time that it is taken",
        status: Option<Word<Status>> = "how it ends",
        error: Option<At<Line>> = "a part of the message",
        snapshot: Option<Reference> = "what the snapshot with this label shows",
        diagnosis: Option<Word<Diagnosis>> = "what it shows, in a word",
        updates: Option<Count<0, { u32::MAX }>> = "by how much the operation count on disk rises",
        lock: Option<Lock> = "of which lock's file",
        finds: Option<Properties> = "what the checkers must find",
        free_of: Option<Properties> = "what they must not find",
    }
}

/// A kind of expectation: the member that says so, what it needs, and what may stand beside it.
type Kind = (&'static str, &'static [&'static str], &'static [&'static str]);

const TOTALS: &[&str] = &["succeeded", "already_locked", "errors"];
const BESIDE_TOTALS: &[&str] = &["actors", "succeeded", "already_locked", "errors"];
const FINDINGS: &[&str] = &["finds", "free_of"];
const KINDS: [Kind; 9] = [
    ("actor", &["status"], &["error"]),
    ("step", &["status"], &["error"]),
    ("snapshot", &["diagnosis"], &[]),
    ("updates", &[], &["lock"]),
    ("succeeded", &[], BESIDE_TOTALS),
    ("already_locked", &[], BESIDE_TOTALS),
    ("errors", &[], BESIDE_TOTALS),
    ("finds", &[], FINDINGS),
    ("free_of", &[], FINDINGS),
];

/// What may stand beside each kind, and beside a list of them.
const IN_EACH_CASE: &[&str] = &["protocol", "when"];

/// The members that say what kind of thing is expected.
pub(super) fn kinds() -> [&'static str; 9] {
    KINDS.map(|(name, ..)| name)
}

impl Words for Status {
    fn words() -> Vec<(&'static str, Self)> {
        vec![
            ("success", Self::Success),
            ("already_locked", Self::AlreadyLocked),
            ("error", Self::Error),
        ]
    }
}

impl Words for Diagnosis {
    fn words() -> Vec<(&'static str, Self)> {
        Self::ALL.map(|diagnosis| (diagnosis.word(), diagnosis)).to_vec()
    }
}

impl Words for Property {
    fn words() -> Vec<(&'static str, Self)> {
        Self::all().map(|property| (property.word(), property)).collect()
    }
}

shapes! {
    /// Words for what the checkers look for.
    Properties: Vec<Placed<'a, Property>>, one_or_more(json!({ "enum": words::<Property>() })),
        |field, scope| {
            let words = field.one_or_more()?;
            if words.is_empty() {
                return Err(field.error(format!("\"{}\" names nothing; leave it out", field.name)));
            }
            Ok(words.into_iter().filter_map(|word| {
                let property = At::<Word<Property>>::read(word, scope);
                scope.note(property)
            }).collect())
        };
}

/// All members of an expectation.
pub(super) fn all_members() -> Vec<Member> {
    [CaseForm::MEMBERS, WhatForm::MEMBERS].concat()
}

/// What is expected in one case.
struct Case {
    protocol: OnlyFor,
    /// Whether the values are those that it is meant for.
    holds: bool,
    expected: Vec<Expectation>,
}

/// What the expectations that a file does not write depend on.
pub(super) struct About {
    pub is_explored: bool,
    /// Whether actors send commands of their own, for which the protocol can't answer.
    pub has_careless_clients: bool,
}

/// Reads all expectations; gives those for the protocol and the values that are bound. A file that
/// says what is found, also by exploration, and names a property for this protocol nowhere, expects
/// that there is none of what the protocol rules out.
pub(super) fn expectations(
    items: Vec<Field<'_>>,
    file: About,
    scope: &mut Scope<'_>,
) -> Vec<Expectation> {
    let mut all = Vec::new();
    let mut named = Vec::new();
    let mut says_what_is_found = file.is_explored;
    // What is for all protocols comes first.
    let mut own = None;
    for item in items {
        if scope.flaws.is_full() {
            break;
        }
        let case = case(item, scope);
        let Some(Case { protocol, holds, expected }) = scope.note(case) else { continue };
        let is_meant = scope.is_for(protocol);
        for expectation in &expected {
            if let Expectation::Finding { property, .. } = expectation {
                says_what_is_found = true;
                named.extend(is_meant.then_some(*property));
            }
        }
        if is_meant && protocol.is_some() {
            own = own.or(Some(all.len()));
        }
        if is_meant && holds {
            all.extend(expected);
        }
    }
    // A file that expects nothing of these values gets no verdict on them.
    if says_what_is_found && !all.is_empty() {
        let is_excused =
            |property: &Property| file.has_careless_clients && Property::FOREIGN.contains(property);
        let ruled_out = scope.ruled_out().iter();
        let ruled_out = ruled_out.filter(|it| !named.contains(it) && !is_excused(it));
        let none = |property: &Property| Expectation::Finding { property: *property, found: false };
        let at = own.unwrap_or(all.len());
        all.splice(at..at, ruled_out.map(none));
    }
    all
}

/// Reads an expectation, or a list of them.
fn case(item: Field<'_>, scope: &mut Scope<'_>) -> Result<Case> {
    let mut table = item.table(CaseForm::WHAT)?;
    scope.only(&mut table, &all_members());
    let is_list = table.has("all");
    if is_list {
        table.fits("all", |name| IN_EACH_CASE.contains(&name), "", &mut scope.flaws);
    }
    let late = scope.late.len();
    let form = CaseForm::read(table, scope);
    // A condition that can't be read holds for no values.
    let holds = form.when.unwrap_or(!form.table.may_have("when"));
    let protocol = scope.only_for(&form.table, form.protocol);
    let mut expected = Vec::new();
    if !is_list {
        expected = what(form.table, protocol, scope);
    }
    for item in form.all.into_iter().flatten() {
        let table = WhatForm::table(item, scope);
        let table = scope.note(table);
        expected.extend(table.into_iter().flat_map(|table| what(table, protocol, scope)));
    }
    if !scope.is_for(protocol) || !holds {
        scope.late.truncate(late);
    }
    Ok(Case { protocol, holds, expected })
}

fn what(mut table: Table<'_>, protocol: OnlyFor, scope: &mut Scope<'_>) -> Vec<Expectation> {
    let kind = kind_of(&mut table, scope);
    let kind = scope.note(kind);
    if let Some((kind, needs, beside)) = kind {
        let fitting = [needs, beside, IN_EACH_CASE].concat();
        table.fits(kind, |name| fitting.contains(&name), "", &mut scope.flaws);
        for name in needs {
            scope.note(table.need(name));
        }
    }
    let what = WhatForm::read(table, scope);
    if what.status == Some(Status::Success)
        && let Some(error) = &what.error
    {
        let message = "a success has no error; leave out \"error\"";
        scope.flaws.push(error.field.error_at_key(message));
    }
    let step = what.step.map(|field| scope.steps.known(field, "step", protocol));
    let step = step.and_then(|known| scope.note(known));
    let label = what.snapshot.map(|field| scope.labels.known(field, "snapshot", protocol));
    let label = label.and_then(|known| scope.note(known));
    let lock = what.lock.map_or_else(|| scope.only_lock(&what.table), Ok);
    let is_of_a_lock = kind.is_some_and(|(kind, ..)| kind == "updates");
    let lock = if is_of_a_lock { scope.note(lock) } else { None };
    let error = what.error.map(|error| error.value);
    let status = what.status.unwrap_or(Status::Success);
    vec![if let Some(group) = what.actor {
        Expectation::Actor { group, status, error }
    } else if let Some(step) = step {
        Expectation::Step { step, status, error }
    } else if let (Some(label), Some(diagnosis)) = (label, what.diagnosis) {
        Expectation::Snapshot { label, diagnosis: diagnosis.word().to_owned() }
    } else if let (Some(count), Some(lock)) = (what.updates, lock) {
        Expectation::Updates { lock, count: count.into() }
    } else if what.finds.is_some() || what.free_of.is_some() {
        let findings = findings(what.finds, what.free_of, not_judged_in_a_run, scope).into_iter();
        let finding = |(property, found)| Expectation::Finding { property, found };
        return findings.map(finding).collect();
    } else {
        let counts = [
            (Status::Success, what.succeeded),
            (Status::AlreadyLocked, what.already_locked),
            (Status::Error, what.errors),
        ];
        let totals = counts.into_iter().filter_map(|(status, count)| {
            let (group, count) = (what.actors.clone(), count?.into());
            Some(Expectation::Total { group, status, count })
        });
        return totals.collect();
    }]
}

/// What kind of thing is expected.
fn kind_of(table: &mut Table<'_>, scope: &mut Scope<'_>) -> Result<Kind> {
    let totals = table.fields.iter().find(|field| TOTALS.contains(&field.name)).copied();
    let first = totals.or(table.get("finds")).or(table.get("free_of"));
    match first.and_then(|field| KINDS.iter().find(|(name, ..)| *name == field.name)) {
        Some(kind) => Ok(*kind),
        None => table.one_of(&KINDS, |(name, ..)| *name, &mut scope.flaws).map(|(_, kind)| *kind),
    }
}

/// Why a single run can't judge a property, if it can't.
fn not_judged_in_a_run(property: Property) -> Option<&'static str> {
    (property == Property::Unavailable).then_some("is not judged in a run: only `probe` tries it")
}

/// What the checkers must find (`finds`), and must not (`free_of`). `refused` says why a property
/// can't be named here, if it can't.
pub(super) fn findings(
    finds: Option<Vec<Placed<'_, Property>>>,
    free_of: Option<Vec<Placed<'_, Property>>>,
    refused: fn(Property) -> Option<&'static str>,
    scope: &mut Scope<'_>,
) -> Vec<(Property, bool)> {
    let finds = finds.into_iter().flatten().map(|word| (word, true));
    let free_of = free_of.into_iter().flatten().map(|word| (word, false));
    let mut findings: Vec<(Property, bool)> = Vec::new();
    for (Placed { field, value: property }, found) in finds.chain(free_of) {
        let word = quoted(property.word());
        if let Some(why) = refused(property) {
            scope.flaws.push(field.error(format!("{word} {why}")));
        } else if findings.iter().any(|(named, _)| *named == property) {
            scope.flaws.push(field.error(format!("{word} is named twice")));
        } else {
            findings.push((property, found));
        }
    }
    findings
}
