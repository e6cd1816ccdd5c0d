//! The subscribers of channels, patterns of channels, and channels of a shard (here, of the only
//! one).
//!
//! A message reaches a client by way of its [`Outbox`], so only clients that came over a socket can
//! listen. Redis says a message to a client that publishes it itself, in a transaction, within the
//! answer to EXEC, which no client can read; here it comes before that answer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use redis::{PushKind, Value};

use super::events::{Event, Published};
use super::glob;
use super::keyspace::Keyspace;
use super::server::{Format, Outbox, write};
use super::session::Session;

/// Writes a word in quotes, and what is no printable character of it in another way.
fn quote(line: &mut Vec<u8>, word: &[u8]) {
    line.push(b'"');
    for byte in word {
        match byte {
            b'\\' | b'"' => line.extend([b'\\', *byte]),
            b'\n' => line.extend(b"\\n"),
            b'\r' => line.extend(b"\\r"),
            b'\t' => line.extend(b"\\t"),
            7 => line.extend(b"\\a"),
            8 => line.extend(b"\\b"),
            b' '..=b'~' => line.push(*byte),
            _ => line.extend(format!("\\x{byte:02x}").into_bytes()),
        }
    }
    line.push(b'"');
}

/// The words of a command without passwords.
fn secrets_redacted<'a>(argv: &[&'a [u8]]) -> Vec<&'a [u8]> {
    let mut shown = argv.to_vec();
    let is = |at: usize, word: &str| {
        argv.get(at).is_some_and(|it| it.eq_ignore_ascii_case(word.as_bytes()))
    };
    let secret = if is(0, "auth") && argv.len() < 4 {
        1..argv.len()
    } else if is(0, "hello") {
        let auth = (2..argv.len().saturating_sub(2)).find(|at| is(*at, "auth"));
        auth.map_or(0..0, |auth| auth + 1..auth + 3)
    } else {
        0..0
    };
    for word in secret {
        if let Some(word) = shown.get_mut(word) {
            *word = b"(redacted)";
        }
    }
    shown
}

/// What can be listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Topic {
    Channel,
    Pattern,
    Shard,
}

/// All subscriptions of a server.
#[derive(Debug, Default)]
pub(super) struct PubSub {
    /// The clients to which MONITOR shows each command.
    monitors: Vec<(i64, Outbox)>,
    /// Which keyspace notifications are sent.
    pub(super) published: Published,
    listeners: BTreeMap<i64, Subscriber>,
    /// The clients that listen to something, in the order in which they began.
    topics: BTreeMap<(Topic, Vec<u8>), Vec<i64>>,
}

/// A client that listens to something.
#[derive(Debug)]
struct Subscriber {
    outbox: Outbox,
    resp3: bool,
    topics: BTreeSet<(Topic, Vec<u8>)>,
}

impl PubSub {
    /// Whether no client wants to know of commands or keys.
    pub(super) fn is_silent(&self) -> bool {
        self.monitors.is_empty() && !self.published.is_on()
    }

    /// Shows each command to the client `id` from now on.
    pub(super) fn monitor(&mut self, id: i64, outbox: &Outbox) {
        if !self.monitors.iter().any(|(known, _)| *known == id) {
            self.monitors.push((id, outbox.clone()));
        }
    }

    /// Shows the client `id` nothing more.
    pub(super) fn stop_monitoring(&mut self, id: i64) {
        self.monitors.retain(|(known, _)| *known != id);
    }

    /// Shows a command of this client.
    pub(super) fn show(&self, session: &Session, now: Duration, argv: &[&[u8]]) {
        if self.monitors.is_empty() {
            return;
        }
        let (seconds, micros, db) = (now.as_secs(), now.subsec_micros(), session.db.number());
        let mut line = format!("+{seconds}.{micros:06} [{db} {}]", session.address).into_bytes();
        for word in secrets_redacted(argv) {
            line.push(b' ');
            quote(&mut line, word);
        }
        line.extend_from_slice(b"\r\n");
        self.monitors.iter().for_each(|(_, outbox)| outbox.push(&line));
    }

    /// Sends the notifications of what happened to keys since this was called last.
    pub(super) fn publish_events(&self, keyspace: &mut Keyspace) {
        for (db, events) in keyspace.take_events() {
            for Event { class, name, key } in events {
                if !self.published.has(class) {
                    continue;
                }
                if self.published.by_key() {
                    let channel = [format!("__keyspace@{db}__:").as_bytes(), &key].concat();
                    self.publish(false, &channel, name.as_bytes());
                }
                if self.published.by_event() {
                    self.publish(false, format!("__keyevent@{db}__:{name}").as_bytes(), &key);
                }
            }
        }
    }

