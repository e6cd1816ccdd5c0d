//! Lock clients, correct ones and broken ones, on a model of a server; what they do becomes a
//! history, and what really happened is known.
//!
//! In each turn one actor does one thing on the server (or writes its file). The moments at which
//! it was sent and its reply received are spread between this turn and the actor's neighbouring
//! ones, so that the spans of several actors overlap; `in_sequence` leaves them no room.

use super::setup::{Act, Asks, Setup, Truth};
use lock_history::history::{
    Change, Command, Effect, Event, EventKind, Failure, FailureKind, Head, History, Left, Moment,
    Operation, Write,
};
use std::collections::HashMap;

/// One nanosecond less would be no whole millisecond of Redis.
const MILLISECOND: u64 = 1_000_000;

/// Makes a run.
pub fn run(setup: &Setup) -> (History, Truth) {
    let mut model = Model::new(setup);
    for (actor, pass) in &setup.turns {
        model.time += pass * MILLISECOND;
        model.turn(actor % setup.actors.len());
    }
    // Everybody comes to an end.
    for actor in 0..setup.actors.len() {
        while !model.actors[actor].has_ended {
            model.time += MILLISECOND;
            model.turn(actor);
        }
    }
    model.finish()
}

#[derive(Debug, Clone, Default)]
struct Key {
    token: String,
    owner: usize,
    deadline: u64,
}

/// How an acquisition really ended, and in which turn.
#[derive(Debug, Clone, Copy)]
struct TrueEnd {
    turn: u64,
    by: Option<usize>,
}

#[derive(Debug, Clone, Default)]
struct Actor {
    next: usize,
    phase: u8,
    steps: usize,
    has_ended: bool,
    /// The last position at which something of it was put down.
    last: u64,
    /// What is put down once the reply is there.
    waiting: Option<Waiting>,
    tokens: HashMap<usize, String>,
    beliefs: HashMap<usize, String>,
    based_on: HashMap<usize, u64>,
    fences: HashMap<usize, u64>,
}

#[derive(Debug, Clone)]
struct Waiting {
    turn: u64,
    command: Option<(u64, Vec<Effect>, String)>,
    foreign: Option<usize>,
    lost_update: Option<usize>,
    end: Option<Result<Operation, (Operation, FailureKind)>>,
}

struct Model<'a> {
    setup: &'a Setup,
    actors: Vec<Actor>,
    keys: Vec<Option<Key>>,
    ends: HashMap<String, TrueEnd>,
    deadlines: HashMap<String, u64>,
    revisions: Vec<(u64, Option<usize>)>,
    flags: Vec<bool>,
    time: u64,
    turns: u64,
    times: Vec<u64>,
    issued: u64,
    random: u64,
    placed: Vec<(u64, Event)>,
    /// What is told with a position, until positions have become moments.
    foreign: Vec<(usize, usize, u64)>,
    silent: Vec<(usize, usize, u64)>,
    lost: Vec<(usize, usize, u64)>,
}

/// How many positions there are from one turn to the next.
const STRIDE: u64 = 1000;

impl<'a> Model<'a> {
    fn new(setup: &'a Setup) -> Self {
        let mut model = Self {
            setup,
            actors: vec![Actor::default(); setup.actors.len()],
            keys: vec![None; setup.locks],
            ends: HashMap::new(),
            deadlines: HashMap::new(),
            revisions: vec![(1, None); setup.locks],
            flags: vec![false; setup.locks],
            time: 0,
            turns: 1,
            times: vec![0, 0],
            issued: 0,
            random: setup.seed,
            placed: Vec::new(),
            foreign: Vec::new(),
            silent: Vec::new(),
            lost: Vec::new(),
        };
        for actor in 0..setup.actors.len() {
            model.put(actor, 1 + actor as u64, EventKind::Started);
        }
        model
    }

