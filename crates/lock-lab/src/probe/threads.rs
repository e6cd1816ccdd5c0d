//! Actors that share one process of a client, each in a thread of its own. One of them is at work at any time: the
//! one that was last given an instruction or an answer. What the process does next is therefore a function of all
//! that its actors were given so far, in that order, which is its transcript. What it did after a transcript is
//! remembered; where a transcript is new, the process is led there, from its beginning if it is elsewhere.

use super::canonical::Vocabulary;
use super::client::Client;
use super::process::{SubjectError, Wrong};
use super::subject::{Answer, Broken, Does, Request, Subject, SubjectTurn};
use super::wire;
use crate::intercept::Link;
use crate::lock::SharedMemory;
use parking_lot::Mutex;
use redis::{RedisResult, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

type Result<T = (), E = Broken> = std::result::Result<T, E>;

/// Starts a process.
pub(super) type Starter = dyn Fn() -> Result<Subject, SubjectError> + Send + Sync;

/// The process that some actors share.
pub(super) struct Threads {
    pub actors: BTreeSet<usize>,
    /// The number of its transcript; 0 is the empty one.
    pub transcript: SharedMemory,
    starter: Arc<Starter>,
    vocabulary: Arc<Vocabulary>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    numbers: HashMap<(u32, usize, String), u32>,
    /// The last entry of each transcript, from number 1 on.
    entries: Vec<Entry>,
    /// What the process did after a transcript.
    does: HashMap<u32, Said>,
    process: Option<Led>,
    lives: u64,
    /// How many bytes the entries and their names take.
    bytes_given: usize,
    /// How many bytes are taken by what the process did.
    bytes_said: usize,
}

/// What an actor was given after an earlier transcript.
#[derive(Clone)]
struct Entry {
    before: u32,
    actor: usize,
    given: Given,
}

#[derive(Debug, Clone)]
enum Given {
    Instruction {
        line: serde_json::Value,
        /// How much later it is than by the client's own clock.
        ahead: Duration,
    },
    Answer {
        answered: RedisResult<Vec<Value>>,
        is_tampered_with: bool,
    },
}

/// What the process did.
#[derive(Clone)]
enum Said {
    Asked(Arc<Request>),
    Answered(Answer),
}

/// A process, and where it is.
struct Led {
    subject: Subject,
    at: u32,
    /// Where the actors are in their instructions, and what they wait for.
    turns: BTreeMap<usize, (SubjectTurn, Option<Arc<Request>>)>,
}

impl Threads {
    /// No process runs yet.
    pub fn new(
        actors: BTreeSet<usize>,
        vocabulary: Arc<Vocabulary>,
        starter: Arc<Starter>,
    ) -> Self {
        let (transcript, known) = Default::default();
        Self { actors, transcript, starter, vocabulary, known }
    }

    /// Begins again, with a process that has to do everything again.
    pub fn begin(&self) {
        self.transcript.set(0);
        self.forget();
    }

    /// About how much memory is taken by what is remembered of the process.
    pub fn bytes(&self) -> usize {
        let known = self.known.lock();
        let tables = known.numbers.capacity() * size_of::<((u32, usize, String), u32)>()
            + known.does.capacity() * size_of::<(u32, Said)>();
        known.bytes_given + known.bytes_said + tables
    }

    /// What was remembered of the process holds no more: it is led again.
    pub fn forget(&self) {
        let mut known = self.known.lock();
        known.forget();
        if let Some(led) = &mut known.process {
            led.at = u32::MAX;
        }
    }

    /// Has an actor carry out an instruction; what it sends meanwhile goes over the link.
    pub fn instruct(
        &self,
        actor: usize,
        line: serde_json::Value,
        link: &mut dyn Link,
    ) -> Result<Answer> {
        let mut said = self.give(actor, Given::Instruction { line, ahead: link.ahead() })?;
        loop {
            let request = match said {
                Said::Answered(answer) => return Ok(answer),
                Said::Asked(request) => request,
            };
            let answered = link.req_packed_commands(&request.packed, request.offset, 1);
            if answered.is_err() {
                link.is_alive().map_err(Broken::Crashed)?;
            }
            let is_tampered_with = link.is_tampered_with();
            said = self.give(actor, Given::Answer { answered, is_tampered_with })?;
        }
    }

    fn give(&self, actor: usize, given: Given) -> Result<Said> {
        let mut known = self.known.lock();
        let now = known.number(Entry { before: self.transcript.get(), actor, given });
        self.transcript.set(now);
        if let Some(said) = known.does.get(&now) {
            return Ok(said.clone());
        }
        let led = self.lead(&mut known, now);
        if led.is_err() {
            known.forget();
        }
        led
    }

    /// Has the process do what follows a transcript.
    fn lead(&self, known: &mut Known, to: u32) -> Result<Said> {
        let mut led = match known.process.take() {
            Some(led) => led,
            None => Led { subject: (self.starter)()?, at: u32::MAX, turns: BTreeMap::new() },
        };
        let said = self.lead_on(known, &mut led, to);
        if let Err(Broken::Subject(SubjectError::Learned)) = said {
            led.at = u32::MAX;
        }
        if let Ok(_) | Err(Broken::Subject(SubjectError::Learned)) = said {
            known.process = Some(led);
        }
        said
    }

    fn lead_on(&self, known: &mut Known, led: &mut Led, to: u32) -> Result<Said> {
        let mut path = known.path(led.at, to);
        if path.first().is_none_or(|(_, entry)| entry.before != led.at) {
            known.lives += 1;
            led.begin(known.lives)?;
            path = known.path(0, to);
        }
        let mut last = None;
        for (number, Entry { actor, given, .. }) in path {
            let said = led.give(actor, given)?;
            led.at = number;
            self.check(known.does.get(&number), &said)?;
            last = Some(said);
        }
        let said = last.ok_or_else(|| SubjectError::NotRehearsed("it has nothing to do".into()))?;
        known.remember(to, said.clone());
        Ok(said)
    }

    /// Fails if the process did something else before, after the same transcript.
    fn check(&self, before: Option<&Said>, now: &Said) -> Result {
        let Some(before) = before.filter(|before| !before.is_same(now)) else { return Ok(()) };
        let commands = [before, now].map(Said::words);
        if self.vocabulary.learn_from(&commands) {
            return Err(SubjectError::Learned.into());
        }
        let [before, now] = [before, now].map(Said::shown);
        Err(SubjectError::NotRepeatable(before, now).into())
    }
}

impl Known {
    fn number(&mut self, entry: Entry) -> u32 {
        let key = (entry.before, entry.actor, format!("{:?}", entry.given));
        let next = u32::try_from(self.entries.len() + 1).unwrap_or(u32::MAX);
        // What is given is kept as it is, too.
        let bytes = 2 * key.2.len() + size_of::<Entry>();
        let number = *self.numbers.entry(key).or_insert(next);
        if number == next {
            self.entries.push(entry);
            self.bytes_given += bytes;
        }
        number
    }

    fn remember(&mut self, after: u32, said: Said) {
        let bytes = said.bytes();
        if self.does.insert(after, said).is_none() {
            self.bytes_said += bytes;
        }
    }

    fn forget(&mut self) {
        self.does.clear();
        self.bytes_said = 0;
    }

    /// The entries that lead from one transcript to another one, or from the empty one.
    fn path(&self, from: u32, to: u32) -> Vec<(u32, Entry)> {
        let mut path = Vec::new();
        let mut at = to;
        while at != from && at > 0 {
            let Some(entry) = self.entries.get(at as usize - 1) else { break };
            path.push((at, entry.clone()));
            at = entry.before;
        }
        path.reverse();
        path
    }
}

impl Led {
    /// Begins a new life, in which no actor was given anything.
    fn begin(&mut self, life: u64) -> Result {
        if self.subject.is_busy() {
            self.subject.give_up()?;
        }
        for (turn, request) in std::mem::take(&mut self.turns).into_values() {
            if request.is_some() {
                self.subject.turn_to(turn);
                self.subject.give_up()?;
            }
        }
        self.subject.turn_to(SubjectTurn::default());
        self.subject.begin(life)?;
        self.at = 0;
        Ok(())
    }

    /// Gives an actor something, and waits for what it does.
    fn give(&mut self, actor: usize, given: Given) -> Result<Said> {
        let (turn, request) = self.turns.remove(&actor).unwrap_or_default();
        self.subject.turn_to(turn);
        match (given, request) {
            (Given::Answer { answered, is_tampered_with }, Some(request)) => {
                self.subject.is_answered(&request, answered, is_tampered_with)?;
            }
            (Given::Answer { .. }, None) => {}
            (Given::Instruction { line, ahead }, _) => {
                self.subject.set_ahead(ahead);
                self.subject.say(actor, &line)?;
            }
        }
        let said = match self.subject.goes_on(true)? {
            Does::Asks(request) => {
                let is_shared = |asked: &Arc<Request>| asked.connection == request.connection;
                if self.turns.values().filter_map(|(_, asked)| asked.as_ref()).any(is_shared) {
                    return Err(self.subject.went(Wrong::SharesConnection));
                }
                Said::Asked(request)
            }
            Does::Says(line) => Said::Answered(self.subject.read_answer(&line)?),
        };
        let request = match &said {
            Said::Asked(request) => Some(Arc::clone(request)),
            Said::Answered(_) => None,
        };
        let turn = self.subject.turn_to(SubjectTurn::default());
        self.turns.insert(actor, (turn, request));
        Ok(said)
    }
}

impl Said {
    fn bytes(&self) -> usize {
        match self {
            Self::Asked(request) => size_of::<Request>() + request.packed.len(),
            Self::Answered(Answer { why, token, .. }) => {
                why.len() + token.as_ref().map_or(0, String::len)
            }
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Asked(one), Self::Asked(other)) => one.packed == other.packed,
            (Self::Answered(one), Self::Answered(other)) => {
                (one.ok, one.fence) == (other.ok, other.fence)
            }
            _ => false,
        }
    }

    /// The words of what it asked.
    fn words(&self) -> Vec<Vec<u8>> {
        match self {
            Self::Asked(request) => wire::words(&request.packed),
            Self::Answered(_) => Vec::new(),
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Asked(_) => {
                let words = self.words();
                let words = words.iter().map(|word| String::from_utf8_lossy(word));
                format!("sent {}", words.collect::<Vec<_>>().join(" "))
            }
            Self::Answered(Answer { ok: true, .. }) => "answered yes".into(),
            Self::Answered(Answer { ok: false, .. }) => "answered no".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_counts_once() {
        let mut known = Known::default();
        let entry = |before| {
            let reply = Value::SimpleString("x".repeat(1_000_000));
            let given = Given::Answer { answered: Ok(vec![reply]), is_tampered_with: false };
            Entry { before, actor: 0, given }
        };
        assert_eq!((known.number(entry(0)), known.number(entry(0))), (1, 1));
        let of_one = known.bytes_given;
        assert!((2_000_000..2_100_000).contains(&of_one), "{of_one}");
        assert_eq!(known.number(entry(1)), 2);
        assert!(known.bytes_given >= 2 * of_one - 100);
        let said = || {
            let why = "x".repeat(1_000_000);
            Said::Answered(Answer { ok: false, why, failed: true, token: None, fence: None })
        };
        known.remember(1, said());
        known.remember(1, said());
        assert_eq!(known.bytes_said, 1_000_000);
        known.forget();
        assert_eq!(known.bytes_said, 0);
    }
}
