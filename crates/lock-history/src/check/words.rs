//! Names, times and clauses for findings.

use super::tenure::{Access, Fault, LockTrace, Shows, Span};
use super::trace::Trace;
use crate::history::{Moment, Verb};
use crate::text;
use redis_sim::clock::in_words;
use std::fmt::Write;
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
        name.map_or_else(|| "somebody".into(), |name| shortened(name))
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

    /// When a tenure began: `B acquired at 3.010 s`.
    pub fn beginning(self, trace: &LockTrace<'_>, tenure: usize) -> String {
        let Some(tenure) = trace.tenures.get(tenure) else { return String::new() };
        let at = time(tenure.access.span.received.at);
        match self.trace.verb(tenure.access.step) {
            _ if tenure.access.late.is_some() => {
                format!("{} took the lock at {at}", self.access(&tenure.access))
            }
            None | Some(Verb::Acquire) => {
                format!("{} acquired at {at}", self.actor(tenure.access.actor))
            }
            _ => format!("{} wrote the lock key at {at}", self.access(&tenure.access)),
        }
    }

    /// How a tenure ended, if it is known to be over at a moment.
    pub fn end(self, trace: &LockTrace<'_>, tenure: usize, by: Moment) -> Option<String> {
        let tenure = trace.tenures.get(tenure)?;
        let whose = self.actor(tenure.access.actor);
        let lease = tenure.lease.filter(|lease| lease.at <= by.at);
        let ran_out = lease.map(|lease| format!("{whose}'s lease ended at {}", time(lease.at)));
        let end = tenure.end.filter(|end| end.access.span.received.order <= by.order);
        let Some(end) = end else {
            return ran_out.filter(|_| tenure.is_over_before(by));
        };
        let Span { sent, received } = end.access.span;
        // The lease may, or must, have ended before that command ran.
        let may = lease.is_some_and(|lease| lease.at <= received.at);
        let must = lease.is_some_and(|lease| lease.gone_at <= sent.at);
        let (access, at) = (self.access(&end.access), time(received.at));
        Some(match (ran_out, end.shows) {
            (Some(ran_out), Shows::Overwritten | Shows::Cleared) if must => ran_out,
            (Some(ran_out), Shows::Free) if may => ran_out,
            (_, Shows::Deleted) => match end.access.fault {
                Some(Fault::LeaseExpired) => format!("{whose}'s lease ended at {at}"),
                Some(Fault::OnPurpose(_)) => format!("{access} took {whose}'s lock away at {at}"),
                None => format!("{access} deleted {whose}'s lock at {at}"),
            },
            (_, Shows::Overwritten) => format!("{access} overwrote {whose}'s lock at {at}"),
            (_, Shows::Free | Shows::Cleared) => format!("{whose}'s lock was gone by {at}"),
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

/// A moment or a duration.
pub(super) fn time(nanoseconds: u64) -> String {
    in_words(Duration::from_nanos(nanoseconds))
}

/// Names one after the other: `A, B and C`; many are cut short.
pub(super) fn list(items: &[String], joint: &str) -> String {
    const SHOWN: usize = 8;
    let mut text = items.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(joint);
    if let Some(more) = items.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        let _ = write!(text, "{joint}and {more} more");
    }
    text
}
