//! What stands for a lock: a key, or each member of a key whose members are held one by one.
//!
//! | the key holds | what is a lock | the token |
//! |---|---|---|
//! | a string | the key | its value |
//! | a hash that counts (`HINCRBY key holder 1`) | the key | the field |
//! | a hash with a field for the holder (`HSETNX key owner token`) | the field | its value |
//! | a hash with a mode, which readers share | each field | the field |
//! | a set or sorted set | each member | the member |
//!
//! A key has a position of its own, which is the lock in the first two cases, and one for each member
//! that was met. What a command does to the key it does to all of these. Members that were removed by the
//! client that added them leave their positions to others: tokens are new each time. How many may hold
//! a set at once is not known, so mutual exclusion is not judged there.

use super::{Doing, KeysModel, ModelState};
use crate::record::effects::{Act, Kind, Until};
use crate::record::key::{Key, Outcome, When};
use crate::record::observations::{Lock, What};
use std::rc::Rc;

/// The most members of a key that are followed.
const MOST: usize = 10_000;

/// Why a key with several members is not followed any more.
pub(super) const UNCLEAR: &str =
    "whether its lease had expired when another member was changed is not known";

/// Of more members than this, those that are gone are not thought of.
const MOST_GONE: usize = 64;

/// What a key holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Shape {
    /// A string, or nothing was seen in it yet.
    #[default]
    Text,
    /// A hash in which the field is the holder.
    Holder,
    /// Members that are locks, each for itself.
    Members(Kind),
}

impl KeysModel {
    pub(super) fn shape(&self, lock: usize) -> Shape {
        self.states.get(lock).map(|state| state.shape).unwrap_or_default()
    }

    /// The key and its members.
    pub(super) fn slots(&self, lock: usize) -> Vec<usize> {
        let members = self.states.get(lock).into_iter().flat_map(|state| state.members.values());
        std::iter::once(lock).chain(members.copied()).collect()
    }

    /// The members that may be held now.
    pub(super) fn held_members(&self, lock: usize, when: When) -> Vec<usize> {
        let held = self.states.get(lock).map(|state| &state.held).into_iter().flatten();
        held.copied().filter(|slot| !self.is_free(*slot, when)).collect()
    }

    /// Whether it is free, and nothing can show that it was not.
    fn is_over(&self, slot: usize) -> bool {
        let key = self.states.get(slot).and_then(|state| state.key.as_ref());
        key.is_some_and(|key| key.is_certain() && key.held().is_none())
    }

    fn is_free(&self, slot: usize, when: When) -> bool {
        let key = self.states.get(slot).and_then(|state| state.key.as_ref());
        key.is_none_or(|key| key.is_free(when))
    }

    pub(super) fn holds_nothing(&self, lock: usize, when: When) -> bool {
        let held = self.states.get(lock).map(|state| &state.held).into_iter().flatten();
        std::iter::once(&lock).chain(held).all(|slot| self.is_free(*slot, when))
    }

    /// Whether the key holds this, or may from now on as it holds nothing.
    pub(super) fn becomes(&mut self, lock: usize, shape: Shape, when: When) -> bool {
        let is_so = self.shape(lock) == shape || self.holds_nothing(lock, when);
        if let Some(state) = self.states.get_mut(lock).filter(|_| is_so) {
            state.shape = shape;
        }
        is_so
    }

    /// The position of a member that was met.
    pub(super) fn member(&self, lock: usize, member: &[u8]) -> Option<usize> {
        self.states.get(lock)?.members.get(member).copied()
    }

    /// The position of a member that is taken; nothing if there are too many.
    pub(super) fn slot(&mut self, lock: usize, member: &[u8]) -> Option<usize> {
        let next = self.states.len();
        let held = self.states.get(lock).map(|state| &state.held).into_iter().flatten();
        let over: Vec<usize> = held.copied().filter(|slot| self.is_over(*slot)).collect();
        let state = self.states.get_mut(lock)?;
        state.held.retain(|slot| !over.contains(slot));
        let known = state.members.get(member).copied();
        let spare = known.or_else(|| state.spare.pop());
        if spare.is_none() && state.members.len() >= MOST {
            return None;
        }
        let slot = spare.unwrap_or(next);
        state.held.insert(slot);
        state.members.insert(member.to_vec(), slot);
        state.positions += usize::from(slot == next);
        let number = state.positions;
        if slot == next {
            let key = self.seen.locks.get(lock).map(|lock| lock.key.clone()).unwrap_or_default();
            self.seen.locks.push(Lock { key, member: Some(member.to_vec()), flag: false });
            let key = Some(Key::new(None, self.reports_expiry));
            let (positions, of) = (number, Some(lock));
            self.states.push(ModelState { key, positions, of, ..ModelState::default() });
        } else if known.is_none() {
            let number = self.states.get(slot).map_or(0, |state| state.positions);
            if let Some(lock) = self.seen.locks.get_mut(slot) {
                lock.member = Some(format!("#{number}").into());
            }
        }
        Some(slot)
    }

