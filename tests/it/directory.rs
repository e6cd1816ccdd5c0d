//! Run directories of every kind, and that each is afterwards as it was before.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use rustix::process::Signal;

use crate::program::{Ended, Place, Program, arguments, herd, wait_until};
use crate::redis_server::redis_or_skip;

const STATE: &str = "debug_lock_test.nodb";

/// A herd that works until somebody stops it.
fn endless(directory: &Path, rest: &[&str]) -> Program {
    herd(directory, &[&["--hold=1h", "--timeout=60s"], rest].concat())
}

#[test]
fn a_missing_directory_is_created_with_its_parents_and_removed_again() {
    let place = Place::new();
    let run = place.at("a/b/c");
    herd(&run, &[]).run().exits(0);
    place.is_empty();

    let working = endless(&run, &[]).start();
    wait_until("the state file is there", || run.join(STATE).exists());
    assert_eq!(fs::read_to_string(run.join("debug.cfg")).unwrap(), "[general]\ndem_db = debug\n");
    working.signal(Signal::INT);
    working.end().exits(130);
    place.is_empty();
}

#[test]
fn what_somebody_put_into_a_created_directory_stays_with_it() {
    let place = Place::new();
    let run = place.at("a/b");
    let working = endless(&run, &[]).start();
    wait_until("the state file is there", || run.join(STATE).exists());
    fs::write(run.join("notes"), "mine").unwrap();
    working.signal(Signal::INT);
    working.end().exits(130);
    assert_eq!(fs::read_dir(&run).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(run.join("notes")).unwrap(), "mine");
}

#[test]
fn a_file_or_a_path_through_one_is_refused() {
    let place = Place::new();
    File::create(place.run()).unwrap();
    let before = place.everything();
    for rest in [&[][..], &["--virtual"]] {
        herd(&place.run(), rest).run().refuses(2, &["run is a file", "name a directory"]);
    }
    herd(&place.at("run/below"), &[]).run().refuses(3, &["cannot create", "Not a directory"]);
    assert_eq!(place.everything(), before);
}

#[test]
fn a_directory_that_can_t_be_written_or_made_is_refused_by_name() {
    // Not even root may write there.
    for path in ["/sys/nodb", "/sys/nodb/below", "/proc/nodb", "/sys/kernel"] {
        let named = path.trim_end_matches("/below");
        herd(Path::new(path), &[]).run().refuses(3, &["cannot ", named]);
    }
    let long = format!("/tmp/{}", "x".repeat(300));
    herd(Path::new(&long), &[]).run().refuses(3, &["cannot create", "File name too long"]);
    for nameless in ["/", "/..", "/tmp/.."] {
        herd(Path::new(nameless), &[]).run().refuses(2, &["no last component"]);
    }
    herd(Path::new("redis://:s3cret@h"), &[])
        .run()
        .exits(2)
        .says(&["--redis"])
        .never_shows("s3cret");
    herd(Path::new("unix:/s?pass=s3cret"), &[])
        .run()
        .exits(2)
        .says(&["--redis"])
        .never_shows("s3cret");
}

#[test]
fn a_read_only_run_is_refused_by_name() {
    let place = Place::new();
    fs::create_dir(place.run()).unwrap();
    File::create(place.at("run/READONLY")).unwrap();
    let before = place.everything();
    for rest in [&[][..], &["--virtual"], &["--force"]] {
        herd(&place.run(), rest).run().refuses(3, &["read-only run", "READONLY", "run"]);
    }
    assert_eq!(place.everything(), before);
}

#[test]
fn a_symbolic_link_keeps_its_own_name_and_leads_where_it_leads() {
    let place = Place::new();
    fs::create_dir(place.at("real")).unwrap();
    symlink("real", place.at("link")).unwrap();
    let before = place.everything();
    let ended = herd(&place.at("link"), &[]).run();
    assert_eq!(ended.exits(0).json()["runid"], "link");
    assert_eq!(place.everything(), before);

    symlink("nowhere", place.at("dangling")).unwrap();
    let refused = herd(&place.at("dangling"), &[]).run();
    refused.refuses(2, &["dangling is a symbolic link that leads nowhere"]);
    assert!(!place.at("nowhere").exists());
}

