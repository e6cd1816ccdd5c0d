//! The engine at the end of a connection.

use super::outbox::Outbox;
use super::reply::{self, Format};
use super::{Handler, Next, Service};
use crate::{Connection, Engine};

/// A client of the engine that came over a socket.
struct SocketClient {
    connection: Connection,
    /// Reused from reply to reply.
    bytes: Vec<u8>,
}

/// A buffer above this is given back after the reply.
const KEEP: usize = 64 * 1024;

impl Service for Engine {
    fn open(&self, outbox: &Outbox) -> Box<dyn Handler> {
        let mut connection = self.connect(0);
        connection.session.outbox = Some(outbox.clone());
        if let Some(address) = outbox.address() {
            connection.session.address = address;
        }
        Box::new(SocketClient { connection, bytes: Vec::new() })
    }
}

impl Handler for SocketClient {
    fn answer(&mut self, argv: &[&[u8]], outbox: &Outbox) -> Next {
        let bytes = &mut self.bytes;
        self.connection.call(|call| {
            let value = call.answer(argv, None);
            let format = Format { resp3: call.session.resp3, no_list: false };
            let before = std::mem::take(&mut call.session.answered);
            before.iter().chain([&value]).for_each(|value| reply::write(value, format, bytes));
            // While the server is locked: a message that is sent after this must come after it.
            outbox.reply(bytes);
        });
        if bytes.capacity() > KEEP {
            *bytes = Vec::new();
        }
        bytes.clear();
        if self.connection.session.closed { Next::Close } else { Next::Read }
    }
}
