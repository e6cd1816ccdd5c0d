//! What is believed of a key is compared with the key itself, now and then and at the end. A
//! difference is something that MONITOR did not show: from then on the key is not followed.

use super::{KeysModel, Span, when};
use crate::record::key::{Decided, Held, Id, Key, When};
use crate::record::key_snapshot::KeySnapshot;
use crate::record::observations::text_token;
use lock_lab::lock::Payload;

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
        self.states.get(lock).is_some_and(|state| state.key.is_some())
    }

    /// What the recording read in a key, and when.
    pub fn compare(&mut self, key: &[u8], found: &KeySnapshot, span: Span) {
        let Some(lock) = self.keys.get(key).copied().filter(|lock| self.is_followed(*lock)) else {
            return;
        };
        let now = when(span.0, span.1, span.1);
        let token = found.value.as_deref().map(|value| text_token(&Payload::decode(value)));
        let has_token = |id: &Id| token.is_some() && self.seen.token(*id) == token.as_ref();
        let key = self.states.get(lock).and_then(|state| state.key.as_ref());
        let own: Vec<Id> = key.into_iter().flat_map(Key::candidates).filter(has_token).collect();
        let was_held = key.is_some_and(|key| key.held().is_some());
        let is_same = |held: Option<Held>| match held {
            Some(held) => own.contains(&held.by),
            None => token.is_none(),
        };
        let lasts = |held: Option<Held>| held.is_none_or(|held| fits(held.until, now, found.ttl));
        let mut differs = None;
        self.decide(lock, |key| {
            let decided = key.shown(now, is_same).and_then(|mut decided| {
                decided.extend(key.shown(now, lasts)?);
                Some(decided)
            });
            decided.unwrap_or_else(|| {
                differs = Some(key.is_any(is_same));
                Decided::new()
            })
        });
        let why = match differs {
            None => return,
            Some(true) => "its TTL was not what the commands that were seen had set",
            _ if token.is_none() => "it was gone, and no command that was seen had removed it",
            _ if was_held => "it held something else than the commands that were seen had written",
            _ => "it was there, and no command that was seen had written it",
        };
        self.give_up(lock, span.1, why.into());
    }
}

/// Whether a key with this lease may have this TTL now.
fn fits(until: Option<When>, now: When, ttl: i64) -> bool {
    let Some(until) = until else { return ttl < 0 };
    let found = now.plus(ttl);
    let is_near = until.low <= found.high.saturating_add(ROUNDED)
        && found.low.saturating_sub(ROUNDED) <= until.high;
    ttl >= 0 && is_near
}
