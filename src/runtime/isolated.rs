//! A world that is alone with its server and its files.

use super::World;
use crate::controller::{Files, STATE_FILE, initial_state};
use std::sync::Arc;

impl World {
    /// The same world, but all that it has is its server and these files in memory: no lock of
    /// another program can interfere, and the cache has no reader.
    pub(super) fn alone(self, files: Files) -> Self {
        for run in &self.runs {
            // In memory nothing fails.
            let _ = files.replace(&run.path().join(STATE_FILE), initial_state().as_bytes());
        }
        self.take_by_force(true);
        Self { files: Arc::new(files), ..self }.without_cache()
    }
}
