//! One watched key: who holds it, and what each command did to it.
//!
//! MONITOR shows neither replies nor the end of a lease. As long as a lease surely lasts, or is surely
//! over, what a command did follows from what was done before it. Near the end of a lease it does
//! not: then the key is followed in several *worlds*, one for each moment at which the lease may have
//! ended, until what the clients do next tells which of them is the real one.

mod world;

use super::effects::Until;
use std::collections::HashSet;
use world::{Past, World, WorldEntry, doubt};

/// The position of an observation.
pub(super) type Id = usize;

/// What makes a world less likely if a client does not do what it would do there. A millisecond for
/// which the server must have stood still between reading its clock and stamping the command makes
/// it less likely by 1.
const UNLIKELY: u32 = 10_000;
/// By how much one world must be likelier than another to be taken for the real one. What rests on
/// less is undecided: a busy machine may stand still for seconds.
const CLEAR: u32 = UNLIKELY / 2;
/// When so many commands wait for a decision, worlds in which the same holds now become one.
const LONG_LOG: usize = 2000;
/// So many worlds are enough: more become one where the same holds now.
const MOST_WORLDS: usize = 1024;
/// After so many further commands about the key, a doubt about what was before them is given up.
const OLDEST: usize = 20_000;
/// How many milliseconds after its end a lease is over though the server did not say so.
const FORGOTTEN: i64 = 1000;
/// So many commands may wait for a decision: then the likeliest world is taken.
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
    /// It was taken whoever held it: whose it was.
    Replaced(Id),
    /// It was held.
    Refused,
    /// It was read.
    Saw(Option<Id>),
    /// It was deleted: whose it was.
    Deleted(Id),
    /// The lease was set: whose.
    Extended(Id),
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
    /// So many milliseconds later.
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
pub(super) enum Deed {
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
}

/// Who holds the key.
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
    worlds: Vec<World>,
    pasts: Vec<Past>,
    /// Whether the server says when a lease has ended.
    tells_expiry: bool,
    /// The script that touched it last: no lease ends while it runs.
    script: Option<u32>,
    /// What was done otherwise in a world that was given up for want of room.
    doubted: HashSet<Id>,
    /// Whether somebody else may hold the key now: the world in which it is so was given up.
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
pub(super) struct Whose {
    /// The observation.
    pub id: Id,
    /// The client.
    pub client: u32,
    /// Whether it was ever seen to give a lock back: then it does so whenever it had one.
    pub gives_back: bool,
    /// The call of the script that the command was in.
    pub call: Option<u32>,
}

impl Key {
    /// A key that is free, or held.
    pub fn new(held: Option<Held>, tells_expiry: bool) -> Self {
        let world = World { held, against: 0, log: Vec::new() };
        Self { worlds: vec![world], tells_expiry, ..Self::default() }
    }

    /// Who holds it: where that is in doubt, who does most likely.
    pub fn held(&self) -> Option<Held> {
        self.worlds.iter().min_by_key(|world| world.against)?.held
    }

    /// Whether anything about it is in doubt.
    fn is_in_doubt(&self) -> bool {
        self.worlds.len() > 1 || !self.pasts.is_empty()
    }

    /// The acquisitions that may be the one that holds it, and those that may have been.
    pub fn candidates(&self) -> impl Iterator<Item = Id> {
        let pasts = self.pasts.iter().flat_map(|past| &past.worlds);
        self.worlds.iter().chain(pasts).flat_map(|world| {
            let attempts = world.log.iter().filter(|entry| entry.is_attempt);
            attempts.map(|entry| entry.id).chain(world.held.map(|held| held.by))
        })
    }

    /// Somebody does something.
    pub fn act(&mut self, whose: Whose, deed: Deed, now: When) -> Decided {
        let Whose { id, client, call, .. } = whose;
        let is_frozen = call.is_some() && call == self.script;
        self.script = call;
        if !is_frozen {
            self.let_leases_end(now);
        }
        let is_attempt = matches!(deed, Deed::Take(_));
        if self.is_in_doubt() && call.is_none() {
            self.weigh_next(whose, deed);
        }
        for world in &mut self.worlds {
            let outcome = world.do_it(deed, now, id);
            world.log.push(WorldEntry { id, client, outcome, is_attempt });
        }
        if self.is_astray {
            self.doubted.insert(id);
            // After these it is the same whoever held it.
            self.is_astray = !matches!(deed, Deed::Delete | Deed::Put { only_if_held: false, .. });
        }
        self.decide()
    }

    /// The server says that the lease has ended.
    pub fn expired(&mut self) -> Decided {
        for world in &mut self.worlds {
            world.held = None;
        }
        self.is_astray = false;
        self.decide()
    }

    /// What a client does next about the key tells what its last attempt gave it.
    fn weigh_next(&mut self, whose: Whose, deed: Deed) {
        self.weigh(|world, is_past| {
            let Some(attempt) = world.attempt(whose.client) else { return 0 };
            let has_it = is_past || world.held.is_some_and(|held| held.by == attempt.id);
            match (deed, attempt.outcome) {
                // Who holds it does not ask for it again, and gives back what it holds.
                (Deed::Take(_), Outcome::Took) if has_it && whose.gives_back => UNLIKELY,
                (Deed::Take(_), Outcome::Took) if has_it => UNLIKELY / 4,
                (Deed::Read, Outcome::Took)
                    if world.log.last().is_some_and(|last| last.id == attempt.id) =>
                {
                    UNLIKELY / 2
                }
                (Deed::Delete | Deed::Expire(_), Outcome::Refused) if !is_past => UNLIKELY,
                _ => 0,
            }
        });
    }

