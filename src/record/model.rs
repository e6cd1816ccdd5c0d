//! The watched keys as the stream of commands moves them.

mod compare;
mod flags;
mod gaps;
mod members;
mod parts;
mod scripts;
mod slots;
mod snapshots;

pub(super) use gaps::not_followed;

use super::effects::{Act, acts, shown_key};
use super::key::{Access, Decided, Id, Key, Outcome, When, Whose};
use super::monitor_line::{CommandSource, MonitorLine, is_socket};
use super::observations::{
    Client, Lock, MemberCommand, NO_CLIENT, Observation, Presence, Seen, What, text_token,
};
use super::reasons::shown;
use super::unwatched::{Unwatched, UnwatchedKeys};
use super::watch::Watch;
use lock_lab::lock::Payload;
use scripts::{Running, Scripts};
use slots::Shape;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// For how long the server may stand still, in microseconds, between reading its clock for a
/// command and reading it again to stamp it for MONITOR: anything else may run on its processor
/// meanwhile. It reads the clock after the command before, so it doesn't matter that that one was
/// stamped later than this.
const STANDSTILL: u64 = 1_000_000;

/// When something ran, in microseconds since 1970: not before the first, and at the second by its
/// time stamp.
pub(super) type Span = (u64, u64);

/// What is known of the keys, and what was seen.
#[derive(Debug, Default)]
pub(super) struct KeysModel {
    watch: Watch,
    unwatched: UnwatchedKeys,
    keys: HashMap<Vec<u8>, usize>,
    states: Vec<ModelState>,
    clients: HashMap<String, u32>,
    running: Option<Running>,
    scripts: Scripts,
    /// The stamp of the last line.
    previous: u64,
    /// The transactions that are open, and since when the last line's may have run.
    open: HashSet<String>,
    executing: Option<(String, u64)>,
    reports_expiry: bool,
    /// Whether a key that was never met is surely free.
    snapshot_is_taken: bool,
    /// Whether there is no snapshot, so that commands have to show what a key holds.
    is_log: bool,
    /// How many commands on watched keys ran in other databases, and the first of these.
    elsewhere: Option<(u64, u64)>,
    seen: Seen,
    counts: Counts,
    /// How many keys were compared, in turn.
    compared: usize,
    /// How many locks a snapshot found, less those that it found gone.
    found: u64,
    gone: u64,
}

/// How much of what was seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Commands.
    pub commands: u64,
    /// Lines that were none.
    pub malformed: u64,
    /// Locks taken.
    pub acquisitions: u64,
    /// Attempts that found the lock taken.
    pub refusals: u64,
    /// Locks deleted.
    pub releases: u64,
    /// Leases that ended by themselves.
    pub lost: u64,
    /// Locks held now.
    pub held: u64,
    /// Outcomes that rest on nothing but the time that is most likely.
    pub undecided: u64,
    /// How often what clients did fitted nothing that could have happened.
    pub contradictions: u64,
}

#[derive(Debug, Default)]
struct ModelState {
    /// None until it was looked at, and when it is not followed any more.
    key: Option<Key>,
    holder: Option<Id>,
    /// Why the history does not show everything about it.
    gaps: Vec<String>,
    /// Whether nothing more is followed.
    is_given_up: bool,
    reported: (u64, u64),
    /// What the key holds, and where its members are followed.
    shape: Shape,
    members: BTreeMap<Vec<u8>, usize>,
    /// Those that may be held, and those that can stand for others.
    held: BTreeSet<usize>,
    spare: Vec<usize>,
    /// How many positions its members have; of a member, which of these its is.
    positions: usize,
    /// Whether a client read the names of all members.
    is_listed: bool,
    /// Whether the mode of a read-write lock is that of a writer.
    is_written: bool,
    /// Of a member: the key's position, and the score in a sorted set, if it is known.
    of: Option<usize>,
    score: Option<f64>,
}

/// Whose command it is, and when it ran.
#[derive(Debug, Clone, Copy)]
struct Doing {
    client: u32,
    at: u64,
    when: When,
    /// Whether it is one of a script that has read the key.
    has_read: bool,
}

impl ModelState {
    fn note_gap(&mut self, why: &str) {
        if !self.gaps.iter().any(|known| known == why) {
            self.gaps.push(why.to_owned());
        }
    }
}

impl KeysModel {
    /// Nothing is known yet.
    pub fn new(watch: Watch) -> Self {
        Self { watch, ..Self::default() }
    }

    /// Nothing is known yet, and there will be no snapshots.
    pub fn of_a_log(watch: Watch) -> Self {
        Self { is_log: true, ..Self::new(watch) }
    }

    /// So far, in numbers.
    pub fn counts(&self) -> Counts {
        let began = self.counts.acquisitions + self.found;
        let over = self.counts.releases + self.gone + self.counts.held;
        Counts { lost: began.saturating_sub(over), ..self.counts }
    }

