//! From what passed over a connection to events.

use crate::lock::{LockName, effects, seen_effects};
use crate::server::Exchange;
use lock_history::history::{Command, Effect, Event, EventKind};
use redis::{RedisResult, Value};
use redis_sim::{Kept, requests};

/// What an actor's connection recorded, as events.
pub(super) fn read(actor: usize, exchanges: Vec<Exchange>, locks: &[LockName]) -> Vec<Event> {
    let event = |exchange: Exchange| {
        let kind = EventKind::Command(command(&exchange, locks));
        Event { moment: exchange.received, actor: Some(actor), kind }
    };
    exchanges.into_iter().map(event).collect()
}

fn command(exchange: &Exchange, locks: &[LockName]) -> Command {
    let effects = match &exchange.replies {
        Ok(replies) => did(&requests(&exchange.commands), replies, locks, &exchange.observed),
        Err(_) => Vec::new(),
    };
    let (text, reply) = (exchange.asked(), exchange.answered());
    Command { sent: exchange.sent, text, reply, effects, late: None }
}

/// What some requests did; those of a transaction have their replies in that of EXEC. Where lock
/// keys were observed, what they held before and after decides.
pub(super) fn did(
    requests: &[Vec<&[u8]>],
    replies: &[Value],
    locks: &[LockName],
    observed: &[[Option<Kept>; 2]],
) -> Vec<Effect> {
    let (requests, replies) = match (requests, replies) {
        ([multi, inner @ .., _exec], [Value::Array(replies)]) if is_multi(multi) => {
            (inner, replies.as_slice())
        }
        other => other,
    };
    if let (Some(request), Some(reply), false) =
        (requests.first(), replies.first(), observed.is_empty())
    {
        return seen_effects(request, reply, locks, observed);
    }
    let each = requests.iter().zip(replies);
    each.flat_map(|(request, reply)| effects(request, reply, locks)).collect()
}

fn is_multi(request: &[&[u8]]) -> bool {
    matches!(request, [name] if name.eq_ignore_ascii_case(b"MULTI"))
}

/// For errors that never were replies of a server.
pub(super) fn error_reply(text: &str) -> RedisResult<Value> {
    redis::parse_redis_value(format!("-{text}\r\n").as_bytes())
}
