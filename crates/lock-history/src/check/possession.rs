//! Whose each lock was and which actor believed to hold it, for display: the same that the findings
//! are made of, with nothing guessed. Not a judgement.

use super::access::Fault;
use super::beliefs;
use super::tenure::{self, Shows};
use super::trace::Trace;
use crate::history::{Event, History, Moment};

/// What a history proves about the holders of its locks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Possessions {
    /// Every acquisition, lock by lock, in the order in which their replies came.
    pub tenures: Vec<Tenure>,
    /// The beliefs to hold a lock, by beginning.
    pub beliefs: Vec<Belief>,
}

/// One acquisition of a lock, from the reply to it to what proves its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenure {
    /// The lock's position in the history's head.
    pub lock: usize,
    /// Whose it was.
    pub actor: Option<usize>,
    /// What the lock key held.
    pub token: String,
    /// Its fencing token.
    pub fence: Option<u64>,
    /// When the reply to it came.
    pub from: Moment,
    /// The lease that it was given, in nanoseconds.
    pub lease: Option<u64>,
    /// Its end; none if the history shows none.
    pub end: Option<TenureEnd>,
}

/// How a tenure ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenureEnd {
    /// When, or by when.
    pub at: Moment,
    /// What happened.
    pub how: How,
    /// The actor, if an actor did it.
    pub by: Option<usize>,
}

/// How a tenure ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// Its owner deleted it.
    Released,
    /// Another actor deleted it.
    Deleted,
    /// Another actor, or its owner, wrote another token into it.
    Overwritten,
    /// Its lease expired.
    Expired,
    /// It was taken away on purpose, in these words.
    TakenAway(String),
    /// It was gone by then, and the history doesn't say why.
    Gone,
}

/// From when to when an actor believed that it held a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Belief {
    /// The actor.
    pub actor: usize,
    /// Which lock.
    pub lock: usize,
    /// The acquisition, as a position in [`Possessions::tenures`].
    pub tenure: Option<usize>,
    /// When the acquire completed.
    pub from: Moment,
    /// When it released the lock, was notified of the loss, or ended.
    pub until: Moment,
}

/// Reads from a history which actor held each lock, and which believed so.
///
/// Nothing is known of a history that contradicts itself.
pub fn possessions(history: &History) -> Possessions {
    let trace = Trace::read(history);
    let traces = tenure::read(&trace);
    let mut tenures = Vec::new();
    let mut first_of = Vec::new();
    for (lock, lock_trace) in traces.iter().enumerate() {
        first_of.push(tenures.len());
        tenures.extend(lock_trace.tenures.iter().map(|tenure| shown(lock, tenure, trace.events)));
    }
    let belief = |belief: &beliefs::Belief| Belief {
        actor: belief.actor,
        lock: belief.lock,
        tenure: belief.tenure.and_then(|tenure| Some(first_of.get(belief.lock)? + tenure)),
        from: belief.from,
        until: belief.until,
    };
    let beliefs = beliefs::read(&trace, &traces).iter().map(belief).collect();
    Possessions { tenures, beliefs }
}

fn shown(lock: usize, tenure: &tenure::Tenure<'_>, events: &[Event]) -> Tenure {
    Tenure {
        lock,
        actor: tenure.access.actor,
        token: tenure.token.to_owned(),
        fence: tenure.fence,
        from: tenure.access.span.received,
        lease: tenure.leased,
        end: end(tenure, events),
    }
}

/// The end, as the findings put it.
fn end(tenure: &tenure::Tenure<'_>, events: &[Event]) -> Option<TenureEnd> {
    let last = events.last().map_or(0, |event| event.moment.at);
    let lease = tenure.lease.filter(|lease| lease.gone_at <= last);
    let Some(end) = tenure.end else {
        let at = moment_at(events, lease?.at);
        return Some(TenureEnd { at, how: How::Expired, by: None });
    };
    let span = end.access.span;
    // The lease may, or must, have ended before that command ran.
    let may = tenure.lease.filter(|lease| lease.at <= span.received.at);
    let must = lease.filter(|lease| lease.gone_at <= span.sent.at);
    let ran_out = match end.shows {
        Shows::Free => may,
        Shows::Cleared | Shows::Overwritten => must,
        Shows::Deleted => None,
    };
    if let Some(lease) = ran_out {
        let at = moment_at(events, lease.at).min(span.sent);
        return Some(TenureEnd { at, how: How::Expired, by: None });
    }
    let by = end.access.actor.filter(|_| end.access.fault.is_none());
    let is_own = by.is_some() && by == tenure.access.actor;
    let how = match (end.shows, end.access.fault) {
        (Shows::Deleted, Some(Fault::LeaseExpired)) => How::Expired,
        (Shows::Deleted, Some(Fault::OnPurpose(what))) => How::TakenAway(what.to_owned()),
        (Shows::Deleted, None) if is_own => How::Released,
        (Shows::Deleted, None) => How::Deleted,
        (Shows::Overwritten, _) => How::Overwritten,
        (Shows::Free | Shows::Cleared, _) => How::Gone,
    };
    Some(TenureEnd { at: span.received, how, by })
}

/// A time as a moment, after all that happened by then.
fn moment_at(events: &[Event], at: u64) -> Moment {
    let after = events.partition_point(|event| event.moment.at <= at);
    let last = after.checked_sub(1).and_then(|last| events.get(last));
    Moment { order: last.map_or(0, |event| event.moment.order), at }
}
