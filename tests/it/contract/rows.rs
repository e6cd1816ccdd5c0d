//! The rows U1 to U17, and a mutant for each.

use super::*;

/// A row: what it is called, its test, and an application that does otherwise in this row alone.
type Row = (&'static str, fn(&Application) -> bool, fn() -> Application);

const ROWS: [Row; 17] = [
    ("U1", u1, || of(Mixed { acquire: Arc::new(Legacy), ..Mixed::default() })),
    ("U2", u2, || of(Mixed { release: Arc::new(Legacy), ..Mixed::default() })),
    ("U3", u3, || of(Odd { forces_by_comparing: true, ..EVEN })),
    ("U4", u4, || of(Mixed { check: Arc::new(Legacy), ..Mixed::default() })),
    ("U5", u5, || of(Mixed { guard: WriteGuard::None, ..Mixed::default() })),
    ("U6", u6, || of(Odd { releases: false, ..EVEN })),
    ("U7", u7, || {
        with_scenario(|name| {
            let text = (Application::default().scenario)(name);
            let interrupted = "{ work = \"0s\" },\n]\n\n[[actors]]\nname = \"next\"";
            let releases = interrupted.replace("},\n]", "},\n  { release = \"main\" },\n]");
            replaced(&text, interrupted, &releases)
        })
    }),
    ("U8", u8, || Application {
        lock_of: |run, file| {
            let run = RunDirectory::new(Path::new(run), None).unwrap();
            LockName::new(run.runid(), file).key().to_owned()
        },
        ..Application::default()
    }),
    ("U9", u9, || Application {
        server: |variables| {
            let mut variables = variables.clone();
            variables.remove("RQ_REDIS_URL");
            (Application::default().server)(&variables)
        },
        ..Application::default()
    }),
    ("U10", u10, || Application {
        ttl: |text| text.parse::<f64>().map_or(21_600, |seconds| seconds.max(1.0) as u64),
        ..Application::default()
    }),
    ("U11", u11, || Application { clear: clear_unescaped, ..Application::default() }),
    ("U12", u12, || Application {
        flag_says_held: |flag| flag == "true",
        ..Application::default()
    }),
    ("U13", u13, || Application {
        has_flag: |lock| !lock.file().starts_with("runtime-paths/"),
        ..Application::default()
    }),
    ("U14", u14, || Application {
        other_locks: |link, clock| {
            let mut found = other_locks(link, clock);
            found.retain(|key| says_lock(key.as_bytes()).is_some());
            found
        },
        ..Application::default()
    }),
    ("U15", u15, || {
        with_scenario(|name| {
            let text = (Application::default().scenario)(name);
            replaced(&text, "{ get_instance = \"main\",", "{ sleep = \"0s\",")
        })
    }),
    ("U16", u16, || Application {
        stored: |object| {
            let object = stored(object);
            let open = object.strip_suffix('}').unwrap();
            format!("{open},\"fence\":1}}")
        },
        ..Application::default()
    }),
    ("U17", u17, || of(Odd { acquires_again: true, ..EVEN })),
];

fn of(protocol: impl LockProtocol + 'static) -> Application {
    Application { protocol: Arc::new(protocol), ..Application::default() }
}

fn with_scenario(scenario: fn(&str) -> String) -> Application {
    Application { scenario, ..Application::default() }
}

fn replaced(text: &str, old: &str, new: &str) -> String {
    assert!(text.contains(old), "{old}");
    text.replace(old, new)
}

/// As the application of a year ago cleared: the run id may match other runs.
fn clear_unescaped(link: &mut dyn Link, runid: &str) -> Vec<String> {
    let mut cleared = clear_locks(link, runid).unwrap();
    let pattern = format!("nodb-lock:{runid}:*");
    let keys: Vec<String> = redis::cmd("KEYS").arg(pattern).query(link).unwrap();
    for key in keys {
        redis::cmd("DEL").arg(&key).exec(link).unwrap();
        cleared.push(key);
    }
    cleared
}

#[test]
fn each_row_holds_and_its_mutant_is_caught() {
    let doc = std::fs::read_to_string("docs/book/src/explanation/contract.md").unwrap();
    for (row, holds, mutant) in ROWS {
        assert!(
            doc.contains(&format!("\n| {row} |")),
            "{row} is not in docs/book/src/explanation/contract.md"
        );
        assert!(holds(&Application::default()), "{row}");
        assert!(!holds(&mutant()), "the mutant of {row} is not caught");
    }
}

fn u1(of: &Application) -> bool {
    let fence = replacement_fence("run");
    let expected = "nodb:run-replacement:";
    let digest_is_right = fence.starts_with(expected) && fence.len() == expected.len() + 64;
    let mut it = Participant::new(of);
    it.others(&["SET", &fence, "theirs"]);
    let before = matches!(it.acquire(), Err(LockError::UnderReplacement));
    let is_untouched = it.state() == (None, None, false);
    it.others(&["DEL", &fence]);
    // The fence is set right after the SET of the acquire.
    let mut others = it.server.connect(0).unwrap();
    let set = move || redis::cmd("SET").arg(&fence).arg("theirs").exec(&mut others).unwrap();
    it.meanwhile("SET", true, Box::new(set));
    let after = matches!(it.acquire(), Err(LockError::UnderReplacement));
    digest_is_right && before && is_untouched && after && it.state() == (None, None, false)
}

fn u2(of: &Application) -> bool {
    let mut it = Participant::new(of);
    it.acquire().unwrap();
    let is_released = it.release().is_ok() && it.is_free();
    it.acquire().unwrap();
    // Its lease expires right before the script, and another client acquires.
    let (mut others, key) = (it.server.connect(0).unwrap(), it.lock.key().to_owned());
    let set = move || redis::cmd("SET").arg(&key).arg("theirs").exec(&mut others).unwrap();
    it.meanwhile("EVAL", false, Box::new(set));
    let is_refused = matches!(it.release(), Err(LockError::LostBeforeRelease));
    is_released && is_refused && it.state() == (Some("theirs".into()), Some("true".into()), true)
}

fn u3(of: &Application) -> bool {
    let mut it = Participant::new(of);
    it.acquire().unwrap();
    let key = it.lock.key().to_owned();
    it.others(&["SET", &key, "theirs"]);
    it.does(|protocol, at| protocol.force_release(at)).is_ok() && it.is_free()
}

fn u4(of: &Application) -> bool {
    let mut it = Participant::new(of);
    it.acquire().unwrap();
    let may_write = it.writes().is_ok();
    let key = it.lock.key().to_owned();
    it.others(&["SET", &key, "theirs"]);
    let other = matches!(it.writes(), Err(LockError::WriteOtherToken));
    let own = it.slot.get();
    it.slot.set(None);
    let none = matches!(it.writes(), Err(LockError::WriteNotOwner));
    it.slot.set(own);
    it.others(&["DEL", &key]);
    let gone = matches!(it.writes(), Err(LockError::NotLocked)) && it.is_free();
    may_write && other && none && gone
}

fn u5(of: &Application) -> bool {
    let mut it = Participant::new(of);
    let file = state_file("/runs/run", "x.nodb");
    let files = Arc::new(Files::in_memory());
    files.replace(file.path(), br#"{"operation_count":1}"#).unwrap();
    let controller = Controller::open(&file, &files).unwrap();
    let protocol = Arc::clone(&of.protocol);
    controller.acquire(&mut it.caller(), &*protocol, Ttl::DEFAULT).unwrap();
    controller.count_operation();
    let dumped = controller.dump(&mut it.caller(), &*protocol).unwrap();
    let mut cache = it.server.connect(13).unwrap();
    controller.mirror(&dumped, &mut it.caller(), protocol.write_guard(), Some(&mut cache));
    let entry: String = redis::cmd("GET").arg(cache_key(file.path())).query(&mut cache).unwrap();
    let entry: serde_json::Value = serde_json::from_str(&entry).unwrap();
    let now = it.clock.unix().as_secs().to_string();
    let modified: Option<String> =
        redis::cmd("HGET").arg("run").arg("last_modified").query(&mut it.others).unwrap();
    entry["operation_count"] == 2
        && entry["_nodb_size"] == 21
        && entry["_nodb_mtime"].is_f64()
        && modified == Some(now)
}

fn u6(of: &Application) -> bool {
    let steps = "{ locked = \"main\", name = \"it\", go_on = true, \
                 body = [{ work = \"0s\" }, { external_dump = \"main\" }] }";
    let expect = "{ step = \"it\", status = \"error\", error = \"stale write\" }, \
                  { free_of = [\"stuck_lock\", \"token_drift\"] }";
    verdict(&one_client(steps, expect), &of.protocol).0 == Verdict::Expected
}

fn u7(of: &Application) -> bool {
    is_as_its_file_says("interrupted_holder", of)
}

fn u8(of: &Application) -> bool {
    let rows = [
        ("/runs/ab", "_pups/omni/a/x.nodb", "nodb-lock:ab:_pups/omni/a/x.nodb"),
        ("/runs/ab/_pups/omni/a", "x.nodb", "nodb-lock:ab:_pups/omni/a/x.nodb"),
        ("/runs/ab", "omni/a/x.nodb", "nodb-lock:ab:omni/a/x.nodb"),
        ("/runs/ab", "x.nodb", "nodb-lock:ab:x.nodb"),
    ];
    rows.iter().all(|(run, file, key)| (of.lock_of)(run, file) == *key)
}

fn u9(of: &Application) -> bool {
    let variables = [
        ("REDIS_URL", "redis://a:1"),
        ("RQ_REDIS_URL", "redis://b:2/9"),
        ("SESSION_REDIS_URL", "redis://c:3"),
        ("REDIS_HOST", "d"),
    ];
    let from = |place: usize| (of.server)(&variables[place..].iter().copied().collect());
    let expected = ["redis://a:1", "redis://b:2", "redis://c:3", "redis://d:6379"];
    let are_right = expected.iter().enumerate().all(|(at, url)| from(at).as_deref() == Some(url));
    are_right && from(4).is_none()
}

fn u10(of: &Application) -> bool {
    let rows = [
        ("30", 30),
        (" +3_0\n", 30),
        ("0", 1),
        ("-5", 1),
        ("1.5", 21_600),
        ("30s", 21_600),
        ("_3", 21_600),
        ("3__0", 21_600),
        ("", 21_600),
        ("31536000", 31_536_000),
    ];
    rows.iter().all(|(text, seconds)| (of.ttl)(text) == *seconds)
}

/// Ours returns what it cleared, and the run id stands for itself.
fn u11(of: &Application) -> bool {
    let mut it = Participant::new(of);
    it.others(&["HSET", "a*", "locked:x.nodb", "true", "locked:free.nodb", "false"]);
    for key in ["nodb-lock:a*:x.nodb", "nodb-lock:a*:y.nodb", "nodb-lock:ab:x.nodb"] {
        it.others(&["SET", key, "theirs"]);
    }
    let cleared = (of.clear)(&mut *it.link, "a*");
    let neighbour = it.others(&["EXISTS", "nodb-lock:ab:x.nodb"]) == redis::Value::Int(1);
    cleared == ["locked:x.nodb", "locked:y.nodb"] && neighbour
}

fn u12(of: &Application) -> bool {
    let held = ["true", r#"{"token":"a","expires_at":4102444800}"#, "yes"];
    held.iter().all(|flag| (of.flag_says_held)(flag)) && !(of.flag_says_held)("false")
}

fn u13(of: &Application) -> bool {
    let has_flag = |runid: &str, file: &str| (of.has_flag)(&LockName::new(runid, file));
    let directories = [
        ("run", "runtime-paths/climate"),
        ("path-scope", "0123456789ab:runtime-paths/climate"),
        ("run", "nodir/climate"),
        ("run", "nodir-materialize/climate/7"),
    ];
    directories.iter().all(|(runid, file)| !has_flag(runid, file)) && has_flag("run", "x.nodb")
}

fn u14(of: &Application) -> bool {
    let mut it = Participant::new(of);
    let digest = "0123456789abcdef".repeat(4);
    let fence = replacement_fence("run");
    let lifecycle = format!("rq:submission-lifecycle:{digest}");
    let keys = [fence.as_str(), &lifecycle, "rq:submission:climate"];
    for key in keys {
        // redis-py's Lock.
        it.others(&["SET", key, "b0a1c2d3111142228333444455556666", "PX", "120000"]);
    }
    it.others(&["SET", "rq:job:7", "a job", "PX", "120000"]);
    (of.other_locks)(&mut *it.link, &*it.clock) == keys
}

fn u15(of: &Application) -> bool {
    is_as_its_file_says("refresh_under_holder", of)
}

fn u16(of: &Application) -> bool {
    let pickled = r#"{"py/object": "nodb.Climate", "py/state": {"operation_count": 8, "a": 1E-7}}"#;
    let without = r#"{ "py/object": "nodb.Climate", "wd": "/runs/ab" }"#;
    let count = 8 + lock_lab::lock::protocols().len();
    (of.stored)(pickled) == pickled.replace('8', &count.to_string())
        && (of.stored)(without) == without
}

fn u17(of: &Application) -> bool {
    is_as_its_file_says("setter_inside_locked", of)
}

fn is_as_its_file_says(name: &str, of: &Application) -> bool {
    verdict(&(of.scenario)(name), &of.protocol).0 == Verdict::Expected
}
