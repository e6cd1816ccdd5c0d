//! Closures of a Rust test as actors. Those that are ignored are started by others, each in a process of its
//! own.

use crate::program::wait_until;
use nodb_trigger::closures::{Orderings, Outcome};
use nodb_trigger::{Property, critical_section, explore};
use redis::{Connection, RedisResult, cmd};
use std::fs;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

#[path = "../../examples/rust/tests/locks.rs"]
mod locks;

/// This test binary, for one of the tests below.
fn alone(name: &str) -> Command {
    let mut test = Command::new(std::env::current_exe().unwrap());
    let name = format!("closures::{name}");
    test.args([&name, "--exact", "--ignored", "--nocapture"]).env_remove("NODB_REPLAY");
    test
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned()
}

/// A lease that is no lock.
fn set_without_nx(client: &mut Connection) -> RedisResult<()> {
    cmd("SET").arg("lock").arg("held").arg("EX").arg(30).exec(client)?;
    critical_section("lock");
    cmd("DEL").arg("lock").exec(client)
}

fn acquires(client: &mut Connection) -> RedisResult<bool> {
    let mut set = cmd("SET");
    let set = set.arg("lock").arg("held").arg("NX").arg("EX").arg(30);
    Ok(set.query::<Option<String>>(client)?.is_some())
}

fn one_run(orderings: Orderings) -> Outcome {
    orderings.crashes(0).outcome()
}

#[track_caller]
fn is_inconclusive(outcome: &Outcome, why: &str) {
    assert!(matches!(outcome, Outcome::Inconclusive(said) if said.contains(why)), "{outcome}");
}

#[test]
#[ignore = "started by another test"]
fn is_found() {
    let orderings = explore(2, |client, _| set_without_nx(client));
    orderings.crashes(0).never(Property::DoubleGrant).assert();
}

#[test]
#[ignore = "started by another test"]
fn is_another() {
    explore(3, |client, _| set_without_nx(client)).never(Property::DoubleGrant).assert();
}

#[test]
fn a_failure_names_the_command_that_runs_its_ordering_again() {
    let output = alone("is_found").output().unwrap();
    let found = said(&output);
    assert!(!output.status.success(), "{found}");
    for words in ["step  client_1", "<-- ", "can grant the lock to two clients at once"] {
        assert!(found.contains(words), "no {words:?} in\n{found}");
    }
    let (_, replay) = found.split_once("replay: NODB_REPLAY=").unwrap();
    let (schedule, command) = replay.lines().next().unwrap().split_once(' ').unwrap();
    assert_eq!(command, "cargo test closures::is_found -- --exact");

    let again = alone("is_found").env("NODB_REPLAY", schedule).output().unwrap();
    assert!(said(&again).contains("REPRODUCED: it shows double_grant again"), "{}", said(&again));
    assert!(!again.status.success() && !said(&again).contains("orderings"), "{}", said(&again));
    let other = alone("is_another").env("NODB_REPLAY", schedule).output().unwrap();
    let why =
        "no verdict on the lock\n\nINCONCLUSIVE: the schedule in NODB_REPLAY is of another test";
    assert!(!other.status.success() && said(&other).contains(why), "{}", said(&other));
}

#[test]
fn a_test_is_found_where_tests_run_in_the_main_thread() {
    let output = alone("is_found").arg("--test-threads=1").output().unwrap();
    assert!(said(&output).contains("an ordering breaks the lock"), "{}", said(&output));
}

#[test]
fn a_closure_that_panics_gets_no_verdict() {
    let outcome = one_run(explore(2, |_, _| -> RedisResult<()> { panic!("out of {}", "order") }));
    is_inconclusive(&outcome, "panicked: out of order");
}

#[test]
fn a_closure_that_never_acquires_gets_no_verdict() {
    let outcome = one_run(explore(2, |client, _| cmd("GET").arg("lock").exec(client)));
    is_inconclusive(&outcome, "the closure returned without critical_section");
}

#[test]
fn a_closure_that_holds_twice_gets_no_verdict() {
    let outcome = one_run(explore(2, |client, _| {
        set_without_nx(client)?;
        set_without_nx(client)
    }));
    is_inconclusive(&outcome, "reached critical_section twice");
}

