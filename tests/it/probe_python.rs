//! `probe --python`: functions of a Python program as the client, called by the names of their parameters.

use crate::probe::{packages_with, python_of};
use crate::program::{Ended, Place, Program};
use std::fs;
use std::path::Path;

/// Locks as people write them, sound and broken.
const LOCKS: &str = r#"
import os
import sys
import uuid

import redis

from . import state

DELETE = "return redis.call('get', KEYS[1]) == ARGV[1] and redis.call('del', KEYS[1]) or 0"


class Taken(Exception):
    pass


def take(r, key, ttl):
    print("not for the program")
    assert sys.stdin.read() == ""
    token = uuid.uuid4().hex
    return token if r.set(key, token, nx=True, ex=ttl) else None


def drop(r, key, token):
    r.eval(DELETE, 1, key, token)


def drop_in_two_steps(r, key, token):
    if r.get(key) == token.encode():
        r.delete(key)


def renew(r, key, token, ttl_ms):
    return r.get(key) == token.encode() and r.pexpire(key, ttl_ms)


async def take_async(client, name, px):
    token = uuid.uuid4().hex
    return token if await client.set(name, token, nx=True, px=px) else False


async def drop_async(client, name, value):
    return await client.eval(DELETE, 1, name, value)


def take_or_raise(r, key, ttl):
    token = take(r, key, ttl)
    if not token:
        raise Taken(key)
    return token


class Lock:
    def __init__(self, redis, name, timeout=10):
        self.redis, self.name, self.timeout = redis, name, timeout
        self.token = uuid.uuid4().hex

    def acquire(self, blocking=True):
        assert not blocking
        return self.redis.set(self.name, self.token, nx=True, ex=self.timeout)

    def release(self):
        return self.redis.eval(DELETE, 1, self.name, self.token)


def make(r, key, ttl):
    return r.lock(key, timeout=ttl, blocking=False)


connection = redis.from_url(os.environ["REDIS_URL"])
tokens = {}


def take_with_globals(key):
    assert key not in tokens, "globals are forgotten"
    token = uuid.uuid4().bytes
    if connection.set(key, token, nx=True, ex=30):
        tokens[key] = token
    return key in tokens


def drop_with_globals(key):
    if connection.get(key) == tokens.pop(key):
        connection.delete(key)


def take_in_time(r, key, timeout=5):
    assert timeout == 5, "how long it waits"
    return take(r, key, 30)


def drop_after_the_first(r, key, token):
    """Sound in each first life of a module, unless what it remembers is forgotten."""
    if state.warmed:
        return drop(r, key, token)
    state.warmed = True
    drop_in_two_steps(r, key, token)


def named_twice(r, key, name, ttl):
    pass


def anything(*args, **kwargs):
    pass


def not_declared(r, key, ttl):
    return take_async(r, key, ttl)


def unknown(connexion, key):
    pass


def pair(r, key, ttl):
    return bool(take(r, key, ttl)), "token"
"#;

/// What `probe` says of functions in a file.
struct Probe {
    place: Place,
    path: String,
}

impl Probe {
    /// With a Python that has redis-py.
    fn new(test: &str) -> Option<Self> {
        let python = python_of(test, "redis-8.1.0")?;
        let directory = Path::new(&python).parent()?.display().to_string();
        let place = Place::new();
        fs::create_dir(place.at("app")).unwrap();
        fs::write(place.at("app/locks.py"), LOCKS).unwrap();
        fs::write(place.at("app/state.py"), "warmed = False\n").unwrap();
        fs::write(place.at("app/broken.py"), "no_such_name\n").unwrap();
        fs::write(place.at("app/alone.py"), LOCKS.replace("from . import", "import")).unwrap();
        let path = format!("{directory}:{}", std::env::var("PATH").unwrap_or_default());
        Some(Self { place, path })
    }

    fn run(&self, words: &[&str]) -> Ended {
        Program::new(words).env("PATH", &self.path).current_dir(&self.place.at("")).run()
    }

    /// The verdict on these functions where no client crashes and no command is lost.
    fn verdict(&self, functions: &str, more: &[&str]) -> (i32, String) {
        let words = ["probe", "--python", functions, "--crashes", "0", "--faults", "0"];
        let ended = self.run(&[&words, more].concat());
        let last = ended.stdout.rsplit("\n\n").next().unwrap_or_default().replace('\n', " ");
        (ended.code.unwrap(), if last.is_empty() { ended.stderr } else { last })
    }
}

#[test]
fn a_release_in_two_steps_is_found_and_the_command_that_is_printed_shows_it_again() {
    let Some(probe) = Probe::new("probe_python") else { return };
    let found = probe.run(&["probe", "--python", "app.locks:take,drop_in_two_steps"]);
    found.exits(1);
    assert!(found.stdout.contains("app.locks:take,drop_in_two_steps: foreign_release after"));
    let replay = found.stdout.lines().find_map(|line| line.strip_prefix("replay: nodb-trigger "));
    let words: Vec<&str> = replay.unwrap().split(' ').collect();
    let replayed = probe.run(&words);
    replayed.exits(0);
    assert!(replayed.stdout.contains("foreign_release"), "{}", replayed.stdout);
}

