use super::super::tests::widest;
use super::*;
use crate::report::json;
use crate::report::samples::assert_golden;
use crate::report::status::{Scene, Sightings, Typed};
use lock_lab::lock::{Doubt, Found, LockName, Payload, Sighting};
use proptest::prelude::*;
use std::time::Duration;

/// 2025-01-01 06:00 UTC.
const NOW: u64 = 1_735_711_200;

pub(super) fn scene(runid: Option<&str>) -> Scene {
    Scene {
        server: "redis://cache.example:6379".into(),
        runid: runid.map(str::to_owned),
        typed: Typed::new(Some("redis://cache.example:6379".into()))
            .by_hand(Some(["redis-cli", "-h", "cache.example"].map(String::from).into())),
        is_by_age: false,
        when: Duration::from_secs(NOW),
    }
}

fn lock(
    runid: &str,
    file: &str,
    found: Option<Found>,
    ttl_ms: i64,
    flag: Option<&str>,
) -> Sighting {
    Sighting {
        lock: LockName::new(runid, file),
        file: file.into(),
        found,
        ttl_ms,
        flag: flag.map(str::to_owned),
        fence: None,
        doubt: None,
    }
}

fn held(owner: &str, token: &str, ago: i64, life: Life) -> Option<Found> {
    let acquired_at = NOW as i64 - ago;
    let payload = serde_json::json!({"token": token, "owner": owner,
        "acquired_at": acquired_at, "expires_at": acquired_at + 21_600, "ttl": 21_600, "fence": 7});
    Some(Found::Payload { payload: Payload::decode(payload.to_string().as_bytes()), life })
}

fn value(raw: &[u8]) -> Option<Found> {
    Some(Found::Payload { payload: Payload::decode(raw), life: Life::Unnamed })
}

const TOKEN: &str = "3fa85f6457174562b3fc2c963f66afa6";

/// Every state that the locks of a run can be in.
pub(super) fn stuck() -> Vec<Sighting> {
    let lives = |command: &str| Life::Alive { command: command.into() };
    let uwsgi = "python3 /srv/app/worker.py --queue default";
    vec![
        lock(
            "debug",
            "climate.nodb",
            held("web1:4711", TOKEN, 12_345, Life::Dead),
            9_255_000,
            Some("true"),
        ),
        lock(
            "debug",
            "soils.nodb",
            held("web1:99", TOKEN, 3, lives(uwsgi)),
            21_597_000,
            Some("true"),
        ),
        lock(
            "debug",
            "wepp.nodb",
            held("web2:17", TOKEN, 600, Life::Elsewhere),
            21_000_000,
            Some("true"),
        ),
        Sighting {
            fence: Some("9".into()),
            ..lock(
                "debug",
                "ron.nodb",
                held("web2:18", TOKEN, 600, Life::Elsewhere),
                -1,
                Some("true"),
            )
        },
        lock(
            "debug",
            "topaz.nodb",
            held("web1:99", TOKEN, -75, lives(uwsgi)),
            21_675_000,
            Some("false"),
        ),
        lock("debug", "unitizer.nodb", None, -2, Some("true")),
        lock("debug", "landuse.nodb", value(b"locked by hand"), -1, None),
        lock("debug", "disturbed.nodb", Some(Found::TooLong { bytes: 536_870_912 }), 4000, None),
        lock(
            "debug",
            "watershed.nodb",
            held("web1:7", TOKEN, 90_000, Life::Younger { command: "sh -c make".into() }),
            5000,
            Some("true"),
        ),
        Sighting {
            doubt: Some(Doubt::Hidden("NOPERM No permissions to access a key".into())),
            ..lock("debug", "mods.nodb", None, -2, None)
        },
        lock("debug", "redis_prep.nodb", None, -2, Some("false")),
    ]
}

/// Names chosen to harm their reader.
fn hostile() -> Vec<Sighting> {
    let lives = Life::Alive { command: "sh -c 'echo \u{1b}[2J'\nrm".into() };
    vec![
        lock(
            "it's\nb*",
            "a\u{1b}[2J ロック.nodb",
            held("h\u{202e}ost:1", "\u{7}bell", 5, Life::Dead),
            100_000,
            Some("true"),
        ),
        lock(
            "it's\nb*",
            "b.nodb",
            held("host:2", TOKEN, 5, lives),
            100_000,
            Some("tr\u{1b}[31mue and so on and on"),
        ),
        lock("no/run", "c.nodb", held("host:3", TOKEN, 5, Life::Dead), 100_000, Some("true")),
        lock("no/run", "d.nodb", None, -2, Some("true")),
        lock("r", "", held("host:3", TOKEN, 5, Life::Dead), 100_000, Some("true")),
        lock("-rf", "--all", None, -2, Some("true")),
        lock(
            "r",
            "_pups/a-directory-with-a-very-long-name/another-one-of-that-kind/and-one-more/x.nodb",
            Some(Found::OtherType { name: "list".into() }),
            -1,
            None,
        ),
        lock("r", "x", value(b"\xff\0\x1b[2J"), -1, None),
    ]
}

