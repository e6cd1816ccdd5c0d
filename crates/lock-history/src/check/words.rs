//! Names, moments and clauses for findings.

use super::access::{Access, Fault, Span};
use super::sentence::{AT, Sentence, When, sentence};
use super::tenure::{LockTrace, Shows};
use super::trace::Trace;
use crate::history::{Moment, Verb};
use crate::text;
use redis_sim::clock::in_words;
use std::time::Duration;

/// No name takes more characters than this.
const LONGEST_NAME: usize = 60;

/// Words about one history.
#[derive(Clone, Copy)]
pub(super) struct Words<'a> {
    trace: &'a Trace<'a>,
}

impl<'a> Words<'a> {
    /// Words about this history.
    pub fn about(trace: &'a Trace<'a>) -> Self {
        Self { trace }
    }

    /// An actor's name.
    pub fn actor(self, actor: Option<usize>) -> String {
        let name = actor.and_then(|actor| self.trace.head.actors.get(actor));
        name.map_or_else(|| "an unknown actor".into(), |name| shortened(name))
    }

    /// A lock's name.
    pub fn lock(self, lock: usize) -> String {
        self.trace.head.locks.get(lock).map_or_else(|| "a lock".into(), |name| shortened(name))
    }

    /// What did something: `A's release`, `A`, or the fault's own words.
    pub fn access(self, access: &Access<'_>) -> String {
        match access.fault {
            Some(Fault::LeaseExpired) => return "the end of the lease".into(),
            Some(Fault::OnPurpose(what)) => return format!("the fault \"{}\"", shortened(what)),
            None => {}
        }
        let late = access.late.map(|verb| format!("late {verb}"));
        let verb = late.or_else(|| Some(self.trace.verb(access.step)?.word().to_owned()));
        match (access.actor, verb) {
            (Some(_), Some(verb)) => format!("{}'s {}", self.actor(access.actor), shortened(&verb)),
            _ => self.actor(access.actor),
        }
    }

    /// A moment at which something happened.
    pub fn at(self, moment: Moment) -> When {
        self.when(AT, moment)
    }

    /// A moment, after other words than ` at `.
    pub fn when(self, joint: &'static str, moment: Moment) -> When {
        let when = When::new(joint, moment);
        When { at: when.at.filter(|_| self.trace.has_times), ..when }
    }

    /// A time at which nothing happened that is in the history.
    fn at_time(self, at: u64) -> When {
        When { order: None, ..self.at(Moment { order: 0, at }) }
    }

    /// When a tenure began: `B acquired at 3.010 s`.
    pub fn beginning(self, trace: &LockTrace<'_>, tenure: usize) -> Sentence {
        let Some(tenure) = trace.tenures.get(tenure) else { return Sentence::default() };
        let at = self.at(tenure.access.span.received);
        match self.trace.verb(tenure.access.step) {
            _ if tenure.access.late.is_some() => {
                sentence![self.access(&tenure.access), " took the lock", at]
            }
            None | Some(Verb::Acquire) => {
                sentence![self.actor(tenure.access.actor), " acquired", at]
            }
            _ => sentence![self.access(&tenure.access), " wrote the lock key", at],
        }
    }

    /// How a tenure ended, if it is known to be over at a moment.
    pub fn end(self, trace: &LockTrace<'_>, tenure: usize, by: Moment) -> Option<Sentence> {
        let tenure = trace.tenures.get(tenure)?;
        let whose = self.actor(tenure.access.actor);
        let lease = tenure.lease.filter(|lease| lease.at <= by.at);
        let ran_out =
            lease.map(|lease| sentence![&*whose, "'s lease ended", self.at_time(lease.at)]);
        let end = tenure.end.filter(|end| end.access.span.received.order <= by.order);
        let Some(end) = end else {
            return ran_out.filter(|_| tenure.is_over_before(by));
        };
        let Span { sent, received } = end.access.span;
        // The lease may, or must, have ended before that command ran.
        let may = lease.is_some_and(|lease| lease.at <= received.at);
        let must = lease.is_some_and(|lease| lease.gone_at <= sent.at);
        let (access, at) = (self.access(&end.access), self.at(received));
        let is_own = end.access.actor == tenure.access.actor && end.access.late.is_none();
        let releases = self.trace.verb(end.access.step).is_some_and(Verb::releases);
        Some(match (ran_out, end.shows) {
            (Some(ran_out), Shows::Overwritten | Shows::Cleared) if must => ran_out,
            (Some(ran_out), Shows::Free) if may => ran_out,
            (_, Shows::Deleted) if is_own && releases && end.access.fault.is_none() => {
                sentence![whose, " released the lock", at]
            }
            // Of an acquire that set no key, only the answer was seen.
            (_, Shows::Free) if tenure.token.is_empty() => sentence!["the lock key was free", at],
            (_, Shows::Deleted) => match end.access.fault {
                Some(Fault::LeaseExpired) => sentence![whose, "'s lease ended", at],
                Some(Fault::OnPurpose(_)) => {
                    sentence![access, " took ", whose, "'s lock away", at]
                }
                None => sentence![access, " deleted ", whose, "'s lock", at],
            },
            (_, Shows::Overwritten) => sentence![access, " overwrote ", whose, "'s lock", at],
            (_, Shows::Free | Shows::Cleared) => {
                sentence![whose, "'s lock was gone", self.when(" by ", received)]
            }
        })
    }
}

/// A name that fits into a sentence and a terminal.
pub fn shortened(name: &str) -> String {
    text::shortened(name, LONGEST_NAME)
}

/// The beginning of a token, enough to distinguish it from others.
pub(super) fn token(token: &str) -> String {
    let mut shown: String = shortened(token).chars().take(9).collect();
    if let Some((end, _)) = shown.char_indices().nth(8) {
        shown.truncate(end);
        shown.push('…');
    }
    shown
}

/// A time or a duration.
pub(super) fn time(nanoseconds: u64) -> String {
    in_words(Duration::from_nanos(nanoseconds))
}

/// Clauses one after the other, each with what follows it; many are cut short.
pub(super) fn list(items: Vec<Sentence>, end: &str) -> Sentence {
    const SHOWN: usize = 8;
    let more = items.len().checked_sub(SHOWN).filter(|more| *more > 0);
    let shown = items.into_iter().take(SHOWN);
    let shown = shown.fold(Sentence::default(), |all, item| sentence![all, item, end]);
    sentence![shown, more.map(|more| format!("and {more} more{end}"))]
}
