//! What `status --all` saw of the locks of other libraries, and of keys that may be locks.

use super::{Next, Scene};
use crate::report::wording::{count, cut, seconds, ttl_from_afar};
use lock_lab::format::{Covered, Family, Holder, Lock, OtherLock, Sharing, says_lock};
use lock_lab::lock::LONGEST_TTL_MS;
use lock_lab::server::quoted_input;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::time::Duration;

/// How many characters of a token or a client show which one is meant.
const ENOUGH: usize = 8;
/// How many characters of a token are shown in a sentence.
const LONGEST: usize = 64;

/// The locks of other libraries. The members and their names are part of `nodb-trigger/status/v1`.
#[derive(Debug, Clone, Serialize)]
pub struct Others {
    /// The database that was looked at.
    pub database: i64,
    /// The patterns that keys had to match, if there were any.
    pub patterns: Vec<String>,
    /// The only key that was looked at, if it was asked for by its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// How many keys were looked at.
    pub keys: u64,
    /// Whether there were more keys than were to be looked at.
    pub cut_short: bool,
    /// How many keys could not be read.
    pub unread: usize,
    /// How many locks are in each state.
    pub counts: BTreeMap<OtherState, usize>,
    /// How many locks no client may release in time: without a TTL, or with one of years.
    pub stuck: usize,
    /// The locks; if only some of each state were kept, the worst first.
    locks: OtherLocks,
    /// Keys that may be locks, by what their names have in common.
    pub may_be: Vec<MayBe>,
}

/// The locks, and what is the same for all of them.
#[derive(Debug, Clone)]
struct OtherLocks {
    kept: Vec<OtherLock>,
    scene: Scene,
}

/// Row by row, so that there are never all of them.
impl Serialize for OtherLocks {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.kept.iter().map(|lock| OtherRow::new(lock, &self.scene)))
    }
}

/// What a lock of another library is in: the first that fits, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OtherState {
    /// Its key has no TTL.
    NoTtl,
    /// Its TTL is longer than any client waits.
    LongTtl,
    /// No client holds it, and some wait for it.
    Queued,
    /// It is held.
    Held,
}

impl OtherState {
    fn of(lock: &OtherLock) -> Self {
        match lock.is_stuck() {
            true if lock.ttl_ms == -1 => Self::NoTtl,
            true => Self::LongTtl,
            false if lock.lock.held_by == 0 => Self::Queued,
            false => Self::Held,
        }
    }
}

/// A lock of another library.
#[derive(Debug, Clone, Serialize)]
pub struct OtherRow {
    /// Its key; as redis-cli quotes it, if it is no UTF-8.
    pub key: String,
    /// The name of its format.
    pub format: &'static str,
    /// What it is in.
    pub state: OtherState,
    /// Who holds it, in words.
    pub owner: Option<String>,
    /// Who may hold it at the same time.
    pub sharing: Sharing,
    /// How many hold it.
    pub held_by: u64,
    /// How many wait for it, where that is known.
    pub waiting: Option<u64>,
    /// When the first of the holders that were read acquired it, in seconds since 1970.
    pub acquired_at: Option<u64>,
    /// How long ago that is by the server's clock, in seconds.
    pub held_for_s: Option<i64>,
    /// What is left of its TTL in milliseconds; -1 if it has none.
    pub ttl_ms: i64,
    /// Who holds it; only some, if there are many.
    pub holders: Vec<HolderRow>,
    /// What all that means.
    pub diagnosis: String,
    /// What to do.
    pub next: Option<Next>,
    /// What to think of before.
    pub warning: Option<&'static str>,
}

/// A holder, as far as the value of the key tells.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HolderRow {
    /// What distinguishes this acquisition or this holder from others.
    pub token: Option<String>,
    /// The host.
    pub host: Option<String>,
    /// The process, or the instance of the library in it.
    pub process: Option<String>,
    /// The thread.
    pub thread: Option<String>,
    /// The job that the lock is for.
    pub job: Option<String>,
    /// How many times it acquired the lock.
    pub count: Option<u64>,
    /// When it acquired the lock, in seconds since 1970.
    pub acquired_at: Option<u64>,
}

