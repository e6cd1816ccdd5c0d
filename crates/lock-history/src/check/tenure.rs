//! Whose each lock was, and until when, as far as the history proves it.
//!
//! A *tenure* begins with a command that takes or overwrites the lock key. It is proved to be over
//! by the first command that ran surely after it and found or left the lock key without it, or by
//! its lease. How it ended may remain unknown where commands overlapped.

use super::access::{Access, Alteration, AlterationKind, Deletions, Fault, Open, Span};
use super::foreign::{as_judged, is_claim};
use super::leases::{Extensions, LeaseEnd};
use super::trace::Trace;
use crate::history::{Change, Event, EventKind, Left, Moment, Operation, Verb};
use std::collections::{HashMap, VecDeque};

/// One acquisition, from its beginning to what proves its end.
#[derive(Debug)]
pub(super) struct Tenure<'a> {
    /// What began it.
    pub access: Access<'a>,
    /// The token that the lock key then held.
    pub token: &'a str,
    /// Its fencing token.
    pub fence: Option<u64>,
    /// The end of its lease, if that is certain.
    pub lease: Option<LeaseEnd>,
    /// The first command that proves it to be over.
    pub end: Option<End<'a>>,
    /// The first deletion or overwriting by its own actor that may have been its end.
    pub own_end: Option<Access<'a>>,
    /// The lease that it was given when it began.
    pub leased: Option<u64>,
}

impl Tenure<'_> {
    /// Whether it was surely over when this was sent or begun.
    pub fn is_over_before(&self, moment: Moment) -> bool {
        self.end.as_ref().is_some_and(|end| end.access.span.received.order < moment.order)
            || self.lease.is_some_and(|lease| lease.gone_at <= moment.at)
    }

    /// Whether its own actor had ended it when this was sent. Its token may have stayed behind.
    pub fn is_given_up_before(&self, moment: Moment) -> bool {
        let own = self.end.filter(|end| end.access.actor == self.access.actor);
        own.is_some_and(|end| end.access.span.received.order < moment.order)
    }
}

/// What proves that a tenure is over.
#[derive(Debug, Clone, Copy)]
pub(super) struct End<'a> {
    /// Which command or fault.
    pub access: Access<'a>,
    /// What it shows.
    pub shows: Shows,
}

/// What a proof of an end shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shows {
    /// The lock key was deleted, surely under this tenure.
    Deleted,
    /// The lock key was deleted, maybe under another tenure.
    Cleared,
    /// The lock key was overwritten.
    Overwritten,
    /// The lock was found free.
    Free,
}

/// Of a tenure and all later ones, the two whose commands were sent first.
#[derive(Debug, Clone, Copy)]
struct Earliest {
    tenure: usize,
    sent: u64,
    next_sent: u64,
}

