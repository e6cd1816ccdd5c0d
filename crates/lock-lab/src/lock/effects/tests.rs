use super::*;
use Operation::{Acquire, Extend, Release};

const SECOND: u64 = 1_000_000_000;

fn text(text: &str) -> Value {
    Value::BulkString(text.into())
}

fn took(lease: Option<u64>) -> Option<Change> {
    Some(Change::Took { token: "new".into(), fence: None, lease })
}

fn overwrote(lease: Option<u64>) -> Option<Change> {
    Some(Change::Overwrote { token: "new".into(), lease })
}

fn extended(lease: u64) -> Option<Change> {
    Some(Change::Extended { lease })
}

fn saw_token(token: Option<&str>) -> Option<Change> {
    Some(Change::Saw { token: token.map(str::to_owned) })
}

fn deleted_of(token: Option<&str>) -> Option<Change> {
    Some(Change::Deleted { token: token.map(str::to_owned) })
}

/// What a command about a lock is for, and what it did, by its reply.
#[test]
fn the_effect_of_a_command_follows_from_its_options_and_its_reply() {
    let lock = LockName::new("run", "x.nodb");
    let locks = [LockName::new("other", "x.nodb"), lock.clone()];
    let digest = redis::calculate_value_digest("new");
    for (line, reply, operation_wanted, wanted) in [
        ("SET @ new NX PX 2000", Value::Okay, Acquire, took(Some(2 * SECOND))),
        ("SET @ new NX PX 2000", Value::Nil, Acquire, Some(Change::Refused)),
        ("SET @ new EX 2 NX GET", Value::Nil, Acquire, took(Some(2 * SECOND))),
        ("SET @ new NX GET", text("old"), Acquire, Some(Change::Refused)),
        ("SET @ new PX 2000", Value::Okay, Acquire, overwrote(Some(2 * SECOND))),
        ("SET @ new", Value::Okay, Acquire, overwrote(None)),
        ("SET @ new GET", Value::Nil, Acquire, took(None)),
        ("SET @ new GET", text("old"), Acquire, overwrote(None)),
        ("SET @ new XX EX 2", Value::Okay, Acquire, overwrote(Some(2 * SECOND))),
        ("SET @ new XX EX 2", Value::Nil, Acquire, saw_token(None)),
        ("SET @ new IFEQ new PX 2000", Value::Okay, Extend, extended(2 * SECOND)),
        ("SET @ new IFEQ new", Value::Okay, Extend, extended(NO_END)),
        ("SET @ new PXAT 7 ifeq new", Value::Okay, Extend, extended(NO_END)),
        ("SET @ new IFEQ new KEEPTTL", Value::Okay, Extend, saw_token(Some("new"))),
        ("SET @ new IFEQ new", Value::Nil, Extend, None),
        ("SET @ new IFEQ new GET", Value::Nil, Extend, saw_token(None)),
        ("SET @ new IFEQ new GET", text("old"), Extend, saw_token(Some("old"))),
        ("SET @ new IFEQ new GET EX 2", text("new"), Extend, extended(2 * SECOND)),
        ("SET @ new IFEQ old EX 2", Value::Okay, Extend, overwrote(Some(2 * SECOND))),
        ("SET @ new IFNE new PX 2000", Value::Okay, Acquire, overwrote(Some(2 * SECOND))),
        ("SET @ new IFNE new", Value::Nil, Acquire, saw_token(Some("new"))),
        ("SET @ new IFNE new GET", Value::Nil, Acquire, took(None)),
        ("SET @ new IFNE new GET", text("old"), Acquire, overwrote(None)),
        ("SET @ new IFNE new GET", text("new"), Acquire, saw_token(Some("new"))),
        (&format!("SET @ new IFDEQ {digest} EX 2"), Value::Okay, Extend, extended(2 * SECOND)),
        ("SET @ new IFDEQ 0123456789abcdef", Value::Okay, Extend, overwrote(None)),
        (&format!("SET @ new IFDNE {digest}"), Value::Okay, Acquire, overwrote(None)),
        ("SET @ new NEWER 5", Value::Okay, Acquire, None),
        ("PEXPIRE @ 2000", Value::Int(1), Extend, extended(2 * SECOND)),
        ("DEL @", Value::Int(1), Release, deleted_of(None)),
        ("DELEX @", Value::Int(1), Release, deleted_of(None)),
        ("DELEX @", Value::Int(0), Release, None),
        ("DELEX @ ifeq old", Value::Int(1), Release, deleted_of(Some("old"))),
        ("DELEX @ IFEQ old", Value::Int(0), Release, None),
        ("DELEX @ IFNE new", Value::Int(1), Release, deleted_of(None)),
        ("DELEX @ IFDEQ 0123456789abcdef", Value::Int(1), Release, deleted_of(None)),
        ("DELIFEQ @ old", Value::Int(1), Release, deleted_of(Some("old"))),
        ("DELIFEQ @ old", Value::Int(0), Release, None),
    ] {
        let line = line.replace('@', lock.key());
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        assert_eq!(operation(&words, &locks), Some((operation_wanted, 1)), "{line}");
        let wanted: Vec<_> = wanted.into_iter().map(|change| Effect { lock: 1, change }).collect();
        assert_eq!(effects(&words, &reply, &locks), wanted, "{line} -> {reply:?}");
    }
}

#[test]
fn a_lease_that_is_removed_is_an_extension() {
    let lock = LockName::new("run", "x.nodb");
    let words = [b"PERSIST", lock.key().as_bytes()];
    let effect = Effect { lock: 0, change: Change::Extended { lease: NO_END } };
    assert_eq!(effects(&words, &Value::Int(1), std::slice::from_ref(&lock)), [effect]);
    assert_eq!(effects(&words, &Value::Int(0), std::slice::from_ref(&lock)), []);
}

#[test]
fn where_keys_are_observed_an_extension_that_changed_no_lease_is_none() {
    let locks = [LockName::new("run", "x.nodb")];
    let words: [&[u8]; 5] = [b"SET", locks[0].key().as_bytes(), b"new", b"IFEQ", b"new"];
    assert_eq!(seen_effects(&words, &Value::Okay, &locks, &[[None, None]]), []);
}
