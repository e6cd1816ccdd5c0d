//! Named things that have happened, for which actors and rules wait: steps that ended, rules that
//! matched.

use super::World;
use super::in_flight::{self, Sender};
use super::observer::Cell;
use super::rules::Counts;
use super::yield_point::Commands;
use crate::scenario::Rule;
use parking_lot::Mutex;
use redis_sim::clock::{Clock, Stopped};
use std::collections::BTreeSet;

/// What has happened so far, the commands that run when something happens, and how often each rule
/// has matched.
pub(super) struct Signals {
    happened: Mutex<BTreeSet<String>>,
    late: Mutex<Vec<Late>>,
    pub counts: Counts,
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

impl Signals {
    pub fn new(rules: &[Rule]) -> Self {
        Self { happened: Mutex::default(), late: Mutex::default(), counts: Counts::new(rules) }
    }

    /// Whether something has happened.
    pub fn has_happened(&self, name: &str) -> bool {
        self.happened.lock().contains(name)
    }

    /// Puts back whether something has happened.
    pub fn set_happened(&self, name: &str, happened: bool) {
        let mut all = self.happened.lock();
        if happened {
            all.insert(name.into());
        } else {
            all.remove(name);
        }
    }

    /// How many things have happened.
    pub fn happenings(&self) -> usize {
        self.happened.lock().len()
    }

    /// The commands that are to run later.
    pub fn late(&self) -> Vec<Late> {
        self.late.lock().clone()
    }

    /// Puts back the commands that are to run later.
    pub fn set_late(&self, late: Vec<Late>) {
        *self.late.lock() = late;
    }

    /// The names of the rules that never matched.
    pub fn unmatched(&self, rules: &[Rule]) -> Vec<String> {
        let idle = rules.iter().enumerate().filter(|(index, _)| self.counts.of(*index) == 0);
        idle.map(|(_, rule)| rule.name.clone()).collect()
    }
}

/// Says that something has happened, and runs what was waiting for it.
pub(super) fn signal(world: &World, clock: &dyn Clock, name: &str) {
    world.observer.touched(&|| Cell::Signal(name.into()));
    world.observer.touched(&|| Cell::Late);
    if !world.signals.happened.lock().insert(name.into()) {
        return;
    }
    let due: Vec<Late> =
        world.signals.late.lock().extract_if(.., |late| late.after == name).collect();
    for late in due {
        world.observer.touched(&|| Cell::Server);
        // No client hears the reply.
        let _ = in_flight::carry_out(world, &late.sender, &late.commands);
    }
    clock.notify();
}

/// Waits until something has happened.
pub(super) fn wait_for(world: &World, clock: &dyn Clock, name: &str) -> Result<(), Stopped> {
    clock.wait_until(&|| {
        world.observer.touched(&|| Cell::Signal(name.into()));
        world.signals.has_happened(name)
    })
}

/// Lets a command run later.
pub(super) fn postpone(world: &World, late: Late) {
    world.observer.touched(&|| Cell::Late);
    world.signals.late.lock().push(late);
}
