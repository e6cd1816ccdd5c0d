//! The writes of one lock's file that later findings may still depend on.
//!
//! Writes are reported when their dumps complete, and that may be in another order than the writes
//! themselves. They are kept as a row of *runs*: revisions that follow each other without a gap. A
//! gap stays open as long as a dump is under way that may have written in it; mostly there is one
//! run, and all that matters is its last revision and its highest fence.

use crate::history::Write;
use std::collections::BTreeSet;

/// What is remembered of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct File {
    runs: Vec<Revisions>,
    /// Updates that are lost if one of these actors completes a dump that wrote this revision.
    unproved: BTreeSet<(u64, BTreeSet<usize>)>,
}

/// Revisions without a gap.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Revisions {
    first: u64,
    last: u64,
    /// The lowest fencing token of its writes.
    lowest: Option<u64>,
    /// The highest fencing token of its writes and of those that were forgotten before it.
    highest: Option<u64>,
    /// The writer of the last revision; none, if that no longer matters.
    by: Option<usize>,
    /// The actors that were in a dump, and lost the lock in it, before the dump of the last
    /// revision began.
    passed: BTreeSet<usize>,
    /// The actors that may still complete a dump that wrote between the run before and this one.
    below: BTreeSet<usize>,
}

/// A dump that completed.
pub(super) struct Done<'a> {
    /// What it wrote.
    pub write: Write,
    /// With which fencing token.
    pub fence: Option<u64>,
    /// The writer.
    pub by: usize,
    /// Whether the writer had ever acquired the lock, as it believes.
    pub has_acquired: bool,
    /// Whether its lock was gone when the dump began.
    pub lost: bool,
    /// The actors that were in a dump, and lost the lock in it, before this dump began.
    pub passed: &'a BTreeSet<usize>,
    /// The other actors in a dump of this file.
    pub others: BTreeSet<usize>,
    /// Those of them that began their dumps when the writer had lost its lock in this one.
    pub passed_by: BTreeSet<usize>,
}

/// What a write violates.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct WriteVerdict {
    pub lost_update: bool,
    pub fencing_order: bool,
}

impl File {
    /// Takes in a write.
    pub fn write(&mut self, done: &Done<'_>) -> WriteVerdict {
        let wrote = done.write.wrote;
        let is_proof =
            |(revision, by): &(u64, BTreeSet<usize>)| *revision == wrote && by.contains(&done.by);
        let lost_update = self.unproved.iter().any(is_proof) || self.loses(done);
        let position = self.runs.partition_point(|run| run.first < wrote);
        let (before, after) = self.runs.split_at(position);
        let highest = before.iter().filter_map(|run| run.highest).max();
        let lowest = after.iter().filter_map(|run| run.lowest).min();
        let fencing_order = done.fence.is_some_and(|fence| {
            highest.is_some_and(|highest| fence < highest)
                || lowest.is_some_and(|lowest| lowest < fence)
        });
        self.insert(position, done);
        WriteVerdict { lost_update, fencing_order }
    }

    /// Whether a write overwrites what was never read after its writer's lock was gone.
    fn loses(&mut self, done: &Done<'_>) -> bool {
        let Write { based_on, replaced, .. } = done.write;
        if based_on == replaced || !done.has_acquired {
            return false;
        }
        let known = self.runs.iter().find(|run| run.last == replaced);
        match known {
            Some(known) if known.by == Some(done.by) => false,
            Some(known) => done.lost || known.passed.contains(&done.by),
            None if done.lost => true,
            None => {
                self.unproved.insert((replaced, done.passed_by.clone()));
                false
            }
        }
    }

    fn insert(&mut self, position: usize, done: &Done<'_>) {
        let wrote = done.write.wrote;
        let after = self.runs.get(position);
        let mut run = Revisions {
            first: wrote,
            last: wrote,
            lowest: done.fence,
            highest: done.fence,
            by: Some(done.by),
            passed: done.passed.clone(),
            below: after.map_or(&done.others, |after| &after.below).clone(),
        };
        let mut position = position;
        if self.runs.get(position).is_some_and(|after| after.first == wrote + 1) {
            run.join(self.runs.remove(position));
        }
        let before = position.checked_sub(1).and_then(|before| self.runs.get(before));
        if before.is_some_and(|before| before.last + 1 == wrote) {
            position -= 1;
            let mut before = self.runs.remove(position);
            before.join(run);
            run = before;
        } else if position == 0 && wrote <= 1 {
            run.below.clear();
        }
        self.runs.insert(position, run);
    }

    /// An actor is no longer in a dump of this file.
    pub fn end_dump(&mut self, actor: usize) {
        for run in &mut self.runs {
            run.passed.remove(&actor);
            run.below.remove(&actor);
        }
        let unproved = std::mem::take(&mut self.unproved);
        self.unproved = unproved
            .into_iter()
            .filter_map(|(revision, mut by)| {
                by.remove(&actor);
                (!by.is_empty()).then_some((revision, by))
            })
            .collect();
    }

    /// An actor writes no more.
    pub fn end_actor(&mut self, actor: usize) {
        for run in self.runs.iter_mut().filter(|run| run.by == Some(actor)) {
            run.by = None;
        }
    }

    /// Forgets what no longer matters: both properties may have been found, and a gap is dropped
    /// once no dump can write in it.
    pub fn forget(&mut self, found: WriteVerdict) {
        if found.lost_update && found.fencing_order {
            *self = Self::default();
        }
        if found.lost_update {
            self.unproved.clear();
        }
        let closed = self.runs.iter().rposition(|run| run.below.is_empty()).unwrap_or(0);
        let before = self.runs.drain(..closed).filter_map(|run| run.highest).max();
        if let Some(first) = self.runs.first_mut() {
            first.highest = first.highest.max(before);
            if first.below.is_empty() {
                (first.first, first.lowest) = (first.last, None);
            }
        }
        for run in &mut self.runs {
            if found.lost_update {
                run.by = None;
                run.passed.clear();
            }
            if found.fencing_order {
                (run.lowest, run.highest) = (None, None);
            }
        }
    }
}

impl Revisions {
    /// Goes on with the run that follows without a gap.
    fn join(&mut self, next: Revisions) {
        self.last = next.last;
        self.lowest = self.lowest.or(next.lowest);
        self.highest = self.highest.max(next.highest);
        self.by = next.by;
        self.passed = next.passed;
    }
}
