//! The names that a file gives to its steps, rules and snapshots, and the members that refer to
//! them.

use super::error::{quoted, unknown};
use super::flaw::Result;
use super::form::{Only, OnlyFor};
use super::read::Field;
use crate::lock::default_protocol;
use std::collections::{BTreeMap, BTreeSet};

/// Names, and the protocols under which each is there.
#[derive(Default)]
pub(super) struct Names {
    /// The protocols that the file has to be for.
    wanted: Only,
    there: BTreeMap<String, Vec<OnlyFor>>,
    /// What may be a name, in what could not be read; or is one, for protocols that could not.
    possible: BTreeSet<String>,
    /// Whether there is a name that could not be read.
    is_open: bool,
}

/// An actor that waits for a name.
#[derive(Debug, Clone)]
pub(super) struct Wait {
    pub(super) name: String,
    pub(super) at: usize,
    /// The actors that do; none if it is a rule.
    pub(super) group: Option<String>,
    pub(super) protocol: OnlyFor,
}

impl Names {
    /// No names yet, for a plan under this protocol. Besides, a file has to be for the protocols that it
    /// names, and for the default one.
    pub(super) fn under(bound: &str, named: Only) -> Self {
        let wanted = named.or(Only::named([bound, default_protocol().name()]));
        Self { wanted, ..Self::default() }
    }

    /// Takes a name that is free under this protocol; says whether it was.
    pub(super) fn add(&mut self, name: &str, protocol: OnlyFor) -> bool {
        if protocol.is_some_and(Only::is_empty) {
            self.add_possible(name);
        }
        let taken = self.there.entry(name.to_owned()).or_default();
        let is_free = match protocol {
            None => taken.is_empty(),
            Some(own) => taken.iter().all(|it| it.is_some_and(|it| it.and(own).is_empty())),
        };
        taken.push(protocol);
        is_free
    }

    pub(super) fn add_possible(&mut self, name: &str) {
        self.possible.insert(name.to_owned());
    }

    /// Notes that there is a name that could not be read.
    pub(super) fn open(&mut self) {
        self.is_open = true;
    }

    /// Whether all names could be read.
    pub(super) fn is_complete(&self) -> bool {
        !self.is_open && self.possible.is_empty()
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.there.contains_key(name)
    }

    /// Whether what could not be read may be of this name.
    pub(super) fn may_contain(&self, name: &str) -> bool {
        self.is_open || self.possible.contains(name)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        self.there.keys().map(|name| &**name)
    }

    /// A protocol under which the name is not there, of those that a member which speaks of it is for.
    fn left_out(&self, name: &str, speaker: OnlyFor) -> Option<&'static str> {
        let there = self.there.get(name)?;
        let is_there = |protocol| there.iter().any(|it| it.is_none_or(|it| it.has(protocol)));
        let wanted = speaker.map_or(self.wanted, |speaker| speaker.and(self.wanted));
        wanted.names().find(|protocol| !is_there(protocol))
    }

    /// The name that a member speaks of, which must be one of these under each protocol that is
    /// meant.
    pub(super) fn known(&self, field: Field<'_>, kind: &str, protocol: OnlyFor) -> Result<String> {
        let name = field.text()?;
        if self.may_contain(name) {
            return Ok(name.to_owned());
        }
        if !self.contains(name) {
            return Err(field.error(unknown(kind, name, self.all())));
        }
        match self.left_out(name, protocol) {
            None => Ok(name.to_owned()),
            Some(protocol) => Err(field.error(left_out_under(name, protocol))),
        }
    }
}

impl Wait {
    /// What is wrong with it, if anything is: one of `steps` or `rules` must have the name.
    pub(super) fn mistake(&self, steps: &Names, rules: &Names) -> Option<String> {
        let name = &*self.name;
        if steps.may_contain(name) || rules.may_contain(name) {
            return None;
        }
        let names = if rules.contains(name) { rules } else { steps };
        if !names.contains(name) {
            return Some(unknown("step or rule", name, steps.all().chain(rules.all())));
        }
        names.left_out(name, self.protocol).map(|protocol| left_out_under(name, protocol))
    }
}

fn left_out_under(name: &str, protocol: &str) -> String {
    let name = quoted(name);
    format!("{name} is left out under protocol \"{protocol}\"; say the protocol here too")
}
