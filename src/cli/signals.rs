//! Ctrl-C, SIGTERM and a terminal that is closed: the first one ends the run and lets it clean up; the second one ends the
//! program at once and says what is left behind.

use super::exit::Exit;
use super::say;
use crate::clock::{Stopped, WallClock};
use nix::sys::signal::{SigSet, Signal};
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

/// Whether whoever started us wants this signal to do nothing, as `nohup` does.
fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal as i32 - 1) & 1 == 1
}

/// Stops the clock on the first signal and the program on the second.
///
/// To be called before other threads are started: they must all leave the signals to the one that
/// waits for them. A handler would break off whatever read of a reply it happens to interrupt, and
/// the release of a lock with it.
pub(super) fn stop_on_signal(clock: Arc<WallClock>, leftovers: Leftovers) -> io::Result<()> {
    let wanted = |signal: &Signal| *signal != Signal::SIGHUP || !is_ignored(*signal);
    let signals = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
    let signals: SigSet = signals.into_iter().filter(wanted).collect();
    signals.thread_block()?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        if signals.wait().is_ok() {
            clock.stop(Stopped::Interrupted);
            say("interrupted, cleaning up; once more to leave at once");
        }
        if signals.wait().is_ok() {
            for by_hand in leftovers.get() {
                say(&format!("not cleaned up; run: {by_hand}"));
            }
            std::process::exit(Exit::Interrupted.code().into());
        }
    })?;
    Ok(())
}
