//! The steps of a scenario file: one verb each, and what stands beside it.

use super::action::{ActionSpec, VERBS, Verb};
use super::error::{ScenarioError, list, quoted, unknown};
use super::names::{Names, OnlyFor, Wait, only_for};
use super::plan::{LockPlan, Step};
use super::read::{Field, Table};
use super::sum::{Binding, Parameters, Sum};
use super::vocabulary::{Member, PROTOCOL, Shape, names, optional};
use std::collections::BTreeSet;

/// What can stand beside a verb.
pub(super) const BESIDE: [Member; 9] = [
    optional("name", Shape::Line, "what expectations and those who wait for it call it"),
    optional("go_on", Shape::Flag, "whether the actor goes on when the step fails"),
    PROTOCOL,
    optional("ttl", Shape::Time, "for how long"),
    optional("wait", Shape::Time, "how long it keeps trying"),
    optional("lock", Shape::Reference, "which lock"),
    optional("body", Shape::List("step"), "the steps in it"),
    optional("label", Shape::Line, "what reports and expectations call it"),
    optional("fresh", Shape::Flag, "whether to read the file into a controller of its own"),
];

/// What can stand beside every verb.
pub(super) const BESIDE_ALL: [&str; 3] = ["name", "go_on", "protocol"];

/// How deep bodies may stand in each other.
const DEEPEST: usize = 16;

/// Labels of the snapshots that the runtime takes of every lock, around all actors.
const AROUND: [&str; 2] = ["before", "after"];

/// A step with its sums not worked out.
#[derive(Debug, Clone)]
pub(super) struct StepSpec {
    verb: &'static str,
    name: Option<String>,
    go_on: bool,
    protocol: OnlyFor,
    action: ActionSpec,
}

/// What the parts of a file may speak of: parameters, locks, and the names of steps, rules,
/// snapshots and actors.
pub(super) struct Scope<'a> {
    pub(super) parameters: Parameters<'a>,
    pub(super) locks: &'a [LockPlan],
    pub(super) steps: Names,
    pub(super) rules: Names,
    pub(super) labels: Names,
    pub(super) groups: BTreeSet<String>,
    /// Who waits for which step or rule, which may come later in the file.
    pub(super) waits: Vec<Wait>,
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
    pub(super) fn body(
        &self,
        of: Field<'_>,
        lock: Option<usize>,
    ) -> Result<Around<'_>, ScenarioError> {
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
    pub(super) fn new(parameters: Parameters<'a>, locks: &'a [LockPlan]) -> Self {
        let mut labels = Names::default();
        for label in AROUND {
            labels.add(label, None);
        }
        let (steps, rules) = (Names::default(), Names::default());
        Self { parameters, locks, steps, rules, labels, groups: BTreeSet::new(), waits: Vec::new() }
    }

    /// The position of the lock that this member names.
    pub(super) fn lock(&self, field: Field<'_>) -> Result<usize, ScenarioError> {
        let name = field.text()?;
        let position = self.locks.iter().position(|lock| lock.name == name);
        let known = || self.locks.iter().map(|lock| &*lock.name);
        position.ok_or_else(|| field.error(unknown("lock", name, known())))
    }

    /// The lock that is meant where none is named and none is around: the file's only one.
    pub(super) fn only_lock(&self, table: &Table<'_>) -> Result<usize, ScenarioError> {
        if self.locks.len() == 1 {
            return Ok(0);
        }
        let names: Vec<&str> = self.locks.iter().map(|lock| &*lock.name).collect();
        Err(table.error(format!("say which lock: lock = one of {}", list(&names))))
    }

    /// The lock that `lock` names, or the one of the innermost `locked`, or the file's only one.
    pub(super) fn meant_lock(
        &self,
        table: &Table<'_>,
        around: &Around<'_>,
    ) -> Result<usize, ScenarioError> {
        match (table.get("lock"), around.lock) {
            (Some(field), _) => self.lock(field),
            (None, Some(lock)) => Ok(lock),
            (None, None) => self.only_lock(table),
        }
    }

    /// The sum of a duration that may be left out.
    pub(super) fn time(
        &mut self,
        table: &Table<'_>,
        name: &str,
    ) -> Result<Option<Sum>, ScenarioError> {
        table.get(name).map(|field| Sum::time(field, &mut self.parameters)).transpose()
    }

    /// A name that no other step or rule has.
    fn name_of_step(&mut self, field: Field<'_>, only: OnlyFor) -> Result<String, ScenarioError> {
        let name = field.line()?;
        if self.rules.contains(&name) || !self.steps.add(&name, only) {
            return Err(field.error(taken(&name)));
        }
        Ok(name)
    }

    /// A name that no other rule or step has.
    pub(super) fn name_of_rule(
        &mut self,
        field: Field<'_>,
        only: OnlyFor,
    ) -> Result<String, ScenarioError> {
        let name = field.line()?;
        if self.steps.contains(&name) || !self.rules.add(&name, only) {
            return Err(field.error(taken(&name)));
        }
        Ok(name)
    }

    /// A label that no other snapshot has.
    pub(super) fn label(
        &mut self,
        field: Field<'_>,
        only: OnlyFor,
    ) -> Result<String, ScenarioError> {
        let label = field.line()?;
        if AROUND.contains(&&*label) {
            let message = "the run's own snapshots are labelled before and after; \
                           choose another label";
            return Err(field.error(message));
        }
        if !self.labels.add(&label, only) {
            let label = quoted(&label);
            return Err(
                field.error(format!("two snapshots have the label {label}; each needs its own"))
            );
        }
        Ok(label)
    }
}

