//! The data: databases of keys with deadlines, and the clients that watch them.
//!
//! Knows no command and no client. A key whose deadline passed is removed when it is read, never in
//! the background, so what is stored depends on the commands and the clock alone.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::data::Data;
use super::error::Error;
use super::events::{Class, Event};

/// As many databases as Redis has by default.
const DATABASES: usize = 16;

/// The number of a database that exists.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct DbIndex(usize);

impl DbIndex {
    /// Where every client begins.
    pub(super) const FIRST: Self = Self(0);

    pub(super) fn new(number: i64) -> Result<Self, Error> {
        match usize::try_from(number) {
            Ok(number) if number < DATABASES => Ok(Self(number)),
            _ => Err(Error::NoSuchDb),
        }
    }

    pub(super) fn number(self) -> usize {
        self.0
    }
}

/// A stored key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    pub(super) data: Data,
    /// The last millisecond (since 1970) at which the key exists.
    pub(super) deadline: Option<i64>,
    /// How often a command set the deadline.
    pub(super) expiry_sets: Tally,
    /// How often its value was replaced, and the deadline with it.
    replaced: Tally,
    /// Its place in the order of creation.
    born: u64,
}

impl Entry {
    /// Sets the deadline, or takes it away.
    pub(super) fn expire_at(&mut self, deadline: Option<i64>) {
        self.deadline = deadline;
        self.expiry_sets.0 += 1;
    }

    /// Another value each time that a command sets the deadline.
    pub(super) fn set(&self) -> (u64, u64) {
        (self.born, self.expiry_sets.0 + self.replaced.0)
    }
}

/// A count that is no part of a server's state: all are equal.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally(pub(super) u64);

impl PartialEq for Tally {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Tally {}

impl Hash for Tally {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// One numbered database.
#[derive(Debug, Default)]
struct Db {
    keys: BTreeMap<Arc<[u8]>, Entry>,
    /// The keys by creation: what SCAN walks.
    by_birth: BTreeMap<u64, Arc<[u8]>>,
    births: u64,
    watched: BTreeMap<Vec<u8>, Watched>,
    /// What happened to keys and was not published yet.
    events: Vec<Event>,
}

/// A key that is watched.
#[derive(Debug, Default)]
struct Watched {
    watchers: usize,
    /// How often the key changed since the first of them came.
    changes: u64,
}

/// The keys of one database as they were at a moment, in order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct SavedDb {
    number: usize,
    keys: Vec<(Arc<[u8]>, Entry)>,
    /// So that the cursor of a SCAN that has begun means the same later.
    births: u64,
}

/// All databases.
#[derive(Debug, Default)]
pub(super) struct Keyspace {
    /// In a box, because a script borrows the keyspace by an exchange.
    dbs: Box<[Db; DATABASES]>,
    /// How many clients ever connected; each takes its id from here.
    pub(super) clients_ever: i64,
    /// How many clients are connected.
    pub(super) clients: u64,
    /// How often it was reset: a watch of an earlier epoch is void.
    pub(super) epoch: u64,
    /// Whether what happens to keys is noted, to be published.
    pub(super) is_noted: bool,
}

impl Keyspace {
    /// Throws away all keys and watches and resets itself. Connected clients stay connected, and if
    /// there are none, the next client is the first again.
    pub(super) fn renew(&mut self) {
        let clients_ever = if self.clients == 0 { 0 } else { self.clients_ever };
        let (epoch, is_noted) = (self.epoch + 1, self.is_noted);
        *self = Self { clients_ever, clients: self.clients, epoch, is_noted, ..Self::default() };
    }

    /// All keys at the moment `now`, without the databases that never had any. What has expired is
    /// removed, so that what follows does not depend on earlier reads.
    pub(super) fn save(&mut self, now: i64) -> Vec<SavedDb> {
        let used = self.all(now).enumerate().filter(|(_, view)| view.db.births > 0);
        used.map(|(number, mut view)| {
            view.bury_all();
            let keys = view.db.keys.iter();
            let keys = keys.map(|(key, entry)| (Arc::clone(key), entry.clone())).collect();
            SavedDb { number, keys, births: view.db.births }
        })
        .collect()
    }

    /// Throws away all keys and watches and takes the saved keys instead. Connected clients stay
    /// connected.
    pub(super) fn restore(&mut self, saved: &[SavedDb]) {
        *self.dbs = Default::default();
        self.epoch += 1;
        for SavedDb { number, keys, births } in saved {
            let Some(db) = self.dbs.get_mut(*number) else { continue };
            db.by_birth = keys.iter().map(|(key, entry)| (entry.born, Arc::clone(key))).collect();
            db.keys = keys.iter().cloned().collect();
            db.births = *births;
        }
    }

    /// The database `db` as it is at the moment `now` (milliseconds since 1970).
    #[expect(clippy::indexing_slicing, reason = "a DbIndex is one of a database that there is")]
    pub(super) fn at(&mut self, db: DbIndex, now: i64) -> View<'_> {
        View { db: &mut self.dbs[db.0], now, is_noted: self.is_noted }
    }