    /// Makes worlds less likely.
    fn weigh(&mut self, against: impl Fn(&World, bool) -> u32) {
        for world in &mut self.worlds {
            world.against += against(world, false);
        }
        for world in self.pasts.iter_mut().flat_map(|past| &mut past.worlds) {
            world.against += against(world, true);
        }
    }

    /// A client says that it holds the key: it set its flag.
    pub fn claimed(&mut self, client: u32) -> Decided {
        if !self.is_in_doubt() {
            return Vec::new();
        }
        let is_refused = |world: &World| {
            world.attempt(client).is_some_and(|attempt| attempt.outcome == Outcome::Refused)
        };
        self.weigh(|world, _| if is_refused(world) { UNLIKELY } else { 0 });
        self.keep(|world| !is_refused(world))
    }

    /// A script that carries the tokens of these acquisitions found one of them in the key, or none.
    /// `or_free`: it also goes on where the key is free.
    pub fn compared(&mut self, carried: &[Id], found: bool, or_free: bool) -> Decided {
        if carried.is_empty() || !self.is_in_doubt() {
            return Vec::new();
        }
        // Who carries a token was most likely given it.
        self.weigh(|world, _| {
            let came = |outcome| carried.iter().any(|id| world.outcome(*id) == Some(outcome));
            if came(Outcome::Refused) && !came(Outcome::Took) { UNLIKELY } else { 0 }
        });
        self.keep(|world| match world.held {
            Some(held) => carried.contains(&held.by) == found,
            None => !found || or_free,
        })
    }

    /// A script found the key free, or held, as what it did next shows.
    pub fn found(&mut self, free: bool) -> Decided {
        self.keep(|world| world.held.is_none() == free)
    }

    /// Gives up the worlds that are not so, unless that is all of them.
    fn keep(&mut self, is_so: impl Fn(&World) -> bool) -> Decided {
        if self.worlds.iter().any(&is_so) {
            self.worlds.retain(is_so);
        } else {
            self.contradictions += 1;
        }
        self.decide()
    }

    /// Splits each world in which a lease may end between the last command and this one.
    fn let_leases_end(&mut self, now: When) {
        let mut ended = Vec::new();
        for world in &mut self.worlds {
            let Some(Held { by, until: Some(until) }) = world.held else { continue };
            // Where somebody has switched the notifications off, that is said, and no more relied on.
            let late = if self.tells_expiry { FORGOTTEN } else { 0 };
            if now.low > until.high.saturating_add(late) {
                world.held = None;
                if std::mem::take(&mut self.tells_expiry) {
                    self.contradictions += 1;
                }
            } else if now.high > until.low && !self.tells_expiry {
                self.is_inferred = true;
                let late = now.nominal.saturating_sub(until.nominal);
                let mut gone = World { held: None, ..world.clone() };
                if late > 0 {
                    world.against += u32::try_from(late).unwrap_or(UNLIKELY);
                } else {
                    gone.against += u32::try_from(1 - late).unwrap_or(UNLIKELY);
                }
                let low = until.low.max(now.low);
                world.held = Some(Held { by, until: Some(When { low, ..until }) });
                ended.push(gone);
            }
        }
        self.worlds.append(&mut ended);
    }

    /// Once all worlds agree in who holds the key, what was done before becomes a past. What is
    /// certain leaves the logs.
    fn decide(&mut self) -> Decided {
        if self.worlds.len() > 1 {
            self.give_up();
            let first = self.worlds.first().map(|world| world.held);
            if self.worlds.iter().all(|world| Some(world.held) == first) {
                let worlds = std::mem::take(&mut self.worlds);
                let held = first.flatten();
                self.worlds.push(World { held, against: 0, log: Vec::new() });
                self.pasts.push(Past { worlds, age: 0 });
            }
        }
        let mut decided = Decided::new();
        if let [world] = self.worlds.as_mut_slice() {
            world.against = 0;
            for entry in world.log.drain(..) {
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
        self.worlds.sort_by_key(|world| world.against);
        let best = self.worlds.first().map_or(0, |world| world.against);
        self.worlds.retain(|world| world.against < best + 2 * UNLIKELY);
        let longest = self.worlds.first().map_or(0, |world| world.log.len());
        if longest > LONG_LOG || self.worlds.len() > MOST_WORLDS {
            self.unite();
        }
        let most = if longest > LONGEST_LOG { 1 } else { MOST_WORLDS };
        let Some((kept, rest)) = self.worlds.split_at_checked(most) else { return };
        if let Some(first) = kept.first().filter(|_| !rest.is_empty()) {
            rest.iter().for_each(|world| doubt(&mut self.doubted, first, world));
            self.is_astray = true;
            self.worlds.truncate(most);
        }
    }

    /// Makes one of the worlds that differ only in what was done before.
    fn unite(&mut self) {
        let mut kept: Vec<World> = Vec::new();
        for world in self.worlds.drain(..) {
            match kept.iter().find(|kept| kept.held == world.held) {
                Some(same) => doubt(&mut self.doubted, same, &world),
                None => kept.push(world),
            }
        }
        self.worlds = kept;
    }

    /// Nothing more will come: the likeliest world is taken.
    pub fn finish(&mut self) -> Decided {
        if self.worlds.len() > 1 {
            let worlds = std::mem::take(&mut self.worlds);
            self.pasts.push(Past { worlds, age: 0 });
        }
        self.pasts.iter_mut().for_each(|past| past.age = OLDEST);
        self.decide()
    }
}

#[cfg(test)]
mod tests;
