//! Histories written down by hand: what each actor does, millisecond by millisecond.

use lock_history::history::{
    Change, Command, Effect, Event, EventKind, Failure, FailureKind, Head, History, Left, Moment,
    Operation, Write,
};

/// A history that is being written.
pub struct Tape {
    history: History,
    order: u64,
    at: u64,
    /// How many steps each actor took, and the one that it is in.
    steps: Vec<(usize, Option<Operation>)>,
}

impl Tape {
    /// Begins with all actors started; the locks are called `jobs`, `mail`, ...
    pub fn new(scenario: &str, actors: &[&str], locks: usize) -> Self {
        let names = ["jobs", "mail", "logs"];
        let head = Head {
            scenario: scenario.into(),
            protocol: "legacy".into(),
            actors: actors.iter().map(|actor| actor.to_string()).collect(),
            locks: names.iter().take(locks).map(|name| name.to_string()).collect(),
            ..Head::default()
        };
        let history = History { head, events: Vec::new(), is_complete: true };
        let steps = vec![(0, None); actors.len()];
        let mut tape = Self { history, order: 0, at: 0, steps };
        for actor in 0..actors.len() {
            tape.push(Some(actor), EventKind::Started);
        }
        tape
    }

    /// From now on it is so many milliseconds after the beginning.
    pub fn at(&mut self, milliseconds: u64) -> &mut Self {
        self.at = milliseconds * 1_000_000;
        self
    }

    fn moment(&mut self) -> Moment {
        self.order += 1;
        Moment { order: self.order, at: self.at }
    }

    fn push(&mut self, actor: Option<usize>, kind: EventKind) {
        let moment = self.moment();
        self.history.events.push(Event { moment, actor, kind });
    }

    /// A step begins.
    pub fn begin(&mut self, actor: usize, verb: &'static str, lock: usize) -> &mut Self {
        let number = self.steps[actor].0;
        let operation =
            Operation { number, verb: verb.into(), lock: Some(lock), ..Operation::default() };
        self.steps[actor] = (number + 1, Some(operation.clone()));
        self.push(Some(actor), EventKind::Invoked(operation));
        self
    }

    /// A command is sent; its reply comes with [`Tape::reply`].
    pub fn send(&mut self) -> Moment {
        self.moment()
    }

    /// The reply to a command, and what it did.
    pub fn reply(
        &mut self,
        actor: usize,
        sent: Moment,
        text: &str,
        reply: &str,
        change: Option<(usize, Change)>,
    ) -> &mut Self {
        let effects = change.map(|(lock, change)| Effect { lock, change }).into_iter().collect();
        let (text, reply) = (text.to_owned(), reply.to_owned());
        self.push(
            Some(actor),
            EventKind::Command(Command { sent, text, reply, effects, late: None }),
        );
        self
    }

    /// A command and its reply.
    pub fn command(
        &mut self,
        actor: usize,
        text: &str,
        reply: &str,
        change: Option<(usize, Change)>,
    ) -> &mut Self {
        let sent = self.send();
        self.reply(actor, sent, text, reply, change)
    }

    /// The actor's step ends well.
    pub fn done(&mut self, actor: usize) -> &mut Self {
        let operation = self.steps[actor].1.take().unwrap_or_default();
        self.push(Some(actor), EventKind::Completed(operation));
        self
    }

    /// The actor's step fails.
    pub fn fail(&mut self, actor: usize, kind: FailureKind, message: &str) -> &mut Self {
        let operation = self.steps[actor].1.take().unwrap_or_default();
        let failure = Failure { kind, message: message.into() };
        self.push(Some(actor), EventKind::Failed { operation, failure });
        self
    }

    /// An acquire that gets the lock, for a lease of so many milliseconds.
    pub fn acquire(&mut self, actor: usize, lock: usize, token: &str, lease: u64) -> &mut Self {
        self.begin(actor, "acquire", lock);
        let lease = Some(lease * 1_000_000);
        let took = Change::Took { token: token.into(), fence: None, lease };
        self.command(actor, "SET … NX EX …", "OK", Some((lock, took)));
        self.flag(actor, lock, true);
        self.done(actor)
    }

