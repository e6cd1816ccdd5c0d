//! Which events make a row: those of one step that follow each other without another row between.

use super::Source;
use lock_history::check::{Expiry, Key, LockState, LockStates};
use lock_history::history::{
    Change, Command, Effect, Event, EventKind, Failure, FailureKind, Operation, Verb,
};
use std::collections::BTreeSet;

/// A row in the making.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    /// The orders of its first and its last event.
    pub first: u64,
    pub last: u64,
    /// When the last one happened, in nanoseconds since the run began.
    pub at: u64,
    pub actor: Option<usize>,
    pub lock: usize,
    pub actions: Vec<Action<'a>>,
    /// The names of the commands.
    pub commands: Vec<&'a str>,
    pub failure: Option<&'a Failure>,
    /// The lock before it and after it.
    pub before: LockState<'a>,
    pub state: LockState<'a>,
    /// The step whose events it is made of, by number.
    step: Option<usize>,
    /// The step around it, if the actor's next step in that may go on in this row.
    goes_on_in: Option<usize>,
    /// What a write replaced, if that was never read.
    pub overwritten: Option<u64>,
    /// Whether the step has an earlier row.
    pub is_rest: bool,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action<'a> {
    /// A step of this verb is complete, or failed.
    Step(&'a Verb),
    /// A command changed the lock, and its step goes on.
    Change(&'a Change),
    /// A fault, in these words.
    Fault(&'a str),
    /// The lease of this token expired.
    Expired(Option<&'a str>),
    /// The actor ended, and not well.
    End,
}

/// From when to when a named step lasted.
#[derive(Debug)]
pub(super) struct Span<'a> {
    pub name: &'a str,
    pub actor: usize,
    pub begun: u64,
    pub ended: u64,
}

/// All rows in the making.
pub(super) struct Drafts<'a> {
    pub all: Vec<Draft<'a>>,
    pub spans: Vec<Span<'a>>,
    /// The tokens that raw commands put into lock keys: what their senders believe is unknown.
    pub raw: BTreeSet<&'a str>,
}

/// What is known of an actor.
#[derive(Default)]
struct Doing<'a> {
    /// The steps that it is in, with the order of their beginning.
    steps: Vec<(&'a Operation, u64)>,
    /// The commands since the last row.
    commands: Vec<&'a str>,
    /// How its steps failed, and the orders of that.
    failures: Vec<(&'a Failure, u64)>,
    /// The first row of a step, by the step's number.
    row: Option<(usize, usize)>,
}

struct Reader<'a> {
    states: LockStates<'a>,
    doing: Vec<Doing<'a>>,
    drafts: Drafts<'a>,
}

impl<'a> Drafts<'a> {
    /// Reads the rows from a history.
    pub fn read(source: &Source<'a>) -> Self {
        let mut reader = Reader {
            states: LockStates::new((0..source.plan.locks.len()).map(|lock| before(source, lock))),
            doing: source.plan.actors.iter().map(|_| Doing::default()).collect(),
            drafts: Self { all: Vec::new(), spans: Vec::new(), raw: BTreeSet::new() },
        };
        source.history.events.iter().for_each(|event| reader.read(event));
        reader.drafts
    }
}

/// A lock before the run.
fn before<'a>(source: &Source<'a>, lock: usize) -> LockState<'a> {
    let taken = source.snapshots.iter().find(|it| it.label == "before" && it.lock == lock);
    let Some(taken) = taken else { return LockState::default() };
    let snapshot = &taken.snapshot;
    let expiry = match u64::try_from(snapshot.ttl_ms) {
        Ok(left) => Expiry::At(left.saturating_mul(1_000_000)),
        Err(_) => Expiry::Never,
    };
    let key = match &snapshot.payload {
        Some(payload) => Key::Held(Some(payload.token().as_str()), expiry),
        None => Key::Free,
    };
    let flag = Some(snapshot.flag.as_deref().is_some_and(|flag| flag != "false"));
    LockState { key, flag, ..LockState::default() }
}

