//! What a run finds, creates and puts back: directories and files (`disk`), lock keys, flags and
//! the cache (`keys`), all of them for one run at a time (`guard`). Whatever was there before is there afterwards, and whatever the run created
//! is gone, unless another client or process has changed it meanwhile.

mod disk;
mod guard;
mod keys;
#[cfg(test)]
mod tests;

use super::World;
use crate::scenario::Action;
use crate::server::Server;
use disk::Directory;
use keys::Keys;
pub(super) use keys::foreign_lock;

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

/// The outcome of putting everything back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// What had to be left, with the commands that clean it.
    pub notices: Vec<String>,
    /// Whether nothing of ours is left in Redis.
    pub is_clean: bool,
}

/// What was found and created.
#[derive(Default)]
pub struct Stage {
    directories: Vec<Directory>,
    keys: Vec<Keys>,
}

impl Stage {
    /// Creates the directories that a run needs. After an error, [`clean`](Stage::clean) removes what was
    /// created.
    ///
    /// # Errors
    ///
    /// [`StageError::Usage`] if a run directory is something else, [`StageError::Environment`] if a
    /// directory can't be created, or a file can't be read.
    pub fn prepare_directories(&mut self, world: &World) -> Result<(), StageError> {
        for file in world.files() {
            let run = file.run().path();
            if !self.directories.iter().any(|directory| directory.is_of(run)) {
                self.directories.push(Directory::new(run));
            }
            let mut directories = self.directories.iter_mut();
            let its = directories.find(|directory| directory.is_of(run));
            its.map_or(Ok(()), |directory| directory.set_up(file, world))?;
        }
        Ok(())
    }

    /// Waits for the locks of a run and makes way for them, then notes what their state files hold, and
    /// creates those that are missing; gives notices of leftovers that were cleaned. A live lock of another
    /// owner is an error, unless `force` says to take it. Holders may write until they release: what is to
    /// be put back afterwards is what is there then.
    ///
    /// # Errors
    ///
    /// [`StageError::Usage`] if the plan injects server faults into a real Redis,
    /// [`StageError::Environment`] if a live lock is in the way, Redis fails, or a file can't be read or
    /// created.
    pub fn prepare_locks(&mut self, world: &World, force: bool) -> Result<Vec<String>, StageError> {
        let mut notices = Vec::new();
        let is_remote = matches!(world.server(), Server::Redis(_));
        if is_remote && world.plan().has(Action::is_server_fault) {
            return Err(StageError::Usage(format!(
                "{} injects server faults, which need the embedded server: leave out --redis{}",
                world.plan().scenario,
                world.server().variables().map_or(String::new(), |it| format!(", and unset {it}"))
            )));
        }
        world.take_by_force(force);
        keys::check_cleared_runs(world)?;
        let found = keys::awaited(world, force)?;
        for (file, found) in world.files().iter().zip(found) {
            self.keys.push(Keys::set_up(world, file, found, force, &mut notices)?);
        }
        for file in world.files() {
            let run = file.run().path();
            let its = self.directories.iter_mut().find(|directory| directory.is_of(run));
            its.map_or(Ok(()), |directory| directory.note(file, world))?;
        }
        Ok(notices)
    }

    /// Puts everything back.
    pub fn clean(self, world: &World) -> Cleaned {
        let mut notices = Vec::new();
        let mut is_clean = true;
        // A server that failed once is not asked again: each time may take until the time-out.
        let mut lost = None;
        for keys in &self.keys {
            let cleaned = match lost.take() {
                None => keys.clean(world),
                Some(why) => Err(why),
            };
            match cleaned {
                Ok(more) => notices.extend(more),
                Err(why) => {
                    let by_hand = keys.by_hand(world).map(|hand| format!("; run: {hand}"));
                    notices
                        .push(format!("could not clean up ({why}){}", by_hand.unwrap_or_default()));
                    lost = Some(why);
                    is_clean = false;
                }
            }
        }
        for directory in self.directories.into_iter().rev() {
            notices.extend(directory.clean(&world.services.files));
        }
        Cleaned { notices, is_clean }
    }

    /// What a run leaves behind if it is not cleaned, with the commands that do it.
    pub fn leftovers(&self, world: &World) -> Vec<String> {
        let keys = self.keys.iter().filter_map(|keys| keys.by_hand(world));
        keys.chain(self.directories.iter().filter_map(Directory::by_hand)).collect()
    }
}

/// Words as a shell reads them, on one line.
pub fn command_line(words: &[impl AsRef<str>]) -> String {
    words.iter().map(|word| quoted(word.as_ref())).collect::<Vec<_>>().join(" ")
}

/// A word as a shell reads it, on one line.
pub fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.into();
    }
    if !text.contains(char::is_control) {
        return format!("'{}'", text.replace('\'', r"'\''"));
    }
    let mut word = String::from("$'");
    for character in text.chars() {
        match character {
            '\'' | '\\' => word.extend(['\\', character]),
            control if control.is_control() => {
                let mut buffer = [0; 4];
                for byte in control.encode_utf8(&mut buffer).bytes() {
                    word.push_str(&format!("\\{byte:03o}"));
                }
            }
            other => word.push(other),
        }
    }
    word + "'"
}
