//! The Python package: its pytest plugin, and the wheel that brings the program.

use crate::probe::installed;
use crate::program::{Place, poll, send_signal, wait_until};
use rustix::process::Signal;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const LOCKS: &str = r#"
import uuid

DELETE = "return redis.call('get', KEYS[1]) == ARGV[1] and redis.call('del', KEYS[1]) or 0"


class Taken(Exception):
    pass


def take(r, key, ttl):
    print("not for the program")
    token = uuid.uuid4().hex
    return token if r.set(key, token, nx=True, ex=ttl) else None


def drop(r, key, token):
    r.eval(DELETE, 1, key, token)


def drop_in_two_steps(r, key, token):
    if r.get(key) == token.encode():
        r.delete(key)


def take_or_raise(r, key, ttl):
    token = take(r, key, ttl)
    if not token:
        raise Taken(key)
    return token
"#;

const TESTS: &str = r#"
import os

import locks
import pytest
from nodb_trigger.probe import Inconclusive

FIRST = {"crashes": 0, "faults": 0}


def test_two_steps(lock_probe):
    lock_probe(locks.take, locks.drop_in_two_steps, **FIRST).assert_safe()


def test_sound(lock_probe):
    result = lock_probe(locks.take, locks.drop, **FIRST).assert_safe()
    assert result.evidence.startswith("PASS: take, drop; no crash and no lost command tried")


def test_closures_with_a_memory(lock_probe):
    mine = {}

    def take(r, key, ttl):
        assert key not in mine, "an earlier life is forgotten"
        token = locks.take(r, key, ttl)
        if token:
            mine[key] = token
        return token is not None

    def drop(r, key):
        locks.drop(r, key, mine.pop(key))

    lock_probe(take, drop, **FIRST).assert_safe()
    assert not mine


def test_refusals(lock_probe):
    result = lock_probe(locks.take_or_raise, locks.drop, **FIRST)
    with pytest.raises(Inconclusive, match="--refused Taken"):
        result.assert_safe()
    lock_probe(locks.take_or_raise, locks.drop, refused=locks.Taken, **FIRST).assert_safe()


def test_nothing_is_acquired(lock_probe):
    with pytest.raises(Inconclusive, match="it sent nothing to database 0"):
        lock_probe(lambda key, ttl: None, locks.drop).assert_safe()


def test_a_function_that_ends_the_process(lock_probe):
    with pytest.raises(Inconclusive, match="the subject ended while it was to acquire"):
        lock_probe(lambda key, ttl: os._exit(0), locks.drop).assert_safe()


def test_mistakes(lock_probe):
    with pytest.raises(Inconclusive, match="has a parameter 'connexion'"):
        lock_probe(lambda connexion: None, locks.drop).assert_safe()
    with pytest.raises(Inconclusive, match="clients"):
        lock_probe(locks.take, locks.drop, clients=1000000).assert_safe()
"#;

/// An acquire that never ends.
const BLOCKED: &str = r#"
import os
import threading


def take(key, ttl):
    with open("pids", "w") as pids:
        print(os.getpid(), os.getppid(), file=pids)
    threading.Event().wait()


def test_blocked(lock_probe):
    lock_probe(take, print)
"#;

/// The Python of the tests, if `scripts/python.sh` made it.
pub fn python(test: &str) -> Option<PathBuf> {
    let python = installed().with_file_name("venv").join("bin/python");
    if python.exists() {
        return Some(python);
    }
    assert!(std::env::var_os("NODB_REQUIRE_REDIS").is_none_or(|v| v != "1"), "{test}: no venv");
    eprintln!("left out: {test} (run scripts/python.sh)");
    None
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned()
}

/// pytest with the plugin, on the tests of this place, with temporary files in a directory of their own.
fn pytest(python: &Path, place: &Place, more: &[&str]) -> Output {
    let output = pytest_command(python, place, more).output().unwrap();
    check_temporary(place, &said(&output));
    output
}

fn check_temporary(place: &Place, said: &str) {
    let left: Vec<_> =
        fs::read_dir(place.at("tmp")).unwrap().map(|it| it.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?} are left\n{said}");
}

fn pytest_command(python: &Path, place: &Place, more: &[&str]) -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_nodb-trigger")).parent().unwrap();
    let temporary = place.at("tmp");
    fs::create_dir_all(&temporary).unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let mut pytest = Command::new("env");
    pytest.arg("--default-signal=INT").arg(python).args(["-m", "pytest", "-q"]);
    pytest.args(["-p", "nodb_trigger.pytest_plugin", "-p", "no:cacheprovider"]);
    pytest.args(more).current_dir(place.at("")).env("PATH", path).env("TMPDIR", &temporary);
    pytest.env("PYTHONPATH", concat!(env!("CARGO_MANIFEST_DIR"), "/python"));
    pytest.env("PYTHONDONTWRITEBYTECODE", "1");
    pytest
}

