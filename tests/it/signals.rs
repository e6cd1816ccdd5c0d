//! Signals at every moment, and limits of the process.

use std::process::Command;

use rustix::process::Signal;

use crate::middleman::{Fate, Middleman};
use crate::program::{Place, Program, arguments, send_signal, wait_until};
use crate::redis_server::redis_or_skip;
use crate::weather::{KEY, at, is_locked};

#[test]
fn signals_release_the_lock_and_remove_the_files() {
    let redis = redis_or_skip!();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let place = Place::new();
        let herd = ["thundering_herd", "--hold=1h", "--format=json", "--redis", &redis.url()];
        let working = Program::in_terminal(arguments(&herd, &place.run(), &[])).start();
        wait_until("the lock is taken", || is_locked(&redis));
        working.signal(signal);
        let ended = working.end();
        ended.exits(130).says(&["interrupted, cleaning up"]);
        assert_eq!(ended.json()["verdict"], "inconclusive");
        assert!(ended.json()["actors"].to_string().contains("interrupted"));
        place.is_empty();
        redis.is_empty();
    }
}

#[test]
fn a_closed_terminal_does_not_matter_under_nohup() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let herd = ["thundering_herd", "--hold=300ms", "--redis", &redis.url()];
    let working = Program::after("trap '' HUP", arguments(&herd, &place.run(), &[])).start();
    wait_until("the lock is taken", || is_locked(&redis));
    working.signal(Signal::HUP);
    working.end().exits(0);
}

#[test]
fn a_signal_to_each_scenario_leaves_nothing() {
    let redis = redis_or_skip!();
    for (scenario, flag) in [
        ("rapid_sequential", "--hold=1h"),
        ("ttl_expiration", "--hold=1h"),
        ("deadlock_sim", "--hold=1h"),
    ] {
        let place = Place::new();
        let long = ["--ttl=3h", flag, "--format=json", "--redis", &redis.url()];
        let working = Program::new(arguments(&[scenario], &place.run(), &long)).start();
        wait_until("a lock is taken", || {
            redis.everything().iter().any(|(_, key, ..)| key.starts_with("nodb-lock:"))
        });
        working.signal(Signal::INT);
        working.end().exits(130);
        place.is_empty();
        redis.is_empty();
    }
}

#[test]
fn a_signal_before_the_server_ever_answered_ends_it_with_130() {
    let server = Middleman::alone(|_| Fate::Silence);
    let place = Place::new();
    let waiting = at(&server.url(), &place.run(), &[]).start();
    wait_until("it asks", || server.count("SELECT") + server.count("MULTI") > 0);
    waiting.signal(Signal::INT);
    waiting.end().exits(130).says(&["interrupted"]);
    place.is_empty();
}

#[test]
fn a_signal_while_the_server_hangs_ends_it_and_says_what_is_left() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let working = at(&redis.url(), &place.run(), &["--hold=1h"]).start();
    wait_until("the lock is taken", || is_locked(&redis));
    redis.freeze();
    working.signal(Signal::TERM);
    let ended = working.end();
    ended.exits(130).says(&[
        "interrupted",
        "could not clean up",
        "did not answer",
        "redis-cli",
        KEY,
    ]);
    place.is_empty();
}

#[test]
fn a_later_signal_ends_it_at_once_and_says_what_is_left() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let file = place.at("report.json");
    let rest = ["--hold=1h", "--output", file.to_str().unwrap()];
    let said = place.at("said");
    let stderr = std::fs::File::create(&said).unwrap();
    let working = at(&redis.url(), &place.run(), &rest).stderr(stderr).start();
    wait_until("the lock is taken", || is_locked(&redis));
    redis.freeze();
    working.signal(Signal::INT);
    let heard = || std::fs::read_to_string(&said).unwrap();
    wait_until("the first is heard", || heard().contains("interrupted"));
    working.interrupt_until_it_ends(Signal::INT).exits(130);
    let heard = heard();
    redis.thaw();
    // The commands that it names do clean everything.
    let left: Vec<&str> = heard
        .lines()
        .filter_map(|line| line.split_once("not cleaned up; run: "))
        .map(|(_, command)| command)
        .collect();
    assert!(!left.is_empty(), "{heard}");
    for command in left {
        let shell = Command::new("bash").args(["-c", command]).output().unwrap();
        assert!(shell.status.success(), "{command}: {shell:?}");
    }
    std::fs::remove_file(&said).unwrap();
    place.is_empty();
    redis.is_empty();
}

