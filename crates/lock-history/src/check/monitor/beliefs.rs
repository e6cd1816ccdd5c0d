//! How beliefs begin and end, and which of them overlap.
//!
//! What ends a belief may end it from an earlier moment on: another acquire, or a forgetting, from
//! the step's beginning; a loss from the first reply that may have notified the actor. So whether
//! it overlaps with one that began since is known only when no such end can come any more.

use super::state::{Doing, TenureState};
use super::{Monitor, Property};
use crate::check::beliefs::{End, Ending, Surely, may_notify};
use crate::history::{Change, Effect};

impl Monitor {
    /// The first reply after a step began may have notified the actor of a loss; so may one that
    /// extended something, and the first one after it.
    pub(super) fn hear_reply(&mut self, actor: usize, effects: &[Effect]) {
        let Some(this) = self.actors.get_mut(actor) else { return };
        let may_be_notified = may_notify(&mut this.awaits, effects);
        if let Doing::Acquires { refusals, .. } = &mut this.doing
            && effects.iter().any(|it| it.change == Change::Refused)
        {
            *refusals = (*refusals + 1).min(2);
            if *refusals == 2 {
                self.circles.waits(actor);
            }
        }
        if may_be_notified {
            self.prove_beliefs(actor);
        }
    }

    /// No later failure can report a loss that the actor may have known of before now.
    pub(super) fn prove_beliefs(&mut self, actor: usize) {
        self.circles.believes(actor);
        let Some(this) = self.actors.get_mut(actor) else { return };
        for (lock, belief) in this.known.iter_mut().enumerate() {
            if !std::mem::take(&mut belief.met) {
                continue;
            }
            match &mut this.doing {
                Doing::Acquires { lock: its, met, .. } | Doing::Forgets { lock: its, met }
                    if *its == lock =>
                {
                    *met = true;
                }
                _ => self.found.insert(Property::Overlap),
            }
        }
    }

    /// An actor comes to believe that it holds a lock.
    pub(super) fn open(&mut self, actor: usize, lock: usize) {
        for (other, it) in self.actors.iter_mut().enumerate() {
            let Some(belief) = it.known.get_mut(lock) else { continue };
            if other == actor {
                belief.tenure = match it.doing {
                    Doing::Acquires { lock: its, tenure, .. } if its == lock => tenure,
                    _ => TenureState::Unknown,
                };
                (belief.is_open, belief.is_certain, belief.met) = (true, true, false);
                belief.gives_back = false;
            } else if belief.is_certain {
                belief.met |= it.depth > 0;
                if it.depth == 0 {
                    self.found.insert(Property::Overlap);
                }
            }
        }
        if let Some(lock) = self.locks.get_mut(lock) {
            lock.last = Some(actor);
        }
    }

    /// Beliefs end.
    pub(super) fn end_beliefs(&mut self, actor: usize, end: End) {
        match end {
            (Some(lock), ending) => self.close(actor, lock, ending),
            (None, ending) => {
                (0..self.locks.len()).for_each(|lock| self.close(actor, lock, ending))
            }
        }
    }

    /// A belief ends, if there is one.
    fn close(&mut self, actor: usize, lock: usize, ending: Ending) {
        match ending.surely_until() {
            Surely::Notified => self.circles.did_not_believe(actor, lock),
            Surely::Now => self.circles.believes(actor),
            Surely::Begun => {}
        }
        let Some(this) = self.actors.get_mut(actor) else { return };
        let Some(belief) = this.known.get_mut(lock).filter(|belief| belief.is_open) else {
            return;
        };
        if ending.is_unnotified() && belief.tenure == TenureState::Lost {
            self.found.insert(Property::SilentLoss);
        }
        let met_in_step = match &mut this.doing {
            Doing::Acquires { lock: its, met, .. } | Doing::Forgets { lock: its, met }
                if *its == lock =>
            {
                std::mem::take(met)
            }
            _ => false,
        };
        let met_since = std::mem::take(&mut belief.met);
        let has_met = match ending.surely_until() {
            Surely::Begun => false,
            Surely::Notified => met_in_step,
            Surely::Now => met_in_step || met_since,
        };
        if has_met {
            self.found.insert(Property::Overlap);
        }
        (belief.is_open, belief.is_certain) = (false, false);
    }
}
