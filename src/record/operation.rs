//! One command, or one call of a script, with everything that it did to one lock.

use super::key::{Id, Outcome};
use super::observations::{Lock, Observation, ScriptCall, Seen, What};
use super::tenures::Tenures;
use super::watch::Watch;
use lock_history::history::{Change, NO_END};
use lock_lab::lock::Operation;

/// What a client did.
#[derive(Debug)]
pub(super) struct Unit<'a> {
    pub first: Id,
    pub observations: &'a [Observation],
    pub call: Option<&'a ScriptCall>,
}

/// The outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    /// The lock was taken.
    Took(Id),
    /// The lock was taken from its holder.
    Replaced(Id, Id),
    /// The lock was refused.
    Refused,
    /// The lock was deleted.
    Deleted(Id),
    /// There was nothing to delete.
    NothingToDelete,
    /// The lease was set.
    Extended(Id),
    /// There was no lease to set.
    NothingToExtend,
    /// The lock was only read.
    Saw(Option<Id>),
    /// The lock was read; what was found is not known.
    Unclear,
    /// The flag was set to free.
    Unflagged,
    /// The flag was asked for.
    AskedFlag,
    /// Nothing of this.
    Other,
}

impl<'a> Unit<'a> {
    /// Takes the next unit off the observations.
    pub fn next(seen: &'a Seen, from: Id) -> Option<Self> {
        let rest = seen.observations.get(from..)?;
        let first = rest.first()?;
        let length = match first.call {
            None => 1,
            call => {
                rest.iter().take_while(|one| one.call == call && one.lock == first.lock).count()
            }
        };
        let call = first.call.and_then(|call| seen.calls.get(usize::try_from(call).ok()?));
        Some(Self { first: from, observations: rest.get(..length)?, call })
    }

    /// Its last observation.
    pub fn last(&self) -> Id {
        self.first + self.observations.len().saturating_sub(1)
    }

    /// Whether it carries this token: the script, or a command that names a member.
    pub fn carries(&self, token: &str) -> bool {
        let named = |one: &Observation| one.command.as_ref()?.token.clone();
        self.call.is_some_and(|call| call.carried.iter().any(|carried| **carried == *token))
            || self.observations.iter().filter_map(named).any(|named| *named == *token)
    }

    /// Whether it is about a lock that has a mirror flag.
    pub fn is_of_nodb(&self, seen: &Seen) -> bool {
        let lock = self.observations.first().and_then(|first| seen.locks.get(first.lock));
        lock.is_some_and(|lock| Watch::name_of(&lock.key).is_some())
    }

    /// The outcome of all of it.
    pub fn came(&self) -> Came {
        let ids = (self.first..).zip(self.observations);
        let mut came = Came::Other;
        for (id, one) in ids {
            let this = match (&one.what, one.outcome) {
                (_, Outcome::Took) => Came::Took(id),
                (_, Outcome::Replaced(before)) => Came::Replaced(id, before),
                (_, Outcome::Refused) => Came::Refused,
                (_, Outcome::Deleted(held)) => Came::Deleted(held),
                (_, Outcome::Extended(held)) => Came::Extended(held),
                (What::Delete, Outcome::Nothing) => Came::NothingToDelete,
                (What::Expire { .. }, Outcome::Nothing) => Came::NothingToExtend,
                (_, Outcome::Saw(held)) => Came::Saw(held),
                (What::Read, Outcome::Open) => Came::Unclear,
                (What::Flag { locked: false }, _) => Came::Unflagged,
                (What::AskedFlag, _) => Came::AskedFlag,
                _ => Came::Other,
            };
            if rank(this) > rank(came) {
                came = this;
            }
        }
        let purpose = self.call.and_then(|call| call.purpose);
        match (came, purpose) {
            (Came::Saw(_), Some(Operation::Acquire)) => Came::Refused,
            _ => came,
        }
    }

    /// What it did, as the history shows it.
    pub fn changes(&self, seen: &Seen, tenures: &Tenures) -> Vec<Change> {
        let came = self.came();
        let ids = (self.first..).zip(self.observations);
        let mut changes: Vec<Change> =
            ids.filter_map(|(id, one)| self.change(id, one, seen, tenures)).collect();
        if changes.len() > 1 {
            changes.retain(|change| !matches!(change, Change::Saw { .. }));
        }
        if came == Came::Refused && !changes.contains(&Change::Refused) {
            changes = vec![Change::Refused];
        }
        changes
    }

