//! Ctrl-C and SIGTERM: the first one ends the run and lets it clean up; the second one ends the
//! program at once and says what is left behind.

use super::exit::Exit;
use super::say;
use crate::clock::{Stopped, WallClock};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// What would be left behind now, and the commands that clean it.
#[derive(Clone, Default)]
pub(super) struct Leftovers(Arc<Mutex<Vec<String>>>);

impl Leftovers {
    pub fn set(&self, leftovers: Vec<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = leftovers;
    }

    fn get(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Stops the clock on the first signal and the program on the second.
pub(super) fn stop_on_signal(clock: Arc<WallClock>, leftovers: Leftovers) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        let mut signals = signals.forever();
        if signals.next().is_some() {
            clock.stop(Stopped::Interrupted);
            say("interrupted, cleaning up; once more to leave at once");
        }
        if signals.next().is_some() {
            for by_hand in leftovers.get() {
                say(&format!("not cleaned up; run: {by_hand}"));
            }
            std::process::exit(Exit::Interrupted.code().into());
        }
    })?;
    Ok(())
}