/// Keys that may be locks, for one reason.
#[derive(Debug, Clone, Serialize)]
pub struct MayBe {
    /// What their names have in common, with stars for the rest.
    pub names: String,
    /// How many there are.
    pub keys: u64,
    /// Why they may be locks, and what is missing.
    pub why: String,
    /// The first ones.
    pub examples: Vec<Example>,
}

/// A key that may be a lock.
#[derive(Debug, Clone, Serialize)]
pub struct Example {
    /// Its name; as redis-cli quotes it, if it is no UTF-8.
    pub key: String,
    /// What is left of its TTL in milliseconds; -1 if it has none.
    pub ttl_ms: i64,
}

/// Takes in the locks of other libraries, one by one.
#[derive(Debug, Clone, Default)]
pub struct OtherSightings {
    most: usize,
    /// Whether each of them is held too long, and counts as stuck.
    pub is_by_age: bool,
    kept: Vec<OtherLock>,
    counts: BTreeMap<OtherState, usize>,
    /// How many locks no client may release in time.
    pub stuck: usize,
}

impl OtherSightings {
    /// Keeps the first `most` of each state, and counts the others.
    pub fn first(most: usize) -> Self {
        Self { most, ..Self::default() }
    }

    /// One more.
    pub fn take(&mut self, lock: OtherLock) {
        let number = self.counts.entry(OtherState::of(&lock)).or_default();
        *number += 1;
        self.stuck += usize::from(self.is_by_age || lock.is_stuck());
        if *number <= self.most {
            self.kept.push(lock);
        }
    }

    /// What was seen in this database.
    pub fn others(
        mut self,
        scene: Scene,
        database: i64,
        patterns: Vec<String>,
        covered: Covered,
    ) -> Others {
        self.kept.sort_by(|a, b| (OtherState::of(a), &a.key).cmp(&(OtherState::of(b), &b.key)));
        Others {
            database,
            patterns,
            key: None,
            keys: covered.keys,
            cut_short: covered.is_cut_short,
            unread: covered.unread,
            counts: self.counts,
            stuck: self.stuck,
            locks: OtherLocks { kept: self.kept, scene },
            may_be: covered.families.into_iter().map(MayBe::from).collect(),
        }
    }
}

impl Others {
    /// The locks that were kept.
    pub fn locks(&self) -> impl Iterator<Item = OtherRow> + '_ {
        self.locks.kept.iter().map(|lock| OtherRow::new(lock, &self.locks.scene))
    }

    /// Whether there is neither a lock nor a key that may be one.
    pub fn is_bare(&self) -> bool {
        self.locks.kept.is_empty() && self.may_be.is_empty()
    }

    /// How many keys may be locks.
    pub fn may_be_keys(&self) -> u64 {
        self.may_be.iter().map(|family| family.keys).sum()
    }

    /// A key that may be a lock by its name, and would not expire; the first such.
    pub fn endless_by_name(&self) -> Option<&str> {
        let mut keys = self.may_be.iter().flat_map(|family| &family.examples);
        let is_it = |one: &&Example| {
            let is_endless = one.ttl_ms == -1 || one.ttl_ms > LONGEST_TTL_MS;
            is_endless && says_lock(one.key.as_bytes()).is_some()
        };
        keys.find(is_it).map(|one| one.key.as_str())
    }

    /// The command that shows every lock.
    pub fn see_all(&self) -> String {
        self.locks.scene.typed.status_all_json(&self.patterns)
    }

    /// The same, this number of milliseconds later, if nothing happened meanwhile.
    pub(super) fn pass(&mut self, milliseconds: i64, when: Duration) {
        self.locks.scene.when = when;
        let keys = self.locks.kept.iter_mut().map(|lock| &mut lock.ttl_ms);
        let examples = self.may_be.iter_mut().flat_map(|family| &mut family.examples);
        let left = keys.chain(examples.map(|example| &mut example.ttl_ms));
        left.filter(|left| **left >= 0).for_each(|left| *left = (*left - milliseconds).max(0));
    }

    /// What is the same as long as nothing but time passes.
    pub(super) fn timeless(&self) -> impl PartialEq + use<> {
        let lock = |lock: &OtherLock| OtherLock { ttl_ms: lock.ttl_ms.min(0), ..lock.clone() };
        let locks: Vec<OtherLock> = self.locks.kept.iter().map(lock).collect();
        let family = |family: &MayBe| (family.names.clone(), family.why.clone(), family.keys);
        let may_be: Vec<_> = self.may_be.iter().map(family).collect();
        (self.counts.clone(), self.unread, locks, may_be)
    }
}

