//! Deterministic lock clients for tests, drawn at random: most are sound, and many of them remember
//! something that makes them do otherwise later.

use super::client::Client;
use super::process::{Process, Processes};
use super::subject::{Answer, Broken};
use super::{About, Start, Subjects};
use crate::intercept::Link;
use crate::rng::Rng;
use redis::{RedisResult, Value};
use redis_sim::clock::WallClock;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// The most commands that a client sends for one verb.
const COMMANDS: usize = 4;

const COMPARE_AND_DELETE: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then return \
                                  redis.call('DEL', KEYS[1]) end return 0";

/// Takes the lock if there is no key beside it, which it sets for as long.
const TAKE_WITH_COMPANION: &str = "if redis.call('EXISTS', 'companion') == 1 then return 0 end \
                                   redis.call('SET', 'companion', '1', 'PX', ARGV[2]) \
                                   redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return 1";

/// The TTL of a key that guards the lock, in milliseconds.
const GUARDED: u64 = 2;

/// A command about the lock, or about a key beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    SetNx,
    /// Without a TTL.
    SetNxForever,
    Set,
    Get,
    Delete,
    CompareAndDelete,
    Count,
    /// A key beside it, which expires.
    Guard,
    TakeWithCompanion,
}

/// What a reply says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Yes,
    No,
    /// The lock is free.
    Free,
    /// No reply came.
    Lost,
}

/// On what a line depends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    Last(Seen),
    Remembers(bool),
    /// Whether an acquire was refused before.
    WasRefused(bool),
    /// Whether it acquired before.
    IsSecond(bool),
    /// What the last reply to an acquire was.
    Cached(Seen),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Send(Command),
    Remember,
}

type Line = (When, Act);

/// What a client does.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    acquire: Vec<Line>,
    release: Vec<Line>,
    /// Whether it forgets all but its token from one verb to the next.
    forgets: bool,
}

impl Program {
    /// The same seed gives the same program.
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let send = |command| (When::Always, Act::Send(command));
        let mut acquire = match rng.below(24) {
            0 => vec![send(Command::Set)],
            1 => vec![send(Command::Get), (When::Last(Seen::Free), Act::Send(Command::Set))],
            2 => vec![send(Command::Count), send(Command::SetNx)],
            3 | 4 => vec![send(Command::SetNxForever)],
            5 => vec![
                send(Command::Guard),
                (When::Last(Seen::Yes), Act::Send(Command::Get)),
                (When::Last(Seen::Free), Act::Send(Command::Set)),
            ],
            6 => vec![send(Command::TakeWithCompanion)],
            7 => vec![send(Command::Guard), send(Command::SetNx)],
            _ => vec![send(Command::SetNx)],
        };
        if !rng.one_in(3) {
            acquire.push((When::Last(Seen::Lost), Act::Remember));
            acquire.push((When::Last(Seen::Lost), Act::Send(Command::Get)));
        }
        if rng.one_in(2) {
            acquire.push((When::Last(Seen::No), Act::Remember));
        }
        if rng.one_in(24) {
            acquire.push((When::WasRefused(true), Act::Send(Command::Set)));
        }
        let release = match rng.below(12) {
            0 => Self::release(&mut rng).into_iter().map(|act| (When::Always, act)).collect(),
            memory => {
                let [yes, no] = match memory {
                    1..=4 => [true, false].map(When::Remembers),
                    5..=7 => [true, false].map(When::WasRefused),
                    8 | 9 => [true, false].map(When::IsSecond),
                    _ => [When::Cached(Seen::Lost), When::Cached(Seen::Yes)],
                };
                let other = Self::release(&mut rng).into_iter().map(|act| (yes, act));
                other.chain([(no, Act::Send(Command::CompareAndDelete))]).collect()
            }
        };
        Self { acquire, release, forgets: false }
    }

    /// The same program without memory.
    pub fn forgetful(&self) -> Self {
        Self { forgets: true, ..self.clone() }
    }

    fn release(rng: &mut Rng) -> Vec<Act> {
        match rng.below(8) {
            0 => vec![],
            1 => vec![Act::Send(Command::Count), Act::Send(Command::CompareAndDelete)],
            2 => vec![Act::Send(Command::CompareAndDelete)],
            _ => vec![Act::Send(Command::Delete)],
        }
    }
}

/// A client that does what a program says.
struct ProgrammedClient {
    program: Program,
    actor: usize,
    life: Option<u64>,
    memory: Memory,
    token: Option<String>,
}

/// What it remembers of its life.
#[derive(Debug, Default)]
struct Memory {
    drawn: usize,
    token: String,
    remembers: bool,
    was_refused: bool,
    acquired: usize,
    cached: Option<Seen>,
}

impl Memory {
    fn allows(&self, when: When, last: Option<Seen>) -> bool {
        match when {
            When::Always => true,
            When::Last(seen) => last == Some(seen),
            When::Remembers(it) => self.remembers == it,
            When::WasRefused(it) => self.was_refused == it,
            When::IsSecond(it) => (self.acquired > 1) == it,
            When::Cached(seen) => self.cached == Some(seen),
        }
    }
}