#[test]
fn sound_locks_of_every_form_pass() {
    let Some(probe) = Probe::new("probe_python") else { return };
    for functions in [
        "app.locks:take,drop",
        "app/alone.py:take,drop",
        "app.locks:take_in_time,drop",
        "app.locks:take_async,drop_async",
        "app.locks:Lock",
        "app.locks:make",
    ] {
        let (code, verdict) = probe.verdict(functions, &[]);
        assert!(code == 0 && verdict.starts_with("PASS"), "{functions}: {code} {verdict}");
    }
}

#[test]
fn the_lease_of_an_acquire_without_a_ttl_is_the_one_it_sets() {
    let Some(probe) = Probe::new("probe_python") else { return };
    let (code, verdict) = probe.verdict("app.locks:take_with_globals,drop_with_globals", &[]);
    assert!(code == 1 && verdict.contains("(foreign_release)"), "{code} {verdict}");
    assert!(!verdict.contains("(double_grant)"), "{verdict}");
}

#[test]
fn each_life_loads_all_modules_anew() {
    let Some(probe) = Probe::new("probe_python") else { return };
    let (code, verdict) = probe.verdict("app.locks:take,drop_after_the_first", &[]);
    assert!(code == 1 && verdict.contains("(foreign_release)"), "{code} {verdict}");
}

#[test]
fn a_third_function_extends() {
    let Some(probe) = Probe::new("probe_python") else { return };
    let (code, verdict) = probe.verdict("app.locks:take,drop,renew", &["extend_after_expiry"]);
    assert!(code == 1 && verdict.contains("(foreign_extend)"), "{code} {verdict}");
}

#[test]
fn a_subject_to_start_from_passes() {
    let Some(probe) = Probe::new("probe_python") else { return };
    let packages = packages_with("probe_python", "ioredis");
    for (language, name) in [("python", "python3"), ("node", "node"), ("bash", "bash")] {
        let printed = Program::new(["probe", "--init", language]).run();
        printed.exits(0);
        fs::write(probe.place.at(language), &printed.stdout).unwrap();
        let subject = format!("exec {name} {language}");
        let words = ["probe", "--subject", &subject, "--crashes=0", "--faults=0"];
        let program = Program::new(words).env("PATH", &probe.path);
        let program = program.env("NODE_PATH", packages.as_deref().unwrap_or_default());
        let code = program.current_dir(&probe.place.at("")).run().code;
        // The one in bash deletes in two steps.
        assert_eq!(code, Some(if language == "bash" { 1 } else { 0 }), "{language}");
    }
    for language in ["ruby", "rust"] {
        let printed = Program::new(["probe", "--init", language]).run();
        printed.exits(0);
        assert!(printed.stdout.contains("HERE"), "{}", printed.stdout);
    }
    let wrong = Program::new(["probe", "--init", "python", "--python", "a:b,c"]).run();
    assert!(wrong.code == Some(2) && wrong.stderr.contains("--init"), "{}", wrong.stderr);
}

#[test]
fn an_exception_that_means_taken_is_named() {
    let Some(probe) = Probe::new("probe_python") else { return };
    let functions = "app.locks:take_or_raise,drop";
    let (code, said) = probe.verdict(functions, &[]);
    assert!(code == 3 && said.contains("that the lock is taken: --refused Taken)"), "{said}");
    for name in ["Taken", "app.locks.Taken", "Exception"] {
        let (code, verdict) = probe.verdict(functions, &["--refused", name]);
        assert!(code == 0, "{name}: {verdict}");
    }
}

#[test]
fn functions_that_cannot_be_called_are_told_why() {
    let Some(probe) = Probe::new("probe_python") else { return };
    for (functions, why) in [
        ("app.locks:unknown,drop", "unknown has a parameter 'connexion' that has no default"),
        ("app.locks:unknown,drop", "known are r, redis, client, conn: a redis.Redis; key, name,"),
        ("app.locks:pair,drop", "pair returned a tuple: True, a token or an object means"),
        ("app.locks:missing,drop", "app.locks has no 'missing'; it has: Lock, "),
        ("app.locks:take", "name the one that releases too: MODULE:ACQUIRE,RELEASE"),
        ("app.locks:drop,drop", "drop needs 'token', which only a release gets"),
        ("app.locks:named_twice,drop", "named_twice has key and name, which mean the same"),
        ("app.locks:anything,drop", "anything has no parameters but *args and **kwargs"),
        ("app.locks:not_declared,drop", "is not declared async, and returned an awaitable"),
        ("app.broken:take,drop", "NameError: name 'no_such_name' is not defined (with "),
        ("app.none:take,drop", "No module named 'app.none' (with "),
    ] {
        let (code, said) = probe.verdict(functions, &[]);
        assert!(code == 3 && said.contains(why), "{functions}: {code} {said}");
    }
    for wrong in ["app.locks", ":take,drop", "app.locks:", "app.locks:take,", "app.locks:a,b,c,d"] {
        let (code, said) = probe.verdict(wrong, &[]);
        assert!(
            code == 2 && said.contains("give MODULE:ACQUIRE,RELEASE, MODULE"),
            "{wrong}: {said}"
        );
    }
    let both = ["probe", "--python", "app.locks:take,drop", "--subject", "x"];
    let refused = probe.run(&both);
    assert!(refused.code == Some(2) && refused.stderr.contains("cannot be used with"));
}
