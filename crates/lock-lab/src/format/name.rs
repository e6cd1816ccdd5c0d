//! What the name of a key says. It is a hint, never a proof.

/// Words that names of locks have.
const WORDS: [&str; 15] = [
    "lock",
    "locks",
    "locker",
    "mutex",
    "mutexes",
    "semaphore",
    "semaphores",
    "redlock",
    "dlock",
    "lck",
    "lease",
    "leases",
    "leader",
    "leadership",
    "singleton",
];

/// The longest part of a name that is taken for a word.
const LONGEST_WORD: usize = 24;

/// The word in the name that speaks of a lock, if one does. `clock`, `blocked` and `lockout` are other
/// words.
pub fn says_lock(name: &[u8]) -> Option<&'static str> {
    let mut word = String::new();
    let mut before = b' ';
    for byte in name.iter().copied().chain([b' ']) {
        let begins = byte.is_ascii_uppercase() && before.is_ascii_lowercase();
        if begins || !byte.is_ascii_alphabetic() {
            if let Some(found) = WORDS.into_iter().find(|known| *known == word) {
                return Some(found);
            }
            word.clear();
        }
        if byte.is_ascii_alphabetic() {
            word.push(char::from(byte.to_ascii_lowercase()));
        }
        before = byte;
    }
    None
}

/// Whether a byte is between the parts of a name.
fn is_between(byte: u8) -> bool {
    b":/.-_{}[]|#,; ".contains(&byte)
}

/// The name with a star for each part that is no word: what keys of one kind have in common.
pub(super) fn shape(name: &[u8]) -> String {
    let mut shape = String::new();
    for part in name.split_inclusive(|byte| is_between(*byte)) {
        let (word, end) = match part.split_last() {
            Some((last, word)) if is_between(*last) => (word, Some(char::from(*last))),
            _ => (part, None),
        };
        let is_word = word.len() <= LONGEST_WORD && word.iter().all(u8::is_ascii_alphabetic);
        match std::str::from_utf8(word).ok().filter(|_| is_word) {
            Some(word) => shape.push_str(word),
            // One star for a UUID or an address.
            None if shape.ends_with(['-', '.', '_'])
                && shape.trim_end_matches(['-', '.', '_']).ends_with('*') =>
            {
                shape.truncate(shape.len() - 1);
            }
            None => shape.push('*'),
        }
        shape.extend(end);
    }
    shape
}

/// The first part of a shape, and a star: what keys of many kinds have in common.
pub(super) fn coarse(shape: &str) -> String {
    match shape.find(|c: char| c.is_ascii() && is_between(c as u8)) {
        Some(end) => format!("{}*", shape.get(..=end).unwrap_or_default()),
        None => "*".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_word_of_its_own_says_lock() {
        for (name, word) in [
            ("lock", Some("lock")),
            ("orders:lock:7", Some("lock")),
            ("orderLock", Some("lock")),
            ("ORDER_LOCK", Some("lock")),
            ("job-mutex", Some("mutex")),
            ("lock7", Some("lock")),
            ("clock:7", None),
            ("blocked", None),
            ("lockout:user", None),
            ("user:locked", None),
            ("", None),
        ] {
            assert_eq!(says_lock(name.as_bytes()), word, "{name}");
        }
        assert_eq!(says_lock(b"\xff:lock"), Some("lock"));
    }

    #[test]
    fn keys_of_one_kind_have_one_shape() {
        for (name, expected) in [
            ("session:9f3a7c", "session:*"),
            ("user:7:cart", "user:*:cart"),
            ("user:d7a1c2d3-1111-4222-8333-444455556666", "user:*"),
            ("rate:10.0.0.7", "rate:*"),
            ("order:{4711}", "order:{*}"),
            ("invoice", "invoice"),
            ("a--b", "a--b"),
            ("x:7:8", "x:*:*"),
        ] {
            assert_eq!(shape(name.as_bytes()), expected, "{name}");
        }
        assert_eq!(shape(b"\xff:x"), "*:x");
        assert_eq!(coarse("session:*"), "session:*");
        assert_eq!(coarse("user:*:cart"), "user:*");
        assert_eq!(coarse("invoice"), "*");
    }
}