/// Everything about one lock.
#[derive(Debug, Default)]
pub(super) struct LockTrace<'a> {
    /// All tenures, in the order in which their replies came.
    pub tenures: Vec<Tenure<'a>>,
    /// All changes of it, likewise.
    pub alterations: Vec<Alteration<'a>>,
    /// When it was deleted.
    pub deletions: Deletions,
    /// All writes of the flag, likewise, and whether they set it to locked.
    pub flags: Vec<(Access<'a>, bool)>,
    /// How the lock was left when no actor was active, and when that was seen.
    pub left: Option<(Moment, &'a Left)>,
    /// For each tenure.
    earliest: Vec<Earliest>,
    /// The tenure of each token; none, if there are several.
    tokens: HashMap<&'a str, Option<usize>>,
}

impl<'a> LockTrace<'a> {
    /// The only tenure with this token.
    pub fn tenure_of(&self, token: &str) -> Option<usize> {
        self.tokens.get(token).copied().flatten()
    }

    /// Whether several tenures had this token, so that it says nothing.
    pub fn is_reused(&self, token: &str) -> bool {
        self.tokens.get(token).is_some_and(Option::is_none)
    }

    /// Whether a tenure was surely not over at a moment.
    pub fn certainly_lasts(&self, tenure: usize, moment: Moment) -> bool {
        let Some(it) = self.tenures.get(tenure) else { return false };
        let began = it.access.span;
        let may_be_between = |span: Span| {
            began.sent < span.received
                && span.sent < moment
                && span.received.order != began.received.order
        };
        let may_end_it = |other: &Alteration<'_>| {
            !matches!(other.kind, AlterationKind::Extended { .. })
                && may_be_between(other.access.span)
        };
        let is_followed = self.tenures.iter().any(|other| may_be_between(other.access.span));
        it.end.is_none_or(|end| moment <= end.access.span.received)
            && !is_followed
            && !self.alterations.iter().any(may_end_it)
            && moment.at <= self.earliest_end(it, moment)
    }

    /// When the lease of a tenure expires at the earliest, by what was sent before a moment.
    fn earliest_end(&self, tenure: &Tenure<'_>, moment: Moment) -> u64 {
        let began = tenure.access.span;
        let extensions = self.alterations.iter().filter_map(|it| match it.kind {
            AlterationKind::Extended { lease } => Some((it.access.span, lease)),
            AlterationKind::Deleted { .. } | AlterationKind::Overwrote => None,
        });
        let given = (began, tenure.leased.unwrap_or(u64::MAX));
        let leases: Vec<(Span, u64)> = extensions
            .filter(|(span, _)| began.sent < span.received && span.sent < moment)
            .chain([given])
            .collect();
        let surely_set = leases.iter().filter(|(span, _)| span.received <= moment);
        let last_sent = surely_set.map(|(span, _)| span.sent).max().unwrap_or_default();
        let in_force = leases.iter().filter(|(span, _)| last_sent <= span.received);
        in_force.map(|(span, lease)| span.sent.at.saturating_add(*lease)).min().unwrap_or_default()
    }

    /// What can be said only when everything was read.
    fn finish(&mut self, extensions: &Extensions, hidden_from: Moment) {
        self.earliest.reserve(self.tenures.len());
        let mut after = Earliest { tenure: 0, sent: u64::MAX, next_sent: u64::MAX };
        for (position, tenure) in self.tenures.iter().enumerate().rev() {
            let sent = tenure.access.span.sent.order;
            after = if sent <= after.sent {
                Earliest { tenure: position, sent, next_sent: after.sent }
            } else {
                Earliest { next_sent: after.next_sent.min(sent), ..after }
            };
            self.earliest.push(after);
        }
        self.earliest.reverse();
        self.deletions.finish();
        self.name_victims(hidden_from);
        for tenure in &mut self.tenures {
            let over_by = tenure.end.map(|end| end.access.span.received.order);
            let lease = extensions.end(tenure.access.span, tenure.leased, over_by);
            // What is not seen may have extended it.
            tenure.lease = lease.filter(|lease| lease.gone_at <= hidden_from.at);
        }
    }

    /// The only tenure that a deletion can have ended.
    fn only_candidate(&self, deletion: &Alteration<'_>) -> Option<usize> {
        let by = deletion.access.span.received.order;
        let later = self.earliest.get(deletion.tenures_before);
        let later = later.filter(|later| later.sent <= by);
        match (deletion.open, later) {
            (Open::One(tenure), None) => Some(tenure),
            (Open::None, Some(later)) if by < later.next_sent => Some(later.tenure),
            _ => None,
        }
    }

    /// A deletion that made sure of the token ended that token's tenure, even if the reply to the
    /// acquire came later. One that didn't ended the only tenure that there was, if all are known.
    fn name_victims(&mut self, hidden_from: Moment) {
        for deletion in &self.alterations {
            let AlterationKind::Deleted { token, .. } = deletion.kind else { continue };
            let span = deletion.access.span;
            let by_token = token.and_then(|token| self.tenure_of(token));
            let is_seen = span.received.order < hidden_from.order;
            let only = || self.only_candidate(deletion).filter(|_| is_seen);
            let victim = by_token.or_else(only);
            let Some(tenure) = victim.and_then(|victim| self.tenures.get_mut(victim)) else {
                continue;
            };
            if tenure.end.is_none_or(|end| span.received.order <= end.access.span.received.order) {
                tenure.end = Some(End { access: deletion.access, shows: Shows::Deleted });
            }
        }
    }
}

/// Reads every lock's line from a history.
pub(super) fn read<'a>(trace: &Trace<'a>) -> Vec<LockTrace<'a>> {
    let mut readers: Vec<Reader<'a>> = trace.head.locks.iter().map(|_| Reader::default()).collect();
    let mut active: u64 = 0;
    let mut last_of: Vec<Moment> = vec![Moment::default(); trace.head.actors.len()];
    for (event, step) in trace.events.iter().zip(&trace.step_of) {
        let received = event.moment;
        let last = event.actor.and_then(|actor| last_of.get_mut(actor));
        // A fault ran after what its actor did before it.
        let before = last.map_or(received, |last| std::mem::replace(last, received));
        let (sent, effects, fault) = match &event.kind {
            EventKind::Command(command) => (command.sent, &command.effects, None),
            EventKind::Fault { effects, lease_of: Some(_), .. } => {
                (before, effects, Some(Fault::LeaseExpired))
            }
            EventKind::Fault { what, effects, .. } => {
                (before, effects, Some(Fault::OnPurpose(what)))
            }
            EventKind::Left(left) => {
                let reader = readers.get_mut(left.lock).filter(|_| active == 0);
                if let Some(reader) = reader {
                    reader.lock_trace.left = Some((received, left));
                }
                continue;
            }
            EventKind::Started => {
                active += 1;
                continue;
            }
            EventKind::Ended { .. } => {
                active = active.saturating_sub(1);
                continue;
            }
            EventKind::Completed(operation) => {
                hear(&mut readers, trace, (event, *step), operation);
                continue;
            }
            _ => continue,
        };
        let span = Span { sent, received };
        let late = match &event.kind {
            EventKind::Command(command) => command.late.as_ref(),
            _ => None,
        };
        let access = Access { span, actor: event.actor, step: *step, late, fault };
        for effect in effects {
            if let Some(reader) = readers.get_mut(effect.lock) {
                reader.read(&effect.change, access, late.or_else(|| trace.verb(*step)));
            }
        }
    }
    readers.into_iter().map(|reader| reader.finish(trace.hidden_from)).collect()
}

