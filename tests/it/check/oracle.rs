//! What a history proves about acquisitions and beliefs, written down as it is defined: all pairs
//! are looked at, and nothing is kept that could be worked out anew. Slow, and for histories of a
//! recorder only.

use lock_history::history::{
    Change, Effect, Event, EventKind, Failure, FailureKind, History, Moment, Operation,
};

/// A command's or a fault's effect on one lock.
pub(super) struct Did<'a> {
    pub(super) lock: usize,
    pub(super) actor: Option<usize>,
    pub(super) sent: Moment,
    pub(super) received: Moment,
    pub(super) change: &'a Change,
    pub(super) step: Option<usize>,
}

pub(super) struct Step<'a> {
    pub(super) actor: usize,
    pub(super) begun: Moment,
    pub(super) operation: &'a Operation,
    pub(super) end: Option<(Moment, &'a Operation, Option<&'a Failure>)>,
}

pub(super) struct Belief {
    pub(super) actor: usize,
    pub(super) lock: usize,
    pub(super) from: Moment,
    pub(super) surely_until: Moment,
    pub(super) until: Moment,
    pub(super) is_untold: bool,
    /// The effect that took the lock for it.
    pub(super) taken: Option<usize>,
}

/// A history with its steps and effects picked out.
pub struct Oracle<'a> {
    pub(super) history: &'a History,
    pub(super) steps: Vec<Step<'a>>,
    pub(super) dids: Vec<Did<'a>>,
    pub(super) beliefs: Vec<Belief>,
}

impl<'a> Oracle<'a> {
    /// Reads a history.
    pub fn read(history: &'a History) -> Self {
        let mut oracle = Self { history, steps: steps(history), dids: vec![], beliefs: vec![] };
        oracle.dids = oracle.dids();
        oracle.beliefs = oracle.beliefs();
        oracle
    }

