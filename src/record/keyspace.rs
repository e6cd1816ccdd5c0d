//! Records by keyspace notifications only: what changed, but not by which client.
//!
//! A notification names the key and what was done; the value is looked at afterwards. What is not
//! seen: whose connection it was (the payload's owner stands for it), attempts that were refused, and
//! a value that was gone again before it was looked at.

use super::facts::notifications;
use super::key_snapshot::{Content, KeySnapshot, other_type, scan, snapshot_keys};
use super::model::{KeysModel, not_followed};
use super::monitor_stream::{Heard, hear};
use super::recording::{
    Ending, Listener, Order, REACHED, RecordError, Recorded, Way, finish, reach_again,
};
use super::session::{POLL, is_time};
use lock_lab::server::{Line, ServerError};
use redis::{ProtocolVersion, PushKind, RedisError, Value, cmd};
use redis_sim::clock::Clock;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// What `notify-keyspace-events` has to hold: keyspace events of strings, generic commands, expiry.
const NEEDED: &str = "Kg$x";
/// How often it is made sure that the server is there.
const BEAT: Duration = Duration::from_secs(1);
const CHANNEL: &[u8] = b"__keyspace@0__:";

/// Records until the clock is stopped or its deadline comes.
///
/// # Errors
///
/// [`RecordError::NoNotifications`] if the server does not publish what is needed,
/// [`RecordError::Server`] if it can't be reached at first.
pub fn record_light(
    order: &Order<'_>,
    clock: &dyn Clock,
    listener: &mut dyn Listener,
) -> Result<Recorded, RecordError> {
    let mut model = KeysModel::new(order.watch.clone());
    model.reports_expiry(true);
    let mut session = KeyspaceSession { order, clock, listener, model };
    let began = session.micros();
    let mut light = session.attach()?;
    session.listener.say(
        "recording with --light, by keyspace notifications, which cost the server little: who \
         does it, attempts that are refused, reads, and what lasts less than a look takes are not \
         seen",
    );
    let ending = loop {
        let lost = match session.follow(&mut light) {
            Ok(ending) => break ending,
            Err(lost) => lost,
        };
        session.model.interrupt(&lost.to_string());
        session.listener.say(&format!("{lost}; trying to reach it again"));
        match reach_again(clock, || session.attach()) {
            Ok(again) => light = again,
            Err(ending) => break ending,
        }
        session.listener.say(REACHED);
    };
    let limits = "it was recorded with --light, which does not see everything";
    let span = (began, session.micros());
    Ok(finish(session.model, order.server.name(), Way::Light, span, ending, &[limits.to_owned()]))
}

struct KeyspaceSession<'a> {
    order: &'a Order<'a>,
    clock: &'a dyn Clock,
    listener: &'a mut dyn Listener,
    model: KeysModel,
}

struct Light {
    heard: Receiver<Heard>,
    link: Line,
}

impl KeyspaceSession<'_> {
    fn micros(&self) -> u64 {
        u64::try_from(self.clock.unix().as_micros()).unwrap_or(u64::MAX)
    }

    fn attach(&mut self) -> Result<Light, RecordError> {
        let server = self.order.server;
        let explain = |error: RedisError| RecordError::Server(server.explain(&error));
        let mut link = server.open_raw(ProtocolVersion::RESP2)?;
        server.check_kind(&mut link)?;
        let now = notifications(&mut link).map_err(explain)?.unwrap_or_default();
        let has = |class: char| now.contains(class) || class != 'K' && now.contains('A');
        if !NEEDED.chars().all(has) {
            let needed = now.chars().filter(|class| !NEEDED.contains(*class));
            let needed: String = NEEDED.chars().chain(needed).collect();
            return Err(RecordError::NoNotifications { server: server.name().into(), now, needed });
        }
        let mut listen = server.open_raw(ProtocolVersion::RESP3)?;
        for pattern in self.order.watch.patterns() {
            let channel = [CHANNEL, pattern.as_bytes()].concat();
            let subscribe = cmd("PSUBSCRIBE").arg(channel).get_packed_command();
            listen.send_packed_command(&subscribe).map_err(explain)?;
            if let Value::ServerError(error) = listen.recv_response().map_err(explain)? {
                return Err(explain(error.into()));
            }
        }
        listen.set_read_timeout(None);
        let heard = hear(listen);
        for key in scan(&mut link, &self.order.watch, self.clock).map_err(explain)? {
            match snapshot_key(&mut link, &key).map_err(explain)? {
                Ok(snapshot) => {
                    let now = self.micros();
                    self.model.snapshot(&key, &snapshot, (now, now));
                }
                Err(why) => self.model.unread(&key, why),
            }
        }
        self.model.snapshot_is_taken();
        Ok(Light { heard, link })
    }

    fn follow(&mut self, light: &mut Light) -> Result<Ending, ServerError> {
        let explain = |error: RedisError| self.order.server.explain(&error);
        let mut beat: Option<Duration> = None;
        loop {
            match self.clock.check() {
                Err(stopped) => return Ok(stopped.into()),
                Ok(()) if self.model.size() >= self.order.limit => return Ok(Ending::Full),
                Ok(()) => {}
            }
            if is_time(&mut beat, self.clock.now(), BEAT) {
                cmd("PING").exec(&mut light.link).map_err(explain)?;
                self.listener.counts(&self.model.counts());
            }
            match light.heard.recv_timeout(POLL) {
                Ok(heard) => self.take(light, heard.map_err(explain)?).map_err(explain)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let name = self.order.server.name();
                    return Err(ServerError::new(format!("lost the connection to {name}")));
                }
            }
        }
    }

    /// One notification.
    fn take(&mut self, light: &mut Light, heard: Value) -> Result<(), RedisError> {
        let Value::Push { kind: PushKind::PMessage, data } = heard else { return Ok(()) };
        let [_, Value::BulkString(channel), Value::BulkString(event)] = data.as_slice() else {
            return Ok(());
        };
        let Some(key) = channel.strip_prefix(CHANNEL) else { return Ok(()) };
        match event.as_slice() {
            b"del" | b"rename_from" | b"move_from" => self.model.was_deleted(key, self.micros()),
            b"expired" => self.model.expired(key),
            b"evicted" => self.model.evicted(key),
            b"set" | b"rename_to" | b"expire" | b"persist" | b"restore" => {
                match snapshot_key(&mut light.link, key)? {
                    Ok(KeySnapshot { content: Content::Text(value), ttl, .. }) => {
                        self.model.was_set(key, &value, ttl, self.micros());
                    }
                    Ok(_) => {}
                    Err(why) => self.model.unread(key, why),
                }
            }
            // These come beside the events of changes.
            b"keymiss" | b"new" | b"overwritten" | b"type_changed" => {}
            other => {
                let command = String::from_utf8_lossy(other).to_ascii_uppercase();
                self.model.unread(key, not_followed(&command));
            }
        }
        Ok(())
    }
}

/// What is in a key, or why it can't be followed; an error, if the connection fails.
fn snapshot_key(link: &mut Line, key: &[u8]) -> Result<Found, RedisError> {
    let found = snapshot_keys(link, &[key.to_vec()])?.pop().map(|(_, found)| found);
    Ok(match found {
        Some(Ok(KeySnapshot { content, .. })) if !content.is_text() => {
            Err(other_type(content.kind()))
        }
        Some(found) => found,
        None => Err("it could not be looked at".into()),
    })
}

type Found = Result<KeySnapshot, String>;
