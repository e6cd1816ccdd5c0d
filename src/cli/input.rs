//! Finds and reads what the user names: scenarios (files, directories of them, built-in ones) and
//! histories.

use super::builtin::BuiltIn;
use super::exit::{Exit, Refusal, usage};
use crate::record::is_monitor_log;
use anyhow::anyhow;
use lock_history::history::{FileError, History};
use lock_lab::format::{declarations, declare};
use lock_lab::scenario::{Scenario, nearest, unknown};
use redis_sim::server::of_system;
use rustix::fs::OFlags;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The largest scenario file that is read: 1 MiB.
const LARGEST: u64 = 1 << 20;

/// A scenario that the user named.
pub(super) struct Named {
    /// The file or the name, as the user wrote it.
    pub given: String,
    /// The file, unless it is a built-in scenario.
    pub file: Option<String>,
    /// The scenario, or what is wrong with it.
    pub scenario: Result<Scenario, Refusal>,
}

/// Everything that these words name, in their order; a directory is its `*.toml` files in the order
/// of their names. A built-in scenario's name goes before a file of that name.
pub(super) fn named(what: &[PathBuf], builtin: &BuiltIn) -> Vec<Named> {
    what.iter().flat_map(|path| named_by(path, builtin)).collect()
}

/// The one scenario that this names, and its file; nothing if it is a directory with several.
pub(super) fn only(
    path: &Path,
    builtin: &BuiltIn,
) -> Result<Option<(Scenario, Option<String>)>, Refusal> {
    let mut named = named_by(path, builtin);
    match (named.pop(), named.is_empty()) {
        (Some(only), true) => Ok(Some((only.scenario?, only.file))),
        _ => Ok(None),
    }
}

fn named_by(path: &Path, builtin: &BuiltIn) -> Vec<Named> {
    if let Some(name) = path.to_str().and_then(|name| builtin.name(name)) {
        let scenario = built_in(name, builtin).cloned();
        return vec![Named { given: name.to_owned(), file: None, scenario }];
    }
    if !path.is_dir() {
        return vec![from_file(path, builtin)];
    }
    match files_in(path) {
        Ok(files) => files.iter().map(|file| from_file(file, builtin)).collect(),
        Err(refusal) => {
            let given = path.display().to_string();
            vec![Named { file: Some(given.clone()), given, scenario: Err(refusal) }]
        }
    }
}

/// The built-in scenario of this name, with hyphens or without.
pub(super) fn built_in<'a>(name: &str, builtin: &'a BuiltIn) -> Result<&'a Scenario, Refusal> {
    let unknown = || usage(anyhow!(unknown("scenario", name, builtin.names())));
    builtin.get(name)?.ok_or_else(unknown)
}

fn from_file(path: &Path, builtin: &BuiltIn) -> Named {
    let given = path.display().to_string();
    let scenario = match text(path) {
        Ok(text) => Scenario::parse(&given, &text).map_err(usage),
        Err(refusal) if path.exists() => Err(refusal),
        Err(refusal) if is_a_word(path) => Err(not_a_scenario(&given, builtin, refusal)),
        Err(refusal) => Err(with_a_similar_file(path, builtin, refusal)),
    };
    Named { file: Some(given.clone()), given, scenario }
}

/// Whether it may have been meant as a name.
fn is_a_word(path: &Path) -> bool {
    path.extension().is_none() && path.components().count() == 1
}

fn not_a_scenario(given: &str, builtin: &BuiltIn, refusal: Refusal) -> Refusal {
    let unknown = unknown("scenario", &given.replace('-', "_"), builtin.names());
    let error = anyhow!("there is no file of this name, and {unknown}");
    Refusal { error, ..refusal }
}

/// Has the lock formats in these files recognised.
pub(super) fn declare_formats(files: &[PathBuf]) -> Result<(), Refusal> {
    for path in files {
        let failed =
            |error: &dyn std::fmt::Display| anyhow!("--formats {}: {error}", path.display());
        let text = fs::read_to_string(path).map_err(|error| usage(failed(&error)))?;
        let declared = declarations(&text).map_err(|error| usage(failed(&error)))?;
        declared.into_iter().for_each(declare);
    }
    Ok(())
}

/// Adds what may have been meant, if a file has a similar name or a built-in scenario has this one.
fn with_a_similar_file(path: &Path, builtin: &BuiltIn, refusal: Refusal) -> Refusal {
    let stem = path.file_stem().and_then(OsStr::to_str).unwrap_or_default();
    let meant = match (similar(path), builtin.name(stem)) {
        (Some(file), _) => file.display().to_string(),
        (None, Some(name)) => format!("the built-in {name}"),
        (None, None) => return refusal,
    };
    let error = anyhow!("{}; did you mean {meant}?", refusal.error);
    Refusal { error, ..refusal }
}

