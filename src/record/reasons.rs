//! Why a history is incomplete, in sentences that name the keys.

use std::collections::HashSet;

/// How many characters of a key a reason shows.
const LONGEST: usize = 80;

/// Each reason once, with the first key that it is about and how many more there are.
#[derive(Debug, Clone, Default)]
pub(super) struct Reasons(Vec<Reason>);

#[derive(Debug, Clone)]
struct Reason {
    why: String,
    first: Option<String>,
    keys: HashSet<Vec<u8>>,
}

impl Reasons {
    /// A reason that is about no key in particular.
    pub fn add(&mut self, why: &str) {
        if !self.0.iter().any(|reason| reason.first.is_none() && reason.why == why) {
            self.0.push(Reason { why: why.to_owned(), first: None, keys: HashSet::new() });
        }
    }

    /// A reason that is about this key.
    pub fn add_about(&mut self, key: &[u8], why: &str) {
        match self.0.iter_mut().find(|reason| reason.first.is_some() && reason.why == why) {
            Some(reason) => drop(reason.keys.insert(key.to_vec())),
            None => {
                let (first, keys) = (Some(short(key)), HashSet::from([key.to_vec()]));
                self.0.push(Reason { why: why.to_owned(), first, keys });
            }
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A sentence each.
    pub fn in_words(&self) -> Vec<String> {
        let sentence = |Reason { why, first, keys }: &Reason| match (first, keys.len()) {
            (None, _) => why.clone(),
            (Some(key), ..2) => format!("{key}: {why}"),
            (Some(key), 2) => format!("{key} and 1 more key: {why}"),
            (Some(key), all) => format!("{key} and {} more keys: {why}", all - 1),
        };
        self.0.iter().map(sentence).collect()
    }
}

fn short(key: &[u8]) -> String {
    let mut text = shown(key);
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// A key as text; several keys may look the same only where they are not text.
pub(super) fn shown(key: &[u8]) -> String {
    String::from_utf8_lossy(key).chars().take(1000).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_said_once_with_its_first_key() {
        let mut reasons = Reasons::default();
        assert!(reasons.is_empty());
        for key in ["a", "b", "c"] {
            reasons.add_about(key.as_bytes(), "it was evicted");
        }
        for key in [b"a", b"c", b"a", b"c"] {
            reasons.add_about(key, "it was held");
        }
        reasons.add_about(b"z", "HSET changed it");
        reasons.add("the connection was lost");
        reasons.add("the connection was lost");
        let expected = [
            "a and 2 more keys: it was evicted",
            "a and 1 more key: it was held",
            "z: HSET changed it",
            "the connection was lost",
        ];
        assert_eq!(reasons.in_words(), expected);
    }
}
