//! The deterministic Redis as MONITOR and its notifications show it, with one watched key.

use lock_lab::rng::Rng;
use redis::{ConnectionLike, Value};
use redis_sim::clock::{Clock, VirtualClock};
use redis_sim::{Connection, Engine};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

/// How often the recording asks the server for its time, in microseconds.
const BEAT: u64 = 50_000;

/// The address of the recording's own connection.
pub(super) const OWN: &str = "127.0.0.1:9";

/// What a recording receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    /// A line of MONITOR.
    Line(String),
    /// The lease of the key expired.
    Expired,
    /// The server evicted the key.
    Evicted,
    /// The connection was lost, and the server that is reached again has no keys.
    Restarted(u64),
    /// A command changed the key: to what, and when.
    Changed(Content, u64),
}

/// What a key holds, and its TTL in milliseconds.
type Content = Option<(Vec<u8>, i64)>;

/// What a command did.
#[derive(Debug)]
pub(super) struct Reply {
    pub value: Value,
    /// The time stamps of its first and its last line, of a script's commands where it is one.
    pub first: u64,
    pub last: u64,
}

impl Reply {
    /// Whether it is `OK`, or a number other than 0.
    pub fn is_yes(&self) -> bool {
        matches!(&self.value, Value::Okay)
            || matches!(self.value, Value::Int(number) if number != 0)
    }

    /// Whether it is this text.
    pub fn is_text(&self, text: &str) -> bool {
        matches!(&self.value, Value::BulkString(bytes) if bytes == text.as_bytes())
    }
}

pub(super) struct Server {
    clock: Arc<VirtualClock>,
    engine: Engine,
    clients: Vec<(String, Connection)>,
    key: String,
    rng: Rng,
    /// The last time stamp, in microseconds since 1970.
    stamp: u64,
    beat: u64,
    /// The last millisecond at which the key exists.
    deadline: Option<i64>,
    content: Option<Vec<u8>>,
    /// Whether the key has expired and the notification is still to come.
    owes: bool,
    /// Whether lines are stamped when their command runs, as those of the engine are.
    is_exact: bool,
    pub heard: Vec<Heard>,
}

impl Server {
    pub fn new(key: &str, seed: u64) -> Self {
        let clock = Arc::new(VirtualClock::new(None));
        let engine = Engine::new(clock.clone());
        let stamp = micros(clock.unix());
        let mut server = Self {
            clients: Vec::new(),
            key: key.to_owned(),
            rng: Rng::new(seed),
            stamp,
            beat: stamp,
            deadline: None,
            content: None,
            owes: false,
            is_exact: false,
            heard: Vec::new(),
            engine,
            clock,
        };
        server.pass(0);
        server
    }

    /// The engine, which notifies of expiry itself and stamps lines when their command runs.
    pub fn notify_of_expiry(&mut self) -> &Engine {
        let mut client = self.engine.connect(0);
        let words = ["SET", "notify-keyspace-events", "Ex"];
        redis::cmd("CONFIG").arg(&words).exec(&mut client).unwrap();
        self.is_exact = true;
        &self.engine
    }

    /// A new connection.
    pub fn connect(&mut self) -> usize {
        let address = format!("127.0.0.1:{}", 50_000 + self.clients.len());
        self.clients.push((address, self.engine.connect(0)));
        self.clients.len() - 1
    }

    /// Evicts the key; returns whether there was one.
    pub fn evict(&mut self) -> bool {
        (self.deadline, self.content) = (None, None);
        self.engine.evict(0, self.key.as_bytes())
    }

    /// Loses all keys.
    pub fn forget(&mut self) {
        (self.deadline, self.content, self.owes) = (None, None, false);
        self.engine.forget();
    }

    /// Now, in microseconds since 1970.
    pub fn now(&self) -> u64 {
        micros(self.clock.unix())
    }

    /// Lets this number of microseconds pass. Returns whether the lease of the key expired.
    pub fn pass(&mut self, span: u64) -> bool {
        let now = self.now() + span;
        while self.beat <= now {
            let at = self.beat.max(self.stamp + 1);
            self.beat += BEAT;
            self.notify();
            self.advance_to(at);
            self.line(OWN, &["PING"]);
        }
        self.advance_to(now);
        let is_over = self.deadline.is_some_and(|deadline| millis(self.now()) > deadline);
        if is_over {
            (self.deadline, self.content, self.owes) = (None, None, true);
        }
        is_over
    }