    /// A line that is none.
    pub fn malformed(&mut self) {
        self.counts.malformed += 1;
    }

    /// Whether the server says when a lease has ended.
    pub fn reports_expiry(&mut self, reports: bool) {
        self.reports_expiry = reports;
    }

    /// All keys have been looked at: one that appears now was free.
    pub fn snapshot_is_taken(&mut self) {
        self.snapshot_is_taken = true;
        for state in self.states.iter_mut().filter(|state| !state.is_given_up) {
            state.key.get_or_insert_with(|| Key::new(None, self.reports_expiry));
        }
    }

    /// How many observations there are.
    pub fn size(&self) -> usize {
        self.seen.observations.len()
    }

    /// The watched keys that a command touches.
    pub fn touched(&self, line: &MonitorLine) -> Vec<Vec<u8>> {
        let keys = acts(&line.arguments).into_iter().map(|(key, _)| key);
        keys.filter(|key| line.db == 0 && self.watch.has(key)).map(<[u8]>::to_vec).collect()
    }

    /// Keys that are used like locks and not watched.
    pub fn unwatched(&self) -> Vec<Unwatched> {
        self.unwatched.in_patterns()
    }

    /// All keys that were met.
    pub fn known_keys(&self) -> impl Iterator<Item = &[u8]> {
        self.seen.locks.iter().map(|lock| lock.key.as_slice())
    }

    /// What is known of a client.
    pub fn name_client(&mut self, address: &str, name: &str) {
        if let Some(client) = self.known_client(address) {
            client.name = Some(name.to_owned());
        }
    }

    fn known_client(&mut self, address: &str) -> Option<&mut Client> {
        let client = usize::try_from(*self.clients.get(address)?).ok()?;
        self.seen.clients.get_mut(client)
    }

    /// These connections are open, and no others. All of a Unix socket have one address.
    pub fn note_open(&mut self, addresses: &HashSet<&str>) {
        let active: HashSet<u32> = self.seen.observations.iter().map(|one| one.client).collect();
        let is_active = |it: &&str| self.clients.get(*it).is_some_and(|it| active.contains(it));
        self.seen.only_lock_clients_are_open = addresses.iter().all(is_active);
        for client in self.seen.clients.iter_mut().filter(|client| !is_socket(&client.address)) {
            client.presence = match addresses.contains(&*client.address) {
                true => Presence::Open,
                false => Presence::Closed,
            };
        }
    }

    /// One more command ran.
    pub fn line(&mut self, line: &MonitorLine) {
        self.counts.commands += 1;
        match &line.source {
            CommandSource::Script => self.inner(line),
            CommandSource::Client(address) => {
                self.end_script();
                let since = self.since(line, address);
                self.outer(line, address, since);
                if let Some(client) = self.known_client(address) {
                    client.last = line.at;
                }
            }
        }
        self.previous = self.previous.max(line.at);
    }

    /// A line of the recording itself; gives when the command ran, in microseconds since 1970.
    pub fn passed(&mut self, line: &MonitorLine) -> Span {
        self.end_script();
        let since = match &line.source {
            CommandSource::Client(address) => self.since(line, address),
            CommandSource::Script => self.previous.min(line.at),
        };
        self.previous = self.previous.max(line.at);
        (since, line.at)
    }

    /// Since when a command may have run. All of a transaction runs at one time.
    fn since(&mut self, line: &MonitorLine, address: &str) -> u64 {
        let name = line.arguments.first().map(|name| name.to_ascii_uppercase());
        let since = match &self.executing {
            Some((executing, since)) if executing == address => *since,
            _ => self.previous.max(line.at.saturating_sub(STANDSTILL)).min(line.at),
        };
        self.executing = None;
        match name.as_deref() {
            Some(b"MULTI") => drop(self.open.insert(address.to_owned())),
            Some(b"EXEC" | b"DISCARD") => drop(self.open.remove(address)),
            _ if self.open.contains(address) => {
                self.executing = Some((address.to_owned(), since));
            }
            _ => {}
        }
        since
    }

    fn outer(&mut self, line: &MonitorLine, address: &str, since: u64) {
        let Some(name) = line.arguments.first().map(|name| name.to_ascii_uppercase()) else {
            return;
        };
        match name.as_slice() {
            b"EVAL" | b"EVALSHA" | b"EVAL_RO" | b"EVALSHA_RO" | b"FCALL" | b"FCALL_RO" => {
                self.begin_script(line, address, since);
            }
            b"CLIENT" | b"HELLO" => self.introduce(line, address),
            _ => self.command(line, address, when(since, line.at, line.at)),
        }
    }

