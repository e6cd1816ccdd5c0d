//! Which actor holds which lock for certain, event by event: what [`double_grant`](super::double_grant) says of it.

use super::beliefs::{Ending, ended_by_end, ended_by_failure, ended_by_success};
use super::foreign::as_judged;
use crate::history::{Change, Effect, EventKind, Sharing, Verb};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Who holds which lock for certain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Holds {
    /// By lock and actor.
    holds: BTreeMap<(usize, usize), Hold>,
    /// The locks of each actor.
    by_actor: BTreeSet<(usize, usize)>,
    /// The actor that set the lease which a lock has now, and how long it is.
    leases: BTreeMap<usize, (usize, u64)>,
    /// How actors share the locks.
    sharing: Option<Arc<Sharing>>,
}

/// What is known of a lock and an actor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Hold {
    /// Its grant, as long as it holds the lock for certain.
    granted: Option<Term>,
    /// How often it was granted the lock again while it held it, and has not released it since.
    again: u32,
    /// Its acquire that is under way, if it has sent a command since it began or was refused.
    sent: Option<Term>,
}

/// By how much a lease may be shorter than what was asked for, in nanoseconds: servers and clients round.
pub(super) const ROUNDED: u64 = 100_000_000;

/// The lease that an acquire asked for. All times are in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Term {
    /// How long it is, if that is known.
    asked: Option<u64>,
    /// When it is over, since the run began.
    until: u64,
    /// Whether the lease that the key has now was set since the term began and is no shorter than what was asked
    /// for, if that is known: when that one expires, the term is over.
    is_covered: bool,
    /// Whether its acquire, which is under way, found the lock free.
    found_free: bool,
}

impl Term {
    fn begin(asked: Option<u64>, now: u64) -> Self {
        let until = asked.map_or(u64::MAX, |asked| now.saturating_add(asked));
        Self { asked, until, is_covered: false, found_free: false }
    }

    /// One that is over.
    const OVER: Self = Self { asked: None, until: 0, is_covered: false, found_free: false };

    /// The same term, where this lease of the key was set after it began.
    fn under(self, lease: Option<u64>) -> Self {
        let covers =
            |lease: u64| self.asked.is_none_or(|asked| lease.saturating_add(ROUNDED) >= asked);
        Self { is_covered: lease.is_some_and(covers), ..self }
    }

    fn is_over(self, now: u64) -> bool {
        self.until <= now
    }
}

/// An event as [`Holds`] reads it.
pub(super) struct Observed<'a> {
    /// Whose doing it was.
    pub actor: Option<usize>,
    /// What happened.
    pub kind: &'a EventKind,
    /// The verb of the step that it was done in.
    pub verb: Option<&'a Verb>,
    /// The lock that the actor's step acquires, and the lease that it asks for.
    pub acquires: Option<(usize, Option<u64>)>,
    /// When it happened or, for a command, when that was sent.
    pub sent_at: u64,
    /// When it happened.
    pub at: u64,
}

/// A grant of a lock that another actor holds for certain.
pub(super) struct SecondGrant {
    pub lock: usize,
    /// The actor that holds it.
    pub holder: usize,
    /// The actor that was granted it, too.
    pub newcomer: usize,
}

/// Whether a lock that is taken away in a step of this verb may be granted again at once: everywhere but
/// in what clients do to get, keep and use a lock, and to release one that they share: no finding stands for that.
pub(super) fn excuses(verb: Option<&Verb>, is_shared: bool) -> bool {
    match verb {
        Some(Verb::Acquire | Verb::Extend | Verb::Dump | Verb::ExternalDump) => false,
        Some(Verb::Release) => !is_shared,
        _ => true,
    }
}

/// The actor that releases its lock with a command, if it is in that step still.
pub(super) fn released_by(
    actor: Option<usize>,
    kind: &EventKind,
    verb: Option<&Verb>,
) -> Option<usize> {
    let is_late = matches!(kind, EventKind::Command(command) if command.late.is_some());
    actor.filter(|_| verb == Some(&Verb::Release) && !is_late)
}

/// Whether it takes the lock away from its holder.
pub(super) fn takes_away(change: &Change) -> bool {
    matches!(change, Change::Deleted { .. } | Change::Overwrote { .. })
}

impl Holds {
    /// No actor holds anything.
    pub fn new(sharing: Option<Sharing>) -> Self {
        Self { sharing: sharing.map(Arc::new), ..Self::default() }
    }

