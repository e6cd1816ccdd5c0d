//! From what was seen to a history that the checkers can judge.
//!
//! Commands ran one after the other, so each has its place in the order. Steps are added around
//! them as the clients' commands show them: an attempt to take a lock is an `acquire`, a deletion a
//! `release`, a lease that is set an `extend`. What a client found out about its lock, and from
//! which command, is the failure of such a step.

use super::actors::ActorTable;
use super::key::{Id, Outcome};
use super::observations::{Lock, Seen, What};
use super::operation::{Came, Unit};
use super::reasons::Reasons;
use super::tenures::Tenures;
use lock_history::history::{
    Change, Command, Effect, Event, EventKind, Failure, FailureKind, Head, History, Left, Moment,
    Operation, Verb,
};
use lock_lab::lock;
use std::collections::{BTreeSet, HashMap, HashSet};

/// The protocol of a history that was recorded from outside.
const OBSERVED: &str = "observed";

/// What is needed for the history besides what was seen.
#[derive(Debug)]
pub(super) struct Frame {
    pub server: String,
    /// When it began and ended, in microseconds since 1970.
    pub began: u64,
    pub ended: u64,
    /// Why not all that happened was seen, or is certain.
    pub reasons: Reasons,
}

/// A history of what was seen, and why that may not be all.
pub(super) fn to_history(seen: &Seen, mut frame: Frame) -> History {
    let tenures = Tenures::of(seen);
    let actors = ActorTable::of(seen);
    let count = actors.list.len();
    let mut writer = HistoryWriter {
        seen,
        tenures: &tenures,
        actors: &actors,
        began: frame.began,
        events: Vec::new(),
        order: 0,
        now: 0,
        has_started: vec![false; count],
        steps: vec![0; count],
        known: HashMap::new(),
        holders: vec![None; seen.locks.len()],
        leases: BTreeSet::new(),
        owners: HashMap::new(),
        stand_ins: HashMap::new(),
        last_reads: last_reads(seen),
    };
    let mut gaps = seen.gaps.iter().peekable();
    let mut next = 0;
    while let Some(unit) = Unit::next(seen, next) {
        while let Some((_, why)) = gaps.next_if(|(gap, _)| *gap <= next) {
            writer.gap(why);
        }
        next += unit.observations.len().max(1);
        writer.unit(&unit);
    }
    for (_, why) in gaps {
        writer.gap(why);
    }
    let is_complete = writer.end(&mut frame.reasons, frame.ended);
    let head = Head {
        scenario: format!("recording of {}", frame.server),
        protocol: OBSERVED.into(),
        locks: seen.locks.iter().map(Lock::name).collect(),
        actors: actors.list.iter().map(|actor| actor.name.clone()).collect(),
        sharing: None,
        incomplete: frame.reasons.in_words(),
    };
    History { head, events: writer.events, is_complete }
}

/// What an actor thinks of a lock.
#[derive(Debug, Clone, Copy)]
struct ClientBelief {
    /// The acquisition that it believes to hold.
    holds: Id,
    /// What its last read of the lock showed.
    last: Came,
}

struct HistoryWriter<'a> {
    seen: &'a Seen,
    tenures: &'a Tenures,
    actors: &'a ActorTable,
    began: u64,
    events: Vec<Event>,
    order: u64,
    now: u64,
    has_started: Vec<bool>,
    steps: Vec<usize>,
    known: HashMap<(usize, usize), ClientBelief>,
    /// The holder of each lock, by its acquisition.
    holders: Vec<Option<Id>>,
    /// When the leases of those end: time, acquisition.
    leases: BTreeSet<(u64, Id)>,
    /// Whose each acquisition is.
    owners: HashMap<Id, usize>,
    /// The holder for which a client last acted on a lock.
    stand_ins: HashMap<(usize, usize), usize>,
    /// After these reads their clients left the lock alone.
    last_reads: HashSet<Id>,
}

/// The reads of a lock that were the last thing that a client did about it, before it tried to take
/// it again: if it found another owner's token, it gave up its own.
fn last_reads(seen: &Seen) -> HashSet<Id> {
    let mut goes_on: HashMap<(u32, usize), bool> = HashMap::new();
    let mut reads = HashSet::new();
    for (id, one) in seen.observations.iter().enumerate().rev() {
        let is_try = matches!(one.what, What::Write { .. }) || one.outcome == Outcome::Refused;
        let goes_on = goes_on.insert((one.client, one.lock), !is_try).unwrap_or(false);
        if one.what == What::Read && !goes_on {
            reads.insert(id);
        }
    }
    reads
}

