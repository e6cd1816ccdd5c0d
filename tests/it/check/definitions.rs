//! The definitions of the properties, written down as they are read.

use super::oracle::{Did, Oracle, Step, token_of};
use lock_history::check::Property;
use lock_history::history::{
    Change, Command, EventKind, FailureKind, Left, Moment, Sharing, Write,
};
use std::collections::BTreeSet;

/// A finding without its words: the property, the lock, who did wrong or suffered, and when.
pub type Found = (Property, usize, Option<usize>, u64);

impl<'a> Oracle<'a> {
    /// Everything that is wrong.
    pub fn all(&self) -> Vec<Found> {
        let mut all = Vec::new();
        all.extend(self.double_grants());
        all.extend(self.overlaps());
        all.extend(self.foreign_releases());
        all.extend(self.foreign_overwrites());
        all.extend(self.foreign_extends());
        all.extend(self.lost_updates());
        all.extend(self.silent_losses());
        all.extend(self.left());
        all.extend(self.lowered_flags());
        all.extend(self.fencing_order());
        all.extend(self.starvation());
        all.extend(self.deadlocks());
        all.sort();
        all
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

    /// Each acquire that completed: its lock, and the step.
    fn grants(&self) -> impl Iterator<Item = (usize, &Step<'a>, Moment)> {
        self.steps.iter().filter_map(|step| {
            let (granted, operation, None) = step.end? else { return None };
            (operation.verb.word() == "acquire").then_some((operation.lock?, step, granted))
        })
    }

    /// When the lease is over that an acquire asked for or, where it asked for none, got; and when the
    /// command was sent by which it last took the lock. The lease counts from the first command since the
    /// last refusal; from the taking one, if the lease was over by then or the lock was taken away.
    fn term(&self, lock: usize, step: &Step<'a>, granted: Moment) -> (u64, Moment) {
        let asked = step.operation.lease;
        let from = |at: u64, lease: Option<u64>| lease.map_or(u64::MAX, |lease| at + lease);
        let (mut first, mut until, mut taken) = (None, from(granted.at, asked), granted);
        for event in &self.history.events {
            let EventKind::Command(Command { sent, effects, .. }) = &event.kind else { continue };
            let is_its = event.actor == Some(step.actor) && step.begun <= *sent;
            if !is_its || event.moment > granted {
                continue;
            }
            if first.is_none() {
                (first, until) = (Some(event.moment), from(sent.at, asked));
            }
            for effect in effects.iter().filter(|effect| effect.lock == lock) {
                let (takes, lease) = match effect.change {
                    Change::Took { lease, .. } | Change::Overwrote { lease, .. } => (true, lease),
                    Change::Extended { lease } => (false, Some(lease)),
                    Change::Refused => {
                        (first, until) = (None, from(granted.at, asked));
                        continue;
                    }
                    _ => continue,
                };
                let is_between = |gone: Moment| first.is_some_and(|it| it < gone) && gone < *sent;
                let is_gone = self.removals(lock).any(|(_, gone)| is_between(gone));
                if takes {
                    taken = *sent;
                }
                if takes && (until <= event.moment.at || is_gone) {
                    (first, until) = (Some(event.moment), from(sent.at, asked));
                }
                if until == u64::MAX {
                    until = from(sent.at, lease);
                }
            }
        }
        (until, taken)
    }

    /// When commands were sent, and answered, that take a lock away and excuse a second grant.
    fn removals(&self, lock: usize) -> impl Iterator<Item = (Moment, Moment)> {
        let mut own = vec!["acquire", "extend", "dump", "external_dump"];
        // What a release takes away from others is judged of locks that have one owner.
        own.extend(self.history.head.sharing.is_some().then_some("release"));
        let removals = self.dids.iter().filter(move |did| {
            let is_gone = matches!(did.change, Change::Deleted { .. } | Change::Overwrote { .. });
            is_gone && did.lock == lock && !own.contains(&self.verb(did))
        });
        removals.map(|did| (did.sent, did.received))
    }

    /// Whether an actor was done with a lock, or may have lost it in a way that excuses a second grant,
    /// between the command that took it and a moment.
    fn is_excused(&self, lock: usize, actor: usize, [taken, granted, by]: [Moment; 3]) -> bool {
        let own = self.history.events.iter().filter(|event| {
            event.actor == Some(actor) && granted < event.moment && event.moment < by
        });
        let mut own_ends = own.filter(|event| match &event.kind {
            EventKind::Invoked(operation) => {
                operation.lock == Some(lock)
                    && matches!(operation.verb.word(), "release" | "force_release")
            }
            EventKind::Completed(operation) => {
                operation.lock == Some(lock) && operation.verb.word() == "forget_token"
            }
            EventKind::Failed { failure, .. } if failure.kind == FailureKind::Crashed => true,
            EventKind::Failed { operation, failure } => {
                let is_told = failure.kind == FailureKind::LostLock
                    || failure.kind == FailureKind::Refused && operation.verb.word() == "dump";
                is_told && operation.lock.is_none_or(|it| it == lock)
            }
            EventKind::Ended { .. } => true,
            _ => false,
        });
        let mut removals =
            self.removals(lock).filter(|(sent, received)| taken < *received && *sent < by);
        own_ends.next().is_some() || removals.next().is_some()
    }

    /// Whether an actor may hold a lock beside these.
    fn may_join(&self, newcomer: usize, holders: &BTreeSet<usize>) -> bool {
        match &self.history.head.sharing {
            None => holders.is_empty(),
            Some(Sharing::Permits(0)) => true,
            Some(Sharing::Permits(permits)) => holders.len() < *permits as usize,
            Some(Sharing::Readers(readers)) => {
                let all_read = holders.iter().chain([&newcomer]).all(|it| readers.contains(it));
                holders.is_empty() || all_read
            }
        }
    }

    fn double_grants(&self) -> Vec<Found> {
        let mut found = BTreeSet::new();
        for (lock, newcomer, at) in self.grants() {
            let (until, taken) = self.term(lock, newcomer, at);
            if until <= at.at || self.is_excused(lock, newcomer.actor, [taken, at, at]) {
                continue;
            }
            let mut holders = BTreeSet::new();
            for (of, holder, granted) in self.grants() {
                if of != lock || holder.actor == newcomer.actor || granted >= at {
                    continue;
                }
                let (until, taken) = self.term(lock, holder, granted);
                let is_excused = self.is_excused(lock, holder.actor, [taken, granted, at]);
                if until > at.at && until > granted.at && !is_excused {
                    holders.insert(holder.actor);
                }
            }
            if !self.may_join(newcomer.actor, &holders) {
                found.extend(holders.into_iter().map(|holder| (lock, holder, at)));
            }
        }
        let each = found.into_iter();
        each.map(|(lock, actor, at)| (Property::DoubleGrant, lock, Some(actor), at.at)).collect()
    }

    fn foreign_releases(&self) -> Vec<Found> {
        let mut found = Vec::new();
        for did in &self.dids {
            let Change::Deleted { token } = did.change else { continue };
            if self.verb(did) != "release" {
                continue;
            }
            let is_foreign = match token {
                Some(token) => self.tenures(did.lock).any(|tenure| {
                    token_of(self.dids[tenure].change) == Some(token)
                        && self.dids[tenure].actor != did.actor
                }),
                None => {
                    let mut own = self.tenures(did.lock).filter(|tenure| {
                        self.dids[*tenure].actor == did.actor
                            && self.dids[*tenure].received < did.received
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

    /// Whether a command is one of those with which an actor changes its own lock only.
    fn is_for_ones_own(&self, did: &Did<'_>) -> bool {
        ["acquire", "extend", "dump", "release", "redis"].contains(&self.verb(did))
    }

    /// Whether all acquisitions of an actor were surely over when its command was sent.
    fn has_none_of_its_own(&self, did: &Did<'_>) -> bool {
        let mut own = self.tenures(did.lock).filter(|tenure| {
            self.dids[*tenure].actor == did.actor && self.dids[*tenure].received < did.received
        });
        own.all(|own| self.is_over_before(own, did.sent))
    }

    fn foreign_extends(&self) -> Vec<Found> {
        let extends = self.dids.iter().filter(|did| {
            matches!(did.change, Change::Extended { .. })
                && self.is_for_ones_own(did)
                && self.has_none_of_its_own(did)
        });
        let found = |did: &Did<'_>| (Property::ForeignExtend, did.lock, did.actor, did.received.at);
        extends.map(found).collect()
    }

    fn foreign_overwrites(&self) -> Vec<Found> {
        let overwrites = self.dids.iter().filter(|did| {
            matches!(did.change, Change::Overwrote { .. })
                && self.is_for_ones_own(did)
                && self.has_none_of_its_own(did)
                && self.tenures(did.lock).any(|tenure| self.surely_lasted(tenure, did))
        });
        let found =
            |did: &Did<'_>| (Property::ForeignOverwrite, did.lock, did.actor, did.received.at);
        overwrites.map(found).collect()
    }

    /// Whether an acquisition of another actor surely lasted until this command: no deletion that may have
    /// come between them, nothing after it that shows its end, and a lease that is surely not over.
    fn surely_lasted(&self, tenure: usize, until: &Did<'_>) -> bool {
        let taken = &self.dids[tenure];
        let on_lock = || self.dids.iter().filter(|did| did.lock == until.lock);
        let may_be_between = |did: &&Did<'_>| {
            did.received.order >= taken.sent.order && did.sent.order <= until.received.order
        };
        let deleted = |did: &Did<'_>| matches!(did.change, Change::Deleted { .. });
        taken.actor != until.actor
            && taken.received.order < until.sent.order
            && !on_lock().filter(may_be_between).any(deleted)
            && self.proof(tenure) == Some(until.received)
            && self.runs_out(tenure).is_none_or(|at| at - 1_000_000 > until.received.at)
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
            let tenure = &self.dids[taken];
            let own = |did: &&Did<'_>| did.lock == tenure.lock && did.actor == tenure.actor;
            let own_end = self.dids.iter().filter(own).find(|did| {
                let token = token_of(tenure.change);
                let may_end_it = match did.change {
                    Change::Deleted { token: deleted } => {
                        deleted.is_none() || deleted.as_ref() == token
                    }
                    Change::Overwrote { .. } => true,
                    _ => false,
                };
                may_end_it && did.received > tenure.received && did.sent < belief.until
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
            let EventKind::Left(left) = &event.kind else { continue };
            let Left { lock, token, flag, remembered, acquirable, held_elsewhere, .. } = left;
            let owner = |token: &String| {
                let owns = |tenure: &usize| token_of(self.dids[*tenure].change) == Some(token);
                self.tenures(*lock).find(owns).and_then(|tenure| self.dids[tenure].actor)
            };
            let at = event.moment.at;
            let is_free = *acquirable == Some(true);
            if let Some(token) = token.as_ref().filter(|_| !is_free && !held_elsewhere) {
                found.push((Property::StuckLock, *lock, owner(token), at));
            }
            if token.is_none() && *acquirable == Some(false) {
                found.push((Property::Unavailable, *lock, None, at));
            }
            if *flag != token.is_some() && !held_elsewhere {
                let flags =
                    self.dids.iter().rev().find(|did| {
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

    /// A holder began a step while the flag said free that it had set. Once for each belief.
    fn lowered_flags(&self) -> Vec<Found> {
        let mut found = Vec::new();
        for belief in &self.beliefs {
            let Some(taken) = belief.taken else { continue };
            let mut begun = self.history.events.iter().filter(|event| {
                event.actor == Some(belief.actor) && matches!(event.kind, EventKind::Invoked(_))
            });
            let moment = begun.find(|event| {
                let is_believed = belief.from < event.moment && event.moment <= belief.surely_until;
                is_believed
                    && self.certainly_lasts(taken, event.moment)
                    && self.is_lowered(taken, event.moment)
            });
            let at = moment.map(|event| event.moment.at);
            found.extend(at.map(|at| (Property::FlagDrift, belief.lock, Some(belief.actor), at)));
        }
        found
    }

    /// Whether the flag was set under an acquisition, and certainly set to free since.
    fn is_lowered(&self, taken: usize, moment: Moment) -> bool {
        let tenure = &self.dids[taken];
        let flags = |set: bool| {
            let on_lock = self.dids.iter().filter(|did| did.lock == tenure.lock);
            on_lock.filter(
                move |did| matches!(did.change, Change::Flagged { locked } if *locked == set),
            )
        };
        flags(false).any(|lowered| {
            let is_raised = flags(true).any(|raised| {
                let is_since = raised.received == tenure.received || tenure.received < raised.sent;
                is_since && raised.received < lowered.sent
            });
            let may_be_raised_again =
                flags(true).any(|raised| lowered.sent <= raised.received && raised.sent < moment);
            lowered.received < moment && is_raised && !may_be_raised_again
        })
    }

    /// Whether nothing can have ended an acquisition before a moment.
    fn certainly_lasts(&self, taken: usize, moment: Moment) -> bool {
        let tenure = &self.dids[taken];
        let between = |did: &&Did<'_>| {
            did.lock == tenure.lock && tenure.sent < did.received && did.sent < moment
        };
        let is_ended = self.dids.iter().filter(between).any(|did| {
            let ends = matches!(
                did.change,
                Change::Took { .. } | Change::Overwrote { .. } | Change::Deleted { .. }
            );
            ends && did.received != tenure.received
        });
        let leases = || {
            self.dids.iter().filter(between).filter_map(|did| match did.change {
                Change::Extended { lease } => Some((did.sent, did.received, *lease)),
                Change::Took { lease, .. } | Change::Overwrote { lease, .. }
                    if did.received == tenure.received =>
                {
                    Some((did.sent, did.received, lease.unwrap_or(u64::MAX)))
                }
                _ => None,
            })
        };
        let may_be_over = leases().any(|(sent, received, lease)| {
            let is_replaced = leases().any(|(other, set, _)| received < other && set <= moment);
            !is_replaced && sent.at.saturating_add(lease) < moment.at
        });
        !is_ended && !may_be_over && self.proof(taken).is_none_or(|proof| moment <= proof)
    }

    /// The fencing token of an acquisition, and when it was told: by the command, or in the answer to the acquire by
    /// the last command in it that took the lock. If the lock was surely taken away by then, the answer counts only
    /// where a later acquisition was told none that is higher before.
    fn fence(&self, did: &Did<'_>) -> Option<(Moment, u64)> {
        let takes =
            |change: &Change| matches!(change, Change::Took { .. } | Change::Overwrote { .. });
        match did.change {
            Change::Took { fence: Some(fence), .. } => return Some((did.received, *fence)),
            change if !takes(change) || self.verb(did) != "acquire" => return None,
            _ => {}
        }
        let took = |it: &&Did<'_>| takes(it.change) && it.lock == did.lock && it.step == did.step;
        let is_last = self.dids.iter().rfind(took).is_some_and(|last| std::ptr::eq(last, did));
        let (answered, operation, None) = self.steps.get(did.step?)?.end? else { return None };
        let fence = operation.fence.filter(|_| is_last)?;
        let takes_away = |it: &Did<'_>| {
            let is_gone = matches!(it.change, Change::Deleted { .. } | Change::Saw { token: None });
            takes(it.change) || is_gone
        };
        let is_over = self.dids.iter().any(|it| {
            let is_between = did.received < it.sent && it.received < answered;
            it.lock == did.lock && takes_away(it) && is_between
        });
        let is_passed = || {
            let later =
                self.dids.iter().filter(|it| it.lock == did.lock && did.received < it.received);
            let told = later.filter_map(|it| self.fence(it));
            told.into_iter().any(|(told, other)| told < answered && other <= fence)
        };
        (!is_over || is_passed()).then_some((answered, fence))
    }

    fn fencing_order(&self) -> Vec<Found> {
        let mut found = Vec::new();
        let fences: Vec<(&Did<'_>, u64)> =
            self.dids.iter().filter_map(|did| Some((did, self.fence(did)?.1))).collect();
        for (position, (did, fence)) in fences.iter().enumerate() {
            let is_wrong = fences[..position].iter().any(|(before, other)| {
                before.lock == did.lock
                    && (other == fence || other > fence && before.received.order < did.sent.order)
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
            .filter(|step| step.operation.verb.word() == "acquire")
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
        step.operation.verb.word() == "acquire" && (refusals.count() > 1 || ends_waiting)
    }
}
