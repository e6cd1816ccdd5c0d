//! What other crates add to what is built in: lock protocols and judges.

use parking_lot::Mutex;
use std::sync::OnceLock;

/// Why something can't be registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// What there is has been asked for before.
    #[error("register {0:?} before anything else: the program has looked at what there is")]
    TooLate(String),
    /// There is one of this name.
    #[error("{0:?} is there already")]
    NameTaken(String),
    /// There is no room for one more.
    #[error("there is no room for {0:?}: at most {1} can be registered")]
    TooMany(String, usize),
}

/// What is registered, in that order. Nothing can be added when it has been asked for.
pub(crate) struct Registry<T> {
    waiting: Mutex<Vec<T>>,
    all: OnceLock<Vec<T>>,
}

impl<T> Registry<T> {
    /// Nothing is registered.
    pub const fn new() -> Self {
        Self { waiting: Mutex::new(Vec::new()), all: OnceLock::new() }
    }

    /// Adds one of this name; `name_of` says what the others are called. At most `most` can be added.
    pub fn add(
        &self,
        name: &str,
        added: T,
        name_of: impl Fn(&T) -> &str,
        most: usize,
    ) -> Result<(), RegisterError> {
        let mut waiting = self.waiting.lock();
        if self.all.get().is_some() {
            Err(RegisterError::TooLate(name.into()))
        } else if waiting.iter().any(|known| name_of(known) == name) {
            Err(RegisterError::NameTaken(name.into()))
        } else if waiting.len() >= most {
            Err(RegisterError::TooMany(name.into(), most))
        } else {
            waiting.push(added);
            Ok(())
        }
    }

    /// All that are registered, after those that are built in.
    pub fn all(&self, built_in: impl FnOnce() -> Vec<T>) -> &[T] {
        self.all.get_or_init(|| {
            let mut all = built_in();
            all.append(&mut self.waiting.lock());
            all
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_registered_comes_after_what_is_built_in_and_before_it_is_asked_for() {
        let registry = Registry::new();
        let add = |name: &'static str| registry.add(name, name, |it| it, 2);
        assert_eq!(add("one"), Ok(()));
        assert_eq!(add("one"), Err(RegisterError::NameTaken("one".into())));
        assert_eq!(add("two"), Ok(()));
        assert_eq!(add("three"), Err(RegisterError::TooMany("three".into(), 2)));
        assert_eq!(registry.all(|| vec!["zero"]), ["zero", "one", "two"]);
        assert_eq!(add("four"), Err(RegisterError::TooLate("four".into())));
        assert_eq!(registry.all(Vec::new), ["zero", "one", "two"]);
    }
}
