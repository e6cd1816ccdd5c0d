//! The recorder of a run.

use crate::history::{Event, EventKind, Failure, FailureKind, Head, History, Moment, Sharing};

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

    /// The same of locks that actors share.
    pub fn with_sharing(mut self, sharing: Option<Sharing>) -> Self {
        self.head.sharing = sharing;
        self
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
        History { head: self.head, events: self.events, is_complete: true }
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