    /// Lets the client `id` listen.
    pub(super) fn subscribe(
        &mut self,
        id: i64,
        resp3: bool,
        outbox: &Outbox,
        topic: (Topic, Vec<u8>),
    ) {
        let new = || Subscriber { outbox: outbox.clone(), resp3, topics: BTreeSet::new() };
        if self.listeners.entry(id).or_insert_with(new).topics.insert(topic.clone()) {
            self.topics.entry(topic).or_default().push(id);
        }
    }

    /// Ends one subscription of the client `id`, if it has it.
    pub(super) fn unsubscribe(&mut self, id: i64, topic: &(Topic, Vec<u8>)) {
        let Some(listener) = self.listeners.get_mut(&id) else { return };
        listener.topics.remove(topic);
        if listener.topics.is_empty() {
            self.listeners.remove(&id);
        }
        self.strike_out(id, topic);
    }

    /// Ends all subscriptions of the client `id`.
    pub(super) fn leave(&mut self, id: i64) {
        let Some(listener) = self.listeners.remove(&id) else { return };
        listener.topics.iter().for_each(|topic| self.strike_out(id, topic));
    }

    fn strike_out(&mut self, id: i64, topic: &(Topic, Vec<u8>)) {
        if let Some(ids) = self.topics.get_mut(topic) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.topics.remove(topic);
            }
        }
    }

    /// The client `id` speaks another version of the protocol from now on.
    pub(super) fn set_protocol(&mut self, id: i64, resp3: bool) {
        if let Some(listener) = self.listeners.get_mut(&id) {
            listener.resp3 = resp3;
        }
    }

    /// What the client `id` listens to of this kind.
    pub(super) fn names(&self, id: i64, kind: Topic) -> Vec<Vec<u8>> {
        let topics = self.listeners.get(&id).into_iter().flat_map(|listener| &listener.topics);
        topics.filter(|topic| topic.0 == kind).map(|(_, name)| name.clone()).collect()
    }

    /// How many things the client `id` listens to, as Redis counts: those of shards apart.
    pub(super) fn count(&self, id: i64, shards: bool) -> usize {
        let topics = self.listeners.get(&id).into_iter().flat_map(|listener| &listener.topics);
        topics.filter(|(kind, _)| (*kind == Topic::Shard) == shards).count()
    }

    /// Whether the client `id` listens to anything.
    pub(super) fn is_listening(&self, id: i64) -> bool {
        self.listeners.contains_key(&id)
    }

    /// Sends a message to a channel or, if `shards`, to one of a shard; returns how many clients
    /// got it.
    pub(super) fn publish(&self, shards: bool, channel: &[u8], message: &[u8]) -> usize {
        let kind = if shards { Topic::Shard } else { Topic::Channel };
        let push = if shards { PushKind::SMessage } else { PushKind::Message };
        let exact = (kind, channel.to_vec());
        let mut sent = self.topics.get(&exact).map_or(0, |ids| {
            self.send(ids, &Message::new(push, vec![bulk(channel), bulk(message)]))
        });
        if !shards {
            for ((_, pattern), ids) in self.topics.range(PATTERNS).filter(|((kind, pattern), _)| {
                *kind == Topic::Pattern && glob::matches(pattern, channel)
            }) {
                let data = vec![bulk(pattern), bulk(channel), bulk(message)];
                sent += self.send(ids, &Message::new(PushKind::PMessage, data));
            }
        }
        sent
    }

    fn send(&self, ids: &[i64], message: &Message) -> usize {
        let listeners = ids.iter().filter_map(|id| self.listeners.get(id));
        listeners.map(|to| to.outbox.push(message.bytes(to.resp3))).count()
    }
}

/// From the first pattern there can be to the first channel of a shard.
const PATTERNS: std::ops::Range<(Topic, Vec<u8>)> =
    (Topic::Pattern, Vec::new())..(Topic::Shard, Vec::new());

/// A message in both versions of the protocol.
struct Message([Vec<u8>; 2]);

impl Message {
    fn new(kind: PushKind, data: Vec<Value>) -> Self {
        let value = Value::Push { kind, data };
        Self([false, true].map(|resp3| {
            let mut bytes = Vec::new();
            write(&value, Format { resp3, no_list: false }, &mut bytes);
            bytes
        }))
    }

    fn bytes(&self, resp3: bool) -> &[u8] {
        let Self([old, new]) = self;
        if resp3 { new } else { old }
    }
}

fn bulk(bytes: &[u8]) -> Value {
    Value::BulkString(bytes.to_vec())
}
