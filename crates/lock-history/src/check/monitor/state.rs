//! What is known of one actor.

use super::Properties;
use crate::check::Property;
use std::collections::BTreeSet;

/// What is known of an actor.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Actor {
    /// Whether it started and didn't end.
    pub is_active: bool,
    /// How many steps it is in, one in the other.
    pub depth: usize,
    /// What it does in the innermost one.
    pub doing: Doing,
    /// Whether a reply that may notify it of a loss is still to come.
    pub awaits: bool,
    /// What it thinks of each lock.
    pub known: Vec<LockBelief>,
}

/// What a step is for, as far as it matters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) enum Doing {
    /// Anything else.
    #[default]
    Other,
    /// It tries to take a lock.
    Acquires {
        lock: usize,
        /// The lease that it asks for, in nanoseconds.
        lease: Option<u64>,
        /// The tenure that it began.
        tenure: TenureState,
        /// Whether the command that began it gave it a fencing token.
        fenced: bool,
        /// The lowest fencing token of a later tenure since this one was lost.
        ceiling: Option<u64>,
        /// How often it was refused, 2 at most.
        refusals: u8,
        /// Whether it overwrote the lock with a value that is no token.
        wrote: bool,
        /// Whether another actor came to believe in the lock since it began, and before the first
        /// reply that may notify this actor that it had lost it.
        met: bool,
    },
    /// It forgets that it holds a lock.
    Forgets {
        lock: usize,
        /// As above.
        met: bool,
    },
    /// It extends a lease.
    Extends,
    /// It releases a lock.
    Releases,
    /// It sends a command of its own.
    Redis,
    /// It writes a lock's file.
    Dumps {
        lock: usize,
        /// Whether its lock was gone when it began.
        lost: bool,
        /// The actors that were in a dump, and lost the lock in it, before this one began.
        passed: BTreeSet<usize>,
    },
}

/// What an actor thinks of a lock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct LockBelief {
    /// Whether it believes that it holds it.
    pub is_open: bool,
    /// Whether it certainly does: it has not begun to give it back.
    pub is_certain: bool,
    /// Whether it has begun to give it back; only where that can matter later.
    pub gives_back: bool,
    /// Whether another actor came to believe the same since the first reply that may have notified
    /// this actor of its loss.
    pub met: bool,
    /// The tenure of the latest belief, also of one that has ended.
    pub tenure: TenureState,
}

/// How the tenure of an acquisition goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) enum TenureState {
    /// There is none.
    #[default]
    Unknown,
    /// It lasts.
    Lasts,
    /// Its own actor ended it.
    GivenUp,
    /// It was ended by something else.
    Lost,
}

impl TenureState {
    /// Whether it is over.
    pub fn is_over(self) -> bool {
        matches!(self, TenureState::GivenUp | TenureState::Lost)
    }
}

/// The owner of a lock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    /// No owner, or none that was seen to take it.
    #[default]
    Unowned,
    /// An actor.
    Actor(usize),
    /// One that is no actor, or is one no longer.
    Stranger,
}

impl Actor {
    /// An actor of which nothing is known yet; `locks` is the number of locks.
    pub fn new(locks: usize) -> Self {
        Self {
            is_active: false,
            depth: 0,
            doing: Doing::Other,
            awaits: true,
            known: vec![LockBelief::default(); locks],
        }
    }

    /// Forgets what can no longer matter. `holds` says of which locks it is the last actor that
    /// came to believe in them, `may_close_a_circle` whether an acquire of a lock can be part of a
    /// circle.
    pub fn forget(
        &mut self,
        found: Properties,
        holds: impl Fn(usize) -> bool,
        may_close_a_circle: impl Fn(usize) -> bool,
    ) {
        let knows = |property| found.contains(property);
        for (lock, belief) in self.known.iter_mut().enumerate() {
            belief.forget(found, holds(lock));
        }
        let believes = |lock: usize| self.known.get(lock).is_some_and(|belief| belief.is_certain);
        match &mut self.doing {
            Doing::Acquires { lock, tenure, refusals, met, .. } => {
                if !may_close_a_circle(*lock) {
                    *refusals = 0;
                }
                if knows(Property::SilentLoss) && *tenure == TenureState::Lost {
                    *tenure = TenureState::GivenUp;
                }
                *met &= !knows(Property::Overlap);
            }
            Doing::Forgets { lock, met } => {
                if knows(Property::Overlap) || !believes(*lock) {
                    self.doing = Doing::Other;
                } else {
                    *met &= believes(*lock);
                }
            }
            Doing::Redis if Property::FOREIGN.into_iter().all(knows) => self.doing = Doing::Other,
            Doing::Dumps { lost, passed, .. } if knows(Property::LostUpdate) => {
                *lost = false;
                passed.clear();
                if knows(Property::FencingOrder) {
                    self.doing = Doing::Other;
                }
            }
            Doing::Dumps { .. }
            | Doing::Extends
            | Doing::Releases
            | Doing::Redis
            | Doing::Other => {}
        }
    }

    /// Whether it holds a lock, or will when its acquire completes.
    pub fn may_work_under(&self, lock: usize) -> bool {
        let acquires = matches!(
            self.doing,
            Doing::Acquires { lock: its, tenure: TenureState::Lasts, .. } if its == lock
        );
        acquires || self.known.get(lock).is_some_and(LockBelief::certainly_holds)
    }

    /// Whether it can't matter when it was notified of a loss: no belief would end by that.
    pub fn ignores_notifications(&self) -> bool {
        self.depth == 0 || !self.known.iter().any(|belief| belief.is_certain)
    }
}

impl LockBelief {
    /// Whether it certainly believes that it holds the lock, and does.
    pub fn certainly_holds(&self) -> bool {
        self.is_certain && self.tenure == TenureState::Lasts
    }

    fn forget(&mut self, found: Properties, holds: bool) {
        let knows = |property| found.contains(property);
        let may_work = self.certainly_holds() && !knows(Property::FlagDrift);
        if knows(Property::Overlap) {
            self.met = false;
            self.is_certain &= holds || may_work;
        }
        let may_be_silent = self.is_open && !knows(Property::SilentLoss);
        if self.tenure == TenureState::Lost && !may_be_silent {
            self.tenure = TenureState::GivenUp;
        }
        if knows(Property::LostUpdate)
            && (self.tenure == TenureState::GivenUp
                || self.tenure == TenureState::Lasts && !may_be_silent && !holds && !may_work)
        {
            self.tenure = TenureState::Unknown;
        }
        let may_still_lose =
            may_be_silent && matches!(self.tenure, TenureState::Lasts | TenureState::Lost);
        self.is_open = self.is_certain || may_still_lose;
        self.gives_back &= may_be_silent && self.tenure == TenureState::Lasts;
    }
}
