//! One watched key: its holder, and what each command did to it.
//!
//! MONITOR shows neither replies nor the expiry of a lease. As long as a lease surely lasts, or is
//! surely over, the effect of a command follows from the commands before it. Near the expiry of a
//! lease it does not: then the key is followed under several *hypotheses*, one for each moment at
//! which the lease may have expired, until the next commands of the clients show which of them is
//! true.

mod hypothesis;

use super::effects::Until;
use hypothesis::{Hypothesis, LogEntry, Past, doubt};
use std::collections::HashSet;

/// The position of an observation.
pub(super) type Id = usize;

/// What makes a world less likely if a client does not do what it would do there. A millisecond for
/// which the server must have stood still between reading its clock and stamping the command makes
/// it less likely by 1.
const UNLIKELY: u32 = 10_000;
/// By how much one world must be likelier than another to be taken for the real one. What rests on
/// less is undecided: a busy machine may stand still for seconds.
const CLEAR: u32 = UNLIKELY / 2;
/// When this number of commands wait for a decision, hypotheses with the same holder now are
/// merged.
const LONG_LOG: usize = 2000;
/// The most hypotheses: more are merged where they have the same holder now.
const MOST_HYPOTHESES: usize = 1024;
/// After this number of further commands about the key, a doubt about earlier ones is given up.
const OLDEST: usize = 20_000;
/// How many milliseconds after its end a lease is over though the server did not say so.
const FORGOTTEN: i64 = 1000;
/// The most commands that may wait for a decision: then the likeliest hypothesis is taken.
const LONGEST_LOG: usize = 8192;

/// What a command did to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is not known yet.
    Open,
    /// Nothing: the key was free, or the command needed it free.
    Nothing,
    /// The key was free and was taken.
    Took,
    /// It was taken from its holder: whose it was.
    Replaced(Id),
    /// It was held.
    Refused,
    /// It was read.
    Saw(Option<Id>),
    /// It was deleted: whose it was.
    Deleted(Id),
    /// The lease was set: whose.
    Extended(Id),
    /// Its holder took it once more: whose it is.
    Entered(Id),
}

/// When something ran, in milliseconds of the server's clock since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct When {
    /// Not before.
    pub low: i64,
    /// As its time stamp says.
    pub nominal: i64,
    /// Not after.
    pub high: i64,
}

impl When {
    /// The given number of milliseconds later.
    pub fn plus(self, milliseconds: i64) -> Self {
        let plus = |time: i64| time.saturating_add(milliseconds);
        Self { low: plus(self.low), nominal: plus(self.nominal), high: plus(self.high) }
    }

    pub fn exactly(at: i64) -> Self {
        Self { low: at, nominal: at, high: at }
    }
}

/// What is done to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Taken, if it is free.
    Take(Until),
    /// Written.
    Put {
        /// Until when.
        until: Until,
        /// Only if it is held.
        only_if_held: bool,
    },
    /// Read.
    Read,
    /// Deleted.
    Delete,
    /// The lease is set.
    Expire(Until),
    /// Taken, if it is free or has the token that the command names.
    Enter,
    /// Deleted, if it has the token that the command names.
    Leave,
}

/// The holder of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    /// The observation by which it was taken or written.
    pub by: Id,
    /// The end of the lease.
    pub until: Option<When>,
}

/// A key that is followed.
#[derive(Debug, Default)]
pub(super) struct Key {
    hypotheses: Vec<Hypothesis>,
    pasts: Vec<Past>,
    /// Whether the server says when a lease has ended.
    reports_expiry: bool,
    /// The script that touched it last: no lease expires while it runs.
    script: Option<u32>,
    /// What was done otherwise in a world that was given up for want of room.
    doubted: HashSet<Id>,
    /// Whether another client may hold the key now: the hypothesis that says so was given up.
    is_astray: bool,
    /// How many outcomes rest on nothing but the time that is most likely.
    pub undecided: u64,
    /// Whether any outcome was inferred, from the time or from what clients did next.
    pub is_inferred: bool,
    /// How often what the clients did fitted no world.
    pub contradictions: u64,
}

