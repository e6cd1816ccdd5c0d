//! Which step each event belongs to, how each actor's life went, and whether the history is complete.

use crate::history::{Command, Event, EventKind, Failure, Head, History, Moment, Operation, Verb};

/// A step, from its beginning to its end.
#[derive(Debug)]
pub(super) struct Step<'a> {
    /// Whose step it is.
    pub actor: usize,
    /// What was begun.
    pub operation: &'a Operation,
    /// When it was begun.
    pub begun: Moment,
    /// How it ended; none if the history doesn't say.
    pub end: Option<StepEnd<'a>>,
}

/// The end of a step.
#[derive(Debug)]
pub(super) struct StepEnd<'a> {
    /// When it ended.
    pub moment: Moment,
    /// What ended.
    pub operation: &'a Operation,
    /// Why it failed, if it did.
    pub failure: Option<&'a Failure>,
}

impl<'a> Step<'a> {
    /// Whether it tries to take a lock.
    pub fn is_acquire(&self) -> bool {
        self.operation.verb == Verb::Acquire
    }

    /// Whether it releases a lock, its own or another owner's.
    pub fn gives_back(&self) -> bool {
        self.operation.verb.releases()
    }

    /// Its end, if it ended well.
    pub fn completed(&self) -> Option<&StepEnd<'a>> {
        self.end.as_ref().filter(|end| end.failure.is_none())
    }
}

/// How often an actor began and ended: once each, if all is well.
#[derive(Debug, Clone, Copy, Default)]
struct Life {
    started: u64,
    ended: u64,
}

/// A history with its steps put together.
#[derive(Debug)]
pub(super) struct Trace<'a> {
    /// Whose history it is.
    pub head: &'a Head,
    /// Its events; none, if it contradicts itself.
    pub events: &'a [Event],
    /// All steps, in the order in which they were begun.
    pub steps: Vec<Step<'a>>,
    /// For each event, the step that it begins, ends or was done in.
    pub step_of: Vec<Option<usize>>,
    /// Whether it has its beginning, the ends of all actors and steps, and its own end.
    pub is_complete: bool,
    /// Whether times distinguish its events: not all of them happened at one.
    pub has_times: bool,
    /// From when on commands may have run that are not in the history, because the replies were
    /// still to come: the beginning of the first step that has no end.
    pub hidden_from: Moment,
    lives: Vec<Life>,
}

impl<'a> Trace<'a> {
    /// Puts a history's steps together.
    pub fn read(history: &'a History) -> Self {
        let head = &history.head;
        let mut trace = Self {
            head,
            events: &[],
            steps: Vec::new(),
            step_of: Vec::new(),
            is_complete: history.is_complete && !head.actors.is_empty(),
            has_times: has_times(history),
            hidden_from: NEVER,
            lives: vec![Life::default(); head.actors.len()],
        };
        if !is_consistent(history) {
            trace.is_complete = false;
            return trace;
        }
        trace.events = &history.events;
        trace.step_of.reserve(history.events.len());
        let mut open: Vec<Vec<usize>> = vec![Vec::new(); head.actors.len()];
        for event in &history.events {
            let step = match event.actor.and_then(|actor| Some((actor, open.get_mut(actor)?))) {
                Some((actor, open)) => trace.follow(event, actor, open),
                None => None,
            };
            trace.step_of.push(step);
        }
        let all_lived = trace.lives.iter().all(|life| life.started == 1 && life.ended == 1);
        let outermost = open.iter().filter_map(|open| trace.steps.get(*open.first()?));
        trace.hidden_from = outermost.map(|step| step.begun).min().unwrap_or(NEVER);
        trace.is_complete &= all_lived && open.iter().all(Vec::is_empty);
        trace
    }

    /// Follows one actor's event; gives the step that it belongs to.
    fn follow(&mut self, event: &'a Event, actor: usize, open: &mut Vec<usize>) -> Option<usize> {
        let moment = event.moment;
        let life = self.lives.get_mut(actor)?;
        match &event.kind {
            EventKind::Started => life.started += 1,
            EventKind::Ended { .. } => life.ended += 1,
            EventKind::Invoked(operation) => {
                self.is_complete &= life.ended == 0;
                open.push(self.steps.len());
                self.steps.push(Step { actor, operation, begun: moment, end: None });
            }
            EventKind::Completed(operation) => {
                return self.end(open, StepEnd { moment, operation, failure: None });
            }
            EventKind::Failed { operation, failure } => {
                return self.end(open, StepEnd { moment, operation, failure: Some(failure) });
            }
            // A reply may come when the step that sent the command is over.
            EventKind::Command(command) if command.late.is_some() => return None,
            EventKind::Command(command) => {
                let step = *open.last()?;
                let begun = self.steps.get(step)?.begun;
                return (begun.order <= command.sent.order).then_some(step);
            }
            EventKind::Fault { .. } | EventKind::Left(_) => {}
        }
        open.last().copied()
    }

    /// Ends the innermost step, if that is the one that is meant.
    fn end(&mut self, open: &mut Vec<usize>, end: StepEnd<'a>) -> Option<usize> {
        let innermost = open.last().copied();
        let step = innermost.and_then(|step| self.steps.get_mut(step));
        match step.filter(|step| step.operation.number == end.operation.number) {
            Some(step) => {
                step.end = Some(end);
                open.pop()
            }
            None => {
                self.is_complete = false;
                None
            }
        }
    }

    /// When the history ends.
    pub fn end_of_all(&self) -> Moment {
        self.events.last().map(|event| event.moment).unwrap_or_default()
    }

    /// The verb of a step.
    pub fn verb(&self, step: Option<usize>) -> Option<&'a Verb> {
        let step = self.steps.get(step?)?;
        Some(&step.operation.verb)
    }
}

fn has_times(history: &History) -> bool {
    let mut times = history.events.iter().map(|event| event.moment.at);
    times.next().is_some_and(|first| times.any(|at| at != first))
}

/// After everything.
pub(super) const NEVER: Moment = Moment { order: u64::MAX, at: u64::MAX };

/// Whether a history could have been recorded: it may be cut, but it doesn't contradict itself.
fn is_consistent(history: &History) -> bool {
    let head = &history.head;
    let mut has_started = vec![false; head.actors.len()];
    let mut last = 0;
    history.events.iter().all(|event| {
        let is_in_order = last <= event.moment.order;
        last = event.moment.order;
        let has_started = event.actor.is_none_or(|actor| {
            has_started.get_mut(actor).is_some_and(|started| {
                *started |= matches!(event.kind, EventKind::Started);
                *started
            })
        });
        is_in_order && has_started && head.covers(event) && comes_after_its_sending(event)
    })
}

fn comes_after_its_sending(event: &Event) -> bool {
    match &event.kind {
        EventKind::Command(Command { sent, .. }) => {
            sent.order <= event.moment.order && sent.at <= event.moment.at
        }
        _ => true,
    }
}