impl<'a> Drafts<'a> {
    /// The last row about a lock.
    fn last_of(&mut self, lock: usize) -> Option<&mut Draft<'a>> {
        self.all.iter_mut().rfind(|draft| draft.lock == lock)
    }
}

impl<'a> Reader<'a> {
    fn read(&mut self, event: &'a Event) {
        let sent = match &event.kind {
            EventKind::Command(command) => command.sent.at,
            _ => event.moment.at,
        };
        self.expire(event, sent);
        match &event.kind {
            EventKind::Started | EventKind::Left(_) => {}
            EventKind::Invoked(operation) => {
                if let Some(doing) = event.actor.and_then(|actor| self.doing.get_mut(actor)) {
                    doing.steps.push((operation, event.moment.order));
                    doing.commands.clear();
                }
            }
            EventKind::Command(command) => self.command(event, command),
            EventKind::Fault { what, lease_of, effects, .. } => {
                let effect = effects.first().map(|effect| effect.lock);
                let lock = effect.unwrap_or_else(|| self.lock_of(event.actor));
                let mut draft = self.draft(event, event.actor, lock);
                let expired = match draft.before.key {
                    Key::Held(token, _) => Action::Expired(token),
                    _ => Action::Expired(None),
                };
                draft.actions =
                    vec![if lease_of.is_some() { expired } else { Action::Fault(what) }];
                self.states.apply(event);
                // The clock may have jumped over the end of the lease.
                if let Some((_, _, token)) = self.states.expire_of(lock, event.moment.at) {
                    draft.actions.push(Action::Expired(token));
                }
                draft.state = self.states.of(lock);
                self.drafts.all.push(draft);
            }
            EventKind::Completed(operation) => self.end(event, operation, None),
            EventKind::Failed { operation, failure } => self.end(event, operation, Some(failure)),
            EventKind::Ended { failure } => {
                let is_new = |it: &&Failure| !self.is_said(event.actor, it, 0);
                if let Some(failure) = failure.as_ref().filter(is_new) {
                    let mut draft = self.draft(event, event.actor, self.lock_of(event.actor));
                    (draft.actions, draft.failure) = (vec![Action::End], Some(failure));
                    self.drafts.all.push(draft);
                }
            }
        }
    }

    /// A row for each lease that expired before a time.
    fn expire(&mut self, event: &Event, before: u64) {
        while let Some((lock, at, token)) = self.states.expire_before(before) {
            let mut draft = self.draft(event, None, lock);
            let last = self.drafts.all.last().map_or(0, |draft| draft.at);
            (draft.at, draft.actions) = (at.max(last), vec![Action::Expired(token)]);
            self.drafts.all.push(draft);
        }
    }

    /// The lock of the step that an actor is in, or else of its last row.
    fn lock_of(&self, actor: Option<usize>) -> usize {
        let doing = actor.and_then(|actor| self.doing.get(actor));
        let step = doing.and_then(|doing| doing.steps.iter().rev().find_map(|(step, _)| step.lock));
        if let Some(lock) = step {
            return lock;
        }
        let last = self.drafts.all.iter().rfind(|draft| draft.actor == actor);
        last.map_or(0, |draft| draft.lock)
    }

