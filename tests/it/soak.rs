//! Runs that are interrupted at each of their commands: what a run has made is gone afterwards, or named
//! with the command that removes it. `SOAK_RUNS` says how many are interrupted; each has a server and a
//! directory of its own.

use crate::middleman::{Fate, Middleman};
use crate::probe::shipped;
use crate::program::{Ended, Place, Program, Running, poll, send_signal, wait_until};
use crate::redis_server::{RedisServer, redis_or_skip};
use rustix::process::Signal;
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// What is interrupted.
struct Workload {
    words: &'static [&'static str],
    /// The statuses with which it ends that a signal does not interrupt, or not any more.
    ends: &'static [i32],
    /// How its commands reach a Redis: the flag that names it.
    server: Option<&'static str>,
    /// How many parts of all interruptions are its own.
    parts: usize,
}

const HERD: [&str; 6] =
    ["thundering_herd", "<run>", "--threads=3", "--hold=20ms", "--format=json", "--output=<file>"];

const WORKLOADS: [Workload; 9] = [
    herd(&["--lock=legacy"], 3),
    herd(&["--lock=current"], 3),
    herd(&["--lock=hardened", "--wait=5s", "--ttl=3s"], 3),
    herd(&["--lock=hardened", "--processes"], 2),
    Workload {
        words: &["run", "token_corruption", "orphaned_locks", "--directory=<run>"],
        ends: &[0],
        server: Some("--redis"),
        parts: 1,
    },
    Workload {
        words: &["record", "--for=500ms", "--history=<file>"],
        ends: &[0, 1, 4],
        server: Some("--redis"),
        parts: 1,
    },
    Workload {
        words: &[
            "probe",
            "mutual_exclusion",
            "--crashes=0",
            "--faults=0",
            "--max-schedules=1",
            "--subject=<client>",
        ],
        ends: &[0, 1, 4],
        server: Some("--upstream"),
        parts: 1,
    },
    Workload {
        words: &["explore", "mutual_exclusion", "--lock=hardened", "--output=<file>"],
        ends: &[0, 1, 4],
        server: None,
        parts: 1,
    },
    Workload { words: &["serve", "--socket=<run>"], ends: &[0], server: None, parts: 1 },
];

/// A herd with these flags.
const fn herd(words: &'static [&'static str], parts: usize) -> Workload {
    Workload { words, ends: &[0, 1, 4], server: Some("--redis"), parts }
}

/// When a signal comes.
#[derive(Debug, Clone, Copy)]
struct Moment {
    /// Its number among the commands of the run; without a server, the time that the run has worked.
    command: usize,
    /// Whether the command has reached the server by then.
    after: bool,
}

const SIGNALS: [&[Signal]; 5] = [
    &[Signal::INT],
    &[Signal::TERM],
    &[Signal::HUP],
    &[Signal::KILL],
    &[Signal::TERM, Signal::INT],
];

/// One run, with its own server and directory.
struct Trial<'a> {
    workload: &'a Workload,
    redis: RedisServer,
    place: Place,
    /// A word in the environment of all its processes.
    mark: String,
}

impl<'a> Trial<'a> {
    fn new(workload: &'a Workload) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mark = format!("NODB_SOAK={}.{number}", std::process::id());
        let place = Place::new();
        fs::create_dir(place.at("tmp")).unwrap();
        Self { workload, redis: RedisServer::start(&[]), place, mark }
    }

    /// The program at work, on the server at this URL.
    fn start(&self, url: &str) -> Running {
        let (name, value) = self.mark.split_once('=').unwrap();
        let words: &[&str] = if self.workload.words[0].starts_with("--") { &HERD } else { &[] };
        let words = words.iter().chain(self.workload.words).map(|word| {
            let at = |name: &str| self.place.at(name).to_str().unwrap().to_owned();
            word.replace("<run>", &at("run"))
                .replace("<file>", &at("file"))
                .replace("<client>", &format!("bash {}", shipped("bash.sh")))
        });
        let server = self.workload.server.map(|flag| [flag.to_owned(), url.to_owned()]);
        Program::in_terminal(words.chain(server.into_iter().flatten()))
            .env(name, value)
            .env("TMPDIR", self.place.at("tmp").to_str().unwrap())
            .start()
    }

