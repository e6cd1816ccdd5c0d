//! One client's side of the server, and the way a request takes: look up, check, queue or run.
//!
//! What a command does is in [`super::commands`]; what is stored is in [`super::keyspace`].

use std::time::Duration;

use redis::Value;

use super::commands::{self, Command, Reply, Shown};
use super::error::Error;
use super::keyspace::{DbIndex, Keyspace, View};
use super::pubsub::PubSub;
use super::resp;
use super::scripting::Scripts;
use super::server::Outbox;

/// What the server knows of one client.
#[derive(Debug, Default)]
pub(super) struct Session {
    pub(super) id: i64,
    pub(super) db: DbIndex,
    /// As MONITOR shows it.
    pub(super) address: String,
    /// Empty until the client gives itself a name.
    pub(super) name: Vec<u8>,
    /// Whether HELLO asked for the third version of the protocol, which has maps.
    pub(super) resp3: bool,
    /// Between MULTI and EXEC.
    pub(super) queue: Option<Queue>,
    pub(super) watches: Vec<Watch>,
    /// After QUIT.
    pub(super) closed: bool,
    /// Where messages go; nowhere if the client is in this process.
    pub(super) outbox: Option<Outbox>,
    /// Whether it has subscribed to anything.
    pub(super) listening: bool,
    /// Whether EXEC runs what it queued.
    pub(super) in_exec: bool,
    /// Answers to the command that runs, before its reply: some have one for each argument.
    pub(super) answered: Vec<Value>,
}

/// The commands between MULTI and EXEC.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// The requests as they came, one after another.
    pub(super) requests: Vec<u8>,
    /// Whether a command was refused, so that EXEC has to refuse all.
    pub(super) spoiled: bool,
}

/// A key that the client watches.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) db: DbIndex,
    pub(super) key: Vec<u8>,
    pub(super) changes: u64,
    pub(super) epoch: u64,
}

impl Session {
    pub(super) fn new(id: i64, db: DbIndex, address: String) -> Self {
        Self { id, db, address, ..Self::default() }
    }
}

/// One request while it is carried out; for it, and for all of a transaction, time stands still.
pub(super) struct Call<'a> {
    pub(super) keyspace: &'a mut Keyspace,
    pub(super) scripts: &'a mut Scripts,
    pub(super) pubsub: &'a mut PubSub,
    pub(super) session: &'a mut Session,
    /// Since 1970.
    pub(super) now: Duration,
}

impl Call<'_> {
    /// Answers one request; `raw` are the bytes that `argv` was read from, if they are at hand.
    pub(super) fn answer(&mut self, argv: &[&[u8]], raw: Option<&[u8]>) -> Value {
        let answer = match commands::find(argv) {
            Ok((command, _))
                if self.session.listening && !self.session.resp3 && !command.to_listeners =>
            {
                Err(self.refuse(Error::Listening(command.name), argv))
            }
            Ok((command, args)) => match &mut self.session.queue {
                Some(queue) if !command.immediate => {
                    match raw {
                        Some(raw) => queue.requests.extend_from_slice(raw),
                        None => resp::write(argv, &mut queue.requests),
                    }
                    Ok(Value::SimpleString("QUEUED".into()))
                }
                _ => self.run(command, argv, args),
            },
            Err(error) => Err(self.refuse(error, argv)),
        };
        answer.unwrap_or_else(Error::into_value)
    }

    /// Runs a command, and shows it and its effects to the clients that listen for these.
    pub(super) fn run(&mut self, command: &Command, argv: &[&[u8]], args: &[&[u8]]) -> Reply {
        if self.pubsub.is_silent() {
            return (command.run)(self, args);
        }
        if command.shown == Shown::Before {
            self.show(argv);
        }
        let reply = (command.run)(self, args);
        self.pubsub.publish_events(self.keyspace);
        if command.shown == Shown::After {
            self.show(argv);
        }
        reply
    }

    fn show(&self, argv: &[&[u8]]) {
        self.pubsub.show(self.session, self.now, argv);
    }

    /// Runs a command that was queued.
    pub(super) fn run_queued(&mut self, argv: &[&[u8]]) -> Value {
        commands::find(argv)
            .and_then(|(command, args)| self.run(command, argv, args))
            .unwrap_or_else(Error::into_value)
    }

    /// Ends all subscriptions, and MONITOR.
    pub(super) fn stop_listening(&mut self) {
        self.pubsub.stop_monitoring(self.session.id);
        if self.session.listening {
            self.pubsub.leave(self.session.id);
            self.session.listening = false;
        }
    }

    /// The database that the client selected.
    pub(super) fn db(&mut self) -> View<'_> {
        self.keyspace.at(self.session.db, self.now_ms())
    }

    /// The whole milliseconds of [`Call::now`].
    pub(super) fn now_ms(&self) -> i64 {
        millis(self.now)
    }

    /// Ends all watches; returns whether a watched key changed.
    pub(super) fn unwatch(&mut self) -> bool {
        let now = self.now_ms();
        let mut changed = false;
        for watch in self.session.watches.drain(..) {
            if watch.epoch != self.keyspace.epoch {
                changed = true;
                continue;
            }
            let mut view = self.keyspace.at(watch.db, now);
            changed |= view.changes(&watch.key) != watch.changes;
            view.unwatch(&watch.key);
        }
        changed
    }

    /// A refused command spoils the transaction that it is in; a refused EXEC ends it, and is shown.
    fn refuse(&mut self, error: Error, argv: &[&[u8]]) -> Error {
        if let Error::Arity("exec") | Error::Listening("exec") = error {
            self.show(argv);
            self.session.queue = None;
            self.unwatch();
            let why = error.to_string();
            return Error::ExecRefused(why.trim_start_matches("ERR ").to_owned());
        }
        if let Some(queue) = &mut self.session.queue {
            queue.spoiled = true;
        }
        error
    }
}

/// Whole milliseconds, as deadlines count them.
pub(super) fn millis(time: Duration) -> i64 {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    seconds.saturating_mul(1000).saturating_add(i64::from(time.subsec_millis()))
}

/// Nothing, in place of a list: the second version of the protocol has words of its own for that, but
/// [`Value`] has only one nothing. An attribute without entries marks it; no command answers with others.
pub(super) fn no_list() -> Value {
    Value::Attribute { data: Box::new(Value::Nil), attributes: Vec::new() }
}

/// An answer as a client in this process knows it, to which nothing is nothing.
pub(super) fn plain(answer: Value) -> Value {
    match answer {
        Value::Attribute { data, .. } => *data,
        Value::Array(items) => Value::Array(items.into_iter().map(plain).collect()),
        other => other,
    }
}