    /// Takes in the next event; gives each second grant to `found`, as long as that wants more.
    pub fn read(&mut self, event: &Observed<'_>, mut found: impl FnMut(SecondGrant) -> bool) {
        match (event.kind, event.actor) {
            (EventKind::Invoked(operation), Some(actor)) if operation.verb.releases() => {
                self.release(actor, operation.lock);
            }
            (EventKind::Completed(operation), Some(actor)) => {
                let ended = operation.lock.and_then(|lock| ended_by_success(&operation.verb, lock));
                // A release ended when it began.
                if let Some((lock, ending)) = ended
                    && !matches!(ending, Ending::Superseded | Ending::Released)
                {
                    self.end(actor, lock);
                }
                self.grant(actor, event, &mut found);
            }
            (EventKind::Failed { operation, failure }, Some(actor)) => {
                if let Some((lock, _)) = event.acquires {
                    self.update((lock, actor), |hold| hold.sent = None);
                }
                if let Some((lock, _)) = ended_by_failure(&operation.verb, operation.lock, failure)
                {
                    self.end(actor, lock);
                }
            }
            (EventKind::Ended { failure }, Some(actor)) => {
                self.end(actor, ended_by_end(failure.as_ref()).0);
            }
            (EventKind::Command(command), actor) => {
                let asks = actor.filter(|_| command.late.is_none()).zip(event.acquires);
                if let Some((actor, (lock, asked))) = asks {
                    // A command that it gave up may have set the lease before.
                    let leased = self.leases.get(&lock).filter(|(by, _)| *by == actor);
                    let leased = leased.map(|(_, lease)| *lease);
                    self.update((lock, actor), |hold| {
                        let term = Term::begin(asked, event.sent_at).under(leased);
                        hold.sent = hold.sent.or(Some(term));
                    });
                }
                let asks = asks.map(|(actor, (lock, _))| (lock, actor));
                command.effects.iter().for_each(|effect| self.affect(asks, effect, event));
            }
            (EventKind::Fault { lease_of: Some(lock), .. }, _) => {
                self.leases.remove(lock);
                self.end_of_lock(*lock, None, |term| term.is_covered);
            }
            (EventKind::Fault { effects, is_restart: false, .. }, _) => {
                effects.iter().for_each(|effect| self.affect(None, effect, event));
            }
            _ => {}
        }
    }

    /// Ends what is over by now.
    pub fn end_terms(&mut self, now: u64) {
        let keys: Vec<(usize, usize)> = self.holds.keys().copied().collect();
        for key in keys {
            self.update(key, |hold| hold.end_if(|term| term.is_over(now)));
        }
    }

    /// A lock was taken away in a way that excuses a second grant. The holder's own release, if `released_by`
    /// is the holder, takes away nothing that it must release once more.
    pub fn take_away(&mut self, lock: usize, released_by: Option<usize>) {
        self.end_of_lock(lock, released_by, |_| true);
    }

    /// Ends such terms of a lock, but not those of one actor.
    fn end_of_lock(&mut self, lock: usize, but_of: Option<usize>, is_such: impl Fn(&Term) -> bool) {
        let actors = self.of_lock(lock).map(|(actor, _)| actor);
        let actors: Vec<usize> = actors.filter(|actor| Some(*actor) != but_of).collect();
        for actor in actors {
            self.update((lock, actor), |hold| hold.end_if(&is_such));
        }
    }

    fn of_lock(&mut self, lock: usize) -> impl Iterator<Item = (usize, &mut Hold)> {
        let all = self.holds.range_mut((lock, 0)..=(lock, usize::MAX));
        all.map(|((_, actor), hold)| (*actor, hold))
    }

    fn update(&mut self, (lock, actor): (usize, usize), change: impl FnOnce(&mut Hold)) {
        let hold = self.holds.entry((lock, actor)).or_default();
        change(hold);
        if *hold == Hold::default() {
            self.holds.remove(&(lock, actor));
            self.by_actor.remove(&(actor, lock));
        } else {
            self.by_actor.insert((actor, lock));
        }
    }