    /// A command, of a client or of a script.
    fn command(&mut self, line: &MonitorLine, address: &str, when: When) {
        let Some((name, rest)) = line.arguments.split_first() else { return };
        let is_here = line.db == 0;
        match name.to_ascii_uppercase().as_slice() {
            b"FLUSHALL" => self.flush(line, when),
            b"FLUSHDB" if is_here => self.flush(line, when),
            b"SWAPDB" => {
                if rest.iter().any(|database| database == b"0") {
                    let words: Vec<_> = rest.iter().map(|word| shown(word)).collect();
                    self.interrupt(&format!("SWAPDB {} exchanged databases", words.join(" ")));
                }
            }
            // Redis refuses to copy a key to itself.
            b"COPY" if is_here && rest.first() == rest.get(1) && copies_to(rest, 0) == Some(0) => {}
            b"COPY" if copies_to(rest, line.db) == Some(0) => self.acts(line, address, when),
            b"MOVE" if is_here || rest.get(1).is_some_and(|db| db == b"0") => {
                self.acts(line, address, when);
            }
            b"COPY" | b"MOVE" => {}
            _ if is_here => {
                self.acts(line, address, when);
                self.flags(line, address);
            }
            _ => {
                let changes = |(key, act): &(&[u8], Act)| !act.is_read() && self.watch.has(key);
                if acts(&line.arguments).iter().any(changes) {
                    self.elsewhere.get_or_insert((0, line.db)).0 += 1;
                }
            }
        }
    }

    fn acts(&mut self, line: &MonitorLine, address: &str, when: When) {
        if let Some(key) = shown_key(&line.arguments).filter(|key| self.watch.has(key)) {
            let look = (self.seen.observations.len(), self.client(address));
            self.seen.looked.entry(key.to_vec()).or_default().push(look);
        }
        for (key, act) in acts(&line.arguments) {
            let Some(lock) = self.lock(key) else {
                self.unwatched.note(key, &act);
                continue;
            };
            self.note_call();
            let has_read = self.learn_from_script(lock, &act);
            let client = self.client(address);
            self.act(lock, act, Doing { client, at: line.at, when, has_read });
        }
    }

    /// A client says what it is called.
    fn introduce(&mut self, line: &MonitorLine, address: &str) {
        let said = line.arguments.windows(2).find_map(|pair| match pair {
            [word, name] if word.eq_ignore_ascii_case(b"SETNAME") => Some(name),
            _ => None,
        });
        if let Some(name) = said.filter(|name| !name.is_empty()) {
            self.client(address);
            self.name_client(address, &String::from_utf8_lossy(name));
        }
    }

    /// The database was emptied, which is no release.
    fn flush(&mut self, line: &MonitorLine, when: When) {
        let client = NO_CLIENT;
        for lock in 0..self.states.len() {
            if self.states.get(lock).is_some_and(|state| state.of.is_none()) {
                self.act(lock, Act::Delete, Doing { client, at: line.at, when, has_read: false });
            }
        }
        if self.is_log {
            self.snapshot_is_taken();
        }
    }

    /// The call of the script that runs.
    fn call(&self) -> Option<u32> {
        self.running.as_ref()?.noted
    }

    fn act(&mut self, lock: usize, act: Act, doing: Doing) {
        if self.is_log && self.begins_with(lock, &act) {
            return;
        }
        if self.states.get(lock).is_none_or(|state| state.key.is_none()) {
            return;
        }
        let Some(act) = self.act_on_members(lock, act, doing) else { return };
        let Doing { client, at, when, .. } = doing;
        let written = |seen: &mut Seen, value: &[u8]| {
            let payload = Payload::decode(value);
            seen.own(client, payload.owner());
            (text_token(&payload), payload.fence())
        };
        let (access, what) = match act {
            Act::Take { value, until } => {
                let (token, fence) = written(&mut self.seen, &value);
                let lease = until.lease(when);
                (Access::Take(until), What::Write { token, fence, lease, over: false })
            }
            Act::Put { value, until, only_if_held } => {
                let (token, fence) = written(&mut self.seen, &value);
                let (lease, over) = (until.lease(when), only_if_held);
                let what = What::Write { token, fence, lease, over };
                (Access::Put { until, only_if_held }, what)
            }
            Act::Read => (Access::Read, What::Read),
            Act::Fetch => return,
            Act::Delete => (Access::Delete, What::Delete),
            Act::Expire(until) => {
                (Access::Expire(until), What::Expire { lease: until.lease(when) })
            }
            Act::Members(command, _) | Act::Unknown(command) => {
                return self.give_up(lock, at, not_followed(&command));
            }
        };
        self.observe(lock, (access, what), doing, None);
    }

