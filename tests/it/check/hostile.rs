//! Histories that nobody recorded: whatever they hold, judging them ends soon and well.

use lock_history::check::{Checked, check};
use lock_history::history::{
    Change, Command, Effect, Event, EventKind, Failure, FailureKind, Head, History, Left, Moment,
    Operation, Write,
};
use proptest::prelude::*;
use rustix::time::{ClockId, clock_gettime};

fn head(actors: usize, locks: usize) -> Head {
    Head {
        actors: (0..actors).map(|actor| format!("actor {actor}")).collect(),
        locks: (0..locks).map(|lock| format!("lock {lock}")).collect(),
        ..Head::default()
    }
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![3 => 0..4u64, 1 => Just(u64::MAX), 1 => any::<u64>()]
}

fn moment() -> impl Strategy<Value = Moment> {
    (number(), number()).prop_map(|(order, at)| Moment { order, at })
}

fn position() -> impl Strategy<Value = usize> {
    prop_oneof![9 => 0..3usize, 1 => Just(usize::MAX)]
}

fn token() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[ab]", Just("\u{1b}[2J".to_owned())]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (token(), prop::option::of(number()), prop::option::of(number()))
            .prop_map(|(token, fence, lease)| Change::Took { token, fence, lease }),
        (token(), prop::option::of(number()))
            .prop_map(|(token, lease)| Change::Overwrote { token, lease }),
        Just(Change::Refused),
        prop::option::of(token()).prop_map(|token| Change::Saw { token }),
        number().prop_map(|lease| Change::Extended { lease }),
        prop::option::of(token()).prop_map(|token| Change::Deleted { token }),
        any::<bool>().prop_map(|locked| Change::Flagged { locked }),
    ]
}

fn effects() -> impl Strategy<Value = Vec<Effect>> {
    let effect = (position(), change()).prop_map(|(lock, change)| Effect { lock, change });
    prop::collection::vec(effect, 0..4)
}

fn operation() -> impl Strategy<Value = Operation> {
    let verbs = prop::sample::select(vec!["acquire", "release", "dump", "forget_token", "", "x"]);
    let write = (number(), number(), number()).prop_map(|(based_on, replaced, wrote)| Write {
        based_on,
        replaced,
        wrote,
    });
    let fence = prop::option::of(number());
    (0..3usize, verbs, prop::option::of(position()), fence, prop::option::of(write)).prop_map(
        |(number, verb, lock, fence, write)| Operation {
            number,
            verb: verb.into(),
            lock,
            fence,
            write,
            ..Operation::default()
        },
    )
}

fn failure() -> impl Strategy<Value = Failure> {
    let kinds = vec![FailureKind::LostLock, FailureKind::Crashed, FailureKind::TimedOut];
    prop::sample::select(kinds).prop_map(|kind| Failure { kind, message: String::new() })
}

fn kind() -> impl Strategy<Value = EventKind> {
    prop_oneof![
        1 => Just(EventKind::Started),
        3 => operation().prop_map(EventKind::Invoked),
        3 => operation().prop_map(EventKind::Completed),
        1 => (operation(), failure())
            .prop_map(|(operation, failure)| EventKind::Failed { operation, failure }),
        5 => (moment(), effects()).prop_map(|(sent, effects)| EventKind::Command(Command {
            sent,
            effects,
            ..Command::default()
        })),
        1 => effects().prop_map(|effects| EventKind::fault("\n".into(), effects)),
        1 => prop::option::of(failure()).prop_map(|failure| EventKind::Ended { failure }),
        1 => (position(), prop::option::of(token()), any::<i64>(), any::<bool>()).prop_map(
            |(lock, token, ttl_ms, flag)| EventKind::Left(Left {
                lock,
                token,
                ttl_ms,
                flag,
                remembered: vec!["a".into(), "b".into()],
                acquirable: None,
                held_elsewhere: false,
            })
        ),
    ]
}

