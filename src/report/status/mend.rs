//! The one or two commands that mend what can be mended without a second thought.

use super::Typed;
use super::words::is_typeable;
use lock_lab::lock::{Sighting, State};

/// What is to be mended, in a word each; however many locks there are, it stays small.
#[derive(Debug, Clone, Default)]
pub(super) struct Mend {
    orphans: Trouble,
    flags: Trouble,
}

/// Locks with the same trouble, in the order of their runs.
#[derive(Debug, Clone, Default)]
struct Trouble {
    first: Option<Sighting>,
    last_run: Option<String>,
    locks: usize,
    runs: usize,
}

impl Trouble {
    fn take(&mut self, sighting: &Sighting) {
        let runid = sighting.lock.runid();
        self.locks += 1;
        if self.last_run.as_deref() != Some(runid) {
            self.last_run = Some(runid.into());
            self.runs += 1;
        }
        self.first.get_or_insert_with(|| sighting.clone());
    }
}

impl Mend {
    pub(super) fn take(&mut self, sighting: &Sighting) {
        match sighting.state() {
            State::Orphaned if is_typeable(sighting) => self.orphans.take(sighting),
            _ if sighting.drifts() => self.flags.take(sighting),
            _ => {}
        }
    }

    /// How many runs have orphans that the commands leave.
    pub(super) fn more_runs(&self) -> usize {
        self.orphans.runs.saturating_sub(1)
    }

    /// The commands. Clearing a run's locks sets its flags right, too.
    pub(super) fn commands(&self, typed: &Typed) -> Vec<String> {
        let mut commands = Vec::new();
        let mut cleared = None;
        if let Some(orphan) = &self.orphans.first {
            let runid = orphan.lock.runid();
            commands.extend(match self.orphans.locks {
                1 => typed.unlock(runid, &orphan.file, orphan.payload(), &[]),
                _ => {
                    cleared = Some(runid);
                    typed.clear_locks(runid)
                }
            });
        }
        if let Some(flag) = &self.flags.first {
            let runid = flag.lock.runid();
            commands.extend(match self.flags.runs {
                1 if cleared == Some(runid) => None,
                1 => typed.repair_or_all(runid),
                _ => typed.repair_all(),
            });
        }
        commands
    }
}
