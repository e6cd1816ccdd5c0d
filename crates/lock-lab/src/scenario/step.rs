//! The steps of a scenario file: one verb each, and what stands beside it.

use super::action::{StepReader, VERBS, Verb};
use super::error::{list, quoted, unknown};
use super::expr::Parameters;
use super::form::*;
use super::names::{Names, Wait};
use super::plan::{LockPlan, Step};
use crate::lock;
use lock_history::check::Property;
use std::collections::BTreeSet;

form! {
    /// What can stand beside a verb.
    StepForm<'a>: "step", "a step" {
        name: Option<At<Line>> = "what expectations and those who wait for it call it",
        go_on: Option<Flag> = "whether the actor goes on when the step fails",
        protocol: Option<At<Protocols>> = ONLY_UNDER,
        ttl: Option<Lease> = "for how long",
        wait: Option<Time> = "how long it keeps trying",
        lock: Option<Lock> = "which lock",
        body: Option<List<StepForm<'a>>> = "the steps in it",
        label: Option<At<Line>> = "what reports and expectations call it",
        fresh: Option<Flag> = "whether to read the file into a controller of its own",
    }
}

/// What can stand beside every verb.
pub(super) const BESIDE_ALL: [&str; 3] = ["name", "go_on", "protocol"];

/// How deep bodies may stand in each other.
const DEEPEST: usize = 16;

/// Labels of the snapshots that the runtime takes of every lock, around all actors.
const AROUND: [&str; 2] = ["before", "after"];

/// What the parts of a file may speak of: parameters, locks, and the names of steps, rules,
/// snapshots and actors.
#[derive(Default)]
pub(super) struct Scope<'a> {
    pub(super) parameters: Parameters<'a>,
    pub(super) locks: &'a [LockPlan],
    /// The lock protocol that the file is bound for.
    protocol: &'a str,
    pub(super) steps: Names,
    pub(super) rules: Names,
    pub(super) labels: Names,
    pub(super) groups: BTreeSet<String>,
    /// The actors' names in the plan.
    pub(super) actors: BTreeSet<String>,
    /// Which actor waits for which step or rule, which may come later in the file.
    pub(super) waits: Vec<Wait>,
    /// A step or a rule that is there under one lock protocol only, and that protocol.
    pub(super) only_under: Option<(String, Only)>,
    /// What is wrong with these values of the parameters. It is reported if the file is right otherwise.
    pub(super) late: Vec<ScenarioError>,
}

/// What stands around a step.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    /// Whose step it is.
    pub(super) group: &'a str,
    /// The lock of the innermost `locked`.
    pub(super) lock: Option<usize>,
    pub(super) protocol: OnlyFor,
    /// How many bodies it is in.
    depth: usize,
    /// The name of the step around it, or of itself.
    name: Option<&'a str>,
    outer: Option<&'a Around<'a>>,
}

impl<'a> Around<'a> {
    pub(super) fn actor(group: &'a str) -> Self {
        Self { group, lock: None, protocol: None, depth: 0, name: None, outer: None }
    }

    /// Whether this is the name of the step itself, or of one around it.
    pub(super) fn is_in(&self, name: &str) -> bool {
        self.name == Some(name) || self.outer.is_some_and(|outer| outer.is_in(name))
    }

    /// What stands around the steps of a body, which may be under a lock.
    pub(super) fn body(&self, of: Field<'_>, lock: Option<usize>) -> Result<Around<'_>> {
        let depth = self.depth + 1;
        if depth > DEEPEST {
            return Err(
                of.error_at_key(format!("at most {DEEPEST} bodies may stand in each other"))
            );
        }
        Ok(Around { depth, lock: lock.or(self.lock), name: None, outer: Some(self), ..*self })
    }
}

impl<'a> Scope<'a> {
    pub(super) fn new(
        parameters: Parameters<'a>,
        locks: &'a [LockPlan],
        protocol: &'a str,
        named: Only,
    ) -> Self {
        let names = || Names::under(protocol, named);
        let mut labels = names();
        for label in AROUND {
            labels.add(label, None);
        }
        let (steps, rules) = (names(), names());
        Self { parameters, locks, protocol, steps, rules, labels, ..Self::default() }
    }

    /// Whether a part of the file that is for this protocol is for the one that is bound.
    pub(super) fn is_for(&self, protocol: OnlyFor) -> bool {
        protocol.is_none_or(|own| own.has(self.protocol))
    }

    /// What the lock protocol that is bound rules out.
    pub(super) fn ruled_out(&self) -> &'static [Property] {
        lock::protocol(self.protocol).map_or(&[], |protocol| protocol.rules_out())
    }

