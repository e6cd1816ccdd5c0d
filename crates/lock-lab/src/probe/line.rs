//! A connection of a subject: which requests are no matter of locks, what it listens to, and how answers are
//! written.

use super::canonical::Symbols;
use super::wire::{self, Words};
use redis::{ConnectionLike, PushKind, RedisResult, Value};
use redis_sim::server::{Format, write};
use std::collections::BTreeSet;
use std::io::Write;
use std::net::{Shutdown, TcpStream};

/// A connection of a subject.
pub(super) struct SubjectConnection {
    pub stream: TcpStream,
    pub resp3: bool,
    pub db: i64,
    /// The requests since MULTI.
    pub queue: Option<Vec<Words>>,
    /// No answer comes over it any more.
    pub is_dead: bool,
    pub aside: redis_sim::Connection,
    topics: BTreeSet<(Kind, Vec<u8>)>,
}

/// What a client can subscribe to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Channel,
    Pattern,
    Shard,
}

/// Begins to listen, or ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listening {
    kind: Kind,
    begins: bool,
}

impl Listening {
    /// What the command of this name does, if it is about that.
    pub fn of(name: &str) -> Option<Self> {
        let (kind, begins) = match name {
            "SUBSCRIBE" => (Kind::Channel, true),
            "PSUBSCRIBE" => (Kind::Pattern, true),
            "SSUBSCRIBE" => (Kind::Shard, true),
            "UNSUBSCRIBE" => (Kind::Channel, false),
            "PUNSUBSCRIBE" => (Kind::Pattern, false),
            "SUNSUBSCRIBE" => (Kind::Shard, false),
            _ => return None,
        };
        Some(Self { kind, begins })
    }

    fn word(self) -> PushKind {
        match (self.kind, self.begins) {
            (Kind::Channel, true) => PushKind::Subscribe,
            (Kind::Pattern, true) => PushKind::PSubscribe,
            (Kind::Shard, true) => PushKind::SSubscribe,
            (Kind::Channel, false) => PushKind::Unsubscribe,
            (Kind::Pattern, false) => PushKind::PUnsubscribe,
            (Kind::Shard, false) => PushKind::SUnsubscribe,
        }
    }
}

impl SubjectConnection {
    pub fn new(stream: TcpStream, aside: redis_sim::Connection) -> Self {
        let (queue, topics) = (None, BTreeSet::new());
        Self { stream, resp3: false, db: 0, queue, is_dead: false, aside, topics }
    }

    /// Whether it waits for messages.
    pub fn listens(&self) -> bool {
        !self.topics.is_empty()
    }

    /// Confirms what it listens to. No message ever comes.
    pub fn listen(&mut self, listening: Listening, names: &[Vec<u8>], symbols: &mut Symbols) {
        let Listening { kind, begins } = listening;
        let mut names = names.to_vec();
        if names.is_empty() && !begins {
            names = self.names(kind);
        }
        if names.is_empty() {
            self.confirm(listening, Value::Nil, symbols);
        }
        for name in names {
            let topic = (kind, name.clone());
            if begins {
                self.topics.insert(topic);
            } else {
                self.topics.remove(&topic);
            }
            self.confirm(listening, Value::BulkString(name), symbols);
        }
    }

    fn names(&self, kind: Kind) -> Vec<Vec<u8>> {
        let all = self.topics.iter().filter(|(its, _)| *its == kind);
        all.map(|(_, name)| name.clone()).collect()
    }

    fn confirm(&mut self, listening: Listening, name: Value, symbols: &mut Symbols) {
        let is_shard = listening.kind == Kind::Shard;
        let left = self.topics.iter().filter(|(kind, _)| (*kind == Kind::Shard) == is_shard);
        let left = Value::Int(i64::try_from(left.count()).unwrap_or(i64::MAX));
        let push = Value::Push { kind: listening.word(), data: vec![name, left] };
        self.write(&Ok(vec![push]), symbols, false);
    }

    /// What is no matter of locks is carried out on a server of its own.
    pub fn aside(&mut self, words: &[Vec<u8>]) -> RedisResult<Vec<Value>> {
        let mut packed = Vec::new();
        wire::packed(words, &mut packed);
        let answer = self.aside.req_packed_command(&packed);
        let name = words.first().map(|name| name.to_ascii_uppercase()).unwrap_or_default();
        let is_well = !matches!(answer, Err(_) | Ok(Value::ServerError(_)));
        if name == b"HELLO" && is_well && words.len() > 1 {
            self.resp3 = words.get(1).is_some_and(|version| version == b"3");
        }
        self.db = self.aside.get_db();
        if name == b"PING" && self.listens() && !self.resp3 {
            let said = words.get(1).cloned().unwrap_or_default();
            let pong = [b"pong".to_vec(), said].map(Value::BulkString);
            return Ok(vec![Value::Array(pong.to_vec())]);
        }
        answer.map(|answer| vec![answer])
    }

    /// Sends an answer; where there is none, the connection breaks.
    pub fn write(
        &mut self,
        answer: &RedisResult<Vec<Value>>,
        symbols: &mut Symbols,
        is_exec: bool,
    ) {
        let first = answer.as_ref().ok().and_then(|answers| answers.first());
        let written = first.map(|answer| {
            let mut bytes = Vec::new();
            // Only EXEC says so that a list is not there, and only to the second version.
            let format = Format { resp3: self.resp3, no_list: is_exec };
            write(&symbols.answer(answer), format, &mut bytes);
            self.stream.write_all(&bytes)
        });
        if !matches!(written, Some(Ok(()))) {
            self.close();
        }
    }

    pub fn close(&self) {
        // It may be closed already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}
