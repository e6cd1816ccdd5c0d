//! The definitions of the properties, written down as they are read: all pairs are looked at, and
//! nothing is kept that could be worked out anew. Slow, and for histories of a recorder only.

use nodb_trigger::check::Property;
use nodb_trigger::history::{
    Change, Effect, Event, EventKind, Failure, FailureKind, History, Left, Moment, Operation, Write,
};

/// A finding without its words: the property, the lock, who did wrong or suffered, and when.
pub type Found = (Property, usize, Option<usize>, u64);

/// A command's or a fault's effect on one lock.
struct Did<'a> {
    lock: usize,
    actor: Option<usize>,
    sent: Moment,
    received: Moment,
    change: &'a Change,
    step: Option<usize>,
}

struct Step<'a> {
    actor: usize,
    begun: Moment,
    operation: &'a Operation,
    end: Option<(Moment, &'a Operation, Option<&'a Failure>)>,
}

struct Belief {
    actor: usize,
    lock: usize,
    from: Moment,
    surely_until: Moment,
    until: Moment,
    is_untold: bool,
    /// The effect that took the lock for it.
    taken: Option<usize>,
}

/// A history with its steps and effects picked out.
pub struct Oracle<'a> {
    history: &'a History,
    steps: Vec<Step<'a>>,
    dids: Vec<Did<'a>>,
    beliefs: Vec<Belief>,
}

impl<'a> Oracle<'a> {
    /// Reads a history.
    pub fn read(history: &'a History) -> Self {
        let mut oracle = Self { history, steps: steps(history), dids: vec![], beliefs: vec![] };
        oracle.dids = oracle.dids();
        oracle.beliefs = oracle.beliefs();
        oracle
    }

