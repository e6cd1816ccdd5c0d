//! The run directory and its files.

use super::guard::Guard;
use super::{StageError, World, quoted};
use crate::controller::{CONFIG_FILE, Content, Controller, Files, INITIAL_STATE, READONLY_FILE};
use crate::lock::{StateFile, WriteGuard};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What a run found and created in one directory.
pub(super) struct Directory {
    path: PathBuf,
    /// Directories, each after the one that it is in.
    created: Vec<PathBuf>,
    configs_created: Vec<PathBuf>,
    files: Vec<Found>,
    guard: Option<Guard>,
}

/// A state file as it was found.
struct Found {
    file: StateFile,
    before: Option<Content>,
    /// Whether a fencing token that is beside it is of this run.
    may_leave_fence: bool,
}

impl Directory {
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.into(),
            created: Vec::new(),
            configs_created: Vec::new(),
            files: Vec::new(),
            guard: None,
        }
    }

    pub fn is_of(&self, path: &Path) -> bool {
        self.path == path
    }

    /// Creates the directories for a state file, and refuses what a run could not use. A run in memory only
    /// checks whether it could run on disk.
    pub fn set_up(&mut self, file: &StateFile, world: &World) -> Result<(), StageError> {
        let files = &world.services.files;
        self.check(file)?;
        if !world.is_lock_only() {
            check_links(&self.path, file)?;
            check_plain(file.path())?;
            check_plain(&file.fence())?;
        }
        if files.are_on_disk() {
            self.create(file.directory()).map_err(|(path, error)| {
                StageError::Environment(format!("cannot create {}: {error}", path.display()))
            })?;
        }
        if self.guard.is_none() {
            self.guard = Some(Guard::take(&self.path, world)?);
        }
        if files.are_on_disk() {
            self.write_config(file).map_err(|e| self.failed("write to", &e))?;
        }
        Self::check_content(file, files)
    }

    fn check_content(file: &StateFile, files: &Files) -> Result<(), StageError> {
        Controller::check(files, file).map_err(|error| StageError::Environment(error.to_string()))
    }

    /// Notes what a state file holds, and creates it if it is missing.
    pub fn note(&mut self, file: &StateFile, world: &World) -> Result<(), StageError> {
        let files = &world.services.files;
        let mut before = self.found(file, files)?;
        let had_fence = files.exists(&file.fence());
        let create = || files.create(file.path(), INITIAL_STATE.as_bytes());
        if before.is_none() && !create().map_err(|error| self.failed("write to", &error))? {
            // Another process was quicker; then it is theirs.
            before = self.found(file, files)?;
        }
        let is_fenced = world.protocol().write_guard() == WriteGuard::Fence;
        let may_leave_fence = is_fenced && !had_fence;
        self.files.push(Found { file: file.clone(), before, may_leave_fence });
        Ok(())
    }

    /// A state file as it is before the run, if there is one.
    fn found(&self, file: &StateFile, files: &Files) -> Result<Option<Content>, StageError> {
        let before = files.read(file.path()).map_err(|error| self.failed("read", &error))?;
        if let Some(before) = &before {
            files.note_found(file.path(), before.clone());
        }
        Self::check_content(file, files)?;
        Ok(before)
    }

    fn check(&self, file: &StateFile) -> Result<(), StageError> {
        let shown = self.path.display();
        if self.path.exists() && !self.path.is_dir() {
            return Err(StageError::Usage(format!("{shown} is a file; name a directory")));
        }
        if self.path.is_symlink() && !self.path.exists() {
            return Err(StageError::Usage(format!(
                "{shown} is a symbolic link that leads nowhere; mend it, or name a directory"
            )));
        }
        for directory in [&self.path, file.directory()] {
            if directory.join(READONLY_FILE).exists() {
                return Err(StageError::Environment(format!(
                    "{} is a read-only run (it holds a file {READONLY_FILE}); choose another directory",
                    directory.display()
                )));
            }
        }
        Ok(())
    }

    fn create(&mut self, directory: &Path) -> Result<(), (PathBuf, io::Error)> {
        let missing = directory.ancestors().take_while(|path| !path.exists());
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

    /// The debug controller needs a configuration file beside its state file.
    fn write_config(&mut self, of: &StateFile) -> io::Result<()> {
        if !of.is_of_debug_controller() {
            return Ok(());
        }
        let (name, content) = CONFIG_FILE;
        let path = of.directory().join(name);
        match File::create_new(&path) {
            Ok(mut file) => {
                let written = file.write_all(content.as_bytes());
                match written {
                    Ok(()) => self.configs_created.push(path),
                    // What was cut short is no longer recognized as ours when the run cleans up.
                    Err(_) => drop(fs::remove_file(&path)),
                }
                written
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
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
        for found in &self.files {
            notices.extend(found.put_back(files));
            let readonly = found.file.directory().join(READONLY_FILE);
            for ours in [Some(readonly), found.may_leave_fence.then(|| found.file.fence())] {
                notices.extend(ours.and_then(|path| remove_written(files, &path)));
            }
        }
        for config in &self.configs_created {
            if fs::read(config).is_ok_and(|now| now == CONFIG_FILE.1.as_bytes()) {
                notices.extend(could_not(fs::remove_file(config), "remove", config));
            }
        }
        for path in self.created.iter().rev() {
            match fs::remove_dir(path) {
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
                other => notices.extend(could_not(other, "remove", path)),
            }
        }
        notices
    }

    /// The command that removes what was created here.
    pub fn by_hand(&self) -> Option<String> {
        let shown = |path: &Path| quoted(&path.display().to_string());
        let created = self.files.iter().filter(|found| found.before.is_none());
        let files = created
            .map(|found| found.file.path())
            .chain(self.configs_created.iter().map(PathBuf::as_path));
        let files: Vec<String> = files.map(shown).collect();
        let fences = self.files.iter().filter(|found| found.may_leave_fence);
        let fences: Vec<String> = fences.map(|found| shown(&found.file.fence())).collect();
        let folders: Vec<String> = self.created.iter().rev().map(|path| shown(path)).collect();
        let commands: Vec<String> = [("rm", files), ("rm -f", fences), ("rmdir", folders)]
            .into_iter()
            .filter(|(_, paths)| !paths.is_empty())
            .map(|(command, paths)| format!("{command} {}", paths.join(" ")))
            .collect();
        (!commands.is_empty()).then(|| commands.join("; "))
    }
}

impl Found {
    /// Gives the file the content that it had, unless another process has written it since.
    fn put_back(&self, files: &Files) -> Option<String> {
        let path = self.file.path();
        let changed = || format!("another process changed {}; left as it is", path.display());
        if files.last_written(path).is_none() {
            return files.is_changed_by_others(path).then(changed);
        }
        match files.put_back(path, self.before.as_ref()) {
            Ok(true) => None,
            Ok(false) => Some(changed()),
            Err(error) => {
                let what = if self.before.is_some() { "restore" } else { "remove" };
                could_not(Err(error), what, path)
            }
        }
    }
}

/// Removes a file that was last written through here.
fn remove_written(files: &Files, path: &Path) -> Option<String> {
    files.last_written(path)?;
    could_not(files.put_back(path, None).map(drop), "remove", path)
}

/// Below the run directory there must be no link: it could lead out of the run.
fn check_links(run: &Path, file: &StateFile) -> Result<(), StageError> {
    let below = file.directory().ancestors().take_while(|path| *path != run);
    match below.into_iter().find(|path| path.is_symlink()) {
        None => Ok(()),
        Some(link) => Err(StageError::Environment(format!(
            "{} is a symbolic link, which may lead out of the run; name the file by the directory that it is in",
            link.display()
        ))),
    }
}

/// A run replaces its files, so each must be a plain file: a link would be gone afterwards, and
/// reading a pipe would never end.
fn check_plain(path: &Path) -> Result<(), StageError> {
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
