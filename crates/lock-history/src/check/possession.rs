//! Whose each lock was and who believed to hold it, for those who show it: the same that the
//! findings are made of, with nothing guessed. Not a judgement.

use super::beliefs;
use super::story::Story;
use super::timeline::{self, Fault, Shows};
use crate::history::{Event, History, Moment};

/// What a history proves about who held its locks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Possessions {
    /// Every acquisition, lock by lock, in the order in which their replies came.
    pub reigns: Vec<Reign>,
    /// Who believed to hold a lock, by beginning.
    pub beliefs: Vec<Belief>,
}

/// One acquisition of a lock, from the reply to it to what proves its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reign {
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
    pub end: Option<ReignEnd>,
}

/// How a lock ceased to be somebody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReignEnd {
    /// When, or by when.
    pub at: Moment,
    /// What happened.
    pub how: How,
    /// Who did it, if an actor did.
    pub by: Option<usize>,
}

/// How a lock ceased to be somebody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// Its owner deleted it.
    Released,
    /// Somebody else deleted it.
    Deleted,
    /// Somebody else, or its owner, wrote another token into it.
    Overwritten,
    /// Its lease ended.
    Expired,
    /// It was taken away on purpose, in these words.
    TakenAway(String),
    /// It was gone by then, and the history doesn't say why.
    Gone,
}

/// From when to when an actor believed that it held a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Belief {
    /// Who.
    pub actor: usize,
    /// Which lock.
    pub lock: usize,
    /// The acquisition, as a position in [`Possessions::reigns`].
    pub reign: Option<usize>,
    /// When the acquire completed.
    pub from: Moment,
    /// When it gave the lock back, was told of the loss, or ended.
    pub until: Moment,
}

/// Reads from a history who held its locks, and who believed so.
///
/// Nothing is known of a history that contradicts itself.
pub fn possessions(history: &History) -> Possessions {
    let story = Story::read(history);
    let lines = timeline::read(&story);
    let mut reigns = Vec::new();
    let mut first_of = Vec::new();
    for (lock, line) in lines.iter().enumerate() {
        first_of.push(reigns.len());
        reigns.extend(line.reigns.iter().map(|reign| shown(lock, reign, story.events)));
    }
    let belief = |belief: &beliefs::Belief| Belief {
        actor: belief.actor,
        lock: belief.lock,
        reign: belief.reign.and_then(|reign| Some(first_of.get(belief.lock)? + reign)),
        from: belief.from,
        until: belief.until,
    };
    let beliefs = beliefs::read(&story, &lines).iter().map(belief).collect();
    Possessions { reigns, beliefs }
}

fn shown(lock: usize, reign: &timeline::Reign<'_>, events: &[Event]) -> Reign {
    Reign {
        lock,
        actor: reign.deed.actor,
        token: reign.token.to_owned(),
        fence: reign.fence,
        from: reign.deed.span.received,
        lease: reign.leased,
        end: end(reign, events),
    }
}

/// The end, told as the findings tell it.
fn end(reign: &timeline::Reign<'_>, events: &[Event]) -> Option<ReignEnd> {
    let last = events.last().map_or(0, |event| event.moment.at);
    let lease = reign.lease.filter(|lease| lease.gone_at <= last);
    let Some(end) = reign.end else {
        let at = moment_at(events, lease?.at);
        return Some(ReignEnd { at, how: How::Expired, by: None });
    };
    let span = end.deed.span;
    // The lease may, or must, have ended before that command ran.
    let may = reign.lease.filter(|lease| lease.at <= span.received.at);
    let must = lease.filter(|lease| lease.gone_at <= span.sent.at);
    let ran_out = match end.shows {
        Shows::Free => may,
        Shows::Cleared | Shows::Overwritten => must,
        Shows::Deleted => None,
    };
    if let Some(lease) = ran_out {
        let at = moment_at(events, lease.at).min(span.sent);
        return Some(ReignEnd { at, how: How::Expired, by: None });
    }
    let by = end.deed.actor.filter(|_| end.deed.fault.is_none());
    let is_own = by.is_some() && by == reign.deed.actor;
    let how = match (end.shows, end.deed.fault) {
        (Shows::Deleted, Some(Fault::LeaseEnded)) => How::Expired,
        (Shows::Deleted, Some(Fault::OnPurpose(what))) => How::TakenAway(what.to_owned()),
        (Shows::Deleted, None) if is_own => How::Released,
        (Shows::Deleted, None) => How::Deleted,
        (Shows::Overwritten, _) => How::Overwritten,
        (Shows::Free | Shows::Cleared, _) => How::Gone,
    };
    Some(ReignEnd { at: span.received, how, by })
}

/// A time as a moment, after all that happened by then.
fn moment_at(events: &[Event], at: u64) -> Moment {
    let after = events.partition_point(|event| event.moment.at <= at);
    let last = after.checked_sub(1).and_then(|last| events.get(last));
    Moment { order: last.map_or(0, |event| event.moment.order), at }
}
