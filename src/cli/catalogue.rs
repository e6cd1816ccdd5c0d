//! `catalogue`: what each built-in scenario shows, under each protocol.

use super::args::{CatalogueFormat, Color};
use super::builtin::BuiltIn;
use super::exit::{Exit, Refusal};
use super::output::Output;
use super::terminal;
use crate::report::{Catalogue, CatalogueRow, json, markdown, table};
use lock_lab::lock::{LockProtocol, Ttl, protocols};
use lock_lab::scenario::{Scenario, ScenarioError};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Prints the catalogue.
pub(super) fn print(format: CatalogueFormat, builtin: &BuiltIn) -> Result<Exit, Refusal> {
    let catalogue = catalogue(&builtin.all()?)?;
    let style = terminal::style(Color::Auto, false);
    Output::Stdout.write(|out| match format {
        CatalogueFormat::Table => table::write_catalogue(&catalogue, style, out),
        CatalogueFormat::Json => json::write(&catalogue, out),
        CatalogueFormat::Markdown => markdown::write(&catalogue, out),
    })?;
    Ok(Exit::Success)
}

/// What the scenarios expect with their parameters at their defaults.
pub(super) fn catalogue(scenarios: &[&Scenario]) -> Result<Catalogue, Refusal> {
    let row = |scenario: &&Scenario| {
        let plan = |protocol: &Arc<dyn LockProtocol>| {
            let name = protocol.name();
            match scenario.bind(&BTreeMap::new(), name, Ttl::DEFAULT, Duration::ZERO) {
                // A scenario may have steps that a registered protocol lacks.
                Err(_) if protocol.is_foreign() => Ok((name.to_owned(), None)),
                plan => Ok((name.to_owned(), Some(plan?))),
            }
        };
        let plans: Result<Vec<_>, ScenarioError> = protocols().iter().map(plan).collect();
        Ok(CatalogueRow::new(scenario, plans?))
    };
    let rows: Result<Vec<_>, ScenarioError> = scenarios.iter().map(row).collect();
    Ok(Catalogue::new(rows?))
}