    fn put(&mut self, actor: usize, position: u64, kind: EventKind) {
        let event = Event { moment: Moment::default(), actor: Some(actor), kind };
        self.placed.push((position, event));
        self.actors[actor].last = position;
    }

    /// A position between two others.
    fn between(&mut self, from: u64, to: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        from + self.random % (to - from).max(1)
    }

    /// Puts down the reply, and the end of the step, before this turn.
    fn settle(&mut self, actor: usize, turn: u64) {
        let Some(waiting) = self.actors[actor].waiting.take() else { return };
        let at = waiting.turn * STRIDE;
        let room = if self.setup.in_sequence { at + 10 } else { turn * STRIDE - 20 };
        let received = if self.setup.in_sequence { at + 1 } else { self.between(at + 1, room) };
        if let Some((sent, effects, text)) = waiting.command {
            // Positions become moments at the end; the sending is kept in the order's place.
            let sent = Moment { order: sent, at: 0 };
            let reply = String::from("…");
            self.put(
                actor,
                received,
                EventKind::Command(Command { sent, text, reply, effects, late: None }),
            );
        }
        self.foreign.extend(waiting.foreign.map(|lock| (lock, actor, received)));
        let Some(end) = waiting.end else { return };
        let done = if self.setup.in_sequence { at + 2 } else { self.between(received, room) + 1 };
        self.lost.extend(waiting.lost_update.map(|lock| (lock, actor, done)));
        self.end_step(actor, done, end, waiting.turn);
    }

    fn end_step(
        &mut self,
        actor: usize,
        done: u64,
        end: Result<Operation, (Operation, FailureKind)>,
        turn: u64,
    ) {
        match end {
            Ok(operation) => {
                let lock = operation.lock.unwrap_or(0);
                let name = operation.verb.to_string();
                match name.as_str() {
                    "acquire" => {
                        self.disbelieve(actor, lock, Some((done, turn)));
                        let token = operation.token.clone().unwrap_or_default();
                        self.actors[actor].beliefs.insert(lock, token);
                    }
                    "release" | "force_release" => {
                        self.disbelieve(actor, lock, Some((done, turn)));
                    }
                    "forget_token" => self.disbelieve(actor, lock, None),
                    _ => {}
                }
                self.put(actor, done, EventKind::Completed(operation));
            }
            Err((operation, kind)) => {
                let is_told = kind == FailureKind::LostLock
                    || kind == FailureKind::Refused
                    || operation.verb.word().contains("release");
                if let Some(lock) = operation.lock.filter(|_| is_told) {
                    self.disbelieve(actor, lock, None);
                }
                let failure = Failure { kind, message: "as the model says".into() };
                self.put(actor, done, EventKind::Failed { operation, failure });
            }
        }
    }

    /// Ends a belief; at a position and turn, if nobody told the actor.
    fn disbelieve(&mut self, actor: usize, lock: usize, untold: Option<(u64, u64)>) {
        let Some(token) = self.actors[actor].beliefs.remove(&lock) else { return };
        let Some((position, turn)) = untold else { return };
        let ended_by_another = match self.ends.get(&token) {
            Some(end) => end.turn <= turn && end.by != Some(actor),
            None => false,
        };
        let ended_by_itself = self.ends.get(&token).is_some_and(|end| end.by == Some(actor));
        let ran_out = self.deadlines.get(&token).is_some_and(|deadline| {
            let time = self.times[turn as usize];
            time / MILLISECOND > *deadline
        });
        if ended_by_another || (ran_out && !ended_by_itself) {
            self.silent.push((lock, actor, position));
        }
    }

