//! The events of a history as they are written, in their order.

use super::key::Id;
use super::observations::{Seen, What};
use super::operation::Unit;
use super::tenures::Tenures;
use lock_history::history::{
    Command, Effect, Event, EventKind, Failure, FailureKind, Moment, Operation, Verb,
};
use std::collections::{HashMap, HashSet};

/// How a step ended.
pub(super) enum End {
    Well,
    Badly(FailureKind, &'static str),
}

/// The events so far.
pub(super) struct EventLog<'a> {
    seen: &'a Seen,
    tenures: &'a Tenures,
    /// When the recording began, in microseconds since 1970.
    began: u64,
    pub events: Vec<Event>,
    order: u64,
    now: u64,
    has_started: HashSet<usize>,
    /// The next number of an operation, by actor.
    steps: HashMap<usize, usize>,
}

impl<'a> EventLog<'a> {
    /// No event yet.
    pub fn new(seen: &'a Seen, tenures: &'a Tenures, began: u64) -> Self {
        Self {
            seen,
            tenures,
            began,
            events: Vec::new(),
            order: 0,
            now: 0,
            has_started: HashSet::new(),
            steps: HashMap::new(),
        }
    }

    /// What comes next does not happen before this time, in microseconds since 1970.
    pub fn reach(&mut self, at: u64) {
        self.now = self.now.max(at);
    }

    /// The token of an acquisition, as histories have it.
    pub fn token(&self, id: Id) -> Option<String> {
        self.seen.token(id).map(|token| token.to_string())
    }

    /// An actor does something: the first time it is noted that it started.
    pub fn begin(&mut self, actor: usize) {
        if self.has_started.insert(actor) {
            self.event(Some(actor), EventKind::Started);
        }
    }

    /// The next operation of an actor.
    pub fn operation(
        &mut self,
        actor: usize,
        lock: usize,
        verb: Verb,
        held: Option<Id>,
    ) -> Operation {
        let next = self.steps.entry(actor).or_default();
        let number = std::mem::replace(next, *next + 1);
        let token = held.and_then(|held| self.token(held));
        let fence = held.and_then(|held| match &self.seen.observations.get(held)?.what {
            What::Write { fence, .. } | What::Found { fence, .. } => *fence,
            _ => None,
        });
        let lease = held.filter(|_| verb == Verb::Acquire);
        let lease = lease.and_then(|held| self.tenures.asked(held));
        Operation { number, verb, lock: Some(lock), lease, token, fence, ..Operation::default() }
    }

    /// A step of an actor: this command.
    pub fn step(
        &mut self,
        unit: &Unit<'a>,
        actor: usize,
        lock: usize,
        verb: Verb,
        held: Option<Id>,
        end: End,
    ) {
        let operation = self.operation(actor, lock, verb, held);
        self.event(Some(actor), EventKind::Invoked(operation.clone()));
        self.command(unit, actor, lock);
        let kind = match end {
            End::Well => EventKind::Completed(operation),
            End::Badly(kind, message) => {
                let failure = Failure { kind, message: message.into() };
                EventKind::Failed { operation, failure }
            }
        };
        self.event(Some(actor), kind);
    }

    /// A command outside of any step.
    pub fn command(&mut self, unit: &Unit<'a>, actor: usize, lock: usize) {
        let sent = self.moment();
        let changes = unit.changes(self.seen, self.tenures).into_iter();
        let command = Command {
            sent,
            text: unit.text(self.seen),
            reply: unit.reply().into(),
            effects: changes.map(|change| Effect { lock, change }).collect(),
            late: None,
        };
        self.event(Some(actor), EventKind::Command(command));
    }

    fn moment(&mut self) -> Moment {
        self.order += 1;
        Moment { order: self.order, at: self.now.saturating_sub(self.began).saturating_mul(1000) }
    }

    /// Adds an event.
    pub fn event(&mut self, actor: Option<usize>, kind: EventKind) {
        let moment = self.moment();
        self.events.push(Event { moment, actor, kind });
    }
}