#[test]
fn a_later_signal_is_obeyed_even_if_nobody_reads_stderr() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let working = at(&redis.url(), &place.run(), &["--hold=1h"]).stderr(writer).start();
    wait_until("the lock is taken", || is_locked(&redis));
    redis.freeze();
    working.interrupt_until_it_ends(Signal::INT).exits(130);
    redis.thaw();
    assert!(is_locked(&redis), "it did not wait for the server");
    assert!(std::path::Path::new(&place.run()).exists(), "what ends at once cleans nothing up");
}

#[test]
fn two_signals_within_a_second_are_one_interruption() {
    let redis = redis_or_skip!();
    for (first, second) in [(Signal::TERM, Signal::INT), (Signal::INT, Signal::TERM)] {
        let place = Place::new();
        let working = at(&redis.url(), &place.run(), &["--hold=1h"]).start();
        wait_until("the lock is taken", || is_locked(&redis));
        // Two of one kind may be merged while the first is pending; two kinds may not.
        working.signal(first);
        send_signal(working.pid(), second);
        let ended = working.end();
        ended.exits(130).says(&["interrupted, cleaning up", "after a second"]);
        assert!(!ended.stderr.contains("not cleaned up"), "{ended:#?}");
        assert_eq!(ended.json()["verdict"], "inconclusive");
        place.is_empty();
        redis.is_empty();
    }
}

#[test]
fn a_file_beyond_the_limit_of_its_size_is_an_error_and_leaves_nothing() {
    let redis = redis_or_skip!();
    let place = Place::new();
    for flag in ["--output", "--history", "--timeline"] {
        let file = place.at("large.html");
        let herd = ["thundering_herd", "--hold=1ms", "--redis", &redis.url()];
        let rest = [flag, file.to_str().unwrap()];
        let ended = Program::after("ulimit -f 1", arguments(&herd, &place.run(), &rest)).run();
        ended.exits(3).says(&["cannot write the", "large.html: File too large"]);
        place.is_empty();
        redis.is_empty();
    }
    // Not even the files of the run can be written: the configuration, and then the state file.
    let herd = ["thundering_herd", "--redis", &redis.url()];
    let run = || Program::after("ulimit -f 0", arguments(&herd, &place.run(), &[])).run();
    run().exits(3).says(&["cannot write to", "File too large"]);
    place.is_empty();
    std::fs::create_dir(place.run()).unwrap();
    std::fs::write(place.run().join("debug.cfg"), "theirs").unwrap();
    run().exits(3).says(&["cannot write to", "File too large"]);
    std::fs::remove_file(place.run().join("debug.cfg")).unwrap();
    std::fs::remove_dir(place.run()).unwrap();
    redis.is_empty();
}

#[test]
fn a_low_soft_limit_of_files_is_raised() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let herd = ["thundering_herd", "--threads=100", "--hold=300ms", "--redis", &redis.url()];
    let ended = Program::after("ulimit -Sn 40", arguments(&herd, &place.run(), &[])).run();
    ended.exits(0);
    place.is_empty();
    redis.is_empty();
}

#[test]
fn a_low_hard_limit_of_files_is_said() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let herd = ["thundering_herd", "--threads=100", "--redis", &redis.url()];
    let ended = Program::after("ulimit -n 40", arguments(&herd, &place.run(), &[])).run();
    ended.refuses(3, &["open files", "40", "ulimit -Hn", "fewer actors"]);
    place.is_empty();
    redis.is_empty();
    // The embedded server needs none.
    let embedded = ["thundering_herd", "--threads=100", "--hold=300ms"];
    Program::after("ulimit -n 40", arguments(&embedded, &place.run(), &[])).run().exits(0);
    place.is_empty();
}

#[test]
fn too_little_memory_for_the_threads_is_said_and_nothing_stays() {
    let place = Place::new();
    let herd = ["thundering_herd", "--threads=5000", "--hold=1s"];
    let ended = Program::after("ulimit -v 600000", arguments(&herd, &place.run(), &[])).run();
    ended.refuses(3, &["5000 threads need", "ulimit -v", "use fewer actors"]);
    place.is_empty();
}
