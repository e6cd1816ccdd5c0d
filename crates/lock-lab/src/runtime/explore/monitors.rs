//! What the past of a state can still mean for a violation: monitors by number, and what each event
//! makes of each of them.

use super::super::in_flight::Sender;
use super::automata::Way;
use super::intern::{Interner, bytes_of_map};
use super::servers::Servers;
use lock_history::check::{Monitor, Properties, Tried};
use lock_history::history::{Command, EventKind, Left, Sharing};
use rustc_hash::FxHashMap;

/// All monitors that were met.
pub(super) struct Monitors {
    monitors: Interner<Monitor>,
    found: Vec<Properties>,
    tried: Tried,
    /// After an event at the server, by its number, that was this actor's doing, at a time.
    after: FxHashMap<(u32, u32, Option<usize>, u64), u32>,
    /// After an actor went on at a time, by the number of the way.
    after_way: FxHashMap<(u32, u32, u64), u32>,
}

impl Monitors {
    /// With the number of the one that has seen nothing. `may_come_late` says whether commands may
    /// come when their senders have ended.
    pub fn new(
        actors: usize,
        locks: usize,
        may_come_late: bool,
        sharing: Option<Sharing>,
    ) -> (Self, u32) {
        let mut monitors = Self {
            monitors: Interner::default(),
            found: Vec::new(),
            tried: Tried::default(),
            after: FxHashMap::default(),
            after_way: FxHashMap::default(),
        };
        let monitor = Monitor::new(actors, locks).with_sharing(sharing);
        let first = monitors.number(match may_come_late {
            true => monitor.with_late_commands(),
            false => monitor,
        });
        (monitors, first)
    }

    /// About how much memory they take.
    pub fn bytes(&self) -> usize {
        self.monitors.bytes() + bytes_of_map(&self.after) + bytes_of_map(&self.after_way)
    }

    /// What was violated.
    pub fn found(&self, monitor: u32) -> Properties {
        self.found.get(monitor as usize).copied().unwrap_or_default()
    }

    /// What was put to the test.
    pub fn tried(&self) -> Tried {
        self.tried
    }

    /// After something happened at the server.
    pub fn after(
        &mut self,
        monitor: u32,
        event: u32,
        actor: Option<usize>,
        servers: &Servers,
        time: u64,
    ) -> u32 {
        let key = (monitor, event, actor, time);
        if let Some(known) = self.after.get(&key) {
            return *known;
        }
        let to = match servers.event(event) {
            Some(kind) => self.read(monitor, |monitor| monitor.read(actor, kind, time)),
            None => monitor,
        };
        self.after.insert(key, to);
        to
    }

    /// After something happened at the server because of a command that was given up.
    pub fn after_late(
        &mut self,
        monitor: u32,
        event: u32,
        sender: &Sender,
        servers: &Servers,
        time: u64,
    ) -> u32 {
        let Some(EventKind::Command(command)) = servers.event(event) else { return monitor };
        let command = Command { late: Some(sender.verb.clone()), ..command.clone() };
        self.read(monitor, |monitor| {
            monitor.read(Some(sender.actor), &EventKind::Command(command), time)
        })
    }

    /// After what an actor wrote down on its way.
    pub fn after_way(&mut self, monitor: u32, way: &Way, time: u64) -> u32 {
        if way.events.is_empty() {
            return monitor;
        }
        if let Some(known) = self.after_way.get(&(monitor, way.number, time)) {
            return *known;
        }
        let to = self.read(monitor, |monitor| {
            let tried = way.events.iter().map(|(actor, kind)| monitor.read(*actor, kind, time));
            tried.fold(Tried::default(), Tried::and)
        });
        self.after_way.insert((monitor, way.number, time), to);
        to
    }

    /// After the last snapshot of the locks.
    pub fn after_all(&mut self, monitor: u32, lefts: Vec<Left>, time: u64) -> u32 {
        self.read(monitor, |monitor| {
            let tried =
                lefts.into_iter().map(|left| monitor.read(None, &EventKind::Left(left), time));
            tried.fold(Tried::default(), Tried::and)
        })
    }

    fn read(&mut self, monitor: u32, read: impl FnOnce(&mut Monitor) -> Tried) -> u32 {
        let Some(monitor) = self.monitors.get(monitor) else { return monitor };
        let mut monitor = Monitor::clone(monitor);
        self.tried = self.tried.and(read(&mut monitor));
        self.number(monitor)
    }

    fn number(&mut self, monitor: Monitor) -> u32 {
        let found = monitor.found();
        let number = self.monitors.number(monitor);
        if number as usize == self.found.len() {
            self.found.push(found);
        }
        number
    }
}