    /// How many commands it sends if nothing interrupts it; how long it works, if it sends none.
    fn length(&self) -> usize {
        if self.workload.server.is_none() {
            return 3;
        }
        let counting = Middleman::before(self.redis.port(), |_| Fate::Pass);
        let ended = self.start(&counting.url()).end();
        assert!(self.workload.ends.contains(&ended.code.unwrap()), "{ended:#?}");
        counting.commands()
    }

    /// Runs it, with signals at a moment.
    fn interrupted(
        &self,
        moment: Moment,
        signals: &'static [Signal],
        swallows: fn(&[String]) -> bool,
    ) -> Ended {
        if self.workload.server.is_none() {
            return self.interrupted_at_work(moment, signals);
        }
        let (pid, seen) = (Arc::new(OnceLock::new()), AtomicUsize::new(0));
        let sent = Arc::clone(&pid);
        let interrupt = move || {
            wait_until("it has begun", || sent.get().is_some());
            signals.iter().for_each(|signal| send_if_it_lives(*sent.get().unwrap(), *signal));
        };
        let server = Middleman::before(self.redis.port(), move |command| {
            let number = seen.fetch_add(1, Ordering::Relaxed);
            if number > moment.command && swallows(command) {
                let key = command.get(1).cloned().unwrap_or_default();
                return Fate::Instead(vec!["EXISTS".into(), key]);
            }
            match (number == moment.command, moment.after) {
                (false, _) => Fate::Pass,
                (true, true) => Fate::PassAnd(Box::new(interrupt.clone())),
                (true, false) => {
                    interrupt();
                    // What a process has not sent when it is killed is never sent.
                    if signals.contains(&Signal::KILL) { Fate::Silence } else { Fate::Pass }
                }
            }
        });
        let running = self.start(&server.url());
        pid.set(running.pid()).unwrap();
        running.end()
    }

    /// The same for one that sends no commands, by the time that it has worked.
    fn interrupted_at_work(&self, moment: Moment, signals: &[Signal]) -> Ended {
        let running = self.start("");
        let is_serving = || self.workload.words[0] != "serve" || self.place.run().exists();
        let has_worked = || worked(running.pid()).is_none_or(|ticks| ticks >= moment.command);
        wait_until("it works", || is_serving() && has_worked() || worked(running.pid()).is_none());
        signals.iter().for_each(|signal| send_if_it_lives(running.pid(), *signal));
        running.end()
    }

    /// What is wrong after it has ended.
    fn wrong(&self, ended: &Ended, signals: &[Signal]) -> Result<(), String> {
        self.has_promised_status(ended, signals)?;
        let is_over = || !environments().any(|it| it.contains(&self.mark));
        poll(|| is_over().then_some(())).ok_or("a process is left")?;
        if signals.contains(&Signal::KILL) {
            return self.next_run_cleans();
        }
        let named = ended.stderr.lines().filter_map(|line| line.split_once("run: "));
        for (_, command) in named {
            let shell = Command::new("bash").args(["-c", command]).output().unwrap();
            shell.status.success().then_some(()).ok_or(format!("{command}: {shell:?}"))?;
        }
        self.nothing_is_left()
    }

    fn has_promised_status(&self, ended: &Ended, signals: &[Signal]) -> Result<(), String> {
        let is_promised = match ended.code {
            None => signals.contains(&Signal::KILL) || ended.stderr.is_empty(),
            Some(130) => self.workload.words[0] != "serve",
            Some(code) => self.workload.ends.contains(&code),
        };
        is_promised.then_some(()).ok_or(format!("status {:?}", ended.code))
    }

    /// After a run that was killed, the next one in its directory begins as if it had not been.
    fn next_run_cleans(&self) -> Result<(), String> {
        if self.workload.server != Some("--redis") {
            return Ok(());
        }
        let _ = fs::remove_file(self.place.at("file"));
        let ended = self.start(&self.redis.url()).end();
        let is_well = ended.code.is_some_and(|code| self.workload.ends.contains(&code));
        is_well.then_some(()).ok_or(format!("the next run: {ended:#?}"))?;
        // The cache entry stays, and so does the hash, which the next run found there.
        let keys = self.redis.everything().into_iter().map(|(_, key, ..)| key);
        let locks: Vec<String> = keys.filter(|key| key.starts_with("nodb-lock:")).collect();
        locks.is_empty().then_some(()).ok_or(format!("after the next run: {locks:?}"))
    }

