//! What `status` saw, as plain data: every lock with its state, what that means in a sentence, and
//! the command that mends it. Looks at nothing itself.

mod meant;
mod mend;
mod others;
mod typed;
mod words;

pub use meant::{ENOUGH, Meant, is_meant};
pub use others::{
    Example, HolderRow, MayBe, OtherRow, OtherSightings, OtherState, Others, diagnosis, key_name,
    owner,
};
pub use typed::Typed;
pub use words::Next;

use crate::report::wording::{count, cut, utc};
use lock_lab::lock::{Doubt, Found, Life, Sighting, State};
use mend::Mend;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::time::Duration;

/// How much of a value that is no payload is shown, in characters.
const EXCERPT: usize = 60;
/// How far the times of a payload may be off before it is said, in seconds: they are whole seconds.
const SLACK: i64 = 2;

/// What `status` saw. The members and their names are the JSON format `nodb-trigger/status/v1`.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// [`Status::SCHEMA`].
    pub schema: &'static str,
    /// The server's name.
    pub server: String,
    /// When, by the server's clock.
    pub when: String,
    /// The run that was asked for; nothing for all.
    pub runid: Option<String>,
    /// How many locks are in each state.
    pub counts: BTreeMap<State, usize>,
    /// What else is to be known: what could not be seen, and of which kind the server is.
    pub notes: Vec<String>,
    /// How many flags contradict their locks, in whatever state these are: what `repair` sets right.
    pub drifted: usize,
    /// The commands that mend what is wrong, two at most.
    pub mend: Vec<String>,
    /// How many locks need a decision of an operator first.
    pub decisions: usize,
    /// How many locks and flag hashes could not be read: what is wrong with them is not in `mend`.
    pub unread: usize,
    /// The locks, by run and file; if only some of each state were kept, the worst first.
    locks: Locks,
    /// The locks of other libraries, if they were looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub others: Option<Others>,
    /// How many keys the database has, if they were not looked at and no lock was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<u64>,
    /// The database that the server's URL names.
    #[serde(skip)]
    pub database: i64,
}

/// The locks, and what is the same for all of them.
#[derive(Debug, Clone)]
struct Locks {
    sightings: Vec<Sighting>,
    scene: Scene,
}

/// Row by row, so that there are never all of them.
impl Serialize for Locks {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.rows())
    }
}

impl Locks {
    fn rows(&self) -> impl Iterator<Item = LockRow> + '_ {
        self.sightings.iter().map(|sighting| LockRow::new(sighting, &self.scene))
    }
}

/// What is the same for all locks of a snapshot.
#[derive(Debug, Clone)]
pub struct Scene {
    /// The server's name, without a password.
    pub server: String,
    /// The run that was asked for; nothing for all.
    pub runid: Option<String>,
    /// How commands are to be typed.
    pub typed: Typed,
    /// The server's time, since 1970.
    pub when: Duration,
    /// Whether only locks were asked for that are held too long.
    pub is_by_age: bool,
}

/// A lock. The members and their names are part of `nodb-trigger/status/v1`.
#[derive(Debug, Clone, Serialize)]
pub struct LockRow {
    /// Its run.
    pub runid: String,
    /// The file that it guards, relative to the run's root.
    pub file: String,
    /// Its key.
    pub key: String,
    /// What it is in.
    pub state: State,
    /// `hostname:pid` of the owner.
    pub owner: Option<String>,
    /// What became of the owner, and what it is.
    #[serde(flatten)]
    pub life: Option<Life>,
    /// When it was acquired, in seconds since 1970 by the owner's clock.
    pub acquired_at: Option<u64>,
    /// How long ago that is by the server's clock, in seconds; negative if the owner's clock is
    /// ahead.
    pub held_for_s: Option<i64>,
    /// What is left of the key's TTL in milliseconds; -1 if it has none, -2 if it doesn't exist.
    pub ttl_ms: i64,
    /// When the payload says that the lease expires, if that disagrees with the TTL.
    pub expires_at: Option<u64>,
    /// The job of the queue that acquired it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The fencing token in the payload.
    pub fence: Option<u64>,
    /// The counter of fencing tokens.
    pub fence_counter: Option<String>,
    /// The flag.
    pub flag: Option<String>,
    /// The owner of the acquisition.
    pub token: Option<String>,
    /// How the value begins, if it is no payload of the contract.
    pub value: Option<String>,
    /// What all that means.
    pub diagnosis: String,
    /// What to do.
    pub next: Option<Next>,
    /// What to think of before.
    pub warning: Option<&'static str>,
}

