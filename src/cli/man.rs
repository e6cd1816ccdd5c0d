//! `man`: the manual pages, for packagers.

use super::args;
use super::builtin::BuiltIn;
use super::exit::{Exit, Refusal, environment};
use anyhow::Context;
use std::fs;
use std::path::Path;

/// Writes all pages into a directory.
pub(super) fn write(directory: &Path, builtin: &BuiltIn) -> Result<Exit, Refusal> {
    let shown = directory.display();
    let made = fs::create_dir_all(directory);
    made.with_context(|| format!("cannot make {shown}")).map_err(environment)?;
    for (name, page) in
        args::manual(&builtin.all()?).with_context(|| "a page").map_err(environment)?
    {
        let path = directory.join(name);
        let written = fs::write(&path, page);
        written.with_context(|| format!("cannot write {}", path.display())).map_err(environment)?;
    }
    Ok(Exit::Success)
}
