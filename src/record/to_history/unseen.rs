//! What actors believe of their locks where it can't be seen: they lost them, or sent no more commands.

use super::HistoryWriter;
use crate::record::key::Id;
use crate::record::observations::Presence;
use crate::record::operation::{Came, Unit};
use crate::record::recording::Way;
use lock_history::history::{EventKind, Failure, FailureKind, Verb};

impl<'a> HistoryWriter<'a> {
    /// A client found that the lock is not what a former holder left: that may be the same client.
    pub(super) fn found_lost(&mut self, unit: &Unit<'a>, client: usize, lock: usize, came: Came) {
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
    pub(super) fn forget_lost(&mut self, client: usize, lock: usize) -> bool {
        self.forget_suspects(client, lock, |_| true)
    }

    /// The same for those whose acquisition is so.
    pub(super) fn forget_suspects(
        &mut self,
        client: usize,
        lock: usize,
        is_so: impl Fn(Id) -> bool,
    ) -> bool {
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

    /// Adds what happened by itself before this time.
    pub(super) fn pass_time(&mut self, at: u64) {
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
    pub(super) fn seen_until(&self, actor: usize, id: Id) -> u64 {
        let at = |id: Id| self.given.seen.observations.get(id).map_or(0, |one| one.at);
        let acted = at(self.given.prospect.last_act(id).unwrap_or(id));
        let is_pooled = self.attributor.is_pooled(self.actors.connection(actor));
        match is_pooled || self.holdings.has_expired(id) {
            true => acted,
            false => acted.max(self.actors.last_seen(actor)),
        }
    }

    /// Whether a holder that does nothing more may be gone.
    pub(super) fn may_be_gone(&self, actor: usize) -> bool {
        self.attributor.is_pooled(self.actors.connection(actor))
            || self.actors.presence(actor) != Presence::Open
    }

    /// What actors believe of this lock may be wrong from here on.
    pub(super) fn forget(&mut self, lock: usize) {
        let believers: Vec<usize> = self.holdings.believers(lock).map(|(actor, _)| actor).collect();
        believers.into_iter().for_each(|actor| self.unseen(actor, lock));
    }

    /// What its holder will find out about the loss of this lock is not seen.
    pub(super) fn forget_if_light(&mut self, lock: usize) {
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
    pub(super) fn unseen(&mut self, actor: usize, lock: usize) {
        let holds = self.holdings.belief(actor, lock).map(|belief| belief.holds);
        let operation = self.log.operation(actor, lock, Verb::Unseen, holds);
        self.log.event(Some(actor), EventKind::Invoked(operation.clone()));
        let message = "what became of it was not seen".into();
        let failure = Failure { kind: FailureKind::LostLock, message };
        self.log.event(Some(actor), EventKind::Failed { operation, failure });
        self.holdings.forget(actor, lock);
    }

    /// An actor asks for a lock whose lease had expired under it: what it thought since its last command about it
    /// is unknown.
    pub(super) fn forget_expired(
        &mut self,
        unit: &Unit<'a>,
        actor: usize,
        lock: usize,
        came: Came,
    ) {
        let belief = self.holdings.belief(actor, lock).map(|belief| belief.holds);
        let Some(id) = belief.filter(|id| self.holdings.has_expired(*id)) else { return };
        let is_pooled = self.attributor.is_pooled(self.actors.connection(actor));
        let acts_later = self.given.prospect.acts_after(id, unit.last());
        if came != Came::Refused || !is_pooled && !acts_later {
            self.unseen_since_last_command(actor, lock);
        }
    }
}