    /// The position of the lock that this member names.
    pub(super) fn lock(&self, field: Field<'_>) -> Result<usize> {
        let name = field.text()?;
        let position = self.locks.iter().position(|lock| lock.name == name);
        let known = || self.locks.iter().map(|lock| &*lock.name);
        position.ok_or_else(|| field.error(unknown("lock", name, known())))
    }

    /// A name that actors have in the file.
    pub(super) fn group(&self, field: Field<'_>) -> Result<String> {
        let name = field.text()?;
        if self.groups.contains(name) {
            return Ok(name.to_owned());
        }
        Err(field.error(unknown("actor", name, self.groups.iter().map(|name| &**name))))
    }

    /// The lock that is meant where none is named and none is around: the file's only one.
    pub(super) fn only_lock(&self, table: &Table<'_>) -> Result<usize> {
        if self.locks.len() == 1 {
            return Ok(0);
        }
        let names: Vec<&str> = self.locks.iter().map(|lock| &*lock.name).collect();
        Err(table.error(format!("say which lock: lock = one of {}", list(&names))))
    }

    /// A name that no other step or rule has. `is_rule` says which of the two has it now.
    pub(super) fn name(
        &mut self,
        name: &Placed<'_, String>,
        only: OnlyFor,
        is_rule: bool,
    ) -> Result<()> {
        let (own, other) = match is_rule {
            true => (&mut self.rules, &self.steps),
            false => (&mut self.steps, &self.rules),
        };
        if other.contains(&name.value) || !own.add(&name.value, only) {
            let taken = quoted(&name.value);
            let message = format!("two steps or rules have the name {taken}; each needs its own");
            return Err(name.field.error(message));
        }
        Ok(())
    }

    /// A label that no other snapshot has.
    pub(super) fn label(&mut self, label: &Placed<'_, String>, only: OnlyFor) -> Result<String> {
        if AROUND.contains(&&*label.value) {
            let message = "the run's own snapshots are labelled before and after; \
                           choose another label";
            return Err(label.field.error(message));
        }
        if !self.labels.add(&label.value, only) {
            let taken = quoted(&label.value);
            return Err(label
                .field
                .error(format!("two snapshots have the label {taken}; each needs its own")));
        }
        Ok(label.value.clone())
    }
}

/// Reads a list of steps. Those that are for another protocol are left out.
pub(super) fn steps(
    items: &[Field<'_>],
    scope: &mut Scope<'_>,
    around: &Around<'_>,
) -> Result<Vec<Step>> {
    items.iter().filter_map(|item| step(*item, scope, around).transpose()).collect()
}

fn step(item: Field<'_>, scope: &mut Scope<'_>, around: &Around<'_>) -> Result<Option<Step>> {
    let table = item.table(StepForm::WHAT)?;
    let verbs = VERBS.map(|verb| verb.member);
    table.only(&[&verbs[..], StepForm::MEMBERS].concat())?;
    let (field, verb) = table.one_of(&VERBS, |verb| verb.member.name)?;
    beside(&table, verb)?;
    let late = scope.late.len();
    let form = StepForm::read(table, scope)?;
    let protocol = protocol(&form, around)?;
    if let Some(only) = protocol {
        let what = || (format!("the step \"{}\" of \"{}\"", field.name, around.group), only);
        scope.only_under.get_or_insert_with(what);
    }
    if let Some(name) = &form.name {
        scope.name(name, protocol, false)?;
    }
    let name = form.name.as_ref().map(|name| name.value.clone());
    let around = Around { protocol, name: name.as_deref(), outer: Some(around), ..*around };
    let action = (verb.read)(&mut StepReader { field, form: &form, scope, around: &around })?;
    if !scope.is_for(protocol) {
        scope.late.truncate(late);
        return Ok(None);
    }
    Ok(Some(Step { go_on: form.go_on.unwrap_or(false), action, name }))
}

/// Refuses what doesn't go with a verb.
fn beside(table: &Table<'_>, verb: &Verb) -> Result<()> {
    let fitting = [&BESIDE_ALL, verb.needs, verb.beside].concat();
    let what_does = format!("; what does: {}", list(&fitting));
    table.fits(verb.member.name, |name| fitting.contains(&name), &what_does)
}

/// The protocols that a step is for: its own, if the step around it is for these, too.
fn protocol(form: &StepForm<'_>, around: &Around<'_>) -> Result<OnlyFor> {
    let (Some(own), Some(outer)) = (&form.protocol, around.protocol) else {
        return Ok(form.protocol.as_ref().map(|own| own.value).or(around.protocol));
    };
    let both = own.value.and(outer);
    if both.is_empty() {
        let message =
            format!("it would never be taken: the step around it is for \"{}\"", outer.words());
        return Err(own.field.error(message));
    }
    Ok(Some(both))
}
