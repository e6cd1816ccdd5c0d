//! The interceptor that applies a scenario's rules to single commands and pause points.

use super::World;
use super::in_flight::Sender;
use super::observer::Cell;
use super::signals::{self, Late};
use super::wire_log::error_reply;
use super::yield_point::Commands;
use crate::intercept::{Crashed, Interceptor, PausePoint};
use crate::lock::{LockName, Operation, operation};
use crate::scenario::{Matches, Rule, RuleEffect};
use crate::server::Connection;
use lock_history::history::{Event, EventKind, Moment, Verb};
use parking_lot::Mutex;
use redis::{ConnectionLike, RedisError, RedisResult, Value};
use redis_sim::clock::Clock;
use redis_sim::requests;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// How often each rule of a plan has matched.
pub(super) struct Counts(Vec<AtomicU32>);

impl Counts {
    pub fn new(rules: &[Rule]) -> Self {
        Self(rules.iter().map(|_| AtomicU32::new(0)).collect())
    }

    /// The number of this match, from 1.
    fn next(&self, rule: usize) -> u32 {
        self.0.get(rule).map_or(0, |count| count.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Puts a count back.
    pub fn set(&self, rule: usize, count: u32) {
        if let Some(counted) = self.0.get(rule) {
            counted.store(count, Ordering::Relaxed);
        }
    }

    pub fn of(&self, rule: usize) -> u32 {
        self.0.get(rule).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

/// What the interceptors of an actor and its task share.
#[derive(Default)]
pub(super) struct FaultState {
    /// Whose turn it is in the task.
    pub actor: AtomicUsize,
    /// The actor crashed.
    pub crashed: AtomicBool,
    /// The last failure was wanted by a rule.
    pub injected: AtomicBool,
    /// The verb of the step that the actor is in; empty, if it is in none.
    pub doing: Mutex<Verb>,
    /// What was done to the actor.
    pub events: Mutex<Vec<Event>>,
    /// How much later it is for the actor than by its own clock, in nanoseconds.
    ahead: AtomicU64,
}

impl FaultState {
    /// From now on the actor is in a step of this verb; gives that of the step around it.
    pub fn begin(&self, verb: Verb) -> Verb {
        std::mem::replace(&mut self.doing.lock(), verb)
    }

    /// How much later it is for the actor than by its own clock.
    pub fn ahead(&self) -> Duration {
        Duration::from_nanos(self.ahead.load(Ordering::Relaxed))
    }

    /// From now on it is so much later.
    pub fn set_ahead(&self, ahead: Duration) {
        let nanos = u64::try_from(ahead.as_nanos()).unwrap_or(u64::MAX);
        self.ahead.store(nanos, Ordering::Relaxed);
    }

    /// The sender of what is sent now.
    pub fn sender(&self) -> Sender {
        let (actor, verb) = (self.actor.load(Ordering::Relaxed), self.doing.lock().clone());
        Sender { actor, verb }
    }

    /// Writes down what was done to the actor.
    pub fn note(&self, moment: Moment, what: String) {
        let actor = Some(self.actor.load(Ordering::Relaxed));
        let kind = EventKind::fault(what, Vec::new());
        self.events.lock().push(Event { moment, actor, kind });
    }

    /// Fails if the actor crashed.
    pub fn check(&self) -> Result<(), Crashed> {
        if self.crashed.load(Ordering::Relaxed) { Err(Crashed) } else { Ok(()) }
    }
}

/// An interceptor with rules in front of another interceptor.
pub(super) struct Ruled<'a> {
    pub world: &'a World,
    pub clock: &'a dyn Clock,
    pub fault_state: Arc<FaultState>,
    pub inner: Box<dyn Interceptor + 'a>,
}

enum Decision {
    Pass,
    /// Runs, but its reply is lost.
    Unheard,
    Instead(RedisResult<Value>),
}

impl Ruled<'_> {
    /// What becomes of something that goes out, or of a pause point.
    fn apply(&self, sent: Option<&Commands>, point: Option<PausePoint>) -> Decision {
        let requests = sent.map(|sent| requests(&sent.packed)).unwrap_or_default();
        let mut decision = Decision::Pass;
        for (index, rule) in self.world.setup.plan.rules.iter().enumerate() {
            let matches = match (&rule.matches, point) {
                (Matches::Pause(wanted), Some(point)) => *wanted == point,
                (wanted, None) => {
                    requests.iter().any(|request| self.is_wanted(request, wanted, rule.lock))
                }
                _ => false,
            };
            if !matches || !self.is_for_this_actor(rule) {
                continue;
            }
            self.world.observer.touched(&|| Cell::Rule(index));
            let number = self.world.signals.counts.next(index);
            if number < rule.from || rule.to.is_some_and(|to| number > to) {
                continue;
            }
            // A command has one fault at most; it may be held as often as rules say.
            match rule.effect {
                RuleEffect::HoldUntil(_) | RuleEffect::Delay(_) => {
                    self.carry_out(rule, sent);
                }
                _ if matches!(decision, Decision::Pass) => decision = self.carry_out(rule, sent),
                _ => {}
            }
        }
        decision
    }

    /// Whether a request is of this name, or this operation, and about this lock.
    fn is_wanted(&self, request: &[&[u8]], wanted: &Matches, lock: Option<usize>) -> bool {
        let is_named = match wanted {
            Matches::Operation(wanted) => self.operation(request) == Some(*wanted),
            Matches::Command(name) => {
                request.first().is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()))
            }
            Matches::Pause(_) => false,
        };
        let is_about = |lock: &LockName| {
            let names =
                |word: &&[u8]| *word == lock.key().as_bytes() || *word == lock.flag().as_bytes();
            request.iter().any(names)
        };
        is_named && lock.is_none_or(|lock| self.world.setup.locks.get(lock).is_some_and(is_about))
    }

