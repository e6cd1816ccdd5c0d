//! What keys hold: strings, and collections of members.
//!
//! Every kind compares and hashes by its contents alone, so that two servers that answer alike are equal.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::error::Error;
use super::events::Class;

/// The fields of a hash.
pub(super) type Hash = BTreeMap<Vec<u8>, Vec<u8>>;

/// The elements of a list, from left to right.
pub(super) type List = VecDeque<Vec<u8>>;

/// The members of a set.
pub(super) type Set = BTreeSet<Vec<u8>>;

/// The members of a sorted set with their scores, by name; [`ranked`] sorts them.
pub(super) type SortedSet = BTreeMap<Vec<u8>, Score>;

/// What a key holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Data {
    String(Vec<u8>),
    Hash(Hash),
    List(List),
    Set(Set),
    SortedSet(SortedSet),
}

impl Data {
    /// The name that TYPE gives.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Data::String(_) => "string",
            Data::Hash(_) => "hash",
            Data::List(_) => "list",
            Data::Set(_) => "set",
            Data::SortedSet(_) => "zset",
        }
    }

    pub(super) fn as_string(&self) -> Result<&[u8], Error> {
        match self {
            Data::String(bytes) => Ok(bytes),
            _ => Err(Error::WrongType),
        }
    }
}

/// A kind of value that has members. An empty one is not stored: its key does not exist.
pub(super) trait Collection: Default {
    /// What notifications of it are counted as.
    const CLASS: Class;
    /// The collection in a value, if it is one of this kind.
    fn of(data: &Data) -> Option<&Self>;
    /// The same, to change it.
    fn of_mut(data: &mut Data) -> Option<&mut Self>;
    /// The value that holds this collection.
    fn into_data(self) -> Data;
    /// Whether it has no members.
    fn is_empty(&self) -> bool;
}

macro_rules! collection {
    ($kind:ident) => {
        impl Collection for $kind {
            const CLASS: Class = Class::$kind;

            fn of(data: &Data) -> Option<&Self> {
                if let Data::$kind(members) = data { Some(members) } else { None }
            }

            fn of_mut(data: &mut Data) -> Option<&mut Self> {
                if let Data::$kind(members) = data { Some(members) } else { None }
            }

            fn into_data(self) -> Data {
                Data::$kind(self)
            }

            fn is_empty(&self) -> bool {
                self.len() == 0
            }
        }
    };
}

collection!(Hash);
collection!(List);
collection!(Set);
collection!(SortedSet);

/// The score of a member: any number, infinite ones too, but never NaN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Score(u64);

impl Score {
    /// Redis stores a small sorted set's -0 as 0.
    pub(super) fn new(number: f64) -> Self {
        Self((number + 0.0).to_bits())
    }

    pub(super) fn number(self) -> f64 {
        f64::from_bits(self.0)
    }
}

/// The members of a sorted set in its order: by score, and by name where scores are equal. Sorted
/// each time, because locks have few members and an image is copied more often than it is ranked.
pub(super) fn ranked(set: &SortedSet) -> Vec<(&[u8], f64)> {
    let members = set.iter().map(|(member, score)| (member.as_slice(), score.number()));
    let mut members: Vec<_> = members.collect();
    // By name they are sorted already.
    members.sort_by(|a, b| a.1.partial_cmp(&b.1).unwrap_or(Ordering::Equal));
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_rank_by_score_and_then_by_name() {
        let members = [("b", 1.0), ("a", 1.0), ("c", f64::NEG_INFINITY), ("d", -0.5), ("e", -0.0)];
        let set = members.map(|(name, score)| (name.as_bytes().to_vec(), Score::new(score)));
        let set = SortedSet::from(set);
        let names: Vec<u8> = ranked(&set).iter().map(|(name, _)| name[0]).collect();
        assert_eq!(names, b"cdeab");
        assert!(ranked(&set)[2].1.is_sign_positive());
    }
}
