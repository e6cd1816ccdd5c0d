//! A controller's knowledge as a value, so that exploration can restore a state, and whether it was
//! read. Ordinary runs don't need it.

use super::{Controller, ControllerState};
use crate::lock::{Acquisition, TokenSlot};
use std::sync::atomic::Ordering;

/// What a controller remembers: its acquisition, and what it last knew of its file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Memory {
    acquisition: Option<Acquisition>,
    knowledge: Knowledge,
}

/// What a controller last knew of its file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Knowledge(ControllerState);

impl Controller {
    /// What the controller remembers now. To ask this is not to touch it.
    pub fn memory(&self) -> Memory {
        Memory { acquisition: self.slot.memory(), knowledge: self.knowledge() }
    }

    /// Makes the controller remember what it did when `memory` was taken. That is not to touch it.
    pub fn remember(&self, memory: &Memory) {
        self.slot.remember(memory.acquisition.clone());
        self.know(&memory.knowledge);
    }

    /// Whether its knowledge of its file was read or changed since this was last asked. Its token
    /// is a separate matter: [`slot`](Self::slot).
    pub fn was_touched(&self) -> bool {
        self.touched.swap(false, Ordering::Relaxed)
    }

    /// What it knows of its file now. To ask this is not to touch it.
    pub fn knowledge(&self) -> Knowledge {
        Knowledge(self.untouched_state().clone())
    }

    /// Makes it know what it did when `knowledge` was taken. That is not to touch it.
    pub fn know(&self, knowledge: &Knowledge) {
        *self.untouched_state() = knowledge.0.clone();
    }

    /// Where it remembers its acquisition.
    pub fn slot(&self) -> &TokenSlot {
        &self.slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::Files;
    use crate::lock::{RunDirectory, StateFile, Token, Ttl};
    use std::path::Path;
    use std::sync::Arc;

    fn controller() -> Controller {
        let run = RunDirectory::new(Path::new("/runs/ab"), None).unwrap();
        let file = StateFile::of_debug_controller(run);
        Controller::open(&file, &Arc::new(Files::in_memory())).unwrap()
    }

    #[test]
    fn what_was_remembered_comes_back() {
        let controller = controller();
        let fresh = controller.memory();
        controller.count_operation();
        let token = Token::from("me");
        controller.slot.set(Some(Acquisition { token, fence: Some(7), ttl: Ttl::DEFAULT }));
        controller.dump_without_lock().unwrap();
        let used = controller.memory();
        assert_ne!(used, fresh);
        controller.remember(&fresh);
        assert_eq!(controller.memory(), fresh);
        assert_eq!((controller.operation_count(), controller.acquisition()), (0, None));
        controller.remember(&used);
        assert_eq!(controller.memory(), used);
        assert_eq!(controller.local_token(), Some(Token::from("me")));
        assert_eq!(controller.operation_count(), 1);
    }

    #[test]
    fn touches_of_file_and_token_are_reported_once_each() {
        let controller = controller();
        controller.remember(&controller.memory());
        assert!(!controller.was_touched());
        let touched = |touch: fn(&Controller)| {
            touch(&controller);
            let of_both = || (controller.was_touched(), controller.slot().was_touched());
            let touched = of_both();
            assert_eq!(of_both(), (false, false));
            touched
        };
        let of_its_file = (true, false);
        assert_eq!(touched(Controller::count_operation), of_its_file);
        assert_eq!(touched(|it| assert_eq!(it.operation_count(), 1)), of_its_file);
        let of_its_token = (false, true);
        assert_eq!(touched(|it| assert_eq!(it.acquisition(), None)), of_its_token);
        assert_eq!(touched(Controller::forget_acquisition), of_its_token);
    }
}
