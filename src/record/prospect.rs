//! What connections do later, which shows whose an earlier command was.

use super::actors::ActorTable;
use super::key::{Id, Outcome};
use super::observations::{NO_CLIENT, Seen, What};
use std::collections::{HashMap, HashSet};

/// After this number of locks that were acquired and released over it, a connection seems to have one
/// client.
const ALONE: u32 = 3;
/// After this number of acquisitions over connections that do nothing else, programs seem to open one for each
/// command.
const SEVERAL: usize = 3;

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

/// The reads of locks that commands may have followed, by lock and connection.
#[derive(Default)]
struct Reads {
    /// The last ones.
    last: HashMap<usize, HashMap<u32, Id>>,
    /// Those that seem to be what a command over another connection followed.
    followed_elsewhere: HashMap<usize, HashMap<u32, Id>>,
}

impl Reads {
    fn forget(&mut self, lock: usize) {
        self.last.remove(&lock);
        self.followed_elsewhere.remove(&lock);
    }

    /// The read over the same connection that a command followed.
    fn followed_by(&mut self, client: u32, lock: usize) -> Option<Id> {
        let reads = self.last.entry(lock).or_default();
        let elsewhere = self.followed_elsewhere.entry(lock).or_default();
        if let Some(read) = reads.remove(&client) {
            return Some(read);
        }
        let last = reads.iter().max_by_key(|(_, read)| **read);
        let Some((other, read)) = last.map(|(client, read)| (*client, *read)) else {
            // Its own connection follows it, after all.
            return elsewhere.remove(&client);
        };
        reads.remove(&other);
        elsewhere.insert(other, read);
        None
    }
}

impl Prospect {
    /// Looks at all observations.
    pub fn of(seen: &Seen) -> Self {
        let (last_reads, only_leases) = (last_reads(seen), only_leases(seen));
        let (releasing, released) = (releasing_scripts(seen), released_keys(seen));
        let mut prospect = Self { last_reads, only_leases, releasing, released, ..Self::default() };
        let mut reads = Reads::default();
        // The last acquisition, by connection and lock.
        let mut taken: HashMap<(u32, usize), Id> = HashMap::new();
        let mut of_token: HashMap<(&str, usize), Id> = HashMap::new();
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
                    reads.forget(one.lock);
                    taken.insert(place, id);
                    if let Some(token) = seen.token(id) {
                        of_token.insert((token, one.lock), id);
                    }
                }
                (What::Read, _) if one.call.is_none() => {
                    reads.last.entry(one.lock).or_default().insert(one.client, id);
                }
                (What::Delete | What::Expire { .. }, outcome) if one.call.is_none() => {
                    prospect.followed.extend(reads.followed_by(one.client, one.lock));
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

    /// Whether this command gave a lock, which was acquired without a lease, its only one.
    pub fn is_only_lease(&self, id: Id) -> bool {
        self.only_leases.contains(&id)
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
