//! `show`: the file of a built-in scenario, to start from.

use super::exit::Exit;
use super::input::by_name;
use super::output::Output;
use super::refusal::{Refusal, environment, usage};
use crate::scenario::{Scenario, unknown};

/// Prints the file as it is.
pub(super) fn show(name: &str, scenarios: &[Scenario]) -> Result<Exit, Refusal> {
    let Some(scenario) = by_name(name, scenarios) else {
        let names = scenarios.iter().map(Scenario::name);
        return Err(usage(anyhow::anyhow!(unknown("scenario", name, names))));
    };
    let file = scenario.file_text().as_bytes();
    Output::Stdout.write(|out| out.write_all(file)).map_err(environment)?;
    Ok(Exit::Success)
}
