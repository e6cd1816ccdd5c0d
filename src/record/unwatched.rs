//! Keys that are used like locks and not watched.

use super::effects::Act;
use lock_lab::lock::{KEY_PREFIX, literal};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

/// How many keys are remembered. If there are more, those that were set once are forgotten.
const MOST: usize = 10_000;

/// Those keys, and how they are used.
#[derive(Debug, Default)]
pub(super) struct UnwatchedKeys(HashMap<Vec<u8>, Uses>);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Uses {
    attempts: u64,
    deletions: u64,
}

impl Uses {
    fn is_of_a_lock(self) -> bool {
        self.attempts + self.deletions > 1
    }
}

/// Keys that are used like locks and not watched: they were set if they were free (`SET NX`, `SETNX`) several
/// times, or deleted after that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unwatched {
    /// The pattern that watches them.
    pub pattern: String,
    /// One of them.
    pub example: String,
    /// How many keys there are.
    pub keys: usize,
    /// How often clients tried to set them.
    pub attempts: u64,
}

impl UnwatchedKeys {
    /// What a command does to a key that is not watched.
    pub fn note(&mut self, key: &[u8], act: &Act) {
        match act {
            // Those of other runs are left out on purpose.
            Act::Take { .. } if key.starts_with(KEY_PREFIX.as_bytes()) => {}
            Act::Take { .. } => {
                if self.0.len() >= MOST && !self.0.contains_key(key) {
                    self.0.retain(|_, uses| uses.is_of_a_lock());
                }
                if self.0.len() < MOST || self.0.contains_key(key) {
                    self.0.entry(key.to_vec()).or_default().attempts += 1;
                }
            }
            Act::Delete => {
                if let Some(uses) = self.0.get_mut(key) {
                    uses.deletions += 1;
                }
            }
            _ => {}
        }
    }

    /// Those that are used like locks, by pattern, the most used ones first.
    pub fn in_patterns(&self) -> Vec<Unwatched> {
        let mut patterns: BTreeMap<String, Unwatched> = BTreeMap::new();
        let mut used: Vec<_> = self.0.iter().filter(|(_, uses)| uses.is_of_a_lock()).collect();
        used.sort();
        for (key, uses) in used {
            let Ok(example) = str::from_utf8(key) else { continue };
            let pattern = pattern(example);
            let unwatched = patterns.entry(pattern.clone()).or_insert_with(|| Unwatched {
                pattern,
                example: example.to_owned(),
                keys: 0,
                attempts: 0,
            });
            unwatched.keys += 1;
            unwatched.attempts += uses.attempts;
        }
        let mut patterns: Vec<Unwatched> = patterns.into_values().collect();
        patterns.sort_by_key(|unwatched| Reverse(unwatched.attempts));
        patterns
    }
}

/// What keys match that begin like this one: up to the last colon.
fn pattern(key: &str) -> String {
    let plain = |text: &str| match text.contains(['*', '?', '[', '\\']) {
        true => literal(text),
        false => text.to_owned(),
    };
    match key.rfind(':') {
        Some(colon) => plain(key.get(..=colon).unwrap_or(key)) + "*",
        None => plain(key),
    }
}

#[cfg(test)]
mod tests {
    use super::super::effects::Until;
    use super::*;

    #[test]
    fn what_is_taken_again_or_deleted_is_used_like_a_lock() {
        let take = Act::Take { value: b"1".to_vec(), until: Until::Forever };
        let mut keys = UnwatchedKeys::default();
        for (key, act) in [
            ("seen:once", &take),
            ("lock:a", &take),
            ("lock:a", &take),
            ("lock:b", &take),
            ("lock:b", &Act::Delete),
            ("cache", &Act::Delete),
            ("mutex[1]", &take),
            ("mutex[1]", &take),
            ("mutex[1]", &take),
            ("mutex[1]", &take),
        ] {
            keys.note(key.as_bytes(), act);
        }
        let unwatched = |pattern: &str, example: &str, keys, attempts| Unwatched {
            pattern: pattern.into(),
            example: example.into(),
            keys,
            attempts,
        };
        let expected =
            [unwatched("mutex\\[1\\]", "mutex[1]", 1, 4), unwatched("lock:*", "lock:a", 2, 3)];
        assert_eq!(keys.in_patterns(), expected);
    }

    #[test]
    fn more_keys_than_are_remembered_cost_nothing() {
        let take = Act::Take { value: b"1".to_vec(), until: Until::Forever };
        let mut keys = UnwatchedKeys::default();
        for number in 0..2 * MOST + 1 {
            keys.note(number.to_string().as_bytes(), &take);
            keys.note(b"lock:a", &take);
        }
        assert!(keys.0.len() <= MOST);
        assert_eq!(keys.in_patterns().len(), 1);
    }
}