    /// The same with a fencing token.
    pub fn acquire_fenced(
        &mut self,
        actor: usize,
        token: &str,
        fence: u64,
        lease: u64,
    ) -> &mut Self {
        self.begin(actor, "acquire", 0);
        let lease = Some(lease * 1_000_000);
        let took = Change::Took { token: token.into(), fence: Some(fence), lease };
        self.command(actor, "EVALSHA acquire …", fence.to_string().as_str(), Some((0, took)));
        if let Some(operation) = &mut self.steps[actor].1 {
            operation.fence = Some(fence);
        }
        self.done(actor)
    }

    /// An acquire that is refused at once.
    pub fn refused(&mut self, actor: usize, lock: usize) -> &mut Self {
        self.begin(actor, "acquire", lock).refusal(actor, lock);
        self.fail(actor, FailureKind::AlreadyLocked, "lock() called on an already locked nodb")
    }

    /// One refusal within an acquire.
    pub fn refusal(&mut self, actor: usize, lock: usize) -> &mut Self {
        self.command(actor, "SET … NX EX …", "nil", Some((lock, Change::Refused)))
    }

    /// A look at the lock key.
    pub fn saw(&mut self, actor: usize, lock: usize, token: Option<&str>) -> &mut Self {
        let change = Change::Saw { token: token.map(str::to_owned) };
        self.command(actor, "GET …", token.unwrap_or("nil"), Some((lock, change)))
    }

    /// The deletion of the lock key.
    pub fn deleted(&mut self, actor: usize, lock: usize) -> &mut Self {
        self.command(actor, "DEL …", "1", Some((lock, Change::Deleted { token: None })))
    }

    /// The setting of the flag.
    pub fn flag(&mut self, actor: usize, lock: usize, locked: bool) -> &mut Self {
        let text = if locked { "HSET … true" } else { "HSET … false" };
        self.command(actor, text, "0", Some((lock, Change::Flagged { locked })))
    }

    /// A release that looks, deletes, and sets the flag.
    pub fn release(&mut self, actor: usize, lock: usize, token: &str) -> &mut Self {
        self.begin(actor, "release", lock).saw(actor, lock, Some(token));
        self.deleted(actor, lock).flag(actor, lock, false).done(actor)
    }

    /// A write of the state file.
    pub fn dump(&mut self, actor: usize, based_on: u64, replaced: u64, wrote: u64) -> &mut Self {
        self.dump_fenced(actor, based_on, replaced, wrote, None)
    }

    /// The same with a fencing token.
    pub fn dump_fenced(
        &mut self,
        actor: usize,
        based_on: u64,
        replaced: u64,
        wrote: u64,
        fence: Option<u64>,
    ) -> &mut Self {
        self.begin(actor, "dump", 0);
        if let Some(operation) = &mut self.steps[actor].1 {
            operation.write = Some(Write { based_on, replaced, wrote });
            operation.fence = fence;
        }
        self.done(actor)
    }

    /// Something is done to the server.
    pub fn fault(&mut self, actor: usize, what: &str, lock: usize, change: Change) -> &mut Self {
        let effects = vec![Effect { lock, change }];
        self.push(Some(actor), EventKind::fault(what.into(), effects));
        self
    }

    /// The actor crashes.
    pub fn crash(&mut self, actor: usize) -> &mut Self {
        self.fail(actor, FailureKind::Crashed, "crashed");
        let failure = Failure { kind: FailureKind::Crashed, message: "crashed".into() };
        self.push(Some(actor), EventKind::Ended { failure: Some(failure) });
        self
    }

    /// The actor ends well.
    pub fn end(&mut self, actor: usize) -> &mut Self {
        self.push(Some(actor), EventKind::Ended { failure: None });
        self
    }

    /// How a lock was left.
    pub fn left(
        &mut self,
        lock: usize,
        key: Option<(&str, i64)>,
        flag: bool,
        remembered: &[&str],
    ) -> &mut Self {
        let left = Left {
            acquirable: None,
            held_elsewhere: false,
            lock,
            token: key.map(|(token, _)| token.to_owned()),
            ttl_ms: key.map_or(-2, |(_, ttl)| ttl),
            flag,
            remembered: remembered.iter().map(|token| token.to_string()).collect(),
        };
        self.push(None, EventKind::Left(left));
        self
    }

    /// The history.
    pub fn history(&self) -> History {
        self.history.clone()
    }
}