/// Takes in what is seen, lock by lock.
#[derive(Debug, Clone, Default)]
pub struct Sightings {
    most: usize,
    /// Whether each of them is held too long, and counts as stuck.
    pub is_by_age: bool,
    /// How many locks were left out, as their age is not known.
    pub ageless: usize,
    kept: Vec<Sighting>,
    counts: BTreeMap<State, usize>,
    /// How many locks no client will release.
    pub stuck: usize,
    /// How many flags contradict their locks: those that a repair would set right.
    pub drifted: usize,
    /// How many locks are stuck, or have a flag that contradicts them.
    pub wrong: usize,
    unread: usize,
    /// The first key that could not be read, with the server's words.
    unread_example: Option<(String, String)>,
    decisions: usize,
    mend: Mend,
}

impl Sightings {
    /// Keeps all.
    pub fn all() -> Self {
        Self::first(usize::MAX)
    }

    /// Keeps the first `most` of each state, and counts the others.
    pub fn first(most: usize) -> Self {
        Self { most, ..Self::default() }
    }

    /// One more; they come by run and file.
    pub fn take(&mut self, sighting: Sighting) {
        let count = self.counts.entry(sighting.state()).or_default();
        *count += 1;
        let is_kept = *count <= self.most;
        let (is_stuck, drifts) = (self.is_by_age || is_stuck(&sighting), sighting.drifts());
        self.stuck += usize::from(is_stuck);
        self.drifted += usize::from(drifts);
        self.wrong += usize::from(is_stuck || drifts);
        if let Some(Doubt::Hidden(words)) = &sighting.doubt {
            self.take_unread(1, sighting.lock.key(), words);
        }
        self.decisions += usize::from(words::warning(&sighting, self.is_by_age).is_some());
        self.mend.take(&sighting);
        if is_kept {
            self.kept.push(sighting);
        }
    }

    /// Counts keys that could not be read; the server's words are about this one.
    pub fn take_unread(&mut self, keys: usize, key: &str, words: &str) {
        self.unread += keys;
        self.unread_example.get_or_insert_with(|| (key.to_owned(), words.to_owned()));
    }

    /// How many locks and flag hashes could not be read, and the first of them with the server's
    /// words.
    pub fn unread(&self) -> Option<(usize, &str, &str)> {
        let (key, words) = self.unread_example.as_ref()?;
        Some((self.unread, key, words))
    }

    /// Whether no lock and no flag was seen, and everything could be read.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty() && self.unread == 0
    }

    /// Whether there is a lock about which a command is to be typed.
    pub fn any_command(&self) -> bool {
        self.counts.keys().any(|state| !matches!(state, State::Free | State::Hidden))
    }

    /// What was seen.
    pub fn status(mut self, scene: Scene, mut notes: Vec<String>) -> Status {
        if let more @ 1.. = self.mend.more_runs() {
            let runs = count(more, "more run has", "more runs have");
            notes.push(format!("{runs} orphaned locks: clear the locks of each in the same way"));
        }
        if self.most < usize::MAX {
            // Stable: among equals, by run and file.
            self.kept.sort_by_key(Sighting::state);
        }
        Status {
            schema: Status::SCHEMA,
            server: scene.server.clone(),
            when: utc(scene.when),
            runid: scene.runid.clone(),
            counts: self.counts,
            notes,
            drifted: self.drifted,
            mend: self.mend.commands(&scene.typed),
            decisions: self.decisions,
            unread: self.unread,
            locks: Locks { sightings: self.kept, scene },
            others: None,
            keys: None,
            database: 0,
        }
    }
}

/// Whether a lock will not be released, and won't expire soon enough to wait for it: its owner is
/// gone, or it has no TTL, or one of years.
fn is_stuck(sighting: &Sighting) -> bool {
    match sighting.state() {
        State::Orphaned | State::NoTtl | State::LongTtl => true,
        State::ForeignPayload => sighting.never_ends(),
        _ => false,
    }
}