/// How a step ended.
enum End {
    Well,
    Badly(FailureKind, &'static str),
}

impl<'a> HistoryWriter<'a> {
    fn unit(&mut self, unit: &Unit<'a>) {
        let Some(first) = unit.observations.first() else { return };
        self.expire_leases(first.at);
        self.now = self.now.max(first.at);
        let (lock, came) = (first.lock, unit.came());
        if first.what == What::GivenUp {
            return self.given_up(lock);
        }
        self.notice_end_of_lease(lock, unit);
        match first.what {
            What::Gone => return self.gone(lock, "it ended unseen"),
            What::Evicted => return self.gone(lock, "the server evicted it"),
            What::Overdue => return self.overdue(lock),
            What::LeaseOfAll { .. } => return,
            _ => {}
        }
        let client = match (&first.what, self.actors.actor(first.client)) {
            (What::Found { .. }, _) => self.actors.holder(unit.first),
            (_, actor) => actor,
        };
        let Some(client) = client else { return };
        let actor = self.actor_for(unit, client, lock, came);
        self.stand_ins.insert((client, lock), actor);
        self.begin(actor);
        self.act(unit, actor, lock, came);
    }

    fn act(&mut self, unit: &Unit<'a>, actor: usize, lock: usize, came: Came) {
        let knowledge = self.known.get(&(actor, lock)).copied();
        let held = knowledge.map(|knowledge| knowledge.holds);
        if let Some((verb, end)) = self.loss(unit, knowledge, came) {
            self.step(unit, actor, lock, verb, held, end);
            self.known.remove(&(actor, lock));
            return;
        }
        match came {
            Came::Took(id) => {
                self.step(unit, actor, lock, Verb::Acquire, Some(id), End::Well);
                self.take(actor, lock, id);
            }
            Came::Replaced(id, before) => {
                let is_own = self.seen.token(id) == self.seen.token(before);
                let verb = if is_own { Verb::Extend } else { Verb::Acquire };
                self.step(unit, actor, lock, verb, Some(id), End::Well);
                self.free(lock);
                self.take(actor, lock, id);
            }
            Came::Refused => {
                let end = End::Badly(FailureKind::AlreadyLocked, "somebody else holds the lock");
                self.step(unit, actor, lock, Verb::Acquire, None, end);
            }
            Came::Deleted(_) => {
                let verb = match unit.call.and_then(|call| call.purpose) {
                    Some(lock::Operation::Release) if held.is_none() => Verb::ForceRelease,
                    _ => Verb::Release,
                };
                self.step(unit, actor, lock, verb, held, End::Well);
                self.known.remove(&(actor, lock));
                self.free(lock);
            }
            Came::Extended(id) => {
                if held.is_some() {
                    self.step(unit, actor, lock, Verb::Extend, held, End::Well);
                } else {
                    self.command(unit, actor, lock);
                }
                self.lease(id);
            }
            _ => self.command(unit, actor, lock),
        }
        if let Some(knowledge) = self.known.get_mut(&(actor, lock)) {
            knowledge.last = came;
        }
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
        let token = self.seen.token(holds);
        let is_found = matches!(came, Came::Saw(Some(found)) if self.seen.token(found) == token);
        let is_refused = || !is_found && token.is_some_and(|token| unit.carries(token));
        let lost = |why| End::Badly(FailureKind::LostLock, why);
        match came {
            Came::NothingToDelete if unit.call.is_none() && !is_refused() => {
                Some((Verb::Release, End::Well))
            }
            Came::Saw(_) | Came::NothingToDelete | Came::NothingToExtend if is_refused() => {
                Some((Verb::Release, lost("the lock was no longer its own")))
            }
            // The reference's release of a lock that has another owner by now.
            Came::Saw(Some(other)) if holds != other && self.last_reads.contains(&unit.first) => {
                Some((Verb::Release, lost("somebody else had the lock")))
            }
            // The reference's release of a lock that is gone: it only sets the flag right.
            Came::Unflagged if last == Came::Saw(None) => Some((Verb::Release, End::Well)),
            // The reference asks whether it is locked before it writes; then it refuses to.
            Came::AskedFlag if last == Came::Saw(None) => {
                Some((Verb::CheckLock, lost("the lock was free when it looked")))
            }
            _ => None,
        }
    }

    /// The token of an acquisition, as histories have it.
    fn token(&self, id: Id) -> Option<String> {
        self.seen.token(id).map(|token| token.to_string())
    }

    /// A lock's key, as text.
    fn key(&self, lock: usize) -> String {
        self.seen.locks.get(lock).map(Lock::name).unwrap_or_default()
    }