impl ProgrammedClient {
    fn send(
        &mut self,
        command: Command,
        lock: &str,
        ttl: u64,
        link: &mut dyn Link,
    ) -> Result<Seen, Broken> {
        let token = self.memory.token.clone();
        let mut cmd = redis::Cmd::new();
        match command {
            Command::SetNx => cmd.arg("SET").arg(lock).arg(&token).arg("NX").arg("PX").arg(ttl),
            Command::SetNxForever => cmd.arg("SET").arg(lock).arg(&token).arg("NX"),
            Command::Set => cmd.arg("SET").arg(lock).arg(&token).arg("PX").arg(ttl),
            Command::Get => cmd.arg("GET").arg(lock),
            Command::Delete => cmd.arg("DEL").arg(lock),
            Command::CompareAndDelete => {
                cmd.arg("EVAL").arg(COMPARE_AND_DELETE).arg(1).arg(lock).arg(&token)
            }
            Command::Count => cmd.arg("INCR").arg("beside"),
            Command::Guard => cmd.arg("SET").arg("guard").arg("1").arg("NX").arg("PX").arg(GUARDED),
            Command::TakeWithCompanion => {
                let take = cmd.arg("EVAL").arg(TAKE_WITH_COMPANION).arg(1);
                take.arg(lock).arg(&token).arg(ttl)
            }
        };
        if matches!(
            command,
            Command::Set | Command::SetNx | Command::SetNxForever | Command::TakeWithCompanion
        ) {
            self.token = Some(token.clone());
        }
        let replies: RedisResult<Vec<Value>> =
            link.req_packed_commands(&cmd.get_packed_command(), 0, 1);
        let Ok(replies) = replies else {
            link.is_alive().map_err(Broken::Crashed)?;
            return Ok(Seen::Lost);
        };
        Ok(match replies.first() {
            Some(Value::Okay | Value::Int(1)) => Seen::Yes,
            Some(Value::BulkString(held)) if *held == token.as_bytes() => Seen::Yes,
            Some(Value::Nil) if command == Command::Get => Seen::Free,
            _ => Seen::No,
        })
    }

    fn run(
        &mut self,
        lines: &[Line],
        told: &serde_json::Value,
        link: &mut dyn Link,
    ) -> Result<Option<Seen>, Broken> {
        let lock = told["lock"].as_str().unwrap_or_default();
        let ttl = told["ttl_ms"].as_u64().unwrap_or_default();
        let (mut last, mut sent) = (None, 0);
        for (when, act) in lines {
            match act {
                _ if !self.memory.allows(*when, last) => {}
                Act::Remember => self.memory.remembers = true,
                Act::Send(command) if sent < COMMANDS => {
                    last = Some(self.send(*command, lock, ttl, link)?);
                    sent += 1;
                }
                Act::Send(_) => {}
            }
        }
        Ok(last)
    }
}

impl Client for ProgrammedClient {
    fn begin(&mut self, life: u64) -> Result<(), Broken> {
        if self.life != Some(life) {
            (self.life, self.memory, self.token) = (Some(life), Memory::default(), None);
        }
        Ok(())
    }

    fn lives(&self, life: u64) -> bool {
        self.life == Some(life)
    }

    fn is_busy(&self) -> bool {
        false
    }

    fn instruct(
        &mut self,
        instruction: &serde_json::Value,
        link: &mut dyn Link,
    ) -> Result<Answer, Broken> {
        self.token = None;
        if self.program.forgets {
            let Memory { drawn, token, .. } = std::mem::take(&mut self.memory);
            self.memory = Memory { drawn, token, ..Memory::default() };
        }
        let Program { acquire, release, .. } = self.program.clone();
        let is_acquire = instruction["do"] == "acquire";
        if is_acquire {
            self.memory.drawn += 1;
            self.memory.token = format!("token-{}.{}", self.actor + 1, self.memory.drawn);
        }
        let lines = if is_acquire { acquire } else { release };
        let last = self.run(&lines, instruction, link)?;
        if is_acquire {
            self.memory.cached = last;
            self.memory.was_refused |= last == Some(Seen::No);
            self.memory.acquired += usize::from(last == Some(Seen::Yes));
        }
        let ok = !is_acquire || last == Some(Seen::Yes);
        Ok(Answer { ok, why: String::new(), failed: false, token: self.token.clone(), fence: None })
    }

    fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    fn process(&self) -> Option<&Process> {
        None
    }
}

impl Subjects {
    /// Clients that do what a program says.
    pub(crate) fn programmed(program: &Program) -> Arc<Self> {
        let start = Start {
            command: String::new(),
            patience: Duration::ZERO,
            clock: Arc::new(WallClock::new(None)),
            processes: Arc::<Processes>::default(),
            upstream: None,
        };
        let about = About { name: "a program".into(), can: Vec::new(), shared: None };
        let program = program.clone();
        Arc::new(Self::of_clients(start, about, HashMap::new(), Arc::default(), move |actor| {
            let (program, memory) = (program.clone(), Memory::default());
            let client = ProgrammedClient { program, actor, life: None, memory, token: None };
            Ok(Box::new(client) as Box<dyn Client>)
        }))
    }
}
