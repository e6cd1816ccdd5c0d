//! What lock keys and flags hold after each event, as far as events show it: for display and for
//! its oracle, not a judgement. What was not seen and doesn't follow from what was seen is unknown.

use crate::history::{Change, Command, Effect, Event, EventKind, Moment, NO_END};

/// What one lock's key and flag hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LockState<'a> {
    /// The lock key.
    pub key: Key<'a>,
    /// Whether the mirror flag says that it is locked; none if that is unknown.
    pub flag: Option<bool>,
    /// The order of the last event that showed the key.
    pub key_seen: u64,
    /// The order of the last event that showed the flag.
    pub flag_seen: u64,
}

/// What a lock key holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Key<'a> {
    /// Events don't show it.
    #[default]
    Unknown,
    /// There is no lock.
    Free,
    /// The lock of this token; none if the token is unknown, or if it is no token of ours.
    Held(Option<&'a str>, Expiry),
}

/// When a lock key expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// Events don't show it.
    Unknown,
    /// It has no TTL.
    Never,
    /// Then, in nanoseconds since the run began; at the latest, where the command that set it took time.
    At(u64),
}

/// Redis keeps a key to the end of the millisecond in which its lease expires.
const GRACE: u64 = 1_000_000;

/// The states of all locks, event after event.
#[derive(Debug, Clone)]
pub struct LockStates<'a> {
    lines: Vec<Line<'a>>,
    /// By how much the server's clock jumped ahead. Lines have the times of the server.
    ahead: u64,
}

/// One lock's state, and what its next events need.
#[derive(Debug, Clone, Default)]
struct Line<'a> {
    state: LockState<'a>,
    /// When the reply to the last command came that changed the key.
    changed: Moment,
    /// When the reply to the last command came that wrote the flag.
    flagged: Moment,
    /// An acquire succeeded over a lock that was there: the reply to the deletion is still to come.
    awaits_deletion: bool,
}

impl<'a> LockStates<'a> {
    /// The states at the beginning.
    pub fn new(initial: impl IntoIterator<Item = LockState<'a>>) -> Self {
        let lines = initial.into_iter().map(|state| Line { state, ..Line::default() });
        Self { lines: lines.collect(), ahead: 0 }
    }

    /// A lock's state; unknown, if there is no such lock.
    pub fn of(&self, lock: usize) -> LockState<'a> {
        let mut state = self.lines.get(lock).map(|line| line.state).unwrap_or_default();
        if let Key::Held(_, Expiry::At(end)) = &mut state.key {
            *end = end.saturating_sub(self.ahead);
        }
        state
    }

    /// The lease that expires next by itself, if that is surely over at this time: its lock, its end and its
    /// token. The lock is free from then on.
    pub fn expire_before(&mut self, at: u64) -> Option<(usize, u64, Option<&'a str>)> {
        let over = (0..self.lines.len()).filter_map(|lock| Some((lock, self.over(lock, at)?)));
        let (lock, _) = over.min_by_key(|(_, end)| *end)?;
        self.expire_of(lock, at)
    }

    /// The same of one lock.
    pub fn expire_of(&mut self, lock: usize, at: u64) -> Option<(usize, u64, Option<&'a str>)> {
        let end = self.over(lock, at)?.saturating_sub(self.ahead);
        let line = self.lines.get_mut(lock)?;
        let Key::Held(token, _) = std::mem::replace(&mut line.state.key, Key::Free) else {
            return None;
        };
        Some((lock, end, token))
    }

    /// The end of a lock's lease by the server's clock, if that is surely over at this time.
    fn over(&self, lock: usize, at: u64) -> Option<u64> {
        let now = at.saturating_add(self.ahead);
        match self.lines.get(lock)?.state.key {
            Key::Held(_, Expiry::At(end)) if end.saturating_add(GRACE) <= now => Some(end),
            _ => None,
        }
    }

    /// Takes in the next event; gives the locks whose key or flag it changed.
    pub fn apply(&mut self, event: &'a Event) -> Vec<usize> {
        let (sent, effects) = match &event.kind {
            EventKind::Command(Command { sent, effects, .. }) => (*sent, effects),
            EventKind::Fault { effects, is_restart, clock_jump, .. } => {
                for line in self.lines.iter_mut().filter(|_| *is_restart) {
                    (line.state.key, line.state.flag) = (Key::Free, Some(false));
                    line.see(event.moment);
                }
                self.ahead = self.ahead.saturating_add(clock_jump.unwrap_or_default());
                (event.moment, effects)
            }
            _ => return Vec::new(),
        };
        let mut changed = Vec::new();
        for Effect { lock, change } in effects {
            let Some(line) = self.lines.get_mut(*lock) else { continue };
            if line.read(change, sent, event.moment, self.ahead) && !changed.contains(lock) {
                changed.push(*lock);
            }
        }
        changed
    }
}

