//! Which actor believed to hold which lock, and from when to when.
//!
//! A belief begins when an acquire completes. It certainly lasts until the actor begins to release
//! the lock, begins to forget it, acquires it again, or receives the first reply that may have
//! notified it of the loss; it ends when that step completes.

use super::tenure::LockTrace;
use super::trace::{NEVER, Step, Trace};
use crate::history::{Change, Effect, Event, EventKind, Failure, FailureKind, Moment, Verb};
use std::collections::HashMap;

/// A belief.
#[derive(Debug)]
pub(super) struct Belief {
    /// The actor.
    pub actor: usize,
    /// To hold which lock.
    pub lock: usize,
    /// The acquire that began it.
    pub step: usize,
    /// The tenure that the acquire began, by position in the lock's line.
    pub tenure: Option<usize>,
    /// When it began.
    pub from: Moment,
    /// Until when it certainly lasted.
    pub surely_until: Moment,
    /// When the actor first began to give the lock back.
    pub given_back: Moment,
    /// When it ended.
    pub until: Moment,
    /// What ended it.
    pub ending: Ending,
}

/// What ends a belief.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// A release or force-release completed.
    Released,
    /// The actor acquired the lock again.
    Superseded,
    /// The actor was notified that it doesn't hold the lock.
    Notified,
    /// What the actor thought from then on was not seen.
    Unseen,
    /// The actor forgot its token.
    Forgot,
    /// The actor crashed.
    Crashed,
    /// The actor ended well.
    Ended,
    /// The actor ended, but not well.
    Broken,
    /// The history ends before it.
    Open,
}

/// From when on a belief that ends may have been over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Surely {
    /// From the beginning of the step that ends it.
    Begun,
    /// From the first reply that may have notified the actor of the loss.
    Notified,
    /// From its end on.
    Now,
}

/// Which beliefs of an actor end, and how: the one in this lock or, where none is said, all. Both readers
/// of beliefs, the one of complete histories and the [`Monitor`](super::Monitor), follow these rules.
pub(super) type End = (Option<usize>, Ending);

/// What ends when a step of this verb completes. An acquire begins a belief, too.
pub(super) fn ended_by_success(verb: &Verb, lock: usize) -> Option<End> {
    let ending = match verb {
        Verb::Acquire => Ending::Superseded,
        Verb::Release | Verb::ForceRelease => Ending::Released,
        Verb::ForgetToken => Ending::Forgot,
        _ => return None,
    };
    Some((Some(lock), ending))
}

/// What ends when a step of this verb fails.
pub(super) fn ended_by_failure(verb: &Verb, lock: Option<usize>, failure: &Failure) -> Option<End> {
    let is_about_the_lock = match failure.kind {
        FailureKind::Crashed => return Some((None, Ending::Crashed)),
        FailureKind::LostLock => true,
        FailureKind::Refused if *verb == Verb::Dump => lock.is_some(),
        _ => lock.is_some() && verb.releases() && failure.is_about_the_lock(),
    };
    let ending = if *verb == Verb::Unseen { Ending::Unseen } else { Ending::Notified };
    is_about_the_lock.then_some((lock, ending))
}

/// What ends when the actor ends.
pub(super) fn ended_by_end(failure: Option<&Failure>) -> End {
    let ending = match failure.map(|failure| failure.kind) {
        None => Ending::Ended,
        Some(FailureKind::Crashed) => Ending::Crashed,
        Some(_) => Ending::Broken,
    };
    (None, ending)
}

/// Whether the actor may have known of a loss, which the end of the step reports, since this reply
/// and not before: it is the first reply in the step, or it extended something, or it is the first
/// one after that. `awaits` says whether such a reply is still to come.
pub(super) fn may_notify(awaits: &mut bool, effects: &[Effect]) -> bool {
    let extends = effects.iter().any(|it| matches!(it.change, Change::Extended { .. }));
    extends | std::mem::replace(awaits, extends)
}

impl Ending {
    /// Whether the actor never heard whether it had lost the lock.
    pub fn is_unnotified(self) -> bool {
        matches!(self, Ending::Released | Ending::Superseded | Ending::Ended)
    }

    /// From when on the belief may have been over.
    pub fn surely_until(self) -> Surely {
        match self {
            Ending::Released | Ending::Superseded | Ending::Forgot | Ending::Unseen => {
                Surely::Begun
            }
            Ending::Notified => Surely::Notified,
            Ending::Crashed | Ending::Ended | Ending::Broken | Ending::Open => Surely::Now,
        }
    }
}

/// Reads all beliefs from a history, in the order in which they began.
pub(super) fn read(trace: &Trace<'_>, locks: &[LockTrace<'_>]) -> Vec<Belief> {
    let tenures = tenures_by_step(locks);
    let mut reader = Reader {
        beliefs: Vec::new(),
        known: trace.head.actors.iter().map(|_| ActorBeliefs::default()).collect(),
    };
    for (event, step) in trace.events.iter().zip(&trace.step_of) {
        let Some(actor) = event.actor else { continue };
        let step = step.and_then(|step| Some((step, trace.steps.get(step)?)));
        reader.read(event, actor, step, &tenures);
    }
    reader.finish(trace)
}

