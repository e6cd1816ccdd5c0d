//! `show`: the file of a built-in scenario, to start from.

use super::exit::{Exit, Refusal};
use super::output::Output;
use lock_lab::scenario::Scenario;

/// Prints the file as it is.
pub(super) fn show(scenario: &Scenario) -> Result<Exit, Refusal> {
    let file = scenario.file_text().as_bytes();
    Output::Stdout.write(|out| out.write_all(file))?;
    Ok(Exit::Success)
}
