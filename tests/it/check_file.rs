//! The history file: what is written is read again, and what is wrong with a file is said.

use lock_history::history::{
    Change, Command, Effect, Event, EventKind, Failure, FailureKind, FileError, Head, History,
    Left, Moment, Operation, SCHEMA, Sharing, Verb, Write,
};
use proptest::prelude::*;

fn read(text: impl AsRef<[u8]>) -> Result<History, FileError> {
    History::read("run.jsonl", &mut text.as_ref())
}

fn error(text: impl AsRef<[u8]>) -> String {
    read(text).unwrap_err().to_string()
}

fn written(history: &History) -> Vec<u8> {
    let mut out = Vec::new();
    history.write(&mut out).unwrap();
    out
}

fn operation() -> impl Strategy<Value = Operation> {
    let write = (any::<u64>(), any::<u64>(), any::<u64>())
        .prop_map(|(based_on, replaced, wrote)| Write { based_on, replaced, wrote });
    (
        any::<usize>(),
        any::<String>(),
        prop::option::of(any::<String>()),
        prop::option::of(0..3usize),
        prop::option::of(any::<String>()),
        (prop::option::of(any::<u64>()), prop::option::of(any::<u64>())),
        prop::option::of(write),
    )
        .prop_map(|(number, verb, name, lock, token, (lease, fence), write)| Operation {
            number,
            verb: verb.as_str().into(),
            name,
            lock,
            lease,
            token,
            fence,
            write,
        })
}

fn failure() -> impl Strategy<Value = Failure> {
    use FailureKind::*;
    let kinds =
        [AlreadyLocked, LostLock, Refused, Crashed, Injected, Environment, Interrupted, TimedOut];
    (prop::sample::select(kinds.to_vec()), any::<String>())
        .prop_map(|(kind, message)| Failure { kind, message })
}

fn effects() -> impl Strategy<Value = Vec<Effect>> {
    let number = || prop::option::of(any::<u64>());
    let change = prop_oneof![
        (any::<String>(), number(), number()).prop_map(|(token, fence, lease)| Change::Took {
            token,
            fence,
            lease
        }),
        (any::<String>(), number()).prop_map(|(token, lease)| Change::Overwrote { token, lease }),
        Just(Change::Refused),
        prop::option::of(any::<String>()).prop_map(|token| Change::Saw { token }),
        any::<u64>().prop_map(|lease| Change::Extended { lease }),
        prop::option::of(any::<String>()).prop_map(|token| Change::Deleted { token }),
        any::<bool>().prop_map(|locked| Change::Flagged { locked }),
    ];
    prop::collection::vec(
        (0..3usize, change).prop_map(|(lock, change)| Effect { lock, change }),
        0..3,
    )
}

fn kind() -> impl Strategy<Value = EventKind> {
    let moment = (any::<u64>(), any::<u64>()).prop_map(|(order, at)| Moment { order, at });
    let command = (
        moment,
        any::<String>(),
        any::<String>(),
        effects(),
        prop::option::of(any::<String>().prop_map(|verb| Verb::from(&*verb))),
    )
        .prop_map(|(sent, text, reply, effects, late)| Command {
            sent,
            text,
            reply,
            effects,
            late,
        });
    let tokens = prop::collection::vec(any::<String>(), 0..3);
    let acquirable = prop::option::of(any::<bool>());
    let token = prop::option::of(any::<String>());
    let flags = (any::<bool>(), any::<bool>());
    let left = (0..3usize, token, any::<i64>(), flags, tokens, acquirable).prop_map(
        |(lock, token, ttl_ms, (flag, held_elsewhere), remembered, acquirable)| Left {
            lock,
            token,
            ttl_ms,
            flag,
            remembered,
            acquirable,
            held_elsewhere,
        },
    );
    let key = prop::option::of(any::<String>());
    prop_oneof![
        Just(EventKind::Started),
        operation().prop_map(EventKind::Invoked),
        operation().prop_map(EventKind::Completed),
        (operation(), failure())
            .prop_map(|(operation, failure)| EventKind::Failed { operation, failure }),
        command.prop_map(EventKind::Command),
        (any::<String>(), effects(), prop::option::of(0..3usize), key, any::<bool>()).prop_map(
            |(what, effects, lease_of, expired_key, is_restart)| EventKind::Fault {
                what,
                effects,
                lease_of,
                expired_key,
                in_value: false,
                is_restart,
                clock_jump: None,
            }
        ),
        prop::option::of(failure()).prop_map(|failure| EventKind::Ended { failure }),
        left.prop_map(EventKind::Left),
    ]
}

