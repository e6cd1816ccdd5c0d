//! Messages: PUBLISH, SUBSCRIBE and what ends it, for channels, patterns and the channels of a shard.

use redis::{PushKind, Value};

use super::{Reply, bulk, count};
use crate::error::Error;
use crate::pubsub::Topic;
use crate::session::Call;

pub(super) fn publish(call: &mut Call<'_>, args: &[&[u8]], shards: bool) -> Reply {
    let [channel, message] = args else { return Err(Error::Arity("publish")) };
    Ok(count(call.pubsub.publish(shards, channel, message)))
}

/// A client without a socket can't receive what is shown.
pub(super) fn monitor(call: &mut Call<'_>, _: &[&[u8]]) -> Reply {
    if call.session.in_exec {
        return Err(Error::MonitorInExec);
    }
    let outbox = call.session.outbox.as_ref().ok_or_else(|| super::unknown(b"monitor", &[]))?;
    call.pubsub.monitor(call.session.id, outbox);
    Ok(Value::Okay)
}

pub(super) fn begin(call: &mut Call<'_>, names: &[&[u8]], kind: Topic) -> Reply {
    if call.session.in_exec && kind == Topic::Shard {
        return Err(Error::DenyBlocking);
    }
    // A client without a socket can't receive push messages.
    let Some(outbox) = call.session.outbox.clone() else {
        let command: &[u8] = match kind {
            Topic::Channel => b"subscribe",
            Topic::Pattern => b"psubscribe",
            Topic::Shard => b"ssubscribe",
        };
        return Err(super::unknown(command, names));
    };
    let (id, resp3) = (call.session.id, call.session.resp3);
    call.session.listening = true;
    for name in names {
        call.pubsub.subscribe(id, resp3, &outbox, (kind, name.to_vec()));
        confirm(call, true, kind, bulk(name));
    }
    last_of(call)
}

pub(super) fn end(call: &mut Call<'_>, names: &[&[u8]], kind: Topic) -> Reply {
    let id = call.session.id;
    let mut names: Vec<Vec<u8>> = names.iter().map(|name| name.to_vec()).collect();
    if names.is_empty() {
        names = call.pubsub.names(id, kind);
    }
    if names.is_empty() {
        confirm(call, false, kind, Value::Nil);
    }
    for name in names {
        let topic = (kind, name);
        call.pubsub.unsubscribe(id, &topic);
        confirm(call, false, kind, Value::BulkString(topic.1));
    }
    call.session.listening = call.pubsub.is_listening(id);
    last_of(call)
}

/// Answers for one name; a command answers for each.
fn confirm(call: &mut Call<'_>, begun: bool, kind: Topic, name: Value) {
    let what = match (kind, begun) {
        (Topic::Channel, true) => PushKind::Subscribe,
        (Topic::Channel, false) => PushKind::Unsubscribe,
        (Topic::Pattern, true) => PushKind::PSubscribe,
        (Topic::Pattern, false) => PushKind::PUnsubscribe,
        (Topic::Shard, true) => PushKind::SSubscribe,
        (Topic::Shard, false) => PushKind::SUnsubscribe,
    };
    let left = count(call.pubsub.count(call.session.id, kind == Topic::Shard));
    call.session.answered.push(Value::Push { kind: what, data: vec![name, left] });
}

/// The last answer is the reply; those before it are sent first.
fn last_of(call: &mut Call<'_>) -> Reply {
    Ok(call.session.answered.pop().unwrap_or(Value::Nil))
}