    /// A member was removed by its holder: no client has to do with it any more, and its
    /// position may stand for another one.
    pub(super) fn spare(&mut self, lock: usize, member: &[u8], slot: usize) {
        let is_spare = self.is_over(slot);
        if let Some(state) = self.states.get_mut(lock).filter(|_| is_spare) {
            state.members.remove(member);
            state.held.remove(&slot);
            state.spare.push(slot);
        }
    }

    /// When the lease of a member that is written expires: that of the key. Where the member itself is all
    /// that may hold the key, and may have expired, it has none if it is new.
    pub(super) fn lease_of_key(&self, lock: usize, slot: usize, when: When) -> Until {
        let until = |held: usize| {
            let key = self.states.get(held)?.key.as_ref()?;
            let is_sure = held != slot || !key.may_have_expired(when);
            key.held().filter(|_| is_sure)?.until
        };
        let held = self.held_members(lock, when);
        held.into_iter().find_map(until).map_or(Until::AsBefore, Until::With)
    }

    /// Does to the members what a command does to their key, and gives what is left to do to the key.
    pub(super) fn act_on_members(&mut self, lock: usize, act: Act, doing: Doing) -> Option<Act> {
        let shape = self.shape(lock);
        if self.surely_holds(lock, doing.when).is_some_and(|value| act.is_wrong_for(&value)) {
            return None;
        }
        match act {
            Act::Members(command, act) => {
                if self.member_act(lock, &command, act, doing).is_none() {
                    return Some(Act::Unknown(command));
                }
                None
            }
            Act::Take { .. } | Act::Put { .. } if !self.becomes(lock, Shape::Text, doing.when) => {
                Some(Act::Unknown("SET".into()))
            }
            // It is refused, and with it what GETDEL and GETEX would do next.
            Act::Read | Act::Fetch
                if shape != Shape::Text && !self.holds_nothing(lock, doing.when) =>
            {
                Some(Act::Unknown("GET".into()))
            }
            Act::Delete | Act::Expire(_) if matches!(shape, Shape::Members(_)) => {
                self.act_on_each(lock, act, doing)
            }
            act => Some(act),
        }
    }

    /// The string that a key surely holds now.
    fn surely_holds(&self, lock: usize, when: When) -> Option<Rc<str>> {
        let key = self.states.get(lock)?.key.as_ref()?;
        let is_sure = self.shape(lock) == Shape::Text
            && key.is_certain()
            && !key.may_have_expired(when)
            && !key.is_free(when);
        self.seen.token(key.held().filter(|_| is_sure)?.by).cloned()
    }

    /// A command about the key is one about each member, also about those that are gone: a client that
    /// lost one finds that out, or has released it.
    fn act_on_each(&mut self, lock: usize, act: Act, doing: Doing) -> Option<Act> {
        let (mut slots, held) = (self.slots(lock), self.held_members(lock, doing.when));
        slots.remove(0);
        let mut until = None;
        if let (Act::Expire(at), false) = (&act, held.is_empty()) {
            if self.is_unclear(lock, None, doing) {
                return None;
            }
            until = Some(*at).filter(|at| held.len() > 1 && !at.is_over(doing.when));
        }
        if slots.len() > MOST_GONE || matches!(act, Act::Expire(_)) && !held.is_empty() {
            slots = held;
        }
        for slot in &slots {
            match until {
                Some(until) => self.lease_of_all(*slot, until, doing),
                None => self.act(*slot, act.clone(), doing),
            }
        }
        slots.is_empty().then_some(act)
    }

    /// Whether the lease of another member than this may have expired: then it is not known whether the
    /// key was gone in between, and it is given up.
    pub(super) fn is_unclear(&mut self, lock: usize, but: Option<usize>, doing: Doing) -> bool {
        let is_so = |slot: &usize| {
            let key = self.states.get(*slot).and_then(|state| state.key.as_ref());
            Some(*slot) != but && key.is_some_and(|key| key.may_have_expired(doing.when))
        };
        let held = self.held_members(lock, doing.when);
        let is_unclear = held.iter().any(is_so) && (but.is_some() || held.len() > 1);
        if is_unclear {
            self.give_up(lock, doing.at, UNCLEAR.into());
        }
        is_unclear
    }

    /// The lease of all members is set, for none of them in particular.
    fn lease_of_all(&mut self, slot: usize, until: Until, doing: Doing) {
        let mut held = None;
        self.decide(slot, |key| {
            held = key.lease(until, doing.when);
            Vec::new()
        });
        if let Some(held) = held {
            let what = What::LeaseOfAll { lease: until.lease(doing.when) };
            self.seen.found(slot, doing.at, what, Outcome::Extended(held));
        }
    }
}
