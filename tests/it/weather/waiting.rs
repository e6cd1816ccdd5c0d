//! Servers that keep a client waiting, at first or later: every command gives up in time, and one signal
//! ends it.

use super::every_command::every_command;
use crate::middleman::{Fate, Middleman};
use crate::program::{Ended, Place, Program, Running, wait_until};
use crate::redis_server::{RedisServer, redis_or_skip};
use rustix::process::Signal;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Servers that keep a client waiting.
const WEATHER: [fn() -> Fate; 3] =
    [|| Fate::Silence, || Fate::Drip("+PONG"), || Fate::Answer("$100\r\nab")];

/// No reply is ever given up.
const FOR_EVER: &str = "--redis-timeout=365d";

/// A command that only looks has no signal handler: nothing has to be cleaned up after it.
fn ends_as_it_should(name: &str, ended: &Ended) {
    let only_looks = name.starts_with("status") && !name.contains("--watch");
    assert_eq!(ended.code, (!only_looks).then_some(130), "{name}: {ended:#?}");
    assert!(only_looks || ended.stderr.contains("interrupt"), "{name}: {ended:#?}");
}

#[test]
fn one_signal_ends_every_command_that_waits_for_its_first_reply() {
    for (number, signal) in [Signal::INT, Signal::TERM, Signal::HUP].into_iter().enumerate() {
        let place = Place::new();
        let all = every_command("", &place).len();
        let mut running = Vec::new();
        for command in 0..all {
            let fate = WEATHER[(command + number) % WEATHER.len()];
            let server = Middleman::alone(move |_| fate());
            let words = every_command(&server.url(), &place).swap_remove(command);
            let program = Program::in_terminal(&words).arg(FOR_EVER).start();
            running.push((words.join(" "), server, program));
        }
        for (_, server, program) in &running {
            wait_until("it waits", || server.commands() > 0);
            program.signal(signal);
        }
        for (name, _server, program) in running {
            ends_as_it_should(&name, &program.end());
        }
        place.is_empty();
    }
}

/// A Redis with something to do for every command.
fn prepare(redis: &RedisServer) {
    let mut con = redis.client().get_connection().unwrap();
    redis::cmd("FLUSHALL").exec(&mut con).unwrap();
    redis::cmd("CONFIG").arg(&["SET", "notify-keyspace-events", "KEA"]).exec(&mut con).unwrap();
    let dead = r#"{"token":"t","owner":"elsewhere:1","acquired_at":1,"expires_at":2,"ttl":1}"#;
    redis::cmd("SET").arg("nodb-lock:run:file").arg(dead).exec(&mut con).unwrap();
    redis::cmd("HSET").arg(&["run", "locked:other", "true"]).exec(&mut con).unwrap();
    redis::cmd("SET").arg(&["lock:x", "5a0dd1e4a1c84b1ea1fd6ee1bd3ab9f0"]).exec(&mut con).unwrap();
}

/// What a command is tried with.
struct Trial {
    redis: RedisServer,
    place: Place,
    command: usize,
}

impl Trial {
    fn words(&self, url: &str) -> Vec<String> {
        every_command(url, &self.place).swap_remove(self.command)
    }

    fn is_clients(&self, words: &[String]) -> bool {
        words.iter().any(|word| word == "--subject")
    }

    /// How many commands it sends in good weather; two, if it does not end.
    fn length(&self) -> usize {
        self.prepare();
        let counting = Middleman::before(self.redis.port(), |_| Fate::Pass);
        let words = self.words(&counting.url());
        if words.iter().any(|word| word == "--watch") {
            return 4;
        }
        Program::new(words).run();
        self.clean();
        counting.commands()
    }

    /// A server that has its weather after this many commands; and how many commands have met it.
    fn server(&self, fate: fn() -> Fate, good: usize) -> (Middleman, Arc<AtomicUsize>) {
        self.prepare();
        let (seen, met) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&met);
        let server = Middleman::before(self.redis.port(), move |_| {
            if seen.fetch_add(1, Ordering::Relaxed) < good {
                return Fate::Pass;
            }
            count.fetch_add(1, Ordering::Relaxed);
            fate()
        });
        (server, met)
    }

    fn prepare(&self) {
        prepare(&self.redis);
        // A client from outside needs the database for itself.
        if self.is_clients(&self.words("")) {
            let mut con = self.redis.client().get_connection().unwrap();
            redis::cmd("FLUSHALL").exec(&mut con).unwrap();
        }
    }

    /// The program in weather that turns bad in its middle, when it has met it. A recording ends after a while,
    /// on a busy machine before its middle: then the weather comes sooner.
    fn meets(&self, fate: fn() -> Fate, timeout: &str) -> (Middleman, Running) {
        let mut good = self.length() / 2;
        loop {
            let (server, met) = self.server(fate, good);
            let words = self.words(&server.url());
            let mut program = Program::in_terminal(&words).arg(timeout).start();
            let has_met = || met.load(Ordering::Relaxed) > 0;
            wait_until("it meets the weather or ends", || has_met() || program.has_ended());
            if has_met() {
                return (server, program);
            }
            let ended = program.end();
            let is_early = words[0] == "record" && good > 0;
            assert!(is_early, "{words:?} met no bad weather: {ended:#?}");
            self.clean();
            good /= 2;
        }
    }

    /// Removes the history that a recording has saved.
    fn clean(&self) {
        let _ = std::fs::remove_file(self.place.at(&format!("of {}", self.command)));
    }
}

#[test]
fn every_command_gives_up_when_the_weather_turns_bad_in_the_middle() {
    let fates: [fn() -> Fate; 7] = [
        || Fate::Silence,
        || Fate::Drip("+PONG"),
        || Fate::Answer("$100\r\nab"),
        || Fate::Cut("$100\r\nab"),
        || Fate::Answer("HTTP/1.1 400 Bad Request\r\n\r\n"),
        || Fate::Answer("$9999999999\r\n"),
        || Fate::Answer("*2147483647\r\n"),
    ];
    let _ = redis_or_skip!();
    for command in 0..every_command("", &Place::new()).len() {
        let trial = Trial { redis: RedisServer::start(&[]), place: Place::new(), command };
        let name = trial.words("").join(" ");
        // These wait until the server is back.
        if name.contains("--watch") {
            continue;
        }
        let (_server, program) = trial.meets(fates[command % fates.len()], "--redis-timeout=2s");
        let ended = program.end();
        let expected: &[i32] = if name.starts_with("record") { &[3, 4] } else { &[3] };
        assert!(ended.code.is_some_and(|code| expected.contains(&code)), "{name}: {ended:#?}");
        trial.clean();
        trial.place.is_empty();
    }
}

#[test]
fn one_signal_ends_every_command_that_waits_for_a_later_reply() {
    let _ = redis_or_skip!();
    let mut running = Vec::new();
    for command in 0..every_command("", &Place::new()).len() {
        let trial = Trial { redis: RedisServer::start(&[]), place: Place::new(), command };
        let (server, program) = trial.meets(|| Fate::Silence, FOR_EVER);
        running.push((trial.words("").join(" "), trial, server, program));
    }
    let signals = [Signal::INT, Signal::TERM, Signal::HUP].into_iter().cycle();
    running.iter().zip(signals).for_each(|((.., program), signal)| program.signal(signal));
    for (name, trial, _server, program) in running {
        let ended = program.end();
        if !name.starts_with("record") {
            ends_as_it_should(&name, &ended);
        }
        trial.clean();
        trial.place.is_empty();
    }
}