    /// What a command or a fault did to a lock. `asks` is the lock that the command's actor acquires, and
    /// the actor, if that will hear the reply.
    fn affect(&mut self, asks: Option<(usize, usize)>, effect: &Effect, event: &Observed<'_>) {
        let Effect { lock, change } = effect;
        let is_shared = self.sharing.is_some();
        // A release of a lock that is shared frees no more than its actor's part.
        let change = if is_shared { change } else { as_judged(change, event.verb) };
        if excuses(event.verb, is_shared) && takes_away(change) {
            self.take_away(*lock, released_by(event.actor, event.kind, event.verb));
        }
        let lease = match change {
            Change::Took { lease, .. } => Some(*lease),
            Change::Overwrote { lease, .. } => lease.map(Some),
            Change::Extended { lease } => Some(Some(*lease)),
            _ => None,
        };
        if let Some(own) = asks.filter(|(acquired, _)| acquired == lock) {
            let asked = event.acquires.and_then(|(_, asked)| asked);
            let takes = matches!(change, Change::Took { .. } | Change::Overwrote { .. });
            self.update(own, |hold| {
                if *change == Change::Refused {
                    hold.sent = None;
                } else if takes && hold.sent.is_some_and(|term| term.is_over(event.at)) {
                    hold.sent = Some(Term::begin(asked, event.sent_at));
                }
                if let (Change::Took { .. }, Some(term)) = (change, &mut hold.sent) {
                    term.found_free = true;
                }
                // Where a history doesn't say what was asked for, it is what was got.
                if let (Some(Some(lease)), Some(sent)) = (lease, &mut hold.sent)
                    && sent.asked.is_none()
                    && sent.until == u64::MAX
                {
                    let found_free = sent.found_free;
                    *sent = Term { found_free, ..Term::begin(Some(lease), event.sent_at) };
                }
            });
        }
        if matches!(change, Change::Deleted { .. }) || lease == Some(None) {
            self.leases.remove(lock);
        }
        let Some(lease) = lease else { return };
        if let Some(set) = event.actor.zip(lease) {
            self.leases.insert(*lock, set);
        }
        for term in self.of_lock(*lock).flat_map(|(_, hold)| hold.terms()) {
            *term = term.under(lease);
        }
    }

    /// A step completes; if it acquires, its actor holds the lock.
    fn grant(
        &mut self,
        actor: usize,
        event: &Observed<'_>,
        found: &mut impl FnMut(SecondGrant) -> bool,
    ) {
        let (Some((lock, asked)), now) = (event.acquires, event.at) else { return };
        let mut is_certain = false;
        self.update((lock, actor), |hold| {
            let term = hold.sent.take().unwrap_or(Term::begin(asked, now));
            is_certain = !term.is_over(now);
            if !is_certain {
                return;
            }
            let is_again = !term.found_free && hold.granted.is_some_and(|it| !it.is_over(now));
            hold.again = if is_again { hold.again.saturating_add(1) } else { 0 };
            if hold.granted.is_none_or(|known| known.until <= term.until) {
                hold.granted = Some(Term { found_free: false, ..term });
            }
        });
        if !is_certain {
            return;
        }
        let is_held = |hold: &Hold| hold.granted.is_some_and(|term| !term.is_over(now));
        let others = self.of_lock(lock).filter(|(holder, hold)| *holder != actor && is_held(hold));
        let others: Vec<usize> = others.map(|(holder, _)| holder).collect();
        if self.sharing.as_ref().is_some_and(|sharing| sharing.allows(actor, &others)) {
            return;
        }
        for holder in others {
            if !found(SecondGrant { lock, holder, newcomer: actor }) {
                return;
            }
        }
    }

    /// An actor gives up a lock, or all.
    fn end(&mut self, actor: usize, lock: Option<usize>) {
        for lock in self.locks_of(actor, lock) {
            self.update((lock, actor), |hold| (hold.granted, hold.again) = (None, 0));
        }
    }

    /// An actor releases a lock, or all, once.
    fn release(&mut self, actor: usize, lock: Option<usize>) {
        for lock in self.locks_of(actor, lock) {
            self.update((lock, actor), |hold| match hold.again.checked_sub(1) {
                Some(left) => hold.again = left,
                None => hold.granted = None,
            });
        }
    }

    /// This lock, or all that an actor has to do with.
    fn locks_of(&self, actor: usize, lock: Option<usize>) -> Vec<usize> {
        match lock {
            Some(lock) => vec![lock],
            None => self.by_actor.range((actor, 0)..=(actor, usize::MAX)).map(|it| it.1).collect(),
        }
    }
}

impl Hold {
    fn terms(&mut self) -> impl Iterator<Item = &mut Term> {
        self.granted.iter_mut().chain(&mut self.sent)
    }

    fn end_if(&mut self, is_such: impl Fn(&Term) -> bool) {
        self.granted = self.granted.filter(|term| !is_such(term));
        self.again = if self.granted.is_some() { self.again } else { 0 };
        self.sent = self.sent.map(|term| if is_such(&term) { Term::OVER } else { term });
    }
}
