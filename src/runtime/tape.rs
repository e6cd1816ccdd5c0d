//! From what passed over a connection to events.

use super::World;
use crate::engine::requests;
use crate::history::{Command, Effect, Event, EventKind};
use crate::lock::{LockName, effects};
use crate::server::Exchange;
use redis::{RedisResult, Value};

/// How much of a command or a reply is kept as text.
const LONGEST: usize = 160;

impl World {
    /// What an actor's connection recorded, as events.
    pub(super) fn read_tape(&self, actor: usize, exchanges: Vec<Exchange>) -> Vec<Event> {
        let event = |exchange: Exchange| {
            let kind = EventKind::Command(command(&exchange, &self.locks));
            Event { moment: exchange.received, actor: Some(actor), kind }
        };
        exchanges.into_iter().map(event).collect()
    }
}

fn command(exchange: &Exchange, locks: &[LockName]) -> Command {
    let requests = requests(&exchange.commands);
    let text = requests.iter().map(|request| typed(request)).collect::<Vec<_>>().join("; ");
    let (reply, effects) = match &exchange.replies {
        Ok(replies) => (replies.iter().map(shown).collect::<Vec<_>>().join("; "), {
            did(&requests, replies, locks)
        }),
        Err(error) => (format!("({error})"), Vec::new()),
    };
    Command { sent: exchange.sent, text: shortened(text), reply: shortened(reply), effects }
}

/// What some requests did; those of a transaction have their replies in that of EXEC.
pub(super) fn did(requests: &[Vec<&[u8]>], replies: &[Value], locks: &[LockName]) -> Vec<Effect> {
    let (requests, replies) = match (requests, replies) {
        ([multi, inner @ .., _exec], [Value::Array(replies)]) if is_multi(multi) => {
            (inner, replies.as_slice())
        }
        other => other,
    };
    let each = requests.iter().zip(replies);
    each.flat_map(|(request, reply)| effects(request, reply, locks)).collect()
}

fn is_multi(request: &[&[u8]]) -> bool {
    matches!(request, [name] if name.eq_ignore_ascii_case(b"MULTI"))
}

fn typed(request: &[&[u8]]) -> String {
    let words = request.iter().map(|word| String::from_utf8_lossy(word));
    words
        .map(|word| word.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join(" ")
}

/// A reply as a person reads it.
fn shown(reply: &Value) -> String {
    match reply {
        Value::Nil => "nil".into(),
        Value::Okay => "OK".into(),
        Value::Int(number) => number.to_string(),
        Value::SimpleString(text) => text.clone(),
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Array(parts) => {
            format!("[{}]", parts.iter().map(shown).collect::<Vec<_>>().join(", "))
        }
        other => format!("{other:?}"),
    }
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// For errors that never were replies of a server.
pub(super) fn error_reply(text: &str) -> RedisResult<Value> {
    redis::parse_redis_value(format!("-{text}\r\n").as_bytes())
}
