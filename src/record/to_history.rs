//! From what was seen to a history that the checkers can judge.
//!
//! Commands ran one after the other, so each has its place in the order. Steps are added around
//! them as the clients' commands show them: an attempt to take a lock is an `acquire`, a deletion a
//! `release`, a lease that is set an `extend`. What a client found out about its lock, and from
//! which command, is the failure of such a step.

mod by_itself;
mod doubts;
mod unseen;
mod whose;

use super::actors::ActorTable;
use super::attribution::Attributor;
use super::event_log::{End, EventLog};
use super::holdings::{ClientBelief, Holdings};
use super::key::{Id, Outcome};
use super::observations::{Lock, NO_CLIENT, Presence, Seen, What};
use super::operation::{Came, Unit};
use super::prospect::Prospect;
use super::reasons::Reasons;
use super::recording::Way;
use super::short_leases::ShortLeases;
use super::tenures::Tenures;
use super::tokens::Tokens;
use lock_history::history::{EventKind, FailureKind, Head, History, Left, Verb};
use lock_lab::lock;
use std::collections::{BTreeSet, HashMap, HashSet};

/// What is needed for the history besides what was seen.
#[derive(Debug)]
pub(super) struct Frame {
    pub server: String,
    pub way: Way,
    /// When it began and ended, in microseconds since 1970.
    pub began: u64,
    pub ended: u64,
    /// Why not all that happened was seen, or is certain.
    pub reasons: Reasons,
}

/// A history of what was seen, and why that may not be all.
pub(super) fn to_history(seen: &Seen, frame: &Frame) -> History {
    let tenures = Tenures::of(seen);
    let prospect = Prospect::of(seen);
    let tokens = Tokens::of(seen, prospect.releasing());
    let short_leases = ShortLeases::of(seen, &prospect);
    let (tenures, prospect, tokens) = (&tenures, &prospect, &tokens);
    let given = Given { seen, tenures, prospect, tokens, short_leases: &short_leases };
    let actors = ActorTable::of(seen);
    let mut pooled = prospect.pooled(&actors);
    let mut lost = LostHolders::new();
    // That a connection is one of a pool, or that a holder is not seen any more, shows later than it matters.
    let (writer, is_complete) = loop {
        let mut writer = HistoryWriter::new(&given, pooled.clone(), lost.clone(), frame);
        let is_complete = writer.write(frame.ended);
        if *writer.attributor.pooled() == pooled && writer.newly_lost.is_subset(&lost) {
            break (writer, is_complete);
        }
        pooled.clone_from(writer.attributor.pooled());
        lost.append(&mut writer.newly_lost);
    };
    let head = Head {
        scenario: format!("recording of {}", frame.server),
        protocol: Head::OBSERVED.into(),
        locks: seen.locks.iter().map(Lock::name).collect(),
        never_seen: writer.actors.never_seen.clone(),
        gone: writer.gone_actors(),
        pooled: writer.actors.related(writer.attributor.pooled()),
        actors: writer.actors.list.into_iter().map(|actor| actor.name).collect(),
        sharing: None,
        began_us: (frame.began > 0).then_some(frame.began),
        incomplete: writer.reasons.in_words(),
    };
    History { head, events: writer.log.events, is_complete }
}

/// Until when holders were seen of which nothing shows that they held on: in microseconds since 1970, with the
/// acquisition and the lock.
type LostHolders = BTreeSet<(u64, Id, usize)>;

/// What a history is made from.
#[derive(Debug, Clone, Copy)]
struct Given<'a> {
    seen: &'a Seen,
    tenures: &'a Tenures,
    prospect: &'a Prospect,
    tokens: &'a Tokens,
    short_leases: &'a ShortLeases,
}

struct HistoryWriter<'a> {
    given: &'a Given<'a>,
    attributor: Attributor<'a>,
    actors: ActorTable,
    reasons: Reasons,
    way: Way,
    log: EventLog<'a>,
    holdings: Holdings<'a>,
    /// The holder for which a client last acted on a lock.
    stand_ins: HashMap<(usize, usize), usize>,
    /// Holders that will not be seen any more; and those of which that shows only now.
    lost: LostHolders,
    newly_lost: LostHolders,
}

impl<'a> HistoryWriter<'a> {
    fn new(given: &'a Given<'a>, pooled: HashSet<usize>, lost: LostHolders, frame: &Frame) -> Self {
        let Given { seen, tenures, prospect, .. } = *given;
        let actors = ActorTable::of(seen);
        Self {
            given,
            attributor: Attributor::new(prospect, &actors, pooled),
            actors,
            reasons: frame.reasons.clone(),
            way: frame.way,
            log: EventLog::new(seen, tenures, frame.began),
            holdings: Holdings::new(seen, tenures),
            stand_ins: HashMap::new(),
            lost,
            newly_lost: LostHolders::new(),
        }
    }

