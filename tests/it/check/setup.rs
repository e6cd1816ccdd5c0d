//! What a model run is made of: what each actor does, and when.

/// What an actor does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Takes the lock; tries again so often; or writes over whoever holds it.
    Acquire { lock: usize, retries: u8, overwrites: bool },
    /// Writes the file; asks first whether anybody, or it itself, holds the lock.
    Dump { lock: usize, asks: Asks },
    /// Gives the lock back.
    Release { lock: usize, asks: Asks, tells: bool },
    /// Deletes the lock, whoever holds it; as `clear_locks` or as `force_release`.
    Force { lock: usize, clears: bool },
    /// Extends the lease; of its own lock only, or of whoever's.
    Extend { lock: usize, own: bool },
    /// Sets the flag to free, if it found no lock before.
    Repair { lock: usize },
    /// Forgets the token.
    Forget { lock: usize },
    /// Does nothing.
    Sleep,
    /// Crashes.
    Crash,
}

/// What a client asks before it does something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// Nothing.
    Nothing,
    /// Looks first, and then does it, in two commands.
    First,
    /// Both in one script.
    AtOnce,
}

/// A run to be made.
#[derive(Debug, Clone)]
pub struct Setup {
    /// What each actor does.
    pub actors: Vec<Vec<Act>>,
    /// How many locks there are.
    pub locks: usize,
    /// Every lease, in milliseconds.
    pub lease: u64,
    /// Whose turn it is, and how many milliseconds pass before it.
    pub turns: Vec<(usize, u64)>,
    /// After how many the fencing tokens begin anew, as a counter does that was lost.
    pub fences: u64,
    /// Whether each reply comes before the next command is sent.
    pub in_sequence: bool,
    /// What decides how spans are spread.
    pub seed: u64,
}

/// What really happened.
#[derive(Debug, Default)]
pub struct Truth {
    /// Deletions of others' locks in a release: lock, actor, and when its reply came.
    pub foreign_releases: Vec<(usize, usize, u64)>,
    /// Losses that nobody told of: lock, actor, and when the belief ended.
    pub silent_losses: Vec<(usize, usize, u64)>,
    /// Writes over what was never read, by one whose lock was gone: lock, actor, when completed.
    pub lost_updates: Vec<(usize, usize, u64)>,
}

impl Act {
    /// What a history calls it.
    pub fn verb(self) -> &'static str {
        match self {
            Act::Acquire { .. } => "acquire",
            Act::Dump { .. } => "dump",
            Act::Release { .. } => "release",
            Act::Force { clears: true, .. } => "clear_locks",
            Act::Force { clears: false, .. } => "force_release",
            Act::Extend { .. } => "extend",
            Act::Repair { .. } => "islocked",
            Act::Forget { .. } => "forget_token",
            Act::Sleep => "sleep",
            Act::Crash => "crash",
        }
    }

    /// Which lock it is about.
    pub fn lock(self) -> Option<usize> {
        match self {
            Act::Acquire { lock, .. }
            | Act::Dump { lock, .. }
            | Act::Release { lock, .. }
            | Act::Force { lock, .. }
            | Act::Extend { lock, .. }
            | Act::Repair { lock }
            | Act::Forget { lock } => Some(lock),
            Act::Sleep | Act::Crash => None,
        }
    }
}
