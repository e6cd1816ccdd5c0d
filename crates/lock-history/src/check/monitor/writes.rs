//! What completed dumps violate.

use super::file::Done;
use super::state::{Actor, Doing, TenureState};
use super::{Monitor, Property};
use crate::history::Operation;
use std::collections::BTreeSet;

impl Monitor {
    /// The actors that lost the lock in the dump that they are in.
    pub(super) fn others_who_lost(&self, lock: usize) -> BTreeSet<usize> {
        let lost = |(actor, it): &(usize, &Actor)| {
            let had_it =
                matches!(it.doing, Doing::Dumps { lock: its, lost: false, .. } if its == lock);
            had_it && self.tenure(*actor, lock).is_over()
        };
        self.actors.iter().enumerate().filter(lost).map(|(actor, _)| actor).collect()
    }

    /// What a completed step wrote.
    pub(super) fn write(&mut self, actor: usize, lock: usize, operation: &Operation) {
        let Some(write) = operation.write else { return };
        let has_acquired = self.tenure(actor, lock) != TenureState::Unknown;
        let Some(Doing::Dumps { lost, passed, .. }) = self.actors.get(actor).map(|it| &it.doing)
        else {
            return;
        };
        let others = || {
            self.actors.iter().enumerate().filter_map(|(other, it)| match &it.doing {
                Doing::Dumps { lock: its, passed, .. } if *its == lock && other != actor => {
                    Some((other, passed))
                }
                _ => None,
            })
        };
        let done = Done {
            write,
            fence: operation.fence,
            by: actor,
            has_acquired,
            lost: *lost,
            passed,
            others: others().map(|(other, _)| other).collect(),
            passed_by: others()
                .filter(|(_, passed)| passed.contains(&actor))
                .map(|(other, _)| other)
                .collect(),
        };
        let Some(state) = self.locks.get_mut(lock) else { return };
        let violates = state.file.write(&done);
        if violates.lost_update {
            self.found.insert(Property::LostUpdate);
        }
        if violates.fencing_order {
            self.found.insert(Property::FencingOrder);
        }
    }

    pub(super) fn end_dump(&mut self, actor: usize, lock: usize) {
        for it in &mut self.actors {
            if let Doing::Dumps { lock: its, passed, .. } = &mut it.doing
                && *its == lock
            {
                passed.remove(&actor);
            }
        }
        if let Some(state) = self.locks.get_mut(lock) {
            state.file.end_dump(actor);
        }
    }
}