    fn turn(&mut self, actor: usize) {
        if self.actors[actor].has_ended {
            return;
        }
        self.turns += 1;
        self.times.push(self.time);
        let turn = self.turns;
        self.expire();
        self.settle(actor, turn);
        let position = turn * STRIDE;
        let act = self.setup.actors[actor].get(self.actors[actor].next).copied();
        let Some(act) = act else {
            let beliefs: Vec<usize> = self.actors[actor].beliefs.keys().copied().collect();
            for lock in beliefs {
                self.disbelieve(actor, lock, Some((position - 5, turn)));
            }
            self.put(actor, position - 5, EventKind::Ended { failure: None });
            self.actors[actor].has_ended = true;
            return;
        };
        let operation = Operation {
            number: self.actors[actor].steps,
            verb: act.verb().into(),
            lock: act.lock(),
            ..Operation::default()
        };
        let last = self.actors[actor].last;
        if self.actors[actor].phase == 0 {
            let invoked = if self.setup.in_sequence {
                position - 8
            } else {
                self.between(last + 1, position - 15)
            };
            self.put(actor, invoked, EventKind::Invoked(operation.clone()));
        }
        if act == Act::Crash {
            let failure = Failure { kind: FailureKind::Crashed, message: "crash".into() };
            let failed = EventKind::Failed { operation, failure: failure.clone() };
            self.put(actor, position - 3, failed);
            self.put(actor, position - 2, EventKind::Ended { failure: Some(failure) });
            self.actors[actor].has_ended = true;
            return;
        }
        let last = self.actors[actor].last;
        let sent =
            if self.setup.in_sequence { position - 7 } else { self.between(last + 1, position) };
        let mut done = self.perform(actor, act, operation, turn);
        done.turn = turn;
        if let Some((at, ..)) = &mut done.command {
            *at = sent;
        }
        if done.end.is_some() {
            self.actors[actor].next += 1;
            self.actors[actor].steps += 1;
            self.actors[actor].phase = 0;
        } else {
            self.actors[actor].phase += 1;
        }
        self.actors[actor].last = position;
        self.actors[actor].waiting = Some(done);
    }

    /// Redis forgets what is over.
    fn expire(&mut self) {
        let now = self.time / MILLISECOND;
        for key in &mut self.keys {
            if let Some(expired) = key.take_if(|key| now > key.deadline) {
                let end = TrueEnd { turn: self.turns, by: None };
                self.ends.entry(expired.token).or_insert(end);
            }
        }
    }

