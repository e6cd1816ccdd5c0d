//! How things stand after a row: what was seen of the key, the flag and the token, and who believes
//! what.

use super::draft::Draft;
use super::{LocalToken, Source};
use crate::report::build::milliseconds;
use lock_history::check::{Belief, Expiry, Key};
use std::time::Duration;

/// How a lock stands after a row.
pub(super) struct Standing<'a> {
    pub key: Key<'a>,
    pub ttl_ms: Option<f64>,
    pub flag: Option<bool>,
    pub local_token: Option<LocalToken>,
    /// The actors that believe to hold the lock, and whether it is theirs.
    pub believers: Vec<(usize, bool)>,
}

/// How the lock of a row stands after it. Where other clients may write, only what the row's own commands
/// showed is known.
pub(super) fn state<'a>(source: &Source<'a>, draft: &Draft<'a>) -> Standing<'a> {
    let is_seen = |order: u64| source.is_exclusive || order >= draft.first;
    let state = draft.state;
    let key = if is_seen(state.key_seen) { state.key } else { Key::Unknown };
    let flag = state.flag.filter(|_| is_seen(state.flag_seen));
    let ttl_ms = match key {
        Key::Held(_, Expiry::Never) => Some(-1.0),
        Key::Held(_, Expiry::At(end)) => {
            Some(milliseconds(Duration::from_nanos(end.saturating_sub(draft.at))))
        }
        _ => None,
    };
    let believers = believers(source, draft, key);
    Standing { key, ttl_ms, flag, local_token: local_token(source, draft, key), believers }
}

fn believers(source: &Source<'_>, draft: &Draft<'_>, key: Key<'_>) -> Vec<(usize, bool)> {
    let is_now = |belief: &&Belief| {
        belief.lock == draft.lock
            && belief.from.order <= draft.last
            && draft.last < belief.until.order
    };
    let believes = |belief: &Belief| {
        let own = belief.tenure.and_then(|tenure| source.tokens.get(tenure));
        let is_theirs = match key {
            Key::Held(Some(token), _) => own.is_none_or(|own| own == token),
            Key::Held(None, _) | Key::Unknown => true,
            Key::Free => false,
        };
        (belief.actor, is_theirs)
    };
    source.beliefs.iter().filter(is_now).map(believes).collect()
}

/// What the row's actor remembered at the end of the row's last step, or of its own last step.
fn local_token(source: &Source<'_>, draft: &Draft<'_>, key: Key<'_>) -> Option<LocalToken> {
    let actor = draft.actor?;
    let from = if draft.is_end() { 0 } else { draft.first };
    let is_it = |it: &&lock_lab::runtime::Remembered| {
        it.actor == actor && it.lock == draft.lock && (from..=draft.last).contains(&it.order)
    };
    let remembered = source.remembered.iter().rfind(is_it)?;
    Some(match (&remembered.token, key) {
        (None, _) => LocalToken::None,
        (Some(own), Key::Held(Some(token), _)) if own.as_str() == token => LocalToken::Held,
        (Some(_), Key::Held(Some(_), _) | Key::Free) => LocalToken::Stale,
        (Some(_), Key::Held(None, _) | Key::Unknown) => LocalToken::Unknown,
    })
}
