//! Servers whose replies come too slowly, break off, are none, or are too large.

use super::every_command::programs;
use crate::middleman::{Fate, Middleman};
use crate::program::Place;

/// Fails unless every command ends with 3 and one line that says this.
fn all_refuse(fate: fn() -> Fate, words: &[&str]) {
    let server = Middleman::alone(move |_| fate());
    let place = Place::new();
    let name = server.url().trim_end_matches("/0").to_owned();
    let words = [&[name.as_str()], words].concat();
    let all = programs(&server.url(), &place, &["--redis-timeout=2s"]).into_iter();
    let running: Vec<_> = all.map(|(name, program)| (name, program.start())).collect();
    for (name, running) in running {
        let ended = running.end();
        assert_eq!(ended.code, Some(3), "{name}: {ended:#?}");
        ended.says(&words);
        let lines = ended.stderr.lines().filter(|line| line.contains(words[1]));
        assert_eq!(lines.count(), 1, "{name}: {ended:#?}");
    }
    place.is_empty();
}

#[test]
fn a_reply_that_comes_drop_by_drop_is_late() {
    all_refuse(|| Fate::Drip("+PONG"), &["did not finish its reply within 2s", "is it stopped"]);
}

#[test]
fn a_reply_that_stalls_is_late() {
    all_refuse(|| Fate::Answer("$100\r\nab"), &["did not finish its reply within 2s"]);
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
