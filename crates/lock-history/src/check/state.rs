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
    /// An acquire succeeded over a lock whose lease lasted: the reply to its deletion is still to come.
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
                self.change(Key::Held(some(token), ends(lease)), received);
                self.awaits_deletion = match held {
                    Key::Held(_, Expiry::Never) => true,
                    Key::Held(_, Expiry::At(end)) => received.at.saturating_add(ahead) < end,
                    Key::Held(_, Expiry::Unknown) | Key::Free | Key::Unknown => false,
                };
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
            // A TTL of 0 deletes the key.
            (Change::Extended { lease: 0 } | Change::Deleted { .. }, _) => {
                self.change(Key::Free, received);
            }
            (Change::Extended { lease }, key) => {
                let token = match key {
                    Key::Held(token, _) => token,
                    _ => None,
                };
                self.change(Key::Held(token, until(*lease)), received);
            }
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
        (self.changed, self.awaits_deletion) = (received, false);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(order: u64) -> Moment {
        Moment { order, at: order }
    }

    fn command(sent: u64, received: u64, change: Change) -> Event {
        let effects = vec![Effect { lock: 0, change }];
        let command = Command { sent: moment(sent), effects, ..Command::default() };
        Event { moment: moment(received), actor: Some(0), kind: EventKind::Command(command) }
    }

    fn took(token: &str) -> Change {
        Change::Took { token: token.into(), fence: None, lease: None }
    }

    /// The state after all of these events, from a free lock.
    fn after(events: &[Event]) -> (Key<'_>, Option<bool>) {
        let free = LockState { key: Key::Free, flag: Some(false), ..LockState::default() };
        let mut states = LockStates::new([free]);
        events.iter().for_each(|event| drop(states.apply(event)));
        let state = states.of(0);
        (state.key, state.flag)
    }

    #[test]
    fn a_deletion_and_an_acquire_that_overlap_have_one_possible_order() {
        let deleted = || Change::Deleted { token: None };
        let held = Key::Held(Some("b"), Expiry::Never);
        let first = command(1, 2, took("a"));
        let replies = [first.clone(), command(3, 5, took("b")), command(4, 6, deleted())];
        assert_eq!(after(&replies).0, held, "the reply to the acquire came first");
        let replies = [first, command(4, 5, deleted()), command(3, 6, took("b"))];
        assert_eq!(after(&replies).0, held, "the reply to the deletion came first");
        let expired = Change::Took { token: "a".into(), fence: None, lease: Some(1) };
        let replies = [command(1, 2, expired), command(3, 5, took("b")), command(4, 6, deleted())];
        assert_eq!(after(&replies).0, Key::Unknown, "the first lock may have expired");
    }

    #[test]
    fn what_overlapping_commands_leave_is_unknown_until_it_is_seen() {
        let overwrote = |token: &str| Change::Overwrote { token: token.into(), lease: None };
        let mut events = vec![command(1, 4, overwrote("a")), command(2, 5, overwrote("b"))];
        assert_eq!(after(&events).0, Key::Unknown);
        events.push(command(6, 7, Change::Saw { token: Some("a".into()) }));
        assert_eq!(after(&events).0, Key::Held(Some("a"), Expiry::Unknown));
        let flagged = |locked| Change::Flagged { locked };
        let mut events = vec![command(1, 4, flagged(true)), command(2, 5, flagged(false))];
        assert_eq!(after(&events).1, None);
        events.push(command(6, 7, flagged(true)));
        assert_eq!(after(&events).1, Some(true));
    }

    #[test]
    fn a_lease_is_over_when_its_last_millisecond_is() {
        let lease = Some(5_000_000);
        let took = Change::Took { token: "a".into(), fence: None, lease };
        let events = [command(0, 0, took)];
        let mut states = LockStates::new([LockState::default()]);
        states.apply(&events[0]);
        assert_eq!(states.expire_before(5_999_999), None);
        assert_eq!(states.expire_before(6_000_000), Some((0, 5_000_000, Some("a"))));
        assert_eq!(states.of(0).key, Key::Free);
    }

    #[test]
    fn a_jump_of_the_clock_shortens_the_lease() {
        let lease = Some(30_000_000_000);
        let took = Change::Took { token: "a".into(), fence: None, lease };
        let jump = EventKind::clock_jumped(String::new(), std::time::Duration::from_secs(20));
        let jump = Event { moment: moment(2), actor: None, kind: jump };
        let events = [command(0, 0, took), jump];
        let mut states = LockStates::new([LockState::default()]);
        events.iter().for_each(|event| drop(states.apply(event)));
        assert_eq!(states.of(0).key, Key::Held(Some("a"), Expiry::At(10_000_000_000)));
    }
}