    fn change(&self, id: Id, one: &Observation, seen: &Seen, tenures: &Tenures) -> Option<Change> {
        let token = |id: Id| seen.token(id).map(|token| token.to_string());
        Some(match (&one.what, one.outcome) {
            (
                What::Write { fence, lease, .. } | What::Found { fence, lease, .. },
                Outcome::Took,
            ) => {
                let lease = tenures.lease(id, id, one.at, *lease);
                Change::Took { token: token(id)?, fence: *fence, lease }
            }
            (What::Write { lease, .. }, Outcome::Replaced(before)) => {
                let lease = tenures.lease(id, id, one.at, *lease);
                if seen.token(before) == seen.token(id) {
                    Change::Extended { lease: lease.unwrap_or(NO_END) }
                } else {
                    Change::Overwrote { token: token(id)?, lease }
                }
            }
            (_, Outcome::Refused) => Change::Refused,
            (_, Outcome::Saw(held)) => Change::Saw { token: held.and_then(token) },
            (_, Outcome::Deleted(held)) => {
                let token = token(held).filter(|token| self.carries(token));
                Change::Deleted { token }
            }
            (What::Expire { lease }, Outcome::Extended(held)) => {
                let lease = tenures.lease(held, id, one.at, *lease);
                Change::Extended { lease: lease.unwrap_or(NO_END) }
            }
            (What::Delete | What::Expire { .. }, Outcome::Nothing) => Change::Saw { token: None },
            (What::Flag { locked }, _) => Change::Flagged { locked: *locked },
            _ => return None,
        })
    }

    /// The command as a person would type it, shortened.
    pub fn text(&self, seen: &Seen) -> String {
        let Some(first) = self.observations.first() else { return String::new() };
        let key = seen.locks.get(first.lock).map(Lock::name).unwrap_or_default();
        let key: String = key.chars().take(200).collect();
        if self.call.is_some() {
            return format!("EVAL {key}");
        }
        if let Some(command) = &first.command {
            return command.text.to_string();
        }
        match &first.what {
            What::Write { token, .. } => format!("SET {key} {token}"),
            What::Read => format!("GET {key}"),
            What::Delete => format!("DEL {key}"),
            What::Expire { .. } => format!("EXPIRE {key}"),
            What::Flag { locked } => format!("HSET (flag of {key}) {locked}"),
            What::AskedFlag => format!("HGET (flag of {key})"),
            What::Found { .. } => format!("(held when the recording looked) {key}"),
            What::Gone => format!("(gone when the recording looked) {key}"),
            What::Evicted => format!("(evicted by the server) {key}"),
            What::LeaseOfAll { .. } => format!("EXPIRE {key}"),
            What::Overdue => format!("(removed when its time was over) {key}"),
            What::GivenUp => format!("(not followed from here on) {key}"),
        }
    }

    /// The reply as far as it is known.
    pub fn reply(&self) -> &'static str {
        match self.came() {
            Came::Took(_) => "taken",
            Came::Replaced(..) => "overwritten",
            Came::Refused => "refused",
            Came::Deleted(_) => "deleted",
            Came::NothingToDelete | Came::NothingToExtend | Came::Saw(None) => "free",
            Came::Extended(_) => "extended",
            Came::Saw(Some(_)) => "held",
            Came::Unclear | Came::Unflagged | Came::AskedFlag | Came::Other => "",
        }
    }
}

/// How a unit is described, if it has several outcomes.
fn rank(came: Came) -> u8 {
    match came {
        Came::Other => 0,
        Came::AskedFlag => 1,
        Came::Unflagged => 2,
        Came::Unclear => 3,
        Came::Saw(_) => 4,
        Came::NothingToExtend => 5,
        Came::NothingToDelete => 6,
        Came::Extended(_) => 7,
        Came::Refused => 8,
        Came::Deleted(_) => 9,
        Came::Replaced(..) => 10,
        Came::Took(_) => 11,
    }
}
