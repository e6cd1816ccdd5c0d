//! What other crates add to what is built in: lock protocols and judges.

use parking_lot::Mutex;
use std::sync::OnceLock;

/// Why something can't be registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// What there is has been asked for before.
    #[error("register {0:?} before anything else: the program has looked at what there is")]
    TooLate(String),
    /// There is one of this name, or the program uses the name itself.
    #[error("the name {0:?} is taken")]
    NameTaken(String),
    /// A name has other characters than those that reports and schedules can hold.
    #[error("{0:?} is no name: use lower-case letters, digits and _, and begin with a letter")]
    NoName(String),
    /// A lock protocol claims that its commands are known.
    #[error("{0:?} must answer is_foreign() with true: what its commands do is read from the key")]
    NotForeign(String),
    /// There is no room for one more.
    #[error("there is no room for {0:?}: at most {1} can be registered")]
    TooMany(String, usize),
}

/// What is registered, in that order. Nothing can be added when it has been asked for.
pub struct Registry<T> {
    /// What was added; nothing, when it has been asked for.
    waiting: Mutex<Option<Vec<T>>>,
    all: OnceLock<Vec<T>>,
}

impl<T> Registry<T> {
    /// Nothing is registered.
    pub const fn empty() -> Self {
        Self { waiting: Mutex::new(Some(Vec::new())), all: OnceLock::new() }
    }

    /// Adds one of this name; `name_of` says what the others are called. At most `most` can be added.
    ///
    /// # Errors
    ///
    /// [`RegisterError`] if the name is taken or has other characters than `a-z`, `0-9` and `_`, if
    /// the list was read before, or if it is full.
    pub fn add(
        &self,
        name: &str,
        added: T,
        name_of: impl Fn(&T) -> &str,
        most: usize,
    ) -> Result<(), RegisterError> {
        if !is_name(name) {
            return Err(RegisterError::NoName(name.into()));
        }
        let mut waiting = self.waiting.lock();
        let Some(waiting) = waiting.as_mut() else {
            return Err(RegisterError::TooLate(name.into()));
        };
        if waiting.iter().any(|known| name_of(known) == name) {
            return Err(RegisterError::NameTaken(name.into()));
        }
        if waiting.len() >= most {
            return Err(RegisterError::TooMany(name.into(), most));
        }
        waiting.push(added);
        Ok(())
    }

    /// All that are registered, after those that are built in.
    pub fn all(&self, built_in: impl FnOnce() -> Vec<T>) -> &[T] {
        self.all.get_or_init(|| {
            let mut all = built_in();
            all.extend(self.waiting.lock().take().into_iter().flatten());
            all
        })
    }
}

fn is_name(name: &str) -> bool {
    let others = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(others)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_registered_comes_after_what_is_built_in_and_before_it_is_asked_for() {
        let registry = Registry::empty();
        let add = |name: &'static str| registry.add(name, name, |it| it, 2);
        assert_eq!(add("one"), Ok(()));
        assert_eq!(add("one"), Err(RegisterError::NameTaken("one".into())));
        assert_eq!(add("two"), Ok(()));
        assert_eq!(add("three"), Err(RegisterError::TooMany("three".into(), 2)));
        assert_eq!(registry.all(|| vec!["zero"]), ["zero", "one", "two"]);
        assert_eq!(add("four"), Err(RegisterError::TooLate("four".into())));
        assert_eq!(registry.all(Vec::new), ["zero", "one", "two"]);
    }

    #[test]
    fn a_name_is_a_word_that_a_schedule_can_hold() {
        let registry = Registry::empty();
        for name in ["", "Plain", "a b", "a:b", "1st", "_x", "é"] {
            let added = registry.add(name, name, |it| it, 9);
            assert_eq!(added, Err(RegisterError::NoName(name.into())));
        }
        assert_eq!(registry.add("a_1", "a_1", |it| it, 9), Ok(()));
    }
}
