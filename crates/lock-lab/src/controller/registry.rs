//! One controller per state file within a process (contract, section 3, `getInstance`).
//!
//! So that exploration can put a state back, a registry numbers the controllers that it made and
//! keeps them: one that is made again, after a state from before was put back, is the same object.

use super::{Controller, ControllerError, Files, READONLY_FILE};
use crate::intercept::{Link, PausePoint};
use crate::lock::{LockError, StateFile};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The process's controllers.
#[derive(Debug, Default)]
pub struct Registry(Mutex<BTreeMap<PathBuf, FileControllers>>);

/// What a registry knows of a state file, as a value. Its numbers are places in
/// [`Registry::controllers`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Shelf {
    /// The controller that is handed out.
    pub current: Option<usize>,
    /// How many were made.
    pub made: usize,
}

/// The controllers of one state file.
#[derive(Debug, Default)]
struct FileControllers {
    shelf: Shelf,
    /// All that were ever made; those from [`Shelf::made`] on are not made yet.
    controllers: Vec<Arc<Controller>>,
    /// Whether the registry was read.
    touched: bool,
}

impl FileControllers {
    fn current(&self) -> Option<Arc<Controller>> {
        self.controllers.get(self.shelf.current?).cloned()
    }

    /// Gives a new controller its number.
    fn add(&mut self, new: Controller) -> (usize, Arc<Controller>) {
        let number = self.shelf.made;
        self.shelf.made += 1;
        if let Some(again) = self.controllers.get(number) {
            again.remember(&new.memory());
            again.touched.store(true, Ordering::Relaxed);
            return (number, Arc::clone(again));
        }
        let new = Arc::new(new);
        new.touched.store(true, Ordering::Relaxed);
        self.controllers.push(Arc::clone(&new));
        (number, new)
    }
}

impl Registry {
    /// The controller of a state file: the one that is there, refreshed if its file changed, or
    /// a new one. That of a read-only run is never kept.
    ///
    /// # Errors
    ///
    /// Fails where [`Controller::open`] does, and if the caller crashed at the pause point.
    pub fn instance(
        &self,
        file: &StateFile,
        files: &Arc<Files>,
        link: &mut dyn Link,
    ) -> Result<Arc<Controller>, ControllerError> {
        link.pause(PausePoint::Registry).map_err(LockError::from)?;
        if files.exists(&file.directory().join(READONLY_FILE)) {
            return Controller::open(file, files).map(Arc::new);
        }
        let (controller, is_new) = self.touch(file, |place| match place.current() {
            Some(controller) => Ok::<_, ControllerError>((controller, false)),
            None => {
                let (number, controller) = place.add(Controller::open(file, files)?);
                place.shelf.current = Some(number);
                Ok((controller, true))
            }
        })?;
        if !is_new {
            controller.refresh(link)?;
        }
        Ok(controller)
    }

    /// The same by a registry that reads and inserts in two steps: an actor that comes in between
    /// gets a controller of its own (hazard `singleton`).
    ///
    /// # Errors
    ///
    /// Fails where [`Controller::open`] does, and if the caller crashed at a pause point.
    pub fn racy_instance(
        &self,
        file: &StateFile,
        files: &Arc<Files>,
        link: &mut dyn Link,
    ) -> Result<Arc<Controller>, ControllerError> {
        link.pause(PausePoint::FileRead).map_err(LockError::from)?;
        if let Some(controller) = self.existing(file) {
            controller.refresh(link)?;
            return Ok(controller);
        }
        // Read before others are kept out: they shall come in between.
        let new = Controller::open(file, files)?;
        let (number, controller) = self.touch(file, |place| place.add(new));
        link.pause(PausePoint::Registry).map_err(LockError::from)?;
        self.touch(file, |place| place.shelf.current = Some(number));
        Ok(controller)
    }

    /// The controller of a state file, if there is one already.
    pub fn existing(&self, file: &StateFile) -> Option<Arc<Controller>> {
        self.touch(file, |place| place.current())
    }

    /// All controllers that were made for a state file: first the one that is handed out, then
    /// those that it replaced.
    pub fn made(&self, file: &StateFile) -> Vec<Arc<Controller>> {
        self.touch(file, |place| {
            let made = place.controllers.iter().take(place.shelf.made).enumerate();
            let mut made: Vec<_> = made.collect();
            made.sort_by_key(|(number, _)| Some(*number) != place.shelf.current);
            made.into_iter().map(|(_, controller)| Arc::clone(controller)).collect()
        })
    }

    /// Which controllers of a state file there are now. To ask this is not to touch it.
    pub fn shelf(&self, file: &Path) -> Shelf {
        self.at(file, |place| place.shelf)
    }

    /// Puts back what [`shelf`](Self::shelf) gave; what the controllers remember is for
    /// [`Controller::remember`] to put back. That is not to touch it.
    pub fn set_shelf(&self, file: &Path, shelf: Shelf) {
        self.at(file, |place| place.shelf = shelf);
    }