fn history() -> impl Strategy<Value = History> {
    let names = || prop::collection::vec(any::<String>(), 3);
    let sharing = prop::option::of(prop_oneof![
        any::<u32>().prop_map(Sharing::Permits),
        prop::collection::vec(0..3usize, 0..3).prop_map(Sharing::Readers),
    ]);
    let texts = (any::<String>(), any::<String>(), names(), names(), names());
    let began = prop::option::of(any::<u64>());
    let positions = || prop::collection::vec(0..3usize, 0..3);
    let absent = (positions(), positions(), positions());
    let head = (texts, sharing, absent, began).prop_map(
        |(
            (scenario, protocol, actors, locks, incomplete),
            sharing,
            (never_seen, gone, pooled),
            began_us,
        )| Head {
            scenario,
            protocol,
            actors,
            locks,
            sharing,
            never_seen,
            gone,
            pooled,
            incomplete,
            began_us,
        },
    );
    let event = (any::<u64>(), any::<u64>(), prop::option::of(0..3usize), kind());
    (head, prop::collection::vec(event, 0..20), any::<bool>()).prop_map(
        |(head, events, is_complete)| {
            let mut events: Vec<Event> = events
                .into_iter()
                .map(|(order, at, actor, kind)| Event { moment: Moment { order, at }, actor, kind })
                .collect();
            events.sort_by_key(|event| event.moment.order);
            History { head, events, is_complete }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_written_is_read_again(history in history()) {
        let text = written(&history);
        prop_assert_eq!(&written(&history), &text);
        prop_assert_eq!(read(&text).unwrap(), history);
    }

    #[test]
    fn a_file_that_is_cut_is_not_whole(history in history(), part in 0.0..1.0f64) {
        let text = written(&history);
        let head = text.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let length = head + ((text.len() - head) as f64 * part) as usize;
        let cut = read(&text[..length]).unwrap();
        // Only the newline after the end may be missing.
        prop_assert!(!cut.is_complete || length == text.len() - 1);
        prop_assert_eq!(&cut.events, &history.events[..cut.events.len()]);
        prop_assert!(read(&text[..head - 2]).is_err());
    }

    #[test]
    fn no_bytes_make_the_reader_panic(
        history in history(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut text = written(&history);
        for (place, byte) in damage {
            let place = place.index(text.len());
            text[place] = byte;
        }
        if let Err(error) = read(&text) {
            prop_assert!(!error.to_string().chars().any(char::is_control));
        }
        let _ = read(&text[text.len() / 2..]);
    }
}

const HEAD: &str = r#"{"schema":"nodb-trigger/history/v1","scenario":"s","protocol":"legacy","actors":["A","B"],"locks":["l"]}"#;
const START: &str = r#"{"order":1,"at":0,"actor":0,"event":"started"}"#;

#[test]
fn the_file_is_what_it_is_said_to_be() {
    let history = History {
        head: Head {
            scenario: "s".into(),
            protocol: "legacy".into(),
            actors: vec!["A".into(), "B".into()],
            locks: vec!["l".into()],
            ..Head::default()
        },
        events: vec![Event {
            moment: Moment { order: 1, at: 0 },
            actor: Some(0),
            kind: EventKind::Started,
        }],
        is_complete: true,
    };
    let text = format!("{HEAD}\n{START}\n{{\"end\":1}}\n");
    assert_eq!(String::from_utf8(written(&history)).unwrap(), text);
    assert!(HEAD.contains(SCHEMA));
}

#[test]
fn unknown_members_and_a_missing_last_newline_are_no_error() {
    let head = HEAD.replace("\"scenario\"", "\"made_by\":[1,{}],\"scenario\"");
    let event = r#"{"order":1,"mood":{"deep":[[]]},"at":0,"actor":0,"event":"started"}"#;
    let history = read(format!("{head}\n{event}\n{{\"note\":1,\"end\":1}}")).unwrap();
    assert_eq!(history.events.len(), 1);
    assert!(history.is_complete);
}

#[test]
fn what_is_no_history_is_said_to_be_none() {
    assert_eq!(error(""), "run.jsonl is not a history: it is empty");
    assert_eq!(
        error("{}\n"),
        "run.jsonl is not a history: its first line does not name nodb-trigger/history/v1: missing \
         field `schema` (column 2)"
    );
    assert_eq!(
        error("{\"schema\":\"nodb-trigger/report/v1\"}\n"),
        "run.jsonl is not a history: its schema is \"nodb-trigger/report/v1\", not \
         nodb-trigger/history/v1"
    );
    assert!(error("\u{0}\u{1}\u{1b}[2J").starts_with("run.jsonl is not a history: "));
}

#[test]
fn a_newer_history_is_said_to_be_newer() {
    assert_eq!(
        error(HEAD.replace("/v1", "/v2")),
        "run.jsonl is a history of version 2, but this program reads version 1; check it with the \
         program that wrote it, or a newer one"
    );
    assert!(matches!(read(HEAD.replace("/v1", "/v0")), Err(FileError::NotAHistory { .. })));
}

#[test]
fn a_damaged_line_is_named_with_what_is_wrong_with_it() {
    let after = |line: &str| error(format!("{HEAD}\n{START}\n{line}\n"));
    assert_eq!(after(""), "run.jsonl, line 3: EOF while parsing a value (column 0)");
    assert_eq!(
        after("{\"order\":2,\"at\":0}"),
        "run.jsonl, line 3: missing field `event` (column 18)"
    );
    let unknown = after("{\"order\":2,\"at\":0,\"event\":\"danced\"}");
    assert!(
        unknown.starts_with("run.jsonl, line 3: unknown variant `danced`, expected "),
        "{unknown}"
    );
    assert!(
        after("{\"order\":-1,\"at\":0,\"event\":\"started\"}").contains("line 3: invalid value")
    );
    let broken = format!("{HEAD}\n{{\"order\":1,\n{START}\n");
    assert!(error(broken).starts_with("run.jsonl, line 2: EOF while parsing"));
    let long = format!("{{\"order\":2,\"at\":0,\"event\":\"{}\"}}", "x".repeat(9999));
    assert!(after(&long).len() < 300);
}

#[test]
fn what_contradicts_itself_is_an_error_that_says_where() {
    let after = |line: &str| error(format!("{HEAD}\n{START}\n{line}\n"));
    assert_eq!(
        after("{\"order\":0,\"at\":9,\"event\":\"started\"}"),
        "run.jsonl, line 3: order 0 comes after order 1"
    );
    assert_eq!(
        after("{\"order\":2,\"at\":0,\"actor\":2,\"event\":\"started\"}"),
        "run.jsonl, line 3: it speaks of an actor or a lock by a position that is not there: the \
         head names 2 actors and 1 locks"
    );
    assert!(
        after("{\"order\":2,\"at\":0,\"event\":\"left\",\"lock\":1,\"ttl_ms\":-2,\"flag\":false}")
            .contains("a position that is not there")
    );
    assert_eq!(after("{\"end\":2}"), "run.jsonl, line 3: the end counts 2 events, but there are 1");
    assert_eq!(
        after(&format!("{{\"end\":1}}\n{START}")),
        "run.jsonl, line 4: the history goes on after its end"
    );
}

#[test]
fn a_line_without_end_is_not_read_to_its_end() {
    let line = format!("{{\"order\":2,\"at\":0,\"event\":\"{}", "x".repeat(1 << 21));
    let found = error(format!("{HEAD}\n{line}\n"));
    assert_eq!(found, "run.jsonl, line 2: it has more than 1048576 bytes");
    let deep = format!("{HEAD}\n{{\"order\":{}\n", "[".repeat(1 << 19));
    assert!(error(deep).contains("recursion limit exceeded"));
    let mut endless = std::io::BufReader::new(std::io::repeat(b'['));
    assert!(History::read("/dev/zero", &mut endless).is_err());
}

#[test]
fn what_could_not_be_read_again_is_not_written() {
    let text = "x".repeat(1 << 20);
    let command = Command { text, ..Command::default() };
    let event = Event { moment: Moment::default(), actor: None, kind: EventKind::Command(command) };
    let history = History { events: vec![event], ..History::default() };
    assert!(history.write(&mut Vec::new()).is_err());
}
