//! The clients as actors: names for connections, and which of them belong together.

use super::key::{Id, Outcome};
use super::observations::{Client, NO_CLIENT, Presence, Seen, What};
use std::collections::{HashMap, HashSet};

/// The actors of the history.
#[derive(Debug, Default)]
pub(super) struct ActorTable {
    /// All of them.
    pub list: Vec<Actor>,
    /// For each client, the actor that it is, if it did anything about a lock.
    of_client: Vec<Option<usize>>,
    /// The holders of locks that were never seen to be taken.
    holders: HashMap<Id, usize>,
    /// Those that stand for holders of what was held before all that was seen, where no connection that was open
    /// may be theirs.
    pub never_seen: Vec<usize>,
}

/// One of them.
#[derive(Debug, Clone)]
pub(super) struct Actor {
    /// Its name in the history.
    pub name: String,
    owner: Option<String>,
    /// What it calls itself.
    called: Option<String>,
    host: String,
    /// The first actor of its connection.
    connection: usize,
    /// Whether the connection is there, and when its last command ran.
    presence: Presence,
    last: u64,
}

impl ActorTable {
    /// Every client that was seen, each connection for itself.
    pub fn of(seen: &Seen) -> Self {
        let mut actors = Self::default();
        let mut is_active = vec![false; seen.clients.len()];
        for observation in &seen.observations {
            let client = usize::try_from(observation.client).unwrap_or(usize::MAX);
            if let Some(active) = is_active.get_mut(client) {
                *active = true;
            }
        }
        for (client, is_active) in seen.clients.iter().zip(is_active) {
            let name = match (&client.owner, &client.name) {
                (Some(owner), _) if *owner == client.address => owner.clone(),
                (Some(owner), _) => format!("{owner} at {}", client.address),
                (None, Some(name)) => format!("{name} at {}", client.address),
                (None, None) => client.address.clone(),
            };
            actors.of_client.push(is_active.then_some(actors.list.len()));
            if is_active {
                actors.add(name, client);
            }
        }
        actors.find_holders(seen);
        actors
    }

    fn add(&mut self, name: String, client: &Client) {
        let at = &client.address;
        let host = at.rsplit_once(':').map_or(&**at, |(host, _)| host).to_owned();
        let (owner, called) = (client.owner.clone(), client.name.clone());
        let (presence, last, connection) = (client.presence, client.last, self.list.len());
        self.list.push(Actor { name, owner, called, host, connection, presence, last });
    }

    /// Whether another actor has the same owner, or calls itself the same.
    pub fn has_namesake(&self, actor: usize) -> bool {
        (0..self.list.len()).any(|other| {
            self.connection(other) != self.connection(actor) && self.have_common_name(actor, other)
        })
    }

    /// Whether the connection of an actor was open when the recording ended.
    pub fn presence(&self, actor: usize) -> Presence {
        self.list.get(actor).map(|actor| actor.presence).unwrap_or_default()
    }

    /// When the last command ran on an actor's connection, in microseconds since 1970.
    pub fn last_seen(&self, actor: usize) -> u64 {
        self.list.get(actor).map_or(0, |actor| actor.last)
    }

    /// The actor that a client is.
    pub fn actor(&self, client: u32) -> Option<usize> {
        let client = usize::try_from(client).ok().filter(|_| client != NO_CLIENT)?;
        self.of_client.get(client).copied().flatten()
    }

    /// The first actor of an actor's connection.
    pub fn connection(&self, actor: usize) -> usize {
        self.list.get(actor).map_or(actor, |actor| actor.connection)
    }

    /// The holder of what was found held.
    pub fn holder(&self, id: Id) -> Option<usize> {
        self.holders.get(&id).copied()
    }

    /// Whether two actors are surely clients of different programs.
    pub fn are_distinct(&self, one: usize, other: usize) -> bool {
        let (Some(one), Some(other)) = (self.list.get(one), self.list.get(other)) else {
            return false;
        };
        let is_same =
            |one: &Option<String>, other: &Option<String>| Some(one.as_ref()? == other.as_ref()?);
        let owners = is_same(&one.owner, &other.owner);
        let says = owners.or_else(|| is_same(&one.called, &other.called));
        one.connection != other.connection && (one.host != other.host || says == Some(false))
    }

