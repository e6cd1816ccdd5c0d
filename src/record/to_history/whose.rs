//! Which actor sent a command: the client of its connection, or a holder that acts over it.

use super::HistoryWriter;
use super::doubts::{HANDED_OVER, SHARED};
use crate::record::attribution::{Act, Attribution};
use crate::record::key::Id;
use crate::record::observations::What;
use crate::record::operation::{Came, Unit};
use crate::record::tokens::Knows;
use lock_lab::format::is_drawn;
use lock_lab::lock::Payload;

/// What a command did to the lock of a holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    Released,
    Extended,
    Rewritten,
}

impl<'a> HistoryWriter<'a> {
    /// The actor: the client, unless it acts for another one over its connection.
    pub(super) fn actor_for(
        &mut self,
        unit: &Unit<'a>,
        client: usize,
        lock: usize,
        came: Came,
    ) -> usize {
        if let Some(carrier) = self.carrier(unit, client, lock, came) {
            return carrier;
        }
        match came {
            Came::Deleted(id) => self.holder_or(client, unit, (lock, id), Done::Released),
            Came::Extended(id) => self.holder_or(client, unit, (lock, id), Done::Extended),
            Came::Replaced(id, before) if self.is_same(id, before) => {
                self.same_token(client, lock, before)
            }
            Came::Replaced(id, before) if self.may_be_holders(id, before) => {
                self.holder_or(client, unit, (lock, before), Done::Rewritten)
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
        (lock, id): (usize, Id),
        done: Done,
    ) -> usize {
        let Some(holder) = self.holdings.owner(id) else { return client };
        let extends = done == Done::Extended;
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
                let what = match done {
                    Done::Released => "it was released",
                    Done::Extended => "its lease was set",
                    Done::Rewritten => "its value was replaced",
                };
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

    /// Whether a write that replaced a holder's value may be the holder's own: it was to succeed only while the
    /// lock is held, or both values name the same owner and nothing else tells them apart.
    fn may_be_holders(&self, id: Id, before: Id) -> bool {
        let seen = self.given.seen;
        let observed = seen.observations.get(id).map(|one| &one.what);
        let owner = |id: Id| {
            let value = Payload::decode(seen.token(id)?.as_bytes());
            value.owner().map(str::to_owned)
        };
        matches!(observed, Some(What::Write { over: true, .. }))
            || owner(id).is_some_and(|own| owner(before) == Some(own))
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

    /// How a client knows the token of an acquisition that it uses.
    fn knows(&self, unit: &Unit<'a>, client: usize, holds: Id) -> Knows {
        let is_own = |other: u32| {
            self.actors.actor(other).is_none_or(|other| !self.actors.are_distinct(other, client))
        };
        self.given.tokens.knows(self.given.seen, holds, unit.first, is_own)
    }

    /// The holder whose acquisition this command ends or extends, where that has the token of the client's own
    /// one and either may have sent it.
    fn sharer(&mut self, client: usize, lock: usize, own: Id, came: Came) -> Option<usize> {
        let (Came::Deleted(id) | Came::Extended(id)) = came else { return None };
        let connection = self.actors.connection(client);
        let is_its_own =
            self.attributor.is_alone(connection) && !self.attributor.is_pooled(connection);
        let owner =
            self.holdings.owner(id).filter(|owner| !self.actors.are_distinct(*owner, client));
        let is_open = id != own
            && self.is_same(id, own)
            && !is_its_own
            && self.given.tokens.is_shared(self.given.seen, own);
        let owner = owner.filter(|_| is_open)?;
        self.doubt(lock, SHARED);
        Some(owner)
    }
}
