//! The subscribers of channels, patterns of channels, and channels of a shard (here, of the only
//! one).
//!
//! A message reaches a client by way of its [`Outbox`], so only clients that came over a socket can
//! listen. Redis says a message to a client that publishes it itself, in a transaction, within the
//! answer to EXEC, which no client can read; here it comes before that answer.

use std::collections::{BTreeMap, BTreeSet};

use redis::{PushKind, Value};

use super::glob;
use super::server::{Format, Outbox, write};

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