    /// What a request does to a lock. A client from outside may send any request; there it is what
    /// the actor is doing, with each request that names a lock's key.
    fn operation(&self, request: &[&[u8]]) -> Option<Operation> {
        let locks = &self.world.setup.locks;
        if !self.world.protocol().is_foreign() {
            return operation(request, locks).map(|(operation, _)| operation);
        }
        let names_a_lock = |word: &&[u8]| locks.iter().any(|lock| *word == lock.key().as_bytes());
        if !request.iter().any(names_a_lock) {
            return None;
        }
        match *self.fault_state.doing.lock() {
            Verb::Acquire => Some(Operation::Acquire),
            Verb::Extend => Some(Operation::Extend),
            Verb::Release => Some(Operation::Release),
            _ => None,
        }
    }

    fn is_for_this_actor(&self, rule: &Rule) -> bool {
        let actor =
            self.world.setup.plan.actors.get(self.fault_state.actor.load(Ordering::Relaxed));
        rule.actor.as_ref().is_none_or(|name| {
            actor.is_some_and(|actor| actor.name == *name || actor.group == *name)
        })
    }

    fn carry_out(&self, rule: &Rule, sent: Option<&Commands>) -> Decision {
        self.note(rule);
        signals::signal(self.world, self.clock, &rule.name);
        match &rule.effect {
            // A run that is stopped lets everything pass, so that locks can be released.
            RuleEffect::HoldUntil(signal) => {
                let _ = signals::wait_for(self.world, self.clock, signal);
                Decision::Pass
            }
            RuleEffect::Delay(duration) => {
                let _ = self.clock.sleep(*duration);
                Decision::Pass
            }
            RuleEffect::Fail(text) => {
                // A fault of EXEC is a fault of the entire transaction (redis.io, "Transactions").
                let is_transaction = sent.is_some_and(|sent| sent.offset > 0);
                let whole = format!("EXECABORT Transaction discarded because of: {text}");
                let text = if is_transaction { &whole } else { text };
                self.injected(Decision::Instead(error_reply(text)))
            }
            RuleEffect::DropReply => self.injected(Decision::Unheard),
            RuleEffect::Forget => self.injected(Decision::Instead(Err(no_reply()))),
            RuleEffect::RunLate(signal) => {
                if let Some(sent) = sent {
                    let (after, sender) = (signal.clone(), self.fault_state.sender());
                    let late = Late { after, sender, commands: sent.clone() };
                    signals::postpone(self.world, late);
                }
                self.injected(Decision::Instead(Err(no_reply())))
            }
            RuleEffect::Crash => {
                self.fault_state.crashed.store(true, Ordering::Relaxed);
                Decision::Instead(Err(no_reply()))
            }
        }
    }

