//! Records by keyspace notifications only: what changed, but not who did it.
//!
//! A notification names the key and what was done; the value is looked at afterwards. What is not
//! seen: whose connection it was (the payload's owner stands for it), attempts that were refused, and
//! a value that was gone again before it was looked at.

use super::facts::notifications;
use super::hear::{Heard, hear};
use super::look::{Look, look_at, scan};
use super::model::{Model, not_followed};
use super::recording::{Ending, Listener, Order, RecordError, Recorded, finish};
use super::session::{BACK_OFF, POLL};
use crate::clock::{Clock, Stopped};
use crate::server::ServerError;
use redis::{ProtocolVersion, PushKind, RedisError, Value, cmd};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// What `notify-keyspace-events` has to hold: keyspace events of strings, generic commands, expiry.
const NEEDED: &str = "Kg$x";
/// How often it is made sure that the server is there.
const BEAT: Duration = Duration::from_secs(1);
const CHANNEL: &[u8] = b"__keyspace@0__:";

/// Records until the clock is stopped or its deadline comes.
pub fn record_light(
    order: &Order<'_>,
    clock: &dyn Clock,
    listener: &mut dyn Listener,
) -> Result<Recorded, RecordError> {
    let mut model = Model::new(order.watch.clone());
    model.tells_expiry(true);
    let began = micros(clock);
    let mut light = attach(order, clock, &mut model)?;
    listener.say(
        "recording with --light, by keyspace notifications, which cost the server little: who \
         does it, attempts that are refused, reads, and what lasts less than a look takes are not \
         seen",
    );
    let ending = 'recording: loop {
        let lost = match follow(&mut light, order, clock, &mut model, listener) {
            Ok(ending) => break ending,
            Err(lost) => lost,
        };
        model.interrupt(&lost.to_string());
        listener.say(&format!("{lost}; trying to reach it again"));
        let mut pause = BACK_OFF.0;
        light = loop {
            match clock.sleep(pause) {
                Err(Stopped::TimedOut) => break 'recording Ending::TimeIsOver,
                Err(_) => break 'recording Ending::Told,
                Ok(()) => pause = (pause * 2).min(BACK_OFF.1),
            }
            if let Ok(light) = attach(order, clock, &mut model) {
                listener.say("reached it again; what happened meanwhile was not seen");
                break light;
            }
        };
    };
    let limits = "it was recorded with --light, which does not see everything";
    Ok(finish(model, order, (began, micros(clock)), ending, &[limits.to_owned()]))
}

struct Light {
    heard: Receiver<Heard>,
    look: redis::Connection,
}

fn micros(clock: &dyn Clock) -> u64 {
    u64::try_from(clock.unix().as_micros()).unwrap_or(u64::MAX)
}

fn attach(order: &Order<'_>, clock: &dyn Clock, model: &mut Model) -> Result<Light, RecordError> {
    let server = order.server;
    let explain = |error: RedisError| RecordError::Server(server.explain(&error));
    let mut look = server.open_raw(ProtocolVersion::RESP2)?;
    let now = notifications(&mut look).unwrap_or_default();
    let has = |class: char| now.contains(class) || class != 'K' && now.contains('A');
    if !NEEDED.chars().all(has) {
        let needed = now.chars().filter(|class| !NEEDED.contains(*class));
        let needed: String = NEEDED.chars().chain(needed).collect();
        return Err(RecordError::NoNotifications { server: server.name().into(), now, needed });
    }
    let mut listen = server.open_raw(ProtocolVersion::RESP3)?;
    for pattern in order.watch.patterns() {
        let channel = [CHANNEL, pattern.as_bytes()].concat();
        let subscribe = cmd("PSUBSCRIBE").arg(channel).get_packed_command();
        listen.send_packed_command(&subscribe).map_err(explain)?;
        if let Value::ServerError(error) = listen.recv_response().map_err(explain)? {
            return Err(explain(error.into()));
        }
    }
    listen.set_read_timeout(None).map_err(explain)?;
    let heard = hear(listen);
    for key in scan(&mut look, &order.watch, clock).map_err(explain)? {
        match look_into(&mut look, &key).map_err(explain)? {
            Ok(look) => model.looked(&key, look.value.as_deref(), look.ttl, micros(clock)),
            Err(why) => model.unread(&key, why),
        }
    }
    model.has_looked();
    Ok(Light { heard, look })
}

/// What is in a key, or why it can't be followed; an error, if the connection fails.
fn look_into(look: &mut redis::Connection, key: &[u8]) -> Result<Found, RedisError> {
    let found = look_at(look, &[key.to_vec()])?.pop();
    Ok(found.map_or_else(|| Err("it could not be looked at".into()), |(_, found)| found))
}

type Found = Result<Look, String>;

fn follow(
    light: &mut Light,
    order: &Order<'_>,
    clock: &dyn Clock,
    model: &mut Model,
    listener: &mut dyn Listener,
) -> Result<Ending, ServerError> {
    let explain = |error: RedisError| order.server.explain(&error);
    let mut beat: Option<Duration> = None;
    loop {
        match clock.check() {
            Err(Stopped::TimedOut) => return Ok(Ending::TimeIsOver),
            Err(_) => return Ok(Ending::Told),
            Ok(()) if model.size() >= order.limit => return Ok(Ending::Full),
            Ok(()) => {}
        }
        let now = clock.now();
        if beat.is_none_or(|beat| now.saturating_sub(beat) >= BEAT) {
            beat = Some(now);
            cmd("PING").exec(&mut light.look).map_err(explain)?;
            listener.counts(&model.counts());
        }
        match light.heard.recv_timeout(POLL) {
            Ok(heard) => take(light, model, heard.map_err(explain)?, clock).map_err(explain)?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                let name = order.server.name();
                return Err(ServerError::new(format!("lost the connection to {name}")));
            }
        }
    }
}

/// One notification.
fn take(
    light: &mut Light,
    model: &mut Model,
    heard: Value,
    clock: &dyn Clock,
) -> Result<(), RedisError> {
    let Value::Push { kind: PushKind::PMessage, data } = heard else { return Ok(()) };
    let [_, Value::BulkString(channel), Value::BulkString(event)] = data.as_slice() else {
        return Ok(());
    };
    let Some(key) = channel.strip_prefix(CHANNEL) else { return Ok(()) };
    match event.as_slice() {
        b"del" | b"rename_from" | b"move_from" => model.was_deleted(key, micros(clock)),
        b"expired" => model.expired(key),
        b"evicted" => model.evicted(key),
        b"set" | b"rename_to" | b"expire" | b"persist" | b"restore" => {
            match look_into(&mut light.look, key)? {
                Ok(Look { value: Some(value), ttl, .. }) => {
                    model.was_set(key, &value, ttl, micros(clock));
                }
                Ok(_) => {}
                Err(why) => model.unread(key, why),
            }
        }
        // These come beside the events of changes.
        b"keymiss" | b"new" | b"overwritten" | b"type_changed" => {}
        other => {
            let command = String::from_utf8_lossy(other).to_ascii_uppercase();
            model.unread(key, not_followed(&command));
        }
    }
    Ok(())
}
