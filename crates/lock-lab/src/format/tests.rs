//! Each format with made-up values: what it recognises, and what it does not.

use super::*;

const NOW: Duration = Duration::from_secs(1_796_000_000);
const CLIENT: &str = "b0a1c2d3-1111-4222-8333-444455556666";
const TOKEN: &str = "0a1b2c3d4e5f60718293a4b5c6d7e8f9";
/// The Base64 of 32 bytes.
const BASE64: &str = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=";

fn string(value: impl AsRef<[u8]>) -> Content {
    let start = value.as_ref().to_vec();
    Content::String { length: start.len() as u64, start }
}

fn hash(fields: &[(&str, &str)]) -> Content {
    let field = |(name, value): &(&str, &str)| ((*name).into(), Some((*value).into()));
    Content::Hash { size: fields.len() as u64, fields: fields.iter().map(field).collect() }
}

fn sorted(members: &[(&str, f64)]) -> Content {
    let member = |(name, score): &(&str, f64)| ((*name).into(), *score);
    Content::Sorted { size: members.len() as u64, members: members.iter().map(member).collect() }
}

/// What a key with 30 s left is.
fn what(name: &str, content: &Content) -> Option<Recognised> {
    recognise(&Key { name: name.as_bytes(), content, ttl_ms: 30_000, now: NOW })
}

#[track_caller]
fn lock(name: &str, content: &Content) -> Lock {
    match what(name, content) {
        Some(Recognised::Lock(lock)) => lock,
        other => panic!("{name}: {other:?}"),
    }
}

#[track_caller]
fn may_be(name: &str, content: &Content, words: &str) {
    match what(name, content) {
        Some(Recognised::Maybe { why }) if why.contains(words) => {}
        other => panic!("{name}: {other:?}"),
    }
}

