//! Timelines on the command line: into which file, when, and what keeps one from being drawn.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::Signal;

use crate::program::{Place, Program, arguments, wait_until};
use crate::redis_server::redis_or_skip;
use crate::weather::is_locked;

/// How a file with a picture begins.
const BEGINNINGS: [(&str, &str); 3] =
    [("svg", "<svg"), ("html", "<!doctype html>"), ("htm", "<!doctype html>")];

/// A saved history of a herd.
fn saved(place: &Place) -> PathBuf {
    let history = place.at("history.jsonl");
    let flags = ["--virtual", "--quiet", "--history", history.to_str().unwrap()];
    Program::new(arguments(&["ttl_expiration"], &place.run(), &flags)).run().exits(0);
    history
}

/// Every command that has a history, without its flag `--timeline`.
fn commands(place: &Place) -> Vec<Vec<String>> {
    let history = saved(place);
    let json = place.at("explored.json");
    let explore = ["explore", "check_then_delete", "--lock", "legacy"];
    let into = ["--format=json", "--output", json.to_str().unwrap()];
    Program::new(explore.iter().chain(&into)).run().exits(0);
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    vec![
        words(&["ttl_expiration", place.run().to_str().unwrap(), "--virtual"]),
        words(&["check", history.to_str().unwrap()]),
        words(&["replay", json.to_str().unwrap()]),
        words(&explore),
    ]
}

#[test]
fn every_command_with_a_history_draws_it_to_a_file() {
    let place = Place::new();
    for command in commands(&place) {
        let plain = Program::new(&command).run();
        for (ending, beginning) in BEGINNINGS {
            let file = place.at(&format!("picture.{ending}"));
            let drawn = Program::new(&command).arg("--timeline").arg(&file).run();
            assert_eq!((drawn.code, &drawn.stderr), (plain.code, &plain.stderr), "{command:?}");
            let picture = fs::read_to_string(&file).unwrap();
            assert!(picture.to_lowercase().starts_with(beginning), "{command:?}: {picture:.99}");
            fs::remove_file(&file).unwrap();
        }
    }
}

#[test]
fn every_command_with_a_history_draws_it_after_its_report() {
    let place = Place::new();
    for command in commands(&place) {
        let plain = Program::new(&command).run();
        let drawn = Program::new(&command).arg("--timeline=-").run();
        assert_eq!((drawn.code, &drawn.stderr), (plain.code, &plain.stderr), "{command:?}");
        let below = drawn.stdout.rsplit_once(" under legacy, 0 us to ").unwrap();
        let (scenario, picture) = (below.0.lines().rev().nth(1), below.1);
        assert_eq!(scenario, Some(""), "a blank line is between: {drawn:#?}");
        assert!(picture.contains("┬"), "{drawn:#?}");
        assert!(picture.contains("holds the lock"), "{drawn:#?}");
        assert!(picture.lines().all(|line| line.chars().count() <= 80), "{drawn:#?}");
        assert!(!picture.contains('\u{1b}'), "{drawn:#?}");
    }
}

#[test]
fn a_saved_history_is_drawn_here_or_to_a_file() {
    let place = Place::new();
    let history = saved(&place);
    let timeline = || Program::new(["timeline"]).arg(&history);
    let here = timeline().run();
    here.exits(0);
    assert!(here.stdout.starts_with("ttl_expiration under legacy, 0 us to "), "{here:#?}");
    assert_eq!(here.stderr, "");
    assert_eq!(timeline().arg("--output=-").run().stdout, here.stdout, "80 columns, always");
    assert!(timeline().arg("--color=always").run().stdout.contains("\u{1b}["));
    for (ending, beginning) in BEGINNINGS {
        let file = place.at(&format!("picture.{ending}"));
        let drawn = timeline().arg("--output").arg(&file).run();
        drawn.exits(0);
        assert_eq!((drawn.stdout.as_str(), drawn.stderr.as_str()), ("", ""));
        let picture = fs::read_to_string(&file).unwrap();
        assert!(picture.to_lowercase().starts_with(beginning), "{picture:.99}");
    }
}

#[test]
fn a_history_is_read_from_stdin() {
    let place = Place::new();
    let history = saved(&place);
    let sent =
        |command: &str| Program::new([command, "-"]).stdin(fs::File::open(&history).unwrap()).run();
    let (named, drawn) = (Program::new(["timeline"]).arg(&history).run(), sent("timeline"));
    drawn.exits(0);
    assert_eq!(named.stdout, drawn.stdout);
    let (named, checked) = (Program::new(["check"]).arg(&history).run(), sent("check"));
    assert_eq!(named.code, checked.code);
    let without_name = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(without_name(&named.stdout), without_name(&checked.stdout));
    assert!(checked.stdout.starts_with("history   stdin"), "{checked:#?}");
    // Nothing is sent.
    Program::new(["timeline", "-"]).run().refuses(2, &["stdin is not a history"]);
}

#[test]
fn a_history_that_is_not_whole_is_drawn_and_a_broken_one_is_not() {
    let place = Place::new();
    let text = fs::read_to_string(saved(&place)).unwrap();
    let cut = place.at("cut.jsonl");
    fs::write(&cut, &text[..text.len() * 2 / 3]).unwrap();
    let drawn = Program::new(["timeline"]).arg(&cut).run();
    drawn.exits(0);
    assert!(drawn.stdout.contains("The history is not whole"), "{drawn:#?}");
    let file = place.at("picture.svg");
    let drawn = Program::new(["timeline"]).arg(&cut).arg("--output").arg(&file).run();
    drawn.exits(0).says(&["cut.jsonl is not whole"]);
    assert!(file.exists());
    fs::remove_file(&file).unwrap();
    let broken = place.at("broken.jsonl");
    fs::write(&broken, text.replacen("\"event\"", "\"evnet\"", 1)).unwrap();
    let timeline = Program::new(["timeline"]).arg(&broken).arg("--output").arg(&file);
    timeline.run().refuses(2, &["broken.jsonl, line 2"]);
    assert!(!file.exists());
    let missing = Program::new(["timeline"]).arg(place.at("missing.jsonl"));
    missing.run().refuses(3, &["cannot read the history", "missing.jsonl"]);
}