/// The file beside this one whose name a typing error would turn into this one's.
pub(super) fn similar(path: &Path) -> Option<PathBuf> {
    /// More names than these are not looked at.
    const MOST: usize = 10_000;
    let name = path.file_name()?.to_str()?;
    let directory = path.parent()?;
    let here = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let entries = fs::read_dir(here).ok()?.take(MOST).filter_map(Result::ok);
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    // A directory has no order of its own.
    names.sort();
    nearest(name, names.iter().map(String::as_str).filter(|near| *near != name))
        .map(|near| directory.join(near))
}

/// The scenario files in a directory, in the order of their names.
fn files_in(directory: &Path) -> Result<Vec<PathBuf>, Refusal> {
    let shown = directory.display();
    let listed = || -> io::Result<Vec<PathBuf>> {
        fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect()
    };
    let mut files = listed().map_err(|error| unreadable(directory, &error))?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    if files.is_empty() {
        return Err(usage(anyhow!("{shown} is a directory without *.toml files")));
    }
    Ok(files)
}

/// The text of a scenario file.
fn text(path: &Path) -> Result<String, Refusal> {
    let shown = path.display();
    let file = open(path).map_err(|error| unreadable(path, &error))?;
    let size = file.metadata().map_err(|error| unreadable(path, &error))?.len();
    if size > LARGEST {
        return Err(usage(anyhow!(
            "{shown}: a scenario file has at most {LARGEST} bytes, and this one has {size}"
        )));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let before = error.as_bytes().get(..good).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        usage(anyhow!("{shown}:{line}: this is no text: byte {} is not UTF-8", good + 1))
    })
}

/// Opens a plain file for reading. Anything else is refused instead of waited for.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let at_once = OFlags::NONBLOCK.bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(at_once).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no plain file"))
    }
}

/// What stands for stdin where a file is named.
pub(super) const STDIN: &str = "-";

/// What happened, as it was saved.
pub(super) enum Saved {
    History(Box<History>),
    /// The output of `redis-cli monitor`.
    MonitorLog(Box<dyn BufRead>),
}

/// What the user named, and what to call it.
pub(super) fn saved(path: &Path) -> Result<(String, Saved), Refusal> {
    let (name, mut input): (String, Box<dyn BufRead>) = if path.as_os_str() == STDIN {
        let stdin = io::stdin();
        if stdin.is_terminal() {
            let what = "stdin is the terminal; send a history in, as in: cat FILE | nodb-trigger";
            return Err(usage(anyhow!("{what}")));
        }
        ("stdin".to_owned(), Box::new(stdin.lock()))
    } else {
        let name = path.display().to_string();
        match open(path) {
            Ok(file) => (name, Box::new(BufReader::new(file))),
            Err(source) => {
                return Err(not_read(path, &FileError::Unreadable { file: name, source }));
            }
        }
    };
    if input.fill_buf().is_ok_and(is_monitor_log) {
        return Ok((name, Saved::MonitorLog(input)));
    }
    match History::read(&name, &mut *input) {
        Ok(history) => Ok((name, Saved::History(history.into()))),
        Err(error) => Err(not_read(path, &error)),
    }
}

/// A history that the user named, and what to call it.
pub(super) fn history(path: &Path) -> Result<(String, History), Refusal> {
    match saved(path)? {
        (name, Saved::History(history)) => Ok((name, *history)),
        (name, Saved::MonitorLog(_)) => Err(usage(anyhow!(
            "{name} is a MONITOR log; make a history of it with: nodb-trigger record --from {name} \
             --history FILE"
        ))),
    }
}

fn not_read(path: &Path, error: &FileError) -> Refusal {
    let exit = match error {
        FileError::Unreadable { .. } => Exit::Environment,
        _ => Exit::Usage,
    };
    let is_missing = path != Path::new(STDIN) && !path.exists();
    let meant = is_missing.then(|| similar(path)).flatten();
    let meant = meant.map(|near| format!("; did you mean {}?", near.display()));
    // It says its source itself.
    Refusal::new(exit, anyhow!("{error}{}", meant.unwrap_or_default()))
}

/// A file that isn't there, or is no file, was named wrongly; for anything else the environment is
/// to blame.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> Refusal {
    use io::ErrorKind::{InvalidInput, IsADirectory, NotADirectory, NotFound};
    let exit = match error.kind() {
        NotFound | NotADirectory | IsADirectory | InvalidInput => Exit::Usage,
        _ => Exit::Environment,
    };
    let words = of_system(error);
    Refusal::new(exit, anyhow!("cannot read {}: {words}", path.display()))
}
