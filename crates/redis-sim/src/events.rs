//! Keyspace notifications: what happened to which key, and which of it is published.

/// What kind of thing happened, as `notify-keyspace-events` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Generic,
    String,
    List,
    Set,
    Hash,
    SortedSet,
    Expired,
    Evicted,
}

impl Class {
    fn letter(self) -> u8 {
        match self {
            Class::Generic => b'g',
            Class::String => b'$',
            Class::List => b'l',
            Class::Set => b's',
            Class::Hash => b'h',
            Class::SortedSet => b'z',
            Class::Expired => b'x',
            Class::Evicted => b'e',
        }
    }
}

/// Something that happened to a key.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) class: Class,
    pub(super) name: &'static str,
    pub(super) key: Vec<u8>,
}

/// The letters that `A` stands for. No event here is of a stream (`t`) or a module (`d`).
const ALL: &[u8] = b"g$lshzxetd";

/// All letters, in the order in which Redis shows them. Events of new keys (`n`) and of keys that were
/// not found (`m`) are not published here.
const LETTERS: &[u8] = b"g$lshzxetdnKEm";

/// The setting `notify-keyspace-events`: the letters that are on, without `A`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Published(Vec<u8>);

impl Published {
    /// Reads the setting; nothing if there is a letter that Redis does not know.
    pub(super) fn read(letters: &[u8]) -> Option<Self> {
        let is_known = |letter: &u8| *letter == b'A' || LETTERS.contains(letter);
        if !letters.iter().all(is_known) {
            return None;
        }
        let has_all = letters.contains(&b'A');
        let is_on = |letter: &&u8| letters.contains(letter) || has_all && ALL.contains(letter);
        Some(Self(LETTERS.iter().filter(is_on).copied().collect()))
    }

    /// The setting as Redis shows it: where all classes are on, without `n`.
    pub(super) fn shown(&self) -> Vec<u8> {
        if !ALL.iter().all(|letter| self.0.contains(letter)) {
            return self.0.clone();
        }
        let rest = self.0.iter().filter(|letter| b"KEm".contains(letter));
        std::iter::once(&b'A').chain(rest).copied().collect()
    }

    /// Whether anything is published.
    pub(super) fn is_on(&self) -> bool {
        self.by_key() || self.by_event()
    }

    /// Whether events of this class are.
    pub(super) fn has(&self, class: Class) -> bool {
        self.0.contains(&class.letter())
    }

    /// Whether there is a channel for each key.
    pub(super) fn by_key(&self) -> bool {
        self.0.contains(&b'K')
    }

    /// Whether there is a channel for each event.
    pub(super) fn by_event(&self) -> bool {
        self.0.contains(&b'E')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Redis 7.0.15 answers.
    #[test]
    fn the_setting_is_shown_as_redis_does() {
        for (set, shown) in [
            ("", ""),
            ("KEx$", "$xKE"),
            ("AKE", "AKE"),
            ("AKEnm", "AKEm"),
            ("nmxK", "xnKm"),
            ("g$lshzxetd", "A"),
        ] {
            let published = Published::read(set.as_bytes()).unwrap();
            assert_eq!(published.shown(), shown.as_bytes(), "{set}");
        }
        assert_eq!(Published::read(b"KEq"), None);
    }
}
