//! What the parts of a file may speak of, and what was found wrong with them so far.

use super::error::{list, quoted, unknown};
use super::expr::Parameters;
use super::flaw::{Flaws, Result};
use super::form::{Member, Only, OnlyFor};
use super::names::{Names, Wait};
use super::plan::LockPlan;
use super::read::{Field, Table};
use crate::lock;
use lock_history::check::Property;
use std::collections::BTreeSet;

/// Labels of the snapshots that the runtime takes of every lock, around all actors.
const AROUND: [&str; 2] = ["before", "after"];

/// What the parts of a file may speak of: parameters, locks, and the names of steps, rules,
/// snapshots and actors.
#[derive(Default)]
pub(super) struct Scope<'a> {
    pub(super) parameters: Parameters,
    /// The locks; nothing, if they could not be read.
    pub(super) locks: Option<Vec<LockPlan>>,
    /// The lock protocol that the file is bound for.
    pub(super) protocol: &'a str,
    pub(super) steps: Names,
    pub(super) rules: Names,
    pub(super) labels: Names,
    pub(super) groups: Names,
    /// The actors' names in the plan.
    pub(super) actors: BTreeSet<String>,
    /// The actors of which it could not be read how many there are.
    pub(super) uncounted: Vec<String>,
    /// Which actor waits for which step or rule, which may come later in the file.
    pub(super) waits: Vec<Wait>,
    /// A step or a rule that is there under one lock protocol only, and that protocol.
    pub(super) only_under: Option<(String, Only)>,
    /// What is wrong with the file.
    pub(super) flaws: Flaws,
    /// What is wrong with these values of the parameters, in the parts that are for the protocol.
    pub(super) late: Flaws,
}

impl<'a> Scope<'a> {
    pub(super) fn new(protocol: &'a str, named: Only) -> Self {
        let names = || Names::under(protocol, named);
        let mut labels = names();
        for label in AROUND {
            labels.add(label, None);
        }
        let (steps, rules, groups) = (names(), names(), names());
        Self { protocol, steps, rules, labels, groups, ..Self::default() }
    }

    /// What was read; nothing, if it could not be. Notes what is wrong with it.
    pub(super) fn note<T>(&mut self, read: Result<T>) -> Option<T> {
        self.flaws.note(read)
    }

    /// The member as a table.
    pub(super) fn table<'f>(&mut self, field: Field<'f>, what: &'static str) -> Result<Table<'f>> {
        field.table(what).inspect_err(|_| self.skip(field))
    }

    /// The member as a list.
    pub(super) fn items<'f>(&mut self, field: Field<'f>) -> Result<Vec<Field<'f>>> {
        field.items().inspect_err(|_| self.skip(field))
    }

    /// Notes members of a table that aren't among these.
    pub(super) fn only(&mut self, table: &mut Table<'_>, known: &[Member]) {
        table.only(known, &mut self.flaws).into_iter().for_each(|field| self.skip(field));
    }

    /// Leaves out what could not be read. Names may have been declared in it.
    pub(super) fn skip(&mut self, field: Field<'_>) {
        for text in field.texts() {
            let all = [&mut self.steps, &mut self.rules, &mut self.labels, &mut self.groups];
            all.into_iter().for_each(|names| names.add_possible(text));
        }
    }

    /// Whether a part of the file that is for this protocol is for the one that is bound.
    pub(super) fn is_for(&self, protocol: OnlyFor) -> bool {
        protocol.is_none_or(|own| own.has(self.protocol))
    }

    /// What the lock protocol that is bound rules out.
    pub(super) fn ruled_out(&self) -> &'static [Property] {
        lock::protocol(self.protocol).map_or(&[], |protocol| protocol.rules_out())
    }

    /// The position of the lock that this member names; of some lock, if it names none.
    pub(super) fn lock(&mut self, field: Field<'_>) -> usize {
        let name = match field.text() {
            Ok(name) => name,
            Err(why) => {
                self.flaws.push(why);
                return 0;
            }
        };
        let Some(locks) = &self.locks else { return 0 };
        let position = locks.iter().position(|lock| lock.name == name);
        position.unwrap_or_else(|| {
            let known = locks.iter().map(|lock| &*lock.name);
            self.flaws.push(field.error(unknown("lock", name, known)));
            0
        })
    }

    /// A name that actors have in the file.
    pub(super) fn group(&self, field: Field<'_>) -> Result<String> {
        let name = field.text()?;
        if self.groups.contains(name) || self.groups.may_contain(name) {
            return Ok(name.to_owned());
        }
        Err(field.error(unknown("actor", name, self.groups.all())))
    }

    /// Whether an actor has this name in the plan, or actors in the file; or may have it.
    pub(super) fn may_be_an_actor(&self, name: &str) -> bool {
        let numbered = |group: &String| {
            name.strip_prefix(&**group).is_some_and(|number| number.starts_with('_'))
        };
        self.groups.contains(name)
            || self.groups.may_contain(name)
            || self.actors.contains(name)
            || self.uncounted.iter().any(numbered)
    }

    /// The lock that is meant where none is named and none is around: the file's only one.
    pub(super) fn only_lock(&self, table: &Table<'_>) -> Result<usize> {
        let locks = self.locks.as_deref().unwrap_or_default();
        if locks.len() == 1 || self.locks.is_none() || table.may_have("lock") {
            return Ok(0);
        }
        let names: Vec<&str> = locks.iter().map(|lock| &*lock.name).collect();
        Err(table.error(format!("say which lock: lock = one of {}", list(&names))))
    }

    /// The protocols that a part of the file is for; none, if that can't be read.
    pub(super) fn only_for(&self, table: &Table<'_>, read: OnlyFor) -> OnlyFor {
        read.or_else(|| table.may_have("protocol").then(Only::default))
    }

    /// Takes the name of a step or a rule, which no other has. `is_rule` says which of the two has
    /// it now.
    pub(super) fn name(&mut self, table: &Table<'_>, only: OnlyFor, is_rule: bool) {
        let Some(field) = table.get("name") else { return };
        let (own, other) = match is_rule {
            true => (&mut self.rules, &self.steps),
            false => (&mut self.steps, &self.rules),
        };
        let Some(name) = field.as_text() else { return own.open() };
        if other.contains(name) || !own.add(name, only) {
            // One of the two was meant to have another.
            own.open();
            let taken = quoted(name);
            let message = format!("two steps or rules have the name {taken}; each needs its own");
            self.flaws.push(field.error(message));
        }
    }

    /// Takes the label of a snapshot, which no other has.
    pub(super) fn label(&mut self, table: &Table<'_>, only: OnlyFor) {
        let Some(field) = table.get("label") else { return };
        let Some(label) = field.as_text() else { return self.labels.open() };
        if AROUND.contains(&label) {
            let message = "the run's own snapshots are labelled before and after; \
                           choose another label";
            self.flaws.push(field.error(message));
        } else if !self.labels.add(label, only) {
            self.labels.open();
            let taken = quoted(label);
            let message = format!("two snapshots have the label {taken}; each needs its own");
            self.flaws.push(field.error(message));
        }
    }
}