    fn nothing_is_left(&self) -> Result<(), String> {
        let left = self.redis.everything();
        left.is_empty().then_some(()).ok_or(format!("keys: {left:?}"))?;
        // A report or a history is complete, or not there.
        if let Ok(text) = fs::read_to_string(self.place.at("file")) {
            text.ends_with('\n').then_some(()).ok_or(format!("an incomplete file: {text:?}"))?;
            fs::remove_file(self.place.at("file")).unwrap();
        }
        let left = self.place.everything();
        let tmp = format!("{:?}/", self.place.at("tmp"));
        (left == [tmp]).then_some(()).ok_or(format!("files: {left:?}"))
    }
}

/// It may have ended by itself.
fn send_if_it_lives(pid: u32, signal: Signal) {
    if worked(pid).is_some() {
        send_signal(pid, signal);
    }
}

/// How long a process has worked, in the system's ticks; nothing if it has ended.
fn worked(pid: u32) -> Option<usize> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, facts) = stat.rsplit_once(") ")?;
    let facts: Vec<&str> = facts.split(' ').collect();
    (facts[0] != "Z").then(|| facts[11].parse().unwrap())
}

/// The environments of all processes that can be read.
fn environments() -> impl Iterator<Item = String> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|it| fs::read(it.path().join("environ")).ok())
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn nothing(_: &[String]) -> bool {
    false
}

/// How many runs of a workload are interrupted, of so many in all.
fn share(workload: &Workload, all: usize) -> usize {
    let parts: usize = WORKLOADS.iter().map(|workload| workload.parts).sum();
    (all * workload.parts).div_ceil(parts)
}

#[test]
fn a_run_that_is_interrupted_ends_as_promised_and_leaves_nothing_unnamed() {
    let _ = redis_or_skip!();
    let all = std::env::var("SOAK_RUNS").map_or(16, |runs| runs.parse().unwrap());
    let mut mistakes = Vec::new();
    for workload in &WORKLOADS {
        let length = Trial::new(workload).length();
        let runs = share(workload, all);
        for run in 0..runs {
            let place = run * 2 * length / runs;
            let moment = Moment { command: place / 2, after: place % 2 == 1 };
            let signals = SIGNALS[run % SIGNALS.len()];
            let trial = Trial::new(workload);
            let ended = trial.interrupted(moment, signals, nothing);
            if let Err(wrong) = trial.wrong(&ended, signals) {
                let words = workload.words;
                let what = format!("{words:?}: {signals:?} at {moment:?} of {length}: {wrong}");
                eprintln!("{what}\n{ended:#?}");
                mistakes.push(what);
            }
        }
    }
    assert!(mistakes.is_empty(), "{} mistakes\n{}", mistakes.len(), mistakes.join("\n"));
}

#[test]
fn a_run_that_skips_a_step_of_its_cleaning_is_caught() {
    let _ = redis_or_skip!();
    // Their leases do not expire meanwhile.
    let herds: [&[&str]; 3] = [&["--lock=legacy"], &["--lock=current"], &["--lock=hardened"]];
    for workload in &herds.map(|flags| herd(flags, 0)) {
        let length = Trial::new(workload).length();
        let moment = Moment { command: length / 2, after: true };
        let ends = |swallows| {
            let trial = Trial::new(workload);
            let ended = trial.interrupted(moment, &[Signal::TERM], swallows);
            trial.wrong(&ended, &[Signal::TERM])
        };
        assert_eq!(ends(nothing), Ok(()), "{:?}", workload.words);
        for swallows in [of_the_flag, of_the_lock, of_the_cache] {
            assert!(ends(swallows).is_err(), "{:?}", workload.words);
        }
    }
}

fn removes(command: &[String]) -> bool {
    ["DEL", "UNLINK", "HDEL", "EVAL", "EVALSHA"].contains(&&*command[0].to_uppercase())
}

fn of_the_lock(command: &[String]) -> bool {
    removes(command) && command.iter().any(|word| word.starts_with("nodb-lock:"))
}

fn of_the_flag(command: &[String]) -> bool {
    command[0] == "HDEL"
}

fn of_the_cache(command: &[String]) -> bool {
    removes(command) && command.iter().any(|word| word.ends_with("/debug_lock_test.nodb"))
}