    /// An empty row of an event.
    fn draft(&self, event: &Event, actor: Option<usize>, lock: usize) -> Draft<'a> {
        let (order, state) = (event.moment.order, self.states.of(lock));
        Draft {
            first: order,
            last: order,
            at: event.moment.at,
            actor,
            lock,
            actions: Vec::new(),
            commands: Vec::new(),
            failure: None,
            before: state,
            state,
            step: None,
            goes_on_in: None,
            overwritten: None,
            is_rest: false,
        }
    }

    fn command(&mut self, event: &'a Event, command: &'a Command) {
        let effects = command.effects.iter();
        let before: Vec<_> = effects.map(|it| self.draft(event, event.actor, it.lock)).collect();
        let changed = self.states.apply(event);
        let next = self.drafts.all.len();
        let actor = event.actor.and_then(|actor| self.doing.get_mut(actor));
        let steps = actor.as_ref().map_or(&[][..], |doing| &doing.steps);
        if steps.last().is_some_and(|(step, _)| step.verb == Verb::Redis) {
            self.drafts.raw.extend(command.effects.iter().filter_map(token));
        }
        let begun = steps.last().map(|(_, begun)| *begun);
        let mut steps = steps.iter().rev().map(|(step, _)| step.number);
        let (step, around) = match command.late {
            None => (steps.next(), steps.next()),
            Some(_) => (None, None),
        };
        let mut commands = Vec::new();
        if let Some(doing) = actor {
            let name = name(&command.text);
            if !doing.commands.contains(&name) {
                doing.commands.push(name);
            }
            if !changed.is_empty() {
                commands = std::mem::take(&mut doing.commands);
            }
        }
        let is_rest = self.has_row(event.actor, step);
        // The whole step has shown what is known, if all of it is in this row.
        let begun = begun.filter(|_| !is_rest && command.late.is_none());
        let first = begun.unwrap_or(event.moment.order);
        for lock in &changed {
            let of_lock = command.effects.iter().filter(|effect| effect.lock == *lock);
            let changes = of_lock.map(|effect| Action::Change(&effect.change));
            let state = self.states.of(*lock);
            let last = self.drafts.last_of(*lock).filter(|last| {
                last.actor == event.actor && step.is_some() && last.is_of(step, around)
            });
            let commands = commands.clone();
            match (last, before.iter().find(|draft| draft.lock == *lock)) {
                (Some(last), _) => last.go_on(event, step, state, changes.collect(), commands),
                (None, Some(empty)) => {
                    let actions = changes.collect();
                    self.drafts.all.push(Draft {
                        first,
                        actions,
                        commands,
                        state,
                        step,
                        is_rest,
                        ..*empty
                    });
                    self.note_row(event.actor, step, next);
                }
                (None, None) => {}
            }
        }
    }

    /// Whether a step has a row.
    fn has_row(&self, actor: Option<usize>, step: Option<usize>) -> bool {
        let row = actor.and_then(|actor| self.doing.get(actor)?.row);
        row.is_some_and(|(its, _)| Some(its) == step)
    }

    fn note_row(&mut self, actor: Option<usize>, step: Option<usize>, row: usize) {
        let is_first = !self.has_row(actor, step);
        let doing = actor.and_then(|actor| self.doing.get_mut(actor));
        if let (Some(doing), Some(step), true) = (doing, step, is_first) {
            doing.row = Some((step, row));
        }
    }

    /// Whether a step of an actor failed so since then.
    fn is_said(&self, actor: Option<usize>, failure: &Failure, since: u64) -> bool {
        let failures = actor.and_then(|actor| Some(&self.doing.get(actor)?.failures));
        failures.is_some_and(|all| {
            all.iter().any(|(it, at)| *at > since && it.message == failure.message)
        })
    }

    /// A step ended.
    fn end(&mut self, event: &'a Event, operation: &'a Operation, failure: Option<&'a Failure>) {
        let Some(actor) = event.actor else { return };
        let Some(doing) = self.doing.get_mut(actor) else { return };
        let Some((begun, order)) = doing.steps.pop() else { return };
        let commands = std::mem::take(&mut doing.commands);
        let around = doing.steps.last().map(|(step, _)| step.number);
        let overwritten = operation.write.filter(|it| it.replaced != it.based_on);
        if let Some(name) = begun.name.as_deref() {
            let ended = event.moment.order;
            self.drafts.spans.push(Span { name, actor, begun: order, ended });
        }
        // A step that fails because one in it failed has no row of its own.
        let is_said = failure.is_some_and(|it| self.is_said(Some(actor), it, order));
        if let Some((doing, failure)) = self.doing.get_mut(actor).zip(failure) {
            doing.failures.push((failure, event.moment.order));
        }
        let shows = if failure.is_some() { !is_said } else { is_shown(&begun.verb) };
        if !shows {
            return;
        }
        let lock = begun.lock.unwrap_or_else(|| self.lock_of(Some(actor)));
        let state = self.states.of(lock);
        let step = Some(operation.number);
        let is_write = begun.verb == Verb::Dump && failure.is_none();
        let last = self.drafts.last_of(lock).filter(|last| {
            let around = around.filter(|_| failure.is_none());
            last.actor == Some(actor) && last.failure.is_none() && last.is_of(step, around)
        });
        let action = Action::Step(&begun.verb);
        match last {
            Some(last) => {
                last.actions.retain(|action| matches!(action, Action::Step(_)));
                last.go_on(event, step, state, vec![action], commands);
                last.failure = failure;
                last.overwritten = overwritten.map(|it| it.replaced);
            }
            None => {
                let mut draft = self.draft(event, Some(actor), lock);
                // What the step saw is known by then.
                draft.first = order;
                (draft.actions, draft.commands) = (vec![action], commands);
                (draft.failure, draft.step) = (failure, step);
                draft.goes_on_in = around.filter(|_| is_write);
                draft.overwritten = overwritten.map(|it| it.replaced);
                draft.is_rest = self.has_row(Some(actor), step);
                self.drafts.all.push(draft);
            }
        }
    }
}