    /// The actor: the client, unless it acts for the holder over another connection.
    fn actor_for(&self, unit: &Unit<'a>, client: usize, lock: usize, came: Came) -> usize {
        if self.known.contains_key(&(client, lock)) || matches!(came, Came::Took(_)) {
            return client;
        }
        let carrying = self.known.iter().filter(|((_, of), knowledge)| {
            let token = self.seen.token(knowledge.holds);
            *of == lock && token.is_some_and(|token| unit.carries(token))
        });
        let carrying = carrying.map(|((actor, _), _)| *actor);
        let is_near = |actor: &usize| self.actors.may_belong_together(*actor, client);
        if let Some(actor) = carrying.filter(is_near).min() {
            return actor;
        }
        match came {
            Came::Deleted(id) | Came::Extended(id) => {
                let owner = self.owners.get(&id).copied();
                let owner = owner.filter(|owner| self.actors.belong_together(*owner, client));
                owner.unwrap_or(client)
            }
            Came::Unflagged | Came::AskedFlag => {
                self.stand_ins.get(&(client, lock)).copied().unwrap_or(client)
            }
            _ => client,
        }
    }

    fn take(&mut self, actor: usize, lock: usize, id: Id) {
        self.known.insert((actor, lock), ClientBelief { holds: id, last: Came::Other });
        self.owners.insert(id, actor);
        if let Some(holder) = self.holders.get_mut(lock) {
            *holder = Some(id);
        }
        self.lease(id);
    }

    /// Notes when the lease of an acquisition ends.
    fn lease(&mut self, id: Id) {
        if let Some(end) = self.tenures.end(id) {
            self.leases.insert((end, id));
        }
    }

    /// The lock is free now.
    fn free(&mut self, lock: usize) -> Option<Id> {
        let id = self.holders.get_mut(lock)?.take()?;
        if let Some(end) = self.tenures.end(id) {
            self.leases.remove(&(end, id));
        }
        Some(id)
    }

    /// Adds the leases that expired before this time.
    fn expire_leases(&mut self, at: u64) {
        while let Some((end, id)) = self.leases.first().copied().filter(|(end, _)| *end < at) {
            self.leases.remove(&(end, id));
            let lock = self.seen.observations.get(id).map(|one| one.lock);
            let Some(lock) = lock.filter(|lock| self.holders.get(*lock) == Some(&Some(id))) else {
                continue;
            };
            self.now = self.now.max(end);
            self.end_lease(lock);
        }
    }

    /// A command that found the lock free, though no client deleted it: its lease has expired.
    fn notice_end_of_lease(&mut self, lock: usize, unit: &Unit<'a>) {
        let finds_free = unit.observations.iter().find_map(|one| match (&one.what, one.outcome) {
            (What::Flag { .. } | What::AskedFlag, _) => None,
            (_, Outcome::Took | Outcome::Nothing | Outcome::Saw(None)) => Some(true),
            _ => Some(false),
        });
        if finds_free == Some(true) && self.holders.get(lock).is_some_and(Option::is_some) {
            self.end_lease(lock);
        }
    }

    fn end_lease(&mut self, lock: usize) {
        let Some(id) = self.free(lock) else { return };
        self.event(None, EventKind::lease_expired(lock, &self.key(lock), self.token(id)));
    }

    /// The lock is free, by no client's doing.
    fn gone(&mut self, lock: usize, what: &str) {
        let Some(id) = self.free(lock) else { return };
        let effects = vec![Effect { lock, change: Change::Deleted { token: self.token(id) } }];
        self.event(None, EventKind::fault(what.into(), effects));
    }

    /// A client removed it with all whose time was over.
    fn overdue(&mut self, lock: usize) {
        let Some(id) = self.free(lock) else { return };
        let (key, token) = (self.key(lock), self.token(id));
        self.event(None, EventKind::lease_in_value_over(lock, &key, token));
    }

    /// Something was missed: what actors did meanwhile is not known.
    fn gap(&mut self, why: &str) {
        let what = format!("{why}, and what happened meanwhile was not seen");
        self.event(None, EventKind::fault(what, Vec::new()));
        self.forget(|_| true);
    }

    /// From here on a lock is not followed.
    fn given_up(&mut self, lock: usize) {
        let what = format!("{} is not followed from here on", self.key(lock));
        self.event(None, EventKind::fault(what, Vec::new()));
        self.forget(|of| of == lock);
        self.free(lock);
    }