    /// One command on the server, or a write of the file.
    fn perform(&mut self, actor: usize, act: Act, mut operation: Operation, turn: u64) -> Waiting {
        let mut waiting =
            Waiting { turn, command: None, foreign: None, lost_update: None, end: None };
        let phase = self.actors[actor].phase;
        let lock = act.lock().unwrap_or(0);
        let own = self.actors[actor].tokens.get(&lock).cloned();
        let held = self.keys[lock].clone();
        let is_own = held.as_ref().is_some_and(|key| Some(&key.token) == own.as_ref());
        operation.token = own.clone();
        let saw = || Change::Saw { token: held.as_ref().map(|key| key.token.clone()) };
        let mut changes = Vec::new();
        let fail = |kind| Some(Err((operation.clone(), kind)));
        match act {
            Act::Acquire { retries, overwrites, .. } => {
                if held.is_none() || overwrites {
                    let taken = self.take(actor, lock, overwrites, turn);
                    operation.token = self.actors[actor].tokens.get(&lock).cloned();
                    operation.fence = self.actors[actor].fences.get(&lock).copied();
                    changes.extend([taken, Change::Flagged { locked: true }]);
                    waiting.end = Some(Ok(operation));
                } else {
                    changes.push(Change::Refused);
                    waiting.end = fail(FailureKind::AlreadyLocked).filter(|_| phase >= retries);
                }
            }
            Act::Dump { asks, .. } if phase == 0 && asks == Asks::First => {
                changes.push(saw());
                waiting.end = fail(FailureKind::Refused).filter(|_| held.is_none());
            }
            Act::Dump { asks: Asks::AtOnce, .. } if !is_own => {
                changes.push(saw());
                waiting.end = fail(FailureKind::LostLock);
            }
            Act::Dump { .. } => {
                let write = self.write(actor, lock);
                let wrote_over_others =
                    write.replaced != write.based_on && self.revisions[lock].1 != Some(actor);
                self.revisions[lock] = (write.wrote, Some(actor));
                waiting.lost_update = (wrote_over_others && !is_own).then_some(lock);
                operation.write = Some(write);
                operation.fence = self.actors[actor].fences.get(&lock).copied();
                waiting.end = Some(Ok(operation));
            }
            Act::Release { asks: Asks::First, tells, .. } if phase == 0 => {
                changes.push(saw());
                if held.is_none() {
                    self.actors[actor].tokens.remove(&lock);
                    waiting.end =
                        if tells { fail(FailureKind::LostLock) } else { Some(Ok(operation)) };
                } else if !is_own {
                    waiting.end = fail(FailureKind::Refused);
                }
            }
            Act::Release { asks: Asks::AtOnce, tells, .. } if !is_own => {
                self.actors[actor].tokens.remove(&lock);
                waiting.end = if tells { fail(FailureKind::LostLock) } else { Some(Ok(operation)) };
            }
            Act::Release { asks, .. } => {
                let deleted = self.delete(actor, lock, turn, asks == Asks::AtOnce);
                waiting.foreign = held.filter(|key| key.owner != actor).map(|_| lock);
                changes.extend(deleted);
                changes.push(Change::Flagged { locked: false });
                waiting.end = Some(Ok(operation));
            }
            Act::Force { .. } => {
                changes.extend(self.delete(actor, lock, turn, false));
                waiting.end = Some(Ok(operation));
            }
            Act::Extend { own, .. } => {
                let lease = self.setup.lease;
                if let Some(key) = self.keys[lock].as_mut().filter(|_| is_own || !own) {
                    key.deadline = self.time / MILLISECOND + lease;
                    self.deadlines.insert(key.token.clone(), key.deadline);
                    changes.push(Change::Extended { lease: lease * MILLISECOND });
                    waiting.end = Some(Ok(operation));
                } else {
                    waiting.end = fail(FailureKind::LostLock);
                }
            }
            Act::Repair { .. } if phase == 0 => {
                changes.push(saw());
                waiting.end = Some(Ok(operation)).filter(|_| held.is_some());
            }
            Act::Repair { .. } => {
                self.flags[lock] = false;
                changes.push(Change::Flagged { locked: false });
                waiting.end = Some(Ok(operation));
            }
            Act::Forget { .. } => {
                self.actors[actor].tokens.remove(&lock);
                waiting.end = Some(Ok(operation));
            }
            Act::Sleep | Act::Crash => waiting.end = Some(Ok(operation)),
        }
        let sends = !matches!(act, Act::Forget { .. } | Act::Sleep)
            && waiting.end.as_ref().is_none_or(|end| {
                end.as_ref().is_ok_and(|end| end.write.is_none()) || end.is_err()
            });
        if sends {
            let effects = changes.into_iter().map(|change| Effect { lock, change }).collect();
            waiting.command = Some((0, effects, format!("{act:?}")));
        }
        waiting
    }

    fn take(&mut self, actor: usize, lock: usize, overwrites: bool, turn: u64) -> Change {
        self.issued += 1;
        let token = format!("token-{}", self.issued);
        let deadline = self.time / MILLISECOND + self.setup.lease;
        let key = Key { token: token.clone(), owner: actor, deadline };
        if let Some(before) = self.keys[lock].replace(key) {
            self.ends.insert(before.token, TrueEnd { turn, by: Some(actor) });
        }
        self.deadlines.insert(token.clone(), deadline);
        let fence = self.issued % self.setup.fences;
        self.actors[actor].fences.insert(lock, fence);
        self.flags[lock] = true;
        self.actors[actor].tokens.insert(lock, token.clone());
        self.actors[actor].based_on.insert(lock, self.revisions[lock].0);
        let lease = Some(self.setup.lease * MILLISECOND);
        if overwrites {
            Change::Overwrote { token, lease }
        } else {
            Change::Took { token, fence: Some(fence), lease }
        }
    }

