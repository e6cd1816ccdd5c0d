//! Surveys of servers whose state is hard to determine.

use super::*;
use crate::lock::hostname;
use crate::server::{Connection, Server};
use redis_sim::Engine;
use redis_sim::clock::VirtualClock;
use std::sync::Arc;

fn server(commands: &[&[&str]]) -> Connection {
    let clock = Arc::new(VirtualClock::new(None));
    let mut link = Server::Embedded(Engine::new(clock)).connect(0).unwrap();
    for words in commands {
        let mut command = redis::Cmd::new();
        for word in *words {
            command.arg(word);
        }
        command.exec(&mut link).unwrap();
    }
    link
}

/// The files of a run, and what was left out.
fn files(link: &mut Connection, runid: &str) -> (Vec<String>, Unseen) {
    let mut files = Vec::new();
    let unseen = survey(link, None, Some(runid), &mut |seen| files.push(seen.file)).unwrap();
    (files, unseen)
}

#[test]
fn a_lock_belongs_to_the_run_that_has_its_flag() {
    let mut link = server(&[
        &["SET", "nodb-lock:a:b:x.nodb", "1"],
        &["SET", "nodb-lock:a:b:y.nodb", "1"],
        &["SET", "nodb-lock:a:b:z.nodb", "1"],
        &["SET", "nodb-lock:a:plain.nodb", "1"],
        &["SET", "a:b:x", "no hash"],
        &["HSET", "a:b", "locked:x.nodb", "true"],
        &["HSET", "a", "locked:b:y.nodb", "false"],
    ]);
    let (of_a, unseen) = files(&mut link, "a");
    assert_eq!((of_a, unseen.of_others), (vec_of(&["b:y.nodb", "b:z.nodb", "plain.nodb"]), 1));
    let (of_ab, unseen) = files(&mut link, "a:b");
    assert_eq!((of_ab, unseen.of_others), (vec_of(&["x.nodb", "z.nodb"]), 1));
}

fn vec_of(files: &[&str]) -> Vec<String> {
    files.iter().map(|file| (*file).to_owned()).collect()
}

#[test]
fn without_a_flag_a_file_with_a_colon_may_be_another_run_s() {
    let held = format!(r#"{{"token":"t","owner":"{}:{}"}}"#, hostname(), std::process::id());
    let mut link = server(&[
        &["SET", "nodb-lock:a:b:x.nodb", &held, "EX", "9"],
        &["SET", "nodb-lock:a:y.nodb", &held, "EX", "9"],
    ]);
    let in_doubt = sight(&mut link, "a", "b:x.nodb").unwrap();
    assert!(in_doubt.may_be_anothers());
    assert_eq!(in_doubt.state(), State::Held, "no drift is known");
    let plain = sight(&mut link, "a", "y.nodb").unwrap();
    assert!(!plain.may_be_anothers());
    assert_eq!(plain.state(), State::NoFlag);
}

#[test]
fn only_an_existing_flag_of_what_can_be_a_lock_drifts() {
    let long = "x".repeat(100_000);
    let mut link = server(&[
        &["HSET", "nodb-lock:run:hash", "a", "1"],
        &["SET", "nodb-lock:run:long", &long],
        &["SET", "nodb-lock:run:missing", "1"],
        &["SET", "nodb-lock:run:foreign", "1"],
        &["HSET", "run", "locked:hash", "false", "locked:long", "false"],
        &["HSET", "run", "locked:foreign", "false", "locked:c:d", "true", "locked:free", "false"],
    ]);
    for (file, expected) in [
        ("hash", false),
        ("long", false),
        ("missing", false),
        ("foreign", true),
        ("c:d", true),
        ("free", false),
    ] {
        assert_eq!(sight(&mut link, "run", file).unwrap().drifts(), expected, "{file}");
    }
}

#[test]
fn a_number_that_lives_again_is_no_orphan() {
    let mut link = server(&[&["SET", "nodb-lock:run:x.nodb", "1"]]);
    let mut seen = sight(&mut link, "run", "x.nodb").unwrap();
    for (pid, is_still) in [(2_147_483_647, true), (std::process::id(), false)] {
        let text = format!(r#"{{"token":"t","owner":"{}:{pid}"}}"#, hostname());
        let payload = Payload::decode(text.as_bytes());
        seen.found = Some(Found::Payload { payload, life: Life::Dead });
        assert_eq!((seen.state(), seen.is_orphaned_still()), (State::Orphaned, is_still));
    }
}

#[test]
fn a_backslash_in_a_file_name_is_matched_literally() {
    let mut link = server(&[&["SET", r"nodb-lock:run:a\b.nodb", "1"]]);
    assert!(sight(&mut link, "run", r"a\b.nodb").unwrap().found.is_some());
    assert!(sight(&mut link, "run", "a/b.nodb").unwrap().found.is_none());
}

#[test]
fn states_are_tried_in_their_order() {
    let mut link = server(&[&["HSET", "nodb-lock:run:x.nodb", "a", "1"]]);
    let mut seen = sight(&mut link, "run", "x.nodb").unwrap();
    assert_eq!(seen.state(), State::ForeignPayload);
    seen.doubt = Some(Doubt::Hidden("NOPERM".into()));
    assert_eq!(seen.state(), State::Hidden);
    assert!(State::Hidden < State::ForeignPayload);
}
