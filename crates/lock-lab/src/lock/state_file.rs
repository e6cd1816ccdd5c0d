//! The state file that a lock guards: where it is, and what its lock is called.

use super::{LockName, RunDirectory};
use std::path::{Path, PathBuf};

/// The name of the debug controller's state file (contract, section 1).
pub const STATE_FILE: &str = "debug_lock_test.nodb";

/// Why a name is none of a state file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} {why}")]
pub struct FileNameError {
    name: String,
    why: &'static str,
}

/// A state file of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateFile {
    run: RunDirectory,
    name: String,
    path: PathBuf,
}

impl StateFile {
    /// The file `name` of a run: a path below its directory, such as `climate.nodb` or
    /// `_pups/omni/a/soils.nodb`.
    ///
    /// # Errors
    ///
    /// [`FileNameError`] if it leads anywhere else, or does not end with `.nodb`.
    pub fn new(run: RunDirectory, name: &str) -> Result<Self, FileNameError> {
        Self::check(name)?;
        Ok(Self { path: run.path().join(name), run, name: name.into() })
    }

    /// The state file of the debug controller of a run.
    pub fn of_debug_controller(run: RunDirectory) -> Self {
        Self { path: run.path().join(STATE_FILE), run, name: STATE_FILE.into() }
    }

    /// Fails unless `name` can be the name of a state file.
    ///
    /// # Errors
    ///
    /// [`FileNameError`] says why it can't.
    pub fn check(name: &str) -> Result<(), FileNameError> {
        let why = if name.starts_with('/') {
            "is an absolute path; name the file as it is below the run directory"
        } else if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
            "has an empty part, . or .. in it; name the file as it is below the run directory"
        } else if name.contains(|c: char| c.is_control() || matches!(c, '\\' | ':')) {
            "has a backslash, a colon or a control character in it, which no state file has"
        } else if Path::new(name).extension().is_none_or(|ending| ending != "nodb") {
            "is no state file; its name ends with .nodb"
        } else {
            return Ok(());
        };
        Err(FileNameError { name: name.into(), why })
    }

    /// The run.
    pub fn run(&self) -> &RunDirectory {
        &self.run
    }

    /// The path below the run directory.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory that it is in.
    pub fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(self.run.path())
    }

    /// Where the `hardened` protocol keeps the highest fencing token that this file has seen.
    pub fn fence(&self) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        self.path.with_file_name(format!(".{name}.fence"))
    }

    /// Its lock.
    pub fn lock(&self) -> LockName {
        self.run.lock(&self.name)
    }

    /// Whether the debug controller, which needs a configuration file, opens it.
    pub fn is_of_debug_controller(&self) -> bool {
        self.path.file_name().is_some_and(|name| name == STATE_FILE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_below_its_run_and_its_lock_has_its_path() {
        for (run, name, key, path) in [
            ("/r/ab", "x.nodb", "nodb-lock:ab:x.nodb", "/r/ab/x.nodb"),
            ("/r/ab", "_pups/o/x.nodb", "nodb-lock:ab:_pups/o/x.nodb", "/r/ab/_pups/o/x.nodb"),
            ("/r/ab/_pups/o", "x.nodb", "nodb-lock:ab:_pups/o/x.nodb", "/r/ab/_pups/o/x.nodb"),
            ("/r/ab", "omni/a/x.nodb", "nodb-lock:ab:omni/a/x.nodb", "/r/ab/omni/a/x.nodb"),
        ] {
            let file = StateFile::new(RunDirectory::new(Path::new(run), None).unwrap(), name);
            let file = file.unwrap();
            assert_eq!((file.lock().key(), file.path()), (key, Path::new(path)));
            assert_eq!(file.fence().parent(), Some(file.directory()));
        }
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused() {
        let wrong = [
            "",
            "/",
            "/etc/x.nodb",
            "../x.nodb",
            "a/../x.nodb",
            "./x.nodb",
            "a//x.nodb",
            "x.nodb/",
            "x.json",
            ".nodb",
            "nodb",
            "a\\x.nodb",
            "a:b.nodb",
            "x\n.nodb",
            "x\0.nodb",
            "..",
        ];
        for name in wrong {
            assert!(StateFile::check(name).is_err(), "{name:?}");
        }
        for name in ["x.nodb", "a b/ü.nodb", "..x.nodb", "_pups/omni/a/x.nodb", "x.nodb.nodb"] {
            assert_eq!(StateFile::check(name), Ok(()), "{name:?}");
        }
    }
}