    /// Writes all events, and says whether the history is complete.
    fn write(&mut self, ended: u64) -> bool {
        let seen = self.given.seen;
        let mut gaps = seen.gaps.iter().peekable();
        let mut next = 0;
        while let Some(unit) = Unit::next(seen, next) {
            while let Some((_, why)) = gaps.next_if(|(gap, _)| *gap <= next) {
                self.gap(why);
            }
            next += unit.observations.len().max(1);
            self.unit(&unit);
        }
        for (_, why) in gaps {
            self.gap(why);
        }
        self.end(ended)
    }

    fn unit(&mut self, unit: &Unit<'a>) {
        let Some(first) = unit.observations.first() else { return };
        self.pass_time(first.at);
        self.log.reach(first.at);
        let (lock, came) = (first.lock, unit.came());
        if first.what == What::GivenUp {
            return self.given_up(lock);
        }
        self.notice_end_of_lease(lock, unit);
        match first.what {
            What::Gone => return self.gone(lock, "it ended unseen"),
            What::Evicted => return self.gone(lock, "the server evicted it"),
            What::Delete if first.client == NO_CLIENT => {
                if let Outcome::Deleted(_) = first.outcome {
                    self.gone(lock, "the database was emptied");
                }
                return;
            }
            What::Overdue => return self.overdue(lock),
            What::LeaseOfAll { .. } => return,
            _ => {}
        }
        let client = match (&first.what, self.actors.actor(first.client)) {
            (What::Found { .. }, _) => self.actors.holder(unit.first),
            (_, actor) => actor,
        };
        let Some(client) = client else { return };
        self.doubt_tokens(unit, lock);
        let actor = self.actor_for(unit, client, lock, came);
        self.stand_ins.insert((client, lock), actor);
        self.log.begin(actor);
        if unit.call.is_none() && actor == client {
            self.found_lost(unit, client, lock, came);
        }
        self.act(unit, actor, lock, came);
        self.attributor.note(unit, client, came);
    }

    fn act(&mut self, unit: &Unit<'a>, actor: usize, lock: usize, came: Came) {
        let knowledge = self.holdings.belief(actor, lock);
        let held = knowledge.map(|knowledge| knowledge.holds);
        if let Some((verb, end)) = self.loss(unit, knowledge, came) {
            self.log.step(unit, actor, lock, verb, held, end);
            self.holdings.forget(actor, lock);
            return;
        }
        if self.is_given_up(unit, lock, came, held) {
            self.log.step(unit, actor, lock, Verb::Release, held, End::Well);
            self.holdings.forget(actor, lock);
            self.relinquish(actor, lock, came);
            return;
        }
        if matches!(came, Came::Took(_) | Came::Replaced(..) | Came::Refused) {
            self.forget_expired(unit, actor, lock, came);
        }
        match came {
            Came::Took(id) => {
                self.log.step(unit, actor, lock, Verb::Acquire, Some(id), End::Well);
                self.holdings.take(actor, lock, id);
            }
            Came::Replaced(id, before) => {
                self.forget_if_light(lock);
                if self.holdings.belief(actor, lock).is_some_and(|belief| belief.holds == before) {
                    self.unseen(actor, lock);
                }
                let verb = if self.is_same(id, before) { Verb::Extend } else { Verb::Acquire };
                self.log.step(unit, actor, lock, verb, Some(id), End::Well);
                self.holdings.free(lock);
                self.holdings.take(actor, lock, id);
            }
            Came::Refused => {
                let end = End::Badly(FailureKind::AlreadyLocked, "another client holds the lock");
                self.log.step(unit, actor, lock, Verb::Acquire, None, end);
            }
            Came::Deleted(_) => {
                let verb = match unit.call.and_then(|call| call.purpose) {
                    Some(lock::Operation::Release) if held.is_none() => Verb::ForceRelease,
                    _ => Verb::Release,
                };
                self.log.step(unit, actor, lock, verb, held, End::Well);
                self.holdings.forget(actor, lock);
                self.holdings.free(lock);
            }
            Came::Extended(id) => {
                self.log.step(unit, actor, lock, Verb::Extend, held, End::Well);
                self.holdings.lease(id);
            }
            _ => self.log.command(unit, actor, lock),
        }
        self.holdings.shown(actor, lock, came);
    }