    /// What actors believe of these locks may be wrong from here on.
    fn forget(&mut self, of: impl Fn(usize) -> bool) {
        let mut known: Vec<_> = self.known.extract_if(|(_, lock), _| of(*lock)).collect();
        known.sort_unstable_by_key(|(at, _)| *at);
        for ((actor, lock), knowledge) in known {
            let operation = self.operation(actor, lock, Verb::Unseen, Some(knowledge.holds));
            self.event(Some(actor), EventKind::Invoked(operation.clone()));
            let message = "what became of it was not seen".into();
            let failure = Failure { kind: FailureKind::LostLock, message };
            self.event(Some(actor), EventKind::Failed { operation, failure });
        }
    }

    fn begin(&mut self, actor: usize) {
        if let Some(started) = self.has_started.get_mut(actor)
            && !std::mem::replace(started, true)
        {
            self.event(Some(actor), EventKind::Started);
        }
    }

    fn operation(&mut self, actor: usize, lock: usize, verb: Verb, held: Option<Id>) -> Operation {
        let mut number = 0;
        if let Some(steps) = self.steps.get_mut(actor) {
            number = *steps;
            *steps += 1;
        }
        let token = held.and_then(|held| self.token(held));
        let fence = held.and_then(|held| match &self.seen.observations.get(held)?.what {
            What::Write { fence, .. } | What::Found { fence, .. } => *fence,
            _ => None,
        });
        let lease = held.filter(|_| verb == Verb::Acquire);
        let lease = lease.and_then(|held| self.tenures.asked(held));
        Operation { number, verb, lock: Some(lock), lease, token, fence, ..Operation::default() }
    }

    fn step(
        &mut self,
        unit: &Unit<'a>,
        actor: usize,
        lock: usize,
        verb: Verb,
        held: Option<Id>,
        end: End,
    ) {
        let operation = self.operation(actor, lock, verb, held);
        self.event(Some(actor), EventKind::Invoked(operation.clone()));
        self.command(unit, actor, lock);
        let kind = match end {
            End::Well => EventKind::Completed(operation),
            End::Badly(kind, message) => {
                let failure = Failure { kind, message: message.into() };
                EventKind::Failed { operation, failure }
            }
        };
        self.event(Some(actor), kind);
    }

    fn command(&mut self, unit: &Unit<'a>, actor: usize, lock: usize) {
        let sent = self.moment();
        let changes = unit.changes(self.seen, self.tenures).into_iter();
        let command = Command {
            sent,
            text: unit.text(self.seen),
            reply: unit.reply().into(),
            effects: changes.map(|change| Effect { lock, change }).collect(),
            late: None,
        };
        self.event(Some(actor), EventKind::Command(command));
    }

    fn moment(&mut self) -> Moment {
        self.order += 1;
        Moment { order: self.order, at: self.now.saturating_sub(self.began).saturating_mul(1000) }
    }

    fn event(&mut self, actor: Option<usize>, kind: EventKind) {
        let moment = self.moment();
        self.events.push(Event { moment, actor, kind });
    }

    /// Ends the history, and says whether it is complete.
    fn end(&mut self, reasons: &mut Reasons, ended: u64) -> bool {
        self.expire_leases(ended);
        self.now = self.now.max(ended);
        for actor in 0..self.has_started.len() {
            self.begin(actor);
        }
        let mut open: Vec<usize> = self.known.keys().map(|(_, lock)| *lock).collect();
        open.sort_unstable();
        for lock in open {
            let Some(key) = self.seen.locks.get(lock).map(|lock| &lock.key) else { continue };
            let why = match self.holders.get(lock) {
                Some(Some(_)) => "it was still held when the recording ended",
                _ => "a holder lost it, and had not noticed when the recording ended",
            };
            reasons.add_about(key, why);
        }
        if !reasons.is_empty() {
            return false;
        }
        for actor in 0..self.has_started.len() {
            self.event(Some(actor), EventKind::Ended { failure: None });
        }
        for (lock, state) in self.seen.locks.iter().enumerate() {
            let holder = self.holders.get(lock).copied().flatten();
            let token = holder.and_then(|id| self.token(id));
            let ttl_ms = match (holder, holder.and_then(|id| self.tenures.end(id))) {
                (None, _) => -2,
                (Some(_), None) => -1,
                (Some(_), Some(end)) => {
                    i64::try_from(end.saturating_sub(ended) / 1000).unwrap_or(i64::MAX)
                }
            };
            let is_mirrored = super::Watch::name_of(&state.key).is_some();
            let flag = if is_mirrored { state.flag } else { token.is_some() };
            let left = Left { lock, token, ttl_ms, flag, remembered: Vec::new(), acquirable: None };
            self.event(None, EventKind::Left(left));
        }
        true
    }
}