impl From<Family> for MayBe {
    fn from(family: Family) -> Self {
        let examples = family.examples.iter();
        let examples = examples.map(|one| Example { key: key_name(&one.key), ttl_ms: one.ttl_ms });
        Self {
            names: family.shape,
            keys: family.keys,
            why: family.why,
            examples: examples.collect(),
        }
    }
}

impl OtherRow {
    fn new(found: &OtherLock, scene: &Scene) -> Self {
        let OtherLock { key, ttl_ms, lock, .. } = found;
        let now = i64::try_from(scene.when.as_secs()).unwrap_or(i64::MAX);
        let since = lock.holders.iter().filter_map(|holder| holder.since).min();
        let acquired_at = since.map(|since| since.as_secs());
        let state = OtherState::of(found);
        Self {
            key: key_name(key),
            format: lock.format,
            state,
            owner: owner(lock),
            sharing: lock.sharing,
            held_by: lock.held_by,
            waiting: lock.waiting,
            acquired_at,
            held_for_s: acquired_at
                .map(|time| now.saturating_sub(i64::try_from(time).unwrap_or(i64::MAX))),
            ttl_ms: *ttl_ms,
            holders: lock.holders.iter().map(HolderRow::from).collect(),
            diagnosis: diagnosis(found),
            next: next(found, scene),
            warning: (is_to_go(found, scene) && lock.held_by > 0).then_some(
                "make sure that its holder does not work before you remove it: it would lose its lock",
            ),
        }
    }
}

impl From<&Holder> for HolderRow {
    fn from(holder: &Holder) -> Self {
        let Holder { token, host, process, thread, job, count, since, .. } = holder.clone();
        Self {
            token: token.map(|token| key_name(&token)),
            host,
            process,
            thread,
            job,
            count,
            acquired_at: since.map(|since| since.as_secs()),
        }
    }
}

/// Bytes as text, or as redis-cli quotes them if they are no UTF-8.
pub fn key_name(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(|_| quoted_input(bytes), str::to_owned)
}

/// How a token begins; in hexadecimal digits, if it is no UTF-8.
fn brief(token: &[u8]) -> String {
    match std::str::from_utf8(token) {
        Ok(text) => cut(text, ENOUGH),
        Err(_) => {
            let digits: String = token.iter().map(|byte| format!("{byte:02x}")).collect();
            cut(&digits, ENOUGH)
        }
    }
}

/// Who holds a lock, in a few words.
pub fn owner(lock: &Lock) -> Option<String> {
    let first = lock.holders.first().and_then(holder)?;
    Some(match lock.held_by {
        0 | 1 => first,
        held_by => format!("{first} and {} more", held_by - 1),
    })
}

fn holder(holder: &Holder) -> Option<String> {
    let text = match holder {
        Holder { host: Some(host), process: Some(process), .. } => format!("{host}:{process}"),
        Holder { host: Some(host), .. } => host.clone(),
        Holder { process: Some(process), thread: Some(thread), .. } => {
            format!("thread {thread} of {}", cut(process, ENOUGH))
        }
        Holder { process: Some(process), .. } => format!("worker {}", cut(process, ENOUGH)),
        Holder { job: Some(job), .. } => format!("job {}", cut(job, 2 * ENOUGH)),
        Holder { token: Some(token), .. } => format!("token {}", brief(token)),
        _ => return None,
    };
    Some(text)
}