    /// Whether two actors have one owner, or call themselves the same.
    pub fn have_common_name(&self, one: usize, other: usize) -> bool {
        let (Some(one), Some(other)) = (self.list.get(one), self.list.get(other)) else {
            return false;
        };
        one.owner.is_some() && one.owner == other.owner
            || one.called.is_some() && one.called == other.called
    }

    /// The actors that may be of the same programs as these.
    pub fn related(&self, to: &HashSet<usize>) -> Vec<usize> {
        let of = |actor: &usize| {
            let one = self.list.get(*actor)?;
            Some(((&one.host, &one.owner, &one.called), *actor))
        };
        let programs: HashMap<_, usize> = to.iter().filter_map(of).collect();
        let is_related =
            |actor: &usize| programs.values().any(|other| !self.are_distinct(*actor, *other));
        (0..self.list.len()).filter(is_related).collect()
    }

    /// The actor for another client of the same connection: the first that is free.
    pub fn other_client(&mut self, of: usize, is_free: impl Fn(usize) -> bool) -> usize {
        let Some(first) = self.list.get(of) else { return of };
        let connection = first.connection;
        let is_one = |(at, actor): &(usize, &Actor)| actor.connection == connection && is_free(*at);
        if let Some((free, _)) = self.list.iter().enumerate().find(is_one) {
            return free;
        }
        let number = self.list.iter().filter(|actor| actor.connection == connection).count() + 1;
        let name = format!("{} ({number})", first.name);
        let other = Actor { name, ..first.clone() };
        self.list.push(other);
        self.list.len() - 1
    }

    /// The client that releases or extends a lock that was found held, as its holder would, is its
    /// holder.
    fn find_holders(&mut self, seen: &Seen) {
        let mut last_read: HashMap<(u32, usize), Id> = HashMap::new();
        let mut found: Vec<Id> = Vec::new();
        let mut acts_as_holder: HashMap<Id, u32> = HashMap::new();
        for (id, observation) in seen.observations.iter().enumerate() {
            let (client, lock) = (observation.client, observation.lock);
            if matches!(observation.what, What::Found { .. }) {
                found.push(id);
            }
            match observation.outcome {
                Outcome::Saw(Some(held)) => drop(last_read.insert((client, lock), held)),
                Outcome::Deleted(held) | Outcome::Extended(held) if client != NO_CLIENT => {
                    let has_read = last_read.get(&(client, lock)) == Some(&held);
                    let key = seen.locks.get(lock).map(|lock| lock.key.as_slice());
                    let is_nodb = key.is_some_and(|key| key.starts_with(b"nodb-lock:"));
                    if has_read || !is_nodb {
                        acts_as_holder.entry(held).or_insert(client);
                    }
                }
                _ => {}
            }
        }
        for id in found {
            let observed = seen.observations.get(id).map(|observed| &observed.what);
            let Some(What::Found { owner, .. }) = observed else { continue };
            let known = acts_as_holder.get(&id).and_then(|client| self.actor(*client));
            let actor = known.unwrap_or_else(|| {
                let name = owner.as_deref().unwrap_or("the holder from before");
                let known = self.list.iter().position(|known| known.name == name);
                known.unwrap_or_else(|| {
                    let owner = owner.as_deref().map(str::to_owned);
                    let presence = Presence::Never;
                    self.add(name.to_owned(), &Client { owner, presence, ..Client::default() });
                    self.list.len() - 1
                })
            });
            let is_first = seen.gaps.iter().all(|(gap, _)| id < *gap);
            let is_seen = !seen.only_lock_clients_are_open || self.has_namesake(actor);
            if known.is_none() && is_first && !is_seen && !self.never_seen.contains(&actor) {
                self.never_seen.push(actor);
            }
            self.holders.insert(id, actor);
        }
    }
}
