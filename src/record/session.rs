//! Attaches to a server by MONITOR, and attaches again when it goes away.
//!
//! Two connections: one only listens, the other one looks. What the second one does appears in the
//! stream of the first, so each look has its exact place among the commands of all others, and
//! nothing is lost between looking and listening.

use super::facts::Facts;
use super::key_snapshot::{KeySnapshot, scan, snapshot_keys};
use super::model::KeysModel;
use super::monitor_line::{CommandSource, MonitorLine, is_socket};
use super::monitor_stream::{EVICTED, EXPIRED, Heard, hear, listen, parsed};
use super::recording::{
    Ending, Listener, Order, REACHED, RecordError, Recorded, Way, finish, reach_again,
};
use lock_lab::server::{Line, ServerError};
use redis::{ProtocolVersion, PushKind, RedisError, Value, cmd};
use redis_sim::clock::Clock;
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;
use uuid::Uuid;

/// How long the stream may be silent before the clock is asked.
pub(super) const POLL: Duration = Duration::from_millis(50);
/// How often the server is asked whether it is there. Each answer stands in the stream with its
/// time, so this is also how exactly the time is known of what comes after a silence.
const BEAT: Duration = Duration::from_millis(50);
/// How often counts are reported.
const NOTIFYING: Duration = Duration::from_secs(1);
/// How often clients are asked for their names.
const NAMING: Duration = Duration::from_secs(5);
/// How far the stream may be behind before that is said.
const LATE: Duration = Duration::from_secs(5);
/// How long the stream may take to show what was just done.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a key is compared: that takes six commands at most, so these are no more than 50 a second.
const COMPARING: Duration = Duration::from_millis(125);
/// How many keys are looked at together.
const CHUNK: usize = 256;

/// Records until the clock is stopped or its deadline comes.
///
/// # Errors
///
/// [`RecordError::NoMonitor`] if the user may not run MONITOR, [`RecordError::Server`] if the
/// server can't be reached at first.
pub fn record(
    order: &Order<'_>,
    clock: &dyn Clock,
    listener: &mut dyn Listener,
) -> Result<Recorded, RecordError> {
    let mut session = MonitorSession {
        order,
        clock,
        listener,
        model: KeysModel::new(order.watch.clone()),
        notices: Vec::new(),
        said: None,
        last: 0,
        began: 0,
        heard_at: Duration::ZERO,
    };
    let mut attached = session.attach()?;
    session.greet(&attached);
    let ending = loop {
        match session.follow(&mut attached) {
            Ok(ending) => break ending,
            Err(lost) => {
                if session.model.missing().is_none() {
                    session.model.interrupt(&lost.to_string());
                }
                let now = session.clock.now();
                let is_said = is_time(&mut session.said, now, LATE);
                if is_said {
                    session.listener.say(&format!("{lost}; trying to reach it again"));
                }
                match reach_again(clock, || session.attach()) {
                    Ok(again) => attached = again,
                    Err(ending) => break ending,
                }
                if is_said {
                    session.listener.say(REACHED);
                }
            }
        }
    };
    session.find_open_clients(&mut attached);
    Ok(session.finish(ending))
}

/// A connection, as the server lists it.
struct ListedClient<'a> {
    address: &'a str,
    name: &'a str,
    /// Whether it listens with MONITOR.
    monitors: bool,
}

impl<'a> ListedClient<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let member = |name: &str| {
            line.split(' ').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
        };
        Some(Self {
            address: member("addr")?,
            name: member("name").unwrap_or_default(),
            monitors: member("flags").is_some_and(|flags| flags.contains('O')),
        })
    }
}

struct MonitorSession<'a> {
    order: &'a Order<'a>,
    clock: &'a dyn Clock,
    listener: &'a mut dyn Listener,
    model: KeysModel,
    /// Why the history is incomplete, besides what the model knows.
    notices: Vec<String>,
    /// When it was last said that something was missed.
    said: Option<Duration>,
    /// The time stamps of the first and the last line.
    began: u64,
    last: u64,
    /// When the stream last showed what was done here.
    heard_at: Duration,
}

/// Both connections.
struct Attached {
    heard: Receiver<Heard>,
    link: Line,
    /// The looking connection's address.
    own: String,
    /// Which events the server publishes.
    events: Vec<&'static str>,
    /// What it found and the stream has not shown yet.
    found: HashMap<Vec<u8>, Result<KeySnapshot, String>>,
    /// What the server said of itself when it was attached to.
    facts: Facts,
}