/// Outcomes that are certain now.
pub(super) type Decided = Vec<(Id, Outcome)>;

/// Whose command it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whose<'a> {
    /// The observation.
    pub id: Id,
    /// The client.
    pub client: u32,
    /// Whether it was ever seen to give a lock back: then it does so whenever it had one.
    pub gives_back: bool,
    /// The call of the script that the command was in.
    pub call: Option<u32>,
    /// The acquisitions with the token that the command names.
    pub own: &'a [Id],
}

impl Key {
    /// A key that is free, or held.
    pub fn new(held: Option<Held>, reports_expiry: bool) -> Self {
        let hypothesis = Hypothesis { held, against: 0, log: Vec::new() };
        Self { hypotheses: vec![hypothesis], reports_expiry, ..Self::default() }
    }

    /// Its holder; where that is in doubt, the most likely one.
    pub fn held(&self) -> Option<Held> {
        self.hypotheses.iter().min_by_key(|hypothesis| hypothesis.against)?.held
    }

    /// Whether nothing about it is in doubt.
    pub fn is_certain(&self) -> bool {
        !self.is_in_doubt()
    }

    /// Whether anything about it is in doubt.
    fn is_in_doubt(&self) -> bool {
        self.hypotheses.len() > 1 || !self.pasts.is_empty()
    }

    /// The acquisitions that may be the one that holds it, and those that may have been.
    pub fn candidates(&self) -> impl Iterator<Item = Id> {
        let pasts = self.pasts.iter().flat_map(|past| &past.hypotheses);
        self.hypotheses.iter().chain(pasts).flat_map(|hypothesis| {
            let attempts = hypothesis.log.iter().filter(|entry| entry.is_attempt);
            attempts.map(|entry| entry.id).chain(hypothesis.held.map(|held| held.by))
        })
    }

    /// A client accesses the key.
    pub fn act(&mut self, whose: Whose<'_>, access: Access, now: When) -> Decided {
        let Whose { id, client, call, .. } = whose;
        let is_frozen = call.is_some() && call == self.script;
        self.script = call;
        if !is_frozen {
            self.expire_leases(now);
        }
        let is_attempt = matches!(access, Access::Take(_));
        if self.is_in_doubt() && call.is_none() {
            self.weigh_next(whose, access);
        }
        for hypothesis in &mut self.hypotheses {
            let outcome = hypothesis.apply(access, now, whose);
            hypothesis.log.push(LogEntry { id, client, outcome, is_attempt });
        }
        if self.is_astray {
            self.doubted.insert(id);
            // After these the result is the same for every holder.
            self.is_astray =
                !matches!(access, Access::Delete | Access::Put { only_if_held: false, .. });
        }
        self.decide()
    }

    /// The server says that the lease has ended.
    pub fn expired(&mut self) -> Decided {
        for hypothesis in &mut self.hypotheses {
            hypothesis.held = None;
        }
        self.is_astray = false;
        self.decide()
    }

    /// The next command of a client about the key shows what its last attempt gave it.
    fn weigh_next(&mut self, whose: Whose<'_>, access: Access) {
        self.weigh(|hypothesis, is_past| {
            let Some(attempt) = hypothesis.attempt(whose.client) else { return 0 };
            let has_it = is_past || hypothesis.held.is_some_and(|held| held.by == attempt.id);
            match (access, attempt.outcome) {
                // A holder does not acquire again, and releases what it holds.
                (Access::Take(_), Outcome::Took) if has_it && whose.gives_back => UNLIKELY,
                (Access::Take(_), Outcome::Took) if has_it => UNLIKELY / 4,
                (Access::Read, Outcome::Took)
                    if hypothesis.log.last().is_some_and(|last| last.id == attempt.id) =>
                {
                    UNLIKELY / 2
                }
                (Access::Delete | Access::Expire(_), Outcome::Refused) if !is_past => UNLIKELY,
                _ => 0,
            }
        });
    }

    /// Makes hypotheses less likely.
    fn weigh(&mut self, against: impl Fn(&Hypothesis, bool) -> u32) {
        for hypothesis in &mut self.hypotheses {
            hypothesis.against += against(hypothesis, false);
        }
        for hypothesis in self.pasts.iter_mut().flat_map(|past| &mut past.hypotheses) {
            hypothesis.against += against(hypothesis, true);
        }
    }

