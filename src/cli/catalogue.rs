//! `catalogue`: what each built-in scenario shows, under each protocol.

use super::args::{CatalogueFormat, Color};
use super::exit::Exit;
use super::output::Output;
use super::refusal::{Refusal, environment, usage};
use super::terminal;
use crate::lock::{HARDENED, Legacy, Protocol, Ttl};
use crate::report::{Catalogue, CatalogueRow, json, markdown, table};
use crate::scenario::{Scenario, ScenarioError};
use std::collections::BTreeMap;
use std::time::Duration;

/// Prints the catalogue.
pub(super) fn print(format: CatalogueFormat, scenarios: &[Scenario]) -> Result<Exit, Refusal> {
    let catalogue = catalogue(scenarios)?;
    let style = terminal::style(Color::Auto, false);
    let written = Output::Stdout.write(|out| match format {
        CatalogueFormat::Table => table::write_catalogue(&catalogue, style, out),
        CatalogueFormat::Json => json::write(&catalogue, out),
        CatalogueFormat::Markdown => markdown::write(&catalogue, out),
    });
    written.map_err(environment)?;
    Ok(Exit::Success)
}

/// What the scenarios expect with their parameters at their defaults.
pub(super) fn catalogue(scenarios: &[Scenario]) -> Result<Catalogue, Refusal> {
    let row = |scenario: &Scenario| -> Result<CatalogueRow, ScenarioError> {
        let plan = |protocol: &dyn Protocol| {
            scenario.bind(&BTreeMap::new(), protocol.name(), Ttl::DEFAULT, Duration::ZERO)
        };
        Ok(CatalogueRow::new(scenario, &plan(&Legacy)?, &plan(&*HARDENED)?))
    };
    let rows: Result<Vec<_>, _> = scenarios.iter().map(row).collect();
    Ok(Catalogue::new(rows.map_err(usage)?))
}
