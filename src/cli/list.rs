//! `list`: the built-in scenarios.

use super::args::Color;
use super::builtin::BuiltIn;
use super::exit::{Exit, Refusal};
use super::output::Output;
use super::terminal;
use crate::report::table;

/// Prints each scenario's name and its one line.
pub(super) fn list(builtin: &BuiltIn) -> Result<Exit, Refusal> {
    let scenarios = builtin.all()?;
    let style = terminal::style(Color::Auto, false);
    Output::Stdout.write(|out| table::write_list(&scenarios, style, out))?;
    Ok(Exit::Success)
}