impl Status {
    /// The name of the JSON format, and its version.
    pub const SCHEMA: &'static str = "nodb-trigger/status/v1";

    /// The locks that were kept.
    pub fn locks(&self) -> impl Iterator<Item = LockRow> + '_ {
        self.locks.rows()
    }

    /// Whether only locks were asked for that are held too long.
    pub fn is_by_age(&self) -> bool {
        self.locks.scene.is_by_age
    }

    /// The command that shows every lock.
    pub fn see_all(&self) -> String {
        self.locks.scene.typed.status_json(self.runid.as_deref())
    }

    /// The command that shows the locks of all libraries.
    pub fn see_others(&self) -> String {
        self.locks.scene.typed.clone().in_database(self.database).status_all()
    }

    /// The same, so much later: what is left of TTLs is less, if nothing happened meanwhile.
    pub fn later(&self, elapsed: Duration) -> Self {
        let mut later = self.clone();
        later.locks.scene.when += elapsed;
        later.when = utc(later.locks.scene.when);
        let elapsed = i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX);
        for lock in later.locks.sightings.iter_mut().filter(|lock| lock.ttl_ms >= 0) {
            lock.ttl_ms = (lock.ttl_ms - elapsed).max(0);
        }
        let when = later.locks.scene.when;
        later.others.iter_mut().for_each(|others| others.pass(elapsed, when));
        later
    }

    /// Whether both show the same but for the time that passed.
    pub fn shows_the_same(&self, other: &Self) -> bool {
        let still = |lock: &Sighting| Sighting { ttl_ms: lock.ttl_ms.min(0), ..lock.clone() };
        let locks = |status: &Self| status.locks.sightings.iter().map(still).collect::<Vec<_>>();
        let others = |status: &Self| status.others.as_ref().map(Others::timeless);
        self.counts == other.counts
            && self.notes == other.notes
            && self.keys == other.keys
            && locks(self) == locks(other)
            && others(self) == others(other)
    }
}

impl LockRow {
    fn new(sighting: &Sighting, scene: &Scene) -> Self {
        let payload = sighting.payload();
        let state = sighting.state();
        let now = i64::try_from(scene.when.as_secs()).unwrap_or(i64::MAX);
        let since = |time: u64| now.saturating_sub(i64::try_from(time).unwrap_or(i64::MAX));
        let acquired_at = payload.and_then(|payload| payload.acquired_at());
        let is_foreign = state == State::ForeignPayload;
        let disagrees = |time: &u64| match sighting.ttl_ms {
            ..0 => true,
            ttl_ms => since(*time).saturating_add(ttl_ms / 1000).abs() > SLACK,
        };
        let expires_at = payload.and_then(|payload| payload.expires_at()).filter(disagrees);
        let ends_in = expires_at.map(|time| since(time).saturating_neg());
        Self {
            runid: sighting.runid().into(),
            file: sighting.file.clone(),
            key: sighting.lock.key().into(),
            state,
            owner: payload.and_then(|payload| payload.owner()).map(str::to_owned),
            life: match &sighting.found {
                Some(Found::Payload { life, .. }) => Some(life.clone()),
                _ => None,
            },
            acquired_at,
            held_for_s: acquired_at.map(since),
            ttl_ms: sighting.ttl_ms,
            expires_at,
            job: payload.and_then(|payload| payload.job()).map(str::to_owned),
            fence: payload.and_then(|payload| payload.fence()),
            fence_counter: sighting.fence.clone(),
            flag: sighting.flag.clone(),
            token: payload
                .filter(|_| !is_foreign)
                .map(|payload| payload.token().as_str().to_owned()),
            value: payload.filter(|_| is_foreign).map(|payload| excerpt(payload.raw())),
            diagnosis: words::diagnosis(sighting, acquired_at.map(since), ends_in),
            next: words::next(sighting, scene),
            warning: words::warning(sighting, scene.is_by_age),
        }
    }
}

/// How a value begins.
fn excerpt(raw: &[u8]) -> String {
    // A character has four bytes at most.
    let start = raw.get(..4 * EXCERPT).unwrap_or(raw);
    let text = String::from_utf8_lossy(start);
    cut(&text, EXCERPT)
}
