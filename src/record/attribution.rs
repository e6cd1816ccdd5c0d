//! Whose command it was: its own connection's client, or the holder that acts over another connection.
//!
//! A token says who holds a lock, a connection does not: programs keep pools of connections, and each
//! command takes the next free one. A script that carries the token is the holder's. Where a plain command
//! ends or extends a lock that came over another connection, what the connections read before and do
//! afterwards may show whose it was. Where nothing shows it, it is unknown and no client is accused.

use super::actors::ActorTable;
use super::holdings::Holdings;
use super::key::Id;
use super::operation::{Came, Unit};
use super::prospect::Prospect;
use std::collections::{HashMap, HashSet};

/// Whose a command is that ended or extended a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attribution {
    /// The holder's.
    Holder,
    /// Its own client's, which is another one.
    Client,
    /// Either's.
    Unknown,
}

/// A command that ends or extends an acquisition.
#[derive(Debug, Clone, Copy)]
pub(super) struct Act {
    /// The actor of its connection.
    pub client: usize,
    /// The actor of the acquisition.
    pub holder: usize,
    pub lock: usize,
    /// The acquisition.
    pub id: Id,
    /// The command.
    pub at: Id,
    /// Whether it extends it.
    pub extends: bool,
}

/// What is known when a client ends or extends a lock that was acquired over another connection.
#[derive(Debug, Clone, Copy)]
struct Circumstances {
    /// Whether the two are surely clients of different programs.
    are_distinct: bool,
    /// Whether either of them was seen to act for clients of other connections.
    is_pooled: bool,
    /// Whether the two have one owner or call themselves the same.
    has_common_name: bool,
    /// Whether the client was ever seen to ask for a lock.
    asks: bool,
    /// Whether the client believes in an acquisition of its own.
    has_own: bool,
    /// Whether another client of the same program may believe that it holds the lock.
    has_rivals: bool,
    /// What the client knew of the lock.
    read: LastRead,
    /// Whether the holder's token was read over a connection that may be of the same pool, and nothing
    /// else came of that read.
    is_read_elsewhere: bool,
    /// Whether the holder acts as such later on, after its lock was ended.
    acts_later: bool,
    /// Whether the holder releases the lock later on, though it was ended over another connection.
    releases_later: bool,
    /// Whether the command extends the lock, which its holder goes on to hold.
    extends: bool,
    /// Whether it gave the lock the only lease that it ever had, right after the acquisition.
    is_only_lease: bool,
}

/// What a connection's last command about a lock read, if that was a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LastRead {
    /// It was no read, or shows nothing.
    None,
    /// The present holder's token.
    Holder,
    /// The client's own token of an earlier acquisition.
    Own,
}

impl Circumstances {
    /// Whose it was.
    fn attribution(&self) -> Attribution {
        let is_others = self.has_own && !self.is_pooled || self.releases_later;
        if self.are_distinct || is_others && self.read != LastRead::Holder {
            return Attribution::Client;
        }
        // Had another client set it, the holder's own command would be a second one.
        if self.is_only_lease {
            return Attribution::Holder;
        }
        let is_read = self.read == LastRead::Holder || self.is_read_elsewhere && !self.has_rivals;
        let is_of_a_pool = self.extends && self.is_pooled && !is_read;
        if self.acts_later || is_of_a_pool || self.has_own && !self.is_pooled {
            return Attribution::Unknown;
        }
        match self.read {
            LastRead::Holder if self.is_pooled || self.has_common_name || self.asks => {
                Attribution::Holder
            }
            // It deletes what it compared, though that has another holder by now.
            LastRead::Own if !self.is_read_elsewhere && !self.is_pooled => Attribution::Client,
            _ if self.is_read_elsewhere && !self.has_rivals => Attribution::Holder,
            _ => Attribution::Unknown,
        }
    }
}

/// A read of a lock.
#[derive(Debug, Clone, Copy)]
struct Look {
    read: Id,
    found: Option<Id>,
    /// Whether it came right after a refusal over the same connection: then it may only be to show which client
    /// holds the lock.
    was_refused: bool,
}

/// Says whose commands are.
#[derive(Debug)]
pub(super) struct Attributor<'a> {
    prospect: &'a Prospect,
    /// Connections over which clients of other connections were seen to act, and those of these clients.
    pooled: HashSet<usize>,
    /// Connections that seem to have one client each.
    alone: HashSet<usize>,
    /// Connections of lock clients.
    lock_clients: HashSet<usize>,
    /// By lock: the last read of each actor since the lock was last acquired.
    reads: HashMap<usize, HashMap<usize, Look>>,
    /// By actor and lock: what its last command found, if that was a read.
    last: HashMap<(usize, usize), Option<Id>>,
    /// Actors and locks that they were refused last.
    refused: HashSet<(usize, usize)>,
}

impl<'a> Attributor<'a> {
    /// Knows of these pools.
    pub fn new(prospect: &'a Prospect, actors: &ActorTable, pooled: HashSet<usize>) -> Self {
        let alone = prospect.alone(actors);
        Self {
            prospect,
            pooled,
            alone,
            lock_clients: prospect.lock_clients(actors),
            reads: HashMap::new(),
            last: HashMap::new(),
            refused: HashSet::new(),
        }
    }