/// The last tenure that each acquire began.
fn tenures_by_step(locks: &[LockTrace<'_>]) -> HashMap<(usize, usize), usize> {
    let mut tenures = HashMap::new();
    for (lock, trace) in locks.iter().enumerate() {
        for (position, tenure) in trace.tenures.iter().enumerate() {
            if let Some(step) = tenure.access.step {
                tenures.insert((step, lock), position);
            }
        }
    }
    tenures
}

/// What one actor thinks.
#[derive(Debug, Default)]
struct ActorBeliefs {
    /// Its beliefs, by lock.
    open: HashMap<usize, usize>,
    /// The earliest moment at which the actor knew of a loss that the end of the step reports.
    notified: Moment,
    /// Whether a reply that may notify the actor of it is still to come.
    awaits: bool,
}

struct Reader {
    beliefs: Vec<Belief>,
    known: Vec<ActorBeliefs>,
}

impl Reader {
    fn read(
        &mut self,
        event: &Event,
        actor: usize,
        step: Option<(usize, &Step<'_>)>,
        tenures: &HashMap<(usize, usize), usize>,
    ) {
        let moment = event.moment;
        let Some(knowledge) = self.known.get_mut(actor) else { return };
        match &event.kind {
            EventKind::Invoked(operation) => {
                (knowledge.notified, knowledge.awaits) = (moment, true);
                let gives_back = step.is_some_and(|(_, step)| step.gives_back());
                let belief = operation.lock.and_then(|lock| knowledge.open.get(&lock));
                let belief = belief.and_then(|belief| self.beliefs.get_mut(*belief));
                if let Some(belief) = belief.filter(|_| gives_back) {
                    belief.surely_until = belief.surely_until.min(moment);
                    belief.given_back = belief.given_back.min(moment);
                }
            }
            // Its sender learns nothing from it.
            EventKind::Command(command) if command.late.is_some() => {}
            EventKind::Command(command) => {
                if may_notify(&mut knowledge.awaits, &command.effects) {
                    knowledge.notified = moment;
                }
            }
            EventKind::Completed(operation) => {
                let (Some((position, step)), Some(lock)) = (step, operation.lock) else { return };
                let verb = &step.operation.verb;
                self.end(actor, ended_by_success(verb, lock), step.begun, moment);
                if step.is_acquire() {
                    let tenure = tenures.get(&(position, lock)).copied();
                    self.open(actor, lock, position, tenure, moment);
                }
            }
            EventKind::Failed { operation, failure } => {
                let Some((_, step)) = step else { return };
                let lock = operation.lock.or(step.operation.lock);
                let end = ended_by_failure(&step.operation.verb, lock, failure);
                self.end(actor, end, step.begun, moment);
            }
            EventKind::Ended { failure } => {
                self.end(actor, Some(ended_by_end(failure.as_ref())), moment, moment);
            }
            EventKind::Started | EventKind::Fault { .. } | EventKind::Left(_) => {}
        }
    }

    /// Ends beliefs, in a step that was begun then.
    fn end(&mut self, actor: usize, end: Option<End>, begun: Moment, moment: Moment) {
        let Some((lock, ending)) = end else { return };
        let surely = match ending.surely_until() {
            Surely::Begun => begun,
            Surely::Notified => self.known.get(actor).map_or(begun, |knowledge| knowledge.notified),
            Surely::Now => moment,
        };
        match lock {
            Some(lock) => self.close(actor, lock, ending, surely, moment),
            None => self.close_all(actor, ending, surely, moment),
        }
    }

    fn open(
        &mut self,
        actor: usize,
        lock: usize,
        step: usize,
        tenure: Option<usize>,
        from: Moment,
    ) {
        if let Some(knowledge) = self.known.get_mut(actor) {
            knowledge.open.insert(lock, self.beliefs.len());
            let ending = Ending::Open;
            self.beliefs.push(Belief {
                actor,
                lock,
                step,
                tenure,
                from,
                surely_until: NEVER,
                given_back: NEVER,
                until: NEVER,
                ending,
            });
        }
    }

    fn close(&mut self, actor: usize, lock: usize, ending: Ending, surely: Moment, until: Moment) {
        let belief = self.known.get_mut(actor).and_then(|knowledge| knowledge.open.remove(&lock));
        if let Some(belief) = belief.and_then(|belief| self.beliefs.get_mut(belief)) {
            // The step may have begun before the belief did.
            belief.surely_until = belief.surely_until.min(surely).max(belief.from);
            belief.until = until;
            belief.ending = ending;
        }
    }

    fn close_all(&mut self, actor: usize, ending: Ending, surely: Moment, until: Moment) {
        let Some(knowledge) = self.known.get_mut(actor) else { return };
        let mut locks: Vec<usize> = knowledge.open.keys().copied().collect();
        locks.sort_unstable();
        for lock in locks {
            self.close(actor, lock, ending, surely, until);
        }
    }

    /// An actor whose belief was never seen to end believed to the end of the history.
    fn finish(mut self, trace: &Trace<'_>) -> Vec<Belief> {
        let last = trace.end_of_all();
        for actor in 0..self.known.len() {
            self.close_all(actor, Ending::Open, last, last);
        }
        self.beliefs
    }
}