pub(super) fn status(
    runid: Option<&str>,
    most: usize,
    locks: Vec<Sighting>,
    notes: &[&str],
) -> Status {
    let mut sightings = Sightings::first(most);
    locks.into_iter().for_each(|lock| sightings.take(lock));
    let notes = notes.iter().map(|note| note.to_string()).collect();
    sightings.status(scene(runid), notes)
}

pub(super) fn drawn(status: &Status, live: Option<&str>, width: u16, color: bool) -> String {
    let mut bytes = Vec::new();
    write_status(status, live, Style { width, color }, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// The widest line, but for commands, which stay on one.
pub(super) fn widest_but_commands(text: &str) -> usize {
    let is_command = |line: &&str| line.contains("nodb-trigger ") || line.contains("redis-cli ");
    widest(&text.lines().filter(|line| !is_command(line)).collect::<Vec<_>>().join("\n"))
}

#[test]
fn golden_status() {
    let stuck = status(Some("debug"), 20, stuck(), &["this server is a replica"]);
    let hostile = status(None, 20, hostile(), &["left out: 1 name that is\u{1b}[2J no UTF-8"]);
    for width in [40, 80, 120] {
        for (name, status) in [("stuck", &stuck), ("hostile", &hostile)] {
            let text = drawn(status, None, width, false);
            assert!(widest_but_commands(&text) <= usize::from(width), "{text}");
            assert!(!text.contains('\u{1b}'), "{text}");
            assert_golden(&format!("status-{name}-{width}.txt"), &text);
        }
    }
    let mut bytes = Vec::new();
    json::write(&stuck, &mut bytes).unwrap();
    assert_golden("status.json", &String::from_utf8(bytes).unwrap());
}

#[test]
fn golden_status_of_many() {
    let gone = |run: usize, file: usize| {
        let found = held("web1:4711", TOKEN, 7200, Life::Dead);
        lock(&format!("run{run}"), &format!("{file}.nodb"), found, 14_400_000, Some("true"))
    };
    let locks = (0..500).flat_map(|run| (0..4).map(move |file| gone(run, file))).collect();
    let live = Some("live by a look every 1 s; q ends it");
    let text = drawn(&status(None, 4, locks, &[]), live, 80, false);
    assert_golden("status-many-80.txt", &text);
}

#[test]
fn times_are_not_broken_and_absurd_ones_are_called_so() {
    let owner = "a-host-with-a-rather-long-name.example.com:2147483647";
    let long = "_pups/omni/a/rather/long/name.nodb";
    let mut ahead = held(owner, TOKEN, 93_600, Life::Dead);
    let locks = vec![
        lock("debug", long, ahead.clone(), 21_000_000, Some("true")),
        lock("debug", "soon.nodb", ahead.take(), 352, Some("true")),
        lock(
            "debug",
            "absurd.nodb",
            value(br#"{"token":"t","owner":"web1:1","acquired_at":18446744073709551615}"#),
            5000,
            Some("true"),
        ),
    ];
    let text = drawn(&status(Some("debug"), 20, locks, &[]), None, 80, false);
    assert!(text.contains("1 d 2 h") && text.contains("5 h 50 min"), "{text}");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("ends in 352 ms"), "{text}");
    assert!(text.contains("times make no sense") && !text.contains("s ahead"), "{text}");
}

#[test]
fn colour_only_adds_to_the_words() {
    let status = status(Some("debug"), 20, stuck(), &[]);
    let plain = drawn(&status, None, 80, false);
    let coloured = drawn(&status, None, 80, true);
    let mut words = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        words.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    assert_eq!(words + rest, plain);
}

#[test]
fn what_time_does_is_no_change_and_anything_else_is() {
    let seen = || status(Some("debug"), 20, stuck(), &[]);
    let later = seen().later(Duration::from_secs(5));
    assert!(seen().shows_the_same(&later));
    let text = drawn(&later, None, 80, false);
    assert!(text.contains("T06:00:05Z"), "{text}");
    assert!(text.contains("1 d 1 h     0 s"), "{text}");
    let mut other = stuck();
    other[0].flag = None;
    assert!(!seen().shows_the_same(&status(Some("debug"), 20, other, &[])));
    let mut other = stuck();
    other[1].ttl_ms = -1;
    assert!(!seen().shows_the_same(&status(Some("debug"), 20, other, &[])));
    assert!(!seen().shows_the_same(&status(Some("debug"), 20, stuck(), &["a note"])));
}

proptest! {
    #[test]
    fn nothing_that_is_shown_moves_the_cursor(
        runid in any::<String>(), file in any::<String>(), raw in any::<Vec<u8>>(),
        flag in any::<Option<String>>(), width in 10_u16..130,
    ) {
        let locks = vec![lock(&runid, &file, value(&raw), -1, flag.as_deref())];
        let text = drawn(&status(None, 20, locks, &[]), None, width, false);
        prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{}", text);
    }
}
