//! One controller per run directory within a process (contract, section 3, `getInstance`).

use super::{Controller, ControllerError, Files};
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
    /// a new one.
    pub fn instance(
        &self,
        run: &RunDirectory,
        files: &Arc<Files>,
        link: &mut dyn Link,
    ) -> Result<Arc<Controller>, ControllerError> {
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

    /// The controller of a run directory, if there is one already.
    pub fn existing(&self, run: &RunDirectory) -> Option<Arc<Controller>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(run.path()).cloned()
    }
}
