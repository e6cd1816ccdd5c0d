//! The engine at the end of a connection.

use redis::Value;

use super::outbox::Outbox;
use super::reply::{self, Format};
use super::{Handler, Next, Service};
use crate::error::Error;
use crate::{Connection, Engine};

/// A client of the engine that came over a socket.
struct SocketClient {
    engine: Engine,
    /// None if it came while a script took too long.
    connection: Option<Connection>,
    /// Reused from reply to reply.
    bytes: Vec<u8>,
}

/// A buffer above this is given back after the reply.
const KEEP: usize = 64 * 1024;

impl Service for Engine {
    fn open(&self, outbox: &Outbox) -> Box<dyn Handler> {
        let connection = enter(self, outbox);
        Box::new(SocketClient { engine: self.clone(), connection, bytes: Vec::new() })
    }
}

/// A connection for this client, unless a script takes too long.
fn enter(engine: &Engine, outbox: &Outbox) -> Option<Connection> {
    let mut connection = engine.admit(0, engine.lock_unless_busy()?);
    connection.session.outbox = Some(outbox.clone());
    if let Some(address) = outbox.address() {
        connection.session.address = address;
    }
    Some(connection)
}

impl Handler for SocketClient {
    fn answer(&mut self, argv: &[&[u8]], outbox: &Outbox) -> Next {
        if self.connection.is_none() {
            self.connection = enter(&self.engine, outbox);
        }
        let bytes = &mut self.bytes;
        let answered = self.connection.as_mut().and_then(|connection| {
            connection.call_unless_busy(|call| {
                let value = call.answer(argv, None);
                let format = Format { resp3: call.session.resp3, no_list: false };
                let before = std::mem::take(&mut call.session.answered);
                before.iter().chain([&value]).for_each(|value| reply::write(value, format, bytes));
                // While the server is locked: a message that is sent after this must come after it.
                outbox.reply(bytes);
            })
        });
        if answered.is_none() {
            let value = self.answer_busy(argv);
            let format = Format { resp3: false, no_list: false };
            reply::write(&value, format, &mut self.bytes);
            outbox.reply(&self.bytes);
        }
        if self.bytes.capacity() > KEEP {
            self.bytes = Vec::new();
        }
        self.bytes.clear();
        let is_closed = self.connection.as_ref().is_some_and(|it| it.session.closed);
        if is_closed { Next::Close } else { Next::Read }
    }
}

impl SocketClient {
    /// What Redis answers while a script takes too long.
    fn answer_busy(&mut self, argv: &[&[u8]]) -> Value {
        let is = |word: &[u8], name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        let killed = match argv {
            [script, kill] if is(script, "script") && is(kill, "kill") => {
                self.engine.0.watch.kill().map(|()| Value::Okay)
            }
            _ => Err(Error::Busy),
        };
        // As any command that is refused, it spoils the transaction that it should have been in.
        let queue = self.connection.as_mut().and_then(|it| it.session.queue.as_mut());
        if let (Err(_), Some(queue)) = (&killed, queue) {
            queue.spoiled = true;
        }
        killed.unwrap_or_else(Error::into_value)
    }
}
