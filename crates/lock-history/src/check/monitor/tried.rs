//! What was put to the test. That a property was not violated says something only where its violation
//! could have come.

use super::state::{Owner, TenureState};
use super::{Lock, Monitor, Properties};
use crate::check::Property;
use crate::history::{Change, Effect, EventKind, Operation, Verb};

/// What was put to the test.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tried {
    /// The properties that could have been violated.
    pub properties: Properties,
    /// Whether a lease expired under the actor that held it.
    pub lease_expired: bool,
}

impl Tried {
    /// What either put to the test.
    pub fn and(self, other: Self) -> Self {
        Self {
            properties: self.properties.iter().chain(other.properties.iter()).collect(),
            lease_expired: self.lease_expired || other.lease_expired,
        }
    }

    /// Why it says nothing that a property was not violated, if so.
    pub fn why_not(self, property: Property) -> Option<&'static str> {
        if self.properties.contains(property) {
            return None;
        }
        match property {
            Property::DoubleGrant | Property::Overlap => {
                Some("no acquire was tried while another actor held the lock")
            }
            // Then no actor can outlive its tenure.
            Property::ForeignRelease | Property::ForeignOverwrite | Property::ForeignExtend => {
                let why =
                    "no actor released or extended the lock after another one had acquired it";
                self.lease_expired.then_some(why)
            }
            Property::LostUpdate => Some("no actor wrote after it had lost the lock"),
            Property::SilentLoss => Some("no actor lost the lock"),
            Property::StuckLock | Property::FlagDrift | Property::TokenDrift => {
                Some("the lock was never acquired")
            }
            Property::Unavailable => Some("no fresh client tried to acquire the lock at the end"),
            Property::FencingOrder => Some("no fencing token was seen"),
            Property::Deadlock => Some("no actor that held a lock was refused another one"),
            Property::Starvation | Property::LeaseTooShort | Property::Registered(_) => None,
        }
    }
}

/// What a command puts to the test by what it does, whether or not its sender hears of it.
fn tried_by_effects(effects: &[Effect]) -> Vec<Property> {
    let mut tried = Vec::new();
    for Effect { change, .. } in effects {
        if let Change::Took { fence, .. } = change {
            tried.extend([Property::StuckLock, Property::FlagDrift, Property::TokenDrift]);
            tried.extend(fence.map(|_| Property::FencingOrder));
        }
    }
    tried
}

impl Monitor {
    /// What an event puts to the test.
    pub(super) fn tried(&self, actor: Option<usize>, kind: &EventKind) -> Tried {
        let mut tried = Tried::default();
        let mut add = |properties: &[Property]| {
            properties.iter().for_each(|property| tried.properties.insert(*property));
        };
        match (kind, actor) {
            (
                EventKind::Completed(operation) | EventKind::Failed { operation, .. },
                Some(actor),
            ) => {
                add(self.tried_by_step(actor, operation));
                if matches!(kind, EventKind::Completed(_)) && operation.verb == Verb::Acquire {
                    add(&[Property::StuckLock, Property::FlagDrift, Property::TokenDrift]);
                    add(operation.fence.map_or(&[], |_| &[Property::FencingOrder]));
                }
                if operation.lock.is_some_and(|lock| self.has_lost(actor, lock)) {
                    add(&[Property::SilentLoss]);
                }
            }
            (EventKind::Ended { .. }, Some(actor))
                if (0..self.locks.len()).any(|lock| self.has_lost(actor, lock)) =>
            {
                add(&[Property::SilentLoss]);
            }
            (EventKind::Command(command), actor) => {
                add(&tried_by_effects(&command.effects));
                let is_own = |verb: &Verb| matches!(verb, Verb::Release | Verb::Extend);
                if command.late.as_ref().is_some_and(is_own) && self.has_another_holder(actor) {
                    add(&Property::FOREIGN);
                }
            }
            (EventKind::Left(left), _) if left.acquirable.is_some() => {
                add(&[Property::Unavailable]);
            }
            (EventKind::Fault { lease_of: Some(lock), .. }, _) => {
                let owner = self.locks.get(*lock).map(|lock| lock.owner);
                tried.lease_expired = matches!(owner, Some(Owner::Actor(_)));
            }
            _ => {}
        }
        tried
    }

    /// What was violated was tried: when a step ends that took another actor's lock away, that actor does
    /// not hold it any more.
    pub(super) fn tried_as_found(&self) -> Tried {
        let is_found = Property::FOREIGN.iter().any(|property| self.found.contains(*property));
        let properties = Property::FOREIGN.into_iter().filter(|_| is_found).collect();
        Tried { properties, ..Tried::default() }
    }

    /// What a step that ends puts to the test.
    fn tried_by_step(&self, actor: usize, operation: &Operation) -> &'static [Property] {
        let Some((lock, state)) =
            operation.lock.and_then(|lock| Some((lock, self.locks.get(lock)?)))
        else {
            return &[];
        };
        let is_anothers = matches!(state.owner, Owner::Actor(owner) if owner != actor);
        match &operation.verb {
            Verb::Acquire if is_anothers => {
                let mut others = self.locks.iter().enumerate().filter(|(other, _)| *other != lock);
                if others.any(|(_, other)| other.owner == Owner::Actor(actor)) {
                    &[Property::DoubleGrant, Property::Overlap, Property::Deadlock]
                } else {
                    &[Property::DoubleGrant, Property::Overlap]
                }
            }
            Verb::Release | Verb::Extend | Verb::Redis if is_anothers => &Property::FOREIGN,
            Verb::Dump if is_anothers || self.has_lost(actor, lock) => &[Property::LostUpdate],
            _ => &[],
        }
    }

    /// Whether a lock is held by another actor than this one.
    fn has_another_holder(&self, actor: Option<usize>) -> bool {
        let is_anothers =
            |lock: &Lock| matches!(lock.owner, Owner::Actor(owner) if Some(owner) != actor);
        self.locks.iter().any(is_anothers)
    }

    fn has_lost(&self, actor: usize, lock: usize) -> bool {
        let belief = self.actors.get(actor).and_then(|actor| actor.known.get(lock));
        belief.is_some_and(|belief| belief.tenure == TenureState::Lost)
    }
}
