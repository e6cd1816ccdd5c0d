//! One controller per run directory within a process (contract, section 3, `getInstance`).

use super::{Controller, ControllerError, Files, READONLY_FILE};
use crate::gate::{Link, PausePoint};
use crate::lock::RunDirectory;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// The process's controllers.
#[derive(Debug, Default)]
pub struct Registry(Mutex<BTreeMap<PathBuf, Arc<Controller>>>);

impl Registry {
    /// The controller of a run directory: the one that is there, refreshed if its file changed, or
    /// a new one. That of a read-only run is never kept.
    pub fn instance(
        &self,
        run: &RunDirectory,
        files: &Arc<Files>,
        link: &mut dyn Link,
    ) -> Result<Arc<Controller>, ControllerError> {
        if files.exists(&run.path().join(READONLY_FILE)) {
            return Controller::open(run, files).map(Arc::new);
        }
        link.pause(PausePoint::Registry);
        let (controller, is_new) = {
            let mut instances = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match instances.get(run.path()) {
                Some(controller) => (Arc::clone(controller), false),
                None => {
                    let controller = Arc::new(Controller::open(run, files)?);
                    instances.insert(run.path().into(), Arc::clone(&controller));
                    (controller, true)
                }
            }
        };
        if !is_new {
            controller.refresh(link)?;
        }
        Ok(controller)
    }

    /// The same by a registry that looks and inserts in two steps: who comes in between gets a
    /// controller of its own (hazard `singleton`).
    pub fn racy_instance(
        &self,
        run: &RunDirectory,
        files: &Arc<Files>,
        link: &mut dyn Link,
    ) -> Result<Arc<Controller>, ControllerError> {
        if let Some(controller) = self.existing(run) {
            controller.refresh(link)?;
            return Ok(controller);
        }
        let controller = Arc::new(Controller::open(run, files)?);
        link.pause(PausePoint::Registry);
        let mut instances = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        instances.insert(run.path().into(), Arc::clone(&controller));
        Ok(controller)
    }

    /// The controller of a run directory, if there is one already.
    pub fn existing(&self, run: &RunDirectory) -> Option<Arc<Controller>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(run.path()).cloned()
    }
}
