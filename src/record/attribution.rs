//! Whose command it was: its own connection's client, or the holder that acts over another connection.
//!
//! A token says who holds a lock, a connection does not: programs keep pools of connections, and each
//! command takes the next free one. A script that carries the token is the holder's. Where a plain command
//! ends or extends a lock that came over another connection, what the connections read before and do
//! afterwards may show whose it was. Where nothing shows it, it is unknown and no client is accused.

use super::actors::ActorTable;
use super::holdings::Holdings;
use super::key::{Id, Outcome};
use super::observations::{NO_CLIENT, Seen, What};
use super::operation::{Came, Unit};
use std::collections::{HashMap, HashSet};

/// After this number of locks that were acquired and released over it, a connection seems to have one
/// client.
const ALONE: u32 = 3;
/// After this number of acquisitions over connections that do nothing else, programs seem to open one for each
/// command.
const SEVERAL: usize = 3;

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
            LastRead::Holder if self.is_pooled || self.has_common_name => Attribution::Holder,
            // It deletes what it compared, though that has another holder by now.
            LastRead::Own if !self.is_read_elsewhere && !self.is_pooled => Attribution::Client,
            _ if self.is_read_elsewhere && !self.has_rivals => Attribution::Holder,
            _ => Attribution::Unknown,
        }
    }
}

/// What connections do later, which shows whose an earlier command was.
#[derive(Debug, Default)]
pub(super) struct Prospect {
    /// Reads after which the same connection deleted the lock or set its lease.
    followed: HashSet<Id>,
    /// The last observation at which the holder of an acquisition acts as such.
    last_acts: HashMap<Id, Id>,
    /// The last observation at which the holder of an acquisition releases it by a command or script that has
    /// its token.
    last_releases: HashMap<Id, Id>,
    /// Connections over which a token was written and carried.
    carried: HashSet<(u32, u32)>,
    /// Connections over which a lock was asked for; where locks are acquired over connections that do nothing
    /// else, all connections that did only one thing.
    asking: HashSet<u32>,
    /// How many locks were both acquired and released over each connection.
    alone: HashMap<u32, u32>,
    /// After these reads their clients left the lock alone.
    last_reads: HashSet<Id>,
    /// The commands that gave a lock, which was acquired without a lease, its only one.
    only_leases: HashSet<Id>,
    /// The scripts that release locks.
    releasing: HashSet<usize>,
    /// The keys that clients were seen to release, and not only to let expire.
    released: HashSet<Vec<u8>>,
}

impl Prospect {
    /// Looks at all observations.
    pub fn of(seen: &Seen) -> Self {
        let (last_reads, only_leases) = (last_reads(seen), only_leases(seen));
        let (releasing, released) = (releasing_scripts(seen), released_keys(seen));
        let mut prospect = Self { last_reads, only_leases, releasing, released, ..Self::default() };
        // The last read of each connection, by lock; and by connection and lock, the last acquisition.
        let mut reads: HashMap<usize, HashMap<u32, Id>> = HashMap::new();
        let mut taken: HashMap<(u32, usize), Id> = HashMap::new();
        let mut of_token: HashMap<(&str, usize), Id> = HashMap::new();
        // The reads that seem to be what a command over another connection followed.
        let mut followed_elsewhere: HashMap<usize, HashMap<u32, Id>> = HashMap::new();
        for (id, one) in seen.observations.iter().enumerate() {
            let place = (one.client, one.lock);
            let call = one.call.and_then(|call| seen.calls.get(usize::try_from(call).ok()?));
            for token in call.into_iter().flat_map(|call| &call.carried) {
                let Some(acquisition) = of_token.get(&(&**token, one.lock)) else { continue };
                prospect.last_acts.insert(*acquisition, id);
                if call.is_some_and(|call| prospect.releasing.contains(&call.script)) {
                    prospect.last_releases.insert(*acquisition, id);
                }
                if let Some(writer) = seen.observations.get(*acquisition) {
                    prospect.carried.insert((writer.client, one.client));
                }
            }
            if matches!(one.what, What::Write { .. }) || one.outcome == Outcome::Refused {
                prospect.asking.insert(one.client);
            }
            if let Outcome::Deleted(held) = one.outcome
                && seen.observations.get(held).is_some_and(|writer| writer.client == one.client)
            {
                *prospect.alone.entry(one.client).or_default() += 1;
            }
            match (&one.what, one.outcome) {
                (_, Outcome::Took | Outcome::Replaced(_)) => {
                    reads.remove(&one.lock);
                    followed_elsewhere.remove(&one.lock);
                    taken.insert(place, id);
                    if let Some(token) = seen.token(id) {
                        of_token.insert((token, one.lock), id);
                    }
                }
                (What::Read, _) if one.call.is_none() => {
                    reads.entry(one.lock).or_default().insert(one.client, id);
                }
                (What::Delete | What::Expire { .. }, outcome) if one.call.is_none() => {
                    let reads = reads.entry(one.lock).or_default();
                    let elsewhere = followed_elsewhere.entry(one.lock).or_default();
                    let mut read = reads.remove(&one.client);
                    if read.is_none() {
                        let last = reads.iter().max_by_key(|(_, read)| **read);
                        match last.map(|(client, read)| (*client, *read)) {
                            Some((client, read)) => {
                                reads.remove(&client);
                                elsewhere.insert(client, read);
                            }
                            // Its own connection follows it, after all.
                            None => read = elsewhere.remove(&one.client),
                        }
                    }
                    prospect.followed.extend(read);
                    if let (Some(own), Outcome::Nothing) = (taken.get(&place), outcome) {
                        prospect.last_acts.insert(*own, id);
                    }
                }
                _ => {}
            }
        }
        prospect.add_single_use(seen);
        prospect
    }