    fn injected(&self, decision: Decision) -> Decision {
        self.fault_state.injected.store(true, Ordering::Relaxed);
        decision
    }

    fn note(&self, rule: &Rule) {
        let what = match &rule.effect {
            RuleEffect::HoldUntil(signal) => format!("held until {signal:?}"),
            RuleEffect::Fail(text) => format!("failed with {text:?}"),
            RuleEffect::DropReply => "ran, and its reply was dropped".into(),
            RuleEffect::Forget => "never reached the server".into(),
            RuleEffect::Delay(duration) => format!("delayed by {duration:?}"),
            RuleEffect::RunLate(signal) => format!("given up by its client, runs after {signal:?}"),
            RuleEffect::Crash => "the actor was killed before it".into(),
        };
        self.fault_state.note(self.world.log.moment(), format!("{}: {what}", rule.name));
    }
}

fn no_reply() -> RedisError {
    RedisError::from(io::Error::new(io::ErrorKind::TimedOut, "gave no reply (wanted by a rule)"))
}

impl Interceptor for Ruled<'_> {
    fn command(&mut self, connection: &mut Connection, command: &[u8]) -> RedisResult<Value> {
        if self.fault_state.crashed.load(Ordering::Relaxed) {
            return Err(no_reply());
        }
        let (db, packed) = (connection.get_db(), command.to_vec());
        let sent = Commands { db, packed, offset: 0, count: 1 };
        match self.apply(Some(&sent), None) {
            Decision::Pass => self.inner.command(connection, command),
            Decision::Unheard => self.inner.command(connection, command).and(Err(no_reply())),
            Decision::Instead(reply) => reply,
        }
    }

    fn pipeline(
        &mut self,
        connection: &mut Connection,
        commands: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        if self.fault_state.crashed.load(Ordering::Relaxed) {
            return Err(no_reply());
        }
        let (db, packed) = (connection.get_db(), commands.to_vec());
        let sent = Commands { db, packed, offset, count };
        let decision = self.apply(Some(&sent), None);
        let mut pass = || self.inner.pipeline(connection, commands, offset, count);
        match decision {
            Decision::Pass => pass(),
            Decision::Unheard => pass().and(Err(no_reply())),
            // The reply to a transaction is a list of replies, or there is none.
            Decision::Instead(reply) if offset > 0 => {
                reply.and_then(Value::extract_error).map(|reply| vec![reply; count])
            }
            Decision::Instead(reply) => reply.map(|reply| vec![reply; count]),
        }
    }

    fn pause(&mut self, point: PausePoint) -> Result<(), Crashed> {
        self.fault_state.check()?;
        self.apply(None, Some(point));
        self.fault_state.check()?;
        self.inner.pause(point)
    }

    fn is_alive(&self) -> Result<(), Crashed> {
        self.fault_state.check()
    }

    fn has_tampered(&self) -> bool {
        self.fault_state.injected.load(Ordering::Relaxed)
    }

    fn ahead(&self) -> Duration {
        self.fault_state.ahead()
    }
}