    /// A client says that it holds the key: it set its flag.
    pub fn claimed(&mut self, client: u32) -> Decided {
        if !self.is_in_doubt() {
            return Vec::new();
        }
        let is_refused = |hypothesis: &Hypothesis| {
            hypothesis.attempt(client).is_some_and(|attempt| attempt.outcome == Outcome::Refused)
        };
        self.weigh(|hypothesis, _| if is_refused(hypothesis) { UNLIKELY } else { 0 });
        self.keep(|hypothesis| !is_refused(hypothesis))
    }

    /// A script that carries the tokens of these acquisitions found one of them in the key, or none.
    /// `or_free`: it also goes on where the key is free.
    pub fn compared(&mut self, carried: &[Id], found: bool, or_free: bool) -> Decided {
        if carried.is_empty() || !self.is_in_doubt() {
            return Vec::new();
        }
        // A client that carries a token was most likely given it.
        self.weigh(|hypothesis, _| {
            let came = |outcome| carried.iter().any(|id| hypothesis.outcome(*id) == Some(outcome));
            if came(Outcome::Refused) && !came(Outcome::Took) { UNLIKELY } else { 0 }
        });
        self.keep(|hypothesis| match hypothesis.held {
            Some(held) => carried.contains(&held.by) == found,
            None => !found || or_free,
        })
    }

    /// A script found the key free, or held, as what it did next shows.
    pub fn found(&mut self, free: bool) -> Decided {
        self.keep(|hypothesis| hypothesis.held.is_none() == free)
    }

    /// The key itself shows whether a hypothesis is true; nothing, if it shows that none is.
    pub fn shown(&mut self, now: When, is_so: impl Fn(Option<Held>) -> bool) -> Option<Decided> {
        self.expire_leases(now);
        let is_any = self.is_any(&is_so);
        self.is_astray &= !is_any;
        is_any.then(|| self.keep(|hypothesis| is_so(hypothesis.held)))
    }

    /// Whether it is surely free by now.
    pub fn is_free(&self, now: When) -> bool {
        let late = if self.reports_expiry { FORGOTTEN } else { 0 };
        let is_over = |until: When| until.high.saturating_add(late) < now.low;
        !self.is_any(|held| held.is_some_and(|held| !held.until.is_some_and(is_over)))
    }

    /// Whether its lease may have expired by now, or not.
    pub fn may_have_expired(&self, now: When) -> bool {
        let is_near = |until: When| until.low < now.high && now.low <= until.high;
        let until = |held: Option<Held>| held.and_then(|held| held.until);
        !self.reports_expiry && self.is_any(|held| until(held).is_some_and(is_near))
    }

    /// The lease is set, and not by its holder: whose it is, if that is certain.
    pub fn lease(&mut self, until: Until, now: When) -> Option<Id> {
        for hypothesis in &mut self.hypotheses {
            if let Some(held) = &mut hypothesis.held {
                held.until = until.when(now, held.until);
            }
        }
        let held = self.held()?;
        (!self.is_in_doubt()).then_some(held.by)
    }

    /// Whether this is so in any hypothesis.
    pub fn is_any(&self, is_so: impl Fn(Option<Held>) -> bool) -> bool {
        self.hypotheses.iter().any(|hypothesis| is_so(hypothesis.held))
    }

    /// Drops the hypotheses that contradict this, unless all do.
    fn keep(&mut self, is_so: impl Fn(&Hypothesis) -> bool) -> Decided {
        if self.hypotheses.iter().any(&is_so) {
            self.hypotheses.retain(is_so);
        } else {
            self.contradictions += 1;
        }
        self.decide()
    }

