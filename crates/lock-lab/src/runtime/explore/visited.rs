//! The states that were met, side by side in one table of small numbers.

use super::super::Turn;
use super::intern::{bytes_of_list, bytes_of_table};
use hashbrown::HashTable;
use rustc_hash::{FxHashMap, FxHasher};
use std::hash::{Hash, Hasher};

/// Everything about one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Draft {
    pub server: u32,
    pub cells: u32,
    /// What the past can still mean for a violation.
    pub monitor: u32,
    pub crashes: u32,
    pub faults: u32,
    /// What is on its way though its senders gave it up: the number of such a list.
    pub in_flight: u32,
    /// In nanoseconds since the run began; stays 0 where each task has a time of its own.
    pub time: u64,
    /// Where each task is.
    pub nodes: Vec<u32>,
    /// When sleepers wake; empty where sleep costs nothing.
    pub wakes: Vec<u64>,
    /// The TTLs that ended by themselves on the way here. That is no part of the state.
    pub ended: Vec<Turn>,
}

/// The members of a state that every state has, and one for the time.
const FIXED: usize = 7;

/// All states, by number.
pub(super) struct Visited {
    nodes: usize,
    wakes: usize,
    /// One state after the other.
    table: Vec<u32>,
    numbers: HashTable<u32>,
    /// The times that are spoken of, and their numbers.
    times: Vec<u64>,
    numbers_of_times: FxHashMap<u64, u32>,
    row: Vec<u32>,
}

impl Visited {
    /// For `nodes` tasks, of which `wakes` can sleep.
    pub fn new(nodes: usize, wakes: usize) -> Self {
        Self {
            nodes,
            wakes,
            table: Vec::new(),
            numbers: HashTable::new(),
            times: Vec::new(),
            numbers_of_times: FxHashMap::default(),
            row: Vec::new(),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.table.len() / self.width()
    }

    /// How much memory they take.
    pub fn bytes(&self) -> usize {
        bytes_of_list(&self.table)
            + bytes_of_table(self.numbers.len(), self.numbers.capacity(), size_of::<u32>())
    }

    /// The number of a state.
    pub fn number(&mut self, draft: &Draft) -> u32 {
        let mut row = std::mem::take(&mut self.row);
        row.clear();
        let Draft { server, cells, monitor, crashes, faults, in_flight, .. } = *draft;
        row.extend([server, cells, monitor, crashes, faults, in_flight, self.time(draft.time)]);
        row.extend(&draft.nodes);
        for wake in &draft.wakes {
            row.push(self.time(*wake));
        }
        let next = u32::try_from(self.len()).unwrap_or(u32::MAX);
        let width = self.width();
        let (table, hash) = (&self.table, hash(&row));
        let is_same = |number: &u32| at(table, width, *number) == row;
        let number = match self.numbers.find(hash, is_same) {
            Some(number) => *number,
            None => {
                let rehash = |number: &u32| self::hash(at(table, width, *number));
                self.numbers.insert_unique(hash, next, rehash);
                self.table.extend_from_slice(&row);
                next
            }
        };
        self.row = row;
        number
    }

    /// Reads a state.
    pub fn read(&self, number: u32, draft: &mut Draft) {
        let row = at(&self.table, self.width(), number);
        let Some((fixed, rest)) = row.split_first_chunk::<FIXED>() else { return };
        let [server, cells, monitor, crashes, faults, in_flight, time] = *fixed;
        (draft.server, draft.cells, draft.monitor) = (server, cells, monitor);
        (draft.crashes, draft.faults, draft.in_flight) = (crashes, faults, in_flight);
        draft.time = self.nanos(time);
        let (nodes, wakes) = rest.split_at_checked(self.nodes).unwrap_or_default();
        draft.nodes.clear();
        draft.nodes.extend_from_slice(nodes);
        draft.wakes.clear();
        draft.wakes.extend(wakes.iter().map(|wake| self.nanos(*wake)));
        draft.ended.clear();
    }

    /// Where a task is in a state.
    pub fn node(&self, number: u32, task: usize) -> Option<u32> {
        at(&self.table, self.width(), number).get(FIXED + task).copied()
    }

    /// What the past of a state can still mean.
    pub fn monitor(&self, number: u32) -> u32 {
        at(&self.table, self.width(), number).get(2).copied().unwrap_or_default()
    }

    fn width(&self) -> usize {
        FIXED + self.nodes + self.wakes
    }

    fn time(&mut self, nanos: u64) -> u32 {
        if let Some(number) = self.numbers_of_times.get(&nanos) {
            return *number;
        }
        let next = u32::try_from(self.times.len()).unwrap_or(u32::MAX);
        self.times.push(nanos);
        self.numbers_of_times.insert(nanos, next);
        next
    }

    fn nanos(&self, time: u32) -> u64 {
        self.times.get(time as usize).copied().unwrap_or_default()
    }
}

fn at(table: &[u32], width: usize, number: u32) -> &[u32] {
    let from = number as usize * width;
    table.get(from..from + width).unwrap_or_default()
}

fn hash(row: &[u32]) -> u64 {
    let mut hasher = FxHasher::default();
    row.hash(&mut hasher);
    hasher.finish()
}