#[test]
fn a_test_of_a_lock_fails_with_the_ordering_and_the_line_that_sent_the_deciding_command() {
    let test =
        "a_test_of_a_lock_fails_with_the_ordering_and_the_line_that_sent_the_deciding_command";
    let Some(python) = python(test) else { return };
    let place = Place::new();
    fs::write(place.at("locks.py"), LOCKS).unwrap();
    fs::write(place.at("test_locks.py"), TESTS).unwrap();
    let output = said(&pytest(&python, &place, &[]));
    assert!(output.contains("1 failed, 6 passed"), "{output}");
    let shown = [
        "AssertionError: an ordering breaks the lock",
        "take, drop_in_two_steps: foreign_release after ",
        "DEL lock -> 1   <-- deletes client_2's lock",
        " in drop_in_two_steps: r.delete(key)",
        "client_1's release at step 6 deleted client_2's lock",
        "BROKEN: take, drop_in_two_steps can take another client's lock away",
    ];
    for words in shown {
        assert!(output.contains(words), "{words:?} is not in {output}");
    }
    assert!(!output.contains("--subject"), "{output}");

    let replay = output.split_once("replay: pytest ").unwrap().1.lines().next().unwrap();
    let words: Vec<&str> = replay.split(' ').collect();
    let again = said(&pytest(&python, &place, &words));
    assert!(again.contains("1 failed in") && again.contains("REPRODUCED"), "{again}");
    let of_another = ["test_locks.py::test_sound", words[1], words[2]];
    let parted = said(&pytest(&python, &place, &of_another));
    assert!(parted.contains("Inconclusive: nodb-trigger: the replay parted from the"), "{parted}");
}

#[test]
fn the_example_passes_with_the_failures_that_it_expects() {
    let test = "the_example_passes_with_the_failures_that_it_expects";
    let Some(python) = python(test) else { return };
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/pytest");
    let output = said(&pytest(&python, &Place::new(), &[example]));
    assert!(output.contains("3 passed, 2 xfailed in"), "{output}");
}

#[test]
fn an_interrupt_ends_the_program_and_all_actors() {
    let Some(python) = python("an_interrupt_ends_the_program_and_all_actors") else { return };
    let place = Place::new();
    fs::write(place.at("test_locks.py"), BLOCKED).unwrap();
    let child = pytest_command(&python, &place, &[]).stdout(Stdio::piped()).spawn().unwrap();
    let pids = || fs::read_to_string(place.at("pids")).ok().filter(|pids| pids.ends_with('\n'));
    let pids = poll(pids).expect("an acquire begins");
    send_signal(child.id(), Signal::INT);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    check_temporary(&place, &said(&output));
    for pid in pids.split_whitespace() {
        wait_until("an actor is gone", || !Path::new("/proc").join(pid).exists());
    }
}

#[test]
fn a_wheel_brings_the_program_the_plugin_and_the_manual_into_an_environment() {
    let test = "a_wheel_brings_the_program_the_plugin_and_the_manual_into_an_environment";
    let Some(python) = python(test) else { return };
    let place = Place::new();
    let run = |command: &mut Command| {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", said(&output));
        said(&output)
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/release.sh");
    let dist = place.at("dist");
    let mut release = Command::new("bash");
    run(release.args([script, "--package", env!("CARGO_BIN_EXE_nodb-trigger")]).arg(&dist));
    let made = fs::read_dir(&dist).unwrap().map(|it| it.unwrap().path());
    let wheel = made.into_iter().find(|path| path.extension().is_some_and(|it| it == "whl"));
    let environment = place.at("environment");
    run(Command::new(&python).args(["-m", "venv", "--without-pip"]).arg(&environment));
    let own = environment.join("bin/python");
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "--python"]).arg(&own).args(["install", "--no-deps", "--quiet"]);
    run(pip.arg(wheel.unwrap()));
    let version = concat!("nodb-trigger ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(run(Command::new(environment.join("bin/nodb-trigger")).arg("--version")), version);
    let code = "import nodb_trigger; print(nodb_trigger.program())";
    let found = run(Command::new(&own).args(["-c", code]).env("PATH", "/usr/bin:/bin"));
    assert_eq!(Path::new(found.trim()), environment.join("bin/nodb-trigger"));
    assert!(environment.join("share/man/man1/nodb-trigger-probe.1").exists());
}

#[test]
fn without_a_binary_the_installation_ends_with_a_sentence() {
    let test = "without_a_binary_the_installation_ends_with_a_sentence";
    let Some(python) = python(test) else { return };
    let place = Place::new();
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir"]);
    pip.arg(place.at("")).arg(concat!(env!("CARGO_MANIFEST_DIR"), "/python"));
    let output = pip.env_remove("NODB_TRIGGER_RELEASE").output().unwrap();
    assert!(!output.status.success());
    let said = said(&output);
    assert!(said.contains("nodb-trigger has no binary for this platform (Linux "), "{said}");
}
