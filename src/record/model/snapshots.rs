//! What snapshots of the server show, and what its notifications say.

use super::members::{READ_WRITE, SHARED};
use super::parts::{Part, parts};
use super::slots::Shape;
use super::{Doing, KeysModel, Span, when};
use crate::record::effects::{Act, Kind, Until};
use crate::record::key::{Held, Key, Outcome};
use crate::record::key_snapshot::KeySnapshot;
use crate::record::observations::{What, text_token};
use lock_lab::lock::Payload;

/// The client where no payload names one.
const UNKNOWN: &str = "unknown client";
/// Ends of leases that differ by fewer milliseconds are the same.
const NOISE: u64 = 50;

impl KeysModel {
    /// What was read in a key, and when: the first time it shows how the key is, and then whether what is
    /// believed of it is true.
    pub fn snapshot(&mut self, key: &[u8], snapshot: &KeySnapshot, span: Span) {
        if self.snapshot_is_taken {
            return self.compare(key, snapshot, span);
        }
        let Some(lock) = self.lock(key) else { return };
        if self.states.get(lock).is_some_and(|state| state.is_given_up) {
            return;
        }
        match parts(&snapshot.content) {
            Ok((shape, parts)) => self.snapshot_of_parts(lock, shape, parts, (snapshot.ttl, span)),
            Err(why) => return self.give_up(lock, span.1, why),
        }
        let locked = snapshot.flag.as_ref().is_some_and(|flag| flag != b"false");
        self.snapshot_of_flag(key, locked);
    }

    fn snapshot_of_parts(
        &mut self,
        lock: usize,
        shape: Shape,
        parts: Vec<Part>,
        (ttl, span): (i64, Span),
    ) {
        let mut free = self.slots(lock);
        if let Some(state) = self.states.get_mut(lock) {
            state.shape = shape;
            match shape {
                Shape::Members(Kind::Set | Kind::Sorted) if parts.len() > 1 => {
                    state.note_gap(SHARED)
                }
                Shape::Members(Kind::Sharers) => state.note_gap(READ_WRITE),
                _ => {}
            }
        }
        for part in parts {
            let slot = match &part.member {
                None => Some(lock),
                Some(member) => self.slot(lock, member),
            };
            let Some(slot) = slot else { continue };
            free.retain(|free| *free != slot);
            self.snapshot_of_slot(slot, part, (ttl, span));
        }
        free.into_iter().for_each(|slot| self.found_free(slot, span.1));
    }

    /// Who holds a lock, and in how many milliseconds its lease expires.
    fn snapshot_of_slot(&mut self, slot: usize, part: Part, (ttl, span): (i64, Span)) {
        let (since, at) = span;
        let until = (ttl >= 0).then(|| when(since, at, at).plus(ttl));
        let Part { token, fence, owner, score, .. } = part;
        let known = self.states.get(slot).and_then(|state| state.holder);
        let same = known.filter(|id| self.seen.token(*id) == Some(&token));
        let by = same.unwrap_or_else(|| {
            let lease = u64::try_from(ttl).ok().map(|ttl| ttl.saturating_mul(1_000_000));
            self.seen.found(slot, at, What::Found { token, fence, lease, owner }, Outcome::Took)
        });
        if let Some(state) = self.states.get_mut(slot) {
            self.found += u64::from(same.is_none());
            self.gone += u64::from(same.is_none() && state.holder.is_some());
            self.counts.held += u64::from(state.holder.is_none());
            state.holder = Some(by);
            state.score = score;
            state.key = Some(Key::new(Some(Held { by, until }), self.reports_expiry));
        }
    }

    fn found_free(&mut self, lock: usize, at: u64) {
        let Some(state) = self.states.get_mut(lock).filter(|state| !state.is_given_up) else {
            return;
        };
        state.key = Some(Key::new(None, self.reports_expiry));
        if let Some(holder) = state.holder.take() {
            self.counts.held = self.counts.held.saturating_sub(1);
            self.seen.found(lock, at, What::Gone, Outcome::Deleted(holder));
            self.gone += 1;
        }
    }

    /// A client wrote this key or set its lease; its payload's owner stands for the client.
    pub fn was_set(&mut self, key: &[u8], value: &[u8], ttl: i64, at: u64) {
        let Some(lock) = self.lock(key) else { return };
        let when = when(at, at, at);
        let until = if ttl < 0 { Until::Forever } else { Until::In(ttl) };
        let payload = Payload::decode(value);
        let state = self.states.get(lock);
        let held = state.and_then(|state| state.key.as_ref()).and_then(Key::held);
        let is_same =
            held.is_some_and(|held| self.seen.token(held.by) == Some(&text_token(&payload)));
        let client = self.client(payload.owner().unwrap_or(UNKNOWN));
        if !is_same {
            let value = value.to_vec();
            let put = Act::Put { value, until, only_if_held: false };
            return self.act(lock, put, Doing { client, at, when, has_read: false });
        }
        let ends = held.and_then(|held| held.until).map(|until| until.nominal);
        let is_new = match (ends, u64::try_from(ttl)) {
            (Some(ends), Ok(_)) => when.nominal.saturating_add(ttl).abs_diff(ends) > NOISE,
            (None, Err(_)) => false,
            _ => true,
        };
        if is_new {
            self.act(lock, Act::Expire(until), Doing { client, at, when, has_read: false });
        }
    }

    /// A client deleted this key: most likely its holder.
    pub fn was_deleted(&mut self, key: &[u8], at: u64) {
        let Some(lock) = self.lock(key) else { return };
        let holder = self.states.get(lock).and_then(|state| state.holder);
        let owner = holder.and_then(|id| match &self.seen.observations.get(id)?.what {
            What::Found { owner, .. } => owner.as_ref().map(|owner| owner.to_string()),
            _ => {
                let client = self.seen.client(self.seen.observations.get(id)?.client);
                client.map(|client| client.address.clone())
            }
        });
        let client = self.client(owner.as_deref().unwrap_or(UNKNOWN));
        let when = when(at, at, at);
        self.act(lock, Act::Delete, Doing { client, at, when, has_read: false });
    }

    /// What the flag of a lock says.
    fn snapshot_of_flag(&mut self, key: &[u8], locked: bool) {
        let lock = self.keys.get(key).and_then(|lock| self.seen.locks.get_mut(*lock));
        if let Some(lock) = lock {
            lock.flag = locked;
        }
    }
}