/// What its state means, in a few sentences.
pub fn diagnosis(found: &OtherLock) -> String {
    let lock = &found.lock;
    let first = lock.holders.first();
    let first = first.and_then(in_full).unwrap_or_else(|| "a holder that it does not name".into());
    let times = lock.holders.first().and_then(|holder| holder.count).filter(|count| *count > 1);
    let times = times.map(|times| format!(", which acquired it {times} times")).unwrap_or_default();
    let held_by = usize::try_from(lock.held_by).unwrap_or(usize::MAX);
    let held = match (lock.sharing, held_by) {
        (_, 0) => "held by no client".to_owned(),
        (Sharing::Write, _) => format!("held for writing by {first}{times}"),
        (Sharing::Read, 1) => format!("held for reading by {first}{times}"),
        (Sharing::Read, readers) => format!("held by {readers} readers, one of them {first}"),
        (Sharing::Permits | Sharing::Exclusive | Sharing::Reentrant, 1) => {
            format!("held by {first}{times}")
        }
        (Sharing::Permits | Sharing::Exclusive | Sharing::Reentrant, holders) => {
            format!("held by {holders}, one of them {first}")
        }
    };
    let mut text = format!("{}: {held}.", lock.format);
    if let Some(waiting) = lock.waiting {
        let waiting = usize::try_from(waiting).unwrap_or(usize::MAX);
        text.push_str(&format!(" {} for it.", count(waiting, "client waits", "clients wait")));
    }
    if found.is_moving {
        text.push_str(" Its holder changed as it was read, so a client works with it.");
    }
    match OtherState::of(found) {
        OtherState::NoTtl if held_by > 0 => text.push_str(
            " It has no TTL: if its holder is gone, which can't be seen from here, it stays for good.",
        ),
        OtherState::LongTtl => text.push_str(&format!(
            " Its TTL of {} is longer than any client waits: was a time given where a TTL is due?",
            ttl_from_afar(found.ttl_ms)
        )),
        OtherState::NoTtl | OtherState::Queued | OtherState::Held => {}
    }
    if let Some(remark) = lock.remark {
        text.push(' ');
        text.push_str(remark);
    }
    text
}

/// A holder with all that its value tells.
fn in_full(holder: &Holder) -> Option<String> {
    let text = match holder {
        Holder { host: Some(host), process: Some(process), .. } => {
            format!("process {process} on {host}")
        }
        Holder { host: Some(host), .. } => format!("host {host}"),
        Holder { process: Some(process), thread: Some(thread), .. } => {
            format!("thread {thread} of client {process}")
        }
        Holder { process: Some(process), job: Some(job), .. } => {
            format!("worker {process} for job {job}")
        }
        Holder { process: Some(process), .. } => format!("worker {process}"),
        Holder { job: Some(job), .. } => format!("job {job}"),
        Holder { token: Some(token), .. } => {
            format!("the client with the token {}", cut(&key_name(token), LONGEST))
        }
        _ => return None,
    };
    Some(text)
}

/// Whether no client may release it in time, so that an operator has to.
fn is_to_go(found: &OtherLock, scene: &Scene) -> bool {
    found.is_stuck() || scene.is_by_age && !found.is_moving
}

/// What to do about it.
fn next(found: &OtherLock, scene: &Scene) -> Option<Next> {
    let typed = &scene.typed;
    if found.is_moving {
        return None;
    }
    if is_to_go(found, scene) {
        let one = found.lock.holders.first().filter(|_| found.lock.held_by == 1);
        let token = one.and_then(|holder| holder.token.as_deref());
        return typed.unlock_key(&found.key, token, &["--force"]).map(Next::Command);
    }
    if found.ttl_ms >= 0 {
        let left = match found.ttl_ms {
            0..1000 => "less than 1 s".into(),
            ms => seconds(u64::try_from(ms / 1000).unwrap_or(0)),
        };
        return Some(Next::Wait(format!("it expires in {left} unless it is renewed")));
    }
    let (command, rest) = found.shown_by;
    typed.shows(command, &found.key, rest).map(Next::Inspect)
}
