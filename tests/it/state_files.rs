//! State files of an application's run: any of them, several at once, and none.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::process::Signal;

use crate::program::{Place, Program, Running, arguments, herd, wait_until};
use crate::redis_server::{RedisServer, redis_or_skip};

/// As jsonpickle writes an object: with spaces, an exponent, a reference, its count in its state.
const PICKLED: &str = r#"{"py/object": "nodb.Climate", "py/state": {"wd": "/runs/run", "cell": 1E-7,
 "operation_count": 9, "again": {"py/id": 1}}, "_log": null}"#;

fn working(directory: &Path, rest: &[&str]) -> Running {
    let endless = ["--threads=1", "--hold=1h", "--timeout=60s"];
    Program::new(arguments(&["thundering_herd"], directory, &[&endless[..], rest].concat())).start()
}

fn run_with(place: &Place, name: &str, content: &str) {
    let path = place.run().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn interrupted(running: Running) {
    running.signal(Signal::INT);
    running.end().exits(130);
}

fn keys(redis: &RedisServer) -> Vec<String> {
    redis.everything().into_iter().map(|(db, key, ..)| format!("{db} {key}")).collect()
}

#[test]
fn any_state_file_can_be_guarded_and_is_afterwards_as_it_was() {
    for lock in ["legacy", "current", "hardened"] {
        let place = Place::new();
        run_with(&place, "climate.nodb", PICKLED);
        run_with(&place, "soils.nodb", "not even JSON");
        let before = place.everything();
        let ended = herd(&place.run(), &["--file=climate.nodb", "--lock", lock]).run();
        ended.exits(0);
        let report = ended.json();
        assert_eq!(report["state_files"][0], "climate.nodb");
        assert_eq!(report["consistency"][0]["lock_key"], "nodb-lock:run:climate.nodb");
        assert_eq!(place.everything(), before, "{lock}");
    }
}

#[test]
fn nothing_enters_an_object_but_the_digits_of_its_count() {
    let place = Place::new();
    let file = place.run().join("climate.nodb");
    // The second actor of this scenario writes while the first one still works.
    let steps = "[[actors]]\nname = \"a\"\nstart = \"after\"\ndelay = \"0s\"\nsteps = [\
                 { locked = \"main\", body = [{ work = \"0s\" }] }, { acquire = \"main\" }, { sleep = \"1h\" }]";
    let text = format!(
        "format = 1\nname = \"one\"\ntitle = \"One.\"\ntext = \"One.\"\n[locks.main]\n\
         file = \"climate.nodb\"\n{steps}\n[[expect]]\nerrors = 0\n"
    );
    fs::write(place.at("one.toml"), text).unwrap();
    for lock in ["legacy", "current", "hardened"] {
        for content in [PICKLED, r#"{ "py/object":"nodb.Climate" }"#] {
            run_with(&place, "climate.nodb", content);
            let fence = place.run().join(".climate.nodb.fence");
            let run = place.run().display().to_string();
            let options = ["--directory", &run, "--lock", lock];
            let scenario = place.at("one.toml").display().to_string();
            let running =
                Program::new([&["run", &scenario, "--timeout=60s"][..], &options].concat());
            let inode = fs::metadata(&file).unwrap().ino();
            let running = running.start();
            let expected = content.replace("\"operation_count\": 9", "\"operation_count\": 10");
            wait_until("the file is written", || fs::metadata(&file).unwrap().ino() != inode);
            assert_eq!(fs::read_to_string(&file).unwrap(), expected, "{lock}");
            if lock == "hardened" {
                wait_until("the second fencing token is there", || {
                    fs::read_to_string(&fence).is_ok_and(|token| token == "2")
                });
            }
            interrupted(running);
            assert_eq!(fs::read_to_string(&file).unwrap(), content, "{lock}");
            assert!(!fence.exists());
        }
    }
}

#[test]
fn directories_of_a_state_file_are_made_and_removed() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let name = "_pups/omni/a/x.nodb";
    let options = ["--redis", &redis.url(), "--file", name, "--lock=hardened"];
    let running = working(&place.run(), &options);
    wait_until("the lock is there", || keys(&redis).contains(&format!("0 nodb-lock:run:{name}")));
    assert!(place.run().join(name).exists());
    assert!(!place.run().join("debug.cfg").exists());
    interrupted(running);
    place.is_empty();
    redis.is_empty();
}

#[test]
fn a_file_that_leads_elsewhere_is_refused_and_left_alone() {
    let place = Place::new();
    run_with(&place, "other/x.nodb", "{}");
    symlink("other", place.run().join("link")).unwrap();
    symlink("other/x.nodb", place.run().join("link.nodb")).unwrap();
    symlink("other/x.nodb", place.run().join(".fenced.nodb.fence")).unwrap();
    fs::create_dir(place.run().join("directory.nodb")).unwrap();
    run_with(&place, "text.nodb", "not JSON");
    run_with(&place, "fence/x.nodb", "{}");
    run_with(&place, "fence/.x.nodb.fence", "not a number");
    run_with(&place, "frozen/READONLY", "");
    let before = place.everything();
    for (name, words) in [
        ("/etc/x.nodb", "is an absolute path"),
        ("../x.nodb", "has an empty part, . or .."),
        ("other/../other/x.nodb", "has an empty part, . or .."),
        ("x.json", "its name ends with .nodb"),
        ("other", "its name ends with .nodb"),
        ("a:b.nodb", "a colon"),
        ("", "an empty part"),
    ] {
        herd(&place.run(), &["--file", name]).run().exits(2).says(&["--file", words]);
    }
    for (name, words) in [
        ("link/x.nodb", "link is a symbolic link, which may lead out of the run"),
        ("link.nodb", "is a symbolic link"),
        ("fenced.nodb", "is a symbolic link"),
        ("directory.nodb", "no plain file"),
        ("text.nodb", "not a state file"),
        ("fence/x.nodb", "no fencing token"),
        ("frozen/x.nodb", "read-only run"),
    ] {
        herd(&place.run(), &["--file", name]).run().refuses(3, &[words]);
    }
    assert_eq!(place.everything(), before);
}

