//! The mistakes of a file while it is read: one doesn't end the reading, and what follows from it is no
//! mistake.

/// A mistake, at a byte offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flaw {
    pub(super) at: usize,
    pub(super) message: String,
}

/// Why something could not be read.
#[derive(Debug)]
pub(super) enum Unread {
    /// This is wrong with it.
    Flaw(Flaw),
    /// What is wrong is noted, and this follows from it.
    Noted,
}

/// What reading gives.
pub(super) type Result<T, E = Unread> = std::result::Result<T, E>;

/// The mistakes that were found, up to [`Flaws::MOST`].
#[derive(Debug, Default)]
pub(super) struct Flaws(Vec<Flaw>);

impl Flaws {
    const MOST: usize = 100;

    /// Whether there is no need to look for more.
    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= Self::MOST
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    /// Notes it, once.
    pub(super) fn push(&mut self, why: Unread) {
        if let Unread::Flaw(flaw) = why
            && !self.is_full()
            && !self.0.contains(&flaw)
        {
            self.0.push(flaw);
        }
    }

    /// What was read; nothing, if it could not be.
    pub(super) fn note<T>(&mut self, read: Result<T>) -> Option<T> {
        read.map_err(|why| self.push(why)).ok()
    }

    /// Adds what another reading of the file found, but at places that have a mistake already.
    pub(super) fn add(&mut self, other: Flaws) {
        let is_new = |flaw: &Flaw| self.0.iter().all(|known| known.at != flaw.at);
        let new: Vec<Flaw> = other.0.into_iter().filter(is_new).collect();
        new.into_iter().for_each(|flaw| self.push(Unread::Flaw(flaw)));
    }

    /// Both.
    pub(super) fn and(mut self, other: Flaws) -> Flaws {
        other.0.into_iter().for_each(|flaw| self.push(Unread::Flaw(flaw)));
        self
    }

    /// In the order of the file.
    pub(super) fn sorted(mut self) -> Vec<Flaw> {
        self.0.sort_by_key(|flaw| flaw.at);
        self.0
    }
}
