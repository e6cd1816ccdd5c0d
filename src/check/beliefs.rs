//! Who believed to hold which lock, and from when to when.
//!
//! A belief begins when an acquire completes. It certainly lasts until the actor begins to give
//! the lock back, begins to forget it, acquires it anew, or receives the first reply that may have
//! told it of the loss; then it ends when that is done.

use super::story::{NEVER, Step, StepEnd, Story};
use super::timeline::Line;
use crate::history::{Change, Event, EventKind, FailureKind, Moment, Verb};
use std::collections::HashMap;

/// A belief.
#[derive(Debug)]
pub(super) struct Belief {
    /// Who believed.
    pub actor: usize,
    /// To hold which lock.
    pub lock: usize,
    /// The acquire that began it.
    pub step: usize,
    /// The reign that the acquire began, by position in the lock's line.
    pub reign: Option<usize>,
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
    /// The actor acquired the lock anew.
    Superseded,
    /// The actor was told that it doesn't hold the lock.
    Told,
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

impl Ending {
    /// Whether the actor never heard whether it had lost the lock.
    pub fn is_untold(self) -> bool {
        matches!(self, Ending::Released | Ending::Superseded | Ending::Ended)
    }
}

/// Reads all beliefs from a history, in the order in which they began.
pub(super) fn read(story: &Story<'_>, locks: &[Line<'_>]) -> Vec<Belief> {
    let reigns = reigns_by_step(locks);
    let mut reader = Reader {
        beliefs: Vec::new(),
        minds: story.head.actors.iter().map(|_| Mind::default()).collect(),
    };
    for (event, step) in story.events.iter().zip(&story.step_of) {
        let Some(actor) = event.actor else { continue };
        let step = step.and_then(|step| Some((step, story.steps.get(step)?)));
        reader.read(event, actor, step, &reigns);
    }
    reader.finish(story)
}

