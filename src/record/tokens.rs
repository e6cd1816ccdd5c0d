//! What the token of a lock proves: a value that several clients use tells none of them apart, and one that
//! was drawn and never read in the key can't be guessed.

use super::key::{Id, Outcome};
use super::observations::{Observation, ScriptCall, Seen, What};
use lock_lab::format::is_drawn;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// A lock and a value.
type Token = (usize, Rc<str>);

/// How a client came to know another one's token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Knows {
    /// The holder gave it the token: it can't be guessed, and was not read.
    Given,
    /// It was not read, but a client that knows how it is made can make it.
    Perhaps,
    /// It may have read it in the key, or the value is that of several acquisitions.
    Itself,
}

/// What is known of all tokens.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    /// Over which connections each was written, or tried to be.
    tried: HashMap<Token, HashSet<u32>>,
    /// How many acquisitions have each.
    acquired: HashMap<Token, u32>,
    /// Releases of what had been released with the same token before.
    again: HashSet<Id>,
    /// Attempts with the token that the holder had, over its connection.
    asked_again: HashSet<Id>,
    /// By acquisition: the reads that showed its token, and their clients.
    shown: HashMap<Id, Vec<(Id, u32)>>,
}

impl Tokens {
    /// Looks at all observations; these scripts release locks.
    pub fn of(seen: &Seen, releasing: &HashSet<usize>) -> Self {
        let mut tokens = Self::default();
        tokens.count(seen);
        let mut released: HashMap<Token, Option<u32>> = HashMap::new();
        let mut holder: HashMap<usize, Id> = HashMap::new();
        for (id, one) in seen.observations.iter().enumerate() {
            let call = call(seen, one);
            let is_release = call.is_some_and(|call| releasing.contains(&call.script))
                || one.what == What::Delete && one.call.is_none();
            let is_attempt = matches!(one.outcome, Outcome::Took | Outcome::Refused);
            for token in carried(call, one).filter(|_| is_release && !is_attempt) {
                let token = (one.lock, Rc::clone(token));
                let before = released.get(&token);
                let is_other =
                    before.is_some_and(|before| one.call.is_none() || *before != one.call);
                if is_other && tokens.is_of_several(&token) {
                    tokens.again.insert(id);
                }
            }
            match one.outcome {
                Outcome::Took | Outcome::Replaced(_) => {
                    holder.insert(one.lock, id);
                    let token = seen.token(id).map(|token| (one.lock, Rc::clone(token)));
                    token.and_then(|token| released.remove(&token));
                }
                Outcome::Refused => {
                    let held = holder.get(&one.lock).and_then(|held| seen.observations.get(*held));
                    let held = held.filter(|held| held.client == one.client);
                    let held = held.and_then(token);
                    let is_own = |held: &Rc<str>| {
                        token(one) == Some(held) || carried(call, one).any(|it| it == held)
                    };
                    if held.is_some_and(is_own) {
                        tokens.asked_again.insert(id);
                    }
                }
                Outcome::Saw(Some(held)) => {
                    let own = seen.token(held);
                    if !own.is_some_and(|own| carried(call, one).any(|it| it == own)) {
                        tokens.shown.entry(held).or_default().push((id, one.client));
                    }
                }
                Outcome::Deleted(held) => {
                    holder.remove(&one.lock);
                    let own =
                        seen.token(held).filter(|own| carried(call, one).any(|it| it == *own));
                    if let Some(own) = own {
                        released.insert((one.lock, Rc::clone(own)), one.call);
                    }
                }
                _ => {}
            }
        }
        tokens
    }

