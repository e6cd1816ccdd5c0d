//! The package for Node.js: its function for tests, and the packages for npm that bring the program.

use crate::probe::packages_with;
use crate::program::Place;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

const TESTS: &str = r#"
const assert = require("node:assert/strict");
const { test } = require("node:test");
const { Inconclusive, probe } = require("nodb-trigger");

const DELETE = 'return redis.call("GET", KEYS[1]) == ARGV[1] and redis.call("DEL", KEYS[1]) or 0';
const first = { crashes: 0, faults: 0 };
class Taken extends Error {
  name = "Taken";
}
let number = 0;
const acquire = async ({ client, key, ttl }) => {
  const token = `token-${process.pid}-${number++}-${Math.random()}`;
  if (!(await client.set(key, token, "EX", ttl, "NX"))) throw new Taken(key);
  return token;
};
const release = ({ client, key, token }) => client.eval(DELETE, 1, key, token);

test("an error that means taken is named", async () => {
  const unnamed = await probe({ acquire, release, ...first });
  assert.throws(() => unnamed.assertSafe(), (error) => {
    assert(error instanceof Inconclusive);
    assert.match(error.message, /that the lock is taken: refused: \["Taken"\]/);
    return true;
  });
  for (const refused of ["Taken", Taken, [Error]]) {
    const result = await probe({ acquire, release, refused, ...first });
    assert.match(result.assertSafe().evidence, /^PASS: acquire, release; no crash and/);
  }
});

test("a third function extends", async () => {
  const extend = async ({ client, key, token, ttlMs }) =>
    (await client.get(key)) === token && client.pexpire(key, ttlMs);
  const scenario = "extend_after_expiry";
  const result = await probe({ acquire, release, extend, refused: Taken, scenario, ...first });
  assert.throws(() => result.assertSafe(), /foreign_extend/);
});

test("a lease of its own is said", async () => {
  const own = async ({ client, key }) => acquire({ client, key, ttl: 30 });
  const unsaid = await probe({ acquire: own, release, refused: Taken, ...first });
  assert.throws(() => unsaid.assertSafe(), /acquire read neither ttl nor ttlMs/);
  const said = await probe({ acquire: own, release, refused: Taken, lease: "own", ...first });
  assert.match(said.assertSafe().evidence, /All clients ran in one process/);
});

test("mistakes", async () => {
  const array = await probe({ acquire: ({ ttl }) => [true, ttl], release });
  assert.throws(() => array.assertSafe(), /acquire returned an array/);
  const connect = () => { throw new Error("no way"); };
  const unconnected = await probe({ acquire, release, connect });
  assert.throws(() => unconnected.assertSafe(), /no way/);
  await assert.rejects(probe({ acquire }), /needs a function release/);
  const refuses = await probe({ acquire: () => null, release });
  assert.throws(() => refuses.assertSafe(), Inconclusive);
  const many = await probe({ acquire, release, clients: 1000000 });
  assert.throws(() => many.assertSafe(), /clients/);
});
"#;

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned()
}

fn root(path: &str) -> String {
    format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))
}

/// A directory in which ioredis and this package are installed, and this file is.
fn installed(packages: &str, name: &str, text: &str) -> Place {
    let place = Place::new();
    let modules = place.at("node_modules");
    fs::create_dir(&modules).unwrap();
    for package in fs::read_dir(packages).unwrap().map(Result::unwrap) {
        symlink(package.path(), modules.join(package.file_name())).unwrap();
    }
    symlink(root("js"), modules.join("nodb-trigger")).unwrap();
    fs::write(place.at(name), text).unwrap();
    place
}

