//! What is believed of a key is compared with the key itself, now and then and at the end. A
//! difference is something that MONITOR did not show: from then on the key is not followed.

use super::members::{is_count, token_of};
use super::slots::Shape;
use super::{KeysModel, Span, when};
use crate::record::effects::Kind;
use crate::record::key::{Decided, Held, When};
use crate::record::key_snapshot::{Content, KeySnapshot};
use crate::record::observations::text_token;
use lock_lab::lock::Payload;
use std::collections::HashMap;
use std::rc::Rc;

/// By how many milliseconds a lease may expire earlier or later than the commands say: the server may
/// stand still between reading its clock and stamping the command.
const ROUNDED: i64 = 1000;

impl KeysModel {
    /// The next key to compare, in turn; nothing if none is followed.
    pub fn key_in_turn(&mut self) -> Option<Vec<u8>> {
        let count = self.states.len();
        let mut turns = (0..count).map(|step| (self.compared + step) % count);
        let next = turns.find(|lock| self.is_followed(*lock))?;
        self.compared = next + 1;
        Some(self.seen.locks.get(next)?.key.clone())
    }

    /// All keys that can be compared.
    pub fn followed_keys(&self) -> Vec<Vec<u8>> {
        let locks = self.seen.locks.iter().enumerate();
        let followed = locks.filter(|(lock, _)| self.is_followed(*lock));
        followed.map(|(_, lock)| lock.key.clone()).collect()
    }

    fn is_followed(&self, lock: usize) -> bool {
        self.states.get(lock).is_some_and(|state| state.key.is_some() && state.of.is_none())
    }

    /// What the recording read in a key, and when.
    pub fn compare(&mut self, key: &[u8], found: &KeySnapshot, span: Span) {
        let Some(lock) = self.keys.get(key).copied().filter(|lock| self.is_followed(*lock)) else {
            return;
        };
        if found.content == Content::Changed {
            return;
        }
        let now = when(span.0, span.1, span.1);
        let shown = self.shown(lock, &found.content);
        let mut why = shown.strangers.then_some(STRANGE);
        for slot in self.slots(lock) {
            let token = shown.tokens.get(&slot);
            why = why.or_else(|| self.compare_slot(slot, token, (found.ttl, now)));
        }
        if let Some(why) = why {
            self.give_up(lock, span.1, why.into());
        }
    }

    /// What a key that holds what is believed of it would show of each lock.
    fn shown(&self, lock: usize, content: &Content) -> Shown {
        let mut shown = Shown::default();
        match (self.shape(lock), content) {
            (_, Content::Nothing) => {}
            (Shape::Text, Content::Text(value)) => {
                shown.tokens.insert(lock, text_token(&Payload::decode(value)));
            }
            (Shape::Holder, Content::Hash(fields)) => {
                let mut holders = fields.iter().filter(|(field, value)| is_count(field, value));
                let holder = holders.next().map(|(holder, _)| token_of(holder));
                shown.strangers = holder.is_none() || holders.next().is_some();
                shown.tokens.extend(holder.map(|holder| (lock, holder)));
            }
            (Shape::Members(Kind::Hash), Content::Hash(fields)) => {
                for (field, value) in fields {
                    let slot = self.member(lock, field);
                    let token = text_token(&Payload::decode(value));
                    shown.tokens.extend(slot.map(|slot| (slot, token)));
                }
            }
            (Shape::Members(Kind::Sharers), Content::Hash(fields)) => {
                let holders = fields.iter().filter(|(field, value)| is_count(field, value));
                self.show_members(lock, holders.map(|(field, _)| (field, None)), &mut shown);
                let is_written = self.states.get(lock).is_some_and(|state| state.is_written);
                let mode: &[u8] = if is_written { b"write" } else { b"read" };
                let is_known = |(name, value): &(Vec<u8>, Vec<u8>)| match name.as_slice() {
                    b"mode" => value == mode,
                    _ => is_count(name, value),
                };
                shown.strangers |= !fields.iter().all(is_known);
            }
            (Shape::Members(Kind::Set), Content::Set(members)) => {
                let members = members.iter().map(|member| (member, None));
                self.show_members(lock, members, &mut shown);
            }
            (Shape::Members(Kind::Sorted), Content::Sorted(members)) => {
                let members = members.iter().map(|(member, score)| (member, Some(*score)));
                self.show_members(lock, members, &mut shown);
            }
            _ => shown.strangers = true,
        }
        shown
    }

    fn show_members<'a>(
        &self,
        lock: usize,
        members: impl Iterator<Item = (&'a Vec<u8>, Option<f64>)>,
        shown: &mut Shown,
    ) {
        for (member, score) in members {
            let slot = self.member(lock, member);
            let believed = slot.and_then(|slot| self.states.get(slot)?.score);
            shown.strangers |= slot.is_none() || believed.is_some() && believed != score;
            shown.tokens.extend(slot.map(|slot| (slot, token_of(member))));
        }
    }

    /// Why a lock can't be what is believed of it, if that is so.
    fn compare_slot(
        &mut self,
        slot: usize,
        token: Option<&Rc<str>>,
        (ttl, now): (i64, When),
    ) -> Option<&'static str> {
        let own = token.map(|token| self.with_token(slot, token)).unwrap_or_default();
        let key = self.states.get(slot)?.key.as_ref()?;
        let was_held = key.held().is_some();
        let is_same = |held: Option<Held>| match held {
            Some(held) => own.contains(&held.by),
            None => token.is_none(),
        };
        let lasts = |held: Option<Held>| held.is_none_or(|held| fits(held.until, now, ttl));
        let mut differs = None;
        self.decide(slot, |key| {
            let decided = key.shown(now, is_same).and_then(|mut decided| {
                decided.extend(key.shown(now, lasts)?);
                Some(decided)
            });
            decided.unwrap_or_else(|| {
                differs = Some(key.is_any(is_same));
                Decided::new()
            })
        });
        Some(match (differs?, token) {
            (true, _) => "its TTL was not what the commands that were seen had set",
            (false, None) => "it was gone, and no command that was seen had removed it",
            (false, Some(_)) if was_held => STRANGE,
            (false, Some(_)) => "it was there, and no command that was seen had written it",
        })
    }
}

/// Why a key that holds something else is not followed.
const STRANGE: &str = "it held something else than the commands that were seen had written";

/// The locks of a key that are held.
#[derive(Debug, Default)]
struct Shown {
    /// The token of each.
    tokens: HashMap<usize, Rc<str>>,
    /// Whether it holds anything that it should not.
    strangers: bool,
}

/// Whether a key with this lease may have this TTL now.
fn fits(until: Option<When>, now: When, ttl: i64) -> bool {
    let Some(until) = until else { return ttl < 0 };
    let found = now.plus(ttl);
    let is_near = until.low <= found.high.saturating_add(ROUNDED)
        && found.low.saturating_sub(ROUNDED) <= until.high;
    ttl >= 0 && is_near
}