    /// Counts the acquisitions and attempts with each.
    fn count(&mut self, seen: &Seen) {
        for one in &seen.observations {
            let is_counting = one.command.is_some()
                && seen.locks.get(one.lock).is_some_and(|lock| lock.member.is_none());
            // The name of a holder in a hash that counts is that of a thread, as a rule.
            if is_counting {
                continue;
            }
            if let Some(token) = token(one)
                && matches!(one.outcome, Outcome::Took | Outcome::Replaced(_))
            {
                *self.acquired.entry((one.lock, Rc::clone(token))).or_default() += 1;
            }
            let refused = call(seen, one).filter(|_| one.outcome == Outcome::Refused);
            let refused = refused.into_iter().flat_map(|call| &call.carried);
            for token in token(one).into_iter().chain(refused) {
                let tried = self.tried.entry((one.lock, Rc::clone(token))).or_default();
                tried.insert(one.client);
            }
        }
    }

    /// Whether a value need not be that of one client alone.
    fn is_of_several(&self, token: &Token) -> bool {
        self.acquired.get(token).is_some_and(|times| *times > 1)
            || !is_drawn(token.1.as_bytes())
            || self.is_tried(token)
    }

    fn is_tried(&self, token: &Token) -> bool {
        self.tried.get(token).is_some_and(|clients| clients.len() > 1)
    }

    /// Whether the token of this acquisition is that of several, or clients of several connections tried to acquire
    /// the lock with it.
    pub fn is_shared(&self, seen: &Seen, acquisition: Id) -> bool {
        let lock = seen.observations.get(acquisition).map(|one| one.lock);
        let token = lock.zip(seen.token(acquisition).cloned());
        let is_repeated = |token: &Token| self.acquired.get(token).is_some_and(|times| *times > 1);
        token.is_some_and(|token| self.is_tried(&token) || is_repeated(&token))
    }

    /// Whether one of these observations released again what had been released with the same token.
    pub fn releases_again(&self, mut ids: impl Iterator<Item = Id>) -> bool {
        ids.any(|id| self.again.contains(&id))
    }

    /// Whether one of these observations asked for the lock with the token that its own connection's client
    /// held it with.
    pub fn asks_again(&self, mut ids: impl Iterator<Item = Id>) -> bool {
        ids.any(|id| self.asked_again.contains(&id))
    }

    /// How a client knows the token of an acquisition that it uses before this observation; `is_own` says of
    /// which clients it knows what they know.
    pub fn knows(
        &self,
        seen: &Seen,
        acquisition: Id,
        before: Id,
        is_own: impl Fn(u32) -> bool,
    ) -> Knows {
        let Some((lock, token)) =
            seen.observations.get(acquisition).map(|one| one.lock).zip(seen.token(acquisition))
        else {
            return Knows::Itself;
        };
        let shown = self.shown.get(&acquisition).into_iter().flatten();
        let key = seen.locks.get(lock).map(|lock| lock.key.as_slice()).unwrap_or_default();
        let looked = seen.looked.get(key).into_iter().flatten();
        let looked = looked.filter(|(at, _)| (acquisition + 1..=before).contains(at));
        let shown = shown.filter(|(at, _)| *at < before);
        let is_read = shown.chain(looked).any(|(_, by)| is_own(*by));
        let times = self.acquired.get(&(lock, Rc::clone(token))).copied().unwrap_or(1);
        match (is_read || times > 1, is_drawn(token.as_bytes())) {
            (true, _) => Knows::Itself,
            (false, true) => Knows::Given,
            (false, false) => Knows::Perhaps,
        }
    }
}

/// The script that an observation is of.
fn call<'a>(seen: &'a Seen, one: &Observation) -> Option<&'a ScriptCall> {
    seen.calls.get(usize::try_from(one.call?).ok()?)
}

/// The value that was written, or tried to be.
fn token(one: &Observation) -> Option<&Rc<str>> {
    match &one.what {
        What::Write { token, .. } => Some(token),
        _ => None,
    }
}

/// The tokens that a command names, or the script that it is of.
fn carried<'a>(
    call: Option<&'a ScriptCall>,
    one: &'a Observation,
) -> impl Iterator<Item = &'a Rc<str>> {
    let named = one.command.as_ref().and_then(|command| command.token.as_ref());
    call.into_iter().flat_map(|call| &call.carried).chain(named)
}
