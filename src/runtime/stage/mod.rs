//! What a run finds, creates and puts back: directories and files (`disk`), lock keys, flags and
//! the cache (`keys`). Whatever was there before is there afterwards, and whatever the run created
//! is gone, unless somebody else has changed it meanwhile.

mod disk;
mod keys;

use super::World;
use disk::Directory;
use keys::Keys;

/// Why a run can't begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StageError {
    /// What was asked for makes no sense: a run directory that is a file.
    #[error("{0}")]
    Usage(String),
    /// The environment doesn't allow it.
    #[error("{0}")]
    Environment(String),
}

/// What was found and created.
#[derive(Default)]
pub struct Stage {
    directories: Vec<Directory>,
    keys: Vec<Keys>,
}

impl Stage {
    /// Prepares everything that a run needs; gives notices of leftovers that were cleaned. A live
    /// lock of somebody else is an error, unless `force` says to take it. If it fails, whatever was
    /// created is removed again.
    pub fn prepare(world: &World, force: bool) -> Result<(Self, Vec<String>), StageError> {
        let mut stage = Self::default();
        let mut notices = Vec::new();
        match stage.set_up(world, force, &mut notices) {
            Ok(()) => Ok((stage, notices)),
            Err(error) => {
                stage.clean(world);
                Err(error)
            }
        }
    }

    fn set_up(
        &mut self,
        world: &World,
        force: bool,
        notices: &mut Vec<String>,
    ) -> Result<(), StageError> {
        for run in world.runs() {
            self.directories.push(Directory::new(run.path()));
            if let Some(directory) = self.directories.last_mut() {
                directory.set_up(&world.files)?;
            }
        }
        keys::check_cleared_runs(world, force)?;
        for run in world.runs() {
            self.keys.push(Keys::set_up(world, run, force, notices)?);
        }
        Ok(())
    }

    /// Puts everything back; gives notices of what could not be, with the commands that do it.
    pub fn clean(self, world: &World) -> Vec<String> {
        let mut notices = Vec::new();
        for keys in &self.keys {
            notices.extend(keys.clean(world));
        }
        for directory in self.directories.into_iter().rev() {
            notices.extend(directory.clean(&world.files));
        }
        notices
    }

    /// What a run leaves behind if it is not cleaned, with the commands that do it.
    pub fn leftovers(&self, world: &World) -> Vec<String> {
        let keys = self.keys.iter().map(|keys| keys.by_hand(world));
        keys.chain(self.directories.iter().filter_map(Directory::by_hand)).collect()
    }
}

/// A word as a shell reads it.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:;@%+=,".contains(c) && c != ';';
    if !text.is_empty() && text.chars().all(plain) {
        text.into()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