/// A step is done: what its client's answer tells.
fn hear<'a>(
    readers: &mut [Reader<'a>],
    trace: &Trace<'a>,
    (event, step): (&Event, Option<usize>),
    answer: &Operation,
) {
    let ended = step.and_then(|step| Some((step, trace.steps.get(step)?)));
    let Some((step, ended)) = ended else { return };
    let Some(reader) = ended.operation.lock.and_then(|lock| readers.get_mut(lock)) else { return };
    let span = Span { sent: event.moment, received: event.moment };
    let access = Access { span, actor: event.actor, step: Some(step), late: None, fault: None };
    reader.complete(access, &ended.operation.verb);
    if ended.operation.verb == Verb::Acquire {
        reader.hear_fence(access, answer.fence);
    }
}

/// A line that is being read.
#[derive(Debug, Default)]
struct Reader<'a> {
    lock_trace: LockTrace<'a>,
    /// The tenures that are not proved to be over, in the order in which their replies came.
    pending: VecDeque<usize>,
    /// By when all that are not pending are proved to be over.
    others_over_by: u64,
    latest_of: HashMap<usize, usize>,
    /// The last step of each actor in which it began a tenure.
    began_in: HashMap<usize, usize>,
    /// The last step of each actor in which it deleted the lock.
    deleted_in: HashMap<usize, usize>,
    /// The last step of each actor in which it wrote a value without a token, and the lease.
    wrote_in: HashMap<usize, (usize, Option<u64>)>,
    extensions: Extensions,
}

impl<'a> Reader<'a> {
    /// A step is done. Where its commands don't tell who holds the lock, the client's answer does.
    fn complete(&mut self, access: Access<'a>, verb: &Verb) {
        let (Some(actor), Some(step)) = (access.actor, access.step) else { return };
        match verb {
            Verb::Acquire => {
                let took = self.began_in.get(&actor) == Some(&step);
                let wrote = self.wrote_in.get(&actor).filter(|(its, _)| *its == step);
                let lease = wrote.and_then(|(_, lease)| *lease);
                if !took && wrote.is_some() {
                    self.overwrite(access, "", lease);
                } else if !took && self.pending.is_empty() {
                    self.begin(access, "", None, None);
                }
            }
            Verb::Release if self.deleted_in.get(&actor) != Some(&step) => {
                let is_late = |own: usize| {
                    self.lock_trace.tenures.get(own).is_none_or(|own| own.access.late.is_some())
                };
                let own = self.own_of(access);
                let own = own.filter(|own| !is_late(*own) && self.pending.contains(own));
                let Some(own) = own else { return };
                self.pending.retain(|pending| *pending != own);
                self.others_over_by = self.others_over_by.max(access.span.received.order);
                if let Some(tenure) = self.lock_trace.tenures.get_mut(own) {
                    tenure.own_end.get_or_insert(access);
                    tenure.end = Some(End { access, shows: Shows::Deleted });
                }
            }
            _ => {}
        }
    }

    /// The fencing token of an acquisition, where the client tells it and not the command. One that is lost by
    /// then must not have a higher one than the tenures that came after it.
    fn hear_fence(&mut self, access: Access<'a>, fence: Option<u64>) {
        let Some(own) = self.own_of(access) else { return };
        let tenures = &mut self.lock_trace.tenures;
        let later = tenures.get(own + 1..).unwrap_or_default();
        let is_passed = later.iter().any(|later| later.fence.is_some() && later.fence <= fence);
        let counts = self.pending.contains(&own) || is_passed;
        let own = tenures.get_mut(own).filter(|own| counts && own.access.step == access.step);
        if let Some(own) = own {
            own.fence = own.fence.or(fence);
        }
    }