impl<'a> Draft<'a> {
    /// Takes in what the same actor did next.
    fn go_on(
        &mut self,
        event: &Event,
        step: Option<usize>,
        state: LockState<'a>,
        actions: Vec<Action<'a>>,
        commands: Vec<&'a str>,
    ) {
        self.last = event.moment.order;
        (self.step, self.state) = (step, state);
        self.goes_on_in = None;
        self.actions.extend(actions);
        for name in commands {
            if !self.commands.contains(&name) {
                self.commands.push(name);
            }
        }
    }

    /// Whether this step's events belong into the row.
    fn is_of(&self, step: Option<usize>, around: Option<usize>) -> bool {
        self.step == step || around.is_some() && self.goes_on_in == around
    }

    /// Whether the row itself shows that something is wrong, and not only that a step goes on.
    pub fn is_telling(&self) -> bool {
        let is_note = |action: &Action<'_>| match action {
            Action::Change(_) => true,
            Action::Fault(_) => self.actor.is_some(),
            Action::Step(_) | Action::Expired(_) | Action::End => false,
        };
        !self.actions.iter().any(is_note)
    }

    /// Whether it says how the actor ended.
    pub fn is_end(&self) -> bool {
        self.actions.contains(&Action::End)
    }

    /// Whether the actor crashed.
    pub fn is_crash(&self) -> bool {
        self.failure.is_some_and(|failure| failure.kind == FailureKind::Crashed)
    }
}

/// Whether a step of this verb has a row when it is complete.
fn is_shown(verb: &Verb) -> bool {
    match verb {
        Verb::Acquire
        | Verb::Extend
        | Verb::Release
        | Verb::ForceRelease
        | Verb::Dump
        | Verb::Crash
        | Verb::ForgetToken
        | Verb::ReplaceToken
        | Verb::PlantOrphan
        | Verb::ClearLocks
        | Verb::ExternalDump
        | Verb::MakeReadonly
        | Verb::GetInstance
        | Verb::Sees
        | Verb::Cached
        | Verb::Islocked
        | Verb::LockStatuses
        | Verb::Redis => true,
        Verb::Locked
        | Verb::Work
        | Verb::Sleep
        | Verb::Pause
        | Verb::Await
        | Verb::Repeat
        | Verb::Amnesia
        | Verb::ClockJump
        | Verb::Evict
        | Verb::Snapshot
        | Verb::Load
        | Verb::Validate
        | Verb::CheckLock
        | Verb::Unseen
        | Verb::Other(_) => false,
    }
}

/// The token that a command put into the lock key.
fn token(effect: &Effect) -> Option<&str> {
    match &effect.change {
        Change::Took { token, .. } | Change::Overwrote { token, .. } => Some(token),
        _ => None,
    }
}

/// The name of a command, of a text that may be a transaction.
fn name(text: &str) -> &str {
    text.split([' ', ';']).next().unwrap_or_default()
}
