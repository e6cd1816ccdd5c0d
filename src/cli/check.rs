//! `check`: judges a saved history.

use super::args::{CheckFormat, Color};
use super::exit::Exit;
use super::output::Output;
use super::refusal::{Refusal, environment};
use super::{input, terminal};
use crate::check::check;
use crate::history::{FileError, History};
use crate::report::{Judgement, json, table};
use anyhow::anyhow;
use std::io::BufReader;
use std::path::Path;

/// Prints what the checkers say of the history in this file.
pub(super) fn judge(path: &Path, format: CheckFormat) -> Result<Exit, Refusal> {
    let name = path.display().to_string();
    let history = read(path, &name)?;
    let checked = check(&history);
    let judgement = Judgement::new(name, &history.head, history.events.len(), &checked);
    let style = terminal::style(Color::Auto, false);
    let written = Output::Stdout.write(|out| match format {
        CheckFormat::Table => table::write_judgement(&judgement, style, out),
        CheckFormat::Json => json::write(&judgement, out),
    });
    written.map_err(environment)?;
    Ok(match (judgement.findings.is_empty(), judgement.is_whole) {
        (false, _) => Exit::Unexpected,
        (true, false) => Exit::Inconclusive,
        (true, true) => Exit::Success,
    })
}

fn read(path: &Path, name: &str) -> Result<History, Refusal> {
    let history = match input::open(path) {
        Ok(file) => History::read(name, &mut BufReader::new(file)),
        Err(source) => Err(FileError::Unreadable { file: name.to_owned(), source }),
    };
    history.map_err(|error| {
        let exit = match error {
            FileError::Unreadable { .. } => Exit::Environment,
            _ => Exit::Usage,
        };
        let meant = if path.exists() { None } else { input::similar(path) };
        let meant = meant.map(|near| format!("; did you mean {}?", near.display()));
        // It says its source itself.
        Refusal::new(exit, anyhow!("{error}{}", meant.unwrap_or_default()))
    })
}
