//! `catalogue`: what each built-in scenario shows, under each protocol.

use super::args::{CatalogueFormat, Color};
use super::builtin::BuiltIn;
use super::exit::{Exit, Refusal};
use super::output::Output;
use super::terminal;
use crate::lock::{LockProtocol, Ttl, protocols};
use crate::report::{Catalogue, CatalogueRow, json, markdown, table};
use crate::scenario::{Scenario, ScenarioError};
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
    let row = |scenario: &&Scenario| -> Result<CatalogueRow, ScenarioError> {
        let plan = |protocol: &Arc<dyn LockProtocol>| {
            let name = protocol.name();
            let plan = scenario.bind(&BTreeMap::new(), name, Ttl::DEFAULT, Duration::ZERO)?;
            Ok((name.to_owned(), plan))
        };
        let plans: Result<Vec<_>, _> = protocols().iter().map(plan).collect();
        Ok(CatalogueRow::new(scenario, plans?))
    };
    let rows: Result<Vec<_>, _> = scenarios.iter().map(row).collect();
    Ok(Catalogue::new(rows?))
}