fn taken(name: &str) -> String {
    let name = quoted(name);
    format!("two steps or rules have the name {name}; each needs its own")
}

impl StepSpec {
    /// Reads a list of steps.
    pub(super) fn read_all(
        list: Field<'_>,
        scope: &mut Scope<'_>,
        around: &Around<'_>,
    ) -> Result<Vec<Self>, ScenarioError> {
        list.items()?.into_iter().map(|item| Self::read(item, scope, around)).collect()
    }

    fn read(
        item: Field<'_>,
        scope: &mut Scope<'_>,
        around: &Around<'_>,
    ) -> Result<Self, ScenarioError> {
        let table = item.table("a step")?;
        let verbs = VERBS.map(|verb| verb.name);
        table.only(&[&verbs[..], &names(&BESIDE)].concat())?;
        let field = table.one_of(&verbs)?;
        let Some(verb) = VERBS.iter().find(|verb| verb.name == field.name) else {
            return Err(field.error_at_key(unknown("verb", field.name, verbs)));
        };
        beside(&table, verb)?;
        let protocol = protocol(&table, around)?;
        let name =
            table.get("name").map(|field| scope.name_of_step(field, protocol)).transpose()?;
        let go_on = table.get("go_on").map_or(Ok(false), |field| field.flag())?;
        let own = Around { protocol, name: name.as_deref(), outer: Some(around), ..*around };
        let action = ActionSpec::read(&table, verb, field, scope, &own)?;
        Ok(Self { verb: verb.name, name, go_on, protocol, action })
    }

    /// Whether it begins by waiting for somebody.
    pub(super) fn awaits(&self) -> bool {
        self.action.awaits()
    }

    /// The verb of a step that is for one protocol only, and that protocol.
    pub(super) fn only_for_a_protocol(steps: &[Self]) -> Option<(&'static str, &'static str)> {
        steps.iter().find_map(|step| match (step.protocol, step.action.body()) {
            (Some(protocol), _) => Some((step.verb, protocol)),
            (None, body) => Self::only_for_a_protocol(body),
        })
    }

    /// Some steps with their sums worked out, less those of other protocols.
    pub(super) fn bind_all(steps: &[Self], binding: &Binding) -> Result<Vec<Step>, ScenarioError> {
        let is_meant =
            |step: &&Self| step.protocol.is_none_or(|protocol| protocol == binding.protocol);
        steps.iter().filter(is_meant).map(|step| step.bind(binding)).collect()
    }

    fn bind(&self, binding: &Binding) -> Result<Step, ScenarioError> {
        let action = self.action.bind(binding)?;
        Ok(Step { name: self.name.clone(), go_on: self.go_on, action })
    }
}

/// Refuses what doesn't go with a verb.
fn beside(table: &Table<'_>, verb: &Verb) -> Result<(), ScenarioError> {
    let fitting = [&BESIDE_ALL, verb.needs, verb.beside].concat();
    let unfit = |field: &Field<'_>| field.name != verb.name && !fitting.contains(&field.name);
    match table.in_order().into_iter().find(unfit) {
        None => Ok(()),
        Some(field) => Err(field.error_at_key(format!(
            "\"{}\" does not go with \"{}\"; what does: {}",
            field.name,
            verb.name,
            list(&fitting)
        ))),
    }
}

/// The protocol that a step is for: its own, or that of the step around it.
fn protocol(table: &Table<'_>, around: &Around<'_>) -> Result<OnlyFor, ScenarioError> {
    let own = only_for(table)?;
    match (own, around.protocol, table.get("protocol")) {
        (Some(own), Some(outer), Some(field)) if own != outer => {
            let message = format!("it would never be taken: the step around it is for \"{outer}\"");
            Err(field.error(message))
        }
        (own, outer, _) => Ok(own.or(outer)),
    }
}