    /// Adds the connections of programs that open one for each command.
    fn add_single_use(&mut self, seen: &Seen) {
        let mut uses: HashMap<u32, u32> = HashMap::new();
        let mut last = None;
        for one in &seen.observations {
            // What a script does is one command.
            if one.call.is_none() || one.call != last {
                *uses.entry(one.client).or_default() += 1;
            }
            last = one.call;
        }
        let is_single = |client: u32| uses.get(&client) == Some(&1);
        let acquired = seen.observations.iter().filter(|one| one.outcome == Outcome::Took);
        let acquired: Vec<bool> = acquired.map(|one| is_single(one.client)).collect();
        if acquired.len() >= SEVERAL && acquired.iter().all(|is_single| *is_single) {
            self.asking.extend(uses.keys().copied().filter(|client| is_single(*client)));
        }
    }

    /// The connections over which the holders of other connections act.
    pub fn pooled(&self, actors: &ActorTable) -> HashSet<usize> {
        let pairs = self.carried.iter().filter_map(|(writer, carrier)| {
            let pair = [actors.actor(*writer)?, actors.actor(*carrier)?];
            (pair[0] != pair[1] && !actors.are_distinct(pair[0], pair[1])).then_some(pair)
        });
        pairs.flatten().collect()
    }

    /// The connections of lock clients: others only look.
    pub fn lock_clients(&self, actors: &ActorTable) -> HashSet<usize> {
        self.asking.iter().filter_map(|client| actors.actor(*client)).collect()
    }

    /// The connections that seem to have one client each.
    pub fn alone(&self, actors: &ActorTable) -> HashSet<usize> {
        let alone = self.alone.iter().filter(|(_, locks)| **locks >= ALONE);
        alone.filter_map(|(client, _)| actors.actor(*client)).collect()
    }

    /// The scripts that release locks.
    pub fn releasing(&self) -> &HashSet<usize> {
        &self.releasing
    }

    /// Whether clients were seen to release this key.
    pub fn is_released(&self, key: &[u8]) -> bool {
        self.released.contains(key)
    }

    /// Whether the client of this read left the lock alone after it.
    pub fn is_last_read(&self, read: Id) -> bool {
        self.last_reads.contains(&read)
    }

    /// Whether the connection of this read went on itself.
    pub fn is_followed(&self, read: Id) -> bool {
        self.followed.contains(&read)
    }

    /// The last observation at which the holder of this acquisition acts as such.
    pub fn last_act(&self, acquisition: Id) -> Option<Id> {
        self.last_acts.get(&acquisition).copied()
    }

    /// Whether the holder of this acquisition releases it after this observation.
    pub fn releases_after(&self, acquisition: Id, id: Id) -> bool {
        self.last_releases.get(&acquisition).is_some_and(|last| *last > id)
    }

