//! From what was seen to a history that the checkers can judge.
//!
//! Commands ran one after the other, so each has its place in the order. Steps are added around
//! them as the clients' commands show them: an attempt to take a lock is an `acquire`, a deletion a
//! `release`, a lease that is set an `extend`. What a client found out about its lock, and from
//! which command, is the failure of such a step.

mod doubts;

use super::actors::ActorTable;
use super::attribution::{Act, Attribution, Attributor, Prospect};
use super::event_log::{End, EventLog};
use super::holdings::{ClientBelief, Holdings};
use super::key::{Id, Outcome};
use super::observations::{Lock, NO_CLIENT, Presence, Seen, What};
use super::operation::{Came, Unit};
use super::reasons::Reasons;
use super::recording::Way;
use super::short_leases::ShortLeases;
use super::tenures::Tenures;
use super::tokens::{Knows, Tokens};
use doubts::{HANDED_OVER, SHARED};
use lock_history::history::{
    Change, Effect, EventKind, Failure, FailureKind, Head, History, Left, Verb,
};
use lock_lab::format::is_drawn;
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

    /// The actor: the client, unless it acts for another one over its connection.
    fn actor_for(&mut self, unit: &Unit<'a>, client: usize, lock: usize, came: Came) -> usize {
        if let Some(carrier) = self.carrier(unit, client, lock, came) {
            return carrier;
        }
        match came {
            Came::Deleted(id) => self.holder_or(client, unit, lock, id, false),
            Came::Extended(id) => self.holder_or(client, unit, lock, id, true),
            Came::Replaced(id, before) if self.is_same(id, before) => {
                self.same_token(client, lock, before)
            }
            Came::Took(_) | Came::Replaced(..)
                if self.attributor.is_pooled(self.actors.connection(client)) =>
            {
                let holdings = &self.holdings;
                let is_free = |actor| holdings.belief(actor, lock).is_none();
                self.actors.other_client(client, is_free)
            }
            Came::Unflagged | Came::AskedFlag => {
                self.stand_ins.get(&(client, lock)).copied().unwrap_or(client)
            }
            _ => client,
        }
    }

    /// The only actor whose token the command carries.
    fn carrier(
        &mut self,
        unit: &Unit<'a>,
        client: usize,
        lock: usize,
        came: Came,
    ) -> Option<usize> {
        let says_whose = |token: &str| unit.call.is_some() || is_drawn(token.as_bytes());
        let carries = |holds: Id| {
            let token = self.given.seen.token(holds);
            token.is_some_and(|token| unit.carries(token) && says_whose(token))
        };
        let own = self.holdings.belief(client, lock).map(|belief| belief.holds);
        if let Some(own) = own.filter(|own| carries(*own)) {
            return Some(self.sharer(client, lock, own, came).unwrap_or(client));
        }
        let carriers = self.holdings.believers(lock).filter(|(actor, belief)| {
            carries(belief.holds)
                && (!self.actors.are_distinct(*actor, client)
                    || self.knows(unit, client, belief.holds) != Knows::Itself)
        });
        let carriers: Vec<_> = carriers.collect();
        let [(carrier, belief)] = carriers.as_slice() else { return None };
        if self.actors.are_distinct(*carrier, client) {
            if self.knows(unit, client, belief.holds) != Knows::Given {
                self.doubt(lock, HANDED_OVER);
            }
            return Some(*carrier);
        }
        if self.given.tokens.is_shared(self.given.seen, belief.holds) {
            self.doubt(lock, SHARED);
        }
        if self.attributor.read_token(client, lock, belief.holds) {
            self.doubt(
                lock,
                "a client that never asked for it read its token and then used that; whether that is its \
                 holder is unknown",
            );
        }
        self.attributor.join(&self.actors, client, *carrier);
        Some(*carrier)
    }

    /// The holder of an acquisition that this command ends or extends; the client, if it surely acts
    /// for itself, or another one of the same connection.
    fn holder_or(
        &mut self,
        client: usize,
        unit: &Unit<'a>,
        lock: usize,
        id: Id,
        extends: bool,
    ) -> usize {
        let Some(holder) = self.holdings.owner(id) else { return client };
        let act = Act { client, holder, lock, id, at: unit.last(), extends };
        match self.attributor.attribution(&act, &self.actors, &self.holdings) {
            Attribution::Client
                if self.attributor.is_pooled(self.actors.connection(client))
                    || self.holdings.belief(client, lock).is_none() =>
            {
                self.stranger(unit, client, lock)
            }
            Attribution::Client => client,
            Attribution::Holder => {
                if holder != client && self.given.tokens.is_shared(self.given.seen, id) {
                    self.doubt(lock, SHARED);
                }
                holder
            }
            Attribution::Unknown => {
                let what = if extends { "its lease was set" } else { "it was released" };
                let why = format!(
                    "{what} over another connection than it was acquired, and nothing shows that its \
                     holder did it (a CLIENT SETNAME of each program would)"
                );
                self.doubt(lock, &why);
                self.forget_lost(client, lock);
                holder
            }
        }
    }

    /// The actor that writes the holder's token over itself.
    fn same_token(&mut self, client: usize, lock: usize, before: Id) -> usize {
        let Some(holder) = self.holdings.owner(before).filter(|holder| *holder != client) else {
            return client;
        };
        if self.given.seen.token(before).is_some_and(|token| is_drawn(token.as_bytes())) {
            self.attributor.join(&self.actors, client, holder);
        } else {
            self.doubt(
                lock,
                "it was overwritten with the value that it had, over another connection",
            );
        }
        holder
    }

    /// Notes why the history is not certain about a lock.
    fn doubt(&mut self, lock: usize, why: &str) {
        if let Some(lock) = self.given.seen.locks.get(lock) {
            self.reasons.add_about(&lock.key, why);
        }
    }

    /// A client found that the lock is not what a former holder left: that may be the same client.
    fn found_lost(&mut self, unit: &Unit<'a>, client: usize, lock: usize, came: Came) {
        let is_pooled = self.attributor.is_pooled(self.actors.connection(client));
        let finds = match came {
            Came::Saw(_) | Came::Unclear => {
                let asks = self.attributor.asks_for_holder(&self.actors, client, lock);
                !(asks && unit.is_of_nodb(self.given.seen))
            }
            Came::NothingToDelete | Came::NothingToExtend => true,
            Came::Unflagged | Came::AskedFlag => is_pooled,
            _ => false,
        };
        let knows_whose = self.holdings.belief(client, lock).is_some() && !is_pooled;
        if finds && !knows_whose && self.forget_lost(client, lock) {
            self.doubt(
                lock,
                "a holder lost it, another connection found that, and whether the holder knows is \
                 unknown",
            );
        }
    }

    /// What those think that lost the lock and may act over this client's connection is unknown from
    /// here on, and since they were last seen: whether there are any.
    fn forget_lost(&mut self, client: usize, lock: usize) -> bool {
        self.forget_suspects(client, lock, |_| true)
    }

    /// The same for those whose acquisition is so.
    fn forget_suspects(&mut self, client: usize, lock: usize, is_so: impl Fn(Id) -> bool) -> bool {
        let holder = self.holdings.holder(lock);
        let lost = self.holdings.believers(lock).filter(|(actor, belief)| {
            Some(belief.holds) != holder
                && is_so(belief.holds)
                && self.attributor.may_share(&self.actors, *actor, client)
        });
        let lost: Vec<usize> = lost.map(|(actor, _)| actor).collect();
        lost.iter().for_each(|actor| self.unseen_since_last_command(*actor, lock));
        !lost.is_empty()
    }

    /// The client of a pool that took the lock away from its holder. One that had lost the lock before, and
    /// doesn't release it itself later on, may be that client.
    fn stranger(&mut self, unit: &Unit<'a>, client: usize, lock: usize) -> usize {
        let prospect = self.given.prospect;
        let is_silent = |holds: Id| !prospect.releases_after(holds, unit.last());
        if self.forget_suspects(client, lock, is_silent) {
            let why = "a holder that had lost it may be the client that took it from the next one";
            self.doubt(lock, why);
        }
        let holdings = &self.holdings;
        self.actors.other_client(client, |actor| holdings.belief(actor, lock).is_none())
    }

    /// Adds what happened by itself before this time.
    fn pass_time(&mut self, at: u64) {
        // Where the server's clock was set back, a lost holder may not have acquired the lock yet.
        let next = |writer: &Self| {
            let is_due = |lost: &&(u64, Id, usize)| writer.holdings.owner(lost.1).is_some();
            writer.lost.range(..(at, 0, 0)).find(is_due).copied()
        };
        while let Some(lost) = next(self) {
            self.lost.remove(&lost);
            let (last, id, lock) = lost;
            self.expire_leases(last);
            let owner = self.holdings.owner(id).filter(|owner| {
                self.holdings.belief(*owner, lock).is_some_and(|belief| belief.holds == id)
            });
            if let Some(owner) = owner {
                self.log.reach(last);
                self.stop_following(owner, lock);
            }
        }
        self.expire_leases(at);
    }

    /// From here on a holder is not seen any more.
    fn stop_following(&mut self, holder: usize, lock: usize) {
        match self.actors.presence(holder) {
            // That it was held at the first look is said of its lock.
            Presence::Never => {}
            Presence::Closed => self.doubt(
                lock,
                "its holder's connection was closed, and whether the holder held on is unknown",
            ),
            Presence::Open | Presence::Unknown => self.doubt(
                lock,
                "its holder sent no more commands about it, and whether it held on is unknown",
            ),
        }
        self.unseen(holder, lock);
    }

    /// When the holder of an acquisition was last seen. What else happens on a connection of a pool may be of
    /// others.
    fn seen_until(&self, actor: usize, id: Id) -> u64 {
        let at = |id: Id| self.given.seen.observations.get(id).map_or(0, |one| one.at);
        let acted = at(self.given.prospect.last_act(id).unwrap_or(id));
        let is_pooled = self.attributor.is_pooled(self.actors.connection(actor));
        match is_pooled || self.holdings.has_expired(id) {
            true => acted,
            false => acted.max(self.actors.last_seen(actor)),
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

    /// Whether a holder that does nothing more may be gone.
    fn may_be_gone(&self, actor: usize) -> bool {
        self.attributor.is_pooled(self.actors.connection(actor))
            || self.actors.presence(actor) != Presence::Open
    }

    /// Adds the leases that expired before this time.
    fn expire_leases(&mut self, at: u64) {
        while let Some((end, lock)) = self.holdings.next_expiry(at) {
            self.log.reach(end);
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
        if finds_free == Some(true) && self.holdings.holder(lock).is_some() {
            self.end_lease(lock);
        }
    }

    fn end_lease(&mut self, lock: usize) {
        self.forget_if_light(lock);
        let Some(id) = self.holdings.expire(lock) else { return };
        self.log.event(None, EventKind::lease_expired(lock, &self.key(lock), self.log.token(id)));
    }

    /// The lock is free, by no client's doing.
    fn gone(&mut self, lock: usize, what: &str) {
        self.forget_if_light(lock);
        let Some(id) = self.holdings.free(lock) else { return };
        let effects = vec![Effect { lock, change: Change::Deleted { token: self.log.token(id) } }];
        self.log.event(None, EventKind::fault(what.into(), effects));
    }

    /// A client removed it with all whose time was over.
    fn overdue(&mut self, lock: usize) {
        let Some(id) = self.holdings.free(lock) else { return };
        let (key, token) = (self.key(lock), self.log.token(id));
        self.log.event(None, EventKind::lease_in_value_over(lock, &key, token));
    }

    /// Something was missed: what actors did meanwhile is not known.
    fn gap(&mut self, why: &str) {
        let what = format!("{why}, and what happened meanwhile was not seen");
        self.log.event(None, EventKind::fault(what, Vec::new()));
        (0..self.given.seen.locks.len()).for_each(|lock| self.forget(lock));
    }

    /// From here on a lock is not followed.
    fn given_up(&mut self, lock: usize) {
        let what = format!("{} is not followed from here on", self.key(lock));
        self.log.event(None, EventKind::fault(what, Vec::new()));
        self.forget(lock);
        self.holdings.free(lock);
    }

    /// What actors believe of this lock may be wrong from here on.
    fn forget(&mut self, lock: usize) {
        let believers: Vec<usize> = self.holdings.believers(lock).map(|(actor, _)| actor).collect();
        believers.into_iter().for_each(|actor| self.unseen(actor, lock));
    }

    /// What its holder will find out about the loss of this lock is not seen.
    fn forget_if_light(&mut self, lock: usize) {
        if self.way == Way::Light {
            self.forget(lock);
        }
    }

    /// What an actor believes of a lock is unknown from here on, and since it was last seen.
    fn unseen_since_last_command(&mut self, actor: usize, lock: usize) {
        let holds = self.holdings.belief(actor, lock).map(|belief| belief.holds);
        self.newly_lost.extend(holds.map(|id| (self.seen_until(actor, id), id, lock)));
        self.unseen(actor, lock);
    }

    /// What an actor believes of a lock is unknown from here on.
    fn unseen(&mut self, actor: usize, lock: usize) {
        let holds = self.holdings.belief(actor, lock).map(|belief| belief.holds);
        let operation = self.log.operation(actor, lock, Verb::Unseen, holds);
        self.log.event(Some(actor), EventKind::Invoked(operation.clone()));
        let message = "what became of it was not seen".into();
        let failure = Failure { kind: FailureKind::LostLock, message };
        self.log.event(Some(actor), EventKind::Failed { operation, failure });
        self.holdings.forget(actor, lock);
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
            let (remembered, held_elsewhere) = (Vec::new(), false);
            let left = Left { lock, token, ttl_ms, flag, remembered, acquirable, held_elsewhere };
            self.log.event(None, EventKind::Left(left));
        }
        true
    }
}
