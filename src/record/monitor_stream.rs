//! The listening connection: MONITOR's lines, and the ends of leases among them.

use super::monitor_line::MonitorLine;
use super::recording::RecordError;
use lock_lab::server::{Line, Server};
use redis::{ErrorKind, ProtocolVersion, PushKind, RedisError, ServerErrorKind, Value, cmd};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// How many lines may wait to be read.
const WAITING: usize = 1 << 16;

/// What comes over the listening connection.
pub(super) type Heard = Result<Value, RedisError>;

/// The channels of the events that MONITOR does not show.
pub(super) const EXPIRED: &str = "__keyevent@0__:expired";
pub(super) const EVICTED: &str = "__keyevent@0__:evicted";

/// Opens it; gives those of the channels that it also listens to.
pub(super) fn listen(
    server: &Server,
    channels: &[&'static str],
) -> Result<(Line, Vec<&'static str>), RecordError> {
    let mut connection = match server.open_raw(ProtocolVersion::RESP3) {
        Ok(connection) => connection,
        // Older than RESP3.
        Err(_) => server.open_raw(ProtocolVersion::RESP2)?,
    };
    let explain = |error: RedisError| RecordError::Server(server.explain(&error));
    let mut heard = Vec::new();
    for channel in channels {
        if subscribe(&mut connection, channel).map_err(explain)? {
            heard.push(*channel);
        }
    }
    connection.send_packed_command(&cmd("MONITOR").get_packed_command()).map_err(explain)?;
    loop {
        match connection.recv_response().map_err(explain)? {
            Value::Okay => break,
            Value::ServerError(error) => {
                let error = RedisError::from(error);
                if error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) {
                    let answer = error.detail().unwrap_or("NOPERM").to_owned();
                    let server = server.name().to_owned();
                    return Err(RecordError::NoMonitor { server, answer });
                }
                return Err(explain(error));
            }
            _ => {}
        }
    }
    connection.set_read_timeout(None);
    Ok((connection, heard))
}

/// Asks for events on the same connection, so that they have their place in the stream.
fn subscribe(connection: &mut Line, channel: &str) -> Result<bool, RedisError> {
    let subscribe = cmd("SUBSCRIBE").arg(channel).get_packed_command();
    connection.send_packed_command(&subscribe)?;
    Ok(matches!(connection.recv_response()?, Value::Push { kind: PushKind::Subscribe, .. }))
}

/// What comes over a connection, read by a thread of its own: it ends with the connection.
pub(super) fn hear(mut connection: Line) -> Receiver<Heard> {
    let (sender, receiver): (SyncSender<Heard>, _) = sync_channel(WAITING);
    let read = move || {
        loop {
            let heard = connection.recv_response();
            let is_over = heard.is_err();
            if sender.send(heard).is_err() || is_over {
                return;
            }
        }
    };
    // Without a thread the receiver says that the connection was lost.
    let _ = thread::Builder::new().name("monitor".into()).spawn(read);
    receiver
}

/// The line of MONITOR, if it is one.
pub(super) fn parsed(heard: &Value) -> Option<MonitorLine> {
    match heard {
        Value::SimpleString(text) => MonitorLine::parse(text),
        _ => None,
    }
}