    /// Whether the holder of this acquisition acts as such after this observation.
    pub fn acts_after(&self, acquisition: Id, id: Id) -> bool {
        self.last_acts.get(&acquisition).is_some_and(|last| *last > id)
    }
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

/// The commands that gave a lock, which was acquired without a lease, its only one, before any other command
/// about it: a client that was refused may set a lease, too.
fn only_leases(seen: &Seen) -> HashSet<Id> {
    let mut just_taken: HashMap<usize, Id> = HashMap::new();
    let mut first: HashMap<Id, Id> = HashMap::new();
    let mut again: HashSet<Id> = HashSet::new();
    for (id, one) in seen.observations.iter().enumerate() {
        let taken = just_taken.remove(&one.lock);
        match (&one.what, one.outcome) {
            (What::Write { lease: None, .. }, Outcome::Took) => {
                just_taken.insert(one.lock, id);
            }
            (_, Outcome::Extended(held)) if taken == Some(held) => drop(first.insert(held, id)),
            (_, Outcome::Extended(held)) => drop(again.insert(held)),
            _ => {}
        }
    }
    let only = first.into_iter().filter(|(held, _)| !again.contains(held));
    only.map(|(_, id)| id).collect()
}

/// The keys that clients deleted, or of which they deleted members.
fn released_keys(seen: &Seen) -> HashSet<Vec<u8>> {
    let deleted = seen
        .observations
        .iter()
        .filter(|one| matches!(one.outcome, Outcome::Deleted(_)) && one.client != NO_CLIENT);
    let locks: HashSet<usize> = deleted.map(|one| one.lock).collect();
    locks.into_iter().filter_map(|lock| Some(seen.locks.get(lock)?.key.clone())).collect()
}

/// The scripts that were seen to delete a lock whose token they carried.
fn releasing_scripts(seen: &Seen) -> HashSet<usize> {
    let deleted = seen.observations.iter().filter_map(|one| {
        let Outcome::Deleted(held) = one.outcome else { return None };
        let call = seen.calls.get(usize::try_from(one.call?).ok()?)?;
        call.carried.contains(seen.token(held)?).then_some(call.script)
    });
    deleted.collect()
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
    /// By lock: the last read of each actor since the lock was last acquired, and what it found. One right
    /// after a refusal, on a connection that is of no pool, only shows which client holds the lock.
    reads: HashMap<usize, HashMap<usize, (Id, Option<Id>)>>,
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
        !self.lock_clients.contains(&client) && read.is_some_and(|(_, found)| *found == Some(id))
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
        let elsewhere = elsewhere.filter(|(actor, (read, found))| {
            let is_open = self.lock_clients.contains(*actor)
                && match **actor == act.client {
                    true => is_pooled,
                    false => !self.prospect.is_followed(*read),
                };
            *found == Some(act.id) && is_open && is_related(**actor)
        });
        let elsewhere: Vec<usize> = elsewhere.map(|(actor, _)| *actor).collect();
        if act.client == act.holder && !is_pooled {
            if read == LastRead::None {
                elsewhere.iter().for_each(|reader| self.join(actors, act.client, *reader));
            }
            return Attribution::Holder;
        }
        let is_rival = |actor: usize| actor != act.holder && is_related(actor);
        let circumstances = Circumstances {
            are_distinct: actors.are_distinct(act.client, act.holder),
            is_pooled: is_pooled || self.is_pooled(actors.connection(act.holder)),
            has_common_name: actors.have_common_name(act.client, act.holder),
            has_own: act.client != act.holder && holdings.belief(act.client, act.lock).is_some(),
            has_rivals: holdings.believers(act.lock).any(|(actor, _)| is_rival(actor)),
            read,
            is_read_elsewhere: !elsewhere.is_empty(),
            extends: act.extends,
            is_only_lease: act.extends
                && self.prospect.only_leases.contains(&act.at)
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
            reads.retain(|_, (_, found)| *found != Some(act.id));
        }
        // A client that looks at the lock and then deletes it would seem to be one of a pool from then on.
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
    pub fn note(&mut self, unit: &Unit<'_>, (client, connection): (usize, usize), came: Came) {
        let Some(lock) = unit.observations.first().map(|first| first.lock) else { return };
        let was_refused = self.refused.remove(&(client, lock));
        if came == Came::Refused {
            self.refused.insert((client, lock));
        }
        match came {
            Came::Saw(found) if unit.call.is_none() => {
                self.last.insert((client, lock), found);
                if !was_refused || self.is_pooled(connection) {
                    self.reads.entry(lock).or_default().insert(client, (unit.first, found));
                }
                return;
            }
            Came::Took(_) | Came::Replaced(..) => drop(self.reads.remove(&lock)),
            _ => {}
        }
        self.last.remove(&(client, lock));
    }
}