#[test]
fn a_fencing_token_that_was_there_stays_and_does_not_fall() {
    let place = Place::new();
    run_with(&place, "x.nodb", "{}");
    run_with(&place, ".x.nodb.fence", "41");
    herd(&place.run(), &["--file=x.nodb", "--lock=hardened"]).run().exits(0);
    let fence = fs::read_to_string(place.run().join(".x.nodb.fence")).unwrap();
    assert_eq!(fence, "42");
}

#[test]
fn lock_only_touches_no_file() {
    let redis = redis_or_skip!();
    for lock in ["legacy", "current", "hardened"] {
        let place = Place::new();
        run_with(&place, "elsewhere", "not JSON");
        symlink("elsewhere", place.run().join("climate.nodb")).unwrap();
        let before = place.everything();
        let options =
            ["--redis", &redis.url(), "--file=climate.nodb", "--lock-only", "--lock", lock];
        let running = working(&place.run(), &options);
        wait_until("the lock is there", || {
            keys(&redis).contains(&"0 nodb-lock:run:climate.nodb".to_owned())
        });
        assert_eq!(place.everything(), before);
        interrupted(running);
        let ended = herd(&place.run(), &options).run();
        ended.exits(0);
        assert_eq!(ended.json()["lock_only"], true);
        assert_eq!(place.everything(), before);
        redis.is_empty();
        // Nothing says that a file was written, also not while the run's keys are kept.
        let kept = herd(&place.run(), &[&options[..], &["--keep"]].concat()).run();
        kept.exits(0);
        let client = redis.client();
        let mut con = client.get_connection().unwrap();
        let modified: bool =
            redis::cmd("HEXISTS").arg("run").arg("last_modified").query(&mut con).unwrap();
        assert!(!modified && keys(&redis) == ["0 run"], "{lock}: {:?}", keys(&redis));
        redis::cmd("FLUSHALL").exec(&mut con).unwrap();
        herd(&place.at("missing"), &options).run().exits(0);
        assert!(!place.at("missing").exists());
    }
}

#[test]
fn one_run_at_a_time_has_the_keys_of_a_directory() {
    let redis = redis_or_skip!();
    let url = redis.url();
    let lock_only = ["--file=climate.nodb", "--redis", &url, "--lock-only"];
    for (has_directory, second) in
        [(false, &lock_only[..]), (true, &lock_only[..]), (true, &lock_only[..3])]
    {
        let place = Place::new();
        if has_directory {
            fs::create_dir(place.run()).unwrap();
        }
        let first = working(&place.run(), &lock_only);
        let key = "0 nodb-lock:run:climate.nodb".to_owned();
        wait_until("the lock is there", || keys(&redis).contains(&key));
        let words = ["another nodb-trigger is at work in", "choose another directory"];
        herd(&place.run(), &[second, &["--force"]].concat()).run().refuses(3, &words);
        assert!(keys(&redis).contains(&key));
        interrupted(first);
        redis.is_empty();
        herd(&place.run(), second).run().exits(0);
    }
}

#[test]
fn two_files_of_one_run_have_a_lock_each() {
    let redis = redis_or_skip!();
    let place = Place::new();
    run_with(&place, "climate.nodb", PICKLED);
    let before = place.everything();
    let quick = [
        "--requests=1",
        "--operation=0s",
        "--gap=0s",
        "--job=0s",
        "--lock=current",
        "--format=json",
        "--redis",
    ];
    let url = redis.url();
    let options = [&quick[..], &[&url]].concat();
    let ended = Program::new(arguments(&["build_climate"], &place.run(), &options)).run();
    ended.exits(0);
    let report = ended.json();
    assert_eq!(report["state_files"], serde_json::json!(["climate.nodb", "soils.nodb"]));
    let rows = report["consistency"].as_array().unwrap();
    for name in ["climate.nodb", "soils.nodb"] {
        let key = format!("nodb-lock:run:{name}");
        assert!(rows.iter().any(|row| row["lock_key"] == key.as_str()), "{key}");
    }
    assert_eq!(place.everything(), before);
    redis.is_empty();
    let refused = [&options[..], &["--file=x.nodb"]].concat();
    Program::new(arguments(&["build_climate"], &place.run(), &refused))
        .run()
        .refuses(2, &["names its state files itself: climate.nodb, soils.nodb", "x.nodb"]);
}

#[test]
fn the_time_of_the_last_write_is_put_back() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let mut con = redis.client().get_connection().unwrap();
    redis::cmd("HSET").arg("run").arg("last_modified").arg("17").exec(&mut con).unwrap();
    let before = redis.everything();
    herd(&place.run(), &["--lock=current", "--redis", &redis.url()]).run().exits(0);
    assert_eq!(redis.everything(), before);
}