    /// Whether two actors may use each other's connections.
    pub fn may_share(&self, actors: &ActorTable, one: usize, other: usize) -> bool {
        let both = [actors.connection(one), actors.connection(other)];
        let is_pooled = both.iter().any(|connection| self.pooled.contains(connection));
        let is_alone = both.iter().any(|connection| self.alone.contains(connection));
        let are_clients = both.iter().all(|connection| self.lock_clients.contains(connection));
        !actors.are_distinct(one, other) && are_clients && (is_pooled || !is_alone)
    }

    /// All connections of pools that were seen.
    pub fn pooled(&self) -> &HashSet<usize> {
        &self.pooled
    }

    /// Whether clients of other connections were seen to act over this one.
    pub fn is_pooled(&self, connection: usize) -> bool {
        self.pooled.contains(&connection)
    }

    /// Whether a connection seems to have one client.
    pub fn is_alone(&self, connection: usize) -> bool {
        self.alone.contains(&connection)
    }

    /// Whether a client may know the token of an acquisition only from the key: it read it there, and it
    /// is no lock client.
    pub fn read_token(&self, client: usize, lock: usize, id: Id) -> bool {
        let read = self.reads.get(&lock).and_then(|reads| reads.get(&client));
        !self.lock_clients.contains(&client) && read.is_some_and(|look| look.found == Some(id))
    }

    /// A client acts over the connection of another one.
    pub fn join(&mut self, actors: &ActorTable, one: usize, other: usize) {
        let both = [actors.connection(one), actors.connection(other)];
        if both[0] != both[1] {
            self.pooled.extend(both);
        }
    }

    /// Whose command this is.
    pub fn attribution(
        &mut self,
        act: &Act,
        actors: &ActorTable,
        holdings: &Holdings<'_>,
    ) -> Attribution {
        let is_pooled = self.is_pooled(actors.connection(act.client));
        let read = match self.last.get(&(act.client, act.lock)) {
            None => LastRead::None,
            Some(found) if *found == Some(act.id) => LastRead::Holder,
            Some(Some(other)) if holdings.owner(*other) == Some(act.client) => LastRead::Own,
            Some(_) => LastRead::None,
        };
        let is_related = |actor: usize| !actors.are_distinct(actor, act.client);
        let elsewhere = self.reads.get(&act.lock).into_iter().flatten();
        let elsewhere = elsewhere.filter(|(actor, look)| {
            let is_open = self.lock_clients.contains(*actor)
                && match **actor == act.client {
                    true => is_pooled,
                    false => !self.prospect.is_followed(look.read),
                };
            look.found == Some(act.id) && is_open && is_related(**actor)
        });
        let elsewhere: Vec<(usize, Look)> =
            elsewhere.map(|(actor, look)| (*actor, *look)).collect();
        if act.client == act.holder && !is_pooled {
            if read == LastRead::None {
                let readers = elsewhere.iter().filter(|(_, look)| !look.was_refused);
                readers.for_each(|(reader, _)| self.join(actors, act.client, *reader));
            }
            return Attribution::Holder;
        }
        let is_rival = |actor: usize| actor != act.holder && is_related(actor);
        let circumstances = Circumstances {
            are_distinct: actors.are_distinct(act.client, act.holder),
            is_pooled: is_pooled || self.is_pooled(actors.connection(act.holder)),
            has_common_name: actors.have_common_name(act.client, act.holder),
            asks: self.lock_clients.contains(&act.client),
            has_own: act.client != act.holder && holdings.belief(act.client, act.lock).is_some(),
            has_rivals: holdings.believers(act.lock).any(|(actor, _)| is_rival(actor)),
            read,
            is_read_elsewhere: !elsewhere.is_empty(),
            extends: act.extends,
            is_only_lease: act.extends
                && self.prospect.is_only_lease(act.at)
                && self.lock_clients.contains(&act.client),
            releases_later: !act.extends
                && act.client != act.holder
                && self.prospect.releases_after(act.id, act.at),
            acts_later: !act.extends && self.prospect.acts_after(act.id, act.at),
        };
        let attribution = circumstances.attribution();
        if act.extends && attribution == Attribution::Holder {
            // What was read before is no evidence of what comes next.
            let reads = self.reads.entry(act.lock).or_default();
            reads.retain(|_, look| look.found != Some(act.id));
        }
        // An operator that looks at the lock and then deletes it would seem to be one of a pool from then on.
        let is_only_read = attribution == Attribution::Unknown && read == LastRead::Holder;
        if attribution != Attribution::Client && !is_only_read {
            self.join(actors, act.client, act.holder);
        }
        attribution
    }

    /// Whether a read by this client only shows it which client refused it the lock.
    pub fn asks_for_holder(&self, actors: &ActorTable, client: usize, lock: usize) -> bool {
        self.refused.contains(&(client, lock)) && !self.is_pooled(actors.connection(client))
    }

    /// Notes what a client's command showed it of a lock.
    pub fn note(&mut self, unit: &Unit<'_>, client: usize, came: Came) {
        let Some(lock) = unit.observations.first().map(|first| first.lock) else { return };
        let was_refused = self.refused.remove(&(client, lock));
        if came == Came::Refused {
            self.refused.insert((client, lock));
        }
        match came {
            Came::Saw(found) if unit.call.is_none() => {
                self.last.insert((client, lock), found);
                let look = Look { read: unit.first, found, was_refused };
                self.reads.entry(lock).or_default().insert(client, look);
                return;
            }
            Came::Took(_) | Came::Replaced(..) => drop(self.reads.remove(&lock)),
            _ => {}
        }
        self.last.remove(&(client, lock));
    }
}