    /// Notes what a command does to a lock.
    fn observe(
        &mut self,
        lock: usize,
        (access, what): (Access, What),
        doing: Doing,
        command: Option<MemberCommand>,
    ) {
        let Doing { client, at, when, .. } = doing;
        let call = if client == NO_CLIENT { None } else { self.call() };
        let (id, outcome) = (self.seen.observations.len(), Outcome::Open);
        let token = command.as_ref().and_then(|command| command.token.clone());
        let own = token.map(|token| self.with_token(lock, &token)).unwrap_or_default();
        let observation = Observation { at, client, lock, call, command, what, outcome };
        self.seen.observations.push(observation);
        let is_release = matches!(access, Access::Delete | Access::Leave);
        let gives_back = self.seen.gives_back(client, is_release);
        let whose = Whose { id, client, gives_back, call, own: &own };
        self.decide(lock, |key| key.act(whose, access, when));
    }

    /// The acquisitions in question that have this token.
    fn with_token(&self, lock: usize, token: &str) -> Vec<Id> {
        let key = self.states.get(lock).and_then(|state| state.key.as_ref());
        let has_token = |id: &Id| self.seen.token(*id).is_some_and(|held| **held == *token);
        key.into_iter().flat_map(Key::candidates).filter(has_token).collect()
    }

    /// The server says that a lease has ended.
    pub fn expired(&mut self, key: &[u8]) {
        let Some(lock) = self.keys.get(key).copied() else { return };
        // No lease expires within a script, so one that has read the key is over by now.
        if self.running.as_ref().is_some_and(|running| running.read.contains(&lock)) {
            self.end_script();
        }
        let held = self.states.get(lock).map(|state| state.held.clone()).unwrap_or_default();
        for slot in std::iter::once(lock).chain(held) {
            self.decide(slot, Key::expired);
        }
    }

    /// Lets what is known of a key become more certain, and writes down what is certain now.
    fn decide(&mut self, lock: usize, more: impl FnOnce(&mut Key) -> Decided) {
        let Some(state) = self.states.get_mut(lock) else { return };
        let mut decided = Decided::new();
        if let Some(key) = &mut state.key {
            decided = more(key);
            let (undecided, contradictions) = state.reported;
            self.counts.undecided += key.undecided.saturating_sub(undecided);
            self.counts.contradictions += key.contradictions.saturating_sub(contradictions);
            state.reported = (key.undecided, key.contradictions);
            if key.is_inferred {
                let why = "what happened near the end of a lease is inferred, as the server does \
                           not tell when a lease ends";
                state.note_gap(why);
            }
        }
        for (id, outcome) in decided {
            if let Some(observation) = self.seen.observations.get_mut(id) {
                observation.outcome = outcome;
            }
            match outcome {
                Outcome::Took => self.counts.acquisitions += 1,
                Outcome::Refused => self.counts.refusals += 1,
                Outcome::Deleted(_) => self.counts.releases += 1,
                _ => {}
            }
        }
        let holder = state.key.as_ref().and_then(Key::held).map(|held| held.by);
        let was_held = std::mem::replace(&mut state.holder, holder).is_some();
        self.counts.held =
            (self.counts.held + u64::from(holder.is_some())).saturating_sub(u64::from(was_held));
    }

    /// The position of a watched key.
    fn lock(&mut self, key: &[u8]) -> Option<usize> {
        if let Some(lock) = self.keys.get(key) {
            return Some(*lock);
        }
        if !self.watch.has(key) {
            return None;
        }
        let lock = self.states.len();
        self.keys.insert(key.to_vec(), lock);
        self.seen.locks.push(Lock { key: key.to_vec(), member: None, flag: false });
        let key = self.snapshot_is_taken.then(|| Key::new(None, self.reports_expiry));
        self.states.push(ModelState { key, ..ModelState::default() });
        Some(lock)
    }

    fn client(&mut self, address: &str) -> u32 {
        if let Some(client) = self.clients.get(address) {
            return *client;
        }
        let client = u32::try_from(self.seen.clients.len()).unwrap_or(NO_CLIENT);
        self.clients.insert(address.to_owned(), client);
        self.seen.clients.push(Client { address: address.to_owned(), ..Client::default() });
        client
    }
}

/// The database that a COPY writes to; nothing, if it does not say a number.
fn copies_to(arguments: &[Vec<u8>], here: u64) -> Option<u64> {
    let database = arguments.get(2..).unwrap_or_default().windows(2).find_map(|pair| match pair {
        [word, database] if word.eq_ignore_ascii_case(b"DB") => Some(database),
        _ => None,
    });
    match database {
        Some(database) => std::str::from_utf8(database).ok()?.parse().ok(),
        None => Some(here),
    }
}

fn when(low: u64, nominal: u64, high: u64) -> When {
    let milliseconds = |time: u64| i64::try_from(time / 1000).unwrap_or(i64::MAX);
    When { low: milliseconds(low), nominal: milliseconds(nominal), high: milliseconds(high) }
}

#[cfg(test)]
mod tests;