#[test]
fn names_of_every_kind_work_and_are_shown_on_one_line() {
    let redis = redis_or_skip!();
    let place = Place::new();
    for name in [
        "two words",
        "it's",
        "say \"hi\"",
        "a*",
        "[ab]",
        "a?b",
        "new\nline",
        "Übung-日本",
        "-x",
        "a\\b",
        "a;b",
    ] {
        for rest in [&["--virtual"][..], &["--redis", &redis.url()]] {
            let ended = herd(&place.at(name), rest).run();
            assert_eq!(ended.exits(0).json()["runid"], name);
        }
        // One in the way is named such that nothing moves the cursor.
        let key = format!("nodb-lock:{name}:{STATE}");
        let mut con = redis.client().get_connection().unwrap();
        redis::cmd("SET").arg(&key).arg("theirs").exec(&mut con).unwrap();
        let refused = herd(&place.at(name), &["--redis", &redis.url()]).run();
        refused.refuses(3, &["is locked by"]);
        redis::cmd("DEL").arg(&key).exec(&mut con).unwrap();
        place.is_empty();
        redis.is_empty();
    }
}

#[test]
fn clearing_a_run_with_glob_characters_spares_its_neighbours() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let mut con = redis.client().get_connection().unwrap();
    for neighbour in ["ab", "a*b", "axb"] {
        let key = format!("nodb-lock:{neighbour}:{STATE}");
        redis::cmd("SET").arg(key).arg("theirs").exec(&mut con).unwrap();
    }
    let before = redis.everything();
    for name in ["a*", "a?b", "[a]b"] {
        let orphans = arguments(&["orphaned_locks"], &place.at(name), &["--redis", &redis.url()]);
        Program::new(orphans).run().exits(0);
        assert_eq!(redis.everything(), before, "{name}");
    }
}

