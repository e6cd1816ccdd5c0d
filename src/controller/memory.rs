//! What a controller knows as a value, so that exploration can put a state back, and whether anybody
//! looked at it. Ordinary runs don't need it.

use super::{Controller, State};
use crate::lock::{Acquisition, Token};
use std::sync::atomic::Ordering;

/// What a controller remembers: its acquisition, and what it last knew of its file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Memory {
    acquisition: Option<Acquisition>,
    state: State,
}

impl Memory {
    /// The token of the acquisition.
    pub fn token(&self) -> Option<&Token> {
        self.acquisition.as_ref().map(|own| &own.token)
    }
}

impl Controller {
    /// What the controller remembers now. To ask this is not to touch it.
    pub fn memory(&self) -> Memory {
        Memory { acquisition: self.slot.memory(), state: self.untouched_state().clone() }
    }

    /// Makes the controller remember what it did when `memory` was taken. That is not to touch it.
    pub fn remember(&self, memory: &Memory) {
        self.slot.remember(memory.acquisition.clone());
        *self.untouched_state() = memory.state.clone();
    }

    /// Whether anybody looked at what it remembers, or changed it, since this was last asked.
    pub fn was_touched(&self) -> bool {
        let state = self.touched.swap(false, Ordering::Relaxed);
        self.slot.was_touched() || state
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::Files;
    use crate::lock::{RunDirectory, Ttl};
    use std::path::Path;
    use std::sync::Arc;

    fn controller() -> Controller {
        let run = RunDirectory::new(Path::new("/runs/ab"), None).unwrap();
        Controller::open(&run, &Arc::new(Files::in_memory())).unwrap()
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
    fn it_tells_once_that_it_was_touched() {
        let controller = controller();
        controller.remember(&controller.memory());
        assert!(!controller.was_touched());
        let touches: [fn(&Controller); 4] = [
            Controller::count_operation,
            |controller| assert_eq!(controller.operation_count(), 1),
            |controller| assert_eq!(controller.acquisition(), None),
            Controller::forget_acquisition,
        ];
        for touch in touches {
            touch(&controller);
            assert!(controller.was_touched());
            assert!(!controller.was_touched());
        }
        controller.count_operation();
        controller.forget_acquisition();
        assert!(controller.was_touched());
        assert!(!controller.was_touched());
    }
}
