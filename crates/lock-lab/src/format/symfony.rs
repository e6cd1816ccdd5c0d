//! Symfony, since version 5.2: a sorted set of tokens with the times at which their leases expire. Before
//! that it was a string with a random token.

use super::shape::{Token, moment, token};
use super::{Holder, Key, Lock, LockFormat, Member, Recognised, Sharing};
use std::time::Duration;

/// The member that says that the holder writes.
const WRITES: &[u8] = b"__write__";
/// How far the last lease and the key's TTL may be apart to be the same.
const SAME: Duration = Duration::from_secs(2);

/// See the head of this file.
pub(super) struct Symfony;

impl LockFormat for Symfony {
    fn name(&self) -> &'static str {
        "Symfony"
    }

    fn recognise(&self, key: &Key<'_>) -> Option<Recognised> {
        let (size, members) = key.sorted()?;
        let writes = members.iter().any(|(member, _)| member == WRITES);
        let is_token = |member: &[u8]| matches!(token(member), Some(Token::Base64(44)));
        let tokens = members.iter().filter(|(member, _)| member != WRITES);
        if !tokens.clone().all(|(member, _)| is_token(member)) {
            return None;
        }
        // The next client removes leases that are over.
        let is_over = |score: f64| moment(score, key.now).is_some_and(|ends| ends < key.now);
        let (over, held): (Vec<&Member>, Vec<&Member>) =
            tokens.partition(|(_, score)| is_over(*score));
        let holders: Vec<Holder> =
            held.iter().map(|(token, _)| Holder::with_token(token)).collect();
        let ends = members.iter().map(|(_, score)| *score).fold(0.0, f64::max);
        let ends = moment(ends, key.now)?;
        // The key expires with the last lease.
        let is_same = key.expires_at()?.abs_diff(ends) <= SAME;
        let held_by = size.saturating_sub(u64::from(writes) + over.len() as u64);
        let sharing = if writes { Sharing::Write } else { Sharing::Read };
        let lock = Lock::shared(self.name(), holders, held_by, sharing);
        (is_same && !lock.holders.is_empty()).then(|| lock.into())
    }
}
