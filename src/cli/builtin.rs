//! The built-in scenarios: known by their names, and parsed when they are asked for.

use lock_lab::scenario::{Scenario, ScenarioError, built_in, built_in_names};
use std::cell::OnceCell;

/// Scenarios, each with its name.
pub(super) struct BuiltIn(Vec<(String, OnceCell<Scenario>)>);

impl Default for BuiltIn {
    fn default() -> Self {
        Self(built_in_names().map(|name| (name.to_owned(), OnceCell::new())).collect())
    }
}

#[cfg(test)]
impl From<Vec<Scenario>> for BuiltIn {
    fn from(scenarios: Vec<Scenario>) -> Self {
        Self(scenarios.into_iter().map(|it| (it.name().to_owned(), OnceCell::from(it))).collect())
    }
}

impl BuiltIn {
    /// Their names, in the order in which they are listed.
    pub fn names(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// The name that was meant, with hyphens or without, if there is such a scenario.
    pub fn name(&self, given: &str) -> Option<&str> {
        self.find(given).map(|(name, _)| name.as_str())
    }

    fn find(&self, given: &str) -> Option<&(String, OnceCell<Scenario>)> {
        let given = given.replace('-', "_");
        self.0.iter().find(|(name, _)| *name == given)
    }

    /// The scenario of this name, with hyphens or without.
    pub fn get(&self, given: &str) -> Result<Option<&Scenario>, ScenarioError> {
        let Some((name, scenario)) = self.find(given) else { return Ok(None) };
        if scenario.get().is_none()
            && let Some(parsed) = built_in(name)?
        {
            return Ok(Some(scenario.get_or_init(|| parsed)));
        }
        Ok(scenario.get())
    }

    /// The names of those that are parsed.
    #[cfg(test)]
    pub fn parsed(&self) -> Vec<&str> {
        self.0.iter().filter_map(|(_, scenario)| scenario.get().map(Scenario::name)).collect()
    }

    /// All of them.
    pub fn all(&self) -> Result<Vec<&Scenario>, ScenarioError> {
        self.0.iter().filter_map(|(name, _)| self.get(name).transpose()).collect()
    }
}