    fn advance_to(&mut self, at: u64) {
        self.clock.advance_to(Duration::from_micros(at).saturating_sub(VirtualClock::EPOCH));
        self.stamp = self.stamp.max(at);
    }

    /// The server notices an expired key by itself, sooner or later.
    fn notify(&mut self) {
        if self.owes && self.rng.below(2) == 0 {
            self.expired();
        }
    }

    /// The notification is due.
    pub fn expired(&mut self) {
        if std::mem::take(&mut self.owes) {
            self.engine.expire();
            self.heard.push(Heard::Expired);
        }
    }

    /// Runs a command.
    pub fn run(&mut self, client: usize, words: &[&str]) -> Reply {
        if words.contains(&self.key.as_str()) {
            self.expired();
        } else {
            self.notify();
        }
        let value = self.execute(client, words);
        let change = self.change();
        let address = self.address(client);
        let at = self.after();
        self.line(&address, words);
        self.heard.extend(change.map(|change| Heard::Changed(change, at)));
        Reply { value, first: at, last: at }
    }

    /// Runs a script, whose commands follow from its reply.
    pub fn script(
        &mut self,
        client: usize,
        words: &[&str],
        commands: impl FnOnce(&Value) -> Vec<Vec<String>>,
    ) -> Reply {
        let ran = self.now();
        let value = self.execute(client, words);
        let change = self.change();
        let address = self.address(client);
        self.after();
        self.line(&address, words);
        self.expired();
        let (mut first, mut last) = (None, self.stamp);
        for command in commands(&value) {
            last = self.after();
            first.get_or_insert(last);
            self.line("lua", &command.iter().map(String::as_str).collect::<Vec<_>>());
        }
        let first = if self.is_exact { ran } else { first.unwrap_or(last) };
        self.heard.extend(change.map(|change| Heard::Changed(change, first)));
        Reply { value, first, last }
    }

    pub fn address(&self, client: usize) -> String {
        self.clients[client].0.clone()
    }

    fn execute(&mut self, client: usize, words: &[&str]) -> Value {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        self.clients[client].1.req_command(&command).unwrap()
    }

    /// The server reads its clock again to stamp a line: mostly at once.
    fn after(&mut self) -> u64 {
        if self.is_exact {
            let at = self.now();
            self.stamp = at;
            self.clock.sleep(Duration::from_micros(50)).unwrap();
            return at;
        }
        let late = if self.rng.below(20) == 0 { 1500 } else { 60 };
        let at = self.stamp.max(self.now()) + 1 + self.rng.below(late) as u64;
        self.advance_to(at);
        at
    }

    /// What the last command made of the key, if it changed it.
    fn change(&mut self) -> Option<Content> {
        let kept = self.engine.kept(0, self.key.as_bytes());
        let deadline = kept.as_ref().and_then(|kept| kept.deadline);
        let content = kept.map(|kept| kept.value);
        if (deadline, &content) == (self.deadline, &self.content) {
            return None;
        }
        let ttl = deadline.map_or(-1, |at| at - millis(self.now()));
        (self.deadline, self.content) = (deadline, content.clone());
        Some(content.map(|content| (content, ttl)))
    }

    fn line(&mut self, address: &str, words: &[&str]) {
        let (seconds, rest) = (self.stamp / 1_000_000, self.stamp % 1_000_000);
        let mut line = format!("{seconds}.{rest:06} [0 {address}]");
        for word in words {
            line.push(' ');
            quote(&mut line, word.as_bytes());
        }
        self.heard.push(Heard::Line(line));
    }
}

/// Writes a word as MONITOR does.
fn quote(line: &mut String, word: &[u8]) {
    line.push('"');
    for byte in word {
        match byte {
            b'\\' | b'"' => line.extend(['\\', char::from(*byte)]),
            b'\n' => line.push_str("\\n"),
            b'\r' => line.push_str("\\r"),
            b'\t' => line.push_str("\\t"),
            7 => line.push_str("\\a"),
            8 => line.push_str("\\b"),
            b' '..=b'~' => line.push(char::from(*byte)),
            _ => write!(line, "\\x{byte:02x}").unwrap(),
        }
    }
    line.push('"');
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap()
}

fn millis(micros: u64) -> i64 {
    i64::try_from(micros / 1000).unwrap()
}