/// Runs tests where nothing is left in the directory for temporary files.
fn node(place: &Place, words: &[&str], environment: &[(&str, &str)]) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_nodb-trigger")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let temporary = place.at("tmp");
    fs::create_dir_all(&temporary).unwrap();
    let mut node = Command::new("node");
    node.args(words).current_dir(place.at("")).env("PATH", path).env("TMPDIR", &temporary);
    let output = node.envs(environment.iter().copied()).output().unwrap();
    let left: Vec<_> = fs::read_dir(&temporary).unwrap().map(|it| it.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?} are left\n{}", said(&output));
    output
}

#[test]
fn the_example_for_node_finds_what_it_says() {
    let Some(packages) = packages_with("js_package", "ioredis") else { return };
    let read = |name: &str| fs::read_to_string(root("examples/node/") + name).unwrap();
    let place = installed(&packages, "locks.js", &read("locks.js"));
    fs::write(place.at("locks.test.mjs"), read("locks.test.mjs")).unwrap();
    let output = node(&place, &["--test", "locks.test.mjs"], &[]);
    assert!(output.status.success() && said(&output).contains("# pass 3"), "{}", said(&output));
}

#[test]
fn locks_of_node_are_probed_with_errors_an_extend_and_mistakes() {
    let Some(packages) = packages_with("js_package", "ioredis") else { return };
    let place = installed(&packages, "locks.test.js", TESTS);
    let output = node(&place, &["--test", "locks.test.js"], &[]);
    assert!(output.status.success() && said(&output).contains("# pass 4"), "{}", said(&output));
}

#[test]
fn a_schedule_in_the_environment_is_run_alone() {
    let Some(packages) = packages_with("js_package", "ioredis") else { return };
    let read = |name: &str| fs::read_to_string(root("examples/node/") + name).unwrap();
    let place = installed(&packages, "locks.js", &read("locks.js"));
    let code = r#"
        const { drop, take } = require("./locks.js");
        const acquire = ({ client, key, ttlMs }) => take(client, key, ttlMs);
        const release = ({ client, key, token }) => drop(client, key, token);
        require("nodb-trigger").probe({ acquire, release, crashes: 0, faults: 0 })
            .then((result) => console.log(result.status, result.report));
    "#;
    let found = said(&node(&place, &["-e", code], &[]));
    assert!(found.starts_with("1 "), "{found}");
    let schedule = found.split_once("replay: run this test alone with NODB_REPLAY=").unwrap().1;
    let schedule = schedule.lines().next().unwrap();
    let again = said(&node(&place, &["-e", code], &[("NODB_REPLAY", schedule)]));
    assert!(again.starts_with("1 ") && again.contains("REPRODUCED"), "{again}");
}

#[test]
fn packages_for_npm_bring_the_program() {
    let Some(_) = packages_with("js_package", "ioredis") else { return };
    let place = Place::new();
    let run = |command: &mut Command| {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", said(&output));
        said(&output)
    };
    let dist = place.at("dist");
    let mut release = Command::new("bash");
    release.args([&*root("scripts/release.sh"), "--package", env!("CARGO_BIN_EXE_nodb-trigger")]);
    run(release.arg(&dist));
    let made = fs::read_dir(&dist).unwrap().map(|it| it.unwrap().path());
    let packed: Vec<_> = made.filter(|it| it.extension().is_some_and(|it| it == "tgz")).collect();
    assert_eq!(packed.len(), 2, "{packed:?}");
    let prefix = place.at("prefix");
    let mut npm = Command::new("npm");
    npm.args(["install", "--offline", "--no-audit", "--no-fund", "--prefix"]).arg(&prefix);
    run(npm.args(&packed).env("npm_config_cache", place.at("cache")));
    let program = prefix.join("node_modules/.bin/nodb-trigger");
    let version = concat!("nodb-trigger ", env!("CARGO_PKG_VERSION"), "\n");
    let path = std::env::var("PATH").unwrap();
    assert_eq!(run(Command::new(&program).arg("--version").env("PATH", path)), version);
    let wrong = Command::new(&program).arg("no_such_scenario").output().unwrap();
    assert_eq!(wrong.status.code(), Some(2), "the exit status is the program's");
}
