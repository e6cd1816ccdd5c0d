//! Keys that only look like locks, by what their names have in common: one lock is one key, and data come
//! in families. A family is one line to a reader, however many keys it has, so nothing is hidden.

use super::name::{coarse, shape};
use std::collections::BTreeMap;

/// How many keys of a family are kept.
pub const KEPT: usize = 3;
/// How many families begin with the same word before they are one.
const ALIKE: usize = 8;
/// How many families there are before all that begin with the same word are one.
const MOST: usize = 100;

/// A key that looks like a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looking {
    /// The key.
    pub key: Vec<u8>,
    /// What is left of its TTL in milliseconds; -1 if it has none.
    pub ttl_ms: i64,
}

/// Keys of one kind that may be locks for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family {
    /// What their names have in common, with stars for the rest.
    pub shape: String,
    /// Why they may be locks, and what is missing.
    pub why: String,
    /// How many there are.
    pub keys: u64,
    /// The first ones.
    pub examples: Vec<Looking>,
}

/// All families of a survey; however many keys there are, it stays small.
#[derive(Debug, Default)]
pub(super) struct Families {
    /// By the shape of their names and the reason.
    all: BTreeMap<(String, String), Family>,
}

impl Families {
    /// One more key, for this reason.
    pub fn take(&mut self, one: Looking, why: String) {
        let fine = shape(&one.key);
        let first = coarse(&fine);
        let merged = |all: &BTreeMap<_, Family>, shape: &String| {
            all.contains_key(&(shape.clone(), why.clone()))
        };
        let shape =
            match [fine.clone(), first, "*".into()].into_iter().find(|it| merged(&self.all, it)) {
                Some(known) => known,
                None => fine,
            };
        let family =
            Family { shape: shape.clone(), why: why.clone(), keys: 1, examples: vec![one] };
        if !self.add(family) {
            return;
        }
        self.merge_alike(&shape, &why);
        if self.all.len() > MOST {
            self.merge(coarse);
        }
        if self.all.len() > MOST {
            self.merge(|_| "*".into());
        }
    }

    /// The families, those with the fewest keys first: a lock is one key.
    pub fn into_families(self) -> Vec<Family> {
        let mut families: Vec<Family> = self.all.into_values().collect();
        families.sort_by_key(|family| family.keys);
        families
    }

    /// Adds its keys to those of the family of that name; says whether there was none.
    fn add(&mut self, family: Family) -> bool {
        let name = (family.shape.clone(), family.why.clone());
        match self.all.get_mut(&name) {
            Some(known) => {
                known.keys += family.keys;
                let room = KEPT.saturating_sub(known.examples.len());
                let more = family.examples.into_iter().filter(|it| !known.examples.contains(it));
                let more: Vec<Looking> = more.take(room).collect();
                known.examples.extend(more);
                false
            }
            None => self.all.insert(name, family).is_none(),
        }
    }

    /// Makes one of those that begin as this one does, if there are too many.
    fn merge_alike(&mut self, shape: &str, why: &str) {
        let first = coarse(shape);
        if first == "*" {
            return;
        }
        let is_alike =
            |(shape, reason): &(String, String)| *reason == why && coarse(shape) == first;
        if self.all.keys().filter(|name| is_alike(name)).count() > ALIKE {
            self.merge(|shape| match coarse(shape) == first {
                true => first.clone(),
                false => shape.to_owned(),
            });
        }
    }

    fn merge(&mut self, rename: impl Fn(&str) -> String) {
        for (_, family) in std::mem::take(&mut self.all) {
            let shape = rename(&family.shape);
            self.add(Family { shape, ..family });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn families(keys: impl IntoIterator<Item = String>) -> Vec<Family> {
        let mut families = Families::default();
        for key in keys {
            families.take(Looking { key: key.into(), ttl_ms: 1 }, "a UUID".into());
        }
        families.into_families()
    }

    #[test]
    fn keys_of_one_kind_are_one_family_and_a_single_key_comes_first() {
        let data = (0..1000).map(|number| format!("session:{number}"));
        let found = families(data.chain(["invoice".into()]));
        let shapes: Vec<(&str, u64)> =
            found.iter().map(|it| (it.shape.as_str(), it.keys)).collect();
        assert_eq!(shapes, [("invoice", 1), ("session:*", 1000)]);
        assert_eq!(found[1].examples.len(), KEPT);
    }

    #[test]
    fn names_that_only_begin_alike_are_one_family_when_they_are_many() {
        let word = |number: u32| char::from_u32(u32::from('a') + number % 26).unwrap();
        let names = (0..400).map(|it| format!("user:{}{}", word(it / 26), word(it)));
        let found = families(names);
        assert_eq!((found.len(), found[0].shape.as_str(), found[0].keys), (1, "user:*", 400));
    }

    #[test]
    fn there_are_never_many_families() {
        let word = |number: u32| char::from_u32(u32::from('a') + number % 26).unwrap();
        let names = (0..600).map(|it| format!("{}{}", word(it / 26), word(it)));
        let found = families(names.chain(["last".into()]));
        assert!(found.len() <= MOST, "{}", found.len());
        assert_eq!(found.iter().map(|it| it.keys).sum::<u64>(), 601);
    }
}
