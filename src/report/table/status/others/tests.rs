use super::super::tests::{drawn, scene, status, stuck, widest_but_commands};
use crate::report::json;
use crate::report::samples::assert_golden;
use crate::report::status::{OtherSightings, Status};
use lock_lab::format::{Content, Covered, Family, Key, Looking, OtherLock, Recognised, recognise};
use proptest::prelude::*;
use std::time::Duration;

/// 2025-01-01 06:00 UTC.
const NOW: Duration = Duration::from_secs(1_735_711_200);
const CLIENT: &str = "b0a1c2d3-1111-4222-8333-444455556666";

fn string(value: &[u8]) -> Content {
    Content::String { length: value.len() as u64, start: value.to_vec() }
}

fn hash(fields: &[(&str, &str)]) -> Content {
    let field = |(name, value): &(&str, &str)| ((*name).into(), Some((*value).into()));
    Content::Hash { size: fields.len() as u64, fields: fields.iter().map(field).collect() }
}

/// A server with these keys.
fn seen(most: usize, keys: &[(&[u8], Content, i64)]) -> Status {
    let mut sightings = OtherSightings::first(most);
    let mut covered = Covered { keys: 26_000, unread: 1, ..Covered::default() };
    for (name, content, ttl_ms) in keys {
        let ttl_ms = *ttl_ms;
        match recognise(&Key { name, content, ttl_ms, now: NOW }) {
            Some(Recognised::Lock(lock)) => {
                let (key, shown_by) = (name.to_vec(), content.shown_by());
                sightings.take(OtherLock { key, ttl_ms, shown_by, lock, is_moving: false });
            }
            Some(Recognised::Maybe { why }) => covered.families.push(Family {
                shape: String::from_utf8_lossy(name).into_owned(),
                why,
                keys: 1,
                examples: vec![Looking { key: name.to_vec(), ttl_ms }],
            }),
            _ => {}
        }
    }
    covered.families.push(Family {
        shape: "session:*".into(),
        why: "a UUID, random like a lock's token, but the name says no lock".into(),
        keys: 12_000,
        examples: vec![Looking { key: b"session:7".to_vec(), ttl_ms: 1 }],
    });
    let mut seen = status(None, most, Vec::new(), &[]);
    seen.others = Some(sightings.others(scene(None), 0, Vec::new(), covered));
    seen
}

fn locks() -> Vec<(&'static [u8], Content, i64)> {
    let holder = "b0a1c2d3-1111-4222-8333-444455556666:46";
    vec![
        (b"order:{4711}", hash(&[(holder, "2")]), 29_500),
        (b"stock", hash(&[("mode", "read"), (holder, "1"), (CLIENT_2, "1")]), 29_500),
        (b"job-lock:default:nightly", string(b"ADDED:2025-01-01T02:00:00Z@worker-a"), 600_000),
        (b"SINGLETONLOCK_c0ffee", string(CLIENT.as_bytes()), -1),
        (b"lock:far", string(b"0a1b2c3d4e5f60718293a4b5c6d7e8f9"), 1_732_845_600_000),
        (
            b"lock:\xff\n",
            string(b"\xff\xfe\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e"),
            -1,
        ),
        (b"job\x1b[2J", string(b"ADDED:2025-01-01T02:00:00Z@ho\x1b[2Jst"), 600_000),
        (b"lock:one\x1b[2J", string(b"1"), 60_000),
        (b"lock_periodic", string(b"1"), 1_732_845_600_000),
    ]
}

const CLIENT_2: &str = "b0a1c2d3-1111-4222-8333-444455556666:47";

#[test]
fn golden_status_of_other_libraries() {
    let seen = seen(20, &locks());
    for width in [40, 80, 120] {
        let text = drawn(&seen, None, width, false);
        assert!(widest_but_commands(&text) <= usize::from(width), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
        assert_golden(&format!("status-others-{width}.txt"), &text);
    }
    let mut bytes = Vec::new();
    json::write(&seen, &mut bytes).unwrap();
    assert_golden("status-others.json", &String::from_utf8(bytes).unwrap());
}

#[test]
fn the_locks_of_nodb_come_first_and_of_many_only_some_are_shown() {
    let holder = || hash(&[("b0a1c2d3-1111-4222-8333-444455556666:46", "1")]);
    let names: Vec<Vec<u8>> = (0..50).map(|number| format!("order:{number}").into()).collect();
    let keys: Vec<(&[u8], Content, i64)> =
        names.iter().map(|name| (name.as_slice(), holder(), 29_500)).collect();
    let others = seen(4, &keys).others;
    let mut both = status(None, 20, stuck(), &[]);
    both.others = others;
    let text = drawn(&both, None, 80, false);
    let (nodb, others) = text.split_once("Locks of other libraries").unwrap();
    assert!(nodb.contains("climate.nodb") && others.contains("… and 46 held more"), "{text}");
    assert!(others.contains("nodb-trigger status --all --format json"), "{text}");
}

#[test]
fn what_time_does_to_others_is_no_change_and_anything_else_is() {
    let all = || seen(20, &locks());
    let later = all().later(Duration::from_secs(5));
    assert!(all().shows_the_same(&later));
    assert!(drawn(&later, None, 80, false).contains("expires in 24 s"));
    assert!(!all().shows_the_same(&seen(20, &locks()[1..])));
}

proptest! {
    #[test]
    fn no_key_and_no_value_moves_the_cursor(
        key in any::<Vec<u8>>(), raw in any::<Vec<u8>>(), field in any::<String>(), width in 10_u16..130,
    ) {
        let host = format!("ADDED:2025-01-01T02:00:00Z@{field}");
        let name = [b"lock:", &key[..]].concat();
        let keys = [
            (key.as_slice(), string(host.as_bytes()), -1),
            (&name, string(&raw), -1),
            (&name, hash(&[(&field, &field)]), -1),
        ];
        let text = drawn(&seen(20, &keys), None, width, false);
        prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{}", text);
    }
}