/// The last reign that each acquire began.
fn reigns_by_step(locks: &[Line<'_>]) -> HashMap<(usize, usize), usize> {
    let mut reigns = HashMap::new();
    for (lock, line) in locks.iter().enumerate() {
        for (position, reign) in line.reigns.iter().enumerate() {
            if let Some(step) = reign.deed.step {
                reigns.insert((step, lock), position);
            }
        }
    }
    reigns
}

/// What one actor thinks.
#[derive(Debug, Default)]
struct Mind {
    /// Its beliefs, by lock.
    open: HashMap<usize, usize>,
    /// The earliest moment at which a loss that is told when the step ends was known.
    told: Moment,
    /// Whether a reply that may tell it is still to come.
    awaits: bool,
}

struct Reader {
    beliefs: Vec<Belief>,
    minds: Vec<Mind>,
}

impl Reader {
    fn read(
        &mut self,
        event: &Event,
        actor: usize,
        step: Option<(usize, &Step<'_>)>,
        reigns: &HashMap<(usize, usize), usize>,
    ) {
        let moment = event.moment;
        let Some(mind) = self.minds.get_mut(actor) else { return };
        match &event.kind {
            EventKind::Invoked(operation) => {
                (mind.told, mind.awaits) = (moment, true);
                let gives_back = step.is_some_and(|(_, step)| step.gives_back());
                let belief = operation.lock.and_then(|lock| mind.open.get(&lock));
                let belief = belief.and_then(|belief| self.beliefs.get_mut(*belief));
                if let Some(belief) = belief.filter(|_| gives_back) {
                    belief.surely_until = belief.surely_until.min(moment);
                    belief.given_back = belief.given_back.min(moment);
                }
            }
            // It tells its sender nothing.
            EventKind::Command(command) if command.late.is_some() => {}
            EventKind::Command(command) => {
                let extends = |change: &Change| matches!(change, Change::Extended { .. });
                if command.effects.iter().any(|effect| extends(&effect.change)) {
                    (mind.told, mind.awaits) = (moment, true);
                } else if mind.awaits {
                    (mind.told, mind.awaits) = (moment, false);
                }
            }
            EventKind::Completed(operation) => {
                let (Some((position, step)), Some(lock)) = (step, operation.lock) else { return };
                if step.is_acquire() {
                    self.close(actor, lock, Ending::Superseded, step.begun, moment);
                    let reign = reigns.get(&(position, lock)).copied();
                    self.open(actor, lock, position, reign, moment);
                } else if step.gives_back() {
                    self.close(actor, lock, Ending::Released, step.begun, moment);
                } else if step.operation.verb == Verb::ForgetToken {
                    self.close(actor, lock, Ending::Forgot, step.begun, moment);
                }
            }
            EventKind::Failed { .. } => {
                let Some((_, step)) = step else { return };
                if let Some(end) = &step.end {
                    self.hear(actor, step, end);
                }
            }
            EventKind::Ended { failure } => {
                let ending = match failure.as_ref().map(|failure| failure.kind) {
                    None => Ending::Ended,
                    Some(FailureKind::Crashed) => Ending::Crashed,
                    Some(_) => Ending::Broken,
                };
                self.close_all(actor, ending, moment, moment);
            }
            EventKind::Started | EventKind::Fault { .. } | EventKind::Left(_) => {}
        }
    }

    /// What the failure of a step tells its actor.
    fn hear(&mut self, actor: usize, step: &Step<'_>, end: &StepEnd<'_>) {
        let Some(failure) = end.failure else { return };
        let (kind, moment) = (failure.kind, end.moment);
        let told = self.minds.get(actor).map_or(step.begun, |mind| mind.told);
        let lock = end.operation.lock.or(step.operation.lock);
        let refuses_write = step.operation.verb == Verb::Dump && kind == FailureKind::Refused;
        let refuses_release = step.gives_back() && failure.is_about_the_lock();
        match lock {
            _ if kind == FailureKind::Crashed => {
                self.close_all(actor, Ending::Crashed, moment, moment);
            }
            Some(lock) if kind == FailureKind::LostLock || refuses_write || refuses_release => {
                self.close(actor, lock, Ending::Told, told, moment);
            }
            None if kind == FailureKind::LostLock => {
                self.close_all(actor, Ending::Told, told, moment);
            }
            _ => {}
        }
    }

    fn open(&mut self, actor: usize, lock: usize, step: usize, reign: Option<usize>, from: Moment) {
        if let Some(mind) = self.minds.get_mut(actor) {
            mind.open.insert(lock, self.beliefs.len());
            let ending = Ending::Open;
            self.beliefs.push(Belief {
                actor,
                lock,
                step,
                reign,
                from,
                surely_until: NEVER,
                given_back: NEVER,
                until: NEVER,
                ending,
            });
        }
    }

    fn close(&mut self, actor: usize, lock: usize, ending: Ending, surely: Moment, until: Moment) {
        let belief = self.minds.get_mut(actor).and_then(|mind| mind.open.remove(&lock));
        if let Some(belief) = belief.and_then(|belief| self.beliefs.get_mut(belief)) {
            // The step may have begun before the belief did.
            belief.surely_until = belief.surely_until.min(surely).max(belief.from);
            belief.until = until;
            belief.ending = ending;
        }
    }

    fn close_all(&mut self, actor: usize, ending: Ending, surely: Moment, until: Moment) {
        let Some(mind) = self.minds.get_mut(actor) else { return };
        let mut locks: Vec<usize> = mind.open.keys().copied().collect();
        locks.sort_unstable();
        for lock in locks {
            self.close(actor, lock, ending, surely, until);
        }
    }

    /// Who was not seen to change its mind believed to the end of the history.
    fn finish(mut self, story: &Story<'_>) -> Vec<Belief> {
        let last = story.end_of_all();
        for actor in 0..self.minds.len() {
            self.close_all(actor, Ending::Open, last, last);
        }
        self.beliefs
    }
}