#[test]
fn a_lock_that_refuses_all_gets_no_verdict() {
    let outcome = one_run(explore(2, |client, _| {
        cmd("GET").arg("lock").exec(client).map_err(|error| error.to_string())?;
        Err::<(), _>("it is taken".to_owned())
    }));
    is_inconclusive(&outcome, "is taken");
}

#[test]
fn a_test_that_explores_twice_gets_no_verdict_the_second_time() {
    let found = explore(2, |client, _| set_without_nx(client));
    assert!(one_run(found).is_broken());
    let again = explore(2, |client, _| set_without_nx(client));
    is_inconclusive(&one_run(again), "this test has explored already");
}

#[test]
fn a_test_that_fails_before_it_explores_gets_no_verdict() {
    assert!(std::env::var_os("NODB_TRIGGER_ACTOR").is_none(), "this is an actor");
    let outcome = one_run(explore(2, |client, _| set_without_nx(client)));
    is_inconclusive(&outcome, "runs the test up to explore(...)");
}

#[test]
fn what_follows_from_another_property_gets_no_verdict_without_that() {
    let orderings = explore(2, |client, _| {
        if !acquires(client)? {
            return Ok(());
        }
        critical_section("lock");
        cmd("DEL").arg("lock").exec(client)
    });
    let outcome = one_run(orderings.never(Property::DoubleGrant));
    is_inconclusive(&outcome, "never foreign_release");
    is_inconclusive(&outcome, "do what is said above");
}

#[test]
fn a_bound_that_is_reached_gives_no_verdict() {
    let orderings = explore(2, |client, _| {
        if !acquires(client)? {
            return Ok(());
        }
        critical_section("lock");
        cmd("DEL").arg("lock").exec(client)
    });
    let orderings = orderings.never(Property::DoubleGrant).max_time(std::time::Duration::ZERO);
    is_inconclusive(&orderings.outcome(), "max_time");
}

/// How often the closure was called in this life. A life has few instructions, and an exploration many lives.
static CALLS: AtomicU32 = AtomicU32::new(0);

#[test]
fn a_client_that_crashes_remembers_nothing() {
    let outcome = explore(2, |client, _| {
        assert!(CALLS.fetch_add(1, Ordering::Relaxed) < 5, "earlier lives are remembered");
        if !acquires(client)? {
            return Ok(());
        }
        critical_section("lock");
        cmd("DEL").arg("lock").exec(client)
    });
    let outcome = outcome.crashes(1).never(Property::ForeignRelease).outcome();
    assert!(outcome.is_broken(), "{outcome}");
}

#[test]
#[ignore = "started by another test"]
fn is_interrupted() {
    let outcome = explore(2, |_, _| -> RedisResult<()> {
        loop {
            std::thread::park();
        }
    })
    .outcome();
    panic!("{outcome}");
}

/// Kills a test with a signal that it can't handle while its actors are at work.
#[test]
fn a_test_that_is_killed_leaves_no_process_behind() {
    let mut test =
        alone("is_interrupted").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let is_there = |pid: &str| std::path::Path::new("/proc").join(pid).exists();
    let id = test.id();
    wait_until("the actors run", || children(id).len() == 2);
    let actors = children(id);
    test.kill().unwrap();
    test.wait().unwrap();
    wait_until("the actors end", || !actors.iter().any(|pid| is_there(pid)));
}

/// The processes that threads of this one have started.
fn children(pid: u32) -> Vec<String> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let paths = threads.flatten().map(|thread| thread.path().join("children"));
    let read = paths.map(|path| fs::read_to_string(path).unwrap_or_default());
    read.flat_map(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>())
        .filter(|pid| !pid.is_empty())
        .collect()
}

/// Its lock file names what the library and a client of tokio need.
#[test]
fn the_library_alone_needs_nothing_of_the_command_line() {
    let lock = include_str!("../../examples/rust/Cargo.lock");
    let has = |name: &str| lock.contains(&format!("name = \"{name}\"\n"));
    assert!(has("lock-lab") && has("tokio"), "{lock}");
    for name in ["anyhow", "clap", "clap_complete", "comfy-table", "indicatif", "quick-junit"] {
        assert!(!has(name), "{name}");
    }
}
