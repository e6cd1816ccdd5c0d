//! The volley: actors that start together hand in their first command, and one writer sends them
//! all, one right after the other. That is tighter than releasing threads from a barrier, whose
//! wake-ups take longer than the commands.

use crate::intercept::Interceptor;
use crate::server::{Connection, response_timeout};
use crossbeam::channel::{self, Receiver, RecvTimeoutError, Sender};
use redis::{ConnectionLike, ErrorKind, RedisError, RedisResult, Value};
use redis_sim::clock::Clock;
use std::time::Duration;

/// How often the volley looks whether the run was stopped while it waits for actors that are slow
/// to get to their first command.
const GLANCE: Duration = Duration::from_millis(50);

/// How long to wait for a reply that should have been there long ago.
const BARELY: Duration = Duration::from_millis(1);

/// Gathers first commands and sends them.
pub(super) struct Volley {
    arrivals: Receiver<Arrival>,
    entrance: Sender<Arrival>,
}

/// A command that waits for the volley, and the connection that it goes to.
struct Arrival {
    connection: Connection,
    command: Vec<u8>,
    back: Sender<Departure>,
}

/// The connection on its way back, with the reply.
struct Departure {
    connection: Connection,
    reply: RedisResult<Value>,
}

/// Lets one actor take part. Its first command goes with the volley, all others pass. An actor that
/// never sends one leaves the volley when its ticket is dropped.
pub(super) struct Ticket(Option<Sender<Arrival>>);

impl Volley {
    pub fn new() -> Self {
        let (entrance, arrivals) = channel::unbounded();
        Self { arrivals, entrance }
    }

    pub fn ticket(&self) -> Ticket {
        Ticket(Some(self.entrance.clone()))
    }

    /// Waits until every ticket was used or dropped, sends all commands, and gives the time from
    /// before the first to after the last one; nothing if there were none. The actors go on when all
    /// replies are there: waking them earlier would take the processor from the server.
    pub fn fire(self, clock: &dyn Clock) -> Option<Duration> {
        drop(self.entrance);
        let mut gathered = Vec::new();
        loop {
            match self.arrivals.recv_timeout(GLANCE) {
                Ok(arrival) => gathered.push(arrival),
                Err(RecvTimeoutError::Timeout) if clock.check().is_ok() => {}
                Err(_) => break,
            }
        }
        if gathered.is_empty() {
            return None;
        }
        let began = clock.now();
        let sent: Vec<_> =
            gathered.iter_mut().map(|arrival| arrival.connection.send(&arrival.command)).collect();
        let skew = clock.now().saturating_sub(began);
        let mut silence: Option<RedisError> = None;
        let replies: Vec<_> = gathered
            .iter_mut()
            .zip(sent)
            .map(|(Arrival { connection, command, .. }, sent)| {
                // A server that let one reply's time pass had as long for all the others.
                let most = if silence.is_some() { BARELY } else { response_timeout() };
                let reply = connection.receive_within(command, sent, most);
                reply.map_err(|error| match error.is_timeout() {
                    true => silence.get_or_insert(error).clone(),
                    false => error,
                })
            })
            .collect();
        for (Arrival { connection, back, .. }, reply) in gathered.into_iter().zip(replies) {
            // A task that no longer waits for its connection doesn't need it.
            let _ = back.send(Departure { connection, reply });
        }
        Some(skew)
    }
}

impl Interceptor for Ticket {
    fn command(&mut self, connection: &mut Connection, command: &[u8]) -> RedisResult<Value> {
        let Some(entrance) = self.0.take() else {
            return connection.req_packed_command(command);
        };
        let (back, departure) = channel::bounded(1);
        let arrival = Arrival { connection: connection.lend(), command: command.into(), back };
        entrance.send(arrival).map_err(|_| called_off())?;
        drop(entrance);
        let Departure { connection: returned, reply } =
            departure.recv().map_err(|_| called_off())?;
        *connection = returned;
        reply
    }
}

fn called_off() -> RedisError {
    RedisError::from((ErrorKind::Client, "the start of all actors together was called off"))
}
