//! `completions`: the script that lets a shell complete a command line.

use super::args;
use super::builtin::BuiltIn;
use super::exit::{Exit, Refusal};
use super::output::Output;
use clap_complete::Shell;

/// Prints the script for a shell.
pub(super) fn print(shell: Shell, builtin: &BuiltIn) -> Result<Exit, Refusal> {
    let script = args::completions(shell, &builtin.all()?);
    Output::Stdout.write(|out| out.write_all(script.as_bytes()))?;
    Ok(Exit::Success)
}