    /// Splits each world in which a lease may end between the last command and this one.
    fn expire_leases(&mut self, now: When) {
        let mut ended = Vec::new();
        for hypothesis in &mut self.hypotheses {
            let Some(Held { by, until: Some(until) }) = hypothesis.held else { continue };
            // If a client has switched the notifications off, that is reported, and they are not
            // relied on any more.
            let late = if self.reports_expiry { FORGOTTEN } else { 0 };
            if now.low > until.high.saturating_add(late) {
                hypothesis.held = None;
                if std::mem::take(&mut self.reports_expiry) {
                    self.contradictions += 1;
                }
            } else if now.high > until.low && !self.reports_expiry {
                self.is_inferred = true;
                let late = now.nominal.saturating_sub(until.nominal);
                let mut gone = Hypothesis { held: None, ..hypothesis.clone() };
                if late > 0 {
                    hypothesis.against += u32::try_from(late).unwrap_or(UNLIKELY);
                } else {
                    gone.against += u32::try_from(1 - late).unwrap_or(UNLIKELY);
                }
                let low = until.low.max(now.low);
                hypothesis.held = Some(Held { by, until: Some(When { low, ..until }) });
                ended.push(gone);
            }
        }
        self.hypotheses.append(&mut ended);
    }

    /// Once all hypotheses agree on the holder of the key, what was done before becomes a past.
    /// What is certain leaves the logs.
    fn decide(&mut self) -> Decided {
        if self.hypotheses.len() > 1 {
            self.give_up();
            let first = self.hypotheses.first().map(|hypothesis| hypothesis.held);
            if self.hypotheses.iter().all(|hypothesis| Some(hypothesis.held) == first) {
                let hypotheses = std::mem::take(&mut self.hypotheses);
                let held = first.flatten();
                self.hypotheses.push(Hypothesis { held, against: 0, log: Vec::new() });
                self.pasts.push(Past { hypotheses, age: 0 });
            }
        }
        let mut decided = Decided::new();
        if let [hypothesis] = self.hypotheses.as_mut_slice() {
            hypothesis.against = 0;
            for entry in hypothesis.log.drain(..) {
                self.undecided += u64::from(self.doubted.remove(&entry.id));
                decided.push((entry.id, entry.outcome));
            }
        }
        let is_over = |past: &mut Past| {
            past.age += 1;
            past.is_clear() || past.age > OLDEST
        };
        for past in self.pasts.extract_if(.., is_over) {
            let (outcomes, undecided) = past.decide(&mut self.doubted);
            decided.extend(outcomes);
            self.undecided += undecided;
        }
        decided
    }

    /// Gives up what is much less likely than the best, and what is too much.
    fn give_up(&mut self) {
        self.hypotheses.sort_by_key(|hypothesis| hypothesis.against);
        let best = self.hypotheses.first().map_or(0, |hypothesis| hypothesis.against);
        self.hypotheses.retain(|hypothesis| hypothesis.against < best + 2 * UNLIKELY);
        let longest = self.hypotheses.first().map_or(0, |hypothesis| hypothesis.log.len());
        if longest > LONG_LOG || self.hypotheses.len() > MOST_HYPOTHESES {
            self.unite();
        }
        let most = if longest > LONGEST_LOG { 1 } else { MOST_HYPOTHESES };
        let Some((kept, rest)) = self.hypotheses.split_at_checked(most) else { return };
        if let Some(first) = kept.first().filter(|_| !rest.is_empty()) {
            rest.iter().for_each(|hypothesis| doubt(&mut self.doubted, first, hypothesis));
            self.is_astray = true;
            self.hypotheses.truncate(most);
        }
    }

    /// Merges the hypotheses that differ only in what was done before.
    fn unite(&mut self) {
        let mut kept: Vec<Hypothesis> = Vec::new();
        for hypothesis in self.hypotheses.drain(..) {
            match kept.iter().find(|kept| kept.held == hypothesis.held) {
                Some(same) => doubt(&mut self.doubted, same, &hypothesis),
                None => kept.push(hypothesis),
            }
        }
        self.hypotheses = kept;
    }

    /// Nothing more will come: the likeliest world is taken.
    pub fn finish(&mut self) -> Decided {
        if self.hypotheses.len() > 1 {
            let hypotheses = std::mem::take(&mut self.hypotheses);
            self.pasts.push(Past { hypotheses, age: 0 });
        }
        self.pasts.iter_mut().for_each(|past| past.age = OLDEST);
        self.decide()
    }
}

#[cfg(test)]
mod tests;