    /// The key that a command is about.
    fn watched_key(&self, unit: &Unit<'a>) -> Option<&'a [u8]> {
        let lock = unit.observations.first()?.lock;
        Some(self.given.seen.locks.get(lock)?.key.as_slice())
    }

    /// Whether two acquisitions have one token.
    fn is_same(&self, one: Id, other: Id) -> bool {
        self.given.seen.token(one) == self.given.seen.token(other)
    }

    /// The step by which an actor gives up a lock that it holds no more, and how that ends.
    fn loss(
        &self,
        unit: &Unit<'a>,
        knowledge: Option<ClientBelief>,
        came: Came,
    ) -> Option<(Verb, End)> {
        let ClientBelief { holds, last } = knowledge?;
        // A script that carries the token did not find it.
        let token = self.given.seen.token(holds);
        let is_found =
            matches!(came, Came::Saw(Some(found)) if self.given.seen.token(found) == token);
        let is_refused = || !is_found && token.is_some_and(|token| unit.carries(token));
        let lost = |why| End::Badly(FailureKind::LostLock, why);
        let found_free = |last| matches!(last, Came::Saw(None) | Came::Unclear);
        let prospect = self.given.prospect;
        // Where no client releases it, a client that finds it free only asks whether it may go on.
        let is_last_read = || {
            unit.call.is_none()
                && prospect.is_last_read(unit.first)
                && self.watched_key(unit).is_some_and(|key| prospect.is_released(key))
        };
        match came {
            Came::NothingToDelete if unit.call.is_none() && !is_refused() => {
                Some((Verb::Release, End::Well))
            }
            Came::Saw(_) | Came::NothingToDelete | Came::NothingToExtend if is_refused() => {
                Some((Verb::Release, lost("the lock was no longer its own")))
            }
            // It compared the token, and left alone what is not its own.
            Came::Saw(Some(other)) if holds != other && is_last_read() => {
                Some((Verb::Release, lost("another client had the lock")))
            }
            Came::Saw(None) | Came::Unclear
                if !unit.is_of_nodb(self.given.seen) && is_last_read() =>
            {
                Some((Verb::Release, lost("the lock was free")))
            }
            // The reference's release of a lock that is gone: it only sets the flag right.
            Came::Unflagged if found_free(last) => Some((Verb::Release, End::Well)),
            // The reference asks whether it is locked before it writes; then it refuses to.
            Came::AskedFlag if found_free(last) => {
                Some((Verb::CheckLock, lost("the lock was free when it looked")))
            }
            _ => None,
        }
    }

    /// A lock's key, as text.
    fn key(&self, lock: usize) -> String {
        self.given.seen.locks.get(lock).map(Lock::name).unwrap_or_default()
    }

    /// Notes why the history is not certain about a lock.
    fn doubt(&mut self, lock: usize, why: &str) {
        if let Some(lock) = self.given.seen.locks.get(lock) {
            self.reasons.add_about(&lock.key, why);
        }
    }

    /// The actors that kept their connections from lock to lock, and whose connections were closed when the
    /// recording ended.
    fn gone_actors(&self) -> Vec<usize> {
        let is_gone = |actor: &usize| {
            self.attributor.is_alone(*actor)
                && !self.attributor.is_pooled(*actor)
                && self.actors.presence(*actor) == Presence::Closed
                && !self.actors.has_namesake(*actor)
        };
        (0..self.actors.list.len()).filter(is_gone).collect()
    }

    /// Ends the history, and says whether it is complete.
    fn end(&mut self, ended: u64) -> bool {
        self.pass_time(ended);
        self.log.reach(ended);
        let actors = self.actors.list.len();
        (0..actors).for_each(|actor| self.log.begin(actor));
        for lock in 0..self.given.seen.locks.len() {
            let believers = self.holdings.believers(lock);
            let lost = believers.filter(|(actor, belief)| {
                self.may_be_gone(*actor) || self.holdings.has_expired(belief.holds)
            });
            let lost = lost
                .map(|(actor, belief)| (self.seen_until(actor, belief.holds), belief.holds, lock));
            self.newly_lost.extend(lost.collect::<Vec<_>>());
            if self.holdings.is_believed(lock) {
                self.doubt(
                    lock,
                    match self.holdings.holder(lock) {
                        Some(_) => "it was still held when the recording ended",
                        None => "a holder lost it, and had not noticed when the recording ended",
                    },
                );
            }
        }
        if !self.reasons.is_empty() {
            return false;
        }
        for actor in 0..actors {
            self.log.event(Some(actor), EventKind::Ended { failure: None });
        }
        for (lock, state) in self.given.seen.locks.iter().enumerate() {
            let holder = self.holdings.holder(lock);
            let token = holder.and_then(|id| self.log.token(id));
            let ttl_ms = match (holder, holder.and_then(|id| self.given.tenures.end(id))) {
                (None, _) => -2,
                (Some(_), None) => -1,
                (Some(_), Some(end)) => {
                    i64::try_from(end.saturating_sub(ended) / 1000).unwrap_or(i64::MAX)
                }
            };
            let is_mirrored = super::Watch::name_of(&state.key).is_some();
            let flag = if is_mirrored { state.flag } else { token.is_some() };
            // No actor holds it any more: its holder let it expire.
            let acquirable = (ttl_ms >= 0).then_some(true);
            let left = Left { lock, token, ttl_ms, flag, remembered: Vec::new(), acquirable };
            self.log.event(None, EventKind::Left(left));
        }
        true
    }
}