#[track_caller]
fn part_of(name: &str, content: &Content, of: &str) -> Option<Lock> {
    match what(name, content) {
        Some(Recognised::PartOf { keys, alone }) if keys[0] == of.as_bytes() => alone,
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn redisson_names_client_thread_and_count() {
    let holder = format!("{CLIENT}:46");
    let seen = lock("order:{4711}", &hash(&[(&holder, "2")]));
    assert_eq!((seen.format, seen.sharing, seen.held_by), ("Redisson", Sharing::Reentrant, 1));
    assert_eq!(seen.queue.as_deref(), Some(&b"redisson_lock_queue:order:{4711}"[..]));
    let expected = Holder {
        token: Some(holder.clone().into()),
        process: Some(CLIENT.into()),
        thread: Some("46".into()),
        count: Some(2),
        ..Holder::default()
    };
    assert_eq!(seen.holders, [expected]);
    let plain = lock("stock", &hash(&[(&holder, "1")]));
    assert_eq!(plain.queue.as_deref(), Some(&b"redisson_lock_queue:{stock}"[..]));
}

#[test]
fn redisson_s_read_write_lock_says_its_mode() {
    let (one, other) = (format!("{CLIENT}:46"), format!("{CLIENT}:47"));
    let readers = lock("rw", &hash(&[("mode", "read"), (&one, "1"), (&other, "1")]));
    assert_eq!((readers.sharing, readers.held_by, readers.holders.len()), (Sharing::Read, 2, 2));
    let writes = format!("{CLIENT}:46:write");
    let writer = lock("rw", &hash(&[("mode", "write"), (&writes, "1")]));
    assert_eq!((writer.sharing, writer.held_by), (Sharing::Write, 1));
    assert_eq!(writer.holders[0].thread.as_deref(), Some("46"));
    for fields in [
        &[("mode", "fast"), (one.as_str(), "1")][..],
        &[("mode", "read")],
        &[(one.as_str(), "x")],
        &[(one.as_str(), "1"), (other.as_str(), "1")],
        &[(one.as_str(), "1"), ("name", "1")],
        &[],
    ] {
        assert_eq!(what("rw", &hash(fields)), None, "{fields:?}");
    }
}

#[test]
fn redisson_s_companions_belong_to_their_lock() {
    let queue = Content::List { size: 3 };
    let alone = part_of("redisson_lock_queue:{fair}", &queue, "fair").unwrap();
    assert_eq!((alone.held_by, alone.waiting), (0, Some(3)));
    part_of("redisson_lock_queue:order:{4711}", &queue, "order:{4711}");
    let holder = format!("{CLIENT}:46");
    part_of("redisson_lock_timeout:{fair}", &sorted(&[(&holder, 1.7e12)]), "fair");
    part_of("redisson_lock_token:{fenced}", &string("17"), "fenced");
    part_of(&format!("{{rw}}:{holder}:rwlock_timeout:1"), &string("1"), "rw");
}

#[test]
fn bullmq_and_bull_name_the_job() {
    let seen = lock("bull:mail:12:lock", &string(format!("{CLIENT}:3")));
    assert_eq!((seen.format, seen.holders[0].job.as_deref()), ("BullMQ", Some("12")));
    assert_eq!(seen.holders[0].process.as_deref(), Some(CLIENT));
    assert_eq!(lock("bull:mail:12:lock", &string(CLIENT)).format, "Bull");
    may_be("mail:12", &string(format!("{CLIENT}:3")), "like a BullMQ token");
    assert_eq!(what("mail:12", &string(format!("{CLIENT}:x"))), None);
}

#[test]
fn sidekiq_unique_jobs_names_the_jobs() {
    let id = "0123456789abcdef01234567";
    let digest = "uniquejobs:00112233445566778899aabbccddeeff";
    let seen = lock(&format!("{digest}:LOCKED"), &hash(&[(id, "1700000000.5")]));
    assert_eq!((seen.format, seen.held_by), ("sidekiq-unique-jobs", 1));
    assert_eq!(seen.holders[0].job.as_deref(), Some(id));
    assert_eq!(seen.holders[0].since, Some(Duration::from_millis(1_700_000_000_500)));
    let locked = format!("{digest}:LOCKED");
    assert!(part_of(digest, &string(id), &locked).is_some());
    assert!(part_of(&format!("{digest}:PRIMED"), &Content::List { size: 1 }, &locked).is_none());
    assert!(what("cart:LOCKED", &hash(&[("item", "1")])).is_none());
}

#[test]
fn shedlock_names_time_and_host_under_any_name() {
    let seen = lock("x", &string("ADDED:2026-11-29T02:00:00.123Z@worker-a"));
    assert_eq!((seen.format, seen.holders[0].host.as_deref()), ("ShedLock", Some("worker-a")));
    assert_eq!(seen.holders[0].since, Some(Duration::from_millis(1_795_917_600_123)));
    for value in ["ADDED:yesterday@worker-a", "ADDED:2026-11-29T02:00:00Z", "KEPT:2026"] {
        assert_eq!(what("x", &string(value)), None, "{value}");
    }
}

#[test]
fn celery_once_is_known_by_its_prefix_or_by_a_value_that_is_its_own_end() {
    let ends = (NOW.as_secs() + 30).to_string();
    let seen = lock("qo_report_user-7", &string(&ends));
    assert_eq!((seen.format, seen.holders[0].token.clone()), ("celery_once", None));
    let past = lock("qo_report_user-7", &string("1700003600"));
    assert!(past.remark.unwrap().contains("is past"), "{past:?}");
    assert_eq!(lock("qo_report", &string(TOKEN)).format, "celery_once");
    may_be("report", &string(&ends), "the time at which its TTL expires");
    let counter = (NOW.as_secs() + 3000).to_string();
    assert_eq!(what("report", &string(counter)), None);
}

#[test]
fn celery_singleton_and_redbeat_are_known_by_name_and_value() {
    let seen = lock("app:SINGLETONLOCK_c0ffee", &string(CLIENT));
    assert_eq!((seen.format, seen.holders[0].job.as_deref()), ("celery-singleton", Some(CLIENT)));
    assert_eq!(
        lock("redbeat::lock", &string("1111111111111111111111111111aaaa")).format,
        "RedBeat"
    );
    may_be("redbeat::lock", &string("1"), "its name says lock");
}

#[test]
fn huey_s_locks_are_ones_beside_results() {
    let fields = [("app.lock.daily", "1"), ("8c2f", "\u{80}\u{5}."), ("app.lock.x", "2")];
    let seen = lock("huey.results.app", &hash(&fields));
    assert_eq!((seen.format, seen.held_by), ("huey", 1));
    assert_eq!(seen.holders[0].job.as_deref(), Some("app.lock.daily"));
    assert_eq!(lock("huey.r.app.app.lock.daily", &string("1")).format, "huey");
    assert_eq!(what("huey.results.app", &hash(&fields[1..])), None);
    // huey 3 pickles the value.
    let pickles: [&[u8]; 3] = [
        b"\x80\x05\x95\x05\0\0\0\0\0\0\0\x8c\x011\x94.",
        b"\x80\x04\x95\x05\0\0\0\0\0\0\0\x8c\x011\x94.",
        b"\x80\x02X\x01\0\0\x001q\0.",
    ];
    for pickle in pickles {
        assert_eq!(lock("huey.r.app.app.lock.daily", &string(pickle)).format, "huey");
    }
    let other = b"\x80\x05\x95\x05\0\0\0\0\0\0\0\x8c\x012\x94.";
    assert_eq!(what("huey.r.app.8c2f", &string(other)), None);
}

#[test]
fn laravel_s_owner_is_known_however_it_is_serialised() {
    let owner = b"aB3dE6gH9jK2mN5p";
    let php = [b"s:16:\"", &owner[..], b"\";"].concat();
    let igbinary = [b"\0\0\0\x02\x11\x10", &owner[..]].concat();
    for value in [&owner[..], &php, &igbinary] {
        let seen = lock("laravel_cache:unique_job:report", &string(value));
        assert_eq!((seen.format, seen.holders[0].token.as_deref()), ("Laravel", Some(&owner[..])));
    }
    assert_eq!(lock("laravel_cache:report", &string(owner)).format, "Laravel");
    may_be("report", &string(&php), "serialised by PHP");
    // The cache may hold any random string so.
    may_be("laravel_cache:invitation", &string(&php), "serialised by PHP");
    may_be("laravel_database_invitation", &string(owner), "random letters");
    may_be("report", &string(&igbinary), "serialised by igbinary");
    may_be("report", &string(owner), "16 random letters and digits");
}

#[test]
fn python_redis_lock_has_18_bytes_and_a_signal() {
    assert_eq!(lock("lock:a", &string("q83vEjRWeJCrze8SNFZ4kKvN")).format, "python-redis-lock");
    part_of("lock-signal:a", &Content::List { size: 1 }, "lock:a");
}

#[test]
fn symfony_s_leases_expire_with_the_key() {
    let ends = 1e3 * (NOW.as_secs() + 30) as f64;
    let writer = lock("invoice", &sorted(&[(BASE64, ends), ("__write__", ends)]));
    assert_eq!((writer.format, writer.sharing, writer.held_by), ("Symfony", Sharing::Write, 1));
    assert_eq!(lock("invoice", &sorted(&[(BASE64, ends)])).sharing, Sharing::Read);
    let over = 1e3 * (NOW.as_secs() - 5) as f64;
    let other = "A83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=";
    let readers = lock("invoice", &sorted(&[(other, over), (BASE64, ends)]));
    assert_eq!((readers.held_by, readers.holders.len()), (1, 1), "one lease is over");
    // Another end than the key's.
    may_be("invoice", &sorted(&[(BASE64, ends + 1e6)]), "a few tokens");
    may_be("invoice", &string(BASE64), "44 characters of Base64");
}

#[test]
fn semaphores_are_tokens_with_times() {
    let times = [(TOKEN, 1_795_999_990.0), (CLIENT, 1_795_999_991.5)];
    let seen = lock("semaphore:index", &sorted(&times));
    assert_eq!((seen.sharing, seen.held_by, seen.expires_without_ttl), (Sharing::Permits, 2, true));
    may_be("index", &sorted(&times), "a semaphore's holders");
    let process = [("web1:4711", 1_795_999_990.0)];
    assert_eq!(lock("semaphore:index", &sorted(&process)).held_by, 1);
    for members in [&[(TOKEN, 17.0)][..], &[("alice", 1_795_999_990.0)]] {
        assert_eq!(what("board", &sorted(members)), None, "{members:?}");
    }
    let grabbed = lock("SEMAPHORE:index:GRABBED", &hash(&[("0", "1795999990.25")]));
    assert_eq!(grabbed.holders[0].since, Some(Duration::from_millis(1_795_999_990_250)));
    let exists = string("1");
    let name = b"SEMAPHORE:index:EXISTS";
    let endless = Key { name, content: &exists, ttl_ms: -1, now: NOW };
    let Some(Recognised::PartOf { keys, alone: Some(lost) }) = recognise(&endless) else {
        panic!()
    };
    assert_eq!(keys, [&b"SEMAPHORE:index:AVAILABLE"[..], b"SEMAPHORE:index:GRABBED"]);
    assert!(lost.held_by == 0 && lost.remark.unwrap().contains("none of its permits"), "{lost:?}");
    let created = part_of("SEMAPHORE:index:EXISTS", &exists, "SEMAPHORE:index:AVAILABLE");
    assert_eq!(created, None, "it has a TTL while it is created");
    let version = part_of("SEMAPHORE:index:VERSION", &string("1"), "SEMAPHORE:index:AVAILABLE");
    assert_eq!(version, None);
    part_of("SEMAPHORE:index:AVAILABLE", &Content::List { size: 1 }, "SEMAPHORE:index:GRABBED");
}

#[test]
fn a_random_token_needs_a_name_that_says_lock() {
    for value in [TOKEN, CLIENT, BASE64, "x7Kq2PmZ9rTbL4vWcY8nHd"] {
        assert_eq!(lock("locks:account:7", &string(value)).format, "random token", "{value}");
        may_be("account:7", &string(value), "random like a lock's token");
    }
    let bytes: Vec<u8> = (0..32).map(|number| 255 - 7 * number).collect();
    assert_eq!(lock("lock:walrus", &string(bytes)).format, "random token");
}

#[test]
fn redis_py_tells_when_and_where() {
    let seen = lock("lock:a", &string("5f0c8f70ee1b11f1b2c30242ac120002"));
    assert_eq!(
        (seen.format, seen.holders[0].host.as_deref()),
        ("redis-py", Some("02:42:ac:12:00:02"))
    );
    assert!(seen.holders[0].since.is_some(), "{seen:?}");
}

#[test]
fn the_payload_of_nodb_is_known_under_any_name() {
    let payload = r#"{"token":"0a1b2c3d","owner":"web1:4711","acquired_at":1795999990,"ttl":60}"#;
    let seen = lock("copy", &string(payload));
    assert_eq!((seen.format, seen.holders[0].process.as_deref()), ("NoDb", Some("4711")));
    assert_eq!(what("user:7", &string(r#"{"token":"x","owner":"web1:4711"}"#)), None);
}

#[test]
fn a_name_alone_is_no_lock() {
    for (content, words) in [
        (string("1"), "is a number"),
        (string(""), "is empty"),
        (string("busy"), "no token that a library writes"),
        (string(b"\xff\xfe"), "no text and no token"),
        (Content::List { size: 3 }, "it is a list"),
        (Content::Set { size: 3 }, "it is a set"),
        (hash(&[("a", "1")]), "it is a hash"),
        (Content::String { length: 1 << 30, start: vec![0; LONGEST] }, "longer than a token"),
        (Content::Sorted { size: 9, members: Vec::new() }, "were not read"),
    ] {
        may_be("lock:a", &content, words);
        assert_eq!(what("a", &content), None, "{content:?}");
    }
    may_be("bc/4i0sekk", &hash(&[("data", "x"), ("locked", "true")]), "the field locked");
}

#[test]
fn data_are_no_locks() {
    for content in [
        string("42"),
        string(r#"{"id":7,"name":"x"}"#),
        string("a:1:{s:4:\"user\";i:7;}"),
        string("1795999990"),
        hash(&[("name", "x"), ("n", "1")]),
        sorted(&[("alice", 1200.0), ("bob", 900.0)]),
        Content::List { size: 9 },
        Content::Set { size: 9 },
        Content::Other("stream".into()),
    ] {
        assert_eq!(what("user:7", &content), None, "{content:?}");
    }
}

#[test]
fn a_lock_without_an_end_is_stuck() {
    let token = lock("lock:a", &string(TOKEN));
    let semaphore = lock("semaphore:a", &sorted(&[(TOKEN, 1_795_999_990.0)]));
    for (lock, ttl_ms, is_stuck) in [
        (&token, -1, true),
        (&token, 30_000, false),
        (&token, LONGEST_TTL_MS + 1, true),
        (&semaphore, -1, false),
    ] {
        let lock = OtherLock {
            key: b"k".to_vec(),
            ttl_ms,
            shown_by: ("GET", &[]),
            lock: lock.clone(),
            is_moving: false,
        };
        assert_eq!(lock.is_stuck(), is_stuck, "{lock:?}");
    }
}

#[test]
fn formats_have_names_of_their_own() {
    let mut names: Vec<&str> = format_names().collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), formats().len());
}