#[test]
fn an_ending_that_says_nothing_is_refused_before_anything_runs() {
    let place = Place::new();
    let history = saved(&place);
    let before = place.everything();
    for wrong in ["picture.png", "picture", "svg"] {
        for command in commands_with(&history, &place) {
            let ended = Program::new(&command).arg(wrong).run();
            ended.exits(2).says(&[".svg", ".html", "- to draw"]);
            assert_eq!(ended.stdout, "");
        }
    }
    assert_eq!(place.everything(), before);
}

/// Every command up to the name of the file for the picture.
fn commands_with(history: &Path, place: &Place) -> Vec<Vec<String>> {
    let (history, run) = (history.to_str().unwrap(), place.run());
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    vec![
        words(&["ttl_expiration", run.to_str().unwrap(), "--virtual", "--timeline"]),
        words(&["check", history, "--timeline"]),
        words(&["replay", "v1:nothing", "--timeline"]),
        words(&["explore", "check_then_delete", "--timeline"]),
        words(&["timeline", history, "--output"]),
    ]
}

#[test]
fn a_file_that_cannot_be_opened_is_said_before_anything_runs() {
    let place = Place::new();
    let missing = place.at("missing").join("picture.svg");
    let hour = ["--hold=1h", "--timeline", missing.to_str().unwrap()];
    let ended = Program::new(arguments(&["ttl_expiration"], &place.run(), &hour)).run();
    ended.refuses(3, &["cannot open", "picture.svg for the timeline", "nothing was run"]);
    place.is_empty();
    let folder = place.at("folder.svg");
    fs::create_dir(&folder).unwrap();
    let history = saved(&place);
    let timeline = Program::new(["timeline"]).arg(history).arg("--output").arg(folder);
    timeline.run().refuses(3, &["folder.svg for the timeline", "Is a directory"]);
}

#[test]
fn nothing_is_drawn_among_data_on_stdout() {
    let place = Place::new();
    let words = ["would draw into the data on stdout", "--timeline FILE.svg"];
    for format in ["--format=json", "--format=junit"] {
        let virtually = ["--virtual", format, "--timeline=-"];
        let ended = Program::new(arguments(&["ttl_expiration"], &place.run(), &virtually)).run();
        ended.refuses(2, &words);
        let explore = ["explore", "check_then_delete", format, "--timeline=-"];
        Program::new(explore).run().refuses(2, &words);
    }
    place.is_empty();
    let history = saved(&place);
    let check = Program::new(["check", "--format=json", "--timeline=-"]).arg(history);
    check.run().refuses(2, &words);
    // With the data in a file there is room for it.
    let json = place.at("report.json");
    let elsewhere = ["--virtual", "--format=json", "--timeline=-", "--output"];
    let program = Program::new(arguments(&["ttl_expiration"], &place.run(), &elsewhere));
    let ended = program.arg(&json).run();
    ended.exits(0);
    assert!(ended.stdout.starts_with("ttl_expiration under legacy"), "{ended:#?}");
    assert!(fs::read_to_string(&json).unwrap().starts_with('{'));
}

#[test]
fn without_a_counterexample_there_is_no_timeline() {
    let place = Place::new();
    let file = place.at("picture.svg");
    let explore = ["explore", "check_then_delete", "--lock=hardened", "--timeline"];
    let ended = Program::new(explore).arg(&file).run();
    ended.exits(0).says(&["no counterexample is shown, so there is no timeline"]);
    place.is_empty();
}

#[test]
fn a_signal_draws_what_happened_and_leaves_no_empty_file() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let file = place.at("picture.svg");
    let flags = ["--hold=1h", "--redis", &redis.url(), "--timeline", file.to_str().unwrap()];
    let working = Program::new(arguments(&["thundering_herd"], &place.run(), &flags)).start();
    wait_until("the lock is taken", || is_locked(&redis));
    assert!(fs::read(&file).unwrap().is_empty(), "open, and nothing is in it yet");
    working.signal(Signal::INT);
    working.end().exits(130);
    assert!(fs::read_to_string(&file).unwrap().starts_with("<svg"));
    fs::remove_file(&file).unwrap();
    place.is_empty();
    // A history that never comes leaves nothing at all.
    let (reader, mut writer) = std::io::pipe().unwrap();
    let waiting = Program::new(["timeline", "-", "--output"]).arg(&file);
    let waiting = waiting.stdin(Stdio::from(reader)).start();
    // More than a pipe holds: it is being read when this returns.
    writer.write_all(&[b' '; 1 << 17]).unwrap();
    // Not INT: whoever is started in the background by a shell may have to ignore that.
    waiting.signal(Signal::TERM);
    assert_eq!(waiting.end().code, None);
    place.is_empty();
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let place = Place::new();
    let history = saved(&place);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ended = Program::new(["timeline"]).arg(&history).stdout(writer).run();
    ended.exits(0);
    assert_eq!(ended.stderr, "");
}