/// Events that come in order, or in none, by actors who started, or didn't.
fn history() -> impl Strategy<Value = History> {
    let event = (moment(), prop::option::weighted(0.9, position()), kind());
    let events = prop::collection::vec(event, 0..60);
    (events, any::<bool>(), prop::bool::weighted(0.8)).prop_map(
        |(events, is_complete, is_sorted)| {
            let begin = |actor| Event {
                moment: Moment::default(),
                actor: Some(actor),
                kind: EventKind::Started,
            };
            let mut all: Vec<Event> = (0..3).map(begin).collect();
            for (order, (moment, actor, mut kind)) in (0u64..).zip(events) {
                let mut moment = moment;
                let mut actor = actor;
                if is_sorted {
                    moment.order = order;
                    actor = actor.map(|actor| actor % 3);
                    if let EventKind::Command(command) = &mut kind {
                        command.sent.order = command.sent.order.min(order);
                        command.sent.at = command.sent.at.min(moment.at);
                        command.effects.iter_mut().for_each(|effect| effect.lock %= 3);
                    }
                }
                all.push(Event { moment, actor, kind });
            }
            History { head: head(3, 3), events: all, is_complete }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(debug_assertions) { 1000 } else { 50_000 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn nothing_makes_a_checker_panic(history in history()) {
        let checked = check(&history);
        for finding in &checked.findings {
            prop_assert!(finding.lock < 3 && finding.actors.iter().all(|actor| *actor < 3));
            prop_assert!(!finding.text.to_string().chars().any(char::is_control));
        }
    }
}

#[test]
fn an_empty_history_is_not_whole() {
    let mut history = History { is_complete: true, ..History::default() };
    assert!(!check(&history).is_complete);
    history.head = head(2, 1);
    assert!(!check(&history).is_complete);
    history.head = head(0, 1);
    assert!(!check(&history).is_complete);
}

/// How many events the large histories have: anything quadratic would hang.
const MANY: u64 = if cfg!(debug_assertions) { 200_000 } else { 1_000_000 };

/// More processor time than any takes: a busy machine takes longer, but not more of it.
const ENOUGH: i64 = 300;

fn judged(name: &str, history: &History) -> Checked {
    let used = || clock_gettime(ClockId::ThreadCPUTime).tv_sec;
    let before = used();
    let checked = check(history);
    let seconds = used() - before;
    assert!(seconds < ENOUGH, "{name}: the check took {seconds} s of processor time");
    checked
}

fn is_judged(name: &str, actors: usize, events: impl Iterator<Item = (Option<usize>, EventKind)>) {
    let started = (0..actors).map(|actor| (Some(actor), EventKind::Started));
    let events = (0..).zip(started.chain(events)).map(|(order, (actor, kind))| {
        let moment = Moment { order, at: order };
        Event { moment, actor, kind }
    });
    let history = History { head: head(actors, 1), events: events.collect(), is_complete: true };
    assert!(judged(name, &history).findings.len() <= 10_000, "{name}");
}

fn command(sent: u64, change: Change) -> EventKind {
    let effects = vec![Effect { lock: 0, change }];
    let sent = Moment { order: sent, at: sent };
    EventKind::Command(Command { sent, effects, ..Command::default() })
}

fn took(order: u64) -> Change {
    Change::Took { token: format!("{}", order / 2), fence: Some(order), lease: Some(order) }
}

fn step(number: u64, verb: &'static str) -> Operation {
    Operation {
        number: number as usize,
        verb: verb.into(),
        lock: Some(0),
        write: Some(Write { based_on: 0, replaced: number / 2, wrote: number }),
        fence: Some(u64::MAX - number),
        ..Operation::default()
    }
}

#[test]
fn large_hostile_histories_are_judged() {
    let all = || 0..MANY;
    // Every span overlaps every other.
    is_judged(
        "overlapping takes",
        2,
        all().map(|n| {
            (
                Some((n % 2) as usize),
                command(0, if n % 2 == 0 { took(n) } else { Change::Deleted { token: None } }),
            )
        }),
    );
    is_judged(
        "overlapping extensions",
        2,
        all().map(|n| {
            (Some(0), command(0, if n % 2 == 0 { took(n) } else { Change::Extended { lease: n } }))
        }),
    );
    is_judged("the same again", 1, all().map(|_| (Some(0), command(0, took(0)))));
    // Ten thousand actors believe at once, again and again.
    is_judged(
        "beliefs",
        10_000,
        all().flat_map(|n| {
            let actor = Some((n / 2 % 10_000) as usize);
            let operation = step(n / 2, "acquire");
            [(
                actor,
                if n % 2 == 0 {
                    EventKind::Invoked(operation)
                } else {
                    EventKind::Completed(operation)
                },
            )]
        }),
    );
    is_judged(
        "steps that never end",
        1,
        all().map(|n| (Some(0), EventKind::Invoked(step(n, "acquire")))),
    );
    is_judged(
        "ends of nothing",
        1,
        all().map(|n| {
            let invoked = n < MANY / 2;
            let operation = step(if invoked { n } else { 0 }, "release");
            (
                Some(0),
                if invoked {
                    EventKind::Invoked(operation)
                } else {
                    EventKind::Completed(operation)
                },
            )
        }),
    );
    is_judged(
        "stale writes",
        3,
        all().map(|n| {
            let operation = step(n / 2, "dump");
            let actor = Some((n / 2 % 3) as usize);
            (
                actor,
                if n % 2 == 0 {
                    EventKind::Invoked(operation)
                } else {
                    EventKind::Completed(operation)
                },
            )
        }),
    );
    let ended = std::iter::once((Some(0), EventKind::Ended { failure: None }));
    is_judged(
        "looks at the end",
        1,
        ended.chain(all().map(|n| {
            let token = Some(format!("{n}"));
            let remembered = vec![String::new(); 3000 * (n + 1 == MANY) as usize];
            (
                None,
                EventKind::Left(Left {
                    lock: 0,
                    token,
                    ttl_ms: i64::MAX,
                    flag: false,
                    remembered,
                    acquirable: None,
                    held_elsewhere: false,
                }),
            )
        })),
    );
    is_judged("foreign releases", 3, foreign_releases());
}

/// B takes the lock and A deletes it, again and again.
fn foreign_releases() -> impl Iterator<Item = (Option<usize>, EventKind)> {
    (0..MANY / 6).flat_map(|n| {
        let order = 3 + n * 6;
        let number = n * 2;
        [
            (Some(1), EventKind::Invoked(step(number, "acquire"))),
            (Some(1), command(order + 1, took(n * 2))),
            (Some(1), EventKind::Completed(step(number, "acquire"))),
            (Some(0), EventKind::Invoked(step(number, "release"))),
            (Some(0), command(order + 4, Change::Deleted { token: None })),
            (Some(0), EventKind::Completed(step(number, "release"))),
        ]
    })
}

/// A chain of waiting actors, at whose end one actor tries again and again.
fn chain(actors: usize) -> History {
    let mut events = Vec::new();
    let mut push = |actor: Option<usize>, kind| {
        let order = events.len() as u64;
        events.push(Event { moment: Moment { order, at: order }, actor, kind });
    };
    let operation = |number: usize, lock: usize| Operation {
        number,
        verb: "acquire".into(),
        lock: Some(lock),
        ..Operation::default()
    };
    let failure = || Failure { kind: FailureKind::TimedOut, message: String::new() };
    for actor in 0..actors {
        push(Some(actor), EventKind::Started);
        push(Some(actor), EventKind::Invoked(operation(0, actor)));
        push(Some(actor), EventKind::Completed(operation(0, actor)));
    }
    for actor in 1..actors {
        push(Some(actor), EventKind::Invoked(operation(1, actor - 1)));
    }
    for number in 1..actors {
        push(Some(0), EventKind::Invoked(operation(number, actors - 1)));
        let operation = operation(number, actors - 1);
        push(Some(0), EventKind::Failed { operation, failure: failure() });
    }
    for actor in 0..actors {
        if actor > 0 {
            let operation = operation(1, actor - 1);
            push(Some(actor), EventKind::Failed { operation, failure: failure() });
        }
        push(Some(actor), EventKind::Ended { failure: None });
    }
    for lock in 0..actors {
        push(
            None,
            EventKind::Left(Left {
                lock,
                token: None,
                ttl_ms: -2,
                flag: false,
                remembered: vec![],
                acquirable: None,
                held_elsewhere: false,
            }),
        );
    }
    History { head: head(actors, actors), events, is_complete: true }
}

#[test]
fn a_long_chain_of_waits_is_followed_or_said_not_to_be() {
    let short = check(&chain(100));
    assert!(short.is_complete);
    assert_eq!(short.findings.len(), 99);
    assert_eq!(short.findings.first().map(|finding| finding.actors.len()), Some(100));
    let long = judged("long", &chain(if cfg!(debug_assertions) { 1000 } else { 20_000 }));
    assert!(!long.is_complete);
}
