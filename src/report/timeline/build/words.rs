//! What is said of things in a timeline.

use crate::clock::in_words;
use crate::history::{Failure, FailureKind, History, Moment};
use crate::report::wording::{shorten, token_length};
use std::time::Duration;

/// The longest name or message.
const LONGEST: usize = 300;
/// The longest text of a finding.
const LONGEST_SENTENCE: usize = 2000;

/// Names and times of one history.
pub(super) struct Words<'a> {
    history: &'a History,
    token_length: usize,
}

impl<'a> Words<'a> {
    pub(super) fn new(history: &'a History, tokens: &[String]) -> Self {
        let token_length = token_length(tokens.iter().map(String::as_str));
        // Tokens of other tools may have long beginnings in common.
        Self { history, token_length: token_length.min(LONGEST) }
    }

    /// Text from outside, made visible, and not without end.
    pub(super) fn plain(&self, text: &str) -> String {
        shorten(text, LONGEST)
    }

    /// A sentence of the checkers.
    pub(super) fn plain_sentence(&self, text: &str) -> String {
        shorten(text, LONGEST_SENTENCE)
    }

    /// An actor's name.
    pub(super) fn actor(&self, actor: Option<usize>) -> String {
        let name = actor.and_then(|actor| self.history.head.actors.get(actor));
        name.map_or_else(|| "somebody".into(), |name| self.plain(name))
    }

    /// A lock's name.
    pub(super) fn lock(&self, lock: usize) -> String {
        let name = self.history.head.locks.get(lock);
        name.map_or_else(|| "a lock".into(), |name| self.plain(name))
    }

    /// Enough of a token to tell it from others.
    pub(super) fn token(&self, token: &str) -> String {
        shorten(token, self.token_length)
    }
}

/// `at 3.010 s`.
pub(super) fn at(moment: Moment) -> String {
    format!("at {}", in_words(moment.time()))
}

/// `1.300 s to 1.500 s, 200 ms`.
pub(super) fn span(begin: Moment, end: Moment) -> String {
    let lasted = Duration::from_nanos(end.at.saturating_sub(begin.at));
    if lasted.is_zero() {
        return at(begin);
    }
    let (from, to) = (in_words(begin.time()), in_words(end.time()));
    format!("{from} to {to}, {} long", in_words(lasted))
}

/// What an actor heard when something failed.
pub(super) fn failure(failure: &Failure) -> String {
    let kind = match failure.kind {
        FailureKind::AlreadyLocked => "already locked",
        FailureKind::LostLock => "told that the lock is lost",
        FailureKind::Refused => "refused",
        FailureKind::Crashed => "crashed",
        FailureKind::Injected => "failed on purpose",
        FailureKind::Environment => "failed",
        FailureKind::Interrupted => "interrupted",
        FailureKind::TimedOut => "timed out",
    };
    format!("{kind}: {}", shorten(&failure.message, LONGEST))
}
