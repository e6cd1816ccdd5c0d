//! `status --watch`, into a pipe and on a terminal.

use super::{connection, here, lock, run};
use crate::program::{Place, Program, Running, poll, wait_until};
use crate::redis_server::{RedisServer, leave_out, redis_or_skip};
use rustix::process::Signal;
use serde_json::Value;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

/// The program at work, its stdout and stderr in files.
struct Piped {
    program: Running,
    place: Place,
}

impl Piped {
    fn start(redis: &RedisServer, rest: &[&str]) -> Self {
        let place = Place::new();
        let url = redis.url();
        let program = Program::new([&["status", "--watch", "--redis", &url], rest].concat())
            .stdout(File::create(place.at("out")).unwrap())
            .stderr(File::create(place.at("err")).unwrap())
            .start();
        Self { program, place }
    }

    fn out(&self) -> String {
        fs::read_to_string(self.place.at("out")).unwrap()
    }

    fn err(&self) -> String {
        fs::read_to_string(self.place.at("err")).unwrap()
    }

    #[track_caller]
    fn documents(&self, count: usize) -> Vec<Value> {
        wait_until("there are as many documents", || self.out().lines().count() >= count);
        self.out().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[test]
fn each_change_is_a_document() {
    for events in ["KA", ""] {
        let redis = redis_or_skip!("--notify-keyspace-events", events);
        let mut con = connection(&redis);
        let piped = Piped::start(&redis, &["r", "--format", "json"]);
        assert_eq!(piped.documents(1)[0]["locks"], serde_json::json!([]));
        lock(&mut con, "r", "a.nodb", "t", "other:1");
        wait_until("it is held", || {
            piped.out().lines().last().unwrap().contains(r#""state":"held""#)
        });
        let before = piped.out().lines().count();
        run(&mut con, &["DEL", "nodb-lock:r:a.nodb"]);
        run(&mut con, &["HSET", "r", "locked:a.nodb", "false"]);
        let documents = piped.documents(before + 1);
        assert_eq!(documents.last().unwrap()["counts"], serde_json::json!({"free": 1}));
        piped.program.signal(Signal::INT);
        piped.program.end().exits(130);
    }
}

#[test]
fn a_server_that_goes_away_is_waited_for() {
    let mut redis = redis_or_skip!();
    let mut con = connection(&redis);
    lock(&mut con, "r", "a.nodb", "t", "other:1");
    let piped = Piped::start(&redis, &["r"]);
    wait_until("a table is there", || piped.out().contains("1 lock: 1 held"));
    redis.kill();
    wait_until("it is said", || piped.err().contains("trying again"));
    redis.restart();
    wait_until("it is said, too", || piped.err().contains("answers again"));
    wait_until("the lock is gone", || piped.out().contains("no locks and no flags"));
    assert_eq!(piped.err().lines().count(), 2, "{}", piped.err());
    piped.program.signal(Signal::TERM);
    piped.program.end().exits(130);
}

/// A terminal with the program in it.
struct Terminal {
    socket: String,
    place: Place,
}

impl Terminal {
    /// Starts a shell that runs `status` with these arguments, and then says how it ended.
    fn start(name: &str, size: (u16, u16), arguments: &str) -> Option<Self> {
        let place = Place::new();
        let socket = format!("nodb-status-{name}-{}", std::process::id());
        let script = place.at("script");
        let program = env!("CARGO_BIN_EXE_nodb-trigger");
        let text = format!(
            "stty -g > {0}/before; echo BEFORE; {program} status {arguments}; echo \"ENDED $?\"; \
             stty -g > {0}/after; exec sleep 1000",
            place.at("").display()
        );
        fs::write(&script, text).unwrap();
        let terminal = Self { socket, place };
        let (columns, rows) = (size.0.to_string(), size.1.to_string());
        let mut words = vec!["-f", "/dev/null", "new-session", "-d", "-x", &columns, "-y", &rows];
        let shell = format!("env -u NO_COLOR sh {}", script.display());
        words.push(&shell);
        if Command::new("tmux").arg("-V").output().is_err() {
            leave_out(&format!("status::watch, {name}"), "no tmux on the PATH");
            return None;
        }
        terminal.tmux(&words);
        Some(terminal)
    }

    fn tmux(&self, words: &[&str]) -> String {
        let output = Command::new("tmux").args(["-L", &self.socket]).args(words).output().unwrap();
        assert!(output.status.success(), "tmux {words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    #[track_caller]
    fn shows(&self, words: &str) -> String {
        self.shows_when(words, |screen| screen.contains(words))
    }

    /// Waits for such a screen. A screen can be seen while it is drawn, so that all that is
    /// expected of one belongs into one condition.
    #[track_caller]
    fn shows_when(&self, what: &str, is_such: impl Fn(&str) -> bool) -> String {
        let mut screen = String::new();
        let is_shown = poll(|| {
            screen = self.screen();
            is_such(&screen).then_some(())
        });
        assert!(is_shown.is_some(), "no {what:?} in\n{screen}");
        screen
    }

    /// Fails unless the terminal is as it was before.
    #[track_caller]
    fn is_as_before(&self, code: i32) {
        let ended = format!("ENDED {code}");
        self.shows_when("the first screen with the end", |screen| {
            screen.contains(&ended) && screen.contains("BEFORE")
        });
        let cursor = self.tmux(&["display-message", "-p", "#{cursor_flag} #{alternate_on}"]);
        assert_eq!(cursor, "1 0\n");
        wait_until("stty has written", || self.stty("after").ends_with('\n'));
        assert_eq!(self.stty("before"), self.stty("after"));
    }

    fn stty(&self, name: &str) -> String {
        let path: PathBuf = self.place.at(name);
        fs::read_to_string(path).unwrap_or_default()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("tmux").args(["-L", &self.socket, "kill-server"]).output();
    }
}

#[test]
fn on_a_terminal_it_is_redrawn_and_leaves_it_as_it_was() {
    let redis = redis_or_skip!("--notify-keyspace-events", "KA");
    let mut con = connection(&redis);
    lock(&mut con, "r", "climate.nodb", "3fa85f64aa", &here(super::NOBODY));
    run(&mut con, &["EXPIRE", "nodb-lock:r:climate.nodb", "59"]);
    let arguments = format!("r --watch --redis {}", redis.url());
    let Some(terminal) = Terminal::start("redrawn", (100, 30), &arguments) else { return };
    terminal.shows_when("orphaned lock on a screen of its own", |screen| {
        screen.contains("orphaned         climate.nodb") && !screen.contains("BEFORE")
    });
    terminal.shows("live by keyspace notifications");
    let left = |screen: &str| {
        let line = screen.lines().find(|line| line.starts_with("orphaned  "))?;
        line.split_whitespace().rev().nth(2)?.parse::<u32>().ok()
    };
    let before = left(&terminal.shows_when("TTL", |screen| left(screen).is_some()));
    terminal.shows_when("TTL that counts down", |screen| {
        left(screen).is_some_and(|left| Some(left) < before)
    });

    lock(&mut con, "r", "soils.nodb", "t", "other:1");
    terminal.shows("held             soils.nodb");
    // Narrower: no grid any more; nothing of the wide screen stays, nothing is cut off.
    terminal.tmux(&["resize-window", "-x", "40", "-y", "24"]);
    terminal.shows_when("narrow screen", |screen| {
        screen.starts_with("run r on")
            && ["orphaned: climate.nodb", "To mend"].iter().all(|words| screen.contains(words))
            && !screen.contains("Held for")
            && screen.lines().all(|line| line.chars().count() <= 40)
    });
    terminal.tmux(&["resize-window", "-x", "120", "-y", "40"]);
    terminal.shows("Held for");
    terminal.tmux(&["send-keys", "Up"]);
    terminal.tmux(&["send-keys", "x"]);
    lock(&mut con, "r", "after-the-arrow.nodb", "t", "other:1");
    terminal.shows("after-the-arrow.nodb");
    terminal.tmux(&["send-keys", "q"]);
    terminal.is_as_before(0);
}

#[test]
fn on_a_terminal_every_end_is_clean() {
    let redis = redis_or_skip!();
    let arguments = format!("r --watch --redis {}", redis.url());
    for (key, code) in [("Escape", 0), ("C-c", 130), ("TERM", 130)] {
        let name = format!("end-{key}");
        let Some(terminal) = Terminal::start(&name, (80, 24), &arguments) else { return };
        terminal.shows("live by a look every 1 s (no keyspace");
        if key == "TERM" {
            let found = Command::new("pgrep").args(["-f", &format!("status {arguments}")]).output();
            let pid = String::from_utf8(found.unwrap().stdout).unwrap();
            let pid = pid.lines().next().unwrap().parse().unwrap();
            crate::program::send_signal(pid, Signal::TERM);
        } else {
            terminal.tmux(&["send-keys", key]);
        }
        terminal.is_as_before(code);
    }
}

#[test]
fn on_a_terminal_a_lost_server_is_said_and_its_return() {
    let mut redis = redis_or_skip!();
    let mut con = connection(&redis);
    lock(&mut con, "r", "a.nodb", "t", "other:1");
    let arguments = format!("--watch --redis {}", redis.url());
    let Some(terminal) = Terminal::start("lost", (80, 24), &arguments) else { return };
    terminal.shows("1 lock: 1 held");
    redis.kill();
    // A connection may break before; it is refused only when the server is gone.
    terminal.shows_when("lost server", |screen| {
        ["refused", "tries again in", "What is below is old", "1 lock: 1 held"]
            .iter()
            .all(|words| screen.contains(words))
    });
    redis.restart();
    terminal.shows_when("server that is back", |screen| {
        screen.contains("no locks and no flags") && screen.contains("is back since")
    });
    terminal.tmux(&["send-keys", "q"]);
    terminal.is_as_before(0);
}