impl Attached {
    /// Whether the looking connection did it. All clients of a socket have the same address.
    fn is_own(&self, line: &MonitorLine) -> bool {
        if !matches!(&line.source, CommandSource::Client(address) if *address == self.own) {
            return false;
        }
        let [name, rest @ ..] = line.arguments.as_slice() else { return false };
        !is_socket(&self.own)
            || match name.to_ascii_uppercase().as_slice() {
                b"PTTL" => rest.first().is_some_and(|key| self.found.contains_key(key)),
                name => [&b"PING"[..], b"ECHO", b"SCAN", b"INFO"].contains(&name),
            }
    }
}

/// Whether so much time has passed since the last time.
pub(super) fn is_time(last: &mut Option<Duration>, now: Duration, each: Duration) -> bool {
    let is_time = last.is_none_or(|last| now.saturating_sub(last) >= each);
    if is_time {
        *last = Some(now);
    }
    is_time
}

impl<'a> MonitorSession<'a> {
    fn attach(&mut self) -> Result<Attached, RecordError> {
        let server = self.order.server;
        let explain = |error: RedisError| RecordError::Server(server.explain(&error));
        let mut link = server.open_raw(ProtocolVersion::RESP2)?;
        let facts = Facts::ask(&mut link).map_err(explain)?;
        if facts.info.as_ref().is_some_and(|info| info.is_cluster) {
            server.check_kind(&mut link)?;
        }
        let mut wanted = vec![(EXPIRED, 'x'), (EVICTED, 'e')];
        wanted.retain(|(_, class)| facts.reports(*class));
        let wanted: Vec<&str> = wanted.into_iter().map(|(channel, _)| channel).collect();
        let (listen, events) = listen(server, &wanted)?;
        self.model.reports_expiry(events.contains(&EXPIRED));
        let heard = hear(listen);
        let (own, found) = (String::new(), HashMap::new());
        let mut attached = Attached { heard, link, own, events, found, facts };
        let mut keys = scan(&mut attached.link, &self.order.watch, self.clock).map_err(explain)?;
        let mut backlog = Vec::new();
        self.drain_to_mark(&mut attached, &mut backlog)?;
        for line in backlog.iter().filter_map(parsed) {
            keys.extend(self.model.touched(&line));
        }
        keys.extend(self.model.known_keys().map(<[u8]>::to_vec));
        let keys: Vec<Vec<u8>> = keys.into_iter().collect();
        for chunk in keys.chunks(CHUNK) {
            attached.found.extend(snapshot_keys(&mut attached.link, chunk).map_err(explain)?);
        }
        self.drain_to_mark(&mut attached, &mut backlog)?;
        let gaps = self.model.gaps();
        for heard in backlog {
            self.take(&mut attached, heard);
        }
        if self.model.gaps() > gaps {
            let name = server.name();
            let what =
                format!("the databases of {name} were exchanged while it was looked at; try again");
            return Err(ServerError::new(what).into());
        }
        // What was refused does not show in the stream.
        for (key, found) in attached.found.drain() {
            let why = found.err().unwrap_or_else(|| "it could not be looked at".into());
            self.model.unread(&key, why);
        }
        self.model.snapshot_is_taken();
        Ok(attached)
    }

    /// Sets a mark into the stream and keeps everything that comes before it.
    fn drain_to_mark(
        &mut self,
        attached: &mut Attached,
        backlog: &mut Vec<Value>,
    ) -> Result<(), RecordError> {
        let explain = |error: RedisError| self.order.server.explain(&error);
        let mark = Uuid::new_v4().to_string();
        cmd("ECHO").arg(&mark).exec(&mut attached.link).map_err(explain)?;
        let deadline = self.clock.now().saturating_add(PATIENCE);
        loop {
            let value = match attached.heard.recv_timeout(POLL) {
                Ok(heard) => heard.map_err(explain)?,
                Err(RecvTimeoutError::Timeout) if self.clock.now() < deadline => continue,
                Err(_) => {
                    let what = format!(
                        "{} does not show what it runs; is it overloaded?",
                        self.order.server.name()
                    );
                    return Err(ServerError::new(what).into());
                }
            };
            if let Some(line) = parsed(&value)
                && line.arguments.get(1).is_some_and(|said| *said == mark.as_bytes())
                && let CommandSource::Client(address) = line.source
            {
                attached.own = address;
                self.last = self.last.max(line.at);
                return Ok(());
            }
            backlog.push(value);
        }
    }