    /// Everything that is wrong.
    pub fn all(&self) -> Vec<Found> {
        let mut all = Vec::new();
        all.extend(self.overlaps());
        all.extend(self.foreign_releases());
        all.extend(self.lost_updates());
        all.extend(self.silent_losses());
        all.extend(self.left());
        all.extend(self.fencing_order());
        all.extend(self.starvation());
        all.extend(self.deadlocks());
        all.sort();
        all
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

    fn verb(&self, did: &Did<'_>) -> &str {
        did.step.map_or("", |step| &self.steps[step].operation.verb)
    }

    /// All acquisitions of a lock.
    fn reigns(&self, lock: usize) -> impl Iterator<Item = usize> {
        (0..self.dids.len()).filter(move |did| {
            self.dids[*did].lock == lock && token_of(self.dids[*did].change).is_some()
        })
    }

    /// When the first command's reply came that proves that this acquisition is over.
    fn proof(&self, reign: usize) -> Option<Moment> {
        let plain = self.plain_proof(reign);
        let on_lock = self.dids.iter().filter(|did| did.lock == self.dids[reign].lock);
        let special = on_lock.filter(|did| match did.change {
            // It made sure of the token.
            Change::Deleted { token: Some(token) } => {
                token_of(self.dids[reign].change) == Some(token)
            }
            // Or nothing else was there that it could have deleted.
            Change::Deleted { token: None } => {
                let lock = did.lock;
                let mut candidates = self.reigns(lock).filter(|other| {
                    self.dids[*other].sent.order <= did.received.order
                        && self.plain_proof(*other).is_none_or(|by| by.order >= did.sent.order)
                });
                candidates.next() == Some(reign) && candidates.next().is_none()
            }
            _ => false,
        });
        special.map(|did| did.received).chain(plain).min()
    }

    /// The same, of those that surely ran after it and show the lock free or overwritten.
    fn plain_proof(&self, reign: usize) -> Option<Moment> {
        let reign = &self.dids[reign];
        let on_lock = self.dids.iter().filter(|did| did.lock == reign.lock);
        let shows = on_lock.filter(|did| {
            reign.received.order < did.sent.order
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
    fn runs_out(&self, reign: usize) -> Option<u64> {
        let (Change::Took { lease, .. } | Change::Overwrote { lease, .. }) = self.dids[reign].change
        else {
            return None;
        };
        let proof = self.proof(reign).map_or(u64::MAX, |proof| proof.order);
        let extensions: Vec<(&Did<'_>, u64)> = self
            .dids
            .iter()
            .filter(|did| did.lock == self.dids[reign].lock)
            .filter_map(|did| match did.change {
                Change::Extended { lease } => Some((did, *lease)),
                _ => None,
            })
            .collect();
        let last = extensions.iter().rposition(|(did, _)| did.sent.order <= proof);
        let ends = extensions.iter().enumerate().filter_map(|(position, (did, lease))| {
            let concerns = did.received.order >= self.dids[reign].sent.order && Some(position) <= last;
            concerns.then_some(did.received.at + lease)
        });
        let own = self.dids[reign].received.at + (*lease)?;
        Some(ends.chain([own]).max().unwrap_or(own) + 1_000_000)
    }

    fn is_over_before(&self, reign: usize, moment: Moment) -> bool {
        self.proof(reign).is_some_and(|proof| proof.order < moment.order)
            || self.runs_out(reign).is_some_and(|at| at <= moment.at)
    }

    fn beliefs(&self) -> Vec<Belief> {
        let end_of_all = self.history.events.last().map(|event| event.moment).unwrap_or_default();
        let mut beliefs = Vec::new();
        for (position, step) in self.steps.iter().enumerate() {
            let (Some((from, operation, None)), Some(lock)) = (step.end, step.operation.lock) else {
                continue;
            };
            if operation.verb != "acquire" {
                continue;
            }
            let (surely, until, is_untold) = self.end_of_belief(step.actor, lock, from);
            let begins_to_give_back = self.steps.iter().filter(|other| {
                other.actor == step.actor
                    && other.operation.lock == Some(lock)
                    && matches!(&*other.operation.verb, "release" | "force_release")
                    && other.begun > from
            });
            let surely_until = begins_to_give_back
                .map(|other| other.begun)
                .chain([surely.unwrap_or(end_of_all)])
                .min()
                .unwrap_or(end_of_all);
            let taken = self
                .reigns(lock)
                .filter(|reign| self.dids[*reign].step == Some(position))
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
                    match &*operation.verb {
                        "release" | "force_release" | "acquire" => return (begun, end, true),
                        "forget_token" => return (begun, end, false),
                        _ => {}
                    }
                }
                EventKind::Failed { failure, .. } if failure.kind == FailureKind::Crashed => {
                    return (end, end, false);
                }
                EventKind::Failed { operation, failure } if operation.lock == Some(lock) => {
                    let is_told = match &*operation.verb {
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
                    let extends = |effect: &Effect| matches!(effect.change, Change::Extended { .. });
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

    fn overlaps(&self) -> Vec<Found> {
        let mut found = Vec::new();
        for a in &self.beliefs {
            for b in &self.beliefs {
                let is_later = a.from.order < b.from.order && a.lock == b.lock;
                let both = b.from.order < a.surely_until.order;
                if is_later && both {
                    found.push((Property::Overlap, a.lock, Some(a.actor), b.from.at));
                }
            }
        }
        found
    }

    fn foreign_releases(&self) -> Vec<Found> {
        let mut found = Vec::new();
        for did in &self.dids {
            let Change::Deleted { token } = did.change else { continue };
            if self.verb(did) != "release" {
                continue;
            }
            let is_foreign = match token {
                Some(token) => self.reigns(did.lock).any(|reign| {
                    token_of(self.dids[reign].change) == Some(token)
                        && self.dids[reign].actor != did.actor
                }),
                None => {
                    let mut own = self.reigns(did.lock).filter(|reign| {
                        self.dids[*reign].actor == did.actor
                            && self.dids[*reign].received < did.received
                    });
                    own.all(|own| self.is_over_before(own, did.sent))
                }
            };
            if is_foreign {
                found.push((Property::ForeignRelease, did.lock, did.actor, did.received.at));
            }
        }
        found
    }

    fn writes(&self) -> Vec<(&Step<'a>, usize, Moment, Write, Option<u64>)> {
        let writes = self.steps.iter().filter_map(|step| {
            let (done, operation, None) = step.end? else { return None };
            Some((step, operation.lock?, done, operation.write?, operation.fence))
        });
        writes.collect()
    }

    fn lost_updates(&self) -> Vec<Found> {
        let writes = self.writes();
        let mut found = Vec::new();
        for (step, lock, done, write, _) in &writes {
            let other = writes
                .iter()
                .find(|(_, other, _, wrote, _)| other == lock && wrote.wrote == write.replaced);
            let by_itself = other.is_some_and(|(other, ..)| other.actor == step.actor);
            let own = self.beliefs.iter().rev().find(|belief| {
                belief.actor == step.actor && belief.lock == *lock && belief.from < step.begun
            });
            let (Some(own), false) = (own.and_then(|own| own.taken), by_itself) else { continue };
            let was_gone = self.is_over_before(own, step.begun)
                || other.is_some_and(|(other, ..)| self.is_over_before(own, other.begun));
            if write.replaced != write.based_on && was_gone {
                found.push((Property::LostUpdate, *lock, Some(step.actor), done.at));
            }
        }
        found
    }

    fn silent_losses(&self) -> Vec<Found> {
        let mut found = Vec::new();
        for belief in self.beliefs.iter().filter(|belief| belief.is_untold) {
            let Some(taken) = belief.taken else { continue };
            let reign = &self.dids[taken];
            let own = |did: &&Did<'_>| did.lock == reign.lock && did.actor == reign.actor;
            let own_end = self.dids.iter().filter(own).find(|did| {
                let token = token_of(reign.change);
                let may_end_it = match did.change {
                    Change::Deleted { token: deleted } => {
                        deleted.is_none() || deleted.as_ref() == token
                    }
                    Change::Overwrote { .. } => true,
                    _ => false,
                };
                may_end_it && did.received > reign.received && did.sent < belief.until
            });
            let is_lost = match own_end {
                Some(own_end) => self.is_over_before(taken, own_end.sent),
                None => {
                    self.proof(taken).is_some_and(|proof| proof <= belief.until)
                        || self.runs_out(taken).is_some_and(|at| at <= belief.until.at)
                }
            };
            if is_lost {
                let actor = Some(belief.actor);
                found.push((Property::SilentLoss, belief.lock, actor, belief.until.at));
            }
        }
        found
    }

    fn left(&self) -> Vec<Found> {
        let mut found = Vec::new();
        for event in &self.history.events {
            let EventKind::Left(Left { lock, token, flag, remembered, .. }) = &event.kind else {
                continue;
            };
            let owner = |token: &String| {
                let owns = |reign: &usize| token_of(self.dids[*reign].change) == Some(token);
                self.reigns(*lock).find(owns).and_then(|reign| self.dids[reign].actor)
            };
            let at = event.moment.at;
            if let Some(token) = token {
                found.push((Property::StuckLock, *lock, owner(token), at));
            }
            if *flag != token.is_some() {
                let flags = self.dids.iter().rev().find(|did| {
                    did.lock == *lock && matches!(did.change, Change::Flagged { .. })
                });
                found.push((Property::FlagDrift, *lock, flags.and_then(|did| did.actor), at));
            }
            for remembered in remembered.iter().filter(|it| Some(*it) != token.as_ref()) {
                found.push((Property::TokenDrift, *lock, owner(remembered), at));
            }
        }
        found
    }

    fn fencing_order(&self) -> Vec<Found> {
        let mut found = Vec::new();
        let fences: Vec<(&Did<'_>, u64)> = self
            .dids
            .iter()
            .filter_map(|did| match did.change {
                Change::Took { fence: Some(fence), .. } => Some((did, *fence)),
                _ => None,
            })
            .collect();
        for (position, (did, fence)) in fences.iter().enumerate() {
            let is_wrong = fences[..position].iter().any(|(before, other)| {
                before.lock == did.lock
                    && (other == fence
                        || other > fence && before.received.order < did.sent.order)
            });
            if is_wrong {
                found.push((Property::FencingOrder, did.lock, did.actor, did.received.at));
            }
        }
        let writes = self.writes();
        for (step, lock, done, write, fence) in &writes {
            let falls = writes.iter().any(|(_, other, _, before, higher)| {
                other == lock && before.wrote < write.wrote && fence.is_some() && higher > fence
            });
            if falls {
                found.push((Property::FencingOrder, *lock, Some(step.actor), done.at));
            }
        }
        found
    }

    fn starvation(&self) -> Vec<Found> {
        let mut found = Vec::new();
        for lock in 0..self.history.head.locks.len() {
            let mut gains: Vec<(&Did<'_>, usize)> = self
                .beliefs
                .iter()
                .filter(|belief| belief.lock == lock)
                .filter_map(|belief| Some((&self.dids[belief.taken?], belief.actor)))
                .collect();
            gains.sort_by_key(|(did, _)| did.received);
            for actor in 0..self.history.head.actors.len() {
                if let Some(at) = self.starves(actor, lock, &gains) {
                    found.push((Property::Starvation, lock, Some(actor), at));
                }
            }
        }
        found
    }

    fn starves(&self, actor: usize, lock: usize, gains: &[(&Did<'_>, usize)]) -> Option<u64> {
        let end_of_all = self.history.events.last().map(|event| event.moment).unwrap_or_default();
        let tries: Vec<&Step<'_>> = self
            .steps
            .iter()
            .filter(|step| step.actor == actor && step.operation.lock == Some(lock))
            .filter(|step| step.operation.verb == "acquire")
            .collect();
        if tries.iter().any(|step| step.end.is_some_and(|(_, _, failure)| failure.is_none())) {
            return None;
        }
        let end = |step: &Step<'_>| step.end.map_or(end_of_all, |(moment, ..)| moment);
        let refused = tries.iter().filter(|step| {
            step.end.and_then(|(_, _, failure)| failure).is_some_and(|failure| {
                matches!(failure.kind, FailureKind::AlreadyLocked | FailureKind::TimedOut)
            })
        });
        let mut spans = Vec::new();
        if refused.count() >= 3 {
            spans.push((tries[0].begun, end(tries[tries.len() - 1])));
        }
        spans.extend(tries.iter().map(|step| (step.begun, end(step))));
        let gets_it_again = |(from, until): &&(Moment, Moment)| {
            let within = |position: &usize| {
                let did = gains[*position].0;
                from.order < did.sent.order && did.received.order < until.order
            };
            (0..self.history.head.actors.len()).any(|other| {
                let of_other: Vec<usize> =
                    (0..gains.len()).filter(|position| gains[*position].1 == other).collect();
                let got: Vec<usize> = of_other.iter().copied().filter(within).collect();
                let in_a_row = got.windows(2).any(|two| {
                    let (a, b) = (gains[two[0]].0, gains[two[1]].0);
                    gains.iter().enumerate().all(|(position, (did, _))| {
                        position == two[0]
                            || position == two[1]
                            || did.received.order < a.sent.order
                            || did.sent.order > b.received.order
                    })
                });
                got.len() >= 3 && in_a_row
            })
        };
        spans.iter().find(gets_it_again).map(|(_, until)| until.at)
    }

    fn deadlocks(&self) -> Vec<Found> {
        let waits: Vec<&Step<'_>> = self.steps.iter().filter(|step| self.waits(step)).collect();
        let mut found = Vec::new();
        for step in &waits {
            let now = step.begun;
            // Whom the lock that an actor waits for makes it wait for.
            let next = |actor: usize| {
                let wait = waits.iter().find(|wait| {
                    wait.actor == actor
                        && wait.begun <= now
                        && wait.end.is_none_or(|(end, ..)| end > now)
                })?;
                let holder = self
                    .beliefs
                    .iter()
                    .rev()
                    .filter(|belief| Some(belief.lock) == wait.operation.lock)
                    .find(|belief| belief.from <= now && belief.from < belief.surely_until)
                    .filter(|belief| belief.surely_until > now)?;
                let is_over = holder.taken.is_some_and(|taken| self.is_over_before(taken, now));
                (!is_over).then_some(holder.actor)
            };
            let mut at = next(step.actor);
            let mut length = 1;
            while let Some(actor) = at.filter(|actor| *actor != step.actor) {
                at = next(actor);
                length += 1;
                if length > self.history.head.actors.len() {
                    at = None;
                }
            }
            if let (Some(lock), true, true) = (step.operation.lock, at.is_some(), length > 1) {
                found.push((Property::Deadlock, lock, Some(step.actor), now.at));
            }
        }
        found
    }

    fn waits(&self, step: &Step<'_>) -> bool {
        let refusals = self.dids.iter().filter(|did| {
            did.step.is_some_and(|of| std::ptr::eq(&self.steps[of], step))
                && *did.change == Change::Refused
        });
        let ends_waiting = match step.end {
            None => true,
            Some((_, _, None)) => false,
            Some((_, _, Some(failure))) => {
                matches!(failure.kind, FailureKind::TimedOut | FailureKind::Interrupted)
            }
        };
        step.operation.verb == "acquire" && (refusals.count() > 1 || ends_waiting)
    }
}

fn token_of(change: &Change) -> Option<&String> {
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
