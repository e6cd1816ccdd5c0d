//! `validate`: whether scenario files are sound.

use super::builtin::BuiltIn;
use super::exit::{Exit, Refusal};
use super::input::named;
use super::mistakes::explain;
use super::output::Output;
use crate::report::escape;
use std::path::PathBuf;

/// Says of each file whether it is sound: on stdout if it is, else on stderr what is wrong with it.
pub(super) fn validate(files: &[PathBuf], builtin: &BuiltIn) -> Result<Exit, Refusal> {
    let mut sound = String::new();
    let mut exits = Vec::new();
    for named in named(files, builtin) {
        match named.scenario {
            Ok(scenario) => {
                let given = escape(&named.given);
                sound.push_str(&format!("{given}: ok ({})\n", scenario.name()));
            }
            Err(refusal) => {
                explain(&refusal);
                exits.push(refusal.exit);
            }
        }
    }
    Output::Stdout.write(|out| out.write_all(sound.as_bytes()))?;
    Ok(Exit::worst(exits))
}