    fn delete(&mut self, actor: usize, lock: usize, turn: u64, is_sure: bool) -> Option<Change> {
        self.flags[lock] = false;
        self.actors[actor].tokens.remove(&lock);
        let key = self.keys[lock].take()?;
        self.ends.insert(key.token.clone(), TrueEnd { turn, by: Some(actor) });
        Some(Change::Deleted { token: is_sure.then_some(key.token) })
    }

    fn write(&mut self, actor: usize, lock: usize) -> Write {
        let replaced = self.revisions[lock].0;
        let based_on = self.actors[actor].based_on.insert(lock, replaced + 1).unwrap_or(1);
        Write { based_on, replaced, wrote: replaced + 1 }
    }

    fn finish(mut self) -> (History, Truth) {
        // Two actors may do something at the same position; one of them is first.
        let mut points: Vec<(u64, Option<usize>)> = Vec::new();
        for (position, event) in &self.placed {
            points.push((*position, event.actor));
            if let EventKind::Command(command) = &event.kind {
                points.push((command.sent.order, event.actor));
            }
        }
        points.sort_unstable();
        let times = std::mem::take(&mut self.times);
        let in_sequence = self.setup.in_sequence;
        let at = |position: u64| {
            let shift = if in_sequence { STRIDE / 2 } else { 0 };
            let turn = ((position + shift) / STRIDE) as usize;
            let from = times.get(turn).or(times.last()).copied().unwrap_or(0);
            let to = times.get(turn + 1).copied().unwrap_or(from);
            let part = if in_sequence { 0 } else { position % STRIDE };
            from + (to - from) / STRIDE * part
        };
        let moment = |position: u64, actor: Option<usize>| {
            let order = points.partition_point(|point| *point < (position, actor)) as u64;
            Moment { order, at: at(position) }
        };
        self.placed.sort_by_key(|(position, event)| (*position, event.actor));
        let mut events: Vec<Event> = self
            .placed
            .iter()
            .cloned()
            .map(|(position, mut event)| {
                event.moment = moment(position, event.actor);
                if let EventKind::Command(command) = &mut event.kind {
                    command.sent = moment(command.sent.order, event.actor);
                }
                event
            })
            .collect();
        let last = events.last().map(|event| event.moment).unwrap_or_default();
        for (lock, key) in self.keys.iter().enumerate() {
            let token = key.as_ref().map(|key| key.token.clone());
            let remembered = self.actors.iter().filter_map(|actor| actor.tokens.get(&lock));
            let left = Left {
                acquirable: None,
                held_elsewhere: false,
                lock,
                ttl_ms: if token.is_some() { 1 } else { -2 },
                token,
                flag: self.flags[lock],
                remembered: remembered.cloned().collect(),
            };
            let order = last.order + 1 + lock as u64;
            let moment = Moment { order, at: last.at };
            events.push(Event { moment, actor: None, kind: EventKind::Left(left) });
        }
        let head = Head {
            scenario: "model".into(),
            protocol: "made up".into(),
            actors: (0..self.actors.len()).map(|actor| format!("actor {actor}")).collect(),
            locks: (0..self.keys.len()).map(|lock| format!("lock {lock}")).collect(),
            ..Head::default()
        };
        let told = |list: &[(usize, usize, u64)]| {
            list.iter().map(|(lock, actor, position)| (*lock, *actor, at(*position))).collect()
        };
        let truth = Truth {
            foreign_releases: told(&self.foreign),
            silent_losses: told(&self.silent),
            lost_updates: told(&self.lost),
        };
        (History { head, events, is_complete: true }, truth)
    }
}
