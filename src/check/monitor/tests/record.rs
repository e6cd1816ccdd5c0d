//! Chance, and the recorder of a run.

use crate::history::{Event, EventKind, Failure, FailureKind, Head, History, Moment};

/// SplitMix64.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    pub fn pick<T: Clone>(&mut self, among: &[T]) -> T {
        among[self.below(among.len())].clone()
    }
}

/// Puts happenings into a history.
#[derive(Debug, Clone)]
pub struct Recorder {
    head: Head,
    events: Vec<Event>,
    order: u64,
    numbers: Vec<(usize, Vec<usize>)>,
}

impl Recorder {
    pub fn new(actors: usize, locks: usize) -> Self {
        let names = |kind: &str, count| (0..count).map(|it| format!("{kind}{it}")).collect();
        let (actors, locks): (Vec<String>, _) = (names("a", actors), names("l", locks));
        let numbers = vec![(0, Vec::new()); actors.len()];
        let head = Head { actors, locks, ..Head::default() };
        Self { head, events: Vec::new(), order: 0, numbers }
    }

    pub fn record(&mut self, actor: Option<usize>, mut kind: EventKind) {
        match &mut kind {
            EventKind::Invoked(operation) => {
                let (next, open) = &mut self.numbers[actor.unwrap()];
                operation.number = *next;
                open.push(*next);
                *next += 1;
            }
            EventKind::Completed(operation) | EventKind::Failed { operation, .. } => {
                operation.number = self.numbers[actor.unwrap()].1.pop().unwrap();
            }
            EventKind::Command(command) => command.sent = self.moment(),
            _ => {}
        }
        let moment = self.moment();
        self.events.push(Event { moment, actor, kind });
    }

    fn moment(&mut self) -> Moment {
        self.order += 1;
        Moment { order: self.order, at: self.order }
    }

    pub fn history(self) -> History {
        History { head: self.head, events: self.events, is_whole: true }
    }
}

/// Why steps fail.
pub const KINDS: [FailureKind; 9] = [
    FailureKind::AlreadyLocked,
    FailureKind::LostLock,
    FailureKind::LostLock,
    FailureKind::Refused,
    FailureKind::Crashed,
    FailureKind::Injected,
    FailureKind::Environment,
    FailureKind::Interrupted,
    FailureKind::TimedOut,
];

/// A failure of this kind.
pub fn failure(kind: FailureKind) -> Failure {
    Failure { kind, message: "as the model says".into() }
}

/// A token's name.
pub fn token(token: u64) -> String {
    format!("t{token}")
}
