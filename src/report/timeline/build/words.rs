//! What is said of things in a timeline.

use super::LaneSource;
use crate::report::wording::{nanoseconds, shorten};
use lock_history::history::{Failure, FailureKind, Moment};
use redis_sim::clock::in_words;

/// The longest name or message.
pub(super) const LONGEST: usize = 300;
/// The longest text of a finding.
const LONGEST_SENTENCE: usize = 2000;

impl LaneSource<'_> {
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
        name.map_or_else(|| "an unknown actor".into(), |name| self.plain(name))
    }

    /// A lock's name.
    pub(super) fn lock(&self, lock: usize) -> String {
        let name = self.history.head.locks.get(lock);
        name.map_or_else(|| "a lock".into(), |name| self.plain(name))
    }

    /// Enough of a token to distinguish it from others.
    pub(super) fn token(&self, token: &str) -> String {
        shorten(token, self.token_length)
    }
}

/// `at 3.010 s`.
pub(super) fn at(moment: Moment) -> String {
    format!("at {}", in_words(moment.time()))
}

/// `1.300 s to 1.500 s, 200 ms long`.
pub(super) fn span(begin: Moment, end: Moment) -> String {
    match end.at.saturating_sub(begin.at) {
        0 => at(begin),
        lasted => {
            let (from, to) = (in_words(begin.time()), in_words(end.time()));
            format!("{from} to {to}, {} long", nanoseconds(lasted))
        }
    }
}

/// How something ended that failed in this way.
pub(super) fn failed(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::AlreadyLocked => "already locked",
        FailureKind::LostLock => "lost the lock",
        FailureKind::Refused => "refused",
        FailureKind::Crashed => "crashed",
        FailureKind::Injected => "failed on purpose",
        FailureKind::Environment => "failed",
        FailureKind::Interrupted => "interrupted",
        FailureKind::TimedOut => "timed out",
    }
}

/// What an actor heard when something failed.
pub(super) fn heard(failure: &Failure) -> String {
    let kind = match failure.kind {
        FailureKind::LostLock => "told that the lock is lost",
        kind => failed(kind),
    };
    format!("{kind}: {}", shorten(&failure.message, LONGEST))
}