impl<'a> Line<'a> {
    fn see(&mut self, moment: Moment) {
        (self.state.key_seen, self.state.flag_seen) = (moment.order, moment.order);
        (self.changed, self.flagged) = (moment, moment);
    }

    /// Takes in what a command or a fault did; says whether that changed key or flag.
    fn read(&mut self, change: &'a Change, sent: Moment, received: Moment, ahead: u64) -> bool {
        let before = self.state;
        // Of two commands that overlap in time, either may have run first.
        let overlaps = sent.order < self.changed.order;
        let until = |lease: u64| match lease {
            NO_END.. => Expiry::Never,
            _ => Expiry::At(received.at.saturating_add(ahead).saturating_add(lease)),
        };
        let ends = |lease: &Option<u64>| lease.map_or(Expiry::Never, until);
        match (change, before.key) {
            (Change::Took { token, lease, .. }, held) => {
                self.awaits_deletion = overlaps && matches!(held, Key::Held(..));
                self.change(Key::Held(some(token), ends(lease)), received);
            }
            (Change::Deleted { .. }, _) if self.awaits_deletion && overlaps => {
                self.awaits_deletion = false;
            }
            (Change::Overwrote { .. } | Change::Extended { .. } | Change::Deleted { .. }, _)
                if overlaps =>
            {
                self.change(Key::Unknown, received);
            }
            (Change::Overwrote { token, lease }, key) => {
                let kept = match key {
                    Key::Held(_, expiry) => expiry,
                    _ => Expiry::Unknown,
                };
                let expiry = lease.map_or(kept, until);
                self.change(Key::Held(some(token), expiry), received);
            }
            (Change::Extended { lease }, key) => {
                let token = match key {
                    Key::Held(token, _) => token,
                    _ => None,
                };
                self.change(Key::Held(token, until(*lease)), received);
            }
            (Change::Deleted { .. }, _) => self.change(Key::Free, received),
            (Change::Flagged { locked }, _) => {
                let is_sure = sent.order >= self.flagged.order || before.flag == Some(*locked);
                self.state.flag = is_sure.then_some(*locked);
                (self.flagged, self.state.flag_seen) = (received, received.order);
            }
            (Change::Refused | Change::Saw { .. }, _) if overlaps => {}
            (Change::Refused, Key::Held(..)) => self.state.key_seen = received.order,
            (Change::Refused, _) => self.found(Key::Held(None, Expiry::Unknown), received),
            (Change::Saw { token: None }, _) => self.found(Key::Free, received),
            (Change::Saw { token: Some(token) }, Key::Held(known, _)) if known == some(token) => {
                self.state.key_seen = received.order;
            }
            (Change::Saw { token: Some(token) }, _) => {
                self.found(Key::Held(some(token), Expiry::Unknown), received);
            }
        }
        (before.key, before.flag) != (self.state.key, self.state.flag)
    }

    fn change(&mut self, key: Key<'a>, received: Moment) {
        self.changed = received;
        self.found(key, received);
    }

    fn found(&mut self, key: Key<'a>, received: Moment) {
        (self.state.key, self.state.key_seen) = (key, received.order);
    }
}

/// A token, unless it stands for something else.
fn some(token: &str) -> Option<&str> {
    Some(token).filter(|token| !token.is_empty())
}