    fn dids(&self) -> Vec<Did<'a>> {
        let mut dids = Vec::new();
        for event in &self.history.events {
            let EventKind::Command(command) = &event.kind else { continue };
            // The innermost step that was going on from the sending to the reply.
            let step = (0..self.steps.len()).rev().find(|step| {
                let step = &self.steps[*step];
                Some(step.actor) == event.actor
                    && step.begun <= command.sent
                    && step.end.is_none_or(|(end, ..)| event.moment <= end)
            });
            for effect in &command.effects {
                dids.push(Did {
                    lock: effect.lock,
                    actor: event.actor,
                    sent: command.sent,
                    received: event.moment,
                    change: &effect.change,
                    step,
                });
            }
        }
        dids
    }

    pub(super) fn verb(&self, did: &Did<'_>) -> &str {
        did.step.map_or("", |step| self.steps[step].operation.verb.word())
    }

    /// All acquisitions of a lock.
    pub(super) fn tenures(&self, lock: usize) -> impl Iterator<Item = usize> {
        (0..self.dids.len()).filter(move |did| {
            self.dids[*did].lock == lock && token_of(self.dids[*did].change).is_some()
        })
    }

    /// When the first command's reply came that proves that this acquisition is over.
    pub(super) fn proof(&self, tenure: usize) -> Option<Moment> {
        let plain = self.plain_proof(tenure);
        let on_lock = self.dids.iter().filter(|did| did.lock == self.dids[tenure].lock);
        let special = on_lock.filter(|did| match did.change {
            // It made sure of the token.
            Change::Deleted { token: Some(token) } => {
                token_of(self.dids[tenure].change) == Some(token)
            }
            // Or nothing else was there that it could have deleted.
            Change::Deleted { token: None } => {
                let lock = did.lock;
                let mut candidates = self.tenures(lock).filter(|other| {
                    self.dids[*other].sent.order <= did.received.order
                        && self.plain_proof(*other).is_none_or(|by| by.order >= did.sent.order)
                });
                candidates.next() == Some(tenure) && candidates.next().is_none()
            }
            _ => false,
        });
        special.map(|did| did.received).chain(plain).min()
    }

    /// The same, of those that surely ran after it and show the lock free or overwritten.
    fn plain_proof(&self, tenure: usize) -> Option<Moment> {
        let tenure = &self.dids[tenure];
        let on_lock = self.dids.iter().filter(|did| did.lock == tenure.lock);
        let shows = on_lock.filter(|did| {
            tenure.received.order < did.sent.order
                && matches!(
                    did.change,
                    Change::Took { .. }
                        | Change::Overwrote { .. }
                        | Change::Deleted { .. }
                        | Change::Saw { token: None }
                )
        });
        shows.map(|did| did.received).min()
    }

    /// From when on its lease is certainly over, with every extension that may have been its.
    pub(super) fn runs_out(&self, tenure: usize) -> Option<u64> {
        let (Change::Took { lease, .. } | Change::Overwrote { lease, .. }) =
            self.dids[tenure].change
        else {
            return None;
        };
        let proof = self.proof(tenure).map_or(u64::MAX, |proof| proof.order);
        let extensions: Vec<(&Did<'_>, u64)> = self
            .dids
            .iter()
            .filter(|did| did.lock == self.dids[tenure].lock)
            .filter_map(|did| match did.change {
                Change::Extended { lease } => Some((did, *lease)),
                _ => None,
            })
            .collect();
        let last = extensions.iter().rposition(|(did, _)| did.sent.order <= proof);
        let ends = extensions.iter().enumerate().filter_map(|(position, (did, lease))| {
            let concerns =
                did.received.order >= self.dids[tenure].sent.order && Some(position) <= last;
            concerns.then_some(did.received.at + lease)
        });
        let own = self.dids[tenure].received.at + (*lease)?;
        Some(ends.chain([own]).max().unwrap_or(own) + 1_000_000)
    }

    pub(super) fn is_over_before(&self, tenure: usize, moment: Moment) -> bool {
        self.proof(tenure).is_some_and(|proof| proof.order < moment.order)
            || self.runs_out(tenure).is_some_and(|at| at <= moment.at)
    }

    fn beliefs(&self) -> Vec<Belief> {
        let end_of_all = self.history.events.last().map(|event| event.moment).unwrap_or_default();
        let mut beliefs = Vec::new();
        for (position, step) in self.steps.iter().enumerate() {
            let (Some((from, operation, None)), Some(lock)) = (step.end, step.operation.lock)
            else {
                continue;
            };
            if operation.verb.word() != "acquire" {
                continue;
            }
            let (surely, until, is_untold) = self.end_of_belief(step.actor, lock, from);
            let begins_to_give_back = self.steps.iter().filter(|other| {
                other.actor == step.actor
                    && other.operation.lock == Some(lock)
                    && matches!(other.operation.verb.word(), "release" | "force_release")
                    && other.begun > from
            });
            let surely_until = begins_to_give_back
                .map(|other| other.begun)
                .chain([surely.unwrap_or(end_of_all)])
                .min()
                .unwrap_or(end_of_all);
            let taken = self
                .tenures(lock)
                .filter(|tenure| self.dids[*tenure].step == Some(position))
                .last();
            beliefs.push(Belief {
                actor: step.actor,
                lock,
                from,
                surely_until: surely_until.max(from),
                until: until.unwrap_or(end_of_all),
                is_untold,
                taken,
            });
        }
        beliefs.sort_by_key(|belief| belief.from);
        beliefs
    }

    /// The first of the actor's events that ends a belief: until when it surely lasted, when it
    /// ended, and whether nobody told the actor.
    fn end_of_belief(
        &self,
        actor: usize,
        lock: usize,
        from: Moment,
    ) -> (Option<Moment>, Option<Moment>, bool) {
        for event in &self.history.events {
            if event.actor != Some(actor) || event.moment <= from {
                continue;
            }
            let end = Some(event.moment);
            let step = self.steps.iter().find(|step| {
                step.actor == actor && step.end.is_some_and(|(moment, ..)| moment == event.moment)
            });
            let begun = step.map(|step| step.begun);
            match &event.kind {
                EventKind::Completed(operation) if operation.lock == Some(lock) => {
                    match operation.verb.word() {
                        "release" | "force_release" | "acquire" => return (begun, end, true),
                        "forget_token" => return (begun, end, false),
                        _ => {}
                    }
                }
                EventKind::Failed { failure, .. } if failure.kind == FailureKind::Crashed => {
                    return (end, end, false);
                }
                EventKind::Failed { operation, failure } if operation.lock == Some(lock) => {
                    let is_told = match operation.verb.word() {
                        _ if failure.kind == FailureKind::LostLock => true,
                        "release" | "force_release" => failure.is_about_the_lock(),
                        "dump" => failure.kind == FailureKind::Refused,
                        _ => false,
                    };
                    if is_told {
                        let began = begun.unwrap_or_default();
                        return (Some(self.could_know(actor, began, event.moment)), end, false);
                    }
                }
                EventKind::Ended { failure } => return (end, end, failure.is_none()),
                _ => {}
            }
        }
        (None, None, false)
    }

    /// The first reply in a step that may have told a loss: the one after the last extension.
    fn could_know(&self, actor: usize, begun: Moment, ended: Moment) -> Moment {
        let commands: Vec<(Moment, bool)> = self
            .history
            .events
            .iter()
            .filter(|event| event.actor == Some(actor))
            .filter(|event| begun < event.moment && event.moment < ended)
            .filter_map(|event| match &event.kind {
                EventKind::Command(command) => {
                    let extends =
                        |effect: &Effect| matches!(effect.change, Change::Extended { .. });
                    Some((event.moment, command.effects.iter().any(extends)))
                }
                _ => None,
            })
            .collect();
        let last = commands.iter().rposition(|(_, extends)| *extends);
        let after = last.map_or(0, |last| last + 1);
        let told = commands.get(after).or(last.and_then(|last| commands.get(last)));
        told.map_or(begun, |(moment, _)| *moment)
    }
}

pub(super) fn token_of(change: &Change) -> Option<&String> {
    match change {
        Change::Took { token, .. } | Change::Overwrote { token, .. } => Some(token),
        _ => None,
    }
}

fn steps(history: &History) -> Vec<Step<'_>> {
    let ends = |event: &Event, number: usize| match &event.kind {
        EventKind::Completed(operation) | EventKind::Failed { operation, .. } => {
            operation.number == number
        }
        _ => false,
    };
    let mut steps = Vec::new();
    for (position, event) in history.events.iter().enumerate() {
        let (EventKind::Invoked(operation), Some(actor)) = (&event.kind, event.actor) else {
            continue;
        };
        let end = history.events[position..]
            .iter()
            .find(|end| end.actor == Some(actor) && ends(end, operation.number));
        let end = end.and_then(|end| match &end.kind {
            EventKind::Completed(operation) => Some((end.moment, operation, None)),
            EventKind::Failed { operation, failure } => {
                Some((end.moment, operation, Some(failure)))
            }
            _ => None,
        });
        steps.push(Step { actor, begun: event.moment, operation, end });
    }
    steps
}
