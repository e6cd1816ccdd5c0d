//! What really happened to the lock: the tenures of its holders, and what went wrong.
//!
//! It is noted where the generator does it, without MONITOR, and so that it can be checked by reading.

use super::server::Reply;
use lock_history::check::Property;

/// How a tenure ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// Its holder released it.
    Released,
    /// Its lease expired.
    Expired,
    /// Another holder deleted it.
    Deleted,
    /// Another holder wrote its own token.
    Overwritten,
    /// The server evicted it.
    Evicted,
    /// The server restarted without it.
    Forgotten,
    /// An operator removed it with everything else.
    Flushed,
}

/// One acquisition.
#[derive(Debug)]
pub(super) struct Tenure {
    pub holder: usize,
    pub at: u64,
    /// Until when the lease lasts that was asked for.
    pub asked: Option<u64>,
    pub over: Option<Over>,
    /// Whether its holder has begun to release it, and whether it has finished.
    pub is_releasing: bool,
    pub is_done: bool,
}

/// Something that went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fact {
    pub property: Property,
    /// Between which time stamps.
    pub from: u64,
    pub to: u64,
    /// Whether it has to be found. What is a matter of definition may be.
    pub is_certain: bool,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Truth {
    pub tenures: Vec<Tenure>,
    pub facts: Vec<Fact>,
    /// The tenure that the key is in.
    current: Option<usize>,
}

impl Truth {
    fn add(&mut self, property: Property, reply: &Reply, is_certain: bool) {
        let (from, to) = (reply.first, reply.last);
        self.facts.push(Fact { property, from, to, is_certain });
    }

    /// The holder's tenure that it has not finished.
    fn open(&self, holder: usize) -> Option<usize> {
        self.tenures.iter().rposition(|one| one.holder == holder && !one.is_done)
    }

    /// Ends the tenure that the key is in.
    fn end(&mut self, over: Over) {
        if let Some(current) = self.current.take() {
            self.tenures[current].over = Some(over);
        }
    }

    /// The key expired.
    pub fn expired(&mut self) {
        self.end(Over::Expired);
    }

    /// The server lost it.
    pub fn lost(&mut self, how: Over) {
        self.end(how);
    }

    /// A holder's acquire wrote the key; the lease is in milliseconds.
    pub fn granted(&mut self, holder: usize, lease: Option<u64>, reply: &Reply) {
        let at = reply.first;
        if self.current.is_some() {
            self.add(Property::ForeignOverwrite, reply, true);
            self.end(Over::Overwritten);
        }
        let others = self.tenures.iter().filter(|one| one.holder != holder && !one.is_done);
        let others: Vec<(bool, bool)> = others
            .map(|one| {
                let lasts = one.asked.is_none_or(|asked| at < asked);
                let is_excused =
                    matches!(one.over, Some(Over::Deleted | Over::Evicted | Over::Flushed));
                (one.is_releasing, lasts && !is_excused)
            })
            .collect();
        for (is_releasing, is_double) in others {
            self.add(Property::Overlap, reply, !is_releasing);
            if is_double {
                self.add(Property::DoubleGrant, reply, false);
            }
        }
        self.current = Some(self.tenures.len());
        let asked = lease.map(|lease| at + lease * 1000);
        let (over, is_releasing, is_done) = (None, false, false);
        self.tenures.push(Tenure { holder, at, asked, over, is_releasing, is_done });
    }

    /// A holder deleted the key, or found that there was nothing to delete.
    pub fn deleted(&mut self, holder: usize, reply: &Reply) {
        if !reply.is_yes() {
            return;
        }
        let Some(current) = self.current else { return };
        if self.tenures[current].holder == holder {
            self.end(Over::Released);
        } else {
            self.end(Over::Deleted);
            self.add(Property::ForeignRelease, reply, true);
        }
    }

    /// A holder set the lease of the key.
    pub fn extended(&mut self, holder: usize, reply: &Reply) {
        let current = self.current.filter(|_| reply.is_yes());
        if current.is_some_and(|current| self.tenures[current].holder != holder) {
            self.add(Property::ForeignExtend, reply, true);
        }
    }

    /// A holder begins to release its lock.
    pub fn releases(&mut self, holder: usize) {
        if let Some(open) = self.open(holder) {
            self.tenures[open].is_releasing = true;
        }
    }

    /// A holder crashed with its lock, or forgot it.
    pub fn abandoned(&mut self, holder: usize) {
        if let Some(open) = self.open(holder) {
            self.tenures[open].is_done = true;
        }
    }

    /// A holder is done with its lock; it may have learned that it had lost it.
    pub fn done(&mut self, holder: usize, reply: &Reply, has_learned: bool) {
        let Some(open) = self.open(holder) else { return };
        self.tenures[open].is_done = true;
        if self.tenures[open].over == Some(Over::Expired) {
            // It is said of all leases together.
            let (property, is_certain) = (Property::LeaseTooShort, true);
            self.facts.push(Fact { property, from: 0, to: u64::MAX, is_certain });
        }
        let is_lost = self.tenures[open].over != Some(Over::Released);
        if is_lost && !has_learned {
            self.add(Property::SilentLoss, reply, true);
        }
    }

    /// The end: a lock that is still there is stuck.
    pub fn finish(&mut self, at: u64) {
        let current = self.current.filter(|current| self.tenures[*current].is_done);
        if let Some(current) = current {
            let (property, is_certain) = (Property::StuckLock, true);
            let from = self.tenures[current].at;
            self.facts.push(Fact { property, from, to: at, is_certain });
        }
    }

    /// Whether something of this property happened at this time.
    pub fn has(&self, property: Property, at: u64) -> bool {
        let is_it = |fact: &Fact| fact.property == property && (fact.from..=fact.to).contains(&at);
        self.facts.iter().any(is_it)
    }
}
