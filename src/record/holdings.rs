//! Which acquisition holds each lock, and what actors think they hold.

use super::key::Id;
use super::observations::Seen;
use super::operation::Came;
use super::tenures::Tenures;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// What an actor thinks of a lock.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClientBelief {
    /// The acquisition that it believes to hold.
    pub holds: Id,
    /// What its last read of the lock showed.
    pub last: Came,
}

/// The state of all locks.
#[derive(Debug)]
pub(super) struct Holdings<'a> {
    seen: &'a Seen,
    tenures: &'a Tenures,
    /// By lock.
    states: Vec<Holding>,
    /// When the leases of the holders end: time, acquisition.
    leases: BTreeSet<(u64, Id)>,
    /// The actor that each acquisition is of.
    owners: HashMap<Id, usize>,
    /// The acquisitions that are over because their leases expired.
    expired: HashSet<Id>,
}

#[derive(Debug, Default)]
struct Holding {
    holder: Option<Id>,
    beliefs: BTreeMap<usize, ClientBelief>,
}

impl<'a> Holdings<'a> {
    /// All locks are free.
    pub fn new(seen: &'a Seen, tenures: &'a Tenures) -> Self {
        let states = seen.locks.iter().map(|_| Holding::default()).collect();
        Self {
            seen,
            tenures,
            states,
            leases: BTreeSet::new(),
            owners: HashMap::new(),
            expired: HashSet::new(),
        }
    }

    /// The acquisition that holds a lock.
    pub fn holder(&self, lock: usize) -> Option<Id> {
        self.states.get(lock)?.holder
    }

    /// The actor that an acquisition is of.
    pub fn owner(&self, id: Id) -> Option<usize> {
        self.owners.get(&id).copied()
    }

    /// What an actor thinks of a lock.
    pub fn belief(&self, actor: usize, lock: usize) -> Option<ClientBelief> {
        self.states.get(lock)?.beliefs.get(&actor).copied()
    }

    /// All that believe that they hold a lock.
    pub fn believers(&self, lock: usize) -> impl Iterator<Item = (usize, ClientBelief)> {
        let state = self.states.get(lock).into_iter();
        state.flat_map(|state| state.beliefs.iter().map(|(actor, belief)| (*actor, *belief)))
    }

    /// Whether any actor believes that it holds a lock.
    pub fn is_believed(&self, lock: usize) -> bool {
        self.believers(lock).next().is_some()
    }

    /// An actor acquired a lock.
    pub fn take(&mut self, actor: usize, lock: usize, id: Id) {
        if let Some(state) = self.states.get_mut(lock) {
            state.holder = Some(id);
            state.beliefs.insert(actor, ClientBelief { holds: id, last: Came::Other });
        }
        self.owners.insert(id, actor);
        self.lease(id);
    }

    /// Notes what an actor's last command showed it of its lock.
    pub fn shown(&mut self, actor: usize, lock: usize, came: Came) {
        let state = self.states.get_mut(lock);
        if let Some(belief) = state.and_then(|state| state.beliefs.get_mut(&actor)) {
            belief.last = came;
        }
    }

    /// An actor no longer believes that it holds a lock.
    pub fn forget(&mut self, actor: usize, lock: usize) {
        if let Some(state) = self.states.get_mut(lock) {
            state.beliefs.remove(&actor);
        }
    }

    /// Notes when the lease of an acquisition ends.
    pub fn lease(&mut self, id: Id) {
        if let Some(end) = self.tenures.end(id) {
            self.leases.insert((end, id));
        }
    }

    /// The lease of a lock expired: gives its holder.
    pub fn expire(&mut self, lock: usize) -> Option<Id> {
        let id = self.free(lock)?;
        self.expired.insert(id);
        Some(id)
    }

    /// Whether an acquisition is over because its lease expired.
    pub fn has_expired(&self, id: Id) -> bool {
        self.expired.contains(&id)
    }

    /// The lock is free now: gives its holder.
    pub fn free(&mut self, lock: usize) -> Option<Id> {
        let id = self.states.get_mut(lock)?.holder.take()?;
        if let Some(end) = self.tenures.end(id) {
            self.leases.remove(&(end, id));
        }
        Some(id)
    }

    /// The next holder whose lease expires before this time: the time, and the lock.
    pub fn next_expiry(&mut self, before: u64) -> Option<(u64, usize)> {
        while let Some((end, id)) = self.leases.first().copied().filter(|(end, _)| *end < before) {
            self.leases.remove(&(end, id));
            let lock = self.seen.observations.get(id).map(|one| one.lock);
            if let Some(lock) = lock.filter(|lock| self.holder(*lock) == Some(id)) {
                return Some((end, lock));
            }
        }
        None
    }
}
