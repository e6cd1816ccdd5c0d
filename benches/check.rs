//! How fast a history is judged: events a second, for a million events. Run with
//! `cargo bench --bench check`.

use lock_history::check::check;
use lock_history::history::{
    Change, Command, Effect, Event, EventKind, Failure, FailureKind, Head, History, Left, Moment,
    Operation, Write,
};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// The sizes, unless the environment says others.
const EVENTS: usize = 1_000_000;
const ROUNDS: usize = 7;

fn size(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().expect("a whole number"))
}

fn main() {
    println!(
        "{:<44} {:>9} {:>9} {:>10} {:>14}",
        "history", "events", "findings", "median", "events/s"
    );
    judge("10 actors take turns on one lock", &turns(10, 1, 0));
    judge("1000 actors on 10 locks, others refused", &turns(1000, 10, 3));
    judge("every release is somebody else's", &foreign());
}

fn judge(name: &str, history: &History) {
    let mut times: Vec<Duration> = Vec::new();
    let mut findings = 0;
    for _ in 0..size("ROUNDS", ROUNDS) {
        let begun = Instant::now();
        let checked = black_box(check(black_box(history)));
        times.push(begun.elapsed());
        assert!(checked.is_complete, "{name}");
        findings = checked.findings.len() as u64 + checked.omitted;
    }
    times.sort();
    let median = times[times.len() / 2];
    let rate = history.events.len() as f64 / median.as_secs_f64();
    let events = history.events.len();
    println!("{name:<44} {events:>9} {findings:>9} {median:>10.1?} {rate:>14.0}");
}

/// A history that is being written; a millisecond passes at each event.
struct Recorder {
    /// How many events there are to be.
    events: usize,
    history: History,
    order: u64,
    steps: Vec<usize>,
}

impl Recorder {
    fn new(actors: usize, locks: usize) -> Self {
        let head = Head {
            scenario: "bench".into(),
            protocol: "legacy".into(),
            actors: (0..actors).map(|actor| format!("actor-{actor}")).collect(),
            locks: (0..locks).map(|lock| format!("nodb-lock:run-{lock}:state.nodb")).collect(),
            ..Head::default()
        };
        let history = History {
            head,
            events: Vec::with_capacity(size("EVENTS", EVENTS) + 2000),
            is_complete: true,
        };
        let mut recorder =
            Self { events: size("EVENTS", EVENTS), history, order: 0, steps: vec![0; actors] };
        for actor in 0..actors {
            recorder.push(Some(actor), EventKind::Started);
        }
        recorder
    }

    fn is_full(&self) -> bool {
        self.history.events.len() >= self.events
    }

    fn moment(&mut self) -> Moment {
        self.order += 1;
        Moment { order: self.order, at: self.order * 1_000_000 }
    }

    fn push(&mut self, actor: Option<usize>, kind: EventKind) {
        let moment = self.moment();
        self.history.events.push(Event { moment, actor, kind });
    }

    fn command(&mut self, actor: usize, lock: usize, text: &str, change: Change) {
        let sent = self.moment();
        let effects = vec![Effect { lock, change }];
        let (text, reply) = (text.to_owned(), "OK".to_owned());
        self.push(
            Some(actor),
            EventKind::Command(Command { sent, text, reply, effects, late: None }),
        );
    }

    fn step(
        &mut self,
        actor: usize,
        lock: usize,
        verb: &'static str,
        body: impl FnOnce(&mut Self, &mut Operation) -> Option<FailureKind>,
    ) {
        let number = self.steps[actor];
        self.steps[actor] += 1;
        let mut operation =
            Operation { number, verb: verb.into(), lock: Some(lock), ..Operation::default() };
        self.push(Some(actor), EventKind::Invoked(operation.clone()));
        let end = match body(self, &mut operation) {
            None => EventKind::Completed(operation),
            Some(kind) => {
                let message = "lock() called on an already locked nodb".into();
                EventKind::Failed { operation, failure: Failure { kind, message } }
            }
        };
        self.push(Some(actor), end);
    }

    fn acquire(&mut self, actor: usize, lock: usize, token: &str, fence: u64) {
        self.step(actor, lock, "acquire", |recorder, operation| {
            let lease = Some(3_000_000_000_000);
            let took = Change::Took { token: token.to_owned(), fence: Some(fence), lease };
            recorder.command(actor, lock, "SET … NX EX 3000", took);
            recorder.command(actor, lock, "HSET … true", Change::Flagged { locked: true });
            operation.token = Some(token.to_owned());
            None
        });
    }

    fn release(&mut self, actor: usize, lock: usize, token: &str) {
        self.step(actor, lock, "release", |recorder, _| {
            let saw = Change::Saw { token: Some(token.to_owned()) };
            recorder.command(actor, lock, "GET …", saw);
            recorder.command(actor, lock, "DEL …", Change::Deleted { token: None });
            recorder.command(actor, lock, "HSET … false", Change::Flagged { locked: false });
            None
        });
    }

    fn finish(mut self) -> History {
        for actor in 0..self.steps.len() {
            self.push(Some(actor), EventKind::Ended { failure: None });
        }
        for lock in 0..self.history.head.locks.len() {
            let left = Left {
                lock,
                token: None,
                ttl_ms: -2,
                flag: false,
                remembered: Vec::new(),
                acquirable: None,
                held_elsewhere: false,
            };
            self.push(None, EventKind::Left(left));
        }
        self.history
    }
}

/// Each actor in turn acquires, writes and releases, while so many others are refused.
fn turns(actors: usize, locks: usize, refused: usize) -> History {
    let mut recorder = Recorder::new(actors, locks);
    let mut turn = 0;
    while !recorder.is_full() {
        let (actor, lock) = (turn % actors, turn % locks);
        let token = format!("{turn:032x}");
        recorder.acquire(actor, lock, &token, turn as u64);
        for other in 1..=refused {
            let other = (actor + other) % actors;
            recorder.step(other, lock, "acquire", |recorder, _| {
                recorder.command(other, lock, "SET … NX EX 3000", Change::Refused);
                Some(FailureKind::AlreadyLocked)
            });
        }
        let revision = (turn / locks) as u64;
        recorder.step(actor, lock, "dump", |recorder, operation| {
            let saw = Change::Saw { token: Some(token.clone()) };
            recorder.command(actor, lock, "GET …", saw);
            let (based_on, replaced, wrote) = (revision, revision, revision + 1);
            operation.write = Some(Write { based_on, replaced, wrote });
            operation.fence = Some(turn as u64);
            None
        });
        recorder.release(actor, lock, &token);
        turn += 1;
    }
    recorder.finish()
}

/// One actor acquires, the other releases.
fn foreign() -> History {
    let mut recorder = Recorder::new(2, 1);
    let mut turn: u64 = 0;
    while !recorder.is_full() {
        let token = format!("{turn:032x}");
        recorder.acquire(0, 0, &token, turn);
        recorder.release(1, 0, &token);
        turn += 1;
    }
    recorder.finish()
}