    /// What a command in a step of this verb, or a fault, did.
    fn read(&mut self, effect: &'a Change, access: Access<'a>, verb: Option<&Verb>) {
        let change = as_judged(effect, verb);
        let is_freed = !std::ptr::eq(change, effect);
        if let (Change::Deleted { .. }, Some((actor, step))) =
            (change, access.actor.zip(access.step))
        {
            self.deleted_in.insert(actor, step);
        }
        match change {
            Change::Took { token, fence, lease } => {
                self.conclude(access, Shows::Free);
                self.begin(access, token, *fence, *lease);
            }
            Change::Overwrote { token, lease } if is_claim(change, verb) => {
                self.overwrite(access, token, *lease);
            }
            Change::Overwrote { lease, .. } => {
                if let Some((actor, step)) = access.actor.zip(access.step) {
                    self.wrote_in.insert(actor, (step, *lease));
                }
            }
            Change::Saw { token: None } => self.conclude(access, Shows::Free),
            Change::Extended { lease } => {
                self.alter(access, AlterationKind::Extended { lease: *lease });
                self.extensions.add(access.span, *lease);
            }
            Change::Deleted { token } => self.delete(access, token.as_deref(), is_freed),
            Change::Flagged { locked } => self.lock_trace.flags.push((access, *locked)),
            Change::Refused | Change::Saw { token: Some(_) } => {}
        }
    }

    /// Whatever began surely before this is over now, and whatever value was there is gone.
    fn conclude(&mut self, access: Access<'a>, shows: Shows) {
        self.wrote_in.clear();
        while let Some(tenure) =
            self.pending.front().and_then(|first| self.lock_trace.tenures.get_mut(*first))
        {
            if !tenure.access.span.is_before(access.span) {
                return;
            }
            tenure.end = Some(End { access, shows });
            self.others_over_by = access.span.received.order;
            self.pending.pop_front();
        }
    }

    fn begin(
        &mut self,
        access: Access<'a>,
        token: &'a str,
        fence: Option<u64>,
        leased: Option<u64>,
    ) {
        let position = self.lock_trace.tenures.len();
        let known = self.lock_trace.tokens.entry(token);
        known.and_modify(|tenure| *tenure = None).or_insert(Some(position));
        if let Some(actor) = access.actor {
            self.latest_of.insert(actor, position);
            if let Some(step) = access.step.filter(|_| access.late.is_none()) {
                self.began_in.insert(actor, step);
            }
        }
        self.pending.push_back(position);
        self.lock_trace.tenures.push(Tenure {
            access,
            token,
            fence,
            lease: None,
            end: None,
            own_end: None,
            leased,
        });
    }

    /// An actor replaces the lock's value, and holds the lock from then on.
    fn overwrite(&mut self, access: Access<'a>, token: &'a str, lease: Option<u64>) {
        self.alter(access, AlterationKind::Overwrote);
        self.conclude(access, Shows::Overwritten);
        self.note_own_end(access);
        self.begin(access, token, None, lease);
    }

    /// An actor overwrites the lock, which may be its own.
    fn note_own_end(&mut self, access: Access<'a>) {
        let own = self.own_of(access).and_then(|own| self.lock_trace.tenures.get_mut(own));
        if let Some(own) = own {
            own.own_end.get_or_insert(access);
        }
    }

    /// The latest acquisition of the actor that did this.
    fn own_of(&self, access: Access<'_>) -> Option<usize> {
        self.latest_of.get(&access.actor?).copied()
    }

    fn delete(&mut self, access: Access<'a>, token: Option<&'a str>, is_freed: bool) {
        let own = self.own_of(access).and_then(|own| self.lock_trace.tenures.get_mut(own));
        // Of a tenure that is known by the client's answer only, the token is not known.
        let is_its = |own: &str| own.is_empty() || token.is_none_or(|token| token == own);
        if let Some(own) = own.filter(|own| is_its(own.token)) {
            own.own_end.get_or_insert(access);
        }
        self.alter(access, AlterationKind::Deleted { token, is_freed });
        self.lock_trace.deletions.add(access.span);
        self.conclude(access, Shows::Cleared);
    }

    fn alter(&mut self, access: Access<'a>, kind: AlterationKind<'a>) {
        let open = match (self.pending.front(), self.pending.len()) {
            _ if self.others_over_by >= access.span.sent.order => Open::Several,
            (Some(tenure), 1) => Open::One(*tenure),
            (None, _) => Open::None,
            _ => Open::Several,
        };
        let own = self.own_of(access);
        let tenures_before = self.lock_trace.tenures.len();
        let alteration = Alteration { access, kind, own, tenures_before, open };
        self.lock_trace.alterations.push(alteration);
    }

    fn finish(mut self, hidden_from: Moment) -> LockTrace<'a> {
        self.extensions.finish();
        self.lock_trace.finish(&self.extensions, hidden_from);
        self.lock_trace
    }
}
