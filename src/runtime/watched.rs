//! A world that is alone with its server and its files, and one in which it is noted what actors
//! touch: for replay and for exploration.

use super::explore::Cell;
use super::milestone::Passed;
use super::{World, lock};
use crate::controller::{Files, STATE_FILE, initial_state};
use std::sync::{Arc, Mutex};

impl World {
    /// The same world, but all that it has is its server and these files in memory: no lock of
    /// others can be in the way, and nobody reads the cache.
    pub(super) fn alone(self, files: Files) -> Self {
        for run in &self.runs {
            // In memory nothing fails.
            let _ = files.replace(&run.path().join(STATE_FILE), initial_state().as_bytes());
        }
        self.take_by_force(true);
        Self { files: Arc::new(files), ..self }.without_cache()
    }

    /// The same world, but it notes what local state is touched that actors share.
    pub(super) fn watched(self) -> Self {
        let world = self.alone(Files::watched());
        let first = world.runs.first().map(|run| run.path().join(STATE_FILE));
        let initial_file = first.and_then(|path| world.files.last_written(&path));
        let (journal, milestone) = (Some(Mutex::default()), Some(Mutex::default()));
        Self { journal, milestone, initial_file, ..world }
    }

    /// Notes that shared local state is touched, if somebody wants to know.
    pub(super) fn note(&self, cell: impl FnOnce() -> Cell) {
        if let Some(journal) = &self.journal {
            lock(journal).push(cell());
        }
    }

    /// The last milestone that was passed since this was last asked.
    pub(super) fn take_milestone(&self) -> Option<Passed> {
        self.milestone.as_ref().and_then(|last| lock(last).take())
    }

    /// The shared local state that was touched since this was last asked.
    pub(super) fn touched(&self) -> Vec<Cell> {
        let mut touched =
            self.journal.as_ref().map(|it| std::mem::take(&mut *lock(it))).unwrap_or_default();
        touched.extend(self.files.touched().into_iter().map(Cell::File));
        for (index, run) in self.runs.iter().enumerate() {
            if self.registry.was_touched(run.path()) {
                touched.push(Cell::Shelf(index));
            }
            let made = self.registry.controllers(run.path());
            for (number, controller) in made.iter().enumerate() {
                if controller.was_touched() {
                    touched.push(Cell::Controller(index, number));
                }
                if controller.slot().was_touched() {
                    touched.push(Cell::Slot(index, number));
                }
            }
        }
        touched.sort_unstable();
        touched.dedup();
        touched
    }
}
