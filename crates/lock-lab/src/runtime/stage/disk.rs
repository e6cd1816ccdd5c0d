//! The run directory and its files.

use super::{StageError, quoted};
use crate::controller::{
    CONFIG_FILE, Content, Controller, Files, READONLY_FILE, STATE_FILE, initial_state,
};
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What a run found and created in one directory.
pub(super) struct Directory {
    path: PathBuf,
    created: Vec<PathBuf>,
    config_created: bool,
    state_before: Option<Content>,
    ready: bool,
    /// Held while the run lasts, so that two of us are never at work in one directory; the system
    /// gives it back however we end.
    guard: Option<File>,
}

impl Directory {
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.into(),
            created: Vec::new(),
            config_created: false,
            state_before: None,
            ready: false,
            guard: None,
        }
    }

    /// Creates what is missing. A run in memory only looks whether it could run on disk.
    pub fn set_up(&mut self, files: &Files) -> Result<(), StageError> {
        let shown = self.path.display();
        if self.path.exists() && !self.path.is_dir() {
            return Err(StageError::Usage(format!("{shown} is a file; name a directory")));
        }
        if self.path.is_symlink() && !self.path.exists() {
            return Err(StageError::Usage(format!(
                "{shown} is a symbolic link that leads nowhere; mend it, or name a directory"
            )));
        }
        if self.path.join(READONLY_FILE).exists() {
            return Err(StageError::Environment(format!(
                "{shown} is a read-only run (it holds a file {READONLY_FILE}); choose another directory"
            )));
        }
        let state_path = self.path.join(STATE_FILE);
        check_state_file(&state_path)?;
        if files.are_on_disk() {
            self.create().map_err(|(path, error)| {
                StageError::Environment(format!("cannot create {}: {error}", path.display()))
            })?;
            self.guard()?;
            self.config_created = self.write_config().map_err(|e| self.failed("write to", &e))?;
        }
        self.state_before = files.read(&state_path).map_err(|e| self.failed("read", &e))?;
        if self.state_before.is_some() {
            Controller::check(files, &state_path)
                .map_err(|error| StageError::Environment(error.to_string()))?;
        } else {
            files
                .replace(&state_path, initial_state().as_bytes())
                .map_err(|error| self.failed("write to", &error))?;
        }
        self.ready = true;
        Ok(())
    }

    fn create(&mut self) -> Result<(), (PathBuf, io::Error)> {
        let missing = self.path.ancestors().take_while(|path| !path.exists());
        for path in missing.map(Path::to_path_buf).collect::<Vec<_>>().into_iter().rev() {
            match fs::create_dir(&path) {
                Ok(()) => self.created.push(path),
                // Another process was quicker; then it is theirs.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err((path, error)),
            }
        }
        Ok(())
    }

    fn guard(&mut self) -> Result<(), StageError> {
        let guard = File::open(&self.path).map_err(|error| self.failed("open", &error))?;
        match guard.try_lock() {
            Ok(()) => {
                self.guard = Some(guard);
                Ok(())
            }
            Err(TryLockError::WouldBlock) => Err(StageError::Environment(format!(
                "another nodb-trigger is at work in {}; wait for it, or choose another directory",
                self.path.display()
            ))),
            Err(TryLockError::Error(error)) => Err(self.failed("lock", &error)),
        }
    }

    fn write_config(&self) -> io::Result<bool> {
        let (name, content) = CONFIG_FILE;
        let path = self.path.join(name);
        match File::create_new(&path) {
            Ok(mut file) => {
                let written = file.write_all(content.as_bytes());
                if written.is_err() {
                    // What was cut short is no longer recognized as ours when the run cleans up.
                    let _ = fs::remove_file(&path);
                }
                written.map(|()| true)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn failed(&self, what: &str, error: &io::Error) -> StageError {
        StageError::Environment(format!("cannot {what} {}: {error}", self.path.display()))
    }

    /// Puts the directory back as it was.
    pub fn clean(self, files: &Files) -> Vec<String> {
        let mut notices = Vec::new();
        if !files.are_on_disk() {
            return notices;
        }
        if self.ready {
            notices.extend(self.put_state_back(files));
        }
        let readonly = self.path.join(READONLY_FILE);
        let ours = files.last_written(&readonly).map(|written| written.signature);
        if ours.is_some() && files.signature(&readonly).ok().flatten() == ours {
            notices.extend(could_not(fs::remove_file(&readonly), "remove", &readonly));
        }
        let config = self.path.join(CONFIG_FILE.0);
        if self.config_created && fs::read(&config).is_ok_and(|now| now == CONFIG_FILE.1.as_bytes())
        {
            notices.extend(could_not(fs::remove_file(&config), "remove", &config));
        }
        for path in self.created.iter().rev() {
            match fs::remove_dir(path) {
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
                other => notices.extend(could_not(other, "remove", path)),
            }
        }
        notices
    }

    fn put_state_back(&self, files: &Files) -> Option<String> {
        let path = self.path.join(STATE_FILE);
        let written = files.last_written(&path)?;
        let now = files.signature(&path).ok().flatten();
        if written.over_foreign || now != Some(written.signature) {
            return Some(format!("{} was changed by somebody else; left as it is", path.display()));
        }
        match &self.state_before {
            None => could_not(fs::remove_file(&path), "remove", &path),
            Some(before) => {
                could_not(files.put_back(&path, &before.bytes, before.signature), "restore", &path)
            }
        }
    }

    /// The command that removes what was created here.
    pub fn by_hand(&self) -> Option<String> {
        let shown = |path: &Path| quoted(&path.display().to_string());
        let created = |yes: bool, name: &str| yes.then(|| shown(&self.path.join(name)));
        let files: Vec<String> = created(self.ready && self.state_before.is_none(), STATE_FILE)
            .into_iter()
            .chain(created(self.config_created, CONFIG_FILE.0))
            .collect();
        let folders: Vec<String> = self.created.iter().rev().map(|path| shown(path)).collect();
        let commands: Vec<String> = [("rm", files), ("rmdir", folders)]
            .into_iter()
            .filter(|(_, paths)| !paths.is_empty())
            .map(|(command, paths)| format!("{command} {}", paths.join(" ")))
            .collect();
        (!commands.is_empty()).then(|| commands.join("; "))
    }
}

/// A run replaces the state file, so it must be a plain file: a link would be gone afterwards, and
/// reading a pipe would never end.
fn check_state_file(path: &Path) -> Result<(), StageError> {
    let kind = match path.symlink_metadata() {
        Ok(found) if found.is_symlink() => "a symbolic link",
        Ok(found) if !found.is_file() => "no plain file",
        _ => return Ok(()),
    };
    Err(StageError::Environment(format!(
        "{} is {kind}, and a run would have to replace it; choose another directory",
        path.display()
    )))
}

fn could_not(result: io::Result<()>, what: &str, path: &Path) -> Option<String> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Some(format!("could not {what} {}: {error}", path.display()))
        }
        _ => None,
    }
}
