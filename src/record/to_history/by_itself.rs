//! What happens to a lock by no client's command about it: leases expire, and keys come and go unseen.

use super::HistoryWriter;
use crate::record::key::Outcome;
use crate::record::observations::What;
use crate::record::operation::Unit;
use lock_history::history::{Change, Effect, EventKind};

impl<'a> HistoryWriter<'a> {
    /// Adds the leases that expired before this time.
    pub(super) fn expire_leases(&mut self, at: u64) {
        while let Some((end, lock)) = self.holdings.next_expiry(at) {
            self.log.reach(end);
            self.end_lease(lock);
        }
    }

    /// A command that found the lock free, though no client deleted it: its lease has expired.
    pub(super) fn notice_end_of_lease(&mut self, lock: usize, unit: &Unit<'a>) {
        let finds_free = unit.observations.iter().find_map(|one| match (&one.what, one.outcome) {
            (What::Flag { .. } | What::AskedFlag, _) => None,
            (_, Outcome::Took | Outcome::Nothing | Outcome::Saw(None)) => Some(true),
            _ => Some(false),
        });
        if finds_free == Some(true) && self.holdings.holder(lock).is_some() {
            self.end_lease(lock);
        }
    }

    fn end_lease(&mut self, lock: usize) {
        self.forget_if_light(lock);
        let Some(id) = self.holdings.expire(lock) else { return };
        self.log.event(None, EventKind::lease_expired(lock, &self.key(lock), self.log.token(id)));
    }

    /// The lock is free, by no client's doing.
    pub(super) fn gone(&mut self, lock: usize, what: &str) {
        self.forget_if_light(lock);
        let Some(id) = self.holdings.free(lock) else { return };
        let effects = vec![Effect { lock, change: Change::Deleted { token: self.log.token(id) } }];
        self.log.event(None, EventKind::fault(what.into(), effects));
    }

    /// A client removed it with all whose time was over.
    pub(super) fn overdue(&mut self, lock: usize) {
        let Some(id) = self.holdings.free(lock) else { return };
        let (key, token) = (self.key(lock), self.log.token(id));
        self.log.event(None, EventKind::lease_in_value_over(lock, &key, token));
    }

    /// Something was missed: what actors did meanwhile is not known.
    pub(super) fn gap(&mut self, why: &str) {
        let what = format!("{why}, and what happened meanwhile was not seen");
        self.log.event(None, EventKind::fault(what, Vec::new()));
        (0..self.given.seen.locks.len()).for_each(|lock| self.forget(lock));
    }

    /// From here on a lock is not followed.
    pub(super) fn given_up(&mut self, lock: usize) {
        let what = format!("{} is not followed from here on", self.key(lock));
        self.log.event(None, EventKind::fault(what, Vec::new()));
        self.forget(lock);
        self.holdings.free(lock);
    }
}