    /// Follows the stream to its end.
    fn follow(&mut self, attached: &mut Attached) -> Result<Ending, ServerError> {
        let server = self.order.server;
        let explain = |error: RedisError| server.explain(&error);
        let start = self.clock.now();
        let (mut beat, mut notified, mut named) = (None, Some(start), None);
        let mut compared = Some(start);
        self.heard_at = start;
        loop {
            match self.clock.check() {
                Err(stopped) => {
                    self.catch_up(attached)?;
                    return Ok(stopped.into());
                }
                Ok(()) if self.model.size() >= self.order.limit => return Ok(Ending::Full),
                Ok(()) => {}
            }
            let now = self.clock.now();
            if is_time(&mut named, now, NAMING) {
                self.name_clients(attached);
            }
            if let Some(why) = self.model.missing() {
                return Err(ServerError::new(why.to_owned()));
            }
            if is_time(&mut beat, now, BEAT) {
                cmd("PING").exec(&mut attached.link).map_err(explain)?;
            }
            if is_time(&mut compared, now, COMPARING) {
                let key = self.model.key_in_turn();
                self.read_again(attached, key.as_slice()).map_err(explain)?;
            }
            if is_time(&mut notified, now, NOTIFYING) {
                self.listener.counts(&self.model.counts());
                self.say_if_late(now);
                self.ask_facts(attached)?;
            }
            match attached.heard.recv_timeout(POLL) {
                Ok(heard) => self.take(attached, heard.map_err(explain)?),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let what = format!("lost the connection to {}", server.name());
                    return Err(ServerError::new(what));
                }
            }
            for _ in 0..1024 {
                let Ok(heard) = attached.heard.try_recv() else { break };
                self.take(attached, heard.map_err(explain)?);
            }
        }
    }

    /// Says, once in a while, that the stream is far behind the server.
    fn say_if_late(&mut self, now: Duration) {
        if now.saturating_sub(self.heard_at) > LATE {
            self.listener.say(
                "the server does more than can be read here, or a value is very large; what \
                 comes is late",
            );
            self.heard_at = now;
        }
    }

    /// Takes everything that ran before now, and compares each key for the last time.
    fn catch_up(&mut self, attached: &mut Attached) -> Result<(), ServerError> {
        self.name_clients(attached);
        self.ask_facts(attached)?;
        self.take_to_mark(attached)?;
        for chunk in self.model.followed_keys().chunks(CHUNK) {
            let server = self.order.server;
            self.read_again(attached, chunk).map_err(|error| server.explain(&error))?;
            self.take_to_mark(attached)?;
        }
        Ok(())
    }

    fn take_to_mark(&mut self, attached: &mut Attached) -> Result<(), ServerError> {
        let mut backlog = Vec::new();
        let caught = self.drain_to_mark(attached, &mut backlog);
        for heard in backlog {
            self.take(attached, heard);
        }
        caught.map_err(|error| ServerError::new(error.to_string()))
    }

    /// Reads keys that are followed: when the stream shows it, they are compared. All clients of a socket
    /// have the same address, so there it can't be known when it was.
    fn read_again(&mut self, attached: &mut Attached, keys: &[Vec<u8>]) -> Result<(), RedisError> {
        if is_socket(&attached.own) {
            return Ok(());
        }
        let is_idle = |key: &&Vec<u8>| !attached.found.contains_key(*key);
        let keys: Vec<Vec<u8>> = keys.iter().filter(is_idle).cloned().collect();
        for (key, found) in snapshot_keys(&mut attached.link, &keys)? {
            match found {
                Ok(snapshot) => drop(attached.found.insert(key, Ok(snapshot))),
                // What was refused does not show in the stream.
                Err(why) => self.model.unread(&key, why),
            }
        }
        Ok(())
    }

    /// One thing that the listening connection heard.
    fn take(&mut self, attached: &mut Attached, heard: Value) {
        match heard {
            Value::Push { kind: PushKind::Message, data } => {
                if let [Value::BulkString(channel), Value::BulkString(key)] = data.as_slice() {
                    if channel == EVICTED.as_bytes() {
                        self.model.evicted(key);
                    } else {
                        self.model.expired(key);
                    }
                }
            }
            Value::SimpleString(text) => match MonitorLine::parse(&text) {
                Some(line) => self.take_line(attached, &line),
                None => self.model.malformed(),
            },
            _ => {}
        }
    }

    fn take_line(&mut self, attached: &mut Attached, line: &MonitorLine) {
        self.last = self.last.max(line.at);
        if self.began == 0 {
            self.began = line.at;
        }
        if !attached.is_own(line) {
            return self.model.line(line);
        }
        self.heard_at = self.clock.now();
        let span = self.model.passed(line);
        if let [name, key] = line.arguments.as_slice()
            && name.eq_ignore_ascii_case(b"PTTL")
        {
            match attached.found.remove(key) {
                Some(Ok(snapshot)) => self.model.snapshot(key, &snapshot, span),
                Some(Err(why)) => self.model.unread(key, why),
                None => {}
            }
        }
    }

    /// Asks for what MONITOR does not show.
    fn ask_facts(&mut self, attached: &mut Attached) -> Result<(), ServerError> {
        let asked = Facts::ask(&mut attached.link);
        let now = asked.map_err(|error| self.order.server.explain(&error))?;
        if let Some(why) = now.changed_since(&attached.facts)
            && self.model.missing().is_none()
        {
            self.model.interrupt(why);
        }
        if !attached.events.contains(&EVICTED)
            && let Some(why) = now.evicted_since(&attached.facts)
        {
            self.notices.push(why.into());
        }
        attached.facts = now;
        Ok(())
    }

    /// Learns what the clients call themselves.
    fn name_clients(&mut self, attached: &mut Attached) {
        self.ask_clients(attached, |model, clients| {
            for client in clients.iter().filter(|client| !client.name.is_empty()) {
                model.name_client(client.address, client.name);
            }
        });
    }

    /// Learns at the end which connections are open.
    fn find_open_clients(&mut self, attached: &mut Attached) {
        let own = attached.own.clone();
        let is_asked = self.ask_clients(attached, |model, clients| {
            let others = clients.iter().filter(|client| !client.monitors && client.address != own);
            model.note_open(&others.map(|client| client.address).collect());
        });
        if !is_asked {
            self.listener.say(
                "the server does not list its clients (+client|list), so which of them are gone is \
                 unknown",
            );
        }
    }

    /// Learns something of the connections that are open. Returns whether the server lists them.
    fn ask_clients(
        &mut self,
        attached: &mut Attached,
        learn: impl FnOnce(&mut KeysModel, &[ListedClient<'_>]),
    ) -> bool {
        let listed: Result<String, _> = cmd("CLIENT").arg("LIST").query(&mut attached.link);
        let Ok(listed) = listed else { return false };
        let clients: Vec<_> = listed.lines().filter_map(ListedClient::read).collect();
        learn(&mut self.model, &clients);
        true
    }

    /// Says what the recording shows and what it doesn't.
    fn greet(&mut self, attached: &Attached) {
        self.listener.say(
            "recording with MONITOR: the server sends every command of every client here, which \
             slows it while this lasts; --light costs less, and shows less",
        );
        if !attached.events.contains(&EXPIRED) && !attached.facts.is_replica() {
            let cure = if attached.facts.reports('x') {
                "this user may not subscribe to __keyevent@0__:expired"
            } else {
                "from Redis 7 on it says so with CONFIG SET notify-keyspace-events Exe"
            };
            self.listener.say(&format!(
                "the server does not say when a lease ends, so what is done near that moment may \
                 stay undecided; {cure}"
            ));
        }
        if attached.facts.info.is_none() {
            let what = "this user may not ask INFO, so evictions and changes of the server's role are \
                        not seen";
            self.listener.say(what);
            self.notices.push(what.into());
        }
        if is_socket(&attached.own) {
            self.listener.say(
                "all clients of its Unix socket have the same address, so they are told as one",
            );
        }
        if attached.facts.info.as_ref().is_some_and(|info| info.is_cluster) {
            self.listener.say("this is one node of a cluster: locks on other nodes are not seen");
        }
        if attached.facts.is_replica() {
            self.listener.say(
                "this is a replica: it shows what its primary did, but not who did it, and no \
                 attempt that was refused",
            );
        }
        self.listener.counts(&self.model.counts());
    }

    fn finish(self, ending: Ending) -> Recorded {
        let (name, span) = (self.order.server.name(), (self.began, self.last));
        finish(self.model, name, Way::Monitor, span, ending, &self.notices)
    }
}