    /// All controllers that were ever made for a state file, by number: also those that, in the
    /// state that was put back, are not made yet.
    pub fn controllers(&self, file: &Path) -> Vec<Arc<Controller>> {
        self.at(file, |place| place.controllers.clone())
    }

    /// Whether a controller of a state file was asked for since this was last asked.
    pub fn was_touched(&self, file: &Path) -> bool {
        self.at(file, |place| std::mem::take(&mut place.touched))
    }

    fn touch<T>(&self, file: &StateFile, then: impl FnOnce(&mut FileControllers) -> T) -> T {
        self.at(file.path(), |place| {
            place.touched = true;
            then(place)
        })
    }

    fn at<T>(&self, file: &Path, then: impl FnOnce(&mut FileControllers) -> T) -> T {
        let mut places = self.0.lock();
        match places.get_mut(file) {
            Some(place) => then(place),
            None => then(places.entry(file.into()).or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intercept::{Crashed, Intercepted, Interceptor};
    use crate::lock::RunDirectory;
    use crate::server::{Connection, Server};
    use redis_sim::clock::VirtualClock;

    struct Setting {
        file: StateFile,
        files: Arc<Files>,
        server: Server,
        registry: Registry,
    }

    impl Setting {
        fn new() -> Self {
            Self {
                file: StateFile::of_debug_controller(
                    RunDirectory::new(Path::new("/runs/ab"), None).unwrap(),
                ),
                files: Arc::new(Files::in_memory()),
                server: Server::embedded(Arc::new(VirtualClock::new(None))),
                registry: Registry::default(),
            }
        }

        fn link(&self) -> Connection {
            self.server.connect(0).unwrap()
        }

        fn instance(&self) -> Arc<Controller> {
            self.registry.instance(&self.file, &self.files, &mut self.link()).unwrap()
        }

        fn racy_instance(&self, link: &mut dyn Link) -> Arc<Controller> {
            self.registry.racy_instance(&self.file, &self.files, link).unwrap()
        }

        fn shelf(&self) -> (Option<usize>, usize) {
            let Shelf { current, made } = self.registry.shelf(self.file.path());
            (current, made)
        }
    }

    /// At a pause point, another actor comes in between.
    struct Between<'a>(&'a Setting);

    impl Interceptor for Between<'_> {
        fn pause(&mut self, point: PausePoint) -> Result<(), Crashed> {
            if point == PausePoint::Registry {
                self.0.racy_instance(&mut self.0.link());
            }
            Ok(())
        }
    }

    #[test]
    fn one_controller_is_handed_out_until_the_registry_is_put_back() {
        let setting = Setting::new();
        assert!(setting.registry.existing(&setting.file).is_none());
        let first = setting.instance();
        assert!(Arc::ptr_eq(&first, &setting.instance()));
        assert_eq!(setting.shelf(), (Some(0), 1));
        setting.registry.set_shelf(setting.file.path(), Shelf::default());
        assert!(setting.registry.existing(&setting.file).is_none());
        assert_eq!(setting.registry.controllers(setting.file.path()).len(), 1);
    }

    #[test]
    fn a_controller_that_is_made_again_is_the_same_and_remembers_nothing() {
        let setting = Setting::new();
        let first = setting.instance();
        let fresh = first.memory();
        first.count_operation();
        setting.registry.set_shelf(setting.file.path(), Shelf::default());
        let again = setting.instance();
        assert!(Arc::ptr_eq(&first, &again));
        assert_eq!(again.memory(), fresh);
        setting.registry.set_shelf(setting.file.path(), Shelf::default());
        setting.files.replace(setting.file.path(), br#"{"operation_count": 3}"#).unwrap();
        assert_eq!(setting.instance().operation_count(), 3);
    }

    #[test]
    fn who_comes_in_between_gets_the_next_number_each_time() {
        let setting = Setting::new();
        let path = setting.file.path();
        let mut link = Intercepted::new(setting.link(), Box::new(Between(&setting)));
        let slow = setting.racy_instance(&mut link);
        assert_eq!(setting.shelf(), (Some(0), 2));
        let controllers = setting.registry.controllers(path);
        assert!(Arc::ptr_eq(&slow, &controllers[0]));
        setting.registry.set_shelf(path, Shelf::default());
        assert!(Arc::ptr_eq(&setting.racy_instance(&mut link), &slow));
        let again = setting.registry.controllers(path);
        assert!(controllers.iter().zip(&again).all(|(a, b)| Arc::ptr_eq(a, b)));
        assert_eq!(again.len(), 2);
    }

    #[test]
    fn a_request_for_a_controller_is_reported_once() {
        let setting = Setting::new();
        let path = setting.file.path();
        let touched = || setting.registry.was_touched(path);
        setting.registry.set_shelf(path, setting.registry.shelf(path));
        assert!(!touched());
        setting.registry.existing(&setting.file);
        assert!(touched());
        setting.instance();
        assert!(touched());
        setting.racy_instance(&mut setting.link());
        assert!(touched());
        assert!(!touched());
        assert!(!setting.registry.was_touched(Path::new("/runs/other")));
    }
}