    /// All databases at the moment `now`.
    pub(super) fn all(&mut self, now: i64) -> impl Iterator<Item = View<'_>> {
        let is_noted = self.is_noted;
        self.dbs.iter_mut().map(move |db| View { db, now, is_noted })
    }

    /// What happened to keys since this was called last, with the number of the database.
    pub(super) fn take_events(&mut self) -> impl Iterator<Item = (usize, Vec<Event>)> {
        let dbs = self.dbs.iter_mut().enumerate().filter(|(_, db)| !db.events.is_empty());
        dbs.map(|(number, db)| (number, std::mem::take(&mut db.events)))
    }

    /// How many keys each database stores, and how many of these have a deadline.
    pub(super) fn sizes(&self) -> impl Iterator<Item = (usize, usize)> {
        self.dbs.iter().map(|db| {
            let expiring = db.keys.values().filter(|entry| entry.deadline.is_some()).count();
            (db.keys.len(), expiring)
        })
    }
}

/// One database at one moment.
pub(super) struct View<'a> {
    db: &'a mut Db,
    now: i64,
    is_noted: bool,
}

impl View<'_> {
    /// The moment, in milliseconds since 1970.
    pub(super) fn now(&self) -> i64 {
        self.now
    }

    /// Notes what happened to a key.
    pub(super) fn note(&mut self, class: Class, name: &'static str, key: &[u8]) {
        if self.is_noted {
            self.db.events.push(Event { class, name, key: key.to_vec() });
        }
    }

    /// Looks a key up.
    pub(super) fn get(&mut self, key: &[u8]) -> Option<&Entry> {
        self.bury(key);
        self.db.keys.get(key)
    }

    /// Finds a key to change it; clients that watch it will see that.
    pub(super) fn get_mut(&mut self, key: &[u8]) -> Option<&mut Entry> {
        self.bury(key);
        let entry = self.db.keys.get_mut(key)?;
        touch(&mut self.db.watched, key);
        Some(entry)
    }

    /// Looks up what a key holds for a change that may come to nothing: call [`View::touch`] if not.
    pub(super) fn data_mut(&mut self, key: &[u8]) -> Option<&mut Data> {
        self.bury(key);
        self.db.keys.get_mut(key).map(|entry| &mut entry.data)
    }

    /// Notes that a key changed.
    pub(super) fn touch(&mut self, key: &[u8]) {
        touch(&mut self.db.watched, key);
    }

    /// Stores a key, in place of whatever it held.
    pub(super) fn set(&mut self, key: &[u8], data: Data, deadline: Option<i64>) {
        touch(&mut self.db.watched, key);
        if let Some(entry) = self.db.keys.get_mut(key)
            && !expired(entry, self.now)
        {
            entry.data = data;
            entry.deadline = deadline;
            entry.replaced.0 += 1;
            return;
        }
        // The old key ended before the new one begins: two changes, and a birth.
        self.bury(key);
        self.db.births += 1;
        let born = self.db.births;
        let key: Arc<[u8]> = key.into();
        self.db.by_birth.insert(born, Arc::clone(&key));
        let (expiry_sets, replaced) = (Tally::default(), Tally::default());
        self.db.keys.insert(key, Entry { data, deadline, expiry_sets, replaced, born });
    }

    /// Deletes a key; returns whether there was one.
    pub(super) fn remove(&mut self, key: &[u8]) -> bool {
        self.bury(key);
        self.delete(key)
    }

    /// Deletes everything.
    pub(super) fn clear(&mut self) {
        for key in self.db.keys.keys() {
            touch(&mut self.db.watched, key);
        }
        self.db.keys.clear();
        self.db.by_birth.clear();
    }

    /// How many keys are stored: like Redis, this counts expired ones that were not read since.
    pub(super) fn len(&self) -> usize {
        self.db.keys.len()
    }

    /// All keys that exist, in order. Removes none.
    pub(super) fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.entries().map(|(key, _)| key)
    }

    /// The same, with what is stored.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&[u8], &Entry)> {
        let now = self.now;
        let entries = self.db.keys.iter().filter(move |(_, entry)| !expired(entry, now));
        entries.map(|(key, entry)| (key.as_ref(), entry))
    }

    /// The next keys of a walk from the youngest to the oldest, and the cursor for what follows: 0 at
    /// the end, and 0 begins. A key that is there all the time is met exactly once, and since keys
    /// that are born during the walk are younger than all it has yet to meet, every walk ends.
    pub(super) fn walk(&self, cursor: u64, count: usize) -> (u64, Vec<Arc<[u8]>>) {
        let below = if cursor == 0 { u64::MAX } else { cursor };
        let mut walk = self.db.by_birth.range(..below).rev();
        let mut next = 0;
        let mut keys = Vec::new();
        for (&born, key) in walk.by_ref().take(count) {
            next = born;
            keys.push(Arc::clone(key));
        }
        if walk.next().is_none() {
            next = 0;
        }
        (next, keys)
    }

    /// Begins to watch a key; gives what [`View::changes`] must still say at EXEC.
    pub(super) fn watch(&mut self, key: &[u8]) -> u64 {
        self.db.watched.entry(key.to_vec()).or_default().watchers += 1;
        self.changes(key)
    }

    /// How often a watched key changed. Its expiry is a change, whether or not the key was read
    /// since: it counts here before [`View::bury`] makes it a recorded one.
    pub(super) fn changes(&self, key: &[u8]) -> u64 {
        let recorded = self.db.watched.get(key).map_or(0, |watched| watched.changes);
        let due = self.db.keys.get(key).is_some_and(|entry| expired(entry, self.now));
        recorded + u64::from(due)
    }

    /// Ends one [`View::watch`].
    pub(super) fn unwatch(&mut self, key: &[u8]) {
        if let Some(watched) = self.db.watched.get_mut(key) {
            watched.watchers -= 1;
            if watched.watchers == 0 {
                self.db.watched.remove(key);
            }
        }
    }

    /// Removes a key whose deadline passed.
    fn bury(&mut self, key: &[u8]) {
        if self.db.keys.get(key).is_some_and(|entry| expired(entry, self.now)) {
            self.delete(key);
            self.note(Class::Expired, "expired", key);
        }
    }

    /// Removes all keys whose deadline passed.
    pub(super) fn bury_all(&mut self) {
        let expired = self.db.keys.iter().filter(|(_, entry)| expired(entry, self.now));
        let expired: Vec<_> = expired.map(|(key, _)| Arc::clone(key)).collect();
        for key in expired {
            self.bury(&key);
        }
    }

    fn delete(&mut self, key: &[u8]) -> bool {
        let Some(entry) = self.db.keys.remove(key) else { return false };
        self.db.by_birth.remove(&entry.born);
        touch(&mut self.db.watched, key);
        true
    }
}

