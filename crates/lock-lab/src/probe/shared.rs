//! Locks that clients share by design: permits of a semaphore, readers of a read-write lock.

use super::instruction::Kind;
use lock_history::history::Sharing;
use serde_json::{Value, json};

/// The most permits: orderings of more clients are too many.
const MOST_PERMITS: u32 = 8;

/// How clients share a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shared {
    /// This many clients may hold it at once; 0: any number.
    Permits(u32),
    /// Readers share it with each other, and not with a writer.
    ReadersAndWriters,
}

impl Shared {
    /// How clients share the lock, as the first line of one says it; why that can't be, if so.
    pub(super) fn said(said: &Value) -> Result<Option<Self>, &'static str> {
        let kinds = [Kind::Read, Kind::Write].map(Kind::word);
        match (said.get("permits"), said.get("kinds")) {
            (None, None) => Ok(None),
            (Some(permits), None) => match permits.as_u64().and_then(|it| u32::try_from(it).ok()) {
                // One permit is mutual exclusion.
                Some(1) => Ok(None),
                Some(permits) if permits <= MOST_PERMITS => Ok(Some(Self::Permits(permits))),
                _ => Err("its \"permits\" is no number from 0 to 8"),
            },
            (None, Some(all)) if *all == json!(kinds) => Ok(Some(Self::ReadersAndWriters)),
            (None, Some(_)) => Err("its \"kinds\" must be [\"read\", \"write\"]"),
            (Some(_), Some(_)) => Err("it has both \"permits\" and \"kinds\""),
        }
    }

    /// How many clients it takes to see whether the lock excludes as it must, also after a release that takes away
    /// or gives back too much: each acquires once.
    pub fn clients(self) -> u32 {
        match self {
            Self::Permits(0) => 3,
            Self::Permits(permits) => permits + 2,
            Self::ReadersAndWriters => 4,
        }
    }

    /// Why fewer clients show too little.
    pub fn why_too_few(self) -> &'static str {
        match self {
            Self::Permits(_) => {
                "it takes two clients more than permits: one that releases, and all that may get in then"
            }
            Self::ReadersAndWriters => "it takes four clients: two readers and two writers",
        }
    }

    /// Whether there is any number of clients that the lock must exclude.
    pub fn excludes(self) -> bool {
        self != Self::Permits(0)
    }

    /// How an actor uses the lock: of four actors, the last two are writers.
    pub(super) fn kind(self, actor: usize) -> Option<Kind> {
        let reads = actor % 4 < 2;
        match self {
            Self::Permits(_) => None,
            Self::ReadersAndWriters => Some(if reads { Kind::Read } else { Kind::Write }),
        }
    }

    /// How a lock is used so that it excludes the most.
    pub(super) fn strictest(self) -> Option<Kind> {
        (self == Self::ReadersAndWriters).then_some(Kind::Write)
    }

    /// How many fresh clients must be able to hold a free lock at the same time.
    pub(super) fn free_for(self) -> usize {
        match self {
            Self::Permits(permits) => permits.max(1) as usize,
            Self::ReadersAndWriters => 1,
        }
    }

    /// The same for this many actors.
    pub(super) fn among(self, actors: usize) -> Sharing {
        match self {
            Self::Permits(permits) => Sharing::Permits(permits),
            Self::ReadersAndWriters => {
                let reads = |actor: &usize| self.kind(*actor) == Some(Kind::Read);
                Sharing::Readers((0..actors).filter(reads).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_line_says_how_the_lock_is_shared() {
        let said = |members: &str| {
            let line = format!("{{\"subject\": \"x\"{members}}}");
            Shared::said(&serde_json::from_str(&line).unwrap())
        };
        assert_eq!(said(""), Ok(None));
        assert_eq!(said(", \"permits\": 1"), Ok(None));
        assert_eq!(said(", \"permits\": 0"), Ok(Some(Shared::Permits(0))));
        assert_eq!(said(", \"permits\": 8"), Ok(Some(Shared::Permits(8))));
        let kinds = ", \"kinds\": [\"read\", \"write\"]";
        assert_eq!(said(kinds), Ok(Some(Shared::ReadersAndWriters)));
        for (members, why) in [
            (", \"permits\": 9", "0 to 8"),
            (", \"permits\": -1", "0 to 8"),
            (", \"permits\": \"2\"", "0 to 8"),
            (", \"kinds\": [\"shared\"]", "must be"),
            (", \"permits\": 2, \"kinds\": [\"read\", \"write\"]", "both"),
        ] {
            assert!(said(members).unwrap_err().contains(why), "{members}");
        }
    }

    #[test]
    fn of_four_actors_two_are_writers() {
        let shared = Shared::ReadersAndWriters;
        assert_eq!(shared.among(4), Sharing::Readers(vec![0, 1]));
        assert_eq!(Shared::Permits(2).among(4), Sharing::Permits(2));
        assert_eq!([shared.clients(), Shared::Permits(2).clients()], [4, 4]);
    }
}
