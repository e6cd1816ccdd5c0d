//! Servers whose replies come too slowly, break off, are none, or are too large.

use rustix::process::Signal;

use crate::middleman::{Fate, Middleman};
use crate::program::{Place, Program, wait_until};

/// Every command that works on a real Redis, at this one.
fn commands(url: &str, place: &Place) -> [Program; 9] {
    let path = |name: &str| place.at(name).to_str().unwrap().to_owned();
    let (one, other, history, light) = (path("one"), path("other"), path("history"), path("light"));
    let all: [&[&str]; 9] = [
        &["status", "run"],
        &["status", "--all"],
        &["unlock", "run", "file"],
        &["clear_locks", "run"],
        &["repair", "run"],
        &["record", "--history", &history],
        &["record", "--light", "--history", &light],
        &["thundering_herd", "--quiet", &one],
        &["run", "thundering_herd", "--directory", &other],
    ];
    all.map(|words| Program::new(words).arg("--redis").arg(url))
}

/// Fails unless every command ends with 3 and one line that says this.
fn all_refuse(fate: fn() -> Fate, words: &[&str]) {
    let server = Middleman::alone(move |_| fate());
    let place = Place::new();
    let name = server.url().trim_end_matches("/0").to_owned();
    let words = [&[name.as_str()], words].concat();
    for running in commands(&server.url(), &place).map(Program::start) {
        let ended = running.end();
        ended.exits(3).says(&words);
        let lines = ended.stderr.lines().filter(|line| line.contains(words[1]));
        assert_eq!(lines.count(), 1, "{ended:#?}");
    }
    place.is_empty();
}

#[test]
fn a_reply_that_comes_drop_by_drop_is_late() {
    all_refuse(|| Fate::Drip("+PONG"), &["did not finish its reply within 5s", "is it stopped"]);
}

#[test]
fn a_reply_that_stalls_is_late() {
    all_refuse(|| Fate::Answer("$100\r\nab"), &["did not finish its reply within 5s"]);
}

#[test]
fn a_reply_that_breaks_off_is_a_lost_connection() {
    all_refuse(|| Fate::Cut("$100\r\nab"), &["lost the connection"]);
}

#[test]
fn what_is_no_reply_is_named_so() {
    let words = ["sent what is no reply of Redis", "HTTP/1.1 400 Bad Request"];
    all_refuse(|| Fate::Answer("HTTP/1.1 400 Bad Request\r\n\r\n"), &words);
}

#[test]
fn a_reply_that_is_announced_too_large_is_not_waited_for() {
    all_refuse(|| Fate::Answer("$9999999999\r\n"), &["sent a reply of more than 128 MiB"]);
    all_refuse(|| Fate::Answer("*2147483647\r\n"), &["sent a reply of more than 2 million parts"]);
}

#[test]
fn one_signal_ends_a_command_that_waits_for_a_reply() {
    let server = Middleman::alone(|_| Fate::Drip("+PONG"));
    let place = Place::new();
    for command in commands(&server.url(), &place) {
        let before = server.commands();
        let running = command.start();
        wait_until("it waits", || server.commands() > before);
        running.signal(Signal::TERM);
        let ended = running.end();
        // Nothing has to be cleaned up after one that only looks.
        assert!(ended.code.is_none_or(|code| [3, 130].contains(&code)), "{ended:#?}");
        ended.never_shows("within 5s");
        place.is_empty();
    }
}
