//! Deterministic lock clients for tests, drawn at random: values that answer through the same seam as a
//! process, and processes (`tests/clients/programmed.py`) that do the same.

mod program;

pub(crate) use program::{Circumstances, Program};

use super::client::Client;
use super::process::{Process, Processes};
use super::subject::{Answer, Broken};
use super::{About, PATIENCE, Start, SubjectError, Subjects};
use crate::intercept::Link;
use crate::lock::LockName;
use program::{COMMANDS, Command, Line, Memory, Seen};
use redis::{RedisResult, Value};
use redis_sim::clock::WallClock;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// What does what a program says that is in a file.
const INTERPRETER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/programmed.py");

/// The lease that a release sets which sets one, in milliseconds: its instruction names none.
const TTL_OF_A_RELEASE: u64 = 60_000;

/// A client that does what a program says.
struct ProgrammedClient {
    program: Program,
    actor: usize,
    life: Option<u64>,
    knows: Knowledge,
    /// The last token that it sent for its last instruction.
    token: Option<String>,
}

/// What it remembers of its life.
#[derive(Debug, Default)]
struct Knowledge {
    drawn: usize,
    token: String,
    has_flag: bool,
    was_refused: bool,
    releases: u32,
    /// The first reply to the latest acquire.
    cached: Option<Seen>,
}

impl Knowledge {
    fn has(&self, memory: Memory) -> bool {
        match memory {
            Memory::Flag => self.has_flag,
            Memory::Refused => self.was_refused,
            Memory::Again => self.releases > 0,
            Memory::Lost => self.cached == Some(Seen::Lost),
        }
    }

    fn allows(&self, line: &Line, last: Option<Seen>) -> bool {
        line.after.is_none_or(|seen| last == Some(seen))
            && line.memory.is_none_or(|(memory, is_so)| self.has(memory) == is_so)
    }
}

/// What the first reply and the last one to the lines of a verb said.
type Outcome = (Option<Seen>, Option<Seen>);

impl ProgrammedClient {
    fn send(
        &mut self,
        command: Command,
        lock: &str,
        ttl: u64,
        link: &mut dyn Link,
    ) -> Result<Seen, Broken> {
        let token = self.knows.token.clone();
        let mut cmd = redis::Cmd::new();
        for word in command.words() {
            match *word {
                "{lock}" => cmd.arg(lock),
                "{token}" => cmd.arg(&token),
                "{ttl}" => cmd.arg(ttl),
                word => cmd.arg(word),
            };
        }
        if command.words().contains(&"{token}") {
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
    ) -> Result<Outcome, Broken> {
        let lock = told["lock"].as_str().unwrap_or_default();
        let ttl = told["ttl_ms"].as_u64().unwrap_or(TTL_OF_A_RELEASE);
        let (mut first, mut last, mut sent) = (None, None, 0);
        for line in lines {
            match line.send {
                _ if !self.knows.allows(line, last) => {}
                None => self.knows.has_flag = true,
                Some(command) if sent < COMMANDS => {
                    last = Some(self.send(command, lock, ttl, link)?);
                    first = first.or(last);
                    sent += 1;
                }
                Some(_) => {}
            }
        }
        Ok((first, last))
    }
}

impl Client for ProgrammedClient {
    fn begin(&mut self, life: u64) -> Result<(), Broken> {
        if self.life != Some(life) {
            (self.life, self.knows, self.token) = (Some(life), Knowledge::default(), None);
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
            let Knowledge { drawn, token, .. } = std::mem::take(&mut self.knows);
            self.knows = Knowledge { drawn, token, ..Knowledge::default() };
        }
        let Program { acquire, extend, release, .. } = self.program.clone();
        let ok = match instruction["do"].as_str() {
            Some("acquire") => {
                self.knows.drawn += 1;
                self.knows.token = format!("token-{}.{}", self.actor + 1, self.knows.drawn);
                let (first, last) = self.run(&acquire, instruction, link)?;
                self.knows.cached = first;
                self.knows.was_refused |= last == Some(Seen::No);
                last == Some(Seen::Yes)
            }
            Some("extend") => self.run(&extend, instruction, link)?.1 == Some(Seen::Yes),
            _ => {
                self.run(&release, instruction, link)?;
                self.knows.releases += 1;
                true
            }
        };
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
        let can = vec!["extend".into()];
        let about = About { name: "a program".into(), can, ..About::default() };
        let program = program.clone();
        let (watched, vocabulary) = (HashMap::new(), Arc::default());
        let start = start(String::new());
        Arc::new(Self::of_clients(start, about, watched, vocabulary, move |actor| {
            let (program, knows) = (program.clone(), Knowledge::default());
            let client = ProgrammedClient { program, actor, life: None, knows, token: None };
            Ok(Box::new(client) as Box<dyn Client>)
        }))
    }

    /// Processes that do what the program in a file says.
    pub(crate) fn of_processes(file: &Path, locks: &[LockName]) -> Result<Arc<Self>, SubjectError> {
        let command = format!("exec python3 -I -S '{INTERPRETER}' '{}'", file.display());
        Self::new(start(command), locks).map(Arc::new)
    }
}

fn start(command: String) -> Start {
    Start {
        command,
        patience: PATIENCE,
        clock: Arc::new(WallClock::new(None)),
        processes: Arc::<Processes>::default(),
        upstream: None,
    }
}