fn expired(entry: &Entry, now: i64) -> bool {
    entry.deadline.is_some_and(|deadline| now > deadline)
}

fn touch(watched: &mut BTreeMap<Vec<u8>, Watched>, key: &[u8]) {
    if let Some(watched) = watched.get_mut(key) {
        watched.changes += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn string() -> Data {
        Data::String(b"v".to_vec())
    }

    #[test]
    fn a_key_exists_up_to_and_including_its_deadline() {
        let mut keyspace = Keyspace::default();
        keyspace.at(DbIndex::FIRST, 0).set(b"k", string(), Some(1000));
        assert!(keyspace.at(DbIndex::FIRST, 1000).get(b"k").is_some());
        assert!(keyspace.at(DbIndex::FIRST, 1001).get(b"k").is_none());
    }

    #[test]
    fn expiry_is_seen_by_a_watcher_but_only_once_it_happened() {
        let mut keyspace = Keyspace::default();
        keyspace.at(DbIndex::FIRST, 0).set(b"k", string(), Some(1000));
        let before = keyspace.at(DbIndex::FIRST, 0).watch(b"k");
        assert_eq!(keyspace.at(DbIndex::FIRST, 1000).changes(b"k"), before);
        let expired = keyspace.at(DbIndex::FIRST, 1001).watch(b"k");
        assert_ne!(expired, before);
        assert_eq!(keyspace.at(DbIndex::FIRST, 1001).changes(b"k"), expired);
    }

    #[test]
    fn the_last_watcher_leaves_nothing_behind() {
        let mut keyspace = Keyspace::default();
        let mut view = keyspace.at(DbIndex::FIRST, 0);
        view.watch(b"k");
        view.watch(b"k");
        view.unwatch(b"k");
        assert_eq!(view.db.watched.len(), 1);
        view.unwatch(b"k");
        assert!(view.db.watched.is_empty());
    }

    proptest! {
        #[test]
        fn a_walk_meets_every_lasting_key_once_whatever_else_happens(
            lasting in prop::collection::btree_set(0u8..40, 0..20),
            others in prop::collection::vec((40u8..80, any::<bool>()), 0..60),
            count in 1usize..5,
        ) {
            let mut keyspace = Keyspace::default();
            let mut view = keyspace.at(DbIndex::FIRST, 0);
            for &key in &lasting {
                view.set(&[key], string(), None);
            }
            let mut others = others.into_iter();
            let (mut cursor, mut met) = (0, Vec::new());
            loop {
                let (next, keys) = view.walk(cursor, count);
                met.extend(keys.iter().filter_map(|key| key.first().copied()).filter(|&k| k < 40));
                for (key, set) in others.by_ref().take(3) {
                    if set { view.set(&[key], string(), None) } else { view.remove(&[key]); }
                }
                cursor = next;
                if cursor == 0 { break }
            }
            met.sort_unstable();
            prop_assert_eq!(met, lasting.into_iter().collect::<Vec<_>>());
        }
    }
}
