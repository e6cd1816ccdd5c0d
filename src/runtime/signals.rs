//! Named things that have happened, for which actors and rules wait: steps that ended, rules that
//! matched.

use super::afloat::Sender;
use super::observer::Cell;
use super::stops::Commands;
use super::{World, lock};
use crate::clock::{Clock, Stopped};
use std::collections::BTreeSet;
use std::sync::Mutex;

/// What has happened so far, and the commands that run when something happens.
#[derive(Default)]
pub(super) struct Signals {
    happened: Mutex<BTreeSet<String>>,
    late: Mutex<Vec<Late>>,
}

/// What its client has given up, and still runs. It comes over a connection of its own: what was
/// watched (WATCH) over the client's is not known there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Late {
    /// When it runs.
    pub after: String,
    /// Whose it is, and in which step it was sent.
    pub sender: Sender,
    /// What runs.
    pub commands: Commands,
}

impl World {
    /// Says that something has happened, and runs what was waiting for it.
    pub(super) fn signal(&self, clock: &dyn Clock, name: &str) {
        self.observer.touched(&|| Cell::Signal(name.into()));
        self.observer.touched(&|| Cell::Late);
        if !lock(&self.signals.happened).insert(name.into()) {
            return;
        }
        let due: Vec<Late> =
            lock(&self.signals.late).extract_if(.., |late| late.after == name).collect();
        for late in due {
            self.run_late(late);
        }
        clock.notify();
    }

    /// Waits until something has happened.
    pub(super) fn wait_for(&self, clock: &dyn Clock, name: &str) -> Result<(), Stopped> {
        clock.wait_until(&|| {
            self.observer.touched(&|| Cell::Signal(name.into()));
            self.has_happened(name)
        })
    }

    /// Whether something has happened.
    pub(super) fn has_happened(&self, name: &str) -> bool {
        lock(&self.signals.happened).contains(name)
    }

    /// Puts back whether something has happened.
    pub(super) fn set_happened(&self, name: &str, happened: bool) {
        let mut all = lock(&self.signals.happened);
        if happened {
            all.insert(name.into());
        } else {
            all.remove(name);
        }
    }

    /// The commands that are to run later.
    pub(super) fn late(&self) -> Vec<Late> {
        lock(&self.signals.late).clone()
    }

    /// Puts back the commands that are to run later.
    pub(super) fn set_late(&self, late: Vec<Late>) {
        *lock(&self.signals.late) = late;
    }

    /// How many things have happened.
    pub(super) fn happenings(&self) -> usize {
        lock(&self.signals.happened).len()
    }

    /// Lets a command run later.
    pub(super) fn postpone(&self, late: Late) {
        self.observer.touched(&|| Cell::Late);
        lock(&self.signals.late).push(late);
    }

    fn run_late(&self, late: Late) {
        self.observer.touched(&|| Cell::Server);
        // Nobody is there to hear what became of it.
        let _ = self.carry_out_late(&late.sender, &late.commands);
    }
}
