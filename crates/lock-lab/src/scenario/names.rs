//! The names that a file gives to its steps, rules and snapshots, and the members that refer to
//! them.

use super::error::{Result, quoted, unknown};
use super::form::OnlyFor;
use super::read::Field;
use crate::lock::protocols;
use std::collections::BTreeMap;

/// Names, and the protocols under which each is there.
#[derive(Default)]
pub(super) struct Names<'a> {
    /// The protocol that is bound.
    bound: &'a str,
    there: BTreeMap<String, Vec<OnlyFor>>,
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

impl<'a> Names<'a> {
    /// No names yet, for a plan under this protocol.
    pub(super) fn under(bound: &'a str) -> Self {
        Self { bound, there: BTreeMap::new() }
    }

    /// Takes a name that is free under this protocol; says whether it was.
    pub(super) fn add(&mut self, name: &str, protocol: OnlyFor) -> bool {
        let taken = self.there.entry(name.to_owned()).or_default();
        let is_free = match protocol {
            None => taken.is_empty(),
            Some(_) => !taken.contains(&None) && !taken.contains(&protocol),
        };
        taken.push(protocol);
        is_free
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.there.contains_key(name)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        self.there.keys().map(|name| &**name)
    }

    /// A protocol under which the name is not there, of those that `wanted` means. A file need not be
    /// for a registered protocol, unless that is bound.
    fn left_out(&self, name: &str, wanted: OnlyFor) -> Option<&'static str> {
        let there = self.there.get(name)?;
        let is_there = |protocol| there.contains(&None) || there.contains(&Some(protocol));
        let protocols = protocols().iter();
        protocols
            .filter(|protocol| !protocol.is_foreign() || protocol.name() == self.bound)
            .map(|protocol| protocol.name())
            .filter(|protocol| wanted.is_none_or(|wanted| wanted == *protocol))
            .find(|protocol| !is_there(*protocol))
    }

    /// The name that a member speaks of, which must be one of these under each protocol that is
    /// meant.
    pub(super) fn known(&self, field: Field<'_>, kind: &str, protocol: OnlyFor) -> Result<String> {
        let name = field.text()?;
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
    pub(super) fn mistake(&self, steps: &Names<'_>, rules: &Names<'_>) -> Option<String> {
        let name = &*self.name;
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