#[test]
fn files_that_were_there_are_there_afterwards_byte_for_byte() {
    let place = Place::new();
    let run = place.run();
    fs::create_dir(&run).unwrap();
    fs::write(run.join(STATE), r#"{ "operation_count": 41,  "else": [1] }"#).unwrap();
    fs::write(run.join("debug.cfg"), "theirs").unwrap();
    fs::write(run.join("other.nodb"), "{}").unwrap();
    fs::set_permissions(run.join(STATE), fs::Permissions::from_mode(0o640)).unwrap();
    // Where we may: somebody else's file stays theirs.
    let given_away = std::os::unix::fs::chown(run.join(STATE), Some(1234), Some(1235)).is_ok();
    let before = place.everything();
    let ended = herd(&run, &[]).run();
    ended.exits(0);
    let updates = ended.json()["expectations"].as_array().unwrap().clone();
    assert!(updates.iter().any(|row| row["what"].as_str().unwrap().contains("changes saved")));
    assert_eq!(place.everything(), before);
    if given_away {
        let about = fs::metadata(run.join(STATE)).unwrap();
        assert_eq!((about.uid(), about.gid()), (1234, 1235));
    }
}

#[test]
fn a_state_file_that_is_none_is_refused_and_left_alone() {
    let place = Place::new();
    let run = place.run();
    fs::create_dir(&run).unwrap();
    let refuses = |words: &[&str]| {
        let before = place.everything();
        herd(&run, &[]).run().refuses(3, &[words, &[STATE]].concat());
        assert_eq!(place.everything(), before);
    };
    for (content, word) in
        [("", "not a state file"), ("[1]", "no JSON object"), ("{\"a\":", "line 1")]
    {
        fs::write(run.join(STATE), content).unwrap();
        refuses(&["not a state file", word, "choose another run directory"]);
    }
    fs::rename(run.join(STATE), run.join("elsewhere")).unwrap();
    symlink("elsewhere", run.join(STATE)).unwrap();
    refuses(&["is a symbolic link", "choose another directory"]);
    fs::remove_file(run.join(STATE)).unwrap();
    fs::create_dir(run.join(STATE)).unwrap();
    refuses(&["no plain file"]);
    fs::remove_dir(run.join(STATE)).unwrap();
    // A pipe that nobody writes to would be read for ever.
    let mode = rustix::fs::Mode::RUSR;
    rustix::fs::mknodat(rustix::fs::CWD, run.join(STATE), rustix::fs::FileType::Fifo, mode, 0)
        .unwrap();
    herd(&run, &[]).run().refuses(3, &["no plain file", STATE]);
}

#[test]
fn a_state_file_that_somebody_else_wrote_meanwhile_stays_and_is_named() {
    let place = Place::new();
    let run = place.run();
    let working = endless(&run, &[]).start();
    wait_until("the state file is there", || run.join(STATE).exists());
    // At once, as everybody should: half a file would be a failure of its own.
    fs::write(place.at("theirs"), "{\"theirs\":1}").unwrap();
    fs::rename(place.at("theirs"), run.join(STATE)).unwrap();
    working.signal(Signal::TERM);
    let ended = working.end();
    ended.exits(130).says(&["another process changed", STATE]);
    assert_eq!(fs::read_to_string(run.join(STATE)).unwrap(), "{\"theirs\":1}");
}

#[test]
fn two_of_us_in_one_directory_are_one_too_many() {
    let place = Place::new();
    fs::create_dir(place.run()).unwrap();
    symlink("run", place.at("link")).unwrap();
    let first = endless(&place.run(), &[]).start();
    wait_until("the first is at work", || place.at("run/debug.cfg").exists());
    let second = herd(&place.at("link"), &[]).run();
    second.refuses(3, &["another nodb-trigger is at work in", "wait for it"]);
    first.signal(Signal::INT);
    first.end().exits(130);
    herd(&place.at("link"), &[]).run().exits(0);
    assert_eq!(fs::read_dir(place.run()).unwrap().count(), 0);
}

#[test]
fn each_of_several_directories_is_put_back() {
    let place = Place::new();
    fs::create_dir(place.at("run_2")).unwrap();
    fs::write(place.at("run_2/mine"), "").unwrap();
    let before = place.everything();
    let deadlock = ["deadlock_sim", "--virtual"];
    Program::new(arguments(&deadlock, &place.run(), &[])).run().exits(0);
    assert_eq!(place.everything(), before);
    // What was made for the first one goes when the second one fails.
    fs::remove_dir_all(place.at("run_2")).unwrap();
    File::create(place.at("run_2")).unwrap();
    let before = place.everything();
    Program::new(arguments(&deadlock, &place.run(), &[])).run().refuses(2, &["run_2 is a file"]);
    assert_eq!(place.everything(), before);
}

#[test]
fn keep_leaves_everything_and_says_what_and_how_to_clean_it() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let run = place.at("it's kept");
    let keep = ["--keep", "--redis", &redis.url()];
    let ended: Ended = herd(&run, &keep).run();
    ended.exits(0);
    assert!(run.join(STATE).exists() && run.join("debug.cfg").exists());
    let dbs: Vec<u32> = redis.everything().iter().map(|(db, ..)| *db).collect();
    assert_eq!(dbs, [0, 13], "the flag and the cache entry");
    let notices = ended.json()["notices"].as_array().unwrap().clone();
    assert!(!notices.is_empty());
    // The commands do what they promise.
    for notice in notices {
        let command = notice.as_str().unwrap().strip_prefix("kept; to clean: ").unwrap().to_owned();
        let shell = std::process::Command::new("bash").args(["-c", &command]).output().unwrap();
        assert!(shell.status.success(), "{command}: {shell:?}");
    }
    place.is_empty();
    redis.is_empty();

    let embedded = herd(&run, &["--keep"]).run();
    assert!(!embedded.stdout.contains("redis-cli"), "nobody can reach it: {embedded:#?}");
}
